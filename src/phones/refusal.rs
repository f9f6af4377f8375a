//! Why a phone cannot be saved as asked: everything that is wrong, at once.

use std::fmt;

use super::settings::BadSetting;
use super::types::Phone;
use crate::ipam::addresses;
use crate::lifecycle;
use crate::models::Model;
use crate::net::{Address, Mac};
use crate::numbering::ExtensionNumber;
use crate::web::Error;

/// Something that is wrong with what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The installation has a phone with the MAC.
    #[error("there is a phone with the MAC address {mac} already")]
    MacTaken {
        /// Which.
        mac: Mac,
        /// Whether the tenant may see it.
        ours: bool,
    },
    /// A number rings one phone, and it is another.
    #[error("{number} rings {title}; take it from there first")]
    LineTaken {
        /// The line that was to get it.
        line: u8,
        /// The number.
        number: ExtensionNumber,
        /// The phone that has it.
        mac: Mac,
        /// What that phone is called.
        title: String,
    },
    /// There is no such user.
    #[error("there is no user with this id or extension")]
    NoUser {
        /// The line that was to get them.
        line: u8,
    },
    /// The same number twice on one phone, or two numbers on one line.
    #[error("{0}")]
    LineTwice(&'static str, u8),
    /// The model has not so many lines.
    #[error("{model} has {} {}", .model.lines, if .model.lines == 1 { "line" } else { "lines" })]
    LineBeyond {
        /// The line.
        line: u8,
        /// The model.
        model: &'static Model,
    },
    /// A key that cannot be.
    #[error("{why}")]
    Key {
        /// Where.
        position: u8,
        /// What is wrong.
        why: String,
    },
    /// There is no such subnet.
    #[error("there is no such subnet")]
    NoSubnet,
    /// Its address lies elsewhere.
    #[error("its address {0} is not in this subnet; give it another address, or none, as well")]
    AddressElsewhere(Address),
    /// There is no such profile, or it is not one to choose.
    #[error("there is no such profile to choose")]
    NoProfile,
    /// A setting that is none, or cannot hold that.
    #[error("{why}")]
    Setting {
        /// Its key.
        key: String,
        /// What is wrong.
        why: BadSetting,
    },
    /// A next free address was asked for without a subnet.
    #[error("choose the subnet whose next free address it is to have")]
    NoSubnetChosen,
    /// The address is not one that is given by hand.
    #[error("{address} is in no static pool{}; choose one that is", where_(.subnet.as_deref()))]
    NotStatic {
        /// Which.
        address: Address,
        /// The subnet around it.
        subnet: Option<String>,
    },
    /// Somebody has the address.
    #[error("{address} is {status}: {by}; {wanted_by} cannot have it too")]
    AddressTaken {
        /// Which.
        address: Address,
        /// What it is.
        status: String,
        /// Who holds or keeps it.
        by: String,
        /// The page about them.
        link: Option<String>,
        /// Who wants it.
        wanted_by: String,
    },
    /// IPAM does not give the address for another reason.
    #[error(transparent)]
    Address(addresses::Refusal),
    /// The life of the address it has, or would have, does not allow it.
    #[error(transparent)]
    Life(lifecycle::Refusal),
    /// There is no such phone.
    #[error("there is no such phone")]
    Missing,
    /// Somebody changed it meanwhile; this is what it is now.
    #[error("somebody changed this phone meanwhile")]
    Stale(Box<Phone>),
    /// A fault.
    #[error(transparent)]
    Fault(#[from] Error),
}

fn where_(subnet: Option<&str>) -> String {
    subnet.map(|subnet| format!(" of {subnet}")).unwrap_or_default()
}

impl Refusal {
    /// The field it is about: `mac`, `line-2`, `key-3`, `subnet`, `profile`, `address` or the key
    /// of a setting.
    pub fn field(&self) -> Option<String> {
        Some(match self {
            Self::MacTaken { .. } => "mac".to_owned(),
            Self::LineTaken { line, .. }
            | Self::NoUser { line }
            | Self::LineTwice(_, line)
            | Self::LineBeyond { line, .. } => format!("line-{line}"),
            Self::Key { position, .. } => format!("key-{position}"),
            Self::NoSubnet | Self::AddressElsewhere(_) | Self::NoSubnetChosen => {
                "subnet".to_owned()
            }
            Self::NoProfile => "profile".to_owned(),
            Self::Setting { key, .. } => key.clone(),
            Self::NotStatic { .. }
            | Self::AddressTaken { .. }
            | Self::Address(_)
            | Self::Life(_) => "address".to_owned(),
            Self::Missing | Self::Stale(_) | Self::Fault(_) => return None,
        })
    }

    /// The page about whoever or whatever stands in the way, if there is one.
    pub fn link(&self) -> Option<String> {
        match self {
            Self::MacTaken { mac, ours: true } | Self::LineTaken { mac, .. } => {
                Some(format!("/phones/{}", mac.hex()))
            }
            Self::AddressTaken { address, link, .. } => {
                Some(link.clone().unwrap_or_else(|| format!("/ipam/addresses/{address}")))
            }
            _ => None,
        }
    }

    /// Whether it is about something somebody else has.
    pub fn is_conflict(&self) -> bool {
        use addresses::Refusal as Ipam;
        match self {
            Self::MacTaken { .. }
            | Self::LineTaken { .. }
            | Self::AddressTaken { .. }
            | Self::Life(_) => true,
            Self::Address(refusal) => {
                matches!(refusal, Ipam::Full { .. } | Ipam::Taken { .. } | Ipam::NotYours { .. })
            }
            _ => false,
        }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<crate::secrets::VaultError> for Refusal {
    fn from(error: crate::secrets::VaultError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<lifecycle::Refusal> for Refusal {
    fn from(refusal: lifecycle::Refusal) -> Self {
        match refusal {
            lifecycle::Refusal::Fault(error) => Self::Fault(error),
            other => Self::Life(other),
        }
    }
}

impl From<addresses::Refusal> for Refusal {
    fn from(refusal: addresses::Refusal) -> Self {
        match refusal {
            addresses::Refusal::Fault(error) => Self::Fault(error),
            other => Self::Address(other),
        }
    }
}

/// Everything that is wrong with what was asked; never empty.
#[derive(Debug)]
pub struct Refusals(pub Vec<Refusal>);

impl<T: Into<Refusal>> From<T> for Refusals {
    fn from(refusal: T) -> Self {
        Self(vec![refusal.into()])
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join("; "))
    }
}

impl std::error::Error for Refusals {}

impl Refusals {
    /// What of it no person can put right by typing something else: that there is no such phone,
    /// that somebody changed it, or a fault; else everything.
    pub fn sorted(self) -> Sorted {
        let mut fields = Vec::new();
        for refusal in self.0 {
            match refusal {
                Refusal::Fault(error) => return Sorted::Fault(error),
                Refusal::Missing => return Sorted::Missing,
                Refusal::Stale(phone) => return Sorted::Stale(phone),
                other => fields.push(other),
            }
        }
        Sorted::Fields(fields)
    }
}

/// What came of an operation that was refused, by what is to be done about it.
#[derive(Debug)]
pub enum Sorted {
    /// A fault.
    Fault(Error),
    /// There is no such phone.
    Missing,
    /// Somebody changed it meanwhile.
    Stale(Box<Phone>),
    /// What is wrong with the fields.
    Fields(Vec<Refusal>),
}

/// What comes of asking for something.
pub type Outcome<T> = std::result::Result<T, Refusals>;
