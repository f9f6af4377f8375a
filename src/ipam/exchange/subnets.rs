//! Subnets from a file. They nest as their addresses say: neither `NetBox` nor `phpIPAM` writes
//! what lies in what, and two blocks either nest or have nothing in common.

#![expect(clippy::option_option, reason = "a column may be missing, or there and empty")]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;

use super::columns::{SUBNETS, said};
use super::{MOST_OTHERS, Sheeted, rows_of};
use crate::ipam::space::Space;
use crate::ipam::subnets::{self, DnsServers, Pools, Refusal, Spec, Subnet, SubnetName, Vlan};
use crate::net::{self, Address, Cidr, Range};
use crate::text::Line;
use crate::web::Error;
use crate::web::sheet::{Columns, Report, Row, Verdict};

/// What a row says of a subnet. What it says nothing of stays as it is.
#[derive(Clone, Debug)]
struct Wish {
    line: u64,
    cidr: Cidr,
    name: Option<SubnetName>,
    vlan: Option<Option<Vlan>>,
    gateway: Option<Option<Address>>,
    site: Option<Line<100>>,
    dns: Option<DnsServers>,
    description: Option<Line<500>>,
    statics: Option<Pools>,
    dhcp: Option<Pools>,
    excluded: Option<Vec<Range>>,
    /// It only holds others and gives out nothing.
    container: bool,
}

/// Imports a file. The change may be committed only if the report is clean.
pub async fn run(space: &mut Space<'_>, sheet: Sheeted, report: &mut Report) -> Result<(), Error> {
    let read = |columns: &Columns, row: &Row, report: &mut Report| Wish::read(columns, row, report);
    let wishes = rows_of(sheet, &SUBNETS, "cidr", MOST_OTHERS, report, read).await;
    let wishes = once_each(wishes, report);
    let tenant = space.tenant();
    let known = subnets::all(space.tx(), tenant).await?;
    let mut pools = subnets::all_pools(space.tx(), tenant).await?;
    let mut names = taken_names(&known, &wishes);
    let known: HashMap<Cidr, Subnet> =
        known.into_iter().map(|subnet| (subnet.cidr, subnet)).collect();
    let (mut new, mut lines) = (Vec::new(), Vec::new());
    for wish in wishes {
        if let Some(old) = known.get(&wish.cidr) {
            let spec = subnets::spec(old, &pools.remove(&old.id).unwrap_or_default());
            update(space, old, &wish, spec, report).await?;
        } else {
            new.push(wish.spec(&mut names));
            lines.push(wish.line);
        }
    }
    let refused = match subnets::create_all(space, &new).await {
        Ok(refused) => refused,
        Err(refusal) => return Err(fault(refusal)),
    };
    for (at, refusal) in &refused {
        let line = lines.get(*at).map_or(1, |line| *line);
        report.refuse(line, refusal.field().unwrap_or("cidr"), refusal);
    }
    let refused: HashSet<usize> = refused.into_iter().map(|(at, _)| at).collect();
    for (at, (line, spec)) in lines.into_iter().zip(&new).enumerate() {
        if !refused.contains(&at) {
            report.added += 1;
            report.says(line, &spec.cidr, Verdict::Added);
        }
    }
    Ok(())
}

fn fault(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Fault(error) => error,
        other => sqlx::Error::Protocol(other.to_string()).into(),
    }
}

/// Leaves out rows about what an earlier line is about.
fn once_each(wishes: Vec<Wish>, report: &mut Report) -> Vec<Wish> {
    let mut blocks: HashMap<Cidr, u64> = HashMap::new();
    let mut names: HashMap<String, u64> = HashMap::new();
    let mut once = Vec::new();
    for wish in wishes {
        let name = wish.name.as_ref().map(SubnetName::key);
        if let Some(line) = blocks.get(&wish.cidr) {
            let why = format!("line {line} is about {} already", wish.cidr);
            report.refuse(wish.line, "cidr", &why);
        } else if let Some(line) = name.as_ref().and_then(|name| names.get(name)) {
            report.refuse(
                wish.line,
                "name",
                &format!("the subnet in line {line} is called so too"),
            );
        } else {
            blocks.insert(wish.cidr, wish.line);
            names.extend(name.map(|name| (name, wish.line)));
            once.push(wish);
        }
    }
    once
}

