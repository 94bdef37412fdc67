//! `tickwire doctor` as a script runs it.

use serde_json::{Value, json};
use std::process::Command;

fn doctor(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    let output = command.arg("doctor").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn json_is_one_object_that_agrees_with_the_exit_code() {
    let (code, text) = doctor(&["--json", "lo"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["able"], code == Some(0));
    let findings = report["findings"].as_array().unwrap();
    for id in ["kernel.version", "kernel.af_packet", "rights.net_raw", "cpu.clock"] {
        assert!(findings.iter().any(|finding| finding["id"] == id), "{id}");
    }
    assert_eq!(report["ports"][0]["interface"], "lo");
    assert_eq!(report["facts"]["interfaces"][0]["name"], "lo");
    assert!(report["facts"]["interfaces"][0]["sysfs_elsewhere"].is_boolean());
}

#[test]
fn an_interface_that_is_not_there_fails() {
    let (code, text) = doctor(&["no-such-port"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("There is no interface no-such-port."), "{text}");
    assert!(!text.contains('\x1b'));
}

#[test]
fn it_leaves_no_program_behind() {
    let (_, text) = doctor(&["--json", "lo"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["facts"]["interfaces"][0]["attached"], Value::Null);
    let (_, again) = doctor(&["--json", "lo"]);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["facts"]["interfaces"][0]["attached"], Value::Null);
}

/// /sys shows the interfaces of the namespace that mounted it, not those of ours.
#[test]
fn interfaces_of_another_namespace_are_not_examined() {
    let name = "interfaces_of_another_namespace_are_not_examined";
    tickwire_lab::require_root!(name);
    let lab = tickwire_lab::Lab::veth(tickwire_lab::LabConfig::default()).unwrap();
    let (code, text) = lab.right.run(|| doctor(&["--json"]));
    let report: Value = serde_json::from_str(&text).unwrap();
    let examined = report["facts"]["interfaces"].as_array().unwrap();
    let names: Vec<_> = examined.iter().map(|interface| interface["name"].as_str()).collect();
    assert_eq!(names, [Some(lab.right.name())], "{report:#}");
    assert!(examined[0]["mtu"].as_u64() >= Some(1280), "{report:#}");
    // Nothing of a namesake there is taken for ours, and the report says what is not known.
    assert_eq!(examined[0]["sysfs_elsewhere"], true, "{report:#}");
    assert_eq!((&examined[0]["irqs"], &examined[0]["numa_node"]), (&json!([]), &Value::Null));
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["id"] == "interface.sysfs"), "{report:#}");
    assert_eq!((code, &report["ports"][0]["interface"]), (Some(0), &Value::from(names[0])));
}
