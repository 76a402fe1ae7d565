//! Arbitrary text as the words of the configuration: no panic, values within their bounds that read the same
//! when they are written, and no message that holds a secret.

use std::time::Duration;

use rebalancer_core::Metric;
use rebalancer_io::kubernetes::WorkloadName;
use rebalancer_io::metrics::{KafkaPreset, Matchers, QuerySet, QuerySettings, SourceSeries};
use rebalancer_io::prometheus::{Endpoint, Header};
use rebalancer_io::push::Receiver;

/// The parsers of the program, whose package is no library.
#[path = "../../../rebalancer-cli/src/cli/values.rs"]
mod value;

/// Longest text that is looked at; longer ones find nothing new.
const MAX_BYTES: usize = 1024;

/// What must never be repeated.
const SECRET: &str = "hunter2hunter2";

/// Reads `data` as every kind of setting.
///
/// # Panics
/// When a value is out of its bounds, reads otherwise once it is written, or a message holds a secret.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(MAX_BYTES)]);
    numbers(&text);
    durations(&text);
    if let Some(floors) = checked(&text, value::floors(&text)) {
        assert!(floors.iter().all(|(_, floor)| floor.is_finite() && *floor >= 0.0), "{floors:?}");
    }
    if let Some(Some(rule)) = checked(&text, value::persistence(&text)) {
        assert!(rule.factor > 0.0 && (1..=100).contains(&rule.percent), "{rule:?}");
        assert!((1..=7 * 24 * 3600).contains(&rule.window.as_secs()) && rule.min_history > 0, "{rule:?}");
    }
    if let Some(weights) = checked(&text, value::weights(&text)) {
        let shown: Vec<String> =
            weights.iter().map(|(metric, weight)| format!("{metric}={weight}")).collect();
        assert_eq!(value::weights(&shown.join(",")), Ok(weights));
        assert!(weights.iter().all(|(_, weight)| weight.is_finite() && *weight >= 0.0), "{weights:?}");
    }
    addresses(&text);
    secrets(&text);
    own_query(&text);
    if let Some(matchers) = checked(&text, text.parse::<Matchers>().map_err(|error| error.to_string())) {
        assert_eq!(matchers.to_string().parse().as_ref(), Ok(&matchers), "{text:?}");
        // Between the braces of a selector it ends neither a string nor the selector.
        let query = format!("up{{{matchers}}}");
        let found = SourceSeries::of(&query);
        assert!(found.len() == 1 && found[0].newest_sample().promql.contains(&query), "{query}");
    }
    if let Ok(workload) = text.parse::<WorkloadName>() {
        assert_eq!(workload.to_string().parse::<WorkloadName>().as_ref(), Ok(&workload));
    }
}

fn numbers(text: &str) {
    for read in [value::number, value::ratio, value::quantity] {
        if let Some(number) = checked(text, read(text)) {
            assert!(number.is_finite() && number >= 0.0, "{text:?} is {number}");
            assert_eq!(read(&number.to_string()), Ok(number), "{text:?}");
        }
    }
    if let Some(share) = checked(text, value::share(text)) {
        assert!((0.0..=1.0).contains(&share), "{text:?} is {share}");
    }
    if let Some(bytes) = checked(text, value::size(text)) {
        assert!(bytes >= 1, "{text:?}");
    }
    if let Some(count) = checked(text, value::count(text)) {
        assert!(count >= 1, "{text:?}");
    }
    for read in [value::factor_or_off, value::outlier_factor] {
        if let Some(Some(factor)) = checked(text, read(text)) {
            assert!(factor > 0.0 && factor.is_finite(), "{text:?} is {factor}");
        }
    }
    if let Some(Some(own)) = checked(text, value::text_or_off(text)) {
        assert_eq!(own, text);
    }
    checked(text, value::alerts_or_off(text));
    if let Some(Some(percent)) = checked(text, value::percent_or_off(text)) {
        assert!((1..=100).contains(&percent), "{text:?} is {percent}");
    }
}

