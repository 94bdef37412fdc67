//! From where a datagram was sent to the feed that it belongs to.

use crate::Feed;
use crate::datagram::Datagram;
use std::net::{IpAddr, SocketAddr};

/// Marks a place without a feed.
const NONE: u16 = u16::MAX;

/// A small hash table of feeds by address and port, at most a quarter full.
///
/// Feeds on the same address and port follow each other, told apart by source and VLAN; they do not
/// overlap.
#[derive(Debug, Default)]
pub struct Index {
    /// Linear probing; positions in `keys`.
    places: Box<[u16]>,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    feed: usize,
    listen: SocketAddr,
    source: Option<IpAddr>,
    vlan: Option<u16>,
}

impl Index {
    /// Of those `feeds`, by their position, that may arrive at `interface`.
    pub fn new<'a>(feeds: impl Iterator<Item = &'a Feed>, interface: Option<&str>) -> Index {
        let here = |feed: &Feed| match (&feed.interface, interface) {
            (Some(wanted), Some(interface)) => wanted == interface,
            _ => true,
        };
        let keys: Vec<Key> = feeds
            .enumerate()
            .filter(|(_, feed)| here(feed))
            .map(|(at, Feed { listen, source, vlan, .. })| Key {
                feed: at,
                listen: *listen,
                source: *source,
                vlan: *vlan,
            })
            .collect();
        let mut places = vec![NONE; (4 * keys.len()).next_power_of_two()].into_boxed_slice();
        for (position, key) in keys.iter().enumerate() {
            let mut at = hash(&key.listen) & (places.len() - 1);
            while places[at] != NONE {
                at = (at + 1) & (places.len() - 1);
            }
            places[at] = position as u16;
        }
        Index { places, keys }
    }

    /// The feed of `datagram`.
    #[inline]
    pub fn find(&self, datagram: &Datagram) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        let mut at = hash(&datagram.destination) & mask;
        loop {
            let place = *self.places.get(at)?;
            let key = self.keys.get(usize::from(place))?;
            if key.listen == datagram.destination
                && key.source.is_none_or(|source| source == datagram.source.ip())
                && (key.vlan.is_none() || key.vlan == datagram.vlan)
            {
                return Some(key.feed);
            }
            at = (at + 1) & mask;
        }
    }

    /// Whether some feed listens on `address`.
    pub fn listens(&self, address: IpAddr) -> bool {
        self.keys.iter().any(|key| key.listen.ip() == address)
    }
}

/// Keys come from our own configuration: nobody can choose them so that they collide.
#[inline]
fn hash(address: &SocketAddr) -> usize {
    let word = match address.ip() {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            (bits ^ bits >> 32 ^ bits >> 64 ^ bits >> 96) as u32
        }
    };
    // Fibonacci hashing: the upper bits of a product with 2^32 divided by the golden ratio.
    let product = (word ^ u32::from(address.port()) << 16).wrapping_mul(0x9e37_79b9);
    (product >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(destination: SocketAddr, source: &str, vlan: Option<u16>) -> Datagram {
        let source = SocketAddr::new(source.parse().unwrap(), 4000);
        Datagram { source, destination, vlan, ..Datagram::NONE }
    }

    #[test]
    fn every_feed_is_found_and_nothing_else() {
        assert_eq!(Index::new([].iter(), None).find(&Datagram::NONE), None);
        let feeds: Vec<Feed> = (0..256u16)
            .map(|n| match n % 2 {
                0 => format!("239.1.{}.1:{}", n / 16, 5000 + n % 16),
                _ => format!("[ff15::{}]:{}", n / 16, 5000 + n % 16),
            })
            .map(|listen| Feed::new("f", listen.parse().unwrap()))
            .collect();
        let index = Index::new(feeds.iter(), None);
        for (at, feed) in feeds.iter().enumerate() {
            let source = if feed.listen.is_ipv4() { "10.0.0.1" } else { "2001:db8::1" };
            assert_eq!(index.find(&datagram(feed.listen, source, Some(7))), Some(at));
            let other = SocketAddr::new(feed.listen.ip(), 6000);
            assert_eq!(index.find(&datagram(other, source, None)), None);
            assert!(index.listens(feed.listen.ip()));
        }
        assert!(!index.listens("239.1.99.1".parse().unwrap()));
    }

    #[test]
    fn source_and_vlan_tell_feeds_apart() {
        let feed = Feed::new("f", "239.1.1.1:5000".parse().unwrap());
        let from = |source: &str| Feed { source: Some(source.parse().unwrap()), ..feed.clone() };
        let feeds = [
            Feed { vlan: Some(5), ..from("10.0.0.1") },
            Feed { vlan: Some(6), ..from("10.0.0.1") },
            from("10.0.0.2"),
        ];
        let index = Index::new(feeds.iter(), None);
        let find = |source, vlan| index.find(&datagram(feed.listen, source, vlan));
        assert_eq!(find("10.0.0.1", Some(5)), Some(0));
        assert_eq!(find("10.0.0.1", Some(6)), Some(1));
        assert_eq!((find("10.0.0.1", None), find("10.0.0.3", None)), (None, None));
        assert_eq!((find("10.0.0.2", None), find("10.0.0.2", Some(5))), (Some(2), Some(2)));
    }

    #[test]
    fn feeds_of_other_interfaces_are_left_out() {
        let feed = Feed::new("f", "239.1.1.1:5000".parse().unwrap());
        let on = |interface: &str| Feed { interface: Some(interface.into()), ..feed.clone() };
        let feeds = [on("eth0"), on("eth1")];
        for (at, interface) in [(0, "eth0"), (1, "eth1")] {
            let index = Index::new(feeds.iter(), Some(interface));
            assert_eq!(index.find(&datagram(feed.listen, "10.0.0.1", None)), Some(at));
        }
        let index = Index::new(feeds.iter(), Some("eth2"));
        assert_eq!(index.find(&datagram(feed.listen, "10.0.0.1", None)), None);
        assert!(!index.listens(feed.listen.ip()));
    }
}
