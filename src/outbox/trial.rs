//! The "Test" button: speaks to a system as it is set up, changes nothing there but NetBox's tag,
//! and says in words what happened.

use std::time::Duration;

use super::send::Access;
use super::setup::{self, Nas, Settings};
use super::types::System;
use crate::id::TenantId;
use crate::net::Family;
use crate::outside::guard::Allowed;
use crate::outside::http::Resolver;
use crate::outside::kea::{Channel, NEEDED};
use crate::outside::radius::{self, Code, Exchange, Request, Session};
use crate::outside::{Fault, Leased};
use crate::state::State;
use crate::web::Error;

/// How long a NAS is waited for: somebody sits before the page.
const WAITS: [Duration; 2] = [Duration::from_millis(800), Duration::from_millis(1_600)];
/// A session nobody has: to ask about it changes nothing.
const NOBODY: &str = "patchbay-test";

/// What one thing tried showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether all is well.
    pub good: bool,
    /// In a sentence.
    pub sentence: String,
}

impl Finding {
    fn good(sentence: impl Into<String>) -> Self {
        Self { good: true, sentence: sentence.into() }
    }

    fn bad(sentence: impl Into<String>) -> Self {
        Self { good: false, sentence: sentence.into() }
    }

    fn of(result: Result<String, Fault>) -> Self {
        match result {
            Ok(sentence) => Self::good(sentence),
            Err(fault) => Self::bad(fault.to_string()),
        }
    }
}

/// Tries a system as it is saved.
pub async fn system(
    state: &State,
    tenant: TenantId,
    system: System,
    resolver: &Resolver,
) -> Result<Vec<Finding>, Error> {
    let access = Access::read(state, tenant, system).await?;
    Ok(match access.settings() {
        Settings::Radius(_) => {
            let mut tx = state.read().await?;
            let (list, allowed) =
                (setup::nases(&mut tx, tenant).await?, setup::allowed(&mut tx, system).await?);
            drop(tx);
            let mut findings = Vec::new();
            for one in &list {
                findings.push(try_nas(state, tenant, one, &allowed).await?);
            }
            if findings.is_empty() {
                findings.push(Finding::bad("No NAS is known; add one below"));
            }
            findings
        }
        Settings::Dhcp(_) => dhcp(&access, resolver).await,
        Settings::Netbox(_) => vec![Finding::of(netbox(&access, resolver).await)],
    })
}

/// Tries one NAS.
pub async fn nas(state: &State, tenant: TenantId, nas: &Nas) -> Result<Finding, Error> {
    let allowed = setup::allowed(&mut state.read().await?, System::Radius).await?;
    try_nas(state, tenant, nas, &allowed).await
}

async fn try_nas(
    state: &State,
    tenant: TenantId,
    nas: &Nas,
    allowed: &Allowed,
) -> Result<Finding, Error> {
    let open = nas.open(&state.vault, tenant)?;
    let [identifier] = state.vault.entropy().bytes()?;
    let session = Session { user_name: Some(NOBODY.to_owned()), ..Session::default() };
    let request = Request {
        code: Code::Coa,
        identifier,
        at: u32::try_from(state.clock.now().0).unwrap_or(0),
        nas: open.ip,
        session: &session,
        leased: Leased::Address(nobody()),
        filter: None,
    };
    Ok(match radius::ask(&open, &request, Exchange { allowed, waits: &WAITS }).await {
        Ok(_) => Finding::good(format!("{} answers, and signs with the same secret", open.name())),
        // It heard, and signed its refusal: that is what was to be found out.
        Err(fault @ (Fault::Said(_) | Fault::Later(_))) => Finding::good(format!(
            "{} answers, and signs with the same secret; to a request for nobody's session it says: {fault}",
            open.name()
        )),
        Err(Fault::Silent(name)) => Finding::bad(format!(
            "{name} does not answer. Does it listen for CoA on this port, is this machine among its clients, and is the secret the same on both sides? A NAS says nothing to whoever signs with another"
        )),
        Err(fault) => Finding::bad(fault.to_string()),
    })
}

/// An address for documentation (RFC 5737), which nobody has.
fn nobody() -> crate::net::Address {
    crate::net::Address::from(std::net::IpAddr::from([192, 0, 2, 1]))
}

async fn dhcp(access: &Access, resolver: &Resolver) -> Vec<Finding> {
    let mut findings = Vec::new();
    for family in [Family::V4, Family::V6] {
        match access.kea(family, resolver).await {
            Ok(None) => {}
            Ok(Some(channel)) => findings.push(Finding::of(kea(&channel).await)),
            Err(fault) => findings.push(Finding::bad(fault.to_string())),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::bad("No server is set up"));
    }
    findings
}

async fn kea(channel: &Channel) -> Result<String, Fault> {
    let version = channel.version().await?;
    let commands = channel.commands().await?;
    let digit = channel.digit();
    for (command, hook) in NEEDED {
        let command = command.replace("{}", &digit.to_string());
        if !commands.contains(&command) {
            return Err(Fault::Never(format!(
                "{} is Kea {version}, but does not know {command}: load the hook {hook} in its configuration",
                channel.name()
            )));
        }
    }
    let subnets = channel.subnets().await?.len();
    let subnets = if subnets == 1 { "1 subnet".to_owned() } else { format!("{subnets} subnets") };
    Ok(format!(
        "{} is Kea {version}, for {}, serves {subnets} and takes reservations",
        channel.name(),
        channel.family
    ))
}

async fn netbox(access: &Access, resolver: &Resolver) -> Result<String, Fault> {
    let client = access.netbox(resolver).await?;
    let version = client.version().await?.0;
    if !version.starts_with("4.") {
        return Err(Fault::Never(format!(
            "{} is NetBox {version}; Patchbay speaks to version 4",
            client.name()
        )));
    }
    client.see_to_tag().await?;
    Ok(format!("{} is NetBox {version}, and lets Patchbay write", client.name()))
}
