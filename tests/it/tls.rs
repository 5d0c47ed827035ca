//! TLS for HTTP, WebSocket and TCP sessions, and reverse proxies.

use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use netbit::client::TcpClient;
use netbit::domain::access::RequiredScope;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{PASSWORD, TestServer, soon};

/// Writes a new certificate for `localhost` and its key.
fn renew(directory: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

async fn server(directory: &Path) -> TestServer {
    server_with_hello_timeout(directory, 5_000).await
}

/// Starts a server that closes connections without a Hello after `hello_timeout_ms`.
async fn server_with_hello_timeout(directory: &Path, hello_timeout_ms: u64) -> TestServer {
    renew(directory);
    let (certificate, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
    TestServer::with(|config| {
        (config.tls.certificate, config.tls.key) = (certificate, key);
        config.limits.hello_timeout_ms = hello_timeout_ms;
    })
    .await
}

/// Connects and trusts only the certificate that is in the directory now.
async fn connect(directory: &Path, address: std::net::SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("certificate.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, socket)).await
}

/// Sends one request on a connection of its own and returns the status line and the body.
async fn request(
    directory: &Path,
    server: &TestServer,
    method: &str,
    path: &str,
    body: &Value,
) -> (String, Value) {
    send(directory, server, (method, path, ""), body).await
}

/// Like [`request`], with lines of further headers.
async fn send(
    directory: &Path,
    server: &TestServer,
    (method, path, headers): (&str, &str, &str),
    body: &Value,
) -> (String, Value) {
    let mut stream = connect(directory, server.app.addresses.http).await.unwrap();
    let body = body.to_string();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         connection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The server may close the connection without a TLS close_notify.
    drop(soon(stream.read_to_end(&mut answer)).await);
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap_or_default())
}

async fn token(directory: &Path, server: &TestServer) -> String {
    let account = json!({"username": "alice", "password": PASSWORD});
    request(directory, server, "POST", "/api/users/register", &account).await;
    let (status, login) = request(directory, server, "POST", "/api/users/login", &account).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    login["token"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn http_websocket_and_tcp_sessions_are_encrypted() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path()).await;
    let token = token(directory.path(), &server).await;
    let (_, info) = request(directory.path(), &server, "GET", "/api/server", &Value::Null).await;
    assert_eq!(info["tcp_tls"], true);

    let stream = connect(directory.path(), server.app.addresses.tcp).await.unwrap();
    let (reading, writing) = tokio::io::split(stream);
    let mut session = TcpClient::over(reading, writing);
    let welcome = soon(session.hello(&token)).await.unwrap();
    assert_eq!(welcome.packet_type, "Welcome");

    let stream = connect(directory.path(), server.app.addresses.http).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/ws", stream).await.unwrap();
    let hello = json!({"packet_type": "Hello", "token": token});
    socket.send(Message::text(hello.to_string())).await.unwrap();
    let welcome = soon(socket.next()).await.unwrap().unwrap();
    assert!(welcome.to_text().unwrap().contains("Welcome"));

    // A long answer and many small ones arrive completely.
    let caller = server.app.services.bearer(&token, RequiredScope::Identity).await.unwrap();
    let chat = netbit::services::chats::ChatRequest {
        kind: netbit::domain::chat::ChatKind::Group,
        name: Some("team".into()),
        participants: vec![],
    };
    let (chat, _) = server.app.services.create_chat(caller, chat).await.unwrap();
    for n in 0..50 {
        let text = format!("{n} {}", "x".repeat(10_000));
        soon(session.say(chat.chat.id, &text)).await.unwrap();
    }
    server.stop().await;
}

#[actix_web::test]
async fn login_cookie_is_secure_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path()).await;
    token(directory.path(), &server).await;
    let login = async |origin: &str| {
        let mut stream = connect(directory.path(), server.app.addresses.http).await.unwrap();
        let form = format!("username=alice&password={}", PASSWORD.replace(' ', "+"));
        let head = format!(
            "POST /login HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let answer = login("https://localhost").await;
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.starts_with("__Host-netbit=") && cookie.contains("; Secure"), "{cookie}");
    let unencrypted = login("http://localhost").await;
    assert!(unencrypted.starts_with("HTTP/1.1 403 "), "{unencrypted}");
    server.stop().await;
}

#[actix_web::test]
async fn connection_without_tls_handshake_gets_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let server = server_with_hello_timeout(directory.path(), 200).await;
    let mut silent = TcpStream::connect(server.app.addresses.tcp).await.unwrap();
    let mut rest = Vec::new();
    soon(silent.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
    let mut plain = TcpStream::connect(server.app.addresses.http).await.unwrap();
    plain.write_all(b"GET /api/server HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    drop(soon(plain.read_to_end(&mut answer)).await);
    assert!(!String::from_utf8_lossy(&answer).contains("NetBit"));
    server.stop().await;
}

#[actix_web::test]
async fn renewed_certificate_is_loaded_without_restart_unless_broken() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path()).await;
    let token = token(directory.path(), &server).await;
    let stream = connect(directory.path(), server.app.addresses.tcp).await.unwrap();
    let (reading, writing) = tokio::io::split(stream);
    let mut session = TcpClient::over(reading, writing);
    soon(session.hello(&token)).await.unwrap();

    renew(directory.path());
    let refused = connect(directory.path(), server.app.addresses.tcp).await;
    assert!(refused.is_err(), "the server still sends the old certificate");
    server.app.reload_certificate();
    connect(directory.path(), server.app.addresses.tcp).await.unwrap();
    let (status, _) = request(directory.path(), &server, "GET", "/api/server", &Value::Null).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    let ping = netbit::protocol::packet::MessagePacket { packet_type: "Ping".into(), ..Default::default() };
    assert_eq!(soon(session.request(ping)).await.unwrap().packet_type, "Pong", "open sessions continue");

    let key = std::fs::read(directory.path().join("key.pem")).unwrap();
    std::fs::write(directory.path().join("key.pem"), "nonsense").unwrap();
    server.app.reload_certificate();
    connect(directory.path(), server.app.addresses.tcp).await.unwrap();
    std::fs::write(directory.path().join("key.pem"), key).unwrap();
    server.stop().await;
}

