//! What survives the process: the state file, and what is in it.

use super::settings::Settings;
use crate::exit::{Failure, say};
use std::io;
use std::sync::Arc;
use tickwire_capture::state_file::{StateFile, Words};
use tickwire_frame::Timestamp;
use tickwire_respond::Memory;
use tickwire_respond::memory::Keys;

/// The state file, mapped. A copy is the same file.
#[derive(Clone, Debug)]
pub struct Store {
    words: &'static Words,
    memory: Memory<'static>,
    /// Keeps others away for as long as we run.
    _file: Arc<StateFile>,
}

impl Store {
    /// Opens the file that `settings` name; makes it where there is none, and anew where its feeds,
    /// targets and instruments are others.
    ///
    /// # Errors
    /// A file that is damaged, not ours, or used by another process.
    pub fn open(settings: &Settings, keep_positions: bool) -> Result<Store, Failure> {
        let path = &settings.config.state;
        let file = StateFile::lock(path).map_err(Failure::failed)?;
        let keys = Keys::of(&settings.config.settings);
        let there = file.open().map_err(Failure::failed)?;
        let words = match there {
            None => {
                say(format_args!(
                    "tickwire: {} is new: nothing is known of earlier runs\n",
                    path.display()
                ));
                let new = file.create(keys.words(), |words| {
                    Memory::create(words, &keys);
                });
                new.map_err(Failure::failed)?
            }
            Some(words) => {
                let old = Memory::open(&words).map_err(|error| {
                    Failure::failed(format_args!("state file {}: {error}", path.display()))
                })?;
                if old.keys() == keys {
                    words
                } else {
                    let new = file.create(keys.words(), |words| {
                        Memory::create(words, &keys).take_over(&old);
                    });
                    new.map_err(Failure::failed)?
                }
            }
        };
        // For as long as the process lives: workers and the control plane look at it to the end.
        let words: &'static Words = Box::leak(Box::new(words));
        let memory = Memory::open(words).map_err(Failure::failed)?;
        memory.begin(Timestamp::now().as_nanos(), keep_positions);
        // So that not even a loss of power gives a number twice.
        words.sync().map_err(|error| {
            Failure::failed(format_args!("state file {}: {error}", path.display()))
        })?;
        Ok(Store { words, memory, _file: Arc::new(file) })
    }

    /// What it holds.
    pub fn memory(&self) -> Memory<'static> {
        self.memory
    }

    /// Writes it to the disk: what it says outlives even a loss of power then.
    ///
    /// # Errors
    /// What the system said.
    pub fn sync(&self) -> io::Result<()> {
        self.words.sync()
    }

    /// Notes that the run ended in good order.
    pub fn end(&self) {
        self.memory.end();
        if let Err(error) = self.sync() {
            say(format_args!("tickwire: the state file could not be written: {error}\n"));
        }
    }
}
