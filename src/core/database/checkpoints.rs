//! Checkpoints of the WAL.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::{WRITER_WAIT, wait_for_locks};

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

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::super::{migrate, open_reader, open_writer};
    use super::*;
    use crate::core::config::Synchronous;

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
}
