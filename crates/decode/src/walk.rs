//! From layer to layer: which header comes next, how far it reaches, and what is wrong with it.

use crate::protocol::{ip, port};
use crate::*;
use arrayvec::ArrayVec;
use tickwire_frame::{LinkType, Reason};

/// What the bytes after a layer are.
#[derive(Clone, Copy)]
enum Next {
    Ethernet,
    Llc,
    EtherType(u16),
    Ppp,
    SllV1,
    SllV2,
    Loopback,
    /// IPv4 or IPv6, as the first nibble says.
    AnyIp,
    Ip(u8),
    Ipv6Extensions(u8),
    Vxlan,
    Geneve,
    /// Nothing that we decode.
    Done,
}

/// Decodes until there is nothing more that we know, or a fault.
pub(crate) fn decode(link: LinkType, bytes: &[u8], wire_len: u32) -> Packet<'_> {
    let missing = (wire_len as usize).saturating_sub(bytes.len());
    let packet = Packet {
        layers: ArrayVec::new(),
        fault: None,
        payload: bytes,
        payload_offset: 0,
        missing,
        next: None,
    };
    let mut walk = Walk { packet, layer_offset: 0, first_fragment: false };
    let mut next = walk.link(link);
    while !matches!(next, Next::Done) {
        next = walk.step(next);
    }
    walk.packet
}

struct Walk<'a> {
    packet: Packet<'a>,
    /// Where the last layer begins.
    layer_offset: usize,
    /// The payload is a first fragment's: what it lacks is elsewhere.
    first_fragment: bool,
}

impl<'a> Walk<'a> {
    fn link(&mut self, link: LinkType) -> Next {
        match link {
            LinkType::ETHERNET => Next::Ethernet,
            LinkType::NULL | LinkType::LOOP => Next::Loopback,
            LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => Next::AnyIp,
            LinkType::LINUX_SLL => Next::SllV1,
            LinkType::LINUX_SLL2 => Next::SllV2,
            LinkType::PPP | LinkType::PPP_SERIAL => Next::Ppp,
            LinkType::PPP_ETHER => Next::EtherType(ethertype::PPPOE_SESSION),
            other => self.unknown(Unknown::LinkType(other.0)),
        }
    }

    fn step(&mut self, next: Next) -> Next {
        if self.packet.layers.is_full() {
            return self.stop(Reason::TooManyLayers);
        }
        match next {
            Next::EtherType(ethertype) => {
                self.packet.next = Some(Unknown::EtherType(ethertype));
                self.ethertype(ethertype)
            }
            Next::Ip(protocol) => {
                self.packet.next = Some(Unknown::Ip(protocol));
                self.ip_protocol(protocol)
            }
            Next::Ipv6Extensions(first) => self.ipv6_extensions(first),
            Next::Ethernet => self.ethernet(),
            Next::Llc => self.llc(),
            Next::Ppp => self.ppp(),
            Next::SllV1 => self.sll(Sll::parse_v1(self.packet.payload)),
            Next::SllV2 => self.sll(Sll::parse_v2(self.packet.payload)),
            Next::Loopback => self.loopback(),
            Next::AnyIp => self.any_ip(),
            Next::Vxlan => self.vxlan(),
            Next::Geneve => self.geneve(),
            Next::Done => Next::Done,
        }
    }

    fn ethertype(&mut self, ethertype: u16) -> Next {
        match ethertype {
            ethertype::IPV4 => self.ipv4(),
            ethertype::IPV6 => self.ipv6(),
            ethertype::ARP | ethertype::RARP => self.arp(),
            ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_SERVICE_VLAN => {
                self.vlan(ethertype)
            }
            ethertype::MPLS | ethertype::MPLS_MULTICAST => self.mpls(),
            ethertype::PPPOE_DISCOVERY | ethertype::PPPOE_SESSION => self.pppoe(),
            ethertype::TRANSPARENT_ETHERNET => self.ethernet(),
            ethertype::PPP => self.ppp(),
            _ => Next::Done,
        }
    }

    fn ip_protocol(&mut self, protocol: u8) -> Next {
        match protocol {
            ip::UDP => self.udp(),
            ip::TCP => self.tcp(),
            ip::ICMP => self.icmp(),
            ip::ICMPV6 => self.icmpv6(),
            ip::IGMP => self.igmp(),
            ip::SCTP => self.sctp(),
            ip::GRE => self.gre(),
            ip::IPV4 => self.ipv4(),
            ip::IPV6 => self.ipv6(),
            ip::MPLS => self.mpls(),
            ip::AUTHENTICATION => self.ah(),
            ip::ESP => self.esp(),
            _ => Next::Done,
        }
    }

