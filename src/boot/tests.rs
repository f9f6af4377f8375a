//! What phones get, to the byte; and that every name in it is one somebody vouches for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;

use super::book::{Entry, book};
use super::format::Format;
use super::render::{BUILT_IN, Templates, names, render};
use super::subject::tests::{sample, with};
use super::subject::{KeyFacts, LineFacts};
use super::{Part, Subject};
use crate::numbering::PICKUP;
use crate::phones::{KeyKind, MODELS, Vendor};

/// One model of every family.
const FAMILIES: [(Vendor, &str); 14] = [
    (Vendor::Yealink, "t46s"),
    (Vendor::Yealink, "w70b"),
    (Vendor::Polycom, "vvx450"),
    (Vendor::Polycom, "edge-e350"),
    (Vendor::Grandstream, "gxp2170"),
    (Vendor::Grandstream, "grp2614"),
    (Vendor::Grandstream, "ht802"),
    (Vendor::Grandstream, "ht814"),
    (Vendor::Snom, "d785"),
    (Vendor::Cisco, "spa504g"),
    (Vendor::Cisco, "cp-8841"),
    (Vendor::Cisco, "ata192"),
    (Vendor::Fanvil, "x6"),
    (Vendor::Zultys, "zip33g"),
];

fn text(subject: &Subject, part: Part) -> String {
    let made = render(subject, part, &Templates::default()).unwrap();
    assert_eq!(made.revision.len(), 12);
    String::from_utf8(made.bytes).unwrap()
}

/// Compares with the file of that name; with `PATCHBAY_GOLDEN=write` writes it.
fn golden(name: &str, text: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/boot/golden", name].iter().collect();
    if std::env::var("PATCHBAY_GOLDEN").is_ok_and(|word| word == "write") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("there is no {name}"));
    if let Some((n, (kept, text))) =
        kept.lines().zip(text.lines()).enumerate().find(|(_, (kept, text))| kept != text)
    {
        panic!("{name}, line {}:\n  kept {kept}\n  made {text}", n + 1);
    }
    assert_eq!(kept, text, "{name}");
}

fn entries() -> Vec<Entry> {
    let entry =
        |name: &str, number: &str| Entry { name: name.to_owned(), number: number.to_owned() };
    vec![
        entry("Ann O'Neil", "1000"),
        entry("Bob & \"Co\" <x>", "1001"),
        entry("Taxi", "+351210000000"),
        entry("Zoë van der Bär", "1002"),
    ]
}

#[test]
fn each_family_gets_these_files() {
    for (vendor, model) in FAMILIES {
        let subject = sample(vendor, model);
        let mut seen = BTreeSet::new();
        for (name, part) in names(subject.model, subject.mac) {
            let (_, ending) = name.rsplit_once('.').unwrap();
            let part_name = match part {
                Part::First => "first",
                Part::Common => "common",
                Part::Own => "own",
                Part::Book(_) => continue,
            };
            if seen.insert(part_name) {
                golden(&format!("{vendor}-{model}-{part_name}.{ending}"), &text(&subject, part));
            }
        }
    }
}

#[test]
fn each_vendors_phone_book() {
    for vendor in Vendor::ALL {
        let made = book(vendor, &entries(), 1, "https://x.example/provision/token").unwrap();
        assert!(!made.secret);
        golden(&format!("{vendor}-book.xml"), std::str::from_utf8(&made.bytes).unwrap());
    }
}

