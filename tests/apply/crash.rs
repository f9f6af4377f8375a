//! `patchbay apply` killed, and given EIO and ENOSPC, at every call that changes a file, and at some of every other kind
//! of call: Asterisk's files are the old ones or the new ones, each whole, and the next apply succeeds.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    ops::RangeInclusive,
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output},
    time::{Duration, Instant},
};

use patchbay::{
    apply::{ApplyError, Run, RunState, Source},
    audit::Page,
    users::User,
};

use crate::{
    office::{Database, Office, request},
    proxy::{Fault, Proxy},
};

/// Calls by which the files of a release come and go.
const FILES: [&str; 11] = [
    "mkdir",
    "chmod",
    "fchmod",
    "ftruncate",
    "linkat",
    "rename",
    "symlink",
    "unlink",
    "unlinkat",
    "rmdir",
    "fsync",
];
/// Calls by which `SQLite` writes.
const DATABASE: [&str; 4] = ["pwrite64", "fsync", "fdatasync", "fchown"];
/// Calls that do not fail, or whose error ends the runtime or the C library and not what the program does: memory, threads,
/// signals and waiting. Among them `write`, by which the runtime wakes itself; a file that cannot be written is below.
const RUNTIME: [&str; 24] = [
    "brk",
    "clone3",
    "epoll_create1",
    "epoll_wait",
    "eventfd2",
    "exit",
    "exit_group",
    "futex",
    "geteuid",
    "getpid",
    "gettid",
    "madvise",
    "mprotect",
    "munmap",
    "poll",
    "prctl",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "sigaltstack",
    "write",
];
/// What the program's own runtime asks first; what comes before is the loader's.
const BEGINS: &str = "poll([{fd=0";
/// No Apply takes as long, whatever fails; one that does has hung.
const PATIENCE: Duration = Duration::from_mins(1);

/// The calls of a kind that are the program's, as `when=` counts them.
type Calls = BTreeMap<String, RangeInclusive<usize>>;

/// An office with so many releases that each Apply also removes one.
async fn settled(database: Database) -> (Office, User) {
    let office = Office::open(database).await;
    let (ann, _) = office.hire("Ann").await;
    for n in 0..7 {
        office.rename(&ann, &format!("Ann {n}")).await;
        assert_eq!(office.apply().await.state, RunState::Verified);
    }
    (office, ann)
}

#[tokio::test]
async fn killed_or_failing_at_any_change_of_a_file_the_release_is_the_old_one_or_the_new_one() {
    // With the database elsewhere, the files are all it writes.
    let sweep = Sweep::of(Database::Postgres).await;
    let calls = sweep.count().await;
    for call in ["mkdir", "linkat", "rename", "symlink", "fsync"] {
        assert!(calls.contains_key(call), "{calls:?}");
    }
    let files = of_kinds(&calls, |kind| FILES.contains(&kind));
    sweep.all(&files, &["signal=SIGKILL", "error=EIO", "error=ENOSPC"]).await;
    // Between the words to Asterisk and to the database.
    sweep.all(&of_kinds(&calls, |kind| kind == "sendto"), &["signal=SIGKILL"]).await;
    sweep.torn_write().await;
    sweep.hit(30, 20);
}

#[tokio::test]
async fn killed_or_failing_at_any_write_of_the_database_the_release_is_the_old_one_or_the_new_one()
{
    let sweep = Sweep::of(Database::Sqlite).await;
    let calls = of_kinds(&sweep.count().await, |kind| DATABASE.contains(&kind));
    assert!(calls["pwrite64"].end() > &10 && calls["fsync"].end() > &1, "{calls:?}");
    sweep.all(&calls, &["signal=SIGKILL", "error=EIO", "error=ENOSPC"]).await;
    sweep.hit(20, 20);
    let check = sweep.office.patchbay(&["check"]);
    assert!(check.status.success(), "{check:?}");
}

