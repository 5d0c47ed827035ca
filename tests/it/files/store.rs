//! Files in an S3-compatible store, with faults on command.

use netbit::blobs::{BlobStore, DiskBlobs, S3Blobs, StoreMetrics};
use netbit::core::config::Config;
use netbit::core::limits::Limits;
use netbit::domain::file::BlobHash;
use serde_json::json;

use super::{files_of, messages};
use crate::harness::bucket::{Bucket, Fault};
use crate::harness::files::{PNG, staged, thumbnails};
use crate::harness::lfs::incoming;
use crate::harness::pictures::{picture, written};
use crate::harness::{TestServer, config, database, s3, soon, until};

const MIB: usize = 1024 * 1024;

pub(super) fn limits(limits: &mut Limits) {
    (limits.maintenance_ms, limits.trim_ms) = (50, 50);
    (limits.rates, limits.git_access_ms) = (false, 50);
    limits.files_s3_part_bytes = 5 * 1024 * 1024;
    (limits.files_s3_retry_ms, limits.files_s3_put_retry_ms) = (200, 200);
}

pub(super) fn set_up(config: &mut Config, endpoint: &str) {
    s3::use_bucket(config, endpoint, "team/netbit");
    limits(&mut config.limits);
}

pub(super) async fn server_with(bucket: &Bucket) -> TestServer {
    let endpoint = bucket.endpoint.clone();
    TestServer::with(move |config| set_up(config, &endpoint)).await
}

pub(super) async fn restarted(server: TestServer, bucket: &Bucket) -> TestServer {
    let endpoint = bucket.endpoint.clone();
    server.restart(move |config| set_up(config, &endpoint)).await
}

pub(super) fn rows(server: &TestServer) -> i64 {
    database::reader(server.path()).integer("SELECT count(*) AS value FROM files")
}

pub(super) fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[actix_web::test]
async fn files_of_all_sizes_are_stored_read_and_removed() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let files = files_of(&server, &alice);
    let large = bytes(11 * MIB + 1);
    let (small, _) = files.share(chat, "small.png", PNG).await;
    let (file, message) = files.share(chat, "large", &large).await;
    let (empty, _) = files.share(chat, "empty", b"").await;
    let parts = bucket.requests().iter().filter(|request| request.contains("partNumber=")).count();
    assert_eq!((parts, bucket.open_uploads()), (3, 0), "in parts of 5 MiB");
    let keys = bucket.blobs();
    assert_eq!(keys.len(), 3);
    for key in &keys {
        let words: Vec<_> = key.split('/').collect();
        let ["team", "netbit", _, first, second, name] = words[..] else { panic!("{key}") };
        assert_eq!((first, second, name.len()), (&name[..2], &name[2..4], 64 + 1 + 32), "{key}");
    }
    assert_eq!(std::fs::read_dir(server.path().join("files")).unwrap().filter(is_folder_of_blobs).count(), 0);
    assert!(staged(server.path()).is_empty());
    let received = files_of(&server, &bob);
    assert_eq!(received.get(small).await.bytes, PNG);
    assert_eq!(received.get(empty).await.status, 200);
    assert!(received.get(file).await.bytes == large);
    let range = received.get_with(file, &[("range", "bytes=5242870-5242890")]).await;
    assert_eq!((range.status, range.bytes.as_slice()), (206, &large[5_242_870..=5_242_890]));
    alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
    until(async || bucket.blobs().len() == 2).await;
    assert_eq!(received.get(file).await.status, 404);
    // The next start finds the store as it was.
    let server = restarted(server, &bucket).await;
    let bob = server.login("bob").await;
    assert_eq!(files_of(&server, &bob).get(small).await.bytes, PNG);
    server.stop().await;
}

fn is_folder_of_blobs(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().file_name().len() == 2
}

#[actix_web::test]
async fn chats_go_on_while_the_store_is_away_and_nothing_is_lost() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (kept, message) = files.share(chat, "kept", b"kept bytes").await;
    bucket.fail(Fault::Unavailable);
    let server = restarted(server, &bucket).await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    let shown = messages(&alice, chat).await;
    assert_eq!(shown[0]["files"][0]["id"], kept, "chats are read without the store");
    assert_eq!(alice.say(chat, "still here").await.status, 201);
    let refused = files.get(kept).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"), "{}", refused.json());
    let new = files.announce(chat, "new", 9).await;
    let put = files.put(new, b"new bytes").await;
    assert_eq!(put.status, 503, "{}", put.json());
    assert_eq!(files.offset(new).await, 9, "the bytes stay on disk");
    // The rows of deleted files stay until their bytes can be removed.
    alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
    assert_eq!(files.get(kept).await.status, 404, "deleted at once");
    assert_eq!(rows(&server), 2);
    bucket.fail(Fault::None);
    until(async || bucket.blobs().is_empty() && rows(&server) == 1).await;
    let done = files.put_part(new, 9, b"", 9).await;
    assert_eq!((done.status, &done.json()["complete"]), (200, &json!(true)));
    assert_eq!(files.get(new).await.bytes, b"new bytes");
    assert_eq!(bucket.blobs().len(), 1);
    server.stop().await;
}

