//! What is to be run: flags and the configuration file put together and checked, before anything
//! is opened.

use super::args::{AGE_MS, GAP_HOLD_US, LEGACY_LEASE_S, ModeChoice, ReplicateArgs};
use super::spec::{RecoverSpec, parse_recover};
use crate::config_file;
use crate::exit::Failure;
use crate::recovery::check;
use serde::Deserialize;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tickwire_control::Cidr;
use tickwire_market::Protocol;
use tickwire_market::recognise::{Binding, bound};
use tickwire_replicate::{Feed, Subscriber};

/// The longest configuration file that is read, in bytes: 256 feeds of 1 024 subscribers fit.
const CONFIG_BYTES_MAX: u64 = 64 << 20;
/// How long a frame may have waited when a stall is over, unless said otherwise, in milliseconds.
pub const AGE_MS_DEFAULT: u32 = 5;
/// How long what one merged line passed over may come on another, unless said otherwise, in
/// microseconds.
const GAP_HOLD_US_DEFAULT: u32 = 1_000;

/// The configuration file: each key is also a flag of the same name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    interface: Option<String>,
    mode: Option<ModeChoice>,
    queues: Option<Vec<u32>>,
    cores: Option<Vec<usize>>,
    spin: Option<bool>,
    age_ms_max: Option<u32>,
    state: Option<PathBuf>,
    control: Option<PathBuf>,
    control_tcp: Option<SocketAddr>,
    token_file: Option<PathBuf>,
    legacy_control: Option<SocketAddr>,
    legacy_allow: Option<Vec<Cidr>>,
    legacy_lease_s: Option<u32>,
    arbitrate: Option<Vec<String>>,
    protocol: Option<String>,
    bind: Option<Vec<String>>,
    recover: Option<Vec<String>>,
    gap_hold_us: Option<u32>,
    #[serde(default)]
    feed: Vec<FeedTable>,
}

/// `[[feed]]`, with its `[[feed.subscriber]]`.
#[derive(Clone, Debug, Deserialize)]
struct FeedTable {
    #[serde(default)]
    subscriber: Vec<Subscriber>,
    #[serde(flatten)]
    feed: toml::Table,
}

/// What is to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How copies are made.
    pub mode: ModeChoice,
    /// The feeds, each with its interface, and who subscribes from the start.
    pub feeds: Vec<(Feed, Vec<Subscriber>)>,
    /// Names of feeds that are lines of one, and are merged.
    pub arbitrate: Vec<Vec<String>>,
    /// What merged feeds carry, unless they show it.
    pub protocol: Option<Protocol>,
    /// What is sent where, for filters and merged feeds.
    pub bind: Vec<Binding>,
    /// What is asked for when no line brings it.
    pub recover: Vec<Recover>,
    /// How long what one merged line passed over may come on another.
    pub gap_hold: Duration,
    /// Cores for the workers, in order.
    pub cores: Vec<usize>,
    /// Whether workers never sleep.
    pub spin: bool,
    /// What waited longer when a stall is over is not sent, in milliseconds.
    pub age_ms_max: u32,
    /// Where subscribers are kept.
    pub state: Option<PathBuf>,
    /// The control socket.
    pub control: Option<PathBuf>,
    /// The same on TCP, with its token.
    pub control_tcp: Option<(SocketAddr, PathBuf)>,
    /// The older control protocol.
    pub legacy: Option<Legacy>,
}

/// A merged feed, and whom to ask for what its lines do not bring.
#[derive(Clone, Debug, PartialEq)]
pub struct Recover {
    /// Its first line.
    pub feed: Feed,
    /// Re-request servers, of one IP version, which is that of the feed.
    pub servers: Vec<SocketAddr>,
}

/// The older control protocol: where, for whom, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Legacy {
    /// Where it is spoken.
    pub address: SocketAddr,
    /// Sources that are answered; loopback when it is empty.
    pub allow: Vec<Cidr>,
    /// The lease of those whom it adds, in seconds.
    pub lease_s: Option<u32>,
}

