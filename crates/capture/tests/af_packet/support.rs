//! Numbered frames, a plain sender, and loops with a time limit.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::{Port, Received};
use tickwire_frame::{Batch, Frame, Ledger};
use tickwire_lab::{End, Lab, LabConfig};

/// No test waits longer for frames.
pub const LIMIT: Duration = Duration::from_secs(5);
/// IEEE 802 "local experimental" ethertype: nobody else sends it.
pub const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// A lab on which nothing passes that the test did not send.
pub fn quiet_lab() -> Lab {
    Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).unwrap()
}

/// An Ethernet frame with a number behind its header, 60 bytes or `len` if that is more.
pub fn numbered(number: u64, len: usize) -> Vec<u8> {
    let mut frame = vec![0; len.max(60)];
    frame[..6].copy_from_slice(&[0x02, 0, 0, 0, 0x77, 2]);
    frame[6..12].copy_from_slice(&[0x02, 0, 0, 0, 0x77, 1]);
    frame[12..14].copy_from_slice(&ETHERTYPE);
    frame[14..22].copy_from_slice(&number.to_be_bytes());
    frame
}

/// The number in a [`numbered`] frame.
pub fn number(bytes: &[u8]) -> u64 {
    assert_eq!(bytes[12..14], ETHERTYPE, "not a frame of this test: {bytes:02x?}");
    u64::from_be_bytes(bytes[14..22].try_into().unwrap())
}

/// An IPv4 UDP frame of flow `flow` with a number as payload.
pub fn udp(flow: u16, number: u64) -> Vec<u8> {
    let mut frame = numbered(0, 60);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14..34]
        .copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2]);
    frame[34..36].copy_from_slice(&(10_000 + flow).to_be_bytes());
    frame[36..42].copy_from_slice(&[0x13, 0x88, 0, 26, 0, 0]);
    frame[42..50].copy_from_slice(&number.to_be_bytes());
    frame
}

/// A packet socket that only sends, frame by frame, through the normal path of the kernel.
pub struct Sender {
    fd: OwnedFd,
    index: i32,
}

impl Sender {
    pub fn new(end: &End) -> Self {
        let index = end.index().unwrap() as i32;
        // SAFETY: no pointers; the descriptor is new.
        let fd = end.run(|| unsafe {
            OwnedFd::from_raw_fd(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0))
        });
        Sender { fd, index }
    }

    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: plain data, for which zeros are valid.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = self.index;
        // SAFETY: both buffers are live and their lengths are right.
        let sent = unsafe {
            let (data, len) = (frame.as_ptr().cast(), frame.len());
            let to_len = size_of::<libc::sockaddr_ll>() as u32;
            libc::sendto(self.fd.as_raw_fd(), data, len, 0, (&raw const to).cast(), to_len)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// What `end` sees, with one worker.
pub fn open(end: &End, change: impl FnOnce(&mut AfPacketConfig) + Send) -> AfPacket {
    open_workers(end, 1, change).remove(0)
}

pub fn open_workers(
    end: &End,
    workers: usize,
    change: impl FnOnce(&mut AfPacketConfig) + Send,
) -> Vec<AfPacket> {
    let mut config = AfPacketConfig::new(end.name());
    change(&mut config);
    end.run(|| AfPacket::open(&config, workers)).unwrap()
}

/// Receives until `count` frames have come or the time is over.
pub fn collect(port: &mut AfPacket, count: usize, mut look: impl FnMut(Frame<'_>)) -> usize {
    let deadline = Instant::now() + LIMIT;
    let mut seen = 0;
    while seen < count && Instant::now() < deadline {
        seen += take(port, &mut look);
        port.wait(Duration::from_millis(10)).unwrap();
    }
    seen
}

/// Receives until nothing is there.
pub fn take(port: &mut AfPacket, mut look: impl FnMut(Frame<'_>)) -> usize {
    let mut seen = 0;
    loop {
        let mut batch = Batch::new();
        if port.receive(&mut batch).unwrap() != Received::Frames {
            return seen;
        }
        batch.iter().for_each(&mut look);
        seen += batch.len();
    }
}

/// Stops the port, reads what is left, and closes its account.
pub fn finish(port: &mut AfPacket, ledger: &mut Ledger, mut look: impl FnMut(Frame<'_>)) {
    port.quiesce().unwrap();
    let seen = take(port, &mut look) as u64;
    ledger.received += seen;
    ledger.delivered += seen;
    port.tick(ledger).unwrap();
    assert_eq!(ledger.difference(), 0);
}

/// A counter of the port by its name.
pub fn counter(port: &mut AfPacket, name: &str) -> u64 {
    let counters = port.kernel_counters();
    counters.iter().find(|counter| counter.name == name).expect(name).value
}

/// Ticks ten times a second, as the engine does, until `done` or the limit; how long that took.
pub fn tick_until(
    ports: &mut [AfPacket],
    ledger: &mut Ledger,
    mut done: impl FnMut(&mut [AfPacket]) -> bool,
) -> Duration {
    let start = Instant::now();
    while !done(ports) {
        assert!(start.elapsed() < LIMIT, "did not happen in time");
        for port in ports.iter_mut() {
            port.tick(ledger).unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    start.elapsed()
}
