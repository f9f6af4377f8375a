//! Users: people with an extension each. Everything here changes the database at once and
//! Asterisk at the next Apply.

pub mod api;
pub mod import;
pub mod lines;
mod queries;
mod types;
pub mod web;

use serde_json::{Value, json};

use crate::audit::{self, Change, Event, Page};
use crate::db::{Result, Tx};
use crate::id::{TenantId, UserId};
use crate::ipam::addresses::{self, Holder, HolderKind};
use crate::ipam::space::Space;
use crate::lifecycle;
use crate::numbering::{ExtensionNumber, ExtensionRange};
use crate::secrets::{Vault, VaultError};
use crate::state::Counted;
use crate::tenants;
use crate::web::Error;

pub use types::{
    BadEmail, BadPersonName, Edit, Email, Filter, NewUser, PersonName, SipSecret, Sort, Totals,
    User,
};

/// Why a user cannot be created or changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Somebody in the tenant has the address.
    #[error("{0} belongs to another user")]
    EmailTaken(Email),
    /// Somebody has the number.
    #[error("{0} belongs to another user")]
    NumberTaken(ExtensionNumber),
    /// The number is not the tenant's to give.
    #[error("{number} is not in the range {range}")]
    NumberOutside {
        /// The number wished for.
        number: ExtensionNumber,
        /// What could be given.
        range: ExtensionRange,
    },
    /// Every number is taken.
    #[error("All extensions in range {0} are allocated. Delete users to free extensions.")]
    Exhausted(ExtensionRange),
    /// There is no such user in the tenant.
    #[error("there is no such user")]
    Missing,
    /// Somebody changed the user meanwhile; this is what it is now.
    #[error("somebody changed this user meanwhile")]
    Stale(Box<User>),
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Self {
        Self::Fault(error.into())
    }
}

impl Refusal {
    /// The field it is about.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::EmailTaken(_) => Some("email"),
            Self::NumberTaken(_) | Self::NumberOutside { .. } | Self::Exhausted(_) => {
                Some("extension")
            }
            _ => None,
        }
    }
}

/// Adds a user with the number wished for, or else the lowest free one.
pub async fn create(
    change: &mut Change,
    vault: &Vault,
    new: &NewUser,
) -> std::result::Result<(User, SipSecret), Refusal> {
    let range = tenants::lock_numbers(change).await?;
    create_from(change, vault, new, &mut range.first(), range).await
}

/// As [`create`] for one of many, in a tenant already locked: every number below `from` is taken.
async fn create_from(
    change: &mut Change,
    vault: &Vault,
    new: &NewUser,
    from: &mut ExtensionNumber,
    range: ExtensionRange,
) -> std::result::Result<(User, SipSecret), Refusal> {
    let (tenant, now) = (change.tenant(), change.at());
    let id = UserId::from(vault.entropy().id(now).map_err(Error::from)?);
    if !queries::insert(change, tenant, id, new).await? {
        return Err(Refusal::EmailTaken(new.email.clone()));
    }
    let number = match new.number {
        Some(number) if !range.contains(number) => {
            return Err(Refusal::NumberOutside { number, range });
        }
        Some(number) => number,
        None => lowest_free(change.tx(), tenant, from, range).await?,
    };
    let secret = SipSecret::generate(vault.entropy()).map_err(Error::from)?;
    let sealed = vault.seal(&place(tenant, id), secret.expose().as_bytes())?;
    if !queries::insert_extension(change, tenant, number, id, sealed).await? {
        return Err(Refusal::NumberTaken(number));
    }
    let user = User {
        id,
        name: new.name.clone(),
        email: new.email.clone(),
        number,
        enabled: true,
        version: 1,
        created_at: now,
        updated_at: now,
        secret_at: now,
    };
    change.record(
        Event::new("user.created", &label(&user), &id).after(describe(&user)).affects_asterisk(),
    );
    Ok((user, secret))
}

