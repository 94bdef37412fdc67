//! `tickwire ctl replicate`: feeds and subscribers of a running `tickwire replicate`.

use super::args::{Action, AddArgs, ListArgs, OneArgs};
use super::ask::{self, NOTHING, clock, read, reasons};
use crate::columns::{Columns, has_colour};
use crate::completions::print_all;
use crate::exit::{Ended, Failure, say};
use crate::replicate::merged_in_words;
use crate::units::grouped;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tickwire_control::client::{Response, encode};
use tickwire_control::replicate::types::{
    FeedList, StatusView, SubscriberList, SubscriberView, WarningList,
};
use tickwire_replicate::Subscriber;

const FEEDS: &str = "/v1/feeds";

/// Does what is asked of the process behind `socket`.
pub fn run(socket: &Path, action: &Action) -> Result<Ended, Failure> {
    match action {
        Action::Add(args) => add(socket, args),
        Action::Remove(args) => remove(socket, args),
        Action::Renew(args) => renew(socket, args),
        Action::List(args) => list(socket, args),
        Action::Status(args) => status(socket, args.json),
    }
}

fn send(
    socket: &Path,
    method: &str,
    target: &str,
    body: Option<&impl Serialize>,
) -> Result<Response, Failure> {
    ask::send(socket, method, target, body, in_our_words)
}

/// The cures that the server gives speak of HTTP; who uses `ctl` does not.
fn in_our_words(code: &str) -> Option<&'static str> {
    Some(match code {
        "unknown_feed" => "`tickwire ctl replicate status` lists the feeds",
        "unknown_subscriber" => "`tickwire ctl replicate list` lists the subscribers",
        "subscriber_exists" => "add it with --replace to change its settings",
        "invalid_subscriber" => "`tickwire ctl replicate add --help` describes the settings",
        _ => return None,
    })
}

fn get<T: DeserializeOwned>(socket: &Path, target: &str) -> Result<T, Failure> {
    read(&send(socket, "GET", target, NOTHING)?)
}

fn add(socket: &Path, args: &AddArgs) -> Result<Ended, Failure> {
    let feed = feed(socket, args.one.feed.as_deref())?;
    let subscriber: Subscriber = args.subscriber();
    let response = if args.replace {
        send(socket, "PUT", &target(&feed, Some(subscriber.address)), Some(&subscriber))
    } else {
        send(socket, "POST", &target(&feed, None), Some(&subscriber))
    }?;
    warn(&response);
    let what = match (response.status, args.replace) {
        (201, _) => "added to",
        (_, true) => "changed on",
        (_, false) => "was there already, and is renewed on",
    };
    told(&response, &args.one, &feed, what)
}

fn remove(socket: &Path, args: &OneArgs) -> Result<Ended, Failure> {
    let feed = feed(socket, args.feed.as_deref())?;
    let target = target(&feed, Some(args.address));
    // Its last account: once removed nobody knows it.
    let last = if args.json { Some(send(socket, "GET", &target, NOTHING)?) } else { None };
    let response = send(socket, "DELETE", &target, NOTHING)?;
    warn(&response);
    told(last.as_ref().unwrap_or(&response), args, &feed, "removed from")
}

fn renew(socket: &Path, args: &OneArgs) -> Result<Ended, Failure> {
    let feed = feed(socket, args.feed.as_deref())?;
    let target = target(&feed, Some(args.address)) + "/renew";
    let response = send(socket, "POST", &target, NOTHING)?;
    warn(&response);
    told(&response, args, &feed, "renewed on")
}

/// Says on standard error what is to be known of a change that was made.
fn warn(response: &Response) {
    // An answer without warnings is no list of them.
    let warnings: Option<WarningList> = serde_json::from_slice(&response.body).ok();
    for warning in warnings.iter().flat_map(|list| &list.warnings) {
        say(format_args!("tickwire: warning: {warning}\n"));
    }
}

/// Says what was done: in words, or as the object that the server gave.
fn told(response: &Response, args: &OneArgs, feed: &str, what: &str) -> Result<Ended, Failure> {
    if args.json {
        return print_all(&response.body);
    }
    print_all(format!("{} {what} feed {feed}\n", args.address).as_bytes())
}

