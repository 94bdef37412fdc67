//! SIGKILL in the middle of everything: nothing of a lab survives its process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tickwire_capture::bpf::ProgramInfo;
use tickwire_lab::{DropCounter, Lab, Numbered, Schedule, require_root, send_live, send_packet};

/// Set in the processes that are to be killed.
const VICTIM: &str = "TICKWIRE_LAB_VICTIM";
const TEST: &str = "nothing_survives_a_sigkill";
const KILLS: u32 = 20;
/// How long the kernel may take to clear up behind a process.
const CLEARED_WITHIN: Duration = Duration::from_secs(1);

#[test]
fn nothing_survives_a_sigkill() {
    require_root!("nothing_survives_a_sigkill");
    if std::env::var_os(VICTIM).is_some() {
        return live_until_killed();
    }
    let before = Host::look();
    for kill in 0..KILLS {
        let victim = Victim::start();
        // Not always at the same moment.
        std::thread::sleep(Duration::from_millis(u64::from(kill)));
        let (program, child) = victim.kill();
        let killed = Instant::now();
        while ProgramInfo::by_id(program).is_ok() || is_alive(child) {
            assert!(
                killed.elapsed() < CLEARED_WITHIN,
                "program {program} or process {child} lives"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(before, Host::look());
}

/// A lab with an XDP program, a child process inside, and traffic from two senders.
fn live_until_killed() {
    let lab = Lab::new().unwrap();
    let packets = Numbered::between(&lab.left, &lab.right);
    let counter = DropCounter::attach(&lab.right, &packets).unwrap();
    let mut sleep = Command::new("sleep");
    sleep.arg("60");
    let mut child = lab.left.spawn(sleep).unwrap();
    let schedule = Schedule::flood(u64::MAX).within(Duration::from_secs(10));
    std::thread::scope(|scope| {
        scope.spawn(|| send_live(&lab.left, &packets, &schedule));
        scope.spawn(|| send_packet(&lab.left, &packets, &schedule));
        counter.wait(1000, Duration::from_secs(5)).unwrap();
        println!("\nvictim {} {}", counter.program_id(), child.id());
    });
    // Nobody killed us.
    child.kill().unwrap();
    child.wait().unwrap();
}

struct Victim {
    process: std::process::Child,
    program: u32,
    child: u32,
}

impl Victim {
    /// Starts this test in a process of its own and waits until the traffic flows.
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", TEST, "--nocapture"]).env(VICTIM, "1").stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.starts_with("victim ")).expect("the victim is ready");
        let mut numbers = line.split(' ').skip(1).map(|word| word.parse().unwrap());
        let (program, child) = (numbers.next().unwrap(), numbers.next().unwrap());
        assert!(ProgramInfo::by_id(program).is_ok() && is_alive(child), "{line}");
        Victim { process, program, child }
    }

    fn kill(mut self) -> (u32, u32) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        (self.program, self.child)
    }
}

/// Whether a process runs; one that nobody has waited for yet (state Z) does not.
fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

/// What of the host's namespace a lab could spoil.
#[derive(Debug, PartialEq)]
struct Host {
    interfaces: Vec<String>,
    named_namespaces: usize,
    mounts: usize,
}

impl Host {
    fn look() -> Self {
        let devices = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        let name = |line: &str| line.split(':').next().unwrap_or_default().trim().to_string();
        let entries = |path: &Path| std::fs::read_dir(path).map_or(0, Iterator::count);
        Host {
            interfaces: devices.lines().skip(2).map(name).collect(),
            named_namespaces: entries(Path::new("/run/netns")),
            mounts: std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count(),
        }
    }
}
