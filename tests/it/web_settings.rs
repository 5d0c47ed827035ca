//! Pages of the visitor's own account.

use crate::harness::browser::{Browser, text_of};
use crate::harness::{PASSWORD, TestServer};

const NEW_PASSWORD: &str = "another long password";

fn between<'a>(html: &'a str, start: &str, end: &str) -> &'a str {
    html.split_once(start).and_then(|(_, rest)| rest.split_once(end)).unwrap().0
}

/// Returns how many passwords were hashed.
async fn hashes(server: &TestServer) -> f64 {
    let (_, metrics) = server.operations("/metrics").await;
    let counts =
        metrics.lines().filter(|line| line.starts_with("netbit_pool_wait_seconds_count{pool=\"hashes"));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[actix_web::test]
async fn settings_lead_anonymous_visitors_to_the_login() {
    let server = TestServer::start().await;
    Browser::set_up(&server, "alice").await;
    let visitor = Browser::anonymous(&server);
    for page in ["profile", "password", "logins", "tokens", "tokens/new", "appearance"] {
        let (path, next) = (format!("/settings/{page}"), format!("/settings/{page}").replace('/', "%2F"));
        visitor.get(&path).await.expect_redirect(&format!("/login?next={next}"));
    }
    for (path, page) in [
        ("profile", "profile"),
        ("password", "password"),
        ("logins/end-all", "logins"),
        ("logins/end-others", "logins"),
        ("tokens/new", "tokens%2Fnew"),
        ("appearance", "appearance"),
    ] {
        let form = [
            ("display_name", "x"),
            ("name", "x"),
            ("days", "7"),
            ("current_password", "x"),
            ("new_password", "x"),
            ("theme", "dark"),
        ];
        let refused = visitor.post_form(&format!("/settings/{path}"), &form).await;
        refused.expect_redirect(&format!("/login?next=%2Fsettings%2F{page}"));
    }
    server.stop().await;
}

#[actix_web::test]
async fn profile_is_changed_and_shown() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let form = [("display_name", "Alice Liddell"), ("email", " alice@example.org ")];
    alice.post_form("/settings/profile", &form).await.expect_redirect("/settings/profile?done=saved");
    let page = alice.get("/settings/profile?done=saved").await;
    page.expect(200, "Your changes are saved.");
    assert!(page.html.contains("value=\"Alice Liddell\"") && page.html.contains("\"alice@example.org\""));
    assert!(page.html.contains(">AL</span>"), "the header has the initials");
    alice.get("/people/alice").await.expect(200, "Alice Liddell alice, here since");
    let form = [("display_name", ""), ("email", "no address")];
    let refused = alice.post_form("/settings/profile", &form).await;
    refused.expect(422, "2 fields below need a change.");
    assert!(refused.html.contains("value=\"no address\""));
    let form = [("display_name", "Alice"), ("email", "")];
    assert_eq!(alice.post_form("/settings/profile", &form).await.status, 303);
    assert!(!alice.page("/settings/profile").await.contains("example.org"));
    server.stop().await;
}

#[actix_web::test]
async fn new_password_ends_other_logins_and_keeps_this_browser() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let other = Browser::login(&server, "alice").await;
    assert!(alice.page("/settings/password").await.contains("ends all of your logins"));
    let wrong = [("current_password", "wrong password"), ("new_password", NEW_PASSWORD)];
    alice.post_form("/settings/password", &wrong).await.expect(403, "The current password is wrong.");
    let weak = [("current_password", PASSWORD), ("new_password", "short")];
    let refused = alice.post_form("/settings/password", &weak).await;
    refused.expect(422, "1 field below needs a change.");
    assert!(!refused.html.contains(PASSWORD));
    let (before, hashed) = (alice.cookie(), hashes(&server).await);
    let form = [("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
    let changed = alice.post_form("/settings/password", &form).await;
    changed.expect_redirect("/settings/password?done=changed");
    assert_eq!(hashes(&server).await - hashed, 2.0, "the current password is proven, the new one hashed");
    assert_ne!(alice.cookie(), before);
    alice.get("/settings/password?done=changed").await.expect(200, "Your password is changed.");
    assert_eq!(other.get("/settings/profile").await.status, 303);
    assert_eq!(server.http.login("alice", NEW_PASSWORD).await.unwrap().user.username, "alice");
    server.stop().await;
}

#[actix_web::test]
async fn logins_are_listed_and_ended() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let (second, third) = (Browser::login(&server, "alice").await, Browser::login(&server, "alice").await);
    let page = alice.page("/settings/logins").await;
    assert_eq!(page.matches("this browser").count(), 1);
    assert_eq!(page.matches("/end\"").count(), 2, "the current login has no button");
    assert!(text_of(&page).contains("Browser from 127.0.0.1"));
    let of_third = third.page("/settings/logins").await;
    let id = between(&of_third, "action=\"/settings/logins/", "/end\"");
    third
        .post_form(&format!("/settings/logins/{id}/end"), &[])
        .await
        .expect_redirect("/settings/logins?done=ended");
    // A second click does not fail.
    third
        .post_form(&format!("/settings/logins/{id}/end"), &[])
        .await
        .expect_redirect("/settings/logins?done=ended");
    assert_eq!(third.page("/settings/logins").await.matches("/end\"").count(), 1);
    let form = [("name", "laptop"), ("repo:read", "1"), ("days", "30")];
    third.post_form("/settings/tokens/new", &form).await.expect(200, "It is not shown again.");
    third
        .post_form("/settings/logins/end-others", &[])
        .await
        .expect_redirect("/settings/logins?done=others-ended");
    for ended in [&alice, &second] {
        assert_eq!(ended.get("/settings/logins").await.status, 303);
    }
    assert!(!third.page("/settings/logins").await.contains("End all others"));
    assert!(third.page("/settings/tokens").await.contains("laptop"), "tokens stay");
    let eve = Browser::register(&server, "eve").await;
    let of_eve = eve.page("/settings/logins").await;
    assert!(!of_eve.contains("/end\""), "eve has one login");
    third.post_form("/settings/logins/end-all", &[]).await.expect_redirect("/login");
    assert_eq!(third.get("/settings/logins").await.status, 303);
    server.stop().await;
}

