//! Many ids at once: `in {…}`, `in @file`, and long runs of `or`.
//!
//! All mean what the chain `x or y or …` means, on packets that are cut too: there the first id is
//! asked of the source and of the destination before the second one is asked of either, and only
//! then are all fields known to be there. So the first stands alone, and the rest is a list. But
//! `src and dst port in {…}` means that each of them is in the list.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv6Addr};

use super::Lowerer;
use super::fragment::Fragment;
use super::id::{PORT_MAX, high_bits};
use super::layout::Place;
use super::ports::Ports;
use crate::ast::{Direction, Expr, Id, Joint, List, Mask, Node, Primitive, Qualifiers, Which};
use crate::error::{ErrorKind, FilterError, Result, Span};
use crate::ir::{Compare, LIST_VALUES_MAX, NumberId, Op, Size, Test};
use crate::names::services::Transport;
use crate::parse::parse_id;

/// The largest file that a list is read from, in bytes.
pub const LIST_FILE_BYTES_MAX: u64 = 4 << 20;
/// From how many alternatives on a run of them is a list.
const RUN_IDS_MIN: usize = 16;

/// What the ids of a list add up to.
#[derive(Default)]
struct Sum {
    /// IPv4 networks by their mask, the hosts first.
    four: BTreeMap<Reverse<u32>, Vec<u32>>,
    six: Vec<(Ipv6Addr, Option<u32>)>,
    /// Ports by their transport; none is any.
    ports: BTreeMap<Option<u32>, Vec<u32>>,
    count: usize,
}

