//! What becomes of an address of which a row of a file says something.

use super::wish::{Who, Wish};
use crate::ipam::addresses::{Holder, HolderKind, Record, label};
use crate::ipam::class::{Kind, Status};
use crate::ipam::space::{pool_of, withheld};
use crate::ipam::subnets::{Pool, Subnet};
use crate::net::{Address, Range};
use crate::text::Line;
use crate::time::Timestamp;

/// What becomes of an address.
#[derive(Debug)]
pub enum Verdict {
    /// It gets a row.
    Added(Record),
    /// Its row changes.
    Changed(Record),
    /// All is as the file says.
    Unchanged,
    /// It cannot be so: the column, and why.
    Refused(&'static str, String),
}

/// A subnet and what is needed to decide about its addresses.
#[derive(Debug)]
pub struct Place {
    /// The subnet.
    pub subnet: Subnet,
    /// Its pools.
    pub pools: Vec<Pool>,
    withheld: Vec<Range>,
}

impl Place {
    /// Of a subnet.
    pub fn new(subnet: Subnet, pools: Vec<Pool>) -> Self {
        let withheld = withheld(&subnet, &pools);
        Self { subnet, pools, withheld }
    }

    /// How a free address is given, unless nobody may have it.
    fn kind(&self, address: Address) -> Result<Kind, String> {
        if !self.withheld.iter().any(|range| range.contains(address)) {
            let pool = pool_of(&self.subnet, &self.pools, address);
            return Ok(pool.map_or(Kind::Static, |(_, kind)| kind));
        }
        let never = self.subnet.cidr.never().into_iter().find(|(never, _)| *never == address);
        let what = match never {
            Some((_, what)) => format!("the {what} address"),
            None if self.subnet.gateway == Some(address) => "the gateway".to_owned(),
            None => "excluded from the pools".to_owned(),
        };
        Err(format!("{address} is {what} of {} and is never given out", label(&self.subnet)))
    }
}

/// Who imports, and when.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// The operator's name.
    pub name: &'a str,
    /// When.
    pub at: Timestamp,
}

/// Decides about an address: `old` is its row, `place` the subnet around it.
pub fn decide(
    address: Address,
    old: Option<&Record>,
    place: Option<&Place>,
    wish: &Wish,
    by: By<'_>,
) -> Verdict {
    match old {
        Some(old) if old.status != Status::Available => kept(old, wish, by),
        _ if wish.status == Status::Available => Verdict::Unchanged,
        _ => free(address, old, place, wish, by),
    }
}

/// An address nobody has.
fn free(
    address: Address,
    old: Option<&Record>,
    place: Option<&Place>,
    wish: &Wish,
    by: By<'_>,
) -> Verdict {
    let Some(place) = place else {
        let why = format!("{address} lies in no subnet; import or create the subnet first");
        return Verdict::Refused("address", why);
    };
    // The router of a file that marks routers is written in the subnet already.
    if wish.gateway && place.subnet.gateway == Some(address) {
        return Verdict::Unchanged;
    }
    let kind = match place.kind(address) {
        Ok(kind) => kind,
        Err(why) => return Verdict::Refused("address", why),
    };
    let mut new = Record::new(address, 0, Some(place.subnet.id), kind, by.at);
    if let Some(old) = old {
        new = old.clone();
        new.clear(wish.status, by.at);
    }
    new.status = wish.status;
    match wish.status {
        Status::Allocated => match holder(wish) {
            Ok(holder) => new.holder = Some(holder),
            Err(why) => return Verdict::Refused("holder", why),
        },
        Status::Reserved => new.reserved_by = reserver(wish, by),
        Status::Quarantine | Status::Available => {}
    }
    write(&mut new, wish);
    if is_over(new.until, by) {
        return Verdict::Refused("until", OVER.to_owned());
    }
    if old.is_some() { Verdict::Changed(new) } else { Verdict::Added(new) }
}

/// What is said of an end that is past: as where it is typed.
const OVER: &str = "that time is over; choose a later one, or none";

fn is_over(until: Option<Timestamp>, by: By<'_>) -> bool {
    until.is_some_and(|until| until <= by.at)
}

/// Whoever gets an address nobody has.
fn holder(wish: &Wish) -> Result<Holder, String> {
    let (kind, id, name) = match &wish.who {
        Who::Named { kind, id, name } => (*kind, id.clone(), name.clone()),
        Who::Described(text) => (HolderKind::External, String::new(), text.clone()),
    };
    let hostname = wish.hostname.as_ref().map(ToString::to_string).unwrap_or_default();
    let first = |choices: [String; 3]| choices.into_iter().find(|choice| !choice.is_empty());
    let name = first([name, id.clone(), hostname]).unwrap_or_else(|| "unknown".to_owned());
    match kind {
        HolderKind::External => {
            let id = first([id, name.clone(), String::new()]).unwrap_or_default();
            Ok(Holder { kind, id, name })
        }
        HolderKind::User => Ok(Holder { kind, id, name }),
        HolderKind::Host | HolderKind::Bmc | HolderKind::Phone => Err(format!(
            "{} {name} does not have this address here; import the {}s first, they bring their addresses",
            kind.as_str(),
            if kind == HolderKind::Phone { "phone" } else { "host" }
        )),
    }
}

fn reserver(wish: &Wish, by: By<'_>) -> String {
    let named = wish.reserved_by.as_ref().map(ToString::to_string).unwrap_or_default();
    if named.is_empty() { by.name.to_owned() } else { named }
}

