//! What can go wrong while a lab is built or used.

use std::io;

/// What was tried, what the system said, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}{}{cure}", if cure.is_empty() { "" } else { "; " })]
pub struct LabError {
    /// What was tried, with the object: `create veth pair left0 and right0`.
    pub what: String,
    /// What the system said.
    pub source: io::Error,
    /// What the user can do; may be empty.
    pub cure: String,
}

impl LabError {
    /// The system refused `what`.
    pub fn new(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let cure = match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => ROOT_CURE,
            _ => "",
        };
        LabError { what: what.into(), source, cure: cure.into() }
    }

    /// The same with a cure of its own.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = cure.into();
        self
    }
}

/// What helps against EPERM.
pub(crate) const ROOT_CURE: &str =
    "run it as root, or with CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON";

/// Names what was tried in an error of the system.
pub(crate) trait Tried<T> {
    /// `what`: what was tried, with the object.
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T, E: Into<io::Error>> Tried<T> for Result<T, E> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::new(what(), source))
    }
}
