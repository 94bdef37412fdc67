//! `tickwire lab exchange`: takes orders until it is told to stop.

use super::args::{ExchangeArgs, Transport};
use super::datagrams::Datagrams;
use super::orders::{Orders, now_ns};
use super::stream::Stream;
use crate::completions::print_all;
use crate::exit::{Ended, Failure, say};
use crate::signals::Signalled;
use clap::ValueEnum;
use serde_json::Value;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tickwire_engine::Control;
use tickwire_respond::exchange::{Exchange, Received};

/// An exchange is told the time so often, and orders are in their file so soon.
const TICK_MS: u64 = 50;

/// Runs until a signal, then shows what was counted.
pub fn run(args: &ExchangeArgs) -> Result<Ended, Failure> {
    let exchange = args.exchange()?;
    let signalled = Signalled::watch(None)?;
    let control = Arc::new(Control::new(None, None));
    let orders = Orders::create(args.orders.as_ref())?;
    let mut course =
        Course { exchange, orders, control: Arc::clone(&control), ticked: Instant::now() };
    let format = args.format.to_possible_value();
    let format = format.as_ref().map_or("", |value| value.get_name());
    let ready = |address, how| {
        signalled.stop(&control);
        say(format_args!("tickwire: ready: {format} orders at {address} over {how}; ^C stops\n"));
    };
    let dropped = match args.transport() {
        Transport::Udp => {
            let (datagrams, address) = Datagrams::open(args.listen)?;
            ready(address, "UDP");
            datagrams.serve(&mut course)?
        }
        Transport::Tcp => {
            let (mut stream, address) = Stream::open(args.listen)?;
            ready(address, "TCP");
            stream.serve(&mut course)?;
            0
        }
    };
    course.orders.flush()?;
    print_all(format!("{}\n", summary(&*course.exchange, dropped)?).as_bytes())?;
    Ok(if signalled.interrupted() { Ended::Interrupted } else { Ended::Done })
}

/// The tally, all errors together, and what the kernel dropped before we saw it.
fn summary(exchange: &dyn Exchange, dropped: u32) -> Result<Value, Failure> {
    let tally = exchange.tally();
    let mut summary = serde_json::to_value(tally).map_err(Failure::failed)?;
    summary["errors"] = tally.errors().into();
    summary["kernel_dropped"] = dropped.into();
    Ok(summary)
}

/// Why a port cannot be opened.
pub fn cannot_listen(listen: SocketAddr, error: &io::Error) -> Failure {
    let cure = match error.kind() {
        ErrorKind::AddrInUse => "another program has this port (`ss -tulpn` names it)",
        ErrorKind::AddrNotAvailable => "it is no address of this machine (`ip address` lists them)",
        ErrorKind::PermissionDenied => "ports below 1024 need privileges: take another",
        _ => "check the address",
    };
    Failure::failed(format_args!("cannot take orders at {listen}: {error}; {cure}"))
}

/// An exchange at work.
pub struct Course {
    exchange: Box<dyn Exchange>,
    orders: Orders,
    control: Arc<Control>,
    ticked: Instant,
}

impl Course {
    /// Whether a signal came.
    pub fn is_stopped(&self) -> bool {
        self.control.stopped()
    }

    /// A connection is there.
    pub fn connected(&mut self) {
        self.exchange.connected(now_ns());
    }

    /// It is gone.
    pub fn disconnected(&mut self) {
        self.exchange.disconnected(now_ns());
    }

    /// Bytes came in: why the connection has to be closed, if it has to.
    pub fn received(&mut self, bytes: &[u8]) -> Result<(), String> {
        let orders = &mut self.orders;
        let mut take = |order: Received| orders.take(&order);
        self.exchange.received(bytes, now_ns(), &mut take)
    }

    /// Called often. The outer error is ours, the inner one why the connection has to be closed.
    pub fn tick(&mut self) -> Result<Result<(), String>, Failure> {
        if self.ticked.elapsed() < Duration::from_millis(TICK_MS) {
            return Ok(Ok(()));
        }
        self.ticked = Instant::now();
        self.orders.flush()?;
        Ok(self.exchange.tick(now_ns()))
    }

    /// What is to be sent.
    pub fn output(&self) -> &[u8] {
        self.exchange.output()
    }

    /// So much went.
    pub fn sent(&mut self, bytes: usize) {
        self.exchange.sent(bytes);
    }
}
