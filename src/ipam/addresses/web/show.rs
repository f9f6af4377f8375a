//! One address: what is known of it, what can be done with it, and what happened to it.

use actix_web::web;
use askama::Template;

use super::{Act, Rights, named};
use crate::audit::{self, Page, Record as Happened};
use crate::auth::{Operator, Right};
use crate::db::{self, Tx};
use crate::id::TenantId;
use crate::ipam::addresses::{Claim, Record, Standing, claims_on, standing};
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::{gap_before, gaps_between};
use crate::ipam::subnets::Subnet;
use crate::ipam::web::{ago, last_day};
use crate::net::Address;
use crate::time::Timestamp;
use crate::web::{Answer, Error, Shell, ok};

/// Rows of history shown; the audit log has the rest.
const HISTORY: i64 = 50;
/// Gaps looked at for a free neighbour.
const STEPS: usize = 16;

#[derive(Template)]
#[template(path = "ipam/addresses/show.html")]
struct ShowPage {
    shell: Shell,
    address: Address,
    standing: Standing,
    claims: Vec<Claim>,
    acts: Vec<Act>,
    previous: Option<Address>,
    next: Option<Address>,
    history: Vec<Happened>,
    more: bool,
    may_audit: bool,
    may_manage: bool,
    now: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
impl ShowPage {
    fn status(&self) -> Option<Status> {
        self.standing.status()
    }

    fn act_path(&self, act: &Act) -> String {
        format!("{}/{}", super::path(self.address), act.word())
    }

    fn label(&self, act: &Act) -> &'static str {
        act.label(self.status().unwrap_or(Status::Available))
    }

    fn obstacle(&self) -> Option<String> {
        self.standing.obstacle(self.address).map(|refusal| refusal.to_string())
    }

    fn kind(&self) -> &'static str {
        match &self.standing {
            Standing::Row(Record { kind: Kind::Dhcp, .. }, _) | Standing::Free(_, Kind::Dhcp) => {
                "DHCP"
            }
            Standing::Loose(_) => "in no pool",
            _ => "static",
        }
    }

    fn seen(&self, record: &Record) -> String {
        match record.last_seen {
            Some(at) => format!("{} ({})", ago(self.now, at), self.shell.time(&at)),
            None => "never".to_owned(),
        }
    }

    fn until(&self, record: &Record) -> Option<String> {
        record.until.map(|until| last_day(until, &self.shell.zone))
    }
}

/// The last free address before this one in its subnet, and the first after it.
async fn neighbours(
    tx: &mut Tx,
    tenant: TenantId,
    subnet: &Subnet,
    address: Address,
) -> db::Result<(Option<Address>, Option<Address>)> {
    let mut before = None;
    let mut at = address.previous();
    for _ in 0..STEPS {
        let Some(end) = at else { break };
        let Some(gap) = gap_before(tx, tenant, end).await? else { break };
        if gap.range.last() < subnet.cidr.network() {
            break;
        }
        if gap.subnet == subnet.id && gap.kind == Kind::Static {
            before = Some(gap.range.last().min(end));
            break;
        }
        at = gap.range.first().previous();
    }
    let mut after = None;
    if let Some(next) = address.next().filter(|next| subnet.cidr.contains(*next)) {
        let inside = gap_before(tx, tenant, next).await?;
        let inside = inside.filter(|gap| gap.range.contains(next));
        let ends = (next, subnet.cidr.last());
        let later = gaps_between(tx, tenant, ends, (true, false), 4).await?;
        let ours = inside.into_iter().chain(later);
        let mut ours = ours.filter(|gap| gap.subnet == subnet.id && gap.kind == Kind::Static);
        after = ours.next().map(|gap| gap.range.first().max(next));
    }
    Ok((before, after))
}

pub(super) async fn show(by: Operator, address: web::Path<String>) -> Answer {
    let address = named(&address)?;
    ok(&page(&by, address).await?)
}

async fn page(by: &Operator, address: Address) -> Result<ShowPage, Error> {
    let mut tx = by.read().await?;
    let tenant = by.tenant();
    let standing = standing(&mut tx, tenant, address).await?;
    let (previous, next) = match standing.subnet() {
        Some(subnet) => neighbours(&mut tx, tenant, subnet, address).await?,
        None => (None, None),
    };
    let at = Page { offset: 0, limit: HISTORY + 1 };
    let mut history = audit::of(&mut tx, tenant, &address.to_string(), at).await?;
    let shown = usize::try_from(HISTORY).unwrap_or(usize::MAX);
    let more = history.len() > shown;
    history.truncate(shown);
    let acts = if standing.obstacle(address).is_some() {
        Vec::new()
    } else {
        Rights::of(by).acts(standing.record())
    };
    Ok(ShowPage {
        shell: by.shell(&mut tx, "/ipam/addresses").await?,
        claims: claims_on(&mut tx, tenant, address).await?,
        may_audit: by.may(Right::ReadAudit),
        may_manage: by.may(Right::ManageAddresses),
        now: by.state().clock.now(),
        address,
        standing,
        acts,
        previous,
        next,
        history,
        more,
    })
}
