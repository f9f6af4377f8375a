//! Making and changing a subnet.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::find_one;
use crate::auth::Operator;
use crate::id::SubnetId;
use crate::ipam::space::Space;
use crate::ipam::subnets::{
    self, DnsServers, Effects, Pools, Refusal, Spec, Subnet, SubnetName, Vlan,
};
use crate::net::{self, Address, BadCidr, BadRange, Cidr, Range};
use crate::text::Line;
use crate::web::form::{Field, Form, Tick};
use crate::web::{Answer, Error, Shell, flash, invalid, ok, respond};

/// Ranges, or none.
struct Ranges(Vec<Range>);

impl std::str::FromStr for Ranges {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        if text.trim() == "none" { Ok(Self(Vec::new())) } else { net::parse_ranges(text).map(Self) }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SubnetForm {
    name: Field,
    cidr: Field,
    vlan: Field,
    gateway: Field,
    site: Field,
    dns: Field,
    description: Field,
    static_pools: Field,
    dhcp_pools: Field,
    excluded: Field,
    version: i64,
    /// It is meant to lie inside or around others.
    nest: Tick,
    /// Whoever loses by it loses.
    force: Tick,
    /// Only to see what it would do.
    check: Tick,
    /// The button with the corrected CIDR was pressed.
    corrected: String,
}

impl SubnetForm {
    fn of(spec: &Spec, version: i64) -> Self {
        let optional = |value: Option<String>| Field::holding(&value.unwrap_or_default());
        Self {
            name: Field::holding(&spec.name),
            cidr: Field::holding(&spec.cidr),
            vlan: optional(spec.vlan.map(|vlan| vlan.to_string())),
            gateway: optional(spec.gateway.map(|gateway| gateway.to_string())),
            site: Field::holding(&spec.site),
            dns: Field::holding(&spec.dns),
            description: Field::holding(&spec.description),
            static_pools: Field::holding(&subnets::show(&spec.statics)),
            dhcp_pools: Field::holding(&subnets::show(&spec.dhcp)),
            excluded: Field::holding(&net::show_ranges(&spec.excluded)),
            version,
            ..Self::default()
        }
    }

    /// Parses every field before giving up, so that every error shows at once.
    fn parse(&mut self) -> Option<Spec> {
        if !self.corrected.is_empty() {
            self.cidr = Field::from(std::mem::take(&mut self.corrected));
        }
        let name = self.name.parse::<SubnetName>();
        let cidr = self.cidr.parse::<Cidr>();
        let vlan = self.vlan.parse_optional::<Vlan>();
        let gateway = self.gateway.parse_optional::<Address>();
        let site = self.site.parse::<Line<100>>();
        let dns = self.dns.parse::<DnsServers>();
        let description = self.description.parse::<Line<500>>();
        let statics = self.static_pools.parse::<Pools>();
        let dhcp = self.dhcp_pools.parse::<Pools>();
        let excluded = self.excluded.parse::<Ranges>();
        Some(Spec {
            name: name?,
            cidr: cidr?,
            vlan: vlan?,
            gateway: gateway?,
            site: site?,
            dns: dns?,
            description: description?,
            statics: statics?,
            dhcp: dhcp?,
            excluded: excluded?.0,
        })
    }

    /// What was probably meant by the CIDR.
    fn correction(&self) -> Option<String> {
        match self.cidr.value.parse::<Cidr>() {
            Err(BadCidr::HostBits { corrected, .. }) => Some(corrected.to_string()),
            Err(BadCidr::NoLength { example }) => Some(example.to_string()),
            _ => None,
        }
    }

    fn field(&mut self, name: &str) -> &mut Field {
        match name {
            "cidr" => &mut self.cidr,
            "gateway" => &mut self.gateway,
            "static_pools" => &mut self.static_pools,
            "dhcp_pools" => &mut self.dhcp_pools,
            "excluded" => &mut self.excluded,
            _ => &mut self.name,
        }
    }
}

/// What the page says above the form.
enum Said {
    Nothing,
    /// A check went through: this is what would happen.
    Checked(Effects),
    /// Somebody would lose by it.
    Harm(Effects),
    /// It lies inside or around others.
    Overlaps(String),
    /// What somebody else made of it meanwhile.
    Theirs(Box<Spec>),
}

#[derive(Template)]
#[template(path = "ipam/subnets/form.html")]
struct FormPage {
    shell: Shell,
    /// The subnet being changed; none for a new one.
    old: Option<Subnet>,
    form: SubnetForm,
    said: Said,
    sites: Vec<String>,
}

impl FormPage {
    async fn new(
        by: &Operator,
        old: Option<Subnet>,
        form: SubnetForm,
        said: Said,
    ) -> Result<Self, Error> {
        let mut tx = by.read().await?;
        let sites = subnets::sites(&mut tx, by.tenant()).await?;
        Ok(Self { shell: by.shell(&mut tx, super::PATH).await?, old, form, said, sites })
    }

