//! The file of the log, and the thread that writes it.

use crate::exit::{Failure, say};
use rtrb::{Consumer, Producer, RingBuffer};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tickwire_frame::{Reason, Timestamp};
use tickwire_respond::audit::{Entry, HEADER_BYTES_MAX, Names, RECORD_BYTES, Record};

/// Records that wait for the disk: 4 MiB, a second at 65 536 decisions a second.
const RECORDS_MAX: usize = 1 << 16;
/// The thread looks for records so often, in milliseconds.
const LOOK_MS: u64 = 5;
/// Records that are written at once.
const CHUNK_RECORDS: usize = 4096;
/// The most files that were rotated away and are looked for.
const ROTATED_MAX: u32 = 1_000_000;

/// Where the log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// The file.
    pub path: PathBuf,
    /// When it is longer, in bytes, it is moved to `FILE.1`, `FILE.2`, … and begun anew.
    pub rotate_bytes: u64,
    /// Whether trading stops when a record is lost.
    pub stop_when_full: bool,
}

/// What the thread and the others know of the log.
#[derive(Debug, Default)]
pub struct Shared {
    written: AtomicU64,
    lost_ring: AtomicU64,
    lost_disk: AtomicU64,
    stop: AtomicBool,
    /// What the next records may mean, too: the names in force from the next file on.
    header: Mutex<Option<Vec<u8>>>,
}

impl Shared {
    fn header(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker's end: records go in, nothing waits.
#[derive(Debug)]
pub struct Recorder {
    ring: Producer<Record>,
    shared: Arc<Shared>,
    /// Lost since the last record that went in.
    gap: u64,
    stop_when_full: bool,
}

impl Recorder {
    /// Enters a record; `false` when it was lost.
    #[inline]
    pub fn record(&mut self, at_ns: u64, entry: Entry) -> bool {
        if self.gap > 0 && self.ring.slots() >= 2 {
            let lost = Record { at_ns, entry: Entry::Lost(self.gap) };
            // There is room, and only we fill it.
            if self.ring.push(lost).is_ok() {
                self.gap = 0;
            }
        }
        let pushed = self.gap == 0 && self.ring.push(Record { at_ns, entry }).is_ok();
        if !pushed {
            self.gap += 1;
            self.shared.lost_ring.fetch_add(1, Relaxed);
        }
        pushed
    }

    /// Whether trading has to stop, because a record was lost and the settings ask for that.
    #[inline]
    pub fn must_stop(&self) -> bool {
        self.stop_when_full
            && (self.gap > 0
                || self.shared.lost_ring.load(Relaxed) + self.shared.lost_disk.load(Relaxed) > 0)
    }
}

/// The log: a thread that ends, and writes out what it has, when this is dropped.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Audit {
    /// Opens the file, or goes on with it when it has the same names, and starts the thread.
    ///
    /// # Errors
    /// A file that cannot be opened, or is no audit file.
    pub fn start(settings: &AuditSettings, names: &Names) -> Result<(Audit, Recorder), Failure> {
        let header = names.to_bytes().map_err(Failure::failed)?;
        let failed = |error| {
            let path = settings.path.display();
            Failure::failed(format_args!("cannot write the audit log {path}: {error}"))
        };
        let file =
            AuditFile::open(&settings.path, settings.rotate_bytes, header).map_err(failed)?;
        let (producer, consumer) = RingBuffer::new(RECORDS_MAX);
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write_all(consumer, file, &mine))
            .map_err(failed)?;
        let gap = 0;
        let stop_when_full = settings.stop_when_full;
        let recorder =
            Recorder { ring: producer, shared: Arc::clone(&shared), gap, stop_when_full };
        Ok((Audit { path: settings.path.clone(), shared, thread: Some(thread) }, recorder))
    }

    /// Goes on with more names: every number that had a name keeps it. A record that is entered
    /// after this and has a new number comes into a file that names it.
    ///
    /// # Errors
    /// When they take more than a header can have.
    pub fn rename(&self, names: &Names) -> Result<(), Failure> {
        *self.shared.header() = Some(names.to_bytes().map_err(Failure::failed)?);
        Ok(())
    }

    /// The file that is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records in the file and in those before it, of this run.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Relaxed)
    }

    /// Records that were lost, by reason.
    pub fn lost(&self) -> impl Iterator<Item = (Reason, u64)> {
        let (ring, disk) = (&self.shared.lost_ring, &self.shared.lost_disk);
        let all = [(Reason::OutputQueueFull, ring), (Reason::DiskFull, disk)];
        let counts = all.map(|(reason, count)| (reason, count.load(Relaxed)));
        counts.into_iter().filter(|&(_, count)| count > 0)
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has said what went wrong.
            let _ = thread.join();
        }
    }
}

