//! The Apply pages as people see them, on the running program with a real Asterisk.

use std::fs;

use patchbay::{apply::Reason, secrets, users::PersonName};
use reqwest::Method;
use serde_json::json;

use crate::{
    desk::{Desk, Page},
    office::{Office, Serving, append},
    proxy::{Fault, Proxy},
    support::server::free_port,
};

const HOSTILE: &str = include_str!("../app/hostile-strings.json");
const CALL: &str = "/api/v1/apply";

/// The program beside an office, and somebody at its pages.
async fn open(office: &Office) -> (Serving, Desk) {
    let serving = Serving::start(office, free_port());
    let desk = Desk::sign_in(office, &serving.url).await;
    (serving, desk)
}

/// As [`open`], with something between the program and Asterisk.
async fn open_behind(office: &Office, proxy: &Proxy) -> (Serving, Desk) {
    let mut command = office.command();
    command.env("PATCHBAY_ASTERISK_AMI", proxy.address());
    let serving = Serving::begin(command, free_port());
    let desk = Desk::sign_in(office, &serving.url).await;
    (serving, desk)
}

/// The hostile strings.
fn hostile() -> Vec<String> {
    let all: serde_json::Value = serde_json::from_str(HOSTILE).unwrap();
    let inputs = all.as_array().unwrap().iter().map(|case| case["input"].as_str().unwrap());
    inputs.map(str::to_owned).collect()
}

/// Markup that only a string that was not escaped could have brought in.
#[track_caller]
fn is_inert(page: &Page) {
    assert_eq!(page.status, 200);
    for live in ["<script>alert", "\"the boss\" O'Neil", "Bob <1234>", "<&>\"'"] {
        assert!(!page.html.contains(live), "{live}: {}", page.html);
    }
}

/// Whether a page holds a digest, which is as good as a password.
fn has_digest(page: &Page) -> bool {
    ["MD5:", "SHA-256:"].iter().any(|kind| {
        page.text.split(kind).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit()))
    })
}

/// The row of a run in the history.
fn row(page: &Page, run: u32) -> &str {
    page.between(&format!("<a href=\"/apply/runs/{run}\">{run}</a>"), "</tr>")
}

