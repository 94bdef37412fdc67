//! The kernel's neighbours, and which of them somebody wants.

use super::Mac;
use crate::netlink::{Request, address, family, find, octets, u32_at};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How often the kernel is asked for a neighbour that does not answer. Each time it asks three
/// times itself, a second apart (`mcast_solicit`, `retrans_time_ms`).
const RETRY_MS: u64 = 1000;
/// How often the kernel is told that a neighbour it has not heard of for a while is in use. It
/// verifies it then, within five seconds (`delay_first_probe_time`).
const KEEP_MS: u64 = 10_000;
/// A neighbour that nobody has looked up for so long is not wanted any more.
pub const WANTED_MS_MAX: u64 = 60_000;
/// Neighbours that are kept fresh; those looked up beyond are asked for by each lookup only.
pub const WANTED_MAX: usize = 16_384;
/// Questions to the kernel in one update, so that thousands of dead subscribers do not hold it up.
pub(super) const ASKS_MAX: usize = 256;

/// Bytes of `struct ndmsg`, and where its fields are.
const NDMSG_BYTES: usize = 12;
const NDMSG_STATE: usize = 8;
const NDMSG_FLAGS: usize = 10;
/// `ndm_flags` (linux/neighbour.h).
const NTF_USE: u8 = 0x01;
const NTF_PROXY: u8 = 0x08;
/// States with nothing to ask for: it has answered, needs not, or the kernel is at it. NTF_USE
/// would make an ordinary neighbour of a permanent one.
const FRESH: u16 =
    libc::NUD_REACHABLE | libc::NUD_DELAY | libc::NUD_PROBE | libc::NUD_PERMANENT | libc::NUD_NOARP;
const USABLE: u16 = FRESH | libc::NUD_STALE;
/// The kernel has asked and waits for the answer.
const ASKING: u16 = libc::NUD_INCOMPLETE;

/// A neighbour is known by its interface and its address.
pub(super) type Key = (u32, IpAddr);

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Neighbour {
    state: u16,
    mac: Option<Mac>,
}

impl Neighbour {
    /// Its address, in a state in which the kernel itself would use it.
    fn usable(self) -> Option<Mac> {
        self.mac.filter(|_| self.state & USABLE != 0)
    }
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    looked_up: Instant,
    asked: Option<Instant>,
    /// When the kernel was last seen asking for it, because somebody had sent to it.
    seen_asking: Option<Instant>,
    /// Whether it counts as asked for.
    is_asked: bool,
}

/// All neighbours, and those that are wanted.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    known: HashMap<Key, Neighbour>,
    wanted: HashMap<Key, Wanted>,
    /// How many of the unresolved have been shown in this round.
    shown: usize,
}

impl Neighbours {
    /// Forgets what is known, not what is wanted.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// The neighbour's address, when the kernel has one that can be used.
    pub fn mac(&self, key: &Key) -> Option<Mac> {
        self.known.get(key).and_then(|neighbour| neighbour.usable())
    }

    /// Enters what an RTM_NEWNEIGH or RTM_DELNEIGH says; true when that changes the address of a
    /// wanted one.
    pub fn apply(&mut self, kind: u16, body: &[u8]) -> bool {
        let Some((key, neighbour)) = parse(body) else { return false };
        let before = self.mac(&key);
        match kind {
            libc::RTM_NEWNEIGH => self.known.insert(key, neighbour),
            _ => self.known.remove(&key),
        };
        if neighbour.state & FRESH != 0
            && let Some(wanted) = self.wanted.get_mut(&key)
        {
            // It has answered. When it is stale the next time, that is a new matter.
            wanted.asked = None;
        }
        before != self.mac(&key) && self.wanted.contains_key(&key)
    }

    /// Somebody has looked the neighbour up; true when the kernel should be asked for it now.
    pub fn want(&mut self, key: Key, now: Instant) -> bool {
        if self.wanted.len() >= WANTED_MAX && !self.wanted.contains_key(&key) {
            return self.patience(&key).is_some();
        }
        let fresh = Wanted { looked_up: now, asked: None, seen_asking: None, is_asked: false };
        self.wanted.entry(key).or_insert(fresh).looked_up = now;
        self.is_due(&key, now)
    }

