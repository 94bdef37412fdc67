//! Exit codes, failures, and what is said on standard error.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; also after SIGTERM, and SIGHUP where it has nothing read again |
//! | 1 | failed: standard error says why and what to do |
//! | 2 | the command line is wrong (as clap exits, too) |
//! | 3 | messages of a feed are missing (`tickwire feed gaps`) |
//! | 130 | stopped by ^C (SIGINT), after the final summary |

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// How a command ended when nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did what was asked.
    Done,
    /// It did, and found that something is missing.
    Incomplete,
    /// The user pressed ^C, and everything was settled.
    Interrupted,
}

/// Why a command failed.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// What is asked does not go together, or cannot mean anything.
    Usage(String),
    /// It went wrong: cause and cure.
    Failed(String),
}

impl Failure {
    /// Something went wrong: `error` names cause and cure.
    pub fn failed(error: impl fmt::Display) -> Self {
        Failure::Failed(error.to_string())
    }

    /// The command line asks for something that cannot be.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure::Usage(message.into())
    }
}

/// Says on standard error what failed, and gives the exit code.
pub fn code(result: Result<Ended, Failure>) -> ExitCode {
    match result {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Incomplete) => ExitCode::from(3),
        Ok(Ended::Interrupted) => ExitCode::from(130),
        Err(Failure::Failed(message)) => {
            say(format_args!("tickwire: {message}\n"));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(message)) => {
            say(format_args!(
                "tickwire: {message}\n\nFor more information, try 'tickwire --help'.\n"
            ));
            ExitCode::from(2)
        }
    }
}

/// Writes `text` to standard error, for as long as anybody can hear it. `eprintln!` would panic
/// once the reader of a pipe has gone or the disk of a log file is full: a capture goes on.
pub fn say(text: impl fmt::Display) {
    let _ = std::io::stderr().write_all(text.to_string().as_bytes());
}
