//! What a phone's words of itself tell of the device.

use std::str::FromStr;

use uuid::{Uuid, Variant};

use crate::net::Mac;
use crate::phones::Vendor;

/// How makers begin what their phones call themselves, in small letters.
const MAKERS: [(&str, Vendor); 12] = [
    ("yealink", Vendor::Yealink),
    ("polycom", Vendor::Polycom),
    ("polyedge", Vendor::Polycom),
    ("poly", Vendor::Polycom),
    ("grandstream", Vendor::Grandstream),
    ("snom", Vendor::Snom),
    ("cisco", Vendor::Cisco),
    ("linksys", Vendor::Cisco),
    ("sipura", Vendor::Cisco),
    ("fanvil", Vendor::Fanvil),
    ("zultys", Vendor::Zultys),
    ("zip ", Vendor::Zultys),
];

/// Whence a MAC is known. The surer one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A phone with this number, or one that fetched its file from the same address.
    Provisioning,
    /// The instance of RFC 5626 that stands in the contact it registered.
    Instance,
    /// The device says so itself.
    UserAgent,
}

/// Not a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use provisioning, instance or user_agent")]
pub struct BadSource;

impl Source {
    const ALL: [Self; 3] = [Self::Provisioning, Self::Instance, Self::UserAgent];

    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Instance => "instance",
            Self::UserAgent => "user_agent",
        }
    }

    /// What a person reads.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Provisioning => "from its boot file",
            Self::Instance => "from its SIP instance",
            Self::UserAgent => "the phone says so",
        }
    }
}

impl FromStr for Source {
    type Err = BadSource;

    fn from_str(word: &str) -> Result<Self, BadSource> {
        Self::ALL.into_iter().find(|source| source.as_str() == word).ok_or(BadSource)
    }
}

/// Who made a device that calls itself so, if that is one whose phones Patchbay provisions.
pub fn maker(user_agent: &str) -> Option<Vendor> {
    let said = user_agent.to_ascii_lowercase();
    // `Mozilla/4.0 (compatible; snomD785-SIP …)` and `FileTransport PolycomVVX-…`.
    let said = said.strip_prefix("mozilla/4.0 (compatible;").unwrap_or(&said).trim_start();
    let said = said.strip_prefix("filetransport ").unwrap_or(said);
    MAKERS.into_iter().find(|(word, _)| said.starts_with(word)).map(|(_, vendor)| vendor)
}

/// The MAC that a device's name for itself has in it. Twelve digits alone may be anything, a date or
/// a serial number: they count only where a maker known to write a MAC there did.
pub fn mac(user_agent: &str) -> Option<Mac> {
    let words = user_agent.split(|c: char| c.is_whitespace() || "()[]{}<>;,=\"'/".contains(c));
    let bare = maker(user_agent).is_some();
    let mut found = words.filter_map(|word| {
        let word = word.strip_prefix("MAC:").unwrap_or(word);
        let separated = word.len() == 17;
        let letters = word.len() == 12 && bare;
        (separated || letters).then(|| word.parse::<Mac>().ok()).flatten()
    });
    // Two are one too many to choose from.
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
}

/// The MAC in the instance that a contact's URI names: as RFC 5627's `gr`, or as a parameter like that
/// of RFC 5626. Of the names an instance may have, a UUID of version 1 alone is made of a MAC; one
/// that was drawn by lot has the bit of a group there.
pub fn instance(uri: &str) -> Option<Mac> {
    let named = |parameter: &str| {
        let (name, value) = parameter.split_once('=')?;
        let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
        let instance = ["gr", "+sip.instance"].iter().any(|is| name.eq_ignore_ascii_case(is));
        if instance { node(value) } else { None }
    };
    uri.split([';', '?', '&']).skip(1).find_map(named)
}

