//! Numbers in readable form.

/// A spread, or a load relative to the mean.
pub fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

/// A multiple: `5.3×`, `0.04×`, `0×`.
pub fn times(value: f64) -> String {
    match value {
        0.0 => "0×".to_owned(),
        ..0.005 => "<0.01×".to_owned(),
        ..0.1 => format!("{value:.2}×"),
        _ => format!("{value:.1}×"),
    }
}

/// A share as a percentage. Nearly none is not 0 %, and nearly all is not 100 %.
pub fn percent(share: f64) -> String {
    match 100.0 * share {
        part if part > 0.0 && part < 0.5 => "<1 %".to_owned(),
        part if (99.5..100.0).contains(&part) => ">99 %".to_owned(),
        part => format!("{part:.0} %"),
    }
}

/// A duration in seconds, in the largest unit with a count of at least two: `119s`, `5m`, `3h`, `2d`.
pub fn age(seconds: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "m")];

    let unit = UNITS.into_iter().find(|(length, _)| seconds >= 2.0 * length);
    let (length, name) = unit.unwrap_or((1.0, "s"));
    format!("{}{name}", (seconds / length).floor())
}

/// A count in thousands: `14.8k`.
pub fn thousands(value: f64) -> String {
    scaled(value, 1000.0, &["", "k", "M", "G", "T", "P"], "")
}

/// Bytes in units of 1024: `1.18 GiB`.
pub fn bytes(value: f64) -> String {
    scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"], " ")
}

fn scaled(value: f64, step: f64, units: &[&str], space: &str) -> String {
    let mut value = value;
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    format!("{}{space}{}", three_digits(value), units[unit]).trim_end().to_owned()
}

/// A number with three significant digits.
pub fn three_digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    match value {
        ..0.001 => format!("{value:.1e}"),
        ..0.01 => format!("{value:.4}"),
        ..0.1 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        ..1e6 => format!("{value:.0}"),
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_ratios_read_well() {
        let ages = [(0.0, "0s"), (119.0, "119s"), (300.0, "5m"), (10_800.0, "3h"), (172_800.5, "2d")];
        assert!(ages.iter().all(|(seconds, words)| age(*seconds) == *words));
        let shares = [0.0, 0.004, 0.5, 0.996, 1.0].map(percent);
        assert_eq!(shares, ["0 %", "<1 %", "50 %", ">99 %", "100 %"]);
        assert_eq!([5.344, 0.04, 0.001, 0.0].map(times), ["5.3×", "0.04×", "<0.01×", "0×"]);
    }
}
