//! Everything goes well.

use patchbay::apply::{RunState, Source};

use crate::office::{Office, on_both_databases, set_range};

on_both_databases! {
    async fn two_people_are_applied_and_asterisk_holds_exactly_them(office: Office) {
        let check = office.patchbay(&["asterisk", "check"]);
        assert!(check.status.success(), "{check:?}");
        let mut watcher = office.manager().await;

        office.hire("Ann").await;
        office.hire("Bob; the \"builder\"").await;
        assert_eq!(office.pending().await, 2);
        let run = office.apply().await;
        assert_eq!(run.state, RunState::Verified, "{run:?}");
        assert_eq!(run.findings(), [""; 0]);
        assert_eq!((run.actor.as_str(), run.reason.as_str(), run.users), ("ann", "a test", Some(2)));
        assert_eq!((run.release, run.previous), (Some(run.id), Some(0)));
        assert_eq!(office.current(), run.id);
        assert_eq!(office.pending().await, 0);
        assert_eq!(watcher.reloads().await, ["res_pjsip.so"], "the dialplan did not change");
        let modules: Vec<_> = run.modules().into_iter().map(|m| (m.name, m.reloaded)).collect();
        assert_eq!(modules, [("res_pjsip.so".to_owned(), true), ("pbx_config.so".to_owned(), false)]);

        let held = office.held().await;
        assert_eq!(held.phones(), ["1000", "1001"]);
        assert_eq!(watcher.caller_id("1000").await, "\"Ann\" <1000>");
        let meant = meant(&office);
        for (list, kind) in [("PJSIPShowEndpoints", "endpoint"), ("PJSIPShowAuths", "auth"), ("PJSIPShowAors", "aor")] {
            let mut ids = watcher.ids(list).await;
            ids.sort();
            assert_eq!(ids, meant[kind], "{kind}");
        }

        let again = office.apply().await;
        assert_eq!(again.state, RunState::Unchanged, "{again:?}");
        assert_eq!((again.release, office.current()), (Some(run.id), run.id));
        assert_eq!(watcher.reloads().await, [""; 0], "nothing changed, nothing is reloaded");
        assert_eq!(office.held().await, held);
    }

    async fn a_name_reloads_pjsip_alone_and_a_range_the_dialplan_alone(office: Office) {
        let (ann, _) = office.hire("Ann").await;
        assert_eq!(office.apply().await.state, RunState::Verified);
        let mut watcher = office.manager().await;

        office.rename(&ann, "Anna").await;
        assert_eq!(office.apply().await.state, RunState::Verified);
        assert_eq!(watcher.reloads().await, ["res_pjsip.so"]);
        assert_eq!(watcher.caller_id("1000").await, "\"Anna\" <1000>");

        set_range(&office, "1000-2999").await;
        assert_eq!(office.apply().await.state, RunState::Verified);
        assert_eq!(watcher.reloads().await, ["pbx_config.so"]);
        assert!(office.asterisk.cli("dialplan show 2500@patchbay-internal").contains("Dial(PJSIP"));
        assert_eq!(office.apply().await.state, RunState::Unchanged);
    }

    async fn an_earlier_release_can_be_restored_and_what_it_lacks_is_pending(office: Office) {
        let (ann, _) = office.hire("Ann").await;
        let first = office.apply().await;
        let then = office.held().await;
        office.rename(&ann, "Anna").await;
        office.hire("Bob").await;
        let second = office.apply().await;
        assert_eq!((second.state, office.pending().await), (RunState::Verified, 0));

        let restored = office.restore(first.id).await;
        assert_eq!(restored.state, RunState::Verified, "{restored:?}");
        assert_eq!(office.held().await, then);
        assert_eq!((restored.release, restored.previous), (Some(restored.id), Some(second.id)));
        assert_eq!(office.pending().await, 2, "the renaming and Bob are not in force");

        let unchanged = office.restore(first.id).await;
        assert_eq!((unchanged.state, office.pending().await), (RunState::Unchanged, 2));
        let now = office.apply().await;
        assert_eq!((now.state, office.pending().await), (RunState::Verified, 0));
        assert_eq!(office.held().await.phones(), ["1000", "1001"]);

        // A run that changed nothing put into force what it found.
        let same = office.restore(unchanged.id).await;
        assert_eq!((same.state, office.pending().await), (RunState::Verified, 2), "{same:?}");
        assert_eq!(office.held().await, then);
        let refused = office.applier.apply(&office.actor, &crate::office::request(Source::Release(999))).await;
        assert_eq!(refused.unwrap_err().to_string(), "there is no such release to restore");
    }
}

