//! The doctor: checks that a data directory is complete, consistent and has free space. It only
//! reads, and also works while a server runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::doctor_files;
use super::doctor_lfs::{self, LFS};
use super::{BackupError, BackupProgress, OwnRepositories, ReportProgress};
use crate::actors::cache::ReadModels;
use crate::blobs::BlobStore;
use crate::core::database::postgres::{self, Purpose, Server};
use crate::core::database::{self, DatabaseError, Db, QueryError, Source};
use crate::core::limits::Limits;
use crate::core::plural::plural;
use crate::domain::file::StoredFile;
use crate::domain::ids::FileId;
use crate::domain::lfs::LfsObject;
use crate::domain::repository::Repository;
use crate::domain::user;
use crate::git::memory::MemoryMetrics;
use crate::git::program::Git;
use crate::git::run_child;
use crate::git::sandbox::{self, SandboxSupport};
use crate::git::store::Store;
use crate::storage::database_copy;
use crate::storage::queries::{consistency, files, repositories};
use crate::storage::snapshot::{self, Snapshot};

/// Less free space than this is a finding.
const FREE_BYTES_MIN: u64 = 1024 * 1024 * 1024;
/// Maximum output and duration of one `git fsck`.
const FSCK_OUTPUT_BYTES: usize = 256 * 1024;
const FSCK_PATIENCE: Duration = Duration::from_secs(3600);

/// One completed check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub what: &'static str,
    pub outcome: CheckOutcome,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    Looked {
        /// The amount that was checked, such as `3 repositories`.
        extent: String,
        /// The problems found; empty if there are none.
        findings: Vec<String>,
    },
    /// Not checked, because of another finding.
    NotPossible(&'static str),
}

impl Checked {
    pub fn new(what: &'static str, extent: String, findings: Vec<String>) -> Self {
        Self { what, outcome: CheckOutcome::Looked { extent, findings } }
    }

    pub fn findings(&self) -> &[String] {
        match &self.outcome {
            CheckOutcome::Looked { findings, .. } => findings,
            CheckOutcome::NotPossible(_) => &[],
        }
    }
}

const AGREEMENT: &str = "the database is consistent";
const NAMES: &str = "no user has a reserved name";
const REPOSITORIES: &str = "repositories exist and pass git fsck";
const ORPHANS: &str = "no orphaned repository directories";
pub(super) const STORE: &str = "the store of files works";
pub(super) const NO_STORE: &str = "the store of files does not work";
pub(super) const FILES: &str = "files in chats have their bytes";
/// Files whose rows are read at once.
const FILES_PER_READ: i64 = 1_000;

/// Checks everything in a data directory and its database. Damage is a finding; the remaining
/// checks still run.
///
/// # Errors
/// Fails without a database, or if the directory cannot be read.
pub async fn examine(
    database: &Source,
    (data_dir, own, blobs): (&Path, &OwnRepositories, &dyn BlobStore),
    report: ReportProgress<'_>,
) -> Result<Vec<Checked>, BackupError> {
    if database.file().is_some_and(|file| !file.exists()) {
        return Err(BackupError::NoDatabase(data_dir.to_owned()));
    }
    let store = Store::at(data_dir).map_err(super::files::failed(data_dir))?;
    let mut checked = Vec::new();
    let examined = match database {
        Source::File(path) => examine_file(path, &mut checked, report),
        Source::Server(server) => examine_server(server, &mut checked, report)?,
    };
    match examined {
        Ok(Repositories { mut active, keys, files, objects }) => {
            let usable = active.clone();
            let elsewhere = active.extract_if(.., |repository| !own.contains(repository)).count();
            report(BackupProgress::Begin("repositories", u64::try_from(active.len()).unwrap_or(0)));
            checked.push(examine_repositories(&store, (&active, elsewhere), report).await);
            checked.push(orphans(&store, &keys)?);
            let found = (files.as_slice(), objects.as_slice());
            checked.extend(doctor_files::examine(database, (blobs, own), found, report)?);
            let found = (usable.as_slice(), objects.as_slice());
            let is_away = checked.iter().any(|check| check.what == STORE && !check.findings().is_empty());
            checked.push(if is_away {
                Checked { what: LFS, outcome: CheckOutcome::NotPossible(NO_STORE) }
            } else {
                doctor_lfs::examine(database, (blobs, own), found, report)?
            });
        }
        Err(reason) => {
            let rest = [AGREEMENT, NAMES, REPOSITORIES, ORPHANS, FILES, LFS];
            let rest = rest.into_iter().filter(|what| checked.iter().all(|done| done.what != *what));
            let rest: Vec<_> =
                rest.map(|what| Checked { what, outcome: CheckOutcome::NotPossible(reason) }).collect();
            checked.extend(rest);
        }
    }
    checked.push(confinement());
    checked.push(hook(&store));
    checked.push(free_space(data_dir));
    Ok(checked)
}

