//! How long a packet may be, as libpcap sees it (`max_snaplen_for_dlt`): longer ones are damage.

use tickwire_frame::LinkType;

/// The longest packet of nearly all link types, in bytes.
pub(super) const PACKET_BYTES_MAX: u32 = 262_144;
/// The longest pcapng block for those, in bytes.
pub(super) const BLOCK_BYTES_MAX: usize = 16 << 20;
/// Beside the packet a block may have this many bytes of header and options.
const BLOCK_EXTRA_BYTES_MAX: usize = (128 << 10) + 32;

const DBUS: u16 = 231;
const USB_LINUX: u16 = 189;
const USB_LINUX_MMAPPED: u16 = 220;
const USBPCAP: u16 = 249;
const USB_DARWIN: u16 = 266;
const EBHSCR: u16 = 279;

/// The longest packet of link type `link`, in bytes.
pub(super) fn packet_bytes_max(link: LinkType) -> u32 {
    match link.0 {
        DBUS | USB_LINUX | USB_LINUX_MMAPPED | USBPCAP | USB_DARWIN => 128 << 20,
        EBHSCR => 8 << 20,
        _ => PACKET_BYTES_MAX,
    }
}

/// The longest pcapng block that can hold a packet of link type `link`, in bytes.
pub(super) fn block_bytes_max(link: LinkType) -> usize {
    BLOCK_BYTES_MAX.max(packet_bytes_max(link) as usize + BLOCK_EXTRA_BYTES_MAX)
}

/// The snapshot length in force when a file says `snaplen`: 0 and absurd ones mean no limit.
pub(super) fn snaplen_in_force(snaplen: u32, link: LinkType) -> u32 {
    if snaplen == 0 || snaplen > i32::MAX as u32 { packet_bytes_max(link) } else { snaplen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_the_link_type() {
        assert_eq!(snaplen_in_force(0, LinkType::ETHERNET), 262_144);
        assert_eq!(snaplen_in_force(u32::MAX, LinkType(DBUS)), 128 << 20);
        assert_eq!(snaplen_in_force(96, LinkType::ETHERNET), 96);
        assert_eq!(block_bytes_max(LinkType::ETHERNET), 16 << 20);
        assert!(block_bytes_max(LinkType(USBPCAP)) > 128 << 20);
    }
}
