//! How phones introduce themselves: vendor, model, firmware and often the MAC, out of the
//! `User-Agent` of a request. Whatever is sent, nothing fails; what is not understood is not known.

use crate::net::Mac;
use crate::phones::{Model, Vendor};

/// What a phone says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Who made it.
    pub vendor: Vendor,
    /// Its model in its own spelling, at most 40 characters; may be empty.
    pub model: String,
    /// Its firmware, at most 40 characters; may be empty.
    pub firmware: String,
    /// Its hardware address.
    pub mac: Option<Mac>,
}

impl Agent {
    /// Reads a `User-Agent`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > 400 {
            return None;
        }
        yealink(text)
            .or_else(|| poly(text))
            .or_else(|| grandstream(text))
            .or_else(|| snom(text))
            .or_else(|| cisco(text))
            .or_else(|| fanvil(text))
    }

    fn new(vendor: Vendor, model: &str, firmware: &str, mac: Option<Mac>) -> Self {
        Self { vendor, model: short(model), firmware: short(firmware), mac }
    }

    /// The model of the catalogue it is.
    pub fn known(&self) -> Option<&'static Model> {
        let said: String = self.model.to_ascii_lowercase().replace('_', "");
        let names = match self.vendor {
            Vendor::Cisco => {
                let digits = said.trim_start_matches("cp-").trim_end_matches("-3pcc");
                vec![said.clone(), format!("cp-{digits}")]
            }
            Vendor::Fanvil => {
                let dashed = said.replace(' ', "-");
                vec![dashed.trim_end_matches("-v2").to_owned(), dashed.clone()]
            }
            Vendor::Polycom => {
                vec![said.clone(), format!("edge-{}", said.trim_start_matches("edge"))]
            }
            Vendor::Yealink => vec![said.clone(), said.replace("pe2", "p")],
            _ => vec![said],
        };
        names.iter().find_map(|name| Model::find(self.vendor, name).ok())
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn mac(text: &str) -> Option<Mac> {
    text.parse().ok()
}

/// `Yealink SIP-T46U 108.86.0.20 80:5e:c0:12:34:ab`, `Yealink W70B 146.87.0.15 80:5e:…`; phones
/// that Yealink builds for Zultys say either name.
fn yealink(text: &str) -> Option<Agent> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?.to_ascii_lowercase();
    if !matches!(first.as_str(), "yealink" | "zultys") {
        return None;
    }
    let mut model = words.next().unwrap_or_default();
    if model.eq_ignore_ascii_case("sip") || model.eq_ignore_ascii_case("zip") {
        model = words.next().unwrap_or_default();
    }
    let model = model.trim_start_matches("SIP-").trim_start_matches("VP-");
    let firmware = words.next().unwrap_or_default();
    let mac = words.next().and_then(mac);
    if first == "zultys" || model.to_ascii_lowercase().starts_with("zip") {
        let model = model.to_ascii_lowercase();
        let model = model.trim_start_matches("zip").trim_start_matches(['-', '_']);
        return Some(Agent::new(Vendor::Zultys, &format!("zip{model}"), firmware, mac));
    }
    Some(Agent::new(Vendor::Yealink, model, firmware, mac))
}

/// `FileTransport PolycomVVX-VVX_450-UA/5.9.1.0615 Type/Application`, or
/// `FileTransport PolyCCX-CCX_500-UA/9.4.1.0508 (SN:64167f9f4c90) Type/Application`.
fn poly(text: &str) -> Option<Agent> {
    let rest = text.strip_prefix("FileTransport ")?;
    let product = rest.split_ascii_whitespace().next()?;
    if !product.starts_with("Poly") {
        return None;
    }
    let (name, firmware) = product.split_once("-UA/").unwrap_or((product, ""));
    let model = name.rsplit_once('-').map_or("", |(_, model)| model);
    let serial = rest.split_once("(SN:").and_then(|(_, serial)| serial.split_once(')'));
    Some(Agent::new(Vendor::Polycom, model, firmware, serial.and_then(|(serial, _)| mac(serial))))
}

