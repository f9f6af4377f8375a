//! The settings page: the tenant's own, and for who runs the installation the other tenants.

use actix_web::http::StatusCode;
use askama::Template;
use serde::Deserialize;

use super::{Settings, Slug, Tenant, TenantError, TenantName};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, OperatorError, OperatorName, Right};
use crate::numbering::{ExtensionNumber, ExtensionRange};
use crate::time::Zone;
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond};

/// Every URL of settings and tenants.
pub fn routes() -> Vec<Route> {
    let host = Access::HostPage(Right::Administer);
    vec![
        Route::get("/settings", Access::Page(Right::Read), show),
        Route::post("/settings", Access::Page(Right::Administer), configure),
        Route::get("/settings/tenants", host, tenants),
        Route::post("/settings/tenants", host, create),
    ]
}

#[derive(Template)]
#[template(path = "tenants/settings.html")]
struct SettingsPage {
    shell: Shell,
    form: SettingsForm,
    admin: bool,
    host: bool,
    error: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct SettingsForm {
    name: Field,
    time_zone: Field,
    first: Field,
    last: Field,
    version: i64,
}

impl SettingsForm {
    fn of(tenant: &Tenant) -> Self {
        Self {
            name: Field::holding(&tenant.name),
            time_zone: Field::holding(&tenant.time_zone),
            first: Field::holding(&tenant.range().first()),
            last: Field::holding(&tenant.range().last()),
            version: tenant.version,
        }
    }

    /// Parses every field before giving up, so that every error shows at once.
    fn parse(&mut self) -> Option<Settings> {
        let name = self.name.parse::<TenantName>();
        let time_zone = self.time_zone.parse::<Zone>();
        let (first, last) =
            (self.first.parse::<ExtensionNumber>(), self.last.parse::<ExtensionNumber>());
        let range =
            ExtensionRange::new(first?, last?).map_err(|error| self.last.reject(&error)).ok();
        Some(Settings { name: name?, time_zone: time_zone?, range: range? })
    }

    fn reject(&mut self, refusal: &TenantError) {
        match refusal {
            TenantError::Strands { .. } => self.last.reject(refusal),
            _ => self.name.reject(refusal),
        }
    }
}

impl SettingsPage {
    async fn new(by: &Operator, form: Option<SettingsForm>) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let tenant = super::get(&mut tx, by.tenant()).await?;
        Ok(Self {
            shell: by.shell(&mut tx, "/settings").await?,
            form: form.unwrap_or_else(|| SettingsForm::of(&tenant)),
            admin: by.may(Right::Administer),
            host: by.is_host(),
            error: None,
        })
    }
}

async fn show(by: Operator) -> Answer {
    ok(&SettingsPage::new(&by, None).await?)
}

async fn configure(by: Operator, form: Form<SettingsForm>) -> Answer {
    let mut form = form.0;
    let Some(new) = form.parse() else {
        return invalid(&SettingsPage::new(&by, Some(form)).await?);
    };
    let mut change = by.change().await?;
    let done = super::configure(&mut change, form.version, &new).await;
    match done {
        Ok(()) => {
            change.commit().await?;
            Ok(flash::done("/settings", "Saved"))
        }
        Err(TenantError::Fault(error)) => Err(error),
        Err(refusal @ TenantError::Stale) => {
            drop(change);
            let page = SettingsPage {
                error: Some(refusal.to_string()),
                ..SettingsPage::new(&by, None).await?
            };
            respond(StatusCode::PRECONDITION_FAILED, &page)
        }
        Err(refusal) => {
            drop(change);
            form.reject(&refusal);
            invalid(&SettingsPage::new(&by, Some(form)).await?)
        }
    }
}

#[derive(Template)]
#[template(path = "tenants/index.html")]
struct TenantsPage {
    shell: Shell,
    tenants: Vec<Tenant>,
    form: TenantForm,
    invitation: Option<(String, String)>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct TenantForm {
    name: Field,
    slug: Field,
    time_zone: Field,
    first: Field,
    last: Field,
    admin: Field,
}

impl TenantsPage {
    async fn new(by: &Operator) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let form = TenantForm {
            time_zone: Field::holding(by.zone()),
            first: Field::holding(&1000),
            last: Field::holding(&1999),
            ..TenantForm::default()
        };
        Ok(Self {
            shell: by.shell(&mut tx, "/settings").await?,
            tenants: super::all(&mut tx).await?,
            form,
            invitation: None,
        })
    }
}

async fn tenants(by: Operator) -> Answer {
    ok(&TenantsPage::new(&by).await?)
}

async fn create(by: Operator, form: Form<TenantForm>) -> Answer {
    let mut form = form.0;
    let (slug, admin) = (form.slug.parse::<Slug>(), form.admin.parse::<OperatorName>());
    let mut settings = SettingsForm {
        name: form.name,
        time_zone: form.time_zone,
        first: form.first,
        last: form.last,
        version: 0,
    };
    let new = settings.parse();
    let typed = |settings: SettingsForm, slug: Field, admin: Field| TenantForm {
        name: settings.name,
        time_zone: settings.time_zone,
        first: settings.first,
        last: settings.last,
        slug,
        admin,
    };
    let (Some(slug), Some(admin), Some(new)) = (slug, admin, new) else {
        let form = typed(settings, form.slug, form.admin);
        return invalid(&TenantsPage { form, ..TenantsPage::new(&by).await? });
    };
    let mut change = by.change().await?;
    match super::create(&mut change, &by.state().vault, &slug, &new, &admin).await {
        Ok(token) => {
            change.commit().await?;
            let link = format!("{}/welcome/{token}", by.state().public_url);
            ok(&TenantsPage {
                invitation: Some((link, admin.to_string())),
                ..TenantsPage::new(&by).await?
            })
        }
        Err(TenantError::Fault(error) | TenantError::Operator(OperatorError::Fault(error))) => {
            Err(error)
        }
        Err(refusal) => {
            drop(change);
            let mut form = typed(settings, form.slug, form.admin);
            match refusal {
                TenantError::SlugTaken(_) => form.slug.reject(&refusal),
                TenantError::Operator(_) => form.admin.reject(&refusal),
                _ => form.name.reject(&refusal),
            }
            invalid(&TenantsPage { form, ..TenantsPage::new(&by).await? })
        }
    }
}