/// Returns the bytes that arrive, and whether the response is complete.
async fn download(server: &TestServer, token: &str, id: i64) -> (u16, Vec<u8>, bool) {
    let url = format!("http://{}/api/files/{id}", server.app.addresses.http);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // The head of the response may not have been sent when its first piece fails.
    let Ok(mut response) = soon(client.get(url).bearer_auth(token).send()).await else {
        return (0, Vec::new(), false);
    };
    let (status, mut received) = (response.status().as_u16(), Vec::new());
    loop {
        match soon(response.chunk()).await {
            Ok(Some(chunk)) => received.extend_from_slice(&chunk),
            Ok(None) => return (status, received, true),
            Err(_) => return (status, received, false),
        }
    }
}

#[actix_web::test]
async fn broken_answers_never_complete_a_download() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let large = bytes(3 * MIB);
    let (file, _) = files.share(chat, "large", &large).await;
    for fault in [Fault::Cut, Fault::Short, Fault::WrongBytes] {
        bucket.fail(fault);
        let (status, received, is_complete) = download(&server, files.token(), file).await;
        assert!(
            !is_complete && received.len() < large.len(),
            "{fault:?}: {status}, {} bytes",
            received.len()
        );
        bucket.fail(Fault::None);
        assert!(files.get(file).await.bytes == large, "after {fault:?}");
    }
    server.stop().await;
}

/// The child gets a copy of the bytes that has no name, and is made only of the right bytes.
#[actix_web::test]
async fn thumbnail_is_made_of_a_picture_in_a_bucket() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let png = written(&picture(600, 300), image::ImageFormat::Png);
    let (file, message) = files.share(chat, "x.png", &png).await;
    for fault in [Fault::Unavailable, Fault::WrongBytes] {
        bucket.fail(fault);
        let refused = files.thumbnail(file, 360).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, "5"), "{}", refused.json());
    }
    bucket.fail(Fault::None);
    let made = files.thumbnail(file, 360).await;
    assert_eq!((made.status, made.header("content-type")), (200, "image/jpeg"));
    assert!(incoming(server.path()).is_empty() && thumbnails(server.path()).len() == 1);
    bucket.fail(Fault::Unavailable);
    assert_eq!(files.thumbnail(file, 360).await.bytes, made.bytes, "kept on disk");
    bucket.fail(Fault::None);
    // The search at the start keeps it: the bucket has its file.
    let (key, asked) = (bucket.blobs().remove(0), bucket.requests().len());
    let server = restarted(server, &bucket).await;
    let alice = server.login("alice").await;
    // For replaced objects, and for the pictures.
    until(async || bucket.lists_of_part(&key, asked) >= 2).await;
    bucket.fail(Fault::Unavailable);
    assert_eq!(files_of(&server, &alice).thumbnail(file, 360).await.bytes, made.bytes);
    bucket.fail(Fault::None);
    alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
    until(async || bucket.blobs().is_empty() && thumbnails(server.path()).is_empty()).await;
    server.stop().await;
}

#[actix_web::test]
async fn upload_is_complete_only_when_the_store_has_all_bytes() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    for size in [9, 6 * MIB] {
        bucket.fail(Fault::Forgetful);
        let new = files.announce(chat, "new", size).await;
        assert_eq!(files.put(new, &bytes(size)).await.status, 503, "{size}");
        assert_eq!(files.get(new).await.status, 409, "not complete");
        bucket.fail(Fault::None);
        assert_eq!(files.put_part(new, size, b"", size).await.status, 200);
        assert!(files.get(new).await.bytes == bytes(size));
    }
    assert_eq!(bucket.open_uploads(), 0);
    server.stop().await;
}

