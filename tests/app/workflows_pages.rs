//! The pages of workflows, without a script.

use patchbay::auth::Role;

use crate::lifecycle::office;
use crate::support::app::{Browser, both_databases};
use crate::workflows::runner;

const PAGE: &str = "/lifecycle/workflows";

async fn begin(browser: &Browser<'_>, form: &[(&str, &str)]) -> String {
    let begun = browser.post(PAGE, form).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    begun.location().to_owned()
}

both_databases! {
    async fn somebody_is_provisioned_and_leaves_by_pages_alone(app: TestApp) {
        office(&app).await;
        let operator = app.signed_in("olga", Role::Operator).await;
        operator.get(PAGE).await.shows("No workflow has been begun yet.");
        let page = operator.get(&format!("{PAGE}/new?kind=provision")).await;
        page.shows("Voice (10.20.5.0/24)");
        page.shows("Customers (2001:db8:ff00::/52)");
        let path = begin(&operator, &[
            ("kind", "provision"), ("name", " Ann O'Neil "), ("email", "ann@example.com"), ("mac", "00:15:65:00:00:01"),
            ("model", "yealink/t46s"), ("want_ipv4", "1"), ("ipv4", ""), ("want_prefix", "1"), ("prefix", "2001:db8:ff00:300::/56"),
            ("ipv6", "2001:db8:5::11"), ("optional", "render_boot_file"),
        ]).await;
        let page = operator.get(&path).await;
        page.shows("pending");
        page.shows("Ann O'Neil: provision has begun");
        page.shows("hx-trigger=\"load delay:500ms\"");
        runner(&app).drain().await.unwrap();
        let page = operator.get(&path).await;
        for text in ["Everything is done.", "10.20.5.10", "2001:db8:ff00:300::/56", "line 1 of 00:15:65:00:00:01", "001565000001.cfg", "may fail", "href=\"/users/",
            "the user is deleted, the number is free", "it is revoked"] {
            page.shows(text);
        }
        // A box that is not ticked is not wished for, whatever stands beside it.
        page.hides("2001:db8:5::11");
        page.hides("hx-trigger");
        page.hides("Try again");
        page.hides("Cancel and undo");
        operator.get(&format!("{path}/progress")).await.hides("<html");
        let list = operator.get(&format!("{PAGE}?kind=provision&status=completed")).await;
        list.shows("Ann O'Neil");
        operator.get(&format!("{PAGE}?status=failed")).await.shows("None matches.");
        operator.get("/lifecycle").await.shows("href=\"/lifecycle/workflows\"");
        let user = page.between("href=\"/users/", "\"").to_owned();
        operator.get(&format!("/users/{user}")).await.shows("kind=suspend&amp;user=1000");
        for (kind, said) in [("suspend", "1 address or prefix"), ("resume", "1 address or prefix"), ("deprovision", "2 addresses and prefixes")] {
            let path = begin(&operator, &[("kind", kind), ("user", "1000"), ("reason", "moved"), ("delete_phone", "1")]).await;
            runner(&app).drain().await.unwrap();
            let page = operator.get(&path).await;
            page.shows("Everything is done.");
            page.shows(said);
        }
        assert_eq!(app.number("SELECT count(*) FROM users").await, 0);
        assert_eq!(app.number("SELECT count(*) FROM phone").await, 0);
    }

    async fn what_is_wrong_stands_beside_its_field_with_everything_typed(app: TestApp) {
        let operator = app.signed_in("olga", Role::Operator).await;
        let page = operator.post(PAGE, &[
            ("kind", "provision"), ("name", ""), ("email", "nobody"), ("mac", "zz"), ("want_ipv4", "1"), ("ipv4", "300.1.1.1"),
            ("extension", "12x"), ("optional", "allocate_ipv4"), ("on_failure", "wait"),
        ]).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.field_error("name"), "enter a name");
        for field in ["email", "mac", "ipv4", "extension"] {
            assert!(!page.field_error(field).is_empty(), "{field}");
        }
        for typed in ["value=\"nobody\"", "value=\"zz\"", "value=\"300.1.1.1\"", "value=\"12x\"", "value=\"allocate_ipv4\" checked", "value=\"wait\" checked"] {
            page.shows(typed);
        }
        let page = operator.post(PAGE, &[("kind", "deprovision"), ("user", "1999"), ("keep_addresses", "1")]).await;
        assert_eq!(page.field_error("user"), "there is no user with this extension or id");
        page.shows("name=\"keep_addresses\" value=\"1\" checked");
        assert_eq!(app.number("SELECT count(*) FROM workflow_run").await, 0);
        let asked = [("kind", "provision"), ("name", "Ann"), ("email", "ann@example.com")];
        let path = begin(&operator, &asked).await;
        let page = operator.post(PAGE, &asked).await;
        assert_eq!(page.status, 409);
        page.shows("a workflow for Ann is pending already");
        page.shows(&format!("href=\"{path}\""));
    }

    async fn a_failure_shows_what_failed_and_what_was_undone_and_offers_what_can_be_done(app: TestApp) {
        let operator = app.signed_in("olga", Role::Operator).await;
        let asked = [("kind", "provision"), ("name", "Ann"), ("email", "ann@example.com"), ("want_ipv4", "1"), ("on_failure", "wait")];
        let path = begin(&operator, &asked).await;
        runner(&app).drain().await.unwrap();
        let page = operator.get(&path).await;
        for text in ["failed", "Allocate an IPv4 address: no IPv4 address is free in any static pool", "It waits for you", "Try again", "Cancel and undo"] {
            page.shows(text);
        }
        let auditor = app.signed_in("udo", Role::Auditor).await;
        auditor.get(&path).await.hides("Try again");
        assert_eq!(operator.post(&format!("{path}/cancel"), &[]).await.location(), path);
        runner(&app).drain().await.unwrap();
        let page = operator.get(&path).await;
        for text in ["rolled back", "Everything that was done is undone.", "undone", "+ 1 to undo it", "by olga"] {
            page.shows(text);
        }
        // Now there is room: the same again from the beginning.
        office(&app).await;
        assert_eq!(operator.post(&format!("{path}/retry"), &[]).await.location(), path);
        runner(&app).drain().await.unwrap();
        operator.get(&path).await.shows("Everything is done.");
        let late = operator.post(&format!("{path}/cancel"), &[]).await;
        assert_eq!(late.status, 409);
        late.shows("it is completed; deprovision them instead.");
    }
}
