//! What a transmitter must know of its socket and its link, told by who looks after them: the port
//! that the socket belongs to, or the keeper of a transmitter that stands alone.

use super::socket::TxHalf;
use crate::netdev::Link;
use crate::{FRAME_BYTES_MIN, Mode};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The VLAN tag that drivers allow beyond the MTU, in bytes.
const TAG_BYTES: usize = 4;

/// Where the news lie. Who sends looks at one atomic per batch, and locks only when there are some.
#[derive(Debug, Default)]
pub(super) struct Handover {
    generation: AtomicU32,
    news: Mutex<News>,
}

/// The present state.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Counts sockets and their ends: another number, another socket or none.
    pub connection: u32,
    /// Of the present socket, until it is taken over.
    pub half: Option<TxHalf>,
    /// Index of the interface.
    pub ifindex: u32,
    /// Whether frames can pass.
    pub link_up: bool,
    /// Longest frame that the interface sends, header included.
    pub bytes_max: usize,
    /// Whether the driver sends from our frames without a copy.
    pub zero_copy: bool,
    /// Why not.
    pub why: String,
}

impl Handover {
    /// Another number than last time: there are news.
    #[inline]
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// The news; nothing is told meanwhile.
    pub fn news(&self) -> MutexGuard<'_, News> {
        // Every change leaves a whole state.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a new socket, bound.
    pub fn connect(&self, half: TxHalf, zero_copy: bool, why: String) {
        self.tell(|news| {
            news.connection += 1;
            *news = News { half: Some(half), zero_copy, why, ..std::mem::take(news) };
        });
    }

    /// The socket is no good any more: its interface is gone.
    pub fn disconnect(&self) {
        self.tell(|news| {
            news.connection += 1;
            (news.half, news.link_up) = (None, false);
        });
    }

    /// The link is like this now.
    pub fn follow(&self, link: Option<&Link>) {
        self.tell(|news| {
            news.link_up = link.is_some_and(|link| link.running);
            if let Some(link) = link {
                news.ifindex = link.index;
                news.bytes_max = link.mtu as usize + FRAME_BYTES_MIN + TAG_BYTES;
            }
        });
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        let mut news = self.news();
        change(&mut news);
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl News {
    /// For mode lines.
    pub fn mode(&self) -> Mode {
        let mode = if self.zero_copy { "zero-copy" } else { "copy" };
        Mode { port: "af_xdp", mode: mode.into(), why: self.why.clone() }
    }
}
