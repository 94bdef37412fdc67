//! A port in memory for tests of the run loop: it plays a script of batch sizes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tickwire_capture::{Mode, Port, PortError, Received, Sent};
use tickwire_filter::Filter;
use tickwire_frame::{Batch, Frame, Ledger, Reason, Timestamp};

/// What the next `receive` does.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each test file plays a part of them")]
pub enum Step {
    /// So many frames.
    Frames(usize),
    /// One ARP frame.
    Arp,
    /// Nothing now.
    Idle,
    /// The port breaks.
    Fail,
    /// The worker's thread panics.
    Panic,
}

/// Plays `script`, then ends; or is idle for ever when `endless`.
#[derive(Debug)]
pub struct Scripted {
    pub script: Vec<Step>,
    pub endless: bool,
    pub lost_in_kernel: u64,
    pub after_quiesce: Vec<Step>,
    pub frame: Vec<u8>,
    pub arp: Vec<u8>,
    /// How many filters the port was given.
    pub offered: Arc<AtomicU64>,
}

impl Scripted {
    pub fn new(mut script: Vec<Step>) -> Self {
        script.reverse();
        Scripted {
            script,
            endless: false,
            lost_in_kernel: 0,
            after_quiesce: Vec::new(),
            frame: vec![0; 60],
            arp: [vec![0; 12], vec![8, 6], vec![0; 46]].concat(),
            offered: Arc::default(),
        }
    }
}

impl Port for Scripted {
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        match self.script.pop() {
            Some(Step::Frames(count)) => {
                for _ in 0..count {
                    batch.push(Frame::new(&self.frame, Timestamp::ZERO));
                }
                Ok(Received::Frames)
            }
            Some(Step::Arp) => {
                batch.push(Frame::new(&self.arp, Timestamp::ZERO));
                Ok(Received::Frames)
            }
            Some(Step::Fail) => Err(PortError::Broken("the script says so".into())),
            Some(Step::Panic) => panic!("the script says so"),
            Some(Step::Idle) => Ok(Received::Idle),
            None if self.endless => Ok(Received::Idle),
            None => Ok(Received::End),
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        std::thread::sleep(timeout.min(Duration::from_millis(5)));
        Ok(())
    }

    fn transmit(&mut self, _: &[&[u8]]) -> Result<Sent, PortError> {
        Ok(Sent::default())
    }

    fn tick(&mut self, ledger: &mut Ledger) -> Result<(), PortError> {
        ledger.lost(Reason::PacketDropped, std::mem::take(&mut self.lost_in_kernel));
        Ok(())
    }

    fn set_filter(&mut self, _: &Filter) -> Result<(), PortError> {
        self.offered.fetch_add(1, Relaxed);
        Ok(())
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        // What was queued before comes first; the script is played from its end.
        let mut script = std::mem::take(&mut self.after_quiesce);
        script.reverse();
        script.append(&mut self.script);
        self.script = script;
        self.endless = true;
        Ok(())
    }

    fn mode(&self) -> Mode {
        Mode { port: "scripted", mode: "test".into(), why: String::new() }
    }
}
