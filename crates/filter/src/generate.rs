//! Seeded random expressions and packets, for tests that compare back ends, and for fuzzing.
//!
//! Both draw addresses, ports and protocols from the same small pools, so that expressions and
//! packets meet. The same seed gives the same sequence.

pub mod market;

/// A generator of numbers (xorshift64*); never 0.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    /// True once in `count`.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const HOSTS: [u32; 6] =
    [0x0a00_0001, 0x0a00_0002, 0xc0a8_0105, 0xe001_0203, 0xffff_ffff, 0x0a01_0203];
const HOSTS6: [u128; 4] = [1, 0xfe80 << 112 | 0x1234, 0x2001_0db8 << 96 | 7, 0xff02 << 112 | 1];
const PORTS: [u16; 8] = [22, 25, 53, 80, 443, 5000, 26400, 65535];
const PROTOCOLS: [u8; 11] = [1, 2, 6, 17, 17, 6, 44, 50, 51, 58, 132];
const MACS: [[u8; 6]; 4] =
    [[0xff; 6], [1, 0, 0x5e, 1, 2, 3], [2, 0, 0, 0, 0, 1], [0, 0x1b, 0x21, 1, 2, 3]];

/// Random expressions of the language.
#[derive(Clone, Debug)]
pub struct Expressions {
    random: Random,
    /// Words that need Ethernet: arp, MAC addresses, vlan, mpls, pppoe, llc.
    pub ethernet: bool,
    /// Words that change what comes after them.
    pub encapsulations: bool,
    /// What changed after libpcap 1.10: `ip multicast`, and words of addresses that a prefix does
    /// not reach, which are no longer loaded.
    pub changed: bool,
    /// `in {…}`, which libpcap does not know.
    pub lists: bool,
}

impl Expressions {
    /// Expressions for Ethernet.
    pub fn new(seed: u64) -> Expressions {
        Expressions {
            random: Random::new(seed),
            ethernet: true,
            encapsulations: true,
            changed: true,
            lists: true,
        }
    }

    /// The next expression.
    pub fn expression(&mut self) -> String {
        let terms = 1 + self.random.below(4);
        self.chain(terms, 2)
    }

    fn chain(&mut self, terms: usize, depth: usize) -> String {
        let mut text = self.term(depth);
        for _ in 1..terms {
            text += self.random.pick(&[" and ", " or ", " && ", " || "]);
            text += &self.term(depth);
        }
        text
    }

    fn term(&mut self, depth: usize) -> String {
        match self.random.below(8) {
            0 => format!("not {}", self.primitive()),
            1 if depth > 0 => {
                let terms = 1 + self.random.below(3);
                format!("({})", self.chain(terms, depth - 1))
            }
            2 if depth > 0 => {
                let terms = 1 + self.random.below(2);
                format!("not ({})", self.chain(terms, depth - 1))
            }
            _ => self.primitive(),
        }
    }

    fn primitive(&mut self) -> String {
        if self.random.one_in(16) {
            return self.list();
        }
        let random = &mut self.random;
        match random.below(16) {
            0 if self.ethernet => random.pick(&["arp", "rarp"]).to_owned(),
            0 | 1 => random
                .pick(&["ip", "ip6", "tcp", "udp", "icmp", "icmp6", "igmp", "sctp"])
                .to_owned(),
            2 | 3 => self.host(),
            4 => self.net(),
            5..=7 => self.ports(),
            8 => {
                let number = random.pick(&PROTOCOLS);
                format!("{} {number}", random.pick(&["ip proto", "ip6 proto", "proto"]))
            }
            9 => {
                let size = 20 + random.below(100);
                format!("{} {size}", random.pick(&["less", "greater"]))
            }
            10 if self.changed => random.pick(&["ip multicast", "ip6 multicast"]).to_owned(),
            10 => "ip6 multicast".to_owned(),
            11 | 12 => self.ethernet(),
            _ => self.relation(),
        }
    }

    /// As `in {…}`, or long chains of `or`.
    fn list(&mut self) -> String {
        let count = if self.random.one_in(2) {
            2 + self.random.below(8)
        } else {
            16 + self.random.below(30)
        };
        let direction = self.direction();
        let ports = self.random.one_in(2);
        let head = match ports {
            true => format!("{}{direction}port", self.random.pick(&["", "tcp ", "udp "])),
            false => format!("{}{direction}host", self.random.pick(self.protocols4())),
        };
        let near = self.random.one_in(2);
        let value = |random: &mut Random, at: usize| match (ports, random.one_in(3)) {
            (true, true) => random.pick(&PORTS).to_string(),
            (true, false) if near => (at + 440).to_string(),
            (true, false) => random.below(65536).to_string(),
            (false, known) => {
                let other = random.below(1 << 20) as u32;
                let address = if known { random.pick(&HOSTS) } else { 0x0a00_0000 + other };
                std::net::Ipv4Addr::from(address).to_string()
            }
        };
        let values: Vec<String> = (0..count).map(|at| value(&mut self.random, at)).collect();
        if self.lists && self.random.one_in(2) {
            return format!("{head} in {{{}}}", values.join(", "));
        }
        format!("{head} ({})", values.join(" or "))
    }

