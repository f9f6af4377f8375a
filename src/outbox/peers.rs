//! How the servers that are called are doing, as far as this process knows. One that gives no
//! answer is left alone for a while, so that calls to it do not take the place of calls to others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::queries::Claimed;
use super::runner::PAUSE;
use super::types::System;
use crate::id::{CallId, TenantId};
use crate::time::Timestamp;

/// How long a call is under way before its server counts as slow.
const SLOW: Duration = Duration::from_secs(2);
/// Calls of a slow server that are under way before it is given no more.
const SUSPECT: usize = 32;
/// Seconds a server that gave no answer is tried with a single call.
const PROBE: i64 = 8;
/// How long a call is believed to be under way: its lease is over then.
const LOST: Duration = Duration::from_mins(1);

/// A server: of RADIUS each NAS, of Kea and NetBox the tenant's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    pub system: System,
    pub tenant: TenantId,
    /// None is the one that is asked when an order names none.
    pub nas: Option<IpAddr>,
}

impl Peer {
    /// Whom a call goes to.
    pub fn of(system: System, call: &Claimed) -> Self {
        Self { system, tenant: call.tenant, nas: call.payload.order.nas() }
    }
}

#[derive(Default)]
struct Doing {
    under_way: BTreeMap<CallId, Instant>,
    /// When it last answered.
    heard: Option<Instant>,
    /// Until when it is left alone, and why.
    pause: Option<(Timestamp, String)>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Peers(Mutex<BTreeMap<Peer, Doing>>);

impl Peers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Peer, Doing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call to it is made from now on.
    pub fn begin(&self, peer: Peer, call: CallId) {
        self.all().entry(peer).or_default().under_way.insert(call, Instant::now());
    }

    /// The call is over: it was answered, or (`fault`) the server is not to be had. `None` is
    /// neither.
    pub fn end(&self, peer: Peer, call: CallId, fault: Option<Result<(), String>>, now: Timestamp) {
        let mut all = self.all();
        let Some(doing) = all.get_mut(&peer) else { return };
        let begun = doing.under_way.remove(&call);
        // Sessions are asked about at once: when another was answered meanwhile, it is the call.
        let other = peer.system == System::Radius
            && begun.is_some_and(|begun| doing.heard.is_some_and(|at| at > begun));
        match fault {
            Some(Ok(())) => (doing.heard, doing.pause) = (Some(Instant::now()), None),
            Some(Err(_)) if other => {}
            Some(Err(why)) => doing.pause = Some((now.plus(PAUSE), why)),
            None => {}
        }
        if doing.under_way.is_empty() && doing.pause.is_none() {
            all.remove(&peer);
        }
    }

    /// Until when it is given no call, and why. When its time is over one call is let through, and
    /// the others wait for what comes of that.
    pub fn held(&self, peer: Peer, now: Timestamp) -> Option<(Timestamp, String)> {
        let mut all = self.all();
        let doing = all.get_mut(&peer)?;
        doing.under_way.retain(|_, begun| begun.elapsed() < LOST);
        if peer.system != System::Radius && !doing.under_way.is_empty() {
            return Some((now, "others are being made".to_owned()));
        }
        if let Some((until, why)) = &mut doing.pause {
            if *until > now {
                return Some((*until, why.clone()));
            }
            if peer.system == System::Radius {
                *until = now.plus(PROBE);
            }
            return None;
        }
        let slow = doing.under_way.values().filter(|begun| begun.elapsed() > SLOW).count();
        (slow >= SUSPECT).then(|| (now.plus(1), "the server is slow to answer".to_owned()))
    }

    /// Calls to a system that are under way: those of servers that are not slow, and all.
    pub fn under_way(&self, system: System) -> (usize, usize) {
        let all = self.all();
        let begun = all.iter().filter(|(peer, _)| peer.system == system);
        let begun: Vec<Instant> =
            begun.flat_map(|(_, doing)| doing.under_way.values().copied()).collect();
        let brisk = begun.iter().filter(|begun| begun.elapsed() <= SLOW).count();
        (brisk, begun.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(system: System) -> Peer {
        Peer { system, tenant: TenantId::DEFAULT, nas: None }
    }

    fn call(n: u128) -> CallId {
        CallId::from(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn who_gives_no_answer_is_left_alone_and_then_tried_with_one_call() {
        let (peers, peer, silent) =
            (Peers::default(), peer(System::Radius), "no answer".to_owned());
        let now = Timestamp(1_000);
        assert_eq!(peers.held(peer, now), None);
        peers.begin(peer, call(1));
        peers.end(peer, call(1), Some(Err(silent.clone())), now);
        assert_eq!(peers.held(peer, now.plus(PAUSE - 1)), Some((now.plus(PAUSE), silent.clone())));
        let later = now.plus(PAUSE);
        assert_eq!(peers.held(peer, later), None, "one is let through");
        assert_eq!(peers.held(peer, later), Some((later.plus(PROBE), silent)));
        peers.begin(peer, call(2));
        peers.end(peer, call(2), Some(Ok(())), later);
        assert_eq!(peers.held(peer, later), None);
        assert_eq!(peers.under_way(System::Radius), (0, 0));
    }

    #[test]
    fn one_call_without_an_answer_among_others_with_one_says_nothing_of_the_server() {
        let (peers, peer, now) = (Peers::default(), peer(System::Radius), Timestamp(1_000));
        peers.begin(peer, call(1));
        peers.begin(peer, call(2));
        peers.begin(peer, call(3));
        peers.end(peer, call(2), Some(Ok(())), now);
        peers.end(peer, call(1), Some(Err("no answer".to_owned())), now);
        assert_eq!(peers.held(peer, now), None);
        assert_eq!(peers.under_way(System::Radius), (1, 1));
    }

    #[test]
    fn with_kea_and_netbox_there_is_one_conversation_for_each_tenant() {
        let (peers, peer, now) = (Peers::default(), peer(System::Netbox), Timestamp(1_000));
        peers.begin(peer, call(1));
        assert!(peers.held(peer, now).is_some());
        peers.end(peer, call(1), None, now);
        assert_eq!(peers.held(peer, now), None);
    }
}
