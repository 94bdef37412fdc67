//! Every test that is not an id.

use super::{Carry, Parser};
use crate::ast::{ByteTest, Expr, NameOrNumber, Node, Primitive, Relation};
use crate::error::{FilterError, Result};
use crate::lex::Kind;

impl Parser<'_> {
    /// One test, and the qualifiers that it leaves for the next bare id.
    pub(super) fn primitive(&mut self) -> Result<(Expr, Carry)> {
        let start = self.span().start;
        let node = if self.at_field(self.at) {
            self.field_test()?
        } else if self.at_arith() {
            let left = self.arith()?;
            let relation = self.relation()?;
            Primitive::Relation(left, relation, self.arith()?)
        } else {
            let Kind::Keyword(word) = *self.peek() else {
                self.no_comparison()?;
                return Err(self.unexpected("a test such as 'tcp', 'host 10.0.0.1' or 'port 80'"));
            };
            if let Some(node) = self.standalone(word)? {
                node
            } else {
                return self.qualified(word);
            }
        };
        Ok((Expr { node: Node::Primitive(node), span: self.span_from(start) }, None))
    }

    /// Tests that begin with a word of their own.
    fn standalone(&mut self, word: &'static str) -> Result<Option<Primitive>> {
        let encapsulation = matches!(word, "vlan" | "mpls" | "pppoes" | "vxlan" | "geneve");
        let signal = matches!(
            word,
            "lane"
                | "metac"
                | "bcc"
                | "oamf4ec"
                | "oamf4sc"
                | "oamf4"
                | "oam"
                | "sc"
                | "ilmic"
                | "connectmsg"
                | "metaconnect"
                | "fisu"
                | "lssu"
                | "msu"
                | "hfisu"
                | "hlssu"
                | "hmsu"
        );
        let field = matches!(
            word,
            "vpi" | "vci" | "sio" | "opc" | "dpc" | "sls" | "hsio" | "hopc" | "hdpc" | "hsls"
        );
        let at = self.at;
        self.next();
        Ok(Some(match word {
            "less" => Primitive::Less(self.number("a length in bytes")?),
            "greater" => Primitive::Greater(self.number("a length in bytes")?),
            "byte" => self.byte()?,
            "inbound" => Primitive::Outbound(false),
            "outbound" => Primitive::Outbound(true),
            "ifindex" => Primitive::Ifindex(self.number("an interface index")?),
            "pppoed" => Primitive::Encapsulation(word, None),
            "llc" => Primitive::Llc(self.llc()),
            "rnr" | "srnr" => {
                Primitive::PfNumber(word, NameOrNumber::Number(self.number("a rule number")?))
            }
            "reason" => Primitive::PfNumber(word, self.name_or_number("a PF reason")?),
            "action" => {
                Primitive::PfNumber(word, self.name("a PF action").map(NameOrNumber::Name)?)
            }
            "ifname" => Primitive::PfName(word, self.name("an interface name")?),
            "rset" => Primitive::PfName(word, self.name("a rule set name")?),
            _ if encapsulation => Primitive::Encapsulation(word, self.optional_number()),
            _ if signal => Primitive::Signal(word),
            _ if field => self.field(word)?,
            _ => {
                self.at = at;
                return Ok(None);
            }
        }))
    }

    /// `[protocol]` and what may follow it.
    fn qualified(&mut self, word: &'static str) -> Result<(Expr, Carry)> {
        let start = self.span().start;
        let protocol = is_protocol(word).then_some(word);
        self.at += usize::from(protocol.is_some());
        if let Some(qualifiers) = self.head(protocol)? {
            let (mut expr, carry) = self.id(Some(qualifiers))?;
            expr.span.start = start;
            return Ok((expr, carry));
        }
        let node = if self.keyword("broadcast") {
            Primitive::Broadcast(protocol)
        } else if self.keyword("multicast") {
            Primitive::Multicast(protocol)
        } else if let Some(node) = self.wlan()? {
            node
        } else if let Some(protocol) = protocol {
            if matches!(protocol, "link" | "radio") {
                let message = format!(
                    "'{protocol}' cannot stand alone; follow it by host, proto, broadcast, …"
                );
                return Err(FilterError::syntax(self.span_from(start), message));
            }
            Primitive::Protocol(protocol)
        } else {
            return Err(self.unexpected("a test such as 'tcp', 'host 10.0.0.1' or 'port 80'"));
        };
        Ok((Expr { node: Node::Primitive(node), span: self.span_from(start) }, None))
    }

    fn wlan(&mut self) -> Result<Option<Primitive>> {
        if self.keyword("type") {
            let kind = self.name_or_number("an 802.11 type: mgt, ctl, data or a number")?;
            let subtype = if self.keyword("subtype") {
                Some(self.name_or_number("an 802.11 subtype")?)
            } else {
                None
            };
            return Ok(Some(Primitive::WlanType(Some(kind), subtype)));
        }
        if self.keyword("subtype") {
            let subtype = self.name("the name of an 802.11 subtype")?;
            return Ok(Some(Primitive::WlanType(None, Some(NameOrNumber::Name(subtype)))));
        }
        if self.keyword("dir") {
            let direction =
                self.name_or_number("an 802.11 direction: nods, tods, fromds, dstods or 0 to 3")?;
            return Ok(Some(Primitive::WlanDirection(direction)));
        }
        Ok(None)
    }

    fn byte(&mut self) -> Result<Primitive> {
        let index = self.number("the index of a byte")?;
        let test = match self.peek() {
            Kind::Symbol("=") => ByteTest::Equal,
            Kind::Symbol("<") => ByteTest::Less,
            Kind::Symbol(">") => ByteTest::Greater,
            Kind::Symbol("&") => ByteTest::And,
            Kind::Symbol("|") => ByteTest::Or,
            _ => return Err(self.unexpected("one of = < > & |")),
        };
        self.next();
        let span = self.span();
        let value = self.number("a value from 0 to 255")?;
        if value > 255 {
            return Err(FilterError::value(span, format!("{value} does not fit into a byte")));
        }
        Ok(Primitive::Byte(index, test, value))
    }

    fn llc(&mut self) -> Option<String> {
        match self.peek().clone() {
            Kind::Name(name) => {
                self.next();
                Some(name)
            }
            Kind::Keyword("rnr") => {
                self.next();
                Some("rnr".to_owned())
            }
            _ => None,
        }
    }

    fn name(&mut self, what: &str) -> Result<String> {
        match self.peek().clone() {
            Kind::Name(name) => {
                self.next();
                Ok(name)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn name_or_number(&mut self, what: &str) -> Result<NameOrNumber> {
        match *self.peek() {
            Kind::Number(value) => {
                self.next();
                Ok(NameOrNumber::Number(value))
            }
            _ => self.name(what).map(NameOrNumber::Name),
        }
    }

    fn optional_number(&mut self) -> Option<u32> {
        match *self.peek() {
            Kind::Number(value) => {
                self.next();
                Some(value)
            }
            _ => None,
        }
    }

    /// `vpi 5`, `vpi > 5`, `vpi (5 or 6)`
    fn field(&mut self, field: &'static str) -> Result<Primitive> {
        if self.symbol("(") {
            let mut values = vec![self.number("a value")?];
            while self.keyword("or") {
                values.push(self.number("a value")?);
            }
            self.expect(")")?;
            return Ok(Primitive::Field(field, Relation::Equal, values));
        }
        if let Some(value) = self.optional_number() {
            return Ok(Primitive::Field(field, Relation::Equal, vec![value]));
        }
        let relation = self.relation()?;
        Ok(Primitive::Field(field, relation, vec![self.number("a value")?]))
    }
}

/// Whether a keyword is a protocol: alone, as a qualifier or with a subscript.
fn is_protocol(word: &str) -> bool {
    matches!(
        word,
        "link"
            | "radio"
            | "ip"
            | "ip6"
            | "arp"
            | "rarp"
            | "tcp"
            | "udp"
            | "sctp"
            | "icmp"
            | "icmp6"
            | "igmp"
            | "igrp"
            | "pim"
            | "vrrp"
            | "carp"
            | "ah"
            | "esp"
            | "atalk"
            | "aarp"
            | "decnet"
            | "lat"
            | "sca"
            | "moprc"
            | "mopdl"
            | "iso"
            | "esis"
            | "isis"
            | "clnp"
            | "l1"
            | "l2"
            | "iih"
            | "lsp"
            | "snp"
            | "csnp"
            | "psnp"
            | "stp"
            | "ipx"
            | "netbeui"
    )
}
