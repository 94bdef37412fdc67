//! libpcap's own tests against this crate: the cases, the packets, and how they are judged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tickwire_capture::{FilePort, Port, Received};
use tickwire_filter::classic::{self, Insn, Listing};
use tickwire_filter::{Filter, Metadata, Options, Packet, link};
use tickwire_frame::{Batch, LinkType};

/// One case of `tests.json`.
#[derive(Deserialize)]
pub struct Case {
    pub kind: String,
    pub label: String,
    pub expr: String,
    pub expected: String,
    #[serde(rename = "DLT")]
    pub link: Option<String>,
    pub savefile: Option<String>,
    #[serde(default)]
    optimize: Flexible,
    #[serde(default)]
    snaplen: Flexible,
    #[serde(default)]
    netmask: Flexible,
    #[serde(default)]
    linuxext: Flexible,
    #[serde(default)]
    generate_offline_filter: Flexible,
}

/// A number, a text, or nothing.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Flexible {
    Number(u32),
    Text(String),
    #[default]
    Nothing,
}

impl Flexible {
    fn number(&self) -> Option<u32> {
        match self {
            Flexible::Number(value) => Some(*value),
            Flexible::Text(text) => text.parse().ok(),
            Flexible::Nothing => None,
        }
    }

    fn is_set(&self) -> bool {
        match self {
            Flexible::Number(value) => *value != 0,
            Flexible::Text(text) => !text.is_empty() && text != "0",
            Flexible::Nothing => false,
        }
    }

    fn address(&self) -> Option<u32> {
        match self {
            Flexible::Text(text) => text.parse::<std::net::Ipv4Addr>().ok().map(u32::from),
            _ => None,
        }
    }
}

/// A packet of the corpus.
#[derive(Clone)]
pub struct Sample {
    pub bytes: Vec<u8>,
    pub wire_len: u32,
}

/// The corpus, if the environment says where it is.
pub fn corpus() -> Option<PathBuf> {
    std::env::var_os("TICKWIRE_CORPUS").map(PathBuf::from).filter(|path| path.is_dir())
}

