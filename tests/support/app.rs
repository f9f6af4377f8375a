//! The whole application in this process, on a fresh database of either kind, with a clock that
//! only the test moves.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use actix_web::body::to_bytes;
use actix_web::dev::Service as _;
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpResponse};
use futures_util::future::LocalBoxFuture;
use metrics_exporter_prometheus::PrometheusBuilder;
use patchbay::app::{Shared, configure};
use patchbay::apply::Applier;
use patchbay::audit::{Actor, ChainKey, Via};
use patchbay::auth::{self, OperatorName, Role, TokenLabel};
use patchbay::config::Config;
use patchbay::db::{Db, Server};
use patchbay::id::{OperatorId, TenantId};
use patchbay::provision::Provisioner;
use patchbay::secrets::{Entropy, Vault};
use patchbay::state::{Bookmarks, Counted, State};
use patchbay::tenants::{self, Settings};
use patchbay::time::{Clock, Timestamp};
use sqlx::{AssertSqlSafe, Row as _};

use super::lab::Postgres;

/// When tests begin: 2023-11-14T22:13:20Z.
pub const BEGINNING: i64 = 1_700_000_000;
/// The password of every operator made here.
pub const PASSWORD: &str = "correct horse battery";

type Served = Rc<dyn Fn(TestRequest) -> LocalBoxFuture<'static, ServiceResponse>>;

/// Proxies that are believed here.
const PROXIES: [&str; 1] = ["198.51.100.0/28"];

/// One instance of the application.
pub struct TestApp {
    pub state: State,
    /// Where its database is.
    pub url: String,
    /// What serves phones here.
    pub provisioner: Provisioner,
    now: Arc<AtomicI64>,
    service: Served,
    dir: Arc<tempfile::TempDir>,
}

