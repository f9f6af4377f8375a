//! What a path or a body of the table names, made afresh for each call.

use patchbay::auth::Role;
use patchbay::id::SubnetId;
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Spec};
use patchbay::ipam::{observe, prefixes};
use patchbay::lifecycle;
use patchbay::phones::profiles;
use patchbay::phones::settings::Layer;
use patchbay::web::assets;

use crate::support::app::{Browser, TestApp, next, tester};

/// Something of the default tenant for a route's `{…}` to name, made afresh for each call.
pub struct Target {
    pub path: String,
    pub body: String,
}

impl Target {
    pub async fn new(app: &TestApp, admin: &Browser<'_>, path: &str, body: &str) -> Self {
        let new = format!("new{}", next());
        let id = match path {
            _ if path.starts_with("/settings/operators/{id}") => {
                app.operator(&new, Role::Auditor).await.to_string()
            }
            _ if path.starts_with("/settings/tokens/{id}") => {
                let token = app.token_of("admin", Role::Auditor, None).await;
                let hash = patchbay::secrets::fingerprint(token.as_bytes());
                let id = format!("SELECT id FROM api_token WHERE token_hash = '{hash}'");
                app.texts(&id).await[0].clone()
            }
            _ if path.contains("{workflow}") => workflow(admin, &new).await,
            _ if path.contains("{call}") => call(app).await,
            _ if path.contains("{nas}") => nas(app, admin).await,
            _ if path.contains("next-free") || body.contains("{subnet}") => {
                let subnet = crate::ipam_addresses::block(app, &new).await;
                let pool = format!("SELECT id FROM pool WHERE subnet_id = '{subnet}'");
                if path.contains("pools") { app.texts(&pool).await[0].clone() } else { subnet }
            }
            _ if path.starts_with("/ipam/observe/") || path.contains("/sweeps") => {
                observed(app, path.contains("{sweep}")).await
            }
            _ if path.contains("/phones/waiting/") => crate::provision_pages::waiting(app).await,
            _ if path.starts_with("/lifecycle") && format!("{path}{body}").contains("{id}") => {
                assignment(app, &new).await
            }
            _ if path.contains("/prefix") && path.contains("{id}") => prefix_pool(app, &new).await,
            _ if path.contains("/hosts") && (path.contains("{id}") || body.contains("{id}")) => {
                let made = admin.post("/ipam/hosts", &[("hostname", &format!("h-{new}"))]).await;
                made.location().rsplit_once('/').unwrap().1.to_owned()
            }
            _ if path.contains("/subnets/{id}") || body.contains("{subnet}") => {
                subnet(app).await.to_string()
            }
            _ if path.contains("{mac}") || body.contains("{mac}") => phone(app).await,
            _ if path.contains("/profiles/{id}") => profile(app, &new).await,
            _ if path.contains("/contacts") && path.contains("{id}") => {
                admin.post("/phones/contacts", &[("name", &new), ("number", "1")]).await;
                app.texts(&format!("SELECT id FROM contact WHERE name = '{new}'")).await[0].clone()
            }
            _ if path.contains("{id}") || body.contains("{id}") => {
                admin.add("Ann", &format!("{new}@example.com"), "").await
            }
            _ => String::new(),
        };
        let user = if body == "{user}" {
            let number = format!("SELECT number FROM extension WHERE user_id = '{id}'");
            let number = app.number(&number).await;
            format!("name=Ann+B&email={new}@example.com&extension={number}&version=1")
        } else {
            String::new()
        };
        let token = match path {
            "/welcome/{token}" => app.link(app.operator(&new, Role::Auditor).await).await,
            _ => String::new(),
        };
        let address = if path.starts_with("/ipam/observe/") {
            // One whose name no server of ours is asked for.
            "127.0.0.1".to_owned()
        } else if format!("{path}{body}").contains("{address}") {
            crate::ipam_addresses::free_address(app, &new).await
        } else {
            String::new()
        };
        let mac = if path.contains("/phones/waiting/") {
            id.clone()
        } else if path.contains("{mac}") || path.contains("{notification}") {
            crate::notify::phone(app).await
        } else {
            String::new()
        };
        let notification = match path {
            _ if path.contains("{notification}") => crate::notify::run(app, &mac).await,
            _ => String::new(),
        };
        let path = path
            .replace("{mac}", &mac)
            .replace("{notification}", &notification)
            .replace("{identifier}", "1000")
            .replace("{number}", "1000")
            .replace("{extension}", "1999")
            .replace("{address}", &address)
            .replace("/static/{name}", assets::url("app.css").unwrap())
            .replace("{file}", &format!("{id}.cfg"))
            .replace("{mac}", &id)
            .replace("{vendor}", "yealink")
            .replace("{template}", "phone")
            .replace("{model}", "t46s")
            .replace("{id}", &id)
            .replace("{mac}", &id)
            .replace("{sweep}", &id)
            .replace("{run}", "1")
            .replace("{call}", &id)
            .replace("{workflow}", &id)
            .replace("{nas}", &id)
            .replace("{kind}", "user")
            .replace("{system}", "netbox")
            .replace("{format}", "isc")
            .replace("{token:.*}", "nothing/at.all")
            .replace("{operation}", "activate")
            .replace("{subscriber_id}", "nobody")
            .replace("/jobs/{name}", "/jobs/lifecycle.metrics")
            .replace("/files/{name}", "/files/pjsip.conf")
            .replace("{token}", &token);
        let body =
            body.replace("{address}", &address).replace("{subnet}", &id).replace("{mac}", &id);
        let body = body.replace("{user}", &user).replace("{id}", &id).replace("{new}", &new);
        Self { path, body }
    }
}

