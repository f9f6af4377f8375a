//! The address of a network card.

use std::fmt;
use std::str::FromStr;

/// A MAC address that one device can have: not empty, not of a group. Shown `00:15:65:aa:bb:cc`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

/// Why text is not a device's MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMac {
    /// Not twelve hexadecimal digits in a usual notation.
    #[error("write a MAC address such as 00:15:65:aa:bb:cc")]
    Form,
    /// All zeros.
    #[error("no device has this MAC address; use the one on its label")]
    Zero,
    /// Multicast or broadcast.
    #[error("this MAC address stands for a group of devices; use the one on the device's label")]
    Group,
}

impl Mac {
    /// An address nobody has, for examples: it is administered locally.
    pub const EXAMPLE: Self = Self([2, 0, 0, 0, 0, 1]);

    /// Twelve lower-case digits.
    pub fn hex(self) -> String {
        self.joined("")
    }

    fn joined(self, separator: &str) -> String {
        self.0.map(|byte| format!("{byte:02x}")).join(separator)
    }
}

super::canonical_text!(Mac, BadMac);

impl FromStr for Mac {
    type Err = BadMac;

    /// `aa:bb:cc:dd:ee:ff`, `aa-bb-cc-dd-ee-ff`, `aabb.ccdd.eeff` or `aabbccddeeff`, in any case.
    fn from_str(text: &str) -> Result<Self, BadMac> {
        let digits = mac_part(text).filter(|digits| {
            // Separators stand between digits only.
            digits.len() == 12 && text.ends_with(|c: char| c.is_ascii_hexdigit())
        });
        let number = digits.and_then(|digits| u64::from_str_radix(&digits, 16).ok());
        let [_, _, bytes @ ..] = number.ok_or(BadMac::Form)?.to_be_bytes();
        match bytes {
            [0, 0, 0, 0, 0, 0] => Err(BadMac::Zero),
            [group, ..] if group & 1 == 1 => Err(BadMac::Group),
            bytes => Ok(Self(bytes)),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.joined(":"))
    }
}

/// The lower-case digits of a MAC address or of how one begins, in any notation: `00:15:6`,
/// `00-15-`, `0015.65` and `001565`. None if it is less than two digits, more than twelve, or
/// something else: every group but the last is a whole one.
pub fn mac_part(text: &str) -> Option<String> {
    // Six pairs and their separators are the longest.
    if text.len() > 18 {
        return None;
    }
    let separator = text.chars().find(|c| !c.is_ascii_hexdigit());
    let whole = match separator {
        None => 12,
        Some(':' | '-') => 2,
        Some('.') => 4,
        Some(_) => return None,
    };
    let mut digits = String::new();
    let mut groups = text.split(|c| Some(c) == separator).peekable();
    while let Some(group) = groups.next() {
        let fits = match groups.peek() {
            Some(_) => group.len() == whole,
            None => group.len() <= whole,
        };
        if !fits || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        digits.push_str(&group.to_ascii_lowercase());
    }
    (2..=12).contains(&digits.len()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_usual_notation_is_read() {
        for text in [
            "00:15:65:aa:bb:cc",
            "00-15-65-AA-BB-CC",
            "0015.65aa.bbcc",
            "001565aabbcc",
            "001565AABBCC",
        ] {
            let mac: Mac = text.parse().unwrap();
            assert_eq!(mac.to_string(), "00:15:65:aa:bb:cc");
            assert_eq!(format!("{mac:?}"), "00:15:65:aa:bb:cc");
            assert_eq!(mac.hex(), "001565aabbcc");
            assert_eq!(serde_json::to_string(&mac).unwrap(), "\"00:15:65:aa:bb:cc\"");
        }
    }

    #[test]
    fn what_no_device_has_is_refused() {
        let huge = "0".repeat(1_000_000);
        for bad in [
            "",
            "00:15:65:aa:bb",
            "00:15:65:aa:bb:cc:",
            "00:15:65:aa:bb:cc:dd",
            ":00:15:65:aa:bb:cc",
            "00:15:65-aa-bb-cc",
            "0:15:65:aa:bb:cc",
            "001:565:aab:bcc",
            "0015:65aa:bbcc",
            "00.15.65.aa.bb.cc",
            "0015.65aa.bbcc.",
            "001565aabbcg",
            "+01565aabbcc",
            "00:15:65:aa:bb:cc\n",
            " 00:15:65:aa:bb:cc",
            "００:15:65:aa:bb:cc",
            &huge,
        ] {
            assert_eq!(bad.parse::<Mac>(), Err(BadMac::Form), "{bad:?}");
        }
        assert_eq!("00:00:00:00:00:00".parse::<Mac>(), Err(BadMac::Zero));
        assert_eq!("ff:ff:ff:ff:ff:ff".parse::<Mac>(), Err(BadMac::Group));
        assert_eq!("01:00:5e:00:00:01".parse::<Mac>(), Err(BadMac::Group));
    }

    #[test]
    fn the_beginning_of_an_address_is_its_digits() {
        for (text, digits) in [
            ("00:15:65", Some("001565")),
            ("00:15:65:", Some("001565")),
            ("0015.65", Some("001565")),
            ("00-15-6", Some("00156")),
            ("001565", Some("001565")),
            ("AB", Some("ab")),
            ("001565aabbcc", Some("001565aabbcc")),
            ("001565aabbccd", None),
            ("00:15:65:aa:bb:cc:d", None),
            ("", None),
            ("a", None),
            (":", None),
            ("::", None),
            ("00::15", None),
            ("10.20.", None),
            ("2001:db8:", None),
            ("00:15-65", None),
            ("00 15", None),
            ("０0", None),
        ] {
            assert_eq!(mac_part(text).as_deref(), digits, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn text_leads_back(bytes in any::<[u8; 6]>()) {
            let mac = Mac([bytes[0] & !1 | 2, bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]]);
            let dotted = mac.hex().as_bytes().chunks(4).map(|four| str::from_utf8(four).unwrap()).collect::<Vec<_>>().join(".");
            for text in [mac.to_string(), mac.to_string().replace(':', "-"), mac.hex().to_uppercase(), dotted] {
                prop_assert_eq!(text.parse(), Ok(mac));
                prop_assert_eq!(Mac::try_from(text.clone()), Ok(mac));
                // However far somebody has typed.
                for end in 3..text.len() {
                    let part = mac_part(&text[..end]).unwrap();
                    prop_assert!(mac.hex().starts_with(&part));
                }
            }
        }

        #[test]
        fn text_never_panics(text in "\\PC*|[0-9a-f.:-]{0,20}") {
            let _ = text.parse::<Mac>();
            let _ = mac_part(&text);
        }
    }
}
