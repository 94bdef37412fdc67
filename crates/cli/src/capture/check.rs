//! What the flags of `tickwire capture` may not say together, beyond what clap knows.

use super::args::{CaptureArgs, FileFormat, PortChoice, SummaryFormat};
use crate::exit::Failure;
use std::fs;
use std::io::{IsTerminal, stdin, stdout};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Refuses what cannot be, before anything is opened.
pub fn check(args: &CaptureArgs) -> Result<(), Failure> {
    let refused = [
        input(args),
        port(args),
        standard_output(args),
        capture_file(args),
        rotation(args),
        terminals(args),
    ];
    match refused.into_iter().flatten().next() {
        Some(message) => Err(Failure::Usage(message)),
        None => Ok(()),
    }
}

/// Why a file that is read cannot be written meanwhile: it is the same one.
pub fn same_file(read: &Path, write: &Path) -> Option<String> {
    let (a, b) = (fs::metadata(read).ok()?, fs::metadata(write).ok()?);
    (a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino())).then(|| {
        format!(
            "{} is read and {} written: they are the same file, which writing would destroy; write \
             to another one",
            read.display(),
            write.display()
        )
    })
}

/// Whether the file is standard input or output.
pub fn is_dash(path: Option<&Path>) -> bool {
    path == Some(Path::new("-"))
}

fn input(args: &CaptureArgs) -> Option<String> {
    if args.interface.is_none() && args.read.is_none() && !args.list_interfaces {
        return Some(
            "where shall packets come from? Give an interface (-i IF) or a file (-r FILE); \
             `tickwire capture -D` lists the interfaces"
                .to_owned(),
        );
    }
    None
}

fn port(args: &CaptureArgs) -> Option<String> {
    match (args.engine.port, &args.read) {
        (PortChoice::File, None) => {
            Some("--port file reads a capture file: name it with -r FILE".to_owned())
        }
        (PortChoice::AfXdp | PortChoice::AfPacket, Some(_)) => Some(
            "--port af_xdp and af_packet receive from an interface (-i IF); leave --port out to \
             read a file"
                .to_owned(),
        ),
        _ => None,
    }
}

fn standard_output(args: &CaptureArgs) -> Option<String> {
    if !is_dash(args.files.write.as_deref()) {
        return None;
    }
    let other = if args.output.json {
        "--json"
    } else if args.output.print {
        "--print"
    } else if args.output.summary == SummaryFormat::Json {
        "--summary json"
    } else {
        return None;
    };
    Some(format!(
        "-w - and {other} both need standard output; write to a file, or leave {other} out"
    ))
}

fn capture_file(args: &CaptureArgs) -> Option<String> {
    let write = args.files.write.as_deref()?;
    if args.files.comment.is_some() && args.files.format == Some(FileFormat::Pcap) {
        return Some(
            "a pcap file has no place for a comment; write --format pcapng, or leave --comment out"
                .to_owned(),
        );
    }
    same_file(args.read.as_deref()?, write)
}

fn rotation(args: &CaptureArgs) -> Option<String> {
    let files = &args.files;
    let rotates = files.rotate_size.is_some()
        || files.rotate_time.is_some()
        || files.rotate_packets.is_some();
    if files.ring.is_some() && !rotates {
        return Some(
            "-W keeps the newest files of a rotation; say when a new one starts, with -C SIZE, \
             -G SECONDS or --rotate-packets N"
                .to_owned(),
        );
    }
    if rotates && is_dash(files.write.as_deref()) {
        return Some("standard output cannot be rotated; write to a file with -w FILE".to_owned());
    }
    None
}

fn terminals(args: &CaptureArgs) -> Option<String> {
    if is_dash(args.read.as_deref()) && stdin().is_terminal() {
        return Some(
            "standard input is a terminal; send a capture file into it: \
             `tickwire capture -r - < FILE`"
                .to_owned(),
        );
    }
    if is_dash(args.files.write.as_deref()) && stdout().is_terminal() {
        return Some(
            "standard output is a terminal, which a capture file would garble; send it into a file \
             or a pipe, or leave -w out to see lines"
                .to_owned(),
        );
    }
    None
}
