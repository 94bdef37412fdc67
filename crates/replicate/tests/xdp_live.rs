//! Mode `xdp` on a veth pair: frames come in, the kernel makes copies, they arrive. Needs root.

mod common;

use common::*;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::bpf::asm::{Assembler, XdpAction};
use tickwire_capture::bpf::program::Place;
use tickwire_capture::bpf::{
    AttachMode, Barrier, Map, MapKind, Program, Tables, TracepointLink, XdpLink,
};
use tickwire_capture::{Port, Received};
use tickwire_frame::{Batch, LinkType, Reason};
use tickwire_lab::{End, Lab, LabConfig, require_root};
use tickwire_replicate::xdp::*;
use tickwire_replicate::{Counts, Hop, Subscriber, SubscriberEntry, Table, View};

const LISTEN: &str = "239.1.1.1:5000";
const SENDER: &str = "10.0.0.9:4000";
/// No test waits longer for a frame.
const LIMIT: Duration = Duration::from_secs(5);
/// The feed's account; those of subscribers follow, by their places.
const FEED_ACCOUNT: u32 = 0;
const PLACES_MAX: u32 = 63;

/// The one feed of a table in the kernel, on the interface of one end, which all copies leave by.
struct InKernel {
    view: View,
    ifindex: u32,
    counters: Map,
    devices: Map,
    list: Map,
    programs: Map,
    dispatcher: Program,
    /// By place: who has it.
    places: Vec<Option<Arc<SubscriberEntry>>>,
    _settle: TracepointLink,
    _link: XdpLink,
}

fn fd(of: &impl AsFd) -> u32 {
    of.as_fd().as_raw_fd() as u32
}

impl InKernel {
    fn attach(end: &End, table: &Table) -> InKernel {
        let view = table.view();
        let create = |kind, value_size, entries| Map::create("test", kind, 4, value_size, entries);
        let counters = create(MapKind::PerCpuArray, ACCOUNT_BYTES, 1 + PLACES_MAX).unwrap();
        let devices = create(MapKind::DevMapHash, 8, PLACES_MAX).unwrap();
        let list = create(MapKind::PerCpuArray, LIST_BYTES, 1).unwrap();
        let code = settle(fd(&list) as i32, fd(&counters) as i32).unwrap();
        let program = Program::load("settle", &code, Place::Tracepoint, false)
            .unwrap_or_else(|error| panic!("{error}"));
        let settle = TracepointLink::attach(&program, TRACEPOINT).unwrap();
        let programs = create(MapKind::ProgArray, 4, place(1, 0)).unwrap();
        let states = create(MapKind::PerCpuArray, STATE_BYTES, 1).unwrap();
        let parts =
            Dispatch { states: fd(&states) as i32, state: 0, programs: fd(&programs) as i32 };
        let code = dispatch(&parts).unwrap();
        let dispatcher = Program::load("dispatch", &code, Place::DeviceMap, true)
            .unwrap_or_else(|error| panic!("{error}"));
        let feed = IngressFeed {
            feed: &view.snapshot().feeds[0].feed,
            filter: None,
            devices: fd(&devices) as i32,
        };
        let program = Program::load_xdp(
            "tickwire_in",
            &ingress(fd(&counters) as i32, &[feed], FRAME_BYTES_MAX).unwrap(),
        )
        .unwrap();
        let ifindex = end.index().unwrap();
        let link = end.run(|| XdpLink::attach(&program, ifindex, AttachMode::Native)).unwrap();
        let places = Vec::new();
        let mut fan_out = InKernel {
            view,
            ifindex,
            counters,
            devices,
            list,
            programs,
            dispatcher,
            places,
            _settle: settle,
            _link: link,
        };
        fan_out.follow(end);
        fan_out
    }

