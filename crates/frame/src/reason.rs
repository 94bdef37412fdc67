//! Why a frame was discarded, or how it is malformed.

use std::fmt;

/// Where a [`Reason`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Somebody asked for it: the filter or a limit. No loss.
    Asked,
    /// The kernel lost it before we could read it.
    Kernel,
    /// We lost it: a queue was full, a disk, a deadline.
    Engine,
    /// A check before an order forbade it: nothing was sent.
    Refused,
    /// The packet itself is at fault.
    Malformed,
}

macro_rules! reasons {
    ($($kind:ident { $($variant:ident = $name:literal, $doc:literal;)* })*) => {
        /// Why a frame was discarded, or how it is malformed: one name for the log, the metric,
        /// the summary and the test.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc] $variant,)*)*
        }

        impl Reason {
            /// Every reason, in the order of the definition.
            pub const ALL: &'static [Reason] = &[$($(Reason::$variant,)*)*];

            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name: `snake_case`, stable, the same everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $($(Reason::$variant => $name,)*)* }
            }

            /// One sentence on what it means.
            pub const fn meaning(self) -> &'static str {
                match self { $($(Reason::$variant => $doc,)*)* }
            }

            /// Where it comes from.
            pub const fn kind(self) -> Kind {
                match self { $($(Reason::$variant => Kind::$kind,)*)* }
            }
        }
    };
}

