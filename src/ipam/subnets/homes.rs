//! Where addresses in use belong while subnets are moved about, and what is noted of that.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::types::Subnet;
use super::{Outcome, label, queries};
use crate::audit::Event;
use crate::id::SubnetId;
use crate::ipam::space::Space;
use crate::net::{self, Address, Range};

/// Which subnet each address in use belongs to, while subnets are moved about.
#[derive(Default)]
pub(super) struct Homes {
    ranges: Vec<Range>,
    before: Vec<(Address, Option<SubnetId>)>,
}

impl Homes {
    pub(super) async fn of(space: &mut Space<'_>, ranges: &[Range]) -> Outcome<Self> {
        let ranges = net::normalised(ranges.to_vec());
        let mut before = Vec::new();
        let tenant = space.tenant();
        for range in &ranges {
            before.extend(queries::homes(space.tx(), tenant, *range).await?);
        }
        Ok(Self { ranges, before })
    }

    /// The addresses of one subnet.
    pub(super) fn of_subnet(&self, id: SubnetId) -> Vec<Address> {
        let own = self.before.iter().filter(|(_, home)| *home == Some(id));
        own.map(|(address, _)| *address).collect()
    }

    /// Notes for each address that belongs elsewhere now, in its own history, where it went.
    pub(super) async fn tell(self, space: &mut Space<'_>, known: &[Subnet]) -> Outcome<()> {
        const AT_ONCE: usize = 1_000;
        let tenant = space.tenant();
        let mut names: HashMap<SubnetId, Known> =
            known.iter().map(|subnet| (subnet.id, Known::of(subnet))).collect();
        let asterisk = Told::of(space).await?;
        let mut told = 0;
        let mut before = self.before.into_iter();
        for range in self.ranges {
            for (address, now) in queries::homes(space.tx(), tenant, range).await? {
                let was = before.find(|(known, _)| *known == address).and_then(|(_, was)| was);
                if was == now {
                    continue;
                }
                let from = Self::name(space, &mut names, was).await?;
                let to = Self::name(space, &mut names, now).await?;
                let action = if now.is_none() { "address.orphaned" } else { "address.moved" };
                let event = Event::new(action, &address, &address);
                let event = event.before(json!({ "subnet": from.label }));
                let event = event.after(json!({ "subnet": to.label }));
                space.record(asterisk.event(event, &from.site, &to.site));
                told += 1;
                if told % AT_ONCE == 0 {
                    space.flush().await?;
                }
            }
        }
        Ok(())
    }

    /// What a subnet is called, asked for once.
    async fn name(
        space: &mut Space<'_>,
        names: &mut HashMap<SubnetId, Known>,
        id: Option<SubnetId>,
    ) -> Outcome<Known> {
        let Some(id) = id else { return Ok(Known::called("no subnet")) };
        if let Some(name) = names.get(&id) {
            return Ok(name.clone());
        }
        let tenant = space.tenant();
        let found = queries::get(space.tx(), tenant, id).await?;
        let name = found.map_or_else(|| Known::called("a deleted subnet"), |s| Known::of(&s));
        names.insert(id, name.clone());
        Ok(name)
    }
}

/// What is told of a subnet that an address left or came to.
#[derive(Clone)]
struct Known {
    label: String,
    site: String,
}

impl Known {
    fn of(subnet: &Subnet) -> Self {
        Self { label: label(subnet), site: subnet.site.key() }
    }

    fn called(label: &str) -> Self {
        Self { label: label.to_owned(), site: String::new() }
    }
}

/// The sites at which phones have Asterisk told something.
pub(super) struct Told(BTreeSet<String>);

impl Told {
    pub(super) async fn of(space: &mut Space<'_>) -> Outcome<Self> {
        let tenant = space.tenant();
        Ok(Self(queries::sites_told_of(space.tx(), tenant).await?))
    }

    /// What is noted of phones that stand at another site now.
    pub(super) fn event(&self, event: Event, from: &str, to: &str) -> Event {
        let concerns = from != to && (self.0.contains(from) || self.0.contains(to));
        if concerns { event.affects_asterisk() } else { event }
    }
}
