//! What clients write themselves: their subscriptions, and what the one that deals gives to each.

use super::*;

/// The answer about a classic group, of whose members each subscribes to one thing and owns another.
fn told(members: &[[&[u8]; 2]]) -> Reply {
    let mut body = Bytes::default();
    body.i32(0);
    body.count(1);
    body.i16(0);
    for text in ["orders", "Stable", "consumer", "range"] {
        body.text(text);
    }
    body.count(members.len());
    for (number, [subscription, assignment]) in members.iter().enumerate() {
        body.text(&format!("orders-{number}-f00d"));
        // No `group.instance.id`.
        body.i16(-1);
        body.text(&format!("orders-{number}"));
        body.text("/10.0.0.1");
        body.bytes(subscription);
        body.bytes(assignment);
    }
    body.i32(0);
    Reply::Body(body.0)
}

fn subscription() -> Vec<u8> {
    let mut body = Bytes::default();
    body.i16(0);
    body.count(1);
    body.text("orders");
    body.bytes(&[]);
    body.0
}

fn assignment(owned: &[i32]) -> Vec<u8> {
    let mut body = Bytes::default();
    body.i16(0);
    body.count(1);
    body.text("orders");
    body.count(owned.len());
    for number in owned {
        body.i32(*number);
    }
    body.bytes(&[]);
    body.0
}

/// Anybody who may read from a cluster can form such a group in it.
#[test]
fn what_one_member_writes_in_a_form_of_its_own_is_said_of_its_group_and_hides_no_other() {
    let (right, owned, other) = (subscription(), assignment(&[0, 1]), assignment(&[2, 3, 4, 5]));
    let (json, endless): (&[u8], &[u8]) = (b"{}", &[0, 0, 0x7f, 0xff, 0xff, 0xff]);
    for member in [[right.as_slice(), json], [json, owned.as_slice()], [endless, owned.as_slice()]] {
        let broker = wrong_in(api::DESCRIBE_GROUPS, told(&[[right.as_slice(), other.as_slice()], member]));
        let mut client = client_of(&[broker.address()], None, patience());
        let found = client.groups().expect("the groups that there are");
        assert_eq!(found.of_consumers.len(), 1);
        let watched = client.watch_each(&[named("orders")], Duration::ZERO).expect("the brokers answer");
        let error = watched.into_iter().next().expect("one group").expect_err("it is not read").to_string();
        assert!(error.contains("member orders-1 of group orders writes"), "{error}");
    }
}

#[test]
fn a_partition_that_is_owned_twice_is_said_and_no_load_is_told() {
    let (right, first, second) = (subscription(), assignment(&[0, 1, 2]), assignment(&[2, 3]));
    let members = [[right.as_slice(), first.as_slice()], [right.as_slice(), second.as_slice()]];
    let broker = wrong_in(api::DESCRIBE_GROUPS, told(&members));
    let error = watch(&broker).expect_err("it is not understood").to_string();
    assert!(error.contains("partition 2 of topic orders is owned twice in group orders"), "{error}");
}

/// Each member tells all topics that it subscribes to: twenty groups may have more to say than is read at once.
#[test]
fn groups_of_which_not_all_fit_in_one_answer_are_read_in_parts() {
    let groups = |number: usize| SimulatedGroup {
        name: format!("group-{number:02}"),
        topic: format!("group-{number:02}"),
        ..SimulatedGroup::healthy(&PODS, 2)
    };
    let groups: Vec<SimulatedGroup> = (0..9).map(groups).collect();
    let cluster = SimulatedCluster { groups: groups.clone(), others: Vec::new() };
    let looks = std::sync::Mutex::new(Looks::default());
    let broker = FakeBroker::start(move |asked, address| {
        let is_large = asked.key == api::DESCRIBE_GROUPS && asked.body[3] > 3;
        if is_large {
            return Reply::Raw(vec![0x7f; 64]);
        }
        let mut looks = looks.lock().expect("no thread panics while it holds the lock");
        cluster.answer(asked, address, &mut looks).map_or(Reply::Close, Reply::Body)
    });
    let mut client = client_of(&[broker.address()], None, patience());
    let found = client.groups().expect("the groups that there are");
    assert!(found.of_consumers.iter().map(|group| &group.name).eq(groups.iter().map(|group| &group.name)));
    assert!(found.of_consumers.iter().all(|group| group.members.len() == 3));
}
