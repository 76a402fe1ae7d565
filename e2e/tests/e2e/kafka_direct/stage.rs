//! A consumer group of real pods, and what a test may ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use e2e::{
    ConsumerPods, Consumers, ControlPlane, Finished, Kafka, KubeLens, Lens, Namespace, Owned, pod_rebalancer,
    wait_until, workload,
};
use rebalancer_core::Spread;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(180);

/// What every group has.
pub const PODS: usize = 4;

/// The partition that stands, in the groups of which one does.
pub const STUCK: u32 = 9;

/// Messages per second of each partition, where nothing else is said.
const EVEN: [f64; 16] = [0.5; 16];

/// What was written before the trouble: from so many seconds ago to so many seconds ago; and since when what follows
/// waits.
const BEFORE_S: (u32, u32) = (3600, 3000);
const TROUBLE_S: u32 = 20 * 60;

/// How old pods must be, so that they look older than the trouble.
pub const AGE: Duration = Duration::from_secs(55);

/// Clients commit every second.
const COMMIT: Duration = Duration::from_secs(3);

/// A consumer group.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Name of the group and of its topic.
    pub name: &'static str,
    pub assignor: &'static str,
    pub kind: &'static str,
    pub client: Client,
    /// Replicas of the topic.
    pub replicas: usize,
    /// Messages per second of each partition.
    pub rates: &'static [f64],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Java,
    Librdkafka,
    Go,
}

impl Scene {
    pub const JAVA: Self = Self {
        name: "",
        assignor: "range",
        kind: "Deployment",
        client: Client::Java,
        replicas: 1,
        rates: &EVEN,
    };

    /// How `check` tells of the assignor.
    fn dealt_by(&self) -> String {
        match self.assignor {
            "uniform" => "dealt by uniform by the brokers (KIP-848)".to_owned(),
            "range-of-brokers" => "dealt by range by the brokers (KIP-848)".to_owned(),
            classic => format!("dealt by {classic} by one of its members"),
        }
    }
}

/// A group whose pods have dealt its partitions and read what was written.
pub struct Group<'k> {
    scene: Scene,
    kafka: &'k Kafka,
    consumers: Arc<Consumers>,
    namespace: Namespace<'static>,
    followed: ConsumerPods,
    /// The pods at the start, each as name and UID.
    pods: BTreeSet<String>,
    began: Instant,
}

impl Group<'static> {
    /// Begins a group on the shared broker.
    pub fn begin(scene: Scene) -> Self {
        Self::begin_on(Kafka::shared(), scene)
    }
}

impl<'k> Group<'k> {
    /// Begins a group.
    pub fn begin_on(kafka: &'k Kafka, scene: Scene) -> Self {
        let consumers = Arc::clone(match scene.client {
            Client::Java => kafka.java(),
            Client::Librdkafka => kafka.librdkafka(),
            Client::Go => kafka.go(),
        });
        let namespace = ControlPlane::shared().namespace(&format!("direct-{}", scene.name));
        kafka.topic(scene.name, scene.rates.len(), scene.replicas);
        let replicas = u32::try_from(PODS).expect("few pods");
        let mut orders = match scene.kind {
            "StatefulSet" => workload::stateful_set("orders", replicas),
            _ => workload::deployment("orders", replicas),
        };
        orders["metadata"]["annotations"] = json!({ "pod-rebalancer/enabled": "true" });
        namespace.apply(&orders);
        let consumer = format!("groups={0}&topics={0}&assignor={1}&cost=0", scene.name, scene.assignor);
        let followed = ConsumerPods::follow(&consumers, &namespace, "app=orders", &consumer);
        let (pods, began) = (BTreeSet::new(), Instant::now());
        let mut group = Self { scene, kafka, consumers, namespace, followed, pods, began };
        group.wait_dealt();
        group.pods = group.followed.alive();
        let (from_s, to_s) = BEFORE_S;
        kafka.past(scene.name, scene.rates, from_s, to_s);
        group.wait_read(0);
        thread::sleep(COMMIT);
        group
    }

    /// Waits until every pod has partitions and every partition an owner.
    fn wait_dealt(&self) {
        wait_until(&format!("{} has dealt its partitions", self.scene.name), LIMIT, || {
            let owned = self.consumers.state(self.namespace.name());
            let members: BTreeSet<&str> = owned.iter().map(|at| at.pod.as_str()).collect();
            owned.len() == self.scene.rates.len() && members.len() == PODS
        });
    }

    /// Waits until no more than so many messages wait in any partition.
    pub fn wait_read(&self, most: u64) {
        wait_until(&format!("{} has read", self.scene.name), LIMIT, || {
            thread::sleep(Duration::from_secs(1));
            let lags = self.kafka.lags(self.scene.name);
            lags.len() == self.scene.rates.len() && lags.iter().all(|(_, _, lag)| *lag <= most)
        });
    }

