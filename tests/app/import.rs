//! Users from a CSV or XLSX file.

use actix_web::test::TestRequest;
use actix_web::web::Data;
use actix_web::{FromRequest as _, HttpMessage as _};
use patchbay::api::Upload;
use patchbay::auth::Role;
use patchbay::web::form::Limits;
use patchbay::web::sheet::Row;

use crate::support::app::{Answer, Browser, PASSWORD, TestApp, both_databases, logged};

const GOOD: &str =
    "name,email,extension\nAnn,ann@example.com,\nBob,bob@example.com,1000\nCid,cid@example.com,\n";

/// One part of a form with files: its name, its file's name, what is in it.
type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

/// A form with files, as browsers send it.
fn multipart(parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
        let head =
            format!("--bound\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(&[head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend_from_slice(b"--bound--\r\n");
    body
}

async fn send(browser: &Browser<'_>, body: Vec<u8>) -> Answer {
    let ask = browser.ask("POST", "/users/import").ours();
    ask.header("content-type", "multipart/form-data; boundary=bound").body(body).send().await
}

/// Sends a file as the page does: the token first, nothing pasted.
async fn upload(browser: &Browser<'_>, name: &str, content: &[u8]) -> Answer {
    let csrf = browser.csrf.borrow().clone();
    let parts =
        [("csrf", None, csrf.as_bytes()), ("file", Some(name), content), ("text", None, b"")];
    send(browser, multipart(&parts)).await
}

/// How many uploaded files there are.
fn uploads(app: &TestApp) -> usize {
    std::fs::read_dir(app.dir().join("uploads")).map_or(0, Iterator::count)
}

fn workbook(rows: &[&[&str]]) -> Vec<u8> {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (line, row) in (0..).zip(rows) {
        for (column, cell) in (0..).zip(*row) {
            sheet.write_string(line, column, *cell).unwrap();
        }
    }
    book.save_to_buffer().unwrap()
}

both_databases! {
    async fn a_file_is_checked_kept_and_added_when_confirmed(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let form = admin.get("/users/import").await;
        form.shows("enctype=\"multipart/form-data\"");
        form.shows("type=\"file\"");
        let rows: [&[&str]; 3] = [&["E-Mail", "Name", "Room"], &["ann@example.com", "=Ann", "7"], &["bob@example.com", "Bob", ""]];
        let csv = "name,email\n'=Cid,cid@example.com\nDot,dot@example.com\n";
        for (name, content, kind) in [("list.xlsx", workbook(&rows), "Ann"), ("list.csv", csv.as_bytes().to_vec(), "Cid")] {
            let before = app.contents().await;
            let page = upload(&admin, name, &content).await;
            assert_eq!(page.status, 200, "{page:?}");
            page.shows("Everything fits: <b>2</b> users would be added. Nothing has been changed yet.");
            assert_eq!(app.contents().await, before);
            let kept = page.between(r#"name="kept" value=""#, "\"").to_owned();
            let page = admin.post("/users/import", &[("kept", &kept), ("confirmed", "1")]).await;
            page.shows("<b>2</b> users added");
            let named = format!("SELECT count(*) FROM users WHERE name = '={kind}'");
            assert_eq!(app.number(&named).await, 1);
            let again = admin.post("/users/import", &[("kept", &kept), ("confirmed", "1")]).await;
            assert_eq!(again.status, 422);
            again.shows("The file is no longer here");
        }
        assert_eq!(app.number("SELECT count(*) FROM users").await, 4);
        assert_eq!(uploads(&app), 0);
    }

    async fn a_kept_file_is_its_operators_for_an_hour(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let other = app.signed_in("other", Role::Operator).await;
        app.tenant("acme", "stranger").await;
        let stranger = app.with_password("stranger").await;
        let page = upload(&admin, "list.csv", b"name,email\nAnn,ann@example.com\n").await;
        let kept = page.between(r#"name="kept" value=""#, "\"").to_owned();
        let form = [("kept", kept.as_str()), ("confirmed", "1")];
        let before = app.contents().await;
        for browser in [&other, &stranger] {
            let page = browser.post("/users/import", &form).await;
            assert_eq!(page.status, 422);
            page.shows("The file is no longer here");
        }
        // In steps between which the session is used.
        for _ in 0..3 {
            app.pass(1200);
            assert_eq!(admin.get("/users/import").await.status, 200);
        }
        assert_eq!(admin.post("/users/import", &form).await.status, 422);
        assert_eq!(app.contents().await, before);
    }

    async fn faults_of_a_file_are_named_by_its_rows(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = app.contents().await;
        let rows: [&[&str]; 5] = [&["name", "email"], &["Ann", "ann@example.com"], &[], &["Bob", "nope"], &["<script>alert(1)</script>", "x"]];
        let page = upload(&admin, "list.csv", &workbook(&rows)).await;
        assert_eq!(page.status, 422);
        page.shows("<td class=\"num\" data-label=\"line\">4</td><td>email</td>");
        page.shows("<td class=\"num\" data-label=\"line\">5</td><td>email</td>");
        assert!(!page.text.contains("name=\"kept\"") && !page.text.contains("<script>alert"));
        for (content, said) in [
            (&b""[..], "name is missing"),
            (b"name,email\n", "The file has no users."),
            (b"name,email\nZo\xeb,zoe@example.com\n", "<td class=\"num\" data-label=\"line\">2</td><td>file</td><td class=\"wrap\">this line is not text in UTF-8"),
            (b"PK\x03\x04 and nothing else", "this XLSX file cannot be read"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "this"),
        ] {
            let page = upload(&admin, "list.xlsx", content).await;
            assert!([200, 422].contains(&page.status), "{page:?}");
            page.shows(said);
        }
        assert_eq!(app.contents().await, before);
        assert_eq!(uploads(&app), 0);
    }

    async fn a_form_with_a_file_is_held_to_what_every_form_is(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let csrf = admin.csrf.borrow().clone();
        let token: Part = ("csrf", None, csrf.as_bytes());
        let file: Part = ("file", Some("list.csv"), GOOD.as_bytes());
        let confirmed: Part = ("confirmed", None, b"1");
        let before = app.contents().await;
        let far = "x".repeat(64 << 10);
        for parts in [
            vec![file, confirmed],
            vec![("csrf", None, b"wrong"), file, confirmed],
            vec![("far", None, far.as_bytes()), token, file, confirmed],
        ] {
            assert_eq!(send(&admin, multipart(&parts)).await.status, 403);
        }
        let body = multipart(&[token, file, confirmed]);
        let ask = || admin.ask("POST", "/users/import").header("content-type", "multipart/form-data; boundary=bound");
        for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
            assert_eq!(ask().header(name, value).body(body.clone()).send().await.status, 403);
        }
        assert_eq!(ask().ours().header("x-csrf-token", "wrong").body(body.clone()).send().await.status, 403);
        for odd in [
            multipart(&[token, file, file]),
            multipart(&[token, confirmed, confirmed]),
            multipart(&[token, ("text", None, b"\xff")]),
            body[..body.len() - 20].to_vec(),
            format!("{csrf} is not a form").into_bytes(),
        ] {
            assert_eq!(send(&admin, odd).await.status, 400);
        }
        let text = multipart(&[token, ("text", None, b"name,email\r\nAnn,nope\r\n"), ("file", Some(""), b"")]);
        send(&admin, text).await.shows("<td class=\"num\" data-label=\"line\">2</td><td>email</td>");
        assert_eq!(app.contents().await, before);
        let auditor = app.signed_in("auditor", Role::Auditor).await;
        assert_eq!(upload(&auditor, "list.csv", GOOD.as_bytes()).await.status, 403);
        assert_eq!(uploads(&app), 0);
    }

    async fn a_file_or_text_beyond_the_limit_is_413(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        assert_eq!(upload(&admin, "list.csv", &vec![b'x'; 8 << 20]).await.status, 413);
        let csrf = admin.csrf.borrow().clone();
        let long = vec![b'x'; (1 << 20) + 1];
        let parts = [("csrf", None, csrf.as_bytes()), ("note", None, long.as_slice())];
        assert_eq!(send(&admin, multipart(&parts)).await.status, 413);
        // What is larger than other forms may be is not too large here.
        let text = format!("name,email\n{}", "Ann,nope\n".repeat(150_000));
        assert_eq!(admin.post("/users/import", &[("text", &text)]).await.status, 422);
        assert_eq!(uploads(&app), 0);
    }

    async fn a_dry_run_says_what_would_happen_and_changes_nothing(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = app.contents().await;
        let bad = GOOD.replace("Bob,bob@example.com,1000", "Bob,bob@example.com,1999");
        let page = admin.post("/users/import", &[("text", &bad)]).await;
        assert_eq!(page.status, 200);
        page.shows("Everything fits: <b>3</b> users would be added. Nothing has been changed yet.");
        page.shows("Add 3 users");
        page.hides("class=\"secret\"");
        assert_eq!(app.contents().await, before);
        let page = admin.post("/users/import", &[("text", &bad), ("confirmed", "1")]).await;
        page.shows("<b>3</b> users added");
        // Each secret is shown this once, and is the one the phone will need.
        let id = app.texts("SELECT id FROM users WHERE email_key = 'bob@example.com'").await.remove(0);
        let revealed = admin.post(&format!("/users/{id}/secret/reveal"), &[("password", PASSWORD)]).await;
        let secret = revealed.between(r#"id="secret">"#, "<").to_owned();
        page.shows(&format!(r#"Bob</th><td><code>1999</code></td><td><code class="secret">{secret}</code>"#));
        assert!(!logged().contains(&secret));
        assert_eq!(app.texts("SELECT CAST(number AS TEXT) FROM extension ORDER BY number").await, ["1000", "1001", "1999"]);
        assert_eq!(app.number("SELECT count(*) FROM audit_event WHERE action = 'user.created'").await, 3);
    }

    async fn each_bad_cell_is_named_by_line_column_and_reason_and_nobody_is_added(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        admin.add("Old", "old@example.com", "1000").await;
        let before = app.contents().await;
        let text = "name,email,extension\n\
            Ann,ann@example.com,1001\n\
            ,OLD@example.com,12x\n\
            Bob,OLD@example.com,\n\
            Cid,cid@example.com,1000\n\
            Dot,ann@EXAMPLE.com,\n\
            \"Two\nlines\",two@example.com,2000\n\
            Eve,nope,1001\n\
            Fay,fay@example.com,1001\n";
        for confirmed in ["", "1"] {
            let page = admin.post("/users/import", &[("text", text), ("confirmed", confirmed)]).await;
            assert_eq!(page.status, 422);
            page.shows("Nothing was added.");
            for (line, column, reason) in [
                (3, "name", "enter a name"),
                (3, "extension", "use 2 to 8 digits, the first not 0"),
                (4, "email", "OLD@example.com belongs to another user"),
                (5, "extension", "1000 belongs to another user"),
                (6, "email", "ann@EXAMPLE.com belongs to another user"),
                (7, "name", "leave out line breaks and invisible characters"),
                (9, "email", "enter an e-mail address, such as ann@example.com"),
                (10, "extension", "1001 belongs to another user"),
            ] {
                page.shows(&format!("<td class=\"num\" data-label=\"line\">{line}</td><td>{column}</td><td class=\"wrap\">{reason}</td>"));
            }
            page.shows("Two\nlines");
            assert_eq!(app.contents().await, before);
        }
    }

    async fn lines_are_counted_as_an_editor_counts_them(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        for end in ["\n", "\r\n"] {
            let text = ["name,email", "Ann,ann@example.com", "", "", "Bob,nope", "\"Two", "lines\",nope", "Cid,nope", ""].join(end);
            let page = admin.post("/users/import", &[("text", &text)]).await;
            for line in [5, 6, 8] {
                page.shows(&format!("<td class=\"num\" data-label=\"line\">{line}</td><td>email</td>"));
            }
        }
    }

    async fn a_file_with_more_users_than_numbers_is_refused_whole(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        app.sql("UPDATE tenant SET last_extension = 1001").await;
        let before = app.contents().await;
        let page = admin.post("/users/import", &[("text", "name,email\nA,a@b.example\nB,b@b.example\nC,c@b.example\n"), ("confirmed", "1")]).await;
        assert_eq!(page.status, 422);
        page.shows("<td class=\"num\" data-label=\"line\">4</td><td>extension</td><td class=\"wrap\">All extensions in range 1000-1001 are allocated. Delete users to free extensions.</td>");
        assert_eq!(app.contents().await, before);
    }

    async fn odd_files_are_answered_with_what_is_wrong_with_them(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = app.contents().await;
        for (text, said) in [
            ("", "the first line must name the columns; name is missing"),
            ("a,b\n1,2", "the first line must name the columns; email is missing"),
            ("name,email\n", "The file has no users."),
            ("name,email\nAnn", "enter an e-mail address"),
            ("name,email\n\"Ann,ann@example.com\n", "enter an e-mail address"),
            ("<script>,x\n", "name is missing"),
            ("name,email\n<script>alert(1)</script>,x\n", "enter an e-mail address"),
        ] {
            let page = admin.post("/users/import", &[("text", text), ("confirmed", "1")]).await;
            assert!([200, 422].contains(&page.status), "{text:?}");
            page.shows(said);
            assert!(!page.text.contains("<script>alert") && !page.text.contains("<script>,"));
        }
        assert_eq!(app.contents().await, before);
    }

    async fn a_thousand_rows_get_the_lowest_numbers_in_their_order(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let rows: String = (0..1000).map(|n| format!("Person {n},p{n}@example.com\r\n")).collect();
        let page = admin.post("/users/import", &[("text", &format!("\u{feff}Name;E-Mail\r\n{}", rows.replace(',', ";"))), ("confirmed", "1")]).await;
        page.shows("<b>1000</b> users added");
        assert_eq!(app.number("SELECT count(*) FROM users u JOIN extension e ON e.user_id = u.id WHERE u.name = 'Person ' || (e.number - 1000)").await, 1000);
        let full = admin.post("/users", &[("name", "One more"), ("email", "more@example.com")]).await;
        assert_eq!(full.status, 409);
    }

    async fn a_call_brings_its_table_as_its_body(app: TestApp) {
        const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
        let limits = Limits { upload: 10_000, ..Limits::default() };
        let ask = |kind: &str, body: Vec<u8>| {
            let data = Data::new(app.state.clone());
            let request = TestRequest::post().app_data(data).insert_header(("content-type", kind));
            let (request, mut payload) = request.set_payload(body).to_http_parts();
            request.extensions_mut().insert(limits);
            Upload::from_request(&request, &mut payload)
        };
        let book = workbook(&[&["name"], &["Ann"]]);
        // The content says what it is, whatever it is called.
        for (kind, body) in [("text/csv; charset=utf-8", b"name\nAnn\n".to_vec()), (XLSX, book.clone()), ("text/csv", book)] {
            let sheet = ask(kind, body).await.unwrap().0.open().await.unwrap();
            let rows: Vec<Row> = sheet.map(Result::unwrap).collect();
            assert_eq!((rows.len(), rows[0].line, rows[0].cell(0)), (1, 2, "Ann"));
        }
        assert_eq!(ask("application/json", b"{}".to_vec()).await.unwrap_err().status, 415);
        assert_eq!(ask("text/csv", vec![b'x'; 10_001]).await.unwrap_err().status, 413);
        assert_eq!(uploads(&app), 0);
    }
}
