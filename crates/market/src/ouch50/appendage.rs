//! The appendage of OUCH 5.0: optional fields as elements of length, tag and value.

use crate::error::Error;
use crate::field::{Field, Value};
use crate::wire::{Ascii, Big, Code, Wire};

/// The longest value of an element: its length is one byte and counts the tag.
const VALUE_BYTES_MAX: usize = 254;

/// Declares the tags: a constant for each and the table of all.
macro_rules! tags {
    ($($(#[$about:meta])* $constant:ident = $tag:literal, $name:literal: $kind:ty;)*) => {
        /// The tags of the elements. What each is worth when it is left out, the specification
        /// says.
        pub mod tag {
            $( $(#[$about])* pub const $constant: u8 = $tag; )*
        }

        /// The tags with the name of each in the specification and how its value is read.
        pub const TAGS: &[(u8, Field)] = &[
            $( ($tag, Field::new($name, 0, <$kind as Wire>::LEN, <$kind as Wire>::value::<Big>)), )*
        ];
    };
}

tags! {
    /// 8 bytes: another number of the order in the ITCH feed, such as that of its displayed part.
    SECONDARY_ORD_REF_NUM = 1, "SecondaryOrdRefNum": u64;
    /// 4 letters: the firm; spaces: that of the port.
    FIRM = 2, "Firm": Ascii<4>;
    /// 4 bytes: the least to be executed at once.
    MIN_QTY = 3, "MinQty": u32;
    /// 1 letter: `R` retail, `N` not.
    CUSTOMER_TYPE = 4, "CustomerType": Code;
    /// 4 bytes: shares that are displayed of the order.
    MAX_FLOOR = 5, "MaxFloor": u32;
    /// 1 letter: `L` limit, `P` market peg, `R` primary peg, `M` midpoint peg, and others.
    PRICE_TYPE = 6, "PriceType": Code;
    /// 4 bytes, signed, 4 decimals: how far from what it is pegged to.
    PEG_OFFSET = 7, "PegOffset": crate::Price<i32, 4>;
    /// 8 bytes, 4 decimals: the price up to which the order is executed.
    DISCRETION_PRICE = 9, "DiscretionPrice": super::Price;
    /// 1 letter: as [`PRICE_TYPE`], for the discretion.
    DISCRETION_PRICE_TYPE = 10, "DiscretionPriceType": Code;
    /// 4 bytes, signed, 4 decimals: as [`PEG_OFFSET`], for the discretion.
    DISCRETION_PEG_OFFSET = 11, "DiscretionPegOffset": crate::Price<i32, 4>;
    /// 1 letter: `P` post only, `N` not.
    POST_ONLY = 12, "PostOnly": Code;
    /// 4 bytes: shares by which the displayed quantity varies at random.
    RANDOM_RESERVES = 13, "RandomReserves": u32;
    /// 4 letters: the route.
    ROUTE = 14, "Route": Ascii<4>;
    /// 4 bytes: seconds that the order lives.
    EXPIRE_TIME = 15, "ExpireTime": u32;
    /// 1 letter: `Y` may take from the other side while it rests, `N` not.
    TRADE_NOW = 16, "TradeNow": Code;
    /// 1 letter: how an order for a cross is handled.
    HANDLE_INST = 17, "HandleInst": Code;
    /// 1 letter: what it did to the best price.
    BBO_WEIGHT_INDICATOR = 18, "BBO Weight Indicator": Code;
    /// 4 bytes: shares displayed, in Order Restated.
    DISPLAY_QUANTITY = 22, "Display Quantity": u32;
    /// 8 bytes, 4 decimals: displayed price, in Order Restated.
    DISPLAY_PRICE = 23, "Display Price": super::Price;
    /// 2 bytes: the sender's group of the order.
    GROUP_ID = 24, "Group ID": u16;
    /// 1 letter: `Y` shares for a short sale have been located, `N` not.
    SHARES_LOCATED = 25, "Shares Located": Code;
    /// 4 letters: the broker that located them.
    LOCATE_BROKER = 26, "Locate Broker": Ascii<4>;
    /// 1 letter: as the side of the order.
    SIDE = 27, "Side": Code;
}

/// An optional field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// What it is, see [`tag`]; a later version of the specification may add some.
    pub tag: u8,
    /// Its value as it stands in the message.
    pub bytes: &'a [u8],
}

impl<'a> Element<'a> {
    /// Its name in the specification; `None` when the tag is unknown.
    pub fn name(&self) -> Option<&'static str> {
        self.field().map(|field| field.name)
    }

    /// Its value; `None` when the tag is unknown, or when it is shorter than it should be.
    pub fn value(&self) -> Option<Value<'a>> {
        self.field()?.value(self.bytes)
    }

    /// Its value as what the caller knows it to be, such as `u32` of [`tag::MIN_QTY`]; `None` when
    /// it is shorter.
    pub fn get<T: Wire>(&self) -> Option<T> {
        (self.bytes.len() >= T::LEN).then(|| T::read::<Big>(self.bytes))
    }

    fn field(&self) -> Option<&'static Field> {
        TAGS.iter().find(|(tag, _)| *tag == self.tag).map(|(_, field)| field)
    }
}

