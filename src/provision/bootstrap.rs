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

/// The makes that can be sent elsewhere by a file, and what that file says.
fn written(vendor: Vendor, url: &str) -> Option<String> {
    let (scheme, host) = url.split_once("://")?;
    let path = format!("{host}/provision");
    Some(match vendor {
        Vendor::Yealink | Vendor::Zultys => {
            format!("#!version:1.0.0.1\nstatic.auto_provision.server.url = {url}/provision/\n")
        }
        Vendor::Polycom => {
            let kind = scheme.to_ascii_uppercase();
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<PHONE_CONFIG><ALL device.set=\"1\" \
                 device.prov.serverType.set=\"1\" device.prov.serverType=\"{kind}\" \
                 device.prov.serverName.set=\"1\" device.prov.serverName=\"{path}\"/></PHONE_CONFIG>\n"
            )
        }
        Vendor::Grandstream => {
            let protocol = if scheme == "https" { 2 } else { 1 };
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gs_provision version=\"1\"><config version=\"1\">\
                 <P212>{protocol}</P212><P237>{path}</P237></config></gs_provision>\n"
            )
        }
        Vendor::Snom => format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<settings><phone-settings e=\"2\">\
             <setting_server perm=\"R\">{url}/provision/</setting_server></phone-settings></settings>\n"
        ),
        Vendor::Cisco => {
            format!(
                "<flat-profile><Profile_Rule ua=\"na\">{url}/provision/$MA.xml</Profile_Rule></flat-profile>\n"
            )
        }
        Vendor::Fanvil => {
            let protocol = if scheme == "https" { 5 } else { 4 };
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<sysConf><Version>2.0000000000</Version><ap>\
                 <FlashServerIP>{url}/provision/</FlashServerIP><FlashFileName>$mac.cfg</FlashFileName>\
                 <FlashProtocol>{protocol}</FlashProtocol></ap></sysConf>\n"
            )
        }
    })
}

/// For which make's file a name is asked; the phone book is not among them.
fn make(asked: &Asked) -> Option<Vendor> {
    let is_file = |vendor: &Vendor| {
        matches!(asked.what(*vendor), What::File(Part::First | Part::Common | Part::Own))
    };
    asked.vendor().filter(is_file).or_else(|| Vendor::ALL.into_iter().find(is_file))
}

impl Provisioner {
    /// The bytes for a name asked for by TFTP, and a row in the log.
    pub(super) fn bootstrap(&self, file: &str, peer: SocketAddr) -> Option<Vec<u8>> {
        // Some phones ask below a directory.
        let name = file.rsplit('/').next().unwrap_or_default();
        let asked = boot::asked(name, "");
        let content = make(&asked).and_then(|vendor| written(vendor, &self.state.phones_url));
        let outcome = if content.is_some() { Outcome::Served } else { Outcome::Unknown };
        self.log.note(
            Request {
                at: self.state.clock.now(),
                tenant: None,
                mac: asked.mac(),
                address: Address::from(peer.ip()),
                user_agent: String::new(),
                path: inert(name),
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
                let text = written(vendor, url).unwrap();
                let host = url.split_once("://").unwrap().1;
                assert!(text.contains(&format!("{host}/provision")), "{text}");
                assert!(!text.to_lowercase().contains("password"), "{text}");
            }
        }
    }

    #[test]
    fn names_lead_to_the_make_whose_phones_ask_for_them() {
        let of = |name: &str| make(&boot::asked(name, ""));
        assert_eq!(of("spa504G.cfg"), Some(Vendor::Cisco));
        assert_eq!(of("cfg000b82aabbcc.xml"), Some(Vendor::Grandstream));
        assert_eq!(of("000413aabbcc.xml"), Some(Vendor::Snom));
        assert_eq!(of("000000000000.cfg"), Some(Vendor::Polycom));
        assert_eq!(of("y000000000066.cfg"), Some(Vendor::Yealink));
        for none in ["", "..", "/etc/passwd", "sip.ld", "phonebook.xml", "0004f2aabbcc-app.log"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