#[actix_web::test]
async fn download_from_a_silent_store_ends_with_the_access() {
    let bucket = Bucket::start();
    let endpoint = bucket.endpoint.clone();
    let server = TestServer::with(move |config| {
        set_up(config, &endpoint);
        config.limits.files_s3_request_ms = 600_000;
    });
    let server = server.await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (file, message) = files_of(&server, &alice).share(chat, "large", &bytes(24 * MIB)).await;
    let url = format!("http://{}/api/files/{file}", server.app.addresses.http);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = files_of(&server, &bob).token().to_owned();
    // The first piece arrives; the store is silent before the last.
    let mut response = soon(client.get(url).bearer_auth(token).send()).await.unwrap();
    let first = soon(response.chunk()).await.unwrap().unwrap();
    bucket.fail(Fault::Silent);
    alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
    let mut received = first.len();
    let is_complete = loop {
        match soon(response.chunk()).await {
            Ok(Some(chunk)) => received += chunk.len(),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    assert!(!is_complete && received < 24 * MIB, "{received}");
    bucket.fail(Fault::None);
    server.stop().await;
}

/// Runs work that blocks on its own runtime.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    soon(tokio::task::spawn_blocking(work)).await.unwrap()
}

pub(super) fn store(directory: &std::path::Path, bucket: &Bucket, node: Option<&str>) -> S3Blobs {
    let mut config = Config::default();
    s3::use_bucket(&mut config, &bucket.endpoint, "team/netbit");
    limits(&mut config.limits);
    config.limits.files_s3_listed = 2_500;
    let disk = DiskBlobs::open(directory).unwrap();
    let settings = (&config.files.s3, &config.limits);
    S3Blobs::new(disk, node.map(Into::into), settings, StoreMetrics::default()).unwrap()
}

#[actix_web::test]
async fn list_without_an_end_is_an_error() {
    let (bucket, directory) = (Bucket::start(), tempfile::tempdir().unwrap());
    let store = store(directory.path(), &bucket, None);
    bucket.fail(Fault::Endless);
    let failed = blocking(move || store.list(7).unwrap_err().to_string()).await;
    assert!(failed.contains("limits.files_s3_listed"), "{failed}");
    assert_eq!(bucket.requests().len(), 3, "pages of 1,000");
}

#[actix_web::test]
async fn node_reads_the_blobs_of_all_and_removes_its_own() {
    let (bucket, directory) = (Bucket::start(), tempfile::tempdir().unwrap());
    let folders = ["a", "b"].map(|name| directory.path().join(name));
    folders.iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    let [a, b] = [("a", 0), ("b", 1)].map(|(name, n)| store(&folders[n], &bucket, Some(name)));
    let source = directory.path().join("staged");
    std::fs::write(&source, b"hello").unwrap();
    let hash = BlobHash::parse("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824").unwrap();
    let keys = bucket.clone();
    blocking(move || {
        a.put_now(&hash, &source).unwrap();
        assert!(a.put_now(&BlobHash([1; 32]), &source).is_err(), "bytes with another hash");
        let node = |name: &str| Some(netbit::domain::node::NodeName::from(name));
        assert!(b.open(&hash).unwrap().is_none());
        let read = b.open_of(node("a").as_ref(), &hash).unwrap().unwrap();
        assert_eq!((read.size().unwrap(), read.read_at(1, 3).unwrap()), (5, b"ell".to_vec()));
        assert!(read.read_at(4, 2).is_err(), "beyond the end");
        let remove = |store: &S3Blobs| store.purge(&store.find(&hash).unwrap()).unwrap();
        remove(&b);
        assert!(a.stored_at(&hash).unwrap().is_some(), "the blob of another node stays");
        // The node a is replaced by b.
        assert!(!b.adopt(node("c").as_ref(), &hash).unwrap());
        assert!(b.adopt(node("a").as_ref(), &hash).unwrap());
        assert_eq!(b.list(hash.0[0]).unwrap(), [hash]);
        remove(&a);
        assert_eq!(b.open(&hash).unwrap().unwrap().read_at(0, 5).unwrap(), b"hello");
        assert_eq!(keys.blobs().len(), 1);
        // The bucket remembers the database: a server on new disks removes nothing at once.
        let since = |store: &S3Blobs, epoch, now| {
            store.belongs_since(epoch, netbit::domain::timestamp::Timestamp(now)).unwrap().0
        };
        assert_eq!((since(&a, 5, 100), since(&a, 5, 200), since(&a, 6, 300)), (100, 100, 300));
    })
    .await;
}

#[actix_web::test]
async fn doctor_names_the_cause_when_the_store_fails() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    files_of(&server, &alice).share(chat, "kept", b"kept bytes").await;
    let directory = server.stop_and_keep().await;
    let doctor = async |endpoint: &str, name: &str| {
        let mut variables = s3::variables(endpoint, "team/netbit");
        variables.push(("NETBIT_FILES__S3__BUCKET", name.to_owned()));
        variables.push(("NETBIT_LIMITS__FILES_S3_RETRY_MS", "100".to_owned()));
        s3::command_on(&directory, &["doctor"], variables).await
    };
    let (report, _) = doctor(&bucket.endpoint, "netbit-test").await;
    assert!(report.contains("ok  the store of files works\n"), "{report}");
    assert!(report.contains("ok  files in chats have their bytes (1 file)\n"), "{report}");
    assert!(bucket.keys().iter().all(|key| !key.contains("probe")), "{:?}", bucket.keys());
    for (fault, sentence) in [
        (Fault::Refuses(403, "RequestTimeTooSkewed"), "synchronise the clock"),
        (Fault::Refuses(403, "InvalidAccessKeyId"), "correct the key"),
        (Fault::Refuses(403, "SignatureDoesNotMatch"), "files.s3.secret_access_key"),
        (Fault::Refuses(403, "AccessDenied"), "the key may not do this"),
        (Fault::WrongBytes, "does not return the bytes that were written"),
    ] {
        bucket.fail(fault);
        let (report, code) = doctor(&bucket.endpoint, "netbit-test").await;
        assert!(report.contains(sentence) && code == Some(1), "{fault:?}: {report}");
        assert!(report.contains("--  files in chats have their bytes: not checked"), "{report}");
    }
    bucket.fail(Fault::None);
    assert!(doctor(&bucket.endpoint, "missing").await.0.contains("the bucket does not exist"));
    // Port 1 is one that no test listens on.
    let (report, _) = doctor("http://127.0.0.1:1", "netbit-test").await;
    assert!(report.contains("cannot be reached"), "{report}");
}

