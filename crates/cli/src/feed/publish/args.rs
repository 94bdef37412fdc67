//! Flags that say what packets a file is put into.

use crate::exit::Failure;
use crate::units::parse_duration;
use clap::Args;
use std::time::Duration;
use tickwire_market::moldudp64::{MESSAGES_MAX, Session};
use tickwire_market::publish::{Limits, PAYLOAD_BYTES, PAYLOAD_BYTES_MAX};

/// The shortest packet that can be asked for, in bytes: every message of ITCH 5.0 fits.
const SIZE_BYTES_MIN: i64 = 128;

/// What packets consist of.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Packets")]
pub struct PacketArgs {
    /// The session of MoldUDP64: up to 10 characters
    #[arg(long, value_name = "NAME", default_value = "TICKWIRE01", value_parser = parse_session)]
    pub session: Session,

    /// The most messages of a packet; as many as fit without it
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(MESSAGES_MAX)))]
    pub messages: Option<u16>,

    /// How long a message waits for others to fill its packet; 0: only those of the same time
    /// share one
    #[arg(long, value_name = "TIME", default_value = "50us", value_parser = parse_duration)]
    pub flush: Duration,

    /// A heartbeat when nothing else was sent for so long; 0: none
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub heartbeat: Duration,

    /// How long the end of the session is repeated, once a heartbeat
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub linger: Duration,
}

/// How long packets are.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Packets")]
pub struct SizeArgs {
    /// The longest UDP payload, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = PAYLOAD_BYTES as u16)]
    #[arg(value_parser = clap::value_parser!(u16).range(SIZE_BYTES_MIN..=PAYLOAD_BYTES_MAX as i64))]
    pub size: u16,
}

impl PacketArgs {
    /// When a packet of up to `payload_bytes_max` bytes is full, and how long it may take.
    pub fn limits(&self, payload_bytes_max: usize) -> Result<Limits, Failure> {
        /// Heartbeats that come closer together would be all that there is.
        const HEARTBEAT_MS_MIN: u128 = 1;
        if !self.heartbeat.is_zero() && self.heartbeat.as_millis() < HEARTBEAT_MS_MIN {
            return Err(Failure::usage("--heartbeat is 1ms at least, or 0 for none"));
        }
        let heartbeat_ns = if self.heartbeat.is_zero() { u64::MAX } else { ns(self.heartbeat) };
        Ok(Limits {
            payload_bytes_max,
            messages_max: self.messages.unwrap_or(MESSAGES_MAX),
            flush_ns: ns(self.flush),
            heartbeat_ns,
        })
    }
}

/// A time in nanoseconds; one that is too long is for ever.
pub fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn parse_session(text: &str) -> Result<Session, String> {
    let is_ascii = text.bytes().all(|byte| byte.is_ascii_graphic());
    Session::new(text)
        .filter(|_| is_ascii && !text.is_empty())
        .ok_or_else(|| "write 1 to 10 letters, digits or signs".to_owned())
}
