//! Adding a phone that waits, at once with a line and an address, and opening its window. It is in the
//! subnet it asked from, so that it stands at that subnet's site, whose profile has the clock.

use super::queries::pages::{self, Waiting};
use super::windows::{self, Length};
use crate::audit::Change;
use crate::ipam::space::Space;
use crate::numbering::ExtensionNumber;
use crate::phones::{self, Model, NewLine, NewPhone, Phone, Refusals, Spec, Static};
use crate::secrets::Vault;
use crate::text::Line;

/// What an adopter wishes.
pub(super) struct Wish {
    /// What the phone is.
    pub model: &'static Model,
    /// What people are to call it; may be empty.
    pub label: Line<60>,
    /// Whose number its first line is to have.
    pub extension: Option<ExtensionNumber>,
    /// Whether it is to have the next free address of its subnet.
    pub address: bool,
}

/// Adds the phone that waits as wished; it may fetch its file within the hour.
pub(super) async fn adopt(
    change: &mut Change,
    vault: &Vault,
    waiting: &Waiting,
    wish: Wish,
) -> Result<Phone, Refusals> {
    let tenant = change.tenant();
    let mut lines = Vec::new();
    if let Some(number) = wish.extension {
        let user = pages::user_of(change.tx(), tenant, number).await?;
        let user = user.ok_or(phones::Refusal::NoUser { line: 1 })?;
        lines.push(NewLine { line: 1, user, label: Line::default() });
    }
    let subnet = waiting.subnet.as_ref().map(|(id, _)| *id);
    let spec = Spec { label: wish.label, subnet, lines, ..Spec::new(wish.model) };
    let address = if wish.address { Static::Next } else { Static::None };
    let new = NewPhone { mac: waiting.mac, spec, address };
    let mut space = Space::open(change, vault.entropy()).await?;
    let phone = phones::create(&mut space, vault, &new).await?;
    space.close().await?;
    windows::open(change, waiting.mac, Length::Hour).await?;
    pages::dismiss(change, waiting.mac).await?;
    Ok(phone)
}
