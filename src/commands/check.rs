//! `patchbay check`: is what is stored whole and unaltered?

use std::process::ExitCode;

use super::Session;
use crate::audit;

/// Walks the audit log's chain and asks the database about itself.
pub async fn run(session: &Session) -> anyhow::Result<ExitCode> {
    let mut right = true;
    match audit::verify(&session.state.db, &session.state.chain).await? {
        Ok(rows) => {
            let (_, head) = audit::head_of_chain(&session.state.db).await?;
            say!("audit log: {rows} rows, unbroken; its head is {head}");
        }
        Err(broken) => {
            say!("audit log: {broken}");
            right = false;
        }
    }
    for fault in session.state.db.faults().await? {
        say!("database: {fault}");
        right = false;
    }
    if right {
        say!("database: no faults");
    }
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
