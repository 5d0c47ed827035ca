//! User accounts: registration, login and logout, token refresh, and account settings.

use netbit::core::config::RegistrationPolicy;
use serde_json::json;

use crate::harness::{PASSWORD, Person, TestServer, assert_problem, database};

#[actix_web::test]
async fn taken_name_is_conflict_and_invalid_name_names_its_field() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let register = async |body| server.http.post("/api/users/register", &body).await.unwrap();
    assert_problem(&register(json!({"username": "alice", "password": PASSWORD})).await, 409, "conflict");
    for name in [
        "Alice",
        "..",
        ".git",
        "a/b",
        "-x",
        "api",
        "chat",
        "inbox",
        "robots.txt",
        "setup",
        "x.git",
        "x.lock",
        "",
        "b\u{202e}b",
    ] {
        let answer = register(json!({"username": name, "password": PASSWORD})).await;
        assert_problem(&answer, 422, "validation");
        assert_eq!(answer.body["errors"][0]["field"], "username", "{name}");
    }
    let answer = register(json!({"username": "X", "password": "short", "email": "nowhere"})).await;
    let fields: Vec<_> =
        answer.body["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["username", "password", "email"]);
    server.stop().await;
}

#[actix_web::test]
async fn registration_refuses_admin_flag_and_mistyped_fields() {
    let server = TestServer::start().await;
    for extra in
        [json!({"is_admin": true}), json!({"id": 1}), json!({"username": ["a"]}), json!({"password": 7})]
    {
        let mut body = json!({"username": "eve", "password": PASSWORD});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_problem(&server.http.post("/api/users/register", &body).await.unwrap(), 422, "validation");
    }
    server.stop().await;
}

#[actix_web::test]
async fn unknown_user_and_wrong_password_get_the_same_answer() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let login = async |name: &str| {
        let body = json!({"username": name, "password": "wrong password"});
        let mut answer = server.http.post("/api/users/login", &body).await.unwrap();
        assert_problem(&answer, 401, "unauthenticated");
        answer.body["request_id"] = json!(null);
        answer.body
    };
    assert_eq!(login("alice").await, login("nosuch").await);
    server.stop().await;
}

#[actix_web::test]
async fn logout_ends_this_login_immediately_and_no_other() {
    let server = TestServer::start().await;
    let phone = server.user("alice").await;
    let desk = server.login("alice").await;
    assert_eq!(phone.post("/api/users/logout", json!({})).await.status, 204);
    assert_problem(&phone.get("/api/users/me").await, 401, "unauthenticated");
    assert_problem(
        &phone.post("/api/chats", json!({"kind": "group", "name": "x"})).await,
        401,
        "unauthenticated",
    );
    assert!(phone.http.refresh(&phone.refresh_token).await.is_err());
    assert_eq!(desk.get("/api/users/me").await.status, 200);

    let third = server.login("alice").await;
    assert_eq!(desk.post("/api/users/logout", json!({"all": true})).await.status, 204);
    for gone in [&desk, &third] {
        assert_eq!(gone.get("/api/users/me").await.status, 401);
    }
    server.stop().await;
}

#[actix_web::test]
async fn password_change_ends_every_login_and_the_old_password() {
    let server = TestServer::start().await;
    let (phone, desk) = (server.user("alice").await, server.login("alice").await);
    let change = |current: &str| json!({"current_password": current, "new_password": "battery staple"});
    assert_problem(&phone.post("/api/users/me/password", change("wrong password")).await, 403, "forbidden");
    assert_eq!(phone.post("/api/users/me/password", change(PASSWORD)).await.status, 204);
    for gone in [&phone, &desk] {
        assert_eq!(gone.get("/api/users/me").await.status, 401);
        assert!(gone.http.refresh(&gone.refresh_token).await.is_err());
    }
    assert!(server.http.login("alice", PASSWORD).await.is_err());
    assert!(server.http.login("alice", "battery staple").await.is_ok());
    server.stop().await;
}

