//! Every setting with its value and where the value comes from.

use maud::{Markup, html};

use super::text;
use crate::format::text::masked;

/// One setting; for a secret only whether it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingRow {
    /// The variable or flag that sets it.
    pub name: String,
    /// Its value.
    pub value: String,
    /// `flag`, `environment`, `recording` or `default`.
    pub source: &'static str,
}

/// The settings, with those that were set visible at once.
pub fn section(settings: &[SettingRow]) -> Markup {
    let (default, set): (Vec<&SettingRow>, Vec<&SettingRow>) =
        settings.iter().partition(|row| row.source == "default");
    html! {
        @if !settings.is_empty() {
            section aria-labelledby="configuration" {
                h2 #configuration { "Configuration" }
                @if set.is_empty() { p { "Nothing was set: every setting has its default." } }
                @else { (table("Settings that were set", &set)) }
                @if !default.is_empty() {
                    details {
                        summary { (default.len()) " settings with their defaults" }
                        (table("Settings with their defaults", &default))
                    }
                }
            }
        }
    }
}

fn table(caption: &str, rows: &[&SettingRow]) -> Markup {
    let rows = html! {
        @for row in rows { tr { th scope="row" { (row.name) } td { (masked(&row.value)) } td { (row.source) } } }
    };
    text::table("settings", caption, &[("Setting", false), ("Value", false), ("From", false)], &rows)
}
