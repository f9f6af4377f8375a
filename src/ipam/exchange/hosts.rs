//! Hosts from a file. Each is saved as on its page; an address another has is a fault.

#![expect(clippy::option_option, reason = "a column may be missing, or there and empty")]

use std::collections::HashMap;
use std::str::FromStr;

use super::columns::{HOSTS, said};
use super::{MOST_OTHERS, Sheeted, rows_of};
use crate::ipam::hosts::{self, HostName, Refusal, Spec};
use crate::ipam::space::Space;
use crate::net::{Address, BadAddress, Mac};
use crate::text::Line;
use crate::web::Error;
use crate::web::sheet::{Columns, Report, Row, Verdict};

/// What a row says of a host. What it says nothing of stays as it is.
struct Wish {
    line: u64,
    hostname: HostName,
    primary_ip: Option<Option<Address>>,
    nic_mac: Option<Option<Mac>>,
    bmc_ip: Option<Option<Address>>,
    bmc_mac: Option<Option<Mac>>,
    device_type: Option<Line<100>>,
    manufacturer: Option<Line<100>>,
    description: Option<Line<500>>,
}

/// Imports a file. The change may be committed only if the report is clean.
pub async fn run(space: &mut Space<'_>, sheet: Sheeted, report: &mut Report) -> Result<(), Error> {
    let read = |columns: &Columns, row: &Row, report: &mut Report| Wish::read(columns, row, report);
    let wishes = rows_of(sheet, &HOSTS, "hostname", MOST_OTHERS, report, read).await;
    for (wish, n) in once_each(wishes, report).into_iter().zip(1..) {
        space.tx().look_at_growth(n).await?;
        match save(space, &wish).await {
            Ok((verdict, conflicts)) => {
                for conflict in &conflicts {
                    report.refuse(wish.line, "primary_ip", conflict);
                }
                if conflicts.is_empty() {
                    report.added += usize::from(verdict == Verdict::Added);
                    report.changed += usize::from(verdict == Verdict::Changed);
                    report.says(wish.line, &wish.hostname, verdict);
                }
            }
            Err(Refusal::Fault(error)) => return Err(error),
            Err(refusal) => {
                report.refuse(wish.line, refusal.field().unwrap_or("hostname"), &refusal);
            }
        }
    }
    Ok(())
}

/// Leaves out rows about what an earlier line is about.
fn once_each(wishes: Vec<Wish>, report: &mut Report) -> Vec<Wish> {
    let mut names: HashMap<String, u64> = HashMap::new();
    let mut addresses: HashMap<Address, u64> = HashMap::new();
    let mut once = Vec::new();
    for wish in wishes {
        if let Some(line) = names.get(&wish.hostname.key()) {
            let why = format!("line {line} is about {} already", wish.hostname);
            report.refuse(wish.line, "hostname", &why);
            continue;
        }
        names.insert(wish.hostname.key(), wish.line);
        let mut twice = None;
        for (column, address) in [("primary_ip", wish.primary_ip), ("bmc_ip", wish.bmc_ip)] {
            let Some(address) = address.flatten() else { continue };
            if let Some(line) =
                addresses.insert(address, wish.line).filter(|line| *line != wish.line)
            {
                twice = Some((column, format!("line {line} gives {address} to another host")));
            }
        }
        match twice {
            Some((column, why)) => report.refuse(wish.line, column, &why),
            None => once.push(wish),
        }
    }
    once
}

async fn save(space: &mut Space<'_>, wish: &Wish) -> Result<(Verdict, Vec<String>), Refusal> {
    let tenant = space.tenant();
    let Some(id) = hosts::named(space.tx(), tenant, &wish.hostname).await? else {
        let saved = hosts::create(space, &wish.over(None)).await?;
        return Ok((Verdict::Added, saved.conflicts));
    };
    let old = hosts::get(space.tx(), tenant, id).await?.ok_or(Refusal::Missing)?;
    let spec = wish.over(Some(old.spec.clone()));
    if spec == old.spec {
        return Ok((Verdict::Unchanged, Vec::new()));
    }
    let saved = hosts::update(space, id, None, &spec).await?;
    Ok((Verdict::Changed, saved.conflicts))
}

