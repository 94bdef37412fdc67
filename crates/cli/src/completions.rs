//! `tickwire completions SHELL`: a completion script from the definition of the command line.

use crate::args::Cli;
use crate::exit::{Ended, Failure};
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{ErrorKind, Write};

const HELP: &str = "\
Examples:
  bash:  tickwire completions bash > ~/.local/share/bash-completion/completions/tickwire
  zsh:   tickwire completions zsh > ~/.zfunc/_tickwire       (~/.zfunc must be in fpath)
  fish:  tickwire completions fish > ~/.config/fish/completions/tickwire.fish";

/// Flags of `tickwire completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct CompletionsArgs {
    /// The shell that will read it
    pub shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<Ended, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tickwire", &mut script);
    print_all(&script)
}

/// Writes `bytes` to standard output. A reader that has gone is no failure.
pub fn print_all(bytes: &[u8]) -> Result<Ended, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format_args!("cannot write to standard output: {error}")))
        }
        _ => Ok(Ended::Done),
    }
}
