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

#[cfg(test)]
mod tests {
    use super::*;

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
