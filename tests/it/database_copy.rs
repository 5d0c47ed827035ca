//! `netbit database copy`: all rows, in both directions; nothing starts on half of a copy.
//!
//! On PostgreSQL the rows go from a data directory to PostgreSQL and back. Without it they go from
//! one data directory to another, by the same code.

use std::path::Path;
use std::process::{Command, Output};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use netbit::core::config::Synchronous;
use netbit::core::database::{SqliteConnection, open_reader, open_writer};
use tempfile::TempDir;

use crate::harness::{PASSWORD, Process, command, postgres, until};

/// Rows for the tables that `netbit seed` leaves empty.
const ROWS: &str = "
    INSERT INTO access_tokens (id, user_id, name, token_hash, scopes, created_at)
        VALUES (1, 1, 'a', x'0102', 'repo:read', 5), (7, 2, '', x'', '', -1), (99, 2, 'b', x'03', '', 6);
    DELETE FROM access_tokens WHERE id = 99;
    INSERT INTO audit_events (actor_id, action, target, detail, request_id, created_at)
        VALUES (1, 'a', 'user:1', '{\"k\": \"line\nbreak\"}', 'r', 5), (NULL, 'b', '', '{}', NULL, 6);
    INSERT INTO blocks VALUES (1, 2, 5);
    INSERT INTO projects (id, owner_id, name, name_key, visibility, channel_id, created_at)
        VALUES (1, 1, 'Web', 'web', 'public', 1, 5);
    INSERT INTO project_members VALUES (1, 1, 'owner');
    INSERT INTO project_watchers VALUES (1, 1);
    INSERT INTO project_configs VALUES (1, '[x]', 5);
    INSERT INTO repositories (id, project_id, name, name_key, default_branch, storage_key, state, created_at)
        VALUES (1, 1, 'Web', 'web', 'main', 'k', 'active', 5);
    INSERT INTO former_names VALUES ('repository', 1, 'old', 1);
    INSERT INTO former_usernames VALUES ('ada', 1);
    INSERT INTO push_intents (id, repository_id, user_id, refs, base_url, client_id, state, created_at)
        VALUES (1, 1, 1, '[]', 'http://x', x'05', 'settled', 9223372036854775807);
    INSERT INTO chat_former_participants VALUES (3, 1, 'none');
    INSERT INTO code_talks VALUES (1, 1, 'src/Ä.rs', 'abc', 1, 2);
    INSERT INTO files VALUES (1, 1, 1, NULL, 'Ä', 5, x'00ff', 'image/png', 2, 3, 'n', 5, 6, 7);
    INSERT INTO file_usage VALUES (1, 5);
    INSERT INTO lfs_objects VALUES (3, 1, x'00ff', 5, 'image/png', 1, 6);
    INSERT INTO lfs_locks VALUES (3, 1, 'src/Ä.psd', 1, 6);
    INSERT INTO fan_outs (id, kind, chat_id, seq) VALUES (3, 'thread', 1, 1);
    INSERT INTO removed_messages VALUES (x'00ff', 1, x'', 900, 1, 3);
    INSERT INTO thread_followers VALUES (1, 1, TRUE), (1, 2, FALSE);
    INSERT INTO notifications (user_id, kind, text, created_at) VALUES (1, 'k', '\"\\ 🙂', 5);
    INSERT INTO refresh_tokens VALUES (x'0000', 1, 3, NULL, 4);
    INSERT INTO avatars VALUES (1, 1, NULL, NULL, 'a', 'image/png', x'00ff', 5),
        (2, NULL, 1, NULL, 'b', 'image/jpeg', x'', 6), (9, NULL, NULL, 1, 'c', 'image/png', x'01', 7);
";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(db: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let found: Vec<Line> = diesel::sql_query(sql).load(db).unwrap_or_else(|error| panic!("{sql}: {error}"));
    found.into_iter().map(|row| row.line).collect()
}

fn tables(db: &mut SqliteConnection) -> Vec<String> {
    lines(
        db,
        "SELECT name AS line FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
         AND name NOT LIKE '%diesel%' ORDER BY name",
    )
}

