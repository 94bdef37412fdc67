//! The final account has everybody, also those who left.

use super::*;
use crate::common::Folder;
use tickwire_lab::require_root;

/// One stays, one is removed, the lease of one ends; each copy is in the account.
#[test]
fn who_left_is_in_the_final_account() {
    require_root!("who_left_is_in_the_final_account");
    for mode in ["xdp", "af_xdp", "udp"] {
        let lab = quiet_lab();
        let folder = Folder::new(&format!("operate-left-{mode}"));
        let socket = folder.file("control");
        let receivers: Vec<_> = (0..3).map(|number| bind(&lab.left, number)).collect();
        let [stays, leaves, leased] =
            [0, 1, 2].map(|number| format!("{}:{}", lab.left.ipv4(), PORT_FIRST + number));
        let args = ["--mode", mode, "--control", &socket, "--summary", "json"];
        let leased = format!("{leased},lease=1");
        let all = [&stays, &leaves, &leased].map(|one| ["--subscriber", one]);
        lab.right.set_neighbour(lab.left.ipv4(), lab.left.mac()).expect("a neighbour");
        let running = start(&lab.right, &[&args[..], all.as_flattened()].concat());
        let mut sent = 0;
        let mut send = |count: usize| {
            send(&lab.left, &lab.right, &vec![100; count]);
            sent += count;
        };
        send(100);
        assert_eq!(arrived(&receivers[1], 100).len(), 100, "{mode}");
        let (status, _) = ask(&socket, &format!("DELETE {SUBSCRIBERS}/{leaves}"), "");
        assert!(status.contains("204"), "{status}");
        send(50);
        running.wait_for("the lease of");
        send(50);
        let of_one = arrived(&receivers[0], sent).len();
        let summary = stop(running);
        let feed = &summary["feeds"][0];
        assert_eq!(feed["subscribers"][0]["copied"], json!(of_one), "{mode}: {summary}");
        assert_eq!(waiting(&receivers[1]), 0, "{mode}: none after it had left");
        let (removed, sum) = (&feed["removed"], 100 + waiting(&receivers[2]));
        assert_eq!(removed["subscribers"], 2, "{mode}: {summary}");
        assert_eq!((&removed["offered"], &removed["copied"]), (&json!(sum), &json!(sum)), "{mode}");
        assert_eq!(removed["discarded"], json!({}), "{mode}: {summary}");
    }
}

/// How many copies wait at `receiver`.
fn waiting(receiver: &UdpReceiver) -> usize {
    receiver.socket().set_nonblocking(true).expect("an option");
    std::iter::from_fn(|| receiver.socket().recv(&mut [0; 2048]).ok()).count()
}
