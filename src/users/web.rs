//! The pages of users.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::Refusal;
use super::import;
use super::lines::Rings;
use super::types::{Edit, Email, Filter, NewUser, PersonName, SipSecret, User};
use crate::audit::{self, Page, Record};
use crate::auth::access::{Access, Route};
use crate::auth::{self, Operator, Right, SignInError};
use crate::db::Tx;
use crate::id::UserId;
use crate::numbering::{ExtensionNumber, ExtensionRange};
use crate::tenants;
use crate::web::form::{Field, Form, Secret, Tick};
use crate::web::list::{self, Pager};
use crate::web::sheet::{Import, ImportView, Spool, Upload};
use crate::web::{
    Answer, Error, Shell, csv, download, flash, fragment, invalid, ok, respond, see_other,
};

/// Bytes an imported file may have.
const IMPORT_LIMIT: usize = 8 << 20;

/// Every page of users.
pub fn routes() -> Vec<Route> {
    let (read, edit, manage) = (
        Access::Page(Right::Read),
        Access::Page(Right::EditUsers),
        Access::Page(Right::ManageUsers),
    );
    vec![
        Route::get("/users", read, index),
        Route::get("/users/table", read, table),
        Route::get("/users.csv", read, export),
        Route::get("/users/new", manage, new),
        Route::post("/users", manage, create),
        Route::get("/users/import", manage, import_page),
        Route::post("/users/import", manage, import).limit(IMPORT_LIMIT).uploads(IMPORT_LIMIT),
        Route::post("/users/deletion", manage, delete),
        Route::get("/users/{id}", read, show),
        Route::get("/users/{id}/edit", edit, edit_page),
        Route::post("/users/{id}", edit, update),
        Route::get("/users/{id}/row", read, row),
        Route::get("/users/{id}/row/edit", edit, row_edit),
        Route::post("/users/{id}/row", edit, row_update),
        Route::post("/users/{id}/enabled", manage, enable),
        Route::post("/users/{id}/secret", edit, rotate),
        Route::post("/users/{id}/secret/reveal", Access::Page(Right::Reveal), reveal),
    ]
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    q: String,
    state: String,
    sort: String,
    size: String,
    page: String,
}

impl ListQuery {
    fn filter(&self) -> Filter {
        let enabled = match self.state.as_str() {
            "enabled" => Some(true),
            "disabled" => Some(false),
            _ => None,
        };
        Filter { search: self.q.trim().to_owned(), enabled }
    }
}

#[derive(Template)]
#[template(path = "users/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    users: Vec<User>,
    pager: Pager,
    total: i64,
    disabled: i64,
    range: ExtensionRange,
    may_edit: bool,
    may_manage: bool,
}

impl IndexPage {
    async fn new(by: &Operator, query: ListQuery) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let (filter, sort) = (query.filter(), list::order(&query.sort)?);
        let at = list::stretch(&query.page, list::size(&query.size));
        let totals = super::totals(&mut tx, &by.state().counted, by.tenant()).await?;
        let (users, matching) =
            super::list(&mut tx, by.tenant(), &filter, sort, at, totals).await?;
        let kept = vec![("q", filter.search), ("state", query.state.clone())];
        Ok(Self {
            shell: by.shell(&mut tx, "/users").await?,
            range: tenants::get(&mut tx, by.tenant()).await?.range(),
            pager: Pager::new("/users", kept, at, matching).in_order(sort),
            may_edit: by.may(Right::EditUsers),
            may_manage: by.may(Right::ManageUsers),
            query,
            users,
            total: totals.all,
            disabled: totals.disabled,
        })
    }

    fn free(&self) -> i64 {
        i64::from(self.range.size()) - self.total
    }
}

async fn index(by: Operator, query: web::Query<ListQuery>) -> Answer {
    ok(&IndexPage::new(&by, query.into_inner()).await?)
}

async fn table(by: Operator, query: web::Query<ListQuery>) -> Answer {
    let page = IndexPage::new(&by, query.into_inner()).await?;
    fragment(&page.as_table(), &page.pager)
}

