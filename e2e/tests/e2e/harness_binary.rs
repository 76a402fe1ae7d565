//! The program runs from the harness: its output, exit code and memory arrive.

use e2e::{Finished, pod_rebalancer};

#[test]
fn output_and_exit_code_arrive() {
    let help = Finished::of(&mut pod_rebalancer(["--help"]));
    assert_eq!(help.code, Some(0), "{help}");
    assert!(help.stdout.contains("replay"), "{help}");
    assert_eq!(help.stderr, "");

    let unknown = Finished::of(&mut pod_rebalancer(["rotate-everything"]));
    assert_eq!(unknown.code, Some(64), "{unknown}");
    assert!(unknown.stderr.contains("rotate-everything"), "{unknown}");
}
