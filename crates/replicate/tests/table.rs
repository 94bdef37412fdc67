//! The table against a model, its errors, its leases, its limits.

mod common;

use common::{address, hop, reachable, subscriber};
use proptest::prelude::*;
use std::time::{Duration, Instant};
use tickwire_frame::{LinkType, Reason};
use tickwire_replicate::{
    Added, FEEDS_MAX, Feed, Hop, SUBSCRIBERS_MAX, SourceAddress, Subscriber, Table, TableError,
    View,
};

const FEEDS: [&str; 2] = ["a", "b"];

fn empty() -> Table {
    Table::new(2, LinkType::ETHERNET)
}

fn two_feeds() -> Table {
    let mut table = empty();
    for (n, name) in FEEDS.iter().enumerate() {
        table.add_feed(Feed::new(*name, address(&format!("239.1.1.{n}:5000")))).unwrap();
    }
    table
}

#[derive(Clone, Debug)]
enum Change {
    Add { feed: usize, who: u8, ttl: u8, lease_s: Option<u32> },
    Remove { feed: usize, who: u8 },
    Renew { feed: usize, who: u8 },
    Pass { seconds: u64 },
    Paths,
    Restart,
}

fn changes() -> impl Strategy<Value = Change> {
    let who = 0u8..12;
    prop_oneof![
        4 => (0usize..2, who.clone(), 1u8..3, prop::option::of(1u32..20))
            .prop_map(|(feed, who, ttl, lease_s)| Change::Add { feed, who, ttl, lease_s }),
        2 => (0usize..2, who.clone()).prop_map(|(feed, who)| Change::Remove { feed, who }),
        1 => (0usize..2, who).prop_map(|(feed, who)| Change::Renew { feed, who }),
        2 => (0u64..15).prop_map(|seconds| Change::Pass { seconds }),
        1 => Just(Change::Paths),
        1 => Just(Change::Restart),
    ]
}

fn someone(who: u8) -> Subscriber {
    // Ports tell apart what shares an address.
    subscriber(&format!("10.0.0.{}:{}", 1 + who / 3, 6000 + u16::from(who % 3)))
}

/// What there should be: in order of arrival, with the end of the lease.
type Model = [Vec<(Subscriber, Option<Instant>)>; 2];

fn agree(table: &Table, view: &mut View, model: &Model) {
    view.refresh();
    for (n, name) in FEEDS.iter().enumerate() {
        let listed = table.list(name).unwrap();
        let listed: Vec<_> =
            listed.into_iter().map(|line| (line.subscriber, line.expires)).collect();
        assert_eq!(listed, model[n]);
        let seen = &view.snapshot().feeds[n];
        let seen_subscribers = seen.subscribers.iter().map(|entry| &entry.subscriber);
        assert!(seen_subscribers.eq(model[n].iter().map(|(subscriber, _)| subscriber)));
        assert!(seen.subscribers.is_sorted_by_key(|entry| entry.id));
        for entry in &seen.subscribers {
            assert_eq!(view.snapshot().subscriber(entry.id).unwrap().id, entry.id);
        }
    }
    let ends = model.iter().flatten().filter_map(|(_, end)| *end);
    assert_eq!(table.next_expiry(), ends.min());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn random_changes_agree_with_a_model(changes in prop::collection::vec(changes(), 1..60)) {
        let mut table = two_feeds();
        let mut view = table.view();
        let mut model: Model = [Vec::new(), Vec::new()];
        let mut now = Instant::now();
        for change in changes {
            match change {
                Change::Add { feed, who, ttl, lease_s } => {
                    let new = Subscriber { ttl, lease_s, ..someone(who) };
                    let end = new.lease().map(|lease| now + lease);
                    let known = model[feed].iter().position(|(s, _)| s.address == new.address);
                    let expected = match known {
                        None => Added::New,
                        Some(at) if model[feed][at].0 == new => Added::Renewed,
                        Some(_) => Added::Changed,
                    };
                    match known {
                        Some(at) => model[feed][at] = (new.clone(), end),
                        None => model[feed].push((new.clone(), end)),
                    }
                    prop_assert_eq!(table.add(FEEDS[feed], new, now), Ok(expected));
                }
                Change::Remove { feed, who } => {
                    let to = someone(who).address;
                    let at = model[feed].iter().position(|(s, _)| s.address == to);
                    let removed = table.remove(FEEDS[feed], to);
                    prop_assert_eq!(removed.is_ok(), at.is_some());
                    if let Some(at) = at {
                        prop_assert_eq!(removed.unwrap().subscriber, model[feed].remove(at).0);
                    }
                }
                Change::Renew { feed, who } => {
                    let to = someone(who).address;
                    let known = model[feed].iter_mut().find(|(s, _)| s.address == to);
                    prop_assert_eq!(table.renew(FEEDS[feed], to, now).is_ok(), known.is_some());
                    if let Some((known, end)) = known {
                        *end = known.lease().map(|lease| now + lease);
                    }
                }
                Change::Pass { seconds } => {
                    now += Duration::from_secs(seconds);
                    let before: usize = model.iter().map(Vec::len).sum();
                    for rows in &mut model {
                        rows.retain(|(_, end)| end.is_none_or(|end| end > now));
                    }
                    let after: usize = model.iter().map(Vec::len).sum();
                    prop_assert_eq!(table.expire(now).len(), before - after);
                }
                Change::Paths => {
                    table.update_paths(reachable);
                    prop_assert_eq!(table.update_paths(reachable), 0);
                    let lines = table.list("a").unwrap();
                    prop_assert!(lines.iter().all(|l| l.path == Ok(hop(&l.subscriber))));
                }
                Change::Restart => {
                    let saved = table.saved();
                    table = two_feeds();
                    view = table.view();
                    prop_assert_eq!(table.restore(saved, now), []);
                    for (subscriber, end) in model.iter_mut().flatten() {
                        *end = subscriber.lease().map(|lease| now + lease);
                    }
                }
            }
            agree(&table, &mut view, &model);
        }
    }
}

