//! Checks what may forbid a rotation: whether each question is answered, and what it finds now.

use jiff::Timestamp;
use rebalancer_core::VetoBy;
use rebalancer_core::guard::{Standing, veto};
use rebalancer_io::facts::FactFinder;
use rebalancer_io::metrics::{FactQueries, MetricsSource, SourceSeries, VetoQuery};

use crate::pipeline::check::kafka::POD_OPTIONAL;
use crate::report::check::{Category, Grade};

/// Most metrics of the veto query that are looked for.
const MOST_SOURCES: usize = 3;

/// Asks each question as a run does.
pub fn check(source: &dyn MetricsSource, facts: &FactQueries, at: Timestamp, category: &mut Category) {
    let finder = FactFinder::new(source, facts, at);
    for asked in facts.vetoes() {
        let verdict = veto(&finder.veto(asked));
        let (grade, hint) = match verdict.standing {
            Standing::Pass => match never_heard(source, asked, at) {
                Some(hint) => (Grade::Warning, Some(hint)),
                None => (Grade::Success, None),
            },
            Standing::Hold => (Grade::Warning, Some("runs are withheld as long as that is so".to_owned())),
            Standing::Unknown => (Grade::Error, Some("every run is withheld for it".to_owned())),
        };
        category.add(grade, verdict.to_string(), hint);
    }
}

/// What to look at where the server has no sample of what a question reads: a misspelled one never forbids
/// anything.
fn never_heard(source: &dyn MetricsSource, asked: &VetoQuery, at: Timestamp) -> Option<String> {
    let has_none = |series: &SourceSeries| {
        let answer = source.labelled(&series.newest_sample(), &POD_OPTIONAL, at);
        answer.is_ok_and(|answer| answer.is_empty())
    };
    let mut sources = SourceSeries::of(&asked.query.promql).into_iter().take(MOST_SOURCES);
    let missing = sources.find(has_none)?;
    Some(match asked.by {
        VetoBy::Query => format!(
            "the server has no sample of {} as the query selects it: is it written as it should be?",
            missing.metric
        ),
        VetoBy::Alerts => {
            "no alert at all fires in this server: does it hold those of your rules, as vmalert \
                           writes them with -remoteWrite.url?"
                .to_owned()
        }
    })
}
