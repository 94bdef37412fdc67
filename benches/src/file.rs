//! Capture files: reading against `pcap-parser`, copying against tcpdump.
//!
//! Every repetition runs all contenders one after the other on one file in the page cache. A ratio
//! is that of the best runs: what disturbs a run (other programs, the disk) only ever slows it.

use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{LegacyPcapReader, PcapBlockOwned, PcapError};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tickwire_capture::file::{WriteFormat, Writer, WriterConfig};
use tickwire_capture::{FilePort, Port, Received};
use tickwire_frame::{Batch, Frame, LinkType, Timestamp};

/// Reading: at most this part of pcap-parser's time.
const READ_RATIO_MAX: f64 = 0.9;
/// Copying: at least this many times as fast as tcpdump.
const COPY_RATIO_MIN: f64 = 2.0;
/// Reading is short beside copying: it is repeated more often.
const READS_PER_COPY: usize = 5;
/// Buffer of pcap-parser's reader: as large as ours.
const PARSER_BUFFER_BYTES: usize = 1 << 20;
/// Sizes of frames and how often each comes. Copying them out of the page cache costs the same for
/// everybody, so long frames bring any two readers together: both mixes are measured.
const MIXES: [(&str, &[usize]); 2] = [
    ("market data", &[60, 60, 74, 86, 94, 94, 118, 130, 130, 178, 242, 570]),
    ("Internet", &[60, 60, 60, 94, 94, 94, 130, 130, 570, 570, 1514, 1514]),
];

/// Options of `tickwire-bench file`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Size of the generated file in megabytes.
    #[arg(long, default_value_t = 100)]
    megabytes: u64,
    /// How often each contender runs.
    #[arg(long, default_value_t = 15)]
    repetitions: usize,
    /// Where the files are made and deleted.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
}

type Failure = Box<dyn std::error::Error>;

