//! What a phone asks for: every file name phones are known to ask for, in their order and spelling,
//! and nothing else. Total and pure: any text is answered, nothing is looked up.

use crate::net::Mac;
use crate::phones::{MODELS, Model, Vendor};

use super::agent::Agent;

/// A file Patchbay makes for a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// What the phone fetches first, which tells it where the rest is.
    First,
    /// What all phones of a model have in common.
    Common,
    /// The phone's own: accounts, keys, passwords.
    Own,
    /// A page of the phone book, from 1.
    Book(u16),
}

/// What a name is to one vendor's phones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A file Patchbay makes.
    File(Part),
    /// Firmware, which Patchbay does not serve: the phone keeps what it has.
    Firmware,
    /// Something phones ask for and do well without.
    Optional,
    /// What the phone puts: its log, or settings somebody made at the phone.
    Upload,
    /// No name such a phone asks for.
    Unknown,
}

/// A request for a file, understood as far as its name and the phone's own words go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The name, as it was asked for.
    pub name: String,
    /// The hardware address in the name.
    pub mac: Option<Mac>,
    /// What the phone says of itself.
    pub agent: Option<Agent>,
    /// A sentence for whoever set the phone up, when it asks for a placeholder instead of a name.
    pub placeholder: Option<String>,
    /// Whose name it is, and what it is to them.
    meanings: Vec<(Vendor, What)>,
    /// Whether it would be somebody's name if the placeholder were filled in.
    is_pattern: bool,
}

/// What is written down of a name that is none: somebody who leaves out a slash asks for a token.
const NO_NAME: &str = "(not a file name)";

/// Longer names are nobody's.
const LONGEST: usize = 80;

/// What somebody asks for who asks for `name` (the last part of the path, decoded) and calls
/// itself `user_agent`.
pub fn asked(name: &str, user_agent: &str) -> Asked {
    let agent = Agent::parse(user_agent);
    let placeholder = placeholder(name, agent.as_ref().map(|agent| agent.vendor));
    let is_pattern = placeholder.is_some() && is_pattern(name);
    let (name_asked, meanings) = (name.to_owned(), Vec::new());
    let mut asked = Asked { name: name_asked, mac: None, agent, placeholder, meanings, is_pattern };
    if name.len() > LONGEST || !name.is_ascii() || asked.placeholder.is_some() {
        return asked;
    }
    for vendor in Vendor::ALL {
        let (what, mac) = meaning(vendor, name);
        if what != What::Unknown {
            asked.meanings.push((vendor, what));
            asked.mac = asked.mac.or(mac);
        }
    }
    asked
}

impl Asked {
    /// What the name is to a phone of `vendor`.
    pub fn what(&self, vendor: Vendor) -> What {
        let meaning = self.meanings.iter().find(|(other, _)| *other == vendor);
        meaning.map_or(What::Unknown, |(_, what)| *what)
    }

    /// Whether a phone of `vendor` puts such a file: its log, settings made at it, and a Poly its own
    /// directory, by the name it fetches the company's under.
    pub fn is_put(&self, vendor: Vendor) -> bool {
        match self.what(vendor) {
            What::Upload => true,
            What::File(Part::Book(_)) => vendor == Vendor::Polycom && self.mac.is_some(),
            _ => false,
        }
    }

    /// Whether phones of some vendor ask for such a name.
    pub fn is_known(&self) -> bool {
        !self.meanings.is_empty()
    }

    /// The name as it may be written down: what is no file's name may be a secret.
    pub fn shown(&self) -> &str {
        if self.is_known() || self.is_pattern { &self.name } else { NO_NAME }
    }

    /// Whose phone it seems to be: by its own words, else by its address, else by a name only one
    /// vendor's phones ask for.
    pub fn vendor(&self) -> Option<Vendor> {
        let said = self.agent.as_ref().map(|agent| agent.vendor);
        let only = match self.meanings.as_slice() {
            [(vendor, _)] => Some(*vendor),
            _ => None,
        };
        said.or_else(|| self.mac().and_then(Vendor::of)).or(only)
    }

    /// The hardware address it gives: in the name, else in its own words.
    pub fn mac(&self) -> Option<Mac> {
        self.mac.or_else(|| self.agent.as_ref()?.mac)
    }

