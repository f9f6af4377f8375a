//! What calls about phones take and give.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::numbering::ExtensionNumber;
use crate::phones::list::{Listed, ListedLine};
use crate::phones::settings::{Origin, Setting, Valued};
use crate::phones::types::{Phone, PhoneKey, PhoneLine};

/// A phone.
#[derive(Serialize, ToSchema)]
pub struct ApiPhone {
    /// Its hardware address, which is its name.
    #[schema(example = "00:15:65:12:34:56")]
    pub mac: String,
    /// Who made it.
    #[schema(example = "yealink")]
    pub vendor: String,
    /// Its model.
    #[schema(example = "t46s")]
    pub model: String,
    /// `phone` or `ata`.
    pub kind: String,
    /// What people call it; may be empty.
    pub label: String,
    /// The site it says itself; may be empty.
    pub site: String,
    /// The site it stands at: its own, else that of the subnet of its static address; may be empty.
    pub effective_site: String,
    /// Who says that: `phone` or `subnet`; `null` when nobody does.
    pub site_origin: Option<&'static str>,
    /// The id of the subnet its static address is taken from.
    pub subnet: Option<String>,
    /// Whatever else there is to say.
    pub notes: String,
    /// The id of the profile it chose.
    pub profile: Option<String>,
    /// Its lines, in their order.
    pub lines: Vec<ApiLine>,
    /// Its keys, in their order.
    pub keys: Vec<ApiKey>,
    /// What it says itself of its settings.
    pub settings: BTreeMap<String, String>,
    /// Its static address.
    pub static_ip: Option<String>,
    /// When it last fetched a file of its own; RFC 3339, UTC.
    pub last_provisioned: Option<String>,
    /// From which address.
    pub last_provisioned_from: Option<String>,
    /// Which file.
    pub last_provisioned_file: Option<String>,
    /// That file's revision.
    pub last_provisioned_revision: Option<String>,
    /// The firmware it says it has.
    pub firmware: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A line of a phone.
#[derive(Serialize, ToSchema)]
pub struct ApiLine {
    /// 1 is the first.
    pub line: u8,
    /// The number it registers.
    #[schema(value_type = u32, example = 1001)]
    pub extension: ExtensionNumber,
    /// Whose number that is, a UUID.
    pub user_id: String,
    /// What they are called.
    pub name: String,
    /// What the phone writes beside it; empty is the number.
    pub label: String,
    /// Whether the number is registered, as far as is known by this phone; only in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered: Option<bool>,
}

/// A key of a phone.
#[derive(Serialize, ToSchema)]
pub struct ApiKey {
    /// 1 is the first.
    pub position: u8,
    /// `line`, `blf`, `speed_dial` or `park`.
    pub kind: String,
    /// The line it uses.
    pub line: u8,
    /// What it watches or dials.
    pub value: Option<String>,
    /// What the phone writes beside it.
    pub label: String,
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl ApiPhone {
    /// A phone as it is stored.
    pub(in crate::phones) fn of(phone: &Phone) -> Self {
        Self {
            mac: phone.mac.to_string(),
            vendor: phone.vendor().to_string(),
            model: phone.model.name.to_owned(),
            kind: phone.model.kind.to_string(),
            label: phone.label.to_string(),
            site: phone.site.to_string(),
            effective_site: phone.whereabouts.site.to_string(),
            site_origin: phone.whereabouts.origin(),
            subnet: phone.subnet.map(|id| id.to_string()),
            notes: phone.notes.to_string(),
            profile: phone.profile.map(|id| id.to_string()),
            lines: phone.lines.iter().map(ApiLine::of).collect(),
            keys: phone.keys.iter().map(ApiKey::of).collect(),
            settings: phone.settings.clone(),
            static_ip: phone.address.map(|address| address.to_string()),
            last_provisioned: phone.seen.at.map(|at| at.to_string()),
            last_provisioned_from: phone.seen.from.map(|address| address.to_string()),
            last_provisioned_file: text(&phone.seen.file),
            last_provisioned_revision: text(&phone.seen.revision),
            firmware: text(&phone.seen.firmware),
            created_at: phone.created_at.to_string(),
            updated_at: phone.updated_at.to_string(),
        }
    }
}

impl ApiLine {
    fn of(line: &PhoneLine) -> Self {
        Self {
            line: line.line,
            extension: line.number,
            user_id: line.user.to_string(),
            name: line.name.clone(),
            label: line.label.to_string(),
            registered: None,
        }
    }