#[test]
fn ciscos_turn_pages_of_32() {
    let many: Vec<Entry> = (0..70)
        .map(|n| Entry { name: format!("Person {n:02}"), number: format!("{}", 1000 + n) })
        .collect();
    let page = |n: u16| {
        let made = book(Vendor::Cisco, &many, n, "https://x.example/provision/token")?;
        Some(String::from_utf8(made.bytes).unwrap())
    };
    let counts = [1, 2, 3].map(|n| page(n).unwrap().matches("<DirectoryEntry>").count());
    assert_eq!(counts, [32, 32, 6]);
    assert!(
        page(1).unwrap().contains(
            "<Name>Next</Name><URL>https://x.example/provision/token/phonebook-2.xml</URL>"
        )
    );
    assert!(page(2).unwrap().contains(
        "<Name>Previous</Name><URL>https://x.example/provision/token/phonebook.xml</URL>"
    ));
    assert!(!page(3).unwrap().contains("Next"));
    assert_eq!((page(0), page(4)), (None, None));
    assert!(book(Vendor::Cisco, &[], 1, "x").is_some());
    assert!(book(Vendor::Yealink, &many, 2, "x").is_none());
}

#[test]
fn a_key_that_watches_picks_up_and_no_template_spells_out_how() {
    for (vendor, model) in FAMILIES {
        let subject = sample(vendor, model);
        let watches = subject.keys.iter().any(|key| key.kind == KeyKind::Blf);
        let parts = [Part::Common, Part::Own];
        let there = parts.iter().filter(|part| super::BuiltIn::of(subject.model, **part).is_some());
        let texts = there.map(|part| text(&subject, *part)).collect::<String>();
        assert!(!watches || texts.contains(PICKUP), "{model}");
    }
    for built_in in &BUILT_IN {
        let (mut said, mut rest) = (String::new(), built_in.source());
        while let Some((before, comment)) = rest.split_once("{#") {
            said.push_str(before);
            rest = comment.split_once("#}").unwrap().1;
        }
        assert!(!said.contains(PICKUP) && !rest.contains(PICKUP), "{built_in:?}");
    }
}

/// Settings that make every branch of a template count.
const WAYS: &[&[(&str, &str)]] = &[
    &[],
    &[("sip.transport", "tls"), ("sip.srtp", "on"), ("audio.dtmf", "info"), ("network.vlan", "20")],
    &[
        ("sip.transport", "tcp"),
        ("audio.dtmf", "inband"),
        ("phonebook", "off"),
        ("web.access", "off"),
    ],
    &[
        ("audio.codecs", "ulaw"),
        ("provision.verify", "off"),
        ("notify.reboot", "reboot"),
        ("voicemail.number", ""),
    ],
    &[("audio.codecs", "ulaw,alaw"), ("time.zone", "Asia/Kolkata")],
    &[("time.zone", "America/Santiago"), ("provision.interval", "10"), ("sip.expires", "61")],
];

/// As it was, with every line and every key its model has.
fn crowded(subject: &Subject) -> Subject {
    const KINDS: [KeyKind; 4] = [KeyKind::Line, KeyKind::Blf, KeyKind::SpeedDial, KeyKind::Park];
    let line = |line: u8| {
        let number = (999 + u32::from(line)).to_string();
        LineFacts {
            line,
            sip_user: number.clone(),
            sip_secret: format!("Secret{line}abcdefghijkl"),
            name: format!("Person {number}"),
            label: String::new(),
            number,
        }
    };
    let key = |(position, kind): (u8, KeyKind)| KeyFacts {
        position,
        kind,
        line: 1,
        value: "1000".to_owned(),
        label: format!("Key {position}"),
    };
    let model = subject.model;
    Subject {
        lines: (1..=model.lines).map(line).collect(),
        keys: (1..=model.keys).zip(KINDS.into_iter().cycle()).map(key).collect(),
        ..subject.clone()
    }
}

/// Every file of every model in all these ways, with as many lines and keys as there are, with some
/// and with none.
fn every_file(mut each: impl FnMut(&Subject, Part, &str)) {
    for model in &MODELS {
        for ways in WAYS {
            let full = with(model.vendor, model.name, ways);
            let bare = Subject { lines: Vec::new(), keys: Vec::new(), ..full.clone() };
            // Every line and key once is enough: what is set changes none of their names.
            let crowded = ways.is_empty().then(|| crowded(&full));
            for subject in crowded.into_iter().chain([full, bare]) {
                for part in [Part::First, Part::Common, Part::Own] {
                    if super::BuiltIn::of(model, part).is_some() {
                        each(&subject, part, &text(&subject, part));
                    }
                }
            }
        }
    }
}

