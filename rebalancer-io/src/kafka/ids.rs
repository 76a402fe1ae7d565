//! In which orders assignors have the members of a group, and where those of replacement pods will be in them. What is
//! told are numbers: an id itself holds names, and a recording without names would order other ids differently.

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_core::LivePod;
use rebalancer_core::kafka::KnownMember;

use super::group::{Group, Member, Place};
use crate::metrics::{ALIKE_LABEL, MEMBER_LABEL};

/// Length of the part of a pod's name that is its own; the rest comes from its `ReplicaSet`.
const OWN_PART: usize = 5;

/// Labels and value of a sample.
pub(super) type Row = (Vec<(&'static str, String)>, f64);

/// A sample for each partition of each member, and one for a member without any, in the order in which the broker told the
/// members, which is that of its table. Nothing if a member is elsewhere, if something besides the ids orders them, or if a
/// member may deal otherwise than the models do.
pub(super) fn rows(group: &Group, pods: &[Option<&LivePod>]) -> Vec<Row> {
    let racks: BTreeSet<Option<&str>> = group.members.iter().map(|member| member.rack.as_deref()).collect();
    let is_static = group.members.iter().any(|member| member.instance_id.is_some());
    let is_modelled = group.members.iter().all(|member| member.deals_as_modelled);
    if racks.len() > 1 || is_static || !is_modelled || group.has_unequal_subscriptions() {
        return Vec::new();
    }
    let Some(here) = pods.iter().copied().collect::<Option<Vec<&LivePod>>>() else { return Vec::new() };
    let mut ids: Vec<&str> = group.members.iter().map(|member| member.id.as_str()).collect();
    ids.sort_unstable();
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (member, pod) in group.members.iter().zip(&here) {
        users.entry(&member.client_id).or_default().insert(&pod.name);
    }
    let mut rows = Vec::new();
    for (member, pod) in group.members.iter().zip(here) {
        let is_shared = users[member.client_id.as_str()].len() > 1;
        let beginning = if group.is_dealt_by_brokers { "" } else { beginning(member, pod, is_shared) };
        let rank = ids.partition_point(|id| *id < member.id.as_str());
        let first = ids.partition_point(|id| *id < beginning);
        let alike = ids[first..].iter().take_while(|id| id.starts_with(beginning)).count();
        let labels = [
            ("pod", pod.name.clone()),
            (MEMBER_LABEL, rank.to_string()),
            (ALIKE_LABEL, format!("{first}-{}", first + alike - 1)),
        ];
        let hash = f64::from(KnownMember::hash_of(&member.id));
        let of = |(topic, number): &Place| {
            let partition = [("topic", topic.clone()), ("partition", number.to_string())];
            (labels.iter().cloned().chain(partition).collect(), hash)
        };
        rows.extend(member.owned.iter().map(of));
        if member.owned.is_empty() {
            rows.push((labels.to_vec(), hash));
        }
    }
    rows
}

/// How the id of the member begins that comes in place of this one. The broker makes it of `client.id`, a hyphen and a random
/// part. Where pods have a `client.id` each, that of a new pod is known as far as it is the name of the pod.
fn beginning<'m>(member: &'m Member, pod: &LivePod, is_shared: bool) -> &'m str {
    let of_client = member.id.strip_prefix(&member.client_id).is_some_and(|rest| rest.starts_with('-'));
    if !of_client {
        return "";
    }
    let given = &member.id[..=member.client_id.len()];
    if is_shared {
        return given;
    }
    let Some(at) = given.find(&pod.name) else { return "" };
    if pod.controller.as_ref().is_some_and(|owner| owner.kind == "StatefulSet") {
        return given;
    }
    given.get(..(at + pod.name.len()).saturating_sub(OWN_PART)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rebalancer_core::Controller;

    use super::*;

    fn pod(name: &str, kind: &str) -> LivePod {
        let controller =
            Controller { group: None, kind: kind.to_owned(), name: "orders".to_owned(), uid: "u".to_owned() };
        LivePod { controller: Some(controller), ..LivePod::assumed(name) }
    }

    fn member(client_id: &str, random: &str) -> Member {
        Member {
            id: format!("{client_id}-{random}"),
            client_id: client_id.to_owned(),
            deals_as_modelled: true,
            ..Member::default()
        }
    }

    fn group(members: &[Member]) -> Group {
        Group {
            name: "orders".to_owned(),
            state: "Stable".to_owned(),
            is_dealt_by_brokers: false,
            assignor: "sticky".to_owned(),
            members: members.to_vec(),
        }
    }

    /// Rank, and which ids begin alike, of each member.
    fn told(group: &Group, live: &[LivePod]) -> Vec<(String, String)> {
        let pods: Vec<Option<&LivePod>> = live.iter().map(Some).collect();
        let rows = rows(group, &pods).into_iter();
        rows.map(|(labels, _)| (labels[1].1.clone(), labels[2].1.clone())).collect()
    }

    #[track_caller]
    fn assert_told(members: &[Member], live: &[LivePod], expected: &[(&str, &str)]) {
        let told = told(&group(members), live);
        let told: Vec<(&str, &str)> =
            told.iter().map(|(rank, alike)| (rank.as_str(), alike.as_str())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_replacement_comes_anywhere_among_the_ids_that_begin_as_its_own() {
        let live = ["orders-7d9f-bb2cd", "orders-7d9f-xk2pq"].map(|name| pod(name, "ReplicaSet"));
        let same = [member("consumer-orders-1", "f00d"), member("consumer-orders-1", "0bad")];
        assert_told(&same, &live, &[("1", "0-1"), ("0", "0-1")]);
        let named = [member("orders-7d9f-bb2cd", "f00d"), member("orders-7d9f-xk2pq", "0bad")];
        assert_told(&named, &live, &[("0", "0-1"), ("1", "0-1")]);
        let unlike = [member("b-4711", "f00d"), member("a-4712", "0bad")];
        assert_told(&unlike, &live, &[("1", "0-1"), ("0", "0-1")]);
    }

    #[test]
    fn the_replacement_of_a_numbered_pod_takes_its_place() {
        let live = ["orders-1", "orders-10", "orders-2"].map(|name| pod(name, "StatefulSet"));
        let named = [member("orders-1", "f00d"), member("orders-10", "0bad"), member("orders-2", "beef")];
        assert_told(&named, &live, &[("0", "0-0"), ("1", "1-1"), ("2", "2-2")]);
        // The group and a number, as clients call themselves of their own accord.
        let same = [member("consumer-orders-1", "2"), member("consumer-orders-1", "1")];
        assert_told(&same, &live[..2], &[("1", "0-1"), ("0", "0-1")]);
        // One may come before or after those that only begin alike.
        let nested = [member("orders-1", "f00d"), member("orders-1-orders-10", "0bad")];
        assert_told(&nested, &live[..2], &[("0", "0-1"), ("1", "1-1")]);
    }

    #[test]
    fn ids_that_brokers_do_not_make_of_the_client_tell_nothing_in_advance() {
        let live = ["orders-1", "orders-2"].map(|name| pod(name, "StatefulSet"));
        let named = [member("orders-1", "f00d"), member("orders-2", "0bad")];
        let dealt = Group { is_dealt_by_brokers: true, ..group(&named) };
        let anywhere = || "0-1".to_owned();
        assert_eq!(told(&dealt, &live), [("0".to_owned(), anywhere()), ("1".to_owned(), anywhere())]);
        let given = named.map(|member| Member { client_id: "else".to_owned(), ..member });
        assert_told(&given, &live, &[("0", "0-1"), ("1", "0-1")]);
    }

    #[test]
    fn nothing_is_told_where_something_else_orders_the_members() {
        let live = ["orders-1", "orders-2"].map(|name| pod(name, "StatefulSet"));
        let named = [member("orders-1", "f00d"), member("orders-2", "0bad")];
        assert_eq!(told(&group(&named), &live).len(), 2);
        assert!(rows(&group(&named), &[Some(&live[0]), None]).is_empty(), "one is elsewhere");
        let changes: [fn(&mut Member); 4] = [
            |member| member.instance_id = Some("orders-1".to_owned()),
            |member| member.rack = Some("a".to_owned()),
            |member| member.topics = vec!["another".to_owned()],
            |member| member.deals_as_modelled = false,
        ];
        for change in changes {
            let mut members = named.clone();
            change(&mut members[0]);
            assert!(told(&group(&members), &live).is_empty(), "{members:?}");
        }
    }
}
