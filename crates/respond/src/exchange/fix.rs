//! The side that is logged on to: FIX 4.2 and 4.4.

use super::{Answer, Exchange, Faults, Received, Tally};
use crate::order::Side;
use crate::session::SequenceStore;
use crate::session::fix::link::{Application, Link, Next, Refusal, Role, reason};
use crate::session::fix::order::side_code;
use crate::session::fix::outgoing::{Again, Full, Outgoing};
use crate::session::fix::{FixCounts, FixSettings, FixVersion};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tickwire_market::fix::{Framed, Message, frame};

/// Reports that can be sent again; for older ones a gap fill stands.
const HISTORY_MAX: usize = 1 << 16;

/// Room for all of them: a peer may ask for all at once.
const OUTPUT_BYTES_MAX: usize = 32 << 20;

/// The side that is logged on to. It takes whoever comes, by the names that the first Logon says.
pub struct FixExchange {
    link: Link,
    input: Vec<u8>,
    exchange: Book,
    is_silent: bool,
}

impl fmt::Debug for FixExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixExchange").field("tally", &self.tally()).finish_non_exhaustive()
    }
}

impl FixExchange {
    /// One whose numbers begin at 1.
    pub fn new(version: FixVersion, faults: Faults) -> Self {
        let settings = FixSettings::new(version, "EXCHANGE", "TRADER");
        let store: Box<dyn SequenceStore> =
            Box::new(Arc::new([AtomicU64::new(1), AtomicU64::new(1)]));
        let out = Outgoing::new(&settings, store, OUTPUT_BYTES_MAX);
        FixExchange {
            link: Link::new(Role::Acceptor, settings, out),
            input: Vec::new(),
            exchange: Book::new(version, faults),
            is_silent: false,
        }
    }

    /// What its session has seen.
    pub fn counts(&self) -> FixCounts {
        self.link.counts
    }

    /// Hands whole messages on, but those that it is to miss.
    fn whole_messages(&mut self, now_ns: u64) -> Result<(), String> {
        loop {
            let (len, is_missed) = match frame(&self.input) {
                Framed::Incomplete => return Ok(()),
                Framed::Garbled { skip, .. } => (skip, false),
                Framed::Message(message) => (message.bytes().len(), self.exchange.misses(&message)),
            };
            let bytes: Vec<u8> = self.input.drain(..len).collect();
            if !is_missed {
                let handled = self.link.received(&bytes, now_ns, &mut self.exchange);
                handled.map_err(|close| close.why)?;
            }
            if self.exchange.goes_silent() {
                self.is_silent = true;
                return Ok(());
            }
        }
    }
}

impl Exchange for FixExchange {
    fn connected(&mut self, now_ns: u64) {
        self.disconnected(now_ns);
        self.link.connected(now_ns, &mut self.exchange);
    }

    fn disconnected(&mut self, _now_ns: u64) {
        self.is_silent = false;
        self.input.clear();
        self.link.disconnected();
    }

    fn received(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        order: &mut dyn FnMut(Received),
    ) -> Result<(), String> {
        if self.is_silent {
            return Ok(());
        }
        self.input.extend_from_slice(bytes);
        let handled = self.whole_messages(now_ns);
        self.exchange.came.drain(..).for_each(order);
        handled
    }

    fn tick(&mut self, now_ns: u64) -> Result<(), String> {
        match self.is_silent {
            true => Ok(()),
            false => self.link.tick(now_ns).map_err(|close| close.why),
        }
    }

    fn output(&self) -> &[u8] {
        if self.is_silent { &[] } else { self.link.out.bytes() }
    }

    fn sent(&mut self, bytes: usize) {
        self.link.out.sent(bytes);
    }

    fn tally(&self) -> Tally {
        let counts = &self.link.counts;
        Tally {
            logins: counts.logons,
            sequence_errors: counts.sequence_errors,
            protocol_errors: counts.garbled + counts.rejected + counts.unsupported,
            ..self.exchange.tally
        }
    }
}

/// A report, to send again.
struct Sent {
    number: u64,
    at_ns: u64,
    fields: Vec<(u32, String)>,
}

/// What an exchange knows of orders.
struct Book {
    version: FixVersion,
    faults: Faults,
    tally: Tally,
    /// Orders that came for the first time, those that were missed, too.
    offered: u64,
    reports: u64,
    /// All orders of the day, by their ClOrdID.
    known: HashMap<String, Known>,
    history: VecDeque<Sent>,
    came: Vec<Received>,
    was_silent: bool,
}

impl Book {
    fn new(version: FixVersion, faults: Faults) -> Self {
        Book {
            version,
            faults,
            tally: Tally::default(),
            offered: 0,
            reports: 0,
            known: HashMap::new(),
            history: VecDeque::new(),
            came: Vec::new(),
            was_silent: false,
        }
    }

