//! Subnets, addresses and hosts on their way out, some rows at a time, all of one moment.

use std::collections::HashMap;

use futures_util::{Stream, stream};
use serde::Deserialize;

use super::Kind;
use crate::db::{LongRead, Result, Tx};
use crate::id::{SubnetId, TenantId};
use crate::ipam::addresses::{self, Entry, Filter, Record};
use crate::ipam::class::{Kind as Given, Status};
use crate::ipam::hosts::{self, Host};
use crate::ipam::space::Gap;
use crate::ipam::subnets::{self, Pool, Subnet};
use crate::net::{self, Cidr, Family};
use crate::state::State;
use crate::text::Line;
use crate::time::Timestamp;
use crate::web::Error;
use crate::web::sheet::{Heading, RowBatch, SheetFormat};

/// Rows read at once.
const BATCH: usize = 1000;
/// The same of a search for words, which asks its index anew each time.
const FOUND: usize = 5000;

/// What is asked for: as the lists' own addresses say it, and the kind of file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names of parameters")]
pub struct Asked {
    pub format: String,
    pub q: String,
    pub subnet: String,
    pub status: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub active: String,
    pub conflict: String,
    pub mine: String,
    #[serde(alias = "orphans")]
    pub orphaned: String,
    pub free: String,
    pub site: String,
    pub family: String,
}

/// A parameter that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct BadQuery {
    /// Which.
    pub field: &'static str,
    /// What would be right.
    pub why: String,
}

fn bad(field: &'static str) -> impl Fn(&dyn ToString) -> BadQuery {
    move |why| BadQuery { field, why: why.to_string() }
}

fn truth(field: &'static str, text: &str) -> std::result::Result<Option<bool>, BadQuery> {
    match text {
        "" => Ok(None),
        // The list says `free=each`.
        "yes" | "true" | "1" | "on" | "each" => Ok(Some(true)),
        "no" | "false" | "0" => Ok(Some(false)),
        _ => Err(bad(field)(&"use yes or no")),
    }
}

fn word<T: std::str::FromStr<Err: ToString>>(
    field: &'static str,
    text: &str,
) -> std::result::Result<Option<T>, BadQuery> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: T::Err| bad(field)(&error))
}

impl Asked {
    /// The kind of file; CSV unless another is asked for.
    pub fn format(&self) -> std::result::Result<SheetFormat, BadQuery> {
        let format = word::<SheetFormat>("format", &self.format)?;
        Ok(format.unwrap_or(SheetFormat::Csv))
    }

    /// Which addresses; `me` is whose reservations "mine" are. A subnet is named by its id or as
    /// 10.0.1.0/24.
    fn filter(&self, me: &str, known: &[Subnet]) -> std::result::Result<Filter, BadQuery> {
        let subnet = match self.subnet.as_str() {
            "" => None,
            text => {
                let cidr = text.parse::<Cidr>().ok();
                let named =
                    |subnet: &&Subnet| subnet.id.to_string() == text || Some(subnet.cidr) == cidr;
                let found = known.iter().find(named).map(|subnet| subnet.id);
                Some(found.ok_or_else(|| bad("subnet")(&"there is no such subnet"))?)
            }
        };
        Ok(Filter {
            subnet,
            status: word::<Status>("status", &self.status)?,
            kind: word::<Given>("type", &self.kind)?,
            active: truth("active", &self.active)?,
            conflict: truth("conflict", &self.conflict)?,
            reserved_by: truth("mine", &self.mine)?.filter(|mine| *mine).map(|_| me.to_owned()),
            orphaned: truth("orphaned", &self.orphaned)?.unwrap_or(false),
            search: self.q.trim().to_owned(),
            expanded: false,
        })
    }

    fn family(&self) -> std::result::Result<Option<Family>, BadQuery> {
        match self.family.as_str() {
            "" => Ok(None),
            "4" => Ok(Some(Family::V4)),
            "6" => Ok(Some(Family::V6)),
            _ => Err(bad("family")(&"use 4 or 6")),
        }
    }

    /// Which subnets: the list's own filter, so that a file has what the list shows.
    fn subnets(&self) -> std::result::Result<subnets::Filter, BadQuery> {
        Ok(subnets::Filter {
            search: self.q.trim().to_owned(),
            site: self.site.clone(),
            family: self.family()?,
            ..subnets::Filter::default()
        })
    }
}

