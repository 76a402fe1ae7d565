//! A headless Chromium that opens files, driven over the protocol of `WebDriver`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use ureq::Agent;

use crate::require::{Program, path_of};
use crate::sandbox::{Sandbox, Server, free_port};

const START_LIMIT: Duration = Duration::from_secs(60);

/// Nothing that a browser does by itself: no updates, no reports, no first run.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    // The browser ends with its driver, however that ends.
    "--remote-debugging-pipe",
];

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Width of the window in CSS pixels.
    pub width: u32,
    /// Whether the reader prefers dark pages.
    pub dark: bool,
    /// Whether it is to be printed.
    pub print: bool,
}

/// A browser with one tab.
#[derive(Debug)]
pub struct Browser {
    _driver: Server,
    session: String,
    agent: Agent,
}

impl Browser {
    /// The browser that the tests of a process share, one test at a time: with an empty page, as a
    /// reader would have it, and with nothing in its logs.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn shared() -> MutexGuard<'static, Self> {
        static SHARED: OnceLock<Mutex<Browser>> = OnceLock::new();
        let browser = SHARED.get_or_init(|| Mutex::new(Self::start()));
        // A test that failed leaves a page behind, which the next one does not see.
        let browser = browser.lock().unwrap_or_else(PoisonError::into_inner);
        browser.post("/url", &json!({"url": "about:blank"}));
        browser.devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
        browser.devtools("Emulation.setEmulatedMedia", &json!({"media": "", "features": []}));
        browser.console();
        browser.requests();
        browser
    }

    /// Starts a browser with a profile of its own.
    fn start() -> Self {
        let sandbox = Sandbox::new();
        let port = free_port();
        let mut command = Command::new(path_of(Program::Browser, "chromedriver"));
        command.arg(format!("--port={port}")).env("HOME", sandbox.path());
        let mut driver = Server::start(&sandbox, "chromedriver", command);
        let url = format!("http://127.0.0.1:{port}");
        let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
        driver.wait_ready(START_LIMIT, || agent.get(format!("{url}/status")).call().is_ok());
        let mut browser = Self { _driver: driver, session: url, agent };
        let profile = format!("--user-data-dir={}", sandbox.path().join("profile").display());
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(profile);
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": flags, "binary": path_of(Program::Browser, "chromium")},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let session = browser.post("/session", &capabilities);
        let id = session["sessionId"].as_str().expect("a new session has an id");
        browser.session = format!("{}/session/{id}", browser.session);
        browser
    }

    /// Opens a file, and answers its URL.
    ///
    /// # Panics
    /// When the browser refuses.
    pub fn open(&self, file: &Path) -> String {
        let url = format!("file://{}", file.display());
        self.post("/url", &json!({"url": url}));
        url
    }

    /// Looks at the page in another way.
    ///
    /// # Panics
    /// When the browser refuses.
    pub fn look(&self, look: Look) {
        let Look { width, dark, print } = look;
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let media = if print { "print" } else { "screen" };
        self.devtools("Emulation.setEmulatedMedia", &json!({"media": media, "features": features}));
    }

    /// What a function body in JavaScript returns.
    ///
    /// # Panics
    /// When it throws.
    #[track_caller]
    pub fn evaluate(&self, body: &str) -> Value {
        self.post("/execute/sync", &json!({"script": body, "args": []}))
    }

    /// Clicks the first element that a CSS selector finds.
    ///
    /// # Panics
    /// When there is none, or it cannot be clicked.
    pub fn click(&self, selector: &str) {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        let id = found.as_object().and_then(|found| found.values().next()?.as_str()).expect("an element");
        self.post(&format!("/element/{id}/click"), &json!({}));
    }

    /// Everything the console was told since the last call.
    ///
    /// # Panics
    /// When the browser refuses.
    pub fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "browser"}));
        entries.as_array().expect("a log is a list").iter().map(Value::to_string).collect()
    }

    /// The URLs of everything that pages asked for since the last call; the browser's own pages, such
    /// as that of a new tab, are none of anyone's.
    ///
    /// # Panics
    /// When the browser refuses.
    pub fn requests(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "performance"}));
        let event = |entry: &Value| -> Option<String> {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &message["message"];
            let by_browser =
                event["params"]["documentURL"].as_str().is_some_and(|page| page.starts_with("chrome:"));
            if event["method"] != "Network.requestWillBeSent" || by_browser {
                return None;
            }
            Some(event["params"]["request"]["url"].as_str()?.to_owned())
        };
        entries.as_array().expect("a log is a list").iter().filter_map(event).collect()
    }

    /// A picture of the page from its top, `height` CSS pixels high, or all of it.
    ///
    /// # Panics
    /// When the browser refuses or the file cannot be written.
    pub fn screenshot(&self, file: &Path, height: Option<u64>) {
        let size = self.evaluate("return [innerWidth, document.documentElement.scrollHeight]");
        let height = height.map_or_else(|| size[1].clone(), Value::from);
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": height, "scale": 1});
        let picture =
            self.devtools("Page.captureScreenshot", &json!({"captureBeyondViewport": true, "clip": clip}));
        write(file, &picture["data"]);
    }

    /// The page as it is printed: a PDF.
    ///
    /// # Panics
    /// When the browser refuses or the file cannot be written.
    pub fn print(&self, file: &Path) {
        write(file, &self.devtools("Page.printToPDF", &json!({"printBackground": true}))["data"]);
    }

    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let answer = self.agent.post(&url).content_type("application/json").send(body.to_string());
        let text = answer
            .and_then(|mut answer| answer.body_mut().with_config().limit(64 << 20).read_to_string())
            .unwrap_or_else(|error| panic!("POST {path}: {error}"));
        let mut answer: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("POST {path}: {error}: {text}"));
        assert!(answer["value"]["error"].is_null(), "POST {path}: {}", answer["value"]["message"]);
        answer["value"].take()
    }
}

fn write(file: &Path, base64: &Value) {
    let bytes = STANDARD.decode(base64.as_str().expect("data of a picture")).expect("base64");
    fs::write(file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
