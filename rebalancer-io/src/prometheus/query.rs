//! A query, and what is read of its answer.

use super::decode::Wanted;

/// A query whose answer has one series per pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricQuery {
    /// Its name in messages and recordings: `cpu`, `memory`, `lag`, `rate`.
    pub name: String,
    /// The query, ready to send.
    pub promql: String,
    /// Namespace of the pods; series of other namespaces are left out.
    pub namespace: Option<String>,
    /// Name of the label that contains the pod, `pod` by default.
    pub pod_label: String,
}

impl MetricQuery {
    /// A query that labels its series `pod`.
    pub fn new(name: impl Into<String>, promql: impl Into<String>) -> Self {
        Self { name: name.into(), promql: promql.into(), namespace: None, pod_label: "pod".into() }
    }

    /// The same query for the pods of one namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The same query, with the pod in another label.
    #[must_use]
    pub fn with_pod_label(mut self, label: impl Into<String>) -> Self {
        self.pod_label = label.into();
        self
    }

    pub(crate) fn wanted(&self, max_bytes: u64) -> Wanted<'_> {
        Wanted { pod_label: &self.pod_label, namespace: self.namespace.as_deref(), max_bytes }
    }
}
