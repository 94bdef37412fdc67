//! The packets that are generated: bytes as an outlet takes them.

use tickwire_lab::{Message, Numbered, Template};

/// What one packet is made from.
#[derive(Clone, Debug)]
pub enum Packets {
    /// Whole frames, for an interface.
    Frames(Box<Template>),
    /// Payloads, for UDP sockets: the kernel makes the headers.
    Payloads {
        /// What they say.
        message: Message,
        /// Their length in bytes.
        bytes: usize,
    },
}

impl Packets {
    /// Whole frames as `numbered` says.
    pub fn frames(numbered: &Numbered) -> Self {
        Packets::Frames(Box::new(numbered.template()))
    }

    /// A buffer for [`fill`](Self::fill).
    pub fn buffer(&self) -> Vec<u8> {
        match self {
            Packets::Frames(template) => template.bytes().to_vec(),
            Packets::Payloads { message, bytes } => {
                let mut payload = Vec::with_capacity(*bytes);
                message.put(&mut payload, *bytes);
                payload
            }
        }
    }

    /// Makes `buffer` packet `sequence`, due at `due_ns` since the Unix epoch.
    #[inline]
    pub fn fill(&self, buffer: &mut [u8], sequence: u64, due_ns: u64) {
        match self {
            Packets::Frames(template) => template.fill(buffer, sequence, due_ns),
            Packets::Payloads { message, .. } => message.write(buffer, sequence, due_ns),
        }
    }
}