impl Settings {
    /// Puts flags and file together; flags go first.
    ///
    /// # Errors
    /// A file that cannot be read or means nothing, and what does not go together.
    pub fn read(args: &ReplicateArgs) -> Result<Settings, Failure> {
        let file = match &args.config {
            Some(path) => read_file(path)?,
            None => ConfigFile::default(),
        };
        Settings::merge(args, file)
    }

    /// What these lines of one feed carry, if it is said.
    pub fn protocol_of(&self, lines: &[String]) -> Option<Protocol> {
        let feeds = self.feeds.iter().map(|(feed, _)| feed);
        let of_lines = feeds.filter(|feed| lines.contains(&feed.name));
        let mut bound = of_lines.filter_map(|feed| bound(&self.bind, feed.listen));
        bound.find(|protocol| !protocol.is_only_over_tcp()).or(self.protocol)
    }

    fn merge(args: &ReplicateArgs, file: ConfigFile) -> Result<Settings, Failure> {
        in_range("gap_hold_us", file.gap_hold_us, &GAP_HOLD_US)?;
        in_range("age_ms_max", file.age_ms_max, &AGE_MS)?;
        in_range("legacy_lease_s", file.legacy_lease_s, &LEGACY_LEASE_S)?;
        let feeds = feeds(args, &file)?;
        let token_file = args.token_file.clone().or(file.token_file);
        let control_tcp = match (args.control_tcp.or(file.control_tcp), token_file) {
            (Some(address), Some(token)) => Some((address, token)),
            (None, None) => None,
            (Some(address), None) => {
                return Err(Failure::Usage(format!(
                    "whoever reaches {address} could change the feeds: --control-tcp needs \
                     --token-file with a secret of 16 characters or more"
                )));
            }
            (None, Some(_)) => {
                return Err(Failure::usage(
                    "--token-file belongs to --control-tcp, which is missing",
                ));
            }
        };
        let (arbitrate, protocol) = arbitrate(args, file.arbitrate, file.protocol)?;
        let bind = bind(args, file.bind)?;
        let recover = recover(args, file.recover, &feeds, &arbitrate)?;
        let gap_hold_us = args.gap_hold_us.or(file.gap_hold_us);
        if gap_hold_us.is_some() && arbitrate.is_empty() {
            return Err(Failure::usage("--gap-hold-us belongs to --arbitrate, which is missing"));
        }
        let gap_hold_us = gap_hold_us.unwrap_or(GAP_HOLD_US_DEFAULT);
        let cores = args.cores.as_ref().map(|list| list.0.clone()).or(file.cores);
        Ok(Settings {
            mode: args.mode.or(file.mode).unwrap_or_default(),
            feeds,
            arbitrate,
            protocol,
            bind,
            recover,
            gap_hold: Duration::from_micros(gap_hold_us.into()),
            cores: cores.unwrap_or_default(),
            spin: args.spin || file.spin.unwrap_or(false),
            age_ms_max: args.age_ms_max.or(file.age_ms_max).unwrap_or(AGE_MS_DEFAULT),
            state: args.state.clone().or(file.state),
            control: args.control.clone().or(file.control),
            control_tcp,
            legacy: legacy(args, file.legacy_control, file.legacy_allow, file.legacy_lease_s)?,
        })
    }
}

/// Holds a number of the file to the range that its flag has.
fn in_range(key: &str, value: Option<u32>, range: &RangeInclusive<i64>) -> Result<(), Failure> {
    match value {
        Some(value) if !range.contains(&value.into()) => Err(Failure::failed(format_args!(
            "{key} = {value} is out of range; use {} to {}",
            range.start(),
            range.end()
        ))),
        _ => Ok(()),
    }
}

/// What is sent where.
fn bind(args: &ReplicateArgs, texts: Option<Vec<String>>) -> Result<Vec<Binding>, Failure> {
    if !args.bind.is_empty() {
        return Ok(args.bind.clone());
    }
    let bindings = texts.iter().flatten().map(|text| text.parse());
    bindings
        .collect::<Result<_, String>>()
        .map_err(|error| Failure::failed(format!("bind: {error}")))
}

