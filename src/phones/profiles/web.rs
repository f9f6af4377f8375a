//! The pages of profiles.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;

use super::types::{Profile, ProfileName, Scope, Spec};
use super::{Refusal, all, create as make, delete as remove, get, under_profile, update as change};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::ProfileId;
use crate::models::{Model, Vendor};
use crate::phones::layer_form::{self, SettingField, meaning};
use crate::phones::list::sites;
use crate::phones::settings::{Layer, Setting};
use crate::text::Line;
use crate::web::form::{Field, Form};
use crate::web::{Answer, Error, Shell, flash, ok, respond};

/// The list's address.
const LIST: &str = "/phones/profiles";

/// Every page of profiles.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Page(Right::Read), Access::Page(Right::ManagePhones));
    vec![
        Route::get("/phones/profiles", read, index),
        Route::get("/phones/profiles/new", manage, new),
        Route::post("/phones/profiles", manage, create),
        Route::get("/phones/profiles/{id}", read, show),
        Route::post("/phones/profiles/{id}", manage, update),
        Route::post("/phones/profiles/{id}/deletion", manage, delete),
    ]
}

#[derive(Template)]
#[template(path = "phones/profiles.html")]
struct IndexPage {
    shell: Shell,
    /// Each with how many phones it lies under.
    profiles: Vec<(Profile, i64)>,
    may_manage: bool,
}

impl IndexPage {
    /// What a profile says, as people read it.
    fn says(&self, layer: &Layer) -> Vec<(&'static str, String)> {
        let known = layer.iter().filter_map(|(key, value)| Some((Setting::find(key).ok()?, value)));
        known.map(|(setting, value)| (setting.title, meaning(setting, value))).collect()
    }
}

async fn index(by: Operator) -> Answer {
    let mut tx = by.read().await?;
    let uses = super::uses(&mut tx, by.tenant()).await?;
    let profiles = all(&mut tx, by.tenant()).await?.into_iter().map(|profile| {
        let uses = uses.get(&profile.id.to_string()).copied().unwrap_or(0);
        (profile, uses)
    });
    ok(&IndexPage {
        profiles: profiles.collect(),
        shell: by.shell(&mut tx, "/phones").await?,
        may_manage: by.may(Right::ManagePhones),
    })
}

#[derive(Default)]
struct ProfileForm {
    name: Field,
    scope: Field,
    site: Field,
    model: Field,
    version: i64,
}

impl ProfileForm {
    fn of(profile: &Profile) -> Self {
        let spec = &profile.spec;
        let (site, model) = match &spec.scope {
            Scope::Site(site) => (Field::holding(site), Field::default()),
            Scope::Model(model) => (Field::default(), Field::holding(&model.key())),
            Scope::Tenant | Scope::Chosen => Default::default(),
        };
        Self {
            name: Field::holding(&spec.name),
            scope: Field::holding(&spec.scope.as_str()),
            site,
            model,
            version: profile.version,
        }
    }

    fn sent(sent: &[(String, String)]) -> Self {
        let text = |name: &str| {
            let found = sent.iter().find(|(known, _)| known == name);
            Field::from(found.map(|(_, text)| text.clone()).unwrap_or_default())
        };
        Self {
            name: text("name"),
            scope: text("scope"),
            site: text("site"),
            model: text("model"),
            version: text("version").value.parse().unwrap_or(0),
        }
    }

    fn parse(&mut self) -> Option<(ProfileName, Scope)> {
        let name = self.name.parse::<ProfileName>();
        let scope = match self.scope.value.as_str() {
            "tenant" => Some(Scope::Tenant),
            "chosen" => Some(Scope::Chosen),
            "site" => self.site.parse::<Line<60>>().map(Scope::Site),
            "model" => {
                let text = self.model.value.clone();
                let (vendor, name) = text.split_once('/').unwrap_or((&text, ""));
                let model = vendor.parse::<Vendor>().ok();
                let model = model.and_then(|vendor| Model::find(vendor, name).ok());
                if model.is_none() {
                    self.model.reject(&"choose a model");
                }
                model.map(Scope::Model)
            }
            _ => {
                self.scope.reject(&"choose whose settings these are");
                None
            }
        };
        Some((name?, scope?))
    }

    fn reject(&mut self, refusal: &Refusal) {
        match refusal.field() {
            Some("name") => self.name.reject(refusal),
            Some("site") => self.site.reject(refusal),
            _ => self.scope.reject(refusal),
        }
    }
}

