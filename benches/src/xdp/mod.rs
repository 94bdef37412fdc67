//! Filters in XDP, in nanoseconds a packet by BPF_PROG_TEST_RUN, against C programs by clang.
//!
//! Every contender runs the same packet over and over, in turns with the others; the fastest turn
//! counts, because what disturbs only ever makes it slower. Processor time is what counts: the
//! system call also waits for the kernel to patch its dispatcher. The kernel's own figure is in
//! whole nanoseconds, which is too coarse. An empty program shows what the test run itself takes.

mod elf;
mod fields;

use rustix::time::{ClockId, clock_gettime};
use std::process::{Command, ExitCode};
use tickwire_capture::bpf::asm::{Assembler, Reg, XdpAction};
use tickwire_capture::bpf::{Instruction, Map, MapKind, Program, Tables};
use tickwire_filter::ebpf::{CONTEXT, Xdp};
use tickwire_filter::ir::{self, Block, BlockId, Compare, End, Number, Size, Test};
use tickwire_filter::{Filter, Options};

/// Our time against that of the C program.
const RATIO_MAX: f64 = 1.15;
const TURNS: usize = 12;
/// Runs in one turn: many, because the system call itself takes milliseconds.
const RUNS: u32 = 1_000_000;
const ADDRESSES: u32 = 10_000;
const FIRST_PORT: u16 = 5000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The same test twice, and packets to try it with.
struct Case {
    name: String,
    ours: Program,
    c: Option<Program>,
    packets: [(&'static str, Vec<u8>); 2],
}

/// Prints the table and says whether the promise holds.
pub fn run() -> Result<ExitCode, Failure> {
    let compiler = std::env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let has_clang = Command::new(&compiler).arg("--version").output().is_ok();
    if !has_clang {
        eprintln!("SKIPPED: {compiler} is missing (CLANG names another): no C to compare with");
    }
    let compiler = has_clang.then_some(compiler.as_str());
    let mut cases = Vec::new();
    for count in [1, 8, 64] {
        cases.push(ports(count, compiler)?);
    }
    cases.push(addresses(compiler)?);
    let empty = Program::load_xdp("empty", &empty())?;
    println!("ns a packet by BPF_PROG_TEST_RUN, fastest of {TURNS} turns of {RUNS} runs");
    println!("{:<26} {:>8} {:>8} {:>8} {:>8}", "", "empty", "C", "ours", "ratio");
    let mut kept = true;
    for case in &cases {
        for (verdict, packet) in &case.packets {
            let programs = [Some(&empty), case.c.as_ref(), Some(&case.ours)];
            let [empty, c, ours] = measure(programs, packet)?;
            let name = format!("{}, {verdict}", case.name);
            let ours = ours.unwrap_or_default();
            print!("{name:<26} {:>8.2}", empty.unwrap_or_default());
            match c {
                Some(c) => println!(" {c:>8.2} {ours:>8.2} {:>8.2}", ours / c),
                None => println!(" {:>8} {ours:>8.2} {:>8}", "-", "-"),
            }
            kept &= c.is_none_or(|c| ours / c <= RATIO_MAX);
        }
    }
    println!("ours / C: at most {RATIO_MAX}");
    fields::print()?;
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The fastest turn of each.
fn measure<const N: usize>(
    programs: [Option<&Program>; N],
    packet: &[u8],
) -> Result<[Option<f64>; N], Failure> {
    let mut fastest = [None; N];
    for _ in 0..TURNS {
        for (program, fastest) in programs.iter().zip(&mut fastest) {
            let Some(program) = program else { continue };
            let ns = turn(program, packet, RUNS)?;
            *fastest = Some(fastest.map_or(ns, |known: f64| known.min(ns)));
        }
    }
    Ok(fastest)
}

/// Processor time of one of `runs` runs, in nanoseconds.
pub(crate) fn turn(program: &Program, packet: &[u8], runs: u32) -> std::io::Result<f64> {
    let start = clock_gettime(ClockId::ThreadCPUTime);
    program.test_run(packet, runs)?;
    let took = clock_gettime(ClockId::ThreadCPUTime) - start;
    Ok((took.tv_sec as f64 * 1e9 + took.tv_nsec as f64) / f64::from(runs))
}

fn ports(count: u16, compiler: Option<&str>) -> Result<Case, Failure> {
    let ports: Vec<u16> = (0..count).map(|n| FIRST_PORT + 37 * n).collect();
    let terms: Vec<String> = ports.iter().map(|port| format!("udp dst port {port}")).collect();
    let filter = Filter::compile(&terms.join(" or "), &Options::default())?;
    let cases: Vec<String> = ports.iter().map(|port| format!("case be16({port}):")).collect();
    let define = format!("-DPORT_CASES={}", cases.join(" "));
    let last = ports[ports.len() - 1];
    let packets = [("accepted", udp(1, last)), ("rejected", udp(1, last + 1))];
    case(format!("{count} ports"), &filter.xdp()?, compiler, &define, None, packets)
}

fn addresses(compiler: Option<&str>) -> Result<Case, Failure> {
    let addresses: Vec<u32> = (0..ADDRESSES).map(|n| (n + 1).wrapping_mul(0x9e37_79b1)).collect();
    let map = Map::create("addresses", MapKind::Hash, 4, 1, ADDRESSES)?;
    for address in &addresses {
        map.update(&address.to_be_bytes(), &[1])?;
    }
    let xdp = Xdp::compile(&from_one_of(&addresses))?;
    let packets = [("accepted", udp(addresses[5000], 1)), ("rejected", udp(1, 1))];
    case(format!("{ADDRESSES} addresses"), &xdp, compiler, "-DADDRESSES", Some(&map), packets)
}

/// IPv4 from one of these: more than a text may have.
fn from_one_of(addresses: &[u32]) -> ir::Program {
    let mut program = ir::Program::new(1);
    let (accept, reject) =
        (BlockId(addresses.len() as u32 + 1), BlockId(addresses.len() as u32 + 2));
    let kind = program.intern(Number::Load { base: None, offset: 12, size: Size::Half });
    let source = program.intern(Number::Load { base: None, offset: 26, size: Size::Word });
    let mut branch = |left, value, yes, no| {
        let test = Test { left, compare: Compare::Equal, right: program.literal(value) };
        program.add(Block { sets: Vec::new(), end: End::Branch { test, yes, no } });
    };
    branch(kind, 0x0800, BlockId(1), reject);
    for (at, address) in addresses.iter().enumerate() {
        let next = BlockId(at as u32 + 2);
        branch(source, *address, accept, if next == accept { reject } else { next });
    }
    program.add(Block { sets: Vec::new(), end: End::Return(true) });
    program.add(Block { sets: Vec::new(), end: End::Return(false) });
    program
}

fn case(
    name: String,
    xdp: &Xdp,
    compiler: Option<&str>,
    define: &str,
    map: Option<&Map>,
    packets: [(&'static str, Vec<u8>); 2],
) -> Result<Case, Failure> {
    let ours = load(xdp)?;
    let c = compiler.map(|compiler| by_clang(compiler, define, map)).transpose()?;
    for program in [Some(&ours), c.as_ref()].into_iter().flatten() {
        let verdicts = [XdpAction::Drop, XdpAction::Pass];
        for ((_, packet), verdict) in packets.iter().zip(verdicts) {
            assert_eq!(program.test_run(packet, 1)?.verdict, verdict as u32, "{name}");
        }
    }
    Ok(Case { name, ours, c, packets })
}

/// A program that drops what the filter accepts.
fn load(xdp: &Xdp) -> Result<Program, Failure> {
    let tables = Tables::of(xdp)?;
    let mut asm = Assembler::new();
    let (accept, reject) = (asm.label(), asm.label());
    asm.mov(CONTEXT, Reg::R1);
    xdp.emit(&mut asm, &tables.fds(), accept, reject);
    asm.bind(accept);
    asm.exit_with(XdpAction::Drop);
    asm.bind(reject);
    asm.exit_with(XdpAction::Pass);
    Ok(Program::load_xdp("ours", &asm.finish()?)?)
}

fn by_clang(compiler: &str, define: &str, map: Option<&Map>) -> Result<Program, Failure> {
    use std::os::fd::{AsFd, AsRawFd};
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/xdp/filter.c");
    let options = ["-O2", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", define];
    let compiled = Command::new(compiler).args(options).args(["-c", source, "-o", "-"]).output()?;
    if !compiled.status.success() {
        return Err(String::from_utf8_lossy(&compiled.stderr).into());
    }
    let map = map.map(|map| map.as_fd().as_raw_fd());
    let code = elf::program(&compiled.stdout, map).ok_or("clang made no program that we know")?;
    Ok(Program::load_xdp("c", &code)?)
}

/// A program that passes everything.
pub(crate) fn empty() -> Vec<Instruction> {
    let mut asm = Assembler::new();
    asm.exit_with(XdpAction::Pass);
    asm.finish().expect("no jumps")
}

/// A UDP packet over IPv4, 94 bytes.
fn udp(source: u32, port: u16) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    bytes.extend([8, 0, 0x45, 0, 0, 80, 0, 1, 0, 0, 64, 17, 0, 0]);
    bytes.extend(source.to_be_bytes());
    bytes.extend([239, 1, 1, 1, 0x10, 0]);
    bytes.extend(port.to_be_bytes());
    bytes.extend([0, 60, 0, 0]);
    bytes.resize(94, 0);
    bytes
}
