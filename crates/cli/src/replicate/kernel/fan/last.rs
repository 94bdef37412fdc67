//! Who comes last by each way: somebody who takes every datagram, so that no copy waits.
//!
//! The kernel gathers the copies for a device in groups of 16, and only with the last group of a
//! poll it tells the device to send. When the programs drop all of that group, it does not even do
//! that (`bq_xmit_all` in kernel/bpf/devmap.c): copies of the groups before wait in the device for
//! the next packet. So the last place of each feed belongs to a subscriber without a filter whose
//! next hop is known. Where there is none, that is told; it cannot be mended here.

use super::{Fan, Feed, Placed};
use crate::replicate::kernel::accounts::not_waited;
use crate::replicate::kernel::programs;
use tickwire_capture::PortError;
use tickwire_capture::bpf::Barrier;
use tickwire_replicate::{SUBSCRIBERS_MAX, SubscriberEntry};

/// The longest packet that `subscriber` takes whatever is in it; 0 when it depends on that, or
/// there is no way to it.
pub fn takes_all_to(subscriber: &SubscriberEntry) -> u32 {
    match (&subscriber.filter, subscriber.path, &subscriber.template) {
        (None, Ok(hop), Ok(_)) => hop.mtu,
        _ => 0,
    }
}

impl Fan {
    /// Gives the last places of feed `number` to subscribers who take all of it; what a person
    /// should know.
    pub(super) fn put_last(&mut self, number: u32, barrier: &Barrier) -> Vec<String> {
        let mut notices = Vec::new();
        for way in 0..self.ways.len() {
            let seated = self.seat(number, way, barrier);
            notices.extend(seated.err().map(|error| error.to_string()));
        }
        for way in 0..self.ways.len() {
            // Before all neighbours have answered it is too early to say.
            let is_final = |feed: &Feed| {
                let mut all = feed.entry.subscribers.iter();
                all.all(|one| one.filter.is_some() || one.path.is_ok())
            };
            if !self.ways[way].told_to_wait && self.feeds.iter().all(is_final) {
                let told = self.may_wait(way);
                self.ways[way].told_to_wait = told.is_some();
                notices.extend(told);
            }
        }
        notices
    }

    /// Puts the subscriber who takes most of feed `number` by `way` behind all others. At most one
    /// place more than there are subscribers is left empty for it: each costs a copy of a datagram.
    fn seat(&mut self, number: u32, way: usize, barrier: &Barrier) -> Result<(), PortError> {
        let Some((most, place)) = self.most(number, way) else { return Ok(()) };
        let last = self.ways[way].entries(number) - 1;
        if place == last {
            return Ok(());
        }
        let empty = self.ways[way].free_place(number);
        if empty < last {
            let at_end = |placed: &&Placed| placed.at == Some((way, last));
            let placed = &self.feeds[number as usize].placed;
            if let Some(id) = placed.values().find(at_end).map(|placed| placed.entry.id) {
                self.relocate(number, id, empty, barrier)?;
            }
        }
        let end = self.ways[way].entries(number);
        if place + 1 == end || end == SUBSCRIBERS_MAX as u32 {
            return Ok(());
        }
        self.relocate(number, most, end, barrier)
    }

    /// Who takes most of feed `number` by `way`, and the place; none who takes all.
    fn most(&self, number: u32, way: usize) -> Option<(u32, u32)> {
        let placed = self.feeds[number as usize].placed.values();
        let by_way = placed.filter_map(|placed| match placed.at {
            Some((at, place)) if at == way => Some((takes_all_to(&placed.entry), place, placed)),
            _ => None,
        });
        let (most, place, placed) = by_way.max_by_key(|&(most, place, _)| (most, place))?;
        (most > 0).then_some((placed.entry.id, place))
    }

    /// Moves subscriber `id`, who has a place, to the empty place `to` of the same way. It gets
    /// each datagram once: for a moment it has both places, and its program drops the second copy.
    fn relocate(
        &mut self,
        number: u32,
        id: u32,
        to: u32,
        barrier: &Barrier,
    ) -> Result<(), PortError> {
        let feed = &self.feeds[number as usize];
        let placed = &feed.placed[&id];
        let Some((way, from)) = placed.at else { return Ok(()) };
        let books = self.accounts.books(&placed.account);
        let ipv4 = feed.entry.feed.listen.is_ipv4();
        let program = programs::egress(ipv4, &placed.entry, &books)?;
        self.make_room(number, way, to)?;
        let feed = &mut self.feeds[number as usize];
        self.ways[way].occupy(&feed.devices, way, [number, to], &program)?;
        feed.placed.get_mut(&id).expect("it is there").at = Some((way, to));
        // Datagrams that are on their way have passed that place, or have no copy for it.
        let waited = barrier.wait().map_err(not_waited);
        self.ways[way].vacate(&feed.devices, way, [number, from])?;
        waited
    }

    /// Says that copies by `way` may wait for the next packet.
    pub(super) fn may_wait(&self, way: usize) -> Option<String> {
        let by_way = |placed: &&Placed| placed.at.is_some_and(|(at, _)| at == way);
        let all = self.feeds.iter().flat_map(|feed| feed.placed.values());
        if !all.filter(by_way).any(|placed| placed.entry.template.is_ok()) {
            return None;
        }
        let (feed, _) = self.feeds.iter().zip(0..).find(|&(_, number)| {
            let end = self.ways[way].entries(number);
            end > 0 && self.most(number, way).is_none_or(|(_, place)| place + 1 != end)
        })?;
        let (feed, way) = (&feed.entry.feed.name, &self.ways[way].name);
        Some(format!(
            "copies by {way} may wait there for the next packet, because no subscriber of feed \
             {feed} by {way} takes every datagram: each has a filter, or no next hop; add one \
             without a filter, or start again with --mode af_xdp"
        ))
    }
}
