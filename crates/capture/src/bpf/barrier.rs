//! Waiting for programs that run.

use super::{Map, MapKind};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Waits until every program that runs at this moment has ended, with all that the kernel does in
/// the same go: what it counted by then can be followed to its end.
///
/// The kernel waits so after a map in a map was exchanged, that no program still uses the old one
/// (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c). The same `synchronize_rcu` is behind
/// membarrier(2), which machines with `nohz_full` refuse.
#[derive(Debug)]
pub struct Barrier {
    outer: Map,
    inner: Map,
}

impl Barrier {
    /// # Errors
    /// EPERM without CAP_BPF.
    pub fn new() -> io::Result<Barrier> {
        let inner = Map::create("tickwire_inner", MapKind::Array, 4, 4, 1)?;
        Ok(Barrier { outer: Map::of_maps("tickwire_outer", &inner)?, inner })
    }

    /// Waits, mostly some milliseconds.
    pub fn wait(&self) -> io::Result<()> {
        self.outer.update(&[0; 4], &self.inner.as_fd().as_raw_fd().to_ne_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_ever() {
        match Barrier::new() {
            Ok(barrier) => (0..3).for_each(|_| barrier.wait().unwrap()),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("SKIPPED: creating an eBPF map needs CAP_BPF (run as root)");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
