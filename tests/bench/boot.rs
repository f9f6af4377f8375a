//! Rendering the file of one phone, without the database.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use patchbay::boot::{KeyFacts, LineFacts, Part, Subject, Templates, render};
use patchbay::phones::settings::Resolved;
use patchbay::phones::{KeyKind, Model, Vendor};

use crate::report::{Report, Times, shown};

const LIMIT: Duration = Duration::from_micros(100);
const TIMES: usize = 2_000;

/// One model of each vendor, with all its lines and a dozen keys.
const MODELS: [(Vendor, &str); 7] = [
    (Vendor::Yealink, "t46s"),
    (Vendor::Polycom, "vvx450"),
    (Vendor::Grandstream, "gxp2170"),
    (Vendor::Snom, "d785"),
    (Vendor::Cisco, "spa504g"),
    (Vendor::Fanvil, "x5u"),
    (Vendor::Zultys, "zip33g"),
];

fn subject(vendor: Vendor, model: &str, n: usize) -> anyhow::Result<Subject> {
    let model = Model::find(vendor, model)?;
    let lines = (1..=model.lines.min(2)).map(|line| LineFacts {
        line,
        sip_user: format!("{}", 1000 + n),
        sip_secret: format!("abcdefghijklmnopqrstuv{n:04}"),
        number: format!("{}", 1000 + n),
        name: format!("Ann O'Neil the {n}th"),
        label: String::new(),
    });
    let keys = (3..=model.keys.min(14)).map(|position| KeyFacts {
        position,
        kind: KeyKind::Blf,
        line: 1,
        value: format!("{}", 1000 + usize::from(position)),
        label: format!("Key {position}"),
    });
    Ok(Subject {
        mac: format!("0200{n:08x}").parse()?,
        model,
        label: "Reception".to_owned(),
        lines: lines.collect(),
        keys: keys.collect(),
        settings: Resolved::of(&[]),
        server: "pbx.example.com".to_owned(),
        zone: "Europe/Lisbon".parse()?,
        address: None,
        url: "https://phones.example.com/provision/abcdefghijklmnopqrstuvwxyz012345".to_owned(),
        http_user: "user".to_owned(),
        http_password: "abcdefghijklmnop".to_owned(),
        web_password: "abcdefghijklmnop".to_owned(),
    })
}

pub fn run(report: &mut Report) -> anyhow::Result<()> {
    let templates = Templates::default();
    let (mut all, mut slowest) = (Vec::new(), (Duration::ZERO, ""));
    let mut bytes = 0;
    for (vendor, model) in MODELS {
        let mut times = Vec::new();
        for n in 0..TIMES {
            let subject = subject(vendor, model, n)?;
            let began = Instant::now();
            let made = render(&subject, Part::Own, &templates)?;
            times.push(began.elapsed());
            ensure!(made.secret);
            bytes += made.bytes.len();
        }
        let median = Times::of(times.clone()).median();
        slowest = slowest.max((median, vendor.title()));
        all.extend(times);
    }
    let count = all.len();
    let times = Times::of(all);
    let (median, vendor) = slowest;
    report.add(
        "rendering one phone's file",
        &format!("median {}, slowest vendor {} ({vendor})", shown(times.median()), shown(median)),
        "<= 100 us",
        median <= LIMIT,
        &format!(
            "{count} files of seven vendors, {} bytes each on average, revision and escaping in it",
            bytes.checked_div(count).context("none")?
        ),
    );
    Ok(())
}