    fn listed(line: &ListedLine) -> Self {
        Self {
            line: line.line,
            extension: line.number,
            user_id: line.user.to_string(),
            name: line.name.clone(),
            label: line.label.clone(),
            registered: Some(line.registered),
        }
    }
}

impl ApiKey {
    fn of(key: &PhoneKey) -> Self {
        Self {
            position: key.position,
            kind: key.kind.to_string(),
            line: key.line,
            value: key.value.as_ref().map(ToString::to_string),
            label: key.label.to_string(),
        }
    }
}

/// A phone as a list shows it.
#[derive(Serialize, ToSchema)]
pub struct ApiListedPhone {
    /// Its hardware address.
    #[schema(example = "00:15:65:12:34:56")]
    pub mac: String,
    /// Who made it.
    pub vendor: String,
    /// Its model.
    pub model: String,
    /// `phone` or `ata`.
    pub kind: String,
    /// What people call it; may be empty.
    pub label: String,
    /// The site it says itself; may be empty.
    pub site: String,
    /// The site it stands at: its own, else that of the subnet of its static address; may be empty.
    pub effective_site: String,
    /// Its lines.
    pub lines: Vec<ApiLine>,
    /// Its static address.
    pub static_ip: Option<String>,
    /// Whether one of its numbers is registered.
    pub registered: bool,
    /// When it last fetched a file of its own; RFC 3339, UTC.
    pub last_provisioned: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl ApiListedPhone {
    pub(super) fn of(phone: &Listed) -> Self {
        Self {
            mac: phone.mac.to_string(),
            vendor: phone.model.vendor.to_string(),
            model: phone.model.name.to_owned(),
            kind: phone.model.kind.to_string(),
            label: phone.label.clone(),
            site: phone.site.clone(),
            effective_site: phone.stands.clone(),
            lines: phone.lines.iter().map(ApiLine::listed).collect(),
            static_ip: phone.address.map(|address| address.to_string()),
            registered: phone.is_registered(),
            last_provisioned: phone.fetched_at.map(|at| at.to_string()),
            created_at: phone.created_at.to_string(),
            updated_at: phone.updated_at.to_string(),
        }
    }
}

/// A setting of a phone.
#[derive(Serialize, ToSchema)]
pub struct ApiSetting {
    /// Its name.
    #[schema(example = "sip.transport")]
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// `phone`, `profile` or `usual`.
    pub origin: &'static str,
    /// The profile it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl ApiSetting {
    pub(super) fn of((setting, valued): (&'static Setting, &Valued)) -> Self {
        let (origin, profile) = match &valued.origin {
            Origin::Usual => ("usual", None),
            Origin::Profile(name) => ("profile", Some(name.clone())),
            Origin::Phone => ("phone", None),
        };
        Self { key: setting.key, value: valued.value.clone(), origin, profile }
    }
}

/// What is said of a phone. For a new one `mac`, `model` and, unless the MAC address tells,
/// `vendor` are needed.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PhoneFields {
    /// Its hardware address, in any notation; only for a new phone.
    #[schema(example = "00:15:65:12:34:56")]
    pub mac: Option<String>,
    /// Who made it.
    #[schema(example = "yealink")]
    pub vendor: Option<String>,
    /// Its model.
    #[schema(example = "t46s")]
    pub model: Option<String>,
    /// What people call it.
    pub label: Option<String>,
    /// Where it stands; empty is at the site of the subnet of its static address.
    pub site: Option<String>,
    /// Where its static address is taken from: a subnet's id, name or CIDR.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    pub subnet: Option<String>,
    /// Whatever else there is to say.
    pub notes: Option<String>,
    /// The id of the profile it chooses.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    pub profile: Option<String>,
    /// All its lines.
    pub lines: Option<Vec<LineFields>>,
    /// All its keys.
    pub keys: Option<Vec<KeyFields>>,
    /// Settings by their names; `null` leaves one to the profiles.
    #[serde(default)]
    pub settings: BTreeMap<String, Option<String>>,
    /// Its static address: one of a static pool, or `next` for the next free one of the subnet.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    pub static_ip: Option<String>,
}

impl PhoneFields {
    /// Whether it says nothing but what whoever may describe phones may say.
    pub(super) fn only_describes(&self) -> bool {
        self.vendor.is_none()
            && self.model.is_none()
            && self.site.is_none()
            && self.subnet.is_none()
            && self.profile.is_none()
            && self.lines.is_none()
            && self.settings.is_empty()
            && self.static_ip.is_none()
    }
}

/// A line to be given to somebody.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineFields {
    /// 1 is the first.
    pub line: u8,
    /// Whose line it is: their number.
    #[schema(value_type = Option<u32>, example = 1001)]
    pub extension: Option<i64>,
    /// Or their id.
    pub user_id: Option<String>,
    /// What the phone writes beside it; empty is the number.
    pub label: Option<String>,
}

/// What a key is to do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFields {
    /// 1 is the first.
    pub position: u8,
    /// `line`, `blf`, `speed_dial` or `park`.
    pub kind: String,
    /// The line it uses; without it the first.
    pub line: Option<u8>,
    /// What it watches or dials; none for a line.
    pub value: Option<String>,
    /// What the phone writes beside it.
    pub label: Option<String>,
}

/// Tells `null`, which is as good as nothing typed, from a field that is not there.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer).map(|text| Some(text.unwrap_or_default()))
}
