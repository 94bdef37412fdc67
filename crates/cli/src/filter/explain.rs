//! `tickwire filter explain`: how an expression is understood, and where it runs.

use super::args::ExplainArgs;
use super::{text, tree};
use crate::completions::print_all;
use crate::exit::{Ended, Failure};
use crate::text::wrap;
use std::fmt::Write;
use tickwire_capture::af_packet::KernelFilter;
use tickwire_filter::{Filter, KernelPart, Options, link, pitfalls};
use tickwire_frame::LinkType;

/// Width of the text of a warning, in characters.
const WIDTH_CHARS: usize = 90;

/// Prints the explanation.
pub fn run(args: &ExplainArgs) -> Result<Ended, Failure> {
    let source = args.compile.text()?;
    let tree = tickwire_filter::parse(&source).map_err(|error| text::refused(&error, &source))?;
    let options = args.compile.options(LinkType::ETHERNET);
    // `inbound`, `outbound` and `ifindex` mean something on an interface only.
    let live = Options { linux_extensions: true, tags_in_frame: true, ..options.clone() };
    let (filter, only_live) = match Filter::compile(&source, &options) {
        Ok(filter) => (filter, false),
        Err(error) => match Filter::compile(&source, &live) {
            Ok(filter) => (filter, true),
            Err(_) => return Err(text::refused(&error, &source)),
        },
    };
    let mut out = String::new();
    let _ = writeln!(out, "filter      {}", text::in_one_line(&source));
    let _ = writeln!(out, "link type   {}", link::name(filter.link_type()));
    let _ = write!(out, "\nunderstood as\n{}", indented(&tree::draw(&tree, &source)));
    let _ = write!(out, "\nprogram ({} blocks)\n", filter.program().order().len());
    out += &indented(&filter.program().to_string());
    out += "\nwhere it runs\n";
    out += &where_it_runs(&filter, only_live);
    let warnings = filter.warnings().iter().map(|warning| (&warning.span, &warning.message));
    let found = pitfalls::find(&tree, &source);
    let found = found.iter().map(|pitfall| (&pitfall.span, &pitfall.message));
    for (at, (span, message)) in warnings.chain(found).enumerate() {
        let word = source.get(span.clone()).unwrap_or_default();
        let message = format!("'{}': {message}", text::in_one_line(word));
        let lines = wrap(&message, WIDTH_CHARS).join("\n    ");
        out += if at == 0 { "\nbeware\n" } else { "" };
        out += &format!("  - {lines}\n");
    }
    print_all(out.as_bytes())
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}\n")).collect()
}

/// What the kernel leaves to user space.
fn in_part(rest: Option<String>) -> String {
    rest.map(|why| format!(", in part ({why}): what it cannot decide passes")).unwrap_or_default()
}

fn where_it_runs(filter: &Filter, only_live: bool) -> String {
    let af_packet = match KernelFilter::new(filter) {
        Ok(kernel) => format!(
            "kernel: classic BPF, {} instructions (frames whose VLAN tag lies beside them pass){}; \
             user space: all of it again",
            kernel.program.len(),
            in_part(kernel.rest)
        ),
        Err(why) => format!("user space: {why}"),
    };
    let af_xdp = match filter.xdp_part() {
        Ok(KernelPart { program, rest }) => format!(
            "kernel: eBPF in XDP, {} instructions (filter dump --as ebpf){}; user space: all of \
             it again",
            program.code().len(),
            in_part(rest)
        ),
        Err(refusal) => format!("user space: {refusal}"),
    };
    let file = match only_live {
        true => "nowhere: a file does not say the direction or the interface of a packet",
        false => "user space",
    };
    let by = match filter.needs_metadata() {
        true => "interpreter (only it knows the direction and the interface of a frame)".into(),
        false => filter.selector().to_string(),
    };
    let rows = [
        ("af_packet", af_packet),
        ("af_xdp", af_xdp),
        ("file", file.to_owned()),
        ("user space", by),
    ];
    let mut out = String::new();
    for (port, text) in rows {
        let lines = wrap(&text, WIDTH_CHARS - 14);
        let _ = writeln!(out, "  {port:<12}{}", lines.join(&format!("\n{:14}", "")));
    }
    out
}
