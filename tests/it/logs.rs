//! Log lines that operators search and that fail2ban reads.

use std::collections::BTreeMap;
use std::path::Path;

use netbit::client::{HttpClient, TcpClient};
use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::git::{GitWorkdir, repositories_in};
use crate::harness::{PASSWORD, Process, eventually, soon};

const OFFICE: [(&str, &str); 1] = [("x-forwarded-for", "203.0.113.7")];
const VISITOR: [(&str, &str); 1] = [("x-forwarded-for", "6.6.6.6, 2001:db8::7")];

/// Starts a server behind a proxy on this machine, with its log in a file.
async fn behind_proxy(directory: &Path, format: &str, log: &Path) -> Process {
    let environment = [
        ("NETBIT_LOG__LEVEL", "info"),
        ("NETBIT_LOG__FORMAT", format),
        ("NETBIT_HTTP__TRUSTED_PROXIES", "127.0.0.1"),
    ];
    Process::logging(directory, &environment, log).await
}

async fn post(server: &Process, path: &str, body: Value, from: &[(&str, &str)]) -> u16 {
    server.http.send(Method::POST, path, Some(&body), from).await.unwrap().status
}

/// Fails to log in from both addresses, in every way in which a client can guess a password or a
/// setup code.
async fn guess(server: &Process) {
    server.http.register("alice", PASSWORD).await.unwrap();
    let alice = server.http.with_token(server.http.login("alice", PASSWORD).await.unwrap().token);
    let wrong = json!({"username": "alice", "password": "wrong password"});
    assert_eq!(post(server, "/api/users/login", wrong, &OFFICE).await, 401);
    // A user name cannot pass as an address.
    let invented = json!({"username": "x failed login from 1.1.1.1", "password": "wrong password"});
    assert_eq!(post(server, "/api/users/login", invented, &OFFICE).await, 401);
    let setup = json!({"username": "mallory", "password": PASSWORD, "setup_code": "guess"});
    assert_eq!(post(server, "/api/users/register", setup, &VISITOR).await, 403);
    let refs = format!("http://{}/alice/site/web/info/refs?service=git-upload-pack", server.address());
    let over_git = reqwest::Client::new().get(refs).basic_auth("alice", Some("wrong password"));
    assert_eq!(over_git.header(VISITOR[0].0, VISITOR[0].1).send().await.unwrap().status().as_u16(), 401);
    let change = json!({"current_password": "wrong password", "new_password": "battery staple"});
    let path = "/api/users/me/password";
    assert_eq!(alice.send(Method::POST, path, Some(&change), &VISITOR).await.unwrap().status, 403);
    let path = "/failed%20login%20from%201.1.1.1";
    assert_eq!(server.http.send(Method::GET, path, None, &OFFICE).await.unwrap().status, 404);
}

/// Regression: the log of a hundred failed logins named neither an address nor a user to ban or to
/// warn.
#[actix_web::test]
async fn log_lines_name_client_and_user() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let server = behind_proxy(directory.path(), "json", &log).await;
    guess(&server).await;
    let account = server.http.login("alice", PASSWORD).await.unwrap();
    let alice = server.http.with_token(account.token);
    assert_eq!(alice.send(Method::GET, "/api/users/me", None, &OFFICE).await.unwrap().status, 200);

    let lines = lines(&log);
    let failed: Vec<_> = lines
        .iter()
        .filter(|line| line["message"].as_str().unwrap().starts_with("failed "))
        .map(|line| (line["client"].as_str().unwrap(), line["username"].as_str().unwrap()))
        .collect();
    assert_eq!(
        failed,
        [
            ("203.0.113.7", "alice"),
            ("203.0.113.7", "x failed login from 1.1.1.1"),
            ("2001:db8::7", "mallory"),
            ("2001:db8::7", "alice"),
            ("2001:db8::7", "alice")
        ]
    );
    let requests: Vec<_> = lines.iter().filter(|line| line.get("route").is_some()).collect();
    assert!(requests.iter().all(|line| line["client"].is_string()), "{requests:?}");
    let own = requests.iter().rfind(|line| line["path"] == "/api/users/me").unwrap();
    assert_eq!((&own["client"], &own["user_id"]), (&json!("203.0.113.7"), &json!(account.user.id.0)));
    let failure = lines.iter().find(|line| line["username"] == "mallory").unwrap();
    let request = requests.iter().find(|line| line["request_id"] == failure["request_id"]).unwrap();
    assert_eq!((&request["status"], request.get("user_id")), (&json!(403), None));
    server.stop().await;
}

