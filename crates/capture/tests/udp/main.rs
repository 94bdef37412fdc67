//! UDP ports and senders on real veth pairs, each test in a lab of its own.

mod receive;
mod send;
mod share;
mod support;
