//! Everything between the lock and the listeners: migrate, make durable, read.

use tracing::{error, info};

use super::StartError;
use crate::actors::writer::Ledger;
use crate::core::config::Config;
use crate::core::data_dir::DataDir;
use crate::core::database;
use crate::storage::queries::meta;
use crate::storage::snapshot::{self, Snapshot};

/// What the database gives at start.
pub(super) struct Loaded {
    pub(super) ledger: Ledger,
    pub(super) snapshot: Snapshot,
}

/// Everything between the lock and the listeners: migrate, make durable, read.
pub(super) fn load(data_dir: &DataDir, config: &Config) -> Result<(Loaded, Vec<&'static str>), StartError> {
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
    database::checkpoint_truncate(&mut db)?;
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
    let ledger = Ledger::new(db, config.limits.clone())?;
    Ok((Loaded { ledger, snapshot }, steps))
}

/// A new database gets an epoch; one that is older than it once was gets a new one, so that no token and no cursor of
/// its lost future is believed.
fn settle_epoch(db: &mut diesel::SqliteConnection, data_dir: &DataDir) -> Result<(), StartError> {
    let commit_no = meta::get(db, meta::COMMIT_NO)?.unwrap_or(0);
    let known = meta::get(db, meta::EPOCH)?;
    let lost = data_dir.high_water().filter(|mark| known == Some(mark.epoch) && mark.commit_no > commit_no);
    if let Some(mark) = lost {
        error!(
            had = mark.commit_no,
            has = commit_no,
            "the database is older than it was: an older copy was put in place, or commits were lost; everybody must \
             log in again"
        );
    }
    if known.is_none() || lost.is_some() {
        // Below 2^53, so that every JSON reader holds it exactly; never 0.
        let epoch = i64::from(rand::random::<u32>()) << 20 | i64::from(rand::random::<u16>()) | 1;
        meta::set(db, meta::EPOCH, epoch)?;
        meta::set(db, meta::COMMIT_NO, commit_no)?;
    }
    Ok(())
}
