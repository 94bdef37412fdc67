//! Ports of TCP, UDP and SCTP: in first fragments of IPv4, in IPv6 without extension headers.

use super::Lowerer;
use super::fragment::{Fragment, not};
use super::ip::{IP6_BYTES, protocol};
use super::linktype::ethertype::{IP, IP6};
use crate::ast::Direction;
use crate::error::Result;
use crate::ir::{Compare, NumberId, Size};

/// Transport protocols that have ports, in the order in which they are tested.
const WITH_PORTS: [u32; 3] = [protocol::TCP, protocol::UDP, protocol::SCTP];

/// Which ports.
pub(super) enum Ports {
    /// From one to another.
    Range(u32, u32),
    /// Any of these.
    List(Vec<u32>),
}

impl Lowerer<'_> {
    /// Ports of one transport or of any.
    pub(super) fn ports(
        &mut self,
        direction: Option<Direction>,
        transport: Option<u32>,
        ports: &Ports,
    ) -> Result<Fragment> {
        let six = self.ports6(direction, transport, ports)?;
        let four = self.ports4(direction, transport, ports)?;
        Ok(self.program.or(six, four))
    }

    fn ports6(
        &mut self,
        direction: Option<Direction>,
        transport: Option<u32>,
        ports: &Ports,
    ) -> Result<Fragment> {
        let is = self.link_type(IP6)?;
        let next = self.network(6)?;
        let next = self.load(next, Size::Byte);
        let transport = self.transport(next, transport);
        let source = self.network(IP6_BYTES)?;
        let ports = self.either_port(direction, ports, |lowerer, from| {
            lowerer.load(if from { source } else { source.plus(2) }, Size::Half)
        })?;
        Ok(self.program.all([is, transport, ports]))
    }

    fn ports4(
        &mut self,
        direction: Option<Direction>,
        transport: Option<u32>,
        ports: &Ports,
    ) -> Result<Fragment> {
        let is = self.link_type(IP)?;
        let field = self.network(9)?;
        let field = self.load(field, Size::Byte);
        let transport = self.transport(field, transport);
        let first = self.first_fragment()?;
        let source = self.behind4(0, Size::Half)?;
        let destination = self.behind4(2, Size::Half)?;
        let ports =
            self.either_port(direction, ports, |_, from| if from { source } else { destination })?;
        Ok(self.program.all([is, transport, first, ports]))
    }

    fn either_port(
        &mut self,
        direction: Option<Direction>,
        ports: &Ports,
        field: impl Fn(&mut Self, bool) -> NumberId,
    ) -> Result<Fragment> {
        match ports {
            Ports::Range(low, high) => self.by_direction(direction, |lowerer, from| {
                let field = field(lowerer, from);
                lowerer.within(field, (*low, *high))
            }),
            Ports::List(values) => self.any_of(direction, values, |lowerer, from, wanted| {
                let field = field(lowerer, from);
                lowerer.one_of(field, wanted)
            }),
        }
    }

    fn transport(&mut self, field: NumberId, transport: Option<u32>) -> Fragment {
        if let Some(number) = transport {
            return self.compare(field, Compare::Equal, number);
        }
        let mut condition = Fragment::Always(false);
        for number in WITH_PORTS {
            let test = self.compare(field, Compare::Equal, number);
            condition = self.program.or(condition, test);
        }
        condition
    }

    fn within(&mut self, field: NumberId, (low, high): (u32, u32)) -> Fragment {
        if low == high {
            return self.compare(field, Compare::Equal, low);
        }
        let (low, high) = (low.min(high), low.max(high));
        let above = self.compare(field, Compare::GreaterEqual, low);
        let below = not(self.compare(field, Compare::Greater, high));
        self.program.and(above, below)
    }
}
