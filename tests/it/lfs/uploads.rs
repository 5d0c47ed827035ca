//! Uploads beside others: quotas, lost access, and bytes that are damaged on disk.

use reqwest::Method;
use serde_json::json;

use crate::harness::files::blobs;
use crate::harness::lfs::{LfsClient, RawUpload, incoming, oid, upload_head};
use crate::harness::{TestServer, s3, until};

/// Without a size, the quotas cannot be checked before the bytes are there.
#[actix_web::test]
async fn upload_without_a_size_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let id = oid(b"hello");
    let chunks = |query: &str| {
        format!(
            "PUT /{path}.git/info/lfs/objects/{id}{query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            alice.http.token().unwrap()
        )
    };
    for (query, status) in [("", "HTTP/1.1 411"), ("?size=5", "HTTP/1.1 200")] {
        let mut socket = RawUpload::begin(&server, &chunks(query)).await;
        assert_eq!(socket.status().await, status);
    }
    assert_eq!((blobs(server.path()).len(), incoming(server.path()).len()), (1, 0));
    server.stop().await;
}

/// Each of two uploads fits in the quota alone. The bytes of the first count while it is open.
#[actix_web::test]
async fn uploads_that_race_for_a_quota_do_not_exceed_it() {
    let server = TestServer::with_limits(|limits| limits.lfs_repository_bytes = 3 * 4096).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let (first, second) = (vec![b'a'; 8_000], vec![b'b'; 8_000]);
    let head = upload_head(&alice, &path, &first);
    let mut open = RawUpload::begin(&server, &head).await;
    until(async || incoming(server.path()).len() == 1).await;
    let refused = lfs.send(Method::PUT, &format!("objects/{}", oid(&second)), second.clone()).await;
    let why = refused.json()["message"].as_str().unwrap().to_owned();
    assert_eq!((refused.status, why.contains("uploads in progress")), (413, true), "{why}");
    assert_eq!(incoming(server.path()).len(), 1);
    open.send(&first).await;
    assert_eq!(open.status().await, "HTTP/1.1 200");
    let refused = lfs.send(Method::PUT, &format!("objects/{}", oid(&second)), second.clone()).await;
    assert_eq!(refused.status, 413, "the row counts now");
    assert_eq!((blobs(server.path()).len(), incoming(server.path()).len()), (1, 0));
    server.stop().await;
}

/// An upload that ends early leaves its part of the quota to others.
#[actix_web::test]
async fn upload_that_ends_early_leaves_the_quota() {
    let server = TestServer::with_limits(|limits| limits.lfs_repository_bytes = 3 * 4096).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let (first, second) = (vec![b'a'; 8_000], vec![b'b'; 8_000]);
    let open = RawUpload::begin(&server, &upload_head(&alice, &path, &first)).await;
    until(async || incoming(server.path()).len() == 1).await;
    drop(open);
    let at = format!("objects/{}", oid(&second));
    until(async || lfs.send(Method::PUT, &at, second.clone()).await.status == 200).await;
    server.stop().await;
}

/// A removal holds the lock of the bytes. The quota refuses without waiting for it, and an upload
/// within the quota continues when the lock is free.
#[actix_web::test]
async fn quota_refuses_while_bytes_are_removed() {
    let server = TestServer::with_limits(|limits| limits.lfs_repository_bytes = 2 * 4096).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let lock = std::fs::File::create(server.path().join("files/blobs.lock")).unwrap();
    lock.lock().unwrap();
    let large = vec![b'x'; 9_000];
    let refused = lfs.send(Method::PUT, &format!("objects/{}", oid(&large)), large).await;
    assert_eq!(refused.status, 413);
    let mut open = RawUpload::begin(&server, &upload_head(&alice, &path, b"small")).await;
    open.send(b"small").await;
    until(async || incoming(server.path()).len() == 1).await;
    assert!(blobs(server.path()).is_empty());
    drop(lock);
    assert_eq!(open.status().await, "HTTP/1.1 200");
    assert_eq!((blobs(server.path()).len(), incoming(server.path()).len()), (1, 0));
    server.stop().await;
}

/// Clients that left freed their places, so that their uploads waited for a removal without a
/// limit.
#[actix_web::test]
async fn uploads_of_clients_that_left_keep_their_places() {
    let server = TestServer::with_limits(|limits| limits.lfs_uploads_per_user = 2).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let lock = std::fs::File::create(server.path().join("files/blobs.lock")).unwrap();
    lock.lock().unwrap();
    let mut open = Vec::new();
    for bytes in [b"one", b"two"] {
        let mut upload = RawUpload::begin(&server, &upload_head(&alice, &path, bytes)).await;
        upload.send(bytes).await;
        open.push(upload);
    }
    let have_arrived = || {
        let lengths = incoming(server.path()).into_iter().map(|path| std::fs::metadata(path).unwrap().len());
        lengths.eq([3, 3])
    };
    until(async || have_arrived()).await;
    let at = format!("objects/{}", oid(b"three"));
    for n in 0..40 {
        assert_eq!(lfs.send(Method::PUT, &at, b"three".to_vec()).await.status, 429, "request {n}");
        if n == 20 {
            open.clear();
        }
    }
    drop(lock);
    until(async || incoming(server.path()).is_empty()).await;
    assert_eq!(blobs(server.path()).len(), 2, "what arrived is stored");
    assert_eq!(lfs.send(Method::PUT, &at, b"three".to_vec()).await.status, 200);
    server.stop().await;
}

