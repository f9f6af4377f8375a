//! The forms of what can be done with one address: in its row, or as a page of their own.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use super::form::{ActForm, Parsed};
use super::lines::{GapQuery, put_back, slug};
use super::{Act, Rights, by_htmx, named, path, status_of};
use crate::auth::Operator;
use crate::db::Tx;
use crate::ipam::addresses::job::{Job, perform};
use crate::ipam::addresses::places::{self, Person};
use crate::ipam::addresses::{
    Claim, HolderKind, Record, Refusal, Standing, claims_on, label, standing,
};
use crate::ipam::class::Status;
use crate::net::Address;
use crate::text::Line;
use crate::time::{Timestamp, Zone};
use crate::web::form::Form;
use crate::web::{Answer, Error, Shell, flash, respond, see_other};

/// People offered when a name could mean several.
const PEOPLE: i64 = 10;

/// A form, in a row or on a page.
pub(super) struct View {
    address: Address,
    act: Act,
    status: Status,
    record: Option<Record>,
    /// The subnet, as sentences name it.
    place: String,
    form: ActForm,
    people: Vec<Person>,
    claims: Vec<Claim>,
    /// What is wrong with it as a whole.
    error: Option<String>,
    /// What somebody else made of it meanwhile.
    theirs: Option<String>,
    tabs: Vec<Act>,
    /// Put before the names of inputs, to tell the rows apart.
    prefix: String,
    zone: Zone,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
impl View {
    async fn new(
        tx: &mut Tx,
        by: &Operator,
        address: Address,
        act: Act,
        form: ActForm,
    ) -> Result<Self, Error> {
        let standing = standing(tx, by.tenant(), address).await?;
        let claims = claims_on(tx, by.tenant(), address).await?;
        let record = standing.record().cloned();
        Ok(Self {
            address,
            act,
            status: standing.status().unwrap_or(Status::Available),
            place: standing.subnet().map(label).unwrap_or_default(),
            tabs: Rights::of(by).acts(record.as_ref()),
            error: None,
            theirs: None,
            people: Vec::new(),
            prefix: String::new(),
            zone: by.zone().clone(),
            record,
            form,
            claims,
        })
    }

    fn may(&self) -> bool {
        self.tabs.contains(&self.act)
    }

    fn title(&self) -> String {
        let rest = match self.act {
            Act::Allocate => " somebody",
            _ => "",
        };
        let label = self.act.label(self.status);
        match self.act {
            Act::Allocate => format!("Give {} to{rest}", self.address),
            Act::Release if self.status == Status::Quarantine => {
                format!("End the quarantine of {}", self.address)
            }
            _ => format!("{label} {}", self.address),
        }
    }

    fn label(&self, act: &Act) -> &'static str {
        act.label(self.status)
    }

    fn path(&self) -> String {
        path(self.address)
    }

    fn slug(&self) -> String {
        slug(self.address)
    }

    fn to(&self, act: &Act) -> String {
        let gap = &self.form.gap;
        let gap = if gap.is_empty() { String::new() } else { format!("?gap={gap}") };
        format!("{}/{}{gap}", self.path(), act.word())
    }

    fn back(&self) -> String {
        let gap = &self.form.gap;
        let gap = if gap.is_empty() { String::new() } else { format!("?gap={gap}") };
        format!("{}/row{gap}", self.path())
    }

    fn since(&self, at: &Timestamp) -> String {
        at.local(&self.zone)
    }

    /// Whether another fills in what is known of the machine.
    fn of_host(&self) -> bool {
        let holder = self.record.as_ref().and_then(|record| record.holder.as_ref());
        holder.is_some_and(|holder| {
            matches!(holder.kind, HolderKind::Host | HolderKind::Bmc | HolderKind::Phone)
        })
    }

    /// Whether a phone has it, which then has no static address any more.
    fn is_a_phones(&self) -> bool {
        let holder = self.record.as_ref().and_then(|record| record.holder.as_ref());
        holder.is_some_and(|holder| holder.kind == HolderKind::Phone)
    }

    /// Who has it now, for a sentence.
    fn keeper(&self) -> String {
        self.record.as_ref().map(Record::keeper).unwrap_or_default()
    }

    fn refuse(&mut self, refusal: &Refusal) {
        if let Refusal::Stale(now) = refusal {
            let keeper = if now.status == Status::Available {
                String::new()
            } else {
                format!(", {}", now.keeper())
            };
            self.theirs = Some(format!("{}{keeper}", now.status));
            // Doing it once more is then meant for what was shown.
            self.form.stamp = if now.version == 0 { 0 } else { now.stamp() }.to_string();
        } else if !self.form.reject(refusal) {
            self.error = Some(refusal.to_string());
        }
    }
}

#[derive(Template)]
#[template(path = "ipam/addresses/act.html")]
struct ActPage {
    shell: Shell,
    view: View,
}

