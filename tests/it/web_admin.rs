//! Pages of people and of the administration, and rules that all of these pages keep.

use netbit::core::config::Config;
use serde_json::json;

use crate::harness::browser::{Browser, text_of};
use crate::harness::{PASSWORD, TestServer, database};

const ADMIN_PAGES: [&str; 7] = [
    "/admin/users",
    "/admin/users/bob",
    "/admin/users/bob/role",
    "/admin/users/bob/password",
    "/admin/audit",
    "/admin/audit.csv",
    "/admin/health",
];

#[actix_web::test]
async fn administration_refuses_other_users() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    for path in ADMIN_PAGES {
        assert_eq!(alice.get(path).await.status, 200, "{path}");
        bob.get(path).await.expect(403, "Not allowed");
        let next = format!("/login?next={}", path.replace('/', "%2F"));
        Browser::anonymous(&server).get(path).await.expect_redirect(&next);
    }
    let form = [("active", "false"), ("confirm_name", "alice")];
    assert_eq!(bob.post_form("/admin/users/alice", &form).await.status, 403);
    let typed = [("confirm_name", "bob"), ("own_password", PASSWORD)];
    for change in [("role", ("is_admin", "true")), ("password", ("new_password", "a new password"))] {
        let (path, form) = (format!("/admin/users/bob/{}", change.0), [typed[0], typed[1], change.1]);
        assert_eq!(bob.post_form(&path, &form).await.status, 403, "{path}");
    }
    assert!(!bob.page("/").await.contains("/admin/users") && alice.page("/").await.contains("/admin/users"));
    server.stop().await;
}

#[actix_web::test]
async fn user_is_deactivated_with_the_typed_name_and_reactivated() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    Browser::register(&server, "carol").await;
    let found = alice.page("/admin/users?q=BO").await;
    assert!(found.contains("/admin/users/bob") && !found.contains("/admin/users/carol"));
    let path = "/admin/users/bob";
    let form = [("active", "false"), ("confirm_name", "carol")];
    alice.post_form(path, &form).await.expect(422, "The typed name must be exactly bob.");
    assert_eq!(bob.get("/settings/profile").await.status, 200);
    let form = [("active", "false"), ("confirm_name", "bob")];
    alice.post_form(path, &form).await.expect_redirect(&format!("{path}?done=deactivated"));
    alice.get(path).await.expect(200, "Reactivate bob");
    // An open page of the user cannot act.
    bob.post_form("/projects/new", &[("name", "late")])
        .await
        .expect_redirect("/login?next=%2Fprojects%2Fnew");
    alice.get("/people/bob").await.expect(200, "deactivated");
    let active = alice.post_form(path, &[("active", "true")]).await;
    active.expect_redirect(&format!("{path}?done=reactivated"));
    Browser::login(&server, "bob").await;
    // The page for the own account has no form.
    assert!(!alice.page("/admin/users/alice").await.contains("confirm_name"));
    server.stop().await;
}

#[actix_web::test]
async fn administrator_is_made_and_removed_with_name_and_password() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    let path = "/admin/users/bob/role";
    assert!(alice.page("/admin/users/bob").await.contains(&format!("href=\"{path}\"")));
    for (name, password, status, why) in [
        ("bo", PASSWORD, 422, "The typed name must be exactly bob."),
        ("bob", "wrong password", 403, "Your own password is wrong."),
    ] {
        let form = [("is_admin", "true"), ("confirm_name", name), ("own_password", password)];
        alice.post_form(path, &form).await.expect(status, why);
    }
    assert_eq!(bob.get("/admin/users").await.status, 403);
    for name in ["alice", "absent"] {
        let (role, password) = (format!("/admin/users/{name}/role"), format!("/admin/users/{name}/password"));
        let status = (bob.get(&role).await.status, bob.get(&password).await.status);
        assert_eq!(status, (403, 403), "{name}: others must not learn which names exist");
    }
    let form = [("is_admin", "true"), ("confirm_name", "bob"), ("own_password", PASSWORD)];
    let made = alice.post_form(path, &form).await;
    made.expect_redirect("/admin/users/bob?done=promoted");
    alice.get(made.header("location")).await.expect(200, "The user is an administrator now.");
    assert_eq!(bob.get("/admin/users").await.status, 200);
    let own = [("is_admin", "false"), ("confirm_name", "bob"), ("own_password", PASSWORD)];
    bob.post_form(path, &own).await.expect(409, "Another administrator can change your account.");
    assert!(!bob.page(path).await.contains("<button class=\"danger\">"));
    let removed = alice.post_form(path, &own).await;
    removed.expect_redirect("/admin/users/bob?done=demoted");
    assert_eq!(bob.get("/admin/users").await.status, 403);
    let audit = text_of(&alice.page("/admin/audit").await);
    let places = ["user.demote", "user.promote"].map(|action| audit.find(action));
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{audit}");
    server.stop().await;
}

