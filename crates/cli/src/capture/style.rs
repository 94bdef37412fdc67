//! How a packet is printed: as a line, with its bytes, or as a JSON object.

use super::args::OutputArgs;
use tickwire_decode::{LineOptions, Packet, write_hex, write_json, write_line};
use tickwire_frame::{Frame, LinkType};

/// How a packet is printed.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    line: LineOptions,
    hex: bool,
    json: bool,
}

impl Style {
    /// What the flags say.
    pub fn new(args: &OutputArgs) -> Self {
        let line = LineOptions {
            link_header: args.link_header,
            numeric: args.numeric > 0,
            verbose: args.verbose > 0,
            quick: false,
        };
        Style { line, hex: args.hex > 0, json: args.json }
    }

    /// Appends the text of one packet, with its final newline.
    pub fn write(&self, text: &mut String, link: LinkType, frame: &Frame<'_>) {
        let packet = Packet::decode(link, frame.bytes, frame.wire_len);
        let written = if self.json {
            write_json(text, link, frame, &packet)
        } else {
            write_line(text, frame, &packet, &self.line)
        };
        let written = match self.hex && !self.json {
            true => written.and_then(|()| write_hex(text, frame.bytes)),
            false => written,
        };
        // The only errors are those of the target, and a String has none.
        debug_assert!(written.is_ok());
    }
}
