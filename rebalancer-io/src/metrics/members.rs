//! Which clients of a pod are members of the group. A pod may read for several groups, and only its clients'
//! `client.id` shows the group.

use super::settings::QuerySettings;
use crate::promql::{literal, regex};

/// Applies `series` to a matcher of clients: those that name the group, if the workload has any, else all.
/// `selector` turns a matcher into the series that show whether there is one. (`or on ()` is shorter, but
/// `VictoriaMetrics` then compares every series with every other; 5,000 take minutes.)
pub(super) fn of_the_group(
    settings: &QuerySettings,
    selector: impl Fn(&str) -> String,
    series: impl Fn(&str) -> String,
) -> String {
    let Some(group) = &settings.group else { return series("") };
    let clients = literal(&clients(group, settings.pod_pattern.as_deref()));
    // JMX rules write `clientid` too.
    let named = ["client_id", "clientid"].map(|label| format!("{label}=~\"{clients}\""));
    let any = named.each_ref().map(|client| selector(client)).join(" or ");
    let named = named.each_ref().map(|client| series(client)).join(" or ");
    format!("({named} or ({} unless on () count({any})))", series(""))
}

/// Matches the `client.id` that Kafka generates for the group's members: with a number, or with a static
/// member's instance, usually the pod's name; Kafka Streams and Kafka Connect have their own forms.
fn clients(group: &str, pod_pattern: Option<&str>) -> String {
    let name = regex(group);
    let mut forms =
        vec![format!("consumer-{name}-[0-9]+"), format!("{name}-[-0-9a-f]+-StreamThread-[0-9]+-consumer")];
    forms.extend(pod_pattern.map(|pods| format!("consumer-{name}-{pods}")));
    let connector = group.strip_prefix("connect-").map(regex);
    forms.extend(connector.map(|connector| format!("connector-consumer-{connector}-[0-9]+")));
    forms.join("|")
}

/// Whether a `client.id` is one that Kafka generates for a member of the group: what the pattern of [`of_the_group`]
/// matches. `is_pod` says what may be the name of a pod of the workload.
pub(crate) fn is_client_of(client: &str, group: &str, is_pod: impl Fn(&str) -> bool) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let member = |start: &str, name: &str| client.strip_prefix(start)?.strip_prefix(name)?.strip_prefix('-');
    let is_of_stream = |rest: &str| {
        let parts = rest.strip_suffix("-consumer").and_then(|rest| rest.split_once("-StreamThread-"));
        parts.is_some_and(|(process, thread)| {
            let is_id = |letter: u8| matches!(letter, b'0'..=b'9' | b'a'..=b'f' | b'-');
            is_number(thread) && !process.is_empty() && process.bytes().all(is_id)
        })
    };
    member("consumer-", group).is_some_and(|rest| is_number(rest) || is_pod(rest))
        || member("", group).is_some_and(is_of_stream)
        || group
            .strip_prefix("connect-")
            .and_then(|connector| member("connector-consumer-", connector))
            .is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_of_the_group_whose_pattern_it_matches() {
        let is_of = |client: &str, group: &str| {
            is_client_of(client, group, |pod| pod.len() > 5 && pod.starts_with("shop-"))
        };
        for (client, group) in [
            ("consumer-g.1-2", "g.1"),
            ("consumer-g-shop-0", "g"),
            ("g-4f8a-1b-StreamThread-12-consumer", "g"),
            ("connector-consumer-sink-0", "connect-sink"),
        ] {
            assert!(is_of(client, group), "{client} is of {group}");
        }
        for (client, group) in [
            ("consumer-gx1-2", "g.1"),
            ("consumer-g-shop-", "g"),
            ("consumer-g-other-0", "g"),
            ("g-4f8z-StreamThread-1-consumer", "g"),
            ("g-4f8a-StreamThread--consumer", "g"),
            ("connector-consumer-sink-0", "sink"),
            ("consumer-g-", "g"),
            ("", "g"),
        ] {
            assert!(!is_of(client, group), "{client} is not of {group}");
        }
    }

    #[test]
    fn without_a_group_every_client_counts() {
        let settings = QuerySettings::new("shop");
        assert_eq!(of_the_group(&settings, |_| String::new(), |client| format!("x{{{client}}}")), "x{}");
    }

    #[test]
    fn a_client_names_its_group_as_kafka_makes_it_up() {
        let settings = QuerySettings { group: Some("g.1".into()), ..QuerySettings::new("shop") };
        let clients = r"consumer-g\\.1-[0-9]+|g\\.1-[-0-9a-f]+-StreamThread-[0-9]+-consumer";
        let [id, underscored] = ["client_id", "clientid"].map(|label| format!("{{{label}=~\"{clients}\"}}"));
        assert_eq!(
            of_the_group(&settings, |client| format!("y{{{client}}}"), |client| format!("x{{{client}}}")),
            format!("(x{id} or x{underscored} or (x{{}} unless on () count(y{id} or y{underscored})))")
        );
    }

    #[test]
    fn static_members_and_connectors_are_named_in_their_own_way() {
        let clients = clients("connect-sink", Some("shop-.+"));
        let forms: Vec<&str> = clients.split('|').collect();
        assert_eq!(forms[2..], ["consumer-connect-sink-shop-.+", "connector-consumer-sink-[0-9]+"]);
    }
}
