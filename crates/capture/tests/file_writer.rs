//! Written capture files: read again, by ourselves and by tcpdump; rotated; into pipes and full
//! devices.

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tickwire_capture::file::{
    Annotation, Interface, InterfaceStatistics, Rotation, WriteFormat, Writer, WriterConfig,
};
use tickwire_capture::{FilePort, Port, Received};
use tickwire_frame::{Batch, Flags, Frame, LinkType, Mask, Reason, Timestamp};

/// A folder of its own for each test, deleted at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tickwire-writer-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.0)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    bytes: Vec<u8>,
    wire_len: u32,
    nanos: u64,
    flags: Flags,
    interface: u32,
    link: LinkType,
}

impl Packet {
    fn frame(&self) -> Frame<'_> {
        Frame {
            bytes: &self.bytes,
            wire_len: self.wire_len,
            timestamp: Timestamp::from_nanos(self.nanos),
            flags: self.flags,
        }
    }
}

/// All packets of a file, which must be whole.
fn read(path: &Path) -> Vec<Packet> {
    let mut port = FilePort::open(path).expect("a capture file");
    let mut packets = Vec::new();
    loop {
        let mut batch = Batch::new();
        if port.receive(&mut batch).expect("a whole file") == Received::End {
            return packets;
        }
        packets.extend(batch.iter().map(|frame| Packet {
            bytes: frame.bytes.to_vec(),
            wire_len: frame.wire_len,
            nanos: frame.timestamp.as_nanos(),
            flags: frame.flags,
            interface: batch.interface,
            link: batch.link,
        }));
    }
}

fn write(writer: &mut Writer, packets: &[Packet]) {
    for packet in packets {
        writer.write(&packet.frame(), packet.interface, packet.link).expect("a file");
    }
}

/// Packets of one Ethernet interface, one a second.
fn numbered(count: u64) -> Vec<Packet> {
    (0..count)
        .map(|number| Packet {
            bytes: number.to_be_bytes().repeat(8),
            wire_len: 64,
            nanos: (100 + number) * 1_000_000_000,
            flags: Flags::NONE,
            interface: 0,
            link: LinkType::ETHERNET,
        })
        .collect()
}

fn packet() -> impl Strategy<Value = Packet> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..300);
    // Nanoseconds of pcap reach to 2106.
    (bytes, 0..100u32, 0..4_294_967_295_999_999_999u64, any::<bool>(), 0..3u32).prop_map(
        |(bytes, more, nanos, is_out, interface)| Packet {
            wire_len: bytes.len() as u32 + more,
            bytes,
            nanos,
            flags: if is_out { Flags::OUTGOING } else { Flags::NONE },
            interface,
            link: [LinkType::ETHERNET, LinkType::RAW, LinkType(4711)][interface as usize],
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn pcapng_gives_back_what_was_written(
        mut packets in proptest::collection::vec(packet(), 0..60),
    ) {
        let folder = Folder::new();
        let path = folder.path("a.pcapng");
        let config = WriterConfig::new(&path, WriteFormat::Pcapng);
        let mut writer = Writer::create(config).expect("a file");
        // Known interfaces keep their numbers; others are numbered as they come.
        for (id, link) in [LinkType::ETHERNET, LinkType::RAW, LinkType(4711)].iter().enumerate() {
            writer.describe(id as u32, Interface::new(*link));
        }
        write(&mut writer, &packets);
        let count = packets.len() as u64;
        let (settled, _) = writer.finish(&[]);
        prop_assert_eq!((settled.written, settled.lost.total()), (count, 0));
        // The order in which interfaces came is their number in the file.
        let mut order = Vec::new();
        for packet in &mut packets {
            let id = order.iter().position(|&i| i == packet.interface).unwrap_or_else(|| {
                order.push(packet.interface);
                order.len() - 1
            });
            packet.interface = id as u32;
        }
        prop_assert_eq!(read(&path), packets);
    }

    #[test]
    fn pcap_gives_back_what_was_written(
        mut packets in proptest::collection::vec(packet(), 0..60),
        micros in any::<bool>(),
    ) {
        let folder = Folder::new();
        let path = folder.path("a.pcap");
        let format = if micros { WriteFormat::PcapMicros } else { WriteFormat::Pcap };
        let mut writer = Writer::create(WriterConfig::new(&path, format)).expect("a file");
        write(&mut writer, &packets);
        let first = packets.first().map(|packet| packet.link);
        let count = packets.len() as u64;
        packets.retain(|packet| Some(packet.link) == first);
        let (settled, _) = writer.finish(&[]);
        prop_assert_eq!(settled.written, packets.len() as u64);
        prop_assert_eq!(settled.lost[Reason::OtherLinkType], count - settled.written);
        for packet in &mut packets {
            // What pcap has no place for.
            packet.flags = Flags::NONE;
            packet.interface = 0;
            packet.nanos -= if micros { packet.nanos % 1000 } else { 0 };
        }
        prop_assert_eq!(read(&path), packets);
    }
}

/// The lines of tcpdump about a file, or `None` without tcpdump.
fn tcpdump(path: &Path) -> Option<(bool, Vec<String>)> {
    let output = Command::new("tcpdump").args(["-nn", "-tt", "-r"]).arg(path).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output.status.success(), text.lines().map(str::to_owned).collect()))
}

