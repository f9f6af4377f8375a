//! Somebody at a browser of the running program, who has a script too.

use std::time::Duration;

use reqwest::{Method, header::HeaderMap};
use serde_json::Value;
use tokio::time::timeout;

use crate::office::Office;

const PATIENCE: Duration = Duration::from_secs(40);
const PASSWORD: &str = "four random words here";

pub struct Desk {
    client: reqwest::Client,
    pub url: String,
    cookie: String,
    csrf: String,
    token: String,
}

/// What a browser was answered.
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    /// As it came.
    pub html: String,
    /// As a person reads it.
    pub text: String,
}

impl Page {
    async fn of(answer: reqwest::Response) -> Self {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let html = answer.text().await.unwrap();
        Self { status, headers, text: crate::support::app::unescaped(&html), html }
    }

    pub fn location(&self) -> &str {
        self.headers["location"].to_str().unwrap()
    }

    #[track_caller]
    pub fn shows(&self, text: &str) {
        assert!(self.text.contains(text), "{text:?} is not in: {} {}", self.status, self.text);
    }

    #[track_caller]
    pub fn hides(&self, text: &str) {
        assert!(!self.text.contains(text), "{text:?} is in: {} {}", self.status, self.text);
    }

    /// The text between `before` and the next `after`.
    #[track_caller]
    pub fn between(&self, before: &str, after: &str) -> &str {
        let found = self.text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
        found.unwrap_or_else(|| panic!("no {before:?} in: {}", self.text)).0
    }
}

impl Desk {
    /// An administrator made for it.
    pub async fn sign_in(office: &Office, url: &str) -> Self {
        let token = office.administrator("desk", PASSWORD);
        crate::support::trust();
        let client = reqwest::Client::builder().no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let (url, cookie, csrf) = (url.to_owned(), String::new(), String::new());
        let mut desk = Self { client, url, cookie, csrf, token };
        let answer = desk.post("/login", &[("name", "desk"), ("password", PASSWORD)]).await;
        let cookie = answer["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().clone_into(&mut desk.cookie);
        let page = desk.page("/").await;
        let csrf = page.split_once("name=\"csrf\" value=\"").unwrap().1;
        csrf.split('"').next().unwrap().clone_into(&mut desk.csrf);
        desk
    }

    /// Sends a form, which must lead on to another page.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> HeaderMap {
        let page = self.send(path, form).await;
        assert_eq!(page.status, 303, "{path}: {}", page.html);
        page.headers
    }

    /// Sends a form.
    pub async fn send(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let form: Vec<_> = form.iter().copied().chain([("csrf", self.csrf.as_str())]).collect();
        let request = self.client.post(format!("{}{path}", self.url));
        let request = request
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(serde_html_form::to_string(&form).unwrap());
        Page::of(request.send().await.unwrap()).await
    }

    pub async fn page(&self, path: &str) -> String {
        let page = self.open(path).await;
        assert_eq!(page.status, 200, "{path}");
        page.html
    }

    pub async fn open(&self, path: &str) -> Page {
        let request = self.client.get(format!("{}{path}", self.url));
        Page::of(request.header("cookie", &self.cookie).send().await.unwrap()).await
    }

    /// Presses the button and watches until the run is over; where it is shown. A run that has just
    /// ended may hold the lock a little longer: then it is pressed again.
    pub async fn apply(&self, form: &[(&str, &str)]) -> String {
        let run = loop {
            let run = self.send("/apply", form).await;
            if run.status != 409 {
                break run;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(run.status, 303, "{}", run.text);
        self.watch(run.location()).await;
        run.location().to_owned()
    }

    /// Watches a run until it is over.
    pub async fn watch(&self, run: &str) {
        let progress = format!("{run}/progress");
        while self.page(&progress).await.contains("Applying…") {
            tokio::task::yield_now().await;
        }
    }

    /// The script's call: the status, the type of the answer, and the answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, String, Value) {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let mut request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap());
        let (status, kind) = (answer.status().as_u16(), kind.unwrap_or_default().to_owned());
        let text = answer.text().await.unwrap();
        (status, kind, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Applies by the script, again as long as somebody is at it.
    pub async fn apply_by_script(&self, body: &Value) -> (u16, String, Value) {
        loop {
            let answer = self.ask(Method::POST, "/api/v1/apply", Some(body)).await;
            if answer.0 != 409 || answer.2.get("result").is_some() {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, _, answer) = self.ask(method, path, body.as_ref()).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    pub async fn look(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    /// Asks until the answer is `right`.
    pub async fn until(&self, path: &str, right: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let answer = self.look(path).await;
                if right(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if let Ok(answer) = timeout(PATIENCE, waiting).await {
            return answer;
        }
        panic!("{path}: {:#}", self.look(path).await)
    }
}
