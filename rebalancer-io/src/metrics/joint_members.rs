//! The queries about the members of several consumer groups, as exporters outside the pods name them. Which pod has an
//! address is asked apart, so that one address that two pods show spoils no answer about the others.

use rebalancer_core::Metric;

use super::group::LOAD;
use super::kafka::{CLIENT_ID, MEMBER_HOST, by_ip, running_pods};
use super::offsets::OWNED;
use super::preset::{fresh, newest};
use super::settings::{Groups, KafkaPreset, QuerySettings};
use crate::prometheus::MetricQuery;

/// The queries of one preset. The member is a pod or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberQueries {
    /// Lag and messages per second by `MEMBER/GROUP`.
    pub(crate) lag: Option<MetricQuery>,
    pub(crate) rate: Option<MetricQuery>,
    /// Messages per second by `MEMBER/TOPIC/PARTITION/GROUP`.
    pub(crate) load: Option<MetricQuery>,
    /// Any value by the same: who owns what.
    pub(crate) owned: Option<MetricQuery>,
    /// The addresses of pods by `NAMESPACE/POD/ADDRESS`, where members are addresses.
    pub(crate) addresses: Option<MetricQuery>,
}

impl MemberQueries {
    /// The queries about these groups; `None` where the preset does not read named members.
    pub(crate) fn new(preset: KafkaPreset, groups: Groups, settings: &QuerySettings) -> Option<Self> {
        let settings = &QuerySettings { groups, preset, ..settings.clone() };
        let (named, member) = match preset {
            KafkaPreset::KlagIp | KafkaPreset::KafkaLagExporterIp => (MEMBER_HOST, "pod_ip"),
            KafkaPreset::ClientId => (CLIENT_ID, "pod"),
            _ => return None,
        };
        let group = preset.group_label()?;
        let each = |series: &str| match preset {
            KafkaPreset::ClientId => {
                let named =
                    format!(r#"label_replace({series}, "pod", "$1", "client_id", "(.+?)(?:-[0-9]+)?")"#);
                format!("max by (pod, topic, partition, {group}) ({named})")
            }
            _ => by_ip(series, &format!("topic, partition, {group}")),
        };
        let summed = |metric: Metric, series: &str| {
            let sums = format!("sum by ({member}, {group}) ({})", each(series));
            let is_own = settings.own[metric].is_some();
            (!is_own).then(|| joined(&of_members(metric.name()), &sums, &[member, group]))
        };
        let partitions = |name: &str, series: &str| {
            joined(&of_members(name), &each(series), &[member, "topic", "partition", group])
        };
        let lag = preset.group_lag(named, settings).ok()?;
        let newest = newest(&format!("{lag} >= 0"), &lag, &format!("topic, partition, {group}"), settings);
        let loads = preset.group_rate("", settings).ok()?;
        Some(Self {
            lag: summed(Metric::Lag, &newest),
            rate: summed(Metric::Rate, &preset.group_rate(named, settings).ok()?),
            load: Some(partitions(LOAD, &loads)).filter(|_| settings.own_partition_load.is_none()),
            owned: Some(partitions(OWNED, &fresh(&lag, &lag, settings))),
            addresses: (preset != KafkaPreset::ClientId).then(|| addresses(settings)),
        })
    }
}

/// Name of the question for addresses.
pub(crate) const ADDRESSES: &str = "addresses of pods";

/// Asks for the addresses of the pods in reach, by `NAMESPACE/POD/ADDRESS`.
pub(crate) fn addresses(settings: &QuerySettings) -> MetricQuery {
    joined(ADDRESSES, &running_pods(settings), &["namespace", "pod", "pod_ip"])
}

/// The name of a query about members.
pub(crate) fn of_members(name: &str) -> String {
    format!("{name}{OF_MEMBERS}")
}

/// What the names of queries about members end in.
pub(crate) const OF_MEMBERS: &str = " of members";

/// The series with these labels joined in one.
fn joined(name: &str, series: &str, labels: &[&str]) -> MetricQuery {
    let labels: Vec<String> = labels.iter().map(|label| format!("\"{label}\"")).collect();
    let joined = format!("label_join({series}, \"place\", \"/\", {})", labels.join(", "));
    MetricQuery::new(name, joined).with_pod_label("place")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_apart_by_group() {
        let settings = QuerySettings::new("shop");
        let groups = || Groups::of(["g", "h"], &settings.matchers);
        let of = |preset| MemberQueries::new(preset, groups(), &settings);
        let by_ip = of(KafkaPreset::KlagIp).expect("queries");
        let lag = by_ip.lag.expect("a query").promql;
        assert!(lag.contains(r#"consumer_group=~"g|h", member_host!="""#), "{lag}");
        assert!(lag.contains("topk by (topic, partition, consumer_group)"), "{lag}");
        assert!(lag.ends_with(r#""place", "/", "pod_ip", "consumer_group")"#), "{lag}");
        assert!(by_ip.addresses.is_some());
        let by_client = of(KafkaPreset::ClientId).expect("queries");
        assert_eq!(by_client.addresses, None);
        assert_eq!(of(KafkaPreset::Micrometer), None);
    }
}