/// Runs the comparison. Fails when a promise is not kept.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let folder = args.folder.join(format!("tickwire-bench-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let kept: Result<Vec<bool>, Failure> =
        MIXES.iter().map(|(name, sizes)| compare(args, &folder, name, sizes)).collect();
    std::fs::remove_dir_all(&folder)?;
    let all_kept = kept?.into_iter().all(|kept| kept);
    Ok(if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares all on a file of frames of `sizes`. Whether the promises are kept.
fn compare(args: &Args, folder: &Path, name: &str, sizes: &[usize]) -> Result<bool, Failure> {
    let source = folder.join("source.pcap");
    let copy = folder.join("copy.pcap");
    let packets = generate(&source, args.megabytes * 1_000_000, sizes)?;
    println!("{name}: {packets} packets, {} MB, in the page cache", args.megabytes);

    let tcpdump = has_tcpdump();
    let tickwire = std::env::current_exe()?.with_file_name("tickwire");
    let mut times: [Vec<Duration>; 5] = Default::default();
    for _ in 0..args.repetitions {
        for _ in 0..READS_PER_COPY {
            times[0].push(timed(|| read_tickwire(&source, packets))?);
            times[1].push(timed(|| read_pcap_parser(&source, packets))?);
        }
        times[2].push(timed_copy(&copy, || copy_tickwire(&source, &copy))?);
        if tcpdump {
            times[3].push(timed_copy(&copy, || run_quietly("tcpdump", &[], &source, &copy))?);
        }
        if tickwire.exists() {
            let program = tickwire.to_string_lossy().into_owned();
            times[4].push(timed_copy(&copy, || {
                run_quietly(&program, &["capture", "-q"], &source, &copy)
            })?);
        }
    }

    let [read, parser, copied, tcpdumped, command] = times.map(best);
    let mut kept = true;
    report("read, tickwire", read, packets);
    report("read, pcap-parser", parser, packets);
    if let (Some(ours), Some(theirs)) = (read, parser) {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        kept &= ratio <= READ_RATIO_MAX;
        println!("  time ratio {ratio:.2}, promised at most {READ_RATIO_MAX}");
    }
    report("copy, tickwire in this process", copied, packets);
    report("copy, `tickwire capture -r F -w G`", command, packets);
    report("copy, `tcpdump -r F -w G`", tcpdumped, packets);
    let Some(theirs) = tcpdumped else {
        println!("SKIPPED: copying against tcpdump: it is not installed");
        return Ok(kept);
    };
    for (name, ours) in [("in this process", copied), ("the command", command)] {
        if let Some(ours) = ours {
            let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
            kept &= ratio >= COPY_RATIO_MIN;
            println!("  {name}: {ratio:.2} times as fast, promised {COPY_RATIO_MIN}");
        }
    }
    Ok(kept)
}

fn has_tcpdump() -> bool {
    Command::new("tcpdump")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

fn timed(run: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

/// Times a copy, and deletes it outside the time.
fn timed_copy(copy: &Path, run: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let time = timed(run)?;
    std::fs::remove_file(copy)?;
    Ok(time)
}

fn best(times: Vec<Duration>) -> Option<Duration> {
    times.into_iter().min()
}

fn report(name: &str, time: Option<Duration>, packets: u64) {
    if let Some(time) = time {
        let nanos = time.as_nanos() as f64 / packets as f64;
        println!("{name:36} {:7.1} ms  {nanos:6.1} ns a packet", time.as_secs_f64() * 1e3);
    }
}

/// A pcap file of about `bytes` bytes, with our own writer. Returns its packets.
fn generate(path: &Path, bytes: u64, sizes: &[usize]) -> Result<u64, Failure> {
    let mut writer = Writer::create(WriterConfig::new(path, WriteFormat::PcapMicros))?;
    let frames: Vec<Vec<u8>> = sizes.iter().map(|&size| udp_frame(size)).collect();
    let (mut written, mut packets) = (0, 0u64);
    // A linear congruential generator: the same file every time.
    let mut state = 1u64;
    while written < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let frame = &frames[(state >> 33) as usize % frames.len()];
        let time = Timestamp::from_parts(1_700_000_000, packets * 1_000);
        writer.write(&Frame::new(frame, time), 0, LinkType::ETHERNET)?;
        written += 16 + frame.len() as u64;
        packets += 1;
    }
    let (settled, _) = writer.finish(&[]);
    if settled.written != packets {
        return Err("the file could not be generated: is the disk full?".into());
    }
    // Written to the disk now, not while the contenders run.
    File::open(path)?.sync_all()?;
    Ok(packets)
}

/// A multicast datagram in a frame of `size` bytes.
fn udp_frame(size: usize) -> Vec<u8> {
    let mut frame = vec![0x01, 0, 0x5e, 1, 1, 1, 0x02, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 0, 0, 1, 0, 0, 16, 17, 0, 0, 10, 0, 0, 1, 239, 1, 1, 1]);
    frame.extend([0x67, 0x20, 0x67, 0x20, 0, 0, 0, 0]);
    frame[16..18].copy_from_slice(&(size as u16 - 14).to_be_bytes());
    frame[38..40].copy_from_slice(&(size as u16 - 34).to_be_bytes());
    frame.extend((frame.len()..size).map(|i| (i * 31) as u8));
    frame
}

fn read_tickwire(path: &Path, packets: u64) -> Result<(), Failure> {
    let mut port = FilePort::open(path)?;
    let (mut count, mut bytes) = (0, 0);
    loop {
        let mut batch = Batch::new();
        if port.receive(&mut batch)? == Received::End {
            break;
        }
        count += batch.len() as u64;
        bytes += batch.bytes().iter().map(|frame| frame.len()).sum::<usize>();
    }
    std::hint::black_box(bytes);
    check(count, packets)
}

fn read_pcap_parser(path: &Path, packets: u64) -> Result<(), Failure> {
    let mut reader = LegacyPcapReader::new(PARSER_BUFFER_BYTES, File::open(path)?)
        .map_err(|error| format!("pcap-parser: {error:?}"))?;
    let (mut count, mut bytes) = (0, 0);
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                if let PcapBlockOwned::Legacy(packet) = block {
                    count += 1;
                    bytes += packet.data.len();
                }
                reader.consume(offset);
            }
            Err(PcapError::Eof) => break,
            Err(PcapError::Incomplete(_)) => {
                reader.refill().map_err(|error| format!("pcap-parser: {error:?}"))?;
            }
            Err(error) => return Err(format!("pcap-parser: {error:?}").into()),
        }
    }
    std::hint::black_box(bytes);
    check(count, packets)
}

fn copy_tickwire(source: &Path, copy: &Path) -> Result<(), Failure> {
    let mut port = FilePort::open(source)?;
    let mut writer = Writer::create(WriterConfig::new(copy, WriteFormat::Pcap))?;
    loop {
        let mut batch = Batch::new();
        if port.receive(&mut batch)? == Received::End {
            break;
        }
        writer.write_batch(&batch, batch.all())?;
    }
    let (settled, _) = writer.finish(&[]);
    check(settled.written, port.packets())
}

fn run_quietly(program: &str, first: &[&str], source: &Path, copy: &Path) -> Result<(), Failure> {
    let status = Command::new(program)
        .args(first)
        .arg("-r")
        .arg(source)
        .arg("-w")
        .arg(copy)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("{program} failed: {status}").into()) }
}

fn check(count: u64, packets: u64) -> Result<(), Failure> {
    if count == packets { Ok(()) } else { Err(format!("{count} packets of {packets}").into()) }
}
