//! What a test needs of the machine: skipped with a reason where it is missing, failed where
//! `E2E_REQUIRED=1`, unless `E2E_OPTIONAL` names the program.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

/// Where controller-runtime's envtest looks when `KUBEBUILDER_ASSETS` is unset.
const DEFAULT_ASSETS: &str = "/usr/local/kubebuilder/bin";

/// A server that tests may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `prometheus` and `promtool`, on `PATH`.
    Prometheus,
    /// `victoria-metrics`, on `PATH`.
    VictoriaMetrics,
    /// `prometheus-newest` and `promtool-newest`, on `PATH`.
    NewestPrometheus,
    /// `victoria-metrics-newest`, on `PATH`.
    NewestVictoriaMetrics,
    /// `thanos`, on `PATH`.
    Thanos,
    /// `prometheus-pushgateway`, on `PATH`.
    Pushgateway,
    /// `etcd`, `kube-apiserver` and `kube-controller-manager`, in the folder `KUBEBUILDER_ASSETS`.
    ControlPlane,
    /// `kubectl`, in the folder `KUBEBUILDER_ASSETS`.
    Kubectl,
    /// `helm`, on `PATH`.
    Helm,
    /// Kafka and the consumers, in the folder `E2E_KAFKA`.
    Kafka,
    /// librdkafka with its Python client, in the folder `E2E_LIBRDKAFKA`, and `python3`.
    Librdkafka,
    /// `kafka-go`, the consumers by that Go client, on `PATH`.
    KafkaGo,
    /// `curl`, on `PATH`.
    Curl,
    /// `chromium` and `chromedriver`, on `PATH`.
    Browser,
    /// The program as it is released, which takes minutes to build: only where `E2E_REQUIRED=1`.
    Released,
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

/// Whether the machine has the program; what [`require!`] asks. Where it has not, a line that begins with
/// `SKIPPED` and the name of the test says so, which `.ci/run` counts.
///
/// # Panics
/// When it is missing, `E2E_REQUIRED=1`, and `E2E_OPTIONAL` does not list it.
pub fn check(program: Program) -> bool {
    let is_required = env::var("E2E_REQUIRED").as_deref() == Ok("1");
    if program == Program::Released {
        if !is_required {
            skipped("the released program takes minutes to build: set E2E_REQUIRED=1");
        }
        return is_required;
    }
    let missing: Vec<&str> =
        program.files().iter().filter(|file| locate(program, file).is_none()).copied().collect();
    if missing.is_empty() {
        return true;
    }
    let reason = format!(
        "{} not found {}: run `eval \"$(e2e/install{})\"`",
        missing.join(", "),
        program.place(),
        match program {
            Program::Thanos => " --thanos",
            Program::Kafka | Program::Librdkafka | Program::KafkaGo => " --kafka",
            _ => "",
        },
    );
    let optional = env::var("E2E_OPTIONAL").unwrap_or_default();
    let named = |file: &&str| file.split('/').next().unwrap_or_default().to_owned();
    let is_optional = missing.iter().all(|file| optional.split(',').any(|name| name == named(file)));
    assert!(!is_required || is_optional, "E2E_REQUIRED=1, but {reason}");
    skipped(&reason);
    false
}

fn skipped(reason: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    // Not by `eprintln!`, which a test that passes does not show. A test must not fail for a closed pipe.
    let _ = io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes());
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

/// The folder with the files of the program.
///
/// # Panics
/// When one is missing: tests ask [`require!`] first.
pub(crate) fn folder_of(program: Program) -> PathBuf {
    let file = program.files()[0];
    let path = path_of(program, file);
    let depth = Path::new(file).components().count();
    path.ancestors().nth(depth).expect("a file lies in its folder").to_owned()
}

impl Program {
    fn files(self) -> &'static [&'static str] {
        match self {
            Self::Prometheus => &["prometheus", "promtool"],
            Self::VictoriaMetrics => &["victoria-metrics"],
            Self::NewestPrometheus => &["prometheus-newest", "promtool-newest"],
            Self::NewestVictoriaMetrics => &["victoria-metrics-newest"],
            Self::Thanos => &["thanos"],
            Self::Pushgateway => &["prometheus-pushgateway"],
            Self::ControlPlane => &["etcd", "kube-apiserver", "kube-controller-manager"],
            Self::Kubectl => &["kubectl"],
            Self::Helm => &["helm"],
            Self::Curl => &["curl"],
            Self::Kafka => &["Consumers.class"],
            Self::Librdkafka => &["confluent_kafka/__init__.py"],
            Self::KafkaGo => &["kafka-go"],
            Self::Browser => &["chromium", "chromedriver"],
            Self::Released => &[],
        }
    }

    /// Where it is looked for.
    const fn place(self) -> &'static str {
        match self {
            Self::ControlPlane | Self::Kubectl => "in KUBEBUILDER_ASSETS",
            Self::Kafka => "in E2E_KAFKA",
            Self::Librdkafka => "in E2E_LIBRDKAFKA",
            _ => "on PATH",
        }
    }

    fn folders(self) -> Vec<PathBuf> {
        let named =
            |variable: &str| env::var_os(variable).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        match self {
            Self::ControlPlane | Self::Kubectl => {
                vec![named("KUBEBUILDER_ASSETS").unwrap_or_else(|| DEFAULT_ASSETS.into())]
            }
            Self::Kafka => named("E2E_KAFKA").into_iter().collect(),
            Self::Librdkafka => named("E2E_LIBRDKAFKA").into_iter().collect(),
            _ => env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect(),
        }
    }
}

fn locate(program: Program, file: &str) -> Option<PathBuf> {
    program.folders().into_iter().map(|folder| folder.join(file)).find(|path| path.is_file())
}
