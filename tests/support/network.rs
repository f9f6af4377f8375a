//! Subnets, addresses and hosts made through the same operations as the pages use.

use patchbay::audit::{Actor, Via};
use patchbay::id::{HostId, SubnetId};
use patchbay::ipam::addresses::{self, Holder, HolderKind, Purpose, Reserver, Tenure, Wish};
use patchbay::ipam::hosts;
use patchbay::ipam::space::{Source, Space};
use patchbay::ipam::subnets::{self, Spec};
use patchbay::state::State;
use patchbay::time::Timestamp;

/// One change, in `name`'s name.
pub async fn change<T>(
    state: &State,
    name: &str,
    work: impl AsyncFnOnce(&mut Space<'_>) -> T,
) -> T {
    let actor = Actor::local(name, Via::CommandLine);
    let mut change = state.change(&actor).await.unwrap();
    let mut space = Space::open(&mut change, state.vault.entropy()).await.unwrap();
    let done = work(&mut space).await;
    space.close().await.unwrap();
    change.commit().await.unwrap();
    done
}

/// A subnet, whatever lies in it.
pub async fn subnet(space: &mut Space<'_>, name: &str, cidr: &str, site: &str) -> SubnetId {
    let mut spec = Spec::new(name.parse().unwrap(), cidr.parse().unwrap());
    spec.site = site.parse().unwrap();
    subnets::create(space, &spec, true, true).await.unwrap().id
}

/// The next `count` addresses of a subnet, kept by `who`.
pub async fn reserve(
    space: &mut Space<'_>,
    subnet: SubnetId,
    count: u32,
    who: &str,
    note: &str,
    until: Option<Timestamp>,
) -> Vec<String> {
    let wish = Wish::Next { count, contiguous: false };
    let purpose = Purpose::Reserve { note: note.parse().unwrap(), until };
    let by = Reserver { name: who.to_owned(), anybodys: true };
    let taken = addresses::take(space, Source::Subnet(subnet), &wish, &purpose, &by).await;
    taken.unwrap().into_iter().map(|record| record.address.to_string()).collect()
}

/// The next `count` addresses of a subnet, held by somebody Patchbay does not know.
pub async fn allocate(space: &mut Space<'_>, subnet: SubnetId, count: u32, holder: &str) {
    let id = holder.to_owned();
    let holder = Holder { kind: HolderKind::External, id, name: holder.to_owned() };
    let wish = Wish::Next { count, contiguous: false };
    let purpose = Purpose::Allocate(Tenure::of(holder));
    let by = Reserver { name: "tester".to_owned(), anybodys: true };
    addresses::take(space, Source::Subnet(subnet), &wish, &purpose, &by).await.unwrap();
}

/// A host with this address.
pub async fn host(space: &mut Space<'_>, name: &str, address: &str) -> HostId {
    let spec = hosts::Spec {
        hostname: name.parse().unwrap(),
        primary_ip: Some(address.parse().unwrap()),
        nic_mac: None,
        bmc_ip: None,
        bmc_mac: None,
        device_type: "".parse().unwrap(),
        manufacturer: "".parse().unwrap(),
        description: "".parse().unwrap(),
    };
    hosts::create(space, &spec).await.unwrap().host.id
}
