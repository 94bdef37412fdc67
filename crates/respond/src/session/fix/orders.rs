//! The open orders of a session, and what reports say of them (FIX 4.4, volume 4, *Order State
//! Changes*).
//!
//! What was executed is taken from CumQty (14), not from LastQty (32): however often a report comes
//! or however many got lost, an execution counts once.
//!
//! Numbers answer for all that was sent since they began. Of older orders, and of those of the
//! process before, an OrderStatusRequest (35=H) asks what became of each.

use super::head::number;
use super::link::{Application, Next, Refusal, reason};
use super::order::{NewOrderSingle, ORDER_ROOM_BYTES, side_code};
use super::outgoing::{Full, Outgoing};
use crate::format::{client_order_id, order_number};
use crate::order::{Event, EventKind, Intent, Order, Scale};
use crate::session::Resumed;
use std::collections::VecDeque;
use std::str;
use tickwire_frame::Reason;
use tickwire_market::fix::Message;

/// OrdRejReason (103): unknown order.
const UNKNOWN_ORDER: u64 = 5;

/// How long the answer to an OrderStatusRequest is waited for before it is asked again.
pub const STATUS_MS_MAX: u64 = 10_000;

/// How often the same is asked for on a connection.
pub const STATUS_TRIES_MAX: u32 = 3;

/// Whether the peer has to be asked what became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Numbers say it, or the peer has.
    Known,
    Wanted,
    Asked,
}

/// An order that has left, or is about to.
#[derive(Clone, Copy, Debug)]
struct Open {
    order: Order,
    status: Status,
    /// Its MsgSeqNum; 0 when numbers began again since, or the process before sent it.
    sequence: u64,
    /// Where it ended among all that was ever written, when it was sent first.
    end: u64,
    /// The peer has answered.
    is_known: bool,
    executed: u32,
    /// What was taken off it without an execution.
    canceled: u32,
}

impl Open {
    fn left(&self) -> u32 {
        self.order.intent.quantity.saturating_sub(self.executed).saturating_sub(self.canceled)
    }
}

/// The open orders of a session, in the order of their numbers, which is that of their messages.
#[derive(Debug)]
pub(super) struct Orders {
    open: VecDeque<Open>,
    most: usize,
    scale: Scale,
    resend_ns: u64,
    template: NewOrderSingle,
    /// The last message that a report has answered.
    answered: u64,
    /// Whether the status of some order is wanted.
    is_wanting: bool,
    /// When statuses were asked for last, and how often on this connection.
    asked_ns: u64,
    tries: u32,
    /// Reports of orders that are none of ours, or over.
    pub unknown: u64,
    /// Reports that take executions back, correct them or go beyond the order.
    pub doubtful: u64,
}

