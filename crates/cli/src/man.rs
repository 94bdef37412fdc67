//! `tickwire man`: man pages from the definition of the command line.

use crate::args::Cli;
use crate::completions::print_all;
use crate::exit::{Ended, Failure};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::fs;
use std::path::{Path, PathBuf};

const HELP: &str = "\
Examples:
  tickwire man capture | man -l -                 read the page of `tickwire capture`
  tickwire man --out /usr/local/share/man/man1    install all pages";

/// Flags of `tickwire man`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct ManArgs {
    /// The command whose page to print; the page of tickwire itself without one
    #[arg(conflicts_with = "out")]
    pub command: Option<String>,
    /// Write one page for tickwire and one for each command into DIR
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Prints one page, or writes all of them.
pub fn run(args: &ManArgs) -> Result<Ended, Failure> {
    let pages = pages()?;
    if let Some(folder) = &args.out {
        return write(folder, &pages);
    }
    let wanted = match &args.command {
        None => "tickwire".to_owned(),
        Some(command) => format!("tickwire-{command}"),
    };
    match pages.iter().find(|(name, _)| *name == wanted) {
        Some((_, page)) => print_all(page),
        None => Err(Failure::usage(format!(
            "there is no command '{}'; the commands are {}",
            args.command.as_deref().unwrap_or_default(),
            commands().join(", ")
        ))),
    }
}

fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// Every page by its name: `tickwire`, `tickwire-capture`, `tickwire-filter-dump`, …
fn pages() -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add_pages("tickwire", &root, &mut pages)?;
    Ok(pages)
}

/// The page of `command`, then those of what it contains.
fn add_pages(
    name: &str,
    command: &Command,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Failure> {
    pages.push(page(name.to_owned(), command.clone())?);
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        add_pages(&format!("{name}-{}", inner.get_name()), inner, pages)?;
    }
    Ok(())
}

fn page(name: String, command: Command) -> Result<(String, Vec<u8>), Failure> {
    let mut text = Vec::new();
    Man::new(command.display_name(name.clone())).render(&mut text).map_err(Failure::failed)?;
    Ok((name, text))
}

fn write(folder: &Path, pages: &[(String, Vec<u8>)]) -> Result<Ended, Failure> {
    let failed = |path: &Path, error| {
        Failure::failed(format_args!(
            "cannot write {}: {error}; choose a folder that you may write to",
            path.display()
        ))
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (name, text) in pages {
        let path = folder.join(format!("{name}.1"));
        fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(Ended::Done)
}
