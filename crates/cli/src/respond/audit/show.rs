//! `tickwire respond audit FILE`: the log of decisions, as lines or as JSON.

use crate::exit::{Ended, Failure, say};
use clap::Args;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::PathBuf;
use tickwire_frame::Timestamp;
use tickwire_market::field::Value as Field;
use tickwire_respond::audit::{Entry, HEADER_BYTES_MAX, Names, RECORD_BYTES, Record};
use tickwire_respond::{Decision, Event, EventKind, Outcome};

/// Flags of `tickwire respond audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The log that `tickwire respond` has written
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// One JSON object a record
    #[arg(long)]
    pub json: bool,

    /// Only what concerns this order
    #[arg(long, value_name = "NUMBER")]
    pub order: Option<u64>,
}

/// Prints the records of a file, in the order in which they were entered.
///
/// # Errors
/// A file that is no log, or ends within a record: what is before that is printed.
pub fn show(args: &AuditArgs) -> Result<Ended, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::failed(format_args!("{}: {error}", args.file.display()))
    };
    let mut file = BufReader::new(File::open(&args.file).map_err(|error| failed(&error))?);
    let names = read_names(&mut file).map_err(|error| failed(&error))?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut bytes, mut number) = ([0; RECORD_BYTES], 0_u64);
    loop {
        let read = fill(&mut file, &mut bytes).map_err(|error| failed(&error))?;
        if read == 0 {
            break;
        }
        number += 1;
        if read < RECORD_BYTES {
            out.flush().map_err(|error| failed(&error))?;
            say(format_args!(
                "tickwire: {} ends within record {number}: whoever wrote it did not finish it\n",
                args.file.display()
            ));
            break;
        }
        let line = match Record::parse(&bytes, &names) {
            Ok(record) if !wanted(args, &record) => continue,
            Ok(record) if args.json => object(&record, &names).to_string(),
            Ok(record) => line(&record, &names),
            Err(error) => {
                out.flush().map_err(|error| failed(&error))?;
                say(format_args!("tickwire: record {number}: {error}; it is left out\n"));
                continue;
            }
        };
        match writeln!(out, "{line}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Ended::Done),
            result => result.map_err(|error| failed(&error))?,
        }
    }
    match out.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(failed(&error)),
        _ => Ok(Ended::Done),
    }
}

fn read_names(file: &mut impl Read) -> Result<Names, String> {
    // Magic and length first, then exactly so much more.
    let mut header = [0; 12];
    let read = fill(file, &mut header).map_err(|error| error.to_string())?;
    let mut whole = header[..read].to_vec();
    if read == header.len() {
        let (_, len) = header.split_at(8);
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
        let len = len.min(HEADER_BYTES_MAX) as u64;
        file.take(len).read_to_end(&mut whole).map_err(|error| error.to_string())?;
    }
    Names::parse(&whole).map(|(names, _)| names).map_err(|error| error.to_string())
}

/// As much of `bytes` as there is.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn wanted(args: &AuditArgs, record: &Record) -> bool {
    let order = match record.entry {
        Entry::Decision(Decision { outcome: Outcome::Ordered(number), .. }) => Some(number),
        Entry::Event(Event { number, .. }) => Some(number),
        _ => None,
    };
    args.order.is_none() || args.order == order
}

/// The name with this number; the number where the file has none for it.
fn name(names: &[String], number: usize) -> String {
    names.get(number).cloned().unwrap_or_else(|| number.to_string())
}

fn price(raw: i64, names: &Names) -> String {
    // A damaged header must not ask for more digits than there are.
    let decimals = names.decimals.min(18);
    Field::Price { raw: raw.into(), decimals }.to_string()
}

/// `1700000000.000000001 ordered 17: buy 100 AAPL at 100.00, rule below-100, trigger …`.
fn line(record: &Record, names: &Names) -> String {
    let at = Timestamp::from_nanos(record.at_ns);
    match &record.entry {
        Entry::Decision(decision) => {
            let intent = &decision.intent;
            let what = match decision.outcome {
                Outcome::Ordered(number) => format!("ordered {number}"),
                Outcome::Refused(reason) => format!("refused {reason}"),
            };
            format!(
                "{at} {what}: {} {} {} at {} to {}, rule {}, feed {}, trigger {}, received {} ns \
                 before",
                intent.side,
                intent.quantity,
                name(&names.instruments, intent.instrument as usize),
                price(intent.price, names),
                name(&names.targets, intent.target.into()),
                name(&names.rules, intent.rule.into()),
                name(&names.feeds, decision.feed.into()),
                decision.trigger,
                record.at_ns.saturating_sub(decision.received_ns),
            )
        }
        Entry::Event(Event { number, kind }) => {
            let what = match kind {
                EventKind::Accepted => "accepted".to_owned(),
                EventKind::Rejected(code) => format!("rejected, code {code}"),
                EventKind::Executed { quantity, price: raw } => {
                    format!("executed {quantity} at {}", price(*raw, names))
                }
                EventKind::Canceled { quantity } => format!("canceled {quantity}"),
                EventKind::Unsent(reason) => format!("unsent, {reason}"),
            };
            format!("{at} order {number}: {what}")
        }
        Entry::Mark(mark) => format!("{at} {}", mark.as_str()),
        Entry::Lost(count) => format!("{at} {count} records are missing here"),
    }
}