#[test]
fn tcpdump_reads_every_format() {
    let folder = Folder::new();
    for format in [WriteFormat::Pcap, WriteFormat::PcapMicros, WriteFormat::Pcapng] {
        let path = folder.path("a");
        let mut config = WriterConfig::new(&path, format);
        config.comment = "a capture".to_owned();
        let interface =
            Interface { filter: "udp".to_owned(), ..Interface::new(LinkType::ETHERNET) };
        config.interfaces = vec![Some(interface.named("eth0"))];
        let mut writer = Writer::create(config).expect("a file");
        write(&mut writer, &numbered(10));
        let packet = &numbered(11)[10];
        let note = Annotation { comment: "lost two", dropped: 2 };
        writer.write_annotated(&packet.frame(), 0, packet.link, note).expect("a file");
        let statistics = InterfaceStatistics { received: Some(13), ..Default::default() };
        writer.finish(&[statistics]);
        assert_eq!(read(&path).len(), 11);
        let Some((is_whole, lines)) = tcpdump(&path) else {
            eprintln!("SKIPPED: written files against tcpdump: it is not installed");
            return;
        };
        assert!(is_whole && lines.len() == 11, "{format:?}: {lines:?}");
        assert!(lines[10].starts_with("110.000000 "), "{format:?}: {}", lines[10]);
    }
}

#[test]
fn pcapng_keeps_names_comments_and_counts() {
    let folder = Folder::new();
    let path = folder.path("a.pcapng");
    let mut config = WriterConfig::new(&path, WriteFormat::Pcapng);
    let interface = Interface {
        snaplen: 10,
        description: "to the exchange".to_owned(),
        filter: "udp port 26400".to_owned(),
        os: "Linux".to_owned(),
        ..Interface::new(LinkType::ETHERNET)
    };
    config.interfaces = vec![Some(interface.named("eth0"))];
    let mut writer = Writer::create(config.clone()).expect("a file");
    let packet = &numbered(1)[0];
    let note = Annotation { comment: "ünïcode", dropped: 5 };
    writer.write_annotated(&packet.frame(), 0, packet.link, note).expect("a file");
    let statistics = InterfaceStatistics {
        received: Some(6),
        dropped: Some(5),
        filter_accepted: Some(6),
        os_dropped: Some(0),
        delivered: Some(1),
    };
    writer.finish(&[statistics]);

    let mut port = FilePort::open(&path).expect("a capture file");
    let mut batch = Batch::new();
    port.receive(&mut batch).expect("a packet");
    assert_eq!((batch.get(0).bytes.len(), batch.get(0).wire_len), (10, 64), "cut to the snaplen");
    assert_eq!(port.receive(&mut Batch::new()).expect("the end"), Received::End);
    assert_eq!(port.interfaces(), [config.interfaces[0].clone().expect("given")]);
    assert_eq!(port.statistics(), [statistics]);
    let drops = port.kernel_counters().into_iter().find(|c| c.name == "epb_dropcount");
    assert_eq!(drops.expect("a drop count").value, 5);
    let bytes = std::fs::read(&path).expect("readable");
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("ünïcode") && has("tickwire "));
}

#[test]
fn an_empty_capture_is_a_file_too() {
    let folder = Folder::new();
    for format in [WriteFormat::Pcap, WriteFormat::Pcapng] {
        let path = folder.path("empty");
        let writer = Writer::create(WriterConfig::new(&path, format)).expect("a file");
        let (settled, totals) = writer.finish(&[]);
        assert_eq!((settled.written, totals.files), (0, 1));
        assert_eq!(read(&path), []);
    }
}

#[test]
fn batches_and_masks() {
    let folder = Folder::new();
    let path = folder.path("a.pcap");
    let mut writer = Writer::create(WriterConfig::new(&path, WriteFormat::Pcap)).expect("a file");
    let packets = numbered(64);
    let mut batch = Batch::new();
    for packet in &packets {
        batch.push(packet.frame());
    }
    writer.write_batch(&batch, Mask(0b1010)).expect("a file");
    assert_eq!(writer.pending(), 2);
    writer.flush().expect("a file");
    assert_eq!((writer.pending(), writer.take_settled().written), (0, 2));
    assert_eq!(read(&path), [packets[1].clone(), packets[3].clone()], "readable before the end");
}

