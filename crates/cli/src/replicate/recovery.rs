//! What no line of merged feeds has brought: asked for, and handed on to their subscribers.
//!
//! ```text
//! lines ──▶ workers ──▶ Merge ──what is missing──▶ Desk ──requests──▶ servers
//!                         ▲                                             │
//! subscribers ◀── worker ─┴──────────────── answers ────────────────────┘
//! ```
//!
//! A desk asks ([`crate::recovery`]); the answers come to the socket that it asks from, which is
//! the port of a worker of its own. So the lines wait for no server, and whether a message is new
//! is decided in one place.

use super::settings::{Recover, Settings};
use super::sockets::{opener, passes};
use crate::exit::{Failure, say};
use crate::recovery::{Desk, DeskCounts, Follower, Opened, any_of};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tickwire_capture::udp::{UdpConfig, UdpPort, UdpSender};
use tickwire_engine::{FilterText, Filters, Select};
use tickwire_filter::Options;
use tickwire_market::recovery::{Id, Word};
use tickwire_market::sequence::Range;
use tickwire_replicate::{DatagramFanOut, Feed, Merge, Requests, View};

/// What merges feeds, by the name of their first line.
pub type Merges = HashMap<String, Arc<Merge>>;

/// A merged feed whose messages are asked for, before it is.
pub struct Asking {
    /// The first line.
    pub feed: Feed,
    /// Where answers come.
    pub port: UdpPort,
    opened: Opened,
    servers: Vec<SocketAddr>,
}

/// Opens what it takes to ask, for each feed of `settings` that is to be asked for.
///
/// # Errors
/// What the system refuses.
pub fn open(settings: &Settings) -> Result<Vec<Asking>, Failure> {
    let open = |recover: &Recover| {
        let config = UdpConfig {
            ethernet: true,
            stands_for: Some(recover.feed.listen),
            ..UdpConfig::new(any_of(&recover.servers))
        };
        let port = UdpPort::open(&config).map_err(Failure::failed)?;
        let opened = Opened::beside(&port, &recover.servers)?;
        let Recover { feed, servers } = recover.clone();
        Ok(Asking { feed, port, opened, servers })
    };
    settings.recover.iter().map(open).collect()
}

impl Asking {
    /// Asks from now on for what the lines of the feed, which `merges` has, do not bring. Who asks,
    /// and where answers come.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(self, merges: &Merges) -> Result<(Desk, Answers), Failure> {
        let Asking { feed, port, opened, servers } = self;
        let merge = &merges[&feed.name];
        let list: Vec<String> = servers.iter().map(SocketAddr::to_string).collect();
        let (name, list) = (&feed.name, list.join(", "));
        say(format_args!("tickwire: what no line of {name} brings is asked for at {list}\n"));
        let wake = opened.wake.clone();
        merge.ask(move || wake.wake());
        let desk = Desk::start(opened, Arc::new(Mutex::new(Lines(Arc::clone(merge)))))?;
        Ok((desk, Answers { feed, port, servers }))
    }
}

/// Where answers come, and from whom.
pub struct Answers {
    /// The feed that they belong to.
    pub feed: Feed,
    /// The socket that was asked from.
    pub port: UdpPort,
    servers: Vec<SocketAddr>,
}

impl Answers {
    /// Only what the servers send: whatever else comes to the socket was not asked for.
    pub fn select(&self) -> Select {
        let from = |server: &SocketAddr| {
            format!("(src host {} and udp src port {})", server.ip(), server.port())
        };
        let text: Vec<String> = self.servers.iter().map(from).collect();
        let text = FilterText::new(text.join(" or "), Options::default());
        Select::by(Arc::new(Filters::new(text)))
    }

    /// Hands on what is new of them, as worker number `worker` of the table.
    ///
    /// # Errors
    /// When this process has too many descriptors.
    pub fn job(&self, view: View, worker: usize) -> Result<DatagramFanOut<UdpSender>, Failure> {
        Ok(DatagramFanOut::answers(view, worker, &self.feed, opener(), passes()?))
    }
}

/// What follows the lines, for the desk.
struct Lines(Arc<Merge>);

impl Follower for Lines {
    fn take_words(&mut self, at_ns: u64, words: &mut Vec<Word>) -> Option<u64> {
        self.0.take_words(at_ns, words)
    }

    /// The port's worker reads them.
    fn answer(&mut self, _: &[u8], _: u64) {}

    fn give_up(&mut self, id: Id, range: Range) {
        self.0.give_up(id, range);
    }
}

/// What a desk did, in the words of the account.
pub fn requests(desk: DeskCounts) -> Requests {
    let DeskCounts { requests, repeated, wanted, came, given_up, unsent, .. } = desk;
    Requests { sent: requests, repeated, wanted, came, given_up, unsent }
}