/// Sizes that a client announced, and did not send, refused the uploads of all others.
#[actix_web::test]
async fn announced_sizes_do_not_fill_the_disk() {
    const ROOM: u64 = 8 << 30;
    let server = TestServer::start().await;
    let (_, metrics) = server.operations("/metrics").await;
    server.stop().await;
    let free = metrics.lines().find_map(|line| line.strip_prefix("netbit_disk_free_bytes "));
    let free: u64 = free.unwrap().split('.').next().unwrap().parse().unwrap();
    let Some(reserve) = free.checked_sub(ROOM) else {
        println!("SKIPPED: less than 8 GiB are free");
        return;
    };
    let server = TestServer::with_limits(|limits| limits.disk_reserve_bytes = reserve).await;
    let (mallory, alice) = (server.user("mallory").await, server.user("alice").await);
    let (theirs, path) = (mallory.hello_web("private").await, alice.hello_web("private").await);
    let mut open = Vec::new();
    for n in 0..4 {
        let head = format!(
            "PUT /{theirs}.git/info/lfs/objects/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-length: {}\r\n\r\n",
            oid(&[n]),
            mallory.http.token().unwrap(),
            ROOM / 2
        );
        open.push(RawUpload::begin(&server, &head).await);
        until(async || incoming(server.path()).len() == open.len()).await;
    }
    let lfs = LfsClient::of(&server, &path, &alice);
    let sent = lfs.send(Method::PUT, &format!("objects/{}", oid(b"small")), b"small".to_vec()).await;
    assert_eq!(sent.status, 200, "{}", String::from_utf8_lossy(&sent.bytes));
    drop(open);
    server.stop().await;
}

/// An object that a batch names twice, or that is sent again, counts once.
#[actix_web::test]
async fn object_counts_once_in_quotas() {
    let server = TestServer::with_limits(|limits| limits.lfs_repository_bytes = 3 * 4096).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let bytes = vec![b'x'; 8_000];
    let object = json!({"oid": oid(&bytes), "size": 8_000});
    let batch = json!({"operation": "upload", "objects": [object, object]});
    let answer = lfs.post("objects/batch", &batch).await.json();
    for n in 0..2 {
        assert!(answer["objects"][n]["actions"]["upload"].is_object(), "{answer}");
    }
    assert_eq!(lfs.push(&bytes).await, oid(&bytes));
    let mut again = RawUpload::begin(&server, &upload_head(&alice, &path, &bytes)).await;
    until(async || incoming(server.path()).len() == 1).await;
    assert_eq!(lfs.push(b"another").await, oid(b"another"), "beside an object that is sent again");
    again.send(&bytes).await;
    assert_eq!(again.status().await, "HTTP/1.1 200");
    server.stop().await;
}

#[actix_web::test]
async fn upload_ends_when_its_user_may_not_push_any_more() {
    let server = TestServer::with_limits(|limits| limits.git_access_ms = 50).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "writer").await;
    let mut open = RawUpload::begin(&server, &upload_head(&bob, &path, b"0123456789")).await;
    open.send(b"01234").await;
    until(async || incoming(server.path()).len() == 1).await;
    assert_eq!(alice.delete("/api/projects/alice/hello/members/bob").await.status, 204);
    assert_eq!(open.status().await, "HTTP/1.1 403");
    until(async || incoming(server.path()).is_empty()).await;
    assert!(blobs(server.path()).is_empty());
    server.stop().await;
}

/// The row is there, and the disk has lost a part of the bytes, or has others. A push repairs both:
/// the bytes that arrived replace the blob.
#[actix_web::test]
async fn damaged_bytes_are_repaired_by_a_push() {
    if s3::skips("it damages the file of a blob") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let id = lfs.push(b"bytes").await;
    let blob = blobs(server.path()).remove(0);
    std::fs::write(&blob, "byt").unwrap();
    let lost = lfs.asked("download", &id, 5).await;
    assert!(lost["error"]["message"].as_str().unwrap().contains("git lfs push --all"), "{lost}");
    assert_eq!(lfs.get(&format!("objects/{id}")).await.status, 404);
    assert_eq!(lfs.post("objects/verify", &json!({"oid": id, "size": 5})).await.status, 404);
    lfs.push(b"bytes").await;
    assert_eq!(lfs.pull(&id, 5).await.bytes, b"bytes");

    // The size is right, so a batch does not request the bytes. Bytes that arrive replace them.
    std::fs::write(&blob, "BYTES").unwrap();
    assert!(lfs.asked("upload", &id, 5).await.get("actions").is_none());
    assert_eq!(lfs.send(Method::PUT, &format!("objects/{id}"), b"bytes".into()).await.status, 200);
    assert_eq!(std::fs::read(&blob).unwrap(), b"bytes");
    // As the doctor advises.
    std::fs::remove_file(&blob).unwrap();
    lfs.push(b"bytes").await;
    assert_eq!(lfs.pull(&id, 5).await.bytes, b"bytes");
    assert_eq!((blobs(server.path()).len(), incoming(server.path()).len()), (1, 0));
    server.stop().await;
}
