//! Looks after the socket of a transmitter that stands alone: on an interface from which nothing is
//! received, so that no port does it.

use super::config::AfXdpConfig;
use super::errors::{failed, hold_error};
use super::handover::Handover;
use super::interface::index_of;
use super::socket::{self, bind_best};
use super::umem::Umem;
use crate::PortError;
use crate::link::LinkWatch;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a new interface of the old name may refuse us before that is an error.
const REOPEN_MS_MAX: u64 = 5000;

/// Since when something is being opened again on an interface that was made again.
#[derive(Debug, Default)]
pub struct Reopening {
    since: Option<Instant>,
}

impl Reopening {
    /// Judges one more attempt: true when it succeeded, false when it is to be tried again, as the
    /// interface may be gone once more, or be no more than half made.
    ///
    /// # Errors
    /// That of the attempt, when the interface has refused us for five seconds.
    pub fn judge(&mut self, attempt: Result<(), PortError>) -> Result<bool, PortError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        match attempt {
            Ok(()) => {
                self.since = None;
                Ok(true)
            }
            Err(_) if since.elapsed() < Duration::from_millis(REOPEN_MS_MAX) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Follows one interface, and has a socket on one of its queues as long as it is there.
#[derive(Debug)]
pub(super) struct Keeper {
    config: AfXdpConfig,
    queue: u32,
    ring: u32,
    umem: Arc<Umem>,
    pub link: LinkWatch,
    /// Of the interface that the socket is bound to; none while there is no socket.
    ifindex: Option<u32>,
    reopening: Reopening,
}

impl Keeper {
    /// Opens the socket, with a TX ring of `ring` entries.
    pub fn open(
        config: &AfXdpConfig,
        queue: u32,
        ring: u32,
        umem: Arc<Umem>,
        handover: &Handover,
    ) -> Result<Self, PortError> {
        let link = LinkWatch::open(&config.interface)
            .map_err(|source| PortError::system("watch the link over rtnetlink", source, ""))?;
        let (config, reopening) = (config.clone(), Reopening::default());
        let mut keeper = Keeper { config, queue, ring, umem, link, ifindex: None, reopening };
        keeper.connect(index_of(&keeper.config.interface)?, handover)?;
        handover.follow(keeper.link.link());
        Ok(keeper)
    }

    fn connect(&mut self, ifindex: u32, handover: &Handover) -> Result<(), PortError> {
        let object = format!("queue {} of {}", self.queue, self.config.interface);
        let half = socket::open_to_send(&self.umem, self.ring)
            .map_err(|source| failed(format!("make an AF_XDP socket for {object}"), source))?;
        let why = bind_best(&half.socket, self.config.copy, false, ifindex, self.queue)
            .map_err(|source| hold_error(&self.config.interface, self.queue, source))?;
        let zero_copy = (half.socket.is_zero_copy())
            .map_err(|source| failed(format!("ask for the mode of {object}"), source))?;
        handover.connect(half, zero_copy, why);
        self.ifindex = Some(ifindex);
        Ok(())
    }

    /// Follows the interface: down, up, gone, back as another one.
    pub fn tick(&mut self, handover: &Handover) -> Result<(), PortError> {
        self.link
            .update()
            .map_err(|source| PortError::system("watch the link over rtnetlink", source, ""))?;
        if self.ifindex.is_some() && self.link.index() != self.ifindex {
            handover.disconnect();
            self.ifindex = None;
        }
        let index = self.link.link().filter(|link| link.running).map(|link| link.index);
        if let (None, Some(index)) = (self.ifindex, index) {
            let attempt = self.connect(index, handover);
            if self.reopening.judge(attempt)? {
                let name = &self.config.interface;
                self.link.notice(format!("{name} is back (index {index}), sending again"));
            }
        }
        handover.follow(self.link.link());
        Ok(())
    }
}