    /// Each program is replaced in one step; the others are not touched.
    fn follow(&mut self, end: &End) {
        self.view.refresh();
        let subscribers = self.view.snapshot().feeds[0].subscribers.clone();
        for at in 0..self.places.len() {
            let gone = |had: &Arc<SubscriberEntry>| subscribers.iter().all(|s| s.id != had.id);
            if self.places[at].as_ref().is_some_and(gone) {
                assert!(self.programs.delete(&place(0, at as u32).to_ne_bytes()).unwrap());
                self.places[at] = None;
            }
        }
        for entry in subscribers {
            let had = |slot: &&Option<Arc<SubscriberEntry>>| {
                slot.as_ref().is_some_and(|had| had.id == entry.id)
            };
            let known = self.places.iter().position(|slot| had(&slot));
            let free = self.places.iter().position(Option::is_none);
            let at = known.or(free).unwrap_or(self.places.len());
            if known.is_some() && Arc::ptr_eq(self.places[at].as_ref().unwrap(), &entry) {
                continue;
            }
            let account = 1 + at as u32;
            let counters = Counters { map: fd(&self.counters) as i32, account };
            let program = load(&entry, &Books { counters, list: fd(&self.list) as i32 });
            let key = place(0, at as u32).to_ne_bytes();
            self.programs.update(&key, &fd(&program).to_ne_bytes()).unwrap();
            if at == self.places.len() {
                let value = [self.ifindex, fd(&self.dispatcher)].map(u32::to_ne_bytes);
                let set = || self.devices.update(&(at as u32).to_ne_bytes(), value.as_flattened());
                end.run(set).unwrap();
                self.places.push(None);
            }
            self.places[at] = Some(entry);
        }
    }

    fn counts(&self, account: u32) -> Counts {
        Barrier::new().unwrap().wait().unwrap();
        counts(&self.counters.words(account).unwrap())
    }
}

fn load(entry: &SubscriberEntry, books: &Books) -> Program {
    let xdp = entry.filter.as_ref().map(|filter| filter.xdp().unwrap());
    let tables = xdp.as_ref().map(|xdp| Tables::of(xdp).unwrap().fds()).unwrap_or_default();
    let filter = xdp.as_ref().map(|xdp| KernelFilter { xdp, tables: &tables });
    let code = egress(true, entry, filter, books).unwrap();
    Program::load("tickwire_out", &code, Place::DeviceMap, true)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A lab whose right end fans out, and what its left end sends and sees.
struct Bench {
    lab: Lab,
    port: AfPacket,
    /// A veth pair takes XDP frames only when the end that they go to has a program.
    _pass: XdpLink,
}

impl Bench {
    fn new() -> Bench {
        let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).unwrap();
        let mut asm = Assembler::new();
        asm.exit_with(XdpAction::Pass);
        let program = Program::load_xdp("pass", &asm.finish().unwrap()).unwrap();
        let index = lab.left.index().unwrap();
        let attach = || XdpLink::attach(&program, index, AttachMode::Native);
        let pass = lab.left.run(attach).unwrap();
        let config = AfPacketConfig {
            outgoing: false,
            promiscuous: true,
            tx_slots: 256,
            blocks: 16,
            ..AfPacketConfig::new(lab.left.name())
        };
        let port = lab.left.run(|| AfPacket::open(&config, 1)).unwrap().remove(0);
        Bench { lab, port, _pass: pass }
    }

    fn path(&self, subscriber: &Subscriber) -> Hop {
        let ifindex = self.lab.right.index().unwrap();
        Hop { ifindex, ..hop(subscriber) }
    }

    /// Sends `frames` and waits for `expected` copies, by receiver.
    fn exchange(
        &mut self,
        frames: &[Vec<u8>],
        expected: usize,
    ) -> HashMap<std::net::SocketAddr, Vec<Vec<u8>>> {
        let frames: Vec<&[u8]> = frames.iter().map(|bytes| &**bytes).collect();
        assert_eq!(self.port.transmit(&frames).unwrap().accepted, frames.len());
        let mut copies: HashMap<_, Vec<_>> = HashMap::new();
        let (deadline, mut seen) = (Instant::now() + LIMIT, 0);
        while seen < expected && Instant::now() < deadline {
            let mut batch = Batch::new();
            if self.port.receive(&mut batch).unwrap() == Received::Frames {
                for frame in batch.iter() {
                    copies.entry(receiver(frame.bytes)).or_default().push(frame.bytes.to_vec());
                }
                seen += batch.len();
            } else {
                self.port.wait(Duration::from_millis(5)).unwrap();
            }
        }
        let found: Vec<_> = copies.iter().map(|(to, all)| (to, all.len())).collect();
        assert_eq!(seen, expected, "{found:?}");
        copies
    }
}

