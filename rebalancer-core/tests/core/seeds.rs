//! Replays the seeds of the fuzz targets that concern the core.

use rebalancer_sim::fuzzing;

#[test]
fn engine_seeds() {
    assert!(fuzzing::replay("engine", fuzzing::engine) >= 8);
}

#[test]
fn rotation_seeds() {
    assert!(fuzzing::replay("rotation", fuzzing::rotation) >= 8);
}

#[test]
fn the_seeds_of_the_ownership_hold() {
    assert!(fuzzing::replay("ownership", fuzzing::ownership) >= 20);
}
