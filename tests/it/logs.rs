//! Log lines that operators search and that fail2ban reads.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{PASSWORD, Process};

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

fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}
