//! The filter of a run: shared by all workers, replaced while they run.
//!
//! A worker looks once a tick whether there is another filter; between two ticks it uses what it
//! holds, without a lock. The text is compiled once for each link type that comes, for all workers
//! together.

use crate::RunError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tickwire_capture::Port;
use tickwire_filter::{Filter, FilterError, Metadata, Options, Packet};
use tickwire_frame::{Batch, Flags, LinkType, Mask};

/// `PACKET_OUTGOING` (linux/if_packet.h): the packet type that `outbound` asks for.
const PACKET_OUTGOING: u32 = 4;

/// A filter text, compiled for each link type that is asked for.
#[derive(Debug)]
pub struct FilterText {
    text: String,
    options: Options,
    compiled: Mutex<Vec<Arc<Filter>>>,
}

impl FilterText {
    /// `text`, to be compiled with `options` for whatever link type comes.
    pub fn new(text: impl Into<String>, options: Options) -> Self {
        FilterText { text: text.into(), options, compiled: Mutex::default() }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The filter for frames of `link`; compiled by the first call.
    ///
    /// # Errors
    /// When the text means nothing, or nothing for this link type.
    pub fn compile(&self, link: LinkType) -> Result<Arc<Filter>, FilterError> {
        let mut compiled = lock(&self.compiled);
        if let Some(filter) = compiled.iter().find(|filter| filter.link_type() == link) {
            return Ok(Arc::clone(filter));
        }
        let options = Options { link_type: link, ..self.options.clone() };
        let filter = Arc::new(Filter::compile(&self.text, &options)?);
        // Its back ends are made here, not by the first batch.
        filter.selector();
        compiled.push(Arc::clone(&filter));
        Ok(filter)
    }
}

/// The filter in force, and how to replace it.
#[derive(Debug)]
pub struct Filters {
    /// Counts the replacements: the only thing that a worker looks at.
    generation: AtomicU64,
    current: Mutex<Arc<FilterText>>,
}

impl Filters {
    /// Begins with `text`.
    pub fn new(text: FilterText) -> Self {
        Filters { generation: AtomicU64::new(0), current: Mutex::new(Arc::new(text)) }
    }

    /// The text in force.
    pub fn current(&self) -> Arc<FilterText> {
        Arc::clone(&lock(&self.current))
    }

    /// From its next tick on, every worker selects by `text`. Compile it first for the link type
    /// at hand: one that cannot be compiled ends the workers.
    pub fn replace(&self, text: FilterText) {
        let mut current = lock(&self.current);
        *current = Arc::new(text);
        // Inside the lock, so that a generation belongs to one text.
        self.generation.fetch_add(1, Relaxed);
    }

    fn snapshot(&self) -> (u64, Arc<FilterText>) {
        let current = lock(&self.current);
        (self.generation.load(Relaxed), Arc::clone(&current))
    }
}

/// What holds a lock here cannot panic half-way: an `Arc` or a whole filter is put in its place.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How one worker selects: everything, unless it was given a filter.
#[derive(Debug, Default)]
pub struct Select {
    filter: Option<Selecting>,
}

#[derive(Debug)]
struct Selecting {
    shared: Arc<Filters>,
    generation: u64,
    text: Arc<FilterText>,
    /// For the link type of the batch before.
    filter: Option<Arc<Filter>>,
    /// What the port delivers, when that is known: it may run the filter in the kernel.
    link: Option<LinkType>,
    interface_index: u32,
}

impl Select {
    /// Every frame.
    pub fn everything() -> Self {
        Select::default()
    }

    /// The frames that pass what is in force in `filters`.
    pub fn by(filters: Arc<Filters>) -> Self {
        let (generation, text) = filters.snapshot();
        let (filter, link, interface_index) = (None, None, 0);
        let shared = filters;
        Select {
            filter: Some(Selecting { shared, generation, text, filter, link, interface_index }),
        }
    }

    /// The port is the interface with this index, whose frames are of this link type: a filter that
    /// replaces another is also offered to the port, which may have the kernel run it.
    pub fn on_interface(mut self, link: LinkType, index: u32) -> Self {
        if let Some(selecting) = &mut self.filter {
            (selecting.link, selecting.interface_index) = (Some(link), index);
        }
        self
    }

    /// The frames of `batch` that are wanted.
    ///
    /// # Errors
    /// When the filter means nothing for frames of this link type.
    #[inline]
    pub fn select(&mut self, batch: &Batch<'_>) -> Result<Mask, RunError> {
        match &mut self.filter {
            None => Ok(batch.all()),
            Some(selecting) => selecting.select(batch),
        }
    }

