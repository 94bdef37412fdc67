//! Words that a program and user space share in place.
//!
//! The map is an array with one value, which the kernel lets us map into memory
//! (`BPF_F_MMAPABLE`): a store is seen by the program at its next load, and the other way round.
//! What the words mean is not known here.

use super::map::CreateAttr;
use super::sys::{Attr, Command, bpf, bpf_fd, info, object_name};
use crate::mapping::Mapping;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;

/// The most words of a map: 64 MiB.
pub const WORDS_MAX: usize = (64 << 20) / WORD_BYTES;

const WORD_BYTES: usize = size_of::<AtomicU64>();
/// `BPF_MAP_TYPE_ARRAY`.
const TYPE_ARRAY: u32 = 2;
/// `BPF_F_MMAPABLE`.
const FLAG_MMAPABLE: u32 = 1 << 10;

#[repr(C)]
#[derive(Default)]
struct PathAttr {
    path: u64,
    fd: u32,
    flags: u32,
}

// SAFETY: the BPF_OBJ_PIN and BPF_OBJ_GET part of `union bpf_attr`; no padding. This module alone
// fills it, with a pointer to a live C string.
unsafe impl Attr for PathAttr {}

/// The head of `struct bpf_map_info`, six u32: type, id, key size, value size, entries, flags.
const INFO_BYTES: usize = 24;

/// A map of words, all of them 0 at first; any thread may read and write them.
///
/// A program gets their address with
/// [`load_map_value`](super::asm::Assembler::load_map_value), in bytes: word `n` is at 8 · n.
#[derive(Debug)]
pub struct Words {
    memory: Mapping,
    fd: OwnedFd,
}

impl Words {
    /// Creates a map of `count` words. `name` shows in `bpftool map`.
    ///
    /// # Errors
    /// EPERM without CAP_BPF; for no word or more than [`WORDS_MAX`]; ENOMEM.
    pub fn create(name: &str, count: usize) -> io::Result<Words> {
        if !(1..=WORDS_MAX).contains(&count) {
            let what = format!("{count} words: ask for 1 to {WORDS_MAX}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let mut attr = CreateAttr {
            map_type: TYPE_ARRAY,
            key_size: 4,
            value_size: (count * WORD_BYTES) as u32,
            max_entries: 1,
            map_flags: FLAG_MMAPABLE,
            map_name: object_name(name),
            ..CreateAttr::default()
        };
        Words::map(bpf_fd(Command::MapCreate, &mut attr)?, count)
    }

    /// The words that were pinned at `path`.
    ///
    /// # Errors
    /// ENOENT when there is nothing, EPERM without CAP_BPF; when something else is there.
    pub fn open(path: &Path) -> io::Result<Words> {
        let name = c_path(path)?;
        let mut attr = PathAttr { path: name.as_ptr() as u64, ..PathAttr::default() };
        let fd = bpf_fd(Command::ObjectGet, &mut attr)?;
        let mut bytes = [0; INFO_BYTES];
        info(fd.as_fd(), &mut bytes)?;
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| bytes[4 * at + byte]));
        let [kind, key_bytes, value_bytes, entries, flags] = [0, 2, 3, 4, 5].map(word);
        let not_ours = || {
            let path = path.display();
            let what = format!("{path} is no map of words: remove it, or name another place");
            io::Error::new(io::ErrorKind::InvalidData, what)
        };
        let count = value_bytes as usize / WORD_BYTES;
        let is_ours = (kind, key_bytes, entries) == (TYPE_ARRAY, 4, 1)
            && flags & FLAG_MMAPABLE != 0
            && value_bytes as usize == count * WORD_BYTES
            && (1..=WORDS_MAX).contains(&count);
        if !is_ours {
            return Err(not_ours());
        }
        // A program or link whose numbers happen to be these cannot be mapped.
        Words::map(fd, count).map_err(|_| not_ours())
    }

    fn map(fd: OwnedFd, count: usize) -> io::Result<Words> {
        let memory = Mapping::shared(fd.as_fd(), count * WORD_BYTES, 0)?;
        Ok(Words { memory, fd })
    }

    /// Gives the map a name on a file system of type `bpf` ([`pins::folder`](super::pins::folder)):
    /// it stays until the file is removed and nobody has it open any more.
    ///
    /// # Errors
    /// EEXIST when the name is taken, EPERM when `path` is not on such a file system.
    pub fn pin(&self, path: &Path) -> io::Result<()> {
        let path = c_path(path)?;
        let fd = self.fd.as_raw_fd() as u32;
        let mut attr = PathAttr { path: path.as_ptr() as u64, fd, flags: 0 };
        bpf(Command::ObjectPin, &mut attr).map(drop)
    }

    /// The words.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping begins at a page, is a whole number of words long, any bits of which
        // are a number, and stays until this value is dropped; what is written there meanwhile, by
        // us, a program or another process, are whole words.
        unsafe {
            let start = self.memory.start().cast_const().cast();
            std::slice::from_raw_parts(start, self.memory.len() / WORD_BYTES)
        }
    }
}