    fn action(&self) -> String {
        match &self.old {
            Some(subnet) => format!("{}/{}", super::PATH, subnet.id),
            None => super::PATH.to_owned(),
        }
    }

    fn back(&self) -> String {
        self.action()
    }
}

/// What may be filled in beforehand.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NewQuery {
    cidr: String,
    site: String,
    vlan: String,
    /// The suggestion lies inside another subnet, and is meant to.
    nest: Tick,
}

pub(super) async fn new(by: Operator, query: web::Query<NewQuery>) -> Answer {
    let NewQuery { cidr, site, vlan, nest } = query.into_inner();
    let form = SubnetForm {
        cidr: Field::from(cidr),
        site: Field::from(site),
        vlan: Field::from(vlan),
        nest,
        ..SubnetForm::default()
    };
    ok(&FormPage::new(&by, None, form, Said::Nothing).await?)
}

pub(super) async fn create(by: Operator, form: Form<SubnetForm>) -> Answer {
    let mut form = form.0;
    let Some(spec) = form.parse() else {
        return invalid(&FormPage::new(&by, None, form, Said::Nothing).await?);
    };
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let made = subnets::create_told(&mut space, &spec, form.nest.0, form.force.0).await;
    match made {
        Ok((_, effects)) if form.check.0 => {
            drop(space);
            drop(change);
            ok(&FormPage::new(&by, None, form, Said::Checked(effects)).await?)
        }
        Ok((subnet, _)) => {
            space.close().await?;
            change.commit().await?;
            let path = format!("{}/{}", super::PATH, subnet.id);
            Ok(flash::done(&path, format!("{} created", subnet.cidr)))
        }
        Err(refusal) => {
            drop(space);
            drop(change);
            refuse(&by, None, form, refusal).await
        }
    }
}

/// The form again, with what stands in the way.
async fn refuse(
    by: &Operator,
    old: Option<Subnet>,
    mut form: SubnetForm,
    refusal: Refusal,
) -> Answer {
    let (status, said) = match refusal {
        Refusal::Missing => return Err(Error::NotFound),
        Refusal::Fault(error) => return Err(error),
        Refusal::Harm(effects) => (StatusCode::CONFLICT, Said::Harm(effects)),
        Refusal::Overlaps { others, .. } => {
            form.cidr.reject(&format!("overlaps {others}"));
            (StatusCode::CONFLICT, Said::Overlaps(others))
        }
        Refusal::Stale(theirs) => {
            let mut tx = by.read().await?;
            let pools = subnets::pools(&mut tx, theirs.id).await?;
            // Saving once more is then meant to overwrite what was shown.
            form.version = theirs.version;
            let spec = subnets::spec(&theirs, &pools);
            (StatusCode::PRECONDITION_FAILED, Said::Theirs(Box::new(spec)))
        }
        refusal => {
            let field = refusal.field().unwrap_or("name");
            form.field(field).reject(&refusal);
            (StatusCode::UNPROCESSABLE_ENTITY, Said::Nothing)
        }
    };
    respond(status, &FormPage::new(by, old, form, said).await?)
}

pub(super) async fn edit(by: Operator, id: web::Path<SubnetId>) -> Answer {
    let mut tx = by.read().await?;
    let subnet = find_one(&mut tx, &by, *id).await?;
    let pools = subnets::pools(&mut tx, subnet.id).await?;
    drop(tx);
    let form = SubnetForm::of(&subnets::spec(&subnet, &pools), subnet.version);
    ok(&FormPage::new(&by, Some(subnet), form, Said::Nothing).await?)
}

pub(super) async fn update(
    by: Operator,
    id: web::Path<SubnetId>,
    form: Form<SubnetForm>,
) -> Answer {
    let mut form = form.0;
    let old = find_one(&mut by.read().await?, &by, *id).await?;
    let Some(spec) = form.parse() else {
        return invalid(&FormPage::new(&by, Some(old), form, Said::Nothing).await?);
    };
    let mut change = by.change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let (version, nest, force) = (Some(form.version), form.nest.0, form.force.0);
    match subnets::update(&mut space, *id, version, &spec, nest, force).await {
        Ok((_, effects)) if form.check.0 => {
            drop(space);
            drop(change);
            ok(&FormPage::new(&by, Some(old), form, Said::Checked(effects)).await?)
        }
        Ok((subnet, _)) => {
            space.close().await?;
            let changed = change.commit_if_any().await?;
            let path = format!("{}/{}", super::PATH, subnet.id);
            Ok(flash::done_if(changed, &path, "Saved"))
        }
        Err(refusal) => {
            drop(space);
            drop(change);
            refuse(&by, Some(old), form, refusal).await
        }
    }
}
