//! One line of the list: an address, or free ones from the first to the last.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::{Act, Rights, named, path};
use crate::auth::Operator;
use crate::db::{self, Tx};
use crate::id::{SubnetId, TenantId};
use crate::ipam::addresses::places::{self, Place};
use crate::ipam::addresses::{Entry, Record, Standing, claims_on, standing};
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::{Gap, gap_before};
use crate::ipam::web::{ago, last_day};
use crate::net::{Address, Range};
use crate::text::grouped;
use crate::time::{Timestamp, Zone};
use crate::web::{Answer, Error, ok};

/// A line as the list shows it.
pub(super) struct Line {
    /// Its address, or the first of them.
    pub(super) address: Address,
    /// The last of several free ones.
    pub(super) last: Option<Address>,
    pub(super) kind: Kind,
    pub(super) record: Option<Record>,
    pub(super) place: Option<Place>,
    /// Who else claims it.
    pub(super) also: Vec<String>,
    pub(super) acts: Vec<Act>,
    pub(super) now: Timestamp,
    pub(super) zone: Zone,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
impl Line {
    /// What the row is called in the page.
    pub(super) fn slug(&self) -> String {
        slug(self.address)
    }

    /// Free addresses that a DHCP server gives.
    pub(super) fn is_dhcp_space(&self) -> bool {
        self.record.is_none() && self.kind == Kind::Dhcp
    }

    pub(super) fn status(&self) -> Status {
        self.record.as_ref().map_or(Status::Available, |record| record.status)
    }

    /// How many free ones.
    pub(super) fn size(&self) -> String {
        let range = self.last.and_then(|last| Range::new(self.address, last));
        let size = range.map_or(1, Range::size);
        grouped(&i128::try_from(size).unwrap_or(i128::MAX))
    }

    /// Whether it was seen, as people say it.
    pub(super) fn seen(&self) -> String {
        match &self.record {
            Some(record) if record.active => "now".to_owned(),
            Some(Record { last_seen: Some(at), .. }) => ago(self.now, *at),
            _ => "never".to_owned(),
        }
    }

