//! Own queries: replaces placeholders by values that cannot break out of their string.

use super::settings::{QuerySettings, SettingError};
use crate::promql::{duration, literal, regex};

/// The longest query that `VictoriaMetrics` accepts, in bytes (`-search.maxQueryLen`). Other servers accept
/// longer ones, but so long a list of names is slow there too.
const MAX_QUERY_BYTES: usize = 16_384;

/// Replaces `{{namespace}}`, `{{pods_regex}}`, `{{pods_pattern}}`, `{{window}}`, `{{group}}`, `{{container}}`
/// and `{{matchers}}`. If there are no matchers, the comma after them is removed too.
///
/// `variable` is the setting that holds the query, for messages.
pub(super) fn fill(template: &str, variable: &str, settings: &QuerySettings) -> Result<String, SettingError> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, mut after)) = rest.split_once("{{") {
        filled.push_str(before);
        // `up{{{matchers}}}`: the first of three braces belongs to the selector.
        while let Some(inner) = after.strip_prefix('{') {
            filled.push('{');
            after = inner;
        }
        let unclosed = || SettingError::UnclosedPlaceholder { variable: variable.to_owned() };
        let (name, behind) = after.split_once("}}").ok_or_else(unclosed)?;
        let value = value(name.trim(), variable, settings)?;
        filled.push_str(&value);
        rest = match behind.trim_start().strip_prefix(',') {
            Some(next) if value.is_empty() && name.trim() == "matchers" => next,
            _ => behind,
        };
    }
    filled.push_str(rest);
    if filled.len() > MAX_QUERY_BYTES && template.len() <= MAX_QUERY_BYTES {
        let (bytes, pods) = (filled.len(), settings.pods.len());
        return Err(SettingError::TooLong { variable: variable.to_owned(), bytes, pods });
    }
    Ok(filled)
}

fn value(name: &str, variable: &str, settings: &QuerySettings) -> Result<String, SettingError> {
    let needed = |setting: &'static str| SettingError::Missing { setting, needed_by: variable.to_owned() };
    match name {
        "namespace" => Ok(literal(&settings.namespace)),
        "window" => Ok(duration(settings.window)),
        "group" => settings.group.as_deref().map(literal).ok_or_else(|| needed("KAFKA_GROUP")),
        "container" => settings.container.as_deref().map(literal).ok_or_else(|| needed("CONTAINER")),
        "pods_regex" if settings.pods.is_empty() => {
            Err(SettingError::NoPods { variable: variable.to_owned() })
        }
        "pods_regex" => {
            let names: Vec<String> = settings.pods.iter().map(|pod| literal(&regex(pod))).collect();
            Ok(names.join("|"))
        }
        "pods_pattern" => Ok(settings.pod_pattern.as_deref().map_or_else(|| ".+".to_owned(), literal)),
        "matchers" => Ok(settings.matchers.to_string()),
        _ => Err(SettingError::UnknownPlaceholder { variable: variable.to_owned(), name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::{QuerySettings, SettingError, fill};

    fn settings() -> QuerySettings {
        let mut settings = QuerySettings::new("shop");
        settings.pods = vec!["a-0".into(), "b.1".into()];
        settings.group = Some(r#"or"ders\x"#.into());
        settings
    }

    #[test]
    fn placeholders_are_filled_and_escaped() {
        let query = r#"x{namespace="{{namespace}}",pod=~"{{ pods_regex }}",g="{{group}}"}[{{window}}]"#;
        let expected = r#"x{namespace="shop",pod=~"a-0|b\\.1",g="or\"ders\\x"}[5m]"#;
        assert_eq!(fill(query, "QUERY_LAG", &settings()).as_deref(), Ok(expected));
    }

    #[test]
    fn no_value_leaves_the_string_it_stands_in() {
        let mut settings = settings();
        settings.group = Some("a\"} or up{b='`\\\n".into());
        for quote in ['"', '\'', '`'] {
            let filled = fill(&format!("x{{g={quote}{{{{group}}}}{quote}}}"), "QUERY_LAG", &settings);
            let filled = filled.expect("a query");
            let inside = &filled["x{g=".len() + 1..filled.len() - 2];
            assert!(!inside.contains('\n'), "{filled}");
            let unescaped = inside.replace(r"\\", "").replace(r#"\""#, if quote == '"' { "" } else { "\"" });
            assert!(!unescaped.contains(quote), "{filled}");
        }
    }

    #[test]
    fn what_cannot_be_filled_names_the_setting() {
        let cases = [
            ("{{container}}", "QUERY_LAG needs CONTAINER, which is not set"),
            (
                "{{grp}}",
                "QUERY_LAG: {{grp}} is no placeholder; there are {{namespace}}, {{pods_regex}}, {{pods_pattern}}, {{window}}, {{group}}, {{container}} and {{matchers}}",
            ),
            ("{{", "QUERY_LAG: a placeholder opened with {{ is not closed with }}"),
        ];
        for (template, expected) in cases {
            let error = fill(template, "QUERY_LAG", &settings()).expect_err(template);
            assert_eq!(error.to_string(), expected);
        }
        let nobody = QuerySettings::new("shop");
        assert_eq!(
            fill("{{pods_regex}}", "QUERY_CPU", &nobody),
            Err(SettingError::NoPods { variable: "QUERY_CPU".to_owned() })
        );
    }

    #[test]
    fn matchers_are_filled_in_and_leave_no_comma_behind() {
        let cases = [
            ("up{{{matchers}}}", r#"up{cluster="eu-1"}"#, "up{}"),
            (r#"up{ {{matchers}}, a="b"}"#, r#"up{ cluster="eu-1", a="b"}"#, r#"up{  a="b"}"#),
            (r#"up{a="b", {{matchers}}}"#, r#"up{a="b", cluster="eu-1"}"#, r#"up{a="b", }"#),
        ];
        let none = settings();
        let mut some = settings();
        some.matchers = r#"cluster="eu-1""#.parse().expect("matchers");
        for (query, with, without) in cases {
            assert_eq!(fill(query, "QUERY_LAG", &some).as_deref(), Ok(with));
            assert_eq!(fill(query, "QUERY_LAG", &none).as_deref(), Ok(without));
        }
    }

    #[test]
    fn a_list_of_names_that_makes_a_query_too_long_names_the_way_out() {
        let mut settings = settings();
        settings.pods = (0..1000).map(|number| format!("orders-{number:010}")).collect();
        settings.pod_pattern = Some("orders-.+".into());
        let error = fill(r#"lag{pod=~"{{pods_regex}}"}"#, "QUERY_LAG", &settings).expect_err("too long");
        let error = error.to_string();
        assert!(error.starts_with("QUERY_LAG: {{pods_regex}} of 1000 pods makes it "), "{error}");
        assert!(error.contains("{{pods_pattern}}"), "{error}");
        let short = fill(r#"lag{pod=~"{{pods_pattern}}"}"#, "QUERY_LAG", &settings);
        assert_eq!(short.as_deref(), Ok(r#"lag{pod=~"orders-.+"}"#));
    }
}
