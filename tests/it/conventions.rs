//! Conventions of every HTTP answer.

use netbit::core::origins::AllowedOrigins;
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
async fn unknown_path_is_404_and_unknown_method_405() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for path in [
        "/nowhere",
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

/// Regression: monitors and link checkers send HEAD, and every GET route returned 405.
#[actix_web::test]
async fn head_answers_like_get_without_a_body_on_every_route() {
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
        // The remaining parameters get values that name no existing item.
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
        // Two requests over one connection: a body of the first would be read as the second answer.
        let request = format!("HEAD {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let last = request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        let mut socket = tokio::net::TcpStream::connect(listener).await.unwrap();
        socket.write_all(format!("{request}{last}").as_bytes()).await.unwrap();
        let mut received = String::new();
        socket.read_to_string(&mut received).await.unwrap();
        let answers: Vec<_> = received.split_inclusive("\r\n\r\n").collect();
        assert!(
            answers.len() == 2 && answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200")),
            "{path}: {received}"
        );
    }
    server.stop().await;
}

#[actix_web::test]
async fn invalid_request_body_is_refused_with_the_matching_status() {
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
    // A body of unknown length.
    let chunks = futures_util::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>("x".repeat(1000))));
    let body = reqwest::Body::wrap_stream(chunks);
    let sent = client.post(&url).header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(sent.status().as_u16(), 413);
    server.stop().await;
}

#[actix_web::test]
async fn slow_request_body_is_cut_off() {
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
async fn server_info_names_its_address_and_version() {
    let server = TestServer::start().await;
    let info = server.http.server().await.unwrap();
    assert_eq!(info["tcp_address"], server.app.addresses.tcp.to_string());
    assert_eq!((&info["name"], &info["registration"]), (&json!("NetBit"), &json!("open")));
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    server.stop().await;
}

#[actix_web::test]
async fn invalid_authorization_header_is_401() {
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

/// Regression: `?q=` and misspelled keys were ignored, so an answer seemed filtered but was not.
/// `Query deserialize error: invalid digit found in string` did not name the key.
#[actix_web::test]
async fn refused_query_value_names_its_key() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for (query, detail) in [
        ("limit=x", "the value of \"limit\" is not valid: invalid digit found in string"),
        (
            "limit=2&unread=maybe",
            "the value of \"unread\" is not valid: provided string was not `true` or `false`",
        ),
        ("limit=x&unread=maybe", "the query is not valid: invalid digit found in string"),
    ] {
        let answer = alice.get(&format!("/api/notifications?{query}")).await;
        assert_problem(&answer, 400, "bad_request");
        assert_eq!(answer.body["detail"], detail);
    }
    server.stop().await;
}

#[actix_web::test]
async fn unknown_query_key_is_refused_on_every_api_route() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.hello_web("public").await;
    let api = server.http.get("/api/openapi.json").await.unwrap().body;
    let mut asked = 0;
    for (path, item) in api["paths"].as_object().unwrap() {
        let filled = path.replace("{user}", "alice").replace("{project}", "hello").replace("{repo}", "web");
        let filled = filled
            .split('{')
            .map(|part| part.split_once('}').map_or_else(|| part.to_owned(), |(_, rest)| format!("1{rest}")));
        let filled = filled.collect::<String>();
        for method in item.as_object().unwrap().keys() {
            let known = item[method]["parameters"].as_array().into_iter().flatten();
            let known: Vec<_> = known
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| format!("{}=1", parameter["name"].as_str().unwrap()))
                .collect();
            let method: Method = method.to_uppercase().parse().unwrap();
            let at = format!("{filled}?{}", [known.join("&"), "limitt=1".to_owned()].join("&"));
            let answer = alice.http.send(method.clone(), &at, None, &[]).await.unwrap();
            assert_problem(&answer, 400, "bad_request");
            let detail = answer.body["detail"].as_str().unwrap();
            assert!(detail.contains("\"limitt\""), "{method} {at}: {detail}");
            // Every key of the OpenAPI document is accepted: at most its value is refused.
            let at = format!("{filled}?{}", known.join("&"));
            if method == Method::GET && !known.is_empty() {
                let answer = alice.http.send(method, &at, None, &[]).await.unwrap();
                assert!(
                    !answer.body.to_string().contains("unknown query key"),
                    "{at}: add it to src/http/query_keys.rs"
                );
            }
            asked += 1;
        }
    }
    assert!(asked > 60, "{asked}");
    assert_problem(&alice.get("/api/openapi.json?v%3D=1").await, 400, "bad_request");
    server.stop().await;
}

