//! What NetBox is told of an address or a prefix, and what it says of one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::net::{Address, Cidr};
use crate::outside::Leased;
use crate::outside::fault::quoted;

/// How something stands, in NetBox's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordStatus {
    /// In use.
    Active,
    /// Kept for somebody.
    Reserved,
    /// No longer to be used; what is suspended, too.
    Deprecated,
    /// Given by DHCP. A prefix has no such status: it is active.
    Dhcp,
}

impl RecordStatus {
    /// NetBox's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Reserved => "reserved",
            Self::Deprecated => "deprecated",
            Self::Dhcp => "dhcp",
        }
    }
}

/// What NetBox is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Of what.
    pub leased: Leased,
    /// The length of the subnet an address is in, which NetBox writes behind it.
    pub length: Option<u8>,
    /// How it stands.
    pub status: RecordStatus,
    /// In a sentence; NetBox keeps 200 characters.
    pub description: String,
    /// What it is called; may be empty.
    pub dns_name: String,
}

impl Record {
    /// Of something that has neither a description nor a name.
    pub fn new(leased: Leased, status: RecordStatus) -> Self {
        Self { leased, length: None, status, description: String::new(), dns_name: String::new() }
    }

    /// The path of its kind.
    pub(super) fn path(leased: Leased) -> &'static str {
        match leased {
            Leased::Address(_) => "/api/ipam/ip-addresses/",
            Leased::Delegated(_) => "/api/ipam/prefixes/",
        }
    }

    fn status(&self) -> &'static str {
        match (self.leased, self.status) {
            (Leased::Delegated(_), RecordStatus::Dhcp) => RecordStatus::Active.as_str(),
            (_, status) => status.as_str(),
        }
    }

    fn description(&self) -> String {
        self.description.chars().take(200).collect()
    }

    /// NetBox takes letters, digits, hyphens, underscores and dots.
    fn dns_name(&self) -> &str {
        let fits = self
            .dns_name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if fits && self.dns_name.split('.').all(|label| !label.is_empty()) {
            &self.dns_name
        } else {
            ""
        }
    }

    /// Everything, for a new object.
    pub(super) fn whole(&self, tag: &str) -> Value {
        let mut body = json!({
            "status": self.status(),
            "description": self.description(),
            "tags": [{ "slug": tag }],
        });
        let (key, value) = match self.leased {
            Leased::Address(address) => {
                let length = self.length.unwrap_or(address.family().bits());
                ("address", format!("{address}/{length}"))
            }
            Leased::Delegated(prefix) => ("prefix", prefix.to_string()),
        };
        if let Some(body) = body.as_object_mut() {
            body.insert(key.to_owned(), value.into());
            if matches!(self.leased, Leased::Address(_)) {
                body.insert("dns_name".to_owned(), self.dns_name().into());
            }
        }
        body
    }

    /// What differs from what is there; nothing if nothing does.
    pub(super) fn difference(&self, there: &Found) -> Option<Value> {
        let mut body = serde_json::Map::new();
        if there.status != self.status() {
            body.insert("status".into(), self.status().into());
        }
        if there.description != self.description() {
            body.insert("description".into(), self.description().into());
        }
        if matches!(self.leased, Leased::Address(_)) && there.dns_name != self.dns_name() {
            body.insert("dns_name".into(), self.dns_name().into());
        }
        if let (Leased::Address(address), Some(length)) = (self.leased, self.length)
            && there.length != length
        {
            body.insert("address".into(), format!("{address}/{length}").into());
        }
        (!body.is_empty()).then_some(Value::Object(body))
    }

    /// What differs from what is there, in words.
    pub fn differs(&self, there: &Found) -> Vec<&'static str> {
        let Some(Value::Object(body)) = self.difference(there) else { return Vec::new() };
        [
            ("status", "status"),
            ("description", "description"),
            ("dns_name", "name"),
            ("address", "prefix length"),
        ]
        .into_iter()
        .filter(|(key, _)| body.contains_key(*key))
        .map(|(_, word)| word)
        .collect()
    }
}

