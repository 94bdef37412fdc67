//! Every capture of the corpus, compared with tcpdump and with the crate `pcap-parser`.
//!
//! Needs `TICKWIRE_CORPUS`; tcpdump is optional. What is missing is said on stderr.

use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use tickwire_capture::{FilePort, Port, PortError, Received};
use tickwire_frame::Batch;

/// What was read of one file.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    packets: u64,
    /// Of all frames and what we know of them.
    digest: u64,
    error: Option<String>,
}

fn read(port: Result<FilePort, PortError>) -> Contents {
    let mut hasher = DefaultHasher::new();
    let mut packets = 0;
    let mut error = None;
    match port {
        Err(refused) => error = Some(refused.to_string()),
        Ok(mut port) => loop {
            let mut batch = Batch::new();
            match port.receive(&mut batch) {
                Ok(Received::Frames) => {}
                Ok(Received::Idle) => continue,
                Ok(Received::End) => break,
                Err(broken) => {
                    error = Some(broken.to_string());
                    break;
                }
            }
            packets += batch.len() as u64;
            for frame in batch.iter() {
                (batch.link, batch.interface, frame.bytes, frame.wire_len).hash(&mut hasher);
                (frame.timestamp, frame.flags).hash(&mut hasher);
            }
        },
    }
    Contents { packets, digest: hasher.finish(), error }
}

fn captures() -> Vec<PathBuf> {
    let Ok(root) = std::env::var("TICKWIRE_CORPUS") else {
        eprintln!("SKIPPED: the corpus: TICKWIRE_CORPUS is not set");
        return Vec::new();
    };
    // Cargo runs tests in the folder of the crate; a relative path is meant from the workspace.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![workspace.join(root)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("list {}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|n| n.to_string_lossy().contains(".pcap")) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 1000, "the corpus has only {} captures", found.len());
    found
}

/// Runs `check` over all paths on every core; panics of a check end the test.
fn for_each(paths: &[PathBuf], check: impl Fn(&Path) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(path);
                }
            });
        }
    });
}

/// How many packets tcpdump counts, and whether it found the file whole.
fn tcpdump_count(path: &Path) -> Option<(u64, bool)> {
    let output = Command::new("tcpdump").args(["--count", "-r"]).arg(path).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Nothing is printed when the file cannot be opened.
    let count = text.split_whitespace().next().map_or(0, |word| word.parse().expect("a count"));
    Some((count, output.status.success()))
}

#[test]
fn counts_are_those_of_tcpdump() {
    let captures = captures();
    if captures.is_empty() {
        return;
    }
    if Command::new("tcpdump").arg("--version").output().is_err() {
        eprintln!("SKIPPED: counts against tcpdump: it is not installed (apt-get install tcpdump)");
        return;
    }
    for_each(&captures, |path| {
        let ours = read(FilePort::open(path));
        let (count, is_whole) = tcpdump_count(path).expect("tcpdump runs");
        assert_eq!(ours.packets, count, "{}: {:?}", path.display(), ours.error);
        assert_eq!(ours.error.is_none(), is_whole, "{}: {:?}", path.display(), ours.error);
    });
}

/// Frames as pcap-parser gives them, until it stumbles.
fn pcap_parser_frames(path: &Path) -> Option<Vec<Vec<u8>>> {
    let file = std::fs::File::open(path).ok()?;
    let mut reader = create_reader(1 << 20, file).ok()?;
    let mut frames = Vec::new();
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                match block {
                    PcapBlockOwned::Legacy(block) => frames.push(block.data.to_vec()),
                    PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
                        frames.push(block.data[..block.caplen as usize].to_vec());
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(_)) => return None,
                    _ => {}
                }
                reader.consume(offset);
            }
            Err(PcapError::Eof) => return Some(frames),
            Err(PcapError::Incomplete(_)) => reader.refill().ok()?,
            Err(_) => return None,
        }
    }
}

#[test]
fn frames_are_those_of_pcap_parser() {
    let compared = AtomicUsize::new(0);
    let captures = captures();
    for_each(&captures, |path| {
        let Some(expected) = pcap_parser_frames(path) else { return };
        let mut port = FilePort::open(path).expect("a capture");
        // pcap-parser does not cut packets to the snapshot length of the file.
        let snaplen = port.interfaces().first().map_or(usize::MAX, |i| i.snaplen as usize);
        let mut expected = expected.iter();
        loop {
            let mut batch = Batch::new();
            if port.receive(&mut batch).expect("what pcap-parser reads") == Received::End {
                break;
            }
            for frame in batch.iter() {
                let theirs = expected.next().expect("as many frames");
                assert_eq!(frame.bytes, &theirs[..theirs.len().min(snaplen)], "{}", path.display());
            }
        }
        assert!(expected.next().is_none(), "{}", path.display());
        compared.fetch_add(1, Ordering::Relaxed);
    });
    let compared = compared.into_inner();
    assert!(captures.is_empty() || compared > 950, "only {compared} files could be compared");
}

#[test]
fn packed_files_have_the_same_frames() {
    for_each(&captures(), |path| {
        let bytes = std::fs::read(path).expect("readable");
        let plain = read(FilePort::open(path));

        // Two members, cut in the middle.
        let mut gzip = Vec::new();
        for half in [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]] {
            let mut encoder = flate2::write::GzEncoder::new(&mut gzip, flate2::Compression::fast());
            encoder.write_all(half).expect("memory");
            encoder.finish().expect("memory");
        }
        let gzip = read(Ok(FilePort::from_reader(Cursor::new(gzip), "gzip")));
        assert_eq!(gzip, plain, "{}", path.display());

        let mut zstd = Vec::new();
        for half in [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]] {
            let level = ruzstd::encoding::CompressionLevel::Fastest;
            zstd.extend(ruzstd::encoding::compress_to_vec(half, level));
        }
        let zstd = read(Ok(FilePort::from_reader(Cursor::new(zstd), "zstd")));
        assert_eq!(zstd, plain, "{}", path.display());
    });
}
