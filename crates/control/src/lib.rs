//! One small control plane for every job: HTTP/JSON over a Unix socket and, when asked, over TCP.
//!
//! It runs on one thread of its own and never touches a packet. It knows no job: a job brings its
//! resources as an [`Api`], and is asked through a trait such as
//! [`replicate::ReplicateControl`].
//!
//! What every job gets:
//! * [`server`]: the control thread; listens, accepts, bounds the number of connections, stops.
//! * [`connection`]: one request from its first byte to the last of the answer.
//! * [`http`]: the head of a request, as a pure function of bytes.
//! * [`api`]: resources, each with its description; [`openapi`]: the document made from them.
//! * [`error`]: what a client is told: code, message and cure.
//! * [`peer`]: who asks, and whether they may; [`token`]: bearer tokens.
//! * [`limits`]: every limit by name; [`rate`]: token buckets per peer.
//! * [`unix`]: a socket file that nobody else can open, at no moment.
//! * [`log`]: a line per change on standard error, which never waits for its reader.
//! * [`metrics`]: Prometheus text.
//! * [`client`]: the other end, for `tickwire ctl`.
//!
//! What the jobs bring:
//! * [`replicate`]: feeds and subscribers. [`respond`]: the brakes, the state, the figures.
//! * [`legacy`]: the UDP protocol of an older replicator; [`cidr`]: who may speak it.

#![forbid(unsafe_code)]

pub mod api;
pub mod cidr;
pub mod client;
pub mod connection;
pub mod error;
pub mod http;
pub mod legacy;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod openapi;
pub mod peer;
pub mod rate;
pub mod replicate;
pub mod respond;
pub mod server;
pub mod token;
pub mod unix;

pub use api::{Answer, Api, Call, Operation};
pub use cidr::Cidr;
pub use error::{ApiError, StartError};
pub use legacy::LegacyControl;
pub use limits::Limits;
pub use log::Log;
pub use server::{Listen, Server};
pub use token::Token;