#[test]
fn one_more_than_the_most_is_refused_with_the_cure() {
    let mut table = two_feeds();
    let now = Instant::now();
    let nth = |n: usize| subscriber(&format!("10.0.{}.{}:9", n / 256, n % 256));
    for n in 0..SUBSCRIBERS_MAX {
        assert_eq!(table.add("a", nth(n), now), Ok(Added::New));
    }
    let error = table.add("a", nth(SUBSCRIBERS_MAX), now).unwrap_err();
    assert_eq!(error, TableError::Full { feed: "a".into() });
    assert!(error.to_string().contains("leases"), "{error}");
    // Those who are there may change, the other feed has room.
    assert_eq!(table.add("a", Subscriber { ttl: 2, ..nth(5) }, now), Ok(Added::Changed));
    assert_eq!(table.add("b", nth(SUBSCRIBERS_MAX), now), Ok(Added::New));
    table.remove("a", nth(7).address).unwrap();
    assert_eq!(table.add("a", nth(SUBSCRIBERS_MAX), now), Ok(Added::New));
    assert_eq!(table.subscribers("a"), Ok(SUBSCRIBERS_MAX));

    let mut table = empty();
    for n in 0..FEEDS_MAX {
        let listen = address(&format!("239.1.1.1:{}", 1 + n));
        table.add_feed(Feed::new(format!("f{n}"), listen)).unwrap();
    }
    let error = table.add_feed(Feed::new("more", address("239.1.1.1:9999"))).unwrap_err();
    assert_eq!(error, TableError::TooManyFeeds);
}

