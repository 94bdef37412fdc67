//! Which rules the kernel can run, and why not the others.
//!
//! The kernel decides on an instrument alone or not at all: position, limits and what was answered
//! have one owner then. So it takes an instrument when every rule that looks at it can run there.
//! A rule can when all that it needs is in one message of a fixed place, and its order leaves as a
//! datagram.

use super::classes::Classes;
use super::layout::{Layout, RulesLayout};
use super::rules::Flow;
use crate::config::{Config, Speaks, Transport};
use crate::format::Format;
use crate::level1::Word;
use crate::rule::{Operand, Program, Rule, Step};
use std::fmt;
use std::net::{IpAddr, SocketAddrV4};
use tickwire_market::Protocol;
use tickwire_market::nanonet::little::MarketData;

/// The widest collar in the kernel, in millionths: what it multiplies fits into 64 bits.
pub const COLLAR_PPM_MAX: u32 = (1 << 23) - 1;
/// The most steps of all rules together, counted once for each class of instruments with the same
/// rules. The kernel's verifier looks at a million instructions at most, some of them more than
/// once, and keeps what it knew at each step: with more of them it takes more than a second.
pub const STEPS_MAX: usize = 4_096;
/// The most words of 64 bits that a program and user space share: 64 MiB.
pub const WORDS_MAX: usize = 8 << 20;
/// The longest order, in bytes. It takes the place of its tick, and of what drivers keep free
/// before a frame: 256 bytes (`XDP_PACKET_HEADROOM`), of which the kernel needs some itself.
pub const ORDER_BYTES_MAX: usize = MarketData::LEN + 200;

/// Why a rule stays in user space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its feed is of another protocol.
    Protocol(Protocol),
    /// Its feed comes over TCP.
    FeedTransport,
    /// Its feed has an address of IPv6.
    FeedAddress,
    /// Its orders leave over TCP.
    TargetTransport,
    /// Its target has an address of IPv6.
    TargetAddress,
    /// Its order has numbers as text.
    TextNumbers,
    /// It needs to know more than the message says.
    Needs(Word),
    /// The collar of an instrument is too wide for 64 bits.
    Collar(u32),
    /// Its order is too long, in bytes.
    OrderBytes(usize),
    /// There is too much of all rules together.
    Size,
    /// What is to be shared has too many words of 64 bits.
    Words(usize),
    /// Another rule of that name looks at the same instrument, and stays in user space.
    Beside(String),
    /// It is not enabled.
    Disabled,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Protocol(protocol) => {
                write!(f, "its feed speaks {protocol}; the kernel reads nanonet and nanonet-big")
            }
            Why::FeedTransport => f.write_str("its feed comes over TCP"),
            Why::FeedAddress => f.write_str("its feed comes over IPv6; the kernel reads IPv4"),
            Why::TargetTransport => f.write_str("its orders leave over TCP"),
            Why::TargetAddress => f.write_str("its orders leave over IPv6; the kernel writes IPv4"),
            Why::TextNumbers => f.write_str("its order has numbers as text"),
            Why::Needs(word) => {
                write!(f, "it needs {}, which no message of its feed says", word.name())
            }
            Why::Collar(ppm) => {
                write!(
                    f,
                    "the price collar of an instrument is wider than 64 bits hold ({ppm} ppm)"
                )
            }
            Why::OrderBytes(bytes) => write!(
                f,
                "its order has {bytes} bytes; in the place of a tick there is room for \
                 {ORDER_BYTES_MAX}"
            ),
            Why::Size => write!(f, "all rules together have more than {STEPS_MAX} steps"),
            Why::Words(words) => write!(
                f,
                "feeds, instruments and cool-downs need {} MiB that are shared with the kernel, \
                 which can be {}: configure fewer of them",
                words.div_ceil(1 << 17),
                WORDS_MAX >> 17
            ),
            Why::Beside(name) => write!(
                f,
                "rule {name:?} stays in user space and looks at the same instrument, which can \
                 have one owner only"
            ),
            Why::Disabled => f.write_str("it is not enabled"),
        }
    }
}

/// A feed that the kernel can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFeed {
    /// Its number in the configuration.
    pub number: u16,
    /// Where it is sent to; an unspecified address is any.
    pub listen: SocketAddrV4,
    /// Who sends it; anybody when `None`.
    pub source: Option<std::net::Ipv4Addr>,
    /// The interface that it comes in on, where the configuration says so.
    pub interface: Option<String>,
    /// Whether the most significant byte of its numbers comes first.
    pub big: bool,
    /// Whether nobody in user space looks at it: what the kernel does not trade is dropped there.
    pub is_whole: bool,
    /// How long it may be silent.
    pub silence_ns_max: Option<u64>,
}

/// A target that the kernel can send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTarget {
    /// Its number in the configuration.
    pub number: u16,
    /// Where it is.
    pub address: SocketAddrV4,
    /// How its orders look.
    pub format: Format,
}

