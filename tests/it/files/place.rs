//! The record of where the files of a data directory are, and moves between the disk and a bucket.

use netbit::app::{RunningApp, StartError};
use netbit::core::config::{Config, Files};
use netbit::core::data_dir::DataDirError;
use netbit::core::limits::Limits;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::files_of;
use crate::harness::bucket::Bucket;
use crate::harness::files::{blobs_on_disk, staged};
use crate::harness::lfs::{incoming, oid};
use crate::harness::{PATIENCE, TestServer, config, database, postgres, s3};

const PREFIX: &str = "team/netbit";

/// Returns the configuration of a server on disk, also where all other tests use a bucket.
fn on_disk(directory: &TempDir) -> Config {
    let mut config = config(directory.path(), Limits::default());
    config.files = Files::default();
    config.limits.rates = false;
    config
}

fn in_bucket(directory: &TempDir, bucket: &Bucket, prefix: &str) -> Config {
    let mut config = on_disk(directory);
    s3::use_bucket(&mut config, &bucket.endpoint, prefix);
    (config.limits.files_s3_retry_ms, config.limits.files_s3_retries) = (100, 1);
    config
}

/// Returns why a server does not start.
async fn refused(config: Config) -> String {
    let begun = std::time::Instant::now();
    loop {
        match Box::pin(RunningApp::start(config.clone())).await {
            // An aborted stop on a busy machine may still hold the directory.
            Err(StartError::DataDir(DataDirError::InUse(_))) if begun.elapsed() < PATIENCE => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(error) => return error.to_string(),
            Ok(app) => {
                app.shutdown().await;
                panic!("the server starts");
            }
        }
    }
}

fn recorded(directory: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join("files/store")).unwrap()).unwrap()
}

/// Runs `netbit files move`; returns its output and whether it succeeded.
async fn moved(
    directory: &(impl AsRef<std::path::Path> + ?Sized),
    bucket: &Bucket,
    arguments: &[&str],
) -> (String, bool) {
    let mut variables = s3::variables(&bucket.endpoint, PREFIX);
    variables.push(("NETBIT_LIMITS__FILES_S3_RETRY_MS", "100".to_owned()));
    let arguments = [&["files", "move"], arguments].concat();
    let (printed, code) = s3::command_on(directory, &arguments, variables).await;
    (printed, code == Some(0))
}

/// A server that lost its bucket by a mistake in the configuration started, and reported all files
/// as missing.
#[actix_web::test]
async fn server_starts_only_where_its_files_are() {
    let (bucket, directory) = (Bucket::start(), tempfile::tempdir().unwrap());
    let disk = on_disk(&directory);
    let server = TestServer::run(disk.clone(), directory).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (first, _) = files_of(&server, &alice).share(chat, "first", b"first").await;
    assert_eq!(recorded(server.path()), json!({"version": 1, "store": "disk"}));
    let directory = server.stop_and_keep().await;
    // As an earlier version left it, or a restored backup.
    std::fs::remove_file(directory.path().join("files/store")).unwrap();

    let right = in_bucket(&directory, &bucket, PREFIX);
    let server = TestServer::run(right.clone(), directory).await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    assert_eq!(files.get(first).await.bytes, b"first", "bytes on disk are read");
    let (second, _) = files.share(chat, "second", b"second").await;
    let directory = server.stop_and_keep().await;
    let record = recorded(directory.path());
    assert_eq!((&record["bucket"], &record["prefix"]), (&json!("netbit-test"), &json!(PREFIX)));
    assert!(bucket.endpoint.ends_with(record["host"].as_str().unwrap()), "{record}");

    let why = refused(disk.clone()).await;
    assert!(why.contains("netbit files move --to disk while the server is stopped"), "{why}");
    for wrong in [in_bucket(&directory, &bucket, "other"), in_bucket(&directory, &Bucket::start(), PREFIX), {
        let mut config = right.clone();
        config.files.s3.bucket = "other".to_owned();
        config
    }] {
        let why = refused(wrong).await;
        assert!(why.contains("use the earlier configuration"), "{why}");
    }
    assert_eq!(recorded(directory.path()), record);
    let wrong = || vec![("NETBIT_FILES__STORE", "disk".to_owned())];
    let (report, code) = s3::command_on(&directory, &["doctor"], wrong()).await;
    assert!(code == Some(1) && report.contains("BAD files are in the configured store"), "{report}");
    let target = directory.path().join("backup");
    let (said, code) = s3::command_on(&directory, &["backup", target.to_str().unwrap()], wrong()).await;
    assert!(code == Some(1) && said.contains("set files.store = \"s3\" again"), "{said}");
    assert!(!target.exists());

    let server = TestServer::run(right, directory).await;
    let alice = server.login("alice").await;
    assert_eq!(files_of(&server, &alice).get(second).await.bytes, b"second");
    server.stop().await;
}

