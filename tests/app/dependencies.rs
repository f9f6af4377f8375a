//! What the source may not do: import upwards, panic, or write HTML past the templates.

use std::collections::BTreeSet;
use std::path::Path;

use crate::statements::{files, sources};

/// The map in `src/lib.rs`, the top first. A module may use those in lower rows, and its own
/// children; modules of one row do not use each other unless named in [`BESIDE`].
const ROWS: &[&[&str]] = &[
    &["commands", "main"],
    &["app"],
    &["docs"],
    &["graphql", "home", "history"],
    &["workflows"],
    &["apply"],
    &["provision", "registrations", "notify"],
    &["boot"],
    &["phones"],
    &["users"],
    &["lifecycle", "mirror"],
    &["ipam"],
    &["outbox"],
    &["tenants"],
    &["jobs"],
    &["auth"],
    &["api"],
    &["web"],
    &["audit", "state"],
    &["asterisk", "probe", "outside"],
    &["config", "models"],
    &["db", "secrets", "numbering", "net", "id", "text", "time"],
];

/// Uses that the rows do not allow, each with its reason. This list only ever shrinks.
const BESIDE: &[(&str, &str, &str)] = &[
    ("state", "audit", "a state opens changes"),
    ("db", "secrets", "a backup writes bytes in hexadecimal"),
    ("secrets", "time", "identifiers are ordered by time"),
];

fn row(module: &str) -> usize {
    ROWS.iter()
        .position(|row| row.contains(&module))
        .unwrap_or_else(|| panic!("give the module {module} a row"))
}

/// The top module a file belongs to.
fn module(path: &Path) -> String {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let first = path.strip_prefix(root).unwrap().iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Every module named after `crate::`, singly or in braces.
fn uses(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let word = |text: &str| {
        text.trim()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    for rest in code.split("crate::").skip(1) {
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut part = String::new();
            for letter in list.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 || (depth == 1 && letter == ',') {
                    found.insert(word(&part));
                    part.clear();
                } else {
                    part.push(letter);
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            found.insert(word(rest));
        }
    }
    found.remove("");
    found
}

#[test]
fn the_parser_sees_single_and_braced_uses() {
    let code = "use crate::db::{Db, Tx};\nuse crate::{auth, users::{a, b}, web};\nfn f() { crate::time::now() }";
    let found: Vec<String> = uses(code).into_iter().collect();
    assert_eq!(found, ["auth", "db", "time", "users", "web"]);
}

#[test]
fn modules_import_downwards_only() {
    let mut upward = BTreeSet::new();
    let mut needed = BTreeSet::new();
    for (path, text) in sources() {
        let from = module(&path);
        if from == "lib" || from == "main" {
            continue;
        }
        for to in uses(&text).into_iter().filter(|to| *to != from && to != "sql") {
            if row(&from) < row(&to) {
                continue;
            }
            match BESIDE.iter().find(|(a, b, _)| *a == from && *b == to) {
                Some(known) => drop(needed.insert(known)),
                None => drop(upward.insert(format!("{from} -> {to} in {}", path.display()))),
            }
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
    assert_eq!(needed.len(), BESIDE.len(), "no longer needed: strike it from the list");
}

#[test]
fn the_map_in_lib_names_every_module() {
    let lib = include_str!("../../src/lib.rs");
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod "));
    for name in declared.map(|line| line.trim_end_matches(';')) {
        row(name);
    }
}

#[test]
fn queries_stay_private_to_their_feature() {
    for (path, text) in sources() {
        assert!(!text.contains("pub mod queries"), "{}", path.display());
    }
}

#[test]
fn the_program_never_gives_up_on_a_request() {
    for (path, text) in sources() {
        let file = path.display().to_string();
        if file.ends_with("tests.rs") {
            continue;
        }
        let code = text.split("\n#[cfg(test)]").next().unwrap();
        for word in [
            ".unwrap()",
            ".expect(",
            "panic!(",
            "todo!(",
            "unimplemented!(",
            "unreachable!(",
            "#[allow(",
        ] {
            assert!(!code.contains(word), "{word} in {file}");
        }
        for shell in ["Command::new(\"sh\"", "sh -c", "Command::new(\"bash\""] {
            assert!(!code.contains(shell), "{shell} in {file}");
        }
    }
}

#[test]
fn templates_keep_to_the_content_security_policy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut unescaped = Vec::new();
    for (path, text) in files(&root.join("templates"), "html") {
        let file = path.display().to_string();
        for word in [
            "style=",
            "<style",
            "onclick",
            "onload",
            "onerror",
            "onsubmit",
            "hx-on",
            "javascript:",
            "js:",
            "hx-vals",
            "<iframe",
            "http://",
            "https://",
        ] {
            let known = word.starts_with("http")
                && text.matches(word).count() == text.matches("http://www.w3.org/").count();
            assert!(known || !text.contains(word), "{word} in {file}");
        }
        for script in text.split("<script").skip(1) {
            let (tag, body) = script.split_once('>').unwrap();
            assert!(
                tag.contains("src=") && body.starts_with("</script>"),
                "inline script in {file}"
            );
        }
        unescaped.extend(
            text.lines().filter(|line| line.contains("|safe")).map(|line| line.trim().to_owned()),
        );
    }
    // The one place: attributes that templates themselves pass to the macro as literals.
    assert_eq!(
        unescaped,
        [r#"<input id="{{ name }}" name="{{ name }}" value="{{ field.value }}" {{ extra|safe }}"#]
    );
    for (path, text) in files(&root.join("templates"), "html") {
        for call in text.split("f::text(").skip(1) {
            let arguments =
                call.split(")%}").next().and_then(|call| call.split("){% endcall").next()).unwrap();
            let arguments = arguments.split("%}").next().unwrap().trim().trim_end_matches(')');
            assert!(
                arguments.ends_with('"'),
                "{}: the last argument is not a literal: {arguments}",
                path.display()
            );
        }
    }
}