#[actix_web::test]
async fn password_of_a_user_is_set_and_ends_the_logins() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    let (path, new) = ("/admin/users/bob/password", "battery staple 7");
    let form = |name, own, new| [("confirm_name", name), ("own_password", own), ("new_password", new)];
    for (form, status, why) in [
        (form("bob", PASSWORD, "short"), 422, "New password of the user must"),
        (form("alice", PASSWORD, new), 422, "The typed name must be exactly bob."),
        (form("bob", "wrong password", new), 403, "Your own password is wrong."),
    ] {
        let refused = alice.post_form(path, &form).await;
        refused.expect(status, why);
        assert!(!refused.html.contains(new) && !refused.html.contains(PASSWORD));
    }
    assert_eq!(bob.get("/settings/profile").await.status, 200);
    let set = alice.post_form(path, &form("bob", PASSWORD, new)).await;
    set.expect_redirect("/admin/users/bob?done=password-set");
    assert_eq!(bob.get("/settings/profile").await.status, 303);
    let account = server.http.login("bob", new).await.unwrap();
    let told = server.http.with_token(account.token).get("/api/notifications").await.unwrap().body;
    let text = "an administrator set your password; your logins and access tokens ended";
    assert_eq!((&told["items"][0]["kind"], &told["items"][0]["text"]), (&json!("account"), &json!(text)));
    let own = alice.post_form("/admin/users/alice/password", &form("alice", PASSWORD, new)).await;
    own.expect(409, "Another administrator can change your account.");
    alice.get("/admin/audit").await.expect(200, "Password of a user set user.password");
    server.stop().await;
}

#[actix_web::test]
async fn audit_log_names_projects_and_is_a_safe_file() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    assert_eq!(alice.post_form("/projects/new", &[("name", "hello")]).await.status, 303);
    let form = [("name", "hello"), ("description", "=HYPERLINK(\"x\"), y")];
    assert_eq!(alice.post_form("/alice/hello/-/settings", &form).await.status, 303);
    let page = alice.page("/admin/audit").await;
    assert!(page.contains("<a href=\"/alice/hello\">alice/hello</a>"), "{page}");
    assert!(page.contains("href=\"/admin/audit.csv\""));
    let file = alice.get("/admin/audit.csv").await;
    assert_eq!((file.status, file.header("cache-control")), (200, "no-store"));
    assert!(file.header("content-type").starts_with("text/csv"));
    assert!(file.header("content-disposition").starts_with("attachment"));
    let lines: Vec<_> = file.html.split("\r\n").collect();
    assert_eq!(lines[0], "id,time,actor_id,actor,action,target,target_name,detail,request_id");
    assert!(lines[1].contains("\"alice\",\"project.update\",\"project:1\",\"alice/hello\""), "{}", lines[1]);
    assert!(lines[1].contains("\"\"description\"\":\"\"=HYPERLINK(\\\"\"x\\\"\"), y\"\""), "{}", lines[1]);
    assert!(lines[2].contains("\"user.setup\",\"user:1\",\"alice\""), "{}", lines[2]);
    let older = alice.get("/admin/audit.csv?cursor=1").await;
    assert_eq!(older.html.lines().count(), 1, "{}", older.html);
    server.stop().await;
}

/// Returns the number of entries of an audit file, and its name.
async fn audit_file(alice: &Browser, query: &str) -> (usize, String) {
    let file = alice.get(&format!("/admin/audit.csv{query}")).await;
    assert_eq!(file.status, 200);
    let name = file.header("content-disposition").replace("attachment; filename=", "");
    (file.html.lines().count() - 1, name.trim_matches('"').to_owned())
}

#[actix_web::test]
async fn audit_file_ends_at_its_limits_and_names_the_rest() {
    let insert = |count: i64, detail: &str| {
        format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
             INSERT INTO audit_events (action, target, detail, created_at) SELECT 'x', 'chat:1', {detail}, 0 FROM n"
        )
    };
    let with = |statement: String| {
        move |config: &mut Config| {
            database::writer(&config.data_dir.0).batch_execute(&statement);
        }
    };
    let server = TestServer::start().await;
    // Its entry is the first.
    Browser::set_up(&server, "alice").await;
    let server = server.restart(with(insert(5_000, "'{}'"))).await;
    let alice = Browser::login(&server, "alice").await;
    assert_eq!(audit_file(&alice, "").await, (5_000, "netbit-audit-cut-at-2.csv".to_owned()));
    assert_eq!(audit_file(&alice, "?cursor=2").await, (1, "netbit-audit.csv".to_owned()));
    let whole = audit_file(&alice, "?cursor=5001").await;
    assert_eq!(whole, (5_000, "netbit-audit.csv".to_owned()), "as many as a file has, and none older");
    // Six entries of a MiB each.
    let large = format!(r#"'{{"x":"{}"}}'"#, "0".repeat(1 << 20));
    let server = server.restart(with(insert(6, &large))).await;
    let alice = Browser::login(&server, "alice").await;
    assert_eq!(audit_file(&alice, "").await, (4, "netbit-audit-cut-at-5004.csv".to_owned()));
    assert_eq!(audit_file(&alice, "?cursor=5004").await, (5_000, "netbit-audit-cut-at-4.csv".to_owned()));
    server.stop().await;
}