/// Settings with two values each that must make a difference to every phone.
const TELLING: &[(&str, &str, &str)] = &[
    ("sip.port", "5060", "5070"),
    ("sip.transport", "udp", "tcp"),
    ("sip.expires", "600", "1200"),
    ("sip.srtp", "off", "on"),
    ("audio.codecs", "alaw", "ulaw"),
    ("audio.dtmf", "rfc4733", "info"),
    ("time.server", "a.example", "b.example"),
    ("time.zone", "Europe/Lisbon", "Asia/Tokyo"),
    ("voicemail.number", "*97", "*98"),
    ("phonebook", "on", "off"),
    ("provision.interval", "60", "1440"),
    ("provision.verify", "on", "off"),
    ("network.vlan", "0", "20"),
    ("web.access", "on", "off"),
];

/// What phones of a model are not told by their files, each with its reason.
fn is_untold(subject: &Subject, key: &str) -> bool {
    let (vendor, ata) = (subject.model.vendor, subject.model.kind == crate::phones::Kind::Ata);
    match key {
        // An analogue telephone shows none, and a Poly asks for it without being told.
        "phonebook" => ata || vendor == Vendor::Polycom,
        // They always check.
        "provision.verify" => vendor == Vendor::Cisco,
        "sip.srtp" => !subject.model.encrypts(),
        _ => false,
    }
}

#[test]
fn every_setting_reaches_every_line_of_every_family() {
    for (vendor, model) in FAMILIES {
        let made = |key: &str, value: &str, line: u8| {
            let mut subject = with(vendor, model, &[(key, value)]);
            subject.lines.truncate(1);
            subject.lines[0].line = line;
            let parts = [Part::First, Part::Common, Part::Own];
            let there =
                parts.iter().filter(|part| super::BuiltIn::of(subject.model, **part).is_some());
            let texts = there.map(|part| text(&subject, *part)).collect::<String>();
            (subject, texts)
        };
        let known = crate::phones::Model::find(vendor, model).unwrap();
        let (lines, ata) = (known.lines, known.kind == crate::phones::Kind::Ata);
        for line in BTreeSet::from([1, lines.min(2), lines]) {
            for (key, one, other) in TELLING {
                // Some adapters take a number for it, of no use to an analogue telephone.
                if ata && *key == "voicemail.number" {
                    continue;
                }
                let ((subject, one), (_, other)) = (made(key, one, line), made(key, other, line));
                // Whoever is told in vain would be as wrong as whoever is not told.
                let told = one != other;
                assert_eq!(told, !is_untold(&subject, key), "{model}, line {line}: {key}");
            }
        }
    }
}

/// By a parser that is not the one the program checks with.
fn well_formed(xml: &str) {
    let mut reader = quick_xml::Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut depth = 0;
    loop {
        use quick_xml::events::Event;
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                depth += 1;
                assert!(tag.attributes().with_checks(true).all(|attribute| attribute.is_ok()));
            }
            Event::Empty(tag) => {
                assert!(tag.attributes().with_checks(true).all(|attribute| attribute.is_ok()));
            }
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
}

#[test]
fn every_file_of_every_model_is_well_formed_whatever_is_set() {
    every_file(|subject, part, text| {
        let format = super::BuiltIn::of(subject.model, part).unwrap().format;
        assert_eq!(format.check(text), Ok(()), "{} {part:?}", subject.model);
        if format == Format::Xml {
            well_formed(text);
        }
        // No tag, comment or marker of the template language is left.
        for mark in ["{%", "{#", "{{", "UNVERIFIED", "%}"] {
            assert!(!text.contains(mark), "{} {part:?}: {mark}", subject.model);
        }
    });
    for vendor in Vendor::ALL {
        let made = book(vendor, &entries(), 1, "https://x.example/provision/t").unwrap();
        well_formed(std::str::from_utf8(&made.bytes).unwrap());
    }
}

