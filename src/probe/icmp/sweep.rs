//! Many addresses, at a pace the network can take, and stopped when asked to.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep_until};

use super::PingError;

/// How much of a pause may be caught up on. Timers are good to about a millisecond: without this, a thousand a second
/// would be fewer. With more, a program that was held up would flood the network afterwards.
const SLACK: Duration = Duration::from_millis(10);

/// Someone who can be asked whether an address answers: the network, or in tests an imitation.
pub trait Echo: Sync {
    /// As [`Pinger::ping`](super::Pinger::ping).
    fn echo(
        &self,
        to: IpAddr,
        timeout: Duration,
    ) -> impl Future<Output = Result<Option<Duration>, PingError>> + Send;
}

/// How fast a sweep goes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Requests a second, repeated ones included; 0 is taken as 1.
    pub per_second: u32,
    /// The most addresses under way; 0 is taken as 1.
    pub at_once: usize,
    /// How long one request waits for its reply.
    pub timeout: Duration,
    /// Requests to an address before it counts as silent; 0 is taken as 1.
    pub tries: u8,
}

/// How a sweep ended.
#[derive(Debug, Default)]
pub struct Swept {
    /// Addresses that answered.
    pub seen: u64,
    /// Addresses that did not.
    pub silent: u64,
    /// Addresses that could not be asked. They were not reported: nothing is known about them.
    pub failed: u64,
    /// Why the last of those could not be asked.
    pub error: Option<PingError>,
    /// Whether it was stopped; addresses under way at that moment were not reported.
    pub stopped: bool,
}

/// Asks every address and reports each as soon as it is known, in no order. Takes addresses from the iterator only as
/// it goes, `pace.at_once` at a time. Ends at once when `stop` is true, or when nobody is left who could set it.
pub async fn sweep<E: Echo>(
    echo: &E,
    addresses: impl Iterator<Item = IpAddr>,
    pace: Pace,
    mut stop: watch::Receiver<bool>,
    mut on: impl FnMut(IpAddr, bool),
) -> Swept {
    let gate = Gate::new(pace.per_second);
    let mut addresses = addresses.fuse();
    let mut asked = FuturesUnordered::new();
    let mut swept = Swept::default();
    loop {
        let free = pace.at_once.max(1).saturating_sub(asked.len());
        asked.extend(addresses.by_ref().take(free).map(|to| ask(echo, &gate, to, pace)));
        let (to, seen) = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Swept { stopped: true, ..swept },
            next = asked.next() => match next {
                Some(known) => known,
                None => return swept,
            },
        };
        match seen {
            Ok(true) => swept.seen += 1,
            Ok(false) => swept.silent += 1,
            Err(_) => swept.failed += 1,
        }
        match seen {
            Ok(seen) => on(to, seen),
            Err(error) => swept.error = Some(error),
        }
    }
}

async fn ask<E: Echo>(
    echo: &E,
    gate: &Gate,
    to: IpAddr,
    pace: Pace,
) -> (IpAddr, Result<bool, PingError>) {
    for _ in 0..pace.tries.max(1) {
        gate.pass().await;
        match echo.echo(to, pace.timeout).await {
            Ok(None) => {}
            Ok(Some(_)) => return (to, Ok(true)),
            Err(error) => return (to, Err(error)),
        }
    }
    (to, Ok(false))
}

/// Lets one request through at a time, first come first served.
struct Gate {
    gap: Duration,
    next: Mutex<Instant>,
}

impl Gate {
    fn new(per_second: u32) -> Self {
        Self { gap: Duration::from_secs(1) / per_second.max(1), next: Mutex::new(Instant::now()) }
    }

