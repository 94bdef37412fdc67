//! Made-up machines, and what doctor says of them.
//!
//! The golden texts are in `golden/`; `TICKWIRE_GOLDEN=write cargo test -p tickwire doctor` writes
//! them anew, and the diff shows what changed.

use super::super::facts::*;
use super::super::finding::{Finding, Status};
use super::super::report::{Style, text};
use super::{advise, judge};

const ALL_CAPABILITIES: u64 = 0x1ff_ffff_ffff;

/// A machine with nothing to complain about: the others differ from it.
fn tuned() -> Facts {
    Facts {
        kernel: Kernel {
            release: "6.12.30".into(),
            machine: "x86_64".into(),
            af_xdp: Probe::Works,
            af_packet: Probe::Works,
            bpf_load: Probe::Works,
            bpf_jit_enable: Some(1),
            bpf_jit_harden: Some(0),
            unprivileged_bpf_disabled: Some(2),
        },
        rights: Rights {
            uid: 0,
            effective: ALL_CAPABILITIES,
            executable: "/usr/bin/tickwire".into(),
        },
        limits: Limits {
            memlock_bytes: None,
            nofile: Some(65536),
            rmem_max: Some(64 << 20),
            wmem_max: Some(64 << 20),
            optmem_max: Some(128 << 10),
            busy_poll_us: Some(0),
            netdev_max_backlog: Some(10_000),
            igmp_max_memberships: Some(512),
        },
        memory: Memory {
            available_bytes: Some(120 << 30),
            huge_2m: Some(HugePages { total: 512, free: 512 }),
            huge_1g: Some(HugePages { total: 4, free: 2 }),
            numa_nodes: 2,
        },
        processor: Processor {
            model: "AMD EPYC 9374F 32-Core Processor".into(),
            online: (0..16).collect(),
            smt: Some(false),
            isolated: (4..16).collect(),
            nohz_full: (4..16).collect(),
            governors: vec!["performance".into()],
            clock_source: "tsc".into(),
            clock_sources: vec!["tsc".into(), "hpet".into()],
            mitigated: Vec::new(),
        },
        platform: Platform {
            virtual_machine: false,
            product: "Supermicro AS-1115CS-TNR".into(),
            container: None,
            iommus: 1,
            iommu_passthrough: true,
            irqbalance: None,
        },
        interfaces: vec![mellanox()],
        missing: Vec::new(),
        down: Vec::new(),
    }
}

/// A 100 Gb/s card in good order.
fn mellanox() -> Interface {
    let setting = |now, max| Setting { now, max };
    let irq = |queue: u32| Irq {
        number: 100 + queue,
        name: format!("mlx5_comp{queue}@pci:0000:41:00.0"),
        allowed: vec![8 + queue as usize],
        effective: vec![8 + queue as usize],
    };
    let offload = |name: &str, active| Offload { name: name.into(), active, changeable: true };
    Interface {
        name: "ens1f0np0".into(),
        index: 4,
        loopback: false,
        used_by_host: false,
        driver: "mlx5_core".into(),
        bus: "0000:41:00.0".into(),
        up: true,
        carrier: Some(true),
        speed_mbps: Some(100_000),
        mtu: 1500,
        rx_queues: 8,
        tx_queues: 8,
        channels: Some(Channels { combined: setting(16, 63), ..Channels::default() }),
        rings: Some(Rings { rx: setting(8192, 8192), tx: setting(1024, 8192) }),
        coalesce: Some(Coalesce { rx_usecs: 0, rx_frames: 1, adaptive_rx: false }),
        timestamping: Some(Timestamping {
            rx_software: true,
            rx_hardware: true,
            rx_hardware_all: true,
            phc: Some(0),
        }),
        offloads: vec![offload("rx-checksum", true), offload("rx-gro", false)],
        xdp: Some(XdpFeatures {
            native: true,
            redirect: true,
            zero_copy: true,
            multi_buffer: true,
        }),
        attached: None,
        numa_node: Some(1),
        node_cpus: (8..16).collect(),
        sysfs_elsewhere: false,
        irqs: (0..8).map(irq).collect(),
        napi_defer_hard_irqs: Some(2),
        gro_flush_timeout_ns: Some(200_000),
    }
}

