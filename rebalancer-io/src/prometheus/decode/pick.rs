//! The labels of a series that are read.

use std::cell::Cell;

use super::super::error::ErrorKind;
use super::answer::Wanted;

/// The labels to read: the pod, the namespace, and the selected labels.
pub(crate) struct Pick<'a> {
    pub(super) wanted: &'a Wanted<'a>,
    /// The pod's label and the namespace, then the selected labels.
    pub(super) keys: Vec<&'a str>,
    /// Memory kept for the answer so far, in bytes.
    pub(super) kept: Cell<usize>,
    /// Why reading was aborted, unless it was because of the answer's form.
    pub(super) refused: Cell<Option<ErrorKind>>,
}

impl<'a> Pick<'a> {
    pub(super) fn new(wanted: &'a Wanted<'a>, labels: &[&'a str]) -> Self {
        let keys = [&[wanted.pod_label, "namespace"], labels].concat();
        Self { wanted, keys, kept: Cell::default(), refused: Cell::default() }
    }

    pub(super) fn labels(&self) -> &[&'a str] {
        &self.keys[2..]
    }

    /// Whether a series without pod is useless.
    pub(super) fn needs_pod(&self) -> bool {
        self.labels().is_empty()
    }
}
