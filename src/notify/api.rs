//! Telling phones over REST. The two calls at `/api/phones/…` are those older scripts know.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::queries;
use super::types::{Kind, New, Pause, PhoneState, Telling, Told, WaveSize};
use super::{Refusal, compare, outdated, tell_now};
use crate::api::{self, Answer, Json, Paging, Problem};
use crate::asterisk::access::Access as Asterisk;
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::NotificationId;
use crate::net::Mac;
use crate::numbering::ExtensionNumber;
use crate::web::list;

/// How long a call may take to compare files.
const PATIENCE: Duration = Duration::from_mins(1);

/// Every call about telling phones.
pub fn routes() -> Vec<Route> {
    let (read, edit, manage) = (
        Access::Api(Right::Read),
        Access::Api(Right::EditPhones),
        Access::Api(Right::ManagePhones),
    );
    vec![
        Route::get("/api/v1/phone-notifications", read, list_notifications),
        Route::post("/api/v1/phone-notifications", manage, create_notification),
        Route::get("/api/v1/phone-notifications/{notification}", read, get_notification),
        Route::post("/api/v1/phone-notifications/{notification}/stop", manage, stop_notification),
        Route::post("/api/v1/phones/reboot", manage, reboot_all),
        Route::post("/api/v1/phones/{extension}/reboot", edit, reboot_one),
        Route::post("/api/phones/reboot", manage, reboot_all),
        Route::post("/api/phones/{extension}/reboot", edit, reboot_one),
    ]
}

/// Phones told to fetch their files, or to restart.
#[derive(Serialize, ToSchema)]
pub struct Notification {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: NotificationId,
    /// `resync` or `reboot`.
    pub kind: &'static str,
    /// Why.
    pub reason: String,
    /// Who began it.
    pub actor: String,
    /// `queued`, `running`, `done`, `stopped` or `failed`.
    pub state: &'static str,
    /// What is in its way.
    pub error: String,
    /// Phones told at once.
    pub wave_size: i64,
    /// Seconds from one wave to the next.
    pub pause_seconds: i64,
    /// Phones in all.
    pub phones: i64,
    /// Phones told.
    pub sent: i64,
    /// Phones that could not be told.
    pub failed: i64,
    /// Phones that fetched a file of their own after they were told.
    pub fetched: i64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// RFC 3339, UTC; null while it is not over.
    pub finished_at: Option<String>,
}

impl From<Telling> for Notification {
    fn from(run: Telling) -> Self {
        Self {
            id: run.id,
            kind: run.kind.as_str(),
            reason: run.reason,
            actor: run.actor,
            state: run.state.as_str(),
            error: run.error,
            wave_size: run.wave_size,
            pause_seconds: run.pause,
            phones: run.phones,
            sent: run.sent,
            failed: run.failed,
            fetched: run.fetched,
            created_at: run.created_at.to_string(),
            finished_at: run.finished_at.map(|at| at.to_string()),
        }
    }
}

/// A phone of a run.
#[derive(Serialize, ToSchema)]
pub struct NotifiedPhone {
    /// Which.
    pub mac_address: String,
    /// The number it was told through; null when it was not told.
    pub extension: Option<String>,
    /// `waiting`, `sending`, `sent` or `failed`.
    pub state: &'static str,
    /// RFC 3339, UTC.
    pub sent_at: Option<String>,
    /// Whether it fetched its file since.
    pub fetched: bool,
    /// Why it could not be told.
    pub error: String,
}

impl From<Told> for NotifiedPhone {
    fn from(phone: Told) -> Self {
        Self {
            mac_address: phone.mac.to_string(),
            extension: phone.number.map(|number| number.to_string()),
            state: phone.state.as_str(),
            sent_at: phone.sent_at.map(|at| at.to_string()),
            fetched: phone.has_fetched(),
            error: phone.error,
        }
    }
}

/// A run with its phones.
#[derive(Serialize, ToSchema)]
pub struct NotificationDetail {
    /// The run.
    #[serde(flatten)]
    pub notification: Notification,
    /// Its phones, those that could not be told first.
    pub devices: Vec<NotifiedPhone>,
}

/// A page of runs.
#[derive(Serialize, ToSchema)]
pub struct NotificationList {
    /// The newest first.
    pub notifications: Vec<Notification>,
    /// How many there are in all.
    pub total: i64,
}

/// Phones to be told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNotification {
    /// `resync` (they fetch their files) or `reboot`.
    kind: String,
    /// Their MACs.
    #[serde(default)]
    phones: Vec<String>,
    /// All phones whose file is another now than they fetched last.
    #[serde(default)]
    outdated: bool,
    /// Why, for the history.
    #[serde(default)]
    reason: String,
    /// Phones told at once, 1 to 500; usually 50.
    wave_size: Option<i64>,
    /// Seconds from one wave to the next, 1 to 3600; usually 10.
    pause_seconds: Option<i64>,
}

