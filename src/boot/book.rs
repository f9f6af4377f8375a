//! The company's phone book as each vendor's phones read it.

use std::fmt::Write as _;

use super::format::Format;
use super::render::Rendered;
use crate::phones::Vendor;

/// Entries a Cisco phone takes at once.
const CISCO_PAGE: usize = 32;
/// Entries other phones are sent: more than any of them keeps.
const MOST: usize = 5_000;

/// Somebody who can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the phone shows.
    pub name: String,
    /// What it dials.
    pub number: String,
}

/// The phone book for phones of `vendor`, `entries` in the order in which they are to stand. `page`
/// counts from 1; only Cisco's have more than one. None when there is no such page. `url` is
/// where the phone's files are.
pub fn book(vendor: Vendor, entries: &[Entry], page: u16, url: &str) -> Option<Rendered> {
    let all = entries.get(..entries.len().min(MOST)).unwrap_or_default();
    if vendor != Vendor::Cisco && page != 1 {
        return None;
    }
    let text = match vendor {
        Vendor::Yealink | Vendor::Zultys => directory("YealinkIPPhoneDirectory", all),
        Vendor::Fanvil => directory("FanvilIPPhoneDirectory", all),
        Vendor::Snom => directory("SnomIPPhoneDirectory", all),
        Vendor::Polycom => poly(all),
        Vendor::Grandstream => grandstream(all),
        Vendor::Cisco => cisco(entries, page, url)?,
    };
    Some(Rendered::new(Format::Xml.content_type(), text.into_bytes(), false))
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// As [`Format::write`]. What XML cannot hold no name has; it would be left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    let written = Format::Xml.write(&mut out, &clean);
    if written.is_err() { String::new() } else { out }
}

/// Entries of a name and a telephone, which most phones read.
fn directory(root: &str, entries: &[Entry]) -> String {
    let mut out = format!("{DECLARATION}<{root}>\n");
    if root.starts_with("Snom") {
        out.push_str("  <Title>Company</Title>\n");
    }
    for entry in entries {
        directory_entry(&mut out, entry);
    }
    out + &format!("</{root}>\n")
}

fn directory_entry(out: &mut String, entry: &Entry) {
    let (name, number) = (escaped(&entry.name), escaped(&entry.number));
    let _ = writeln!(
        out,
        "  <DirectoryEntry><Name>{name}</Name><Telephone>{number}</Telephone></DirectoryEntry>"
    );
}

/// A name in the two parts some phones have fields for: all but the last word, and that.
fn parts(name: &str) -> (&str, &str) {
    name.rsplit_once(' ').unwrap_or(("", name))
}

/// `ln` and `fn` are the names, `ct` what is dialled, `sd` the place in the list.
fn poly(entries: &[Entry]) -> String {
    let mut out = DECLARATION.replace("?>", " standalone=\"yes\"?>");
    out.push_str("<directory>\n  <item_list>\n");
    for (n, entry) in entries.iter().enumerate() {
        let (first, last) = parts(&entry.name);
        let (first, last) = (escaped(first), escaped(last));
        let (number, place) = (escaped(&entry.number), n + 1);
        let _ = writeln!(
            out,
            "    <item><ln>{last}</ln><fn>{first}</fn><ct>{number}</ct><sd>{place}</sd></item>"
        );
    }
    out + "  </item_list>\n</directory>\n"
}

fn grandstream(entries: &[Entry]) -> String {
    let mut out = format!("{DECLARATION}<AddressBook>\n");
    out.push_str("  <pbgroup><id>1</id><name>Company</name></pbgroup>\n");
    for (n, entry) in entries.iter().enumerate() {
        let (first, last) = parts(&entry.name);
        let (first, last) = (escaped(first), escaped(last));
        let (id, number) = (n + 1, escaped(&entry.number));
        let _ = writeln!(
            out,
            "  <Contact><id>{id}</id><FirstName>{first}</FirstName><LastName>{last}</LastName>\
             <Phone type=\"Work\"><phonenumber>{number}</phonenumber><accountindex>0</accountindex></Phone>\
             <Group>1</Group></Contact>"
        );
    }
    out + "</AddressBook>\n"
}

/// 32 entries, and keys that dial, go on and go back.
fn cisco(entries: &[Entry], page: u16, url: &str) -> Option<String> {
    let pages = entries.len().div_ceil(CISCO_PAGE).max(1);
    let number = usize::from(page);
    if number == 0 || number > pages {
        return None;
    }
    let here = entries.chunks(CISCO_PAGE).nth(number - 1).unwrap_or_default();
    let mut out = format!("{DECLARATION}<CiscoIPPhoneDirectory>\n");
    let _ = writeln!(out, "  <Title>Company</Title>\n  <Prompt>Page {number} of {pages}</Prompt>");
    for entry in here {
        directory_entry(&mut out, entry);
    }
    let of = |page: usize| match page {
        1 => format!("{}/phonebook.xml", escaped(url)),
        page => format!("{}/phonebook-{page}.xml", escaped(url)),
    };
    let next = (number < pages).then(|| ("Next", of(number + 1)));
    let back = (number > 1).then(|| ("Previous", of(number - 1)));
    let exit = Some(("Exit", "SoftKey:Exit".to_owned()));
    let keys = [Some(("Dial", "SoftKey:Dial".to_owned())), next, back, exit];
    for (position, (name, url)) in (1..).zip(keys.into_iter().flatten()) {
        let _ = writeln!(
            out,
            "  <SoftKeyItem><Name>{name}</Name><URL>{url}</URL><Position>{position}</Position></SoftKeyItem>"
        );
    }
    Some(out + "</CiscoIPPhoneDirectory>\n")
}
