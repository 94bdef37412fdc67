//! How a protocol declares its messages: as tables that read like those of its specification.
//!
//! `message!` makes of each table a view, a builder and the table itself as data; `messages!` makes
//! of several an enum with a decoder that goes by the type. There is no other code per message, so
//! a message is right when its table is.

use crate::error::Error;

/// Declares a message:
///
/// ```text
/// message! {
///     Big, "ITCH Order Delete";
///     /// What it says (section of the specification).
///     pub struct OrderDelete, OrderDeleteBuilder: 19, type b'D' {
///         /// What it means, unit, codes.
///         order_reference_number @ 11: u64,
///     }
/// }
/// ```
///
/// With `type`, byte 0 is the message type, which `parse` checks; without, all bytes are fields.
/// Where two types have the same fields, `type b'8' | b'5'`, the type is a value like others. The
/// offsets must follow each other up to the length, or it does not compile.
macro_rules! message {
    (
        $order:ident, $what:literal;
        $(#[$meta:meta])*
        pub struct $view:ident, $builder:ident: $len:literal
            $(, type $type:literal $(| $other:literal)?)?
        {
            $( $(#[$about:meta])* $field:ident @ $offset:literal: $kind:ty ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $view<'a> {
            fixed: &'a [u8; $len],
            rest: &'a [u8],
        }

        impl<'a> $view<'a> {
            /// What it is called in errors.
            pub const NAME: &'static str = $what;

            /// Its length in bytes; a later version of the specification may append more.
            pub const LEN: usize = $len;

            $(
                /// Its message type.
                pub const TYPE: u8 = $type;

                $(
                    /// The other message type that has the same fields.
                    pub const OTHER_TYPE: u8 = $other;

                    /// Which of the two types it has: a value to use, not to branch on.
                    #[inline]
                    pub fn message_type(&self) -> $crate::wire::Code {
                        $crate::wire::Code(self.fixed[0])
                    }
                )?
            )?

            /// Its fields in the order of their bytes.
            pub const FIELDS: &'static [$crate::field::Field] = &[
                $( message!(@row $order, "message_type", 0, $crate::wire::Code, $type), )?
                $( message!(@row $order, stringify!($field), $offset, $kind), )*
            ];

            /// Needs [`LEN`](Self::LEN) bytes and, where it has one, the right message type. Any
            /// values pass, and more bytes than these: see [`rest`](Self::rest).
            #[inline]
            pub fn parse(bytes: &'a [u8]) -> Result<Self, $crate::Error> {
                let Some((fixed, rest)) = bytes.split_first_chunk() else {
                    let available = bytes.len();
                    return Err($crate::Error::Truncated { what: $what, needed: $len, available });
                };
                $(
                    if fixed[0] != $type $(&& fixed[0] != $other)? {
                        return Err($crate::Error::WrongType { what: $what, found: fixed[0] });
                    }
                )?
                Ok($view { fixed, rest })
            }

            /// The bytes of the fields.
            #[inline]
            pub fn as_bytes(&self) -> &'a [u8; $len] {
                self.fixed
            }

            /// What follows the fields: what belongs to a variable part, or to a later version of
            /// the specification.
            #[inline]
            pub fn rest(&self) -> &'a [u8] {
                self.rest
            }

            $(
                $(#[$about])*
                #[inline]
                pub fn $field(&self) -> $kind {
                    <$kind as $crate::wire::Wire>::read::<$crate::wire::$order>(
                        &self.fixed[$offset..],
                    )
                }
            )*

            /// The same message, field by field and without what follows the fields: to change it.
            pub fn to_builder(self) -> $builder {
                let builder = $builder::new() $( .$field(self.$field()) )*;
                $( $(
                    if self.fixed[0] == $other {
                        return builder.message_type($crate::wire::Code($other));
                    }
                )? )?
                builder
            }
        }

        impl<'a> $crate::message::View<'a> for $view<'a> {
            const NAME: &'static str = $what;
            const LEN: usize = $len;

            #[inline]
            fn view(bytes: &'a [u8]) -> Result<Self, $crate::Error> {
                $view::parse(bytes)
            }
        }

        const _: () = assert!($crate::field::fill($view::FIELDS, $len));

        #[doc = concat!("Writes [`", stringify!($view), "`](struct@", stringify!($view), "): ")]
        /// keep it, and change what changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $builder {
            bytes: [u8; $len],
        }

        impl $builder {
            /// Numbers are 0, text and codes are spaces.
            pub fn new() -> Self {
                let mut bytes = [0; $len];
                $( bytes[0] = $type; )?
                $(
                    let len = <$kind as $crate::wire::Wire>::LEN;
                    bytes[$offset..$offset + len].fill(<$kind as $crate::wire::Wire>::BLANK);
                )*
                $builder { bytes }
            }

            /// The bytes of the message.
            #[inline]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.bytes
            }

            $( $(
                #[doc = concat!("[`TYPE`](", stringify!($view), "::TYPE), as it begins, or ")]
                #[doc = concat!("[`OTHER_TYPE`](", stringify!($view), "::OTHER_TYPE).")]
                #[inline]
                #[must_use]
                pub fn message_type(mut self, value: $crate::wire::Code) -> Self {
                    const _: u8 = $other;
                    self.bytes[0] = value.0;
                    self
                }
            )? )?

            $(
                $(#[$about])*
                #[inline]
                #[must_use]
                pub fn $field(mut self, value: $kind) -> Self {
                    <$kind as $crate::wire::Wire>::write::<$crate::wire::$order>(
                        value,
                        &mut self.bytes[$offset..],
                    );
                    self
                }
            )*
        }

        impl Default for $builder {
            fn default() -> Self {
                Self::new()
            }
        }
    };

    // A row of the table; the type, where given, only chooses the row of the message type.
    (@row $order:ident, $name:expr, $offset:expr, $kind:ty $(, $type:literal)?) => {
        $crate::field::Field::new(
            $name,
            $offset,
            <$kind as $crate::wire::Wire>::LEN,
            <$kind as $crate::wire::Wire>::value::<$crate::wire::$order>,
        )
    };
}

