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
        XskRxDropped = "xsk_rx_dropped", "AF_XDP: no free frame, or too long for one (XDP_STATISTICS rx_dropped).";
        XskRxRingFull = "xsk_rx_ring_full", "AF_XDP: the receive ring was full (rx_ring_full).";
        XskRxInvalid = "xsk_rx_invalid", "AF_XDP: an invalid descriptor in the fill ring (rx_invalid_descs).";
        PacketDropped = "packet_dropped", "AF_PACKET: the receive ring was full (tp_drops).";
    }
    Engine {
        OutputQueueFull = "output_queue_full", "The writer or printer was slower than the packets for too long.";
        DiskFull = "disk_full", "The file system of the capture file is full.";
        WriteFailed = "write_failed", "The capture file could not be written.";
        Stopped = "stopped", "Received, but the engine was told to stop before it was handled.";
        TxRingFull = "tx_ring_full", "The transmit ring was full.";
        TxRefused = "tx_refused", "The kernel refused to send it.";
        TxInvalid = "tx_invalid", "The kernel found the transmit descriptor invalid (tx_invalid_descs).";
        TxUnfinished = "tx_unfinished", "Handed to the kernel for sending, but never completed.";
        TooLong = "too_long", "Longer than the frame, slot or MTU that had to hold it.";
        SimLost = "sim_lost", "The simulated port lost it on purpose.";
    }
    Malformed {
        UnknownLinkType = "unknown_link_type", "We do not decode this link type.";
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
