//! SQLite: opens connections and migrates the schema.
//!
//! Invariants: WAL, foreign keys on, a bundled library that is new enough; one writable connection
//! (the writer's), all others read-only. A copy of the database is kept before any migration
//! changes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

pub use diesel::result::Error as QueryError;
/// A connection, for modules that use no SQL and only pass it on.
pub use diesel::sqlite::SqliteConnection as Db;

use super::config::Synchronous;
use super::{fail_points, private_file};

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
/// Older libraries have a WAL-reset bug that can lose commits (fixed in 3.51.3).
const SQLITE_VERSION_MIN: i64 = 3_051_003;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("cannot open the database {}: {source}", .path.display())]
    Open { path: PathBuf, source: diesel::ConnectionError },
    #[error("the database query failed: {0}")]
    Query(#[from] diesel::result::Error),
    #[error("the bundled SQLite is version {0}, older than {SQLITE_VERSION_MIN}")]
    TooOld(i64),
    #[error("migrating the database failed: {0}")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "the database was made by a newer netbit (it has migration {0}); use that version or a newer one"
    )]
    SchemaTooNew(String),
    #[error("the database is damaged: {0}")]
    Damaged(String),
    #[error("cannot keep a copy of the database: {0}")]
    Copy(#[source] std::io::Error),
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Returns the one integer that `sql` selects as `value`.
pub fn integer(connection: &mut SqliteConnection, sql: &str) -> QueryResult<i64> {
    Ok(diesel::sql_query(sql).get_result::<Number>(connection)?.value)
}

/// Opens the one writable connection. The checkpointer runs checkpoints, so automatic ones are off.
pub fn open_writer(path: &Path, synchronous: Synchronous) -> Result<SqliteConnection, DatabaseError> {
    let mut connection = establish(&path.display().to_string(), path)?;
    let level = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    wait_for_locks(&mut connection, WRITER_WAIT)?;
    connection.batch_execute(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {level}; \
         PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16000; \
         PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;"
    ))?;
    let version = integer(
        &mut connection,
        "SELECT CAST(substr(v,1,instr(v,'.')-1) AS INTEGER)*1000000 \
         + CAST(substr(v,instr(v,'.')+1,instr(substr(v,instr(v,'.')+1),'.')-1) AS INTEGER)*1000 \
         + CAST(substr(substr(v,instr(v,'.')+1),instr(substr(v,instr(v,'.')+1),'.')+1) AS INTEGER) AS value \
         FROM (SELECT sqlite_version() AS v)",
    )?;
    if version < SQLITE_VERSION_MIN {
        return Err(DatabaseError::TooOld(version));
    }
    Ok(connection)
}

/// Opens a connection that cannot write.
pub fn open_reader(path: &Path) -> Result<SqliteConnection, DatabaseError> {
    let mut connection = establish(&path.display().to_string(), path)?;
    prepare_reader(&mut connection)?;
    Ok(connection)
}

pub fn prepare_reader(connection: &mut SqliteConnection) -> QueryResult<()> {
    connection.batch_execute("PRAGMA busy_timeout = 2000; PRAGMA query_only = ON; PRAGMA cache_size = -4000;")
}

fn establish(url: &str, path: &Path) -> Result<SqliteConnection, DatabaseError> {
    SqliteConnection::establish(url).map_err(|source| DatabaseError::Open { path: path.to_owned(), source })
}

/// Migrates the schema to the current version. If migrations are pending and the database is not
/// empty, a copy (`netbit.db.before-<migration>`) is kept first.
pub fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<usize, DatabaseError> {
    let pending: Vec<String> = connection
        .pending_migrations(MIGRATIONS)
        .map_err(DatabaseError::Migration)?
        .iter()
        .map(|m| m.name().version().to_string())
        .collect();
    if let Some(stranger) = unknown_migrations(connection)?.into_iter().next() {
        return Err(DatabaseError::SchemaTooNew(stranger));
    }
    if let (Some(first), false) = (pending.first(), applied_versions(connection)?.is_empty()) {
        keep_copy(connection, path, first)?;
    }
    // Each migration is a separate transaction: if the process ends between two, the next start
    // continues.
    for _ in &pending {
        fail_points::reach(fail_points::BEFORE_MIGRATION);
        connection.run_next_migration(MIGRATIONS).map_err(DatabaseError::Migration)?;
    }
    Ok(pending.len())
}

