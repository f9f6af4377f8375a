//! The calls.

use reqwest::Method;
use serde_json::{Value, json};

use super::record::{Found, Record, Stored};
use crate::net::{Cidr, Family};
use crate::outside::fault::quoted;
use crate::outside::guard::Allowed;
use crate::outside::http::{Answer, Authorities, BaseUrl, Credentials, Reach, Resolver, Server};
use crate::outside::{Fault, Key, Leased};

/// Objects of a page.
const PAGE: usize = 200;
/// Objects read at most. With more nothing is compared: what was not read is not missing.
const MOST: usize = 1_000_000;
/// Characters of the blocks one call asks about: with the rest of the address there are less than
/// 2,000, which every server takes.
const ASKED: usize = 1_600;
/// Blocks whose prefixes are asked for one by one. Of more the whole list is shorter.
const BLOCKS: usize = 50;

/// NetBox, and the tag that marks what is a tenant's.
#[derive(Debug)]
pub struct Client {
    server: Server,
    tag: String,
}

/// What NetBox says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub String);

impl Client {
    /// Looks the server up. `tag` is the slug under which the tenant's objects are.
    pub async fn open(
        url: &BaseUrl,
        token: &Key,
        authorities: &Authorities,
        tag: &str,
        allowed: &Allowed,
        resolver: &Resolver,
    ) -> Result<Self, Fault> {
        // Tokens of version 2 say so themselves (NetBox 4.5).
        let scheme = if token.expose().starts_with("nbt_") { "Bearer" } else { "Token" };
        let credentials = Credentials::Header(Key::from(format!("{scheme} {}", token.expose())));
        let reach = Reach { allowed, resolver, ports: super::PORTS, kind: "NetBox" };
        let server = Server::open(url, credentials, authorities, &reach).await?;
        Ok(Self { server, tag: tag.to_owned() })
    }

    /// What it is called in messages.
    pub fn name(&self) -> String {
        self.server.name()
    }

    /// Its version.
    pub async fn version(&self) -> Result<Version, Fault> {
        let answer = self.server.ask(Method::GET, "/api/status/", None).await?;
        let version = self.good(answer)?;
        let version = version.get("netbox-version").and_then(Value::as_str);
        Ok(Version(quoted(version.ok_or_else(|| self.server.garbage())?)))
    }

    async fn has_tag(&self) -> Result<bool, Fault> {
        let path = format!("/api/extras/tags/?slug={}", self.tag);
        Ok(!self.list(&path).await?.0.is_empty())
    }

    /// Makes the tag if there is none.
    pub async fn see_to_tag(&self) -> Result<(), Fault> {
        if self.has_tag().await? {
            return Ok(());
        }
        let tag = json!({ "name": self.tag, "slug": self.tag, "description": "Kept by Patchbay" });
        let answer = self.server.ask(Method::POST, "/api/extras/tags/", Some(&tag)).await?;
        self.good(answer).map(drop)
    }

    /// Sees to it that NetBox says what `record` does. `known` is the id it had.
    pub async fn set(&self, record: &Record, known: Option<i64>) -> Result<Stored, Fault> {
        let path = Record::path(record.leased);
        if let Some(there) = self.find(record.leased, known).await? {
            let Some(difference) = record.difference(&there) else {
                return Ok(Stored { id: Some(there.id), changed: false });
            };
            let answer = self
                .server
                .ask(Method::PATCH, &format!("{path}{}/", there.id), Some(&difference))
                .await?;
            self.good(answer)?;
            return Ok(Stored { id: Some(there.id), changed: true });
        }
        let mut answer =
            self.server.ask(Method::POST, path, Some(&record.whole(&self.tag))).await?;
        if answer.status == 400 && answer.body.get("tags").is_some() {
            // The tag is gone, or was never there.
            self.see_to_tag().await?;
            answer = self.server.ask(Method::POST, path, Some(&record.whole(&self.tag))).await?;
        }
        let made = self.good(answer)?;
        let id = made.get("id").and_then(Value::as_i64).ok_or_else(|| self.server.garbage())?;
        Ok(Stored { id: Some(id), changed: true })
    }

