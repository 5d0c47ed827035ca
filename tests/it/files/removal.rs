//! The end of files: deleted messages, deleted chats, retention, expiry, backups.

use std::path::Path;

use serde_json::json;

use super::{files_of, messages};
use crate::harness::files::{blobs, staged};
use crate::harness::{TestServer, database, netbit_beside, postgres, s3, until};

fn rows(directory: &Path) -> i64 {
    database::reader(directory).integer("SELECT count(*) AS value FROM files")
}

fn usage(directory: &Path) -> i64 {
    let sql = "SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) AS value FROM file_usage";
    database::reader(directory).integer(sql)
}

async fn quick() -> TestServer {
    TestServer::with_limits(|limits| {
        (limits.maintenance_ms, limits.trim_ms) = (50, 50);
        limits.rates = false;
    })
    .await
}

#[actix_web::test]
async fn bytes_go_when_no_message_has_them_any_more() {
    let server = quick().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (first, message) = files.share(chat, "1", b"same bytes").await;
    let (second, other) = files.share(chat, "2", b"same bytes").await;
    assert_eq!((blobs(server.path()).len(), usage(server.path())), (1, 8192));
    alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
    until(async || rows(server.path()) == 1).await;
    assert_eq!(
        (files.status(first).await.as_u16(), files.get(second).await.bytes),
        (404, b"same bytes".into())
    );
    assert_eq!((blobs(server.path()).len(), usage(server.path())), (1, 4096));
    alice.delete(&format!("/api/chats/{chat}/messages/{other}")).await;
    until(async || blobs(server.path()).is_empty()).await;
    assert_eq!((rows(server.path()), usage(server.path())), (0, 0));
    let left: Vec<_> = messages(&alice, chat).await.into_iter().map(|m| m.get("files").cloned()).collect();
    assert_eq!(left, [None, None]);
    server.stop().await;
}

#[actix_web::test]
async fn retention_and_deleted_chats_release_files() {
    let server = quick().await;
    let alice = server.user("alice").await;
    let (kept, deleted) = (alice.group(&[]).await, alice.group(&[]).await);
    let files = files_of(&server, &alice);
    for n in 0..3 {
        files.share(kept, "k", format!("kept {n}").as_bytes()).await;
        files.share(deleted, "d", format!("deleted {n}").as_bytes()).await;
    }
    alice.patch(&format!("/api/chats/{kept}"), json!({"retention": 1})).await;
    until(async || rows(server.path()) == 4).await;
    assert_eq!(alice.delete(&format!("/api/chats/{deleted}")).await.status, 204);
    until(async || blobs(server.path()).len() == 1 && rows(server.path()) == 1).await;
    assert_eq!(usage(server.path()), 4096);
    server.stop().await;
}

#[actix_web::test]
async fn file_without_a_message_expires() {
    let server = quick().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let complete = files.upload(chat, "complete", b"complete").await;
    let begun = files.announce(chat, "begun", 10).await;
    assert_eq!(files.put_part(begun, 0, b"half", 10).await.status, 202);
    let (bound, _) = files.share(chat, "bound", b"bound").await;
    assert_eq!((rows(server.path()), staged(server.path()).len()), (3, 1));
    let server = server
        .restart(|config| {
            config.limits.files_unbound_seconds = 0;
            config.limits.maintenance_ms = 50;
        })
        .await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    until(async || blobs(server.path()).len() == 1 && staged(server.path()).is_empty()).await;
    assert_eq!(files.get(bound).await.bytes, b"bound");
    for id in [complete, begun] {
        assert_eq!(files.status(id).await, 404);
        assert_eq!(files.put(id, b"0123456789").await.status, 404);
    }
    assert_eq!((rows(server.path()), usage(server.path())), (1, 4096));
    server.stop().await;
}

fn created_at(directory: &Path, file: i64) -> i64 {
    let sql = format!("SELECT created_at AS value FROM files WHERE id = {file}");
    database::reader(directory).integer(&sql)
}

#[actix_web::test]
async fn bytes_that_a_crash_left_are_swept_after_a_week() {
    let server = quick().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (file, _) = files_of(&server, &alice).share(chat, "kept", b"kept").await;
    let directory = server.stop_and_keep().await;
    let announced_at = created_at(directory.path(), file);
    let orphan = "ab".repeat(32);
    let folder = directory.path().join("files/ab/ab");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&orphan), "orphan").unwrap();
    for (name, bytes) in [
        (format!("{file}-{announced_at}"), "complete already"),
        (format!("{file}-1"), "of another database"),
        ("77-1.blob".to_owned(), "half a copy"),
    ] {
        std::fs::write(directory.path().join("files/uploads").join(name), bytes).unwrap();
    }
    let server = TestServer::on(directory).await;
    until(async || staged(server.path()).is_empty()).await;
    assert_eq!(blobs(server.path()).len(), 2, "the orphan is new");
    let server = server.restart(|config| config.limits.files_unnamed_seconds = 0).await;
    until(async || blobs(server.path()).len() == 1).await;
    let alice = server.login("alice").await;
    assert_eq!(files_of(&server, &alice).get(file).await.bytes, b"kept");
    server.stop().await;
}

