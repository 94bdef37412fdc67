//! Next hops on real veth pairs, each test in a lab of its own.

mod links;
mod neighbours;
mod support;
