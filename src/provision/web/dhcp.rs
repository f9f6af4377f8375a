//! What to write into a DHCP server.

use askama::Template;

use super::NAV;
use crate::auth::Operator;
use crate::provision::dhcp::{Advice, advice};
use crate::provision::queries::pages::{self, Place};
use crate::web::{Answer, Shell, ok};

#[derive(Template)]
#[template(path = "provision/dhcp.html")]
struct DhcpPage {
    shell: Shell,
    url: String,
    advice: Vec<Advice>,
    places: Vec<Place>,
}

pub(super) async fn page(by: Operator) -> Answer {
    let (mut tx, tenant) = (by.read().await?, by.tenant());
    let url = by.state().phones_url.clone();
    ok(&DhcpPage {
        shell: by.shell(&mut tx, NAV).await?,
        advice: advice(&url),
        places: pages::places(&mut tx, tenant).await?,
        url,
    })
}