/// The feed that is meant: the one named, or the only one.
fn feed(socket: &Path, named: Option<&str>) -> Result<String, Failure> {
    if let Some(name) = named {
        return Ok(name.to_owned());
    }
    let mut names = feed_names(socket)?;
    match names.len() {
        1 => Ok(names.remove(0)),
        0 => Err(Failure::failed("there is no feed; give tickwire replicate one by --listen")),
        _ => Err(Failure::usage(format!(
            "there are several feeds: {}; say which by --feed NAME",
            names.join(", ")
        ))),
    }
}

fn feed_names(socket: &Path) -> Result<Vec<String>, Failure> {
    let list: FeedList = get(socket, FEEDS)?;
    Ok(list.feeds.into_iter().map(|view| view.feed.name).collect())
}

fn target(feed: &str, address: Option<SocketAddr>) -> String {
    let subscribers = format!("{FEEDS}/{}/subscribers", encode(feed));
    match address {
        Some(address) => format!("{subscribers}/{}", encode(&address.to_string())),
        None => subscribers,
    }
}

fn list(socket: &Path, args: &ListArgs) -> Result<Ended, Failure> {
    let feeds = match &args.feed {
        Some(name) => vec![name.clone()],
        None => feed_names(socket)?,
    };
    let mut all = SubscriberList { subscribers: Vec::new(), total: 0, next: None };
    for feed in &feeds {
        let list: SubscriberList = get(socket, &target(feed, None))?;
        all.total += list.total;
        all.subscribers.extend(list.subscribers);
    }
    if args.json {
        return print_json(&all);
    }
    let mut columns = Columns::new(&[
        "FEED",
        "ADDRESS",
        "NAME",
        "STATE",
        "LEASE",
        "OFFERED",
        "COPIED",
        "DISCARDED",
    ]);
    for view in &all.subscribers {
        columns.row(row(view));
    }
    print_all(columns.text(has_colour()).as_bytes())
}

fn row(view: &SubscriberView) -> Vec<String> {
    let dash = || "-".to_owned();
    let lease = view.expires_in_s.map(|left| format!("{left:.0} s"));
    vec![
        view.feed.clone(),
        view.subscriber.address.to_string(),
        view.subscriber.name.clone().unwrap_or_else(dash),
        view.state.clone(),
        lease.unwrap_or_else(dash),
        grouped(view.account.offered),
        grouped(view.account.copied),
        reasons(&view.account.discarded),
    ]
}

fn status(socket: &Path, json: bool) -> Result<Ended, Failure> {
    let response = send(socket, "GET", "/v1/status", NOTHING)?;
    if json {
        return print_all(&response.body);
    }
    let status: StatusView = read(&response)?;
    let list: FeedList = get(socket, FEEDS)?;
    let reason = match status.mode_reason.as_str() {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    let uptime = Duration::from_secs(status.uptime_s.clamp(0.0, 1e15) as u64);
    let mut text = format!(
        "tickwire {} {}, pid {}, up {}\nmode {}{reason}\n{} received, {} delivered, {} discarded, \
         {} unaccounted for\n\n",
        status.job,
        status.version,
        status.pid,
        clock(uptime),
        status.mode,
        grouped(status.ledger.received),
        grouped(status.ledger.delivered),
        grouped(status.ledger.discarded.values().sum()),
        status.ledger.difference,
    );
    let mut columns =
        Columns::new(&["FEED", "LISTEN", "SUBSCRIBERS", "DATAGRAMS", "COPIED", "DISCARDED"]);
    for view in &list.feeds {
        columns.row(vec![
            view.feed.name.clone(),
            view.feed.listen.to_string(),
            grouped(view.subscribers as u64),
            grouped(view.account.offered),
            grouped(view.account.copied),
            reasons(&view.account.discarded),
        ]);
    }
    text += &columns.text(has_colour());
    text.extend(status.merged.iter().map(merged_in_words));
    for warning in &status.warnings {
        text += &format!("\nwarning: {warning}\n");
    }
    print_all(text.as_bytes())
}

fn print_json(value: &impl Serialize) -> Result<Ended, Failure> {
    let mut text = serde_json::to_vec(value).map_err(Failure::failed)?;
    text.push(b'\n');
    print_all(&text)
}