/// The regular expressions of the filter ban the guessing addresses, and none that a client
/// invented.
#[actix_web::test]
async fn fail2ban_filter_matches_real_log_lines() {
    let directory = tempfile::tempdir().unwrap();
    let date = Regex::new(r#"^(\{"timestamp":")?\d{4}-[^" ]*Z"?"#).unwrap();
    for format in ["json", "text"] {
        let log = directory.path().join(format!("{format}.log"));
        let data = tempfile::tempdir().unwrap();
        let server = behind_proxy(data.path(), format, &log).await;
        guess(&server).await;
        let mut banned: BTreeMap<String, usize> = BTreeMap::new();
        for line in std::fs::read_to_string(&log).unwrap().lines() {
            // In a file, fail2ban removes the date from the line. In the journal, the line follows
            // host and process.
            let without_date = date.replace(line, "");
            let journal = format!("host netbit[4711]: {line}");
            let matched = [without_date.as_ref(), &journal].map(address_in);
            assert_eq!(matched[0], matched[1], "{line}");
            if let [Some(address), _] = matched {
                *banned.entry(address).or_default() += 1;
            }
        }
        let expected = [("2001:db8::7".to_owned(), 3), ("203.0.113.7".to_owned(), 2)];
        assert_eq!(banned, BTreeMap::from(expected), "{format}");
        server.stop().await;
    }
}

/// Starts a server with JSON lines of all its own levels in a file.
async fn verbose(directory: &Path, log: &Path, failpoints: &str) -> Process {
    let environment = [
        ("NETBIT_LOG__LEVEL", "warn,netbit=debug"),
        ("NETBIT_LOG__FORMAT", "json"),
        ("FAILPOINTS", failpoints),
    ];
    Process::logging(directory, &environment, log).await
}

/// Registers alice with the repository `alice/hello/web`.
async fn alice_with_repository(server: &Process) -> HttpClient {
    server.http.register("alice", PASSWORD).await.unwrap();
    let alice = server.http.with_token(server.http.login("alice", PASSWORD).await.unwrap().token);
    for (path, body) in [
        ("/api/projects/create", json!({"name": "hello"})),
        ("/api/projects/alice/hello/repos/create", json!({"name": "web"})),
    ] {
        alice.post(path, &body).await.unwrap().success().unwrap();
    }
    alice
}

/// Waits for a line with a text in its message.
async fn line_with(log: &Path, message: &str) -> Value {
    let has = |line: &Value| line["message"].as_str().is_some_and(|text| text.contains(message));
    soon(eventually(async || complete_lines(log).into_iter().find(has))).await
}

#[actix_web::test]
async fn log_lines_of_a_request_carry_its_route() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let server = verbose(directory.path(), &log, "").await;
    let wrong = json!({"username": "alice", "password": "wrong password"});
    assert_eq!(post(&server, "/api/users/login", wrong, &[]).await, 401);
    let failed = line_with(&log, "failed login").await;
    assert_eq!((&failed["method"], &failed["route"]), (&json!("POST"), &json!("/api/users/login")));
    let request = line_with(&log, "POST /api/users/login 401").await;
    assert!(failed["request_id"].is_string(), "{failed}");
    assert_eq!(failed["request_id"], request["request_id"]);
    server.stop().await;
}