#[tokio::test]
async fn killed_or_failing_at_any_kind_of_call_the_release_is_the_old_one_or_the_new_one() {
    let sweep = Sweep::of(Database::Sqlite).await;
    sweep.some_of_each(&[&FILES[..], &DATABASE].concat()).await;
}

#[tokio::test]
async fn so_it_is_with_the_database_elsewhere() {
    let sweep = Sweep::of(Database::Postgres).await;
    sweep.some_of_each(&[&FILES[..], &["sendto"]].concat()).await;
}

fn of_kinds(calls: &Calls, wanted: impl Fn(&str) -> bool) -> Calls {
    calls.iter().filter(|(kind, _)| wanted(kind)).map(|(k, c)| (k.clone(), c.clone())).collect()
}

/// The first, the middle and the last; all, where there are not many more.
fn some(calls: &RangeInclusive<usize>) -> Vec<usize> {
    let (first, last) = (*calls.start(), *calls.end());
    if last - first < 5 { calls.clone().collect() } else { vec![first, first.midpoint(last), last] }
}

struct Sweep {
    office: Office,
    ann: User,
    /// How many were killed, and how many failed.
    killed: Cell<u32>,
    failed: Cell<u32>,
}

impl Sweep {
    async fn of(database: Database) -> Self {
        let (office, ann) = settled(database).await;
        Self { office, ann, killed: Cell::new(0), failed: Cell::new(0) }
    }

    /// Every call a process that applies makes, by kind: from the first that is not the loader's to the last of whichever
    /// thread makes the most, because `when=` counts by thread.
    async fn count(&self) -> Calls {
        self.office.rename(&self.ann, "Ann, counted").await;
        let trace = self.office.data_dir().join("trace");
        let file = trace.to_str().unwrap().to_owned();
        let output = self.strace(&["-o", &file, "-e", "signal=none"]);
        assert!(output.status.success(), "{output:?}");
        let trace = fs::read(trace).unwrap();
        let trace = String::from_utf8_lossy(&trace);
        let mut threads: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut loader = None;
        for line in trace.lines() {
            let (thread, call) = line.split_once(' ').unwrap();
            let call = call.trim_start();
            if loader.is_none() && call.starts_with(BEGINS) {
                loader = Some(threads.clone());
            }
            // Neither the end of a call that was begun before nor that of a thread.
            if let Some((kind, _)) = call.split_once('(')
                && !call.starts_with(['<', '+'])
            {
                *threads.entry((kind, thread)).or_default() += 1;
            }
        }
        let loader = loader.expect("where the program begins");
        let mut calls = Calls::new();
        for ((kind, _), last) in threads {
            let before = loader.iter().filter(|((other, _), _)| *other == kind);
            let first = before.map(|(_, count)| count + 1).max().unwrap_or(1);
            let most = calls.get(kind).map_or(0, |calls| *calls.end());
            if last >= first && last > most {
                calls.insert(kind.to_owned(), first..=last);
            }
        }
        calls
    }

    async fn all(&self, calls: &Calls, faults: &[&str]) {
        self.each(calls, RangeInclusive::clone, faults).await;
    }

    /// [`some`] of each kind that is not `covered` already; killed at all of them, and failing
    /// where that can be handled.
    async fn some_of_each(&self, covered: &[&str]) {
        let calls = self.count().await;
        let killed = of_kinds(&calls, |kind| !covered.contains(&kind));
        let failing = of_kinds(&calls, |kind| {
            (!covered.contains(&kind) || kind == "sendto") && !RUNTIME.contains(&kind)
        });
        self.each(&killed, some, &["signal=SIGKILL"]).await;
        self.each(&failing, some, &["error=EIO"]).await;
        self.hit(60, 20);
    }

