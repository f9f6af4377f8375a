//! Doing runs, in the background of a serving process.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::interval;

use super::event::event;
use super::queries::{self, Job};
use super::types::{Kind, PhoneState, State as RunState};
use crate::asterisk::access::{Access, Unusable};
use crate::asterisk::ami::{Ami, AmiError};
use crate::id::{NotificationId, TenantId};
use crate::net::Mac;
use crate::numbering::ExtensionNumber;
use crate::state::State;
use crate::tenants::{self, Tenant};
use crate::web::Error;

/// How often what is old is forgotten.
const TIDY: Duration = Duration::from_hours(1);
/// Seconds that a run is remembered after its end.
const REMEMBERED: i64 = 180 * 24 * 60 * 60;
/// How often one looks whether there is something to do.
const TURN: Duration = Duration::from_secs(1);
/// Seconds a process is believed to be alive without a word. Longer than a wave takes.
const LEASE: i64 = 60;
/// Seconds from one try to the next while Asterisk does not answer.
const RETRY: i64 = 5;
/// Seconds without an answer of Asterisk after which a run is given up.
const PATIENCE: i64 = 15 * 60;
/// What is said of phones that may or may not have been told to restart.
const DOUBT: &str = "it broke off while this phone was told, which may have restarted or not: look, and restart it again if it has not";

/// A process that does runs.
pub struct Runner {
    state: State,
    access: Access,
    /// What it calls itself in the rows of its runs.
    name: String,
}

/// What is known of a phone that is to be told.
struct Target {
    /// What to tell it, or why that cannot be told.
    event: Result<&'static str, &'static str>,
    /// Its numbers in the order of its lines, each with the device known to be registered as it.
    lines: Vec<(ExtensionNumber, Option<Mac>)>,
}

/// Telling a phone came to this: the number it was told through, or why it was not told.
type Outcome = Result<ExtensionNumber, String>;

impl Runner {
    /// One that asks the Asterisk at `access`.
    pub fn new(state: State, access: Access) -> std::io::Result<Self> {
        let name = state.vault.entropy().text(20)?;
        Ok(Self { state, access, name })
    }

    /// Does runs until `leave` is true.
    pub async fn run(self, mut leave: watch::Receiver<bool>) {
        let (mut turn, mut tidying) = (interval(TURN), interval(TIDY));
        loop {
            let tidies = tokio::select! {
                biased;
                _ = leave.wait_for(|leave| *leave) => return,
                _ = tidying.tick() => true,
                _ = turn.tick() => false,
            };
            let (done, what) = if tidies {
                (self.tidy().await, "old runs could not be forgotten")
            } else {
                (self.turn().await, "phones cannot be told")
            };
            if let Err(error) = done {
                tracing::warn!(%error, "{what}; it is tried again");
            }
        }
    }

    async fn tidy(&self) -> Result<(), Error> {
        let mut tx = self.state.db.write().await?;
        queries::forget(&mut tx, self.state.clock.now().plus(-REMEMBERED)).await?;
        Ok(tx.commit().await?)
    }

    /// Does whatever is due by the clock.
    pub async fn turn(&self) -> Result<(), Error> {
        let jobs = queries::open(&mut self.state.read().await?).await?;
        let now = self.state.clock.now();
        for job in jobs {
            let mine = job.runner == self.name;
            let due = job.next_at <= now || job.stopping;
            // A run of another's whose lease is over is taken; one's own is kept in time.
            if (mine && (due || job.lease_until <= now.plus(LEASE / 2)))
                || (!mine && job.lease_until < now)
            {
                self.work(&job).await?;
            }
        }
        Ok(())
    }

    /// Takes or keeps a run, and does what is due of it.
    async fn work(&self, job: &Job) -> Result<(), Error> {
        let now = self.state.clock.now();
        let mut tx = self.state.db.write().await?;
        if !queries::lease(&mut tx, job.id, &self.name, (now, now.plus(LEASE))).await? {
            return Ok(());
        }
        if job.runner != self.name {
            let (state, why) = match job.kind {
                Kind::Resync => (PhoneState::Waiting, ""),
                Kind::Reboot => (PhoneState::Failed, DOUBT),
            };
            queries::settle_doubts(&mut tx, job.id, state, why).await?;
        }
        if job.stopping {
            queries::give_up(&mut tx, job.id, "the run was stopped before").await?;
            queries::end(&mut tx, job.id, (RunState::Stopped, ""), now).await?;
            return Ok(tx.commit().await?);
        }
        let due = job.next_at <= now;
        if due && queries::waiting(&mut tx, job.id).await? == 0 {
            queries::end(&mut tx, job.id, (RunState::Done, ""), now).await?;
            return Ok(tx.commit().await?);
        }
        tx.commit().await?;
        if due { self.wave(job).await } else { Ok(()) }
    }

