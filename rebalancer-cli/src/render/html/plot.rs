//! A strip plot of each metric: one mark per pod, the mean, and how far pods may be from it. In a large fleet marks cover each
//! other and show nothing, so bars count the pods by their load.
//!
//! Positions along the axis are percentages, everything else is in pixels, so that a narrow page moves the
//! marks together but keeps the size of letters and marks.

use std::collections::BTreeMap;

use maud::{Markup, html};
use rebalancer_core::{Metric, Role};

use super::text::coordinate;
use crate::format::metric::{short, shown, with_unit};
use crate::format::names::{Naming, shared_prefix};
use crate::format::number::ratio;
use crate::format::text::{count, spaced};
use crate::report::{PodReport, Report, StatisticsReport};

/// Heights in pixels: the middle of the marks, the axis below them, and the whole plot.
const MIDDLE: f64 = 60.0;
const AXIS: f64 = 128.0;
const HEIGHT: f64 = 148.0;

/// Width of a column of marks in percent: marks in one column are stacked.
const COLUMN: f64 = 1.0;

/// Marks per column; further pods share them.
const MOST_IN_COLUMN: usize = 9;

/// Up to this many pods, each mark has a tooltip with its name.
const MOST_NAMED: usize = 150;

/// Longest name beside a mark, in letters: with its role and load it is as wide as two thirds of a plot on a phone. The table
/// has the full name.
const MOST_LETTERS: usize = 8;

/// How near an end of the plot is to a label that stands on one side of its point, in percent: on a phone a label is half as wide
/// as the plot, and those of the axis are short.
const LABEL_MARGIN: f64 = 33.0;
const TICK_MARGIN: f64 = 10.0;

/// From this many pods on there are bars in place of marks.
const FEWEST_IN_BARS: usize = 300;

/// Number of bars: each is wide enough to be seen on a phone.
const BARS: usize = 60;

/// Least height of a bar in pixels, so that one pod among thousands is seen.
const LEAST: f64 = 3.0;

/// The plots.
pub fn section(report: &Report) -> Markup {
    let plots =
        report.statistics.iter().filter_map(|(metric, statistics)| Some((metric, statistics.as_ref()?)));
    html! {
        @if !report.pods.is_empty() {
            section aria-labelledby="loads" {
                h2 #loads { "Loads" }
                (legend(report.pods.len() >= FEWEST_IN_BARS))
                @for (metric, statistics) in plots { (Plot::new(report, metric, statistics).figure()) }
            }
        }
    }
}

fn legend(in_bars: bool) -> Markup {
    let sample = |mark: Markup, words: &str| {
        html! { li { svg.key width="26" height="14" aria-hidden="true" { (mark) } (words) } }
    };
    html! {
        ul.legend {
            @if in_bars { (sample(html! { rect.bin x="8" y="2" width="10" height="12" {} }, "pods of about this load")) }
            @else { (sample(html! { circle.pod cx="13" cy="7" r="5" {} }, "a pod")) }
            (sample(html! { path.busiest d="M13 1l7 12h-14z" {} }, "busiest"))
            (sample(html! { path.least_busy d="M13 13l7-12h-14z" {} }, "least busy"))
            @if in_bars { (sample(html! { rect.bin.aside x="8" y="2" width="10" height="12" {} }, "not compared")) }
            @else { (sample(html! { circle.aside cx="13" cy="7" r="5" {} }, "not compared")) }
            (sample(html! { line.mean x1="13" x2="13" y1="0" y2="14" {} }, "mean"))
            (sample(html! { path.deviation d="M3 3v8M3 7h20M23 3v8" {} }, "one standard deviation around it"))
            (sample(html! { rect.band width="26" height="14" {} }, "where it may reach at the threshold"))
        }
    }
}

/// One metric of all pods.
struct Plot<'a> {
    report: &'a Report,
    metric: Metric,
    statistics: &'a StatisticsReport,
    /// The load at the right end of the axis.
    most: f64,
    /// Numbers of compared pods and of others in each part of the axis; `None` where marks show the pods.
    bars: Option<Vec<[usize; 2]>>,
}

