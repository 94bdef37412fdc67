//! The control thread: listens, accepts, bounds the number of connections, stops.

use crate::api::{Answer, Api, Operation};
use crate::connection::{self, Shared};
use crate::error::{ApiError, StartError};
use crate::limits::{ACCEPT_RETRY_MS, Limits};
use crate::log::Log;
use crate::metrics::{self, ServerMetrics};
use crate::openapi;
use crate::peer::{Access, Peer};
use crate::rate::Rate;
use crate::token::Token;
use crate::unix::{self, SocketFile};
use axum::Router;
use axum::http::{Method, StatusCode};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, oneshot};

/// Where to listen.
#[derive(Debug, Default)]
pub struct Listen {
    /// A Unix socket: for its user and root, without a token.
    pub unix: Option<PathBuf>,
    /// A TCP address with the token that it asks for. Nothing is encrypted: on anything else than
    /// loopback put a TLS proxy in front.
    pub tcp: Option<(SocketAddr, Token)>,
}

/// A running control plane; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    tcp: Option<SocketAddr>,
}

/// Listening, and who may use it.
struct Listeners {
    unix: Option<(tokio::net::UnixListener, SocketFile, Arc<Shared>)>,
    tcp: Option<(tokio::net::TcpListener, Arc<Shared>)>,
}

impl Server {
    /// Listens, then serves `api` on a thread of its own. When this returns, clients are served.
    ///
    /// # Errors
    /// Cause and cure of what cannot be listened on.
    pub fn start(listen: Listen, api: Api, limits: &Limits, log: &Log) -> Result<Self, StartError> {
        let unix = listen.unix.as_deref().map(unix::listen).transpose()?;
        let tcp = match listen.tcp {
            Some((address, token)) => Some((listen_tcp(address)?, token)),
            None => None,
        };
        let address = tcp.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let listeners = {
            let _context = runtime.enter();
            let shared = sharing(api, limits, log);
            let unix = unix.map(|(listener, file)| {
                let own = rustix::process::geteuid().as_raw();
                let listener = tokio::net::UnixListener::from_std(listener)?;
                Ok((listener, file, shared(Access::Uid(own))))
            });
            let tcp = tcp.map(|(listener, token)| {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                Ok((listener, shared(Access::Token(token))))
            });
            let failed = StartError::Thread;
            Listeners {
                unix: unix.transpose().map_err(failed)?,
                tcp: tcp.transpose().map_err(failed)?,
            }
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("control".into())
            // Open connections end with the runtime: nothing waits for a client.
            .spawn(move || runtime.block_on(run(listeners, stopped)))
            .map_err(StartError::Thread)?;
        Ok(Server { stop: Some(stop), thread: Some(thread), tcp: address })
    }

    /// The TCP address in force: with the port that the kernel chose for port 0.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen_tcp(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| StartError::Listen {
        address,
        cure: match error.kind() {
            io::ErrorKind::AddrInUse => "another process listens there; choose another port",
            io::ErrorKind::AddrNotAvailable => "choose an address of this machine: `ip address`",
            io::ErrorKind::PermissionDenied => "choose a port above 1023",
            _ => "choose another address",
        },
        error,
    })
}

/// What the connections of a listener share, for each kind of access.
fn sharing(api: Api, limits: &Limits, log: &Log) -> impl Fn(Access) -> Arc<Shared> {
    let metrics = Arc::new(ServerMetrics::new(log.clone()));
    let router = router(api, &metrics);
    let (limits, log) = (limits.clone(), log.clone());
    move |access| {
        let now = Instant::now();
        let rate = Rate::new(limits.requests_per_second, limits.requests_burst, now);
        Arc::new(Shared {
            router: router.clone(),
            access,
            limits: limits.clone(),
            rate: Mutex::new(rate),
            log: log.clone(),
            metrics: Arc::clone(&metrics),
        })
    }
}

async fn run(listeners: Listeners, stopped: oneshot::Receiver<()>) {
    // Removed when this ends.
    let mut _file = None;
    if let Some((listener, file, shared)) = listeners.unix {
        _file = Some(file);
        tokio::spawn(accept_unix(listener, shared));
    }
    if let Some((listener, shared)) = listeners.tcp {
        tokio::spawn(accept_tcp(listener, shared));
    }
    let _ = stopped.await;
}

