//! Opens an outlet as the flags say, and makes the packets that fit it.

use super::af_packet::PacketOutlet;
use super::af_xdp::XdpOutlet;
use super::args::{OutletArgs, OutletChoice, Source};
use super::outlet::Outlet;
use super::packets::Packets;
use super::route::{self, Way, same_version};
use super::udp::{SOCKETS_MAX, UdpOutlet, UdpTarget, any_source};
use crate::exit::Failure;
use std::net::SocketAddr;
use tickwire_capture::interfaces;
use tickwire_lab::{Message, Numbered, SOURCE_PORT_FIRST};

/// Ethernet header and the VLAN tag that interfaces allow beyond their MTU, in bytes.
const HEADER_BYTES: usize = 14;
const TAG_BYTES: usize = 4;
/// Time to live unless said otherwise: of unicast and of multicast, as the system's own.
const TTL: u8 = 64;
const TTL_MULTICAST: u8 = 1;

/// The longest payload that can be asked for, in bytes: a jumbo frame with the longest headers.
pub const PAYLOAD_BYTES_MAX: usize = 8948;

/// An outlet of numbered packets: `bytes` of payload that say `message`, to `to`. Whole frames come
/// from `source_port` on, if that is given.
pub fn numbered(
    args: &OutletArgs,
    to: SocketAddr,
    message: Message,
    bytes: usize,
    source_port: Option<u16>,
) -> Result<(Box<dyn Outlet>, Packets), Failure> {
    if args.port.unwrap_or(OutletChoice::Udp) == OutletChoice::Udp {
        let outlet = UdpOutlet::open(&udp_target(args, to)?)?;
        return Ok((Box::new(outlet), Packets::Payloads { message, bytes }));
    }
    let way = Way::find(args, to.ip())?;
    let asked_port = args.source.and_then(|source| source.port);
    let numbered = Numbered {
        macs: way.macs,
        addresses: (way.source, to.ip()),
        port: to.port(),
        source_port: source_port.or(asked_port).unwrap_or(SOURCE_PORT_FIRST),
        flows: args.flows,
        ttl: args.ttl.unwrap_or(if to.ip().is_multicast() { TTL_MULTICAST } else { TTL }),
        vlans: way.vlan.into_iter().collect(),
        frame_bytes: 0,
        checksum: true,
        message,
        first: 0,
    };
    if numbered.source_port.checked_add(args.flows - 1).is_none() {
        return Err(Failure::usage("there are not so many ports after that of --source"));
    }
    let frame_bytes = numbered.header_bytes() + bytes;
    let bytes_max = way.mtu as usize + HEADER_BYTES + TAG_BYTES * numbered.vlans.len();
    if frame_bytes > bytes_max {
        return Err(Failure::failed(format_args!(
            "frames of {frame_bytes} bytes do not fit {}, whose MTU is {}; ask for a --size of at \
             most {}",
            way.interface,
            way.mtu,
            bytes_max.saturating_sub(numbered.header_bytes())
        )));
    }
    let outlet = on_interface(args, &way.interface)?;
    Ok((outlet, Packets::frames(&Numbered { frame_bytes, ..numbered })))
}

/// An outlet of payloads over UDP sockets.
pub fn udp(args: &OutletArgs, to: SocketAddr) -> Result<Box<dyn Outlet>, Failure> {
    Ok(Box::new(UdpOutlet::open(&udp_target(args, to)?)?))
}

/// Refuses flags that would change frames which are sent as they are.
pub fn whole_frames(args: &OutletArgs) -> Result<(), Failure> {
    for (flag, is_given) in [
        ("--dst-mac", args.dst_mac.is_some()),
        ("--vlan", args.vlan.is_some()),
        ("--source", args.source.is_some()),
        ("--ttl", args.ttl.is_some()),
        ("--flows", args.flows > 1),
    ] {
        if is_given {
            return Err(Failure::usage(format!(
                "frames are sent as they were captured: leave {flag} out, or send their payloads \
                 with --to ADDR:PORT"
            )));
        }
    }
    Ok(())
}

/// An outlet of whole frames on the interface that is named.
pub fn raw(args: &OutletArgs) -> Result<Box<dyn Outlet>, Failure> {
    let interface = route::interface(args)?;
    on_interface(args, &interface.name)
}

fn on_interface(args: &OutletArgs, name: &str) -> Result<Box<dyn Outlet>, Failure> {
    Ok(match args.port {
        Some(OutletChoice::AfXdp) => Box::new(XdpOutlet::open(name).map_err(Failure::failed)?),
        _ => Box::new(PacketOutlet::open(name).map_err(Failure::failed)?),
    })
}

/// What the flags mean for UDP sockets; refuses those that mean nothing there.
pub fn udp_target(args: &OutletArgs, to: SocketAddr) -> Result<UdpTarget, Failure> {
    if to.port() == 0 {
        return Err(Failure::usage(format!("nobody listens on port 0 of {}", to.ip())));
    }
    for (flag, is_given) in [("--dst-mac", args.dst_mac.is_some()), ("--vlan", args.vlan.is_some())]
    {
        if is_given {
            return Err(Failure::usage(format!(
                "over udp the kernel makes the headers: leave {flag} out, or add --port af_packet"
            )));
        }
    }
    if args.flows > SOCKETS_MAX {
        return Err(Failure::usage(format!(
            "over udp each flow is a socket, and the most is {SOCKETS_MAX}; add --port af_packet"
        )));
    }
    let interface = match &args.interface {
        Some(_) if !to.ip().is_multicast() => {
            return Err(Failure::usage(
                "over udp the routing table chooses the interface: leave -i out, or add --port \
                 af_packet",
            ));
        }
        Some(name) => Some(interfaces::find(name).map_err(Failure::failed)?.index),
        None => None,
    };
    let mut source = any_source(to);
    if let Some(Source { address, port }) = args.source {
        same_version(address, to.ip())?;
        source = SocketAddr::new(address, port.unwrap_or(0));
    }
    Ok(UdpTarget { to, source, flows: args.flows, ttl: args.ttl, interface })
}
