//! `netbit database copy`: copies a database between a data directory and PostgreSQL.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::ConfigFlag;
use super::output::{print_line, report_error, warn};
use super::progress::Bar;
use crate::backup::{self, DatabasePlace};
use crate::core::database::Source;
use crate::core::database::postgres::Server;
use crate::core::plural::plural;
use crate::storage::database_copy::Logins;

#[derive(Args)]
pub(super) struct DatabaseArguments {
    #[command(subcommand)]
    command: DatabaseCommand,
}

#[derive(Subcommand)]
enum DatabaseCommand {
    /// Copy all rows of a database into a new one: from a data directory to PostgreSQL, back, or
    /// between two of the same kind. Repositories are not copied. If the copy is interrupted, no
    /// server starts on the target; repeat the command.
    Copy(CopyArguments),
}

#[derive(Args)]
struct CopyArguments {
    #[command(flatten)]
    configuration: ConfigFlag,
    /// Data directory or URL of PostgreSQL to read; by default the configured database. A server
    /// may use it meanwhile.
    #[arg(long, value_name = "DIR|URL", required_unless_present = "to")]
    from: Option<String>,
    /// Data directory or URL of PostgreSQL to fill, which has no database yet; by default the
    /// configured database.
    #[arg(long, value_name = "DIR|URL")]
    to: Option<String>,
    /// Keep the logins of users: the copy takes the place of the source, which no server uses now
    /// and later. Without this, all users must log in again.
    #[arg(long)]
    keep_logins: bool,
}

pub(super) fn run(arguments: &DatabaseArguments) -> Result<ExitCode, ExitCode> {
    let DatabaseCommand::Copy(arguments) = &arguments.command;
    let place = |named: &Option<String>| place(named.as_deref(), &arguments.configuration);
    let (from, to) = (place(&arguments.from)?, place(&arguments.to)?);
    let logins = if arguments.keep_logins { Logins::Keep } else { Logins::End };
    let mut bar = Bar::new(false);
    let done = backup::copy_database(&from, &to, logins, &mut |progress| bar.show(progress));
    drop(bar);
    let copied = done.map_err(|error| report_error(&error.into()))?;
    if copied.texts_changed > 0 {
        let texts = plural(copied.texts_changed, "text", "texts");
        warn(format_args!("{texts} contained U+0000, which PostgreSQL refuses; U+FFFD takes its place"));
    }
    let ended = match logins {
        Logins::Keep | Logins::Backup => "logins stay: do not start a server on the source again".to_owned(),
        Logins::End => {
            format!("{} ended: all users must log in again", plural(copied.logins_ended, "login", "logins"))
        }
    };
    print_line!(
        "copied {} of {}, up to commit {}\n{ended}\nrepositories are not copied: they stay in the data directory",
        plural(copied.rows, "row", "rows"),
        plural(copied.tables, "table", "tables"),
        copied.commit_no
    )
    .map_err(|error| report_error(&error.into()))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the named place, or that of the configuration.
fn place(named: Option<&str>, configuration: &ConfigFlag) -> Result<DatabasePlace, ExitCode> {
    match named {
        Some(url) if url.contains("://") => {
            Ok(DatabasePlace::Server(Server::new(url).map_err(|error| report_error(&error.into()))?))
        }
        Some(directory) => Ok(DatabasePlace::Directory(PathBuf::from(directory))),
        None => {
            let config = configuration.load(None)?;
            match Source::of(&config).map_err(|error| report_error(&error.into()))? {
                Source::Server(server) => Ok(DatabasePlace::Server(server)),
                Source::File(_) => Ok(DatabasePlace::Directory(config.data_dir.0)),
            }
        }
    }
}
