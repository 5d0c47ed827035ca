//! Logins of browsers, and the list in which users see and end their logins.

use std::net::{IpAddr, Ipv4Addr};

use netbit::client::{HttpClient, TcpClient, TcpError};
use netbit::core::config::Config;
use netbit::domain::access::Credential;
use netbit::domain::timestamp::Timestamp;
use netbit::services::accounts::NewAccount;
use netbit::services::web_logins::WebLogin;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{PASSWORD, Process, TestServer, assert_problem, database, eventually, soon, until};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOGINS: &str = "/api/users/me/logins";

async fn browser(server: &TestServer, name: &str) -> WebLogin {
    let (name, password) = (name.to_owned(), PASSWORD.to_owned());
    server.app.services.web_login(HERE, "Firefox", name, password).await.unwrap()
}

/// Returns the credential of a web login that a service accepts.
async fn accepted(server: &TestServer, login: &WebLogin) -> Option<Credential> {
    let who = server.app.services.web_credential(&login.secret).await.ok()?;
    assert_eq!(server.app.services.me(who).await.unwrap().id, login.user.id);
    Some(who)
}

async fn listed(client: &HttpClient) -> Vec<Value> {
    let answer = client.get(LOGINS).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["items"].as_array().unwrap().clone()
}

fn change_database(directory: &std::path::Path, statement: &str) {
    database::writer(directory).batch_execute(statement);
}

/// Reads until the connection closes and returns the code of the server's `Goodbye`.
async fn goodbye(client: &mut TcpClient) -> Option<String> {
    loop {
        match soon(client.pushed()).await {
            Ok(_) => {}
            Err(TcpError::Closed(code)) => return code,
            Err(other) => panic!("{other}"),
        }
    }
}

#[actix_web::test]
async fn web_login_authenticates_and_is_listed_by_all_logins() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let login = browser(&server, "Alice ").await;
    assert_eq!((login.secret.len(), &login.user.username, login.max_age > 0), (43, &alice.name, true));
    let who = accepted(&server, &login).await.unwrap();
    assert_eq!(who.user, alice.id);

    let shown = listed(&alice.http).await;
    let facts: Vec<_> =
        shown.iter().map(|login| (&login["device"], &login["web"], &login["current"])).collect();
    assert_eq!(
        facts,
        [
            (&json!("Firefox"), &json!(true), &json!(false)),
            (&shown[1]["device"], &json!(false), &json!(true)),
        ]
    );
    assert_eq!((&shown[0]["address"], &shown[1]["address"]), (&json!("127.0.0.1"), &json!("127.0.0.1")));
    assert!(shown[0]["last_used_at"].as_str() < shown[0]["expires_at"].as_str(), "{shown:?}");

    let services = &server.app.services;
    let seen = services.logins(who).await.unwrap();
    let current: Vec<_> = seen.iter().map(|view| (view.login.web, view.current)).collect();
    assert_eq!(current, [(true, true), (false, false)]);
    server.stop().await;
}

#[actix_web::test]
async fn web_login_fails_like_a_login_over_the_api() {
    let server = TestServer::with_limits(|limits| {
        // Far shorter than the first delay, which is a second.
        (limits.login_failures_free, limits.logins_patience_ms) = (4, 200);
    })
    .await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let both = async |name: &str, password: &str| {
        let body = json!({"username": name, "password": password});
        let api = server.http.post("/api/users/login", &body).await.unwrap();
        let web = server.app.services.web_login(HERE, "", name.to_owned(), password.to_owned()).await;
        let web = web.err().expect("the login is refused");
        assert_eq!(web.code.as_str(), api.code(), "{name} {password}");
        web.code.as_str()
    };
    assert_eq!(both("", "x").await, "validation");
    assert_eq!(both("alice", &"x".repeat(2000)).await, "validation");
    assert_eq!(both("nosuch", "wrong password").await, "unauthenticated");
    for _ in 0..2 {
        assert_eq!(both("alice", "wrong password").await, "unauthenticated");
    }
    // Failures at both doors count together, and delay the right password at both.
    assert_eq!(both("alice", PASSWORD).await, "rate_limited");
    server.stop().await;
}

