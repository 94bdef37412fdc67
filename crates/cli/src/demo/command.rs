//! tickwire's own commands, started as a user would start them; what they say of themselves.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a command may take to start, and to end.
const COMMAND_MS_MAX: u64 = 20_000;
/// How often the keyboard is looked at meanwhile.
const LOOK_MS: u64 = 50;

/// A command of this very program.
pub fn tickwire(args: &[&str]) -> Result<Command, String> {
    let program = std::env::current_exe();
    let program = program.map_err(|error| format!("where this program is: {error}"))?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// What a command that ends by itself writes.
pub fn output(args: &[&str]) -> Result<String, String> {
    let output = tickwire(args)?.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    Err(format!("`tickwire {}` failed: {}; {last}", args.join(" "), output.status))
}

/// The object in the last line that a command writes.
pub fn object(args: &[&str]) -> Result<Value, String> {
    last_object(&output(args)?)
}

fn last_object(text: &str) -> Result<Value, String> {
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| format!("its account: {error}"))
}

/// A command at work; killed when it is dropped before its end.
pub struct Running {
    child: Child,
    said: Receiver<String>,
}

impl Running {
    /// Waits until it says `word`.
    pub fn start(mut child: Child, word: &str) -> Result<Running, String> {
        let (lines, said) = channel();
        if let Some(stderr) = child.stderr.take() {
            // Ends with the command, whose words nobody else reads.
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let _ = lines.send(line);
                }
            });
        }
        let running = Running { child, said };
        let deadline = Instant::now() + Duration::from_millis(COMMAND_MS_MAX);
        let mut last = "it says nothing".to_owned();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match running.said.recv_timeout(left) {
                Ok(line) if line.contains(word) => return Ok(running),
                Ok(line) => last = line,
                Err(_) => return Err(last),
            }
        }
    }

    /// Stops it as a service manager does; its account.
    pub fn stop(self) -> Result<Value, String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It may have ended by itself: ^C reaches it, too.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        self.finish(|| false)
    }

    /// Waits for its end; its account.
    pub fn finish(mut self, interrupted: impl Fn() -> bool) -> Result<Value, String> {
        let mut stdout = self.child.stdout.take().ok_or("it has no output")?;
        let (done, text) = channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stdout.read_to_string(&mut text);
            let _ = done.send(text);
        });
        let deadline = Instant::now() + Duration::from_millis(COMMAND_MS_MAX);
        while Instant::now() < deadline && !interrupted() {
            match text.recv_timeout(Duration::from_millis(LOOK_MS)) {
                Ok(text) => return last_object(&text),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Err("it does not end".to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
