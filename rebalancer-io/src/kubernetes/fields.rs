//! Fields shared by many API objects: names, owner references, times, and nulls.

use core::time::Duration;
use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use rebalancer_core::Controller;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// What every object says of itself. Items of a list do not name their kind.
#[derive(Deserialize)]
pub(super) struct Identified {
    #[serde(default)]
    pub kind: String,
    pub metadata: ObjectMeta,
}

/// Whether this is a DNS name in lower case, as the names of most objects and of groups are.
pub(super) fn is_dns_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// The controller among the owners of an object.
pub(super) fn controlling<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Controller>, D::Error> {
    let owners: Vec<OwnerReference> = null_is_empty(deserializer)?;
    let owner = owners.into_iter().find(|owner| owner.controller == Some(true));
    Ok(owner.map(|OwnerReference { api_version, kind, name, uid, .. }| {
        let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        Controller { group: Some(group), kind, name, uid }
    }))
}

/// A time of the client library, which has another version of the crate for times.
pub(super) fn timestamp(time: k8s_openapi::jiff::Timestamp) -> Option<Timestamp> {
    Timestamp::from_nanosecond(time.as_nanosecond()).ok()
}

/// The value of an annotation of an object.
pub(super) fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a String> {
    metadata.annotations.as_ref()?.get(name)
}

/// When an object was created.
pub(super) fn created(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().and_then(|time| timestamp(time.0))
}

/// Time from `then` to `now`; zero if `then` is in the future, because clocks differ.
pub(super) fn elapsed(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// A text of an answer, copied only where it is written with escapes: a list has many that are not kept.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The annotations of these names, or null.
pub(super) fn annotations_where<'de, D: Deserializer<'de>>(
    deserializer: D,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>, D::Error> {
    let all: BTreeMap<Text<'de>, Text<'de>> = null_is_empty(deserializer)?;
    let wanted = all.into_iter().filter(|(Text(name), _)| is_wanted(name));
    Ok(wanted.map(|(Text(name), Text(value))| (name.into_owned(), value.into_owned())).collect())
}

/// A time in the API's format, or null.
pub(super) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<Text<'de>> = Option::deserialize(deserializer)?;
    let parsed = |Text(text): Text<'de>| {
        text.parse().map_err(|error| D::Error::custom(format_args!("{text:?} is no time: {error}")))
    };
    text.map(parsed).transpose()
}

/// A value that may be null: the API omits empty lists and maps, and some tools write null.
pub(super) fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value: Option<T> = Option::deserialize(deserializer)?;
    Ok(value.unwrap_or_default())
}