impl Lowerer<'_> {
    pub(super) fn list(&mut self, qualifiers: Qualifiers, list: &List) -> Result<Fragment> {
        let mut sum = Sum::default();
        match list {
            List::Here(ids) => {
                let whole = self.span.clone();
                for (id, span) in ids {
                    self.span = span.clone();
                    self.add(qualifiers, id, &mut sum)?;
                }
                self.span = whole;
            }
            List::File(name) => self.add_file(qualifiers, name, &mut sum)?,
        }
        let mut condition = Fragment::Always(false);
        for (mask, addresses) in sum.four {
            let test = self.hosts4(qualifiers, &addresses, mask.0)?;
            condition = self.program.or(condition, test);
        }
        for (address, length) in sum.six {
            self.check_size()?;
            let test = self.prefix6(qualifiers, address, length)?;
            condition = self.program.or(condition, test);
        }
        for (transport, ports) in sum.ports {
            let test = self.ports(qualifiers.direction, transport, &Ports::List(ports))?;
            condition = self.program.or(condition, test);
        }
        Ok(condition)
    }

    /// One id a line; what follows a `#` is a comment.
    fn add_file(&mut self, qualifiers: Qualifiers, name: &str, sum: &mut Sum) -> Result<()> {
        let text = self.read(name)?;
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let added = parse_id(line, qualifiers).and_then(|id| self.add(qualifiers, &id, sum));
            added.map_err(|error| {
                let message = format!("{name}, line {}: {}", at + 1, error.message);
                FilterError::new(error.kind, self.span.clone(), message)
            })?;
        }
        if sum.count == 0 {
            return Err(self.bad_value(format!("{name} is empty; write one value a line")));
        }
        Ok(())
    }

    pub(super) fn read(&self, name: &str) -> Result<String> {
        let failed = |why: String| {
            let message = format!("cannot read the list {name}: {why}");
            FilterError::new(ErrorKind::Resolve, self.span.clone(), message)
        };
        if !self.options.resolve {
            return Err(failed("files are not read here; write in {…}".to_owned()));
        }
        let file = std::fs::File::open(name).map_err(|error| failed(error.to_string()))?;
        let mut text = String::new();
        let read = file.take(LIST_FILE_BYTES_MAX + 1).read_to_string(&mut text);
        let read = read.map_err(|error| failed(error.to_string()))?;
        if read as u64 > LIST_FILE_BYTES_MAX {
            return Err(failed(format!("it is larger than {LIST_FILE_BYTES_MAX} bytes")));
        }
        Ok(text)
    }

    fn add(&self, qualifiers: Qualifiers, id: &Id, sum: &mut Sum) -> Result<()> {
        use Which::{Host, Net, Port, PortRange};
        let kind = qualifiers.kind.unwrap_or(Host);
        self.no_wlan_direction(qualifiers)?;
        match (kind, id) {
            (Host | Net, Id::Dotted(text, Mask::Implied)) => {
                let (address, bits) = self.octets(text)?;
                sum.add4(address, high_bits(bits));
            }
            (Net, Id::Dotted(text, mask)) => {
                let (address, mask) = self.network4(text, mask)?;
                sum.add4(address, mask);
            }
            (Host | Net, Id::V6(address, length)) => sum.add6(*address, *length),
            (Host, Id::Name(name)) => {
                let six = qualifiers.protocol.is_none_or(|word| word == "ip6");
                let four = qualifiers.protocol != Some("ip6");
                for address in self.resolve(name)? {
                    match address {
                        IpAddr::V4(address) if four => sum.add4(address.into(), u32::MAX),
                        IpAddr::V6(address) if six => sum.add6(address, None),
                        _ => {}
                    }
                }
            }
            (Port | PortRange, Id::Number(port)) => {
                self.add_ports(qualifiers, ((*port, *port), None), sum)?;
            }
            (Port | PortRange, Id::Name(name)) => {
                self.add_ports(qualifiers, self.range_of_names(name)?, sum)?;
            }
            (Host | Net | Port | PortRange, _) => {
                let message = format!("this does not fit into a list behind '{}'", kind.word());
                return Err(self.bad_value(message));
            }
            _ => {
                let message =
                    format!("a list goes with host, net, port, portrange; not '{}'", kind.word());
                return Err(self.unsupported(message));
            }
        }
        if sum.count > LIST_VALUES_MAX {
            let message = format!("a list of more than {LIST_VALUES_MAX} values; split it");
            return Err(FilterError::limit(self.span.clone(), message));
        }
        Ok(())
    }

    fn add_ports(
        &self,
        qualifiers: Qualifiers,
        ((low, high), registered): ((u32, u32), Option<Transport>),
        sum: &mut Sum,
    ) -> Result<()> {
        let transport = self.transport_of(qualifiers, registered)?;
        let (low, high) = (low.min(high), low.max(high));
        self.at_most("port", high, PORT_MAX)?;
        sum.count += (high - low) as usize + 1;
        sum.ports.entry(transport).or_default().extend(low..=high);
        Ok(())
    }

    // Runs of alternatives.

    /// The first of some alternatives, together with those behind it that ask the same of other
    /// values, when they are many; and how many of `rest` that are.
    pub(super) fn run(
        &mut self,
        first: &Expr,
        rest: &[(Joint, Expr)],
    ) -> Result<(Fragment, usize)> {
        let Some((qualifiers, ..)) = plain_id(first) else { return Ok((self.expr(first)?, 0)) };
        let others = rest.iter().take_while(|(joint, _)| *joint == Joint::Or);
        let ids: Vec<(Id, Span)> = std::iter::once(first)
            .chain(others.map(|(_, expr)| expr))
            .map_while(|expr| plain_id(expr).filter(|(other, ..)| *other == qualifiers))
            .map(|(_, id, span)| (id.clone(), span.clone()))
            .collect();
        if ids.len() < RUN_IDS_MIN {
            return Ok((self.expr(first)?, 0));
        }
        let more = ids.len() - 1;
        let span = first.span.start..rest[more - 1].1.span.end;
        let list = Primitive::Id(qualifiers, Id::List(List::Here(ids)));
        Ok((self.expr(&Expr { node: Node::Primitive(list), span })?, more))
    }

    // Tests.

    /// `test` of any of `values`, by direction.
    pub(super) fn any_of(
        &mut self,
        direction: Option<Direction>,
        values: &[u32],
        test: impl Fn(&mut Self, bool, &[u32]) -> Fragment,
    ) -> Result<Fragment> {
        let either = matches!(direction, None | Some(Direction::Either));
        let alone = if either { 1 } else { values.len() };
        let (first, rest) = values.split_at(alone.min(values.len()));
        let first = self.by_direction(direction, |lowerer, from| test(lowerer, from, first))?;
        if rest.is_empty() {
            return Ok(first);
        }
        let rest = self.by_direction(direction, |lowerer, from| test(lowerer, from, rest))?;
        Ok(self.program.or(first, rest))
    }

    pub(super) fn one_of(&mut self, left: NumberId, values: &[u32]) -> Fragment {
        if let [value] = values {
            return self.compare(left, Compare::Equal, *value);
        }
        let right = self.program.list(values);
        self.program.test(Test { left, compare: Compare::In, right })
    }

    /// The word at `place`, masked. A mask of 0 asks nothing, and loads nothing.
    pub(super) fn masked_one_of(&mut self, place: Place, mask: u32, values: &[u32]) -> Fragment {
        if mask == 0 {
            return Fragment::Always(values.contains(&0));
        }
        let mut field = self.load(place, Size::Word);
        if mask != u32::MAX {
            field = self.program.binary_const(Op::And, field, mask);
        }
        self.one_of(field, values)
    }
}

