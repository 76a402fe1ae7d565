//! The recording inside a page, made as small as possible without changing the decision.

use std::path::Path;

use maud::{Markup, PreEscaped, html};
use rebalancer_io::recording::Recording;

/// Up to this many characters, the recording is kept exactly. With the rest of a page, this keeps a workload
/// of a hundred pods below 150 kB.
const SMALL: usize = 40_000;

/// The largest recording in a page: larger pages open slowly and cannot be mailed. `--record` keeps all.
const LARGEST: usize = 2_000_000;

/// Numbers of significant digits for the past, tried in turn.
const DIGITS: [usize; 3] = [3, 4, 6];

/// The recording as contained in a page.
#[derive(Debug, Default)]
pub enum Embedded {
    /// There is no recording.
    #[default]
    Nothing,
    /// The text of the element, and the number of digits kept of the past.
    Whole { text: String, digits: Option<usize> },
    /// It was left out, for this reason.
    LeftOut(String),
}

impl Embedded {
    /// Embeds a recording. `same` decides again from the page's content, and returns whether the decision is
    /// the same.
    pub fn of(recording: &Recording, same: impl Fn(&Recording) -> bool) -> Self {
        let whole = match recording.to_page(None) {
            Ok(text) => text,
            Err(error) => return Self::LeftOut(format!("it cannot be embedded: {error}")),
        };
        if whole.len() <= SMALL {
            return Self::Whole { text: whole, digits: None };
        }
        let place = Path::new("the page");
        for digits in DIGITS {
            let Ok(text) = recording.to_page(Some(digits)) else { continue };
            let decides = || Recording::from_page(&text, place).is_ok_and(|back| same(&back));
            if text.len() < whole.len() && text.len() <= LARGEST && decides() {
                return Self::Whole { text, digits: Some(digits) };
            }
        }
        if whole.len() <= LARGEST {
            return Self::Whole { text: whole, digits: None };
        }
        Self::LeftOut(format!(
            "it has {} kB when compressed, and a page carries at most {} kB; --record FILE keeps all of it",
            whole.len() / 1000,
            LARGEST / 1000
        ))
    }
}

/// The recording and how to use it.
pub fn section(embedded: &Embedded) -> Markup {
    html! {
        @match embedded {
            Embedded::Nothing => {},
            Embedded::LeftOut(why) => section aria-labelledby="about-recording" {
                h2 #about-recording { "Recording" }
                p { "The recording is not part of this page: " (why) "." }
            },
            Embedded::Whole { text, digits } => section aria-labelledby="about-recording" {
                h2 #about-recording { "Recording" }
                p {
                    "This page holds the answers that the decision was made from. With this file, "
                    code { "pod-rebalancer replay FILE.html" }
                    " decides again, offline, and with other thresholds if you like."
                }
                @if let Some(digits) = digits {
                    p.small {
                        "To keep the page small, the past of each pod is cut to " (digits)
                        " significant digits. It was checked that the decision is the same."
                    }
                }
                script type=(Recording::ELEMENT_TYPE) id=(Recording::ELEMENT_ID) {
                    // Base64 from this program: none of its characters has a meaning in HTML.
                    (PreEscaped(text))
                }
            },
        }
    }
}