#[actix_web::test]
async fn unreadable_certificate_is_reported_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let netbit = |extra: &[(&str, &str)]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netbit"));
        command
            .args(["serve", "--ops-listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.path().join("data"));
        let output = command.envs(extra.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, printed) =
        netbit(&[("NETBIT_TLS__CERTIFICATE", "/nowhere.pem"), ("NETBIT_TLS__KEY", "/nowhere.key")]);
    assert!(code == Some(1) && printed.contains("/nowhere.pem"), "{printed}");
    let (code, printed) = netbit(&[("NETBIT_TLS__CERTIFICATE", "/nowhere.pem")]);
    assert!(code == Some(78) && printed.contains("belong together"), "{printed}");
}

/// Registrations are limited per address. If the request comes from a trusted proxy, that is the
/// address of its client.
#[actix_web::test]
async fn only_a_trusted_proxy_sets_the_client_address() {
    let register = async |server: &TestServer, name: &str, forwarded: &str| {
        let body = json!({"username": name, "password": PASSWORD});
        let headers = [("x-forwarded-for", forwarded)];
        let path = "/api/users/register";
        server.http.send(reqwest::Method::POST, path, Some(&body), &headers).await.unwrap().status
    };
    for (trusted, statuses) in [("", [201, 429, 429]), ("127.0.0.0/8", [201, 201, 429])] {
        let server = TestServer::with(|config| {
            config.http.trusted_proxies = netbit::core::proxies::TrustedProxies::parse(trusted).unwrap();
            (config.limits.registrations_burst, config.limits.registrations_per_minute) = (1, 1);
        })
        .await;
        let mut seen = Vec::new();
        for (name, forwarded) in
            [("one", "203.0.113.1"), ("two", "203.0.113.2"), ("three", "6.6.6.6, 203.0.113.1")]
        {
            seen.push(register(&server, name, forwarded).await);
        }
        assert_eq!(seen, statuses, "{trusted}");
        server.stop().await;
    }
}

/// Regression: `clone_url` began with `http://` when a proxy in front of the server terminates TLS.
#[actix_web::test]
async fn only_a_trusted_proxy_makes_links_https() {
    for (trusted, sent, scheme) in [
        ("", "https", "http"),
        ("127.0.0.0/8", "https", "https"),
        ("127.0.0.0/8", "http", "http"),
        ("127.0.0.0/8", "https, http", "http"),
        ("127.0.0.0/8", "javascript", "http"),
    ] {
        let server = TestServer::with(|config| {
            config.http.trusted_proxies = netbit::core::proxies::TrustedProxies::parse(trusted).unwrap();
        })
        .await;
        let alice = server.user("alice").await;
        alice.hello_web("public").await;
        let headers = [("x-forwarded-proto", sent), ("host", "git.example.org:8443")];
        let path = "/api/projects/alice/hello/repos/web";
        let answer = server.http.send(reqwest::Method::GET, path, None, &headers).await.unwrap();
        let url = answer.body["clone_url"].as_str().unwrap();
        assert_eq!(url, format!("{scheme}://git.example.org:8443/alice/hello/web.git"), "{trusted} {sent}");
        server.stop().await;
    }
}

#[actix_web::test]
async fn process_reloads_its_certificate_on_sighup() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let directory = tempfile::tempdir().unwrap();
    renew(directory.path());
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_netbit"));
    command.arg("serve").arg("--data-dir").arg(directory.path().join("data"));
    for listener in ["http", "tcp", "udp", "ops"] {
        command.args([format!("--{listener}-listen"), "127.0.0.1:0".to_owned()]);
    }
    command.env("NETBIT_TLS__CERTIFICATE", directory.path().join("certificate.pem"));
    command.env("NETBIT_TLS__KEY", directory.path().join("key.pem"));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = soon(output.next_line()).await.unwrap().unwrap();
    let (_, address) = ready.split_once("https://localhost:").unwrap();
    let digits: String = address.chars().take_while(char::is_ascii_digit).collect();
    let port: u16 = digits.parse().unwrap();
    let address = ([127, 0, 0, 1], port).into();
    connect(directory.path(), address).await.unwrap();

    renew(directory.path());
    assert!(connect(directory.path(), address).await.is_err());
    let process = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::HUP).unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let read_again =
        async { while !log.next_line().await.unwrap().unwrap().contains("certificate reloaded") {} };
    soon(read_again).await;
    connect(directory.path(), address).await.unwrap();
    child.kill().await.unwrap();
}

