//! A lab with a time limit, numbered frames, a plain sender and a flood.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig};
use tickwire_capture::bpf::asm::{Assembler, Helper, Reg};
use tickwire_capture::bpf::{Instruction, Program};
use tickwire_capture::{Port, Received};
use tickwire_frame::{Batch, Frame, Ledger};
use tickwire_lab::{End, Lab, LabConfig};

/// No test takes longer.
pub const TEST_LIMIT: Duration = Duration::from_secs(30);
/// No test waits longer for one thing.
pub const LIMIT: Duration = Duration::from_secs(5);
/// IEEE 802 "local experimental" ethertype: nobody else sends it.
pub const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// Runs `test` in a lab, on a thread in the namespace of its right end; fails when it takes too
/// long.
pub fn in_lab(test: impl FnOnce(&Lab) + Send + 'static) {
    in_lab_as(LabConfig { ipv6: false, ..LabConfig::default() }, test);
}

pub fn in_lab_as(config: LabConfig, test: impl FnOnce(&Lab) + Send + 'static) {
    let (done, finished) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        let lab = Lab::veth(config).unwrap();
        lab.right.run(|| test(&lab));
        done.send(()).unwrap();
    });
    if let Err(mpsc::RecvTimeoutError::Timeout) = finished.recv_timeout(TEST_LIMIT) {
        panic!("the test did not end within {TEST_LIMIT:?}");
    }
    if let Err(panic) = worker.join() {
        std::panic::resume_unwind(panic);
    }
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

/// A packet socket: sends frame by frame through the normal path of the kernel, and receives what
/// the host would.
pub struct Raw {
    fd: OwnedFd,
    index: i32,
}

impl Raw {
    pub fn new(end: &End) -> Self {
        let index = end.index().unwrap() as i32;
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let protocol = i32::from(u16::from_be_bytes(ETHERTYPE).to_be());
        // SAFETY: no pointers; the descriptor is new.
        let fd = end
            .run(|| unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_PACKET, kind, protocol)) });
        let room: i32 = 16 << 20;
        // SAFETY: the value is live and its length is right.
        unsafe {
            let value = (&raw const room).cast();
            libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, value, 4);
        }
        Raw { fd, index }
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

    /// Sends frames numbered from `first`.
    pub fn send_numbered(&self, first: u64, count: u64) {
        for number in first..first + count {
            self.send(&numbered(number, 60)).unwrap();
        }
    }

    /// What has arrived on the host's stack.
    pub fn take(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut buffer = [0u8; 16384];
        loop {
            // SAFETY: the buffer is live and its length is right.
            let len = unsafe {
                libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0)
            };
            let Ok(len) = usize::try_from(len) else { return frames };
            frames.push(buffer[..len].to_vec());
        }
    }
}

/// Sends `count` copies of `frame` out of `end`, some million a second; returns when they are out.
/// The other end must run XDP.
pub fn flood(end: &End, frame: &[u8], count: u32) {
    let program = redirector(end.index().unwrap());
    end.run(|| program.send_live(frame, 0, count, 64)).unwrap();
}

/// A program that redirects everything to the interface `index`.
fn redirector(index: u32) -> Program {
    let mut asm = Assembler::new();
    asm.mov(Reg::R1, index as i32);
    asm.mov(Reg::R2, 0);
    asm.call(Helper::Redirect);
    asm.exit();
    let code: Vec<Instruction> = asm.finish().unwrap();
    Program::load_xdp("test_flood", &code).unwrap()
}

/// A port on queue 0 of `end`; call it inside its namespace.
pub fn open(end: &End, change: impl FnOnce(&mut AfXdpConfig)) -> AfXdp {
    let mut config = AfXdpConfig::new(end.name());
    change(&mut config);
    AfXdp::open(&config, &[0]).unwrap().remove(0)
}

/// Receives until `count` frames have come or the time is over.
pub fn collect(port: &mut AfXdp, count: usize, mut look: impl FnMut(Frame<'_>)) -> usize {
    let deadline = Instant::now() + LIMIT;
    let mut seen = 0;
    while seen < count && Instant::now() < deadline {
        seen += take(port, &mut look);
        if seen < count {
            port.wait(Duration::from_millis(10)).unwrap();
        }
    }
    seen
}

/// Receives until nothing is there.
pub fn take(port: &mut AfXdp, mut look: impl FnMut(Frame<'_>)) -> usize {
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

/// Stops the port, reads what is left, closes its account, and checks it: all frames are where
/// they belong, and nothing is missing.
pub fn finish(port: &mut AfXdp, ledger: &mut Ledger) -> u64 {
    port.quiesce().unwrap();
    let seen = take(port, |_| {}) as u64;
    count_in(ledger, seen);
    port.tick(ledger).unwrap();
    assert_eq!(ledger.difference(), 0);
    assert_eq!(port.frame_count().held, 0);
    seen
}

/// Enters frames that were read.
pub fn count_in(ledger: &mut Ledger, count: u64) {
    ledger.received += count;
    ledger.delivered += count;
}

/// A counter of the port by its name.
pub fn counter(port: &mut AfXdp, name: &str) -> u64 {
    let counters = port.kernel_counters();
    let counter = counters.iter().find(|counter| counter.name == name);
    counter.unwrap_or_else(|| panic!("no {name} in {counters:?}")).value
}

/// Ticks ten times a second, as the engine does, until `done` or the limit; how long that took.
pub fn tick_until(
    port: &mut AfXdp,
    ledger: &mut Ledger,
    mut done: impl FnMut(&mut AfXdp) -> bool,
) -> Duration {
    let start = Instant::now();
    loop {
        port.tick(ledger).unwrap();
        if done(port) {
            return start.elapsed();
        }
        assert!(start.elapsed() < LIMIT, "did not happen in time: {:?}", port.frame_count());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The text of the error that opening a port on queue 0 gives.
pub fn open_error(end: &End, change: impl FnOnce(&mut AfXdpConfig)) -> String {
    let mut config = AfXdpConfig::new(end.name());
    change(&mut config);
    AfXdp::open(&config, &[0]).expect_err("opened").to_string()
}
