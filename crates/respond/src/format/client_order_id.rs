//! The number of an order as text, which exchanges echo.

/// Characters of a client order id: as many as 64 bits need in base 32.
pub const CLIENT_ORDER_ID_BYTES: usize = 13;

/// The client order id of an order: fixed width, so that no two numbers share one.
///
/// Base 32 with the digits of RFC 4648, section 7 ("base32hex"): `0` to `9`, `A` to `V`. Ids sort
/// as the numbers do. Base 36 would need as many characters, and a division for each.
#[inline]
pub fn client_order_id(number: u64) -> [u8; CLIENT_ORDER_ID_BYTES] {
    let mut text = [0; CLIENT_ORDER_ID_BYTES];
    text[..5].copy_from_slice(&digits(number >> 40)[3..]);
    text[5..].copy_from_slice(&digits(number));
    text
}

/// The eight digits of the lower 40 bits, all at once: each step parts every group of bits in two
/// and moves the upper one away, until there are five to a byte.
#[inline]
fn digits(bits: u64) -> [u8; 8] {
    const TWENTIES: u64 = 0x000f_ffff;
    const TENS: u64 = 0x0000_03ff_0000_03ff;
    const FIVES: u64 = 0x001f_001f_001f_001f;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let bits = bits & TWENTIES | (bits >> 20 & TWENTIES) << 32;
    let bits = bits & TENS | (bits >> 10 & TENS) << 16;
    let bits = bits & FIVES | (bits >> 5 & FIVES) << 8;
    // A digit above 9 is a letter, which stands seven places behind the digits in ASCII.
    let letters = (bits + ONES * (0x80 - 10)) >> 7 & ONES;
    (bits + ONES * u64::from(b'0') + letters * 7).to_be_bytes()
}

/// The number of the order that an exchange calls `text`, which may be padded with spaces or NULs;
/// `None` when it is no id of ours.
pub fn order_number(text: &[u8]) -> Option<u64> {
    let (id, padding) = text.split_at_checked(CLIENT_ORDER_ID_BYTES)?;
    // Thirteen digits are 65 bits.
    if id[0] > b'F' || !padding.iter().all(|byte| matches!(byte, b' ' | 0)) {
        return None;
    }
    id.iter().try_fold(0, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'V' => byte - b'A' + 10,
            _ => return None,
        };
        Some(number << 5 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_and_the_last() {
        assert_eq!(&client_order_id(0), b"0000000000000");
        assert_eq!(&client_order_id(33), b"0000000000011");
        assert_eq!(&client_order_id(u64::MAX), b"FVVVVVVVVVVVV");
    }

    #[test]
    fn every_digit_is_one_of_the_standard() {
        for (value, digit) in b"0123456789ABCDEFGHIJKLMNOPQRSTUV".iter().enumerate() {
            for place in 0..CLIENT_ORDER_ID_BYTES - usize::from(value > 15) {
                let mut id = [b'0'; CLIENT_ORDER_ID_BYTES];
                id[CLIENT_ORDER_ID_BYTES - 1 - place] = *digit;
                assert_eq!(client_order_id((value as u64) << (5 * place)), id);
            }
        }
    }

    #[test]
    fn what_is_no_id_of_ours_has_no_number() {
        for text in ["", "12", "000000000001", "GVVVVVVVVVVVV", "000000000000w", "00000000000001"] {
            assert_eq!(order_number(text.as_bytes()), None, "{text}");
        }
        assert_eq!(order_number(b"0000000000001 \0\0"), Some(1));
    }

    proptest! {
        #[test]
        fn there_and_back_and_in_order(a: u64, b: u64) {
            let (id, other) = (client_order_id(a), client_order_id(b));
            prop_assert_eq!(order_number(&id), Some(a));
            prop_assert_eq!(id.cmp(&other), a.cmp(&b));
        }
    }
}
