//! What may differ between a configuration and the one that takes its place while a run goes on:
//! rules and limits. Places of feeds, targets and instruments stay what they are.

use super::Config;
use crate::rule::Rule;
use crate::settings::{RULES_MAX, RuleSettings};
use std::collections::{BTreeSet, HashMap};
use toml::{Table, Value};

/// Keys of the file that are rules and limits.
const CHANGEABLE: [&str; 2] = ["rule", "limits"];
/// Keys of a feed that are limits.
const OF_FEEDS: [&str; 1] = ["age_ms"];
/// Keys of an instrument that are limits.
const OF_INSTRUMENTS: [&str; 4] = ["quantity", "notional", "collar_percent", "position"];

/// Why a configuration cannot take the place of another one while a run goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedsRestart {
    /// Something else than rules and limits is another.
    #[error(
        "{0} is not what it was at the start; only rules, limits and hours can change while it \
         runs: undo that, or restart tickwire"
    )]
    Differs(String),
    /// Names of rules are kept for what was counted and written down.
    #[error(
        "there have been more than {RULES_MAX} names of rules since the start: use old names, or \
         restart tickwire"
    )]
    Names,
}

/// What is another in a configuration than in the one before it, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rules that were not there.
    pub added: Vec<String>,
    /// Rules that say something else.
    pub changed: Vec<String>,
    /// Rules that are not there any more.
    pub removed: Vec<String>,
    /// Whether rules that were there stand in another order, and so decide in another.
    pub reordered: bool,
    /// Whether what holds for all orders together is another.
    pub limits: bool,
    /// Instruments whose limits are others.
    pub instruments: Vec<String>,
    /// Feeds whose frames may be of another age.
    pub feeds: Vec<String>,
}

impl Changes {
    /// Between two configurations of the same feeds, targets and instruments.
    pub fn between(old: &Config, new: &Config) -> Changes {
        let names = |rules: &[Rule]| -> Vec<String> {
            rules.iter().map(|rule| rule.name.clone()).collect()
        };
        let known: HashMap<&str, &Rule> =
            old.rules.iter().map(|rule| (rule.name.as_str(), rule)).collect();
        let here: BTreeSet<&str> = new.rules.iter().map(|rule| rule.name.as_str()).collect();
        let (stay, removed): (Vec<_>, Vec<_>) =
            names(&old.rules).into_iter().partition(|name| here.contains(name.as_str()));
        let (stayed, added): (Vec<_>, Vec<_>) =
            names(&new.rules).into_iter().partition(|name| known.contains_key(name.as_str()));
        let changed = new.rules.iter().filter(|rule| {
            known.get(rule.name.as_str()).is_some_and(|before| !is_same(before, rule))
        });
        let (before, after) = (&old.settings, &new.settings);
        let instruments =
            before.instruments.iter().zip(&after.instruments).zip(new.instruments.iter());
        let instruments = instruments.filter(|((before, after), _)| before != after);
        let feeds = before.feeds.iter().zip(&after.feeds).filter(|(before, after)| before != after);
        Changes {
            changed: changed.map(|rule| rule.name.clone()).collect(),
            reordered: stay != stayed,
            limits: before.limits != after.limits,
            instruments: instruments.map(|(_, known)| known.name().to_owned()).collect(),
            feeds: feeds.map(|(_, feed)| feed.name.clone()).collect(),
            added,
            removed,
        }
    }
}

fn is_same(one: &Rule, other: &Rule) -> bool {
    let all = |rule: &Rule| (rule.feed, rule.target, rule.cool_down_ns, rule.enabled);
    all(one) == all(other) && one.texts == other.texts && one.instruments == other.instruments
}

impl Config {
    /// Whether the text of another configuration differs from that of the one in force by rules
    /// and limits only. Both texts are those of configurations that could be
    /// [read](Config::parse).
    ///
    /// # Errors
    /// [`NeedsRestart::Differs`] names what else does.
    pub fn check_reload(before: &str, after: &str) -> Result<(), NeedsRestart> {
        let [before, after] = [before, after].map(|text| fixed(text.parse().unwrap_or_default()));
        match difference(&before, &after) {
            Some(what) => Err(NeedsRestart::Differs(what)),
            None => Ok(()),
        }
    }

