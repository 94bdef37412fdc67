//! Judges the facts. Pure: facts in, findings out, so that every machine can be made up in a test.

mod advice;
mod driver;
mod interface;
mod kernel;
mod limits;
mod machine;
mod rights;
mod xdp;

use super::facts::Facts;
use super::finding::{Advice, Finding, Status};

/// Everything there is to say about these facts, in the order in which it is shown.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = kernel::judge(&facts.kernel);
    findings.extend(rights::judge(facts));
    findings.extend(limits::judge(facts));
    findings.extend(machine::judge(facts));
    for name in &facts.missing {
        let text = format!("There is no interface {name}.");
        let missing = Finding::new("interface.missing", text).rated(Status::Fail);
        findings.push(Finding { interface: Some(name.clone()), ..missing.mend("ip link show") });
    }
    for interface in &facts.interfaces {
        let about = interface::judge(facts, interface);
        findings.extend(
            about
                .into_iter()
                .map(|finding| Finding { interface: Some(interface.name.clone()), ..finding }),
        );
    }
    findings
}

/// The best port for each interface.
pub fn advise(facts: &Facts) -> Vec<Advice> {
    facts.interfaces.iter().map(|interface| advice::best_port(facts, interface)).collect()
}

/// `1 queue`, `2 queues`.
fn count(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Processors as the kernel writes them: `0-3,8`.
fn ranges(cpus: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let run = |&(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

/// Bytes in the largest unit that keeps them whole enough to read.
fn bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(size, _)| bytes >= *size);
    match unit {
        Some((size, name)) if bytes.is_multiple_of(*size) || bytes / size >= 10 => {
            format!("{} {name}", bytes / size)
        }
        Some((size, name)) => format!("{:.1} {name}", bytes as f64 / *size as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests;
