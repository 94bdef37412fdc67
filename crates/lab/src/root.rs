//! Whether this process may build a lab.

use crate::Namespace;
use rustix::thread::CapabilitySet;
use std::sync::OnceLock;

/// What a lab needs. CAP_SYS_ADMIN makes namespaces; the others work inside them.
const NEEDED: [(CapabilitySet, &str); 3] = [
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    (CapabilitySet::NET_RAW, "CAP_NET_RAW"),
];

/// Why this process cannot build a lab; `None` when it can.
pub fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING.get_or_init(find_missing).as_deref()
}

/// Whether this process may build a lab.
pub fn is_root() -> bool {
    missing().is_none()
}

fn find_missing() -> Option<String> {
    let effective = match rustix::thread::capabilities(None) {
        Ok(sets) => sets.effective,
        Err(error) => return Some(format!("capabilities cannot be read: {error}")),
    };
    let names: Vec<&str> =
        NEEDED.iter().filter(|(flag, _)| !effective.contains(*flag)).map(|need| need.1).collect();
    if !names.is_empty() {
        return Some(format!("needs root ({} missing)", names.join(", ")));
    }
    // Containers filter unshare(2) in ways that capabilities do not show.
    Namespace::new().err().map(|error| error.to_string())
}

/// Returns from the calling function, with a loud line on standard error, when this process may
/// not build a lab. For tests:
///
/// ```
/// # fn receives_on_veth() {
/// tickwire_lab::require_root!("receives_on_veth");
/// # }
/// ```
#[macro_export]
macro_rules! require_root {
    ($test:expr) => {
        if let Some(missing) = $crate::missing() {
            // Straight to the descriptor: the test harness would swallow eprintln.
            $crate::say_skipped($test, missing);
            return;
        }
    };
}

/// Prints `SKIPPED: <test>: <why>` on standard error, past the capture of the test harness.
pub fn say_skipped(test: &str, why: &str) {
    use std::io::Write as _;
    let line = format!("SKIPPED: {test}: {why}\n");
    // Nothing is left to tell anybody when standard error is closed.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
