//! The run loop and the engine over scripted ports: sums, stops, errors and panics.

mod common;

use common::{Scripted, Step};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tickwire_capture::Port;
use tickwire_engine::{
    Control, Engine, EngineError, FilterText, Filters, Idle, Published, Role, Select, Worker, run,
};
use tickwire_filter::Options;
use tickwire_frame::{Ledger, LinkType, Reason};

fn run_alone(port: &mut Scripted, control: &Control) -> (Ledger, bool) {
    let (ledger, result) =
        run(port, &mut Select::everything(), &mut (), Idle::Sleep, control, &Published::default());
    (ledger, result.is_ok())
}

fn filters(text: &str) -> Filters {
    Filters::new(FilterText::new(text, Options::default()))
}

fn worker(name: &str, port: Scripted) -> Worker {
    Worker {
        name: name.into(),
        port: Box::new(port) as Box<dyn Port>,
        select: Select::everything(),
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
fn what_the_filter_rejects_is_discarded_by_name() {
    let mut port = Scripted::new(vec![Step::Frames(64), Step::Idle, Step::Frames(1)]);
    let mut select = Select::by(Arc::new(filters("arp")));
    let (control, published) = (Control::default(), Published::default());
    let (ledger, result) = run(&mut port, &mut select, &mut (), Idle::Sleep, &control, &published);
    assert!(result.is_ok());
    assert_eq!((ledger.received, ledger.selected, ledger.delivered), (65, 0, 0));
    assert_eq!(ledger.discarded[Reason::NotSelected], 65);
    assert_eq!(ledger.difference(), 0);
}

#[test]
fn a_count_is_of_selected_frames() {
    let mut port = Scripted::new(vec![Step::Frames(10), Step::Arp, Step::Frames(10), Step::Arp]);
    let mut select = Select::by(Arc::new(filters("arp")));
    let (control, published) = (Control::new(Some(2), None), Published::default());
    let (ledger, _) = run(&mut port, &mut select, &mut (), Idle::Sleep, &control, &published);
    assert_eq!((ledger.received, ledger.delivered), (22, 2));
    assert_eq!((ledger.discarded[Reason::NotSelected], ledger.difference()), (20, 0));
}

/// Both filters select every frame, so none may be missing; and the port is told.
#[test]
fn a_filter_is_replaced_at_a_tick_and_nothing_is_lost() {
    let filters = Arc::new(filters("ether[12:2] = 0"));
    let mut port = Scripted::new(vec![Step::Frames(3)]);
    port.endless = true;
    port.after_quiesce = vec![Step::Frames(4)];
    let offered = Arc::clone(&port.offered);
    let select = Select::by(Arc::clone(&filters)).on_interface(LinkType::ETHERNET, 1);
    let control = Arc::new(Control::default());
    let worker = Worker { select, ..worker("w", port) };
    let engine = Engine::start(vec![worker], Arc::clone(&control)).expect("starts");
    for text in ["not arp", "len = 60"] {
        let seen = offered.load(Relaxed);
        filters.replace(FilterText::new(text, Options::default()));
        let deadline = Instant::now() + Duration::from_secs(5);
        while offered.load(Relaxed) == seen {
            assert!(Instant::now() < deadline, "'{text}' was not taken over");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    control.stop();
    let outcome = engine.join();
    assert_eq!((outcome.ledger.delivered, outcome.ledger.difference()), (7, 0));
    assert_eq!(offered.load(Relaxed), 2);
}

#[test]
fn a_filter_that_means_nothing_for_the_frames_ends_the_run() {
    let select = Select::by(Arc::new(filters("outbound")));
    let port = Scripted::new(vec![Step::Frames(1)]);
    let worker = Worker { select, ..worker("w", port) };
    let outcome = Engine::start(vec![worker], Arc::new(Control::default())).expect("starts").join();
    let message = outcome.error.expect("an error").to_string();
    assert!(message.contains("EN10MB") && message.contains("'outbound'"), "{message}");
    assert_eq!(outcome.ledger.difference(), 0);
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
