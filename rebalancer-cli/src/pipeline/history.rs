//! What became of a workload when its pods changed, from Events, the ages of its pods and the metrics server.
//!
//! The flow: [`sightings`] reads when pods were there, [`turns`] finds when each came and went and groups what happened
//! together, [`look`] compares the loads around each change, and [`actor`] finds who did it.

pub mod actor;
pub mod look;
pub mod sightings;
pub mod turns;