    /// The namespace of its pods.
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }

    pub fn owner(&self, partition: u32) -> String {
        let owned = self.consumers.state(self.namespace.name());
        let is_it = |at: &&Owned| at.partition == partition;
        owned.iter().find(is_it).expect("every partition has an owner").pod.clone()
    }

    /// The spread over the pods of what is written to their partitions.
    pub fn spread(&self) -> f64 {
        let mut loads: BTreeMap<String, f64> = BTreeMap::new();
        for at in self.consumers.state(self.namespace.name()) {
            *loads.entry(at.pod).or_default() += self.scene.rates[at.partition as usize];
        }
        let loads: Vec<f64> = loads.into_values().collect();
        Spread::of(&loads).expect("pods have loads").cv
    }

    /// Lets a pod leave off fetching a partition, or all of them.
    pub fn stick(&self, pod: &str, partition: Option<u32>) {
        self.consumers.stick(
            self.namespace.name(),
            pod,
            partition.map(|partition| (self.scene.name, partition)),
        );
        thread::sleep(COMMIT);
    }

    /// Lets nobody get past the next record of a partition.
    pub fn poison(&self, partition: u32) {
        self.kafka.poison(self.scene.name, partition);
    }

    /// Writes what arrives in the time of the trouble, and goes on writing; waits until the pods look older than that.
    pub fn fall_behind(&self) {
        self.kafka.past(self.scene.name, self.scene.rates, TROUBLE_S, 0);
        self.kafka.load(self.scene.name, self.scene.rates, 0.0);
        thread::sleep(COMMIT);
        thread::sleep(AGE.saturating_sub(self.began.elapsed()));
    }

    /// Messages that wait in a partition.
    pub fn backlog(&self, partition: u32) -> u64 {
        let lags = self.kafka.lags(self.scene.name);
        let lag = lags.iter().find(|(_, number, _)| *number == partition);
        lag.expect("the group has committed an offset of every partition").2
    }

    /// Ends the group, which leaves more of the machine to the others.
    pub fn end(&self) {
        self.followed.stop();
        self.kafka.load(self.scene.name, &vec![0.0; self.scene.rates.len()], 0.0);
        self.consumers.close(self.namespace.name());
    }

    pub fn run(&self) -> Finished {
        self.program(&["run", "--yes"], &[])
    }

    pub fn plan(&self) -> Finished {
        self.program(&["plan"], &[])
    }

    /// Runs the program with nothing but Kubernetes and Kafka.
    pub fn program(&self, arguments: &[&str], env: &[(&str, &str)]) -> Finished {
        let kube = KubeLens::before(self.namespace.admin(), Lens::now());
        let mut program = pod_rebalancer(arguments);
        program
            .env("KUBECONFIG", kube.kubeconfig(self.namespace.name()))
            .env("KUBE_LABEL_SELECTOR", "app=orders")
            .env("METRICS_PRESET", "kafka")
            .env("KAFKA_BOOTSTRAP_SERVERS", self.kafka.addresses().join(","))
            .env("KAFKA_GROUP", self.scene.name)
            .env("KAFKA_WATCH", "10s")
            .env("STRATEGY", "by_cause")
            .env("RUN_TIMEOUT", "120s")
            .env("OUTPUT", "json")
            .envs(env.iter().copied());
        Finished::of(&mut program)
    }

    /// `check` finds the group, its members and its assignor.
    #[track_caller]
    pub fn assert_described(&self) {
        let check = self.program(&["check"], &[("OUTPUT", "table")]);
        for words in [self.scene.dealt_by(), format!("{PODS} of {PODS} members run in these pods")] {
            assert!(check.stdout.contains(&words), "{}: not said: {words}\n{check}", self.scene.name);
        }
        assert_eq!(check.code, Some(0), "{}: {check}", self.scene.name);
    }

    /// The run replaced this pod and no other for this cause.
    #[track_caller]
    pub fn assert_cured(&self, run: &Finished, cause: &str, pod: &str) {
        let (report, name) = (run.json(), self.scene.name);
        assert_eq!(report["diagnosis"]["cause"]["code"], cause, "{name}: {run}");
        assert_eq!(report["diagnosis"]["remedy"], "replace_pod", "{name}: {run}");
        assert_eq!(report["outcome"], "rotated", "{name}: {run}");
        assert_eq!(report["rotation"]["deleted"], Value::from(vec![pod]), "{name}: {run}");
        self.assert_replaced(pod);
    }

    /// This pod and no other was replaced, and the partitions are dealt again.
    #[track_caller]
    pub fn assert_replaced(&self, pod: &str) {
        let name = self.scene.name;
        self.namespace.wait_ready("app=orders", PODS, LIMIT);
        let is_new = || self.followed.alive().len() == PODS && self.gone() == [pod];
        wait_until(&format!("{name}: {pod} is replaced, and no other"), LIMIT, is_new);
        self.wait_dealt();
    }

    /// The pods of the start that are gone.
    fn gone(&self) -> Vec<String> {
        let alive = self.followed.alive();
        let gone = self.pods.difference(&alive);
        gone.filter_map(|key| Some(key.split_once(' ')?.0.to_owned())).collect()
    }

    /// Every pod is the one that it was at the start.
    #[track_caller]
    pub fn assert_nothing_evicted(&self) {
        assert_eq!(self.gone(), Vec::<String>::new(), "{}", self.scene.name);
    }

    /// The words stand in the report.
    #[track_caller]
    pub fn assert_says(&self, run: &Finished, words: &str) {
        assert!(run.stdout.contains(words), "{}: not said: {words}\n{run}", self.scene.name);
    }
}
