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

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_market::iex::common::{OperationalHaltStatusBuilder, TradingStatusBuilder};
    use tickwire_market::itch50::{OperationalHaltBuilder, StockTradingActionBuilder};
    use tickwire_market::{Code, iex, itch50};

    struct Run(Halts, Protocol);

    impl Run {
        fn apply(&mut self, instrument: u32, bytes: &[u8]) -> bool {
            let message = Message { protocol: self.1, sequence: 1, bytes };
            self.0.apply(instrument, &message);
            self.0.is_halted(instrument)
        }
    }

    #[test]
    fn itch_halts_and_resumes() {
        let mut run = Run(Halts::new(2), Protocol::Itch50);
        let action =
            |state| *StockTradingActionBuilder::new().trading_state(Code(state)).as_bytes();
        assert!(!run.0.is_halted(0) && !run.0.is_halted(9));
        for state in *b"HPQ" {
            assert!(run.apply(1, &action(state)));
            assert!(!run.apply(1, &action(b'T')));
        }
        let halt = |market, action| {
            let halt = OperationalHaltBuilder::new().market_code(Code(market));
            *halt.operational_halt_action(Code(action)).as_bytes()
        };
        // Of another market of Nasdaq.
        assert!(!run.apply(1, &halt(b'B', b'H')));
        assert!(run.apply(1, &halt(b'Q', b'H')));
        // Each is resumed by itself.
        assert!(run.apply(1, &action(b'T')) && run.apply(1, &action(b'H')));
        assert!(run.apply(1, &halt(b'Q', b'T')) && !run.0.is_halted(0));
        assert!(!run.apply(1, &action(b'T')));
        for len in 1..itch50::StockTradingAction::LEN {
            assert!(!run.apply(1, &action(b'H')[..len]), "cut to {len}");
        }
        run.apply(7, &action(b'H'));
    }

    #[test]
    fn iex_halts_and_resumes() {
        let mut run = Run(Halts::new(1), Protocol::Deep);
        let status = |state| *TradingStatusBuilder::new().trading_status(Code(state)).as_bytes();
        let halt = |state| {
            let halt = OperationalHaltStatusBuilder::new();
            *halt.operational_halt_status(Code(state)).as_bytes()
        };
        for state in *b"HOP" {
            assert!(run.apply(0, &status(state)) && !run.apply(0, &status(b'T')));
        }
        assert!(run.apply(0, &halt(b'O')) && !run.apply(0, &halt(b'N')));
        assert_eq!(iex::common::TradingStatus::LEN, status(b'T').len());
        run.1 = Protocol::Nanonet;
        assert!(!run.apply(0, &status(b'H')));
    }
}