    /// Platform and manufacturer.
    pub(super) fn machine(&self) -> String {
        let Some(record) = &self.record else { return String::new() };
        let parts = [record.manufacturer.as_str(), record.platform.as_str()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// Why it is as it is.
    pub(super) fn note(&self) -> String {
        let Some(record) = &self.record else { return String::new() };
        match record.status {
            Status::Reserved => record.description.to_string(),
            Status::Quarantine => record.reason.to_string(),
            Status::Available | Status::Allocated => String::new(),
        }
    }

    /// When that ends.
    pub(super) fn until(&self) -> Option<String> {
        let until = self.record.as_ref()?.until?;
        Some(last_day(until, &self.zone))
    }

    /// The buttons of the row; the others are on the address's own page, and in the row's forms.
    pub(super) fn buttons(&self) -> &[Act] {
        let most = if self.status() == Status::Available { 1 } else { 2 };
        self.acts.get(..most).unwrap_or(&self.acts)
    }

    /// The page of the address.
    pub(super) fn path(&self) -> String {
        path(self.address)
    }

    /// What a button of the row says.
    pub(super) fn label(&self, act: &Act) -> &'static str {
        act.label(self.status())
    }

    /// Where a button of the row leads.
    pub(super) fn to(&self, act: &Act) -> String {
        let gap = self.last.map(|last| format!("?gap={last}")).unwrap_or_default();
        format!("{}/{}{gap}", path(self.address), act.word())
    }
}

/// What the row of an address is called in the page: no two addresses' are the same.
pub(super) fn slug(address: Address) -> String {
    format!("a-{}", address.to_string().replace(['.', ':'], "-"))
}

/// The lines of entries, with all their names.
pub(super) async fn lines(
    tx: &mut Tx,
    by: &Operator,
    entries: Vec<Entry>,
) -> db::Result<Vec<Line>> {
    let ids: Vec<SubnetId> = entries.iter().filter_map(Entry::subnet).collect();
    let places = places::named(tx, by.tenant(), &ids).await?;
    let rights = Rights::of(by);
    let mut lines = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = entry.subnet().and_then(|id| places.iter().find(|place| place.id == id));
        let mut line = line(by, &rights, entry, place.cloned());
        if line.record.as_ref().is_some_and(|record| record.conflict) {
            line.also = also(tx, by.tenant(), line.address).await?;
        }
        lines.push(line);
    }
    Ok(lines)
}

async fn also(tx: &mut Tx, tenant: TenantId, address: Address) -> db::Result<Vec<String>> {
    let claims = claims_on(tx, tenant, address).await?;
    Ok(claims.iter().map(super::super::Claim::claimant).collect())
}

fn line(by: &Operator, rights: &Rights, entry: Entry, place: Option<Place>) -> Line {
    let (now, zone) = (by.state().clock.now(), by.zone().clone());
    let also = Vec::new();
    match entry {
        Entry::Row(record) => Line {
            address: record.address,
            last: None,
            kind: record.kind,
            acts: rights.acts(Some(&record)),
            record: Some(record),
            place,
            also,
            now,
            zone,
        },
        Entry::Gap(gap) => Line {
            address: gap.range.first(),
            last: Some(gap.range.last()).filter(|last| *last != gap.range.first()),
            kind: gap.kind,
            acts: rights.acts(None),
            record: None,
            place,
            also,
            now,
            zone,
        },
    }
}

/// The part of a gap from `first` on, at most to `last`.
async fn rest_of_gap(
    tx: &mut Tx,
    tenant: TenantId,
    first: Address,
    last: Address,
) -> db::Result<Option<Gap>> {
    let Some(within) = Range::new(first, last) else { return Ok(None) };
    let gap = gap_before(tx, tenant, first).await?;
    let gap = gap.filter(|gap| gap.range.contains(first));
    Ok(gap.and_then(|gap| {
        let range = gap.range.intersection(within)?;
        Some(Gap { range, ..gap })
    }))
}

/// One or two rows of the list, to be put back where they were.
#[derive(Template)]
#[template(path = "ipam/addresses/rows.html")]
struct RowsFragment {
    lines: Vec<Line>,
    may_reserve: bool,
}

/// What is now where a row was: the address, and the gap behind it up to `gap`.
pub(super) async fn put_back(by: &Operator, address: Address, gap: Option<Address>) -> Answer {
    let mut tx = by.read().await?;
    let tenant = by.tenant();
    let mut entries = Vec::new();
    match standing(&mut tx, tenant, address).await? {
        Standing::Row(record, _) => {
            entries.push(Entry::Row(record));
            if let (Some(last), Some(next)) = (gap, address.next()) {
                let rest = rest_of_gap(&mut tx, tenant, next, last).await?;
                entries.extend(rest.map(Entry::Gap));
            }
        }
        Standing::Free(..) => {
            let rest = rest_of_gap(&mut tx, tenant, address, gap.unwrap_or(address)).await?;
            entries.extend(rest.map(Entry::Gap));
        }
        Standing::Loose(_) | Standing::Never(..) | Standing::Nowhere => {}
    }
    let lines = lines(&mut tx, by, entries).await?;
    let may_reserve = Rights::of(by).reserve;
    let mut answer = ok(&RowsFragment { lines, may_reserve })?;
    let changed = actix_web::http::header::HeaderValue::from_static("addresses-changed");
    answer
        .headers_mut()
        .insert(actix_web::http::header::HeaderName::from_static("hx-trigger"), changed);
    Ok(answer)
}

/// The last address of the gap a row stood for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct GapQuery {
    pub(super) gap: String,
}

impl GapQuery {
    pub(super) fn last(&self) -> Option<Address> {
        self.gap.parse().ok()
    }
}

/// A row of the list, as it is now.
pub(super) async fn row(
    request: HttpRequest,
    by: Operator,
    address: web::Path<String>,
    query: web::Query<GapQuery>,
) -> Answer {
    let address = named(&address)?;
    if !super::by_htmx(&request) {
        return Ok(crate::web::see_other(&path(address)));
    }
    let mut answer = put_back(&by, address, query.last()).await?;
    answer.headers_mut().remove("hx-trigger");
    if answer.status().is_success() { Ok(answer) } else { Err(Error::NotFound) }
}
