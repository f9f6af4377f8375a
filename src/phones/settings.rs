//! Settings of phones in layers. What a phone says itself counts most, then the profile it chose,
//! its model's, its site's and its tenant's profile, and at last what is usual.

use std::collections::BTreeMap;

use crate::models::Model;
use crate::time::Zone;

/// One thing that can be set for a phone.
#[derive(Debug)]
pub struct Setting {
    /// Its name in calls and templates: `sip.transport`.
    pub key: &'static str,
    /// What a person reads beside it.
    pub title: &'static str,
    /// A word more for that person; may be empty.
    pub hint: &'static str,
    /// What it may hold.
    pub form: Form,
    /// What it is when nobody says; empty means none.
    pub usual: &'static str,
}

/// What a setting may hold. All values are short texts of printable ASCII.
#[derive(Debug)]
pub enum Form {
    /// One of these words, each with its meaning.
    Choice(&'static [(&'static str, &'static str)]),
    /// A whole number between the two, of what.
    Number(u32, u32, &'static str),
    /// A host name or an address; empty is allowed.
    Host,
    /// Codecs in the order of preference, separated by commas.
    Codecs,
    /// An IANA time zone; empty is the tenant's.
    Zone,
    /// What can be dialled: digits, `*` and `#`; empty is allowed.
    Dial,
}

const SWITCH: Form = Form::Choice(&[("on", "on"), ("off", "off")]);

/// The codecs Asterisk is told to allow, by the names Asterisk has for them.
pub const CODECS: [&str; 3] = ["g722", "alaw", "ulaw"];

/// Every setting.
pub static SETTINGS: [Setting; 18] = [
    Setting {
        key: "sip.server",
        title: "SIP server",
        hint: "where phones register; empty is the host of the provisioning URL",
        form: Form::Host,
        usual: "",
    },
    Setting {
        key: "sip.port",
        title: "SIP port",
        hint: "",
        form: Form::Number(1, 65_535, ""),
        usual: "5060",
    },
    Setting {
        key: "sip.transport",
        title: "Transport",
        hint: "pjsip.conf needs a transport of this kind",
        form: Form::Choice(&[("udp", "UDP"), ("tcp", "TCP"), ("tls", "TLS")]),
        usual: "udp",
    },
    Setting {
        key: "sip.expires",
        title: "Registration lasts",
        hint: "seconds",
        form: Form::Number(60, 7_200, "seconds"),
        usual: "600",
    },
    Setting {
        key: "sip.srtp",
        title: "Encrypted speech",
        hint: "takes effect on both sides: fetch and Apply",
        form: Form::Choice(&[("off", "off"), ("on", "SRTP with keys in SDP")]),
        usual: "off",
    },
    Setting {
        key: "sip.digest",
        title: "Challenges",
        hint: "old phones answer no challenge when SHA-256 is among them",
        form: Form::Choice(&[("sha256", "SHA-256 and MD5"), ("md5", "MD5 alone")]),
        usual: "sha256",
    },
    Setting {
        key: "audio.codecs",
        title: "Codecs",
        hint: "the best first: g722, alaw, ulaw",
        form: Form::Codecs,
        usual: "g722,alaw,ulaw",
    },
    Setting {
        key: "audio.dtmf",
        title: "Digits during a call",
        hint: "",
        form: Form::Choice(&[
            ("rfc4733", "RFC 4733"),
            ("info", "SIP INFO"),
            ("inband", "as tones"),
        ]),
        usual: "rfc4733",
    },
    Setting {
        key: "time.server",
        title: "Time server",
        hint: "NTP",
        form: Form::Host,
        usual: "pool.ntp.org",
    },
    Setting {
        key: "time.zone",
        title: "Time zone",
        hint: "empty is the tenant's",
        form: Form::Zone,
        usual: "",
    },
    Setting {
        key: "voicemail.number",
        title: "Voicemail number",
        hint: "what the message key dials",
        form: Form::Dial,
        usual: "",
    },
    Setting {
        key: "phonebook",
        title: "Phone book",
        hint: "the company's, fetched from Patchbay",
        form: SWITCH,
        usual: "on",
    },
    Setting {
        key: "provision.interval",
        title: "Looks for a new file every",
        hint: "minutes; Grandstream and Poly phones take no less than 60",
        form: Form::Number(10, 10_080, "minutes"),
        usual: "1440",
    },
    Setting {
        key: "provision.verify",
        title: "Checks the server's certificate",
        hint: "off only with a certificate of your own that phones cannot know",
        form: SWITCH,
        usual: "on",
    },
    Setting {
        key: "network.vlan",
        title: "VLAN",
        hint: "0 is untagged",
        form: Form::Number(0, 4_094, ""),
        usual: "0",
    },
    Setting {
        key: "web.access",
        title: "The phone's own web pages",
        hint: "",
        form: SWITCH,
        usual: "on",
    },
    Setting {
        key: "notify.reboot",
        title: "Told of a new file, it",
        hint: "some old models notice a new file only when they start",
        form: Form::Choice(&[("resync", "fetches it"), ("reboot", "restarts")]),
        usual: "resync",
    },
    Setting {
        key: "silent.days",
        title: "Counts as silent after",
        hint: "days without a sign of it",
        form: Form::Number(1, 365, "days"),
        usual: "7",
    },
];

/// Not a setting, or not one of its values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// There is none of that name.
    #[error("there is no setting {0:?}")]
    Key(String),
    /// It cannot hold that.
    #[error("{0}")]
    Value(String),
}

impl Setting {
    /// The setting called `key`.
    pub fn find(key: &str) -> Result<&'static Self, BadSetting> {
        let found = SETTINGS.iter().find(|setting| setting.key == key);
        found.ok_or_else(|| BadSetting::Key(key.to_owned()))
    }

