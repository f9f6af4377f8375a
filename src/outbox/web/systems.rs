//! How each system is set up.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::nas::NasForm;
use crate::auth::Operator;
use crate::outbox::setup::{
    self, BadKeyText, DhcpSetup, Edit, FilterName, KeyText, NetboxSetup, RadiusSetup, Refusal,
    Settings, Setup, SuspendBy, UserName,
};
use crate::outbox::trial::{self, Finding};
use crate::outbox::{self, System};
use crate::outside::Key;
use crate::outside::http::{Authorities, BaseUrl, Resolver};
use crate::outside::kea::Place;
use crate::web::form::{Field, Form, Secret, Tick};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond};

/// Where these pages are in the sidebar.
pub(super) const NAV: &str = "/settings";

#[derive(Template)]
#[template(path = "outbox/systems.html")]
struct IndexPage {
    shell: Shell,
    systems: Vec<(System, bool)>,
    waiting: i64,
    dead: i64,
    host: bool,
}

pub async fn index(by: Operator) -> Answer {
    let (mut tx, tenant) = (by.read().await?, by.tenant());
    let mut systems = Vec::new();
    for system in System::ALL {
        systems.push((system, outbox::is_on(&mut tx, tenant, system).await?));
    }
    let (waiting, dead) = outbox::totals(&mut tx, tenant).await?;
    ok(&IndexPage {
        shell: by.shell(&mut tx, NAV).await?,
        systems,
        waiting,
        dead,
        host: by.is_host(),
    })
}

/// A page about one system.
#[derive(Template)]
#[template(path = "outbox/system.html")]
pub(super) struct SystemPage {
    shell: Shell,
    system: System,
    form: SystemForm,
    has_secret: bool,
    nases: Vec<setup::Nas>,
    nas: NasForm,
    findings: Option<Vec<Finding>>,
    error: Option<String>,
}

/// Every field of every system; each has its own.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct SystemForm {
    enabled: Tick,
    version: i64,
    secret: Secret,
    forget: Tick,
    suspend: Field,
    suspended_filter: Field,
    usual_filter: Field,
    v4: Field,
    v6: Field,
    user: Field,
    url: Field,
    authorities: Field,
}

impl SystemForm {
    fn of(setup: &Setup) -> Self {
        fn held<T: ToString>(value: Option<&T>) -> Field {
            value.map(|value| Field::holding(value)).unwrap_or_default()
        }
        let form = Self { enabled: Tick(setup.enabled), version: setup.version, ..Self::default() };
        match &setup.settings {
            Settings::Radius(radius) => Self {
                suspend: Field::holding(&radius.suspend.as_str()),
                suspended_filter: Field::holding(&radius.suspended_filter),
                usual_filter: Field::holding(&radius.usual_filter),
                ..form
            },
            Settings::Dhcp(dhcp) => Self {
                v4: held(dhcp.v4.as_ref()),
                v6: held(dhcp.v6.as_ref()),
                user: Field::holding(&dhcp.user),
                authorities: Field::holding(&dhcp.authorities.as_str()),
                ..form
            },
            Settings::Netbox(netbox) => Self {
                url: held(netbox.url.as_ref()),
                authorities: Field::holding(&netbox.authorities.as_str()),
                ..form
            },
        }
    }

    /// Parses every field before giving up, so that every error shows at once.
    fn parse(&mut self, system: System) -> Option<Edit> {
        let settings = match system {
            System::Radius => {
                let suspend = self.suspend.parse::<SuspendBy>();
                let suspended = self.suspended_filter.parse::<FilterName>();
                let usual = self.usual_filter.parse::<FilterName>();
                (|| {
                    Some(Settings::Radius(RadiusSetup {
                        suspend: suspend?,
                        suspended_filter: suspended?,
                        usual_filter: usual?,
                    }))
                })()
            }
            System::Dhcp => {
                let v4 = self.v4.parse_optional::<Place>();
                let v6 = self.v6.parse_optional::<Place>();
                let user = self.user.parse::<UserName>();
                let authorities = self.authorities.parse::<Authorities>();
                (|| {
                    Some(Settings::Dhcp(DhcpSetup {
                        v4: v4?,
                        v6: v6?,
                        user: user?,
                        authorities: authorities?,
                    }))
                })()
            }
            System::Netbox => {
                let url = self.url.parse_optional::<BaseUrl>();
                let authorities = self.authorities.parse::<Authorities>();
                (|| Some(Settings::Netbox(NetboxSetup { url: url?, authorities: authorities? })))()
            }
        };
        let secret = self.secret();
        Some(Edit { enabled: self.enabled.0, settings: settings?, secret: secret.ok()? })
    }

