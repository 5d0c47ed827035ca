//! `git.push_to_create`: an owner's push to a repository that does not exist creates it.

use netbit::core::config::Config;
use reqwest::Response;
use serde_json::json;

use crate::harness::git::GitWorkdir;
use crate::harness::{PASSWORD, Person, TestServer};

const REPOSITORIES: &str = "/api/projects/alice/hello/repos";

async fn server() -> TestServer {
    TestServer::with(|config: &mut Config| config.git.push_to_create = true).await
}

/// Returns the names of the project's repositories.
async fn names(alice: &Person) -> Vec<String> {
    let listed = alice.get(REPOSITORIES).await.body;
    let items = listed["items"].as_array().unwrap().iter();
    items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

/// Sends the first request of a push or a fetch.
async fn refs(server: &TestServer, user: Option<&str>, path: &str, service: &str) -> Response {
    let url = format!("{}/info/refs?service={service}", server.url(path));
    let mut request = reqwest::Client::new().get(url);
    if let Some(user) = user {
        request = request.basic_auth(user, Some(PASSWORD));
    }
    request.send().await.unwrap()
}

/// Sends the second request of a push, with this body.
async fn send(server: &TestServer, user: &str, path: &str, body: Vec<u8>) -> Response {
    let url = format!("{}/git-receive-pack", server.url(path));
    let request = reqwest::Client::new().post(url).basic_auth(user, Some(PASSWORD));
    let request = request.header("content-type", "application/x-git-receive-pack-request");
    request.body(body).send().await.unwrap()
}

/// Returns a body that deletes a branch, with the flush packet that ends the commands.
fn deletion(name: &str) -> Vec<u8> {
    let line = format!("{} {} refs/heads/{name}\0report-status", "1".repeat(40), "0".repeat(40));
    format!("{:04x}{line}0000", line.len() + 4).into_bytes()
}

#[actix_web::test]
async fn push_by_an_owner_creates_the_repository() {
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.project("hello", "private").await["channel_id"].as_i64().unwrap();
    alice.member("hello", "bob", "owner").await;
    let mut workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["branch", "-m", "trunk"]).await.ok();
    for (user, version) in [("alice", "0"), ("bob", "2")] {
        workdir.protocol = version;
        let url = server.url_as(user, &format!("alice/hello/by-{user}.git"));
        workdir.git("work", &["push", "--quiet", &url, "trunk"]).await.ok();
        workdir.git("", &["clone", "--quiet", &url, user]).await.ok();
        assert_eq!(workdir.head(user).await, workdir.head("work").await);
    }
    assert_eq!(names(&alice).await, ["by-alice", "by-bob"]);
    let made = bob.get(&format!("{REPOSITORIES}/by-bob")).await.body;
    assert_eq!((&made["default_branch"], &made["description"]), (&json!("trunk"), &json!("")));
    assert_eq!(alice.pushes(chat).await.len(), 2, "each push is an event, as any other");
    server.stop().await;
}

