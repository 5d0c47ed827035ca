//! Downloads: who may read a file, how it is sent, and ranges.

use reqwest::Method;
use serde_json::json;

use super::files_of;
use crate::harness::browser::Browser;
use crate::harness::files::PNG;
use crate::harness::{Person, TestServer, assert_problem, soon, until};

#[actix_web::test]
async fn file_is_readable_by_members_of_the_chat_now() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let eve = server.user("eve").await;
    let chat = alice.group(&[&bob]).await;
    let [of_alice, of_bob, of_eve] = [&alice, &bob, &eve].map(|person| files_of(&server, person));
    let unbound = of_alice.upload(chat, "draft", b"draft").await;
    assert_eq!(of_alice.get(unbound).await.bytes, b"draft");
    assert_eq!(of_bob.status(unbound).await, 404, "only its uploader reads an unbound file");
    let (file, message) = of_alice.share(chat, "shared", b"shared").await;
    assert_eq!(of_bob.get(file).await.bytes, b"shared");
    for id in [file, unbound, 999_999] {
        let refused = of_eve.get(id).await;
        assert_eq!((refused.status, &refused.json()["detail"]), (404, &json!("file not found")));
        for (method, path) in [
            (Method::GET, format!("/api/files/{id}/upload")),
            (Method::PUT, format!("/api/files/{id}/upload")),
            (Method::DELETE, format!("/api/files/{id}")),
        ] {
            assert_eq!(of_eve.send(method, &path, &[], Vec::new()).await.status, 404, "{path}");
        }
    }
    let anonymous = server.http.get(&format!("/api/files/{file}")).await.unwrap();
    assert_problem(&anonymous, 401, "unauthenticated");

    let removed = alice.delete(&format!("/api/chats/{chat}/participants/bob")).await;
    assert_eq!(removed.status, 204);
    assert_eq!(of_bob.status(file).await, 404, "at once");
    assert_eq!(alice.put(&format!("/api/chats/{chat}/participants/bob"), json!({})).await.status, 201);
    assert_eq!(of_bob.status(file).await, 200);
    assert_eq!(alice.delete(&format!("/api/chats/{chat}/messages/{message}")).await.status / 100, 2);
    assert_eq!([of_alice.status(file).await, of_bob.status(file).await], [404, 404]);
    server.stop().await;
}

#[actix_web::test]
async fn file_is_sent_in_ranges_with_the_hash_as_its_tag() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 253).unwrap()).collect();
    let file = files.upload(chat, "big", &bytes).await;
    let whole = files.get(file).await;
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, "bytes"));
    assert_eq!(whole.header("content-length"), "200000");
    let tag = whole.header("etag").to_owned();
    let hash = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(tag, format!("\"{hex}\""));
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=199990-", 199_990, 199_999),
        ("bytes=-10", 199_990, 199_999),
        ("bytes=60000-140000", 60_000, 140_000),
        ("bytes=0-999999", 0, 199_999),
    ] {
        let part = files.get_with(file, &[("range", range)]).await;
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {first}-{last}/200000"));
        assert!(part.bytes == bytes[first..=last], "{range}");
        let same = files.get_with(file, &[("range", range), ("if-range", &tag)]).await;
        assert_eq!(same.status, 206);
        let other = files.get_with(file, &[("range", range), ("if-range", "\"other\"")]).await;
        assert_eq!((other.status, other.bytes.len()), (200, 200_000));
    }
    let beyond = files.get_with(file, &[("range", "bytes=200000-")]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */200000"));
    assert_eq!(files.get_with(file, &[("range", "bytes=0-1,4-5")]).await.status, 200);
    let known = files.get_with(file, &[("if-none-match", &tag)]).await;
    assert_eq!((known.status, known.bytes.len()), (304, 0));
    let head = files.send(Method::HEAD, &format!("/api/files/{file}"), &[], Vec::new()).await;
    assert_eq!((head.status, head.header("content-length")), (200, "200000"));
    server.stop().await;
}

/// Larger than what the sockets of both sides buffer.
const HUGE: usize = 48 * 1024 * 1024;

#[actix_web::test]
async fn download_ends_when_its_client_leaves_the_chat() {
    let server = TestServer::with_limits(|limits| limits.git_access_ms = 50).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (file, _) = files_of(&server, &alice).share(chat, "huge", &vec![7; HUGE]).await;
    let url = format!("http://{}/api/files/{file}", server.app.addresses.http);
    let of = |person: &Person| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(&url).bearer_auth(person.http.token().unwrap()).send()
    };
    let (mut of_alice, mut of_bob) = (soon(of(&alice)).await.unwrap(), soon(of(&bob)).await.unwrap());
    assert!(soon(of_bob.chunk()).await.unwrap().is_some());
    assert_eq!(alice.delete(&format!("/api/chats/{chat}/participants/bob")).await.status, 204);
    // Bob reads on only when the server has closed his file.
    until(async || {
        let (_, metrics) = server.operations("/metrics").await;
        metrics.lines().any(|line| line == "netbit_pool_inside{pool=\"downloads\"} 1")
    })
    .await;
    let mut received = 0;
    let ended = loop {
        match soon(of_bob.chunk()).await {
            Ok(Some(chunk)) => received += chunk.len(),
            ended => break ended,
        }
    };
    assert!(ended.is_err() && received < HUGE, "{received} bytes, then {ended:?}");
    let mut whole = 0;
    while let Some(chunk) = soon(of_alice.chunk()).await.unwrap() {
        whole += chunk.len();
    }
    assert_eq!(whole, HUGE, "others go on");
    server.stop().await;
}

#[actix_web::test]
async fn browser_shows_images_with_the_login_cookie() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let chat = alice.group(&[]).await;
    let (file, _) = files_of(&server, &alice).share(chat, "a.png", PNG).await;
    let (browser, stranger) = (Browser::login(&server, "alice").await, Browser::login(&server, "bob").await);
    let page = browser.get(&format!("/api/files/{file}")).await;
    assert_eq!(page.status, 200);
    let header = |name: &str| page.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "image/png");
    assert_eq!(header("content-disposition"), "inline; filename=\"a.png\"");
    assert_eq!(header("cross-origin-resource-policy"), "same-origin");
    assert_eq!(header("cache-control"), "private, no-cache");
    assert_eq!(stranger.get(&format!("/api/files/{file}")).await.status, 404);
    // The cookie alone changes nothing, and reads no other route.
    for path in [format!("/api/files/{file}/upload"), format!("/api/chats/{chat}")] {
        assert_eq!(browser.get(&path).await.status, 401, "{path}");
    }
    drop(bob);
    server.stop().await;
}