fn rotated(name: &str, rotation: Rotation, count: u64) -> (Folder, u64) {
    let folder = Folder::new();
    let mut config = WriterConfig::new(folder.path(name), WriteFormat::Pcap);
    config.rotation = rotation;
    let mut writer = Writer::create(config).expect("a file");
    write(&mut writer, &numbered(count));
    let (settled, totals) = writer.finish(&[]);
    assert_eq!(settled.written, count);
    (folder, totals.rotated_away)
}

#[test]
fn rotation_by_packets_size_and_time() {
    let by_packets = Rotation { packets_max: Some(4), ..Rotation::default() };
    let (folder, _) = rotated("a.pcap", by_packets, 10);
    assert_eq!(folder.names(), ["a.pcap", "a.pcap1", "a.pcap2"]);
    let all: Vec<Packet> = folder.names().iter().flat_map(|n| read(&folder.path(n))).collect();
    assert_eq!(all, numbered(10));

    // 24 of header and 80 a record: two of them fill 184 exactly.
    let by_size = Rotation { size_bytes_max: Some(184), ..Rotation::default() };
    let (folder, _) = rotated("a.pcap", by_size, 5);
    let sizes: Vec<u64> = folder
        .names()
        .iter()
        .map(|name| folder.path(name).metadata().expect("a file").len())
        .collect();
    assert_eq!(sizes, [184, 184, 104]);

    let by_time = Rotation { seconds_max: Some(3), ..Rotation::default() };
    let (folder, _) = rotated("a-%s.pcap", by_time, 7);
    assert_eq!(folder.names(), ["a-100.pcap", "a-103.pcap", "a-106.pcap"]);
}

#[test]
fn a_ring_keeps_the_newest() {
    let ring = Rotation { packets_max: Some(2), files_max: Some(3), ..Rotation::default() };
    let (folder, away) = rotated("a", ring, 11);
    assert_eq!(folder.names(), ["a0", "a1", "a2"]);
    let kept: usize = folder.names().iter().map(|name| read(&folder.path(name)).len()).sum();
    assert_eq!(kept as u64 + away, 11);

    let ring = Rotation { seconds_max: Some(2), files_max: Some(2), ..Rotation::default() };
    let (folder, away) = rotated("a-%s", ring, 7);
    assert_eq!(folder.names(), ["a-104", "a-106"]);
    assert_eq!(away, 4);
}

#[test]
fn a_full_device_is_named_at_once() {
    let config = WriterConfig::new("/dev/full", WriteFormat::Pcapng);
    let error = Writer::create(config).expect_err("it is full").to_string();
    assert!(error.contains("write /dev/full") && error.contains("until there is room"), "{error}");
}

#[test]
fn a_stream_that_fails_ends_the_writing_and_counts() {
    // A pcap header waits for the first link type, so creating it succeeds.
    let config = WriterConfig::new("/dev/full", WriteFormat::Pcap);
    let mut writer = Writer::create(config).expect("nothing written yet");
    write(&mut writer, &numbered(3));
    writer.flush().expect_err("it is full");
    write(&mut writer, &numbered(2));
    let (settled, _) = writer.finish(&[]);
    assert_eq!((settled.written, settled.lost[Reason::DiskFull], settled.lost.total()), (0, 5, 5));
}

#[test]
fn contradictions_and_missing_folders_are_refused() {
    let mut config = WriterConfig::new("-", WriteFormat::Pcap);
    config.rotation.packets_max = Some(1);
    assert!(Writer::create(config).expect_err("refused").to_string().contains("standard output"));
    let mut config = WriterConfig::new("/tmp/x", WriteFormat::Pcap);
    config.rotation.files_max = Some(3);
    assert!(Writer::create(config).expect_err("refused").to_string().contains("ring"));
    let config = WriterConfig::new("/no/such/folder/x", WriteFormat::Pcap);
    let error = Writer::create(config).expect_err("refused").to_string();
    assert!(error.contains("create the folder first"), "{error}");
}

#[test]
fn a_named_pipe_carries_a_capture() {
    let folder = Folder::new();
    let path = folder.path("fifo");
    let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success());
    let mut port = FilePort::open(&path).expect("opens without a writer");
    assert_eq!(port.receive(&mut Batch::new()).expect("no error"), Received::Idle);
    let packets = numbered(50_000);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let config = WriterConfig::new(&path, WriteFormat::Pcapng);
            let mut writer = Writer::create(config).expect("a reader is there");
            write(&mut writer, &packets);
            let (settled, _) = writer.finish(&[]);
            assert_eq!(settled.written, packets.len() as u64);
            done.store(true, Ordering::Relaxed);
        });
        let mut count = 0;
        loop {
            let mut batch = Batch::new();
            match port.receive(&mut batch).expect("a whole capture") {
                Received::Frames => count += batch.len(),
                Received::Idle => port.wait(std::time::Duration::from_millis(100)).expect("poll"),
                Received::End => break,
            }
        }
        assert_eq!(count, packets.len());
    });
    assert!(done.into_inner());
}