    /// Whether this message is to get lost, as if it had been garbled.
    fn misses(&mut self, message: &Message<'_>) -> bool {
        let is_new = message.msg_type() == b"D" && message.get(43) != Some(b"Y");
        self.offered += u64::from(is_new);
        is_new && Faults::is_nth(self.offered, self.faults.miss_every)
    }

    fn goes_silent(&mut self) -> bool {
        let after = self.faults.silent_after;
        let is_now = after > 0 && self.tally.orders >= after && !self.was_silent;
        self.was_silent |= is_now;
        is_now
    }

    fn order(
        &mut self,
        message: &Message<'_>,
        out: &mut Outgoing,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        let mut order = read(message)?;
        if self.known.contains_key(&order.client_order_id) {
            self.tally.duplicates += 1;
            order.answer = Answer::Duplicate;
            self.came.push(order);
            return Ok(());
        }
        self.tally.orders += 1;
        let is_cut = Faults::is_nth(self.tally.orders, self.faults.disconnect_every);
        let mut known = Known { order: order.clone(), id: self.tally.orders, done: 0 };
        if Faults::is_nth(self.tally.orders, self.faults.reject_every) {
            self.tally.rejected += 1;
            known.order.answer = Answer::Rejected;
            self.report(&known, State::Rejected, is_cut, out, now_ns)?;
        } else {
            self.tally.accepted += 1;
            self.report(&known, State::New, is_cut, out, now_ns)?;
            if self.faults.is_filled(self.tally.accepted) {
                self.fill(&mut known, is_cut, out, now_ns)?;
            }
        }
        self.came.push(known.order.clone());
        self.known.insert(order.client_order_id, known);
        if is_cut {
            self.tally.cuts += 1;
            return Err(Refusal::Close("cut on purpose"));
        }
        Ok(())
    }

    /// In two parts, where there are two.
    fn fill(
        &mut self,
        known: &mut Known,
        is_cut: bool,
        out: &mut Outgoing,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        let part = known.order.quantity / 2;
        for last in [part, known.order.quantity - part] {
            if last > 0 {
                known.done += last;
                self.tally.executions += 1;
                self.report(known, State::Executed { last }, is_cut, out, now_ns)?;
            }
        }
        Ok(())
    }

    /// OrderStatusRequest (35=H).
    fn status(
        &mut self,
        message: &Message<'_>,
        out: &mut Outgoing,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        self.tally.status_requests += 1;
        let id = text(message, 11)?;
        let fields = match self.known.get(&id) {
            Some(known) => self.fields(known, State::Status),
            None => self.unknown(id, text(message, 54)?, text(message, 55)?),
        };
        self.send(fields, false, out, now_ns)
    }

    /// ExecutionReport (35=8).
    fn report(
        &mut self,
        known: &Known,
        state: State,
        is_lost: bool,
        out: &mut Outgoing,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        self.send(self.fields(known, state), is_lost, out, now_ns)
    }

    /// A report that is lost has its number, and can be asked for.
    fn send(
        &mut self,
        fields: Vec<(u32, String)>,
        is_lost: bool,
        out: &mut Outgoing,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        self.reports += 1;
        let (number, at_ns) = (out.next(), now_ns);
        if is_lost || Faults::is_nth(self.reports, self.faults.withhold_every) {
            out.withhold();
        } else {
            out.message(now_ns, "8", &as_fields(&fields))?;
        }
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(Sent { number, at_ns, fields });
        Ok(())
    }

    fn fields(&self, known: &Known, state: State) -> Vec<(u32, String)> {
        let &Known { ref order, id, done } = known;
        let status = match order.answer {
            Answer::Rejected => "8",
            _ if done == order.quantity => "2",
            _ if done > 0 => "1",
            _ => "0",
        };
        let kind = match (state, self.version) {
            (State::Executed { .. }, FixVersion::Fix44) => "F",
            (State::Status, FixVersion::Fix44) => "I",
            _ => status,
        };
        let left = if status == "8" { 0 } else { order.quantity - done };
        let price = decimal(order.price, order.decimals);
        let mut fields = vec![
            (37, format!("E{id}")),
            (11, order.client_order_id.clone()),
            (17, format!("X{}", self.reports)),
            (150, kind.to_owned()),
            (39, status.to_owned()),
            (55, order.symbol.clone()),
            (54, side_code(order.side).to_owned()),
            (38, order.quantity.to_string()),
            (151, left.to_string()),
            (14, done.to_string()),
            (6, if done > 0 { price.clone() } else { "0".to_owned() }),
        ];
        if self.version == FixVersion::Fix42 {
            let is_status = matches!(state, State::Status);
            fields.push((20, if is_status { "3" } else { "0" }.to_owned()));
        }
        if let State::Executed { last } = state {
            fields.extend([(32, last.to_string()), (31, price)]);
        }
        if status == "8" {
            fields.push((103, "0".to_owned()));
        }
        fields
    }