reasons! {
    Asked {
        NotSelected = "not_selected", "The filter did not select it.";
    }
    Kernel {
        XskRxDropped = "xsk_rx_dropped",
            "AF_XDP: no free frame, or too long for one (XDP_STATISTICS rx_dropped).";
        XskRxRingFull = "xsk_rx_ring_full", "AF_XDP: the receive ring was full (rx_ring_full).";
        XskRxInvalid = "xsk_rx_invalid",
            "AF_XDP: an invalid descriptor in the fill ring (rx_invalid_descs).";
        PacketDropped = "packet_dropped", "AF_PACKET: the receive ring was full (tp_drops).";
        SocketDropped = "socket_dropped",
            "UDP: the socket's receive buffer was full, or the checksum was wrong (SO_RXQ_OVFL).";
    }
    Engine {
        OutputQueueFull = "output_queue_full",
            "The writer or printer was slower than the packets for too long.";
        DiskFull = "disk_full", "The file system of the capture file is full.";
        WriteFailed = "write_failed", "The capture file could not be written.";
        OtherLinkType = "other_link_type",
            "Of another link type than the output: a pcap file or an interface has one.";
        OutputClosed = "output_closed", "Whoever read the output has gone, such as `head`.";
        Stopped = "stopped", "Received, but the engine was told to stop before it was handled.";
        TxRingFull = "tx_ring_full",
            "The transmit ring, or the send buffer of the socket, was full.";
        TxRefused = "tx_refused", "The kernel refused to send it.";
        TxInvalid = "tx_invalid",
            "The kernel found the transmit descriptor invalid (tx_invalid_descs).";
        LinkDown = "link_down", "The link was down: not sent, and it does not wait to leave late.";
        TooOld = "too_old", "It waited for too long while we were stalled: old news.";
        TxUnfinished = "tx_unfinished", "Handed to the kernel for sending, but never completed.";
        TooLong = "too_long", "Longer than the frame, slot or MTU that had to hold it.";
        Fragment = "fragment", "A fragment of an IP packet: only whole datagrams are handed on.";
        NoNeighbour = "no_neighbour",
            "The link address of the next hop is not known (ARP, neighbour discovery).";
        NoRoute = "no_route", "There is no route to the destination.";
        NoEgress = "no_egress", "The route leads out of an interface that we do not send on.";
        CutShort = "cut_short", "The capture holds only its first bytes (snapshot length).";
        NoPayload = "no_payload", "No UDP payload to send on: another protocol, or malformed.";
        Foreign = "foreign",
            "None of the packets that are expected here: of another sender or run.";
        NotMarketData = "not_market_data",
            "No packet of a feed or of orders that is known: another protocol.";
        UnreadableFeed = "unreadable_feed",
            "Sent where a feed is sent, but its header is not that of the feed.";
        DuplicateLine = "duplicate_line",
            "Of a line that is merged with others: nothing in it was new, or could be believed.";
        Reflected = "reflected",
            "It came from another reflector: sent back, it would go round for ever.";
        SimLost = "sim_lost", "The simulated port lost it on purpose.";
    }
    Refused {
        KillSwitch = "kill_switch", "The kill switch is on: it stays on until it is reset.";
        Disabled = "disabled", "Responding is switched off.";
        LeaseExpired = "lease_expired",
            "The process that lets the kernel trade did not say in time that it still does.";
        AuditFull = "audit_full", "What was decided could not be written down.";
        NotInKernel = "not_in_kernel",
            "The kernel decides on this instrument, and this tick did not reach its program.";
        NotConfigured = "not_configured",
            "The strategy named a rule, an instrument or a target that is not configured.";
        MarketClosed = "market_closed", "Outside of trading hours, or trading is halted.";
        StaleFeed = "stale_feed",
            "Messages of the feed are missing, nothing came for too long, or the tick is old.";
        DuplicateTrigger = "duplicate_trigger",
            "This message, or one that came after it, was answered before.";
        CoolDown = "cool_down", "The rule sent an order for this instrument a moment ago.";
        QuantityMax = "quantity_max", "More than an order may be for, or for nothing.";
        NotionalMax = "notional_max", "Price times quantity is more than an order may be worth.";
        PriceCollar = "price_collar",
            "The price is too far from the last trade or the book, or is not above zero.";
        NoReference = "no_reference", "No trade and no book to hold the price against, yet.";
        TickSize = "tick_size",
            "The price of the order is no multiple of the smallest change of its instrument.";
        OrderRate = "order_rate", "As many orders as a second may have were sent.";
        InFlightMax = "in_flight_max", "As many orders as may wait for an answer do.";
        PositionMax = "position_max",
            "The position would be too great if all that was sent were executed.";
        NotConnected = "not_connected", "The session with the exchange is not logged in.";
        UnknownOrder = "unknown_order",
            "The exchange knows no such order: it never arrived there, or was forgotten.";
        NotRepresentable = "not_representable",
            "The price or quantity has more digits than the order format holds.";
    }
    Malformed {
        TooManyLayers = "too_many_layers", "More layers than we follow: nested tunnels or a loop.";
        TruncatedEthernet = "truncated_ethernet",
            "Shorter than the 14 bytes of an Ethernet header.";
        EthernetLengthBeyondPacket = "ethernet_length_beyond_packet",
            "The 802.3 length is greater than the packet.";
        TruncatedLlc = "truncated_llc", "The LLC or SNAP header does not fit into the packet.";
        TruncatedVlan = "truncated_vlan", "The VLAN tag does not fit into the packet.";
        TruncatedMpls = "truncated_mpls", "The label stack ends without a bottom of stack.";
        MplsTooDeep = "mpls_too_deep", "More labels than we follow without a bottom of stack.";
        TruncatedPppoe = "truncated_pppoe", "The PPPoE header does not fit into the packet.";
        PppoeBadVersion = "pppoe_bad_version", "PPPoE version and type are not 1.";
        PppoeLengthBeyondPacket = "pppoe_length_beyond_packet",
            "The PPPoE length is greater than the packet.";
        PppoeBadTag = "pppoe_bad_tag", "A PPPoE discovery tag runs past the payload.";
        TruncatedPpp = "truncated_ppp", "The PPP header does not fit into the packet.";
        TruncatedLinuxCooked = "truncated_linux_cooked", "Shorter than a Linux cooked header.";
        TruncatedLoopback = "truncated_loopback", "Shorter than the 4 bytes of a loopback header.";
        TruncatedArp = "truncated_arp",
            "The ARP header or its addresses do not fit into the packet.";
        EmptyPacket = "empty_packet", "A raw IP packet without any byte.";
        IpBadVersion = "ip_bad_version", "A raw IP packet whose version is neither 4 nor 6.";
        TruncatedIpv4 = "truncated_ipv4",
            "The IPv4 header or its options do not fit into the packet.";
        Ipv4BadVersion = "ipv4_bad_version", "The version in the IPv4 header is not 4.";
        Ipv4BadHeaderLength = "ipv4_bad_header_length", "The IPv4 header length is below 20 bytes.";
        Ipv4BadTotalLength = "ipv4_bad_total_length",
            "The IPv4 total length is below the header length.";
        Ipv4LengthBeyondPacket = "ipv4_length_beyond_packet",
            "The IPv4 total length is greater than the packet.";
        Ipv4BadOption = "ipv4_bad_option",
            "An IPv4 option is shorter than 2 bytes or runs past the header.";
        Ipv4FragmentTooLong = "ipv4_fragment_too_long",
            "The fragment ends past the 65535 bytes of an IPv4 packet.";
        Ipv4BadChecksum = "ipv4_bad_checksum", "The IPv4 header checksum is wrong.";
        TruncatedIpv6 = "truncated_ipv6", "Shorter than the 40 bytes of an IPv6 header.";
        Ipv6BadVersion = "ipv6_bad_version", "The version in the IPv6 header is not 6.";
        Ipv6LengthBeyondPacket = "ipv6_length_beyond_packet",
            "The IPv6 payload length is greater than the packet.";
        TruncatedIpv6Extension = "truncated_ipv6_extension",
            "An IPv6 extension header does not fit into the packet.";
        Ipv6TooManyExtensions = "ipv6_too_many_extensions",
            "More IPv6 extension headers than we follow.";
        Ipv6FragmentTooLong = "ipv6_fragment_too_long",
            "The fragment ends past the 65535 bytes of an IPv6 payload.";
        TruncatedIcmp = "truncated_icmp", "Shorter than the 8 bytes of an ICMP header.";
        IcmpBadChecksum = "icmp_bad_checksum", "The ICMP checksum is wrong.";
        TruncatedIcmpv6 = "truncated_icmpv6",
            "The ICMPv6 message of this type or one of its options does not fit into the packet.";
        Icmpv6BadOption = "icmpv6_bad_option", "A neighbour discovery option has length 0.";
        Icmpv6BadChecksum = "icmpv6_bad_checksum", "The ICMPv6 checksum is wrong.";
        TruncatedIgmp = "truncated_igmp", "Shorter than the IGMP message of its type.";
        IgmpBadRecord = "igmp_bad_record",
            "An IGMPv3 source list or group record runs past the message.";
        IgmpBadChecksum = "igmp_bad_checksum", "The IGMP checksum is wrong.";
        TruncatedTcp = "truncated_tcp", "The TCP header or its options do not fit into the packet.";
        TcpBadDataOffset = "tcp_bad_data_offset", "The TCP data offset is below 20 bytes.";
        TcpBadOption = "tcp_bad_option",
            "A TCP option is shorter than 2 bytes or runs past the header.";
        TcpBadChecksum = "tcp_bad_checksum", "The TCP checksum is wrong.";
        TruncatedUdp = "truncated_udp", "Shorter than the 8 bytes of a UDP header.";
        UdpBadLength = "udp_bad_length", "The UDP length is below the 8 bytes of its header.";
        UdpLengthBeyondPacket = "udp_length_beyond_packet",
            "The UDP length is greater than the packet.";
        UdpBadChecksum = "udp_bad_checksum", "The UDP checksum is wrong.";
        TruncatedSctp = "truncated_sctp", "Shorter than the 12 bytes of an SCTP header.";
        TruncatedSctpChunk = "truncated_sctp_chunk", "An SCTP chunk runs past the packet.";
        SctpBadChunkLength = "sctp_bad_chunk_length",
            "An SCTP chunk is shorter than its own header of 4 bytes.";
        SctpBadChecksum = "sctp_bad_checksum", "The SCTP checksum (CRC32c) is wrong.";
        TruncatedAh = "truncated_ah", "The authentication header does not fit into the packet.";
        AhBadLength = "ah_bad_length", "The length of the authentication header is below 12 bytes.";
        TruncatedEsp = "truncated_esp", "Shorter than the 8 bytes of an ESP header.";
        TruncatedGre = "truncated_gre",
            "The GRE header or its optional fields do not fit into the packet.";
        GreBadVersion = "gre_bad_version", "The GRE version is neither 0 nor 1.";
        TruncatedVxlan = "truncated_vxlan", "Shorter than the 8 bytes of a VXLAN header.";
        VxlanBadFlags = "vxlan_bad_flags",
            "The VXLAN header does not say that its network identifier is valid.";
        TruncatedGeneve = "truncated_geneve",
            "The GENEVE header or its options do not fit into the packet.";
        GeneveBadVersion = "geneve_bad_version", "The GENEVE version is not 0.";
        GeneveBadOption = "geneve_bad_option", "A GENEVE option runs past the header.";
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_distinct_and_snake_case() {
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::COUNT);
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        }
    }

    #[test]
    fn meanings_are_sentences_and_indexes_match() {
        for (index, &reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason as usize, index);
            assert!(reason.meaning().ends_with('.'), "{reason}");
        }
    }
}
