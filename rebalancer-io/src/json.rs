//! Limits for JSON from files: a few bytes of text can become a value that needs a hundred times the memory.

/// Maximum values of a document in memory: enough for a report of 30,000 pods, and at most 400 MB.
pub const MAX_VALUES: usize = 2 << 20;

/// Whether a JSON text can contain more than `max` values. Every value except the first follows a comma, a
/// colon or an opening bracket; those inside strings do not count.
pub fn is_crowded(json: &[u8], max: usize) -> bool {
    let mut values: usize = 1;
    let (mut is_string, mut is_escaped) = (false, false);
    for byte in json {
        if is_string {
            is_string = is_escaped || *byte != b'"';
            is_escaped = *byte == b'\\' && !is_escaped;
            continue;
        }
        match byte {
            b'"' => is_string = true,
            b',' | b':' | b'[' | b'{' => values += 1,
            _ => {}
        }
        if values > max {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_and_strings_are_one() {
        for (json, at_most) in [
            ("1", 1),
            ("[]", 2),
            ("[1,2,3]", 4),
            (r#"{"a":1,"b":[{}]}"#, 7),
            (r#""a,b:[{\",\\""#, 1),
            (r#"["\\",1]"#, 3),
        ] {
            assert!(!is_crowded(json.as_bytes(), at_most), "{json}");
            assert!(at_most == 1 || is_crowded(json.as_bytes(), at_most - 1), "{json}");
        }
    }
}