    async fn each<I: IntoIterator<Item = usize>>(
        &self,
        calls: &Calls,
        which: impl Fn(&RangeInclusive<usize>) -> I,
        faults: &[&str],
    ) {
        for (kind, calls) in calls {
            for when in which(calls) {
                for fault in faults {
                    let inject = format!("inject={kind}:{fault}:when={when}");
                    self.one(&format!("{inject} of {calls:?}"), || {
                        let trace = format!("trace={kind}");
                        self.strace(&["-o", "/dev/null", "-e", &trace, "-e", &inject])
                    })
                    .await;
                }
            }
        }
    }

    /// A sweep that hits nothing proves nothing.
    #[track_caller]
    fn hit(&self, killed: u32, failed: u32) {
        let hit = (self.killed.get(), self.failed.get());
        assert!(hit.0 > killed && hit.1 > failed, "{hit:?}");
    }

    /// The disk ends in the middle of a file.
    async fn torn_write(&self) {
        self.one("a write that ends half-way", || {
            let mut limited = Command::new("prlimit");
            limited.args(["--fsize=1000", "--core=0", env!("CARGO_BIN_EXE_patchbay"), "apply"]);
            limited.envs(self.office.environment()).output().unwrap()
        })
        .await;
    }

    async fn one(&self, rule: &str, apply: impl FnOnce() -> Output) {
        let old = self.office.files();
        let runs = self.runs().await.len();
        // As long as the one before, so that the files differ in their time only, or they would not be read.
        let name = format!("Ann {runs:08}");
        self.office.rename(&self.ann, &name).await;
        let begun = Instant::now();
        let output = apply();
        assert!(begun.elapsed() < PATIENCE, "{rule}: it hung, {output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let found = self.office.files();
        // strace ends as what it traced ended, or says so with its exit code.
        let killed = output.status.signal().is_some() || output.status.code() == Some(128 + 9);
        if std::env::var_os("PATCHBAY_SWEEP").is_some() {
            eprintln!("{rule}: {:?} in {:?}", output.status, begun.elapsed());
        }
        self.killed.set(self.killed.get() + u32::from(killed));
        self.failed.set(self.failed.get() + u32::from(!killed && !output.status.success()));

        let again = self.office.patchbay(&["apply"]);
        assert!(again.status.success(), "{rule}: {told}\nthen {again:?}");
        let new = self.office.files();
        assert!(found == old || found == new, "{rule}: a mixture\n{found:?}");
        let mut manager = self.office.manager().await;
        assert_eq!(manager.caller_id("1000").await, format!("\"{name}\" <1000>"), "{rule}");
        let mut phones = manager.ids("PJSIPShowAors").await;
        phones.retain(|id| !id.starts_with("patchbay-"));
        assert_eq!(phones, ["1000"], "{rule}");

        let all = self.runs().await;
        assert!(all.iter().all(|run| run.state != RunState::Running), "{rule}: {all:?}");
        // What died between its first and its last word to the database was interrupted, and that is on record.
        let killed = killed && all.len() == runs + 2;
        let first = &all[1];
        assert!(
            !killed || first.state == RunState::Interrupted || first.state.is_good(),
            "{rule}: {first:?}"
        );
        assert!(!output.status.success() || first.state.is_good(), "{rule}: {first:?}");
    }

    async fn runs(&self) -> Vec<Run> {
        self.office.applier.history(Page { offset: 0, limit: 10_000 }).await.unwrap().0
    }

    /// One worker thread, so that the calls come in the same order each time.
    fn strace(&self, options: &[&str]) -> Output {
        let mut strace = Command::new("timeout");
        strace.args(["--signal=KILL", &PATIENCE.as_secs().to_string(), "strace"]);
        // Not `--seccomp-bpf`: with it a signal meant for any call but the first is never sent.
        strace.args(["-f", "-qq"]).args(options);
        strace.args([env!("CARGO_BIN_EXE_patchbay"), "apply"]);
        strace.envs(self.office.environment()).env("TOKIO_WORKER_THREADS", "1").output().unwrap()
    }
}

#[tokio::test]
async fn a_process_killed_before_or_after_the_reload_leaves_what_the_next_start_repairs_and_records()
 {
    let office = Office::new().await;
    let (ann, _) = office.hire("Ann").await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    for (word, name) in [("Action: Reload", "Before"), ("Action: PJSIPShowEndpoint\r", "After")] {
        let (held, files, current) = (office.held().await, office.files(), office.current());
        office.rename(&ann, name).await;
        let proxy = Proxy::new(office.asterisk.ami_port, word, Fault::Hold, 1).await;
        let mut apply = office.command();
        apply.arg("apply").env("PATCHBAY_ASTERISK_AMI", proxy.address());
        let mut apply = apply.spawn().unwrap();
        proxy.reached().await;
        apply.kill().unwrap();
        apply.wait().unwrap();
        assert_ne!(office.current(), current, "it was half-way");
        if word.contains("PJSIP") {
            // As after a power cut that took the end of it.
            let file = office.config_file("patchbay/current/pjsip.conf");
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, &text[..text.len() / 2]).unwrap();
        }

        office.applier.repair().await.unwrap();
        assert_eq!((office.files(), office.current()), (files, current));
        assert_eq!(office.held().await, held);
        let runs = office.applier.history(Page { offset: 0, limit: 1 }).await.unwrap().0;
        assert_eq!((runs[0].state, runs[0].release), (RunState::Interrupted, Some(current)));
        assert!(runs[0].detail.contains("and Asterisk was seen to run it"), "{}", runs[0].detail);
        // What it had written is kept to be looked at, if that is whole, and is no release.
        let kept = office.applier.files_of(runs[0].id).await.unwrap();
        let says = kept.iter().any(|file| file.text.contains(&format!("\"{name}\" <1000>")));
        assert_eq!((says, kept.is_empty()), (name == "Before", name == "After"));
        let restore = request(Source::Release(runs[0].id));
        let restored = office.applier.apply(&office.actor, &restore).await;
        assert!(matches!(restored, Err(ApplyError::NoSuchRelease)));
        assert!(office.applier.busy().await.unwrap().is_none());
        assert!(office.pending().await > 0);
        // Once repaired there is nothing to repair.
        office.applier.repair().await.unwrap();
        assert_eq!(office.applier.history(Page { offset: 0, limit: 1 }).await.unwrap().0, runs);
        assert_eq!(office.apply().await.state, RunState::Verified);
    }
}

