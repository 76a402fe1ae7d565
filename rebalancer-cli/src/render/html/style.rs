//! Style and script of a page: constants of this program, never text from outside.

/// What the page may load and run: its own style, and only the script with this hash. If the script changes,
/// browsers report a mismatch and the tests fail.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     script-src 'sha256-3qFGHmDvPK8sw4qTNySK4JEtBhL/oipzVdnCssMwv/U='; base-uri 'none'; form-action 'none'";

/// Copies a query, and sorts the index of workloads. The page is complete without it.
pub const SCRIPT: &str = include_str!("page.js");

/// The colours of Okabe and Ito, which colour-blind readers can distinguish. Shapes and words repeat their
/// meaning.
pub const STYLE: &str = include_str!("page.css");
