//! The words of names, and the keyed hashes that replace them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use ring::hmac;
use ring::rand::SystemRandom;

/// Fewest bytes of a key: less could be guessed.
const MIN_KEY_BYTES: usize = 16;

/// Length of the part that keeps the order. Equals the suffix that Kubernetes appends to pod names, by which
/// such a pod is recognised.
const CODE: usize = 5;

/// Length of the part that is a hash of the word.
const HASH: usize = 8;

/// Letters and digits in byte order.
const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The key of the hashes. Whoever has it can check whether a name they know occurs.
#[derive(Debug, Clone)]
pub struct RedactionKey(hmac::Key);

/// A key that is too short.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key has {0} bytes; it takes {MIN_KEY_BYTES} or more, as `openssl rand 32` writes them")]
pub struct InvalidKey(usize);

impl RedactionKey {
    /// A key for one recording that is stored nowhere; `None` if the system provides no randomness.
    pub fn random() -> Option<Self> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok().map(Self)
    }

    /// A given key, with which names can be compared between recordings.
    ///
    /// # Errors
    /// If it has fewer than 16 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidKey> {
        if bytes.len() < MIN_KEY_BYTES {
            return Err(InvalidKey(bytes.len()));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// `length` letters and digits derived from `word` by this key.
    fn hash(&self, word: &str, length: usize, attempt: u8) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[attempt]);
        context.update(word.as_bytes());
        let tag = context.sign();
        let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
        tag.as_ref().iter().take(length).map(letter).collect()
    }
}

/// Words and their replacements; while it collects, it only records words.
pub struct Words<'k> {
    key: &'k RedactionKey,
    seen: RefCell<BTreeSet<String>>,
    codes: BTreeMap<String, String>,
}

/// The words that `visit` asks for.
pub fn collected<'k>(key: &'k RedactionKey, visit: impl FnOnce(&Words<'k>)) -> Words<'k> {
    let words = Words { key, seen: RefCell::default(), codes: BTreeMap::new() };
    visit(&words);
    let seen = words.seen.take();
    // As many codes as words, both in order: the codes reveal only the order.
    let mut codes: BTreeSet<String> = BTreeSet::new();
    for word in &seen {
        let fresh = (0..=u8::MAX).map(|attempt| key.hash(word, CODE, attempt));
        codes.extend(fresh.into_iter().find(|code| !codes.contains(code)));
    }
    Words { key, seen: RefCell::default(), codes: seen.into_iter().zip(codes).collect() }
}

impl Words<'_> {
    /// The text with each of its words replaced; separators stay.
    pub fn text(&self, text: &str) -> String {
        mapped(text, |word| self.replace(word))
    }

    /// The text with those words replaced that occur in names.
    pub fn known_in(&self, text: &str) -> String {
        mapped(text, |word| if self.codes.contains_key(word) { self.replace(word) } else { word.to_owned() })
    }

    fn replace(&self, word: &str) -> String {
        let Some(code) = self.codes.get(word) else {
            self.seen.borrow_mut().insert(word.to_owned());
            return self.key.hash(word, CODE + HASH, u8::MAX);
        };
        // A pod's five-character suffix keeps its length.
        if word.len() == CODE {
            return code.clone();
        }
        format!("{code}{}", self.key.hash(word, HASH, u8::MAX))
    }
}

/// The text with each of its words replaced.
fn mapped(text: &str, replace: impl Fn(&str) -> String) -> String {
    let mut mapped = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = first.is_alphanumeric();
        let end = rest.find(|next: char| next.is_alphanumeric() != is_word).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let part = if is_word { replace(part) } else { part.to_owned() };
        mapped.push_str(&part);
        rest = after;
    }
    mapped
}

#[cfg(test)]
mod tests {
    use super::{InvalidKey, RedactionKey, collected};

    #[test]
    fn names_keep_their_order_and_shape() {
        let names =
            ["a", "a-b", "a1", "ab-c", "orders-0", "orders-10", "orders-2", "orders-6d5f9-x7k2p", "z.y_x"];
        let key = RedactionKey::random().expect("a system with randomness");
        let words = collected(&key, |words| names.iter().for_each(|name| drop(words.text(name))));
        let hidden: Vec<String> = names.iter().map(|name| words.text(name)).collect();
        assert!(hidden.is_sorted(), "{hidden:?}");
        for (name, hidden) in names.iter().zip(&hidden) {
            let marks = |text: &str| text.chars().filter(|char| !char.is_alphanumeric()).collect::<String>();
            assert_eq!(marks(name), marks(hidden));
        }
    }

    #[test]
    fn one_key_makes_one_hash_of_a_word_and_another_key_another() {
        let hidden = |key: &RedactionKey, names: &[&str]| {
            let words = collected(key, |words| names.iter().for_each(|name| drop(words.text(name))));
            words.text("payments")[super::CODE..].to_owned()
        };
        let key = |byte: u8| RedactionKey::new(&[byte; 32]).expect("a key that is long enough");
        assert_eq!(hidden(&key(1), &["payments"]), hidden(&key(1), &["orders", "payments"]));
        assert_ne!(hidden(&key(1), &["payments"]), hidden(&key(2), &["payments"]));
        assert_eq!(RedactionKey::new(b"short").expect_err("too short"), InvalidKey(5));
    }

    #[test]
    fn many_words_have_as_many_codes() {
        let names: Vec<String> = (0..20_000).map(|number| format!("{number:05}")).collect();
        let key = RedactionKey::new(&[7; 16]).expect("a key that is long enough");
        let words = collected(&key, |words| names.iter().for_each(|name| drop(words.text(name))));
        let hidden: Vec<String> = names.iter().map(|name| words.text(name)).collect();
        assert!(hidden.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