/// `Grandstream Model HW GRP2614 V1.6B SW 1.0.5.15 DevId c074ad0b63ee`.
fn grandstream(text: &str) -> Option<Agent> {
    let mut words = text.strip_prefix("Grandstream ")?.split_ascii_whitespace().peekable();
    let mut agent = Agent::new(Vendor::Grandstream, "", "", None);
    while let Some(word) = words.next() {
        let Some(next) = words.peek() else { break };
        match word {
            "HW" => agent.model = short(next),
            "SW" => agent.firmware = short(next),
            "DevId" => agent.mac = mac(next),
            _ => {}
        }
    }
    Some(agent)
}

/// `Mozilla/4.0 (compatible; snomD785-SIP 10.1.169.16 2010.12-00001-gd311851f1 000413922D24 SXM:0)`;
/// the address only since firmware 8.7.5.
fn snom(text: &str) -> Option<Agent> {
    let inside = text.strip_prefix("Mozilla/4.0 (compatible; ")?.trim_end_matches(')');
    let mut words = inside.split_ascii_whitespace();
    let first = words.next()?;
    let name = first.strip_prefix("snom")?;
    let model = name.strip_suffix("-SIP")?;
    let firmware = words.next().unwrap_or_default().trim_end_matches(';');
    let mac = words.filter(|word| word.len() == 12).find_map(mac);
    Some(Agent::new(Vendor::Snom, model, firmware, mac))
}

/// `Cisco/SPA504G-7.4.8a (0002FDFF2103)(CBT141400UK)`, where the address may be left out, or
/// `Cisco-CP-8841-3PCC/11.3.1 (00562b043615)`.
fn cisco(text: &str) -> Option<Agent> {
    let (product, rest) = text.split_once(' ').unwrap_or((text, ""));
    let first = rest.trim_start_matches('(').split([')', ' ', ';', ',']).next().unwrap_or_default();
    let mac = Some(first).filter(|word| word.len() == 12).and_then(mac);
    if let Some(product) = product.strip_prefix("Cisco/").or(product.strip_prefix("Linksys/")) {
        let (model, firmware) = match product.rsplit_once('-') {
            Some((model, firmware)) => (model.replace('-', ""), firmware),
            None => (product.to_owned(), ""),
        };
        return Some(Agent::new(Vendor::Cisco, &model, firmware, mac));
    }
    let (model, firmware) = product.strip_prefix("Cisco-")?.split_once('/')?;
    Some(Agent::new(Vendor::Cisco, model, firmware, mac))
}

