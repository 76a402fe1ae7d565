//! Which alerts forbid a rotation.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

/// Longest regular expression, in characters: a list of fifty names of alerts.
const MAX_PATTERN: usize = 2_000;

/// Most memory of a compiled regular expression, in bytes. A pattern of the longest length needs a tenth.
const MAX_COMPILED: usize = 1 << 20;

/// A regular expression over names of alerts. It may match any part of a name, and takes linear time.
///
/// ```
/// use rebalancer_io::metrics::AlertPattern;
///
/// let pattern: AlertPattern = "Broker|^Deploy".parse()?;
/// assert!(pattern.matches("KafkaBrokerDown") && pattern.matches("DeployRunning"));
/// assert!(!pattern.matches("UndoDeploy"));
/// # Ok::<(), rebalancer_io::metrics::InvalidPattern>(())
/// ```
#[derive(Debug, Clone)]
pub struct AlertPattern(Regex);

impl AlertPattern {
    /// Whether it matches any part of a name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl PartialEq for AlertPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for AlertPattern {}

impl fmt::Display for AlertPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl FromStr for AlertPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.chars().count() > MAX_PATTERN {
            return Err(InvalidPattern::TooLong);
        }
        match RegexBuilder::new(text).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build() {
            Ok(regex) => Ok(Self(regex)),
            Err(regex::Error::CompiledTooBig(_)) => Err(InvalidPattern::TooLong),
            // The library draws the place on lines of its own; the last line says what is wrong there.
            Err(error) => {
                let words = error.to_string();
                let last = words.lines().last().unwrap_or_default();
                Err(InvalidPattern::Malformed(last.trim_start_matches("error: ").to_owned()))
            }
        }
    }
}

/// A text that is no regular expression over names of alerts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// It is no regular expression.
    #[error("it is no regular expression: {0}")]
    Malformed(String),
    /// It is too long, or repeats too much.
    #[error("it is too large: at most {MAX_PATTERN} characters, and fewer repetitions")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::{AlertPattern, InvalidPattern};

    #[test]
    fn what_is_no_expression_or_too_large_is_refused_in_one_line() {
        let refused = |text: &str| text.parse::<AlertPattern>().expect_err(text);
        for text in ["(", "[a", "a{2", "\\"] {
            let error = refused(text).to_string();
            assert!(error.starts_with("it is no regular expression: ") && !error.contains('\n'), "{error}");
        }
        assert_eq!(refused(&"a".repeat(2_001)), InvalidPattern::TooLong);
        assert_eq!(refused("((a{100}){100}){100}"), InvalidPattern::TooLong);
    }
}
