//! A release, made by the scripts of its workflow: all but what the registries and GitHub itself do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::{Program, path_of, pod_rebalancer, require};
use serde_json::Value;
use tempfile::TempDir;

use crate::packages::{read, repository, text};

const VERSION: &str = "0.1.0";
const PLATFORMS: [&str; 4] = ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"];
const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// What GitHub knows of a job, as it is written in the workflow.
const KNOWN: [(&str, &str); 7] = [
    ("github.ref_name", "v0.1.0"),
    ("github.server_url", "https://github.com"),
    ("github.repository", "Example/Rebalancer"),
    ("github.token", "a-token"),
    ("needs.version.outputs.version", VERSION),
    ("needs.version.outputs.image", "ghcr.io/example/rebalancer"),
    ("needs.version.outputs.charts", "oci://ghcr.io/example/charts"),
];

/// A checkout of the tag, and what the scripts call in place of the registries and of GitHub.
struct Runner {
    folder: TempDir,
    workflow: Value,
}

impl Runner {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder for temporary files");
        let workflow = read(".github/workflows/release.yml");
        let workflow = serde_saphyr::from_str(&workflow).expect("the workflow is YAML");
        let runner = Self { folder, workflow };
        fs::create_dir(runner.checkout()).expect("a folder of ours");
        let mut copy = Command::new("cp");
        copy.current_dir(repository()).args(["-r", "Cargo.toml", "README.md", "deploy", "LICENSE-APACHE"]);
        assert!(copy.args(["LICENSE-MIT"]).arg(runner.checkout()).status().is_ok_and(|it| it.success()));
        runner.write("CHANGELOG.md", &changelog(&format!("{VERSION} (2026-11-30)")));
        runner.tool("docker", &format!("case \"$*\" in *inspect*) echo '\"{DIGEST}\"' ;; esac"));
        runner.tool("gh", "");
        let helm = path_of(Program::Helm, "helm");
        runner.tool("helm", &format!("[ \"$1\" = push ] || exec {} \"$@\"", helm.display()));
        runner
    }

    fn checkout(&self) -> PathBuf {
        self.folder.path().join("checkout")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.checkout().join(name), text).expect("a file of ours");
    }

    /// Puts a program before the real one on `PATH`, which notes how it is called and goes on with this script.
    fn tool(&self, name: &str, script: &str) {
        let tools = self.folder.path().join("tools");
        fs::create_dir_all(&tools).expect("a folder of ours");
        let calls = self.folder.path().join("calls");
        let script = format!("#!/bin/bash\necho \"{name} $*\" >> {}\n{script}\n", calls.display());
        fs::write(tools.join(name), script).expect("a file of ours");
        fs::set_permissions(tools.join(name), fs::Permissions::from_mode(0o755)).expect("a file of ours");
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }

    /// What the steps of a job wrote for others.
    fn outputs(&self) -> String {
        fs::read_to_string(self.folder.path().join("outputs")).unwrap_or_default()
    }

    /// Runs the script of a step as GitHub does; `further` are variables and expressions that the matrix or an earlier step
    /// sets.
    fn step(&self, job: &str, is_it: impl Fn(&Value) -> bool, further: &[(&str, &str)]) -> Output {
        let job = &self.workflow["jobs"][job];
        let mut steps = job["steps"].as_array().expect("a job has steps").iter();
        let step = steps.find(|step| is_it(step)).expect("the job has this step");
        let mut script = Command::new("bash");
        script.args(["-e", "-o", "pipefail", "-c", step["run"].as_str().expect("the step is a script")]);
        script.current_dir(self.checkout()).env_clear();
        let path = std::env::var("PATH").unwrap_or_default();
        script.env("PATH", format!("{}:{path}", self.folder.path().join("tools").display()));
        script.env("HOME", self.folder.path()).env("GITHUB_OUTPUT", self.folder.path().join("outputs"));
        script.env("GITHUB_REPOSITORY", "Example/Rebalancer").env("GITHUB_REPOSITORY_OWNER", "Example");
        for (name, value) in [&job["env"], &step["env"]].iter().filter_map(|env| env.as_object()).flatten() {
            script.env(name, filled(value.as_str().unwrap_or_default(), further));
        }
        script.output().expect("bash runs")
    }

    fn named(&self, job: &str, name: &str, further: &[(&str, &str)]) {
        let done = self.step(job, |step| step["name"] == name, further);
        assert!(done.status.success(), "{name}: {}", text(&done));
    }

    fn version(&self, tag: &str) -> bool {
        let done = self.step("version", |step| step["id"] == "version", &[("github.ref_name", tag)]);
        done.status.success()
    }
}

/// The text with the value of each expression in it.
fn filled(text: &str, further: &[(&str, &str)]) -> String {
    let known = further.iter().chain(&KNOWN);
    let text =
        known.fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{{ {name} }}}}"), value));
    assert!(!text.contains("${{"), "unknown: {text}");
    text
}

/// A changelog whose second section has this head.
fn changelog(head: &str) -> String {
    format!(
        "# Changelog\n\n## Unreleased\n\n- Later.\n\n## {head}\n\n- This one.\n\n## 0.0.9 (2026-01-01)\n\n- Earlier.\n"
    )
}

