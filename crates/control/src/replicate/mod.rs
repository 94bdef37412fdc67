//! What the control plane offers of replication: feeds and their subscribers.
//!
//! * [`ReplicateControl`]: what the job has to offer; [`api`]: its resources.
//! * [`types`]: what goes over the wire. `metrics`: the same as Prometheus text. `examples`: for
//!   the description.

mod examples;
mod metrics;
mod routes;
pub mod types;

pub use routes::api;

use crate::error::ApiError;
use axum::http::StatusCode;
use std::net::SocketAddr;
use std::time::Duration;
use tickwire_frame::Ledger;
use tickwire_replicate::{Added, Counts, Feed, Listed, Merged, Subscriber, TableError};

/// A running replication, as the control plane sees it. All calls return at once.
pub trait ReplicateControl: std::fmt::Debug + Send + Sync {
    /// How it runs.
    fn status(&self) -> Status;

    /// The feeds with their accounts.
    fn feeds(&self) -> Vec<(Feed, Counts)>;

    /// Who subscribes to `feed`.
    ///
    /// # Errors
    /// [`Refusal::Table`] for an unknown feed.
    fn list(&self, feed: &str) -> Result<Vec<Listed>, Refusal>;

    /// Adds a subscriber, or renews the lease of the same one; in force when this returns. What
    /// becomes of one with the same address and other settings, `exists` says; look and act are one
    /// step.
    ///
    /// # Errors
    /// What the table refuses, [`Refusal::Exists`].
    fn add(&self, feed: &str, subscriber: Subscriber, exists: IfExists) -> Result<Added, Refusal>;

    /// Removes a subscriber; what it was, and its account.
    ///
    /// # Errors
    /// What the table refuses.
    fn remove(&self, feed: &str, address: SocketAddr) -> Result<Listed, Refusal>;

    /// Begins the lease of a subscriber anew.
    ///
    /// # Errors
    /// What the table refuses.
    fn renew(&self, feed: &str, address: SocketAddr) -> Result<(), Refusal>;

    /// What keeps copies from a subscriber of `feed` in the mode in force, or may: each with its
    /// cure.
    fn warnings_of(&self, feed: &str, address: SocketAddr) -> Vec<String>;

    /// Why the table would not survive a restart, with the cure: the last change is in force, but
    /// the state file could not be written.
    fn not_kept(&self) -> Option<String>;
}

/// What becomes of a subscriber that is there already with other settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfExists {
    /// It stays as it is: [`Refusal::Exists`].
    Keep,
    /// It gets the new settings; its counters go on.
    Replace,
}

/// How a replication runs.
#[derive(Clone, Debug)]
pub struct Status {
    /// The mode in force: `xdp`, `af_xdp` or `udp`.
    pub mode: &'static str,
    /// Why not a faster one; empty for the fastest.
    pub mode_reason: String,
    /// How long it runs.
    pub uptime: Duration,
    /// The account of all ports.
    pub ledger: Ledger,
    /// The messages of merged feeds.
    pub merged: Vec<Merged>,
    /// What is not as it should be, with the cure.
    pub warnings: Vec<String>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The table refuses it.
    #[error(transparent)]
    Table(#[from] TableError),
    /// There is one with this address and other settings.
    #[error("{address} subscribes to feed {feed} already, with other settings")]
    Exists {
        /// The feed.
        feed: String,
        /// The address that both have.
        address: SocketAddr,
    },
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, code, cure) = match &refusal {
            Refusal::Table(TableError::UnknownFeed { .. }) => {
                (StatusCode::NOT_FOUND, "unknown_feed", "GET /v1/feeds lists the feeds")
            }
            Refusal::Table(TableError::UnknownSubscriber { .. }) => (
                StatusCode::NOT_FOUND,
                "unknown_subscriber",
                "GET /v1/feeds/{feed}/subscribers lists the subscribers",
            ),
            Refusal::Table(TableError::Full { .. }) => (
                StatusCode::CONFLICT,
                "table_full",
                "remove subscribers that are not needed, or give them leases",
            ),
            Refusal::Table(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_subscriber",
                "correct the setting; /openapi.json describes all of them",
            ),
            Refusal::Exists { .. } => (
                StatusCode::CONFLICT,
                "subscriber_exists",
                "PUT it to change its settings, or DELETE it first",
            ),
        };
        ApiError::new(status, code, refusal.to_string(), cure)
    }
}
