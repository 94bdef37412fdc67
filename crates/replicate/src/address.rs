//! Addresses with a port, as people write them: `239.1.1.1:5000`, `[2001:db8::1]:5000`.

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::net::{IpAddr, SocketAddr};

/// The longest text of an address that an error shows, in bytes.
const TEXT_BYTES_MAX: usize = 64;

/// Reads `ADDR:PORT`. An IPv4 address written as IPv6 (`::ffff:1.2.3.4`) becomes IPv4, so that
/// one receiver has one key.
///
/// # Errors
/// A sentence that says what is wrong with `text` and how to write it.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Err(format!(
                "{text} has a scope; write the address without '%' and give the interface"
            )),
            _ => Ok(canonical(address)),
        };
    }
    let shown: String = text.chars().take(TEXT_BYTES_MAX).collect();
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        let example = SocketAddr::new(ip, 5000);
        return Err(format!("'{shown}' has no port; write {example}"));
    }
    if let Some((host, port)) = text.rsplit_once(':') {
        let host = host.trim_matches(['[', ']']);
        if host.parse::<IpAddr>().is_ok() {
            let port: String = port.chars().take(TEXT_BYTES_MAX).collect();
            return Err(format!("'{port}' is no port in '{shown}'; ports are 1 to 65535"));
        }
    }
    Err(format!(
        "'{shown}' is no address with a port; write an IP address (names are not looked up), as in \
         192.0.2.1:5000 or [2001:db8::1]:5000"
    ))
}

/// The same address in its shortest form, without flow label.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// As text in JSON and TOML, for `#[serde(with)]`.
pub(crate) mod text {
    use super::*;

    pub fn serialize<S: Serializer>(address: &SocketAddr, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(address)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
        let text = String::deserialize(from)?;
        parse_address(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, expected) in [
            ("239.1.1.1:5000", "239.1.1.1:5000"),
            ("[2001:db8::1]:5000", "[2001:db8::1]:5000"),
            ("[::ffff:10.0.0.1]:7", "10.0.0.1:7"),
        ] {
            assert_eq!(parse_address(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("239.1.1.1", "has no port; write 239.1.1.1:5000"),
            ("2001:db8::1", "has no port; write [2001:db8::1]:5000"),
            ("10.0.0.1:70000", "'70000' is no port"),
            ("[2001:db8::1]:", "'' is no port"),
            ("feed.example:5000", "names are not looked up"),
            ("[fe80::1%2]:5000", "give the interface"),
            ("", "'' is no address"),
            (&"é".repeat(1000), "is no address"),
        ] {
            let error = parse_address(text).unwrap_err();
            assert!(error.contains(part) && error.len() < 400, "{text}: {error}");
        }
    }
}