impl Orders {
    pub fn new(template: NewOrderSingle, scale: Scale, most: usize, resend_ns: u64) -> Self {
        let open = VecDeque::with_capacity(most);
        Orders {
            open,
            most,
            scale,
            resend_ns,
            template,
            answered: 0,
            is_wanting: false,
            asked_ns: 0,
            tries: 0,
            unknown: 0,
            doubtful: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Writes an order; it is open from then on. Allocates nothing.
    #[inline]
    pub fn send(&mut self, order: &Order, out: &mut Outgoing) -> Result<(), Reason> {
        if self.open.len() >= self.most {
            return Err(Reason::InFlightMax);
        }
        // A number of today is higher than those before; else reports could not be told apart.
        if self.open.back().is_some_and(|last| last.order.number >= order.number) {
            return Err(Reason::DuplicateTrigger);
        }
        let sequence = out.next();
        let room = out.room::<ORDER_ROOM_BYTES>().ok_or(Reason::OutputQueueFull)?;
        let bytes = self.template.write(order, sequence, None, room)?;
        out.set_next(sequence.saturating_add(1));
        let end = out.wrote(bytes, order.at_ns);
        self.open.push_back(Open {
            order: *order,
            status: Status::Known,
            sequence,
            end,
            is_known: false,
            executed: 0,
            canceled: 0,
        });
        Ok(())
    }

    /// Orders of the process before, whose numbers are not known any more.
    pub fn resume(&mut self, orders: &[Resumed]) {
        self.open.extend(orders.iter().map(|known| {
            let &Resumed { number, symbol, side, quantity, executed, left, .. } = known;
            // It is never sent again, so that its price does not matter.
            let (rule, instrument, target, price) = (0, 0, 0, 0);
            let intent = Intent { rule, instrument, target, side, price, quantity };
            Open {
                order: Order { intent, symbol, number, at_ns: 0 },
                status: Status::Wanted,
                sequence: 0,
                end: 0,
                is_known: known.is_answered,
                executed,
                canceled: quantity.saturating_sub(executed).saturating_sub(left),
            }
        }));
        self.is_wanting = !orders.is_empty();
    }

    /// Orders whose status is not known yet.
    pub fn uncertain(&self) -> usize {
        self.open.iter().filter(|open| open.status != Status::Known).count()
    }

    /// Asks for the status of each order that numbers do not answer for, as far as there is room;
    /// for the rest at the next tick. To be called when both sides have caught up.
    pub fn ask_status(&mut self, out: &mut Outgoing, now_ns: u64) {
        self.asked_ns = self.asked_ns.min(now_ns);
        let is_late = now_ns - self.asked_ns > STATUS_MS_MAX * 1_000_000;
        if !self.is_wanting && self.tries > 0 && self.tries < STATUS_TRIES_MAX && is_late {
            self.want_again();
        }
        if !self.is_wanting {
            return;
        }
        for open in self.open.iter_mut().filter(|open| open.status == Status::Wanted) {
            let is_full = out.room::<ORDER_ROOM_BYTES>().is_none();
            if is_full || write_status_request(&open.order, out, now_ns).is_err() {
                return;
            }
            open.status = Status::Asked;
        }
        (self.is_wanting, self.asked_ns) = (false, now_ns);
        self.tries += 1;
    }

    /// Whose status was asked for and not answered, is wanted again.
    fn want_again(&mut self) {
        for open in self.open.iter_mut().filter(|open| open.status == Status::Asked) {
            open.status = Status::Wanted;
        }
        self.is_wanting = self.open.iter().any(|open| open.status == Status::Wanted);
    }

    /// Orders that the transport has not taken whole did not arrive.
    pub fn disconnected(&mut self, taken: u64, event: &mut dyn FnMut(Event)) {
        while let Some(last) = self.open.pop_back_if(|last| last.end > taken) {
            event(unsent(&last.order));
        }
        self.want_again();
        self.tries = 0;
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.open.binary_search_by_key(&number, |open| open.order.number).ok()
    }
}

/// OrderStatusRequest (35=H).
fn write_status_request(order: &Order, out: &mut Outgoing, now_ns: u64) -> Result<(), Full> {
    let id = client_order_id(order.number);
    let texts = (str::from_utf8(&id), str::from_utf8(order.symbol.trim_ascii_end()));
    let (Ok(id), Ok(symbol)) = texts else { return Ok(()) };
    let side = side_code(order.intent.side);
    out.message(now_ns, "H", &[(11, &id), (54, &side), (55, &symbol)])
}

fn unsent(order: &Order) -> Event {
    Event { number: order.number, kind: EventKind::Unsent(Reason::NotConnected) }
}

/// Open orders and who is told of them, for as long as bytes are handled.
pub(super) struct Reports<'a> {
    pub orders: &'a mut Orders,
    pub event: &'a mut dyn FnMut(Event),
}

/// What a report says.
#[derive(Default)]
struct Report<'m> {
    client_order_id: Option<&'m [u8]>,
    /// ExecType (150), else OrdStatus (39).
    kind: u8,
    status: u8,
    /// ExecTransType (20): only FIX 4.2 has it.
    transaction: u8,
    executed: Option<&'m [u8]>,
    left: Option<&'m [u8]>,
    price: Option<&'m [u8]>,
    average: Option<&'m [u8]>,
    /// OrdRejReason (103).
    code: Option<&'m [u8]>,
}

impl<'m> Report<'m> {
    fn of(message: &Message<'m>) -> Self {
        let mut report = Report { transaction: b'0', ..Report::default() };
        for field in message.fields().flatten() {
            let letter = || field.value.first().copied().unwrap_or(0);
            match field.tag {
                6 => report.average = Some(field.value),
                11 => report.client_order_id = Some(field.value),
                14 => report.executed = Some(field.value),
                20 => report.transaction = letter(),
                31 => report.price = Some(field.value),
                39 => report.status = letter(),
                103 => report.code = Some(field.value),
                150 => report.kind = letter(),
                151 => report.left = Some(field.value),
                _ => {}
            }
        }
        report
    }
}

