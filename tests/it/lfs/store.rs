//! Objects in an S3-compatible store, with faults on command.

use netbit::core::config::Config;
use netbit::core::limits::Limits;
use reqwest::Method;
use serde_json::json;

use crate::harness::bucket::{Bucket, Fault};
use crate::harness::files::blobs_on_disk;
use crate::harness::lfs::{LfsClient, RawUpload, incoming, oid, upload_head};
use crate::harness::{TestServer, config, database, s3, soon, until};

const MIB: usize = 1024 * 1024;

fn set_up(config: &mut Config, endpoint: &str) {
    s3::use_bucket(config, endpoint, "team/netbit");
    let limits = &mut config.limits;
    (limits.maintenance_ms, limits.rates) = (50, false);
    (limits.files_s3_retry_ms, limits.files_s3_put_retry_ms) = (200, 200);
    limits.files_s3_part_bytes = 5 * 1024 * 1024;
}

/// Returns a server with a bucket, and alice at her repository.
async fn server_with(bucket: &Bucket) -> (TestServer, LfsClient) {
    let endpoint = bucket.endpoint.clone();
    let server = TestServer::with(move |config| set_up(config, &endpoint)).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    (server, lfs)
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

fn rows(server: &TestServer) -> i64 {
    database::reader(server.path()).integer("SELECT count(*) AS value FROM lfs_objects")
}

#[actix_web::test]
async fn objects_are_stored_read_and_removed_in_a_bucket() {
    let bucket = Bucket::start();
    let (server, lfs) = server_with(&bucket).await;
    let large = bytes(6 * MIB + 1);
    let (small, id) = (lfs.push(b"small").await, lfs.push(&large).await);
    assert_eq!((bucket.blobs().len(), bucket.open_uploads()), (2, 0));
    assert!(blobs_on_disk(server.path()).is_empty() && incoming(server.path()).is_empty());
    assert_eq!(lfs.pull(&small, 5).await.bytes, b"small");
    assert!(lfs.pull(&id, large.len()).await.bytes == large);
    let asked = lfs.asked("download", &id, large.len()).await;
    let link = asked["actions"]["download"]["header"]["Authorization"].as_str().unwrap();
    let headers = [("authorization", link), ("range", "bytes=6291450-")];
    let part = lfs.raw(Method::GET, &lfs.href(&format!("objects/{id}")), &headers, Vec::new()).await;
    assert_eq!((part.status, part.bytes.as_slice()), (206, &large[6_291_450..]));
    assert!(lfs.asked("upload", &id, large.len()).await.get("actions").is_none(), "it is there");

    // The bucket has lost an object: a push sends it again.
    bucket.lose(&small);
    let lost = lfs.asked("download", &small, 5).await;
    assert!(lost["error"]["message"].as_str().unwrap().contains("git lfs push --all"), "{lost}");
    lfs.push(b"small").await;
    assert_eq!(lfs.pull(&small, 5).await.bytes, b"small");

    let alice = server.login("alice").await;
    assert_eq!(alice.delete("/api/projects/alice/hello/repos/web").await.status, 204);
    until(async || bucket.blobs().is_empty() && rows(&server) == 0).await;
    server.stop().await;
}

/// The client waits for 30 s after its last byte, in which gigabytes cannot be sent.
#[actix_web::test]
async fn object_is_sent_to_the_bucket_while_it_arrives() {
    let bucket = Bucket::start();
    let (server, lfs) = server_with(&bucket).await;
    let alice = server.login("alice").await;
    let large = bytes(16 * MIB);
    let parts = || bucket.requests().iter().filter(|request| request.contains("partNumber=")).count();
    let mut upload = RawUpload::begin(&server, &upload_head(&alice, "alice/hello/web", &large)).await;
    upload.send(&large[..11 * MIB]).await;
    until(async || parts() == 2).await;
    assert!(bucket.blobs().is_empty());
    upload.send(&large[11 * MIB..]).await;
    assert_eq!(upload.status().await, "HTTP/1.1 200");
    assert_eq!((parts(), bucket.open_uploads(), bucket.blobs().len()), (4, 0, 1));
    assert!(lfs.pull(&oid(&large), large.len()).await.bytes == large);

    // A client that leaves, and one whose bytes have another hash, leave nothing.
    let other: Vec<_> = large.iter().map(|byte| byte ^ 1).collect();
    let head = upload_head(&alice, "alice/hello/web", &other);
    let mut left = RawUpload::begin(&server, &head).await;
    left.send(&other[..11 * MIB]).await;
    until(async || bucket.open_uploads() == 1).await;
    drop(left);
    until(async || bucket.open_uploads() == 0).await;
    let mut wrong = RawUpload::begin(&server, &head).await;
    wrong.send(&large).await;
    assert_eq!(wrong.status().await, "HTTP/1.1 422");
    until(async || bucket.open_uploads() == 0).await;
    assert_eq!((bucket.blobs().len(), rows(&server)), (1, 1));
    let records = || std::fs::read_dir(server.path().join("files/puts")).unwrap().count();
    until(async || records() == 0).await;
    server.stop().await;
}

/// The bucket is asked about many objects at once, within `limits.files_s3_requests`.
#[actix_web::test]
async fn batch_names_the_objects_that_a_bucket_has() {
    let bucket = Bucket::start();
    let endpoint = bucket.endpoint.clone();
    let server = TestServer::with(move |config| {
        set_up(config, &endpoint);
        config.limits.files_s3_requests = 2;
    });
    let server = server.await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let mut ids = Vec::new();
    for n in 0..40_u8 {
        ids.push(lfs.push(&[n]).await);
    }
    bucket.lose(&ids[33]);
    let named: Vec<_> = ids.iter().map(|id| (id.as_str(), 1)).collect();
    let answers = futures_util::future::join_all((0..4).map(|_| lfs.batch("download", &named))).await;
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.json());
        let objects = answer.json()["objects"].as_array().unwrap().clone();
        assert!(objects.iter().map(|object| object["oid"].as_str().unwrap()).eq(&ids), "in order");
        let lost: Vec<_> = (0..40).filter(|n| objects[*n].get("error").is_some()).collect();
        assert_eq!(lost, [33]);
    }
    server.stop().await;
}

