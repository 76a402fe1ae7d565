//! The questions that may forbid a rotation: a query of the user's own, and the alerts that fire.

use rebalancer_core::VetoBy;

use super::alert_pattern::AlertPattern;
use super::preset::select;
use super::settings::{QuerySettings, SettingError};
use super::template::fill;
use crate::prometheus::MetricQuery;

/// Names of the queries, in messages and recordings.
pub(crate) const VETO_QUERY: &str = "veto_query";
pub(crate) const VETO_ALERTS: &str = "veto_alerts";

/// One question that may forbid a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VetoQuery {
    /// What is asked.
    pub by: VetoBy,
    /// The query.
    pub query: MetricQuery,
    /// Of alerts, those that forbid.
    pub(crate) pattern: Option<AlertPattern>,
}

impl VetoQuery {
    /// The questions of a live run.
    pub(super) fn all(settings: &QuerySettings) -> Result<Vec<Self>, SettingError> {
        let own = settings.veto_query.as_deref().map(|own| fill(own, "VETO_QUERY", settings)).transpose()?;
        let alerts = settings.veto_alerts.as_ref().map(|pattern| {
            let firing = select("ALERTS", r#"alertstate="firing""#, settings);
            Self::of_alerts(firing, pattern.clone())
        });
        Ok(own.map(Self::of_query).into_iter().chain(alerts).collect())
    }

    /// The questions of a recorded run, of which `promql` gives the text; the recording holds the `pattern`
    /// among its settings.
    pub(super) fn recorded<'r>(
        promql: impl Fn(&str) -> Option<&'r str>,
        pattern: Option<&AlertPattern>,
    ) -> Vec<Self> {
        let alerts = promql(VETO_ALERTS).zip(pattern);
        let alerts = alerts.map(|(text, pattern)| Self::of_alerts(text.to_owned(), pattern.clone()));
        let own = promql(VETO_QUERY).map(|text| Self::of_query(text.to_owned()));
        own.into_iter().chain(alerts).collect()
    }

    fn of_query(promql: String) -> Self {
        Self { by: VetoBy::Query, query: MetricQuery::new(VETO_QUERY, promql), pattern: None }
    }

    fn of_alerts(promql: String, pattern: AlertPattern) -> Self {
        Self { by: VetoBy::Alerts, query: MetricQuery::new(VETO_ALERTS, promql), pattern: Some(pattern) }
    }
}

#[cfg(test)]
mod tests {
    use super::{QuerySettings, VetoQuery};

    #[test]
    fn alerts_are_asked_for_as_any_server_has_them() {
        let mut settings = QuerySettings::new("shop");
        settings.veto_alerts = Some("Broker".parse().expect("a pattern"));
        let asked =
            |settings: &QuerySettings| VetoQuery::all(settings).expect("queries")[0].query.promql.clone();
        assert_eq!(asked(&settings), r#"ALERTS{alertstate="firing"}"#);
        settings.matchers = r#"cluster="eu-1""#.parse().expect("matchers");
        assert_eq!(asked(&settings), r#"ALERTS{alertstate="firing", cluster="eu-1"}"#);
    }
}
