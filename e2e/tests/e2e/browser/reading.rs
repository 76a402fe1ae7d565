//! Every reader can read the page: on a phone, in the dark, on paper, by ear, without colours.

use e2e::{Browser, Look, require};
use serde_json::{Value, json};

use super::pages::Page;

const LOOKS: [Look; 6] = [
    Look { width: 1280, dark: false, print: false },
    Look { width: 1280, dark: true, print: false },
    Look { width: 768, dark: false, print: false },
    Look { width: 360, dark: false, print: false },
    Look { width: 360, dark: true, print: false },
    Look { width: 720, dark: true, print: true },
];

/// Texts whose contrast is below that of WCAG AA, 4.5 to 1, each with its colours. Text of a drawing
/// may stand on its panel or on a band.
const FAINT: &str = r#"
const parse = color => color.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => {
  const part = value => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const contrast = (one, other) => {
  const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const ground = element => {
  for (; element; element = element.parentElement) {
    const color = parse(getComputedStyle(element).backgroundColor);
    if (color.length < 4 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
const faint = [];
const band = document.querySelector('rect.band');
for (const element of document.querySelectorAll('body *')) {
  if (element.closest('script, title, desc')) continue;
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  if (!own || !element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  const color = parse(element instanceof SVGElement ? style.fill : style.color);
  const grounds = [ground(element)];
  if (element instanceof SVGElement && band) grounds.push(parse(getComputedStyle(band).fill));
  if (element.matches('.score')) grounds.push(parse(getComputedStyle(band).fill));
  for (const under of grounds)
    if (contrast(color, under) < 4.5)
      faint.push(`${element.tagName} "${element.textContent.trim().slice(0, 30)}" ${color} on ${under}`);
}
return faint;
"#;

/// Letters of drawings that lie outside of them, and labels of an axis that run into each other.
const OUTSIDE: &str = r"
const box = text => text.getBoundingClientRect();
const outside = [...document.querySelectorAll('svg[role=img] text')].filter(text => {
  const [own, all] = [box(text), box(text.ownerSVGElement)];
  return own.left < all.left - 1 || own.right > all.right + 1 || own.bottom > all.bottom + 1;
});
const crowded = [...document.querySelectorAll('svg[role=img]')].flatMap(plot => {
  const ticks = [...plot.querySelectorAll('.tick')];
  return ticks.filter((tick, place) => place > 0 && box(tick).left < box(ticks[place - 1]).right + 1);
});
return [...outside, ...crowded].map(text => text.textContent);
";

#[test]
fn it_fits_and_can_be_read_in_every_look() {
    require!(Browser);
    let browser = Browser::shared();
    for page in [Page::of_recording(), Page::of_hostile_names(), Page::of_backtest(), Page::of_history()] {
        browser.open(&page.file);
        browser.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)");
        for look in LOOKS {
            browser.look(look);
            let size = browser.evaluate("return [document.documentElement.scrollWidth, innerWidth]");
            assert!(size[0].as_u64() <= size[1].as_u64(), "{look:?}: {size}");
            assert_eq!(size[1], look.width, "{look:?}");
            assert_eq!(browser.evaluate(FAINT), json!([]), "{look:?}");
            // A drawing that holds nothing, or whose letters lie outside of it, is none.
            assert_eq!(browser.evaluate(OUTSIDE), json!([]), "{look:?}");
        }
    }
}

#[test]
fn every_pod_is_in_the_table_and_in_each_plot() {
    require!(Browser);
    let browser = Browser::shared();
    let page = Page::of_recording();
    browser.open(&page.file);
    let shown = browser.evaluate(
        "return [...document.querySelectorAll('.pods tbody tr')].map(row => row.cells[0].textContent).sort()",
    );
    let pods: Vec<&Value> =
        page.report["pods"].as_array().expect("pods").iter().map(|pod| &pod["name"]).collect();
    assert_eq!(shown, json!(pods), "a report lists its pods by name");
    let marks = browser.evaluate(
        "return [...document.querySelectorAll('svg[role=img]')].map(plot => plot.querySelectorAll('circle, path').length)",
    );
    let having = ["cpu_usage", "memory_usage", "kafka_lag", "message_rate"].map(|key| page.having(key));
    assert_eq!(marks, json!(having));
    // Shape and word tell the targets apart, and each plot names both.
    for role in ["busiest", "least busy"] {
        let named = browser.evaluate(&format!(
            "return [...document.querySelectorAll('svg[role=img] text')].filter(text => text.textContent.startsWith('{role}')).length"
        ));
        assert_eq!(named, 4, "{role}");
    }
    let shapes = browser.evaluate("return new Set([...document.querySelectorAll('svg[role=img] path')].map(path => path.getAttribute('d'))).size");
    assert_eq!(shapes, 2);
}

#[test]
fn it_can_be_heard() {
    require!(Browser);
    let browser = Browser::shared();
    for page in [
        Page::of_recording(),
        Page::of_backtest(),
        Page::of_history(),
        Page::of_scan(100),
        Page::of_run_all(8),
    ] {
        browser.open(&page.file);
        let levels = browser.evaluate(
            "return [...document.querySelectorAll('h1, h2, h3, h4')].map(heading => +heading.tagName[1])",
        );
        let levels: Vec<u64> =
            levels.as_array().expect("headings").iter().filter_map(Value::as_u64).collect();
        assert_eq!(levels[0], 1, "the verdict comes first");
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
        let nameless = browser.evaluate(
            "return [...document.querySelectorAll('svg')].filter(drawing =>
               !drawing.closest('[aria-hidden=true]') && !drawing.closest('svg[role=img]')
               || drawing.matches('[role=img]') && !drawing.getAttribute('aria-labelledby').split(' ').every(id => document.getElementById(id)?.textContent)
             ).length",
        );
        assert_eq!(nameless, 0);
        let doubled = browser.evaluate(
            "const ids = [...document.querySelectorAll('[id]')].map(element => element.id); return ids.length - new Set(ids).size",
        );
        assert_eq!(doubled, 0);
        assert_eq!(browser.evaluate("return document.documentElement.lang"), "en");
        assert_eq!(browser.evaluate("return document.compatMode"), "CSS1Compat");
        let headless = browser.evaluate("return [...document.querySelectorAll('table')].filter(table => !table.tHead || !table.closest('[aria-label]')).length");
        assert_eq!(headless, 0);
    }
}

/// What does not fit a phone stands below instead of beside: no text ends outside of the page, and nothing has to be
/// moved sideways to be read.
#[test]
fn nothing_is_cut_on_a_phone() {
    require!(Browser);
    let browser = Browser::shared();
    for page in [
        Page::of_recording(),
        Page::of_hostile_names(),
        Page::of_backtest(),
        Page::of_history(),
        Page::of_scan(12),
        Page::of_run_all(8),
    ] {
        browser.open(&page.file);
        browser.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)");
        browser.look(Look { width: 360, dark: false, print: false });
        let cut = browser.evaluate(
            "return [...document.querySelectorAll('main *')].filter(element => {
               const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
               if (!own || element.closest('thead, svg, script') || !element.checkVisibility()) return false;
               const box = element.getBoundingClientRect();
               return box.right > 361 || box.left < -1 || element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0;
             }).map(element => `${element.tagName} ${element.textContent.trim().slice(0, 40)}`)",
        );
        assert_eq!(cut, json!([]));
        let moved = browser.evaluate(
            "return [...document.querySelectorAll('.scroll')].filter(part => part.checkVisibility() && part.scrollWidth > part.clientWidth + 1).length",
        );
        assert_eq!(moved, 0);
    }
}

/// A week of a backtest, in which the threshold is passed often, fits three screens of a desk.
#[test]
fn a_week_of_a_backtest_fits_three_screens() {
    require!(Browser);
    let browser = Browser::shared();
    browser.open(&Page::of_a_week().file);
    browser.look(Look { width: 1280, dark: false, print: false });
    let height = browser.evaluate("return document.documentElement.scrollHeight");
    assert!(height.as_u64().is_some_and(|height| height <= 3 * 900), "{height} pixels");
    let episodes = browser.evaluate("return document.querySelectorAll('.episodes tbody tr').length");
    assert!(episodes.as_u64().is_some_and(|episodes| episodes > 20), "{episodes}");
    // A date stands below its moment, and no word is broken.
    let edges = browser.evaluate(
        "return ['.dates', 'svg[role=img]'].map(part => document.querySelector(part).getBoundingClientRect()).map(box => [box.left, box.right])",
    );
    assert_eq!(edges[0], edges[1]);
    let broken = browser.evaluate(
        "return [...document.querySelectorAll('.episodes td:last-child')].filter(cell => cell.textContent === 'persistence').filter(cell => {
           const range = document.createRange();
           range.selectNodeContents(cell);
           return range.getClientRects().length > 1;
         }).length",
    );
    assert_eq!(broken, 0);
    let dates = browser
        .evaluate("return [...document.querySelectorAll('.dates text')].map(text => text.textContent)");
    assert_eq!(dates.as_array().map(Vec::len), Some(7), "{dates}");
}

