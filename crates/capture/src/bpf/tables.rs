//! The tables of a filter, in maps.

use super::{Map, MapKind};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use tickwire_filter::ebpf::Xdp;

/// The maps that a filter looks into. The kernel keeps them for as long as a program uses them, so
/// this may go once the program is loaded.
#[derive(Debug)]
pub struct Tables {
    maps: Vec<Map>,
}

impl Tables {
    /// Creates and fills them.
    ///
    /// # Errors
    /// EPERM without CAP_BPF; ENOMEM.
    pub fn of(filter: &Xdp) -> io::Result<Tables> {
        let map = |table: &tickwire_filter::ebpf::Table| {
            let map = Map::create("tickwire_list", MapKind::Array, 4, table.bytes.len(), 1)?;
            map.update(&0u32.to_ne_bytes(), &table.bytes)?;
            Ok(map)
        };
        Ok(Tables { maps: filter.tables().iter().map(map).collect::<io::Result<_>>()? })
    }

    /// Their descriptors, in the order of the filter's tables.
    pub fn fds(&self) -> Vec<RawFd> {
        self.maps.iter().map(|map| map.as_fd().as_raw_fd()).collect()
    }
}
