//! When a written capture goes on in a new file, and how its files are called.
//!
//! Names follow tcpdump, where the flags are the same:
//!
//! | rotation | names |
//! |---|---|
//! | none | `NAME` |
//! | by time, `%` in the name | strftime(3) of the time of the first packet, local time zone |
//! | by size or packets in the same second of such a name | that, then `…1`, `…2` |
//! | any, without a ring | `NAME`, `NAME1`, `NAME2` … |
//! | any, with a ring of N files | `NAME0` … `NAME`(N−1), as many digits each; then 0 again |
//!
//! A ring of names with a time has no numbers to start again: its oldest file is deleted. Only
//! files that this run has written are ever deleted.

use crate::port::PortError;
use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use tickwire_frame::Timestamp;

/// A name with its time filled in may be this long.
const NAME_BYTES_MAX: usize = 4096;

/// When to go on in a new file. All limits that are set hold; by default none is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// No file is longer, unless one packet alone is (`-C`).
    pub size_bytes_max: Option<u64>,
    /// No file spans more seconds, by the packets' own times (`-G`).
    pub seconds_max: Option<u64>,
    /// No file has more packets.
    pub packets_max: Option<u64>,
    /// At most so many files are kept, the newest (`-W`).
    pub files_max: Option<u32>,
}

impl Rotation {
    /// Whether there ever is a second file.
    pub fn is_active(&self) -> bool {
        self.size_bytes_max.is_some() || self.seconds_max.is_some() || self.packets_max.is_some()
    }
}

/// The extent of the file being written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    pub(super) bytes: u64,
    pub(super) packets: u64,
    pub(super) first_time: Timestamp,
}

impl Rotation {
    /// Whether a record of `record_bytes` at `time` belongs in a new file.
    #[inline]
    pub(super) fn is_due(&self, file: Extent, record_bytes: usize, time: Timestamp) -> bool {
        let reached = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value > limit);
        file.packets > 0
            && (reached(self.size_bytes_max, file.bytes + record_bytes as u64)
                || reached(self.packets_max, file.packets + 1)
                || self.seconds_max.is_some_and(|s| time.since(file.first_time).as_secs() >= s))
    }
}

/// Hands out the names of files, and remembers those of the ring.
#[derive(Debug)]
pub(super) struct Names {
    pattern: PathBuf,
    files_max: Option<u32>,
    has_time: bool,
    is_rotated: bool,
    /// Files named so far.
    count: u64,
    /// The last name with its time filled in, and how many files have had it.
    last: Option<(OsString, u64)>,
    /// The files of the ring, oldest first, with their packets.
    ring: VecDeque<(PathBuf, u64)>,
}

impl Names {
    pub(super) fn new(pattern: &Path, rotation: &Rotation) -> Names {
        let has_time =
            rotation.seconds_max.is_some() && pattern.as_os_str().as_bytes().contains(&b'%');
        Names {
            pattern: pattern.to_owned(),
            files_max: rotation.files_max.filter(|&max| max > 0),
            has_time,
            is_rotated: rotation.is_active(),
            count: 0,
            last: None,
            ring: VecDeque::new(),
        }
    }

    /// Whether names depend on the time of a file's first packet.
    pub(super) fn has_time(&self) -> bool {
        self.has_time
    }

    /// The name of the next file, whose first packet is of `time`.
    pub(super) fn next(&mut self, time: Timestamp) -> Result<PathBuf, PortError> {
        let number = self.count;
        self.count += 1;
        if self.has_time {
            let name = format_time(self.pattern.as_os_str(), time)?;
            let uses = match &self.last {
                Some((last, uses)) if *last == name => uses + 1,
                _ => 0,
            };
            self.last = Some((name.clone(), uses));
            return Ok(with_suffix(name, uses, 0));
        }
        let name = self.pattern.as_os_str().to_owned();
        Ok(match self.files_max {
            Some(max) if self.is_rotated => {
                let width = (max - 1).to_string().len();
                with_suffix(name, number % u64::from(max), width)
            }
            _ => with_suffix(name, number, 0),
        })
    }

    /// Enters a file that is complete, with its packets. Returns how many packets the ring has let
    /// go, and the file that must be deleted for it, if its name is not used again anyway.
    pub(super) fn close(&mut self, path: PathBuf, packets: u64) -> (u64, Option<PathBuf>) {
        let Some(max) = self.files_max else { return (0, None) };
        self.ring.push_back((path, packets));
        // The file that comes next is one of the ring too.
        if self.ring.len() < max as usize {
            return (0, None);
        }
        match self.ring.pop_front() {
            Some((path, packets)) => (packets, self.has_time.then_some(path)),
            None => (0, None),
        }
    }
}