#[actix_web::test]
async fn push_creates_nothing_unless_the_setting_is_on() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.project("hello", "public").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let url = server.url_as("alice", "alice/hello/web");
    workdir.git("work", &["push", &url, "main"]).await.refused("not found");
    assert_eq!(send(&server, "alice", "alice/hello/web", deletion("x")).await.status(), 404);
    assert!(names(&alice).await.is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn push_by_a_non_owner_creates_no_repository() {
    let server = server().await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    for visibility in ["private", "public"] {
        alice.project(visibility, visibility).await;
    }
    for role in ["reader", "writer", "maintainer", "outsider"] {
        let _member = server.user(role).await;
        for visibility in ["private", "public"] {
            if role != "outsider" {
                alice.member(visibility, role, role).await;
            }
            let path = format!("alice/{visibility}/web");
            let url = server.url_as(role, &path);
            workdir.git("work", &["push", &url, "main"]).await.refused("not found");
            let sent = send(&server, role, &path, deletion("x")).await;
            assert_eq!(sent.status(), 404, "{role} {visibility}");
        }
    }
    // A push does not create a project, and a caller without credentials gets 401.
    let url = server.url_as("alice", "alice/other/web");
    workdir.git("work", &["push", &url, "main"]).await.refused("not found");
    for path in ["alice/private/web", "alice/public/web", "alice/other/web"] {
        assert_eq!(refs(&server, None, path, "git-receive-pack").await.status(), 401, "{path}");
    }
    assert!(server.repositories().is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn only_a_push_with_a_head_creates_the_repository() {
    let server = server().await;
    let alice = server.user("alice").await;
    alice.project("hello", "public").await;
    alice.repository("hello", "empty").await;
    let path = "alice/hello/web";
    // The advertisement equals that of an existing, empty repository.
    let mut advertised = Vec::new();
    for path in [path, path, "alice/hello/empty"] {
        let answer = refs(&server, Some("alice"), path, "git-receive-pack").await;
        assert_eq!(answer.status(), 200);
        advertised.push(answer.text().await.unwrap());
    }
    assert!(advertised[0].contains("capabilities^{}"), "{advertised:?}");
    assert!(advertised.iter().all(|text| *text == advertised[0]), "{advertised:?}");
    assert_eq!(refs(&server, Some("alice"), path, "git-upload-pack").await.status(), 404);
    // A probe, a malformed head, a truncated head, and a head that only deletes.
    assert_eq!(send(&server, "alice", path, b"0000".to_vec()).await.status(), 200);
    for body in [b"zzzz".as_slice(), b"00", b""] {
        assert_eq!(send(&server, "alice", path, body.to_vec()).await.status(), 400, "{body:?}");
    }
    let report = send(&server, "alice", path, deletion("x")).await.text().await.unwrap();
    assert!(report.contains("ng refs/heads/x repository not found"), "{report}");
    // Commands that every repository refuses: a ref outside of all namespaces, and a ref that is
    // named twice.
    let line = |name: &str| format!("{} {} {name}", "0".repeat(40), "1".repeat(40));
    for [first, second] in [["refs/pull/1/head", "refs/pull/2/head"], ["refs/heads/x", "refs/heads/x"]] {
        let lines = [format!("{}\0report-status", line(first)), line(second)];
        let body: String = lines.iter().map(|line| format!("{:04x}{line}", line.len() + 4)).collect();
        let report = send(&server, "alice", path, format!("{body}0000").into_bytes()).await;
        let report = report.text().await.unwrap();
        assert!(report.contains(&format!("ng {first}")), "{report}");
    }
    assert_eq!(names(&alice).await, ["empty"]);
    server.stop().await;
}

#[actix_web::test]
async fn push_to_an_invalid_name_shows_the_rule() {
    let server = server().await;
    let alice = server.user("alice").await;
    alice.project("hello", "private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    for (name, why) in [
        ("-web", "the name of the repository must be 1 to 64 characters"),
        ("web.lock", "the name of the repository must not contain '..' or end in"),
        ("web.git.git", "the name of the repository must not contain '..' or end in"),
    ] {
        let url = server.url_as("alice", &format!("alice/hello/{name}"));
        workdir.git("work", &["push", &url, "main"]).await.refused(why);
    }
    let sent = send(&server, "alice", "alice/hello/-web", deletion("x")).await;
    assert!(sent.text().await.unwrap().contains("the name of the repository must be"));
    assert!(names(&alice).await.is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn push_shows_the_missing_scope_of_its_token() {
    let server = server().await;
    let alice = server.user("alice").await;
    alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let read = json!({"name": "r", "scopes": ["repo:read"]});
    let other = json!({"name": "o", "scopes": ["repo:write"], "repositories": ["alice/hello/web"]});
    let write = json!({"name": "w", "scopes": ["repo:write"]});
    for (body, lack) in [
        (read, Some("the access token lacks the scope repo:write")),
        (other, Some("the access token is for other repositories")),
        (write, None),
    ] {
        let made = alice.post("/api/users/me/tokens", body).await;
        let token = made.body["token"].as_str().unwrap();
        let url = format!("http://x:{token}@{}/alice/hello/new", server.app.addresses.http);
        let pushed = workdir.git("work", &["push", "--quiet", &url, "main"]).await;
        match lack {
            Some(why) => pushed.refused(why),
            None => drop(pushed.ok()),
        }
    }
    assert_eq!(names(&alice).await, ["new", "web"]);
    server.stop().await;
}

#[actix_web::test]
async fn concurrent_pushes_that_create_one_repository_all_land() {
    let server = server().await;
    let alice = server.user("alice").await;
    alice.project("hello", "private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let branches = ["a", "b", "c", "d"];
    for branch in branches {
        workdir.git("work", &["branch", branch]).await.ok();
    }
    let url = server.url_as("alice", "alice/hello/web");
    let (workdir, url) = (&workdir, &url);
    let push = async |branch| workdir.git("work", &["push", "--quiet", url, branch]).await;
    let said = futures_util::future::join_all(branches.map(push)).await;
    said.into_iter().for_each(|said| drop(said.ok()));
    assert_eq!(names(&alice).await, ["web"]);
    let listed = workdir.git("", &["ls-remote", "--heads", url]).await.ok();
    assert_eq!(listed.lines().count(), branches.len(), "{listed}");
    server.stop().await;
}

#[actix_web::test]
async fn push_to_a_full_project_shows_that_it_is_full() {
    let server = TestServer::with(|config| {
        config.git.push_to_create = true;
        config.limits.repositories_per_project = 1;
    })
    .await;
    let alice = server.user("alice").await;
    alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let url = server.url_as("alice", "alice/hello/new");
    let said = workdir.git("work", &["push", &url, "main"]).await;
    said.refused("the project has too many repositories; delete a repository first");
    assert_eq!(names(&alice).await, ["web"]);
    server.stop().await;
}
