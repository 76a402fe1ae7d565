//! Reads kubeconfigs within limits, merges them, and builds the configuration of a context.
//!
//! A kubeconfig is full of secrets, and in a damaged one any value may be a secret. So no message contains a
//! value: it gives file and line instead.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::Config;
use kube::config::{AuthInfo, Cluster, Kubeconfig, KubeconfigError};
use rustls::pki_types::ServerName;
use serde_saphyr::Error as YamlError;

use crate::{pem, proxies};

/// Largest kubeconfig, and largest file named in one, in bytes: a thousand clusters with their
/// certificates.
const MAX_BYTES: u64 = 8 << 20;

/// Reads one file. Relative paths in it are relative to its directory.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(path: &Path) -> Result<Kubeconfig, String> {
    let text = text(path)?;
    let mut kubeconfig = Kubeconfig::from_yaml(&text).map_err(|error| problem(&error))?;
    if let Some(folder) = path.parent() {
        paths(&mut kubeconfig).for_each(|path| {
            if let Some(whole) = folder.join(&*path).to_str() {
                whole.clone_into(path);
            }
        });
    }
    Ok(kubeconfig)
}

/// Adds the parts of `next` that `merged` lacks.
///
/// # Errors
/// If their kinds differ.
pub(super) fn merge(merged: Kubeconfig, next: Kubeconfig) -> Result<Kubeconfig, String> {
    merged.merge(next).map_err(|error| problem(&error))
}

/// The paths in a kubeconfig that point to files.
fn paths(kubeconfig: &mut Kubeconfig) -> impl Iterator<Item = &mut String> {
    let clusters = kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut());
    let users = kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut());
    let of_clusters = clusters.filter_map(|cluster| cluster.certificate_authority.as_mut());
    of_clusters.chain(users.flat_map(|user| {
        let command = user.exec.as_mut().and_then(|exec| exec.command.as_mut());
        // A command without a separator is searched for on the PATH.
        let command = command.filter(|command| command.contains(std::path::MAIN_SEPARATOR));
        [user.client_certificate.as_mut(), user.client_key.as_mut(), user.token_file.as_mut(), command]
            .into_iter()
            .flatten()
    }))
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes: Vec<u8> = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {} MiB", MAX_BYTES >> 20));
    }
    Ok(bytes)
}

fn text(path: &Path) -> Result<String, String> {
    let bytes = bytes(path)?;
    // Windows writes UTF-16 with a byte order mark, and UTF-8 with one too.
    let wide = |decode: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| decode([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    let text = match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xFE, 0xFF, rest @ ..] => wide(u16::from_be_bytes, rest),
        [0xEF, 0xBB, 0xBF, rest @ ..] => str::from_utf8(rest).ok().map(str::to_owned),
        _ => String::from_utf8(bytes).ok(),
    };
    text.ok_or_else(|| "is no text".to_owned())
}

/// What is wrong with a kubeconfig.
fn problem(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => {
            let what = match error.without_snippet() {
                YamlError::DuplicateMappingKey { .. } => "a key stands there twice",
                YamlError::Eof { .. } => "it ends too early",
                YamlError::InvalidScalar { .. }
                | YamlError::SerdeInvalidType { .. }
                | YamlError::SerdeInvalidValue { .. }
                | YamlError::SerdeUnknownVariant { .. }
                | YamlError::InvalidBooleanStrict { .. }
                | YamlError::NullIntoString { .. }
                | YamlError::Unexpected { .. } => "a value there is of the wrong type",
                YamlError::SerdeMissingField { field, .. } => {
                    return format!(
                        "is not valid YAML of a kubeconfig: {}`{field}` is missing",
                        place(error)
                    );
                }
                _ => "look for a tab, an indentation or a quotation mark that does not fit",
            };
            format!("is not valid YAML of a kubeconfig: {}{what}", place(error))
        }
        KubeconfigError::KindMismatch => "is of another `kind` than the files before it".to_owned(),
        KubeconfigError::ApiVersionMismatch => {
            "is of another `apiVersion` than the files before it".to_owned()
        }
        _ => "cannot be used".to_owned(),
    }
}

/// Such as `line 12: `.
fn place(error: &YamlError) -> String {
    let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
    line.map(|line| format!("line {line}: ")).unwrap_or_default()
}

