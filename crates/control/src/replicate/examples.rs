//! The examples of the description. They are values of the types themselves, so they have the shape
//! that the server sends.

use super::Refusal;
use super::types::{
    Account, CounterList, FeedCounters, FeedList, FeedView, LedgerView, StatusView, SubscriberList,
    SubscriberSpec, SubscriberView, WarningList,
};
use crate::error::ApiError;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tickwire_replicate::{Feed, Subscriber, TableError};

const FEED: &str = "itch";

fn address() -> SocketAddr {
    ([10, 0, 0, 2], 5000).into()
}

fn wanted() -> Subscriber {
    Subscriber {
        name: Some("strategy-7".to_owned()),
        filter: Some("udp and greater 60".to_owned()),
        lease_s: Some(60),
        ..Subscriber::new(address())
    }
}

fn account() -> Account {
    let discarded = BTreeMap::from([("no_neighbour".to_owned(), 3)]);
    Account { offered: 1_000, copied: 997, bytes: 151_544, discarded }
}

fn ledger() -> LedgerView {
    LedgerView {
        received: 1_200,
        received_bytes: 232_800,
        selected: 1_000,
        delivered: 1_000,
        discarded: BTreeMap::from([("not_selected".to_owned(), 200)]),
        difference: 0,
    }
}

pub(super) fn status() -> StatusView {
    StatusView {
        job: "replicate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: 4_711,
        uptime_s: 86_400.5,
        mode: "af_xdp".to_owned(),
        mode_reason: "mode xdp needs every subscriber behind one interface".to_owned(),
        feeds: 1,
        subscribers: 1,
        ledger: ledger(),
        merged: Vec::new(),
        warnings: Vec::new(),
    }
}

pub(super) fn warnings() -> WarningList {
    let what = "it will not survive a restart: cannot write the state file";
    WarningList { warnings: vec![what.to_owned()] }
}

pub(super) fn feeds() -> FeedList {
    let listen = ([233, 54, 12, 111], 26_400).into();
    let feed = Feed { interface: Some("eth0".to_owned()), ..Feed::new(FEED, listen) };
    FeedList { feeds: vec![FeedView { feed, subscribers: 1, account: account() }] }
}

pub(super) fn spec() -> SubscriberSpec {
    SubscriberSpec(wanted())
}

pub(super) fn subscriber() -> SubscriberView {
    SubscriberView {
        feed: FEED.to_owned(),
        subscriber: wanted(),
        state: "ready".to_owned(),
        expires_in_s: Some(42.5),
        account: account(),
        warnings: Vec::new(),
    }
}

pub(super) fn subscribers() -> SubscriberList {
    let next = Some(address().to_string());
    SubscriberList { subscribers: vec![subscriber()], total: 64, next }
}

pub(super) fn counters() -> CounterList {
    let subscribers = BTreeMap::from([(address().to_string(), account())]);
    let feed = FeedCounters { name: FEED.to_owned(), account: account(), subscribers };
    CounterList { ledger: ledger(), feeds: vec![feed] }
}

pub(super) fn unknown_feed() -> ApiError {
    let known = vec![FEED.to_owned()];
    Refusal::from(TableError::UnknownFeed { name: "itsch".to_owned(), known }).into()
}

pub(super) fn unknown_subscriber() -> ApiError {
    let unknown = TableError::UnknownSubscriber { feed: FEED.to_owned(), address: address() };
    Refusal::from(unknown).into()
}

pub(super) fn exists() -> ApiError {
    Refusal::Exists { feed: FEED.to_owned(), address: address() }.into()
}

pub(super) fn invalid() -> ApiError {
    Refusal::from(TableError::Invalid("DSCP 64 does not exist; use 0 to 63".to_owned())).into()
}
