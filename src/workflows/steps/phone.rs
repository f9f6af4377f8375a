//! Steps about the phone.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::person::noted;
use super::{Done, Place, Trouble};
use crate::audit::Change;
use crate::boot::{self, Part, RenderError};
use crate::id::UserId;
use crate::ipam::space::Space;
use crate::net::Mac;
use crate::phones::{self, Edit, Model, NewLine, NewPhone, Phone, Spec, Static};
use crate::text::Line;
use crate::users::lines;
use crate::workflows::input::PhoneWish;
use crate::workflows::types::StepName;

/// Which phone has the line.
#[derive(Serialize, Deserialize)]
pub(super) struct Connected {
    mac: String,
    line: u8,
    user: UserId,
    /// When it was added, if it was by this run.
    added_at: Option<i64>,
}

/// Which phone had it.
#[derive(Serialize, Deserialize)]
pub(super) struct Disconnected {
    mac: String,
    line: u8,
    label: String,
    user: UserId,
    /// Whether nobody else has a line on it.
    pub alone: bool,
}

impl Connected {
    pub fn mac(&self) -> Option<Mac> {
        self.mac.parse().ok()
    }
}

impl Disconnected {
    pub fn mac(&self) -> Option<Mac> {
        self.mac.parse().ok()
    }
}

fn others(phone: &Phone, user: UserId) -> Vec<NewLine> {
    let others = phone.lines.iter().filter(|line| line.user != user).cloned();
    others.map(NewLine::from).collect()
}

/// The line wished for, or the first that nobody has.
fn free_line(model: &Model, taken: &[NewLine], wish: PhoneWish) -> Done<u8> {
    let is_taken = |line: u8| taken.iter().any(|known| known.line == line);
    match wish.line {
        Some(line) if is_taken(line) => {
            Err(Trouble::Refused(format!("line {line} of {} is somebody else's", wish.mac)))
        }
        Some(line) => Ok(line),
        None => (1..=model.lines)
            .find(|line| !is_taken(*line))
            .ok_or_else(|| Trouble::Refused(format!("all lines of {} are somebody's", wish.mac))),
    }
}

pub(super) async fn connect(change: &mut Change, place: &Place<'_>) -> Done<Value> {
    let (tenant, user) = (change.tenant(), place.user_id()?);
    let Some(wish) = place.provision()?.phone else { return Ok(Value::Null) };
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    let known = phones::get(space.tx(), tenant, wish.mac).await?;
    let (line, added_at) = if let Some(phone) = known {
        let mut lines = others(&phone, user);
        let line = free_line(phone.model, &lines, wish)?;
        lines.push(NewLine { line, user, label: Line::default() });
        let edit = Edit { lines: Some(lines), ..Edit::default() };
        phones::update(&mut space, wish.mac, None, &edit).await?;
        (line, None)
    } else {
        let model = wish.model.ok_or_else(|| {
            Trouble::Refused(format!("there is no phone {}: say its maker and model", wish.mac))
        })?;
        let line = free_line(model, &[], wish)?;
        let mut spec = Spec::new(model);
        spec.lines.push(NewLine { line, user, label: Line::default() });
        let new = NewPhone { mac: wish.mac, spec, address: Static::None };
        let phone = phones::create(&mut space, &place.state.vault, &new).await?;
        (line, Some(phone.created_at.0))
    };
    space.close().await?;
    noted(&Connected { mac: wish.mac.to_string(), line, user, added_at })
}

/// A phone that this run added goes; another one loses the line.
pub(super) async fn undo_connect(change: &mut Change, place: &Place<'_>) -> Done<()> {
    let Some(connected) = place.step.saved::<Connected>() else { return Ok(()) };
    let (Some(mac), tenant) = (connected.mac(), change.tenant()) else { return Ok(()) };
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    let Some(phone) = phones::get(space.tx(), tenant, mac).await? else { return Ok(()) };
    let lines = others(&phone, connected.user);
    // Somebody may have put another's line on it meanwhile.
    if connected.added_at == Some(phone.created_at.0) && lines.is_empty() {
        phones::delete(&mut space, mac).await?;
    } else {
        let edit = Edit { lines: Some(lines), ..Edit::default() };
        phones::update(&mut space, mac, None, &edit).await?;
    }
    Ok(space.close().await?)
}

pub(super) async fn disconnect(change: &mut Change, place: &Place<'_>) -> Done<Value> {
    let (tenant, user) = (change.tenant(), place.user(change).await?);
    let Some(rings) = lines::rings(change.tx(), tenant, user.id).await? else {
        return Ok(Value::Null);
    };
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    let phone = phones::get(space.tx(), tenant, rings.mac).await?;
    let own = phone.as_ref().and_then(|phone| phone.lines.iter().find(|line| line.user == user.id));
    let (Some(phone), Some(own)) = (&phone, own) else { return Ok(Value::Null) };
    let lines = others(phone, user.id);
    let disconnected = Disconnected {
        mac: phone.mac.to_string(),
        line: own.line,
        label: own.label.to_string(),
        user: user.id,
        alone: lines.is_empty(),
    };
    let edit = Edit { lines: Some(lines), ..Edit::default() };
    phones::update(&mut space, rings.mac, None, &edit).await?;
    space.close().await?;
    noted(&disconnected)
}

pub(super) async fn undo_disconnect(change: &mut Change, place: &Place<'_>) -> Done<()> {
    let Some(Some(had)) = place.step.saved::<Option<Disconnected>>() else { return Ok(()) };
    let (Some(mac), tenant) = (had.mac(), change.tenant()) else { return Ok(()) };
    let mut space = Space::open(change, place.state.vault.entropy()).await?;
    let Some(phone) = phones::get(space.tx(), tenant, mac).await? else { return Ok(()) };
    if phone.lines.iter().any(|line| line.user == had.user) {
        return Ok(());
    }
    let mut lines = others(&phone, had.user);
    let label = had.label.parse().unwrap_or_default();
    lines.push(NewLine { line: had.line, user: had.user, label });
    let edit = Edit { lines: Some(lines), ..Edit::default() };
    phones::update(&mut space, mac, None, &edit).await?;
    Ok(space.close().await?)
}

/// Every file the phone will ask for can be made. They are made anew whenever they are asked for,
/// so nothing is kept of them.
pub(super) async fn render(change: &mut Change, place: &Place<'_>) -> Done<Value> {
    let (state, tenant) = (place.state, change.tenant());
    let connected = place.noted::<Connected>(StepName::ConnectPhone);
    let Some(mac) = connected.and_then(|connected| connected.mac()) else {
        return Err(Trouble::Refused("there is no phone to make files for".to_owned()));
    };
    let tx = change.tx();
    let subject = boot::subject(tx, &state.vault, tenant, mac, boot::base_url(state)).await?;
    let gone = || Trouble::Refused(format!("the phone {mac} is not there any more"));
    let subject = subject.ok_or_else(gone)?;
    let templates = boot::in_force(tx, tenant).await?;
    let mut made = Vec::new();
    for (name, part) in boot::names(subject.model, mac) {
        if matches!(part, Part::Book(_)) {
            continue;
        }
        match boot::render(&subject, part, &templates) {
            Ok(_) => made.push(name),
            Err(RenderError::NoSuchFile) => {}
            Err(RenderError::Broken(why)) => {
                return Err(Trouble::Refused(format!("{name} cannot be made: {why}")));
            }
        }
    }
    Ok(json!({ "files": made }))
}
