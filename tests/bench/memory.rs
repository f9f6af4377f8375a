//! How much memory the program takes.

use std::sync::Mutex;
use std::time::Duration;

use crate::fixture::{Fixtures, fill};
use crate::report::Report;

const IDLE: u64 = 40 << 10;
const PEAK: u64 = 150 << 10;
const USERS: usize = 10_000;

/// What was run, and the most it took, in KiB.
static PEAKS: Mutex<Vec<(String, u64)>> = Mutex::new(Vec::new());

/// A line of a process's status, in KiB.
fn status(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Notes the most a process has taken so far.
pub fn note(label: &str, pid: u32) {
    let now = status(pid, "VmRSS:");
    let most = status(pid, "VmHWM:");
    eprintln!("memory, {label}: {} at most, {} now", shown(most), shown(now));
    PEAKS.lock().unwrap().push((label.to_owned(), most));
}

/// The most a process has taken, in KiB.
pub fn most(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

pub fn shown(kib: u64) -> String {
    format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024)
}

/// A program that has shown one page and is left alone; with users also one that had not made its
/// map of phones yet.
pub async fn idle(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    let (empty, full) = (fixtures.empty()?.0, fixtures.empty()?.0);
    fill(&full, USERS).await?;
    for (label, site) in [
        ("new database", &empty),
        ("10,000 users, the first start", &full),
        ("10,000 users, the second start", &full),
    ] {
        let program = site.serve("idle").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let taken = status(program.pid(), "VmRSS:");
        program.stop().await?;
        report.add(
            &format!("resident memory, idle, {label}"),
            &shown(taken),
            "<= 40 MiB",
            taken <= IDLE,
            "VmRSS one second after the first page",
        );
    }
    Ok(())
}

/// What the limit is for: creating users, listing them, applying, rendering, starting.
const LIMITED: [&str; 5] = ["1,000 users created", "user list", "Apply of", "settings", "start"];

/// The most a program took in this run during what the limit is for, and during all else that has
/// no limit of its own.
pub fn peak(report: &mut Report) {
    let peaks = PEAKS.lock().unwrap();
    let limited = |label: &str| LIMITED.iter().any(|one| label.starts_with(one));
    let most = |of: bool| {
        peaks.iter().filter(|(label, _)| limited(label) == of).max_by_key(|(_, most)| *most)
    };
    let during = |label: &str| format!("VmHWM; the most was taken during: {label}");
    if let Some((label, most)) = most(true) {
        report.add(
            "resident memory, users and Apply",
            &shown(*most),
            "<= 150 MiB",
            *most <= PEAK,
            &during(label),
        );
    }
    if let Some((label, most)) = most(false) {
        report.note("resident memory, all else", &shown(*most), &during(label));
    }
}
