//! Serde visitors for the envelope of the query API: any key order, unknown fields skipped.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor,
};

use super::super::error::ErrorKind;
use super::answer::Counts;
use super::pick::Pick;
use super::sink::Point;

/// Maximum number of warnings and infos in an answer; Prometheus stops at ten of each.
const MAX_REMARKS: usize = 1000;

/// Maximum bytes of these texts.
const MAX_REMARK_BYTES: usize = 1 << 20;

/// Maximum samples of one series: a week of minutes is a tenth of it; servers stop at a tenth too.
const MAX_SAMPLES: usize = 100_000;

/// The two shapes of an answer by pod.
pub(crate) trait Shape {
    /// The contents of an element besides its labels.
    type Points: DeserializeOwned;
    /// The `resultType` that announces it.
    const RESULT_TYPE: &'static str;
    /// Keys of an element: labels, points, native histograms.
    const KEYS: [&'static str; 3];
}

/// The samples of a series over a range, at most [`MAX_SAMPLES`].
pub(crate) struct Row(pub Vec<Point>);

/// An instant vector.
pub(crate) struct Instant;

impl Shape for Instant {
    type Points = Point;
    const RESULT_TYPE: &'static str = "vector";
    const KEYS: [&'static str; 3] = ["metric", "value", "histogram"];
}

/// A matrix.
pub(crate) struct Range;

impl Shape for Range {
    type Points = Row;
    const RESULT_TYPE: &'static str = "matrix";
    const KEYS: [&'static str; 3] = ["metric", "values", "histograms"];
}

/// A whole answer without its series, which are passed on one by one.
pub(crate) struct Envelope {
    pub status: String,
    pub error_type: Option<String>,
    pub error: Option<String>,
    pub warnings: Vec<String>,
    pub infos: Vec<String>,
    pub partial: bool,
    pub data: Data,
}

/// The contents of `data` besides the series.
#[derive(Default)]
pub(crate) struct Data {
    pub result_type: String,
    pub counts: Counts,
    /// A pod whose series is a native histogram.
    pub histogram: Option<String>,
}

/// One series.
pub(crate) struct Element<S: Shape> {
    pub pod: String,
    /// Values of the selected labels, in order.
    pub labels: Vec<String>,
    pub points: S::Points,
}

/// Takes a series and returns the bytes of memory that it keeps.
pub(crate) type Take<'t, S> = dyn FnMut(Element<S>) -> usize + 't;

/// Reads an [`Envelope`] and passes each of its series to `take`.
pub(crate) struct EnvelopeSeed<'a, 't, S: Shape> {
    pub pick: &'a Pick<'a>,
    pub take: &'a mut Take<'t, S>,
}

impl<'de, S: Shape> DeserializeSeed<'de> for EnvelopeSeed<'_, '_, S> {
    type Value = Envelope;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: Shape> Visitor<'de> for EnvelopeSeed<'_, '_, S> {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with status and data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        const KEYS: [&str; 7] = ["status", "data", "errorType", "error", "warnings", "infos", "isPartial"];
        let mut status: Option<String> = None;
        let mut data: Option<Data> = None;
        let (mut error_type, mut error): (Option<String>, Option<String>) = (None, None);
        let mut warnings: Option<Told> = None;
        let mut infos: Option<Told> = None;
        let mut partial: Option<bool> = None;
        while let Some(key) = map.next_key_seed(OneOf(&KEYS))? {
            match key {
                Some(0) => once(&mut status, "status", map.next_value()?)?,
                Some(1) if data.is_some() => return Err(de::Error::duplicate_field("data")),
                Some(1) => {
                    data = map.next_value_seed(DataSeed::<S> { pick: self.pick, take: &mut *self.take })?;
                }
                Some(2) => error_type = map.next_value()?,
                Some(3) => error = map.next_value()?,
                Some(4) => once(&mut warnings, "warnings", map.next_value()?)?,
                Some(5) => infos = map.next_value()?,
                Some(6) => once(&mut partial, "isPartial", map.next_value()?)?,
                _ => map.next_value::<Skip>().map(drop)?,
            }
        }
        let status = status.ok_or_else(|| de::Error::missing_field("status"))?;
        if data.is_none() && status == "success" {
            return Err(de::Error::missing_field("data"));
        }
        Ok(Envelope {
            status,
            error_type,
            error,
            warnings: warnings.unwrap_or_default().0,
            infos: infos.unwrap_or_default().0,
            partial: partial.unwrap_or_default(),
            data: data.unwrap_or_default(),
        })
    }
}

/// The server's texts, at most [`MAX_REMARKS`] of them and [`MAX_REMARK_BYTES`] in total.
#[derive(Default)]
struct Told(Vec<String>);

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ToldVisitor)
    }
}

