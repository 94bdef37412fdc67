//! The older program's UDP protocol, byte for byte, over a real socket.

mod common;

use common::{Job, Lines};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tickwire_control::legacy::LegacyFeed;
use tickwire_control::replicate::{IfExists, ReplicateControl};
use tickwire_control::{LegacyControl, Log};
use tickwire_replicate::Subscriber;

/// A reply comes within this time, on a busy machine too.
const REPLY_SECONDS_MAX: u64 = 10;

struct Rig {
    job: Arc<Job>,
    legacy: Option<LegacyControl>,
    lines: Lines,
}

impl Rig {
    fn new(feed: &str, allow: &[&str], lease: Option<Duration>) -> Rig {
        let (job, lines) = (Job::new(), Lines::default());
        let log = Log::to(lines.clone()).expect("a thread");
        let allow = allow.iter().map(|range| range.parse().expect("a range")).collect();
        let feed = LegacyFeed { feed: feed.to_owned(), lease, control: job.clone() };
        let address = ([127, 0, 0, 1], 0).into();
        let legacy = LegacyControl::spawn(address, allow, feed, log).expect("it listens");
        Rig { job, legacy: Some(legacy), lines }
    }

    fn legacy(&self) -> &LegacyControl {
        self.legacy.as_ref().expect("it runs")
    }

    fn client(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        socket.connect(self.legacy().address()).expect("loopback");
        let time = Some(Duration::from_secs(REPLY_SECONDS_MAX));
        socket.set_read_timeout(time).expect("a time");
        socket
    }
}

