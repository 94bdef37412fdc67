//! The program in the kernel against a responder in user space and an oracle: random rules, limits
//! and ticks, and frames that were changed on their way.
//!
//! `TICKWIRE_KERNEL_TRIPLES` is how many ticks, `TICKWIRE_KERNEL_FRAMES` how many changed frames;
//! few unless they are set. `TICKWIRE_KERNEL_SEED` is the first case.

mod cases;
mod common;
mod language;
mod twins;

use cases::Case;
use common::Random;
use common::kernel::{Kernel, frame, ones, udp_sum};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Instant;
use tickwire_frame::Reason;
use tickwire_market::Protocol;
use twins::{Figures, S_NS, TICK_AT, TICK_BYTES, Twins, WAYS, words};

/// How many frames a case is given, at least: it takes a while to load its program.
const FRAMES_MIN: u64 = 250;
/// The most cases of a test.
const CASES_MAX: u64 = 4_000;
/// The longest frame that is made.
const FRAME_BYTES_MAX: usize = 1_500;

/// What a sender does.
struct Sender<'c> {
    case: &'c Case,
    stamp_ns: u64,
    ticks: Vec<Vec<u8>>,
}

impl Sender<'_> {
    /// A tick: new, repeated, of the same time, older, of the future; near what decides something.
    fn tick(&mut self, now_ns: u64, random: &mut Random) -> Vec<u8> {
        if random.one_in(6) && !self.ticks.is_empty() {
            return self.ticks[random.below(self.ticks.len() as u64) as usize].clone();
        }
        self.stamp_ns = self.stamp_ns.max(now_ns - now_ns % S_NS) + random.below(3);
        let stamp_ns = match random.below(16) {
            0 => self.stamp_ns - random.below(20),
            1 => now_ns + S_NS + random.below(100_000) - 50_000,
            2 if random.one_in(8) => random.bits() >> random.below(64),
            _ => self.stamp_ns,
        };
        let big = self.case.config.feeds[0].protocol == Protocol::NanonetBig;
        let mut tick = self.symbol(random).to_vec();
        for _ in 0..2 {
            let number = self.number(random);
            tick.extend(if big { number.to_be_bytes() } else { number.to_le_bytes() });
        }
        tick.extend(if big { stamp_ns.to_be_bytes() } else { stamp_ns.to_le_bytes() });
        self.ticks.push(tick.clone());
        tick
    }

    fn symbol(&self, random: &mut Random) -> [u8; 8] {
        let instruments = &self.case.config.instruments;
        let mut symbol =
            instruments.get(random.below(instruments.len() as u64) as u32).unwrap().symbol;
        match random.below(24) {
            0 => symbol[random.below(8) as usize] ^= 1 << random.below(8),
            1 => symbol = *b"OTHER   ",
            _ => {}
        }
        symbol
    }

    fn number(&self, random: &mut Random) -> u32 {
        match random.below(16) {
            0 => random.of(&[0, 1, u32::MAX, 1 << 31, u32::MAX / 2]),
            1 => random.bits() as u32,
            2..=8 if !self.case.thresholds.is_empty() => random
                .of(&self.case.thresholds)
                .wrapping_add(random.below(3) as u32)
                .wrapping_sub(1),
            _ => random.below(300) as u32,
        }
    }

    /// A frame with it, to a feed.
    fn frame(&mut self, now_ns: u64, random: &mut Random) -> Vec<u8> {
        let feeds = &self.case.config.feeds;
        let feed = &feeds[random.below(feeds.len() as u64) as usize];
        let SocketAddr::V4(listen) = feed.listen else { panic!("IPv4 alone is asked for") };
        let to =
            if listen.ip().is_unspecified() { Ipv4Addr::new(10, 7, 7, 7) } else { *listen.ip() };
        let mut from = match feed.source {
            Some(IpAddr::V4(source)) => source,
            _ => Ipv4Addr::new(10, 0, 0, random.below(3) as u8),
        };
        if random.one_in(40) {
            from = Ipv4Addr::new(10, 9, 9, 9);
        }
        let port = listen.port() + u16::from(random.one_in(40));
        let mut tick = self.tick(now_ns, random);
        // Made for the first feed: now and then they are read the wrong way round.
        if feed.protocol != feeds[0].protocol && !random.one_in(4) {
            [8..12, 12..16, 16..24].into_iter().for_each(|field| tick[field].reverse());
        }
        let (from, to) = (SocketAddrV4::new(from, 5_000), SocketAddrV4::new(to, port));
        let mut frame = frame(from, to, &tick);
        match random.below(24) {
            0 => frame[40..42].fill(0),
            1 => {
                let pseudo = ones(&frame[26..34], 17 + 8 + TICK_BYTES as u32);
                frame[40..42].copy_from_slice(&pseudo.to_be_bytes());
            }
            2 => frame[40] ^= 1 << random.below(8),
            _ => {}
        }
        frame
    }
}