/// A workflow that has not begun.
async fn workflow(admin: &Browser<'_>, name: &str) -> String {
    let email = format!("{name}@example.com");
    let form = [("kind", "provision"), ("name", name), ("email", email.as_str())];
    let begun = admin.post("/lifecycle/workflows", &form).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    begun.location().rsplit_once('/').unwrap().1.to_owned()
}

/// A call that waits.
async fn call(app: &TestApp) -> String {
    let id = format!("00000000-0000-7000-8000-{:012x}", next());
    let columns = "id, tenant_id, system, line, nth, subject, label, payload, state, next_at, identifier, stamped_at, created_at";
    let tenant = patchbay::id::TenantId::DEFAULT;
    app.sql(&format!("INSERT INTO outside_call ({columns}) VALUES ('{id}', '{tenant}', 'dhcp', '{id}', 1, 'user/1', 'x', '', 'waiting', 0, 0, 0, 0)")).await;
    id
}

/// A server that holds sessions.
async fn nas(app: &TestApp, admin: &Browser<'_>) -> String {
    let n = next();
    let address = format!("10.{}.{}.{}", n / 65_536 % 256, n / 256 % 256, n % 256);
    let form = [("address", address.as_str()), ("port", "3799"), ("secret", "x")];
    assert_eq!(admin.post("/settings/outside/nas", &form).await.status, 303);
    app.texts(&format!("SELECT id FROM outside_nas WHERE address = '{address}'")).await[0].clone()
}

/// An assignment of an address of its own.
async fn assignment(app: &TestApp, name: &str) -> String {
    let address = crate::ipam_addresses::free_address(app, name).await.parse().unwrap();
    let wanted = lifecycle::Wanted {
        wish: Some(lifecycle::Leased::Address(address)),
        ..crate::lifecycle::wanted(lifecycle::Family::Ipv4, crate::lifecycle::external(name))
    };
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let how = lifecycle::How::default();
    let done = lifecycle::allocate(&mut space, &wanted, &how).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    done.assignment.id.to_string()
}

/// A prefix pool of its own.
async fn prefix_pool(app: &TestApp, name: &str) -> String {
    let new = prefixes::NewPool {
        name: name.parse().unwrap(),
        cidr: format!("2001:db8:{:x}::/48", next()).parse().unwrap(),
        delegated: "56".parse().unwrap(),
    };
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let pool = prefixes::create(&mut space, &new).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    pool.id.to_string()
}

/// A subnet, or the sweep of one.
async fn observed(app: &TestApp, swept: bool) -> String {
    let n = next();
    let cidr = format!("10.{}.{}.0/28", n / 256 % 256, n % 256).parse().unwrap();
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let spec = Spec::new(format!("observed {n}").parse().unwrap(), cidr);
    let subnet = subnets::create(&mut space, &spec, false, false).await.unwrap().id;
    space.close().await.unwrap();
    let sweep = if swept {
        let entropy = app.state.vault.entropy();
        Some(observe::start(&mut change, entropy, subnet).await.unwrap().id)
    } else {
        None
    };
    change.commit().await.unwrap();
    sweep.map_or_else(|| subnet.to_string(), |sweep| sweep.to_string())
}

/// A phone of the default tenant that no other call has.
async fn phone(app: &TestApp) -> String {
    let mac = format!("001565{:06x}", next());
    crate::phones::add(app, &crate::phones::new(&mac, crate::phones::T46S, &[])).await.unwrap();
    mac
}

/// A profile of the default tenant that no other call has.
async fn profile(app: &TestApp, name: &str) -> String {
    let mut change = app.state.change(&tester()).await.unwrap();
    let scope = profiles::Scope::Chosen;
    let spec = profiles::Spec { name: name.parse().unwrap(), scope, settings: Layer::new() };
    let made = profiles::create(&mut change, &app.state.vault, &spec).await.unwrap();
    change.commit().await.unwrap();
    made.id.to_string()
}

/// A subnet of the default tenant that no other call has.
async fn subnet(app: &TestApp) -> SubnetId {
    let n = next();
    let mut spec = Spec::new(
        format!("net {n}").parse().unwrap(),
        format!("10.{}.{}.0/24", n / 256 % 256, n % 256).parse().unwrap(),
    );
    spec.vlan = Some("7".parse().unwrap());
    let mut change = app.state.change(&tester()).await.unwrap();
    let mut space = Space::open(&mut change, app.state.vault.entropy()).await.unwrap();
    let made = subnets::create(&mut space, &spec, false, false).await.unwrap();
    space.close().await.unwrap();
    change.commit().await.unwrap();
    made.id
}