async fn export(by: Operator, query: web::Query<ListQuery>) -> Answer {
    let mut tx = by.read().await?;
    let (filter, sort) = (query.filter(), list::order(&query.sort)?);
    let users = super::everybody(&mut tx, by.tenant(), &filter, sort).await?;
    Ok(download("users.csv", "text/csv; charset=utf-8", to_csv(users)?))
}

/// Users as CSV, as [`mod@import`] reads them.
pub fn to_csv(users: Vec<User>) -> Result<Vec<u8>, Error> {
    let rows = users.into_iter().map(|user| {
        let state = if user.enabled { "enabled" } else { "disabled" };
        let (name, email) = (user.name.to_string(), user.email.to_string());
        vec![name, email, user.number.to_string(), state.to_owned(), user.created_at.to_string()]
    });
    csv::write(&["name", "email", "extension", "state", "created"], rows)
        .map_err(|error| Error::Io(std::io::Error::other(error)))
}

#[derive(Template)]
#[template(path = "users/new.html")]
struct NewPage {
    shell: Shell,
    range: ExtensionRange,
    form: UserForm,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserForm {
    name: Field,
    email: Field,
    extension: Field,
    version: i64,
}

impl UserForm {
    fn of(user: &User) -> Self {
        Self {
            name: Field::holding(&user.name),
            email: Field::holding(&user.email),
            extension: Field::holding(&user.number),
            version: user.version,
        }
    }

    /// Parses every field before giving up, so that every error shows at once.
    fn parse(&mut self) -> Option<NewUser> {
        let name = self.name.parse::<PersonName>();
        let email = self.email.parse::<Email>();
        let number = self.extension.parse_optional::<ExtensionNumber>();
        Some(NewUser { name: name?, email: email?, number: number? })
    }

    /// Says beside each field what somebody who may only rename must leave as it is. Of a user that
    /// changed meanwhile nothing is said: that comes first.
    fn rename_only(&mut self, user: &User, new: &NewUser) {
        const WHY: &str = "your role may change the name alone; ask an operator";
        if self.version != user.version {
            return;
        }
        if new.email != user.email {
            self.email.reject(&WHY);
        }
        if new.number != Some(user.number) {
            self.extension.reject(&WHY);
        }
    }

    /// Puts a refusal beside the field it is about; false when it is about none.
    fn reject(&mut self, refusal: &Refusal) -> bool {
        match refusal.field() {
            Some("email") => self.email.reject(refusal),
            Some(_) => self.extension.reject(refusal),
            None => return false,
        }
        true
    }
}

impl NewPage {
    async fn new(by: &Operator, form: UserForm) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let range = tenants::get(&mut tx, by.tenant()).await?.range();
        Ok(Self { shell: by.shell(&mut tx, "/users").await?, range, form, error: None })
    }
}

async fn new(by: Operator) -> Answer {
    ok(&NewPage::new(&by, UserForm::default()).await?)
}

async fn create(by: Operator, form: Form<UserForm>) -> Answer {
    let mut form = form.0;
    let Some(new) = form.parse() else { return invalid(&NewPage::new(&by, form).await?) };
    let mut change = by.change().await?;
    match super::create(&mut change, &by.state().vault, &new).await {
        Ok((user, secret)) => {
            change.commit().await?;
            let page = ShowPage::new(&by, user, Shown::Created(secret)).await?;
            respond(StatusCode::CREATED, &page)
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(change);
            let exhausted = matches!(refusal, Refusal::Exhausted(_));
            form.reject(&refusal);
            let page = NewPage::new(&by, form).await?;
            if exhausted { respond(StatusCode::CONFLICT, &page) } else { invalid(&page) }
        }
    }
}

/// What a user's page shows besides the user.
enum Shown {
    Plain,
    Created(SipSecret),
    Rotated(SipSecret),
    Revealed(SipSecret),
    WrongPassword(String),
}

#[derive(Template)]
#[template(path = "users/show.html")]
struct ShowPage {
    shell: Shell,
    user: User,
    /// What the phone signs in as.
    sip_user: String,
    /// Which phone rings for them.
    rings: Option<Rings>,
    shown: Shown,
    history: Vec<Record>,
    may_edit: bool,
    may_manage: bool,
    may_reveal: bool,
    /// Whether they may give somebody a phone.
    may_manage_phones: bool,
}

