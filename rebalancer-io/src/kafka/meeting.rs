//! Which pod a member of the group runs in. Its address tells; where connections pass through something that hides it,
//! `client.id` or `group.instance.id` does, if it holds the name of the pod.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use rebalancer_core::LivePod;

use super::group::{Group, Member};

/// Longest text in which names of pods are looked for, in bytes. Names have at most 253.
const LONGEST_TEXT: usize = 1_000;

/// The pods of one workload, by what tells that a member runs in one of them.
pub(super) struct Pods<'a> {
    live: &'a [LivePod],
    /// The position of the pod; `None` for an address that several have, such as that of their node.
    by_address: BTreeMap<IpAddr, Option<usize>>,
    by_name: BTreeMap<&'a str, usize>,
}

impl<'a> Pods<'a> {
    pub(super) fn new(live: &'a [LivePod]) -> Self {
        let mut by_address: BTreeMap<IpAddr, Option<usize>> = BTreeMap::new();
        for (position, pod) in live.iter().enumerate() {
            for ip in &pod.ips {
                let known = by_address.entry(*ip).or_insert(Some(position));
                *known = known.filter(|other| *other == position);
            }
        }
        let by_name = live.iter().enumerate().map(|(position, pod)| (pod.name.as_str(), position)).collect();
        Self { live, by_address, by_name }
    }

    /// The position of the pod of a member; `None` where none or several may be meant.
    fn of(&self, member: &Member) -> Option<usize> {
        let by_address = self.by_address_of(member);
        let by_name = texts(member).find_map(|text| self.named(text));
        match (by_address, by_name) {
            // A node's address is that of every pod on its network.
            (Some(by_address), Some(by_name)) if by_address != by_name => None,
            (by_address, by_name) => by_address.or(by_name),
        }
    }

    /// The pod of each member of a group. If any of them has the address of a pod, addresses are not hidden,
    /// and one that has none of them is elsewhere, whatever its name: in a second cluster pods may have the same names. If all
    /// are hidden, members of one pod come from one address; where they do not, their name is that of several pods.
    pub(super) fn of_each(&self, members: &[Member]) -> Vec<Option<&'a LivePod>> {
        let is_here =
            |member: &Member| address(&member.host).is_some_and(|ip| self.by_address.contains_key(&ip));
        let are_visible = members.iter().any(is_here);
        let of = |member: &Member| {
            if are_visible && !is_here(member) { None } else { self.of(member) }
        };
        let found: Vec<Option<usize>> = members.iter().map(of).collect();
        let mut hosts: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        for (member, pod) in members.iter().zip(&found) {
            if let Some(pod) = pod.filter(|_| self.by_address_of(member).is_none()) {
                hosts.entry(pod).or_default().insert(&member.host);
            }
        }
        let is_one = |pod: &usize| hosts.get(pod).is_none_or(|hosts| hosts.len() == 1);
        found.into_iter().map(|pod| self.live.get(pod.filter(is_one)?)).collect()
    }

    /// The same for a member of a group of which nobody has said that it is that of these pods. A name that ends in a number
    /// tells nothing alone: a pod of another namespace may have it too.
    fn of_stranger(&self, member: &Member) -> Option<usize> {
        let pod = self.of(member)?;
        let last = self.live.get(pod)?.name.rsplit('-').next().unwrap_or_default();
        let is_numbered = last.bytes().all(|byte| byte.is_ascii_digit());
        (!is_numbered || self.by_address_of(member) == Some(pod)).then_some(pod)
    }

    fn by_address_of(&self, member: &Member) -> Option<usize> {
        address(&member.host).and_then(|ip| self.by_address.get(&ip).copied().flatten())
    }

    /// The pod whose name stands in a text: the longest name, because names of some begin with those of others.
    fn named(&self, text: &str) -> Option<usize> {
        let found = || words(text).filter_map(|word| Some((word.len(), *self.by_name.get(word)?)));
        let longest = found().map(|(length, _)| length).max()?;
        let mut longest = found().filter(|(length, _)| *length == longest).map(|(_, position)| position);
        let first = longest.next()?;
        longest.all(|other| other == first).then_some(first)
    }
}

