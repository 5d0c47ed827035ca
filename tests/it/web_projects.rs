//! Pages of projects and repositories: what a visitor reads, and what forms change.

use serde_json::json;

use crate::harness::TestServer;
use crate::harness::browser::Browser;

async fn make_project(browser: &Browser, name: &str, visibility: &str) {
    let form = [("name", name), ("description", "Text."), ("visibility", visibility)];
    let made = browser.post_form("/projects/new", &form).await;
    assert_eq!(made.status, 303, "{}", made.text());
}

#[actix_web::test]
async fn start_page_leads_to_setup_until_there_is_an_administrator() {
    let server = TestServer::start().await;
    let visitor = Browser::anonymous(&server);
    visitor.get("/").await.expect_redirect("/setup");
    let alice = Browser::set_up(&server, "alice").await;
    let start = alice.page("/").await;
    assert!(start.contains("Create a project"), "the empty list offers the next step");
    let start = visitor.get("/").await;
    start.expect(200, "This server has no public projects.");
    assert!(start.html.contains("href=\"/login\"") && start.html.contains("href=\"/register\""));
    server.stop().await;
}

#[actix_web::test]
async fn start_page_lists_own_projects_and_public_ones_for_others() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    make_project(&alice, "open", "public").await;
    make_project(&alice, "hidden", "private").await;
    alice.get("/").await.expect_redirect("/chat");
    let own = alice.page("/projects?member=1").await;
    assert!(own.contains("/alice/open") && own.contains("/alice/hidden"));
    let others = bob.page("/").await;
    assert!(!others.contains("/alice/open"), "bob is a member of no project, and in no chat");
    for visitor in [&bob, &Browser::anonymous(&server)] {
        let all = visitor.page("/projects").await;
        assert!(all.contains("/alice/open") && !all.contains("/alice/hidden"));
    }
    assert!(Browser::anonymous(&server).page("/").await.contains("/alice/open"));
    server.stop().await;
}

#[actix_web::test]
async fn list_of_projects_continues_on_the_next_page() {
    let server = TestServer::with_limits(|limits| limits.page_default = 2).await;
    let alice = Browser::set_up(&server, "alice").await;
    for name in ["one", "two", "three"] {
        make_project(&alice, name, "public").await;
    }
    for list in ["/projects", "/projects?member=1"] {
        let first = alice.page(list).await;
        assert!(first.contains("/alice/two") && !first.contains("/alice/three"));
        let next = first.split("href=\"").find(|part| part.contains("cursor=")).unwrap();
        let next = next.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
        let second = alice.page(&next).await;
        assert!(second.contains("/alice/three") && !second.contains("/alice/two"), "{next}");
        assert!(second.contains("First page") && !second.contains("Next page"));
    }
    server.stop().await;
}

#[actix_web::test]
async fn new_project_shows_its_commands_and_takes_a_repository() {
    let server = TestServer::with(|config| config.git.push_to_create = true).await;
    let alice = Browser::set_up(&server, "alice").await;
    assert!(alice.page("/projects/new").await.contains("id=\"name\""));
    let form = [("name", "hello"), ("description", "Says hello."), ("visibility", "private")];
    alice.post_form("/projects/new", &form).await.expect_redirect("/alice/hello");
    let page = alice.page("/alice/hello").await;
    let address = format!("http://alice@{}/alice/hello/NAME.git", server.app.addresses.http);
    for text in ["Says hello.", "Private", "your role: owner", "New repository", &address] {
        assert!(page.contains(text), "{text}");
    }
    assert!(alice.page("/alice/hello/-/repos/new").await.contains("value=\"main\""));
    let form = [("name", "web"), ("description", "Pages"), ("default_branch", "trunk")];
    let made = alice.post_form("/alice/hello/-/repos/new", &form).await;
    made.expect_redirect("/alice/hello/web");
    alice.get("/alice/hello").await.expect(200, "web Pages trunk");
    server.stop().await;
}

