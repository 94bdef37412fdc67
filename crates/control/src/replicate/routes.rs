//! The resources of replication.

use super::metrics::ReplicateMetrics;
use super::types::{
    Account, CounterList, FeedCounters, FeedList, FeedView, StatusView, SubscriberList,
    SubscriberSpec, SubscriberView, WarningList,
};
use super::{IfExists, Refusal, ReplicateControl, examples};
use crate::api::{Answer, Api, Call, Operation};
use crate::error::ApiError;
use axum::http::Method;
use serde::Deserialize;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tickwire_replicate::{Added, SUBSCRIBERS_MAX, TableError, parse_address};

const FEEDS: &str = "/v1/feeds";
const SUBSCRIBERS: &str = "/v1/feeds/{feed}/subscribers";
const SUBSCRIBER: &str = "/v1/feeds/{feed}/subscribers/{address}";
const RENEW: &str = "/v1/feeds/{feed}/subscribers/{address}/renew";

type Handled = Result<Answer, ApiError>;

/// The resources of a replication.
pub fn api(control: &Arc<dyn ReplicateControl>) -> Api {
    let api = Api::default().metrics(ReplicateMetrics(Arc::clone(control)));
    changes(lists(overview(api, control), control), control)
}

fn overview(api: Api, control: &Arc<dyn ReplicateControl>) -> Api {
    let [a, b, c] = [(); 3].map(|()| Arc::clone(control));
    api.operation(
        |schemas| {
            Operation::new(Method::GET, "/v1/status", "getStatus", "How the process runs").answers(
                200,
                "How it runs.",
                schemas,
                &examples::status(),
            )
        },
        move |_| status(&*a),
    )
    .operation(
        |schemas| {
            let summary = "The accounts of everything";
            Operation::new(Method::GET, "/v1/counters", "getCounters", summary).answers(
                200,
                "All accounts.",
                schemas,
                &examples::counters(),
            )
        },
        move |_| counters(&*b),
    )
    .operation(
        |schemas| {
            Operation::new(Method::GET, FEEDS, "listFeeds", "The feeds and their accounts").answers(
                200,
                "All feeds.",
                schemas,
                &examples::feeds(),
            )
        },
        move |_| feeds(&*c),
    )
}

fn lists(api: Api, control: &Arc<dyn ReplicateControl>) -> Api {
    let [a, b] = [(); 2].map(|()| Arc::clone(control));
    api.operation(
        |schemas| {
            let limit = json!({ "type": "integer", "minimum": 1, "maximum": SUBSCRIBERS_MAX });
            let (about_limit, about_after) = (
                "At most so many; all of them when absent.",
                "Only those after this address: `next` of the page before.",
            );
            of_feed(Method::GET, SUBSCRIBERS, "listSubscribers", "Who gets copies")
                .query_param("limit", about_limit, limit, 100)
                .query_param("after", about_after, json!({ "type": "string" }), "10.0.0.2:5000")
                .answers(200, "A page.", schemas, &examples::subscribers())
                .fails(schemas, &examples::unknown_feed(), "There is no such feed.")
        },
        move |call| list(&*a, &call),
    )
    .operation(
        |schemas| {
            of_subscriber(Method::GET, SUBSCRIBER, "getSubscriber", "One subscriber")
                .answers(200, "It.", schemas, &examples::subscriber())
                .fails(schemas, &examples::unknown_subscriber(), "There is no such one.")
        },
        move |call| get(&*b, &call),
    )
}

fn changes(api: Api, control: &Arc<dyn ReplicateControl>) -> Api {
    let [a, b, c, d] = [(); 4].map(|()| Arc::clone(control));
    api.operation(
        |schemas| {
            of_feed(Method::POST, SUBSCRIBERS, "addSubscriber", "Adds a subscriber")
                .takes(schemas, &examples::spec())
                .answers(200, "It was there just so; renewed.", schemas, &examples::subscriber())
                .answers(201, "It gets copies now.", schemas, &examples::subscriber())
                .fails(schemas, &examples::unknown_feed(), "There is no such feed.")
                .fails(schemas, &examples::exists(), "It has other settings, or no room is left.")
                .fails(schemas, &examples::invalid(), "A setting is wrong.")
        },
        move |call| add(&*a, &call, IfExists::Keep),
    )
    .operation(
        |schemas| {
            let summary = "Adds a subscriber, or changes its settings";
            of_subscriber(Method::PUT, SUBSCRIBER, "putSubscriber", summary)
                .takes(schemas, &examples::spec())
                .answers(200, "It was there; changed.", schemas, &examples::subscriber())
                .answers(201, "It gets copies now.", schemas, &examples::subscriber())
                .fails(schemas, &examples::unknown_feed(), "There is no such feed.")
                .fails(schemas, &examples::invalid(), "A setting is wrong.")
        },
        move |call| add(&*b, &call, IfExists::Replace),
    )
    .operation(
        |schemas| {
            of_subscriber(Method::DELETE, SUBSCRIBER, "removeSubscriber", "Removes a subscriber")
                .answers(
                    200,
                    "The same, but a restart would bring it back.",
                    schemas,
                    &examples::warnings(),
                )
                .answers_empty(204, "It gets no more copies.")
                .fails(schemas, &examples::unknown_subscriber(), "There is no such one.")
        },
        move |call| {
            c.remove(call.param("feed"), address(&call)?)?;
            Ok(match c.not_kept() {
                Some(why) => Answer::ok(&WarningList { warnings: vec![why] }),
                None => Answer::done(),
            })
        },
    )
    .operation(
        |schemas| {
            of_subscriber(Method::POST, RENEW, "renewSubscriber", "Begins its lease anew")
                .answers(200, "It stays for another lease.", schemas, &examples::subscriber())
                .fails(schemas, &examples::unknown_subscriber(), "There is no such one.")
        },
        move |call| {
            d.renew(call.param("feed"), address(&call)?)?;
            get(&*d, &call)
        },
    )
}

