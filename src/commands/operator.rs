//! `patchbay operator add` and `patchbay token add`.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};

use super::Session;
use crate::auth::{self, NewPassword, OperatorName, Role, TokenLabel};
use crate::id::TenantId;

/// Creates an operator of the default tenant with the password on standard input.
pub async fn add(session: &Session, name: &str, role: &str) -> anyhow::Result<ExitCode> {
    let name: OperatorName = name.parse().context("NAME")?;
    let role: Role = role.parse().context("--role")?;
    let mut typed = String::new();
    std::io::stdin().take(1024).read_to_string(&mut typed).context("cannot read the password")?;
    let password =
        NewPassword::parse(typed.trim_end_matches(['\r', '\n']), &name).context("password")?;
    let mut change = session.state.change(&auth::local_actor()).await?;
    let id =
        auth::create(&mut change, &session.state.vault, TenantId::DEFAULT, &name, role).await?;
    auth::set_password(&mut change, &session.state.vault, id, &name, password).await?;
    change.commit().await?;
    say!("{name} may sign in as {role}");
    Ok(ExitCode::SUCCESS)
}

/// Prints a new token for an operator.
pub async fn add_token(
    session: &Session,
    label: &str,
    operator: &str,
    role: Option<&str>,
) -> anyhow::Result<ExitCode> {
    let label: TokenLabel = label.parse().context("LABEL")?;
    let name: OperatorName = operator.parse().context("--operator")?;
    let (_, tenant) = auth::find(&session.state, &name)
        .await?
        .ok_or_else(|| anyhow!("there is no operator {name}"))?;
    let role = role.map_or(Ok(Role::Admin), str::parse).context("--role")?;
    let actor = crate::audit::Actor { tenant, ..auth::local_actor() };
    let mut change = session.state.change(&actor).await?;
    let token =
        auth::issue_token(&mut change, &session.state.vault, &name, &label, role, None).await?;
    change.commit().await?;
    say!("{token}");
    Ok(ExitCode::SUCCESS)
}
