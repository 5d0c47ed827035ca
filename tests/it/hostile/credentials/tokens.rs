//! Access tokens: who may create them, when they expire, what ends them, and who is notified.

use reqwest::Method;
use serde_json::{Value, json};

use super::{account_notifications, audited, change_database};
use crate::harness::{PASSWORD, Person, TestServer, assert_problem, netbit_beside, soon};

const TOKENS: &str = "/api/users/me/tokens";

fn wanted(more: Value) -> Value {
    let mut body = json!({"name": "ci", "scopes": ["chat:read"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn works(client: &netbit::client::HttpClient) -> bool {
    client.get("/api/chats").await.unwrap().status == 200
}

/// Regression: a stolen login of 15 minutes created an access token that never expired. Now a login
/// older than `limits.fresh_login_seconds` needs the password; a wrong password is refused. Neither
/// an access token nor an ended login can be used to guess the password.
#[actix_web::test]
async fn old_login_creates_no_token_without_the_password() {
    let server = TestServer::with_limits(|limits| limits.fresh_login_seconds = 0).await;
    let alice = server.user("alice").await;
    assert_problem(&alice.post(TOKENS, wanted(json!({}))).await, 403, "fresh_login_required");
    let wrong = wanted(json!({"password": "wrong password"}));
    assert_problem(&alice.post(TOKENS, wrong.clone()).await, 403, "forbidden");
    assert_problem(&alice.post(TOKENS, wanted(json!({"password": ""}))).await, 422, "validation");
    let (_, client) = alice.access_token(wanted(json!({"password": PASSWORD}))).await;
    assert!(works(&client).await);
    assert_problem(
        &client.post(TOKENS, &wanted(json!({"password": PASSWORD}))).await.unwrap(),
        403,
        "forbidden",
    );
    alice.post("/api/users/logout", json!({})).await;
    for body in [wrong, wanted(json!({"password": PASSWORD}))] {
        assert_problem(&alice.post(TOKENS, body).await, 401, "unauthenticated");
    }
    server.stop().await;
}

/// Refreshing returns a new access token, but the login keeps its age.
#[actix_web::test]
async fn refreshed_login_is_as_old_as_the_original_login() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.access_token(wanted(json!({}))).await;
    let server = server
        .restart(|config| {
            let eleven_minutes = "UPDATE sessions SET created_at = created_at - 660000";
            change_database(&config.data_dir.0, eleven_minutes);
        })
        .await;
    let again = server.http.refresh(&alice.refresh_token).await.unwrap();
    let refreshed = server.http.with_token(again.token);
    let answer = refreshed.post(TOKENS, &wanted(json!({}))).await.unwrap();
    assert_problem(&answer, 403, "fresh_login_required");
    let fresh = server.login("alice").await;
    fresh.access_token(wanted(json!({}))).await;
    server.stop().await;
}

/// A login can appear to begin in the future after the clock was set back. It does not count as
/// fresh.
#[actix_web::test]
async fn login_with_a_future_start_is_not_fresh() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let server = server
        .restart(|config| {
            let an_hour = "UPDATE sessions SET created_at = created_at + 3600000";
            change_database(&config.data_dir.0, an_hour);
        })
        .await;
    let client = server.http.with_token(alice.http.token().unwrap());
    let answer = client.post(TOKENS, &wanted(json!({}))).await.unwrap();
    assert_problem(&answer, 403, "fresh_login_required");
    server.stop().await;
}

/// Password guesses for a token are delayed as at login, but counted separately: guesses at login
/// do not delay them.
#[actix_web::test]
async fn wrong_passwords_for_tokens_are_delayed_like_logins() {
    let server = TestServer::with_limits(|limits| {
        (limits.login_failures_free, limits.login_delay_max_ms) = (2, 400);
    })
    .await;
    let alice = server.user("alice").await;
    for _ in 0..3 {
        let answer = alice.post(TOKENS, wanted(json!({"password": "wrong password"}))).await;
        assert_problem(&answer, 403, "forbidden");
    }
    let begun = std::time::Instant::now();
    let right = alice.post(TOKENS, wanted(json!({"password": PASSWORD}))).await;
    assert_eq!(right.status, 201, "{}", right.body);
    assert!(begun.elapsed().as_millis() >= 300, "the right password was delayed by the wrong ones");
    server.stop().await;
}

/// Returns the days between creation and expiry; `None` without an expiry.
async fn days(person: &Person, body: Value) -> Option<i64> {
    let made = person.post(TOKENS, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let at = |field: &str| made.body[field].as_str().map(|text| text.parse::<jiff::Timestamp>().unwrap());
    let life = at("expires_at")?.as_second() - at("created_at").unwrap().as_second();
    Some((life + 3600) / (24 * 3600))
}

/// A token without an explicit expiry expires after 90 days. A token without expiry needs a server
/// that allows it, or the operator of the machine.
#[actix_web::test]
async fn token_expires_in_90_days_by_default() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    assert_eq!(days(&alice, wanted(json!({}))).await, Some(90));
    assert_eq!(days(&alice, wanted(json!({"expires_in_days": 7}))).await, Some(7));
    assert_eq!(days(&alice, wanted(json!({"expires_in_days": 0}))).await, None);
    let server = server.restart(|config| config.accounts.tokens_without_expiry = false).await;
    let alice = server.login("alice").await;
    let endless = wanted(json!({"expires_in_days": 0}));
    assert_problem(&alice.post(TOKENS, endless).await, 422, "validation");
    assert_eq!(days(&alice, wanted(json!({}))).await, Some(90));
    let list = alice.get(TOKENS).await.body;
    let endless = list["items"].as_array().unwrap().iter().filter(|t| t.get("expires_at").is_none());
    assert_eq!(endless.count(), 1, "existing tokens keep their expiry");
    let workdir = server.path().to_str().unwrap();
    let create =
        ["token", "create", "alice", "--name", "op", "--scope", "chat:read", "--expires-in-days", "0"];
    assert!(netbit_beside(&[&create[..], &["--data-dir", workdir]].concat()).await.status.success());
    server.stop().await;
}

/// Regression: the owner was not notified. Now each token is in the audit log and in a
/// notification, including a token that the operator created.
#[actix_web::test]
async fn new_token_is_audited_and_its_owner_notified() {
    let server = TestServer::start().await;
    let (root, alice) = (server.admin("root").await, server.user("alice").await);
    let mut session = alice.tcp().await;
    alice.access_token(wanted(json!({"name": "stolen"}))).await;
    // Every session gets the notification at once.
    while soon(session.any()).await.unwrap().packet_type != "Notification" {}
    let workdir = server.path().to_str().unwrap();
    let create = ["token", "create", "alice", "--name", "op", "--scope", "repo:read", "--data-dir", workdir];
    assert!(netbit_beside(&create).await.status.success());

    let told = account_notifications(&alice).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("\"stolen\" (chat:read)"), "{told:?}");
    assert!(told[0].contains("\"op\" (repo:read)") && told[0].contains("operator"), "{told:?}");
    let made = audited(&root, "token.create").await;
    assert_eq!((made.len(), &made[1]["actor_id"]), (2, &json!(alice.id.0)));
    assert_eq!(made[0].get("actor_id"), None, "the operator");
    assert_eq!(
        (&made[1]["detail"]["name"], &made[1]["detail"]["scopes"]),
        (&json!("stolen"), &json!(["chat:read"]))
    );
    assert!(account_notifications(&root).await.is_empty());
    server.stop().await;
}

/// The owner of a token that expires within a week is notified once for each token, across
/// restarts.
#[actix_web::test]
async fn expiring_token_is_announced_once_across_restarts() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for (name, days) in [("soon", 90), ("later", 91), ("short", 3)] {
        alice.access_token(wanted(json!({"name": name, "expires_in_days": days}))).await;
    }
    let made = account_notifications(&alice).await.len();
    let mut server = server
        .restart(|config| {
            // For these tokens, 83 days and an hour have passed.
            let moved = "UPDATE access_tokens SET created_at = created_at - 7174800000, \
                         expires_at = expires_at - 7174800000 WHERE name <> 'short'";
            change_database(&config.data_dir.0, moved);
        })
        .await;
    for _ in 0..3 {
        let alice = server.login("alice").await;
        let announced = async {
            while account_notifications(&alice).await.len() == made {
                tokio::task::yield_now().await;
            }
        };
        soon(announced).await;
        // The job runs again and finds no token to announce.
        assert_eq!(server.app.services.warn_of_expiring_tokens().await.unwrap(), 0);
        let told = account_notifications(&alice).await;
        assert_eq!(told.len(), made + 1, "{told:?}");
        assert!(told[0].contains("\"soon\" expires at"), "{told:?}");
        server = server.restart(|_| ()).await;
    }
    server.stop().await;
}

