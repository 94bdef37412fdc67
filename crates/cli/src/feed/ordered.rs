//! The messages of a session in a file, each once and in the order of their numbers.

use crate::exit::Failure;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tickwire_market::Packet;
use tickwire_market::recovery::{Id, InOrder, Place};
use tickwire_market::sequence::Range;

/// The most messages that wait for one before them: further ahead, what is missing is given up.
const WAITING_MESSAGES_MAX: usize = 1 << 16;
/// The longest message that can wait, in bytes: longer than any of a feed.
const MESSAGE_BYTES_MAX: usize = 256;

/// A BinaryFILE that is being written.
#[derive(Debug)]
pub struct Ordered {
    path: PathBuf,
    file: BufWriter<File>,
    /// The session that is written: the first one that is seen.
    order: Option<(Id, InOrder)>,
    counts: OrderedCounts,
    error: Option<io::Error>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct OrderedCounts {
    /// Messages in the file.
    pub written: u64,
    /// Messages that are not, because they did not come, or too late.
    pub skipped: u64,
    /// Messages of other sessions than the one that is written.
    pub other_sessions: u64,
}

impl Ordered {
    /// Creates the file.
    pub fn create(path: &Path) -> Result<Ordered, Failure> {
        let file = File::create(path).map_err(|error| {
            let path = path.display();
            Failure::failed(format_args!("cannot write {path}: {error}; choose another file"))
        })?;
        Ok(Ordered {
            path: path.to_owned(),
            file: BufWriter::new(file),
            order: None,
            counts: OrderedCounts::default(),
            error: None,
        })
    }

    /// The messages of `packet` that are in `fresh`; `first` is the number that the session began
    /// with.
    pub fn packet(&mut self, id: Id, first: u64, packet: &Packet<'_>, fresh: &[Range]) {
        let Ordered { file, order, counts, error, .. } = self;
        let (known, order) = order.get_or_insert_with(|| {
            (id, InOrder::new(first, WAITING_MESSAGES_MAX, MESSAGE_BYTES_MAX))
        });
        let is_fresh = |sequence| fresh.iter().any(|range| range.contains(sequence));
        let messages = packet.messages().flatten();
        for message in messages.filter(|message| is_fresh(message.sequence)) {
            if *known != id {
                counts.other_sessions += 1;
                continue;
            }
            let mut hand_on = |_, bytes: &[u8]| write(file, bytes, counts, error);
            let sequence = message.sequence;
            if order.push(sequence, message.bytes, &mut hand_on) == Place::NoRoom
                && let Some(before) = Range::before(order.next(), sequence)
            {
                let skipped = order.give_up(before.first, before.last, &mut hand_on);
                let place = order.push(sequence, message.bytes, &mut hand_on);
                counts.skipped += skipped + u64::from(place != Place::Next);
            }
        }
    }

    /// `range` will not come.
    pub fn give_up(&mut self, id: Id, range: Range) {
        let Ordered { file, order, counts, error, .. } = self;
        if let Some((_, order)) = order.as_mut().filter(|(known, _)| *known == id) {
            let skipped = order.give_up(range.first, range.last, |_, bytes| {
                write(file, bytes, counts, error);
            });
            counts.skipped += skipped;
        }
    }

    /// Writes what waits for messages that have not come, and closes the file. `next` knows the
    /// number behind the last of a session.
    ///
    /// # Errors
    /// When the file could not be written.
    pub fn finish(mut self, next: &mut dyn FnMut(Id) -> u64) -> Result<OrderedCounts, Failure> {
        if let Some((id, order)) = &self.order
            && let (id, Some(rest)) = (*id, Range::before(order.next(), next(*id)))
        {
            self.give_up(id, rest);
        }
        let flushed = self.file.flush();
        match self.error.or(flushed.err()) {
            None => Ok(self.counts),
            Some(error) => Err(Failure::failed(format_args!(
                "cannot write {}: {error}; the file is not complete",
                self.path.display()
            ))),
        }
    }
}

fn write(
    file: &mut BufWriter<File>,
    message: &[u8],
    counts: &mut OrderedCounts,
    error: &mut Option<io::Error>,
) {
    // A message that came in a packet is not longer than its length can say.
    let len = (message.len() as u16).to_be_bytes();
    match file.write_all(&len).and_then(|()| file.write_all(message)) {
        Ok(()) => counts.written += 1,
        Err(why) => drop(error.get_or_insert(why)),
    }
}
