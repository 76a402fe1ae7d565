//! Disruption budgets: which of them covers which pod, and how many evictions it allows now.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};
use rebalancer_core::{ApiFailure, Budget, FailureKind};
use serde::Deserialize;

use super::cluster::Cluster;
use super::fields::{ListMeta, null_is_empty};
use super::list::Page;

/// The labels of a pod.
pub(super) type Labels = BTreeMap<String, String>;

#[derive(Deserialize)]
struct BudgetPage {
    #[serde(default)]
    metadata: ListMeta,
    // Required: an answer without items is no list, but would read as "no budgets, all is allowed".
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

impl Cluster {
    /// The budgets that cover any of these pods, given as names with labels.
    pub(super) fn budgets(&self, pods: &[(&str, &Labels)]) -> Result<Vec<Budget>, ApiFailure> {
        let path = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", self.namespace());
        let mut covering: Vec<Budget> = Vec::new();
        self.list(&path, None, |page: BudgetPage| {
            for item in page.items {
                let budget = item.budget(pods)?;
                if !budget.covers.is_empty() {
                    covering.push(budget);
                }
            }
            Ok(())
        })?;
        Ok(covering)
    }
}

impl Item {
    fn budget(self, pods: &[(&str, &Labels)]) -> Result<Budget, ApiFailure> {
        let Self { metadata, spec, status } = self;
        // In policy/v1, no selector matches nothing and an empty one matches everything.
        let selector = spec.selector.map(Selector::try_from).transpose().map_err(|error| {
            let message = format!("the selector of PodDisruptionBudget {}: {error}", metadata.name);
            ApiFailure::new(FailureKind::UnreadableAnswer, message)
        })?;
        let covered = pods
            .iter()
            .filter(|(_, labels)| selector.as_ref().is_some_and(|selector| selector.matches(labels)));
        Ok(Budget {
            covers: covered.map(|(name, _)| (*name).to_owned()).collect(),
            name: metadata.name,
            disruptions_allowed: status.disruptions_allowed,
            generation: metadata.generation,
            observed_generation: status.observed_generation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(selector: &str, labels: &[(&str, &str)]) -> Result<bool, ApiFailure> {
        let item = format!(r#"{{"metadata": {{"name": "pdb"}}, "spec": {{"selector": {selector}}}}}"#);
        let item: Item = serde_json::from_str(&item).expect("a budget");
        let labels: Labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Ok(!item.budget(&[("orders-0", &labels)])?.covers.is_empty())
    }

    #[test]
    fn a_selector_is_read_as_the_server_reads_it() {
        let orders = [("app", "orders"), ("tier", "backend")];
        for (selector, expected) in [
            ("{}", true),
            ("null", false),
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
            assert_eq!(covers(selector, &orders), Ok(expected), "{selector}");
        }
    }

    #[test]
    fn a_selector_that_cannot_be_understood_is_an_error() {
        for unknown in [
            r#"{"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]}"#,
            r#"{"matchExpressions": [{"key": "app", "operator": "In"}]}"#,
        ] {
            let failure = covers(unknown, &[("app", "orders")]).expect_err(unknown);
            assert_eq!(failure.kind, FailureKind::UnreadableAnswer);
            assert!(failure.message.contains("PodDisruptionBudget pdb"), "{failure}");
        }
    }
}
