//! MPLS label stacks (RFC 3032).

use crate::read::be24;
use tickwire_frame::Reason;

/// The most labels that we follow.
pub const MPLS_LABELS_MAX: usize = 16;

/// One entry of a label stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The label, 20 bits.
    pub label: u32,
    /// Traffic class, 3 bits (RFC 5462).
    pub traffic_class: u8,
    /// Whether it is the last of the stack.
    pub bottom: bool,
    /// Time to live.
    pub ttl: u8,
}

/// A whole label stack and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mpls<'a> {
    stack: &'a [[u8; 4]],
    payload: &'a [u8],
}

impl<'a> Mpls<'a> {
    /// Needs a bottom of stack within [`MPLS_LABELS_MAX`] labels.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let (entries, _) = bytes.as_chunks::<4>();
        for (index, entry) in entries.iter().take(MPLS_LABELS_MAX).enumerate() {
            if entry[2] & 1 == 1 {
                let count = index + 1;
                return Ok(Mpls { stack: &entries[..count], payload: &bytes[4 * count..] });
            }
        }
        let full = entries.len() >= MPLS_LABELS_MAX;
        Err(if full { Reason::MplsTooDeep } else { Reason::TruncatedMpls })
    }

    /// Bytes of the stack.
    pub fn header_len(&self) -> usize {
        self.stack.len() * 4
    }

    /// The labels, top of the stack first.
    pub fn labels(&self) -> impl Iterator<Item = Label> + 'a {
        self.stack.iter().map(|entry| Label {
            label: be24(entry, 0) >> 4,
            traffic_class: entry[2] >> 1 & 7,
            bottom: entry[2] & 1 == 1,
            ttl: entry[3],
        })
    }

    /// The IP version of what follows: nothing in the stack says it, so it is the first nibble, as
    /// routers do it (RFC 4928). `None` when it can be neither, such as a pseudowire.
    pub fn ip_version(&self) -> Option<u8> {
        self.payload.first().map(|byte| byte >> 4).filter(|version| matches!(version, 4 | 6))
    }

    /// What follows.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_labels_over_ipv4() {
        let mpls = Mpls::parse(b"\x00\x01\x00\xff\x00\x02\x1f\x40\x45").unwrap();
        let labels: Vec<_> = mpls.labels().collect();
        assert_eq!((labels[0].label, labels[0].bottom, labels[0].ttl), (16, false, 255));
        assert_eq!((labels[1].label, labels[1].traffic_class, labels[1].bottom), (33, 7, true));
        assert_eq!((mpls.ip_version(), mpls.header_len()), (Some(4), 8));
    }

    #[test]
    fn no_bottom_of_stack() {
        assert_eq!(Mpls::parse(&[0; 7]), Err(Reason::TruncatedMpls));
        assert_eq!(Mpls::parse(&[0; 4 * MPLS_LABELS_MAX]), Err(Reason::MplsTooDeep));
        assert_eq!(Mpls::parse(b"\0\0\x01\0").unwrap().ip_version(), None);
    }
}
