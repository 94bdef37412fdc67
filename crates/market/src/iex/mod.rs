//! IEX: the transport [`tp`] with its [`gap_fill`] requests.
//!
//! Little-endian; times are nanoseconds since 1970-01-01 00:00 UTC.

pub mod gap_fill;
pub mod tp;
