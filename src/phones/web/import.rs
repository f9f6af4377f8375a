//! The page of imports.

use askama::Template;

use super::LIST;
use crate::auth::Operator;
use crate::ipam::space::Space;
use crate::phones::import::run;
use crate::web::sheet::{Import, ImportView, Spool, Upload};
use crate::web::{Answer, Shell, respond};

#[derive(Template)]
#[template(path = "phones/import.html")]
struct ImportPage {
    shell: Shell,
    view: ImportView,
}

const IMPORT: Import = Import {
    action: "/phones/import",
    list: LIST,
    one: "phone",
    many: "phones",
    columns: "mac and, if wished, vendor, model, label, site, extensions (several with blanks between), subnet, static_ip (an address, next or none), profile and notes",
    example: "mac,vendor,model,extensions,subnet,static_ip\n00:15:65:12:34:56,yealink,t46s,1001,Voice Berlin,next\n000b82aabbcc,grandstream,ht802,1002 1003,,10.20.5.17",
    changes: true,
};

async fn answer(by: &Operator, view: ImportView) -> Answer {
    let shell = by.shell(&mut by.read().await?, LIST).await?;
    let status = view.status();
    respond(status, &ImportPage { shell, view })
}

pub(super) async fn page(by: Operator) -> Answer {
    answer(&by, ImportView::new(IMPORT)).await
}

pub(super) async fn import(by: Operator, mut upload: Upload) -> Answer {
    let spool = Spool::of(by.state());
    let Some(source) = upload.source(&spool, by.id())? else {
        return answer(&by, ImportView::gone(IMPORT)).await;
    };
    let sheet = source.open().await;
    let mut change = by.long_change().await?;
    let mut space = Space::open(&mut change, by.state().vault.entropy()).await?;
    let report = run(&mut space, &by.state().vault, sheet).await?;
    let mut view = ImportView::checked(IMPORT, report, upload.is_confirmed());
    if view.done {
        space.close().await?;
        change.commit().await?;
    } else {
        drop(space);
        drop(change);
    }
    view.keep(source, &spool, by.id())?;
    answer(&by, view).await
}