#[actix_web::test]
async fn list_of_users_continues_on_the_next_page() {
    let server = TestServer::with_limits(|limits| limits.page_default = 2).await;
    let alice = Browser::set_up(&server, "alice").await;
    for name in ["bob", "carol"] {
        Browser::register(&server, name).await;
    }
    let first = alice.page("/admin/users").await;
    assert!(first.contains("/admin/users/bob") && !first.contains("/admin/users/carol"));
    let second = alice.page("/admin/users?cursor=2").await;
    assert!(second.contains("/admin/users/carol") && second.contains("First page"));
    server.stop().await;
}

#[actix_web::test]
async fn audit_log_names_users_and_is_newest_first() {
    let server = TestServer::with_limits(|limits| limits.page_default = 3).await;
    let alice = Browser::set_up(&server, "alice").await;
    Browser::register(&server, "bob").await;
    assert_eq!(alice.post_form("/projects/new", &[("name", "hello")]).await.status, 303);
    let add = [("username", "bob"), ("role", "writer")];
    assert_eq!(alice.post_form("/alice/hello/-/members", &add).await.status, 303);
    for form in [&[("active", "false"), ("confirm_name", "bob")][..], &[("active", "true")]] {
        assert_eq!(alice.post_form("/admin/users/bob", form).await.status, 303);
    }
    let page = alice.page("/admin/audit").await;
    let text = text_of(&page);
    let places = ["user.activate", "user.deactivate", "project.member"].map(|action| text.find(action));
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{text}");
    assert!(text.contains("user bob"), "the member is named: {text}");
    assert!(page.contains("href=\"/people/bob\"") && page.contains("href=\"/people/alice\""));
    let next = page.split("href=\"").find(|part| part.starts_with("/admin/audit?cursor=")).unwrap();
    let next = alice.page(next.split('"').next().unwrap()).await;
    assert!(text_of(&next).contains("user.setup"), "{}", text_of(&next));
    server.stop().await;
}

#[actix_web::test]
async fn health_shows_version_disk_and_mailboxes() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let page = alice.get("/admin/health").await;
    page.expect(200, &format!("NetBit {}", env!("CARGO_PKG_VERSION")));
    for text in ["Ready", "disk free of", "writer", "cache", "presence", "Mean wait", "last backup"] {
        assert!(page.text().contains(text), "{text}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn people_are_found_by_the_beginning_of_their_names() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    Browser::register(&server, "carol").await;
    assert_eq!(alice.post_form("/projects/new", &[("name", "hello")]).await.status, 303);
    let add = [("username", "bob"), ("role", "reader")];
    assert_eq!(alice.post_form("/alice/hello/-/members", &add).await.status, 303);
    let all = alice.page("/people").await;
    assert!(all.contains("/people/bob") && !all.contains("/people/carol"), "alice shares no chat with carol");
    assert!(alice.page("/people?q=Ca").await.contains("No user is found"));
    assert!(alice.page("/people?q=%40carol").await.contains("/people/carol"));
    let long = format!("/people?q={}", "x".repeat(300));
    assert!(alice.page(&long).await.contains("No user is found"));
    let seen = bob.page("/people/alice").await;
    assert!(seen.contains("/alice/hello"), "bob reads the project");
    let carol = Browser::login(&server, "carol").await;
    let seen = carol.get("/people/alice").await;
    seen.expect(200, "alice owns no projects that you may read.");
    carol.get("/people/none").await.expect(404, "Page not found");
    server.stop().await;
}

#[actix_web::test]
async fn page_of_a_user_leads_to_the_direct_chat() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    const BUTTON: &str = "action=\"/people/";
    assert!(alice.page("/people/bob").await.contains(&format!("{BUTTON}bob\"")));
    assert!(!alice.page("/people/alice").await.contains(BUTTON));
    let made = alice.post_form("/people/bob", &[]).await;
    assert_eq!(made.status, 303, "{}", made.text());
    let chat = made.header("location").to_owned();
    assert!(chat.starts_with("/chat/"), "{chat}");
    bob.post_form("/people/alice", &[]).await.expect_redirect(&chat);
    assert_eq!(alice.post_form("/people/alice", &[]).await.status, 422);
    assert_eq!(alice.post_form("/people/none", &[]).await.status, 422);
    Browser::anonymous(&server)
        .post_form("/people/bob", &[])
        .await
        .expect_redirect("/login?next=%2Fpeople%2Fbob");
    let form = [("active", "false"), ("confirm_name", "bob")];
    assert_eq!(alice.post_form("/admin/users/bob", &form).await.status, 303);
    assert!(!alice.page("/people/bob").await.contains(BUTTON), "no message reaches a deactivated user");
    server.stop().await;
}

