//! The answer to a range query as one row of numbers per series, compact enough for a page.
//!
//! The times are those that were queried, and the numbers keep as many digits as requested.

use std::io::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::exchange::Exchange;
use crate::prometheus::{TimeRange, When};

/// A moment without a sample.
const GAP: &str = "-";

/// The answer, without its times.
#[derive(Serialize, Deserialize)]
pub(super) struct Matrix {
    series: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    metric: Map<String, Value>,
    /// Numbers separated by spaces, one per moment from the first on.
    values: String,
}

/// An answer that is only a matrix; anything else in an answer must not be lost.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    status: String,
    #[serde(default)]
    is_partial: bool,
    #[serde(default, rename = "stats")]
    _stats: Value,
    data: Data,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Series>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    metric: Map<String, Value>,
    values: Vec<(f64, String)>,
}

/// The moments of a range query, in milliseconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    start_ms: i64,
    step_ms: i64,
    moments: usize,
}

impl Grid {
    /// The grid of a range; `None` if it is no range, or makes no sense.
    pub(super) fn of(when: &When) -> Option<Self> {
        let When::Range(TimeRange { start, end, step }) = when else { return None };
        let step_ms = i64::try_from(step.as_millis()).ok().filter(|step| *step > 0)?;
        let start_ms = start.as_millisecond();
        let steps = end.as_millisecond().checked_sub(start_ms)? / step_ms;
        Some(Self { start_ms, step_ms, moments: usize::try_from(steps).ok()? + 1 })
    }

    /// The index of the moment `seconds`.
    fn place(self, seconds: f64) -> Option<usize> {
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and is then no moment")]
        let since_ms = ((seconds * 1000.0).round() as i64).checked_sub(self.start_ms)?;
        let place = usize::try_from(since_ms / self.step_ms).ok()?;
        (since_ms % self.step_ms == 0 && place < self.moments).then_some(place)
    }

    fn seconds(self, place: usize) -> String {
        let ms = self.start_ms + self.step_ms * i64::try_from(place).unwrap_or_default();
        format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
    }
}

impl Matrix {
    /// The answer of an exchange, with `digits` significant digits; `None` if it is not a complete matrix on
    /// the requested grid.
    pub(super) fn of(exchange: &Exchange, digits: usize) -> Option<Self> {
        let grid = Grid::of(&exchange.when).filter(|_| exchange.status == 200)?;
        let body: Body = serde_json::from_slice(&exchange.body).ok()?;
        if body.status != "success" || body.is_partial || body.data.result_type != "matrix" {
            return None;
        }
        let rows = body.data.result.into_iter().map(|series| Row::of(series, grid, digits));
        Some(Self { series: rows.collect::<Option<Vec<Row>>>()? })
    }

    /// The answer in a server's format, at most `max_bytes` long.
    pub(super) fn body(&self, grid: Grid, max_bytes: u64) -> Result<Vec<u8>, String> {
        let mut out = br#"{"data":{"result":["#.to_vec();
        for (number, row) in self.series.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            row.write(grid, max_bytes, &mut out)?;
        }
        out.extend_from_slice(br#"],"resultType":"matrix"},"status":"success"}"#);
        Ok(out)
    }
}

impl Row {
    fn of(series: Series, grid: Grid, digits: usize) -> Option<Self> {
        let mut words: Vec<String> = Vec::with_capacity(series.values.len());
        for (seconds, text) in series.values {
            let place = grid.place(seconds).filter(|place| *place >= words.len())?;
            words.resize(place, GAP.to_owned());
            words.push(rounded(text.parse().ok()?, digits)?);
        }
        Some(Self { metric: series.metric, values: words.join(" ") })
    }

