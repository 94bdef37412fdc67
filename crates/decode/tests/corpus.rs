//! Every capture of the corpus: no packet makes the decoder or a printer panic, and what we think
//! of them adds up. Runs when TICKWIRE_CORPUS names the folder.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use tickwire_capture::{FilePort, Port, Received};
use tickwire_decode::{Cause, LineOptions, Packet, Unknown, five_tuple, write_json, write_line};
use tickwire_frame::{Batch, Counters};

/// The most packets that we read of one capture: some have hundreds of thousands.
const PACKETS_MAX: u64 = 2_000;

#[derive(Debug, Default)]
struct Tally {
    packets: u64,
    whole: u64,
    cut: u64,
    malformed: u64,
    not_decoded: u64,
    reasons: Counters,
}

fn captures(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            captures(&path, found);
        } else if path
            .extension()
            .is_some_and(|end| ["pcap", "pcapng", "cap"].iter().any(|e| end == *e))
        {
            found.push(path);
        }
    }
}

fn decode_batch(batch: &Batch<'_>, text: &mut String, tally: &mut Tally) {
    for frame in batch.iter() {
        let packet = Packet::decode(batch.link, frame.bytes, frame.wire_len);
        _ = five_tuple(batch.link, frame.bytes);
        _ = packet.bad_checksum(frame.flags);
        text.clear();
        let options = LineOptions { verbose: true, link_header: true, ..LineOptions::default() };
        write_line(text, &frame, &packet, &options).expect("into a string");
        write_json(text, batch.link, &frame, &packet).expect("into a string");
        assert_eq!(text.matches('\n').count(), 2);
        tally.packets += 1;
        tally.not_decoded += u64::from(matches!(packet.unknown(), Some(Unknown::LinkType(_))));
        match packet.fault() {
            None => tally.whole += 1,
            Some(fault) if fault.cause == Cause::Packet => {
                tally.malformed += 1;
                tally.reasons.add(fault.reason, 1);
            }
            Some(_) => tally.cut += 1,
        }
    }
}

fn decode_file(path: &Path, text: &mut String, tally: &mut Tally) {
    // A broken file is the file reader's business.
    let Ok(mut port) = FilePort::open(path) else { return };
    let end = tally.packets + PACKETS_MAX;
    while tally.packets < end {
        let mut batch = Batch::new();
        match port.receive(&mut batch) {
            Ok(Received::End) | Err(_) => return,
            Ok(_) => decode_batch(&batch, text, tally),
        }
    }
}

#[test]
fn every_capture_is_decoded() {
    let Some(corpus) = std::env::var_os("TICKWIRE_CORPUS") else {
        eprintln!("SKIPPED: every_capture_is_decoded: TICKWIRE_CORPUS is not set");
        return;
    };
    let mut files = Vec::new();
    captures(Path::new(&corpus), &mut files);
    assert!(files.len() > 500, "TICKWIRE_CORPUS has only {} captures", files.len());
    let (mut text, mut tally) = (String::new(), Tally::default());
    for path in &files {
        decode_file(path, &mut text, &mut tally);
    }
    let mut summary = String::new();
    for (reason, count) in tally.reasons.nonzero() {
        write!(summary, " {reason} {count},").expect("into a string");
    }
    eprintln!(
        "{} captures, {} packets: {} whole ({} of other link types), {} cut, {} malformed:\
         {summary}",
        files.len(),
        tally.packets,
        tally.whole,
        tally.not_decoded,
        tally.cut,
        tally.malformed
    );
    assert_eq!(tally.whole + tally.cut + tally.malformed, tally.packets);
    assert!(tally.whole > tally.packets / 2);
    // Captures that were made to be malformed are among them, and link types that are not ours.
    assert!(tally.not_decoded > 0);
    assert!(tally.reasons.nonzero().count() > 20, "{summary}");
}
