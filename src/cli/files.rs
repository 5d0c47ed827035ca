//! `netbit files`: moves the bytes of files between the data directory and a bucket, and claims the
//! key of a server there.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use super::DataDirFlag;
use super::control::{Data, find_data};
use super::output::{print_line, report_error, warn};
use super::progress::Bar;
use crate::backup::{self, BackupError, Move, MovedBlobs, OnDisk, OwnRepositories};
use crate::blobs::FilePlace;
use crate::core::config::{Config, FileStore};
use crate::core::database::Source;
use crate::core::owner;
use crate::core::plural::plural;

#[derive(Args)]
pub(super) struct FilesArguments {
    #[command(subcommand)]
    command: FilesCommand,
    #[command(flatten)]
    place: DataDirFlag,
}

#[derive(Subcommand)]
enum FilesCommand {
    /// Move the bytes of files between the data directory and the bucket of files.s3. If it is
    /// interrupted, repeat it: it goes on.
    Move {
        /// Where the bytes go. A server that runs must have files.store = "s3". To the disk: a
        /// server that runs keeps storing files in the bucket, so stop it and repeat the command;
        /// then set files.store = "disk". The objects stay in the bucket: delete them yourself.
        #[arg(long, value_name = "STORE")]
        to: Target,
        /// With --to disk: end the move although bytes are missing or damaged.
        #[arg(long)]
        accept_missing: bool,
    },
    /// Claim the key of this server in the bucket, which another server has claimed that this one
    /// replaces: it was restored from a backup, or got another data directory. The other one must
    /// not run any more.
    Claim,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    S3,
    Disk,
}

pub(super) fn run(arguments: &FilesArguments) -> Result<ExitCode, ExitCode> {
    let config = find_data(&arguments.place, Data::Exists)?;
    let FilesCommand::Move { to, accept_missing } = arguments.command else {
        claim(&config).map_err(|error| report_error(&error))?;
        return Ok(ExitCode::SUCCESS);
    };
    let moved = run_move(&config, to, accept_missing).map_err(|error| report_error(&error))?;
    report((&config, accept_missing), to, &moved).map_err(|error| report_error(&error.into()))
}

fn claim(config: &Config) -> anyhow::Result<()> {
    if let Some((key, problem)) = config.files.bucket_mistakes().into_iter().next() {
        anyhow::bail!("{key}: {problem}");
    }
    let data_dir = config.data_dir.0.as_path();
    owner::become_owner_of(data_dir).with_context(|| data_dir.display().to_string())?;
    let (bucket, _) = OwnRepositories::bucket(config, &Source::of(config)?, OnDisk::Included)?;
    bucket.claim()?;
    Ok(print_line!(
        "the key of this server in the bucket is claimed; the server may store and remove bytes there"
    )?)
}

fn run_move(config: &Config, to: Target, accepts_missing: bool) -> anyhow::Result<MovedBlobs> {
    let is_to_disk = to == Target::Disk;
    anyhow::ensure!(is_to_disk || !accepts_missing, "--accept-missing is for --to disk; leave it out");
    if let Some((key, problem)) = config.files.bucket_mistakes().into_iter().next() {
        anyhow::bail!("{key}: {problem}");
    }
    let data_dir = config.data_dir.0.as_path();
    // The server must be able to read the files, and runs as the owner of the directory.
    owner::become_owner_of(data_dir).with_context(|| data_dir.display().to_string())?;
    let database = Source::of(config)?;
    let own = OwnRepositories::of(config, &database)?;
    let with = if is_to_disk { OnDisk::Excluded } else { OnDisk::Included };
    let (bucket, place) = OwnRepositories::bucket(config, &database, with)?;
    let place = Move { data_dir, bucket: &bucket, place: &place };
    let mut bar = Bar::new(false);
    let mut report = |progress: backup::BackupProgress<'_>| bar.show(progress);
    let moved: Result<_, BackupError> = match to {
        Target::S3 => backup::move_to_bucket(place, &mut report),
        Target::Disk => {
            let how = (config.limits.disk_reserve_bytes, accepts_missing);
            backup::move_to_disk(&database, (place, &own), how, &mut report)
        }
    };
    Ok(moved?)
}

/// Prints the result and the next step.
fn report(
    (config, accepts_missing): (&Config, bool),
    to: Target,
    moved: &MovedBlobs,
) -> std::io::Result<ExitCode> {
    for (hash, why) in &moved.unmoved {
        warn(format_args!("the bytes {hash} were not moved: {why}; netbit doctor names their files"));
    }
    let place = if to == Target::Disk { "the data directory" } else { "the bucket" };
    print_line!(
        "the bytes of {} were moved to {place}, those of {} were there",
        plural(moved.moved, "file", "files"),
        plural(moved.present, "file", "files"),
    )?;
    let is_on_disk = moved.recorded == Some(FilePlace::Disk);
    match to {
        Target::S3 if config.files.store == FileStore::Disk => {
            print_line!("set files.store = \"s3\" before you start the server")?;
        }
        Target::Disk if is_on_disk && !moved.is_served => {
            print_line!("set files.store = \"disk\" before you start the server")?;
        }
        Target::S3 => {}
        Target::Disk if is_on_disk => {}
        Target::Disk if moved.is_served => print_line!(
            "the running server still stores new files in the bucket: stop it, and repeat the command"
        )?,
        Target::Disk => print_line!(
            "the files of this directory stay in the bucket: repeat the command, or end the move without these bytes \
             with --accept-missing"
        )?,
    }
    let is_done = moved.unmoved.is_empty() || accepts_missing;
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
