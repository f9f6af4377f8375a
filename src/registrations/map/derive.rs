//! From what is known of numbers, phones, addresses and registrations to who is where. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::types::{Flag, Flags, Row};
use crate::id::{SubnetId, UserId};
use crate::net::{Address, Mac};
use crate::numbering::ExtensionNumber;
use crate::registrations::device::Source;
use crate::time::Timestamp;

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// Everything a tenant's map is made of.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub people: BTreeMap<ExtensionNumber, Person>,
    pub phones: Vec<PhoneFacts>,
    pub registrations: Vec<Registered>,
    /// In the order of their first addresses, the wider ones first.
    pub subnets: Vec<Place>,
    /// Days after which something is silent of which nothing else is said.
    pub silent_days: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub id: UserId,
    pub name: String,
}

#[derive(Clone, Debug)]
pub(super) struct PhoneFacts {
    pub mac: Mac,
    pub vendor: String,
    pub model: String,
    pub kind: String,
    pub label: String,
    pub subnet: Option<SubnetId>,
    pub fixed: Option<Address>,
    pub created_at: Timestamp,
    pub fetched_at: Option<Timestamp>,
    pub silent_days: i64,
    pub lines: Vec<ExtensionNumber>,
}

#[derive(Clone, Debug)]
pub(super) struct Registered {
    pub number: ExtensionNumber,
    pub contact: String,
    pub address: Option<Address>,
    pub via: Option<Address>,
    pub user_agent: String,
    pub mac: Option<(Mac, Source)>,
    pub present: bool,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(super) struct Place {
    pub id: SubnetId,
    pub name: String,
    pub first: Address,
    pub last: Address,
}

/// What each line is made of, found once for all.
pub(super) struct Deriving<'f> {
    facts: &'f Facts,
    now: Timestamp,
    by_mac: HashMap<Mac, &'f PhoneFacts>,
    by_line: HashMap<ExtensionNumber, &'f PhoneFacts>,
    by_number: BTreeMap<ExtensionNumber, Vec<&'f Registered>>,
    /// The numbers each device is registered as.
    numbers: HashMap<Mac, BTreeSet<ExtensionNumber>>,
    /// The devices at each address, those behind routers aside.
    devices: HashMap<Address, BTreeSet<Mac>>,
    /// The last sign of each phone.
    signs: HashMap<Mac, Timestamp>,
    places: HashMap<SubnetId, &'f Place>,
}

impl<'f> Deriving<'f> {
    pub(super) fn new(facts: &'f Facts, now: Timestamp) -> Self {
        let mut it = Self {
            facts,
            now,
            by_mac: facts.phones.iter().map(|phone| (phone.mac, phone)).collect(),
            by_line: HashMap::new(),
            by_number: BTreeMap::new(),
            numbers: HashMap::new(),
            devices: HashMap::new(),
            signs: HashMap::new(),
            places: facts.subnets.iter().map(|place| (place.id, place)).collect(),
        };
        for phone in &facts.phones {
            it.by_line.extend(phone.lines.iter().map(|line| (*line, phone)));
            it.sign(phone.mac, phone.created_at);
            it.sign(phone.mac, phone.fetched_at.unwrap_or(phone.created_at));
        }
        for one in &facts.registrations {
            it.register(one);
        }
        for all in it.by_number.values_mut() {
            newest_first(all);
        }
        it
    }

    fn register(&mut self, one: &'f Registered) {
        self.by_number.entry(one.number).or_default().push(one);
        let Some((mac, _)) =
            one.mac.or_else(|| Some((self.by_line.get(&one.number)?.mac, Source::Provisioning)))
        else {
            return;
        };
        self.sign(mac, if one.present { self.now } else { one.last_seen });
        if one.present && one.mac.is_some() {
            self.numbers.entry(mac).or_default().insert(one.number);
            if let (Some(address), None) = (one.address, one.via) {
                self.devices.entry(address).or_default().insert(mac);
            }
        }
    }

    fn sign(&mut self, mac: Mac, at: Timestamp) {
        let last = self.signs.entry(mac).or_insert(at);
        *last = at.max(*last);
    }

