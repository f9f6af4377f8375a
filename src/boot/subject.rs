//! Everything a template may know of one phone.

use crate::net::{Address, Mac};
use crate::phones::settings::Resolved;
use crate::phones::{KeyKind, Model};
use crate::time::Zone;

/// One phone, as templates see it. Holds secrets: never printed.
#[derive(Clone)]
pub struct Subject {
    /// Its hardware address.
    pub mac: Mac,
    /// What it is.
    pub model: &'static Model,
    /// What people call it; may be empty.
    pub label: String,
    /// Its lines, the first first. A phone without lines has a file all the same.
    pub lines: Vec<LineFacts>,
    /// Its keys, in their order.
    pub keys: Vec<KeyFacts>,
    /// Every setting's value.
    pub settings: Resolved,
    /// Where it registers: the setting, or the host of `url`.
    pub server: String,
    /// Its time zone: the setting, or the tenant's.
    pub zone: Zone,
    /// Its static address.
    pub address: Option<Address>,
    /// Where its own files are, without a slash at the end: `https://host/provision/<token>`.
    pub url: String,
    /// As whom and with what it may sign in for its files.
    pub http_user: String,
    /// The password to that.
    pub http_password: String,
    /// What its own web pages ask an administrator for.
    pub web_password: String,
}

/// One line.
#[derive(Clone)]
pub struct LineFacts {
    /// 1 is the first.
    pub line: u8,
    /// What it signs in to Asterisk as (`1000`, or `<prefix>-1000` in another tenant).
    pub sip_user: String,
    /// The secret to that.
    pub sip_secret: String,
    /// The number people dial.
    pub number: String,
    /// What callees see.
    pub name: String,
    /// What the phone writes beside it.
    pub label: String,
}

/// One key.
#[derive(Clone, Debug)]
pub struct KeyFacts {
    /// 1 is the first.
    pub position: u8,
    /// What it does.
    pub kind: KeyKind,
    /// The line it uses.
    pub line: u8,
    /// What it watches or dials; empty for a line.
    pub value: String,
    /// What the phone writes beside it; never empty.
    pub label: String,
}

/// What stands in a preview where a secret would.
const HIDDEN: &str = "(hidden)";

impl Subject {
    /// The same phone with every secret hidden, its provisioning token among them.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut masked = self.clone();
        for line in &mut masked.lines {
            HIDDEN.clone_into(&mut line.sip_secret);
        }
        HIDDEN.clone_into(&mut masked.http_password);
        HIDDEN.clone_into(&mut masked.web_password);
        let base = self.url.rsplit_once('/').map_or("", |(base, _)| base);
        masked.url = format!("{base}/{HIDDEN}");
        masked
    }

    /// Everything secret about it; its URL counts.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let token = self.url.rsplit_once('/').map_or(self.url.as_str(), |(_, token)| token);
        let own = [self.http_password.as_str(), self.web_password.as_str(), token];
        let lines = self.lines.iter().map(|line| line.sip_secret.as_str());
        own.into_iter().chain(lines).filter(|secret| !secret.is_empty())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::phones::Vendor;
    use crate::phones::settings::{Layer, Origin};

    /// A phone with two lines (one, if it has no more) and a key of each kind.
    pub(crate) fn sample(vendor: Vendor, model: &str) -> Subject {
        with(vendor, model, &[])
    }

    /// As [`sample`], with some settings.
    pub(crate) fn with(vendor: Vendor, model: &str, settings: &[(&str, &str)]) -> Subject {
        let model = Model::find(vendor, model).unwrap();
        let line = |line: u8, number: &str, name: &str| LineFacts {
            line,
            sip_user: number.to_owned(),
            sip_secret: format!("Secret{line}abcdefghijkl"),
            number: number.to_owned(),
            name: name.to_owned(),
            label: if line == 1 { "Front desk".to_owned() } else { String::new() },
        };
        let key = |position: u8, kind: KeyKind, value: &str, label: &str| KeyFacts {
            position,
            kind,
            line: 1,
            value: value.to_owned(),
            label: label.to_owned(),
        };
        let mut lines = vec![line(1, "1000", "Ann O'Neil"), line(2, "1001", "Bob & \"Co\" <x>")];
        lines.truncate(model.lines.into());
        let mut keys = vec![
            key(3, KeyKind::Blf, "1002", "Cid"),
            key(4, KeyKind::SpeedDial, "+351210000000", "Taxi"),
            key(5, KeyKind::Park, "701", "Park 1"),
        ];
        keys.retain(|key| key.position <= model.keys);
        let own: Layer = settings
            .iter()
            .chain(&[("voicemail.number", "*97"), ("time.server", "ntp.example.com")])
            .rev()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Subject {
            mac: "02:00:00:aa:bb:cc".parse().unwrap(),
            model,
            label: "Reception".to_owned(),
            lines,
            keys,
            settings: Resolved::of(&[(Origin::Phone, &own)]),
            server: "pbx.example.com".to_owned(),
            zone: own.get("time.zone").map_or("Europe/Lisbon", String::as_str).parse().unwrap(),
            address: Some("192.0.2.20".parse().unwrap()),
            url: "https://phones.example.com/provision/Tokenabcdefghijklmnopqrstuvwxyz0".to_owned(),
            http_user: "020000aabbcc".to_owned(),
            http_password: "HttpPassword1234".to_owned(),
            web_password: "WebPassword1234".to_owned(),
        }
    }

    #[test]
    fn a_masked_phone_has_no_secret_left() {
        let subject = sample(Vendor::Yealink, "t46s");
        let masked = subject.masked();
        let text = format!(
            "{} {} {} {}",
            masked.url, masked.http_password, masked.web_password, masked.lines[0].sip_secret
        );
        assert_eq!(subject.secrets().count(), 5);
        for secret in subject.secrets() {
            assert!(!text.contains(secret));
        }
        assert_eq!(masked.url, "https://phones.example.com/provision/(hidden)");
    }
}
