//! The pages and calls about addresses.

use patchbay::auth::Role;
use patchbay::id::TenantId;
use patchbay::ipam::addresses::{self, Holder, HolderKind, Purpose, Reserver, Tenure};
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Pools, Spec};

use crate::support::app::{Answer, TestApp, both_databases, next, tester};

/// A subnet with static addresses `.10` to `.19`, the gateway `.1`, and DHCP for what is left.
async fn office(app: &TestApp) -> String {
    let mut spec = Spec::new("Voice Berlin".parse().unwrap(), "10.20.5.0/24".parse().unwrap());
    spec.gateway = Some("10.20.5.1".parse().unwrap());
    spec.statics = Pools::These(vec!["10.20.5.10-10.20.5.19".parse().unwrap()]);
    subnet(app, &spec).await
}

async fn subnet(app: &TestApp, spec: &Spec) -> String {
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let made = subnets::create(&mut space, spec, false, false).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    made.id.to_string()
}

fn someone(name: &str) -> Tenure {
    Tenure::of(Holder { kind: HolderKind::External, id: name.to_owned(), name: name.to_owned() })
}

/// A subnet of its own for each caller, of 256 addresses; its id.
pub async fn block(app: &TestApp, name: &str) -> String {
    let number = next();
    let cidr = format!("10.{}.{}.0/24", 100 + number / 256 % 100, number % 256);
    subnet(app, &Spec::new(name.parse().unwrap(), cidr.parse().unwrap())).await
}

/// A free address in such a subnet.
pub async fn free_address(app: &TestApp, name: &str) -> String {
    let id = block(app, name).await;
    let mut tx = app.state.read().await.unwrap();
    let id = id.parse().unwrap();
    let subnet = subnets::get(&mut tx, TenantId::DEFAULT, id).await.unwrap().unwrap();
    subnet.cidr.network().plus(7).unwrap().to_string()
}

/// Puts an address into a status, as `who`.
async fn put(app: &TestApp, address: &str, status: &str, who: &str) {
    let address = address.parse().unwrap();
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let by = Reserver { name: who.to_owned(), anybodys: true };
    match status {
        "available" => return,
        "allocated" => {
            let purpose = Purpose::Allocate(someone("Lift"));
            drop(addresses::assign(&mut space, address, &purpose, &by).await.unwrap());
        }
        "reserved" => {
            let purpose = Purpose::Reserve { note: "Lobby phone".parse().unwrap(), until: None };
            drop(addresses::assign(&mut space, address, &purpose, &by).await.unwrap());
        }
        "quarantine" => {
            let reason = "answers, nobody owns it".parse().unwrap();
            drop(addresses::quarantine(&mut space, address, &reason, None).await.unwrap());
        }
        other => panic!("{other}"),
    }
    space.close().await.unwrap();
    change.commit().await.unwrap();
}

/// What is stored of an address: `status description`.
async fn stored(app: &TestApp, address: &str) -> String {
    let mut tx = app.state.read().await.unwrap();
    let found = addresses::get(&mut tx, TenantId::DEFAULT, address.parse().unwrap()).await.unwrap();
    found.map_or("available".to_owned(), |record| record.status.to_string())
}

/// The addresses a page of the list shows, in its order; a gap by its ends.
fn listed(page: &Answer) -> Vec<String> {
    let rows = page.text.split("<tr id=\"a-").skip(1);
    let name = |row: &str| {
        let row = row.split("</tr>").next().unwrap();
        let gap = row.split_once("class=\"whole\"><span class=\"addr\">");
        let one = || row.split_once("<th scope=\"row\" class=\"addr\"><a href=\"/ipam/addresses/");
        gap.or_else(one).unwrap().1.split(['<', '"']).next().unwrap().to_owned()
    };
    rows.map(name).collect()
}

both_databases! {
    async fn the_list_folds_free_addresses_and_opens_them_on_request(app: TestApp) {
        let id = office(&app).await;
        put(&app, "10.20.5.12", "reserved", "ann").await;
        let desk = app.signed_in("desk", Role::Helpdesk).await;
        let page = desk.get(&format!("/ipam/addresses?subnet={id}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        page.shows("Voice Berlin");
        page.shows("7 available");
        page.shows("Lobby phone");
        assert_eq!(listed(&page), ["10.20.5.2 - 10.20.5.9", "10.20.5.10 - 10.20.5.11", "10.20.5.12",
            "10.20.5.13 - 10.20.5.19", "10.20.5.20 - 10.20.5.254"]);
    }
}