    /// The model it says it is, or that the name is for.
    pub fn model(&self) -> Option<&'static Model> {
        let said = self.agent.as_ref().and_then(Agent::known);
        said.or_else(|| {
            let stem = self.name.split('.').next()?;
            let mut named = MODELS.iter().filter(|model| {
                !model.common.is_empty() && model.common.eq_ignore_ascii_case(stem)
            });
            let first = named.next()?;
            named.next().is_none().then_some(first)
        })
    }
}

/// `name` to phones of `vendor`, with the address in it.
fn meaning(vendor: Vendor, name: &str) -> (What, Option<Mac>) {
    let lower = name.to_ascii_lowercase();
    if is_firmware(&lower) {
        return (What::Firmware, None);
    }
    if let Some(page) = book(&lower) {
        return (What::File(Part::Book(page)), None);
    }
    match vendor {
        Vendor::Yealink | Vendor::Zultys => yealink(vendor, name, &lower),
        Vendor::Polycom => poly(&lower),
        Vendor::Grandstream => grandstream(&lower),
        Vendor::Snom => snom(&lower),
        Vendor::Cisco => cisco(&lower),
        Vendor::Fanvil => fanvil(&lower),
    }
}

const fn file(part: Part) -> What {
    What::File(part)
}

/// The address at the beginning of a name, and what comes after it.
fn with_mac(name: &str) -> Option<(Mac, &str)> {
    let (digits, rest) = name.split_at_checked(12)?;
    // Other notations are not what phones write into names.
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((digits.parse().ok().filter(|_| plain)?, rest))
}

/// `phonebook.xml` is the first page, `phonebook-2.xml` the second.
fn book(lower: &str) -> Option<u16> {
    let page = lower.strip_prefix("phonebook")?.strip_suffix(".xml")?;
    if page.is_empty() {
        return Some(1);
    }
    let digits = page.strip_prefix('-')?;
    let page = digits.parse::<u16>().ok().filter(|page| (2..=9999).contains(page))?;
    (page.to_string() == digits).then_some(page)
}

fn is_firmware(lower: &str) -> bool {
    let ends = [".rom", ".bin", ".ld", ".loads", ".fw", ".z", ".img", ".ringtone", ".swu"];
    // What Grandstream's phones ask for as `cfg<mac>.bin` is a configuration in its own format.
    let binary_config = lower.strip_prefix("cfg").is_some_and(|rest| with_mac(rest).is_some());
    (ends.iter().any(|end| lower.ends_with(end)) && !binary_config)
        || lower.ends_with("-firmware.xml")
}

/// `<mac>.boot`, `y000000000000.boot`, `y0000000000NN.cfg`, `<mac>.cfg`, `<mac>-local.cfg`. Without a
/// boot file they go on with the others, so none is served.
fn yealink(vendor: Vendor, name: &str, lower: &str) -> (What, Option<Mac>) {
    if let Some((mac, rest)) = with_mac(lower) {
        let what = match rest {
            ".cfg" => file(Part::Own),
            ".boot" => What::Optional,
            "-local.cfg" | "-contact.xml" | "-calllog.xml" => What::Upload,
            _ => What::Unknown,
        };
        return (what, Some(mac).filter(|_| what != What::Unknown));
    }
    let common = lower.strip_prefix('y').and_then(|rest| rest.split_once('.'));
    let what = match common {
        Some((digits, end)) if is_hardware_id(digits) => match end {
            "boot" => What::Optional,
            "cfg" => file(Part::Common),
            _ => What::Unknown,
        },
        _ if vendor == Vendor::Zultys && is_zultys_common(name) => file(Part::Common),
        _ => What::Unknown,
    };
    (what, None)
}

