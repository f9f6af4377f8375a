//! Who is where, line by line.

use crate::id::{SubnetId, UserId};
use crate::net::{Address, Mac};
use crate::numbering::ExtensionNumber;
use crate::registrations::device::Source;
use crate::text::ByName;
use crate::time::Timestamp;

/// Something that should not be as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Registered from another address than its static one.
    Moved,
    /// One device is registered as more numbers than it has lines.
    SharedMac,
    /// Two devices are at one address.
    SharedAddress,
    /// Registered by a device that is not among the phones.
    Unknown,
    /// Registered by a phone of which the number is not a line.
    Other,
    /// No sign of it for days.
    Silent,
}

impl Flag {
    /// All of them, in the order of their bits.
    pub const ALL: [Self; 6] = [
        Self::Moved,
        Self::SharedMac,
        Self::SharedAddress,
        Self::Unknown,
        Self::Other,
        Self::Silent,
    ];

    /// Its name in URLs and calls.
    pub fn name(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::SharedMac => "shared-mac",
            Self::SharedAddress => "shared-address",
            Self::Unknown => "unknown",
            Self::Other => "other-phone",
            Self::Silent => "silent",
        }
    }

    /// What a person chooses it by.
    pub fn title(self) -> &'static str {
        match self {
            Self::Moved => "Not at the static address",
            Self::SharedMac => "One MAC, several numbers",
            Self::SharedAddress => "One address, several MACs",
            Self::Unknown => "Unknown device",
            Self::Other => "Not its line",
            Self::Silent => "Silent",
        }
    }

    /// The flag called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag| flag.name() == name)
    }

    /// Its bit.
    pub fn bit(self) -> i64 {
        match self {
            Self::Moved => 1,
            Self::SharedMac => 2,
            Self::SharedAddress => 4,
            Self::Unknown => 8,
            Self::Other => 16,
            Self::Silent => 32,
        }
    }
}

/// The flags of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub i64);

impl Flags {
    /// Raises one.
    pub fn raise(&mut self, flag: Flag) {
        self.0 |= flag.bit();
    }

    /// Whether it is raised.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Those raised.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |flag| self.has(*flag))
    }
}

/// One line: a number and what is registered as it, or a phone without a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands in the list; its name there.
    pub place: String,
    /// The number.
    pub number: Option<ExtensionNumber>,
    /// Whose it is; none when nobody has it any more.
    pub user: Option<UserId>,
    /// What they are called.
    pub name: String,
    /// The device that is registered, else the phone that has the line.
    pub mac: Option<Mac>,
    /// Whence it is known that it is that device; none for a phone that is not registered.
    pub source: Option<Source>,
    /// Whether it is among the phones; then the next four say which.
    pub known: bool,
    /// Who made it.
    pub vendor: String,
    /// What it is.
    pub model: String,
    /// `phone` or `ata`.
    pub kind: String,
    /// What people call it.
    pub label: String,
    /// Where it is, or was last.
    pub address: Option<Address>,
    /// Where it believes to be, if that is elsewhere.
    pub via: Option<Address>,
    /// Its static address.
    pub fixed: Option<Address>,
    /// The subnet it is in, or should be.
    pub subnet: Option<(SubnetId, String)>,
    /// What it calls itself.
    pub user_agent: String,
    /// Where Asterisk reaches it.
    pub contact: String,
    /// Whether it is registered.
    pub present: bool,
    /// Since when it registers from there.
    pub first_seen: Option<Timestamp>,
    /// The last sign of it; none when there was never one.
    pub seen_at: Option<Timestamp>,
    /// Until when it is registered, if it does not come again.
    pub expires_at: Option<Timestamp>,
    /// What should not be so.
    pub flags: Flags,
}