impl Wish {
    fn read(columns: &Columns, row: &Row, report: &mut Report) -> Option<Self> {
        let faults = report.count();
        let mut reader = Reader { columns, row, report };
        let hostname = reader.one::<HostName>("hostname");
        let wish = Self {
            line: row.line,
            primary_ip: reader.address(&["primary_ip", "primary_ip4", "primary_ip6"]),
            nic_mac: reader.optional("nic_mac"),
            bmc_ip: reader.address(&["bmc_ip"]),
            bmc_mac: reader.optional("bmc_mac"),
            device_type: reader.first(["device_type", "platform", "role"]),
            manufacturer: reader.one("manufacturer"),
            description: reader.first(["description", "comments", "comments"]),
            hostname: hostname?,
        };
        (report.count() == faults).then_some(wish)
    }

    /// The whole host: what the row says, over what there is.
    fn over(&self, old: Option<Spec>) -> Spec {
        let mut spec = old.unwrap_or_else(|| Spec {
            hostname: self.hostname.clone(),
            primary_ip: None,
            nic_mac: None,
            bmc_ip: None,
            bmc_mac: None,
            device_type: Line::default(),
            manufacturer: Line::default(),
            description: Line::default(),
        });
        spec.hostname = self.hostname.clone();
        spec.primary_ip = self.primary_ip.unwrap_or(spec.primary_ip);
        spec.nic_mac = self.nic_mac.unwrap_or(spec.nic_mac);
        spec.bmc_ip = self.bmc_ip.unwrap_or(spec.bmc_ip);
        spec.bmc_mac = self.bmc_mac.unwrap_or(spec.bmc_mac);
        spec.device_type = self.device_type.clone().unwrap_or(spec.device_type);
        spec.manufacturer = self.manufacturer.clone().unwrap_or(spec.manufacturer);
        spec.description = self.description.clone().unwrap_or(spec.description);
        spec
    }
}

/// Reads the cells of a row and reports what is wrong with them.
struct Reader<'a> {
    columns: &'a Columns,
    row: &'a Row,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn cell(&self, name: &str) -> Option<&str> {
        self.columns.has(name).then(|| said(name, self.columns.cell(self.row, name)))
    }

    fn one<T: FromStr<Err: ToString>>(&mut self, column: &'static str) -> Option<T> {
        let parsed = self.cell(column)?.parse();
        parsed.map_err(|error: T::Err| self.report.refuse(self.row.line, column, &error)).ok()
    }

    fn optional<T: FromStr<Err: ToString>>(&mut self, column: &'static str) -> Option<Option<T>> {
        match self.cell(column)? {
            "" => Some(None),
            _ => self.one(column).map(Some),
        }
    }

    /// The first of some columns that says anything; nothing when the file has none of them.
    fn first<T: FromStr<Err: ToString>>(&mut self, columns: [&'static str; 3]) -> Option<T> {
        let there = columns.into_iter().filter(|column| self.columns.has(column));
        let full =
            there.clone().find(|column| self.cell(column).is_some_and(|cell| !cell.is_empty()));
        let column = full.or_else(|| there.clone().next());
        self.one(column?)
    }

    /// An address, which may carry a prefix length.
    fn address(&mut self, columns: &[&'static str]) -> Option<Option<Address>> {
        let there = columns.iter().filter(|column| self.columns.has(column));
        let full =
            there.clone().find(|column| self.cell(column).is_some_and(|cell| !cell.is_empty()));
        let column = *full.or_else(|| there.clone().next())?;
        let text = self.cell(column)?.split('/').next().unwrap_or_default().trim();
        if text.is_empty() {
            return Some(None);
        }
        let parsed = text.parse();
        parsed
            .map_err(|error: BadAddress| self.report.refuse(self.row.line, column, &error))
            .ok()
            .map(Some)
    }
}
