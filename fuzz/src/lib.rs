//! One fuzz target per parser, each also run as a seeded plain test.
//!
//! * [`random`]: a small seeded generator; the same seed gives the same packets everywhere.
//! * [`packets`]: packets of every protocol, built by ourselves: seeds here, samples in tests.
//! * [`corpus`]: packets of real captures as more seeds, where there are any.
//! * [`mutate`]: from a seed to something that no sender would send.
//! * [`decode`]: the targets: every view, the five-tuple, the whole packet, lines and JSON.
//! * [`mod@file`]: capture files, mutated and read.
//! * [`control`]: HTTP requests and the older UDP protocol.
//! * [`replicate`]: datagrams, their copies, and state files.
//! * [`market`]: packets and messages of exchanges.
//! * [`market_book`]: the same of books.
//! * [`market_iex`]: the same of IEX, FIX and FAST.
//! * [`market_packet`]: the view over packets of all of them.
//! * [`market_sbe`]: the same of SBE and messages of fixed length.
//! * [`market_stream`]: messages in streams of TCP.
//! * [`market_sequence`]: their sequence numbers.
//! * [`respond_fix`]: what a peer of a FIX session says.
//! * [`respond_rules`]: configurations and rules of any text, over any message.
//! * [`respond_session`]: sessions with exchanges, over connections that change bytes.
//! * [`stream`]: segments of TCP.
//! * [`respond`]: a responder against an oracle ([`respond_oracle`]), on feeds that lose, repeat
//!   and cut ([`respond_feed`]).
//! * [`measure`]: runs targets over many mutated packets, keeps count, finds the slowest.
//!
//! `cargo run --release -p tickwire-fuzz --bin seeded -- decode --count 10000000 --seed 1` runs all
//! of them; `cargo +nightly fuzz run decode_packet --features libfuzzer -s none` runs one under
//! libFuzzer.

#![forbid(unsafe_code)]

pub mod control;
pub mod corpus;
pub mod decode;
pub mod file;
pub mod market;
pub mod market_book;
pub mod market_iex;
pub mod market_packet;
pub mod market_sbe;
pub mod market_sequence;
pub mod market_stream;
pub mod measure;
pub mod mutate;
pub mod packets;
pub mod random;
pub mod replicate;
pub mod respond;
pub mod respond_feed;
pub mod respond_fix;
pub mod respond_oracle;
mod respond_plan;
pub mod respond_rules;
pub mod respond_session;
pub mod stream;
