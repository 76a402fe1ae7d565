//! What real brokers answered, byte for byte; but the answers about offsets were recorded in version 1, and have the first
//! four bytes of version 2 before them. `testdata/kafka/frames` has a file for each version of Kafka: in each line the
//! number of the request, its version, and the body of the answer.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use rebalancer_sim::broker::{FakeBroker, Reply, api};

use super::{client_of, named, patience, two_brokers};

/// The port that the brokers named as theirs.
struct Recorded {
    frames: &'static str,
    port: i32,
}

impl Recorded {
    /// A broker that gives these answers in their order, and names its own port in them.
    fn start(self) -> FakeBroker {
        let mut lines = self.frames.lines();
        let next = Mutex::new(move || lines.next());
        FakeBroker::start(move |asked, address| {
            // With one broker alone, some of these questions need not be asked.
            if let Some(brokers) = two_brokers(asked, address) {
                return brokers;
            }
            let line = next.lock().expect("no thread panics while it holds the lock")();
            let Some(frame) = line.map(|line| line.split(' ').collect::<Vec<&str>>()) else {
                return Reply::Close;
            };
            let [key, version, body] = frame[..] else { return Reply::Close };
            if (key, version) != (asked.key.to_string().as_str(), asked.version.to_string().as_str()) {
                return Reply::Close;
            }
            let mut body = bytes(body);
            if matches!(asked.key, api::FIND_COORDINATOR | api::METADATA) {
                let own = i32::from(address.port()).to_be_bytes();
                let at = body.windows(4).position(|word| word == self.port.to_be_bytes());
                let at = at.expect("the answer names the broker");
                body[at..at + 4].copy_from_slice(&own);
            }
            Reply::Body(body)
        })
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len()).step_by(2).map(pair).collect()
}

#[test]
fn a_group_is_read_from_the_answers_of_real_brokers() {
    for (frames, port, is_dealt_by_brokers, assignor, is_static) in [
        (include_str!("../../../../testdata/kafka/frames/2.1.0.txt"), 24_170, false, "range", false),
        (
            include_str!("../../../../testdata/kafka/frames/3.9.1.txt"),
            24_370,
            false,
            "cooperative-sticky",
            true,
        ),
        (include_str!("../../../../testdata/kafka/frames/4.4.0.txt"), 24_470, true, "uniform", false),
    ] {
        let broker = Recorded { frames, port }.start();
        let mut client = client_of(&[broker.address()], None, patience());
        let watched = client.watch(named("orders"), Duration::ZERO).expect("a group");
        let group = &watched.group;
        assert_eq!((group.is_dealt_by_brokers, group.assignor.as_str()), (is_dealt_by_brokers, assignor));
        assert!(group.state == "Stable" && !watched.in_rebalance && !group.has_unequal_subscriptions());
        let clients: BTreeSet<&str> = group.members.iter().map(|member| member.client_id.as_str()).collect();
        assert!(clients.into_iter().eq(["orders-0", "orders-1", "orders-2"]));
        for member in &group.members {
            assert_eq!(member.instance_id.is_some(), is_static, "{member:?}");
            assert_eq!(
                (member.host.as_str(), member.topics.as_slice()),
                ("/127.0.0.1", &["orders".to_owned()][..])
            );
            assert_eq!(member.owned.len(), 6 / group.members.len(), "{member:?}");
        }
        assert_eq!(watched.partitions.len(), 6);
        for of in &watched.partitions {
            let ([Some(first), Some(second)], [Some(_), Some(end)]) = (of.committed, of.end) else {
                panic!("an offset lacks: {of:?}");
            };
            assert!(of.owner.is_some() && (1..=second).contains(&first) && second <= end, "{of:?}");
        }
        assert_eq!(broker.asked().len(), 1 + frames.lines().count(), "every answer was asked for");
    }
}
