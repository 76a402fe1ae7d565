//! Questions about the past of one workload that are still open.

use std::sync::{Mutex, PoisonError};

use crate::facts::{WITH_A_PAST, history_name};
use crate::metrics::{ASSIGNED, ASSIGNOR, LOAD, MetricQuery, OWNERS};
use crate::prometheus::When;

/// A question of one workload about the past.
pub type Question = (MetricQuery, When);

/// What is asked about now of suspects only.
pub(super) const OF_SUSPECTS: [&str; 4] = [OWNERS, ASSIGNED, LOAD, ASSIGNOR];

/// Questions about the past of one workload that were not asked yet, and were answered by nothing. What was decided by that does
/// not count if there are any.
#[derive(Debug, Default)]
pub struct Open(Mutex<Vec<Question>>);

impl Open {
    /// The questions.
    pub fn into_questions(self) -> Vec<Question> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, query: &MetricQuery, when: When) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((query.clone(), when));
    }
}

/// Whether any of these is asked only where a decision looks at history.
pub fn look_at_history(questions: &[Question]) -> bool {
    let histories = WITH_A_PAST.map(|metric| history_name(metric.name()));
    let is_one = |name: &String| histories.contains(name) || OF_SUSPECTS.contains(&name.as_str());
    questions.iter().any(|(query, _)| is_one(&query.name))
}
