//! The veth pair of a lab: what is promised of it, each in a fresh lab.

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};
use tickwire_lab::{Lab, LabConfig, Offload, require_root};

const WAIT: Option<Duration> = Some(Duration::from_secs(2));

/// Sends `text` from left to right over UDP and returns what arrived.
fn pass(lab: &Lab, to: impl Into<IpAddr>, text: &[u8]) -> std::io::Result<Vec<u8>> {
    let to: IpAddr = to.into();
    let receiver = lab.right.run(|| UdpSocket::bind((to, 0)))?;
    receiver.set_read_timeout(WAIT)?;
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    let sender = lab.left.run(|| UdpSocket::bind((any, 0)))?;
    sender.send_to(text, receiver.local_addr()?)?;
    let mut buffer = vec![0; 65536];
    let len = receiver.recv(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

#[test]
fn datagrams_pass_over_both_families() {
    require_root!("datagrams_pass_over_both_families");
    let lab = Lab::new().unwrap();
    assert_eq!(pass(&lab, lab.right.ipv4(), b"four").unwrap(), b"four");
    assert_eq!(pass(&lab, lab.right.ipv6(), b"six").unwrap(), b"six");
}

#[test]
fn without_ipv6_only_what_was_sent_passes() {
    require_root!("without_ipv6_only_what_was_sent_passes");
    let lab = Lab::veth(LabConfig { ipv6: false, ..LabConfig::default() }).unwrap();
    pass(&lab, lab.right.ipv4(), &[7; 100]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (left, right) = (lab.left.counters().unwrap(), lab.right.counters().unwrap());
    assert_eq!((left.tx_packets, left.rx_packets), (1, 0));
    assert_eq!((right.tx_packets, right.rx_packets), (0, 1));
    assert_eq!(right.rx_bytes, 100 + 14 + 20 + 8);
}

#[test]
fn with_ipv6_it_stays_quiet_once_made() {
    require_root!("with_ipv6_it_stays_quiet_once_made");
    let lab = Lab::new().unwrap();
    let before = (lab.left.counters().unwrap(), lab.right.counters().unwrap());
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(before, (lab.left.counters().unwrap(), lab.right.counters().unwrap()));
}

#[test]
fn nothing_of_it_is_in_the_namespace_of_the_process() {
    require_root!("nothing_of_it_is_in_the_namespace_of_the_process");
    let lab = Lab::new().unwrap();
    let devices = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    assert!(!devices.contains("left0") && !devices.contains("right0"), "{devices}");
    let inside = lab.right.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    assert!(inside.contains("right0") && !inside.contains("left0"), "{inside}");
}

#[test]
fn both_ends_have_the_queues_and_the_mtu_asked_for() {
    require_root!("both_ends_have_the_queues_and_the_mtu_asked_for");
    let config = LabConfig { queues: 4, mtu: 3000, ..LabConfig::default() };
    let lab = Lab::veth(config).unwrap();
    for end in [&lab.left, &lab.right] {
        assert_eq!(end.state().unwrap().mtu, 3000);
        assert_eq!(end.state().unwrap().mac, end.mac());
        let counters = end.driver_counters().unwrap();
        let queues = counters.iter().filter(|(name, _)| name.ends_with("xdp_packets")).count();
        assert_eq!(queues, 4, "{counters:?}");
    }
    lab.right.set_mtu(1400).unwrap();
    assert_eq!(lab.right.state().unwrap().mtu, 1400);
    let error = lab.right.set_mtu(1 << 20).unwrap_err().to_string();
    assert!(error.contains("right0") && error.contains("1048576"), "{error}");
}

#[test]
fn checksums_are_whole_on_the_wire() {
    require_root!("checksums_are_whole_on_the_wire");
    let lab = Lab::new().unwrap();
    let udp = raw_copy_of_one_datagram(&lab);
    assert_eq!(ones_complement_sum(&udp), 0xffff, "{udp:02x?}");
    // With the offload on it is partial: the test can tell.
    lab.left.set_offload(Offload::TransmitChecksum, true).unwrap();
    assert_ne!(ones_complement_sum(&raw_copy_of_one_datagram(&lab)), 0xffff);
}

/// The pseudo header and the UDP datagram of one packet, as an AF_PACKET socket sees it.
fn raw_copy_of_one_datagram(lab: &Lab) -> Vec<u8> {
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netdevice, sockopt};
    let protocol = rustix::net::eth::ALL;
    let socket = lab.right.run(|| {
        let (family, flags) = (AddressFamily::PACKET, SocketFlags::CLOEXEC);
        rustix::net::socket_with(family, SocketType::RAW, flags, Some(protocol)).unwrap()
    });
    assert!(lab.right.run(|| netdevice::name_to_index(&socket, "right0")).is_ok());
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, WAIT).unwrap();
    pass(lab, lab.right.ipv4(), b"checksummed").unwrap();
    let mut frame = vec![0; 2048];
    loop {
        let (len, _) = rustix::net::recv(&socket, &mut frame[..], RecvFlags::empty()).unwrap();
        let is_udp = frame[12..14] == [8, 0] && frame[23] == 17;
        if is_udp {
            let udp = &frame[34..len];
            let mut bytes = frame[26..34].to_vec();
            bytes.extend_from_slice(&[0, 17]);
            bytes.extend_from_slice(&(udp.len() as u16).to_be_bytes());
            bytes.extend_from_slice(udp);
            return bytes;
        }
    }
}

fn ones_complement_sum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[test]
fn multicast_goes_out_of_the_interface() {
    require_root!("multicast_goes_out_of_the_interface");
    let lab = Lab::new().unwrap();
    let group = "239.1.2.3".parse().unwrap();
    let receiver = lab.right.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:5001").unwrap();
        socket.join_multicast_v4(&group, &lab.right.ipv4()).unwrap();
        socket
    });
    receiver.set_read_timeout(WAIT).unwrap();
    let sender = lab.left.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    sender.send_to(b"to all", (group, 5001)).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 6);
}

