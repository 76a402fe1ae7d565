//! Loads of pods of several namespaces, answered to the queries that select them: with one label for namespace and pod
//! where a query joins them.

use rebalancer_core::{Metric, PerMetric};
use serde_json::{Value, json};

/// Label of the parts of a query.
pub(super) const PART_LABEL: &str = "query_part";

/// The loads of one pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodLoads {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Its loads; a metric without one is missing.
    pub loads: PerMetric<Option<f64>>,
}

/// The answer to a query that is made of tagged parts, each about one metric.
pub(super) fn answer_parts(
    table: &[PodLoads],
    metric: impl Fn(&str) -> Option<Metric>,
    query: &str,
    at: &str,
) -> Vec<u8> {
    let parts = query.split(" or label_join(").filter_map(|part| {
        let metric = metric(part)?;
        Some((value(part, "\"query_part\", \"")?, metric, part))
    });
    let rows = parts.flat_map(|(tag, metric, part)| {
        let selected = table.iter().filter(move |row| selects(part, row));
        selected.filter_map(move |row| {
            let labels = json!({"row_of_part": format!("{tag}/{}/{}", row.namespace, row.pod)});
            Some(json!({"metric": labels, "value": [0, row.loads[metric]?.to_string()]}))
        })
    });
    vector(&rows.collect::<Vec<Value>>(), at)
}

/// An answer with its parts in the order in which servers write them.
fn vector(rows: &[Value], at: &str) -> Vec<u8> {
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    let rows = rows.join(",").replace("[0,", &format!("[{at},"));
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{rows}]}}}}"#).into_bytes()
}

/// The answer to a query of one metric at a moment: the pods that its first selector selects.
pub(super) fn answer(table: &[PodLoads], metric: Metric, query: &str, at: &str) -> Vec<u8> {
    let joins = query.starts_with("label_join(");
    let rows = table.iter().filter(|row| selects(query, row)).filter_map(|row| {
        let mut labels = json!({"namespace": row.namespace, "pod": row.pod});
        if joins {
            labels["place"] = json!(format!("{}/{}", row.namespace, row.pod));
        }
        Some(json!({"metric": labels, "value": [0, row.loads[metric]?.to_string()]}))
    });
    vector(&rows.collect::<Vec<Value>>(), at)
}

fn selects(query: &str, row: &PodLoads) -> bool {
    let namespace = match (value(query, "namespace=\""), value(query, "namespace=~\"")) {
        (Some(one), _) => row.namespace == one,
        (None, Some(several)) => several.split('|').any(|one| row.namespace == one),
        (None, None) => true,
    };
    let pod = value(query, "pod=~\"").is_none_or(|pattern| {
        let prefixes = pattern.trim_end_matches(".+").trim_start_matches("(?:").trim_end_matches(')');
        prefixes.split('|').any(|prefix| row.pod.starts_with(prefix) && row.pod.len() > prefix.len())
    });
    namespace && pod
}

/// What stands behind the first `start` up to the next quote; no name here has one.
fn value<'q>(query: &'q str, start: &str) -> Option<&'q str> {
    let (_, rest) = query.split_once(start)?;
    rest.split('"').next()
}