    /// The secret typed: nothing typed leaves the one there is.
    fn secret(&mut self) -> Result<Option<Key>, BadKeyText> {
        if self.forget.0 {
            return Ok(Some(Key::default()));
        }
        if self.secret.value.is_empty() {
            return Ok(None);
        }
        let typed = self.secret.value.parse::<KeyText>();
        typed.map(|text| Some(text.key())).inspect_err(|error| self.secret.reject(error))
    }

    /// Puts what is missing beside its field.
    fn reject(&mut self, field: &str, error: &str) {
        match field {
            "suspended_filter" => self.suspended_filter.reject(&error),
            "v4" => self.v4.reject(&error),
            "url" => self.url.reject(&error),
            _ => self.secret.reject(&error),
        }
    }
}

impl SystemPage {
    pub(super) async fn new(by: &Operator, system: System) -> Result<Self, Error> {
        let (mut tx, tenant) = (by.read().await?, by.tenant());
        let setup = setup::get(&mut tx, tenant, system).await?;
        let nases = if system == System::Radius {
            setup::nases(&mut tx, tenant).await?
        } else {
            Vec::new()
        };
        Ok(Self {
            shell: by.shell(&mut tx, NAV).await?,
            system,
            form: SystemForm::of(&setup),
            has_secret: setup.has_secret,
            nas: NasForm::new(nases.is_empty()),
            nases,
            findings: None,
            error: None,
        })
    }

    /// As it was, with a NAS that could not be added.
    pub(super) fn refusing(self, nas: NasForm) -> Self {
        Self { nas, ..self }
    }

    fn path(&self) -> String {
        format!("/settings/outside/{}", self.system)
    }
}

pub async fn radius(by: Operator) -> Answer {
    ok(&SystemPage::new(&by, System::Radius).await?)
}

pub async fn dhcp(by: Operator) -> Answer {
    ok(&SystemPage::new(&by, System::Dhcp).await?)
}

pub async fn netbox(by: Operator) -> Answer {
    ok(&SystemPage::new(&by, System::Netbox).await?)
}

pub async fn save_radius(by: Operator, form: Form<SystemForm>) -> Answer {
    save(&by, System::Radius, form.0).await
}

pub async fn save_dhcp(by: Operator, form: Form<SystemForm>) -> Answer {
    save(&by, System::Dhcp, form.0).await
}

pub async fn save_netbox(by: Operator, form: Form<SystemForm>) -> Answer {
    save(&by, System::Netbox, form.0).await
}

async fn save(by: &Operator, system: System, mut form: SystemForm) -> Answer {
    let Some(edit) = form.parse(system) else {
        return invalid(&SystemPage { form, ..SystemPage::new(by, system).await? });
    };
    let mut change = by.change().await?;
    match setup::configure(&mut change, &by.state().vault, form.version, &edit).await {
        Ok(()) => {
            let changed = change.commit_if_any().await?;
            Ok(flash::done_if(changed, &format!("/settings/outside/{system}"), "Saved"))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal @ Refusal::Stale) => {
            drop(change);
            let page = SystemPage::new(by, system).await?;
            respond(
                StatusCode::PRECONDITION_FAILED,
                &SystemPage { error: Some(refusal.to_string()), ..page },
            )
        }
        Err(refusal) => {
            drop(change);
            let page = SystemPage::new(by, system).await?;
            match refusal {
                Refusal::Needs(field, why) if field != "enabled" => {
                    form.reject(field, why);
                    invalid(&SystemPage { form, ..page })
                }
                other => invalid(&SystemPage { form, error: Some(other.to_string()), ..page }),
            }
        }
    }
}

/// Speaks to the system as it is saved, and says how that went.
pub async fn test(by: Operator, system: web::Path<String>) -> Answer {
    let system: System = system.parse().map_err(|_| Error::NotFound)?;
    let findings = trial::system(by.state(), by.tenant(), system, &Resolver::system()).await?;
    ok(&SystemPage { findings: Some(findings), ..SystemPage::new(&by, system).await? })
}
