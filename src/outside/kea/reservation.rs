//! Reservations and leases.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::control::{Answer, Channel};
use crate::net::{Address, Cidr, Family, Mac};
use crate::outside::fault::quoted;
use crate::outside::{Fault, Leased};
use crate::secrets::{hex, unhex};

/// By what a DHCP server knows a machine again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identifier {
    /// The address of its interface.
    Mac(Mac),
    /// A DHCPv6 client's own: 1 to 130 octets (RFC 8415 section 11).
    Duid(Vec<u8>),
}

/// Neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write mac:00:15:65:aa:bb:cc or duid:0001…")]
pub struct BadIdentifier;

impl Identifier {
    fn kind(&self) -> &'static str {
        match self {
            Self::Mac(_) => "hw-address",
            Self::Duid(_) => "duid",
        }
    }

    fn value(&self) -> String {
        match self {
            Self::Mac(mac) => mac.to_string(),
            Self::Duid(bytes) => hex(bytes),
        }
    }

    fn of(object: &Value) -> Option<Self> {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        if let Some(mac) = text("hw-address") {
            return mac.parse().ok().map(Self::Mac);
        }
        text("duid").and_then(|duid| unhex(&duid.replace(':', ""))).map(Self::Duid)
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => write!(f, "mac:{mac}"),
            Self::Duid(bytes) => write!(f, "duid:{}", hex(bytes)),
        }
    }
}

impl FromStr for Identifier {
    type Err = BadIdentifier;

    fn from_str(text: &str) -> Result<Self, BadIdentifier> {
        if let Some(mac) = text.strip_prefix("mac:") {
            return mac.parse().map(Self::Mac).map_err(|_| BadIdentifier);
        }
        let bytes = text.strip_prefix("duid:").and_then(unhex).ok_or(BadIdentifier)?;
        if (1..=130).contains(&bytes.len()) { Ok(Self::Duid(bytes)) } else { Err(BadIdentifier) }
    }
}

impl Serialize for Identifier {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a machine is always to get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// What.
    pub leased: Leased,
    /// Which machine.
    pub identifier: Identifier,
    /// What it is told that it is called; may be empty.
    pub hostname: String,
}

/// A subnet the server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its number in Kea.
    pub id: i64,
    /// Its addresses.
    pub prefix: Cidr,
}

/// A reservation Kea has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its subnet's number.
    pub subnet: i64,
    /// For which machine; none if Kea knows it by something else.
    pub identifier: Option<Identifier>,
    /// The addresses and prefixes.
    pub leased: Vec<Leased>,
    /// What the machine is told.
    pub hostname: String,
    /// Whose it is: the tenant's word, if Patchbay made it.
    pub mark: Option<String>,
}

/// A lease Kea has given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is leased.
    pub leased: Leased,
    /// To which machine, as Kea writes it.
    pub machine: String,
    /// The interface, if Kea knows it.
    pub mac: Option<Mac>,
    /// What it calls itself.
    pub hostname: String,
    /// When it was last given, seconds since 1970.
    pub since: i64,
    /// For how many seconds.
    pub lifetime: i64,
    /// Kea's word for its state.
    pub state: &'static str,
}

/// What had to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// A reservation was written.
    Written,
    /// It was taken back.
    Removed,
    /// Everything was so already.
    Already,
    /// Kea serves no subnet around it.
    NoSubnet,
    /// Nothing yet: the machine has this reserved in the same subnet, where it can have one.
    Elsewhere(Leased),
}

