//! What a FIX session is to be like, and what of it cannot be.

use super::order::NewOrderSingle;
use super::outgoing::MESSAGE_BYTES_MAX;
use crate::order::Scale;
use crate::session::Secret;
use std::sync::Arc;
use tickwire_market::fix::{SOH, dictionary::Dictionary};

/// The greatest HeartBtInt (108), in seconds: a peer that is gone is noticed within three of them.
pub const HEARTBEAT_S_MAX: u32 = 3_600;

/// The most orders that may be open: waiting for an answer, or in the market.
pub const ORDERS_OPEN_MAX: usize = 1 << 16;

/// Fields that the session writes into every message.
const HEADER: [u32; 11] = [8, 9, 10, 34, 35, 43, 49, 52, 56, 97, 122];
/// Fields that it writes into a Logon.
const LOGON: [u32; 5] = [98, 108, 141, 553, 554];
/// Fields that it writes into an order.
const ORDER: [u32; 7] = [11, 38, 40, 44, 54, 55, 60];

/// A version of FIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixVersion {
    /// FIX 4.2.
    Fix42,
    /// FIX 4.4.
    Fix44,
}

impl FixVersion {
    /// BeginString (8).
    pub const fn begin_string(self) -> &'static str {
        match self {
            FixVersion::Fix42 => "FIX.4.2",
            FixVersion::Fix44 => "FIX.4.4",
        }
    }
}

/// What a FIX session is to be like. [`FixSettings::new`] has what most peers want.
#[derive(Clone, Debug)]
pub struct FixSettings {
    /// What is spoken.
    pub version: FixVersion,
    /// SenderCompID (49) of what we send.
    pub sender: String,
    /// TargetCompID (56) of what we send.
    pub target: String,
    /// HeartBtInt (108) in seconds, 1 to [`HEARTBEAT_S_MAX`]; 30.
    pub heartbeat_s: u32,
    /// Username (553) of the Logon.
    pub username: Option<String>,
    /// Password (554) of the Logon.
    pub password: Option<Secret>,
    /// ResetSeqNumFlag (141): numbers begin at 1 with each connection. Then the peer has to be
    /// asked what became of an order that was on its way when a connection broke. `false`.
    pub reset_on_logon: bool,
    /// Whether the peer may reset the numbers by a Logon of its own; `false`: it is shut out.
    pub peer_may_reset: bool,
    /// A TestRequest follows the Logon, and orders wait for its answer: by then the peer has asked
    /// for all that it misses, and no order waits behind a gap. `true`.
    pub test_after_logon: bool,
    /// How old, in milliseconds, an order may be that is sent again (PossDupFlag) when the peer
    /// asks for it. What is older is skipped by a gap fill and is [`Unsent`]; 0: all are, because
    /// a late order is a dangerous one.
    ///
    /// [`Unsent`]: crate::EventKind::Unsent
    pub resend_orders_ms: u64,
    /// How far SendingTime (52) of the peer may be from our clock, in seconds; 120. `None`: any.
    pub sending_time_s_max: Option<u64>,
    /// The most orders that may be open at one time, 1 to [`ORDERS_OPEN_MAX`]; 16384.
    pub orders_open_max: usize,
    /// Decimals that the price of an order is written with, at most those of the scale; 2.
    pub price_decimals: u32,
    /// More fields of the header of each message, such as SenderSubID (50).
    pub header_fields: Vec<(u32, String)>,
    /// More fields of the Logon, such as what switches a venue's cancel on disconnect on.
    pub logon_fields: Vec<(u32, String)>,
    /// More fields of each order: Account (1), ExDestination (100). HandlInst (21) is 1, and
    /// TimeInForce (59) is 0 (day), if not set otherwise.
    pub order_fields: Vec<(u32, String)>,
    /// What each message of the peer must follow, or it gets a Reject and is not read; `None`: what
    /// is needed of a message is looked at alone, so that no report of an execution is refused for
    /// a field that nobody reads.
    pub dictionary: Option<Arc<Dictionary>>,
}