    /// Gives each rule the number that its name has had: its place in `names`, to which new ones
    /// are added. So what was counted and written down of a rule stays its own.
    ///
    /// # Errors
    /// [`NeedsRestart::Names`].
    pub fn number_rules(&mut self, names: &mut Vec<String>) -> Result<(), NeedsRestart> {
        let known: HashMap<&str, usize> =
            names.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
        let numbers: Vec<Option<usize>> =
            self.rules.iter().map(|rule| known.get(rule.name.as_str()).copied()).collect();
        let new = numbers.iter().filter(|number| number.is_none()).count();
        if names.len() + new > RULES_MAX {
            return Err(NeedsRestart::Names);
        }
        for (rule, number) in self.rules.iter_mut().zip(numbers) {
            let number = number.unwrap_or_else(|| {
                names.push(rule.name.clone());
                names.len() - 1
            });
            rule.number = number as u16;
        }
        self.settings.rules = vec![RuleSettings::default(); names.len()];
        for rule in &self.rules {
            let cool_down_ns = rule.cool_down_ns;
            self.settings.rules[usize::from(rule.number)] = RuleSettings { cool_down_ns };
        }
        Ok(())
    }
}

/// What of a file cannot change.
fn fixed(mut file: Table) -> Table {
    CHANGEABLE.iter().for_each(|key| drop(file.remove(*key)));
    for (list, keys) in [("feed", &OF_FEEDS[..]), ("instrument", &OF_INSTRUMENTS[..])] {
        let tables = file.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for table in tables.filter_map(Value::as_table_mut) {
            keys.iter().for_each(|key| drop(table.remove(*key)));
        }
    }
    file
}

/// The first key whose value is another, with the table that it is in.
fn difference(before: &Table, after: &Table) -> Option<String> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let key = keys.into_iter().find(|key| before.get(*key) != after.get(*key))?;
    Some(match (before.get(key), after.get(key)) {
        (Some(Value::Array(before)), Some(Value::Array(after)))
            if before.iter().chain(after).all(Value::is_table) =>
        {
            difference_of_lists(key, before, after)
        }
        (Some(Value::Table(_)), _) | (_, Some(Value::Table(_))) => format!("[{key}]"),
        _ => format!("`{key}`"),
    })
}