#[actix_web::test]
async fn reused_refresh_token_ends_login_after_successor_was_used() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let first = server.http.refresh(&alice.refresh_token).await.unwrap();
    // The first answer was lost in transit: the old token still works.
    let second = server.http.refresh(&alice.refresh_token).await.unwrap();
    assert_eq!(first.refresh_token, second.refresh_token);
    assert_ne!(first.refresh_token, alice.refresh_token);
    let third = server.http.refresh(&second.refresh_token).await.unwrap();
    let me = server.http.with_token(third.token.clone());
    assert_eq!(me.get("/api/users/me").await.unwrap().status, 200);
    // Another client presents the original token.
    assert!(server.http.refresh(&alice.refresh_token).await.is_err());
    assert_eq!(me.get("/api/users/me").await.unwrap().status, 401, "the family is revoked");
    assert!(server.http.refresh(&third.refresh_token).await.is_err());
    server.stop().await;
}

/// Regression: two tabs that refreshed one token at the same time received different tokens. When
/// the first tab refreshed again, the second tab had to log in, or ended the login of both.
#[actix_web::test]
async fn tabs_that_share_a_refresh_token_stay_logged_in() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut shared = alice.refresh_token.clone();
    for _ in 0..4 {
        let tabs = (0..6).map(|_| server.http.refresh(&shared));
        let tabs: Vec<_> =
            futures_util::future::join_all(tabs).await.into_iter().map(Result::unwrap).collect();
        assert!(tabs.iter().all(|tab| tab.refresh_token == tabs[0].refresh_token));
        for tab in &tabs {
            let me = server.http.with_token(tab.token.clone());
            assert_eq!(me.get("/api/users/me").await.unwrap().status, 200);
        }
        shared.clone_from(&tabs[0].refresh_token);
    }
    // One tab refreshes first. The other tabs get the same successor from the token that they have.
    let ahead = server.http.refresh(&shared).await.unwrap();
    let behind = server.http.refresh(&shared).await.unwrap();
    assert_eq!(ahead.refresh_token, behind.refresh_token);
    server.stop().await;
}

#[actix_web::test]
async fn refresh_successor_survives_a_restart_and_is_not_stored() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let before = server.http.refresh(&alice.refresh_token).await.unwrap().refresh_token;
    let server = server.restart(|_| ()).await;
    let after = server.http.refresh(&alice.refresh_token).await.unwrap().refresh_token;
    assert_eq!(before, after);
    let directory = server.stop_and_keep().await;
    let stored = database::content(directory.path());
    assert!(!stored.windows(before.len()).any(|window| window == before.as_bytes()));
    assert!(stored.windows("alice".len()).any(|window| window == b"alice"));
}

#[actix_web::test]
async fn late_refresh_within_race_window_is_refused_login_stays() {
    let server = TestServer::with_limits(|limits| limits.refresh_race_seconds = 60).await;
    let alice = server.user("alice").await;
    let next = server.http.refresh(&alice.refresh_token).await.unwrap();
    let last = server.http.refresh(&next.refresh_token).await.unwrap();
    assert!(server.http.refresh(&alice.refresh_token).await.is_err());
    assert!(server.http.refresh(&last.refresh_token).await.is_ok());
    server.stop().await;
}

#[actix_web::test]
async fn tokens_and_logouts_survive_a_restart() {
    let server = TestServer::start().await;
    let (phone, desk) = (server.user("alice").await, server.login("alice").await);
    phone.post("/api/users/logout", json!({})).await;
    let (gone, good) = (phone.http.token().unwrap().to_owned(), desk.http.token().unwrap().to_owned());
    let server = server.restart(|_| ()).await;
    assert_eq!(server.http.with_token(good).get("/api/users/me").await.unwrap().status, 200);
    assert_eq!(server.http.with_token(gone).get("/api/users/me").await.unwrap().status, 401);
    server.stop().await;
}

#[actix_web::test]
async fn closed_server_registers_only_its_administrator() {
    let server = TestServer::with(|config| config.accounts.registration = RegistrationPolicy::Closed).await;
    server.admin("root").await;
    let body = json!({"username": "bob", "password": PASSWORD});
    assert_problem(&server.http.post("/api/users/register", &body).await.unwrap(), 403, "forbidden");
    assert_eq!(server.http.server().await.unwrap()["registration"], "closed");
    server.stop().await;
}

