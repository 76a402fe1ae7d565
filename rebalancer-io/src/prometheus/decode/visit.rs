//! Serde visitors for the envelope of the query API: any key order, unknown fields skipped.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};

use super::super::error::ErrorKind;
use super::answer::{Counts, Point, Wanted};

/// The two shapes of an answer by pod.
pub(super) trait Shape {
    /// The contents of an element besides its labels.
    type Points: DeserializeOwned;
    /// The `resultType` that announces it.
    const RESULT_TYPE: &'static str;
    /// Keys of an element: labels, points, native histograms.
    const KEYS: [&'static str; 3];
}

/// An instant vector.
pub(super) struct Instant;

impl Shape for Instant {
    type Points = Point;
    const RESULT_TYPE: &'static str = "vector";
    const KEYS: [&'static str; 3] = ["metric", "value", "histogram"];
}

/// A matrix.
pub(super) struct Range;

impl Shape for Range {
    type Points = Limited<Point>;
    const RESULT_TYPE: &'static str = "matrix";
    const KEYS: [&'static str; 3] = ["metric", "values", "histograms"];
}

/// One series.
pub(super) struct Element<S: Shape> {
    pub pod: String,
    /// Values of the selected labels, in order.
    pub labels: Vec<String>,
    pub points: S::Points,
}

/// Takes a series and returns the bytes of memory that it keeps.
pub(super) type Take<'a, S> = dyn FnMut(Element<S>) -> usize + 'a;

/// What to read of an answer, and what has been read of it.
pub(super) struct Reading<'a, S: Shape> {
    pub wanted: &'a Wanted<'a>,
    /// The pod's label and the namespace, then the selected labels.
    keys: Vec<&'a str>,
    take: &'a mut Take<'a, S>,
    /// Memory kept for the answer so far, in bytes.
    pub kept: usize,
    /// Why reading was aborted, unless it was because of the answer's form.
    pub refused: Option<ErrorKind>,
    pub result_type: String,
    pub counts: Counts,
    /// A pod whose series is a native histogram.
    pub histogram: Option<String>,
}

impl<'a, S: Shape> Reading<'a, S> {
    /// Passes each series, with the values of `labels`, to `take`. Unless there are such labels, a series without pod is
    /// left out.
    pub(super) fn new(wanted: &'a Wanted<'a>, labels: &[&'a str], take: &'a mut Take<'a, S>) -> Self {
        Self {
            wanted,
            keys: [&[wanted.pod_label, "namespace"], labels].concat(),
            take,
            kept: 0,
            refused: None,
            result_type: String::new(),
            counts: Counts::default(),
            histogram: None,
        }
    }
}

/// Reads a value with a visitor that has a state.
struct Seed<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Seed<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_any(self.0)
    }
}

/// A whole answer without its data.
pub(super) struct Envelope {
    pub status: String,
    pub error_type: Option<String>,
    pub error: Option<String>,
    pub warnings: Vec<String>,
    pub partial: bool,
}

/// Reads an [`Envelope`], and its data on the way.
pub(super) struct EnvelopeVisitor<'r, 'a, S: Shape>(pub &'r mut Reading<'a, S>);

impl<'de, S: Shape> Visitor<'de> for EnvelopeVisitor<'_, '_, S> {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with status and data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        const KEYS: [&str; 6] = ["status", "data", "errorType", "error", "warnings", "isPartial"];
        let mut status: Option<String> = None;
        let mut data: Option<()> = None;
        let (mut error_type, mut error): (Option<String>, Option<String>) = (None, None);
        let mut warnings: Option<Limited<String>> = None;
        let mut partial: Option<bool> = None;
        while let Some(key) = map.next_key_seed(Seed(OneOf(&KEYS)))? {
            match key {
                Some(0) => once(&mut status, "status", map.next_value()?)?,
                Some(1) if data.is_some() => return Err(de::Error::duplicate_field("data")),
                Some(1) => data = map.next_value_seed(Seed(DataVisitor(&mut *self.0)))?,
                Some(2) => error_type = map.next_value()?,
                Some(3) => error = map.next_value()?,
                Some(4) => once(&mut warnings, "warnings", map.next_value()?)?,
                Some(5) => once(&mut partial, "isPartial", map.next_value()?)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let status = status.ok_or_else(|| de::Error::missing_field("status"))?;
        if data.is_none() && status == "success" {
            return Err(de::Error::missing_field("data"));
        }
        let warnings = warnings.map(|Limited(warnings)| warnings).unwrap_or_default();
        Ok(Envelope { status, error_type, error, warnings, partial: partial.unwrap_or_default() })
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

/// Reads the data; `None` if it is null.
struct DataVisitor<'r, 'a, S: Shape>(&'r mut Reading<'a, S>);

impl<'de, S: Shape> Visitor<'de> for DataVisitor<'_, '_, S> {
    type Value = Option<()>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with resultType and result")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut result_type: Option<String> = None;
        let mut result: Option<()> = None;
        while let Some(key) = map.next_key_seed(Seed(OneOf(&["resultType", "result"])))? {
            match key {
                Some(0) => once(&mut result_type, "resultType", map.next_value()?)?,
                Some(1) if result.is_some() => return Err(de::Error::duplicate_field("result")),
                // An answer of another type has another shape; the type is the error to report.
                Some(1) if result_type.as_deref().is_some_and(|found| found != S::RESULT_TYPE) => {
                    result = Some(map.next_value::<IgnoredAny>().map(drop)?);
                }
                Some(1) => result = Some(map.next_value_seed(Seed(ResultVisitor(&mut *self.0)))?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        self.0.result_type = result_type.ok_or_else(|| de::Error::missing_field("resultType"))?;
        result.ok_or_else(|| de::Error::missing_field("result")).map(Some)
    }
}

/// Reads the list of series.
struct ResultVisitor<'r, 'a, S: Shape>(&'r mut Reading<'a, S>);

impl<'de, S: Shape> Visitor<'de> for ResultVisitor<'_, '_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the list of series of a {}", S::RESULT_TYPE)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(()) = seq.next_element_seed(Seed(ElementVisitor(&mut *self.0)))? {}
        Ok(())
    }
}

/// Reads one series and passes it on.
struct ElementVisitor<'r, 'a, S: Shape>(&'r mut Reading<'a, S>);

impl<'de, S: Shape> Visitor<'de> for ElementVisitor<'_, '_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(reading) = self;
        let mut labels: Option<Labels> = None;
        let mut points: Option<S::Points> = None;
        let mut histogram = false;
        while let Some(key) = map.next_key_seed(Seed(OneOf(&S::KEYS)))? {
            match key {
                Some(0) if labels.is_some() => return Err(de::Error::duplicate_field("metric")),
                Some(0) => {
                    let visitor = LabelsVisitor { keys: &reading.keys, namespace: reading.wanted.namespace };
                    labels = Some(map.next_value_seed(Seed(visitor))?);
                }
                Some(1) => once(&mut points, S::KEYS[1], map.next_value()?)?,
                Some(2) => {
                    histogram = true;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let Labels { pod, other_namespace, picked } =
            labels.ok_or_else(|| de::Error::missing_field("metric"))?;
        reading.counts.series += 1;
        if pod.is_empty() && picked.is_empty() {
            reading.counts.without_pod += 1;
        } else if !other_namespace && histogram {
            reading.histogram.get_or_insert(pod);
        } else if !other_namespace {
            let points = points.ok_or_else(|| de::Error::missing_field(S::KEYS[1]))?;
            reading.kept += (reading.take)(Element { pod, labels: picked, points });
            let max_bytes = reading.wanted.max_kept();
            if reading.kept > max_bytes {
                reading.refused = Some(ErrorKind::TooMuch { max_bytes });
                return Err(de::Error::custom("too large"));
            }
        }
        Ok(())
    }
}

/// The relevant labels of a set. An absent label is empty, as everywhere in Prometheus.
struct Labels {
    pod: String,
    other_namespace: bool,
    /// Values of the selected labels.
    picked: Vec<String>,
}

struct LabelsVisitor<'r> {
    keys: &'r [&'r str],
    namespace: Option<&'r str>,
}

impl<'de> Visitor<'de> for LabelsVisitor<'_> {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set of labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut pod: Option<String> = None;
        let mut is_here: Option<bool> = None;
        let mut picked: Vec<String> = vec![String::new(); self.keys.len() - 2];
        while let Some(key) = map.next_key_seed(Seed(OneOf(self.keys)))? {
            match (key, self.namespace) {
                (Some(0), _) => once(&mut pod, "pod", Some(map.next_value()?))?,
                (Some(1), Some(asked)) => {
                    let same = map.next_value_seed(Seed(OneOf(&[asked, ""])))?.is_some();
                    once(&mut is_here, "namespace", Some(same))?;
                }
                (Some(key @ 2..), _) => picked[key - 2] = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Labels { pod: pod.unwrap_or_default(), other_namespace: is_here == Some(false), picked })
    }
}

/// Reads a string and returns which of these it is, without keeping it.
struct OneOf<'a>(&'a [&'a str]);

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

/// A list that does not grow without end.
pub(super) struct Limited<T>(pub Vec<T>);

/// What such a list may hold.
trait Item: DeserializeOwned {
    /// Most of them in one list.
    const MOST: usize;
    /// What they are, in messages.
    const NAME: &'static str;
}

/// The samples of one series: a week of minutes is a tenth of it; servers stop at a tenth too.
impl Item for Point {
    const MOST: usize = 100_000;
    const NAME: &'static str = "samples";
}

/// Warnings; Prometheus stops at ten.
impl Item for String {
    const MOST: usize = 1000;
    const NAME: &'static str = "remarks";
}

impl<'de, T: Item> Deserialize<'de> for Limited<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(LimitedVisitor(PhantomData))
    }
}

struct LimitedVisitor<T>(PhantomData<T>);

impl<'de, T: Item> Visitor<'de> for LimitedVisitor<T> {
    type Value = Limited<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {} {}", T::MOST, T::NAME)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Limited<T>, A::Error> {
        let mut items: Vec<T> = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() == T::MOST {
                return Err(de::Error::invalid_length(T::MOST + 1, &self));
            }
            items.push(item);
        }
        items.shrink_to_fit();
        Ok(Limited(items))
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
