//! Market data as what it is: packets of one stock selected, what a line lost taken from the
//! other, a book, and, with root, what was lost got back from a re-request server.
//!
//! A generated day of ITCH 5.0 goes through tickwire's own commands, as a user would start them.
//! Every figure that is shown is compared with one that was come by in another way; one that
//! differs ends the demo with an error.

use super::SEED;
use super::command::{Running, object, output, tickwire};
use super::screen::{Screen, time};
use crate::units::grouped;
use serde_json::{Map, Value};
use std::fmt::Debug;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tickwire_capture::{FilePort, Port, Received};
use tickwire_decode::five_tuple;
use tickwire_frame::Batch;
use tickwire_lab::{Lab, LabConfig};
use tickwire_market::blocks::PREFIX_LEN;
use tickwire_market::field::Value as FieldValue;
use tickwire_market::generate::{Itch, ItchConfig};
use tickwire_market::{Packet, Protocol};

/// Messages of the day.
const MESSAGES: u64 = 20_000;
/// The last of them end it.
const CLOSING_MESSAGES: u64 = 3;
const STOCKS: u16 = 40;
/// Orders that have come when the market opens.
const LIVE_ORDERS: u32 = 4_000;
/// The busiest stock.
const SYMBOL: &str = "NVDA";
/// Levels of its book that are shown.
const DEPTH: &str = "3";
/// What each line loses.
const LOSS: &str = "1%";
/// Where chance starts, so that no packet is lost on both lines.
const FAULTS_SEED: &str = "2";
/// Messages a second, where the feed is live.
const RATE: &str = "20k";
/// Where the live line goes, and where requests do.
const GROUP: &str = "239.1.1.1";
const PORT: u16 = 26_477;
const REQUEST_PORT: u16 = 18_000;

/// Runs it: on files, then with `live` over a private network.
pub fn run(live: bool, interrupted: impl Fn() -> bool, screen: &mut Screen) -> Result<(), String> {
    screen.gap();
    let played = Folder::create().and_then(|folder| {
        let day = Day::generate();
        on_files(&folder, &day, screen)?;
        if live && !interrupted() {
            recovered(&folder, &day, &interrupted, screen)?;
        }
        Ok(())
    });
    // What a stop leaves undone is no fault.
    played.or_else(|why| if interrupted() { Ok(()) } else { Err(format!("market data: {why}")) })
}

/// A folder for files that are gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Folder, String> {
        let name = format!("tickwire-demo-{}.files", std::process::id());
        let path = std::env::temp_dir().join(name);
        let created = DirBuilder::new().mode(0o700).create(&path);
        created.map_err(|error| {
            format!("cannot create {}: {error}; set TMPDIR to another folder", path.display())
        })?;
        Ok(Folder(path))
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The messages of a day.
struct Day {
    /// As a BinaryFILE has them: each behind its length.
    bytes: Vec<u8>,
    /// Letter to messages.
    by_type: Map<String, Value>,
}

impl Day {
    fn generate() -> Day {
        let config =
            ItchConfig { seed: SEED, stocks: STOCKS, live_orders: LIVE_ORDERS, gap_ns: 20_000 };
        let (mut itch, mut bytes, mut counts) = (Itch::new(config), Vec::new(), [0_u64; 256]);
        for number in 0..MESSAGES {
            if number == MESSAGES - CLOSING_MESSAGES {
                itch.close();
            }
            let Some(message) = itch.next_message() else { break };
            let length: [u8; PREFIX_LEN] = (message.len() as u16).to_be_bytes();
            bytes.extend_from_slice(&length);
            bytes.extend_from_slice(message);
            counts[usize::from(message[0])] += 1;
        }
        let counts = (0..=u8::MAX).zip(counts).filter(|(_, count)| *count > 0);
        let by_type = counts.map(|(letter, count)| (char::from(letter).to_string(), count.into()));
        Day { bytes, by_type: by_type.collect() }
    }