struct ToldVisitor;

impl<'de> Visitor<'de> for ToldVisitor {
    type Value = Told;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_REMARKS} remarks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Told, A::Error> {
        let (mut told, mut bytes): (Vec<String>, usize) = (Vec::new(), 0);
        while let Some(remark) = seq.next_element::<String>()? {
            bytes += remark.len();
            if told.len() == MAX_REMARKS || bytes > MAX_REMARK_BYTES {
                return Err(de::Error::invalid_length(told.len() + 1, &self));
            }
            told.push(remark);
        }
        Ok(Told(told))
    }
}

/// Fills a slot once; null leaves it empty.
fn once<T, E: de::Error>(slot: &mut Option<T>, key: &'static str, value: Option<T>) -> Result<(), E> {
    if slot.is_some() {
        return Err(E::duplicate_field(key));
    }
    *slot = value;
    Ok(())
}

struct DataSeed<'a, 't, S: Shape> {
    pick: &'a Pick<'a>,
    take: &'a mut Take<'t, S>,
}

impl<'de, S: Shape> DeserializeSeed<'de> for DataSeed<'_, '_, S> {
    type Value = Option<Data>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: Shape> Visitor<'de> for DataSeed<'_, '_, S> {
    type Value = Option<Data>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with resultType and result")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut result_type: Option<String> = None;
        let mut data = Data::default();
        let mut has_result = false;
        while let Some(key) = map.next_key_seed(OneOf(&["resultType", "result"]))? {
            match key {
                Some(0) => once(&mut result_type, "resultType", map.next_value()?)?,
                Some(1) if has_result => return Err(de::Error::duplicate_field("result")),
                Some(1) => {
                    has_result = true;
                    // An answer of another type has another shape; the type is the error to report.
                    if result_type.as_deref().is_some_and(|found| found != S::RESULT_TYPE) {
                        map.next_value::<Skip>()?;
                    } else {
                        map.next_value_seed(ResultSeed {
                            pick: self.pick,
                            take: &mut *self.take,
                            data: &mut data,
                        })?;
                    }
                }
                _ => map.next_value::<Skip>().map(drop)?,
            }
        }
        data.result_type = result_type.ok_or_else(|| de::Error::missing_field("resultType"))?;
        if !has_result {
            return Err(de::Error::missing_field("result"));
        }
        Ok(Some(data))
    }
}

struct ResultSeed<'a, 't, S: Shape> {
    pick: &'a Pick<'a>,
    take: &'a mut Take<'t, S>,
    data: &'a mut Data,
}

impl<'de, S: Shape> DeserializeSeed<'de> for ResultSeed<'_, '_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Shape> Visitor<'de> for ResultSeed<'_, '_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the list of series of a {}", S::RESULT_TYPE)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { pick, take, data } = self;
        while let Some(()) =
            seq.next_element_seed(ElementSeed { pick, take: &mut *take, data: &mut *data })?
        {}
        Ok(())
    }
}

/// Reads one series and passes it on.
struct ElementSeed<'a, 't, S: Shape> {
    pick: &'a Pick<'a>,
    take: &'a mut Take<'t, S>,
    data: &'a mut Data,
}

