//! A host's page: what it is, its addresses, who else wants them, and what happened to it.

use actix_web::web;
use askama::Template;

use super::super::standing::Interface;
use super::super::types::Host;
use super::{LIST, find};
use crate::audit::{self, Page, Record};
use crate::auth::{Operator, Right};
use crate::db::Tx;
use crate::ipam::subnets::{self, Subnet};
use crate::web::{Answer, Error, Shell, ok};

/// Lines of history a page shows.
const SHOWN: i64 = 20;

#[derive(Template)]
#[template(path = "ipam/hosts/show.html")]
struct ShowPage {
    shell: Shell,
    host: Host,
    /// The interfaces that have an address, each with the subnet it lies in.
    interfaces: Vec<(Interface, Option<Subnet>)>,
    history: Vec<Record>,
    may_manage: bool,
}

impl ShowPage {
    async fn new(by: &Operator, tx: &mut Tx, host: Host) -> Result<Self, Error> {
        let mut interfaces = Vec::new();
        for interface in super::standing(tx, by.tenant(), &host).await?.0 {
            let id = interface.record.as_ref().and_then(|record| record.subnet);
            let subnet = match id {
                Some(id) => subnets::get(tx, by.tenant(), id).await?,
                None => None,
            };
            interfaces.push((interface, subnet));
        }
        let page = Page { offset: 0, limit: SHOWN };
        let history = audit::of(tx, by.tenant(), &host.id.to_string(), page).await?;
        let may_manage = by.may(Right::ManageAddresses);
        Ok(Self { shell: by.shell(tx, LIST).await?, host, interfaces, history, may_manage })
    }

    fn disputes(&self) -> Vec<&Interface> {
        let all = self.interfaces.iter().map(|(interface, _)| interface);
        all.filter(|interface| interface.is_disputed()).collect()
    }
}

pub(super) async fn show(by: Operator, id: web::Path<crate::id::HostId>) -> Answer {
    let mut tx = by.read().await?;
    let host = find(&mut tx, &by, *id).await?;
    ok(&ShowPage::new(&by, &mut tx, host).await?)
}
