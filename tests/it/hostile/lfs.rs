//! Attacks on the routes of Git LFS.

use reqwest::Method;
use serde_json::json;

use crate::harness::files::blobs;
use crate::harness::lfs::{LfsClient, RawUpload, incoming, oid, upload_head};
use crate::harness::{TestServer, until};

/// Mallory knows the hash of a file in a private repository, from a screenshot or a log. No request
/// with the hash gives her the bytes, or lets her repository have them without sending them.
#[actix_web::test]
async fn known_hash_opens_no_object_of_another_repository() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
    let path = alice.hello_web("private").await;
    let secret = b"the secret bytes of alice";
    let id = LfsClient::of(&server, &path, &alice).push(secret).await;
    let own = mallory.hello_web("private").await;
    let lfs = LfsClient::of(&server, &own, &mallory);
    let foreign = LfsClient::of(&server, &path, &mallory);
    assert_eq!(foreign.get(&format!("objects/{id}")).await.status, 404);
    assert_eq!(lfs.get(&format!("objects/{id}")).await.status, 404);
    assert_eq!(lfs.asked("download", &id, secret.len()).await["error"]["code"], 404);
    let verified = json!({"oid": id, "size": secret.len()});
    assert_eq!(lfs.post("objects/verify", &verified).await.status, 404);
    // An upload asks for the bytes, although the server has them.
    let asked = lfs.asked("upload", &id, secret.len()).await;
    let upload = &asked["actions"]["upload"];
    assert!(upload["href"].is_string(), "{asked}");
    let guessed = lfs.follow(Method::PUT, upload, vec![b'x'; secret.len()]).await;
    assert_eq!(guessed.status, 422);
    assert_eq!(lfs.follow(Method::PUT, upload, Vec::new()).await.status, 422);
    assert_eq!(lfs.get(&format!("objects/{id}")).await.status, 404, "still");
    // A user with the bytes may have the object, and the blob is shared.
    lfs.push(secret).await;
    assert_eq!((lfs.pull(&id, secret.len()).await.bytes, blobs(server.path()).len()), (secret.to_vec(), 1));
    server.stop().await;
}

/// Mallory sends batches of 100,000 objects, and bodies of megabytes. They are refused by their
/// size, before they are read.
#[actix_web::test]
async fn huge_batches_are_refused() {
    let server = TestServer::start().await;
    let mallory = server.user("mallory").await;
    let path = mallory.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &mallory);
    let ids: Vec<String> = (0..100_000_u32).map(|n| format!("{n:064x}")).collect();
    let objects = |count: usize| ids[..count].iter().map(|id| (id.as_str(), 1)).collect::<Vec<_>>();
    let refused = lfs.batch("upload", &objects(100_000)).await;
    assert_eq!(refused.status, 413);
    let refused = lfs.batch("upload", &objects(1_001)).await;
    assert_eq!(refused.status, 413);
    assert!(refused.json()["message"].as_str().unwrap().contains("limits.lfs_batch_objects"));
    let accepted = lfs.batch("upload", &objects(1_000)).await;
    assert_eq!((accepted.status, accepted.json()["objects"].as_array().unwrap().len()), (200, 1_000));
    let deep = format!("{{\"operation\":{}", "[".repeat(300_000)).into_bytes();
    assert_eq!(lfs.send(Method::POST, "objects/batch", deep).await.status, 422);
    let huge = vec![b' '; 8 * 1024 * 1024];
    assert_eq!(lfs.send(Method::POST, "locks", huge).await.status, 413);
    server.stop().await;
}

/// Mallory begins uploads and leaves, or sends more than announced. Nothing of them stays.
#[actix_web::test]
async fn uploads_that_end_early_or_late_leave_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = TestServer::start().await;
    let mallory = server.user("mallory").await;
    let path = mallory.hello_web("private").await;
    let (id, token) = (oid(b"0123456789"), mallory.http.token().unwrap().to_owned());
    let head = |more: &str| {
        format!(
            "PUT /{path}.git/info/lfs/objects/{id}?size=10 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{more}\r\n\r\n"
        )
    };
    let connect = async |request: &[u8]| {
        let mut socket = tokio::net::TcpStream::connect(server.app.addresses.http).await.unwrap();
        socket.write_all(request).await.unwrap();
        socket
    };
    let half = connect(&[head("content-length: 10").as_bytes(), b"01234"].concat()).await;
    until(async || incoming(server.path()).len() == 1).await;
    drop(half);
    until(async || incoming(server.path()).is_empty()).await;
    let chunked = [head("transfer-encoding: chunked").as_bytes(), b"b\r\n0123456789x\r\n0\r\n\r\n"].concat();
    let mut longer = connect(&chunked).await;
    let mut answer = vec![0; 12];
    longer.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
    let mut other = connect(head("content-length: 11").as_bytes()).await;
    other.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 422");
    until(async || incoming(server.path()).is_empty() && blobs(server.path()).is_empty()).await;
    server.stop().await;
}

