//! `-D`: which interfaces there are. For what they can do, there is `tickwire doctor`.

use crate::completions::print_all;
use crate::exit::{Ended, Failure};
use std::fmt::Write;
use tickwire_capture::interfaces::{Interface, list};

/// Prints one line an interface: index, name, state, link type, MTU, addresses.
pub fn print() -> Result<Ended, Failure> {
    let interfaces = list().map_err(|error| {
        Failure::failed(format_args!("cannot list the interfaces: {error}; see `ip link`"))
    })?;
    print_all(table(&interfaces).as_bytes())
}

fn table(interfaces: &[Interface]) -> String {
    let width = interfaces.iter().map(|interface| interface.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for interface in interfaces {
        let Interface { index, name, mtu, .. } = interface;
        let state = match (interface.is_up(), interface.is_running()) {
            (true, true) => "up",
            (true, false) => "no carrier",
            (false, _) => "down",
        };
        let link = interface.link_type().map_or("unknown".to_owned(), |link| link.to_string());
        let line = format!("{index:>3}  {name:<width$}  {state:<10}  {link:<8}  mtu {mtu:<5}");
        text.push_str(&line);
        for (address, prefix) in &interface.addresses {
            let _ = write!(text, "  {address}/{prefix}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_an_interface() {
        let lo = Interface {
            index: 1,
            name: "lo".into(),
            mtu: 65_536,
            flags: 0x41,
            hardware: 772,
            addresses: vec![([127, 0, 0, 1].into(), 8)],
            ..Interface::default()
        };
        let eth0 = Interface { index: 12, name: "eth0".into(), mtu: 1500, ..Interface::default() };
        assert_eq!(
            table(&[lo, eth0]),
            "  1  lo    up          EN10MB    mtu 65536  127.0.0.1/8\n \
             12  eth0  down        unknown   mtu 1500 \n"
        );
    }
}
