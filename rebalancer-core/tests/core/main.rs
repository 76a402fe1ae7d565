//! The tests of the core, in one program.

mod assignor;
mod decision;
mod diagnosis;
mod extremes;
mod golden;
mod guards;
mod join;
mod naive;
mod named;
mod nist;
mod offsets;
mod partitions;
mod persistence;
mod properties;
mod rotation;
mod seeds;
mod tidy;