    /// The types with the most messages, and their shares.
    fn mix(&self) -> String {
        let mut types: Vec<_> = self.by_type.iter().map(|(name, n)| (number(n), name)).collect();
        types.sort_by(|a, b| b.cmp(a));
        let share = |(count, name): &(u64, &String)| {
            format!("{name} {:.0} %", 100.0 * *count as f64 / MESSAGES as f64)
        };
        types.iter().take(3).map(share).collect::<Vec<_>>().join(", ")
    }
}

/// What needs no network: two lines in a capture file.
fn on_files(folder: &Folder, day: &Day, screen: &mut Screen) -> Result<(), String> {
    let (file, lines) = (folder.file("day.itch"), folder.file("ab.pcapng"));
    std::fs::write(&file, &day.bytes).map_err(|error| format!("cannot write {file}: {error}"))?;
    let stats = object(&["feed", "stats", "-r", &file, "--json"])?;
    same("messages by type", &stats["by_type"], &Value::from(day.by_type.clone()))?;
    let (messages, mix) = (grouped(MESSAGES), day.mix());
    let text = format!("{messages} messages of ITCH 5.0, {STOCKS} stocks: {mix}, …");
    screen.say_of("market data", &text, "");
    let pack = ["feed", "pack", &file, &lines, "--lines", "2", "--loss", LOSS];
    let packed =
        object(&[&pack[..], &["--seed", FAULTS_SEED, "--heartbeat", "0", "--json"]].concat())?;
    show_symbol(&lines, &packed, screen)?;
    show_lines(&lines, &packed, screen)?;
    show_book(&file, &lines, screen)
}

/// Packets about one stock, selected by a filter.
fn show_symbol(lines: &str, packed: &Value, screen: &mut Screen) -> Result<(), String> {
    let filter = format!("itch.stock == \"{SYMBOL}\"");
    let captured = object(&["capture", "-r", lines, "-q", "--summary", "json", &filter])?;
    let (packets, selected) = (&captured["received"], &captured["selected"]);
    same("packets in the file", packets, &packed["written"])?;
    same("packets by the filter and by reading them", number(selected), about_symbol(lines)?)?;
    same("difference", &captured["difference"], &0.into())?;
    let [packets, selected] = [packets, selected].map(|count| grouped(number(count)));
    let text = format!("{filter} selects {selected} of {packets} packets");
    screen.say_of("symbol", &text, "");
    Ok(())
}

/// The same by hand: packets with a message that names the stock.
fn about_symbol(file: &str) -> Result<u64, String> {
    let failed = |error: tickwire_capture::PortError| error.to_string();
    let mut port = FilePort::open(Path::new(file)).map_err(failed)?;
    let mut found = 0;
    loop {
        let mut batch = Batch::new();
        if port.receive(&mut batch).map_err(failed)? == Received::End {
            return Ok(found);
        }
        let is_about = |bytes: &&&[u8]| {
            let tuple = five_tuple(batch.link, bytes).ok();
            let packet =
                tuple.and_then(|tuple| Packet::parse(Protocol::Itch50, tuple.payload(bytes)).ok());
            packet.into_iter().flat_map(|packet| packet.messages()).flatten().any(|message| {
                message.fields().any(|(field, value)| {
                    let FieldValue::Text(text) = value else { return false };
                    field.name == "stock" && text.trim_ascii_end() == SYMBOL.as_bytes()
                })
            })
        };
        found += batch.bytes().iter().filter(is_about).count() as u64;
    }
}

/// What each line lacks, and both of them.
fn show_lines(file: &str, packed: &Value, screen: &mut Screen) -> Result<(), String> {
    let gaps = object(&["feed", "gaps", "-r", file, "--from-first", "--json"])?;
    let session = &gaps["sessions"][0];
    let mut lacks = [0; 2];
    for (line, lacks) in lacks.iter_mut().enumerate() {
        let (found, sent) = (&session["lines"][line], &packed["lines"][line]["sent"]);
        same("packets on a line", &found["packets"], sent)?;
        *lacks = number(&found["missing_messages"]);
        same("messages on a line", number(&found["messages"]) + *lacks, MESSAGES)?;
    }
    same("messages on both lines", &session["messages"], &MESSAGES.into())?;
    same("complete", &gaps["complete"], &true.into())?;
    let [a, b] = lacks.map(grouped);
    let text = format!("{LOSS} lost on each: A lacks {a} messages, B {b}; together none");
    screen.say_of("lines A, B", &text, "");
    Ok(())
}

