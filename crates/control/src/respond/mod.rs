//! What the control plane offers of responding: the brakes, the state, the figures.
//!
//! * [`RespondControl`]: what the job has to offer; [`api`]: its resources.
//! * [`types`]: what goes over the wire. `metrics`: the same as Prometheus text. `examples`: for
//!   the description. `block`: the status as the older responder printed it. `reloaded`: what
//!   changed, in words.

mod block;
mod examples;
mod metrics;
mod reloaded;
mod routes;
pub mod types;

pub use block::status_block;
pub use routes::api;

use crate::error::ApiError;
use axum::http::StatusCode;
use types::{ConnectionList, ReloadView, Reset, StatsView, StatusView};

/// A running responder, as the control plane sees it.
pub trait RespondControl: std::fmt::Debug + Send + Sync {
    /// How it runs.
    fn status(&self) -> StatusView;

    /// What was measured: processing times, what became of triggers.
    fn stats(&self) -> StatsView;

    /// Peers that sent or were sent something.
    fn connections(&self) -> ConnectionList;

    /// The settings in force, as the configuration file would have them.
    fn config(&self) -> serde_json::Value;

    /// Reads rules, limits and hours again; in force when this returns.
    ///
    /// # Errors
    /// [`Refusal::NotReloaded`]: then nothing has changed.
    fn reload(&self) -> Result<ReloadView, Refusal>;

    /// Switches responding on or off; in force when this returns.
    ///
    /// # Errors
    /// [`Refusal::Killed`] when the kill switch is on.
    fn enable(&self, on: bool) -> Result<(), Refusal>;

    /// Turns the kill switch on: when this returns, no order leaves any more, also after a
    /// restart.
    ///
    /// # Errors
    /// [`Refusal::NotKept`] when it is in force, but a restart would forget it;
    /// [`Refusal::Unconfirmed`] when a worker did not confirm it.
    fn kill(&self) -> Result<(), Refusal>;

    /// Sets the figures to zero and, when asked, turns the kill switch off, takes all feeds for
    /// complete, or sets all positions to 0 and forgets open orders. With the kill switch turned
    /// off responding stays switched off until it is enabled.
    ///
    /// # Errors
    /// [`Refusal::Enabled`] when positions are to be reset while orders may be sent: then nothing
    /// is reset. [`Refusal::NotKept`].
    fn reset(&self, what: Reset) -> Result<(), Refusal>;
}

/// Why a change was not made, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The kill switch is on.
    #[error("the kill switch is on")]
    Killed,
    /// Orders may be sent, and positions change with them.
    #[error("positions are not reset while orders may be sent")]
    Enabled,
    /// The configuration cannot take the place of the one in force.
    #[error("nothing has changed: {why}")]
    NotReloaded {
        /// What is wrong with it, or cannot change while it runs.
        why: String,
    },
    /// It is in force, but the state file could not be written.
    #[error("in force, but not after a restart: {why}")]
    NotKept {
        /// What the system said.
        why: String,
    },
    /// A worker did not confirm that it has seen the kill switch.
    #[error("the kill switch is on, but {worker} did not confirm it within {ms} ms")]
    Unconfirmed {
        /// Who.
        worker: String,
        /// How long was waited, in milliseconds.
        ms: u64,
    },
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, code, cure) = match &refusal {
            Refusal::Killed => (
                StatusCode::CONFLICT,
                "killed",
                "find out why, then POST /v1/reset with {\"kill_switch\": true}, and enable it",
            ),
            Refusal::Enabled => (
                StatusCode::CONFLICT,
                "enabled",
                "POST /v1/disable, cancel what is open at the exchange, then repeat the request",
            ),
            Refusal::NotReloaded { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "not_reloaded",
                "mend the configuration file, then repeat the request; what else than rules, \
                 limits and hours is another takes a restart",
            ),
            Refusal::NotKept { .. } => (
                StatusCode::INSUFFICIENT_STORAGE,
                "not_kept",
                "make the state file writable, then repeat the request",
            ),
            Refusal::Unconfirmed { .. } => (
                StatusCode::GATEWAY_TIMEOUT,
                "unconfirmed",
                "stop the process if orders still leave; repeat the request to be sure",
            ),
        };
        ApiError::new(status, code, refusal.to_string(), cure)
    }
}
