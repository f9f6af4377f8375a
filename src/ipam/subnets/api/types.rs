//! What subnets look like in JSON.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::api::Problem;
use crate::id::SubnetId;
use crate::ipam::subnets::{
    DnsServers, Effects, Pool, Pools, Spec, Subnet, SubnetName, Usage, Vlan,
};
use crate::net::{Address, Cidr, Range};
use crate::text::Line;

/// How many addresses of a subnet, and of those inside it, are what. IPv6 has numbers larger than
/// some readers of JSON hold exactly.
#[derive(Serialize, ToSchema)]
pub struct SubnetCounts {
    /// Everything somebody or something may have.
    #[schema(value_type = u64)]
    pub total: i128,
    /// In static pools and held by nobody.
    #[schema(value_type = u64)]
    pub free: i128,
    /// Held.
    #[schema(value_type = u64)]
    pub used: i128,
    /// Kept, with a note.
    #[schema(value_type = u64)]
    pub reserved: i128,
    /// Out of use.
    #[schema(value_type = u64)]
    pub quarantine: i128,
    /// Free for a DHCP server to give.
    #[schema(value_type = u64)]
    pub dhcp_free: i128,
    /// How much of the total is not free, in hundredths.
    pub utilisation: i64,
}

impl From<&Usage> for SubnetCounts {
    fn from(usage: &Usage) -> Self {
        Self {
            total: usage.total(),
            free: usage.free,
            used: usage.used,
            reserved: usage.reserved,
            quarantine: usage.quarantine,
            dhcp_free: usage.dhcp,
            utilisation: usage.utilisation(),
        }
    }
}

/// A subnet.
#[derive(Serialize, ToSchema)]
pub struct ApiSubnet {
    /// Its id, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub id: SubnetId,
    /// What it is called.
    pub name: String,
    /// Its addresses.
    #[schema(value_type = String, example = "10.20.5.0/24")]
    pub cidr: Cidr,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Its VLAN.
    pub vlan: Option<i64>,
    /// Its router.
    #[schema(value_type = Option<String>)]
    pub gateway: Option<Address>,
    /// Where it is.
    pub site: String,
    /// Whom its machines ask for names.
    #[schema(value_type = Vec<String>)]
    pub dns: Vec<Address>,
    /// What else there is to say.
    pub description: String,
    /// The smallest subnet around it, a UUID.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub parent_id: Option<SubnetId>,
    /// Which addresses are given by hand; null: every usable one that DHCP does not have.
    #[schema(value_type = Option<Vec<String>>)]
    pub static_pools: Option<Vec<Range>>,
    /// Which addresses a DHCP server gives; null: what the static pools leave.
    #[schema(value_type = Option<Vec<String>>)]
    pub dhcp_pools: Option<Vec<Range>>,
    /// Which addresses nobody is given.
    #[schema(value_type = Vec<String>)]
    pub excluded: Vec<Range>,
    /// Its addresses, those of subnets inside included.
    pub counts: SubnetCounts,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl ApiSubnet {
    /// A subnet with what is laid down of it and its counts.
    pub fn new(subnet: &Subnet, spec: Spec, usage: &Usage) -> Self {
        let these = |pools| match pools {
            Pools::Rest => None,
            Pools::These(ranges) => Some(ranges),
        };
        Self {
            id: subnet.id,
            name: subnet.name.to_string(),
            cidr: subnet.cidr,
            family: subnet.cidr.family().to_string(),
            vlan: subnet.vlan.map(Vlan::as_i64),
            gateway: subnet.gateway,
            site: subnet.site.to_string(),
            dns: subnet.dns.0.clone(),
            description: subnet.description.to_string(),
            parent_id: subnet.parent,
            static_pools: these(spec.statics),
            dhcp_pools: these(spec.dhcp),
            excluded: spec.excluded,
            counts: usage.into(),
            created_at: subnet.created_at.to_string(),
            updated_at: subnet.updated_at.to_string(),
        }
    }
}

/// A page of subnets.
#[derive(Serialize, ToSchema)]
pub struct SubnetList {
    /// The subnets of this page, in the order of their addresses.
    pub subnets: Vec<ApiSubnet>,
    /// How many match in all.
    pub total: i64,
    /// This page, from 1.
    pub page: i64,
    /// Subnets a page.
    pub size: i64,
}

/// A subnet to be made, or all that is laid down of one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiSubnet {
    /// Unique in the tenant whatever its case: 1 to 100 characters.
    #[schema(example = "Voice Berlin")]
    name: String,
    /// Its addresses.
    #[schema(example = "10.20.5.0/24")]
    cidr: String,
    /// 1 to 4094.
    vlan: Option<i64>,
    /// Inside, and never given out.
    gateway: Option<String>,
    /// Where it is.
    #[serde(default)]
    site: String,
    /// Addresses, in their order.
    #[serde(default)]
    dns: Vec<String>,
    /// What else there is to say.
    #[serde(default)]
    description: String,
    /// Ranges given by hand; null: every usable address that DHCP does not have; []: none.
    static_pools: Option<Vec<String>>,
    /// Ranges a DHCP server gives; null: what the static pools leave; []: none.
    dhcp_pools: Option<Vec<String>>,
    /// Ranges nobody is given.
    #[serde(default)]
    excluded: Vec<String>,
    /// It is meant to lie inside or around others.
    #[serde(default)]
    pub nest: bool,
    /// Do it although addresses in use lose by it.
    #[serde(default)]
    pub force: bool,
    /// Only say what it would do.
    #[serde(default)]
    pub dry_run: bool,
}