#[test]
fn links_go_down_and_up_and_come_back_with_another_index() {
    require_root!("links_go_down_and_up_and_come_back_with_another_index");
    let lab = Lab::new().unwrap();
    lab.left.set_up(false).unwrap();
    let start = Instant::now();
    while lab.right.state().unwrap().running {
        assert!(start.elapsed() < Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(5));
    }
    lab.left.set_up(true).unwrap();
    lab.wait_running().unwrap();
    pass(&lab, lab.right.ipv4(), b"up again").unwrap();

    let index = lab.right.index().unwrap();
    lab.delete_link().unwrap();
    assert!(lab.right.index().unwrap_err().to_string().contains("right0"));
    lab.create_link().unwrap();
    assert_ne!(lab.right.index().unwrap(), index);
    pass(&lab, lab.right.ipv4(), b"anew").unwrap();
}

#[test]
fn a_wrong_neighbour_gets_the_frames_until_it_is_replaced() {
    require_root!("a_wrong_neighbour_gets_the_frames_until_it_is_replaced");
    let lab = Lab::veth(LabConfig { neighbours: false, ..LabConfig::default() }).unwrap();
    lab.left.set_neighbour(lab.right.ipv4(), [2, 0, 0, 0, 0, 99]).unwrap();
    let receiver = lab.right.run(|| UdpSocket::bind((lab.right.ipv4(), 5002)).unwrap());
    receiver.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let sender = lab.left.run(|| UdpSocket::bind((lab.left.ipv4(), 0)).unwrap());
    let send = || {
        sender.send_to(b"x", (lab.right.ipv4(), 5002)).unwrap();
        receiver.recv(&mut [0; 8]).is_ok()
    };
    assert!(!send());
    lab.left.set_neighbour(lab.right.ipv4(), lab.right.mac()).unwrap();
    assert!(send());
    lab.left.delete_neighbour(lab.right.ipv4()).unwrap();
    assert!(lab.left.delete_neighbour(lab.right.ipv4()).is_err());
    assert!(send(), "ARP finds it");
}

#[test]
fn labs_do_not_see_each_other() {
    require_root!("labs_do_not_see_each_other");
    let labs = [Lab::new().unwrap(), Lab::new().unwrap()];
    for lab in &labs {
        pass(lab, lab.right.ipv4(), b"private").unwrap();
    }
}
