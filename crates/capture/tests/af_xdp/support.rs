//! A lab with a time limit, numbered frames, a plain sender and a flood.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig, Selection};
use tickwire_capture::bpf::asm::{Assembler, Helper, Reg};
use tickwire_capture::bpf::{AttachMode, Instruction, Program};
use tickwire_capture::{Port, Received};
use tickwire_filter::ebpf::Sampling;
use tickwire_filter::{Filter, Options};
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

/// Opens without asking the lab anything: for a thread that has no rights left.
pub fn open_error_named(interface: &str) -> String {
    AfXdp::open(&AfXdpConfig::new(interface), &[0]).expect_err("opened").to_string()
}

/// Attaches `program` (none: detaches) the old way, over netlink: RTM_SETLINK with IFLA_XDP.
pub fn attach_by_netlink(end: &End, program: Option<&Program>, mode: AttachMode) -> io::Result<()> {
    let fd = program.map_or(-1, |program| program.as_fd().as_raw_fd());
    let mut message = vec![0u8; 32];
    message[4..6].copy_from_slice(&19u16.to_ne_bytes()); // RTM_SETLINK
    message[6..8].copy_from_slice(&5u16.to_ne_bytes()); // NLM_F_REQUEST | NLM_F_ACK
    message[20..24].copy_from_slice(&end.index().unwrap().to_ne_bytes());
    // IFLA_XDP (43, nested) of IFLA_XDP_FD (1) and IFLA_XDP_FLAGS (3).
    for (kind, len) in [(0x8000 | 43u16, 20u16), (1, 8)] {
        message.extend(len.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
    }
    message.extend(fd.to_ne_bytes());
    message.extend(8u16.to_ne_bytes());
    message.extend(3u16.to_ne_bytes());
    message.extend((mode as u32).to_ne_bytes());
    let len = message.len() as u32;
    message[..4].copy_from_slice(&len.to_ne_bytes());
    let mut answer = [0u8; 1024];
    // SAFETY: a socket of our own; both buffers are live and their lengths are right.
    unsafe {
        let fd = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        let socket = OwnedFd::from_raw_fd(fd);
        libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0);
        libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0);
    }
    match i32::from_ne_bytes(answer[16..20].try_into().unwrap()) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

/// Gives up every capability of the calling thread.
pub fn give_up_rights() {
    set_capabilities(|_| [0; 2]);
}

/// Gives up one capability of the calling thread, by its number.
pub fn give_up(capability: u32) {
    set_capabilities(|[low, high]| [low & !(1 << capability), high]);
}

/// capset(2), version 3: effective and permitted; nothing is inherited.
fn set_capabilities(change: impl Fn([u32; 2]) -> [u32; 2]) {
    let header = [0x2008_0522u32, 0];
    let mut data = [[0u32; 3]; 2];
    // SAFETY: both structures are those of linux/capability.h, and live.
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()), 0);
        let effective = change([data[0][0], data[1][0]]);
        data = [[effective[0], effective[0], 0], [effective[1], effective[1], 0]];
        assert_eq!(libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()), 0);
    }
}

/// A selection of what `text` accepts.
pub fn filter(text: &str, sampling: Sampling) -> Selection {
    let filter = Filter::compile(text, &Options::default()).unwrap();
    Selection::Filter { filter: Arc::new(filter.xdp().unwrap()), sampling }
}
