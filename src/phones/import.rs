//! Many phones from a CSV or XLSX file, all or none: a MAC that is known is changed, as far as the
//! file says something of it.
//!
//! A dry run is the import itself in a transaction that is not committed, so what it says is what
//! would happen.

use std::collections::HashMap;
use std::str::FromStr;

use super::people;
use super::refusal::{Refusals, Sorted};
use super::types::{Edit, NewLine, Static};
use super::{add, profiles, queries, update};
use crate::id::ProfileId;
use crate::ipam::space::Space;
use crate::models::{Model, Vendor};
use crate::net::Mac;
use crate::secrets::Vault;
use crate::text::Line;
use crate::web::Error;
use crate::web::sheet::{BadSheet, Column, Columns, Report, Row, Sheet, Verdict};

/// Rows at most.
pub const MOST_ROWS: usize = 20_000;
/// Rows read at once.
const BATCH: usize = 1000;

const COLUMNS: [Column; 11] = [
    Column::needed("mac", &["mac_address"]),
    Column::optional("vendor", &["manufacturer"]),
    Column::optional("model", &[]),
    Column::optional("label", &["name"]),
    Column::optional("site", &[]),
    Column::optional("extensions", &["extension", "extension_number"]),
    Column::optional("extension_2", &["extension_number_2"]),
    Column::optional("subnet", &[]),
    Column::optional("static_ip", &["address", "ip"]),
    Column::optional("profile", &[]),
    Column::optional("notes", &["description"]),
];

/// What a row says of a phone.
struct Wish {
    line: u64,
    mac: Mac,
    edit: Edit,
    /// Numbers or names for the lines, the first first.
    extensions: Option<Vec<String>>,
    second: Option<String>,
    subnet: Option<String>,
    profile: Option<String>,
}

/// Adds or changes the phones of a table. The change may be committed only if the report is clean.
pub async fn run(
    space: &mut Space<'_>,
    vault: &Vault,
    sheet: Result<Sheet, BadSheet>,
) -> Result<Report, Error> {
    let mut report = Report::default();
    let wishes = match sheet {
        Ok(sheet) => read(sheet, &mut report).await,
        Err(error) => {
            report.unreadable(&error);
            Vec::new()
        }
    };
    let profiles = names(space).await?;
    let mut known: HashMap<Mac, u64> = HashMap::new();
    for wish in wishes {
        let (line, mac) = (wish.line, wish.mac);
        if let Some(before) = known.insert(mac, line) {
            report.refuse(line, "mac", &format!("line {before} is about {mac} already"));
            continue;
        }
        save(space, vault, wish, &profiles, &mut report).await?;
        space.tx().look_at_growth(known.len()).await?;
    }
    report.sort();
    Ok(report)
}

async fn names(space: &mut Space<'_>) -> Result<HashMap<String, ProfileId>, Error> {
    let tenant = space.tenant();
    let all = profiles::all(space.tx(), tenant).await?;
    let chosen = all.into_iter().filter(|profile| profile.spec.scope == profiles::Scope::Chosen);
    Ok(chosen.map(|profile| (profile.spec.name.key(), profile.id)).collect())
}

async fn save(
    space: &mut Space<'_>,
    vault: &Vault,
    wish: Wish,
    profiles: &HashMap<String, ProfileId>,
    report: &mut Report,
) -> Result<(), Error> {
    let (line, mac) = (wish.line, wish.mac);
    let tenant = space.tenant();
    let before = queries::get(space.tx(), tenant, mac).await?;
    let faults = report.count();
    let edit = understood(space, wish, profiles, before.as_ref(), report).await?;
    if report.count() != faults {
        return Ok(());
    }
    if before.is_none() && edit.model.is_none() {
        report.refuse(line, "model", &"a new phone needs a vendor and a model");
        return Ok(());
    }
    let saved = match &before {
        Some(_) => update(space, mac, None, &edit).await,
        None => add(space, vault, mac, &edit).await,
    };
    match saved {
        Ok(phone) => {
            let verdict = match before {
                None => Verdict::Added,
                Some(before) if before.version == phone.version => Verdict::Unchanged,
                Some(_) => Verdict::Changed,
            };
            report.added += usize::from(verdict == Verdict::Added);
            report.changed += usize::from(verdict == Verdict::Changed);
            report.says(line, &format!("{mac} {}", phone.title()), verdict);
        }
        Err(refusals) => refuse(refusals, line, report)?,
    }
    Ok(())
}

fn refuse(refusals: Refusals, line: u64, report: &mut Report) -> Result<(), Error> {
    match refusals.sorted() {
        Sorted::Fault(error) => return Err(error),
        Sorted::Fields(fields) => {
            for refusal in fields {
                let column = match refusal.field().as_deref() {
                    Some("address") => "static_ip",
                    Some("subnet") => "subnet",
                    Some("profile") => "profile",
                    Some(field) if field.starts_with("line-") => "extensions",
                    _ => "mac",
                };
                report.refuse(line, column, &refusal);
            }
        }
        Sorted::Missing | Sorted::Stale(_) => report.refuse(line, "mac", &"it is gone meanwhile"),
    }
    Ok(())
}

