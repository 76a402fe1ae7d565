//! Which pod a member of the group runs in. Its address tells; where connections pass through something that hides it,
//! `client.id` or `group.instance.id` does, if it holds the name of the pod.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use rebalancer_core::LivePod;

use super::group::{Group, Member};

/// Longest text in which names of pods are looked for, in bytes. Names have at most 253.
const LONGEST_TEXT: usize = 1_000;

/// The pods of some workloads, by what tells that a member runs in one of them.
#[derive(Default)]
struct Pods<'a> {
    /// By the position of the workload; `None` for an address that several of its pods have, such as that of their node.
    by_address: BTreeMap<IpAddr, BTreeMap<usize, Option<&'a LivePod>>>,
    by_name: BTreeMap<&'a str, BTreeMap<usize, &'a LivePod>>,
}

impl<'a> Pods<'a> {
    fn new(workloads: &[&'a [LivePod]]) -> Self {
        let mut pods = Self::default();
        let each = workloads.iter().enumerate().flat_map(|(at, live)| live.iter().map(move |pod| (at, pod)));
        for (workload, pod) in each {
            pods.by_name.entry(&pod.name).or_default().insert(workload, pod);
            for ip in &pod.ips {
                let known = pods.by_address.entry(*ip).or_default().entry(workload).or_insert(Some(pod));
                *known = known.filter(|other| other.name == pod.name);
            }
        }
        pods
    }

    /// The pod of a workload that a member runs in; `None` where none or several may be meant.
    fn of(&self, workload: usize, member: &Member) -> Option<&'a LivePod> {
        let by_address = self.by_address_of(workload, member);
        let by_name = texts(member).find_map(|text| self.named(workload, text));
        match (by_address, by_name) {
            // A node's address is that of every pod on its network.
            (Some(by_address), Some(by_name)) if by_address.name != by_name.name => None,
            (by_address, by_name) => by_address.or(by_name),
        }
    }

    /// The same for a member of a group of which nobody has said that it is that of these pods. A name that ends in a number
    /// tells nothing alone: a pod of another namespace may have it too.
    fn of_stranger(&self, workload: usize, member: &Member) -> Option<&'a LivePod> {
        let pod = self.of(workload, member)?;
        let last = pod.name.rsplit('-').next().unwrap_or_default();
        let is_numbered = last.bytes().all(|byte| byte.is_ascii_digit());
        (!is_numbered || self.by_address_of(workload, member).is_some()).then_some(pod)
    }

    fn by_address_of(&self, workload: usize, member: &Member) -> Option<&'a LivePod> {
        *self.by_address.get(&address(&member.host)?)?.get(&workload)?
    }

    /// The pod whose name stands in a text: the longest name, because names of some begin with those of others.
    fn named(&self, workload: usize, text: &str) -> Option<&'a LivePod> {
        let found = || words(text).filter_map(|word| self.by_name.get(word)?.get(&workload).copied());
        let longest = found().map(|pod| pod.name.len()).max()?;
        let mut longest = found().filter(|pod| pod.name.len() == longest);
        let first = longest.next()?;
        longest.all(|other| other.name == first.name).then_some(first)
    }

    /// The positions of the workloads that may be meant, so that not every member is held against every workload.
    fn workloads(&self, member: &Member) -> BTreeSet<usize> {
        let of_address = address(&member.host).and_then(|ip| self.by_address.get(&ip));
        let of_name = texts(member).flat_map(words).filter_map(|word| self.by_name.get(word));
        let of_address = of_address.into_iter().flat_map(BTreeMap::keys);
        of_address.chain(of_name.flat_map(BTreeMap::keys)).copied().collect()
    }
}

/// The pod of each member of the group of these pods. If any of them has the address of a pod, addresses are not hidden,
/// and one that has none of them is elsewhere, whatever its name: in a second cluster pods may have the same names. If all
/// are hidden, members of one pod come from one address; where they do not, their name is that of several pods.
pub(super) fn pods_of_each<'a>(members: &[Member], live: &'a [LivePod]) -> Vec<Option<&'a LivePod>> {
    let pods = Pods::new(&[live]);
    let is_here = |member: &Member| address(&member.host).is_some_and(|ip| pods.by_address.contains_key(&ip));
    let are_visible = members.iter().any(is_here);
    let of = |member: &Member| if are_visible && !is_here(member) { None } else { pods.of(0, member) };
    let found: Vec<Option<&LivePod>> = members.iter().map(of).collect();
    let mut hosts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (member, pod) in members.iter().zip(&found) {
        if let Some(pod) = pod.filter(|_| pods.by_address_of(0, member).is_none()) {
            hosts.entry(&pod.name).or_default().insert(&member.host);
        }
    }
    let is_one = |pod: &&LivePod| hosts.get(pod.name.as_str()).is_none_or(|hosts| hosts.len() == 1);
    found.into_iter().map(|pod| pod.filter(is_one)).collect()
}

/// The positions of the groups that have members in the pods of each of some workloads, and in how many of them.
pub fn groups_of_each(groups: &[Group], workloads: &[&[LivePod]]) -> Vec<BTreeMap<usize, usize>> {
    let pods = Pods::new(workloads);
    let mut found: Vec<BTreeMap<usize, BTreeSet<&str>>> = vec![BTreeMap::new(); workloads.len()];
    for (position, group) in groups.iter().enumerate() {
        for member in &group.members {
            for workload in pods.workloads(member) {
                if let Some(pod) = pods.of_stranger(workload, member) {
                    found[workload].entry(position).or_default().insert(&pod.name);
                }
            }
        }
    }
    let count = |(group, pods): (usize, BTreeSet<&str>)| (group, pods.len());
    found.into_iter().map(|own| own.into_iter().map(count).collect()).collect()
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
            let found = Pods::new(&[&live]).of(0, &member(host, client));
            assert_eq!(found, position.map(|position: usize| &live[position]), "{host} {client}");
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
        assert_eq!(pods_of_each(&[here, first, second], &live), [zero, None, None]);
        assert_eq!(pods_of_each(&elsewhere, &live), [zero, one], "all addresses may be hidden");
    }

    /// Two clusters with one group, whose addresses are hidden: a partition that stands may be in the other one.
    #[test]
    fn a_name_that_comes_from_several_addresses_is_that_of_several_pods() {
        let live = [pod("orders-0", &["10.0.0.1"]), pod("orders-1", &["10.0.0.2"])];
        let found = |members: &[(&str, &str)]| {
            let members: Vec<Member> = members.iter().map(|(host, client)| member(host, client)).collect();
            let found = pods_of_each(&members, &live);
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
