//! What a row of a file says of an address.

#![expect(clippy::option_option, reason = "a column may be missing, or there and empty")]

use std::str::FromStr;

use crate::ipam::addresses::{HolderKind, Hostname, Note};
use crate::ipam::class::{Kind, Status};
use crate::ipam::exchange::columns::{self, ADDRESSES, said};
use crate::ipam::web::end_of_day;
use crate::net::{Address, Mac, Range};
use crate::text::Line;
use crate::time::{Timestamp, Zone};
use crate::web::sheet::{Columns, Row};

/// Stands between the cells of a packed row; no cell that is accepted holds it.
const BETWEEN: char = '\u{1f}';

/// A row that waits to be looked at in the order of addresses: as little of it as will do.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The address.
    pub address: Address,
    /// Its line in the file.
    pub line: u32,
    /// Its cells, those of the known columns in their order.
    text: Box<str>,
}

/// Which of the known columns a file has, and where.
#[derive(Clone, Debug)]
pub struct Layout([Option<usize>; ADDRESSES.len()]);

/// The cells of a row by the known columns.
pub struct Cells<'a> {
    has: [bool; ADDRESSES.len()],
    cells: [&'a str; ADDRESSES.len()],
}

impl Layout {
    /// Out of a header.
    pub fn of(columns: &Columns) -> Self {
        Self(ADDRESSES.map(|column| columns.place(column.name)))
    }

    fn has(&self) -> [bool; ADDRESSES.len()] {
        self.0.map(|place| place.is_some())
    }

    /// The cells of a row just read.
    pub fn cells<'a>(&self, row: &'a Row) -> Cells<'a> {
        let mut cells = self.0.map(|at| at.map_or("", |at| row.cell(at)));
        for (cell, column) in cells.iter_mut().zip(&ADDRESSES) {
            *cell = said(column.name, cell);
        }
        Cells { has: self.has(), cells }
    }

    /// The cells of a packed row.
    pub fn unpack<'a>(&self, row: &'a Packed) -> Cells<'a> {
        let mut cells = [""; ADDRESSES.len()];
        // The address comes first and was read already.
        for (to, cell) in cells.iter_mut().skip(1).zip(row.text.split(BETWEEN)) {
            *to = cell;
        }
        Cells { has: self.has(), cells }
    }
}

impl Cells<'_> {
    /// The cell of a column; `None` when the file does not have it.
    fn column(&self, name: &str) -> Option<&str> {
        let at = ADDRESSES.iter().position(|column| column.name == name)?;
        let has = *self.has.get(at)?;
        self.cells.get(at).copied().filter(|_| has)
    }

    fn cell(&self, name: &str) -> &str {
        self.column(name).unwrap_or_default()
    }

    /// The address, which may carry a prefix length as `NetBox` writes it.
    pub fn address(&self) -> Result<Address, String> {
        let text = self.cell("address");
        let (address, length) = text.split_once('/').unwrap_or((text, "0"));
        if length.len() > 3 || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(crate::net::BadAddress::Form.to_string());
        }
        address.parse().map_err(|error: crate::net::BadAddress| error.to_string())
    }

    /// Whether the row is about free addresses from one to another, as exports write gaps.
    pub fn is_gap(&self) -> bool {
        let range = self.cell("address").split_once('-');
        let ends = range.map(|(first, last)| (first.parse::<Address>(), last.parse::<Address>()));
        let range = ends.and_then(|(first, last)| Range::new(first.ok()?, last.ok()?));
        range.is_some() && self.cell("status").eq_ignore_ascii_case("available")
    }

    /// The row, packed.
    pub fn pack(&self, address: Address, line: u64) -> Packed {
        let mut text = String::new();
        for cell in self.cells.iter().skip(1) {
            text.push_str(cell);
            text.push(BETWEEN);
        }
        let text = text.trim_end_matches(BETWEEN).into();
        Packed { address, line: u32::try_from(line).unwrap_or(u32::MAX), text }
    }
}

/// Who holds an address, as far as the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Named in a column for that.
    Named {
        /// What sort of holder.
        kind: HolderKind,
        /// Their id; empty when the file has none.
        id: String,
        /// What they are called.
        name: String,
    },
    /// Nobody is named: this is what else the row says.
    Described(String),
}

/// What a row says of an address. What it says nothing of stays as it is.
#[derive(Clone, Debug)]
pub struct Wish {
    pub status: Status,
    pub kind: Option<Kind>,
    pub hostname: Option<Hostname>,
    pub mac: Option<Option<Mac>>,
    pub platform: Option<Line<100>>,
    pub manufacturer: Option<Line<100>>,
    pub who: Who,
    /// Why it is reserved or in quarantine.
    pub note: Option<Note>,
    pub reserved_by: Option<Line<100>>,
    pub until: Option<Option<Timestamp>>,
    /// Whether it says that this is a router.
    pub gateway: bool,
}