#[actix_web::test]
async fn form_keeps_what_was_typed_and_names_the_field() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let form = [("name", "not a name"), ("description", "<b>kept</b>"), ("visibility", "public")];
    let refused = alice.post_form("/projects/new", &form).await;
    refused.expect(422, "1 field below needs a change.");
    assert!(refused.html.contains("value=\"not a name\"") && refused.html.contains("aria-invalid=\"true\""));
    assert!(refused.text().contains("<b>kept</b>") && !refused.html.contains("<b>kept"));
    assert!(refused.html.contains("value=\"public\" checked"));
    make_project(&alice, "hello", "private").await;
    let taken = alice.post_form("/projects/new", &[("name", "hello")]).await;
    assert_eq!(taken.status, 409);
    assert!(taken.html.contains("role=\"alert\"") && taken.html.contains("value=\"hello\""));
    let form = [("name", "web"), ("default_branch", "a..b")];
    let refused = alice.post_form("/alice/hello/-/repos/new", &form).await;
    refused.expect(422, "Default branch is not a branch name that git accepts.");
    server.stop().await;
}

#[actix_web::test]
async fn private_project_does_not_exist_for_others() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let eve = Browser::register(&server, "eve").await;
    make_project(&alice, "secret", "private").await;
    for path in ["/alice/secret", "/alice/secret/-/members", "/alice/secret/-/settings", "/alice/none"] {
        let next = path.replace('/', "%2F");
        Browser::anonymous(&server).get(path).await.expect_redirect(&format!("/login?next={next}"));
        eve.get(path).await.expect(404, "Page not found");
    }
    let paths = ["/-/settings", "/-/settings/delete", "/-/members", "/-/watch", "/-/repos/new"];
    for path in paths.map(|path| format!("/alice/secret{path}")) {
        let form = [("name", "x"), ("username", "eve"), ("role", "owner"), ("watch", "true")];
        assert_eq!(eve.post_form(&path, &form).await.status, 404, "{path}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn reader_sees_no_forms_and_cannot_send_them() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    make_project(&alice, "hello", "private").await;
    let add = [("username", " @Bob "), ("role", "reader")];
    let added = alice.post_form("/alice/hello/-/members", &add).await;
    added.expect_redirect("/alice/hello/-/members?done=added");
    let page = bob.page("/alice/hello").await;
    assert!(page.contains("your role: reader") && !page.contains("New repository"));
    assert!(!page.contains("/-/settings"));
    assert!(!bob.page("/alice/hello/-/members").await.contains("Add a member"));
    for path in ["/-/settings", "/-/repos/new"] {
        bob.get(&format!("/alice/hello{path}")).await.expect(403, "Not allowed");
    }
    let form = [("username", "bob"), ("role", "owner"), ("confirm_delete", "hello"), ("name", "x")];
    for path in ["/-/members", "/-/members/bob/role", "/-/settings/delete", "/-/repos/new"] {
        let refused = bob.post_form(&format!("/alice/hello{path}"), &form).await;
        assert_eq!(refused.status, 403, "{path}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn members_are_added_changed_and_removed() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    make_project(&alice, "hello", "private").await;
    let members = "/alice/hello/-/members";
    let missing = alice.post_form(members, &[("username", "nosuch"), ("role", "writer")]).await;
    missing.expect(404, "User not found.");
    assert!(missing.html.contains("value=\"nosuch\""));
    let added = alice.post_form(members, &[("username", "bob"), ("role", "writer")]).await;
    added.expect_redirect(&format!("{members}?done=added"));
    alice.get(added.header("location")).await.expect(200, "The member is added.");
    let role = format!("{members}/bob/role");
    let changed = alice.post_form(&role, &[("role", "maintainer")]).await;
    changed.expect_redirect(&format!("{members}?done=role"));
    bob.get("/alice/hello").await.expect(200, "your role: maintainer");
    // The namesake of the project stays its owner.
    let refused = alice.post_form(&format!("{members}/alice/remove"), &[]).await;
    refused.expect(409, "the user remains its owner");
    let removed = alice.post_form(&format!("{members}/bob/remove"), &[]).await;
    removed.expect_redirect(&format!("{members}?done=removed"));
    bob.get("/alice/hello").await.expect(404, "Page not found");
    server.stop().await;
}

#[actix_web::test]
async fn member_leaves_a_project_and_stops_watching_it() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    make_project(&alice, "hello", "private").await;
    alice.post_form("/alice/hello/-/members", &[("username", "bob"), ("role", "writer")]).await;
    let watches = async || bob.page("/alice/hello").await.contains("Stop watching");
    let before = watches().await;
    for watch in [!before, before] {
        let form = [("watch", if watch { "true" } else { "false" })];
        bob.post_form("/alice/hello/-/watch", &form).await.expect_redirect("/alice/hello");
        assert_eq!(watches().await, watch);
    }
    assert!(bob.page("/alice/hello/-/members").await.contains("Leave hello"));
    bob.post_form("/alice/hello/-/members/bob/remove", &[]).await.expect_redirect("/projects?done=left");
    assert!(!bob.page("/projects").await.contains("/alice/hello"));
    server.stop().await;
}

#[actix_web::test]
async fn project_becomes_public_only_with_its_typed_name() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    make_project(&alice, "Hello", "private").await;
    let path = "/alice/Hello/-/settings/visibility";
    for typed in ["", "hello", "Hell"] {
        let form = [("visibility", "public"), ("confirm_public", typed)];
        alice.post_form(path, &form).await.expect(422, "The typed name must be exactly Hello.");
    }
    let visitor = Browser::anonymous(&server);
    assert_eq!(visitor.get("/alice/Hello").await.status, 303);
    let form = [("visibility", "public"), ("confirm_public", "Hello")];
    alice.post_form(path, &form).await.expect_redirect("/alice/Hello/-/settings?done=saved");
    let page = visitor.get("/alice/Hello").await;
    page.expect(200, "Public");
    assert!(!page.text().contains("owner"), "members are for users with an account");
    alice
        .post_form(path, &[("visibility", "private")])
        .await
        .expect_redirect("/alice/Hello/-/settings?done=saved");
    assert_eq!(visitor.get("/alice/Hello").await.status, 303);
    server.stop().await;
}

#[actix_web::test]
async fn former_names_lead_to_the_present_pages() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    make_project(&alice, "old", "public").await;
    alice.post_form("/alice/old/-/repos/new", &[("name", "code")]).await.expect_redirect("/alice/old/code");
    let form = [("name", "new"), ("description", "")];
    alice.post_form("/alice/old/-/settings", &form).await.expect_redirect("/alice/new/-/settings?done=saved");
    let form = [("name", "web"), ("description", ""), ("default_branch", "main")];
    let renamed = alice.post_form("/alice/old/code/-/settings", &form).await;
    renamed.expect_redirect("/alice/new/web/-/settings?done=saved");
    for (old, new) in [
        ("/alice/old", "/alice/new"),
        ("/alice/old/-/members?cursor=1", "/alice/new/-/members?cursor=1"),
        ("/alice/old/-/settings", "/alice/new/-/settings"),
        ("/alice/new/code/-/settings", "/alice/new/web/-/settings"),
    ] {
        let moved = alice.get(old).await;
        assert_eq!((moved.status, moved.header("location")), (308, new), "{old}");
        assert_eq!(alice.get(new).await.status, 200, "{new}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn branch_rules_are_added_moved_and_removed() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let api = server.login("alice").await;
    make_project(&alice, "hello", "private").await;
    let settings = "/alice/hello/-/settings";
    let patterns = async || {
        let config = api.get("/api/projects/alice/hello/config").await.body;
        let rules = config["protected_branches"].as_array().unwrap().clone();
        rules.iter().map(|rule| rule["pattern"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let rules = format!("{settings}/rules");
    let add = [("pattern", "main"), ("push", "maintainer")];
    alice.post_form(&rules, &add).await.expect_redirect(&format!("{settings}?done=rule-added#rules"));
    let add = [("pattern", "release/*"), ("push", "owner"), ("force", "1"), ("delete", "1")];
    assert_eq!(alice.post_form(&rules, &add).await.status, 303);
    assert_eq!(patterns().await, ["main", "release/*"]);
    let change = format!("{rules}/change");
    assert_eq!(alice.post_form(&change, &[("pattern", "release/*"), ("change", "up")]).await.status, 303);
    assert_eq!(patterns().await, ["release/*", "main"]);
    alice.get(settings).await.expect(200, "release/* owner may be rewritten allowed");
    assert_eq!(alice.post_form(&change, &[("pattern", "main"), ("change", "remove")]).await.status, 303);
    assert_eq!(patterns().await, ["release/*"]);
    let gone = alice.post_form(&change, &[("pattern", "main"), ("change", "remove")]).await;
    gone.expect(409, "This rule was removed meanwhile.");
    let refused = alice.post_form(&rules, &[("pattern", "a..b"), ("push", "owner")]).await;
    refused.expect(422, "Branches have a pattern that matches no valid branch name.");
    assert!(refused.html.contains("value=\"a..b\""));
    let branch = format!("{settings}/default-branch");
    alice
        .post_form(&branch, &[("default_branch", "trunk")])
        .await
        .expect_redirect(&format!("{settings}?done=saved"));
    assert!(alice.page("/alice/hello/-/repos/new").await.contains("value=\"trunk\""));
    server.stop().await;
}

#[actix_web::test]
async fn deletion_needs_the_typed_name() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let api = server.login("alice").await;
    make_project(&alice, "hello", "private").await;
    alice.post_form("/alice/hello/-/repos/new", &[("name", "web")]).await.expect_redirect("/alice/hello/web");
    for path in ["/alice/hello/web/-/settings/delete", "/alice/hello/-/settings/delete"] {
        alice
            .post_form(path, &[("confirm_delete", "alice")])
            .await
            .expect(422, "The typed name must be exactly");
    }
    let path = "/alice/hello/web/-/settings/delete";
    alice.post_form(path, &[("confirm_delete", "web")]).await.expect_redirect("/alice/hello?done=deleted");
    assert_eq!(api.get("/api/projects/alice/hello/repos").await.body["items"], json!([]));
    let path = "/alice/hello/-/settings/delete";
    alice
        .post_form(path, &[("confirm_delete", "hello")])
        .await
        .expect_redirect("/projects?member=1&done=deleted");
    alice.get("/alice/hello").await.expect(404, "Page not found");
    server.stop().await;
}

#[actix_web::test]
async fn hostile_texts_stay_texts_on_all_pages() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let hostile = "\"><script>alert(1)</script><img src=x onerror=alert(2)>' {{7*7}}";
    let form = [("name", "hello"), ("description", hostile), ("visibility", "public")];
    alice.post_form("/projects/new", &form).await.expect_redirect("/alice/hello");
    let profile = [("display_name", "<script>alert(3)</script>"), ("email", "")];
    assert_eq!(alice.post_form("/settings/profile", &profile).await.status, 303);
    let repository = [("name", "web"), ("description", hostile)];
    assert_eq!(alice.post_form("/alice/hello/-/repos/new", &repository).await.status, 303);
    for path in [
        "/chat",
        "/projects",
        "/alice/hello",
        "/alice/hello/-/members",
        "/alice/hello/-/settings",
        "/alice/hello/web/-/settings",
        "/people",
        "/people/alice",
        "/people?q=%22%3E%3Cscript%3E",
        "/admin/users",
        "/admin/users?q=%22%3E%3Cscript%3E",
        "/admin/audit",
        "/settings/profile",
    ] {
        let page = alice.page(path).await;
        assert!(!page.contains("<script>") && !page.contains("<img"), "{path}");
    }
    alice.get("/alice/hello").await.expect(200, hostile);
    server.stop().await;
}
