//! Runs an exec plugin like `kubectl` does, and reads the credential that it prints.
//!
//! What a plugin prints is a secret, so no message repeats it.

use std::io::{self, IsTerminal as _, Read};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use http::HeaderValue;
use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use crate::prometheus::cause;
use crate::secrets::Secrets;

/// How often a running plugin is checked.
const POLL: Duration = Duration::from_millis(10);

/// Maximum bytes of a plugin's output. A credential has a few thousand.
const MAX_OUTPUT: u64 = 1024 * 1024;

/// Shortest word in a plugin's output that is treated as a credential, in characters.
const SHORTEST_OUTPUT: usize = 12;

/// The environment variable that tells a plugin what is requested.
const INFO: &str = "KUBERNETES_EXEC_INFO";

/// A plugin that provides credentials.
pub(super) struct Plugin {
    exec: ExecConfig,
    /// Its name in messages.
    name: String,
    /// Values of its environment, which its messages may repeat.
    secrets: Secrets,
}

/// The credential a plugin returns.
pub(super) struct Credential {
    /// The value of the header `Authorization`.
    pub bearer: Option<HeaderValue>,
    /// A client certificate and its key, both PEM.
    pub certificate: Option<(String, SecretString)>,
    /// When the plugin must run again; `None` is never.
    pub expires: Option<Timestamp>,
}

/// The output of a plugin.
#[derive(Deserialize)]
struct Printed {
    status: Option<PrintedStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrintedStatus {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Plugin {
    /// The plugin of a kubeconfig's user.
    ///
    /// # Errors
    /// If it needs a terminal and there is none.
    pub(super) fn new(mut exec: ExecConfig) -> Result<Self, String> {
        settle_terminal(&mut exec, io::stdin().is_terminal())?;
        let mut secrets = Secrets::default();
        let environment = exec.env.as_deref().unwrap_or_default();
        environment.iter().filter_map(|variable| variable.get("value")).for_each(|value| secrets.add(value));
        let command = exec.command.as_deref().unwrap_or_default();
        // A whole command line may contain a secret; the name of a program does not.
        let is_name = !command.is_empty() && !command.contains(char::is_whitespace);
        let name = if is_name { format!("the exec plugin {command}") } else { "the exec plugin".to_owned() };
        Ok(Self { exec, name, secrets })
    }

    /// Runs the plugin once, until `limit` has passed or `stop` is true.
    ///
    /// # Errors
    /// Why there is no credential, quoting the plugin's standard error without secrets.
    pub(super) fn run(&self, limit: Duration, stop: &AtomicBool) -> Result<Credential, String> {
        let name = &self.name;
        match output_within(self.command()?, limit, stop) {
            Some(Ok(output)) if output.stdout.len() as u64 > MAX_OUTPUT => {
                Err(format!("{name} printed more than {} KiB, which is no credential", MAX_OUTPUT / 1024))
            }
            Some(Ok(output)) if output.status.success() => self.read(&output.stdout),
            Some(Ok(output)) => {
                let said = self.without_secrets(&output);
                let said = if said.trim().is_empty() { "it said nothing".to_owned() } else { cause(&said) };
                Err(format!("{name} failed with {}; {said}", output.status))
            }
            Some(Err(error)) => {
                let hint = self.exec.install_hint.as_deref().filter(|hint| !hint.trim().is_empty());
                let hint = hint.map_or_else(|| "is it installed and on the PATH?".to_owned(), cause);
                Err(format!("{name} cannot be started: {error}; {hint}"))
            }
            None => Err(format!("{name} did not end within {:.1} s and was stopped", limit.as_secs_f64())),
        }
    }

    fn command(&self) -> Result<Command, String> {
        let exec = &self.exec;
        let program = exec.command.as_deref().filter(|command| !command.is_empty());
        let mut command = Command::new(program.ok_or("`exec` names no `command`")?);
        command.args(exec.args.iter().flatten());
        let variables = exec.env.iter().flatten();
        command.envs(variables.filter_map(|variable| Some((variable.get("name")?, variable.get("value")?))));
        let interactive = exec.interactive_mode != Some(ExecInteractiveMode::Never);
        command.stdout(Stdio::piped());
        if interactive {
            command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
        } else {
            command.stdin(Stdio::null()).stderr(Stdio::piped());
        }
        let mut spec = json!({ "interactive": interactive });
        if let Some(cluster) = &exec.cluster {
            spec["cluster"] = json!(cluster);
        }
        let mut question = json!({ "kind": "ExecCredential", "spec": spec });
        if let Some(version) = &exec.api_version {
            question["apiVersion"] = json!(version);
        }
        command.env(INFO, question.to_string());
        Ok(command)
    }

    fn read(&self, printed: &[u8]) -> Result<Credential, String> {
        let name = &self.name;
        // YAML is accepted too, as in kubectl.
        let printed: Option<Printed> = serde_saphyr::from_slice(printed).ok();
        let status = printed.and_then(|printed| printed.status).ok_or_else(|| {
            format!("{name} printed no ExecCredential with a status; what it printed is not repeated")
        })?;
        let expires = status.expiration_timestamp.as_deref().map(str::parse).transpose();
        let expires =
            expires.map_err(|_| format!("{name} printed an expirationTimestamp that is no time"))?;
        let token = status.token.as_deref().map(str::trim);
        let bearer = token.filter(|token| !token.is_empty()).map(bearer);
        let unsendable = || format!("{name} printed a token with characters that a header cannot carry");
        let bearer = bearer.map(|bearer| bearer.ok_or_else(unsendable)).transpose()?;
        let pair = status.client_certificate_data.zip(status.client_key_data);
        let certificate = pair.map(|(chain, key)| (chain, key.into()));
        if bearer.is_none() && certificate.is_none() {
            return Err(format!("{name} printed neither a token nor a certificate with its key"));
        }
        Ok(Credential { bearer, certificate, expires })
    }

    /// What a plugin wrote to standard error, masking its environment and the words of its printed answer.
    fn without_secrets(&self, output: &Output) -> String {
        let mut secrets = self.secrets.clone();
        let printed = String::from_utf8_lossy(&output.stdout);
        let words = printed.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '\\'));
        words.filter(|word| word.len() >= SHORTEST_OUTPUT).for_each(|word| secrets.add(word));
        secrets.masked(&String::from_utf8_lossy(&output.stderr))
    }
}