#[actix_web::test]
async fn text_that_is_not_a_secret_is_unauthenticated() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let login = browser(&server, "alice").await;
    let (mut other, token) = (login.secret.clone(), alice.http.token().unwrap());
    other.replace_range(..1, if other.starts_with('A') { "B" } else { "A" });
    let long = "A".repeat(1_000_000);
    let padded = format!("{}=", login.secret);
    for bad in ["", "x", &other, &padded, &login.secret[1..], token, &alice.refresh_token, &long] {
        let refused = server.app.services.web_credential(bad).await.unwrap_err();
        assert_eq!(refused.code.as_str(), "unauthenticated", "{bad:.60}");
    }
    // The secret is not an access token.
    assert_problem(
        &server.http.with_token(login.secret.clone()).get(LOGINS).await.unwrap(),
        401,
        "unauthenticated",
    );
    server.stop().await;
}

#[actix_web::test]
async fn registration_logs_in_without_a_second_password_check() {
    let server = TestServer::start().await;
    let account = |name: &str, setup_code| NewAccount {
        username: name.to_owned(),
        password: PASSWORD.to_owned(),
        email: None,
        display_name: None,
        setup_code,
    };
    let services = &server.app.services;
    let code = server.setup_code();
    let admin = services.register_and_log_in(HERE, "Firefox", account("alice", Some(code))).await.unwrap();
    assert!(admin.user.is_admin && accepted(&server, &admin).await.is_some());
    let bob = services.register_and_log_in(HERE, "Firefox", account("bob", None)).await.unwrap();
    assert!(!bob.user.is_admin && accepted(&server, &bob).await.is_some());
    let taken = services.register_and_log_in(HERE, "Firefox", account("bob", None)).await;
    assert_eq!(taken.err().map(|error| error.code.as_str()), Some("conflict"));
    server.stop().await;
}

#[actix_web::test]
async fn logout_password_and_deactivation_end_a_web_login() {
    let server = TestServer::start().await;
    let (admin, bob) = (server.admin("alice").await, server.user("bob").await);
    let services = &server.app.services;
    let (one, other) = (browser(&server, "bob").await, browser(&server, "bob").await);
    let who = accepted(&server, &one).await.unwrap();
    services.logout(who, netbit::actors::writer::commands::Logout::This).await.unwrap();
    assert!(accepted(&server, &one).await.is_none() && accepted(&server, &other).await.is_some());
    assert_eq!(services.me(who).await.unwrap_err().code.as_str(), "unauthenticated");

    bob.post("/api/users/logout", json!({"all": true})).await;
    assert!(accepted(&server, &other).await.is_none());

    let login = browser(&server, "bob").await;
    let who = accepted(&server, &login).await.unwrap();
    let (current, new) = (PASSWORD.to_owned(), "battery staple".to_owned());
    services.change_password(who, HERE, current, new.clone()).await.unwrap();
    assert!(accepted(&server, &login).await.is_none());

    let login = services.web_login(HERE, "", "bob".to_owned(), new).await.unwrap();
    assert!(accepted(&server, &login).await.is_some());
    assert_eq!(admin.patch("/api/admin/users/bob", json!({"active": false})).await.status, 200);
    assert!(accepted(&server, &login).await.is_none());
    assert_eq!(admin.patch("/api/admin/users/bob", json!({"active": true})).await.status, 200);
    assert!(accepted(&server, &login).await.is_none(), "an ended login does not come back");
    server.stop().await;
}

