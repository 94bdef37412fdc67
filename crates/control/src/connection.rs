//! One connection: one request from its first byte to the last of the answer, each step in bounded
//! time and memory. Whatever is wrong is answered with the JSON of an [`ApiError`].

use crate::error::ApiError;
use crate::http::{self, Head};
use crate::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, LINGER_MS_MAX, Limits, RESPONSE_BYTES_MAX};
use crate::log::Log;
use crate::metrics::ServerMetrics;
use crate::peer::{Access, Peer, PeerKey};
use crate::rate::Rate;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::ALLOW;
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tower::ServiceExt;

/// Bytes read at a time.
const READ_BYTES: usize = 4 << 10;
/// Bytes of a request's body that its log line shows.
const LOGGED_BODY_BYTES_MAX: usize = 200;

/// What all connections of one listener share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub router: Router,
    pub access: Access,
    pub limits: Limits,
    pub rate: Mutex<Rate<PeerKey>>,
    pub log: Log,
    pub metrics: Arc<ServerMetrics>,
}

/// Why there is nothing to answer to.
enum Ended {
    Refused(ApiError),
    /// The client left, or the connection broke.
    Left,
}

impl From<ApiError> for Ended {
    fn from(error: ApiError) -> Self {
        Ended::Refused(error)
    }
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Ended::Left
    }
}

/// Serves the one request of a connection.
pub(crate) async fn serve<S>(mut stream: S, peer: Peer, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut is_head = false;
    let asked = match admit(&peer, shared) {
        Ok(()) => timeout(shared.limits.request, read_request(&mut stream, shared)).await,
        Err(error) => Ok(Err(error.into())),
    };
    let response = match asked {
        Ok(Ok((head, body))) => {
            is_head = head.method == Method::HEAD;
            answer(head, body, &peer, shared).await
        }
        Ok(Err(Ended::Refused(error))) => {
            if matches!(error.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                shared.log.line(&format!("{peer}: refused: {}", error.message));
            }
            error.into_response()
        }
        Ok(Err(Ended::Left)) => return shared.metrics.left(),
        Err(_) => timed_out(shared.limits.request).into_response(),
    };
    shared.metrics.answered(response.status().as_u16());
    let bytes = encode(response, is_head).await;
    let _ = timeout(shared.limits.response, stream.write_all(&bytes)).await;
    let _ = timeout(Duration::from_millis(LINGER_MS_MAX), linger(&mut stream)).await;
}

/// Whether the peer may ask now, before a byte of it is read.
fn admit(peer: &Peer, shared: &Shared) -> Result<(), ApiError> {
    shared.access.check_peer(peer)?;
    let mut rate = shared.rate.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match rate.admit(peer.key(), Instant::now()) {
        true => Ok(()),
        false => Err(ApiError::too_many_requests(shared.limits.requests_per_second)),
    }
}

async fn read_request<S>(stream: &mut S, shared: &Shared) -> Result<(Head, Bytes), Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = Vec::with_capacity(READ_BYTES);
    let head = loop {
        if let Some(head) = http::parse_head(&bytes)? {
            break head;
        }
        let room = HEAD_BYTES_MAX.saturating_sub(bytes.len()).min(READ_BYTES);
        read_some(stream, &mut bytes, room).await?;
    };
    shared.access.check_head(&head.headers)?;
    let mut body = bytes.split_off(head.head_bytes);
    if head.expects_continue && body.len() < head.body_bytes {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    while body.len() < head.body_bytes {
        let room = (head.body_bytes - body.len()).min(READ_BYTES);
        read_some(stream, &mut body, room).await?;
    }
    // What follows is no second request: a connection carries one.
    body.truncate(head.body_bytes);
    Ok((head, body.into()))
}

/// Appends at least one byte and at most `room`.
async fn read_some<S: AsyncRead + Unpin>(
    stream: &mut S,
    bytes: &mut Vec<u8>,
    room: usize,
) -> Result<(), Ended> {
    let mut some = [0; READ_BYTES];
    match stream.read(&mut some[..room]).await? {
        0 => Err(Ended::Left),
        count => {
            bytes.extend_from_slice(&some[..count]);
            Ok(())
        }
    }
}

async fn answer(head: Head, body: Bytes, peer: &Peer, shared: &Shared) -> Response<Body> {
    let changes = !matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let what = changes.then(|| {
        let shown = &body[..body.len().min(LOGGED_BODY_BYTES_MAX)];
        format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(shown))
    });
    let mut request = Request::new(Body::from(body));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) =
        (head.method, head.uri, head.headers);
    let response = match shared.router.clone().oneshot(request).await {
        Ok(response) => in_json(response),
        Err(never) => match never {},
    };
    if let Some(what) = what {
        shared.log.line(&format!("{peer}: {}: {}", what.trim_end(), response.status()));
    }
    response
}

/// The router's own refusal of a method has no body: gives it one.
fn in_json(response: Response<Body>) -> Response<Body> {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let allow = response.headers().get(ALLOW).and_then(|allow| allow.to_str().ok());
    ApiError::method_not_allowed(allow.unwrap_or_default()).into_response()
}

async fn encode(response: Response<Body>, is_head: bool) -> Vec<u8> {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, RESPONSE_BYTES_MAX).await;
    let (parts, body) = match body {
        Ok(body) => (parts, body),
        Err(_) => {
            let (parts, _) = too_large().into_response().into_parts();
            (parts, Bytes::new())
        }
    };
    // For HEAD the router has taken the body away and left its length as a field.
    let length = parts.headers.get(axum::http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let length = if is_head { length.unwrap_or(0) } else { body.len() };
    let mut bytes = http::write_head(&Response::from_parts(parts, ()), length);
    if !is_head {
        bytes.extend_from_slice(&body);
    }
    bytes
}

/// Says that nothing more comes, and takes what the client still sends: closing with unread bytes
/// would make the kernel reset the connection, and the client never read why it was refused.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let mut rest = [0; READ_BYTES];
    let mut taken = 0;
    if stream.shutdown().await.is_ok() {
        while let Ok(count @ 1..) = stream.read(&mut rest).await {
            taken += count;
            if taken > 2 * BODY_BYTES_MAX {
                return;
            }
        }
    }
}

fn timed_out(limit: Duration) -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "request_timeout",
        format!("the request did not arrive within {} ms", limit.as_millis()),
        "send the whole request at once",
    )
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "answer_too_long",
        format!("the answer is longer than {RESPONSE_BYTES_MAX} bytes"),
        "ask for a page: ?limit=100",
    )
}

/// What a connection over the limit is told; nothing of it is read.
pub(crate) fn busy(limit: usize) -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_connections",
        format!("{limit} connections are open already"),
        "close some, then ask again",
    )
}

/// The bytes of a refusal, for where nothing can be awaited.
pub(crate) fn encode_refusal(error: &ApiError) -> Vec<u8> {
    let mut body = serde_json::to_vec(&error.body()).expect("strings only");
    body.push(b'\n');
    let response = error.clone().into_response().map(drop);
    [http::write_head(&response, body.len()), body].concat()
}