pub fn cases(corpus: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(corpus.join("libpcap-filter/tests.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The packets of a capture, with its link type and snap length; stops at a broken record.
pub fn read(path: &Path, packets_max: usize) -> Option<(LinkType, u32, Vec<Sample>)> {
    let mut port = FilePort::open(path).ok()?;
    let mut samples = Vec::new();
    let mut link = None;
    while samples.len() < packets_max {
        let mut batch = Batch::new();
        if !matches!(port.receive(&mut batch), Ok(Received::Frames)) {
            break;
        }
        let first = *link.get_or_insert(batch.link);
        if batch.link != first {
            break;
        }
        samples
            .extend(batch.iter().map(|f| Sample { bytes: f.bytes.to_vec(), wire_len: f.wire_len }));
    }
    let snaplen = port.interfaces().first()?.snaplen;
    Some((link?, snaplen, samples))
}

/// Packets by link type, from every capture under `root`.
pub fn samples(root: &Path, per_file: usize, per_link: usize) -> BTreeMap<u16, Vec<Sample>> {
    let mut found: BTreeMap<u16, Vec<Sample>> = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
            if !matches!(extension, "pcap" | "pcapng" | "cap") {
                continue;
            }
            if let Some((link, _, packets)) = read(&path, per_file) {
                let known = found.entry(link.0).or_default();
                let room = per_link.saturating_sub(known.len());
                known.extend(packets.into_iter().take(per_file.min(room)));
            }
        }
    }
    found
}

/// A seeded generator (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

/// Packets that come near to passing `program`: the constants that it compares with are written
/// where it loads from, most of the time, then some are cut.
pub fn directed(
    program: &[Insn],
    base: &[Sample],
    count: usize,
    random: &mut Random,
) -> Vec<Sample> {
    let wishes = wishes(program);
    (0..count)
        .map(|_| {
            let mut bytes = match random.below(3) {
                0 => vec![0; 96],
                1 if !base.is_empty() => base[random.below(base.len())].bytes.clone(),
                _ => (0..160).map(|_| random.below(256) as u8).collect(),
            };
            bytes.truncate(512);
            for (offset, size, value) in &wishes {
                if random.below(4) > 0 && offset + size <= bytes.len() {
                    let value = value.to_be_bytes();
                    bytes[*offset..offset + size].copy_from_slice(&value[4 - size..]);
                }
            }
            if random.below(4) == 0 {
                bytes.truncate(random.below(bytes.len() + 1));
            }
            let wire_len = bytes.len() as u32 + random.below(2) as u32 * random.below(300) as u32;
            Sample { bytes, wire_len }
        })
        .collect()
}

/// Loads at fixed places followed by a comparison with a constant. Variable places are taken as
/// behind a 20-byte header, or at the start.
fn wishes(program: &[Insn]) -> Vec<(usize, usize, u32)> {
    use classic::insn::code::{ABS, IND, JMP, LD, LDX, MSH};
    let mut wishes = Vec::new();
    let mut place = None;
    for insn in program {
        match (insn.code & 7, insn.code & 0xe0) {
            (LD, mode @ (ABS | IND)) => {
                let size = [4, 2, 1][usize::from(insn.code >> 3 & 3).min(2)];
                let shift = if mode == IND { 20 } else { 0 };
                place = Some((insn.k as usize, size, shift));
            }
            (LD, _) => place = None,
            (LDX, MSH) => wishes.push((insn.k as usize, 1, 0x45)),
            (JMP, _) if insn.code & 0xf0 != 0 => {
                if let Some((offset, size, shift)) = place {
                    wishes.push((offset, size, insn.k));
                    if shift > 0 {
                        wishes.push((offset + shift, size, insn.k));
                    }
                }
            }
            _ => {}
        }
    }
    wishes.retain(|(offset, ..)| *offset < 4096);
    wishes
}

/// Corpus packets and changed copies of them.
pub fn with_mutations(samples: &[Sample], random: &mut Random) -> Vec<Sample> {
    let mut all = samples.to_vec();
    for sample in samples {
        let mut changed = sample.clone();
        for _ in 0..1 + random.below(4) {
            if !changed.bytes.is_empty() {
                let at = random.below(changed.bytes.len().min(96));
                changed.bytes[at] = random.below(256) as u8;
            }
        }
        if random.below(2) == 0 {
            changed.bytes.truncate(random.below(changed.bytes.len() + 1));
        }
        all.push(changed);
    }
    all
}

/// Judges cases.
pub struct Judge<'a> {
    pub corpus: &'a Path,
    /// Packets by link type, mutated ones included.
    pub packets: BTreeMap<u16, Vec<Sample>>,
    /// How many packets made for each program.
    pub directed: usize,
}

impl Judge<'_> {
    /// The link type of a case and whether it passes; the text says why not.
    pub fn judge(&self, case: &Case) -> (LinkType, Result<(), String>) {
        match case.kind.as_str() {
            "apply" => self.apply(case),
            kind => {
                let name = case.link.as_deref().unwrap_or("");
                let link = link::by_name(name).unwrap_or(LinkType(u16::MAX));
                let result = match kind {
                    "accept" => self.accept(case, link),
                    _ => reject(case, link),
                };
                (link, result)
            }
        }
    }

    fn apply(&self, case: &Case) -> (LinkType, Result<(), String>) {
        let file = case.savefile.as_deref().unwrap_or("");
        let path = self.corpus.join("libpcap-filter").join(file);
        let Some((link, snaplen, packets)) = read(&path, usize::MAX) else {
            return (LinkType(u16::MAX), Err(format!("cannot read {file}")));
        };
        let options = Options { snaplen, from_file: true, ..options(case, link) };
        let verdict = Filter::compile(&case.expr, &options).map_err(|e| e.to_string());
        let verdict = verdict.and_then(|filter| {
            let program = filter.classic().map_err(|error| error.to_string())?;
            let mut out = String::new();
            for packet in &packets {
                let value = filter.matches(&packet.bytes, packet.wire_len);
                let view =
                    Packet { bytes: &packet.bytes, wire_len: packet.wire_len, metadata: None };
                if classic::run(&program, &view) != value {
                    return Err("classic BPF differs from the interpreter".to_owned());
                }
                out += &format!("{value}\n");
            }
            if out == case.expected { Ok(()) } else { Err(format!("verdicts {out:?}")) }
        });
        (link, verdict)
    }

    fn accept(&self, case: &Case, link: LinkType) -> Result<(), String> {
        let expected = classic::parse(&case.expected)?;
        if case.expr == "_enumerate_bpf_image" {
            // A listing of every instruction there is, for the disassembler.
            let listed = classic::disassemble(&expected, Listing::Assembler);
            let plain = |text: &str| {
                let lines =
                    text.lines().map(|line| line.split(';').next().unwrap_or("").trim_end());
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            return if plain(&listed) == plain(&case.expected) {
                Ok(())
            } else {
                Err("listing differs".to_owned())
            };
        }
        let filter = Filter::compile(&case.expr, &options(case, link))
            .map_err(|error| format!("refused: {error}"))?;
        let ours = filter.classic().map_err(|error| format!("no classic BPF: {error}"))?;
        let mut random = Random(0x5eed_0001 ^ (case.label.len() as u64) << 32);
        let known = self.packets.get(&link.0).map_or(&[][..], Vec::as_slice);
        let directed = directed(&expected, known, self.directed, &mut random);
        for packet in known.iter().chain(&directed) {
            let metadata = case.linuxext.is_set().then(|| Metadata {
                vlan: (random.below(2) == 0).then(|| [0, 10, 500, 4095][random.below(4)]),
                packet_type: [0, 4][random.below(2)],
                interface_index: [1, 10][random.below(2)],
            });
            let view = Packet { bytes: &packet.bytes, wire_len: packet.wire_len, metadata };
            let want = classic::run(&expected, &view);
            let got = filter.run(&view);
            let code = classic::run(&ours, &view);
            if got != want || code != want {
                return Err(format!(
                    "libpcap {want}, interpreter {got}, classic BPF {code} on {} of {} bytes: \
                     {:02x?}",
                    packet.bytes.len(),
                    packet.wire_len,
                    &packet.bytes[..packet.bytes.len().min(80)]
                ));
            }
        }
        Ok(())
    }
}

