//! One subnet: its facts, its pools, its map.

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::{find_one, number};
use crate::audit::{self, Page, Record};
use crate::auth::{Operator, Right};
use crate::id::SubnetId;
use crate::ipam::class::Status;
use crate::ipam::subnets::{self, Block, Cell, Listed, Map, Pool, PoolKind, Spec, Subnet, Usage};
use crate::net::{self, Cidr};
use crate::web::{Answer, Error, Shell, ok};

/// Subnets inside that the page lists; more are in the list.
const LISTED: i64 = 100;

#[derive(Deserialize)]
pub(super) struct ShowQuery {
    #[serde(default)]
    block: String,
}

#[derive(Template)]
#[template(path = "ipam/subnets/show.html")]
struct ShowPage {
    shell: Shell,
    subnet: Subnet,
    spec: Spec,
    pools: Vec<Pool>,
    path: Vec<Subnet>,
    children: Vec<Listed>,
    inside: i64,
    usage: Usage,
    map: MapView,
    history: Vec<Record>,
    may_manage: bool,
    may_reserve: bool,
}

impl ShowPage {
    fn typed(&self, kind: PoolKind) -> String {
        let (pools, rest) = match kind {
            PoolKind::Static => {
                (&self.spec.statics, "every usable address that DHCP does not have")
            }
            PoolKind::Dhcp => (&self.spec.dhcp, "what the static pools leave"),
            PoolKind::Excluded => {
                let ranges = net::show_ranges(&self.spec.excluded);
                return if ranges.is_empty() { "none".to_owned() } else { ranges };
            }
        };
        let shown = subnets::show(pools);
        if shown.is_empty() { rest.to_owned() } else { shown }
    }
}

/// The map as the page shows it.
pub(super) struct MapView {
    id: SubnetId,
    block: Cidr,
    /// The whole subnet, and each larger block on the way to this one.
    way: Vec<(Cidr, String)>,
    map: Map,
}

impl MapView {
    fn link(id: SubnetId, cidr: Cidr) -> String {
        format!("/ipam/subnets/{id}?block={cidr}#map")
    }

    fn of(subnet: &Subnet, block: Cidr, map: Map) -> Self {
        let mut way = Vec::new();
        let mut at = subnet.cidr;
        // Larger blocks are those a reader comes through: each step is one map.
        while at != block && at.covers(block) {
            way.push((at, Self::link(subnet.id, at)));
            let Some(next) =
                subnets::cells_of(at).and_then(|length| Cidr::around(block.network(), length))
            else {
                break;
            };
            if !next.covers(block) {
                break;
            }
            at = next;
        }
        Self { id: subnet.id, block, way, map }
    }

    fn zoom(&self, block: &Block) -> String {
        Self::link(self.id, block.cidr)
    }

    fn begins_row(address: &net::Address) -> bool {
        address.number().is_multiple_of(256)
    }

    /// How many cells of each sort a grid has: its legend.
    fn legend(&self) -> Vec<(&'static str, &'static str, usize)> {
        let Map::Addresses(cells) = &self.map else { return Vec::new() };
        let sorts = [
            (Status::Available.as_str(), "available"),
            (Status::Allocated.as_str(), "allocated"),
            (Status::Reserved.as_str(), "reserved"),
            (Status::Quarantine.as_str(), "quarantine"),
            ("dhcp", "free for DHCP"),
            ("withheld", "never given out"),
            ("outside", "in no pool"),
        ];
        let count = |class: &str| cells.iter().filter(|cell| cell.what.class() == class).count();
        let all = sorts.into_iter().map(|(class, word)| (class, word, count(class)));
        all.filter(|(.., count)| *count > 0).collect()
    }

    fn conflicts(&self) -> usize {
        match &self.map {
            Map::Addresses(cells) => cells.iter().filter(|cell| cell.conflict).count(),
            Map::Blocks(_) => 0,
        }
    }
}

/// What a cell says to those who ask.
pub(super) fn title(cell: &Cell) -> String {
    let mut title = format!("{} {}", cell.address, cell.what.word());
    if !cell.note.is_empty() {
        title = format!("{title}: {}", cell.note);
    }
    if cell.conflict {
        title.push_str(", in conflict");
    }
    title
}

/// How full a block is, as a style.
pub(super) fn shade(block: &Block) -> &'static str {
    match block.usage.utilisation() {
        _ if block.usage.total() == 0 => "none",
        0 => "empty",
        1..=25 => "low",
        26..=50 => "some",
        51..=75 => "much",
        76..=99 => "high",
        _ => "full",
    }
}

/// What a block says.
pub(super) fn block_title(block: &Block) -> String {
    let Usage { free, used, reserved, quarantine, dhcp } = &block.usage;
    let mut words = vec![
        format!("{used} allocated"),
        format!("{reserved} reserved"),
        format!("{} available", number(free)),
    ];
    if *quarantine > 0 {
        words.insert(2, format!("{quarantine} in quarantine"));
    }
    if *dhcp > 0 {
        words.push(format!("{} free for DHCP", number(dhcp)));
    }
    format!("{}: {}", block.cidr, words.join(", "))
}

/// What a block's cell shows: how many addresses are not free.
pub(super) fn block_count(block: &Block) -> String {
    match block.usage.taken() {
        0 => String::new(),
        n if n < 10_000 => n.to_string(),
        n => format!("{}k", n / 1000),
    }
}

pub(super) async fn show(
    by: Operator,
    id: web::Path<SubnetId>,
    query: web::Query<ShowQuery>,
) -> Answer {
    let mut tx = by.read().await?;
    let subnet = find_one(&mut tx, &by, *id).await?;
    let block = match query.block.as_str() {
        "" => subnet.cidr,
        text => text.parse::<Cidr>().ok().filter(|block| subnet.cidr.covers(*block)).ok_or(
            Error::BadRequest("this block is not in the subnet; go back and choose one of its map"),
        )?,
    };
    let tenant = by.tenant();
    let pools = subnets::pools(&mut tx, subnet.id).await?;
    let (children, inside) = subnets::first_children(&mut tx, tenant, subnet.id, LISTED).await?;
    let map = subnets::map(&mut tx, tenant, &subnet, block).await?;
    let page = Page { offset: 0, limit: 20 };
    let history = audit::of(&mut tx, tenant, &subnet.id.to_string(), page).await?;
    ok(&ShowPage {
        shell: by.shell(&mut tx, super::PATH).await?,
        spec: subnets::spec(&subnet, &pools),
        path: subnets::path(&mut tx, tenant, &subnet).await?,
        usage: subnets::usage(&mut tx, tenant, &subnet, inside == 0).await?,
        map: MapView::of(&subnet, block, map),
        may_manage: by.may(Right::ManageAddresses),
        may_reserve: by.may(Right::ReserveAddresses),
        subnet,
        pools,
        children,
        inside,
        history,
    })
}
