//! The view over packets of every protocol, from any bytes: as in [`market`](crate::market).

use std::net::SocketAddr;
use tickwire_market::recognise::{Recogniser, guess};
use tickwire_market::{Error, Kind, Packet, Protocol};

/// More messages than any datagram holds: an iteration that does not end is found.
const MESSAGES_MAX: usize = 0x1_0000;

/// The same bytes as a packet of each protocol.
pub fn packet(bytes: &[u8]) {
    for &protocol in Protocol::ALL {
        let Ok(packet) = Packet::parse(protocol, bytes) else { continue };
        check(&packet, bytes);
        // What a cut packet says it carried is what it says when it is whole.
        for len in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
            let Ok(cut) = Packet::parse(protocol, &bytes[..len]) else { continue };
            if cut.kind() == packet.kind() && packet.protocol() == cut.protocol() {
                assert!(cut.messages().count() <= packet.messages().count() + 1);
            }
        }
    }
    let anywhere = SocketAddr::from(([239, 1, 1, 1], 26_477));
    let guessed = guess(anywhere, bytes);
    assert_eq!(Recogniser::default().recognise(anywhere, bytes), guessed);
    // What is recognised has a header that can be read.
    if let Some(protocol) = guessed {
        assert_eq!(Packet::parse(protocol, bytes).map(|packet| packet.protocol()), Ok(protocol));
    }
}

fn check(packet: &Packet<'_>, bytes: &[u8]) {
    let within = bytes.as_ptr_range();
    let (mut count, mut ended) = (0, false);
    for message in packet.messages() {
        assert!(!ended, "nothing follows an error");
        count += 1;
        assert!(count <= MESSAGES_MAX, "the messages do not end");
        let Ok(message) = message else {
            ended = true;
            continue;
        };
        let own = message.bytes.as_ptr_range();
        assert!(message.bytes.is_empty() || within.start <= own.start && own.end <= within.end);
        match message.definition() {
            Ok(Some(known)) => assert_eq!(message.fields().count(), known.fields.len()),
            Ok(None) => assert_eq!(message.fields().count(), 0),
            Err(error) => assert!(matches!(error, Error::Truncated { .. })),
        }
    }
    if !matches!(packet.kind(), Kind::Messages | Kind::Unnumbered) {
        assert_eq!(count, 0, "{packet:?}");
    }
    let _ = (packet.session().to_string(), packet.next());
}