fn embedded_versions() -> Result<Vec<String>, DatabaseError> {
    use diesel::migration::MigrationSource;
    let migrations = MigrationSource::<diesel::sqlite::Sqlite>::migrations(&MIGRATIONS)
        .map_err(DatabaseError::Migration)?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}

fn keep_copy(connection: &mut SqliteConnection, path: &Path, migration: &str) -> Result<(), DatabaseError> {
    let copy = PathBuf::from(format!("{}.before-{migration}", path.display()));
    if copy.exists() {
        fs::remove_file(&copy).map_err(DatabaseError::Copy)?;
    }
    make_private_target(&copy)?;
    diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(copy.display().to_string()).execute(connection)?;
    make_private(&copy)?;
    let synced = fs::File::open(path.parent().unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
    synced.map_err(DatabaseError::Copy)
}

/// Makes the empty private file into which a copy is written.
pub fn make_private_target(copy: &Path) -> Result<(), DatabaseError> {
    let made = private_file::create_new(copy);
    made.map(drop).map_err(DatabaseError::Copy)
}

/// Makes a copy of the database readable by its owner only, and fsyncs it.
pub fn make_private(copy: &Path) -> Result<(), DatabaseError> {
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    let synced = fs::set_permissions(copy, private).and_then(|()| fs::File::open(copy)?.sync_all());
    synced.map_err(DatabaseError::Copy)
}

/// Returns the problems that SQLite finds in the file and between tables; empty: none.
pub fn integrity(connection: &mut SqliteConnection) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        integrity_check: String,
    }
    #[derive(QueryableByName)]
    struct Orphan {
        #[diesel(sql_type = Text)]
        table: String,
        #[diesel(sql_type = Text)]
        parent: String,
    }
    let mut findings = Vec::new();
    let lines = diesel::sql_query("PRAGMA integrity_check(100)").load::<Line>(connection);
    let lines =
        lines.map(|lines| lines.into_iter().map(|line| line.integrity_check).filter(|line| line != "ok"));
    findings.extend(unless_damaged(lines.map(Iterator::collect))?);
    let orphans = diesel::sql_query("PRAGMA foreign_key_check").load::<Orphan>(connection);
    let of = |row: Orphan| format!("a row of {} references a missing row of {}", row.table, row.parent);
    findings.extend(unless_damaged(orphans.map(|rows| rows.into_iter().map(of).collect()))?);
    // Both stop at the same damage.
    findings.dedup();
    Ok(findings)
}

/// Turns an error into a finding where the damage keeps SQLite from checking further.
fn unless_damaged(found: QueryResult<Vec<String>>) -> QueryResult<Vec<String>> {
    match found {
        Err(error) if is_damage(&error) => Ok(vec![format!("SQLite cannot read the database: {error}")]),
        found => found,
    }
}

/// Returns the problems of a quick check: every page is read, but no index is compared with its
/// table.
pub fn quick_check(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        quick_check: String,
    }
    let lines = diesel::sql_query("PRAGMA quick_check(10)").load::<Line>(connection);
    let lines = lines.map(|lines| lines.into_iter().map(|line| line.quick_check).filter(|line| line != "ok"));
    Ok(unless_damaged(lines.map(Iterator::collect))?)
}

fn is_damage(error: &diesel::result::Error) -> bool {
    const WORDS: [&str; 2] = ["malformed", "not a database"];
    matches!(error, diesel::result::Error::DatabaseError(_, info)
        if WORDS.iter().any(|word| info.message().contains(word)))
}

/// Fails if SQLite finds any problem in the file.
pub fn verify_integrity(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    let findings = integrity(connection)?;
    if findings.is_empty() { Ok(()) } else { Err(DatabaseError::Damaged(findings.join("; "))) }
}

/// Returns migrations that the database has and this program does not.
pub fn unknown_migrations(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
    let known = embedded_versions()?;
    Ok(applied_versions(connection)?.into_iter().filter(|version| !known.contains(version)).collect())
}

/// Returns migrations that this program has and the database does not.
pub fn pending_migrations(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
    let applied = applied_versions(connection)?;
    Ok(embedded_versions()?.into_iter().filter(|version| !applied.contains(version)).collect())
}

