//! Label matchers that the user adds to every selector, to distinguish the series of one cluster from those
//! of another.

use std::fmt;
use std::str::FromStr;

use crate::promql::{literal, string_value};

/// Label matchers such as `cluster="eu-1", region!="us"`, as written between the braces of a selector. None
/// by default.
///
/// ```
/// use rebalancer_io::metrics::Matchers;
///
/// let matchers: Matchers = r#"{cluster = 'eu-1', env=~"prod|live"}"#.parse()?;
/// assert_eq!(matchers.to_string(), r#"cluster="eu-1", env=~"prod|live""#);
/// assert!(Matchers::default().to_string().is_empty());
/// # Ok::<(), rebalancer_io::metrics::InvalidMatchers>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matchers(String);

impl Matchers {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Matchers that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; expected PromQL label matchers joined by commas, such as cluster=\"eu-1\"")]
pub struct InvalidMatchers {
    problem: String,
}

impl FromStr for Matchers {
    type Err = InvalidMatchers;

    /// Parses matchers, with or without a selector's braces around them.
    ///
    /// # Errors
    /// Anything but matchers, so that nothing in this setting can end the selector it is put into.
    fn from_str(text: &str) -> Result<Self, InvalidMatchers> {
        let text = text.trim();
        let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        let mut rest = inside.trim();
        let mut matchers: Vec<String> = Vec::new();
        while !rest.is_empty() {
            let (matcher, behind) = matcher(rest).map_err(|problem| InvalidMatchers { problem })?;
            matchers.push(matcher);
            rest = match behind.trim_start().strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if behind.trim().is_empty() => "",
                None => {
                    let problem = format!("there is no comma before {:?}", behind.trim());
                    return Err(InvalidMatchers { problem });
                }
            };
        }
        Ok(Self(matchers.join(", ")))
    }
}

/// The matcher at the start of `text`, normalised, and the rest.
fn matcher(text: &str) -> Result<(String, &str), String> {
    const OPERATORS: [&str; 4] = ["=~", "!~", "!=", "="];
    let end =
        text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len());
    let (label, behind) = text.split_at(end);
    if label.is_empty() || label.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(format!("there is no label name at {text:?}"));
    }
    if label == "__name__" {
        return Err("__name__ is the name of the metric, which every query has its own of".to_owned());
    }
    let behind = behind.trim_start();
    let operator = OPERATORS.into_iter().find(|operator| behind.starts_with(operator));
    let operator = operator.ok_or_else(|| format!("{label} is not followed by =, !=, =~ or !~"))?;
    let (value, behind) = string_value(behind[operator.len()..].trim_start())
        .ok_or_else(|| format!("the value of {label} is not in quotes"))?;
    Ok((format!("{label}{operator}\"{}\"", literal(&value)), behind))
}

#[cfg(test)]
mod tests {
    use super::Matchers;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<Matchers>().map(|matchers| matchers.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn matchers_are_written_in_one_way() {
        let cases = [
            ("", ""),
            ("{}", ""),
            (r#"cluster="eu-1""#, r#"cluster="eu-1""#),
            (r#" { a = 'b' ,c!="d", e=~`f\.g`,h!~"i|j", } "#, r#"a="b", c!="d", e=~"f\\.g", h!~"i|j""#),
            (r#"a="with \" and \\ and , and }""#, r#"a="with \" and \\ and , and }""#),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        let cases = [
            ("eu-1", "eu is not followed by"),
            ("cluster=eu-1", "the value of cluster is not in quotes"),
            (r#"cluster=="eu-1""#, "the value of cluster is not in quotes"),
            (r#"cluster="eu-1"#, "the value of cluster is not in quotes"),
            (r#"cluster="eu-1"} or up{a="b""#, "there is no comma before"),
            (r#"a="b" c="d""#, "there is no comma before"),
            (r#",a="b""#, "there is no label name"),
            (r#"1a="b""#, "there is no label name"),
            (r#"__name__="up""#, "__name__ is the name of the metric"),
            (r#"a="\d""#, "the value of a is not in quotes"),
        ];
        for (text, expected) in cases {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [r#"a="it's""#, "a='`'", r#"a="\r\t\n\\\"\x41""#, "a='\r'"] {
            let matchers: Matchers = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(matchers.to_string().parse().as_ref(), Ok(&matchers), "{text}");
        }
        assert!(r#"a="\xe9""#.parse::<Matchers>().is_err(), "half of a letter");
    }
}
