//! The groups of all scenarios, and what a test may ask of one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use e2e::{
    ConsumerPods, ControlPlane, Finished, Kafka, KubeLens, Lens, MetricServer, Namespace, Owned, Release,
    Scrapes, pod_rebalancer, wait_until, workload,
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(180);

/// What every group has.
const PODS: u32 = 5;
const PARTITIONS: usize = 20;

/// Messages per second of a partition, and microseconds of CPU for each. All groups together must leave the
/// machine time to run them.
const RATE: f64 = 1.0;
const COST: f64 = 500.0;
/// Below this many cores a workload counts as idle; that of the pods here is small.
const FLOORS: &str = "cpu=0.001";

/// The partition that stands, in the groups of which one does.
pub const STUCK: u32 = 9;

/// Between the first deal and the trouble, and between that and the first decision. The latter looks like
/// more than the hour over which the unevenness must have lasted.
const QUIET: Duration = Duration::from_secs(15);
const TROUBLE: Duration = Duration::from_secs(130);

/// After an eviction: the group deals anew and reads up what lay waiting.
const SETTLING: Duration = Duration::from_secs(15);
/// How often, and after which pause, a cause is looked for.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_secs(15);
/// How long true loads are measured.
const MEASURED: Duration = Duration::from_secs(8);

/// What is wrong with a group.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    None,
    /// A message costs the first pod three times as much.
    Sick,
    /// The owner of one partition leaves off fetching it.
    Stuck,
    /// Nobody gets past a record.
    Poison,
    /// A pod leaves off fetching.
    Stalled,
    /// One pod's partitions get three times the messages, another's a fifth.
    Uneven,
}

/// A scenario.
#[derive(Debug, Clone, Copy)]
struct Plan {
    name: &'static str,
    assignor: &'static str,
    kind: &'static str,
    preset: &'static str,
    trouble: Trouble,
    groups: usize,
    topics: usize,
    /// Messages per second of a partition, in units of [`RATE`].
    rate: fn(usize) -> f64,
    noise: f64,
    release: Release,
    /// Further settings of the program.
    settings: &'static [(&'static str, &'static str)],
}

const EVEN: Plan = Plan {
    name: "",
    assignor: "range",
    kind: "Deployment",
    preset: "kafka-exporter",
    trouble: Trouble::None,
    groups: 1,
    topics: 1,
    rate: |_| 1.0,
    noise: 0.0,
    release: Release::NewestVictoriaMetrics,
    settings: &[],
};

const fn sick(name: &'static str, assignor: &'static str, release: Release) -> Plan {
    Plan { name, assignor, preset: "micrometer", trouble: Trouble::Sick, release, ..EVEN }
}

const fn stuck(name: &'static str, assignor: &'static str, kind: &'static str, release: Release) -> Plan {
    Plan { name, assignor, kind, trouble: Trouble::Stuck, release, ..EVEN }
}

/// The consumers began at once, so their deal looks like another assignor's; and all pods are younger than six
/// hours, which only an illness excuses.
const PLANNED: &[(&str, &str)] = &[("KAFKA_ASSIGNOR", "cooperative-sticky"), ("CHURN_BUDGET", "off")];

