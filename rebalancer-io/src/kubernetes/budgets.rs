//! Disruption budgets: which of them covers which pod, and what it allows now.

use std::collections::BTreeMap;
use std::fmt;

use rebalancer_core::{ApiFailure, Budget};
use serde::Deserialize;

use super::cluster::Cluster;
use super::list::Page;
use super::pods::{ListMeta, null_is_empty};

/// The labels of a pod.
pub(super) type Labels = BTreeMap<String, String>;

#[derive(Deserialize)]
struct BudgetPage {
    #[serde(default)]
    metadata: ListMeta,
    // Required: an answer without items is no list, and no budgets would mean that all is allowed.
    #[serde(deserialize_with = "null_is_empty")]
    items: Vec<Item>,
}

impl Page for BudgetPage {
    fn next(&self) -> Option<String> {
        self.metadata.continue_token.clone()
    }
}

#[derive(Deserialize)]
struct Item {
    metadata: Meta,
    #[serde(default, deserialize_with = "null_is_empty")]
    spec: Spec,
    #[serde(default, deserialize_with = "null_is_empty")]
    status: Status,
}

#[derive(Deserialize)]
struct Meta {
    name: String,
    #[serde(default)]
    generation: i64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    selector: Option<LabelSelector>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    disruptions_allowed: i32,
    observed_generation: i64,
}

/// A label selector as objects carry it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelSelector {
    #[serde(default, deserialize_with = "null_is_empty")]
    match_labels: Labels,
    #[serde(default, deserialize_with = "null_is_empty")]
    match_expressions: Vec<Requirement>,
}

#[derive(Debug, Deserialize)]
struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default, deserialize_with = "null_is_empty")]
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Cluster {
    /// The budgets that cover any of these pods, given by name and labels.
    pub(super) fn budgets(&self, pods: &[(&str, &Labels)]) -> Result<Vec<Budget>, ApiFailure> {
        let path = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", self.namespace());
        let mut covering: Vec<Budget> = Vec::new();
        self.list(&path, None, |page: BudgetPage| {
            let budgets = page.items.into_iter().map(|item| item.budget(pods));
            covering.extend(budgets.filter(|budget| !budget.covers.is_empty()));
            Ok(())
        })?;
        Ok(covering)
    }
}

impl Item {
    fn budget(self, pods: &[(&str, &Labels)]) -> Budget {
        // In policy/v1 no selector selects nothing and an empty one everything.
        let selector = self.spec.selector.as_ref();
        let covered =
            pods.iter().filter(|(_, labels)| selector.is_some_and(|selector| selector.matches(labels)));
        Budget {
            name: self.metadata.name,
            covers: covered.map(|(name, _)| (*name).to_owned()).collect(),
            disruptions_allowed: self.status.disruptions_allowed,
            generation: self.metadata.generation,
            observed_generation: self.status.observed_generation,
        }
    }
}

impl LabelSelector {
    fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

/// In the words of `kubectl -l`: `app=orders,tier in (a,b),!canary`.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        let terms: Vec<String> = labels.chain(self.match_expressions.iter().map(Requirement::term)).collect();
        f.write_str(&terms.join(","))
    }
}

impl Requirement {
    fn term(&self) -> String {
        let Self { key, operator, values } = self;
        match operator {
            Operator::In => format!("{key} in ({})", values.join(",")),
            Operator::NotIn => format!("{key} notin ({})", values.join(",")),
            Operator::Exists => key.clone(),
            Operator::DoesNotExist => format!("!{key}"),
        }
    }

    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let selector: LabelSelector = serde_json::from_str(selector).expect("a selector");
        let labels: Labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        selector.matches(&labels)
    }

    #[test]
    fn a_selector_is_read_as_the_server_reads_it() {
        let orders = [("app", "orders"), ("tier", "backend")];
        for (selector, expected) in [
            ("{}", true),
            (r#"{"matchLabels": {"app": "orders"}}"#, true),
            (r#"{"matchLabels": {"app": "orders", "tier": "web"}}"#, false),
            (r#"{"matchLabels": {"zone": "a"}}"#, false),
            (
                r#"{"matchExpressions": [{"key": "app", "operator": "In", "values": ["carts", "orders"]}]}"#,
                true,
            ),
            (r#"{"matchExpressions": [{"key": "app", "operator": "In", "values": ["carts"]}]}"#, false),
            (r#"{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}"#, false),
            (r#"{"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["orders"]}]}"#, false),
            (r#"{"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}"#, true),
            (r#"{"matchExpressions": [{"key": "tier", "operator": "Exists"}]}"#, true),
            (r#"{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}"#, false),
            (r#"{"matchExpressions": [{"key": "zone", "operator": "DoesNotExist", "values": null}]}"#, true),
            (r#"{"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}"#, false),
            (
                r#"{"matchLabels": {"app": "orders"}, "matchExpressions": [{"key": "zone", "operator": "Exists"}]}"#,
                false,
            ),
        ] {
            assert_eq!(matches(selector, &orders), expected, "{selector}");
        }
    }

    #[test]
    fn a_selector_is_written_as_it_is_typed() {
        let selector: LabelSelector = serde_json::from_str(
            r#"{"matchLabels": {"tier": "backend", "app": "orders"}, "matchExpressions": [
                {"key": "zone", "operator": "In", "values": ["a", "b"]},
                {"key": "track", "operator": "NotIn", "values": ["canary"]},
                {"key": "team", "operator": "Exists"}, {"key": "old", "operator": "DoesNotExist"}]}"#,
        )
        .expect("a selector");
        assert_eq!(
            selector.to_string(),
            "app=orders,tier=backend,zone in (a,b),track notin (canary),team,!old"
        );
    }

    #[test]
    fn no_selector_covers_nothing_and_an_unknown_operator_is_an_error() {
        let item: Item =
            serde_json::from_str(r#"{"metadata": {"name": "pdb"}, "spec": {}}"#).expect("a budget");
        assert_eq!(item.budget(&[("orders-0", &Labels::new())]).covers, Vec::<String>::new());
        let unknown: Result<LabelSelector, _> = serde_json::from_str(
            r#"{"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]}"#,
        );
        assert!(unknown.is_err());
    }
}