/// The repositories in the database.
struct Repositories {
    active: Vec<Repository>,
    /// Storage keys, including those of repositories that are being removed.
    keys: BTreeSet<String>,
    /// Files in chats whose upload is complete.
    files: Vec<StoredFile>,
    objects: Vec<LfsObject>,
}

const DAMAGED: &str = "the database is damaged";
const OTHER_VERSION: &str = "the database has the schema of another netbit version";

const VERSION: &str = "version of the database";

/// Checks the file and reads the list of repositories. `Err` holds the reason why the list cannot
/// be read.
fn examine_file(
    path: &Path,
    checked: &mut Vec<Checked>,
    report: ReportProgress<'_>,
) -> Result<Repositories, &'static str> {
    report(BackupProgress::Begin("database", 0));
    let integrity = |findings| Checked::new("integrity of the database", bytes_of(path), findings);
    let opened = database::open_reader(path).map_err(|error| error.to_string());
    let looked = opened.and_then(|mut db| {
        let findings =
            database::integrity(&mut db).map_err(|error| format!("the database cannot be read: {error}"))?;
        Ok((db, findings))
    });
    let (mut file, findings) = match looked {
        Ok(looked) => looked,
        Err(finding) => {
            checked.push(integrity(vec![finding]));
            return Err(DAMAGED);
        }
    };
    let is_damaged = !findings.is_empty();
    checked.push(integrity(findings));
    let migrations = database::unknown_migrations(&mut file)
        .and_then(|unknown| Ok((unknown, database::pending_migrations(&mut file)?)));
    match migrations.map(findings_of) {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            checked.push(Checked::new(VERSION, String::new(), missing));
            return Err(OTHER_VERSION);
        }
        // The damage is already a finding.
        Err(_) if is_damaged => return Err(DAMAGED),
        Err(error) => {
            checked.push(Checked::new(VERSION, String::new(), vec![error.to_string()]));
            return Err(DAMAGED);
        }
    }
    report(BackupProgress::Begin("read models", 0));
    examine_rows(&mut Db::Sqlite(file), is_damaged, checked)
}

/// Checks a database of PostgreSQL, which checks its own files.
fn examine_server(
    server: &Arc<Server>,
    checked: &mut Vec<Checked>,
    report: ReportProgress<'_>,
) -> Result<Result<Repositories, &'static str>, BackupError> {
    report(BackupProgress::Begin("database", 0));
    let mut db = server.connect(Purpose::Reader).map_err(DatabaseError::Postgres)?;
    let findings = findings_of(postgres::compare_migrations(&mut db.queries)?);
    let is_other = !findings.is_empty();
    checked.push(Checked::new(VERSION, server.place().to_owned(), findings));
    if is_other {
        return Ok(Err(OTHER_VERSION));
    }
    if database_copy::is_unfinished(&mut db)? {
        let finding = "a copy into it did not finish; repeat netbit database copy";
        checked.push(Checked::new("the database is complete", String::new(), vec![finding.to_owned()]));
        return Ok(Err("the database is not complete"));
    }
    report(BackupProgress::Begin("read models", 0));
    Ok(examine_rows(&mut Db::Postgres(Box::new(db)), false, checked))
}

/// Checks the rows of either engine and reads the list of repositories. `is_damaged`: the damage
/// is already a finding.
fn examine_rows(
    db: &mut Db,
    is_damaged: bool,
    checked: &mut Vec<Checked>,
) -> Result<Repositories, &'static str> {
    match agreement(db) {
        Ok(looked) => checked.extend(looked),
        Err(_) if is_damaged => return Err(DAMAGED),
        Err(error) => {
            let finding = format!("the database cannot be read: {error}");
            checked.push(Checked::new(AGREEMENT, String::new(), vec![finding]));
        }
    }
    let read = repositories::in_state(db, repositories::ACTIVE)
        .and_then(|active| Ok((active, repositories::all_storage_keys(db)?)));
    let (active, keys) = read.map_err(|_| DAMAGED)?;
    let files = all_files(db).map_err(|_| DAMAGED)?;
    let objects = doctor_lfs::all(db).map_err(|_| DAMAGED)?;
    Ok(Repositories { active, keys: keys.into_iter().collect(), files, objects })
}

fn all_files(db: &mut Db) -> Result<Vec<StoredFile>, QueryError> {
    let mut all: Vec<StoredFile> = Vec::new();
    loop {
        let above = all.last().map_or(FileId(0), |file| file.id);
        let mut found = files::complete_above(db, above, FILES_PER_READ)?;
        if found.is_empty() {
            return Ok(all);
        }
        all.append(&mut found);
    }
}

/// Describes the migrations that only the database or only this program has.
fn findings_of((unknown, pending): (Vec<String>, Vec<String>)) -> Vec<String> {
    let newer = unknown.iter();
    let newer = newer.map(|name| format!("migration {name} is unknown to this netbit; use a newer one"));
    let older = pending.iter();
    let older = older.map(|name| format!("migration {name} is pending; the next start runs it"));
    newer.chain(older).collect()
}

