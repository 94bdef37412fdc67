//! Mode `xdp`: tick to trade against echoes in XDP that know nothing, and against mode `af_xdp`;
//! then open loop.
//!
//! All that XDP does runs on the generator's core, for every contender. On a veth pair the command
//! lets orders leave by a redirect to where the tick came from, because XDP_TX reaches only an end
//! with a program of its own (`Route::sends_back`): the echo that it is held against does the same.
//! Our left end has a program, so the same rules can be shown with XDP_TX as well.

use super::kernel::Kernel;
use super::latency::{Running, by_turns, tickwire, trial};
use super::ticks::{self, ORDER_PORT, TICK_PORT};
use super::{Args, open_loop};
use crate::live::Failure;
use crate::replicate::{Cores, Promise, judge, xdp_echo};
use std::net::SocketAddrV4;
use tickwire_lab::Lab;
use tickwire_respond::Config;
use tickwire_respond::xdp::Route;

/// Ticks a second.
const RATES: [u64; 4] = [1_000, 10_000, 100_000, 500_000];

const ECHO: &str = "bare echo in XDP, redirect";
const XDP: &str = "tickwire xdp (redirect)";
const ECHO_TX: &str = "bare echo in XDP, XDP_TX";
const RULES_TX: &str = "the rules of mode xdp, XDP_TX";
const AF_XDP: &str = "tickwire af_xdp";
const CONTENDERS: [&str; 5] = [ECHO, XDP, ECHO_TX, RULES_TX, AF_XDP];

const PROMISES: [Promise; 3] = [
    Promise { subscribers: 1, ours: XDP, theirs: ECHO, ratio: 1.2 },
    Promise { subscribers: 1, ours: RULES_TX, theirs: ECHO_TX, ratio: 1.2 },
    Promise { subscribers: 1, ours: XDP, theirs: AF_XDP, ratio: 0.6 },
];

/// Measures, prints, and says whether the promises are kept.
pub fn measure(args: &Args, cores: Cores) -> Result<bool, Failure> {
    let start = |lab: &Lab, name| -> Result<Running, Failure> {
        match name {
            ECHO => Ok(Box::new(xdp_echo(lab, true)?)),
            ECHO_TX => Ok(Box::new(xdp_echo(lab, false)?)),
            RULES_TX => Ok(Box::new(rules(lab)?)),
            XDP => tickwire(lab, cores, "xdp"),
            _ => tickwire(lab, cores, "af_xdp"),
        }
    };
    let [p50, _] = by_turns(args, "tick to trade, ns", CONTENDERS, |name| {
        trial(args, cores, |lab| start(lab, name))
    })?;
    let kept = judge("p50", &p50, PROMISES.iter(), false);
    for mode in ["xdp", "af_xdp"] {
        open_loop::measure(args, cores, mode, &RATES)?;
    }
    Ok(kept)
}

/// The rules of the command's configuration, attached to the right end.
fn rules(lab: &Lab) -> Result<(Kernel, tickwire_capture::bpf::XdpLink), Failure> {
    let listen = SocketAddrV4::new(lab.right.ipv4(), TICK_PORT);
    let target = SocketAddrV4::new(lab.left.ipv4(), ORDER_PORT);
    let text = ticks::config(
        &["AAPL".to_owned()],
        &listen.to_string(),
        &target.to_string(),
        "unused",
        1_000_000,
    );
    let config = Config::parse(&text).map_err(|error| error.to_string())?;
    let route = Route {
        ifindex: lab.right.index()?,
        sends_back: true,
        destination_mac: lab.left.mac(),
        source_mac: lab.right.mac(),
        source: SocketAddrV4::new(lab.right.ipv4(), 40_001),
        destination: target,
        ttl: 64,
        mtu: 1500,
    };
    let kernel = Kernel::load(config, &route)?;
    let link = kernel.attach(lab)?;
    Ok((kernel, link))
}