/// Regression: `logout {"all"}` and a new password left the tokens of a thief valid. Now both end
/// the tokens of the last 24 hours, and `tokens` ends all. Older tokens stay otherwise, because git
/// clients rely on them.
#[actix_web::test]
async fn logout_of_all_ends_recent_tokens_and_more_if_asked() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let (_, old) = alice.access_token(wanted(json!({"name": "old"}))).await;
    let server = server
        .restart(|config| {
            let a_day = "UPDATE access_tokens SET created_at = created_at - 86460000";
            change_database(&config.data_dir.0, a_day);
        })
        .await;
    let old = server.http.with_token(old.token().unwrap());
    let (alice, phone) = (server.login("alice").await, server.login("alice").await);
    let (_, recent) = alice.access_token(wanted(json!({"name": "recent"}))).await;
    assert_problem(&alice.post("/api/users/logout", json!({"tokens": true})).await, 422, "validation");

    assert_eq!(phone.post("/api/users/logout", json!({})).await.status, 204);
    assert!(works(&recent).await && works(&old).await, "a single logout ends no tokens");
    let change = json!({"current_password": PASSWORD, "new_password": "battery staple"});
    assert_eq!(alice.post("/api/users/me/password", change).await.status, 204);
    assert!(!works(&recent).await && works(&old).await, "a new password ends recent tokens");

    let login = async || {
        let account = server.http.login("alice", "battery staple").await.unwrap();
        server.http.with_token(account.token)
    };
    let made = login().await.post(TOKENS, &wanted(json!({"name": "again"}))).await.unwrap();
    let recent = server.http.with_token(made.body["token"].as_str().unwrap().to_owned());
    assert!(works(&recent).await);
    let all = login().await.post("/api/users/logout", &json!({"all": true})).await.unwrap();
    assert_eq!(all.status, 204);
    assert!(!works(&recent).await && works(&old).await);
    let everything = login().await.post("/api/users/logout", &json!({"all": true, "tokens": true})).await;
    assert_eq!(everything.unwrap().status, 204);
    assert!(!works(&old).await);
    let left = login().await.get(TOKENS).await.unwrap().body;
    assert_eq!(left["items"], json!([]));
    server.stop().await;
}