#[test]
fn what_is_refused_changes_nothing_and_says_why() {
    let mut table = two_feeds();
    let mut view = table.view();
    let now = Instant::now();
    let to = subscriber("10.0.0.1:9");
    let feed = |name: &str, listen: &str| Feed::new(name, address(listen));
    let keep = Subscriber { source: SourceAddress::Keep, ..subscriber("[::2]:9") };
    let with = |filter: &str| Subscriber { filter: Some(filter.into()), ..to.clone() };
    for (error, part) in [
        (table.add("c", to.clone(), now).unwrap_err(), "no feed \"c\"; there are: a, b"),
        (table.remove("a", to.address).unwrap_err(), "10.0.0.1:9 does not subscribe to feed a"),
        (table.renew("a", to.address, now).unwrap_err(), "does not subscribe"),
        (table.add("a", keep, now).unwrap_err(), "use 'interface'"),
        (table.add("a", subscriber("239.1.1.0:5000"), now).unwrap_err(), "copied again"),
        (table.add("a", with("udp prt 5"), now).unwrap_err(), "the filter 'udp prt 5'"),
        (table.add("a", with("inbound"), now).unwrap_err(), "the filter 'inbound'"),
        (table.add("a", with("host no.such.name"), now).unwrap_err(), "no.such.name"),
        (table.add_feed(feed("a", "239.1.1.9:1")).unwrap_err(), "already"),
        (table.add_feed(feed("c", "239.1.1.0:5000")).unwrap_err(), "could take the same"),
        (table.add_feed(feed("c", "0.0.0.0:5000")).unwrap_err(), "the multicast group"),
        (table.remove_feed("c").unwrap_err(), "no feed"),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(!view.refresh(), "nothing was published");
    assert_eq!(
        empty().list("x").unwrap_err().to_string(),
        "there is no feed \"x\"; there are: none"
    );
}

#[test]
fn a_change_of_the_interface_needs_another_next_hop() {
    let mut table = two_feeds();
    let now = Instant::now();
    table.add("a", subscriber("10.0.0.1:9"), now).unwrap();
    let path = |table: &Table| table.list("a").unwrap()[0].path;
    assert_eq!(path(&table), Err(Reason::NoNeighbour));
    assert_eq!(table.update_paths(reachable), 1);
    table.add("a", Subscriber { ttl: 5, ..subscriber("10.0.0.1:9") }, now).unwrap();
    assert!(path(&table).is_ok());
    let moved = Subscriber { interface: Some("eth1".into()), ..subscriber("10.0.0.1:9") };
    table.add("a", moved, now).unwrap();
    assert_eq!(path(&table), Err(Reason::NoNeighbour));
}

#[test]
fn no_snapshot_has_a_subscriber_without_the_next_hop_that_it_came_with() {
    let mut table = two_feeds();
    let (mut view, now) = (table.view(), Instant::now());
    let moved = Subscriber { interface: Some("eth1".into()), ..subscriber("10.0.0.1:9") };
    for (to, path) in [
        (subscriber("10.0.0.1:9"), Ok(hop(&moved))),
        (moved.clone(), Ok(Hop { ifindex: 9, ..hop(&moved) })),
        (Subscriber { ttl: 7, ..moved }, Err(Reason::LinkDown)),
    ] {
        let before = view.generation();
        table.add_with_path("a", to, path, now).unwrap();
        assert!(view.refresh());
        assert_eq!(view.generation(), before + 1);
        let entry = &view.snapshot().feeds[0].subscribers[0];
        assert_eq!((entry.path, entry.template.is_ok()), (path, path.is_ok()));
    }
}

#[test]
fn what_a_state_file_holds_for_a_feed_that_is_gone_comes_back() {
    let mut table = two_feeds();
    let now = Instant::now();
    table.add("a", subscriber("10.0.0.1:9"), now).unwrap();
    table.add("b", subscriber("10.0.0.2:9"), now).unwrap();
    let saved = table.saved();
    table.remove_feed("a").unwrap();
    table.remove("b", address("10.0.0.2:9")).unwrap();
    let refused = table.restore(saved, now);
    assert_eq!(refused.len(), 1);
    assert_eq!((&*refused[0].0.feed, table.subscribers("b")), ("a", Ok(1)));
    assert!(matches!(refused[0].1, TableError::UnknownFeed { .. }));
}

#[test]
fn a_lease_ends_unless_it_is_renewed() {
    let mut table = two_feeds();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let leased = Subscriber { lease_s: Some(10), ..subscriber("10.0.0.1:9") };
    table.add("a", leased.clone(), start).unwrap();
    table.add("b", subscriber("10.0.0.2:9"), start).unwrap();
    assert_eq!(table.next_expiry(), Some(at(10)));
    assert!(table.expire(at(9)).is_empty());
    table.renew("a", leased.address, at(9)).unwrap();
    assert_eq!(table.list("a").unwrap()[0].remaining(at(12)), Some(Duration::from_secs(7)));
    assert!(table.expire(at(18)).is_empty());
    let expired = table.expire(at(19));
    assert_eq!((&*expired[0].0, &expired[0].1.subscriber), ("a", &leased));
    assert_eq!((table.subscribers("a"), table.subscribers("b")), (Ok(0), Ok(1)));
    assert_eq!(table.next_expiry(), None);
}
