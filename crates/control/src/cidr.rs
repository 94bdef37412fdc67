//! Ranges of addresses: `10.0.0.0/8`, `::1`.

use serde::Deserialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    /// 127.0.0.0/8 and ::1: processes of this machine.
    pub const LOOPBACK: [Cidr; 2] = [
        Cidr { network: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix_bits: 8 },
        Cidr { network: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix_bits: 128 },
    ];

    /// Whether `address` is one of them. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(32 - u32::from(self.prefix_bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(128 - u32::from(self.prefix_bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Cidr {
    type Err = String;

    /// `ADDRESS/BITS`, or one address alone.
    fn from_str(text: &str) -> Result<Self, String> {
        const CURE: &str = "write an address or a range: 10.0.0.7, 10.0.0.0/8, fd00::/8";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| CURE.to_owned())?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            None => most,
            Some(bits) => bits.parse().map_err(|_| CURE.to_owned())?,
        };
        if prefix_bits > most {
            return Err(format!("{prefix_bits} is more than the {most} bits of {network}; {CURE}"));
        }
        let range = Cidr { network, prefix_bits };
        let first = range.first();
        if first != network {
            return Err(format!(
                "{text} has bits beyond its prefix; did you mean {first}/{prefix_bits}?"
            ));
        }
        Ok(range)
    }
}

impl Cidr {
    /// The first address of the range.
    fn first(&self) -> IpAddr {
        let bits = u32::from(self.prefix_bits);
        match self.network {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        let range: Cidr = range.parse().expect("a range");
        range.contains(address.parse().expect("an address"))
    }

    #[test]
    fn ranges_end_where_they_say() {
        assert!(contains("10.1.0.0/16", "10.1.255.255") && !contains("10.1.0.0/16", "10.2.0.0"));
        assert!(contains("10.1.2.3", "10.1.2.3") && !contains("10.1.2.3", "10.1.2.2"));
        assert!(contains("0.0.0.0/0", "255.1.2.3") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(contains("fd00::/8", "fdff::1") && !contains("fd00::/8", "fe00::1"));
        assert!(contains("::/0", "fe80::1") && !contains("::/0", "10.0.0.1"));
    }

    #[test]
    fn refusals_say_what_to_write() {
        for text in ["", "10", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/-1", "host/8"] {
            assert!(text.parse::<Cidr>().unwrap_err().contains("10.0.0.0/8"), "{text}");
        }
        assert!("10.0.0.0/33".parse::<Cidr>().unwrap_err().contains("32 bits"));
        assert!("10.1.2.3/8".parse::<Cidr>().unwrap_err().contains("10.0.0.0/8?"));
        assert_eq!("fd00::/8".parse::<Cidr>().expect("a range").to_string(), "fd00::/8");
    }
}
