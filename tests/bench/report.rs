//! What was measured, beside what must be reached.

use std::time::Duration;

/// The table as it grows.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

struct Row {
    work: String,
    measured: String,
    limit: String,
    good: Option<bool>,
    conditions: String,
}

impl Report {
    /// A figure with a limit.
    pub fn add(&mut self, work: &str, measured: &str, limit: &str, good: bool, conditions: &str) {
        self.push(work, measured, limit, Some(good), conditions);
    }

    /// A figure to compare with.
    pub fn note(&mut self, work: &str, measured: &str, conditions: &str) {
        self.push(work, measured, "", None, conditions);
    }

    fn push(
        &mut self,
        work: &str,
        measured: &str,
        limit: &str,
        good: Option<bool>,
        conditions: &str,
    ) {
        eprintln!("{work}: {measured}");
        self.rows.push(Row {
            work: work.to_owned(),
            measured: measured.to_owned(),
            limit: limit.to_owned(),
            good,
            conditions: conditions.to_owned(),
        });
    }

    /// Prints everything; how many limits were missed.
    pub fn print(&self) -> usize {
        println!("\n{}\n", machine());
        let width = |text: fn(&Row) -> &str| {
            self.rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0)
        };
        let (work, measured, limit) =
            (width(|row| &row.work), width(|row| &row.measured), width(|row| &row.limit).max(5));
        println!("{:work$} | {:measured$} | {:limit$} |", "work", "measured", "limit");
        println!("{:-<work$}-|-{:-<measured$}-|-{:-<limit$}-|-----", "", "", "");
        for row in &self.rows {
            let verdict = row.good.map_or("", |good| if good { "ok" } else { "MISS" });
            println!(
                "{:work$} | {:measured$} | {:limit$} | {verdict}",
                row.work, row.measured, row.limit
            );
        }
        println!("\nconditions");
        for row in self.rows.iter().filter(|row| !row.conditions.is_empty()) {
            println!("- {}: {}", row.work, row.conditions);
        }
        let missed = self.rows.iter().filter(|row| row.good == Some(false)).count();
        println!("\n{missed} missed");
        missed
    }
}

/// The machine the figures are of.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim()).to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory: u64 =
        field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    let cpu = field(&read("/proc/cpuinfo"), "model name");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores of {cpu}, {} MiB of memory, load {load} at the end", memory / 1024)
}

/// Durations in order, to be asked for their quantiles.
pub struct Times(Vec<Duration>);

impl Times {
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The smallest that so many of a thousand do not exceed.
    pub fn per_mille(&self, share: usize) -> Duration {
        let at = (self.0.len() * share).div_ceil(1000).max(1) - 1;
        self.0.get(at).copied().unwrap_or_default()
    }

    pub fn median(&self) -> Duration {
        self.per_mille(500)
    }

    pub fn p99(&self) -> Duration {
        self.per_mille(990)
    }

    pub fn longest(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Three digits or so: 0.42 ms, 18.3 ms, 2.41 s.
pub fn shown(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms >= 1000.0 { format!("{:.2} s", ms / 1000.0) } else { format!("{ms:.1} ms") }
}
