//! `patchbay apply` killed, and given EIO and ENOSPC, at every call that changes a file: Asterisk's files are the old
//! ones or the new ones, each whole, and the next apply succeeds.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, Output},
};

use patchbay::{
    apply::{Run, RunState, Source},
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
    let (office, ann) = settled(Database::Postgres).await;
    let sweep = Sweep { office, ann, killed: Cell::new(0), failed: Cell::new(0) };
    let counts = sweep.count(&FILES).await;
    for call in ["mkdir", "linkat", "rename", "symlink", "fsync"] {
        assert!(counts.contains_key(call), "{counts:?}");
    }
    sweep.all(&counts, &["signal=SIGKILL", "error=EIO", "error=ENOSPC"]).await;
    // Between the words to Asterisk and to the database.
    let counts = sweep.count(&["sendto"]).await;
    sweep.all(&counts, &["signal=SIGKILL"]).await;
    sweep.torn_write().await;
    assert!(
        sweep.killed.get() > 30 && sweep.failed.get() > 20,
        "{:?}",
        (sweep.killed, sweep.failed)
    );
}

#[tokio::test]
async fn killed_or_failing_at_any_write_of_the_database_the_release_is_the_old_one_or_the_new_one()
{
    let (office, ann) = settled(Database::Sqlite).await;
    let sweep = Sweep { office, ann, killed: Cell::new(0), failed: Cell::new(0) };
    let counts = sweep.count(&DATABASE).await;
    assert!(counts["pwrite64"] > 10 && counts["fsync"] > 1, "{counts:?}");
    sweep.all(&counts, &["signal=SIGKILL", "error=EIO", "error=ENOSPC"]).await;
    assert!(
        sweep.killed.get() > 20 && sweep.failed.get() > 20,
        "{:?}",
        (sweep.killed, sweep.failed)
    );
    let check = sweep.office.patchbay(&["check"]);
    assert!(check.status.success(), "{check:?}");
}

struct Sweep {
    office: Office,
    ann: User,
    /// How many were killed, and how many failed: a sweep that hits nothing proves nothing.
    killed: Cell<u32>,
    failed: Cell<u32>,
}

impl Sweep {
    /// How often a process that applies makes each of these calls; the most of any of its threads, because `when=`
    /// counts by thread.
    async fn count(&self, calls: &[&str]) -> BTreeMap<String, usize> {
        self.office.rename(&self.ann, "Ann, counted").await;
        let trace = self.office.data_dir().join("trace");
        let file = trace.to_str().unwrap().to_owned();
        let output = self.strace(&["-o", &file, "-e", &format!("trace={}", calls.join(","))]);
        assert!(output.status.success(), "{output:?}");
        let mut threads: BTreeMap<(String, String), usize> = BTreeMap::new();
        for line in fs::read_to_string(trace).unwrap().lines() {
            let (thread, rest) = line.split_once(' ').unwrap();
            if let Some((call, _)) = rest.trim_start().split_once('(') {
                *threads.entry((call.to_owned(), thread.to_owned())).or_default() += 1;
            }
        }
        let mut counts = BTreeMap::new();
        for ((call, _), count) in threads {
            let most: &mut usize = counts.entry(call).or_default();
            *most = count.max(*most);
        }
        counts
    }

    async fn all(&self, counts: &BTreeMap<String, usize>, faults: &[&str]) {
        for (call, count) in counts {
            for when in 1..=*count {
                for fault in faults {
                    let rule = format!("inject={call}:{fault}:when={when}");
                    self.one(&rule, || {
                        let trace = format!("trace={call}");
                        self.strace(&["-o", "/dev/null", "-e", &trace, "-e", &rule])
                    })
                    .await;
                }
            }
        }
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
        let output = apply();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let found = self.office.files();
        // strace ends as what it traced ended, or says so with its exit code.
        let killed = output.status.signal().is_some() || output.status.code() == Some(128 + 9);
        if std::env::var_os("PATCHBAY_SWEEP").is_some() {
            eprintln!("{rule}: {:?}", output.status);
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
        let mut strace = Command::new("strace");
        // Not `--seccomp-bpf`: with it a signal meant for any call but the first is never sent.
        strace.args(["-f", "-qq"]).args(options);
        strace.args([env!("CARGO_BIN_EXE_patchbay"), "apply"]);
        strace
            .envs(self.office.environment())
            .env("TOKIO_WORKER_THREADS", "1")
            .process_group(0)
            .output()
            .unwrap()
    }
}

#[tokio::test]
async fn a_process_killed_before_or_after_the_reload_leaves_what_the_next_start_repairs_and_records()
 {
    let office = Office::new().await;
    let (ann, _) = office.hire("Ann").await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    for (word, name) in [("Action: Reload", "Before"), ("Action: ShowDialPlan", "After")] {
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

        office.applier.repair().await.unwrap();
        assert_eq!((office.files(), office.current()), (files, current));
        assert_eq!(office.held().await, held);
        let runs = office.applier.history(Page { offset: 0, limit: 1 }).await.unwrap().0;
        assert_eq!((runs[0].state, runs[0].release), (RunState::Interrupted, Some(current)));
        assert!(runs[0].detail.contains("and Asterisk was seen to run it"), "{}", runs[0].detail);
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
