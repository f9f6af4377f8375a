//! Signing in and out, and choosing a password.

use actix_session::{Session, SessionExt as _};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::access::{Access, Route};
use super::operator::{Operator, request_actor, state_of};
use super::types::{BadPassword, NewPassword, OperatorName, Right, Role};
use super::{OperatorError, SignInError, manage, queries, session};
use crate::audit::{Actor, Via};
use crate::id::{OperatorId, TenantId};
use crate::secrets;
use crate::web::form::{Field, Form, Secret};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond, see_other};

/// Every URL of signing in and of operators.
pub fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::get("/login", Access::Public, sign_in_page),
        Route::post("/login", Access::Public, sign_in),
        Route::post("/logout", Access::Page(Right::Read), sign_out),
        Route::get("/welcome/{token}", Access::Public, welcome_page),
        Route::post("/welcome/{token}", Access::Public, welcome),
        Route::get("/settings/password", Access::Page(Right::Read), password_page),
        Route::post("/settings/password", Access::Page(Right::Read), change_password),
    ];
    routes.extend(manage::routes());
    routes
}

#[derive(Template, Default)]
#[template(path = "auth/login.html")]
struct LoginPage {
    form: LoginForm,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoginForm {
    name: Field,
    password: Secret,
    next: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Next {
    next: String,
}

async fn sign_in_page(request: HttpRequest, next: web::Query<Next>) -> Answer {
    let next = local_path(&next.next);
    if Operator::of_session(&request, &state_of(&request)?).await?.is_some() {
        return Ok(see_other(next));
    }
    ok(&LoginPage {
        form: LoginForm { next: next.to_owned(), ..LoginForm::default() },
        error: None,
    })
}

async fn sign_in(request: HttpRequest, form: Form<LoginForm>) -> Answer {
    let state = state_of(&request)?;
    let mut form = form.0;
    let actor = request_actor(&request, Via::Browser);
    let password = std::mem::take(&mut form.password).value;
    match super::sign_in(&state, &form.name.value, password, &actor).await {
        Ok(id) => {
            begin(&request.get_session(), &state, id)?;
            Ok(see_other(local_path(&form.next)))
        }
        Err(SignInError::Fault(error)) => Err(error),
        Err(refusal) => {
            let status = match refusal {
                SignInError::Slow(_) => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            respond(status, &LoginPage { form, error: Some(refusal.to_string()) })
        }
    }
}

/// A new session for whoever proved to be `id`: under a new id, so that one planted before
/// signing in is worth nothing.
fn begin(session: &Session, state: &crate::state::State, id: OperatorId) -> Result<(), Error> {
    session.clear();
    session.renew();
    let csrf = state.vault.entropy().text(43)?;
    let stored = session
        .insert(session::OPERATOR, id.to_string())
        .and_then(|()| session.insert(session::CSRF, csrf));
    stored.map_err(|error| Error::Io(std::io::Error::other(error.to_string())))
}

/// A path of ours to go on to; anything that could lead elsewhere is the first page.
fn local_path(next: &str) -> &str {
    let plain = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(['\\', '\n', '\r', '\t']);
    if plain && !next.starts_with("/log") && next.bytes().all(|byte| byte.is_ascii_graphic()) {
        next
    } else {
        "/"
    }
}

async fn sign_out(request: HttpRequest, _by: Operator) -> HttpResponse {
    request.get_session().purge();
    see_other("/login")
}

#[derive(Template)]
#[template(path = "auth/welcome.html")]
struct WelcomePage {
    form: WelcomeForm,
    /// The name, when the link is somebody's; the first administrator chooses one.
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WelcomeForm {
    name: Field,
    password: Secret,
    again: Secret,
}

/// Whose link it is: the operator's, or the first administrator's to be.
async fn guest(
    state: &crate::state::State,
    token: &str,
) -> Result<(String, Option<(OperatorId, OperatorName, TenantId)>), Error> {
    let hash = secrets::fingerprint(token.as_bytes());
    let mut tx = state.read().await?;
    let Some(owner) = queries::link(&mut tx, &hash, state.clock.now()).await? else {
        return Err(Error::NotFound);
    };
    let Some(id) = owner else { return Ok((hash, None)) };
    drop(tx);
    let identity = queries::identity(&state.db, &id).await?.ok_or(Error::NotFound)?;
    Ok((hash, Some((identity.id, identity.name, identity.tenant_id))))
}

async fn welcome_page(request: HttpRequest, token: web::Path<String>) -> Answer {
    let (_, owner) = guest(&state_of(&request)?, &token).await?;
    ok(&WelcomePage {
        form: WelcomeForm::default(),
        name: owner.map(|(_, name, _)| name.to_string()),
    })
}

async fn welcome(
    request: HttpRequest,
    token: web::Path<String>,
    form: Form<WelcomeForm>,
) -> Answer {
    let state = state_of(&request)?;
    let mut form = form.0;
    let (hash, owner) = guest(&state, &token).await?;
    let known = owner.as_ref().map(|(_, name, _)| name.to_string());
    let name = match &owner {
        Some((_, name, _)) => Some(name.clone()),
        None => form.name.parse::<OperatorName>(),
    };
    let chosen = choose(&mut form.password, &mut form.again, name.as_ref());
    let (Some(name), Some(password)) = (name, chosen) else {
        return invalid(&WelcomePage { form, name: known });
    };
    let tenant = owner.as_ref().map_or(TenantId::DEFAULT, |(_, _, tenant)| *tenant);
    let actor = Actor { name: name.to_string(), tenant, ..request_actor(&request, Via::Browser) };
    let mut change = state.change(&actor).await?;
    if !queries::take_link(change.tx(), &hash).await? {
        return Err(Error::NotFound);
    }
    let id = match owner {
        Some((id, ..)) => id,
        None => {
            match super::create(&mut change, &state.vault, TenantId::DEFAULT, &name, Role::Admin)
                .await
            {
                Ok(id) => id,
                Err(OperatorError::Fault(error)) => return Err(error),
                Err(refusal) => {
                    form.name.reject(&refusal);
                    return invalid(&WelcomePage { form, name: known });
                }
            }
        }
    };
    super::set_password(&mut change, &state.vault, id, &name, password).await?;
    change.commit().await?;
    begin(&request.get_session(), &state, id)?;
    Ok(see_other("/"))
}

/// The password typed twice, if it is the same and good; errors stay beside the fields.
fn choose(
    password: &mut Secret,
    again: &mut Secret,
    name: Option<&OperatorName>,
) -> Option<NewPassword> {
    let (first, second) = (std::mem::take(&mut password.value), std::mem::take(&mut again.value));
    if first != second {
        again.reject(&"the two are not the same");
        return None;
    }
    let chosen: Result<NewPassword, BadPassword> = NewPassword::parse(&first, name?);
    chosen.map_err(|error| password.reject(&error)).ok()
}

#[derive(Template)]
#[template(path = "auth/password.html")]
struct PasswordPage {
    shell: Shell,
    form: PasswordForm,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PasswordForm {
    current: Secret,
    password: Secret,
    again: Secret,
}

async fn password_page(by: Operator) -> Answer {
    let shell = by.shell(&mut by.read().await?, "/settings").await?;
    ok(&PasswordPage { shell, form: PasswordForm::default() })
}

async fn change_password(request: HttpRequest, by: Operator, form: Form<PasswordForm>) -> Answer {
    let mut form = form.0;
    let current = std::mem::take(&mut form.current.value);
    let confirmed =
        super::confirm(by.state(), by.name().as_str(), current, &by.actor().source).await;
    match confirmed {
        Err(SignInError::Fault(error)) => return Err(error),
        Err(SignInError::Slow(seconds)) => return Err(Error::Slow(seconds)),
        Err(SignInError::Wrong) => form.current.reject(&"this is not your password"),
        Ok(()) => {}
    }
    let chosen = choose(&mut form.password, &mut form.again, Some(by.name()));
    let (true, Some(password)) = (form.current.error.is_none(), chosen) else {
        let shell = by.shell(&mut by.read().await?, "/settings").await?;
        return invalid(&PasswordPage { shell, form });
    };
    let mut change = by.change().await?;
    super::set_password(&mut change, &by.state().vault, by.id(), by.name(), password).await?;
    change.commit().await?;
    // Every session ended with the old password; this browser begins a new one.
    begin(&request.get_session(), by.state(), by.id())?;
    Ok(flash::done("/settings", "Password changed; your other sessions have ended"))
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn only_paths_of_ours_are_gone_on_to() {
        assert_eq!(local_path("/users?q=a%20b"), "/users?q=a%20b");
        for bad in [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "",
            "users",
            "/\tx",
            "/logout",
            "javascript:1",
        ] {
            assert_eq!(local_path(bad), "/", "{bad:?}");
        }
    }
}
