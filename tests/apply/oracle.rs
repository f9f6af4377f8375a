//! The real Asterisk as the judge: whatever a person is called, their name arrives as it is and nobody else's changes;
//! and our model of its parser reads what it reads.

use std::fs;

use patchbay::{
    apply::RunState,
    asterisk::{
        conf::{self, ConfigDir},
        value::{ConfWriter, Key, caller_id},
    },
    users::PersonName,
};
use proptest::{
    strategy::{Strategy, ValueTree as _},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::office::{Manager, Office, newcomer};

const HOSTILE: &str = include_str!("../app/hostile-strings.json");
const KEY: Key = Key::new("callerid");

/// The same values in every run.
fn generator() -> TestRunner {
    TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn some<T>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

const NAMES: &str = "[ -~äöüßПё李雷🚀;\\\\\"<>\\[\\]#=,()+!$%{}&|*-]{1,40}";

#[tokio::test]
async fn a_hostile_name_is_refused_or_inert() {
    let mut office = Office::new().await;
    let (ann, _) = office.hire("Ann").await;
    let (person, _) = office.hire("X").await;
    office.hire("Zed").await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    let mut manager = office.manager().await;
    let neighbours = (manager.endpoint("1000").await, manager.endpoint("1002").await);
    let ids = phones(&mut manager).await;
    let all: serde_json::Value = serde_json::from_str(HOSTILE).unwrap();
    let (mut literal, mut refused) = (0, 0);
    for case in all.as_array().unwrap() {
        let (name, expect) = (case["input"].as_str().unwrap(), case["expect"].as_str().unwrap());
        // What is meant for another field may be a name as well.
        let meant = case["field"] == "display_name";
        if name.parse::<PersonName>().is_err() {
            assert!(!meant || expect.starts_with("reject"), "{case}");
            refused += 1;
            continue;
        }
        assert!(!meant || expect.ends_with("literal"), "{case}");
        office.rename(&person, name).await;
        let run = office.apply().await;
        assert_eq!((run.state, run.findings()), (RunState::Verified, vec![]), "{case}: {run:?}");
        assert_eq!(manager.caller_id("1001").await, shown(name, 1001), "{case}");
        assert_eq!(phones(&mut manager).await, ids, "{case}");
        assert_eq!(
            (manager.endpoint("1000").await, manager.endpoint("1002").await),
            neighbours,
            "{case}"
        );
        literal += 1;
    }
    assert!(literal >= 30 && refused >= 4, "{literal} {refused}");
    // It boots on the last of them too.
    office.asterisk.restart();
    assert_eq!(phones(&mut office.manager().await).await, ids);
    let log = office.asterisk.logged();
    assert!(!log.contains("WARNING") && !log.contains("ERROR"), "{log}");
    assert_eq!(ann.number.as_i64(), 1000);
}

/// Asterisk keeps the name itself and shows it quoted, as it would have to be written.
fn shown(name: &str, number: i64) -> String {
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\" <{number}>")
}

async fn phones(manager: &mut Manager) -> Vec<String> {
    let mut ids = manager.ids("PJSIPShowEndpoints").await;
    ids.retain(|id| !id.starts_with("patchbay-"));
    ids.sort();
    ids
}

#[tokio::test]
async fn a_thousand_people_with_random_names_are_each_called_as_they_are() {
    let office = Office::new().await;
    let mut runner = generator();
    let names = proptest::string::string_regex(NAMES).unwrap();
    let mut all = Vec::new();
    let mut change = office.change().await;
    while all.len() < 1000 {
        let name = some(&mut runner, &names);
        if name.parse::<PersonName>().is_ok() {
            let vault = &office.session.state.vault;
            let (user, _) =
                patchbay::users::create(&mut change, vault, &newcomer(&name)).await.unwrap();
            all.push(user);
        }
    }
    change.commit().await.unwrap();
    let run = office.apply().await;
    assert_eq!((run.state, run.users), (RunState::Verified, Some(1000)), "{run:?}");
    let mut manager = office.manager().await;
    for user in all {
        let number = user.number.as_i64();
        let (read, meant) =
            (manager.caller_id(&number.to_string()).await, shown(user.name.as_str(), number));
        // What is shown, name and number and escapes together, ends in a buffer of Asterisk's.
        assert!(read == meant || read.len() > 70 && meant.starts_with(&read), "{read} for {meant}");
    }
}

#[tokio::test]
async fn ten_thousand_random_names_come_back_from_the_real_parser() {
    let office = Office::new().await;
    let mut runner = generator();
    let names = proptest::string::string_regex(NAMES).unwrap();
    let mut manager = office.manager().await;
    let mut compared = 0;
    while compared < 10_000 {
        let (mut file, mut meant) = (ConfWriter::new(), Vec::new());
        while meant.len() < 1000 {
            let name = some(&mut runner, &names);
            let Ok(value) = caller_id(&name, "1000") else { continue };
            let section = format!("n{}", meant.len());
            file.section(&section.parse().unwrap(), &[]).set(KEY, &value);
            meant.push((section, vec![("callerid".to_owned(), value.as_str().to_owned())]));
        }
        fs::write(office.config_file("names.conf"), file.finish()).unwrap();
        assert_eq!(real(&mut manager, "names.conf").await.unwrap(), meant);
        compared += meant.len();
    }
}

#[tokio::test]
async fn our_model_of_the_parser_reads_random_files_as_the_real_one_does() {
    let office = Office::new().await;
    let mut runner = generator();
    let line = proptest::prop_oneof![
        "\\[[a-c]{1,2}\\]",
        "\\[[a-c]\\]\\((!|\\+|a|b|a,b|!,a)\\)",
        "[a-d]{1,2} ?(=|=>|\\+=) ?[ -~]{0,12}",
        "[ -~]{0,10}",
        "[a-d] = [a-z;\\\\-]{0,8}",
        "(;--|--;|;;|;)[a-z -]{0,5}",
        "\t?[a-d] = \"[^\n\r\0\"]{0,6}\"",
    ];
    let files = proptest::collection::vec(line, 0..10);
    let mut manager = office.manager().await;
    let (mut whole, mut rejected) = (0, 0);
    for _ in 0..3000 {
        let text = some(&mut runner, &files).join("\n") + "\n";
        // What would read or run other files is for other tests; carriage returns do not survive the manager's lines.
        if text.contains('#')
            || text.contains('\r')
            || text.chars().any(char::is_control) && text.contains('\u{b}')
        {
            continue;
        }
        fs::write(office.config_file("random.conf"), &text).unwrap();
        let tree = conf::parse(&ConfigDir::new(&office.asterisk.config_dir), "random.conf");
        let read = real(&mut manager, "random.conf").await;
        assert_eq!(read.is_none(), tree.is_rejected(), "{text:?}");
        match read {
            Some(pairs) => {
                let trim = |pairs: Vec<(String, Vec<(String, String)>)>| -> Vec<_> {
                    let value = |(name, value): (String, String)| {
                        (name.trim().to_owned(), value.trim().to_owned())
                    };
                    pairs
                        .into_iter()
                        .map(|(s, v)| {
                            (s.trim().to_owned(), v.into_iter().map(value).collect::<Vec<_>>())
                        })
                        .collect()
                };
                assert_eq!(trim(pairs), trim(tree.pairs()), "{text:?}");
                whole += 1;
            }
            None => rejected += 1,
        }
    }
    assert!(whole > 300 && rejected > 300, "{whole} {rejected}");
}

/// What Asterisk's parser makes of a file; nothing when it refuses it.
async fn real(manager: &mut Manager, file: &str) -> Option<Vec<(String, Vec<(String, String)>)>> {
    let answer = manager.ask(&format!("Action: GetConfig\r\nFilename: {file}")).await.concat();
    if !answer.starts_with("Response: Success") {
        return None;
    }
    let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut templates = Vec::new();
    for line in answer.lines() {
        if let Some(name) = line.strip_prefix("Category-") {
            sections.push((name.split_once(": ")?.1.to_owned(), Vec::new()));
        } else if line.starts_with("IsTemplate-") {
            templates.push(sections.len() - 1);
        } else if let Some(option) = line.strip_prefix("Line-") {
            let (name, value) = option.split_once(": ")?.1.split_once('=')?;
            sections.last_mut()?.1.push((name.to_owned(), value.to_owned()));
        }
    }
    let kept = sections.into_iter().enumerate().filter(|(at, _)| !templates.contains(at));
    Some(kept.map(|(_, section)| section).collect())
}