#[actix_web::test]
async fn user_ends_own_logins_and_their_sessions_only() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let phone = server.login("alice").await;
    let mut on_phone = phone.tcp().await;
    let login = browser(&server, "alice").await;
    let shown = listed(&alice.http).await;
    let path = |login: &Value| format!("{LOGINS}/{}", login["id"]);
    let web = shown.iter().find(|login| login["web"] == true).unwrap();
    for foreign in [path(&listed(&alice.http).await[0]), format!("{LOGINS}/999")] {
        assert_problem(&bob.delete(&foreign).await, 404, "not_found");
    }
    let (_, token) = alice.access_token(json!({"name": "t", "scopes": ["admin"]})).await;
    assert_problem(&token.get(LOGINS).await.unwrap(), 403, "forbidden");
    let refused = token.send(Method::DELETE, &path(web), None, &[]).await.unwrap();
    assert_problem(&refused, 403, "forbidden");
    assert!(accepted(&server, &login).await.is_some());

    assert_eq!(alice.delete(&path(web)).await.status, 204);
    assert!(accepted(&server, &login).await.is_none());
    assert_problem(&alice.delete(&path(web)).await, 404, "not_found");
    let on_phone_login =
        listed(&phone.http).await.into_iter().find(|login| login["current"] == true).unwrap();
    assert_eq!(alice.delete(&path(&on_phone_login)).await.status, 204);
    assert_eq!(goodbye(&mut on_phone).await.as_deref(), Some("revoked"));
    assert_problem(&phone.get(LOGINS).await, 401, "unauthenticated");
    assert!(phone.http.refresh(&phone.refresh_token).await.is_err());

    // A browser ends the other logins, and its own.
    let login = browser(&server, "alice").await;
    let who = accepted(&server, &login).await.unwrap();
    for view in server.app.services.logins(who).await.unwrap().into_iter().rev() {
        server.app.services.end_login_by_id(who, view.login.id).await.unwrap();
    }
    assert_problem(&alice.get(LOGINS).await, 401, "unauthenticated");
    assert!(accepted(&server, &login).await.is_none());
    server.stop().await;
}

#[actix_web::test]
async fn login_shows_its_user_agent_as_a_short_line() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let body = json!({"username": "alice", "password": PASSWORD});
    let agent = format!("curl\t8 {}", "x".repeat(2000));
    let headers = [("user-agent", agent.as_str())];
    let login = server.http.send(Method::POST, "/api/users/login", Some(&body), &headers).await.unwrap();
    let client = server.http.with_token(login.body["token"].as_str().unwrap());
    let before = listed(&client).await.into_iter().find(|login| login["current"] == true).unwrap();
    let device = before["device"].as_str().unwrap();
    assert!(device.starts_with("curl8 xxx") && device.chars().count() == 200, "{device}");
    assert_eq!(before["last_used_at"], before["created_at"]);
    let last_used =
        |login: &Value| serde_json::from_value::<Timestamp>(login["last_used_at"].clone()).unwrap();
    // Times have milliseconds.
    until(async || Timestamp::now() > last_used(&before)).await;
    server.http.refresh(login.body["refresh_token"].as_str().unwrap()).await.unwrap();
    let after = listed(&client).await.into_iter().find(|login| login["current"] == true).unwrap();
    assert!(last_used(&after) > last_used(&before), "a refresh is a use");
    server.stop().await;
}

#[actix_web::test]
async fn logins_beyond_the_limit_end_the_stalest_web_login() {
    let server = TestServer::with_limits(|limits| limits.logins_per_user = 2).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let (first, second) = (browser(&server, "alice").await, browser(&server, "alice").await);
    let third = browser(&server, "alice").await;
    assert!(accepted(&server, &first).await.is_none());
    assert!(accepted(&server, &second).await.is_some() && accepted(&server, &third).await.is_some());
    let alice = server.login("alice").await;
    assert!(accepted(&server, &second).await.is_none());
    assert_eq!(listed(&alice.http).await.len(), 2);
    server.stop().await;
}

/// The expiry of a web login moves once a day only, so it does not order logins by their use.
#[actix_web::test]
async fn login_in_use_stays_when_the_limit_ends_another() {
    let few = |config: &mut Config| config.limits.logins_per_user = 2;
    let server = TestServer::with(few).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let (used, idle) = (browser(&server, "alice").await, browser(&server, "alice").await);
    let server = server
        .restart(|config| {
            few(config);
            // The older login was used since; the younger one expires later.
            let older = "(SELECT MIN(id) FROM sessions)";
            change_database(
                &config.data_dir.0,
                &format!("UPDATE sessions SET last_used_at = last_used_at + 60000 WHERE id = {older}"),
            );
            change_database(
                &config.data_dir.0,
                &format!("UPDATE sessions SET expires_at = expires_at + 60000 WHERE id <> {older}"),
            );
        })
        .await;
    browser(&server, "alice").await;
    assert!(accepted(&server, &used).await.is_some() && accepted(&server, &idle).await.is_none());
    server.stop().await;
}

