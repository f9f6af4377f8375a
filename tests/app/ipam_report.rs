//! Reports: what they say against a recount, who may read them, and what hostile text does.

use patchbay::auth::Role;
use patchbay::ipam::{addresses, subnets};
use patchbay::time::Timestamp;

use crate::support::app::{Answer, BEGINNING, Browser, TestApp, both_databases, unescaped};
use crate::support::network::{allocate, change, host, reserve, subnet};

const DAY: i64 = 86_400;

/// A report as a file: a map of each row by its columns.
fn read(answer: &Answer) -> Vec<std::collections::BTreeMap<String, String>> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut reader = csv::Reader::from_reader(answer.bytes.as_slice());
    let header = reader.headers().unwrap().clone();
    let row = |row: csv::StringRecord| {
        header
            .iter()
            .zip(row.iter())
            .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
            .collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

async fn file(
    browser: &Browser<'_>,
    query: &str,
) -> Vec<std::collections::BTreeMap<String, String>> {
    read(&browser.get(&format!("/ipam/report.csv?{query}")).await)
}

fn column(rows: &[std::collections::BTreeMap<String, String>], name: &str) -> Vec<String> {
    rows.iter().map(|row| row[name].clone()).collect()
}

/// What a page lists below its table's headings: the first cell of each row.
fn firsts(page: &Answer) -> Vec<String> {
    let table =
        page.text.rsplit_once(r#"<table class="fold report">"#).map_or("", |(_, table)| table);
    let cells = table.split(r#"<th scope="row""#).skip(1);
    let text = |cell: &str| {
        let cell = cell.split_once('>').unwrap().1.split_once("</th>").unwrap().0;
        let cell = cell.rsplit_once("\">").map_or(cell, |(_, text)| text);
        unescaped(cell.trim_end_matches("</a>"))
    };
    cells.map(text).collect()
}

/// Three sites, a subnet within another, both families, and something of every status.
async fn fill(app: &TestApp) {
    change(&app.state, "tester", async |space| {
        let outer = subnet(space, "Berlin", "10.1.0.0/16", "Berlin").await;
        let inner = subnet(space, "Berlin Voice", "10.1.5.0/24", "berlin").await;
        let lisbon = subnet(space, "Lisbon", "10.2.0.0/28", "Lisbon").await;
        let sixth = subnet(space, "Sixth", "2001:db8::/64", "").await;
        subnet(space, "Empty", "10.9.0.0/31", "").await;
        reserve(space, outer, 3, "bob", "for the lab", None).await;
        reserve(space, inner, 5, "ann", "desk phones", None).await;
        allocate(space, inner, 7, "old switch").await;
        allocate(space, lisbon, 14, "all of it").await;
        reserve(space, sixth, 2, "bob", "six", Some(Timestamp(BEGINNING + 900 * DAY))).await;
        let odd = "10.1.5.200".parse().unwrap();
        addresses::quarantine(space, odd, &"answers, nobody owns it".parse().unwrap(), None)
            .await
            .unwrap();
    })
    .await;
}

/// The same figures counted row by row and gap by gap.
const RECOUNT: &str = "SELECT s.name || ' ' ||
        ((SELECT coalesce(sum(g.size), 0) FROM gap g WHERE g.subnet_id = s.id AND g.kind = 'static')
            + (SELECT count(*) FROM address a WHERE a.subnet_id = s.id AND a.status = 'available')) || ' ' ||
        (SELECT count(*) FROM address a WHERE a.subnet_id = s.id AND a.status = 'allocated') || ' ' ||
        (SELECT count(*) FROM address a WHERE a.subnet_id = s.id AND a.status = 'reserved') || ' ' ||
        (SELECT count(*) FROM address a WHERE a.subnet_id = s.id AND a.status = 'quarantine')
    FROM subnet s WHERE s.length < 64 ORDER BY s.first_key, s.last_key DESC";

both_databases! {
    async fn utilisation_is_what_a_recount_finds(app: TestApp) {
        fill(&app).await;
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        let rows = file(&auditor, "report=utilisation&family=4").await;
        let told: Vec<String> = rows.iter()
            .map(|row| ["subnet", "available", "allocated", "reserved", "quarantine"].map(|name| row[name].clone()).join(" "))
            .collect();
        assert_eq!(told, app.texts(RECOUNT).await);
        assert_eq!(told, ["Berlin 65275 0 3 0", "Berlin Voice 241 7 5 1", "Lisbon 0 14 0 0", "Empty 2 0 0 0"]);
        assert_eq!(column(&rows, "used_percent"), ["0.0", "5.1", "100.0", "0.0"]);

        let page = auditor.get("/ipam/report?report=utilisation&sort=used").await;
        assert_eq!(firsts(&page), ["Lisbon", "Berlin Voice", "Berlin", "Empty", "Sixth"]);
        page.shows("<b>5</b> subnets");
        page.shows("≈ 2^64");
        page.shows(r#"aria-sort="descending"><a id="sort-used""#);
        let page = auditor.get("/ipam/report?report=utilisation&sort=free&family=4").await;
        assert_eq!(firsts(&page), ["Lisbon", "Empty", "Berlin Voice", "Berlin"]);
    }

    async fn sites_are_their_subnets_added_up(app: TestApp) {
        fill(&app).await;
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        let rows = file(&auditor, "report=sites&family=4").await;
        assert_eq!(column(&rows, "site"), ["(no site)", "Berlin", "Lisbon"]);
        assert_eq!(column(&rows, "subnets"), ["1", "2", "1"]);
        assert_eq!(column(&rows, "available"), ["2", "65516", "0"]);
        assert_eq!(column(&rows, "reserved"), ["0", "8", "0"]);
        auditor.get("/ipam/report?report=sites").await.shows("/ipam/report?report=utilisation&site=%28none%29");
        let page = auditor.get("/ipam/report?report=utilisation&site=%28none%29").await;
        assert_eq!(firsts(&page), ["Empty", "Sixth"]);
    }

    async fn reservations_are_told_by_person_and_age(app: TestApp) {
        fill(&app).await;
        app.pass(40 * DAY);
        change(&app.state, "tester", async |space| {
            let new = subnet(space, "New", "10.5.0.0/24", "Oslo").await;
            reserve(space, new, 1, "ann", "a late one", None).await;
        }).await;
        app.pass(DAY - 1);
        let help = app.signed_in("help", Role::Helpdesk).await;
        let rows = file(&help, "report=reservations").await;
        assert_eq!(rows.len(), 11);
        let six = rows.iter().find(|row| row["address"] == "2001:db8::1").unwrap();
        assert_eq!((six["reserved_by"].as_str(), six["note"].as_str(), six["age_days"].as_str()), ("bob", "six", "40"));
        assert_eq!(six["until"], Timestamp(BEGINNING + 900 * DAY).to_string());

        let page = help.get("/ipam/report?report=reservations").await;
        page.shows("<b>11</b> reservations");
        page.shows("<b>2</b> people");
        let people = page.between("By person", "</table>");
        let rows: Vec<&str> = people.split("<tr>").skip(2).collect();
        let figures = |row: &str| -> Vec<String> {
            row.split("\">").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).filter(|text| !text.is_empty()).collect()
        };
        // Who, how many; of them under 30 days, under 90, under a year, older; without end; the oldest's age.
        assert_eq!(figures(rows[0]), ["ann", "6", "1", "5", "0", "0", "6", "40"]);
        assert_eq!(figures(rows[1]), ["bob", "5", "0", "5", "0", "0", "3", "40"]);
        // By person, the oldest of each first.
        let listed = firsts(&page);
        assert_eq!((listed[0].as_str(), listed[5].as_str(), listed[6].as_str()), ("10.1.5.1", "10.5.0.1", "10.1.0.1"));
        let page = help.get("/ipam/report?report=reservations&person=bob&subnet=Berlin").await;
        assert_eq!(firsts(&page), ["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
        page.hides("By person");
    }

    async fn a_conflict_names_both_claimants(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.get("/ipam/report?report=conflicts").await.shows("No conflicts. Good.");
        change(&app.state, "tester", async |space| {
            subnet(space, "Servers", "10.3.0.0/24", "").await;
            host(space, "first", "10.3.0.5").await;
            host(space, "second", "10.3.0.5").await;
        }).await;
        // The oldest claim comes first.
        app.pass(1);
        change(&app.state, "tester", async |space| {
            host(space, "third", "10.3.0.5").await;
            let net = subnet(space, "Six", "2001:db8:3::/64", "").await;
            let kept = reserve(space, net, 1, "ann", "mine", None).await;
            host(space, "thief", &kept[0]).await;
        }).await;
        let rows = file(&admin, "report=conflicts").await;
        let told: Vec<_> = rows.iter().map(|row| (row["address"].as_str(), row["holder"].as_str(), row["claimed_by"].as_str())).collect();
        assert_eq!(told, [
            ("10.3.0.5", "host first", "host second; host third"),
            ("2001:db8:3::1", "ann (mine)", "host thief"),
        ]);
        let page = admin.get("/ipam/report?report=conflicts&family=6").await;
        assert_eq!(firsts(&page), ["2001:db8:3::1"]);
        page.shows("host thief");
        admin.get("/ipam/report?report=conflicts&site=none").await.shows("Nothing matches.");
    }

    async fn inactive_are_those_held_and_not_seen_of_late(app: TestApp) {
        fill(&app).await;
        app.pass(100 * DAY);
        let now = BEGINNING + 100 * DAY;
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        let page = auditor.get("/ipam/report?report=inactive").await;
        page.shows("<b>21</b> addresses");
        page.shows("Nothing was ever observed here");
        for (last, days) in [("0", 10), ("1", 29), ("2", 31), ("3", 99)] {
            // The last octet of 10.1.5.x, counted from the first that is held.
            let address = format!("x'00000000000000000000ffff0a01050{}'", 6 + last.parse::<u8>().unwrap());
            let address = if app.is_sqlite() { address } else { address.replace("x'", "'\\x") };
            assert_eq!(app.sql(&format!("UPDATE address SET last_seen = {} WHERE address = {address}", now - days * DAY)).await, 1);
        }
        let rows = file(&auditor, "report=inactive&subnet=10.1.5.0/24").await;
        assert_eq!(column(&rows, "address"), ["10.1.5.8", "10.1.5.9", "10.1.5.10", "10.1.5.11", "10.1.5.12"]);
        assert_eq!(column(&rows, "holder"), ["old switch"; 5]);
        let rows = file(&auditor, "report=inactive&subnet=Berlin+Voice&days=10").await;
        assert_eq!(rows.len(), 6);
        let page = auditor.get("/ipam/report?report=inactive&site=BERLIN&sort=seen").await;
        assert_eq!(firsts(&page)[3..], ["10.1.5.9", "10.1.5.8"]);
        page.hides("Nothing was ever observed here");
        for days in ["0", "x", "-3", "99999999999999999999"] {
            let page = auditor.get(&format!("/ipam/report?report=inactive&days={days}")).await;
            assert_eq!(page.status, 422);
            assert_eq!(page.field_error("days"), "use a number of days from 1 to 3650");
            page.shows(&format!(r#"name="days" value="{days}""#));
        }
    }

    async fn orphans_are_those_in_no_subnet(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.get("/ipam/report?report=orphans").await.shows("Every address in use lies in a subnet. Good.");
        change(&app.state, "tester", async |space| {
            let gone = subnet(space, "Gone", "10.4.0.0/24", "").await;
            host(space, "lost", "192.0.2.77").await;
            allocate(space, gone, 2, "left behind").await;
            subnets::delete(space, gone, None, true).await.unwrap();
        }).await;
        let rows = file(&admin, "report=orphans").await;
        assert_eq!(column(&rows, "address"), ["10.4.0.1", "10.4.0.2", "192.0.2.77"]);
        assert_eq!(column(&rows, "holder"), ["left behind", "left behind", "lost"]);
        // They lie nowhere, so neither a site nor a subnet leaves any out.
        let page = admin.get("/ipam/report?report=orphans&site=Berlin").await;
        assert_eq!(firsts(&page).len(), 3);
    }

    async fn the_history_of_an_address_outlives_its_subnet(app: TestApp) {
        let me = addresses::Reserver { name: "ann".to_owned(), anybodys: true };
        change(&app.state, "ann", async |space| {
            let net = subnet(space, "Lab", "10.6.0.0/24", "").await;
            reserve(space, net, 12, "ann", "a printer <b>", None).await;
        }).await;
        app.pass(60);
        change(&app.state, "bob", async |space| {
            let note = Some("a scanner".parse().unwrap());
            let edit = addresses::Edit { description: note, ..addresses::Edit::default() };
            addresses::edit(space, "10.6.0.1".parse().unwrap(), None, &edit, &me).await.unwrap();
        }).await;
        app.pass(60);
        change(&app.state, "carl", async |space| {
            addresses::release(space, "10.6.0.1".parse().unwrap(), &me).await.unwrap();
        }).await;
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        let before = auditor.get("/ipam/report?report=history&address=10.6.0.1").await;
        before.shows("Now free; in Lab (10.6.0.0/24).");
        let net = app.texts("SELECT id FROM subnet").await[0].parse().unwrap();
        change(&app.state, "dora", async |space| {
            for last in 2..=12 {
                addresses::release(space, format!("10.6.0.{last}").parse().unwrap(), &me).await.unwrap();
            }
            subnets::delete(space, net, None, false).await.unwrap();
        }).await;
        let help = app.signed_in("help", Role::Helpdesk).await;
        for browser in [&help, &auditor] {
            let page = browser.get("/ipam/report?report=history&address=10.6.0.1").await;
            assert_eq!(page.status, 200);
            page.shows("History of 10.6.0.1");
            page.shows("Now free; in no subnet.");
            // Neither 10.6.0.10 nor what else happened: three changes of this one.
            page.shows("<b>3</b> changes");
            page.shows("a scanner");
        }
        let rows = file(&help, "report=history&address=10.6.0.1").await;
        assert_eq!(column(&rows, "actor"), ["carl", "bob", "ann"]);
        assert_eq!(column(&rows, "action"), ["released", "changed", "reserved"]);
        assert_eq!(rows[1]["changed"], "description: a printer <b> -> a scanner");
        let page = help.get("/ipam/report?report=history&address=10.6.0.200").await;
        page.shows("Nothing has ever happened to this address.");
        let page = help.get("/ipam/report?report=history&address=10.6.0.1/24").await;
        assert_eq!((page.status, page.field_error("address").is_empty()), (422, false));
        help.get("/ipam/report?report=history").await.shows("Type an address");
        app.tenant("other", "olga").await;
        let stranger = app.with_password("olga").await;
        stranger.get("/ipam/report?report=history&address=10.6.0.1").await.shows("Nothing has ever happened to this address.");
        stranger.get("/ipam/report?report=reservations").await.shows("Nobody has reserved anything.");
    }

    async fn pages_files_and_paper_have_every_row_once(app: TestApp) {
        change(&app.state, "tester", async |space| {
            let net = subnet(space, "Large", "10.7.0.0/20", "").await;
            for _ in 0..4 {
                reserve(space, net, 1024, "ann", "many", None).await;
                if space.static_gaps(patchbay::ipam::space::Source::Subnet(net)).await.unwrap().iter().map(|gap| gap.range.size()).sum::<u128>() < 1024 {
                    break;
                }
            }
        }).await;
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        let total = usize::try_from(app.number("SELECT count(*) FROM address").await).unwrap();
        assert!(total > 2_000, "more than one batch");
        let mut listed = column(&file(&auditor, "report=reservations").await, "address");
        assert_eq!(listed.len(), total);
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), total);
        let page = auditor.get("/ipam/report?report=reservations&size=200&page=2").await;
        assert_eq!((firsts(&page).len(), firsts(&page)[0].as_str()), (200, "10.7.0.201"));
        let read = patchbay::text::grouped(&i64::try_from(total).unwrap());
        page.shows(&format!("Rows 201-400 of {read}."));
        page.shows(&format!("Print all {read}"));
        let page = auditor.get("/ipam/report?report=reservations&all=1").await;
        assert_eq!(firsts(&page).len(), total);
        page.hides("Rows 1-");
        let xlsx = auditor.get("/ipam/report.xlsx?report=reservations").await;
        assert_eq!((xlsx.status, &xlsx.bytes[..2]), (200, &b"PK"[..]));
        let page = auditor.get("/ipam/report?report=reservations&page=9999").await;
        page.shows("The report ends before this page.");
    }

    async fn a_workbook_says_what_the_other_file_says(app: TestApp) {
        fill(&app).await;
        change(&app.state, "tester", async |space| {
            host(space, "claimant", "10.1.5.6").await;
            host(space, "lost", "192.0.2.77").await;
        }).await;
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        for (query, rows) in [
            ("utilisation", 5), ("utilisation&subnet=Berlin", 2), ("sites", 3), ("reservations&sort=address", 10), ("reservations&person=bob", 5),
            ("conflicts", 1), ("inactive&days=1", 22), ("orphans", 1), ("history&address=10.1.5.6", 2),
        ] {
            let sheet = auditor.get(&format!("/ipam/report.xlsx?report={query}")).await.worksheet();
            let text = auditor.get(&format!("/ipam/report.csv?report={query}")).await;
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.bytes.as_slice());
            let lines: Vec<Vec<String>> = reader.records().map(|line| line.unwrap().iter().map(patchbay::web::csv::original).map(str::to_owned).collect()).collect();
            // A number is one in a workbook: 100 where a text says 100.0.
            let same = |(one, two): (&String, &String)| one == two || matches!((one.parse::<f64>(), two.parse::<f64>()), (Ok(one), Ok(two)) if (one - two).abs() <= 1e-9 * one);
            assert_eq!(sheet.len(), lines.len());
            for (row, line) in sheet.iter().zip(&lines) {
                assert!(row.len() == line.len() && row.iter().zip(line).all(same), "{query}: {row:?} {line:?}");
            }
            assert_eq!(sheet.len(), rows + 1, "{query}: {sheet:?}");
        }
        let sheet = auditor.get("/ipam/report.xlsx?report=utilisation&sort=used&family=4").await.worksheet();
        let at = |name: &str| sheet[0].iter().position(|head| head == name).unwrap();
        assert_eq!((&sheet[1][at("cidr")], &sheet[1][at("used_percent")], &sheet[1][at("allocated")]), (&"10.2.0.0/28".to_owned(), &"100".to_owned(), &"14".to_owned()));
    }

    async fn what_cannot_be_understood_is_said_beside_its_field(app: TestApp) {
        fill(&app).await;
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        for (subnet, error) in [("nowhere", "no subnet is called so"), ("10.1.5.7/24", "10.1.5.0/24"), ("10.1", "no subnet is called so")] {
            let page = auditor.get(&format!("/ipam/report?report=utilisation&subnet={subnet}")).await;
            assert_eq!(page.status, 422, "{subnet}");
            assert!(page.field_error("subnet").contains(error), "{}", page.field_error("subnet"));
            page.shows(&format!(r#"name="subnet" value="{subnet}""#));
            assert_eq!(auditor.get(&format!("/ipam/report.csv?report=utilisation&subnet={subnet}")).await.status, 400);
        }
        let id = &app.texts("SELECT id FROM subnet WHERE name = 'Berlin'").await[0];
        for subnet in ["Berlin", "berlin", "10.1.0.0/16", "10.1.0.0-10.1.255.255", id] {
            let page = auditor.get(&format!("/ipam/report?report=utilisation&subnet={subnet}")).await;
            assert_eq!(firsts(&page), ["Berlin", "Berlin Voice"], "{subnet}");
        }
        assert_eq!(auditor.get("/ipam/report?report=nonsense").await.status, 404);
        assert_eq!(auditor.get("/ipam/report?report=conflicts&sort=used").await.status, 400);
        assert_eq!(auditor.get("/ipam/report?report=conflicts&family=5").await.status, 400);
        let index = auditor.get("/ipam/report").await;
        for report in ["utilisation", "sites", "reservations", "conflicts", "inactive", "orphans", "history"] {
            index.shows(&format!("/ipam/report?report={report}"));
        }
    }

    async fn the_api_says_the_same(app: TestApp) {
        fill(&app).await;
        change(&app.state, "tester", async |space| {
            host(space, "claimant", "10.1.5.6").await;
            host(space, "lost", "192.0.2.77").await;
        }).await;
        let script = app.script(Role::Auditor).await;
        let get = async |path: &str| {
            let answer = script.get(&format!("/api/v1/reports/{path}")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()
        };
        let report = get("utilisation?sort=used&family=4").await;
        assert_eq!((&report["total"], &report["subnets"][0]["subnet"]["cidr"]), (&4.into(), &"10.2.0.0/28".into()));
        assert_eq!(report["subnets"][0]["usage"]["used_percent"], 100.0);
        assert_eq!(report["subnets"][1]["usage"]["available"], 241);
        assert_eq!(get("sites").await["sites"][1]["site"], "Berlin");
        let report = get("reservations?person=bob&sort=address").await;
        assert_eq!((&report["total"], &report["people"][0]["total"]), (&5.into(), &5.into()));
        assert_eq!((&report["addresses"][0]["address"], &report["addresses"][0]["note"]), (&"10.1.0.1".into(), &"for the lab".into()));
        let report = get("conflicts").await;
        assert_eq!(report["addresses"][0]["holder"], "external old switch");
        assert_eq!(report["addresses"][0]["claims"][0]["claimant"], "host claimant");
        assert_eq!(get("inactive?subnet=Lisbon&days=1").await["total"], 14);
        assert_eq!(get("orphans").await["addresses"][0]["subnet"], serde_json::Value::Null);
        let wrong = script.get("/api/v1/reports/inactive?days=x&subnet=nowhere").await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.json()["errors"]["days"].is_string() && wrong.json()["errors"]["subnet"].is_string());
        assert_eq!(script.get("/api/v1/reports/orphans?colour=red").await.status, 400);
    }

    async fn hostile_text_stays_text(app: TestApp) {
        const MEAN: &str = "=HYPERLINK(1)<script>alert(1)</script>\" onload=\"x";
        change(&app.state, "tester", async |space| {
            let net = subnet(space, MEAN, "10.8.0.0/24", MEAN).await;
            let kept = reserve(space, net, 1, MEAN, MEAN, None).await;
            allocate(space, net, 2, MEAN).await;
            host(space, "wants", &kept[0]).await;
            subnet(space, "+1", "10.8.0.0/25", "@site").await;
        }).await;
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        let query = serde_html_form::to_string([("site", MEAN), ("subnet", MEAN), ("person", MEAN)]).unwrap();
        for report in ["utilisation", "sites", "reservations", "conflicts", "inactive", "orphans", "history&address=10.8.0.1"] {
            for narrowed in ["", &query] {
                let path = format!("report={report}&{narrowed}");
                let page = auditor.get(&format!("/ipam/report?{path}")).await;
                assert_eq!(page.status, 200, "{path}");
                assert!(!page.text.contains("<script>alert") && !page.text.contains("\" onload=\"x"), "{path}: {}", page.text);
                let file = auditor.get(&format!("/ipam/report.csv?{path}")).await;
                for row in read(&file) {
                    for (name, cell) in row {
                        assert!(!cell.starts_with(['=', '+', '-', '@']), "{path}: {name} is {cell}");
                    }
                }
            }
        }
        let rows = file(&auditor, "report=reservations").await;
        assert_eq!(rows[0]["note"], format!("'{MEAN}"));
        // In a workbook a text that looks like a formula is a text.
        for report in ["utilisation", "sites", "reservations", "conflicts", "inactive&days=1", "orphans", "history&address=10.8.0.1"] {
            let sheet = auditor.get(&format!("/ipam/report.xlsx?report={report}")).await.worksheet();
            let mean = sheet.iter().flatten().any(|cell| cell.contains(MEAN));
            assert_eq!(mean, !matches!(report, "orphans"), "{report}: {sheet:?}");
        }
        // What a printed page has at its head goes through an attribute.
        let page = auditor.get(&format!("/ipam/report?report=utilisation&{query}")).await;
        assert!(page.text.contains("data-about=\"=HYPERLINK(1)&#60;script&#62;"), "{}", page.text);
    }
}