    /// Tells the next phones.
    async fn wave(&self, job: &Job) -> Result<(), Error> {
        let mut ami = match self.access.connect().await {
            Ok((ami, _)) => ami,
            Err(unusable) => return self.put_off(job, &unusable).await,
        };
        let mut tx = self.state.db.write().await?;
        let phones = queries::next_wave(&mut tx, job.id, job.wave_size).await?;
        tx.commit().await?;
        let tenant = tenants::get(&mut self.state.read().await?, job.tenant).await?;
        let mut told: Vec<(Mac, Outcome)> = Vec::with_capacity(phones.len());
        let mut broken = None;
        for mac in phones {
            if broken.is_some() {
                break;
            }
            let target = self.target(job, mac).await?;
            match tell(&mut ami, &tenant, mac, target).await {
                Ok(outcome) => told.push((mac, outcome)),
                Err(error) => {
                    // Whether it was told is not known: told twice to fetch is no harm.
                    if job.kind == Kind::Reboot {
                        told.push((mac, Err(DOUBT.to_owned())));
                    }
                    broken = Some(Unusable::from(error));
                }
            }
        }
        self.write_down(job, &told).await?;
        match broken {
            None => Ok(()),
            Some(unusable) => self.put_off(job, &unusable).await,
        }
    }

    /// What to tell a phone and through which of its numbers; `None` when the tenant has no such phone
    /// any more.
    async fn target(&self, job: &Job, mac: Mac) -> Result<Option<Target>, Error> {
        let mut tx = self.state.read().await?;
        let known = super::restarts(&mut tx, job.tenant, mac).await?;
        let Some((vendor, restarts)) = known else { return Ok(None) };
        let lines = queries::lines(&mut tx, job.tenant, mac).await?;
        Ok(Some(Target { event: event(vendor, job.kind, restarts), lines }))
    }

    async fn write_down(&self, job: &Job, told: &[(Mac, Outcome)]) -> Result<(), Error> {
        let now = self.state.clock.now();
        let mut tx = self.state.db.write().await?;
        for (mac, outcome) in told {
            queries::outcome(&mut tx, job.id, *mac, outcome, now).await?;
        }
        let sent = told.iter().filter(|(_, outcome)| outcome.is_ok()).count();
        metrics::counter!("phones_told_total", "kind" => job.kind.as_str())
            .increment(u64::try_from(sent).unwrap_or(u64::MAX));
        if queries::waiting(&mut tx, job.id).await? == 0 && !told.is_empty() {
            queries::end(&mut tx, job.id, (RunState::Done, ""), now).await?;
        } else {
            queries::postpone(&mut tx, job.id, now.plus(job.pause), "").await?;
        }
        Ok(tx.commit().await?)
    }

    /// Asterisk does not answer: those that were about to be told wait, or are in doubt, and after a
    /// long while nobody waits any more.
    async fn put_off(&self, job: &Job, unusable: &Unusable) -> Result<(), Error> {
        let now = self.state.clock.now();
        let mut tx = self.state.db.write().await?;
        queries::settle_doubts(&mut tx, job.id, PhoneState::Waiting, "").await?;
        let last = queries::last_sent(&mut tx, job.id).await?.unwrap_or(job.created_at);
        if now.since(last) > PATIENCE + job.pause {
            let why = unusable.to_string();
            queries::give_up(&mut tx, job.id, &why).await?;
            queries::end(&mut tx, job.id, (RunState::Failed, &why), now).await?;
        } else {
            let why = format!("{unusable}; it is tried again");
            queries::postpone(&mut tx, job.id, now.plus(RETRY), &why).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Tells one phone through the first of its lines that is registered. An error is Asterisk's, not
/// the phone's.
async fn tell(
    ami: &mut Ami,
    tenant: &Tenant,
    mac: Mac,
    target: Option<Target>,
) -> Result<Outcome, AmiError> {
    let Some(Target { event, lines }) = target else {
        return Ok(Err("there is no such phone any more".to_owned()));
    };
    let event = match event {
        Ok(event) => event,
        Err(why) => return Ok(Err(why.to_owned())),
    };
    if lines.is_empty() {
        return Ok(Err("it has no line: without one Asterisk cannot reach it".to_owned()));
    }
    let mut why = Vec::new();
    for (number, device) in lines {
        if let Some(other) = device.filter(|device| *device != mac) {
            why.push(format!("{other} is registered as {number}"));
            continue;
        }
        let endpoint = tenant.endpoint(number);
        if ami.contacts_of(&endpoint).await?.is_empty() {
            why.push(format!("it is not registered as {number}"));
            continue;
        }
        match ami.notify(&endpoint, event).await {
            Ok(()) => return Ok(Ok(number)),
            Err(AmiError::Failed(text)) => why.push(refused(&text)),
            Err(error) => return Err(error),
        }
    }
    Ok(Err(why.join("; ")))
}

/// Asterisk's refusal, and what to do about the one that is not the phone's fault.
fn refused(text: &str) -> String {
    if text.starts_with("Invalid/unknown command") {
        "Asterisk's module res_pjsip_notify is not loaded: run patchbay asterisk check".to_owned()
    } else {
        format!("Asterisk answered: {text}")
    }
}

/// Does a run of one phone now, for a caller who waits for the outcome.
pub async fn tell_now(
    state: &State,
    access: &Access,
    tenant: TenantId,
    id: NotificationId,
) -> Result<(), Error> {
    let runner = Runner::new(state.clone(), access.clone())?;
    let jobs = queries::open(&mut state.read().await?).await?;
    match jobs.iter().find(|job| job.id == id && job.tenant == tenant) {
        // Whoever is faster does it.
        Some(job) => runner.work(job).await,
        None => Ok(()),
    }
}