const PLANS: [Plan; 19] = [
    sick("sick-range", "range", Release::NewestPrometheus),
    sick("sick-cooperative", "cooperative-sticky", Release::NewestVictoriaMetrics),
    sick("sick-uniform", "uniform", Release::NewestVictoriaMetrics),
    stuck("stuck-range", "range", "Deployment", Release::NewestPrometheus),
    stuck("stuck-range-stateful", "range", "StatefulSet", Release::NewestVictoriaMetrics),
    stuck("stuck-cooperative", "cooperative-sticky", "Deployment", Release::NewestVictoriaMetrics),
    stuck("stuck-cooperative-stateful", "cooperative-sticky", "StatefulSet", Release::NewestPrometheus),
    stuck("stuck-uniform", "uniform", "Deployment", Release::NewestPrometheus),
    stuck("stuck-uniform-stateful", "uniform", "StatefulSet", Release::NewestVictoriaMetrics),
    Plan { name: "poison-two-groups", trouble: Trouble::Poison, groups: 2, ..EVEN },
    Plan { name: "poison-one-group", trouble: Trouble::Poison, ..EVEN },
    Plan { name: "hot", rate: |partition| if partition == 5 { 30.0 } else { 1.0 }, ..EVEN },
    Plan { name: "stalled-micrometer", trouble: Trouble::Stalled, preset: "micrometer", ..EVEN },
    Plan { name: "stalled-offsets", trouble: Trouble::Stalled, ..EVEN },
    Plan { name: "healthy", topics: 2, preset: "micrometer", ..EVEN },
    Plan { name: "skewed-range", rate: |partition| 0.2 + partition as f64 / 8.0, ..EVEN },
    Plan { name: "noisy", preset: "micrometer", noise: 0.4, ..EVEN },
    Plan { name: "two-groups", groups: 2, preset: "micrometer", assignor: "cooperative-sticky", ..EVEN },
    Plan {
        name: "uneven",
        assignor: "cooperative-sticky",
        trouble: Trouble::Uneven,
        settings: PLANNED,
        ..EVEN
    },
];

impl Plan {
    /// Waits until every pod has partitions and every partition an owner.
    fn wait_dealt(&self, kafka: &Kafka, namespace: &str) {
        wait_until(&format!("{} has dealt its partitions", self.name), LIMIT, || {
            let owned = kafka.java().state(namespace);
            let members: BTreeSet<&str> = owned.iter().map(|at| at.pod.as_str()).collect();
            owned.len() == PARTITIONS * self.topics * self.groups && members.len() == PODS as usize
        });
    }
}

/// All groups; they are begun together and watched for as long.
struct Stage {
    groups: BTreeMap<&'static str, Watched>,
}

/// A group that has been watched.
pub struct Watched {
    plan: Plan,
    kafka: &'static Kafka,
    namespace: Namespace<'static>,
    consumers: ConsumerPods,
    scrapes: Scrapes,
    /// The pods at the start, each as name and UID.
    pods: BTreeSet<String>,
    /// When it was watched for long enough.
    ready: Instant,
    poisoned: Mutex<Option<u64>>,
}

/// A test that looks at the groups. The last one that leaves ends broker and consumers, because they slow down
/// what other tests do.
pub struct Visit(&'static Stage);

impl Visit {
    /// Begins the groups where this is the first visit.
    pub fn begin() -> Self {
        static SHARED: OnceLock<Stage> = OnceLock::new();
        Self(SHARED.get_or_init(Stage::begin))
    }

    /// A group, once it was watched for long enough.
    pub fn watched(&self, name: &str) -> &'static Watched {
        self.0.watched(name)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        static LEFT: AtomicUsize = AtomicUsize::new(0);
        if LEFT.fetch_add(1, Ordering::Relaxed) + 1 == super::TESTS {
            self.0.end();
        }
    }
}

impl Stage {
    fn end(&self) {
        self.groups.values().for_each(Watched::end);
        // What is under way ends first.
        thread::sleep(Duration::from_secs(3));
        Kafka::shared().end();
    }

    fn begin() -> Self {
        let mut groups: BTreeMap<&str, Watched> = thread::scope(|scope| {
            let begun: Vec<_> =
                PLANS.iter().map(|plan| (plan.name, scope.spawn(|| Watched::begin(*plan)))).collect();
            begun.into_iter().map(|(name, group)| (name, group.join().expect("a group begins"))).collect()
        });
        thread::sleep(QUIET);
        for group in groups.values_mut() {
            group.make_trouble();
            group.ready = Instant::now() + TROUBLE;
        }
        Self { groups }
    }

    fn watched(&self, name: &str) -> &Watched {
        let group = &self.groups[name];
        thread::sleep(group.ready.saturating_duration_since(Instant::now()));
        group
    }
}

