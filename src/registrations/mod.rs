//! Who is registered: heard from Asterisk over the manager interface, kept for good, and put beside
//! what is known of users, phones and addresses.
//!
//! Asterisk's word is believed as a whole or not at all. A registration ends here only when
//! Asterisk, telling everything, does not tell it any more; nothing is ever emptied. Which device
//! it is, Asterisk does not know: the MAC is read from what the phone calls itself or from the
//! instance in its contact, or concluded from who has the line and who fetched its file from that
//! address, and it is said which. The manager interface tells of an instance (RFC 5626, where phones
//! put a MAC too) only what stands in the contact's URI itself.

pub mod api;
mod contact;
mod device;
mod feed;
pub mod map;
mod queries;
mod sight;
mod store;
mod subject;
pub mod web;

use crate::audit::Page;
use crate::auth::access::Route;
use crate::db::{Result, Tx};
use crate::id::TenantId;

pub use contact::{Contact, Prefixes};
pub use device::{Source, mac as mac_in, maker};
pub use feed::{Feed, Tempo};
pub use queries::{Registration, Word};
pub use sight::{Told, tell};
pub use store::{Entry, Taken, take};
pub use subject::{BadSubject, Subject};

/// Its pages and calls.
pub fn routes() -> Vec<Route> {
    [web::routes(), api::routes()].into_iter().flatten().collect()
}

/// How good Asterisk's word is.
pub async fn word(tx: &mut Tx) -> Result<Word> {
    queries::feed(tx).await
}

/// Everything ever known of a number, a device or an address, what is there first, then the newest,
/// and how much that is.
pub async fn history(
    tx: &mut Tx,
    tenant: TenantId,
    subject: Subject,
    page: Page,
) -> Result<(Vec<Registration>, i64)> {
    let found = queries::history(tx, tenant, subject, page).await?;
    Ok((found, queries::count_history(tx, tenant, subject).await?))
}
