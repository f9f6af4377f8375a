//! The pages of contacts.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::types::{Contact, ContactName, Spec};
use super::{Refusal, import};
use crate::audit::Page;
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::id::ContactId;
use crate::phones::Dialled;
use crate::web::form::{Field, Form, Tick};
use crate::web::list::{self, Pager};
use crate::web::sheet::{Import, ImportView, Spool, Upload};
use crate::web::{
    Answer, Error, Shell, csv, download, flash, fragment, invalid, ok, respond, see_other,
};

const LIST: &str = "/phones/contacts";
/// Bytes an imported file may have.
const IMPORT_LIMIT: usize = 8 << 20;

/// Every page of contacts.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Page(Right::Read), Access::Page(Right::ManagePhones));
    vec![
        Route::get("/phones/contacts", read, index),
        Route::get("/phones/contacts/table", read, table),
        Route::get("/phones/contacts.csv", read, export),
        Route::get("/phones/contacts/new", manage, new),
        Route::post("/phones/contacts", manage, create),
        Route::get("/phones/contacts/import", manage, import_page),
        Route::post("/phones/contacts/import", manage, import)
            .limit(IMPORT_LIMIT)
            .uploads(IMPORT_LIMIT),
        Route::post("/phones/contacts/deletion", manage, delete),
        Route::get("/phones/contacts/{id}/edit", manage, edit),
        Route::post("/phones/contacts/{id}", manage, update),
    ]
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    q: String,
    size: String,
    page: String,
}

#[derive(Template)]
#[template(path = "phones/contacts/index.html", blocks = ["table"])]
struct IndexPage {
    shell: Shell,
    query: ListQuery,
    contacts: Vec<Contact>,
    pager: Pager,
    may_manage: bool,
}

