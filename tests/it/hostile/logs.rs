//! Client input in logs and files: bounded, recorded under the server's own ids, and readable only
//! by the owner.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{PASSWORD, Process, TestServer, netbit_beside, soon};

/// Returns the status of a request with this request line.
async fn status_of(server: &Process, first: &str) -> u16 {
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let request = format!("{first} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon(socket.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap()
}

fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

/// Regression: a path of 60 KB was logged twice, so one connection wrote 93 MiB of log per second.
/// The method, or a path that is just short enough, had the same effect.
#[actix_web::test]
async fn logged_values_are_truncated_in_every_part_of_a_request() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let environment = [("NETBIT_LOG__LEVEL", "info"), ("NETBIT_LOG__FORMAT", "json")];
    let server = Process::logging(directory.path(), &environment, &log).await;
    let (long, allowed) = ("x".repeat(60_000), "y".repeat(15_000));
    assert_eq!(status_of(&server, &format!("GET /{long}")).await, 414);
    assert_eq!(status_of(&server, &format!("GET /api/server?q={long}")).await, 414);
    assert_eq!(status_of(&server, &format!("GET /{allowed}")).await, 404);
    assert_eq!(
        status_of(&server, &format!("GET /{allowed}/b/c/info/refs?service=git-upload-pack")).await,
        401
    );
    assert_eq!(status_of(&server, &format!("{} /", "M".repeat(30_000))).await, 403);
    assert_eq!(status_of(&server, "GET /%0a%1b[2J{\"level\":\"ERROR\"}").await, 404);
    let requests: Vec<_> = lines(&log).into_iter().filter(|line| line.get("path").is_some()).collect();
    assert_eq!(requests.len(), 6);
    for line in requests {
        assert!(line.to_string().len() < 2_000, "{line}");
        assert_eq!(line["level"], "INFO");
    }
    server.stop().await;
}

/// Regression: refusals cost their sender nothing, and each wrote a log line: 20,000 per second.
#[actix_web::test]
async fn flood_of_refused_requests_is_counted_not_logged() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let environment = [
        ("NETBIT_LOG__LEVEL", "info"),
        ("NETBIT_LOG__FORMAT", "json"),
        ("NETBIT_LIMITS__LOGGED_REFUSALS_PER_SECOND", "1"),
    ];
    let server = Process::logging(directory.path(), &environment, &log).await;
    for _ in 0..300 {
        assert_eq!(server.http.get("/nowhere").await.unwrap().status, 404);
    }
    // Regression: bytes that are not a request were logged as an error.
    for _ in 0..20 {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        socket.write_all(b"\0\0\0 no request\r\n\r\n").await.unwrap();
        soon(socket.read_to_end(&mut Vec::new())).await.unwrap();
    }
    assert_eq!(server.http.get("/api/server").await.unwrap().status, 200);
    let lines = lines(&log);
    let requests: Vec<_> = lines.iter().filter(|line| line.get("path").is_some()).collect();
    let unlogged: u64 = requests.iter().filter_map(|line| line["unlogged"].as_u64()).sum();
    assert_eq!(u64::try_from(requests.len()).unwrap() + unlogged, 301, "every request is accounted for");
    assert!(unlogged > 200, "{unlogged}");
    assert_eq!(requests.last().unwrap()["path"], "/api/server");
    assert!(lines.iter().all(|line| line["level"] == "INFO"), "{lines:?}");
    server.stop().await;
}

/// Regression: an attacker sent the request id of another user, and the audit log recorded it as
/// its own.
#[actix_web::test]
async fn audit_log_ignores_the_client_request_id() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let environment = [("NETBIT_LOG__LEVEL", "info"), ("NETBIT_LOG__FORMAT", "json")];
    let server = Process::logging(directory.path(), &environment, &log).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let alice = server.http.with_token(server.http.login("alice", PASSWORD).await.unwrap().token);
    let chat = alice.create_group("team", &[]).await.unwrap();
    let (path, body) = (format!("/api/chats/{chat}"), json!({"name": "new"}));
    let headers = [("x-request-id", "somebody-elses")];
    let renamed = alice.send(Method::PATCH, &path, Some(&body), &headers).await.unwrap();
    assert_eq!((renamed.status, renamed.header("x-request-id")), (200, Some("somebody-elses")));
    let workdir = directory.path().to_str().unwrap();
    let audit = netbit_beside(&["audit", "--limit", "1", "--data-dir", workdir]).await;
    let audited: Value = serde_json::from_slice(&audit.stdout).unwrap();
    let kept = audited["request_id"].as_str().unwrap().to_owned();
    assert!(uuid::Uuid::parse_str(&kept).is_ok(), "{kept}");
    let lines = lines(&log);
    let line = lines.iter().find(|line| line["request_id"] == kept.as_str()).unwrap();
    assert_eq!(
        (&line["client_request_id"], &line["route"]),
        (&json!("somebody-elses"), &json!("/api/chats/{id}"))
    );
    assert!(lines.iter().all(|line| line["request_id"] != "somebody-elses"));
    // A client's request id that is not short and plain is not logged at all.
    let long = "x".repeat(65);
    alice.send(Method::GET, "/api/server", None, &[("x-request-id", &long)]).await.unwrap();
    assert!(!std::fs::read_to_string(&log).unwrap().contains(&long));
    server.stop().await;
}

/// Returns everything below a folder that group or others have access to.
fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            found.extend(open_to_others(&entry.path()));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            found.push(entry.path());
        }
    }
    found
}

/// Regression: exports had mode 0644, so any user of the machine could read all chats.
#[actix_web::test]
async fn files_of_server_and_commands_are_private_to_their_owner() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    alice.say(chat, "a secret").await;
    // A folder that all users can enter, such as /tmp or a shared disk.
    let shared = tempfile::tempdir().unwrap();
    std::fs::set_permissions(shared.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let at = |name: &str| shared.path().join(name).to_str().unwrap().to_owned();
    let (data, chat) = (server.path().to_str().unwrap().to_owned(), chat.to_string());
    for arguments in [
        vec!["chat", "export", &chat, "--out", &at("export.jsonl"), "--data-dir", &data],
        vec!["backup", &at("backup"), "--data-dir", &data],
        vec!["restore", &at("backup"), "--data-dir", &at("restored")],
        vec!["seed", "--data-dir", &at("seeded"), "--password", PASSWORD, "--tokens", &at("tokens")],
    ] {
        let output = netbit_beside(&arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(open_to_others(shared.path()), Vec::<PathBuf>::new());
    server.stop().await;
    // A complete server, with a repository that git creates.
    let process = Process::start(&shared.path().join("restored")).await;
    process.http.register("bob", PASSWORD).await.unwrap();
    let bob = process.http.with_token(process.http.login("bob", PASSWORD).await.unwrap().token);
    let project = json!({"name": "site", "visibility": "private"});
    assert_eq!(bob.post("/api/projects/create", &project).await.unwrap().status, 201);
    let made = bob.post("/api/projects/bob/site/repos/create", &json!({"name": "web"})).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(open_to_others(shared.path()), Vec::<PathBuf>::new());
}