/// What NetBox says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// NetBox's number for it.
    pub id: i64,
    /// What it is of.
    pub leased: Leased,
    /// The length behind an address.
    pub length: u8,
    /// NetBox's word.
    pub status: String,
    /// The description.
    pub description: String,
    /// The name.
    pub dns_name: String,
    /// The routing table (VRF) it is in; empty for the one there always is.
    pub vrf: String,
    /// The slugs of its tags.
    pub tags: Vec<String>,
}

impl Found {
    /// What NetBox says of it, in a line.
    pub fn said(&self) -> String {
        let vrf = if self.vrf.is_empty() { String::new() } else { format!("VRF {}", self.vrf) };
        let parts = [&self.status, &self.dns_name, &self.description, &vrf];
        let parts: Vec<&str> = parts.into_iter().map(String::as_str).collect();
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }

    /// Whether an object is of addresses that no subnet here has: IPv6 ones that stand for IPv4.
    pub(super) fn is_mapped(object: &Value) -> bool {
        let text = object.get("address").or_else(|| object.get("prefix")).and_then(Value::as_str);
        text.is_some_and(|text| text.starts_with("::"))
    }

    /// Reads one object.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let text = |key: &str| quoted(object.get(key).and_then(Value::as_str).unwrap_or_default());
        let status =
            object.get("status").and_then(|status| status.get("value")).and_then(Value::as_str);
        let tags = object.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
        let vrf = object.get("vrf").and_then(|vrf| vrf.get("name")).and_then(Value::as_str);
        let (leased, length) = match (object.get("address"), object.get("prefix")) {
            (Some(address), _) => {
                let (address, length) = address.as_str()?.split_once('/')?;
                (Leased::Address(address.parse::<Address>().ok()?), length.parse().ok()?)
            }
            (None, prefix) => {
                let prefix: Cidr = prefix?.as_str()?.parse().ok()?;
                (Leased::Delegated(prefix), prefix.length())
            }
        };
        Some(Self {
            id: object.get("id").and_then(Value::as_i64)?,
            leased,
            length,
            status: quoted(status.unwrap_or_default()),
            description: text("description"),
            dns_name: text("dns_name"),
            vrf: quoted(vrf.unwrap_or_default()),
            tags: tags.iter().filter_map(|tag| tag.get("slug")?.as_str().map(quoted)).collect(),
        })
    }
}

/// What came of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// NetBox's number, if the object is there now.
    pub id: Option<i64>,
    /// Whether anything was written.
    pub changed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let object = json!({ "id": 12, "address": "10.0.0.5/24", "status": { "value": "active", "label": "Active" },
            "description": "Lobby", "dns_name": "lobby.example.com", "tags": [{ "id": 1, "slug": "patchbay-default" }] });
        Found::of(&object).unwrap()
    }

    #[test]
    fn only_what_differs_is_written() {
        let mut record = Record {
            length: Some(24),
            description: "Lobby".into(),
            dns_name: "lobby.example.com".into(),
            ..Record::new("10.0.0.5".parse().unwrap(), RecordStatus::Active)
        };
        assert_eq!(record.difference(&found()), None);
        record.status = RecordStatus::Deprecated;
        assert_eq!(record.difference(&found()), Some(json!({ "status": "deprecated" })));
        record.length = Some(25);
        assert_eq!(record.differs(&found()), ["status", "prefix length"]);
        record.length = None;
        assert_eq!(record.differs(&found()), ["status"]);
    }

    #[test]
    fn what_stands_for_ipv4_is_known_for_what_it_is() {
        for (object, mapped) in [
            (json!({ "id": 1, "prefix": "::ffff:0:0/96" }), true),
            (json!({ "id": 1, "address": "::ffff:10.0.0.5/128" }), true),
            (json!({ "id": 1, "address": "nonsense" }), false),
            (json!({ "id": 1 }), false),
        ] {
            assert_eq!((Found::of(&object), Found::is_mapped(&object)), (None, mapped), "{object}");
        }
    }

    #[test]
    fn a_name_netbox_would_refuse_is_left_out() {
        for bad in ["a b", "ümlaut", "a..b", "<x>"] {
            let record = Record {
                dns_name: bad.into(),
                ..Record::new("10.0.0.5".parse().unwrap(), RecordStatus::Active)
            };
            assert_eq!(record.whole("t")["dns_name"], "", "{bad}");
        }
    }
}