    /// Notes a fault of the last layer; the first fault is kept.
    #[cold]
    fn fault(&mut self, reason: Reason, cause: Cause) {
        let layer = self.packet.layers.len() - 1;
        let offset = self.layer_offset;
        self.packet.fault.get_or_insert(Fault { reason, cause, layer, offset });
    }

    /// Who is to blame when bytes are missing at the end.
    fn cause_of_truncation(&self) -> Cause {
        match (self.packet.missing, self.first_fragment) {
            (0, false) => Cause::Packet,
            (0, true) => Cause::Fragment,
            _ => Cause::Capture,
        }
    }

    fn cause(&self, reason: Reason) -> Cause {
        if is_truncation(reason) { self.cause_of_truncation() } else { Cause::Packet }
    }

    /// Notes a fault of the header that was to come, which hides what follows.
    #[cold]
    fn stop(&mut self, reason: Reason) -> Next {
        let cause = self.cause(reason);
        let layer = self.packet.layers.len();
        let offset = self.packet.payload_offset;
        self.packet.fault.get_or_insert(Fault { reason, cause, layer, offset });
        Next::Done
    }

    fn unknown(&mut self, what: Unknown) -> Next {
        self.packet.next = Some(what);
        Next::Done
    }

    /// Adds a layer whose header has `len` bytes; what follows it becomes the payload.
    fn enter(&mut self, layer: Layer<'a>, len: usize) {
        self.packet.layers.push(layer); // step() has seen that there is room.
        self.packet.next = None;
        self.layer_offset = self.packet.payload_offset;
        self.packet.payload = self.packet.payload.get(len..).unwrap_or(&[]);
        self.packet.payload_offset += len;
    }

    /// The last layer says that `len` bytes follow it: drops padding, or finds that the packet is
    /// shorter than that.
    fn limit(&mut self, len: usize, beyond: Reason) {
        let payload = self.packet.payload;
        match len.checked_sub(payload.len()) {
            None | Some(0) => {
                self.packet.payload = &payload[..len];
                self.packet.missing = 0;
            }
            Some(absent) if absent <= self.packet.missing => self.packet.missing = absent,
            Some(_) if self.first_fragment => {}
            Some(_) => self.fault(beyond, Cause::Packet),
        }
    }

    /// Notes the first fault among the parts of the last layer, such as its options.
    fn check<T>(&mut self, parts: impl Iterator<Item = Result<T, Reason>>) {
        if let Some(reason) = parts.filter_map(Result::err).next() {
            let cause = self.cause(reason);
            self.fault(reason, cause);
        }
    }
}

/// Whether `reason` says that bytes are missing at the end, which a cut packet looks like.
const fn is_truncation(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TruncatedEthernet
            | Reason::TruncatedLlc
            | Reason::TruncatedVlan
            | Reason::TruncatedMpls
            | Reason::TruncatedPppoe
            | Reason::PppoeBadTag
            | Reason::TruncatedPpp
            | Reason::TruncatedLinuxCooked
            | Reason::TruncatedLoopback
            | Reason::TruncatedArp
            | Reason::EmptyPacket
            | Reason::TruncatedIpv4
            | Reason::TruncatedIpv6
            | Reason::TruncatedIpv6Extension
            | Reason::TruncatedIcmp
            | Reason::TruncatedIcmpv6
            | Reason::TruncatedIgmp
            | Reason::IgmpBadRecord
            | Reason::TruncatedTcp
            | Reason::TruncatedUdp
            | Reason::TruncatedAh
            | Reason::TruncatedEsp
            | Reason::TruncatedSctp
            | Reason::TruncatedSctpChunk
            | Reason::TruncatedGre
            | Reason::TruncatedVxlan
            | Reason::TruncatedGeneve
    )
}

/// The view that `$parsed` is, or the end of the walk.
macro_rules! parse {
    ($walk:ident, $parsed:expr) => {
        match $parsed {
            Ok(view) => view,
            Err(reason) => return $walk.stop(reason),
        }
    };
}

/// Link layers.
impl<'a> Walk<'a> {
    fn ethernet(&mut self) -> Next {
        let ethernet = parse!(self, Ethernet::parse(self.packet.payload));
        self.enter(Layer::Ethernet(ethernet), Ethernet::LEN);
        self.type_or_length(ethernet.type_or_length())
    }

