//! Arbitrary damage to a kubeconfig: an error says something, and nothing that is secret.

use std::fs;

use rebalancer_io::kubernetes::{Cluster, ConnectOptions};

/// Stands for whatever nobody else may read.
const SECRET: &str = "hunter2-Zq9xW7-token";

/// Shortest part of it that tells something.
const PART: usize = 7;

/// A whole kubeconfig, which the data damages.
const WHOLE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: sim\nclusters:\n- name: sim\n  cluster:\n    \
server: http://127.0.0.1:9\n    certificate-authority-data: SECRET\ncontexts:\n- name: sim\n  context:\n    \
cluster: sim\n    user: sim\nusers:\n- name: sim\n  user:\n    token: SECRET\n    password: SECRET\n    \
username: ada\n    client-key-data: SECRET\n    client-certificate-data: SECRET\n";

/// Puts pieces of `data` into a kubeconfig and reads it: two bytes say where, one how much of what is
/// there goes, one how long the piece is.
///
/// # Panics
/// When an error holds a part of the secret, or nothing.
pub fn kubeconfig(data: &[u8]) {
    let mut text = WHOLE.replace("SECRET", SECRET).into_bytes();
    let mut rest = data;
    while let [high, low, gone, length, more @ ..] = rest {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (text.len() + 1);
        let end = text.len().min(at + usize::from(*gone % 16));
        let length = usize::from(*length % 16).min(more.len());
        text.splice(at..end, more[..length].iter().copied());
        rest = &more[length..];
    }
    // A plugin is a program, and what is being fuzzed must run none.
    if ["exec", "cmd", "gcp"].iter().any(|word| text.windows(word.len()).any(|part| part == word.as_bytes()))
    {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config");
    fs::write(&file, &text).expect("a temporary file");
    let options = ConnectOptions { kubeconfig: Some(file), ..ConnectOptions::default() };
    let Err(error) = Cluster::connect(&options) else { return };
    let words = error.to_string();
    assert!(!words.is_empty(), "an error says what is wrong");
    for part in SECRET.as_bytes().windows(PART) {
        let part = str::from_utf8(part).expect("the secret is ASCII");
        assert!(!words.contains(part), "{words}");
    }
}
