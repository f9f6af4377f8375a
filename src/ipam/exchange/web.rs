//! The pages of imports, and the exports of lists.

use actix_web::web;
use askama::Template;

use super::{Asked, Importer, Kind, headings, moment, rows};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::web::sheet::{Import, ImportView, Part, Spool, UPLOAD_LIMIT, Upload, export};
use crate::web::{Answer, Error, Shell, respond};

/// Bytes pasted text may have.
const TEXT_LIMIT: usize = 8 << 20;

/// Every page.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Page(Right::Read), Access::Page(Right::ManageAddresses));
    let import = |route: Route| route.limit(TEXT_LIMIT).uploads(UPLOAD_LIMIT);
    vec![
        Route::get("/ipam/subnets/export", read, export_subnets),
        Route::get("/ipam/addresses/export", read, export_addresses),
        Route::get("/ipam/hosts/export", read, export_hosts),
        Route::get("/ipam/subnets/import", manage, subnets_page),
        Route::get("/ipam/addresses/import", manage, addresses_page),
        Route::get("/ipam/hosts/import", manage, hosts_page),
        import(Route::post("/ipam/subnets/import", manage, import_subnets)),
        import(Route::post("/ipam/addresses/import", manage, import_addresses)),
        import(Route::post("/ipam/hosts/import", manage, import_hosts)),
    ]
}

const SUBNETS: Import = Import {
    action: "/ipam/subnets/import",
    list: "/ipam/subnets",
    one: "subnet",
    many: "subnets",
    columns: "cidr, name and, if wished, vlan, gateway, site, dns, description, static_pools, dhcp_pools and excluded, or as NetBox or phpIPAM exports them",
    example: "name,cidr,vlan,gateway,site\nVoice Berlin,10.20.5.0/24,205,10.20.5.1,Berlin\nVoice Berlin 6,2001:db8:5::/64,205,,Berlin",
    changes: true,
};

const ADDRESSES: Import = Import {
    action: "/ipam/addresses/import",
    list: "/ipam/addresses",
    one: "address",
    many: "addresses",
    columns: "address and, if wished, status, type, hostname, mac, holder, description (why it is reserved), reason (why it is in quarantine) and until, or as NetBox or phpIPAM exports them",
    example: "address,status,hostname,mac,holder,description\n10.20.5.17,allocated,printer-3,00:15:65:aa:bb:cc,Front desk,\n10.20.5.18,reserved,,,,for the new door phone",
    changes: true,
};

const HOSTS: Import = Import {
    action: "/ipam/hosts/import",
    list: "/ipam/hosts",
    one: "host",
    many: "hosts",
    columns: "hostname and, if wished, primary_ip, nic_mac, bmc_ip, bmc_mac, device_type, manufacturer and description, or as NetBox or phpIPAM exports devices",
    example: "hostname,primary_ip,nic_mac,device_type\ngw-ber-1,10.20.5.2,00:15:65:aa:bb:cc,gateway",
    changes: true,
};

fn about(kind: Kind) -> Import {
    match kind {
        Kind::Subnets => SUBNETS,
        Kind::Addresses => ADDRESSES,
        Kind::Hosts => HOSTS,
    }
}

#[derive(Template)]
#[template(path = "ipam/exchange/import.html")]
struct ImportPage {
    shell: Shell,
    view: ImportView,
}

async fn page(by: &Operator, view: ImportView) -> Answer {
    let shell = by.shell(&mut by.read().await?, view.what.list).await?;
    let status = view.status();
    respond(status, &ImportPage { shell, view })
}

async fn subnets_page(by: Operator) -> Answer {
    page(&by, ImportView::new(SUBNETS)).await
}

async fn addresses_page(by: Operator) -> Answer {
    page(&by, ImportView::new(ADDRESSES)).await
}

async fn hosts_page(by: Operator) -> Answer {
    page(&by, ImportView::new(HOSTS)).await
}

async fn import(by: Operator, mut upload: Upload, kind: Kind) -> Answer {
    let spool = Spool::of(by.state());
    let Some(source) = upload.source(&spool, by.id())? else {
        return page(&by, ImportView::gone(about(kind))).await;
    };
    let sheet = source.open().await;
    let (name, file) = (by.name().to_string(), upload.name());
    let part = Part { from: upload.field("from_line").parse().unwrap_or(0), ..Part::default() };
    let importer =
        Importer { state: by.state(), actor: by.actor(), name: &name, file: &file, part };
    let report = importer.run(kind, sheet, !upload.is_confirmed()).await?;
    let mut view = ImportView::checked(about(kind), report, upload.is_confirmed());
    view.keep(source, &spool, by.id())?;
    view.name = file;
    page(&by, view).await
}

async fn import_subnets(by: Operator, upload: Upload) -> Answer {
    import(by, upload, Kind::Subnets).await
}

async fn import_addresses(by: Operator, upload: Upload) -> Answer {
    import(by, upload, Kind::Addresses).await
}

async fn import_hosts(by: Operator, upload: Upload) -> Answer {
    import(by, upload, Kind::Hosts).await
}

async fn file(by: Operator, asked: &Asked, kind: Kind) -> Answer {
    const ODD: Error = Error::BadRequest("the filter cannot be read; go back to the list");
    let format = asked.format().map_err(|_| ODD)?;
    let (moment, me) = (moment(by.state()).await?, by.name().to_string());
    let rows = rows(kind, moment, by.tenant(), &me, asked).await?.map_err(|_| ODD)?;
    export(format, &Spool::of(by.state()), kind.as_str(), headings(kind), rows).await
}

async fn export_subnets(by: Operator, asked: web::Query<Asked>) -> Answer {
    Box::pin(file(by, &asked, Kind::Subnets)).await
}

async fn export_addresses(by: Operator, asked: web::Query<Asked>) -> Answer {
    Box::pin(file(by, &asked, Kind::Addresses)).await
}

async fn export_hosts(by: Operator, asked: web::Query<Asked>) -> Answer {
    Box::pin(file(by, &asked, Kind::Hosts)).await
}
