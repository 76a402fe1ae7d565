//! What a test needs of the machine: skipped with a reason where it is missing, failed where
//! `E2E_REQUIRED=1`.

use std::env;
use std::path::{Path, PathBuf};

/// Where controller-runtime's envtest looks when `KUBEBUILDER_ASSETS` is unset.
const DEFAULT_ASSETS: &str = "/usr/local/kubebuilder/bin";

/// A server that tests may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `prometheus` and `promtool`, on `PATH`.
    Prometheus,
    /// `victoria-metrics`, on `PATH`.
    VictoriaMetrics,
    /// `prometheus-pushgateway`, on `PATH`.
    Pushgateway,
    /// `etcd`, `kube-apiserver` and `kube-controller-manager`, in the folder `KUBEBUILDER_ASSETS`.
    ControlPlane,
    /// `kubectl`, in the folder `KUBEBUILDER_ASSETS`.
    Kubectl,
    /// `helm`, on `PATH`.
    Helm,
    /// `curl`, on `PATH`.
    Curl,
    /// `chromium` and `chromedriver`, on `PATH`.
    Browser,
}

/// Returns from the calling test, with a printed reason, where a named [`Program`] is missing.
///
/// ```
/// fn test() {
///     e2e::require!(Prometheus, VictoriaMetrics);
///     // both are here
/// }
/// ```
#[macro_export]
macro_rules! require {
    ($($program:ident),+ $(,)?) => {
        $(if !$crate::check($crate::Program::$program) {
            return;
        })+
    };
}

/// Whether the machine has the program; what [`require!`] asks.
///
/// # Panics
/// When it is missing and `E2E_REQUIRED=1`.
pub fn check(program: Program) -> bool {
    let missing: Vec<&str> =
        program.files().iter().filter(|file| locate(program, file).is_none()).copied().collect();
    if missing.is_empty() {
        return true;
    }
    let reason = format!(
        "{} not found {}: run `eval \"$(e2e/install)\"`",
        missing.join(", "),
        if program.is_asset() { "in KUBEBUILDER_ASSETS" } else { "on PATH" },
    );
    assert!(env::var("E2E_REQUIRED").as_deref() != Ok("1"), "E2E_REQUIRED=1, but {reason}");
    eprintln!("skipped: {reason}");
    false
}

/// The path of one of the program's files.
///
/// # Panics
/// When it is missing: tests ask [`require!`] first.
pub fn path_of(program: Program, file: &str) -> PathBuf {
    locate(program, file).unwrap_or_else(|| {
        panic!("{file} is not installed; the test should begin with require!({program:?})")
    })
}

impl Program {
    fn files(self) -> &'static [&'static str] {
        match self {
            Self::Prometheus => &["prometheus", "promtool"],
            Self::VictoriaMetrics => &["victoria-metrics"],
            Self::Pushgateway => &["prometheus-pushgateway"],
            Self::ControlPlane => &["etcd", "kube-apiserver", "kube-controller-manager"],
            Self::Kubectl => &["kubectl"],
            Self::Helm => &["helm"],
            Self::Curl => &["curl"],
            Self::Browser => &["chromium", "chromedriver"],
        }
    }

    /// Whether it lies in the folder `KUBEBUILDER_ASSETS`, not on `PATH`.
    const fn is_asset(self) -> bool {
        matches!(self, Self::ControlPlane | Self::Kubectl)
    }
}

fn locate(program: Program, file: &str) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = if program.is_asset() {
        let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty());
        vec![assets.map_or_else(|| Path::new(DEFAULT_ASSETS).to_owned(), PathBuf::from)]
    } else {
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect()
    };
    folders.into_iter().map(|folder| folder.join(file)).find(|path| path.is_file())
}
