//! Vetoes: what whoever runs the program wants to hold every rotation back.

use alloc::format;

use crate::facts::{Fact, Veto, VetoBy};
use crate::guard::verdict::{Check, Standing, Verdict};
use crate::wording::joined;

/// Holds while anything objects. A veto that is not answered is unknown, which holds too: nobody can tell
/// whether it would have forbidden the rotation.
///
/// The value is how many samples or alerts object, the limit how many may: none.
///
/// ```
/// use rebalancer_core::guard::{Standing, veto};
/// use rebalancer_core::{Fact, Objecting, Veto, VetoBy};
///
/// let asked = |found| veto(&Veto { by: VetoBy::Alerts, found });
/// assert_eq!(asked(Fact::Known(Objecting::default())).standing, Standing::Pass);
/// let firing = Objecting { count: 1, quoted: vec!["BrokerDown".into()] };
/// assert_eq!(asked(Fact::Known(firing)).to_string(), "veto_alerts: an alert that forbids rotations fires: BrokerDown");
/// assert_eq!(asked(Fact::Absent).standing, Standing::Unknown);
/// ```
pub fn veto(asked: &Veto) -> Verdict {
    let check = match asked.by {
        VetoBy::Query => Check::VetoQuery,
        VetoBy::Alerts => Check::VetoAlerts,
    };
    let Fact::Known(found) = &asked.found else {
        let what = match asked.by {
            VetoBy::Query => "the answer to the veto query",
            VetoBy::Alerts => "the list of firing alerts",
        };
        let reason = format!("{what} {}; a veto without an answer holds", asked.found.lack());
        return Verdict { failed: true, ..Verdict::new(check, Standing::Unknown, reason) };
    };
    let more = found.count.saturating_sub(found.quoted.len());
    let quoted = joined(&found.quoted);
    let quoted = if more > 0 { format!("{quoted}; and {more} more") } else { quoted };
    let reason = match (asked.by, found.count) {
        (VetoBy::Query, 0) => "the veto query finds nothing".into(),
        (VetoBy::Query, 1) => format!("the veto query finds a sample: {quoted}"),
        (VetoBy::Query, count) => format!("the veto query finds {count} samples: {quoted}"),
        (VetoBy::Alerts, 0) => "no alert that forbids rotations fires".into(),
        (VetoBy::Alerts, 1) => format!("an alert that forbids rotations fires: {quoted}"),
        (VetoBy::Alerts, count) => format!("{count} alerts that forbid rotations fire: {quoted}"),
    };
    Verdict::new(check, Standing::held_if(found.count > 0), reason).with(found.count as f64, 0.0)
}
