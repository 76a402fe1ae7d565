//! The label selector of a workload: never empty, and in the form that the server accepts.

use std::iter::Peekable;
use std::vec;

use thiserror::Error;

/// Longest name or value of a label, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// Longest prefix of a label name, in bytes.
const MAX_PREFIX_BYTES: usize = 253;

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
        Parser { tokens: tokens(selector).into_iter().peekable() }
            .selector()
            .map_err(SelectorError::Malformed)?;
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

/// A word, or one of `=`, `==`, `!=`, `!`, `,`, `(`, `)`, `<` and `>`.
fn tokens(selector: &str) -> Vec<&str> {
    let is_symbol = |letter: char| "=!,()<>".contains(letter);
    let mut tokens: Vec<&str> = Vec::new();
    let mut rest = selector.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if !is_symbol(first) {
            rest.find(|letter: char| is_symbol(letter) || letter.is_whitespace()).unwrap_or(rest.len())
        } else if rest.starts_with("==") || rest.starts_with("!=") {
            2
        } else {
            1
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// Parses one requirement after the other, like the server.
struct Parser<'a> {
    tokens: Peekable<vec::IntoIter<&'a str>>,
}

impl<'a> Parser<'a> {
    fn selector(&mut self) -> Result<(), String> {
        loop {
            self.requirement()?;
            match self.tokens.next() {
                None => return Ok(()),
                Some(",") => {}
                Some(found) => return Err(format!("{found:?} where a comma or the end was expected")),
            }
        }
    }

    fn requirement(&mut self) -> Result<(), String> {
        let is_negated = self.tokens.next_if_eq(&"!").is_some();
        let name = self.word().ok_or_else(|| self.expected("the name of a label"))?;
        check_name(name)?;
        if is_negated || self.tokens.peek().is_none_or(|next| *next == ",") {
            return Ok(());
        }
        match self.tokens.next() {
            Some("=" | "==" | "!=") => check_value(self.word().unwrap_or_default()),
            Some(sign @ ("<" | ">")) => {
                let number = self.word().unwrap_or_default();
                let is_number = number.parse().is_ok_and(|_: i64| true);
                // A sign cannot be part of a label's value, so the server refuses it.
                if is_number && is_word(number) {
                    Ok(())
                } else {
                    Err(format!("{number:?} after {sign:?} is no whole number"))
                }
            }
            Some("in" | "notin") => self.values(),
            Some(found) => Err(format!("{found:?} after {name:?} is none of = == != in notin < >")),
            None => Ok(()),
        }
    }

    /// `(a,b)`; nothing between commas is the empty value.
    fn values(&mut self) -> Result<(), String> {
        self.tokens.next_if_eq(&"(").ok_or_else(|| self.expected("an opening bracket"))?;
        loop {
            check_value(self.word().unwrap_or_default())?;
            match self.tokens.next() {
                Some(",") => {}
                Some(")") => return Ok(()),
                Some(found) => return Err(format!("{found:?} where a comma or a bracket was expected")),
                None => return Err("a bracket is not closed".to_owned()),
            }
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        self.tokens.next_if(|token| !token.starts_with(['=', '!', ',', '(', ')', '<', '>']))
    }

    fn expected(&mut self, what: &str) -> String {
        match self.tokens.peek() {
            Some(found) => format!("{found:?} where {what} was expected"),
            None => format!("it ends where {what} was expected"),
        }
    }
}

/// `name`, or `prefix/name` with a prefix in the form of a DNS name.
fn check_name(key: &str) -> Result<(), String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_good = is_word(name) && prefix.is_none_or(is_dns_name);
    if is_good { Ok(()) } else { Err(format!("{key:?} is no name of a label")) }
}

fn check_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_word(value) { Ok(()) } else { Err(format!("{value:?} is no value of a label")) }
}

fn is_word(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.len() <= MAX_NAME_BYTES && text.bytes().all(inner) && has_alphanumeric_ends(text)
}

fn is_dns_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| label.bytes().all(inner) && has_alphanumeric_ends(label);
    text.len() <= MAX_PREFIX_BYTES && text.split('.').all(is_label)
}

fn has_alphanumeric_ends(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && text.ends_with(|letter: char| letter.is_ascii_alphanumeric())
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

    // The same words are put to a real server in `e2e/tests/e2e/safety/selectors.rs`.
    #[test]
    fn what_is_wrong_is_named() {
        for (selector, problem) in [
            ("a=b=c", r#""=" where a comma or the end was expected"#),
            ("app=orders,", "it ends where the name of a label was expected"),
            ("=orders", r#""=" where the name of a label was expected"#),
            ("app in orders", r#""orders" where an opening bracket was expected"#),
            ("app in (a,b", "a bracket is not closed"),
            ("app orders", r#""orders" after "app" is none of = == != in notin < >"#),
            ("app=ord/ers", r#""ord/ers" is no value of a label"#),
            ("a/b/c=d", r#""a/b/c" is no name of a label"#),
            ("size>big", r#""big" after ">" is no whole number"#),
        ] {
            assert_eq!(
                Selector::new(selector),
                Err(SelectorError::Malformed(problem.to_owned())),
                "{selector}"
            );
        }
    }
}
