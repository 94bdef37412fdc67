//! Why bytes are not the message or packet that they should be.

/// Why bytes are not the message or packet that they should be.
///
/// Never an error of the stream: whoever reads one counts it by [`reason`](Error::reason) and goes
/// on with the next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than the message or header consists of.
    #[error(
        "{what} needs {needed} bytes and has {available}: the capture cut the packet (use a longer \
         snap length), or it is of another protocol"
    )]
    Truncated {
        /// The message or header.
        what: &'static str,
        /// Bytes that it consists of.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// Another message type than that of the view.
    #[error(
        "{what} has another type than {found:#04x}: decode by the type first, then use its view"
    )]
    WrongType {
        /// The message that was asked for.
        what: &'static str,
        /// The type in the bytes.
        found: u8,
    },
    /// A version of a protocol that may mean anything.
    #[error(
        "{what} has version {found}, and only {known} is known: another protocol uses this port, \
         or the exchange has changed its protocol"
    )]
    Version {
        /// The protocol.
        what: &'static str,
        /// The version in the bytes.
        found: u8,
        /// The version that is known.
        known: u8,
    },
    /// More bytes than the messages that were announced.
    #[error(
        "{what} has {bytes} bytes behind its last message: its sender counts wrong, or it is of \
         another protocol"
    )]
    Trailing {
        /// What has them.
        what: &'static str,
        /// How many.
        bytes: usize,
    },
    /// A message of a type whose length is not known, in a file that does not say it either.
    #[error(
        "a message of the unknown type {found:#04x} has no length, so that nothing after it can be \
         read: use a file with lengths"
    )]
    UnknownLength {
        /// Its type.
        found: u8,
    },
    /// A field that ends later than it can.
    #[error("{what} does not end within {max} bytes: this is of another protocol, or damaged")]
    Overlong {
        /// The field.
        what: &'static str,
        /// The most bytes that it can have.
        max: usize,
    },
    /// A length that is less than what it counts must have.
    #[error(
        "{what} says to have {found} bytes, and never has fewer than {min}: its sender counts \
         wrong, or it is of another protocol"
    )]
    Length {
        /// What says so.
        what: &'static str,
        /// What it says.
        found: usize,
        /// The least that it can have.
        min: usize,
    },
    /// A datagram of what is only sent over TCP.
    #[error(
        "{what} comes over TCP, and this is a datagram: it is of another protocol, bind its port \
         to that"
    )]
    OverTcp {
        /// The protocol.
        what: &'static str,
    },
    /// No room for what was to be written.
    #[error(
        "{what} needs {needed} bytes and there is room for {available}: finish this packet and \
         begin another, or use a larger buffer"
    )]
    NoRoom {
        /// What was to be written.
        what: &'static str,
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that are left.
        available: usize,
    },
}

impl Error {
    /// A name for counters, the same in logs, metrics and tests.
    pub const fn reason(&self) -> &'static str {
        match self {
            Error::Truncated { .. } => "truncated",
            Error::WrongType { .. } => "wrong_type",
            Error::Version { .. } => "version",
            Error::Trailing { .. } => "trailing",
            Error::UnknownLength { .. } => "unknown_length",
            Error::Overlong { .. } => "overlong",
            Error::Length { .. } => "length",
            Error::OverTcp { .. } => "over_tcp",
            Error::NoRoom { .. } => "no_room",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_names_cause_and_cure() {
        let truncated = Error::Truncated { what: "Add Order", needed: 36, available: 35 };
        assert_eq!(
            truncated.to_string(),
            "Add Order needs 36 bytes and has 35: the capture cut the packet (use a longer snap \
             length), or it is of another protocol"
        );
        let wrong = Error::WrongType { what: "Add Order", found: b'X' };
        assert_eq!(
            wrong.to_string(),
            "Add Order has another type than 0x58: decode by the type first, then use its view"
        );
        let room = Error::NoRoom { what: "message block", needed: 38, available: 2 };
        assert_eq!(
            room.to_string(),
            "message block needs 38 bytes and there is room for 2: finish this packet and begin \
             another, or use a larger buffer"
        );
        let version = Error::Version { what: "IEX-TP", found: 2, known: 1 };
        assert_eq!(
            version.to_string(),
            "IEX-TP has version 2, and only 1 is known: another protocol uses this port, or the \
             exchange has changed its protocol"
        );
        let trailing = Error::Trailing { what: "IEX-TP payload", bytes: 3 };
        assert_eq!(
            trailing.to_string(),
            "IEX-TP payload has 3 bytes behind its last message: its sender counts wrong, or it \
             is of another protocol"
        );
        let unknown = Error::UnknownLength { found: 0xff };
        assert_eq!(
            unknown.to_string(),
            "a message of the unknown type 0xff has no length, so that nothing after it can be \
             read: use a file with lengths"
        );
        let overlong = Error::Overlong { what: "FAST template id", max: 5 };
        assert_eq!(
            overlong.to_string(),
            "FAST template id does not end within 5 bytes: this is of another protocol, or damaged"
        );
        let tcp = Error::OverTcp { what: "fix" };
        assert_eq!(
            tcp.to_string(),
            "fix comes over TCP, and this is a datagram: it is of another protocol, bind its port \
             to that"
        );
        let all = [truncated, wrong, version, trailing, unknown, overlong, tcp, room];
        assert_eq!(
            all.map(|error| error.reason()).join(" "),
            "truncated wrong_type version trailing unknown_length overlong over_tcp no_room"
        );
    }
}
