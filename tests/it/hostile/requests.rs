//! Bad input over HTTP: paths, tokens, foreign parent names, numbers out of range.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use netbit::client::HttpAnswer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::git::GitWorkdir;
use crate::harness::{PASSWORD, TestServer, assert_problem, soon};

/// Returns the status and the response of a request whose target is sent unchanged: HTTP clients
/// would normalize it.
async fn status_of(server: &TestServer, target: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(server.app.addresses.http).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon(socket.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.unwrap_or_else(|| panic!("{target:?} got the response {answer:?}")), answer)
}

/// A client requests files next to the repositories, with every spelling of `..` that has broken
/// some server.
#[actix_web::test]
async fn path_traversal_is_refused_in_every_spelling() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("public").await;
    let secret = std::fs::read_to_string(server.path().join("secret.key")).unwrap();
    let climbs = [
        "..",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%252e%252e",
        "..%2f..",
        "..%5c..",
        "..\\..",
        "%00",
        "%c0%ae%c0%ae",
        "",
        ".",
    ];
    for climb in climbs {
        for target in [
            format!("/{climb}/secret.key"),
            format!("/alice/{climb}/info/refs?service=git-upload-pack"),
            format!("/alice/hello/{climb}/info/refs?service=git-upload-pack"),
            format!("/{climb}/{climb}/{climb}/info/refs?service=git-upload-pack"),
            format!("/{path}/{climb}/{climb}/secret.key"),
            format!("/docs/{climb}/{climb}/secret.key"),
            format!("/api/projects/alice/{climb}/repos/web"),
            format!("/api/projects/alice/hello/repos/web/{climb}/config"),
            format!("/api/projects/alice/hello/repos/web/raw/main/{climb}/config"),
            format!("/api/projects/alice/hello/repos/{climb}/tree/main"),
        ] {
            let (status, answer) = status_of(&server, &target).await;
            // An empty segment may stand for its parent folder, which the client may read.
            let plain = matches!(climb, "" | ".") && matches!(status, 200 | 301 | 307 | 308 | 401);
            assert!(matches!(status, 400 | 401 | 404) || plain, "{target}: {status}");
            assert!(!answer.contains(secret.trim()) && !answer.contains("[core]"), "{target} leaks");
        }
    }
    for target in
        ["/alice//hello///web/info/refs?service=git-upload-pack", "//etc/passwd", "/%", "/%zz", "/api/%ff"]
    {
        assert!(matches!(status_of(&server, target).await.0, 400 | 401 | 404), "{target}");
    }
    assert_eq!(alice.get("/api/projects/alice/hello/repos/web").await.status, 200);
    server.stop().await;
}