/// The names nobody without one may be given.
fn taken_names(known: &[Subnet], wishes: &[Wish]) -> BTreeSet<String> {
    let known = known.iter().map(|subnet| subnet.name.key());
    known.chain(wishes.iter().filter_map(|wish| wish.name.as_ref()).map(SubnetName::key)).collect()
}

async fn update(
    space: &mut Space<'_>,
    old: &Subnet,
    wish: &Wish,
    before: Spec,
    report: &mut Report,
) -> Result<(), Error> {
    let mut spec = before.clone();
    spec.name = wish.name.clone().unwrap_or(spec.name);
    wish.write_to(&mut spec);
    let verdict = if spec == before {
        Verdict::Unchanged
    } else {
        match subnets::update(space, old.id, None, &spec, true, false).await {
            Ok(_) => Verdict::Changed,
            Err(Refusal::Fault(error)) => return Err(error),
            Err(refusal) => {
                report.refuse(wish.line, refusal.field().unwrap_or("cidr"), &refusal);
                return Ok(());
            }
        }
    };
    report.changed += usize::from(verdict == Verdict::Changed);
    report.says(wish.line, &wish.cidr, verdict);
    Ok(())
}

impl Wish {
    /// Reads a row. `None` when it is not about a subnet, or something is wrong with it.
    fn read(columns: &Columns, row: &Row, report: &mut Report) -> Option<Self> {
        let cell = |name| said(name, columns.cell(row, name));
        // phpIPAM's folders have no addresses.
        if ["(folder)", "[folder]"].iter().any(|mark| cell("cidr").ends_with(mark)) {
            return None;
        }
        let faults = report.count();
        let mut reader = Reader { columns, row, report };
        let cidr = reader.cidr();
        let wish = Self {
            line: row.line,
            cidr: cidr.unwrap_or(Cidr::around(Address::from_number(0), 128)?),
            name: match cell("name") {
                "" => None,
                _ => reader.one("name"),
            },
            vlan: reader.vlan(),
            gateway: reader.gateway(),
            site: reader.first(["site", "scope", "section"]),
            dns: reader.one("dns"),
            description: reader.first(["description", "comments", "comments"]),
            statics: reader.one("static_pools"),
            dhcp: reader.one("dhcp_pools"),
            excluded: reader.excluded(),
            container: cell("status").eq_ignore_ascii_case("container"),
        };
        (report.count() == faults && cidr.is_some()).then_some(wish)
    }

    /// The whole subnet, with a name if it has none.
    fn spec(&self, names: &mut BTreeSet<String>) -> Spec {
        let mut spec =
            Spec::new(self.name.clone().unwrap_or_else(|| self.called(names)), self.cidr);
        // Nothing is given out of a container, or of a block too large for a pool, unasked.
        if self.container || self.cidr.range().size() > 1 << 64 {
            spec.statics = Pools::These(Vec::new());
            spec.dhcp = Pools::These(Vec::new());
        }
        self.write_to(&mut spec);
        spec
    }

    /// A name nobody has: what is said of the subnet, or its addresses.
    fn called(&self, names: &mut BTreeSet<String>) -> SubnetName {
        let about = self.description.as_ref().map(ToString::to_string).unwrap_or_default();
        let about: String = about.chars().take(60).collect();
        let choices = [about.clone(), format!("{about} ({})", self.cidr), self.cidr.to_string()];
        let choices =
            choices.into_iter().filter(|choice| !about.is_empty() || !choice.starts_with(' '));
        let mut parsed: Vec<SubnetName> = choices.filter_map(|name| name.parse().ok()).collect();
        let free = parsed.iter().position(|name| !names.contains(&name.key()));
        let name = parsed.swap_remove(free.unwrap_or(parsed.len().saturating_sub(1)));
        names.insert(name.key());
        name
    }

