//! One finding: a status, a sentence with the measured value, and the command that mends it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works; worth knowing, or worth tuning when every microsecond counts.
    Note,
    /// Works, but slower, or with losses, or with a trap.
    Warn,
    /// Something will not work.
    Fail,
}

impl Status {
    /// The word for it, four characters wide.
    pub const fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Note => "note",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        }
    }
}

/// One thing that doctor has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `group.topic`: stable, for scripts.
    pub id: &'static str,
    /// The interface that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    pub status: Status,
    /// One or two sentences with the measured value.
    pub text: String,
    /// The command that mends it; for root, unless it says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Finding {
    /// A finding about the machine. Its status is `Ok` until [`rated`](Self::rated) says more.
    pub fn new(id: &'static str, text: impl Into<String>) -> Self {
        Finding { id, interface: None, status: Status::Ok, text: text.into(), command: None }
    }

    /// With this status.
    pub fn rated(self, status: Status) -> Self {
        Finding { status, ..self }
    }

    /// With the command that mends it.
    pub fn mend(self, command: impl Into<String>) -> Self {
        Finding { command: Some(command.into()), ..self }
    }

    /// What comes before the dot of the id.
    pub fn group(&self) -> &'static str {
        self.id.split_once('.').map_or(self.id, |(group, _)| group)
    }

    /// What comes after the dot of the id.
    pub fn topic(&self) -> &'static str {
        self.id.split_once('.').map_or(self.id, |(_, topic)| topic)
    }
}

/// The port that doctor recommends for an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub interface: String,
    /// `af_xdp`, `af_packet`; `None` when nothing works.
    pub port: Option<&'static str>,
    /// `zero-copy`, `copy`, `generic`, `tpacket_v3`; empty when nothing works.
    pub mode: &'static str,
    /// Why this one, and why not a faster one.
    pub because: String,
}
