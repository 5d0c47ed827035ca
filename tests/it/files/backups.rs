//! Backups of a server whose files are in a bucket that fails.

use std::path::Path;

use netbit::core::config::Config;
use serde_json::Value;

use super::{files_of, messages};
use crate::harness::bucket::{Bucket, Fault};
use crate::harness::files::blobs_on_disk;
use crate::harness::lfs::{LfsClient, oid};
use crate::harness::{TestServer, s3};

const PREFIX: &str = "team/netbit";
/// More than the failures in a row after which a backup tests the store.
const MANY: u8 = 100;

fn set_up(config: &mut Config, endpoint: &str) {
    s3::use_bucket(config, endpoint, PREFIX);
    let limits = &mut config.limits;
    (limits.rates, limits.files_s3_retry_ms, limits.files_s3_retries) = (false, 100, 1);
}

async fn server_with(bucket: &Bucket) -> TestServer {
    let endpoint = bucket.endpoint.clone();
    TestServer::with(move |config| set_up(config, &endpoint)).await
}

/// Runs `netbit` with the bucket; returns its output and its exit code.
async fn netbit(
    directory: &(impl AsRef<Path> + ?Sized),
    bucket: &Bucket,
    arguments: &[&str],
) -> (String, Option<i32>) {
    let mut variables = s3::variables(&bucket.endpoint, PREFIX);
    variables.push(("NETBIT_LIMITS__FILES_S3_RETRY_MS", "100".to_owned()));
    variables.push(("NETBIT_LIMITS__FILES_S3_RETRIES", "1".to_owned()));
    s3::command_on(directory, arguments, variables).await
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn manifest(backup: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(backup.join("manifest.json")).unwrap()).unwrap()
}

#[actix_web::test]
async fn backup_names_the_blobs_that_a_bucket_fails_to_return() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    files.share(chat, "kept", b"kept").await;
    let (spoiled, _) = files.share(chat, "spoiled", b"spoiled").await;
    let (lost, _) = files.share(chat, "lost", b"lost").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let object = lfs.push(b"object").await;
    lfs.push(b"kept object").await;
    let outside = tempfile::tempdir().unwrap();
    bucket.spoil(&oid(b"spoiled"));
    bucket.spoil(&object);
    bucket.lose(&oid(b"lost"));
    let backup = outside.path().join("first");
    let (said, code) = netbit(server.path(), &bucket, &["backup", text(&backup)]).await;
    assert_eq!(code, Some(1), "{said}");
    let incomplete = "INCOMPLETE: the bytes of 1 file in chats and 1 object of Git LFS could not be read";
    assert!(said.contains(incomplete), "{said}");
    assert!(said.contains(&format!("not in this backup: the bytes of file {spoiled} in a chat")), "{said}");
    assert!(said.contains(&format!("not in this backup: the Git LFS object {object} of")), "{said}");
    assert!(said.contains(&format!("the bytes of file {lost} in a chat were missing or damaged")), "{said}");
    assert_eq!(blobs_on_disk(&backup).len(), 2);
    let listed = manifest(&backup);
    assert_eq!((&listed["unread_files"][0], &listed["missing_files"][0]), (&spoiled.into(), &lost.into()));
    assert_eq!((&listed["unread_objects"][0]["oid"], &listed["blobs"]), (&object.into(), &2.into()));
    assert!(!server.path().join("last-backup").exists(), "the bucket may have more");
    let (said, code) = netbit(server.path(), &bucket, &["backup", "--verify", text(&backup)]).await;
    assert!(code == Some(0) && said.contains(incomplete), "{said}");
    let restored = tempfile::tempdir().unwrap();
    let (said, code) = netbit(&restored, &bucket, &["restore", text(&backup)]).await;
    assert!(code == Some(0) && said.contains(incomplete), "{said}");

    bucket.mend();
    let backup = outside.path().join("second");
    let (said, code) = netbit(server.path(), &bucket, &["backup", text(&backup)]).await;
    assert!(code == Some(1) && !said.contains("INCOMPLETE"), "one is lost: {said}");
    assert_eq!(blobs_on_disk(&backup).len(), 4);
    assert!(server.path().join("last-backup").exists());
    server.stop().await;
}

/// A backup needed a bucket that answers, or ended without anything.
#[actix_web::test]
async fn backup_without_the_bucket_has_the_database_and_the_disk() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let mut ids = Vec::new();
    for n in 0..MANY {
        ids.push(files.share(chat, "x", &[n]).await.0);
    }
    // The last one is on disk, as from the time before the bucket.
    let last = oid(&[MANY - 1]);
    let folder = server.path().join("files").join(&last[..2]).join(&last[2..4]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&last), [MANY - 1]).unwrap();
    bucket.lose(&last);
    bucket.fail(Fault::Unavailable);
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup");
    let before = bucket.requests().len();
    let (said, code) = netbit(server.path(), &bucket, &["backup", text(&backup)]).await;
    assert_eq!(code, Some(1), "{said}");
    let count = usize::from(MANY) - 1;
    assert!(
        said.contains(&format!("INCOMPLETE: the bytes of {count} files in chats and 0 objects")),
        "{said}"
    );
    assert!(said.contains(&format!("not in this backup: {} more", count - 20)), "{said}");
    assert_eq!(blobs_on_disk(&backup).len(), 1, "that of the disk");
    let asked: std::collections::BTreeSet<_> = bucket.requests()[before..].iter().cloned().collect();
    assert!(asked.len() < count, "the store is away, and is not asked for each: {}", asked.len());
    server.stop().await;

    let restored = tempfile::tempdir().unwrap();
    let (said, code) = netbit(&restored, &bucket, &["restore", text(&backup)]).await;
    assert!(code == Some(0) && said.contains("INCOMPLETE"), "{said}");
    bucket.fail(Fault::None);
    // With the bucket, the restored server has all bytes.
    let mut config = crate::harness::config(restored.path(), netbit::core::limits::Limits::default());
    set_up(&mut config, &bucket.endpoint);
    let server = TestServer::run(config, restored).await;
    let alice = server.login("alice").await;
    assert_eq!(messages(&alice, chat).await.len(), ids.len());
    let files = files_of(&server, &alice);
    assert_eq!(files.get(ids[0]).await.bytes, [0]);
    assert_eq!(files.get(ids[ids.len() - 1]).await.bytes, [MANY - 1]);
    server.stop().await;
}

#[actix_web::test]
async fn backup_reads_several_blobs_of_a_bucket_at_once() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    for n in 0..MANY {
        files.share(chat, "x", &[n]).await;
    }
    bucket.fail(Fault::Together(8));
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup");
    let (said, code) = netbit(server.path(), &bucket, &["backup", text(&backup)]).await;
    assert_eq!((code, blobs_on_disk(&backup).len()), (Some(0), MANY.into()), "{said}");
    bucket.fail(Fault::None);
    server.stop().await;
}