    /// Writes what the row says.
    fn write_to(&self, spec: &mut Spec) {
        let wish = self.clone();
        spec.vlan = wish.vlan.unwrap_or(spec.vlan);
        spec.gateway = wish.gateway.unwrap_or(spec.gateway);
        if let Some(site) = wish.site {
            spec.site = site;
        }
        if let Some(dns) = wish.dns {
            spec.dns = dns;
        }
        if let Some(description) = wish.description {
            spec.description = description;
        }
        if let Some(statics) = wish.statics {
            spec.statics = statics;
        }
        if let Some(dhcp) = wish.dhcp {
            spec.dhcp = dhcp;
        }
        if let Some(excluded) = wish.excluded {
            spec.excluded = excluded;
        }
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

    fn fault(&mut self, column: &'static str, why: &impl ToString) {
        self.report.refuse(self.row.line, column, why);
    }

    fn one<T: FromStr<Err: ToString>>(&mut self, column: &'static str) -> Option<T> {
        let parsed = self.cell(column)?.parse();
        parsed.map_err(|error: T::Err| self.fault(column, &error)).ok()
    }

    /// The first of some columns that says anything; nothing when the file has none of them.
    fn first<T: FromStr<Err: ToString>>(&mut self, columns: [&'static str; 3]) -> Option<T> {
        let there = columns.into_iter().filter(|column| self.columns.has(column));
        let full =
            there.clone().find(|column| self.cell(column).is_some_and(|cell| !cell.is_empty()));
        let column = full.or_else(|| there.clone().next());
        self.one(column?)
    }

    /// With the prefix length behind a slash, or in a column of its own: as a number or a mask.
    fn cidr(&mut self) -> Option<Cidr> {
        let text = self.cell("cidr").unwrap_or_default().to_owned();
        let mask = self.cell("mask").unwrap_or_default().to_owned();
        let whole = if text.contains('/') || mask.is_empty() {
            text
        } else {
            format!("{text}/{}", length_of(&mask).unwrap_or(mask))
        };
        whole.parse().map_err(|error: net::BadCidr| self.fault("cidr", &error)).ok()
    }

    /// A number, nothing, or a name with the number behind it as `NetBox` writes it.
    fn vlan(&mut self) -> Option<Option<Vlan>> {
        let cell = self.cell("vlan")?;
        let number = match cell.rsplit_once('(') {
            Some((_, number)) => number.trim_end_matches(')'),
            None => cell,
        };
        if matches!(number, "" | "0" | "NA" | "N/A") {
            return Some(None);
        }
        number.parse().map_err(|error: subnets::BadVlan| self.fault("vlan", &error)).ok().map(Some)
    }

    fn gateway(&mut self) -> Option<Option<Address>> {
        let cell = self.cell("gateway")?;
        let address = cell.split('/').next().unwrap_or_default();
        if address.is_empty() {
            return Some(None);
        }
        address
            .parse()
            .map_err(|error: net::BadAddress| self.fault("gateway", &error))
            .ok()
            .map(Some)
    }

    fn excluded(&mut self) -> Option<Vec<Range>> {
        match self.cell("excluded")? {
            "" | "none" => Some(Vec::new()),
            ranges => {
                let ranges = net::parse_ranges(ranges);
                ranges.map_err(|error| self.fault("excluded", &error)).ok()
            }
        }
    }
}

/// The length a mask such as 255.255.255.0 stands for.
fn length_of(mask: &str) -> Option<String> {
    let mask: Address = mask.parse().ok()?;
    let any: Address = "0.0.0.0".parse().ok()?;
    let fits = |length: &u8| Cidr::around(any, *length).is_some_and(|cidr| cidr.netmask() == mask);
    (0..=32).find(fits).map(|length| length.to_string())
}