/// Returns every value of every row, and the ids that were assigned last.
fn dump(data_dir: &Path) -> Vec<String> {
    let mut db = open_reader(&data_dir.join("netbit.db")).unwrap();
    let mut all =
        lines(&mut db, "SELECT name || ' ' || seq AS line FROM sqlite_sequence WHERE seq > 0 ORDER BY 1");
    for table in tables(&mut db) {
        let columns =
            lines(&mut db, &format!("SELECT name AS line FROM pragma_table_info('{table}') ORDER BY name"));
        let values: Vec<_> = columns.iter().map(|column| format!("'{column}=' || quote({column})")).collect();
        let values = values.join(" || ' ' || ");
        all.extend(lines(
            &mut db,
            &format!("SELECT '{table}: ' || {values} AS line FROM {table} ORDER BY 1"),
        ));
    }
    all
}

/// Writes a row into each table, and a value into each column.
fn fill(data_dir: &Path) {
    let mut db = open_writer(&data_dir.join("netbit.db"), Synchronous::Full).unwrap();
    db.batch_execute(ROWS).unwrap();
    for table in tables(&mut db) {
        let empty = format!("SELECT 'x' AS line WHERE NOT EXISTS (SELECT 1 FROM {table})");
        assert!(lines(&mut db, &empty).is_empty(), "{table} is new: add a row to ROWS");
        let columns = format!(
            "SELECT name || ' ' || type AS line FROM pragma_table_info('{table}') WHERE \"notnull\" = 0"
        );
        for column in lines(&mut db, &columns) {
            let (column, kind) = column.split_once(' ').unwrap();
            let missing = format!(
                "SELECT 'x' AS line WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {column} IS NOT NULL)"
            );
            if lines(&mut db, &missing).is_empty() {
                continue;
            }
            let value = match kind {
                "TEXT" => "'1:2'",
                "BLOB" => "x'00ff'",
                _ => "1",
            };
            let set = format!(
                "UPDATE {table} SET {column} = {value} WHERE rowid = (SELECT min(rowid) FROM {table})"
            );
            db.batch_execute(&set).unwrap_or_else(|error| panic!("{set}: {error}"));
        }
    }
}

/// Runs a command that uses no configured database, on another thread.
async fn netbit(arguments: &[&str], points: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netbit"));
    command.args(arguments).env_remove("NETBIT_DATABASE").env("FAILPOINTS", points);
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A data directory of SQLite with users, chats and messages, and the token of the first user.
async fn seeded() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let tokens = tempfile::tempdir().unwrap();
    let file = tokens.path().join("tokens");
    let arguments = [
        "seed",
        "--users",
        "12",
        "--chats",
        "4",
        "--members",
        "6",
        "--messages",
        "700",
        "--password",
        PASSWORD,
        "--data-dir",
        directory.path().to_str().unwrap(),
        "--tokens",
        file.to_str().unwrap(),
    ];
    let output = netbit(&arguments, "").await;
    assert!(output.status.success(), "{}", printed(&output));
    let token = std::fs::read_to_string(file).unwrap();
    let token = token.lines().next().unwrap().split_once(' ').unwrap().1.to_owned();
    (directory, token)
}

/// The target of a copy: a database of PostgreSQL if the tests use one, or else a data directory.
struct Target {
    directory: TempDir,
    place: String,
}

