//! A frame whose datagram has another payload: what is left of a packet when a part of it has come
//! before.

use tickwire_decode::checksum::{internet, pseudo_ipv6};

/// Bytes of the headers.
const UDP: usize = 8;
const IPV4: usize = 20;
const IPV6: usize = 40;
/// The longest header of IPv4, in words.
const IPV4_WORDS_MAX: usize = 15;

/// `frame`, whose UDP payload begins at `offset`, with `payload` instead and whatever followed it
/// left out. The UDP checksum is 0, none, over IPv4, and computed over IPv6. `None` where no IP
/// header is right in front of that of UDP.
pub fn recut(frame: &[u8], offset: usize, payload: &[u8]) -> Option<Vec<u8>> {
    let udp = offset.checked_sub(UDP)?;
    let mut out = [frame.get(..offset)?, payload].concat();
    let udp_len = u16::try_from(UDP + payload.len()).ok()?;
    out[udp + 4..udp + 6].copy_from_slice(&udp_len.to_be_bytes());
    out[udp + 6..udp + 8].fill(0);
    if let Some(ip) = ipv4(frame, udp) {
        let total = u16::try_from(out.len() - ip).ok()?;
        out[ip + 2..ip + 4].copy_from_slice(&total.to_be_bytes());
        out[ip + 10..ip + 12].fill(0);
        let sum = internet(&out[ip..udp]);
        out[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
        return Some(out);
    }
    let ip = udp.checked_sub(IPV6).filter(|&ip| frame[ip] >> 4 == 6 && frame[ip + 6] == 17)?;
    out[ip + 4..ip + 6].copy_from_slice(&udp_len.to_be_bytes());
    let addresses = out[ip + 8..].first_chunk()?;
    let sum = match pseudo_ipv6(addresses, 17, udp_len.into()).over(&out[udp..]).finish() {
        0 => 0xffff,
        sum => sum,
    };
    out[udp + 6..udp + 8].copy_from_slice(&sum.to_be_bytes());
    Some(out)
}

/// Where the IPv4 header begins that ends at `udp`.
fn ipv4(frame: &[u8], udp: usize) -> Option<usize> {
    let starts = (IPV4 / 4..=IPV4_WORDS_MAX).map(|words| (words, udp.checked_sub(4 * words)));
    let is_one = |(words, ip): (usize, Option<usize>)| {
        ip.filter(|&ip| usize::from(frame[ip]) == 0x40 | words && frame[ip + 9] == 17)
    };
    starts.filter_map(is_one).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_decode::checksum::Sum;
    use tickwire_decode::five_tuple;
    use tickwire_frame::LinkType;

    fn ipv4(options: usize) -> Vec<u8> {
        let words = (IPV4 + options) / 4;
        let mut frame = vec![0; 14 + IPV4 + options + UDP];
        frame[12..14].copy_from_slice(&[8, 0]);
        (frame[14], frame[22], frame[23]) = (0x40 | words as u8, 64, 17);
        frame
    }

    fn check(mut frame: Vec<u8>, ip_len: usize) -> Vec<u8> {
        let offset = frame.len();
        let udp_len = (UDP + 5) as u16;
        frame[offset - 4..offset - 2].copy_from_slice(&udp_len.to_be_bytes());
        match frame[14] >> 4 {
            4 => frame[16..18].copy_from_slice(&((ip_len as u16 + udp_len).to_be_bytes())),
            _ => frame[18..20].copy_from_slice(&udp_len.to_be_bytes()),
        }
        frame.extend(b"whole");
        let cut = recut(&frame, offset, b"cut").expect("IP and UDP");
        let tuple = five_tuple(LinkType::ETHERNET, &cut).expect("a datagram");
        assert_eq!(tuple.payload(&cut), b"cut");
        cut
    }

    #[test]
    fn lengths_and_sums_fit_again() {
        for options in [0, 4, 40] {
            let cut = check(ipv4(options), IPV4 + options);
            assert!(Sum::ZERO.over(&cut[14..14 + IPV4 + options]).is_valid());
        }
        let mut frame = vec![0; 14 + IPV6 + UDP];
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        (frame[14], frame[20]) = (0x60, 17);
        let cut = check(frame, IPV6);
        let sum = Sum::ZERO.over(&cut[22..54]).add_word(17).add_word((UDP + 3) as u16);
        assert!(sum.over(&cut[54..]).is_valid());
    }

    #[test]
    fn what_has_no_ip_header_there_is_left_alone() {
        assert_eq!(recut(&[0; 60], 50, b"x"), None);
        assert_eq!((recut(&[0; 4], 4, b"x"), recut(&[0; 4], 50, b"x")), (None, None));
    }
}
