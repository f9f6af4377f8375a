//! The makes and models Patchbay knows how to provision.

mod makers;

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

    /// Whether its files can say that speech is encrypted. Nobody vouches for a name for it in those of
    /// Cisco's SPA and ATA series: Asterisk would insist, and the device would not know.
    pub fn encrypts(&self) -> bool {
        !(self.vendor == Vendor::Cisco && matches!(self.family, "spa" | "ata"))
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

/// Every model: those Patchbay writes complete files for. The keys are those its templates can
/// give a function. What the common files are called by: Yealink's hardware ids, the name a Cisco
/// has for itself (`$PSN`), and so on; see [`Model::common`].
pub static MODELS: [Model; 169] = [
    phone(Vendor::Yealink, "t19p", "SIP-T19P", "phone", (1, 0), "y000000000053"),
    phone(Vendor::Yealink, "t21p", "SIP-T21P", "phone", (2, 2), "y000000000052"),
    phone(Vendor::Yealink, "t23p", "SIP-T23P", "phone", (3, 3), "y000000000044"),
    phone(Vendor::Yealink, "t23g", "SIP-T23G", "phone", (3, 3), "y000000000044"),
    phone(Vendor::Yealink, "t27g", "SIP-T27G", "phone", (6, 21), "y000000000069"),
    phone(Vendor::Yealink, "t28g", "SIP-T28G", "phone", (6, 16), ""),
    phone(Vendor::Yealink, "t29g", "SIP-T29G", "phone", (16, 27), "y000000000046"),
    phone(Vendor::Yealink, "t30p", "SIP-T30P", "phone", (1, 0), "y000000000127"),
    phone(Vendor::Yealink, "t31p", "SIP-T31P", "phone", (2, 2), "y000000000123"),
    phone(Vendor::Yealink, "t31g", "SIP-T31G", "phone", (2, 2), "y000000000123"),
    phone(Vendor::Yealink, "t31w", "SIP-T31W", "phone", (2, 2), "y000000000172"),
    phone(Vendor::Yealink, "t33p", "SIP-T33P", "phone", (4, 12), "y000000000124"),
    phone(Vendor::Yealink, "t33g", "SIP-T33G", "phone", (4, 12), "y000000000124"),
    phone(Vendor::Yealink, "t34w", "SIP-T34W", "phone", (4, 12), "y000000000171"),
    phone(Vendor::Yealink, "t40p", "SIP-T40P", "phone", (3, 3), "y000000000054"),
    phone(Vendor::Yealink, "t40g", "SIP-T40G", "phone", (3, 3), "y000000000076"),
    phone(Vendor::Yealink, "t41p", "SIP-T41P", "phone", (6, 15), "y000000000036"),
    phone(Vendor::Yealink, "t41s", "SIP-T41S", "phone", (6, 15), "y000000000068"),
    phone(Vendor::Yealink, "t42g", "SIP-T42G", "phone", (12, 15), "y000000000029"),
    phone(Vendor::Yealink, "t42s", "SIP-T42S", "phone", (12, 15), "y000000000067"),
    phone(Vendor::Yealink, "t42u", "SIP-T42U", "phone", (12, 15), "y000000000116"),
    phone(Vendor::Yealink, "t43u", "SIP-T43U", "phone", (12, 21), "y000000000107"),
    phone(Vendor::Yealink, "t44w", "SIP-T44W", "phone", (12, 24), "y000000000174"),
    phone(Vendor::Yealink, "t46g", "SIP-T46G", "phone", (16, 27), "y000000000028"),
    phone(Vendor::Yealink, "t46s", "SIP-T46S", "phone", (16, 27), "y000000000066"),
    phone(Vendor::Yealink, "t46u", "SIP-T46U", "phone", (16, 27), "y000000000108"),
    phone(Vendor::Yealink, "t48g", "SIP-T48G", "phone", (16, 29), "y000000000035"),
    phone(Vendor::Yealink, "t48s", "SIP-T48S", "phone", (16, 29), "y000000000065"),
    phone(Vendor::Yealink, "t48u", "SIP-T48U", "phone", (16, 29), "y000000000109"),
    phone(Vendor::Yealink, "t52s", "SIP-T52S", "phone", (12, 21), "y000000000074"),
    phone(Vendor::Yealink, "t53", "SIP-T53", "phone", (12, 21), "y000000000095"),
    phone(Vendor::Yealink, "t53w", "SIP-T53W", "phone", (12, 21), "y000000000095"),
    phone(Vendor::Yealink, "t54s", "SIP-T54S", "phone", (16, 27), "y000000000070"),
    phone(Vendor::Yealink, "t54w", "SIP-T54W", "phone", (16, 27), "y000000000096"),
    phone(Vendor::Yealink, "t56a", "SIP-T56A", "phone", (16, 27), "y000000000056"),
    phone(Vendor::Yealink, "t57w", "SIP-T57W", "phone", (16, 29), "y000000000097"),
    phone(Vendor::Yealink, "t58a", "SIP-T58A", "phone", (16, 27), "y000000000058"),
    phone(Vendor::Yealink, "t58w", "SIP-T58W", "phone", (16, 27), "y000000000150"),
    phone(Vendor::Yealink, "t73u", "SIP-T73U", "phone", (12, 48), "y000000000186"),
    phone(Vendor::Yealink, "t73w", "SIP-T73W", "phone", (12, 48), "y000000000183"),
    phone(Vendor::Yealink, "t74u", "SIP-T74U", "phone", (16, 60), "y000000000187"),
    phone(Vendor::Yealink, "t74w", "SIP-T74W", "phone", (16, 60), "y000000000184"),
    phone(Vendor::Yealink, "t77u", "SIP-T77U", "phone", (16, 95), "y000000000188"),
    phone(Vendor::Yealink, "t85w", "SIP-T85W", "phone", (16, 72), "y000000000196"),
    phone(Vendor::Yealink, "t87w", "SIP-T87W", "phone", (16, 95), "y000000000197"),
    phone(Vendor::Yealink, "t88w", "SIP-T88W", "phone", (16, 95), "y000000000192"),
    phone(Vendor::Yealink, "w52p", "W52P", "dect", (5, 0), "y000000000025"),
    phone(Vendor::Yealink, "w56p", "W56P", "dect", (5, 0), "y000000000025"),
    phone(Vendor::Yealink, "w60b", "W60B", "dect", (8, 0), "y000000000077"),
    phone(Vendor::Yealink, "w70b", "W70B", "dect", (10, 0), "y000000000146"),
    phone(Vendor::Yealink, "w80b", "W80B", "dect", (30, 0), "y000000000175"),
    phone(Vendor::Polycom, "vvx101", "VVX 101", "phone", (1, 1), ""),
    phone(Vendor::Polycom, "vvx150", "VVX 150", "phone", (2, 2), ""),
    phone(Vendor::Polycom, "vvx201", "VVX 201", "phone", (2, 2), ""),
    phone(Vendor::Polycom, "vvx250", "VVX 250", "phone", (4, 4), ""),
    phone(Vendor::Polycom, "vvx301", "VVX 301", "phone", (6, 6), ""),
    phone(Vendor::Polycom, "vvx311", "VVX 311", "phone", (6, 6), ""),
    phone(Vendor::Polycom, "vvx350", "VVX 350", "phone", (6, 6), ""),
    phone(Vendor::Polycom, "vvx401", "VVX 401", "phone", (12, 12), ""),
    phone(Vendor::Polycom, "vvx411", "VVX 411", "phone", (12, 12), ""),
    phone(Vendor::Polycom, "vvx450", "VVX 450", "phone", (12, 12), ""),
    phone(Vendor::Polycom, "vvx501", "VVX 501", "phone", (12, 12), ""),
    phone(Vendor::Polycom, "vvx601", "VVX 601", "phone", (16, 16), ""),
    phone(Vendor::Polycom, "edge-e100", "Edge E100", "phone", (2, 2), ""),
    phone(Vendor::Polycom, "edge-e220", "Edge E220", "phone", (4, 4), ""),
    phone(Vendor::Polycom, "edge-e300", "Edge E300", "phone", (8, 8), ""),
    phone(Vendor::Polycom, "edge-e320", "Edge E320", "phone", (8, 8), ""),
    phone(Vendor::Polycom, "edge-e350", "Edge E350", "phone", (8, 8), ""),
    phone(Vendor::Polycom, "edge-e400", "Edge E400", "phone", (8, 8), ""),
    phone(Vendor::Polycom, "edge-e450", "Edge E450", "phone", (8, 8), ""),
    phone(Vendor::Polycom, "edge-e500", "Edge E500", "phone", (12, 12), ""),
    phone(Vendor::Polycom, "edge-e550", "Edge E550", "phone", (12, 12), ""),
    phone(Vendor::Polycom, "ccx350", "CCX 350", "phone", (1, 1), ""),
    phone(Vendor::Polycom, "ccx400", "CCX 400", "phone", (24, 24), ""),
    phone(Vendor::Polycom, "ccx500", "CCX 500", "phone", (24, 24), ""),
    phone(Vendor::Polycom, "ccx505", "CCX 505", "phone", (24, 24), ""),
    phone(Vendor::Polycom, "ccx600", "CCX 600", "phone", (24, 24), ""),
    phone(Vendor::Polycom, "ccx700", "CCX 700", "phone", (24, 24), ""),
    phone(Vendor::Grandstream, "gxp1610", "GXP1610", "gxp", (1, 2), "gxp1610"),
    phone(Vendor::Grandstream, "gxp1620", "GXP1620", "gxp", (2, 2), "gxp1620"),
    phone(Vendor::Grandstream, "gxp1625", "GXP1625", "gxp", (2, 2), "gxp1625"),
    phone(Vendor::Grandstream, "gxp1628", "GXP1628", "gxp", (2, 2), "gxp1628"),
    phone(Vendor::Grandstream, "gxp1630", "GXP1630", "gxp", (3, 3), "gxp1630"),
    phone(Vendor::Grandstream, "gxp1760", "GXP1760", "gxp", (3, 6), "gxp1760"),
    phone(Vendor::Grandstream, "gxp1780", "GXP1780", "gxp", (4, 6), "gxp1780"),
    phone(Vendor::Grandstream, "gxp1782", "GXP1782", "gxp", (4, 6), "gxp1782"),
    phone(Vendor::Grandstream, "gxp2130", "GXP2130", "gxp", (3, 3), "gxp2130"),
    phone(Vendor::Grandstream, "gxp2135", "GXP2135", "gxp", (4, 6), "gxp2135"),
    phone(Vendor::Grandstream, "gxp2140", "GXP2140", "gxp", (4, 4), "gxp2140"),
    phone(Vendor::Grandstream, "gxp2160", "GXP2160", "gxp", (6, 6), "gxp2160"),
    phone(Vendor::Grandstream, "gxp2170", "GXP2170", "gxp", (6, 6), "gxp2170"),
    phone(Vendor::Grandstream, "grp2601", "GRP2601", "grp", (2, 2), "grp2601"),
    phone(Vendor::Grandstream, "grp2602", "GRP2602", "grp", (2, 4), "grp2602"),
    phone(Vendor::Grandstream, "grp2603", "GRP2603", "grp", (3, 3), "grp2603"),
    phone(Vendor::Grandstream, "grp2604", "GRP2604", "grp", (3, 3), "grp2604"),
    phone(Vendor::Grandstream, "grp2612", "GRP2612", "grp", (2, 16), "grp2612"),
    phone(Vendor::Grandstream, "grp2612w", "GRP2612W", "grp", (2, 16), "grp2612w"),
    phone(Vendor::Grandstream, "grp2613", "GRP2613", "grp", (3, 24), "grp2613"),
    phone(Vendor::Grandstream, "grp2614", "GRP2614", "grp", (4, 16), "grp2614"),
    phone(Vendor::Grandstream, "grp2615", "GRP2615", "grp", (5, 40), "grp2615"),
    phone(Vendor::Grandstream, "grp2616", "GRP2616", "grp", (6, 16), "grp2616"),
    phone(Vendor::Grandstream, "grp2624", "GRP2624", "grp", (4, 8), "grp2624"),
    phone(Vendor::Grandstream, "grp2634", "GRP2634", "grp", (4, 8), "grp2634"),
    phone(Vendor::Grandstream, "grp2636", "GRP2636", "grp", (6, 12), "grp2636"),
    phone(Vendor::Grandstream, "grp2650", "GRP2650", "grp", (6, 14), "grp2650"),
    phone(Vendor::Grandstream, "grp2670", "GRP2670", "grp", (6, 12), "grp2670"),
    ata(Vendor::Grandstream, "ht801", "HT801", "ht", 1, "ht801"),
    ata(Vendor::Grandstream, "ht802", "HT802", "ht", 2, "ht802"),
    ata(Vendor::Grandstream, "ht812", "HT812", "ht", 2, "ht812"),
    ata(Vendor::Grandstream, "ht814", "HT814", "ports", 4, "ht814"),
    ata(Vendor::Grandstream, "ht818", "HT818", "ports", 8, "ht818"),
    phone(Vendor::Snom, "d120", "D120", "phone", (2, 2), "snomD120"),
    phone(Vendor::Snom, "d305", "D305", "phone", (4, 5), "snomD305"),
    phone(Vendor::Snom, "d315", "D315", "phone", (4, 5), "snomD315"),
    phone(Vendor::Snom, "d335", "D335", "phone", (12, 8), "snomD335"),
    phone(Vendor::Snom, "d345", "D345", "phone", (12, 12), "snomD345"),
    phone(Vendor::Snom, "d375", "D375", "phone", (12, 12), "snomD375"),
    phone(Vendor::Snom, "d385", "D385", "phone", (12, 12), "snomD385"),
    phone(Vendor::Snom, "d712", "D712", "phone", (4, 5), "snomD712"),
    phone(Vendor::Snom, "d713", "D713", "phone", (4, 5), "snomD713"),
    phone(Vendor::Snom, "d715", "D715", "phone", (4, 5), "snomD715"),
    phone(Vendor::Snom, "d717", "D717", "phone", (6, 3), "snomD717"),
    phone(Vendor::Snom, "d725", "D725", "phone", (12, 18), "snomD725"),
    phone(Vendor::Snom, "d735", "D735", "phone", (12, 8), "snomD735"),
    phone(Vendor::Snom, "d745", "D745", "phone", (12, 8), "snomD745"),
    phone(Vendor::Snom, "d765", "D765", "phone", (12, 16), "snomD765"),
    phone(Vendor::Snom, "d785", "D785", "phone", (12, 6), "snomD785"),
    phone(Vendor::Cisco, "spa303", "SPA303", "spa", (3, 3), "spa303"),
    phone(Vendor::Cisco, "spa501g", "SPA501G", "spa", (8, 8), "spa501G"),
    phone(Vendor::Cisco, "spa502g", "SPA502G", "spa", (1, 0), "spa502G"),
    phone(Vendor::Cisco, "spa504g", "SPA504G", "spa", (4, 4), "spa504G"),
    phone(Vendor::Cisco, "spa508g", "SPA508G", "spa", (8, 8), "spa508G"),
    phone(Vendor::Cisco, "spa509g", "SPA509G", "spa", (12, 12), "spa509G"),
    phone(Vendor::Cisco, "spa512g", "SPA512G", "spa", (1, 0), "spa512G"),
    phone(Vendor::Cisco, "spa514g", "SPA514G", "spa", (4, 4), "spa514G"),
    phone(Vendor::Cisco, "spa525g", "SPA525G", "spa", (5, 5), "spa525G"),
    phone(Vendor::Cisco, "spa525g2", "SPA525G2", "spa", (5, 5), "spa525G2"),
    phone(Vendor::Cisco, "cp-6821", "CP-6821-3PCC", "mpp", (2, 2), "6821-3PCC"),
    phone(Vendor::Cisco, "cp-6841", "CP-6841-3PCC", "mpp", (4, 4), "6841-3PCC"),
    phone(Vendor::Cisco, "cp-6851", "CP-6851-3PCC", "mpp", (4, 4), "6851-3PCC"),
    phone(Vendor::Cisco, "cp-6861", "CP-6861-3PCC", "mpp", (4, 4), "6861-3PCC"),
    phone(Vendor::Cisco, "cp-7811", "CP-7811-3PCC", "mpp", (1, 1), "7811-3PCC"),
    phone(Vendor::Cisco, "cp-7821", "CP-7821-3PCC", "mpp", (2, 2), "7821-3PCC"),
    phone(Vendor::Cisco, "cp-7841", "CP-7841-3PCC", "mpp", (4, 4), "7841-3PCC"),
    phone(Vendor::Cisco, "cp-7861", "CP-7861-3PCC", "mpp", (16, 16), "7861-3PCC"),
    phone(Vendor::Cisco, "cp-8811", "CP-8811-3PCC", "mpp", (10, 10), "8811-3PCC"),
    phone(Vendor::Cisco, "cp-8841", "CP-8841-3PCC", "mpp", (10, 10), "8841-3PCC"),
    phone(Vendor::Cisco, "cp-8845", "CP-8845-3PCC", "mpp", (10, 10), "8845-3PCC"),
    phone(Vendor::Cisco, "cp-8851", "CP-8851-3PCC", "mpp", (10, 10), "8851-3PCC"),
    phone(Vendor::Cisco, "cp-8861", "CP-8861-3PCC", "mpp", (10, 10), "8861-3PCC"),
    phone(Vendor::Cisco, "cp-8865", "CP-8865-3PCC", "mpp", (10, 10), "8865-3PCC"),
    ata(Vendor::Cisco, "spa112", "SPA112", "ata", 2, "spa112"),
    ata(Vendor::Cisco, "spa122", "SPA122", "ata", 2, "spa122"),
    ata(Vendor::Cisco, "ata191", "ATA 191", "ata", 2, "ATA191-MPP"),
    ata(Vendor::Cisco, "ata192", "ATA 192", "ata", 2, "ATA192-MPP"),
    phone(Vendor::Fanvil, "x3u", "X3U", "phone", (6, 3), ""),
    phone(Vendor::Fanvil, "x3u-pro", "X3U Pro", "phone", (6, 3), ""),
    phone(Vendor::Fanvil, "x4u", "X4U", "phone", (12, 12), ""),
    phone(Vendor::Fanvil, "x5s", "X5S", "phone", (6, 8), ""),
    phone(Vendor::Fanvil, "x5u", "X5U", "phone", (16, 12), "F0V0X5U00000"),
    phone(Vendor::Fanvil, "x6", "X6", "phone", (6, 12), "F0V00X600000"),
    phone(Vendor::Fanvil, "x6u", "X6U", "phone", (20, 12), ""),
    phone(Vendor::Fanvil, "x6u-pro", "X6U Pro", "phone", (20, 12), ""),
    phone(Vendor::Fanvil, "x210", "X210", "phone", (20, 14), ""),
    phone(Vendor::Fanvil, "x7", "X7", "phone", (20, 29), "F0V00X700000"),
    phone(Vendor::Fanvil, "x7c", "X7C", "phone", (20, 29), "F0V0X7C00000"),
    phone(Vendor::Fanvil, "x7a", "X7A", "phone", (20, 29), ""),
    phone(Vendor::Zultys, "zip33g", "ZIP 33G", "phone", (4, 12), "zip33g_common"),
    phone(Vendor::Zultys, "zip37g", "ZIP 37G", "phone", (16, 27), "zip37g_common"),
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