/// Bars in place of marks show where the pods of a large fleet are, and both ends are still told.
#[test]
fn large_fleets_have_bars() {
    require!(Browser);
    let browser = Browser::shared();
    for (pods, has_bars) in [(100, false), (1_000, true), (10_000, true)] {
        browser.open(&Page::of_pods(pods).file);
        browser.look(Look { width: 360, dark: false, print: false });
        let shown = browser.evaluate(
            "return [...document.querySelectorAll('svg[role=img]')].map(plot =>
               [plot.querySelectorAll('circle').length > 0, plot.querySelectorAll('rect.bin').length > 10])",
        );
        assert_eq!(shown, json!(vec![[!has_bars, has_bars]; 4]), "{pods} pods");
        let size = browser.evaluate("return [document.documentElement.scrollWidth, innerWidth]");
        assert!(size[0].as_u64() <= size[1].as_u64(), "{pods} pods: {size}");
        assert_eq!(browser.evaluate(OUTSIDE), json!([]), "{pods} pods");
    }
}

/// The index of a scan fits a phone and a desk, sorts by its heads, and leads to the sections; no section says a sentence
/// twice.
#[test]
fn the_index_of_a_scan_is_whole_and_sorts() {
    require!(Browser);
    let browser = Browser::shared();
    for count in [12, 1_000] {
        browser.open(&Page::of_scan(count).file);
        for width in [360, 1280] {
            browser.look(Look { width, dark: false, print: false });
            let size = browser.evaluate("return [document.documentElement.scrollWidth, innerWidth]");
            assert!(size[0].as_u64() <= size[1].as_u64(), "{count} at {width}: {size}");
            let hidden = browser.evaluate(
                "const scroll = document.querySelector('.sortable').closest('.scroll'); return scroll.scrollWidth - scroll.clientWidth",
            );
            assert!(
                hidden.as_i64().is_some_and(|hidden| hidden <= 1),
                "{count} at {width}: {hidden} pixels are hidden"
            );
        }
        let rows = browser.evaluate("return document.querySelectorAll('.sortable tbody tr').length");
        assert_eq!(rows, count);
        let sections = browser.evaluate("return document.querySelectorAll('details.workload').length");
        assert_eq!(sections, count.div_ceil(20).min(50));
        browser.click(".sortable thead th:nth-child(3) button");
        let pods =
            "return [...document.querySelectorAll('.sortable tbody tr')].map(row => +row.cells[2].dataset.v)";
        let sorted = browser.evaluate(pods);
        let pods: Vec<u64> = sorted.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        assert!(pods.is_sorted_by(|one, other| one >= other), "{pods:?}");
        // Column, how it is sorted by a first and by a second click, and the order of what is known.
        for (column, orders) in [(1, ["ascending", "descending"]), (5, ["descending", "ascending"])] {
            for order in orders {
                browser.click(&format!(".sortable thead th:nth-child({column}) button"));
                let sorted = browser.evaluate(&format!(
                    "const head = document.querySelector('.sortable thead th:nth-child({column})');
                     const cells = [...document.querySelectorAll('.sortable tbody tr')].map(row => row.cells[{column} - 1]);
                     const keys = cells.map(cell => cell.dataset.v ?? cell.textContent);
                     const known = keys.filter(key => key !== '');
                     const sign = head.ariaSort === 'ascending' ? 1 : -1;
                     const compare = (a, b) => isNaN(a) ? a.localeCompare(b, 'en', {{numeric: true}}) : a - b;
                     return [head.ariaSort, known.every((key, place) => place === 0 || sign * compare(known[place - 1], key) <= 0),
                             keys.indexOf('') === -1 || keys.indexOf('') === known.length]"
                ));
                assert_eq!(sorted, json!([order, true, true]), "column {column}");
            }
        }
        let twice = browser.evaluate(
            "const section = document.querySelector('details.workload'); section.open = true;
             const own = element => element.children.length === 0 || element.matches('h2, li, p, .why');
             const texts = [...section.querySelectorAll('h2, p, li, .why')].filter(own).map(element => element.textContent);
             return texts.filter(text => text.includes('the newest pod is 4 minutes old')).length",
        );
        assert_eq!(twice, 1, "a sentence stands once");
    }
}

