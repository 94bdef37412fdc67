//! Collects the facts. Thin: reads /proc and /sys, opens and closes sockets, asks the drivers.
//!
//! Changes nothing and attaches nothing. What cannot be read is `None`, never an error: a
//! container hides half of it.

mod interface;
mod kernel;
mod machine;

use super::facts::Facts;

/// The most interfaces that are examined when none is named: a host of containers has hundreds.
const INTERFACES_MAX: usize = 16;

/// Collects everything; of the interfaces those `named`, or all that are up.
pub fn collect(named: &[String]) -> Facts {
    let (interfaces, missing, down) = interface::collect(named, INTERFACES_MAX);
    Facts {
        kernel: kernel::kernel(),
        rights: kernel::rights(),
        limits: kernel::limits(),
        memory: machine::memory(),
        processor: machine::processor(),
        platform: machine::platform(),
        interfaces,
        missing,
        down,
    }
}

/// The text of a file without the white space around it.
fn text(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The number in a file.
fn number<T: std::str::FromStr>(path: &str) -> Option<T> {
    text(path)?.parse().ok()
}

/// The names in a folder, sorted.
fn names(path: &str) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// A list of processors as the kernel writes it: `0-3,8`. What is no number is left out.
fn cpu_list(text: &str) -> Vec<usize> {
    /// More processors than Linux can have (`NR_CPUS`): a limit on what a range may produce.
    const CPUS_MAX: usize = 8192;
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse::<usize>().ok()?.min(CPUS_MAX))
    };
    text.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_lists_are_read() {
        assert_eq!(cpu_list("0-2,8\n"), [0, 1, 2, 8]);
        assert_eq!(cpu_list(""), [] as [usize; 0]);
        assert_eq!(cpu_list("(null)"), [] as [usize; 0]);
        assert!(cpu_list("0-99999999999").len() <= 8193);
    }

    #[test]
    fn this_machine_can_be_collected() {
        let facts = collect(&["lo".to_owned(), "no-such-thing".to_owned()]);
        assert!(!facts.kernel.release.is_empty());
        assert!(!facts.processor.online.is_empty());
        assert_eq!(facts.interfaces.len(), 1);
        assert!(facts.interfaces[0].loopback && facts.interfaces[0].index > 0);
        assert_eq!(facts.missing, ["no-such-thing"]);
    }
}