    /// The map, in the order of its places, one line at a time: there may be tens of thousands.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        let numbers: BTreeSet<ExtensionNumber> =
            self.facts.people.keys().chain(self.by_number.keys()).copied().collect();
        let mut without: Vec<&PhoneFacts> =
            self.facts.phones.iter().filter(|phone| phone.lines.is_empty()).collect();
        without.sort_by_key(|phone| phone.mac);
        let lines = numbers.into_iter().flat_map(move |number| self.of_number(number));
        lines.chain(without.into_iter().map(move |phone| self.bare(phone)))
    }

    fn of_number(&self, number: ExtensionNumber) -> Vec<Row> {
        match self.by_number.get(&number) {
            None => vec![self.row(number, 0, None)],
            Some(all) => {
                all.iter().enumerate().map(|(n, one)| self.row(number, n, Some(one))).collect()
            }
        }
    }

    fn row(&self, number: ExtensionNumber, n: usize, one: Option<&Registered>) -> Row {
        let line = self.by_line.get(&number).copied();
        // What another device left behind says nothing of the phone that has the line.
        let others = |one: &&Registered| {
            let mac = one.mac.map(|(mac, _)| mac);
            !one.present && line.is_some_and(|line| mac.is_some_and(|mac| mac != line.mac))
        };
        let one = one.filter(|one| !others(one));
        let mac = one.and_then(|one| one.mac);
        let phone = match mac {
            Some((mac, _)) => self.by_mac.get(&mac).copied(),
            None => line,
        };
        let person = self.facts.people.get(&number);
        let mut row = self.of_phone(phone);
        row.place = format!("1:{number:0>8}:{n:0>4}", number = number.to_string());
        row.number = Some(number);
        row.user = person.map(|person| person.id);
        row.name = person.map(|person| person.name.clone()).unwrap_or_default();
        if let Some((mac, source)) = mac {
            (row.mac, row.source) = (Some(mac), Some(source));
        }
        if let Some(one) = one {
            row.address = one.address;
            row.via = one.via;
            row.user_agent.clone_from(&one.user_agent);
            row.contact.clone_from(&one.contact);
            row.present = one.present;
            row.first_seen = Some(one.first_seen);
            row.seen_at = row.seen_at.max(Some(one.last_seen));
            row.expires_at = one.expires_at;
        }
        row.subnet =
            row.address.or(row.fixed).and_then(|address| self.subnet(address)).or(row.subnet);
        row.flags = self.flags(&row, one, phone);
        row
    }

    /// A phone without a line.
    fn bare(&self, phone: &PhoneFacts) -> Row {
        let mut row = self.of_phone(Some(phone));
        row.place = format!("2:{}", phone.mac.hex());
        row.subnet = row.fixed.and_then(|address| self.subnet(address)).or(row.subnet);
        row.flags = self.flags(&row, None, Some(phone));
        row
    }

    /// What the phone itself says to a line.
    fn of_phone(&self, phone: Option<&PhoneFacts>) -> Row {
        let text =
            |of: fn(&PhoneFacts) -> &String| phone.map(|p| of(p).clone()).unwrap_or_default();
        Row {
            place: String::new(),
            number: None,
            user: None,
            name: String::new(),
            mac: phone.map(|phone| phone.mac),
            source: None,
            known: phone.is_some(),
            vendor: text(|phone| &phone.vendor),
            model: text(|phone| &phone.model),
            kind: text(|phone| &phone.kind),
            label: text(|phone| &phone.label),
            address: None,
            via: None,
            fixed: phone.and_then(|phone| phone.fixed),
            subnet: phone.and_then(|phone| phone.subnet).and_then(|id| self.named(id)),
            user_agent: String::new(),
            contact: String::new(),
            present: false,
            first_seen: None,
            seen_at: phone.and_then(|phone| phone.fetched_at),
            expires_at: None,
            flags: Flags::default(),
        }
    }

    fn flags(&self, row: &Row, one: Option<&Registered>, phone: Option<&PhoneFacts>) -> Flags {
        let mut flags = Flags::default();
        if let Some(one) = one.filter(|one| one.present) {
            let mac = one.mac.map(|(mac, _)| mac);
            if mac.is_none_or(|mac| !self.by_mac.contains_key(&mac)) {
                flags.raise(Flag::Unknown);
            }
            let device = mac.and_then(|mac| self.by_mac.get(&mac));
            if device.is_some_and(|device| !device.lines.contains(&one.number)) {
                flags.raise(Flag::Other);
            }
            if let Some(fixed) = row.fixed
                && ![one.address, one.via].contains(&Some(fixed))
            {
                flags.raise(Flag::Moved);
            }
            if mac.is_some_and(|mac| self.is_on_too_many(mac)) {
                flags.raise(Flag::SharedMac);
            }
            let there = one.address.and_then(|address| self.devices.get(&address));
            if one.via.is_none() && there.is_some_and(|devices| devices.len() > 1) {
                flags.raise(Flag::SharedAddress);
            }
        }
        if self.is_silent(one, phone) {
            flags.raise(Flag::Silent);
        }
        flags
    }

    /// Whether a device is registered as several numbers, not all of them lines of its own.
    fn is_on_too_many(&self, mac: Mac) -> bool {
        let Some(numbers) = self.numbers.get(&mac).filter(|numbers| numbers.len() > 1) else {
            return false;
        };
        let lines = self.by_mac.get(&mac).map(|phone| phone.lines.as_slice()).unwrap_or_default();
        numbers.iter().any(|number| !lines.contains(number))
    }

    fn is_silent(&self, one: Option<&Registered>, phone: Option<&PhoneFacts>) -> bool {
        if one.is_some_and(|one| one.present) {
            return false;
        }
        let (sign, days) = match (phone, one) {
            (Some(phone), _) => (self.signs.get(&phone.mac).copied(), phone.silent_days),
            (None, Some(one)) => (Some(one.last_seen), self.facts.silent_days),
            (None, None) => (None, 0),
        };
        sign.is_some_and(|sign| self.now.since(sign) > days * DAY)
    }

    /// The smallest subnet an address is in.
    fn subnet(&self, address: Address) -> Option<(SubnetId, String)> {
        let subnets = &self.facts.subnets;
        let after = subnets.partition_point(|place| place.first <= address);
        let before = subnets.get(..after)?.iter().rev();
        let place = before.into_iter().find(|place| address <= place.last)?;
        Some((place.id, place.name.clone()))
    }

    fn named(&self, id: SubnetId) -> Option<(SubnetId, String)> {
        let place = self.places.get(&id)?;
        Some((place.id, place.name.clone()))
    }
}