/// A program of a rule that the kernel runs.
#[derive(Clone, Debug)]
pub struct KernelRule {
    /// The number of its rule.
    pub rule: u16,
    /// The place of its feed in [`Plan::feeds`].
    pub feed: usize,
    /// The place of its target in [`Plan::targets`].
    pub target: usize,
    /// After an order, it sends none for the same instrument for so long.
    pub cool_down_ns: u64,
    /// Its instruments, in order; `None` for all.
    pub instruments: Option<Vec<u32>>,
    /// What it does.
    pub program: Program,
}

/// Who decides on what.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    feeds: Vec<KernelFeed>,
    targets: Vec<KernelTarget>,
    programs: Vec<KernelRule>,
    /// Of each rule: why it stays in user space; `None` when it does not.
    whys: Vec<Option<Why>>,
    /// Of each instrument: whether the kernel decides on it.
    owned: Vec<bool>,
}

impl Plan {
    /// Leaves to the kernel what it can do.
    pub fn new(config: &Config) -> Plan {
        let by_itself = config.rules.iter().map(|rule| by_itself(config, rule).err()).collect();
        let plan = Plan::with(config, by_itself);
        let words = Layout::of(config, &plan).words.max(RulesLayout::of(config, &plan).words);
        let why = match words > WORDS_MAX {
            true => Why::Words(words),
            false if plan.steps(config) > STEPS_MAX => Why::Size,
            false => return plan,
        };
        let too_large = |known: &Option<Why>| known.clone().or(Some(why.clone()));
        Plan::with(config, plan.whys.iter().map(too_large).collect())
    }

    /// How many steps its programs have.
    fn steps(&self, config: &Config) -> usize {
        let of = |&place: &usize| self.programs[place].program.steps.len() + 1;
        Classes::of(config, self).programs.iter().flatten().map(of).sum()
    }

    fn with(config: &Config, mut whys: Vec<Option<Why>>) -> Plan {
        let mut feeds: Vec<KernelFeed> =
            (0..config.feeds.len()).filter_map(|number| feed(config, number).ok()).collect();
        let targets: Vec<KernelTarget> =
            (0..config.targets.len()).filter_map(|number| target(config, number).ok()).collect();
        let owned = owned(config, &mut whys);
        for feed in &mut feeds {
            let stays = |(rule, why): (&Rule, &Option<Why>)| {
                rule.enabled && rule.feed == feed.number && why.is_some()
            };
            feed.is_whole = !config.rules.iter().zip(&whys).any(stays);
        }
        let mut programs = Vec::new();
        let ours = config.rules.iter().zip(&whys).filter(|(_, why)| why.is_none());
        for (rule, _) in ours {
            let feed = feeds.iter().position(|feed| feed.number == rule.feed);
            let target = targets.iter().position(|target| target.number == rule.target);
            let (Some(feed), Some(target)) = (feed, target) else { continue };
            let fires = |program: &&Program| Flow::of(program).fires;
            for program in rule.programs.iter().filter(fires) {
                programs.push(KernelRule {
                    rule: rule.number,
                    feed,
                    target,
                    cool_down_ns: rule.cool_down_ns,
                    instruments: rule.instruments.clone(),
                    program: program.clone(),
                });
            }
        }
        Plan { feeds, targets, programs, whys, owned }
    }

    /// The feeds that the kernel can read.
    pub fn feeds(&self) -> &[KernelFeed] {
        &self.feeds
    }

    /// The targets that the kernel can send to.
    pub fn targets(&self) -> &[KernelTarget] {
        &self.targets
    }

    /// Which of the [formats](Self::formats) a target has.
    pub(super) fn format(&self, target: usize) -> usize {
        let format = &self.targets[target].format;
        self.formats().iter().position(|known| *known == format).unwrap_or(0)
    }

    /// The formats of all targets, each once.
    pub(super) fn formats(&self) -> Vec<&Format> {
        let mut formats: Vec<&Format> = Vec::new();
        for target in &self.targets {
            if !formats.contains(&&target.format) {
                formats.push(&target.format);
            }
        }
        formats
    }

    /// The programs of the rules that the kernel runs, in the order of the configuration.
    pub fn programs(&self) -> &[KernelRule] {
        &self.programs
    }

    /// Why a rule stays in user space; `None` when the kernel runs it.
    ///
    /// # Panics
    /// When there is no such rule.
    pub fn why(&self, rule: usize) -> Option<&Why> {
        self.whys[rule].as_ref()
    }

    /// How many rules the kernel runs.
    pub fn kernel_rules(&self) -> usize {
        self.whys.iter().filter(|why| why.is_none()).count()
    }

    /// How many rules user space runs.
    pub fn user_space_rules(&self) -> usize {
        let stays = |why: &&Option<Why>| !matches!(why, None | Some(Why::Disabled));
        self.whys.iter().filter(stays).count()
    }

