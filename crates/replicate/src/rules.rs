//! What names, ports and interfaces may be, for feeds and subscribers.

use std::net::SocketAddr;

/// The longest name of a feed or subscriber, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest name of an interface (`IFNAMSIZ` without its zero; alternative names are longer).
const INTERFACE_BYTES_MAX: usize = 127;

/// Names go into paths of the API and labels of metrics, so they need no escaping anywhere.
pub fn name(of: &str, name: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Err(format!(
        "{shown:?} is no name of a {of}; use 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-'"
    )
    .replace('"', "'"))
}

/// Port 0 is none.
pub fn port(address: SocketAddr) -> Result<(), String> {
    match address.port() {
        0 => Err(format!("{address} has port 0; ports are 1 to 65535")),
        _ => Ok(()),
    }
}

/// What the kernel takes as a name of an interface (`dev_valid_name`).
pub fn interface(name: &str) -> Result<(), String> {
    let bad = |b: u8| b == b'/' || b == b':' || b.is_ascii_whitespace() || b.is_ascii_control();
    let dots = matches!(name, "." | "..");
    if (1..=INTERFACE_BYTES_MAX).contains(&name.len()) && !dots && !name.bytes().any(bad) {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Err(format!("{shown:?} is no name of an interface; 'ip link' lists them"))
}