impl Watched {
    fn begin(plan: Plan) -> Self {
        let (kafka, plane) = (Kafka::shared(), ControlPlane::shared());
        let namespace = plane.namespace(&format!("kafka-{}", plan.name));
        let rates: Vec<f64> = (0..PARTITIONS).map(|partition| RATE * (plan.rate)(partition)).collect();
        let topics: Vec<String> = (0..plan.topics).map(|number| topic(plan.name, number)).collect();
        for topic in &topics {
            kafka.topic(topic, PARTITIONS, 1);
            kafka.load(topic, &rates, plan.noise);
        }
        let manifest = match plan.kind {
            "StatefulSet" => workload::stateful_set("orders", PODS),
            _ => workload::deployment("orders", PODS),
        };
        namespace.apply(&manifest);
        let groups: Vec<String> = (0..plan.groups).map(|number| group(plan.name, number)).collect();
        let consumer = format!(
            "groups={}&topics={}&assignor={}&cost={COST}",
            groups.join(","),
            topics.join(","),
            plan.assignor
        );
        let consumers = ConsumerPods::follow(kafka.java(), &namespace, "app=orders", &consumer);
        plan.wait_dealt(kafka, namespace.name());
        let (pods, scrapes) = (consumers.alive(), Scrapes::of(kafka, namespace.name()));
        let ready = Instant::now();
        Self { plan, kafka, namespace, consumers, scrapes, pods, ready, poisoned: Mutex::new(None) }
    }

    fn make_trouble(&self) {
        let (kafka, namespace, topic) = (self.kafka, self.namespace.name(), self.topic());
        let owner = self.owner(STUCK);
        match self.plan.trouble {
            Trouble::None => {}
            Trouble::Sick => kafka.cost(namespace, &owner, 3.0 * COST),
            Trouble::Stuck => kafka.java().stick(namespace, &owner, Some((&topic, STUCK))),
            Trouble::Stalled => kafka.java().stick(namespace, &owner, None),
            Trouble::Uneven => self.load_unevenly(),
            Trouble::Poison => {
                let offset = kafka.poison(&topic, STUCK);
                *self.poisoned.lock().unwrap_or_else(PoisonError::into_inner) = Some(offset);
            }
        }
    }

    fn load_unevenly(&self) {
        let mut rates = [RATE; PARTITIONS];
        let busiest = self.owner(STUCK);
        let owned = self.kafka.java().state(self.namespace.name());
        let least_busy = owned.iter().map(|at| &at.pod).find(|pod| **pod != busiest).expect("another pod");
        for at in &owned {
            let times = match &at.pod {
                pod if *pod == busiest => 3.0,
                pod if pod == least_busy => 0.2,
                _ => 1.0,
            };
            rates[at.partition as usize] *= times;
        }
        self.kafka.load(&self.topic(), &rates, self.plan.noise);
    }

    /// Ends the group, which leaves more of the machine to the others.
    pub fn end(&self) {
        self.scrapes.stop();
        self.consumers.stop();
        for number in 0..self.plan.topics {
            self.kafka.load(&topic(self.plan.name, number), &[0.0; PARTITIONS], 0.0);
        }
        self.kafka.java().close(self.namespace.name());
    }

    /// The topic, or the first of them.
    pub fn topic(&self) -> String {
        topic(self.plan.name, 0)
    }

    /// The offset of the record that nobody gets past, as it looks through the lens.
    pub fn poisoned(&self) -> u64 {
        let offset = *self.poisoned.lock().unwrap_or_else(PoisonError::into_inner);
        30 * offset.expect("a record of this group is poisoned")
    }

    fn owner(&self, partition: u32) -> String {
        let owned = self.kafka.java().state(self.namespace.name());
        let is_it = |at: &&Owned| at.partition == partition && at.topic == self.topic();
        owned.iter().find(is_it).expect("every partition has an owner").pod.clone()
    }

