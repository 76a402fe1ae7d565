//! Bars that count pods by their load: in a large fleet single marks cover each other and show nothing.

use maud::{Markup, html};

use super::text::coordinate;
use crate::format::text::count;

/// From this many pods on there are bars in place of marks.
pub const FEWEST: usize = 300;

/// Number of bars: each is wide enough to be seen on a phone.
const BARS: usize = 60;

/// Least height of a bar in pixels, so that one pod among thousands is seen.
const LEAST: f64 = 3.0;

/// How many pods have a load in each part of the axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// The compared pods, and the others.
    counts: Vec<[usize; 2]>,
}

impl Histogram {
    /// Counts pods: each at a share of the axis from 0 to 1, and whether it is compared.
    pub fn new(pods: impl Iterator<Item = (f64, bool)>) -> Self {
        let mut counts = vec![[0, 0]; BARS];
        for (share, is_compared) in pods {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let bar = (share.clamp(0.0, 1.0) * BARS as f64) as usize;
            counts[bar.min(BARS - 1)][usize::from(!is_compared)] += 1;
        }
        Self { counts }
    }

    /// Number of pods of the highest bar.
    pub fn most(&self) -> usize {
        self.counts.iter().map(|[compared, others]| compared + others).max().unwrap_or_default()
    }

    /// The bars, from `bottom` on, the highest of this height in pixels. `x` is the position of a share of the axis in percent
    /// of the width, `load` what that share is as a load.
    pub fn bars(
        &self,
        (bottom, highest): (f64, f64),
        x: &dyn Fn(f64) -> f64,
        load: &dyn Fn(f64) -> String,
    ) -> Markup {
        let edge = |bar: usize| bar as f64 / BARS as f64;
        let height = |pods: usize| match pods {
            0 => 0.0,
            _ => coordinate((highest * pods as f64 / self.most() as f64).max(LEAST)),
        };
        html! {
            @for (bar, [compared, others]) in self.counts.iter().enumerate().filter(|(_, counts)| counts.iter().sum::<usize>() > 0) {
                @let (left, right) = (x(edge(bar)), x(edge(bar + 1)));
                @let (high, more) = (height(*compared), height(*others));
                @let width = coordinate(right - left);
                g {
                    title { (count(compared + others, "pod", "pods")) " from " (load(edge(bar))) " to " (load(edge(bar + 1))) }
                    @if *compared > 0 { rect.bin x={ (left) "%" } width={ (width) "%" } y=(bottom - high) height=(high) {} }
                    @if *others > 0 { rect.bin.aside x={ (left) "%" } width={ (width) "%" } y=(bottom - high - more) height=(more) {} }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pod_is_counted_once_and_none_is_lost() {
        let shares = [0.0, 0.001, 0.5, 1.0, 1.5, -1.0, f64::NAN];
        let histogram = Histogram::new(shares.into_iter().map(|share| (share, share < 2.0)));
        let [compared, others] = histogram
            .counts
            .iter()
            .fold([0, 0], |[compared, others], [more, rest]| [compared + more, others + rest]);
        assert_eq!((compared, others, histogram.most()), (6, 1, 4));
    }

    #[test]
    fn one_pod_among_thousands_has_a_bar() {
        let pods = std::iter::repeat_n((0.2, true), 10_000).chain([(0.9, true)]);
        let (x, load) = (|share| 100.0 * share, |share: f64| share.to_string());
        let drawn = Histogram::new(pods).bars((100.0, 90.0), &x, &load).into_string();
        assert_eq!(drawn.matches("<rect").count(), 2, "{drawn}");
        assert!(drawn.contains("y=\"97\" height=\"3\"") && drawn.contains("1 pod from 0.9"), "{drawn}");
    }
}
