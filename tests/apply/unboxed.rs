//! Seven makers' phones as they come out of the box: the names they ask for, in their order, how
//! they introduce themselves, and what they understand of the files they get. Nothing here knows
//! how the program makes those files.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

/// What a phone registers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub server: String,
    pub port: u16,
    pub user: String,
    pub auth: String,
    pub secret: String,
    /// What the phone shows its owner's name as.
    pub name: String,
}

/// Where a phone looks for its files, and what it answers when asked who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// All of an URL before the file's name; for a Cisco the whole rule, `$MA` and all.
    pub url: String,
    pub user: String,
    pub password: String,
}

/// Who made it, and so how it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    Yealink,
    Poly,
    Grandstream,
    Snom,
    Cisco,
    Fanvil,
    Zultys,
}

/// A phone in its box.
#[derive(Debug)]
pub struct Device {
    pub maker: Maker,
    /// Twelve small digits.
    pub mac: &'static str,
    /// What it is called in Patchbay.
    pub model: &'static str,
    /// What it says its model and firmware are.
    pub says: (&'static str, &'static str),
    /// What it calls itself over HTTP.
    pub agent: &'static str,
    /// What it calls itself over SIP; few say their MAC there.
    pub sip_agent: &'static str,
    /// What it asks for when it knows no more than its server's URL, in its order.
    pub names: &'static [&'static str],
}

/// One of each maker.
pub static DEVICES: [Device; 7] = [
    Device {
        maker: Maker::Yealink,
        mac: "805ec01234ab",
        model: "yealink/t46u",
        says: ("T46U", "108.86.0.20"),
        agent: "Yealink SIP-T46U 108.86.0.20 80:5e:c0:12:34:ab",
        sip_agent: "Yealink SIP-T46U 108.86.0.20",
        names: &[
            "805ec01234ab.boot",
            "y000000000000.boot",
            "y000000000108.cfg",
            "805ec01234ab.cfg",
        ],
    },
    Device {
        maker: Maker::Grandstream,
        mac: "000b82aabb03",
        model: "grandstream/gxp2170",
        says: ("GXP2170", "1.0.11.64"),
        agent: "Grandstream Model HW GXP2170 SW 1.0.11.64 DevId 000b82aabb03",
        sip_agent: "Grandstream GXP2170 1.0.11.64",
        names: &["cfg000b82aabb03", "cfg000b82aabb03.xml", "cfggxp2170.xml", "cfg.xml"],
    },
    Device {
        maker: Maker::Snom,
        mac: "000413aabb04",
        model: "snom/d785",
        says: ("D785", "10.1.169.16"),
        agent: "Mozilla/4.0 (compatible; snomD785-SIP 10.1.169.16 2010.12-00001-gd311851f1 000413AABB04 SXM:0 UXM:0)",
        sip_agent: "snomD785/10.1.169.16",
        names: &["snomD785.htm", "snomD785-000413AABB04.htm"],
    },
    Device {
        maker: Maker::Cisco,
        mac: "0002fdaabb05",
        model: "cisco/spa504g",
        says: ("SPA504G", "7.4.8a"),
        agent: "Cisco/SPA504G-7.4.8a (0002FDAABB05)(CBT141400UK)",
        sip_agent: "Cisco/SPA504G-7.4.8a",
        names: &["spa504G.cfg"],
    },
    Device {
        maker: Maker::Fanvil,
        mac: "0c383eaabb06",
        model: "fanvil/x7",
        says: ("X7", "2.12.16.17"),
        agent: "Fanvil X7 2.12.16.17 0c383eaabb06",
        sip_agent: "Fanvil X7 2.12.16.17 0c383eaabb06",
        names: &["F0V00X700000.cfg", "0c383eaabb06.cfg"],
    },
    Device {
        maker: Maker::Zultys,
        mac: "000beaaabb07",
        model: "zultys/zip33g",
        says: ("zip33g", "32.70.0.1"),
        agent: "Zultys ZIP33G 32.70.0.1 00:0b:ea:aa:bb:07",
        sip_agent: "Zultys ZIP33G 32.70.0.1",
        names: &["zip33g_common.cfg", "000beaaabb07.cfg"],
    },
    Device {
        maker: Maker::Poly,
        mac: "0004f2aabb02",
        model: "polycom/vvx450",
        says: ("VVX_450", "5.9.1.0615"),
        agent: "FileTransport PolycomVVX-VVX_450-UA/5.9.1.0615 Type/Application",
        sip_agent: "PolycomVVX-VVX_450-UA/5.9.1.0615",
        // The zeros only when there is no file of its own.
        names: &["0004f2aabb02.cfg", "000000000000.cfg"],
    },
];

impl Device {
    /// Its hardware address with colons.
    pub fn colons(&self) -> String {
        let pairs = self.mac.as_bytes().chunks(2).map(|two| str::from_utf8(two).unwrap());
        pairs.collect::<Vec<_>>().join(":")
    }
}

