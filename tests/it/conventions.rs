//! What holds for every HTTP answer.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{PASSWORD, TestServer, assert_problem};

#[actix_web::test]
async fn every_answer_has_a_request_id_and_the_security_headers() {
    let server = TestServer::start().await;
    for path in ["/api/server", "/nowhere", "/api/users/me"] {
        let answer = server.http.get(path).await.unwrap();
        assert!(!answer.header("x-request-id").unwrap().is_empty());
        for (header, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(header), Some(value), "{path}");
        }
    }
    let own = server.http.send(Method::GET, "/nowhere", None, &[("x-request-id", "my-id.1")]).await.unwrap();
    assert_eq!((own.header("x-request-id"), &own.body["request_id"]), (Some("my-id.1"), &json!("my-id.1")));
    let forged =
        server.http.send(Method::GET, "/nowhere", None, &[("x-request-id", "a b<c>")]).await.unwrap();
    assert_ne!(forged.header("x-request-id"), Some("a b<c>"));
    server.stop().await;
}

#[actix_web::test]
async fn a_path_that_nobody_serves_is_404_and_a_method_405() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for path in [
        "/",
        "/api",
        "/api/nothing",
        "/api/chats/1/nothing",
        "/api/users/me/nothing",
        "//",
        "/api/chats/x%00",
    ] {
        let anonymous = server.http.get(path).await.unwrap().status;
        assert!(anonymous == 404 || (path.contains("x%00") && anonymous == 401), "{path}: {anonymous}");
        assert_problem(&alice.get(path).await, 404, "not_found");
    }
    let answer = alice.delete("/api/users/me").await;
    assert_problem(&answer, 405, "bad_request");
    assert_eq!(answer.header("allow"), Some("GET, PATCH"));
    server.stop().await;
}

/// Monitors and link checkers ask with HEAD: every GET route answered 405.
#[actix_web::test]
async fn head_answers_everywhere_as_get_without_a_body() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.hello_web("public").await;
    let described = alice.get("/api/openapi.json").await.body;
    let mut asked = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        if methods.get("get").is_none() {
            continue;
        }
        let path = path
            .replace("{owner}", "alice")
            .replace("{user}", "alice")
            .replace("{username}", "alice")
            .replace("{project}", "hello")
            .replace("{repo}", "web");
        // What is left names nothing that there is.
        let path: String = path
            .split('/')
            .map(|part| if part.starts_with('{') { "/1" } else { part })
            .collect::<Vec<_>>()
            .join("/")
            .replace("//1", "/1");
        let get = alice.get(&path).await;
        let head = alice.http.send(Method::HEAD, &path, None, &[]).await.unwrap();
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert!(head.body.is_null(), "{path}: {}", head.body);
        asked += 1;
    }
    assert!(asked > 30, "{asked}");
    for (listener, path) in [
        (server.app.addresses.ops, "/readyz"),
        (server.app.addresses.ops, "/metrics"),
        (server.app.addresses.http, "/docs/"),
        (server.app.addresses.http, "/alice/hello/web.git/info/refs?service=git-upload-pack"),
    ] {
        // Twice over one connection: a body of the first would be taken for the second answer.
        let request = format!("HEAD {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let last = request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        let mut socket = tokio::net::TcpStream::connect(listener).await.unwrap();
        socket.write_all(format!("{request}{last}").as_bytes()).await.unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).await.unwrap();
        let answers: Vec<_> = said.split_inclusive("\r\n\r\n").collect();
        assert!(
            answers.len() == 2 && answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200")),
            "{path}: {said}"
        );
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_body_is_json_of_the_right_size_and_shape() {
    let server = TestServer::start().await;
    let url = format!("http://{}/api/users/register", server.app.addresses.http);
    let client = reqwest::Client::new();
    let send = async |kind: &str, body: String| {
        let sent = client.post(&url).header("content-type", kind).body(body).send().await.unwrap();
        let kind = sent.headers()["content-type"].to_str().unwrap().to_owned();
        (sent.status().as_u16(), kind)
    };
    let good = json!({"username": "alice", "password": PASSWORD}).to_string();
    for (kind, body, status) in [
        ("text/plain", good.clone(), 415),
        ("application/json", "{".to_owned(), 400),
        ("application/json", String::new(), 400),
        ("application/json", "[1]".to_owned(), 422),
        ("application/json", format!("{{\"username\":{}", "[".repeat(200)), 422),
        ("application/json", format!("{{\"username\":\"{}\"}}", "x".repeat(70_000)), 413),
        ("application/json; charset=utf-8", good, 201),
    ] {
        let (got, answer_kind) = send(kind, body).await;
        assert_eq!(got, status);
        assert!(status == 201 || answer_kind == "application/problem+json");
    }
    // The length is not known beforehand.
    let chunks = futures_util::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>("x".repeat(1000))));
    let body = reqwest::Body::wrap_stream(chunks);
    let sent = client.post(&url).header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(sent.status().as_u16(), 413);
    server.stop().await;
}

#[actix_web::test]
async fn a_body_that_drips_in_is_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::with_limits(|limits| limits.request_body_ms = 200).await;
    let mut socket = tokio::net::TcpStream::connect(server.app.addresses.http).await.unwrap();
    let head = "POST /api/users/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    crate::harness::soon(socket.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    drop(socket);
    server.stop().await;
}

#[actix_web::test]
async fn the_server_says_where_it_listens() {
    let server = TestServer::start().await;
    let info = server.http.server().await.unwrap();
    assert_eq!(info["tcp_address"], server.app.addresses.tcp.to_string());
    assert_eq!((&info["name"], &info["registration"]), (&json!("NetBit"), &json!("open")));
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    server.stop().await;
}

#[actix_web::test]
async fn a_credential_of_the_wrong_kind_is_401() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let token = alice.http.token().unwrap().to_owned();
    for value in [
        "Basic YWxpY2U6cGFzc3dvcmQ=".to_owned(),
        "Bearer".to_owned(),
        "Bearer x.y.z".to_owned(),
        format!("Bearer {}", &token[..token.len() - 4]),
        token.clone(),
    ] {
        let answer =
            server.http.send(Method::GET, "/api/users/me", None, &[("authorization", &value)]).await.unwrap();
        assert_problem(&answer, 401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"NetBit\""));
    }
    server.stop().await;
}