impl<'a> Plot<'a> {
    fn new(report: &'a Report, metric: Metric, statistics: &'a StatisticsReport) -> Self {
        let loads = report.pods.iter().filter_map(|pod| pod.load(metric));
        let limit = statistics.mean * (1.0 + statistics.threshold.unwrap_or_default());
        let reach = statistics.mean + statistics.std_dev;
        let most = loads.chain([limit, reach]).filter(|load| load.is_finite()).fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let shares =
            report.pods.iter().filter_map(|pod| Some((pod.load(metric)? / most, pod.verdict.is_candidate())));
        let bars = (report.pods.len() >= FEWEST_IN_BARS).then(|| counted(shares));
        Self { report, metric, statistics, most, bars }
    }

    /// The position of a load, in percent of the width.
    fn x(&self, load: f64) -> f64 {
        coordinate(2.0 + 95.0 * (load / self.most).clamp(0.0, 1.0))
    }

    fn at(&self, load: f64) -> String {
        format!("{}%", self.x(load))
    }

    fn figure(&self) -> Markup {
        let StatisticsReport { mean, cv, count, .. } = *self.statistics;
        let id = |part: &str| format!("{}-{part}", self.metric.name());
        html! {
            figure.panel.plot {
                figcaption {
                    h3 { (shown(self.metric).title) }
                    span.fact {
                        "spread " b { (ratio(cv)) }
                        @match self.statistics.threshold {
                            Some(limit) if self.statistics.is_over() => b.over { " ▲ over " (limit) },
                            Some(limit) => { ", threshold " (limit) },
                            None => {},
                        }
                    }
                    span.fact { "mean " b { (with_unit(self.metric, mean)) } }
                    span.fact { (count) " of " (self.report.workload.pods) " pods compared" }
                    @if let Some(bars) = &self.bars {
                        span.fact { "highest bar " b { (highest(bars)) " pods" } }
                    }
                }
                svg role="img" width="100%" height=(HEIGHT) aria-labelledby={ (id("title")) " " (id("words")) } {
                    title id=(id("title")) { (shown(self.metric).title) " of each pod" }
                    desc id=(id("words")) { (self.words()) }
                    (self.band())
                    (self.axis())
                    (self.mean())
                    g {
                        @match &self.bars {
                            Some(bars) => (self.bars(bars)),
                            None => (self.marks()),
                        }
                    }
                    @for target in self.report.ends() { (self.end(&target.pod, target.role)) }
                }
            }
        }
    }

    /// The plot in words, for screen readers.
    fn words(&self) -> String {
        let StatisticsReport { mean, std_dev, min, max, .. } = *self.statistics;
        let in_unit = |value| with_unit(self.metric, value);
        let targets = self.report.ends().iter().filter_map(|target| {
            let value = self.pod(&target.pod)?.load(self.metric)?;
            Some(format!("; the {} pod, {}, has {}", spaced(target.role.name()), target.pod, in_unit(value)))
        });
        let ends = format!("From {} to {}", in_unit(min), in_unit(max));
        let middle = format!("mean {}, standard deviation {}", in_unit(mean), in_unit(std_dev));
        format!("{ends}, {middle}{}", targets.collect::<String>())
    }