impl TestApp {
    pub async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("patchbay.db").display());
        Self::on(url, dir).await
    }

    pub async fn postgres() -> Self {
        Self::on(Postgres::database(), tempfile::tempdir().unwrap()).await
    }

    /// On an empty database at `url`, with its key in `dir`.
    pub async fn on(url: String, dir: tempfile::TempDir) -> Self {
        let now = Arc::new(AtomicI64::new(BEGINNING));
        Self::begin(url, Arc::new(dir), now, "http://patchbay.test").await
    }

    /// One more instance on the same database, with connections of its own.
    pub async fn another(&self) -> Self {
        Self::begin(
            self.url.clone(),
            Arc::clone(&self.dir),
            Arc::clone(&self.now),
            &self.state.public_url,
        )
        .await
    }

    /// As [`Self::another`], reached by browsers as `public_url`.
    pub async fn reached_as(&self, public_url: &str) -> Self {
        let (dir, now) = (Arc::clone(&self.dir), Arc::clone(&self.now));
        Self::begin(self.url.clone(), dir, now, public_url).await
    }

    /// As [`Self::another`], soon tired of waiting for the database.
    pub async fn impatient(&self) -> Self {
        let mut app = self.another().await;
        app.state.db.close().await;
        let patience = std::time::Duration::from_millis(200);
        app.state.db = Db::connect_within(&self.url, patience).await.unwrap();
        app.provisioner = Provisioner::new(app.state.clone());
        app.service = serve(app.state.clone(), app.provisioner.clone(), app.dir.path()).await;
        app
    }

    /// The application with the same key on another database.
    pub async fn elsewhere(&self, url: &str) -> Self {
        let (dir, now) = (Arc::clone(&self.dir), Arc::clone(&self.now));
        Self::begin(url.to_owned(), dir, now, &self.state.public_url).await
    }

    async fn begin(
        url: String,
        dir: Arc<tempfile::TempDir>,
        now: Arc<AtomicI64>,
        public_url: &str,
    ) -> Self {
        capture_logs();
        let db = Db::connect(&url).await.unwrap();
        db.migrate().await.unwrap();
        let vault = Vault::open(&dir.path().join("secret.key"), Entropy::system()).unwrap();
        let read = Arc::clone(&now);
        let state = State {
            chain: ChainKey::of(&vault),
            clock: Clock::of(move || Timestamp(read.load(Ordering::SeqCst))),
            public_url: public_url.to_owned(),
            phones_url: public_url.to_owned(),
            proxies: PROXIES.map(|proxy| proxy.parse().unwrap()).into(),
            data_dir: dir.path().to_owned(),
            counted: Counted::default(),
            bookmarks: Bookmarks::default(),
            db,
            vault,
        };
        let provisioner = Provisioner::new(state.clone());
        let service = serve(state.clone(), provisioner.clone(), dir.path()).await;
        Self { state, url, provisioner, now, service, dir }
    }

    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// A directory that lives as long as the application.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Moves the clock.
    pub fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    // Asking

    /// A request of nobody in particular.
    pub fn ask(&self, method: &str, path: &str) -> Ask {
        let request = TestRequest::default()
            .method(method.parse::<Method>().unwrap())
            .uri(path)
            .peer_addr("192.0.2.1:40000".parse::<SocketAddr>().unwrap());
        Ask { request: Box::new(request), service: Rc::clone(&self.service) }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).send().await
    }

    // Who asks

    /// A browser nobody has signed in with.
    pub fn browser(&self) -> Browser<'_> {
        Browser { app: self, cookie: RefCell::default(), csrf: RefCell::default() }
    }

    /// A browser in which an operator of the default tenant has just chosen a password.
    pub async fn signed_in(&self, name: &str, role: Role) -> Browser<'_> {
        self.operator(name, role).await;
        self.with_password(name).await
    }

    /// An operator of the default tenant without a password.
    pub async fn operator(&self, name: &str, role: Role) -> OperatorId {
        let mut change = self.state.change(&tester()).await.unwrap();
        let name: OperatorName = name.parse().unwrap();
        let id = auth::create(&mut change, &self.state.vault, TenantId::DEFAULT, &name, role)
            .await
            .unwrap();
        change.commit().await.unwrap();
        id
    }

    /// Signs an operator in by the link with which a password is chosen.
    pub async fn with_password(&self, name: &str) -> Browser<'_> {
        let (id, _) = auth::find(&self.state, &name.parse().unwrap()).await.unwrap().unwrap();
        let link = self.link(id).await;
        let browser = self.browser();
        browser.welcome(&link).await;
        browser
    }

    /// The token of a new link for an operator.
    pub async fn link(&self, id: OperatorId) -> String {
        let mut change = self.state.change(&tester()).await.unwrap();
        let token = auth::invite(&mut change, &self.state.vault, id).await.unwrap();
        change.record(patchbay::audit::Event::new("operator.invited", &"somebody", &id));
        change.commit().await.unwrap();
        token
    }

    /// A new token for an operator who exists.
    pub async fn token_of(&self, name: &str, role: Role, expires: Option<Timestamp>) -> String {
        let name: OperatorName = name.parse().unwrap();
        let (_, tenant) = auth::find(&self.state, &name).await.unwrap().unwrap();
        let mut change = self.state.change(&Actor { tenant, ..tester() }).await.unwrap();
        let label: TokenLabel = "script".parse().unwrap();
        let vault = &self.state.vault;
        let token =
            auth::issue_token(&mut change, vault, &name, &label, role, expires).await.unwrap();
        change.commit().await.unwrap();
        token
    }

    /// A script with a token of an operator made for it.
    pub async fn script(&self, role: Role) -> Script<'_> {
        let name = format!("s{}", next());
        self.operator(&name, role).await;
        Script { app: self, token: self.token_of(&name, role, None).await }
    }

    /// A second tenant with an administrator called `name`.
    pub async fn tenant(&self, slug: &str, name: &str) -> TenantId {
        let mut change = self.state.change(&tester()).await.unwrap();
        let range = tenants::get(change.tx(), TenantId::DEFAULT).await.unwrap().range();
        let settings = Settings {
            name: slug.to_uppercase().parse().unwrap(),
            time_zone: "UTC".parse().unwrap(),
            range,
        };
        let (slug, admin) = (slug.parse().unwrap(), name.parse().unwrap());
        tenants::create(&mut change, &self.state.vault, &slug, &settings, &admin).await.unwrap();
        change.commit().await.unwrap();
        auth::find(&self.state, &admin).await.unwrap().unwrap().1
    }

    // Looking at the database itself

    /// Runs one statement behind the application's back.
    pub async fn sql(&self, text: &str) -> u64 {
        let text = AssertSqlSafe(text.to_owned());
        match &self.state.db {
            Db::Sqlite { write, .. } => {
                sqlx::query(text).execute(write.pool()).await.unwrap().rows_affected()
            }
            Db::Postgres(Server { pool, .. }) => {
                sqlx::query(text).execute(pool).await.unwrap().rows_affected()
            }
        }
    }

    /// Whether the database refuses a statement because of a constraint. Nothing is left of it.
    pub async fn refused(&self, text: &str) -> bool {
        let text = AssertSqlSafe(text.to_owned());
        let outcome = match &self.state.db {
            Db::Sqlite { write, .. } => sqlx::query(text).execute(write.pool()).await.map(drop),
            Db::Postgres(Server { pool, .. }) => sqlx::query(text).execute(pool).await.map(drop),
        };
        match outcome {
            Ok(()) => false,
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => true,
            Err(error) => panic!("{error}"),
        }
    }

    /// The first column of every row, which must be text.
    pub async fn texts(&self, text: &str) -> Vec<String> {
        let text = AssertSqlSafe(text.to_owned());
        match &self.state.db {
            Db::Sqlite { write, .. } => {
                sqlx::query_scalar(text).fetch_all(write.pool()).await.unwrap()
            }
            Db::Postgres(Server { pool, .. }) => {
                sqlx::query_scalar(text).fetch_all(pool).await.unwrap()
            }
        }
    }

    /// How `SQLite` would go about a statement, a line for each step.
    pub async fn plan(&self, statement: &str) -> Vec<String> {
        let Db::Sqlite { write, .. } = &self.state.db else { return Vec::new() };
        let text = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(text).fetch_all(write.pool()).await.unwrap();
        rows.iter().map(|row| sqlx::Row::get(row, "detail")).collect()
    }

    /// A number.
    pub async fn number(&self, text: &str) -> i64 {
        let text = AssertSqlSafe(text.to_owned());
        match &self.state.db {
            Db::Sqlite { write, .. } => {
                sqlx::query_scalar(text).fetch_one(write.pool()).await.unwrap()
            }
            Db::Postgres(Server { pool, .. }) => {
                sqlx::query_scalar(text).fetch_one(pool).await.unwrap()
            }
        }
    }

    /// Every row of every table, for comparing before and after. Left out is what a refused
    /// request may well leave behind: when something was last seen, and failed sign-ins.
    pub async fn contents(&self) -> String {
        let mut all = String::new();
        for (table, columns) in [
            ("tenant", "id || slug || name || time_zone || first_extension || last_extension"),
            ("operator", "id || name || role || coalesce(password_hash, '') || disabled"),
            ("session", "id_hash || state"),
            ("api_token", "id || label || role || coalesce(revoked_at, 0)"),
            ("one_time_link", "token_hash"),
            ("audit_head", "seq || hash"),
            ("audit_event", "seq || hash"),
            ("users", "id || name || email || version"),
            ("extension", "number || user_id || enabled || secret_at"),
            ("idempotency", "key || request_hash"),
            ("phone", "mac || version || label || site || notes || coalesce(profile_id, '')"),
            ("phone_line", "mac || line || user_id || label"),
            ("phone_key", "mac || position || value || label"),
            ("phone_setting", "mac || key || value"),
            ("profile", "id || version || name"),
            ("profile_setting", "profile_id || key || value"),
            ("assignment", "id || state || version"),
            ("prefix_pool", "id || name || free"),
            ("observation", "subnet_id || pace"),
            ("sweep", "id || state || stopping"),
            ("outside_system", "system || enabled || settings || version"),
            ("outside_nas", "id || name || address || port || fallback"),
            ("outside_allowed", "system || target"),
            ("workflow_run", "id || kind || status || label"),
            ("workflow_step", "run_id || position || status"),
            ("outside_call", "id || state || attempts || answer"),
        ] {
            let rows = format!("SELECT CAST({columns} AS TEXT) FROM {table} ORDER BY 1");
            writeln!(all, "{table}: {:#?}", self.texts(&rows).await).unwrap();
        }
        all
    }

    /// What lies in the database's files (`SQLite`), or every row of every table as text
    /// (`PostgreSQL`, bytes as hexadecimal).
    pub async fn stored_bytes(&self) -> Vec<u8> {
        if let Db::Postgres(Server { pool, .. }) = &self.state.db {
            let mut all = Vec::new();
            let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
            for table in self.texts(tables).await {
                let rows = AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
                for row in sqlx::query(rows).fetch_all(pool).await.unwrap() {
                    all.extend(row.get::<String, _>(0).into_bytes());
                }
            }
            return all;
        }
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|file| file.unwrap().path());
        let files = files.filter(|path| path.display().to_string().contains("patchbay.db"));
        files.flat_map(|path| std::fs::read(path).unwrap()).collect()
    }

    /// Returns when a connection waits for another's lock, or `done` is set. On `SQLite` the one
    /// who waits does so for the only writing connection, before anything it does.
    pub async fn until_somebody_waits_or(&self, done: &Cell<bool>) {
        const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while !self.is_sqlite() && !done.get() && self.number(WAITING).await == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Returns when no other program is connected any more: the database has ended what the dead
    /// had asked for.
    pub async fn until_nobody_else_is_connected(&self) {
        const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'";
        while !self.is_sqlite() && self.number(OTHERS).await > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// `actor action subject` of every audit row, the oldest first.
    pub async fn audit(&self) -> Vec<String> {
        let rows = "SELECT actor || ' ' || action || ' ' || subject FROM audit_event ORDER BY seq";
        self.texts(rows).await
    }
}

/// Whoever prepares a test.
pub fn tester() -> Actor {
    Actor::local("tester", Via::CommandLine)
}

/// A number no other caller in this process gets.
pub fn next() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// The application beside a directory in which Asterisk has never been.
async fn serve(state: State, provisioner: Provisioner, dir: &Path) -> Served {
    let nothing = |name: &str| match name {
        "PATCHBAY_DATA_DIR" => Some(dir.display().to_string()),
        "PATCHBAY_ASTERISK_CONFIG_DIR" => Some(dir.join("asterisk").display().to_string()),
        _ => None,
    };
    let config = Config::load(Some(Path::new("/dev/null")), nothing).unwrap();
    let applier = Applier::new(&config, state.clone());
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let shared = Shared { state, applier, provisioner, metrics };
    let app = init_service(App::new().configure(configure(shared))).await;
    let app = Rc::new(app);
    Rc::new(move |request| {
        let app = Rc::clone(&app);
        Box::pin(async move {
            // An error that reaches the top becomes an answer, as the server makes it one.
            let request_again = TestRequest::default().to_http_request();
            match app.call(request.to_request()).await {
                Ok(answer) => answer,
                Err(error) => ServiceResponse::new(request_again, HttpResponse::from_error(error)),
            }
        })
    })
}

/// A request being put together.
pub struct Ask {
    request: Box<TestRequest>,
    service: Served,
}

impl Ask {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = Box::new(self.request.insert_header((name, value)));
        self
    }

    /// As a page of ours would send it.
    pub fn ours(self) -> Self {
        self.header("sec-fetch-site", "same-origin")
    }

    pub fn at_peer(mut self, address: &str) -> Self {
        let address = format!("{address}:40000").parse().unwrap();
        self.request = Box::new(self.request.peer_addr(address));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn form(self, form: &[(&str, &str)]) -> Self {
        let body = serde_html_form::to_string(form).unwrap();
        self.header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<actix_web::web::Bytes>) -> Self {
        self.request = Box::new(self.request.set_payload(body));
        self
    }

    pub async fn send(self) -> Answer {
        let answer = (self.service)(*self.request).await;
        let status = answer.status().as_u16();
        let headers = answer.headers().iter();
        let headers = headers
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let bytes = to_bytes(answer.into_body()).await.unwrap_or_default().to_vec();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status, headers, text, bytes }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub text: String,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    }

    pub fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// `name=value` of the cookie set, if one was; an emptied one counts.
    pub fn cookie(&self) -> Option<String> {
        let set = self.header("set-cookie")?;
        Some(set.split(';').next().unwrap_or_default().to_owned())
    }

    /// The text between `before` and `after`.
    pub fn between(&self, before: &str, after: &str) -> &str {
        let found = self.text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
        found.unwrap_or_else(|| panic!("no {before} in {}", self.text)).0
    }

    /// The error that stands beside the field called `name`.
    pub fn field_error(&self, name: &str) -> String {
        unescaped(self.between(&format!(r#"id="{name}-error">"#), "<"))
    }

    /// The cells of a workbook's first sheet, its header first, each row as long as that. Nothing in
    /// it is computed, and no link leads out of it.
    #[track_caller]
    pub fn worksheet(&self) -> Vec<Vec<String>> {
        assert_eq!((self.status, &self.bytes[..2]), (200, &b"PK"[..]), "{self:?}");
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&self.bytes).unwrap();
        let mut archive = zip::ZipArchive::new(file.try_clone().unwrap()).unwrap();
        let mut xml = String::new();
        archive.by_name("xl/worksheets/sheet1.xml").unwrap().read_to_string(&mut xml).unwrap();
        assert!(
            !xml.contains("<f>") && !xml.contains("<f ") && !xml.contains("<hyperlink"),
            "{xml}"
        );
        let sheet = patchbay::web::sheet::Sheet::open(file).unwrap();
        let header = sheet.header().cells.clone();
        let long = header.len();
        let whole = |row: patchbay::web::sheet::Row| {
            let blank = std::iter::repeat_with(String::new);
            row.cells.into_iter().chain(blank).take(long).collect()
        };
        std::iter::once(header).chain(sheet.map(|row| whole(row.unwrap()))).collect()
    }

    #[track_caller]
    pub fn shows(&self, text: &str) {
        let page = unescaped(&self.text);
        assert!(page.contains(text), "{text:?} is not in: {} {page}", self.status);
    }

    #[track_caller]
    pub fn hides(&self, text: &str) {
        assert!(!unescaped(&self.text).contains(text), "{text:?} is in: {}", self.text);
    }
}

/// HTML as a person reads it.
pub fn unescaped(html: &str) -> String {
    let pairs = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    pairs.iter().fold(html.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Keeps its cookie, and sends the token of the pages it was shown with every form.
pub struct Browser<'a> {
    pub app: &'a TestApp,
    pub cookie: RefCell<String>,
    pub csrf: RefCell<String>,
}

impl Browser<'_> {
    pub fn ask(&self, method: &str, path: &str) -> Ask {
        let ask = self.app.ask(method, path);
        let cookie = self.cookie.borrow().clone();
        if cookie.is_empty() { ask } else { ask.header("cookie", &cookie) }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.keep(self.ask("GET", path).send().await)
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.borrow().clone();
        let form: Vec<_> = form.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        self.keep(self.ask("POST", path).ours().form(&form).send().await)
    }

    pub async fn sign_in(&self, name: &str, password: &str) -> Answer {
        let answer = self.post("/login", &[("name", name), ("password", password)]).await;
        self.learn().await;
        answer
    }

    /// Chooses [`PASSWORD`] with a link.
    pub async fn welcome(&self, token: &str) {
        let form = [("password", PASSWORD), ("again", PASSWORD)];
        let answer = self.post(&format!("/welcome/{token}"), &form).await;
        assert_eq!((answer.status, answer.location()), (303, "/"), "{answer:?}");
        self.learn().await;
        assert!(!self.csrf.borrow().is_empty());
    }

    /// Reads the session's token from a page.
    async fn learn(&self) {
        let page = self.ask("GET", "/").send().await;
        if page.status == 200 {
            page.between(r#"name="csrf" value=""#, "\"").clone_into(&mut self.csrf.borrow_mut());
        }
    }

    fn keep(&self, answer: Answer) -> Answer {
        if let Some(cookie) = answer.cookie() {
            *self.cookie.borrow_mut() = cookie;
        }
        answer
    }

    /// Adds a user and returns their id.
    pub async fn add(&self, name: &str, email: &str, extension: &str) -> String {
        let form = [("name", name), ("email", email), ("extension", extension)];
        let page = self.post("/users", &form).await;
        assert_eq!(page.status, 201, "{page:?}");
        page.between(r#"href="/users/"#, "/edit").to_owned()
    }
}

/// Sends its token with every call.
pub struct Script<'a> {
    pub app: &'a TestApp,
    pub token: String,
}

impl Script<'_> {
    pub fn ask(&self, method: &str, path: &str) -> Ask {
        self.app.ask(method, path).token(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).send().await
    }

    pub async fn send(&self, method: &str, path: &str, body: &serde_json::Value) -> Answer {
        self.ask(method, path).json(body).send().await
    }

    /// Adds a user and returns the answer.
    pub async fn add(&self, name: &str, email: &str) -> serde_json::Value {
        let body = serde_json::json!({ "name": name, "email": email });
        let answer = self.send("POST", "/api/v1/users", &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }
}

static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();

/// Everything this process has logged so far, at every level.
pub fn logged() -> String {
    let log = LOG.get().map(|log| log.lock().unwrap().clone()).unwrap_or_default();
    String::from_utf8_lossy(&log).into_owned()
}

fn capture_logs() {
    LOG.get_or_init(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&log);
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_env_filter("info,patchbay=trace,sqlx=warn")
            .with_writer(move || Pen(Arc::clone(&to)));
        subscriber.init();
        log
    });
}

struct Pen(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Each test runs twice: once per database we promise to support.
#[allow(unused_macros)]
macro_rules! both_databases {
    ($($(#[$doc:meta])* async fn $name:ident($app:ident: TestApp) $body:block)*) => {
        $($(#[$doc])* async fn $name($app: crate::support::app::TestApp) $body)*
        mod on_sqlite {
            $(#[test]
            fn $name() {
                actix_web::rt::System::new().block_on(async {
                    super::$name(crate::support::app::TestApp::sqlite().await).await;
                });
            })*
        }
        mod on_postgres {
            $(#[test]
            fn $name() {
                actix_web::rt::System::new().block_on(async {
                    super::$name(crate::support::app::TestApp::postgres().await).await;
                });
            })*
        }
    };
}
#[allow(unused_imports)]
pub(crate) use both_databases;