fn write_all(mut ring: Consumer<Record>, mut file: AuditFile, shared: &Shared) {
    let mut bytes = Vec::with_capacity(CHUNK_RECORDS * RECORD_BYTES);
    let mut told = false;
    loop {
        // Read before the ring is: what was put in before the stop is written.
        let stopping = shared.stop.load(Relaxed);
        while let Ok(record) = ring.pop() {
            bytes.extend_from_slice(&record.to_bytes());
            if bytes.len() >= CHUNK_RECORDS * RECORD_BYTES {
                break;
            }
        }
        let records = (bytes.len() / RECORD_BYTES) as u64;
        if records == 0 {
            if stopping {
                return;
            }
            std::thread::sleep(Duration::from_millis(LOOK_MS));
            continue;
        }
        // Whoever entered one of these with a new number has said before what it means.
        if let Some(header) = shared.header().take() {
            file.rename(header);
        }
        match file.append(&bytes) {
            Ok(()) => {
                shared.written.fetch_add(records, Relaxed);
                told = false;
            }
            Err(error) => {
                shared.lost_disk.fetch_add(records, Relaxed);
                if !told {
                    let path = file.path.display();
                    say(format_args!(
                        "tickwire: the audit log {path} could not be written: {error}; records \
                         are lost until there is room\n"
                    ));
                    told = true;
                }
            }
        }
        bytes.clear();
    }
}

/// The file: whole records only.
#[derive(Debug)]
struct AuditFile {
    path: PathBuf,
    file: File,
    header: Vec<u8>,
    bytes: u64,
    rotate_bytes: u64,
    /// The header is another than that of the file.
    is_renamed: bool,
    /// Records that did not fit and are not yet named in the file.
    gap: u64,
}