/// Regression: after `netbit login --ca FILE --git` succeeded, git did not trust the server's
/// certificate.
#[actix_web::test]
async fn login_makes_git_trust_the_named_authority() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path()).await;
    let token = token(directory.path(), &server).await;
    let url = format!("https://localhost:{}", server.app.addresses.http.port());
    std::fs::write(directory.path().join("password"), PASSWORD).unwrap();
    let home = directory.path().to_owned();
    let run = async |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        command
            .args(arguments)
            .current_dir(&home)
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join("config"));
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1").env_remove("GIT_SSL_CAINFO");
        let output = soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let arguments = ["--user", "alice", "--password-file", "password", "--ca", "certificate.pem", "--git"];
    run(env!("CARGO_BIN_EXE_netbit"), &[&["login", &url][..], &arguments].concat()).await;
    let bearer = format!("authorization: Bearer {token}\r\n");
    for (path, body) in [
        ("/api/projects/create", json!({"name": "hello", "visibility": "private"})),
        ("/api/projects/alice/hello/repos/create", json!({"name": "web"})),
    ] {
        let made = send(directory.path(), &server, ("POST", path, &bearer), &body).await;
        assert_eq!(made.0, "HTTP/1.1 201 Created", "{}", made.1);
    }
    run("git", &["clone", "--quiet", &format!("{url}/alice/hello/web"), "clone"]).await;
    server.stop().await;
}