/// The configuration of the context of this name.
///
/// # Errors
/// What is wrong with the context, its cluster, or its user.
pub(super) fn configuration(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Config, String> {
    let Some(name) = context else {
        return Err("sets no current-context; name one with --context".to_owned());
    };
    let contexts = kubeconfig.contexts.into_iter();
    let Some(context) = contexts.filter(|named| named.name == name).find_map(|named| named.context) else {
        return Err(
            "there is no such context; name one of `kubectl config get-contexts` by KUBE_CONTEXT".to_owned()
        );
    };
    let mut clusters = kubeconfig.clusters.into_iter().filter(|named| named.name == context.cluster);
    let Some(cluster) = clusters.find_map(|named| named.cluster) else {
        return Err("the `cluster` of this context is not among the `clusters`".to_owned());
    };
    // A context whose user is absent or does not exist has no credentials.
    let mut users =
        kubeconfig.auth_infos.into_iter().filter(|named| Some(&named.name) == context.user.as_ref());
    let user = users.find_map(|named| named.auth_info).unwrap_or_default();
    let mut config = of_cluster(&cluster)?;
    if let Some(namespace) = context.namespace {
        config.default_namespace = namespace;
    }
    config.auth_info = user;
    if let Some(exec) = config.auth_info.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        let told = (&cluster).try_into().map_err(|_| "`certificate-authority` cannot be used".to_owned())?;
        exec.cluster = Some(told);
    }
    Ok(config)
}

fn of_cluster(cluster: &Cluster) -> Result<Config, String> {
    let server = cluster.server.as_deref().unwrap_or_default();
    let url: Option<Uri> = server.parse().ok().filter(|url: &Uri| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
    });
    let url = url.ok_or("`server` of its cluster is no address such as https://10.0.0.1:6443")?;
    let mut config = Config::new(url);
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.root_cert = authorities(cluster)?;
    config.tls_server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    if config.tls_server_name.as_deref().is_some_and(|name| ServerName::try_from(name).is_err()) {
        return Err("`tls-server-name` is no host name".to_owned());
    }
    let given = cluster.proxy_url.clone().filter(|url| !url.is_empty()).map(|url| ("`proxy-url`", url));
    let found = || proxies::of(&config.cluster_url).map(|proxy| (proxy.variable, proxy.address));
    if let Some((key, address)) = given.or_else(found) {
        let url = address.parse().ok();
        let usable = url.filter(|url: &Uri| matches!(url.scheme_str(), Some("http" | "https")));
        let problem = || format!("{key} is no address such as http://proxy:3128");
        config.proxy_url = Some(usable.ok_or_else(problem)?);
    }
    Ok(config)
}

/// The certificates of `certificate-authority-data`, else of `certificate-authority`.
fn authorities(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, String> {
    const KEY: &str = "certificate-authority";
    let (data, file) =
        (cluster.certificate_authority_data.as_deref(), cluster.certificate_authority.as_deref());
    let Some(pem) = data_or_file(KEY, data, file)? else { return Ok(None) };
    let (found, _) = pem::authorities(&pem)
        .map_err(|_| format!("`{KEY}` or `{KEY}-data` holds no PEM certificate that can be used"))?;
    Ok(Some(found.iter().map(|one| one.to_vec()).collect()))
}

/// Checks the certificate and key that a user signs in with.
///
/// # Errors
/// The key that cannot be read.
pub(super) fn check_identity(user: &AuthInfo) -> Result<(), String> {
    use secrecy::ExposeSecret;
    let certificate = user.client_certificate_data.as_deref();
    let certificate = data_or_file("client-certificate", certificate, user.client_certificate.as_deref())?;
    let key = user.client_key_data.as_ref().map(ExposeSecret::expose_secret);
    let key = data_or_file("client-key", key, user.client_key.as_deref())?;
    if certificate.is_some() != key.is_some() {
        return Err("`client-certificate` and `client-key` go together; only one of them is there".to_owned());
    }
    Ok(())
}

/// The bytes in `KEY-data`, else those of the file named by `KEY`.
fn data_or_file(key: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    if let Some(data) = data {
        return STANDARD.decode(data).map(Some).map_err(|_| format!("`{key}-data` is not base64"));
    }
    let Some(file) = file else { return Ok(None) };
    bytes(Path::new(file)).map(Some).map_err(|problem| format!("the file that `{key}` names {problem}"))
}