    /// Sees to it that NetBox has it no more.
    pub async fn remove(&self, leased: Leased, known: Option<i64>) -> Result<Stored, Fault> {
        let Some(there) = self.find(leased, known).await? else {
            return Ok(Stored { id: None, changed: false });
        };
        let path = format!("{}{}/", Record::path(leased), there.id);
        let answer = self.server.ask(Method::DELETE, &path, None).await?;
        if answer.status != 404 {
            self.good(answer)?;
        }
        Ok(Stored { id: None, changed: true })
    }

    /// Everything under the tag.
    pub async fn all(&self) -> Result<Vec<Found>, Fault> {
        let (mut found, query) = (Vec::new(), format!("tag={}", self.tag));
        for kind in ["ip-addresses", "prefixes"] {
            self.read(kind, &query, &mut found).await?;
        }
        Ok(found)
    }

    /// Everything in these blocks that is not under the tag, and of prefixes perhaps some elsewhere.
    pub async fn besides(&self, blocks: &[Cidr]) -> Result<Vec<Found>, Fault> {
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        // A tag that is not there is no valid choice, and nothing is under it. The filters of
        // fields that name other objects may be negated by `__n`
        // (<https://netboxlabs.com/docs/netbox/reference/filtering/>).
        let but =
            if self.has_tag().await? { format!("&tag__n={}", self.tag) } else { String::new() };
        let mut found = Vec::new();
        for query in addresses_in(blocks) {
            self.read("ip-addresses", &format!("{query}{but}"), &mut found).await?;
        }
        for query in prefixes_in(blocks) {
            self.read("prefixes", &format!("{query}{but}"), &mut found).await?;
        }
        found.retain(|found| !found.tags.contains(&self.tag));
        Ok(found)
    }

    /// Reads every page of a list.
    async fn read(&self, kind: &str, query: &str, found: &mut Vec<Found>) -> Result<(), Fault> {
        let mut offset = 0;
        loop {
            let path = format!("/api/ipam/{kind}/?{query}&limit={PAGE}&offset={offset}");
            let (objects, more) = self.list(&path).await?;
            for object in &objects {
                match Found::of(object) {
                    Some(one) => found.push(one),
                    None if Found::is_mapped(object) => {}
                    None => return Err(self.server.garbage()),
                }
            }
            // It may give fewer at once than it is asked for.
            offset += objects.len();
            match more {
                false => return Ok(()),
                true if objects.is_empty() => return Err(self.server.garbage()),
                true if found.len().max(offset) >= MOST => return Err(self.too_many()),
                true => {}
            }
        }
    }

    fn too_many(&self) -> Fault {
        Fault::Never(format!(
            "{} has more than {MOST} addresses and prefixes; so many cannot be compared",
            self.name()
        ))
    }

    /// By its id, if that still is the same thing of ours; else by address and tag.
    async fn find(&self, leased: Leased, known: Option<i64>) -> Result<Option<Found>, Fault> {
        let path = Record::path(leased);
        if let Some(id) = known {
            let answer = self.server.ask(Method::GET, &format!("{path}{id}/"), None).await?;
            if answer.status != 404 {
                let there = Found::of(&self.good(answer)?).ok_or_else(|| self.server.garbage())?;
                if there.leased == leased && there.tags.contains(&self.tag) {
                    return Ok(Some(there));
                }
            }
        }
        let (key, value) = match leased {
            Leased::Address(address) => ("address", address.to_string()),
            Leased::Delegated(prefix) => ("prefix", prefix.to_string()),
        };
        let query = serde_html_form::to_string([(key, value.as_str()), ("tag", &self.tag)])
            .unwrap_or_default();
        let (objects, _) = self.list(&format!("{path}?{query}")).await?;
        let mut found = objects.iter().filter_map(Found::of).filter(|found| found.leased == leased);
        // A lost answer to a POST may have left two: the older one is kept in step.
        Ok(found.by_ref().min_by_key(|found| found.id))
    }

    async fn list(&self, path: &str) -> Result<(Vec<Value>, bool), Fault> {
        let answer = self.server.ask(Method::GET, path, None).await?;
        if answer.status == 400 && answer.body.get("tag").is_some() {
            // A tag that is not there is no valid choice to NetBox; nothing is under it.
            return Ok((Vec::new(), false));
        }
        let body = self.good(answer)?;
        let results =
            body.get("results").and_then(Value::as_array).ok_or_else(|| self.server.garbage())?;
        Ok((results.clone(), body.get("next").is_some_and(Value::is_string)))
    }

