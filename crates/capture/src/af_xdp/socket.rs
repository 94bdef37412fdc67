//! One AF_XDP socket: its rings and the descriptor, made together and closed in order. It has two
//! halves, for receiving and for sending, which may go different ways.

use super::config::CopyMode;
use super::sys;
use super::umem::Umem;
use crate::mapping::Mapping;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tickwire_rings::{Consumer, Descriptor, Parts, Producer, RING_SIZE_MAX};

/// How long a bind may find the queue busy: a socket that was just closed, by us or by a process
/// that was killed, is released by the kernel some 20 ms later.
pub(super) const BIND_MS_MAX: u64 = 1000;
/// Pause between two attempts.
const BIND_RETRY_MS: u64 = 10;

/// Smallest ring that makes sense, in entries.
const RING_SIZE_MIN: u32 = 64;
/// The smallest fill ring that the kernel makes, in entries.
const FILL_SIZE_MIN: u32 = 1;
const DESCRIPTOR_BYTES: usize = size_of::<Descriptor>();

/// Sizes of the four rings, in entries: powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RingSizes {
    pub fill: u32,
    pub completion: u32,
    pub rx: u32,
    pub tx: u32,
}

/// A ring that the kernel makes, and that is worth it, for `asked` entries.
pub(super) fn ring_size(asked: u32) -> u32 {
    asked.clamp(RING_SIZE_MIN, RING_SIZE_MAX / 4).next_power_of_two()
}

/// The receiving half. **Field order is drop order**: the rings' mappings must be gone before the
/// descriptor is closed. The other way round the kernel never frees the queue: a mapping keeps the
/// socket alive, and every later bind gets EBUSY.
#[derive(Debug)]
pub(super) struct RxHalf {
    pub fill: Producer<u64, Mapping>,
    pub rx: Consumer<Descriptor, Mapping>,
    pub socket: Socket,
}

/// The sending half; the order of the fields is as important.
#[derive(Debug)]
pub(super) struct TxHalf {
    pub completion: Consumer<u64, Mapping>,
    pub tx: Producer<Descriptor, Mapping>,
    pub socket: Socket,
}

/// The descriptor, closed with the last half.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    fd: Arc<OwnedFd>,
}

/// A socket over `umem`, with its four rings, not bound yet.
pub(super) fn open(umem: &Umem, sizes: RingSizes) -> io::Result<(RxHalf, TxHalf)> {
    let socket = Socket::new(umem, sizes.fill)?;
    let fd = socket.as_fd();
    sys::set(fd, libc::SOL_XDP, libc::XDP_RX_RING, sizes.rx)?;
    let sending = TxHalf::new(&socket, sizes.completion, sizes.tx)?;
    let at: libc::xdp_mmap_offsets = sys::get(fd, libc::XDP_MMAP_OFFSETS)?;
    let fill = RingMemory::map(fd, &at.fr, 8, sizes.fill, libc::XDP_UMEM_PGOFF_FILL_RING as i64)?;
    let rx = RingMemory::map(fd, &at.rx, DESCRIPTOR_BYTES, sizes.rx, libc::XDP_PGOFF_RX_RING)?;
    // SAFETY: each ring's parts point into its mapping, which goes along as its owner; the kernel
    // has the other end of each, we have just made ours, and any bits are valid entries.
    let (fill, rx) = unsafe {
        (
            Producer::from_parts(fill.parts(), fill.memory),
            Consumer::from_parts(rx.parts(), rx.memory),
        )
    };
    Ok((RxHalf { fill, rx, socket }, sending))
}

/// A socket over `umem` that only sends, not bound yet. The kernel asks for a fill ring all the
/// same; it stays empty.
pub(super) fn open_to_send(umem: &Umem, tx: u32) -> io::Result<TxHalf> {
    TxHalf::new(&Socket::new(umem, FILL_SIZE_MIN)?, tx, tx)
}

