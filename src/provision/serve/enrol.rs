//! By its plain name: once, while the phone's window is open, from where phones enrol.

use actix_web::HttpResponse;

use super::super::epoch::Epoch;
use super::super::render::Found;
use super::super::types::{Outcome, Stranger, inert};
use super::super::{Provisioner, queries};
use super::{Call, Guest, Shut, refused};
use crate::audit::{Actor, Change, Event, Via};
use crate::boot::{Part, What};
use crate::id::{SubnetId, TenantId};
use crate::net::Mac;
use crate::web::Error;

impl Provisioner {
    /// A plain name.
    pub(super) async fn enrol(&self, call: &Call<'_>, epoch: Option<Epoch>) -> HttpResponse {
        match self.may_enrol(call).await {
            Ok(guest) => {
                let own = call.asked.what(guest.vendor) == What::File(Part::Own);
                let found = match call.asked.what(guest.vendor) {
                    What::File(Part::Own) => self.find(guest, call, epoch).await,
                    What::File(part) => self.open_file((guest.tenant, guest.mac), part).await,
                    _ => Found::Nothing,
                };
                let there =
                    !matches!(found, Found::Broken(None, _) | Found::Nothing | Found::Unavailable);
                // Asking how long it is gives nothing away.
                if own && there && call.method != "HEAD" {
                    match self.claim(call, guest).await {
                        Ok(true) => {}
                        Ok(false) => {
                            let why = "another request was first".to_owned();
                            let shut = Shut::Refused(Outcome::Locked, Some(guest.tenant), why);
                            return self.shut(call, shut);
                        }
                        Err(error) => return self.shut(call, error.into()),
                    }
                }
                self.give(call, guest, found, "enrolment", true)
            }
            Err(shut) => self.shut(call, shut),
        }
    }

    /// Whether a phone may enrol now and from there. One nobody has added begins to wait.
    async fn may_enrol(&self, call: &Call<'_>) -> Result<Guest, Shut> {
        if let Some(wait) = self.turned_away(call) {
            return Err(wait);
        }
        let mac = call.asked.mac();
        let mut tx = self.state.read().await?;
        let phone = queries::phone(&mut tx, mac).await?;
        let places = queries::enrolment_at(&mut tx, call.address).await?;
        drop(tx);
        let nearest = places.first().map(|(tenant, _)| *tenant);
        let Some(phone) = phone else {
            if let (Some(mac), Some(place)) = (mac, places.first()) {
                self.meet(call, mac, *place);
            }
            return refused(Outcome::Unknown, nearest, "no such phone");
        };
        let whose = Some(phone.tenant);
        if phone.enrol_until.is_none_or(|until| until <= call.at) {
            return refused(Outcome::Locked, whose, "no enrolment window is open");
        }
        if !places.iter().any(|(tenant, _)| *tenant == phone.tenant) {
            return refused(Outcome::Refused, whose, "outside the subnets phones enrol in");
        }
        if call.says_other(phone.mac) {
            return refused(Outcome::Refused, whose, "the phone says it is another");
        }
        Ok(phone.into())
    }

    /// Ends the window for whoever is first.
    async fn claim(&self, call: &Call<'_>, guest: Guest) -> Result<bool, Error> {
        let actor = Actor {
            tenant: guest.tenant,
            source: call.address.to_string(),
            ..Actor::local("Patchbay", Via::System)
        };
        let mut change: Change = self.state.change(&actor).await?;
        if !queries::claim(&mut change, guest.mac).await? {
            return Ok(false);
        }
        let note = format!("fetched {} by its plain name", inert(&call.asked.name));
        change.record(Event::new("enrolment.used", &guest.mac, &guest.mac.hex()).note(note));
        change.commit().await?;
        Ok(true)
    }

    fn meet(&self, call: &Call<'_>, mac: Mac, (tenant, subnet): (TenantId, SubnetId)) {
        // Whoever asks for what no phone asks for is none.
        if !call.asked.is_known() {
            return;
        }
        let agent = call.asked.agent.as_ref();
        let said = agent.map(|agent| agent.model.clone()).unwrap_or_default();
        let model = call.asked.model().map_or(said, |model| model.name.to_owned());
        self.log.met(Stranger {
            tenant,
            mac,
            vendor: call
                .asked
                .vendor()
                .map(|vendor| vendor.as_str().to_owned())
                .unwrap_or_default(),
            model: inert(&model),
            firmware: inert(agent.map(|agent| agent.firmware.as_str()).unwrap_or_default()),
            user_agent: call.agent.clone(),
            address: call.address,
            subnet,
            path: inert(&call.asked.name),
            at: call.at,
            times: 1,
        });
    }
}
