//! The run loop and the engine over scripted ports: sums, stops, errors and panics.

mod common;

use common::{Scripted, Step};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_engine::{Control, Engine, EngineError, Idle, Published, Role, Worker, run};
use tickwire_frame::{Ledger, Reason};

fn run_alone(port: &mut Scripted, control: &Control) -> (Ledger, bool) {
    let (ledger, result) = run(port, &mut (), Idle::Sleep, control, &Published::default());
    (ledger, result.is_ok())
}

fn worker(name: &str, port: Scripted) -> Worker {
    Worker {
        name: name.into(),
        port: Box::new(port) as Box<dyn Port>,
        job: Box::new(()),
        core: None,
        idle: Idle::Sleep,
        role: Role::Source,
    }
}

#[test]
fn every_frame_until_the_end_is_delivered() {
    let mut port = Scripted::new(vec![Step::Frames(64), Step::Idle, Step::Frames(1)]);
    port.lost_in_kernel = 5;
    let (ledger, well) = run_alone(&mut port, &Control::default());
    assert!(well);
    assert_eq!((ledger.received, ledger.selected, ledger.delivered), (70, 65, 65));
    assert_eq!(ledger.discarded[Reason::PacketDropped], 5);
    assert_eq!(ledger.received_bytes, 65 * 60);
    assert_eq!(ledger.difference(), 0);
}

#[test]
fn a_count_ends_in_the_middle_of_a_batch() {
    let mut port = Scripted::new(vec![Step::Frames(10); 10]);
    let (ledger, well) = run_alone(&mut port, &Control::new(Some(25), None));
    assert!(well);
    assert_eq!((ledger.received, ledger.delivered, ledger.difference()), (25, 25, 0));
}

#[test]
fn a_stop_drains_what_waits_in_the_port() {
    let mut port = Scripted::new(vec![Step::Frames(3)]);
    port.endless = true;
    port.after_quiesce = vec![Step::Frames(4), Step::Frames(5)];
    let control = Control::new(None, Some(Duration::from_millis(150)));
    let started = Instant::now();
    let (ledger, well) = run_alone(&mut port, &control);
    assert!(well);
    assert_eq!((ledger.delivered, ledger.difference()), (12, 0));
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_broken_port_keeps_what_came_before() {
    let mut port = Scripted::new(vec![Step::Frames(7), Step::Fail]);
    port.lost_in_kernel = 1;
    let (ledger, well) = run_alone(&mut port, &Control::default());
    assert!(!well);
    assert_eq!((ledger.received, ledger.delivered, ledger.difference()), (8, 7, 0));
}

#[test]
fn an_engine_adds_up_its_workers() {
    let control = Arc::new(Control::default());
    let workers = vec![
        worker("a", Scripted::new(vec![Step::Frames(64); 100])),
        worker("b", Scripted::new(vec![Step::Frames(1); 100])),
    ];
    let outcome = Engine::start(workers, control).expect("starts").join();
    assert!(outcome.error.is_none());
    assert_eq!(outcome.ledger.delivered, 6500);
    assert_eq!(outcome.ledger.difference(), 0);
    let names: Vec<_> = outcome.workers.iter().map(|worker| worker.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn one_broken_worker_stops_the_others() {
    let mut endless = Scripted::new(vec![Step::Frames(2)]);
    endless.endless = true;
    let workers =
        vec![worker("endless", endless), worker("broken", Scripted::new(vec![Step::Fail]))];
    let outcome = Engine::start(workers, Arc::new(Control::default())).expect("starts").join();
    assert!(matches!(outcome.error, Some(EngineError::Port(_))), "{:?}", outcome.error);
    assert_eq!((outcome.ledger.delivered, outcome.ledger.difference()), (2, 0));
}

#[test]
fn a_panic_stops_the_others_and_is_told() {
    let mut endless = Scripted::new(vec![Step::Frames(2)]);
    endless.endless = true;
    let workers = vec![worker("endless", endless), worker("bad", Scripted::new(vec![Step::Panic]))];
    let outcome = Engine::start(workers, Arc::new(Control::default())).expect("starts").join();
    let message = outcome.error.expect("an error").to_string();
    assert!(message.contains("worker bad panicked: the script says so"), "{message}");
    assert_eq!(outcome.ledger.delivered, 2);
}

#[test]
fn a_core_that_does_not_exist_is_named() {
    let mut pinned = worker("pinned", Scripted::new(vec![]));
    pinned.core = Some(100_000);
    let outcome = Engine::start(vec![pinned], Arc::new(Control::default())).expect("starts").join();
    let message = outcome.error.expect("an error").to_string();
    assert!(message.contains("cannot pin worker pinned to core 100000"), "{message}");
    assert!(message.contains("taskset"), "{message}");
}
