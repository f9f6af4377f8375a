//! The same done to many addresses: all of them, or none.

use super::list::{self, Entry, Filter, Sort};
use super::queries;
use super::tenancy::unassigned;
use super::types::{Edit, Note, Purpose, Record, Reserver, Tenure};
use super::{
    Outcome, Refusal, Standing, assign, describable, edit, legal, quarantine, releasable, release,
    standing, takable,
};
use crate::audit::Page;
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::Space;
use crate::net::Address;
use crate::secrets;
use crate::time::Timestamp;

/// Most addresses changed at once.
pub const MOST: i128 = 20_000;
/// Lines read at once while they are gathered.
const STRIDE: i64 = 2_000;

/// What is to become of many addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reserved and allocated ones are given back.
    Release,
    /// Those in quarantine are free again.
    EndQuarantine,
    /// Free ones are kept.
    Reserve {
        /// Why.
        note: Note,
        /// When the reservations end by themselves.
        until: Option<Timestamp>,
    },
    /// Taken out of use.
    Quarantine {
        /// Why.
        reason: Note,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// Given to one holder.
    Allocate(Tenure),
    /// What is said of reserved ones and of those in quarantine is another; what is left out stays.
    Edit {
        /// Why they are what they are.
        note: Option<Note>,
        /// When that ends by itself.
        until: Option<Timestamp>,
    },
}

/// The kind of an [`Action`], before anybody said why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in the action")]
pub enum Verb {
    Release,
    EndQuarantine,
    Reserve,
    Quarantine,
    Allocate,
    Edit,
}

impl Verb {
    /// Every one with its name in forms and calls.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Release, "release"),
        (Self::EndQuarantine, "end_quarantine"),
        (Self::Reserve, "reserve"),
        (Self::Quarantine, "quarantine"),
        (Self::Allocate, "allocate"),
        (Self::Edit, "edit"),
    ];

    /// The one called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(verb, _)| verb)
    }

    /// What it is called in forms and calls.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(verb, _)| *verb == self).map_or("release", |(_, name)| name)
    }
}

impl Action {
    /// Its kind.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Release => Verb::Release,
            Self::EndQuarantine => Verb::EndQuarantine,
            Self::Reserve { .. } => Verb::Reserve,
            Self::Quarantine { .. } => Verb::Quarantine,
            Self::Allocate(_) => Verb::Allocate,
            Self::Edit { .. } => Verb::Edit,
        }
    }
}

/// Which addresses are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These.
    These(Vec<Address>),
    /// All that a filter shows each for itself: a gap shown as one line is not meant.
    Matching(Filter),
}

/// One of the selected addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Which.
    pub address: Address,
    /// Its row.
    pub record: Option<Record>,
    /// Whether it is known to lie in a gap of a pool.
    in_gap: bool,
}

/// Which of the selected addresses the action fits, and why not the others.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Those it fits, in their order.
    pub fit: Vec<Target>,
    /// The others.
    pub refused: Vec<(Address, Refusal)>,
    /// Why none was looked at, if more are selected than are changed at once.
    pub too_many: Option<TooMany>,
}

/// Why a selection is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// So many are selected.
    Counted(i128),
    /// The search is for a word that more have than a search counts: which all of them are is not
    /// known.
    Uncounted,
}

impl Verdict {
    /// How many were selected.
    pub fn selected(&self) -> usize {
        self.fit.len() + self.refused.len()
    }

    /// Which addresses the action fits, and whose they are, as one short word: another set of the
    /// same size has another. What is merely seen of an address is not part of it.
    pub fn digest(&self) -> String {
        let mut all = Vec::new();
        for Target { address, record, .. } in &self.fit {
            let keeper = record.as_ref().map(|record| (record.status, record.keeper()));
            let (status, keeper) = keeper.unwrap_or((Status::Available, String::new()));
            all.extend(format!("{address} {status} {keeper}\n").into_bytes());
        }
        secrets::fingerprint(&all)
    }
}

/// How many addresses a filter selects, given what it lists.
pub fn selects(filter: &Filter, stats: &list::Stats) -> i128 {
    let rows = stats.allocated + stats.reserved + stats.quarantine;
    if filter.each() { rows + stats.available } else { rows }
}

/// Looks at every selected address.
pub async fn judge(
    tx: &mut Tx,
    tenant: TenantId,
    selection: &Selection,
    verb: Verb,
    by: &Reserver,
) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let targets = match selection {
        Selection::These(addresses) => {
            let count = i128::try_from(addresses.len()).unwrap_or(i128::MAX);
            if count > MOST {
                return Ok(Verdict { too_many: Some(TooMany::Counted(count)), ..verdict });
            }
            these(tx, tenant, addresses).await?
        }
        Selection::Matching(filter) => match matching(tx, tenant, filter).await? {
            Ok(targets) => targets,
            Err(why) => return Ok(Verdict { too_many: Some(why), ..verdict }),
        },
    };
    for target in targets {
        match fits(tx, tenant, &target, verb, by).await? {
            Ok(()) => verdict.fit.push(target),
            Err(refusal) => verdict.refused.push((target.address, refusal)),
        }
    }
    Ok(verdict)
}