    /// The value as stored, or why it cannot be one.
    pub fn parse(&self, text: &str) -> Result<String, BadSetting> {
        let text = text.trim();
        self.form.check(text).map_err(BadSetting::Value)?;
        Ok(text.to_owned())
    }

    /// Whether phones of `model` can be told this value.
    pub fn fits(&self, model: &Model, value: &str) -> Result<(), BadSetting> {
        if self.key == "sip.srtp" && value == "on" && !model.encrypts() {
            let why = format!("no way is known to tell a {model} to encrypt speech; choose off");
            return Err(BadSetting::Value(why));
        }
        Ok(())
    }
}

impl Form {
    fn check(&self, text: &str) -> Result<(), String> {
        match self {
            Self::Choice(words) if words.iter().any(|(word, _)| *word == text) => Ok(()),
            Self::Choice(words) => {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(format!("choose {}", words.join(" or ")))
            }
            Self::Number(least, most, _) => match text.parse::<u32>() {
                Ok(number) if (*least..=*most).contains(&number) => Ok(()),
                _ => Err(format!("use a whole number from {least} to {most}")),
            },
            Self::Host if text.is_empty() || is_host(text) => Ok(()),
            Self::Host => Err("use a host name or an address, without a port".to_owned()),
            Self::Codecs => codecs(text),
            Self::Zone if text.is_empty() => Ok(()),
            Self::Zone => text.parse::<Zone>().map(drop).map_err(|error| error.to_string()),
            Self::Dial if text.len() <= 20 && text.bytes().all(is_dialled) => Ok(()),
            Self::Dial => Err("use up to 20 digits, * and #".to_owned()),
        }
    }
}

fn codecs(text: &str) -> Result<(), String> {
    let named: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut once = named.clone();
    once.sort_unstable();
    once.dedup();
    if once.len() == named.len() && named.iter().all(|codec| CODECS.contains(codec)) {
        Ok(())
    } else {
        Err(format!("use {}, each once, the best first", CODECS.join(", ")))
    }
}

/// A letter of what can be dialled.
pub fn is_dialled(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'*' | b'#')
}

/// A host name (RFC 1123) or an address.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.parse::<std::net::IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(label))
}

/// What some layer says: settings by their keys.
pub type Layer = BTreeMap<String, String>;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is what is usual.
    Usual,
    /// A profile, with its name.
    Profile(String),
    /// The phone itself.
    Phone,
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valued {
    /// The value.
    pub value: String,
    /// Its layer.
    pub origin: Origin,
}

/// Every setting's value for one phone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved(BTreeMap<&'static str, Valued>);