/// Declares the enum of the messages of a protocol, in which byte 0 is the type:
///
/// A message of two types is named with the second: `PriceLevelUpdate | b'5'`.
///
/// ```text
/// messages! {
///     "ITCH message";
///     /// A message.
///     pub enum Message { SystemEvent, OrderDelete }
/// }
/// ```
macro_rules! messages {
    (
        $what:literal;
        $(#[$meta:meta])*
        pub enum $message:ident { $( $view:ident $(| $other:literal)? ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $message<'a> {
            $(
                #[doc = concat!("[`", stringify!($view), "`](struct@", stringify!($view), ")")]
                $view($view<'a>),
            )*
            /// A message of a type that a later version of the specification added: count it by its
            /// type and go on with the next.
            Unknown {
                /// Its type, byte 0.
                message_type: u8,
                /// All its bytes.
                bytes: &'a [u8],
            },
        }

        impl<'a> $message<'a> {
            /// The types that are known, with the names and the fields of their messages.
            pub const TYPES: &'static [(u8, &'static str, &'static [$crate::field::Field])] =
                &[$(
                    ($view::TYPE, stringify!($view), $view::FIELDS),
                    $( ($other, stringify!($view), $view::FIELDS), )?
                )*];

            /// The view of its type, given the bytes of one message. Only a message that is shorter
            /// than its type says, or empty, is an error.
            // Always: as a call it makes the view whole, of which most callers read a few fields;
            // that takes twice the time.
            #[inline(always)]
            pub fn decode(bytes: &'a [u8]) -> Result<Self, $crate::Error> {
                let Some(&message_type) = bytes.first() else {
                    return Err($crate::Error::Truncated { what: $what, needed: 1, available: 0 });
                };
                match message_type {
                    $( $view::TYPE $(| $other)? => $view::parse(bytes).map($message::$view), )*
                    _ => Ok($message::Unknown { message_type, bytes }),
                }
            }

            /// Its type, byte 0.
            #[inline]
            pub fn message_type(&self) -> u8 {
                match self {
                    $( $message::$view(view) => view.as_bytes()[0], )*
                    $message::Unknown { message_type, .. } => *message_type,
                }
            }

            /// Its fields in the order of their bytes; none of an unknown message.
            pub fn fields(&self) -> &'static [$crate::field::Field] {
                match self {
                    $( $message::$view(_) => $view::FIELDS, )*
                    $message::Unknown { .. } => &[],
                }
            }

            /// The length of a message of that type; `None` when it is unknown. For streams that
            /// lost their lengths.
            #[inline]
            pub fn len_of(message_type: u8) -> Option<usize> {
                match message_type {
                    $( $view::TYPE $(| $other)? => Some($view::LEN), )*
                    _ => None,
                }
            }

            /// Writes its fields over the start of `out`, without what follows them, and an unknown
            /// message whole; the bytes that it took.
            pub fn write(&self, out: &mut [u8]) -> Result<usize, $crate::Error> {
                match self {
                    $(
                        $message::$view(view) => {
                            $crate::message::write(view.to_builder().as_bytes(), $view::NAME, out)
                        }
                    )*
                    $message::Unknown { bytes, .. } => $crate::message::write(bytes, $what, out),
                }
            }
        }
    };
}

/// What every view is, for code that reads entries of any kind.
pub trait View<'a>: Copy {
    /// What it is called in errors.
    const NAME: &'static str;

    /// Its length in bytes.
    const LEN: usize;

    /// As its own `parse`.
    fn view(bytes: &'a [u8]) -> Result<Self, Error>;
}

/// Copies a message over the start of `out`; its length.
pub(crate) fn write(message: &[u8], what: &'static str, out: &mut [u8]) -> Result<usize, Error> {
    let (needed, available) = (message.len(), out.len());
    let place = out.get_mut(..needed).ok_or(Error::NoRoom { what, needed, available })?;
    place.copy_from_slice(message);
    Ok(needed)
}

#[cfg(test)]
#[allow(dead_code)] // What the macros make for users is public there.
mod tests {
    use crate::wire::{Ascii, Code, SinceMidnight};
    use crate::{Error, Price4};

    message! {
        Big, "test order";
        /// An order.
        pub struct Order, OrderBuilder: 25, type b'O' {
            /// Which.
            id @ 1: u16,
            /// When.
            at @ 3: SinceMidnight<6>,
            /// `B` or `S`.
            side @ 9: Code,
            /// What.
            stock @ 10: Ascii<8>,
            /// For how much.
            price @ 18: Price4,
            /// Signed things.
            change @ 22: i16,
            /// The last byte.
            last @ 24: u8,
        }
    }

    message! {
        Little, "test header";
        /// A header without a type.
        pub struct Header, HeaderBuilder: 4 {
            /// Which.
            id @ 0: u32,
        }
    }

    messages! {
        "test message";
        /// Any of them.
        pub enum Any { Order }
    }

    fn order() -> OrderBuilder {
        OrderBuilder::new()
            .id(0x0102)
            .at(SinceMidnight(3))
            .side(Code(b'B'))
            .stock(Ascii::new("AAPL").unwrap())
            .price(crate::Price(630_200))
            .change(-2)
            .last(9)
    }

    #[test]
    fn a_message_is_written_and_read() {
        let built = order();
        let bytes = *b"O\x01\x02\0\0\0\0\0\x03BAAPL    \0\x09\x9d\xb8\xff\xfe\x09";
        assert_eq!(*built.as_bytes(), bytes);
        let view = Order::parse(&bytes).unwrap();
        assert_eq!((view.id(), view.at().0, view.change(), view.last()), (0x0102, 3, -2, 9));
        assert_eq!((view.side(), view.stock().to_string()), (Code(b'B'), "AAPL".into()));
        assert_eq!(view.price().to_string(), "63.0200");
        assert_eq!(view.to_builder(), built);
        let fields: Vec<_> = Order::FIELDS
            .iter()
            .map(|field| format!("{}={}", field.name, field.value(&bytes).unwrap()))
            .collect();
        assert_eq!(
            fields.join(" "),
            "message_type=O id=258 at=00:00:00.000000003 side=B stock=AAPL price=63.0200 \
             change=-2 last=9"
        );
    }

    #[test]
    fn a_header_has_no_type() {
        let header = HeaderBuilder::new().id(0x0102_0304);
        assert_eq!(*header.as_bytes(), [4, 3, 2, 1]);
        assert_eq!(Header::parse(header.as_bytes()).unwrap().id(), 0x0102_0304);
        assert_eq!(
            (Header::FIELDS.len(), Header::parse(&[1, 2, 3, 4, 5]).unwrap().rest()),
            (1, &[5][..])
        );
    }

    #[test]
    fn an_empty_builder_has_blank_text() {
        assert_eq!(
            *OrderBuilder::default().as_bytes(),
            *b"O\0\0\0\0\0\0\0\0         \0\0\0\0\0\0\0"
        );
    }

    #[test]
    fn the_decoder_goes_by_the_type() {
        let built = order();
        let bytes = built.as_bytes();
        let any = Any::decode(bytes).unwrap();
        assert_eq!(any, Any::Order(Order::parse(bytes).unwrap()));
        assert_eq!((any.message_type(), any.fields().len()), (b'O', 8));
        let mut out = [0; 25];
        assert_eq!((any.write(&mut out), out), (Ok(25), *bytes));
        assert_eq!(any.write(&mut out[..24]).unwrap_err().reason(), "no_room");
        assert_eq!((Any::len_of(b'O'), Any::len_of(b'?')), (Some(25), None));
        let unknown = Any::decode(b"?later").unwrap();
        assert_eq!(unknown, Any::Unknown { message_type: b'?', bytes: b"?later" });
        assert_eq!((unknown.message_type(), unknown.fields().len()), (b'?', 0));
        assert_eq!((unknown.write(&mut out), &out[..6]), (Ok(6), &b"?later"[..]));
    }

    #[test]
    fn longer_is_kept_and_shorter_is_an_error() {
        let mut longer = order().as_bytes().to_vec();
        longer.extend(b"new");
        let Any::Order(view) = Any::decode(&longer).unwrap() else { panic!("not an order") };
        assert_eq!((view.id(), view.rest()), (0x0102, &b"new"[..]));
        for available in 1..25 {
            let error = Error::Truncated { what: "test order", needed: 25, available };
            assert_eq!(Any::decode(&longer[..available]), Err(error));
        }
        let error = Error::Truncated { what: "test message", needed: 1, available: 0 };
        assert_eq!(Any::decode(b""), Err(error));
        let error = Error::WrongType { what: "test order", found: b'P' };
        assert_eq!(Order::parse(&[b'P'; 25]), Err(error));
    }
}