/// `name` and a number of at least `width` digits; a width of 0 leaves a 0 out.
fn with_suffix(mut name: OsString, number: u64, width: usize) -> PathBuf {
    if width > 0 || number > 0 {
        name.push(format!("{number:0width$}"));
    }
    PathBuf::from(name)
}

/// strftime(3) of `time` in the local time zone.
fn format_time(pattern: &OsStr, time: Timestamp) -> Result<OsString, PortError> {
    let unusable = || PortError::Unsupported {
        what: format!("{} cannot be made a file name with a time", pattern.display()),
        cure: "use conversions of strftime(3), such as %Y%m%d-%H%M%S".to_owned(),
    };
    let format = CString::new(pattern.as_bytes()).map_err(|_| unusable())?;
    let seconds = time.seconds() as libc::time_t;
    let mut parts = MaybeUninit::<libc::tm>::uninit();
    let mut name = vec![0u8; NAME_BYTES_MAX];
    // SAFETY: `seconds` is readable and `parts` writable for the call, which keeps neither.
    if unsafe { libc::localtime_r(&raw const seconds, parts.as_mut_ptr()) }.is_null() {
        return Err(unusable());
    }
    // SAFETY: `name` has room for `name.len()` bytes, `format` ends in NUL, and localtime_r has
    // filled in `parts`, as it did not return null.
    let length = unsafe {
        libc::strftime(name.as_mut_ptr().cast(), name.len(), format.as_ptr(), parts.as_ptr())
    };
    if length == 0 {
        return Err(unusable());
    }
    name.truncate(length);
    Ok(OsString::from_vec(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str, rotation: &Rotation, times: &[u64]) -> Vec<String> {
        let mut names = Names::new(Path::new(pattern), rotation);
        let name = |&seconds: &u64| {
            let name = names.next(Timestamp::from_parts(seconds, 0)).expect("a name");
            name.display().to_string()
        };
        times.iter().map(name).collect()
    }

    #[test]
    fn numbers_as_tcpdump_has_them() {
        let by_size = Rotation { size_bytes_max: Some(1), ..Rotation::default() };
        assert_eq!(names("a.pcap", &by_size, &[0; 3]), ["a.pcap", "a.pcap1", "a.pcap2"]);
        let ring = Rotation { files_max: Some(11), ..by_size };
        let got = names("a", &ring, &[0; 12]);
        assert_eq!((got[0].as_str(), got[10].as_str(), got[11].as_str()), ("a00", "a10", "a00"));
    }

    #[test]
    fn times_in_names() {
        let by_time = Rotation { seconds_max: Some(60), ..Rotation::default() };
        // %s is the same in every time zone.
        assert_eq!(
            names("c-%s", &by_time, &[5, 5, 65, 65, 65]),
            ["c-5", "c-51", "c-65", "c-651", "c-652"]
        );
        let by_size = Rotation { size_bytes_max: Some(1), ..Rotation::default() };
        assert_eq!(names("c-%s", &by_size, &[5]), ["c-%s"]);
    }

    #[test]
    fn a_name_that_becomes_empty_is_refused() {
        let by_time = Rotation { seconds_max: Some(60), ..Rotation::default() };
        let long = "%Y".repeat(2000);
        let error = Names::new(Path::new(&long), &by_time).next(Timestamp::ZERO);
        assert!(error.expect_err("too long").to_string().contains("strftime"));
    }

    #[test]
    fn a_ring_lets_the_oldest_go() {
        let ring = Rotation { seconds_max: Some(1), files_max: Some(2), ..Rotation::default() };
        let mut names = Names::new(Path::new("c-%s"), &ring);
        assert_eq!(names.close("c-1".into(), 10), (0, None));
        assert_eq!(names.close("c-2".into(), 20), (10, Some("c-1".into())));
        assert_eq!(names.close("c-3".into(), 30), (20, Some("c-2".into())));
    }

    #[test]
    fn limits() {
        let rotation = Rotation {
            size_bytes_max: Some(1000),
            seconds_max: Some(10),
            packets_max: Some(5),
            files_max: None,
        };
        let time = |seconds| Timestamp::from_parts(seconds, 0);
        let file = Extent { bytes: 900, packets: 3, first_time: time(100) };
        assert!(!rotation.is_due(file, 100, time(109)));
        assert!(rotation.is_due(file, 101, time(109)));
        assert!(rotation.is_due(file, 100, time(110)));
        assert!(rotation.is_due(Extent { packets: 5, ..file }, 100, time(100)));
        assert!(!rotation.is_due(Extent { packets: 0, ..file }, 5000, time(100)));
    }
}