async fn lowest_free(
    tx: &mut Tx,
    tenant: TenantId,
    from: &mut ExtensionNumber,
    range: ExtensionRange,
) -> std::result::Result<ExtensionNumber, Refusal> {
    let free = queries::lowest_free(tx, tenant, *from, range).await?;
    let free = ExtensionNumber::try_from(free).ok().filter(|number| range.contains(*number));
    let number = free.ok_or(Refusal::Exhausted(range))?;
    *from = number;
    Ok(number)
}

/// Changes a user who is still at `version` (`None`: whatever the version). The addresses a user
/// holds say the new name, and so does their phone.
pub async fn edit(
    change: &mut Change,
    vault: &Vault,
    id: UserId,
    version: Option<i64>,
    edit: &Edit,
) -> std::result::Result<User, Refusal> {
    let tenant = change.tenant();
    let range = tenants::lock_numbers(change).await?;
    let old = queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    if version.is_some_and(|version| version != old.version) {
        return Err(Refusal::Stale(Box::new(old)));
    }
    let mut user = old.clone();
    edit.clone().write_to(&mut user);
    if user == old {
        return Ok(old);
    }
    allowed(change.tx(), tenant, range, &old, &user).await?;
    if !queries::update(change, tenant, &user, old.version).await? {
        return Err(Refusal::Stale(Box::new(old)));
    }
    user.version += 1;
    user.updated_at = change.at();
    if user.name != old.name {
        let mut space = Space::open(change, vault.entropy()).await?;
        addresses::rename(&mut space, &holder(&user)).await.map_err(fault)?;
        space.close().await?;
    }
    if (&user.name, user.number) != (&old.name, old.number) {
        lines::renamed(change, vault, id).await?;
    }
    let event = Event::new("user.changed", &label(&user), &id)
        .before(describe(&old))
        .after(describe(&user));
    // Asterisk is not told of e-mail addresses.
    let told = (&old.name, old.number, old.enabled) != (&user.name, user.number, user.enabled);
    change.record(if told { event.affects_asterisk() } else { event });
    Ok(user)
}

async fn allowed(
    tx: &mut Tx,
    tenant: TenantId,
    range: ExtensionRange,
    old: &User,
    new: &User,
) -> std::result::Result<(), Refusal> {
    if new.number != old.number && !range.contains(new.number) {
        return Err(Refusal::NumberOutside { number: new.number, range });
    }
    if queries::number_taken(tx, tenant, new.id, new.number).await? {
        return Err(Refusal::NumberTaken(new.number));
    }
    if queries::email_taken(tx, tenant, new.id, &new.email.key()).await? {
        return Err(Refusal::EmailTaken(new.email.clone()));
    }
    Ok(())
}

