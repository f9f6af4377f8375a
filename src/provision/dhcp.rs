//! What a DHCP server is to be told, so that new phones find Patchbay by themselves.

use crate::phones::Vendor;

/// An option and its value for one make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub vendor: Vendor,
    /// The option's number.
    pub option: u8,
    pub value: String,
    /// Why this one; may be empty.
    pub note: &'static str,
}

/// The options for every make. `url` is where phones reach Patchbay.
pub(super) fn advice(url: &str) -> Vec<Advice> {
    let base = format!("{url}/provision/");
    let say = |vendor, option, value: &str, note| Advice {
        vendor,
        option,
        value: value.to_owned(),
        note,
    };
    let mac = |pattern: &str| format!("{base}{pattern}");
    vec![
        say(Vendor::Yealink, 66, &base, ""),
        say(Vendor::Yealink, 43, &base, "where 66 is another's"),
        say(Vendor::Polycom, 66, &base, ""),
        say(Vendor::Polycom, 160, &base, "asked for before 66"),
        say(Vendor::Grandstream, 66, &base, ""),
        say(Vendor::Grandstream, 43, &base, "where 66 is another's"),
        say(Vendor::Snom, 66, &base, "it adds the name of its file by itself"),
        say(Vendor::Snom, 43, &base, "where 66 is another's"),
        say(Vendor::Cisco, 66, &mac("$MA.xml"), "SPA, ATA and MPP; it fills in $MA"),
        say(Vendor::Cisco, 160, &mac("$MA.xml"), "asked for before 66 by MPP"),
        say(Vendor::Fanvil, 66, &mac("$mac.cfg"), "it fills in $mac"),
        say(Vendor::Fanvil, 43, &mac("$mac.cfg"), "where 66 is another's"),
        say(Vendor::Zultys, 66, &base, ""),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An option as it goes over the wire (RFC 2132, 2): its number, its length, and its text.
    fn encoded(advice: &Advice) -> Vec<u8> {
        let length = u8::try_from(advice.value.len()).unwrap();
        [&[advice.option, length], advice.value.as_bytes()].concat()
    }

    #[test]
    fn options_160_and_43_are_what_66_is_for_those_who_ask_for_them() {
        let all = advice("http://192.0.2.1");
        let of = |option: u8| -> Vec<(&str, Vec<u8>)> {
            let found = all.iter().filter(|advice| advice.option == option);
            found.map(|advice| (advice.vendor.as_str(), encoded(advice))).collect()
        };
        let (base, ma, mac) = (
            b"\x1bhttp://192.0.2.1/provision/".as_slice(),
            b"\x22http://192.0.2.1/provision/$MA.xml".as_slice(),
            b"\x23http://192.0.2.1/provision/$mac.cfg".as_slice(),
        );
        let option = |code: u8, text: &[u8]| [&[code], text].concat();
        assert_eq!(of(160), [("polycom", option(160, base)), ("cisco", option(160, ma))]);
        let told = [("yealink", base), ("grandstream", base), ("snom", base), ("fanvil", mac)];
        assert_eq!(of(43), told.map(|(vendor, text)| (vendor, option(43, text))));
        for advice in &all {
            let usual = all.iter().find(|one| one.vendor == advice.vendor && one.option == 66);
            assert_eq!(advice.value, usual.unwrap().value, "{advice:?}");
        }
    }

    /// An option holds 255 bytes, and what it holds has no line's end.
    #[test]
    fn an_url_of_usual_length_fits_an_option() {
        for advice in advice(&format!("https://{}.example", "pbx.".repeat(50))) {
            assert!(advice.value.len() <= 255 && !advice.value.contains(char::is_control));
        }
    }

    #[test]
    fn every_make_has_an_option_66_that_leads_here() {
        let all = advice("https://pbx.example");
        for vendor in Vendor::ALL {
            let found = all.iter().find(|advice| advice.vendor == vendor && advice.option == 66);
            assert!(found.unwrap().value.starts_with("https://pbx.example/provision/"));
        }
    }
}