#[actix_web::test]
async fn move_to_a_bucket_takes_no_files_from_a_server_on_disk() {
    let (bucket, directory) = (Bucket::start(), tempfile::tempdir().unwrap());
    let disk = on_disk(&directory);
    let server = TestServer::run(disk.clone(), directory).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (file, _) = files.share(chat, "x", b"the bytes").await;
    let (said, is_done) = moved(server.path(), &bucket, &["--to", "s3"]).await;
    assert!(!is_done && said.contains("a server uses") && said.contains("would lose them"), "{said}");
    assert_eq!((bucket.blobs().len(), blobs_on_disk(server.path()).len()), (0, 1));
    assert_eq!(files.get(file).await.bytes, b"the bytes");

    // A server that reads the bucket loses nothing.
    let directory = server.stop_and_keep().await;
    let server = TestServer::run(in_bucket(&directory, &bucket, PREFIX), directory).await;
    let (said, is_done) = moved(server.path(), &bucket, &["--to", "s3"]).await;
    assert!(is_done, "{said}");
    assert_eq!((bucket.blobs().len(), blobs_on_disk(server.path()).len()), (1, 0));
    let alice = server.login("alice").await;
    assert_eq!(files_of(&server, &alice).get(file).await.bytes, b"the bytes");

    // Without a server, the move itself records the bucket, before bytes leave the disk.
    let directory = server.stop_and_keep().await;
    let (said, is_done) = moved(&directory, &bucket, &["--to", "disk"]).await;
    assert!(is_done && recorded(directory.path())["store"] == "disk", "{said}");
    bucket.fail(crate::harness::bucket::Fault::Unavailable);
    let (said, is_done) = moved(&directory, &bucket, &["--to", "s3"]).await;
    assert!(!is_done && blobs_on_disk(directory.path()).len() == 1, "{said}");
    let why = refused(disk).await;
    assert!(why.contains("files.store is \"disk\""), "{why}");
}

#[actix_web::test]
async fn move_to_the_disk_ends_when_the_server_is_stopped() {
    let (bucket, directory) = (Bucket::start(), tempfile::tempdir().unwrap());
    let (disk, in_s3) = (on_disk(&directory), in_bucket(&directory, &bucket, PREFIX));
    let server = TestServer::run(in_s3, directory).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (one, _) = files.share(chat, "one", b"one").await;
    let (said, is_done) = moved(server.path(), &bucket, &["--to", "disk"]).await;
    assert!(is_done && said.contains("the running server still stores new files in the bucket"), "{said}");
    assert_eq!(blobs_on_disk(server.path()).len(), 1);
    let (two, _) = files.share(chat, "two", b"two").await;
    let directory = server.stop_and_keep().await;
    assert!(refused(disk.clone()).await.contains("netbit files move"), "the last file is in the bucket");

    let (said, is_done) = moved(&directory, &bucket, &["--to", "disk"]).await;
    assert!(is_done && said.contains("the bytes of 1 file were moved"), "{said}");
    assert!(said.contains("those of 1 file were there"), "{said}");
    assert_eq!(recorded(directory.path())["store"], "disk");
    assert!(incoming(directory.path()).is_empty() && staged(directory.path()).is_empty());
    bucket.fail(crate::harness::bucket::Fault::Unavailable);
    let server = TestServer::run(disk, directory).await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    assert_eq!((files.get(one).await.bytes, files.get(two).await.bytes), (b"one".to_vec(), b"two".to_vec()));
    server.stop().await;
}

