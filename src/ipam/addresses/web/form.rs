//! What is typed into the forms of one address.

use serde::Deserialize;

use super::Act;
use crate::id::ClaimId;
use crate::ipam::addresses::job::Job;
use crate::ipam::addresses::places::Person;
use crate::ipam::addresses::{Edit, Holder, HolderKind, Hostname, Note, Record, Refusal, Tenure};
use crate::ipam::class::Status;
use crate::ipam::web::{day, end_of_day};
use crate::net::Mac;
use crate::text::Line;
use crate::time::Zone;
use crate::web::form::Field;

/// Every field of every form of one address.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ActForm {
    /// What the address was when the form was shown.
    pub(super) stamp: String,
    /// The last address of the gap a row stood for.
    pub(super) gap: String,
    pub(super) note: Field,
    pub(super) reason: Field,
    pub(super) description: Field,
    pub(super) until: Field,
    pub(super) hostname: Field,
    pub(super) mac: Field,
    pub(super) platform: Field,
    pub(super) manufacturer: Field,
    /// Why it is done, for the history; may be empty.
    pub(super) why: Field,
    /// `user` or `external`.
    pub(super) kind: String,
    pub(super) holder: Field,
    /// The one chosen of several people.
    pub(super) person: String,
    /// `keep` or `give`, a blank, and whose claim.
    pub(super) decision: String,
    #[serde(skip)]
    pub(super) people: Vec<Person>,
}

/// What a form comes to.
pub(super) enum Parsed {
    Job(Job),
    /// Whose name must be looked up first.
    ToUser,
}

impl ActForm {
    /// A form that holds what is known.
    pub(super) fn of(record: Option<&Record>, zone: &Zone) -> Self {
        let empty = Self { stamp: "0".to_owned(), kind: "user".to_owned(), ..Self::default() };
        let Some(record) = record else { return empty };
        Self {
            stamp: record.stamp().to_string(),
            description: Field::holding(&record.description),
            reason: Field::holding(&record.reason),
            until: Field::holding(&record.until.map(|until| day(until, zone)).unwrap_or_default()),
            hostname: Field::holding(&record.hostname),
            mac: Field::holding(&record.mac.map(|mac| mac.to_string()).unwrap_or_default()),
            platform: Field::holding(&record.platform),
            manufacturer: Field::holding(&record.manufacturer),
            ..empty
        }
    }

    /// What the address must still be. Whoever wants a free one is told who was faster instead.
    pub(super) fn stamp(&self, act: Act) -> Option<i64> {
        match act {
            Act::Reserve | Act::Allocate => None,
            _ => self.stamp.parse().ok(),
        }
    }

    /// Puts a refusal beside the field it is about; false when it is about none.
    pub(super) fn reject(&mut self, refusal: &Refusal) -> bool {
        let field = match refusal.field() {
            Some("until") => &mut self.until,
            Some("description") => &mut self.description,
            Some("reason") => &mut self.reason,
            Some("hostname") => &mut self.hostname,
            Some("holder") => &mut self.holder,
            _ => return false,
        };
        field.reject(refusal);
        true
    }

    /// Parses every field before giving up, so that every error shows at once.
    pub(super) fn parse(
        &mut self,
        act: Act,
        record: Option<&Record>,
        zone: &Zone,
    ) -> Option<Parsed> {
        let job = match act {
            Act::Edit => Job::Edit(self.edit(record, zone)?),
            Act::Reserve => {
                let (note, until) = (self.note.parse::<Note>(), end_of_day(&mut self.until, zone));
                Job::Reserve { note: note?, until: until? }
            }
            Act::Release => Job::Release,
            Act::Quarantine => {
                let (reason, until) =
                    (self.reason.parse::<Note>(), end_of_day(&mut self.until, zone));
                Job::Quarantine { reason: reason?, until: until? }
            }
            Act::Allocate => return self.allocate(),
            Act::Resolve => {
                let (decision, claim) = self.decision.split_once(' ')?;
                let claim: ClaimId = claim.parse().ok()?;
                Job::Resolve { claim, give: decision == "give" }
            }
        };
        Some(Parsed::Job(job))
    }

    fn edit(&mut self, record: Option<&Record>, zone: &Zone) -> Option<Edit> {
        let status = record.map(|record| record.status);
        let hostname = self.hostname.parse::<Hostname>();
        let mac = self.mac.parse_optional::<Mac>();
        let platform = self.platform.parse::<Line<100>>();
        let manufacturer = self.manufacturer.parse::<Line<100>>();
        let description = self.description.parse::<Line<500>>();
        let reason = self.reason.parse::<Line<500>>();
        let was = Self::of(record, zone).until;
        let until = if self.until.value == was.value {
            Some(None)
        } else {
            end_of_day(&mut self.until, zone).map(Some)
        };
        // What the status does not have is not in its form; sent all the same, it is refused.
        let has = |line: Line<500>, wanted| {
            Some(line).filter(|line| status == Some(wanted) || !line.is_empty())
        };
        Some(Edit {
            hostname: Some(hostname?),
            mac: Some(mac?),
            platform: Some(platform?),
            manufacturer: Some(manufacturer?),
            description: has(description?, Status::Reserved),
            reason: has(reason?, Status::Quarantine),
            until: until?,
        })
    }

    fn tenure(&mut self, holder: Holder) -> Option<Tenure> {
        let (hostname, mac) = (self.hostname.parse::<Hostname>(), self.mac.parse_optional::<Mac>());
        let platform = self.platform.parse::<Line<100>>();
        let manufacturer = self.manufacturer.parse::<Line<100>>();
        Some(Tenure {
            holder,
            hostname: hostname?,
            mac: mac?,
            platform: platform?,
            manufacturer: manufacturer?,
        })
    }

    fn allocate(&mut self) -> Option<Parsed> {
        if self.holder.value.is_empty() {
            self.holder.reject(&"say who gets it");
            return None;
        }
        if self.kind != "external" {
            return Some(Parsed::ToUser);
        }
        let name = self.holder.parse::<Line<100>>()?.to_string();
        let holder = Holder { kind: HolderKind::External, id: name.clone(), name };
        self.tenure(holder).map(|tenure| Parsed::Job(Job::Allocate(tenure)))
    }

    /// The user meant, if it can be only one; else the form asks who of them.
    pub(super) fn choose(&mut self, people: Vec<Person>) -> Option<Job> {
        let chosen = people.iter().find(|person| person.id.to_string() == self.person).cloned();
        let person = match (chosen, people.as_slice()) {
            (Some(chosen), _) => chosen,
            (None, [only]) => only.clone(),
            (None, []) => {
                let who = &self.holder.value;
                let why = format!(
                    "no user has the number or name {who}; choose “somebody else” for people without an extension"
                );
                self.holder.reject(&why);
                return None;
            }
            (None, _) => {
                self.holder.reject(&"who of them?");
                self.people = people;
                return None;
            }
        };
        let holder =
            Holder { kind: HolderKind::User, id: person.id.to_string(), name: person.name };
        self.tenure(holder).map(Job::Allocate)
    }
}
