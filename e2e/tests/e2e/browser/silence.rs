//! Nothing is asked of anyone, nothing is complained of, and no text from outside does anything.

use e2e::{Browser, require};
use serde_json::json;

use super::pages::{HOSTILE, Page};

#[test]
fn no_request_leaves_the_page_and_the_console_is_silent() {
    require!(Browser);
    let browser = Browser::shared();
    for page in [Page::of_recording(), Page::of_hostile_names(), Page::of_backtest()] {
        browser.requests();
        let url = browser.open(&page.file);
        assert_eq!(browser.requests(), [url], "the page and nothing else");
        assert_eq!(browser.console(), Vec::<String>::new());
        let loaded = browser.evaluate("return performance.getEntriesByType('resource').length");
        assert_eq!(loaded, 0);
        assert_eq!(
            browser.evaluate("return document.querySelectorAll('[src], [href], img, iframe, form').length"),
            0
        );
    }
}

/// What the page forbids itself is forbidden: the test before would see nothing without it either.
#[test]
fn the_policy_of_the_page_forbids_what_it_does_not_need() {
    require!(Browser);
    let browser = Browser::shared();
    browser.open(&Page::of_recording().file);
    browser.evaluate(
        "const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image);
         const script = document.createElement('script'); script.textContent = 'window.broken = 1'; document.body.append(script);",
    );
    assert_eq!(browser.evaluate("return window.broken ?? null"), json!(null));
    let console = browser.console().join("\n");
    assert!(console.contains("img-src") && console.contains("script-src"), "{console}");
}

#[test]
fn hostile_names_are_text() {
    require!(Browser);
    let browser = Browser::shared();
    let page = Page::of_hostile_names();
    browser.open(&page.file);
    assert_eq!(browser.evaluate("return window.broken ?? null"), json!(null));
    assert_eq!(browser.evaluate("return document.querySelectorAll('main img, main svg[onload], main script:not(#recording)').length"), 0);
    let shown = browser
        .evaluate("return [...document.querySelectorAll('.pods tbody th')].map(cell => cell.textContent)");
    let shown: Vec<&str> = shown.as_array().expect("names").iter().filter_map(|name| name.as_str()).collect();
    assert_eq!(shown.len(), 12);
    for name in HOSTILE {
        let hidden = |char: char| char.is_control() || char == '\u{202e}';
        let expected: String =
            name.chars().map(|char| if hidden(char) { '\u{fffd}' } else { char }).collect();
        assert!(shown.contains(&expected.as_str()), "{expected:?} is not in {shown:?}");
    }
    assert!(
        browser
            .evaluate("return document.title")
            .as_str()
            .is_some_and(|title| title.contains("pod-rebalancer"))
    );
}

#[test]
fn a_query_is_copied_by_its_button() {
    require!(Browser);
    let browser = Browser::shared();
    browser.open(&Page::of_recording().file);
    browser.click(".query button");
    let said = "return new Promise(done => setTimeout(() => done(document.querySelector('.query button').textContent), 300))";
    let said = browser.evaluate(said);
    assert!(["Copied", "Press Ctrl+C"].map(|word| json!(word)).contains(&said), "{said}");
    assert_eq!(browser.console(), Vec::<String>::new());
}
