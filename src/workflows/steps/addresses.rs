//! Steps about addresses and prefixes: everything goes through the one machine of the lifecycle.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::person::noted;
use super::phone::Connected;
use super::{Done, Place, Trouble};
use crate::audit::Change;
use crate::db::{Result, Tx};
use crate::id::{AssignmentId, TenantId};
use crate::ipam::addresses::{Holder, HolderKind, Tenure};
use crate::ipam::space::Space;
use crate::lifecycle::{self, Assignment, Family, How, Release, Role, State, Wanted};
use crate::phones::{self, Phone};
use crate::text::Line;
use crate::users::{User, lines};
use crate::workflows::input::{Activation, LeaseWish, What};
use crate::workflows::types::StepName;

/// What was allocated.
#[derive(Serialize, Deserialize)]
struct Allocated {
    assignment: AssignmentId,
    address: String,
    /// Whether the phone had it before.
    #[serde(default)]
    kept: bool,
}

/// What was suspended or reactivated, with the reasons there were.
#[derive(Default, Serialize, Deserialize)]
struct Moved {
    assignments: Vec<(AssignmentId, String)>,
}

/// Who a user's addresses belong to.
pub(super) fn of_user(user: &User) -> Holder {
    Holder { kind: HolderKind::User, id: user.id.to_string(), name: user.name.to_string() }
}

/// Who a phone's addresses belong to.
pub(super) fn of_phone(phone: &Phone) -> Holder {
    lines::holder(phone.mac, phone.title())
}

fn family(step: StepName) -> Family {
    match step {
        StepName::AllocateIpv6 => Family::Ipv6,
        StepName::AllocatePrefix => Family::Prefix,
        _ => Family::Ipv4,
    }
}

/// Addresses are the phone's if there is one, prefixes the person's.
pub(super) async fn allocate(change: &mut Change, place: &Place<'_>) -> Done<Value> {
    let (tenant, family) = (change.tenant(), family(place.step.name));
    let leases = &place.provision()?.leases;
    let Some(wish) = leases.iter().find(|lease| lease.family == family) else {
        return Err(Trouble::Refused("nothing was wished for".to_owned()));
    };
    let user = place.user(change).await?;
    let connected = place.noted::<Connected>(StepName::ConnectPhone);
    let mac = connected.and_then(|connected| connected.mac()).filter(|_| family != Family::Prefix);
    let phone = match mac {
        Some(mac) => phones::get(change.tx(), tenant, mac).await?,
        None => None,
    };
    let tenure = phone.as_ref().map_or_else(|| Tenure::of(of_user(&user)), phones::tenure);
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    let wanted = wanted(wish, tenure);
    let (one, kept) = match already(&mut space, &wanted).await? {
        Some(one) => (one, true),
        None => {
            (lifecycle::allocate(&mut space, &wanted, &How::default()).await?.assignment, false)
        }
    };
    space.close().await?;
    let address = one.leased.map(|leased| leased.to_string()).unwrap_or_default();
    noted(&Allocated { assignment: one.id, address, kept })
}

/// What a phone that was there before has: its static address, unless another is wished for.
async fn already(space: &mut Space<'_>, wanted: &Wanted) -> Result<Option<Assignment>> {
    let tenant = space.tenant();
    let holder = &wanted.tenure.holder;
    if holder.kind != HolderKind::Phone {
        return Ok(None);
    }
    let all = lifecycle::of_holder(space.tx(), tenant, holder).await?;
    Ok(all.into_iter().find(|one| {
        one.family == wanted.family
            && one.role == wanted.role
            && matches!(one.state, State::Allocated | State::Active)
            && wanted.wish.is_none_or(|wish| one.leased == Some(wish))
    }))
}

fn wanted(wish: &LeaseWish, tenure: Tenure) -> Wanted {
    Wanted {
        family: wish.family,
        tenure,
        role: Role::default(),
        from: wish.from,
        wish: wish.wish,
        length: wish.length,
    }
}

pub(super) async fn undo_allocate(change: &mut Change, place: &Place<'_>) -> Done<()> {
    let Some(Allocated { assignment, kept: false, .. }) = place.step.saved() else { return Ok(()) };
    let tenant = change.tenant();
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    if let Some(one) = lifecycle::get(space.tx(), tenant, assignment).await? {
        revoke(&mut space, &one, Release::Free).await?;
    }
    Ok(space.close().await?)
}

