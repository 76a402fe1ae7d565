//! What the tests, fuzz targets and benchmarks share: fleets from a seed, and naive oracles.

pub mod exact;
pub mod fleet;
pub mod generators;
pub mod oracle;
