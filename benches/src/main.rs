//! The promises about speed, each as a ratio against a reference in the same run.
//!
//! `cargo run --release -p tickwire-bench -- NAME`; exits with 1 when a promise is not kept.

#![deny(unsafe_code)] // Allowed only where references are called that are not safe Rust.

mod arbitrate;
mod book;
mod decode;
mod fields;
mod file;
mod filter;
mod filter_live;
mod live;
mod market;
mod replicate;
mod respond;
mod xdp;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser, Debug)]
#[command(name = "tickwire-bench", about)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand, Debug)]
enum Bench {
    /// Two lines of a feed merged: what a packet costs.
    Arbitrate,
    /// Books of orders from ITCH 5.0: ns a message, against the library's maps.
    Book(book::Args),
    /// Decoding: the five-tuple against zerocopy views and etherparse; whole packets, lines, JSON.
    Decode,
    /// A symbol filter over MoldUDP64 packets, against decoding and comparing.
    Fields,
    /// Capture files: reading against pcap-parser, copying against tcpdump.
    File(file::Args),
    /// Filters: every back end against libpcap, the kernel, and a plain translation.
    Filter(filter::Args),
    /// A filter that keeps 1 % of a flood: processor time with it in XDP and in user space.
    FilterLive(filter_live::Args),
    /// Live capture on one veth queue: our ports against testpmd and tcpdump.
    Live(live::Args),
    /// Exchange protocols: the fields that a book uses, against a walk written by hand, and itchy.
    Market,
    /// Replication: copies a second, what each costs, added latency, against bare references.
    Replicate(replicate::Args),
    /// Responding: tick to trade against bare references, and what of it is ours
    Respond(respond::Args),
    /// Filters in XDP: one, eight and 64 ports and 10 000 addresses, against C by clang.
    Xdp,
}

fn main() -> ExitCode {
    let result = match Cli::parse().bench {
        Bench::Arbitrate => Ok(arbitrate::run()),
        Bench::Book(args) => book::run(&args),
        Bench::Decode => Ok(decode::run()),
        Bench::Fields => Ok(fields::run()),
        Bench::File(args) => file::run(&args),
        Bench::Filter(args) => filter::run(&args),
        Bench::FilterLive(args) => filter_live::run(&args).map_err(|error| error as _),
        Bench::Live(args) => live::run(&args).map_err(|error| error as _),
        Bench::Market => Ok(market::run()),
        Bench::Respond(args) => respond::run(&args).map_err(|error| error as _),
        Bench::Replicate(args) => replicate::run(&args).map_err(|error| error as _),
        Bench::Xdp => xdp::run().map_err(|error| error as _),
    };
    result.unwrap_or_else(|error| {
        eprintln!("tickwire-bench: {error}");
        ExitCode::FAILURE
    })
}