    /// The kernel was asked.
    pub fn asked(&mut self, key: &Key, now: Instant) {
        if let Some(wanted) = self.wanted.get_mut(key) {
            wanted.asked = Some(now);
        }
    }

    /// The interface passes frames again: what was asked before was not heard.
    pub fn link_is_back(&mut self, ifindex: u32) {
        let there = self.wanted.iter_mut().filter(|(key, _)| key.0 == ifindex);
        there.for_each(|(_, wanted)| wanted.asked = None);
    }

    /// Whether the kernel asks for the neighbour by itself, or did so in vain a moment ago: who
    /// sends meanwhile, sends into a queue. For those who may not ask it themselves.
    pub fn is_asked(&self, key: &Key) -> bool {
        self.wanted.get(key).is_some_and(|wanted| wanted.is_asked)
    }

    /// Those that are wanted and have no address, at most [`ASKS_MAX`]; the next ones with the
    /// next call.
    pub fn unresolved(&mut self) -> Vec<Key> {
        let keys = self.wanted.keys().filter(|key| self.mac(key).is_none());
        let keys: Vec<Key> = keys.skip(self.shown).take(ASKS_MAX).copied().collect();
        self.shown = if keys.len() < ASKS_MAX { 0 } else { self.shown + keys.len() };
        keys
    }

    /// Judges anew whether the neighbour [is asked for](Self::is_asked), after it was looked for
    /// in the kernel's table; whether that has changed.
    pub fn judge(&mut self, key: &Key, now: Instant) -> bool {
        let asking = self.known.get(key).is_some_and(|known| known.state & ASKING != 0);
        let Some(wanted) = self.wanted.get_mut(key) else { return false };
        if asking {
            wanted.seen_asking = Some(now);
        }
        let is_asked = (wanted.seen_asking)
            .is_some_and(|seen| now.duration_since(seen) < Duration::from_millis(RETRY_MS));
        std::mem::replace(&mut wanted.is_asked, is_asked) != is_asked
    }

    /// Drops what is not wanted any more; those behind interfaces that pass frames for which the
    /// kernel should be asked now, at most [`ASKS_MAX`].
    pub fn due(&mut self, now: Instant, passes: impl Fn(u32) -> bool) -> Vec<Key> {
        let limit = Duration::from_millis(WANTED_MS_MAX);
        self.wanted.retain(|_, wanted| now.duration_since(wanted.looked_up) < limit);
        let due = self.wanted.keys().filter(|key| self.is_due(key, now) && passes(key.0));
        due.copied().take(ASKS_MAX).collect()
    }

    fn is_due(&self, key: &Key, now: Instant) -> bool {
        let Some(patience) = self.patience(key) else { return false };
        let asked = self.wanted.get(key).and_then(|wanted| wanted.asked);
        asked.is_none_or(|asked| now.duration_since(asked) >= patience)
    }

    /// How long to wait between two questions for it; none when there is nothing to ask.
    fn patience(&self, key: &Key) -> Option<Duration> {
        let ms = match self.known.get(key).map(|neighbour| neighbour.state) {
            Some(state) if state & FRESH != 0 => return None,
            Some(state) if state & libc::NUD_STALE != 0 => KEEP_MS,
            _ => RETRY_MS,
        };
        Some(Duration::from_millis(ms))
    }
}

/// Tells the kernel that the neighbour is in use: it resolves it, or verifies it if it is stale.
pub(super) fn use_request((ifindex, neighbour): Key) -> Request {
    let mut header = [0; NDMSG_BYTES];
    header[0] = family(neighbour);
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    header[NDMSG_FLAGS] = NTF_USE;
    Request::new(libc::RTM_NEWNEIGH, libc::NLM_F_CREATE, &header)
        .attribute(libc::NDA_DST, &octets(neighbour))
}