    async fn pass(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        let earliest = Instant::now().checked_sub(SLACK).unwrap_or(*next);
        *next = earliest.max(*next) + self.gap;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::Ipv4Addr;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::sleep;

    use super::*;

    const PACE: Pace =
        Pace { per_second: 100, at_once: 64, timeout: Duration::from_millis(500), tries: 1 };

    /// A network whose addresses answer after 5 ms, the n-th request first; 0 is never, 255 cannot be asked.
    struct Network {
        answers_at: fn(IpAddr) -> u8,
        requests: Mutex<Vec<(Instant, IpAddr)>>,
        under_way: AtomicUsize,
        peak: AtomicUsize,
    }

    impl Network {
        fn new(answers_at: fn(IpAddr) -> u8) -> Self {
            let (under_way, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Self { answers_at, requests: Mutex::default(), under_way, peak }
        }

        fn times(&self) -> Vec<Instant> {
            self.requests.lock().unwrap().iter().map(|(at, _)| *at).collect()
        }
    }

    impl Echo for Network {
        async fn echo(&self, to: IpAddr, timeout: Duration) -> Result<Option<Duration>, PingError> {
            let nth = {
                let mut requests = self.requests.lock().unwrap();
                requests.push((Instant::now(), to));
                requests.iter().filter(|(_, asked)| *asked == to).count()
            };
            let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.peak.fetch_max(under_way, Ordering::Relaxed);
            let wanted = (self.answers_at)(to);
            let answers = wanted > 0 && nth >= usize::from(wanted);
            let delay = if answers { Duration::from_millis(5) } else { timeout };
            if wanted < 255 {
                sleep(delay).await;
            }
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            if wanted == 255 { Err(PingError::Busy) } else { Ok(answers.then_some(delay)) }
        }
    }

    fn addresses(count: u32) -> impl Iterator<Item = IpAddr> {
        (0..count).map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n)))
    }

    fn last(to: IpAddr) -> u8 {
        let IpAddr::V4(to) = to else { return 0 };
        to.octets()[3]
    }

    /// The sweep to its end, and what it reported.
    async fn run(network: &Network, count: u32, pace: Pace) -> (Swept, HashMap<IpAddr, bool>) {
        let (_keep, stop) = watch::channel(false);
        let mut reports = HashMap::new();
        let swept = sweep(network, addresses(count), pace, stop, |to, seen| {
            assert_eq!(reports.insert(to, seen), None, "{to} twice");
        })
        .await;
        (swept, reports)
    }

    #[tokio::test(start_paused = true)]
    async fn every_address_is_reported_once_as_it_is() {
        let network = Network::new(|to| last(to) % 2);
        let (swept, reports) = run(&network, 300, PACE).await;
        assert_eq!((swept.seen, swept.silent, swept.failed), (150, 150, 0));
        assert!(!swept.stopped && reports.len() == 300);
        assert!(reports.iter().all(|(to, seen)| *seen == (last(*to) % 2 == 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_requests_than_allowed() {
        for (per_second, tries) in [(100, 1), (100, 3), (3_000, 2), (1, 1)] {
            let network = Network::new(|_| 0);
            let pace = Pace { per_second, tries, at_once: 5_000, ..PACE };
            let count = per_second.min(1_000) * 2 + 3;
            let start = Instant::now();
            run(&network, count, pace).await;
            let times = network.times();
            assert_eq!(times.len(), usize::try_from(count).unwrap() * usize::from(tries));
            let most = usize::try_from(per_second + per_second / 100 + 1).unwrap();
            for (n, from) in times.iter().enumerate() {
                let until = *from + Duration::from_secs(1);
                let within = times[n..].iter().take_while(|at| **at < until).count();
                assert!(within <= most, "{within} in a second, allowed are {per_second}");
            }
            let fair = Duration::from_secs(1) * u32::try_from(times.len()).unwrap() / per_second;
            let took = start.elapsed();
            assert!(took < fair + Duration::from_millis(1_600), "{took:?} rather than {fair:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_stops_at_once_and_takes_no_more_addresses_than_it_asks() {
        let network = Network::new(|_| 0);
        let (stop, stopped) = watch::channel(false);
        let taken = AtomicUsize::new(0);
        let all = addresses(1 << 24).inspect(|_| {
            taken.fetch_add(1, Ordering::Relaxed);
        });
        let start = Instant::now();
        let (swept, ()) = tokio::join!(sweep(&network, all, PACE, stopped, |_, _| {}), async {
            sleep(Duration::from_millis(3_210)).await;
            stop.send(true).unwrap();
        });
        assert!(swept.stopped);
        assert!(start.elapsed() <= Duration::from_millis(3_300), "{:?}", start.elapsed());
        let (taken, asked) = (taken.into_inner(), network.times().len());
        assert!(taken <= asked + PACE.at_once, "{taken} taken, {asked} asked");
    }

    #[tokio::test(start_paused = true)]
    async fn it_stops_when_nobody_could_stop_it_any_more() {
        let stopped = watch::channel(false).1;
        let network = Network::new(|_| 1);
        assert!(sweep(&network, addresses(9), PACE, stopped, |_, _| {}).await.stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_silent_only_after_all_tries() {
        for (tries, seen) in [(3, 20), (2, 0), (0, 0)] {
            let network = Network::new(|_| 3);
            let (swept, _) = run(&network, 20, Pace { tries, ..PACE }).await;
            assert_eq!((swept.seen, swept.silent), (seen, 20 - seen));
            assert_eq!(network.times().len(), 20 * usize::from(tries.max(1)));
        }
        let network = Network::new(|_| 1);
        run(&network, 20, Pace { tries: 3, ..PACE }).await;
        assert_eq!(network.times().len(), 20, "who answered is not asked again");
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_under_way_than_allowed() {
        for (at_once, most) in [(7, 7), (0, 1)] {
            let network = Network::new(|_| 0);
            run(&network, 30, Pace { per_second: 10_000, at_once, ..PACE }).await;
            assert_eq!(network.peak.into_inner(), most);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_asked_is_not_called_silent() {
        let network = Network::new(|to| if last(to) == 3 { 255 } else { 1 });
        let (swept, reports) = run(&network, 10, PACE).await;
        assert_eq!((swept.seen, swept.silent, swept.failed), (9, 0, 1));
        assert!(matches!(swept.error, Some(PingError::Busy)));
        assert_eq!(reports.len(), 9);
    }
}
