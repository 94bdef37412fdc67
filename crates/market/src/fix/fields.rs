//! The fields of a message: TAG=VALUE, and data that may hold separators.

use super::SOH;

/// Lengths and the data fields behind them, by tag: the data may hold separators. All DATA fields
/// of FIX 4.2, FIX 4.4 and FIXT 1.1.
pub const DATA_FIELDS: [(u32, u32); 18] = [
    (90, 91),
    (93, 89),
    (95, 96),
    (212, 213),
    (348, 349),
    (350, 351),
    (352, 353),
    (354, 355),
    (356, 357),
    (358, 359),
    (360, 361),
    (362, 363),
    (364, 365),
    (445, 446),
    (618, 619),
    (621, 622),
    (1401, 1402),
    (1403, 1404),
];

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number.
    pub tag: u32,
    /// Its value, as it is on the wire; may be empty, which the standard forbids.
    pub value: &'a [u8],
}

/// A field that is none. The message goes on behind the next separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadField<'a> {
    /// No `=`, or what is before it is no number from 1 on without leading zeros.
    #[error("`{}` is no TAG=VALUE: the peer must write a number before `=`", .0.escape_ascii())]
    Tag(&'a [u8]),
    /// The data does not end with a separator where its length field says.
    #[error("field {tag} does not end after {len} bytes, as its length field says: it is wrong")]
    Data {
        /// The data field.
        tag: u32,
        /// What its length field says.
        len: usize,
    },
}

/// Fields one after the other: [`Message::fields`](super::Message::fields). Data fields are as
/// long as the length field before them says ([`DATA_FIELDS`]).
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    /// The data field that the last field announced, and its length.
    data: Option<(u32, usize)>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Fields { rest: message, data: None }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, BadField<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let data = self.data.take();
        let soh = self.rest.iter().position(|&byte| byte == SOH).unwrap_or(self.rest.len());
        let (field, after) = (&self.rest[..soh], self.rest.get(soh + 1..).unwrap_or(&[]));
        let equals = field.iter().position(|&byte| byte == b'=');
        let Some((at, tag)) = equals.and_then(|at| Some((at, number(&field[..at])?))) else {
            self.rest = after;
            return Some(Err(BadField::Tag(field)));
        };
        let value = &field[at + 1..];
        if let Some((_, len)) = data.filter(|&(announced, _)| announced == tag) {
            let all = &self.rest[at + 1..];
            if all.get(len) != Some(&SOH) {
                self.rest = after;
                return Some(Err(BadField::Data { tag, len }));
            }
            self.rest = &all[len + 1..];
            return Some(Ok(Field { tag, value: &all[..len] }));
        }
        self.rest = after;
        let announced = DATA_FIELDS.iter().find(|&&(length, _)| length == tag);
        self.data = announced.and_then(|&(_, data)| Some((data, number(value)? as usize)));
        Some(Ok(Field { tag, value }))
    }
}

impl std::iter::FusedIterator for Fields<'_> {}

/// A number from 1 on, without a sign or leading zeros.
fn number(digits: &[u8]) -> Option<u32> {
    if matches!(digits, [] | [b'0', ..]) {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Vec<Result<(u32, &[u8]), BadField<'_>>> {
        Fields::new(bytes).map(|field| field.map(|field| (field.tag, field.value))).collect()
    }

    #[test]
    fn data_may_hold_separators() {
        let expected = [Ok((95, &b"5"[..])), Ok((96, b"a\x011=b")), Ok((58, b"x=y")), Ok((1, b""))];
        assert_eq!(fields(b"95=5\x0196=a\x011=b\x0158=x=y\x011=\x01"), expected);
        // Without its length, or behind another field, data ends at a separator.
        let expected = [Ok((96, &b"a"[..])), Ok((1, b"b"))];
        assert_eq!(fields(b"96=a\x011=b\x01"), expected);
        let expected = [Ok((95, &b"5"[..])), Ok((58, b"z")), Ok((96, b"a")), Ok((1, b"b"))];
        assert_eq!(fields(b"95=5\x0158=z\x0196=a\x011=b\x01"), expected);
    }

    #[test]
    fn a_bad_field_is_named_and_the_next_is_read() {
        let tags = [&b"HI"[..], b"", b"=a", b"-1=a", b"0=a", b"07=a", b"4x=a", b"4294967296=a"];
        for tag in tags {
            let bytes = [tag, b"\x011=b\x01"].concat();
            assert_eq!(fields(&bytes), [Err(BadField::Tag(tag)), Ok((1, &b"b"[..]))]);
        }
        for len in [4, 6, 9, 10, u32::MAX] {
            let bytes = format!("95={len}\x0196=a\x011=b\x01");
            let bad = BadField::Data { tag: 96, len: len as usize };
            let len = len.to_string();
            let expected = [Ok((95, len.as_bytes())), Err(bad), Ok((1, b"b"))];
            assert_eq!(fields(bytes.as_bytes()), expected);
        }
        assert_eq!(
            BadField::Tag(b"\x02").to_string(),
            r"`\x02` is no TAG=VALUE: the peer must write a number before `=`"
        );
        assert_eq!(
            BadField::Data { tag: 96, len: 5 }.to_string(),
            "field 96 does not end after 5 bytes, as its length field says: it is wrong"
        );
    }
}