    /// What is said of an order that is not known: OrdRejReason (103) is *unknown order*.
    fn unknown(&self, id: String, side: String, symbol: String) -> Vec<(u32, String)> {
        let is_old = self.version == FixVersion::Fix42;
        let exec_id = format!("X{}", self.reports);
        let kind = if is_old { "8" } else { "I" };
        let fields = [(37, "NONE"), (17, &exec_id), (150, kind), (39, "8"), (103, "5")];
        let fields = fields.into_iter().chain([(151, "0"), (14, "0"), (6, "0")]);
        let mut fields: Vec<_> = fields.map(|(tag, text)| (tag, text.to_owned())).collect();
        fields.extend([(11, id), (54, side), (55, symbol)]);
        fields.extend(is_old.then(|| (20, "3".to_owned())));
        fields
    }
}

/// An order of the day, and how much of it was executed.
struct Known {
    order: Received,
    id: u64,
    done: u32,
}

/// Why a report is sent.
#[derive(Clone, Copy)]
enum State {
    New,
    Rejected,
    Executed { last: u32 },
    Status,
}

impl Application for Book {
    fn message(
        &mut self,
        message: &Message<'_>,
        out: &mut Outgoing,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        match message.msg_type() {
            b"D" => self.order(message, out, now_ns).inspect_err(|refusal| {
                self.tally.bad_orders += u64::from(matches!(refusal, Refusal::Reject(..)));
            }),
            b"H" => self.status(message, out, now_ns),
            // What the peer does not understand of ours.
            b"j" => {
                self.tally.protocol_errors += 1;
                Ok(())
            }
            _ => Err(Refusal::Unsupported),
        }
    }

    fn rejected(&mut self, _number: u64, _reason: u16) {
        self.tally.protocol_errors += 1;
    }

    fn next_again(&mut self, from: u64, last: u64, _is_repeated: bool, _now_ns: u64) -> Next {
        let at = self.history.partition_point(|sent| sent.number < from);
        match self.history.get(at) {
            Some(sent) if sent.number <= last => Next::Send(sent.number),
            _ => Next::Fill,
        }
    }

    fn send_again(&mut self, number: u64, out: &mut Outgoing, now_ns: u64) -> Result<(), Full> {
        let Ok(at) = self.history.binary_search_by_key(&number, |sent| sent.number) else {
            return Ok(());
        };
        let sent = &self.history[at];
        let again = Again { number, at_ns: sent.at_ns };
        out.again(now_ns, "8", again, &as_fields(&sent.fields))
    }

    fn reset(&mut self) {
        self.history.clear();
    }
}

fn as_fields(fields: &[(u32, String)]) -> Vec<(u32, &dyn fmt::Display)> {
    fields.iter().map(|(tag, text)| (*tag, text as &dyn fmt::Display)).collect()
}

/// A field that has to be there.
fn text(message: &Message<'_>, tag: u32) -> Result<String, Refusal> {
    match message.get(tag) {
        Some(value) if !value.is_empty() => Ok(String::from_utf8_lossy(value).into_owned()),
        _ => Err(Refusal::Reject(reason::MISSING, tag)),
    }
}

/// NewOrderSingle (35=D).
fn read(message: &Message<'_>) -> Result<Received, Refusal> {
    let text = |tag| text(message, tag);
    let price = text(44)?;
    let (whole, part) = price.split_once('.').unwrap_or((&price, ""));
    let side = match message.get(54) {
        Some(b"1") => Side::Buy,
        Some(b"2") => Side::Sell,
        Some(b"5") => Side::SellShort,
        Some(_) => return Err(Refusal::Reject(reason::OUT_OF_RANGE, 54)),
        None => return Err(Refusal::Reject(reason::MISSING, 54)),
    };
    let bad = |tag| move |_| Refusal::Reject(reason::FORMAT, tag);
    Ok(Received {
        client_order_id: text(11)?,
        symbol: text(55)?,
        side,
        price: format!("{whole}{part}").parse().map_err(bad(44))?,
        decimals: part.len() as u32,
        quantity: text(38)?.parse().map_err(bad(38))?,
        answer: Answer::Accepted,
    })
}

/// A number with that many decimals.
fn decimal(units: i64, decimals: u32) -> String {
    let decimals = decimals as usize;
    let digits = format!("{:0width$}", units.unsigned_abs(), width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    let sign = if units < 0 { "-" } else { "" };
    let point = if decimals > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{part}")
}