async fn these(tx: &mut Tx, tenant: TenantId, addresses: &[Address]) -> Result<Vec<Target>> {
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable();
    addresses.dedup();
    let mut targets = Vec::new();
    for address in addresses {
        let record = queries::get(tx, tenant, address).await?;
        targets.push(Target { address, record, in_gap: false });
    }
    Ok(targets)
}

/// Those a filter shows, or why they are too many.
async fn matching(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
) -> Result<std::result::Result<Vec<Target>, TooMany>> {
    let mut targets = Vec::new();
    let mut page = Page { offset: 0, limit: STRIDE };
    loop {
        let listing = list::list(tx, tenant, filter, Sort::Address, page).await?;
        if listing.more {
            return Ok(Err(TooMany::Uncounted));
        }
        let count = selects(filter, &listing.stats);
        if count > MOST {
            return Ok(Err(TooMany::Counted(count)));
        }
        if listing.entries.is_empty() {
            return Ok(Ok(targets));
        }
        for entry in listing.entries {
            match entry {
                Entry::Row(record) if filter.each() || record.status != Status::Available => {
                    let address = record.address;
                    targets.push(Target { address, record: Some(record), in_gap: false });
                }
                Entry::Gap(gap) if filter.each() && gap.kind == Kind::Static => {
                    let address = gap.range.first();
                    targets.push(Target { address, record: None, in_gap: true });
                }
                Entry::Row(_) | Entry::Gap(_) => {}
            }
        }
        page.offset += STRIDE;
    }
}

/// Whether the action is allowed: what the operation itself will say.
async fn fits(
    tx: &mut Tx,
    tenant: TenantId,
    target: &Target,
    verb: Verb,
    by: &Reserver,
) -> Result<Outcome<()>> {
    let Target { address, record, in_gap } = target;
    let status = record.as_ref().map_or(Status::Available, |record| record.status);
    if verb == Verb::Edit {
        return Ok(describable(*address, record.as_ref(), by));
    }
    if let Some(record) = record
        && let Err(refusal) = unassigned(record)
    {
        return Ok(Err(refusal));
    }
    let allowed = match (verb, record) {
        (Verb::Release | Verb::EndQuarantine, record) => ends(*address, status, verb)
            .and_then(|()| record.as_ref().map_or(Ok(()), |record| releasable(record, by))),
        (Verb::Quarantine, _) => legal(*address, status, Status::Quarantine),
        (Verb::Reserve, Some(record)) => takable(record, Status::Reserved, by),
        (Verb::Allocate, Some(record)) => takable(record, Status::Allocated, by),
        (Verb::Reserve | Verb::Allocate | Verb::Edit, _) => Ok(()),
    };
    if allowed.is_err() || *in_gap || matches!(verb, Verb::Release | Verb::EndQuarantine) {
        return Ok(allowed);
    }
    if verb == Verb::Quarantine && record.is_some() {
        return Ok(allowed);
    }
    let place = match standing(tx, tenant, *address).await? {
        Standing::Row(_, None) => Some(Refusal::NoSubnet(*address)),
        place => place.obstacle(*address),
    };
    Ok(place.map_or(Ok(()), Err))
}

/// A quarantine is ended by name only: whoever releases many may not have seen it among them.
fn ends(address: Address, status: Status, verb: Verb) -> Outcome<()> {
    legal(address, status, Status::Available)?;
    let hint = match (verb, status) {
        (Verb::Release, Status::Quarantine) => ": end the quarantine instead",
        (Verb::EndQuarantine, Status::Reserved | Status::Allocated) => ", not in quarantine",
        _ => return Ok(()),
    };
    Err(Refusal::Illegal { address, from: status, to: Status::Available, hint })
}

/// Does it to each of them; the first that is refused refuses all.
pub async fn run(
    space: &mut Space<'_>,
    targets: &[Target],
    action: &Action,
    by: &Reserver,
) -> Outcome<()> {
    for (n, target) in targets.iter().enumerate() {
        one(space, target.address, action, by).await?;
        if n % 1_000 == 999 {
            space.flush().await?;
        }
    }
    Ok(())
}

async fn one(
    space: &mut Space<'_>,
    address: Address,
    action: &Action,
    by: &Reserver,
) -> Outcome<()> {
    match action {
        Action::Release | Action::EndQuarantine => release(space, address, by).await,
        Action::Reserve { note, until } => {
            let purpose = Purpose::Reserve { note: note.clone(), until: *until };
            assign(space, address, &purpose, by).await.map(drop)
        }
        Action::Quarantine { reason, until } => {
            quarantine(space, address, reason, *until).await.map(drop)
        }
        Action::Allocate(tenure) => {
            assign(space, address, &Purpose::Allocate(tenure.clone()), by).await.map(drop)
        }
        Action::Edit { note, until } => {
            let tenant = space.tenant();
            let record = queries::get(space.tx(), tenant, address).await?;
            let line = note.as_ref().map(Note::line);
            let mut new = Edit { until: until.map(Some), ..Edit::default() };
            if record.is_some_and(|record| record.status == Status::Quarantine) {
                new.reason = line;
            } else {
                new.description = line;
            }
            edit(space, address, None, &new, by).await.map(drop)
        }
    }
}
