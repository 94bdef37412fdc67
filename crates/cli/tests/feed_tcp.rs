//! `tickwire feed` over captures of TCP: FIX, and OUCH and ITCH over SoupBinTCP.
//!
//! What needs the folder of captures (`TICKWIRE_CORPUS`) says so loudly when it is missing.

mod common;
#[path = "../../market/tests/common/injected.rs"]
mod injected;

use common::{Folder, Ran, market_corpus as corpus, pcap, run};
use serde_json::{Value, json};
use tickwire_market::fix::MessageBuilder;
use tickwire_market::itch50::AddOrderBuilder;
use tickwire_market::ouch50::{
    EnterOrderBuilder, OrderAcceptedBuilder, OrderExecutedBuilder, SystemEventBuilder, tag,
};
use tickwire_market::soupbintcp::{
    ClientHeartbeatBuilder, EndOfSessionBuilder, LoginAcceptedBuilder, LoginRequestBuilder,
    ServerHeartbeatBuilder, text, write_data, write_packet,
};
use tickwire_market::{Ascii, Code, Price, SinceMidnight, ouch42};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PUSH_ACK: u8 = 0x18;

/// The two ends of a connection.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Client,
    Server,
}
use End::{Client, Server};

/// A connection as it is captured.
struct Connection {
    client_port: u16,
    /// The next sequence number of each end.
    next: [u32; 2],
    frames: Vec<Vec<u8>>,
    /// The lengths of segments, in turns.
    lengths: Vec<usize>,
    turn: usize,
}

impl Connection {
    /// One that begins, with segments of these lengths.
    fn begin(client_port: u16, lengths: &[usize]) -> Connection {
        let next = [u32::MAX - 60, 7_000];
        let lengths = lengths.to_vec();
        let mut connection = Connection { client_port, next, frames: Vec::new(), lengths, turn: 0 };
        connection.segment(Client, SYN, b"");
        connection.segment(Server, SYN, b"");
        connection
    }

    fn segment(&mut self, from: End, flags: u8, payload: &[u8]) {
        let (from, to) = (from as usize, 1 - from as usize);
        let mut frame = common::udp_frame(&[&[0; 12], payload].concat());
        frame[23] = 6;
        let ends = [([10, 0, 0, 1], self.client_port), ([10, 0, 0, 2], 9_001)];
        for (at, port, (address, number)) in [(26, 34, ends[from]), (30, 36, ends[to])] {
            frame[at..at + 4].copy_from_slice(&address);
            frame[port..port + 2].copy_from_slice(&number.to_be_bytes());
        }
        frame[38..42].copy_from_slice(&self.next[from].to_be_bytes());
        frame[42..46].copy_from_slice(&self.next[to].to_be_bytes());
        let flags = if flags == SYN && from == 1 { SYN | 0x10 } else { flags };
        frame[46..54].copy_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        let len = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.next[from] = self.next[from].wrapping_add(len);
        self.frames.push(frame);
    }

    /// Bytes in segments; the numbers of their packets in the capture.
    fn say(&mut self, from: End, mut bytes: &[u8]) -> std::ops::Range<usize> {
        let first = self.frames.len();
        while !bytes.is_empty() {
            let len = self.lengths[self.turn % self.lengths.len()].min(bytes.len());
            self.turn += 1;
            self.segment(from, PUSH_ACK, &bytes[..len]);
            bytes = &bytes[len..];
        }
        first..self.frames.len()
    }

    fn packet(&mut self, from: End, packet: &[u8]) -> std::ops::Range<usize> {
        let mut out = [0; 128];
        let len = write_packet(&mut out, packet).expect("room");
        self.say(from, &out[..len])
    }

    fn data(&mut self, from: End, packet_type: u8, message: &[u8]) -> std::ops::Range<usize> {
        let mut out = [0; 256];
        let len = write_data(&mut out, packet_type, message).expect("room");
        self.say(from, &out[..len])
    }

    fn end(mut self) -> Vec<Vec<u8>> {
        self.segment(Client, FIN, b"");
        self.segment(Server, FIN, b"");
        self.frames
    }
}

