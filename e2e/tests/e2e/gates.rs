//! The gates of the house: what `.ci/run` and `e2e/install` do on a machine that lacks things, what is
//! counted, and what a release waits for.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use e2e::Sandbox;
use serde_json::{Value, json};

/// What the scripts call beside the stubs below.
const TOOLS: [&str; 17] = [
    "awk", "bash", "cat", "chmod", "dirname", "env", "grep", "mkdir", "mktemp", "mv", "nproc", "renice",
    "rm", "sed", "tee", "timeout", "uname",
];

/// Two tests that passed and one that is ignored.
const TWO_PASSED: &str = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";

#[test]
fn what_is_missing_is_installed_by_sudo_where_the_user_is_not_root() {
    let machine = Machine::new(TWO_PASSED);
    let (code, output) = machine.ci(&[], &[]);
    assert_eq!(code, Some(0), "{output}");
    let calls = machine.calls();
    let installed: Vec<&str> = calls.lines().filter(|call| call.starts_with("apt-get ")).collect();
    for package in ["gcc", "curl", "valgrind", "musl-tools"] {
        assert!(installed.iter().any(|call| call.contains(package)), "{package}: {calls}");
    }
    assert!(installed[0].starts_with("apt-get update"), "packages are not known before: {calls}");
    let as_root = calls.lines().filter(|call| call.starts_with("sudo -n apt-get ")).count();
    assert_eq!(as_root, installed.len(), "{calls}");
}

#[test]
fn the_fuzz_targets_are_compiled() {
    let machine = Machine::new(TWO_PASSED);
    machine.ci(&[], &[]);
    let calls = machine.calls();
    assert!(calls.contains("cargo check --manifest-path fuzz/Cargo.toml "), "{calls}");
}

#[test]
fn a_skipped_test_is_no_passed_one() {
    let skipped = format!("SKIPPED aligned::on_thanos: thanos not found on PATH\n{TWO_PASSED}");
    let (code, output) = Machine::new(&skipped).ci(&[], &[]);
    assert!(output.contains("\n1 passed, 0 failed, 2 skipped\n"), "{output}");
    assert_eq!(code, Some(0), "Thanos may be missing: {output}");

    let skipped = format!("SKIPPED starts: prometheus not found on PATH\n{TWO_PASSED}");
    let (code, output) = Machine::new(&skipped).ci(&[], &[]);
    assert!(output.contains("1 of the skipped tests are required"), "{output}");
    assert_eq!(code, Some(1), "{output}");
}

#[test]
fn servers_that_cannot_be_had_end_a_run_before_its_tests() {
    let machine = Machine::new(TWO_PASSED);
    let (code, output) = machine.ci(&[], &[("SERVERS", "3")]);
    assert_eq!(code, Some(3), "{output}");
    assert!(output.contains("no etcd here"), "{output}");
    assert!(!machine.calls().contains("--no-fail-fast"), "{}", machine.calls());
}

#[test]
fn a_complete_run_leaves_nothing_out() {
    let unreachable = [("FETCH", "1")];
    let (code, output) = Machine::new(TWO_PASSED).ci(&[], &unreachable);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("left out: ADVISORIES WERE NOT CHECKED"), "{output}");
    assert!(output.contains("left out: THE TESTS ON THANOS ARE SKIPPED"), "{output}");

    let (code, output) = Machine::new(TWO_PASSED).ci(&["--complete"], &unreachable);
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("!! ADVISORIES WERE NOT CHECKED"), "{output}");

    let machine = Machine::new(TWO_PASSED);
    let (code, output) = machine.ci(&["--complete"], &[]);
    assert_eq!(code, Some(0), "{output}");
    assert!(!output.contains("left out"), "{output}");
    for server in ["--thanos", "--kafka"] {
        assert!(machine.calls().contains(&format!("install {server}")), "{}", machine.calls());
    }
}

/// A hundred consumers need the machine for themselves.
#[test]
fn the_tests_on_kafka_run_without_others_and_only_where_it_can_be_had() {
    let alone = "cargo test --workspace --locked --no-fail-fast --test e2e -- kafka_groups::";
    let direct = "cargo test --workspace --locked --no-fail-fast --test e2e -- kafka_direct::";
    let large = "cargo test --workspace --locked --no-fail-fast --test e2e -- scale::";
    let others = "cargo test --workspace --locked --no-fail-fast -- --skip kafka_groups:: --skip kafka_direct:: \
                  --skip scale::";
    let machine = Machine::new(TWO_PASSED);
    let (code, output) = machine.ci(&[], &[]);
    assert_eq!(code, Some(0), "{output}");
    let calls = machine.calls();
    // The last two run side by side.
    for last in [direct, large] {
        let steps = [others, alone, last].map(|call| calls.find(call));
        assert!(steps.iter().all(Option::is_some) && steps.is_sorted(), "{calls}");
    }
    let built = calls.find("cargo build --package rebalancer-cli --release");
    assert!(built.is_some() && built < calls.find(large), "what is measured is built before: {calls}");

    let machine = Machine::new(TWO_PASSED);
    let (code, output) = machine.ci(&[], &[("KAFKA", "1")]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("left out: THE TESTS ON KAFKA ARE SKIPPED"), "{output}");
    let calls = machine.calls();
    assert!([alone, direct].iter().all(|call| !calls.contains(call)), "{calls}");
    assert!([large, others].iter().all(|call| calls.contains(call)), "{calls}");

    let (code, output) = Machine::new(TWO_PASSED).ci(&["--complete"], &[("KAFKA", "1")]);
    assert_eq!(code, Some(1), "{output}");
}