/// Removes a user. The number is free at once; so are the line their phone had and the addresses
/// they held, or the addresses are those' who claimed them. Assignments end as any end: outside
/// systems are told first. Returns who it was, and which addresses and prefixes.
pub async fn delete(
    change: &mut Change,
    vault: &Vault,
    id: UserId,
) -> std::result::Result<(User, Vec<String>), Refusal> {
    let tenant = change.tenant();
    let mut space = Space::open(change, vault.entropy()).await?;
    let user = queries::get(space.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    let why = format!("{} was deleted", user.name);
    let ended = lifecycle::leave(&mut space, &holder(&user), &why).await.map_err(ended)?;
    let released = addresses::leave(&mut space, &holder(&user), &why).await.map_err(fault)?;
    let ended = ended.iter().map(ToString::to_string);
    let released = ended.chain(released.iter().map(ToString::to_string)).collect();
    space.close().await?;
    let line = queries::line_of(change.tx(), tenant, id).await?;
    if !queries::delete(change, tenant, id).await? {
        return Err(Refusal::Missing);
    }
    if let Some((mac, _)) = line {
        lines::left(change, vault, mac, &label(&user)).await?;
    }
    change.record(
        Event::new("user.deleted", &label(&user), &id).before(describe(&user)).affects_asterisk(),
    );
    Ok((user, released))
}

/// The addresses and prefixes a user holds, in their order.
pub async fn held(tx: &mut Tx, tenant: TenantId, user: &User) -> Result<Vec<String>> {
    let held = addresses::held_by(tx, tenant, &holder(user)).await?;
    let assigned = lifecycle::of_holder(tx, tenant, &holder(user)).await?;
    let prefixes = assigned.iter().filter_map(|one| match one.held() {
        Some(prefix @ lifecycle::Leased::Prefix(_)) => Some(prefix.to_string()),
        _ => None,
    });
    Ok(held.iter().map(|record| record.address.to_string()).chain(prefixes).collect())
}

/// What a user holds addresses as.
fn holder(user: &User) -> Holder {
    Holder { kind: HolderKind::User, id: user.id.to_string(), name: user.name.to_string() }
}

/// Nobody can refuse to let a user go: whatever goes wrong is a fault.
fn fault(refusal: addresses::Refusal) -> Refusal {
    match refusal {
        addresses::Refusal::Fault(error) => Refusal::Fault(error),
        other => Refusal::Fault(sqlx::Error::Protocol(other.to_string()).into()),
    }
}

/// As [`fault`], of assignments.
fn ended(refusal: lifecycle::Refusal) -> Refusal {
    Refusal::Fault(refusal.into_fault())
}

/// Gives a user a new secret. The phone keeps its registration until it has to renew it.
pub async fn rotate(
    change: &mut Change,
    vault: &Vault,
    id: UserId,
) -> std::result::Result<(User, SipSecret), Refusal> {
    let tenant = change.tenant();
    let mut user = queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    let secret = SipSecret::generate(vault.entropy()).map_err(Error::from)?;
    let sealed = vault.seal(&place(tenant, id), secret.expose().as_bytes())?;
    queries::set_secret(change, tenant, id, sealed).await?;
    user.version += 1;
    user.secret_at = change.at();
    change.record(
        Event::new("user.secret_rotated", &label(&user), &id)
            .after(json!({ "secret": audit::masked() }))
            .affects_asterisk(),
    );
    Ok((user, secret))
}

/// Shows a secret again. That it was shown is noted like any change.
pub async fn reveal(
    change: &mut Change,
    vault: &Vault,
    id: UserId,
) -> std::result::Result<(User, SipSecret), Refusal> {
    let tenant = change.tenant();
    let user = queries::get(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    let sealed = queries::secret(change.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    let secret = open(vault, tenant, id, &sealed)?;
    change.record(Event::new("user.secret_revealed", &label(&user), &id));
    Ok((user, secret))
}

/// What a user's phone signs in with, for the file the phone boots from: nobody sees it.
pub async fn secret(
    tx: &mut Tx,
    vault: &Vault,
    tenant: TenantId,
    id: UserId,
) -> std::result::Result<Option<SipSecret>, Error> {
    let sealed = queries::secret(tx, tenant, id).await?;
    Ok(sealed.map(|sealed| open(vault, tenant, id, &sealed)).transpose()?)
}

/// A page of users and how many match the filter; `totals` are those of the same moment.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    page: Page,
    totals: Totals,
) -> Result<(Vec<User>, i64)> {
    let (users, found) = queries::list(tx, tenant, filter, sort, page).await?;
    if let Some(found) = found {
        return Ok((users, found));
    }
    let shown = i64::try_from(users.len()).unwrap_or(i64::MAX);
    // A page that is not full is the last: it tells how many there are.
    if (1..page.limit).contains(&shown) || (shown == 0 && page.offset == 0) {
        return Ok((users, page.offset + shown));
    }
    if !filter.search.is_empty() {
        return Ok((users, queries::count(tx, tenant, filter).await?));
    }
    let matching = match filter.enabled {
        None => totals.all,
        Some(true) => totals.all - totals.disabled,
        Some(false) => totals.disabled,
    };
    Ok((users, matching))
}

/// All users who match the filter, for an export.
pub async fn everybody(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
) -> Result<Vec<User>> {
    let all = Page { offset: 0, limit: i64::MAX };
    Ok(queries::list(tx, tenant, filter, sort, all).await?.0)
}

/// One user of the tenant.
pub async fn get(tx: &mut Tx, tenant: TenantId, id: UserId) -> Result<Option<User>> {
    queries::get(tx, tenant, id).await
}

/// Who has a number of the tenant.
pub async fn by_number(
    tx: &mut Tx,
    tenant: TenantId,
    number: ExtensionNumber,
) -> Result<Option<UserId>> {
    queries::by_number(tx, tenant, number).await
}

/// How many users the tenant has, and how many of them are disabled. Whatever changes that is in
/// the log.
pub async fn totals(tx: &mut Tx, counted: &Counted, tenant: TenantId) -> Result<Totals> {
    let change = audit::head(tx).await?;
    if let Some(totals) = counted.get(tenant, change) {
        return Ok(totals);
    }
    let totals = queries::totals(tx, tenant).await?;
    counted.keep(tenant, change, totals);
    Ok(totals)
}

/// A number Asterisk is to serve.
pub struct Active {
    /// Whose it is.
    pub tenant: TenantId,
    /// The number.
    pub number: ExtensionNumber,
    /// What callees see.
    pub name: PersonName,
    /// What the phone registers with, still sealed.
    sealed: Vec<u8>,
    user: UserId,
}

impl Active {
    /// Whose number it is.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Opens the secret.
    pub fn secret(&self, vault: &Vault) -> std::result::Result<SipSecret, VaultError> {
        open(vault, self.tenant, self.user, &self.sealed)
    }
}

/// Every number Asterisk is to serve, of all tenants, in order.
pub async fn active(tx: &mut Tx) -> Result<Vec<Active>> {
    let decode = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
    let rows = queries::active(tx).await?;
    let parse = |row: queries::ActiveRow| {
        Ok(Active {
            tenant: row.tenant_id.try_into().map_err(|error| decode(Box::new(error)))?,
            user: row.user_id.try_into().map_err(|error| decode(Box::new(error)))?,
            number: row.number.try_into().map_err(|error| decode(Box::new(error)))?,
            name: row.name.try_into().map_err(|error| decode(Box::new(error)))?,
            sealed: row.secret,
        })
    };
    rows.into_iter().map(parse).collect()
}

/// Where a user's secret belongs: sealed for one, it opens for nobody else.
fn place(tenant: TenantId, id: UserId) -> String {
    format!("secret/{tenant}/{id}")
}

fn open(
    vault: &Vault,
    tenant: TenantId,
    id: UserId,
    sealed: &[u8],
) -> std::result::Result<SipSecret, VaultError> {
    let plain = vault.unseal(&place(tenant, id), sealed)?;
    String::from_utf8(plain).map(SipSecret::stored).map_err(|_| VaultError::Sealed)
}

fn label(user: &User) -> String {
    format!("{} {}", user.number, user.name)
}

fn describe(user: &User) -> Value {
    json!({
        "name": user.name.to_string(),
        "email": user.email.to_string(),
        "extension": user.number,
        "enabled": user.enabled,
    })
}

#[cfg(test)]
impl Active {
    /// Someone for the tests of whoever tells Asterisk of users.
    pub(crate) fn sample(vault: &Vault, number: i64, name: &str) -> Self {
        let user = UserId::from(uuid::Uuid::from_u128(number.unsigned_abs().into()));
        let secret = SipSecret::generate(vault.entropy()).unwrap();
        Self {
            tenant: TenantId::DEFAULT,
            number: number.try_into().unwrap(),
            name: name.parse().unwrap(),
            sealed: vault
                .seal(&place(TenantId::DEFAULT, user), secret.expose().as_bytes())
                .unwrap(),
            user,
        }
    }
}