/// What is read of a server's configuration; the reservations in it are passed over.
#[derive(Deserialize)]
struct Configuration {
    #[serde(rename = "Dhcp4")]
    v4: Option<Server>,
    #[serde(rename = "Dhcp6")]
    v6: Option<Server>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Server {
    #[serde(alias = "subnet4", alias = "subnet6")]
    subnets: Vec<Served>,
    #[serde(rename = "shared-networks")]
    networks: Vec<Network>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Network {
    #[serde(alias = "subnet4", alias = "subnet6")]
    subnets: Vec<Served>,
}

#[derive(Deserialize)]
struct Served {
    id: Option<i64>,
    subnet: Option<String>,
}

impl Channel {
    /// The server's version.
    pub async fn version(&self) -> Result<String, Fault> {
        match self.command("version-get", Value::Null).await? {
            // The short version stands in the text; the long one tells that it is Kea.
            Answer::Done(Some(arguments)) if arguments.get("extended").is_some() => {
                let extended =
                    arguments.get("extended").and_then(Value::as_str).unwrap_or_default();
                Ok(quoted(extended.split_whitespace().next().unwrap_or_default()))
            }
            _ => Err(self.garbage()),
        }
    }

    /// The commands it knows.
    pub async fn commands(&self) -> Result<Vec<String>, Fault> {
        let list = self.must("list-commands", Value::Null).await?;
        let list = list.as_ref().and_then(Value::as_array).ok_or_else(|| self.garbage())?;
        Ok(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Every subnet it serves, from its configuration.
    pub async fn subnets(&self) -> Result<Vec<Subnet>, Fault> {
        let configuration: Configuration = self.configuration().await?;
        let server = match self.family {
            Family::V4 => configuration.v4,
            Family::V6 => configuration.v6,
        };
        let server = server.ok_or_else(|| self.garbage())?;
        let shared = server.networks.into_iter().flat_map(|network| network.subnets);
        let parsed = server.subnets.into_iter().chain(shared).filter_map(|served| {
            Some(Subnet { id: served.id?, prefix: served.subnet?.parse().ok()? })
        });
        Ok(parsed.collect())
    }

    /// Every reservation of one subnet.
    pub async fn reservations(&self, subnet: i64) -> Result<Vec<Made>, Fault> {
        const AT_ONCE: usize = 1_000;
        let (mut all, mut from, mut source) = (Vec::new(), 0, 0);
        loop {
            let asked = json!({ "subnet-id": subnet, "limit": AT_ONCE, "from": from, "source-index": source });
            let Some(page) = self.must("reservation-get-page", asked).await? else {
                return Ok(all);
            };
            let hosts =
                page.get("hosts").and_then(Value::as_array).ok_or_else(|| self.garbage())?;
            all.extend(hosts.iter().filter_map(made));
            let next = page.get("next");
            let place = |key: &str| next.and_then(|next| next.get(key)).and_then(Value::as_i64);
            match (place("from"), place("source-index")) {
                (Some(f), Some(s)) if (f, s) != (from, source) => (from, source) = (f, s),
                _ => return Ok(all),
            }
        }
    }

    async fn reserved(&self, mut asked: Value, subnet: i64) -> Result<Option<Made>, Fault> {
        if let Some(asked) = asked.as_object_mut() {
            asked.insert("subnet-id".into(), subnet.into());
            asked.insert("operation-target".into(), "all".into());
        }
        match self.must("reservation-get", asked).await? {
            None => Ok(None),
            Some(found) => made(&found).map(Some).ok_or_else(|| self.garbage()),
        }
    }

    /// Who has the address reserved.
    async fn reserved_at(&self, leased: Leased, subnet: i64) -> Result<Option<Made>, Fault> {
        match leased {
            Leased::Address(address) => {
                self.reserved(json!({ "ip-address": address.to_string() }), subnet).await
            }
            // Kea finds hosts by address only: prefixes are looked for among all of the subnet.
            Leased::Delegated(_) => {
                let all = self.reservations(subnet).await?;
                Ok(all.into_iter().find(|made| made.leased.contains(&leased)))
            }
        }
    }

    /// What the machine has reserved.
    async fn reserved_for(
        &self,
        identifier: &Identifier,
        subnet: i64,
    ) -> Result<Option<Made>, Fault> {
        let asked =
            json!({ "identifier-type": identifier.kind(), "identifier": identifier.value() });
        self.reserved(asked, subnet).await
    }

    async fn add(&self, wanted: &Reservation, subnet: i64, mark: &str) -> Result<(), Fault> {
        let mut reservation = json!({
            "subnet-id": subnet,
            wanted.identifier.kind(): wanted.identifier.value(),
            "hostname": wanted.hostname,
            "user-context": { "patchbay": mark },
        });
        let (key, value) = match (wanted.leased, self.digit()) {
            (Leased::Address(address), '4') => ("ip-address", json!(address.to_string())),
            (Leased::Address(address), _) => ("ip-addresses", json!([address.to_string()])),
            (Leased::Delegated(prefix), _) => ("prefixes", json!([prefix.to_string()])),
        };
        if let Some(reservation) = reservation.as_object_mut() {
            reservation.insert(key.to_owned(), value);
        }
        let asked =
            |target: &str| json!({ "reservation": reservation, "operation-target": target });
        // A database of hosts outlives a restart. Without one they stand in memory, and the next
        // look at Kea writes those anew that a restart lost.
        let mut answer = self.command("reservation-add", asked("database")).await?;
        if matches!(&answer, Answer::Refused(text) if text.contains("not available")) {
            answer = self.command("reservation-add", asked("memory")).await?;
        }
        match answer {
            Answer::Done(_) => Ok(()),
            Answer::Refused(text) => {
                // A request that a network repeats finds done what it asks for.
                let there = self.reserved_at(wanted.leased, subnet).await?;
                if there.is_some_and(|there| there.is(wanted, mark)) {
                    return Ok(());
                }
                Err(Fault::Declined(format!("{} refuses the reservation: {text}", self.name())))
            }
            Answer::UnknownCommand => self.done("reservation-add", answer).map(drop),
            Answer::Nothing => Err(self.garbage()),
        }
    }

    async fn remove(&self, made: &Made) -> Result<(), Fault> {
        let Some(identifier) = &made.identifier else { return Err(self.garbage()) };
        let asked = json!({
            "subnet-id": made.subnet,
            "identifier-type": identifier.kind(),
            "identifier": identifier.value(),
            "operation-target": "all",
        });
        self.must("reservation-del", asked).await.map(drop)
    }

    /// A page of leases behind `after` (`None` is from the beginning).
    pub async fn leases(&self, after: Option<Address>, limit: u32) -> Result<Vec<Lease>, Fault> {
        let from = after.map_or_else(|| "start".to_owned(), |address| address.to_string());
        let command = format!("lease{}-get-page", self.digit());
        let page = self.must(&command, json!({ "from": from, "limit": limit })).await?;
        let Some(page) = page else { return Ok(Vec::new()) };
        let list = page.get("leases").and_then(Value::as_array).ok_or_else(|| self.garbage())?;
        Ok(list.iter().filter_map(lease).collect())
    }

    async fn lease_at(&self, leased: Leased) -> Result<Option<Lease>, Fault> {
        let command = format!("lease{}-get", self.digit());
        let found = self.must(&command, lease_of(leased)).await?;
        found.map(|found| lease(&found).ok_or_else(|| self.garbage())).transpose()
    }

    /// Ends a lease. Whether there was one.
    pub async fn end_lease(&self, leased: Leased) -> Result<bool, Fault> {
        let command = format!("lease{}-del", self.digit());
        Ok(self.must(&command, lease_of(leased)).await?.is_some())
    }
}

fn lease_of(leased: Leased) -> Value {
    match leased {
        Leased::Address(address) => json!({ "ip-address": address.to_string() }),
        Leased::Delegated(prefix) => {
            json!({ "ip-address": prefix.network().to_string(), "type": "IA_PD" })
        }
    }
}

impl Made {
    /// Whether it is what is wanted, and ours.
    fn is(&self, wanted: &Reservation, mark: &str) -> bool {
        self.identifier.as_ref() == Some(&wanted.identifier)
            && self.leased == [wanted.leased]
            && self.hostname == wanted.hostname
            && self.mark.as_deref() == Some(mark)
    }
}

/// Sees to it that `wanted` is reserved, whatever was before. `had` are the machines that may have
/// had it before, whose lease ends. Only if the machine `moves` it loses another reservation in the
/// same subnet.
pub async fn reserve(
    kea: &Channel,
    subnets: &[Subnet],
    wanted: &Reservation,
    (had, moves): (&[Identifier], bool),
    mark: &str,
) -> Result<Settled, Fault> {
    let Some(subnet) = around(subnets, wanted.leased) else { return Ok(Settled::NoSubnet) };
    let there = kea.reserved_at(wanted.leased, subnet.id).await?;
    if there.as_ref().is_some_and(|there| there.is(wanted, mark)) {
        evict(kea, wanted, had).await?;
        return Ok(Settled::Already);
    }
    if let Some(there) = &there {
        ours(kea, there, wanted.leased, mark)?;
    }
    let other = kea.reserved_for(&wanted.identifier, subnet.id).await?;
    if let Some(other) = other.filter(|other| there.as_ref() != Some(other)) {
        ours(kea, &other, wanted.leased, mark)?;
        match other.leased.first() {
            Some(leased) if !moves => return Ok(Settled::Elsewhere(*leased)),
            _ => kea.remove(&other).await?,
        }
    }
    if let Some(there) = &there {
        kea.remove(there).await?;
    }
    kea.add(wanted, subnet.id, mark).await?;
    let there = there.and_then(|there| there.identifier);
    let had: Vec<Identifier> = had.iter().cloned().chain(there).collect();
    evict(kea, wanted, &had).await?;
    Ok(Settled::Written)
}

/// Another machine that had the address has it leased no longer.
async fn evict(kea: &Channel, now: &Reservation, had: &[Identifier]) -> Result<(), Fault> {
    let others: Vec<&Identifier> = had.iter().filter(|had| **had != now.identifier).collect();
    if !others.is_empty()
        && let Some(lease) = kea.lease_at(now.leased).await?
        && others.into_iter().any(|other| belongs(&lease, other))
    {
        kea.end_lease(now.leased).await?;
    }
    Ok(())
}

/// Sees to it that the machines that may have `leased` have it neither reserved nor leased. What is
/// another's meanwhile stays; if nothing is known of them, whoever Patchbay reserved it for is meant.
pub async fn release(
    kea: &Channel,
    subnets: &[Subnet],
    leased: Leased,
    had: &[Identifier],
    mark: &str,
) -> Result<Settled, Fault> {
    let Some(subnet) = around(subnets, leased) else { return Ok(Settled::NoSubnet) };
    let mut settled = Settled::Already;
    let mut whose = had.to_vec();
    if let Some(there) = kea.reserved_at(leased, subnet.id).await?
        && there.mark.as_deref() == Some(mark)
        && (had.is_empty() || there.identifier.as_ref().is_some_and(|there| had.contains(there)))
    {
        kea.remove(&there).await?;
        whose.extend(there.identifier);
        settled = Settled::Removed;
    }
    if let Some(lease) = kea.lease_at(leased).await?
        && whose.iter().any(|whose| belongs(&lease, whose))
    {
        kea.end_lease(leased).await?;
        settled = Settled::Removed;
    }
    Ok(settled)
}

fn belongs(lease: &Lease, to: &Identifier) -> bool {
    match to {
        Identifier::Mac(mac) => lease.mac == Some(*mac),
        Identifier::Duid(duid) => unhex(&lease.machine.replace(':', "")).as_ref() == Some(duid),
    }
}

fn ours(kea: &Channel, there: &Made, leased: Leased, mark: &str) -> Result<(), Fault> {
    if there.mark.as_deref() == Some(mark) {
        return Ok(());
    }
    let whose = there.identifier.as_ref().map(ToString::to_string).unwrap_or_default();
    Err(Fault::Never(format!(
        "{} has a reservation for {whose} that Patchbay did not make, in the way of {leased}; remove it there, then try again",
        kea.name()
    )))
}

/// The smallest subnet around it.
fn around(subnets: &[Subnet], leased: Leased) -> Option<Subnet> {
    // A delegated prefix lies outside the subnet whose clients get it: with one subnet it is that.
    let inside = subnets.iter().filter(|subnet| subnet.prefix.contains(leased.first()));
    let smallest = inside.max_by_key(|subnet| subnet.prefix.length());
    match (smallest, leased, subnets) {
        (Some(subnet), ..) => Some(*subnet),
        (None, Leased::Delegated(_), [only]) => Some(*only),
        _ => None,
    }
}

fn made(host: &Value) -> Option<Made> {
    let text = |key: &str| host.get(key).and_then(Value::as_str);
    let several = |key: &str| host.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let one = text("ip-address").filter(|address| *address != "0.0.0.0");
    let more: Vec<Value> = several("ip-addresses").into_iter().chain(several("prefixes")).collect();
    let all = one.into_iter().chain(more.iter().filter_map(Value::as_str));
    Some(Made {
        subnet: host.get("subnet-id").and_then(Value::as_i64)?,
        identifier: Identifier::of(host),
        leased: all.filter_map(|text| text.parse().ok()).collect(),
        hostname: text("hostname").unwrap_or_default().to_owned(),
        mark: host
            .get("user-context")
            .and_then(|context| context.get("patchbay"))
            .and_then(Value::as_str)
            .map(str::to_owned),
    })
}

fn lease(object: &Value) -> Option<Lease> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| object.get(key).and_then(Value::as_i64);
    let address: Address = text("ip-address").parse().ok()?;
    let leased = match (text("type"), number("prefix-len")) {
        ("IA_PD", Some(length)) => {
            Leased::Delegated(Cidr::new(address, u8::try_from(length).ok()?).ok()?)
        }
        _ => Leased::Address(address),
    };
    let mac: Option<Mac> = text("hw-address").parse().ok();
    let duid = text("duid");
    Some(Lease {
        leased,
        machine: if duid.is_empty() { quoted(text("hw-address")) } else { quoted(duid) },
        mac,
        hostname: quoted(text("hostname")),
        since: number("cltt").unwrap_or(0),
        lifetime: number("valid-lft").unwrap_or(0),
        state: match number("state") {
            Some(1) => "declined",
            Some(2) => "reclaimed",
            Some(3) => "released",
            _ => "in use",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_come_back_from_their_text() {
        for text in ["mac:00:15:65:aa:bb:cc", "duid:000100012a2b"] {
            assert_eq!(text.parse::<Identifier>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "mac:",
            "duid:",
            "duid:0",
            "00:15:65:aa:bb:cc",
            &format!("duid:{}", "00".repeat(131)),
        ] {
            assert!(bad.parse::<Identifier>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_smallest_subnet_counts() {
        let subnets = [(1, "10.0.0.0/8"), (2, "10.1.0.0/16"), (3, "10.2.0.0/16")];
        let subnets = subnets.map(|(id, prefix)| Subnet { id, prefix: prefix.parse().unwrap() });
        let at = |text: &str| around(&subnets, text.parse().unwrap()).map(|subnet| subnet.id);
        assert_eq!([at("10.1.2.3"), at("10.9.0.1"), at("11.0.0.1")], [Some(2), Some(1), None]);
    }

    #[test]
    fn what_kea_shows_is_read() {
        let host = json!({ "subnet-id": 7, "hw-address": "02:00:00:00:00:01", "ip-address": "10.0.0.5",
            "hostname": "h1", "user-context": { "patchbay": "default" } });
        let read = made(&host).unwrap();
        assert_eq!(read.leased, ["10.0.0.5".parse().unwrap()]);
        assert_eq!(read.mark.as_deref(), Some("default"));
        let v6 = json!({ "subnet-id": 1, "duid": "00:01:00:01", "ip-addresses": ["2001:db8::5"],
            "prefixes": ["2001:db8:5::/56"] });
        let read = made(&v6).unwrap();
        assert_eq!(read.identifier, Some(Identifier::Duid(vec![0, 1, 0, 1])));
        assert_eq!(read.leased.len(), 2);
    }
}
