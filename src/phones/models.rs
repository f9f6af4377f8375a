//! The makes and models Patchbay knows how to provision.

use std::fmt;
use std::str::FromStr;

/// Who made a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Vendor {
    Yealink,
    Polycom,
    Grandstream,
    Snom,
    Cisco,
    Fanvil,
    Zultys,
}

/// Not a vendor Patchbay has templates for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("choose yealink, polycom, grandstream, snom, cisco, fanvil or zultys")]
pub struct BadVendor;

impl Vendor {
    /// All vendors, in the order they are offered.
    pub const ALL: [Self; 7] = [
        Self::Yealink,
        Self::Polycom,
        Self::Grandstream,
        Self::Snom,
        Self::Cisco,
        Self::Fanvil,
        Self::Zultys,
    ];

    /// The word stored, and used in URLs and calls.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yealink => "yealink",
            Self::Polycom => "polycom",
            Self::Grandstream => "grandstream",
            Self::Snom => "snom",
            Self::Cisco => "cisco",
            Self::Fanvil => "fanvil",
            Self::Zultys => "zultys",
        }
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Yealink => "Yealink",
            Self::Polycom => "Poly",
            Self::Grandstream => "Grandstream",
            Self::Snom => "Snom",
            Self::Cisco => "Cisco",
            Self::Fanvil => "Fanvil",
            Self::Zultys => "Zultys",
        }
    }

    /// The models of this vendor, in the order they are offered.
    pub fn models(self) -> impl Iterator<Item = &'static Model> {
        MODELS.iter().filter(move |model| model.vendor == self)
    }
}

impl FromStr for Vendor {
    type Err = BadVendor;

    fn from_str(text: &str) -> Result<Self, BadVendor> {
        let text = text.trim().to_ascii_lowercase();
        if text == "poly" {
            return Ok(Self::Polycom);
        }
        Self::ALL.into_iter().find(|vendor| vendor.as_str() == text).ok_or(BadVendor)
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A telephone.
    Phone,
    /// An adapter with sockets for analogue telephones.
    Ata,
}

impl Kind {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Ata => "ata",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A model and what its files depend on.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// Who made it.
    pub vendor: Vendor,
    /// The word stored, and used in URLs and calls: lower case, unique for its vendor.
    pub name: &'static str,
    /// What stands on the device.
    pub title: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Which of the vendor's templates its own file is made from.
    pub family: &'static str,
    /// Numbers it can register.
    pub lines: u8,
    /// Keys that can be given a function.
    pub keys: u8,
    /// What its common file is called by (Yealink's hardware id, for one); may be empty.
    pub common: &'static str,
}

/// Not a model of that vendor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{vendor} has no model {name:?} that Patchbay knows; choose one of the list")]
pub struct BadModel {
    /// The vendor.
    pub vendor: &'static str,
    /// What was asked for.
    pub name: String,
}

impl Model {
    /// The model called `name`, in any case.
    pub fn find(vendor: Vendor, name: &str) -> Result<&'static Self, BadModel> {
        let wanted = name.trim().to_ascii_lowercase();
        let bad = || BadModel { vendor: vendor.title(), name: name.trim().to_owned() };
        vendor.models().find(|model| model.name == wanted).ok_or_else(bad)
    }

    /// `yealink/t46s`: how profiles and lists name it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.vendor, self.name)
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.vendor.title(), self.title)
    }
}

const fn phone(
    vendor: Vendor,
    name: &'static str,
    title: &'static str,
    family: &'static str,
    (lines, keys): (u8, u8),
    common: &'static str,
) -> Model {
    Model { vendor, name, title, kind: Kind::Phone, family, lines, keys, common }
}

const fn ata(
    vendor: Vendor,
    name: &'static str,
    title: &'static str,
    family: &'static str,
    lines: u8,
    common: &'static str,
) -> Model {
    Model { vendor, name, title, kind: Kind::Ata, family, lines, keys: 0, common }
}

/// Every model. Yealink's numbers are the hardware ids in the names of its common files.
pub static MODELS: [Model; 15] = [
    phone(Vendor::Yealink, "t23g", "SIP-T23G", "phone", (3, 3), "y000000000044"),
    phone(Vendor::Yealink, "t28g", "SIP-T28G", "phone", (6, 16), ""),
    phone(Vendor::Yealink, "t33g", "SIP-T33G", "phone", (4, 12), "y000000000124"),
    phone(Vendor::Yealink, "t46s", "SIP-T46S", "phone", (16, 27), "y000000000066"),
    phone(Vendor::Polycom, "vvx450", "VVX 450", "phone", (12, 12), ""),
    phone(Vendor::Grandstream, "gxp2170", "GXP2170", "gxp", (12, 48), ""),
    ata(Vendor::Grandstream, "ht801", "HT801", "ht", 1, ""),
    ata(Vendor::Grandstream, "ht802", "HT802", "ht", 2, ""),
    phone(Vendor::Cisco, "spa504g", "SPA504G", "spa", (4, 4), "spa504G"),
    ata(Vendor::Cisco, "spa112", "SPA112", "ata", 2, "spa112"),
    ata(Vendor::Cisco, "spa122", "SPA122", "ata", 2, "spa122"),
    ata(Vendor::Cisco, "ata191", "ATA 191", "ata", 2, ""),
    ata(Vendor::Cisco, "ata192", "ATA 192", "ata", 2, ""),
    phone(Vendor::Zultys, "zip33g", "ZIP 33G", "phone", (4, 12), ""),
    phone(Vendor::Zultys, "zip37g", "ZIP 37G", "phone", (16, 27), ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_found_by_their_name_in_any_case() {
        assert_eq!(Model::find(Vendor::Yealink, " T46S ").unwrap().title, "SIP-T46S");
        assert!(Model::find(Vendor::Snom, "t46s").is_err());
        assert_eq!("Poly".parse(), Ok(Vendor::Polycom));
    }

    #[test]
    fn every_model_has_a_name_of_its_own_and_at_least_a_line() {
        let mut keys: Vec<String> = MODELS.iter().map(Model::key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), MODELS.len());
        for model in &MODELS {
            assert_eq!(model.name, model.name.to_ascii_lowercase());
            assert!(model.lines >= 1 && !model.family.is_empty());
        }
    }
}