/// Writes what the row says of the machine, the reason and the end.
fn write(record: &mut Record, wish: &Wish) {
    record.kind = wish.kind.unwrap_or(record.kind);
    let wanted = wish.clone();
    record.hostname = wanted.hostname.unwrap_or_else(|| record.hostname.clone());
    record.mac = wanted.mac.unwrap_or(record.mac);
    record.platform = wanted.platform.unwrap_or_else(|| record.platform.clone());
    record.manufacturer = wanted.manufacturer.unwrap_or_else(|| record.manufacturer.clone());
    let note = wish.note.as_ref().map(crate::ipam::addresses::Note::line);
    match wish.status {
        Status::Reserved => record.description = note.unwrap_or_default(),
        Status::Quarantine => record.reason = note.unwrap_or_default(),
        Status::Available | Status::Allocated => return,
    }
    record.until = wish.until.unwrap_or(record.until);
}

/// An address somebody has: what is known of it may change, not whose it is.
fn kept(old: &Record, wish: &Wish, by: By<'_>) -> Verdict {
    if old.status != wish.status {
        return foreign(old, wish, by);
    }
    let mut new = old.clone();
    match wish.status {
        Status::Allocated => match same_holder(old, wish) {
            Some(holder) => new.holder = Some(holder),
            None => return foreign(old, wish, by),
        },
        Status::Reserved if !same_reserver(old, wish, by) => return foreign(old, wish, by),
        _ => {}
    }
    write(&mut new, wish);
    if new == *old {
        return Verdict::Unchanged;
    }
    if new.until != old.until && is_over(new.until, by) {
        return Verdict::Refused("until", OVER.to_owned());
    }
    if machine(&new) != machine(old) && old.holder.as_ref().is_some_and(is_machine) {
        let why = format!(
            "{} is {}: host name, MAC, platform and manufacturer are changed there",
            old.address,
            old.keeper()
        );
        return Verdict::Refused("hostname", why);
    }
    Verdict::Changed(new)
}

fn machine(record: &Record) -> impl PartialEq + use<'_> {
    (&record.hostname, record.mac, &record.platform, &record.manufacturer)
}

fn is_machine(holder: &Holder) -> bool {
    matches!(holder.kind, HolderKind::Host | HolderKind::Bmc | HolderKind::Phone)
}

/// The holder as the row has them, if they are the one there is. Hosts are known by their names,
/// for another installation gave them other ids; and who names nobody means whoever has the
/// machine of this host name.
fn same_holder(old: &Record, wish: &Wish) -> Option<Holder> {
    let known = old.holder.as_ref()?;
    match &wish.who {
        Who::Named { kind, id, name } => {
            let named = !name.is_empty() && name.to_lowercase() == known.name.to_lowercase();
            let same_id = !id.is_empty() && *id == known.id;
            let same =
                *kind == known.kind && (same_id || named && (id.is_empty() || is_machine(known)));
            let name = if is_machine(known) || known.kind == HolderKind::User || name.is_empty() {
                known.name.clone()
            } else {
                name.clone()
            };
            same.then(|| Holder { name, ..known.clone() })
        }
        Who::Described(text) => {
            let hostname = wish.hostname.as_ref().filter(|name| !name.is_empty());
            let same_machine = hostname.is_some_and(|name| name.key() == old.hostname.key());
            let derived = holder(wish).ok()?;
            let same = same_machine || derived.is(known);
            let renamed = known.kind == HolderKind::External && !text.is_empty();
            same.then(|| if renamed { derived } else { known.clone() })
        }
    }
}

/// Whether the row is about the reservation there is.
fn same_reserver(old: &Record, wish: &Wish, by: By<'_>) -> bool {
    let same_note = wish.note.as_ref().is_some_and(|note| note.line() == old.description);
    let unnamed = wish.reserved_by.as_ref().is_none_or(Line::is_empty);
    reserver(wish, by) == old.reserved_by || (unnamed && same_note)
}

/// Who has the address and who would, in one sentence.
fn foreign(old: &Record, wish: &Wish, by: By<'_>) -> Verdict {
    let here = match old.status {
        Status::Allocated => format!("held by {}", old.keeper()),
        Status::Reserved => format!("reserved by {}", old.keeper()),
        Status::Quarantine | Status::Available => format!("in {}", old.keeper()),
    };
    let note = wish.note.as_ref().map(ToString::to_string).unwrap_or_default();
    let there = match wish.status {
        Status::Allocated => match holder_named(wish) {
            Some(name) => format!("the file gives it to {name}"),
            None => "the file gives it to somebody".to_owned(),
        },
        Status::Reserved => format!("the file reserves it for {} ({note})", reserver(wish, by)),
        Status::Quarantine => format!("the file puts it into quarantine ({note})"),
        Status::Available => "the file says it is free".to_owned(),
    };
    let column = if wish.status == old.status { "holder" } else { "status" };
    Verdict::Refused(column, format!("{} is {here}; {there}. Release it first", old.address))
}

fn holder_named(wish: &Wish) -> Option<String> {
    let hostname = wish.hostname.as_ref().map(ToString::to_string).unwrap_or_default();
    let names = match &wish.who {
        Who::Named { kind, id, name } => {
            let name = if name.is_empty() { id } else { name };
            vec![format!("{} {name}", kind.as_str())]
        }
        Who::Described(text) => vec![text.clone(), hostname],
    };
    names.into_iter().find(|name| !name.is_empty())
}
