//! `AF_PACKET` ports on real veth pairs, each test in a lab of its own.

mod link;
mod receive;
mod support;
mod transmit;