/// The positions of the groups that have members in the pods of each of some workloads, and in how many of them.
pub fn groups_of_each(groups: &[Group], workloads: &[&[LivePod]]) -> Vec<BTreeMap<usize, usize>> {
    // The workloads that may be meant, so that not every member is held against every workload.
    let mut by_address: BTreeMap<IpAddr, BTreeSet<usize>> = BTreeMap::new();
    let mut by_name: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (workload, pods) in workloads.iter().enumerate() {
        for pod in *pods {
            by_name.entry(&pod.name).or_default().insert(workload);
            for ip in &pod.ips {
                by_address.entry(*ip).or_default().insert(workload);
            }
        }
    }
    let mut pods: Vec<Option<Pods<'_>>> = workloads.iter().map(|_| None).collect();
    let mut found: Vec<BTreeMap<usize, BTreeSet<usize>>> = vec![BTreeMap::new(); workloads.len()];
    for (position, group) in groups.iter().enumerate() {
        for member in &group.members {
            let of_address = address(&member.host).and_then(|ip| by_address.get(&ip));
            let of_name = texts(member).flat_map(words).filter_map(|word| by_name.get(word));
            for workload in of_address.into_iter().chain(of_name).flatten() {
                let own = pods[*workload].get_or_insert_with(|| Pods::new(workloads[*workload]));
                if let Some(pod) = own.of_stranger(member) {
                    found[*workload].entry(position).or_default().insert(pod);
                }
            }
        }
    }
    let counts =
        |own: BTreeMap<usize, BTreeSet<usize>>| own.into_iter().map(|(group, pods)| (group, pods.len()));
    found.into_iter().map(|own| counts(own).collect()).collect()
}

/// For how long the youngest of these pods has been there; `None` if that is not known of all.
pub fn youngest(live: &[LivePod]) -> Option<Duration> {
    let ages: Option<Vec<Duration>> = live.iter().map(LivePod::warm_for).collect();
    ages?.into_iter().min()
}

