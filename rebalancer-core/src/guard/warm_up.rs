//! Warm-up: a new pod looks like the least busy one, so it takes no part.

use alloc::format;
use alloc::string::ToString;
use core::time::Duration;

use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::join::{SetAside, SetAsideReason};

/// Reports how many pods are left out because they have worked for less than `limit`.
///
/// It never holds by itself: too few remaining pods are insufficient data. The value is the number
/// of pods left out; the limit is the warm-up in seconds.
pub fn warm_up(set_aside: &[SetAside], limit: Duration) -> Verdict {
    let young = set_aside.iter().filter(|pod| pod.reason == SetAsideReason::WarmingUp).count();
    let limit_s = limit.as_secs_f64();
    let reason = match young {
        0 => "no pod is warming up".to_string(),
        1 => format!("1 pod younger than {limit_s} s is left out"),
        _ => format!("{young} pods younger than {limit_s} s are left out"),
    };
    Verdict::new(Check::WarmUp, Standing::Pass, reason).with(young as f64, limit_s)
}