async fn accept_unix(listener: tokio::net::UnixListener, shared: Arc<Shared>) {
    let slots = Arc::new(Semaphore::new(shared.limits.connections));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
            continue;
        };
        // Without credentials the peer is nobody, whom nothing admits.
        let (uid, pid) = match stream.peer_cred() {
            Ok(peer) => (peer.uid(), peer.pid().unwrap_or(0)),
            Err(_) => (u32::MAX, 0),
        };
        let refuse = |bytes: &[u8]| stream.try_write(bytes);
        if has_room(&slots, &shared, refuse) {
            begin(stream, Peer::Unix { uid, pid }, &slots, &shared);
        }
    }
}

async fn accept_tcp(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    let slots = Arc::new(Semaphore::new(shared.limits.connections));
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
            continue;
        };
        let refuse = |bytes: &[u8]| stream.try_write(bytes);
        if has_room(&slots, &shared, refuse) {
            begin(stream, Peer::Tcp(address), &slots, &shared);
        }
    }
}

/// Whether one more connection may be served; tells it why not, without waiting.
fn has_room(
    slots: &Semaphore,
    shared: &Shared,
    refuse: impl FnOnce(&[u8]) -> io::Result<usize>,
) -> bool {
    let has_room = slots.available_permits() > 0;
    if !has_room {
        let error = connection::busy(shared.limits.connections);
        shared.metrics.answered(error.status.as_u16());
        let _ = refuse(&connection::encode_refusal(&error));
    }
    has_room
}

fn begin<S>(stream: S, peer: Peer, slots: &Arc<Semaphore>, shared: &Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (slots, shared) = (Arc::clone(slots), Arc::clone(shared));
    let Ok(slot) = slots.try_acquire_owned() else { return };
    tokio::spawn(async move {
        shared.metrics.connection(1);
        connection::serve(stream, peer, &shared).await;
        shared.metrics.connection(-1);
        drop(slot);
    });
}

/// The routes of a job and those that every job has.
fn router(api: Api, server_metrics: &Arc<ServerMetrics>) -> Router {
    let description = Arc::new(OnceLock::new());
    let served = Arc::clone(&description);
    let api = api.metrics(Arc::clone(server_metrics));
    let registry = Arc::new(OnceLock::<prometheus_client::registry::Registry>::new());
    let collected = Arc::clone(&registry);
    let mut api = api
        .operation(
            |_| {
                Operation::new(
                    Method::GET,
                    "/healthz",
                    "getHealth",
                    "Whether the control thread lives",
                )
                .answers_text("It does.", "text/plain; charset=utf-8", "ok\n")
            },
            |_| Ok(Answer::text("text/plain; charset=utf-8", "ok\n".to_owned())),
        )
        .operation(
            |_| {
                Operation::new(
                    Method::GET,
                    "/metrics",
                    "getMetrics",
                    "All counters, for Prometheus",
                )
                .answers_text(
                    "OpenMetrics text.",
                    metrics::CONTENT_TYPE,
                    "# EOF\n",
                )
            },
            move |_| {
                let mut text = String::new();
                let registry = collected.get().expect("set before the first request");
                prometheus_client::encoding::text::encode(&mut text, registry)
                    .expect("a String takes all");
                Ok(Answer::text(metrics::CONTENT_TYPE, text))
            },
        )
        .operation(
            |schemas| {
                let example = serde_json::json!({ "openapi": "3.1.0", "paths": {} });
                Operation::new(Method::GET, "/openapi.json", "getOpenApi", "This description")
                    .answers(200, "OpenAPI 3.1.", schemas, &example)
            },
            move |_| Ok(Answer::ok(served.get().expect("set before the first request"))),
        );
    let _ = description.set(openapi::document(&mut api));
    let _ = registry.set(std::mem::take(&mut api.metrics));
    api.router.fallback(not_found)
}

async fn not_found() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no_such_resource",
        "there is no such resource",
        "see /openapi.json for all resources",
    )
}