/// `Fanvil X5U-V2 2.12.16.17 0c383e557eb1`, `Fanvil X6U Pro 0.0.10 0c383e2cd782`.
fn fanvil(text: &str) -> Option<Agent> {
    let words: Vec<&str> = text.strip_prefix("Fanvil ")?.split_ascii_whitespace().collect();
    let is_version = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && word.contains('.')
    };
    let at = words.iter().position(is_version).unwrap_or(words.len());
    let model = words.get(..at).unwrap_or_default().join(" ");
    let firmware = words.get(at).copied().unwrap_or_default();
    let mac = words.get(at + 1).copied().and_then(mac);
    Some(Agent::new(Vendor::Fanvil, &model, firmware, mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn phones_are_known_by_how_they_introduce_themselves() {
        for (text, vendor, model, firmware, mac, known) in [
            (
                "Yealink SIP-T46U 108.86.0.20 80:5e:c0:12:34:ab",
                "yealink",
                "T46U",
                "108.86.0.20",
                "805ec01234ab",
                "t46u",
            ),
            (
                "yealink SIP-T23G 44.80.0.60 0015659370f2",
                "yealink",
                "T23G",
                "44.80.0.60",
                "0015659370f2",
                "t23g",
            ),
            (
                "Yealink SIP-T21P_E2 52.80.0.3 00:15:65:4c:4c:26",
                "yealink",
                "T21P_E2",
                "52.80.0.3",
                "0015654c4c26",
                "t21p",
            ),
            (
                "Yealink W70B 146.87.0.15 80:5e:0c:1d:65:4e",
                "yealink",
                "W70B",
                "146.87.0.15",
                "805e0c1d654e",
                "w70b",
            ),
            ("Yealink", "yealink", "", "", "", ""),
            (
                "Zultys ZIP33G 32.70.0.1 00:0b:ea:00:00:01",
                "zultys",
                "zip33g",
                "32.70.0.1",
                "000bea000001",
                "zip33g",
            ),
            (
                "FileTransport PolycomVVX-VVX_450-UA/5.9.1.0615 Type/Application",
                "polycom",
                "VVX_450",
                "5.9.1.0615",
                "",
                "vvx450",
            ),
            (
                "FileTransport PolyCCX-CCX_500-UA/9.4.1.0508 (SN:64167f9f4c90) Type/Application",
                "polycom",
                "CCX_500",
                "9.4.1.0508",
                "64167f9f4c90",
                "ccx500",
            ),
            (
                "FileTransport PolycomSoundPointIP-SPIP_550-UA/3.2.3.1734",
                "polycom",
                "SPIP_550",
                "3.2.3.1734",
                "",
                "",
            ),
            (
                "Grandstream Model HW GRP2614 SW 1.0.5.15 DevId c074ad0b63ee",
                "grandstream",
                "GRP2614",
                "1.0.5.15",
                "c074ad0b63ee",
                "grp2614",
            ),
            (
                "Grandstream Model HW HT801 V1.1A SW 1.0.17.5 DevId c074ad273a10",
                "grandstream",
                "HT801",
                "1.0.17.5",
                "c074ad273a10",
                "ht801",
            ),
            (
                "Mozilla/4.0 (compatible; snomD785-SIP 10.1.169.16 2010.12-00001-gd311851f1 000413922D24 SXM:0 UXM:0)",
                "snom",
                "D785",
                "10.1.169.16",
                "000413922d24",
                "d785",
            ),
            (
                "Mozilla/4.0 (compatible; snom320-SIP 6.5.20; snom320 jffs2 v3.36)",
                "snom",
                "320",
                "6.5.20",
                "",
                "",
            ),
            (
                "Cisco/SPA504G-7.4.8a (0002FDFF2103)(CBT141400UK)",
                "cisco",
                "SPA504G",
                "7.4.8a",
                "0002fdff2103",
                "spa504g",
            ),
            ("Cisco/SPA525G-7.4.7 (CBT141900G7)", "cisco", "SPA525G", "7.4.7", "", "spa525g"),
            (
                "Cisco-CP-8841-3PCC/11.3.1 (00562b043615)",
                "cisco",
                "CP-8841-3PCC",
                "11.3.1",
                "00562b043615",
                "cp-8841",
            ),
            (
                "Linksys/SPA-942-6.1.5(a) (88019FA42805)",
                "cisco",
                "SPA942",
                "6.1.5(a)",
                "88019fa42805",
                "",
            ),
            (
                "Fanvil X5U-V2 2.12.16.17 0c383e557eb1",
                "fanvil",
                "X5U-V2",
                "2.12.16.17",
                "0c383e557eb1",
                "x5u",
            ),
            (
                "Fanvil X6U Pro 0.0.10 0c383e2cd782",
                "fanvil",
                "X6U Pro",
                "0.0.10",
                "0c383e2cd782",
                "x6u-pro",
            ),
        ] {
            let agent = Agent::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(agent.vendor.as_str(), vendor, "{text}");
            assert_eq!(
                (agent.model.as_str(), agent.firmware.as_str()),
                (model, firmware),
                "{text}"
            );
            assert_eq!(agent.mac.map(Mac::hex).unwrap_or_default(), mac, "{text}");
            assert_eq!(agent.known().map_or("", |model| model.name), known, "{text}");
        }
        for other in [
            "",
            "curl/8.5.0",
            "Mozilla/5.0 (X11; Linux x86_64)",
            "Mozilla/4.0 (compatible; MSIE 6.0)",
        ] {
            assert_eq!(Agent::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_failing(
            text in "\\PC{0,80}|(Yealink|FileTransport Poly|Grandstream|Mozilla/4.0 \\(compatible; snom|Cisco[-/]|Fanvil)[ A-Za-z0-9:()./-]{0,80}",
        ) {
            if let Some(agent) = Agent::parse(&text) {
                prop_assert!(agent.model.chars().count() <= 40 && agent.firmware.chars().count() <= 40);
                let _ = agent.known();
            }
        }
    }
}
