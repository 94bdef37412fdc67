//! Counts of a feed: one object for scripts, one table for people, from the same numbers.

use super::account::Account;
use super::gaps::{GapReport, SessionReport};
use super::job::Feed;
use crate::columns::{Columns, has_colour};
use crate::table::{count, counts, line, reasons, rounded};
use crate::units::{grouped, scaled};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tickwire_frame::Ledger;
use tickwire_market::sbe::schema::Template;
use tickwire_market::{MessageType, Protocol};

/// What was counted.
pub struct Stats<'a> {
    feed: &'a Feed,
    ledger: &'a Ledger,
    elapsed: Duration,
    sessions: &'a [SessionReport],
    /// What there is more of than is listed.
    untold: Vec<(u64, &'static str, &'static str)>,
}

impl<'a> Stats<'a> {
    /// Of a feed that was read in `elapsed`. `ledger` accounts for every frame, `report` for every
    /// number, where they were followed.
    pub fn new(
        feed: &'a Feed,
        ledger: &'a Ledger,
        elapsed: Duration,
        report: Option<&'a GapReport>,
    ) -> Self {
        let sessions = report.map_or(&[][..], GapReport::sessions);
        let untold = report.into_iter().flat_map(GapReport::untold).collect();
        Stats { feed, ledger, elapsed, sessions, untold }
    }

    fn sum(&self, number: impl Fn(&Account) -> u64) -> u64 {
        self.feed.accounts.sum(number)
    }

    /// The object that scripts read, as one line.
    pub fn to_json(&self) -> String {
        let gaps = self.sessions.iter().flat_map(|session| {
            let gap = |gap: &super::gaps::Span| {
                json!({"session": session.session, "first": gap.first, "last": gap.last})
            };
            session.missing.iter().map(gap)
        });
        let sessions = self.sessions.iter().map(|session| session.session.as_str());
        let accounts = self.feed.accounts.iter();
        let protocols = accounts.map(|(protocol, account)| {
            let numbers = json!({
                "packets": account.packets,
                "messages": account.messages,
                "by_type": by_type([account].into_iter()),
                "heartbeats": account.heartbeats,
                "ends": account.ends,
                "requests": account.requests,
                "unknown": account.unknown,
                "malformed": account.malformed,
                "truncated": account.truncated,
            });
            (protocol.name().to_owned(), numbers)
        });
        let mut object = json!({
            "packets": self.sum(|account| account.packets),
            "messages": self.sum(|account| account.messages),
            "by_type": by_type(self.feed.accounts.iter().map(|(_, account)| account)),
            "heartbeats": self.sum(|account| account.heartbeats),
            "ends": self.sum(|account| account.ends),
            "requests": self.sum(|account| account.requests),
            "unknown": self.sum(|account| account.unknown),
            "malformed": self.sum(|account| account.malformed),
            "truncated": self.sum(|account| account.truncated),
            "duplicates": self.sessions.iter().map(SessionReport::duplicates).sum::<u64>(),
            "sessions": sessions.collect::<Vec<_>>(),
            "gaps": gaps.collect::<Vec<_>>(),
            "missing_messages":
                self.sessions.iter().map(|session| session.missing_messages).sum::<u64>(),
            "protocols": protocols.collect::<Map<_, _>>(),
            "received": self.ledger.received,
            "delivered": self.ledger.delivered,
            "discarded": counts(&self.ledger.discarded),
            "difference": self.ledger.difference(),
            "seconds": rounded(self.elapsed),
        });
        let tcp = self.feed.tcp_counts();
        object["connections"] = tcp.connections.into();
        object["skipped_bytes"] = tcp.skipped_bytes.into();
        for &(count, key, _) in &self.untold {
            object[key] = count.into();
        }
        format!("{object}\n")
    }

