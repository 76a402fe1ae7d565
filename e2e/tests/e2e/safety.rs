//! What `docs/safety.md` promises, each against a real API server with the real program.

mod access;
mod admission;
mod budgets;
mod eligibility;
mod faults;
mod kubeconfig;
mod motion;
mod rotation;
mod scene;
mod selectors;
mod targets;
mod two_runs;
