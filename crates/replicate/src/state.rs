//! The state file: subscribers survive a restart.
//!
//! Lines of JSON: first a header with the version, the number of lines and bytes after it, and
//! their CRC32c; then one subscriber a line. It is written beside its place and renamed into it, so
//! that there is always a whole file, the old one or the new one. A file that is damaged all the
//! same is an error that says where: never are some of its subscribers loaded.

use crate::Subscriber;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tickwire_decode::crc32c::Crc32c;

/// The longest state file, in bytes: 256 feeds of 1024 subscribers with long filters fit.
pub const STATE_BYTES_MAX: u64 = 256 << 20;
/// The version that we write, and the only one so far.
const VERSION: u32 = 1;
const KIND: &str = "replicate subscribers";

/// One subscriber of one feed, as it is saved. Its lease begins anew when it is restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// The name of the feed.
    pub feed: String,
    /// The subscriber.
    pub subscriber: Subscriber,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    tickwire: String,
    version: u32,
    lines: usize,
    bytes: usize,
    crc32c: u32,
}

/// Where a state file is damaged, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Damage {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// The state file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused something.
    #[error(
        "cannot {what} the state file {}: {source}; check the folder's rights and room, or \
         choose another place", .path.display()
    )]
    System {
        /// `read`, `write`, …
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder, a pipe, a device.
    #[error(
        "{} is no regular file, which the state file has to be; choose another place",
        .path.display()
    )]
    NoFile {
        /// What was given.
        path: PathBuf,
    },
    /// The file is not as we wrote it. Nothing of it was loaded.
    #[error(
        "the state file {} is damaged: {damage}; nothing was loaded: restore it from a backup, or \
         move it away to begin without subscribers", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and how.
        damage: Damage,
    },
}

/// The contents of a state file.
pub fn encode(saved: &[Saved]) -> Vec<u8> {
    let mut body = Vec::new();
    for one in saved {
        serde_json::to_writer(&mut body, one).expect("text and numbers into memory");
        body.push(b'\n');
    }
    let header = Header {
        tickwire: KIND.to_owned(),
        version: VERSION,
        lines: saved.len(),
        bytes: body.len(),
        crc32c: Crc32c::default().over(&body).finish(),
    };
    let mut bytes = serde_json::to_vec(&header).expect("text and numbers into memory");
    bytes.push(b'\n');
    bytes.append(&mut body);
    bytes
}

/// The subscribers in the contents of a state file: all of them or none.
///
/// # Errors
/// Where it is damaged: cut short, changed, of another kind or version.
pub fn decode(bytes: &[u8]) -> Result<Vec<Saved>, Damage> {
    let damage = |line, what: String| Err(Damage { line, what });
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
        return damage(1, "the header has no end: the file is cut short".into());
    };
    let (head, body) = (&bytes[..end], &bytes[end + 1..]);
    let header: Header = match serde_json::from_slice(head) {
        Ok(header) => header,
        Err(error) => return damage(1, format!("no header of a state file: {error}")),
    };
    if header.tickwire != KIND {
        return damage(1, format!("this is a file of '{}', not '{KIND}'", header.tickwire));
    }
    if header.version != VERSION {
        let version = header.version;
        return damage(1, format!("version {version} is not {VERSION}: use the engine it is from"));
    }
    if body.len() != header.bytes {
        let lines = body.iter().filter(|&&byte| byte == b'\n').count();
        let (len, expected) = (body.len(), header.bytes);
        return damage(lines + 2, format!("{len} bytes after the header instead of {expected}"));
    }
    let mut saved = Vec::with_capacity(header.lines.min(body.len()));
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(one) => saved.push(one),
            Err(error) => return damage(saved.len() + 2, format!("no subscriber: {error}")),
        }
    }
    if saved.len() != header.lines {
        let (lines, expected) = (saved.len(), header.lines);
        return damage(1, format!("{lines} subscribers instead of {expected}"));
    }
    match Crc32c::default().over(body).finish() {
        sum if sum == header.crc32c => Ok(saved),
        sum => damage(1, format!("CRC32c {} instead of {sum}: a line was changed", header.crc32c)),
    }
}

