//! The walk over the rows of a file beside the rows there are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, channel};

use super::Rows;
use super::decide::{By, Place, Verdict, decide};
use super::wish::{Packed, Wish};
use crate::db::Tx;
use crate::id::{SubnetId, TenantId};
use crate::ipam::addresses::{self, HolderKind, Record, Refusal, describe, event};
use crate::ipam::space::{Laid, Space};
use crate::ipam::subnets;
use crate::net::{Address, Range};
use crate::web::Error;
use crate::web::sheet::{Report, Verdict as Said};

/// Rows written at once.
const WRITTEN: usize = 2048;
/// Rows there are, read at once.
const READ: i64 = 512;
/// Rows of the file read ahead at once.
const AHEAD: usize = 1024;

/// Where the rows go.
pub enum Sink<'s, 'c> {
    /// Nowhere: only what would become of them is asked for.
    Nowhere(&'s mut Tx, TenantId),
    /// Where they belong.
    Space(&'s mut Space<'c>),
}

impl Sink<'_, '_> {
    fn tx(&mut self) -> &mut Tx {
        match self {
            Self::Nowhere(tx, _) => tx,
            Self::Space(space) => space.tx(),
        }
    }

    fn tenant(&self) -> TenantId {
        match self {
            Self::Nowhere(_, tenant) => *tenant,
            Self::Space(space) => space.tenant(),
        }
    }
}

/// The walk.
pub struct Walk<'s, 'c, 'r> {
    sink: Sink<'s, 'c>,
    by: By<'r>,
    report: &'r mut Report,
    places: Places,
    existing: Existing,
    users: HashMap<String, Option<String>>,
    added: Vec<Record>,
    changed: Vec<(Record, Record)>,
    touched: BTreeSet<usize>,
}

impl<'s, 'c, 'r> Walk<'s, 'c, 'r> {
    /// Reads the subnets.
    pub async fn new(
        mut sink: Sink<'s, 'c>,
        by: By<'r>,
        report: &'r mut Report,
    ) -> Result<Self, Error> {
        let tenant = sink.tenant();
        let places = Places::read(sink.tx(), tenant).await?;
        Ok(Self {
            sink,
            by,
            report,
            places,
            existing: Existing::default(),
            users: HashMap::new(),
            added: Vec::new(),
            changed: Vec::new(),
            touched: BTreeSet::new(),
        })
    }

    /// Walks over all the rows.
    pub async fn all(mut self, rows: Rows) -> Result<(), Error> {
        let rows = Arc::new(rows);
        let mut ahead = read_ahead(Arc::clone(&rows));
        for some in rows.rows.chunks(AHEAD) {
            let wishes =
                ahead.recv().await.ok_or_else(|| std::io::Error::other("a thread is gone"))?;
            for (row, wish) in some.iter().zip(wishes) {
                // What cannot be read was refused before.
                let Some(wish) = wish else { continue };
                self.one(row, wish).await?;
                if self.added.len() + self.changed.len() >= WRITTEN {
                    self.write().await?;
                }
            }
        }
        self.write().await?;
        let Self { mut sink, report, places, touched, .. } = self;
        if let (Sink::Space(space), true) = (&mut sink, report.is_clean()) {
            space.fill(&places.laid(&touched)).await?;
        }
        Ok(())
    }

    async fn one(&mut self, row: &Packed, mut wish: Wish) -> Result<(), Error> {
        let at = self.places.around(row.address);
        let place = at.and_then(|at| self.places.all.get(at));
        let tenant = self.sink.tenant();
        let reach = place.map_or(row.address, |place| place.subnet.cidr.last());
        let old = self.existing.at(self.sink.tx(), tenant, row.address, reach).await?;
        let fault = name_user(&mut self.users, &mut self.sink, &mut wish).await?;
        let verdict = match fault {
            Some(why) => Verdict::Refused("holder_id", why),
            None => decide(row.address, old, place, &wish, self.by),
        };
        let line = u64::from(row.line);
        let said = match verdict {
            Verdict::Added(record) => {
                self.report.added += 1;
                self.touched.extend(at);
                self.keep(|walk| walk.added.push(record));
                Said::Added
            }
            Verdict::Changed(record) => {
                self.report.changed += 1;
                let old = old.cloned();
                self.keep(|walk| walk.changed.extend(old.map(|old| (old, record))));
                Said::Changed
            }
            Verdict::Unchanged => Said::Unchanged,
            Verdict::Refused(column, why) => {
                self.report.refuse(line, column, &why);
                return Ok(());
            }
        };
        self.report.says(line, &row.address, said);
        Ok(())
    }

    /// Nothing is kept that will not be written.
    fn keep(&mut self, keep: impl FnOnce(&mut Self)) {
        if matches!(self.sink, Sink::Space(_)) && self.report.is_clean() {
            keep(self);
        }
    }