#[tokio::test]
async fn one_that_died_while_it_rolled_back_is_rolled_back_to_the_end() {
    let office = Office::new().await;
    office.hire("Ann").await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    let (held, files) = (office.held().await, office.files());
    office.hire("Bob").await;
    let proxy = Proxy::later(office.asterisk.ami_port, "Action: Reload", Fault::Hold, 1).await;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // An Apply runs where its applier was made; here that ends half-way.
    let within = runtime.enter();
    let applier = office.applier_with(|config| config.asterisk.ami = proxy.address());
    // New endpoints and auths, old aors.
    let applier = applier.tampering(|file| {
        format!("{}\n[7777](patchbay-aor)\nmax_contacts = many\n", file.text).into()
    });
    drop(within);
    let actor = office.actor.clone();
    runtime.spawn(async move { applier.apply(&actor, &request(Source::Database)).await });
    proxy.reached().await;
    runtime.shutdown_background();
    assert_eq!(office.files(), files, "the files are back already");
    assert_ne!(office.held().await, held, "Asterisk is not");
    office.repaired().await;
    assert_eq!(office.held().await, held);
    let run = office.applier.history(Page { offset: 0, limit: 1 }).await.unwrap().0.remove(0);
    assert_eq!(run.state, RunState::Interrupted);
    assert!(run.detail.contains("stopped half-way"), "{run:?}");
    assert_eq!(office.apply().await.state, RunState::Verified);
}