/// An EC2 instance as it starts: ENA with all queues in use, MTU 9001, nothing tuned.
fn ec2() -> Facts {
    let mut facts = tuned();
    facts.kernel.release = "6.1.0-28-cloud-amd64".into();
    facts.limits.memlock_bytes = Some(8 << 20);
    facts.limits.rmem_max = Some(212_992);
    facts.limits.wmem_max = Some(212_992);
    facts.limits.optmem_max = Some(20_480);
    facts.limits.igmp_max_memberships = Some(20);
    facts.memory = Memory {
        available_bytes: Some(14 << 30),
        huge_2m: Some(HugePages::default()),
        huge_1g: Some(HugePages::default()),
        numa_nodes: 1,
    };
    facts.processor = Processor {
        model: "Intel(R) Xeon(R) Platinum 8124M CPU @ 3.00GHz".into(),
        online: (0..8).collect(),
        smt: Some(true),
        clock_source: "kvm-clock".into(),
        clock_sources: vec!["kvm-clock".into(), "tsc".into()],
        mitigated: ["meltdown", "mds", "spectre_v2"].map(str::to_owned).to_vec(),
        ..Processor::default()
    };
    facts.platform = Platform {
        virtual_machine: true,
        product: "Amazon EC2 c5n.2xlarge".into(),
        irqbalance: Some(612),
        ..Platform::default()
    };
    let card = &mut facts.interfaces[0];
    card.name = "ens5".into();
    card.used_by_host = true;
    card.driver = "ena".into();
    card.bus = "0000:00:05.0".into();
    card.speed_mbps = None;
    card.mtu = 9001;
    card.channels = Some(Channels { combined: Setting { now: 8, max: 8 }, ..Channels::default() });
    card.rings =
        Some(Rings { rx: Setting { now: 1024, max: 8192 }, tx: Setting { now: 1024, max: 1024 } });
    card.coalesce = Some(Coalesce { rx_usecs: 20, rx_frames: 0, adaptive_rx: true });
    card.timestamping = Some(Timestamping { rx_software: true, ..Timestamping::default() });
    card.offloads[1].active = true;
    card.xdp = None;
    card.numa_node = None;
    card.node_cpus = Vec::new();
    card.irqs = (0..8)
        .map(|queue| Irq {
            number: 27 + queue,
            name: format!("ens5-Tx-Rx-{queue}"),
            allowed: (0..8).collect(),
            effective: vec![queue as usize],
        })
        .collect();
    card.napi_defer_hard_irqs = Some(0);
    card.gro_flush_timeout_ns = Some(0);
    facts
}

/// A laptop and a user without rights: powersave, an old driver, one idle port.
fn laptop() -> Facts {
    let mut facts = tuned();
    facts.kernel.release = "5.10.0-35-amd64".into();
    facts.kernel.af_xdp = Probe::Refused(1);
    facts.kernel.af_packet = Probe::Refused(1);
    facts.kernel.bpf_load = Probe::Refused(1);
    facts.kernel.bpf_jit_enable = None;
    facts.kernel.unprivileged_bpf_disabled = Some(0);
    facts.rights = Rights {
        uid: 1000,
        effective: 0,
        executable: "/home/ada/tickwire/target/release/tickwire".into(),
    };
    facts.limits.memlock_bytes = Some(64 << 10);
    facts.limits.nofile = Some(256);
    facts.memory.numa_nodes = 1;
    facts.memory.huge_2m = Some(HugePages { total: 8, free: 0 });
    facts.memory.huge_1g = None;
    facts.processor.model = "Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz".into();
    facts.processor.online = (0..8).collect();
    facts.processor.smt = Some(true);
    facts.processor.isolated = vec![6, 7];
    facts.processor.nohz_full = Vec::new();
    facts.processor.governors = vec!["powersave".into()];
    facts.processor.clock_source = "hpet".into();
    facts.platform.product = "LENOVO 20KHCTO1WW".into();
    facts.platform.iommu_passthrough = false;
    let card = &mut facts.interfaces[0];
    *card = Interface {
        name: "enp0s31f6".into(),
        index: 2,
        driver: "e1000e".into(),
        bus: "0000:00:1f.6".into(),
        up: true,
        carrier: Some(false),
        mtu: 1500,
        rx_queues: 1,
        tx_queues: 1,
        timestamping: card.timestamping,
        offloads: vec![
            Offload { name: "rx-gro".into(), active: true, changeable: true },
            Offload { name: "rx-checksum".into(), active: false, changeable: true },
            Offload { name: "rx-vlan-hw-parse".into(), active: true, changeable: true },
        ],
        irqs: vec![Irq {
            number: 131,
            name: "enp0s31f6".into(),
            allowed: (0..8).collect(),
            effective: vec![6],
        }],
        napi_defer_hard_irqs: Some(0),
        gro_flush_timeout_ns: Some(0),
        ..Interface::default()
    };
    facts.down = vec!["wlp61s0".into()];
    facts
}

