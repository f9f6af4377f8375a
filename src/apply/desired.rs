//! One snapshot of everything Asterisk needs to know.

use crate::audit;
use crate::db::{Db, Result};
use crate::phones::told::{self, ToldOf};
use crate::tenants::{self, Tenant};
use crate::users::{self, Active};

/// What the database says, at one moment.
pub struct Desired {
    /// The newest change it contains.
    pub audit_seq: i64,
    /// All tenants, the default one first.
    pub tenants: Vec<Tenant>,
    /// Every number to be served, by tenant and number.
    pub active: Vec<Active>,
    /// What their phones ask of Asterisk that is not usual.
    pub told: ToldOf,
}

/// Reads the snapshot.
pub async fn read(db: &Db) -> Result<Desired> {
    let mut tx = db.read().await?;
    Ok(Desired {
        audit_seq: audit::head(&mut tx).await?,
        tenants: tenants::all(&mut tx).await?,
        active: users::active(&mut tx).await?,
        told: told::all(&mut tx).await?,
    })
}