/// The header that carries a token; `None` if the token has characters that headers cannot contain.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Runs a command; kills it and returns `None` when the time is up or a stop was requested. Keeps at most
/// [`MAX_OUTPUT`] and one byte of its output.
fn output_within(mut command: Command, limit: Duration, stop: &AtomicBool) -> Option<io::Result<Output>> {
    let begun = Instant::now();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Some(Err(error)),
    };
    let stdout = child.stdout.take().map(read_in_background);
    let stderr = child.stderr.take().map(read_in_background);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < limit && !stop.load(Ordering::Relaxed) => thread::sleep(POLL),
            Ok(None) => {
                // It may have ended just now, but its output comes too late.
                child.kill().and_then(|()| child.wait()).ok();
                return None;
            }
            Err(error) => return Some(Err(error)),
        }
    };
    // A process that the plugin left running may keep its output open.
    let rest = |output: Option<Receiver<Vec<u8>>>| match output {
        Some(output) => output.recv_timeout(limit.saturating_sub(begun.elapsed())).ok(),
        None => Some(Vec::new()),
    };
    Some(Ok(Output { status, stdout: rest(stdout)?, stderr: rest(stderr)? }))
}

/// Reads to the end, or one byte beyond [`MAX_OUTPUT`].
fn read_in_background(output: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (done, outcome) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut printed = Vec::new();
        output.take(MAX_OUTPUT + 1).read_to_end(&mut printed).ok();
        // After the time limit, nobody is listening.
        done.send(printed).ok();
    });
    outcome
}

/// Tells a plugin whether it may prompt a person, like `kubectl` does.
fn settle_terminal(exec: &mut ExecConfig, is_terminal: bool) -> Result<(), String> {
    if is_terminal {
        return Ok(());
    }
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(
            "the exec plugin asks for a terminal (interactiveMode: Always), and standard input is none; \
                    sign in at a terminal, or use another user"
                .to_owned(),
        );
    }
    exec.interactive_mode = Some(ExecInteractiveMode::Never);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_told_whether_there_is_a_terminal() {
        use ExecInteractiveMode::{Always, IfAvailable, Never};
        for (mode, is_terminal, expected) in [
            (None, true, Some(None)),
            (None, false, Some(Some(Never))),
            (Some(IfAvailable), true, Some(Some(IfAvailable))),
            (Some(IfAvailable), false, Some(Some(Never))),
            (Some(Never), true, Some(Some(Never))),
            (Some(Always), true, Some(Some(Always))),
            (Some(Always), false, None),
        ] {
            let mut exec = ExecConfig { interactive_mode: mode.clone(), ..ExecConfig::default() };
            let settled = settle_terminal(&mut exec, is_terminal).ok().map(|()| exec.interactive_mode);
            assert_eq!(settled, expected, "{mode:?}, {is_terminal}");
        }
    }
}
