//! What the tests share.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tickwire_capture::udp::{SenderConfig, UdpConfig, UdpPort, UdpSender};
use tickwire_capture::{DatagramSender, Port, Received};
use tickwire_frame::{Batch, Frame, Reason};
use tickwire_lab::End;

/// No test waits longer for datagrams.
pub const LIMIT: Duration = Duration::from_secs(10);
/// The port of the feeds.
pub const PORT: u16 = 5000;

pub fn at(address: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(address.into(), PORT)
}

/// A feed that `end` receives.
pub fn open(end: &End, listen: SocketAddr, change: impl FnOnce(&mut UdpConfig) + Send) -> UdpPort {
    let mut config = UdpConfig::new(listen);
    change(&mut config);
    end.run(|| UdpPort::open(&config)).unwrap()
}

/// A sender of `end`, with a source port of its own choice unless changed.
pub fn sender(
    end: &End,
    destination: SocketAddr,
    change: impl FnOnce(&mut SenderConfig) + Send,
) -> UdpSender {
    let mut config = SenderConfig::new(destination, destination);
    config.source_port = Some(0);
    change(&mut config);
    end.run(|| UdpSender::open(&config)).unwrap()
}

/// Sends all of them; none may be lost.
pub fn send(sender: &mut UdpSender, payloads: &[&[u8]]) {
    sender.send(payloads, &mut |reason, count| panic!("{count} lost: {reason}"));
}

/// Sends, and returns what was lost, by reason.
pub fn try_send(sender: &mut UdpSender, payloads: &[&[u8]]) -> Vec<(Reason, u64)> {
    let mut all = Vec::new();
    sender.send(payloads, &mut |reason, count| all.push((reason, count)));
    all
}

/// Receives until `count` frames have come or the time is over.
pub fn collect(port: &mut dyn Port, count: usize, mut look: impl FnMut(Frame<'_>)) -> usize {
    let deadline = Instant::now() + LIMIT;
    let mut seen = 0;
    while seen < count && Instant::now() < deadline {
        seen += take(port, &mut look);
        port.wait(Duration::from_millis(10)).unwrap();
    }
    seen
}

/// Receives until nothing is there.
pub fn take(port: &mut dyn Port, mut look: impl FnMut(Frame<'_>)) -> usize {
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
