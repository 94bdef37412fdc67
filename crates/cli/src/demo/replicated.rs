//! With root: a feed to three subscribers, one of them dead, by `tickwire replicate` itself.
//!
//! The command runs in a private network as a user would start it; every copy is checked where it
//! arrives, and its own account stands beside that.

use super::command::{Running, tickwire};
use super::screen::Screen;
use crate::units::grouped;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tickwire_frame::Reason;
use tickwire_lab::{
    CheckReport, Checker, Lab, LabConfig, Numbered, Offload, Schedule, UdpReceiver, send_udp,
};

/// Packets a second, each of which becomes two copies.
const RATE_PPS: f64 = 10_000.0;
/// For so many seconds at most: it is exact, so there is no more to see after more of it.
const SECONDS_MAX: u64 = 2;
/// Packets between two looks at the keyboard.
const PACKETS_PER_LOOK: u64 = 1_000;
/// From the last packet until its copies have arrived.
const SETTLE: Duration = Duration::from_millis(200);
const PORT_FIRST: u16 = 6001;
/// Who is there, and who is not.
const NAMES: [&str; 3] = ["alpha", "beta", "gone"];

/// What is shown.
#[derive(Debug)]
pub struct Replicated {
    /// The command's own account.
    pub summary: Value,
    /// What arrived at those who are there.
    pub arrived: Vec<CheckReport>,
    /// Packets that were sent.
    pub sent: u64,
}

/// Runs it and shows what came of it. The demo goes on when it cannot.
pub fn run(seconds: u64, interrupted: impl Fn() -> bool, screen: &mut Screen) {
    let count = seconds.min(SECONDS_MAX) * RATE_PPS as u64;
    let (packets, rate) = (grouped(count), grouped(RATE_PPS as u64));
    let text = format!("{packets} numbered packets, {rate} a second, to three subscribers");
    screen.gap();
    screen.say_of("replicate", &text, "");
    match replicate(count, interrupted) {
        Ok(replicated) => show(&replicated, screen),
        Err(why) => screen.say_of("", &format!("not available: {why}"), "33"),
    }
}

fn replicate(count: u64, interrupted: impl Fn() -> bool) -> Result<Replicated, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() });
    let lab = lab.map_err(|error| failed(&error))?;
    // For mode xdp: only so the driver takes frames that an XDP program of the other end sends.
    lab.left.set_offload(Offload::Gro, true).map_err(|error| failed(&error))?;
    let bind = |at: u16| UdpReceiver::bind(&lab.left, lab.left.ipv4(), PORT_FIRST + at);
    let receivers = [bind(0), bind(1)];
    let [alpha, beta] = receivers.map(|receiver| receiver.map_err(|error| failed(&error)));
    let receivers = [alpha?, beta?];
    let [a, b, c, _] = lab.left.ipv4().octets();
    let gone = std::net::Ipv4Addr::new(a, b, c, 250);
    let args = ["replicate", "-i", lab.right.name(), "--summary", "json", "--listen"];
    let mut command = tickwire(&args)?;
    command.arg(format!("{}:5000,name=feed", lab.right.ipv4()));
    for (name, port) in NAMES.iter().zip(PORT_FIRST..) {
        let address = if *name == "gone" { gone } else { lab.left.ipv4() };
        command.args(["--subscriber", &format!("{address}:{port},name={name}")]);
    }
    let child = lab.right.spawn(command).map_err(|error| failed(&error))?;
    let running = Running::start(child, "ready")?;
    let over = AtomicBool::new(false);
    let (sent, arrived) = std::thread::scope(|scope| {
        let checks: Vec<_> = (receivers.iter())
            .map(|receiver| scope.spawn(|| check(receiver, count, &over)))
            .collect();
        let sent = send(&lab, count, interrupted);
        std::thread::sleep(SETTLE);
        over.store(true, Relaxed);
        let check = |handle: std::thread::ScopedJoinHandle<'_, _>| handle.join().expect("no panic");
        (sent, checks.into_iter().map(check).collect())
    });
    Ok(Replicated { summary: running.stop()?, arrived, sent: sent? })
}