/// The address of a member, which brokers write as `/10.0.0.5`, an IPv4 address in IPv6 as itself.
fn address(host: &str) -> Option<IpAddr> {
    let host = host.rsplit_once('/').map_or(host, |(_, host)| host);
    let host = host.split_once('%').map_or(host, |(host, _)| host);
    host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// The texts of a member that may hold the name of its pod.
fn texts(member: &Member) -> impl Iterator<Item = &str> {
    [Some(member.client_id.as_str()), member.instance_id.as_deref()].into_iter().flatten()
}

/// The parts of a text that begin and end with a letter or digit, and have none on either side.
fn words(text: &str) -> impl Iterator<Item = &str> {
    const LONGEST_NAME: usize = 253;
    let text = if text.len() > LONGEST_TEXT { "" } else { text };
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let is_edge =
        move |at: usize| is_part(text[..at].chars().next_back()) != is_part(text[at..].chars().next());
    let edges: Vec<usize> =
        (0..=text.len()).filter(|at| text.is_char_boundary(*at) && is_edge(*at)).collect();
    // Beginnings and ends alternate.
    let ends = edges.clone();
    edges.into_iter().enumerate().step_by(2).flat_map(move |(place, from)| {
        let ends: Vec<usize> = ends[place..].iter().skip(1).step_by(2).copied().collect();
        ends.into_iter().take_while(move |to| to - from <= LONGEST_NAME).map(move |to| &text[from..to])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ips: &[&str]) -> LivePod {
        let ips = ips.iter().map(|ip| ip.parse().expect("an address")).collect();
        LivePod { ips, ..LivePod::assumed(name) }
    }

    fn member(host: &str, client_id: &str) -> Member {
        let [host, client_id] = [host, client_id].map(str::to_owned);
        Member { client_id, host, ..Member::default() }
    }

    #[test]
    fn a_member_is_in_the_pod_with_its_address_or_else_its_name() {
        let live = [
            pod("orders-1", &["10.0.0.1", "fd00::1"]),
            pod("orders-11", &["10.0.0.11"]),
            pod("orders-1-b", &[]),
            pod("host-a", &["192.168.0.1"]),
            pod("host-b", &["192.168.0.1"]),
        ];
        for (host, client, position) in [
            ("/10.0.0.1", "consumer-orders-1", Some(0)),
            ("/::ffff:10.0.0.11", "", Some(1)),
            ("/fd00:0:0:0:0:0:0:1", "", Some(0)),
            ("kafka-client/10.0.0.1", "", Some(0)),
            ("/fd00::1%eth0", "", Some(0)),
            // Hidden behind another address.
            ("/172.16.0.1", "orders-1", Some(0)),
            ("/172.16.0.1", "app-orders-11-3", Some(1)),
            ("/172.16.0.1", "orders-1-b", Some(2)),
            ("", "orders-1", Some(0)),
            // Nothing tells, or too much does.
            ("/172.16.0.1", "consumer-g-1", None),
            ("/172.16.0.1", "orders-111", None),
            ("/192.168.0.1", "", None),
            ("/192.168.0.1", "host-b", Some(4)),
            ("/10.0.0.1", "orders-11", None),
        ] {
            let found = Pods::new(&live).of(&member(host, client));
            assert_eq!(found, position, "{host} {client}");
        }
    }
    #[test]
    fn the_words_of_a_text_are_every_run_of_its_parts() {
        let found: Vec<&str> = words("-a-b1.é").collect();
        assert_eq!(found, ["a", "a-b1", "a-b1.é", "b1", "b1.é", "é"]);
        assert_eq!(words("").chain(words("--")).count(), 0);
        assert_eq!(words(&"a".repeat(254)).count(), 0, "no pod has such a name");
        assert_eq!(words(&"a-".repeat(600)).count(), 0);
    }

    #[test]
    fn each_workload_has_the_groups_of_its_own_pods() {
        let orders = [pod("orders-1", &["10.0.0.1"]), pod("orders-2", &["10.0.0.2"])];
        let web = [pod("web-7d9f8-xk2pq", &["10.0.0.3"])];
        // Both on the network of one node.
        let agents = [pod("agent-1", &["10.0.0.9"]), pod("agent-2", &["10.0.0.9"])];
        let group = |name: &str, members: Vec<Member>| Group {
            name: name.to_owned(),
            state: "Stable".to_owned(),
            is_dealt_by_brokers: false,
            assignor: "range".to_owned(),
            members,
        };
        let groups = [
            group("orders", vec![member("/10.0.0.1", ""), member("/10.0.0.2", "")]),
            group("elsewhere", vec![member("/10.9.9.9", "consumer-1"), member("/10.0.0.9", "")]),
            group("audit", vec![member("/172.16.0.1", "audit-of-web-7d9f8-xk2pq")]),
            group("of-another-namespace", vec![member("/172.16.0.1", "orders-1")]),
            group("agents", vec![member("/10.0.0.9", "agent-2")]),
        ];
        let workloads: [&[LivePod]; 4] = [&orders, &web, &agents, &[]];
        let found = groups_of_each(&groups, &workloads);
        let found: Vec<Vec<(usize, usize)>> =
            found.into_iter().map(|own| own.into_iter().collect()).collect();
        assert_eq!(found, [vec![(0, 2)], vec![(2, 1)], vec![], vec![]]);
    }
    #[test]
    fn a_member_elsewhere_is_not_met_by_name_where_addresses_are_visible() {
        let live = [pod("orders-0", &["10.0.0.1"]), pod("orders-1", &["10.0.0.2"])];
        let [zero, one] = [&live[0], &live[1]].map(Some);
        let here = member("/10.0.0.1", "orders-0");
        let elsewhere = [member("/10.9.0.1", "orders-0"), member("/10.9.0.2", "orders-1")];
        let [first, second] = elsewhere.clone();
        let pods = Pods::new(&live);
        assert_eq!(pods.of_each(&[here, first, second]), [zero, None, None]);
        assert_eq!(pods.of_each(&elsewhere), [zero, one], "all addresses may be hidden");
    }

    /// Two clusters with one group, whose addresses are hidden: a partition that stands may be in the other one.
    #[test]
    fn a_name_that_comes_from_several_addresses_is_that_of_several_pods() {
        let live = [pod("orders-0", &["10.0.0.1"]), pod("orders-1", &["10.0.0.2"])];
        let found = |members: &[(&str, &str)]| {
            let members: Vec<Member> = members.iter().map(|(host, client)| member(host, client)).collect();
            let found = Pods::new(&live).of_each(&members);
            found.into_iter().map(|pod| Some(pod?.name.as_str())).collect::<Vec<Option<&str>>>()
        };
        let (here, there) = ("/172.16.0.1", "/172.16.0.2");
        assert_eq!(
            found(&[(here, "orders-0"), (there, "orders-0"), (here, "orders-1")]),
            [None, None, Some("orders-1")]
        );
        assert_eq!(
            found(&[(here, "orders-0-a"), (here, "orders-0-b")]),
            [Some("orders-0"); 2],
            "two consumers"
        );
    }
}