    fn type_or_length(&mut self, value: u16) -> Next {
        if value >= ETHERTYPE_MIN {
            return Next::EtherType(value);
        }
        self.limit(value.into(), Reason::EthernetLengthBeyondPacket);
        Next::Llc
    }

    fn llc(&mut self) -> Next {
        let llc = parse!(self, Llc::parse(self.packet.payload));
        self.enter(Layer::Llc(llc), llc.header_len());
        match llc.ethertype() {
            Some(ethertype) => Next::EtherType(ethertype),
            None if llc.dsap() == SAP_IP && llc.ssap() == SAP_IP => Next::AnyIp,
            None => Next::Done,
        }
    }

    fn vlan(&mut self, tpid: u16) -> Next {
        let vlan = parse!(self, Vlan::parse(tpid, self.packet.payload));
        self.enter(Layer::Vlan(vlan), Vlan::LEN);
        self.type_or_length(vlan.ethertype())
    }

    fn mpls(&mut self) -> Next {
        let mpls = parse!(self, Mpls::parse(self.packet.payload));
        self.enter(Layer::Mpls(mpls), mpls.header_len());
        if mpls.ip_version().is_some() { Next::AnyIp } else { Next::Done }
    }

    fn pppoe(&mut self) -> Next {
        let pppoe = parse!(self, Pppoe::parse(self.packet.payload));
        self.enter(Layer::Pppoe(pppoe), Pppoe::LEN);
        self.limit(pppoe.length().into(), Reason::PppoeLengthBeyondPacket);
        if pppoe.code() == 0 {
            return Next::Ppp;
        }
        self.check(pppoe.tags());
        Next::Done
    }

    fn ppp(&mut self) -> Next {
        let ppp = parse!(self, Ppp::parse(self.packet.payload));
        self.enter(Layer::Ppp(ppp), ppp.header_len());
        match ppp.next() {
            PppNext::EtherType(ethertype) => Next::EtherType(ethertype),
            PppNext::Protocol(ppp_protocol::IPV4) => Next::EtherType(ethertype::IPV4),
            PppNext::Protocol(ppp_protocol::IPV6) => Next::EtherType(ethertype::IPV6),
            PppNext::Protocol(ppp_protocol::MPLS) => Next::EtherType(ethertype::MPLS),
            PppNext::Protocol(other) => self.unknown(Unknown::Ppp(other)),
        }
    }

    fn sll(&mut self, parsed: Result<Sll<'a>, Reason>) -> Next {
        let sll = parse!(self, parsed);
        self.enter(Layer::Sll(sll), sll.header_len());
        match (sll.hardware(), sll.protocol()) {
            (hardware::NETLINK, _) | (_, sll_protocol::NOVELL) => Next::Done,
            (_, sll_protocol::LLC) => Next::Llc,
            (_, ethertype) => Next::EtherType(ethertype),
        }
    }

    fn loopback(&mut self) -> Next {
        let loopback = parse!(self, Loopback::parse(self.packet.payload));
        self.enter(Layer::Loopback(loopback), Loopback::LEN);
        match loopback.ip_version() {
            Some(4) => Next::EtherType(ethertype::IPV4),
            Some(_) => Next::EtherType(ethertype::IPV6),
            None => self.unknown(Unknown::Family(loopback.family())),
        }
    }

    fn arp(&mut self) -> Next {
        let arp = parse!(self, Arp::parse(self.packet.payload));
        self.enter(Layer::Arp(arp), arp.packet_len());
        // What follows is padding: nothing says how much, and it means nothing.
        (self.packet.payload, self.packet.missing) = (&[], 0);
        Next::Done
    }
}

