//! From the shape of the file to what it means.

use super::error::ConfigError;
use super::{
    CONFIG_BYTES_MAX, Config, Feed, RULES_MAX, Target, Transport, Xdp, limits, raw, rules, target,
};
use crate::instruments::{Instrument, Instruments, symbol};
use crate::order::Scale;
use crate::rule;
use crate::settings::{
    FEEDS_MAX, FeedSettings, GapPolicy, INSTRUMENTS_MAX, InstrumentSettings, RuleSettings,
    Settings, TARGETS_MAX, TargetSettings,
};
use std::collections::HashSet;
use std::num::NonZeroU64;
use std::ops::Range;
use tickwire_market::{Protocol, near};
use toml::Spanned;

pub(super) type Result<T> = std::result::Result<T, ConfigError>;

/// The longest name of a feed, target or rule, in bytes.
const NAME_BYTES_MAX: usize = 64;
const MS_NS: u64 = 1_000_000;

pub(super) fn read(text: &str) -> Result<Config> {
    if text.len() > CONFIG_BYTES_MAX {
        let message = format!("the file has more than {CONFIG_BYTES_MAX} bytes: split it");
        return Err(ConfigError::whole(message));
    }
    let file: raw::File = toml::from_str(text).map_err(|error| {
        let message = error.message().trim_end();
        match error.span() {
            Some(span) => ConfigError::at(text, &span, message),
            None => ConfigError::whole(message),
        }
    })?;
    let mut reader = Reader { text, scale: Scale(0) };
    let xdp = reader.xdp(file.xdp)?;
    reader.list("feed", &file.feed, FEEDS_MAX, |feed| &feed.name)?;
    reader.list("target", &file.target, TARGETS_MAX, |target| &target.name)?;
    reader.list("instrument", &file.instrument, INSTRUMENTS_MAX, |of| of.symbol.as_ref())?;
    reader.list("rule", &file.rule, RULES_MAX, |rule| &rule.name)?;
    let targets = file.target.into_iter().map(|table| target::read(&reader, table));
    let targets = targets.collect::<Result<Vec<_>>>()?;
    let protocols = file.feed.iter().map(|feed| reader.protocol(feed.as_ref()));
    let protocols = protocols.collect::<Result<Vec<_>>>()?;
    reader.scale = scale(&protocols, &targets);
    let age_ms = limits::feed_age_ms(&reader, &file.limits)?;
    let of_all = limits::of_all(&reader, &file.limits)?;
    let of_instruments = limits::of_instruments(&reader, &file.limits)?;
    let (mut feeds, mut feed_settings) = (Vec::new(), Vec::new());
    for (raw, protocol) in file.feed.into_iter().zip(protocols) {
        feed_settings.push(settings_of_feed(raw.as_ref(), protocol, age_ms));
        feeds.push(reader.feed(raw.into_inner(), protocol)?);
    }
    let (instruments, instrument_settings) =
        reader.instruments(&file.instrument, of_instruments)?;
    let known = rules::Known { feeds: &feeds, targets: &targets, instruments: &instruments };
    let rules = rules::read(&reader, file.rule, &known)?;
    let settings = Settings {
        feeds: feed_settings,
        instruments: instrument_settings,
        rules: rules.iter().map(|rule| RuleSettings { cool_down_ns: rule.cool_down_ns }).collect(),
        targets: targets.iter().map(settings_of_target).collect(),
        limits: of_all,
    };
    settings.check().map_err(|error| ConfigError::whole(error.to_string()))?;
    let (scale, state, audit) = (reader.scale, file.state, file.audit);
    Ok(Config { scale, state, audit, feeds, targets, instruments, rules, settings, xdp })
}

/// The most decimals of all.
fn scale(protocols: &[Protocol], targets: &[Target]) -> Scale {
    let of_feeds = protocols.iter().filter_map(|protocol| rule::decimals(*protocol));
    let all = of_feeds.chain(targets.iter().map(|target| target.speaks.decimals()));
    Scale(all.max().unwrap_or(0).min(Scale::MAX.0))
}

fn settings_of_feed(feed: &raw::Feed, protocol: Protocol, age_ms: u32) -> FeedSettings {
    FeedSettings {
        name: feed.name.clone(),
        protocol,
        age_ns_max: u64::from(feed.age_ms.unwrap_or(age_ms)) * MS_NS,
        silence_ns_max: feed.silence_ms.map(|silence| u64::from(silence) * MS_NS),
        gap: match feed.gap {
            raw::Gap::Refuse => GapPolicy::Refuse,
            raw::Gap::UntilNext => GapPolicy::UntilNext,
        },
    }
}

fn settings_of_target(target: &Target) -> TargetSettings {
    TargetSettings { name: target.name.clone(), acknowledges: target.speaks.acknowledges() }
}

/// The text, and how many decimals prices have, as soon as that is known.
pub(super) struct Reader<'a> {
    text: &'a str,
    pub scale: Scale,
}

