//! Lists of phones: which, in what order, and what is shown of each.

mod queries;
mod totals;

use crate::id::{ProfileId, UserId};
use crate::models::{Kind, Model, Vendor};
use crate::net::{Address, Mac};
use crate::numbering::ExtensionNumber;
use crate::text::ByName;
use crate::time::Timestamp;
use crate::users::lines;

pub use queries::list;
pub use totals::{Totals, sites, totals};

/// Which phones a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Part of a MAC in any notation, a label, a number, a name, an address, the site it stands at, model, notes.
    pub search: String,
    /// Only one make.
    pub vendor: Option<Vendor>,
    /// Only one model.
    pub model: Option<&'static Model>,
    /// Only those that stand at this site, by its name.
    pub site: String,
    /// Only phones, or only adapters.
    pub kind: Option<Kind>,
    /// Only those that chose this profile.
    pub profile: Option<ProfileId>,
    /// Only those of which this is so.
    pub state: Only,
}

impl Filter {
    /// Whether every phone is shown.
    fn is_everything(&self) -> bool {
        self.is_state_alone() && self.state == Only::All
    }

    /// Whether nothing is asked but what is so of the phones.
    fn is_state_alone(&self) -> bool {
        !self.is_search() && self.says_nothing_but_state()
    }

    /// Whether something is searched for.
    fn is_search(&self) -> bool {
        !self.search.trim().is_empty()
    }

    /// Whether nothing else is asked.
    fn is_search_alone(&self) -> bool {
        self.is_search() && self.says_nothing_but_state() && self.state == Only::All
    }

    fn says_nothing_but_state(&self) -> bool {
        let Self { search: _, vendor, model, site, kind, profile, state: _ } = self;
        site.trim().is_empty()
            && (vendor.is_none() && model.is_none() && kind.is_none() && profile.is_none())
    }
}

/// What may be so of a phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Only {
    /// Anything.
    #[default]
    All,
    /// One of its numbers is registered, as far as is known by this phone.
    Registered,
    /// It has a line and none is registered.
    Unregistered,
    /// It never fetched a file of its own.
    NeverFetched,
    /// It has no line.
    NoLine,
    /// It has no static address.
    NoAddress,
}

impl ByName for Only {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::All, ""),
        (Self::Registered, "registered"),
        (Self::Unregistered, "unregistered"),
        (Self::NeverFetched, "never_fetched"),
        (Self::NoLine, "no_line"),
        (Self::NoAddress, "no_address"),
    ];
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; Down is the other way round")]
pub enum Sort {
    #[default]
    Title,
    TitleDown,
    Number,
    NumberDown,
    Mac,
    MacDown,
    Model,
    ModelDown,
    Site,
    SiteDown,
    Address,
    AddressDown,
    Fetched,
    FetchedDown,
    Created,
    CreatedDown,
}

impl ByName for Sort {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Title, "name"),
        (Self::TitleDown, "-name"),
        (Self::Number, "number"),
        (Self::NumberDown, "-number"),
        (Self::Mac, "mac"),
        (Self::MacDown, "-mac"),
        (Self::Model, "model"),
        (Self::ModelDown, "-model"),
        (Self::Site, "site"),
        (Self::SiteDown, "-site"),
        (Self::Address, "address"),
        (Self::AddressDown, "-address"),
        (Self::Fetched, "fetched"),
        (Self::FetchedDown, "-fetched"),
        (Self::Created, "created"),
        (Self::CreatedDown, "-created"),
    ];
}

/// A phone as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its hardware address.
    pub mac: Mac,
    /// What it is.
    pub model: &'static Model,
    /// What people call it; may be empty.
    pub label: String,
    /// The site it says itself; may be empty.
    pub site: String,
    /// The site it stands at: its own, else its subnet's; may be empty.
    pub stands: String,
    /// Its notes; may be empty.
    pub notes: String,
    /// The profile it chose; may be empty.
    pub profile: String,
    /// Its lines.
    pub lines: Vec<ListedLine>,
    /// Its static address.
    pub address: Option<Address>,
    /// When it last fetched a file of its own.
    pub fetched_at: Option<Timestamp>,
    /// Counts changes.
    pub version: i64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Listed {
    /// What people read where it is named.
    pub fn title(&self) -> String {
        let first = self.lines.first().map(|line| (line.number, line.name.as_str()));
        lines::title(&self.label, first, self.mac)
    }

    /// Whether one of its numbers is registered.
    pub fn is_registered(&self) -> bool {
        self.lines.iter().any(|line| line.registered)
    }
}

/// A line of a phone as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedLine {
    /// 1 is the first.
    pub line: u8,
    /// Whose extension.
    pub user: UserId,
    /// That extension.
    pub number: ExtensionNumber,
    /// What the person is called.
    pub name: String,
    /// What the phone writes beside it; empty is the number.
    pub label: String,
    /// Whether the number is registered and, as far as is known, by this phone.
    pub registered: bool,
}