/// Time passes: a little, much, or up to where something ends that lasts for some time.
fn pass_time(twins: &mut Twins<'_>, case: &Case, random: &mut Random) {
    let now_ns = twins.now_ns();
    // The next tick is decided on a moment later than this.
    let about = |random: &mut Random, at_ns: u64| at_ns.saturating_sub(random.below(100_000));
    let to_ns = match random.below(16) {
        0..=8 => return,
        9 => now_ns + random.below(1_000_000),
        10 if random.one_in(4) => now_ns + random.below(3 * S_NS),
        11 if random.one_in(8) => now_ns.saturating_sub(random.below(1_000_000)),
        12 => {
            let feed = random.below(case.config.feeds.len() as u64) as usize;
            let silence_ns = case.config.settings.feeds[feed].silence_ns_max;
            let Some(silence_ns) = silence_ns else { return };
            about(random, now_ns + silence_ns)
        }
        13 if random.one_in(4) => {
            let Some(hours) = case.config.settings.limits.hours else { return };
            let edge_ns = random.of(&[hours.open_ns, hours.close_ns]);
            let day_ns = 86_400 * S_NS;
            let offset_ns = i64::from(hours.utc_offset_s).rem_euclid(86_400) as u64 * S_NS;
            let local_ns = (now_ns + offset_ns) % day_ns;
            about(random, now_ns + (edge_ns + day_ns - local_ns) % day_ns)
        }
        _ => {
            let Some(sent_ns) = twins.sent_ns.iter().rev().nth(random.below(4) as usize) else {
                return;
            };
            let rules = &case.config.settings.rules;
            let rule = rules[random.below(rules.len() as u64) as usize];
            let for_ns = if random.one_in(2) { S_NS } else { rule.cool_down_ns };
            let at_ns = about(random, sent_ns + for_ns);
            if at_ns < now_ns {
                return;
            }
            at_ns
        }
    };
    twins.set_clock(twins.clock_ns.wrapping_add(to_ns.wrapping_sub(now_ns)));
}

/// Somebody turns something off, and soon all on again.
fn switch(twins: &mut Twins<'_>, random: &mut Random) {
    let target = random.below(twins.targets() as u64) as usize;
    let refused = random.of(&[Reason::NoNeighbour, Reason::NoRoute]);
    let way = random.below(WAYS.len() as u64) as usize;
    match random.below(600) {
        0 | 1 => twins.set_killed(true),
        2 | 3 => twins.set_enabled(false),
        4 | 5 => twins.set_lease(false),
        6..=9 => twins.set_route(target, Err(refused)),
        10..=13 => twins.set_route(target, Ok((0, 68 + random.below(2) as u32))),
        20..=80 => {
            twins.set_killed(false);
            twins.set_enabled(true);
            twins.set_lease(true);
            twins.set_route(target, Ok((way, 1_500)));
        }
        _ => {}
    }
}

