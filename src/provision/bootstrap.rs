//! What a phone gets by TFTP: where to ask over HTTP, and nothing else.
//!
//! It holds no secret and is the same for every phone of a make. The phone then asks by its plain
//! name, where its enrolment window decides.

use std::net::SocketAddr;

use super::Provisioner;
use super::types::{Outcome, Request, inert};
use crate::boot::{self, Asked, Part, What};
use crate::net::Address;
use crate::phones::Vendor;

/// What a phone of this make is told in this file of its own.
fn written(vendor: Vendor, part: Part, url: &str) -> Option<String> {
    let (scheme, host) = url.split_once("://")?;
    let path = format!("{host}/provision");
    Some(match (vendor, part) {
        (Vendor::Yealink, _) => {
            format!("#!version:1.0.0.1\nstatic.auto_provision.server.url = {url}/provision/\n")
        }
        // Its firmware has the name Yealink's had before.
        (Vendor::Zultys, _) => {
            format!("#!version:1.0.0.1\nauto_provision.server.url = {url}/provision/\n")
        }
        // The master file names the others and says nothing itself.
        (Vendor::Polycom, Part::First) => {
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<APPLICATION APP_FILE_PATH=\"\" \
             CONFIG_FILES=\"[PHONE_MAC_ADDRESS]-common.cfg\" MISC_FILES=\"\" LOG_FILE_DIRECTORY=\"\" \
             OVERRIDES_DIRECTORY=\"\" CONTACTS_DIRECTORY=\"\" CALL_LISTS_DIRECTORY=\"\"/>\n"
                .to_owned()
        }
        (Vendor::Polycom, _) => {
            let kind = scheme.to_ascii_uppercase();
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<PHONE_CONFIG><ALL device.set=\"1\" \
                 device.prov.serverType.set=\"1\" device.prov.serverType=\"{kind}\" \
                 device.prov.serverName.set=\"1\" device.prov.serverName=\"{path}\"/></PHONE_CONFIG>\n"
            )
        }
        (Vendor::Grandstream, _) => {
            let protocol = if scheme == "https" { 2 } else { 1 };
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gs_provision version=\"1\"><config version=\"1\">\
                 <P212>{protocol}</P212><P237>{path}</P237></config></gs_provision>\n"
            )
        }
        (Vendor::Snom, _) => format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<settings><phone-settings e=\"2\">\
             <setting_server perm=\"R\">{url}/provision/</setting_server></phone-settings></settings>\n"
        ),
        (Vendor::Cisco, _) => {
            format!(
                "<flat-profile><Profile_Rule ua=\"na\">{url}/provision/$MA.xml</Profile_Rule></flat-profile>\n"
            )
        }
        (Vendor::Fanvil, _) => {
            let protocol = if scheme == "https" { 5 } else { 4 };
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<sysConf><Version>2.0000000000</Version><ap>\
                 <FlashServerIP>{url}/provision/</FlashServerIP><FlashFileName>$mac.cfg</FlashFileName>\
                 <FlashProtocol>{protocol}</FlashProtocol></ap></sysConf>\n"
            )
        }
    })
}

/// Which make's file a name is, and which; the phone book is not among them.
fn asked_for(asked: &Asked) -> Option<(Vendor, Part)> {
    let file = |vendor: Vendor| match asked.what(vendor) {
        What::File(part @ (Part::First | Part::Common | Part::Own)) => Some((vendor, part)),
        _ => None,
    };
    asked.vendor().and_then(file).or_else(|| Vendor::ALL.into_iter().find_map(file))
}

impl Provisioner {
    /// The bytes for a name asked for by TFTP, and a row in the log.
    pub(super) fn bootstrap(&self, file: &str, peer: SocketAddr) -> Option<Vec<u8>> {
        // Some phones ask below a directory.
        let name = file.rsplit('/').next().unwrap_or_default();
        let asked = boot::asked(name, "");
        let file = asked_for(&asked);
        let content = file.and_then(|(vendor, part)| written(vendor, part, &self.state.phones_url));
        let outcome = match content {
            Some(_) => Outcome::Served,
            None if asked.is_known() => Outcome::Unneeded,
            None => Outcome::Unknown,
        };
        self.log.note(
            Request {
                at: self.state.clock.now(),
                tenant: None,
                mac: asked.mac(),
                address: Address::from(peer.ip()),
                user_agent: String::new(),
                path: inert(asked.shown()),
                outcome,
                how: "tftp".to_owned(),
                revision: String::new(),
                bytes: content.as_ref().map_or(0, |bytes| i64::try_from(bytes.len()).unwrap_or(0)),
            },
            None,
        );
        content.map(String::into_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_make_is_sent_to_the_url_and_told_no_secret() {
        for vendor in Vendor::ALL {
            for url in ["https://pbx.example:8443", "http://10.0.0.5"] {
                let text = written(vendor, Part::Common, url).unwrap();
                let host = url.split_once("://").unwrap().1;
                assert!(text.contains(&format!("{host}/provision")), "{text}");
                assert!(!text.to_lowercase().contains("password"), "{text}");
            }
        }
    }

    /// The name a file gives the place of the phone's files, by which the phone must know it.
    #[test]
    fn each_file_is_one_its_phones_can_read() {
        let of = |name: &str| {
            let (vendor, part) = asked_for(&boot::asked(name, "")).unwrap();
            written(vendor, part, "https://pbx.example").unwrap()
        };
        for name in
            ["001565aabbcc.cfg", "y000000000066.cfg", "000bea000001.cfg", "zip33g_common.cfg"]
        {
            let text = of(name);
            assert_eq!(boot::Format::Lines.check(&text), Ok(()), "{name}");
            let (_, line) = text.trim_end().split_once('\n').unwrap();
            let yealink = name.starts_with("00156") || name.starts_with('y');
            let key = if yealink {
                "static.auto_provision.server.url"
            } else {
                "auto_provision.server.url"
            };
            assert_eq!(line, format!("{key} = https://pbx.example/provision/"), "{name}");
        }
        for (name, root, place) in [
            ("0004f2aabbcc.cfg", "APPLICATION", "[PHONE_MAC_ADDRESS]-common.cfg"),
            ("000000000000.cfg", "APPLICATION", "[PHONE_MAC_ADDRESS]-common.cfg"),
            ("0004f2aabbcc-common.cfg", "PHONE_CONFIG", "pbx.example/provision"),
            ("0004f2aabbcc-user.cfg", "PHONE_CONFIG", "pbx.example/provision"),
            ("cfg000b82aabbcc.xml", "gs_provision", "pbx.example/provision"),
            ("cfggrp2614.xml", "gs_provision", "pbx.example/provision"),
            ("snomD785.htm", "settings", "https://pbx.example/provision/"),
            ("000413AABBCC.xml", "settings", "https://pbx.example/provision/"),
            ("spa504G.cfg", "flat-profile", "https://pbx.example/provision/$MA.xml"),
            ("f0X2hw1.100.cfg", "sysConf", "https://pbx.example/provision/"),
        ] {
            let text = of(name);
            let document = roxmltree::Document::parse(&text).unwrap();
            assert_eq!(document.root_element().tag_name().name(), root, "{name}");
            let mut said = document.descendants().flat_map(|node| {
                node.attributes().map(|a| a.value()).chain(node.text()).collect::<Vec<_>>()
            });
            assert!(said.any(|value| value == place), "{name}: {text}");
        }
        for none in ["", "..", "/etc/passwd", "sip.ld", "phonebook.xml", "0004f2aabbcc-app.log"] {
            assert_eq!(asked_for(&boot::asked(none, "")), None, "{none}");
        }
    }
}
