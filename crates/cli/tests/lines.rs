//! Golden text: what a person sees of each packet.

mod common;

use common::{Folder, pcap, run, udp_frame};

/// A TCP SYN with options, in a VLAN.
fn tcp_in_vlan() -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x81, 0, 0, 100, 8, 0];
    frame.extend([0x45, 0, 0, 44, 0, 7, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 9]);
    frame.extend([0xc3, 0x50, 0x1f, 0x90, 0, 0, 0, 5, 0, 0, 0, 0, 0x60, 2, 0x20, 0, 0, 0, 0, 0]);
    frame.extend([2, 4, 5, 0xb4]);
    frame
}

fn arp_request() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2]);
    frame
}

fn malformed() -> Vec<u8> {
    let mut frame = udp_frame(b"abc");
    frame[17] = 250;
    frame
}

fn frames() -> Vec<Vec<u8>> {
    vec![udp_frame(b"tick"), tcp_in_vlan(), arp_request(), malformed(), vec![1, 2, 3]]
}

/// Compares what `args` print for the frames above, and shows both when they differ.
#[track_caller]
fn expect_lines(test: &str, args: &[&str], expected: &str) {
    let folder = Folder::new(test);
    let file = folder.with("a.pcap", &pcap(&frames()));
    let ran = run(&[&["capture", "-r", &file], args].concat()).expect_code(0);
    assert!(ran.text() == expected, "\n--- expected\n{expected}\n--- printed\n{}", ran.text());
}

#[test]
fn plain() {
    expect_lines("plain", &["-n"], include_str!("golden/plain.txt"));
}

#[test]
fn with_link_headers_and_more() {
    expect_lines("verbose", &["-nve", "-c", "2"], include_str!("golden/verbose.txt"));
}

#[test]
fn with_bytes() {
    expect_lines("hex", &["-nx", "-c", "1"], include_str!("golden/hex.txt"));
}

#[test]
fn as_json() {
    expect_lines("json", &["--json", "-c", "2"], include_str!("golden/json.txt"));
}
