//! Everything between the lock and the listeners: migrate, make durable, read.

use tracing::{error, info};

use super::StartError;
use crate::actors::writer::{CommitMetrics, Ledger};
use crate::core::config::Config;
use crate::core::data_dir::{DataDir, HighWater};
use crate::core::database;
use crate::storage::queries::meta;
use crate::storage::snapshot::{self, Snapshot};
use crate::storage::unfinished::Unfinished;

/// What the database gives at start.
pub(super) struct Loaded {
    pub(super) ledger: Ledger,
    pub(super) snapshot: Snapshot,
    pub(super) unfinished: Unfinished,
}

/// Everything between the lock and the listeners: migrate, make durable, read.
pub(super) fn load(
    data_dir: &DataDir,
    config: &Config,
    metrics: CommitMetrics,
) -> Result<(Loaded, Vec<&'static str>), StartError> {
    let mut steps = Vec::new();
    let path = data_dir.database();
    let mut db = database::open_writer(&path, config.storage.synchronous)?;
    let migrated = database::migrate(&mut db, &path)?;
    if migrated > 0 {
        info!(migrations = migrated, "the database was migrated");
    }
    steps.push("migrate");
    // What a crash left in the log is fsynced before anything is served: nothing is ever acknowledged as a duplicate
    // that was never synced.
    if !database::checkpoint_truncate(&mut db)? {
        // Somebody else reads the database at this moment: then the files themselves are fsynced.
        data_dir.sync_database()?;
    }
    steps.push("checkpoint");
    settle_epoch(&mut db, data_dir)?;
    let snapshot = snapshot::load(&mut db, config.cache.window, config.cache.max_bytes)?;
    info!(
        users = snapshot.users.len(),
        chats = snapshot.chats.len(),
        windows = snapshot.windows.len(),
        commit_no = snapshot.commit_no,
        "the database is loaded"
    );
    steps.push("load");
    let unfinished = Unfinished::read(&mut db)?;
    let ledger = Ledger::new(db, config.limits.clone(), metrics)?;
    Ok((Loaded { ledger, snapshot, unfinished }, steps))
}

/// A new database gets an epoch; one that is older than what this directory held, or another one altogether, gets a new
/// one too, so that no token and no cursor of a lost future is believed. Ids are given again in such a database: an old
/// token would speak for somebody else.
fn settle_epoch(db: &mut diesel::SqliteConnection, data_dir: &DataDir) -> Result<(), StartError> {
    let commit_no = meta::get(db, meta::COMMIT_NO)?.unwrap_or(0);
    let known = meta::get(db, meta::EPOCH)?;
    let mark = data_dir.high_water();
    let lost =
        mark.filter(|mark| known.is_some_and(|known| known != mark.epoch || commit_no < mark.commit_no));
    if let Some(mark) = lost {
        error!(
            had = mark.commit_no,
            has = commit_no,
            "the database is another one than before, or older: a copy was put in place, or commits were lost; \
             everybody must log in again"
        );
    }
    let epoch = match (known, lost) {
        (Some(known), None) => known,
        _ => {
            let fresh = meta::fresh_epoch();
            meta::set(db, meta::EPOCH, fresh)?;
            meta::set(db, meta::COMMIT_NO, commit_no)?;
            fresh
        }
    };
    Ok(data_dir.write_high_water(HighWater { epoch, commit_no })?)
}
