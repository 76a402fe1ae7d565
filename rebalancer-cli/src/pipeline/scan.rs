//! A look at all workloads: each is decided on as `plan` does, from answers that are about all of them.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use rebalancer_core::{Joined, LivePod, Metric, RotationOptions, Workload};
use rebalancer_io::facts::{FactFinder, WindowQuestion, window_questions};
use rebalancer_io::joint::{Chunked, Joint, View, Wanted, chunks, settings_of};
use rebalancer_io::kafka::{BesideKafka, KafkaAnswers};
use rebalancer_io::kubernetes::{Found, Namespaces, OwnedWorkload, Selector};
use rebalancer_io::metrics::{
    FactQueries, JointQueries, KafkaPreset, OriginQueries, QuerySet, QuerySettings, Reach,
};
use rebalancer_io::origin::{OriginError, one_origin, one_origin_of_all};
use rebalancer_io::podstate::{Aggregator, Answers};

use crate::cli::args::RunArgs;
use crate::failure::{Failure, chain};
use crate::pipeline::ages::of_known_age;
use crate::pipeline::clocks::{self, now};
use crate::pipeline::decide::{Known, Purpose, analyze, decide, living, needs_facts};
use crate::pipeline::kafka::{Told as OfKafka, Wanted as WantedOfKafka};
use crate::pipeline::live::{Client, Live};
use crate::report::scan::{ScanReport, ScanRow, Severity};
use crate::report::version::{API_VERSION, SCAN};
use crate::report::{Kind, Report, WorkloadReport};
use crate::settings::decision::DecisionSettings;

/// Longest list of namespaces that is written into a query, in bytes; beyond it the query is about the whole cluster, and
/// what is of other namespaces is left out.
const MOST_NAMESPACES: usize = 1_000;

/// What is looked at.
pub struct Scope<'a> {
    /// Both servers.
    pub live: &'a Live,
    /// What most workloads are decided by: answers about all are asked for by it.
    pub decision: &'a DecisionSettings,
    /// The namespaces.
    pub namespaces: Namespaces,
    /// Which rows are to hold their whole report.
    pub details: Details,
    /// Which of the workloads are looked at, and by what each is decided.
    pub choose: &'a dyn Fn(&OwnedWorkload) -> Choice,
}

/// What becomes of a workload that was listed.
pub enum Choice {
    /// It is not looked at.
    Out,
    /// It is decided by these terms.
    In(Rc<Terms>),
    /// It is not decided, since its settings are wrong for this reason.
    Refused(String),
}

/// By what a workload is decided.
pub struct Terms {
    /// Thresholds and guards.
    pub decision: DecisionSettings,
    /// How a rotation would be carried out.
    pub options: RotationOptions,
    /// What kind of report is made.
    pub kind: Kind,
    /// `none`, `client` or `server`.
    pub dry_run: &'static str,
    /// The arguments of a workload that has settings of its own.
    pub own: Option<Box<RunArgs>>,
}

/// Which rows hold their whole report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Details {
    /// None.
    None,
    /// Those that deserve a look.
    OfTheWorst,
    /// All.
    OfAll,
}

/// Hears how far the look has come.
pub type Told<'a> = &'a mut dyn FnMut(&str, usize);

/// A workload that is looked at.
struct Chosen {
    owned: OwnedWorkload,
    terms: Rc<Terms>,
    /// The connection with its settings, where it has settings of its own.
    own: Option<Live>,
}

/// What Kafka told of each workload; nothing where it was not to be asked.
type ToldOfEach = Vec<Option<Result<OfKafka, String>>>;

/// One workload before it is decided on.
struct Case {
    chosen: Chosen,
    /// What Kafka told of its group, where it was asked.
    kafka: Option<OfKafka>,
    /// Its loads; why there are none that can be used.
    loads: Result<Loads, String>,
}

/// What the joint answers say of a workload.
struct Loads {
    joined: Joined,
    asked: Vec<Metric>,
    warnings: Vec<String>,
    /// Whether more has to be known than its loads.
    needs_facts: bool,
    /// Partitions that its pods read, as far as their clients tell.
    partitions: usize,
    /// Where its lag and rate come from, and its consumer group.
    kafka: (KafkaPreset, Option<String>),
}

impl Case {
    const fn owned(&self) -> &OwnedWorkload {
        &self.chosen.owned
    }

    fn pods(&self) -> &[LivePod] {
        &self.owned().workload.pods
    }