    fn write(&self, grid: Grid, max_bytes: u64, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(br#"{"metric":"#);
        serde_json::to_writer(&mut *out, &self.metric).map_err(|error| error.to_string())?;
        out.extend_from_slice(br#","values":["#);
        let mut comma = "";
        for (place, word) in self.values.split_ascii_whitespace().enumerate() {
            if place >= grid.moments {
                return Err(format!("a row has more than the {} moments of its range", grid.moments));
            }
            if word == GAP {
                continue;
            }
            if !word.parse().is_ok_and(f64::is_finite) {
                return Err("a row holds something else than numbers".to_owned());
            }
            let seconds = grid.seconds(place);
            write!(out, "{comma}[{seconds},\"{word}\"]").map_err(|error| error.to_string())?;
            comma = ",";
            if out.len() as u64 > max_bytes {
                return Err(format!("it is larger than {max_bytes} bytes"));
            }
        }
        out.extend_from_slice(b"]}");
        Ok(())
    }
}

/// A number with this many significant digits; `None` if it is not finite.
fn rounded(value: f64, digits: usize) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let rounded: f64 = format!("{value:.*e}", digits.saturating_sub(1)).parse().ok()?;
    Some(rounded.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;

    fn exchange(body: &str) -> Exchange {
        let at = |seconds: i64| Timestamp::from_second(seconds).expect("a time");
        Exchange {
            name: "cpu_history".into(),
            query: "up".into(),
            when: When::Range(TimeRange { start: at(60), end: at(240), step: Duration::from_secs(60) }),
            status: 200,
            content_type: None,
            location: None,
            body: body.as_bytes().into(),
        }
    }

    fn body(values: &str) -> String {
        let series = format!(r#"{{"metric":{{"pod":"a"}},"values":{values}}}"#);
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#)
    }

    #[test]
    fn a_row_keeps_moments_gaps_and_digits() {
        let exchange = exchange(&body(r#"[[60,"0.123456"],[180,"27149"],[240,"0"]]"#));
        let matrix = Matrix::of(&exchange, 3).expect("a matrix on its grid");
        assert_eq!(matrix.series[0].values, "0.123 - 27100 0");
        let grid = Grid::of(&exchange.when).expect("a range");
        let again = String::from_utf8(matrix.body(grid, 1 << 20).expect("rows of numbers")).expect("JSON");
        let back = body(r#"[[60.0,"0.123"],[180.0,"27100"],[240.0,"0"]]"#);
        let value = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
        assert_eq!(value(&again), value(&back));
    }

    #[test]
    fn what_is_more_than_a_matrix_on_its_grid_is_left_as_it_is() {
        let kept = [
            body(r#"[[61,"1"]]"#),
            body(r#"[[300,"1"]]"#),
            body(r#"[[120,"1"],[60,"1"]]"#),
            body(r#"[[60,"1"],[60,"1"]]"#),
            body(r#"[[60,"NaN"]]"#),
            body("[]").replace("success", "error"),
            body("[]").replace("matrix", "vector"),
            body("[]").replacen('{', r#"{"warnings":["half"],"#, 1),
            body("[]").replacen('{', r#"{"isPartial":true,"#, 1),
            "no JSON".to_owned(),
        ];
        for body in kept {
            assert!(Matrix::of(&exchange(&body), 3).is_none(), "{body}");
        }
        let telling = body("[]").replacen('{', r#"{"isPartial":false,"stats":{"seriesFetched":"1"},"#, 1);
        assert!(Matrix::of(&exchange(&telling), 3).is_some(), "statistics tell nothing of the loads");
    }

    #[test]
    fn a_row_is_not_written_beyond_the_limit() {
        let grid = Grid { start_ms: 0, step_ms: 1000, moments: usize::MAX };
        let row = Row { metric: Map::new(), values: "0 ".repeat(1000) };
        let matrix = Matrix { series: vec![row] };
        assert!(matrix.body(grid, 1 << 20).is_ok());
        assert_eq!(matrix.body(grid, 999), Err("it is larger than 999 bytes".to_owned()));
    }

    #[test]
    fn a_row_of_nonsense_is_refused() {
        let grid = Grid { start_ms: 0, step_ms: 1000, moments: 2 };
        for values in ["1 2 3", "1 x", "inf"] {
            let row = Row { metric: Map::new(), values: values.to_owned() };
            assert!(Matrix { series: vec![row] }.body(grid, 1 << 20).is_err(), "{values}");
        }
    }
}