    /// Runs `run --yes` on all that was seen so far, again where a busy machine left the scrapes too old.
    pub fn run(&self) -> Finished {
        let mut run = self.program(&["run", "--yes"]);
        for _ in 0..TRIES {
            if run.json()["outcome"] != "insufficient_data" {
                break;
            }
            thread::sleep(PAUSE);
            run = self.program(&["run", "--yes"]);
        }
        run
    }

    /// Runs `plan` on all that was seen so far.
    pub fn plan(&self) -> Finished {
        self.program(&["plan"])
    }

    /// Waits until a plan names this cause: on a busy machine consumers and scrapes come to a halt at times, and
    /// the program then says that it cannot tell.
    pub fn wait_for(&self, cause: &str) -> &Self {
        for _ in 0..TRIES {
            if self.plan().json()["diagnosis"]["cause"]["code"] == cause {
                break;
            }
            thread::sleep(PAUSE);
        }
        self
    }

    fn program(&self, arguments: &[&str]) -> Finished {
        let lens = Lens::now();
        let metrics = MetricServer::filled(self.plan.release, self.scrapes.through(lens), &[]);
        let kube = KubeLens::before(self.namespace.admin(), lens);
        let mut program = pod_rebalancer(arguments);
        program
            .env("PROMETHEUS_ENDPOINT", metrics.url())
            .env("KUBECONFIG", kube.kubeconfig(self.namespace.name()))
            .env("KUBE_LABEL_SELECTOR", "app=orders")
            .env("METRICS_PRESET", self.plan.preset)
            .env("KAFKA_GROUP", group(self.plan.name, 0))
            .env("STRATEGY", "by_cause")
            .env("FLOORS", FLOORS)
            .env("RUN_TIMEOUT", "120s")
            .env("OUTPUT", "json")
            .envs(self.plan.settings.iter().copied());
        Finished::of(&mut program)
    }

    /// The group after its eviction, once it has settled.
    pub fn settled(&self) -> &Self {
        let name = self.namespace.name();
        self.namespace.wait_ready("app=orders", PODS as usize, LIMIT);
        wait_until(&format!("{name} has its new consumers"), LIMIT, || {
            let alive = self.consumers.alive();
            alive.len() == PODS as usize && alive != self.pods
        });
        self.plan.wait_dealt(self.kafka, name);
        thread::sleep(SETTLING);
        self
    }

    /// The spread of the CPU that the pods really use: its coefficient of variation.
    pub fn cpu_spread(&self) -> f64 {
        let used = || self.samples("container_cpu_usage_seconds_total", "pod");
        let before = used();
        thread::sleep(MEASURED);
        let after = used();
        grown_spread(&before, &after)
    }

    /// The spread of the messages that the pods really read: its coefficient of variation.
    pub fn read_spread(&self) -> f64 {
        let read = || {
            let mut read: BTreeMap<String, f64> = BTreeMap::new();
            for owned in self.kafka.java().state(self.namespace.name()) {
                *read.entry(owned.pod).or_default() += owned.read as f64;
            }
            read
        };
        let before = read();
        thread::sleep(2 * MEASURED);
        grown_spread(&before, &read())
    }

    /// The messages of a partition that lie waiting.
    pub fn backlog(&self, partition: u32) -> f64 {
        self.lags().get(&partition.to_string()).copied().unwrap_or_default()
    }

    /// The messages that lie waiting.
    pub fn total_backlog(&self) -> f64 {
        self.lags().values().sum()
    }

    fn lags(&self) -> BTreeMap<String, f64> {
        let of_first = format!("consumergroup=\"{}\"", group(self.plan.name, 0));
        let scrape = self.kafka.scrape(self.namespace.name());
        let lines = scrape
            .lines()
            .filter(|line| line.starts_with("kafka_consumergroup_lag") && line.contains(&of_first));
        lines.filter_map(|line| sample(line, "partition")).collect()
    }

    fn samples(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let scrape = self.kafka.scrape(self.namespace.name());
        scrape.lines().filter(|line| line.starts_with(name)).filter_map(|line| sample(line, label)).collect()
    }