/// The book of both lines, which is that of all messages.
fn show_book(file: &str, lines: &str, screen: &mut Screen) -> Result<(), String> {
    let books = |file| output(&["feed", "book", "-r", file, "--format", "levels"]);
    let levels = books(file)?;
    same("books of the lines and of the feed", books(lines)? == levels, true)?;
    let (levels, ladder) = (grouped(levels.lines().count() as u64), ["--format", "ladder"]);
    let text = format!("{levels} price levels, the same out of both lines as without loss");
    screen.say_of("books", &text, "");
    let book = ["feed", "book", "-r", lines, "--symbol", SYMBOL, "--depth", DEPTH];
    screen.gap();
    let ladder = output(&[&book[..], &ladder].concat())?;
    for line in ladder.trim_end().lines() {
        screen.say(format_args!("              {line}").to_string().trim_end());
    }
    Ok(())
}

/// A line with losses, live, and who gets them back.
fn recovered(
    folder: &Folder,
    day: &Day,
    interrupted: &impl Fn() -> bool,
    screen: &mut Screen,
) -> Result<(), String> {
    let failed = |error: tickwire_lab::LabError| error.to_string();
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).map_err(failed)?;
    lab.wait_quiet().map_err(failed)?;
    let (file, whole) = (folder.file("day.itch"), folder.file("whole.itch"));
    let server = format!("{}:{REQUEST_PORT}", lab.left.ipv4());
    let port = format!("udp dst port {PORT}");
    let gaps = ["feed", "gaps", "-i", lab.right.name(), "--join", GROUP, "--recover", &server];
    let flags = ["--from-first", "--messages", &whole, "--json", &port];
    let gaps = lab.right.spawn(tickwire(&[&gaps[..], &flags].concat())?);
    let gaps = Running::start(gaps.map_err(failed)?, "tickwire: following")?;
    let (to, left) = (format!("{GROUP}:{PORT}"), lab.left.name());
    let serve = ["feed", "serve", &file, "--to", &to, "-i", left, "--rerequest", &server];
    let flags =
        ["--loss", LOSS, "--rate", RATE, "--heartbeat", "100ms", "--linger", "1s", "--json"];
    let serve = lab.left.spawn(tickwire(&[&serve[..], &flags].concat())?);
    let served = Running::start(serve.map_err(failed)?, "tickwire: ready")?.finish(interrupted)?;
    let gaps = gaps.stop()?;
    let written = std::fs::read(&whole).map_err(|error| format!("cannot read {whole}: {error}"))?;
    same("messages written and messages served", written == day.bytes, true)?;
    let recovery = Recovery::of(&served, &gaps)?;
    recovery.show(&served, screen);
    Ok(())
}

/// What was lost, and came back.
#[derive(Debug, PartialEq, Eq)]
struct Recovery {
    lost: u64,
    requests: u64,
    recovered: u64,
    /// How long messages were missing: half of the gaps at most so long, and the longest.
    missing: [Duration; 2],
}

