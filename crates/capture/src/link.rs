//! Watching one interface: is it there, do frames pass, is it still the same one.
//!
//! A port that stands on an interface hears of none of this by itself: the socket of a deleted
//! interface stays silent for ever, also when another one of the same name appears, and what is
//! lost while a link is down shows in no counter. rtnetlink(7) tells all of it.

use crate::netdev::{self, Link};
use crate::netlink::{DATAGRAM_BYTES_MAX, discard, messages};
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, recv, socket_with,
};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use tickwire_frame::Timestamp;

/// How many of the last outages are remembered one by one.
pub const OUTAGES_MAX: usize = 64;

/// How many notices wait to be taken; the oldest give way.
pub const NOTICES_MAX: usize = 16;

const RTMGRP_LINK: u32 = 1;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
/// Datagrams read in one [`LinkWatch::update`]: a flood of other interfaces' changes must not hold
/// up a worker. The rest is read by the next.
const DATAGRAMS_MAX: usize = 256;

/// A time in which no frame could pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When we noticed that the link was down.
    pub from: Timestamp,
    /// When we noticed that it was up again; none while it is down.
    pub to: Option<Timestamp>,
}

impl Outage {
    /// How long it took; 0 while it lasts.
    fn seconds(&self) -> f64 {
        self.to.map_or(0.0, |to| to.since(self.from).as_secs_f64())
    }
}

/// What is known of one interface, by name, kept up to date by [`update`](Self::update).
#[derive(Debug)]
pub struct LinkWatch {
    socket: OwnedFd,
    name: String,
    link: Option<Link>,
    outages: VecDeque<Outage>,
    downs: u64,
    down_ns: u64,
    /// What the notices so far have told.
    told: State,
    notices: VecDeque<String>,
    buffer: Box<[u8]>,
}

/// What notices are about: they tell the difference between two of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    index: Option<u32>,
    running: bool,
    downs: u64,
}

impl LinkWatch {
    /// Watches the interface `name` of the calling thread's network namespace; it need not be
    /// there. Call [`update`](Self::update) from a thread in the same namespace.
    pub fn open(name: &str) -> io::Result<Self> {
        let (raw, flags) = (SocketType::RAW, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
        let socket = socket_with(AddressFamily::NETLINK, raw, flags, None)?;
        bind(&socket, &netlink::SocketAddrNetlink::new(0, RTMGRP_LINK))?;
        let mut watch = LinkWatch {
            socket,
            name: name.into(),
            link: None,
            outages: VecDeque::with_capacity(OUTAGES_MAX),
            downs: 0,
            down_ns: 0,
            told: State::default(),
            notices: VecDeque::new(),
            buffer: vec![0; DATAGRAM_BYTES_MAX].into(),
        };
        // After the bind: what changes from here on comes as a message.
        watch.ask()?;
        watch.told = State { running: true, ..watch.state() };
        if !watch.is_running() {
            watch.begin_outage();
        }
        watch.tell();
        Ok(watch)
    }

    /// The interface as it is; none while there is none of this name.
    pub fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// Its index, if it is there.
    pub fn index(&self) -> Option<u32> {
        self.link.as_ref().map(|link| link.index)
    }

    /// Whether frames can pass.
    pub fn is_running(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.running)
    }

    /// The last outages, oldest first, at most [`OUTAGES_MAX`].
    pub fn outages(&self) -> impl Iterator<Item = &Outage> {
        self.outages.iter()
    }

    /// How often the link was seen going down, or was down at first.
    pub fn downs(&self) -> u64 {
        self.downs
    }

    /// How long it was down altogether, ended outages only, in nanoseconds.
    pub fn down_ns(&self) -> u64 {
        self.down_ns
    }

    /// What a person should know of the changes that [`update`](Self::update) saw, oldest first.
    pub fn take_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    /// Adds a notice of the port: only it knows when it receives again.
    pub fn notice(&mut self, text: String) {
        if self.notices.len() == NOTICES_MAX {
            self.notices.pop_front();
        }
        self.notices.push_back(text);
    }

    /// Reads what has changed since. Does not block.
    pub fn update(&mut self) -> io::Result<()> {
        let read = self.read_messages();
        self.tell();
        read
    }

    fn state(&self) -> State {
        State { index: self.index(), running: self.is_running(), downs: self.downs }
    }

    /// Tells what is different from what was told last: however often a link flaps between two
    /// updates, it is one notice.
    fn tell(&mut self) {
        let (now, name) = (self.state(), &self.name);
        let told = std::mem::replace(&mut self.told, now);
        let text = match told.index {
            // Whether there is another one of its name is for the port to say: it must open it.
            None => return,
            _ if told == now => return,
            _ if told.index != now.index => format!("{name} is gone; waiting for it to come back"),
            _ if !now.running => format!("link of {name} is down"),
            _ => {
                let last = self.outages.back().map(|outage| outage.seconds()).unwrap_or_default();
                format!("link of {name} is up after {last:.1} s")
            }
        };
        self.notice(text);
    }