    fn pod(&self, name: &str) -> Option<&'a PodReport> {
        self.report.pods.iter().find(|pod| pod.name == name)
    }

    /// How large one standard deviation may be before the threshold is passed.
    fn band(&self) -> Markup {
        let Some(limit) = self.statistics.threshold else { return html! {} };
        let mean = self.statistics.mean;
        let (from, to) = (self.x(mean * (1.0 - limit)), self.x(mean * (1.0 + limit)));
        html! {
            rect.band x={ (from) "%" } y="20" width={ (coordinate(to - from)) "%" } height=(AXIS - 20.0) {}
        }
    }

    fn axis(&self) -> Markup {
        html! {
            line.axis x1="0" x2="100%" y1=(AXIS) y2=(AXIS) {}
            @for tick in ticks(self.metric, self.most) {
                line.axis x1=(self.at(tick)) x2=(self.at(tick)) y1=(AXIS) y2=(AXIS + 4.0) {}
                text.tick x=(self.at(tick)) y=(AXIS + 17.0) text-anchor=(self.anchor(tick, TICK_MARGIN)) { (short(self.metric, tick)) }
            }
        }
    }

    fn mean(&self) -> Markup {
        let StatisticsReport { mean, std_dev, .. } = *self.statistics;
        let (low, high) = (self.at(mean - std_dev), self.at(mean + std_dev));
        let y = AXIS - 12.0;
        html! {
            line.mean x1=(self.at(mean)) x2=(self.at(mean)) y1="16" y2=(AXIS) {}
            text.label x=(self.at(mean)) y="12" text-anchor=(self.anchor(mean, LABEL_MARGIN)) { "mean " (short(self.metric, mean)) }
            line.deviation x1=(low) x2=(high) y1=(y) y2=(y) {}
            line.deviation x1=(low) x2=(low) y1=(y - 4.0) y2=(y + 4.0) {}
            line.deviation x1=(high) x2=(high) y1=(y - 4.0) y2=(y + 4.0) {}
        }
    }

    /// The side of a point on which its label is placed, so that it does not reach beyond an end of the plot that is nearer than
    /// `margin` percent.
    fn anchor(&self, load: f64, margin: f64) -> &'static str {
        match self.x(load) {
            x if x < margin => "start",
            x if x >= 100.0 - margin => "end",
            _ => "middle",
        }
    }

    /// A mark for each pod except the two ends; pods with nearly equal loads are stacked.
    fn marks(&self) -> Markup {
        let is_end = |pod: &PodReport| self.report.ends().iter().any(|target| target.pod == pod.name);
        let named = self.report.pods.len() <= MOST_NAMED;
        let prefix = shared_prefix(self.report.pods.iter().map(|pod| pod.name.as_str())).len();
        let mut columns: BTreeMap<i64, usize> = BTreeMap::new();
        html! {
            @for pod in self.report.pods.iter().filter(|pod| !is_end(pod)) {
                @if let Some(value) = pod.load(self.metric) {
                    @let place = column_place(&mut columns, self.x(value));
                    @if place < MOST_IN_COLUMN {
                        circle .aside[!pod.verdict.is_candidate()] cx=(self.at(value)) cy=(height(place)) r="5" {
                            @if named { title { (pod.name[prefix..]) " " (short(self.metric, value)) } }
                        }
                    }
                }
            }
        }
    }

    /// The bars above the axis, each with the number of its pods; those of the pods that are not compared stand on the others.
    fn bars(&self, bars: &[[usize; 2]]) -> Markup {
        let load = |bar: usize| bar as f64 / BARS as f64 * self.most;
        let in_unit = |bar: usize| with_unit(self.metric, load(bar));
        let most = highest(bars);
        html! {
            @for (bar, [compared, others]) in bars.iter().enumerate().filter(|(_, counts)| **counts != [0, 0]) {
                @let x = self.at(load(bar));
                @let width = coordinate(self.x(load(bar + 1)) - self.x(load(bar)));
                @let (high, more) = (bar_height(*compared, most), bar_height(*others, most));
                g {
                    title { (count(compared + others, "pod", "pods")) " from " (in_unit(bar)) " to " (in_unit(bar + 1)) }
                    @if *compared > 0 { rect.bin x=(x) width={ (width) "%" } y=(AXIS - high) height=(high) {} }
                    @if *others > 0 { rect.bin.aside x=(x) width={ (width) "%" } y=(AXIS - high - more) height=(more) {} }
                }
            }
        }
    }

    fn end(&self, name: &str, role: Role) -> Markup {
        let Some(value) = self.pod(name).and_then(|pod| pod.load(self.metric)) else { return html! {} };
        let is_busiest = role != Role::LeastBusy;
        let shape = if is_busiest { "M0-10l9 16h-18z" } else { "M0 10l9-16h-18z" };
        let label = if is_busiest { MIDDLE - 24.0 } else { MIDDLE + 34.0 };
        html! {
            svg x=(self.at(value)) y=(MIDDLE) overflow="visible" {
                path class=(role) d=(shape) { title { (name) " " (short(self.metric, value)) } }
            }
            text class={ "label " (role) } x=(self.at(value)) y=(label) text-anchor=(self.anchor(value, LABEL_MARGIN)) {
                (spaced(role.name())) " " (own_part(name)) " " (short(self.metric, value))
            }
        }
    }
}

