//! What the demo shows: lines that move on a terminal, plain lines elsewhere.

use super::feed::{GROUP, PORT};
use super::job::Sample;
use crate::text::wrap;
use crate::units::{grouped, scaled};
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use tickwire_capture::{Mode, PortError};
use tickwire_decode::{LineOptions, Packet, write_line};
use tickwire_frame::{Frame, Ledger, Reason};

/// How often the rates move on a terminal.
const REFRESH: Duration = Duration::from_millis(100);
/// How often they are printed elsewhere.
const REFRESH_PLAIN: Duration = Duration::from_secs(1);
/// Characters of a rate's bar at most; it gives way on narrow terminals.
const BAR_CELLS_MAX: usize = 20;
/// Characters of a rate line without its bar.
const GAUGE_CELLS: usize = 80;
/// Characters of a line where there is no terminal.
const COLUMNS_PLAIN: usize = 100;
/// Characters of a label in the closing table.
const LABEL_CELLS: usize = 24;

/// The two figures that a newcomer asks about.
const WHY_THEY_DIFFER: &str = "  af_xdp wakes its worker as packets come, af_packet gathers \
                               them for up to\n  8 ms: one spends CPU, the other time.\n";

/// The account of one port, at the end.
#[derive(Clone, Debug)]
pub struct Row {
    pub port: &'static str,
    pub mode: String,
    /// Packets that were sent to it.
    pub offered: u64,
    pub ledger: Ledger,
    /// Messages that the feed's own numbers say are missing.
    pub missing: u64,
    pub out_of_order: u64,
    /// From the first packet to the last.
    pub seconds: f64,
    /// The mean time from sending a packet to handling it; `None` where they were not sent.
    pub delay: Option<Duration>,
    pub cpu: Duration,
    /// Packets in the capture file.
    pub recorded: u64,
}

/// The rate of one port while it runs.
#[derive(Clone, Debug)]
pub struct Gauge {
    name: &'static str,
    ledger: Ledger,
    at: Instant,
    pps: f64,
    bps: f64,
}

impl Gauge {
    pub fn new(name: &'static str) -> Gauge {
        Gauge { name, ledger: Ledger::default(), at: Instant::now(), pps: 0.0, bps: 0.0 }
    }

    /// Takes the ledger as it is now; rates are smoothed over about half a second.
    pub fn update(&mut self, ledger: &Ledger) {
        let seconds = self.at.elapsed().as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let pps = rate(ledger.received, self.ledger.received);
        let bps = 8.0 * rate(ledger.received_bytes, self.ledger.received_bytes);
        let weight = if self.pps == 0.0 { 1.0 } else { (seconds / 0.5).min(1.0) };
        self.pps += weight * (pps - self.pps);
        self.bps += weight * (bps - self.bps);
        (self.ledger, self.at) = (ledger.clone(), Instant::now());
    }

    fn line(&self, screen: &Screen) -> String {
        let columns = screen.columns();
        let cells = columns.saturating_sub(GAUGE_CELLS).min(BAR_CELLS_MAX);
        let full = (self.pps / super::live::RATE_PPS * cells as f64).round() as usize;
        let full = full.min(cells);
        let bar = screen.paint("32", &"━".repeat(full)) + &"─".repeat(cells - full);
        let text = format!(
            "{:>7} packets/s  {:>7}b/s  {:>9} received  {:>4} discarded",
            scaled(self.pps.round()),
            scaled(self.bps.round()),
            grouped(self.ledger.received),
            grouped(self.ledger.discarded.total()),
        );
        // A line that wraps could not be written over.
        let room = if screen.is_terminal { columns.saturating_sub(14 + cells) } else { usize::MAX };
        let text: String = text.chars().take(room).collect();
        format!("  {:<12}{bar}{text}", self.name)
    }
}

/// Standard output, as the demo uses it.
#[derive(Debug)]
pub struct Screen {
    is_terminal: bool,
    colour: bool,
    /// Rate lines that stand on the terminal now, to be written over.
    standing: usize,
}

impl Screen {
    pub fn new() -> Screen {
        let is_terminal = std::io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen { is_terminal, colour: is_terminal && !no_colour, standing: 0 }
    }

    /// Characters of a line; none are taken by bars where there is no terminal.
    fn columns(&self) -> usize {
        let size = self.is_terminal.then(|| rustix::termios::tcgetwinsize(std::io::stdout()));
        size.map_or(0, |size| size.map_or(80, |size| usize::from(size.ws_col)))
    }