/// The page of a run of all says at once what was done and to whom; its index breaks no word, and no section says a sentence
/// twice.
#[test]
fn a_run_of_all_is_told_at_once() {
    require!(Browser);
    let browser = Browser::shared();
    for count in [8, 100] {
        browser.open(&Page::of_run_all(count).file);
        for width in [360, 1280] {
            browser.look(Look { width, dark: false, print: false });
            let size = browser.evaluate("return [document.documentElement.scrollWidth, innerWidth]");
            assert!(size[0].as_u64() <= size[1].as_u64(), "{count} at {width}: {size}");
            let broken = browser.evaluate(
                "return [...document.querySelectorAll('.sortable tbody td:nth-child(n+3)')].filter(cell => {
                   const text = [...cell.childNodes].find(node => node.nodeType === 3);
                   if (!text || text.textContent.trim().includes(' ')) return false;
                   const range = document.createRange();
                   range.selectNodeContents(text);
                   return range.getClientRects().length > 1;
                 }).map(cell => cell.textContent)",
            );
            assert_eq!(broken, json!([]), "{count} at {width}");
        }
        let top = browser.evaluate("return document.querySelector('header.verdict').innerText");
        let top = top.as_str().expect("text");
        for words in [
            "1 withheld, 1 rotated, 1 not decided",
            "shop/statefulset/ledger-of-the-european-shop-0: evicted consumer-4 and consumer-0",
            "1 of at most 1",
        ] {
            assert_eq!(top.matches(words).count(), 1, "{words}: {top}");
        }
        let first = browser.evaluate("return document.querySelector('details.workload summary').textContent");
        assert_eq!(first, "shop/statefulset/ledger-of-the-european-shop-0: rotated, sick pod");
        let heads = browser.evaluate("return document.querySelectorAll('.sortable thead th').length");
        assert_eq!(heads, 8, "no best spread is known, so that it has no column");
        let twice = browser.evaluate(
            "const section = document.querySelector('details.workload'); section.open = true;
             return [...section.querySelectorAll('p, .why')].filter(element => element.textContent.includes('times the CPU of the others')).length",
        );
        assert_eq!(twice, 1, "the evidence stands once");
    }
}

/// Of a thousand pods those at both ends are visible, and the others can be unfolded.
#[test]
fn both_ends_of_a_large_fleet_are_visible() {
    require!(Browser);
    let browser = Browser::shared();
    browser.open(&Page::of_pods(1_000).file);
    let rows =
        "return [...document.querySelectorAll('.pods tbody tr')].filter(row => row.checkVisibility()).length";
    assert_eq!(browser.evaluate(rows), 30);
    browser.look(Look { width: 1280, dark: false, print: false });
    let height = browser.evaluate("return document.documentElement.scrollHeight");
    assert!(height.as_u64().is_some_and(|height| height < 4_000), "{height} pixels");
    browser.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)");
    assert_eq!(browser.evaluate(rows), 300);
}
