//! Pod names without their shared prefix.

use crate::format::text::plain;

/// Shorter prefixes are kept.
const SHORTEST_PREFIX: usize = 6;

/// How the pods of one report are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// In full.
    Full,
    /// Without the shared prefix.
    Short,
    /// At most this many of the last characters.
    Last(usize),
}

/// The shared prefix of all names, up to a dash; empty if it is too short to drop.
pub fn shared_prefix<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let shared = names.map(str::to_owned).reduce(|shared, name| {
        let same = shared.chars().zip(name.chars()).take_while(|(a, b)| a == b);
        same.map(|(letter, _)| letter).collect()
    });
    let shared = shared.unwrap_or_default();
    let prefix = shared.rfind('-').map_or("", |dash| &shared[..=dash]);
    if prefix.len() < SHORTEST_PREFIX { String::new() } else { prefix.to_owned() }
}

impl Naming {
    /// The name, shortened if it starts with the shared `prefix`.
    pub fn of(self, name: &str, prefix: &str) -> String {
        let full = plain(name);
        let short = match name.strip_prefix(prefix) {
            Some(rest) if !prefix.is_empty() => format!("…{}", plain(rest)),
            _ => full.clone(),
        };
        match self {
            Self::Full => full,
            Self::Short => short,
            Self::Last(most) => {
                let letters: Vec<char> = short.chars().collect();
                let left_out = letters.len().saturating_sub(most);
                if left_out == 0 {
                    return short;
                }
                std::iter::once('…').chain(letters.into_iter().skip(left_out + 1)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_names_begin_with_is_left_out_up_to_a_dash() {
        let prefix = |names: &[&str]| shared_prefix(names.iter().copied());
        assert_eq!(prefix(&["orders-7c9f6-x7k2p", "orders-7c9f6-x9fq4"]), "orders-7c9f6-");
        assert_eq!(prefix(&["orders-0", "orders-1"]), "orders-");
        assert_eq!(prefix(&["a-0", "a-1"]), "", "too short to be worth it");
        assert_eq!(prefix(&["alpha", "beta"]), "");
        assert_eq!(prefix(&[]), "");
        assert_eq!(Naming::Short.of("orders-7c9f6-x7k2p", "orders-7c9f6-"), "…x7k2p");
        assert_eq!(Naming::Last(4).of("orders-7c9f6-x7k2p", "orders-7c9f6-"), "…k2p");
        assert_eq!(Naming::Last(40).of("alpha", ""), "alpha");
    }
}