impl Report<'_> {
    /// Whether it answers an OrderStatusRequest, and nothing has happened.
    fn is_status(&self) -> bool {
        self.kind == b'I' || self.transaction == b'3'
    }
}

impl Reports<'_> {
    /// ExecutionReport (35=8).
    fn execution_report(&mut self, message: &Message<'_>) -> Result<(), Refusal> {
        let report = Report::of(message);
        let number = report.client_order_id.and_then(order_number);
        let Some(at) = number.and_then(|number| self.orders.position(number)) else {
            self.orders.unknown += 1;
            return Ok(());
        };
        // Cancelled or corrected trades: no position is changed for them, a person has to.
        if matches!(report.transaction, b'1' | b'2') || matches!(report.kind, b'G' | b'H') {
            self.orders.doubtful += 1;
            return Ok(());
        }
        let quantity = |text: Option<&[u8]>, tag| match text {
            None => Ok(None),
            Some(text) => match whole(text) {
                Some(number) => Ok(Some(number)),
                None => Err(Refusal::Reject(reason::FORMAT, tag)),
            },
        };
        let executed = quantity(report.executed, 14)?;
        let left = quantity(report.left, 151)?;
        let price = report.price.or(report.average).unwrap_or(b"0");
        let price = decimal(price, self.orders.scale);
        let price = price.ok_or(Refusal::Reject(reason::FORMAT, 31))?;
        self.apply(at, &report, executed, left, price);
        Ok(())
    }

    fn apply(
        &mut self,
        at: usize,
        report: &Report<'_>,
        executed: Option<u32>,
        left: Option<u32>,
        price: i64,
    ) {
        let open = &mut self.orders.open[at];
        let number = open.order.number;
        let mut tell = |kind| (self.event)(Event { number, kind });
        self.orders.answered = self.orders.answered.max(open.sequence);
        let is_first = !std::mem::replace(&mut open.is_known, true);
        open.status = Status::Known;
        if report.status == b'8' || report.kind == b'8' {
            let code = report.code.and_then(super::head::number).unwrap_or(99);
            tell(match code {
                UNKNOWN_ORDER if report.is_status() => EventKind::Unsent(Reason::UnknownOrder),
                _ => EventKind::Rejected(code.try_into().unwrap_or(u16::MAX)),
            });
            self.orders.open.remove(at);
            return;
        }
        if is_first {
            tell(EventKind::Accepted);
        }
        let more = executed.unwrap_or(0).saturating_sub(open.executed);
        // No exchange executes more than was ordered.
        self.orders.doubtful += u64::from(more > open.left());
        let more = more.min(open.left());
        if more > 0 {
            open.executed += more;
            tell(EventKind::Executed { quantity: more, price });
        }
        let is_over = matches!(report.status, b'2' | b'3' | b'4' | b'C');
        let is_restated = report.kind == b'D';
        let gone = match left {
            _ if is_over => open.left(),
            Some(left) if is_restated => open.left().saturating_sub(left),
            _ => 0,
        };
        if gone > 0 {
            open.canceled += gone;
            tell(EventKind::Canceled { quantity: gone });
        }
        if open.left() == 0 {
            self.orders.open.remove(at);
        }
    }

    /// The peer refused the order at that place.
    fn refused(&mut self, at: Option<usize>, code: u16) {
        let Some(open) = at.and_then(|at| self.orders.open.remove(at)) else {
            self.orders.unknown += 1;
            return;
        };
        let number = open.order.number;
        (self.event)(Event { number, kind: EventKind::Rejected(code) });
    }

    /// The place of the order that was message `sequence`.
    fn of_message(&self, sequence: u64) -> Option<usize> {
        // 0 are those of before a reset.
        self.orders
            .open
            .iter()
            .position(|open| open.sequence == sequence && sequence > 0 && !open.is_known)
    }
}