/// The MAC of which `urn:uuid:…`, perhaps in brackets and escaped, is made.
fn node(urn: &str) -> Option<Mac> {
    let urn = percent_encoding::percent_decode_str(urn).decode_utf8().ok()?.to_ascii_lowercase();
    let digits = urn.trim_matches(['"', '<', '>']).strip_prefix("urn:uuid:")?;
    let uuid = Uuid::try_parse(digits).ok()?;
    let made = uuid.get_version_num() == 1 && uuid.get_variant() == Variant::RFC4122;
    let uuid = made.then(|| uuid.to_string())?;
    uuid.rsplit('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mac_is_found_where_makers_write_it() {
        for (said, maker_, digits) in [
            (
                "Yealink SIP-T46U 108.86.0.20 80:5e:c0:12:34:ab",
                Some(Vendor::Yealink),
                "805ec01234ab",
            ),
            ("Yealink SIP-T46U 108.86.0.20", Some(Vendor::Yealink), ""),
            (
                "Grandstream GRP2614 1.0.5.15 DevId c074ad0b63ee",
                Some(Vendor::Grandstream),
                "c074ad0b63ee",
            ),
            (
                "Mozilla/4.0 (compatible; snomD785-SIP 10.1.169.16 2010.12-00001-gd311851f1 000413922D24 SXM:0 UXM:0)",
                Some(Vendor::Snom),
                "000413922d24",
            ),
            ("snomD785/10.1.169.16", Some(Vendor::Snom), ""),
            (
                "Cisco/SPA504G-7.4.8a (0002FDFF2103)(CBT141400UK)",
                Some(Vendor::Cisco),
                "0002fdff2103",
            ),
            ("Cisco-CP-8841-3PCC/11.3.1 (00562b043615)", Some(Vendor::Cisco), "00562b043615"),
            ("Linksys/SPA-942-6.1.5(a) (88019FA42805)", Some(Vendor::Cisco), "88019fa42805"),
            ("Fanvil X6U Pro 0.0.10 0c383e2cd782", Some(Vendor::Fanvil), "0c383e2cd782"),
            ("PolycomVVX-VVX_400-UA/5.4.3.1014", Some(Vendor::Polycom), ""),
            ("Mitel6930 MAC:14-00-E9-1E-DB-52 V:6.4.0.140-SIP", None, "1400e91edb52"),
            ("Softphone build 202301151230", None, ""),
            ("Yealink 805ec01234ab 805ec01234ac", Some(Vendor::Yealink), ""),
            ("Yealink 000000000000", Some(Vendor::Yealink), ""),
            ("", None, ""),
        ] {
            assert_eq!(maker(said), maker_, "{said}");
            assert_eq!(mac(said).map(Mac::hex).unwrap_or_default(), digits, "{said}");
        }
    }

    #[test]
    fn an_instance_made_of_a_mac_tells_it() {
        let made = "urn:uuid:00000000-0000-1000-8000-001565123456";
        for (uri, digits) in [
            (format!("sip:1000@192.0.2.7:5060;gr={made}"), "001565123456"),
            (
                format!("sip:1000@192.0.2.7;transport=tls;GR={}", made.to_uppercase()),
                "001565123456",
            ),
            (format!("sip:1000@192.0.2.7;gr={};ob", made.replace(':', "%3A")), "001565123456"),
            (format!("sip:1000@192.0.2.7;+sip.instance=\"<{made}>\""), "001565123456"),
            (format!("sip:1000@192.0.2.7;%2Bsip.instance=%22%3C{made}%3E%22"), "001565123456"),
            (format!("sip:{made}@192.0.2.7"), ""),
            (format!("sip:1000@192.0.2.7;other={made}"), ""),
            // Drawn by lot; of a name; of a random node; of none; not of RFC 4122; no UUID.
            ("sip:a@b;gr=urn:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf6".into(), ""),
            ("sip:a@b;gr=urn:uuid:f81d4fae-7dec-51d0-a765-00a0c91e6bf6".into(), ""),
            ("sip:a@b;gr=urn:uuid:f81d4fae-7dec-11d0-a765-01a0c91e6bf6".into(), ""),
            ("sip:a@b;gr=urn:uuid:f81d4fae-7dec-11d0-a765-000000000000".into(), ""),
            ("sip:a@b;gr=urn:uuid:f81d4fae-7dec-11d0-2765-00a0c91e6bf6".into(), ""),
            ("sip:a@b;gr=urn:uuid:001565123456".into(), ""),
            ("sip:a@b;gr=001565123456".into(), ""),
            ("sip:a@b;gr".into(), ""),
            (String::new(), ""),
        ] {
            assert_eq!(instance(&uri).map(Mac::hex).unwrap_or_default(), digits, "{uri}");
        }
    }

    #[test]
    fn words_come_back() {
        for source in Source::ALL {
            assert_eq!(source.as_str().parse(), Ok(source));
        }
        assert!("".parse::<Source>().is_err());
    }

    proptest! {
        #[test]
        fn no_name_is_too_strange(said in "\\PC{0,80}") {
            let _ = (maker(&said), mac(&said), instance(&said));
        }

        #[test]
        fn no_instance_is_too_strange(value in "\\PC{0,60}|(urn:uuid:)?[0-9a-f%<>\"-]{0,40}") {
            let _ = instance(&format!("sip:1000@192.0.2.7;gr={value}"));
        }
    }
}
