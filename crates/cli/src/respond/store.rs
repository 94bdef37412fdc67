//! What survives the process: the state file, and what is in it.
//!
//! In mode `xdp` the words of the kernel's map are the memory, and the file has a copy of it.
//! Behind the memory the file says which of the two is newer: see `xdp::pin`.

use super::settings::Settings;
use super::xdp::{Kernel, Pin, this_boot};
use crate::exit::{Failure, say};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tickwire_capture::bpf;
use tickwire_capture::state_file::{StateFile, Words};
use tickwire_frame::Timestamp;
use tickwire_respond::Memory;
use tickwire_respond::memory::Keys;
use tickwire_respond::xdp::State;

/// Behind the memory: the boot in which the kernel's words got their name, or 0.
const BOOT_WORDS: usize = 1;

/// The state file, mapped. A copy is the same file.
#[derive(Clone, Debug)]
pub struct Store {
    words: &'static Words,
    /// What is in the file.
    file: Memory<'static>,
    /// What is in force.
    memory: Memory<'static>,
    pinned: Option<Pin>,
    /// Keeps others away for as long as we run.
    _lock: Arc<StateFile>,
}

impl Store {
    /// Opens the file that `settings` name; makes it where there is none, and anew where its feeds,
    /// targets and instruments are others. With `kernel`, its words are the memory from now on.
    ///
    /// # Errors
    /// A file that is damaged, not ours, or used by another process; that what a killed process has
    /// left in the kernel cannot be read.
    pub fn open(
        settings: &Settings,
        keep_positions: bool,
        kernel: Option<&Kernel>,
    ) -> Result<Store, Failure> {
        let path = &settings.config.state;
        let lock = StateFile::lock(path).map_err(Failure::failed)?;
        let keys = Keys::of(&settings.config.settings);
        let words = words(&lock, path, &keys)?;
        // For as long as the process lives: workers and the control plane look at it to the end.
        let words: &'static Words = Box::leak(Box::new(words));
        let file = Memory::open(words).map_err(Failure::failed)?;
        let memory = kernel.map_or(file, |kernel| kernel.state().memory());
        memory.copy_from(&file);
        memory.begin(Timestamp::now().as_nanos(), keep_positions);
        if let Some(kernel) = kernel {
            kernel.state().begin();
        }
        let store = Store { words, file, memory, pinned: None, _lock: Arc::new(lock) };
        store.copy();
        // So that not even a loss of power gives a number twice.
        store.sync().map_err(|error| {
            Failure::failed(format_args!("state file {}: {error}", path.display()))
        })?;
        Ok(store)
    }

    /// From now on the kernel's words outlive the process: to be called before it may trade.
    ///
    /// # Errors
    /// Without the rights for it.
    pub fn pin(&mut self, settings: &Settings, kernel: &Kernel) -> Result<(), Failure> {
        let pin = Pin::of(&settings.config.state)?;
        let boot = this_boot()?;
        pin.put(kernel.words())?;
        self.boot().store(boot, Relaxed);
        self.pinned = Some(pin);
        Ok(())
    }

    fn boot(&self) -> &'static AtomicU64 {
        &self.words[self.words.len() - BOOT_WORDS]
    }

    /// What it holds.
    pub fn memory(&self) -> Memory<'static> {
        self.memory
    }

    /// Brings the file up to date, where it is a copy. With the desk held: what belongs together is
    /// whole then.
    pub fn copy(&self) {
        self.file.copy_from(&self.memory);
    }

    /// Writes it to the disk: what it says outlives even a loss of power then.
    ///
    /// # Errors
    /// What the system said.
    pub fn sync(&self) -> io::Result<()> {
        self.words.sync()
    }

    /// Notes that the run ended in good order; nothing trades any more.
    pub fn end(&self) {
        self.memory.end();
        self.copy();
        self.boot().store(0, Relaxed);
        if let Err(error) = self.sync() {
            say(format_args!("tickwire: the state file could not be written: {error}\n"));
        }
        if let Some(Err(Failure::Failed(why))) = self.pinned.as_ref().map(Pin::remove) {
            say(format_args!("tickwire: {why}\n"));
        }
    }
}

/// The words of the file: as they were, or made of what was known of the same feeds, targets and
/// instruments.
fn words(lock: &StateFile, path: &Path, keys: &Keys) -> Result<Words, Failure> {
    let count = keys.words() + BOOT_WORDS;
    let Some(words) = lock.open().map_err(Failure::failed)? else {
        say(format_args!(
            "tickwire: {} is new: nothing is known of earlier runs\n",
            path.display()
        ));
        let new = lock.create(count, |words| {
            Memory::create(words, keys);
        });
        return new.map_err(Failure::failed);
    };
    let file = Memory::open(&words)
        .map_err(|error| Failure::failed(format_args!("state file {}: {error}", path.display())))?;
    let left = left_in_kernel(&words, &file, path)?;
    if left.is_none() && file.keys() == *keys && words.len() == count {
        return Ok(words);
    }
    let old = match &left {
        Some((pin, words)) => State::retire(words.words()).map_err(|error| pin.lost(&error))?,
        None => file,
    };
    let new = lock.create(count, |words| Memory::create(words, keys).take_over(&old));
    let new = new.map_err(Failure::failed)?;
    left.map_or(Ok(()), |(pin, _)| pin.remove())?;
    Ok(new)
}

/// What a killed process has left in the kernel, if it is newer than its file.
fn left_in_kernel(
    words: &Words,
    file: &Memory<'_>,
    path: &Path,
) -> Result<Option<(Pin, bpf::Words)>, Failure> {
    let boot = words.get(file.keys().words()).map_or(0, |boot| boot.load(Relaxed));
    if boot == 0 {
        return Ok(None);
    }
    if boot != this_boot()? {
        say(format_args!(
            "tickwire: the machine was restarted while rules ran in the kernel: what {} knows of \
             positions and of what was answered may be some moments older\n",
            path.display()
        ));
        return Ok(None);
    }
    let pin = Pin::of(path)?;
    let left = pin.open()?;
    Ok(Some((pin, left)))
}