#[actix_web::test]
async fn pushes_and_pulls_wait_for_a_store_that_fails() {
    let bucket = Bucket::start();
    let (server, lfs) = server_with(&bucket).await;
    let (known, new) = (lfs.push(&bytes(MIB)).await, oid(b"new"));
    bucket.fail(Fault::Unavailable);
    for refused in [
        lfs.batch("download", &[(&known, MIB)]).await,
        // The client must not send the bytes again because they seem to be missing.
        lfs.batch("upload", &[(&known, MIB)]).await,
        lfs.post("objects/verify", &json!({"oid": known, "size": MIB})).await,
        lfs.get(&format!("objects/{known}")).await,
        lfs.send(Method::PUT, &format!("objects/{new}"), b"new".to_vec()).await,
    ] {
        assert_eq!((refused.status, refused.header("retry-after")), (503, "5"), "{}", refused.json());
        let why = refused.json()["message"].as_str().unwrap().to_owned();
        assert!(why.contains("the store of files"), "{why}");
    }
    assert!(incoming(server.path()).is_empty());
    // The rows of a deleted repository stay until their bytes can go.
    let alice = server.login("alice").await;
    assert_eq!(alice.delete("/api/projects/alice/hello/repos/web").await.status, 204);
    assert_eq!(rows(&server), 1);
    bucket.fail(Fault::None);
    until(async || bucket.blobs().is_empty() && rows(&server) == 0).await;
    server.stop().await;
}

