//! `tickwire ctl respond`: the brakes, the state and the figures of a running `tickwire respond`.

use super::args::{JsonArgs, RespondAction};
use super::ask::{self, NOTHING, clock, read, reasons};
use crate::columns::{Columns, has_colour};
use crate::completions::print_all;
use crate::exit::{Ended, Failure};
use crate::units::{grouped, nanos};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;
use tickwire_control::client::Response;
use tickwire_control::respond::status_block;
use tickwire_control::respond::types::{
    ConnectionList, FeedView, ProcessTime, ReloadView, StatsView, StatusView,
};

/// Does what is asked of the process behind `socket`.
pub fn run(socket: &Path, action: &RespondAction) -> Result<Ended, Failure> {
    match action {
        RespondAction::Enable(args) => change(socket, "enable", NOTHING, args.json),
        RespondAction::Disable(args) => change(socket, "disable", NOTHING, args.json),
        RespondAction::Kill(args) => change(socket, "kill", NOTHING, args.json),
        RespondAction::Reset(args) => change(socket, "reset", Some(&args.what()), args.json),
        RespondAction::Reload(args) => reload(socket, *args),
        RespondAction::Status(args) => status(socket, *args),
        RespondAction::Stats(args) => stats(socket, *args),
        RespondAction::Connections(args) => connections(socket, *args),
        RespondAction::Config(args) => config(socket, *args),
    }
}

fn send(
    socket: &Path,
    method: &str,
    what: &str,
    body: Option<&impl Serialize>,
) -> Result<Response, Failure> {
    ask::send(socket, method, &format!("/v1/{what}"), body, in_our_words)
}

fn in_our_words(code: &str) -> Option<&'static str> {
    Some(match code {
        "killed" => "find out why, then `tickwire ctl respond reset --kill-switch`, and enable it",
        "enabled" => {
            "`tickwire ctl respond disable`, cancel what is open at the exchange, then this"
        }
        "not_kept" => "make the state file writable, then do it again",
        "not_reloaded" => {
            "mend the configuration file, then do it again; what else than rules, limits and hours \
             is another takes a restart"
        }
        "unconfirmed" => "stop the process if orders still leave; do it again to be sure",
        _ => return None,
    })
}

fn get(socket: &Path, what: &str) -> Result<Response, Failure> {
    send(socket, "GET", what, NOTHING)
}

fn change(
    socket: &Path,
    what: &str,
    body: Option<&impl Serialize>,
    json: bool,
) -> Result<Ended, Failure> {
    let response = send(socket, "POST", what, body)?;
    if json {
        return print_all(&response.body);
    }
    let status: StatusView = read(&response)?;
    let state = match (status.killed, status.enabled) {
        (true, _) => "the kill switch is on: no order leaves, also after a restart",
        (false, true) => "responding is on",
        (false, false) => "responding is off; `tickwire ctl respond enable` switches it on",
    };
    print_all(format!("{state}\n").as_bytes())
}

fn reload(socket: &Path, args: JsonArgs) -> Result<Ended, Failure> {
    let response = send(socket, "POST", "reload", NOTHING)?;
    if args.json {
        return print_all(&response.body);
    }
    let view: ReloadView = read(&response)?;
    print_all(format!("in force: {view}\n").as_bytes())
}

fn status(socket: &Path, args: JsonArgs) -> Result<Ended, Failure> {
    let response = get(socket, "status")?;
    if args.json {
        return print_all(&response.body);
    }
    let status: StatusView = read(&response)?;
    let mut text = status_block(&status);
    if !status.refused.is_empty() {
        text += &format!("\nrefused by the checks: {}\n", reasons(&status.refused));
    }
    text += &format!("\n{}", feeds(&status.feeds));
    let uptime = Duration::from_secs(status.uptime_s.clamp(0.0, 1e15) as u64);
    let killed = if status.killed { ", the kill switch is on" } else { "" };
    text += &format!(
        "\ntickwire {} {}, pid {}, up {}, mode {}{killed}\n",
        status.job,
        status.version,
        status.pid,
        clock(uptime),
        status.mode,
    );
    let warnings = status.warnings.iter().map(|warning| format!("warning: {warning}\n"));
    text.extend(warnings);
    print_all(text.as_bytes())
}

