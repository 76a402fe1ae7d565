//! Which pod a member of the group runs in. Its address tells; where connections pass through something that hides it,
//! `client.id` or `group.instance.id` does, if it holds the name of the pod.

use std::net::IpAddr;

use rebalancer_core::LivePod;

use super::client::Member;

/// The position of the pod of each member; `None` where none or several may be meant.
pub(super) fn pods_of(members: &[Member], live: &[LivePod]) -> Vec<Option<usize>> {
    members.iter().map(|member| pod_of(member, live)).collect()
}

fn pod_of(member: &Member, live: &[LivePod]) -> Option<usize> {
    let by_address = address(&member.host).map(|ip| one(live, |pod| pod.ips.contains(&ip)));
    let names = [member.client_id.as_str(), member.instance_id.as_deref().unwrap_or_default()];
    let by_name = names.into_iter().find_map(|text| named(text, live));
    match (by_address.flatten(), by_name) {
        // A node's address is that of every pod on its network.
        (Some(by_address), Some(by_name)) if by_address != by_name => None,
        (by_address, by_name) => by_address.or(by_name),
    }
}

/// The address of a member, which brokers write as `/10.0.0.5`, an IPv4 address in IPv6 as itself.
fn address(host: &str) -> Option<IpAddr> {
    let host = host.rsplit_once('/').map_or(host, |(_, host)| host);
    let host = host.split_once('%').map_or(host, |(host, _)| host);
    host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// The pod whose name stands in a text: the longest name, because names of some begin with those of others.
fn named(text: &str, live: &[LivePod]) -> Option<usize> {
    let longest = live.iter().filter(|pod| holds(text, &pod.name)).map(|pod| pod.name.len()).max()?;
    one(live, |pod| pod.name.len() == longest && holds(text, &pod.name))
}

/// Whether a name stands in a text, with no letter or digit on either side.
fn holds(text: &str, name: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(name).any(|(at, _)| {
        !is_part(text[..at].chars().next_back()) && !is_part(text[at + name.len()..].chars().next())
    })
}

/// The only pod for which something holds.
fn one(live: &[LivePod], holds: impl Fn(&LivePod) -> bool) -> Option<usize> {
    let mut found = live.iter().enumerate().filter(|(_, pod)| holds(pod)).map(|(position, _)| position);
    let first = found.next()?;
    found.next().is_none().then_some(first)
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
        let (id, instance_id) = (String::new(), None);
        Member { id, instance_id, client_id, host, topics: Vec::new(), owned: Vec::new() }
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
            let found = pods_of(&[member(host, client)], &live);
            assert_eq!(found, [position], "{host} {client}");
        }
    }
}
