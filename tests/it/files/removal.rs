//! The end of files: deleted messages, deleted chats, retention, expiry, backups.

use std::path::Path;

use serde_json::json;

use super::{files_of, messages};
use crate::harness::files::{blobs, staged};
use crate::harness::{TestServer, database, netbit_beside, until};

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

#[actix_web::test]
async fn bytes_that_a_crash_left_are_swept_at_the_next_start() {
    let server = quick().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (file, _) = files_of(&server, &alice).share(chat, "kept", b"kept").await;
    let directory = server.stop_and_keep().await;
    let orphan = "ab".repeat(32);
    let folder = directory.path().join("files/ab/ab");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&orphan), "orphan").unwrap();
    std::fs::write(directory.path().join(format!("files/uploads/{file}")), "complete already").unwrap();
    std::fs::write(directory.path().join("files/uploads/77.blob"), "half a copy").unwrap();
    let server = TestServer::on(directory).await;
    until(async || blobs(server.path()).len() == 1 && staged(server.path()).is_empty()).await;
    let alice = server.login("alice").await;
    assert_eq!(files_of(&server, &alice).get(file).await.bytes, b"kept");
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