impl Resolved {
    /// Lays `layers` over what is usual, the weakest first.
    pub fn of(layers: &[(Origin, &Layer)]) -> Self {
        let valued = |setting: &'static Setting| {
            let said = layers.iter().rev().find_map(|(origin, layer)| {
                let value = layer.get(setting.key)?;
                // What an older release stored and this one does not know any more says nothing.
                setting.form.check(value).ok()?;
                Some(Valued { value: value.clone(), origin: origin.clone() })
            });
            let usual = || Valued { value: setting.usual.to_owned(), origin: Origin::Usual };
            (setting.key, said.unwrap_or_else(usual))
        };
        Self(SETTINGS.iter().map(valued).collect())
    }

    /// Leaves out what phones of `model` cannot be told, whoever says it.
    #[must_use]
    pub fn fit(mut self, model: &Model) -> Self {
        for setting in &SETTINGS {
            if setting.fits(model, self.get(setting.key)).is_err() {
                let usual = Valued { value: setting.usual.to_owned(), origin: Origin::Usual };
                self.0.insert(setting.key, usual);
            }
        }
        self
    }

    /// The value called `key`; empty for one there is not.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", |valued| valued.value.as_str())
    }

    /// Whether a switch is on.
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key) == "on"
    }

    /// Every setting with its value and where it comes from, in the order people see them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, &Valued)> {
        SETTINGS.iter().filter_map(|setting| Some((setting, self.0.get(setting.key)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Vendor;

    fn layer(pairs: &[(&str, &str)]) -> Layer {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_nearest_layer_that_says_something_counts() {
        let (tenant, own) = (
            layer(&[("sip.port", "5070"), ("sip.transport", "tcp")]),
            layer(&[("sip.transport", "tls")]),
        );
        let tenants = Origin::Profile("Everybody".to_owned());
        let resolved = Resolved::of(&[(tenants.clone(), &tenant), (Origin::Phone, &own)]);
        let all: Vec<_> = resolved.iter().collect();
        assert_eq!(all.len(), SETTINGS.len());
        assert_eq!(resolved.get("sip.transport"), "tls");
        assert_eq!(resolved.get("sip.port"), "5070");
        assert_eq!(resolved.get("audio.codecs"), "g722,alaw,ulaw");
        let origin = |key: &str| all.iter().find(|(s, _)| s.key == key).unwrap().1.origin.clone();
        assert_eq!(origin("sip.transport"), Origin::Phone);
        assert_eq!(origin("sip.port"), tenants);
        assert_eq!(origin("audio.codecs"), Origin::Usual);
    }

    #[test]
    fn what_a_model_cannot_be_told_is_left_out_whoever_says_it() {
        let layer = layer(&[("sip.srtp", "on"), ("sip.digest", "md5")]);
        let resolved = Resolved::of(&[(Origin::Phone, &layer)]);
        let fit = |vendor, model| {
            let fit = resolved.clone().fit(Model::find(vendor, model).unwrap());
            (fit.get("sip.srtp").to_owned(), fit.get("sip.digest").to_owned())
        };
        assert_eq!(fit(Vendor::Cisco, "spa504g"), ("off".to_owned(), "md5".to_owned()));
        assert_eq!(fit(Vendor::Cisco, "ata192").0, "off");
        assert_eq!(fit(Vendor::Cisco, "cp-8841").0, "on");
        assert_eq!(fit(Vendor::Yealink, "t46s").0, "on");
    }

    #[test]
    fn what_is_usual_is_allowed_and_names_are_unique() {
        for (n, setting) in SETTINGS.iter().enumerate() {
            assert_eq!(
                setting.parse(setting.usual).as_deref(),
                Ok(setting.usual),
                "{}",
                setting.key
            );
            assert!(SETTINGS[..n].iter().all(|other| other.key != setting.key));
        }
    }

    #[test]
    fn values_are_checked() {
        for (key, bad) in [
            ("sip.port", "0"),
            ("sip.port", "5060x"),
            ("sip.transport", "UDP"),
            ("sip.server", "a b"),
            ("sip.server", "-x"),
            ("sip.server", "host:5060"),
            ("sip.server", "a\"b"),
            ("audio.codecs", "g722,g722"),
            ("audio.codecs", "opus"),
            ("time.zone", "Mars/Olympus"),
            ("voicemail.number", "*97;x"),
            ("phonebook", "yes"),
        ] {
            assert!(Setting::find(key).unwrap().parse(bad).is_err(), "{key} {bad:?}");
        }
        assert!(Setting::find("sip.transport").unwrap().parse("quic").is_err());
        assert_eq!(
            Setting::find("sip.server").unwrap().parse(" pbx.example.com "),
            Ok("pbx.example.com".into())
        );
        assert_eq!(
            Setting::find("sip.server").unwrap().parse("2001:db8::1"),
            Ok("2001:db8::1".into())
        );
        assert!(Setting::find("nothing").is_err());
    }
}
