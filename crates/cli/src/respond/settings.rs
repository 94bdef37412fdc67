//! What is to be run: the configuration, checked before anything is opened, and what is made of it.

use super::args::RunArgs;
use super::audit::AuditSettings;
use super::dial::Dial;
use super::listen::StreamFeed;
use super::store::Store;
use super::targets::Target;
use super::user_tcp::{Home, homes};
use super::{args::ModeChoice, egress, panel::Fixed, xdp};
use crate::config_file;
use crate::exit::Failure;
use crate::feed::schema::read_dictionary;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use tickwire_capture::Mode;
use tickwire_control::respond::types::{FeedView, TargetView};
use tickwire_market::Protocol;
use tickwire_market::fix::dictionary::Dictionary;
use tickwire_respond::audit::Names;
use tickwire_respond::config::{CONFIG_BYTES_MAX, Config, Speaks, Stack, Transport};
use tickwire_respond::format::Encoder;
use tickwire_respond::session::fix::{FixSession, FixVersion};
use tickwire_respond::session::{PlainSession, Secret, SoupSession};
use tickwire_respond::xdp::Plan;
use tickwire_respond::{Markets, Rules, Session};

/// What waited for longer when a stall is over is not looked at, in milliseconds.
pub const STALL_AGE_MS_MAX: u64 = 5;
/// The longest password, in bytes.
const PASSWORD_BYTES_MAX: u64 = 1_000;

/// A configuration.
#[derive(Debug)]
pub struct Settings {
    /// What is answered, how, and within which limits.
    pub config: Config,
    /// Targets that are spoken with over frames.
    pub homes: Vec<Home>,
    /// The text of the file, which may have passwords.
    source: Secret,
    /// As it was written, for people; secrets are left out.
    pub text: Value,
    /// What rules are called, by number: those that were there before, too.
    pub rule_names: Vec<String>,
    /// What of it the kernel can do.
    pub plan: Plan,
    /// Whether it is to do that.
    pub in_kernel: bool,
}

impl Settings {
    /// Reads the file that `args` name.
    ///
    /// # Errors
    /// A file that cannot be read or means nothing, or not with these flags.
    pub fn read(args: &RunArgs) -> Result<Settings, Failure> {
        let Some(path) = &args.config else {
            return Err(Failure::usage(
                "say what is to be answered: --config FILE (docs/examples/nanonet.toml is one)",
            ));
        };
        let (mut config, source) = read(path)?;
        let mut text =
            toml::from_str(&source).map_err(|error| config_file::failed(path, &error))?;
        hide_secrets(&mut text);
        let rule_names = config.rules.iter().map(|rule| rule.name.clone()).collect();
        config.xdp.lease_ms = args.lease_ms.unwrap_or(config.xdp.lease_ms);
        let (plan, in_kernel) = (Plan::new(&config), args.mode == ModeChoice::Xdp);
        if in_kernel {
            xdp::require_rules(&config, &plan)?;
        } else if args.lease_ms.is_some() {
            return Err(Failure::usage("--lease-ms is for rules in the kernel: add --mode xdp"));
        }
        let homes = homes(&config, args)?;
        let source = Secret(source);
        Ok(Settings { config, homes, source, text, rule_names, plan, in_kernel })
    }

    /// The same file as it is now, to take the place of these settings while they are in force.
    /// `names` are those of all rules since the start, by number.
    ///
    /// # Errors
    /// As of [`read`](Self::read), and that something else than rules and limits differs.
    pub fn again(&self, args: &RunArgs, names: &mut Vec<String>) -> Result<Settings, Failure> {
        let mut new = Settings::read(args)?;
        Config::check_reload(&self.source.0, &new.source.0).map_err(Failure::failed)?;
        if new.homes != self.homes {
            return Err(Failure::failed(
                "orders of these rules would leave for a target with stack = \"user\" by another \
                 interface: restart tickwire",
            ));
        }
        new.config.number_rules(names).map_err(Failure::failed)?;
        new.rule_names.clone_from(names);
        // Programs in the kernel say the same numbers.
        new.plan = Plan::new(&new.config);
        Ok(new)
    }

    /// How many rules take part.
    pub fn rules(&self) -> usize {
        self.config.rules.iter().filter(|rule| rule.enabled).count()
    }

