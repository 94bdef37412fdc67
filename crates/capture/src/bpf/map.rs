//! eBPF maps: memory that a program and user space share.

use super::sys::{Attr, Command, bpf, bpf_fd, object_name};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The kinds of map that we use (`enum bpf_map_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    /// Any key, any value.
    Hash = 1,
    /// Keys 0 to n − 1 (u32), values zero at first.
    Array = 2,
    /// u32 → program, to go on in (tail calls).
    ProgArray = 3,
    /// A hash with one value per CPU.
    PerCpuHash = 5,
    /// An array with one value per CPU: counters without atomics.
    PerCpuArray = 6,
    /// u32 → map.
    ArrayOfMaps = 12,
    /// u32 → interface index (u32), or index and program (two u32), for redirects.
    DevMap = 14,
    /// u32 → AF_XDP socket.
    XskMap = 17,
    /// As `DevMap`, with any u32 as key.
    DevMapHash = 25,
}

impl MapKind {
    fn is_per_cpu(self) -> bool {
        matches!(self, MapKind::PerCpuHash | MapKind::PerCpuArray)
    }
}

/// An eBPF map.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    kind: MapKind,
    key_size: usize,
    value_size: usize,
    /// How many values a lookup brings: the possible CPUs of a per-CPU map, else 1.
    copies: usize,
}

#[repr(C)]
#[derive(Default)]
pub(super) struct CreateAttr {
    pub map_type: u32,
    /// Sizes in bytes.
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub map_flags: u32,
    pub inner_map_fd: u32,
    pub numa_node: u32,
    pub map_name: [u8; 16],
}

// SAFETY: the head of the BPF_MAP_CREATE part of `union bpf_attr`; no pointers, no padding.
unsafe impl Attr for CreateAttr {}

#[repr(C)]
struct ElementAttr {
    map_fd: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

// SAFETY: the BPF_MAP_*_ELEM part of `union bpf_attr`. `Map` alone fills it, with pointers to
// slices whose sizes it has checked against those of the map.
unsafe impl Attr for ElementAttr {}

#[repr(C)]
struct BatchAttr {
    before: u64,
    after: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    element_flags: u64,
    flags: u64,
}

// SAFETY: the BPF_MAP_LOOKUP_BATCH part of `union bpf_attr`; no padding. `Map` alone fills it, with
// pointers to memory for as many keys and values as it asks for.
unsafe impl Attr for BatchAttr {}

impl Map {
    /// Creates a map for `entries_max` entries; sizes in bytes. `name` shows in `bpftool map`.
    ///
    /// # Errors
    /// EPERM without CAP_BPF; EINVAL for sizes that the kind does not allow.
    pub fn create(
        name: &str,
        kind: MapKind,
        key_size: usize,
        value_size: usize,
        entries_max: u32,
    ) -> io::Result<Map> {
        Self::make(name, kind, [key_size, value_size], entries_max, 0)
    }

    /// An array with room for one map like `inner`.
    pub(super) fn of_maps(name: &str, inner: &Map) -> io::Result<Map> {
        let inner = inner.fd.as_raw_fd() as u32;
        Self::make(name, MapKind::ArrayOfMaps, [4, 4], 1, inner)
    }

    fn make(
        name: &str,
        kind: MapKind,
        [key_size, value_size]: [usize; 2],
        entries_max: u32,
        inner_map_fd: u32,
    ) -> io::Result<Map> {
        let mut attr = CreateAttr {
            map_type: kind as u32,
            key_size: key_size as u32,
            value_size: value_size as u32,
            max_entries: entries_max,
            inner_map_fd,
            map_name: object_name(name),
            ..CreateAttr::default()
        };
        let copies = if kind.is_per_cpu() { possible_cpus()? } else { 1 };
        let fd = bpf_fd(Command::MapCreate, &mut attr)?;
        Ok(Map { fd, kind, key_size, value_size, copies })
    }

    /// The kind that it was created as.
    pub fn kind(&self) -> MapKind {
        self.kind
    }

    /// The value of `key`, if it has one. A per-CPU map gives one value per possible CPU, one
    /// after the other, each padded to a multiple of 8 bytes.
    pub fn lookup(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; self.transfer_size()];
        let mut attr = self.element(key, value.as_mut_ptr() as u64, 0);
        match bpf(Command::MapLookup, &mut attr) {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The u64 at u32 `key`, summed over the CPUs of a per-CPU map; 0 when there is no entry.
    pub fn counter(&self, key: u32) -> io::Result<u64> {
        assert_eq!(self.value_size, 8, "a counter is a u64");
        Ok(self.words(key)?.iter().sum())
    }

    /// The value of u32 `key` as u64, of a per-CPU map that of each [possible CPU](possible_cpus),
    /// one after the other; nothing without an entry.
    pub fn words(&self, key: u32) -> io::Result<Vec<u64>> {
        let value = self.lookup(&key.to_ne_bytes())?.unwrap_or_default();
        let (words, _) = value.as_chunks::<8>();
        Ok(words.iter().map(|&word| u64::from_ne_bytes(word)).collect())
    }

    /// The values at keys 0 to `count` − 1 of an array in one system call, key by key, as
    /// [`words`](Self::words) gives them.
    ///
    /// # Errors
    /// EINVAL for other kinds of map, and before Linux 5.13 for those with values for each CPU.
    pub fn values(&self, count: u32) -> io::Result<Vec<u64>> {
        assert_eq!((self.key_size, self.value_size % 8), (4, 0), "u64 at u32");
        let len = count as usize;
        let words = self.transfer_size() / 8;
        let (mut keys, mut values) = (vec![0u32; len], vec![0u64; len * words]);
        let mut last = 0u32;
        let mut attr = BatchAttr {
            before: 0,
            after: std::ptr::from_mut(&mut last) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count,
            map_fd: self.fd.as_raw_fd() as u32,
            element_flags: 0,
            flags: 0,
        };
        match bpf(Command::MapLookupBatch, &mut attr) {
            Ok(_) => {}
            // That was all there is.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
        values.truncate(attr.count as usize * words);
        Ok(values)
    }

    /// Sets the value of `key`, whether it had one or not.
    ///
    /// # Errors
    /// E2BIG when the map is full or the key is beyond an array.
    pub fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        assert_eq!(value.len(), self.transfer_size(), "the value size of the map");
        let mut attr = self.element(key, value.as_ptr() as u64, 0);
        bpf(Command::MapUpdate, &mut attr).map(drop)
    }

    /// Sets the value of u32 `key` to zero, on all CPUs.
    ///
    /// # Errors
    /// E2BIG when the key is beyond an array.
    pub fn clear(&self, key: u32) -> io::Result<()> {
        self.update(&key.to_ne_bytes(), &vec![0; self.transfer_size()])
    }

    /// Removes `key`; whether it was there.
    pub fn delete(&self, key: &[u8]) -> io::Result<bool> {
        let mut attr = self.element(key, 0, 0);
        match bpf(Command::MapDelete, &mut attr) {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn element(&self, key: &[u8], value: u64, flags: u64) -> ElementAttr {
        assert_eq!(key.len(), self.key_size, "the key size of the map");
        let map_fd = self.fd.as_raw_fd() as u32;
        ElementAttr { map_fd, zero: 0, key: key.as_ptr() as u64, value, flags }
    }

    /// Bytes that the kernel copies on a lookup or update.
    fn transfer_size(&self) -> usize {
        if self.kind.is_per_cpu() {
            self.value_size.next_multiple_of(8) * self.copies
        } else {
            self.value_size
        }
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How many CPUs this kernel may ever have: the number of values of a per-CPU map.
pub fn possible_cpus() -> io::Result<usize> {
    let path = "/sys/devices/system/cpu/possible";
    let text = std::fs::read_to_string(path)?;
    parse_cpu_list(&text).ok_or_else(|| io::Error::other(format!("{path}: not a list: {text:?}")))
}

/// One more than the highest CPU of a list like `0-3,8`.
fn parse_cpu_list(text: &str) -> Option<usize> {
    let last = text.trim().rsplit([',', '-']).next()?;
    last.parse::<usize>().ok().map(|highest| highest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_parse() {
        assert_eq!(parse_cpu_list("0-3\n"), Some(4));
        assert_eq!(parse_cpu_list("0"), Some(1));
        assert_eq!(parse_cpu_list("0-3,8-11"), Some(12));
        assert_eq!(parse_cpu_list(""), None);
        assert_eq!(parse_cpu_list("none"), None);
    }

    /// Runs when it may: needs CAP_BPF.
    fn create(kind: MapKind, value_size: usize, entries: u32) -> Option<Map> {
        match Map::create("tickwire_test", kind, 4, value_size, entries) {
            Ok(map) => Some(map),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("SKIPPED: creating an eBPF map needs CAP_BPF (run as root)");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn hash_remembers_and_forgets() {
        let Some(map) = create(MapKind::Hash, 2, 2) else { return };
        let (key, other) = (1u32.to_ne_bytes(), 2u32.to_ne_bytes());
        assert_eq!(map.lookup(&key).unwrap(), None);
        map.update(&key, &[7, 8]).unwrap();
        map.update(&other, &[9, 9]).unwrap();
        let full = map.update(&3u32.to_ne_bytes(), &[1, 1]).unwrap_err();
        assert_eq!(full.raw_os_error(), Some(libc::E2BIG));
        assert_eq!(map.lookup(&key).unwrap().unwrap(), [7, 8]);
        assert!(map.delete(&key).unwrap());
        assert!(!map.delete(&key).unwrap());
    }

    #[test]
    fn per_cpu_counters_are_summed() {
        let Some(map) = create(MapKind::PerCpuArray, 8, 1) else { return };
        let cpus = possible_cpus().unwrap();
        let values: Vec<u8> = (1..=cpus as u64).flat_map(|n| n.to_ne_bytes()).collect();
        map.update(&0u32.to_ne_bytes(), &values).unwrap();
        let sum = (cpus * (cpus + 1) / 2) as u64;
        assert_eq!(map.counter(0).unwrap(), sum);
        let each: Vec<u64> = (1..=cpus as u64).collect();
        assert_eq!(map.values(1).unwrap(), each);
        assert_eq!(map.values(2).unwrap(), each, "as many as there are");
    }
}
