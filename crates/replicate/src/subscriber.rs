//! Who gets the copies, and how they are to look.

use crate::address::{canonical, text};
use crate::{Feed, rules};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The longest lease, in seconds: 30 days. Who wants longer wants none.
pub const LEASE_S_MAX: u32 = 30 * 24 * 3600;
/// The TTL or hop limit of a copy unless the subscriber says otherwise.
pub const TTL_DEFAULT: u8 = 64;
/// The highest differentiated services code point (RFC 2474: 6 bits).
const DSCP_MAX: u8 = 63;

/// Where a copy says it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceAddress {
    /// From us: the address of the interface that it leaves by, and the port of the feed.
    #[default]
    Interface,
    /// From the sender of the original: its address and its port. Networks that check source
    /// addresses drop such copies, and sockets cannot send them (mode `udp`).
    Keep,
}

/// The UDP checksum of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UdpChecksum {
    /// That of the original, updated for what changed in the headers (RFC 1624): an original that
    /// was damaged or had no checksum stays so, and is not blessed with a right one. One that its
    /// sender left to hardware is computed ([`Datagram::partial`](crate::Datagram::partial)).
    #[default]
    Update,
    /// Computed anew over the payload as it was received: damaged originals get a right one, too.
    Compute,
    /// None: the field is 0. IPv4 only (RFC 8200, 8.1).
    Zero,
    /// None, also over IPv6: for receivers that are made for it (RFC 6935).
    ZeroOverIpv6,
}

/// Who gets copies of a feed. The key in the table is `address`, port included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscriber {
    /// Where the copies go: a unicast address or a multicast group, and the port.
    #[serde(with = "text")]
    pub address: SocketAddr,
    /// For people and metrics: letters, digits, `.`, `_`, `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only datagrams that pass this filter expression, which sees the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Where the copies say they come from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub source: SourceAddress,
    /// TTL (IPv4) or hop limit (IPv6) of the copies.
    #[serde(default = "ttl_default", skip_serializing_if = "is_ttl_default")]
    pub ttl: u8,
    /// Differentiated services code point of the copies, 0 to 63; their ECN field is 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dscp: u8,
    /// The UDP checksum of the copies.
    #[serde(default, alias = "checksum", skip_serializing_if = "is_default")]
    pub udp_checksum: UdpChecksum,
    /// Seconds until it is removed unless renewed; never when absent.
    #[serde(default, alias = "lease", skip_serializing_if = "Option::is_none")]
    pub lease_s: Option<u32>,
    /// The interface that the copies leave by; the route decides when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn ttl_default() -> u8 {
    TTL_DEFAULT
}

fn is_ttl_default(ttl: &u8) -> bool {
    *ttl == TTL_DEFAULT
}

impl Subscriber {
    /// Copies to `address`, everything else as most want it.
    pub fn new(address: SocketAddr) -> Subscriber {
        Subscriber {
            address: canonical(address),
            name: None,
            filter: None,
            source: SourceAddress::default(),
            ttl: TTL_DEFAULT,
            dscp: 0,
            udp_checksum: UdpChecksum::default(),
            lease_s: None,
            interface: None,
        }
    }

