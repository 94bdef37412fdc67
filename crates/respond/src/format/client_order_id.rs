//! The number of an order as text, which exchanges echo.

/// Characters of a client order id: as many as 64 bits need in base 32.
pub const CLIENT_ORDER_ID_BYTES: usize = 13;

/// RFC 4648, section 7 ("base32hex"): ids sort as the numbers do. Base 36 would need as many
/// characters, and a division for each.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

/// The client order id of an order: fixed width, so that no two numbers share one.
#[inline]
pub fn client_order_id(number: u64) -> [u8; CLIENT_ORDER_ID_BYTES] {
    let mut text = [0; CLIENT_ORDER_ID_BYTES];
    for (place, digit) in text.iter_mut().rev().enumerate() {
        *digit = DIGITS[(number >> (5 * place)) as usize & 31];
    }
    text
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