/// Which feeds are merged, and what they carry.
fn arbitrate(
    args: &ReplicateArgs,
    lists: Option<Vec<String>>,
    protocol: Option<String>,
) -> Result<(Vec<Vec<String>>, Option<Protocol>), Failure> {
    let given = (!args.arbitrate.is_empty()).then(|| args.arbitrate.clone());
    let lists = given.or(lists).unwrap_or_default();
    let parsed = protocol.map(|name| name.parse()).transpose().map_err(Failure::failed)?;
    let protocol = args.protocol.or(parsed);
    if protocol.is_some() && lists.is_empty() {
        return Err(Failure::usage("--protocol belongs to --arbitrate, which is missing"));
    }
    let names = |list: &String| list.split(',').map(|name| name.trim().to_owned()).collect();
    Ok((lists.iter().map(names).collect(), protocol))
}

/// Whom to ask for what each merged feed lacks; who names a feed goes before who names none.
fn recover(
    args: &ReplicateArgs,
    list: Option<Vec<String>>,
    feeds: &[(Feed, Vec<Subscriber>)],
    arbitrate: &[Vec<String>],
) -> Result<Vec<Recover>, Failure> {
    let wrong = |text: &str| Failure::Usage(format!("--recover: {text}"));
    let specs: Vec<RecoverSpec> = match list {
        Some(list) if args.recover.is_empty() => {
            let specs = list.iter().map(|text| parse_recover(text));
            specs.collect::<Result<_, _>>().map_err(|error| wrong(&error))?
        }
        _ => args.recover.clone(),
    };
    let heads: Vec<&String> = arbitrate.iter().filter_map(|lines| lines.first()).collect();
    if heads.is_empty() && !specs.is_empty() {
        return Err(Failure::usage("--recover belongs to --arbitrate, which is missing"));
    }
    for name in specs.iter().filter_map(|spec| spec.feed.as_ref()) {
        if !heads.contains(&name) {
            let heads: Vec<&str> = heads.iter().map(|head| head.as_str()).collect();
            let heads = heads.join(", ");
            return Err(wrong(&format!("no merged feed begins with '{name}', but {heads}")));
        }
    }
    let mut all = Vec::new();
    // Lines that there are not are told of when they are merged.
    for (feed, _) in feeds.iter().filter(|(feed, _)| heads.contains(&&feed.name)) {
        let of = |name: Option<&str>| -> Vec<SocketAddr> {
            let of = specs.iter().filter(|spec| spec.feed.as_deref() == name);
            of.flat_map(|spec| spec.servers.iter().copied()).collect()
        };
        let own = of(Some(&feed.name));
        let servers = if own.is_empty() { of(None) } else { own };
        if servers.is_empty() {
            continue;
        }
        check(&servers)?;
        if servers[0].is_ipv4() != feed.listen.is_ipv4() {
            let (name, listen) = (&feed.name, feed.listen);
            return Err(wrong(&format!(
                "servers have the IP version of the feed: {name} {listen}"
            )));
        }
        all.push(Recover { feed: feed.clone(), servers });
    }
    Ok(all)
}

fn legacy(
    args: &ReplicateArgs,
    address: Option<SocketAddr>,
    allow: Option<Vec<Cidr>>,
    lease_s: Option<u32>,
) -> Result<Option<Legacy>, Failure> {
    let given = (!args.legacy_allow.is_empty()).then(|| args.legacy_allow.clone());
    let (allow, lease_s) = (given.or(allow), args.legacy_lease_s.or(lease_s));
    match args.legacy_control.or(address) {
        Some(address) => Ok(Some(Legacy { address, allow: allow.unwrap_or_default(), lease_s })),
        None if allow.is_some() || lease_s.is_some() => Err(Failure::usage(
            "--legacy-allow and --legacy-lease-s belong to --legacy-control, which is missing",
        )),
        None => Ok(None),
    }
}

fn read_file(path: &Path) -> Result<ConfigFile, Failure> {
    let text = config_file::read(path, CONFIG_BYTES_MAX)?;
    toml::from_str(&text).map_err(|error| config_file::failed(path, &error.to_string().trim_end()))
}

