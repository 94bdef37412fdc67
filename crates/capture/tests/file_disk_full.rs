//! A disk that fills up while a capture is written, and has room again: a tmpfs of 1 MiB in a
//! private mount namespace. Needs root, or user namespaces.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tickwire_capture::file::{Rotation, WriteFormat, Writer, WriterConfig};
use tickwire_capture::{FilePort, Port, Received};
use tickwire_frame::{Batch, Frame, LinkType, Reason, Timestamp};

/// Set for the child in the namespace: the folder in which the small disk is to be mounted.
const FOLDER: &str = "TICKWIRE_SMALL_DISK";
const CYCLES: u64 = 100;
/// The room is tried again within this time.
const RESUME_MS_MAX: u64 = 5_000;

/// Runs test `name` of this file again, in a mount namespace of its own.
fn in_namespace(name: &str) {
    let folder = std::env::temp_dir().join(format!("tickwire-disk-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let run = |user: &[&str], program: &Path, arguments: &[&str]| {
        Command::new("unshare")
            .args(user)
            .args(["--mount", "--propagation", "private"])
            .arg(program)
            .args(arguments)
            .env(FOLDER, &folder)
            .output()
    };
    let user: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    let folder_text = folder.to_string_lossy().into_owned();
    let mount = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder_text.as_str()];
    let is_possible = run(user, Path::new("mount"), &mount).is_ok_and(|o| o.status.success());
    if !is_possible {
        eprintln!("SKIPPED: {name}: a private mount needs root or user namespaces");
        let _ = std::fs::remove_dir(&folder);
        return;
    }
    let program = std::env::current_exe().expect("this test");
    let output = run(user, &program, &[name, "--exact", "--nocapture"]).expect("unshare runs");
    let _ = std::fs::remove_dir(&folder);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// The folder on the small disk, in the child.
fn small_disk() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    let status = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&folder)
        .status()
        .expect("mount runs");
    assert!(status.success());
    Some(folder)
}

/// The numbers of the packets in a file, which must be whole and hold what was written.
fn read(path: &Path) -> (Vec<u64>, u64) {
    let mut port = FilePort::open(path).expect("a capture file");
    let mut numbers = Vec::new();
    loop {
        let mut batch = Batch::new();
        if port.receive(&mut batch).expect("whole records only") == Received::End {
            break;
        }
        for frame in batch.iter() {
            let number = frame.timestamp.as_nanos();
            assert_eq!(frame.bytes, bytes(number));
            numbers.push(number);
        }
    }
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let drops = port.kernel_counters().into_iter().find(|c| c.name == "epb_dropcount");
    (numbers, drops.map_or(0, |counter| counter.value))
}

/// The bytes of packet `number`: of various lengths and contents.
fn bytes(number: u64) -> &'static [u8] {
    static PATTERN: [u8; 2048] = {
        let mut pattern = [0; 2048];
        let mut i = 0;
        while i < pattern.len() {
            pattern[i] = (i * 7 + (i >> 8)) as u8;
            i += 1;
        }
        pattern
    };
    let length = 20 + number.wrapping_mul(2_654_435_761) % 1400;
    &PATTERN[(number % 512) as usize..][..length as usize]
}

/// Writes numbered packets and keeps the sums.
struct Numbered {
    writer: Writer,
    next: u64,
    written: u64,
    lost: u64,
}

impl Numbered {
    fn write(&mut self, count: u64) {
        for _ in 0..count {
            let bytes = bytes(self.next);
            let frame = Frame::new(bytes, Timestamp::from_nanos(self.next));
            self.writer.write(&frame, 0, LinkType::ETHERNET).expect("a full disk is no end");
            self.next += 1;
        }
        self.settle();
    }

    fn settle(&mut self) {
        let settled = self.writer.take_settled();
        assert_eq!(settled.lost.total(), settled.lost[Reason::DiskFull]);
        self.written += settled.written;
        self.lost += settled.lost.total();
        assert_eq!(self.written + self.lost + self.writer.pending(), self.next);
    }
}

fn cycle(folder: &Path, cycle: u64) {
    let path = folder.join("capture");
    let filler = folder.join("filler");
    std::fs::write(&filler, vec![0; 200_000 + cycle as usize * 3_001]).expect("room");
    let is_pcapng = cycle.is_multiple_of(2);
    let format = if is_pcapng { WriteFormat::Pcapng } else { WriteFormat::Pcap };
    let writer = Writer::create(WriterConfig::new(&path, format)).expect("room for a header");
    let mut numbered = Numbered { writer, next: 0, written: 0, lost: 0 };

    // 700 kB fit at most; 4 MB come, flushed at various places.
    for round in 0..12 {
        numbered.write(480 + cycle % 7);
        numbered.writer.flush().expect("a full disk is no end");
        numbered.settle();
        if round % 4 == 2 {
            let in_file = read(&path).0.len() as u64;
            assert_eq!(in_file, numbered.written, "readable while it is full");
        }
    }
    assert!(numbered.lost > 0 && numbered.written > 0);
    let notice = numbered.writer.take_notice().expect("the user is told");
    assert!(notice.contains("packets are counted as lost until there is room"), "{notice}");

    std::fs::remove_file(&filler).expect("the filler is there");
    // What waits in the buffer may be larger than the room: it must be dropped for new packets.
    let (deadline, before) =
        (Instant::now() + Duration::from_millis(RESUME_MS_MAX), numbered.written);
    while numbered.written == before {
        assert!(Instant::now() < deadline, "writing does not resume");
        std::thread::sleep(Duration::from_millis(5));
        numbered.writer.flush().expect("room");
        numbered.settle();
    }
    let Numbered { writer, next, mut written, mut lost } = numbered;
    let (settled, totals) = writer.finish(&[]);
    written += settled.written;
    lost += settled.lost.total();
    assert_eq!(written + lost, next);
    assert_eq!(totals.bytes, path.metadata().expect("a file").len());
    let (numbers, drops) = read(&path);
    assert_eq!(numbers.len() as u64, written);
    // All that was lost in the middle is said by the packet after it.
    let in_the_middle = numbers.last().expect("packets") + 1 - written;
    assert!(in_the_middle > 0);
    assert_eq!(drops, if is_pcapng { in_the_middle } else { 0 });
    std::fs::remove_file(&path).expect("the capture is there");
}

#[test]
fn whole_records_stay_and_writing_resumes() {
    match small_disk() {
        Some(folder) => (0..CYCLES).for_each(|number| cycle(&folder, number)),
        None => in_namespace("whole_records_stay_and_writing_resumes"),
    }
}

#[test]
fn rotation_goes_on_over_a_full_disk() {
    let Some(folder) = small_disk() else {
        return in_namespace("rotation_goes_on_over_a_full_disk");
    };
    let mut config = WriterConfig::new(folder.join("capture"), WriteFormat::Pcapng);
    config.rotation = Rotation { packets_max: Some(100), ..Rotation::default() };
    let writer = Writer::create(config).expect("room");
    let mut numbered = Numbered { writer, next: 0, written: 0, lost: 0 };
    numbered.write(5_000);
    let (settled, _) = numbered.writer.finish(&[]);
    let (written, lost) =
        (numbered.written + settled.written, numbered.lost + settled.lost.total());
    assert_eq!(written + lost, 5_000);
    assert!(written > 0 && lost > 0);
    let files = std::fs::read_dir(&folder).expect("the folder");
    let in_files: u64 = files.map(|file| read(&file.expect("a file").path()).0.len() as u64).sum();
    assert_eq!(in_files, written);
}
