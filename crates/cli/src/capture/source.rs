//! What packets come from: a file, or the queues of an interface.

use super::args::{CaptureArgs, PortChoice, Queues, SNAPLEN_BYTES_MAX};
use crate::exit::Failure;
use std::path::Path;
use tickwire_capture::af_packet::{AfPacket, AfPacketConfig};
use tickwire_capture::af_xdp::{AfXdp, AfXdpConfig, queue_count};
use tickwire_capture::file::{FilePort, Interface, Progress};
use tickwire_capture::{Mode, Port, PortError};
use tickwire_frame::LinkType;

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

/// Opens what `args` ask for.
pub fn open(args: &CaptureArgs) -> Result<Source, Failure> {
    match (&args.read, &args.interface) {
        (Some(path), _) => open_file(path),
        (None, Some(interface)) => open_interface(interface, args),
        (None, None) => Err(Failure::usage("give an interface (-i IF) or a file (-r FILE)")),
    }
}

fn open_file(path: &Path) -> Result<Source, Failure> {
    let port = FilePort::open(path).map_err(Failure::failed)?;
    Ok(Source {
        is_live: false,
        interfaces: port.interfaces(),
        progress: Some(port.progress()),
        mode: port.mode(),
        what: path.display().to_string(),
        ports: vec![("file".to_owned(), Box::new(port))],
    })
}

fn open_interface(interface: &str, args: &CaptureArgs) -> Result<Source, Failure> {
    let opened = match args.engine.port {
        PortChoice::AfXdp => open_af_xdp(interface, args),
        _ => open_af_packet(interface, args),
    };
    let (link, ports) = opened.map_err(Failure::failed)?;
    let mode = ports.first().map(|(_, port)| port.mode()).ok_or_else(|| {
        Failure::failed(format_args!("{interface} has no receive queue; see `ethtool -l`"))
    })?;
    Ok(Source {
        is_live: true,
        interfaces: vec![live_interface(interface, link, args.limits.snaplen)],
        progress: None,
        mode,
        what: interface.to_owned(),
        ports,
    })
}

type Ports = Vec<(String, Box<dyn Port>)>;

fn open_af_packet(interface: &str, args: &CaptureArgs) -> Result<(LinkType, Ports), PortError> {
    if let Some(Queues::These(_)) = args.engine.queues {
        return Err(PortError::Unsupported {
            what: "af_packet sockets cannot choose receive queues".to_owned(),
            cure: "give a number of workers (--queues 4), or use --port af_xdp".to_owned(),
        });
    }
    let config = AfPacketConfig {
        snap_len: args.limits.snaplen,
        promiscuous: args.promiscuous,
        ..AfPacketConfig::new(interface)
    };
    let workers = args.engine.queues.as_ref().map_or(1, Queues::len);
    let ports = AfPacket::open(&config, workers)?;
    let link = ports.first().map_or(LinkType::ETHERNET, AfPacket::link_type);
    let numbered = ports.into_iter().enumerate();
    Ok((link, numbered.map(|(index, port)| named(interface, index, port)).collect()))
}

fn open_af_xdp(interface: &str, args: &CaptureArgs) -> Result<(LinkType, Ports), PortError> {
    let config = AfXdpConfig { promiscuous: args.promiscuous, ..AfXdpConfig::new(interface) };
    let queues: Vec<u32> = match &args.engine.queues {
        None => (0..queue_count(interface)).collect(),
        Some(Queues::First(count)) => (0..*count as u32).collect(),
        Some(Queues::These(list)) => list.iter().map(|&queue| queue as u32).collect(),
    };
    let ports = AfXdp::open(&config, &queues)?;
    let named = ports.into_iter().map(|port| named(interface, port.queue() as usize, port));
    Ok((LinkType::ETHERNET, named.collect()))
}

/// A worker's name, and its port.
fn named(interface: &str, index: usize, port: impl Port + 'static) -> (String, Box<dyn Port>) {
    (format!("rx-{interface}-{index}"), Box::new(port))
}

fn live_interface(name: &str, link: LinkType, snaplen: u32) -> Interface {
    let snaplen = if snaplen == SNAPLEN_BYTES_MAX { Interface::new(link).snaplen } else { snaplen };
    Interface { snaplen, ..Interface::new(link).named(name) }
}