#[actix_web::test]
async fn namespace_leads_to_the_page_of_its_user() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    alice.get("/alice").await.expect_redirect("/people/alice");
    for path in ["/explore", "/none", "/wp-login.php?x=%3Cscript%3E"] {
        alice.get(path).await.expect(404, "No page has this address.");
    }
    Browser::anonymous(&server).get("/alice").await.expect(404, "No page has this address.");
    server.stop().await;
}

#[actix_web::test]
async fn about_names_version_and_licences() {
    let server = TestServer::start().await;
    let visitor = Browser::anonymous(&server);
    let page = visitor.get("/about").await;
    page.expect(200, &format!("NetBit {}", env!("CARGO_PKG_VERSION")));
    assert!(page.html.contains("href=\"/docs\"") && page.html.matches("<details>").count() > 50);
    server.stop().await;
}

/// Paths of pages with a visitor who may see everything.
const PAGES: [&str; 34] = [
    "/chat",
    "/chat/1",
    "/chat/1/1",
    "/chat/1/thread/1",
    "/inbox",
    "/projects",
    "/projects?member=1",
    "/projects/new",
    "/alice/hello",
    "/alice/hello/-/members",
    "/alice/hello/-/settings",
    "/alice/hello/-/repos/new",
    "/alice/hello/web/-/settings",
    "/people",
    "/people/alice",
    "/people/bob",
    "/search",
    "/search?q=bob",
    "/search?q=bob&in=people",
    "/search?q=bob&in=messages",
    "/settings/profile",
    "/settings/password",
    "/settings/logins",
    "/settings/tokens",
    "/settings/tokens/new",
    "/settings/appearance",
    "/admin/users",
    "/admin/users/bob",
    "/admin/users/bob/role",
    "/admin/users/bob/password",
    "/admin/audit",
    "/admin/health",
    "/about",
    "/none/none",
];

#[actix_web::test]
async fn pages_have_one_heading_and_nothing_inline() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    Browser::register(&server, "bob").await;
    assert_eq!(alice.post_form("/projects/new", &[("name", "hello")]).await.status, 303);
    assert_eq!(alice.post_form("/alice/hello/-/repos/new", &[("name", "web")]).await.status, 303);
    for path in PAGES {
        let page = alice.get(path).await;
        let html = &page.html;
        assert_eq!(html.matches("<h1").count(), 1, "{path}");
        assert!(html.contains("<html lang=\"en\"") && html.contains(" · NetBit</title>"), "{path}");
        assert!(html.contains("Your account: alice"), "{path}");
        for inline in [" style=", "<style", " onclick=", " onload=", "javascript:", "<script>"] {
            assert!(!html.contains(inline), "{path}: {inline}");
        }
        let data = html.matches("<script type=\"application/json\" id=\"state\">").count();
        assert_eq!(data, usize::from(path.starts_with("/chat") || path == "/inbox"), "{path}");
        assert_eq!(html.matches("<script").count(), 1 + data, "{path}");
        assert!(page.header("content-security-policy").contains("trusted-types 'none'"), "{path}");
        let ids: Vec<_> = html.split(" id=\"").skip(1).map(|part| part.split('"').next().unwrap()).collect();
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), distinct.len(), "{path}: an id is used twice: {ids:?}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn links_and_forms_of_pages_lead_somewhere() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    Browser::register(&server, "bob").await;
    assert_eq!(alice.post_form("/projects/new", &[("name", "hello")]).await.status, 303);
    let mut links = std::collections::BTreeSet::new();
    for path in PAGES {
        let html = alice.get(path).await.html;
        let found = html.split(" href=\"").skip(1).map(|part| part.split('"').next().unwrap().to_owned());
        links.extend(found.filter(|link| link.starts_with('/') && !link.starts_with("/assets/")));
    }
    assert!(links.len() > 15, "{links:?}");
    for link in links {
        let link = link.replace("&#38;", "&").replace("&amp;", "&");
        let status = alice.get(&link).await.status;
        assert!(matches!(status, 200 | 303 | 308), "{link}: {status}");
    }
    server.stop().await;
}
