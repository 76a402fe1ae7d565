//! Proves to the API server who asks: by a token, a password, a file, a certificate or an exec plugin.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request};
use kube::Client;
use kube::client::{AuthError, Body, ClientBuilder, ConfigExt as _};
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Runtime;
use tower::buffer::BufferLayer;
use tower::util::MapRequestLayer;

use super::config::{ConnectError, Located};
use super::kubeconfig;
use crate::prometheus::{Auth, SecretSource, cause};
use crate::secrets::Secrets;

/// Requests that may wait for the client: one is sent at a time.
const WAITING: usize = 8;

/// Fewest characters of a word in a plugin's output that is taken for a credential.
const SHORTEST_OUTPUT: usize = 12;

/// What has been sent to prove who asks. No answer is quoted with it.
#[derive(Clone, Default)]
pub(super) struct Sent(Arc<Mutex<(Option<HeaderValue>, Secrets)>>);

impl Sent {
    fn note(&self, headers: &HeaderMap) {
        let Some(value) = headers.get(AUTHORIZATION) else { return };
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, secrets) = &mut *sent;
        if last.as_ref() != Some(value) {
            secrets.add_credential(value);
            *last = Some(value.clone());
        }
    }

    /// Makes unreadable what has been sent so far.
    pub(super) fn mask(&self, answer: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.mask(answer);
    }
}

/// Builds the client. An exec plugin runs here and may hang, so it gets a thread and a time limit.
pub(super) fn client(
    located: Located,
    runtime: &Runtime,
    time_limit: Duration,
) -> Result<(Client, Sent), ConnectError> {
    let Located { mut config, origin, .. } = located;
    let wrong = |problem: String| ConnectError::Credentials { origin: origin.clone(), problem };
    kubeconfig::check_identity(&config.auth_info).map_err(wrong)?;
    let plugin = Plugin::of(config.auth_info.exec.as_ref());
    if let Some(exec) = &mut config.auth_info.exec {
        settle_terminal(exec, io::stdin().is_terminal()).map_err(wrong)?;
    }
    let file = token_file(&mut config.auth_info).map_err(wrong)?;
    let sent = Sent::default();
    let (handle, noted) = (runtime.handle().clone(), sent.clone());
    let (done, outcome) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let _entered = handle.enter();
        // Nobody listens any more when the time is over.
        let _unheard = done.send(build(config, file, noted));
    });
    let problem = match outcome.recv_timeout(time_limit) {
        Ok(Ok(client)) => return Ok((client, sent)),
        Ok(Err(error)) => plugin.unusable(&error),
        Err(RecvTimeoutError::Timeout) => {
            format!("{} did not end within {:.1} s", plugin.name, time_limit.as_secs_f64())
        }
        Err(RecvTimeoutError::Disconnected) => {
            format!("{} gave a token that no header can carry", plugin.name)
        }
    };
    Err(wrong(problem))
}

/// The client of the configuration, with what signs each request in on the outside, and what notes
/// the credential just below it.
fn build(mut config: kube::Config, file: Option<TokenFile>, sent: Sent) -> kube::Result<Client> {
    let signs = config.auth_layer()?;
    if signs.is_some() {
        // The plugin has run; a client certificate alone is for the transport to get.
        let user = &mut config.auth_info;
        (user.token, user.username, user.password) = (None, None, None);
        (user.exec, user.auth_provider) = (None, None);
    }
    let noting = MapRequestLayer::new(move |request: Request<Body>| {
        sent.note(request.headers());
        request
    });
    let client = ClientBuilder::try_from(config)?.with_layer(&noting).with_layer(&BufferLayer::new(WAITING));
    Ok(match (signs, file) {
        (Some(signs), _) => client.with_layer(&signs).build(),
        (None, Some(file)) => {
            let file = Arc::new(file);
            let signing = MapRequestLayer::new(move |mut request: Request<Body>| {
                request.headers_mut().insert(AUTHORIZATION, file.header());
                request
            });
            client.with_layer(&signing).build()
        }
        (None, None) => client.build(),
    })
}

/// A token that is renewed in place. What is around it, such as the newline at its end, is no part
/// of it.
struct TokenFile {
    source: Auth,
    /// The last one that could be read: a file may be taken away once it has been.
    last: Mutex<HeaderValue>,
}

impl TokenFile {
    fn open(path: PathBuf) -> Result<Self, String> {
        let source = Auth::Bearer(SecretSource::File(path));
        match source.authorization() {
            Ok(Some(header)) => Ok(Self { source, last: Mutex::new(header) }),
            Ok(None) => Err("the token file is empty".to_owned()),
            Err(error) => Err(format!("the token file cannot be used: {}", error.reason())),
        }
    }

    fn header(&self) -> HeaderValue {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Some(header)) = self.source.authorization() {
            *last = header;
        }
        last.clone()
    }
}