#[actix_web::test]
async fn bytes_move_between_the_disk_and_the_bucket() {
    let bucket = Bucket::start();
    let directory = tempfile::tempdir().unwrap();
    // A server on disk, also where all other tests use a bucket.
    let mut on_disk = config(directory.path(), Limits::default());
    on_disk.files = netbit::core::config::Files::default();
    let server = TestServer::run(on_disk.clone(), directory).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (one, _) = files.share(chat, "one", b"one").await;
    let (two, _) = files.share(chat, "two", &bytes(MIB)).await;
    let endpoint = bucket.endpoint.clone();
    let server = server.restart(move |config| s3::use_bucket(config, &endpoint, "team/netbit")).await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    assert_eq!(files.get(one).await.bytes, b"one", "bytes on disk are found");
    let (three, _) = files.share(chat, "three", b"three").await;
    assert_eq!(bucket.blobs().len(), 1);
    let directory = server.stop_and_keep().await;
    let variables = || s3::variables(&bucket.endpoint, "team/netbit");
    let (printed, code) = s3::command_on(&directory, &["files", "move", "--to", "s3"], variables()).await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("the bytes of 2 files were moved to the bucket"), "{printed}");
    assert_eq!((bucket.blobs().len(), on_disk_of(&directory)), (3, 0));
    let (printed, code) = s3::command_on(&directory, &["doctor"], variables()).await;
    assert!(printed.contains("ok  files in chats have their bytes (3 files)"), "{code:?} {printed}");

    // A backup has the bytes, and a restored server needs no bucket.
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("backup");
    let (printed, code) =
        s3::command_on(&directory, &["backup", target.to_str().unwrap()], variables()).await;
    assert_eq!(code, Some(0), "{printed}");
    let copied: Vec<_> = crate::harness::files::blobs_on_disk(&target);
    assert_eq!(copied.len(), 3);

    let (printed, code) = s3::command_on(&directory, &["files", "move", "--to", "disk"], variables()).await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!((bucket.blobs().len(), on_disk_of(&directory)), (3, 3), "{printed}");
    let (printed, _) = s3::command_on(&directory, &["files", "move", "--to", "disk"], variables()).await;
    assert!(printed.contains("those of 3 files were there"), "{printed}");
    bucket.fail(Fault::Unavailable);
    let server = TestServer::run(on_disk, directory).await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    assert!(files.get(two).await.bytes == bytes(MIB) && files.get(three).await.bytes == b"three");
    server.stop().await;
}

fn on_disk_of(directory: &tempfile::TempDir) -> usize {
    crate::harness::files::blobs_on_disk(directory.path()).len()
}