/// Writes the state file at `path` in one step: after a crash the old or the new one is there,
/// whole and on the disk.
///
/// # Errors
/// What the system refused.
pub fn save(path: &Path, saved: &[Saved]) -> Result<(), StateError> {
    let temporary = beside(path);
    let failed = |what| move |source| StateError::System { what, path: path.to_owned(), source };
    let written = write_new(&temporary, &encode(saved)).map_err(failed("write"));
    let renamed = written.and_then(|()| {
        std::fs::rename(&temporary, path).map_err(failed("replace"))?;
        File::open(folder_of(path))
            .and_then(|folder| folder.sync_all())
            .map_err(failed("put the new name on disk for"))
    });
    if renamed.is_err() {
        // Whether it is there or not: it is of no use to anybody.
        let _ = std::fs::remove_file(&temporary);
    }
    renamed
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// The name that a file is written under before it takes the place of `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a crash has left behind; opening it could follow a link somewhere else.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The subscribers in the state file at `path`; `None` when there is no file.
///
/// # Errors
/// What the system refused, a folder that is not there, in which nothing could be kept later, what
/// is no regular file, or where the file is damaged.
pub fn load(path: &Path) -> Result<Option<Vec<Saved>>, StateError> {
    let failed = |source| StateError::System { what: "read", path: path.to_owned(), source };
    // Before it is opened: to open a pipe would wait for who writes into it.
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder_of(path).is_dir() => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.is_file() => return Err(StateError::NoFile { path: path.to_owned() }),
        Ok(_) => {}
    }
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(STATE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    let damaged = |damage| StateError::Damaged { path: path.to_owned(), damage };
    if bytes.len() as u64 > STATE_BYTES_MAX {
        let what = format!("longer than {STATE_BYTES_MAX} bytes");
        return Err(damaged(Damage { line: 1, what }));
    }
    decode(&bytes).map(Some).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Saved> {
        let saved = |feed: &str, address: &str| Saved {
            feed: feed.into(),
            subscriber: Subscriber::new(address.parse().unwrap()),
        };
        let mut all = vec![saved("itch", "10.0.0.1:5000"), saved("b", "[2001:db8::1]:6000")];
        all[1].subscriber.filter = Some("udp[8:4] = \"\n\"".into());
        all[1].subscriber.lease_s = Some(60);
        all
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("tickwire-state-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = Folder::new("round-trip");
        let path = folder.0.join("state");
        assert_eq!(load(&path).unwrap(), None);
        for saved in [some(), Vec::new(), some()] {
            save(&path, &saved).unwrap();
            assert_eq!(load(&path).unwrap(), Some(saved));
        }
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "only the file itself");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = Folder::new("failed");
        let path = folder.0.join("state");
        save(&path, &some()).unwrap();
        // What is in the way of the new file cannot be removed as a file.
        std::fs::create_dir(beside(&path)).unwrap();
        let error = save(&path, &[]).unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("choose another"), "{error}");
        assert_eq!(load(&path).unwrap(), Some(some()));
        let error = load(&folder.0.join("no-folder").join("state")).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("folder"), "{error}");
        for no_file in [&folder.0, Path::new("/dev/null")] {
            let error = load(no_file).unwrap_err().to_string();
            assert!(error.contains("no regular file") && error.contains("choose"), "{error}");
        }
        assert_eq!(load(Path::new("no-such-state-file")).unwrap(), None);
    }

    #[test]
    fn what_is_damaged_is_said_with_its_place() {
        let good = String::from_utf8(encode(&some())).unwrap();
        let cut = &good[..good.len() - 5];
        for (text, line, part) in [
            ("", 1, "cut short"),
            (&*good.replace("version\":1", "version\":2"), 1, "version 2 is not 1"),
            (&*good.replace("replicate sub", "detect sub"), 1, "'detect subscribers'"),
            (&*good.replace("itch", "tick"), 1, "a line was changed"),
            (&*good.replace("10.0.0.1:5000", "10.0.0.1-5000"), 2, "no subscriber"),
            (&*good.replace("lines\":2", "lines\":3"), 1, "2 subscribers instead of 3"),
            (cut, 3, "bytes after the header instead of"),
            (&*format!("{good}x"), 4, "bytes after the header instead of"),
            ("hello\n", 1, "no header"),
        ] {
            let damage = decode(text.as_bytes()).unwrap_err();
            assert!(damage.line == line && damage.what.contains(part), "{text}: {damage}");
        }
        let folder = Folder::new("damaged");
        let path = folder.0.join("state");
        std::fs::write(&path, cut).unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("move it away"), "{error}");
    }

    /// Any change of any byte is noticed, or does not matter.
    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = encode(&some());
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                if let Ok(loaded) = decode(&bytes) {
                    assert_eq!(loaded, some(), "bit {bit} of byte {at}");
                }
            }
            assert!(decode(&good[..at]).is_err(), "cut to {at} bytes");
        }
    }
}