#[actix_web::test]
async fn pages_and_git_ignore_unknown_query_keys() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.hello_web("public").await;
    let base = format!("http://{}", server.app.addresses.http);
    for path in ["/docs/?x=1", "/alice/hello/web/info/refs?service=git-upload-pack&x=1"] {
        assert_eq!(reqwest::get(format!("{base}{path}")).await.unwrap().status().as_u16(), 200, "{path}");
    }
    server.stop().await;
}

/// Regression: `/docs/` was sent in gzip whatever the client accepted.
#[actix_web::test]
async fn docs_are_compressed_for_clients_that_ask() {
    let server = TestServer::start().await;
    let client = reqwest::Client::new();
    for file in ["", "swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "oauth2-redirect.html"] {
        let url = format!("http://{}/docs/{file}", server.app.addresses.http);
        let ask = async |accepted: Option<&str>| {
            let request = client.get(&url);
            let request =
                accepted.iter().fold(request, |request, value| request.header("accept-encoding", *value));
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200, "{file} {accepted:?}");
            let header =
                |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(header("vary").as_deref(), Some("accept-encoding"));
            (header("content-encoding"), answer.bytes().await.unwrap())
        };
        let (_, plain) = ask(None).await;
        for accepted in [None, Some("identity"), Some("gzip;q=0"), Some("br")] {
            assert_eq!(ask(accepted).await, (None, plain.clone()), "{file} {accepted:?}");
        }
        let (encoding, packed) = ask(Some("deflate, gzip")).await;
        assert_eq!(encoding.as_deref(), Some("gzip"), "{file}");
        let mut inflated = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut inflated).unwrap();
        assert!(inflated == plain && !plain.is_empty(), "{file}");
    }
    server.stop().await;
}

/// Regression: web apps of other origins could not use the server at all.
#[actix_web::test]
async fn allowed_origins_use_the_api_with_a_token() {
    let server = TestServer::with(|config| {
        config.http.allowed_origins = AllowedOrigins::parse(["app://x", "https://app.example.org"]).unwrap();
    })
    .await;
    let alice = server.user("alice").await;
    let handled = || -> u64 {
        let actors = server.app.actors.iter().map(|stats| stats.snapshot());
        actors.flat_map(|actor| actor.messages).map(|message| message.enqueued).sum()
    };
    let before = handled();
    for _ in 0..200 {
        let asked = [("origin", "app://x"), ("access-control-request-method", "GET")];
        let answer = server.http.send(Method::OPTIONS, "/api/chats", None, &asked).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    assert!(handled() - before < 100, "preflights reach no actor");
    for origin in ["app://x", "https://app.example.org"] {
        let asked = [
            ("origin", origin),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "authorization, content-type"),
        ];
        let answer = server.http.send(Method::OPTIONS, "/api/users/me", None, &asked).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert!(answer.header("access-control-allow-methods").unwrap().contains("PATCH"));
        assert!(answer.header("access-control-allow-headers").unwrap().contains("authorization"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        // The page must be able to read the answer itself and its refusals.
        for (client, path, status) in [
            (&alice.http, "/api/users/me", 200),
            (&server.http, "/api/users/me", 401),
            (&alice.http, "/api/nowhere", 404),
            (&alice.http, "/api/users/me?x=1", 400),
        ] {
            let sent = [("origin", origin)];
            let answer = client.send(Method::GET, path, None, &sent).await.unwrap();
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, Some(origin)));
            assert!(answer.header("vary").unwrap().to_ascii_lowercase().contains("origin"));
            let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
            assert!(exposed.contains("etag") || status == 400, "{path}: {exposed}");
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
    for origin in ["https://evil.example", "null", "app://xy"] {
        let asked = [("origin", origin), ("access-control-request-method", "GET")];
        let answer = server.http.send(Method::OPTIONS, "/api/users/me", None, &asked).await.unwrap();
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (400, None), "{origin}");
        let answer = alice.http.send(Method::GET, "/api/users/me", None, &[asked[0]]).await.unwrap();
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None), "{origin}");
    }
    let git = reqwest::Client::new()
        .request(Method::OPTIONS, format!("http://{}/a/b/c/info/refs", server.app.addresses.http))
        .header("origin", "app://x")
        .header("access-control-request-method", "GET");
    let git = git.send().await.unwrap();
    assert!(!git.headers().contains_key("access-control-allow-origin"), "git routes are not shared");
    server.stop().await;
}

#[actix_web::test]
async fn without_allowed_origins_no_origin_is_named() {
    let server = TestServer::start().await;
    let asked = [("origin", "app://x"), ("access-control-request-method", "GET")];
    let answer = server.http.send(Method::OPTIONS, "/api/server", None, &asked).await.unwrap();
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, None));
    let answer = server.http.send(Method::GET, "/api/server", None, &asked[..1]).await.unwrap();
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    server.stop().await;
}