#[actix_web::test]
async fn users_see_names_of_others_but_not_email_addresses() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let changed =
        alice.patch("/api/users/me", json!({"display_name": "Alice A.", "email": "alice@example.org"})).await;
    assert_eq!((changed.status, &changed.body["email"]), (200, &json!("alice@example.org")));
    let seen = bob.get("/api/users/alice").await.body;
    assert_eq!((&seen["display_name"], seen.get("email")), (&json!("Alice A."), None));
    let removed = alice.patch("/api/users/me", json!({"email": null})).await;
    assert_eq!((removed.body.get("email"), &removed.body["display_name"]), (None, &json!("Alice A.")));
    assert_problem(&bob.get("/api/users/nosuch").await, 404, "not_found");
    assert_problem(&bob.patch("/api/users/me", json!({"is_admin": true})).await, 422, "validation");
    server.stop().await;
}

#[actix_web::test]
async fn login_flood_waits_in_bounded_queue_and_excess_gets_429() {
    let server =
        TestServer::with_limits(|limits| (limits.hashes_running, limits.hashes_waiting) = (1, 2)).await;
    server.user("alice").await;
    let body = json!({"username": "alice", "password": PASSWORD});
    let logins = (0..30).map(|_| server.http.post("/api/users/login", &body));
    let answers: Vec<_> =
        futures_util::future::join_all(logins).await.into_iter().map(Result::unwrap).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert!(!refused.is_empty() && answers.iter().all(|answer| [200, 429].contains(&answer.status)));
    assert!(refused.iter().all(|answer| answer.header("retry-after").is_some()));
    server.stop().await;
}

#[actix_web::test]
async fn failed_logins_delay_the_next_but_right_password_succeeds() {
    let server = TestServer::with_limits(|limits| {
        (limits.login_failures_free, limits.login_delay_max_ms) = (2, 100);
    })
    .await;
    server.user("alice").await;
    for _ in 0..3 {
        assert!(server.http.login("alice", "wrong password").await.is_err());
    }
    let begun = std::time::Instant::now();
    assert!(server.http.login("alice", PASSWORD).await.is_ok());
    assert!(begun.elapsed().as_millis() >= 100, "the login was delayed");
    let begun = std::time::Instant::now();
    assert!(server.http.login("alice", "wrong password").await.is_err());
    assert!(begun.elapsed().as_secs() < 20, "a successful login clears the failures");
    server.stop().await;
}

#[actix_web::test]
async fn registrations_are_rate_limited_per_address() {
    let server = TestServer::with_limits(|limits| limits.registrations_burst = 2).await;
    server.user("alice").await;
    server.user("bob").await;
    let body = json!({"username": "carol", "password": PASSWORD});
    let forwarded = [("x-forwarded-for", "10.9.8.7")];
    let answer = server
        .http
        .send(reqwest::Method::POST, "/api/users/register", Some(&body), &forwarded)
        .await
        .unwrap();
    assert_problem(&answer, 429, "rate_limited");
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    server.stop().await;
}

#[actix_web::test]
async fn oldest_login_ends_when_user_exceeds_login_limit() {
    let server = TestServer::with_limits(|limits| limits.logins_per_user = 2).await;
    let first = server.user("alice").await;
    let second = server.login("alice").await;
    let third = server.login("alice").await;
    assert_eq!(first.get("/api/users/me").await.status, 401);
    assert_eq!(second.get("/api/users/me").await.status, 200);
    assert_eq!(third.get("/api/users/me").await.status, 200);
    server.stop().await;
}

/// Regression: repeated logins of a script ended the login of a phone that was older but in daily
/// use.
#[actix_web::test]
async fn refreshed_login_outlives_logins_that_are_not_refreshed() {
    let server = TestServer::with_limits(|limits| limits.logins_per_user = 3).await;
    let phone = server.user("alice").await;
    let mut token = phone.refresh_token.clone();
    let mut scripts = Vec::new();
    for _ in 0..4 {
        scripts.push(server.login("alice").await);
        // Login timestamps have millisecond resolution.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        token = server.http.refresh(&token).await.unwrap().refresh_token;
    }
    assert_eq!(phone.get("/api/users/me").await.status, 200);
    let alive = async |person: &Person| person.get("/api/users/me").await.status == 200;
    assert_eq!((alive(&scripts[1]).await, alive(&scripts[2]).await), (false, true));
    server.stop().await;
}