impl ShowPage {
    async fn new(by: &Operator, user: User, shown: Shown) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let page = Page { offset: 0, limit: 20 };
        let history = audit::of(&mut tx, by.tenant(), &user.id.to_string(), page).await?;
        Ok(Self {
            shell: by.shell(&mut tx, "/users").await?,
            rings: super::lines::rings(&mut tx, by.tenant(), user.id).await?,
            sip_user: tenants::get(&mut tx, by.tenant()).await?.endpoint(user.number),
            may_edit: by.may(Right::EditUsers),
            may_manage: by.may(Right::ManageUsers),
            may_reveal: by.may(Right::Reveal),
            may_manage_phones: by.may(Right::ManagePhones),
            user,
            shown,
            history,
        })
    }

    fn secret(&self) -> Option<&str> {
        match &self.shown {
            Shown::Created(secret) | Shown::Rotated(secret) | Shown::Revealed(secret) => {
                Some(secret.expose())
            }
            Shown::Plain | Shown::WrongPassword(_) => None,
        }
    }
}

async fn find(tx: &mut Tx, by: &Operator, id: UserId) -> Result<User, Error> {
    super::get(tx, by.tenant(), id).await?.ok_or(Error::NotFound)
}

async fn show(by: Operator, id: web::Path<UserId>) -> Answer {
    let user = find(&mut by.read().await?, &by, *id).await?;
    ok(&ShowPage::new(&by, user, Shown::Plain).await?)
}

#[derive(Template)]
#[template(path = "users/edit.html")]
struct EditPage {
    shell: Shell,
    id: UserId,
    form: UserForm,
    /// What somebody else made of the user meanwhile.
    theirs: Option<User>,
    /// Whether more than the name may be changed.
    may_manage: bool,
}

async fn edit_page(by: Operator, id: web::Path<UserId>) -> Answer {
    let mut tx = by.read().await?;
    let user = find(&mut tx, &by, *id).await?;
    let shell = by.shell(&mut tx, "/users").await?;
    let may_manage = by.may(Right::ManageUsers);
    ok(&EditPage { shell, id: *id, form: UserForm::of(&user), theirs: None, may_manage })
}

/// What became of an edit.
enum Edited {
    /// The user, and whether anything was different.
    Done(User, bool),
    Refused(StatusCode, UserForm, Option<User>),
}

async fn apply_edit(by: &Operator, id: UserId, mut form: UserForm) -> Result<Edited, Error> {
    if form.extension.value.is_empty() {
        form.extension.reject(&"enter a number");
    }
    let mut parsed = form.parse();
    if let Some(new) = &parsed
        && !by.may(Right::ManageUsers)
    {
        form.rename_only(&find(&mut by.read().await?, by, id).await?, new);
    }
    parsed = parsed.filter(|_| form.extension.error.is_none() && form.email.error.is_none());
    let Some(NewUser { name, email, number }) = parsed else {
        return Ok(Edited::Refused(StatusCode::UNPROCESSABLE_ENTITY, form, None));
    };
    let edit = Edit { name: Some(name), email: Some(email), number, enabled: None };
    let mut change = by.change().await?;
    match super::edit(&mut change, &by.state().vault, id, Some(form.version), &edit).await {
        Ok(user) => {
            let changed = change.commit_if_any().await?;
            Ok(Edited::Done(user, changed))
        }
        Err(Refusal::Missing) => Err(Error::NotFound),
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Stale(theirs)) => {
            // Saving once more is then meant to overwrite what was shown.
            form.version = theirs.version;
            Ok(Edited::Refused(StatusCode::PRECONDITION_FAILED, form, Some(*theirs)))
        }
        Err(refusal) => {
            form.reject(&refusal);
            Ok(Edited::Refused(StatusCode::UNPROCESSABLE_ENTITY, form, None))
        }
    }
}

