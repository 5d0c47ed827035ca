//! The repositories of projects, over REST.

use serde_json::json;

use crate::harness::{TestServer, assert_problem};
use crate::projects::{each, project, redirect_of, set_role};

/// Regression: `docs`, `api`, `static` and more were refused as names of projects and repositories,
/// although the user name precedes them in paths.
#[actix_web::test]
async fn project_and_repository_names_may_equal_route_names() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for name in
        ["docs", "api", "API-2", "static", "assets", "settings", "create", "repos", "info", "ws", "me"]
    {
        project(&alice, name, "private").await;
        let at = format!("/api/projects/alice/{name}");
        let made = alice.post(&format!("{at}/repos/create"), json!({"name": name})).await;
        assert_eq!(made.status, 201, "{name}: {}", made.body);
        let repository = format!("{at}/repos/{name}");
        assert_eq!(alice.get(&repository).await.body["name"], name);
        assert_eq!(alice.patch(&repository, json!({"description": "x"})).await.status, 200);
        assert_eq!(alice.get(&format!("{repository}/branches")).await.status, 200);
        let refs = format!("/alice/{name}/{name}.git/info/refs?service=git-upload-pack");
        assert_eq!(redirect_of(&server, &alice, &refs).await.0, 200, "{name}");
        assert_eq!(alice.delete(&repository).await.status, 204);
        assert_eq!(alice.patch(&at, json!({"description": "x"})).await.status, 200);
        assert_eq!(alice.delete(&at).await.status, 204);
    }
    server.stop().await;
}

#[actix_web::test]
async fn repository_is_created_changed_renamed_and_deleted() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    project(&alice, "web", "private").await;
    let repos = "/api/projects/alice/web/repos";
    let made = alice.post(&format!("{repos}/create"), json!({"name": "Site", "description": "pages"})).await;
    assert_eq!(made.status, 201);
    let clone_url = format!("http://{}/alice/web/Site.git", server.app.addresses.http);
    for (field, expected) in [
        ("name", json!("Site")),
        ("full_name", json!("alice/web/Site")),
        ("description", json!("pages")),
        ("default_branch", json!("main")),
        ("clone_url", json!(clone_url)),
    ] {
        assert_eq!(made.body[field], expected, "{field}");
    }
    assert_eq!(alice.get(&format!("{repos}/site")).await.body, made.body);
    assert_eq!(alice.get("/api/projects/alice/web").await.body["repository_count"], 1);
    assert_problem(&alice.post(&format!("{repos}/create"), json!({"name": "sITE"})).await, 409, "conflict");
    for bad in [
        json!({"name": "x", "default_branch": "-x"}),
        json!({"name": "x", "default_branch": "HEAD"}),
        json!({"name": "x", "colour": "red"}),
        json!({"name": "x", "description": "x".repeat(501)}),
    ] {
        assert_problem(&alice.post(&format!("{repos}/create"), bad).await, 422, "validation");
    }
    let changed = alice.patch(&format!("{repos}/site"), json!({"default_branch": "trunk"})).await;
    assert_eq!((changed.status, &changed.body["default_branch"]), (200, &json!("trunk")));
    let bad = alice.patch(&format!("{repos}/site"), json!({"default_branch": "a b"})).await;
    assert_problem(&bad, 422, "validation");

    let renamed = alice.patch(&format!("{repos}/site"), json!({"name": "pages"})).await;
    assert_eq!((renamed.status, &renamed.body["full_name"]), (200, &json!("alice/web/pages")));
    let moved = redirect_of(&server, &alice, &format!("{repos}/Site/branches?limit=1")).await;
    assert_eq!(moved, (308, format!("{repos}/pages/branches?limit=1")));
    assert_eq!(alice.get(&format!("{repos}/site")).await.body["name"], "pages");
    let second = alice.post(&format!("{repos}/create"), json!({"name": "site"})).await;
    assert_eq!((second.status, redirect_of(&server, &alice, &format!("{repos}/site")).await.0), (201, 200));
    let taken = alice.patch(&format!("{repos}/pages"), json!({"name": "SITE"})).await;
    assert_problem(&taken, 409, "conflict");

    // The old name of the project redirects too.
    alice.patch("/api/projects/alice/web", json!({"name": "net"})).await;
    let moved = redirect_of(&server, &alice, &format!("{repos}/pages")).await;
    assert_eq!(moved, (308, "/api/projects/alice/net/repos/pages".to_owned()));

    let repos = "/api/projects/alice/net/repos";
    assert_eq!(alice.delete(&format!("{repos}/pages")).await.status, 204);
    assert_problem(&alice.get(&format!("{repos}/pages")).await, 404, "not_found");
    assert_problem(&alice.delete(&format!("{repos}/pages")).await, 404, "not_found");
    assert_eq!(alice.post(&format!("{repos}/create"), json!({"name": "pages"})).await.status, 201);
    assert_eq!(each(&alice.get(repos).await.body, "name"), [json!("pages"), json!("site")]);
    server.stop().await;
}

