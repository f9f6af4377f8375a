//! What can be set up.

use serde_json::{Value, json};

use crate::db::Result;
use crate::outbox::System;
use crate::outside::http::{Authorities, BaseUrl};
use crate::outside::kea::Place;
use crate::text::is_invisible;

/// How a session is suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SuspendBy {
    /// It comes under a filter.
    #[default]
    Filter,
    /// It ends.
    Disconnect,
}

impl SuspendBy {
    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Disconnect => "disconnect",
        }
    }
}

/// Not a way to suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("choose filter or disconnect")]
pub struct BadSuspendBy;

impl std::str::FromStr for SuspendBy {
    type Err = BadSuspendBy;

    fn from_str(text: &str) -> std::result::Result<Self, BadSuspendBy> {
        [Self::Filter, Self::Disconnect]
            .into_iter()
            .find(|way| way.as_str() == text)
            .ok_or(BadSuspendBy)
    }
}

macro_rules! short_text {
    ($(#[$doc:meta])* $name:ident, $error:ident, $most:literal, $sentence:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name(String);

        /// Not such a text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($sentence)]
        pub struct $error;

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> std::result::Result<Self, $error> {
                let fits = text.len() <= $most && !text.chars().any(is_invisible);
                if fits { Ok(Self(text.to_owned())) } else { Err($error) }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether nothing was typed.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }
    };
}

short_text!(
    /// The name of a filter, as the NAS knows it: at most 253 bytes, as RADIUS has.
    FilterName, BadFilterName, 253, "use at most 253 bytes, without line breaks and invisible characters"
);
short_text!(
    /// Whom to sign in as.
    UserName, BadUserName, 100, "use at most 100 bytes, without line breaks and invisible characters"
);

/// A password, a token or a RADIUS secret somebody typed: 1 to 200 bytes of visible ASCII or other
/// letters, so that it fits into a header.
#[derive(Clone)]
pub struct KeyText(crate::outside::Key);

/// Not such a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use 1 to 200 visible characters of ASCII, without blanks at the ends")]
pub struct BadKeyText;

impl std::str::FromStr for KeyText {
    type Err = BadKeyText;

    fn from_str(text: &str) -> std::result::Result<Self, BadKeyText> {
        let fits = (1..=200).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
            && text.trim() == text;
        if fits { Ok(Self(text.to_owned().into())) } else { Err(BadKeyText) }
    }
}

impl KeyText {
    /// As a secret.
    pub fn key(self) -> crate::outside::Key {
        self.0
    }
}

/// How sessions are changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RadiusSetup {
    /// How one is suspended.
    pub suspend: SuspendBy,
    /// The filter for those suspended.
    pub suspended_filter: FilterName,
    /// The usual filter; may be empty.
    pub usual_filter: FilterName,
}

/// Where Kea is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DhcpSetup {
    /// The server for IPv4.
    pub v4: Option<Place>,
    /// The server for IPv6.
    pub v6: Option<Place>,
    /// Whom to sign in as; empty for nobody.
    pub user: UserName,
    /// Whose certificates are believed.
    pub authorities: Authorities,
}

/// Where NetBox is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetboxSetup {
    /// Its address.
    pub url: Option<BaseUrl>,
    /// Whose certificates are believed.
    pub authorities: Authorities,
}

/// What one system needs to be spoken to, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// RADIUS; its servers are a table of their own.
    Radius(RadiusSetup),
    /// Kea.
    Dhcp(DhcpSetup),
    /// NetBox.
    Netbox(NetboxSetup),
}

impl Settings {
    /// Those of a system nobody set up.
    pub fn of(system: System) -> Self {
        match system {
            System::Radius => Self::Radius(RadiusSetup::default()),
            System::Dhcp => Self::Dhcp(DhcpSetup::default()),
            System::Netbox => Self::Netbox(NetboxSetup::default()),
        }
    }

