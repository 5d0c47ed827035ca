//! Rules of all forms: their page, the way back after a login that ended, and confirmations.

use crate::harness::browser::Browser;
use crate::harness::{PASSWORD, TestServer, eventually, soon};

#[actix_web::test]
async fn address_of_a_form_leads_to_its_page() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    for (form, page) in [
        ("/logout", "/"),
        ("/alice/hello/-/watch", "/alice/hello"),
        ("/alice/hello/-/members/bob/role", "/alice/hello/-/members"),
        ("/alice/hello/-/settings/delete", "/alice/hello/-/settings"),
        ("/alice/hello/-/settings/rules/change", "/alice/hello/-/settings"),
        ("/alice/hello/-/settings/visibility", "/alice/hello/-/settings"),
        ("/alice/hello/web/-/settings/delete", "/alice/hello/web/-/settings"),
        ("/settings/logins/3/end", "/settings/logins"),
        ("/settings/logins/end-all", "/settings/logins"),
        ("/settings/tokens/3/revoke", "/settings/tokens"),
    ] {
        alice.get(form).await.expect_redirect(page);
    }
    assert_eq!(alice.get("/settings/logins").await.status, 200, "no login has ended");
    server.stop().await;
}

#[actix_web::test]
async fn ended_login_is_named_and_leads_back_to_the_form() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let other = Browser::login(&server, "alice").await;
    let ended = alice.post_form("/settings/logins/end-others", &[]).await;
    ended.expect_redirect("/settings/logins?done=others-ended");
    alice.get(ended.header("location")).await.expect(200, "All other logins have ended.");
    let late = other.post_form("/alice/hello/-/settings/delete", &[("confirm_delete", "hello")]).await;
    late.expect_redirect("/login?next=%2Falice%2Fhello%2F-%2Fsettings");
    other.get(late.header("location")).await.expect(200, "Your login has ended. Log in to continue.");
    let stranger = Browser::anonymous(&server).page("/login").await;
    assert!(!stranger.contains("has ended"), "a visitor without a login has none that ended");
    server.stop().await;
}

#[actix_web::test]
async fn early_error_offers_the_login_only_without_a_login() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let refused = alice.post_form("/people", &[]).await;
    refused.expect(405, "Not possible here");
    assert!(!refused.text().contains("Log in"), "{}", refused.text());
    let refused = Browser::anonymous(&server).post_form("/people", &[]).await;
    assert!(refused.text().contains("Log in"), "{}", refused.text());
    server.stop().await;
}

/// Regression: a member was advised to send the form again, and an administrator whose form came
/// from another site to become an administrator.
#[actix_web::test]
async fn advice_of_a_refusal_fits_its_cause() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let form = [("name", "hello"), ("visibility", "public")];
    assert_eq!(alice.post_form("/projects/new", &form).await.status, 303);
    let bob = Browser::register(&server, "bob").await;
    let (settings, ask) = ("/alice/hello/-/settings", "Ask an owner of the project for access.");
    bob.get(settings).await.expect(403, ask);
    bob.post_form(settings, &[("name", "x"), ("description", "")]).await.expect(403, ask);
    bob.get("/admin/users").await.expect(403, "Only administrators of this server see this page.");
    for path in ["/admin/users/bob", settings] {
        let request = reqwest::Client::new().post(format!("http://{}{path}", server.app.addresses.http));
        let request = request.header("cookie", alice.cookie()).header("accept", "text/html");
        let refused = soon(request.header("sec-fetch-site", "cross-site").send()).await.unwrap();
        assert_eq!(refused.status(), 403, "{path}");
        let page = soon(refused.text()).await.unwrap();
        assert!(page.contains("Open the page again, then send the form."), "{path}: {page}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn refused_value_is_named_beside_its_field() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let visitor = Browser::anonymous(&server);
    let form = [("username", "alice"), ("password", PASSWORD)];
    let taken = visitor.post_form("/register", &form).await;
    taken.expect(409, "The username is taken.");
    assert!(taken.html.contains("id=\"username-problem\"") && taken.html.contains("aria-invalid"));
    let form = [("current_password", "wrong password"), ("new_password", "another long password")];
    let wrong = alice.post_form("/settings/password", &form).await;
    wrong.expect(403, "The current password is wrong.");
    assert!(wrong.html.contains("id=\"current_password-problem\""));
    assert_eq!(alice.post_form("/projects/new", &[("name", "hello")]).await.status, 303);
    let taken = alice.post_form("/projects/new", &[("name", "hello")]).await;
    taken.expect(409, "You have a project with this name; choose another name.");
    assert!(taken.html.contains("id=\"name-problem\""));
    for (project, repository) in [("other", "web"), ("third", "api")] {
        assert_eq!(alice.post_form("/projects/new", &[("name", project)]).await.status, 303);
        assert_eq!(alice.post_form("/alice/hello/-/repos/new", &[("name", repository)]).await.status, 303);
    }
    let rename = [("name", "hello"), ("description", "")];
    let repository = [("name", "web"), ("description", ""), ("default_branch", "main")];
    for (path, form, text) in [
        ("/alice/other/-/settings", rename.as_slice(), "A project with this name exists"),
        ("/alice/hello/-/repos/new", &repository, "The project has a repository with this name"),
        ("/alice/hello/api/-/settings", &repository, "The project has a repository with this name"),
    ] {
        let taken = alice.post_form(path, form).await;
        taken.expect(409, text);
        assert!(taken.html.contains("id=\"name-problem\""), "{path}: {}", taken.html);
    }
    let role = [("username", "nosuch"), ("role", "reader")];
    let missing = alice.post_form("/alice/hello/-/members", &role).await;
    missing.expect(404, "User not found.");
    assert!(missing.html.contains("id=\"username-problem\""), "{}", missing.html);
    let missing = alice.post_form("/alice/hello/-/members/nosuch/role", &[("role", "reader")]).await;
    missing.expect(404, "User not found.");
    assert!(!missing.html.contains("id=\"username-problem\""), "{}", missing.html);
    server.stop().await;
}

#[actix_web::test]
async fn form_refused_for_a_time_has_retry_after() {
    let server = TestServer::with_limits(|limits| {
        (limits.login_failures_free, limits.logins_patience_ms) = (1, 10);
    })
    .await;
    Browser::set_up(&server, "alice").await;
    let visitor = Browser::anonymous(&server);
    let form = [("username", "alice"), ("password", "wrong password")];
    let refused = eventually(async || {
        let answer = visitor.post_form("/login", &form).await;
        assert_eq!(answer.status == 401, answer.header("retry-after").is_empty(), "{}", answer.text());
        (answer.status != 401).then_some(answer)
    })
    .await;
    refused.expect(429, "try again in");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!(seconds > 0 && refused.text().contains(&format!("in {seconds} s")), "{}", refused.text());
    server.stop().await;
}

#[actix_web::test]
async fn confirmation_of_an_address_is_a_fixed_sentence() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    alice.get("/settings/tokens?done=revoked").await.expect(200, "The access token is revoked.");
    for unknown in ["", "pay-me", "%3Cscript%3E"] {
        let page = alice.page(&format!("/settings/tokens?done={unknown}")).await;
        assert!(!page.contains("role=\"status\""), "{unknown}");
    }
    assert!(!alice.get("/none/none?done=saved").await.html.contains("role=\"status\""));
    server.stop().await;
}

