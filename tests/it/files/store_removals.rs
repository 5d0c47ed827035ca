//! Removals from an S3-compatible store, beside puts of the same bytes and other servers.

use netbit::blobs::BlobStore;
use netbit::core::config::Config;
use netbit::core::limits::Limits;
use netbit::domain::file::BlobHash;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::files_of;
use super::store::{blocking, bytes, restarted, rows, server_with, set_up, store};
use crate::harness::bucket::{Bucket, Fault};
use crate::harness::files::FileClient;
use crate::harness::{PASSWORD, Process, TestServer, config, s3, until};

const MIB: usize = 1024 * 1024;

/// A store may execute a request long after its client gave up.
#[actix_web::test]
async fn late_removal_never_meets_bytes_that_were_put_later() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (_, message) = files.share(chat, "one", b"the same bytes").await;
    bucket.fail(Fault::LateRemovals);
    alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await;
    until(async || bucket.late_removals() > 0).await;
    let (again, _) = files.share(chat, "two", b"the same bytes").await;
    bucket.fail(Fault::None);
    bucket.remove_late();
    assert_eq!(files.get(again).await.bytes, b"the same bytes");
    // Also after the next search, and of a server that knows nothing of the removal.
    let (key, asked) = (bucket.blobs().remove(0), bucket.requests().len());
    let server = restarted(server, &bucket).await;
    let alice = server.login("alice").await;
    until(async || bucket.lists_of_part(&key, asked) >= 1).await;
    assert_eq!(files_of(&server, &alice).get(again).await.bytes, b"the same bytes");
    server.stop().await;
}

#[actix_web::test]
async fn removal_finds_nothing_that_is_being_put() {
    let (bucket, directory) = (Bucket::start(), tempfile::tempdir().unwrap());
    let store = store(directory.path(), &bucket, None);
    let source = directory.path().join("staged");
    std::fs::write(&source, b"hello").unwrap();
    let hash = BlobHash(Sha256::digest(b"hello").into());
    blocking(move || {
        let first = store.prepare(&hash, &source).unwrap();
        assert!(store.find(&hash).unwrap().is_empty() && !first.existed);
        store.put(&hash, &source, &first).unwrap();
        let second = store.prepare(&hash, &source).unwrap();
        assert!(second.existed);
        drop(first);
        let found = store.find(&hash).unwrap();
        assert_eq!(bucket.blobs().len(), 2);
        // A download goes on when another object has replaced the one that it reads.
        for lost in [0, 1] {
            let open = store.open(&hash).unwrap().unwrap();
            let name = bucket.blobs().remove(lost);
            bucket.lose(name.rsplit('/').next().unwrap());
            assert_eq!(open.read_at(0, 5).unwrap(), b"hello");
            bucket.add(&name, b"hello");
        }
        // The row of the second is committed after the first was found.
        drop(second);
        store.purge(&found).unwrap();
        assert_eq!(bucket.blobs().len(), 1);
        assert_eq!(store.open(&hash).unwrap().unwrap().read_at(0, 5).unwrap(), b"hello");
        store.purge(&store.find(&hash).unwrap()).unwrap();
        assert!(bucket.blobs().is_empty() && store.open(&hash).unwrap().is_none());
    })
    .await;
}

#[actix_web::test]
async fn replaced_objects_go_after_their_time() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let large = bytes(3 * MIB);
    let (one, _) = files.share(chat, "one", &large).await;
    let (two, _) = files.share(chat, "two", &large).await;
    assert_eq!(bucket.blobs().len(), 2, "each put writes an object of its own");
    // An object that is younger than the limit stays: the bucket is of 2026-01-01.
    let endpoint = bucket.endpoint.clone();
    let server = server.restart(move |config| {
        set_up(config, &endpoint);
        config.limits.files_s3_replaced_seconds = 100 * 365 * 24 * 3_600;
    });
    let server = server.await;
    let asked = bucket.requests().len();
    let key = bucket.blobs().remove(0);
    until(async || bucket.lists_of_part(&key, asked) >= 1).await;
    let alice = server.login("alice").await;
    assert!(files_of(&server, &alice).get(one).await.bytes == large);
    assert_eq!(bucket.blobs().len(), 2);
    let server = restarted(server, &bucket).await;
    until(async || bucket.blobs().len() == 1).await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    assert!(files.get(one).await.bytes == large && files.get(two).await.bytes == large);
    server.stop().await;
}

