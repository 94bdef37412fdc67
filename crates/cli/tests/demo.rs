//! `tickwire demo` as a user runs it: with root, without, and stopped by ^C.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tickwire_capture::file::FilePort;
use tickwire_capture::{Port, Received};
use tickwire_frame::Batch;

/// A demo of one second that takes longer than this hangs.
const TIME_MAX: Duration = Duration::from_secs(30);
/// A stop may take this long: the workers have half a second, the file its own time.
const STOP_MAX: Duration = Duration::from_secs(3);
/// The user without rights.
const NOBODY: u32 = 65_534;

/// A folder that anybody may write to, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("demo-test-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn demo(folder: &Folder, seconds: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.args(["demo", "--seconds", seconds]).env("TMPDIR", &folder.0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for the end; kills it when that takes too long.
fn finish(mut child: Child, within: Duration) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > within {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("no end after {within:?}:\n{}", String::from_utf8_lossy(&output.stdout));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The cells of a line of the closing table.
fn cells(stdout: &str, label: &str) -> Vec<String> {
    let line = stdout.lines().find_map(|line| line.trim().strip_prefix(label));
    let line = line.unwrap_or_else(|| panic!("no line {label} in\n{stdout}"));
    line.split("  ")
        .map(|cell| cell.trim().replace(',', ""))
        .filter(|cell| !cell.is_empty())
        .collect()
}

fn number(cell: &str) -> u64 {
    cell.parse().unwrap_or_else(|_| panic!("{cell} is no number"))
}

/// The capture file that the demo names, and how many packets it says are in it.
fn file_of(stdout: &str) -> (PathBuf, u64) {
    let line = stdout.lines().find_map(|line| line.trim().strip_prefix("capture file: "));
    let (path, rest) = line.unwrap().split_once(" (").unwrap();
    (path.into(), number(&rest.split(' ').next().unwrap().replace(',', "")))
}

fn packets_in(file: &Path) -> (u64, usize) {
    let mut port = FilePort::open(file).unwrap();
    let mut packets = 0;
    loop {
        let mut batch = Batch::new();
        match port.receive(&mut batch).unwrap() {
            Received::End => return (packets, port.interfaces().len()),
            _ => packets += batch.len() as u64,
        }
    }
}

/// The numbers in the line behind `label`.
fn numbers(stdout: &str, label: &str) -> Vec<u64> {
    let line = stdout.lines().find_map(|line| line.strip_prefix("  ")?.strip_prefix(label));
    let line = line.unwrap_or_else(|| panic!("no {label} in\n{stdout}")).replace([',', ';'], "");
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// A symbol filter, two lines and their books. The demo compares each figure itself.
fn check_market(stdout: &str) {
    let [messages, ..] = numbers(stdout, "market data ")[..] else { panic!("{stdout}") };
    assert_eq!(messages, 20_000, "{stdout}");
    let [selected, packets] = numbers(stdout, "symbol ")[..] else { panic!("{stdout}") };
    assert!(selected > 100 && selected < packets / 4, "{stdout}");
    let lacks = numbers(stdout, "lines A, B ");
    assert!(lacks.len() == 2 && lacks.iter().all(|lacks| (50..500).contains(lacks)), "{stdout}");
    assert!(numbers(stdout, "books ")[0] > 100, "{stdout}");
    let ladder = stdout.lines().skip_while(|line| line.trim() != "NVDA");
    let levels: Vec<_> = ladder.skip(2).take_while(|line| !line.is_empty()).collect();
    assert_eq!(levels.len(), 3, "{stdout}");
}

/// What a line lost came back.
fn check_recovered(stdout: &str) {
    let lost = numbers(stdout, "lost ");
    let recovered = numbers(stdout, "recovered ")[0];
    // A packet has a message at least, or it was an end of session.
    assert!(lost[1] >= recovered && recovered > 20, "{stdout}");
    assert!((1..=lost[1]).contains(&numbers(stdout, "asked ")[0]), "{stdout}");
    assert_eq!(numbers(stdout, "complete "), [20_000, 20_000], "{stdout}");
}

/// What holds for every demo that ended well.
fn check(output: &Output, folder: &Folder) -> String {
    let (stdout, stderr) = text(output);
    assert!(output.status.success(), "{:?}\n{stdout}\n{stderr}", output.status);
    assert!(cells(&stdout, "difference").iter().all(|cell| cell == "0"), "{stdout}");
    assert!(!stdout.contains('\x1b'), "no colours where there is no terminal");
    assert_eq!(stdout.matches(" > 233.54.12.111.").count(), 4, "decoded lines\n{stdout}");
    let (file, packets) = file_of(&stdout);
    assert_eq!(packets_in(&file).0, packets);
    assert!(packets > 1000, "{stdout}");
    check_market(&stdout);
    let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left, [file], "nothing but the capture file is left");
    stdout
}

#[test]
fn with_root_two_ports_capture_side_by_side() {
    tickwire_lab::require_root!("with_root_two_ports_capture_side_by_side");
    let folder = Folder::new("root");
    let keep = folder.0.join("kept.pcapng");
    let mut command = demo(&folder, "1");
    let child = command.arg("--keep").arg(&keep).spawn().unwrap();
    let stdout = check(&finish(child, TIME_MAX), &folder);
    assert_eq!(cells(&stdout, "port"), ["af_xdp", "af_packet"], "{stdout}");
    let offered = cells(&stdout, "offered");
    let received = cells(&stdout, "received");
    for (offered, received) in offered.iter().zip(&received) {
        // A veth pair may drop while a machine of two cores is busy elsewhere; nothing may come
        // from nowhere.
        assert!(number(received) <= number(offered) && number(received) > 1000, "{stdout}");
    }
    let subscriber = |name: &str| -> Vec<String> {
        let line = stdout.lines().find(|line| line.trim().starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{stdout}")).replace(',', "");
        line.split_whitespace().skip(2).map(str::to_owned).collect()
    };
    for name in ["alpha 10.", "beta  10."] {
        let [offered, copied, arrived] = [0, 1, 2].map(|at| number(&subscriber(name)[at]));
        assert!(offered > 1000 && copied <= offered && arrived <= copied, "{stdout}");
    }
    let gone = subscriber("gone  10.");
    assert_eq!(gone[1..3], ["0", "-"], "{stdout}");
    assert_eq!((&gone[3], gone[4].as_str()), (&gone[0], "no_neighbour"), "{stdout}");
    check_recovered(&stdout);
    assert_eq!(file_of(&stdout).0, keep);
    assert_eq!(packets_in(&keep).1, 2, "interfaces");
}

#[test]
fn without_root_the_same_feed_goes_through_a_file() {
    let folder = Folder::new("nobody");
    let mut command = demo(&folder, "1");
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let why = format!("another user may not run the program: {error}");
            return tickwire_lab::say_skipped("without_root_the_same_feed", &why);
        }
    };
    let stdout = check(&finish(child, TIME_MAX), &folder);
    assert!(stdout.contains("needs root") && stdout.contains("sudo "), "{stdout}");
    assert_eq!(cells(&stdout, "port"), ["file"]);
    assert_eq!(cells(&stdout, "received"), cells(&stdout, "offered"));
    assert!(stdout.contains("no gap, all in order"), "{stdout}");
    assert!(!stdout.contains("recovered"), "no network, no server\n{stdout}");
}

#[test]
fn interrupted_it_settles_and_exits_with_130() {
    tickwire_lab::require_root!("interrupted_it_settles_and_exits_with_130");
    let folder = Folder::new("interrupt");
    let child = demo(&folder, "60").spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = finish(child, STOP_MAX);
    let (stdout, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(130), "{stdout}\n{stderr}");
    assert!(cells(&stdout, "difference").iter().all(|cell| cell == "0"), "{stdout}");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let folder = Folder::new("nowhere");
    let keep = folder.0.join("no/such/folder/x.pcapng");
    let child = demo(&folder, "1").arg("--keep").arg(&keep).spawn().unwrap();
    let output = finish(child, TIME_MAX);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("no/such/folder"), "{}", text(&output).1);
}