/// A row names a blob that a sweep has removed while the commit of the row was in doubt.
#[actix_web::test]
async fn staged_bytes_of_a_complete_file_replace_a_missing_blob() {
    if s3::skips("it moves the file of a blob") {
        return;
    }
    let server = quick().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (file, _) = files_of(&server, &alice).share(chat, "x", b"bytes").await;
    let directory = server.stop_and_keep().await;
    let staged_name = format!("files/uploads/{file}-{}", created_at(directory.path(), file));
    std::fs::rename(&blobs(directory.path())[0], directory.path().join(staged_name)).unwrap();
    let server = TestServer::on(directory).await;
    until(async || staged(server.path()).is_empty()).await;
    let alice = server.login("alice").await;
    assert_eq!(files_of(&server, &alice).get(file).await.bytes, b"bytes");
    server.stop().await;
}

fn change(directory: &Path, from: &str, to: &str) {
    std::fs::create_dir_all(directory.join(to)).unwrap();
    for entry in std::fs::read_dir(directory.join(from)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("netbit.db") {
            std::fs::rename(&path, directory.join(to).join(name)).unwrap();
        }
    }
}

/// Removes a file, and waits until its bytes are gone: a search for bytes without a row has ended.
async fn removes_own_files(server: &TestServer, name: &str) {
    let person = server.user(name).await;
    let chat = person.group(&[]).await;
    let before = blobs(server.path()).len();
    let (_, message) = files_of(server, &person).share(chat, "own", b"own bytes").await;
    assert_eq!(blobs(server.path()).len(), before + 1);
    person.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
    until(async || blobs(server.path()).len() == before).await;
}

/// A start with a wrong database removed all bytes of the right one.
#[actix_web::test]
async fn start_with_another_database_keeps_all_bytes() {
    if postgres::is_used() {
        return;
    }
    let server = quick().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (file, _) = files_of(&server, &alice).share(chat, "kept", b"kept").await;
    let directory = server.stop_and_keep().await;
    change(directory.path(), "", "right");
    let server = TestServer::on(directory).await.restart(|config| config.limits.maintenance_ms = 50).await;
    removes_own_files(&server, "bob").await;
    let directory = server.stop_and_keep().await;
    change(directory.path(), "", "wrong");
    change(directory.path(), "right", "");
    let server = TestServer::on(directory).await.restart(|config| config.limits.maintenance_ms = 50).await;
    removes_own_files(&server, "carol").await;
    let alice = server.login("alice").await;
    assert_eq!(files_of(&server, &alice).get(file).await.bytes, b"kept");
    server.stop().await;
}

/// A file expires in an older database, and a message has it in the newer one.
#[actix_web::test]
async fn older_database_expires_no_bytes_of_a_newer_one() {
    if s3::skips("files expire at once, also before a message has them") {
        return;
    }
    if postgres::is_used() {
        return;
    }
    let server = quick().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let file = files_of(&server, &alice).upload(chat, "kept", b"kept").await;
    let directory = server.stop_and_keep().await;
    let (current, older) = (directory.path().join("netbit.db"), directory.path().join("older.db"));
    std::fs::copy(&current, &older).unwrap();
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    let posted = files_of(&server, &alice).post(chat, &json!({"files": [file]})).await;
    assert_eq!(posted.status, 201);
    let directory = server.stop_and_keep().await;
    change(directory.path(), "", "newer");
    std::fs::rename(older, current).unwrap();
    let server = TestServer::on(directory)
        .await
        .restart(|config| {
            (config.limits.maintenance_ms, config.limits.files_unbound_seconds) = (50, 0);
        })
        .await;
    until(async || rows(server.path()) == 0).await;
    // Otherwise a file of bob expires before his message has it.
    let server = server.restart(|config| config.limits.maintenance_ms = 50).await;
    removes_own_files(&server, "bob").await;
    let directory = server.stop_and_keep().await;
    change(directory.path(), "", "wrong");
    change(directory.path(), "newer", "");
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    assert_eq!(files_of(&server, &alice).get(file).await.bytes, b"kept");
    server.stop().await;
}

