//! A real browser: Debian's Chromium, driven through its own driver.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use thirtyfour::common::print::PrintParameters;
use thirtyfour::prelude::*;

pub struct Browser {
    pub driver: WebDriver,
    url: String,
    process: Child,
    _profile: tempfile::TempDir,
}

/// How the browser is to be.
#[derive(Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub dark: bool,
    pub javascript: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 1280, dark: false, javascript: true }
    }
}

impl Browser {
    pub async fn open(look: Look) -> Self {
        let (process, url) = start_driver();
        let profile = tempfile::tempdir().unwrap();
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary("/usr/bin/chromium").unwrap();
        let size = format!("--window-size={},900", look.width);
        let profile_dir = format!("--user-data-dir={}", profile.path().display());
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--disable-sync",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            &size,
            &profile_dir,
        ] {
            wanted.add_arg(argument).unwrap();
        }
        if look.dark {
            wanted.add_arg("--force-dark-mode").unwrap();
            wanted.add_arg("--blink-settings=preferredColorScheme=0").unwrap();
        }
        if !look.javascript {
            let off =
                serde_json::json!({ "profile.managed_default_content_settings.javascript": 2 });
            wanted.add_experimental_option("prefs", off).unwrap();
        }
        let prefs = serde_json::json!({ "browser": "ALL" });
        wanted.set("goog:loggingPrefs", prefs).unwrap();
        super::trust();
        let driver = WebDriver::new(&url, wanted).await.unwrap();
        // The reference of all calls is a long page for axe.
        driver.set_script_timeout(Duration::from_mins(3)).await.unwrap();
        let browser = Self { driver, url, process, _profile: profile };
        browser.resize(look.width).await;
        browser
    }

    /// No window is narrower than 500 pixels; the page is told of a screen that is.
    pub async fn resize(&self, width: u32) {
        let screen = serde_json::json!(
            { "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false }
        );
        self.tell("Emulation.setDeviceMetricsOverride", &screen).await;
    }

    /// Shows pages as they are (no word) or as on paper (`print`), for people who want it dark or light; at once.
    pub async fn show(&self, media: &str, scheme: &str) {
        let features = serde_json::json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" }
        ]);
        let how = serde_json::json!({ "media": media, "features": features });
        self.tell("Emulation.setEmulatedMedia", &how).await;
    }

    /// A command of Chromium's own.
    async fn tell(&self, command: &str, params: &serde_json::Value) {
        let session = self.driver.session_id().to_string();
        super::trust();
        let told = reqwest::Client::new()
            .post(format!("{}/session/{session}/goog/cdp/execute", self.url))
            .json(&serde_json::json!({ "cmd": command, "params": params }))
            .send()
            .await
            .unwrap();
        assert!(told.status().is_success(), "{told:?}");
    }

    pub async fn go(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// The element that `css` selects, once it is there.
    pub async fn find(&self, css: &str) -> WebElement {
        let found = self.driver.query(By::Css(css)).wait(PATIENCE, POLL).first().await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("no {css} on {}: {error}\n{}", self.at().await, self.text().await),
        }
    }

    /// Types into the field called `name`, in place of what is there.
    pub async fn fill(&self, name: &str, text: &str) {
        let field = self.find(&format!("[name={name}]:not([type=hidden])")).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        element.scroll_into_view().await.unwrap();
        element.click().await.unwrap();
    }

    /// Presses the button that says `text`.
    pub async fn press(&self, text: &str) {
        let path =
            format!("//button[normalize-space()='{text}'] | //a[normalize-space()='{text}']");
        let found = self.driver.query(By::XPath(&path)).wait(PATIENCE, POLL).first().await;
        let Ok(button) = found else { panic!("nothing says {text:?}:\n{}", self.text().await) };
        button.scroll_into_view().await.unwrap();
        button.click().await.unwrap();
    }

    /// Waits until the page says `text`.
    pub async fn sees(&self, text: &str) {
        let path = format!("//body[contains(., \"{text}\")]");
        let found = self.driver.query(By::XPath(&path)).wait(PATIENCE, POLL).first().await;
        assert!(found.is_ok(), "{text:?} is not on {}:\n{}", self.at().await, self.text().await);
    }

    /// Waits until the page's address ends with `end`.
    pub async fn arrives(&self, end: &str) {
        let begun = std::time::Instant::now();
        while !self.at().await.ends_with(end) {
            assert!(begun.elapsed() < PATIENCE, "at {}, not at …{end}", self.at().await);
            tokio::time::sleep(POLL).await;
        }
    }

    pub async fn at(&self) -> String {
        self.driver.current_url().await.unwrap().to_string()
    }

    /// All that can be read on the page.
    pub async fn text(&self) -> String {
        let begun = std::time::Instant::now();
        loop {
            let text = match self.driver.find(By::Tag("body")).await {
                Ok(body) => body.text().await,
                Err(error) => Err(error),
            };
            match text {
                Ok(text) => return text,
                // Another page comes, and has nothing yet or came between finding and reading.
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
        }
    }

    pub async fn run(&self, script: &str) -> serde_json::Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// What the browser's console has complained of since the last call: broken scripts, refused
    /// styles, violations of the content security policy.
    pub async fn complaints(&self) -> Vec<String> {
        let session = self.driver.session_id().to_string();
        super::trust();
        let answer = reqwest::Client::new()
            .post(format!("{}/session/{session}/se/log", self.url))
            .json(&serde_json::json!({ "type": "browser" }))
            .send()
            .await
            .unwrap();
        let log: serde_json::Value = answer.json().await.unwrap();
        let entries = log["value"].as_array().unwrap().iter();
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What axe finds on the page that would keep somebody from using it: serious and critical.
    pub async fn obstacles(&self) -> Vec<String> {
        if self.run("return typeof axe").await == "undefined" {
            self.run(axe()).await;
        }
        let script = "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] })\
             .then(found => done(found.violations), error => done([{ id: String(error), impact: 'critical', nodes: [] }]));";
        let found = self.driver.execute_async(script, Vec::new()).await.unwrap().json().clone();
        let grave = |rule: &&serde_json::Value| {
            matches!(rule["impact"].as_str(), Some("serious" | "critical"))
        };
        let say = |rule: &serde_json::Value| {
            let nodes = rule["nodes"].as_array().into_iter().flatten();
            let nodes: Vec<String> = nodes.map(|node| node["html"].to_string()).take(3).collect();
            format!("{} ({}): {}", rule["id"], rule["impact"], nodes.join(" "))
        };
        found.as_array().unwrap().iter().filter(grave).map(say).collect()
    }

    /// The page as it would be printed on paper of this size in centimetres.
    pub async fn printed(&self, width: f64, height: f64) -> Vec<u8> {
        let mut how = PrintParameters::default();
        how.page.width = width;
        how.page.height = height;
        self.driver.print_page(how).await.unwrap()
    }

    /// A picture of the window.
    pub async fn picture(&self, path: &std::path::Path) {
        self.driver.screenshot(path).await.unwrap();
    }

    pub async fn close(mut self) {
        let _ = self.driver.clone().quit().await;
        end(&mut self.process);
    }
}

fn axe() -> &'static str {
    static AXE: OnceLock<String> = OnceLock::new();
    AXE.get_or_init(|| {
        let axe = std::fs::read_to_string(lab().join("python/axe.min.js"));
        axe.expect("axe: run tests/lab/setup.sh")
    })
}