    /// What Kafka told, as answers to queries.
    fn of_kafka(&self) -> Arc<KafkaAnswers> {
        self.kafka.as_ref().map_or_else(Arc::default, |told| Arc::clone(&told.answers))
    }

    fn needs_facts(&self) -> bool {
        self.loads.as_ref().is_ok_and(|loads| loads.needs_facts)
    }

    fn partitions(&self) -> usize {
        self.loads.as_ref().map_or(0, |loads| loads.partitions)
    }

    /// How much room it takes in queries and answers about several workloads.
    fn chunked(&self) -> Chunked<'_> {
        let of_pods = if self.needs_facts() { self.pods().len() } else { 0 };
        Chunked {
            namespace: &self.owned().namespace,
            pods: self.pods(),
            rows: of_pods.max(self.partitions()),
        }
    }
}

impl Scope<'_> {
    /// Looks at all workloads.
    ///
    /// # Errors
    /// A server that does not answer, or gives only part of the answer.
    pub fn scan(&self, told: Told<'_>) -> Result<ScanReport, Failure> {
        let Self { live, namespaces, .. } = self;
        let selector = Some(&live.selector).filter(|selector| !selector.as_str().is_empty());
        let found =
            live.cluster.workloads(namespaces, selector, told).context("cannot list the workloads")?;
        let client = live.counting_client()?;
        let Found { workloads, unlisted } = found;
        let (chosen, refused) = self.chosen(workloads);
        let (told_by_kafka, requests) = self.ask_kafka(&chosen)?;
        if requests.is_some() {
            told("workloads asked about", told_by_kafka.iter().flatten().count());
        }
        if !chosen.is_empty() {
            live.find_preset_of_all(&client, &self.joint_settings(&chosen))?;
        }
        let joint_settings = self.joint_settings(&chosen);
        let mut joint = Joint::new(&client, now());
        let mixed = !chosen.is_empty() && ask_loads(&mut joint, &client, &joint_settings, &chosen)?;
        told("workloads with loads", chosen.len());
        let mut warnings = clocks::held_against(&live.clocks())?;
        warnings.extend(live.without_server());
        let chosen = chosen.into_iter().zip(told_by_kafka);
        let cases: Vec<Case> =
            chosen.map(|(chosen, kafka)| self.case(chosen, kafka, &joint, &client, mixed)).collect();
        let mut report = self.empty_report(&joint, selector, warnings);
        report.pods = cases.iter().map(|case| case.pods().len()).sum();
        report.unlisted = unlisted.iter().map(ToString::to_string).collect();
        report.workloads = self.rows(cases, &mut joint, &joint_settings, told);
        report.workloads.extend(refused);
        report.sort();
        report.requests.insert("prometheus".to_owned(), client.requests());
        report.requests.insert("kubernetes".to_owned(), live.cluster.requests());
        report.requests.extend(requests.map(|count| ("kafka".to_owned(), count as u64)));
        Ok(report)
    }

    fn empty_report(
        &self,
        joint: &Joint<'_>,
        selector: Option<&Selector>,
        warnings: Vec<String>,
    ) -> ScanReport {
        ScanReport {
            api_version: API_VERSION.to_owned(),
            kind: SCAN.to_owned(),
            evaluation_time: joint.at().to_string(),
            context: self.live.cluster.context().map(str::to_owned),
            namespaces: match &self.namespaces {
                Namespaces::Named(names) => Some(names.clone()),
                Namespaces::All => None,
            },
            selector: selector.map(|selector| selector.as_str().to_owned()),
            found: self.live.found(),
            run: None,
            pods: 0,
            workloads: Vec::new(),
            unlisted: Vec::new(),
            warnings,
            requests: std::collections::BTreeMap::new(),
        }
    }

    /// The workloads that are looked at, and the rows of those whose settings are wrong.
    fn chosen(&self, workloads: Vec<OwnedWorkload>) -> (Vec<Chosen>, Vec<ScanRow>) {
        let (mut chosen, mut refused): (Vec<Chosen>, Vec<ScanRow>) = Default::default();
        for owned in workloads {
            match (self.choose)(&owned) {
                Choice::Out => {}
                Choice::In(terms) => match self.own(&owned, &terms) {
                    Ok(own) => chosen.push(Chosen { owned, terms, own }),
                    Err(failure) => refused.push(undecided(&owned, failure.words())),
                },
                Choice::Refused(why) => refused.push(undecided(&owned, why)),
            }
        }
        (chosen, refused)
    }

    /// The connection with the settings of a workload that has its own.
    fn own(&self, owned: &OwnedWorkload, terms: &Terms) -> Result<Option<Live>, Failure> {
        let own = terms.own.as_ref().map(|args| {
            let selector = owned.selector.clone().unwrap_or_else(Selector::everything);
            self.live.of_workload(&args.live, &terms.decision, &owned.namespace, selector)
        });
        own.transpose()
    }

    /// Asks Kafka about the groups of all workloads that are to be decided by it, within the same time. Tells also how many
    /// requests that took, if any was to be asked about.
    fn ask_kafka(&self, chosen: &[Chosen]) -> Result<(ToldOfEach, Option<usize>), Failure> {
        let wanted: Vec<Option<WantedOfKafka<'_>>> =
            chosen.iter().map(|one| self.live_of(one).wanted_of_kafka(&one.owned.workload)).collect();
        let is_asked: Vec<bool> = wanted.iter().map(Option::is_some).collect();
        let Some(direct) = chosen.iter().find_map(|one| self.live_of(one).kafka()) else {
            return Ok((chosen.iter().map(|_| None).collect(), None));
        };
        let wanted: Vec<WantedOfKafka<'_>> = wanted.into_iter().flatten().collect();
        let mut told = direct.look_at_all(&wanted)?.into_iter();
        let told = is_asked.into_iter().map(|is_asked| if is_asked { told.next() } else { None }).collect();
        Ok((told, Some(direct.requests())))
    }

    /// What queries about all workloads depend on.
    fn joint_settings(&self, chosen: &[Chosen]) -> QuerySettings {
        let all: BTreeSet<&str> = chosen.iter().map(|one| one.owned.namespace.as_str()).collect();
        let names: Vec<String> = all.into_iter().map(str::to_owned).collect();
        let bytes: usize = names.iter().map(|name| name.len() + 1).sum();
        let settings = QuerySettings { pod_pattern: None, ..self.live.queries() };
        match names.as_slice() {
            [one] => QuerySettings { namespace: one.clone(), reach: Reach::One, ..settings },
            _ if bytes > MOST_NAMESPACES => QuerySettings { reach: Reach::All, ..settings },
            _ => QuerySettings { reach: Reach::Several(names), ..settings },
        }
    }

    /// The connection with the settings of a workload.
    fn live_of<'c>(&'c self, chosen: &'c Chosen) -> &'c Live {
        chosen.own.as_ref().unwrap_or(self.live)
    }

    /// What the queries about one workload depend on, as `plan` asks them.
    fn own_settings(&self, case: &Case) -> QuerySettings {
        let OwnedWorkload { namespace, workload, .. } = case.owned();
        let settings = self.live_of(&case.chosen).query_settings_in(namespace, workload);
        match &case.kafka {
            Some(OfKafka { source, .. }) => {
                QuerySettings { preset: source.preset, group: source.group.clone(), ..settings }
            }
            None => settings,
        }
    }

    /// The same, with what was found of its consumers.
    fn found_settings(&self, case: &Case, loads: &Loads) -> QuerySettings {
        let (preset, group) = loads.kafka.clone();
        QuerySettings { preset, group, ..self.own_settings(case) }
    }

    /// The workload with its loads. Where the sources of all disagree (`mixed`), its own are looked at by `client`.
    fn case(
        &self,
        mut chosen: Chosen,
        kafka: Option<Result<OfKafka, String>>,
        joint: &Joint<'_>,
        client: &Client,
        mixed: bool,
    ) -> Case {
        if let Some(own) = &mut chosen.own {
            own.adopt_preset(self.live);
        }
        let (kafka, wrong) = match kafka.transpose() {
            Ok(kafka) => (kafka, None),
            Err(why) => (None, Some(why)),
        };
        let mut case = Case { chosen, kafka, loads: Err(String::new()) };
        case.loads = match wrong {
            Some(why) => Err(why),
            None => self.loads(&case, joint, client, mixed).map_err(|error| chain(&error)),
        };
        case
    }

    fn loads(&self, case: &Case, joint: &Joint<'_>, client: &Client, mixed: bool) -> anyhow::Result<Loads> {
        let Chosen { owned, terms, own } = &case.chosen;
        let mut settings = self.own_settings(case);
        let pods = &owned.workload.pods;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let (partitions, reads) = {
            let view = joint.view(&settings, pods);
            let partitions = joint.partitions(&view) as usize;
            (partitions, partitions > 0 || joint.has(&view, Metric::Lag))
        };
        let group_of_all = settings.group.clone();
        // Not every exporter of clients tells of each partition, but of lag.
        let told = if reads { self.find_kafka(&mut settings, case, joint, client)? } else { Vec::new() };
        let queries = QuerySet::new(&settings)?;
        let view = joint.view(&settings, pods);
        let source = BesideKafka::new(case.of_kafka(), &view);
        // Nobody was asked yet whether a group that was found, or is set for this workload alone, is one.
        let is_new_group = settings.group != group_of_all && settings.preset != KafkaPreset::Kafka;
        if mixed || own.is_some() || is_new_group {
            one_origin(client, &OriginQueries::new(&settings), pods, joint.at())
                .context("cannot tell whose series these are")?;
        }
        let answers: Answers = Aggregator::new(&source, &queries)
            .fetch_in_turn(joint.at())
            .context("cannot read the metrics")?;
        let decision = &terms.decision;
        let mut warnings = of_known_age(&answers, decision)?;
        warnings.extend(told);
        if let Some(OfKafka { source, answers }) = &case.kafka {
            warnings.extend(source.told.iter().chain(answers.remarks()).cloned());
        }
        let joined = answers.join(pods, decision.freshness()).context("cannot tell the pods apart")?;
        let asked = answers.asked();
        let known = Self::known(&joined, &owned.workload, &asked);
        let needs_facts = needs_facts(decision, &analyze(decision, &known)?);
        let kafka = (settings.preset, settings.group);
        Ok(Loads { joined, asked, warnings, needs_facts, partitions, kafka })
    }

    /// Puts into `settings` what is found of the consumers of one workload, as `plan` finds it; returns what is not clear.
    fn find_kafka(
        &self,
        settings: &mut QuerySettings,
        case: &Case,
        joint: &Joint<'_>,
        client: &Client,
    ) -> anyhow::Result<Vec<String>> {
        let found = self.live_of(&case.chosen).kafka_of(client, settings, &case.owned().workload, joint.at());
        let found = found.map_err(|failure| {
            let (Failure::Usage(error) | Failure::Run(error)) = failure;
            error
        })?;
        let Some(source) = found else { return Ok(Vec::new()) };
        (settings.preset, settings.group) = (source.preset, source.group);
        Ok(source.told)
    }

    fn known<'k>(joined: &'k Joined, workload: &'k Workload, asked: &'k [Metric]) -> Known<'k> {
        let described = WorkloadReport::default();
        Known { joined, workload, asked, evaluation_time: None, described, cures: None, has_past: true }
    }

    /// Decides on all, those together about which more has to be asked.
    fn rows(
        &self,
        cases: Vec<Case>,
        joint: &mut Joint<'_>,
        settings: &QuerySettings,
        told: Told<'_>,
    ) -> Vec<ScanRow> {
        let mut rows: Vec<ScanRow> = Vec::with_capacity(cases.len());
        let (mut suspects, mut others): (Vec<Case>, Vec<Case>) =
            cases.into_iter().partition(Case::needs_facts);
        let may_be_ill = others.iter_mut().filter(|case| case.kafka.is_some());
        let located = suspects.iter_mut().chain(may_be_ill);
        self.live.cluster.locate_volumes(located.map(|case| &mut case.chosen.owned));
        let (readers, others): (Vec<Case>, Vec<Case>) =
            others.into_iter().partition(|case| case.partitions() > 0);
        rows.extend(others.iter().map(|case| self.row(case, joint)));
        told("workloads decided", rows.len());
        let window = self.decision.window();
        for (cases, history) in [(suspects, Some(&window)), (readers, None)] {
            for chunk in chunks(cases, Case::chunked) {
                let queries = JointQueries::new(&settings_of(settings, chunk.iter().map(Case::chunked)));
                let partitions = chunk.iter().any(|case| case.partitions() > 0);
                joint.ask_past(&queries, Wanted { history, partitions });
                let windows = history.map_or_else(Vec::new, |_| self.windows(&chunk, joint));
                joint.ask_windows(&windows);
                rows.extend(chunk.iter().map(|case| self.row(case, joint)));
                told("workloads decided", rows.len());
            }
        }
        rows
    }

    /// The windows of the past that decisions on these workloads look at.
    fn windows(&self, cases: &[Case], joint: &Joint<'_>) -> Vec<WindowQuestion> {
        let of_case = |case: &Case| {
            let workload = &case.owned().workload;
            let settings = self.found_settings(case, case.loads.as_ref().ok()?);
            let facts = FactQueries::new(&QuerySet::new(&settings).ok()?, &settings).ok()?;
            let by_rate = joint.has(&joint.view(&settings, &workload.pods), Metric::Rate);
            let live = living(workload);
            Some(window_questions(&facts, &live, workload.rollout_age(), joint.at(), by_rate))
        };
        cases.iter().filter_map(of_case).flatten().collect()
    }

    fn row(&self, case: &Case, joint: &Joint<'_>) -> ScanRow {
        let OwnedWorkload { namespace, owner, .. } = case.owned();
        let decided = match &case.loads {
            Ok(loads) => self.decided(case, loads, joint).map_err(|error| chain(&error)),
            Err(why) => Err(why.clone()),
        };
        match decided {
            Ok(report) => {
                let row = ScanRow::of(namespace, &owner.kind, &owner.name, &report);
                let is_wanted = match self.details {
                    Details::None => false,
                    Details::OfTheWorst => row.severity() <= Severity::Uneven,
                    Details::OfAll => true,
                };
                ScanRow { report: is_wanted.then(|| Box::new(report)), ..row }
            }
            Err(why) => undecided(case.owned(), why),
        }
    }

    /// The report that `plan` makes of the workload.
    fn decided(&self, case: &Case, loads: &Loads, joint: &Joint<'_>) -> anyhow::Result<Report> {
        let Chosen { owned, terms, .. } = &case.chosen;
        let settings = self.found_settings(case, loads);
        let facts = FactQueries::new(&QuerySet::new(&settings)?, &settings)?;
        let view: View<'_, '_> = joint.view(&settings, &owned.workload.pods);
        let source = BesideKafka::new(case.of_kafka(), &view);
        let finder = FactFinder::new(&source, &facts, joint.at());
        let cures = || self.live.cluster.in_namespace(&owned.namespace).cures(&owned.workload);
        let known = Known {
            evaluation_time: Some(joint.at().to_string()),
            described: self.described(case),
            cures: Some(&cures),
            ..Self::known(&loads.joined, &owned.workload, &loads.asked)
        };
        let purpose = Purpose {
            kind: terms.kind,
            dry_run: terms.dry_run,
            rotation: Some(&terms.options),
            detailed: self.details != Details::None,
        };
        let mut report = decide(&terms.decision, &known, Some(&finder), purpose)?;
        report.warnings.splice(..0, loads.warnings.iter().cloned());
        Ok(report)
    }

    fn described(&self, case: &Case) -> WorkloadReport {
        let owned = case.owned();
        WorkloadReport {
            namespace: Some(owned.namespace.clone()),
            selector: owned.selector.as_ref().map(|selector| selector.as_str().to_owned()),
            owner: Some(format!("{}/{}", owned.owner.kind, owned.owner.name)),
            context: self.live.cluster.context().map(str::to_owned),
            pods: owned.workload.pods.len(),
            found: case.kafka.as_ref().map_or_else(Vec::new, |told| told.source.found.clone()),
        }
    }
}