    async fn write(&mut self) -> Result<(), Error> {
        let (mut added, changed) =
            (std::mem::take(&mut self.added), std::mem::take(&mut self.changed));
        let Sink::Space(space) = &mut self.sink else { return Ok(()) };
        if !self.report.is_clean() {
            return Ok(());
        }
        if !added.is_empty() {
            let first = space.ids(added.len()).await?;
            for (record, id) in added.iter_mut().zip(first..) {
                record.id = id;
            }
            space.add_all(&added).await?;
        }
        for record in &added {
            space.record(event("address.imported", record).after(describe(record)));
        }
        for (old, new) in changed {
            // As everywhere: what an assignment says of the machine follows.
            addresses::change(space, &old, new, "address.imported").await.map_err(fault)?;
        }
        Ok(space.flush().await?)
    }
}

fn fault(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Fault(error) => error,
        other => sqlx::Error::Protocol(other.to_string()).into(),
    }
}

/// What the rows say, read in a thread of its own while the database writes those before.
fn read_ahead(rows: Arc<Rows>) -> Receiver<Vec<Option<Wish>>> {
    let (sender, receiver) = channel(2);
    tokio::task::spawn_blocking(move || {
        for some in rows.rows.chunks(AHEAD) {
            let wishes =
                some.iter().map(|row| Wish::read(&rows.layout.unpack(row), &rows.zone).ok());
            if sender.blocking_send(wishes.collect()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Gives a user the name Patchbay knows; says so when there is none with the id.
async fn name_user(
    users: &mut HashMap<String, Option<String>>,
    sink: &mut Sink<'_, '_>,
    wish: &mut Wish,
) -> Result<Option<String>, Error> {
    let super::wish::Who::Named { kind: HolderKind::User, id, name } = &mut wish.who else {
        return Ok(None);
    };
    if !users.contains_key(id) {
        let tenant = sink.tenant();
        let known = addresses::user_name(sink.tx(), tenant, id).await?;
        users.insert(id.clone(), known);
    }
    match users.get(id).cloned().flatten() {
        Some(known) => {
            *name = known;
            Ok(None)
        }
        None => Ok(Some("there is no user with this id".to_owned())),
    }
}

/// Every subnet, and which is the smallest around an address.
struct Places {
    all: Vec<Place>,
    by_id: HashMap<SubnetId, usize>,
}

impl Places {
    async fn read(tx: &mut Tx, tenant: TenantId) -> Result<Self, Error> {
        let mut pools = subnets::all_pools(tx, tenant).await?;
        let all: Vec<Place> = subnets::all(tx, tenant)
            .await?
            .into_iter()
            .map(|subnet| {
                let pools = pools.remove(&subnet.id).unwrap_or_default();
                Place::new(subnet, pools)
            })
            .collect();
        let by_id = all.iter().enumerate().map(|(at, place)| (place.subnet.id, at)).collect();
        Ok(Self { all, by_id })
    }

    /// What is needed to fill some of them anew.
    fn laid(self, touched: &BTreeSet<usize>) -> Vec<Laid> {
        let mut inside: HashMap<SubnetId, Vec<Range>> = HashMap::new();
        for place in &self.all {
            if let Some(parent) = place.subnet.parent {
                inside.entry(parent).or_default().push(place.subnet.cidr.range());
            }
        }
        let touched = self.all.into_iter().enumerate().filter(|(at, _)| touched.contains(at));
        let laid = touched.map(|(_, Place { subnet, pools, .. })| {
            let inside = inside.remove(&subnet.id).unwrap_or_default();
            Laid { subnet, pools, inside, fresh: false }
        });
        laid.collect()
    }

    fn around(&self, address: Address) -> Option<usize> {
        let mut at = self.all.partition_point(|place| place.subnet.cidr.network() <= address);
        at = at.checked_sub(1)?;
        loop {
            let subnet = &self.all.get(at)?.subnet;
            if subnet.cidr.contains(address) {
                return Some(at);
            }
            at = *self.by_id.get(&subnet.parent?)?;
        }
    }
}

/// The rows there are, a page at a time, asked for in the order of addresses.
#[derive(Default)]
struct Existing {
    page: Vec<Record>,
    /// Between these all rows are in the page.
    covers: Option<(Address, Address)>,
}

impl Existing {
    /// The row of an address; rows up to `reach` will be asked for next.
    async fn at(
        &mut self,
        tx: &mut Tx,
        tenant: TenantId,
        address: Address,
        reach: Address,
    ) -> Result<Option<&Record>, Error> {
        let covered = self.covers.is_some_and(|(from, to)| from <= address && address <= to);
        if !covered {
            let range = Range::new(address, reach).unwrap_or_else(|| Range::single(address));
            self.page = addresses::within(tx, tenant, range, READ).await?;
            let full = i64::try_from(self.page.len()).is_ok_and(|count| count == READ);
            let last = self.page.last().filter(|_| full).map_or(range.last(), |last| last.address);
            self.covers = Some((address, last));
        }
        let found = self.page.binary_search_by_key(&address, |record| record.address);
        Ok(found.ok().and_then(|at| self.page.get(at)))
    }
}
