//! Splitting, merging and deleting: first shown, then done. What is shown is the real thing, done
//! and thrown away.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::find_one;
use crate::auth::Operator;
use crate::id::SubnetId;
use crate::ipam::space::Space;
use crate::ipam::subnets::{self, Effects, Piece, Pools, Refusal, Subnet};
use crate::web::form::{Field, Form, Tick};
use crate::web::{Answer, Error, Shell, flash, ok, respond, see_other};

fn fault(refusal: Refusal) -> Result<Refusal, Error> {
    match refusal {
        Refusal::Fault(error) => Err(error),
        Refusal::Missing => Err(Error::NotFound),
        refusal => Ok(refusal),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SplitForm {
    length: Field,
    force: Tick,
    confirmed: Tick,
}

#[derive(Template)]
#[template(path = "ipam/subnets/split.html")]
struct SplitPage {
    shell: Shell,
    subnet: Subnet,
    form: SplitForm,
    /// The prefix lengths it can be split into, and how many subnets that makes.
    choices: Vec<(u8, u32)>,
    pieces: Vec<Piece>,
    effects: Effects,
}

/// The prefix lengths a subnet can be split into, each with how many subnets that makes.
fn choices(subnet: &Subnet) -> Vec<(u8, u32)> {
    let most = subnet.cidr.family().bits();
    let lengths = (subnet.cidr.length() + 1)..=most.min(subnet.cidr.length().saturating_add(8));
    lengths.zip(1..).map(|(length, bits)| (length, 1 << bits)).collect()
}

pub(super) async fn split_page(by: Operator, id: web::Path<SubnetId>) -> Answer {
    let mut tx = by.read().await?;
    let subnet = find_one(&mut tx, &by, *id).await?;
    let shell = by.shell(&mut tx, super::PATH).await?;
    let (form, choices) = (SplitForm::default(), choices(&subnet));
    let (pieces, effects) = (Vec::new(), Effects::default());
    ok(&SplitPage { shell, subnet, form, choices, pieces, effects })
}

pub(super) async fn split(by: Operator, id: web::Path<SubnetId>, form: Form<SplitForm>) -> Answer {
    let mut form = form.0;
    let mut tx = by.read().await?;
    let subnet = find_one(&mut tx, &by, *id).await?;
    let shell = by.shell(&mut tx, super::PATH).await?;
    drop(tx);
    let choices = choices(&subnet);
    let mut page = SplitPage {
        shell,
        subnet,
        form: SplitForm::default(),
        choices,
        pieces: Vec::new(),
        effects: Effects::default(),
    };
    let length = form.length.value.trim_start_matches('/').parse::<u8>();
    let Ok(length) = length else {
        form.length.reject(&"choose how long the prefix is to be");
        page.form = form;
        return respond(StatusCode::UNPROCESSABLE_ENTITY, &page);
    };
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let pieces = match subnets::pieces(&mut space, *id, length).await {
        Ok((_, pieces)) => pieces,
        Err(refusal) => {
            form.length.reject(&fault(refusal)?);
            page.form = form;
            return respond(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    // What is only looked at is done whatever it harms, and says so.
    let force = form.force.0 || !form.confirmed.0;
    let done = subnets::split(&mut space, *id, length, force).await;
    let status = match done {
        Ok((made, _)) if form.confirmed.0 => {
            space.close().await?;
            change.commit().await?;
            let path = format!("{}/{}", super::PATH, *id);
            return Ok(flash::done(&path, format!("Split into {} subnets", made.len())));
        }
        Ok((_, effects)) => {
            page.effects = effects;
            StatusCode::OK
        }
        Err(refusal) => match fault(refusal)? {
            Refusal::Harm(effects) => {
                page.effects = effects;
                StatusCode::CONFLICT
            }
            refusal => {
                form.length.reject(&refusal);
                StatusCode::UNPROCESSABLE_ENTITY
            }
        },
    };
    drop(space);
    drop(change);
    if status != StatusCode::UNPROCESSABLE_ENTITY {
        page.pieces = pieces;
    }
    page.form = form;
    respond(status, &page)
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct MergeForm {
    id: Vec<String>,
    force: Tick,
    confirmed: Tick,
}

#[derive(Template)]
#[template(path = "ipam/subnets/merge.html")]
struct MergePage {
    shell: Shell,
    parts: Vec<Subnet>,
    whole: Option<Subnet>,
    effects: Effects,
    error: Option<String>,
}

pub(super) async fn merge(by: Operator, form: Form<MergeForm>) -> Answer {
    let MergeForm { id, force, confirmed } = form.0;
    let ids: Result<Vec<SubnetId>, _> = id.iter().map(|id| id.parse::<SubnetId>()).collect();
    let ids = ids.map_err(|_| Error::BadRequest("choose subnets from the list"))?;
    if ids.is_empty() {
        return Ok(see_other(super::PATH));
    }
    let mut tx = by.read().await?;
    let shell = by.shell(&mut tx, super::PATH).await?;
    let mut parts = Vec::new();
    for id in &ids {
        parts.push(find_one(&mut tx, &by, *id).await?);
    }
    drop(tx);
    parts.sort_by_key(|subnet| subnet.cidr);
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let done = subnets::merge(&mut space, &ids, force.0 || !confirmed.0).await;
    let mut page =
        MergePage { shell, parts, whole: None, effects: Effects::default(), error: None };
    let status = match done {
        Ok((whole, _)) if confirmed.0 => {
            space.close().await?;
            change.commit().await?;
            let path = format!("{}/{}", super::PATH, whole.id);
            return Ok(flash::done(&path, format!("{} subnets merged", ids.len())));
        }
        Ok((whole, effects)) => {
            page.whole = Some(whole);
            page.effects = effects;
            StatusCode::OK
        }
        Err(refusal) => match fault(refusal)? {
            Refusal::Harm(effects) => {
                page.effects = effects;
                StatusCode::CONFLICT
            }
            refusal => {
                page.error = Some(refusal.to_string());
                StatusCode::UNPROCESSABLE_ENTITY
            }
        },
    };
    drop(space);
    drop(change);
    respond(status, &page)
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct DeletionForm {
    version: Option<i64>,
    force: Tick,
    confirmed: Tick,
}

#[derive(Template)]
#[template(path = "ipam/subnets/deletion.html")]
struct DeletionPage {
    shell: Shell,
    subnet: Subnet,
    effects: Effects,
    children: usize,
    /// It was changed since it was shown.
    stale: bool,
}

pub(super) async fn delete(
    by: Operator,
    id: web::Path<SubnetId>,
    form: Form<DeletionForm>,
) -> Answer {
    let DeletionForm { version, force, confirmed } = form.0;
    let mut tx = by.read().await?;
    let subnet = find_one(&mut tx, &by, *id).await?;
    let shell = by.shell(&mut tx, super::PATH).await?;
    let children = subnets::children(&mut tx, by.tenant(), Some(*id)).await?.len();
    drop(tx);
    let mut page =
        DeletionPage { shell, subnet, effects: Effects::default(), children, stale: false };
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let version = version.filter(|_| confirmed.0);
    let done = subnets::delete(&mut space, *id, version, force.0 || !confirmed.0).await;
    let status = match done {
        Ok(_) if confirmed.0 => {
            space.close().await?;
            change.commit().await?;
            return Ok(flash::done(super::PATH, format!("{} deleted", page.subnet.cidr)));
        }
        Ok(effects) => {
            page.effects = effects;
            StatusCode::OK
        }
        Err(refusal) => match fault(refusal)? {
            Refusal::Harm(effects) => {
                page.effects = effects;
                StatusCode::CONFLICT
            }
            Refusal::Stale(now) => {
                page.subnet = *now;
                page.stale = true;
                StatusCode::PRECONDITION_FAILED
            }
            refusal => {
                return Err(Error::BadRequest(match refusal {
                    Refusal::Field { .. } => "this subnet cannot be deleted",
                    _ => "that did not work; go back and try again",
                }));
            }
        },
    };
    drop(space);
    drop(change);
    respond(status, &page)
}