fn send(lab: &Lab, count: u64, interrupted: impl Fn() -> bool) -> Result<u64, String> {
    let mut sent = 0;
    while sent < count && !interrupted() {
        let packets = Numbered { first: sent, ..Numbered::between(&lab.left, &lab.right) };
        let schedule = Schedule::paced(PACKETS_PER_LOOK, RATE_PPS);
        let report = send_udp(&lab.left, &packets, &schedule).map_err(|error| error.to_string())?;
        sent += report.sent;
    }
    Ok(sent)
}

/// Checks what arrives, until it is `over`.
fn check(receiver: &UdpReceiver, count: u64, over: &AtomicBool) -> CheckReport {
    let mut checker = Checker::new(count);
    while !over.load(Relaxed) && checker.received() < count {
        // A socket that breaks shows in the report: what follows is missing.
        let _ = receiver.receive(&mut checker, count, Duration::from_millis(50));
    }
    checker.report()
}

/// The table: one line a subscriber, within 80 columns.
fn table(replicated: &Replicated) -> Vec<String> {
    let subscribers = &replicated.summary["feeds"][0]["subscribers"];
    let line = |[name, offered, copied, arrived, discarded]: [&str; 5]| {
        format!("  {name:<24}{offered:>9}{copied:>9}{arrived:>9}  {discarded}")
    };
    let mut lines = vec![line(["subscriber", "offered", "copied", "arrived", "discarded"])];
    for (place, of) in subscribers.as_array().into_iter().flatten().enumerate() {
        let number = |key: &str| grouped(of[key].as_u64().unwrap_or(0));
        let text = |key: &str| of[key].as_str().unwrap_or_default();
        let reasons = of["discarded"].as_object().into_iter().flatten();
        let reasons: Vec<String> = reasons
            .map(|(reason, count)| format!("{} {reason}", grouped(count.as_u64().unwrap_or(0))))
            .collect();
        let arrived = replicated.arrived.get(place).map(|check| grouped(check.received));
        lines.push(line([
            &format!("{:<6}{}", text("name"), text("address")),
            &number("offered"),
            &number("copied"),
            arrived.as_deref().unwrap_or("-"),
            if reasons.is_empty() { "-" } else { &reasons[0] },
        ]));
    }
    lines
}

fn show(replicated: &Replicated, screen: &mut Screen) {
    let Replicated { summary, arrived, sent } = replicated;
    screen.gap();
    for (index, line) in table(replicated).into_iter().enumerate() {
        let line = if index == 0 { screen.paint("1", &line) } else { line };
        screen.say(line);
    }
    screen.gap();
    let mode = summary["port"].as_str().unwrap_or("-");
    let whole = |check: &CheckReport| {
        let faults = check.duplicates + check.out_of_order + check.corrupted + check.beyond;
        check.received == *sent && faults == 0
    };
    let (verdict, colour) = match arrived.iter().all(whole) {
        true => ("every copy once, in order, byte for byte", "32"),
        false => ("not every copy arrived once, in order, whole", "33"),
    };
    screen.say_of("alpha, beta", &format!("{verdict} (mode {mode})"), colour);
    let discarded = &summary["feeds"][0]["subscribers"][2]["discarded"];
    for reason in Reason::ALL.iter().filter(|reason| discarded[reason.as_str()].is_u64()) {
        screen.say_of("gone", &format!("{reason}: {}", reason.meaning()), "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_fits_eighty_columns_and_shows_both_accounts() {
        let all = 20_000;
        let of = |name: &str, copied: u64, discarded: Value| {
            json!({
                "name": name, "address": "10.77.255.250:6003", "offered": all, "copied": copied,
                "discarded": discarded,
            })
        };
        let dead = of("gone", 0, json!({"no_neighbour": all}));
        let subscribers = json!([of("alpha", all, json!({})), dead]);
        let summary = json!({"port": "xdp", "feeds": [{"subscribers": subscribers}]});
        let mut checker = Checker::new(all);
        checker.check_payload(0, b"no number");
        let replicated = Replicated { summary, arrived: vec![checker.report()], sent: all };
        let lines = table(&replicated);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        let words =
            |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
        let alpha = ["alpha", "10.77.255.250:6003", "20,000", "20,000", "0", "-"];
        assert_eq!(words(&lines[1]), alpha);
        assert_eq!(words(&lines[2])[2..], ["20,000", "0", "-", "20,000", "no_neighbour"]);
    }
}
