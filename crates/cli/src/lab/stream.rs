//! Orders over a connection, one at a time: another one ends the one before.

use super::exchange::{Course, cannot_listen};
use crate::exit::{Failure, say};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// So soon are a stop and a due heartbeat noticed.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// What is read at a time.
const READ_BYTES: usize = 1 << 16;

/// Where connections come in, and the one that is there.
pub struct Stream {
    listener: TcpListener,
    peer: Option<(TcpStream, SocketAddr)>,
}

impl Stream {
    /// Opens the port.
    pub fn open(listen: SocketAddr) -> Result<(Stream, SocketAddr), Failure> {
        let open = || {
            let listener = TcpListener::bind(listen)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((Stream { listener, peer: None }, address))
        };
        open().map_err(|error| cannot_listen(listen, &error))
    }

    /// Takes orders until it is told to stop.
    pub fn serve(&mut self, course: &mut Course) -> Result<(), Failure> {
        let mut buffer = vec![0; READ_BYTES];
        while !course.is_stopped() {
            let (is_new, is_peer) = self.wait(!course.output().is_empty())?;
            if is_new {
                self.accept(course);
            } else if is_peer && let Err(why) = self.exchange(&mut buffer, course) {
                self.close(&why, course);
            }
            if let Err(why) = course.tick()?.and_then(|()| self.flush(course)) {
                self.close(&why, course);
            }
        }
        Ok(())
    }

    /// Whether somebody connects, and whether the peer has something for us or takes more.
    fn wait(&self, has_output: bool) -> Result<(bool, bool), Failure> {
        let wanted = if has_output { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let mut ready = vec![PollFd::new(&self.listener, PollFlags::IN)];
        ready.extend(self.peer.iter().map(|(stream, _)| PollFd::new(stream, wanted)));
        match poll(&mut ready, Some(&WAIT)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::failed(format_args!("cannot wait: {error}"))),
        }
        let is_ready = |at: usize| ready.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ok((is_ready(0), is_ready(1)))
    }

    fn accept(&mut self, course: &mut Course) {
        let Ok((stream, address)) = self.listener.accept() else { return };
        if stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_err() {
            return;
        }
        if self.peer.is_some() {
            self.close("another one came", course);
        }
        say(format_args!("tickwire: {address} connected\n"));
        self.peer = Some((stream, address));
        course.connected();
    }

    /// Reads what is there, and answers.
    fn exchange(&mut self, buffer: &mut [u8], course: &mut Course) -> Result<(), String> {
        let Some((stream, _)) = &mut self.peer else { return Ok(()) };
        match stream.read(buffer) {
            Ok(0) => Err("the peer closed it".to_owned()),
            Ok(len) => {
                let taken = course.received(&buffer[..len]);
                // A refusal is said before the connection ends.
                self.flush(course).and(taken)
            }
            Err(error) if is_transient(&error) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn flush(&mut self, course: &mut Course) -> Result<(), String> {
        let Some((stream, _)) = &mut self.peer else { return Ok(()) };
        while !course.output().is_empty() {
            match stream.write(course.output()) {
                Ok(len) => course.sent(len),
                Err(error) if is_transient(&error) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    fn close(&mut self, why: &str, course: &mut Course) {
        if let Some((_, address)) = self.peer.take() {
            say(format_args!("tickwire: {address} closed: {why}\n"));
            course.disconnected();
        }
    }
}

fn is_transient(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
