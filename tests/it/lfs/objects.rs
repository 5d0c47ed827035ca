//! Batches, uploads and downloads of objects.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::browser::Browser;
use crate::harness::files::{PNG, blobs};
use crate::harness::git::GitWorkdir;
use crate::harness::lfs::{LFS_JSON, LfsClient, incoming, oid, pointer};
use crate::harness::{TestServer, s3};

#[actix_web::test]
async fn object_is_pushed_verified_and_pulled() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let id = oid(&bytes);
    let absent = lfs.asked("download", &id, bytes.len()).await;
    assert_eq!((absent["error"]["code"].clone(), absent.get("actions")), (json!(404), None));
    let batch = lfs.batch("upload", &[(&id, bytes.len())]).await;
    assert_eq!(batch.header("content-type"), LFS_JSON);
    let answer = batch.json();
    assert_eq!((&answer["transfer"], &answer["hash_algo"]), (&json!("basic"), &json!("sha256")));
    let actions = &answer["objects"][0]["actions"];
    assert_eq!(actions["upload"]["href"], format!("{}?size=300000", lfs.href(&format!("objects/{id}"))));
    assert_eq!(actions["verify"]["href"], lfs.href("objects/verify"));
    assert!(actions["upload"]["expires_in"].as_i64().unwrap() > 0);

    assert_eq!(lfs.push(&bytes).await, id);
    assert!(incoming(server.path()).is_empty());
    let again = lfs.asked("upload", &id, bytes.len()).await;
    assert_eq!((again.get("actions"), again.get("error")), (None, None), "it is not asked for again");
    let pulled = lfs.pull(&id, bytes.len()).await;
    assert_eq!((pulled.status, pulled.bytes == bytes), (200, true));
    assert_eq!(pulled.header("etag"), format!("\"{id}\""));
    assert_eq!(pulled.header("content-type"), "application/octet-stream");

    // A client that was interrupted requests the rest.
    let href = lfs.href(&format!("objects/{id}"));
    let token = format!("Bearer {}", alice.http.token().unwrap());
    let with = |range: &'static str| {
        let (lfs, href, token) = (lfs.clone(), href.clone(), token.clone());
        async move { lfs.raw(Method::GET, &href, &[("authorization", &token), ("range", range)], vec![]).await }
    };
    let rest = with("bytes=299000-").await;
    assert_eq!((rest.status, rest.header("content-range")), (206, "bytes 299000-299999/300000"));
    assert!(rest.bytes == bytes[299_000..]);
    assert_eq!(with("bytes=300000-").await.status, 416);

    let wrong = lfs.post("objects/verify", &json!({"oid": id, "size": 7})).await;
    assert_eq!((wrong.status, wrong.header("content-type")), (422, LFS_JSON));
    assert_eq!(lfs.post("objects/verify", &json!({"oid": oid(b"x"), "size": 1})).await.status, 404);
    assert_eq!(lfs.asked("download", &id, 7).await["error"]["code"], 422);
    assert_eq!(lfs.asked("upload", &id, 7).await["error"]["code"], 422);

    // The empty object, which git-lfs never sends, has a row like all others.
    assert_eq!(lfs.push(b"").await, oid(b""));
    assert_eq!(lfs.pull(&oid(b""), 0).await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn upload_with_another_hash_or_size_leaves_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let id = oid(b"right");
    let put = async |rest: &str, bytes: &[u8]| lfs.send(Method::PUT, rest, bytes.to_vec()).await;
    for (rest, bytes, status) in [
        (format!("objects/{id}"), &b"wrong"[..], 422),
        (format!("objects/{id}?size=5"), b"wrong", 422),
        (format!("objects/{id}?size=6"), b"right", 422),
        (format!("objects/{id}"), b"", 411),
        (format!("objects/{id}?size=-1"), b"right", 400),
        (format!("objects/{}", id.to_uppercase()), b"right", 422),
        (format!("objects/{}", &id[1..]), b"right", 422),
        ("objects/..%2f..%2fdatabase".to_owned(), b"right", 422),
    ] {
        let refused = put(&rest, bytes).await;
        assert_eq!(refused.status, status, "{rest} {}", String::from_utf8_lossy(&refused.bytes));
    }
    assert_eq!(lfs.asked("download", &id, 5).await["error"]["code"], 404);
    assert!(blobs(server.path()).is_empty() && incoming(server.path()).is_empty());
    assert_eq!(put(&format!("objects/{id}?size=5"), b"right").await.status, 200);
    assert_eq!(put(&format!("objects/{id}"), b"right").await.status, 200, "again");
    assert_eq!(blobs(server.path()).len(), 1);
    let (_, metrics) = server.operations("/metrics").await;
    for line in
        ["netbit_lfs_uploads_total{outcome=\"complete\"} 2", "netbit_lfs_bytes_total{direction=\"in\"} 20"]
    {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn batch_that_is_not_valid_is_refused_with_its_reason() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let object = json!({"oid": oid(b"x"), "size": 1});
    for (body, status, why) in [
        (json!({"operation": "delete", "objects": [object]}), 422, "upload or download"),
        (json!({"operation": "upload"}), 422, "objects"),
        (json!({"operation": "upload", "objects": {}}), 422, "sequence"),
        (json!({"operation": "upload", "objects": [object], "transfers": ["tus"]}), 422, "basic"),
        (json!({"operation": "upload", "objects": [object], "hash_algo": "sha512"}), 409, "sha256"),
        (json!([]), 422, "not valid"),
    ] {
        let refused = lfs.post("objects/batch", &body).await;
        let answer = refused.json();
        assert_eq!((refused.status, refused.header("content-type")), (status, LFS_JSON), "{body} {answer}");
        assert!(answer["message"].as_str().unwrap().contains(why), "{answer}");
        assert_eq!(answer["request_id"].as_str().unwrap(), refused.header("x-request-id"));
    }
    assert_eq!(lfs.send(Method::POST, "objects/batch", b"{".to_vec()).await.status, 400);
    let token = format!("Bearer {}", alice.http.token().unwrap());
    let headers = [("authorization", token.as_str()), ("content-type", "text/plain")];
    let refused = lfs.raw(Method::POST, &lfs.href("objects/batch"), &headers, b"{}".to_vec()).await;
    assert_eq!(refused.status, 415);

    // Each object has its own answer.
    let known = lfs.push(b"known").await;
    let (fresh, upper) = (oid(b"fresh"), known.to_uppercase());
    let answer = lfs.batch("upload", &[(&known, 5), (&fresh, 5), (&upper, 5), ("../../etc", 1)]).await.json();
    let errors: Vec<Value> = (0..4).map(|n| answer["objects"][n]["error"]["code"].clone()).collect();
    assert_eq!(errors, [Value::Null, Value::Null, json!(422), json!(422)]);
    assert!(answer["objects"][0].get("actions").is_none() && answer["objects"][1].get("actions").is_some());
    let negative = json!({"operation": "upload", "objects": [{"oid": fresh, "size": -1}]});
    let answer = lfs.post("objects/batch", &negative).await.json();
    assert_eq!(answer["objects"][0]["error"]["code"], 422);
    server.stop().await;
}

#[actix_web::test]
async fn quotas_of_objects_repository_and_owner_are_named() {
    let server = TestServer::with_limits(|limits| {
        limits.lfs_object_bytes = 10_000;
        limits.lfs_repository_bytes = 3 * 4096;
        limits.lfs_account_bytes = 4 * 4096;
    })
    .await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    alice.repository("hello", "other").await;
    let (lfs, other) =
        (LfsClient::of(&server, &path, &alice), LfsClient::of(&server, "alice/hello/other", &alice));
    let large = lfs.asked("upload", &oid(b"large"), 10_001).await;
    assert!(large["error"]["message"].as_str().unwrap().contains("limits.lfs_object_bytes"), "{large}");
    let sent = lfs.send(Method::PUT, &format!("objects/{}", oid(&[0; 10_001])), vec![0; 10_001]).await;
    assert_eq!(sent.status, 413);
    for n in 0..3_u8 {
        lfs.push(&[n]).await;
    }
    let full = lfs.asked("upload", &oid(&[3]), 1).await;
    assert_eq!(full["error"]["code"], 507);
    assert!(full["error"]["message"].as_str().unwrap().contains("limits.lfs_repository_bytes"), "{full}");
    // A client that skips the batch.
    let sent = lfs.send(Method::PUT, &format!("objects/{}", oid(&[3])), vec![3]).await;
    assert_eq!(sent.status, 413, "{}", sent.json());
    other.push(&[3]).await;
    let full = other.asked("upload", &oid(&[4]), 1).await;
    assert!(full["error"]["message"].as_str().unwrap().contains("limits.lfs_account_bytes"), "{full}");
    let sent = other.send(Method::PUT, &format!("objects/{}", oid(&[4])), vec![4]).await;
    assert!(sent.json()["message"].as_str().unwrap().contains("limits.lfs_account_bytes"));
    assert_eq!(blobs(server.path()).len(), 4);
    let (_, metrics) = server.operations("/metrics").await;
    let refused = "netbit_lfs_uploads_total{outcome=\"refused\"} 6";
    assert!(metrics.lines().any(|line| line == refused), "3 of batches, 3 of uploads\n{metrics}");
    server.stop().await;
}

/// The row is there, and the disk has lost the bytes.
#[actix_web::test]
async fn object_without_its_bytes_is_asked_for_again() {
    if s3::skips("it removes the file of a blob") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let id = lfs.push(b"bytes").await;
    std::fs::remove_file(&blobs(server.path())[0]).unwrap();
    let lost = lfs.asked("download", &id, 5).await;
    assert!(lost["error"]["message"].as_str().unwrap().contains("git lfs push --all"), "{lost}");
    assert_eq!(lfs.get(&format!("objects/{id}")).await.status, 404);
    assert_eq!(lfs.post("objects/verify", &json!({"oid": id, "size": 5})).await.status, 404);
    assert_eq!(lfs.push(b"bytes").await, id);
    assert_eq!(lfs.pull(&id, 5).await.bytes, b"bytes");
    server.stop().await;
}

#[actix_web::test]
async fn page_shows_an_object_and_sends_it() {
    if s3::skips("it damages the file of a blob") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let (bob, script) = (server.user("bob").await, b"<script>alert(1)</script>");
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.commit("work", "a.png", &pointer(PNG), "an image").await;
    workdir.commit("work", "b.png", &pointer(script), "a script").await;
    workdir.commit("work", "c.psd", &pointer(b"never pushed"), "nothing").await;
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    let (browser, stranger) = (Browser::login(&server, "alice").await, Browser::login(&server, "bob").await);
    let at = |view: &str, file: &str| format!("/{path}/-/{view}/main/{file}");
    let before = browser.page(&at("blob", "a.png")).await;
    assert!(before.contains("The object was not pushed"), "{before}");
    assert_eq!(browser.get(&at("lfs", "a.png")).await.status, 404);
    lfs.push(PNG).await;
    lfs.push(script).await;
    let shown = browser.page(&at("blob", "a.png")).await;
    assert!(shown.contains(&format!("<img src=\"{}\"", at("lfs", "a.png"))), "{shown}");
    assert!(shown.contains(&format!("stored with Git LFS, {} bytes", PNG.len())), "{shown}");
    assert!(shown.contains(&format!("href=\"{}\" rel=\"nofollow\">Raw", at("lfs", "a.png"))), "{shown}");
    let image = browser.get(&at("lfs", "a.png")).await;
    assert_eq!((image.status, image.header("content-type")), (200, "image/png"));
    assert_eq!(
        image.header("content-security-policy"),
        "default-src 'none'; frame-ancestors 'none'; style-src 'unsafe-inline'; sandbox"
    );
    let saved = browser.get(&at("lfs", "b.png")).await;
    assert_eq!((saved.status, saved.header("content-type")), (200, "application/octet-stream"));
    assert!(saved.header("content-disposition").starts_with("attachment"));
    let page = browser.page(&at("blob", "b.png")).await;
    assert!(!page.contains("<img src=\"/alice"), "{page}");
    assert!(browser.page(&at("raw", "a.png")).await.contains("oid sha256:"), "the pointer");
    let of_image = blobs(server.path()).into_iter().find(|path| path.ends_with(oid(PNG))).unwrap();
    std::fs::write(of_image, "cut").unwrap();
    let page = browser.page(&at("blob", "a.png")).await;
    assert!(page.contains("The bytes of the object are missing on the server"), "{page}");
    assert!(!page.contains("<img src=\"/alice"), "{page}");
    assert_eq!(browser.get(&at("lfs", "README")).await.status, 404);
    assert_eq!(browser.get(&at("lfs", "c.psd")).await.status, 404);
    assert_eq!(stranger.get(&at("lfs", "a.png")).await.status, 404);
    drop(bob);
    server.stop().await;
}
