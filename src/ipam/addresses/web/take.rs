//! Taking the next free addresses of a subnet or of one of its pools, or the one wished for.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::status_of;
use crate::auth::Operator;
use crate::id::SubnetId;
use crate::ipam::addresses::places::{self, Place};
use crate::ipam::addresses::{MOST_TAKEN, Note, Purpose, Record, Refusal, Wish, take as take_from};
use crate::ipam::space::{Source, Space};
use crate::ipam::subnets;
use crate::ipam::web::{end_of_day, last_day, reserver};
use crate::net::{Address, Range};
use crate::time::Zone;
use crate::web::form::{Field, Form, Tick};
use crate::web::{Answer, Error, Shell, ok, respond};

/// What is asked for.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct TakeForm {
    pub(super) subnet: String,
    /// The pool they are to come from; empty for any of the subnet.
    pub(super) pool: String,
    pub(super) note: Field,
    pub(super) until: Field,
    pub(super) count: Field,
    pub(super) contiguous: Tick,
    pub(super) address: Field,
}

impl TakeForm {
    fn parse(&mut self, zone: &Zone) -> Option<(Wish, Purpose)> {
        let note = self.note.parse::<Note>();
        let until = end_of_day(&mut self.until, zone);
        let address = self.address.parse_optional::<Address>();
        let count = self.count();
        let purpose = Purpose::Reserve { note: note?, until: until? };
        let wish = match address? {
            Some(address) => Wish::This(address),
            None => Wish::Next { count: count?, contiguous: self.contiguous.0 },
        };
        Some((wish, purpose))
    }

    fn source(&self) -> Result<Source, Error> {
        if self.pool.is_empty() {
            return self.subnet.parse().map(Source::Subnet).map_err(|_| Error::NotFound);
        }
        self.pool.parse().map(Source::Pool).map_err(|_| Error::NotFound)
    }

    fn count(&mut self) -> Option<u32> {
        if self.count.value.is_empty() {
            return Some(1);
        }
        let count = self.count.value.parse::<u32>().ok();
        let count = count.filter(|count| (1..=MOST_TAKEN).contains(count));
        if count.is_none() {
            self.count.reject(&format!("take 1 to {MOST_TAKEN} at once"));
        }
        count
    }

    fn reject(&mut self, refusal: &Refusal) {
        match refusal.field() {
            Some("address") => self.address.reject(refusal),
            Some("until") => self.until.reject(refusal),
            _ => self.count.reject(refusal),
        }
    }
}

#[derive(Template)]
#[template(path = "ipam/addresses/take.html")]
struct TakePage {
    shell: Shell,
    place: Place,
    /// The addresses of the pool chosen.
    pool: Option<Range>,
    form: TakeForm,
}

#[derive(Template)]
#[template(path = "ipam/addresses/taken.html")]
struct TakenPage {
    shell: Shell,
    place: Place,
    taken: Vec<Record>,
    until: Option<String>,
}

impl TakenPage {
    /// All of them, one a line, to be copied at once.
    fn all(&self) -> String {
        let all: Vec<String> = self.taken.iter().map(|record| record.address.to_string()).collect();
        all.join("\n")
    }
}

async fn page(by: &Operator, form: TakeForm) -> Result<TakePage, Error> {
    let id: SubnetId = form.subnet.parse().map_err(|_| Error::NotFound)?;
    let mut tx = by.read().await?;
    let place = places::named(&mut tx, by.tenant(), &[id]).await?.pop().ok_or(Error::NotFound)?;
    let pool = match form.pool.as_str() {
        "" => None,
        id => {
            let pools = subnets::pools(&mut tx, place.id).await?;
            let pool = pools.iter().find(|pool| pool.id.to_string() == id);
            Some(pool.ok_or(Error::NotFound)?.range)
        }
    };
    Ok(TakePage { shell: by.shell(&mut tx, "/ipam/addresses").await?, place, pool, form })
}

pub(super) async fn form(by: Operator, query: web::Query<TakeForm>) -> Answer {
    let mut form = query.into_inner();
    if form.count.value.is_empty() {
        form.count = Field::holding(&1);
    }
    ok(&page(&by, form).await?)
}

pub(super) async fn take(by: Operator, form: Form<TakeForm>) -> Answer {
    let mut form = form.0;
    let source = form.source()?;
    let Some((wish, purpose)) = form.parse(by.zone()) else {
        return respond(StatusCode::UNPROCESSABLE_ENTITY, &page(&by, form).await?);
    };
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let taken = take_from(&mut space, source, &wish, &purpose, &reserver(&by)).await;
    match taken {
        Ok(taken) => {
            space.close().await?;
            change.commit().await?;
            let TakePage { shell, place, .. } = page(&by, form).await?;
            let until = taken.first().and_then(|record| record.until);
            let until = until.map(|until| last_day(until, by.zone()));
            respond(StatusCode::CREATED, &TakenPage { shell, place, taken, until })
        }
        Err(Refusal::Fault(error)) => Err(error),
        Err(Refusal::Missing(_)) => Err(Error::NotFound),
        Err(refusal) => {
            drop(space);
            drop(change);
            form.reject(&refusal);
            respond(status_of(&refusal), &page(&by, form).await?)
        }
    }
}