fn reject(case: &Case, link: LinkType) -> Result<(), String> {
    match Filter::compile(&case.expr, &options(case, link)) {
        Err(_) => Ok(()),
        Ok(_) => Err(format!("accepted; libpcap says: {}", case.expected)),
    }
}

pub fn options(case: &Case, link: LinkType) -> Options {
    Options {
        link_type: link,
        optimize: case.optimize.is_set(),
        snaplen: case.snaplen.number().unwrap_or(tickwire_filter::SNAPLEN),
        // libpcap's value for "not known".
        netmask: case.netmask.address().filter(|netmask| *netmask != u32::MAX),
        from_file: case.generate_offline_filter.is_set(),
        linux_extensions: case.linuxext.is_set(),
        tags_in_frame: false,
        resolve: true,
        bindings: Default::default(),
        scoped: false,
    }
}

/// Results by link type and kind.
#[derive(Default)]
pub struct Table {
    rows: BTreeMap<u16, BTreeMap<String, (usize, usize)>>,
    pub failures: Vec<String>,
}

impl Table {
    pub fn add(&mut self, case: &Case, link: LinkType, result: Result<(), String>) {
        let cell = self.rows.entry(link.0).or_default().entry(case.kind.clone()).or_default();
        cell.1 += 1;
        match result {
            Ok(()) => cell.0 += 1,
            Err(why) => {
                let expr: Vec<&str> = case.expr.split_whitespace().collect();
                let name = link::name(link);
                let expr = expr.join(" ");
                self.failures.push(format!("{} {name} `{expr}`: {why}", case.label));
            }
        }
    }

    pub fn markdown(&self) -> String {
        let cell = |kinds: &BTreeMap<String, (usize, usize)>, kind: &str| match kinds.get(kind) {
            Some((passed, all)) => format!("{passed} / {all}"),
            None => "–".to_owned(),
        };
        let mut out = "| link type | accept | apply | reject |\n|---|---|---|---|\n".to_owned();
        let mut sums: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (link, kinds) in &self.rows {
            for (kind, (passed, all)) in kinds {
                let sum = sums.entry(kind.clone()).or_default();
                *sum = (sum.0 + passed, sum.1 + all);
            }
            let name = match *link {
                u16::MAX => "(unknown)".to_owned(),
                link => link::name(LinkType(link)),
            };
            out += &format!(
                "| {name} | {} | {} | {} |\n",
                cell(kinds, "accept"),
                cell(kinds, "apply"),
                cell(kinds, "reject")
            );
        }
        out += &format!(
            "| **all** | **{}** | **{}** | **{}** |\n",
            cell(&sums, "accept"),
            cell(&sums, "apply"),
            cell(&sums, "reject")
        );
        out
    }
}