#[derive(Template)]
#[template(path = "ipam/addresses/row_act.html")]
struct ActRow {
    view: View,
}

/// The form, where it was asked for.
async fn shown(
    request: &HttpRequest,
    by: &Operator,
    tx: &mut Tx,
    status: StatusCode,
    mut view: View,
) -> Answer {
    if by_htmx(request) {
        view.prefix = format!("{}-", view.slug());
        // htmx puts nothing else into the page.
        let swapped = matches!(status, StatusCode::OK | StatusCode::PRECONDITION_FAILED);
        let status = if swapped { status } else { StatusCode::UNPROCESSABLE_ENTITY };
        return respond(status, &ActRow { view });
    }
    respond(status, &ActPage { shell: by.shell(tx, "/ipam/addresses").await?, view })
}

async fn begin(
    request: HttpRequest,
    by: Operator,
    address: web::Path<String>,
    query: web::Query<GapQuery>,
    act: Act,
) -> Answer {
    let address = named(&address)?;
    let mut tx = by.read().await?;
    let mut view = View::new(&mut tx, &by, address, act, ActForm::default()).await?;
    if !view.may() {
        // Somebody was faster: what there is now says why.
        return if by_htmx(&request) {
            put_back(&by, address, query.last()).await
        } else {
            Ok(see_other(&path(address)))
        };
    }
    view.form = ActForm::of(view.record.as_ref(), by.zone());
    view.form.gap = query.last().map(|last| last.to_string()).unwrap_or_default();
    shown(&request, &by, &mut tx, StatusCode::OK, view).await
}

/// What was done, for the next page.
fn said(act: Act, address: Address, before: Status) -> String {
    match (act, before) {
        (Act::Edit, _) => format!("{address} changed"),
        (Act::Reserve, _) => format!("{address} is reserved for you"),
        (Act::Release, Status::Quarantine) => format!("The quarantine of {address} is over"),
        (Act::Release, _) => format!("{address} released"),
        (Act::Quarantine, _) => format!("{address} is in quarantine"),
        (Act::Allocate, _) => format!("{address} is given"),
        (Act::Resolve, _) => format!("{address}: decided"),
    }
}

async fn act(
    request: HttpRequest,
    by: Operator,
    address: web::Path<String>,
    mut form: ActForm,
    act: Act,
) -> Answer {
    let address = named(&address)?;
    let mut tx = by.read().await?;
    let standing = standing(&mut tx, by.tenant(), address).await?;
    let before = standing.status().unwrap_or(Status::Available);
    let Some((job, why)) = parse(&mut tx, &by, &mut form, &standing, act).await? else {
        let people = std::mem::take(&mut form.people);
        let mut view = View::new(&mut tx, &by, address, act, form).await?;
        view.people = people;
        return shown(&request, &by, &mut tx, StatusCode::UNPROCESSABLE_ENTITY, view).await;
    };
    drop(tx);
    match perform(&by, address, form.stamp(act), &job, &why).await {
        Ok(changed) => {
            if by_htmx(&request) {
                return put_back(&by, address, form.gap.parse().ok()).await;
            }
            Ok(flash::done_if(changed, &path(address), &said(act, address, before)))
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(refusal) => {
            let mut tx = by.read().await?;
            let mut view = View::new(&mut tx, &by, address, act, form).await?;
            view.refuse(&refusal);
            shown(&request, &by, &mut tx, status_of(&refusal), view).await
        }
    }
}

async fn parse(
    tx: &mut Tx,
    by: &Operator,
    form: &mut ActForm,
    standing: &Standing,
    act: Act,
) -> Result<Option<(Job, Line<500>)>, Error> {
    let why = form.why.parse::<Line<500>>();
    let job = match form.parse(act, standing.record(), by.zone()) {
        Some(Parsed::Job(job)) => Some(job),
        Some(Parsed::ToUser) => {
            let people = places::people(tx, by.tenant(), &form.holder.value, PEOPLE).await?;
            form.choose(people)
        }
        None => None,
    };
    Ok(job.zip(why))
}

macro_rules! handlers {
    ($($begin:ident, $done:ident, $act:ident;)*) => {$(
        pub(super) async fn $begin(
            request: HttpRequest,
            by: Operator,
            address: web::Path<String>,
            query: web::Query<GapQuery>,
        ) -> Answer {
            begin(request, by, address, query, Act::$act).await
        }

        pub(super) async fn $done(
            request: HttpRequest,
            by: Operator,
            address: web::Path<String>,
            form: Form<ActForm>,
        ) -> Answer {
            act(request, by, address, form.0, Act::$act).await
        }
    )*};
}

handlers! {
    edit_form, edit, Edit;
    reserve_form, reserve, Reserve;
    release_form, release, Release;
    quarantine_form, quarantine, Quarantine;
    allocate_form, allocate, Allocate;
    resolve_form, resolve, Resolve;
}
