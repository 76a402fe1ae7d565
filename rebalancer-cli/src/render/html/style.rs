//! Style and script of a page: constants of this program, never text from outside.

/// What the page may load and run: its own style, and the one script whose hash this is. A
/// browser says when the hash is of another script, and the tests in it fail.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     script-src 'sha256-a3+VoWU41oy6/wMUSduriEZxgBlx9KPfKtTiX9PWFhs='; base-uri 'none'; form-action 'none'";

/// Copies a query. The page says all it has to say without it.
pub const SCRIPT: &str = include_str!("page.js");

/// The colours are those of Okabe and Ito, which colour-blind readers can tell apart. Shapes and words say
/// the same.
pub const STYLE: &str = include_str!("page.css");
