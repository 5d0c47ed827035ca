//! The first step of a start: migrates the database, makes it durable and loads it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI16;

use tracing::{error, info, warn};

use super::log_tail::ThisNode;
use super::{StartError, blocking};
use crate::actors::writer::{BatchExecutor, CommitMetrics};
use crate::blobs::FilePlace;
use crate::core::config::Config;
use crate::core::data_dir::{DataDir, HighWater};
use crate::core::database::postgres::{self, Purpose, Server};
use crate::core::database::{self, DatabaseError, Db, Postgres, QueryError, Source};
use crate::core::fail_points;
use crate::domain::node::NodeName;
use crate::storage::commit_log::FORMAT;
use crate::storage::copy::reset;
use crate::storage::queries::meta;
use crate::storage::snapshot::{self, Snapshot};
use crate::storage::unfinished::Unfinished;
use crate::storage::{commit_log, database_copy, nodes, signing_key};

/// The state read from the database at start.
pub(super) struct OpenStorage {
    pub(super) executor: BatchExecutor,
    pub(super) snapshot: Snapshot,
    pub(super) unfinished: Unfinished,
    /// This node and the key of all nodes, on PostgreSQL.
    pub(super) shared: Option<Shared>,
}

/// The state that this node shares with the others of the database.
pub(super) struct Shared {
    pub(super) node: ThisNode,
    pub(super) others_run: bool,
    /// The version of events that all running nodes read.
    pub(super) format: Arc<AtomicI16>,
    /// Signs access tokens.
    pub(super) signing_key: Vec<u8>,
}

/// Migrates, checkpoints and loads the database, on a thread of the blocking pool.
pub(super) async fn open_storage(
    database: &Source,
    data_dir: &Arc<DataDir>,
    config: &Config,
    metrics: CommitMetrics,
) -> Result<OpenStorage, StartError> {
    let (database, data_dir, config) = (database.clone(), data_dir.clone(), config.clone());
    blocking(move || load(&database, &data_dir, &config, metrics)).await
}

fn load(
    database: &Source,
    data_dir: &DataDir,
    config: &Config,
    metrics: CommitMetrics,
) -> Result<OpenStorage, StartError> {
    // Before the database is changed, and before other nodes know this one.
    if let Some(place) = FilePlace::of_directory(config, matches!(database, Source::Server(_)))? {
        place.check(data_dir.path())?;
    }
    let (mut db, shared) = match database {
        Source::File(path) => (open_file(path, data_dir, config)?, None),
        Source::Server(server) => {
            let (db, shared) = open_server(server, data_dir, config)?;
            (db, Some(shared))
        }
    };
    settle_epoch(&mut db, data_dir, shared.as_ref().is_some_and(|shared| shared.others_run))?;
    // The settings of a reader: a snapshot may take longer than a transaction of the writer.
    let snapshot = match database {
        Source::File(_) => snapshot::load(&mut db, config.cache.window, config.cache.max_bytes)?,
        Source::Server(_) => {
            let mut reader = database.open_reader()?;
            snapshot::load(&mut reader, config.cache.window, config.cache.max_bytes)?
        }
    };
    info!(
        users = snapshot.users.len(),
        chats = snapshot.chats.len(),
        windows = snapshot.windows.len(),
        commit_no = snapshot.commit_no,
        "database loaded"
    );
    let node = shared.as_ref().map(|shared| NodeName::from(&*shared.node.name));
    let unfinished = Unfinished::read(&mut db, node.as_ref())?;
    let executor = BatchExecutor::new(db, config.limits.clone(), metrics)?.at_commit(snapshot.commit_no);
    let others_run = shared.as_ref().is_some_and(|shared| shared.others_run);
    let executor = if others_run { executor.unconfirmed() } else { executor };
    Ok(OpenStorage { executor, snapshot, unfinished, shared })
}

/// Opens the file of SQLite, and makes every commit in it durable.
fn open_file(path: &Path, data_dir: &DataDir, config: &Config) -> Result<Db, StartError> {
    data_dir.make_database_private()?;
    let mut db = database::open_writer(path, config.storage.synchronous)?;
    let migrated = database::migrate(&mut db, path)?;
    if migrated > 0 {
        info!(migrations = migrated, "database migrated");
    }
    // Commits that a crash left in the WAL are fsynced before the server serves. Otherwise it could
    // acknowledge a message as a duplicate of a message that was never synced.
    if !database::checkpoint_truncate(&mut db)? {
        // Another process reads the database: the files themselves are fsynced instead.
        data_dir.sync_database()?;
    }
    Ok(Db::Sqlite(db))
}