fn difference_of_lists(key: &str, before: &[Value], after: &[Value]) -> String {
    let name = |table: &Value| {
        let name = table.get("name").or(table.get("symbol")).and_then(Value::as_str);
        format!("[[{key}]] {:?}", name.unwrap_or_default())
    };
    let differing = (0..before.len().max(after.len())).find(|&at| before.get(at) != after.get(at));
    let at = differing.unwrap_or_default();
    match (before.get(at), after.get(at)) {
        (Some(one), Some(other)) if name(one) == name(other) => {
            let inner = one.as_table().zip(other.as_table());
            let inner = inner.and_then(|(one, other)| difference(one, other));
            format!("{} of {}", inner.unwrap_or_default(), name(one))
        }
        (Some(one), _) | (None, Some(one)) => name(one),
        (None, None) => format!("[[{key}]]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        state = "state"
        [[feed]]
        name = "ticks"
        protocol = "nanonet"
        listen = "239.1.1.1:8080"
        [[target]]
        name = "exchange"
        format = "ouch42"
        address = "10.0.0.1:9999"
        login = { username = "me", password = "secret" }
        [[instrument]]
        symbol = "AAPL"
        tick = "0.01"
        [[rule]]
        name = "low"
        feed = "ticks"
        when = 'price < 100.00'
        order = { target = "exchange", side = "buy", quantity = "100", price = "price" }
        cool_down_us = 5
        [[rule]]
        name = "high"
        feed = "ticks"
        when = 'price > 200.00'
        order = { target = "exchange", side = "sell", quantity = "100", price = "price" }
    "#;

    fn with(from: &str, to: &str) -> String {
        assert!(FILE.contains(from), "{from}");
        FILE.replacen(from, to, 1)
    }

    fn parse(text: &str) -> Config {
        Config::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn rules_limits_and_hours_may_differ() {
        for (from, to) in [
            ("100.00", "99.00"),
            ("cool_down_us = 5", "cool_down_us = 6"),
            ("tick = \"0.01\"", "tick = \"0.01\"\nposition = 7"),
            ("listen", "age_ms = 5\nlisten"),
            ("[[feed]]", "[limits]\norders_per_s = 9\nhours = \"09:30-16:00\"\n[[feed]]"),
        ] {
            let text = with(from, to);
            assert_eq!(Config::check_reload(FILE, &text), Ok(()), "{to}");
            assert_ne!(Changes::between(&parse(FILE), &parse(&text)), Changes::default(), "{to}");
        }
        assert_eq!(Changes::between(&parse(FILE), &parse(FILE)), Changes::default());
    }

    #[test]
    fn what_else_differs_is_named() {
        for (from, to, named) in [
            ("\"state\"", "\"other\"", "`state`"),
            ("[[feed]]", "audit = { path = \"log\" }\n[[feed]]", "[audit]"),
            ("[[feed]]", "[xdp]\nlease_ms = 20\n[[feed]]", "[xdp]"),
            (":8080", ":8081", "`listen` of [[feed]] \"ticks\""),
            (":9999", ":9998", "`address` of [[target]] \"exchange\""),
            ("secret", "secrets", "[login] of [[target]] \"exchange\""),
            ("\"0.01\"", "\"0.05\"", "`tick` of [[instrument]] \"AAPL\""),
            ("\"AAPL\"", "\"MSFT\"", "[[instrument]] \"AAPL\""),
            (
                "[[rule]]",
                "[[instrument]]\nsymbol = \"MSFT\"\ntick = \"1\"\n[[rule]]",
                "[[instrument]] \"MSFT\"",
            ),
        ] {
            let text = with(from, to);
            parse(&text);
            let error = Config::check_reload(FILE, &text).unwrap_err();
            assert_eq!(error, NeedsRestart::Differs(named.to_owned()), "{to}");
            assert!(error.to_string().contains("restart tickwire"), "{error}");
        }
    }

    #[test]
    fn what_changed_is_said_by_name() {
        let text = with("\"low\"", "\"lower\"").replace("200.00", "201.00");
        let changes = Changes::between(&parse(FILE), &parse(&text));
        let [added, changed, removed] = ["lower", "high", "low"].map(|name| vec![name.to_owned()]);
        assert_eq!(changes, Changes { added, changed, removed, ..Changes::default() });

        let swapped = with("\"low\"", "\"x\"").replace("\"high\"", "\"low\"");
        let swapped = swapped.replace("\"x\"", "\"high\"");
        assert!(Changes::between(&parse(FILE), &parse(&swapped)).reordered);
        let limited = with("tick = \"0.01\"", "tick = \"0.01\"\nposition = 7");
        assert_eq!(Changes::between(&parse(FILE), &parse(&limited)).instruments, ["AAPL"]);
    }

    #[test]
    fn a_rule_keeps_the_number_of_its_name() {
        let mut names = vec!["gone".to_owned(), "high".to_owned()];
        let mut config = parse(FILE);
        config.number_rules(&mut names).unwrap();
        assert_eq!(names, ["gone", "high", "low"]);
        assert_eq!(config.rules.iter().map(|rule| rule.number).collect::<Vec<_>>(), [2, 1]);
        let cool_downs: Vec<u64> =
            config.settings.rules.iter().map(|rule| rule.cool_down_ns).collect();
        assert_eq!(cool_downs, [0, 0, 5_000]);

        let mut names: Vec<String> = (0..RULES_MAX - 1).map(|at| at.to_string()).collect();
        assert_eq!(config.number_rules(&mut names), Err(NeedsRestart::Names));
        assert_eq!(names.len(), RULES_MAX - 1, "nothing has changed");
    }
}