    fn read_messages(&mut self) -> io::Result<()> {
        for _ in 0..DATAGRAMS_MAX {
            let received = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty());
            match received {
                Ok((len, _)) => {
                    let buffer = std::mem::take(&mut self.buffer);
                    for message in messages(&buffer[..len.min(buffer.len())]) {
                        self.apply(message.kind, message.body);
                    }
                    self.buffer = buffer;
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                // Messages were lost: only the present state can be told.
                Err(rustix::io::Errno::NOBUFS) => {
                    let before = self.is_running();
                    discard(&self.socket);
                    self.ask()?;
                    self.account(before);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn ask(&mut self) -> io::Result<()> {
        self.link = match netdev::link(&self.name) {
            Ok(link) => Some(link),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn apply(&mut self, kind: u16, body: &[u8]) {
        let Some(link) = Link::parse(body) else { return };
        let (before, index) = (self.is_running(), self.index());
        match kind {
            // By index too: a renamed interface is still the one that a socket is bound to.
            RTM_NEWLINK if link.name == self.name || Some(link.index) == index => {
                self.link = Some(link);
            }
            RTM_DELLINK if Some(link.index) == index => self.link = None,
            _ => return,
        }
        self.account(before);
    }

    fn account(&mut self, before: bool) {
        match (before, self.is_running()) {
            (true, false) => self.begin_outage(),
            (false, true) => {
                let now = Timestamp::now();
                if let Some(outage) = self.outages.back_mut() {
                    outage.to = Some(now);
                    self.down_ns += now.since(outage.from).as_nanos() as u64;
                }
            }
            _ => {}
        }
    }

    fn begin_outage(&mut self) {
        if self.outages.len() == OUTAGES_MAX {
            self.outages.pop_front();
        }
        self.outages.push_back(Outage { from: Timestamp::now(), to: None });
        self.downs += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_and_a_missing_one_is_no_error() {
        let mut lo = LinkWatch::open("lo").unwrap();
        lo.update().unwrap();
        assert!(lo.index().is_some());
        let none = LinkWatch::open("nosuchif0").unwrap();
        assert_eq!((none.index(), none.is_running(), none.downs()), (None, false, 1));
    }

    /// `struct ifinfomsg` and a name.
    fn message(index: u32, flags: u32, name: &str) -> Vec<u8> {
        let mut body = vec![0; 16];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        body.extend((4 + name.len() as u16 + 1).to_ne_bytes());
        body.extend(3u16.to_ne_bytes());
        body.extend(name.as_bytes());
        body.push(0);
        body
    }

    #[test]
    fn every_change_is_followed() {
        const UP: u32 = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
        let mut watch = LinkWatch::open("nosuchif0").unwrap();
        watch.apply(RTM_NEWLINK, &message(7, UP, "other0"));
        assert_eq!(watch.index(), None, "another interface");
        watch.apply(RTM_NEWLINK, &message(8, UP, "nosuchif0"));
        assert_eq!((watch.index(), watch.is_running()), (Some(8), true));
        assert!(watch.outages().next().unwrap().to.is_some());
        watch.apply(RTM_NEWLINK, &message(8, 0, "nosuchif0"));
        assert_eq!((watch.is_running(), watch.downs()), (false, 2));
        watch.apply(RTM_DELLINK, &message(9, 0, "nosuchif0"));
        assert_eq!(watch.index(), Some(8), "an older one of that name went");
        watch.apply(RTM_DELLINK, &message(8, 0, "nosuchif0"));
        assert_eq!(watch.index(), None);
        watch.apply(RTM_NEWLINK, &message(12, UP, "nosuchif0"));
        assert_eq!((watch.index(), watch.outages().count()), (Some(12), 2));
    }

    #[test]
    fn a_deleted_interface_is_not_silent() {
        const UP: u32 = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
        let mut watch = LinkWatch::open("nosuchif0").unwrap();
        let mut change = |kind, index, flags| {
            watch.apply(kind, &message(index, flags, "nosuchif0"));
            watch.tell();
            watch.take_notice()
        };
        assert_eq!(change(RTM_NEWLINK, 8, UP), None, "the port says that it receives");
        let down = Some("link of nosuchif0 is down".to_owned());
        assert_eq!(change(RTM_NEWLINK, 8, 0), down);
        assert_eq!(change(RTM_NEWLINK, 8, 0), None, "nothing new");
        let up = change(RTM_NEWLINK, 8, UP).unwrap();
        assert!(up.starts_with("link of nosuchif0 is up after 0."), "{up}");
        let gone = Some("nosuchif0 is gone; waiting for it to come back".to_owned());
        assert_eq!(change(RTM_DELLINK, 8, 0), gone);
        assert_eq!(change(RTM_NEWLINK, 9, UP), None);
        for n in 0..2 * NOTICES_MAX {
            watch.notice(n.to_string());
        }
        assert_eq!(watch.take_notice(), Some(NOTICES_MAX.to_string()), "the oldest give way");
    }

    #[test]
    fn outages_are_bounded_and_broken_messages_ignored() {
        let mut watch = LinkWatch::open("nosuchif0").unwrap();
        for _ in 0..2 * OUTAGES_MAX {
            watch.apply(RTM_NEWLINK, &message(8, u32::MAX, "nosuchif0"));
            watch.apply(RTM_NEWLINK, &message(8, 0, "nosuchif0"));
        }
        assert_eq!(watch.outages().count(), OUTAGES_MAX);
        assert_eq!(watch.downs(), 1 + 2 * OUTAGES_MAX as u64);
        watch.apply(RTM_NEWLINK, &[1; 15]);
    }
}
