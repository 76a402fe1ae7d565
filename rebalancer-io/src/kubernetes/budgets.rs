//! Disruption budgets: which of them covers which pod, and how many evictions it allows now.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{Selector, SelectorExt as _};
use rebalancer_core::{ApiFailure, Budget, FailureKind};

use super::alike::Labels;
use super::cluster::Cluster;

impl Cluster {
    /// The budgets that cover any of these pods, given as names with labels.
    pub(super) fn budgets(&self, pods: &[(&str, &Labels)]) -> Result<Vec<Budget>, ApiFailure> {
        let path = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", self.namespace());
        let mut covering: Vec<Budget> = Vec::new();
        self.list(&path, None, |page: Vec<PodDisruptionBudget>| {
            for found in page {
                let budget = budget(found, pods)?;
                if !budget.covers.is_empty() {
                    covering.push(budget);
                }
            }
            Ok(())
        })?;
        Ok(covering)
    }
}

/// What is not there counts as zero: no eviction is allowed, and nothing was observed.
fn budget(found: PodDisruptionBudget, pods: &[(&str, &Labels)]) -> Result<Budget, ApiFailure> {
    let name = found.metadata.name.unwrap_or_default();
    let status = found.status.unwrap_or_default();
    // In policy/v1, no selector matches nothing and an empty one matches everything.
    let selector = found.spec.and_then(|spec| spec.selector);
    let selector = selector.map(Selector::try_from).transpose().map_err(|error| {
        let message = format!("the selector of PodDisruptionBudget {name}: {error}");
        ApiFailure::new(FailureKind::UnreadableAnswer, message)
    })?;
    let covered =
        pods.iter().filter(|(_, labels)| selector.as_ref().is_some_and(|selector| selector.matches(labels)));
    Ok(Budget {
        covers: covered.map(|(pod, _)| (*pod).to_owned()).collect(),
        name,
        disruptions_allowed: status.disruptions_allowed,
        generation: found.metadata.generation.unwrap_or_default(),
        observed_generation: status.observed_generation.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(selector: &str, labels: &[(&str, &str)]) -> Result<bool, ApiFailure> {
        let item = format!(r#"{{"metadata": {{"name": "pdb"}}, "spec": {{"selector": {selector}}}}}"#);
        let item: PodDisruptionBudget = serde_json::from_str(&item).expect("a budget");
        let labels: Labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Ok(!budget(item, &[("orders-0", &labels)])?.covers.is_empty())
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
