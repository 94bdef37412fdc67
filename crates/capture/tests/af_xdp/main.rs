//! AF_XDP ports on real veth pairs, each test in a lab of its own. Numbers like E3 are the rows of
//! the table of kernel behaviour in docs/kernel-behaviour.md.

mod link;
mod receive;
mod support;
mod transmit;
