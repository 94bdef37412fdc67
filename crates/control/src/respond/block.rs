//! The status as the older responder printed it, label by label, for the scripts that read it.

use super::types::{FeedView, LastError, StatusView, TargetView};
use std::fmt::{Display, Write};
use std::net::SocketAddr;
use tickwire_frame::Timestamp;

/// The labels and values, one a line: `Target IP: 192.168.1.100`.
pub fn status_block(status: &StatusView) -> String {
    let mut block = Block(String::new());
    let target = status.targets.first();
    let address: Option<SocketAddr> = target.and_then(|target| target.address.parse().ok());
    let feed = status.feeds.first();
    let group = feed.filter(|feed| feed.multicast).map(group);
    let time = status.process_time.as_ref();
    block.line("Enabled", yes(status.enabled && !status.killed));
    block.line("Target IP", or_dash(address.map(|address| address.ip())));
    block.line("Target Port", or_dash(address.map(|address| address.port())));
    block.line("Protocol", or_dash(target.map(protocol)));
    block.line("Multicast", yes(group.is_some()));
    block.line("Multicast Group", or_dash(group));
    block.line("Packets Processed", status.packets_processed);
    block.line("Packets Bypassed", status.packets_bypassed);
    block.line("Responses Sent", status.responses_sent);
    block.line("Errors", status.errors);
    block.line("Active Connections", status.active_connections);
    block.line("Dropped Connections", status.dropped_connections);
    block.line("Min Process Time (ns)", time.map_or(0, |time| time.min_ns));
    block.line("Max Process Time (ns)", time.map_or(0, |time| time.max_ns));
    block.line("Avg Process Time (ns)", time.map_or(0, |time| time.mean_ns.round() as u64));
    block.line("Queue Full Events", status.debug.queue_full_events);
    block.line("Checksum Errors", status.debug.checksum_errors);
    block.line("Memory Allocations", status.debug.memory_allocations);
    block.line("Last Error", or_dash(status.debug.last_error.as_ref().map(last_error)));
    block.0
}

struct Block(String);

impl Block {
    fn line(&mut self, label: &str, value: impl Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{label}: {value}");
    }
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn protocol(target: &TargetView) -> &str {
    &target.transport
}

/// The address of a group, without its port.
fn group(feed: &FeedView) -> String {
    let address: Result<SocketAddr, _> = feed.listen.parse();
    address.map_or_else(|_| feed.listen.clone(), |address| address.ip().to_string())
}

fn last_error(LastError { text, at_ns }: &LastError) -> String {
    format!("{text} at {}", Timestamp::from_nanos(*at_ns))
}

#[cfg(test)]
mod tests {
    use super::super::examples;
    use super::*;

    #[test]
    fn labels_come_in_the_order_that_scripts_know() {
        let text = status_block(&examples::status());
        let labels: Vec<&str> = text.lines().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(
            labels,
            [
                "Enabled",
                "Target IP",
                "Target Port",
                "Protocol",
                "Multicast",
                "Multicast Group",
                "Packets Processed",
                "Packets Bypassed",
                "Responses Sent",
                "Errors",
                "Active Connections",
                "Dropped Connections",
                "Min Process Time (ns)",
                "Max Process Time (ns)",
                "Avg Process Time (ns)",
                "Queue Full Events",
                "Checksum Errors",
                "Memory Allocations",
                "Last Error",
            ]
        );
        assert!(text.contains("Target IP: 192.168.1.100\nTarget Port: 9999\nProtocol: udp\n"));
        assert!(text.contains("Multicast: yes\nMulticast Group: 239.1.1.1\n"));
    }

    #[test]
    fn who_is_killed_is_not_enabled() {
        let status = StatusView { killed: true, ..examples::status() };
        assert!(status_block(&status).starts_with("Enabled: no\n"));
    }
}
