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
fn the_seeds_of_kafka_hold() {
    assert!(fuzzing::replay("kafka", fuzzing::kafka) >= 10);
}

#[test]
fn answers_seeds() {
    assert!(fuzzing::replay("answers", fuzzing::answers) >= 1_000);
}

#[test]
fn splits_seeds() {
    assert!(fuzzing::replay("splits", fuzzing::splits) >= 600);
}

#[test]
fn the_seeds_of_the_settings_hold() {
    assert!(fuzzing::replay("settings", fuzzing::settings) >= 20);
}

#[test]
fn the_seeds_of_the_selectors_hold() {
    assert!(fuzzing::replay("selectors", fuzzing::selectors) >= 15);
}

#[test]
fn the_seeds_of_the_folders_hold() {
    assert!(fuzzing::replay("folders", fuzzing::folders) >= 15);
}

#[test]
fn api_seeds() {
    assert!(fuzzing::replay("api", fuzzing::api) >= 8);
}

#[test]
fn kubeconfig_seeds() {
    assert!(fuzzing::replay("kubeconfig", fuzzing::kubeconfig) >= 30);
}

#[test]
fn page_seeds() {
    assert!(fuzzing::replay("page", fuzzing::page) >= 6);
}
