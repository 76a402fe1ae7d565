//! The workload that was chosen, as labels of its pods.

use rebalancer_io::kubernetes::{Cluster, Selector, TargetName, UnknownSelector};

use crate::failure::Failure;
use crate::settings::servers::Wanted;

/// The selector of the workload's pods, read from the cluster if the workload is given by name.
///
/// # Errors
/// No such workload, or no answer.
pub fn selector(cluster: &Cluster, wanted: Wanted) -> Result<Selector, Failure> {
    let found = match wanted {
        Wanted::Selected(selector) => return Ok(selector),
        Wanted::Named(TargetName::Named(workload)) => cluster.selector_of(&workload),
        Wanted::Named(TargetName::Bare(name)) => {
            cluster.workload_named(&name).and_then(|workload| cluster.selector_of(&workload))
        }
    };
    found.map_err(|error| match error {
        UnknownSelector::Cluster(error) => Failure::Run(error.into()),
        error => Failure::Usage(error.into()),
    })
}