/// Regression: a refresh token was refused permanently after eight lost answers.
#[actix_web::test]
async fn refresh_token_stays_valid_after_repeated_lost_answers() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut latest = None;
    for _ in 0..20 {
        latest = Some(server.http.refresh(&alice.refresh_token).await.unwrap());
    }
    assert!(server.http.refresh(&latest.unwrap().refresh_token).await.is_ok());
    server.stop().await;
}

/// Regression: a flood of guesses took all slots for delayed attempts and all slots of the hash
/// pool. Users with the right password were refused too.
#[actix_web::test]
async fn guesses_from_one_address_lock_out_no_other_address() {
    let server = TestServer::with_limits(|limits| {
        (limits.login_failures_free, limits.login_delay_max_ms) = (1, 300);
        (limits.hashes_running, limits.hashes_waiting, limits.logins_per_address) = (1, 8, 4);
    })
    .await;
    server.user("alice").await;
    let elsewhere =
        reqwest::Client::builder().local_address(std::net::IpAddr::from([127, 0, 0, 2])).build().unwrap();
    let url = format!("http://{}/api/users/login", server.app.addresses.http);
    let guess = async |n: usize| {
        let body = json!({"username": if n.is_multiple_of(2) { "alice" } else { "nosuch" }, "password": "wrong password"});
        elsewhere.post(&url).json(&body).send().await.unwrap().status().as_u16()
    };
    for n in 0..4 {
        assert_eq!(guess(n).await, 401);
    }
    let flood = futures_util::future::join_all((0..40).map(guess));
    let honest = async {
        for _ in 0..3 {
            assert!(server.http.login("alice", PASSWORD).await.is_ok());
        }
    };
    let (guesses, ()) = futures_util::join!(flood, honest);
    assert!(guesses.iter().all(|status| [401, 429].contains(status)));
    server.stop().await;
}

/// Regression: phone keyboards capitalize the first letter and append a space, and the server did
/// not find the users ` carol` and `Carol`.
#[actix_web::test]
async fn login_ignores_case_and_space_around_the_name() {
    let server = TestServer::start().await;
    let carol = server.user("carol").await;
    for typed in ["Carol", " carol", "CAROL \n", "\u{a0}carol"] {
        assert_eq!(server.http.login(typed, PASSWORD).await.unwrap().user.id, carol.id, "{typed:?}");
    }
    for other in ["ca rol", "carol\u{301}", "\u{212a}arol"] {
        assert!(server.http.login(other, PASSWORD).await.is_err(), "{other:?}");
    }
    let blank = json!({"username": "  ", "password": PASSWORD});
    assert_problem(&server.http.post("/api/users/login", &blank).await.unwrap(), 422, "validation");
    // Guesses at all spellings count as guesses at one account. Registration accepts the plain name
    // only.
    let body = json!({"username": "Dave", "password": PASSWORD});
    assert_problem(&server.http.post("/api/users/register", &body).await.unwrap(), 422, "validation");
    server.stop().await;
}

/// Regression: a password that was set on a Mac (NFD) was wrong on a phone (NFC).
#[actix_web::test]
async fn password_matches_in_every_unicode_normalization_form() {
    const COMPOSED: &str = "caf\u{e9} na\u{ef}ve";
    const DECOMPOSED: &str = "cafe\u{301} nai\u{308}ve";
    const SPACED: &str = "caf\u{e9}\u{a0}na\u{ef}ve";
    let server = TestServer::start().await;
    for (name, password) in [("alice", COMPOSED), ("bob", DECOMPOSED), ("carol", SPACED)] {
        let body = json!({"username": name, "password": password});
        assert_eq!(server.http.post("/api/users/register", &body).await.unwrap().status, 201);
        for typed in [COMPOSED, DECOMPOSED, SPACED] {
            assert!(server.http.login(name, typed).await.is_ok(), "{name} {typed:?}");
        }
        assert!(server.http.login(name, "cafe naive").await.is_err());
    }
    // The same holds for a changed password, for the current password of the change, and for git.
    let alice = server.http.login("alice", DECOMPOSED).await.unwrap();
    let alice = server.http.with_token(alice.token);
    let change = json!({"current_password": DECOMPOSED, "new_password": "u\u{308}bergro\u{df} 7"});
    assert_eq!(alice.post("/api/users/me/password", &change).await.unwrap().status, 204);
    server.http.login("alice", "\u{fc}bergro\u{df} 7").await.unwrap();
    let weak = json!({"username": "zoe", "password": "tab\tseparated"});
    assert_problem(&server.http.post("/api/users/register", &weak).await.unwrap(), 422, "validation");
    server.stop().await;
}

