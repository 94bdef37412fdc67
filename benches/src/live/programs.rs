//! Other people's programs as contenders, as child processes inside the lab.

use super::{Failure, Running, Seat, cpu_time};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tickwire_lab::Lab;

/// How long a program may take until it receives, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whether a program is on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The least that a receiver in C can do; see its head.
pub(super) fn bare_c(lab: &Lab, seat: Seat) -> Result<Box<dyn Running>, Failure> {
    let compiled = Compiled::new("bare", include_bytes!("../../live/bare.c"))?;
    let mut command = compiled.on_core(seat.core);
    command.args([lab.right.name(), "0"]).stdin(Stdio::piped());
    let program = Program::start(lab, command, "ready")?;
    let finish = |program: &mut Program| {
        // It ends when its standard input does.
        drop(program.child.stdin.take());
        program.number_in_rest("packets", |line| line.split("packets").nth(1))
    };
    Ok(Box::new(Stoppable { program, finish }))
}

/// A program in C, compiled into a file that goes when this is dropped. Who runs it goes on.
pub(crate) struct Compiled(PathBuf);

impl Compiled {
    pub(crate) fn new(name: &str, source: &[u8]) -> Result<Self, Failure> {
        let file = format!("tickwire-bench-{name}-{}", std::process::id());
        let binary = std::env::temp_dir().join(file);
        let mut compiler = Command::new("gcc")
            .args(["-O2", "-pthread", "-x", "c", "-", "-o"])
            .arg(&binary)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| format!("gcc does not start ({error}); install it"))?;
        let mut input = compiler.stdin.take().ok_or("no standard input")?;
        input.write_all(source)?;
        drop(input);
        if !compiler.wait()?.success() {
            return Err(format!("gcc does not compile the reference {name}").into());
        }
        Ok(Compiled(binary))
    }

    /// The command that runs it on one core.
    pub(crate) fn on_core(&self, core: usize) -> Command {
        on_core(core, &self.0)
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // A temporary file that stays does no harm.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The command that runs `program` on one core.
pub(crate) fn on_core(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// DPDK's packet sink on an AF_XDP socket, with as many descriptors as our own port.
pub(super) fn testpmd(lab: &Lab, seat: Seat) -> Result<Box<dyn Running>, Failure> {
    // Into a pipe it would write only at its end.
    let mut command = Command::new("stdbuf");
    let main = tickwire_lab::cpu::cores().into_iter().find(|&other| other != seat.core);
    let main = main.ok_or("dpdk-testpmd needs a core for its main thread")?;
    command
        .args(["-oL", "dpdk-testpmd"])
        .arg(format!("--lcores={main},{}", seat.core))
        .arg(format!("--main-lcore={main}"))
        .args(["--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--no-shconf"])
        .arg(format!("--vdev=net_af_xdp0,iface={}", lab.right.name()))
        .args(["--", "--forward-mode=rxonly", "--rxd=4096", "--total-num-mbufs=32768"])
        .args(["--no-lsc-interrupt", "--disable-link-check"])
        .stdin(Stdio::piped());
    let program = Program::start(lab, command, "Press enter to exit")?;
    let finish = |program: &mut Program| {
        // It ends when a line comes in.
        let stdin = program.child.stdin.as_mut().ok_or("no standard input")?;
        stdin.write_all(b"\n")?;
        program.number_in_rest("RX-packets:", |line| line.split("RX-packets:").nth(1))
    };
    Ok(Box::new(Stoppable { program, finish }))
}

/// tcpdump, with the buffer that suits it best of 8, 32 and 128 MiB: four times that of our port.
pub(super) fn tcpdump(lab: &Lab, seat: Seat) -> Result<Box<dyn Running>, Failure> {
    let mut command = Command::new("taskset");
    command
        .args(["-c", &seat.core.to_string(), "nice", "-n", &seat.nice.to_string()])
        .args(["tcpdump", "-n", "-i", lab.right.name()])
        .args(["-B", "131072", "-w", "/dev/null", "-Z", "root"])
        .stdin(Stdio::null());
    let program = Program::start(lab, command, "listening on")?;
    let finish = |program: &mut Program| {
        let pid = rustix::process::Pid::from_child(&program.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        program.number_in_rest("packets captured", |line| line.split(" packets captured").next())
    };
    Ok(Box::new(Stoppable { program, finish }))
}

/// A child process whose output, normal and error, is read line by line. Killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    /// Starts it and waits until it says `ready`.
    pub(crate) fn start(lab: &Lab, mut command: Command, ready: &str) -> Result<Self, Failure> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = lab.right.spawn(command)?;
        let (sender, lines) = channel();
        read_lines(child.stdout.take().ok_or("no standard output")?, sender.clone());
        read_lines(child.stderr.take().ok_or("no standard error")?, sender);
        let program = Program { child, lines };
        program.find(ready)?;
        Ok(program)
    }

    /// Processor time so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        cpu_time(&format!("/proc/{}/stat", self.child.id()))
    }

    /// The next line that has `wanted` in it.
    fn find(&self, wanted: &str) -> Result<String, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(wanted) => return Ok(line),
                Ok(line) => seen = seen + "\n  " + &line,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("it did not say {wanted:?} in {PATIENCE:?}:{seen}").into());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("it ended without {wanted:?}:{seen}").into());
                }
            }
        }
    }

    /// The number that `part` cuts out of the next line with `wanted` in it.
    fn number_in_rest(
        &self,
        wanted: &str,
        part: impl Fn(&str) -> Option<&str>,
    ) -> Result<u64, Failure> {
        let line = self.find(wanted)?;
        let number = part(&line).and_then(|text| text.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| format!("no number in {line:?}").into())
    }
}

/// Reads lines on a thread of its own until the other side closes.
fn read_lines(output: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program and how to end it and learn what it took.
struct Stoppable<F> {
    program: Program,
    finish: F,
}

impl<F: FnOnce(&mut Program) -> Result<u64, Failure>> Running for Stoppable<F> {
    fn cpu(&self) -> Result<Duration, Failure> {
        self.program.cpu()
    }

    fn stop(self: Box<Self>) -> Result<u64, Failure> {
        let Stoppable { mut program, finish } = *self;
        finish(&mut program)
    }
}
