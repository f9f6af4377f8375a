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

    #[test]
    fn every_make_has_an_option_66_that_leads_here() {
        let all = advice("https://pbx.example");
        for vendor in Vendor::ALL {
            let found = all.iter().find(|advice| advice.vendor == vendor && advice.option == 66);
            assert!(found.unwrap().value.starts_with("https://pbx.example/provision/"));
        }
    }
}
