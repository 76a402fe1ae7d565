//! Style and script of a page: constants of this program, never text from outside.

/// What the page may load and run: its own style, and only the script with this hash. If the script changes,
/// browsers report a mismatch and the tests fail.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     script-src 'sha256-a3+VoWU41oy6/wMUSduriEZxgBlx9KPfKtTiX9PWFhs='; base-uri 'none'; form-action 'none'";

/// Copies a query. The page is complete without it.
pub const SCRIPT: &str = include_str!("page.js");

/// The colours of Okabe and Ito, which colour-blind readers can distinguish. Shapes and words repeat their
/// meaning.
pub const STYLE: &str = include_str!("page.css");
