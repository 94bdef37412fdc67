//! What a user says of ports and groups.

use super::Transport;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use tickwire_market::Protocol;
use tickwire_market::recognise::{self, Place};

/// Says that a transport is sent to a place, or over TCP comes from there, too: `26477=moldudp64`,
/// `239.1.1.1:30001=mdp3`, `10.0.0.1:9001=fix`. The protocols that it carries are names of it as
/// well: `26477=itch50`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Where.
    pub place: Place,
    /// What is there.
    pub transport: Transport,
}

impl FromStr for Binding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, name) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is not PORT=PROTOCOL or GROUP:PORT=PROTOCOL"))?;
        let place = place.parse()?;
        let own = Transport::ALL.into_iter().find(|transport| transport.name() == name);
        let of = || name.parse::<Protocol>().ok().and_then(Transport::of);
        let transport = own.or_else(of).ok_or_else(|| {
            let names = Transport::ALL.map(Transport::name).join(", ");
            format!(
                "filters know no fields of {name:?}: use one of {names}, itch50, tops, deep, \
                     deepplus, ouch42, ouch50"
            )
        })?;
        Ok(Binding { place, transport })
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.place, self.transport.name())
    }
}

/// Where transports are; one that is bound to no place is looked for everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings(pub Vec<Binding>);

impl Bindings {
    /// Those of a feed that filters know fields of.
    pub fn of(bindings: &[recognise::Binding]) -> Bindings {
        let known = bindings.iter().filter_map(|binding| {
            let transport = Transport::of(binding.protocol)?;
            Some(Binding { place: binding.place, transport })
        });
        Bindings(known.collect())
    }

    /// Whether a transport is bound to some place.
    pub(crate) fn has(&self, transport: Transport) -> bool {
        self.0.iter().any(|binding| binding.transport == transport)
    }

    /// The ports of a transport at one address or, without it, at every one.
    pub(crate) fn ports(&self, transport: Transport, group: Option<IpAddr>) -> Vec<u32> {
        let at =
            |binding: &&Binding| binding.transport == transport && binding.place.group == group;
        self.0.iter().filter(at).map(|binding| u32::from(binding.place.port)).collect()
    }

    /// The addresses that a transport is bound to, each once.
    pub(crate) fn groups(&self, transport: Transport) -> Vec<IpAddr> {
        let of = self.0.iter().filter(|binding| binding.transport == transport);
        let mut groups: Vec<IpAddr> = of.filter_map(|binding| binding.place.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_read_and_shown() {
        for text in ["26477=moldudp64", "239.1.1.1:30001=mdp3", "[ff3e::1]:9000=iextp", "9=fix"] {
            assert_eq!(text.parse::<Binding>().unwrap().to_string(), text);
        }
        assert_eq!("9=itch50".parse::<Binding>().unwrap().to_string(), "9=moldudp64");
        let error = |text: &str| text.parse::<Binding>().unwrap_err();
        assert!(error("9=eobi").contains("no fields of \"eobi\": use one of moldudp64, "));
        assert_eq!(error("70000=fix"), "\"70000\" is neither PORT nor GROUP:PORT");
        assert!(error("9").contains("PORT=PROTOCOL"));
    }
}