/// Regression: the operator's password reset left every token valid, and a deactivation suspended
/// tokens only until the user was activated again. Now both end the tokens permanently, and so does
/// `netbit token revoke --all`.
#[actix_web::test]
async fn operators_reset_and_revocation_end_all_tokens() {
    let server = TestServer::start().await;
    let (root, alice) = (server.admin("root").await, server.user("alice").await);
    let workdir = server.path().to_str().unwrap().to_owned();
    let operate = async |arguments: &[&str]| {
        let output = netbit_beside(&[arguments, &["--data-dir", &workdir]].concat()).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "battery staple").unwrap();
    let (_, first) = alice.access_token(wanted(json!({}))).await;
    operate(&["user", "password", "alice", "--password-file", secret.path().to_str().unwrap()]).await;
    assert!(!works(&first).await);
    assert_eq!(audited(&root, "user.password").await[0]["detail"]["tokens_revoked"], 1);

    let account = server.http.login("alice", "battery staple").await.unwrap();
    let alice = server.http.with_token(account.token);
    for _ in 0..3 {
        assert_eq!(alice.post(TOKENS, &wanted(json!({}))).await.unwrap().status, 201);
    }
    let listed = operate(&["token", "list", "alice"]).await;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let id = serde_json::from_str::<Value>(listed.lines().next().unwrap()).unwrap()["id"].to_string();
    operate(&["token", "revoke", "alice", &id]).await;
    assert!(operate(&["token", "revoke", "alice", "--all"]).await.contains('2'));
    assert_eq!(operate(&["token", "list", "alice"]).await, "");

    // A user who is deactivated and activated again does not get the old tokens back.
    let made = alice.post(TOKENS, &wanted(json!({}))).await.unwrap();
    let last = server.http.with_token(made.body["token"].as_str().unwrap());
    operate(&["user", "deactivate", "alice"]).await;
    assert_eq!(operate(&["token", "list", "alice"]).await, "");
    operate(&["user", "activate", "alice"]).await;
    assert!(!works(&last).await);
    server.stop().await;
}