impl<'de, S: Shape> DeserializeSeed<'de> for ElementSeed<'_, '_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: Shape> Visitor<'de> for ElementSeed<'_, '_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut labels: Option<Labels> = None;
        let mut points: Option<S::Points> = None;
        let mut histogram = false;
        while let Some(key) = map.next_key_seed(OneOf(&S::KEYS))? {
            match key {
                Some(0) if labels.is_some() => return Err(de::Error::duplicate_field("metric")),
                Some(0) => labels = Some(map.next_value_seed(LabelsSeed(self.pick))?),
                Some(1) => once(&mut points, S::KEYS[1], map.next_value()?)?,
                Some(2) => {
                    histogram = true;
                    map.next_value::<Skip>()?;
                }
                _ => map.next_value::<Skip>().map(drop)?,
            }
        }
        let Labels { pod, other_namespace, picked } =
            labels.ok_or_else(|| de::Error::missing_field("metric"))?;
        let counts = &mut self.data.counts;
        counts.series += 1;
        if pod.is_empty() && self.pick.needs_pod() {
            counts.without_pod += 1;
        } else if other_namespace {
            counts.other_namespace += 1;
        } else if histogram {
            self.data.histogram.get_or_insert(pod);
        } else {
            let points = points.ok_or_else(|| de::Error::missing_field(S::KEYS[1]))?;
            let kept = self.pick.kept.get() + (self.take)(Element { pod, labels: picked, points });
            self.pick.kept.set(kept);
            let max_kept = self.pick.wanted.max_kept();
            if kept > max_kept {
                self.pick.refused.set(Some(ErrorKind::TooMuch { max_bytes: max_kept }));
                return Err(de::Error::custom("too large"));
            }
        }
        Ok(())
    }
}

/// The relevant labels of a set. An absent label is empty, as everywhere in Prometheus.
#[derive(Default)]
struct Labels {
    pod: String,
    other_namespace: bool,
    picked: Vec<String>,
}

struct LabelsSeed<'a>(&'a Pick<'a>);

impl<'de> DeserializeSeed<'de> for LabelsSeed<'_> {
    type Value = Labels;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Labels, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LabelsSeed<'_> {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set of labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut pod: Option<String> = None;
        let mut namespace: Option<bool> = None;
        let mut picked: Vec<String> = vec![String::new(); self.0.labels().len()];
        while let Some(key) = map.next_key_seed(OneOf(&self.0.keys))? {
            match (key, self.0.wanted.namespace) {
                (Some(0), _) => once(&mut pod, "pod", Some(map.next_value()?))?,
                (Some(1), Some(asked)) => {
                    let same = map.next_value_seed(OneOf(&[asked, ""]))?.is_some();
                    once(&mut namespace, "namespace", Some(same))?;
                }
                (Some(key @ 2..), _) => picked[key - 2] = map.next_value()?,
                _ => map.next_value::<Skip>().map(drop)?,
            }
        }
        Ok(Labels { pod: pod.unwrap_or_default(), other_namespace: namespace == Some(false), picked })
    }
}

/// Reads a string and returns which of these it is, without keeping it.
struct OneOf<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for OneOf<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for OneOf<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|candidate| *candidate == text))
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (seconds, Value(value)): (f64, Value) = Deserialize::deserialize(deserializer)?;
        // `as` saturates: a time out of range becomes the largest time, never a wrong one.
        #[expect(clippy::cast_possible_truncation)]
        let timestamp_ms = (seconds * 1000.0).round() as i64;
        Ok(Self { timestamp_ms, value })
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_SAMPLES} samples")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Row, A::Error> {
        let mut points: Vec<Point> = Vec::new();
        while let Some(point) = seq.next_element()? {
            if points.len() == MAX_SAMPLES {
                return Err(de::Error::invalid_length(MAX_SAMPLES + 1, &self));
            }
            points.push(point);
        }
        points.shrink_to_fit();
        Ok(Row(points))
    }
}

/// A sample value: a string as the API specifies, or a plain number.
struct Value(f64);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl Visitor<'_> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sample value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        text.parse().map(Value).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value(value as f64))
    }
}

/// Reads any value and discards it. Unlike `IgnoredAny`, it respects the parser's nesting limit.
struct Skip;

impl<'de> Deserialize<'de> for Skip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SkipVisitor)
    }
}

struct SkipVisitor;

impl<'de> Visitor<'de> for SkipVisitor {
    type Value = Skip;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_str<E>(self, _: &str) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_unit<E>(self) -> Result<Skip, E> {
        Ok(Skip)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Skip, A::Error> {
        while let Some(Skip) = seq.next_element()? {}
        Ok(Skip)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Skip, A::Error> {
        while let Some((Skip, Skip)) = map.next_entry()? {}
        Ok(Skip)
    }
}