/// A copy on disk with the right size and wrong bytes was counted as present.
#[actix_web::test]
async fn move_to_the_disk_names_lost_bytes_and_replaces_damaged_ones() {
    let (bucket, directory) = (Bucket::start(), tempfile::tempdir().unwrap());
    let disk = on_disk(&directory);
    let server = TestServer::run(in_bucket(&directory, &bucket, PREFIX), directory).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (kept, _) = files.share(chat, "kept", b"kept bytes").await;
    for lost in [&b"lost"[..], b"spoiled"] {
        files.share(chat, "x", lost).await;
    }
    let directory = server.stop_and_keep().await;
    moved(&directory, &bucket, &["--to", "disk"]).await;
    let path = |bytes: &[u8]| {
        let name = oid(bytes);
        let found = blobs_on_disk(directory.path()).into_iter().find(|path| path.ends_with(&name));
        found.unwrap_or_default()
    };
    std::fs::write(path(b"kept bytes"), b"kept bytez").unwrap();
    for lost in [&b"lost"[..], b"spoiled"] {
        std::fs::remove_file(path(lost)).unwrap();
    }
    // As if the server had used the bucket since.
    std::fs::remove_file(directory.path().join("files/store")).unwrap();
    let server = TestServer::run(in_bucket(&directory, &bucket, PREFIX), directory).await;
    let directory = server.stop_and_keep().await;
    bucket.lose(&oid(b"lost"));
    bucket.spoil(&oid(b"spoiled"));
    let (said, is_done) = moved(&directory, &bucket, &["--to", "disk"]).await;
    assert!(!is_done && said.contains("--accept-missing"), "{said}");
    assert!(said.contains(&format!("the bytes {} were not moved: they are missing", oid(b"lost"))), "{said}");
    assert!(said.contains(&format!("the bytes {} were not moved: the store", oid(b"spoiled"))), "{said}");
    assert!(said.contains("the bytes of 1 file were moved"), "the damaged one: {said}");
    assert_eq!(recorded(directory.path())["store"], "s3");
    assert!(refused(disk.clone()).await.contains("netbit files move"));

    let (said, is_done) = moved(&directory, &bucket, &["--to", "s3", "--accept-missing"]).await;
    assert!(!is_done && said.contains("--accept-missing is for --to disk"), "{said}");
    let (said, is_done) = moved(&directory, &bucket, &["--to", "disk", "--accept-missing"]).await;
    assert!(is_done && recorded(directory.path())["store"] == "disk", "{said}");
    let server = TestServer::run(disk, directory).await;
    let alice = server.login("alice").await;
    assert_eq!(files_of(&server, &alice).get(kept).await.bytes, b"kept bytes");
    server.stop().await;
}

#[actix_web::test]
async fn move_to_the_disk_stops_before_the_disk_is_full() {
    let (bucket, directory) = (Bucket::start(), tempfile::tempdir().unwrap());
    let server = TestServer::run(in_bucket(&directory, &bucket, PREFIX), directory).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    files_of(&server, &alice).share(chat, "x", b"the bytes").await;
    let directory = server.stop_and_keep().await;
    // Larger than any disk.
    database::writer(directory.path()).execute(&format!("UPDATE files SET size = {}", 1_i64 << 60));
    let (said, is_done) = moved(&directory, &bucket, &["--to", "disk"]).await;
    assert!(!is_done && said.contains("is full, or nearly (limits.disk_reserve_bytes)"), "{said}");
    assert_eq!((blobs_on_disk(directory.path()).len(), bucket.blobs().len()), (0, 1));
    assert_eq!(recorded(directory.path())["store"], "s3");
}

/// The bytes of a node without a name went below the key of a server without nodes.
#[actix_web::test]
async fn move_needs_the_name_of_the_node() {
    let (bucket, directory) = (Bucket::start(), tempfile::tempdir().unwrap());
    let server = TestServer::run(on_disk(&directory), directory).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    files_of(&server, &alice).share(chat, "x", b"the bytes").await;
    let directory = server.stop_and_keep().await;
    let node = if postgres::is_used() {
        let name = directory.path().join("node.name");
        let node = std::fs::read_to_string(&name).unwrap();
        std::fs::remove_file(&name).unwrap();
        let (said, is_done) = moved(&directory, &bucket, &["--to", "s3"]).await;
        assert!(!is_done && said.contains("has no name of a node yet"), "{said}");
        assert!(bucket.keys().is_empty() && blobs_on_disk(directory.path()).len() == 1);
        std::fs::write(&name, &node).unwrap();
        node.trim().to_owned()
    } else {
        "local".to_owned()
    };
    let (said, is_done) = moved(&directory, &bucket, &["--to", "s3"]).await;
    assert!(is_done, "{said}");
    assert!(bucket.blobs()[0].starts_with(&format!("{PREFIX}/{node}/")), "{:?}", bucket.blobs());
}
