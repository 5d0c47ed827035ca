//! Pages of people and of the administration, and rules that all of these pages keep.

use crate::harness::TestServer;
use crate::harness::browser::{Browser, text_of};

const ADMIN_PAGES: [&str; 4] = ["/admin/users", "/admin/users/bob", "/admin/audit", "/admin/health"];

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
    seen.expect(200, "alice has no projects that you may read.");
    carol.get("/people/none").await.expect(404, "Page not found");
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
const PAGES: [&str; 28] = [
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
    "/settings/profile",
    "/settings/password",
    "/settings/logins",
    "/settings/tokens",
    "/settings/tokens/new",
    "/settings/appearance",
    "/admin/users",
    "/admin/users/bob",
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