    /// The pods of the start that are gone.
    pub fn evicted(&self) -> Vec<String> {
        let alive = self.consumers.alive();
        let gone = self.pods.difference(&alive);
        gone.filter_map(|key| Some(key.split_once(' ')?.0.to_owned())).collect()
    }

    /// The run replaced the one pod that is ill, and said so.
    #[track_caller]
    pub fn assert_cured(&self, run: &Finished, cause: &str) {
        let (report, name) = (run.json(), self.plan.name);
        assert_eq!(report["diagnosis"]["cause"]["code"], cause, "{name}: {run}");
        assert_eq!(report["diagnosis"]["remedy"], "replace_pod", "{name}: {run}");
        self.assert_evicted(run, 1);
    }

    /// The run evicted so many pods, and these are gone and no other.
    #[track_caller]
    pub fn assert_evicted(&self, run: &Finished, pods: usize) {
        let (report, name) = (run.json(), self.plan.name);
        assert_eq!(report["outcome"], "rotated", "{name}: {run}");
        let deleted = report["rotation"]["deleted"].as_array().into_iter().flatten();
        let deleted: BTreeSet<&str> = deleted.filter_map(Value::as_str).collect();
        assert_eq!(deleted.len(), pods, "{name}: {run}");
        wait_until(&format!("{name}: {deleted:?} are gone"), LIMIT, || {
            self.evicted().iter().map(String::as_str).collect::<BTreeSet<&str>>() == deleted
        });
    }

    /// The run evicted nothing, and named this cause.
    #[track_caller]
    pub fn assert_left_alone(&self, run: &Finished, cause: &str) {
        assert_eq!(run.json()["diagnosis"]["cause"]["code"], cause, "{}: {run}", self.plan.name);
        assert_eq!(run.json()["outcome"], "withheld", "{}: {run}", self.plan.name);
        assert!(run.json()["rotation"]["deleted"].as_array().is_none_or(Vec::is_empty), "{run}");
    }

    /// Every pod is the one that it was at the start.
    #[track_caller]
    pub fn assert_nothing_evicted(&self) {
        assert_eq!(self.evicted(), Vec::<String>::new(), "{}", self.plan.name);
    }

    /// The words stand in the report.
    #[track_caller]
    pub fn assert_says(&self, run: &Finished, words: &str) {
        assert!(run.stdout.contains(words), "{}: not said: {words}\n{run}", self.plan.name);
    }

    /// Writes a line of the table of scenarios; `--nocapture` shows it.
    pub fn tell(&self, run: &Finished, before: f64, after: f64) {
        let report = run.json();
        println!(
            "| {} | {} | {} | {} | {before:.2} | {after:.2} |",
            self.plan.name,
            report["outcome"].as_str().unwrap_or_default(),
            report["diagnosis"]["cause"]["code"].as_str().unwrap_or_default(),
            report["diagnosis"]["remedy"].as_str().unwrap_or_default(),
        );
    }
}

/// The coefficient of variation of what each pod's number grew by.
fn grown_spread(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> f64 {
    let loads: Vec<f64> = after.iter().filter_map(|(pod, now)| Some(now - before.get(pod)?)).collect();
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    let squares: f64 = loads.iter().map(|load| (load - mean).powi(2)).sum();
    (squares / loads.len() as f64).sqrt() / mean
}

/// With dots, which clients write in two ways, but for the second one.
fn topic(plan: &str, number: usize) -> String {
    if number == 0 { format!("{plan}.orders") } else { format!("{plan}-plain") }
}

fn group(plan: &str, number: usize) -> String {
    format!("{plan}-{number}")
}

/// The value of a label and of the sample.
fn sample(line: &str, label: &str) -> Option<(String, f64)> {
    let (_, rest) = line.split_once(&format!("{label}=\""))?;
    Some((rest.split_once('"')?.0.to_owned(), line.rsplit_once(' ')?.1.parse().ok()?))
}
