//! The label selector of a workload: never empty, and in the form that the server accepts.

use std::sync::LazyLock;

use regex::Regex;
use thiserror::Error;

/// Longest prefix of a label name, in bytes.
const MAX_PREFIX_BYTES: usize = 253;

/// One requirement up to the comma behind it or to the end, as the server reads it. Names and values have at most 63
/// letters, whole numbers at most 19 digits.
static REQUIREMENT: LazyLock<Regex> = LazyLock::new(|| {
    let blanks = r"[ \t\r\n]*";
    let label = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?";
    let word = "[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?";
    let name = format!(r"(?:{label}(?:\.{label})*/)?{word}");
    // Nothing is the empty value.
    let value = format!("{blanks}(?:{word})?{blanks}");
    let is = format!("{blanks}(?:==?|!=){value}");
    let is_one_of = format!(r"[ \t\r\n]{blanks}(?:not)?in{blanks}\({value}(?:,{value})*\)");
    let is_than = format!("{blanks}[<>]{blanks}[0-9]{{1,19}}");
    let either = format!("!{blanks}{name}|{name}(?:{is}|{is_one_of}|{is_than})?");
    Regex::new(&format!("^{blanks}(?:{either}){blanks}(?:,|$)")).expect("it is valid")
});

/// A non-empty label selector in the syntax of `kubectl -l`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(String);

/// Why a selector cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// It is empty.
    #[error(
        "an empty label selector would select every pod of the namespace; name one workload, such as app=orders"
    )]
    Empty,
    /// The server would refuse it.
    #[error("{0}; write it as for kubectl -l, such as app=orders,tier in (web,api),!canary")]
    Malformed(String),
}

impl Selector {
    /// Parses a selector in the syntax of `kubectl -l`.
    ///
    /// # Errors
    /// Only blanks and commas, or anything the server would not understand.
    pub fn new(selector: &str) -> Result<Self, SelectorError> {
        let selector = selector.trim();
        if selector.chars().all(|letter| letter == ',' || letter.is_whitespace()) {
            return Err(SelectorError::Empty);
        }
        check(selector).map_err(SelectorError::Malformed)?;
        Ok(Self(selector.to_owned()))
    }

    /// Selects every pod: for a look at all workloads of a namespace, which their owners tell apart. What is typed never
    /// means it.
    pub const fn everything() -> Self {
        Self(String::new())
    }

    /// What both select.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let both = [self.as_str(), other.as_str()].map(str::to_owned);
        Self(both.into_iter().filter(|text| !text.is_empty()).collect::<Vec<String>>().join(","))
    }

    /// The selector as sent to the server.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads one requirement after the other.
fn check(selector: &str) -> Result<(), String> {
    let mut rest = selector;
    loop {
        let found = REQUIREMENT.find(rest).map(|found| found.as_str());
        // Only a prefix ends in a slash.
        let prefix_bytes = |of: &str| {
            let before = of.split_once('/').map_or("", |(before, _)| before);
            before.trim_start_matches(|letter: char| !letter.is_ascii_alphanumeric()).len()
        };
        // Only a number follows one of these.
        let is_too_large = |of: &str| {
            let number = of.split_once(['<', '>']).map(|(_, number)| number.trim_end_matches(',').trim());
            number.is_some_and(|number| number.parse::<i64>().is_err())
        };
        let fits = |found: &&str| prefix_bytes(found) <= MAX_PREFIX_BYTES && !is_too_large(found);
        let Some(found) = found.filter(fits) else {
            return Err(match rest.trim() {
                "" => "it ends with a comma".to_owned(),
                rest => format!("{rest:?} does not begin with a requirement on a label"),
            });
        };
        rest = &rest[found.len()..];
        if !found.ends_with(',') {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_that_selects_everything_is_refused() {
        for selector in ["", "  ", ",", " , "] {
            assert_eq!(Selector::new(selector), Err(SelectorError::Empty), "{selector:?}");
        }
        let selector = Selector::new(" app=orders ").expect("a selector");
        assert_eq!(selector.as_str(), "app=orders");
    }

    // The same is put to a real server in `e2e/tests/e2e/safety/selectors.rs`.
    #[test]
    fn what_the_server_takes_is_taken() {
        let long = "a".repeat(63);
        for selector in [
            "app==orders",
            " app = orders , tier != web ",
            "app in (orders, bills),!canary",
            "app notin(bills), ! old",
            "app,app=",
            "app in (),app in (,orders)",
            "in in (in),notin",
            "size>3,size<10",
            "size > 9223372036854775807 ,app",
            "A_b-c.9=Z_z-z.0",
            &format!("app.kubernetes.io/{long}={long}"),
        ] {
            assert!(Selector::new(selector).is_ok(), "{selector}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let longer = ["a".repeat(64), format!("app={}", "a".repeat(64)), format!("{}a/b", "a.".repeat(127))];
        let longer = longer.each_ref().map(|selector| (selector.as_str(), selector.as_str()));
        for (selector, wrong) in [
            ("a=b=c", "a=b=c"),
            ("tier=web, app in orders", "app in orders"),
            ("=orders", "=orders"),
            ("app in (a,b", "app in (a,b"),
            ("app in a,b)", "app in a,b)"),
            ("app orders", "app orders"),
            ("app=ord/ers", "app=ord/ers"),
            ("app=-orders", "app=-orders"),
            ("a/b/c=d", "a/b/c=d"),
            ("Example.com/a=d", "Example.com/a=d"),
            ("size>big", "size>big"),
            ("size<-1", "size<-1"),
            ("app,size<9223372036854775808,app", "size<9223372036854775808,app"),
            ("!app=orders", "!app=orders"),
        ]
        .into_iter()
        .chain(longer)
        {
            let problem = format!("{wrong:?} does not begin with a requirement on a label");
            assert_eq!(Selector::new(selector), Err(SelectorError::Malformed(problem)), "{selector}");
        }
        let problem = "it ends with a comma".to_owned();
        assert_eq!(Selector::new("app=orders, "), Err(SelectorError::Malformed(problem)));
    }
}