#[actix_web::test]
async fn concurrent_creations_of_one_name_succeed_once() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    project(&alice, "web", "private").await;
    for path in ["/api/projects/create", "/api/projects/alice/web/repos/create"] {
        let tries = (0..4).map(|_| alice.post(path, json!({"name": "same"})));
        let mut seen: Vec<_> =
            futures_util::future::join_all(tries).await.iter().map(|answer| answer.status).collect();
        seen.sort_unstable();
        assert_eq!(seen, [201, 409, 409, 409], "{path}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn legacy_routes_keep_repositories_in_the_project_personal() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let before = alice.get("/api/repos").await;
    assert_eq!((before.status, &before.body["items"]), (200, &json!([])));
    assert_problem(&alice.get("/api/projects/alice/personal").await, 404, "not_found");
    let made = alice.post("/api/repos/create", json!({"name": "notes"})).await;
    assert_eq!((made.status, &made.body["full_name"]), (201, &json!("alice/personal/notes")));
    assert_eq!(alice.get("/api/projects/alice/personal").await.body["visibility"], "private");
    let after = alice.get("/api/repos").await;
    assert_eq!(each(&after.body, "name"), [json!("notes")]);
    for (answer, successor) in [(&before, "repos"), (&made, "repos/create"), (&after, "repos")] {
        assert!(answer.header("deprecation").unwrap().starts_with('@'));
        assert!(answer.header("sunset").unwrap().ends_with(" GMT"));
        let link = format!("</api/projects/alice/personal/{successor}>; rel=\"successor-version\"");
        assert_eq!(answer.header("link"), Some(link.as_str()));
    }
    assert_problem(&alice.post("/api/repos/create", json!({"name": "NOTES"})).await, 409, "conflict");
    assert_problem(&alice.post("/api/repos/create", json!({"name": "../x"})).await, 422, "validation");
    alice.post("/api/repos/create", json!({"name": "other"})).await;
    let page = alice.get("/api/repos?limit=1").await;
    let links: Vec<_> = page.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert!(links.iter().any(|link| link.starts_with("</api/repos?") && link.ends_with("rel=\"next\"")));
    assert_eq!(links.len(), 2, "{links:?}");
    assert_eq!(bob.get("/api/repos").await.body["items"], json!([]));
    for path in ["/api/repos", "/api/repos?limit=x"] {
        assert_problem(&server.http.get(path).await.unwrap(), 401, "unauthenticated");
    }
    server.stop().await;
}

#[actix_web::test]
async fn project_personal_is_created_once_by_concurrent_requests() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let names: Vec<_> = (0..6).map(|n| format!("r{n}")).collect();
    let tries = names.iter().map(|name| alice.post("/api/repos/create", json!({"name": name})));
    for answer in futures_util::future::join_all(tries).await {
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    assert_eq!(each(&alice.get("/api/projects").await.body, "name"), [json!("personal")]);
    assert_eq!(each(&alice.get("/api/repos").await.body, "name"), names);
    server.stop().await;
}

#[actix_web::test]
async fn projects_repositories_and_members_are_limited() {
    let server = TestServer::with_limits(|limits| {
        (limits.projects_per_user, limits.repositories_per_project) = (2, 2);
        limits.participants_per_chat = 2;
    })
    .await;
    let (alice, _bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let create = async |name: &str| alice.post("/api/projects/create", json!({"name": name})).await;
    create("a").await;
    create("b").await;
    assert_problem(&create("c").await, 409, "conflict");
    assert_problem(&alice.post("/api/repos/create", json!({"name": "x"})).await, 409, "conflict");
    alice.delete("/api/projects/alice/b").await;
    assert_eq!(create("c").await.status, 201);

    let repos = "/api/projects/alice/a/repos";
    let make = async |name: &str| alice.post(&format!("{repos}/create"), json!({"name": name})).await;
    make("a").await;
    make("b").await;
    assert_problem(&make("c").await, 409, "conflict");
    alice.delete(&format!("{repos}/b")).await;
    assert_eq!(make("c").await.status, 201);

    assert_eq!(set_role(&alice, "/api/projects/alice/a", "bob", "reader").await, 201);
    assert_eq!(set_role(&alice, "/api/projects/alice/a", "carol", "reader").await, 409);
    assert_problem(&carol.get("/api/projects/alice/a").await, 404, "not_found");
    server.stop().await;
}

/// Regression: the row of a repository whose creation failed reserved its name until the next
/// start.
#[actix_web::test]
async fn repository_name_is_free_after_its_creation_failed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    project(&alice, "hello", "private").await;
    let tmp = server.path().join("repos/tmp");
    std::fs::remove_dir_all(&tmp).unwrap();
    std::fs::write(&tmp, "in the way").unwrap();
    let make = async || alice.post("/api/projects/alice/hello/repos/create", json!({"name": "web"})).await;
    assert_eq!(make().await.status, 500);
    std::fs::remove_file(&tmp).unwrap();
    std::fs::create_dir(&tmp).unwrap();
    assert_eq!(make().await.status, 201);
    server.stop().await;
}
