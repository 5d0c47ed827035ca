//! The login cookie: its attributes, where it counts, and which requests it may not reach.

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::browser::Browser;
use crate::harness::git::GitWorkdir;
use crate::harness::{PASSWORD, TestServer, soon};

/// A request as another program or another site makes it, with chosen headers.
async fn send(
    server: &TestServer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> reqwest::Response {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    let url = format!("http://{}{path}", server.app.addresses.http);
    let mut request = client.unwrap().request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    soon(request.send()).await.unwrap()
}

fn set_cookie(response: &reqwest::Response) -> String {
    response.headers().get("set-cookie").unwrap().to_str().unwrap().to_owned()
}

/// Logs in with these headers; returns the `Set-Cookie` header.
async fn cookie_of_login(server: &TestServer, headers: &[(&str, &str)]) -> String {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    let mut request = client.unwrap().post(format!("http://{}/login", server.app.addresses.http));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let form = format!("username=alice&password={}&next=", PASSWORD.replace(' ', "+"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let response = soon(request.header("sec-fetch-site", "same-origin").send()).await.unwrap();
    assert_eq!(response.status(), 303);
    set_cookie(&response)
}

#[actix_web::test]
async fn cookie_is_hidden_from_scripts_and_bound_to_the_host() {
    let server = TestServer::with(|config| {
        config.http.trusted_proxies = netbit::core::proxies::TrustedProxies::parse("127.0.0.1").unwrap();
    })
    .await;
    server.user("alice").await;
    let plain = cookie_of_login(&server, &[]).await;
    let port = server.app.addresses.http.port();
    assert!(plain.starts_with(&format!("netbit-{port}=")), "{plain}");
    let attributes = |cookie: &str| {
        let mut parts: Vec<_> = cookie.split("; ").skip(1).map(str::to_owned).collect();
        parts.retain(|part| !part.starts_with("Max-Age") && !part.starts_with("Expires"));
        parts.sort();
        parts
    };
    assert_eq!(attributes(&plain), ["HttpOnly", "Path=/", "SameSite=Lax"]);
    let encrypted = cookie_of_login(&server, &[("x-forwarded-proto", "https")]).await;
    assert!(encrypted.starts_with("__Host-netbit="), "{encrypted}");
    assert_eq!(attributes(&encrypted), ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    server.stop().await;
}

#[actix_web::test]
async fn cookie_is_secure_at_an_https_public_url() {
    let server =
        TestServer::with(|config| config.http.public_url = "https://git.example.org".to_owned()).await;
    server.user("alice").await;
    let cookie = cookie_of_login(&server, &[("host", "git.example.org")]).await;
    assert!(cookie.starts_with("__Host-netbit=") && cookie.contains("Secure"), "{cookie}");
    // A user inside of the network, without the proxy.
    let plain = cookie_of_login(&server, &[]).await;
    assert!(plain.starts_with("netbit-") && !plain.contains("Secure"), "{plain}");
    server.stop().await;
}

#[actix_web::test]
async fn cookie_is_found_among_broken_and_foreign_ones() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let cookie = Browser::login(&server, "alice").await.cookie();
    let (name, _) = cookie.split_once('=').unwrap();
    let mut shadowed = b"broken=\xe9; ".to_vec();
    shadowed.extend(format!("{name}=of-another-application; {cookie}").bytes());
    let shadowed = HeaderValue::from_bytes(&shadowed).unwrap();
    let client =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let url = |path: &str| format!("http://{}{path}", server.app.addresses.http);
    let seen = client.get(url("/settings/profile")).header("cookie", shadowed.clone()).send();
    assert_eq!(soon(seen).await.unwrap().status(), 200);
    let left =
        client.post(url("/logout")).header("cookie", shadowed).header("sec-fetch-site", "same-origin").send();
    assert_eq!(soon(left).await.unwrap().status(), 303);
    let headers = [("cookie", cookie.as_str())];
    assert_eq!(
        send(&server, Method::GET, "/settings/profile", &headers).await.status(),
        401,
        "the login ended"
    );
    server.stop().await;
}

#[actix_web::test]
async fn file_by_id_is_asked_for_again_after_a_logout() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let head = workdir.commit("work", "a.txt", "secret", "add a file").await;
    workdir.git("work", &["push", &server.url_as("alice", &path), "main"]).await.ok();
    let browser = Browser::login(&server, "alice").await;
    for view in ["raw", "blob", "tree", "commit"] {
        let rest = if view == "raw" || view == "blob" { "/a.txt" } else { "" };
        let page = browser.get(&format!("/{path}/-/{view}/{head}{rest}")).await;
        assert_eq!((page.status, page.header("cache-control")), (200, "private, no-cache"), "{view}");
        assert!(page.header("vary").contains("cookie") && !page.header("etag").is_empty(), "{view}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn form_of_another_site_changes_nothing() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let alice = Browser::login(&server, "alice").await;
    let (cookie, own) = (alice.cookie(), format!("http://{}", server.app.addresses.http));
    let own_null = "null";
    let foreign: [&[(&str, &str)]; 7] = [
        &[],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", &own)],
        &[("sec-fetch-site", "none")],
        &[("origin", "http://evil.example")],
        &[("origin", own_null)],
        &[("origin", "http://evil.example"), ("referer", &own)],
    ];
    for headers in foreign {
        let with_cookie: Vec<_> = headers.iter().copied().chain([("cookie", cookie.as_str())]).collect();
        for path in ["/logout", "/login", "/register", "/setup"] {
            let refused = send(&server, Method::POST, path, &with_cookie).await;
            assert_eq!(refused.status(), 403, "{path} {headers:?}");
            assert!(refused.headers().get("set-cookie").is_none());
        }
    }
    let own_page = [("x-netbit-web", "1"), ("cookie", cookie.as_str())];
    assert_eq!(send(&server, Method::GET, "/api/users/me", &own_page).await.status(), 200, "the login lives");
    let own_form = [("origin", own.as_str()), ("cookie", cookie.as_str())];
    assert_eq!(send(&server, Method::POST, "/logout", &own_form).await.status(), 303);
    assert_eq!(send(&server, Method::GET, "/api/users/me", &own_page).await.status(), 401);
    server.stop().await;
}

#[actix_web::test]
async fn cookie_counts_at_the_api_for_own_pages_only() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let cookie = Browser::login(&server, "alice").await.cookie();
    let cookie = cookie.as_str();
    let read = |headers: Vec<(&'static str, String)>| {
        let server = &server;
        async move {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            send(server, Method::GET, "/api/users/me", &headers).await.status().as_u16()
        }
    };
    let with = |more: &[(&'static str, &str)]| {
        let all = [("cookie", cookie)].into_iter().chain(more.iter().copied());
        all.map(|(name, value)| (name, value.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(read(with(&[])).await, 401, "without the header of own pages");
    assert_eq!(read(with(&[("x-netbit-web", "0")])).await, 401);
    assert_eq!(read(with(&[("x-netbit-web", "1")])).await, 200);
    assert_eq!(read(with(&[("x-netbit-web", "1"), ("authorization", "Bearer wrong")])).await, 401);
    let change = |site: &'static str| {
        let server = &server;
        async move {
            let headers = [("cookie", cookie), ("x-netbit-web", "1"), ("sec-fetch-site", site)];
            send(server, Method::POST, "/api/notifications/read", &headers).await.status().as_u16()
        }
    };
    assert_eq!((change("cross-site").await, change("none").await), (403, 403));
    assert_ne!(change("same-origin").await, 403);
    server.stop().await;
}

#[actix_web::test]
async fn git_routes_ignore_the_cookie() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let made = alice.post("/api/projects/create", json!({"name": "hello", "visibility": "private"})).await;
    assert_eq!(made.status, 201);
    alice.post("/api/projects/alice/hello/repos/create", json!({"name": "web"})).await;
    let cookie = Browser::login(&server, "alice").await.cookie();
    let headers = [("cookie", cookie.as_str()), ("x-netbit-web", "1")];
    for path in ["/alice/hello/web/info/refs", "/alice/hello/web.git/info/refs"] {
        let path = format!("{path}?service=git-upload-pack");
        assert_eq!(send(&server, Method::GET, &path, &headers).await.status(), 401, "{path}");
    }
    server.stop().await;
}

/// Opens a session with a `Hello` without a token; returns its first packets, up to `Welcome` or
/// `Goodbye`.
async fn hello(server: &TestServer, origin: Option<&str>, cookie: &str) -> Result<Vec<Value>, u16> {
    let mut request = format!("ws://{}/ws", server.app.addresses.http).into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    let mut socket = match soon(connect_async(request)).await {
        Ok((socket, _)) => socket,
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => return Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    };
    let hello = json!({"packet_type": "Hello", "request_id": 1});
    socket.send(Message::text(hello.to_string())).await.unwrap();
    let mut packets = Vec::new();
    while let Some(Ok(Message::Text(text))) = soon(socket.next()).await {
        let packet: Value = serde_json::from_str(&text).unwrap();
        let kind = packet["packet_type"].clone();
        packets.push(packet);
        if kind == "Welcome" || kind == "Goodbye" {
            break;
        }
    }
    Ok(packets)
}

#[actix_web::test]
async fn session_of_an_own_page_needs_no_token() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let alice = Browser::login(&server, "alice").await;
    let (cookie, own) = (alice.cookie(), format!("http://{}", server.app.addresses.http));
    let opened = hello(&server, Some(&own), &cookie).await.unwrap();
    assert_eq!(opened.last().unwrap()["packet_type"], "Welcome", "{opened:?}");
    let without_origin = hello(&server, None, &cookie).await.unwrap();
    assert_eq!(without_origin.last().unwrap()["code"], "unauthenticated", "{without_origin:?}");
    assert_eq!(hello(&server, Some("http://evil.example"), &cookie).await, Err(403));
    alice.post_form("/logout", &[]).await.expect_redirect("/login");
    let ended = hello(&server, Some(&own), &cookie).await.unwrap();
    assert_eq!(ended.last().unwrap()["code"], "unauthenticated", "{ended:?}");
    server.stop().await;
}

#[actix_web::test]
async fn ended_login_cannot_act_from_an_open_page() {
    let server = TestServer::start().await;
    let admin = server.admin("root").await;
    let alice = server.user("alice").await;
    let ends: [(&str, Value); 2] =
        [("/api/users/logout", json!({"all": true})), ("/api/users/me/password", Value::Null)];
    for (path, body) in ends {
        let open_page = Browser::login(&server, "alice").await;
        let body = match body {
            Value::Null => json!({"current_password": PASSWORD, "new_password": "another correct horse"}),
            body => body,
        };
        let alice = server.login("alice").await;
        assert_eq!(alice.post(path, body).await.status, 204, "{path}");
        let cookie = open_page.cookie();
        let headers = [("cookie", cookie.as_str()), ("x-netbit-web", "1"), ("sec-fetch-site", "same-origin")];
        let refused = send(&server, Method::POST, "/api/notifications/read", &headers).await;
        assert_eq!(refused.status(), 401, "{path}");
    }
    let bob = server.user("bob").await;
    let open_page = Browser::login(&server, "bob").await;
    let body = json!({"active": false});
    assert_eq!(admin.patch("/api/admin/users/bob", body).await.status, 200);
    let cookie = open_page.cookie();
    let headers = [("cookie", cookie.as_str()), ("x-netbit-web", "1")];
    assert_eq!(send(&server, Method::GET, "/api/users/me", &headers).await.status(), 401);
    drop((alice, bob));
    server.stop().await;
}

#[actix_web::test]
async fn errors_have_the_form_of_their_client() {
    let server = TestServer::start().await;
    let kind = |response: &reqwest::Response| {
        response.headers().get("content-type").unwrap().to_str().unwrap().to_owned()
    };
    let page = send(&server, Method::GET, "/no/such/page/at/all", &[("accept", "text/html")]).await;
    assert_eq!((page.status().as_u16(), kind(&page).as_str()), (404, "text/html; charset=utf-8"));
    assert!(page.text().await.unwrap().contains("<h1>Page not found</h1>"));
    for (path, accept) in [("/no/such/page/at/all", "*/*"), ("/api/none", "text/html")] {
        let problem = send(&server, Method::GET, path, &[("accept", accept)]).await;
        assert_eq!((problem.status().as_u16(), kind(&problem).as_str()), (404, "application/problem+json"));
    }
    let git = send(&server, Method::GET, "/a/b/c/info/refs?service=git-upload-pack", &[]).await;
    assert!(kind(&git).starts_with("text/plain"), "{}", kind(&git));
    server.stop().await;
}

#[actix_web::test]
async fn page_allows_no_inline_code_and_no_other_host() {
    let server = TestServer::start().await;
    let page = send(&server, Method::GET, "/register", &[("accept", "text/html")]).await;
    let header = |name: &str| page.headers().get(name).unwrap().to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    let needed = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "trusted-types 'none'",
    ];
    assert!(needed.iter().all(|part| policy.contains(part)) && !policy.contains("unsafe"), "{policy}");
    assert_eq!(header("referrer-policy"), "same-origin", "else browsers send Origin: null with forms");
    assert_eq!(header("cross-origin-opener-policy"), "same-origin");
    let html = page.text().await.unwrap();
    let style =
        html.split("href=\"").find_map(|part| part.split('"').next().filter(|href| href.ends_with(".css")));
    let style = style.unwrap().to_owned();
    let found = send(&server, Method::GET, &style, &[("accept-encoding", "gzip")]).await;
    assert_eq!(found.status(), 200);
    assert_eq!(found.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(found.headers()["content-encoding"], "gzip");
    let other = style.replace("/assets/", "/assets/0");
    assert_eq!(send(&server, Method::GET, &other, &[]).await.status(), 404);
    assert_eq!(send(&server, Method::GET, "/favicon.ico", &[]).await.status(), 200);
    assert!(
        send(&server, Method::GET, "/robots.txt", &[])
            .await
            .text()
            .await
            .unwrap()
            .contains("Disallow: /api/")
    );
    server.stop().await;
}
