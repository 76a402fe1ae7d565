//! Replays the seeds of the fuzz targets that concern the adapters.

use rebalancer_sim::fuzzing;

#[test]
fn decoder_seeds() {
    assert!(fuzzing::replay("decoder", fuzzing::decoder) >= 2_000);
}

#[test]
fn recording_seeds() {
    assert!(fuzzing::replay("recording", fuzzing::recording) >= 8);
}

#[test]
fn answers_seeds() {
    assert!(fuzzing::replay("answers", fuzzing::answers) >= 1_000);
}

#[test]
fn splits_seeds() {
    assert!(fuzzing::replay("splits", fuzzing::splits) >= 600);
}
