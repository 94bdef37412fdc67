//! The filter language of pcap-filter(7): from text to verdicts.
//!
//! Text becomes tokens, a syntax tree ([`ast`], [`parse()`]), then the [`ir`], which an optimiser
//! works on and back ends run: the [`interp`]reter (the oracle), [`vector`] and [`native`] code,
//! and [`classic`] BPF.
//! The meaning is libpcap's, quirks included; libpcap's own tests are the conformance suite
//! (`cargo run --release -p tickwire-filter --example conformance`).
//!
//! Fields of market data ([`fields`]) are asked for by name, message by message.
//!
//! Nothing in here does I/O but while compiling: host names go to the system's resolver, names of
//! MAC addresses and networks are looked up in `/etc/ethers` and `/etc/networks`, and lists are
//! read from files (`host in @file`). A compiled filter owns all
//! its memory and never allocates, locks or panics while it runs, once its back ends are made
//! ([`Filter::selector`]).
//!
//! ```
//! use tickwire_filter::{Filter, Options};
//!
//! let filter = Filter::compile("udp dst port 26400", &Options::default())?;
//! assert_eq!(filter.matches(&[0; 60], 60), 0);
//! # Ok::<(), tickwire_filter::FilterError>(())
//! ```

#![deny(unsafe_code)] // Allowed only where native code is called and vectors are loaded.

pub mod ast;
pub mod classic;
pub mod ebpf;
mod error;
mod expand;
pub mod fields;
pub mod generate;
pub mod interp;
pub mod ir;
mod lex;
pub mod link;
mod lower;
mod measure;
pub mod names;
pub mod native;
mod needles;
mod optimize;
mod parse;
mod part;
pub mod pitfalls;
mod search;
mod select;
mod table;
pub mod vector;

pub use error::{ErrorKind, FilterError, Result, Span};
pub use interp::{Metadata, Packet};
pub use lower::{LIST_FILE_BYTES_MAX, Warning};
pub use parse::{FIELD_VALUES_MAX, NESTING_MAX, TEXT_BYTES_MAX, parse};
pub use select::{Backend, BackendError, Selector};
pub use tickwire_market::near;

use std::sync::{Arc, OnceLock};

use tickwire_frame::{Batch, LinkType, Mask};

/// The snap length when none is given, as tcpdump has it.
pub const SNAPLEN: u32 = 262_144;

/// How long compiling may take, but for host names. No clock is read for it: it follows from the
/// limits on the text, on nesting, on blocks ([`ir::BLOCKS_MAX`]) and on the optimiser's visits,
/// and tests watch it.
pub const COMPILE_MS_MAX: u64 = 10;

/// How to compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the first byte of a packet means.
    pub link_type: LinkType,
    /// Whether tests that do not matter are dropped. A packet that ends inside a field which only
    /// they ask is rejected without it, and with it if the rest of the filter says so; for all
    /// other packets it changes nothing.
    pub optimize: bool,
    /// What an accepted packet returns.
    pub snaplen: u32,
    /// The netmask of the interface, for `ip broadcast`.
    pub netmask: Option<u32>,
    /// The packets come from a file that any machine may have written (BSD loopback and PF headers
    /// are in the writer's byte order and numbers).
    pub from_file: bool,
    /// The packets come from a Linux socket with metadata beside them: `inbound`, `ifindex`, and
    /// VLAN tags that the kernel has taken out of the frame.
    pub linux_extensions: bool,
    /// An encapsulation (`vlan`, `mpls`, …) reaches only as far as its own `and`, not, as libpcap
    /// has it, over all the text behind it.
    pub scoped: bool,
    /// With `linux_extensions`: the receiver has put VLAN tags back into the frame, so that the
    /// filter sees it as on the wire.
    pub tags_in_frame: bool,
    /// Host names go to the system's resolver, which may take seconds, and lists are read from
    /// files (`host in @file`); else all are unknown.
    pub resolve: bool,
    /// Ports that are known to carry market data, for its [`fields`].
    pub bindings: fields::Bindings,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            link_type: LinkType::ETHERNET,
            optimize: true,
            snaplen: SNAPLEN,
            netmask: None,
            from_file: false,
            linux_extensions: false,
            scoped: false,
            tags_in_frame: false,
            resolve: true,
            bindings: fields::Bindings::default(),
        }
    }
}

/// What a kernel decides of a filter. User space runs the whole filter again.
#[derive(Clone, Debug)]
pub struct KernelPart<P> {
    /// Accepts all that the filter accepts.
    pub program: P,
    /// Why it accepts more; none where it is the whole filter.
    pub rest: Option<String>,
}

