//! The resources of responding.

use super::metrics::RespondMetrics;
use super::{RespondControl, examples};
use crate::api::{Answer, Api, Operation};
use axum::http::Method;
use serde_json::json;
use std::sync::Arc;

/// The resources of a responder.
pub fn api(control: &Arc<dyn RespondControl>) -> Api {
    let api = Api::default().metrics(RespondMetrics(Arc::clone(control)));
    brakes(reload(figures(api, control), control), control)
}

fn figures(api: Api, control: &Arc<dyn RespondControl>) -> Api {
    let [a, b, c, d] = [(); 4].map(|()| Arc::clone(control));
    api.operation(
        |schemas| {
            Operation::new(Method::GET, "/v1/status", "getStatus", "How the process runs").answers(
                200,
                "How it runs.",
                schemas,
                &examples::status(),
            )
        },
        move |_| Ok(Answer::ok(&a.status())),
    )
    .operation(
        |schemas| {
            let summary = "Processing times, rules, positions";
            Operation::new(Method::GET, "/v1/stats", "getStats", summary).answers(
                200,
                "What was measured.",
                schemas,
                &examples::stats(),
            )
        },
        move |_| Ok(Answer::ok(&b.stats())),
    )
    .operation(
        |schemas| {
            let summary = "Peers that sent or were sent something";
            Operation::new(Method::GET, "/v1/connections", "listConnections", summary).answers(
                200,
                "All of them.",
                schemas,
                &examples::connections(),
            )
        },
        move |_| Ok(Answer::ok(&c.connections())),
    )
    .operation(
        |schemas| {
            let summary = "The settings in force";
            Operation::new(Method::GET, "/v1/config", "getConfig", summary).answers(
                200,
                "As the configuration file has them; secrets are left out.",
                schemas,
                &json!({ "limits": { "quantity": 100 } }),
            )
        },
        move |_| Ok(Answer::ok(&d.config())),
    )
}

fn reload(api: Api, control: &Arc<dyn RespondControl>) -> Api {
    let control = Arc::clone(control);
    api.operation(
        |schemas| {
            let summary = "Reads rules, limits and hours again, without losing a message";
            Operation::new(Method::POST, "/v1/reload", "reload", summary)
                .answers(200, "They are in force.", schemas, &examples::reloaded())
                .fails(schemas, &examples::not_reloaded(), "Nothing has changed.")
        },
        move |_| Ok(Answer::ok(&control.reload()?)),
    )
}

fn brakes(api: Api, control: &Arc<dyn RespondControl>) -> Api {
    let [a, b, c, d] = [(); 4].map(|()| Arc::clone(control));
    api.operation(
        |schemas| {
            Operation::new(Method::POST, "/v1/enable", "enable", "Switches responding on")
                .answers(200, "Orders are sent from now on.", schemas, &examples::status())
                .fails(schemas, &examples::killed(), "The kill switch is on.")
        },
        move |_| {
            a.enable(true)?;
            Ok(Answer::ok(&a.status()))
        },
    )
    .operation(
        |schemas| {
            Operation::new(Method::POST, "/v1/disable", "disable", "Switches responding off")
                .answers(200, "No order is sent any more.", schemas, &examples::status())
        },
        move |_| {
            b.enable(false)?;
            Ok(Answer::ok(&b.status()))
        },
    )
    .operation(
        |schemas| {
            let summary = "Turns the kill switch on, which survives a restart";
            Operation::new(Method::POST, "/v1/kill", "kill", summary)
                .answers(200, "No order leaves any more.", schemas, &examples::status())
                .fails(schemas, &examples::not_kept(), "In force, but not after a restart.")
                .fails(schemas, &examples::unconfirmed(), "A worker did not confirm it.")
        },
        move |_| {
            c.kill()?;
            Ok(Answer::ok(&c.status()))
        },
    )
    .operation(
        |schemas| {
            let summary = "Sets figures to zero; kill switch, gaps and positions when asked";
            Operation::new(Method::POST, "/v1/reset", "reset", summary)
                .takes(schemas, &examples::reset())
                .answers(200, "Reset.", schemas, &examples::status())
                .fails(schemas, &examples::enabled(), "Positions, while orders may be sent.")
                .fails(schemas, &examples::not_kept(), "A restart would bring it back.")
        },
        move |call| {
            d.reset(call.body()?)?;
            Ok(Answer::ok(&d.status()))
        },
    )
}
