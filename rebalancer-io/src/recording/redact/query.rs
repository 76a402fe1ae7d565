//! A query without names: a replay only needs to recognise it.

use super::names::Words;
use crate::promql::string_length;

/// The query with the words in its strings replaced, and outside them the words that occur in names. Comments
/// are left out.
pub fn redacted(query: &str, words: &Words<'_>) -> String {
    let mut redacted = String::new();
    let mut rest = query;
    while let Some(at) = rest.find(['"', '\'', '`', '#']) {
        let (before, from) = rest.split_at(at);
        redacted.push_str(&words.known_in(before));
        if from.starts_with('#') {
            rest = &from[from.find('\n').unwrap_or(from.len())..];
            continue;
        }
        // An unclosed string extends to the end of the query.
        let (string, behind) = from.split_at(string_length(from).unwrap_or(from.len()));
        redacted.push_str(&words.text(string));
        rest = behind;
    }
    redacted + &words.known_in(rest)
}

#[cfg(test)]
mod tests {
    use super::redacted;
    use crate::recording::redact::names::{RedactionKey, collected};

    #[test]
    fn strings_comments_and_names_go_and_the_rest_stays() {
        let query = "sum by (pod) (orders_lag{ns=\"pay\\\"ments\", p=~'alpha|beta', q=`gamma\\`}[5m]) # of delta\n> 0";
        let key = RedactionKey::new(&[1; 16]).expect("a key that is long enough");
        let words = collected(&key, |words| {
            words.text("orders");
            redacted(query, words);
        });
        let hidden = redacted(query, &words);
        for name in ["orders", "pay", "ments", "alpha", "beta", "gamma", "delta"] {
            assert!(!hidden.contains(name), "{name}: {hidden}");
        }
        assert!(hidden.starts_with("sum by (pod) (") && hidden.ends_with("}[5m]) \n> 0"), "{hidden}");
        assert!(hidden.contains("_lag{ns=") && hidden.contains("\\\"") && hidden.contains('|'), "{hidden}");
    }
}