#[test]
fn only_the_own_file_has_secrets_and_it_works_at_first_try() {
    every_file(|subject, part, text| {
        let secret = subject.lines.iter().any(|line| text.contains(&line.sip_secret))
            || text.contains(&subject.http_password)
            || text.contains(&subject.web_password);
        if part != Part::Own {
            assert!(!secret, "{} {part:?}", subject.model);
            return;
        }
        for line in &subject.lines {
            for needed in [&line.sip_user, &line.sip_secret] {
                assert!(text.contains(needed.as_str()), "{}: {needed}", subject.model);
            }
        }
        assert!(text.contains(&subject.web_password), "{}", subject.model);
        assert!(text.contains(&subject.http_password), "{}", subject.model);
        if !subject.lines.is_empty() {
            assert!(text.contains("pbx.example.com"), "{}", subject.model);
        }
        // Both sockets of an adapter.
        if subject.model.lines == 2 && subject.lines.len() == 2 {
            assert!(text.contains("1000") && text.contains("1001"), "{}", subject.model);
        }
    });
}

/// Numbers in a name become `N`, as in the list.
fn plain(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '0'..='9' if out.ends_with('N') => {}
            '0'..='9' => out.push('N'),
            c => out.push(c),
        }
    }
    out
}

/// A P code is its number.
fn is_code(name: &str) -> bool {
    let digits = name.strip_prefix('P').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The P codes a comment names: one by one, or as `P1365 to P1374`.
fn codes(comments: &str) -> BTreeSet<String> {
    let words: Vec<&str> =
        comments.split(|c: char| c.is_whitespace() || ",;:".contains(c)).collect();
    let number = |word: Option<&&str>| word?.strip_prefix('P')?.parse::<u32>().ok();
    let mut found = BTreeSet::new();
    for (n, word) in words.iter().enumerate() {
        let range = match words.get(n + 1) {
            Some(&"to") => number(Some(word)).zip(number(words.get(n + 2))),
            _ => None,
        };
        if let Some((first, last)) = range {
            found.extend((first..=last).map(|code| format!("P{code}")));
        } else {
            found.insert((*word).to_owned());
        }
    }
    found
}

#[test]
fn comments_name_codes_one_by_one_or_by_range() {
    let named = codes("UNVERIFIED: P5, minutes; P10 to P12, the others");
    for code in ["P5", "P10", "P11", "P12"] {
        assert!(named.contains(code), "{code}");
    }
    for code in ["P1", "P6", "P9", "P13", "P112"] {
        assert!(!named.contains(code), "{code}");
    }
}

/// The names of a file's parameters.
fn parameters(format: Format, text: &str) -> BTreeSet<String> {
    if format == Format::Lines {
        return text
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(key, _)| plain(key))
            .collect();
    }
    let document = roxmltree::Document::parse(text).unwrap();
    let mut found = BTreeSet::new();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let tag = node.tag_name().name();
        if is_code(tag) {
            found.insert(tag.to_owned());
        } else if tag == "item" {
            found.insert(plain(node.attribute("name").unwrap()));
        } else if !node.children().any(|child| child.is_element())
            && !node.attributes().any(|a| a.name().contains('.'))
        {
            found.insert(plain(tag));
        }
        for attribute in node.attributes().filter(|attribute| attribute.name().contains('.')) {
            found.insert(plain(attribute.name()));
        }
    }
    found
}