fn numbered(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    let datagram = |n: u32| frame(None, address(SENDER), address(LISTEN), &n.to_be_bytes());
    range.map(datagram).collect()
}

#[test]
fn copies_are_those_of_the_fan_out_in_user_space() {
    require_root!("copies_are_those_of_the_fan_out_in_user_space");
    let mut bench = Bench::new();
    let odd = Subscriber { filter: Some("udp[11] & 1 = 1".into()), ..subscriber("10.9.0.2:2") };
    let all =
        [subscriber("10.9.0.1:1"), odd, subscriber("[2001:db8::3]:3"), subscriber("10.9.0.4:4")];
    let mut table = table(LISTEN, &all, LinkType::ETHERNET);
    let unreachable = all[3].address;
    table.update_paths(|_, to| match to.address == unreachable {
        true => Err(Reason::NoNeighbour),
        false => Ok(bench.path(to)),
    });
    let fan_out = InKernel::attach(&bench.lab.right, &table);

    // The same in user space.
    let memory = Shared::default();
    let ifindex = bench.lab.right.index().unwrap();
    let ways = given([MemoryTransmitter { ifindex, ..MemoryTransmitter::new(&memory, 100) }]);
    let (view, sockets) = (table.view(), sockets(&memory));
    let on_error = |error| panic!("{error}");
    let mut job = tickwire_replicate::FrameFanOut::new(view, 0, None, ways, sockets, on_error);
    for round in 0..20 {
        // 40 copies at a time: far from filling the ring of a veth queue.
        let frames = numbered(round * 16..round * 16 + 16);
        let copies = bench.exchange(&frames, 40);
        run(&mut job, LinkType::ETHERNET, &frames);
        assert_eq!(copies, std::mem::take(&mut memory.lock().unwrap().copies), "round {round}");
    }
    for (listed, account) in table.list("feed").unwrap().iter().zip(1..) {
        assert_eq!(fan_out.counts(account), listed.counts, "{:?}", listed.subscriber);
        assert_eq!(listed.counts.offered(), 320);
    }
    let (_, feed) = table.feeds().next().unwrap();
    assert_eq!(fan_out.counts(FEED_ACCOUNT), feed);
}

#[test]
fn entries_are_swapped_without_a_loss_for_the_others() {
    require_root!("entries_are_swapped_without_a_loss_for_the_others");
    let mut bench = Bench::new();
    let steady = subscriber("10.9.0.1:1");
    let mut table = table(LISTEN, std::slice::from_ref(&steady), LinkType::ETHERNET);
    table.update_paths(|_, to| Ok(bench.path(to)));
    let mut fan_out = InKernel::attach(&bench.lab.right, &table);
    let now = Instant::now();
    let mut arrived = Vec::new();
    for round in 0..100u32 {
        let guest = subscriber(&format!("10.9.1.{}:9", round % 10));
        table.add("feed", guest.clone(), now).unwrap();
        table.update_paths(|_, to| Ok(bench.path(to)));
        fan_out.follow(&bench.lab.right);
        let copies = bench.exchange(&numbered(round * 3..round * 3 + 1), 2);
        assert_eq!(copies[&guest.address].len(), 1);
        arrived.extend(copies[&steady.address].clone());
        // Other settings take the place of the old ones.
        table.add("feed", Subscriber { ttl: 9, ..guest.clone() }, now).unwrap();
        fan_out.follow(&bench.lab.right);
        let copies = bench.exchange(&numbered(round * 3 + 1..round * 3 + 2), 2);
        assert_eq!(copies[&guest.address][0][22], 9, "the new TTL");
        arrived.extend(copies[&steady.address].clone());
        table.remove("feed", guest.address).unwrap();
        fan_out.follow(&bench.lab.right);
        let copies = bench.exchange(&numbered(round * 3 + 2..round * 3 + 3), 1);
        arrived.extend(copies[&steady.address].clone());
    }
    let numbers = arrived.iter().map(|copy| u32::from_be_bytes(payload(copy).try_into().unwrap()));
    assert!(numbers.eq(0..300), "all of them, in order");
    assert_eq!(fan_out.counts(1).copied, 300);
}
