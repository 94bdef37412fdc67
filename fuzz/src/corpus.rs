//! Packets of real captures as seeds, when TICKWIRE_CORPUS names a folder of them.

use crate::mutate::{LINKS, PACKET_BYTES_MAX};
use crate::packets::{Sample, samples};
use std::path::Path;
use tickwire_capture::{FilePort, Port, Received};
use tickwire_frame::Batch;

/// The most packets that are taken from one capture: the first ones.
const PACKETS_OF_FILE_MAX: usize = 16;

/// How deep folders may lie in each other.
const FOLDER_DEPTH_MAX: usize = 8;

/// Our own packets, and those of the corpus where there is one. The order is that of the sorted
/// paths, so that a seed means the same packets as long as the corpus is the same.
pub fn seeds() -> Vec<Sample> {
    let mut seeds = samples();
    if let Some(folder) = std::env::var_os("TICKWIRE_CORPUS") {
        collect(Path::new(&folder), FOLDER_DEPTH_MAX, &mut seeds);
    }
    seeds
}

fn collect(folder: &Path, depth: usize, seeds: &mut Vec<Sample>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or("");
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, seeds);
        } else if matches!(end, "pcap" | "pcapng" | "cap") {
            read(&path, seeds);
        }
    }
}

/// What cannot be read is left out: the file targets are about files.
fn read(path: &Path, seeds: &mut Vec<Sample>) {
    let Ok(mut port) = FilePort::open(path) else { return };
    let mut batch = Batch::new();
    let Ok(Received::Frames) = port.receive(&mut batch) else { return };
    if !LINKS.contains(&batch.link) {
        return;
    }
    for frame in batch.iter().take(PACKETS_OF_FILE_MAX) {
        let len = frame.bytes.len().min(PACKET_BYTES_MAX);
        let bytes = frame.bytes[..len].to_vec();
        seeds.push(Sample { name: "corpus", link: batch.link, bytes });
    }
}
