//! Bytes to headers: one protocol per file, no panic on any input.
//!
//! Everything here is a view over borrowed bytes: nothing is copied, allocated, or read twice
//! without need, and no clock, file or socket is ever touched. The bytes belong to the caller,
//! usually a port's ring; a view lives no longer than they do.
//!
//! Three levels:
//!
//! 1. A view per protocol, such as [`Ipv4`] or [`Tcp`]. `parse` checks once what the accessors rely
//!    on, and names what is wrong by a [`Reason`](tickwire_frame::Reason) of its own.
//! 2. [`five_tuple`]: addresses, ports and payload of a UDP or TCP packet in a few nanoseconds.
//! 3. [`Packet::decode`]: all layers of any packet, tunnels included, up to the first fault. It
//!    never fails: what was decoded before the fault is kept, and a packet that the capture cut is
//!    told apart from one that is malformed.
//!
//! On top of level 3, [`write_line`] prints one line a packet for people and [`write_json`] one
//! object a packet for programs; [`write_hex`] dumps the bytes. [`checksum`] verifies and updates.
//!
//! [`stream`] puts the segments of TCP in order: the only part that keeps bytes, those that came
//! too early.

#![forbid(unsafe_code)]

pub mod checksum;
pub mod crc32c;
pub mod protocol;
pub mod stream;

mod ah;
mod arp;
mod esp;
mod ethernet;
mod five_tuple;
mod geneve;
mod gre;
mod hex;
mod icmp;
mod icmpv6;
mod igmp;
mod ipv4;
mod ipv6;
mod ipv6_extensions;
mod json;
mod line;
mod llc;
mod loopback;
mod mac;
mod mpls;
mod names;
mod packet;
mod ppp;
mod pppoe;
mod read;
mod sctp;
mod sll;
mod tcp;
mod text;
mod udp;
mod verify;
mod vlan;
mod vxlan;
mod walk;

pub use ah::Ah;
pub use arp::Arp;
pub use esp::Esp;
pub use ethernet::{ETHERTYPE_MIN, Ethernet, ethertype};
pub use five_tuple::{Addresses, FiveTuple, Miss, common_five_tuple, five_tuple};
pub use geneve::{Geneve, GeneveOption, GeneveOptions};
pub use gre::Gre;
pub use hex::write_hex;
pub use icmp::Icmp;
pub use icmpv6::{Icmpv6, NdOptions, icmpv6_type};
pub use igmp::{Igmp, IgmpRecord, IgmpRecords, igmp_type};
pub use ipv4::{Ipv4, Ipv4Options};
pub use ipv6::Ipv6;
pub use ipv6_extensions::{IPV6_EXTENSIONS_MAX, Ipv6Extensions, Ipv6Fragment, is_extension};
pub use json::write_json;
pub use line::{LineOptions, write_line};
pub use llc::{Llc, SAP_IP, SAP_SNAP, SAP_STP};
pub use loopback::Loopback;
pub use mac::Mac;
pub use mpls::{Label, MPLS_LABELS_MAX, Mpls};
pub use packet::{Cause, Fault, LAYERS_MAX, Layer, Packet, Unknown};
pub use ppp::{Ppp, PppNext, protocol as ppp_protocol};
pub use pppoe::{Pppoe, Tags};
pub use sctp::{Sctp, SctpChunk, SctpChunks};
pub use sll::{Sll, hardware, sll_protocol};
pub use tcp::{Tcp, TcpFlags, TcpOption, TcpOptions};
pub use udp::Udp;
pub use verify::Verdict;
pub use vlan::Vlan;
pub use vxlan::Vxlan;