/// Takes the file of a token out of the user, where it is what signs in.
fn token_file(user: &mut AuthInfo) -> Result<Option<TokenFile>, String> {
    if let Some(token) = &user.token {
        let token = token.expose_secret().trim();
        // The library panics on one that no header can carry.
        if HeaderValue::try_from(token).is_err() {
            return Err("`token` has characters that a header cannot carry".to_owned());
        }
        user.token = Some(SecretString::from(token));
    }
    let Some(file) = user.token_file.take().filter(|file| !file.is_empty()) else { return Ok(None) };
    let has_password = user.username.is_some() && user.password.is_some();
    if user.auth_provider.is_some() || user.token.is_some() || has_password {
        return Ok(None);
    }
    TokenFile::open(file.into()).map(Some)
}

/// Tells a plugin whether it may ask a person, as `kubectl` does.
fn settle_terminal(exec: &mut ExecConfig, is_terminal: bool) -> Result<(), String> {
    match exec.interactive_mode {
        Some(ExecInteractiveMode::Always) if !is_terminal => {
            Err("the exec plugin asks for a terminal (interactiveMode: Always), and standard input is none; \
                 sign in at a terminal, or use another user"
                .to_owned())
        }
        _ if is_terminal => Ok(()),
        _ => {
            exec.interactive_mode = Some(ExecInteractiveMode::Never);
            Ok(())
        }
    }
}

/// What can be said of an exec plugin.
pub(super) struct Plugin {
    name: String,
    hint: Option<String>,
    /// Values of its environment, which it may repeat.
    secrets: Secrets,
}

impl Plugin {
    /// A plugin of which nothing is known any more.
    pub(super) fn unknown() -> Self {
        Self::of(None)
    }

    fn of(exec: Option<&ExecConfig>) -> Self {
        let mut secrets = Secrets::default();
        let environment = exec.and_then(|exec| exec.env.as_deref()).unwrap_or_default();
        environment.iter().filter_map(|variable| variable.get("value")).for_each(|value| secrets.add(value));
        let command = exec.and_then(|exec| exec.command.as_deref()).unwrap_or_default();
        // A whole command line may hold a secret; the name of a program does not.
        let is_name = !command.is_empty() && !command.contains(char::is_whitespace);
        Self {
            name: if is_name { format!("the exec plugin {command}") } else { "the exec plugin".to_owned() },
            hint: exec.and_then(|exec| exec.install_hint.clone()).filter(|hint| !hint.trim().is_empty()),
            secrets,
        }
    }

    /// Why there is no client. No value of a kubeconfig and no output of a plugin is repeated, but for
    /// what a plugin says on its standard error.
    fn unusable(&self, error: &kube::Error) -> String {
        match error {
            kube::Error::Auth(error) => self.problem(error),
            kube::Error::RustlsTls(_) => {
                "`client-certificate` or `client-key` holds no PEM of its kind, or they do not belong together"
                    .to_owned()
            }
            kube::Error::HttpError(_) => {
                "a name to act as has characters that a header cannot carry".to_owned()
            }
            _ => "no client can be made of them".to_owned(),
        }
    }

    /// Why there is no credential.
    pub(super) fn problem(&self, error: &AuthError) -> String {
        let plugin = &self.name;
        match error {
            AuthError::AuthExecRun { out, .. } => {
                let said = self.without_secrets(&out.stdout, &out.stderr);
                let said = if said.trim().is_empty() { "it said nothing".to_owned() } else { cause(&said) };
                format!("{plugin} failed with {}; {said}", out.status)
            }
            AuthError::AuthExecStart(source) => {
                let hint = self.hint.as_deref().map_or("is it installed and on the PATH?".to_owned(), cause);
                format!("{plugin} cannot be started: {source}; {hint}")
            }
            AuthError::MissingCommand => "`exec` names no `command`".to_owned(),
            AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed | AuthError::ParseTokenKey(_) => {
                format!("{plugin} printed no ExecCredential with a status; what it printed is not repeated")
            }
            AuthError::MalformedTokenExpirationDate(_) => {
                format!("{plugin} printed an expirationTimestamp that is no time")
            }
            AuthError::InvalidBearerToken(_) | AuthError::InvalidBasicAuth(_) => {
                "the token or password has characters that a header cannot carry".to_owned()
            }
            AuthError::AuthExec(_) => {
                "`auth-provider` is not supported, or failed; sign in by an exec plugin or a token".to_owned()
            }
            _ => "they cannot be used".to_owned(),
        }
    }

    /// What a plugin says on its standard error, without its environment and without the words that it
    /// printed as its answer.
    fn without_secrets(&self, printed: &[u8], said: &[u8]) -> String {
        let mut secrets = self.secrets.clone();
        let printed = String::from_utf8_lossy(printed);
        let words = printed.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '\\'));
        words.filter(|word| word.len() >= SHORTEST_OUTPUT).for_each(|word| secrets.add(word));
        secrets.masked(&String::from_utf8_lossy(said))
    }
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
