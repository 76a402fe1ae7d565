//! What an identity does, and where it is looked for.

use std::collections::HashMap;
use std::fmt;

use http::request::Parts;

use crate::prometheus::error::TransportError;

/// Proves to a metrics server who asks it.
pub trait Identity: fmt::Debug + Send + Sync {
    /// Adds the headers that prove it to a request that is otherwise complete. `body` is what it will carry.
    ///
    /// # Errors
    /// No credentials where they were looked for, or a token service that refuses or does not answer.
    fn prove(&self, request: &mut Parts, body: &[u8]) -> Result<(), TransportError>;
}

/// The environment's variables. Those that a cloud's own tools read have no setting and no flag here.
pub type Variables = HashMap<String, String>;

/// The variable, unless it is empty.
pub(super) fn given(variables: &Variables, name: &str) -> Option<String> {
    variables.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
