//! The `patchbay` command: reads the settings and does what it was asked. Without a subcommand
//! it serves.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use patchbay::apply::Reason;
use patchbay::commands::{self, Session};
use patchbay::config::Config;
use patchbay::ipam::populate::Clear;

#[derive(Parser)]
#[command(version, about = "The control plane of a voice network")]
struct Arguments {
    /// The settings file; `patchbay.toml` when there is one
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the database up to date and serve
    Serve,
    /// Operators: who may sign in
    Operator {
        #[command(subcommand)]
        command: OperatorCommand,
    },
    /// API tokens
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Put what the database says into force; exit 0 only if Asterisk was seen to run it
    Apply {
        /// Print the difference instead
        #[arg(long)]
        preview: bool,
        /// Why, for the history: one line of at most 500 characters
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: Reason,
        /// Go on although files in force were changed by hand
        #[arg(long)]
        overwrite: bool,
    },
    /// Make Asterisk read Patchbay's files
    Asterisk {
        #[command(subcommand)]
        command: AsteriskCommand,
    },
    /// Addresses, subnets and hosts
    Ipam {
        #[command(subcommand)]
        command: IpamCommand,
    },
    /// Verify the database and the audit log; exit 1 if something is wrong
    Check,
    /// Add what a CSV or XLSX file holds, all of it or nothing
    Import {
        /// What it holds: users, subnets, addresses, hosts, or a DHCP server's leases
        kind: String,
        /// The file
        file: PathBuf,
        /// Say what would happen, change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Print as CSV
    Export {
        /// What: users, subnets, addresses or hosts
        kind: String,
    },
    /// Write a consistent copy of the database to a file, while serving
    Backup {
        /// The file; must not exist
        file: PathBuf,
    },
    /// Fill an empty database from a backup
    Restore {
        /// The file
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum AsteriskCommand {
    /// Show what Asterisk's files need, ask, and add it
    Install {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Say what is there and what is missing; exit 1 if anything is
    Check,
}

#[derive(Subcommand)]
enum IpamCommand {
    /// Give every host the addresses it names, and count
    ///
    /// What is printed: `created` are the addresses of static pools laid since the command last
    /// ran; `updated` those addresses of static pools that hosts hold; `DHCP records created` the
    /// addresses outside static pools that hosts got since. In all there are as many records as
    /// the list of addresses counts: those of static pools, free or not, and what somebody has
    /// elsewhere. Run twice, it creates nothing the second time and prints the rest again.
    Populate {
        /// First remove every record but reservations and quarantines; asks
        #[arg(long)]
        clear: bool,
        /// With --clear: remove reservations and quarantines as well
        #[arg(long, requires = "clear")]
        reservations: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Another tenant than the default one
        #[arg(long, value_name = "SLUG")]
        tenant: Option<String>,
    },
}

#[derive(Subcommand)]
enum OperatorCommand {
    /// Create an operator; the password is read from standard input
    Add {
        /// What they sign in as
        name: String,
        /// admin, operator, helpdesk or auditor
        #[arg(long)]
        role: String,
    },
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Print a new API token, once
    Add {
        /// What it is for
        label: String,
        /// Whose rights it has
        #[arg(long, value_name = "NAME")]
        operator: String,
        /// Fewer rights than the operator's
        #[arg(long)]
        role: Option<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match Config::load(arguments.config.as_deref(), |name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => return fail(&error.into()),
    };
    commands::start_logging();
    match Box::pin(run(arguments.command.unwrap_or(Command::Serve), config)).await {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn run(command: Command, config: Config) -> anyhow::Result<ExitCode> {
    let session = Session::open(config).await?;
    let outcome = dispatch(command, &session).await;
    session.close().await;
    outcome
}

async fn dispatch(command: Command, session: &Session) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve => commands::serve::run(session).await,
        Command::Operator { command: OperatorCommand::Add { name, role } } => {
            commands::operator::add(session, &name, &role).await
        }
        Command::Token { command: TokenCommand::Add { label, operator, role } } => {
            commands::operator::add_token(session, &label, &operator, role.as_deref()).await
        }
        Command::Apply { preview: true, .. } => commands::asterisk::preview(session).await,
        Command::Apply { reason, overwrite, .. } => {
            commands::asterisk::apply(session, reason, overwrite).await
        }
        Command::Asterisk { command: AsteriskCommand::Install { yes } } => {
            commands::asterisk::install(session, yes).await
        }
        Command::Asterisk { command: AsteriskCommand::Check } => {
            commands::asterisk::check(session).await
        }
        Command::Ipam { command: IpamCommand::Populate { clear, reservations, yes, tenant } } => {
            let clear = match (clear, reservations) {
                (false, _) => Clear::Nothing,
                (true, false) => Clear::Holders,
                (true, true) => Clear::Everything,
            };
            commands::ipam::populate(session, clear, yes, tenant.as_deref()).await
        }
        Command::Check => commands::check::run(session).await,
        Command::Import { kind, file, dry_run } => {
            Box::pin(commands::csv::import(session, &kind, &file, dry_run)).await
        }
        Command::Export { kind } => commands::csv::export(session, &kind).await,
        Command::Backup { file } => commands::backup::backup(session, &file).await,
        Command::Restore { file } => commands::backup::restore(session, &file).await,
    }
}

/// The error and its causes, one line, and exit status 1.
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("patchbay: {error:#}");
    ExitCode::FAILURE
}
