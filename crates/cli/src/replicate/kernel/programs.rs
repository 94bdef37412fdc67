//! Programs made of the table, loaded.

use super::accounts::fd;
use std::os::fd::RawFd;
use std::panic::resume_unwind;
use std::thread::{Builder, available_parallelism};
use tickwire_capture::PortError;
use tickwire_capture::af_xdp::{no_map, not_loaded};
use tickwire_capture::bpf::asm::{AsmError, Instruction};
use tickwire_capture::bpf::program::Place;
use tickwire_capture::bpf::{Map, Program, Tables};
use tickwire_filter::Filter;
use tickwire_filter::ebpf::Xdp;
use tickwire_replicate::xdp::{self, Books, Dispatch, IngressFeed, KernelFilter};
use tickwire_replicate::{FeedEntry, SubscriberEntry};

/// Threads that load programs at a time.
const LOADERS_MAX: usize = 8;
/// Programs that are worth a thread.
const LOADS_MIN: usize = 4;

/// A filter for the kernel, with its tables.
struct Compiled(Option<(Xdp, Tables)>);

impl Compiled {
    fn new(filter: Option<&Filter>) -> Result<Compiled, PortError> {
        let Some(filter) = filter else { return Ok(Compiled(None)) };
        let xdp = filter.xdp().map_err(|refusal| PortError::Unsupported {
            what: format!("the kernel cannot run this filter: {refusal}"),
            cure: "use mode af_xdp".into(),
        })?;
        let tables = Tables::of(&xdp).map_err(no_map)?;
        Ok(Compiled(Some((xdp, tables))))
    }

    fn fds(&self) -> Vec<RawFd> {
        self.0.as_ref().map(|(_, tables)| tables.fds()).unwrap_or_default()
    }

    fn filter<'a>(&'a self, fds: &'a [RawFd]) -> Option<KernelFilter<'a>> {
        self.0.as_ref().map(|(xdp, _)| KernelFilter { xdp, tables: fds })
    }
}

/// A program of too many or too long filters.
fn assembled(code: Result<Vec<Instruction>, AsmError>) -> Result<Vec<Instruction>, PortError> {
    code.map_err(|error| PortError::Unsupported {
        what: error.to_string(),
        cure: "use shorter filters, or mode af_xdp".into(),
    })
}

/// That of an interface where `feeds` arrive, each with its device map, for frames of at most
/// `frame_bytes_max`.
pub fn ingress(
    counters: RawFd,
    feeds: &[(&FeedEntry, &Map)],
    frame_bytes_max: i32,
) -> Result<Program, PortError> {
    let compiled: Vec<Compiled> = (feeds.iter())
        .map(|(feed, _)| Compiled::new(feed.filter.as_deref()))
        .collect::<Result<_, _>>()?;
    let fds: Vec<Vec<RawFd>> = compiled.iter().map(Compiled::fds).collect();
    let parts: Vec<IngressFeed<'_>> = (feeds.iter().zip(&compiled).zip(&fds))
        .map(|(((feed, devices), compiled), fds)| IngressFeed {
            feed: &feed.feed,
            filter: compiled.filter(fds),
            devices: fd(*devices),
        })
        .collect();
    let code = assembled(xdp::ingress(counters, &parts, frame_bytes_max))?;
    Program::load_xdp("tickwire_in", &code).map_err(not_loaded)
}

/// That of an interface that copies leave by.
pub fn dispatcher(parts: &Dispatch) -> Result<Program, PortError> {
    let code = assembled(xdp::dispatch(parts))?;
    Program::load("tickwire_way", &code, Place::DeviceMap, true).map_err(not_loaded)
}

/// That of a subscriber.
pub fn egress(ipv4: bool, entry: &SubscriberEntry, books: &Books) -> Result<Program, PortError> {
    let compiled = Compiled::new(entry.filter.as_deref())?;
    let fds = compiled.fds();
    let code = assembled(xdp::egress(ipv4, entry, compiled.filter(&fds), books))?;
    Program::load("tickwire_out", &code, Place::DeviceMap, true).map_err(not_loaded)
}

/// Those of `subscribers`, in their order, on several cores: the verifier takes half a millisecond
/// for each.
pub fn egress_all(
    ipv4: bool,
    subscribers: &[(&SubscriberEntry, Books)],
) -> Vec<Result<Program, PortError>> {
    let load = |some: &[(&SubscriberEntry, Books)]| -> Vec<_> {
        some.iter().map(|(entry, books)| egress(ipv4, entry, books)).collect()
    };
    let cores = available_parallelism().map_or(1, usize::from).min(LOADERS_MAX);
    let each = subscribers.len().div_ceil(cores).max(LOADS_MIN);
    if subscribers.len() <= each {
        return load(subscribers);
    }
    std::thread::scope(|scope| {
        let loaders: Vec<_> = subscribers
            .chunks(each)
            .map(|some| {
                let loader = Builder::new().name("loader".into());
                (some, loader.spawn_scoped(scope, move || load(some)))
            })
            .collect();
        let loaded = loaders.into_iter().flat_map(|(some, loader)| match loader {
            Ok(loader) => loader.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // One thread too many.
            Err(_) => load(some),
        });
        loaded.collect()
    })
}

/// That which settles what devices took and what they did not.
pub fn settle(list: RawFd, counters: RawFd) -> Result<Program, PortError> {
    let code = assembled(xdp::settle(list, counters))?;
    Program::load("tickwire_settle", &code, Place::Tracepoint, false).map_err(not_loaded)
}