/// Regression: the use of a token was not visible. Its last use is shown, written in the background
/// of requests, and not written again within the hour.
#[actix_web::test]
async fn last_use_of_a_token_is_shown_and_written_once_an_hour() {
    let server = TestServer::with_limits(|limits| limits.token_use_write_ms = 20).await;
    let alice = server.user("alice").await;
    let (_, client) = alice.access_token(wanted(json!({}))).await;
    let last_use = async || {
        let list = alice.get(TOKENS).await.body;
        list["items"][0]["last_used_at"].as_str().map(str::to_owned)
    };
    assert_eq!(last_use().await, None);
    // A request that is refused for a missing scope counts as a use.
    assert_eq!(client.get("/api/admin/audit").await.unwrap().status, 403);
    let shown = async {
        while last_use().await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    soon(shown).await;
    let first = last_use().await;
    for _ in 0..10 {
        assert!(works(&client).await);
    }
    server.app.services.write_token_uses().await.unwrap();
    assert_eq!(last_use().await, first);
    let server = server.restart(|_| ()).await;
    let list = server.login("alice").await.get(TOKENS).await.body;
    assert_eq!(list["items"][0]["last_used_at"].as_str().map(str::to_owned), first);
    server.stop().await;
}

/// A revoked or expired token gets 401 everywhere, never 403: its scopes no longer matter.
#[actix_web::test]
async fn revoked_or_expired_token_gets_401_before_its_scopes_count() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let (revoked_id, revoked) = alice.access_token(wanted(json!({}))).await;
    let (expired_id, expired) = alice.access_token(wanted(json!({}))).await;
    alice.delete(&format!("{TOKENS}/{revoked_id}")).await;
    let server = server
        .restart(|config| {
            let statement = format!("UPDATE access_tokens SET expires_at = 1000 WHERE id = {expired_id}");
            change_database(&config.data_dir.0, &statement);
        })
        .await;
    for token in [revoked, expired] {
        let client = server.http.with_token(token.token().unwrap());
        for (method, path) in [
            (Method::GET, "/api/chats"),
            (Method::GET, "/api/admin/audit"),
            (Method::GET, TOKENS),
            (Method::GET, "/api/projects"),
        ] {
            let answer = client.send(method, path, None, &[]).await.unwrap();
            assert_problem(&answer, 401, "unauthenticated");
        }
    }
    server.stop().await;
}
