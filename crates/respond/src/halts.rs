//! Whether an instrument trades, where its feed says so.
//!
//! * ITCH 5.0: *Stock Trading Action* (`H`): anything but `T` is a halt; *Operational Halt* (`h`)
//!   of Nasdaq's own market. Nasdaq TotalView-ITCH 5.0, 1.2.2 and 1.2.9.
//! * IEX: *Trading Status* (`H`): anything but `T` is a halt; *Operational Halt Status* (`O`).
//!
//! What was not said to be halted trades: a feed may be joined at any time of the day.

use tickwire_market::iex::common::{OperationalHaltStatus, TradingStatus};
use tickwire_market::itch50::{OperationalHalt, StockTradingAction};
use tickwire_market::{Message, Protocol};

/// Of each instrument, which of the two said halt: bit 0 trading, bit 1 operational.
#[derive(Clone, Debug)]
pub(crate) struct Halts(Vec<u8>);

const TRADING: u8 = 1;
const OPERATIONAL: u8 = 2;
const NASDAQ: u8 = b'Q';

impl Halts {
    pub(crate) fn new(instruments: usize) -> Self {
        Halts(vec![0; instruments])
    }

    /// A message of `instrument`.
    #[inline]
    pub(crate) fn apply(&mut self, instrument: u32, message: &Message<'_>) {
        if !matches!(message.bytes.first(), Some(b'H' | b'h' | b'O')) {
            return;
        }
        let said = match message.protocol {
            Protocol::Itch50 => itch(message.bytes),
            Protocol::Tops | Protocol::Deep | Protocol::DeepPlus => iex(message.bytes),
            _ => None,
        };
        if let (Some((bit, halted)), Some(bits)) = (said, self.0.get_mut(instrument as usize)) {
            *bits = if halted { *bits | bit } else { *bits & !bit };
        }
    }

    #[inline]
    pub(crate) fn is_halted(&self, instrument: u32) -> bool {
        self.0.get(instrument as usize).is_some_and(|&bits| bits != 0)
    }
}

#[cold]
fn itch(bytes: &[u8]) -> Option<(u8, bool)> {
    match bytes.first()? {
        b'H' => {
            let action = StockTradingAction::parse(bytes).ok()?;
            Some((TRADING, action.trading_state().0 != b'T'))
        }
        b'h' => {
            let halt = OperationalHalt::parse(bytes).ok()?;
            let ours = halt.market_code().0 == NASDAQ;
            ours.then_some((OPERATIONAL, halt.operational_halt_action().0 != b'T'))
        }
        _ => None,
    }
}

#[cold]
fn iex(bytes: &[u8]) -> Option<(u8, bool)> {
    match bytes.first()? {
        b'H' => {
            let status = TradingStatus::parse(bytes).ok()?;
            Some((TRADING, status.trading_status().0 != b'T'))
        }
        b'O' => {
            let status = OperationalHaltStatus::parse(bytes).ok()?;
            Some((OPERATIONAL, status.operational_halt_status().0 != b'N'))
        }
        _ => None,
    }
}