#[actix_web::test]
async fn server_without_the_key_stores_and_removes_nothing() {
    let bucket = Bucket::start();
    let endpoint = bucket.endpoint.clone();
    let set_up_node = move |config: &mut Config| {
        set_up(config, &endpoint);
        // On PostgreSQL, nodes have names of their own.
        config.cluster.name = "one".to_owned();
    };
    let first = TestServer::with(&set_up_node).await;
    let alice = first.user("alice").await;
    let chat = alice.group(&[]).await;
    let (kept, _) = files_of(&first, &alice).share(chat, "kept", b"the same bytes").await;
    // The first search claims the key.
    until(async || bucket.keys().iter().any(|key| key.ends_with("/owner"))).await;
    let second = TestServer::with(&set_up_node).await;
    let bob = second.user("bob").await;
    let other = bob.group(&[]).await;
    let files = files_of(&second, &bob);
    let new = files.announce(other, "mine", 14).await;
    let refused = files.put(new, b"the same bytes").await;
    assert_eq!((refused.status, bucket.blobs().len()), (503, 1), "{}", refused.json());
    assert_eq!(files_of(&first, &alice).get(kept).await.bytes, b"the same bytes");
    let directory = second.stop_and_keep().await;
    let variables = || {
        let mut variables = s3::variables(&bucket.endpoint, "team/netbit");
        variables.push(("NETBIT_CLUSTER__NAME", "one".to_owned()));
        variables
    };
    let (report, code) = s3::command_on(&directory, &["doctor"], variables()).await;
    assert!(code == Some(1) && report.contains("another server has claimed this key"), "{report}");
    first.stop().await;

    // It replaces the first one.
    let (printed, code) = s3::command_on(&directory, &["files", "claim"], variables()).await;
    assert_eq!(code, Some(0), "{printed}");
    let mut settings = config(directory.path(), Limits::default());
    set_up_node(&mut settings);
    let second = TestServer::run(settings, directory).await;
    let bob = second.login("bob").await;
    let files = files_of(&second, &bob);
    assert_eq!(files.put_part(new, 14, b"", 14).await.status, 200, "the bytes were kept on disk");
    assert_eq!(files.get(new).await.bytes, b"the same bytes");
    let posted = files.post(other, &json!({"files": [new]})).await;
    let message = posted.json()["id"].clone();
    assert_eq!(bob.delete(&format!("/api/chats/{other}/messages/{message}")).await.status, 204);
    // The first server does not exist any more, so no row names its object.
    until(async || rows(&second) == 0 && bucket.blobs().is_empty()).await;
    second.stop().await;
}

/// The removal of an incomplete object failed, or the server ended before it.
#[actix_web::test]
async fn incomplete_object_hides_no_complete_one() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let large = bytes(MIB);
    let (kept, _) = files.share(chat, "kept", &large).await;
    let key = bucket.blobs().remove(0);
    let hash = key.rsplit('/').next().unwrap().split('.').next().unwrap().to_owned();
    bucket.add(&key.replace(&format!("{hash}."), &format!("{hash}.f")), &large[..MIB / 2]);
    assert!(files.get(kept).await.bytes == large);
    let server = restarted(server, &bucket).await;
    // The search removes the incomplete one, although its name is the later one.
    until(async || bucket.blobs() == [key.clone()]).await;
    let alice = server.login("alice").await;
    assert!(files_of(&server, &alice).get(kept).await.bytes == large);
    server.stop().await;
}

/// A bucket that is gone differs from one without objects.
#[actix_web::test]
async fn missing_bucket_differs_from_a_missing_object() {
    let bucket = Bucket::start();
    let server = server_with(&bucket).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (kept, _) = files.share(chat, "kept", b"kept bytes").await;
    bucket.fail(Fault::Refuses(404, "NoSuchBucket"));
    let refused = files.get(kept).await;
    let why = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(refused.status == 503 && why.contains("netbit doctor"), "{why}");
    bucket.fail(Fault::None);
    assert_eq!(files.get(kept).await.bytes, b"kept bytes");
    server.stop().await;
}

/// Calls that get no answer hold threads of the store, and no others, of which there are 512.
#[actix_web::test]
async fn silent_store_stops_no_other_work() {
    let bucket = Bucket::start();
    let endpoint = bucket.endpoint.clone();
    let server = TestServer::with(move |config| {
        set_up(config, &endpoint);
        (config.limits.files_s3_requests, config.limits.files_s3_request_ms) = (2, 20_000);
        config.limits.files_s3_retry_ms = 20_000;
    });
    let server = server.await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (kept, _) = files.share(chat, "kept", b"kept bytes").await;
    bucket.fail(Fault::Silent);
    let waiting = futures_util::future::join_all((0..600).map(|_| files.get(kept)));
    let work = async {
        // Logins, searches and messages need threads.
        for _ in 0..3 {
            server.login("alice").await;
            assert_eq!(alice.say(chat, "hello").await.status, 201);
        }
        bucket.fail(Fault::None);
    };
    let (answers, ()) = futures_util::future::join(waiting, work).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200), "those that waited are served: {statuses:?}");
    server.stop().await;
}

/// The server is killed while a file is sent in parts.
#[actix_web::test]
async fn parts_of_a_killed_server_are_aborted() {
    let (bucket, directory) = (Bucket::start(), tempfile::tempdir().unwrap());
    let mut variables = s3::variables(&bucket.endpoint, "team/netbit");
    variables.push(("NETBIT_LIMITS__FILES_S3_PART_BYTES", "5242880".to_owned()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut server = Process::with(directory.path(), &variables).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let token = server.http.login("alice", PASSWORD).await.unwrap().token;
    let alice = server.http.with_token(&token);
    let chat = alice.create_group("team", &[]).await.unwrap();
    let files = FileClient::new(server.address(), &alice);
    let id = files.announce(chat, "large", 11 * MIB).await;
    bucket.fail(Fault::SilentParts);
    let sending = tokio::task::spawn_local({
        let url = format!("http://{}/api/files/{id}/upload", server.address());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        async move { client.put(url).bearer_auth(token).body(bytes(11 * MIB)).send().await.is_ok() }
    });
    until(async || bucket.requests().iter().any(|request| request.contains("partNumber="))).await;
    server.kill();
    assert!(!sending.await.unwrap());
    assert_eq!(bucket.open_uploads(), 1);
    bucket.fail(Fault::None);
    let mut server = Process::with(directory.path(), &variables).await;
    until(async || bucket.open_uploads() == 0).await;
    server.kill();
}
