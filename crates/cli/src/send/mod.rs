//! Sending in time: what `generate`, `replay` and `latency` share.
//!
//! ```text
//! source port ──due now──▶ engine ──▶ SendJob ──▶ outlet: UDP sockets | af_packet | af_xdp
//! ```
//!
//! The source is a port whose frames carry the time when they are due, and which gives each out
//! when that has come, never before. All due times are fixed beforehand, so a sender that falls
//! behind catches up, and the lateness shows: nothing waits unseen (open loop).
//!
//! * [`args`]: the flags. * [`schedule`]: when packet n is due. * [`clock`]: when that is.
//! * [`packets`]: what is generated; [`generator`]: the port that it comes from.
//! * [`outlet`]: where packets leave; [`udp`], [`af_packet`], [`af_xdp`]: the kinds of it;
//!   [`open`]: opens one; [`route`]: finds the way there.
//! * [`job`]: hands over what is due, and measures how late. * [`course`]: a run, start to end.
//! * [`distribution`]: times as a histogram. * [`summary`]: the account.

pub mod af_packet;
pub mod af_xdp;
pub mod args;
pub mod clock;
pub mod course;
pub mod distribution;
pub mod generator;
pub mod job;
pub mod open;
pub mod outlet;
pub mod packets;
pub mod route;
pub mod schedule;
pub mod summary;
pub mod udp;