/// A container with CAP_NET_RAW alone, as docker starts it.
fn container() -> Facts {
    let mut facts = tuned();
    facts.kernel.bpf_load = Probe::Refused(1);
    facts.kernel.bpf_jit_enable = None;
    facts.rights.effective = 1 << 13;
    facts.limits.memlock_bytes = Some(8 << 20);
    facts.limits.rmem_max = None;
    facts.limits.optmem_max = None;
    facts.platform.container = Some("docker".into());
    facts.interfaces = vec![Interface {
        name: "eth0".into(),
        index: 2,
        driver: "veth".into(),
        up: true,
        carrier: Some(true),
        speed_mbps: Some(10_000),
        mtu: 1500,
        rx_queues: 1,
        tx_queues: 1,
        xdp: Some(XdpFeatures {
            native: true,
            redirect: true,
            zero_copy: false,
            multi_buffer: true,
        }),
        ..Interface::default()
    }];
    facts.missing = vec!["eth7".into()];
    facts
}

/// Compares with `golden/NAME.txt`, or writes it when TICKWIRE_GOLDEN says so.
fn golden(name: &str, facts: &Facts) {
    let path = format!("{}/src/doctor/judge/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let printed = text(facts, &judge(facts), &advise(facts), Style::PLAIN);
    if std::env::var("TICKWIRE_GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(&path, &printed).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(expected == printed, "{path} says\n{expected}\nbut printed was\n{printed}");
}

fn find<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.id == id);
    found.unwrap_or_else(|| panic!("no finding {id}"))
}

#[test]
fn an_ec2_instance_as_it_starts() {
    golden("ec2", &ec2());
}

#[test]
fn a_laptop_without_rights() {
    golden("laptop", &laptop());
}

#[test]
fn a_container_with_net_raw_alone() {
    golden("container", &container());
}

#[test]
fn a_tuned_server_has_nothing_to_mend() {
    let facts = tuned();
    let findings = judge(&facts);
    let bad: Vec<_> = findings.iter().filter(|finding| finding.status != Status::Ok).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(findings.iter().all(|finding| finding.command.is_none()));
    let advice = advise(&facts).remove(0);
    assert_eq!((advice.port, advice.mode), (Some("af_xdp"), "zero-copy"));
    golden("tuned", &facts);
}

#[test]
fn mtu_9000_stops_native_xdp_unless_the_driver_has_multi_buffer() {
    let mut facts = tuned();
    facts.interfaces[0].mtu = 9000;
    let mtu = judge(&facts);
    assert_eq!(find(&mtu, "interface.mtu").status, Status::Warn);
    assert_eq!(find(&mtu, "interface.xdp").status, Status::Ok);
    facts.interfaces[0].xdp.as_mut().unwrap().multi_buffer = false;
    let findings = judge(&facts);
    let xdp = find(&findings, "interface.xdp");
    assert_eq!(xdp.command.as_deref(), Some("ip link set dev ens1f0np0 mtu 3498"));
    assert_eq!(advise(&facts)[0].port, Some("af_packet"));
}