async fn update(by: Operator, id: web::Path<UserId>, form: Form<UserForm>) -> Answer {
    match apply_edit(&by, *id, form.0).await? {
        Edited::Done(user, changed) => {
            Ok(flash::done_if(changed, &format!("/users/{}", user.id), "Saved"))
        }
        Edited::Refused(status, form, theirs) => {
            let shell = by.shell(&mut by.read().await?, "/users").await?;
            let may_manage = by.may(Right::ManageUsers);
            respond(status, &EditPage { shell, id: *id, form, theirs, may_manage })
        }
    }
}

/// One row of the list, to be put back where it was.
#[derive(Template)]
#[template(path = "users/row.html")]
struct RowFragment {
    shell: Shell,
    user: User,
    may_edit: bool,
    may_manage: bool,
}

/// One row of the list as a form.
#[derive(Template)]
#[template(path = "users/row_edit.html")]
struct RowEditFragment {
    id: UserId,
    form: UserForm,
    theirs: Option<User>,
    may_manage: bool,
}

fn row_of(by: &Operator, user: User) -> RowFragment {
    let shell = Shell { zone: by.zone().clone(), ..Shell::default() };
    RowFragment {
        shell,
        user,
        may_edit: by.may(Right::EditUsers),
        may_manage: by.may(Right::ManageUsers),
    }
}

async fn row(by: Operator, id: web::Path<UserId>) -> Answer {
    let user = find(&mut by.read().await?, &by, *id).await?;
    ok(&row_of(&by, user))
}

async fn row_edit(by: Operator, id: web::Path<UserId>) -> Answer {
    let user = find(&mut by.read().await?, &by, *id).await?;
    let may_manage = by.may(Right::ManageUsers);
    ok(&RowEditFragment { id: *id, form: UserForm::of(&user), theirs: None, may_manage })
}