/// What a row means, with who and what it names found.
async fn understood(
    space: &mut Space<'_>,
    wish: Wish,
    profiles: &HashMap<String, ProfileId>,
    before: Option<&super::Phone>,
    report: &mut Report,
) -> Result<Edit, Error> {
    let tenant = space.tenant();
    let mut edit = wish.edit;
    if let Some(text) = wish.subnet {
        edit.subnet = if text.is_empty() {
            Some(None)
        } else {
            match people::subnet(space.tx(), tenant, &text).await? {
                Ok(id) => Some(Some(id)),
                Err(why) => {
                    report.refuse(wish.line, "subnet", &why);
                    None
                }
            }
        };
    }
    if let Some(name) = wish.profile {
        match (name.as_str(), profiles.get(&name.to_lowercase())) {
            ("", _) => edit.profile = Some(None),
            (_, Some(id)) => edit.profile = Some(Some(*id)),
            (name, None) => {
                report.refuse(wish.line, "profile", &format!("no profile is called {name}"));
            }
        }
    }
    let numbers = match (wish.extensions, wish.second) {
        (None, None) => return Ok(edit),
        (None, Some(second)) => {
            let old = before.map(|phone| phone.lines.as_slice()).unwrap_or_default();
            let first = old.iter().find(|line| line.line == 1);
            vec![first.map(|line| line.number.to_string()).unwrap_or_default(), second]
        }
        (Some(mut numbers), Some(second)) => {
            numbers.resize(numbers.len().max(1), String::new());
            numbers.truncate(1);
            numbers.push(second);
            numbers
        }
        (Some(numbers), None) => numbers,
    };
    let mut lines = Vec::new();
    for (text, line) in numbers.iter().zip(1_u8..) {
        if text.is_empty() || text == "none" {
            continue;
        }
        match people::user(space.tx(), tenant, text).await? {
            Ok(user) => {
                let old = before.and_then(|phone| phone.lines.iter().find(|old| old.user == user));
                let label = old.map(|old| old.label.clone()).unwrap_or_default();
                lines.push(NewLine { line, user, label });
            }
            Err(why) => report.refuse(wish.line, "extensions", &why),
        }
    }
    edit.lines = Some(lines);
    Ok(edit)
}

/// Parses every row before anything is written. Rows with a fault are reported and left out.
async fn read(sheet: Sheet, report: &mut Report) -> Vec<Wish> {
    let Some(columns) = Columns::find(sheet.header(), &COLUMNS, report) else { return Vec::new() };
    let mut wishes = Vec::new();
    let mut batches = sheet.batches(BATCH);
    while let Some(batch) = batches.next().await {
        for row in batch {
            if report.rows >= MOST_ROWS {
                report.fault(1, "mac", &format!("a file may have at most {MOST_ROWS} rows"));
                return wishes;
            }
            match row {
                Ok(row) => {
                    wishes.extend(parse(&columns, &row, report));
                    report.rows += 1;
                }
                Err(error) => report.unreadable(&error),
            }
        }
    }
    wishes
}

fn parse(columns: &Columns, row: &Row, report: &mut Report) -> Option<Wish> {
    let faults = report.count();
    let cell = |name: &str| columns.has(name).then(|| columns.cell(row, name));
    let mac = checked::<Mac>(cell("mac")?, row.line, "mac", report);
    let model = model(cell("vendor"), cell("model"), mac, row.line, report);
    let address = match cell("static_ip") {
        None => None,
        Some("" | "none") => Some(Static::None),
        Some("next") => Some(Static::Next),
        Some(text) => checked(text, row.line, "static_ip", report).map(Static::This),
    };
    let edit = Edit {
        model,
        label: cell("label").and_then(|text| checked::<Line<60>>(text, row.line, "label", report)),
        site: cell("site").and_then(|text| checked::<Line<60>>(text, row.line, "site", report)),
        notes: cell("notes").and_then(|text| checked::<Line<500>>(text, row.line, "notes", report)),
        address,
        ..Edit::default()
    };
    let words = |text: &str| text.split([' ', ';', ',']).map(ToOwned::to_owned).collect::<Vec<_>>();
    let wish = Wish {
        line: row.line,
        mac: mac?,
        edit,
        extensions: cell("extensions").map(|text| words(text.trim())),
        second: cell("extension_2").map(ToOwned::to_owned),
        subnet: cell("subnet").map(ToOwned::to_owned),
        profile: cell("profile").map(ToOwned::to_owned),
    };
    (report.count() == faults).then_some(wish)
}

/// The model a row names: with its vendor, or with the one its MAC stands for.
fn model(
    vendor: Option<&str>,
    model: Option<&str>,
    mac: Option<Mac>,
    line: u64,
    report: &mut Report,
) -> Option<&'static Model> {
    let model = model.filter(|model| !model.is_empty())?;
    let vendor = match vendor.filter(|vendor| !vendor.is_empty()) {
        Some(vendor) => checked::<Vendor>(vendor, line, "vendor", report)?,
        None => {
            if let Some(vendor) = mac.and_then(Vendor::of) {
                vendor
            } else {
                report.refuse(line, "vendor", &"say who made it; its MAC address does not tell");
                return None;
            }
        }
    };
    Model::find(vendor, model).map_err(|error| report.refuse(line, "model", &error)).ok()
}

fn checked<T: FromStr<Err: ToString>>(
    text: &str,
    line: u64,
    column: &'static str,
    report: &mut Report,
) -> Option<T> {
    text.parse().map_err(|error: T::Err| report.refuse(line, column, &error)).ok()
}
