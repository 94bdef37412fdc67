//! How a subscriber comes to its place: an account, a program, a way, an entry.

use super::{Fan, Placed};
use crate::replicate::kernel::programs;
use std::collections::HashMap;
use std::sync::Arc;
use tickwire_capture::PortError;
use tickwire_capture::bpf::Program;
use tickwire_frame::Reason;
use tickwire_replicate::SubscriberEntry;

impl Fan {
    /// Puts the programs of `subscribers` into places, or says why there is none: their copies
    /// count as refused then, until they have one.
    pub(super) fn place_all(
        &mut self,
        number: u32,
        subscribers: &[Arc<SubscriberEntry>],
    ) -> Vec<String> {
        let admitted: Vec<_> = subscribers.iter().map(|one| self.admit(number, one)).collect();
        let mut programs = self.load_all(number, subscribers);
        let mut notices = Vec::new();
        for (subscriber, admitted) in subscribers.iter().zip(admitted) {
            let program = programs.remove(&subscriber.id).transpose();
            let put = admitted.and_then(|is_new| self.put(number, subscriber, is_new, program?));
            notices.extend(put.err().map(|error| self.refuse(number, subscriber, &error)));
        }
        notices
    }

    /// Gives `subscriber` an account if it has none; whether it had none.
    fn admit(&mut self, number: u32, subscriber: &Arc<SubscriberEntry>) -> Result<bool, PortError> {
        let feed = &mut self.feeds[number as usize];
        if let Some(placed) = feed.placed.get_mut(&subscriber.id) {
            placed.entry = Arc::clone(subscriber);
            return Ok(false);
        }
        let account = self.accounts.take(number)?;
        let (entry, at) = (Arc::clone(subscriber), None);
        let before = subscriber.path.err().unwrap_or(Reason::LinkDown);
        let placed = Placed { entry, account, at, before, fresh: true, failed: false };
        feed.placed.insert(subscriber.id, placed);
        Ok(true)
    }

    /// The programs of those of `subscribers` who need one.
    fn load_all(
        &self,
        number: u32,
        subscribers: &[Arc<SubscriberEntry>],
    ) -> HashMap<u32, Result<Program, PortError>> {
        let feed = &self.feeds[number as usize];
        let placed = subscribers.iter().filter_map(|one| feed.placed.get(&one.id));
        let needed: Vec<_> = placed
            .filter(|placed| placed.needs_program())
            .map(|placed| (&*placed.entry, self.accounts.books(&placed.account)))
            .collect();
        let programs = programs::egress_all(feed.entry.feed.listen.ip().is_ipv4(), &needed);
        needed.iter().map(|(entry, _)| entry.id).zip(programs).collect()
    }

    fn put(
        &mut self,
        number: u32,
        subscriber: &SubscriberEntry,
        is_new: bool,
        program: Option<Program>,
    ) -> Result<(), PortError> {
        let id = subscriber.id;
        let placed = &self.feeds[number as usize].placed[&id];
        let (had, fresh) = (placed.at, placed.fresh);
        let way = match (subscriber.path, &program) {
            (Ok(hop), _) => Some(self.way(hop.ifindex, hop.mtu)?),
            (Err(_), Some(_)) => self.any_way(had.map(|(way, _)| way)),
            (Err(_), None) => None,
        };
        let at = match (way, had) {
            (Some(way), Some((same, place))) if way == same => Some((way, place)),
            (Some(way), _) => {
                self.leave(number, id)?;
                Some((way, self.ways[way].free_place(number)))
            }
            (None, _) => None,
        };
        if let (Some((way, place)), Some(program)) = (at, &program) {
            self.make_room(number, way, place)?;
            let devices = &self.feeds[number as usize].devices;
            self.ways[way].occupy(devices, way, [number, place], program)?;
        }
        let placed = self.feeds[number as usize].placed.get_mut(&id).expect("it was admitted");
        (placed.at, placed.fresh, placed.failed) = (at, fresh && at.is_none(), false);
        match (at, subscriber.path) {
            (None, Err(reason)) if reason != placed.before => {
                if fresh {
                    self.accounts.miss(&mut placed.account, number, placed.before)?;
                }
                placed.before = reason;
            }
            _ if is_new => self.accounts.begin(&mut placed.account, number)?,
            _ => {}
        }
        Ok(())
    }

    /// Leaves `subscriber` without a place because of `error`; what to say of it.
    fn refuse(&mut self, number: u32, subscriber: &SubscriberEntry, error: &PortError) -> String {
        let address = subscriber.subscriber.address;
        if let Some(placed) = self.feeds[number as usize].placed.get_mut(&subscriber.id) {
            (placed.failed, placed.before) = (true, Reason::TxRefused);
        }
        // Better no copies than such as nobody asked for any more.
        match self.leave(number, subscriber.id) {
            Ok(()) => format!("subscriber {address}: {error}"),
            Err(other) => format!("subscriber {address}: {error}; it may get copies: {other}"),
        }
    }
}

impl Placed {
    /// The kernel makes a copy for each place, also of one that drops it: that is spared where all
    /// is lost for one reason. Who had a place keeps it, to count exactly.
    fn needs_program(&self) -> bool {
        self.entry.path.is_ok() || !self.fresh || self.entry.filter.is_some()
    }
}
