//! From segments to messages, and from messages to everybody who wants them.

use super::connection::Segment;
use super::reader::{At, Found};
use super::{Connections, Counts};
use crate::feed::job::Feed;
use crate::feed::streams::Line;
use std::net::SocketAddr;
use tickwire_decode::{FiveTuple, Layer, Packet, stream};
use tickwire_frame::{Frame, LinkType, Reason};
use tickwire_market::Session;
use tickwire_market::stream::Item;

impl Feed {
    /// What becomes of a frame with a segment of TCP: `Err` says why it is none of a feed.
    pub(in crate::feed) fn segment(
        &mut self,
        link: LinkType,
        frame: &Frame<'_>,
        tuple: &FiveTuple,
    ) -> Result<(), Reason> {
        // What is written again are packets, and here packets are no units of a feed.
        if self.arbitrate.is_some() {
            return Err(Reason::NotMarketData);
        }
        let packet = Packet::decode(link, frame.bytes, frame.wire_len);
        let Some(Layer::Tcp(tcp)) = packet.layers().last() else {
            return Err(packet.malformed().unwrap_or(Reason::NotMarketData));
        };
        let cut_bytes = (packet.payload_len() - packet.payload().len()) as u32;
        let sent = stream::Segment::of(tcp, cut_bytes);
        let segment = Segment { sent, acknowledgment: tcp.acknowledgment() };
        let source = SocketAddr::new(tuple.addresses.source(), tuple.source_port);
        let destination = SocketAddr::new(tuple.addresses.destination(), tuple.destination_port);
        let ends = [source, destination];
        let bound = self.recogniser.bound_stream(ends);
        let at = At { ns: frame.timestamp.as_nanos(), number: self.number() };
        let file = self.file;
        let mut tcp = std::mem::take(&mut self.tcp[usize::from(file)]);
        let sent = tcp.segment(ends, &segment, at, bound, |found| self.found(file, &found));
        self.tcp[usize::from(file)] = tcp;
        sent
    }

    /// No file and no interface has more: what waits in streams is read.
    pub(in crate::feed) fn end_streams(&mut self) {
        for file in 0..self.tcp.len() {
            let mut tcp = std::mem::take(&mut self.tcp[file]);
            tcp.finish(|found| self.found(file as u16, &found));
            self.tcp[file] = tcp;
        }
        if let Some(printer) = &mut self.printer {
            // What cannot be written is told of by the printer's trouble.
            let _ = printer.flush();
        }
    }

    /// What there was of connections.
    pub(in crate::feed) fn tcp_counts(&self) -> Counts {
        self.tcp.iter().map(Connections::counts).fold(Counts::default(), |sum, counts| Counts {
            connections: sum.connections + counts.connections,
            stream_gaps: sum.stream_gaps + counts.stream_gaps,
            stream_gap_bytes: sum.stream_gap_bytes + counts.stream_gap_bytes,
            skipped_bytes: sum.skipped_bytes + counts.skipped_bytes,
            forgotten_connections: sum.forgotten_connections + counts.forgotten_connections,
            disowned_segments: sum.disowned_segments + counts.disowned_segments,
        })
    }

    fn found(&mut self, file: u16, found: &Found<'_>) {
        if self.is_done() {
            return;
        }
        let packet = match &found.item {
            Item::Packet(packet) => packet,
            fault => {
                let account = self.accounts.of(found.protocol);
                account.packets += 1;
                match fault {
                    Item::Truncated => account.truncated += 1,
                    _ => account.malformed += 1,
                }
                return;
            }
        };
        self.accounts.of(packet.protocol()).packet(packet);
        if let Some(printer) = &mut self.printer {
            printer.begin(found.at.ns, packet.session());
        }
        packet.messages().flatten().for_each(|message| self.message(&message));
        // What is not numbered, or behind a hole, is no part of what is followed.
        if packet.session() == Session::Unnamed {
            return;
        }
        let (line, At { ns, number }) = (Line::new(file, found.server), found.at);
        if let Some(books) = &mut self.books {
            books.packet(line, packet, packet.count(), ns, number);
        }
        if let Some(streams) = &mut self.streams {
            streams.packet(line, false, packet, packet.count(), ns, number);
        }
    }
}