type Errors = BTreeMap<String, String>;

/// Parses a field; its error joins the others.
fn field<T: FromStr<Err: Display>>(name: &str, text: &str, errors: &mut Errors) -> Option<T> {
    text.parse().map_err(|error: T::Err| errors.insert(name.to_owned(), error.to_string())).ok()
}

fn many<T: FromStr<Err: Display>>(name: &str, texts: &[String], errors: &mut Errors) -> Vec<T> {
    texts.iter().filter_map(|text| field(name, text.trim(), errors)).collect()
}

fn pools(name: &str, texts: Option<Vec<String>>, errors: &mut Errors) -> Pools {
    texts.map_or(Pools::Rest, |texts| Pools::These(many(name, &texts, errors)))
}

fn vlan(number: Option<i64>, errors: &mut Errors) -> Option<Vlan> {
    let vlan: Result<Vlan, _> = number?.try_into();
    vlan.map_err(|error| errors.insert("vlan".to_owned(), error.to_string())).ok()
}

impl NewApiSubnet {
    /// What is laid down.
    pub fn parse(self) -> Result<Spec, Problem> {
        let mut errors = Errors::new();
        let name = field::<SubnetName>("name", &self.name, &mut errors);
        let cidr = field::<Cidr>("cidr", &self.cidr, &mut errors);
        let vlan = vlan(self.vlan, &mut errors);
        let gateway = self.gateway.and_then(|text| field("gateway", &text, &mut errors));
        let site = field::<Line<100>>("site", &self.site, &mut errors).unwrap_or_default();
        let dns = DnsServers(many("dns", &self.dns, &mut errors));
        let description = field::<Line<500>>("description", &self.description, &mut errors);
        let statics = pools("static_pools", self.static_pools, &mut errors);
        let dhcp = pools("dhcp_pools", self.dhcp_pools, &mut errors);
        let excluded = many("excluded", &self.excluded, &mut errors);
        match (name, cidr) {
            (Some(name), Some(cidr)) if errors.is_empty() => Ok(Spec {
                name,
                cidr,
                vlan,
                gateway,
                site,
                dns,
                description: description.unwrap_or_default(),
                statics,
                dhcp,
                excluded,
            }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// A field that is there, even if it is null.
fn there<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// What is to be different; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "left out and null are two things here")]
pub struct SubnetPatch {
    /// The new name.
    name: Option<String>,
    /// The new addresses.
    cidr: Option<String>,
    /// The new VLAN; null: none.
    #[serde(default, deserialize_with = "there")]
    #[schema(value_type = Option<i64>)]
    vlan: Option<Option<i64>>,
    /// The new router; null: none.
    #[serde(default, deserialize_with = "there")]
    #[schema(value_type = Option<String>)]
    gateway: Option<Option<String>>,
    /// The new place.
    site: Option<String>,
    /// The new DNS servers.
    dns: Option<Vec<String>>,
    /// The new description.
    description: Option<String>,
    /// The new static pools; null: every usable address that DHCP does not have.
    #[serde(default, deserialize_with = "there")]
    #[schema(value_type = Option<Vec<String>>)]
    static_pools: Option<Option<Vec<String>>>,
    /// The new DHCP pools; null: what the static pools leave.
    #[serde(default, deserialize_with = "there")]
    #[schema(value_type = Option<Vec<String>>)]
    dhcp_pools: Option<Option<Vec<String>>>,
    /// The new exclusions.
    excluded: Option<Vec<String>>,
    /// It is meant to lie inside or around others.
    #[serde(default)]
    pub nest: bool,
    /// Do it although addresses in use lose by it.
    #[serde(default)]
    pub force: bool,
    /// Only say what it would do.
    #[serde(default)]
    pub dry_run: bool,
}

impl SubnetPatch {
    /// Writes what is to be different into `spec`.
    pub fn write_to(self, mut spec: Spec) -> Result<Spec, Problem> {
        let mut errors = Errors::new();
        let it = &mut errors;
        let text = |name: &str, text: Option<String>, errors: &mut Errors| {
            text.and_then(|text| field::<Line<500>>(name, &text, errors))
        };
        spec.name = self.name.and_then(|text| field("name", &text, it)).unwrap_or(spec.name);
        spec.cidr = self.cidr.and_then(|text| field("cidr", &text, it)).unwrap_or(spec.cidr);
        spec.site = self.site.and_then(|text| field("site", &text, it)).unwrap_or(spec.site);
        spec.description = text("description", self.description, it).unwrap_or(spec.description);
        if let Some(number) = self.vlan {
            spec.vlan = vlan(number, it);
        }
        if let Some(gateway) = self.gateway {
            spec.gateway = gateway.and_then(|text| field("gateway", &text, it));
        }
        if let Some(dns) = self.dns {
            spec.dns = DnsServers(many("dns", &dns, it));
        }
        if let Some(statics) = self.static_pools {
            spec.statics = pools("static_pools", statics, it);
        }
        if let Some(dhcp) = self.dhcp_pools {
            spec.dhcp = pools("dhcp_pools", dhcp, it);
        }
        if let Some(excluded) = self.excluded {
            spec.excluded = many("excluded", &excluded, it);
        }
        if errors.is_empty() { Ok(spec) } else { Err(Problem::invalid(errors)) }
    }
}

/// What a change did to addresses in use.
#[derive(Serialize, ToSchema)]
pub struct SubnetEffects {
    /// Those that lie in no subnet now.
    pub orphaned: Vec<String>,
    /// Those that are no longer in the pool they are given from.
    pub stranded: Vec<String>,
    /// Those that are a network or broadcast address, or the gateway, now.
    pub forbidden: Vec<String>,
    /// How many went to which subnet.
    pub moved: Vec<SubnetMoved>,
    /// How many more there are than are listed.
    pub more: usize,
}

/// Addresses that belong to another subnet now.
#[derive(Serialize, ToSchema)]
pub struct SubnetMoved {
    /// Its name and CIDR.
    pub subnet: String,
    /// How many.
    pub count: i64,
}

impl From<Effects> for SubnetEffects {
    fn from(effects: Effects) -> Self {
        let Effects { orphaned, stranded, forbidden, moved, more } = effects;
        let moved = moved.into_iter().map(|(subnet, count)| SubnetMoved { subnet, count });
        Self { orphaned, stranded, forbidden, moved: moved.collect(), more }
    }
}

/// The answer to a deletion.
#[derive(Serialize, ToSchema)]
pub struct DeletedSubnet {
    /// What is gone, a UUID.
    #[schema(value_type = String, format = Uuid)]
    pub deleted_subnet_id: SubnetId,
    /// What it did to addresses in use.
    pub effects: SubnetEffects,
    /// Whether nothing was deleted, because it was only asked what it would do.
    pub dry_run: bool,
}

/// How a subnet is to be split.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetSplit {
    /// The prefix length of the pieces.
    #[schema(example = 26)]
    pub length: u8,
    /// Do it although addresses in use lose by it.
    #[serde(default)]
    pub force: bool,
    /// Only say what it would do.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which subnets are to become one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetMerge {
    /// Their ids: they lie beside each other and together are one block.
    #[schema(value_type = Vec<String>)]
    pub ids: Vec<SubnetId>,
    /// Do it although addresses in use lose by it.
    #[serde(default)]
    pub force: bool,
    /// Only say what it would do.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer to a split, a merger or a dry run.
#[derive(Serialize, ToSchema)]
pub struct ReshapedSubnets {
    /// The subnets that came of it.
    pub subnets: Vec<ApiSubnet>,
    /// What it did to addresses in use.
    pub effects: SubnetEffects,
    /// Whether nothing was changed, because it was only asked what it would do.
    pub dry_run: bool,
}

/// Blocks no subnet has.
#[derive(Serialize, ToSchema)]
pub struct FreeBlocks {
    /// The lowest first.
    #[schema(value_type = Vec<String>)]
    pub free: Vec<Cidr>,
}

/// The pools of a subnet as they were computed.
#[derive(Serialize, ToSchema)]
pub struct SubnetPools {
    /// In the order of their addresses.
    pub pools: Vec<ApiPool>,
}

/// A pool.
#[derive(Serialize, ToSchema)]
pub struct ApiPool {
    /// Its id, a UUID.
    pub id: String,
    /// `static`, `dhcp` or `excluded`.
    pub kind: String,
    /// Its first address.
    #[schema(value_type = String)]
    pub first: Address,
    /// Its last address.
    #[schema(value_type = String)]
    pub last: Address,
    /// How many addresses it has.
    #[schema(value_type = u64)]
    pub size: u128,
    /// Whether it was computed rather than laid down.
    pub computed: bool,
}

impl From<&Pool> for ApiPool {
    fn from(pool: &Pool) -> Self {
        Self {
            id: pool.id.to_string(),
            kind: pool.kind.as_str().to_owned(),
            first: pool.range.first(),
            last: pool.range.last(),
            size: pool.range.size(),
            computed: pool.derived,
        }
    }
}

/// The map of a block of a subnet: its addresses, or blocks of one size.
#[derive(Serialize, ToSchema)]
pub struct SubnetMap {
    /// The block.
    #[schema(value_type = String)]
    pub block: Cidr,
    /// Every address, if there are at most 1,024.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<SubnetMapAddress>,
    /// At most 256 blocks, if there are more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<SubnetMapBlock>,
}

/// An address on the map.
#[derive(Serialize, ToSchema)]
pub struct SubnetMapAddress {
    /// Which.
    #[schema(value_type = String)]
    pub address: Address,
    /// A status, `dhcp`, what it is instead (such as `gateway`), or `in no pool`.
    pub status: String,
    /// Whose it is, or why.
    pub note: String,
    /// Whether two claim it.
    pub conflict: bool,
}

/// A block on the map.
#[derive(Serialize, ToSchema)]
pub struct SubnetMapBlock {
    /// Its addresses.
    #[schema(value_type = String)]
    pub cidr: Cidr,
    /// What they are.
    pub counts: SubnetCounts,
}