/// How long a run took, as its row says: `0.41 s`.
fn took(row: &str) -> f64 {
    let (_, took) = row.split_once("data-label=\"took\">").unwrap();
    took.split_once(" s<").unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn a_run_that_was_rolled_back_and_the_one_that_was_not_are_shown_with_all_they_did() {
    let office = Office::new().await;
    office.hire("Ann O'Neil").await;
    let proxy = Proxy::new(office.asterisk.ami_port, "Action: Reload", Fault::Cut, 1).await;
    let (serving, desk) = open_behind(&office, &proxy).await;
    desk.open("/apply").await.shows("Nothing has been applied yet.");

    assert_eq!(desk.apply(&[("reason", " first <i>try</i> ")]).await, "/apply/runs/1");
    let page = desk.open("/apply/runs/1").await;
    for said in [
        "<b>rolled back</b>",
        "first <i>try</i>",
        "Asterisk did not take the new release",
        "Release 0 is in force again",
        "Nothing has changed for phones.",
        "<li class=\"bad\">not taken by Asterisk<span class=\"visually-hidden\">: went wrong</span>",
        "<li class=\"ok\">old release put back<span class=\"visually-hidden\">: done</span>",
        "<dt>Release in force after it</dt><dd class=\"num\">0</dd>",
        "<dt>Users</dt><dd class=\"num\">1</dd>",
        // What Asterisk did not take can be looked at.
        "<span class=\"add\">+[1000](patchbay-phone)</span>",
        "+password_digest = SHA-256:(hidden #",
    ] {
        page.shows(said);
    }
    page.hides("Restore this release");
    assert!(!page.html.contains("<i>try") && !has_digest(&page), "{}", page.html);

    let page = desk.open("/apply").await;
    let first = row(&page, 1);
    for said in ["rolled back", "Asterisk did not take the new release", "first", "desk"] {
        assert!(first.contains(said), "{said}: {first}");
    }
    assert!(took(first) > 0.0 && !first.contains("Restore"), "{first}");

    let run = desk.apply(&[]).await;
    let page = desk.open(&run).await;
    page.shows("<b>verified</b> <span class=\"soft\">in ");
    page.shows("Asterisk runs release 2");
    let modules = page.between("<caption class=\"visually-hidden\">Modules</caption>", "</table>");
    let rows: Vec<&str> = modules.split("<tr>").skip(2).collect();
    let [phones, dialplan] = rows[..] else { panic!("{modules}") };
    for said in [
        "res_pjsip.so",
        "<a href=\"/apply/runs/2/files/pjsip.conf\">",
        ">reloaded</td>",
        " ms</td>",
    ] {
        assert!(phones.contains(said), "{said}: {phones}");
    }
    let not = ["pbx_config.so", "/apply/runs/2/files/extensions.conf", "unchanged, not reloaded"];
    assert!(not.iter().all(|said| dialplan.contains(said)), "{dialplan}");
    assert!(!dialplan.contains(" ms</td>"), "{dialplan}");

    for name in ["pjsip.conf", "extensions.conf"] {
        let file = desk.open(&format!("{run}/files/{name}")).await;
        let there = fs::read(office.config_file("patchbay/current").join(name)).unwrap();
        file.shows(&format!("SHA-256 <code>{}</code>", secrets::fingerprint(&there)));
        assert!(!has_digest(&file), "{}", file.text);
        if name == "pjsip.conf" {
            file.shows("<span>[1000](patchbay-phone)</span>");
            file.shows("<span>password_digest = MD5:(hidden #");
        } else {
            file.shows("<span>[patchbay-internal]</span>");
        }
    }
    let page = desk.open("/apply").await;
    assert!(row(&page, 2).contains("href=\"/apply?release=2\""), "{}", row(&page, 2));
    assert_eq!(desk.open("/apply/runs/2/files/passwd").await.status, 404);
    serving.stop();
}

#[tokio::test]
async fn what_was_refused_or_met_no_asterisk_is_shown_with_all_it_would_have_put_in_place() {
    let mut office = Office::new().await;
    office.hire("Ann").await;
    let (serving, desk) = open(&office).await;
    desk.apply(&[]).await;
    let (_, secret) = office.hire("Bob <i>B</i>").await;
    let extensions = office.config_file("extensions.conf");
    let by_hand = fs::read_to_string(&extensions).unwrap();
    append(&extensions, "\n[patchbay-internal]\nexten => 1000,1,Hangup()\n");

    // Refused: something stands in the way.
    let run = desk.apply(&[("reason", "for <i>B</i>")]).await;
    let refused = desk.open(&run).await;
    refused.shows("<b>refused</b>");
    refused.shows("is also a context of ours");
    // The same, and Asterisk does not answer either.
    office.asterisk.stop();
    fs::write(&extensions, &by_hand).unwrap();
    let (status, _, answer) = desk.apply_by_script(&json!({})).await;
    assert_eq!((status, &answer["result"]["outcome"]), (503, &json!("unreachable")), "{answer}");
    let unreachable = desk.open("/apply/runs/3").await;
    unreachable.shows("<b>unreachable</b>");
    unreachable.shows("does not answer: start Asterisk");
    for (page, id) in [(&refused, 2), (&unreachable, 3)] {
        for said in [
            "Nothing has changed for phones.",
            "<dt>Release in force after it</dt><dd class=\"num\">1</dd>",
            "<h2>What would have been put in place</h2>",
            &format!("<a href=\"/apply/runs/{id}/files/pjsip.conf\">pjsip.conf</a>, "),
            "<span class=\"add\">+[1001](patchbay-phone)</span>",
            "+callerid = \"Bob <i>B</i>\" <1001>",
            "+password_digest = SHA-256:(hidden #",
        ] {
            page.shows(said);
        }
        page.hides("Nothing else than was in force");
        page.hides("Restore this release");
        let file = desk.open(&format!("/apply/runs/{id}/files/pjsip.conf")).await;
        file.shows("<span>[1001](patchbay-phone)</span>");
        file.shows("<span>password_digest = MD5:(hidden #");
        let other = desk.open(&format!("/apply/runs/{id}/files/extensions.conf")).await;
        other.shows("<span>[patchbay-internal]</span>");
        for page in [page, &file, &other] {
            assert!(!page.html.contains("<i>B") && !has_digest(page), "{}", page.html);
            page.hides(secret.expose());
        }
        let history = desk.open("/apply").await;
        assert!(!row(&history, id).contains("Restore"), "{}", row(&history, id));
        assert_eq!(desk.open(&format!("/apply?release={id}")).await.status, 404);
        assert_eq!(desk.send("/apply", &[("release", &id.to_string())]).await.status, 404);
        let body = json!({ "release": id });
        assert_eq!(desk.ask(Method::POST, CALL, Some(&body)).await.0, 404);
    }

    // What it would have put in place is what is put in place once nothing stands in the way.
    office.asterisk.restart();
    let run = desk.apply(&[]).await;
    desk.open(&run).await.shows("<b>verified</b>");
    let file = desk.open("/apply/runs/2/files/pjsip.conf").await;
    file.shows(&format!(
        "SHA-256 <code>{}</code>",
        secrets::fingerprint(office.files()[0].as_bytes())
    ));

    // Nothing to change: seen, and then not.
    let run = desk.apply(&[]).await;
    let page = desk.open(&run).await;
    page.shows("<b>unchanged</b>");
    page.shows(&format!("<a href=\"{run}/files/pjsip.conf\">pjsip.conf</a>"));
    page.hides("What would have been put in place");
    desk.open(&format!("{run}/files/pjsip.conf")).await.shows("[1001](patchbay-phone)");
    office.asterisk.stop();
    let run = desk.apply(&[]).await;
    let page = desk.open(&run).await;
    page.shows("<b>unreachable</b>");
    page.shows("Nothing else than was in force.");
    desk.open(&format!("{run}/files/pjsip.conf")).await.shows("[1001](patchbay-phone)");
    assert_eq!(office.current(), 4);
    serving.stop();
}

#[tokio::test]
async fn hostile_names_are_inert_wherever_an_apply_shows_them() {
    let office = Office::new().await;
    let (serving, desk) = open(&office).await;
    let names: Vec<String> =
        hostile().into_iter().filter(|name| name.parse::<PersonName>().is_ok()).collect();
    assert!(names.len() >= 30, "{names:?}");
    for name in &names {
        office.hire(name).await;
    }
    let page = desk.open("/apply").await;
    is_inert(&page);
    let (phones, pending) = (
        page.between("Phones that will change</caption>", "</table>"),
        page.between("Changes since the last Apply</caption>", "</table>"),
    );
    for name in &names {
        assert!(phones.contains(name) && pending.contains(name), "{name:?} {}", page.text);
    }
    let run = desk.apply(&[]).await;
    let (told, file) = (desk.open(&run).await, desk.open(&format!("{run}/files/pjsip.conf")).await);
    told.shows("<b>verified</b>");
    for page in [&told, &file] {
        is_inert(page);
        page.shows("callerid = \"<script>alert(1)</script>\" <");
    }
    serving.stop();
}

#[tokio::test]
async fn hostile_reasons_are_kept_as_typed_or_refused_and_nothing_else() {
    let office = Office::new().await;
    office.hire("Ann").await;
    let (serving, desk) = open(&office).await;
    let (mut runs, mut refused) = (0, 0);
    for input in hostile() {
        let called = desk.apply_by_script(&json!({ "reason": input })).await;
        let kept = match input.parse::<Reason>() {
            Ok(reason) => reason,
            Err(error) => {
                assert_eq!(called.0, 422, "{input:?}: {called:?}");
                assert_eq!(called.2["errors"]["reason"], error.to_string(), "{input:?}");
                let page = desk.send("/apply", &[("reason", &input)]).await;
                assert_eq!(page.status, 422, "{input:?}: {}", page.text);
                refused += 1;
                continue;
            }
        };
        assert_eq!(called.0, 200, "{input:?}: {called:?}");
        let history = desk.look("/api/v1/apply/history").await;
        assert_eq!(history["runs"][0]["reason"], kept.as_str(), "{input:?}");
        runs += 1;
        let run = desk.apply(&[("reason", input.as_str())]).await;
        runs += 1;
        let page = desk.open(&run).await;
        is_inert(&page);
        page.shows(&kept.as_str().chars().take(80).collect::<String>());
        let page = desk.open("/apply").await;
        is_inert(&page);
    }
    let history = desk.look("/api/v1/apply/history").await;
    assert_eq!(history["total"], runs);
    assert!(runs > 30 && refused > 3, "{runs} {refused}");
    assert_eq!(office.held().await.phones(), ["1000"]);
    let file = desk.page("/audit.csv").await;
    for cell in csv::Reader::from_reader(file.as_bytes())
        .records()
        .flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
    {
        assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
    }
    serving.stop();
}

#[tokio::test]
async fn a_reason_too_long_is_refused_by_name_on_every_way_and_nothing_is_applied() {
    let office = Office::new().await;
    let (ann, _) = office.hire("Ann").await;
    let (serving, desk) = open(&office).await;
    desk.apply(&[]).await;
    office.rename(&ann, "Anna").await;
    append(&office.config_file("patchbay/current/extensions.conf"), "\n; mine\n");
    // Characters count, not bytes.
    let (most, long) = ("ö".repeat(500), format!("<b>{}", "ö".repeat(498)));
    let sentence = "use at most 500 characters";

    for form in [
        &[("reason", long.as_str()), ("overwrite", "1")][..],
        &[("reason", long.as_str()), ("overwrite", "1"), ("release", "1")],
    ] {
        let page = desk.send("/apply", form).await;
        assert_eq!(page.status, 422, "{}", page.text);
        page.shows(&format!("<span class=\"error\" id=\"reason-error\">{sentence}</span>"));
        page.shows(&format!("name=\"reason\" value=\"{long}\""));
        page.shows("aria-invalid=\"true\" aria-describedby=\"reason-error\"");
        page.shows("name=\"overwrite\" value=\"1\" required checked");
        let restores = page.text.contains("<input type=\"hidden\" name=\"release\" value=\"1\">");
        assert_eq!(restores, form.len() == 3, "{}", page.text);
        assert!(!page.html.contains("<b>ö"), "{}", page.html);
    }
    let body = json!({ "reason": long, "overwrite": true });
    let (status, kind, answer) = desk.ask(Method::POST, CALL, Some(&body)).await;
    assert_eq!((status, kind.as_str()), (422, "application/problem+json"), "{answer}");
    assert_eq!(answer["errors"], json!({ "reason": sentence }), "{answer}");
    let output = office.patchbay(&["apply", "--overwrite", "--reason", &long]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("--reason") && told.contains(sentence), "{told}");

    assert_eq!(desk.look("/api/v1/apply/history").await["total"], 1);
    assert_eq!((office.current(), office.pending().await), (1, 1));
    assert!(office.files()[1].contains("; mine"));
    // As long as it may be, on each of them.
    let run = desk.apply(&[("reason", most.as_str()), ("overwrite", "1")]).await;
    desk.open(&run).await.shows(&most);
    let called = desk.apply_by_script(&json!({ "reason": most })).await;
    assert_eq!(called.2["verified"], true, "{called:?}");
    assert!(office.patchbay(&["apply", "--reason", &most]).status.success());
    let history = desk.look("/api/v1/apply/history").await;
    for run in 0..3 {
        assert_eq!(history["runs"][run]["reason"], most, "{history}");
    }
    serving.stop();
}

#[tokio::test]
async fn what_differs_from_the_files_in_force_is_shown_before_anything_is_overwritten() {
    let office = Office::new().await;
    office.hire("Ann").await;
    let (serving, desk) = open(&office).await;
    desk.apply(&[]).await;
    desk.open("/apply/asterisk").await.shows("runs release 1");
    let page = desk.open("/apply").await;
    page.hides("Changed by hand.");

    let pjsip = office.config_file("pjsip.conf");
    let before = fs::read_to_string(&pjsip).unwrap();
    append(&pjsip, "\n[<b>trunk</b>]\ntype = aor\n");
    office.asterisk.cli("module reload res_pjsip.so");
    fs::write(&pjsip, before).unwrap();
    append(
        &office.config_file("patchbay/current/pjsip.conf"),
        "\n[mine]\ntype = aor\nsecret = hunter2\n",
    );
    let page = desk.open("/apply/asterisk").await;
    for said in [
        "does not run exactly what it should",
        "patchbay/current/pjsip.conf was changed by hand",
        "aor <b>trunk</b>",
        "aor mine",
    ] {
        page.shows(said);
    }
    assert!(!page.html.contains("<b>trunk"), "{}", page.html);
    let page = desk.open("/apply").await;
    for said in [
        "<b>Changed by hand.</b> patchbay/current/pjsip.conf was changed by hand.",
        "name=\"overwrite\" value=\"1\" required",
        "<span class=\"del\">-[mine]</span>",
        "-secret = (hidden #",
    ] {
        page.shows(said);
    }
    page.hides("hunter2");

    // By page: refused, until it is said that it may be.
    let run = desk.apply(&[("reason", "unaware")]).await;
    let page = desk.open(&run).await;
    page.shows("<b>refused</b>");
    page.shows("<li>patchbay/current/pjsip.conf was changed by hand</li>");
    assert!(office.files()[0].contains("[mine]"));
    let run = desk.apply(&[("overwrite", "1")]).await;
    desk.open(&run).await.shows("<b>verified</b>");
    assert!(!office.files()[0].contains("[mine]"));

    // By a script, the same.
    append(&office.config_file("patchbay/current/extensions.conf"), "\n; mine\n");
    let (status, kind, answer) = desk.apply_by_script(&json!({})).await;
    assert_eq!((status, kind.as_str()), (409, "application/problem+json"), "{answer}");
    assert_eq!(answer["result"]["outcome"], "refused", "{answer}");
    let hand = "patchbay/current/extensions.conf was changed by hand";
    assert_eq!(answer["result"]["findings"], json!([hand]), "{answer}");
    let preview = desk.look("/api/v1/apply/preview").await;
    assert_eq!(preview["changed_by_hand"], json!([hand]), "{preview}");
    assert!(preview["files"][0]["diff"].as_str().unwrap().contains("-; mine"), "{preview}");
    let (_, _, answer) = desk.apply_by_script(&json!({ "overwrite": true })).await;
    assert_eq!(answer["outcome"], "verified", "{answer}");
    assert!(!office.files()[1].contains("; mine"));
    serving.stop();
}

#[tokio::test]
async fn an_earlier_release_is_put_back_by_page_and_by_script() {
    let office = Office::new().await;
    let (ann, _) = office.hire("Ann").await;
    let (serving, desk) = open(&office).await;
    desk.apply(&[]).await;
    office.rename(&ann, "Anna <b>B</b>").await;
    desk.apply(&[]).await;
    let mut manager = office.manager().await;
    assert_eq!(manager.caller_id("1000").await, "\"Anna <b>B</b>\" <1000>");

    let page = desk.open("/apply?release=1").await;
    for said in [
        "<h1>Restore release 1</h1>",
        "<input type=\"hidden\" name=\"release\" value=\"1\">",
        "Put release 1 back into force",
        "shown as <del>Anna <b>B</b></del> <ins>Ann</ins>",
        "-callerid = \"Anna <b>B</b>\" <1000>",
        "+callerid = \"Ann\" <1000>",
    ] {
        page.shows(said);
    }
    assert!(!page.html.contains("<b>B"), "{}", page.html);
    let run = desk.apply(&[("release", "1"), ("reason", "Anna did not like it")]).await;
    let page = desk.open(&run).await;
    page.shows("<b>verified</b>");
    page.shows("Anna did not like it");
    assert_eq!(manager.caller_id("1000").await, "\"Ann\" <1000>");
    // What was taken back is pending again.
    desk.open("/apply").await.shows("Apply 1 change to Asterisk");

    let (_, _, answer) = desk.apply_by_script(&json!({ "release": 2 })).await;
    assert_eq!((&answer["outcome"], &answer["release"]), (&json!("verified"), &json!(4)));
    assert_eq!(manager.caller_id("1000").await, "\"Anna <b>B</b>\" <1000>");

    let (status, kind, answer) =
        desk.ask(Method::POST, CALL, Some(&json!({ "release": 99 }))).await;
    assert_eq!((status, kind.as_str()), (404, "application/problem+json"), "{answer}");
    assert_eq!(answer["errors"]["release"], "there is no such release to restore");
    assert_eq!(desk.send("/apply", &[("release", "99")]).await.status, 404);
    assert_eq!(desk.open("/apply?release=99").await.status, 404);
    serving.stop();
}

#[tokio::test]
async fn while_one_applies_its_step_is_shown_and_the_next_is_told_who_it_is() {
    let office = Office::new().await;
    office.hire("Ann").await;
    let proxy = Proxy::new(office.asterisk.ami_port, "Action: Reload", Fault::Hold, 1).await;
    let (serving, desk) = open_behind(&office, &proxy).await;
    let run = desk.send("/apply", &[]).await.location().to_owned();
    proxy.reached().await;

    for path in [&run, &format!("{run}/progress")] {
        let page = desk.open(path).await;
        for said in [
            "<b>Applying…</b>",
            &format!("hx-get=\"{run}/progress\""),
            "<li class=\"ok\">files put in place<span class=\"visually-hidden\">: done</span>",
            "<li class=\"now\">read by Asterisk<span class=\"visually-hidden\">: under way</span>",
            "<li>read back and compared<span class=\"visually-hidden\">: to come</span>",
        ] {
            page.shows(said);
        }
        assert!(!page.headers.contains_key("hx-refresh"));
    }

    let page = desk.open("/apply").await;
    page.shows("<b>desk is applying now.</b> <a href=\"/apply/runs/1\">Watch it</a>");
    page.shows("disabled aria-describedby=\"obstacle\"");
    let page = desk.send("/apply", &[("reason", "me <b>too</b>")]).await;
    assert_eq!(page.status, 409);
    page.shows("<p class=\"notice bad\" role=\"alert\">desk is applying right now; wait until that is done.</p>");
    page.shows("value=\"me <b>too</b>\"");
    assert!(!page.html.contains("<b>too"), "{}", page.html);
    let (status, kind, answer) = desk.ask(Method::POST, CALL, None).await;
    assert_eq!((status, kind.as_str()), (409, "application/problem+json"), "{answer}");
    assert_eq!(answer["detail"], "desk is applying right now; wait until that is done");
    assert!(answer.get("result").is_none(), "none began: {answer}");

    proxy.go();
    desk.watch(&run).await;
    let page = desk.open(&format!("{run}/progress")).await;
    page.shows("<b>verified</b>");
    assert_eq!(page.headers["hx-refresh"], "true");
    assert_eq!(desk.look("/api/v1/apply/history").await["total"], 1);
    serving.stop();
}
