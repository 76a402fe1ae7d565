//! Times variants of the same work in turn.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::stages::Variant;

/// CPU time of one measurement; shorter work is repeated until it is reached.
const LEAST: Duration = Duration::from_millis(5);

/// The CPU nanoseconds of each variant in each of so many rounds, in which all take turns after one
/// to warm up.
pub fn rounds(variants: &mut [Variant<'_>], rounds: usize) -> Vec<Vec<f64>> {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); variants.len()];
    for round in 0..=rounds {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            let time = once(variant);
            if round > 0 {
                times.push(time);
            }
        }
    }
    times
}

/// The middle one of some numbers; NaN without any.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// CPU nanoseconds of doing the work once.
fn once(variant: &mut Variant<'_>) -> f64 {
    let start = cpu_time();
    let mut times = 0;
    loop {
        black_box((variant.work)());
        times += 1;
        let spent = cpu_time().saturating_sub(start);
        if spent >= LEAST {
            return spent.as_secs_f64() * 1e9 / f64::from(times);
        }
    }
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