fn is_hardware_id(digits: &str) -> bool {
    digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_zultys_common(name: &str) -> bool {
    Vendor::Zultys.models().any(|model| name.eq_ignore_ascii_case(&format!("{}.cfg", model.common)))
}

/// `<mac>.cfg`, else `000000000000.cfg`; then what that names, the MAC in each name because these
/// phones do not say it themselves; then settings made at the phone and its own directory, which it
/// also puts.
fn poly(lower: &str) -> (What, Option<Mac>) {
    let zeros = lower.strip_prefix("000000000000").map(|rest| (None, rest));
    let own = with_mac(lower).map(|(mac, rest)| (Some(mac), rest));
    let (mac, rest) = match own.or(zeros) {
        Some(found) => found,
        None if lower == "common.cfg" => return (file(Part::Common), None),
        None => return (What::Unknown, None),
    };
    let what = match rest {
        ".cfg" => file(Part::First),
        "-user.cfg" if mac.is_some() => file(Part::Own),
        "-common.cfg" if mac.is_some() => file(Part::Common),
        "-directory.xml" => file(Part::Book(1)),
        "-phone.cfg" | "-web.cfg" | "-app.log" | "-boot.log" | "-calls.xml" | "-now-app.log" => {
            What::Upload
        }
        "-license.cfg" => What::Optional,
        _ => What::Unknown,
    };
    (what, mac.filter(|_| what != What::Unknown))
}

/// `cfg<mac>` (binary), `cfg<mac>.xml`, `cfg<model>.xml`, `cfg.xml`.
fn grandstream(lower: &str) -> (What, Option<Mac>) {
    let Some(rest) = lower.strip_prefix("cfg") else { return (What::Unknown, None) };
    if let Some((mac, rest)) = with_mac(rest) {
        return match rest {
            ".xml" => (file(Part::Own), Some(mac)),
            "" | ".bin" => (What::Optional, Some(mac)),
            _ => (What::Unknown, None),
        };
    }
    let model = rest.strip_suffix(".xml");
    let is_model = |name: &str| Vendor::Grandstream.models().any(|model| model.name == name);
    match model {
        Some(name) if name.is_empty() || is_model(name) => (file(Part::Common), None),
        _ => (What::Unknown, None),
    }
}

/// `snomD345.htm`, `snomD345-<MAC>.htm`, and what those name: `snom-general.xml`, `<MAC>.xml`.
fn snom(lower: &str) -> (What, Option<Mac>) {
    if let Some((mac, ".xml")) = with_mac(lower) {
        return (file(Part::Own), Some(mac));
    }
    if lower == "snom-general.xml" {
        return (file(Part::Common), None);
    }
    let name = lower.strip_suffix(".htm").and_then(|name| name.strip_prefix("snom"));
    let Some(name) = name else { return (What::Unknown, None) };
    let is_model =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match name.rsplit_once('-') {
        None if is_model(name) => (file(Part::First), None),
        Some((model, mac)) if is_model(model) => match with_mac(mac) {
            Some((mac, "")) => (file(Part::First), Some(mac)),
            _ => (What::Unknown, None),
        },
        _ => (What::Unknown, None),
    }
}

/// `spa504G.cfg` or `8841-3PCC.xml`, with or without `CP-` (the name the device has for itself), which
/// names `<mac>.xml`.
fn cisco(lower: &str) -> (What, Option<Mac>) {
    if let Some((mac, ".xml")) = with_mac(lower) {
        return (file(Part::Own), Some(mac));
    }
    let Some((stem, "cfg" | "xml")) = lower.rsplit_once('.') else { return (What::Unknown, None) };
    let stem = stem.trim_start_matches("cp-");
    let is_model = Vendor::Cisco.models().any(|model| {
        model.common.eq_ignore_ascii_case(stem) || model.name.trim_start_matches("cp-") == stem
    });
    (if is_model { file(Part::First) } else { What::Unknown }, None)
}

/// A file of the model's, then `<mac>.cfg`, `.txt` or `.xml` as its URL says.
fn fanvil(lower: &str) -> (What, Option<Mac>) {
    match with_mac(lower) {
        Some((mac, ".cfg" | ".xml")) => return (file(Part::Own), Some(mac)),
        Some((mac, ".txt")) => return (What::Optional, Some(mac)),
        _ => {}
    }
    let common = lower.strip_suffix(".cfg").is_some_and(|stem| {
        stem.len() >= 8
            && stem.starts_with("f0")
            && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
    });
    (if common { file(Part::Common) } else { What::Unknown }, None)
}

/// What people write where the phone ought to put its address or model.
const PLACEHOLDERS: &[&str] = &[
    "{mac}",
    "{ma}",
    "$mac",
    "$mau",
    "$ma",
    "$psn",
    "$pn",
    "$sn",
    "$product",
    "[phone_mac_address]",
    "%mac%",
    "<mac>",
];

/// Whether phones ask for such a name once its placeholder is filled in.
fn is_pattern(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let filled = |word: &&'static str| {
        let name = lower.replace(*word, "001565aabbcc");
        Vendor::ALL.into_iter().any(|vendor| meaning(vendor, &name).0 != What::Unknown)
    };
    let mut written = PLACEHOLDERS.iter().filter(|word| lower.contains(**word));
    name.len() <= LONGEST && written.any(filled)
}