#[test]
fn a_foreign_program_leaves_af_packet_and_is_never_removed_for_us() {
    let mut facts = tuned();
    let name = |name: &str| {
        Some(Attached { mode: "native", program_id: 77, program_name: Some(name.into()) })
    };
    facts.interfaces[0].attached = name("cilium_xdp");
    let findings = judge(&facts);
    let program = find(&findings, "interface.xdp_program");
    assert_eq!(program.status, Status::Warn);
    assert!(program.text.contains("cilium_xdp, id 77, native"), "{}", program.text);
    assert_eq!(advise(&facts)[0].port, Some("af_packet"));
    facts.interfaces[0].attached = name("tickwire_rx");
    assert_eq!(advise(&facts)[0].port, Some("af_xdp"));
    // A program whose name we may not read is not ours either.
    facts.interfaces[0].attached.as_mut().unwrap().program_name = None;
    assert_eq!(advise(&facts)[0].port, Some("af_packet"));
}

#[test]
fn ena_with_half_of_its_queues_runs_xdp_natively() {
    let mut facts = ec2();
    facts.interfaces[0].mtu = 1500;
    assert_eq!(advise(&facts)[0].port, Some("af_packet"));
    facts.interfaces[0].channels.as_mut().unwrap().combined.now = 4;
    // The host is reached through it: af_xdp would cut it off.
    let advice = advise(&facts).remove(0);
    assert_eq!(advice.port, Some("af_packet"));
    assert!(advice.because.contains("af_xdp (copy) would take its frames away"), "{advice:?}");
    facts.interfaces[0].used_by_host = false;
    assert_eq!(advise(&facts)[0].mode, "copy");
    assert!(advise(&facts)[0].because.contains("ena"));
}

#[test]
fn virtio_merging_is_an_obstacle_only_where_it_is_fixed() {
    let mut facts = tuned();
    let card = &mut facts.interfaces[0];
    card.driver = "virtio_net".into();
    card.offloads = vec![Offload { name: "rx-gro-hw".into(), active: true, changeable: true }];
    assert_eq!(advise(&facts)[0].mode, "zero-copy");
    facts.interfaces[0].offloads[0].changeable = false;
    assert_eq!(advise(&facts)[0].port, Some("af_packet"));
    assert_eq!(find(&judge(&facts), "interface.xdp").command, None);
}

#[test]
fn old_kernels_are_named_with_what_they_lack() {
    let judged = |release: &str| {
        let mut facts = tuned();
        facts.kernel.release = release.into();
        find(&judge(&facts), "kernel.version").clone()
    };
    assert_eq!(judged("6.18.44-fc").status, Status::Ok);
    assert!(judged("5.10.0").text.contains("since 5.11"));
    assert_eq!(judged("5.4.0-200-generic").status, Status::Warn);
    assert!(judged("4.18.0").text.contains("too old"));
    assert_eq!(judged("what?").status, Status::Note);
}

#[test]
fn without_rights_or_a_link_nothing_is_recommended() {
    assert_eq!(advise(&laptop())[0].port, None);
    assert_eq!(advise(&container())[0].port, Some("af_packet"));
    let mut facts = tuned();
    facts.interfaces[0].up = false;
    let advice = advise(&facts).remove(0);
    assert_eq!(advice.port, None);
    assert!(advice.because.contains("ip link set dev ens1f0np0 up"));
    assert_eq!(find(&judge(&facts), "interface.link").status, Status::Fail);
}

#[test]
fn interrupts_far_from_the_card_are_moved_to_its_node() {
    let mut facts = tuned();
    for irq in &mut facts.interfaces[0].irqs {
        irq.effective = vec![0];
    }
    let findings = judge(&facts);
    let irqs = find(&findings, "interface.irqs");
    assert_eq!(irqs.status, Status::Warn);
    let command = irqs.command.as_deref().unwrap();
    assert!(command.starts_with("echo 8 > /proc/irq/100/smp_affinity_list; echo 9 > "));
}

#[test]
fn ids_are_stable_words_and_sentences_end() {
    for facts in [tuned(), ec2(), laptop(), container(), Facts::default()] {
        for finding in judge(&facts) {
            let word = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
            assert!(finding.id.chars().all(|c| word(c) || c == '.'), "{}", finding.id);
            assert_eq!(finding.id.matches('.').count(), 1, "{}", finding.id);
            assert!(finding.text.ends_with('.'), "{}", finding.text);
        }
    }
}
