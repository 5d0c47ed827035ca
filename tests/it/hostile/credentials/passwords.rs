//! Passwords that are guessed first.

use serde_json::{Value, json};

use crate::harness::{PASSWORD, TestServer, assert_problem, netbit_beside};

/// Regression: `password` and eight spaces were accepted as passwords. Weak passwords are refused
/// wherever a password is set. The rules do not apply at login, where a short password is simply
/// wrong.
#[actix_web::test]
async fn weak_passwords_are_refused_wherever_a_password_is_set() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let alice = server.user("alice").await;
    let workdir = server.path().to_str().unwrap();
    for weak in
        ["password", "Password1", "        ", "12345678", "aaaaaaaaaa", "alice123", "netbit2026", "short"]
    {
        let register = json!({"username": "alice2", "display_name": "alice", "password": weak});
        let change = json!({"current_password": PASSWORD, "new_password": weak});
        for answer in [
            server.http.post("/api/users/register", &register).await.unwrap(),
            alice.post("/api/users/me/password", change).await,
        ] {
            assert_problem(&answer, 422, "validation");
        }
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), weak).unwrap();
        let file = ["--password-file", secret.path().to_str().unwrap(), "--data-dir", workdir];
        for command in
            [["user", "add", "alice2", "--display-name=alice"], ["user", "password", "alice", "--data-dir"]]
        {
            let command: Vec<_> =
                command.into_iter().filter(|word| *word != "--data-dir").chain(file).collect();
            assert!(!netbit_beside(&command).await.status.success(), "{command:?} {weak:?}");
        }
    }
    assert_eq!(alice.get("/api/users/me").await.status, 200, "nothing was changed");
    server.stop().await;
}

/// The rules apply to new passwords only. At login every text of up to 1024 bytes is compared, at
/// the same cost and with the same answer.
#[actix_web::test]
async fn password_rules_do_not_apply_at_login() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let login = async |name: &str, password: &str| {
        let body = json!({"username": name, "password": password});
        let mut answer = server.http.post("/api/users/login", &body).await.unwrap();
        answer.body["request_id"] = Value::Null;
        answer
    };
    for wrong in ["x", "password", "        ", "alice123"] {
        let (known, unknown) = (login("alice", wrong).await, login("unknown", wrong).await);
        assert_problem(&known, 401, "unauthenticated");
        assert_eq!(known.body, unknown.body);
    }
    assert_problem(&login("alice", "").await, 422, "validation");
    assert_problem(&login("alice", &"x".repeat(1025)).await, 422, "validation");
    assert_eq!(login("alice", PASSWORD).await.status, 200);
    server.stop().await;
}
