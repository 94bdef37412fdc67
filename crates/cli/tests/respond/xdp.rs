//! Mode `xdp`: the documented run and the brakes, from the outside.

use super::*;

/// The bytes of an order that are not the same in every run: its time and its number.
const CHANGING: std::ops::Range<usize> = 17..41;

/// The orders of the documented run in mode `xdp` are those of mode `af_xdp`, byte by byte.
fn the_same_orders(big: bool, multicast: bool) {
    let [kernel, user] = ["xdp", "af_xdp"].map(|mode| {
        let mut orders = documented(Run { mode, big, multicast, over: Over::Udp });
        orders.iter_mut().for_each(|order| order[CHANGING].fill(0));
        orders
    });
    assert_eq!(kernel.len(), TICKS as usize);
    assert!(kernel == user);
}

#[test]
fn the_documented_run_in_the_kernel() {
    require_root!("the_documented_run_in_the_kernel");
    the_same_orders(false, true);
}

#[test]
fn the_documented_run_in_the_kernel_the_other_order_of_bytes() {
    require_root!("the_documented_run_in_the_kernel_the_other_order_of_bytes");
    the_same_orders(true, false);
}