#[test]
fn what_is_built_and_measured_beside_the_tests_can_fail_a_run_too() {
    for (program, fails) in [("benches/instructions", "exit 1"), ("bin/cargo", r#"[ "$1" != build ]"#)] {
        let machine = Machine::new(TWO_PASSED);
        machine.stub(program, fails);
        let (code, output) = machine.ci(&[], &[]);
        assert_eq!(code, Some(1), "{program}: {output}");
    }
}

#[test]
fn librdkafka_is_left_out_where_pip_does_not_get_it() {
    let skipped =
        format!("SKIPPED asks: confluent_kafka/__init__.py not found in E2E_LIBRDKAFKA\n{TWO_PASSED}");
    let without = [("LIBRDKAFKA", "1")];
    let (code, output) = Machine::new(&skipped).ci(&[], &without);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("left out: THE TESTS ON LIBRDKAFKA ARE SKIPPED"), "{output}");
    assert!(output.contains("\n1 passed, 0 failed, 2 skipped\n"), "{output}");

    let (code, output) = Machine::new(&skipped).ci(&["--complete"], &without);
    assert_eq!(code, Some(1), "{output}");
}

#[test]
fn the_newest_servers_are_built_once_with_the_tags_they_need_and_thanos_when_asked_for() {
    let machine = Machine::new(TWO_PASSED);
    machine.stub(
        "bin/go",
        r#"[ "$1" = build ] || exit 0
while [ "$1" != -o ]; do shift; done
echo '#!/usr/bin/env bash' > "$2"; chmod +x "$2""#,
    );
    let debian = ["prometheus", "promtool", "victoria-metrics", "prometheus-pushgateway", "chromium"];
    let others = ["chromedriver", "helm", "etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];
    for program in debian.into_iter().chain(others) {
        machine.stub(&format!("bin/{program}"), "true");
    }

    let first = machine.install("");
    assert!(first.contains("THANOS IS LEFT OUT"), "{first}");
    assert!(!first.contains("/thanos/"), "{first}");
    let thanos = machine.install("--thanos");
    let calls = machine.calls();
    for (tags, package) in [
        ("-tags remove_all_sd,netgo ", "/prometheus/cmd/prometheus"),
        ("-tags remove_all_sd,netgo ", "/prometheus/cmd/promtool"),
        ("-mod=readonly ", "/VictoriaMetrics/app/victoria-metrics"),
        ("-tags netgo,slicelabels ", "/thanos/cmd/thanos"),
    ] {
        let built = calls.lines().filter(|call| call.starts_with("go build ") && call.ends_with(package));
        assert!(
            built.clone().count() == 1 && built.clone().all(|call| call.contains(tags)),
            "{package}: {calls}"
        );
    }
    let exported = format!("{first}{thanos}");
    let cache = machine.sandbox.path().join(".cache/pod-rebalancer");
    for server in ["prometheus/v0.316.0", "victoria-metrics/v1.151.0", "thanos/v0.42.4"] {
        let export = format!("export PATH=\"{}:$PATH\"", cache.join(server).display());
        assert!(exported.contains(&export), "{export}: {exported}");
    }

    let again = machine.install("");
    assert!(again.contains("/thanos/v0.42.4:") && !again.contains("LEFT OUT"), "{again}");
    assert_eq!(machine.calls(), calls, "a second run builds nothing");
}

#[test]
fn a_release_waits_for_every_test_and_for_the_licences_and_advisories() {
    let release = workflow("release");
    let jobs = &release["jobs"];
    for job in ["archive", "image"] {
        let needs = jobs[job]["needs"].as_array().cloned().unwrap_or_default();
        assert!(needs.contains(&json!("ci")), "{job} waits for {needs:?}");
    }
    let needs = jobs["publish"]["needs"].as_array().cloned().unwrap_or_default();
    assert!(["archive", "image"].iter().all(|job| needs.contains(&json!(job))), "{needs:?}");

    let nightly = workflow("nightly");
    for complete in [&jobs["ci"], &nightly["jobs"]["ci"]] {
        assert_eq!(complete["uses"], "./.github/workflows/ci.yml");
        assert_eq!(complete["with"], json!({ "complete": true }));
    }
    let ci = workflow("ci");
    assert!(ci["on"]["workflow_call"].is_object(), "{}", ci["on"]);
    let steps = ci["jobs"]["ci"]["steps"].to_string();
    assert!(steps.contains("bash .ci/run ${{ inputs.complete && '--complete' || '' }}"), "{steps}");
}

#[test]
fn a_release_says_only_of_archives_and_image_that_they_are_attested() {
    let text = read(".github/workflows/release.yml");
    let head: String = text.lines().take_while(|line| line.starts_with('#')).collect();
    assert!(head.contains("Attested are the archives") && !head.contains("each attested"), "{head}");
    let jobs = &workflow("release")["jobs"];
    let attested = |job: &str| -> Vec<Value> {
        let steps = jobs[job]["steps"].as_array().expect("a job has steps").iter();
        let attests =
            |step: &&Value| step["uses"].as_str().is_some_and(|it| it.starts_with("actions/attest@"));
        steps.filter(attests).map(|step| step["with"].clone()).collect()
    };
    let archives = attested("archive");
    assert_eq!(archives.len(), 2, "{archives:?}");
    assert!(archives.iter().all(|with| with["subject-path"] == "${{ env.NAME }}.tar.gz"), "{archives:?}");
    let published = attested("publish");
    assert_eq!(published.len(), 1, "{published:?}");
    assert_eq!(published[0]["subject-name"], "${{ env.IMAGE }}");
}

/// The build of the image leaves an artifact too, and a registry refuses names with capitals.
#[test]
fn a_release_takes_up_only_its_archives_and_names_the_image_in_lower_case() {
    let jobs = &workflow("release")["jobs"];
    let step = |job: &str, action: &str| -> Value {
        let mut steps = jobs[job]["steps"].as_array().expect("a job has steps").iter();
        let found = steps.find(|step| step["uses"].as_str().is_some_and(|uses| uses.starts_with(action)));
        found.unwrap_or_else(|| panic!("{job} lacks {action}")).clone()
    };
    let name = jobs["archive"]["env"]["NAME"].as_str().expect("archives have a name");
    let taken = step("publish", "actions/download-artifact@")["with"]["pattern"].clone();
    let taken = taken.as_str().and_then(|pattern| pattern.strip_suffix('*')).expect("a pattern");
    assert!(name.starts_with(taken), "{name} is not of {taken}*");
    assert_eq!(step("image", "docker/build-push-action@")["env"]["DOCKER_BUILD_RECORD_UPLOAD"], false);

    let text = read(".github/workflows/release.yml");
    assert!(
        text.contains("${GITHUB_REPOSITORY,,}") && text.contains("${GITHUB_REPOSITORY_OWNER,,}"),
        "{text}"
    );
    assert!(!text.contains("ghcr.io/${{"), "the name of a repository may have capitals");
}

/// The Go of the workflow builds every module: it takes no newer one by itself.
#[test]
fn the_go_of_the_workflow_is_the_newest_that_a_module_asks_for() {
    let asked = |module: &str| -> Vec<u32> {
        let text = read(&format!("e2e/{module}/go.mod"));
        let line = text.lines().find_map(|line| line.strip_prefix("go ")).expect("a module asks for a Go");
        line.split('.').map(|part| part.parse().expect("a number")).collect()
    };
    let steps = workflow("ci")["jobs"]["ci"]["steps"].to_string();
    let named = steps.split("go-version-file\":\"e2e/").nth(1).and_then(|rest| rest.split('/').next());
    let named = named.expect("the workflow names a module");
    for module in ["control-plane", "helm", "kafka-go", "prometheus", "thanos", "victoria-metrics"] {
        assert!(asked(module) <= asked(named), "{module} asks for a newer Go than {named}");
    }
}

#[test]
fn every_action_is_pinned_to_a_commit() {
    let mut uses = 0;
    for name in ["ci", "nightly", "release"] {
        for line in read(&format!(".github/workflows/{name}.yml")).lines() {
            let Some(action) = line.trim().trim_start_matches("- ").strip_prefix("uses: ") else { continue };
            // A workflow of this repository is that of the commit which calls it.
            if action.starts_with("./") {
                continue;
            }
            let commit =
                action.split_once('@').and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
            assert!(is_hex(commit, 40), "{name}: {action}");
            uses += 1;
        }
    }
    assert!(uses > 5, "the workflows use actions");
}

#[test]
fn the_image_is_built_by_the_compiler_of_the_project_from_bases_that_cannot_move() {
    let file = read("deploy/docker/Dockerfile");
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).expect("rust-toolchain.toml names a channel");
    let compiler = format!("FROM docker.io/library/rust:{channel}-alpine");
    assert!(file.contains(&compiler), "the Dockerfile lacks: {compiler}");
    let mut bases = 0;
    for line in file.lines().filter(|line| line.starts_with("FROM ")) {
        let image = line.split(' ').nth(1).unwrap_or_default();
        let digest = image.split_once("@sha256:").map_or("", |(_, digest)| digest);
        assert!(is_hex(digest, 64), "{line}");
        bases += 1;
    }
    assert_eq!(bases, 2);
    // The image that reads the file, when it names one.
    assert!(!file.contains("# syntax="), "{file}");
}