/// Uses are written in batches: at most once in `limits.token_use_seconds`, and an extension at
/// most once a day.
#[actix_web::test]
async fn use_extends_a_web_login_that_then_outlives_its_expiry() {
    const MONTH_MS: i64 = 30 * 24 * 3_600_000;
    let server = TestServer::start().await;
    server.user("alice").await;
    let login = browser(&server, "alice").await;
    let who = accepted(&server, &login).await.unwrap();
    let view = async |server: &TestServer| {
        server.app.services.write_web_login_uses().await.unwrap();
        let all = server.app.services.logins(who).await.unwrap();
        all.into_iter().map(|view| view.login).find(|login| login.web).unwrap()
    };
    let fresh = view(&server).await;
    assert_eq!(
        (fresh.last_used_at, fresh.expires_at.0),
        (Some(fresh.created_at), fresh.created_at.0 + MONTH_MS)
    );

    // Two hours later the use is recorded, and the expiry stays.
    let ago = |hours: i64| {
        format!(
            "UPDATE sessions SET last_used_at = last_used_at - {0}, expires_at = expires_at - {0}",
            hours * 3_600_000
        )
    };
    let server = server.restart(|config| change_database(&config.data_dir.0, &ago(2))).await;
    accepted(&server, &login).await.unwrap();
    // The periodic task may be writing the use.
    let used = eventually(async || {
        let seen = view(&server).await;
        (seen.last_used_at >= fresh.last_used_at).then_some(seen)
    })
    .await;
    assert_eq!(used.expires_at.0, fresh.expires_at.0 - 2 * 3_600_000);

    // An hour before its expiry a use extends it by 30 days.
    let server = server.restart(|config| change_database(&config.data_dir.0, &ago(30 * 24 - 3))).await;
    accepted(&server, &login).await.unwrap();
    until(async || view(&server).await.expires_at >= fresh.expires_at).await;
    let server = server.restart(|_| ()).await;
    accepted(&server, &login).await.unwrap();
    server.stop().await;
}

#[actix_web::test]
async fn expired_web_login_is_refused_before_it_is_ended() {
    let server = TestServer::with_limits(|limits| limits.refresh_token_seconds = 1).await;
    let alice = server.user("alice").await;
    let (login, who) = eventually(async || {
        let login = browser(&server, "alice").await;
        let who = server.app.services.web_credential(&login.secret).await.ok()?;
        Some((login, who))
    })
    .await;
    until(async || accepted(&server, &login).await.is_none()).await;
    // The task that ends expired logins runs once an hour.
    assert!(listed(&alice.http).await.is_empty());
    assert!(server.app.services.end_expired_logins().await.unwrap() > 0);
    assert_eq!(server.app.services.me(who).await.unwrap_err().code.as_str(), "unauthenticated");
    server.stop().await;
}

#[actix_web::test]
async fn logins_survive_sigkill_and_restart() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let (kept, ended) = (browser(&server, "alice").await, browser(&server, "alice").await);
    let who = accepted(&server, &ended).await.unwrap();
    server.app.services.end_login_by_id(who, who.auth_method.login().unwrap()).await.unwrap();
    let before = listed(&alice.http).await;
    let directory = server.stop_and_keep().await;
    let stored = database::content(directory.path());
    let holds = |text: &str| stored.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(holds("Firefox") && !holds(&kept.secret), "only the hash of a secret is stored");

    let mut process = Process::start(directory.path()).await;
    let client = process.http.with_token(alice.http.token().unwrap());
    assert_eq!(listed(&client).await, before);
    let phone = process.http.login("alice", PASSWORD).await.unwrap();
    let all = listed(&client).await;
    let path = format!("{LOGINS}/{}", all[0]["id"]);
    assert_eq!(client.send(Method::DELETE, &path, None, &[]).await.unwrap().status, 204);
    process.kill();

    let server = TestServer::on(directory).await;
    assert!(accepted(&server, &kept).await.is_some() && accepted(&server, &ended).await.is_none());
    let alice = server.http.with_token(alice.http.token().unwrap());
    assert_eq!(listed(&alice).await, before, "the login that was ended before the kill stays ended");
    assert_eq!(server.http.with_token(phone.token).get(LOGINS).await.unwrap().status, 401);
    server.stop().await;
}
