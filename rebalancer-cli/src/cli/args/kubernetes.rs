//! Settings of the cluster, and of the eviction itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use rebalancer_core::{Method, Pacing};
use rebalancer_io::kubernetes::{ControllerKind, TargetName};
use strum::IntoStaticStr;

use crate::cli::values;
use crate::cli::words::{Word, one_of};

/// Which pods are meant, and how to reach their cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Workload and cluster")]
pub struct KubernetesArgs {
    /// The workload: deployment/NAME, statefulset/NAME, rollout/NAME, or the NAME alone; or give a label
    /// selector
    #[arg(value_name = "TARGET")]
    pub target: Option<TargetName>,
    /// Namespace of the workload; by default that of the context or the service account
    #[arg(short = 'n', long, value_name = "NAMESPACE", env = "KUBE_NAMESPACE")]
    pub namespace: Option<String>,
    /// Label selector of the workload's pods, such as app=orders. Give it or TARGET (a TARGET wins over the
    /// variable); for scan and --all it is optional and narrows the pods
    #[arg(short = 'l', long, value_name = "SELECTOR", env = "KUBE_LABEL_SELECTOR")]
    pub selector: Option<String>,
    /// Kubeconfig file; by default $KUBECONFIG, else ~/.kube/config, else the service account of the pod
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", env = "KUBE_CONTEXT")]
    pub context: Option<String>,
    /// User to impersonate
    #[arg(long = "as", value_name = "USER", env = "KUBE_AS")]
    pub impersonate: Option<String>,
    /// Group to impersonate; may be given several times
    #[arg(long = "as-group", value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
    /// Time limit of one request to the cluster
    #[arg(long, value_name = "DURATION", env = "KUBE_TIMEOUT", default_value = "30s", value_parser = values::positive_duration)]
    pub kube_timeout: Duration,
    /// Accept a selector that matches pods of several controllers
    #[arg(long, value_name = "BOOL", env = "ALLOW_MULTIPLE_CONTROLLERS", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub allow_multiple_controllers: bool,
    /// Also evict pods of these kinds of controllers, such as CloneSet.apps.kruise.io (kind and API group);
    /// the controller must replace a pod that is evicted. ReplicaSet, StatefulSet and ReplicationController
    /// are always allowed; pods of a Job, a DaemonSet or another pod never are
    #[arg(long, value_name = "KINDS", env = "ALLOWED_CONTROLLERS", value_delimiter = ',')]
    pub allowed_controllers: Vec<ControllerKind>,
    /// What to do with pods that keep data on their node (hostPath, emptyDir on disk, local persistent
    /// volumes): `allow` evicts them and says what is lost; `refuse` does not evict them, nor pods for which
    /// this is not known
    #[arg(long, value_name = "CHOICE", env = "LOCAL_STORAGE", default_value = "allow", value_enum)]
    pub local_storage: LocalStorage,
    /// Time limit of the run. No eviction starts in its last 10 seconds; with --all, where it is 3m unless it
    /// is set, no workload begins in its last KUBE_TIMEOUT
    #[arg(long, value_name = "DURATION", env = "RUN_TIMEOUT", default_value = "90s",
        default_value_if("all", "true", "3m"), value_parser = values::positive_duration)]
    pub run_timeout: Duration,
}

/// What becomes of pods whose data lies on their node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LocalStorage {
    /// They are evicted like others.
    Allow,
    /// They are left alone.
    Refuse,
}

/// How `run` acts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Eviction")]
pub struct ActionArgs {
    /// Change nothing: `client` only decides, `server` also asks the cluster whether it would evict
    #[arg(long, value_name = "MODE", env = "DRY_RUN", default_value = "none", value_enum,
        num_args = 0..=1, require_equals = true, default_missing_value = "client", hide_possible_values = true)]
    pub dry_run: DryRun,
    /// When the second pod is evicted: `sequential` as soon as the first eviction is accepted and nothing
    /// else has changed, `wait-ready` once the first replacement is Ready
    #[arg(long, value_name = "PACING", env = "PACING", default_value = "sequential", value_parser = one_of(&PACINGS))]
    pub pacing: Pacing,
    /// `evict` respects PodDisruptionBudgets; `delete` ignores them and needs the permission to delete pods
    #[arg(long, value_name = "METHOD", env = "EVICTION_METHOD", default_value = "evict", value_parser = one_of(&METHODS))]
    pub eviction_method: Method,
    /// Claim the workload with an Event before evicting: if several runs start at once, only one of them
    /// evicts. With `off`, two runs may evict four pods
    #[arg(long, value_name = "BOOL", env = "CLAIM", default_value = "on",
        num_args = 0..=1, require_equals = true, default_missing_value = "on", action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub claim: bool,
    /// Grace period to use instead of each pod's own
    #[arg(long, value_name = "DURATION", env = "GRACE_PERIOD", value_parser = values::duration)]
    pub grace_period: Option<Duration>,
    /// With --all, rotate at most this many workloads in one run; illnesses first, then the largest predicted
    /// gain
    #[arg(long, value_name = "COUNT", env = "MAX_ROTATIONS", default_value = "1", value_parser = values::count)]
    pub max_rotations: usize,
}

const PACINGS: [Word<Pacing>; 2] = [("sequential", Pacing::Sequential), ("wait-ready", Pacing::WaitReady)];

const METHODS: [Word<Method>; 2] = [("evict", Method::Evict), ("delete", Method::Delete)];

/// How much of a dry run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum DryRun {
    /// For real.
    #[value(aliases = ["false", "0", "no", "off"])]
    None,
    /// Decide, then stop.
    #[value(aliases = ["true", "1", "yes", "on"])]
    Client,
    /// Ask the API server to try everything and change nothing.
    Server,
}