/// What is wrong: the column, and why.
pub type Faults = Vec<(&'static str, String)>;

/// Reads the cells of a row and gathers what is wrong with them.
struct Reader<'a> {
    cells: &'a Cells<'a>,
    faults: Faults,
}

impl Reader<'_> {
    fn fault(&mut self, column: &'static str, why: &impl ToString) {
        self.faults.push((column, why.to_string()));
    }

    fn read<T>(&mut self, column: &'static str) -> Option<T>
    where
        T: FromStr<Err: ToString>,
    {
        let parsed = self.cells.column(column)?.parse();
        parsed.map_err(|error: T::Err| self.fault(column, &error)).ok()
    }

    /// As [`Self::read`], where nothing is an answer too.
    fn read_optional<T>(&mut self, column: &'static str) -> Option<Option<T>>
    where
        T: FromStr<Err: ToString>,
    {
        match self.cells.column(column)? {
            "" => Some(None),
            _ => self.read(column).map(Some),
        }
    }

    /// A column that has no place in a row with this status.
    fn only(&mut self, column: &'static str, why: &'static str) {
        if !self.cells.cell(column).is_empty() {
            self.fault(column, &why);
        }
    }

    /// What two columns say, one after the other.
    fn joined(&self, columns: [&'static str; 2]) -> String {
        let cells: Vec<&str> = columns
            .into_iter()
            .map(|column| self.cells.cell(column))
            .filter(|cell| !cell.is_empty())
            .collect();
        cells.join("; ")
    }

    fn status(&mut self) -> (Status, Option<Kind>) {
        let word = self.cells.cell("status");
        columns::status(word).unwrap_or_else(|| {
            self.fault("status", &columns::BAD_STATUS);
            (Status::Allocated, None)
        })
    }

    fn until(&mut self, zone: &Zone) -> Option<Option<Timestamp>> {
        let text = self.cells.column("until")?;
        let read = moment(text, zone);
        if read.is_none() && !text.is_empty() {
            self.fault("until", &"write a time such as 2026-12-31 or 2026-12-31T18:00:00Z");
        }
        Some(read)
    }

    fn who(&mut self) -> Who {
        let (kind, id, name) = (
            self.cells.cell("holder_kind"),
            self.cells.cell("holder_id"),
            self.cells.cell("holder"),
        );
        if kind.is_empty() && id.is_empty() && name.is_empty() {
            return self.described();
        }
        self.only("description", "only a reserved address has a description");
        let kind =
            if kind.is_empty() { Some(HolderKind::External) } else { self.read("holder_kind") };
        let name = self.read::<Line<200>>("holder").unwrap_or_default();
        let id = self.read::<Line<200>>("holder_id").unwrap_or_default();
        if name.is_empty() && id.is_empty() {
            self.fault("holder", &"say who holds it");
        }
        let kind = kind.unwrap_or(HolderKind::External);
        Who::Named { kind, id: id.to_string(), name: name.to_string() }
    }

    /// Those who name nobody describe the machine, or say where it is.
    fn described(&mut self) -> Who {
        let said = [self.joined(["owner", "description"]), self.joined(["device", "note"])];
        let machine = self.cells.cell("virtual_machine").to_owned();
        let text = said.into_iter().chain([machine]).find(|text| !text.is_empty());
        // A longer text than a name may be is cut: it is no fault of whoever wrote it.
        let text: String = text.unwrap_or_default().chars().take(200).collect();
        match text.parse::<Line<200>>() {
            Ok(line) => Who::Described(line.to_string()),
            Err(error) => {
                self.fault("description", &error);
                Who::Described(String::new())
            }
        }
    }

    fn note(&mut self, status: Status) -> Option<Note> {
        let (column, text) = match status {
            Status::Reserved => ("description", self.joined(["description", "note"])),
            Status::Quarantine if !self.cells.cell("reason").is_empty() => {
                self.only("description", "only a reserved address has a description");
                ("reason", self.cells.cell("reason").to_owned())
            }
            Status::Quarantine => ("reason", self.joined(["description", "note"])),
            Status::Available | Status::Allocated => return None,
        };
        let word = self.cells.cell("status");
        let text = if text.is_empty() && !word.eq_ignore_ascii_case(status.as_str()) {
            format!("{} in the file it came from", word.to_lowercase())
        } else {
            text
        };
        text.parse().map_err(|error: <Note as FromStr>::Err| self.fault(column, &error)).ok()
    }
}

/// A moment, or the end of a day where the tenant is.
fn moment(text: &str, zone: &Zone) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(moment.as_second()));
    }
    end_of_day(&mut text.to_owned().into(), zone).flatten()
}