/// A hash of an earlier version covers the bytes as the user typed them then.
#[actix_web::test]
async fn password_hash_of_old_version_stays_valid_and_is_replaced() {
    use argon2::password_hash::PasswordHasher;
    const COMPOSED: &str = "caf\u{e9} na\u{ef}ve";
    const DECOMPOSED: &str = "cafe\u{301} nai\u{308}ve";
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let directory = server.stop_and_keep().await;
    let old = argon2::Argon2::default().hash_password(DECOMPOSED.as_bytes()).unwrap().to_string();
    database::writer(directory.path()).execute(&format!("UPDATE users SET password_hash = '{old}'"));
    let server = TestServer::on(directory).await;
    assert!(server.http.login("alice", COMPOSED).await.is_err());
    server.http.login("alice", DECOMPOSED).await.unwrap();
    // After the new hash, every normalization form matches, and no login has ended.
    let desk = server.http.login("alice", COMPOSED).await.unwrap();
    server.http.login("alice", DECOMPOSED).await.unwrap();
    assert_eq!(alice.http.token().map(str::is_empty), Some(false));
    let phone = server.http.with_token(alice.http.token().unwrap().to_owned());
    for client in [phone, server.http.with_token(desk.token)] {
        assert_eq!(client.get("/api/users/me").await.unwrap().status, 200);
    }
    let server = server.restart(|_| ()).await;
    server.http.login("alice", COMPOSED).await.unwrap();
    server.stop().await;
}

/// Regression: projects and repositories were found in any letter case, but the user names before
/// them in the path were not.
#[actix_web::test]
async fn user_is_found_by_name_in_any_letter_case() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.hello_web("public").await;
    assert_eq!(bob.get("/api/users/Alice").await.body["username"], "alice");
    assert_eq!(bob.get("/api/projects/ALICE/Hello/repos/WEB").await.body["full_name"], "alice/hello/web");
    let made = alice.post("/api/chats", json!({"kind": "direct", "participants": ["Bob"]})).await;
    assert_eq!(made.body["peer"], "bob");
    let found = bob.get("/api/users?prefix=Ali").await;
    assert!(found.body["items"].as_array().unwrap().iter().all(|user| user["username"] == "alice"));
    server.stop().await;
}

#[actix_web::test]
async fn display_names_are_normalized_and_not_blank() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for blank in ["\u{3164}", "\u{200d}", "\u{115f}\u{1160}", "\u{2800}\u{2800}", "\u{fe0f}", "\u{3000}"] {
        let answer = alice.patch("/api/users/me", json!({"display_name": blank})).await;
        assert_problem(&answer, 422, "validation");
        let body = json!({"username": "bob", "password": PASSWORD, "display_name": blank});
        assert_problem(&server.http.post("/api/users/register", &body).await.unwrap(), 422, "validation");
    }
    let answer =
        alice.patch("/api/users/me", json!({"display_name": "Zoe\u{308} \u{1f469}\u{200d}\u{1f680}"})).await;
    assert_eq!(answer.body["display_name"], "Zo\u{eb} \u{1f469}\u{200d}\u{1f680}");
    server.stop().await;
}

/// Regression: a thief who exchanged each refresh token after its owner, but before its successor
/// was used, was never detected.
#[actix_web::test]
async fn late_repeat_of_a_refresh_ends_the_login() {
    let server = TestServer::with_limits(|limits| limits.refresh_repeat_seconds = 0).await;
    let alice = server.user("alice").await;
    let own = server.http.refresh(&alice.refresh_token).await.unwrap();
    assert!(server.http.refresh(&alice.refresh_token).await.is_err(), "a second holder of the token");
    assert!(server.http.refresh(&own.refresh_token).await.is_err(), "the login has ended");
    let alice = server.login("alice").await;
    assert!(server.http.refresh(&alice.refresh_token).await.is_ok(), "another login stays valid");
    server.stop().await;
}
