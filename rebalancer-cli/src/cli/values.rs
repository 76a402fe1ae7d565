//! Parsers for the values of settings: durations, quantities, shares, weights.
//!
//! An error says what is expected. The caller adds the setting's name and value.

use std::str::FromStr;
use std::time::Duration;

use rebalancer_core::guard::{OutlierTrigger, Persistence};
use rebalancer_core::{DEFAULT_FLOORS, Metric, PerMetric};
use rebalancer_io::metrics::AlertPattern;

/// A duration that may be zero: `30s`, `1m30s`, `1h`, `0s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let in_seconds = format!("{text}s");
    if text != "0" && text.parse::<f64>().is_ok() && humantime::parse_duration(&in_seconds).is_ok() {
        return Err(format!("a duration needs a unit; did you mean {in_seconds}?"));
    }
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a duration such as 30s, 5m or 1h30m"))
}

/// A duration longer than zero.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be longer than zero, such as 30s".to_owned()),
        duration => Ok(duration),
    }
}

/// A guard's limit as `read` reads it; `off` turns the guard off.
fn or_off<T>(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Guarded<T>, String> {
    if is_off(text) {
        return Ok(None);
    }
    read(text).map(Some).map_err(|error| format!("{error} (off turns the guard off)"))
}

/// A guard's duration: `off` and `0s` both turn the guard off.
pub fn duration_or_off(text: &str) -> Result<Guarded<Duration>, String> {
    Ok(or_off(text, duration)?.filter(|limit| *limit > Duration::ZERO))
}

/// The window of a guard that looks back minute by minute: from one minute to seven days, or `off`.
///
/// A server returns at most 11,000 moments; seven days are 10,080 minutes.
pub fn window_or_off(text: &str) -> Result<Guarded<Duration>, String> {
    const MINUTE: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    match duration_or_off(text)? {
        Some(window) if !(MINUTE..=LONGEST).contains(&window) => {
            Err("the window must be 1m to 7d (off turns the guard off)".to_owned())
        }
        window => Ok(window),
    }
}

/// A factor above 0, or `off`.
pub fn factor_or_off(text: &str) -> Result<Guarded<f64>, String> {
    or_off(text, |text| match number(text)? {
        0.0 => Err("the factor must be above 0".to_owned()),
        factor => Ok(factor),
    })
}

/// The factor of the outlier trigger; `on` is the default factor.
pub fn outlier_factor(text: &str) -> Result<Guarded<f64>, String> {
    if text.eq_ignore_ascii_case("on") {
        return Ok(Some(OutlierTrigger::STANDARD.ratio));
    }
    factor_or_off(text).map_err(|_| "expected on, off, or a factor above 0 such as 2".to_owned())
}

/// A percentage from 1 to 100 with or without its sign; `off` and `0%` turn a guard off.
pub fn percent_or_off(text: &str) -> Result<Guarded<u32>, String> {
    if is_off(text) {
        return Ok(None);
    }
    match text.strip_suffix('%').unwrap_or(text).trim_end().parse() {
        Ok(percent @ 0..=100) => Ok((percent > 0).then_some(percent)),
        _ => Err("expected a whole percentage from 1 to 100 such as 10%, or off".to_owned()),
    }
}

/// A text, or `off`.
pub fn text_or_off(text: &str) -> Result<Guarded<String>, String> {
    if text.trim().is_empty() {
        return Err("expected a query, or off".to_owned());
    }
    Ok((!is_off(text)).then(|| text.to_owned()))
}

/// A regular expression over names of alerts, or `off`.
pub fn alerts_or_off(text: &str) -> Result<Guarded<AlertPattern>, String> {
    or_off(text, |text| text.parse().map_err(|error: <AlertPattern as FromStr>::Err| error.to_string()))
}

/// A whole number, 1 or more.
pub fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("expected a whole number, 1 or more".to_owned()),
    }
}

/// A guard's limit, `None` if the guard is off. (It has a name of its own, because clap treats a bare `Option` as an
/// optional flag.)
pub type Guarded<T> = Option<T>;

/// A finite number that is 0 or more.
pub fn number(text: &str) -> Result<f64, String> {
    let value = f64::from_str(text).map_err(|_| "expected a number such as 0.3".to_owned())?;
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err("it must be a finite number, 0 or more".to_owned())
}

/// A ratio, 0 or more: `0.3` or `30%`.
pub fn ratio(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%') {
        Some(percent) => Ok(number(percent.trim_end())? / 100.0),
        None => number(text).map_err(|error| format!("{error}; write a ratio such as 0.3 or 30%")),
    }
}

/// A share, from 0 to 1 (`0.8` or `80%`).
pub fn share(text: &str) -> Result<f64, String> {
    let value = ratio(text)?;
    if value <= 1.0 { Ok(value) } else { Err("a share is from 0 to 1, such as 0.8 or 80%".to_owned()) }
}