impl Wish {
    /// Reads a row; everything that is wrong with it if anything is.
    pub fn read(cells: &Cells<'_>, zone: &Zone) -> Result<Self, Faults> {
        let mut reader = Reader { cells, faults: Vec::new() };
        let (status, dynamic) = reader.status();
        let kind = match cells.cell("type").to_lowercase().as_str() {
            "" => None,
            word => word.parse().map_err(|error| reader.fault("type", &error)).ok(),
        };
        let wish = Self {
            status,
            kind: dynamic.or(kind),
            hostname: reader.read("hostname"),
            mac: reader.read_optional("mac"),
            platform: reader.read("platform"),
            manufacturer: reader.read("manufacturer"),
            who: if status == Status::Allocated {
                reader.who()
            } else {
                Who::Described(String::new())
            },
            note: reader.note(status),
            reserved_by: reader.read("reserved_by"),
            until: reader.until(zone),
            gateway: matches!(cells.cell("gateway").to_lowercase().as_str(), "yes" | "true" | "1"),
        };
        wish.fits(&mut reader);
        if reader.faults.is_empty() { Ok(wish) } else { Err(reader.faults) }
    }

    /// Columns that belong to another status.
    fn fits(&self, reader: &mut Reader<'_>) {
        if self.status != Status::Reserved {
            reader.only("reserved_by", "only a reserved address is reserved by somebody");
        }
        if self.status != Status::Quarantine {
            reader.only("reason", "only an address in quarantine has a reason");
        }
        if self.status != Status::Allocated {
            reader.only("holder", "only an allocated address has a holder");
        }
        if matches!(self.status, Status::Available | Status::Allocated) {
            reader.only("until", "only a reservation or a quarantine ends by itself");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::sheet::Report;

    fn read(header: &str, row: &str) -> Result<Wish, Faults> {
        let line =
            |text: &str| Row { line: 2, cells: text.split(',').map(str::to_owned).collect() };
        let columns = Columns::find(&line(header), &ADDRESSES, &mut Report::default()).unwrap();
        let layout = Layout::of(&columns);
        let row = line(row);
        let cells = layout.cells(&row);
        let packed = cells.pack(cells.address().unwrap(), 2);
        // What was packed says the same.
        let again = Wish::read(&layout.unpack(&packed), &Zone::default());
        let wish = Wish::read(&cells, &Zone::default());
        assert_eq!(format!("{wish:?}"), format!("{again:?}"));
        wish
    }

    #[test]
    fn netbox_and_phpipam_are_understood() {
        let wish = read(
            "IP Address,VRF,Status,Role,Tenant,Assigned,DNS Name,Description",
            "10.0.0.5/24,—,Active,—,—,True,gw.example.com,uplink",
        )
        .unwrap();
        assert_eq!((wish.status, wish.kind), (Status::Allocated, None));
        assert_eq!(wish.hostname.unwrap().to_string(), "gw.example.com");
        assert_eq!(wish.who, Who::Described("uplink".to_owned()));
        let wish = read(
            "ip address,ip state,description,hostname,mac,owner,device,port,note",
            "10.0.0.6,DHCP,door,cam-1,0015.65aa.bbcc,Ann,sw1,7,",
        )
        .unwrap();
        assert_eq!(wish.kind, Some(Kind::Dhcp));
        assert_eq!(wish.who, Who::Described("Ann; door".to_owned()));
        assert_eq!(wish.mac.unwrap().unwrap().to_string(), "00:15:65:aa:bb:cc");
        let wish = read("address,status", "10.0.0.7,deprecated").unwrap();
        assert_eq!(wish.note.unwrap().to_string(), "deprecated in the file it came from");
    }

    #[test]
    fn a_day_is_over_when_it_is_where_the_tenant_is() {
        let zone: Zone = "Europe/Lisbon".parse().unwrap();
        let read = |text: &str| moment(text, &zone).unwrap().to_string();
        assert_eq!(read("2026-07-01"), "2026-07-01T23:00:00Z");
        assert_eq!(read("2026-07-01T18:00:00Z"), "2026-07-01T18:00:00Z");
        assert_eq!(moment("soon", &zone), None);
    }

    #[test]
    fn what_a_status_does_not_have_is_named() {
        let faults = |header: &str, row: &str| -> Vec<&'static str> {
            read(header, row).unwrap_err().into_iter().map(|(column, _)| column).collect()
        };
        assert_eq!(faults("address,status,description", "10.0.0.1,reserved,"), ["description"]);
        assert_eq!(faults("address,holder,description", "10.0.0.1,ann,x"), ["description"]);
        assert_eq!(
            faults("address,status,mac,until", "10.0.0.1,gone,x,y"),
            ["status", "mac", "until", "until"]
        );
        assert_eq!(faults("address,status,reason", "10.0.0.1,allocated,x"), ["reason"]);
    }
}
