//! Cores: which there are, staying on one, and the time spent there.

use crate::error::{LabError, Tried};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::time::Duration;

/// The cores that this thread may run on.
pub fn cores() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect()
}

/// Keeps the calling thread, and threads that it starts later, on one core.
///
/// # Errors
/// EINVAL when this process may not run there ([`cores`]).
pub fn pin(core: usize) -> Result<(), LabError> {
    let what = || format!("pin a thread to core {core}");
    if core >= CpuSet::MAX_CPU {
        return Err(LabError::new(what(), rustix::io::Errno::INVAL));
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).tried(what)
}

/// Processor time that the calling thread has used, in user and in system mode.
pub fn thread_time() -> (Duration, Duration) {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for a write of one rusage, and all zero bytes are one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    let duration = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    (duration(usage.ru_utime), duration(usage.ru_stime))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_pinned_thread_and_its_children_stay() {
        let core = *cores().last().unwrap();
        std::thread::spawn(move || {
            pin(core).unwrap();
            assert_eq!(cores(), [core]);
            std::thread::spawn(move || assert_eq!(cores(), [core])).join().unwrap();
        })
        .join()
        .unwrap();
    }

    #[test]
    fn impossible_cores_are_refused() {
        assert!(pin(CpuSet::MAX_CPU).unwrap_err().to_string().contains("core 1024"));
    }

    #[test]
    fn work_takes_processor_time_and_sleep_does_not() {
        let spent = || thread_time().0 + thread_time().1;
        let (start, before) = (Instant::now(), spent());
        while spent() - before < Duration::from_millis(20) {
            assert!(start.elapsed() < Duration::from_secs(10));
        }
        let before = spent();
        std::thread::sleep(Duration::from_millis(50));
        assert!(spent() - before < Duration::from_millis(20));
    }
}
