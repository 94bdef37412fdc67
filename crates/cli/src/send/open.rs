//! Opens an outlet as the flags say, and makes the packets that fit it.

use super::args::{OutletArgs, OutletChoice, Source};
use super::outlet::Outlet;
use super::packets::Packets;
use super::raw::RawOutlet;
use super::udp::{SOCKETS_MAX, UdpOutlet, UdpTarget, any_source};
use crate::exit::Failure;
use std::net::{IpAddr, SocketAddr};
use tickwire_capture::interfaces::{self, Interface};
use tickwire_lab::{Mac, Message, Numbered, SOURCE_PORT_FIRST};

/// Ethernet header and the VLAN tag that interfaces allow beyond their MTU, in bytes.
const HEADER_BYTES: usize = 14;
const TAG_BYTES: usize = 4;
/// Time to live unless said otherwise: of unicast and of multicast, as the system's own.
const TTL: u8 = 64;
const TTL_MULTICAST: u8 = 1;

/// The longest payload that can be asked for, in bytes: a jumbo frame with the longest headers.
pub const PAYLOAD_BYTES_MAX: usize = 8948;

/// An outlet of numbered packets: `bytes` of payload that say `message`, to `to`.
pub fn numbered(
    args: &OutletArgs,
    to: SocketAddr,
    message: Message,
    bytes: usize,
) -> Result<(Box<dyn Outlet>, Packets), Failure> {
    if args.port.unwrap_or(OutletChoice::Udp) == OutletChoice::Udp {
        let outlet = UdpOutlet::open(&udp_target(args, to)?)?;
        return Ok((Box::new(outlet), Packets::Payloads { message, bytes }));
    }
    let interface = interface(args)?;
    let numbered = Numbered {
        macs: (own_mac(&interface)?, destination_mac(args, to.ip())?),
        addresses: (source_address(args, &interface, to.ip())?, to.ip()),
        port: to.port(),
        source_port: args.source.and_then(|source| source.port).unwrap_or(SOURCE_PORT_FIRST),
        flows: args.flows,
        ttl: args.ttl.unwrap_or(if to.ip().is_multicast() { TTL_MULTICAST } else { TTL }),
        vlans: args.vlan.into_iter().collect(),
        frame_bytes: 0,
        checksum: true,
        message,
        first: 0,
    };
    if numbered.source_port.checked_add(args.flows - 1).is_none() {
        return Err(Failure::usage("there are not so many ports after that of --source"));
    }
    let frame_bytes = numbered.header_bytes() + bytes;
    let bytes_max = interface.mtu as usize + HEADER_BYTES + TAG_BYTES * numbered.vlans.len();
    if frame_bytes > bytes_max {
        return Err(Failure::failed(format_args!(
            "frames of {frame_bytes} bytes do not fit {}, whose MTU is {}; ask for a --size of at \
             most {}",
            interface.name,
            interface.mtu,
            bytes_max.saturating_sub(numbered.header_bytes())
        )));
    }
    Ok((raw(args)?, Packets::frames(&Numbered { frame_bytes, ..numbered })))
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

/// An outlet of whole frames.
pub fn raw(args: &OutletArgs) -> Result<Box<dyn Outlet>, Failure> {
    let interface = interface(args)?;
    let outlet = match args.port {
        Some(OutletChoice::AfXdp) => RawOutlet::af_xdp(&interface.name),
        _ => RawOutlet::af_packet(&interface.name),
    };
    Ok(Box::new(outlet.map_err(Failure::failed)?))
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

fn interface(args: &OutletArgs) -> Result<Interface, Failure> {
    let name = args.interface.as_deref().ok_or_else(|| {
        Failure::usage("af_packet and af_xdp send on one interface: name it with -i IF")
    })?;
    interfaces::find(name).map_err(Failure::failed)
}

fn own_mac(interface: &Interface) -> Result<Mac, Failure> {
    interface.mac[..].try_into().map_err(|_| {
        Failure::failed(format_args!(
            "{} does not carry Ethernet frames; use --port udp there",
            interface.name
        ))
    })
}

/// The link-layer address of a group is part of its definition (RFC 1112 section 6.4, RFC 2464
/// section 7).
fn destination_mac(args: &OutletArgs, to: IpAddr) -> Result<Mac, Failure> {
    match (args.dst_mac, to) {
        (Some(mac), _) => Ok(mac),
        (None, IpAddr::V4(group)) if group.is_multicast() => {
            let [_, b, c, d] = group.octets();
            Ok([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        (None, IpAddr::V6(group)) if group.is_multicast() => {
            let [.., a, b, c, d] = group.octets();
            Ok([0x33, 0x33, a, b, c, d])
        }
        (None, to) => Err(Failure::usage(format!(
            "whole frames need the link-layer address of {to} or of the gateway to it: give it with \
             --dst-mac (`ip neigh show {to}` may know it)"
        ))),
    }
}

fn source_address(args: &OutletArgs, interface: &Interface, to: IpAddr) -> Result<IpAddr, Failure> {
    if let Some(Source { address, .. }) = args.source {
        same_version(address, to)?;
        return Ok(address);
    }
    let mut own = interface.addresses.iter().map(|(address, _)| *address);
    own.find(|address| address.is_ipv4() == to.is_ipv4()).ok_or_else(|| {
        Failure::failed(format_args!(
            "{} has no address to send to {to} from; give one with --source",
            interface.name
        ))
    })
}

fn same_version(source: IpAddr, to: IpAddr) -> Result<(), Failure> {
    if source.is_ipv4() == to.is_ipv4() {
        return Ok(());
    }
    Err(Failure::usage(format!("{source} cannot send to {to}: one is IPv4, the other IPv6")))
}