/// Where the parts of the tests are kept.
fn lab() -> std::path::PathBuf {
    let setup = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/setup.sh");
    let lab = Command::new(setup).arg("--where").output().unwrap();
    String::from_utf8(lab.stdout).unwrap().trim().into()
}

/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked for.
const POLL: Duration = Duration::from_millis(50);

/// It takes a free port of IPv4 and gives up if somebody else has that one of IPv6.
fn start_driver() -> (Child, String) {
    (0..8).find_map(|_| try_driver()).expect("chromedriver did not start")
}

fn try_driver() -> Option<(Child, String)> {
    // A group of its own, so that the browser it starts ends with it.
    let mut process = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("chromedriver: run tests/lab/setup.sh");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        Some(port.trim_end_matches('.').to_owned())
    });
    let Some(port) = port else {
        end(&mut process);
        return None;
    };
    // Whatever it says later is not read, so it must not block on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Some((process, format!("http://127.0.0.1:{port}")))
}

fn end(process: &mut Child) {
    let group = format!("-{}", process.id());
    let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
    let _ = process.wait();
}

impl Drop for Browser {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

impl Browser {
    /// Submits the form as a browser without the check of e-mail fields would.
    pub async fn run_without_validation(&self) {
        // The driver can run scripts even where pages cannot.
        self.run("document.querySelector('main form').noValidate = true").await;
        self.press("Save").await;
    }
}
