//! AF_XDP ports on real veth pairs, each test in a lab of its own. Numbers like E3 name the
//! behaviour of the kernel that a test is about.

mod attach;
mod link;
mod mtu;
mod receive;
mod stage;
mod support;
mod transmit;
mod transmitter;
