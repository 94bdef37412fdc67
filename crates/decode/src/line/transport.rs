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
