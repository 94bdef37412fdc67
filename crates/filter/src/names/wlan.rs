//! Names of IEEE 802.11 frame types, subtypes and directions, as the bits of the frame control
//! field's first octet (IEEE 802.11-2020, 9.2.4.1.3).

/// Bits 2 and 3.
pub fn frame_type(name: &str) -> Option<u32> {
    match name {
        "mgt" | "management" => Some(0x00),
        "ctl" | "control" => Some(0x04),
        "data" => Some(0x08),
        _ => None,
    }
}

/// Every subtype: its type and its bits 4 to 7.
const SUBTYPES: &[(&str, u32, u32)] = &[
    ("assocreq", 0x00, 0x00),
    ("assoc-req", 0x00, 0x00),
    ("assocresp", 0x00, 0x10),
    ("assoc-resp", 0x00, 0x10),
    ("reassocreq", 0x00, 0x20),
    ("reassoc-req", 0x00, 0x20),
    ("reassocresp", 0x00, 0x30),
    ("reassoc-resp", 0x00, 0x30),
    ("probereq", 0x00, 0x40),
    ("probe-req", 0x00, 0x40),
    ("proberesp", 0x00, 0x50),
    ("probe-resp", 0x00, 0x50),
    ("beacon", 0x00, 0x80),
    ("atim", 0x00, 0x90),
    ("disassoc", 0x00, 0xa0),
    ("disassociation", 0x00, 0xa0),
    ("auth", 0x00, 0xb0),
    ("authentication", 0x00, 0xb0),
    ("deauth", 0x00, 0xc0),
    ("deauthentication", 0x00, 0xc0),
    ("bar", 0x04, 0x80),
    ("ba", 0x04, 0x90),
    ("ps-poll", 0x04, 0xa0),
    ("rts", 0x04, 0xb0),
    ("cts", 0x04, 0xc0),
    ("ack", 0x04, 0xd0),
    ("cf-end", 0x04, 0xe0),
    ("cf-end-ack", 0x04, 0xf0),
    ("data", 0x08, 0x00),
    ("data-cf-ack", 0x08, 0x10),
    ("data-cf-poll", 0x08, 0x20),
    ("data-cf-ack-poll", 0x08, 0x30),
    ("null", 0x08, 0x40),
    ("cf-ack", 0x08, 0x50),
    ("cf-poll", 0x08, 0x60),
    ("cf-ack-poll", 0x08, 0x70),
    ("qos-data", 0x08, 0x80),
    ("qos-data-cf-ack", 0x08, 0x90),
    ("qos-data-cf-poll", 0x08, 0xa0),
    ("qos-data-cf-ack-poll", 0x08, 0xb0),
    ("qos", 0x08, 0xc0),
    ("qos-cf-poll", 0x08, 0xe0),
    ("qos-cf-ack-poll", 0x08, 0xf0),
];

/// The bits 4 to 7 of a subtype of the given type.
pub fn subtype_of(frame_type: u32, name: &str) -> Option<u32> {
    let found = SUBTYPES.iter().find(|(known, of, _)| *known == name && *of == frame_type)?;
    Some(found.2)
}

/// The bits 2 to 7 of a subtype whose type follows from its name.
pub fn subtype(name: &str) -> Option<u32> {
    SUBTYPES.iter().find(|(known, ..)| *known == name).map(|(_, of, bits)| of | bits)
}

/// The two lowest bits of the second octet: to and from the distribution system.
pub fn direction(name: &str) -> Option<u32> {
    match name {
        "nods" => Some(0),
        "tods" => Some(1),
        "fromds" => Some(2),
        "dstods" => Some(3),
        _ => None,
    }
}
