//! What the control plane asks: the keeper's table, and how the run goes.

use super::keeper::Keeper;
use super::settings::Settings;
use crate::exit::{Failure, say};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tickwire_capture::Mode;
use tickwire_control::legacy::LegacyFeed;
use tickwire_control::replicate::{IfExists, Refusal, ReplicateControl, Status, api};
use tickwire_control::{LegacyControl, Limits, Listen, Log, Server, Token};
use tickwire_frame::Ledger;
use tickwire_replicate::{Added, Counts, Feed, Listed, Subscriber};

/// A run as the control plane sees it.
#[derive(Debug)]
pub struct Panel {
    keeper: Arc<Keeper>,
    mode: Mode,
    started: Instant,
    ledger: Mutex<Ledger>,
}

impl Panel {
    /// For the run of `keeper` in `mode`, which begins now.
    pub fn new(keeper: Arc<Keeper>, mode: Mode) -> Panel {
        Panel { keeper, mode, started: Instant::now(), ledger: Mutex::default() }
    }

    /// Shows the account as it is now.
    pub fn show(&self, ledger: Ledger) {
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = ledger;
    }
}

impl ReplicateControl for Panel {
    fn status(&self) -> Status {
        Status {
            mode: self.mode.port,
            mode_reason: self.mode.why.clone(),
            uptime: self.started.elapsed(),
            ledger: self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            merged: self.keeper.merged(),
            warnings: self.keeper.warnings(),
        }
    }

    fn feeds(&self) -> Vec<(Feed, Counts)> {
        self.keeper.feeds()
    }

    fn list(&self, feed: &str) -> Result<Vec<Listed>, Refusal> {
        Ok(self.keeper.list(feed)?)
    }

    fn add(&self, feed: &str, subscriber: Subscriber, exists: IfExists) -> Result<Added, Refusal> {
        self.keeper.add(feed, subscriber, exists)
    }

    fn remove(&self, feed: &str, address: SocketAddr) -> Result<Listed, Refusal> {
        self.keeper.remove(feed, address)
    }

    fn renew(&self, feed: &str, address: SocketAddr) -> Result<(), Refusal> {
        self.keeper.renew(feed, address)
    }

    fn warnings_of(&self, feed: &str, address: SocketAddr) -> Vec<String> {
        self.keeper.warnings_of(feed, address)
    }

    fn not_kept(&self) -> Option<String> {
        self.keeper.not_kept()
    }
}

/// The servers that run; they stop when dropped.
#[derive(Debug)]
pub struct Servers {
    _http: Option<Server>,
    _legacy: Option<LegacyControl>,
}

/// Where `settings` have us listen on TCP, with the token.
///
/// # Errors
/// A token that cannot be read.
pub fn tcp(settings: &Settings) -> Result<Option<(SocketAddr, Token)>, Failure> {
    let Some((address, path)) = &settings.control_tcp else { return Ok(None) };
    Ok(Some((*address, Token::read(path).map_err(Failure::failed)?)))
}

/// Starts what `settings` ask for.
///
/// # Errors
/// What cannot be listened on, a token that cannot be read.
pub fn serve(settings: &Settings, panel: &Arc<Panel>) -> Result<Servers, Failure> {
    let control: Arc<dyn ReplicateControl> = panel.clone();
    let log = Log::stderr().map_err(Failure::failed)?;
    let listen = Listen { unix: settings.control.clone(), tcp: tcp(settings)? };
    let legacy = match (&settings.legacy, settings.feeds.first()) {
        (Some(legacy), Some((feed, _))) => {
            let feed = LegacyFeed {
                feed: feed.name.clone(),
                lease: legacy.lease_s.map(|seconds| Duration::from_secs(seconds.into())),
                control: Arc::clone(&control),
            };
            if legacy.allow.is_empty() && !legacy.address.ip().to_canonical().is_loopback() {
                say(format_args!(
                    "tickwire: --legacy-control {} answers requests from loopback only; name other \
                     sources with --legacy-allow\n",
                    legacy.address
                ));
            }
            let spawned =
                LegacyControl::spawn(legacy.address, legacy.allow.clone(), feed, log.clone());
            Some(spawned.map_err(Failure::failed)?)
        }
        _ => None,
    };
    let mut api = api(&control);
    if let Some(legacy) = &legacy {
        api = api.metrics(Arc::clone(legacy.counts()));
    }
    let http = match &listen {
        Listen { unix: None, tcp: None } => None,
        _ => Some(Server::start(listen, api, &Limits::default(), &log).map_err(Failure::failed)?),
    };
    Ok(Servers { _http: http, _legacy: legacy })
}