    /// `2 feeds, 3 rules (2 in the kernel, 1 in user space), 5 instruments, 1 target`.
    pub fn in_words(&self) -> String {
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        };
        let enabled = self.rules();
        let in_kernel = self.plan.kernel_rules();
        let kernel = match self.in_kernel {
            true => format!(" ({in_kernel} in the kernel, {} in user space)", enabled - in_kernel),
            false if in_kernel > 0 => format!(" ({in_kernel} could run in the kernel: --mode xdp)"),
            false => String::new(),
        };
        format!(
            "{}, {}{kernel}, {}, {}",
            count(self.config.feeds.len(), "feed"),
            count(enabled, "rule"),
            count(self.config.instruments.len(), "instrument"),
            count(self.config.targets.len(), "target"),
        )
    }

    /// What decides, and what it knows of the markets.
    pub fn strategy(&self) -> (Rules, Markets) {
        (Rules::new(&self.config), Markets::new(&self.config))
    }

    /// The targets, not connected yet.
    ///
    /// # Errors
    /// A password that cannot be read, a socket that cannot be opened.
    pub fn targets(&self, store: &Store) -> Result<Vec<Target>, Failure> {
        let targets = self.config.targets.iter().enumerate();
        targets.map(|(number, _)| self.target(number, store)).collect()
    }

    fn target(&self, number: usize, store: &Store) -> Result<Target, Failure> {
        let target = &self.config.targets[number];
        let failed = |error: &dyn std::fmt::Display| {
            Failure::failed(format_args!("target {}: {error}", target.name))
        };
        let mut session: Box<dyn Session> = match (&target.speaks, target.transport) {
            (Speaks::Orders(format), Transport::Udp) => {
                let encoder = Encoder::new(format, self.config.scale);
                return egress::udp(&target.name, target.address, encoder);
            }
            (Speaks::Orders(format), Transport::Tcp) => {
                Box::new(PlainSession::new(Encoder::new(format, self.config.scale)))
            }
            (Speaks::Soup(settings, ouch), _) => {
                let mut settings = settings.clone();
                if let Some(path) = &target.password_file {
                    settings.password = Secret(password(path)?);
                }
                let session = SoupSession::new(&settings, ouch, self.config.scale);
                let mut session = session.map_err(|error| failed(&error))?;
                session.keep_in(store.memory().target(number));
                Box::new(session)
            }
            (Speaks::Fix(settings), _) => {
                let mut settings = (**settings).clone();
                if let Some(path) = &target.password_file {
                    settings.password = Some(Secret(password(path)?));
                }
                if let Some(path) = &target.dictionary_file {
                    settings.dictionary = Some(dictionary(path, settings.version)?.into());
                }
                let words = Box::new(store.memory().target(number));
                let session = FixSession::new(settings, self.config.scale, words);
                Box::new(session.map_err(|error| failed(&error))?)
            }
        };
        session.resume(&store.memory().resumed(number as u16, &self.config.settings));
        let home = self.homes.iter().find(|home| usize::from(home.target) == number);
        Ok(match home {
            Some(home) => egress::user_tcp(target.address, &home.interface, session),
            None => egress::tcp(session),
        })
    }

    /// Feeds that senders connect to.
    ///
    /// # Errors
    /// A protocol whose messages have no fixed length.
    pub fn stream_feeds(&self, spin: bool) -> Result<Vec<StreamFeed>, Failure> {
        let feeds = self.config.feeds.iter().enumerate();
        let feeds = feeds.filter(|(_, feed)| feed.transport == Transport::Tcp);
        feeds
            .map(|(number, feed)| {
                let message_bytes = match feed.protocol {
                    Protocol::Nanonet | Protocol::NanonetBig => 24,
                    other => {
                        return Err(Failure::failed(format_args!(
                            "feed {}: messages of {other} have no fixed length, so that they \
                             cannot be told from each other in a stream; use transport = \"udp\"",
                            feed.name
                        )));
                    }
                };
                Ok(StreamFeed {
                    feed: number as u16,
                    name: feed.name.clone(),
                    listen: feed.listen,
                    source: feed.source,
                    message_bytes,
                    spin,
                })
            })
            .collect()
    }

    /// Targets that are connected to through the kernel.
    pub fn dials(&self, spin: bool) -> Vec<Dial> {
        let targets = self.config.targets.iter().enumerate();
        let targets = targets.filter(|(_, target)| {
            (target.transport, target.stack) == (Transport::Tcp, Stack::Kernel)
        });
        let dial = |(number, target): (usize, &tickwire_respond::config::Target)| Dial {
            target: number as u16,
            name: target.name.clone(),
            address: target.address,
            spin,
        };
        targets.map(dial).collect()
    }

    /// Where the log of decisions is written.
    pub fn audit(&self) -> Option<AuditSettings> {
        self.config.audit.as_ref().map(|audit| AuditSettings {
            path: audit.path.clone(),
            rotate_bytes: audit.rotate_bytes,
            stop_when_full: audit.stop_when_full,
        })
    }

    /// What is called how.
    pub fn names(&self) -> Names {
        let Config { feeds, targets, instruments, scale, .. } = &self.config;
        Names {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            decimals: scale.0,
            feeds: feeds.iter().map(|feed| feed.name.clone()).collect(),
            rules: self.rule_names.clone(),
            targets: targets.iter().map(|target| target.name.clone()).collect(),
            instruments: instruments.iter().map(|one| one.name().to_owned()).collect(),
            reasons: Names::reasons(),
        }
    }

    /// What does not change during a run in `mode`.
    pub fn fixed(&self, mode: Mode) -> Fixed {
        let feeds = self.config.feeds.iter().map(|feed| FeedView {
            name: feed.name.clone(),
            protocol: feed.protocol.to_string(),
            listen: feed.listen.to_string(),
            transport: in_words(feed.transport),
            multicast: feed.listen.ip().is_multicast(),
            stale: false,
            messages: 0,
            malformed: 0,
            missing: 0,
            lost: 0,
            abandoned: 0,
        });
        let format = |number: usize| self.text["target"][number]["format"].as_str();
        let targets = self.config.targets.iter().enumerate().map(|(number, target)| TargetView {
            name: target.name.clone(),
            format: format(number).unwrap_or_default().to_owned(),
            transport: in_words(target.transport),
            address: target.address.to_string(),
            way: String::new(),
            ready: false,
            sent: 0,
            unsent: BTreeMap::new(),
        });
        let (feeds, targets) = (feeds.collect(), targets.collect());
        Fixed { feeds, targets, mode }
    }
}

