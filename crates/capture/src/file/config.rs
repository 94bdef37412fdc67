//! What a writer is to write, and where.

use super::interface::Interface;
use super::rotate::Rotation;
use crate::port::PortError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The format of a written file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteFormat {
    /// pcap with nanoseconds: one link type, no names, no statistics.
    Pcap,
    /// pcap with microseconds, for tools that know nothing else.
    PcapMicros,
    /// pcapng with nanoseconds: interfaces, comments, drop counts, statistics.
    #[default]
    Pcapng,
}

impl WriteFormat {
    /// The format that the name of a file asks for: `.pcap` and `.cap` are pcap with nanoseconds,
    /// everything else is pcapng.
    pub fn from_name(path: &Path) -> WriteFormat {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pcap" | "cap" | "dmp") => WriteFormat::Pcap,
            _ => WriteFormat::Pcapng,
        }
    }
}

/// What a [`Writer`](super::Writer) is to write, and where.
#[derive(Clone, Debug)]
pub struct WriterConfig {
    /// The file, `-` for standard output. With rotation, what [`Rotation`] makes of it.
    pub path: PathBuf,
    /// The format.
    pub format: WriteFormat,
    /// The interfaces of the source that are known, by index. Others are described when their first
    /// frame comes. Only the first is of use in a pcap file: its link type and snapshot length.
    pub interfaces: Vec<Option<Interface>>,
    /// When to go on in a new file.
    pub rotation: Rotation,
    /// The program, as pcapng names it.
    pub application: String,
    /// The operating system, as pcapng names it.
    pub os: String,
    /// A comment on the whole capture (pcapng); may be empty.
    pub comment: String,
    /// Set by the owner when it wants to stop: a pipe that takes nothing is then given up.
    pub stop: Arc<AtomicBool>,
}

impl WriterConfig {
    /// Writes `format` to `path`, without rotation.
    pub fn new(path: impl Into<PathBuf>, format: WriteFormat) -> WriterConfig {
        let system = rustix::system::uname();
        let os = format!(
            "{} {} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy(),
            system.machine().to_string_lossy()
        );
        WriterConfig {
            path: path.into(),
            format,
            interfaces: Vec::new(),
            rotation: Rotation::default(),
            application: concat!("tickwire ", env!("CARGO_PKG_VERSION")).to_owned(),
            os,
            comment: String::new(),
            stop: Arc::default(),
        }
    }

    /// Refuses what contradicts itself.
    pub(super) fn check(&self) -> Result<(), PortError> {
        let refuse = |what: &str, cure: &str| {
            Err(PortError::Unsupported { what: what.to_owned(), cure: cure.to_owned() })
        };
        let rotation = &self.rotation;
        if rotation.is_active() && self.path == Path::new("-") {
            return refuse("standard output cannot be rotated", "give the name of a file");
        }
        if rotation.files_max.is_some() && !rotation.is_active() {
            return refuse(
                "a ring of files needs to know when to go on to the next",
                "limit the size, the time or the packets of a file",
            );
        }
        Ok(())
    }
}