    /// Whose they are.
    pub fn system(&self) -> System {
        match self {
            Self::Radius(_) => System::Radius,
            Self::Dhcp(_) => System::Dhcp,
            Self::Netbox(_) => System::Netbox,
        }
    }

    /// Whether the system is at another place than with `old`.
    pub(super) fn is_elsewhere(&self, old: &Self) -> bool {
        match (self, old) {
            (Self::Dhcp(new), Self::Dhcp(old)) => (&new.v4, &new.v6) != (&old.v4, &old.v6),
            (Self::Netbox(new), Self::Netbox(old)) => new.url != old.url,
            _ => false,
        }
    }

    /// What the audit log says.
    pub(super) fn described(&self) -> Value {
        fn text<T: std::fmt::Display>(value: Option<&T>) -> String {
            value.map(ToString::to_string).unwrap_or_default()
        }
        match self {
            Self::Radius(radius) => json!({
                "suspend": radius.suspend.as_str(),
                "suspended_filter": radius.suspended_filter.as_str(),
                "usual_filter": radius.usual_filter.as_str(),
            }),
            Self::Dhcp(dhcp) => json!({
                "v4": text(dhcp.v4.as_ref()),
                "v6": text(dhcp.v6.as_ref()),
                "user": dhcp.user.as_str(),
                "authorities": dhcp.authorities.as_str(),
            }),
            Self::Netbox(netbox) => json!({
                "url": text(netbox.url.as_ref()),
                "authorities": netbox.authorities.as_str(),
            }),
        }
    }

    /// The text stored.
    pub(super) fn text(&self) -> String {
        self.described().to_string()
    }

    /// What was stored.
    pub(super) fn parse(system: System, stored: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(stored).map_err(damaged)?;
        let text =
            |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(match system {
            System::Radius => Self::Radius(RadiusSetup {
                suspend: text("suspend").parse().map_err(damaged)?,
                suspended_filter: text("suspended_filter").parse().map_err(damaged)?,
                usual_filter: text("usual_filter").parse().map_err(damaged)?,
            }),
            System::Dhcp => Self::Dhcp(DhcpSetup {
                v4: optional(&text("v4"))?,
                v6: optional(&text("v6"))?,
                user: text("user").parse().map_err(damaged)?,
                authorities: text("authorities").parse().map_err(damaged)?,
            }),
            System::Netbox => Self::Netbox(NetboxSetup {
                url: optional(&text("url"))?,
                authorities: text("authorities").parse().map_err(damaged)?,
            }),
        })
    }
}

fn optional<T>(text: &str) -> Result<Option<T>>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(damaged) }
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_from_what_is_stored() {
        for settings in [
            Settings::Radius(RadiusSetup {
                suspend: SuspendBy::Disconnect,
                suspended_filter: "walled garden".parse().unwrap(),
                usual_filter: FilterName::default(),
            }),
            Settings::Dhcp(DhcpSetup {
                v4: Some("http://10.0.0.5:8000".parse().unwrap()),
                v6: Some("unix:/run/kea/kea6.sock".parse().unwrap()),
                user: "patchbay".parse().unwrap(),
                authorities: Authorities::default(),
            }),
            Settings::Netbox(NetboxSetup {
                url: Some("https://netbox.corp/x".parse().unwrap()),
                authorities: Authorities::default(),
            }),
        ] {
            assert_eq!(Settings::parse(settings.system(), &settings.text()).unwrap(), settings);
        }
        for system in System::ALL {
            assert_eq!(
                Settings::parse(system, &Settings::of(system).text()).unwrap(),
                Settings::of(system)
            );
        }
    }

    #[test]
    fn a_secret_fits_into_a_header() {
        for bad in ["", " x", "a\nb", "ü", &"x".repeat(201)] {
            assert!(bad.parse::<KeyText>().is_err(), "{bad:?}");
        }
        assert!("a b\"c'${x};".parse::<KeyText>().is_ok());
    }
}
