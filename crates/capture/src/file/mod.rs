//! Capture files: pcap and pcapng, read and written.
//!
//! Reading: [`FilePort`] scans a 1 MiB read buffer and lends frames out of it.
//!
//! * `input`: bytes from a file, a pipe (polled, never blocking) or any reader; [`Progress`]
//! * `stream`: plain, gzip or zstd, told apart by magic; `zstd`: frames and blocks of the last
//! * `source`: the read buffer
//! * `pcap`, `pcapng`, `options`, `resolution`, `limits`: the formats; pure, they see slices only
//! * `port`: [`FilePort`], which puts these together

mod fault;
mod input;
mod interface;
mod limits;
mod options;
mod pcap;
mod pcapng;
mod port;
mod resolution;
mod source;
mod stream;
mod zstd;

pub use input::Progress;
pub use interface::{Interface, InterfaceStatistics};
pub use port::FilePort;
