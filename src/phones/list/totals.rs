//! How many phones there are of each sort, and where: found by a walk over all of them, and kept
//! until something changed.

use super::Only;
use crate::audit;
use crate::db::{Result, Tx};
use crate::id::TenantId;
use crate::sql;
use crate::state::Counted;

/// How many phones there are of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// In all.
    pub all: i64,
    /// Adapters among them.
    pub atas: i64,
    /// Without a line.
    pub no_line: i64,
    /// Numbers that are registered, by whatever device.
    pub registered: i64,
    /// Phones that never fetched a file of their own.
    pub never_fetched: i64,
}

/// What people change, which is in the log.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
struct Entered {
    every: i64,
    atas: i64,
    no_line: i64,
    no_site: i64,
}

/// Phones that have a static address, which is in the log too.
#[derive(Clone, Copy, Debug)]
struct Addressed(i64);

/// Numbers that are registered.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    count: i64,
    /// How often by then something Asterisk told was written.
    changes: i64,
}

/// Phones of which a number is registered.
#[derive(Clone, Copy, Debug)]
struct Registered {
    count: i64,
    /// As for [`Numbers`].
    changes: i64,
}

/// The sites phones stand at.
#[derive(Clone, Debug)]
struct Sites(Vec<String>);

/// The sites phones of the tenant stand at, in order, one spelling of each.
pub async fn sites(tx: &mut Tx, counted: &Counted, tenant: TenantId) -> Result<Vec<String>> {
    let change = audit::head(tx).await?;
    if let Some(Sites(sites)) = counted.get(tenant, change) {
        return Ok(sites);
    }
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "SELECT min(site) FROM phone_whereabouts WHERE tenant_id = $1 AND site_key <> ''
             GROUP BY site_key ORDER BY site_key"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    let sites: Vec<String> = rows.into_iter().map(|(site,)| site).collect();
    counted.keep(tenant, change, Sites(sites.clone()));
    Ok(sites)
}

/// How many phones the tenant has.
pub async fn totals(tx: &mut Tx, counted: &Counted, tenant: TenantId) -> Result<Totals> {
    let change = audit::head(tx).await?;
    let Entered { every, atas, no_line, .. } = entered(tx, counted, tenant, change).await?;
    let (changes, fetched) = seen(tx, tenant).await?;
    let registered = match counted.get(tenant, change) {
        Some(Numbers { count, changes: at }) if at == changes => count,
        _ => {
            let count = numbers(tx, tenant).await?;
            counted.keep(tenant, change, Numbers { count, changes });
            count
        }
    };
    Ok(Totals { all: every, atas, no_line, registered, never_fetched: every - fetched })
}

/// How many phones there are of which this is so.
pub(super) async fn of_state(
    tx: &mut Tx,
    counted: &Counted,
    tenant: TenantId,
    state: Only,
) -> Result<i64> {
    let change = audit::head(tx).await?;
    let Entered { every, no_line, .. } = entered(tx, counted, tenant, change).await?;
    Ok(match state {
        Only::All => every,
        Only::NoLine => no_line,
        Only::NoAddress => every - addressed(tx, counted, tenant, change).await?,
        Only::NeverFetched => every - seen(tx, tenant).await?.1,
        Only::Registered => registered(tx, counted, tenant, change).await?,
        // Whatever is registered has a line.
        Only::Unregistered => every - no_line - registered(tx, counted, tenant, change).await?,
    })
}

/// Whether every phone says itself at which site it stands.
pub(super) async fn all_say_a_site(
    tx: &mut Tx,
    counted: &Counted,
    tenant: TenantId,
) -> Result<bool> {
    let change = audit::head(tx).await?;
    Ok(entered(tx, counted, tenant, change).await?.no_site == 0)
}

/// How many phones have a static address.
pub(super) async fn with_address(tx: &mut Tx, counted: &Counted, tenant: TenantId) -> Result<i64> {
    let change = audit::head(tx).await?;
    addressed(tx, counted, tenant, change).await
}

/// How many phones have fetched a file of their own.
pub(super) async fn with_fetched(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    Ok(seen(tx, tenant).await?.1)
}

async fn entered(tx: &mut Tx, counted: &Counted, tenant: TenantId, change: i64) -> Result<Entered> {
    if let Some(entered) = counted.get(tenant, change) {
        return Ok(entered);
    }
    let entered: Entered = tx
        .query(sql!(
            "SELECT (SELECT count(*) FROM phone WHERE tenant_id = $1) AS every,
                 (SELECT count(*) FROM phone WHERE tenant_id = $1 AND kind = 'ata') AS atas,
                 (SELECT count(*) FROM phone WHERE tenant_id = $1 AND number_sort = 100000000) AS no_line,
                 (SELECT count(*) FROM phone WHERE tenant_id = $1 AND site_key = '') AS no_site"
        ))
        .bind(tenant.to_string())
        .one()
        .await?;
    counted.keep(tenant, change, entered);
    Ok(entered)
}

async fn addressed(tx: &mut Tx, counted: &Counted, tenant: TenantId, change: i64) -> Result<i64> {
    if let Some(Addressed(count)) = counted.get(tenant, change) {
        return Ok(count);
    }
    let count = tx
        .query(sql!(
            "SELECT count(DISTINCT holder_id) FROM address WHERE tenant_id = $1 AND holder_kind = 'phone'"
        ))
        .bind(tenant.to_string())
        .scalar()
        .await?;
    counted.keep(tenant, change, Addressed(count));
    Ok(count)
}

/// How often something Asterisk told was written, and how many phones fetched a file of their own.
async fn seen(tx: &mut Tx, tenant: TenantId) -> Result<(i64, i64)> {
    tx.query(sql!(
        "SELECT changes, (SELECT count(fetched_at) FROM phone_seen WHERE tenant_id = $1)
         FROM registration_feed WHERE id = 1"
    ))
    .bind(tenant.to_string())
    .one()
    .await
}

async fn numbers(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    tx.query(sql!("SELECT count(*) FROM registration WHERE tenant_id = $1 AND present"))
        .bind(tenant.to_string())
        .scalar()
        .await
}

async fn registered(tx: &mut Tx, counted: &Counted, tenant: TenantId, change: i64) -> Result<i64> {
    let changes =
        tx.query(sql!("SELECT changes FROM registration_feed WHERE id = 1")).scalar().await?;
    if let Some(Registered { count, changes: at }) = counted.get(tenant, change)
        && at == changes
    {
        return Ok(count);
    }
    let count = tx
        .query(sql!(
            "SELECT count(*) FROM (
                 SELECT p.mac FROM registration r
                 JOIN phone p ON p.tenant_id = r.tenant_id AND p.number_sort = r.number
                 WHERE r.tenant_id = $1 AND r.present AND (r.mac = '' OR r.mac = p.mac)
                 UNION
                 SELECT l.mac FROM phone_line l JOIN extension e ON e.user_id = l.user_id
                 JOIN registration r ON r.tenant_id = e.tenant_id AND r.number = e.number
                 WHERE l.tenant_id = $1 AND l.line > 1 AND r.present AND (r.mac = '' OR r.mac = l.mac)) of_them"
        ))
        .bind(tenant.to_string())
        .scalar()
        .await?;
    counted.keep(tenant, change, Registered { count, changes });
    Ok(count)
}