/// Iterates over the optional fields of a message. An element that does not fit is the last item,
/// an [`Error::Truncated`].
#[derive(Clone, Debug)]
pub struct Appendage<'a> {
    rest: &'a [u8],
}

impl<'a> Appendage<'a> {
    /// The first `len` of the bytes behind the fixed fields of a message.
    pub(crate) fn new(behind: &'a [u8], len: u16) -> Result<Self, Error> {
        let (needed, available) = (usize::from(len), behind.len());
        let what = "OUCH 5.0 appendage";
        let rest = behind.get(..needed).ok_or(Error::Truncated { what, needed, available })?;
        Ok(Appendage { rest })
    }

    /// The value of the element with that tag, if there is one of that length before any that does
    /// not fit.
    pub fn get<T: Wire>(&self, tag: u8) -> Option<T> {
        self.clone().map_while(Result::ok).find(|element| element.tag == tag)?.get()
    }
}

impl<'a> Iterator for Appendage<'a> {
    type Item = Result<Element<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&len, after) = self.rest.split_first()?;
        let len = usize::from(len);
        let Some(([tag, bytes @ ..], rest)) = after.split_at_checked(len) else {
            // An element without even a tag has 1 byte, its length, and needs 2.
            let (needed, available) = if len == 0 { (2, 1) } else { (1 + len, self.rest.len()) };
            self.rest = &[];
            let what = "OUCH 5.0 appendage element";
            return Some(Err(Error::Truncated { what, needed, available }));
        };
        self.rest = rest;
        Some(Ok(Element { tag: *tag, bytes }))
    }
}

/// Writes a message and its appendage into a buffer that the caller keeps.
#[derive(Debug)]
pub struct WithAppendage<'b> {
    buffer: &'b mut [u8],
    fixed: usize,
    len: usize,
}

impl<'b> WithAppendage<'b> {
    /// Begins with the fixed fields, of which the last is always the length of the appendage.
    pub(super) fn new(buffer: &'b mut [u8], fixed: &[u8]) -> Result<Self, Error> {
        let (needed, available) = (fixed.len(), buffer.len());
        let no_room = Error::NoRoom { what: "OUCH 5.0 message", needed, available };
        buffer.get_mut(..needed).ok_or(no_room)?.copy_from_slice(fixed);
        Ok(WithAppendage { buffer, fixed: needed, len: needed })
    }

    /// Appends an element. When there is no room for it, the message stays as it was.
    pub fn push<T: Wire>(&mut self, tag: u8, value: T) -> Result<(), Error> {
        let (needed, available) = (2 + T::LEN, self.buffer.len() - self.len);
        let no_room = Error::NoRoom { what: "OUCH 5.0 appendage element", needed, available };
        let appended = self.len + needed - self.fixed;
        if T::LEN > VALUE_BYTES_MAX || appended > usize::from(u16::MAX) {
            return Err(no_room);
        }
        let place = self.buffer[self.len..].get_mut(..needed).ok_or(no_room)?;
        (place[0], place[1]) = (1 + T::LEN as u8, tag);
        value.write::<Big>(&mut place[2..]);
        self.len += needed;
        Ok(())
    }

    /// The bytes of the message.
    pub fn finish(self) -> &'b [u8] {
        let appended = (self.len - self.fixed) as u16;
        appended.write::<Big>(&mut self.buffer[self.fixed - 2..]);
        &self.buffer[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EnterOrder, EnterOrderBuilder, Inbound, OrderRestated};
    use super::*;
    use crate::{Price, soupbintcp};

    /// A sell short of 225 CVLT at 63.02, as it went over the wire.
    const SAMPLE: &[u8] = b"\0\x36UO\0\0\0\x71T\0\0\0\xe1CVLT    \0\0\0\0\0\x09\x9d\xb80YANN\
                            H8FUB8IV      \0\x06\x05\x02LIME";

