//! Refusals of the server, as the user of a git client reads them.

use serde_json::json;

use super::{assert_text, mask};
use crate::git::clients::noise;
use crate::harness::TestServer;
use crate::harness::git::{GitWorkdir, Said};

/// Adds what git printed about a refusal. Its hints differ between versions of git, and its
/// messages about the closed connection depend on timing.
fn add(text: &mut String, what: &str, said: &Said) {
    assert!(!said.success, "{what}: {}\n{}", said.out, said.err);
    let is_noise = |line: &str| {
        ["hint:", "fatal: the remote end hung up", "send-pack: unexpected disconnect"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let printed = said.err.lines().map(str::trim_end).filter(|line| !line.is_empty() && !is_noise(line));
    let masks = [(r"http://[^/\s']+", "http://SERVER"), (r"\b[0-9a-f]{40}\b", "COMMIT")];
    text.push_str(&mask(&format!("{what}\n{}\n\n", printed.collect::<Vec<_>>().join("\n")), &masks));
}

#[actix_web::test]
async fn git_client_shows_the_reason_of_each_refused_push() {
    let server = TestServer::with_limits(|limits| {
        (limits.repository_bytes, limits.git_updates) = (200_000, 20);
        limits.git_blob_bytes = 100_000;
    })
    .await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "writer").await;
    alice.member("hello", "carol", "reader").await;
    let rules = json!({"protected_branches": [{"pattern": "main"}]});
    assert_eq!(alice.put("/api/projects/alice/hello/config", rules).await.status, 200);
    let workdir = GitWorkdir::new();
    let work = workdir.repository("work").await;
    let (url, of_bob) = (server.url_as("alice", &path), server.url_as(&bob.name, &path));
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    workdir.commit("work", "a", "a", "second").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let mut text = String::new();
    let push = async |url: &str, refs: &[&str]| workdir.git("work", &[&["push", url], refs].concat()).await;

    workdir.commit("work", "b", "b", "third").await;
    add(&mut text, "protected branch", &push(&of_bob, &["main"]).await);
    add(&mut text, "reader", &push(&server.url_as(&carol.name, &path), &["main"]).await);
    add(&mut text, "deletion of a protected branch", &push(&url, &["--delete", "main"]).await);
    workdir.git("work", &["reset", "--quiet", "--hard", "HEAD~2"]).await.ok();
    workdir.commit("work", "c", "c", "instead").await;
    add(&mut text, "rewrite of a protected branch", &push(&url, &["--force", "main"]).await);
    add(&mut text, "name outside of the namespaces", &push(&url, &["main:refs/pull/1/head"]).await);
    add(&mut text, "name that is not allowed", &push(&url, &["main:refs/heads/-x"]).await);
    let long = format!("main:refs/heads/{}", "x".repeat(251));
    add(&mut text, "name that is too long", &push(&url, &[&long]).await);
    for n in 0..21 {
        workdir.git("work", &["tag", &format!("t{n}")]).await.ok();
    }
    add(&mut text, "too many refs", &push(&url, &["--tags"]).await);
    for (what, files, size) in [("file that is too large", 1, 150_000), ("quota", 3, 90_000)] {
        // Different parts of the noise: git would store similar files as small deltas.
        for (n, part) in noise(files * size).chunks(size).enumerate() {
            std::fs::write(work.join(format!("large{n}")), part).unwrap();
        }
        workdir.git("work", &["add", "."]).await.ok();
        workdir.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
        add(&mut text, what, &push(&url, &["main:topic"]).await);
        workdir.git("work", &["reset", "--quiet", "--hard", "HEAD~1"]).await.ok();
    }
    let (_, client) = alice.access_token(json!({"name": "r", "scopes": ["repo:read"]})).await;
    let as_reader = format!("http://x:{}@{}/{path}", client.token().unwrap(), server.app.addresses.http);
    add(&mut text, "scope of the token", &push(&as_reader, &["main:topic"]).await);
    assert_text("git_refused_pushes", &text);
    server.stop().await;
}

#[actix_web::test]
async fn git_client_shows_the_reason_of_each_refused_fetch() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let url = server.url_as("alice", &path);
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let mut text = String::new();
    let read = async |url: &str| workdir.git("", &["ls-remote", url]).await;
    add(&mut text, "without credentials", &read(&server.url(&path)).await);
    let wrong = format!("http://alice:wrong@{}/{path}", server.app.addresses.http);
    add(&mut text, "wrong password", &read(&wrong).await);
    add(&mut text, "another user's repository", &read(&server.url_as(&bob.name, &path)).await);
    add(&mut text, "missing repository", &read(&server.url_as("alice", "alice/hello/none")).await);
    let unknown = workdir.git("work", &["fetch", &url, &"1".repeat(40)]).await;
    add(&mut text, "missing commit", &unknown);
    let archive = ["archive", "--remote", &url, "main", "missing"];
    add(&mut text, "archive of a missing path", &workdir.git("", &archive).await);
    assert_text("git_refused_fetches", &text);
    server.stop().await;
}