/// Asks for what the kernel knows of the neighbour: ENOENT when that is nothing. Takes no right.
pub(super) fn get_request((ifindex, neighbour): Key) -> Request {
    let mut header = [0; NDMSG_BYTES];
    header[0] = family(neighbour);
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    Request::new(libc::RTM_GETNEIGH, 0, &header).attribute(libc::NDA_DST, &octets(neighbour))
}

/// `struct ndmsg` and its attributes; none for what is no neighbour of ours: bridge entries,
/// addresses that this machine answers for.
fn parse(body: &[u8]) -> Option<(Key, Neighbour)> {
    let (header, rest) = body.split_at_checked(NDMSG_BYTES)?;
    let inet = [libc::AF_INET as u8, libc::AF_INET6 as u8].contains(&header[0]);
    if !inet || header[NDMSG_FLAGS] & NTF_PROXY != 0 {
        return None;
    }
    let state = u16::from_ne_bytes([header[NDMSG_STATE], header[NDMSG_STATE + 1]]);
    let mac = find(rest, libc::NDA_LLADDR).and_then(|mac| mac.try_into().ok());
    let key = (u32_at(header, 4), find(rest, libc::NDA_DST).and_then(address)?);
    Some((key, Neighbour { state, mac }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 9];

    fn key() -> Key {
        (7, "10.0.0.9".parse().unwrap())
    }

    fn message(state: u16, mac: Option<Mac>) -> Vec<u8> {
        let mut body = vec![0; NDMSG_BYTES];
        body[0] = libc::AF_INET as u8;
        body[4..8].copy_from_slice(&7u32.to_ne_bytes());
        body[8..10].copy_from_slice(&state.to_ne_bytes());
        body.extend([8, 0, 1, 0, 10, 0, 0, 9]);
        if let Some(mac) = mac {
            body.extend([10, 0, 2, 0]);
            body.extend(mac);
            body.extend([0, 0]);
        }
        body
    }

    #[test]
    fn states_are_used_as_the_kernel_uses_them() {
        let rows = [
            (libc::NUD_REACHABLE, true, None),
            (libc::NUD_STALE, true, Some(KEEP_MS)),
            (libc::NUD_DELAY, true, None),
            (libc::NUD_PROBE, true, None),
            (libc::NUD_PERMANENT, true, None),
            (libc::NUD_NOARP, true, None),
            (libc::NUD_FAILED, false, Some(RETRY_MS)),
            (libc::NUD_INCOMPLETE, false, Some(RETRY_MS)),
            (libc::NUD_NONE, false, Some(RETRY_MS)),
        ];
        for (state, usable, patience) in rows {
            let mut neighbours = Neighbours::default();
            neighbours.apply(libc::RTM_NEWNEIGH, &message(state, Some(MAC)));
            assert_eq!(neighbours.mac(&key()).is_some(), usable, "{state:#x}");
            assert_eq!(neighbours.patience(&key()), patience.map(Duration::from_millis));
        }
    }

    #[test]
    fn only_changes_of_wanted_addresses_count() {
        let (mut neighbours, now) = (Neighbours::default(), Instant::now());
        let new = libc::RTM_NEWNEIGH;
        assert!(!neighbours.apply(new, &message(libc::NUD_REACHABLE, Some(MAC))), "not wanted");
        assert!(!neighbours.want(key(), now), "nothing to ask");
        assert!(!neighbours.apply(new, &message(libc::NUD_STALE, Some(MAC))), "the same address");
        assert!(neighbours.apply(new, &message(libc::NUD_STALE, Some([2; 6]))));
        assert!(neighbours.apply(new, &message(libc::NUD_FAILED, None)));
        assert!(neighbours.apply(new, &message(libc::NUD_REACHABLE, Some(MAC))));
        assert!(neighbours.apply(libc::RTM_DELNEIGH, &message(libc::NUD_REACHABLE, Some(MAC))));
    }

    #[test]
    fn questions_are_repeated_with_patience_and_for_the_wanted_only() {
        let (mut neighbours, start) = (Neighbours::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(neighbours.want(key(), start));
        neighbours.asked(&key(), start);
        assert!(!neighbours.want(key(), at(RETRY_MS - 1)));
        assert!(neighbours.due(at(RETRY_MS - 1), |_| true).is_empty());
        assert_eq!(neighbours.due(at(RETRY_MS), |_| true), [key()]);
        neighbours.apply(libc::RTM_NEWNEIGH, &message(libc::NUD_STALE, Some(MAC)));
        assert!(neighbours.due(at(KEEP_MS - 1), |_| true).is_empty());
        assert_eq!(neighbours.due(at(KEEP_MS), |_| true), [key()]);
        neighbours.asked(&key(), at(KEEP_MS));
        neighbours.apply(libc::RTM_NEWNEIGH, &message(libc::NUD_REACHABLE, Some(MAC)));
        neighbours.apply(libc::RTM_NEWNEIGH, &message(libc::NUD_STALE, Some(MAC)));
        assert_eq!(neighbours.due(at(KEEP_MS + 1), |_| true), [key()], "it had answered");
        assert!(neighbours.due(at(RETRY_MS + WANTED_MS_MAX), |_| true).is_empty());
        assert!(neighbours.wanted.is_empty());
    }

    /// It sends no event when it begins to ask, and one when it gives up.
    #[test]
    fn the_kernel_asks_by_itself_until_a_moment_after_it_gave_up() {
        let (mut neighbours, start) = (Neighbours::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        neighbours.want(key(), start);
        assert!(!neighbours.judge(&key(), start) && !neighbours.is_asked(&key()), "send to it");
        assert_eq!(neighbours.unresolved(), [key()]);
        neighbours.apply(libc::RTM_NEWNEIGH, &message(libc::NUD_INCOMPLETE, None));
        assert!(neighbours.judge(&key(), at(20)) && neighbours.is_asked(&key()));
        assert!(!neighbours.judge(&key(), at(3000)) && neighbours.is_asked(&key()));
        neighbours.apply(libc::RTM_NEWNEIGH, &message(libc::NUD_FAILED, None));
        assert!(!neighbours.judge(&key(), at(2999 + RETRY_MS)));
        assert!(neighbours.judge(&key(), at(3000 + RETRY_MS)) && !neighbours.is_asked(&key()));
        neighbours.apply(libc::RTM_NEWNEIGH, &message(libc::NUD_REACHABLE, Some(MAC)));
        assert_eq!(neighbours.unresolved(), []);
    }

    #[test]
    fn a_link_that_is_down_is_not_asked_and_one_that_is_back_at_once() {
        let (mut neighbours, start) = (Neighbours::default(), Instant::now());
        assert!(neighbours.want(key(), start));
        assert!(neighbours.due(start, |_| false).is_empty());
        neighbours.asked(&key(), start);
        neighbours.link_is_back(key().0 + 1);
        assert!(neighbours.due(start, |_| true).is_empty(), "another one");
        neighbours.link_is_back(key().0);
        assert_eq!(neighbours.due(start, |_| true), [key()]);
    }

    #[test]
    fn the_wanted_and_the_questions_are_bounded() {
        let (mut neighbours, now) = (Neighbours::default(), Instant::now());
        for n in 0..WANTED_MAX as u32 + 10 {
            assert!(neighbours.want((7, IpAddr::V4(n.into())), now));
        }
        assert_eq!(neighbours.wanted.len(), WANTED_MAX);
        assert_eq!(neighbours.due(now, |_| true).len(), ASKS_MAX);
    }

    #[test]
    fn what_is_no_neighbour_is_ignored() {
        let mut bridge = message(libc::NUD_REACHABLE, Some(MAC));
        bridge[0] = libc::AF_BRIDGE as u8;
        let mut proxy = message(libc::NUD_REACHABLE, Some(MAC));
        proxy[NDMSG_FLAGS] = NTF_PROXY;
        assert_eq!((parse(&bridge), parse(&proxy)), (None, None));
        let whole = message(libc::NUD_REACHABLE, Some(MAC));
        for length in 0..NDMSG_BYTES + 8 {
            assert_eq!(parse(&whole[..length]), None);
        }
    }
}