fn feeds(feeds: &[FeedView]) -> String {
    let heading = &["FEED", "STATE", "MESSAGES", "MISSING", "LOST", "ABANDONED", "MALFORMED"];
    let mut columns = Columns::new(heading);
    for feed in feeds {
        let state = if feed.stale { "stale" } else { "good" };
        let counts = [feed.messages, feed.missing, feed.lost, feed.abandoned, feed.malformed];
        let row = [feed.name.clone(), state.to_owned()].into_iter().chain(counts.map(grouped));
        columns.row(row.collect());
    }
    columns.text(has_colour())
}

fn stats(socket: &Path, args: JsonArgs) -> Result<Ended, Failure> {
    let response = get(socket, "stats")?;
    if args.json {
        return print_all(&response.body);
    }
    let stats: StatsView = read(&response)?;
    let mut text = match &stats.process_time {
        Some(time) => in_words(time),
        None => "no order yet\n".to_owned(),
    };
    let mut rules = Columns::new(&["RULE", "TRIGGERS", "ORDERS", "REFUSED"]);
    for rule in &stats.rules {
        let (triggers, orders) = (grouped(rule.triggers), grouped(rule.orders));
        rules.row(vec![rule.name.clone(), triggers, orders, reasons(&rule.refused)]);
    }
    text += &format!("\n{}", rules.text(has_colour()));
    let mut positions = Columns::new(&["SYMBOL", "NET", "OPEN BUY", "OPEN SELL"]);
    for one in &stats.positions {
        let open = [grouped(one.open_buy), grouped(one.open_sell)];
        let [buy, sell] = open;
        positions.row(vec![one.symbol.clone(), one.net.to_string(), buy, sell]);
    }
    if !stats.positions.is_empty() {
        text += &format!("\n{}", positions.text(has_colour()));
    }
    if let Some(audit) = &stats.audit {
        let (written, lost) = (grouped(audit.written), reasons(&audit.lost));
        text += &format!("\naudit: {} records in {}, lost: {lost}\n", written, audit.file);
    }
    print_all(text.as_bytes())
}

fn in_words(time: &ProcessTime) -> String {
    let mut text = format!(
        "from receipt to departure, {} orders: min {}, mean {}, max {}, deviation {}\n",
        grouped(time.count),
        nanos(time.min_ns),
        nanos(time.mean_ns.round() as u64),
        nanos(time.max_ns),
        nanos(time.stdev_ns.round() as u64),
    );
    let percentiles: Vec<_> =
        time.percentiles_ns.iter().map(|(name, &ns)| format!("{name} {}", nanos(ns))).collect();
    text += &format!("{}\n", percentiles.join(", "));
    text
}

fn connections(socket: &Path, args: JsonArgs) -> Result<Ended, Failure> {
    let response = get(socket, "connections")?;
    if args.json {
        return print_all(&response.body);
    }
    let list: ConnectionList = read(&response)?;
    let heading = &["PEER", "TRANSPORT", "OF", "STATE", "PACKETS", "BYTES", "DROPPED"];
    let mut columns = Columns::new(heading);
    for one in &list.connections {
        columns.row(vec![
            one.peer.clone(),
            one.transport.clone(),
            one.of.clone(),
            one.state.clone(),
            grouped(one.packets),
            grouped(one.bytes),
            reasons(&one.dropped),
        ]);
    }
    let mut text = columns.text(has_colour());
    if list.forgotten > 0 {
        text += &format!("and {} that are forgotten\n", grouped(list.forgotten));
    }
    print_all(text.as_bytes())
}

/// As the configuration file has it, or the same as an object.
fn config(socket: &Path, args: JsonArgs) -> Result<Ended, Failure> {
    let response = get(socket, "config")?;
    if args.json {
        return print_all(&response.body);
    }
    let settings: toml::Value = read(&response)?;
    print_all(toml::to_string(&settings).map_err(Failure::failed)?.as_bytes())
}
