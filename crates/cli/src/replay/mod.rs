//! `tickwire replay`: the packets of a capture file, sent at recorded, scaled or any other speed.
//!
//! * [`args`]: the flags. * [`command`]: the course of a run.
//! * [`timeline`]: when a recorded packet is due. * [`playback`]: the port that plays a file.

mod args;
mod command;
pub mod playback;
pub mod timeline;

pub use args::ReplayArgs;
pub use command::{Report, play, run};
