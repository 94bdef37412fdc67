//! The interfaces that copies can leave by in mode `af_xdp`: those that were opened at the start,
//! and those that the routes lead to later.
//!
//! These are opened here, on the keeper's thread, and handed to the workers before the table says
//! that they are to be used. An interface that was deleted and made again is opened again by who
//! has it. What cannot be opened is left to sockets, which is said.

use super::frames::{FramePort, sending};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tickwire_capture::af_xdp::AfXdpTransmitter;
use tickwire_capture::routes::Routes;
use tickwire_capture::{PortError, Transmitter};
use tickwire_frame::Reason;
use tickwire_replicate::Path;

/// The most interfaces that copies leave by; each has a socket and 4 MiB for each worker.
const WAYS_MAX: usize = 64;
/// How long an interface that could not be opened is left to sockets before it is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// What is open to send on.
#[derive(Debug, Default)]
pub struct Ways {
    /// Where the workers take transmitters from; none in other modes, where nothing is to open.
    workers: Vec<SyncSender<AfXdpTransmitter>>,
    /// Names of interfaces by their index; one that was made again is there twice.
    open: BTreeMap<u32, String>,
    /// When an interface could not be opened, and why.
    refused: BTreeMap<u32, (Instant, String)>,
    notices: Vec<String>,
}

impl Ways {
    /// Those of the workers of mode `af_xdp`, and where each worker gets them from.
    pub fn of(ports: &mut [FramePort]) -> (Ways, Vec<Receiver<AfXdpTransmitter>>) {
        let mut ways = Ways::default();
        let taken = ports.iter_mut().map(|port| {
            let (sender, receiver) = sync_channel(WAYS_MAX);
            for (name, way) in port.ways.drain(..) {
                ways.open.insert(way.ifindex(), name);
                // There is room: it is the number of interfaces that is bounded.
                let _ = sender.try_send(way);
            }
            ways.workers.push(sender);
            receiver
        });
        let taken = taken.collect();
        (ways, taken)
    }

    /// `path`, whose interface is opened if it is not yet; when that fails, there is no way for
    /// frames.
    pub fn lead(&mut self, path: Path, routes: &Routes) -> Path {
        let hop = path?;
        if self.workers.is_empty() || self.open.contains_key(&hop.ifindex) {
            return Ok(hop);
        }
        let refused = self.refused.get(&hop.ifindex);
        if refused.is_some_and(|(at, _)| at.elapsed() < RETRY) {
            return Err(Reason::NoEgress);
        }
        let name = routes.interface(hop.ifindex).ok_or(Reason::LinkDown)?.name.clone();
        let known = self.open.values().any(|open| *open == name);
        let opened = if known { Ok(()) } else { self.open_way(&name) };
        match opened {
            Ok(()) => {
                if !known {
                    self.notices.push(format!("copies leave by {name} too"));
                }
                self.refused.remove(&hop.ifindex);
                self.open.insert(hop.ifindex, name);
                Ok(hop)
            }
            Err(error) => {
                let why = format!("copies that leave by {name} go through sockets: {error}");
                self.notices.push(why.clone());
                self.refused.insert(hop.ifindex, (Instant::now(), why));
                Err(Reason::NoEgress)
            }
        }
    }

    fn open_way(&mut self, name: &str) -> Result<(), PortError> {
        if self.open.len() >= WAYS_MAX {
            return Err(PortError::Unsupported {
                what: format!("copies would leave by more than {WAYS_MAX} interfaces"),
                cure: "run several engines".into(),
            });
        }
        // All of them first: a way is for all workers or for none.
        let opened = sending(name, self.workers.len())?;
        for (worker, way) in self.workers.iter().zip(opened) {
            // One that has ended needs none.
            let _ = worker.try_send(way);
        }
        Ok(())
    }

    /// Whether copies can leave by any interface, because nothing is to be opened.
    pub fn are_any(&self) -> bool {
        self.workers.is_empty()
    }

    /// Why frames do not leave by interfaces that copies leave by.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.refused.values().map(|(_, why)| why.clone())
    }

    /// What is new and should be said.
    pub fn take_notices(&mut self) -> impl Iterator<Item = String> {
        std::mem::take(&mut self.notices).into_iter()
    }
}