/// `tests/boot/parameters.tsv`: vendor, name, and where it is from.
fn vouched() -> BTreeMap<(String, String), String> {
    let list = include_str!("../../tests/boot/parameters.tsv");
    let rows = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|line| {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().unwrap_or_else(|| panic!("{line}")).to_owned();
        ((cell(), cell()), cell())
    })
    .collect()
}

#[test]
fn every_parameter_is_in_the_list_and_the_doubtful_are_marked_in_the_template() {
    let vouched = vouched();
    let (mut used, mut missing) = (BTreeSet::new(), BTreeSet::new());
    every_file(|subject, part, text| {
        let built_in = super::BuiltIn::of(subject.model, part).unwrap();
        let vendor = built_in.vendor.to_string();
        for name in parameters(built_in.format, text) {
            let key = (vendor.clone(), name.clone());
            match vouched.get(&key) {
                None => drop(missing.insert(key)),
                Some(source) => {
                    if source == "UNVERIFIED" {
                        let comments: String = built_in
                            .source()
                            .split("{#")
                            .filter(|part| part.contains("UNVERIFIED"))
                            .map(|part| part.split("#}").next().unwrap())
                            .collect();
                        let said = if is_code(&name) {
                            codes(&comments).contains(&name)
                        } else {
                            comments.contains(&name) || plain(&comments).contains(&name)
                        };
                        assert!(said, "{vendor}/{}: {name} is not marked", built_in.name);
                    }
                    used.insert(key);
                }
            }
        }
    });
    let mut report = String::new();
    for (vendor, name) in &missing {
        writeln!(report, "{vendor}\t{name}\t?").unwrap();
    }
    assert!(missing.is_empty(), "not in the list:\n{report}");
    let idle: Vec<_> = vouched.keys().filter(|key| !used.contains(*key)).collect();
    assert!(idle.is_empty(), "in no file any more: {idle:?}");
}

#[test]
fn every_built_in_template_is_there_and_names_are_no_models() {
    for built_in in &BUILT_IN {
        assert!(!built_in.source().is_empty(), "{built_in:?}");
        assert!(built_in.compiled().is_ok(), "{built_in:?}");
        assert!(
            crate::phones::Model::find(built_in.vendor, built_in.name).is_err(),
            "{built_in:?}"
        );
    }
    for model in &MODELS {
        assert!(super::BuiltIn::of(model, Part::Own).is_some(), "{model}");
    }
}

#[test]
fn a_templates_own_version_counts_and_the_models_most() {
    let subject = sample(Vendor::Yealink, "t46s");
    let own = |name: &str, mark: &str| {
        (Vendor::Yealink, name.to_owned(), format!("#!version:1.0.0.1\nx = {mark}\n"))
    };
    let templates = Templates::new([own("phone", "family"), own("t46s", "model")]);
    let made = |subject: &Subject| {
        String::from_utf8(render(subject, Part::Own, &templates).unwrap().bytes).unwrap()
    };
    assert!(made(&subject).contains("model"));
    assert!(made(&sample(Vendor::Yealink, "t42s")).contains("family"));
    assert_eq!(templates.name(subject.model, Part::Own), Some("t46s"));
    let broken = Templates::new([(Vendor::Yealink, "phone".to_owned(), "{{ nobody }}".to_owned())]);
    assert!(render(&subject, Part::Own, &broken).is_err());
    assert!(render(&subject, Part::Common, &broken).is_ok());
    assert!(render(&subject, Part::First, &broken).is_err());
}