const SUBNETS: [Heading; 11] = [
    Heading::text("name"),
    Heading::text("cidr"),
    Heading::text("parent"),
    Heading::number("vlan"),
    Heading::text("gateway"),
    Heading::text("site"),
    Heading::text("dns"),
    Heading::text("description"),
    Heading::text("static_pools"),
    Heading::text("dhcp_pools"),
    Heading::text("excluded"),
];

const ADDRESSES: [Heading; 19] = [
    Heading::text("address"),
    Heading::text("status"),
    Heading::text("type"),
    Heading::text("subnet"),
    Heading::text("subnet_name"),
    Heading::text("hostname"),
    Heading::text("mac"),
    Heading::text("platform"),
    Heading::text("manufacturer"),
    Heading::text("holder_kind"),
    Heading::text("holder"),
    Heading::text("holder_id"),
    Heading::text("description"),
    Heading::text("reserved_by"),
    Heading::text("reason"),
    Heading::text("until"),
    Heading::text("conflict"),
    Heading::text("active"),
    Heading::text("last_seen"),
];

const HOSTS: [Heading; 8] = [
    Heading::text("hostname"),
    Heading::text("primary_ip"),
    Heading::text("nic_mac"),
    Heading::text("bmc_ip"),
    Heading::text("bmc_mac"),
    Heading::text("device_type"),
    Heading::text("manufacturer"),
    Heading::text("description"),
];

/// The columns of a file.
pub fn headings(kind: Kind) -> &'static [Heading] {
    match kind {
        Kind::Subnets => &SUBNETS,
        Kind::Addresses => &ADDRESSES,
        Kind::Hosts => &HOSTS,
    }
}

/// Where the rows come from.
#[expect(clippy::large_enum_variant, reason = "one at a time")]
enum Source {
    Subnets { list: std::vec::IntoIter<Subnet>, pools: HashMap<SubnetId, Vec<Pool>>, names: Names },
    Addresses { stream: addresses::Stream, names: Names, at_once: usize },
    Hosts { tenant: TenantId, search: String, after: Option<String> },
}

/// Each subnet's addresses and name.
type Names = HashMap<SubnetId, (Cidr, String)>;

/// A moment of the database to export, for as long as whoever gets it takes.
pub async fn moment(state: &State) -> std::result::Result<LongRead, Error> {
    const BUSY: &str = "other exports are being sent; try again when one of them is done";
    state.db.read_long().await.map_err(|error| match error {
        sqlx::Error::PoolTimedOut => Error::Busy(BUSY),
        error => error.into(),
    })
}

/// The rows asked for, as they were at the one `moment`.
pub async fn rows(
    kind: Kind,
    mut moment: LongRead,
    tenant: TenantId,
    me: &str,
    asked: &Asked,
) -> std::result::Result<std::result::Result<impl Stream<Item = RowBatch> + use<>, BadQuery>, Error>
{
    let tx = moment.tx();
    let source = match kind {
        Kind::Hosts => {
            Source::Hosts { tenant, search: asked.q.clone(), after: Some(String::new()) }
        }
        Kind::Subnets => {
            let filter = match asked.subnets() {
                Ok(filter) => filter,
                Err(bad) => return Ok(Err(bad)),
            };
            let names = names(&subnets::all(tx, tenant).await?);
            let list = subnets::matching(tx, tenant, &filter).await?;
            let pools = subnets::all_pools(tx, tenant).await?;
            Source::Subnets { list: list.into_iter(), pools, names }
        }
        Kind::Addresses => {
            let known = subnets::all(tx, tenant).await?;
            let (filter, free) =
                match asked.filter(me, &known).and_then(|f| Ok((f, truth("free", &asked.free)?))) {
                    Ok((filter, free)) => (filter, free.unwrap_or(false)),
                    Err(bad) => return Ok(Err(bad)),
                };
            let at_once = if filter.search.is_empty() { BATCH } else { FOUND };
            let stream = addresses::Stream::new(tx, tenant, filter, free).await?;
            Source::Addresses { stream, names: names(&known), at_once }
        }
    };
    Ok(Ok(stream::unfold(Some((moment, source)), |state| async move {
        let (mut moment, mut source) = state?;
        match source.next(moment.tx()).await {
            Ok(rows) if rows.is_empty() => {
                moment.end().await.err().map(|error| (Err(error.into()), None))
            }
            Ok(rows) => Some((Ok(rows), Some((moment, source)))),
            Err(error) => Some((Err(error.into()), None)),
        }
    })))
}