fn ask(client: &UdpSocket, request: &[u8]) -> Vec<u8> {
    client.send(request).expect("loopback");
    let mut reply = [0; 2048];
    let length = client.recv(&mut reply).expect("a reply");
    reply[..length].to_vec()
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

#[test]
fn every_request_by_the_byte() {
    let mut rig = Rig::new("itch", &[], None);
    let client = rig.client();
    assert_eq!(ask(&client, &[3]), [0]);
    // Two ports on one address are two subscribers; bytes after a request are tolerated.
    assert_eq!(ask(&client, &[1, 10, 0, 0, 7, 0x13, 0x88]), [1]);
    assert_eq!(ask(&client, &[1, 10, 0, 0, 7, 0x13, 0x89, 0xff, 0xff]), [1]);
    assert_eq!(ask(&client, &[1, 10, 0, 0, 7, 0x13, 0x88]), [1]);
    assert_eq!(ask(&client, &[3, 9, 9]), [2, 10, 0, 0, 7, 0x13, 0x88, 10, 0, 0, 7, 0x13, 0x89]);
    assert_eq!(rig.job.addresses("itch"), addresses(&["10.0.0.7:5000", "10.0.0.7:5001"]));
    // Nobody at port 0, nobody at 0.0.0.0.
    assert_eq!(ask(&client, &[1, 10, 0, 0, 7, 0, 0]), [0]);
    assert_eq!(ask(&client, &[1, 0, 0, 0, 0, 0x13, 0x88]), [0]);
    assert_eq!(ask(&client, &[2, 10, 0, 0, 7, 0x13, 0x88]), [1]);
    // Somebody unknown is removed with success.
    assert_eq!(ask(&client, &[2, 10, 0, 0, 7, 0x13, 0x88]), [1]);
    assert_eq!(ask(&client, &[3]), [1, 10, 0, 0, 7, 0x13, 0x89]);

    // The sender of a join is the subscriber.
    assert_eq!(ask(&client, &[4, 239, 1, 1, 1]), [1]);
    let me = client.local_addr().expect("bound");
    assert_eq!(rig.job.addresses("itch")[1], me);
    assert_eq!(ask(&client, &[4, 239, 1, 1, 2]), [0]);
    assert_eq!(ask(&client, &[5, 239, 1, 1, 2]), [0]);
    assert_eq!(ask(&client, &[5, 239, 1, 1, 1]), [1]);
    assert_eq!(rig.job.addresses("itch"), addresses(&["10.0.0.7:5001"]));

    rig.legacy = None;
    let lines = rig.lines.text();
    assert!(lines.contains(&format!("{me}: legacy Add(10.0.0.7:5000) on itch: 01")), "{lines}");
    assert!(lines.contains(&format!("{me}: legacy Join(239.1.1.2) on itch: 00")), "{lines}");
}

#[test]
fn a_feed_that_is_no_group_cannot_be_joined() {
    let rig = Rig::new("order-entry", &[], None);
    let client = rig.client();
    assert_eq!(ask(&client, &[4, 239, 1, 1, 1]), [0]);
    assert_eq!(ask(&client, &[4, 10, 0, 0, 1]), [0]);
    assert_eq!(ask(&client, &[5, 239, 1, 1, 1]), [0]);
    assert_eq!(ask(&client, &[3]), [0]);
}

#[test]
fn short_and_unknown_requests_get_no_reply() {
    let rig = Rig::new("itch", &[], None);
    let client = rig.client();
    let silent: [&[u8]; 8] =
        [&[], &[0], &[6], &[255, 1], &[1, 10, 0, 0, 7, 0x13], &[2, 1], &[4, 239, 1, 1], &[5]];
    for request in silent {
        client.send(request).expect("loopback");
    }
    // One socket, in order: the first reply is that of the list.
    assert_eq!(ask(&client, &[3]), [0]);
    assert_eq!(rig.legacy().counts().malformed.load(Relaxed), silent.len() as u64);
}

#[test]
fn a_list_has_255_entries_at_most() {
    let rig = Rig::new("itch", &[], None);
    let client = rig.client();
    for port in 1..=300_u16 {
        let [high, low] = port.to_be_bytes();
        assert_eq!(ask(&client, &[1, 10, 0, 0, 7, high, low]), [1]);
    }
    assert_eq!(rig.job.addresses("itch").len(), 300);
    let list = ask(&client, &[3]);
    assert_eq!((list[0], list.len()), (255, 1 + 255 * 6));
    assert_eq!(&list[1 + 254 * 6..], [10, 0, 0, 7, 0, 255]);
}

#[test]
fn sources_outside_the_allow_list_get_no_answer() {
    let mut rig = Rig::new("itch", &["10.0.0.0/8"], None);
    let client = rig.client();
    client.send(&[1, 10, 0, 0, 7, 0x13, 0x88]).expect("loopback");
    let deadline = Instant::now() + Duration::from_secs(REPLY_SECONDS_MAX);
    while rig.legacy().counts().refused.load(Relaxed) == 0 {
        assert!(Instant::now() < deadline, "it is not counted");
        std::thread::sleep(Duration::from_millis(2));
    }
    client.set_nonblocking(true).expect("a socket");
    assert!(client.recv(&mut [0; 16]).is_err());
    assert!(rig.job.addresses("itch").is_empty());
    drop(rig.legacy.take());
    let lines = rig.lines.text();
    assert!(lines.contains("refused: its source is not in --legacy-allow"), "{lines}");
}

#[test]
fn subscribers_get_the_lease_and_settings_made_elsewhere_stay() {
    let rig = Rig::new("itch", &[], Some(Duration::from_secs(30)));
    let client = rig.client();
    assert_eq!(ask(&client, &[1, 10, 0, 0, 7, 0x13, 0x88]), [1]);
    let own = Subscriber {
        name: Some("mine".to_owned()),
        ..Subscriber::new("10.0.0.8:5000".parse().expect("an address"))
    };
    rig.job.add("itch", own.clone(), IfExists::Keep).expect("room");
    assert_eq!(ask(&client, &[1, 10, 0, 0, 8, 0x13, 0x88]), [1]);
    let listed = rig.job.list("itch").expect("a feed");
    assert_eq!(listed[0].subscriber.lease_s, Some(30));
    assert_eq!(listed[1].subscriber, own);
}

#[test]
fn a_taken_address_is_named_with_the_cure() {
    let rig = Rig::new("itch", &[], None);
    let feed = LegacyFeed { feed: "itch".to_owned(), lease: None, control: rig.job.clone() };
    let log = Log::to(Lines::default()).expect("a thread");
    let error = LegacyControl::spawn(rig.legacy().address(), Vec::new(), feed, log);
    let text = error.expect_err("it is taken").to_string();
    assert!(text.contains("stop the older program") && text.contains("--legacy-control"), "{text}");
}
