//! Capture files: pcap and pcapng, read and written.
//!
//! Reading: [`FilePort`] scans a 1 MiB read buffer and lends frames out of it.
//!
//! * `input`: bytes from a file, a pipe (polled, never blocking) or any reader; [`Progress`]
//! * `stream`: plain, gzip or zstd, told apart by magic; `gzip`, `zstd`: their members
//!   and frames, out of `packed`, which gathers bytes that come in pieces
//! * `source`: the read buffer
//! * `pcap`, `pcapng`, `options`, `resolution`, `limits`, `prefetch`: the formats; pure, they see
//!   slices only
//! * `records`: [`Records`], other formats that whoever opens a file knows
//! * `port`: [`FilePort`], which puts these together
//!
//! Writing: [`Writer`] gathers records and puts them out a mebibyte at a time; it knows of each
//! whether it is in the file.
//!
//! * `config`: what to write; `encode`: records as bytes; pure
//! * `sink`: the file or pipe; `rotate`: names, limits and the ring of files
//! * `writer`: [`Writer`], which puts these together

mod config;
mod encode;
mod fault;
mod gzip;
mod input;
mod interface;
mod limits;
mod options;
mod packed;
mod pcap;
mod pcapng;
mod port;
mod prefetch;
mod records;
mod resolution;
mod rotate;
mod sink;
mod source;
mod stream;
#[cfg(test)]
mod testing;
mod writer;
mod zstd;

pub use config::{WriteFormat, WriterConfig};
pub use encode::Annotation;
pub use input::Progress;
pub use interface::{Interface, InterfaceStatistics};
pub use port::FilePort;
pub use records::{Found, LOOKED_AT_BYTES, Look, Records};
pub use rotate::Rotation;
pub use writer::{Settled, Writer, WriterTotals};
