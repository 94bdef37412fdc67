//! Feeds and subscribers as people write them on a command line.

use std::net::SocketAddr;
use tickwire_replicate::{Feed, SourceAddress, Subscriber, UdpChecksum, parse_address};

/// A feed, and whether it was given a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSpec(pub Feed);

/// A subscriber, and the feed that it names, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberSpec {
    /// The name of the feed; the first one without.
    pub feed: Option<String>,
    /// What it asks for.
    pub subscriber: Subscriber,
}

/// Who is asked for what a merged feed lacks, and which feed, if one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverSpec {
    /// The name of its first line; every merged feed without.
    pub feed: Option<String>,
    /// Whom to ask.
    pub servers: Vec<SocketAddr>,
}

/// `[FEED=]ADDR:PORT[,ADDR:PORT…]`.
pub fn parse_recover(text: &str) -> Result<RecoverSpec, String> {
    let (feed, servers) = match text.split_once('=') {
        Some((feed, servers)) => (Some(feed.to_owned()), servers),
        None => (None, text),
    };
    let servers = servers.split(',').map(|server| parse_address(server.trim()));
    Ok(RecoverSpec { feed, servers: servers.collect::<Result<_, _>>()? })
}

/// `ADDR:PORT[,key=value…]`. Without a name, a feed is called by its address.
pub fn parse_feed(text: &str) -> Result<FeedSpec, String> {
    let (address, settings) = split(text)?;
    let listen = parse_address(address)?;
    let mut feed = Feed::new(name_of(address), listen);
    for (key, value) in settings {
        match key {
            "name" => feed.name = value.into(),
            "source" => feed.source = Some(number(key, value, "an IP address")?),
            "interface" => feed.interface = Some(value.into()),
            "queues" => {
                let queues = value.split('+').map(|queue| number(key, queue, "as in 0+1+4"));
                feed.queues = queues.collect::<Result<_, _>>()?;
            }
            "vlan" => feed.vlan = Some(number(key, value, "1 to 4094")?),
            "filter" => feed.filter = Some(value.into()),
            _ => return Err(unknown(key, "name, source, interface, queues, vlan, filter")),
        }
    }
    // Queues belong to an interface, which -i may give: that is checked when all is known.
    Feed { queues: Vec::new(), ..feed.clone() }.check()?;
    Ok(FeedSpec(feed))
}

/// `[FEED=]ADDR:PORT[,key=value…]`. The keys are those of the file and of the API; `lease` and
/// `checksum` are older names of two.
pub fn parse_subscriber(text: &str) -> Result<SubscriberSpec, String> {
    let (head, settings) = split(text)?;
    let (feed, address) = match head.split_once('=') {
        Some((feed, address)) => (Some(feed.to_owned()), address),
        None => (None, head),
    };
    let mut subscriber = Subscriber::new(parse_address(address)?);
    for (key, value) in settings {
        match key {
            "name" => subscriber.name = Some(value.into()),
            "ttl" => subscriber.ttl = number(key, value, "1 to 255")?,
            "dscp" => subscriber.dscp = number(key, value, "0 to 63")?,
            "lease_s" => subscriber.lease_s = Some(number(key, value, "whole seconds")?),
            "interface" => subscriber.interface = Some(value.into()),
            "filter" => subscriber.filter = Some(value.into()),
            "source" => subscriber.source = source(value)?,
            "udp_checksum" => subscriber.udp_checksum = checksum(value)?,
            _ => {
                let known = "name, ttl, dscp, lease_s, source, udp_checksum, interface, filter";
                return Err(unknown(key, known));
            }
        }
    }
    subscriber.check()?;
    Ok(SubscriberSpec { feed, subscriber })
}

fn source(value: &str) -> Result<SourceAddress, String> {
    match value {
        "interface" => Ok(SourceAddress::Interface),
        "keep" => Ok(SourceAddress::Keep),
        _ => Err(format!("source '{value}' is none of interface, keep")),
    }
}

fn checksum(value: &str) -> Result<UdpChecksum, String> {
    match value {
        "update" => Ok(UdpChecksum::Update),
        "compute" => Ok(UdpChecksum::Compute),
        "zero" => Ok(UdpChecksum::Zero),
        "zero_over_ipv6" => Ok(UdpChecksum::ZeroOverIpv6),
        _ => {
            Err(format!("udp_checksum '{value}' is none of update, compute, zero, zero_over_ipv6"))
        }
    }
}