/// A machine with a copy of `.ci/run`, whose cargo, servers and packages are stubs that write down how
/// they are called, and whose user is not root.
struct Machine {
    sandbox: Arc<Sandbox>,
}

impl Machine {
    /// One whose tests print `tests`.
    fn new(tests: &str) -> Self {
        let sandbox = Sandbox::new();
        for folder in ["bin", ".ci", "e2e", "benches"] {
            fs::create_dir(sandbox.path().join(folder)).expect("the sandbox is writable");
        }
        for tool in TOOLS {
            symlink(real(tool), sandbox.path().join("bin").join(tool)).expect("the sandbox is writable");
        }
        sandbox.write(".ci/run", read(".ci/run"));
        sandbox.write("tests", format!("{tests}\n"));
        let machine = Self { sandbox };
        machine.stub(
            "bin/cargo",
            r#"case "$*" in *"--test e2e"*) ;; "test "*) cat tests ;; "deny fetch"*) exit ${FETCH-0} ;; esac"#,
        );
        machine.stub("bin/id", "echo 1000");
        machine.stub("bin/sudo", r#"shift; AS_ROOT=1 "$@""#);
        machine.stub("bin/apt-get", "[ -n \"$AS_ROOT\" ]");
        for program in ["bin/rustup", "bin/gungraun-runner", "bin/cargo-deny", "benches/instructions"] {
            machine.stub(program, "true");
        }
        let thanos = machine.sandbox.path().join("thanos");
        fs::create_dir(&thanos).expect("the sandbox is writable");
        machine.stub("thanos/thanos", "true");
        machine.stub(
            "e2e/install",
            &format!(
                "[ \"$1\" != --kafka ] || [ -z \"$KAFKA\" ] || exit 1\n\
                 [ \"$1\" != --kafka ] || [ -n \"$LIBRDKAFKA\" ] || echo export E2E_LIBRDKAFKA=here\n\
                 [ -z \"$SERVERS\" ] || {{ echo no etcd here >&2; exit \"$SERVERS\"; }}\n\
                 [ -z \"$1\" ] || echo 'export PATH={}:$PATH'",
                thanos.display()
            ),
        );
        machine
    }

    fn stub(&self, path: &str, script: &str) {
        let name = path.rsplit('/').next().expect("a path has a name");
        let calls = self.sandbox.path().join("calls");
        let script = format!("#!/usr/bin/env bash\necho \"{name} $*\" >> {}\n{script}\n", calls.display());
        let path = self.sandbox.write(path, script);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    }

    /// Runs `.ci/run` with nothing else on `PATH`: its exit code, and all it wrote.
    fn ci(&self, arguments: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
        let script = self.sandbox.path().join(".ci/run");
        let output = Command::new(real("bash"))
            .arg(script)
            .args(arguments)
            .env_clear()
            .env("PATH", self.sandbox.path().join("bin"))
            .envs(env.iter().copied())
            .current_dir(self.sandbox.path())
            .output()
            .expect("the machine has bash");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), text.concat())
    }

    /// Runs the real `e2e/install` with a cache folder of its own, and returns all it wrote.
    fn install(&self, option: &str) -> String {
        let bin = self.sandbox.path().join("bin");
        let output = Command::new(real("bash"))
            .arg(root().join("e2e/install"))
            .args(Some(option).filter(|option| !option.is_empty()))
            .env_clear()
            .env("PATH", &bin)
            .env("HOME", self.sandbox.path())
            .env("KUBEBUILDER_ASSETS", &bin)
            .output()
            .expect("the machine has bash");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "{text:?}");
        text.concat()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.sandbox.path().join("calls")).expect("something was called")
    }
}

fn real(tool: &str) -> PathBuf {
    let found =
        ["/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(tool)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("the machine has no {tool}"))
}

fn workflow(name: &str) -> Value {
    let text = read(&format!(".github/workflows/{name}.yml"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("e2e lies in the repository")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
