//! What is read of the labels of a series.

use std::cell::Cell;

use super::super::error::ErrorKind;
use super::answer::Wanted;

/// What is read of a label set: the pod, the namespace, and the labels that were picked.
pub(crate) struct Pick<'a> {
    pub(super) wanted: &'a Wanted<'a>,
    /// The pod's label and the namespace, then the labels that were picked.
    pub(super) keys: Vec<&'a str>,
    /// Memory that is kept of the answer so far, in bytes.
    pub(super) kept: Cell<usize>,
    /// Why reading was given up, where that was not for the form of the answer.
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

    /// Whether a series without pod tells nothing.
    pub(super) fn needs_pod(&self) -> bool {
        self.labels().is_empty()
    }
}