#[tokio::test]
async fn with_nobody_there_the_context_exists_and_knows_no_number() {
    let office = Office::new().await;
    let run = office.apply().await;
    assert_eq!((run.state, run.users), (RunState::Unchanged, Some(0)), "installing did it all");
    assert_eq!(office.held().await.phones(), [""; 0]);
    let context = office.asterisk.cli("dialplan show patchbay-internal");
    assert!(context.contains("_1XXX") && context.contains("hint"), "{context}");
    // Everybody leaves again.
    let (ann, _) = office.hire("Ann").await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    office.dismiss(&ann).await;
    assert_eq!(office.apply().await.state, RunState::Verified);
    assert_eq!(office.held().await.phones(), [""; 0]);
}

#[tokio::test]
async fn a_disabled_person_leaves_asterisk_and_a_freed_number_is_given_again() {
    let office = Office::new().await;
    let (ann, _) = office.hire("Ann").await;
    let (bob, _) = office.hire("Bob").await;
    office.apply().await;
    let off = patchbay::users::Edit { enabled: Some(false), ..Default::default() };
    office.edit(&bob, off).await;
    office.dismiss(&ann).await;
    let run = office.apply().await;
    assert_eq!((run.state, run.users), (RunState::Verified, Some(0)), "{run:?}");
    assert_eq!(office.held().await.phones(), [""; 0]);
    let (zed, _) = office.hire("Zed").await;
    assert_eq!(zed.number.as_i64(), 1000, "Ann's number is free, Bob keeps his");
    office.apply().await;
    assert_eq!(office.manager().await.caller_id("1000").await, "\"Zed\" <1000>");
}

#[tokio::test]
async fn two_tenants_with_the_same_numbers_do_not_touch_each_other() {
    let mut office = Office::new().await;
    office.hire("Ann").await;
    office.apply().await;
    let mut watcher = office.manager().await;
    let ann = watcher.endpoint("1000").await;
    office.found("acme").await;
    office.hire("Wile").await;

    let run = office.apply().await;
    assert_eq!(run.state, RunState::Verified, "{run:?}");
    assert_eq!(office.held().await.phones(), ["1000", "acme-1000"]);
    assert_eq!(watcher.endpoint("1000").await, ann);
    let wile = watcher.endpoint("acme-1000").await.concat();
    assert_eq!(crate::office::value(&wile, "Context"), Some("patchbay-acme"));
    assert!(ann.concat().contains("Context: patchbay-internal"));
    let theirs = office.asterisk.cli("dialplan show patchbay-acme");
    assert!(
        theirs.contains("PJSIP/acme-${EXTEN}") && !theirs.contains("PJSIP/${EXTEN}"),
        "{theirs}"
    );
    let ours = office.asterisk.cli("dialplan show patchbay-internal");
    assert!(ours.contains("PJSIP/${EXTEN}") && !ours.contains("acme"), "{ours}");
    assert!(!ours.contains("Include") && !theirs.contains("Include"));
}

/// The ids by kind that the files in force define, read independently of the program's own parser.
fn meant(office: &Office) -> std::collections::BTreeMap<&'static str, Vec<String>> {
    let mut ids = std::collections::BTreeMap::new();
    for line in
        office.files()[0].lines().filter(|line| line.starts_with('[') && !line.ends_with("(!)"))
    {
        let (id, template) = line[1..].split_once(']').unwrap();
        let kind = match template {
            "(patchbay-phone)" => "endpoint",
            "(patchbay-auth)" => "auth",
            "(patchbay-aor)" => "aor",
            _ => continue,
        };
        ids.entry(kind).or_insert_with(Vec::new).push(id.to_owned());
    }
    // The canary is one of each kind and uses no template.
    let text = &office.files()[0];
    let canary = text.rsplit("\n[").next().unwrap().split(']').next().unwrap().to_owned();
    let canary = canary.trim_end_matches("-auth").to_owned();
    for kind in ["endpoint", "auth", "aor"] {
        let ids = ids.entry(kind).or_insert_with(Vec::new);
        if !ids.iter().any(|id| id.starts_with("patchbay-")) {
            ids.push(canary.clone());
        }
        ids.sort();
    }
    ids
}
