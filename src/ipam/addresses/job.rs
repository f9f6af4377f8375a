//! One thing done with one address, for pages and calls alike.

use super::types::{Edit, Note, Purpose, Tenure};
use super::{Outcome, assign, edit, end, quarantine, release, resolve, unchanged};
use crate::auth::Operator;
use crate::id::ClaimId;
use crate::ipam::space::Space;
use crate::ipam::web::reserver;
use crate::net::Address;
use crate::text::Line;
use crate::time::Timestamp;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Something else is known of it.
    Edit(Edit),
    /// It is kept.
    Reserve {
        /// Why.
        note: Note,
        /// When that ends by itself.
        until: Option<Timestamp>,
    },
    /// It is given back, or its quarantine ends.
    Release,
    /// It is taken out of use.
    Quarantine {
        /// Why.
        reason: Note,
        /// When that ends by itself.
        until: Option<Timestamp>,
    },
    /// It is given to somebody.
    Allocate(Tenure),
    /// A conflict is decided.
    Resolve {
        /// Whose claim it is about.
        claim: ClaimId,
        /// Whether the claimant gets the address.
        give: bool,
    },
    /// The machine seen at a free address is forgotten.
    Forget,
}

/// Does it, if the address still has the `stamp` (`None`: whatever it has), and notes `why` in its
/// history; whether anything is different now.
pub async fn perform(
    by: &Operator,
    address: Address,
    stamp: Option<i64>,
    job: &Job,
    why: &Line<500>,
) -> Outcome<bool> {
    let who = reserver(by);
    let mut change = by.change().await?;
    change.explain(why);
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    unchanged(&mut space, address, stamp).await?;
    match job {
        Job::Edit(new) => drop(edit(&mut space, address, None, new, &who).await?),
        Job::Reserve { note, until } => {
            let purpose = Purpose::Reserve { note: note.clone(), until: *until };
            assign(&mut space, address, &purpose, &who).await?;
        }
        Job::Release => release(&mut space, address, &who).await?,
        Job::Quarantine { reason, until } => {
            quarantine(&mut space, address, reason, *until).await?;
        }
        Job::Allocate(tenure) => {
            assign(&mut space, address, &Purpose::Allocate(tenure.clone()), &who).await?;
        }
        Job::Resolve { claim, give } => resolve(&mut space, address, *claim, *give).await?,
        Job::Forget => end(&mut space, address).await?,
    }
    space.close().await?;
    Ok(change.commit_if_any().await?)
}