/// A node of an earlier version deletes a message, and does not know its files.
#[actix_web::test]
async fn files_of_a_message_that_an_earlier_version_deleted_are_gone() {
    let server = quick().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (file, message) = files_of(&server, &alice).share(chat, "x", b"bytes").await;
    let directory = server.stop_and_keep().await;
    let sql = format!("UPDATE messages SET content = '', deleted_at = 1 WHERE id = {message}");
    database::writer(directory.path()).execute(&sql);
    let data = directory.path().to_str().unwrap();
    let doctor = netbit_beside(&["doctor", "--data-dir", data]).await;
    let report = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(report.contains(&format!("file {file} belongs to a deleted message")), "{report}");
    // The index knows only changes that have a seq.
    std::fs::remove_file(directory.path().join("search.db")).unwrap();
    let server = TestServer::on(directory).await.restart(|config| config.limits.maintenance_ms = 50).await;
    let alice = server.login("alice").await;
    assert_eq!(files_of(&server, &alice).status(file).await, 404);
    assert_eq!(messages(&alice, chat).await[0].get("files"), None);
    until(async || rows(server.path()) == 0 && blobs(server.path()).is_empty()).await;
    server.stop().await;
}

#[actix_web::test]
async fn backup_beside_uploads_and_deletions_restores_whole() {
    let server = quick().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let mut kept = Vec::new();
    for n in 0..20 {
        kept.push(files.share(chat, "kept", format!("kept {n}").as_bytes()).await.0);
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    let load = async {
        let mut n = 0;
        while !stop.load(std::sync::atomic::Ordering::SeqCst) {
            n += 1;
            let (_, message) = files.share(chat, "passing", format!("passing {n}").as_bytes()).await;
            if n % 2 == 0 {
                alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
            }
        }
    };
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup");
    let take = async {
        until(async || rows(server.path()) > 22).await;
        let data = server.path().to_str().unwrap();
        let taken = netbit_beside(&["backup", backup.to_str().unwrap(), "--data-dir", data]).await;
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    };
    futures_util::join!(load, take);
    server.stop().await;

    let directory = tempfile::tempdir().unwrap();
    let (from, data) = (backup.to_str().unwrap(), directory.path().to_str().unwrap());
    let restored = netbit_beside(&["restore", from, "--data-dir", data]).await;
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let doctor = netbit_beside(&["doctor", "--data-dir", data]).await;
    let report = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.status.success(), "{report}");
    assert!(report.contains("files in chats have their bytes"), "{report}");
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    let mut read = 0;
    for message in messages(&alice, chat).await {
        for file in message["files"].as_array().into_iter().flatten() {
            let received = files.get(file["id"].as_i64().unwrap()).await;
            assert_eq!(
                (received.status, received.bytes.len()),
                (200, usize::try_from(file["size"].as_u64().unwrap()).unwrap())
            );
            read += 1;
        }
    }
    assert!(read >= 20, "{read}");
    for (n, id) in kept.iter().enumerate() {
        assert_eq!(files.get(*id).await.bytes, format!("kept {n}").into_bytes());
    }
    server.stop().await;
}

#[actix_web::test]
async fn doctor_names_missing_and_damaged_bytes() {
    if s3::skips("it damages the file of a blob") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (missing, _) = files.share(chat, "missing", b"missing").await;
    let (damaged, _) = files.share(chat, "damaged", b"damaged").await;
    let path_of = |id: i64, bytes: &[u8]| {
        let found = blobs(server.path()).into_iter().find(|path| std::fs::read(path).unwrap() == bytes);
        found.unwrap_or_else(|| panic!("file {id} has no blob"))
    };
    let (gone, changed) = (path_of(missing, b"missing"), path_of(damaged, b"damaged"));
    std::fs::remove_file(gone).unwrap();
    std::fs::write(changed, "DAMAGED").unwrap();
    assert_eq!(files.get(missing).await.status, 503, "an error, and no wrong bytes");
    let directory = server.stop_and_keep().await;
    let data = directory.path().to_str().unwrap();
    let doctor = netbit_beside(&["doctor", "--data-dir", data]).await;
    let report = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(1), "{report}");
    for line in [format!("file {missing}: "), format!("file {damaged}: the bytes are damaged")] {
        assert!(report.contains(&line), "{line} is not in {report}");
    }
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("backup");
    let backup = netbit_beside(&["backup", target.to_str().unwrap(), "--data-dir", data]).await;
    let warned = String::from_utf8_lossy(&backup.stderr).into_owned();
    assert_eq!(backup.status.code(), Some(1), "{warned}");
    assert!(warned.contains(&format!("the bytes of file {missing}")), "{warned}");
}