/// The sentence for whoever wrote a placeholder into the URL that this phone does not know.
fn placeholder(name: &str, vendor: Option<Vendor>) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let found = PLACEHOLDERS.iter().copied().find(|word| lower.contains(word));
    // Anything in braces or after a dollar sign was meant to be replaced.
    let braced = lower.contains(['{', '}', '$']).then_some("a placeholder");
    let written = found.or(braced)?;
    let advice = match vendor {
        Some(Vendor::Cisco) => "a Cisco device writes its address $MA: end the URL with /$MA.xml",
        Some(Vendor::Snom) => {
            "give a Snom phone the URL up to the last slash (it adds the name by itself), or end it with /{mac}.xml"
        }
        Some(Vendor::Fanvil) => {
            "a Fanvil phone writes its address $mac: end the URL with /$mac.cfg"
        }
        Some(vendor) => {
            return Some(format!(
                "the phone did not replace {written}: give a {} phone the URL up to the last slash, it adds the name of its file by itself",
                vendor.title()
            ));
        }
        None => {
            "give the phone the URL up to the last slash (Yealink, Poly, Grandstream, Snom, Zultys), with /$MA.xml (Cisco) or /$mac.cfg (Fanvil) at the end"
        }
    };
    Some(format!("the phone did not replace {written}: {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONE: &str = "";

    fn is(vendor: Vendor, name: &str) -> What {
        asked(name, NONE).what(vendor)
    }

    #[test]
    fn each_vendors_names_in_the_order_phones_ask() {
        use Part::{Book, Common, First, Own};
        use Vendor::{Cisco, Fanvil, Grandstream, Polycom, Snom, Yealink, Zultys};
        for (vendor, name, what) in [
            (Yealink, "001565aabbcc.boot", What::Optional),
            (Yealink, "y000000000000.boot", What::Optional),
            (Yealink, "y000000000066.cfg", What::File(Common)),
            (Yealink, "001565aabbcc.cfg", What::File(Own)),
            (Yealink, "001565aabbcc-local.cfg", What::Upload),
            (Yealink, "T46S-66.86.0.15.rom", What::Firmware),
            (Yealink, "phonebook.xml", What::File(Book(1))),
            (Zultys, "000bea000001.cfg", What::File(Own)),
            (Zultys, "y000000000032.cfg", What::File(Common)),
            (Zultys, "zip33g_common.cfg", What::File(Common)),
            (Polycom, "0004f2aabbcc.cfg", What::File(First)),
            (Polycom, "000000000000.cfg", What::File(First)),
            (Polycom, "0004f2aabbcc-user.cfg", What::File(Own)),
            (Polycom, "0004f2aabbcc-common.cfg", What::File(Common)),
            (Polycom, "common.cfg", What::File(Common)),
            (Polycom, "0004f2aabbcc-phone.cfg", What::Upload),
            (Polycom, "0004f2aabbcc-web.cfg", What::Upload),
            (Polycom, "0004f2aabbcc-app.log", What::Upload),
            (Polycom, "0004f2aabbcc-boot.log", What::Upload),
            (Polycom, "0004f2aabbcc-license.cfg", What::Optional),
            (Polycom, "000000000000-license.cfg", What::Optional),
            (Polycom, "0004f2aabbcc-directory.xml", What::File(Book(1))),
            (Polycom, "000000000000-directory.xml", What::File(Book(1))),
            (Polycom, "3111-48450-001.sip.ld", What::Firmware),
            (Polycom, "sip.ld", What::Firmware),
            (Grandstream, "cfg000b82aabbcc", What::Optional),
            (Grandstream, "cfg000b82aabbcc.bin", What::Optional),
            (Grandstream, "cfg000b82aabbcc.xml", What::File(Own)),
            (Grandstream, "cfggrp2614.xml", What::File(Common)),
            (Grandstream, "cfg.xml", What::File(Common)),
            (Grandstream, "phonebook.xml", What::File(Book(1))),
            (Grandstream, "ht801fw.bin", What::Firmware),
            (Snom, "snomD345.htm", What::File(First)),
            (Snom, "snomD345-000413A11FA7.htm", What::File(First)),
            (Snom, "snom-general.xml", What::File(Common)),
            (Snom, "000413A11FA7.xml", What::File(Own)),
            (Snom, "snomD345-firmware.xml", What::Firmware),
            (Cisco, "spa504G.cfg", What::File(First)),
            (Cisco, "spa112.cfg", What::File(First)),
            (Cisco, "8841-3PCC.xml", What::File(First)),
            (Cisco, "CP-8841-3PCC.xml", What::File(First)),
            (Cisco, "0002fdff2103.xml", What::File(Own)),
            (Cisco, "phonebook-2.xml", What::File(Book(2))),
            (Fanvil, "f0X4hw1.100.cfg", What::File(Common)),
            (Fanvil, "F0V00X700000.cfg", What::File(Common)),
            (Fanvil, "0c383e557eb1.cfg", What::File(Own)),
        ] {
            assert_eq!(is(vendor, name), what, "{name}");
        }
        let own = asked("001565aabbcc.cfg", NONE);
        assert_eq!(own.mac.map(Mac::hex).as_deref(), Some("001565aabbcc"));
        assert_eq!(own.vendor(), Some(Yealink));
        assert_eq!(asked("0004F2AABBCC-user.cfg", NONE).vendor(), Some(Polycom));
        assert_eq!(asked("snomD345.htm", NONE).vendor(), Some(Snom));
        let agent = "Yealink SIP-T46S 66.86.0.15 00:15:65:aa:bb:cc";
        let common = asked("y000000000066.cfg", agent);
        assert_eq!(common.mac().map(Mac::hex).as_deref(), Some("001565aabbcc"));
        assert_eq!(common.model().map(|model| model.name), Some("t46s"));
        assert_eq!(asked("y000000000066.cfg", NONE).model().map(|model| model.name), Some("t46s"));
        assert_eq!(asked("F0V0X5U00000.cfg", NONE).model().map(|model| model.name), Some("x5u"));
        assert_eq!(asked("cfggrp2614.xml", NONE).model(), None);
    }

    #[test]
    fn every_model_is_asked_for_by_its_own_names() {
        for model in &MODELS {
            let mac: Mac = "02:00:00:00:00:01".parse().unwrap();
            for (name, part) in super::super::render::names(model, mac) {
                assert_eq!(is(model.vendor, &name), What::File(part), "{model} {name}");
            }
        }
    }

    #[test]
    fn nothing_else_is_a_file() {
        for name in [
            "",
            ".",
            "..",
            "../../etc/passwd",
            "..%2f",
            "001565aabbcc",
            "001565aabbcc.cfg.bak",
            "001565aabbc.cfg",
            "00:15:65:aa:bb:cc.cfg",
            "000000000000-user.cfg",
            "ffffffffffff.cfg",
            "cfg",
            "cfg.cfg",
            "phonebook-1.xml",
            "phonebook-02.xml",
            "phonebook-99999.xml",
            "snom.htm",
            "index.html",
            "f0.cfg",
            "é01565aabbcc.cfg",
        ] {
            let asked = asked(name, NONE);
            let files = Vendor::ALL.into_iter().filter(|v| matches!(asked.what(*v), What::File(_)));
            assert_eq!(files.count(), 0, "{name}");
        }
    }

    #[test]
    fn a_placeholder_is_answered_with_the_right_spelling() {
        let cisco = "Cisco/SPA504G-7.4.8a (0002FDFF2103)(CBT141400UK)";
        for name in [
            "{mac}.cfg",
            "$mac.cfg",
            "{MAC}.xml",
            "$MA.xml",
            "{Ma}.cfg",
            "$PSN.xml",
            "[PHONE_MAC_ADDRESS].cfg",
            "{x}",
        ] {
            assert!(asked(name, NONE).placeholder.is_some(), "{name}");
            assert!(asked(name, cisco).placeholder.unwrap().contains("/$MA.xml"), "{name}");
            assert!(!asked(name, NONE).is_known());
        }
        let yealink = asked("{mac}.cfg", "Yealink SIP-T46S 66.86.0.15 00:15:65:aa:bb:cc");
        assert_eq!(
            yealink.placeholder.unwrap(),
            "the phone did not replace {mac}: give a Yealink phone the URL up to the last slash, it adds the name of its file by itself"
        );
        assert_eq!(asked("001565aabbcc.cfg", NONE).placeholder, None);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(name in "\\PC{0,60}|[a-z0-9${}.%/\\[\\]-]{0,90}|(cfg|snom|y|f0)[0-9a-zA-Z.-]{0,30}", agent in "\\PC{0,60}") {
            let asked = asked(&name, &agent);
            for vendor in Vendor::ALL {
                let _ = asked.what(vendor);
            }
            let _ = (asked.vendor(), asked.mac(), asked.model(), asked.is_known());
        }
    }
}