impl AuditFile {
    fn open(path: &Path, rotate_bytes: u64, header: Vec<u8>) -> io::Result<AuditFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        let (path, rotate_bytes) = (path.to_owned(), rotate_bytes.max(1));
        let mut this =
            AuditFile { path, file, header, bytes: 0, rotate_bytes, is_renamed: false, gap: 0 };
        let metadata = this.file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        this.bytes = metadata.len();
        if this.bytes == 0 {
            this.write(&this.header.clone())?;
        } else if this.same_names()? {
            // After a crash the last record may be there in part.
            let records = (this.bytes - this.header.len() as u64) / RECORD_BYTES as u64;
            this.bytes = this.header.len() as u64 + records * RECORD_BYTES as u64;
            this.file.set_len(this.bytes)?;
            this.file.seek(SeekFrom::End(0))?;
        } else {
            this.rotate()?;
        }
        Ok(this)
    }

    /// Whether the file begins with our header.
    ///
    /// # Errors
    /// When it is no audit file at all: it belongs to somebody else.
    fn same_names(&mut self) -> io::Result<bool> {
        let mut start = vec![0; self.header.len().min(self.bytes as usize)];
        self.file.read_exact(&mut start)?;
        if start == self.header {
            return Ok(true);
        }
        let mut whole = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        (&mut self.file).take(12 + HEADER_BYTES_MAX as u64).read_to_end(&mut whole)?;
        Names::parse(&whole).map(|_| false).map_err(|error| {
            io::Error::other(format!("{error}; name another file, or move this one away"))
        })
    }

    /// From the next record on, numbers have these names.
    fn rename(&mut self, header: Vec<u8>) {
        self.is_renamed |= header != self.header;
        self.header = header;
    }

    /// Appends whole records. When they do not fit, none is there, and the next one that does comes
    /// after a record that says how many are missing.
    fn append(&mut self, records: &[u8]) -> io::Result<()> {
        let count = (records.len() / RECORD_BYTES) as u64;
        let appended = self.append_all(records);
        match appended {
            Ok(()) => self.gap = 0,
            Err(_) => self.gap += count,
        }
        appended
    }

    fn append_all(&mut self, records: &[u8]) -> io::Result<()> {
        if self.bytes >= self.rotate_bytes || self.is_renamed {
            self.rotate()?;
        }
        if self.gap == 0 {
            return self.write(records);
        }
        let entry = Entry::Lost(self.gap);
        let lost = Record { at_ns: Timestamp::now().as_nanos(), entry };
        self.write(&[&lost.to_bytes(), records].concat())
    }

    /// All of `bytes`, or none.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.bytes += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.file.set_len(self.bytes)?;
                self.file.seek(SeekFrom::Start(self.bytes))?;
                Err(error)
            }
        }
    }

    /// Moves the file to the next free number, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let name = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let free = (1..ROTATED_MAX).map(name).find(|path| !path.exists());
        let free = free.ok_or_else(|| io::Error::other("there are too many files of this name"))?;
        std::fs::rename(&self.path, free)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        self.file = options.open(&self.path)?;
        self.bytes = 0;
        self.write(&self.header.clone())?;
        self.is_renamed = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_respond::audit::Mark;

    fn names(decimals: u32) -> Names {
        Names { decimals, reasons: Names::reasons(), ..Names::default() }
    }

    fn directory(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("tickwire-audit-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).unwrap();
        directory
    }

    fn records(path: &Path) -> Vec<Entry> {
        let file = std::fs::read(path).unwrap();
        let (names, at) = Names::parse(&file).unwrap();
        let chunks = file[at..].as_chunks::<RECORD_BYTES>();
        assert!(chunks.1.is_empty());
        chunks.0.iter().map(|bytes| Record::parse(bytes, &names).unwrap().entry).collect()
    }

    fn run(settings: &AuditSettings, names: &Names, entries: &[Entry]) {
        let (audit, mut recorder) = Audit::start(settings, names).unwrap();
        for &entry in entries {
            assert!(recorder.record(1, entry));
        }
        drop(audit);
    }

    fn settings(path: PathBuf) -> AuditSettings {
        AuditSettings { path, rotate_bytes: 1 << 20, stop_when_full: false }
    }

    #[test]
    fn what_is_entered_is_in_the_file_and_a_restart_goes_on() {
        let directory = directory("goes-on");
        let settings = settings(directory.join("log"));
        let (a, b) = (Entry::Mark(Mark::Started), Entry::Mark(Mark::Stopped));
        run(&settings, &names(2), &[a, b]);
        // The machine went down while a record was written.
        let mut file = OpenOptions::new().append(true).open(&settings.path).unwrap();
        file.write_all(&[1, 2, 3]).unwrap();
        run(&settings, &names(2), &[a]);
        assert_eq!(records(&settings.path), [a, b, a]);
        // With other names the numbers mean something else.
        run(&settings, &names(4), &[b]);
        assert_eq!(records(&settings.path), [b]);
        assert_eq!(records(&directory.join("log.1")), [a, b, a]);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_grows_too_long_is_rotated() {
        let directory = directory("rotates");
        let settings = AuditSettings { rotate_bytes: 1, ..settings(directory.join("log")) };
        let mut file = AuditFile::open(&settings.path, 1, names(2).to_bytes().unwrap()).unwrap();
        for number in 0..3 {
            let record = Record { at_ns: 0, entry: Entry::Lost(number) };
            file.append(&record.to_bytes()).unwrap();
        }
        let numbers = ["log.2", "log.3", "log"];
        for (number, name) in numbers.into_iter().enumerate() {
            assert_eq!(records(&directory.join(name)), [Entry::Lost(number as u64)], "{name}");
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn somebody_elses_file_is_left_alone() {
        let directory = directory("else");
        let settings = settings(directory.join("log"));
        std::fs::write(&settings.path, "not ours, and long enough for a header of any length")
            .unwrap();
        let error = Audit::start(&settings, &names(2)).unwrap_err();
        assert!(format!("{error:?}").contains("no audit file"), "{error:?}");
        assert!(std::fs::read_to_string(&settings.path).unwrap().starts_with("not ours"));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_the_disk_does_not_take_is_counted_and_named() {
        let settings = AuditSettings { path: "/dev/full".into(), ..settings(PathBuf::new()) };
        assert!(Audit::start(&settings, &names(2)).is_err(), "no regular file");
        let directory = directory("full");
        let path = directory.join("log");
        let mut file = AuditFile::open(&path, 1 << 20, names(2).to_bytes().unwrap()).unwrap();
        let record = |n| Record { at_ns: 0, entry: Entry::Lost(n) }.to_bytes();
        file.append(&record(100)).unwrap();
        // As a full disk answers.
        let good = std::mem::replace(
            &mut file.file,
            File::options().write(true).open("/dev/full").unwrap(),
        );
        assert!(file.append(&[record(1), record(2)].concat()).is_err());
        file.file = good;
        file.append(&record(101)).unwrap();
        let found: Vec<Entry> = records(&path);
        assert_eq!(found, [Entry::Lost(100), Entry::Lost(2), Entry::Lost(101)]);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_full_ring_loses_records_by_number_and_stops_trading_when_asked_to() {
        let (producer, mut consumer) = RingBuffer::new(2);
        let shared = Arc::new(Shared::default());
        let mut recorder =
            Recorder { ring: producer, shared: Arc::clone(&shared), gap: 0, stop_when_full: true };
        let entry = Entry::Mark(Mark::Enabled);
        assert!(recorder.record(0, entry) && recorder.record(0, entry) && !recorder.must_stop());
        assert!(!recorder.record(0, entry) && !recorder.record(0, entry));
        assert!(recorder.must_stop());
        while consumer.pop().is_ok() {}
        assert!(recorder.record(0, entry));
        let entries: Vec<Entry> =
            std::iter::from_fn(|| consumer.pop().ok().map(|r| r.entry)).collect();
        assert_eq!(entries, [Entry::Lost(2), entry]);
        assert_eq!(shared.lost_ring.load(Relaxed), 2);
    }
}
