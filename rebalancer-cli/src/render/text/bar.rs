//! Bars of block characters.

/// A bar of `value` where `most` fills `width` columns, to an eighth of a column.
pub fn bar(value: f64, most: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if most <= 0.0 || !value.is_finite() {
        return String::new();
    }
    let share = (value / most).clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a width")]
    let eighths = (share * width as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(4.0, 4.0, 8), "████████");
        assert_eq!(bar(1.0, 4.0, 8), "██");
        assert_eq!(bar(0.25, 4.0, 8), "▌");
        assert_eq!(bar(0.0, 4.0, 8), "");
        assert_eq!(bar(1.0, 0.0, 8), "");
        assert_eq!(bar(9.0, 4.0, 2), "██", "never beyond its column");
    }
}