#[actix_web::test]
async fn token_names_the_repositories_that_it_is_limited_to() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    assert_eq!(alice.post_form("/projects/new", &[("name", "hello")]).await.status, 303);
    for name in ["a1", "b2", "c3", "d4"] {
        assert_eq!(alice.post_form("/alice/hello/-/repos/new", &[("name", name)]).await.status, 303);
    }
    let form = alice.page("/settings/tokens/new").await;
    assert_eq!(form.matches(" checked").count(), 1, "only reading is chosen");
    let four = "alice/hello/a1 alice/hello/b2 alice/hello/c3 alice/hello/d4";
    for (name, repositories) in [("one", "alice/hello/b2"), ("four", four)] {
        let form = [("name", name), ("repo:read", "1"), ("days", "7"), ("repositories", repositories)];
        let made = alice.post_form("/settings/tokens/new", &form).await;
        made.expect(200, "It is limited to alice/hello/");
    }
    let list = alice.get("/settings/tokens").await;
    list.expect(200, "only in alice/hello/b2.");
    list.expect(200, "only in alice/hello/a1, alice/hello/b2, alice/hello/c3 and 1 other.");
    server.stop().await;
}

#[actix_web::test]
async fn repository_settings_have_its_tabs_and_lead_to_the_rules() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    Browser::register(&server, "bob").await;
    assert_eq!(alice.post_form("/projects/new", &[("name", "hello")]).await.status, 303);
    assert_eq!(alice.post_form("/alice/hello/-/repos/new", &[("name", "web")]).await.status, 303);
    let page = alice.page("/alice/hello/web/-/settings").await;
    assert!(page.contains("href=\"/alice/hello/-/settings#rules\""), "{page}");
    assert!(page.contains("href=\"/alice/hello/web/-/branches\""), "{page}");
    let add = [("username", "bob"), ("role", "maintainer")];
    assert_eq!(alice.post_form("/alice/hello/-/members", &add).await.status, 303);
    let bob = Browser::login(&server, "bob").await;
    let page = bob.get("/alice/hello/web/-/settings").await;
    page.expect(200, "Branches are protected in the settings of the project.");
    assert!(!page.html.contains("#rules"));
    // A member who was deactivated is marked.
    let form = [("active", "false"), ("confirm_name", "bob")];
    assert_eq!(alice.post_form("/admin/users/bob", &form).await.status, 303);
    for path in ["/alice/hello", "/alice/hello/-/members"] {
        alice.get(path).await.expect(200, "deactivated");
    }
    alice.get("/admin/audit").await.expect(200, "User deactivated user.deactivate");
    server.stop().await;
}