/// Names people may have: whatever is no control character.
fn names_of_people() -> impl Strategy<Value = String> {
    "\\PC{1,40}|%NULL%|[<>&\"'=#;%\\[\\]!{}|, a-z-]{1,40}".prop_filter_map(
        "a person's name",
        |name| {
            let name = name.trim().to_owned();
            (!name.is_empty() && !name.chars().any(crate::text::is_invisible)).then_some(name)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]
    /// Fourteen families, so 10,000 names in all.
    #[test]
    fn any_name_stands_in_every_familys_file_as_it_is(name in names_of_people(), label in names_of_people()) {
        for (vendor, model) in FAMILIES {
            let mut subject = sample(vendor, model);
            let plain = parameters_of(&subject);
            subject.lines[0].name.clone_from(&name);
            subject.lines[0].label.clone_from(&label);
            if let Some(key) = subject.keys.first_mut() {
                key.label.clone_from(&label);
            }
            subject.label.clone_from(&label);
            let made = text(&subject, Part::Own);
            let format = super::BuiltIn::of(subject.model, Part::Own).unwrap().format;
            // Not one line or element more or less.
            prop_assert_eq!(parameters_of(&subject), plain, "{}", model);
            let values = values(format, &made);
            let holds = |text: &str| match (format, text) {
                // A Yealink would forget the setting.
                (Format::Lines, "%NULL%") => values.contains("% NULL %"),
                _ => values.contains(text),
            };
            prop_assert!(holds(&name), "{} {:?}", model, name);
            let labelled = !matches!(model, "ht802" | "ht814" | "ata192");
            prop_assert!(!labelled || holds(&label), "{} {:?}", model, label);
        }
        for vendor in Vendor::ALL {
            let made = book(vendor, &[Entry { name: name.clone(), number: "1000".into() }], 1, "x").unwrap();
            let xml = std::str::from_utf8(&made.bytes).unwrap();
            prop_assert_eq!(listed(xml), vec![(name.clone(), "1000".to_owned())], "{}", vendor);
        }
    }
}

/// Names and numbers of a phone book as a phone lists them, whichever elements its make has for them.
fn listed(xml: &str) -> Vec<(String, String)> {
    let document = roxmltree::Document::parse(xml).unwrap();
    let entries = document
        .descendants()
        .filter(|node| matches!(node.tag_name().name(), "DirectoryEntry" | "item" | "Contact"));
    let said = |entry: roxmltree::Node<'_, '_>, names: &[&str]| {
        let found = entry.descendants().filter(|node| names.contains(&node.tag_name().name()));
        found.filter_map(|node| node.text()).collect::<Vec<_>>().join(" ")
    };
    let first = |entry| said(entry, &["fn", "FirstName"]);
    let last = |entry| said(entry, &["Name", "ln", "LastName"]);
    let name = |entry| format!("{} {}", first(entry), last(entry)).trim_start().to_owned();
    let number = |entry| said(entry, &["Telephone", "ct", "phonenumber"]);
    entries.map(|entry| (name(entry), number(entry))).collect()
}

/// Every parameter's name as often as it stands there.
fn parameters_of(subject: &Subject) -> Vec<String> {
    let format = super::BuiltIn::of(subject.model, Part::Own).unwrap().format;
    let text = text(subject, Part::Own);
    if format == Format::Lines {
        return text.split('\n').map(|line| line.split(" = ").next().unwrap().to_owned()).collect();
    }
    let document = roxmltree::Document::parse(&text).unwrap();
    let elements = document.descendants().filter(roxmltree::Node::is_element);
    elements
        .flat_map(|node| {
            let own = node.tag_name().name().to_owned();
            std::iter::once(own)
                .chain(node.attributes().map(|attribute| attribute.name().to_owned()))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn values(format: Format, text: &str) -> BTreeSet<String> {
    if format == Format::Lines {
        return text
            .split('\n')
            .filter_map(|line| line.split_once(" = "))
            .map(|(_, value)| value.to_owned())
            .collect();
    }
    let document = roxmltree::Document::parse(text).unwrap();
    let nodes = || document.descendants().filter(roxmltree::Node::is_element);
    let texts = nodes().filter_map(|node| node.text().map(str::to_owned));
    let attributes = nodes()
        .flat_map(|node| node.attributes().map(|a| a.value().to_owned()).collect::<Vec<_>>());
    texts.chain(attributes).collect()
}