#[derive(Template)]
#[template(path = "phones/profile.html")]
struct ProfilePage {
    shell: Shell,
    id: Option<ProfileId>,
    form: ProfileForm,
    fields: Vec<SettingField>,
    sites: Vec<String>,
    makes: Vec<(Vendor, Vec<&'static Model>)>,
    /// How many phones it lies under.
    uses: i64,
    stale: bool,
    may_manage: bool,
}

async fn page(
    by: &Operator,
    status: StatusCode,
    id: Option<ProfileId>,
    form: ProfileForm,
    fields: Vec<SettingField>,
    stale: bool,
) -> Answer {
    let mut tx = by.read().await?;
    let uses = match id {
        Some(id) => super::uses(&mut tx, by.tenant()).await?.get(&id.to_string()).copied(),
        None => None,
    };
    let makes = Vendor::ALL.into_iter().map(|vendor| (vendor, vendor.models().collect()));
    let page = ProfilePage {
        shell: by.shell(&mut tx, "/phones").await?,
        sites: sites(&mut tx, &by.state().counted, by.tenant()).await?,
        makes: makes.collect(),
        uses: uses.unwrap_or(0),
        may_manage: by.may(Right::ManagePhones),
        id,
        form,
        fields,
        stale,
    };
    respond(status, &page)
}

async fn new(by: Operator) -> Answer {
    let form = ProfileForm { scope: Field::holding(&"chosen"), ..ProfileForm::default() };
    let fields = layer_form::fields(&Layer::new(), &under_profile());
    page(&by, StatusCode::OK, None, form, fields, false).await
}

async fn find(by: &Operator, id: ProfileId) -> Result<Profile, Error> {
    get(&mut by.read().await?, by.tenant(), id).await?.ok_or(Error::NotFound)
}

async fn show(by: Operator, id: web::Path<ProfileId>) -> Answer {
    let profile = find(&by, *id).await?;
    let fields = layer_form::fields(&profile.spec.settings, &under_profile());
    page(&by, StatusCode::OK, Some(*id), ProfileForm::of(&profile), fields, false).await
}

/// What was sent, if all of it was understood.
fn understood(
    form: &mut ProfileForm,
    fields: &mut [SettingField],
    sent: &[(String, String)],
) -> Option<Spec> {
    let (parsed, said) = (form.parse(), layer_form::parse(fields, sent));
    let ((name, scope), said) = (parsed?, said?);
    Some(Spec { name, scope, settings: layer_form::layer(said) })
}

async fn create(by: Operator, form: Form<Vec<(String, String)>>) -> Answer {
    let sent = form.0;
    let mut form = ProfileForm::sent(&sent);
    let mut fields = layer_form::fields(&Layer::new(), &under_profile());
    let wrong = StatusCode::UNPROCESSABLE_ENTITY;
    let Some(spec) = understood(&mut form, &mut fields, &sent) else {
        return page(&by, wrong, None, form, fields, false).await;
    };
    let mut change = by.change().await?;
    match make(&mut change, &by.state().vault, &spec).await {
        Ok(_) => {
            change.commit().await?;
            Ok(flash::done(LIST, format!("{} added", spec.name)))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(change);
            form.reject(&refusal);
            page(&by, wrong, None, form, fields, false).await
        }
    }
}

async fn update(
    by: Operator,
    id: web::Path<ProfileId>,
    form: Form<Vec<(String, String)>>,
) -> Answer {
    let sent = form.0;
    find(&by, *id).await?;
    let mut form = ProfileForm::sent(&sent);
    let mut fields = layer_form::fields(&Layer::new(), &under_profile());
    let wrong = StatusCode::UNPROCESSABLE_ENTITY;
    let Some(spec) = understood(&mut form, &mut fields, &sent) else {
        return page(&by, wrong, Some(*id), form, fields, false).await;
    };
    let mut tx = by.change().await?;
    match change(&mut tx, *id, Some(form.version), &spec).await {
        Ok(_) => {
            let changed = tx.commit_if_any().await?;
            Ok(flash::done_if(changed, LIST, "Saved"))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing) => Err(Error::NotFound),
        Err(Refusal::Stale(now)) => {
            drop(tx);
            form.version = now.version;
            page(&by, StatusCode::PRECONDITION_FAILED, Some(*id), form, fields, true).await
        }
        Err(refusal) => {
            drop(tx);
            form.reject(&refusal);
            page(&by, wrong, Some(*id), form, fields, false).await
        }
    }
}

async fn delete(by: Operator, id: web::Path<ProfileId>) -> Answer {
    let profile = find(&by, *id).await?;
    let mut change = by.change().await?;
    match remove(&mut change, *id).await {
        Ok(gone) => {
            change.commit().await?;
            Ok(flash::done(LIST, format!("{} deleted", gone.spec.name)))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing) => Err(Error::NotFound),
        Err(refusal) => {
            drop(change);
            let mut form = ProfileForm::of(&profile);
            form.reject(&refusal);
            let fields = layer_form::fields(&profile.spec.settings, &under_profile());
            page(&by, StatusCode::CONFLICT, Some(*id), form, fields, false).await
        }
    }
}