#[actix_web::test]
async fn wrong_bytes_of_a_store_never_complete_an_object() {
    let bucket = Bucket::start();
    let (server, lfs) = server_with(&bucket).await;
    let large = bytes(3 * MIB);
    let id = lfs.push(&large).await;
    let asked = lfs.asked("download", &id, large.len()).await;
    let link = asked["actions"]["download"]["header"]["Authorization"].as_str().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for fault in [Fault::Cut, Fault::WrongBytes] {
        bucket.fail(fault);
        let request = client.get(lfs.href(&format!("objects/{id}"))).header("authorization", link);
        let response = soon(request.send()).await.unwrap();
        assert!(soon(response.bytes()).await.is_err(), "{fault:?}");
        bucket.fail(Fault::None);
        assert!(lfs.pull(&id, large.len()).await.bytes == large, "after {fault:?}");
    }
    // An object that the store does not keep is not one of the repository.
    bucket.fail(Fault::Forgetful);
    let sent = lfs.send(Method::PUT, &format!("objects/{}", oid(b"new bytes")), b"new bytes".to_vec()).await;
    assert_eq!(sent.status, 503, "{}", sent.json());
    bucket.fail(Fault::None);
    assert_eq!(rows(&server), 1);
    lfs.push(b"new bytes").await;
    server.stop().await;
}

#[actix_web::test]
async fn objects_move_between_the_disk_and_the_bucket() {
    let bucket = Bucket::start();
    let directory = tempfile::tempdir().unwrap();
    // A server on disk, also where all other tests use a bucket.
    let mut on_disk = config(directory.path(), Limits::default());
    on_disk.files = netbit::core::config::Files::default();
    let server = TestServer::run(on_disk.clone(), directory).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let first = LfsClient::of(&server, &path, &alice).push(b"first").await;
    let endpoint = bucket.endpoint.clone();
    let server = server.restart(move |config| set_up(config, &endpoint)).await;
    let alice = server.login("alice").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    assert_eq!(lfs.pull(&first, 5).await.bytes, b"first", "bytes on disk are found");
    let second = lfs.push(b"second").await;
    assert_eq!((bucket.blobs().len(), blobs_on_disk(server.path()).len()), (1, 1));
    // Damage on disk is repaired there, which is read first.
    std::fs::write(&blobs_on_disk(server.path())[0], "fir").unwrap();
    lfs.push(b"first").await;
    assert_eq!(lfs.pull(&first, 5).await.bytes, b"first");
    assert_eq!((bucket.blobs().len(), blobs_on_disk(server.path()).len()), (2, 1));
    let directory = server.stop_and_keep().await;
    let variables = || s3::variables(&bucket.endpoint, "team/netbit");
    let (printed, code) = s3::command_on(&directory, &["files", "move", "--to", "s3"], variables()).await;
    assert_eq!((code, blobs_on_disk(directory.path()).len()), (Some(0), 0), "{printed}");
    let (printed, _) = s3::command_on(&directory, &["doctor"], variables()).await;
    assert!(printed.contains("ok  objects of Git LFS have their bytes (2 objects)"), "{printed}");

    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("backup");
    let (printed, code) =
        s3::command_on(&directory, &["backup", target.to_str().unwrap()], variables()).await;
    assert_eq!((code, blobs_on_disk(&target).len()), (Some(0), 2), "{printed}");

    let (printed, code) = s3::command_on(&directory, &["files", "move", "--to", "disk"], variables()).await;
    assert_eq!((code, blobs_on_disk(directory.path()).len()), (Some(0), 2), "{printed}");
    bucket.fail(Fault::Unavailable);
    let mut impatient = variables();
    impatient.push(("NETBIT_LIMITS__FILES_S3_RETRY_MS", "200".to_owned()));
    let (printed, code) = s3::command_on(&directory, &["doctor"], impatient).await;
    assert!(code == Some(1), "{printed}");
    assert!(printed.contains("--  objects of Git LFS have their bytes: not checked"), "{printed}");
    let server = TestServer::run(on_disk, directory).await;
    let alice = server.login("alice").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    for (id, bytes) in [(&first, &b"first"[..]), (&second, b"second")] {
        assert_eq!(lfs.pull(id, bytes.len()).await.bytes, bytes);
    }
    server.stop().await;
}