#[test]
fn only_a_tag_of_the_version_with_a_section_in_the_changelog_is_released() {
    require!(Helm);
    let runner = Runner::new();
    assert!(runner.version("v0.1.0"));
    let outputs = runner.outputs();
    assert!(outputs.contains("image=ghcr.io/example/rebalancer\n"), "{outputs}");
    assert!(outputs.contains("charts=oci://ghcr.io/example/charts\n"), "{outputs}");
    assert!(!runner.version("v0.2.0"), "the workspace has another version");
    runner.write("CHANGELOG.md", &changelog("0.0.10 (2026-02-02)"));
    assert!(!runner.version("v0.1.0"), "the changelog has no such section");
}

#[test]
fn a_release_has_what_the_readme_says() {
    require!(Helm);
    let runner = Runner::new();
    let dist = runner.checkout().join("dist");
    fs::create_dir(&dist).expect("a folder of ours");
    for platform in PLATFORMS {
        pack(&runner, platform, &dist);
    }
    let digest = [("steps.image.outputs.digest", DIGEST)];
    runner.named("publish", "One image of both architectures", &[]);
    assert!(runner.outputs().contains(&format!("digest={DIGEST}\n")), "{}", runner.outputs());
    runner.named("publish", "The chart, with the image it runs", &digest);
    runner.named("publish", "The krew manifest, the Homebrew formula and the checksums", &[]);
    runner.named("publish", "The release", &[]);

    let calls = runner.calls();
    let pushed = "helm push dist/pod-rebalancer-0.1.0.tgz oci://ghcr.io/example/charts\n";
    assert!(calls.contains(pushed), "{calls}");
    let joined = "docker buildx imagetools create --tag ghcr.io/example/rebalancer:0.1.0 \
                  ghcr.io/example/rebalancer:0.1.0-amd64 ghcr.io/example/rebalancer:0.1.0-arm64\n";
    assert!(calls.contains(joined), "{calls}");
    let released =
        calls.lines().find(|call| call.starts_with("gh release create v0.1.0 ")).expect("a release");
    for part in ["pod-rebalancer-0.1.0.tgz", "rebalance-pods.yaml", "pod-rebalancer.rb", "SHA256SUMS"] {
        assert!(released.contains(&format!("dist/{part}")), "{part}: {released}");
    }
    assert!(PLATFORMS.iter().all(|platform| released.contains(platform)), "{released}");
    let notes = fs::read_to_string(runner.checkout().join("notes.md")).expect("the release has notes");
    assert_eq!(notes.trim(), "- This one.");

    let mut sums = Command::new("sha256sum");
    let sums = sums.args(["--check", "--strict", "SHA256SUMS"]).current_dir(&dist).output().expect("it runs");
    assert!(sums.status.success(), "{}", text(&sums));
    assert_eq!(text(&sums).matches(": OK").count(), PLATFORMS.len() + 3, "{}", text(&sums));
    chart_runs_the_image(&dist);
}

/// Packs the archive of a platform, looks into it, and puts it where the release takes it from.
fn pack(runner: &Runner, platform: &str, dist: &Path) {
    let program = pod_rebalancer([""; 0]).get_program().to_owned();
    let built = runner.checkout().join("target").join(platform).join("release");
    fs::create_dir_all(&built).expect("a folder of ours");
    std::os::unix::fs::symlink(program, built.join("pod-rebalancer")).expect("a link of ours");
    let matrix = [("matrix.platform", platform), ("matrix.target", platform), ("github.sha", "d5e13c5")];
    runner.named("archive", "Pack", &matrix);
    let name = format!("pod-rebalancer-v{VERSION}-{platform}");
    let mut list = Command::new("tar");
    list.arg("-tzf").arg(format!("{name}.tar.gz")).current_dir(runner.checkout());
    let list = text(&list.output().expect("tar runs"));
    let parts =
        ["pod-rebalancer", "README.md", "LICENSE-MIT", "completions/pod-rebalancer.fish", "man/man1/"];
    for part in parts {
        assert!(list.lines().any(|line| line == format!("{name}/{part}")), "{part}: {list}");
    }
    assert!(list.contains("man/man1/pod-rebalancer-plan.1\n"), "{list}");
    let archive = format!("{name}.tar.gz");
    fs::rename(runner.checkout().join(&archive), dist.join(archive)).expect("a file of ours");
}

/// The chart of the release needs no value but the target and the metrics server, and runs the image by its digest.
fn chart_runs_the_image(dist: &Path) {
    let mut helm = Command::new(path_of(Program::Helm, "helm"));
    helm.args(["template", "r", "pod-rebalancer-0.1.0.tgz", "--kube-version=1.37"]).current_dir(dist);
    helm.args(["--set", "targets[0].name=orders,targets[0].workload=deployment/orders,prometheus.endpoint=http://prometheus:9090"]);
    let manifests = text(&helm.output().expect("helm runs"));
    let image = format!("image: \"ghcr.io/example/rebalancer@{DIGEST}\"");
    assert!(manifests.contains(&image) || manifests.contains(&image.replace('"', "")), "{manifests}");
    let mut readme = Command::new("tar");
    readme.args(["-xzOf", "pod-rebalancer-0.1.0.tgz", "pod-rebalancer/README.md"]).current_dir(dist);
    let readme = text(&readme.output().expect("tar runs"));
    assert!(readme.contains("oci://ghcr.io/example/charts") && !readme.contains("](../../"), "{readme}");
}