fn applied_versions(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
    let applied = connection.applied_migrations();
    let applied = applied.map_err(DatabaseError::Migration)?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

/// Sets how long statements of this connection wait for locks of others.
pub fn wait_for_locks(connection: &mut SqliteConnection, wait: Duration) -> QueryResult<()> {
    connection.batch_execute(&format!("PRAGMA busy_timeout = {}", wait.as_millis()))
}

/// How long the writer waits for a lock.
const WRITER_WAIT: Duration = Duration::from_secs(5);
/// How long the writer waits for readers before it lets the WAL grow.
const RESTART_WAIT: Duration = Duration::from_millis(100);

/// Checkpoints the whole WAL and restarts it. A long reader (a backup, the check of the file at the
/// start) delays this at most `RESTART_WAIT`, because all writes wait meanwhile. Returns `false` if
/// the WAL grows on.
pub fn restart_log(writer: &mut SqliteConnection) -> QueryResult<bool> {
    wait_for_locks(writer, RESTART_WAIT)?;
    let restarted = checkpoint(writer, "RESTART");
    wait_for_locks(writer, WRITER_WAIT)?;
    restarted
}

/// Returns whether no other connection blocked the checkpoint.
fn checkpoint(connection: &mut SqliteConnection, mode: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Outcome {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        busy: i32,
    }
    let outcome = diesel::sql_query(format!("PRAGMA wal_checkpoint({mode})"));
    Ok(outcome.get_result::<Outcome>(connection)?.busy == 0)
}

/// The pages in the WAL, and how many of them a checkpoint has moved already; -1 without a WAL.
/// Reading this moves none.
#[derive(QueryableByName)]
pub struct WalPages {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub log: i32,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub checkpointed: i32,
}

pub fn wal_pages(connection: &mut SqliteConnection) -> QueryResult<WalPages> {
    diesel::sql_query("PRAGMA wal_checkpoint(NOOP)").get_result(connection)
}

/// Moves the whole WAL into the database and fsyncs it: after a crash, the recovered data is
/// durable from here on. Returns `false` if another connection reads and the WAL could not be
/// emptied.
pub fn checkpoint_truncate(connection: &mut SqliteConnection) -> QueryResult<bool> {
    checkpoint(connection, "TRUNCATE")
}

/// Returns whether the statement failed because the disk is full. The transaction has ended and may
/// be retried later.
pub fn is_full(error: &diesel::result::Error) -> bool {
    matches!(error, diesel::result::Error::DatabaseError(_, info) if info.message().contains("is full"))
}

/// Returns whether another connection holds the lock that the statement needs.
pub fn is_busy(error: &diesel::result::Error) -> bool {
    matches!(error, diesel::result::Error::DatabaseError(_, info) if info.message().contains("is locked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_go_up_down_and_up_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut connection = open_writer(&path, Synchronous::Full).unwrap();
        let count = migrate(&mut connection, &path).unwrap();
        assert!(count > 0);
        assert_eq!(migrate(&mut connection, &path).unwrap(), 0);
        connection.revert_all_migrations(MIGRATIONS).unwrap();
        let left = "SELECT count(*) AS value FROM sqlite_master WHERE name NOT LIKE '%diesel%' AND name NOT LIKE 'sqlite%'";
        assert_eq!(integer(&mut connection, left).unwrap(), 0);
        assert_eq!(migrate(&mut connection, &path).unwrap(), count);
    }

    /// The migration rebuilds the table: every row and every id stays, in both directions, also ids
    /// above the last row.
    #[test]
    fn messages_survive_the_client_id_migration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = open_writer(&path, Synchronous::Full).unwrap();
        migrate(&mut db, &path).unwrap();
        let down = |db: &mut SqliteConnection| {
            while applied_versions(db).unwrap().iter().any(|version| version.as_str() > "20261126") {
                db.revert_last_migration(MIGRATIONS).unwrap();
            }
        };
        down(&mut db);
        db.batch_execute(
            "INSERT INTO users (username, display_name, password_hash, created_at) VALUES ('ada', 'Ada', '', 0);
             INSERT INTO chats (kind, created_at) VALUES ('group', 0);
             INSERT INTO messages (chat_id, seq, ordinal, sender_id, client_id, request_hash, content, reply_to, metadata,
                 created_at, updated_seq, edited_at, deleted_at, pinned_at, reactions, thread_id)
             VALUES (1, 1, 1, 1, x'01', x'0a', 'one', NULL, NULL, 10, 1, NULL, 11, NULL, NULL, NULL),
                    (1, 2, 2, 1, x'02', x'0b', 'two', 1, '{}', 20, 5, 21, NULL, 22, '[]', 1),
                    (1, 3, 3, 1, x'03', x'0c', 'gone', NULL, NULL, 30, 3, NULL, NULL, NULL, NULL, NULL);
             DELETE FROM messages WHERE id = 3;",
        )
        .unwrap();
        // Every column of every row, and the largest id ever used.
        let whole = "SELECT count(*) AS value FROM messages JOIN sqlite_sequence ON name = 'messages'
            WHERE sqlite_sequence.seq = 3 AND
            (messages.id, chat_id, messages.seq, ordinal, sender_id, hex(client_id), hex(request_hash), content,
             coalesce(reply_to, '-'), coalesce(metadata, '-'), created_at, updated_seq, coalesce(edited_at, '-'),
             coalesce(deleted_at, '-'), coalesce(pinned_at, '-'), coalesce(reactions, '-'), coalesce(thread_id, '-'))
            IN (VALUES (1, 1, 1, 1, 1, '01', '0A', 'one', '-', '-', 10, 1, '-', 11, '-', '-', '-'),
                       (2, 1, 2, 2, 1, '02', '0B', 'two', 1, '{}', 20, 5, 21, '-', 22, '[]', 1))";
        assert_eq!(integer(&mut db, whole).unwrap(), 2, "before");
        migrate(&mut db, &path).unwrap();
        assert_eq!(integer(&mut db, whole).unwrap(), 2, "up");
        verify_integrity(&mut db).unwrap();
        down(&mut db);
        assert_eq!(integer(&mut db, whole).unwrap(), 2, "down");
        verify_integrity(&mut db).unwrap();
    }

    /// Chats of earlier versions record in their events who added each participant. The last entry
    /// counts.
    #[test]
    fn migration_fills_added_by_of_old_chats() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = open_writer(&path, Synchronous::Full).unwrap();
        migrate(&mut db, &path).unwrap();
        while applied_versions(&mut db).unwrap().iter().any(|version| version.as_str() >= "20261128200000") {
            db.revert_last_migration(MIGRATIONS).unwrap();
        }
        db.batch_execute(
            "INSERT INTO users (username, display_name, password_hash, created_at)
             VALUES ('ada', '', '', 0), ('bob', '', '', 0), ('cleo', '', '', 0), ('dan', '', '', 0);
             INSERT INTO chats (kind, created_at, last_seq) VALUES ('group', 0, 6);
             INSERT INTO chat_participants (chat_id, user_id, role)
             VALUES (1, 1, 'owner'), (1, 2, 'member'), (1, 3, 'member'), (1, 4, 'member');
             INSERT INTO chat_events (chat_id, seq, kind, actor_id, user_id, role, created_at)
             VALUES (1, 1, 'join', 1, 1, 'owner', 0), (1, 2, 'join', 1, 2, 'member', 0),
                    (1, 3, 'join', 1, 3, 'member', 0), (1, 4, 'leave', 3, 3, 'member', 0),
                    (1, 5, 'join', 3, 3, 'member', 0), (1, 6, 'role', 2, 2, 'member', 0);",
        )
        .unwrap();
        migrate(&mut db, &path).unwrap();
        let known = "SELECT count(*) AS value FROM chat_participants
            WHERE (user_id, coalesce(added_by, 0)) IN (VALUES (1, 0), (2, 1), (3, 0), (4, 0))";
        assert_eq!(integer(&mut db, known).unwrap(), 4);
        verify_integrity(&mut db).unwrap();
    }

    /// Tokens of a deactivated user worked again after the user was activated. Now deactivation
    /// ends them, old ones too.
    #[test]
    fn tokens_of_deactivated_users_end_with_the_migration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = open_writer(&path, Synchronous::Full).unwrap();
        migrate(&mut db, &path).unwrap();
        while applied_versions(&mut db).unwrap().iter().any(|version| version.as_str() >= "20261128100000") {
            db.revert_last_migration(MIGRATIONS).unwrap();
        }
        db.batch_execute(
            "INSERT INTO users (username, display_name, password_hash, created_at, deactivated_at)
             VALUES ('ada', '', '', 0, NULL), ('bob', '', '', 0, 5);
             INSERT INTO access_tokens (user_id, name, token_hash, scopes, created_at)
             VALUES (1, 'a', '01', 'repo:read', 0), (2, 'b', '02', 'repo:read', 0);",
        )
        .unwrap();
        migrate(&mut db, &path).unwrap();
        let known = "SELECT count(*) AS value FROM access_tokens
            WHERE (user_id, coalesce(revoked_at, 0)) IN (VALUES (1, 0), (2, 5))";
        assert_eq!(integer(&mut db, known).unwrap(), 2);
    }

    #[test]
    fn bundled_sqlite_has_the_configured_options() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open_writer(&dir.path().join("netbit.db"), Synchronous::Full).unwrap();
        let options = "SELECT count(*) AS value FROM pragma_compile_options
            WHERE compile_options IN ('ENABLE_QPSG', 'THREADSAFE=2')";
        let found = integer(&mut connection, options).unwrap();
        assert_eq!(found, 2, "it works without .cargo/config.toml, and is several times slower");
    }

    #[test]
    fn migration_keeps_a_copy_of_a_nonempty_database() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut connection = open_writer(&path, Synchronous::Full).unwrap();
        migrate(&mut connection, &path).unwrap();
        connection.batch_execute("INSERT INTO meta (key, value) VALUES ('kept', 1)").unwrap();
        let copies = || {
            let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
            names.filter(|path| path.display().to_string().contains(".before-")).collect::<Vec<_>>()
        };
        assert!(copies().is_empty(), "a first start has nothing to lose");
        // The newest migration counts as not run. Its tables still exist, so running it again must
        // fail as a whole.
        let newest = embedded_versions().unwrap().pop().unwrap();
        keep_copy(&mut connection, &path, &newest).unwrap();
        let kept = copies().pop().unwrap();
        let mut copy = open_reader(&kept).unwrap();
        assert_eq!(integer(&mut copy, "SELECT value FROM meta WHERE key = 'kept'").unwrap(), 1);
    }

    #[test]
    fn database_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut connection = open_writer(&path, Synchronous::Full).unwrap();
        migrate(&mut connection, &path).unwrap();
        connection
            .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')")
            .unwrap();
        assert!(
            matches!(migrate(&mut connection, &path), Err(DatabaseError::SchemaTooNew(v)) if v == "99990101000000")
        );
    }

    /// A backup or an operator may have the database open. A checkpoint reports that instead of
    /// waiting silently.
    #[test]
    fn checkpoint_reports_another_reader() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut writer = open_writer(&path, Synchronous::Full).unwrap();
        migrate(&mut writer, &path).unwrap();
        writer.batch_execute("PRAGMA busy_timeout = 0").unwrap();
        assert!(checkpoint_truncate(&mut writer).unwrap());
        let mut reader = open_reader(&path).unwrap();
        reader.batch_execute("BEGIN; SELECT count(*) FROM meta;").unwrap();
        writer.batch_execute("INSERT INTO meta (key, value) VALUES ('x', 1)").unwrap();
        assert!(!checkpoint_truncate(&mut writer).unwrap());
    }

    /// A backup reads for minutes. For every 64 MiB of WAL the writer waited 5 s for it, and all
    /// requests with it.
    #[test]
    fn restart_log_returns_in_time_while_a_reader_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut writer = open_writer(&path, Synchronous::Full).unwrap();
        migrate(&mut writer, &path).unwrap();
        let mut reader = open_reader(&path).unwrap();
        reader.batch_execute("BEGIN; SELECT count(*) FROM meta;").unwrap();
        writer.batch_execute("INSERT INTO meta (key, value) VALUES ('x', 1)").unwrap();
        let begun = std::time::Instant::now();
        assert!(!restart_log(&mut writer).unwrap());
        assert!(begun.elapsed() < WRITER_WAIT);
        reader.batch_execute("ROLLBACK").unwrap();
        assert!(restart_log(&mut writer).unwrap());
    }

    #[test]
    fn reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        migrate(&mut open_writer(&path, Synchronous::Full).unwrap(), &path).unwrap();
        let mut reader = open_reader(&path).unwrap();
        assert!(reader.batch_execute("INSERT INTO meta (key, value) VALUES ('x', 1)").is_err());
    }
}
