//! The end of objects: deleted repositories, interrupted uploads, backups, damage.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::harness::files::{FileClient, blobs};
use crate::harness::lfs::{LfsClient, incoming, oid};
use crate::harness::{TestServer, database, netbit_beside, postgres, s3, until};

fn count(directory: &Path, sql: &str) -> i64 {
    database::reader(directory).integer(&format!("SELECT {sql} AS value"))
}

#[actix_web::test]
async fn bytes_go_with_the_last_repository_that_has_them() {
    let server = TestServer::with_limits(|limits| limits.maintenance_ms = 50).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    alice.repository("hello", "other").await;
    alice.project("second", "private").await;
    alice.repository("second", "web").await;
    let of = |path: &str| LfsClient::of(&server, path, &alice);
    let (one, other, second) = (of(&path), of("alice/hello/other"), of("alice/second/web"));
    for lfs in [&one, &other, &second] {
        lfs.push(b"shared").await;
    }
    one.push(b"only here").await;
    one.lock("a").await;
    let chat = alice.group(&[]).await;
    let files = FileClient::new(&server.app.addresses.http.to_string(), &alice.http);
    let (file, _) = files.share(chat, "x", b"in a chat, too").await;
    one.push(b"in a chat, too").await;
    assert_eq!(blobs(server.path()).len(), 3);
    assert_eq!(alice.delete("/api/projects/alice/hello/repos/web").await.status, 204);
    until(async || blobs(server.path()).len() == 2).await;
    until(async || count(server.path(), "(SELECT count(*) FROM lfs_objects)") == 2).await;
    assert_eq!(count(server.path(), "(SELECT count(*) FROM lfs_locks)"), 0);
    assert_eq!(count(server.path(), "(SELECT CAST(sum(lfs_bytes) AS BIGINT) FROM repositories)"), 2 * 4096);
    assert_eq!(files.get(file).await.bytes, b"in a chat, too");
    assert_eq!(other.pull(&oid(b"shared"), 6).await.bytes, b"shared");
    assert_eq!(alice.delete("/api/projects/alice/hello").await.status, 204);
    until(async || count(server.path(), "(SELECT count(*) FROM lfs_objects)") == 1).await;
    assert_eq!(second.pull(&oid(b"shared"), 6).await.bytes, b"shared");
    assert_eq!(alice.delete("/api/projects/alice/second").await.status, 204);
    until(async || blobs(server.path()).len() == 1).await;
    // A message that has the bytes keeps them; a deleted one does not.
    assert_eq!(files.get(file).await.bytes, b"in a chat, too");
    server.stop().await;
}

/// A deleted repository counts bytes, and has no objects: a fault of an earlier version, or of a
/// disk. It once kept the objects of all others.
#[actix_web::test]
async fn inconsistent_repository_keeps_no_objects_of_others() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.project("first", "private").await;
    alice.repository("first", "empty").await;
    let path = alice.hello_web("private").await;
    LfsClient::of(&server, &path, &alice).push(b"goes").await;
    let directory = server.stop_and_keep().await;
    let sql = "UPDATE repositories SET state = 'deleted', lfs_bytes = 4096";
    assert_eq!(database::writer(directory.path()).execute(sql), 2);
    let server = TestServer::on(directory).await;
    until(async || count(server.path(), "(SELECT count(*) FROM lfs_objects)") == 0).await;
    until(async || blobs(server.path()).is_empty()).await;
    server.stop().await;
}

#[actix_web::test]
async fn deleted_message_leaves_the_bytes_of_an_object() {
    let server = TestServer::with_limits(|limits| limits.maintenance_ms = 50).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let id = lfs.push(b"both").await;
    let chat = alice.group(&[]).await;
    let files = FileClient::new(&server.app.addresses.http.to_string(), &alice.http);
    let (_, message) = files.share(chat, "x", b"both").await;
    alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
    until(async || count(server.path(), "(SELECT count(*) FROM files)") == 0).await;
    assert_eq!(lfs.pull(&id, 4).await.bytes, b"both");
    server.stop().await;
}

#[actix_web::test]
async fn bytes_of_interrupted_uploads_go_after_their_time() {
    let server = TestServer::start().await;
    let directory = server.stop_and_keep().await;
    let write = |name: &str, age: u64| {
        let path = directory.path().join("files/lfs").join(name);
        std::fs::write(&path, "half").unwrap();
        let at = SystemTime::now() - Duration::from_secs(age);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
    };
    write("old", 7_200);
    write("old.blob", 7_200);
    write("fresh", 0);
    // An upload of another process is open.
    write("open", 7_200);
    let open = std::fs::File::open(directory.path().join("files/lfs/open")).unwrap();
    open.lock().unwrap();
    let server = TestServer::on(directory).await;
    until(async || incoming(server.path()).len() == 2).await;
    assert!(incoming(server.path()).iter().all(|path| path.ends_with("fresh") || path.ends_with("open")));
    until(async || {
        let (_, metrics) = server.operations("/metrics").await;
        let has = |line: &str| metrics.lines().any(|found| found == line);
        has("netbit_lfs_abandoned_total 2") && has("netbit_lfs_staged 2")
    })
    .await;
    server.stop().await;
}

#[actix_web::test]
async fn backup_has_the_objects_and_a_restore_serves_them() {
    if s3::skips("it damages the file of a blob") {
        return;
    }
    if postgres::skips("restores into a directory of its own") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let id = lfs.push(b"kept").await;
    lfs.lock("a").await;
    let outside = tempfile::tempdir().unwrap();
    let (target, data) = (outside.path().join("backup"), server.path().to_str().unwrap().to_owned());
    let taken = netbit_beside(&["backup", target.to_str().unwrap(), "--data-dir", &data]).await;
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    server.stop().await;
    let directory = tempfile::tempdir().unwrap();
    let restored = directory.path().to_str().unwrap();
    let done = netbit_beside(&["restore", target.to_str().unwrap(), "--data-dir", restored]).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let doctor = netbit_beside(&["doctor", "--data-dir", restored]).await;
    let report = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(report.contains("objects of Git LFS have their bytes (1 object)"), "{report}");
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    assert_eq!(lfs.pull(&id, 4).await.bytes, b"kept");
    assert_eq!(lfs.get("locks").await.json()["locks"][0]["path"], "a");

    // The doctor and the next backup name an object without its bytes.
    std::fs::write(&blobs(server.path())[0], "DAMAGED").unwrap();
    let directory = server.stop_and_keep().await;
    let data = directory.path().to_str().unwrap();
    let doctor = netbit_beside(&["doctor", "--data-dir", data]).await;
    let report = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(1), "{report}");
    assert!(report.contains(&format!("object {id} of repository 1: the bytes are damaged")), "{report}");
    let advice = format!("restore files/{}/{}/{id} from a backup, or remove it", &id[..2], &id[2..4]);
    assert!(report.contains(&advice), "{report}");
    let second = outside.path().join("second");
    let taken = netbit_beside(&["backup", second.to_str().unwrap(), "--data-dir", data]).await;
    let warned = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert_eq!(taken.status.code(), Some(1), "{warned}");
    assert!(warned.contains(&format!("the Git LFS object {id} of repository 1")), "{warned}");
}