fn names(subnets: &[Subnet]) -> Names {
    subnets.iter().map(|subnet| (subnet.id, (subnet.cidr, subnet.name.to_string()))).collect()
}

impl Source {
    async fn next(&mut self, tx: &mut Tx) -> Result<Vec<Vec<String>>> {
        match self {
            Self::Subnets { list, pools, names } => Ok(list
                .by_ref()
                .take(BATCH)
                .map(|subnet| {
                    subnet_row(&subnet, pools.get(&subnet.id).map_or(&[], Vec::as_slice), names)
                })
                .collect()),
            Self::Addresses { stream, names, at_once } => {
                let lines = stream.next(tx, *at_once).await?;
                Ok(lines.into_iter().map(|line| address_row(line, names)).collect())
            }
            Self::Hosts { tenant, search, after } => {
                let Some(from) = after.take() else { return Ok(Vec::new()) };
                let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
                let hosts = hosts::after_name(tx, *tenant, search, &from, limit).await?;
                *after = hosts.last().map(|host| host.spec.hostname.key());
                Ok(hosts.iter().map(host_row).collect())
            }
        }
    }
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn subnet_row(subnet: &Subnet, pools: &[Pool], names: &Names) -> Vec<String> {
    let spec = subnets::spec(subnet, pools);
    let parent = subnet.parent.and_then(|parent| names.get(&parent)).map(|(cidr, _)| *cidr);
    vec![
        spec.name.to_string(),
        spec.cidr.to_string(),
        shown(parent),
        shown(spec.vlan),
        shown(spec.gateway),
        spec.site.to_string(),
        spec.dns.to_string(),
        spec.description.to_string(),
        subnets::show(&spec.statics),
        subnets::show(&spec.dhcp),
        net::show_ranges(&spec.excluded),
    ]
}

fn address_row(line: Entry, names: &Names) -> Vec<String> {
    let (cidr, name) = line.subnet().and_then(|id| names.get(&id)).map_or_else(
        || (String::new(), String::new()),
        |(cidr, name)| (cidr.to_string(), name.clone()),
    );
    match line {
        Entry::Row(record) => record_row(record, cidr, name),
        Entry::Gap(Gap { range, kind, .. }) => {
            let address = if range.first() == range.last() {
                range.first().to_string()
            } else {
                format!("{}-{}", range.first(), range.last())
            };
            let status = Status::Available.to_string();
            let mut row = vec![address, status, kind.to_string(), cidr, name];
            row.resize(ADDRESSES.len(), String::new());
            row
        }
    }
}

fn record_row(record: Record, cidr: String, name: String) -> Vec<String> {
    let yes = |is: bool| if is { "yes".to_owned() } else { "no".to_owned() };
    let (kind, holder, id) = record.holder.map_or_else(
        || (String::new(), String::new(), String::new()),
        |holder| (holder.kind.as_str().to_owned(), holder.name, holder.id),
    );
    let text = |line: Line<500>| line.to_string();
    vec![
        record.address.to_string(),
        record.status.to_string(),
        record.kind.to_string(),
        cidr,
        name,
        record.hostname.to_string(),
        shown(record.mac),
        record.platform.to_string(),
        record.manufacturer.to_string(),
        kind,
        holder,
        id,
        text(record.description),
        record.reserved_by,
        text(record.reason),
        shown::<Timestamp>(record.until),
        yes(record.conflict),
        yes(record.active),
        shown::<Timestamp>(record.last_seen),
    ]
}

fn host_row(host: &Host) -> Vec<String> {
    let spec = &host.spec;
    vec![
        spec.hostname.to_string(),
        shown(spec.primary_ip),
        shown(spec.nic_mac),
        shown(spec.bmc_ip),
        shown(spec.bmc_mac),
        spec.device_type.to_string(),
        spec.manufacturer.to_string(),
        spec.description.to_string(),
    ]
}