/// Checks that rows are consistent with each other and with rules that are newer than the rows.
fn agreement(db: &mut Db) -> Result<[Checked; 2], QueryError> {
    let findings = consistency::contradictions(db)?;
    let snapshot = snapshot::load(db, 1, 0)?;
    let extent =
        [plural(snapshot.users.len(), "user", "users"), plural(snapshot.chats.len(), "chat", "chats")]
            .join(", ");
    let names = names_of(&snapshot);
    drop(ReadModels::load(snapshot, 1, 0));
    Ok([Checked::new(AGREEMENT, extent, findings), names])
}

fn orphans(store: &Store, known: &BTreeSet<String>) -> Result<Checked, BackupError> {
    let found = store.names_on_disk().map_err(super::files::failed(store.root()))?;
    let orphans = found.iter().filter(|name| !known.contains(*name));
    let findings = orphans.map(|name| format!("repos/…/{name}.git belongs to no repository")).collect();
    Ok(Checked::new(ORPHANS, format!("{} directories", found.len()), findings))
}

/// Checks for users of earlier versions whose names are reserved now, because pages use them.
fn names_of(snapshot: &Snapshot) -> Checked {
    let names = snapshot.users.iter().map(|(user, _)| user.username.as_str());
    let findings = names.filter(|name| user::is_reserved(name)).map(|name| {
        format!(
            "user {name} has a name that is reserved for a page; git and the API still work; run \
             netbit user rename {name} NEW"
        )
    });
    Checked::new(NAMES, String::new(), findings.collect())
}

/// Reports how far the kernel confines git children. An older kernel is not a finding about the
/// data.
fn confinement() -> Checked {
    let extent = match sandbox::support() {
        SandboxSupport::Full => {
            "limits of memory, CPU time and files; Landlock: own repository only, no network"
        }
        SandboxSupport::Partial => {
            "limits of memory, CPU time and files; Landlock of an older kernel: own repository only"
        }
        SandboxSupport::None => {
            "limits of memory, CPU time and files; this kernel has no Landlock, so a child sees all files of the server"
        }
    };
    Checked::new("git children are confined", extent.to_owned(), Vec::new())
}

/// Checks that the pre-receive hook of pushes can run.
fn hook(store: &Store) -> Checked {
    let findings = match store.hooks_can_run() {
        Ok(true) => Vec::new(),
        Ok(false) => vec![
            "the data directory is mounted noexec, so git skips the pre-receive hook; mount it with exec"
                .to_owned(),
        ],
        Err(error) => vec![format!("the mount options of the data directory cannot be read: {error}")],
    };
    Checked::new("the pre-receive hook can run", String::new(), findings)
}

/// Checks the repositories of this data directory; `elsewhere` is the number of the others.
async fn examine_repositories(
    store: &Store,
    (active, elsewhere): (&[Repository], usize),
    report: ReportProgress<'_>,
) -> Checked {
    let mut findings = Vec::new();
    let git = match Git::find(store, &Limits::default(), MemoryMetrics::default()) {
        Ok(git) => Some(git),
        Err(error) => {
            findings.push(format!("git fsck cannot run: {error}"));
            None
        }
    };
    for repository in active {
        let name = format!("repository {} ({})", repository.id, repository.name);
        match (store.existing(repository.storage_key), &git) {
            (Err(error), _) => {
                findings.push(format!("{name}: {error}; restore it from a backup"));
            }
            (Ok(path), Some(git)) => {
                if let Err(error) = run_child::run(git.fsck(&path), FSCK_OUTPUT_BYTES, FSCK_PATIENCE).await {
                    findings.push(format!("{name}: git fsck: {error}; restore it from a backup"));
                }
            }
            (Ok(_), None) => {}
        }
        report(BackupProgress::Done(1));
    }
    let mut extent = plural(active.len(), "repository", "repositories");
    if elsewhere > 0 {
        extent.push_str(&format!(", {elsewhere} on other nodes"));
    }
    Checked::new(REPOSITORIES, extent, findings)
}

fn free_space(data_dir: &Path) -> Checked {
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    let (extent, findings) = match rustix::fs::statvfs(data_dir) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let low = free < FREE_BYTES_MIN;
            let finding = format!("only {} MiB are free; at 0 the server refuses writes", mebibytes(free));
            (format!("{} MiB free", mebibytes(free)), low.then_some(finding).into_iter().collect())
        }
        Err(error) => (String::new(), vec![format!("the free space cannot be read: {error}")]),
    };
    Checked::new("free space", extent, findings)
}

fn bytes_of(path: &Path) -> String {
    format!("{} bytes", std::fs::metadata(path).map_or(0, |file| file.len()))
}
