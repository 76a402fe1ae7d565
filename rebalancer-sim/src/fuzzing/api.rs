//! Arbitrary answers of an API server: a list or a failure in words, and never the token.

use std::sync::OnceLock;

use rebalancer_io::kubernetes::{Cluster, ConnectOptions, Selector, live_pods};

use crate::apiserver::{ApiServer, Effect, Fault, Fleet};
use crate::transcript::Transcript;

/// The token of the simulated server.
const TOKEN: &str = "sim-token";

/// Codes that answers have: the first byte picks one.
const CODES: [u16; 16] = [200, 200, 200, 200, 201, 202, 204, 400, 401, 403, 404, 409, 410, 429, 500, 504];

/// Answers the list of pods with `data`, in which every null byte stands for the token.
///
/// # Panics
/// When the failure says nothing, or says the token; and when a saved list does.
pub fn api(data: &[u8]) {
    static SERVER: OnceLock<ApiServer> = OnceLock::new();
    let Some((code, text)) = data.split_first() else { return };
    let body = text.split(|byte| *byte == 0).collect::<Vec<&[u8]>>().join(TOKEN.as_bytes());
    if let Err(error) = live_pods(body.as_slice(), jiff::Timestamp::UNIX_EPOCH) {
        assert!(!error.to_string().is_empty(), "an error says what is wrong");
    }
    let server = SERVER.get_or_init(|| ApiServer::start(Fleet::deployment("orders", 3)));
    let code = CODES[usize::from(*code) % CODES.len()];
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let answer = Transcript { code, headers, body };
    server.inject(Fault::on("GET", "/pods", Effect::Answer(answer)).times(1));
    let options = ConnectOptions { kubeconfig: Some(server.kubeconfig_path()), ..ConnectOptions::default() };
    let cluster = Cluster::connect(&options).expect("a usable kubeconfig");
    let listed = cluster.observer(Selector::new("app=orders").expect("a selector")).workload();
    if let Err(error) = listed {
        let words = error.to_string();
        assert!(!words.is_empty() && !words.contains(TOKEN), "{words}");
    }
}
