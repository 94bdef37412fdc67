//! Every limit of the control plane by name. [`Limits::default`] holds them all; tests lower them.

use std::time::Duration;

/// Connections at a time on one listener; the next are answered 503.
pub const CONNECTIONS_MAX: usize = 64;
/// Bytes of the request line and all header fields; more is answered 414 or 431.
pub const HEAD_BYTES_MAX: usize = 8 << 10;
/// Header fields of a request; more is answered 431.
pub const HEADERS_MAX: usize = 64;
/// Bytes of the body of a request; more is answered 413.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Time from the connection to the last byte of the request; then it is answered 408. One deadline
/// for all of it, so that a byte now and then does not keep a connection open.
pub const REQUEST_MS_MAX: u64 = 5_000;
/// Time to take the answer; then the connection is closed.
pub const RESPONSE_MS_MAX: u64 = 5_000;
/// Time for what a refused client still sends, so that it gets to read the refusal.
pub const LINGER_MS_MAX: u64 = 200;
/// Requests a second of one peer, in the long run; more are answered 429.
pub const REQUESTS_PER_SECOND_MAX: u32 = 1_000;
/// Requests of one peer at once after a pause.
pub const REQUESTS_BURST_MAX: u32 = 2_000;
/// Peers whose rate is known at a time.
pub const PEERS_MAX: usize = 1_024;
/// Bytes of an answer.
pub const RESPONSE_BYTES_MAX: usize = 16 << 20;
/// Pause after the kernel has no descriptor for another connection.
pub const ACCEPT_RETRY_MS: u64 = 50;

/// The limits of one server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// [`REQUEST_MS_MAX`].
    pub request: Duration,
    /// [`RESPONSE_MS_MAX`].
    pub response: Duration,
    /// [`REQUESTS_PER_SECOND_MAX`].
    pub requests_per_second: u32,
    /// [`REQUESTS_BURST_MAX`].
    pub requests_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: CONNECTIONS_MAX,
            request: Duration::from_millis(REQUEST_MS_MAX),
            response: Duration::from_millis(RESPONSE_MS_MAX),
            requests_per_second: REQUESTS_PER_SECOND_MAX,
            requests_burst: REQUESTS_BURST_MAX,
        }
    }
}
