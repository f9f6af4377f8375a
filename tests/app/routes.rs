//! Every route and everybody who may call it; what surrounds every request.

use patchbay::app::routes;
use patchbay::auth::access::{Access, Route};
use patchbay::auth::{Right, Role};
use patchbay::id::SubnetId;
use patchbay::ipam::observe;
use patchbay::ipam::prefixes;
use patchbay::ipam::space::Space;
use patchbay::ipam::subnets::{self, Spec};
use patchbay::lifecycle;
use patchbay::phones::profiles;
use patchbay::phones::settings::Layer;
use patchbay::web::assets;

use crate::support::app::{Answer, Browser, PASSWORD, TestApp, both_databases, next, tester};

/// Who calls, in the table's order. The last three send a token instead of a cookie.
const CALLERS: [&str; 9] = [
    "anonymous",
    "admin",
    "operator",
    "helpdesk",
    "auditor",
    "other",
    "admin's token",
    "auditor's token",
    "other's token",
];

/// What the tokens of the roles between may do; they follow those of the table among the callers.
/// Whatever asks for another right is refused them, the rest is answered as it is to `admin`.
const BETWEEN: [(&str, &[Right]); 2] = [
    (
        "operator's token",
        &[
            Right::Read,
            Right::EditUsers,
            Right::ManageUsers,
            Right::EditPhones,
            Right::ManagePhones,
            Right::ReserveAddresses,
            Right::ManageAddresses,
            Right::Reveal,
            Right::Apply,
        ],
    ),
    (
        "helpdesk's token",
        &[Right::Read, Right::EditUsers, Right::EditPhones, Right::ReserveAddresses],
    ),
];