impl Target {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let in_directory = || directory.path().to_str().unwrap().to_owned();
        let place = postgres::url(directory.path()).unwrap_or_else(in_directory);
        Self { directory, place }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn copied(from: &str, to: &str, flags: &[&str]) -> String {
    let arguments = [&["database", "copy", "--from", from, "--to", to], flags].concat();
    let output = netbit(&arguments, "").await;
    assert!(output.status.success(), "{}", printed(&output));
    printed(&output)
}

async fn refused(from: &str, to: &str, flags: &[&str]) -> String {
    let arguments = [&["database", "copy", "--from", from, "--to", to], flags].concat();
    let output = netbit(&arguments, "").await;
    assert!(!output.status.success(), "{}", printed(&output));
    printed(&output)
}

#[actix_web::test]
async fn copy_and_its_copy_have_every_value_of_every_row() {
    let (source, _) = seeded().await;
    fill(source.path());
    let (between, back) = (Target::new(), tempfile::tempdir().unwrap());
    let before = dump(source.path());
    copied(text(source.path()), &between.place, &["--keep-logins"]).await;
    copied(&between.place, text(back.path()), &["--keep-logins"]).await;
    let after = dump(back.path());
    assert!(before.len() > 800, "{}", before.len());
    for (before, after) in std::iter::zip(&before, &after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
    assert_eq!(before, dump(source.path()), "the source is only read");
}

#[actix_web::test]
async fn copy_that_keeps_logins_accepts_tokens_of_the_source() {
    let (source, token) = seeded().await;
    let target = Target::new();
    let said = copied(text(source.path()), &target.place, &["--keep-logins"]).await;
    assert!(said.contains("logins stay"), "{said}");
    // The secret belongs to the data directory; a move to PostgreSQL keeps it.
    std::fs::copy(source.path().join("secret.key"), target.path().join("secret.key")).unwrap();
    let server = Process::start(target.path()).await;
    let me = server.http.with_token(&token);
    assert_eq!(me.get("/api/users/me").await.unwrap().status, 200);
    let chat = me.get("/api/chats").await.unwrap().body["items"][0]["id"].as_i64().unwrap();
    let path = format!("/api/chats/{chat}/messages");
    let answer = me.post(&path, &serde_json::json!({"content": "after the move"})).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    // The ids go on: the 701st message.
    assert_eq!(answer.body["id"], 701, "{}", answer.body);
    // Compares the read models with the database.
    server.stop().await;
}

#[actix_web::test]
async fn copy_of_a_running_server_ends_all_logins() {
    let (source, token) = seeded().await;
    let database = source.path().join("netbit.db");
    let mut db = open_writer(&database, Synchronous::Full).unwrap();
    db.batch_execute("UPDATE messages SET content = 'a' || char(0) || 'b' WHERE id = 5").unwrap();
    drop(db);
    let server = Process::with(source.path(), &[("NETBIT_DATABASE", "")]).await;
    let target = Target::new();
    let said = refused(text(source.path()), &target.place, &["--keep-logins"]).await;
    assert!(said.contains("another netbit already uses"), "{said}");
    let said = copied(text(source.path()), &target.place, &[]).await;
    assert!(said.contains("logins ended"), "{said}");
    assert_eq!(said.contains("1 text contained U+0000"), postgres::is_used(), "{said}");
    server.stop().await;

    std::fs::copy(source.path().join("secret.key"), target.path().join("secret.key")).unwrap();
    let server = Process::start(target.path()).await;
    let me = server.http.with_token(&token);
    assert_eq!(me.get("/api/users/me").await.unwrap().status, 401);
    let token = server.http.login("u0", PASSWORD).await.unwrap().token;
    assert_eq!(server.http.with_token(token).get("/api/users/me").await.unwrap().status, 200);
    server.stop().await;
    let said = refused(text(source.path()), &target.place, &[]).await;
    assert!(
        said.contains(if postgres::is_used() { "the target has rows in the table users" } else { "exists" }),
        "{said}"
    );
}

/// A copy that was killed must not be used as a new, empty server.
#[actix_web::test]
async fn server_refuses_the_target_of_a_killed_copy() {
    let (source, _) = seeded().await;
    let target = Target::new();
    let arguments = ["database", "copy", "--from", text(source.path()), "--to", &target.place];
    let killed = netbit(&arguments, "copy.end=return").await;
    assert_eq!(killed.status.code(), None, "{}", printed(&killed));
    let started = Process::try_with(target.path(), &[]).await;
    assert_eq!(started.err().map(|status| status.code()), Some(Some(1)), "the server refuses to start");

    let said = copied(text(source.path()), &target.place, &[]).await;
    assert!(said.contains("rows of"), "{said}");
    let server = Process::start(target.path()).await;
    let me = server.http.login("u0", PASSWORD).await.unwrap();
    let me = server.http.with_token(me.token);
    until(async || me.get("/api/chats").await.unwrap().status == 200).await;
    server.stop().await;
}

/// A copy and a start each found no trace of the other, and the server used rows that the copy
/// replaced.
#[actix_web::test]
async fn server_refuses_a_copy_that_began_during_its_start() {
    let target = Target::new();
    let Some(database) = postgres::url(target.path()) else { return };
    Process::start(target.path()).await.stop().await;
    let ask = |sql: &str| postgres::psql(&database, &[sql.to_owned()]).unwrap().trim().to_owned();
    std::thread::scope(|scope| {
        let starts = scope.spawn(|| {
            let mut netbit = command(target.path());
            netbit.env("FAILPOINTS", "node.register=sleep(5000)").output().unwrap()
        });
        let read = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND query LIKE '%copy_unfinished%' AND pid <> pg_backend_pid()";
        while ask(read) == "0" {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        ask("INSERT INTO meta VALUES ('copy_unfinished', 1)");
        let output = starts.join().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
        assert!(printed(&output).contains("a copy into this database runs"), "{}", printed(&output));
    });
    assert_eq!(ask("SELECT seen_at FROM nodes"), "0", "the node is not counted as running");
}

/// The lock of copies had the number of the lock that a running node holds: the command reported
/// another copy.
#[actix_web::test]
async fn copy_refuses_a_target_that_a_server_uses() {
    let (source, _) = seeded().await;
    let target = Target::new();
    let Some(database) = postgres::url(target.path()) else { return };
    let server = Process::start(target.path()).await;
    until(async || server.operations("/metrics").await.1.contains("netbit_chores 1\n")).await;
    let said = refused(text(source.path()), &target.place, &[]).await;
    assert!(said.contains("uses the target; stop it first"), "{said}");
    server.stop().await;
    // The refused copy left no mark.
    Process::start(target.path()).await.stop().await;

    let holder = std::thread::spawn({
        let lock = format!("SELECT pg_advisory_lock({}), pg_sleep(600)", 0x6e65_7462_6974_0003_i64);
        move || drop(postgres::psql(&database, &[lock]))
    });
    let ask = |sql: &str| postgres::psql(&target.place, &[sql.to_owned()]).unwrap().trim().to_owned();
    let held = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
         WHERE l.locktype = 'advisory' AND l.granted AND a.query LIKE '%pg_sleep%'";
    until(async || ask(held) != "0").await;
    let said = refused(text(source.path()), &target.place, &[]).await;
    assert!(said.contains("another process copies into this database"), "{said}");
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
         AND query LIKE '%pg_sleep(%' AND pid <> pg_backend_pid()");
    holder.join().unwrap();
    copied(text(source.path()), &target.place, &[]).await;
}

/// A copy that was killed between the name of its file and the end of its mark could neither be
/// used nor repeated.
#[actix_web::test]
async fn repeated_copy_goes_on_after_a_kill_at_its_very_end() {
    let (source, _) = seeded().await;
    let target = tempfile::tempdir().unwrap();
    let arguments = ["database", "copy", "--from", text(source.path()), "--to", text(target.path())];
    let killed = netbit(&arguments, "copy.renamed=return").await;
    assert_eq!(killed.status.code(), None, "{}", printed(&killed));
    assert!(target.path().join("netbit.db").exists() && target.path().join("copy.unfinished").exists());
    copied(text(source.path()), text(target.path()), &[]).await;
    Process::with(target.path(), &[("NETBIT_DATABASE", "")]).await.stop().await;
    let said = refused(text(source.path()), text(target.path()), &[]).await;
    assert!(said.contains("netbit.db exists"), "a complete copy is not replaced: {said}");
    // The log of a database that was moved away without it.
    std::fs::remove_file(target.path().join("netbit.db")).unwrap();
    std::fs::write(target.path().join("netbit.db-wal"), "").unwrap();
    let said = refused(text(source.path()), text(target.path()), &[]).await;
    assert!(said.contains("netbit.db-wal exists"), "{said}");
}

/// A copy whose last COMMIT had no answer failed, and its repetition found rows in the target.
#[actix_web::test]
async fn copy_without_an_answer_to_its_commit_is_complete() {
    let (source, _) = seeded().await;
    let target = Target::new();
    if !postgres::is_used() {
        return;
    }
    let arguments = ["database", "copy", "--from", text(source.path()), "--to", &target.place];
    let output = netbit(&arguments, "copy.unclear=return").await;
    assert!(output.status.success(), "{}", printed(&output));
    Process::start(target.path()).await.stop().await;
}

#[actix_web::test]
async fn restore_refuses_a_database_with_rows_before_it_copies() {
    let (source, _) = seeded().await;
    let target = Target::new();
    if !postgres::is_used() {
        return;
    }
    copied(text(source.path()), &target.place, &[]).await;
    let backup = source.path().join("backup");
    let output = netbit(&["backup", text(&backup), "--data-dir", text(source.path())], "").await;
    assert!(output.status.success(), "{}", printed(&output));
    let place = target.path().join("restored");
    let restore = ["restore", text(&backup), "--data-dir", text(&place), "--to-database", &target.place];
    let output = netbit(&restore, "").await;
    assert!(!output.status.success());
    assert!(printed(&output).contains("rows in the table users"), "{}", printed(&output));
    assert!(!place.exists(), "nothing was copied");
}