    /// Whether the kernel decides on an instrument.
    pub fn owns(&self, instrument: usize) -> bool {
        self.owned.get(instrument).is_some_and(|owned| *owned)
    }

    /// Of each instrument, whether the kernel decides on it.
    pub fn owned(&self) -> &[bool] {
        &self.owned
    }
}

/// Which instruments no rule that stays looks at; the rules beside those that stay do, too.
fn owned(config: &Config, whys: &mut [Option<Why>]) -> Vec<bool> {
    let count = config.settings.instruments.len();
    // Of each instrument: the first rule that keeps it in user space.
    let mut keeper: Vec<Option<usize>> = vec![None; count];
    let keep = |keeper: &mut Vec<Option<usize>>, number: usize, rule: &Rule| {
        for_each(rule, count, |instrument| {
            keeper[instrument].get_or_insert(number);
        });
    };
    let enabled = |why: &Option<Why>| !matches!(why, Some(Why::Disabled));
    for (number, rule) in config.rules.iter().enumerate() {
        if whys[number].is_some() && enabled(&whys[number]) {
            keep(&mut keeper, number, rule);
        }
    }
    loop {
        let mut changed = false;
        for (number, rule) in config.rules.iter().enumerate() {
            if whys[number].is_some() {
                continue;
            }
            let mut beside = None;
            for_each(rule, count, |at| beside = beside.or(keeper[at]));
            if let Some(beside) = beside {
                whys[number] = Some(Why::Beside(config.rules[beside].name.clone()));
                keep(&mut keeper, number, rule);
                changed = true;
            }
        }
        if !changed {
            return keeper.iter().map(Option::is_none).collect();
        }
    }
}

fn for_each(rule: &Rule, count: usize, mut act: impl FnMut(usize)) {
    match &rule.instruments {
        Some(list) => list.iter().for_each(|&number| act(number as usize)),
        None => (0..count).for_each(act),
    }
}

/// Whether a rule can run in the kernel, whatever the others are.
fn by_itself(config: &Config, rule: &Rule) -> Result<(), Why> {
    if !rule.enabled {
        return Err(Why::Disabled);
    }
    feed(config, rule.feed.into())?;
    target(config, rule.target.into())?;
    rule.programs.iter().try_for_each(needs)?;
    let mut widest = 0;
    let instruments = &config.settings.instruments;
    for_each(rule, instruments.len(), |at| widest = widest.max(instruments[at].collar_ppm));
    if widest > COLLAR_PPM_MAX { Err(Why::Collar(widest)) } else { Ok(()) }
}

/// What a program asks for that no message says.
fn needs(program: &Program) -> Result<(), Why> {
    let check = |operand: &Operand| match operand {
        Operand::Now(Word::Last | Word::LastSize | Word::Tick)
        | Operand::Before(Word::Last | Word::LastSize | Word::Tick) => Ok(()),
        Operand::Now(word) | Operand::Before(word) => Err(Why::Needs(*word)),
        _ => Ok(()),
    };
    for step in &program.steps {
        match step {
            Step::Compare { left, right, .. } | Step::Arith { left, right, .. } => {
                check(left)?;
                check(right)?;
            }
            Step::Known { word, .. } => check(word)?,
        }
    }
    check(&program.quantity)?;
    check(&program.price)
}

fn feed(config: &Config, number: usize) -> Result<KernelFeed, Why> {
    let feed = &config.feeds[number];
    let big = match feed.protocol {
        Protocol::Nanonet => false,
        Protocol::NanonetBig => true,
        other => return Err(Why::Protocol(other)),
    };
    if feed.transport != Transport::Udp {
        return Err(Why::FeedTransport);
    }
    let (IpAddr::V4(address), None | Some(IpAddr::V4(_))) = (feed.listen.ip(), feed.source) else {
        return Err(Why::FeedAddress);
    };
    let source = feed.source.and_then(|source| match source {
        IpAddr::V4(source) => Some(source),
        IpAddr::V6(_) => None,
    });
    Ok(KernelFeed {
        number: number as u16,
        listen: SocketAddrV4::new(address, feed.listen.port()),
        source,
        interface: feed.interface.clone(),
        big,
        is_whole: false,
        silence_ns_max: config.settings.feeds[number].silence_ns_max,
    })
}

fn target(config: &Config, number: usize) -> Result<KernelTarget, Why> {
    let target = &config.targets[number];
    let Speaks::Orders(format) = &target.speaks else { return Err(Why::TargetTransport) };
    if target.transport != Transport::Udp {
        return Err(Why::TargetTransport);
    }
    let IpAddr::V4(address) = target.address.ip() else { return Err(Why::TargetAddress) };
    if format.has_text_numbers() {
        return Err(Why::TextNumbers);
    }
    if format.order_bytes() > ORDER_BYTES_MAX {
        return Err(Why::OrderBytes(format.order_bytes()));
    }
    let address = SocketAddrV4::new(address, target.address.port());
    Ok(KernelTarget { number: number as u16, address, format: format.clone() })
}
