//! Guards of a cure: the illness must have lasted, and nothing is cured twice in a short time.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use crate::diagnosis::cause::Stands;
use crate::diagnosis::illness::IllPod;
use crate::facts::{A_DAY, Cure, Facts};
use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::partitions::one_spelling;
use crate::wording::lasting;

/// Holds while the illness has been known for less than `limit`; unknown without history. The value is how
/// long it has lasted, in seconds.
pub fn illness_age(ill: &IllPod, name: &str, limit: Duration) -> Verdict {
    let needed = lasting(limit);
    let Some(lasted) = ill.lasted else {
        let reason = format!("how long pod {name} has been ill is not known, {needed} are needed");
        return Verdict::new(Check::IllnessAge, Standing::Unknown, reason).with(None, limit.as_secs_f64());
    };
    let reason = format!("pod {name} has been ill for {}, {needed} are needed", lasting(lasted));
    Verdict::new(Check::IllnessAge, Standing::held_if(lasted < limit), reason)
        .with(lasted.as_secs_f64(), limit.as_secs_f64())
}

/// Holds if the pod or its standing partition was cured within a day, or the partition ever at this same
/// offset. A cure that did not help is not repeated.
///
/// Earlier cures are known from what the program left in the cluster, and from a change of owner when the
/// partition moved on. The value is the time since the last of them, in seconds.
pub fn cured_before(ill: &IllPod, name: &str, facts: &Facts<'_>) -> Verdict {
    let standing = ill.cause.standing();
    let told = facts.cures.known().into_iter().flatten();
    let by_event = told.filter_map(|cure| Some((cure.ago, same(cure, name, standing)?)));
    let by_owner = standing.and_then(|standing| {
        let ago = ill.cured_ago.filter(|ago| *ago < A_DAY)?;
        Some((ago, format!("{} stood before, until another pod had it", standing.name())))
    });
    let limit = Some(A_DAY.as_secs_f64());
    if let Some((ago, what)) = by_event.chain(by_owner).min_by_key(|(ago, _)| *ago) {
        let reason = format!("{what}, {} ago; one cure a day is tried", lasting(ago));
        return Verdict::new(Check::CuredBefore, Standing::Hold, reason).with(ago.as_secs_f64(), limit);
    }
    if facts.cures.is_failed() {
        let reason = format!("what was cured before {}", facts.cures.lack());
        let verdict = Verdict::new(Check::CuredBefore, Standing::Unknown, reason);
        return Verdict { failed: true, ..verdict };
    }
    Verdict::new(
        Check::CuredBefore,
        Standing::Pass,
        format!("nothing tells of an earlier cure of pod {name}"),
    )
}

/// Why an earlier cure forbids another; `None` if it does not.
fn same(cure: &Cure, name: &str, standing: Option<&Stands>) -> Option<String> {
    let is_partition = |standing: &&Stands| {
        let cured = cure.partition.as_ref();
        cured.is_some_and(|(topic, number)| {
            (one_spelling(topic), *number) == (one_spelling(&standing.topic), standing.partition)
        })
    };
    let partition = standing.filter(is_partition);
    if let Some(standing) =
        partition.filter(|standing| cure.offset.is_some() && cure.offset == standing.offset)
    {
        return Some(format!(
            "replacing pod {} did not help: {} stands there again",
            cure.pod,
            standing.name()
        ));
    }
    if cure.ago >= A_DAY {
        return None;
    }
    let of_partition = |standing: &Stands| format!("{} was cured", standing.name());
    let of_pod = (cure.pod == name).then(|| format!("pod {name} was replaced as a cure"));
    partition.map(of_partition).or(of_pod)
}
