//! TCP in user space: targets whose session is spoken by the workers, over their AF_XDP ports, with
//! no kernel between an order and the card.
//!
//! ```text
//! frame ─▶ segment ─▶ line ─▶ connection (smoltcp) ─▶ session
//! order ─▶ session ─▶ connection ─▶ device ─▶ the worker's transmitter
//! ```
//!
//! * `segment`: the TCP segment in a frame, checked.
//! * `device`: what smoltcp takes for a network device. `connection`: one connection, as a stream.
//! * `line`: a target: its session, the connection that it is spoken on, the way there.
//! * `dialer`: connects, connects again, and says which segments are ours.
//! * `home`: which targets can be spoken with so, and through which interface.
//!
//! The kernel chooses routes and asks for neighbours, and holds the local port of each connection
//! with a socket that is bound and no more; the XDP program takes the segments of that connection
//! and nothing else, so that the kernel answers none of them. Nothing here allocates or logs for a
//! segment or an order, and no timer is finer than the tick of a worker.

mod connection;
mod device;
mod dialer;
mod home;
mod line;
mod segment;
#[cfg(test)]
mod testing;

pub use dialer::Dialer;
pub use home::{Home, homes, refusal, way_home};
pub use line::{Line, Now};

use super::desk::Desk;
use segment::Segment;
use tickwire_capture::Transmitter;
use tickwire_capture::af_xdp::AfXdpTransmitter;
use tickwire_frame::{Frame, LinkType, Reason};

/// Takes a frame that is none of a feed: a segment of one of our connections. What it asks for
/// leaves when the desk is flushed.
///
/// # Errors
/// Why it is none.
pub fn receive(
    desk: &mut Desk,
    link: LinkType,
    frame: &Frame<'_>,
    way: Option<&mut AfXdpTransmitter>,
    now: Now,
) -> Result<(), Reason> {
    let segment = Segment::parse(link, frame.bytes)?;
    let Some(way) = way else { return Err(Reason::NotSelected) };
    for at in 0..desk.targets.lines().len() {
        let target = desk.targets.lines()[at];
        if desk.with_line(target, now, |line, event| line.receive(&segment, way, now, event)) {
            return Ok(());
        }
    }
    Err(Reason::NotSelected)
}

/// What is due by the clock.
pub fn tick(desk: &mut Desk, way: &mut AfXdpTransmitter) {
    if desk.targets.lines().is_empty() {
        return;
    }
    let now = Now::read();
    for at in 0..desk.targets.lines().len() {
        let target = desk.targets.lines()[at];
        desk.with_line(target, now, |line, event| {
            if line.path().is_ok_and(|hop| hop.ifindex == way.ifindex()) {
                line.tick(way, now, event);
            }
        });
    }
    desk.flush(Some(way));
}
