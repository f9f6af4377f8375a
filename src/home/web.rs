//! The dashboard; `/healthz`, `/readyz`, `/metrics`.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::apply::{Applier, Run};
use crate::audit::{self, Page, Record};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::numbering::ExtensionRange;
use crate::state::State;
use crate::web::{Answer, Shell, assets, ok};
use crate::{phones, tenants, users};

/// The first page and what machines ask.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/", Access::Page(Right::Read), dashboard),
        Route::get("/healthz", Access::Public, healthy),
        Route::get("/readyz", Access::Public, ready),
        Route::get("/metrics", Access::Public, numbers),
        Route::get("/static/{name}", Access::Public, asset),
    ]
}

#[derive(Template)]
#[template(path = "home/index.html")]
struct DashboardPage {
    shell: Shell,
    total: i64,
    disabled: i64,
    phones: phones::Totals,
    range: ExtensionRange,
    pending: i64,
    host: bool,
    may_manage: bool,
    recent: Vec<Record>,
    /// The newest apply, for who may see it.
    newest: Option<Run>,
}

impl DashboardPage {
    fn free(&self) -> i64 {
        i64::from(self.range.size()) - self.total
    }
}

async fn dashboard(by: Operator, applier: web::Data<Applier>) -> Answer {
    let newest = if by.is_host() { applier.newest().await? } else { None };
    let mut tx = by.read().await?;
    let users = users::totals(&mut tx, &by.state().counted, by.tenant()).await?;
    let phones = phones::totals(&mut tx, &by.state().counted, by.tenant()).await?;
    let recent = if by.may(Right::ReadAudit) {
        audit::list(&mut tx, by.tenant(), &audit::Filter::default(), Page { offset: 0, limit: 8 })
            .await?
            .0
    } else {
        Vec::new()
    };
    ok(&DashboardPage {
        shell: by.shell(&mut tx, "/").await?,
        range: tenants::get(&mut tx, by.tenant()).await?.range(),
        pending: if by.is_host() { audit::count_pending(&mut tx, i64::MAX).await? } else { 0 },
        host: by.is_host(),
        may_manage: by.may(Right::ManageUsers),
        total: users.all,
        disabled: users.disabled,
        phones,
        recent,
        newest,
    })
}

/// The process answers.
async fn healthy() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// The database answers.
async fn ready(state: web::Data<State>) -> HttpResponse {
    let answered = async { audit::head(&mut state.read().await?).await }.await;
    match answered {
        Ok(_) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"),
        Err(error) => {
            tracing::error!(error = %error, "not ready");
            let mut answer = HttpResponse::ServiceUnavailable();
            answer.content_type("text/plain; charset=utf-8").body("the database does not answer\n")
        }
    }
}

async fn numbers(handle: web::Data<PrometheusHandle>) -> HttpResponse {
    handle.run_upkeep();
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(handle.render())
}

async fn asset(request: HttpRequest) -> Answer {
    assets::serve(request.path()).ok_or(crate::web::Error::NotFound)
}
