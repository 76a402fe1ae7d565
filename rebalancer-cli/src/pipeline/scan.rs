//! A look at all workloads: each is decided on as `plan` does, from answers that are about all of them.

mod case;

use std::borrow::Cow;
use std::collections::BTreeSet;

use anyhow::Context as _;
use rebalancer_core::Metric;
use rebalancer_io::facts::{FactFinder, Question, WITH_A_PAST, window_questions};
use rebalancer_io::joint::{
    Joint, Open, Suspects, View, Wanted, chunks, has_room_for, look_at_history, may_be_named, settings_of,
};
use rebalancer_io::kafka::BesideKafka;
use rebalancer_io::kubernetes::{Found, Namespaces, OwnedWorkload, Selector};
use rebalancer_io::metrics::{
    FactQueries, KafkaPreset, MetricQuery, OriginQueries, QuerySet, QuerySettings, Reach,
};
use rebalancer_io::origin::{Origin, OriginError, one_origin};
use rebalancer_io::podstate::{Aggregator, Answers};

use crate::failure::{Failure, chain};
use crate::pipeline::clocks::{self, now, of_known_age};
use crate::pipeline::decide::{Known, Purpose, analyze, decide, living, needs_facts};
use crate::pipeline::discover::kafka::KafkaSource;
use crate::pipeline::kafka::Wanted as WantedOfKafka;
use crate::pipeline::live::{Client, Live, owner};
use crate::report::scan::{ScanReport, ScanRow, Severity};
use crate::report::version::{API_VERSION, SCAN};
use crate::report::{Report, WorkloadReport};
use crate::settings::decision::DecisionSettings;
use case::{Case, Loads, origins};

pub use case::{Choice, Terms};

/// How often workloads are decided on with what was missing before: what one answer shows may ask for another.
const MOST_ROUNDS: usize = 4;

/// What is said where sources disagree.
const WHOSE: &str = "cannot tell whose series these are";

/// What is looked at.
pub struct Scope<'a> {
    /// Both servers.
    pub live: &'a Live,
    /// What most workloads are decided by: answers about all are asked for by it.
    pub decision: &'a DecisionSettings,
    /// The namespaces.
    pub namespaces: Namespaces,
    /// The least severe of the rows that are to hold their whole report; `None` where none is.
    pub details: Option<Severity>,
    /// Which of the workloads are looked at, and by what each is decided.
    pub choose: &'a dyn Fn(&OwnedWorkload) -> Choice,
}

/// Hears how far the look has come.
pub type Told<'a> = &'a mut dyn FnMut(&str, usize);

