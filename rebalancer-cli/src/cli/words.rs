//! Words that can be typed, in any case. The parsers of `values.rs` are read without clap by the tests that fuzz them.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// A word that can be typed, and what it stands for.
pub type Word<T> = (&'static str, T);

/// One of these words.
pub fn one_of<T: Copy + Send + Sync + 'static>(
    words: &'static [Word<T>],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words.iter().map(|(word, _)| *word)).map(|typed| {
        let known = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&typed));
        known.expect("the parser lets only known words through").1
    })
}
