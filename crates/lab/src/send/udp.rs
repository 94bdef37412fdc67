//! Numbered packets through the kernel's UDP sockets.

use super::many::send_many;
use super::{BURST, Burst, Schedule, SenderReport, offer};
use crate::error::{LabError, Tried};
use crate::{End, Numbered, Template};
use std::io;
use std::net::UdpSocket;

/// Most flows of this sender: each is a socket.
const SOCKETS_MAX: u16 = 256;

/// Sends the payloads of numbered packets from `end` through connected UDP sockets, one per flow.
/// The kernel makes the headers, with addresses and ports of `packets`; tags are not for it.
///
/// # Errors
/// When a socket cannot be had: an address is not that of `end`, a source port is taken.
///
/// # Panics
/// As [`Numbered::template`]; with VLAN tags, or more than 256 flows.
pub fn send_udp(
    end: &End,
    packets: &Numbered,
    schedule: &Schedule,
) -> Result<SenderReport, LabError> {
    assert!(packets.vlans.is_empty(), "UDP sockets send no VLAN tags");
    assert!(packets.flows <= SOCKETS_MAX, "{} flows, more than {SOCKETS_MAX}", packets.flows);
    let template = packets.template();
    let sockets = end.run(|| open(packets, &template));
    let sockets = sockets.tried(|| format!("open UDP sockets to {}", packets.addresses.1))?;
    let mut payloads: Vec<Vec<u8>> =
        (0..BURST).map(|_| template.bytes()[template.payload()..].to_vec()).collect();
    let flows = sockets.len() as u64;
    // One call serves one flow, so a burst of several flows is cut into packets.
    let burst_max = if flows == 1 { BURST } else { 1 };
    let result = offer(schedule, burst_max, |number, count, sent_ns| {
        let first = packets.first + number;
        for (sequence, payload) in (first..first + count).zip(&mut payloads) {
            packets.message.write(payload, sequence, sent_ns);
        }
        let socket = &sockets[(first % flows) as usize];
        send_all(socket, &payloads[..count as usize])
    });
    result.tried(|| format!("send to {}", packets.addresses.1))
}

fn open(packets: &Numbered, template: &Template) -> io::Result<Vec<UdpSocket>> {
    let flow = |flow| {
        let socket = UdpSocket::bind((packets.addresses.0, template.source_port(flow)))?;
        socket.connect((packets.addresses.1, packets.port))?;
        Ok(socket)
    };
    (0..u64::from(packets.flows)).map(flow).collect()
}

fn send_all(socket: &UdpSocket, payloads: &[Vec<u8>]) -> io::Result<Burst> {
    let mut buffers = [&[][..]; BURST as usize];
    for (buffer, payload) in buffers.iter_mut().zip(payloads) {
        *buffer = payload;
    }
    send_many(socket, &buffers[..payloads.len()])
}