impl NewNotification {
    /// What is meant, without the revisions; or everything that is wrong with it.
    fn parse(&self) -> Result<(New, Vec<Mac>), Problem> {
        let mut wrong = std::collections::BTreeMap::new();
        let mut note = |field: &str, error: String| wrong.insert(field.to_owned(), error);
        let kind = self.kind.parse::<Kind>();
        let size = self.wave_size.map_or(Ok(WaveSize::default()), WaveSize::try_from);
        let pause = self.pause_seconds.map_or(Ok(Pause::default()), Pause::try_from);
        let macs: Result<Vec<Mac>, _> = self.phones.iter().map(|mac| mac.parse::<Mac>()).collect();
        let reason = self.reason.parse::<crate::text::Line<200>>();
        if let Err(error) = &kind {
            note("kind", error.to_string());
        }
        if let Err(error) = &size {
            note("wave_size", error.to_string());
        }
        if let Err(error) = &pause {
            note("pause_seconds", error.to_string());
        }
        if let Err(error) = &macs {
            note("phones", error.to_string());
        }
        if let Err(error) = &reason {
            note("reason", error.to_string());
        }
        match (kind, size, pause, macs, reason) {
            (Ok(kind), Ok(wave_size), Ok(pause), Ok(macs), Ok(reason)) => {
                let reason = reason.to_string();
                Ok((New { kind, reason, phones: Vec::new(), wave_size, pause }, macs))
            }
            _ => Err(Problem::invalid(wrong)),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(error) => error.into(),
            other => Self::invalid([("phones".to_owned(), other.to_string())].into()),
        }
    }
}

/// Phones told so far, the newest first.
#[utoipa::path(get, path = "/api/v1/phone-notifications", operation_id = "listPhoneNotifications", tag = "Registrations",
    params(Paging), responses((status = 200, body = NotificationList)))]
async fn list_notifications(by: Operator, params: web::Query<Paging>) -> Answer {
    let at = list::stretch(&params.page, list::size(&params.size));
    let (runs, total) = super::list(&mut by.read().await?, by.tenant(), at).await?;
    let notifications = runs.into_iter().map(Into::into).collect();
    api::json(StatusCode::OK, &NotificationList { notifications, total })
}

/// Tells phones to fetch their files anew or to restart, in waves.
#[utoipa::path(post, path = "/api/v1/phone-notifications", operation_id = "notifyPhones", tag = "Registrations",
    request_body = NewNotification, responses((status = 202, body = Notification), (status = 422, body = Problem)))]
async fn create_notification(by: Operator, new: Json<NewNotification>) -> Answer {
    let (mut run, macs) = new.0.parse()?;
    if new.0.outdated {
        compare(by.state(), by.tenant(), None, PATIENCE).await?;
        let all = outdated(by.state(), by.tenant()).await?;
        run.phones = all.into_iter().map(|phone| (phone.mac, phone.revision)).collect();
    }
    run.phones.extend(macs.into_iter().map(|mac| (mac, String::new())));
    let mut change = by.change().await?;
    let id = super::begin(&mut change, &by.state().vault, &run).await?;
    change.commit().await?;
    let run = super::get(&mut by.read().await?, by.tenant(), id).await?;
    let run = run.ok_or_else(|| Problem::not_found("notification"))?;
    api::json(StatusCode::ACCEPTED, &Notification::from(run))
}

/// How far a run is, with its phones.
#[utoipa::path(get, path = "/api/v1/phone-notifications/{notification}", operation_id = "getPhoneNotification", tag = "Registrations",
    params(("notification" = String, Path)), responses((status = 200, body = NotificationDetail), (status = 404, body = Problem)))]
async fn get_notification(by: Operator, notification: web::Path<NotificationId>) -> Answer {
    let mut tx = by.read().await?;
    let run = super::get(&mut tx, by.tenant(), *notification).await?;
    let run = run.ok_or_else(|| Problem::not_found("notification"))?;
    let everything = Page { offset: 0, limit: i64::MAX };
    let phones = super::phones(&mut tx, by.tenant(), run.id, everything).await?;
    let devices = phones.into_iter().map(Into::into).collect();
    api::json(StatusCode::OK, &NotificationDetail { notification: run.into(), devices })
}

/// Ends a run before its next wave.
#[utoipa::path(post, path = "/api/v1/phone-notifications/{notification}/stop", operation_id = "stopPhoneNotification", tag = "Registrations",
    params(("notification" = String, Path)), responses((status = 202, body = Notification), (status = 404, body = Problem)))]
async fn stop_notification(by: Operator, notification: web::Path<NotificationId>) -> Answer {
    let mut change = by.change().await?;
    if super::get(change.tx(), by.tenant(), *notification).await?.is_none() {
        return Err(Problem::not_found("notification"));
    }
    super::stop(&mut change, *notification).await?;
    change.commit_if_any().await?;
    let run = super::get(&mut by.read().await?, by.tenant(), *notification).await?;
    let run = run.ok_or_else(|| Problem::not_found("notification"))?;
    api::json(StatusCode::ACCEPTED, &Notification::from(run))
}

