//! Migrates the schema, and keeps a copy of the database before that.

use std::fs;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::DatabaseError;
use crate::core::{fail_points, private_file};

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

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
    let Some(first) = pending.first() else { return Ok(0) };
    if !applied_versions(connection)?.is_empty() {
        keep_copy(connection, path, first)?;
    }
    with_temporary_files(connection, path, |connection| {
        // Each migration is a separate transaction: if the process ends between two, the next start
        // continues.
        for _ in &pending {
            fail_points::reach(fail_points::BEFORE_MIGRATION);
            connection.run_next_migration(MIGRATIONS).map_err(DatabaseError::Migration)?;
        }
        Ok(pending.len())
    })
}

/// Runs `work` with temporary storage in unnamed files next to the database. In memory, `CREATE
/// INDEX` would sort all entries of a large table there, without a limit; `/tmp` may be in memory.
fn with_temporary_files<T>(
    connection: &mut SqliteConnection,
    database: &Path,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let folder = database.parent().unwrap_or(Path::new("")).display().to_string().replace('\'', "''");
    connection
        .batch_execute(&format!("PRAGMA temp_store = FILE; PRAGMA temp_store_directory = '{folder}'"))?;
    let outcome = work(connection);
    let reset = connection.batch_execute("PRAGMA temp_store_directory = ''; PRAGMA temp_store = MEMORY");
    // The work failed first: a transaction that is still open also refuses the reset.
    let outcome = outcome?;
    reset?;
    Ok(outcome)
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

#[cfg(test)]
mod tests {
    use super::super::{integer, open_reader, open_writer, verify_integrity};
    use super::*;
    use crate::core::config::Synchronous;

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

    /// Migrations sort in temporary files, the writer in memory; also after a migration that fails.
    #[test]
    fn temporary_storage_is_in_files_while_migrations_run() {
        const FILE: i64 = 1;
        const MEMORY: i64 = 2;
        let stored = |db: &mut SqliteConnection| {
            integer(db, "SELECT temp_store AS value FROM pragma_temp_store").unwrap()
        };
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("it's");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("netbit.db");
        let mut db = open_writer(&path, Synchronous::Full).unwrap();
        assert_eq!(with_temporary_files(&mut db, &path, |db| Ok(stored(db))).unwrap(), FILE);
        assert_eq!(stored(&mut db), MEMORY);
        let failed = with_temporary_files(&mut db, &path, |_| Err::<(), _>(DatabaseError::TooOld(1)));
        assert!(matches!(failed, Err(DatabaseError::TooOld(1))));
        assert_eq!(stored(&mut db), MEMORY);
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
}