impl Scope<'_> {
    /// Looks at all workloads.
    ///
    /// # Errors
    /// A server that does not answer, or gives only part of the answer.
    pub fn scan(&self, told: Told<'_>) -> Result<ScanReport, Failure> {
        let Self { live, namespaces, .. } = self;
        let selector = Some(&live.selector).filter(|selector| !selector.as_str().is_empty());
        let Found { workloads, unlisted } =
            live.cluster.workloads(namespaces, selector, told).context("cannot list the workloads")?;
        let client = live.counting_client()?;
        let (mut cases, refused) = self.chosen(workloads, selector);
        let requests = self.ask_kafka(&mut cases)?;
        if requests.is_some() {
            told("workloads asked about", cases.iter().filter(|case| case.kafka.is_some()).count());
        }
        let settings = self.joint_settings(&cases);
        let mut joint = Joint::new(&client, now());
        if !cases.is_empty() {
            self.look(&mut cases, &mut joint, &client, &settings)?;
        }
        told("workloads with loads", cases.len());
        let mut report = ScanReport {
            api_version: API_VERSION.to_owned(),
            kind: SCAN.to_owned(),
            evaluation_time: joint.at().to_string(),
            context: live.cluster.context().map(str::to_owned),
            namespaces: match namespaces {
                Namespaces::Named(names) => Some(names.clone()),
                Namespaces::All => None,
            },
            selector: selector.map(|selector| selector.as_str().to_owned()),
            found: live.found(),
            unlisted: unlisted.iter().map(ToString::to_string).collect(),
            warnings: clocks::held_against(&live.clocks())?,
            ..ScanReport::default()
        };
        report.warnings.extend(live.without_server());
        let rows = self.rows(cases, &mut joint, &settings, told);
        report.take(rows.into_iter().chain(refused).collect());
        report.requests.insert("prometheus".to_owned(), client.requests());
        report.requests.insert("kubernetes".to_owned(), live.cluster.requests());
        report.requests.extend(requests.map(|count| ("kafka".to_owned(), count as u64)));
        Ok(report)
    }

    /// The workloads that are looked at, and the rows of those whose settings are wrong, or whose pods cannot be read.
    fn chosen(
        &self,
        workloads: Vec<OwnedWorkload>,
        selector: Option<&Selector>,
    ) -> (Vec<Case>, Vec<ScanRow>) {
        let (mut chosen, mut refused): (Vec<Case>, Vec<ScanRow>) = Default::default();
        for mut owned in workloads {
            match (self.choose)(&owned) {
                Choice::Out => {}
                Choice::In(terms) => match self.prepared(&mut owned, &terms, selector) {
                    Ok(own) => chosen.push(Case::new(owned, terms, own, self.live)),
                    Err(failure) => refused.push(undecided(&owned, failure.words())),
                },
                Choice::Refused(why) => refused.push(undecided(&owned, why)),
            }
        }
        (chosen, refused)
    }

    /// Sees to it that a workload has the pods that `plan` finds, which is by their labels. Gives the connection with its
    /// settings if it has its own.
    fn prepared(
        &self,
        owned: &mut OwnedWorkload,
        terms: &Terms,
        selector: Option<&Selector>,
    ) -> Result<Option<Live>, Failure> {
        if owned.selects_others {
            let read = owned.read_by_labels(&self.live.cluster, selector);
            read.context("cannot list the workload")?;
        }
        let own = terms.own.as_ref().map(|args| {
            let selector = owned.selector.clone().unwrap_or_else(Selector::everything);
            self.live.of_workload(&args.live, &terms.decision, &owned.namespace, selector)
        });
        own.transpose()
    }

    /// Asks Kafka about the groups of all workloads that are to be decided by it, within the same time. Tells how many
    /// requests that took, if any was to be asked about.
    fn ask_kafka(&self, cases: &mut [Case]) -> Result<Option<usize>, Failure> {
        let wanted = cases.iter().enumerate().filter_map(|(position, case)| {
            Some((position, self.live_of(case).wanted_of_kafka(&case.owned.workload)?))
        });
        let (asked, wanted): (Vec<usize>, Vec<WantedOfKafka<'_>>) = wanted.unzip();
        let Some(direct) = cases.iter().find_map(|case| self.live_of(case).kafka()) else { return Ok(None) };
        let (told, requests) = (direct.look_at_all(&wanted)?, direct.requests());
        for (position, told) in asked.into_iter().zip(told) {
            let case = &mut cases[position];
            case.source = told.map(|(source, answers)| {
                case.kafka = Some(answers);
                source
            });
        }
        Ok(Some(requests))
    }

    /// What queries about all workloads depend on. Where the names of the namespaces are too long for a query, it is about the
    /// whole cluster, and what is of other namespaces is left out.
    fn joint_settings(&self, cases: &[Case]) -> QuerySettings {
        let all: BTreeSet<&str> = cases.iter().map(|case| case.owned.namespace.as_str()).collect();
        let names: Vec<String> = all.into_iter().map(str::to_owned).collect();
        let settings = QuerySettings { pod_pattern: None, ..self.live.queries() };
        match names.as_slice() {
            [one] => QuerySettings { namespace: one.clone(), reach: Reach::One, ..settings },
            _ if may_be_named(&names, &settings) => {
                QuerySettings { reach: Reach::Several(names), ..settings }
            }
            _ => QuerySettings { reach: Reach::All, ..settings },
        }
    }

    /// The connection with the settings of a workload.
    fn live_of<'c>(&'c self, case: &'c Case) -> &'c Live {
        case.own.as_ref().unwrap_or(self.live)
    }

    /// What the queries about one workload depend on, as `plan` asks them.
    fn own_settings(&self, case: &Case) -> QuerySettings {
        let OwnedWorkload { namespace, workload, .. } = &case.owned;
        self.live_of(case).query_settings_in(namespace, workload)
    }

    /// The same, with what was found of its consumers.
    fn found_settings(&self, case: &Case) -> anyhow::Result<QuerySettings> {
        let source = case.source.as_ref().map_err(|why| anyhow::Error::msg(why.clone()))?;
        Ok(QuerySettings { preset: source.preset, group: source.group.clone(), ..self.own_settings(case) })
    }

    /// Asks for the loads of all, and where their lag comes from.
    fn look(
        &self,
        cases: &mut [Case],
        joint: &mut Joint<'_>,
        client: &Client,
        settings: &QuerySettings,
    ) -> Result<(), Failure> {
        self.live.find_sources(joint, settings)?;
        for case in cases.iter_mut().filter(|case| !case.is_apart) {
            if let Some(own) = &mut case.own {
                own.adopt_preset(self.live);
            }
        }
        let asked = cases.iter().filter(|case| case.is_as_all());
        let presets: BTreeSet<KafkaPreset> = asked.flat_map(|case| self.live_of(case).presets()).collect();
        joint.ask_loads(settings, &presets).context("cannot read the metrics")?;
        for case in cases.iter_mut().filter(|case| case.source.is_ok() && case.kafka.is_none()) {
            case.source = self.source(case, joint).map_err(|failure| failure.words());
        }
        let groups: Vec<(KafkaPreset, Option<&str>)> = cases
            .iter()
            .filter(|case| !case.is_apart)
            .filter_map(|case| case.source.as_ref().ok())
            .map(|source| (source.preset, source.group.as_deref()))
            .collect();
        joint.ask_members(settings, &groups);
        joint.ask_own(&self.asked_in_parts(cases, joint));
        let origins = origins(client, settings, cases, joint.at()).context(WHOSE)?;
        for (case, origin) in cases.iter_mut().zip(origins) {
            case.loads = self.loads(case, joint, client, origin).map_err(|error| chain(&error));
        }
        Ok(())
    }

    /// What is known of a workload.
    fn view<'j, 'a>(case: &'j Case, settings: &'j QuerySettings, joint: &'j Joint<'a>) -> View<'j, 'a> {
        let pods = &case.owned.workload.pods;
        if case.is_apart { joint.view_apart(settings, pods) } else { joint.view(settings, pods) }
    }

    /// Where the lag of a workload comes from, as `plan` finds it.
    fn source(&self, case: &Case, joint: &Joint<'_>) -> Result<KafkaSource, Failure> {
        let settings = self.own_settings(case);
        let view = Self::view(case, &settings, joint);
        self.live_of(case).kafka_of(&view, &settings, &case.owned.workload, joint.at())
    }

    /// The queries of a workload's loads, and which of them no query about all answers: the users' own, and those of presets
    /// about one group. `None` where all are answered, as mostly: then no query has to be written.
    fn unanswered(&self, case: &Case, joint: &Joint<'_>) -> Option<(QuerySet, Vec<Metric>)> {
        let settings = self.found_settings(case).ok().filter(|_| case.is_as_all())?;
        let view = Self::view(case, &settings, joint);
        let metrics: Vec<Metric> = Metric::ALL.into_iter().filter(|metric| !view.answers(*metric)).collect();
        if metrics.is_empty() {
            return None;
        }
        Some((QuerySet::new(&settings).ok()?, metrics))
    }

    /// The queries that no query about all answers, and the questions how fresh the data behind own ones is.
    fn asked_in_parts(&self, cases: &[Case], joint: &Joint<'_>) -> Vec<MetricQuery> {
        let of_case = |case: &Case| {
            let Some((queries, metrics)) = self.unanswered(case, joint) else { return Vec::new() };
            let ages = |metric: Metric| queries.freshness_of(metric).unwrap_or_default();
            let with_ages = |metric: Metric| queries.get(metric).cloned().into_iter().chain(ages(metric));
            metrics.into_iter().flat_map(with_ages).collect::<Vec<MetricQuery>>()
        };
        cases.iter().flat_map(of_case).collect()
    }

    /// The loads of a workload. Where it is not known whose series it has, that is asked by `client`.
    fn loads(
        &self,
        case: &Case,
        joint: &Joint<'_>,
        client: &Client,
        origin: Origin,
    ) -> anyhow::Result<Loads> {
        let Case { owned, terms, source, .. } = case;
        let settings = self.found_settings(case)?;
        let pods = &owned.workload.pods;
        let queries = QuerySet::new(&settings)?;
        let view = Self::view(case, &settings, joint).asked_by(&queries);
        let origin = match origin {
            Origin::One => Ok(()),
            Origin::Mixed(mixed) => Err(OriginError::Mixed(mixed)),
            Origin::Unknown => one_origin(client, &OriginQueries::new(&settings), pods, joint.at()),
        };
        origin.context(WHOSE)?;
        let beside = BesideKafka::new(case.kafka.clone().unwrap_or_default(), &view);
        let answers: Answers = Aggregator::new(&beside, &queries)
            .fetch_in_turn(joint.at())
            .context("cannot read the metrics")?;
        let decision = &terms.decision;
        let mut warnings = of_known_age(&answers, decision)?;
        warnings.extend(source.iter().flat_map(|source| source.told.iter().cloned()));
        let known = Known::of(&answers, &owned.workload, decision.freshness())?;
        let analysis = analyze(decision, &known)?;
        let needs_facts = needs_facts(decision, &analysis);
        let has_rate = analysis.coverage()[Metric::Rate].having > 0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let partitions = view.partitions() as usize;
        let Known { joined, asked, .. } = known;
        Ok(Loads { joined: joined.into_owned(), asked, warnings, needs_facts, has_rate, partitions })
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
        let may_be_ill = others.iter_mut().filter(|case| case.may_be_ill());
        let located = suspects.iter_mut().chain(may_be_ill);
        self.live.cluster.locate_volumes(located.map(|case| &mut case.owned));
        let (readers, others): (Vec<Case>, Vec<Case>) =
            others.into_iter().partition(|case| case.reader().is_some());
        suspects.extend(self.settled(others, joint, &mut rows));
        told("workloads decided", rows.len());
        let all: f64 = suspects.iter().chain(&readers).map(|case| case.chunked(true).rows as f64).sum();
        let partitions = joint.partitions();
        let are_named = !has_room_for(all.max(partitions));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let of_others = if are_named { 0 } else { partitions as usize };
        suspects.extend(readers);
        for chunk in chunks(settings, suspects, |case| case.chunked(are_named)) {
            let of_chunk = settings_of(settings, chunk.iter().map(|case| case.chunked(are_named)));
            let series = chunk.iter().map(|case| case.chunked(true).rows).sum::<usize>().max(of_others);
            let (suspects, readers): (Vec<Case>, Vec<Case>) = chunk.into_iter().partition(Case::needs_facts);
            let reading = suspects.iter().chain(&readers).filter_map(Case::joint_reader).collect();
            let asked = Wanted { readers: reading, rows: series };
            joint.ask_past(&of_chunk, &asked, self.suspects(&suspects, joint, settings).as_ref());
            self.settled(suspects, joint, &mut rows);
            joint.forget_history();
            let ill = self.settled(readers, joint, &mut rows);
            if let Some(suspects) = self.suspects(&ill, joint, settings) {
                joint.ask_history(&suspects);
            }
            self.settled(ill, joint, &mut rows);
            told("workloads decided", rows.len());
        }
        rows
    }

    /// Decides on these. What turns out to be missing is asked for all of them together and they are decided on again. Gives
    /// back those of which the history has to be known, which it is not.
    fn settled(&self, mut cases: Vec<Case>, joint: &mut Joint<'_>, rows: &mut Vec<ScanRow>) -> Vec<Case> {
        let mut ill: Vec<Case> = Vec::new();
        for _ in 0..MOST_ROUNDS {
            let (mut again, mut questions): (Vec<Case>, Vec<Question>) = Default::default();
            for mut case in cases {
                let open = Open::default();
                let row = self.row(&case, joint, Some(&open));
                let asked = open.into_questions();
                if asked.is_empty() {
                    rows.push(row);
                } else if !joint.knows_history() && look_at_history(&asked) {
                    case.look_back();
                    ill.push(case);
                } else {
                    again.push(case);
                    questions.extend(asked);
                }
            }
            if again.is_empty() {
                return ill;
            }
            joint.ask_open(&questions);
            cases = again;
        }
        rows.extend(cases.iter().map(|case| self.row(case, joint, None)));
        ill
    }

    /// What is asked about workloads at whose history a decision looks; `None` where there is none.
    fn suspects<'w>(
        &'w self,
        cases: &'w [Case],
        joint: &Joint<'_>,
        settings: &QuerySettings,
    ) -> Option<Suspects<'w>> {
        let joined = || cases.iter().filter(|case| !case.is_apart);
        joined().next()?;
        let windows = |case: &Case| {
            let workload = &case.owned.workload;
            let settings = self.found_settings(case).ok()?;
            let facts = FactQueries::new(&QuerySet::new(&settings).ok()?, &settings).ok()?;
            let by_rate = Self::view(case, &settings, joint).has(Metric::Rate);
            let live = living(workload);
            Some(window_questions(&facts, &live, workload.rollout_age(), joint.at(), by_rate))
        };
        let as_all = || cases.iter().filter(|case| case.is_as_all());
        let own = |case| {
            let (queries, metrics) = self.unanswered(case, joint)?;
            let with_past = metrics.into_iter().filter(|metric| WITH_A_PAST.contains(metric));
            Some(with_past.filter_map(|metric| queries.get(metric).cloned()).collect::<Vec<MetricQuery>>())
        };
        Some(Suspects {
            settings: settings_of(settings, joined().map(|case| case.chunked(true))),
            window: self.decision.window(),
            presets: as_all().filter_map(|case| Some(case.source.as_ref().ok()?.preset)).collect(),
            readers: cases.iter().filter_map(Case::joint_reader).collect(),
            own: as_all().filter_map(own).flatten().collect(),
            windows: joined().filter_map(windows).flatten().collect(),
        })
    }

    /// The row of a workload. Where questions are left `open`, it does not count.
    fn row(&self, case: &Case, joint: &Joint<'_>, open: Option<&Open>) -> ScanRow {
        let OwnedWorkload { namespace, owner, .. } = &case.owned;
        match self.decided(case, joint, open) {
            Ok(report) => {
                let row = ScanRow::of(namespace, &owner.kind, &owner.name, &report);
                let is_wanted = self.details.is_some_and(|least| row.severity() <= least);
                ScanRow { report: is_wanted.then(|| Box::new(report)), ..row }
            }
            Err(error) => undecided(&case.owned, chain(&error)),
        }
    }

    /// The report that `plan` makes of the workload.
    fn decided(&self, case: &Case, joint: &Joint<'_>, open: Option<&Open>) -> anyhow::Result<Report> {
        let Case { owned, terms, .. } = case;
        let loads = case.loads.as_ref().map_err(|why| anyhow::Error::msg(why.clone()))?;
        let settings = self.found_settings(case)?;
        let facts = FactQueries::new(&QuerySet::new(&settings)?, &settings)?;
        // What is asked by other settings is asked for this workload alone.
        let view = Self::view(case, &settings, joint).noting(open.filter(|_| !case.is_apart));
        let beside = BesideKafka::new(case.kafka.clone().unwrap_or_default(), &view);
        let finder = FactFinder::new(&beside, &facts, joint.at());
        let cures = || {
            let found = || self.live.cluster.in_namespace(&owned.namespace).cures(&owned.workload);
            case.cures.get_or_init(found).clone()
        };
        let known = Known {
            evaluation_time: Some(joint.at().to_string()),
            described: self.described(case),
            cures: Some(&cures),
            ..Known::new(Cow::Borrowed(&loads.joined), &owned.workload, loads.asked.clone())
        };
        let purpose = Purpose {
            kind: terms.kind,
            dry_run: terms.dry_run,
            rotation: Some(&terms.options),
            detailed: self.details.is_some(),
        };
        let mut report = decide(&terms.decision, &known, Some(&finder), purpose)?;
        report.warnings.splice(..0, loads.warnings.iter().cloned());
        Ok(report)
    }

    fn described(&self, case: &Case) -> WorkloadReport {
        let owned = &case.owned;
        let of_kafka = case.source.as_ref().ok().filter(|_| case.kafka.is_some());
        WorkloadReport {
            namespace: Some(owned.namespace.clone()),
            selector: owned.selector.as_ref().map(|selector| selector.as_str().to_owned()),
            owner: owner(&owned.workload)
                .or_else(|| Some(format!("{}/{}", owned.owner.kind, owned.owner.name))),
            context: self.live.cluster.context().map(str::to_owned),
            pods: owned.workload.pods.len(),
            found: of_kafka.map_or_else(Vec::new, |source| source.found.clone()),
        }
    }
}

/// The row of a workload that is not decided.
fn undecided(owned: &OwnedWorkload, why: String) -> ScanRow {
    let OwnedWorkload { namespace, owner, workload, .. } = owned;
    ScanRow::undecided(namespace, &owner.kind, &owner.name, workload.pods.len(), why)
}
