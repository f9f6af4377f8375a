//! The calls.

use reqwest::Method;
use serde_json::{Value, json};

use super::record::{Found, Record, Stored};
use crate::outside::fault::quoted;
use crate::outside::guard::Allowed;
use crate::outside::http::{Answer, Authorities, BaseUrl, Credentials, Reach, Resolver, Server};
use crate::outside::{Fault, Key, Leased};

/// Objects of a page.
const PAGE: usize = 200;
/// Objects of a kind read at most. With more nothing is compared: what was not read is not missing.
const MOST: usize = 1_000_000;

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

    /// Makes the tag if there is none.
    pub async fn see_to_tag(&self) -> Result<(), Fault> {
        let path = format!("/api/extras/tags/?slug={}", self.tag);
        if !self.list(&path).await?.0.is_empty() {
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
        let mut found = Vec::new();
        for kind in ["ip-addresses", "prefixes"] {
            let mut offset = 0;
            loop {
                let path =
                    format!("/api/ipam/{kind}/?tag={}&limit={PAGE}&offset={offset}", self.tag);
                let (objects, more) = self.list(&path).await?;
                for object in &objects {
                    found.push(Found::of(object).ok_or_else(|| self.server.garbage())?);
                }
                // It may give fewer at once than it is asked for.
                offset += objects.len();
                match more {
                    false => break,
                    true if objects.is_empty() => return Err(self.server.garbage()),
                    true if offset >= MOST => return Err(self.too_many(kind)),
                    true => {}
                }
            }
        }
        Ok(found)
    }

    fn too_many(&self, kind: &str) -> Fault {
        let (name, tag) = (self.name(), &self.tag);
        Fault::Never(format!(
            "{name} has more than {MOST} {kind} under the tag {tag}; so many cannot be compared"
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
