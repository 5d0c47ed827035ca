//! `netbit restore`: creates a data directory from a backup, and fills a database of PostgreSQL if
//! the server uses one.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::DataDirFlag;
use super::backup::warn_of_missing;
use super::output::{print_line, report_error};
use super::progress::Bar;
use crate::backup::{self, NextTo, OlderDatabase, RestoreInto};
use crate::core::database::Source;
use crate::core::database::postgres::Server;
use crate::core::plural::plural;

#[derive(Args)]
pub(super) struct RestoreArguments {
    /// Directory of the backup.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    place: DataDirFlag,
    /// Copy the database of the backup into this new database of PostgreSQL; by default into the
    /// configured one, or into the data directory.
    #[arg(long, value_name = "URL", conflicts_with = "repositories_only")]
    to_database: Option<String>,
    /// Restore the repositories only, for the second and each further node of a database. The
    /// backup must not be older than the configured database.
    #[arg(long)]
    repositories_only: bool,
    /// With --repositories-only: also restore repositories that lack pushes which the database
    /// names.
    #[arg(long, requires = "repositories_only")]
    allow_older: bool,
}

pub(super) fn run(arguments: &RestoreArguments) -> Result<ExitCode, ExitCode> {
    let (config, configured) = arguments.place.source()?;
    let data_dir = config.data_dir.0;
    let into = match (&arguments.to_database, configured) {
        (_, Source::Server(server)) if arguments.repositories_only && !arguments.allow_older => {
            RestoreInto::Nowhere(NextTo::Server(server))
        }
        _ if arguments.repositories_only => RestoreInto::Nowhere(NextTo::Any),
        (Some(url), _) => RestoreInto::Server(Server::new(url).map_err(|error| report_error(&error.into()))?),
        (None, Source::Server(server)) => RestoreInto::Server(server),
        (None, Source::File(_)) => RestoreInto::Directory,
    };
    let mut bar = Bar::new(true);
    let done = backup::restore(&arguments.from, &data_dir, &into, &mut |progress| bar.show(progress));
    drop(bar);
    let restored = done.map_err(|error| report_error(&error.into()))?;
    let (manifest, target) = (restored.manifest, data_dir.display());
    let database = match &into {
        RestoreInto::Server(server) => format!("the database is {}\n", server.place()),
        RestoreInto::Directory => String::new(),
        RestoreInto::Nowhere(_) => compared(restored.next_to),
    };
    let ended = restored.logins_ended.map_or_else(String::new, |ended| {
        format!("{} ended: all users must log in again\n", plural(ended, "login", "logins"))
    });
    print_line!(
        "restored {} into {target}, as of {}, up to commit {}\n{database}{ended}start the server: netbit serve --data-dir {target}",
        plural(manifest.file_count(), "file", "files"),
        manifest.created_at,
        manifest.commit_no
    )
    .map_err(|error| report_error(&error.into()))?;
    warn_of_missing(&manifest);
    Ok(ExitCode::SUCCESS)
}

/// Describes the database next to which the repositories were restored.
fn compared(next_to: Option<OlderDatabase>) -> String {
    let Some(OlderDatabase { commit_no, commits_since }) = next_to else {
        return "the database is not restored, and was not compared: it must not be newer than this backup\n"
            .to_owned();
    };
    if commits_since == 0 {
        return format!("the database is not restored: it is up to commit {commit_no}\n");
    }
    let commits = plural(commits_since, "commit", "commits");
    format!(
        "the database is not restored: it was restored up to commit {commit_no}, and has {commits} since then\n"
    )
}
