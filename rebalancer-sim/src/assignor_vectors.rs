//! What Kafka's own assignors dealt: recorded sequences of members that come and go, and the group model
//! played against them.
//!
//! A file is a JSON array of sequences, gzipped where its name ends in `.gz`. A member is written as one
//! character, its position among the members in `0-9A-Za-z`.

#![expect(clippy::missing_panics_doc, reason = "a file of vectors that cannot be read fails its test")]

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use rebalancer_core::kafka::{Assignor, UniformRule};
use serde::Deserialize;
use serde_json::Value;

use crate::group::{Group, Member};

/// The characters that stand for members, in order.
const LETTERS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The digits of base 64 in which Kafka writes ids.
const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Members of one group over some rebalances.
#[derive(Debug, Clone, Deserialize)]
pub struct Sequence {
    /// Its name.
    pub id: String,
    /// The assignor; `server-range` is the broker's own.
    pub kind: String,
    /// Versions of Kafka that deal exactly so.
    pub versions: Vec<String>,
    /// Whether all members subscribe to all topics.
    pub equal: bool,
    /// Of each topic its name, its number of partitions, and under the server's assignors its id.
    topics: Vec<Vec<Value>>,
    /// Of each member its id, its `group.instance.id`, its pod, and its topics where they differ.
    members: Vec<Vec<Value>>,
    /// The rebalances.
    pub steps: Vec<Step>,
}

/// One settled rebalance.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    /// What happened.
    pub event: String,
    left: String,
    joined: String,
    own: Vec<String>,
}

/// The sequences of a file.
pub fn read(path: &Path) -> Vec<Sequence> {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    let read = match path.extension() {
        Some(extension) if extension == "gz" => GzDecoder::new(file).read_to_string(&mut text),
        _ => file.read_to_string(&mut text),
    };
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Sequence {
    /// The assignor of the model that answers to the kind.
    pub fn assignor(&self) -> Assignor {
        match self.kind.as_str() {
            "server-range" => Assignor::Range,
            kind => kind.parse().expect("a kind that is modelled"),
        }
    }

    /// The group before anybody has joined.
    pub fn group(&self, rule: UniformRule) -> Group {
        let count = |topic: &Vec<Value>| topic[1].as_u64().and_then(|count| count.try_into().ok());
        let counts = self.topics.iter().map(|topic| count(topic).expect("a number of partitions"));
        let ids = self.topics.iter().filter_map(|topic| topic.get(2)?.as_str());
        let codes: Vec<u32> = ids.map(code).collect();
        let group = Group::without_members(self.assignor(), counts.collect()).with_uniform_rule(rule);
        if codes.is_empty() { group } else { group.with_topic_codes(&codes) }
    }

    /// What the group owns after a step, written as in the file: a string a topic, a character a partition.
    pub fn owners(&self, group: &Group) -> Vec<String> {
        let mut owners: Vec<Vec<char>> = self.steps[0].own.iter().map(|own| vec!['.'; own.len()]).collect();
        for (member, owned) in group.members() {
            let position =
                self.members.iter().position(|other| other[0] == member.id.as_str()).expect("recorded");
            let letter = LETTERS.chars().nth(position).expect("a letter a member");
            for partition in owned {
                owners[partition.topic][partition.number as usize] = letter;
            }
        }
        owners.into_iter().map(String::from_iter).collect()
    }

    fn of(&self, letters: &str) -> Vec<Member> {
        let member = |letter: char| {
            let recorded = &self.members[LETTERS.find(letter).expect("a letter of a member")];
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let pod = recorded[2].as_u64().and_then(|pod| pod.try_into().ok()).expect("a pod");
            let id = text(&recorded[0]).expect("a member id");
            Member { instance: text(&recorded[1]), ..Member::new(id, pod) }
        };
        letters.chars().map(member).collect()
    }
}

impl Step {
    /// Does to the group what happened in this step.
    pub fn play(&self, sequence: &Sequence, group: &mut Group) {
        let (left, joined) = (sequence.of(&self.left), sequence.of(&self.joined));
        if self.event == "static-return" {
            for (old, new) in left.iter().zip(joined) {
                group.take_over(&old.id, new).expect("the old one is there");
            }
            return;
        }
        let left: Vec<&str> = left.iter().map(|member| member.id.as_str()).collect();
        group.change(&left, joined).expect("who leaves is there, who joins is not");
    }

    /// The recorded owners.
    pub fn own(&self) -> &[String] {
        &self.own
    }
}

/// `Uuid.hashCode()` of the id of a topic, which Kafka writes in base 64: the four words of its 128 bits,
/// combined.
#[expect(clippy::cast_possible_truncation, reason = "a word is the lowest 32 bits")]
fn code(id: &str) -> u32 {
    let digit = |letter: char| DIGITS.find(letter).expect("a digit of base 64") as u128;
    let digits: Vec<u128> = id.chars().map(digit).collect();
    assert_eq!(digits.len(), 22, "{id}: the last digit has four bits that belong to nothing");
    let bits = (digits[..21].iter().fold(0, |bits, digit| (bits << 6) | digit) << 2) | (digits[21] >> 4);
    (0..4).map(|word| (bits >> (32 * word)) as u32).fold(0, |code, word| code ^ word)
}
