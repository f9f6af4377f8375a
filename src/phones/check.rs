//! Everything that stands in the way of saving a phone as asked, found before anything is written.

use std::collections::BTreeSet;

use super::refusal::Refusal;
use super::settings::Setting;
use super::types::{KeyKind, Phone, Spec, Static};
use super::{address, queries};
use crate::db::Result;
use crate::ipam::addresses::{self, Holder};
use crate::ipam::space::Space;
use crate::ipam::subnets;
use crate::net::Mac;
use crate::users::{self, lines};

/// What is wrong with a new phone. A phone that wishes for an address without naming a subnet is
/// put into that of the address.
pub(super) async fn new(
    space: &mut Space<'_>,
    mac: Mac,
    spec: &mut Spec,
    wish: Static,
) -> Result<Vec<Refusal>> {
    let tenant = space.tenant();
    let mut wrong = Vec::new();
    if let Some(owner) = queries::owner(space.tx(), mac).await? {
        wrong.push(Refusal::MacTaken { mac, ours: owner == tenant });
    }
    let own = lines::holder(mac, called(space, mac, spec).await?);
    place(space, spec, wish).await?;
    wrong.extend(common(space, mac, spec).await?);
    wrong.extend(address::obstacle(space, &own, spec.subnet, wish).await?);
    Ok(wrong)
}

/// What is wrong with a phone that is to be changed.
pub(super) async fn changed(
    space: &mut Space<'_>,
    old: &Phone,
    spec: &mut Spec,
    wish: Option<Static>,
) -> Result<Vec<Refusal>> {
    let mac = old.mac;
    let own = lines::holder(mac, called(space, mac, spec).await?);
    if let Some(wish) = wish {
        place(space, spec, wish).await?;
    }
    let mut wrong = common(space, mac, spec).await?;
    match wish {
        Some(wish) => wrong.extend(address::obstacle(space, &own, spec.subnet, wish).await?),
        None => wrong.extend(left_behind(space, old, spec, &own).await?),
    }
    Ok(wrong)
}

/// What the phone will be called.
async fn called(space: &mut Space<'_>, mac: Mac, spec: &Spec) -> Result<String> {
    let tenant = space.tenant();
    let first = match spec.lines.first() {
        Some(line) => users::get(space.tx(), tenant, line.user).await?,
        None => None,
    };
    let first = first.as_ref().map(|user| (user.number, user.name.as_str()));
    Ok(lines::title(spec.label.as_str(), first, mac))
}

/// An address names its subnet.
async fn place(space: &mut Space<'_>, spec: &mut Spec, wish: Static) -> Result<()> {
    if let (None, Static::This(address)) = (spec.subnet, wish) {
        let tenant = space.tenant();
        spec.subnet = subnets::around(space.tx(), tenant, address).await?.map(|subnet| subnet.id);
    }
    Ok(())
}

/// A phone moves to another subnet, and its address does not.
async fn left_behind(
    space: &mut Space<'_>,
    old: &Phone,
    spec: &Spec,
    own: &Holder,
) -> Result<Option<Refusal>> {
    if spec.subnet == old.subnet || spec.subnet.is_none() {
        return Ok(None);
    }
    let tenant = space.tenant();
    let held = addresses::held_by(space.tx(), tenant, own).await?;
    let behind = held.iter().find(|record| record.subnet != spec.subnet);
    Ok(behind.map(|record| Refusal::AddressElsewhere(record.address)))
}

async fn common(space: &mut Space<'_>, mac: Mac, spec: &Spec) -> Result<Vec<Refusal>> {
    let tenant = space.tenant();
    let mut wrong = people(space, mac, spec).await?;
    wrong.extend(keys(spec));
    if let Some(id) = spec.subnet
        && subnets::get(space.tx(), tenant, id).await?.is_none()
    {
        wrong.push(Refusal::NoSubnet);
    }
    if let Some(id) = spec.profile
        && !queries::may_choose(space.tx(), tenant, id).await?
    {
        wrong.push(Refusal::NoProfile);
    }
    for (key, value) in &spec.settings {
        let checked =
            Setting::find(key).and_then(|setting| setting.fits(spec.model, &setting.parse(value)?));
        if let Err(why) = checked {
            wrong.push(Refusal::Setting { key: key.clone(), why });
        }
    }
    Ok(wrong)
}

/// Who is to have the lines.
async fn people(space: &mut Space<'_>, mac: Mac, spec: &Spec) -> Result<Vec<Refusal>> {
    let tenant = space.tenant();
    let mut wrong = Vec::new();
    let (mut known, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for line in &spec.lines {
        let at = line.line;
        if at == 0 || at > spec.model.lines {
            wrong.push(Refusal::LineBeyond { line: at, model: spec.model });
        } else if !numbers.insert(at) {
            wrong.push(Refusal::LineTwice("this line is given twice", at));
        }
        if !known.insert(line.user) {
            wrong.push(Refusal::LineTwice("this phone has the extension on another line", at));
            continue;
        }
        let Some(user) = users::get(space.tx(), tenant, line.user).await? else {
            wrong.push(Refusal::NoUser { line: at });
            continue;
        };
        if let Some(rings) = lines::rings(space.tx(), tenant, user.id).await?
            && rings.mac != mac
        {
            let (number, title) = (user.number, rings.title);
            wrong.push(Refusal::LineTaken { line: at, number, mac: rings.mac, title });
        }
    }
    Ok(wrong)
}

fn keys(spec: &Spec) -> Vec<Refusal> {
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for key in &spec.keys {
        let position = key.position;
        let mut say = |why: String| wrong.push(Refusal::Key { position, why });
        if position == 0 || position > spec.model.keys {
            let model = spec.model;
            match model.keys {
                0 => say(format!("{model} has no keys to give a function")),
                keys => say(format!("{model} has {keys} keys")),
            }
        } else if !known.insert(position) {
            say("this key is given twice".to_owned());
        }
        if key.line == 0 || key.line > spec.model.lines {
            say(format!("{} has no line {}", spec.model, key.line));
        }
        if key.kind != KeyKind::Line && key.value.is_none() {
            say("say which number".to_owned());
        }
        if key.kind == KeyKind::Line && key.value.is_some() {
            say("a line key has no number; leave it out".to_owned());
        }
    }
    wrong
}