impl FixSettings {
    /// What most peers want.
    pub fn new(version: FixVersion, sender: &str, target: &str) -> Self {
        FixSettings {
            version,
            sender: sender.to_owned(),
            target: target.to_owned(),
            heartbeat_s: 30,
            username: None,
            password: None,
            reset_on_logon: false,
            peer_may_reset: false,
            test_after_logon: true,
            resend_orders_ms: 0,
            sending_time_s_max: Some(120),
            orders_open_max: 16_384,
            price_decimals: 2,
            header_fields: Vec::new(),
            logon_fields: Vec::new(),
            order_fields: vec![(21, "1".to_owned()), (59, "0".to_owned())],
            dictionary: None,
        }
    }

    /// Whether all of it can be kept.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self, scale: Scale) -> Result<(), FixSettingsError> {
        use FixSettingsError as Error;
        let password = self.password.as_ref().map(|Secret(text)| text);
        let texts = [
            ("sender", Some(&self.sender)),
            ("target", Some(&self.target)),
            ("username", self.username.as_ref()),
            ("password", password),
        ];
        for (key, text) in texts.into_iter().filter_map(|(key, text)| Some((key, text?))) {
            check_text(key, text)?;
        }
        let lists: [(_, _, &[u32]); 3] = [
            ("header_fields", &self.header_fields, &[]),
            ("logon_fields", &self.logon_fields, &LOGON),
            ("order_fields", &self.order_fields, &ORDER),
        ];
        for (key, fields, own) in lists {
            for (tag, value) in fields {
                if *tag == 0 || HEADER.contains(tag) || own.contains(tag) {
                    return Err(Error::Reserved { key, tag: *tag });
                }
                check_text(key, value)?;
            }
        }
        match () {
            () if !(1..=HEARTBEAT_S_MAX).contains(&self.heartbeat_s) => Err(Error::Heartbeat),
            () if !(1..=ORDERS_OPEN_MAX).contains(&self.orders_open_max) => Err(Error::OrdersOpen),
            () if self.logon_bytes() > MESSAGE_BYTES_MAX => Err(Error::LogonTooLong),
            () if self.price_decimals > scale.0 => Err(Error::Decimals { scale: scale.0 }),
            () => NewOrderSingle::new(self, scale).map(|_| ()),
        }
    }

    /// At least as many as a Logon has.
    fn logon_bytes(&self) -> usize {
        let fields = self.header_fields.iter().chain(&self.logon_fields);
        // The session's own fields have at most four texts and 200 bytes.
        let own = 4 * TEXT_BYTES_MAX + 200;
        own + fields.map(|(_, text)| text.len() + "4294967295=|".len()).sum::<usize>()
    }
}

/// The most bytes of one text.
const TEXT_BYTES_MAX: usize = 128;

fn check_text(key: &'static str, text: &str) -> Result<(), FixSettingsError> {
    let is_bad = text.is_empty() || text.len() > TEXT_BYTES_MAX || text.as_bytes().contains(&SOH);
    if is_bad { Err(FixSettingsError::Text { key }) } else { Ok(()) }
}

/// What of [`FixSettings`] cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixSettingsError {
    /// A text is empty, too long, or would end its field.
    #[error("`{key}` is empty, longer than {TEXT_BYTES_MAX} bytes or holds SOH: write plain text")]
    Text {
        /// The setting.
        key: &'static str,
    },
    /// A field is the session's.
    #[error("`{key}` sets field {tag}, which is the session's own: leave it out")]
    Reserved {
        /// The setting.
        key: &'static str,
        /// The field.
        tag: u32,
    },
    /// No usable HeartBtInt.
    #[error("`heartbeat_s` is out of range: write 1 to {HEARTBEAT_S_MAX} seconds")]
    Heartbeat,
    /// Too few or too many open orders.
    #[error("`orders_open_max` is out of range: write 1 to {ORDERS_OPEN_MAX}")]
    OrdersOpen,
    /// More decimals than any price has.
    #[error(
        "`price_decimals` is more than the {scale} decimals of prices here: write at most that"
    )]
    Decimals {
        /// Decimals of the scale.
        scale: u32,
    },
    /// The bytes of an order that are always the same are too many.
    #[error("`header_fields` and `order_fields` make an order too long: leave some out")]
    OrderTooLong,
    /// The Logon is too long.
    #[error("`header_fields` and `logon_fields` make the Logon too long: leave some out")]
    LogonTooLong,
}