async fn row_update(by: Operator, id: web::Path<UserId>, form: Form<UserForm>) -> Answer {
    match apply_edit(&by, *id, form.0).await? {
        Edited::Done(user, _) => ok(&row_of(&by, user)),
        Edited::Refused(status, form, theirs) => respond(
            status,
            &RowEditFragment { id: *id, form, theirs, may_manage: by.may(Right::ManageUsers) },
        ),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EnableForm {
    enabled: Tick,
}

async fn enable(by: Operator, id: web::Path<UserId>, form: Form<EnableForm>) -> Answer {
    let mut change = by.change().await?;
    let edit = Edit { enabled: Some(form.0.enabled.0), ..Edit::default() };
    let user =
        super::edit(&mut change, &by.state().vault, *id, None, &edit).await.map_err(missing)?;
    let changed = change.commit_if_any().await?;
    let said = if user.enabled {
        "Enabled; the phone can register after the next Apply"
    } else {
        "Disabled; the phone stops working at the next Apply"
    };
    Ok(flash::done_if(changed, &format!("/users/{id}"), said))
}

fn missing(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Fault(error) => error,
        _ => Error::NotFound,
    }
}

async fn rotate(by: Operator, id: web::Path<UserId>) -> Answer {
    let mut change = by.change().await?;
    let (user, secret) =
        super::rotate(&mut change, &by.state().vault, *id).await.map_err(missing)?;
    change.commit().await?;
    ok(&ShowPage::new(&by, user, Shown::Rotated(secret)).await?)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RevealForm {
    password: Secret,
}

async fn reveal(by: Operator, id: web::Path<UserId>, form: Form<RevealForm>) -> Answer {
    let user = find(&mut by.read().await?, &by, *id).await?;
    match auth::confirm(by.state(), by.name().as_str(), form.0.password.value, &by.actor().source)
        .await
    {
        Ok(()) => {}
        Err(SignInError::Fault(error)) => return Err(error),
        Err(SignInError::Slow(seconds)) => return Err(Error::Slow(seconds)),
        Err(SignInError::Wrong) => {
            let shown = Shown::WrongPassword("this is not your password".to_owned());
            return invalid(&ShowPage::new(&by, user, shown).await?);
        }
    }
    let mut change = by.change().await?;
    let (user, secret) =
        super::reveal(&mut change, &by.state().vault, *id).await.map_err(missing)?;
    change.commit().await?;
    ok(&ShowPage::new(&by, user, Shown::Revealed(secret)).await?)
}

#[derive(Template)]
#[template(path = "users/deletion.html")]
struct DeletionPage {
    shell: Shell,
    /// Each with the addresses that will be released.
    users: Vec<(User, Vec<String>)>,
    list: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeletionForm {
    id: Vec<String>,
    confirmed: Tick,
    /// The list to go back to, with its filters.
    list: String,
}

impl DeletionPage {
    /// How many addresses will be released.
    fn addresses(&self) -> usize {
        self.users.iter().map(|(_, held)| held.len()).sum()
    }
}

/// Deletes one user or many: first shows whom, and only when confirmed does it.
async fn delete(by: Operator, form: Form<DeletionForm>) -> Answer {
    let ids: Result<Vec<UserId>, _> = form.0.id.iter().map(|id| id.parse::<UserId>()).collect();
    let ids = ids.map_err(|_| Error::BadRequest("choose users from the list"))?;
    let list = list::back(&form.0.list, "/users");
    if ids.is_empty() {
        return Ok(see_other(list));
    }
    if form.0.confirmed.0 {
        return delete_all(&by, ids, list).await;
    }
    let mut tx = by.read().await?;
    let mut users = Vec::new();
    for id in ids {
        if let Some(user) = super::get(&mut tx, by.tenant(), id).await? {
            let held = super::held(&mut tx, by.tenant(), &user).await?;
            users.push((user, held));
        }
    }
    let shell = by.shell(&mut tx, "/users").await?;
    ok(&DeletionPage { shell, users, list: list.to_owned() })
}

async fn delete_all(by: &Operator, mut ids: Vec<UserId>, list: &str) -> Answer {
    ids.sort_unstable();
    ids.dedup();
    let mut change = by.change().await?;
    let mut deleted = Vec::new();
    for id in ids {
        match super::delete(&mut change, &by.state().vault, id).await {
            Ok((user, _)) => deleted.push(user),
            // Gone already is as good.
            Err(Refusal::Missing) => {}
            Err(refusal) => return Err(missing(refusal)),
        }
    }
    change.commit_if_any().await?;
    Ok(match deleted.as_slice() {
        [] => see_other(list),
        [user] => flash::done(list, format!("{} {} deleted", user.number, user.name)),
        many => flash::done(list, format!("{} users deleted", many.len())),
    })
}

#[derive(Template)]
#[template(path = "users/import.html")]
struct ImportPage {
    shell: Shell,
    view: ImportView,
    /// Whom an import added: the name, what the phone signs in as, and the secret.
    added: Vec<(String, String, SipSecret)>,
}

const IMPORT: Import = Import {
    action: "/users/import",
    list: "/users",
    one: "user",
    many: "users",
    columns: "name, email and, if wished, extension",
    example: "name,email,extension\nAnn O'Neil,ann@example.com,\nBob Ray,bob@example.com,1010",
    changes: false,
};

async fn import_answer(by: &Operator, view: ImportView, added: Vec<(User, SipSecret)>) -> Answer {
    let mut tx = by.read().await?;
    let shell = by.shell(&mut tx, "/users").await?;
    let tenant = tenants::get(&mut tx, by.tenant()).await?;
    let row = |(user, secret): (User, SipSecret)| {
        (user.name.to_string(), tenant.endpoint(user.number), secret)
    };
    let added = added.into_iter().map(row).collect();
    respond(view.status(), &ImportPage { shell, view, added })
}

async fn import_page(by: Operator) -> Answer {
    import_answer(&by, ImportView::new(IMPORT), Vec::new()).await
}

async fn import(by: Operator, mut upload: Upload) -> Answer {
    let spool = Spool::of(by.state());
    let Some(source) = upload.source(&spool, by.id())? else {
        return import_answer(&by, ImportView::gone(IMPORT), Vec::new()).await;
    };
    let sheet = source.open().await;
    let mut change = by.long_change().await?;
    let (report, mut added) = import::run(&mut change, &by.state().vault, sheet).await?;
    let mut view = ImportView::checked(IMPORT, report, upload.is_confirmed());
    if view.done {
        change.commit().await?;
    } else {
        drop(change);
        added.clear();
    }
    view.keep(source, &spool, by.id())?;
    import_answer(&by, view, added).await
}
