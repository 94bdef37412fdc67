//! What keeps copies from subscribers in the mode in force.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use tickwire_frame::Reason;
use tickwire_replicate::{Listed, SourceAddress};

/// What carries the copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// Programs in the kernel: mode `xdp`.
    Kernel,
    /// Frames, and sockets for whom they do not reach: mode `af_xdp`.
    Frames,
    /// Sockets: mode `udp`.
    Sockets,
}

/// Why `one` gets no copies for as long as this process runs, with the cure.
pub fn hindrance(means: Means, one: &Listed) -> Option<String> {
    let what = what_hinders(means, one)?;
    Some(format!("subscriber {} {what}", one.subscriber.address))
}

/// The same for all of `listed`, with one example for each kind.
pub fn hindrances(means: Means, listed: impl Iterator<Item = Listed>) -> Vec<String> {
    let mut kinds: BTreeMap<&str, (SocketAddr, usize)> = BTreeMap::new();
    for one in listed {
        if let Some(what) = what_hinders(means, &one) {
            kinds.entry(what).or_insert((one.subscriber.address, 0)).1 += 1;
        }
    }
    let text = |(what, (address, count)): (&str, (SocketAddr, usize))| match count {
        1 => format!("subscriber {address} {what}"),
        _ => format!("subscriber {address} (one of {count}) {what}"),
    };
    kinds.into_iter().map(text).collect()
}

fn what_hinders(means: Means, one: &Listed) -> Option<&'static str> {
    let keeps = one.subscriber.source == SourceAddress::Keep;
    match (means, one.path) {
        (Means::Kernel, Err(Reason::NoEgress)) => Some(
            "is not within reach of mode xdp: it is on this machine, or behind a tunnel; its \
             copies count as no_egress: start again with --mode af_xdp or auto, which have \
             sockets for it",
        ),
        (Means::Frames, Err(Reason::NoEgress)) if keeps => Some(
            "is within reach of sockets only, which cannot send with another's address; its \
             copies count as tx_refused: give it source 'interface'",
        ),
        (Means::Sockets, _) if keeps => Some(
            "wants the sender's address, with which sockets cannot send; its copies count as \
             tx_refused: give it source 'interface', or start again with --mode af_xdp",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_replicate::{Counts, Path, Subscriber};

    fn listed(address: &str, path: Path, source: SourceAddress) -> Listed {
        let subscriber = Subscriber::new(address.parse().expect("an address"));
        let subscriber = Subscriber { source, ..subscriber };
        Listed { subscriber, path, expires: None, counts: Counts::default() }
    }

    #[test]
    fn each_kind_is_said_once_with_its_cure() {
        let (keep, ours) = (SourceAddress::Keep, SourceAddress::Interface);
        let all = || {
            [
                listed("10.0.0.1:1", Err(Reason::NoEgress), ours),
                listed("10.0.0.2:1", Err(Reason::NoEgress), keep),
                listed("10.0.0.3:1", Err(Reason::NoNeighbour), keep),
            ]
            .into_iter()
        };
        for (means, address, part, cure) in [
            (Means::Kernel, "10.0.0.1:1 (one of 2)", "no_egress", "--mode af_xdp or auto"),
            (Means::Frames, "10.0.0.2:1 is", "tx_refused", "source 'interface'"),
            (Means::Sockets, "10.0.0.2:1 (one of 2)", "tx_refused", "--mode af_xdp"),
        ] {
            let texts = hindrances(means, all());
            assert_eq!(texts.len(), 1, "{texts:?}");
            for part in [address, part, cure] {
                assert!(texts[0].contains(part), "no '{part}' in {texts:?}");
            }
        }
        let dead = all().nth(2).expect("three");
        assert_eq!(hindrance(Means::Frames, &dead), None, "it may answer yet");
    }
}
