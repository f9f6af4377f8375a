//! Lists of phones: which, in what order, and what is shown of each.

mod queries;

use crate::audit;
use crate::db::{Result, Tx};
use crate::id::{ProfileId, TenantId, UserId};
use crate::models::{Kind, Model, Vendor};
use crate::net::{Address, Mac};
use crate::numbering::ExtensionNumber;
use crate::sql;
use crate::state::Counted;
use crate::text::ByName;
use crate::time::Timestamp;
use crate::users::lines;

pub use queries::list;

/// Which phones a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Part of a MAC in any notation, a label, a number, a name, an address, site, model, notes.
    pub search: String,
    /// Only one make.
    pub vendor: Option<Vendor>,
    /// Only one model.
    pub model: Option<&'static Model>,
    /// Only one site, by its name.
    pub site: String,
    /// Only phones, or only adapters.
    pub kind: Option<Kind>,
    /// Only those that chose this profile.
    pub profile: Option<ProfileId>,
    /// Only those of which this is so.
    pub state: Only,
}

impl Filter {
    /// Whether every phone is shown.
    fn is_everything(&self) -> bool {
        !self.is_search() && self.says_nothing_else()
    }

    /// Whether something is searched for.
    fn is_search(&self) -> bool {
        !self.search.trim().is_empty()
    }

    /// Whether nothing else is asked.
    fn is_search_alone(&self) -> bool {
        self.is_search() && self.says_nothing_else()
    }

    fn says_nothing_else(&self) -> bool {
        let Self { search: _, vendor, model, site, kind, profile, state } = self;
        site.trim().is_empty()
            && (vendor.is_none() && model.is_none() && kind.is_none() && profile.is_none())
            && *state == Only::All
    }
}

/// What may be so of a phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Only {
    /// Anything.
    #[default]
    All,
    /// One of its numbers is registered, as far as is known by this phone.
    Registered,
    /// It has a line and none is registered.
    Unregistered,
    /// It never fetched a file of its own.
    NeverFetched,
    /// It has no line.
    NoLine,
    /// It has no static address.
    NoAddress,
}

impl ByName for Only {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::All, ""),
        (Self::Registered, "registered"),
        (Self::Unregistered, "unregistered"),
        (Self::NeverFetched, "never_fetched"),
        (Self::NoLine, "no_line"),
        (Self::NoAddress, "no_address"),
    ];
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; Down is the other way round")]
pub enum Sort {
    #[default]
    Title,
    TitleDown,
    Number,
    NumberDown,
    Mac,
    MacDown,
    Model,
    ModelDown,
    Site,
    SiteDown,
    Address,
    AddressDown,
    Fetched,
    FetchedDown,
    Created,
    CreatedDown,
}

impl ByName for Sort {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Title, "name"),
        (Self::TitleDown, "-name"),
        (Self::Number, "number"),
        (Self::NumberDown, "-number"),
        (Self::Mac, "mac"),
        (Self::MacDown, "-mac"),
        (Self::Model, "model"),
        (Self::ModelDown, "-model"),
        (Self::Site, "site"),
        (Self::SiteDown, "-site"),
        (Self::Address, "address"),
        (Self::AddressDown, "-address"),
        (Self::Fetched, "fetched"),
        (Self::FetchedDown, "-fetched"),
        (Self::Created, "created"),
        (Self::CreatedDown, "-created"),
    ];
}

/// A phone as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its hardware address.
    pub mac: Mac,
    /// What it is.
    pub model: &'static Model,
    /// What people call it; may be empty.
    pub label: String,
    /// Where it stands; may be empty.
    pub site: String,
    /// Its notes; may be empty.
    pub notes: String,
    /// The profile it chose; may be empty.
    pub profile: String,
    /// Its lines.
    pub lines: Vec<ListedLine>,
    /// Its static address.
    pub address: Option<Address>,
    /// When it last fetched a file of its own.
    pub fetched_at: Option<Timestamp>,
    /// Counts changes.
    pub version: i64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Listed {
    /// What people read where it is named.
    pub fn title(&self) -> String {
        let first = self.lines.first().map(|line| (line.number, line.name.as_str()));
        lines::title(&self.label, first, self.mac)
    }

    /// Whether one of its numbers is registered.
    pub fn is_registered(&self) -> bool {
        self.lines.iter().any(|line| line.registered)
    }
}

/// A line of a phone as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedLine {
    /// 1 is the first.
    pub line: u8,
    /// Whose extension.
    pub user: UserId,
    /// That extension.
    pub number: ExtensionNumber,
    /// What the person is called.
    pub name: String,
    /// What the phone writes beside it; empty is the number.
    pub label: String,
    /// Whether the number is registered and, as far as is known, by this phone.
    pub registered: bool,
}

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
#[derive(Clone, Copy, Debug, Default, sqlx::FromRow)]
struct Entered {
    every: i64,
    atas: i64,
    no_line: i64,
}

/// What phones change.
#[derive(Clone, Copy, Debug, Default, sqlx::FromRow)]
struct Seen {
    registered: i64,
    fetched: i64,
}

/// How many phones the tenant has.
pub async fn totals(tx: &mut Tx, counted: &Counted, tenant: TenantId) -> Result<Totals> {
    let Entered { every, atas, no_line } = entered(tx, counted, tenant).await?;
    let Seen { registered, fetched } = tx
        .query(sql!(
            "SELECT (SELECT count(*) FROM registration WHERE tenant_id = $1 AND present) AS registered,
                 (SELECT count(fetched_at) FROM phone_seen WHERE tenant_id = $1) AS fetched"
        ))
        .bind(tenant.to_string())
        .one()
        .await?;
    Ok(Totals { all: every, atas, no_line, registered, never_fetched: every - fetched })
}

async fn entered(tx: &mut Tx, counted: &Counted, tenant: TenantId) -> Result<Entered> {
    let change = audit::head(tx).await?;
    if let Some(entered) = counted.get(tenant, change) {
        return Ok(entered);
    }
    let entered: Entered = tx
        .query(sql!(
            "SELECT (SELECT count(*) FROM phone WHERE tenant_id = $1) AS every,
                 (SELECT count(*) FROM phone WHERE tenant_id = $1 AND kind = 'ata') AS atas,
                 (SELECT count(*) FROM phone WHERE tenant_id = $1 AND number_sort = 100000000) AS no_line"
        ))
        .bind(tenant.to_string())
        .one()
        .await?;
    counted.keep(tenant, change, entered);
    Ok(entered)
}

/// The sites phones of the tenant stand in, in order.
pub async fn sites(tx: &mut Tx, tenant: TenantId) -> Result<Vec<String>> {
    // From each key to the next: there are few sites and many phones.
    let rows: Vec<(String,)> = tx
        .query(sql!(
            "WITH RECURSIVE sites (key) AS (
                 SELECT min(site_key) FROM phone WHERE tenant_id = $1 AND site_key > ''
                 UNION ALL
                 SELECT (SELECT min(p.site_key) FROM phone p WHERE p.tenant_id = $1 AND p.site_key > sites.key)
                 FROM sites WHERE sites.key IS NOT NULL)
             SELECT (SELECT p.site FROM phone p WHERE p.tenant_id = $1 AND p.site_key = sites.key
                     ORDER BY p.mac LIMIT 1)
             FROM sites WHERE sites.key IS NOT NULL ORDER BY sites.key"
        ))
        .bind(tenant.to_string())
        .all()
        .await?;
    Ok(rows.into_iter().map(|(site,)| site).collect())
}