/// The feeds of file and flags with their subscribers, each on its interface.
fn feeds(args: &ReplicateArgs, file: &ConfigFile) -> Result<Vec<(Feed, Vec<Subscriber>)>, Failure> {
    let mut feeds = Vec::new();
    for (table, number) in file.feed.iter().zip(1..) {
        let feed: Feed = (table.feed.clone()).try_into().map_err(|error: toml::de::Error| {
            let error = error.to_string().replace('\n', " ");
            Failure::failed(format_args!("[[feed]] number {number} is wrong: {}", error.trim()))
        })?;
        feeds.push((feed, table.subscriber.clone()));
    }
    feeds.extend(args.listen.iter().map(|spec| (spec.0.clone(), Vec::new())));
    if feeds.is_empty() {
        return Err(Failure::usage(
            "there is nothing to replicate; name a feed: --listen 239.1.1.1:5000, or [[feed]] in \
             the file of --config",
        ));
    }
    let interface = args.interface.as_ref().or(file.interface.as_ref());
    let queues = args.queues.as_ref().map(|queues| queues.list()).or(file.queues.clone());
    for (feed, _) in &mut feeds {
        feed.interface = feed.interface.take().or(interface.cloned());
        if feed.queues.is_empty() {
            feed.queues = queues.clone().unwrap_or_default();
        }
        feed.check().map_err(|error| Failure::Usage(format!("feed {}: {error}", feed.name)))?;
    }
    let names: HashMap<String, usize> =
        feeds.iter().enumerate().map(|(at, (feed, _))| (feed.name.clone(), at)).collect();
    for spec in &args.subscriber {
        let at = match &spec.feed {
            None => 0,
            Some(name) => *names.get(name).ok_or_else(|| unknown_feed(name, &feeds))?,
        };
        feeds[at].1.push(spec.subscriber.clone());
    }
    Ok(feeds)
}