impl TxHalf {
    fn new(socket: &Socket, completion: u32, tx: u32) -> io::Result<Self> {
        let fd = socket.as_fd();
        sys::set(fd, libc::SOL_XDP, libc::XDP_UMEM_COMPLETION_RING, completion)?;
        sys::set(fd, libc::SOL_XDP, libc::XDP_TX_RING, tx)?;
        let at: libc::xdp_mmap_offsets = sys::get(fd, libc::XDP_MMAP_OFFSETS)?;
        let page_offset = libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64;
        let completion = RingMemory::map(fd, &at.cr, 8, completion, page_offset)?;
        let tx = RingMemory::map(fd, &at.tx, DESCRIPTOR_BYTES, tx, libc::XDP_PGOFF_TX_RING)?;
        // SAFETY: as in `open`.
        let (completion, tx) = unsafe {
            (
                Consumer::from_parts(completion.parts(), completion.memory),
                Producer::from_parts(tx.parts(), tx.memory),
            )
        };
        Ok(TxHalf { completion, tx, socket: socket.clone() })
    }
}

impl Socket {
    /// A socket whose memory is `umem`, with a fill ring that is not mapped yet.
    fn new(umem: &Umem, fill: u32) -> io::Result<Self> {
        let fd = sys::socket()?;
        let (addr, len) = umem.region();
        let region = libc::xdp_umem_reg {
            addr,
            len,
            chunk_size: umem.frame_bytes(),
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        sys::set(fd.as_fd(), libc::SOL_XDP, libc::XDP_UMEM_REG, region)?;
        sys::set(fd.as_fd(), libc::SOL_XDP, libc::XDP_UMEM_FILL_RING, fill)?;
        Ok(Socket { fd: Arc::new(fd) })
    }

    /// Binds to a queue; waits while it is busy, up to [`BIND_MS_MAX`].
    pub fn bind(&self, ifindex: u32, queue: u32, flags: u16) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_millis(BIND_MS_MAX);
        loop {
            match sys::bind(self.fd.as_fd(), ifindex, queue, flags) {
                Err(error)
                    if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(BIND_RETRY_MS));
                }
                result => return result,
            }
        }
    }

    /// Whether the driver works on our frames without a copy.
    pub fn is_zero_copy(&self) -> io::Result<bool> {
        let options: libc::xdp_options = sys::get(self.as_fd(), libc::XDP_OPTIONS)?;
        Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// What the kernel has counted for this socket.
    pub fn statistics(&self) -> io::Result<libc::xdp_statistics> {
        sys::get(self.as_fd(), libc::XDP_STATISTICS)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Binds in the best mode that there is. Says why not without a copy, if so.
///
/// The kernel needs a copy when the program runs in the generic path; else the driver decides.
pub(super) fn bind_best(
    socket: &Socket,
    copy: CopyMode,
    generic: bool,
    ifindex: u32,
    queue: u32,
) -> io::Result<String> {
    let bind = |mode| socket.bind(ifindex, queue, mode | libc::XDP_USE_NEED_WAKEUP);
    match copy {
        CopyMode::ZeroCopy => bind(libc::XDP_ZEROCOPY).map(|()| String::new()),
        CopyMode::Copy => bind(libc::XDP_COPY).map(|()| "a copy was asked for".into()),
        CopyMode::Auto if generic => bind(libc::XDP_COPY).map(|()| String::new()),
        CopyMode::Auto => {
            let Err(error) = bind(libc::XDP_ZEROCOPY) else { return Ok(String::new()) };
            if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::ENETDOWN | libc::ENODEV)) {
                return Err(error);
            }
            bind(libc::XDP_COPY)?;
            Ok(format!("the driver has no zero-copy here ({error})"))
        }
    }
}

/// A mapped ring and where its parts are in it.
struct RingMemory {
    memory: Mapping,
    producer: usize,
    consumer: usize,
    flags: usize,
    entries: usize,
    size: u32,
}

impl RingMemory {
    fn map(
        fd: BorrowedFd<'_>,
        offsets: &libc::xdp_ring_offset,
        entry_bytes: usize,
        size: u32,
        page_offset: i64,
    ) -> io::Result<Self> {
        let entries = offsets.desc as usize;
        let memory = Mapping::shared(fd, entries + size as usize * entry_bytes, page_offset)?;
        let (producer, consumer) = (offsets.producer as usize, offsets.consumer as usize);
        let flags = offsets.flags as usize;
        let fits = |offset: usize| offset.is_multiple_of(4) && offset + 4 <= memory.len();
        if !(fits(producer) && fits(consumer) && fits(flags) && entries.is_multiple_of(8)) {
            return Err(io::Error::other("the kernel gave ring offsets outside of the ring"));
        }
        Ok(RingMemory { memory, producer, consumer, flags, entries, size })
    }

