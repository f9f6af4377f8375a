//! Every statement in the source is one both databases understand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use patchbay::audit::Page;
use patchbay::db::TABLES;
use patchbay::id::TenantId;
use patchbay::text::ByName as _;
use patchbay::users::{self, Filter, Sort};

use crate::support::app::{TestApp, both_databases};

/// Every `.rs` file below `src`, in order.
pub fn sources() -> Vec<(PathBuf, String)> {
    files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), "rs")
}

pub fn files(below: &Path, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|known| known == extension) {
            found.push((path.clone(), std::fs::read_to_string(path).unwrap()));
        }
    }
    found.sort();
    found
}

/// The text of a Rust string literal (plain or raw) that begins at the start of `code`.
fn literal(code: &str) -> Option<String> {
    let code = code.trim_start();
    if let Some(rest) = code.strip_prefix("r#\"") {
        return Some(rest.split_once("\"#")?.0.to_owned());
    }
    let mut letters = code.strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => match letters.next()? {
                'n' => text.push('\n'),
                '\n' => {
                    let rest = letters.as_str().trim_start();
                    letters = rest.chars();
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

fn statements() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let code = text.split("\n#[cfg(test)]").next().unwrap();
        for place in code.split("sql!(").skip(1) {
            match literal(place) {
                // The macro's own documentation.
                Some(statement) if statement == "…" => {}
                Some(statement) => found.push((path.clone(), statement)),
                None => assert!(path.ends_with("db/mod.rs"), "{path:?}: sql! takes a literal"),
            }
        }
    }
    found
}

#[test]
fn every_query_is_written_as_a_statement_the_next_test_finds() {
    for (path, text) in sources() {
        let own = [
            "mod",
            "bulk",
            "copy",
            "flush",
            "later",
            "query",
            "readers",
            "search",
            "server",
            "statistics",
        ];
        if own.iter().any(|name| path.ends_with(format!("db/{name}.rs"))) {
            continue;
        }
        for word in [".later(", ".along(", ".insert_many_if("] {
            for place in text.split(word).skip(1) {
                assert!(place.trim_start().starts_with("sql!("), "{path:?}: {word}{place:.20}");
            }
        }
        for place in text.split(".query(").skip(1) {
            let argument: String = place.trim_start().chars().take(16).collect();
            let known = argument.starts_with("sql!(")
                // Put together of constant pieces; the tests of addresses run them on both.
                || (path.components().any(|part| part.as_os_str() == "ipam")
                    && ["concat!(", "text)", "count)", "blank)"].iter().any(|known| argument.starts_with(known)))
                || (path.components().any(|part| part.as_os_str() == "lifecycle")
                    && ["concat!(", "text)"].iter().any(|known| argument.starts_with(known)))
                || (["users/queries.rs", "phones/list/queries.rs", "registrations/map/queries.rs"].iter().any(|known| path.ends_with(known))
                    && argument.starts_with("text)"));
            assert!(known, "{path:?}: .query({argument}");
        }
        for word in ["sqlx::query", "AssertSqlSafe", "QueryBuilder"] {
            assert!(!text.contains(word), "{path:?} speaks to the database past the db module");
        }
    }
}

/// Indexes of the tables that have a row for everything that ever happened, or for all there is.
const LARGE: &str = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name IN
    ('address', 'assignment', 'audit_event', 'outside_call', 'registration')";

/// Those of them that a statement goes through by the tenant alone: how it begins, and what for.
/// None is left in it that is not, and what is added says why.
const THROUGH: [(&str, &str, &str); 10] = [
    ("address_mac", "SELECT id FROM address", "whether there is any: the first is enough"),
    ("address_orphan", "SELECT (SELECT count(*) FROM host", "no others are in it"),
    ("address_phone", "SELECT holder_id, address FROM address", "the map: no others are in it"),
    ("address_phone", "SELECT count(DISTINCT holder_id)", "how many phones have one"),
    ("audit_event_tenant", "SELECT count(*) FROM audit_event", "how many match"),
    ("outside_call_list", "SELECT id, system, subject", "until a page is full"),
    ("outside_call_state", "SELECT count(*) FROM outside_call", "how many match"),
    ("registration_latest", "SELECT number, contact, address", "the map: no others are in it"),
    ("registration_present", "SELECT count(*) FROM (", "no others are in it"),
    ("registration_present", "SELECT count(*) FROM registration", "no others are in it"),
];

#[test]
fn what_is_asked_for_by_its_name_is_not_looked_for_among_all() {
    actix_web::rt::System::new().block_on(async {
        let app = TestApp::sqlite().await;
        let (large, mut found) = (app.texts(LARGE).await, BTreeSet::new());
        // A change of a tenant looks whether anything is its own.
        for (path, text) in statements().into_iter().filter(|(_, text)| !text.contains("O tenant "))
        {
            let plan = app.plan(&text).await;
            let indexes = plan.iter().filter_map(|step| {
                step.split_once(" INDEX ")?.1.strip_suffix(" (tenant_id=?)").map(str::to_owned)
            });
            for index in indexes.filter(|index| large.contains(index)) {
                let known = |(known, begins, _): &&(&str, &str, &str)| {
                    *known == index && text.starts_with(begins)
                };
                let known = THROUGH.iter().find(known);
                assert!(known.is_some(), "{path:?}: {text}\n{plan:#?}");
                found.extend(known);
            }
        }
        assert_eq!(found, THROUGH.iter().collect(), "the list shrinks");
    });
}

both_databases! {
    async fn every_statement_is_understood(app: TestApp) {
        let statements = statements();
        assert!(statements.len() > 60, "only {} statements were found", statements.len());
        for (path, statement) in statements {
            let prepared = app.state.db.prepare(&statement).await;
            assert!(prepared.is_ok(), "{path:?}: {statement}\n{prepared:?}");
        }
    }

    async fn the_list_is_understood_in_every_order(app: TestApp) {
        let mut tx = app.state.read().await.unwrap();
        for &(sort, name) in Sort::ALL {
            for (search, enabled) in
                [("", None), ("x", None), ("x", Some(true)), ("", Some(false))]
            {
                let filter = Filter { search: search.to_owned(), enabled };
                let (page, totals) = (Page { offset: 0, limit: 25 }, users::Totals::default());
                let listed =
                    users::list(&mut tx, TenantId::DEFAULT, &filter, sort, page, totals).await;
                assert!(listed.is_ok(), "{name}: {listed:?}");
            }
        }
    }

    async fn a_backup_knows_every_column_of_every_table_it_keeps(app: TestApp) {
        let columns = if app.is_sqlite() {
            "SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1"
        } else {
            "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1"
        };
        let left_out = ["_sqlx_migrations", "session", "one_time_link", "sign_in_failure", "idempotency",
            // Derived, or heard anew.
            "registration_feed", "phone_map", "phone_map_state", "phone_revision", "phone_whereabouts"];
        let there: Vec<String> = app.texts(columns).await.into_iter()
            // The index of words is made anew.
            .filter(|column| !column.starts_with("address_text"))
            .filter(|column| !left_out.contains(&column.split('.').next().unwrap()))
            .collect();
        let mut kept: Vec<String> = TABLES.iter()
            .flat_map(|table| table.columns.iter().map(|column| format!("{}.{column}", table.name)))
            .collect();
        kept.sort_unstable();
        let mut there = there;
        there.sort_unstable();
        assert_eq!(kept, there);
    }
}