    fn direction(&mut self) -> &'static str {
        self.random.pick(&["", "src ", "dst ", "src or dst ", "src and dst "])
    }

    fn host(&mut self) -> String {
        let direction = self.direction();
        if self.random.one_in(3) {
            let address = std::net::Ipv6Addr::from(self.random.pick(&HOSTS6));
            let protocol = self.random.pick(&["", "ip6 "]);
            return format!("{protocol}{direction}host {address}");
        }
        let address = std::net::Ipv4Addr::from(self.random.pick(&HOSTS));
        let protocol = self.random.pick(self.protocols4());
        format!("{protocol}{direction}host {address}")
    }

    fn protocols4(&self) -> &'static [&'static str] {
        // Without Ethernet even a bare address must not mean ARP.
        if self.ethernet { &["", "ip ", "arp ", "rarp "] } else { &["ip "] }
    }

    fn net(&mut self) -> String {
        let direction = self.direction();
        if self.random.one_in(3) {
            let least = if self.changed { 0 } else { 97 };
            let length = (least + self.random.below(129 - least)) as u32;
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            let address = std::net::Ipv6Addr::from(self.random.pick(&HOSTS6) & mask);
            return format!("{direction}net {address}/{length}");
        }
        let least = if self.changed { 0 } else { 1 };
        let length = (least + self.random.below(33 - least)) as u32;
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        let address = std::net::Ipv4Addr::from(self.random.pick(&HOSTS) & mask);
        let protocol = self.random.pick(self.protocols4());
        format!("{protocol}{direction}net {address}/{length}")
    }

    fn ports(&mut self) -> String {
        let protocol = self.random.pick(&["", "tcp ", "udp ", "sctp "]);
        let direction = self.direction();
        let port = self.random.pick(&PORTS);
        match self.random.below(4) {
            0 => {
                let other = self.random.pick(&PORTS);
                format!("{protocol}{direction}portrange {port}-{other}")
            }
            1 => {
                let other = self.random.pick(&PORTS);
                format!("{protocol}{direction}port {port} or {other}")
            }
            _ => format!("{protocol}{direction}port {port}"),
        }
    }

    fn ethernet(&mut self) -> String {
        let random = &mut self.random;
        if !self.ethernet {
            return "ip".to_owned();
        }
        match random.below(if self.encapsulations { 9 } else { 5 }) {
            0 => "ether broadcast".to_owned(),
            1 => "ether multicast".to_owned(),
            2 => {
                let [a, b, c, d, e, f] = random.pick(&MACS);
                let direction = random.pick(&["", "src ", "dst "]);
                format!("ether {direction}host {a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}")
            }
            3 => format!("ether proto {}", random.pick(&["0x800", "0x86dd", "6", "0x42", "0xfe"])),
            4 => random.pick(&["stp", "ipx", "iso", "atalk", "llc ui"]).to_owned(),
            5 => "vlan".to_owned(),
            6 => format!("vlan {}", random.below(4)),
            7 => format!("mpls {}", random.below(3)),
            _ => format!("pppoes {}", random.below(3)),
        }
    }

    fn relation(&mut self) -> String {
        let left = self.number(2);
        let relation = self.random.pick(&["=", "==", "!=", "<", ">", "<=", ">="]);
        let right =
            if self.random.one_in(4) { self.number(1) } else { self.random.below(300).to_string() };
        format!("{left} {relation} {right}")
    }

    fn number(&mut self, depth: usize) -> String {
        if depth > 0 && self.random.one_in(2) {
            let left = self.number(depth - 1);
            let operator = self.random.pick(&["+", "-", "*", "&", "|", "<<", ">>", "/", "%", "^"]);
            let right = match operator {
                "<<" | ">>" => self.random.below(32).to_string(),
                "/" | "%" => (1 + self.random.below(9)).to_string(),
                _ if self.random.one_in(3) => self.number(depth - 1),
                _ => self.random.below(256).to_string(),
            };
            return format!("({left} {operator} {right})");
        }
        let random = &mut self.random;
        if random.one_in(6) {
            return "len".to_owned();
        }
        let protocol =
            random.pick(&["ether", "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "sctp", "arp"]);
        let protocol = if self.ethernet || protocol != "arp" { protocol } else { "ip" };
        let size = random.pick(&["", ":1", ":2", ":4"]);
        let index = match random.below(6) {
            0 => "(ip[0] & 15)".to_owned(),
            _ => random.below(24).to_string(),
        };
        format!("{protocol}[{index}{size}]")
    }
}

/// Random packets, mostly well formed.
#[derive(Clone, Debug)]
pub struct Packets {
    random: Random,
    /// Whether an Ethernet header comes first.
    pub ethernet: bool,
}

impl Packets {
    /// Ethernet frames.
    pub fn new(seed: u64) -> Packets {
        Packets { random: Random::new(seed), ethernet: true }
    }

    /// The next packet: its bytes, of which some may be cut off, and its length on the wire.
    pub fn packet(&mut self) -> (Vec<u8>, u32) {
        let mut bytes = Vec::with_capacity(160);
        let (six, other) = (self.random.one_in(3), self.random.one_in(6));
        if self.ethernet {
            bytes.extend(self.random.pick(&MACS));
            bytes.extend(self.random.pick(&MACS));
            self.ether_kind(&mut bytes, six, other);
        }
        match (other && self.ethernet, six) {
            (true, _) => self.address_resolution(&mut bytes),
            (false, false) => self.four(&mut bytes),
            (false, true) => self.six(&mut bytes),
        }
        let wire_len = bytes.len() as u32;
        if self.random.one_in(4) {
            bytes.truncate(self.random.below(bytes.len() + 1));
        }
        if self.random.one_in(8) && !bytes.is_empty() {
            let at = self.random.below(bytes.len());
            bytes[at] = self.random.below(256) as u8;
        }
        (bytes, wire_len)
    }

    fn ether_kind(&mut self, bytes: &mut Vec<u8>, six: bool, other: bool) {
        let kind: u16 = match (other, six) {
            (true, false) => 0x0806,
            (true, true) => self.random.pick(&[0x8035, 0x0040, 0x88cc]),
            (false, false) => 0x0800,
            (false, true) => 0x86dd,
        };
        for _ in 0..self.random.below(3) {
            if self.random.one_in(2) {
                bytes.extend(self.random.pick(&[0x8100u16, 0x88a8, 0x9100]).to_be_bytes());
                bytes.extend((self.random.below(4) as u16).to_be_bytes());
            }
        }
        match self.random.below(12) {
            0 => {
                let label = (self.random.below(3) as u32) << 12 | 0x140;
                bytes.extend([0x88, 0x47]);
                bytes.extend(label.to_be_bytes());
            }
            1 => {
                bytes.extend([0x88, 0x64, 0x11, 0, 0]);
                bytes.push(self.random.below(3) as u8);
                bytes.extend([0, 60, 0, if six { 0x57 } else { 0x21 }]);
            }
            _ => bytes.extend(kind.to_be_bytes()),
        }
    }

    fn address_resolution(&mut self, bytes: &mut Vec<u8>) {
        bytes.extend([0, 1, 8, 0, 6, 4, 0, 1 + self.random.below(2) as u8]);
        for _ in 0..2 {
            bytes.extend(self.random.pick(&MACS));
            bytes.extend(self.random.pick(&HOSTS).to_be_bytes());
        }
    }

    fn four(&mut self, bytes: &mut Vec<u8>) {
        let options = if self.random.one_in(6) { self.random.below(11) } else { 0 };
        bytes.push(0x45 + options as u8);
        bytes.extend([0, 0, 60, 0, 1]);
        let fragment: u16 =
            if self.random.one_in(5) { self.random.pick(&[0x2000, 1, 0x2005]) } else { 0x4000 };
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([64, self.random.pick(&PROTOCOLS), 0, 0]);
        bytes.extend(self.random.pick(&HOSTS).to_be_bytes());
        bytes.extend(self.random.pick(&HOSTS).to_be_bytes());
        bytes.extend(std::iter::repeat_n(1, 4 * options));
        self.transport(bytes);
    }

    fn six(&mut self, bytes: &mut Vec<u8>) {
        let next = self.random.pick(&PROTOCOLS);
        bytes.extend([0x60, 0, 0, 0, 0, 40, next, 64]);
        bytes.extend(self.random.pick(&HOSTS6).to_be_bytes());
        bytes.extend(self.random.pick(&HOSTS6).to_be_bytes());
        if next == 44 {
            bytes.extend([self.random.pick(&PROTOCOLS), 0, 0, 0, 0, 0, 0, 1]);
        }
        self.transport(bytes);
    }

    fn transport(&mut self, bytes: &mut Vec<u8>) {
        bytes.extend(self.random.pick(&PORTS).to_be_bytes());
        bytes.extend(self.random.pick(&PORTS).to_be_bytes());
        for _ in 0..16 + self.random.below(40) {
            bytes.push(self.random.below(256) as u8);
        }
    }
}
