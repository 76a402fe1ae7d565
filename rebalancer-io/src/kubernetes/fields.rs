//! Fields shared by many API objects: list metadata, owner references, times, and nulls.

use core::time::Duration;
use std::borrow::Cow;

use jiff::Timestamp;
use rebalancer_core::Controller;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Metadata of a list.
#[derive(Deserialize, Default)]
pub(super) struct ListMeta {
    #[serde(rename = "continue")]
    pub continue_token: Option<String>,
}

/// An entry of `metadata.ownerReferences`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnerReference {
    #[serde(default)]
    api_version: String,
    kind: String,
    name: String,
    uid: String,
    #[serde(default)]
    controller: Option<bool>,
}

impl OwnerReference {
    /// The controller among the owners of an object.
    pub(super) fn controlling(owners: Vec<Self>) -> Option<Controller> {
        let owner = owners.into_iter().find(|owner| owner.controller == Some(true))?;
        let Self { api_version, kind, name, uid, .. } = owner;
        let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        Some(Controller { group: Some(group), kind, name, uid })
    }
}

/// Time from `then` to `now`; zero if `then` is in the future, because clocks differ.
pub(super) fn elapsed(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// A text of an answer, copied only where it is written with escapes: a list has many that are not kept.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A time in the API's format, or null.
pub(super) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<Text<'de>> = Option::deserialize(deserializer)?;
    let Some(Text(text)) = text else { return Ok(None) };
    match text.parse() {
        Ok(moment) => Ok(Some(moment)),
        Err(error) => Err(D::Error::custom(format_args!("{text:?} is no time: {error}"))),
    }
}

/// A value that may be null: the API omits empty lists and maps, and some tools write null.
pub(super) fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value: Option<T> = Option::deserialize(deserializer)?;
    Ok(value.unwrap_or_default())
}