    pub fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Prints a line. Nobody may be reading; the demo goes on.
    pub fn say(&mut self, text: impl Display) {
        self.standing = 0;
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// Prints a text beside a name, broken into lines.
    pub fn say_of(&mut self, name: &str, text: &str, code: &str) {
        let width = if self.is_terminal { self.columns() } else { COLUMNS_PLAIN };
        for (index, line) in wrap(text, width.saturating_sub(14).max(20)).iter().enumerate() {
            let line = if code.is_empty() { line.clone() } else { self.paint(code, line) };
            let name = if index == 0 { name } else { "" };
            self.say(format_args!("  {name:<12}{line}"));
        }
    }

    pub fn refresh_every(&self) -> Duration {
        if self.is_terminal { REFRESH } else { REFRESH_PLAIN }
    }

    pub fn title(&mut self) {
        let name = self.paint("1", "tickwire demo");
        self.say(format_args!(
            "{name}: a market-data feed, captured and replicated with an exact account\n"
        ));
    }

    pub fn without_root(&mut self, missing: &str) {
        let command = self.paint("1", &format!("sudo {} demo", program()));
        self.say(format_args!(
            "  Live capture {missing},\n  so the feed goes through a file.\n  \
             To see af_xdp and af_packet side by side: {command}\n"
        ));
    }

    pub fn live_intro(&mut self, rate_pps: f64) {
        self.say(format_args!(
            "  feed        orders in MoldUDP64 to {GROUP}:{PORT}, {} packets/s to each port\n  \
             network     two private veth pairs; your own interfaces are not touched",
            scaled(rate_pps)
        ));
    }

    pub fn offline_intro(&mut self, packets: u64, rate_pps: f64) {
        self.say(format_args!(
            "  feed        orders in MoldUDP64 to {GROUP}:{PORT}: {} packets, {} a second",
            grouped(packets),
            scaled(rate_pps)
        ));
    }

    pub fn mode(&mut self, name: &str, mode: &Mode) {
        let why = if mode.why.is_empty() { String::new() } else { format!(": {}", mode.why) };
        self.say_of(name, &format!("{}{why}", mode.mode), "");
    }

    pub fn no_port(&mut self, name: &str, error: &PortError) {
        self.say_of(name, &format!("not available: {error}"), "33");
    }

    /// The first packets, as `tickwire capture` prints them.
    pub fn samples(&mut self, samples: impl Iterator<Item = Sample>) {
        let mut text = String::new();
        for (link, timestamp, bytes) in samples {
            let frame = Frame::new(&bytes, timestamp);
            let packet = Packet::decode(link, frame.bytes, frame.wire_len);
            text.push_str("  ");
            let _ = write_line(&mut text, &frame, &packet, &LineOptions::default());
        }
        let text = self.paint("2", text.trim_end());
        self.say(format_args!("\n{text}\n  …"));
    }

    /// The rates as they are now; on a terminal in place of those before.
    pub fn gauges(&mut self, gauges: &[Gauge]) {
        let up = match self.standing {
            0 => String::new(),
            lines => format!("\x1b[{lines}A"),
        };
        let clear = if self.is_terminal { "\r\x1b[2K" } else { "" };
        let lines: Vec<String> =
            gauges.iter().map(|gauge| format!("{clear}{}\n", gauge.line(self))).collect();
        let mut stdout = std::io::stdout().lock();
        let _ = write!(stdout, "{up}{}", lines.concat()).and_then(|()| stdout.flush());
        self.standing = if self.is_terminal { gauges.len() } else { 0 };
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.say("");
    }

    /// The accounts of all ports, one column each.
    pub fn table(&mut self, rows: &[Row]) {
        let lines = account(rows);
        let cells = lines.iter().flat_map(|(_, cells)| cells);
        let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        self.gap();
        for (index, (label, cells)) in lines.iter().enumerate() {
            let cells: String = cells.iter().map(|cell| format!("  {cell:>width$}")).collect();
            let line = format!("  {label:<LABEL_CELLS$}{cells}");
            let line = if index == 0 { self.paint("1", &line) } else { line };
            self.say(line);
        }
        self.gap();
        if rows.len() > 1 {
            self.say(WHY_THEY_DIFFER);
        }
        for row in rows {
            self.verdict(row);
        }
    }

    /// What the table has no room for: what a reason means, and what the feed's numbers say.
    fn verdict(&mut self, row: &Row) {
        for (reason, _) in row.ledger.discarded.nonzero() {
            let text = self.paint("33", reason.as_str());
            self.say(format_args!("  {:<12}{text}: {}", row.port, reason.meaning()));
        }
        let verdict = match (row.missing, row.out_of_order) {
            (0, 0) => self.paint("32", "no gap, all in order"),
            (missing, late) => self.paint(
                "33",
                &format!("{} messages missing, {} packets late", grouped(missing), grouped(late)),
            ),
        };
        self.say(format_args!("  {:<12}sequence numbers of the feed: {verdict}", row.port));
    }

    pub fn file(&mut self, file: &Path, packets: u64) {
        let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        let name = self.paint("1", &file.display().to_string());
        self.say(format_args!(
            "\n  capture file: {name} ({} packets, {}B)\n",
            grouped(packets),
            scaled(bytes as f64)
        ));
    }

    pub fn what_next(&mut self, file: &Path) {
        let (program, file) = (program(), file.display());
        let commands = [
            (format!("{program} capture -r {file} -c 5 -v"), "look into it"),
            (format!("{program} capture -r {file} -c 5 'itch.stock == \"AAPL\"'"), "one stock"),
            (format!("{program} feed decode -r {file} -c 5"), "its messages"),
            (format!("{program} replicate --help"), "one feed to many of your own"),
            (format!("{program} doctor"), "what this machine can do"),
            (format!("sudo {program} capture -i eth0 -c 10"), "packets of your own"),
        ];
        self.say("  what to try next:");
        for (command, purpose) in commands {
            let (command, purpose) =
                (self.paint("36", &command), self.paint("2", &format!("# {purpose}")));
            self.say(format_args!("    {command}  {purpose}"));
        }
    }
}

/// The closing table: a label, then a cell for each port.
fn account(rows: &[Row]) -> Vec<(String, Vec<String>)> {
    let mut lines = Vec::new();
    let mut line = |label: &str, cell: &dyn Fn(&Row) -> String| {
        lines.push((label.to_owned(), rows.iter().map(cell).collect()));
    };
    line("port", &|row| row.port.to_owned());
    line("mode", &|row| row.mode.clone());
    line("offered", &|row| grouped(row.offered));
    line("received", &|row| grouped(row.ledger.received));
    line("delivered", &|row| grouped(row.ledger.delivered));
    line("discarded", &|row| grouped(row.ledger.discarded.total()));
    for &reason in Reason::ALL {
        if rows.iter().any(|row| row.ledger.discarded[reason] > 0) {
            line(&format!("  {reason}"), &|row| grouped(row.ledger.discarded[reason]));
        }
    }
    line("difference", &|row| row.ledger.difference().to_string());
    line("packets/s", &|row| scaled((row.ledger.received as f64 / row.seconds.max(1e-9)).round()));
    line("CPU per packet", &|row| time(row.cpu / row.ledger.received.clamp(1, 1 << 31) as u32));
    if rows.iter().any(|row| row.delay.is_some()) {
        line("delay, mean", &|row| row.delay.map_or_else(|| "-".into(), time));
    }
    lines
}

/// A short time with its unit.
pub fn time(time: Duration) -> String {
    match time.as_nanos() as f64 {
        nanos @ ..1e4 => format!("{nanos:.0} ns"),
        nanos @ ..1e6 => format!("{:.0} µs", nanos / 1e3),
        nanos => format!("{:.1} ms", nanos / 1e6),
    }
}

/// How the user called us, so that the commands above can be pasted.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "tickwire".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lost: u64) -> Row {
        let mut ledger = Ledger { received: 900, delivered: 900, ..Ledger::default() };
        ledger.lost(Reason::PacketDropped, lost);
        Row {
            port: "af_packet",
            mode: "tpacket_v3".into(),
            offered: 1000,
            ledger,
            missing: 0,
            out_of_order: 0,
            seconds: 0.5,
            delay: Some(Duration::from_micros(12)),
            cpu: Duration::from_micros(90),
            recorded: 10,
        }
    }

    #[test]
    fn every_reason_of_a_loss_has_a_line() {
        let lines = account(&[row(100), row(0)]);
        let cells = |label: &str| {
            let line = lines.iter().find(|(name, _)| name.trim() == label);
            line.unwrap_or_else(|| panic!("no line {label}")).1.clone()
        };
        assert_eq!(cells("received"), ["1,000", "900"]);
        assert_eq!(cells("discarded"), ["100", "0"]);
        assert_eq!(cells("packet_dropped"), ["100", "0"]);
        assert_eq!(cells("difference"), ["0", "0"]);
        assert_eq!(cells("packets/s"), ["2.00 k", "1.80 k"]);
        assert_eq!(cells("CPU per packet"), ["90 ns", "100 ns"]);
        assert_eq!(cells("delay, mean"), ["12 µs", "12 µs"]);
        assert!(!lines.iter().any(|(name, _)| name.contains("xsk")));
    }

    #[test]
    fn a_rate_is_what_came_since_the_last_look() {
        let mut gauge = Gauge::new("af_xdp");
        gauge.at = Instant::now() - Duration::from_secs(1);
        gauge.update(&Ledger { received: 5000, ..Ledger::default() });
        assert!((4000.0..=5000.0).contains(&gauge.pps), "{}", gauge.pps);
        let screen = Screen { is_terminal: false, colour: false, standing: 0 };
        assert!(gauge.line(&screen).contains("5,000 received"));
    }
}
