//! Several UDP ports as one: a single worker follows any number of subscribers.

use arrayvec::ArrayVec;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tickwire_capture::udp::UdpPort;
use tickwire_capture::{KernelCounter, Mode, Port, PortError, Received, Sent};
use tickwire_frame::{Batch, Ledger};

/// Sockets that one look at the kernel's list can name.
const READY_MAX: usize = 64;

/// UDP ports in a row. A batch comes from one of them; its `interface` says from which.
pub struct Feeds {
    ports: Vec<UdpPort>,
    epoll: OwnedFd,
    /// Ports that had something when the kernel was asked last.
    ready: ArrayVec<usize, READY_MAX>,
}

impl Feeds {
    /// Watches `ports`.
    pub fn new(ports: Vec<UdpPort>) -> Result<Self, PortError> {
        let watch = || {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            for (index, port) in ports.iter().enumerate() {
                let data = epoll::EventData::new_u64(index as u64);
                epoll::add(&epoll, port, data, epoll::EventFlags::IN)?;
            }
            Ok::<_, Errno>(epoll)
        };
        let epoll = watch().map_err(|error| {
            PortError::system("watch several sockets", error, "see `ulimit -n`")
        })?;
        Ok(Feeds { ports, epoll, ready: ArrayVec::new() })
    }

    /// Asks the kernel which ports have something.
    fn look(&mut self, timeout: Duration) -> Result<(), PortError> {
        let timeout = Timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut events = [MaybeUninit::uninit(); READY_MAX];
        self.ready.clear();
        match epoll::wait(&self.epoll, &mut events[..], Some(&timeout)) {
            Ok((events, _)) => {
                self.ready.extend(events.iter().map(|event| event.data.u64() as usize));
                Ok(())
            }
            // A signal: the caller looks whether it should stop.
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(PortError::system("wait for datagrams", error, "")),
        }
    }
}

impl Port for Feeds {
    fn receive<'p>(&'p mut self, batch: &mut Batch<'p>) -> Result<Received, PortError> {
        if self.ready.is_empty() {
            self.look(Duration::ZERO)?;
        }
        let Some(index) = self.ready.pop() else { return Ok(Received::Idle) };
        let received = self.ports[index].receive(batch)?;
        batch.interface = index as u32;
        Ok(received)
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PortError> {
        if self.ready.is_empty() { self.look(timeout) } else { Ok(()) }
    }

    fn transmit(&mut self, _: &[&[u8]]) -> Result<Sent, PortError> {
        Err(PortError::Unsupported { what: "feeds are only received".into(), cure: String::new() })
    }

    fn tick(&mut self, ledger: &mut Ledger) -> Result<(), PortError> {
        self.ports.iter_mut().try_for_each(|port| port.tick(ledger))
    }

    fn quiesce(&mut self) -> Result<(), PortError> {
        self.ports.iter_mut().try_for_each(Port::quiesce)
    }

    fn take_notice(&mut self) -> Option<String> {
        self.ports.iter_mut().find_map(Port::take_notice)
    }

    fn kernel_counters(&mut self) -> Vec<KernelCounter> {
        self.ports.iter_mut().flat_map(Port::kernel_counters).collect()
    }

    fn mode(&self) -> Mode {
        let mut mode = self.ports[0].mode();
        if self.ports.len() > 1 {
            mode.mode = format!("{} sockets, {}", self.ports.len(), mode.mode);
        }
        mode
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, UdpSocket};
    use tickwire_capture::udp::UdpConfig;

    #[test]
    fn every_feed_is_heard_and_told_apart() {
        let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let open = |_| UdpPort::open(&UdpConfig::new(loopback)).expect("a free port");
        let ports: Vec<UdpPort> = (0..70).map(open).collect();
        let addresses: Vec<SocketAddr> = ports.iter().map(UdpPort::listen).collect();
        let mut feeds = Feeds::new(ports).expect("descriptors");
        let sender = UdpSocket::bind(loopback).expect("a free port");
        for address in &addresses {
            sender.send_to(b"tick", address).expect("loopback");
            sender.send_to(b"tock", address).expect("loopback");
        }
        let mut heard = vec![0; addresses.len()];
        while heard.iter().sum::<usize>() < 140 {
            let mut batch = Batch::new();
            match feeds.receive(&mut batch).expect("sockets") {
                Received::Frames => heard[batch.interface as usize] += batch.len(),
                _ => feeds.wait(Duration::from_secs(10)).expect("sockets"),
            }
        }
        assert!(heard.iter().all(|&count| count == 2), "{heard:?}");
    }
}