/// Settings as they were written: key and value.
type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// The part before the first comma, and the settings behind it; a filter takes all that follows.
fn split(text: &str) -> Result<(&str, Pairs<'_>), String> {
    let (head, mut rest) = text.split_once(',').unwrap_or((text, ""));
    let mut settings = Vec::new();
    while !rest.is_empty() {
        let (key, value) = rest
            .split_once('=')
            .ok_or_else(|| format!("'{rest}' is no setting; write key=value, as in name=risk"))?;
        let key = match key {
            "lease" => "lease_s",
            "checksum" => "udp_checksum",
            key => key,
        };
        let (value, after) = match key {
            "filter" => (value, ""),
            _ => value.split_once(',').unwrap_or((value, "")),
        };
        if settings.iter().any(|&(known, _)| known == key) {
            return Err(format!("'{key}' is given twice"));
        }
        settings.push((key, value));
        rest = after;
    }
    Ok((head, settings))
}

/// A name made of an address: names have no colons and brackets.
fn name_of(address: &str) -> String {
    let plain = address.replace(['[', ']'], "");
    plain.replace(':', "-")
}

fn number<T: std::str::FromStr>(key: &str, value: &str, wanted: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("'{value}' is no {key}; write {wanted}"))
}

fn unknown(key: &str, known: &str) -> String {
    format!("there is no setting '{key}'; there are: {known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_read() {
        let feed = parse_feed("239.1.1.1:5000").unwrap().0;
        assert_eq!((feed.name.as_str(), feed.listen.port()), ("239.1.1.1-5000", 5000));
        let text = "[ff3e::1]:7,name=a,source=fe80::1,vlan=5,queues=0+2,interface=eth1,\
                    filter=udp[8:4] = 1, or 2";
        let feed = parse_feed(text).unwrap().0;
        assert_eq!((feed.vlan, feed.queues.as_slice()), (Some(5), &[0, 2][..]));
        assert_eq!(feed.filter.as_deref(), Some("udp[8:4] = 1, or 2"));
    }

    #[test]
    fn a_subscriber_is_read() {
        let spec =
            parse_subscriber("itch=10.0.0.2:9,name=risk,ttl=3,dscp=46,lease_s=60,source=keep")
                .unwrap();
        assert_eq!(spec.feed.as_deref(), Some("itch"));
        let expected = Subscriber {
            name: Some("risk".into()),
            ttl: 3,
            dscp: 46,
            lease_s: Some(60),
            source: SourceAddress::Keep,
            ..Subscriber::new("10.0.0.2:9".parse().unwrap())
        };
        assert_eq!(spec.subscriber, expected);
        for text in ["10.0.0.2:9,udp_checksum=zero,lease_s=5", "10.0.0.2:9,checksum=zero,lease=5"] {
            let SubscriberSpec { feed, subscriber } = parse_subscriber(text).unwrap();
            let settings = (subscriber.udp_checksum, subscriber.lease_s);
            assert_eq!((feed, settings), (None, (UdpChecksum::Zero, Some(5))));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("10.0.0.2", "has no port"),
            ("10.0.0.2:9,ttl", "is no setting"),
            ("10.0.0.2:9,ttl=300", "'300' is no ttl; write 1 to 255"),
            ("10.0.0.2:9,ttl=1,ttl=2", "given twice"),
            ("10.0.0.2:9,lease=1,lease_s=2", "'lease_s' is given twice"),
            ("10.0.0.2:9,tll=1", "there is no setting 'tll'; there are: name, ttl"),
            ("10.0.0.2:9,source=me", "none of interface, keep"),
            ("10.0.0.2:9,dscp=64", "use 0 to 63"),
        ] {
            let error = parse_subscriber(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(parse_feed("239.1.1.1:5000,vlan=4095").unwrap_err().contains("use 1 to 4094"));
        assert!(parse_feed("239.1.1.1:5000,queues=0-2").unwrap_err().contains("as in 0+1+4"));
    }
}