impl AsFd for Words {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::super::asm::{Alu, Assembler, Reg::*, Size, XdpAction};
    use super::super::{Map, MapKind, Program, pins};
    use super::*;
    use std::path::PathBuf;
    use std::sync::atomic::Ordering::{Acquire, Release};

    fn create(count: usize) -> Option<Words> {
        match Words::create("tickwire_test", count) {
            Ok(words) => Some(words),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("SKIPPED: creating an eBPF map needs CAP_BPF (run as root)");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A program that adds its word 511 to word 512, and puts 7 in the place of the former.
    fn program(words: &Words) -> Program {
        let mut asm = Assembler::new();
        asm.load_map_value(R6, words.as_fd().as_raw_fd(), 511 * 8);
        asm.mov(R2, 7);
        asm.atomic_exchange(R6, 0, R2);
        asm.load(Size::U64, R3, R6, 8);
        asm.alu(Alu::Add, R3, R2);
        asm.store(Size::U64, R6, 8, R3);
        asm.exit_with(XdpAction::Drop);
        Program::load_xdp("tickwire_test", &asm.finish().unwrap()).unwrap()
    }

    /// Over the end of a page, too: a page holds 512 words.
    #[test]
    fn a_program_and_we_see_the_same_words() {
        let Some(words) = create(513) else { return };
        assert_eq!(words.words().len(), 513);
        assert!(words.words().iter().all(|word| word.load(Acquire) == 0));
        words.words()[511].store(1 << 40, Release);
        words.words()[512].store(5, Release);
        let program = program(&words);
        program.test_run(&[0; 60], 1).unwrap();
        assert_eq!(words.words()[511].load(Acquire), 7);
        assert_eq!(words.words()[512].load(Acquire), (1 << 40) + 5);
        program.test_run(&[0; 60], 2).unwrap();
        assert_eq!(words.words()[512].load(Acquire), (1 << 40) + 5 + 14);
    }

    #[test]
    fn too_few_and_too_many_are_refused() {
        for count in [0, WORDS_MAX + 1, usize::MAX] {
            let error = Words::create("tickwire_test", count).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(&WORDS_MAX.to_string()), "{error}");
        }
    }

    /// Removes its name when the test ends, however it ends.
    struct Pinned(PathBuf);

    impl Pinned {
        fn new(name: &str) -> Self {
            let name = format!("test_{name}_{}", std::process::id());
            Pinned(pins::folder().unwrap().join(name))
        }
    }

    impl Drop for Pinned {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn pinned_words_outlive_who_made_them() {
        let Some(words) = create(3) else { return };
        let path = Pinned::new("outlive");
        let missing = Words::open(&path.0).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        words.pin(&path.0).unwrap();
        let taken = words.pin(&path.0).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        words.words()[2].store(42, Release);
        drop(words);
        let (one, other) = (Words::open(&path.0).unwrap(), Words::open(&path.0).unwrap());
        assert_eq!(one.words().len(), 3);
        assert_eq!(one.words()[2].load(Acquire), 42);
        one.words()[0].store(1, Release);
        assert_eq!(other.words()[0].load(Acquire), 1, "they are the same words");
    }

    #[test]
    fn what_is_pinned_and_no_words_is_refused() {
        let Some(words) = create(1) else { return };
        let array = Map::create("tickwire_test", MapKind::Array, 4, 8, 1).unwrap();
        let program = program(&create(513).unwrap());
        for (name, fd) in [("array", array.as_fd()), ("program", program.as_fd())] {
            let path = Pinned::new(name);
            let as_words =
                Words { memory: words_memory(&words), fd: fd.try_clone_to_owned().unwrap() };
            as_words.pin(&path.0).unwrap();
            let error = Words::open(&path.0).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("remove it"), "{error}");
        }
        let error = words.pin(Path::new("/tmp/tickwire_no_bpf")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        assert!(words.pin(Path::new("a\0b")).is_err());
    }

    fn words_memory(words: &Words) -> Mapping {
        Mapping::shared(words.as_fd(), WORD_BYTES, 0).unwrap()
    }
}