/// Runs cases until so many frames were handed over, each changed by `change`. `None` without the
/// rights for it.
fn run(test: &str, frames: u64, change: fn(&mut Vec<u8>, &mut Random)) -> Option<Figures> {
    let mut all = Figures::default();
    let seed = std::env::var("TICKWIRE_KERNEL_SEED").map_or(0, |seed| seed.parse().unwrap());
    let begin = Instant::now();
    let each = frames.div_ceil(CASES_MAX).max(FRAMES_MIN);
    for number in 0..frames / each {
        let random = &mut Random(seed + number);
        // What the seed leads to is not like what the next one leads to.
        random.0 = random.bits();
        let case = Case::new(random);
        let kernel = Kernel::new(case.config.clone(), test)?;
        let words = words(&case);
        let mut twins = Twins::new(&case, &kernel, &words);
        let mut sender = Sender { case: &case, stamp_ns: 0, ticks: Vec::new() };
        for _ in 0..each {
            pass_time(&mut twins, &case, random);
            switch(&mut twins, random);
            let mut frame = sender.frame(twins.now_ns(), random);
            change(&mut frame, random);
            twins.receive(&frame);
        }
        let figures = twins.finish();
        all.ticks += figures.ticks;
        all.others += figures.others;
        all.orders += figures.orders;
        for (reason, count) in figures.refused {
            *all.refused.entry(reason).or_default() += count;
        }
    }
    eprintln!("{test}: {:.1} s, 0 differences: {all:?}", begin.elapsed().as_secs_f64());
    Some(all)
}

fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |count| count.parse().unwrap())
}

#[test]
fn kernel_user_space_and_oracle_agree() {
    let frames =
        count("TICKWIRE_KERNEL_TRIPLES", if cfg!(debug_assertions) { 20_000 } else { 100_000 });
    let Some(figures) = run("kernel_user_space_and_oracle_agree", frames, |_, _| {}) else {
        return;
    };
    assert!(figures.orders > frames / 50 && figures.ticks > frames / 2, "{figures:?}");
    for reason in [
        Reason::KillSwitch,
        Reason::Disabled,
        Reason::LeaseExpired,
        Reason::MarketClosed,
        Reason::StaleFeed,
        Reason::DuplicateTrigger,
        Reason::CoolDown,
        Reason::QuantityMax,
        Reason::NotionalMax,
        Reason::NoReference,
        Reason::PriceCollar,
        Reason::TickSize,
        Reason::OrderRate,
        Reason::PositionMax,
        Reason::NotRepresentable,
        Reason::NoRoute,
        Reason::NoNeighbour,
        Reason::TooLong,
    ] {
        assert!(figures.refused.contains_key(&reason), "{reason} never happened: {figures:?}");
    }
}

/// Bits, cuts, padding, tags, options, fragments, lengths, checksums.
fn damage(frame: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(4) {
        let len = frame.len();
        let at = random.below(len as u64) as usize;
        match random.below(16) {
            0..=3 => frame[at] ^= 1 << random.below(8),
            4 => frame[at] = random.bits() as u8,
            5 => frame.truncate(at.max(14)),
            6 => frame.extend((0..random.below(64)).map(|at| at as u8)),
            7 => frame.resize(FRAME_BYTES_MAX, 0),
            8 => drop(frame.splice(12..12, [0x81, 0, 0, at as u8])),
            9 if len > 38 => {
                // Four bytes of options, with the lengths that they need.
                frame[14] = 0x46;
                frame[17] += 4;
                frame.splice(34..34, [1, 1, 1, 0]);
            }
            10 if len > 22 => frame[20] = random.of(&[0, 0x20, 0x1f, 0x80, 0x60]),
            11 if len > 22 => frame[21] = random.below(3) as u8,
            12 if len > 40 => {
                frame[random.of(&[17, 39])] = random.of(&[27, 28, 31, 32, 51, 52, 53])
            }
            13 if len >= TICK_AT => frame[random.of(&[16, 23, 38])] = random.below(18) as u8,
            _ => {}
        }
    }
    // What was damaged before its checksum was made.
    if frame.len() > TICK_AT && random.one_in(3) {
        let sum = udp_sum(frame);
        frame[40..42].copy_from_slice(&sum.to_be_bytes());
    }
}

#[test]
fn no_order_comes_of_a_changed_frame_that_the_oracle_would_not_send() {
    let frames =
        count("TICKWIRE_KERNEL_FRAMES", if cfg!(debug_assertions) { 10_000 } else { 100_000 });
    let test = "no_order_comes_of_a_changed_frame_that_the_oracle_would_not_send";
    let Some(figures) = run(test, frames, damage) else { return };
    assert!(figures.orders > frames / 1_000 && figures.others > frames / 10, "{figures:?}");
}