    /// Takes over another filter, if there is one.
    pub(crate) fn tick(&mut self, port: &mut dyn Port) -> Result<(), RunError> {
        match &mut self.filter {
            None => Ok(()),
            Some(selecting) => selecting.tick(port),
        }
    }
}

impl Selecting {
    #[inline]
    fn select(&mut self, batch: &Batch<'_>) -> Result<Mask, RunError> {
        let fits = |filter: &&Arc<Filter>| filter.link_type() == batch.link;
        if self.filter.as_ref().filter(fits).is_none() {
            self.filter = Some(self.compile(batch.link)?);
        }
        let Some(filter) = &self.filter else { return Ok(Mask::EMPTY) };
        Ok(match filter.needs_metadata() {
            false => filter.select(batch),
            true => select_with_metadata(filter, batch, self.interface_index),
        })
    }

    fn compile(&self, link: LinkType) -> Result<Arc<Filter>, RunError> {
        self.text.compile(link).map_err(|error| RunError::Filter { link, error: error.to_string() })
    }

    fn tick(&mut self, port: &mut dyn Port) -> Result<(), RunError> {
        if self.shared.generation.load(Relaxed) == self.generation {
            return Ok(());
        }
        (self.generation, self.text) = self.shared.snapshot();
        self.filter = None;
        if let Some(link) = self.link {
            let filter = self.compile(link)?;
            // The kernel first: what it still lets through by the old one is selected by the new.
            port.set_filter(&filter)?;
            self.filter = Some(filter);
        }
        Ok(())
    }
}

/// `inbound`, `outbound`, `ifindex`: what the port knows beside the bytes.
fn select_with_metadata(filter: &Filter, batch: &Batch<'_>, interface_index: u32) -> Mask {
    let mut mask = Mask::EMPTY;
    for (index, frame) in batch.iter().enumerate() {
        let outgoing = frame.flags.contains(Flags::OUTGOING);
        let packet_type = if outgoing { PACKET_OUTGOING } else { 0 };
        let metadata = Metadata { vlan: None, packet_type, interface_index };
        let (bytes, wire_len) = (frame.bytes, frame.wire_len);
        let packet = Packet { bytes, wire_len, metadata: Some(metadata) };
        mask.set_if(index, filter.run(&packet) != 0);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_frame::{Frame, Timestamp};

    fn text(text: &str) -> FilterText {
        FilterText::new(text, Options { linux_extensions: true, ..Options::default() })
    }

    /// An Ethernet frame of 60 bytes.
    fn frame(ethertype: u16) -> Vec<u8> {
        let mut bytes = vec![0; 60];
        bytes[12..14].copy_from_slice(&ethertype.to_be_bytes());
        bytes
    }

    fn batch<'a>(frames: &'a [Vec<u8>], flags: Flags) -> Batch<'a> {
        let mut batch = Batch::new();
        for bytes in frames {
            batch.push(Frame { flags, ..Frame::new(bytes, Timestamp::ZERO) });
        }
        batch
    }

    #[test]
    fn one_text_is_compiled_once_for_each_link_type() {
        let filters = Arc::new(Filters::new(text("ip")));
        let mut select = Select::by(Arc::clone(&filters));
        let frames = [frame(0x0800), frame(0x0806), vec![0x45; 20]];
        let mut mixed = batch(&frames, Flags::NONE);
        assert_eq!(select.select(&mixed).unwrap(), Mask(0b001));
        mixed.link = LinkType::RAW;
        assert_eq!(select.select(&mixed).unwrap(), Mask(0b100));
        mixed.link = LinkType::ETHERNET;
        assert_eq!(select.select(&mixed).unwrap(), Mask(0b001));
        assert_eq!(lock(&filters.current().compiled).len(), 2);
    }

    #[test]
    fn a_link_type_that_the_text_means_nothing_for_is_named() {
        let mut select = Select::by(Arc::new(Filters::new(text("vlan 5"))));
        let frames = [vec![0x45; 20]];
        let mut raw = batch(&frames, Flags::NONE);
        raw.link = LinkType::RAW;
        let error = select.select(&raw).unwrap_err().to_string();
        assert!(error.contains("RAW") && error.contains("'vlan'"), "{error}");
    }

    #[test]
    fn the_direction_is_known_beside_the_bytes() {
        let mut select = Select::by(Arc::new(Filters::new(text("outbound and ip"))));
        let frames = [frame(0x0800), frame(0x0806)];
        assert_eq!(select.select(&batch(&frames, Flags::OUTGOING)).unwrap(), Mask(1));
        assert_eq!(select.select(&batch(&frames, Flags::NONE)).unwrap(), Mask::EMPTY);
        let filters = Arc::new(Filters::new(text("ifindex 7")));
        let mut select = Select::by(filters).on_interface(LinkType::ETHERNET, 7);
        assert_eq!(select.select(&batch(&frames, Flags::NONE)).unwrap(), Mask(3));
    }
}
