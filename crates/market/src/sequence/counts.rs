//! What a stream counts.

/// What came. The messages of all packets are `received + duplicates + too_late + refused`. The
/// numbers from the first one to the next are those `received`, the missing, and the `lost`, unless
/// they have begun again in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets of any kind, answers to requests too.
    pub packets: u64,
    /// Heartbeats among them.
    pub heartbeats: u64,
    /// Ends of the session among them: they are repeated.
    pub ends: u64,
    /// Messages that were new.
    pub received: u64,
    /// Messages that were not: they had come before.
    pub duplicates: u64,
    /// Messages that came for the first time, and were not taken: of a gap that was lost, or from
    /// before the first packet. Where more gaps were lost than there is room for
    /// ([`Rules::gaps_max`](super::Rules::gaps_max)), all up to the last one that was forgotten:
    /// which of them had come before is not known any more.
    pub too_late: u64,
    /// Packets that were a break or impossible, and not believed.
    pub refused_packets: u64,
    /// Messages in them.
    pub refused: u64,
    /// Packets of one line that came after a later one, and had something new.
    pub late_packets: u64,
    /// Messages that were new, but late: on the line that had passed them over.
    pub late: u64,
    /// Messages that had been passed over and came from another line.
    pub other_line: u64,
    /// Messages that had been passed over and came as an answer to a request.
    pub retransmitted: u64,
    /// The largest distance of a late packet from the front, in messages.
    pub late_distance_max: u64,
    /// The longest time between a late packet and the one that passed it over.
    pub late_ns_max: u64,
    /// Gaps that were told of.
    pub gaps: u64,
    /// Messages that were missing when the gaps were told of.
    pub gap_messages: u64,
    /// Messages that will not come any more, by decision ([`Why`](super::Why)).
    pub lost: u64,
    /// How often the numbers began again.
    pub restarts: u64,
    /// How often the stream jumped further than a packet is believed at once.
    pub jumps: u64,
    /// Packets with something new after the end of the session.
    pub after_end: u64,
}