/// A client forges tokens: without a signature, with another algorithm, with claims that the server
/// never signs.
#[actix_web::test]
async fn forged_token_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let right = alice.http.token().unwrap().to_owned();
    let parts: Vec<_> = right.split('.').collect();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let secret = std::fs::read_to_string(server.path().join("secret.key")).unwrap();
    let key = EncodingKey::from_secret(secret.trim().as_bytes());
    let signed = |header: &Header, claims: &Value| jsonwebtoken::encode(header, claims, &key).unwrap();
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        signed(&Header::default(), &claims)
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        signed(&Header::default(), &claims)
    };
    let head = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let named = |kid: &str| Header { kid: Some(kid.to_owned()), ..Header::default() };
    let foreign = EncodingKey::from_secret(b"another secret of thirty-two bytes");
    let wrong = [
        ("alg none", format!("{}.{}.", head(r#"{"alg":"none","typ":"JWT"}"#), parts[1])),
        ("alg none, signed", format!("{}.{}.{}", head(r#"{"alg":"None"}"#), parts[1], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        (
            "another algorithm",
            format!("{}.{}.{}", head(r#"{"alg":"HS512","typ":"JWT"}"#), parts[1], parts[2]),
        ),
        ("a header with RS256", format!("{}.{}.{}", head(r#"{"alg":"RS256"}"#), parts[1], parts[2])),
        ("a foreign key", jsonwebtoken::encode(&Header::default(), &claims, &foreign).unwrap()),
        ("a foreign key id", signed(&named("../../dev/null"), &claims)),
        ("another audience", with("aud", json!("somebody"))),
        ("another issuer", with("iss", json!("somebody"))),
        ("no audience", without("aud")),
        ("no issuer", without("iss")),
        ("no expiry", without("exp")),
        ("an expiry as text", with("exp", json!("9999999999"))),
        ("a negative expiry", with("exp", json!(-1))),
        ("an expiry out of range", with("exp", json!(1e300))),
        ("an expiry far in the future", with("exp", json!(i64::MAX))),
        ("no subject", without("sub")),
        ("a number as subject", with("sub", json!(1))),
        ("a list as subject", with("sub", json!(["1"]))),
        ("another login", with("sid", json!(999))),
        ("an older version", with("ver", json!(0))),
        ("another epoch", with("epoch", json!(0))),
    ];
    for (what, token) in wrong {
        for path in ["/api/users/me", "/api/chats"] {
            let answer = server.http.with_token(&token).get(path).await.unwrap();
            assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{what}: {}", answer.body);
        }
        let opened = netbit::client::TcpClient::open(server.app.addresses.tcp, &token).await;
        assert!(opened.is_err(), "{what} opens a session");
    }
    let again = signed(&Header::default(), &claims);
    assert_eq!(
        server.http.with_token(again).get("/api/users/me").await.unwrap().status,
        200,
        "the validly signed token"
    );
    server.stop().await;
}

/// A user who knows the id of another user's message, token or notification requests it under their
/// own parent.
#[actix_web::test]
async fn child_is_found_only_under_its_own_parent() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (ours, hers) = (bob.group(&[]).await, alice.group(&[]).await);
    let message = alice.say(hers, "mine").await.body["id"].as_i64().unwrap();
    let refused = |answer: &HttpAnswer| assert_problem(answer, 404, "not_found");
    let of = |chat, rest: &str| format!("/api/chats/{chat}/messages/{message}{rest}");
    for chat in [ours, hers] {
        refused(&bob.patch(&of(chat, ""), json!({"content": "yours"})).await);
        refused(&bob.delete(&of(chat, "")).await);
        refused(&bob.put(&of(chat, "/reactions/+1"), json!({})).await);
        refused(&bob.put(&of(chat, "/pin"), json!({})).await);
    }
    let reply = json!({"content": "re", "reply_to": message});
    assert!(matches!(bob.post(&format!("/api/chats/{ours}/messages"), reply).await.status, 404 | 422));
    assert_eq!(alice.contents(hers).await, ["mine"]);

    let made = alice.post("/api/users/me/tokens", json!({"name": "t", "scopes": ["repo:read"]})).await;
    refused(&bob.delete(&format!("/api/users/me/tokens/{}", made.body["id"])).await);
    let both = alice.group(&[&bob]).await;
    alice.say(both, "@bob look").await;
    let list = bob.get("/api/notifications").await.body;
    let told = list["items"][0]["id"].as_i64().unwrap();
    refused(&alice.post(&format!("/api/notifications/{told}/read"), json!({})).await);

    alice.hello_web("private").await;
    bob.post("/api/projects/create", json!({"name": "own"})).await;
    refused(&bob.get("/api/projects/bob/own/repos/web").await);
    refused(&bob.get("/api/projects/alice/own/repos/web").await);
    refused(&bob.delete("/api/projects/bob/own/repos/web").await);
    assert_eq!(alice.get("/api/projects/alice/hello/repos/web").await.status, 200);
    server.stop().await;
}

/// Numbers and sizes far out of range: each is refused with an error, and none makes the server
/// read much.
#[actix_web::test]
async fn oversized_texts_and_out_of_range_numbers_are_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    for content in
        ["x".repeat(1024 * 1024), format!("e{}", "\u{301}".repeat(100_000)), "x".repeat(16 * 1024 + 1)]
    {
        let answer = alice.say(chat, &content).await;
        assert!(matches!((answer.status, answer.code()), (413, "too_large") | (422, _)), "{}", answer.body);
    }
    for bad in ["", "a\0b"] {
        assert_eq!(alice.say(chat, bad).await.status, 422, "{bad:?}");
    }
    let list = format!("/api/chats/{chat}/messages");
    let numbers = ["-1", "0", "101", "1000000000", "9223372036854775808", "1e3", "0x10", "", "%00", "١"];
    for number in numbers {
        let answer = alice.get(&format!("{list}?limit={number}")).await;
        assert_problem(&answer, 400, "bad_request");
    }
    for key in ["before_seq", "after_seq"] {
        for number in ["-1", "9223372036854775808", "18446744073709551616", "1.5", "x"] {
            assert_problem(&alice.get(&format!("{list}?{key}={number}")).await, 400, "bad_request");
        }
    }
    for password in ["x".repeat(1024 * 1024), "x".repeat(1025)] {
        let body = json!({"username": "alice", "password": password});
        let answer = server.http.post("/api/users/login", &body).await.unwrap();
        assert!(matches!(answer.status, 400 | 401 | 413 | 422), "{}", answer.body);
    }
    let body = json!({"username": "alice", "password": PASSWORD});
    assert_eq!(
        server.http.post("/api/users/login", &body).await.unwrap().status,
        200,
        "the account is not locked out"
    );
    assert_eq!(alice.contents(chat).await, Vec::<String>::new());
    server.stop().await;
}

/// A push of more branches than git can create as files within a reasonable time, each with a lock.
#[actix_web::test]
async fn push_of_too_many_refs_moves_none() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (mut body, zeros, ones) = (String::new(), "0".repeat(40), "1".repeat(40));
    for n in 0..20_001 {
        let capabilities = if n == 0 { "\0report-status side-band-64k" } else { "" };
        let line = format!("{zeros} {ones} refs/heads/many-{n}{capabilities}");
        body.push_str(&format!("{:04x}{line}", line.len() + 4));
    }
    body.push_str("0000");
    let url = format!("http://{}/{path}/git-receive-pack", server.app.addresses.http);
    let request = reqwest::Client::new().post(url).basic_auth("alice", Some(PASSWORD)).body(body);
    let answer = soon(request.header("content-type", "application/x-git-receive-pack-request").send()).await;
    // A client that is refused while it is still sending may not receive the answer.
    if let Ok(answer) = answer {
        assert_eq!(answer.status().as_u16(), 200);
        let text = soon(answer.text()).await.unwrap();
        assert!(text.contains("\u{3}a push may name at most 20000 refs"), "{text}");
    }
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let url = server.url_as("alice", &path);
    assert_eq!(workdir.git("work", &["ls-remote", &url]).await.ok(), "", "no ref was created");
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    server.stop().await;
}