fn in_words(transport: Transport) -> String {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    }
    .to_owned()
}

/// Reads a configuration; what it says and how.
///
/// # Errors
/// A file that cannot be read or means nothing.
pub fn read(path: &Path) -> Result<(Config, String), Failure> {
    let text = config_file::read(path, CONFIG_BYTES_MAX as u64)?;
    let config = Config::parse(&text).map_err(|error| config_file::failed(path, &error))?;
    Ok((config, text))
}

/// Passwords are for nobody.
fn hide_secrets(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match key.as_str() {
                    "password" => *value = json!("***"),
                    _ => hide_secrets(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(hide_secrets),
        _ => {}
    }
}

/// The dictionary of a session, which must be of its version.
fn dictionary(path: &Path, version: FixVersion) -> Result<Dictionary, Failure> {
    let dictionary = read_dictionary(path)?;
    let (has, needed) = (dictionary.begin_string(), version.begin_string());
    if has != needed {
        return Err(Failure::failed(format_args!(
            "{} is the dictionary of {has}, and the session speaks {needed}: give that of {needed}",
            path.display()
        )));
    }
    Ok(dictionary)
}

/// The first line of a file.
fn password(path: &Path) -> Result<String, Failure> {
    let read = || {
        let mut line = String::new();
        BufReader::new(File::open(path)?).take(PASSWORD_BYTES_MAX).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    read().map_err(|error: std::io::Error| {
        Failure::failed(format_args!("cannot read the password in {}: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_dictionary_is_of_the_version_that_is_spoken() {
        let path = std::env::temp_dir().join(format!("tickwire-fix-{}.xml", std::process::id()));
        let text = "<fix type='FIX' major='4' minor='2'><header/><trailer/><messages/>\
            <components/><fields/></fix>";
        fs::write(&path, text).unwrap();
        let read = |version| dictionary(&path, version).map_err(|failure| format!("{failure:?}"));
        assert_eq!(read(FixVersion::Fix42).unwrap().begin_string(), "FIX.4.2");
        let error = read(FixVersion::Fix44).unwrap_err();
        assert!(error.contains("is the dictionary of FIX.4.2, and the session speaks"), "{error}");
        fs::remove_file(&path).unwrap();
        let error = read(FixVersion::Fix42).unwrap_err();
        assert!(error.contains("cannot read the dictionary"), "{error}");
    }

    #[test]
    fn passwords_are_shown_to_nobody() {
        let mut value = json!({ "target": [{ "login": { "password": "secret", "user": "x" } }] });
        hide_secrets(&mut value);
        assert_eq!(value, json!({ "target": [{ "login": { "password": "***", "user": "x" } }] }));
    }
}
