//! Subnets and addresses by the thousand, made by the program's own operations.

use anyhow::Context as _;
use patchbay::audit::{Actor, ChainKey, Event, Via};
use patchbay::db::Db;
use patchbay::ipam::addresses::{Holder, HolderKind, Record};
use patchbay::ipam::class::{Kind, Status};
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Spec};
use patchbay::net::Cidr;
use patchbay::secrets::{Entropy, Vault};
use patchbay::state::{Bookmarks, Counted, State};
use patchbay::time::{Clock, Timestamp};

use crate::program::Site;

/// Addresses in each subnet.
const EACH: u32 = 100;
/// Subnets made in one change.
const STRIDE: u32 = 500;

/// A site's database, opened beside the program.
pub async fn open(site: &Site) -> anyhow::Result<State> {
    let config = site.config()?;
    let vault = Vault::open(&config.secret_key_file, Entropy::system())?;
    let db = Db::connect(&config.database_url).await?;
    db.migrate().await?;
    Ok(State {
        chain: ChainKey::of(&vault),
        clock: Clock::system(),
        public_url: config.public_url.clone(),
        phones_url: config.phones.url.clone(),
        proxies: config.trusted_proxies.clone().into(),
        data_dir: config.data_dir.clone(),
        counted: Counted::default(),
        bookmarks: Bookmarks::default(),
        db,
        vault,
    })
}

/// `subnets` of 256 addresses below 10.0.0.0, each with 100 of them in use.
pub async fn fill(state: &State, subnets: u32) -> anyhow::Result<()> {
    let actor = Actor::local("bench", Via::CommandLine);
    for first in (0..subnets).step_by(usize::try_from(STRIDE)?) {
        let mut change = state.change(&actor).await?;
        let mut space = Space::open(&mut change, state.vault.entropy()).await?;
        for number in first..(first + STRIDE).min(subnets) {
            one(&mut space, number).await.with_context(|| format!("subnet {number}"))?;
        }
        space.record(Event::new("bench.filled", &"bench", &"bench"));
        space.close().await?;
        change.commit().await?;
    }
    Ok(())
}

async fn one(space: &mut Space<'_>, number: u32) -> anyhow::Result<()> {
    let cidr: Cidr = format!("10.{}.{}.0/24", number / 256, number % 256).parse()?;
    let mut spec = Spec::new(format!("Net {number:05}").parse()?, cidr);
    spec.gateway = cidr.network().plus(1);
    spec.site = format!("Site {}", number % 50).parse()?;
    let subnet = subnets::create(space, &spec, false, false)
        .await
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let first = space.ids(usize::try_from(EACH)?).await?;
    let now = space.at();
    let mut records = Vec::new();
    for n in 0..EACH {
        let address = cidr
            .network()
            .plus(u128::from(2 + n * 2 + (number + n) % 2))
            .context("the subnet is larger")?;
        let mut record =
            Record::new(address, first + i64::from(n), Some(subnet.id), Kind::Static, now);
        describe(&mut record, number * EACH + n)?;
        records.push(record);
    }
    space.add_all(&records).await?;
    space.refill(&subnet).await?;
    Ok(())
}

/// What an address of an office looks like: most held, some kept, a few out of use.
fn describe(record: &mut Record, n: u32) -> anyhow::Result<()> {
    record.status = match n % 100 {
        0..78 => Status::Allocated,
        78..94 => Status::Reserved,
        _ => Status::Quarantine,
    };
    record.active = n.is_multiple_of(3) && record.status == Status::Allocated;
    record.last_seen = record.active.then_some(Timestamp(record.since.0 - i64::from(n % 86_400)));
    match record.status {
        Status::Allocated => {
            // Numbers spread, so that neighbours do not look alike.
            let spread = n.wrapping_mul(2_654_435_761);
            record.hostname = format!("sip-t46s-{n:07}").parse()?;
            record.mac = Some(format!("0015{spread:08x}").parse()?);
            let holder = Holder {
                kind: HolderKind::External,
                id: n.to_string(),
                name: format!("Person {n}"),
            };
            record.holder = Some(holder);
        }
        Status::Reserved => {
            record.description = format!("printer in room {n}").parse()?;
            record.reserved_by = format!("operator{}", n % 20);
        }
        _ => record.reason = format!("answers, nobody owns it ({n})").parse()?,
    }
    Ok(())
}