#[actix_web::test]
async fn login_of_another_user_cannot_be_ended() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let mallory = Browser::register(&server, "mallory").await;
    for id in 0..8 {
        let path = format!("/settings/logins/{id}/end");
        mallory.post_form(&path, &[]).await;
    }
    assert_eq!(alice.get("/settings/logins").await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn token_is_shown_once_works_and_is_revoked() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    assert!(alice.page("/settings/tokens").await.contains("You have no access tokens."));
    assert!(alice.page("/settings/tokens/new").await.contains("name=\"server:admin\""));
    let form = [("name", "laptop"), ("repo:read", "1"), ("chat:read", "1"), ("days", "30")];
    let made = alice.post_form("/settings/tokens/new", &form).await;
    made.expect(200, "It is not shown again.");
    assert_eq!(made.header("cache-control"), "no-store");
    let secret = between(&made.html, "id=\"token\">", "<").to_owned();
    assert!(made.text().contains(&format!("git clone http://alice:{secret}@")), "{}", made.text());
    let api = server.http.with_token(secret.clone());
    assert_eq!(api.get("/api/projects").await.unwrap().status, 200);
    let listed = alice.page("/settings/tokens").await;
    assert!(!listed.contains(&secret) && listed.contains("May read repositories, read chats."));
    let id = between(&listed, "action=\"/settings/tokens/", "/revoke\"");
    for _ in 0..2 {
        let revoked = alice.post_form(&format!("/settings/tokens/{id}/revoke"), &[]).await;
        revoked.expect_redirect("/settings/tokens?done=revoked");
    }
    assert_eq!(api.get("/api/projects").await.unwrap().status, 401);
    server.stop().await;
}

#[actix_web::test]
async fn token_form_names_its_problems() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let form = [("name", " "), ("days", "99999"), ("repositories", "")];
    let refused = alice.post_form("/settings/tokens/new", &form).await;
    refused.expect(422, "3 fields below need a change.");
    assert!(refused.text().contains("The token must name at least one scope."));
    let form = [("name", "x"), ("repo:read", "1"), ("days", "7"), ("repositories", "alice/none/none")];
    let refused = alice.post_form("/settings/tokens/new", &form).await;
    refused.expect(422, "Repositories include a repository that does not exist, or that you may not see.");
    assert!(refused.text().contains("alice/none/none"));
    let bob = Browser::register(&server, "bob").await;
    assert!(!bob.page("/settings/tokens/new").await.contains("server:admin"));
    let form = [("name", "x"), ("server:admin", "1"), ("days", "7")];
    bob.post_form("/settings/tokens/new", &form).await.expect(403, "administrator");
    server.stop().await;
}

#[actix_web::test]
async fn old_login_needs_the_password_for_a_token() {
    let server = TestServer::with_limits(|limits| limits.fresh_login_seconds = 0).await;
    let alice = Browser::set_up(&server, "alice").await;
    assert!(alice.page("/settings/tokens/new").await.contains("name=\"password\""));
    let form = [("name", "laptop"), ("repo:read", "1"), ("days", "7"), ("password", "")];
    let refused = alice.post_form("/settings/tokens/new", &form).await;
    refused.expect(422, "Your password is needed, because you logged in some time ago.");
    assert!(refused.html.contains("value=\"laptop\""));
    let form = [("name", "laptop"), ("repo:read", "1"), ("days", "7"), ("password", "wrong password")];
    alice.post_form("/settings/tokens/new", &form).await.expect(403, "The password is wrong.");
    let form = [("name", "laptop"), ("repo:read", "1"), ("days", "7"), ("password", PASSWORD)];
    alice.post_form("/settings/tokens/new", &form).await.expect(200, "It is not shown again.");
    server.stop().await;
}

#[actix_web::test]
async fn appearance_is_kept_in_a_cookie() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    assert!(!alice.page("/settings/appearance").await.contains("<html lang=\"en\" dir=\"ltr\" class"));
    for theme in ["dark", "light"] {
        let chosen = alice.post_form("/settings/appearance", &[("theme", theme)]).await;
        chosen.expect_redirect("/settings/appearance?done=saved");
        let cookie = chosen.header("set-cookie");
        assert!(cookie.starts_with(&format!("theme={theme};")), "{cookie}");
        for part in ["SameSite=Lax", "Path=/", "Max-Age=31536000"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(alice.page("/").await.contains(&format!("class=\"{theme}\"")));
    }
    alice.post_form("/settings/appearance", &[("theme", "system")]).await;
    assert!(!alice.cookie().contains("theme"));
    let refused = alice.post_form("/settings/appearance", &[("theme", "x; Path=/")]).await;
    assert_eq!(refused.status, 400);
    server.stop().await;
}
