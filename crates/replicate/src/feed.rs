//! What is replicated: a stream of datagrams to one address and port.

use crate::address::text;
use crate::rules;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// The most VLAN identifiers there are; the last is reserved (IEEE 802.1Q-2022, 9.6).
const VLAN_ID_MAX: u16 = 4094;

/// A stream of datagrams to be handed on.
///
/// Two feeds never take the same datagram: the [table](crate::Table) refuses those that could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Its name in the table, in metrics and in the API: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// Where the datagrams are sent to: a multicast group or an address of ours, and the port.
    #[serde(with = "text")]
    pub listen: SocketAddr,
    /// Only datagrams of this sender (source-specific multicast, RFC 4607).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The interface that they arrive at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The receive queues of that interface; all of them when the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<u32>,
    /// Only datagrams whose outermost VLAN tag has this identifier; tagged or not when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Only datagrams that pass this filter expression, which sees the frame as received: of a
    /// tagged one it sees the tag first, as everywhere (`vlan and …`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

impl Feed {
    /// Everything that is sent to `listen`.
    pub fn new(name: impl Into<String>, listen: SocketAddr) -> Feed {
        Feed {
            name: name.into(),
            listen,
            source: None,
            interface: None,
            queues: Vec::new(),
            vlan: None,
            filter: None,
        }
    }

    /// Checks everything but the filter, which the table compiles.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        rules::name("feed", &self.name)?;
        let ip = self.listen.ip();
        if ip.is_unspecified() {
            return Err(format!(
                "a feed cannot listen on {ip}; give the address that its datagrams are sent to: \
                 the multicast group, or the address of the interface"
            ));
        }
        rules::port(self.listen)?;
        if let Some(source) = self.source
            && (source.is_ipv4() != ip.is_ipv4() || source.is_multicast())
        {
            return Err(format!(
                "{source} cannot send to {ip}; the source of a feed is a unicast address of the \
                 same IP version"
            ));
        }
        if let Some(vlan) = self.vlan
            && !(1..=VLAN_ID_MAX).contains(&vlan)
        {
            return Err(format!("VLAN {vlan} does not exist; use 1 to {VLAN_ID_MAX}"));
        }
        match &self.interface {
            Some(interface) => rules::interface(interface),
            None if !self.queues.is_empty() => {
                Err("queues belong to an interface; give the interface too".into())
            }
            None => Ok(()),
        }
    }

    /// Whether some datagram could belong to both.
    pub(crate) fn overlaps(&self, other: &Feed) -> bool {
        fn same<T: PartialEq>(mine: &Option<T>, other: &Option<T>) -> bool {
            mine.is_none() || other.is_none() || mine == other
        }
        self.listen == other.listen
            && same(&self.source, &other.source)
            && same(&self.vlan, &other.vlan)
            && same(&self.interface, &other.interface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(listen: &str) -> Feed {
        Feed::new("itch", listen.parse().unwrap())
    }

    #[test]
    fn what_is_wrong_is_said() {
        let good = feed("239.1.1.1:5000");
        assert_eq!(good.check(), Ok(()));
        for (feed, part) in [
            (feed("0.0.0.0:5000"), "the address of the interface"),
            (feed("239.1.1.1:0"), "port 0"),
            (Feed { name: "a/b".into(), ..good.clone() }, "'a/b' is no name"),
            (Feed { name: String::new(), ..good.clone() }, "'' is no name"),
            (Feed { vlan: Some(4095), ..good.clone() }, "use 1 to 4094"),
            (Feed { source: Some("::1".parse().unwrap()), ..good.clone() }, "same IP version"),
            (Feed { queues: vec![1], ..good.clone() }, "give the interface too"),
            (Feed { interface: Some("a b".into()), ..good.clone() }, "no name of an interface"),
        ] {
            let error = feed.check().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn feeds_overlap_unless_something_tells_them_apart() {
        let one = feed("239.1.1.1:5000");
        assert!(one.overlaps(&one) && !one.overlaps(&feed("239.1.1.1:5001")));
        let tagged = |vlan| Feed { vlan: Some(vlan), ..one.clone() };
        assert!(one.overlaps(&tagged(5)) && tagged(5).overlaps(&one));
        assert!(!tagged(5).overlaps(&tagged(6)));
        let from = |source: &str| Feed { source: Some(source.parse().unwrap()), ..one.clone() };
        assert!(from("10.0.0.1").overlaps(&tagged(5)));
        assert!(!from("10.0.0.1").overlaps(&from("10.0.0.2")));
    }

    #[test]
    fn json_is_short_and_strict() {
        let text = r#"{"name":"itch","listen":"239.1.1.1:5000"}"#;
        let read: Feed = serde_json::from_str(text).unwrap();
        assert_eq!(read, feed("239.1.1.1:5000"));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let error = serde_json::from_str::<Feed>(r#"{"name":"a","listn":"x"}"#).unwrap_err();
        assert!(error.to_string().contains("listn"), "{error}");
        let error = serde_json::from_str::<Feed>(r#"{"name":"a","listen":"239.1.1.1"}"#);
        assert!(error.unwrap_err().to_string().contains("has no port"));
    }
}