impl Sum {
    fn add4(&mut self, address: u32, mask: u32) {
        self.four.entry(Reverse(mask)).or_default().push(address);
        self.count += 1;
    }

    fn add6(&mut self, address: Ipv6Addr, length: Option<u32>) {
        self.six.push((address, length));
        self.count += 1;
    }
}

/// A port by number or a whole IPv4 address: what a list holds in the order of the text.
fn plain_id(expr: &Expr) -> Option<(Qualifiers, &Id, &Span)> {
    let Node::Primitive(Primitive::Id(qualifiers, id)) = &expr.node else { return None };
    let one_way = matches!(
        qualifiers.direction,
        None | Some(Direction::Source | Direction::Destination | Direction::Either)
    );
    let plain = match (qualifiers.kind, id, qualifiers.protocol) {
        (Some(Which::Port), Id::Number(_), None | Some("tcp" | "udp" | "sctp")) => true,
        (
            None | Some(Which::Host),
            Id::Dotted(text, Mask::Implied),
            None | Some("ip" | "arp" | "rarp"),
        ) => text.split('.').count() == 4,
        _ => false,
    };
    (one_way && plain).then_some((*qualifiers, id, &expr.span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Packets, Random};
    use crate::{Filter, Options};

    fn compile(text: &str) -> Result<Filter> {
        Filter::compile(text, &Options { optimize: false, ..Options::default() })
    }

    /// Lists and long runs mean the chain of their values, on cut packets too. The chain is
    /// written so that it is no run.
    #[test]
    fn a_list_means_the_chain() {
        let mut packets = Packets::new(41);
        let ports: Vec<u32> =
            (0..20).map(|n| [22, 53, 5000, 26400, 7 * n][n as usize % 5]).collect();
        let hosts = (0..18).map(|n| ["10.0.0.1", "192.168.1.5", "224.1.2.3", "10.9.9.9"][n % 4]);
        let hosts: Vec<String> = hosts.map(str::to_owned).collect();
        let ports: Vec<String> = ports.iter().map(u32::to_string).collect();
        for (head, values) in
            [("port", &ports), ("udp dst port", &ports), ("host", &hosts), ("arp src host", &hosts)]
        {
            let joined = |joint: &str, each: &dyn Fn(&String) -> String| {
                values.iter().map(each).collect::<Vec<_>>().join(joint)
            };
            let chain = joined(" or ", &|value| format!("({head} {value} or {value})"));
            let run = joined(" or ", &|value| format!("{head} {value}"));
            let list = format!("{head} in {{{}}}", joined(",", &String::clone));
            let [chain, run, list] = [chain, run, list].map(|text| compile(&text).unwrap());
            assert!(chain.program().blocks.len() > 3 * run.program().blocks.len(), "{head}");
            let mut accepted = 0;
            for _ in 0..3000 {
                let (bytes, wire_len) = packets.packet();
                let want = chain.matches(&bytes, wire_len);
                accepted += u32::from(want != 0);
                assert_eq!(run.matches(&bytes, wire_len), want, "{head}: {bytes:02x?}");
                assert_eq!(list.matches(&bytes, wire_len), want, "{head}: {bytes:02x?}");
            }
            assert!(accepted > 30, "{head}: {accepted} accepted");
        }
    }

    #[test]
    fn ranges_names_prefixes_and_families_go_together() {
        for (list, chain) in [
            ("port in {http, 5000-5003, 53}", "tcp port http or portrange 5000-5003 or port 53"),
            (
                "net in {10.0.0.0/8, 192.168.1.0/24, fe80::/10}",
                "net 10.0.0.0/8 or 192.168.1.0/24 or fe80::/10",
            ),
            ("host in {10.0.0.1, ::1}", "host 10.0.0.1 or ::1"),
            ("src and dst port in {22, 80}", "src port (22 or 80) and dst port (22 or 80)"),
        ] {
            let [list, chain] = [list, chain].map(|text| compile(text).unwrap());
            let mut packets = Packets::new(42);
            for _ in 0..3000 {
                let (bytes, _) = packets.packet();
                let whole = [&bytes[..], &[0; 100]].concat();
                assert_eq!(list.matches(&whole, 200), chain.matches(&whole, 200), "{bytes:02x?}");
            }
        }
    }

    fn in_file(name: &str, text: &str, head: &str) -> Result<Filter> {
        let path = std::env::temp_dir().join(format!("tickwire-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let result = compile(&format!("{head} in @{}", path.display()));
        std::fs::remove_file(&path).unwrap();
        result
    }

    #[test]
    fn ten_thousand_addresses_come_from_a_file() {
        let mut random = Random::new(43);
        let addresses: Vec<u32> = (0..10_000).map(|_| random.below(1 << 31) as u32).collect();
        let line =
            |address: &u32| format!("{} # one of many\n", std::net::Ipv4Addr::from(*address));
        let text: String = addresses.iter().map(line).collect();
        let filter = in_file("addresses", &text, "src host").unwrap();
        let frame = |address: u32| {
            let mut bytes = vec![0; 60];
            bytes[12..15].copy_from_slice(&[8, 0, 0x45]);
            bytes[26..30].copy_from_slice(&address.to_be_bytes());
            bytes
        };
        for address in addresses.iter().step_by(101) {
            assert_ne!(filter.matches(&frame(*address), 60), 0);
            let known = addresses.contains(&(address ^ 1));
            assert_eq!(filter.matches(&frame(address ^ 1), 60) != 0, known);
        }
        assert_eq!(filter.xdp().unwrap().tables().len(), 1);
        assert_eq!(filter.classic().unwrap_err().kind, ErrorKind::Limit);
    }

    #[test]
    fn errors_name_the_file_and_the_line() {
        let error = in_file("bad", "# feeds\n10.0.0.1\n10.0.0.300\n", "host").unwrap_err();
        assert!(error.message.contains("-bad, line 3: "), "{error}");
        assert!(error.message.contains("'300' is not 0 to 255"), "{error}");
        assert_eq!(error.span.start, 0);
        let error = in_file("empty", "\n# nothing\n", "port").unwrap_err();
        assert!(error.message.contains("is empty"), "{error}");
        let error = in_file("mixed", "80\n81 82\n", "port").unwrap_err();
        assert!(error.message.contains("line 2: '82' does not fit here"), "{error}");
        let error = compile("host in @/no/such/file").unwrap_err();
        assert!(error.message.contains("/no/such/file: No such file"), "{error}");
        let error = compile("port in {80, 65536}").unwrap_err();
        assert_eq!(error.span, 13..18, "{error}");
        let error = compile("proto in {6, 17}").unwrap_err();
        assert!(error.message.contains("not 'proto'"), "{error}");
        let unread = Options { resolve: false, ..Options::default() };
        let error = Filter::compile("port in @/etc/services", &unread).unwrap_err();
        assert!(error.message.contains("not read here"), "{error}");
        assert!(compile("port in {0-65535, 1}").unwrap_err().message.contains("65536 values"));
    }
}