    /// The body of an answer that is not a failure.
    fn good(&self, answer: Answer) -> Result<Value, Fault> {
        match answer.status {
            200..=299 => Ok(answer.body),
            400 => {
                // The names of the fields NetBox objects to are ours; its sentences are not repeated.
                const FIELDS: [&str; 7] =
                    ["address", "prefix", "status", "description", "dns_name", "tags", "slug"];
                let named: Vec<&str> =
                    FIELDS.into_iter().filter(|field| answer.body.get(*field).is_some()).collect();
                let hint = if named.contains(&"address") || named.contains(&"prefix") {
                    " It may have one of its own already: give that one the tag, or remove it."
                } else {
                    ""
                };
                let what =
                    if named.is_empty() { "what it was sent".to_owned() } else { named.join(", ") };
                Err(Fault::Said(format!("{} does not take {what}.{hint}", self.name())))
            }
            404 => Err(Fault::Never(format!(
                "{} has no REST interface of NetBox there; check the address",
                self.name()
            ))),
            status => Err(Fault::Status(self.name(), status)),
        }
    }
}

/// What asks for the addresses in blocks, several blocks at a time. `parent` may be named more than
/// once, and an address is in a block whatever its own mask is (`IPAddressFilterSet` of
/// `netbox/ipam/filtersets.py`; of several values of a filter any is enough,
/// <https://netboxlabs.com/docs/netbox/reference/filtering/>).
fn addresses_in(blocks: &[Cidr]) -> Vec<String> {
    let mut queries: Vec<String> = Vec::new();
    for block in blocks {
        let named = format!("parent={block}");
        match queries.last_mut() {
            Some(query) if query.len() + named.len() < ASKED => {
                query.push('&');
                query.push_str(&named);
            }
            _ => queries.push(named),
        }
    }
    queries
}

/// What asks for the prefixes that are a block or in one. `within_include` takes a single value
/// (`PrefixFilterSet`, as above): with very many blocks every prefix is read that is not larger than
/// the largest block, so that there are never more calls than pages of that list, and a few.
fn prefixes_in(blocks: &[Cidr]) -> Vec<String> {
    if blocks.len() <= BLOCKS {
        return blocks.iter().map(|block| format!("within_include={block}")).collect();
    }
    let of = |family: Family, number: u8| {
        let lengths =
            blocks.iter().filter(|block| block.family() == family).map(|block| block.length());
        lengths.min().map(|least| format!("family={number}&mask_length__gte={least}"))
    };
    [of(Family::V4, 4), of(Family::V6, 6)].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_many_blocks_are_asked_for_in_few_short_calls() {
        let blocks: Vec<Cidr> =
            (0..200).map(|n| format!("2001:db8:{n:x}:ffff::/64").parse().unwrap()).collect();
        let queries = addresses_in(&blocks);
        assert!(queries.iter().all(|query| query.len() < ASKED));
        let asked: Vec<&str> = queries.iter().flat_map(|query| query.split('&')).collect();
        let named: Vec<String> = blocks.iter().map(|block| format!("parent={block}")).collect();
        assert_eq!(asked, named);
        assert!(queries.len() < 10, "{}", queries.len());
        assert_eq!(addresses_in(&[]), [""; 0]);
    }

    #[test]
    fn prefixes_of_very_many_blocks_are_one_list_for_each_family() {
        let mut blocks: Vec<Cidr> =
            (0..50).map(|n| format!("10.{n}.0.0/24").parse().unwrap()).collect();
        assert_eq!(prefixes_in(&blocks).len(), 50);
        assert_eq!(prefixes_in(&blocks)[3], "within_include=10.3.0.0/24");
        blocks.push("172.16.0.0/20".parse().unwrap());
        assert_eq!(prefixes_in(&blocks), ["family=4&mask_length__gte=20"]);
        blocks.push("2001:db8::/48".parse().unwrap());
        let both = ["family=4&mask_length__gte=20", "family=6&mask_length__gte=48"];
        assert_eq!(prefixes_in(&blocks), both);
    }
}