impl IndexPage {
    async fn new(by: &Operator, query: ListQuery) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let at = list::stretch(&query.page, list::size(&query.size));
        let search = query.q.trim().to_owned();
        let (contacts, total) = super::list(&mut tx, by.tenant(), &search, at).await?;
        Ok(Self {
            shell: by.shell(&mut tx, LIST).await?,
            pager: Pager::new(LIST, vec![("q", search)], at, total),
            may_manage: by.may(Right::ManagePhones),
            query,
            contacts,
        })
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
    let everything = Page { offset: 0, limit: i64::MAX };
    let mut tx = by.read().await?;
    let (contacts, _) = super::list(&mut tx, by.tenant(), query.q.trim(), everything).await?;
    let rows = contacts
        .into_iter()
        .map(|contact| vec![contact.name.to_string(), contact.number.0.to_string()]);
    let bytes = csv::write(&["name", "number"], rows)
        .map_err(|error| Error::Io(std::io::Error::other(error)))?;
    Ok(download("contacts.csv", "text/csv; charset=utf-8", bytes))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContactForm {
    name: Field,
    number: Field,
    version: i64,
}

impl ContactForm {
    fn parse(&mut self) -> Option<Spec> {
        let (name, number) = (self.name.parse::<ContactName>(), self.number.parse::<Dialled>());
        Some(Spec { name: name?, number: number? })
    }
}

#[derive(Template)]
#[template(path = "phones/contacts/form.html")]
struct FormPage {
    shell: Shell,
    /// None for one to be added.
    id: Option<ContactId>,
    form: ContactForm,
    /// What somebody else made of it meanwhile.
    theirs: Option<Contact>,
}

impl FormPage {
    async fn new(by: &Operator, id: Option<ContactId>, form: ContactForm) -> Result<Self, Error> {
        let shell = by.shell(&mut by.read().await?, LIST).await?;
        Ok(Self { shell, id, form, theirs: None })
    }
}

async fn new(by: Operator) -> Answer {
    ok(&FormPage::new(&by, None, ContactForm::default()).await?)
}

async fn create(by: Operator, form: Form<ContactForm>) -> Answer {
    let mut form = form.0;
    let Some(spec) = form.parse() else { return invalid(&FormPage::new(&by, None, form).await?) };
    let mut change = by.change().await?;
    match super::create(&mut change, &by.state().vault, &spec).await {
        Ok(contact) => {
            change.commit().await?;
            Ok(flash::done(LIST, format!("{} added", contact.name)))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            drop(change);
            form.name.reject(&refusal);
            invalid(&FormPage::new(&by, None, form).await?)
        }
    }
}

async fn edit(by: Operator, id: web::Path<ContactId>) -> Answer {
    let contact = super::get(&mut by.read().await?, by.tenant(), *id).await?;
    let contact = contact.ok_or(Error::NotFound)?;
    let form = ContactForm {
        name: Field::holding(&contact.name),
        number: Field::holding(&contact.number.0),
        version: contact.version,
    };
    ok(&FormPage::new(&by, Some(*id), form).await?)
}

async fn update(by: Operator, id: web::Path<ContactId>, form: Form<ContactForm>) -> Answer {
    let mut form = form.0;
    let Some(spec) = form.parse() else {
        super::get(&mut by.read().await?, by.tenant(), *id).await?.ok_or(Error::NotFound)?;
        return invalid(&FormPage::new(&by, Some(*id), form).await?);
    };
    let mut change = by.change().await?;
    match super::update(&mut change, *id, Some(form.version), &spec).await {
        Ok(_) => {
            let changed = change.commit_if_any().await?;
            Ok(flash::done_if(changed, LIST, "Saved"))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing) => Err(Error::NotFound),
        Err(Refusal::Stale(theirs)) => {
            drop(change);
            form.version = theirs.version;
            let mut page = FormPage::new(&by, Some(*id), form).await?;
            page.theirs = Some(*theirs);
            respond(StatusCode::PRECONDITION_FAILED, &page)
        }
        Err(refusal) => {
            drop(change);
            form.name.reject(&refusal);
            invalid(&FormPage::new(&by, Some(*id), form).await?)
        }
    }
}

#[derive(Template)]
#[template(path = "phones/contacts/deletion.html")]
struct DeletionPage {
    shell: Shell,
    contacts: Vec<Contact>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeletionForm {
    id: Vec<String>,
    confirmed: Tick,
}

/// Deletes one contact or many: first shows which, and only when confirmed does it.
async fn delete(by: Operator, form: Form<DeletionForm>) -> Answer {
    let ids: Result<Vec<ContactId>, _> = form.0.id.iter().map(|id| id.parse()).collect();
    let mut ids = ids.map_err(|_| Error::BadRequest("choose contacts from the list"))?;
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(see_other(LIST));
    }
    if !form.0.confirmed.0 {
        let mut tx = by.read().await?;
        let mut contacts = Vec::new();
        for id in ids {
            contacts.extend(super::get(&mut tx, by.tenant(), id).await?);
        }
        let shell = by.shell(&mut tx, LIST).await?;
        return ok(&DeletionPage { shell, contacts });
    }
    let mut change = by.change().await?;
    let mut deleted = 0;
    for id in ids {
        match super::delete(&mut change, id).await {
            Ok(_) => deleted += 1,
            // Gone already is as good.
            Err(Refusal::Missing) => {}
            Err(Refusal::Fault(error)) => return Err(error),
            Err(refusal) => {
                return Err(Error::Database(sqlx::Error::Protocol(refusal.to_string())));
            }
        }
    }
    let changed = change.commit_if_any().await?;
    let said = if deleted == 1 { "Deleted".to_owned() } else { format!("{deleted} deleted") };
    Ok(flash::done_if(changed, LIST, &said))
}

#[derive(Template)]
#[template(path = "phones/contacts/import.html")]
struct ImportPage {
    shell: Shell,
    view: ImportView,
}

const IMPORT: Import = Import {
    action: "/phones/contacts/import",
    list: LIST,
    one: "contact",
    many: "contacts",
    columns: "name and number",
    example: "name,number\nTaxi,+351210000000",
    changes: false,
};

async fn import_answer(by: &Operator, view: ImportView) -> Answer {
    let shell = by.shell(&mut by.read().await?, LIST).await?;
    let status = view.status();
    respond(status, &ImportPage { shell, view })
}

async fn import_page(by: Operator) -> Answer {
    import_answer(&by, ImportView::new(IMPORT)).await
}

async fn import(by: Operator, mut upload: Upload) -> Answer {
    let spool = Spool::of(by.state());
    let Some(source) = upload.source(&spool, by.id())? else {
        return import_answer(&by, ImportView::gone(IMPORT)).await;
    };
    let sheet = source.open().await;
    let mut change = by.long_change().await?;
    let report = import::run(&mut change, &by.state().vault, sheet).await?;
    let mut view = ImportView::checked(IMPORT, report, upload.is_confirmed());
    if view.done {
        change.commit().await?;
    } else {
        drop(change);
    }
    view.keep(source, &spool, by.id())?;
    import_answer(&by, view).await
}