#[actix_web::test]
async fn log_lines_of_a_session_carry_session_and_user() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let server = verbose(directory.path(), &log, "").await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let account = server.http.login("alice", PASSWORD).await.unwrap();
    let (mut stranger, (mut alice, _)) = (
        TcpClient::connect(server.tcp()).await.unwrap(),
        TcpClient::open(server.tcp(), &account.token).await.unwrap(),
    );
    for (session, user) in [(&mut stranger, None), (&mut alice, Some(account.user.id.0))] {
        let earlier = complete_lines(&log).len();
        // A frame of one byte, which is not a map.
        session.writer.send_bytes(&[0, 0, 0, 1, 7]).await.unwrap();
        let bad = |line: &Value| line["message"] == "a frame is not a packet";
        let line = soon(eventually(async || complete_lines(&log).into_iter().skip(earlier).find(bad))).await;
        assert!(line["session.id"].is_u64(), "{line}");
        assert_eq!(line.get("user_id").and_then(Value::as_i64), user, "{line}");
    }
    server.stop().await;
}

/// The settlement of a push fails once: its warning has the ids of the push, and the cause.
#[actix_web::test]
async fn log_lines_of_a_push_carry_push_and_repository() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let server = verbose(directory.path(), &log, "push.reading=1*panic(a broken disk)").await;
    let alice = alice_with_repository(&server).await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let url = format!("http://alice:{}@{}/alice/hello/web", PASSWORD.replace(' ', "%20"), server.address());
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let line = line_with(&log, "cannot settle a push yet").await;
    let repository = alice.get("/api/projects/alice/hello/repos/web").await.unwrap().body["id"].clone();
    assert_eq!(line["repository.id"], repository.to_string(), "{line}");
    assert_eq!(line["push.id"], "1", "{line}");
    assert!(line["error"].as_str().unwrap().contains("a broken disk"), "{line}");
    let request = line_with(&log, "git-receive-pack 200").await;
    assert_eq!(line["request_id"], request["request_id"], "{line}");
    server.stop().await;
}

/// The client gets a code and a sentence, the operator the causes.
#[actix_web::test]
async fn internal_error_is_logged_with_its_causes() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let server = behind_proxy(directory.path(), "json", &log).await;
    let alice = alice_with_repository(&server).await;
    let mut found = Vec::new();
    repositories_in(&directory.path().join("repos"), &mut found);
    std::fs::write(found[0].join("packed-refs"), "not a list of refs\n").unwrap();
    let answer = alice.get("/api/projects/alice/hello/repos/web/branches").await.unwrap();
    assert_eq!((answer.status, answer.code()), (500, "internal"), "{}", answer.body);
    assert_eq!(answer.body["detail"], "the repository could not be read");
    let line = line_with(&log, "/branches 500").await;
    let causes = line["error"].as_str().unwrap();
    assert!(causes.starts_with("the repository could not be read: "), "{causes}");
    assert!(causes.contains("packed references"), "{causes}");
    let errors = complete_lines(&log).into_iter().filter(|line| line["level"] == "ERROR").count();
    assert_eq!(errors, 1, "the error has one line");
    server.stop().await;
}

/// Returns the address that the filter of `packaging/` would ban for this line.
fn address_in(line: &str) -> Option<String> {
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/fail2ban-filter.conf");
    let filter = std::fs::read_to_string(filter).unwrap();
    let (_, definition) = filter.split_once("failregex = ").unwrap();
    let (expressions, _) = definition.split_once("ignoreregex").unwrap();
    let expressions =
        expressions.lines().map(|line| line.trim().replace("<ADDR>", "(?<address>[0-9a-fA-F.:]+)"));
    let mut found = expressions.filter_map(|expression| {
        let found = Regex::new(&expression).unwrap().captures(line)?;
        Some(found["address"].to_owned())
    });
    found.next()
}

/// Returns the lines of a log that is being written.
fn complete_lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}