    /// Tables for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (protocol, account) in self.feed.accounts.iter() {
            let mut types = Columns::new(&["TYPE", "MESSAGES", "NAME"]);
            for (message_type, messages) in account.by_type() {
                let name = self.name(protocol, message_type).to_owned();
                types.row(vec![message_type.to_string(), grouped(messages), name]);
            }
            text += &format!("{protocol}\n\n{}\n", types.text(has_colour()));
        }
        text + &self.summary().to_string()
    }

    /// What a type is called; nothing where nothing is known of any.
    fn name(&self, protocol: Protocol, message_type: MessageType) -> &str {
        let schemas = &self.feed.schemas;
        let template = match protocol {
            Protocol::Fix => schemas.fix_name(message_type),
            _ => schemas.template(protocol, message_type).map(Template::name),
        };
        let known = || protocol.definition(message_type).map(|known| known.name);
        let is_read = protocol.is_decoded() || schemas.has(protocol);
        template.or_else(known).unwrap_or(if is_read { "(unknown)" } else { "" })
    }

    /// The account, without the types.
    pub fn summary(&self) -> Summary<'_> {
        Summary(self)
    }
}

/// The account of a run for people.
pub struct Summary<'a>(&'a Stats<'a>);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stats, ledger) = (self.0, self.0.ledger);
        count(f, "packets", stats.sum(|account| account.packets), "")?;
        count(f, "messages", stats.sum(|account| account.messages), "")?;
        let tcp = stats.feed.tcp_counts();
        let sometimes: [(&str, u64, &str); 8] = [
            ("connections", tcp.connections, "of TCP"),
            ("skipped", tcp.skipped_bytes, "bytes, to find the next message in a stream of TCP"),
            ("heartbeats", stats.sum(|account| account.heartbeats), ""),
            ("ends", stats.sum(|account| account.ends), "of a session, repeated"),
            ("requests", stats.sum(|account| account.requests), "for messages that were missed"),
            ("unknown", stats.sum(|account| account.unknown), "messages of types not known here"),
            (
                "malformed",
                stats.sum(|account| account.malformed),
                "packets that contradict themselves, messages too short for their type",
            ),
            (
                "truncated",
                stats.sum(|account| account.truncated),
                "packets whose end is missing: capture with a longer snap length",
            ),
        ];
        for (label, number, note) in sometimes.into_iter().filter(|(_, number, _)| *number > 0) {
            count(f, label, number, note)?;
        }
        for session in stats.sessions {
            let missing = match session.missing_messages {
                0 => "complete".to_owned(),
                missing => format!(
                    "{} MISSING in {} ranges: `tickwire feed gaps` tells which",
                    grouped(missing),
                    grouped(session.missing.len() as u64)
                ),
            };
            count(f, "session", session.messages, &format!("{}: {missing}", session.session))?;
        }
        for &(number, _, what) in stats.untold.iter().filter(|(number, ..)| *number > 0) {
            count(f, "untold", number, what)?;
        }
        if ledger.discarded.total() > 0 {
            count(f, "discarded", ledger.discarded.total(), "")?;
            reasons(f, &ledger.discarded)?;
        }
        if ledger.difference() != 0 {
            count(f, "difference", ledger.difference().unsigned_abs(), "THIS IS A BUG")?;
        }
        let seconds = stats.elapsed.as_secs_f64();
        let rate = stats.sum(|account| account.messages) as f64 / seconds.max(1e-9);
        line(f, "time", format_args!("{seconds:.3} s, {} messages/s", scaled(rate.round())))
    }
}

/// Type → messages, of all of these protocols together.
fn by_type<'a>(accounts: impl Iterator<Item = &'a Account>) -> Map<String, Value> {
    let mut sums: BTreeMap<MessageType, u64> = BTreeMap::new();
    for (message_type, messages) in accounts.flat_map(Account::by_type) {
        *sums.entry(message_type).or_default() += messages;
    }
    let text = |(message_type, count): (MessageType, u64)| (message_type.to_string(), count.into());
    sums.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::schema::Schemas;
    use tickwire_market::Message;

    #[test]
    fn types_of_several_protocols_are_added_up() {
        let count = |protocol, bytes: &[u8]| {
            let mut account = Account::default();
            account.message(&Message { protocol, sequence: 1, bytes }, &Schemas::default());
            account
        };
        let accounts = [count(Protocol::Itch50, b"S"), count(Protocol::Tops, b"S?")];
        assert_eq!(json!(by_type(accounts.iter())), json!({"S": 2}));
        assert_eq!((accounts[0].malformed, accounts[0].unknown), (1, 0));
        let unknown = count(Protocol::Itch50, b"\x07");
        assert_eq!(
            (json!(by_type([&unknown].into_iter())), unknown.unknown),
            (json!({"\\x07": 1}), 1)
        );
        assert_eq!(count(Protocol::Tops15, b"Q").unknown, 0);
    }
}
