//! A FIX session as the side that logs on (FIX 4.2, FIX 4.4).
//!
//! * `settings`: what it is to be like ([`FixSettings`]).
//! * `link`: the session layer, the same for both sides.
//! * `head`, `ahead`: what it needs of a message, and messages that came before their turn.
//! * `outgoing`, `time`: what is to be sent, and times as text.
//! * `order`: the bytes of an order. `orders`: open orders, and what reports say of them.
//!
//! The other side, for tests and the lab, is [`FixExchange`](crate::exchange::FixExchange).
//!
//! # What becomes of an order
//! An order has a number twice: its own, which is its ClOrdID (11), and that of its message. The
//! second is kept before the order leaves. When a connection breaks, the next Logon tells the peer
//! how many messages there were, and it asks for those that it has not got: these orders have not
//! arrived, and will not ([`EventKind::Unsent`]). They are skipped, not sent again, because what
//! they were decided on is old news ([`FixSettings::resend_orders_ms`]). What the peer has got it
//! has answered; its answers have numbers, too, and what is missing of them we ask for. So each
//! order is known to have arrived, or not to have, as soon as both sides have caught up, and none
//! arrives twice.
//!
//! Where numbers began again, or another process sent the order, they do not tell. Then the peer is
//! asked by an OrderStatusRequest (35=H): what it says is booked, and an order that it does not
//! know never arrived ([`Reason::UnknownOrder`]). One that it says nothing of stays open.

mod ahead;
mod head;
pub(crate) mod link;
pub(crate) mod order;
mod orders;
pub(crate) mod outgoing;
mod settings;
mod time;

pub use link::{INPUT_BYTES_MAX, LOGON_MS_MAX, LOGOUT_MS_MAX, RESEND_MS_MAX, RESEND_TRIES_MAX};
pub use settings::{FixSettings, FixSettingsError, FixVersion, HEARTBEAT_S_MAX, ORDERS_OPEN_MAX};

pub use orders::{STATUS_MS_MAX, STATUS_TRIES_MAX};

use super::{Close, OUTPUT_BYTES_MAX, Resumed, SequenceStore, Session};
#[cfg(doc)]
use crate::order::EventKind;
use crate::order::{Event, Order, Scale};
use link::{Link, Role};
use order::NewOrderSingle;
use orders::{Orders, Reports};
use outgoing::Outgoing;
use std::fmt;
use tickwire_frame::Reason;

/// What a session has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixCounts {
    /// Logons that were answered.
    pub logons: u64,
    /// Whole messages.
    pub received: u64,
    /// Garbled messages, which are ignored.
    pub garbled: u64,
    /// Messages that came before, and say so.
    pub duplicates: u64,
    /// Messages that we refused by a Reject.
    pub rejected: u64,
    /// Messages of types that nobody handles, refused by a BusinessMessageReject.
    pub unsupported: u64,
    /// Messages of ours that the peer refused by a Reject.
    pub rejected_by_peer: u64,
    /// Numbers that came a second time, or that the peer reset without our agreement.
    pub sequence_errors: u64,
    /// How often we asked for messages that were missing.
    pub resends_asked: u64,
    /// How often the peer did.
    pub resends_answered: u64,
    /// How often numbers began again, or were moved on without the messages.
    pub resets: u64,
    /// Reports of orders that are none of ours, or over.
    pub unknown_orders: u64,
    /// Reports that take executions back, correct them or go beyond the order: no [`Event`] says
    /// so, a person has to look.
    pub doubtful: u64,
}

/// A FIX session as the side that logs on.
pub struct FixSession {
    link: Link,
    orders: Orders,
}

impl fmt::Debug for FixSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("FixSession");
        out.field("settings", self.link.settings()).field("counts", &self.counts());
        out.field("orders", &self.orders.len()).finish_non_exhaustive()
    }
}

impl FixSession {
    /// A session that goes on where `store` says, with prices of that `scale`.
    ///
    /// # Errors
    /// What of the settings cannot be.
    pub fn new(
        settings: FixSettings,
        scale: Scale,
        store: Box<dyn SequenceStore>,
    ) -> Result<Self, FixSettingsError> {
        settings.check(scale)?;
        let template = NewOrderSingle::new(&settings, scale)?;
        let resend_ns = settings.resend_orders_ms.saturating_mul(1_000_000);
        let orders = Orders::new(template, scale, settings.orders_open_max, resend_ns);
        let out = Outgoing::new(&settings, store, OUTPUT_BYTES_MAX);
        Ok(FixSession { link: Link::new(Role::Initiator, settings, out), orders })
    }

    /// What it has seen.
    pub fn counts(&self) -> FixCounts {
        let Orders { unknown, doubtful, .. } = self.orders;
        FixCounts { unknown_orders: unknown, doubtful, ..self.link.counts }
    }

    /// Orders that wait for an answer, or are in the market.
    pub fn orders_open(&self) -> usize {
        self.orders.len()
    }

    /// Before both sides have caught up, numbers may still say what became of an order.
    fn ask_status(&mut self, now_ns: u64) {
        if self.link.is_ready() {
            self.orders.ask_status(&mut self.link.out, now_ns);
        }
    }

    /// The numbers of the next message that we send, and that we expect.
    pub fn sequence(&self) -> (u64, u64) {
        (self.link.out.next(), self.link.out.expected())
    }
}

impl Session for FixSession {
    fn resume(&mut self, orders: &[Resumed]) {
        self.orders.resume(orders);
    }

    fn uncertain(&self) -> usize {
        self.orders.uncertain()
    }

    fn connected(&mut self, now_ns: u64) {
        let mut nobody = |_: Event| {};
        self.link.connected(now_ns, &mut Reports { orders: &mut self.orders, event: &mut nobody });
    }

    fn disconnected(&mut self, _now_ns: u64, event: &mut dyn FnMut(Event)) {
        self.orders.disconnected(self.link.out.taken(), event);
        self.link.disconnected();
    }

    fn received(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        event: &mut dyn FnMut(Event),
    ) -> Result<(), Close> {
        self.link.received(bytes, now_ns, &mut Reports { orders: &mut self.orders, event })?;
        self.ask_status(now_ns);
        Ok(())
    }

    fn tick(&mut self, now_ns: u64) -> Result<(), Close> {
        self.link.tick(now_ns)?;
        self.ask_status(now_ns);
        Ok(())
    }

    #[inline]
    fn order(&mut self, order: &Order) -> Result<(), Reason> {
        if !self.link.is_ready() {
            return Err(Reason::NotConnected);
        }
        self.orders.send(order, &mut self.link.out)
    }

    fn is_ready(&self) -> bool {
        self.link.is_ready()
    }

    fn logout(&mut self, now_ns: u64) {
        self.link.logout(now_ns);
    }

    fn output(&self) -> &[u8] {
        self.link.out.bytes()
    }

    fn sent(&mut self, bytes: usize) {
        self.link.out.sent(bytes);
    }
}
