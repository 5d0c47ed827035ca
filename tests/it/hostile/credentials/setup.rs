//! The first administrator of a fresh server.

use netbit::core::config::RegistrationPolicy;
use serde_json::{Value, json};

use crate::harness::{PASSWORD, Process, TestServer, assert_problem, netbit_beside};

const REGISTER: &str = "/api/users/register";

fn account(name: &str, more: Value) -> Value {
    let mut body = json!({"username": name, "password": PASSWORD});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn is_admin(server: &TestServer, name: &str) -> bool {
    server.login(name).await.get("/api/users/me").await.body["is_admin"] == true
}

/// Regression: the first stranger who reached a fresh server became its administrator, even with
/// closed registration.
#[actix_web::test]
async fn stranger_on_a_fresh_server_is_an_ordinary_user() {
    let server = TestServer::start().await;
    server.user("stranger").await;
    assert!(!is_admin(&server, "stranger").await);
    server.admin("root").await;
    assert!(is_admin(&server, "root").await, "the stranger did not use up the setup code");
    server.stop().await;

    let closed = TestServer::with(|config| config.accounts.registration = RegistrationPolicy::Closed).await;
    let refused = closed.http.post(REGISTER, &account("stranger", json!({}))).await.unwrap();
    assert_problem(&refused, 403, "forbidden");
    closed.admin("root").await;
    assert!(is_admin(&closed, "root").await);
    closed.stop().await;
}

/// Many concurrent requests with the code: one creates an administrator, and the others are
/// refused.
#[actix_web::test]
async fn setup_code_makes_one_administrator_in_a_race() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let code = server.setup_code();
    let bodies: Vec<_> = (0..20).map(|n| account(&format!("u{n}"), json!({"setup_code": code}))).collect();
    let answers =
        futures_util::future::join_all(bodies.iter().map(|body| server.http.post(REGISTER, body))).await;
    let statuses: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 403].contains(status)), "{statuses:?}");
    server.stop().await;
}

/// A wrong code creates no user, and every guess counts as a registration of its address.
#[actix_web::test]
async fn wrong_setup_code_is_refused_and_guesses_are_limited() {
    let server = TestServer::with_limits(|limits| limits.registrations_burst = 8).await;
    let code = server.setup_code();
    assert!(code.len() >= 32, "192 bits");
    let shorter = &code[..code.len() - 1];
    let (longer, other) = (format!("{code}x"), code.to_lowercase());
    for wrong in ["", " ", "x", shorter, &longer, &other] {
        let body = account("eve", json!({"setup_code": wrong}));
        assert_problem(&server.http.post(REGISTER, &body).await.unwrap(), 403, "forbidden");
    }
    let listed = json!({"username": "eve", "password": PASSWORD, "setup_code": [code]});
    assert_problem(&server.http.post(REGISTER, &listed).await.unwrap(), 422, "validation");
    let named = json!({"username": "eve", "password": PASSWORD, "is_admin": true});
    assert_problem(&server.http.post(REGISTER, &named).await.unwrap(), 422, "validation");
    assert!(server.http.login("eve", PASSWORD).await.is_err());
    let mut last = 0;
    for _ in 0..3 {
        let body = account("eve", json!({"setup_code": "x"}));
        last = server.http.post(REGISTER, &body).await.unwrap().status;
    }
    assert_eq!(last, 429);
    server.stop().await;
}

/// A code ends when it is used, or when an administrator is created in another way. It stays ended
/// when that administrator is deactivated; the next start generates a new code.
#[actix_web::test]
async fn setup_code_ends_with_the_first_administrator() {
    let server = TestServer::start().await;
    let code = server.setup_code();
    let workdir = server.path().to_str().unwrap().to_owned();
    let operate = async |arguments: &[&str]| {
        let output = netbit_beside(&[arguments, &["--data-dir", &workdir]].concat()).await;
        assert!(output.status.success(), "{output:?}");
    };
    let used = async |server: &TestServer, code: &str, name: &str| {
        server.http.post(REGISTER, &account(name, json!({"setup_code": code}))).await.unwrap().status
    };
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), PASSWORD).unwrap();
    operate(&["user", "add", "root", "--admin", "--password-file", secret.path().to_str().unwrap()]).await;
    assert_eq!(used(&server, &code, "eve").await, 403);
    operate(&["user", "deactivate", "root"]).await;
    assert_eq!(used(&server, &code, "eve").await, 403, "a leaked code no longer works");

    // No administrator is active, so this start has its own code. Activating an administrator ends
    // it.
    let server = server.restart(|_| ()).await;
    let next = server.setup_code();
    operate(&["user", "activate", "root"]).await;
    assert_eq!(used(&server, &next, "eve").await, 403);
    operate(&["user", "deactivate", "root"]).await;
    assert_eq!(used(&server, &next, "eve").await, 403, "the code stays ended");

    let server = server.restart(|_| ()).await;
    let next = server.setup_code();
    assert_ne!(code, next);
    assert_eq!(used(&server, &code, "eve").await, 403);
    assert_eq!(used(&server, &next, "alice").await, 201);
    assert_eq!(used(&server, &next, "eve").await, 403, "the code works once");
    assert!(is_admin(&server, "alice").await);
    let server = server.restart(|_| ()).await;
    assert!(server.app.services.setup_code().is_none());
    assert_eq!(used(&server, &next, "eve").await, 403);
    server.stop().await;
}

/// Each start prints the code until there is an administrator. The code is never in the log.
#[actix_web::test]
async fn setup_code_is_printed_until_an_administrator_exists() {
    let directory = tempfile::tempdir().unwrap();
    let code = |server: &Process| {
        let (_, rest) = server.greeting.split_once("/setup#code=")?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let mut server = Process::start(directory.path()).await;
    let first = code(&server).unwrap();
    assert!(server.greeting.contains(&format!("http://{}/setup#code=", server.address())));
    server.kill();
    let mut server = Process::start(directory.path()).await;
    let second = code(&server).unwrap();
    assert_ne!(first, second);
    let body = |code: &str| account("root", json!({"setup_code": code}));
    assert_eq!(server.http.post(REGISTER, &body(&first)).await.unwrap().status, 403);
    assert_eq!(server.http.post(REGISTER, &body(&second)).await.unwrap().status, 201);
    server.kill();
    let mut server = Process::start(directory.path()).await;
    assert_eq!(code(&server), None, "{}", server.greeting);
    server.kill();
}
