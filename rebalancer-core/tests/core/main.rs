//! The tests of the core, in one program.

mod assignor;
mod assignor_vectors;
mod decision;
mod diagnosis;
mod extremes;
mod golden;
mod guards;
mod join;
mod known_members;
mod naive;
mod named;
mod nist;
mod offsets;
mod partitions;
mod persistence;
mod planned_pairs;
mod properties;
mod recognition;
mod rotation;
mod seeds;
mod standing;
mod tidy;