/// Ends an assignment, whatever its state; one that has ended stays so. The address is free at once
/// unless an outside system must be told first: then it is when that has been, by the clock.
pub(super) async fn revoke(space: &mut Space<'_>, one: &Assignment, release: Release) -> Done<()> {
    let (how, mut calls) = (How::default(), 0);
    match one.state {
        State::Revoking | State::Revoked => return Ok(()),
        State::Failed if !one.live => return Ok(()),
        State::Pending => {
            let reason: Line<500> = "it ends before it began".parse().unwrap_or_default();
            lifecycle::perform(space, one.id, &lifecycle::Step::Fail(reason), &how).await?;
            return Ok(());
        }
        State::Failed => {
            calls += lifecycle::perform(space, one.id, &lifecycle::Step::Retry, &how).await?.calls;
        }
        State::Allocated | State::Active | State::Suspended => {}
    }
    calls +=
        lifecycle::perform(space, one.id, &lifecycle::Step::Revoke(release), &how).await?.calls;
    if calls == 0 {
        lifecycle::complete(space, one.id).await?;
    }
    Ok(())
}

pub(super) async fn activate(change: &mut Change, place: &Place<'_>) -> Done<Value> {
    let (tenant, activation) = (change.tenant(), place.provision()?.activation);
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    let mut moved = Moved::default();
    for step in [StepName::AllocateIpv4, StepName::AllocateIpv6, StepName::AllocatePrefix] {
        // What the phone had before is not begun by this run: nothing could undo that.
        let Some(Allocated { assignment, kept: false, .. }) = place.noted(step) else { continue };
        let Some(one) = lifecycle::get(space.tx(), tenant, assignment).await? else { continue };
        let by_itself = one.holder.kind == HolderKind::Phone && activation == Activation::Usual;
        if one.state == State::Allocated && !by_itself {
            let step = lifecycle::Step::Activate;
            lifecycle::perform(&mut space, one.id, &step, &How::default()).await?;
            moved.assignments.push((one.id, String::new()));
        }
    }
    space.close().await?;
    noted(&moved)
}

/// What somebody has: their own, and what their phone has if nobody else has a line on it.
async fn all_of(tx: &mut Tx, tenant: TenantId, user: &User) -> Result<Vec<Assignment>> {
    let mut all = lifecycle::of_holder(tx, tenant, &of_user(user)).await?;
    if let Some(phone) = phones::of_user(tx, tenant, user.id).await?
        && phone.lines.iter().all(|line| line.user == user.id)
    {
        all.extend(lifecycle::of_holder(tx, tenant, &of_phone(&phone)).await?);
    }
    Ok(all)
}

pub(super) async fn suspend(change: &mut Change, place: &Place<'_>) -> Done<Value> {
    let (tenant, user) = (change.tenant(), place.user(change).await?);
    let reason = match &place.input.what {
        What::Suspend { reason, .. } | What::Deprovision { reason, .. } => reason.clone(),
        _ => Line::default(),
    };
    let usual = || format!("{} {} was suspended", user.number, user.name);
    let reason = if reason.is_empty() { usual().parse().unwrap_or_default() } else { reason };
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    let mut moved = Moved::default();
    for one in all_of(space.tx(), tenant, &user).await? {
        if one.state == State::Active {
            let step = lifecycle::Step::Suspend(reason.clone());
            lifecycle::perform(&mut space, one.id, &step, &How::default()).await?;
            moved.assignments.push((one.id, String::new()));
        }
    }
    space.close().await?;
    noted(&moved)
}

pub(super) async fn reactivate(change: &mut Change, place: &Place<'_>) -> Done<Value> {
    let (tenant, user) = (change.tenant(), place.user(change).await?);
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    let mut moved = Moved::default();
    for one in all_of(space.tx(), tenant, &user).await? {
        if one.state == State::Suspended {
            let step = lifecycle::Step::Reactivate;
            lifecycle::perform(&mut space, one.id, &step, &How::default()).await?;
            moved.assignments.push((one.id, one.reason.to_string()));
        }
    }
    space.close().await?;
    noted(&moved)
}

pub(super) async fn undo_suspend(change: &mut Change, place: &Place<'_>) -> Done<()> {
    back(change, place, State::Suspended, |_| lifecycle::Step::Reactivate).await
}

pub(super) async fn undo_reactivate(change: &mut Change, place: &Place<'_>) -> Done<()> {
    let again = |reason: &str| lifecycle::Step::Suspend(reason.parse().unwrap_or_default());
    back(change, place, State::Active, again).await
}

/// Those that were moved to `state` and are there still are moved back.
async fn back(
    change: &mut Change,
    place: &Place<'_>,
    state: State,
    step: impl Fn(&str) -> lifecycle::Step,
) -> Done<()> {
    let Some(Moved { assignments }) = place.step.saved() else { return Ok(()) };
    let tenant = change.tenant();
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    for (id, reason) in assignments {
        let Some(one) = lifecycle::get(space.tx(), tenant, id).await? else { continue };
        if one.state == state {
            lifecycle::perform(&mut space, id, &step(&reason), &How::default()).await?;
        }
    }
    Ok(space.close().await?)
}
