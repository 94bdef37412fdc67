//! TCP, UDP and SCTP.

use super::Line;
use crate::{Layer, Sctp, Tcp, TcpFlags, TcpOption, TcpOptions, Udp};

/// The most SCTP chunks that a line shows.
const CHUNKS_SHOWN_MAX: usize = 8;

impl Line<'_, '_> {
    pub(super) fn tcp(&mut self, tcp: &Tcp<'_>) {
        let len = self.packet.payload_len();
        if self.options.quick {
            self.text.str("tcp ").len(len);
            return;
        }
        self.text.str("Flags [");
        let mut letters = [0; 9];
        self.text.str(match tcp.flags().letters(&mut letters) {
            "" => "none",
            letters => letters,
        });
        self.text.byte(b']');
        self.checksum();
        let marks = TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0;
        if len > 0 || tcp.flags().0 & marks != 0 || self.options.verbose {
            self.text.str(", seq ").dec(tcp.sequence());
            if len > 0 {
                self.text.byte(b':').dec(tcp.sequence().wrapping_add(len as u32));
            }
        }
        if tcp.flags().contains(TcpFlags::ACK) {
            self.text.str(", ack ").dec(tcp.acknowledgment());
        }
        self.text.str(", win ").dec(tcp.window());
        if tcp.flags().contains(TcpFlags::URG) {
            self.text.str(", urg ").dec(tcp.urgent());
        }
        if tcp.header_len() > Tcp::LEN {
            self.tcp_options(tcp.options());
        }
        self.length(len);
    }

    fn tcp_options(&mut self, options: TcpOptions<'_>) {
        self.text.str(", options [");
        for (index, option) in options.flatten().enumerate() {
            if index > 0 {
                self.text.byte(b',');
            }
            match option {
                TcpOption::Nop => self.text.str("nop"),
                TcpOption::MaximumSegmentSize(size) => self.text.str("mss ").dec(size),
                TcpOption::WindowScale(shift) => self.text.str("wscale ").dec(shift),
                TcpOption::SackPermitted => self.text.str("sackOK"),
                TcpOption::Timestamps(value, echo) => {
                    self.text.str("TS val ").dec(value).str(" ecr ").dec(echo)
                }
                TcpOption::Sack(blocks) => {
                    self.text.str("sack ").len(blocks.len());
                    for &[a, b, c, d, e, f, g, h] in blocks {
                        let (left, right) = ([a, b, c, d], [e, f, g, h]);
                        self.text.str(" {").dec(u32::from_be_bytes(left)).byte(b':');
                        self.text.dec(u32::from_be_bytes(right)).byte(b'}');
                    }
                    &mut self.text
                }
                TcpOption::Md5(digest) => self.text.str("md5 ").hex_bytes(digest, ""),
                TcpOption::Authentication(key, next, code) => self
                    .text
                    .str("tcp-ao keyid ")
                    .dec(key)
                    .str(" rnextkeyid ")
                    .dec(next)
                    .str(" mac 0x")
                    .hex_bytes(code, ""),
                TcpOption::FastOpen([]) => self.text.str("tfo cookiereq"),
                TcpOption::FastOpen(cookie) => self.text.str("tfo cookie ").hex_bytes(cookie, ""),
                TcpOption::End => self.text.str("eol"),
                TcpOption::Other(kind, data) => {
                    self.text.str("unknown-").dec(kind).str(" 0x").hex_bytes(data, "")
                }
            };
        }
        self.text.byte(b']');
    }

    pub(super) fn udp(&mut self, udp: &Udp<'_>) {
        if matches!(self.following(), Some(Layer::Vxlan(_) | Layer::Geneve(_))) {
            return;
        }
        self.text.str("UDP");
        self.checksum();
        // Of a first fragment the whole datagram's length, as the header says it.
        self.length(match udp.length() {
            0 => self.packet.payload_len(),
            _ => udp.payload_len().unwrap_or(0),
        });
    }

    pub(super) fn sctp(&mut self, sctp: &Sctp<'_>) {
        self.text.str("sctp");
        self.checksum();
        if !self.options.quick {
            for chunk in sctp.chunks().take(CHUNKS_SHOWN_MAX).flatten() {
                self.text.str(" [");
                match chunk.name() {
                    Some(name) => self.text.str(name),
                    None => self.text.str("chunk ").dec(chunk.kind),
                };
                if self.options.verbose {
                    self.text.str(" flags 0x").hex::<2>(chunk.flags);
                    self.text.str(" len ").len(chunk.value.len() + 4);
                }
                self.text.byte(b']');
            }
        }
        self.length(self.packet.payload_len());
    }
}

#[cfg(test)]
mod tests {
    use crate::{LineOptions, Packet, write_line};
    use tickwire_frame::{Frame, LinkType, Timestamp};

    /// The options of a SYN over raw IPv4, as the line shows them.
    fn shown(options: &[u8]) -> String {
        let padded = options.len().next_multiple_of(4);
        let mut bytes = b"\x45\0\0\0\0\x01\0\0\x40\x06\0\0\x0a\0\0\x01\x0a\0\0\x02".to_vec();
        bytes[3] = (40 + padded) as u8;
        bytes.extend(b"\x80\0\0\x50\0\0\0\x01\0\0\0\0\0\x02\xfa\xf0\0\0\0\0");
        bytes[32] = ((20 + padded) << 2) as u8;
        bytes.extend(options);
        bytes.resize(40 + padded, 0);
        let frame = Frame::new(&bytes, Timestamp::ZERO);
        let packet = Packet::decode(LinkType::IPV4, &bytes, frame.wire_len);
        let mut line = String::new();
        write_line(&mut line, &frame, &packet, &LineOptions::default()).unwrap();
        let from = line.find("options [").unwrap() + "options [".len();
        line[from..line.rfind(']').unwrap()].to_owned()
    }

    #[test]
    fn md5_tcp_ao_fast_open_and_the_end_have_names() {
        let md5 = [&[19, 18][..], &[0xab; 16]].concat();
        assert_eq!(shown(&md5), format!("md5 {},eol", "ab".repeat(16)));
        assert_eq!(
            shown(b"\x1d\x08\x05\x06\x01\x02\x03\x04"),
            "tcp-ao keyid 5 rnextkeyid 6 mac 0x01020304"
        );
        assert_eq!(shown(b"\x22\x02\x01\x01"), "tfo cookiereq,nop,nop");
        assert_eq!(shown(b"\x22\x06\x01\x02\x03\x04\0\0"), "tfo cookie 01020304,eol");
        assert_eq!(shown(b"\x63\x03\x07"), "unknown-99 0x07,eol");
    }
}