impl Recovery {
    /// Out of the accounts of both ends, which must agree.
    fn of(served: &Value, gaps: &Value) -> Result<Recovery, String> {
        let desk = |name: &str| number(&gaps["recovery"][name]);
        let (session, line) = (&gaps["sessions"][0], &gaps["sessions"][0]["lines"][0]);
        let entries = line["gaps"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lost = entries.iter().map(|gap| number(&gap["messages"])).sum();
        same("messages served", &served["messages"], &MESSAGES.into())?;
        same("messages received", &session["messages"], &MESSAGES.into())?;
        same("complete", &gaps["complete"], &true.into())?;
        same("messages lost and recovered", lost, desk("recovered") + desk("came"))?;
        same("messages recovered", number(&line["retransmitted"]), desk("recovered"))?;
        same("messages given up", desk("given_up"), 0)?;
        same("requests", number(&served["requests"]["requests"]), desk("requests"))?;
        let filled = entries.iter().flat_map(|gap| gap["filled"].as_array()).flatten();
        let mut times: Vec<u64> = filled.map(|filled| number(&filled["after_ns"])).collect();
        times.sort_unstable();
        let at = |at: usize| Duration::from_nanos(times.get(at).copied().unwrap_or(0));
        Ok(Recovery {
            lost,
            requests: desk("requests"),
            recovered: desk("recovered"),
            missing: [at(times.len() / 2), at(times.len().saturating_sub(1))],
        })
    }

    fn show(&self, served: &Value, screen: &mut Screen) {
        let Recovery { lost, requests, recovered, missing: [median, longest] } = self;
        let [lost, requests, recovered, all] =
            [*lost, *requests, *recovered, MESSAGES].map(grouped);
        let packets = grouped(number(&served["lines"][0]["lost"]));
        let (median, longest) = (time(*median), time(*longest));
        screen.gap();
        let text = format!("one line, live, {RATE} messages/s, and a server for what it loses");
        screen.say_of("recovery", &text, "");
        let text = format!("{packets} packets were not sent: {lost} messages missing");
        screen.say_of("lost", &text, "");
        screen.say_of("asked", &format!("{requests} requests by unicast, all of them arrived"), "");
        let text = format!(
            "{recovered} messages, half of the gaps within {median}, the longest {longest}"
        );
        screen.say_of("recovered", &text, "");
        let text = format!("{all} of {all} messages, each once, in order, byte for byte");
        screen.say_of("complete", &text, "32");
    }
}

/// A count of an account; one that is not there is none.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Two figures that must be the same, though they were come by in different ways.
fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: {found:?}, not {expected:?}; this is a bug, please report it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_day_has_as_many_messages_as_it_says() {
        let day = Day::generate();
        assert_eq!(day.by_type.values().map(number).sum::<u64>(), MESSAGES);
        let messages = tickwire_market::binaryfile::BinaryFile::new(&day.bytes);
        let messages: Vec<_> = messages.map(|message| message.expect("whole")).collect();
        assert_eq!(messages.len() as u64, MESSAGES);
        assert_eq!(messages[messages.len() - 1][0], b'S');
        assert!(day.mix().starts_with("A "), "{}", day.mix());
    }

    #[test]
    fn ends_that_disagree_are_an_error() {
        let served = json!({"messages": MESSAGES, "requests": {"requests": 2}});
        let filled = |after_ns: u64| json!([{"first": 5, "last": 6, "after_ns": after_ns}]);
        let line = json!({"retransmitted": 3, "gaps": [
            {"messages": 2, "filled": filled(1_000)}, {"messages": 1, "filled": filled(3_000)},
        ]});
        let session = json!({"messages": MESSAGES, "lines": [line]});
        let recovery = json!({"requests": 2, "recovered": 3, "came": 0, "given_up": 0});
        let gaps = json!({"complete": true, "sessions": [session], "recovery": recovery});
        let times = [Duration::from_micros(3); 2];
        let agreed = Recovery { lost: 3, requests: 2, recovered: 3, missing: times };
        assert_eq!(Recovery::of(&served, &gaps), Ok(agreed));
        for (path, what) in [
            ("/recovery/recovered", "lost and recovered"),
            ("/recovery/requests", "requests: 2, not 1"),
            ("/recovery/given_up", "given up"),
            ("/sessions/0/messages", "received"),
        ] {
            let mut gaps = gaps.clone();
            *gaps.pointer_mut(path).expect("a figure") = 1.into();
            let error = Recovery::of(&served, &gaps).expect_err(path);
            assert!(error.contains(what) && error.contains("report it"), "{error}");
        }
    }
}