    #[test]
    fn a_real_order_is_read_and_written() {
        let mut frames = soupbintcp::Frames::new(SAMPLE);
        let packet = soupbintcp::Packet::decode(frames.next().unwrap()).unwrap();
        let soupbintcp::Packet::UnsequencedData(data) = packet else { panic!("{packet:?}") };
        let Ok(Inbound::EnterOrder(order)) = Inbound::decode(data.rest()) else {
            panic!("no order")
        };
        assert_eq!((order.user_ref_num(), order.side(), order.quantity()), (0x71, Code(b'T'), 225));
        assert_eq!(
            (order.symbol().to_string(), order.price().to_string()),
            ("CVLT".into(), "63.0200".into())
        );
        assert_eq!(order.cl_ord_id().to_string(), "H8FUB8IV");
        let appendage = order.appendage().unwrap();
        assert_eq!(appendage.get(tag::FIRM), Some(Ascii(*b"LIME")));
        assert_eq!(appendage.get::<u32>(tag::MIN_QTY), None);
        let element = appendage.clone().next().unwrap().unwrap();
        assert_eq!((element.name(), element.value()), (Some("Firm"), Some(Value::Text(b"LIME"))));
        let mut buffer = [0; 64];
        let mut written = order.to_builder().with_appendage(&mut buffer).unwrap();
        for element in appendage {
            written.push(element.unwrap().tag, Ascii(*b"LIME")).unwrap();
        }
        assert_eq!(written.finish(), data.rest());
    }

    #[test]
    fn every_tag_is_written_and_read() {
        let mut buffer = [0; 256];
        for &(tag, field) in TAGS {
            let mut message = EnterOrderBuilder::new().with_appendage(&mut buffer).unwrap();
            match field.len {
                1 => message.push(tag, Code(b'Y')),
                2 => message.push(tag, 0x0102_u16),
                4 => message.push(tag, 0x4142_4344_u32),
                _ => message.push(tag, Price::<u64, 4>(630_200)),
            }
            .unwrap();
            let order = EnterOrder::parse(message.finish()).unwrap();
            assert_eq!(usize::from(order.appendage_length()), 2 + field.len);
            let element = order.appendage().unwrap().next().unwrap().unwrap();
            assert_eq!((element.tag, element.name()), (tag, Some(field.name)));
            assert_eq!(element.value(), field.value(element.bytes), "{}", field.name);
            assert!(element.value().is_some());
        }
        assert_eq!(TAGS.len(), 23);
    }

    #[test]
    fn an_unknown_tag_is_an_element_and_what_is_cut_an_error() {
        let elements = |bytes: &'static [u8]| -> Vec<_> {
            Appendage::new(bytes, bytes.len() as u16).unwrap().collect()
        };
        let unknown = elements(b"\x03\xffab\x01\x03");
        assert_eq!(unknown[0], Ok(Element { tag: 0xff, bytes: b"ab" }));
        assert_eq!((unknown[0].unwrap().name(), unknown[0].unwrap().value()), (None, None));
        // MinQty without a value: its tag is known, its value is not there.
        assert_eq!(
            (unknown[1].unwrap().name(), unknown[1].unwrap().value()),
            (Some("MinQty"), None)
        );
        let what = "OUCH 5.0 appendage element";
        let cut = Err(Error::Truncated { what, needed: 6, available: 5 });
        assert_eq!(elements(b"\x01\x03\x05\x02LIM")[1..], [cut]);
        let none = Err(Error::Truncated { what, needed: 2, available: 1 });
        assert_eq!(elements(b"\0\x05\x02LIME"), [none]);
        assert_eq!(elements(b""), []);
        let error = Error::Truncated { what: "OUCH 5.0 appendage", needed: 3, available: 2 };
        let restated = b"R\0\0\0\0\0\0\0\0\0\0\0\x01R\0\x03ab";
        assert_eq!(OrderRestated::parse(restated).unwrap().appendage().unwrap_err(), error);
    }

    #[test]
    fn what_does_not_fit_leaves_the_message_as_it_was() {
        let mut buffer = [0; 53];
        let mut message = EnterOrderBuilder::new().with_appendage(&mut buffer).unwrap();
        message.push(tag::FIRM, Ascii(*b"LIME")).unwrap();
        let what = "OUCH 5.0 appendage element";
        let error = Error::NoRoom { what, needed: 3, available: 0 };
        assert_eq!(message.push(tag::SIDE, Code(b'B')), Err(error));
        assert_eq!(message.push(1, Ascii([0; 255])).unwrap_err().reason(), "no_room");
        assert_eq!(EnterOrder::parse(message.finish()).unwrap().appendage_length(), 6);
        let error = EnterOrderBuilder::new().with_appendage(&mut [0; 46]).unwrap_err();
        assert_eq!(error, Error::NoRoom { what: "OUCH 5.0 message", needed: 47, available: 46 });
    }
}
