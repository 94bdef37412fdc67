//! By which ways copies leave, when that is known only while it runs.

use super::*;
use crate::common::Folder;
use tickwire_lab::require_root;

/// The account of the first subscriber: offered, copied, discarded.
fn account(summary: &Value) -> [&Value; 3] {
    let account = &summary["feeds"][0]["subscribers"][0];
    ["offered", "copied", "discarded"].map(|key| &account[key])
}

/// Nobody was behind this interface at the start.
#[test]
fn an_interface_is_opened_when_somebody_behind_it_subscribes() {
    require_root!("an_interface_is_opened_when_somebody_behind_it_subscribes");
    let lab = quiet_lab();
    let (near, far) = lab.branch().expect("another link");
    near.set_neighbour(far.ipv4(), far.mac()).expect("a neighbour");
    let receiver = bind(&far, 0);
    let folder = Folder::new("operate-open");
    let socket = folder.file("control");
    let args = ["--mode", "af_xdp", "--control", &socket, "--summary", "json"];
    let running = start(&lab.right, &args);
    let added = add(&socket, &format!("{}:{PORT_FIRST}", far.ipv4()));
    assert_eq!(added["state"], "ready", "{added}");
    // In force when it is answered.
    send(&lab.left, &lab.right, &[100; 50]);
    assert_eq!(arrived(&receiver, 50), [100; 50]);
    running.wait_for(&format!("copies leave by {} too", near.name()));
    let summary = stop(running);
    assert_eq!(account(&summary), [&json!(50), &json!(50), &json!({})], "{summary}");
}

/// The link that copies leave by is deleted and made again; the feed comes by the same one, or by
/// another. There the sender's address is kept, so that no socket can stand in.
#[test]
fn an_interface_that_was_made_again_is_used_again() {
    require_root!("an_interface_that_was_made_again_is_used_again");
    for elsewhere in [true, false] {
        let lab = quiet_lab();
        let branch = lab.branch().expect("another link");
        let (near, far) = if elsewhere { (&branch.0, &branch.1) } else { (&lab.right, &lab.left) };
        let args = ["--mode", "af_xdp", "--summary", "json", "--subscriber"];
        let source = if elsewhere { "keep" } else { "interface" };
        let address = format!("{}:{PORT_FIRST},source={source}", lab.left.ipv4());
        let receiver = bind(&lab.left, 0);
        lab.right.set_neighbour(lab.left.ipv4(), lab.left.mac()).expect("a neighbour");
        let running = start(near, &[&args[..], &[&address]].concat());
        send(far, near, &[1]);
        assert_eq!(arrived(&receiver, 1), [1]);
        lab.delete_link().expect("deleted");
        if elsewhere {
            send(far, near, &[2; 20]);
        }
        lab.create_link().expect("made again");
        lab.wait_running().expect("up");
        lab.right.set_neighbour(lab.left.ipv4(), lab.left.mac()).expect("a neighbour");
        receiver.socket().set_read_timeout(Some(Duration::from_millis(50))).expect("a limit");
        wait_until("copies arrive again", || {
            send(far, near, &[3]);
            receiver.socket().recv(&mut [0; 8]).is_ok()
        });
        let summary = stop(running);
        let [offered, copied, _] = account(&summary);
        assert_eq!(copied, &json!(2), "{summary}");
        assert!(!elsewhere || offered.as_u64() >= Some(22), "{summary}");
    }
}

/// In mode af_xdp, sockets reach whom frames do not; nothing is `no_egress` any more.
#[test]
fn a_subscriber_on_this_machine_is_reached_through_a_socket() {
    require_root!("a_subscriber_on_this_machine_is_reached_through_a_socket");
    let lab = quiet_lab();
    let receiver = bind(&lab.right, 0);
    let folder = Folder::new("operate-local");
    let socket = folder.file("control");
    let args = ["--mode", "af_xdp", "--control", &socket, "--summary", "json"];
    let running = start(&lab.right, &args);
    let added = add(&socket, &format!("{}:{PORT_FIRST}", lab.right.ipv4()));
    assert_eq!(added["state"], "ready", "{added}");
    send(&lab.left, &lab.right, &[100; 50]);
    assert_eq!(arrived(&receiver, 50), [100; 50]);
    let summary = stop(running);
    assert_eq!(account(&summary), [&json!(50), &json!(50), &json!({})], "{summary}");
}

/// One behind a narrow link gets in fragments what others get whole, in order, in every mode.
#[test]
fn what_is_too_long_for_the_way_out_arrives_in_fragments() {
    require_root!("what_is_too_long_for_the_way_out_arrives_in_fragments");
    let lengths = [1300, 1400, 40, 1472, 1301];
    for mode in ["af_xdp", "udp"] {
        let lab = quiet_lab();
        let (near, far) = lab.branch().expect("another link");
        near.set_mtu(1300).expect("an MTU");
        near.set_neighbour(far.ipv4(), far.mac()).expect("a neighbour");
        lab.right.set_neighbour(lab.left.ipv4(), lab.left.mac()).expect("a neighbour");
        let (narrow, wide) = (bind(&far, 0), bind(&lab.left, 0));
        let [to_narrow, to_wide] =
            [&far, &lab.left].map(|end| format!("{}:{PORT_FIRST}", end.ipv4()));
        let args = ["--mode", mode, "--summary", "json", "--subscriber", &to_narrow];
        let running = start(&lab.right, &[&args[..], &["--subscriber", &to_wide]].concat());
        send(&lab.left, &lab.right, &lengths);
        assert_eq!(arrived(&narrow, 5), lengths, "{mode}");
        assert_eq!(arrived(&wide, 5), lengths, "{mode}");
        let summary = stop(running);
        assert_eq!(account(&summary), [&json!(5), &json!(5), &json!({})], "{mode}: {summary}");
    }
}
