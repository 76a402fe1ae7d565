//! What is set for each metric: its own query, its floor and its weight.
#![allow(clippy::struct_field_names, reason = "each field is named as its flag")]

use clap::Args;
use rebalancer_core::PerMetric;

use crate::cli::values;

/// The own query of each metric. Each is read from the variable that `query_variable` names.
#[derive(Debug, Clone, Args)]
pub struct OwnQueryArgs {
    /// Own query for CPU in cores, one sample for each pod with the label `pod`. Placeholders:
    /// `{{namespace}}` `{{pods_regex}}` `{{pods_pattern}}` `{{window}}` `{{group}}` `{{container}}`
    /// `{{matchers}}`
    #[arg(long, value_name = "PROMQL", env = "QUERY_CPU")]
    pub query_cpu: Option<String>,
    /// Own query for memory in bytes
    #[arg(long, value_name = "PROMQL", env = "QUERY_MEMORY")]
    pub query_memory: Option<String>,
    /// Own query for lag in messages
    #[arg(long, value_name = "PROMQL", env = "QUERY_LAG")]
    pub query_lag: Option<String>,
    /// Own query for messages per second
    #[arg(long, value_name = "PROMQL", env = "QUERY_RATE")]
    pub query_rate: Option<String>,
}

impl OwnQueryArgs {
    /// The queries by metric.
    pub fn by_metric(&self) -> PerMetric<Option<String>> {
        PerMetric {
            cpu: self.query_cpu.clone(),
            memory: self.query_memory.clone(),
            lag: self.query_lag.clone(),
            rate: self.query_rate.clone(),
        }
    }
}

/// Floors and weights.
#[derive(Debug, Clone, Args)]
pub struct ScoreArgs {
    /// Treat a mean below this as this value, so that small differences of an idle workload do not count: CPU in
    /// cores, memory in bytes, lag in messages, rate in messages per second. Those of CPU and lag count for the
    /// thresholds too, all for the score. A metric that is not named keeps its default; off turns all off
    #[arg(long, value_name = "FLOORS", env = "FLOORS", default_value = "cpu=0.05,memory=64Mi,lag=1000,rate=1", value_parser = values::floors)]
    pub floors: PerMetric<f64>,
    /// Weights of the metrics in the score that ranks the pods; a metric that is not named gets 0
    #[arg(long, value_name = "WEIGHTS", env = "SCORE_WEIGHTS", default_value = "cpu=0.4,lag=0.3,rate=0.2,memory=0.1", value_parser = values::weights)]
    pub score_weights: PerMetric<f64>,
}

#[cfg(test)]
mod tests {
    use clap::Command;
    use rebalancer_core::Metric;
    use rebalancer_io::metrics::query_variable;

    use super::*;

    #[test]
    fn every_own_query_is_read_from_the_variable_that_messages_name() {
        let command = OwnQueryArgs::augment_args(Command::new("run"));
        let variables = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str());
        assert_eq!(variables.collect::<Vec<&str>>(), Metric::ALL.map(query_variable));
    }

    /// A metric that is not named keeps its default, so that the program decides the same without it in the text.
    #[test]
    fn the_default_floors_name_every_metric() {
        let command = ScoreArgs::augment_args(Command::new("run"));
        let floors = command.get_arguments().find(|arg| arg.get_id() == "floors").expect("a setting");
        let [floors] = floors.get_default_values() else { panic!("one text") };
        let floors = floors.to_string_lossy();
        for metric in Metric::ALL {
            assert!(floors.split(',').any(|floor| floor.starts_with(&format!("{metric}="))), "{metric}");
        }
    }
}
