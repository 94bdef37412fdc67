//! What all of `tickwire ctl` shares: asking, and saying what was answered.

use crate::exit::Failure;
use crate::units::grouped;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tickwire_control::client::{ClientError, Response, request};
use tickwire_control::error::ErrorBody;

/// No body.
pub const NOTHING: Option<&()> = None;

/// Asks the process behind `socket`. The cures that it gives speak of HTTP; who uses `ctl` does
/// not, so `words` has those of the job by their code.
pub fn send(
    socket: &Path,
    method: &str,
    target: &str,
    body: Option<&impl Serialize>,
    words: fn(&str) -> Option<&'static str>,
) -> Result<Response, Failure> {
    request(socket, method, target, body).map_err(|mut error| {
        if let ClientError::Refused { body: ErrorBody { error }, .. } = &mut error {
            let cure = match error.code.as_str() {
                "invalid_body" | "no_such_resource" | "method_not_allowed" => {
                    "do both ends have the same version, and is it this job that runs there?"
                }
                code => words(code).unwrap_or(&error.cure),
            };
            error.cure = cure.to_owned();
        }
        Failure::failed(error)
    })
}

/// The object in an answer.
pub fn read<T: DeserializeOwned>(response: &Response) -> Result<T, Failure> {
    serde_json::from_slice(&response.body).map_err(|error| {
        Failure::failed(format_args!(
            "cannot read the answer: {error}; do both ends have the same version?"
        ))
    })
}

/// Every reason with its count; a dash without any.
pub fn reasons(counts: &BTreeMap<String, u64>) -> String {
    let each = |(reason, &count): (&String, &u64)| format!("{reason} {}", grouped(count));
    let reasons: Vec<_> = counts.iter().map(each).collect();
    if reasons.is_empty() { "-".to_owned() } else { reasons.join(", ") }
}

/// `3 d 04:05:06`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let clock = format!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    if days == 0 { clock } else { format!("{days} d {clock}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_at_a_glance() {
        assert_eq!(clock(Duration::from_secs(59)), "00:00:59");
        assert_eq!(clock(Duration::from_secs(3 * 86_400 + 14_706)), "3 d 04:05:06");
    }
}