    /// How long it stays without being renewed.
    pub fn lease(&self) -> Option<Duration> {
        self.lease_s.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Checks everything but the filter, which the table compiles.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        let ip = self.address.ip();
        if ip.is_unspecified() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err(format!("{ip} is nobody; give a unicast address or a multicast group"));
        }
        rules::port(self.address)?;
        if let Some(name) = &self.name {
            rules::name("subscriber", name)?;
        }
        if let Some(interface) = &self.interface {
            rules::interface(interface)?;
        }
        if self.ttl == 0 {
            return Err("a TTL of 0 reaches nobody; use 1 to 255".into());
        }
        if self.dscp > DSCP_MAX {
            return Err(format!("DSCP {} does not exist; use 0 to {DSCP_MAX}", self.dscp));
        }
        if self.udp_checksum == UdpChecksum::Zero && ip.is_ipv6() {
            return Err(format!(
                "{ip} would drop datagrams without a checksum (RFC 8200, 8.1); use 'update', or \
                 'zero_over_ipv6' if the receiver is made for it"
            ));
        }
        match self.lease_s {
            Some(lease) if lease == 0 || lease > LEASE_S_MAX => Err(format!(
                "a lease of {lease} seconds is out of range; use 1 to {LEASE_S_MAX}, or none"
            )),
            _ => Ok(()),
        }
    }

    /// Checks that it can subscribe to `feed`.
    ///
    /// # Errors
    /// When it would get an address of the other IP version as its source, or feed the feed.
    pub(crate) fn check_feed(&self, feed: &Feed) -> Result<(), String> {
        let (to, from) = (self.address, feed.listen);
        if self.source == SourceAddress::Keep && to.is_ipv4() != from.is_ipv4() {
            return Err(format!(
                "the sender of {from} has no address that {to} could get copies from; source \
                 'keep' needs the same IP version: use 'interface'"
            ));
        }
        let elsewhere = self.interface.is_some() && feed.interface.is_some();
        if to == from && !(elsewhere && self.interface != feed.interface) {
            return Err(format!(
                "{to} is where feed {} listens, so copies would be copied again; give another \
                 port, or different interfaces to feed and subscriber",
                feed.name
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(address: &str) -> Subscriber {
        Subscriber::new(address.parse().unwrap())
    }

    #[test]
    fn what_is_wrong_is_said() {
        let good = subscriber("10.0.0.2:5000");
        assert_eq!(good.check(), Ok(()));
        let six = subscriber("[2001:db8::2]:5000");
        for (subscriber, part) in [
            (subscriber("10.0.0.2:0"), "port 0"),
            (subscriber("0.0.0.0:5"), "is nobody"),
            (subscriber("255.255.255.255:5"), "is nobody"),
            (Subscriber { ttl: 0, ..good.clone() }, "use 1 to 255"),
            (Subscriber { dscp: 64, ..good.clone() }, "use 0 to 63"),
            (Subscriber { name: Some("a b".into()), ..good.clone() }, "'a b' is no name"),
            (Subscriber { lease_s: Some(0), ..good.clone() }, "out of range"),
            (Subscriber { lease_s: Some(u32::MAX), ..good.clone() }, "out of range"),
            (Subscriber { interface: Some(String::new()), ..good.clone() }, "'ip link'"),
            (Subscriber { udp_checksum: UdpChecksum::Zero, ..six.clone() }, "zero_over_ipv6"),
        ] {
            let error = subscriber.check().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let zero = Subscriber { udp_checksum: UdpChecksum::ZeroOverIpv6, ..six };
        assert_eq!(zero.check(), Ok(()));
    }

    #[test]
    fn loops_and_impossible_sources_are_refused() {
        let feed = Feed::new("itch", "239.1.1.1:5000".parse().unwrap());
        let same = subscriber("239.1.1.1:5000");
        assert!(same.check_feed(&feed).unwrap_err().contains("copied again"));
        let on = |interface: &str| Some(interface.to_owned());
        let feed = Feed { interface: on("eth0"), ..feed };
        let other = Subscriber { interface: on("eth1"), ..same.clone() };
        assert_eq!(other.check_feed(&feed), Ok(()));
        assert!(Subscriber { interface: on("eth0"), ..same }.check_feed(&feed).is_err());

        let six = subscriber("[2001:db8::2]:5000");
        assert_eq!(six.check_feed(&feed), Ok(()));
        let keep = Subscriber { source: SourceAddress::Keep, ..six };
        assert!(keep.check_feed(&feed).unwrap_err().contains("use 'interface'"));
    }

    #[test]
    fn json_is_short_and_strict() {
        let text = r#"{"address":"10.0.0.2:5000"}"#;
        let read: Subscriber = serde_json::from_str(text).unwrap();
        assert_eq!(read, subscriber("10.0.0.2:5000"));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let all = r#"{"address":"10.0.0.2:5000","name":"a","filter":"udp","source":"keep",
            "ttl":3,"dscp":46,"udp_checksum":"zero","lease_s":60,"interface":"eth1"}"#;
        let read: Subscriber = serde_json::from_str(all).unwrap();
        let again = serde_json::to_string(&read).unwrap();
        assert_eq!(again, all.replace(['\n', ' '], ""));
        assert!(serde_json::from_str::<Subscriber>(r#"{"address":"10.0.0.2:5","tll":3}"#).is_err());
        let others = r#"{"address":"10.0.0.2:5000","checksum":"zero","lease":60}"#;
        let read: Subscriber = serde_json::from_str(others).unwrap();
        assert_eq!((read.udp_checksum, read.lease_s), (UdpChecksum::Zero, Some(60)), "aliases");
    }
}