/// What each caller gets. `other` is the administrator of another tenant, so that what stands in
/// that column for a path with an id is what foreign ids get.
const TABLE: &[(&str, &str, &str, &str)] = &[
    // method, path, form or JSON, answers
    ("GET", "/", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/healthz", "", "200 200 200 200 200 200 200 200 200"),
    ("GET", "/readyz", "", "200 200 200 200 200 200 200 200 200"),
    ("GET", "/metrics", "", "200 200 200 200 200 200 200 200 200"),
    ("GET", "/static/{name}", "", "200 200 200 200 200 200 200 200 200"),
    ("GET", "/login", "", "200 303 303 303 303 303 200 200 200"),
    ("POST", "/login", "name={new}", "422 422 422 422 422 422 422 422 422"),
    ("POST", "/logout", "", "303 303 303 303 303 303 303 303 303"),
    ("GET", "/welcome/{token}", "", "200 200 200 200 200 200 200 200 200"),
    ("POST", "/welcome/{token}", "", "422 422 422 422 422 422 422 422 422"),
    ("GET", "/settings/password", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/settings/password", "", "303 422 422 422 422 422 303 303 303"),
    ("GET", "/settings/operators", "", "303 200 403 403 403 200 303 303 303"),
    ("POST", "/settings/operators", "", "303 422 403 403 403 422 303 303 303"),
    ("POST", "/settings/operators/{id}", "role=helpdesk", "303 303 403 403 403 404 303 303 303"),
    ("POST", "/settings/operators/{id}/invitation", "", "303 200 403 403 403 404 303 303 303"),
    ("GET", "/settings/tokens", "", "303 200 403 403 403 200 303 303 303"),
    ("POST", "/settings/tokens", "", "303 422 403 403 403 422 303 303 303"),
    ("POST", "/settings/tokens/{id}/revocation", "", "303 303 403 403 403 404 303 303 303"),
    ("GET", "/settings", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/settings", "", "303 422 403 403 403 422 303 303 303"),
    ("GET", "/settings/tenants", "", "303 200 403 403 403 403 303 303 303"),
    ("POST", "/settings/tenants", "", "303 422 403 403 403 403 303 303 303"),
    ("GET", "/users", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/users/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/users.csv", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/users/new", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/users", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/users/import", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/users/import", "", "303 422 422 403 403 422 303 303 303"),
    ("POST", "/users/deletion", "id={id}", "303 200 200 403 403 200 303 303 303"),
    ("GET", "/users/{id}", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/users/{id}/edit", "", "303 200 200 200 403 404 303 303 303"),
    ("POST", "/users/{id}", "{user}", "303 303 303 303 403 404 303 303 303"),
    ("GET", "/users/{id}/row", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/users/{id}/row/edit", "", "303 200 200 200 403 404 303 303 303"),
    ("POST", "/users/{id}/row", "{user}", "303 200 200 200 403 404 303 303 303"),
    ("POST", "/users/{id}/enabled", "", "303 303 303 403 403 404 303 303 303"),
    ("POST", "/users/{id}/secret", "", "303 200 200 200 403 404 303 303 303"),
    ("POST", "/users/{id}/secret/reveal", "", "303 422 422 403 403 404 303 303 303"),
    ("GET", "/phones", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones.csv", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/new", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/phones", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/phones/import", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/phones/import", "", "303 422 422 403 403 422 303 303 303"),
    ("POST", "/phones/deletion", "id={mac}", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/phones/bulk", "id={mac}", "303 200 200 403 403 200 303 303 303"),
    ("GET", "/phones/profiles", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/profiles/new", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/phones/profiles", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/phones/profiles/{id}", "", "303 200 200 200 200 404 303 303 303"),
    (
        "POST",
        "/phones/profiles/{id}",
        "name={new}x&scope=chosen&version=1",
        "303 303 303 403 403 404 303 303 303",
    ),
    ("POST", "/phones/profiles/{id}/deletion", "", "303 303 303 403 403 404 303 303 303"),
    ("GET", "/phones/{mac}", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/phones/{mac}/edit", "", "303 200 200 200 403 404 303 303 303"),
    (
        "POST",
        "/phones/{mac}",
        "label={new}&model=yealink/t46s&version=1",
        "303 303 303 303 403 404 303 303 303",
    ),
    ("GET", "/phones/{mac}/keys", "", "303 200 200 200 403 404 303 303 303"),
    ("POST", "/phones/{mac}/keys", "version=1", "303 303 303 303 403 404 303 303 303"),
    ("GET", "/phones/{mac}/settings", "", "303 200 200 403 403 404 303 303 303"),
    ("POST", "/phones/{mac}/settings", "version=1", "303 303 303 403 403 404 303 303 303"),
    ("POST", "/phones/{mac}/address", "address=none", "303 303 303 403 403 404 303 303 303"),
    ("POST", "/phones/{mac}/token", "", "303 200 200 403 403 404 303 303 303"),
    ("POST", "/phones/{mac}/reveal", "", "303 422 422 403 403 404 303 303 303"),
    ("GET", "/api/v1/phones", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/phones", "{}", "401 401 401 401 401 401 422 403 422"),
    ("GET", "/api/v1/phones/{mac}", "", "401 401 401 401 401 401 200 200 404"),
    ("PATCH", "/api/v1/phones/{mac}", "{}", "401 401 401 401 401 401 200 403 404"),
    ("DELETE", "/api/v1/phones/{mac}", "", "401 401 401 401 401 401 204 403 404"),
    ("GET", "/api/v1/phones/{mac}/settings", "", "401 401 401 401 401 401 200 200 404"),
    ("GET", "/api/v1/phones/{mac}/static-ip", "", "401 401 401 401 401 401 200 200 404"),
    (
        "PUT",
        "/api/v1/phones/{mac}/static-ip",
        "{\"static_ip\":\"next\"}",
        "401 401 401 401 401 401 422 403 404",
    ),
    ("DELETE", "/api/v1/phones/{mac}/static-ip", "", "401 401 401 401 401 401 204 403 404"),
    ("POST", "/api/v1/phones/{mac}/token", "", "401 401 401 401 401 401 200 403 404"),
    ("GET", "/api/v1/phones/profiles", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/phones/profiles", "{}", "401 401 401 401 401 401 422 403 422"),
    ("GET", "/api/v1/phones/profiles/{id}", "", "401 401 401 401 401 401 200 200 404"),
    ("PATCH", "/api/v1/phones/profiles/{id}", "{}", "401 401 401 401 401 401 200 403 404"),
    ("DELETE", "/api/v1/phones/profiles/{id}", "", "401 401 401 401 401 401 204 403 404"),
    ("GET", "/api/provisioning/devices", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/provisioning/devices", "{}", "401 401 401 401 401 401 422 403 422"),
    ("GET", "/api/provisioning/atas", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/provisioning/phones", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/provisioning/devices/atas", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/provisioning/devices/phones", "", "401 401 401 401 401 401 200 200 200"),
    ("DELETE", "/api/provisioning/devices/{mac}", "", "401 401 401 401 401 401 200 403 404"),
    ("GET", "/api/provisioning/devices/{mac}/static-ip", "", "401 401 401 401 401 401 200 200 404"),
    (
        "POST",
        "/api/provisioning/devices/{mac}/static-ip",
        "{}",
        "401 401 401 401 401 401 422 403 404",
    ),
    (
        "DELETE",
        "/api/provisioning/devices/{mac}/static-ip",
        "",
        "401 401 401 401 401 401 200 403 404",
    ),
    ("GET", "/phones/templates", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/templates/{vendor}/{template}", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/phones/templates/{vendor}/{template}", "", "303 422 403 403 403 422 303 303 303"),
    (
        "POST",
        "/phones/templates/{vendor}/{template}/restore",
        "",
        "303 404 403 403 403 404 303 303 303",
    ),
    ("GET", "/phones/{mac}/files", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/phones/{mac}/files/{file}", "", "303 200 200 200 200 404 303 303 303"),
    ("POST", "/phones/{mac}/files/{file}", "", "303 422 422 403 403 404 303 303 303"),
    ("GET", "/phones/contacts", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/contacts/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/contacts.csv", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/contacts/new", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/phones/contacts", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/phones/contacts/import", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/phones/contacts/import", "", "303 422 422 403 403 422 303 303 303"),
    ("POST", "/phones/contacts/deletion", "id={id}", "303 200 200 403 403 200 303 303 303"),
    ("GET", "/phones/contacts/{id}/edit", "", "303 200 200 403 403 404 303 303 303"),
    (
        "POST",
        "/phones/contacts/{id}",
        "name={new}&number=2&version=1",
        "303 303 303 403 403 404 303 303 303",
    ),
    ("GET", "/api/v1/contacts", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/contacts", "{}", "401 401 401 401 401 401 422 403 422"),
    ("GET", "/api/v1/contacts/{id}", "", "401 401 401 401 401 401 200 200 404"),
    (
        "PUT",
        "/api/v1/contacts/{id}",
        "{\"name\":\"{new}\",\"number\":\"2\"}",
        "401 401 401 401 401 401 200 403 404",
    ),
    ("DELETE", "/api/v1/contacts/{id}", "", "401 401 401 401 401 401 204 403 404"),
    ("GET", "/api/v1/phones/templates", "", "401 401 401 401 401 401 200 200 200"),
    (
        "GET",
        "/api/v1/phones/templates/{vendor}/{template}",
        "",
        "401 401 401 401 401 401 200 200 200",
    ),
    (
        "PUT",
        "/api/v1/phones/templates/{vendor}/{template}",
        "{}",
        "401 401 401 401 401 401 422 403 422",
    ),
    (
        "DELETE",
        "/api/v1/phones/templates/{vendor}/{template}",
        "",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "GET",
        "/api/provisioning/templates/{vendor}/{model}",
        "",
        "401 401 401 401 401 401 200 200 200",
    ),
    (
        "PUT",
        "/api/provisioning/templates/{vendor}/{model}",
        "{}",
        "401 401 401 401 401 401 400 403 400",
    ),
    (
        "POST",
        "/api/provisioning/templates/{vendor}/{model}/export",
        "",
        "401 401 401 401 401 401 200 403 200",
    ),
    ("POST", "/api/provisioning/reload-templates", "", "401 401 401 401 401 401 200 403 200"),
    ("GET", "/audit", "", "303 200 403 403 200 200 303 303 303"),
    ("GET", "/audit.csv", "", "303 200 403 403 200 200 303 303 303"),
    ("GET", "/api/openapi.json", "", "200 200 200 200 200 200 200 200 200"),
    ("GET", "/api/docs", "", "200 200 200 200 200 200 200 200 200"),
    ("GET", "/api/v1/users", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/users", "{}", "401 401 401 401 401 401 422 403 422"),
    ("GET", "/api/v1/users/{id}", "", "401 401 401 401 401 401 200 200 404"),
    ("PATCH", "/api/v1/users/{id}", "{}", "401 401 401 401 401 401 200 403 404"),
    ("DELETE", "/api/v1/users/{id}", "", "401 401 401 401 401 401 200 403 404"),
    ("POST", "/api/v1/users/{id}/secret", "", "401 401 401 401 401 401 200 403 404"),
    ("GET", "/outbox", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/outbox/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/outbox/of/{kind}/{id}", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/outbox/retries", "system=dhcp", "303 303 303 403 403 303 303 303 303"),
    ("POST", "/outbox/{call}/retry", "", "303 303 303 403 403 404 303 303 303"),
    ("POST", "/outbox/{call}/drop", "reason=x", "303 303 303 403 403 404 303 303 303"),
    ("GET", "/settings/outside", "", "303 200 403 403 403 200 303 303 303"),
    ("GET", "/settings/outside/radius", "", "303 200 403 403 403 200 303 303 303"),
    ("POST", "/settings/outside/radius", "", "303 422 403 403 403 422 303 303 303"),
    ("GET", "/settings/outside/dhcp", "", "303 200 403 403 403 200 303 303 303"),
    ("POST", "/settings/outside/dhcp", "", "303 303 403 403 403 303 303 303 303"),
    ("GET", "/settings/outside/netbox", "", "303 200 403 403 403 200 303 303 303"),
    ("POST", "/settings/outside/netbox", "", "303 303 403 403 403 303 303 303 303"),
    ("POST", "/settings/outside/{system}/test", "", "303 200 403 403 403 200 303 303 303"),
    ("POST", "/settings/outside/nas", "", "303 422 403 403 403 422 303 303 303"),
    ("GET", "/settings/outside/nas/{nas}", "", "303 200 403 403 403 404 303 303 303"),
    ("POST", "/settings/outside/nas/{nas}", "", "303 422 403 403 403 404 303 303 303"),
    ("POST", "/settings/outside/nas/{nas}/removal", "", "303 303 403 403 403 404 303 303 303"),
    ("GET", "/settings/outside/allowed", "", "303 200 403 403 403 403 303 303 303"),
    ("POST", "/settings/outside/allowed", "", "303 422 403 403 403 403 303 303 303"),
    ("POST", "/settings/outside/allowed/removal", "", "303 422 403 403 403 403 303 303 303"),
    ("GET", "/dhcp/export", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/dhcp/export/{format}", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/dhcp/leases", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/dhcp/leases/release", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/dhcp/report", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/dhcp/report", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/dhcp/report/repair", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/netbox/report", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/netbox/report", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/netbox/report/repair", "", "303 422 422 403 403 422 303 303 303"),
    ("POST", "/netbox/report/reserve", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/api/v1/outbox", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/outbox/{call}", "", "401 401 401 401 401 401 200 200 404"),
    ("POST", "/api/v1/outbox/{call}/retry", "", "401 401 401 401 401 401 200 403 404"),
    (
        "POST",
        "/api/v1/outbox/{call}/drop",
        r#"{"reason":"x"}"#,
        "401 401 401 401 401 401 200 403 404",
    ),
    ("GET", "/api/v1/dhcp/export", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/ipam/addresses", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/addresses/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/addresses/take", "subnet={subnet}", "303 404 404 404 403 404 303 303 303"),
    (
        "POST",
        "/ipam/addresses/take",
        "subnet={subnet}&note=x",
        "303 201 201 201 403 404 303 303 303",
    ),
    (
        "POST",
        "/ipam/addresses/bulk",
        "action=reserve&id={address}",
        "303 200 200 200 403 200 303 303 303",
    ),
    ("GET", "/ipam/addresses/{address}", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/addresses/{address}/row", "", "303 303 303 303 303 303 303 303 303"),
    ("GET", "/ipam/addresses/{address}/edit", "", "303 303 303 303 403 303 303 303 303"),
    ("POST", "/ipam/addresses/{address}/edit", "", "303 422 422 422 403 422 303 303 303"),
    ("GET", "/ipam/addresses/{address}/reserve", "", "303 200 200 200 403 200 303 303 303"),
    ("POST", "/ipam/addresses/{address}/reserve", "note=x", "303 303 303 303 403 409 303 303 303"),
    ("GET", "/ipam/addresses/{address}/release", "", "303 303 303 303 403 303 303 303 303"),
    ("POST", "/ipam/addresses/{address}/release", "", "303 409 409 409 403 409 303 303 303"),
    ("GET", "/ipam/addresses/{address}/quarantine", "", "303 200 200 403 403 200 303 303 303"),
    (
        "POST",
        "/ipam/addresses/{address}/quarantine",
        "reason=x",
        "303 303 303 403 403 409 303 303 303",
    ),
    ("GET", "/ipam/addresses/{address}/allocate", "", "303 200 200 403 403 200 303 303 303"),
    (
        "POST",
        "/ipam/addresses/{address}/allocate",
        "kind=external&holder=x",
        "303 303 303 403 403 409 303 303 303",
    ),
    ("GET", "/ipam/addresses/{address}/resolve", "", "303 303 303 403 403 303 303 303 303"),
    ("POST", "/ipam/addresses/{address}/resolve", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/api/v1/addresses", "", "401 401 401 401 401 401 200 200 200"),
    (
        "POST",
        "/api/v1/addresses/bulk",
        "{\"action\":\"reserve\",\"note\":\"x\",\"addresses\":[\"{address}\"]}",
        "401 401 401 401 401 401 200 403 409",
    ),
    ("GET", "/api/v1/addresses/{address}", "", "401 401 401 401 401 401 200 200 404"),
    ("GET", "/api/v1/addresses/{address}/history", "", "401 401 401 401 401 401 200 200 200"),
    ("PATCH", "/api/v1/addresses/{address}", "{}", "401 401 401 401 401 401 422 403 422"),
    (
        "POST",
        "/api/v1/addresses/{address}/reserve",
        "{\"note\":\"x\"}",
        "401 401 401 401 401 401 200 403 409",
    ),
    ("POST", "/api/v1/addresses/{address}/release", "", "401 401 401 401 401 401 409 403 409"),
    (
        "POST",
        "/api/v1/addresses/{address}/quarantine",
        "{\"reason\":\"x\"}",
        "401 401 401 401 401 401 200 403 409",
    ),
    (
        "POST",
        "/api/v1/addresses/{address}/allocate",
        "{\"holder\":{\"kind\":\"external\",\"name\":\"x\"}}",
        "401 401 401 401 401 401 200 403 409",
    ),
    (
        "POST",
        "/api/v1/addresses/{address}/resolve",
        "{\"claim\":\"00000000-0000-0000-0000-000000000000\",\"decision\":\"keep\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/subnets/{id}/next-free",
        "{\"note\":\"x\"}",
        "401 401 401 401 401 401 201 403 404",
    ),
    (
        "POST",
        "/api/v1/pools/{id}/next-free",
        "{\"note\":\"x\"}",
        "401 401 401 401 401 401 201 403 404",
    ),
    ("GET", "/ipam/observe", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/observe/sweeps", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/ipam/observe/sweeps/{sweep}/stop", "", "303 303 303 403 403 404 303 303 303"),
    ("GET", "/ipam/observe/subnets/{id}", "", "303 200 200 200 200 404 303 303 303"),
    (
        "POST",
        "/ipam/observe/subnets/{id}",
        "pace=50&keep_days=7",
        "303 303 303 403 403 404 303 303 303",
    ),
    ("GET", "/ipam/observe/subnets/{id}/panel", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/ipam/observe/subnets/{id}/progress", "", "303 200 200 200 200 404 303 303 303"),
    ("POST", "/ipam/observe/subnets/{id}/sweeps", "", "303 303 303 403 403 404 303 303 303"),
    ("GET", "/ipam/observe/leases", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/ipam/observe/leases", "text=x", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/ipam/observe/{address}", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/ipam/observe/{address}/name", "", "303 200 200 200 403 200 303 303 303"),
    (
        "POST",
        "/ipam/observe/{address}/hostname",
        "hostname=x",
        "303 422 422 422 403 422 303 303 303",
    ),
    ("GET", "/api/v1/subnets/{id}/observation", "", "401 401 401 401 401 401 200 200 404"),
    (
        "PUT",
        "/api/v1/subnets/{id}/observation",
        "{\"pings_per_second\":50,\"forget_after_days\":7}",
        "401 401 401 401 401 401 200 403 404",
    ),
    ("POST", "/api/v1/addresses/{address}/name", "", "401 401 401 401 401 401 200 403 200"),
    ("POST", "/api/v1/subnets/{id}/sweeps", "", "401 401 401 401 401 401 202 403 404"),
    ("GET", "/api/v1/sweeps", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/sweeps/{sweep}", "", "401 401 401 401 401 401 200 200 404"),
    ("POST", "/api/v1/sweeps/{sweep}/stop", "", "401 401 401 401 401 401 202 403 404"),
    ("POST", "/api/v1/observations", "[]", "401 401 401 401 401 401 200 403 200"),
    ("POST", "/api/v1/observations/leases", "[]", "401 401 401 401 401 401 422 403 422"),
    // Whoever imports without a file is told what a file must have.
    ("GET", "/ipam/subnets/export", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/subnets/import", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/ipam/subnets/import", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/api/v1/subnets/export", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/subnets/import", "{}", "401 401 401 401 401 401 415 403 415"),
    ("GET", "/ipam/addresses/export", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/addresses/import", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/ipam/addresses/import", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/api/v1/addresses/export", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/addresses/import", "{}", "401 401 401 401 401 401 415 403 415"),
    ("GET", "/ipam/hosts/export", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/hosts/import", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/ipam/hosts/import", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/api/v1/hosts/export", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/hosts/import", "{}", "401 401 401 401 401 401 415 403 415"),
    ("GET", "/ipam/hosts", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/hosts/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/hosts/new", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/ipam/hosts", "", "303 422 422 403 403 422 303 303 303"),
    ("POST", "/ipam/hosts/deletion", "id={id}", "303 200 200 403 403 200 303 303 303"),
    ("GET", "/ipam/hosts/{id}", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/ipam/hosts/{id}/edit", "", "303 200 200 403 403 404 303 303 303"),
    ("POST", "/ipam/hosts/{id}", "hostname={new}&version=1", "303 303 303 403 403 404 303 303 303"),
    ("GET", "/ipam/hosts/{id}/row", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/ipam/hosts/{id}/row/edit", "", "303 200 200 403 403 404 303 303 303"),
    (
        "POST",
        "/ipam/hosts/{id}/row",
        "hostname={new}&version=1",
        "303 200 200 403 403 404 303 303 303",
    ),
    ("GET", "/api/v1/hosts", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/hosts", "{}", "401 401 401 401 401 401 422 403 422"),
    ("GET", "/api/v1/hosts/{id}", "", "401 401 401 401 401 401 200 200 404"),
    ("PATCH", "/api/v1/hosts/{id}", "{}", "401 401 401 401 401 401 200 403 404"),
    ("DELETE", "/api/v1/hosts/{id}", "", "401 401 401 401 401 401 204 403 404"),
    ("GET", "/ipam/subnets", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/subnets/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/ipam/subnets/new", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/ipam/subnets", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/ipam/subnets/find", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/ipam/subnets/merge", "id={subnet}", "303 422 422 403 403 404 303 303 303"),
    ("GET", "/ipam/subnets/{id}", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/ipam/subnets/{id}/edit", "", "303 200 200 403 403 404 303 303 303"),
    ("POST", "/ipam/subnets/{id}", "", "303 422 422 403 403 404 303 303 303"),
    ("GET", "/ipam/subnets/{id}/split", "", "303 200 200 403 403 404 303 303 303"),
    ("POST", "/ipam/subnets/{id}/split", "length=26", "303 200 200 403 403 404 303 303 303"),
    ("POST", "/ipam/subnets/{id}/deletion", "", "303 200 200 403 403 404 303 303 303"),
    ("GET", "/api/v1/subnets", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/subnets", "{}", "401 401 401 401 401 401 422 403 422"),
    ("GET", "/api/v1/subnets/free", "", "401 401 401 401 401 401 422 422 422"),
    (
        "POST",
        "/api/v1/subnets/merge",
        "{\"ids\":[\"{subnet}\"]}",
        "401 401 401 401 401 401 422 403 404",
    ),
    ("GET", "/api/v1/subnets/{id}", "", "401 401 401 401 401 401 200 200 404"),
    (
        "PUT",
        "/api/v1/subnets/{id}",
        "{\"name\":\"x{new}\",\"cidr\":\"172.16.0.0/30\"}",
        "401 401 401 401 401 401 200 403 404",
    ),
    ("PATCH", "/api/v1/subnets/{id}", "{}", "401 401 401 401 401 401 200 403 404"),
    ("DELETE", "/api/v1/subnets/{id}", "", "401 401 401 401 401 401 200 403 404"),
    (
        "POST",
        "/api/v1/subnets/{id}/split",
        "{\"length\":25}",
        "401 401 401 401 401 401 200 403 404",
    ),
    ("GET", "/api/v1/subnets/{id}/pools", "", "401 401 401 401 401 401 200 200 404"),
    ("GET", "/api/v1/subnets/{id}/map", "", "401 401 401 401 401 401 200 200 404"),
    // Asterisk has never been here, so applying is refused to whoever may ask for it.
    ("GET", "/phones/map", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/map/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/map.csv", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/map/history", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/notify", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/phones/notify", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/phones/notify/compared", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/notify/{notification}", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/phones/notify/{notification}/progress", "", "303 200 200 200 200 404 303 303 303"),
    ("POST", "/phones/notify/{notification}/stop", "", "303 303 303 403 403 404 303 303 303"),
    ("POST", "/phones/{mac}/notify", "kind=resync", "303 303 303 303 403 404 303 303 303"),
    ("GET", "/api/v1/phone-lookup/{identifier}", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/registered-phones", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/registered-phones/with-mac", "", "401 401 401 401 401 401 200 200 200"),
    (
        "GET",
        "/api/v1/registered-phones/extension/{number}",
        "",
        "401 401 401 401 401 401 200 200 200",
    ),
    ("GET", "/api/v1/registered-phones/atas", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/registered-atas", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/phone-lookup/{identifier}", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/registered-phones", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/registered-phones/with-mac", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/registered-phones/extension/{number}", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/registered-phones/atas", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/registered-atas", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/phone-notifications", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/phone-notifications", "{}", "401 401 401 401 401 401 422 403 422"),
    (
        "GET",
        "/api/v1/phone-notifications/{notification}",
        "",
        "401 401 401 401 401 401 200 200 404",
    ),
    (
        "POST",
        "/api/v1/phone-notifications/{notification}/stop",
        "",
        "401 401 401 401 401 401 202 403 404",
    ),
    // Nobody has a phone; that one is registered is for other tests.
    ("POST", "/api/v1/phones/reboot", "", "401 401 401 401 401 401 200 403 200"),
    ("POST", "/api/v1/phones/{extension}/reboot", "", "401 401 401 401 401 401 404 403 404"),
    ("POST", "/api/phones/reboot", "", "401 401 401 401 401 401 200 403 200"),
    ("POST", "/api/phones/{extension}/reboot", "", "401 401 401 401 401 401 404 403 404"),
    ("GET", "/apply", "", "303 200 200 200 200 403 303 303 303"),
    ("POST", "/apply", "", "303 409 409 403 403 403 303 303 303"),
    ("GET", "/apply/asterisk", "", "303 200 200 200 200 403 303 303 303"),
    ("GET", "/apply/runs/{run}", "", "303 404 404 404 404 403 303 303 303"),
    ("GET", "/apply/runs/{run}/progress", "", "303 404 404 404 404 403 303 303 303"),
    ("GET", "/apply/runs/{run}/files/{name}", "", "303 404 404 404 404 403 303 303 303"),
    ("POST", "/api/v1/apply", "{}", "401 401 401 401 401 401 503 403 403"),
    ("GET", "/api/v1/apply/preview", "", "401 401 401 401 401 401 200 200 403"),
    ("GET", "/ipam/report", "", "303 200 200 200 200 200 303 303 303"),
    // A file is of one report, and none is named.
    ("GET", "/ipam/report.csv", "", "303 404 404 404 404 404 303 303 303"),
    ("GET", "/ipam/report.xlsx", "", "303 404 404 404 404 404 303 303 303"),
    ("GET", "/api/v1/reports/utilisation", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/reports/sites", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/reports/reservations", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/reports/conflicts", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/reports/inactive", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/reports/orphans", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/lifecycle", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/lifecycle/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/lifecycle/new", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/lifecycle", "", "303 422 422 403 403 422 303 303 303"),
    ("POST", "/lifecycle/bulk", "action=revoke&id={id}", "303 200 200 403 403 200 303 303 303"),
    ("GET", "/lifecycle/machine", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/graphql", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/graphql", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/graphql/schema", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/api/graphql", "{}", "401 401 401 401 401 401 422 422 422"),
    ("GET", "/lifecycle/settings", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/lifecycle/settings", "", "303 422 403 403 403 422 303 303 303"),
    ("GET", "/lifecycle/{id}", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/lifecycle/{id}/{operation}", "", "303 200 200 403 403 404 303 303 303"),
    ("POST", "/lifecycle/{id}/{operation}", "", "303 303 303 403 403 404 303 303 303"),
    ("GET", "/lifecycle/workflows", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/lifecycle/workflows/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/lifecycle/workflows/new", "", "303 200 200 403 403 200 303 303 303"),
    ("POST", "/lifecycle/workflows", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/lifecycle/workflows/{workflow}", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/lifecycle/workflows/{workflow}/progress", "", "303 200 200 200 200 404 303 303 303"),
    // It has not begun yet: there is nothing to try again.
    ("POST", "/lifecycle/workflows/{workflow}/retry", "", "303 409 409 403 403 404 303 303 303"),
    ("POST", "/lifecycle/workflows/{workflow}/cancel", "", "303 303 303 403 403 404 303 303 303"),
    ("GET", "/api/v1/workflows", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/workflows", "{}", "401 401 401 401 401 401 422 403 422"),
    ("GET", "/api/v1/workflows/{workflow}", "", "401 401 401 401 401 401 200 200 404"),
    ("POST", "/api/v1/workflows/{workflow}/retry", "", "401 401 401 401 401 401 409 403 404"),
    ("POST", "/api/v1/workflows/{workflow}/cancel", "", "401 401 401 401 401 401 202 403 404"),
    ("GET", "/settings/jobs", "", "303 200 200 200 200 403 303 303 303"),
    ("POST", "/settings/jobs/{name}/run", "", "303 303 403 403 403 403 303 303 303"),
    ("GET", "/ipam/prefixes", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/ipam/prefixes", "", "303 422 422 403 403 422 303 303 303"),
    ("GET", "/ipam/prefixes/{id}", "", "303 200 200 200 200 404 303 303 303"),
    ("POST", "/ipam/prefixes/{id}/deletion", "", "303 200 200 403 403 404 303 303 303"),
    (
        "POST",
        "/ipam/prefixes/{id}/release",
        "prefix=2001:db8::",
        "303 404 404 403 403 404 303 303 303",
    ),
    ("GET", "/api/v1/prefix-pools", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/prefix-pools", "{}", "401 401 401 401 401 401 422 403 422"),
    ("GET", "/api/v1/prefix-pools/{id}", "", "401 401 401 401 401 401 200 200 404"),
    ("DELETE", "/api/v1/prefix-pools/{id}", "", "401 401 401 401 401 401 204 403 404"),
    (
        "POST",
        "/api/v1/prefix-pools/{id}/release",
        "{\"prefix\":\"2001:db8::/56\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    ("GET", "/api/v1/network/ipv4-lifecycle", "", "401 401 401 401 401 401 200 200 200"),
    (
        "POST",
        "/api/v1/network/ipv4-lifecycle/allocate",
        "{}",
        "401 401 401 401 401 401 422 403 422",
    ),
    (
        "POST",
        "/api/v1/network/ipv4-lifecycle/activate",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/network/ipv4-lifecycle/suspend",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/network/ipv4-lifecycle/reactivate",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/network/ipv4-lifecycle/revoke",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/network/ipv4-lifecycle/retry",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/network/ipv4-lifecycle/fail",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    ("GET", "/api/v1/network/ipv4-lifecycle/metrics", "", "401 401 401 401 401 401 200 200 200"),
    (
        "GET",
        "/api/v1/network/ipv4-lifecycle/{subscriber_id}",
        "",
        "401 401 401 401 401 401 404 404 404",
    ),
    ("GET", "/api/v1/network/ipv6-lifecycle", "", "401 401 401 401 401 401 200 200 200"),
    (
        "POST",
        "/api/v1/network/ipv6-lifecycle/allocate",
        "{}",
        "401 401 401 401 401 401 422 403 422",
    ),
    (
        "POST",
        "/api/v1/network/ipv6-lifecycle/activate",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/network/ipv6-lifecycle/suspend",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/network/ipv6-lifecycle/reactivate",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/network/ipv6-lifecycle/revoke",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/network/ipv6-lifecycle/retry",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    (
        "POST",
        "/api/v1/network/ipv6-lifecycle/fail",
        "{\"subscriber_id\":\"nobody\"}",
        "401 401 401 401 401 401 404 403 404",
    ),
    ("GET", "/api/v1/network/ipv6-lifecycle/metrics", "", "401 401 401 401 401 401 200 200 200"),
    (
        "GET",
        "/api/v1/network/ipv6-lifecycle/{subscriber_id}",
        "",
        "401 401 401 401 401 401 404 404 404",
    ),
    ("GET", "/api/v1/apply/history", "", "401 401 401 401 401 401 200 200 403"),
    // What phones ask for is nobody's by that name.
    ("GET", "/provision/{token:.*}", "", "404 404 404 404 404 404 404 404 404"),
    ("PUT", "/provision/{token:.*}", "", "404 404 404 404 404 404 404 404 404"),
    ("GET", "/phones/requests", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/requests/table", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/requests.csv", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/enrolment", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/phones/enrolment", "", "303 303 303 403 403 303 303 303 303"),
    ("GET", "/phones/waiting", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/waiting/{mac}", "", "303 200 200 403 403 404 303 303 303"),
    (
        "POST",
        "/phones/waiting/{mac}",
        "model=yealink%2Ft46s",
        "303 303 303 403 403 404 303 303 303",
    ),
    ("POST", "/phones/waiting/{mac}/dismissal", "", "303 303 303 403 403 404 303 303 303"),
    ("GET", "/phones/dhcp", "", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/handouts", "", "303 200 200 200 200 200 303 303 303"),
    ("POST", "/phones/handouts", "id={mac}", "303 200 200 200 200 200 303 303 303"),
    ("GET", "/phones/{mac}/handout", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/phones/{mac}/qr.svg", "", "303 200 200 200 200 404 303 303 303"),
    ("GET", "/phones/{mac}/requests", "", "303 200 200 200 200 404 303 303 303"),
    ("POST", "/phones/{mac}/enrolment", "length=1h", "303 303 303 303 403 404 303 303 303"),
    ("GET", "/api/provisioning/vendors", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/provisioning/templates", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/provisioning/requests", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/provisioning/diagnostics", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/provisioning/settings", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/phones/vendors", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/phones/requests", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/phones/diagnostics", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/phones/settings", "", "401 401 401 401 401 401 200 200 200"),
    ("GET", "/api/v1/phones/waiting", "", "401 401 401 401 401 401 200 200 200"),
    ("POST", "/api/v1/phones/waiting/{mac}/adoption", "{}", "401 401 401 401 401 401 201 403 404"),
    ("DELETE", "/api/v1/phones/waiting/{mac}", "", "401 401 401 401 401 401 204 403 404"),
    ("GET", "/api/v1/phones/{mac}/enrolment", "", "401 401 401 401 401 401 200 200 404"),
    (
        "PUT",
        "/api/v1/phones/{mac}/enrolment",
        "{\"length\":\"1h\"}",
        "401 401 401 401 401 401 200 403 404",
    ),
    ("DELETE", "/api/v1/phones/{mac}/enrolment", "", "401 401 401 401 401 401 204 403 404"),
    ("GET", "/api/v1/phones/enrolment-subnets", "", "401 401 401 401 401 401 200 200 200"),
    (
        "PUT",
        "/api/v1/phones/enrolment-subnets",
        "{\"subnets\":[]}",
        "401 401 401 401 401 401 200 403 200",
    ),
];

/// Something of the default tenant for a route's `{…}` to name, made afresh for each call.
struct Target {
    path: String,
    body: String,
}

impl Target {
    async fn new(app: &TestApp, admin: &Browser<'_>, path: &str, body: &str) -> Self {
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

/// A user of each kind and everything they carry.
struct Callers<'a> {
    browsers: Vec<Browser<'a>>,
    tokens: Vec<String>,
}

impl<'a> Callers<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let mut browsers = vec![app.browser()];
        for role in Role::ALL {
            browsers.push(app.signed_in(role.as_str(), role).await);
        }
        app.tenant("acme", "other").await;
        browsers.push(app.with_password("other").await);
        let tokens = vec![
            app.token_of("admin", Role::Admin, None).await,
            app.token_of("admin", Role::Auditor, None).await,
            app.token_of("other", Role::Admin, None).await,
            app.token_of("operator", Role::Operator, None).await,
            app.token_of("helpdesk", Role::Helpdesk, None).await,
        ];
        Self { browsers, tokens }
    }

    fn admin(&self) -> &Browser<'a> {
        &self.browsers[1]
    }

    async fn call(&self, who: usize, method: &str, to: &Target) -> Answer {
        let mut ask = match self.browsers.get(who) {
            Some(browser) => browser.ask(method, &to.path),
            None => self.admin().app.ask(method, &to.path).token(&self.tokens[who - 6]),
        };
        ask = ask.ours().at_peer(&format!("192.0.2.{}", next() % 250));
        if to.path.starts_with("/api/") {
            if !to.body.is_empty() {
                ask = ask.header("content-type", "application/json").body(to.body.clone());
            }
        } else if method != "GET" {
            let csrf = self.browsers.get(who).map(|b| b.csrf.borrow().clone()).unwrap_or_default();
            ask = ask
                .header("content-type", "application/x-www-form-urlencoded")
                .body(format!("{}&csrf={csrf}", to.body));
        }
        ask.send().await
    }
}

#[track_caller]
pub fn has_security_headers(answer: &Answer) {
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name} of {answer:?}");
    }
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 12), "{answer:?}");
    assert!(answer.header("cache-control").is_some(), "{answer:?}");
    assert_eq!(answer.header("set-cookie").filter(|set| !set.contains("HttpOnly")), None);
}

#[test]
fn the_table_names_every_route_once_and_none_besides() {
    let mut known: Vec<String> =
        TABLE.iter().map(|(method, path, ..)| format!("{method} {path}")).collect();
    let mut there: Vec<String> =
        routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    known.sort_unstable();
    there.sort_unstable();
    assert_eq!(known, there, "say in TABLE who may call the new route");
}

both_databases! {
    async fn every_route_answers_each_caller_as_the_table_says(app: TestApp) {
        let callers = Callers::new(&app).await;
        let mut wrong = Vec::new();
        for (method, path, body, answers) in TABLE {
            for (who, expected) in answers.split(' ').enumerate() {
                let target = Target::new(&app, callers.admin(), path, body).await;
                let answer = callers.call(who, method, &target).await;
                has_security_headers(&answer);
                if answer.status.to_string() != expected {
                    wrong.push(format!(
                        "{method} {path} as {}: {} instead of {expected}", CALLERS[who], answer.status
                    ));
                }
                if answer.status == 303 && (who == 0 || who > 5) {
                    assert!(answer.location().starts_with("/login"), "{answer:?}");
                }
                if *path == "/logout" && (1..6).contains(&who) {
                    let browser = &callers.browsers[who];
                    browser.cookie.take();
                    browser.csrf.take();
                    browser.sign_in(CALLERS[who], PASSWORD).await;
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    async fn the_tokens_of_operator_and_help_desk_may_what_their_roles_may(app: TestApp) {
        let callers = Callers::new(&app).await;
        let routes = routes();
        let (mut wrong, mut refused) = (Vec::new(), [0, 0]);
        for (method, path, body, answers) in TABLE {
            let is_it = |route: &&Route| route.method.as_str() == *method && route.path == *path;
            let access = routes.iter().find(is_it).unwrap().access;
            for (n, (caller, rights)) in BETWEEN.into_iter().enumerate() {
                let may = match access {
                    Access::Api(right) | Access::HostApi(right) => rights.contains(&right),
                    _ => true,
                };
                let expected = if may { answers.split(' ').nth(6).unwrap() } else { "403" };
                refused[n] += u32::from(!may);
                let target = Target::new(&app, callers.admin(), path, body).await;
                let answer = callers.call(CALLERS.len() + n, method, &target).await;
                if answer.status.to_string() != expected {
                    wrong.push(format!("{method} {path} as {caller}: {} instead of {expected}", answer.status));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(refused[0] > 0 && refused[1] > refused[0], "{refused:?}");
    }

    async fn what_is_not_there_is_404_and_a_wrong_method_405_with_every_header(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for (method, path, status) in [
            ("GET", "/nothing", 404),
            ("GET", "/api/nothing", 404),
            ("GET", "/users/nobody", 404),
            ("GET", "/users/00000000-0000-0000-0000-000000000000", 404),
            ("GET", "/users/%2e%2e%2fetc%2fpasswd", 404),
            ("GET", "/static/app.css", 404),
            ("GET", "/welcome/nothing", 404),
            ("DELETE", "/users", 405),
            ("PUT", "/api/v1/users", 405),
            ("POST", "/healthz", 405),
            ("TRACE", "/login", 405),
        ] {
            let answer = admin.ask(method, path).ours().send().await;
            assert_eq!(answer.status, status, "{method} {path}");
            has_security_headers(&answer);
            let kind = answer.header("content-type").unwrap();
            let problem = path.starts_with("/api/");
            assert_eq!(kind.starts_with("application/problem+json"), problem, "{method} {path}");
            if !problem {
                answer.shows("To the first page");
            }
        }
    }

    async fn a_405_says_what_would_work(app: TestApp) {
        assert_eq!(app.ask("POST", "/healthz").send().await.header("allow"), Some("GET, HEAD"));
        let methods = app.ask("PUT", "/api/v1/users/x").send().await;
        assert_eq!(methods.header("allow"), Some("DELETE, GET, HEAD, PATCH"));
    }

    async fn head_is_answered_wherever_get_is(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for (path, status) in [("/healthz", 200), ("/users", 200), ("/nothing", 404), ("/logout", 405)] {
            let answer = admin.ask("HEAD", path).send().await;
            assert_eq!(answer.status, status, "{path}");
            has_security_headers(&answer);
        }
        assert_eq!(app.ask("HEAD", "/users").send().await.status, 303);
    }

    async fn no_page_changes_anything_without_the_token_or_from_another_site(app: TestApp) {
        let callers = Callers::new(&app).await;
        let admin = callers.admin();
        let csrf = admin.csrf.borrow().clone();
        for route in routes().iter().filter(|route| !route.method.is_safe()) {
            let page = matches!(route.access, Access::Page(_) | Access::HostPage(_));
            if !page && route.access != Access::Public {
                continue;
            }
            let (_, path, body, _) = TABLE
                .iter()
                .find(|(method, path, ..)| *method == route.method.as_str() && *path == route.path)
                .unwrap();
            let target = Target::new(&app, admin, path, body).await;
            let before = app.contents().await;
            let with = format!("{}&csrf={csrf}", target.body);
            let long = format!("{}&csrf={}", target.body, "x".repeat(43));
            let other = callers.browsers[2].csrf.borrow().clone();
            let others = format!("{}&csrf={other}", target.body);
            let attempts: [(&[(&str, &str)], &str, bool); 11] = [
                (&[("sec-fetch-site", "same-origin")], &target.body, page),
                (&[("sec-fetch-site", "same-origin")], "csrf=", page),
                (&[("sec-fetch-site", "same-origin")], &long, page),
                (&[("sec-fetch-site", "same-origin")], &others, page),
                (&[("sec-fetch-site", "same-origin"), ("x-csrf-token", "x")], &with, page),
                (&[("sec-fetch-site", "cross-site")], &with, true),
                (&[("sec-fetch-site", "same-site"), ("origin", "http://patchbay.test")], &with, true),
                (&[("origin", "https://evil.example"), ("host", "patchbay.test")], &with, true),
                (&[("origin", "null")], &with, true),
                (&[("referer", "http://patchbay.test/users")], &with, true),
                (&[], &with, true),
            ];
            for (headers, body, refused) in attempts {
                if !refused {
                    continue;
                }
                let mut ask = admin
                    .ask(route.method.as_str(), &target.path)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(body.to_owned());
                for (name, value) in headers {
                    ask = ask.header(name, value);
                }
                let answer = ask.send().await;
                assert_eq!(answer.status, 403, "{} {} with {headers:?} {body}", route.method, route.path);
                has_security_headers(&answer);
            }
            assert_eq!(app.contents().await, before, "{} {}", route.method, route.path);
        }
    }

    async fn the_token_may_also_come_in_htmxs_header_or_a_browsers_origin(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let csrf = admin.csrf.borrow().clone();
        let ask = admin.ask("POST", "/users/deletion").header("x-csrf-token", &csrf);
        assert_eq!(ask.ours().form(&[]).send().await.status, 303);
        let ask = admin.ask("POST", "/users/deletion").header("origin", "http://patchbay.test");
        assert_eq!(ask.form(&[("csrf", &csrf)]).send().await.status, 303);
    }

    async fn what_a_proxy_might_say_changes_nobodys_identity(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        let user = admin.add("Ann", "ann@example.com", "").await;
        let forged = [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-user", "admin"),
            ("x-forwarded-host", "patchbay.test"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=127.0.0.1;by=admin"),
            ("x-real-ip", "127.0.0.1"),
            ("x-remote-user", "admin"),
            ("remote-user", "admin"),
            ("x-original-url", "/healthz"),
            ("x-rewrite-url", "/healthz"),
            ("x-http-method-override", "GET"),
            ("authorization", "Basic YWRtaW46YWRtaW4="),
            ("x-operator", "admin"),
        ];
        for (name, value) in forged {
            let page = app.ask("GET", "/users").header(name, value).send().await;
            assert_eq!((page.status, page.location()), (303, "/login?next=%2Fusers"), "{name}");
            let call = app.ask("GET", "/api/v1/users").header(name, value).send().await;
            assert_eq!(call.status, 401, "{name}");
            let page = auditor.ask("GET", "/settings/operators").header(name, value).send().await;
            assert_eq!(page.status, 403, "{name}");
            let post = auditor.ask("POST", &format!("/users/{user}/enabled")).header(name, value);
            let csrf = auditor.csrf.borrow().clone();
            assert_eq!(post.ours().form(&[("csrf", &csrf)]).send().await.status, 403, "{name}");
        }
        let sources = app.texts("SELECT DISTINCT source FROM audit_event").await;
        assert!(!sources.contains(&"127.0.0.1".to_owned()), "{sources:?}");
    }

    async fn a_request_id_in_the_answer_is_the_one_in_log_and_audit(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let form = [("name", "Ann"), ("email", "ann@example.com")];
        let answer = admin.post("/users", &form).await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(app.texts(&format!("SELECT action FROM audit_event WHERE request_id = '{id}'")).await, ["user.created"]);
        let line = crate::support::app::logged();
        let line = line.lines().find(|line| line.contains(id)).unwrap().to_owned();
        assert!(line.contains(r#""http.status":201"#) && line.contains(r#""http.path":"/users""#), "{line}");
    }

    async fn over_tls_cookies_and_browsers_are_told_to_stay_there(app: TestApp) {
        let plain = app.signed_in("admin", Role::Admin).await;
        let cookie = plain.get("/logout").await;
        assert_eq!(cookie.header("strict-transport-security"), None);
        let app = app.reached_as("https://pbx.example").await;
        let answer = app.browser().sign_in("admin", PASSWORD).await;
        let set = answer.header("set-cookie").unwrap();
        assert!(set.starts_with("__Host-patchbay="), "{set}");
        for part in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(set.contains(part), "{part} in {set}");
        }
        assert!(!set.contains("Domain"), "{set}");
        assert!(answer.header("strict-transport-security").unwrap().contains("max-age=31536000"));
    }

    async fn assets_are_cached_for_ever_under_their_hash_and_pages_never(app: TestApp) {
        let asset = app.get(assets::url("app.css").unwrap()).await;
        assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(asset.header("content-type"), Some("text/css; charset=utf-8"));
        assert_eq!(app.get("/login").await.header("cache-control"), Some("no-store"));
    }

    async fn bodies_beyond_the_limit_are_413_with_every_header(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let huge = "x".repeat((1 << 20) + 1);
        let page = admin.post("/users", &[("name", &huge)]).await;
        assert_eq!(page.status, 413);
        has_security_headers(&page);
        let page = app.browser().post("/login", &[("name", &huge)]).await;
        assert_eq!(page.status, 413);
        let import = "x".repeat((8 << 20) + 1);
        assert_eq!(admin.post("/users/import", &[("text", &import)]).await.status, 413);
    }

    async fn what_cannot_be_read_as_a_form_is_400(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let csrf = admin.csrf.borrow().clone();
        let before = app.contents().await;
        for (kind, body) in [
            ("text/plain", format!("name=Ann&email=ann@example.com&csrf={csrf}")),
            ("multipart/form-data; boundary=x", format!("csrf={csrf}")),
            ("application/json", format!(r#"{{"name":"Ann","csrf":"{csrf}"}}"#)),
            ("application/x-www-form-urlencoded", format!("name=%ff%fe&email=a@b.example&csrf={csrf}")),
            ("application/x-www-form-urlencoded", format!("name=%C3&email=a@b.example&csrf={csrf}")),
            ("application/x-www-form-urlencoded", format!("name=A&name=B&email=a@b.example&csrf={csrf}")),
        ] {
            let ask = admin.ask("POST", "/users").ours().header("content-type", kind).body(body.clone());
            let answer = ask.send().await;
            assert_eq!(answer.status, 400, "{kind} {body}");
            has_security_headers(&answer);
        }
        let bytes = [b"name=\xff\xfe&csrf=".as_slice(), csrf.as_bytes()].concat();
        let ask = admin.ask("POST", "/users").ours().body(bytes);
        assert_eq!(ask.header("content-type", "application/x-www-form-urlencoded").send().await.status, 400);
        assert_eq!(app.contents().await, before);
    }
}