fn object(record: &Record, names: &Names) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("at_ns", record.at_ns.into());
    match &record.entry {
        Entry::Decision(decision) => {
            let intent = &decision.intent;
            match decision.outcome {
                Outcome::Ordered(number) => {
                    put("what", "ordered".into());
                    put("order", number.into());
                }
                Outcome::Refused(reason) => {
                    put("what", "refused".into());
                    put("reason", reason.as_str().into());
                }
            }
            put("side", intent.side.to_string().into());
            put("quantity", intent.quantity.into());
            put("symbol", name(&names.instruments, intent.instrument as usize).into());
            put("price", price(intent.price, names).into());
            put("target", name(&names.targets, intent.target.into()).into());
            put("rule", name(&names.rules, intent.rule.into()).into());
            put("feed", name(&names.feeds, decision.feed.into()).into());
            put("trigger", decision.trigger.into());
            put("received_ns", decision.received_ns.into());
        }
        Entry::Event(Event { number, kind }) => {
            let what = match kind {
                EventKind::Accepted => "accepted",
                EventKind::Rejected(_) => "rejected",
                EventKind::Executed { .. } => "executed",
                EventKind::Canceled { .. } => "canceled",
                EventKind::Unsent(_) => "unsent",
            };
            put("what", what.into());
            put("order", (*number).into());
            match *kind {
                EventKind::Accepted => {}
                EventKind::Rejected(code) => put("code", code.into()),
                EventKind::Executed { quantity, price: raw } => {
                    put("quantity", quantity.into());
                    put("price", price(raw, names).into());
                }
                EventKind::Canceled { quantity } => put("quantity", quantity.into()),
                EventKind::Unsent(reason) => put("reason", reason.as_str().into()),
            }
        }
        Entry::Mark(mark) => put("what", mark.as_str().into()),
        Entry::Lost(count) => {
            put("what", "lost".into());
            put("records", (*count).into());
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_respond::audit::Mark;
    use tickwire_respond::{Intent, Side};

    fn names() -> Names {
        Names {
            decimals: 2,
            feeds: vec!["ticks".into()],
            rules: vec!["below-100".into()],
            targets: vec!["exchange".into()],
            instruments: vec!["AAPL".into()],
            reasons: Names::reasons(),
            version: "0".into(),
        }
    }

    fn records() -> [Record; 3] {
        let intent = Intent {
            rule: 0,
            instrument: 0,
            target: 0,
            side: Side::Buy,
            price: 10_000,
            quantity: 100,
        };
        let (feed, trigger, received_ns) = (0, 7, 1_000);
        let outcome = Outcome::Ordered(17);
        let decision = Decision { intent, feed, trigger, received_ns, outcome };
        let executed = EventKind::Executed { quantity: 60, price: -5 };
        [
            Record { at_ns: 1_900, entry: Entry::Decision(decision) },
            Record { at_ns: 2_000, entry: Entry::Event(Event { number: 17, kind: executed }) },
            Record { at_ns: 3_000, entry: Entry::Mark(Mark::Killed) },
        ]
    }

    #[test]
    fn lines_say_what_happened() {
        let lines = records().map(|record| line(&record, &names()));
        assert_eq!(
            lines,
            [
                "0.000001900 ordered 17: buy 100 AAPL at 100.00 to exchange, rule below-100, feed \
                 ticks, trigger 7, received 900 ns before",
                "0.000002000 order 17: executed 60 at -0.05",
                "0.000003000 killed",
            ]
        );
    }

    #[test]
    fn objects_have_the_same() {
        let objects = records().map(|record| object(&record, &names()).to_string());
        assert_eq!(
            objects[0],
            concat!(
                r#"{"at_ns":1900,"what":"ordered","order":17,"side":"buy","quantity":100,"#,
                r#""symbol":"AAPL","price":"100.00","target":"exchange","rule":"below-100","#,
                r#""feed":"ticks","trigger":7,"received_ns":1000}"#,
            )
        );
        assert_eq!(
            objects[1],
            r#"{"at_ns":2000,"what":"executed","order":17,"quantity":60,"price":"-0.05"}"#
        );
        assert_eq!(objects[2], r#"{"at_ns":3000,"what":"killed"}"#);
    }
}