/// A compiled filter.
#[derive(Clone, Debug)]
pub struct Filter {
    program: ir::Program,
    link_type: LinkType,
    warnings: Vec<Warning>,
    /// Made when first asked for: many filters are compiled only to be looked at.
    selector: Arc<OnceLock<Selector>>,
    needs_metadata: bool,
}

impl Filter {
    /// Compiles `text`; the empty text accepts everything.
    pub fn compile(text: &str, options: &Options) -> Result<Filter> {
        let tree = parse(text)?;
        let (mut program, warnings) = lower::lower(&tree, options)?;
        if options.optimize {
            optimize::optimize(&mut program)?;
            if program.block(program.entry).end == ir::End::Return(false) {
                let message = "the filter rejects all packets";
                return Err(FilterError::new(ErrorKind::RejectsAll, tree.span, message));
            }
        }
        let selector = Arc::default();
        let needs_metadata = program.needs_metadata();
        Ok(Filter { program, link_type: options.link_type, warnings, needs_metadata, selector })
    }

    /// The verdict on a packet: 0 to reject it, else the snap length.
    pub fn matches(&self, bytes: &[u8], wire_len: u32) -> u32 {
        self.run(&Packet { bytes, wire_len, metadata: None })
    }

    /// The verdict on a packet with what is known beside its bytes.
    pub fn run(&self, packet: &Packet<'_>) -> u32 {
        interp::run(&self.program, packet)
    }

    /// The frames of `batch` that pass. None of a batch of another link type does.
    ///
    /// The first call makes the [`selector`](Self::selector), unless somebody has asked for it
    /// before: do so before packets arrive.
    #[inline]
    pub fn select(&self, batch: &Batch<'_>) -> Mask {
        if batch.link != self.link_type {
            return Mask::EMPTY;
        }
        self.selector().select(&self.program, batch)
    }

    /// The back ends that [`select`](Self::select) uses; made by the first call, in about a
    /// millisecond.
    #[inline]
    pub fn selector(&self) -> &Selector {
        self.selector.get_or_init(|| Selector::automatic(&self.program))
    }

    /// The same filter on a back end of the caller's choice.
    pub fn with_backend(self, backend: Backend) -> std::result::Result<Filter, BackendError> {
        let selector = Selector::new(&self.program, backend)?;
        Ok(Filter { selector: Arc::new(OnceLock::from(selector)), ..self })
    }

    /// Parts of the text that probably mean something else than they seem to.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether it asks for what is not in the bytes: [`run`](Self::run) then needs
    /// [`Packet::metadata`], and [`select`](Self::select), which has none, selects nothing.
    pub fn needs_metadata(&self) -> bool {
        self.needs_metadata
    }

    /// The program in the intermediate representation.
    pub fn program(&self) -> &ir::Program {
        &self.program
    }

    /// The program in classic BPF.
    pub fn classic(&self) -> Result<Vec<classic::Insn>> {
        classic::emit(&self.program)
    }

    /// The program in eBPF, to run in XDP.
    ///
    /// # Errors
    /// What XDP cannot do, by name; such a filter runs in user space.
    pub fn xdp(&self) -> std::result::Result<ebpf::Xdp, ebpf::Refusal> {
        if self.link_type != LinkType::ETHERNET {
            return Err(ebpf::Refusal::LinkType(self.link_type));
        }
        ebpf::Xdp::compile(&self.program)
    }

    /// The part of the program that XDP can decide: it accepts all that the whole accepts.
    ///
    /// # Errors
    /// What XDP cannot do, where nothing is left to decide.
    pub fn xdp_part(&self) -> std::result::Result<KernelPart<ebpf::Xdp>, ebpf::Refusal> {
        let why = match self.xdp() {
            Ok(program) => return Ok(KernelPart { program, rest: None }),
            Err(why @ ebpf::Refusal::LinkType(_)) => return Err(why),
            Err(why) => why,
        };
        let program = ebpf::Xdp::part(&self.program).ok_or(why)?;
        let mut rest = why.to_string();
        if let Some(max) = program.messages_max() {
            if why != ebpf::Refusal::Messages {
                rest += &format!("; {}", ebpf::Refusal::Messages);
            }
            let none = if self.program.walk.scans.is_empty() { "" } else { ", but none of FIX" };
            rest += &format!(", XDP at up to {max}{none}");
        }
        Ok(KernelPart { program, rest: Some(rest) })
    }

    /// The part of the program that classic BPF on a Linux socket can decide: it accepts all that
    /// the whole accepts, and jumps only forwards.
    ///
    /// # Errors
    /// What classic BPF cannot do, where nothing is left to decide.
    pub fn classic_part(&self) -> std::result::Result<KernelPart<Vec<classic::Insn>>, String> {
        classic::part(&self.program)
    }

    /// What the first byte of a packet means to this filter.
    pub fn link_type(&self) -> LinkType {
        self.link_type
    }
}
