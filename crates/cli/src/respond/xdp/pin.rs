//! The words of a run in mode `xdp`, as a killed process leaves them.
//!
//! The map has a name while it is the memory of a run, so that it outlives SIGKILL; the state file
//! has a copy that may be a second old. Which of the two is newer says a word of the file: the
//! boot in which the map got its name, or 0. After another boot the copy is all there is.

use crate::exit::Failure;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tickwire_capture::bpf::{Words, pins};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The name of the words that go with a state file.
#[derive(Clone, Debug)]
pub struct Pin {
    path: PathBuf,
    state_file: PathBuf,
}

impl Pin {
    /// That of a state file, which is there.
    ///
    /// # Errors
    /// Without the rights for it: the text names what to do.
    pub fn of(state_file: &Path) -> Result<Pin, Failure> {
        let state_file = fs::canonicalize(state_file).map_err(Failure::failed)?;
        let name = format!("respond-{:016x}", fnv(state_file.as_os_str().as_encoded_bytes()));
        let path = pins::folder().map_err(Failure::failed)?.join(name);
        Ok(Pin { path, state_file })
    }

    /// Gives `words` the name. Ones that have it already are of a run that was taken over: who asks
    /// holds the lock of the state file.
    ///
    /// # Errors
    /// What the system said.
    pub fn put(&self, words: &Words) -> Result<(), Failure> {
        self.remove()?;
        words.pin(&self.path).map_err(|error| self.failed("cannot be made", &error))
    }

    /// The words that a killed process has left.
    ///
    /// # Errors
    /// When they are not there, or no such words.
    pub fn open(&self) -> Result<Words, Failure> {
        Words::open(&self.path).map_err(|error| self.lost(&error))
    }

    /// Takes the name away: the words go with the last process that has them.
    ///
    /// # Errors
    /// What the system said.
    pub fn remove(&self) -> Result<(), Failure> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(self.failed("cannot be removed", &error))
            }
            _ => Ok(()),
        }
    }

    /// That nobody knows what a killed process has sent.
    pub fn lost(&self, why: &dyn Display) -> Failure {
        Failure::Failed(format!(
            "state file {}: the process that was killed traded in the kernel, and what it left \
             there ({}) cannot be read: {why}. Start as the user who ran it. If that is of no \
             help, positions and what was answered cannot be trusted: see at the exchange what is \
             open, move both files away, and start again",
            self.state_file.display(),
            self.path.display(),
        ))
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> Failure {
        let path = self.path.display();
        Failure::Failed(format!("{path} {what}: {error}: mode xdp needs root, or CAP_BPF"))
    }
}

/// This boot of the machine, as a number that is not 0.
///
/// # Errors
/// Without /proc.
pub fn this_boot() -> Result<u64, Failure> {
    let id = fs::read(BOOT_ID);
    let id = id.map_err(|error| Failure::Failed(format!("{BOOT_ID}: {error}: mount /proc")))?;
    Ok(fnv(&id) | 1)
}

/// FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}