fn stats(file: &str, more: &[&str]) -> Value {
    let args = [&["feed", "stats", "--json", "-r", file], more].concat();
    let stats = run(&args).expect_code(0).summary();
    assert_eq!(stats["difference"], 0, "{stats}");
    stats
}

#[track_caller]
fn expect(stats: &Value, expected: &[(&str, Value)]) {
    for (key, value) in expected {
        assert_eq!(stats[key], *value, "{key} in {stats}");
    }
}

fn objects(ran: &Ran) -> Vec<Value> {
    ran.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn login(connection: &mut Connection, number: u64) {
    let login = LoginRequestBuilder::new().username(Ascii::new("FUND").expect("short"));
    connection.packet(Client, login.requested_sequence_number(text(0)).as_bytes());
    let accepted = LoginAcceptedBuilder::new().session(Ascii::right("DAY1").expect("short"));
    connection.packet(Server, accepted.sequence_number(text(number)).as_bytes());
}

fn order(number: u32) -> Vec<u8> {
    let mut buffer = [0; 128];
    let order = EnterOrderBuilder::new().user_ref_num(number).side(Code(b'B')).quantity(300);
    let order = order.symbol(Ascii::new("AAPL").expect("short")).price(Price(1_500_000));
    let mut order = order.with_appendage(&mut buffer).expect("room");
    order.push(tag::FIRM, Ascii(*b"FUND")).expect("room");
    order.push(tag::MIN_QTY, 100_u32).expect("room");
    order.finish().to_vec()
}

fn accepted(number: u32) -> Vec<u8> {
    OrderAcceptedBuilder::new().user_ref_num(number).quantity(300).as_bytes().to_vec()
}

fn executed(number: u32) -> Vec<u8> {
    OrderExecutedBuilder::new().user_ref_num(number).quantity(100).as_bytes().to_vec()
}

/// Orders and their answers, numbered 1 to 7, with heartbeats of both sides.
fn orders(lengths: &[usize]) -> (Connection, Vec<std::ops::Range<usize>>) {
    let mut connection = Connection::begin(50_001, lengths);
    login(&mut connection, 1);
    let event = SystemEventBuilder::new().timestamp(SinceMidnight(1)).event_code(Code(b'S'));
    let mut answers = vec![connection.data(Server, b'S', event.as_bytes())];
    for number in 1..=3 {
        connection.data(Client, b'U', &order(number));
        answers.push(connection.data(Server, b'S', &accepted(number)));
        answers.push(connection.data(Server, b'S', &executed(number)));
        connection.packet(Client, ClientHeartbeatBuilder::new().as_bytes());
        connection.packet(Server, ServerHeartbeatBuilder::new().as_bytes());
    }
    (connection, answers)
}

#[test]
fn orders_and_answers_of_ouch_are_read_wherever_tcp_cuts() {
    let folder = Folder::new("feed-tcp-ouch");
    for (at, lengths) in [&[1_460][..], &[1, 2, 3, 61, 7], &[13], &[5, 1, 1, 90]].iter().enumerate()
    {
        let (mut connection, _) = orders(lengths);
        connection.packet(Server, EndOfSessionBuilder::new().as_bytes());
        let mut frames = connection.end();
        // The network mixes some of them up, and brings some twice.
        for at in (6..frames.len() - 3).step_by(5) {
            frames.swap(at, at + 1);
            frames.insert(at + 2, frames[at].clone());
        }
        let file = folder.with("a.pcap", &pcap(&frames));
        let stats = stats(&file, &[]);
        expect(
            &stats,
            &[
                ("messages", json!(10)),
                ("by_type", json!({"S": 1, "O": 3, "A": 3, "E": 3})),
                ("heartbeats", json!(6)),
                ("ends", json!(1)),
                ("packets", json!(10 + 6 + 1 + 2)),
                ("sessions", json!(["DAY1"])),
                ("gaps", json!([])),
                ("connections", json!(1)),
                ("delivered", json!(frames.len())),
            ],
        );
        for zero in ["unknown", "malformed", "truncated", "stream_gaps", "skipped_bytes"] {
            assert_eq!(stats[zero], 0, "{zero} in {stats}, lengths {at}");
        }
        assert_eq!(stats["protocols"]["ouch50-in"]["by_type"], json!({"O": 3}));
        let gaps = run(&["feed", "gaps", "-r", &file]).expect_code(0);
        assert!(
            gaps.text().contains("session DAY1, ouch50, messages 1 to 7, to its end"),
            "{gaps:?}"
        );
    }
}

#[test]
fn an_order_is_a_line_and_an_object_with_its_optional_fields() {
    let folder = Folder::new("feed-tcp-line");
    let (connection, _) = orders(&[1_460]);
    let file = folder.with("a.pcap", &pcap(&connection.end()));
    let ran = run(&["feed", "decode", "-r", &file]).expect_code(0);
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(
        lines[0],
        "14:30:00.004000042 DAY1          1 S SystemEvent          timestamp=00:00:00.000000001 \
         event_code=S"
    );
    assert_eq!(
        lines[1],
        "14:30:00.005000042 DAY1          0 O EnterOrder   user_ref_num=1 side=B quantity=300 \
         symbol=AAPL price=150.0000 time_in_force= display= capacity= \
         inter_market_sweep_eligibility= cross_type= cl_ord_id= appendage_length=12 Firm=FUND \
         MinQty=100"
    );
    let ran = run(&["feed", "decode", "-r", &file, "--json"]).expect_code(0);
    let objects = objects(&ran);
    let keys = ["protocol", "session", "sequence", "name", "message_type", "Firm", "MinQty"];
    assert_eq!(
        json!(keys.map(|key| &objects[1][key])),
        json!(["ouch50-in", "DAY1", 0, "EnterOrder", "O", "FUND", 100])
    );
    let keys = &keys[..5];
    let values: Vec<_> = keys.iter().map(|key| &objects[3][key]).collect();
    assert_eq!(json!(values), json!(["ouch50", "DAY1", 3, "OrderExecuted", "E"]));
}

#[test]
fn the_older_ouch_is_told_by_the_lengths_of_its_messages() {
    let folder = Folder::new("feed-tcp-ouch42");
    let mut connection = Connection::begin(50_001, &[30, 2]);
    login(&mut connection, 1);
    // Both versions have this one.
    connection.data(Server, b'S', ouch42::SystemEventBuilder::new().as_bytes());
    let order = ouch42::EnterOrderBuilder::new().shares(300);
    connection.data(Client, b'U', order.stock(Ascii::new("AAPL").expect("short")).as_bytes());
    connection.data(Server, b'S', ouch42::AcceptedBuilder::new().shares(300).as_bytes());
    let file = folder.with("a.pcap", &pcap(&connection.end()));
    let objects = objects(&run(&["feed", "decode", "--json", "-r", &file]).expect_code(0));
    let keys = ["protocol", "sequence", "name", "stock", "shares"];
    let values = |at: usize| json!(keys.map(|key| &objects[at][key]));
    assert_eq!(values(0), json!(["ouch42", 1, "SystemEvent", null, null]));
    assert_eq!(values(1), json!(["ouch42-in", 0, "EnterOrder", "AAPL", 300]));
    assert_eq!(values(2), json!(["ouch42", 2, "Accepted", "", 300]));
    // It was not known at once, and yet each message has the time of its own packet.
    let times: Vec<_> = objects.iter().map(|object| object["time"].as_u64()).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

#[test]
fn a_lost_segment_is_told_of_and_the_next_message_is_found() {
    let folder = Folder::new("feed-tcp-lost");
    let (mut connection, answers) = orders(&[40]);
    // A client that comes back after an hour without a capture: its login says what was missed.
    let mut again = Connection::begin(50_002, &[1_460]);
    login(&mut again, 12);
    again.data(Server, b'S', &accepted(9));
    connection.segment(Client, FIN, b"");
    let mut frames = connection.frames;
    // The second segment of the second answer of the server.
    frames.remove(answers[1].start + 1);
    let again = again.end();
    let all = [&frames[..], &again].concat();
    let file = folder.with("a.pcap", &pcap(&all));
    let stats = stats(&file, &[]);
    expect(
        &stats,
        &[
            // Of seven answers one is cut, and nobody knows the numbers of those behind it.
            ("by_type", json!({"S": 1, "O": 3, "A": 3, "E": 3})),
            ("stream_gaps", json!(1)),
            ("stream_gap_bytes", json!(27)),
            ("truncated", json!(1)),
            ("malformed", json!(0)),
            ("skipped_bytes", json!(0)),
            ("gaps", json!([{"session": "DAY1", "first": 2, "last": 11}])),
            ("connections", json!(2)),
        ],
    );
    let gaps = run(&["feed", "gaps", "-r", &file]).expect_code(3);
    assert!(gaps.text().contains("1 holes are in streams of TCP"), "{gaps:?}");
    let report = run(&["feed", "gaps", "--json", "-r", &file]).expect_code(3).summary();
    assert_eq!((&report["complete"], &report["stream_gap_bytes"]), (&json!(false), &json!(27)));
    // The capture kept only the first bytes of each packet.
    let mut cut = pcap(&[]);
    for frame in &again {
        let kept = frame.len().min(80);
        let words = [common::BASE_SECONDS, 0, kept as u32, frame.len() as u32];
        cut.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        cut.extend(&frame[..kept]);
    }
    let stats = self::stats(&folder.with("cut.pcap", &cut), &["--bind", "9001=ouch50"]);
    // What begins behind a hole is only believed when it is whole.
    expect(
        &stats,
        &[
            ("stream_gaps", json!(3)),
            ("truncated", json!(2)),
            ("skipped_bytes", json!(26)),
            ("malformed", json!(0)),
        ],
    );
}

fn fix(msg_type: &str, number: u64, ends: [&str; 2], more: &[(u32, &str)]) -> Vec<u8> {
    let mut buffer = [0; 512];
    let mut message = MessageBuilder::new(&mut buffer, "FIX.4.4", msg_type).expect("room");
    message.field(49, ends[0]).expect("room").field(56, ends[1]).expect("room");
    message.field(34, number).expect("room").field(52, "20240203-14:30:00").expect("room");
    for (tag, value) in more {
        message.field(*tag, value).expect("room");
    }
    message.finish().to_vec()
}

const FUND: [&str; 2] = ["FUND", "VENUE"];
const VENUE: [&str; 2] = ["VENUE", "FUND"];

const ORDER: &[(u32, &str)] =
    &[(11, "c-1"), (54, "1"), (38, "300"), (40, "2"), (55, "AAPL"), (44, "150.25"), (60, "x\x02")];

#[test]
fn sessions_of_fix_are_followed_over_lost_segments_and_connections() {
    let folder = Folder::new("feed-tcp-fix");
    let mut one = Connection::begin(50_001, &[11, 1, 200, 32]);
    one.say(Client, &fix("A", 1, FUND, &[(98, "0"), (108, "30")]));
    one.say(Server, &fix("A", 1, VENUE, &[(98, "0"), (108, "30")]));
    one.say(Client, &fix("D", 2, FUND, ORDER));
    one.say(Server, &fix("8", 2, VENUE, &[(37, "v-1"), (39, "0"), (150, "0")]));
    let lost = one.say(Server, &fix("8", 3, VENUE, &[(37, "v-1"), (39, "2"), (150, "F")]));
    one.say(Server, &fix("0", 4, VENUE, &[]));
    one.say(Client, &fix("0", 3, FUND, &[]));
    let mut two = Connection::begin(50_002, &[1_460]);
    // Message 4 of the client was sent while nobody captured; the venue sends 3 again.
    two.say(Client, &fix("A", 5, FUND, &[(98, "0"), (108, "30")]));
    two.say(Server, &fix("A", 5, VENUE, &[(98, "0"), (108, "30")]));
    two.say(Server, &fix("8", 3, VENUE, &[(43, "Y"), (37, "v-1"), (39, "2"), (150, "F")]));
    two.say(Client, b"8=FIX.4.4\x019=5\x0135=0\x0110=000\x01");
    two.say(Client, &fix("AE", 6, FUND, &[(571, "t-1")]));
    let mut frames = one.end();
    frames.drain(lost.start + 2..lost.end);
    frames.extend(two.end());
    let file = folder.with("a.pcap", &pcap(&frames));
    let stats = stats(&file, &[]);
    expect(
        &stats,
        &[
            ("messages", json!(10)),
            ("by_type", json!({"0": 2, "8": 2, "A": 4, "AE": 1, "D": 1})),
            ("heartbeats", json!(2)),
            ("malformed", json!(1)),
            ("truncated", json!(1)),
            ("stream_gaps", json!(1)),
            ("sessions", json!(["FUND>VENUE", "VENUE>FUND"])),
            ("gaps", json!([{"session": "FUND>VENUE", "first": 4, "last": 4}])),
        ],
    );
    let report = run(&["feed", "gaps", "--json", "-r", &file]).expect_code(3).summary();
    let session = |at: usize| &report["sessions"][at];
    assert_eq!((&session(0)["missing_messages"], &session(1)["messages"]), (&json!(1), &json!(5)));
    assert_eq!(session(1)["lines"][0]["gaps"][0]["filled"][0]["by"], "late");
    // A filter takes packets as before: here those in which an order begins.
    let ran = run(&["feed", "stats", "--json", "-r", &file, "fix.35 == \"AE\""]).expect_code(0);
    assert_eq!(ran.summary()["by_type"], json!({"AE": 1}));
}

#[test]
fn fields_of_fix_have_the_names_of_the_dictionary() {
    let folder = Folder::new("feed-tcp-names");
    let mut connection = Connection::begin(50_001, &[1_460]);
    connection.say(Client, &fix("D", 2, FUND, ORDER));
    let parties = [(453, "2"), (448, "P1"), (452, "1"), (448, "P2"), (452, "3")];
    connection.say(Client, &fix("D", 3, FUND, &[&ORDER[..3], &parties, &ORDER[3..]].concat()));
    connection.say(Client, &fix("zz", 4, FUND, &[(5_001, "own")]));
    let file = folder.with("a.pcap", &pcap(&connection.end()));
    let dictionary = concat!(env!("CARGO_MANIFEST_DIR"), "/../market/tests/golden/fix.xml");
    let decode =
        |more: &[&str]| run(&[&["feed", "decode", "-r", &file], more].concat()).expect_code(0);
    let ran = decode(&["-c", "1"]);
    assert_eq!(
        ran.text(),
        "14:30:00.002000042 FUND>VENUE          2 D 8=FIX.4.4 9=96 35=D 49=FUND 56=VENUE 34=2 \
         52=20240203-14:30:00 11=c-1 54=1 38=300 40=2 55=AAPL 44=150.25 60=x\\x02 10=197\n"
    );
    let ran = decode(&["-c", "1", "--json"]);
    let object = &objects(&ran)[0];
    let keys = ["protocol", "session", "sequence", "message_type", "35", "44", "60"];
    assert_eq!(
        json!(keys.map(|key| &object[key])),
        json!(["fix", "FUND>VENUE", 2, "D", "D", "150.25", "x\\x02"])
    );
    assert_eq!(objects(&decode(&["--json"]))[1]["448"], json!(["P1", "P2"]));
    let ran = decode(&["--dictionary", dictionary]);
    let lines: Vec<_> = ran.text().lines().map(|line| &line[43..]).collect();
    assert_eq!(
        lines[1],
        "NewOrder BeginString=FIX.4.4 BodyLength=128 MsgType=D 49=FUND 56=VENUE MsgSeqNum=3 \
         SendingTime=20240203-14:30:00 ClOrdID=c-1 Side=1(BUY) OrderQty=300 NoPartyIDs=2 \
         {PartyID=P1 PartyRole=1} {PartyID=P2 PartyRole=3} 40=2 Symbol=AAPL 44=150.25 \
         60=x\\x02 CheckSum=211"
    );
    assert!(ran.text().contains(" zz zz BeginString=FIX.4.4"));
    let named = objects(&decode(&["--json", "--dictionary", dictionary]));
    let keys = ["name", "message_type", "MsgSeqNum", "Side", "Symbol", "NoPartyIDs"];
    let parties = json!([{"PartyID": "P1", "PartyRole": "1"}, {"PartyID": "P2", "PartyRole": "3"}]);
    assert_eq!(
        json!(keys.map(|key| &named[1][key])),
        json!(["NewOrder", "D", "3", "BUY", "AAPL", parties])
    );
    let stats = stats(&file, &["--dictionary", dictionary]);
    expect(&stats, &[("unknown", json!(1)), ("by_type", json!({"D": 2, "zz": 1}))]);
    let refused = run(&["feed", "stats", "-r", &file, "--dictionary", &file]);
    refused.expect_message(1, &["a.pcap"]);
}

#[test]
fn every_version_of_fix_has_its_dictionary() {
    let specs = ["FIX42", "FIX44", "FIXT11"].map(|name| corpus(&format!("fix/spec/{name}.xml")));
    let [Some(fix42), Some(fix44), Some(fixt11)] = specs else { return };
    let folder = Folder::new("feed-tcp-versions");
    let mut connection = Connection::begin(50_001, &[1_460]);
    for version in ["FIX.4.2", "FIX.4.4", "FIXT.1.1"] {
        let mut buffer = [0; 128];
        let message = MessageBuilder::new(&mut buffer, version, "5").expect("room");
        connection.say(Client, message.finish());
    }
    let file = folder.with("a.pcap", &pcap(&connection.end()));
    let dictionaries =
        [fix42, fix44, fixt11].map(|file| ["--dictionary".to_owned(), file]).concat();
    let more: Vec<_> = dictionaries.iter().map(String::as_str).collect();
    let ran = run(&[&["feed", "decode", "--json", "-r", &file], &more[..]].concat());
    for object in objects(&ran.expect_code(0)) {
        assert_eq!((&object["name"], &object["BodyLength"]), (&json!("Logout"), &json!("5")));
    }
    // Without those of FIX 4.2 its messages have tags.
    let ran = run(&[&["feed", "decode", "-r", &file], &more[2..]].concat()).expect_code(0);
    let lines: Vec<_> = ran.text().lines().collect();
    assert!(lines[0].contains(" 8=FIX.4.2 ") && lines[1].contains("Logout BeginString=FIX.4.4"));
}

#[test]
fn the_session_scripts_say_which_messages_of_a_stream_are_garbled() {
    let Some(root) = corpus("fix/session-scripts") else { return };
    let folder = Folder::new("feed-tcp-scripts");
    let mut scripts: Vec<_> = ["fix42", "fix44"]
        .iter()
        .flat_map(|version| std::fs::read_dir(format!("{root}/{version}")).expect("scripts"))
        .map(|entry| std::fs::read_to_string(entry.expect("a script").path()).expect("text"))
        .collect();
    scripts.sort();
    for lengths in [&[1_460][..], &[1, 17, 300], &[7]] {
        let (mut frames, mut port) = (Vec::new(), 20_000);
        for script in &scripts {
            // A script has a few connections, which its lines name by a number or not at all.
            let mut open = std::collections::BTreeMap::<&str, Connection>::new();
            for line in script.lines() {
                let rest = line.trim_start_matches(['i', 'I']);
                let (id, rest) = match rest.split_once(',') {
                    Some((id, rest)) if id.len() == 1 => (id, rest),
                    _ => ("", rest),
                };
                if line.starts_with('i') && rest == "CONNECT" {
                    port += 1;
                    let old = open.insert(id, Connection::begin(port, lengths));
                    frames.extend(old.into_iter().flat_map(Connection::end));
                } else if line.starts_with('I') {
                    let connection = open.get_mut(id).expect("an open connection");
                    connection.say(Client, injected::injected(rest).as_bytes());
                }
            }
            frames.extend(open.into_values().flat_map(Connection::end));
        }
        let stats = stats(&folder.with("a.pcap", &pcap(&frames)), &["--bind", "9001=fix"]);
        // In one script of each version a message is swallowed by a length that is wrong.
        expect(
            &stats,
            &[("messages", json!(541)), ("malformed", json!(22)), ("truncated", json!(0))],
        );
        assert_eq!(stats["connections"], u64::from(port) - 20_000);
    }
}

#[test]
fn itch_over_soupbintcp_is_a_feed_like_any_other() {
    let folder = Folder::new("feed-tcp-itch");
    let mut connection = Connection::begin(50_001, &[100, 3]);
    login(&mut connection, 5);
    for number in 1..=4 {
        let order = AddOrderBuilder::new().order_reference_number(number).shares(100);
        let order = order.stock_locate(1).buy_sell_indicator(Code(b'B')).price(Price(20_000));
        let order = order.stock(Ascii::new("TICK").expect("short"));
        connection.data(Server, b'S', order.as_bytes());
    }
    let file = folder.with("a.pcap", &pcap(&connection.end()));
    let stats = stats(&file, &[]);
    expect(&stats, &[("by_type", json!({"A": 4})), ("sessions", json!(["DAY1"]))]);
    let book = run(&["feed", "book", "--format", "levels", "-r", &file]).expect_code(0);
    assert_eq!(book.text(), "TICK|B|20000|400\n");
    let gaps = run(&["feed", "gaps", "--from-first", "--json", "-r", &file]).expect_code(3);
    assert_eq!(gaps.summary()["sessions"][0]["missing"], json!([{"first": 1, "last": 4}]));
}

#[test]
fn what_is_no_feed_is_not_taken_for_one() {
    let folder = Folder::new("feed-tcp-foreign");
    let mut frames = Vec::new();
    // A web page, whose text has what a message begins with; a login that nothing sensible follows.
    let mut web = Connection::begin(50_001, &[20]);
    web.say(Client, b"GET /?q=8=FIX.4.4 HTTP/1.1\r\n\r\n");
    web.say(Server, b"HTTP/1.1 200 OK\r\n\r\n8=FIX.4.4\x019=5\x0135=0\x0110=163\x01");
    frames.extend(web.end());
    let mut other = Connection::begin(50_002, &[20]);
    login(&mut other, 1);
    other.data(Server, b'S', b"something else");
    frames.extend(other.end());
    let file = folder.with("a.pcap", &pcap(&frames));
    let found = stats(&file, &[]);
    expect(&found, &[("packets", json!(0)), ("connections", json!(0)), ("delivered", json!(0))]);
    assert_eq!(found["discarded"], json!({"not_market_data": frames.len()}));
    // Bound, it is read as what it is said to be, and what is wrong with it is counted.
    let bound = stats(&file, &["--bind", "9001=itch50"]);
    expect(
        &bound,
        &[("connections", json!(2)), ("unknown", json!(1)), ("sessions", json!(["DAY1"]))],
    );
}

#[test]
fn a_capture_that_begins_in_the_middle_finds_its_place() {
    let folder = Folder::new("feed-tcp-middle");
    let mut connection = Connection::begin(50_001, &[1_460]);
    connection.frames.clear();
    let order = fix("D", 2, FUND, ORDER);
    connection.say(Client, &order[30..]);
    connection.say(Client, &[&order[..], &order[..9]].concat());
    connection.say(Client, &order[9..]);
    let file = folder.with("fix.pcap", &pcap(&connection.end()));
    expect(&stats(&file, &[]), &[("by_type", json!({"D": 2})), ("malformed", json!(0))]);
    // Without a login SoupBinTCP has to be told of; what it carries is found by its lengths.
    let (mut connection, answers) = orders(&[50]);
    connection.frames.drain(..answers[1].start + 1);
    let file = folder.with("ouch.pcap", &pcap(&connection.end()));
    expect(&stats(&file, &[]), &[("packets", json!(0))]);
    let found = stats(&file, &["--protocol", "ouch50"]);
    expect(&found, &[("by_type", json!({"O": 2, "A": 2, "E": 3})), ("skipped_bytes", json!(17))]);
    expect(&found, &[("malformed", json!(0)), ("truncated", json!(0)), ("unknown", json!(0))]);
}