fn unknown_feed(name: &str, feeds: &[(Feed, Vec<Subscriber>)]) -> Failure {
    let known: Vec<&str> = feeds.iter().map(|(feed, _)| feed.name.as_str()).collect();
    Failure::Usage(format!("there is no feed '{name}'; there are: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn args(line: &[&str]) -> ReplicateArgs {
        let line = ["tickwire", "replicate"].into_iter().chain(line.iter().copied());
        match Cli::try_parse_from(line).expect("a good command line").command {
            Command::Replicate(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn merge(line: &[&str], file: &str) -> Result<Settings, Failure> {
        Settings::merge(&args(line), toml::from_str(file).expect("a good file"))
    }

    const FILE: &str = r#"
        interface = "eth1"
        mode = "af_xdp"
        queues = [0, 1]
        age_ms_max = 7
        control = "/run/tickwire.sock"
        legacy_control = "127.0.0.1:12345"
        [[feed]]
        name = "itch"
        listen = "233.54.12.111:26477"
        source = "10.1.2.3"
        [[feed.subscriber]]
        address = "10.0.0.11:26477"
        ttl = 8
        [[feed]]
        name = "depth"
        listen = "10.0.0.1:5000"
        interface = "eth2"
    "#;

    #[test]
    fn the_file_alone() {
        let settings = merge(&[], FILE).unwrap();
        assert_eq!((settings.mode, settings.age_ms_max), (ModeChoice::AfXdp, 7));
        let (itch, subscribers) = &settings.feeds[0];
        assert_eq!((itch.interface.as_deref(), &itch.queues[..]), (Some("eth1"), &[0, 1][..]));
        assert_eq!(subscribers[0].ttl, 8);
        assert_eq!(settings.feeds[1].0.interface.as_deref(), Some("eth2"));
        assert_eq!(settings.legacy.unwrap().allow, []);
    }

    #[test]
    fn the_file_that_the_help_shows_is_a_good_one() {
        let (_, file) = super::super::args::EXAMPLES.split_once("subscribers:\n").expect("a file");
        let (file, _) = file.split_once("\n\n").expect("its end");
        let settings = merge(&[], file).unwrap();
        let (itch, subscribers) = &settings.feeds[0];
        assert_eq!((itch.name.as_str(), itch.interface.as_deref()), ("itch", Some("eth1")));
        assert_eq!((subscribers[0].ttl, subscribers[0].lease_s), (8, Some(60)));
    }

    #[test]
    fn flags_go_first() {
        let line = ["-i", "eth9", "--mode", "udp", "--listen", "239.1.1.1:1", "--subscriber"];
        let line = [&line[..], &["depth=10.0.0.9:2", "--legacy-allow", "10.0.0.0/8"]].concat();
        let settings = merge(&line, FILE).unwrap();
        assert_eq!(settings.mode, ModeChoice::Udp);
        assert_eq!(settings.feeds[0].0.interface.as_deref(), Some("eth9"));
        assert_eq!(settings.feeds[1].1[0].address.port(), 2);
        assert_eq!(settings.feeds[2].0.name, "239.1.1.1-1");
        assert_eq!(settings.legacy.unwrap().allow, ["10.0.0.0/8".parse().unwrap()]);
    }

    #[test]
    fn bindings_come_from_flags_or_the_file() {
        let file = format!("bind = ['26477=itch50', '239.1.1.1:9=mdp3']\n{FILE}");
        let texts =
            |settings: Settings| settings.bind.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(merge(&[], &file).unwrap()), ["26477=itch50", "239.1.1.1:9=mdp3"]);
        let settings =
            merge(&[], &format!("protocol = 'tops'\narbitrate = ['itch,depth']\n{file}"));
        let settings = settings.unwrap();
        let of = |name: &str| settings.protocol_of(&[name.to_owned()]);
        assert_eq!((of("itch"), of("depth")), (Some(Protocol::Itch50), Some(Protocol::Tops)));
        assert_eq!(texts(merge(&["--bind", "9=deep"], &file).unwrap()), ["9=deep"]);
        let error = merge(&["--listen", "10.0.0.1:1"], "bind = ['9=morse']").unwrap_err();
        let Failure::Failed(message) = error else { panic!("{error:?}") };
        assert!(message.starts_with("bind: there is no protocol \"morse\""), "{message}");
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let feed = ["--listen", "239.1.1.1:1"];
        for (line, part) in [
            (&[][..], "nothing to replicate"),
            (&["--control-tcp", "127.0.0.1:80"], "--token-file"),
            (&["--token-file", "/t"], "--control-tcp, which is missing"),
            (&["--legacy-lease-s", "5"], "--legacy-control, which is missing"),
            (&["--subscriber", "nope=10.0.0.1:5"], "no feed 'nope'; there are: 239.1.1.1-1"),
            (&["--queues", "2"], "give the interface too"),
        ] {
            let line = match line {
                [] => Vec::new(),
                line => [&feed[..], line].concat(),
            };
            match merge(&line, "") {
                Err(Failure::Usage(message)) => assert!(message.contains(part), "{message}"),
                other => panic!("{line:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_wrong_file_is_pointed_at() {
        let error = toml::from_str::<ConfigFile>("mode = 'warp'").unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("warp"), "{error}");
        let error = toml::from_str::<ConfigFile>("\nmoed = 'udp'").unwrap_err().to_string();
        assert!(error.contains("moed") && error.contains("expected one of"), "{error}");
        let wrong = "[[feed]]\nname = 'a'\nlisten = '10.0.0.1:1'\nvaln = 3";
        let Err(Failure::Failed(message)) = merge(&[], wrong) else { panic!("accepted") };
        let expected = message.contains("number 1") && message.contains("valn");
        assert!(expected && !message.contains('\n'), "{message}");
        for wrong in ["age_ms_max = 0", "age_ms_max = 60001", "legacy_lease_s = 0"] {
            let Err(Failure::Failed(message)) = merge(&["--listen", "10.0.0.1:1"], wrong) else {
                panic!("accepted: {wrong}")
            };
            assert!(message.contains(wrong) && message.contains("use 1 to"), "{message}");
        }
    }
}
