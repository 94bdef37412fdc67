//! Orders as the bytes that a target takes.
//!
//! All of an order that does not change is written once, when the configuration is loaded; what
//! differs from one order to the next are *holes* of fixed place and width, and only these are
//! filled on the hot path. A [`Format`] says where they are; an [`Encoder`] fills them, with prices
//! of the configuration's [`Scale`].
//!
//! * [`Format::nanonet`]: the 41 bytes of NanoNet's order, in either order of bytes.
//! * [`Format::ouch42`], [`Format::ouch50`]: Enter Order of Nasdaq's OUCH.
//! * [`Format::template`]: a text of the user's, for any format of fixed length.
//!
//! An order's number becomes a client order id of 13 characters ([`client_order_id`]), which
//! exchanges echo; [`order_number`] reads it back. Nothing is rounded or cut: a price or quantity
//! that a format cannot hold is [`Reason::NotRepresentable`].

mod client_order_id;
mod hole;
mod ouch;
mod template;

pub use client_order_id::{CLIENT_ORDER_ID_BYTES, client_order_id, order_number};
pub use ouch::{Ouch42, Ouch50, OuchError};
pub use template::TemplateError;

use crate::order::{Order, Scale};
pub(crate) use hole::{Fill, Hole, Layout, Source};
use hole::{Filler, numbers};
use tickwire_frame::Reason;

/// The longest order: what a buffer to encode into needs at most.
pub const ORDER_BYTES_MAX: usize = 512;

/// The order of the bytes of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// The least significant byte first.
    Little,
    /// The most significant byte first.
    Big,
}

/// How the orders of a target look: bytes that are always the same, with holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
}

impl Format {
    /// NanoNet's order, 41 bytes: symbol, price in cents, quantity, side (0 buy, 1 sell), time,
    /// client order id ended by NUL (see `market::nanonet`).
    pub fn nanonet(order: ByteOrder) -> Self {
        let layout = match order {
            ByteOrder::Little => Layout::Little,
            ByteOrder::Big => Layout::Big,
        };
        let mut format = Format::empty();
        format.hole(8, Fill::Symbol);
        format.number(4, Source::Price { decimals: 2 }, layout);
        format.number(4, Source::Quantity, layout);
        format.hole(1, Fill::Side([0, 1, 1]));
        format.number(8, Source::Time, layout);
        format.client_order_id(16, 0);
        format
    }

    /// Enter Order of OUCH 4.2, 49 bytes: the token is the client order id.
    ///
    /// # Errors
    /// [`OuchError`] names the setting that is none of the specification.
    pub fn ouch42(settings: &Ouch42) -> Result<Self, OuchError> {
        ouch::enter_order_42(settings)
    }

    /// Enter Order of OUCH 5.0, 47 bytes and the appendage. Its UserRefNum, bytes 1 to 4, is 0:
    /// the session knows which is next.
    ///
    /// # Errors
    /// [`OuchError`] names the setting that is none of the specification.
    pub fn ouch50(settings: &Ouch50) -> Result<Self, OuchError> {
        ouch::enter_order_50(settings)
    }

    /// A format of the user's: bytes as pairs of hexadecimal digits, text in quotation marks, and
    /// holes in braces, with spaces and line ends between them as one likes. NanoNet's order is
    ///
    /// ```text
    /// {symbol:8} {price:4le.2} {quantity:4le} {side:00/01} {time:8le} {clordid:16nul}
    /// ```
    ///
    /// * `{symbol:8}`: the symbol in that many bytes, padded with spaces;
    /// * `{side:B/S}`, `{side:42/53/54}`: a byte to buy, to sell, to sell short, as a character or
    ///   two hexadecimal digits;
    /// * `{price:4le.2}`: the price, an integer of 4 bytes with 2 decimals;
    /// * `{quantity:4be}`: how many;
    /// * `{number:8be}`: the number of the order, unique, across restarts, too;
    /// * `{time:8le}`: when it was decided, in nanoseconds since 1970 UTC;
    /// * `{clordid:16}`, `{clordid:16nul}`: the client order id, 13 characters, padded with spaces
    ///   or NULs.
    ///
    /// A number is `le` (the least significant byte first), `be` (the most significant byte first)
    /// or `text` (digits with zeros before them: `{price:9text.2}` is `000100.00`), and may have a
    /// greatest value: `{quantity:4be max 999999}`.
    ///
    /// # Errors
    /// [`TemplateError`] points at the word.
    pub fn template(text: &str) -> Result<Self, TemplateError> {
        template::parse(text)
    }

    /// Bytes of an order; at most [`ORDER_BYTES_MAX`].
    pub fn order_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Decimals of its price: the [`Scale`] of a configuration should have as many, or an encoder
    /// has to multiply. 0 when it has no price.
    pub fn decimals(&self) -> u32 {
        let decimals = self.holes.iter().map(|hole| match hole.fill {
            Fill::Number { of: Source::Price { decimals }, .. } => decimals,
            _ => 0,
        });
        decimals.max().unwrap_or(0)
    }

    /// Whether numbers stand in it as digits.
    pub fn has_text_numbers(&self) -> bool {
        let is_text =
            |hole: &Hole| matches!(hole.fill, Fill::Number { layout: Layout::Text { .. }, .. });
        self.holes.iter().any(is_text)
    }

    /// What does not change, with zeros in the holes, and the holes.
    pub(crate) fn parts(&self) -> (&[u8], &[Hole]) {
        (&self.bytes, &self.holes)
    }

    fn empty() -> Self {
        Format { bytes: Vec::new(), holes: Vec::new() }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn hole(&mut self, width: usize, fill: Fill) {
        self.holes.push(Hole { at: self.bytes.len(), width, fill });
        self.bytes.resize(self.bytes.len() + width, 0);
    }

    /// A client order id in `width` bytes, which are enough, padded with `pad`.
    fn client_order_id(&mut self, width: usize, pad: u8) {
        self.hole(CLIENT_ORDER_ID_BYTES, Fill::ClientOrderId);
        self.bytes.resize(self.bytes.len() + width - CLIENT_ORDER_ID_BYTES, pad);
    }

    fn number(&mut self, width: usize, of: Source, layout: Layout) {
        self.hole(width, Fill::Number { of, layout, max: layout.max(width) });
    }
}

/// Writes orders of one format.
#[derive(Clone, Debug)]
pub struct Encoder {
    bytes: Box<[u8]>,
    fillers: Box<[Filler]>,
}

impl Encoder {
    /// Of orders whose prices have that `scale`.
    pub fn new(format: &Format, scale: Scale) -> Self {
        let fillers = format.holes.iter().map(|hole| Filler::new(hole, scale)).collect();
        Encoder { bytes: format.bytes.as_slice().into(), fillers }
    }

    /// Writes `order` over the start of `out`: how many bytes it took. Allocates nothing.
    ///
    /// # Errors
    /// [`Reason::NotRepresentable`] when the price or quantity does not fit its hole exactly,
    /// [`Reason::TooLong`] when `out` is shorter than an order. `out` holds nothing of use then.
    #[inline]
    pub fn encode(&self, order: &Order, out: &mut [u8]) -> Result<usize, Reason> {
        let out = out.get_mut(..self.bytes.len()).ok_or(Reason::TooLong)?;
        out.copy_from_slice(&self.bytes);
        let numbers = numbers(order);
        for filler in &self.fillers {
            filler.write(order, &numbers, out)?;
        }
        Ok(out.len())
    }

    /// Bytes of an order; at most [`ORDER_BYTES_MAX`].
    pub fn order_bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests;
