//! Which processes have AF_XDP sockets: their rings show among the mappings in /proc.
//!
//! Best effort, for an error message only: the processes of others are seen by root alone. (The
//! kernel can name socket and queue over sock_diag(7), but few are built with that.)

use std::fs;
use std::time::{Duration, Instant};

/// The most processes that are named.
const PROCESSES_MAX: usize = 4;
/// A crowded machine shall not hold up an error message, in milliseconds.
const SEARCH_MS_MAX: u64 = 500;

/// The processes that have AF_XDP sockets, in words: `1234 (name)`.
pub(super) fn processes() -> Vec<String> {
    let deadline = Instant::now() + Duration::from_millis(SEARCH_MS_MAX);
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let holders =
        processes.flatten().take_while(|_| Instant::now() < deadline).filter_map(|entry| {
            let pid: u32 = entry.file_name().to_string_lossy().parse().ok()?;
            let maps = fs::read_to_string(entry.path().join("maps")).ok()?;
            maps.lines().any(is_fill_ring).then(|| {
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                format!("{pid} ({})", name.trim())
            })
        });
    holders.take(PROCESSES_MAX).collect()
}

/// Whether a line of /proc/PID/maps is the fill ring of an AF_XDP socket: a socket, mapped at the
/// offset that only this ring has.
fn is_fill_ring(line: &str) -> bool {
    let fill_ring = libc::XDP_UMEM_PGOFF_FILL_RING;
    let offset = line.split_ascii_whitespace().nth(2);
    line.contains(" socket:[")
        && offset.and_then(|text| u64::from_str_radix(text, 16).ok()) == Some(fill_ring)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fill_ring_of_a_socket_counts() {
        let place = "7f6c41406000-7f6c41417000 rw-s";
        assert!(is_fill_ring(&format!("{place} 100000000 00:08 4711      socket:[4711]")));
        assert!(!is_fill_ring(&format!("{place} 00000000 00:08 4711      socket:[4711]")));
        assert!(!is_fill_ring(&format!("{place} 100000000 00:08 4711     /tmp/file")));
        assert!(!is_fill_ring(""));
    }
}
