//! Finds the environment's proxy for a request, in the same way for all clients.
//!
//! The rules are those of `curl` and `kubectl`: the variable of the server's scheme, else `ALL_PROXY`.
//! `NO_PROXY` lists names (including their subdomains), addresses and networks, each with or without a port.
//! This machine itself is never reached through a proxy.

use std::env;
use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// A proxy, and the variable that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// Such as `HTTPS_PROXY`.
    pub variable: &'static str,
    /// Its address, with a scheme. It may contain a credential, so no message shows it.
    pub address: String,
}

/// The proxy for `server`; `None` if it is reached directly.
pub(crate) fn of(server: &Uri) -> Option<Proxy> {
    proxy(server, |name| env::var(name).ok())
}

fn proxy(server: &Uri, variable: impl Fn(&str) -> Option<String>) -> Option<Proxy> {
    let given = |name: &'static str| variable(name).filter(|text| !text.trim().is_empty());
    let (names, port): (&[&'static str], u16) = match server.scheme_str() {
        Some("https") => (&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"], 443),
        Some("http") => (&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"], 80),
        _ => return None,
    };
    let (variable, address) = names.iter().find_map(|name| Some((*name, given(name)?)))?;
    let host = server.host()?.trim_end_matches('.');
    let listed = given("NO_PROXY").or_else(|| given("no_proxy")).unwrap_or_default();
    if is_this_machine(host) || is_listed(host, server.port_u16().unwrap_or(port), &listed) {
        return None;
    }
    let address = address.trim();
    let scheme = if address.contains("://") { "" } else { "http://" };
    Some(Proxy { variable, address: format!("{scheme}{address}") })
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether `listed`, the value of `NO_PROXY`, includes this host and port.
fn is_listed(host: &str, port: u16, listed: &str) -> bool {
    let entries = listed.split([',', ' ', '\t', '\n']).filter_map(|entry| without_port(entry, port));
    let entries: Vec<String> = entries.collect();
    let matcher = Matcher::builder().all("http://proxy").no(entries.join(",")).build();
    let Ok(asked) = format!("http://{host}/").parse() else { return false };
    matcher.intercept(&asked).is_none()
}

/// The entry without its port, which the matcher does not understand; `None` if the port differs.
fn without_port(entry: &str, port: u16) -> Option<String> {
    let is_address = |text: &str| text.parse().is_ok_and(|_: IpAddr| true);
    let (name, wanted) = match entry.rsplit_once(':') {
        Some((name, digits)) if !is_address(entry) => match digits.parse() {
            Ok(wanted) => (name, Some(wanted)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    };
    if wanted.is_some_and(|wanted: u16| wanted != port) {
        return None;
    }
    let name = name.replace(['[', ']'], "");
    Some(name.strip_prefix('*').filter(|rest| rest.starts_with('.')).map_or(name.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_direct(server: &str, listed: &str) -> bool {
        let variable = |name: &str| match name {
            "HTTPS_PROXY" | "HTTP_PROXY" => Some("proxy:3128".to_owned()),
            "NO_PROXY" => Some(listed.to_owned()),
            _ => None,
        };
        proxy(&server.parse().expect("an address"), variable).is_none()
    }

    #[test]
    fn no_proxy_holds_names_addresses_networks_and_ports() {
        for (server, listed) in [
            ("https://10.237.72.166:6443", "10.0.0.0/8"),
            ("https://10.237.72.166:6443", "localhost,127.0.0.1, 10.237.72.0/24"),
            ("https://10.237.72.166:6443", "10.237.72.166"),
            ("https://10.237.72.166:6443", "10.237.72.166:6443"),
            ("https://10.237.72.166", "10.0.0.0/8:443"),
            ("http://prometheus.shop", "prometheus.shop:80"),
            ("https://[fd00:10::a]:6443", "fd00::/8"),
            ("https://[fd00:10::a]:6443", "fd00:10::a"),
            ("https://[fd00:10::a]:6443", "[fd00:10::a]:6443"),
            ("https://[fd00:10::a]:6443", "[fd00:10::a]"),
            ("https://api.example.com", ".example.com"),
            ("https://api.example.com", "example.com"),
            ("https://api.example.com", "*.example.com"),
            ("https://API.example.com.", "api.Example.com"),
            ("https://example.com", "other,example.com"),
            ("https://anything", "*"),
        ] {
            assert!(is_direct(server, listed), "{server} by {listed}");
        }
        for (server, listed) in [
            ("https://11.237.72.166:6443", "10.0.0.0/8"),
            ("https://10.237.72.166:6443", "10.237.72.166:443"),
            ("https://10.237.72.166:6443", "10.0.0.0/8:443"),
            ("https://[fd00:10::a]:6443", "[fd00:10::a]:443"),
            ("https://[fe80::a]", "fd00::/8"),
            ("https://notexample.com", "example.com"),
            ("https://10.example.com", "10.0.0.0/8"),
            ("https://example.com", ""),
            ("https://example.com", ",,"),
        ] {
            assert!(!is_direct(server, listed), "{server} by {listed}");
        }
    }

    #[test]
    fn this_machine_is_asked_directly() {
        for server in ["http://localhost:9090", "http://127.0.0.1:9090", "http://[::1]:9090"] {
            assert!(is_direct(server, ""), "{server}");
        }
    }

    #[test]
    fn the_variable_is_that_of_the_scheme() {
        let variables = |name: &str| match name {
            "https_proxy" => Some("http://secure:1".to_owned()),
            "HTTPS_PROXY" | "NO_PROXY" => Some(" ".to_owned()),
            "ALL_PROXY" => Some("all:2".to_owned()),
            _ => None,
        };
        let found = |server: &str| {
            proxy(&server.parse().expect("an address"), variables)
                .map(|proxy| (proxy.variable, proxy.address))
        };
        assert_eq!(found("https://a"), Some(("https_proxy", "http://secure:1".to_owned())));
        assert_eq!(found("http://a"), Some(("ALL_PROXY", "http://all:2".to_owned())));
    }
}