impl Row {
    /// Everything a search looks through.
    pub fn search(&self) -> String {
        let mac = self.mac.map(|mac| format!("{mac} {}", mac.hex())).unwrap_or_default();
        let shown = |address: Option<Address>| address.map(|a| a.to_string()).unwrap_or_default();
        let words = [
            self.number.map(|number| number.to_string()).unwrap_or_default(),
            self.name.to_lowercase(),
            mac,
            shown(self.address),
            shown(self.via),
            shown(self.fixed),
            self.subnet.as_ref().map(|(_, name)| name.to_lowercase()).unwrap_or_default(),
            self.label.to_lowercase(),
            self.vendor.to_lowercase(),
            self.model.to_lowercase(),
            self.user_agent.to_lowercase(),
        ];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// The device's hardware address as URLs spell it.
    pub fn hex(&self) -> String {
        self.mac.map(Mac::hex).unwrap_or_default()
    }

    /// What is the matter, and what to do: one sentence for each flag.
    pub fn sentences(&self) -> Vec<(Flag, String)> {
        self.flags.iter().map(|flag| (flag, self.sentence(flag))).collect()
    }

    fn sentence(&self, flag: Flag) -> String {
        let or = |text: Option<String>, else_: &str| text.unwrap_or_else(|| else_.to_owned());
        let mac = or(self.mac.map(|mac| mac.to_string()), "the device");
        let address = or(self.address.map(|a| a.to_string()), "its address");
        match flag {
            Flag::Moved => format!(
                "It registers from {address}, but its static address is {}: let DHCP give it that one and restart it, or write down the new one.",
                or(self.fixed.map(|a| a.to_string()), "another")
            ),
            Flag::SharedMac => format!(
                "{mac} is registered as more numbers than are its lines: give it those lines, or new secrets to the others."
            ),
            Flag::SharedAddress => format!(
                "Other devices register from {address} too, and none says that a router stands between: look for two machines with one address."
            ),
            Flag::Unknown if self.mac.is_some() => format!(
                "{mac} is not among the phones: add it, or give the number a new secret if it should not be there."
            ),
            Flag::Unknown => "Nothing tells which device this is: add the phone that has the number, or give the number a new secret if it should not be there.".to_owned(),
            Flag::Other => format!(
                "{mac} is registered as this number, which is not one of its lines: give it the line, or give the number a new secret."
            ),
            Flag::Silent => "No sign of it for longer than is usual: look whether it is plugged in; if it is gone for good, delete it.".to_owned(),
        }
    }
}

/// How many there are of what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lines in all.
    pub entries: i64,
    /// Those registered.
    pub present: i64,
    /// Those with each flag, in the order of [`Flag::ALL`].
    pub flagged: Vec<i64>,
}

impl Stats {
    /// Those of these lines.
    pub fn of(rows: impl Iterator<Item = Row>) -> Self {
        let mut stats = Self { flagged: vec![0; Flag::ALL.len()], ..Self::default() };
        for row in rows {
            stats.entries += 1;
            stats.present += i64::from(row.present);
            for (count, flag) in stats.flagged.iter_mut().zip(Flag::ALL) {
                *count += i64::from(row.flags.has(flag));
            }
        }
        stats
    }

    /// How many have a flag.
    pub fn with(&self, flag: Flag) -> i64 {
        let pairs = Flag::ALL.into_iter().zip(self.flagged.iter().copied());
        pairs.filter(|(of, _)| *of == flag).map(|(_, count)| count).sum()
    }

    /// The flags that some have, with how many.
    pub fn raised(&self) -> Vec<(Flag, i64)> {
        let pairs = Flag::ALL.into_iter().zip(self.flagged.iter().copied());
        pairs.filter(|(_, count)| *count > 0).collect()
    }
}

/// Which lines of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Part of anything a line says.
    pub search: String,
    /// Only those with this flag.
    pub flag: Option<Flag>,
    /// Only those registered, or only the others.
    pub present: Option<bool>,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; Down is the other way round")]
pub enum Sort {
    #[default]
    Number,
    NumberDown,
    Name,
    NameDown,
    Mac,
    MacDown,
    Address,
    AddressDown,
    Seen,
    SeenDown,
}

impl ByName for Sort {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Number, "number"),
        (Self::NumberDown, "-number"),
        (Self::Name, "name"),
        (Self::NameDown, "-name"),
        (Self::Mac, "mac"),
        (Self::MacDown, "-mac"),
        (Self::Address, "address"),
        (Self::AddressDown, "-address"),
        (Self::Seen, "seen"),
        (Self::SeenDown, "-seen"),
    ];
}
