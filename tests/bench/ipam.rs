//! Addresses: lists, counts, the next free one, with ten thousand subnets and a million addresses.

use std::time::{Duration, Instant};

use patchbay::audit::Page;
use patchbay::id::TenantId;
use patchbay::ipam::addresses::{self, Filter, Sort};
use patchbay::ipam::class::Status;

use crate::fixture::Fixtures;
use crate::ipam_seed as seed;
use crate::lab::Postgres;
use crate::program::Site;
use crate::report::{Report, Times, shown};

pub async fn core(report: &mut Report, fixtures: &Fixtures) -> anyhow::Result<()> {
    for database in ["SQLite", "PostgreSQL"] {
        if std::env::var("ONLY").is_ok_and(|only| only != database) {
            continue;
        }
        let mut site = Site::new(&match std::env::var("KEEP") {
            Ok(dir) => dir.into(),
            Err(_) => fixtures.directory()?,
        });
        if database == "PostgreSQL" {
            site = site.on(&tokio::task::block_in_place(Postgres::database));
        }
        let fresh = !site.dir.join("data").exists();
        if fresh {
            site.administrator()?;
        }
        let state = seed::open(&site).await?;
        let began = Instant::now();
        let n: u32 = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
        if fresh {
            seed::fill(&state, n).await?;
        }
        eprintln!("{database}: filled in {:?}", began.elapsed());
        let last = i64::from(n) * 200 / 25;
        let filter = |f: fn(&mut Filter)| {
            let mut filter = Filter::default();
            f(&mut filter);
            filter
        };
        let cases: Vec<(&str, Filter, Sort, i64)> = vec![
            ("first", filter(|_| {}), Sort::Address, 0),
            ("deep", filter(|_| {}), Sort::Address, last / 2 * 25),
            ("last", filter(|_| {}), Sort::Address, (last - 1) * 25),
            ("reserved", filter(|f| f.status = Some(Status::Reserved)), Sort::Address, 0),
            ("reserved deep", filter(|f| f.status = Some(Status::Reserved)), Sort::Address, 80_000),
            ("available", filter(|f| f.status = Some(Status::Available)), Sort::Address, 0),
            (
                "available deep",
                filter(|f| f.status = Some(Status::Available)),
                Sort::Address,
                800_000,
            ),
            ("conflict", filter(|f| f.conflict = Some(true)), Sort::Address, 0),
            ("active", filter(|f| f.active = Some(true)), Sort::Address, 100_000),
            ("10.5.", filter(|f| f.search = "10.5.".into()), Sort::Address, 0),
            ("10.5.7.20", filter(|f| f.search = "10.5.7.20".into()), Sort::Address, 0),
            ("10.2", filter(|f| f.search = "10.2".into()), Sort::Address, 0),
            ("hostname part", filter(|f| f.search = "s-0123".into()), Sort::Address, 0),
            ("hostname whole", filter(|f| f.search = "sip-t46s-0123456".into()), Sort::Address, 0),
            ("MAC part", filter(|f| f.search = "15:a4:c7".into()), Sort::Address, 0),
            ("description", filter(|f| f.search = "room 7788".into()), Sort::Address, 0),
            ("common word", filter(|f| f.search = "printer".into()), Sort::Address, 0),
            ("by hostname", filter(|_| {}), Sort::Hostname, 0),
            ("by hostname down", filter(|_| {}), Sort::HostnameDown, 0),
            ("by hostname deep", filter(|_| {}), Sort::Hostname, 400_000),
            ("by mac", filter(|_| {}), Sort::Mac, 0),
        ];
        for (name, filter, sort, offset) in cases {
            let mut times = Vec::new();
            let mut total = 0;
            for _ in 0..8 {
                let began = Instant::now();
                let mut tx = state.read().await?;
                let page = Page { offset, limit: 25 };
                let listing =
                    addresses::list(&mut tx, TenantId::DEFAULT, &filter, sort, page).await?;
                total = listing.total;
                times.push(began.elapsed());
                if began.elapsed() > Duration::from_millis(500) {
                    break;
                }
            }
            let times = Times::of(times);
            report.note(
                &format!("{database} {name}"),
                &format!("{} (of {total})", shown(times.median())),
                "",
            );
        }
    }
    Ok(())
}