/// A phone that is not restarted, and why.
#[derive(Serialize, ToSchema)]
pub struct NotRebooted {
    /// Its extension, or null when it has none.
    pub extension: Option<String>,
    /// Its MAC.
    pub mac_address: String,
    /// Why, and what to do.
    pub error: String,
}

/// What came of telling all phones to restart.
#[derive(Serialize, ToSchema)]
pub struct Rebooted {
    /// Whether any is told.
    pub success: bool,
    /// A sentence.
    pub message: String,
    /// The extensions of the phones that are told, in waves, so that they do not all come at once.
    pub rebooted: Vec<String>,
    /// Those that are not.
    pub failed: Vec<NotRebooted>,
    /// How many are told.
    pub success_count: usize,
    /// How many are not.
    pub failed_count: usize,
    /// The run, at `/api/v1/phone-notifications`; null when nobody is told.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub notification: Option<NotificationId>,
}

/// Tells every registered phone to restart, in waves.
#[utoipa::path(post, path = "/api/v1/phones/reboot", operation_id = "rebootPhones", tag = "Registrations",
    responses((status = 200, body = Rebooted)))]
async fn reboot_all(by: Operator) -> Answer {
    let mut tx = by.read().await?;
    let shown = |number: Option<ExtensionNumber>| number.map(|number| number.to_string());
    let (mut there, mut failed) = (Vec::new(), Vec::new());
    for phone in queries::reachable(&mut tx, by.tenant()).await? {
        let why = match phone.number {
            None => Some("it has no line"),
            Some(_) if !phone.there => Some("not registered"),
            Some(_) => super::never_restarts(&mut tx, by.tenant(), &phone).await?,
        };
        let (extension, mac_address) = (shown(phone.number), phone.mac.to_string());
        match why {
            Some(why) => {
                failed.push(NotRebooted { extension, mac_address, error: why.to_owned() });
            }
            None => there.push(phone),
        }
    }
    drop(tx);
    let rebooted: Vec<String> = there.iter().filter_map(|phone| shown(phone.number)).collect();
    let mut notification = None;
    if !there.is_empty() {
        let run = New {
            kind: Kind::Reboot,
            reason: "all of them".to_owned(),
            phones: there.iter().map(|phone| (phone.mac, String::new())).collect(),
            wave_size: WaveSize::default(),
            pause: Pause::default(),
        };
        let mut change = by.change().await?;
        notification = Some(super::begin(&mut change, &by.state().vault, &run).await?);
        change.commit().await?;
    }
    let message = match there.len() {
        0 => "No phone is registered".to_owned(),
        1 => "1 phone is told to restart".to_owned(),
        many => format!("{many} phones are told to restart, 50 every 10 seconds"),
    };
    let (success_count, failed_count) = (there.len(), failed.len());
    let success = success_count > 0;
    api::json(
        StatusCode::OK,
        &Rebooted { success, message, rebooted, failed, success_count, failed_count, notification },
    )
}

/// What came of telling one phone to restart.
#[derive(Serialize, ToSchema)]
pub struct RebootedOne {
    /// True.
    pub success: bool,
    /// A sentence.
    pub message: String,
}

/// Tells the phone that has an extension to restart; 400 when it is not registered.
#[utoipa::path(post, path = "/api/v1/phones/{extension}/reboot", operation_id = "rebootPhone", tag = "Registrations",
    params(("extension" = String, Path)),
    responses((status = 200, body = RebootedOne), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn reboot_one(
    by: Operator,
    extension: web::Path<String>,
    asterisk: web::Data<Asterisk>,
) -> Answer {
    let number: ExtensionNumber = extension.parse().map_err(|_| Problem::not_found("extension"))?;
    let mac = queries::phone_of(&mut by.read().await?, by.tenant(), number).await?;
    let mac = mac.ok_or_else(|| Problem::not_found("phone with this extension"))?;
    let run = New {
        kind: Kind::Reboot,
        reason: String::new(),
        phones: vec![(mac, String::new())],
        wave_size: WaveSize::default(),
        pause: Pause::default(),
    };
    let mut change = by.change().await?;
    let id = super::begin(&mut change, &by.state().vault, &run).await?;
    change.commit().await?;
    tell_now(by.state(), &asterisk, by.tenant(), id).await?;
    let first = Page { offset: 0, limit: 1 };
    let told = super::phones(&mut by.read().await?, by.tenant(), id, first).await?.pop();
    match told {
        Some(told) if told.state == PhoneState::Failed => Err(Problem::bad_request(told.error)),
        Some(told) if told.state == PhoneState::Sent => {
            let message = format!("Phone {number} was told to restart");
            api::json(StatusCode::OK, &RebootedOne { success: true, message })
        }
        _ => {
            let run = super::get(&mut by.read().await?, by.tenant(), id).await?;
            let why = run.map(|run| run.error).filter(|why| !why.is_empty());
            let message = why.unwrap_or_else(|| "the phone is about to be told".to_owned());
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, message))
        }
    }
}

/// What of the interface is described here.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    list_notifications,
    create_notification,
    get_notification,
    stop_notification,
    reboot_all,
    reboot_one
))]
pub struct Paths;