/// Those registered, or else only the one that was so last.
fn newest_first(all: &mut Vec<&Registered>) {
    all.sort_by(|a, b| {
        (b.present, b.last_seen, &a.contact).cmp(&(a.present, a.last_seen, &b.contact))
    });
    let present = all.iter().filter(|one| one.present).count();
    all.truncate(present.max(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000);

    fn number(n: i64) -> ExtensionNumber {
        n.try_into().unwrap()
    }

    fn registered(n: i64, address: &str, mac: &str) -> Registered {
        Registered {
            number: number(n),
            contact: format!("sip:{n}@{address}"),
            address: Some(address.parse().unwrap()),
            via: None,
            user_agent: String::new(),
            mac: mac.parse().ok().map(|mac| (mac, Source::UserAgent)),
            present: true,
            first_seen: NOW,
            last_seen: NOW,
            expires_at: None,
        }
    }

    fn phone(mac: &str, lines: &[i64]) -> PhoneFacts {
        PhoneFacts {
            mac: mac.parse().unwrap(),
            vendor: "yealink".into(),
            model: "t46s".into(),
            kind: "phone".into(),
            label: String::new(),
            subnet: None,
            fixed: None,
            created_at: NOW,
            fetched_at: None,
            silent_days: 7,
            lines: lines.iter().map(|n| number(*n)).collect(),
        }
    }

    fn rows(facts: &Facts, now: Timestamp) -> Vec<Row> {
        Deriving::new(facts, now).rows().collect()
    }

    fn flags(facts: &Facts, now: Timestamp) -> Vec<(String, Vec<&'static str>)> {
        let flags = |row: Row| (row.place, row.flags.iter().map(Flag::name).collect());
        rows(facts, now).into_iter().map(flags).collect()
    }

    const A: &str = "001565000001";
    const B: &str = "001565000002";

    #[test]
    fn phones_behind_one_router_are_not_two_machines_at_one_address() {
        let via = |n: i64, mac: &str, own: &str| {
            let via = Some(own.parse().unwrap());
            Registered { via, ..registered(n, "198.51.100.7", mac) }
        };
        let mut facts = Facts { silent_days: 7, ..Facts::default() };
        facts.phones = vec![phone(A, &[1000]), phone(B, &[1001])];
        facts.registrations = vec![via(1000, A, "10.0.0.1"), via(1001, B, "10.0.0.2")];
        assert!(flags(&facts, NOW).iter().all(|(_, flags)| flags.is_empty()));
        facts.registrations =
            vec![registered(1000, "198.51.100.7", A), registered(1001, "198.51.100.7", B)];
        assert!(flags(&facts, NOW).iter().all(|(_, flags)| flags == &["shared-address"]));
    }

    #[test]
    fn a_phone_behind_a_router_is_at_its_static_address_when_it_says_so() {
        let mut facts = Facts { silent_days: 7, ..Facts::default() };
        facts.phones = vec![PhoneFacts { fixed: "10.0.0.1".parse().ok(), ..phone(A, &[1000]) }];
        let there = registered(1000, "198.51.100.7", A);
        facts.registrations = vec![Registered { via: "10.0.0.1".parse().ok(), ..there.clone() }];
        assert_eq!(flags(&facts, NOW)[0].1, Vec::<&str>::new());
        facts.registrations = vec![there];
        assert_eq!(flags(&facts, NOW)[0].1, ["moved"]);
    }

    #[test]
    fn lines_of_one_phone_are_not_too_many_numbers() {
        let mut facts = Facts { silent_days: 7, ..Facts::default() };
        facts.phones = vec![phone(A, &[1000, 1001])];
        facts.registrations =
            vec![registered(1000, "10.0.0.1", A), registered(1001, "10.0.0.1", A)];
        assert!(flags(&facts, NOW).iter().all(|(_, flags)| flags.is_empty()));
        facts.registrations.push(registered(1002, "10.0.0.1", A));
        let flagged: Vec<Vec<&str>> = flags(&facts, NOW).into_iter().map(|(_, f)| f).collect();
        assert_eq!(
            flagged,
            [vec!["shared-mac"], vec!["shared-mac"], vec!["shared-mac", "other-phone"]]
        );
    }

    #[test]
    fn a_line_that_registers_is_a_sign_of_the_whole_phone() {
        let mut facts = Facts { silent_days: 7, ..Facts::default() };
        facts.phones = vec![phone(A, &[1000, 1001]), phone(B, &[])];
        let later = NOW.plus(8 * DAY);
        facts.registrations = vec![registered(1000, "10.0.0.1", A)];
        let silent: Vec<(String, Vec<&str>)> = flags(&facts, later);
        let expected: [&[&str]; 2] = [&[], &["silent"]];
        assert_eq!(silent.len(), 2, "a line nobody has is no row: {silent:?}");
        assert_eq!([silent[0].1.as_slice(), silent[1].1.as_slice()], expected);
        assert_eq!(flags(&facts, NOW.plus(7 * DAY))[1].1, Vec::<&str>::new());
    }

    #[test]
    fn lines_come_in_the_order_of_their_places() {
        let mut facts = Facts { silent_days: 7, ..Facts::default() };
        facts.phones = vec![phone(B, &[]), phone(A, &[])];
        facts.registrations = (0..12)
            .map(|n| Registered {
                contact: format!("sip:{n}@10.0.0.1"),
                last_seen: NOW.plus(n),
                ..registered(if n == 0 { 20_000 } else { 1_000 }, "10.0.0.1", "")
            })
            .collect();
        let places: Vec<String> = rows(&facts, NOW).into_iter().map(|row| row.place).collect();
        assert_eq!(places.len(), 14);
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn the_smallest_subnet_around_an_address_is_its() {
        let place = |id: u128, first: &str, last: &str| Place {
            id: SubnetId::from(uuid::Uuid::from_u128(id)),
            name: id.to_string(),
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
        };
        let facts = Facts {
            subnets: vec![
                place(1, "10.0.0.0", "10.255.255.255"),
                place(2, "10.0.0.0", "10.0.255.255"),
                place(3, "10.0.1.0", "10.0.1.255"),
            ],
            registrations: ["10.0.1.5", "10.0.2.5", "10.9.0.1", "192.0.2.1"]
                .iter()
                .zip(1000..)
                .map(|(address, n)| registered(n, address, ""))
                .collect(),
            ..Facts::default()
        };
        let names: Vec<String> = rows(&facts, NOW)
            .into_iter()
            .map(|row| row.subnet.map(|(_, name)| name).unwrap_or_default())
            .collect();
        assert_eq!(names, ["3", "2", "1", ""]);
    }
}