impl Reader<'_> {
    pub(super) fn error(&self, span: &Range<usize>, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.text, span, message)
    }

    fn xdp(&self, given: Option<Spanned<Xdp>>) -> Result<Xdp> {
        let Some(given) = given else { return Ok(Xdp::default()) };
        let (xdp, range) = (*given.as_ref(), Xdp::LEASE_MS);
        if range.contains(&xdp.lease_ms) {
            return Ok(xdp);
        }
        let message = format!(
            "lease_ms = {} is no lease: write {} to {}",
            xdp.lease_ms,
            range.start(),
            range.end()
        );
        Err(self.error(&given.span(), message))
    }

    /// There is at least one, there are not too many, and each has a name of its own.
    fn list<T>(
        &self,
        what: &str,
        list: &[Spanned<T>],
        max: usize,
        name: fn(&T) -> &String,
    ) -> Result<()> {
        if list.is_empty() {
            let message = format!("there is no [[{what}]]: docs/examples/nanonet.toml has one");
            return Err(ConfigError::whole(message));
        }
        if let Some(first) = list.get(max) {
            let message = format!("more than {max} of [[{what}]]: use several configurations");
            return Err(self.error(&first.span(), message));
        }
        let mut seen = HashSet::new();
        for table in list {
            let name = name(table.as_ref());
            let is_printable = name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            let message = if name.is_empty() || name.len() > NAME_BYTES_MAX || !is_printable {
                format!("{what} {name:?}: write 1 to {NAME_BYTES_MAX} printable ASCII characters")
            } else if !seen.insert(name) {
                format!("{what} {name:?} is there twice: rename or remove one")
            } else {
                continue;
            };
            return Err(self.error(&table.span(), message));
        }
        Ok(())
    }

    fn protocol(&self, feed: &raw::Feed) -> Result<Protocol> {
        let name = feed.protocol.as_ref();
        let protocol = rule::protocols().find(|protocol| protocol.name() == name);
        protocol.ok_or_else(|| {
            let names: Vec<_> = rule::protocols().map(Protocol::name).collect();
            let message = format!(
                "feed {:?}: rules cannot read {name:?}: use one of {}",
                feed.name,
                names.join(", ")
            );
            self.error(&feed.protocol.span(), message)
        })
    }

    fn feed(&self, feed: raw::Feed, protocol: Protocol) -> Result<Feed> {
        let transport = feed.transport.as_ref().map_or(Transport::Udp, |of| *of.as_ref());
        let fixed = matches!(protocol, Protocol::Nanonet | Protocol::NanonetBig);
        if let Some(given) = &feed.transport
            && transport == Transport::Tcp
            && (!fixed || feed.listen.ip().is_multicast())
        {
            let message = format!(
                "feed {:?}: only nanonet and nanonet-big come over TCP, and to an address of ours: \
                 use transport = \"udp\"",
                feed.name
            );
            return Err(self.error(&given.span(), message));
        }
        if let Some(source) = &feed.source
            && source.as_ref().is_ipv4() != feed.listen.is_ipv4()
        {
            let message = format!(
                "feed {:?}: source and listen are of different IP versions: use two of one",
                feed.name
            );
            return Err(self.error(&source.span(), message));
        }
        Ok(Feed {
            name: feed.name,
            protocol,
            listen: feed.listen,
            transport,
            source: feed.source.map(Spanned::into_inner),
            interface: feed.interface,
            late_join: feed.late_join,
        })
    }

    fn instruments(
        &self,
        list: &[Spanned<raw::Instrument>],
        default: InstrumentSettings,
    ) -> Result<(Instruments, Vec<InstrumentSettings>)> {
        let (mut known, mut settings) = (Vec::new(), Vec::new());
        for raw in list.iter().map(Spanned::as_ref) {
            let text = raw.symbol.as_ref();
            let symbol = symbol(text).ok_or_else(|| {
                let message =
                    format!("instrument {text:?}: a symbol has 1 to 8 characters, no spaces");
                self.error(&raw.symbol.span(), message)
            })?;
            let raw::Instrument { quantity, notional, collar_percent, position, .. } = raw;
            let given = (quantity, notional, collar_percent, position);
            let tick = self.price("tick", &raw.tick)?;
            // Above 0: any other price is refused when it is read.
            let smallest = NonZeroU64::new(tick as u64).unwrap_or(NonZeroU64::MIN);
            let default = InstrumentSettings { symbol, tick: smallest, ..default };
            settings.push(limits::of_instrument(self, given, default)?);
            known.push(Instrument { symbol, tick });
        }
        // Texts differ, so symbols do.
        let known = Instruments::new(known);
        let known = known.map_err(|place| self.error(&list[place].span(), "there twice"))?;
        Ok((known, settings))
    }

    /// The place of what is referred to by its name.
    pub(super) fn find<'n>(
        &self,
        what: &str,
        name: &Spanned<String>,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> Result<usize> {
        let found = names.clone().position(|known| known == name.as_ref());
        found.ok_or_else(|| {
            let near = near(name.as_ref(), names, 1).pop();
            let cure = match near {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("add a [[{what}]] for it"),
            };
            let message = format!("there is no {what} {:?}; {cure}", name.as_ref());
            self.error(&name.span(), message)
        })
    }
}