/// A number with an optional Kubernetes suffix: `64Mi`, `250m`, `2k`; or `off` for 0.
pub fn quantity(text: &str) -> Result<f64, String> {
    const SUFFIXES: [(&str, f64); 11] = [
        ("Ki", 1024.0),
        ("Mi", 1024.0 * 1024.0),
        ("Gi", 1024.0 * 1024.0 * 1024.0),
        ("Ti", 1024.0 * 1024.0 * 1024.0 * 1024.0),
        ("Pi", 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    if is_off(text) {
        return Ok(0.0);
    }
    let suffix = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)));
    let (digits, factor) = suffix.unwrap_or((text, &1.0));
    let value =
        number(digits).map_err(|error| format!("{error}; write a quantity such as 0.05, 250m or 64Mi"))?;
    let value = value * factor;
    if value.is_finite() {
        Ok(value)
    } else {
        Err("it is too large; write a quantity such as 64Mi".to_owned())
    }
}

/// A size in bytes, at least 1: `64Mi`.
pub fn size(text: &str) -> Result<u64, String> {
    let bytes = quantity(text)?;
    if (1.0..=9e15).contains(&bytes) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be in range"
        )]
        return Ok(bytes as u64);
    }
    Err("expected a size of at least one byte, such as 64Mi".to_owned())
}

/// Weights of the score, such as `cpu=0.4,lag=0.3`; metrics that are not named get weight 0.
pub fn weights(text: &str) -> Result<PerMetric<f64>, String> {
    let shape = "write weights such as cpu=0.4,lag=0.3,rate=0.2,memory=0.1";
    let weights = per_metric(text, ("weight", shape), PerMetric::default(), number)?;
    let sum: f64 = weights.iter().map(|(_, weight)| *weight).sum();
    if !sum.is_finite() {
        return Err(format!("the sum of the weights is not finite; {shape}"));
    }
    if sum == 0.0 {
        return Err(format!("at least one weight must be more than 0; {shape}"));
    }
    Ok(weights)
}

/// Floors, such as `cpu=0.05,lag=5000`; metrics that are not named keep their default. `off` is 0 for all.
pub fn floors(text: &str) -> Result<PerMetric<f64>, String> {
    if is_off(text) {
        return Ok(PerMetric::default());
    }
    let shape = "write floors such as cpu=0.05,lag=5000, or off";
    per_metric(text, ("floor", shape), DEFAULT_FLOORS, quantity)
}

/// The values of some metrics; `others` are those of the metrics that are not named. `word` names one value, `shape` says how
/// to write the list.
fn per_metric(
    text: &str,
    (word, shape): (&str, &str),
    others: PerMetric<f64>,
    value: fn(&str) -> Result<f64, String>,
) -> Result<PerMetric<f64>, String> {
    let mut values = others;
    for (name, given) in parts(text, word, shape)? {
        let metric = Metric::ALL.into_iter().find(|metric| metric.name() == name);
        let metric = metric.ok_or_else(|| format!("{name:?} is no metric; {shape}"))?;
        values[metric] = value(given).map_err(|error| format!("{metric}: {error}"))?;
    }
    Ok(values)
}

/// The parts of a list such as `cpu=0.4,lag=0.3`, each with its name. `word` names one part, `shape` says how to write the
/// list.
fn parts<'t>(text: &'t str, word: &str, shape: &str) -> Result<Vec<(&'t str, &'t str)>, String> {
    let mut parts: Vec<(&str, &str)> = Vec::new();
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is no {word}; {shape}"))?;
        let (name, value) = (name.trim(), value.trim());
        if parts.iter().any(|(known, _)| *known == name) {
            return Err(format!("{name} is given twice; {shape}"));
        }
        parts.push((name, value));
    }
    Ok(parts)
}

/// The rule of persistence: a window such as `2h`, or the parts that differ from the standard, such as
/// `factor=1.5,percent=90%`; or `off`. A part that is `off` turns all off.
pub fn persistence(text: &str) -> Result<Guarded<Persistence>, String> {
    const SHAPE: &str =
        "write a window such as 60m, parts such as window=60m,factor=1.25,percent=80%, or off";
    if is_off(text) || !text.contains('=') {
        return Ok(window_or_off(text)?.map(Persistence::over));
    }
    let standard = Persistence::STANDARD;
    let mut window = Some(standard.window);
    let mut factor = Some(standard.factor);
    let mut percent = Some(standard.percent);
    for (name, value) in parts(text, "part of the rule", SHAPE)? {
        let read = match name {
            "window" => window_or_off(value).map(|read| window = read),
            "factor" => factor_or_off(value).map(|read| factor = read),
            "percent" => percent_or_off(value).map(|read| percent = read),
            _ => return Err(format!("{name:?} is no part of the rule; {SHAPE}")),
        };
        read.map_err(|error| format!("{name}: {error}"))?;
    }
    let (Some(window), Some(factor), Some(percent)) = (window, factor, percent) else { return Ok(None) };
    Ok(Some(Persistence { factor, percent, ..Persistence::over(window) }))
}

fn is_off(text: &str) -> bool {
    text.eq_ignore_ascii_case("off")
}

#[cfg(test)]
mod tests {
    use rebalancer_core::DEFAULT_WEIGHTS;

    use super::*;

