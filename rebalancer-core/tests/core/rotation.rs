//! What a rotation does: as scripts to read, and as a simulation that tries everything.

mod checker;
mod fleet;
mod owners;
mod plans;
mod scripts;
mod simulation;
mod two_runs;