/// Connects to PostgreSQL, registers this node, and begins the log of commits in a new database.
fn open_server(
    server: &Arc<Server>,
    data_dir: &DataDir,
    config: &Config,
) -> Result<(Db, Shared), StartError> {
    let mut db = server.connect(Purpose::Migration).map_err(DatabaseError::Postgres)?;
    info!(database = server.place(), "connected to PostgreSQL");
    if std::fs::metadata(data_dir.database()).is_ok_and(|file| file.len() > 0) {
        warn!("netbit.db in the data directory is not used: the database is on PostgreSQL");
    }
    let migrated = postgres::migrate(&mut db.queries)?;
    if migrated > 0 {
        info!(migrations = migrated, "database migrated");
    }
    let proposed = proposed_key(&mut db, data_dir, config)?;
    // Before the registration, which ends an earlier process of this name.
    if config.cluster.enabled && !signing_key::fits(&mut db, &proposed)? {
        return Err(other_key(config));
    }
    if database_copy::is_unfinished(&mut db)? {
        return Err(StartError::CopyUnfinished);
    }
    fail_points::reach(fail_points::BEFORE_REGISTRATION);
    let name = data_dir.node_name(&config.cluster.name)?;
    let (alone, instance) = (!config.cluster.enabled, format!("{:016x}", rand::random::<u64>()));
    let this = nodes::NewNode { name: &name, address: &config.cluster.address, instance: &instance };
    let (number, others) = nodes::register(&mut db, this, alone)?;
    if let Some(other) = others.first().filter(|_| alone) {
        return Err(StartError::OtherNode { name: other.name.clone(), silent_ms: other.silent_ms });
    }
    if let Some(other) = nodes::incompatible(&others) {
        let (name, format) = (other.name.clone(), other.format);
        return Err(StartError::OtherVersion { name, format, own: FORMAT });
    }
    // A copy writes its mark before it reads the nodes: at least one of the two finds the other.
    if database_copy::is_unfinished(&mut db)? {
        nodes::record_stopped(&mut db, number, &instance)?;
        return Err(StartError::CopyUnfinished);
    }
    let signing_key = match &config.auth.secret {
        // Not stored: it would be in every copy of the database.
        Some(_) => proposed,
        None => signing_key::of_node(&mut db, &String::from_utf8_lossy(&proposed))?.into_bytes(),
    };
    if !signing_key::record(&mut db, &signing_key)? {
        if !alone {
            nodes::record_stopped(&mut db, number, &instance)?;
            return Err(other_key(config));
        }
        warn!(
            "auth.secret is not the one of the last start: tokens that were signed with that one are refused"
        );
        signing_key::replace(&mut db, &signing_key)?;
    }
    commit_log::begin_log(&mut db.queries)?;
    let address = config.cluster.address.clone();
    let node = ThisNode { name, number, instance, address };
    let format = Arc::new(AtomicI16::new(nodes::common_format(&others)));
    let shared = Shared { node, others_run: !others.is_empty(), format, signing_key };
    let writer = server.connect(Purpose::Writer).map_err(DatabaseError::Postgres)?;
    Ok((Db::Postgres(Box::new(writer)), shared))
}

/// Returns the key that signs access tokens: that of `auth.secret`, of the database, or of the data
/// directory if there is none yet. Writes nothing to the database, into which a copy may begin.
fn proposed_key(db: &mut Postgres, data_dir: &DataDir, config: &Config) -> Result<Vec<u8>, StartError> {
    if let Some(configured) = &config.auth.secret {
        return Ok(data_dir.secret(Some(configured.expose()))?);
    }
    match signing_key::of_database(db)? {
        Some(stored) => Ok(stored.into_bytes()),
        None => Ok(data_dir.secret(None)?),
    }
}

fn other_key(config: &Config) -> StartError {
    let is_set = if config.auth.secret.is_some() { "is" } else { "is not set, and the database has" };
    StartError::OtherKey { is_set }
}

/// Sets the epoch of a new database. Sets a new epoch and ends all logins if the database was
/// replaced or is older than the high-water mark.
///
/// A new epoch invalidates the access tokens and cursors of the lost commits. Such a database
/// assigns ids a second time: an old token could authenticate another user. Its logins may have
/// ended since, so their refresh tokens must not start them again.
///
/// Nodes that start together decide one after the other, behind the commit lock. A running node
/// finds the new epoch there, and ends.
fn settle_epoch(db: &mut Db, data_dir: &DataDir, others_run: bool) -> Result<(), StartError> {
    let mark = data_dir.high_water();
    db.begin_write()?;
    let settled = match db {
        Db::Sqlite(_) => Ok(()),
        Db::Postgres(db) => commit_log::lock(db),
    };
    let settled = settled.and_then(|()| settle(db, mark, others_run));
    db.batch_execute(if settled.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    let Settled { epoch, commit_no, lost } = settled?;
    if let Some((mark, logins_ended)) = lost {
        error!(
            had = mark.commit_no,
            has = commit_no,
            logins_ended,
            "the database was replaced, or is older than at the last run: a copy was put in place, or commits \
             were lost; all users must log in again"
        );
    }
    Ok(data_dir.write_high_water(HighWater { epoch, commit_no, lost: false })?)
}

/// The position of the database at a start.
struct Settled {
    epoch: i64,
    commit_no: i64,
    /// The mark that the database does not fit, and the number of logins that were ended.
    lost: Option<(HighWater, usize)>,
}

/// Does so in the open transaction.
///
/// If the epoch of the mark was replaced by that of the database, another node has found the loss,
/// and has ended all logins of that epoch. The same is assumed of any other epoch while other nodes
/// run.
fn settle(db: &mut Db, mark: Option<HighWater>, others_run: bool) -> Result<Settled, QueryError> {
    let commit_no = commit_log::last(db)?;
    let Some(known) = meta::get(db, meta::EPOCH)? else {
        if let Some(mark) = mark {
            let (epoch, logins_ended) = reset(db)?;
            return Ok(Settled { epoch, commit_no, lost: Some((mark, logins_ended)) });
        }
        let epoch = meta::fresh_epoch();
        meta::set(db, meta::EPOCH, epoch)?;
        if let Db::Sqlite(_) = db {
            meta::set(db, meta::COMMIT_NO, commit_no)?;
        }
        return Ok(Settled { epoch, commit_no, lost: None });
    };
    let lost = match mark {
        Some(mark) if mark.epoch == known => (commit_no < mark.commit_no || mark.lost).then_some(mark),
        Some(_) if others_run => None,
        Some(mark) => meta::get(db, &meta::ended(mark.epoch))?.is_none().then_some(mark),
        None => None,
    };
    let Some(mark) = lost else { return Ok(Settled { epoch: known, commit_no, lost: None }) };
    let (epoch, logins_ended) = reset(db)?;
    Ok(Settled { epoch, commit_no, lost: Some((mark, logins_ended)) })
}