/// The row of a workload that is not decided.
fn undecided(owned: &OwnedWorkload, why: String) -> ScanRow {
    let OwnedWorkload { namespace, owner, workload, .. } = owned;
    ScanRow::undecided(namespace, &owner.kind, &owner.name, workload.pods.len(), why)
}

/// Asks for the loads of all, and whose series they are. True where sources disagree about some, so that each workload has
/// to be looked at by itself.
fn ask_loads(
    joint: &mut Joint<'_>,
    client: &Client,
    settings: &QuerySettings,
    chosen: &[Chosen],
) -> Result<bool, Failure> {
    let (queries, origins) = (JointQueries::new(settings), OriginQueries::new(settings));
    let at = joint.at();
    // Terms are of this thread alone.
    let workloads: Vec<&OwnedWorkload> = chosen.iter().map(|one| &one.owned).collect();
    let (loads, origin) = thread::scope(|scope| {
        let origin = scope.spawn(|| {
            let pod_of = |namespace: &str, name: &str| {
                let all = workloads.iter().filter(|owned| owned.namespace == namespace);
                all.flat_map(|owned| &owned.workload.pods).find(|pod| pod.name == name)
            };
            one_origin_of_all(client, &origins, &pod_of, at)
        });
        let loads = joint.ask_loads(&queries);
        (loads, origin.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    loads.context("cannot read the metrics")?;
    match origin {
        Ok(()) => Ok(false),
        Err(OriginError::Mixed(_)) => Ok(true),
        Err(error) => {
            Err(Failure::Run(anyhow::Error::new(error).context("cannot tell whose series these are")))
        }
    }
}