/// How many pods stand in each part of the axis: the compared ones, and the others. Each pod is a share of the axis, and
/// whether it is compared.
fn counted(pods: impl Iterator<Item = (f64, bool)>) -> Vec<[usize; 2]> {
    let mut counts = vec![[0, 0]; BARS];
    for (share, is_compared) in pods {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let bar = (share.clamp(0.0, 1.0) * BARS as f64) as usize;
        counts[bar.min(BARS - 1)][usize::from(!is_compared)] += 1;
    }
    counts
}

/// Number of pods of the highest bar.
fn highest(bars: &[[usize; 2]]) -> usize {
    bars.iter().map(|[compared, others]| compared + others).max().unwrap_or_default()
}

/// Height in pixels of a bar of so many pods, where the highest has `most`.
fn bar_height(pods: usize, most: usize) -> f64 {
    match pods {
        0 => 0.0,
        _ => coordinate(((AXIS - 24.0) * pods as f64 / most as f64).max(LEAST)),
    }
}

/// The end of a name, which distinguishes the pods of a workload. A number alone would be read as a load.
fn own_part(name: &str) -> String {
    let own = name.rsplit_once('-').map_or(name, |(_, own)| own);
    let is_number = own.chars().all(|letter| letter.is_ascii_digit());
    Naming::Last(MOST_LETTERS).of(&if is_number { format!("#{own}") } else { own.to_owned() }, "")
}

/// How many marks are already in a column.
fn column_place(columns: &mut BTreeMap<i64, usize>, x: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "percentages")]
    let taken = columns.entry((x / COLUMN) as i64).or_default();
    *taken += 1;
    *taken - 1
}

/// The height of the n-th mark of a column, alternating above and below the middle.
fn height(place: usize) -> f64 {
    let steps = place.div_ceil(2) as f64;
    let side = if place % 2 == 1 { -1.0 } else { 1.0 };
    MIDDLE + side * steps * 6.0
}

/// At most six round numbers from 0 to at most `most`.
fn ticks(metric: Metric, most: f64) -> Vec<f64> {
    let rough = most / 4.0;
    let step = if metric.unit() == "bytes" {
        rough.log2().ceil().exp2()
    } else {
        let unit = 10_f64.powf(rough.log10().floor());
        [1.0, 2.0, 5.0].into_iter().map(|step| step * unit).find(|step| *step >= rough).unwrap_or(10.0 * unit)
    };
    if !step.is_normal() {
        return vec![0.0];
    }
    (0..6).map(|index| f64::from(index) * step).take_while(|tick| *tick <= most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_called_by_the_end_of_its_name() {
        assert_eq!(own_part("orders-7c9f6-x7k2p"), "x7k2p");
        assert_eq!(own_part("ledger-10"), "#10", "a number beside a load");
        assert_eq!(own_part("consumeroforders"), "…forders");
    }

    #[test]
    fn every_pod_is_counted_once_and_none_is_lost() {
        let shares = [0.0, 0.001, 0.5, 1.0, 1.5, -1.0, f64::NAN];
        let bars = counted(shares.into_iter().map(|share| (share, share < 2.0)));
        let all =
            bars.iter().fold([0, 0], |[compared, others], [more, rest]| [compared + more, others + rest]);
        assert_eq!((all, highest(&bars)), ([6, 1], 4));
    }

    #[test]
    fn one_pod_among_thousands_has_a_bar() {
        let pods = std::iter::repeat_n((0.2, true), 10_000).chain([(0.9, true)]);
        let bars = counted(pods);
        let heights = bars.iter().map(|[compared, _]| bar_height(*compared, highest(&bars)));
        let heights: Vec<f64> = heights.filter(|height| *height > 0.0).collect();
        assert_eq!(heights, [AXIS - 24.0, LEAST]);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(Metric::Cpu, 1.63), [0.0, 0.5, 1.0, 1.5]);
        assert_eq!(ticks(Metric::Lag, 27_146.0), [0.0, 10_000.0, 20_000.0]);
        let mib = 1_048_576.0;
        assert_eq!(
            ticks(Metric::Memory, 1900.0 * mib),
            [0.0, 512.0, 1024.0, 1536.0].map(|count| count * mib)
        );
        assert_eq!(ticks(Metric::Cpu, f64::MIN_POSITIVE), [0.0]);
    }
}
