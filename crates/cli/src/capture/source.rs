//! What packets come from: a file, or the queues of an interface.

use super::args::{CaptureArgs, PortChoice, Queues, SNAPLEN_BYTES_MAX};
use super::filter::CaptureFilter;
use crate::exit::Failure;
use std::path::Path;
use tickwire_capture::file::{FilePort, Interface, Progress};
use tickwire_capture::{Mode, Port, auto};
use tickwire_frame::{Batch, LinkType};

/// Ports that are open, each for one worker.
pub struct Source {
    /// Name of the worker, and its port.
    pub ports: Vec<(String, Box<dyn Port>)>,
    /// Whether packets come from an interface, which does not wait for us.
    pub is_live: bool,
    /// The interfaces that are known already, by `Batch::interface`.
    pub interfaces: Vec<Interface>,
    /// How far the file is read.
    pub progress: Option<Progress>,
    /// The port in force when it was opened.
    pub mode: Mode,
    /// What is captured, for people: `eth0, queues 0-3`.
    pub what: String,
}

/// How packets of an interface are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// How they are received.
    pub port: PortChoice,
    /// On which queues; all of them without.
    pub queues: Option<&'a Queues>,
    /// Bytes of each.
    pub snaplen: u32,
    /// Those for other machines, too.
    pub promiscuous: bool,
    /// Memory for what is not read yet, in KiB.
    pub buffer_kib: Option<u32>,
}

/// Opens what `args` ask for.
pub fn open(args: &CaptureArgs, filter: &CaptureFilter) -> Result<Source, Failure> {
    let wanted = Wanted {
        port: args.engine.port,
        queues: args.engine.queues.as_ref(),
        snaplen: args.limits.snaplen,
        promiscuous: args.promiscuous,
        buffer_kib: args.engine.buffer_size,
    };
    match (&args.read, &args.interface) {
        (Some(path), _) => open_file(path, FilePort::open(path).map_err(Failure::failed)?, filter),
        (None, Some(interface)) => open_interface(interface, &wanted, filter),
        (None, None) => Err(Failure::usage("give an interface (-i IF) or a file (-r FILE)")),
    }
}

/// The source that `port` is, which has `path` open.
pub fn open_file(path: &Path, port: FilePort, filter: &CaptureFilter) -> Result<Source, Failure> {
    let interfaces = described(path, &port);
    // With several interfaces the first packet may be of any.
    filter.on_file(if let [only] = &interfaces[..] { Some(only.link) } else { None })?;
    Ok(Source {
        is_live: false,
        interfaces,
        progress: Some(port.progress()),
        mode: port.mode(),
        what: path.display().to_string(),
        ports: vec![("file".to_owned(), Box::new(port))],
    })
}

/// The interfaces that stand before the first packet, for a copy to have their names. A pcapng file
/// is read twice for that, up to its first packet; a pipe cannot be.
fn described(path: &Path, port: &FilePort) -> Vec<Interface> {
    let known = port.interfaces();
    if !known.is_empty() || port.progress().total_bytes().is_none() {
        return known;
    }
    let Ok(mut probe) = FilePort::open(path) else { return known };
    // What is wrong with the file is for the capture itself to find.
    let _ = probe.receive(&mut Batch::new());
    probe.interfaces()
}

/// Opens an interface.
pub fn open_interface(
    interface: &str,
    wanted: &Wanted<'_>,
    filter: &CaptureFilter,
) -> Result<Source, Failure> {
    let choice = match wanted.port {
        PortChoice::AfXdp => auto::PortChoice::AfXdp,
        PortChoice::AfPacket => auto::PortChoice::AfPacket,
        PortChoice::Auto | PortChoice::File => auto::PortChoice::Auto,
    };
    let found = tickwire_capture::interfaces::find(interface).map_err(Failure::failed)?;
    let queues: Option<Vec<u32>> = wanted.queues.map(Queues::list);
    let options = auto::Options {
        queues: queues.clone(),
        snap_len: wanted.snaplen,
        filter: filter.on_interface(&found)?,
        promiscuous: wanted.promiscuous,
        ring_bytes: wanted.buffer_kib.map(|kib| kib as usize * 1024),
        ..auto::Options::default()
    };
    let opened = auto::open(choice, interface, &options).map_err(Failure::failed)?;
    let name = opened.interface.name;
    let numbers = queues.unwrap_or_else(|| (0..opened.ports.len() as u32).collect());
    let names = numbers.iter().map(|number| format!("rx-{name}-{number}"));
    Ok(Source {
        is_live: true,
        interfaces: vec![live_interface(&name, opened.link, wanted.snaplen)],
        progress: None,
        mode: opened.mode,
        ports: names.zip(opened.ports).collect(),
        what: name,
    })
}

fn live_interface(name: &str, link: LinkType, snaplen: u32) -> Interface {
    let snaplen = if snaplen == SNAPLEN_BYTES_MAX { Interface::new(link).snaplen } else { snaplen };
    Interface { snaplen, ..Interface::new(link).named(name) }
}
