//! The pages on which administrators keep operators and API tokens.

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::access::{Access, Route};
use super::types::{Account, OperatorName, Right, Role, Token, TokenLabel};
use super::{Operator, OperatorError, queries};
use crate::id::{OperatorId, TokenId};
use crate::time::Timestamp;
use crate::web::form::{Field, Form, Tick};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond};
use actix_web::http::StatusCode;

pub(super) fn routes() -> Vec<Route> {
    let admin = Access::Page(Right::Administer);
    vec![
        Route::get("/settings/operators", admin, operators),
        Route::post("/settings/operators", admin, add_operator),
        Route::post("/settings/operators/{id}", admin, change_operator),
        Route::post("/settings/operators/{id}/invitation", admin, invite_operator),
        Route::get("/settings/tokens", admin, tokens),
        Route::post("/settings/tokens", admin, add_token),
        Route::post("/settings/tokens/{id}/revocation", admin, revoke_token),
    ]
}

#[derive(Template)]
#[template(path = "auth/operators.html")]
struct OperatorsPage {
    shell: Shell,
    accounts: Vec<Account>,
    form: OperatorForm,
    /// A link to hand to somebody, and their name.
    invitation: Option<(String, String)>,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OperatorForm {
    name: Field,
    role: Field,
}

impl OperatorsPage {
    async fn new(by: &Operator) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let accounts = queries::accounts(&mut tx, by.tenant()).await?;
        let shell = by.shell(&mut tx, "/settings").await?;
        let form =
            OperatorForm { role: Field::holding(&Role::Helpdesk), ..OperatorForm::default() };
        Ok(Self { shell, accounts, form, invitation: None, error: None })
    }
}

async fn operators(by: Operator) -> Answer {
    ok(&OperatorsPage::new(&by).await?)
}

async fn add_operator(by: Operator, form: Form<OperatorForm>) -> Answer {
    let mut form = form.0;
    let (name, role) = (form.name.parse::<OperatorName>(), form.role.parse::<Role>());
    let (Some(name), Some(role)) = (name, role) else {
        return invalid(&OperatorsPage { form, ..OperatorsPage::new(&by).await? });
    };
    let vault = &by.state().vault;
    let mut change = by.change().await?;
    let created = super::create(&mut change, vault, by.tenant(), &name, role).await;
    match created {
        Ok(id) => {
            let token = super::invite(&mut change, vault, id).await.map_err(fault)?;
            change.commit().await?;
            let invitation = Some((link(&by, &token), name.to_string()));
            ok(&OperatorsPage { invitation, ..OperatorsPage::new(&by).await? })
        }
        Err(OperatorError::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(change);
            form.name.reject(&refusal);
            invalid(&OperatorsPage { form, ..OperatorsPage::new(&by).await? })
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ChangeForm {
    role: Field,
    disabled: Tick,
}

async fn change_operator(
    by: Operator,
    id: web::Path<OperatorId>,
    form: Form<ChangeForm>,
) -> Answer {
    let ChangeForm { mut role, disabled } = form.0;
    let Some(role) = role.parse::<Role>() else { return Err(Error::BadRequest("choose a role")) };
    let mut change = by.change().await?;
    match super::modify(&mut change, *id, role, disabled.0).await {
        Ok(()) => {
            let changed = change.commit_if_any().await?;
            Ok(flash::done_if(changed, "/settings/operators", "Saved"))
        }
        Err(OperatorError::Missing) => Err(Error::NotFound),
        Err(OperatorError::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(change);
            let page = OperatorsPage {
                error: Some(refusal.to_string()),
                ..OperatorsPage::new(&by).await?
            };
            respond(StatusCode::CONFLICT, &page)
        }
    }
}

async fn invite_operator(by: Operator, id: web::Path<OperatorId>) -> Answer {
    let mut change = by.change().await?;
    let tenant = by.tenant();
    let account = queries::account(change.tx(), tenant, *id).await?.ok_or(Error::NotFound)?;
    let token = super::invite(&mut change, &by.state().vault, *id).await.map_err(fault)?;
    change.record(crate::audit::Event::new("operator.invited", &account.name, &account.id));
    change.commit().await?;
    let invitation = Some((link(&by, &token), account.name.to_string()));
    ok(&OperatorsPage { invitation, ..OperatorsPage::new(&by).await? })
}

fn link(by: &Operator, token: &str) -> String {
    format!("{}/welcome/{token}", by.state().public_url)
}

fn fault(error: OperatorError) -> Error {
    match error {
        OperatorError::Fault(error) => error,
        _ => Error::NotFound,
    }
}

#[derive(Template)]
#[template(path = "auth/tokens.html")]
struct TokensPage {
    shell: Shell,
    tokens: Vec<Token>,
    accounts: Vec<Account>,
    form: TokenForm,
    issued: Option<String>,
    now: Timestamp,
}

#[derive(Deserialize)]
#[serde(default)]
struct TokenForm {
    label: Field,
    operator: Field,
    role: Field,
    days: Field,
}

impl Default for TokenForm {
    fn default() -> Self {
        Self {
            label: Field::default(),
            operator: Field::default(),
            role: Field::holding(&Role::Operator),
            days: Field::holding(&365),
        }
    }
}

/// How long a token lasts: 1 to 3650 days.
struct Days(i64);

impl std::str::FromStr for Days {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(days @ 1..=3650) => Ok(Self(days)),
            _ => Err("use 1 to 3650 days, or leave it empty for a token that does not end"),
        }
    }
}

impl TokensPage {
    async fn new(by: &Operator) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        Ok(Self {
            tokens: queries::tokens(&mut tx, by.tenant()).await?,
            accounts: queries::accounts(&mut tx, by.tenant()).await?,
            shell: by.shell(&mut tx, "/settings").await?,
            form: TokenForm { operator: Field::holding(by.name()), ..TokenForm::default() },
            issued: None,
            now: by.state().clock.now(),
        })
    }

    fn state(&self, token: &Token) -> &'static str {
        if token.revoked_at.is_some() {
            "revoked"
        } else if token.expires_at.is_some_and(|at| at <= self.now) {
            "expired"
        } else {
            "works"
        }
    }
}

async fn tokens(by: Operator) -> Answer {
    ok(&TokensPage::new(&by).await?)
}

async fn add_token(by: Operator, form: Form<TokenForm>) -> Answer {
    let mut form = form.0;
    let label = form.label.parse::<TokenLabel>();
    let owner = form.operator.parse::<OperatorName>();
    let role = form.role.parse::<Role>();
    let days = form.days.parse_optional::<Days>();
    let (Some(label), Some(owner), Some(role), Some(days)) = (label, owner, role, days) else {
        return invalid(&TokensPage { form, ..TokensPage::new(&by).await? });
    };
    let mut change = by.change().await?;
    let expires = days.map(|days| change.at().plus(days.0 * 24 * 60 * 60));
    match super::issue_token(&mut change, &by.state().vault, &owner, &label, role, expires).await {
        Ok(token) => {
            change.commit().await?;
            ok(&TokensPage { issued: Some(token), ..TokensPage::new(&by).await? })
        }
        Err(OperatorError::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(change);
            form.operator.reject(&refusal);
            invalid(&TokensPage { form, ..TokensPage::new(&by).await? })
        }
    }
}

async fn revoke_token(by: Operator, id: web::Path<TokenId>) -> Answer {
    let mut change = by.change().await?;
    if !super::revoke_token(&mut change, *id).await? {
        return Err(Error::NotFound);
    }
    change.commit().await?;
    Ok(flash::done("/settings/tokens", "Token revoked"))
}