/// IP and what it carries.
impl Walk<'_> {
    fn any_ip(&mut self) -> Next {
        match self.packet.payload.first().map(|byte| byte >> 4) {
            Some(4) => self.ipv4(),
            Some(6) => self.ipv6(),
            Some(_) => self.stop(Reason::IpBadVersion),
            None => self.stop(Reason::EmptyPacket),
        }
    }

    fn ipv4(&mut self) -> Next {
        let ip = parse!(self, Ipv4::parse(self.packet.payload));
        self.enter(Layer::Ipv4(ip), ip.header_len());
        if ip.header_len() > Ipv4::LEN {
            self.check(ip.options());
        }
        if let (Some(len), 1..) = (ip.payload_len(), ip.total_len()) {
            self.limit(len, Reason::Ipv4LengthBeyondPacket);
        }
        if !ip.is_fragment() {
            return Next::Ip(ip.protocol());
        }
        if ip.fragment_too_long() {
            self.fault(Reason::Ipv4FragmentTooLong, Cause::Packet);
        }
        self.first_fragment = true;
        if ip.fragment_offset() == 0 { Next::Ip(ip.protocol()) } else { Next::Done }
    }

    fn ipv6(&mut self) -> Next {
        let ip = parse!(self, Ipv6::parse(self.packet.payload));
        self.enter(Layer::Ipv6(ip), Ipv6::LEN);
        if ip.payload_length_field() != 0 {
            self.limit(ip.payload_len(), Reason::Ipv6LengthBeyondPacket);
        }
        match ip.next_header() {
            ip::NO_NEXT_HEADER => Next::Done,
            first if is_extension(first) => Next::Ipv6Extensions(first),
            protocol => Next::Ip(protocol),
        }
    }

    fn ipv6_extensions(&mut self, first: u8) -> Next {
        let chain = parse!(self, Ipv6Extensions::parse(first, self.packet.payload));
        self.enter(Layer::Ipv6Extensions(chain), chain.header_len());
        let end = self.packet.payload_len();
        match chain.fragment() {
            Some(fragment) if fragment.is_fragment() => {
                if usize::from(fragment.offset) + end > usize::from(u16::MAX) {
                    self.fault(Reason::Ipv6FragmentTooLong, Cause::Packet);
                }
                self.first_fragment = true;
                if fragment.offset != 0 {
                    return Next::Done;
                }
            }
            _ => {}
        }
        match chain.protocol() {
            ip::NO_NEXT_HEADER => Next::Done,
            protocol => Next::Ip(protocol),
        }
    }

    fn udp(&mut self) -> Next {
        let udp = parse!(self, Udp::parse(self.packet.payload));
        self.enter(Layer::Udp(udp), Udp::LEN);
        if let (Some(len), 1..) = (udp.payload_len(), udp.length()) {
            self.limit(len, Reason::UdpLengthBeyondPacket);
        }
        match udp.destination_port() {
            port::VXLAN => Next::Vxlan,
            port::GENEVE => Next::Geneve,
            _ => Next::Done,
        }
    }

    fn tcp(&mut self) -> Next {
        let tcp = parse!(self, Tcp::parse(self.packet.payload));
        self.enter(Layer::Tcp(tcp), tcp.header_len());
        if tcp.header_len() > Tcp::LEN {
            self.check(tcp.options());
        }
        Next::Done
    }

    fn sctp(&mut self) -> Next {
        let sctp = parse!(self, Sctp::parse(self.packet.payload));
        self.enter(Layer::Sctp(sctp), Sctp::LEN);
        self.check(sctp.chunks());
        Next::Done
    }

    fn ah(&mut self) -> Next {
        let ah = parse!(self, Ah::parse(self.packet.payload));
        self.enter(Layer::Ah(ah), ah.header_len());
        Next::Ip(ah.protocol())
    }

    fn esp(&mut self) -> Next {
        let esp = parse!(self, Esp::parse(self.packet.payload));
        self.enter(Layer::Esp(esp), Esp::LEN);
        Next::Done
    }

    fn icmp(&mut self) -> Next {
        let icmp = parse!(self, Icmp::parse(self.packet.payload));
        self.enter(Layer::Icmp(icmp), Icmp::LEN);
        Next::Done
    }

    fn icmpv6(&mut self) -> Next {
        let icmpv6 = parse!(self, Icmpv6::parse(self.packet.payload));
        self.enter(Layer::Icmpv6(icmpv6), Icmpv6::LEN);
        self.check(icmpv6.options());
        Next::Done
    }

    fn igmp(&mut self) -> Next {
        let igmp = parse!(self, Igmp::parse(self.packet.payload));
        self.enter(Layer::Igmp(igmp), Igmp::LEN);
        self.check(std::iter::once(igmp.sources()));
        self.check(igmp.records());
        Next::Done
    }

    fn gre(&mut self) -> Next {
        let gre = parse!(self, Gre::parse(self.packet.payload));
        self.enter(Layer::Gre(gre), gre.header_len());
        Next::EtherType(gre.protocol())
    }

    fn vxlan(&mut self) -> Next {
        let vxlan = parse!(self, Vxlan::parse(self.packet.payload));
        self.enter(Layer::Vxlan(vxlan), Vxlan::LEN);
        Next::Ethernet
    }

    fn geneve(&mut self) -> Next {
        let geneve = parse!(self, Geneve::parse(self.packet.payload));
        self.enter(Layer::Geneve(geneve), geneve.header_len());
        self.check(geneve.options());
        Next::EtherType(geneve.protocol())
    }
}