impl Application for Reports<'_> {
    fn message(
        &mut self,
        message: &Message<'_>,
        _out: &mut Outgoing,
        _now_ns: u64,
    ) -> Result<(), Refusal> {
        match message.msg_type() {
            b"8" => self.execution_report(message),
            // Nobody there knows OrderStatusRequests: the orders stay open.
            b"j" if message.get(372) == Some(b"H") => {
                self.orders.tries = STATUS_TRIES_MAX;
                Ok(())
            }
            // BusinessMessageReject.
            b"j" => {
                let code = message.get(380).and_then(number).unwrap_or(0);
                let by_id = message.get(379).and_then(order_number);
                let by_id = by_id.and_then(|number| self.orders.position(number));
                let by_message = || self.of_message(message.get(45).and_then(number)?);
                let at = by_id.or_else(by_message);
                self.refused(at, code.try_into().unwrap_or(u16::MAX));
                Ok(())
            }
            // OrderCancelReject: somebody else wanted to cancel; the order is as it was.
            b"9" => Ok(()),
            _ => Err(Refusal::Unsupported),
        }
    }

    fn rejected(&mut self, number: u64, reason: u16) {
        if let Some(at) = self.of_message(number) {
            self.refused(Some(at), reason);
        }
    }

    fn next_again(&mut self, from: u64, last: u64, is_repeated: bool, now_ns: u64) -> Next {
        let mut at = self.orders.open.partition_point(|open| open.sequence < from);
        while let Some(open) = self.orders.open.get(at).filter(|open| open.sequence <= last) {
            let is_young = now_ns.saturating_sub(open.order.at_ns) < self.orders.resend_ns;
            // Messages are handled in turn: the answer to a later one says that this one was.
            if open.is_known || open.sequence < self.orders.answered {
                at += 1;
            } else if is_young {
                return Next::Send(open.sequence);
            } else if is_repeated {
                return Next::StopBefore(open.sequence);
            } else {
                // A gap fill stands for it: it will never arrive.
                (self.event)(unsent(&open.order));
                self.orders.open.remove(at);
            }
        }
        Next::Fill
    }

    fn send_again(&mut self, number: u64, out: &mut Outgoing, now_ns: u64) -> Result<(), Full> {
        let Some(at) = self.of_message(number) else { return Ok(()) };
        let open = &self.orders.open[at];
        let room = out.room::<ORDER_ROOM_BYTES>().ok_or(Full)?;
        let bytes = self.orders.template.write(&open.order, number, Some(now_ns), room);
        debug_assert!(bytes.is_ok(), "it was written before");
        out.wrote(bytes.unwrap_or(0), now_ns);
        Ok(())
    }

    fn reset(&mut self) {
        self.orders.answered = 0;
        for open in &mut self.orders.open {
            (open.sequence, open.status) = (0, Status::Wanted);
        }
        self.orders.is_wanting = !self.orders.open.is_empty();
    }
}

/// A quantity, which may have decimals that are all zero.
fn whole(text: &[u8]) -> Option<u32> {
    let (whole, decimals) = split(text);
    let is_whole = decimals.iter().all(|digit| *digit == b'0');
    number(whole).filter(|_| is_whole)?.try_into().ok()
}

/// A price in units of `scale`; finer decimals, which averages have, are cut.
fn decimal(text: &[u8], scale: Scale) -> Option<i64> {
    let (sign, text) = text.strip_prefix(b"-").map_or((1, text), |text| (-1, text));
    let (whole, decimals) = split(text);
    if !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = decimals.iter().map(|digit| i64::from(digit - b'0')).chain(std::iter::repeat(0));
    let whole = i64::try_from(number(whole)?).ok()?;
    let units = digits
        .take(scale.0 as usize)
        .try_fold(whole, |units, digit| units.checked_mul(10)?.checked_add(digit))?;
    Some(sign * units)
}

fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let at = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
    (&text[..at], text.get(at + 1..).unwrap_or(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_and_prices_are_exact() {
        let quantities =
            ["100", "0100", "100.", "100.00", "4294967295"].map(|text| whole(text.as_bytes()));
        assert_eq!(quantities, [Some(100), Some(100), Some(100), Some(100), Some(u32::MAX)]);
        for text in ["", "-1", "+1", "1.5", "4294967296", "1e3", "."] {
            assert_eq!(whole(text.as_bytes()), None, "{text}");
        }
        let price = |text: &str| decimal(text.as_bytes(), Scale(2));
        assert_eq!(
            ["100", "100.5", "0.05", "-1.25", "3.14159"].map(price),
            [10_000, 10_050, 5, -125, 314].map(Some)
        );
        assert_eq!(["", ".5", "1.x", "92233720368547758.08", "--1"].map(price), [None; 5]);
    }
}
