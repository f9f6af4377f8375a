//! Users from a CSV file.

use patchbay::auth::Role;

use crate::support::app::both_databases;

const GOOD: &str =
    "name,email,extension\nAnn,ann@example.com,\nBob,bob@example.com,1000\nCid,cid@example.com,\n";

both_databases! {
    async fn a_dry_run_says_what_would_happen_and_changes_nothing(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        let before = app.contents().await;
        let bad = GOOD.replace("Bob,bob@example.com,1000", "Bob,bob@example.com,1999");
        let page = admin.post("/users/import", &[("text", &bad)]).await;
        assert_eq!(page.status, 200);
        page.shows("Everything fits: <b>3</b> users would be added. Nothing has been changed yet.");
        page.shows("Add 3 users");
        assert_eq!(app.contents().await, before);
        let page = admin.post("/users/import", &[("text", &bad), ("confirmed", "1")]).await;
        page.shows("<b>3</b> users added");
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
                page.shows(&format!("<td class=\"num\">{line}</td><td>{column}</td><td class=\"wrap\">{reason}</td>"));
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
                page.shows(&format!("<td class=\"num\">{line}</td><td>email</td>"));
            }
        }
    }

    async fn a_file_with_more_users_than_numbers_is_refused_whole(app: TestApp) {
        let admin = app.signed_in("admin", Role::Admin).await;
        app.sql("UPDATE tenant SET last_extension = 1001").await;
        let before = app.contents().await;
        let page = admin.post("/users/import", &[("text", "name,email\nA,a@b.example\nB,b@b.example\nC,c@b.example\n"), ("confirmed", "1")]).await;
        assert_eq!(page.status, 422);
        page.shows("<td class=\"num\">4</td><td>extension</td><td class=\"wrap\">All extensions in range 1000-1001 are allocated. Delete users to free extensions.</td>");
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
}
