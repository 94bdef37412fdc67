//! The orders that came in: a line of JSON for each, and a word on those that are wrong.

use crate::exit::{Failure, say};
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use tickwire_respond::exchange::{Answer, Received};

/// The first so many duplicates are said aloud; all are counted.
const SHOWN_MAX: u64 = 10;

/// Where orders are written.
pub struct Orders {
    file: Option<(PathBuf, BufWriter<File>)>,
    failed: Option<std::io::Error>,
    shown: u64,
}

impl Orders {
    /// Into `path`, a new file, or nowhere.
    pub fn create(path: Option<&PathBuf>) -> Result<Orders, Failure> {
        let create = |path: &PathBuf| match File::create(path) {
            Ok(file) => Ok((path.clone(), BufWriter::new(file))),
            Err(error) => Err(Failure::failed(format_args!(
                "cannot create {}: {error}; choose another place with --orders",
                path.display()
            ))),
        };
        Ok(Orders { file: path.map(create).transpose()?, failed: None, shown: 0 })
    }

    /// Writes an order.
    pub fn take(&mut self, order: &Received) {
        if order.answer == Answer::Duplicate && self.shown < SHOWN_MAX {
            self.shown += 1;
            say(format_args!("tickwire: order {} came before\n", order.client_order_id));
        }
        let Some((_, file)) = &mut self.file else { return };
        let answer = match order.answer {
            Answer::Accepted => "accepted",
            Answer::Rejected => "rejected",
            Answer::Duplicate => "duplicate",
        };
        let line = json!({
            "at_ns": now_ns(),
            "client_order_id": order.client_order_id,
            "symbol": order.symbol,
            "side": order.side.to_string(),
            "price": order.limit(),
            "quantity": order.quantity,
            "answer": answer,
        });
        if let Err(error) = writeln!(file, "{line}") {
            self.failed.get_or_insert(error);
        }
    }

    /// Hands what was written to the system.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let flushed = self.failed.take().map_or_else(|| file.flush(), Err);
        flushed.map_err(|error| {
            Failure::failed(format_args!(
                "cannot write to {}: {error}; choose another place with --orders",
                path.display()
            ))
        })
    }
}

/// Nanoseconds since 1970 UTC.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