/// Everything a phone understood so far; of what is said twice the later counts, but with Poly.
#[derive(Debug, Default)]
pub struct Memory(BTreeMap<String, String>);

impl Memory {
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    #[track_caller]
    fn need(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("nothing says {name}: {:#?}", self.0))
    }

    /// Reads a file in the format that phones of this make expect. What else a file names to be
    /// fetched comes back: whole URLs, or names beside it.
    pub fn read(&mut self, maker: Maker, file: &str) -> Vec<String> {
        match maker {
            Maker::Yealink | Maker::Zultys => self.read_lines(file),
            Maker::Poly => return self.read_poly(file),
            Maker::Snom => return self.read_snom(file),
            Maker::Grandstream | Maker::Cisco | Maker::Fanvil => {
                let root = match maker {
                    Maker::Grandstream => "gs_provision",
                    Maker::Cisco => "flat-profile",
                    _ => "sysConf",
                };
                for leaf in leaves(file, root) {
                    self.0.insert(leaf.path, leaf.text);
                }
            }
        }
        Vec::new()
    }

    /// `#!version:1.0.0.1`, then `name = value`; `%NULL%` is none.
    fn read_lines(&mut self, file: &str) {
        let mut lines = file.split('\n');
        assert_eq!(lines.next(), Some("#!version:1.0.0.1"), "else the phone takes none of it");
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once(" = ").unwrap_or_else(|| panic!("{line:?}"));
            if value == "%NULL%" {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Attributes, whatever their elements are called; of two that say the same the first counts.
    fn read_poly(&mut self, file: &str) -> Vec<String> {
        let mut more = Vec::new();
        for leaf in leaves(file, "") {
            for (name, value) in leaf.attributes {
                if name == "CONFIG_FILES" {
                    more.extend(value.split(',').map(|name| name.trim().to_owned()));
                }
                self.0.entry(name).or_insert(value);
            }
        }
        more
    }

    /// A list of files, or settings.
    fn read_snom(&mut self, file: &str) -> Vec<String> {
        let mut more = Vec::new();
        for leaf in leaves(file, "") {
            match leaf.path.as_str() {
                "file" => more.push(leaf.attributes["url"].clone()),
                path => {
                    let name = path.strip_prefix("phone-settings/").unwrap_or(path);
                    self.0.insert(name.to_owned(), leaf.text);
                }
            }
        }
        more
    }

    /// The account on its first line.
    pub fn account(&self, maker: Maker) -> Account {
        let names = match maker {
            Maker::Yealink | Maker::Zultys => [
                "account.1.sip_server.1.address",
                "account.1.sip_server.1.port",
                "account.1.user_name",
                "account.1.auth_name",
                "account.1.password",
                "account.1.display_name",
            ],
            Maker::Poly => [
                "reg.1.server.1.address",
                "reg.1.server.1.port",
                "reg.1.address",
                "reg.1.auth.userId",
                "reg.1.auth.password",
                "reg.1.displayName",
            ],
            // One name for both: what stands after the colon is the port.
            Maker::Grandstream => {
                ["config/P47", "config/P47", "config/P35", "config/P36", "config/P34", "config/P3"]
            }
            Maker::Snom => [
                "user_host[1]",
                "user_outbound[1]",
                "user_name[1]",
                "user_pname[1]",
                "user_pass[1]",
                "user_realname[1]",
            ],
            Maker::Cisco => [
                "Proxy_1_",
                "Proxy_1_",
                "User_ID_1_",
                "Auth_ID_1_",
                "Password_1_",
                "Display_Name_1_",
            ],
            Maker::Fanvil => [
                "sip/line[1]/RegisterAddr",
                "sip/line[1]/RegisterPort",
                "sip/line[1]/PhoneNumber",
                "sip/line[1]/RegisterUser",
                "sip/line[1]/RegisterPswd",
                "sip/line[1]/DisplayName",
            ],
        };
        self.is_on(maker);
        let [server, port, user, auth, secret, name] = names.map(|name| self.need(name).to_owned());
        let server = server.split(':').next().unwrap().to_owned();
        let port = port.split(';').next().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        Account { server, port, user, auth, secret, name }
    }

    /// The first account is to be used, over UDP.
    fn is_on(&self, maker: Maker) {
        let (on, yes, transport, udp) = match maker {
            Maker::Yealink | Maker::Zultys => {
                ("account.1.enable", "1", "account.1.sip_server.1.transport_type", "0")
            }
            Maker::Poly => ("reg.1.server.1.register", "1", "reg.1.server.1.transport", "UDPOnly"),
            Maker::Grandstream => ("config/P271", "1", "config/P130", "0"),
            Maker::Snom => ("user_active[1]", "on", "user_srtp[1]", "off"),
            Maker::Cisco => ("Line_Enable_1_", "Yes", "SIP_Transport_1_", "UDP"),
            Maker::Fanvil => ("sip/line[1]/EnableReg", "1", "sip/line[1]/Transport", "0"),
        };
        assert_eq!((self.need(on), self.need(transport)), (yes, udp), "{maker:?}");
        if maker == Maker::Snom {
            assert!(self.need("user_outbound[1]").ends_with(";transport=udp"));
        }
    }

    /// Where it looks from now on.
    pub fn home(&self, maker: Maker) -> Home {
        let (url, user, password) = match maker {
            Maker::Yealink => (
                "static.auto_provision.server.url",
                "static.auto_provision.server.username",
                "static.auto_provision.server.password",
            ),
            Maker::Zultys => (
                "auto_provision.server.url",
                "auto_provision.server.username",
                "auto_provision.server.password",
            ),
            Maker::Poly => ("device.prov.serverName", "device.prov.user", "device.prov.password"),
            Maker::Grandstream => ("config/P237", "config/P1360", "config/P1361"),
            Maker::Snom => ("setting_server", "http_client_user", "http_client_pass"),
            Maker::Cisco => return self.rule(),
            Maker::Fanvil => ("ap/FlashServerIP", "ap/DefaultUsername", "ap/DefaultPassword"),
        };
        let mut url = self.need(url).to_owned();
        match maker {
            Maker::Poly => {
                for name in ["serverName", "serverType", "user", "password"] {
                    assert_eq!(self.need(&format!("device.prov.{name}.set")), "1", "else unheard");
                }
                assert_eq!(self.need("device.set"), "1");
            }
            Maker::Grandstream => {
                let scheme =
                    ["tftp", "http", "https"][self.need("config/P212").parse::<usize>().unwrap()];
                url = format!("{scheme}://{url}/");
            }
            Maker::Fanvil => {
                assert_eq!(
                    (self.need("ap/FlashFileName"), self.need("ap/FlashProtocol")),
                    ("$mac.cfg", "4")
                );
                url.push('/');
            }
            _ => {}
        }
        let (user, password) = (self.need(user).to_owned(), self.need(password).to_owned());
        Home { url, user, password }
    }

    /// `[--uid U --pwd P]http://…/$MA.xml`, or without the first.
    fn rule(&self) -> Home {
        let rule = self.need("Profile_Rule");
        let Some((options, url)) = rule.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        else {
            return Home { url: rule.to_owned(), user: String::new(), password: String::new() };
        };
        let option = |name: &str| {
            let mut words = options.split(' ').skip_while(|word| *word != name);
            words.nth(1).unwrap_or_default().to_owned()
        };
        Home { url: url.to_owned(), user: option("--uid"), password: option("--pwd") }
    }
}

/// An element: the names that lead to it from below the root, those with an index followed by it.
struct Leaf {
    path: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

/// Every element below the root, which is called `root` if that is not empty.
fn leaves(file: &str, root: &str) -> Vec<Leaf> {
    let mut reader = quick_xml::Reader::from_str(file);
    let (mut open, mut done): (Vec<Leaf>, Vec<Leaf>) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => open.push(begun(&open, &tag)),
            Event::Empty(tag) => done.push(begun(&open, &tag)),
            Event::End(_) => done.extend(open.pop()),
            Event::Text(text) => said(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().unwrap().map(String::from);
                let name: &str = &reference;
                let known =
                    || quick_xml::escape::resolve_predefined_entity(name).unwrap().to_owned();
                said(&mut open, &character.unwrap_or_else(known));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty(), "an element is not closed");
    let names = done.iter().any(|leaf| leaf.path == format!("/{root}"));
    assert!(root.is_empty() || names, "no {root} in {file}");
    for leaf in &mut done {
        leaf.path = leaf.path.splitn(3, '/').nth(2).unwrap_or(&leaf.path).to_owned();
    }
    done
}

fn begun(open: &[Leaf], tag: &BytesStart<'_>) -> Leaf {
    let attributes: BTreeMap<String, String> = tag
        .attributes()
        .map(|attribute| {
            let attribute = attribute.unwrap();
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).unwrap();
            (attribute.key.as_ref().to_owned(), value.into_owned())
        })
        .collect();
    let index = attributes.get("idx").or(attributes.get("index"));
    let index = index.map(|index| format!("[{index}]")).unwrap_or_default();
    let above = open.last().map(|leaf| leaf.path.as_str()).unwrap_or_default();
    let path = format!("{above}/{}{index}", tag.name().as_ref());
    Leaf { path, attributes, text: String::new() }
}

fn said(open: &mut [Leaf], text: &str) {
    if let Some(leaf) = open.last_mut() {
        leaf.text.push_str(text);
    }
}
