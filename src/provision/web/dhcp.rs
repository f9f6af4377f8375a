//! What to write into a DHCP server.

use actix_web::web;
use askama::Template;

use super::NAV;
use crate::auth::Operator;
use crate::provision::dhcp::{Advice, Server, advice};
use crate::provision::queries::pages::{self, Place, Reserved};
use crate::web::{Answer, Error, Shell, download, ok};

#[derive(Template)]
#[template(path = "provision/dhcp.html")]
struct DhcpPage {
    shell: Shell,
    url: String,
    advice: Vec<Advice>,
    places: Vec<Place>,
    reserved: Vec<Reserved>,
}

pub(super) async fn page(by: Operator) -> Answer {
    let (mut tx, tenant) = (by.read().await?, by.tenant());
    let url = by.state().phones_url.clone();
    ok(&DhcpPage {
        shell: by.shell(&mut tx, NAV).await?,
        advice: advice(&url),
        places: pages::places(&mut tx, tenant).await?,
        reserved: pages::reserved(&mut tx, tenant).await?,
        url,
    })
}

pub(super) async fn reservations(by: Operator, server: web::Path<String>) -> Answer {
    let server = Server::named(&server).ok_or(Error::NotFound)?;
    let phones = pages::reserved(&mut by.read().await?, by.tenant()).await?;
    let text = server.reservations(&phones);
    let (name, kind) = match server {
        Server::Isc => ("phones-dhcpd.conf", "text/plain; charset=utf-8"),
        Server::Dnsmasq => ("phones-dnsmasq.conf", "text/plain; charset=utf-8"),
        Server::Kea => ("phones-kea.json", "application/json"),
    };
    Ok(download(name, kind, text.into_bytes()))
}
