//! Arbitrary text as a label selector and as a query: no panic, words that stay short, and what is found
//! is found again in what is sent.

use rebalancer_io::kubernetes::Selector;
use rebalancer_io::metrics::SourceSeries;

/// Longest text that is looked at; longer ones find nothing new.
const MAX_BYTES: usize = 4096;

/// Reads `data` as a selector of pods and as a query whose series are looked for.
///
/// # Panics
/// When a selector means something else once it is sent, words are lost or without bound, or the query for
/// the age of a series is not about that series.
pub fn selectors(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(MAX_BYTES)]);
    label_selector(&text);
    series(&text);
}

fn label_selector(text: &str) {
    match Selector::new(text) {
        Ok(selector) => {
            assert_eq!(selector.as_str(), text.trim(), "it is sent as it was given");
            assert!(selector.as_str().chars().any(char::is_alphanumeric), "{text:?} selects every pod");
            assert_eq!(Selector::new(selector.as_str()).as_ref(), Ok(&selector));
            // Of two requirements both hold, so one more cannot widen it, and a broken one is seen.
            let narrower = format!("{},app=orders", selector.as_str());
            assert!(Selector::new(&narrower).is_ok(), "{narrower:?}");
            let broken = format!("{},app=a=b", selector.as_str());
            assert!(Selector::new(&broken).is_err(), "{broken:?}");
        }
        Err(error) => {
            let words = error.to_string();
            // A word is quoted once, and an escape is at most ten letters.
            assert!(words.len() <= 10 * text.len() + 200, "{words}");
            assert!(words.contains("app=orders"), "no example: {words}");
        }
    }
}

fn series(text: &str) {
    let found = SourceSeries::of(text);
    assert_eq!(SourceSeries::of(text), found, "the same text twice");
    for (position, series) in found.iter().enumerate() {
        let (name, selector) = (series.metric.as_str(), series.selector());
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
        let is_name = name.bytes().all(letter) && !name.starts_with(|first: char| first.is_ascii_digit());
        assert!(!name.is_empty() && (is_name || (name == selector && name.starts_with('{'))), "{name:?}");
        assert!(text.contains(name) && selector.starts_with(name), "{selector:?} of {text:?}");
        assert!(found[..position].iter().all(|other| other != series), "{selector} twice in {text:?}");
        let age = series.newest_sample().promql;
        assert!(age.contains(selector) && age.len() <= text.len() + 40, "{age}");
        // Braces that are not closed go on to the end.
        let again = SourceSeries::of(&age);
        assert!(again.len() == 1 && again[0].selector().starts_with(selector), "{age}");
    }
}
