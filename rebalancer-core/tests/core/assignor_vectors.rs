//! The group model against what Kafka's own assignors dealt, versions 4.0.0 and 4.4.0: every partition of
//! every rebalance. `POD_REBALANCER_ASSIGNORS` names a file of further sequences.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rebalancer_core::kafka::{Assignor, UniformRule};
use rebalancer_sim::assignor_vectors::{Sequence, read};
use rebalancer_sim::group::{Group, Member};

/// Rebalances of each kind in the file of the project, so that the test cannot pass on nothing.
const STEPS: [(&str, usize); 6] = [
    ("cooperative-sticky", 410),
    ("range", 374),
    ("roundrobin", 407),
    ("server-range", 383),
    ("sticky", 500),
    ("uniform", 617),
];

fn recorded() -> Vec<Sequence> {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/kafka/assignors.json.gz"))
}

/// The rule of the newest version that dealt a sequence so: it is the default of the model.
fn rule(sequence: &Sequence) -> UniformRule {
    let is_old = |version: &String| version.starts_with("4.0.");
    if sequence.versions.iter().all(is_old) { UniformRule::First } else { UniformRule::Keep }
}

/// Number of steps by kind, each of which the model deals exactly as Kafka did.
fn check(sequences: &[Sequence]) -> BTreeMap<&str, usize> {
    let mut steps = BTreeMap::new();
    for sequence in sequences.iter().filter(|sequence| sequence.equal) {
        let mut group = sequence.group(rule(sequence));
        for (number, step) in sequence.steps.iter().enumerate() {
            step.play(sequence, &mut group);
            assert_eq!(
                sequence.owners(&group),
                step.own(),
                "{} {:?}, step {number}: {}",
                sequence.id,
                sequence.versions,
                step.event
            );
            *steps.entry(sequence.kind.as_str()).or_default() += 1;
        }
    }
    steps
}

#[test]
fn the_models_deal_exactly_as_kafka() {
    let sequences = recorded();
    assert_eq!(check(&sequences), BTreeMap::from(STEPS));
    if let Some(further) = std::env::var_os("POD_REBALANCER_ASSIGNORS") {
        let further = read(&PathBuf::from(further));
        let steps: usize = check(&further).values().sum();
        assert!(steps > 0, "there is a sequence of equal subscriptions in the file");
        eprintln!("{steps} further rebalances as Kafka deals them");
    }
}

/// What both versions deal alike, the model deals alike by both rules.
#[test]
fn the_rule_of_4_0_holds_for_every_sequence_of_4_0() {
    let sequences = recorded();
    let of_4_0 = |sequence: &&Sequence| {
        sequence.equal && sequence.kind == "uniform" && sequence.versions.contains(&"4.0.0".to_owned())
    };
    let mut steps = 0;
    for sequence in sequences.iter().filter(of_4_0) {
        let mut group = sequence.group(UniformRule::First);
        for step in &sequence.steps {
            step.play(sequence, &mut group);
            assert_eq!(sequence.owners(&group), step.own(), "{}: {}", sequence.id, step.event);
            steps += 1;
        }
    }
    assert_eq!(steps, 328);
}

/// The versions differ in who gets the odd partitions.
#[test]
fn the_newest_rule_is_the_default() {
    let members = || (0..3).map(|pod| Member::new(format!("{pod}"), pod)).collect();
    let loads = |group: &Group| group.pod_loads(3, |_| 1.0);
    let newest = Group::form(Assignor::Uniform, vec![4], members()).expect("valid");
    assert_eq!(loads(&newest), [1.0, 1.0, 2.0]);
    let mut old = Group::without_members(Assignor::Uniform, vec![4]).with_uniform_rule(UniformRule::First);
    old.change(&[], members()).expect("valid");
    assert_eq!(loads(&old), [2.0, 1.0, 1.0]);
}