/// Mallory holds uploads open without sending. A user has a bounded number of them, and each ends.
#[actix_web::test]
async fn uploads_that_wait_are_bounded_and_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    for idle_ms in [300, 30_000] {
        let server = TestServer::with_limits(|limits| {
            (limits.lfs_uploads_per_user, limits.upload_idle_ms) = (1, idle_ms);
        })
        .await;
        let mallory = server.user("mallory").await;
        let path = mallory.hello_web("private").await;
        let (lfs, id) = (LfsClient::of(&server, &path, &mallory), oid(b"0123456789"));
        let head = format!(
            "PUT /{path}.git/info/lfs/objects/{id} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-length: 10\r\n\r\n01234",
            mallory.http.token().unwrap()
        );
        let mut half = tokio::net::TcpStream::connect(server.app.addresses.http).await.unwrap();
        half.write_all(head.as_bytes()).await.unwrap();
        if idle_ms == 300 {
            let mut status = vec![0; 12];
            crate::harness::soon(half.read_exact(&mut status)).await.unwrap();
            assert_eq!(status, b"HTTP/1.1 400");
        } else {
            until(async || incoming(server.path()).len() == 1).await;
            let refused = lfs.send(Method::PUT, &format!("objects/{}", oid(b"x")), b"x".into()).await;
            assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
            assert!(refused.json()["message"].as_str().unwrap().contains("limits.lfs_uploads_per_user"));
            drop(half);
        }
        until(async || incoming(server.path()).is_empty()).await;
        until(async || {
            let sent = lfs.send(Method::PUT, &format!("objects/{}", oid(b"x")), b"x".into()).await;
            sent.status == 200
        })
        .await;
        server.stop().await;
    }
}

/// Mallory sends a byte from time to time, so that her upload is never idle. It ends all the same.
#[actix_web::test]
async fn upload_that_trickles_ends() {
    let server = TestServer::with_limits(|limits| limits.lfs_upload_grace_ms = 300).await;
    let mallory = server.user("mallory").await;
    let path = mallory.hello_web("private").await;
    let mut open = RawUpload::begin(&server, &upload_head(&mallory, &path, &[b'x'; 1_000_000])).await;
    assert_eq!(open.trickle().await, "HTTP/1.1 400");
    until(async || incoming(server.path()).is_empty()).await;
    assert!(blobs(server.path()).is_empty());
    server.stop().await;
}

/// Mallory has a link of her repository, and tries it on others. The answers do not reveal which
/// repositories exist, and what she may do there.
#[actix_web::test]
async fn link_reveals_nothing_about_other_repositories() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
    let own = mallory.hello_web("private").await;
    alice.hello_web("public").await;
    alice.project("readable", "private").await;
    alice.repository("readable", "web").await;
    alice.member("readable", "mallory", "reader").await;
    alice.project("secret", "private").await;
    alice.repository("secret", "web").await;
    mallory.repository("hello", "other").await;
    let lfs = LfsClient::of(&server, &own, &mallory);
    let (id, address) = (lfs.push(b"x").await, server.app.addresses.http.to_string());
    let link = |asked: &serde_json::Value, action: &str| {
        asked["actions"][action]["header"]["Authorization"].as_str().unwrap().to_owned()
    };
    let read = link(&lfs.asked("download", &id, 1).await, "download");
    let push = link(&lfs.asked("upload", &oid(b"y"), 1).await, "upload");
    for path in
        ["alice/hello/web", "alice/readable/web", "alice/secret/web", "alice/none/web", "mallory/hello/other"]
    {
        let with = |link: &str| LfsClient::with(&address, path, Some(link.to_owned()));
        let got = with(&read).get(&format!("objects/{id}")).await;
        let put = with(&push).send(Method::PUT, &format!("objects/{id}"), b"x".into()).await;
        let why = |refused: &crate::harness::files::Received| refused.json()["message"].clone();
        assert_eq!((got.status, put.status), (404, 404), "{path}");
        assert_eq!([why(&got), why(&put)], ["repository not found", "repository not found"]);
    }
    server.stop().await;
}

/// Mallory, a reader, sends objects and locks; she removes locks of others; her answers cannot
/// reach a terminal with control characters.
#[actix_web::test]
async fn reader_changes_neither_objects_nor_locks() {
    let server = TestServer::start().await;
    let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
    let path = alice.hello_web("public").await;
    let of_alice = LfsClient::of(&server, &path, &alice);
    let lock = of_alice.lock("a").await;
    let lfs = LfsClient::of(&server, &path, &mallory);
    let id = oid(b"x");
    assert_eq!(lfs.batch("upload", &[(&id, 1)]).await.status, 403);
    assert_eq!(lfs.send(Method::PUT, &format!("objects/{id}"), b"x".into()).await.status, 403);
    assert_eq!(lfs.post("locks", &json!({"path": "b"})).await.status, 403);
    for body in [json!({}), json!({"force": true})] {
        assert_eq!(lfs.post(&format!("locks/{lock}/unlock"), &body).await.status, 403);
    }
    assert_eq!(of_alice.get("locks").await.json()["locks"].as_array().unwrap().len(), 1);
    // The lock of another repository is not reachable through an own one.
    let own = mallory.hello_web("private").await;
    let own = LfsClient::of(&server, &own, &mallory);
    let refused = own.post(&format!("locks/{lock}/unlock"), &json!({"force": true})).await;
    assert_eq!(refused.status, 404);
    assert!(blobs(server.path()).is_empty() && incoming(server.path()).is_empty());
    server.stop().await;
}