fn durations(text: &str) {
    if let Some(duration) = checked(text, value::duration(text)) {
        let written = humantime::format_duration(duration).to_string();
        assert_eq!(value::duration(&written), Ok(duration), "{text:?} is {written}");
    }
    if let Some(duration) = checked(text, value::positive_duration(text)) {
        assert!(duration > Duration::ZERO, "{text:?}");
    }
    if let Some(Some(limit)) = checked(text, value::duration_or_off(text)) {
        assert!(limit > Duration::ZERO, "{text:?}");
    }
    if let Some(Some(window)) = checked(text, value::window_or_off(text)) {
        assert!((60..=7 * 24 * 60 * 60).contains(&window.as_secs()), "{text:?} is {window:?}");
    }
}

/// The value; a message must say something, and not much more than was given.
fn checked<T>(text: &str, read: Result<T, String>) -> Option<T> {
    read.inspect_err(|words| {
        assert!(!words.is_empty() && words.len() <= 10 * text.len() + 400, "{words}");
    })
    .ok()
}

fn addresses(text: &str) {
    if let Ok(endpoint) = Endpoint::parse(text) {
        let address = endpoint.as_str();
        assert!(address.starts_with("http://") || address.starts_with("https://"), "{address}");
        assert!(!address.ends_with('/') && !address.contains(['?', '#']), "{address}");
        let host = address.split('/').nth(2).expect("a host is behind the scheme");
        assert!(!host.is_empty() && !host.contains('@'), "{address}");
        // What was cut is cut once: the second of two `/graph` is the page, the first a prefix. Blanks at the
        // ends are cut too, and a path may end in one that is no ASCII.
        if endpoint.hint().is_none() && address.is_ascii() {
            assert_eq!(Endpoint::parse(address).as_ref(), Ok(&endpoint));
        }
    }
}

/// A secret where users put one: it is in no message.
fn secrets(text: &str) {
    let told = |words: String| assert!(!words.contains(SECRET), "{words}");
    let addresses = [
        format!("{text}://user:{SECRET}@host"),
        format!("http://{SECRET}@{text}"),
        format!("http://host/?{text}={SECRET}"),
    ];
    for address in addresses {
        drop(Endpoint::parse(&address).map_err(|error| told(format!("{error} {error:?}"))));
        drop(Receiver::at("METRICS_PUSH_URL", &address).map_err(|error| told(error.to_string())));
    }
    let header: Result<Header, _> = format!("X-Token: {SECRET}{text}").parse();
    told(match header {
        Ok(header) => format!("{header:?}"),
        Err(error) => format!("{error} {error:?}"),
    });
}

/// Text in an own query, and as a group that a query quotes.
fn own_query(text: &str) {
    let mut settings = QuerySettings::new("shop");
    settings.preset = KafkaPreset::None;
    settings.pods = vec!["orders-0".to_owned()];
    settings.own[Metric::Lag] = Some(text.to_owned());
    match QuerySet::new(&settings) {
        Ok(queries) => {
            let query = &queries.get(Metric::Lag).expect("lag has its own query").promql;
            assert!(text.contains("{{") || query == text, "{query:?} is not {text:?}");
        }
        Err(error) => {
            let words = error.to_string();
            assert!(words.contains("QUERY_LAG") && words.len() <= 10 * text.len() + 400, "{words}");
        }
    }
    settings.own[Metric::Lag] = Some("x{g=\"{{group}}\"}".to_owned());
    settings.group = Some(text.to_owned());
    let queries = QuerySet::new(&settings).expect("a group of any name");
    let query = &queries.get(Metric::Lag).expect("lag has its own query").promql;
    let inside = query.strip_prefix("x{g=\"").and_then(|rest| rest.strip_suffix("\"}")).expect("both ends");
    assert_eq!(unescaped(inside).as_deref(), Some(text), "{query}");
}

/// What a string of `PromQL` says; `None` where it ends before its end.
fn unescaped(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '"' | '\n' => return None,
            '\\' => match letters.next()? {
                'n' => '\n',
                'r' => '\r',
                'x' => {
                    let digits: String = letters.by_ref().take(2).collect();
                    char::from(u8::from_str_radix(&digits, 16).ok()?)
                }
                other => other,
            },
            other => other,
        });
    }
    Some(text)
}
