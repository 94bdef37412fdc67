//! The syntax tree. Everything keeps its place in the text.

use std::net::Ipv6Addr;

use crate::error::Span;

/// A boolean expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub node: Node,
    /// Where it stands.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// The empty text: every packet.
    All,
    /// `not`.
    Not(Box<Expr>),
    /// `a and b or c`: from left to right, `and` and `or` bind equally.
    Chain(Box<Expr>, Vec<(Joint, Expr)>),
    /// `all(…)`: every message of the packet does, and there is one.
    Every(Box<Expr>),
    /// A test.
    Primitive(Primitive),
}

/// What joins two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// Both.
    And,
    /// Either.
    Or,
}

/// What is asked of an address or number: `[protocol] [direction] [kind]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Qualifiers {
    /// Canonical keyword of the protocol.
    pub protocol: Option<&'static str>,
    /// The direction.
    pub direction: Option<Direction>,
    /// The kind; `host` unless said.
    pub kind: Option<Which>,
}

/// Which of a pair of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The source.
    Source,
    /// The destination.
    Destination,
    /// Either.
    Either,
    /// Both.
    Both,
    /// An 802.11 address field: `addr1` to `addr4`, `ra`, `ta`.
    Wlan(&'static str),
}

/// What an id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// An address of a host.
    Host,
    /// An address prefix.
    Net,
    /// A port.
    Port,
    /// A range of ports.
    PortRange,
    /// A protocol.
    Proto,
    /// A protocol anywhere in the chain of headers.
    ProtoChain,
    /// A host that forwarded the packet.
    Gateway,
}

impl Which {
    /// The keyword.
    pub fn word(self) -> &'static str {
        match self {
            Which::Host => "host",
            Which::Net => "net",
            Which::Port => "port",
            Which::PortRange => "portrange",
            Which::Proto => "proto",
            Which::ProtoChain => "protochain",
            Which::Gateway => "gateway",
        }
    }
}

/// What the qualifiers are about.
#[derive(Clone, Debug, PartialEq)]
pub enum Id {
    /// A name.
    Name(String),
    /// A number.
    Number(u32),
    /// A dotted IPv4 address of two to four parts, and its mask.
    Dotted(String, Mask),
    /// An IPv6 address and the length of its prefix.
    V6(Ipv6Addr, Option<u32>),
    /// A MAC address.
    Mac([u8; 6]),
    /// A one-octet address.
    Octet(u8),
    /// Any of these: `in {80, 443}`, `in @file`.
    List(List),
}

/// A list of ids.
#[derive(Clone, Debug, PartialEq)]
pub enum List {
    /// In the text, each with its place.
    Here(Vec<(Id, Span)>),
    /// In a file, one a line.
    File(String),
}

/// The mask of an IPv4 address.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {
    /// None: as long as the parts that were given.
    Implied,
    /// `/length`.
    Length(u32),
    /// `mask 255.255.0.0`.
    Dotted(String),
}

/// A test of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Primitive {
    /// Qualifiers and an id; the qualifiers may come from the id before.
    Id(Qualifiers, Id),
    /// A protocol: canonical keyword.
    Protocol(&'static str),
    /// A comparison of two numbers.
    Relation(Arith, Relation, Arith),
    /// `[protocol] broadcast`.
    Broadcast(Option<&'static str>),
    /// `[protocol] multicast`.
    Multicast(Option<&'static str>),
    /// `less N`: at most N bytes on the wire.
    Less(u32),
    /// `greater N`: at least N bytes on the wire.
    Greater(u32),
    /// `byte I op V`.
    Byte(u32, ByteTest, u32),
    /// `inbound` or `outbound`.
    Outbound(bool),
    /// `ifindex N`.
    Ifindex(u32),
    /// `vlan [id]`, `mpls [label]`, `pppoed`, `pppoes [session]`, `vxlan [vni]`, `geneve [vni]`.
    Encapsulation(&'static str, Option<u32>),
    /// `llc [type]`.
    Llc(Option<String>),
    /// A PF test with a number: `rnr`, `srnr`, or a code from a name: `reason`, `action`.
    PfNumber(&'static str, NameOrNumber),
    /// A PF test with a name: `ifname`, `rset`.
    PfName(&'static str, String),
    /// `type T`, `type T subtype S` or `subtype S`.
    WlanType(Option<NameOrNumber>, Option<NameOrNumber>),
    /// `dir D`.
    WlanDirection(NameOrNumber),
    /// An ATM or SS7 abbreviation: `lane`, `metac`, `fisu`, …
    Signal(&'static str),
    /// A field of ATM (`vpi`, `vci`) or SS7 (`sio`, `opc`, …) against one value or a list.
    Field(&'static str, Relation, Vec<u32>),
    /// `itch.stock == "AAPL"`: a field of market data.
    Market(FieldTest),
}

/// A comparison of a field of market data, as it was written: what its values mean depends on the
/// [field](crate::fields).
#[derive(Clone, Debug, PartialEq)]
pub struct FieldTest {
    /// Its dotted name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// How it compares; a list is `Equal`.
    pub relation: Relation,
    /// What it is compared to: one, or any of a list.
    pub values: Vec<FieldValue>,
    /// The file that the list is in, one value a line, and where its name stands; `values` is
    /// empty then.
    pub file: Option<(String, Span)>,
}

/// A value, or all from one to another.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldValue {
    /// The value, or the lowest.
    pub low: Literal,
    /// The highest of a range: `1..9`.
    pub high: Option<Literal>,
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// Without quotation marks.
    pub text: String,
    /// Whether it had some.
    pub quoted: bool,
    /// Where it stands.
    pub span: Span,
}

/// A word that the lowering looks up, or its number.
#[derive(Clone, Debug, PartialEq)]
pub enum NameOrNumber {
    /// A name.
    Name(String),
    /// A number.
    Number(u32),
}

/// The test of `byte`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteTest {
    /// Equal.
    Equal,
    /// Below.
    Less,
    /// Above.
    Greater,
    /// The bitwise and is not 0.
    And,
    /// The bitwise or is not 0.
    Or,
}

/// A relation between two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

/// A number computed from the packet. All arithmetic is on 32 bits, unsigned, and wraps.
#[derive(Clone, Debug, PartialEq)]
pub struct Arith {
    /// What it is.
    pub node: ArithNode,
    /// Where it stands.
    pub span: Span,
}

/// What a number is.
#[derive(Clone, Debug, PartialEq)]
pub enum ArithNode {
    /// A constant.
    Number(u32),
    /// The length on the wire.
    Length,
    /// `protocol[index:size]`: canonical keyword, index, 1, 2 or 4 bytes.
    Accessor(&'static str, Box<Arith>, u32),
    /// Unary minus.
    Negate(Box<Arith>),
    /// A binary operation: `+ - * / % & | ^ << >>`.
    Binary(&'static str, Box<Arith>, Box<Arith>),
}