fn of_feed(
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    let operation = Operation::new(method, path, id, summary);
    operation.path_param("feed", "The name of the feed.", "itch")
}

fn of_subscriber(
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    let operation = of_feed(method, path, id, summary);
    operation.path_param("address", "Where its copies go.", "10.0.0.2:5000")
}

fn status(control: &dyn ReplicateControl) -> Handled {
    let status = control.status();
    let feeds = control.feeds();
    let count = |name: &str| control.list(name).map_or(0, |listed| listed.len());
    Ok(Answer::ok(&StatusView {
        job: "replicate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_s: status.uptime.as_secs_f64(),
        mode: status.mode.to_owned(),
        mode_reason: status.mode_reason,
        feeds: feeds.len(),
        subscribers: feeds.iter().map(|(feed, _)| count(&feed.name)).sum(),
        ledger: (&status.ledger).into(),
        merged: status.merged.into_iter().map(Into::into).collect(),
        warnings: status.warnings,
    }))
}

fn counters(control: &dyn ReplicateControl) -> Handled {
    let feeds = control.feeds().into_iter().map(|(feed, counts)| {
        let listed = control.list(&feed.name).unwrap_or_default();
        let subscribers = listed
            .iter()
            .map(|one| (one.subscriber.address.to_string(), Account::from(&one.counts)))
            .collect();
        FeedCounters { name: feed.name, account: (&counts).into(), subscribers }
    });
    let ledger = (&control.status().ledger).into();
    Ok(Answer::ok(&CounterList { ledger, feeds: feeds.collect() }))
}

fn feeds(control: &dyn ReplicateControl) -> Handled {
    let feeds = control.feeds().into_iter().map(|(feed, counts)| {
        let subscribers = control.list(&feed.name).map_or(0, |listed| listed.len());
        FeedView { feed, subscribers, account: (&counts).into() }
    });
    Ok(Answer::ok(&FeedList { feeds: feeds.collect() }))
}

/// The query of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<usize>,
    after: Option<String>,
}

fn list(control: &dyn ReplicateControl, call: &Call) -> Handled {
    let page: Page = call.query()?;
    let limit = page.limit.unwrap_or(SUBSCRIBERS_MAX);
    if !(1..=SUBSCRIBERS_MAX).contains(&limit) {
        let message = format!("a limit of {limit} is out of range");
        let cure = format!("use 1 to {SUBSCRIBERS_MAX}, or none for all");
        return Err(ApiError::bad_request("invalid_query", message, cure));
    }
    let after = page.after.as_deref().map(parse).transpose()?;
    let feed = call.param("feed");
    let mut listed = control.list(feed)?;
    let total = listed.len();
    listed.sort_unstable_by_key(|one| one.subscriber.address);
    let from = listed.partition_point(|one| Some(one.subscriber.address) <= after);
    let is_last = listed.len() - from <= limit;
    let (status, now) = (control.status(), Instant::now());
    let page = listed.into_iter().skip(from).take(limit);
    let subscribers: Vec<_> =
        page.map(|one| SubscriberView::new(feed, one, &status, now)).collect();
    let last = subscribers.last().filter(|_| !is_last);
    let next = last.map(|last| last.subscriber.address.to_string());
    Ok(Answer::ok(&SubscriberList { subscribers, total, next }))
}

fn find(
    control: &dyn ReplicateControl,
    feed: &str,
    address: SocketAddr,
) -> Result<SubscriberView, ApiError> {
    let listed = control.list(feed)?;
    match listed.into_iter().find(|one| one.subscriber.address == address) {
        Some(one) => {
            let mut warnings = control.warnings_of(feed, address);
            warnings.extend(control.not_kept());
            let view = SubscriberView::new(feed, one, &control.status(), Instant::now());
            Ok(SubscriberView { warnings, ..view })
        }
        None => {
            let unknown = TableError::UnknownSubscriber { feed: feed.to_owned(), address };
            Err(Refusal::from(unknown).into())
        }
    }
}

fn get(control: &dyn ReplicateControl, call: &Call) -> Handled {
    Ok(Answer::ok(&find(control, call.param("feed"), address(call)?)?))
}

fn add(control: &dyn ReplicateControl, call: &Call, exists: IfExists) -> Handled {
    let SubscriberSpec(subscriber) = call.body()?;
    let (feed, to) = (call.param("feed"), subscriber.address);
    if exists == IfExists::Replace && to != address(call)? {
        return Err(ApiError::bad_request(
            "address_differs",
            format!("the path names {} and the body {to}", call.param("address")),
            "name the same address in both",
        ));
    }
    let added = control.add(feed, subscriber, exists)?;
    let view = find(control, feed, to)?;
    Ok(match added {
        Added::New => Answer::created(format!("{FEEDS}/{feed}/subscribers/{to}"), &view),
        Added::Changed | Added::Renewed => Answer::ok(&view),
    })
}

fn address(call: &Call) -> Result<SocketAddr, ApiError> {
    parse(call.param("address"))
}

fn parse(text: &str) -> Result<SocketAddr, ApiError> {
    parse_address(text)
        .map_err(|error| ApiError::bad_request("invalid_address", error, "write ADDRESS:PORT"))
}