    #[test]
    fn durations_need_a_unit_and_say_so() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("30").unwrap_err(), "a duration needs a unit; did you mean 30s?");
        assert_eq!(duration("1.5").unwrap_err(), "a duration needs a unit; did you mean 1.5s?");
        for bad in ["soon", "-5", "inf", "NaN", "1e3"] {
            let said = duration(bad).unwrap_err();
            assert!(
                said.contains("write a duration such as 30s") && !said.contains("did you mean"),
                "{said}"
            );
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn off_and_zero_both_turn_a_guard_off() {
        assert_eq!(duration_or_off("off"), Ok(None));
        assert_eq!(duration_or_off("0s"), Ok(None));
        assert_eq!(duration_or_off("5m"), Ok(Some(Duration::from_secs(300))));
    }

    #[test]
    fn limits_of_guards_are_read_with_their_bounds() {
        assert_eq!(window_or_off("60m"), Ok(Some(Duration::from_secs(3600))));
        assert_eq!(window_or_off("0s"), Ok(None));
        assert!(window_or_off("59s").is_err() && window_or_off("8d").is_err());
        assert_eq!(percent_or_off("80"), Ok(Some(80)));
        assert_eq!(percent_or_off("0%"), Ok(None));
        for bad in ["101%", "-1", "0.1", "", "ten"] {
            assert!(percent_or_off(bad).is_err(), "{bad}");
        }
        assert_eq!(factor_or_off("1.25"), Ok(Some(1.25)));
        assert!(factor_or_off("0").is_err() && factor_or_off("NaN").is_err());
        assert_eq!(outlier_factor("ON"), Ok(Some(2.0)));
        assert_eq!(outlier_factor("off"), Ok(None));
        assert!(outlier_factor("hot").unwrap_err().starts_with("expected on, off"));
        assert!(count("0").is_err() && count("1.5").is_err());
    }

    #[test]
    fn numbers_are_finite_and_not_negative() {
        for bad in ["NaN", "inf", "-0.1", "", "0,3"] {
            assert!(ratio(bad).is_err(), "{bad}");
        }
        assert_eq!(ratio("30%"), Ok(0.3));
        assert!(share("1.01").is_err());
    }

    #[test]
    fn quantities_carry_suffixes() {
        assert_eq!(quantity("64Mi"), Ok(67_108_864.0));
        assert_eq!(quantity("250m"), Ok(0.25));
        assert_eq!(quantity("1k"), Ok(1000.0));
        assert_eq!(quantity("off"), Ok(0.0));
        assert!(quantity("64MiB").is_err());
        assert!(quantity("1e308P").is_err(), "a limit without end limits nothing");
        assert!(size("0").is_err());
    }

    #[test]
    fn weights_name_each_metric_at_most_once() {
        assert_eq!(weights("cpu=0.4,lag=0.3,rate=0.2,memory=0.1"), Ok(DEFAULT_WEIGHTS));
        assert_eq!(weights("cpu=1").map(|weights| weights.lag), Ok(0.0));
        for bad in ["cpu", "cpu=1,cpu=2", "nothing=1", "cpu=0", "cpu=-1", "cpu=1e308,lag=1e308", ""] {
            assert!(weights(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn floors_that_are_not_named_keep_their_default() {
        assert_eq!(floors("cpu=0.05,memory=64Mi,lag=1000,rate=1"), Ok(DEFAULT_FLOORS));
        assert_eq!(floors("lag=2M, cpu=off"), Ok(PerMetric { lag: 2e6, cpu: 0.0, ..DEFAULT_FLOORS }));
        assert_eq!(floors("OFF"), Ok(PerMetric::default()));
        assert_eq!(
            floors("1000").unwrap_err(),
            "\"1000\" is no floor; write floors such as cpu=0.05,lag=5000, or off"
        );
        for bad in ["", "lag", "lag=-1", "lag=1,lag=2", "nothing=1", "lag=", "lag=1;cpu=2"] {
            assert!(floors(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn persistence_is_a_window_or_the_parts_that_differ() {
        let rule = |text: &str| persistence(text);
        let standard = Persistence::STANDARD;
        assert_eq!(rule("window=60m,factor=1.25,percent=80%"), Ok(Some(standard)));
        assert_eq!(rule("2h"), Ok(Some(Persistence::over(Duration::from_secs(7200)))));
        assert_eq!(
            rule("factor=1.5, percent=90"),
            Ok(Some(Persistence { factor: 1.5, percent: 90, ..standard }))
        );
        for off in ["off", "0s", "window=off", "percent=0%", "factor=OFF,window=2h"] {
            assert_eq!(rule(off), Ok(None), "{off}");
        }
        for bad in [
            "",
            "60",
            "8d",
            "window=59s",
            "factor=0",
            "percent=101%",
            "share=1",
            "window=1h,window=2h",
            "window=1h,2",
        ] {
            assert!(rule(bad).is_err(), "{bad}");
        }
        assert_eq!(
            rule("factor=NaN").unwrap_err(),
            "factor: it must be a finite number, 0 or more (off turns the guard off)"
        );
    }
}