    fn parts<T>(&self) -> Parts<T> {
        let at = |offset: usize| {
            // SAFETY: `map` has checked that the offset lies in the mapping, which is not at 0.
            unsafe { NonNull::new_unchecked(self.memory.start().add(offset)) }
        };
        Parts {
            producer: at(self.producer).cast(),
            consumer: at(self.consumer).cast(),
            flags: at(self.flags).cast(),
            entries: at(self.entries).cast(),
            size: self.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::AfXdpConfig;
    use super::super::port::AfXdp;
    use super::*;
    use tickwire_lab::{Lab, LabConfig, require_root};

    const SIZES: RingSizes = RingSizes { fill: 64, completion: 64, rx: 64, tx: 64 };

    /// A socket on queue 0, with its memory.
    fn holder(ifindex: u32) -> (RxHalf, TxHalf, Umem) {
        let umem = Umem::new(2048, 128).unwrap();
        let (receiving, sending) = open(&umem, SIZES).unwrap();
        sending.socket.bind(ifindex, 0, libc::XDP_COPY).unwrap();
        (receiving, sending, umem)
    }

    fn try_once(ifindex: u32) -> io::Result<()> {
        let umem = Umem::new(2048, 128).unwrap();
        let sending = open_to_send(&umem, 64).unwrap();
        sys::bind(sending.socket.as_fd(), ifindex, 0, libc::XDP_COPY)
    }

    fn in_lab(test: impl FnOnce(&Lab, u32) + Send) {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).unwrap();
        let index = lab.right.index().unwrap();
        lab.right.run(|| test(&lab, index));
    }

    /// E3: the queue is held by somebody else: said within the deadline, with the cure.
    #[test]
    fn a_queue_that_is_held_is_named() {
        require_root!("a_queue_that_is_held_is_named");
        in_lab(|lab, index| {
            let held = holder(index);
            let start = Instant::now();
            let config = AfXdpConfig::new(lab.right.name());
            let error = AfXdp::open(&config, &[0]).unwrap_err().to_string();
            assert!(start.elapsed() < Duration::from_millis(BIND_MS_MAX + 500), "{error}");
            let process = format!("{} (", std::process::id());
            for words in ["queue 0 of right0", "busy", "stop", "--queues", &process] {
                assert!(error.contains(words), "{words:?} is not in {error:?}");
            }
            drop(held);
            AfXdp::open(&config, &[0]).unwrap();
        });
    }

    /// E3b: a socket that was just closed holds its queue for some 20 ms more.
    #[test]
    fn a_queue_that_was_just_closed_is_waited_for() {
        require_root!("a_queue_that_was_just_closed_is_waited_for");
        in_lab(|_, index| {
            for _ in 0..10 {
                drop(holder(index));
            }
        });
    }

    /// E3c: with the rings still mapped, closing the descriptor does not free the queue. So the
    /// rings must go first, as the order of the fields has it.
    #[test]
    fn the_rings_go_before_the_descriptor() {
        require_root!("the_rings_go_before_the_descriptor");
        in_lab(|_, index| {
            let (receiving, sending, _umem) = holder(index);
            let RxHalf { fill, rx, socket } = receiving;
            let TxHalf { completion, tx, socket: same } = sending;
            drop((socket, same));
            std::thread::sleep(Duration::from_millis(300));
            let busy = try_once(index).unwrap_err();
            assert_eq!(busy.raw_os_error(), Some(libc::EBUSY), "the wrong order");
            drop((fill, completion, rx, tx));
            drop(holder(index));
        });
    }

    #[test]
    fn a_queue_that_is_not_there_is_an_error() {
        require_root!("a_queue_that_is_not_there_is_an_error");
        in_lab(|lab, _| {
            let config = AfXdpConfig::new(lab.right.name());
            let error = AfXdp::open(&config, &[7]).unwrap_err().to_string();
            assert!(error.contains("queue 7 of right0") && error.contains("ethtool -l"), "{error}");
        });
    }
}
