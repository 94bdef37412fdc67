//! `[[rule]]`: names become places, expressions programs.

use super::error::ConfigError;
use super::reader::{Reader, Result};
use super::{Feed, Target, raw};
use crate::instruments::{Instrument, Instruments, symbol};
use crate::level1::NUMBER_MAX;
use crate::rule::{self, Rule};
use tickwire_market::near;
use toml::Spanned;

/// What rules refer to by name.
pub(super) struct Known<'a> {
    pub feeds: &'a [Feed],
    pub targets: &'a [Target],
    pub instruments: &'a Instruments,
}

pub(super) fn read(
    reader: &Reader<'_>,
    list: Vec<Spanned<raw::Rule>>,
    known: &Known<'_>,
) -> Result<Vec<Rule>> {
    let rules = (0..).zip(list).map(|(number, raw)| rule(reader, number, raw.into_inner(), known));
    let rules = rules.collect::<Result<Vec<_>>>()?;
    rule::check_size(&rules, known.instruments.len()).map_err(ConfigError::whole)?;
    Ok(rules)
}

fn rule(reader: &Reader<'_>, number: u16, rule: raw::Rule, known: &Known<'_>) -> Result<Rule> {
    let feed = reader.find("feed", &rule.feed, known.feeds.iter().map(|feed| &feed.name[..]))?;
    let targets = known.targets.iter().map(|target| &target.name[..]);
    let target = reader.find("target", &rule.order.target, targets)?;
    let chosen = rule.instruments.as_ref().map(|list| chosen(reader, list, known.instruments));
    let instruments = chosen.transpose()?;
    let (when, order) = (&rule.when, &rule.order);
    let (quantity, price) = (&order.quantity.as_ref().0, &order.price.as_ref().0);
    let source = rule::Source {
        protocol: known.feeds[feed].protocol,
        scale: reader.scale,
        ticks: ticks(known.instruments, instruments.as_deref()),
        texts: [when.as_ref(), order.side.as_ref(), quantity, price],
    };
    let programs = rule::compile(&source).map_err(|error| {
        let spans = [when.span(), order.side.span(), order.quantity.span(), order.price.span()];
        let place = error.part as usize;
        let shown = error.render(source.texts[place]);
        let message = format!("rule {:?}: {}: {shown}", rule.name, error.part);
        reader.error(&spans[place], message)
    })?;
    Ok(Rule {
        texts: source.texts.map(str::to_owned),
        name: rule.name,
        number,
        feed: feed as u16,
        target: target as u16,
        instruments,
        cool_down_ns: rule.cool_down_us.saturating_mul(1_000),
        enabled: rule.enabled,
        programs,
    })
}

/// The instruments of a rule, in order.
fn chosen(
    reader: &Reader<'_>,
    list: &[Spanned<String>],
    instruments: &Instruments,
) -> Result<Vec<u32>> {
    let find = |name: &Spanned<String>| {
        let number = symbol(name.as_ref()).and_then(|symbol| instruments.find(symbol));
        number.ok_or_else(|| {
            let near = near(name.as_ref(), instruments.iter().map(Instrument::name), 1).pop();
            let cure = match near {
                Some(near) => format!("did you mean {near:?}?"),
                None => "add an [[instrument]] for it".to_owned(),
            };
            let message = format!("there is no instrument {:?}; {cure}", name.as_ref());
            reader.error(&name.span(), message)
        })
    };
    let mut chosen = list.iter().map(find).collect::<Result<Vec<_>>>()?;
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// The smallest and the greatest tick size of the instruments of a rule.
fn ticks(instruments: &Instruments, chosen: Option<&[u32]>) -> (i64, i64) {
    let is_chosen = |number: u32| chosen.is_none_or(|all| all.binary_search(&number).is_ok());
    let of_rule = (0..).zip(instruments.iter()).filter(|(number, _)| is_chosen(*number));
    of_rule.fold((NUMBER_MAX, 1), |(low, high), (_, instrument)| {
        (low.min(instrument.tick), high.max(instrument.tick))
    })
}
