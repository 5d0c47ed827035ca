//! The user of a git client reads the reason of a refusal. The client shows only the number of a
//! response with an error status, and a push even ended with "Everything up-to-date".

use netbit::client::metrics::Scrape;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::disconnects::{begin_clone, large};
use crate::harness::git::{GitWorkdir, Said, children};
use crate::harness::{Person, Process, TestServer, soon, until};

const VERSIONS: [&str; 3] = ["0", "1", "2"];

/// Checks that the command failed and that its user reads the sentence: no status, nothing about
/// the transport.
#[track_caller]
fn reads(said: Said, sentence: &str) {
    for noise in ["The requested URL returned", "curl", "Everything up-to-date", "HTTP"] {
        assert!(!said.err.contains(noise), "{noise}: {}", said.err);
    }
    said.refused(sentence);
}

async fn refusals(server: &TestServer, status: &str) -> f64 {
    let scrape = Scrape::parse(&server.operations("/metrics").await.1);
    scrape.sum("netbit_http_refusals_total", &[("status", status)])
}

async fn pushed(workdir: &GitWorkdir, alice: &Person, server: &TestServer) -> String {
    let path = alice.hello_web("public").await;
    workdir.repository("work").await;
    let url = server.url_as("alice", &path);
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    url
}

/// Regression: 1,001 tags in one push got HTTP 413, and git printed "Everything up-to-date".
#[actix_web::test]
async fn push_of_too_many_refs_shows_the_limit() {
    let server = TestServer::with_limits(|limits| limits.git_updates = 20).await;
    let alice = server.user("alice").await;
    let mut workdir = GitWorkdir::new();
    let url = pushed(&workdir, &alice, &server).await;
    for n in 0..21 {
        workdir.git("work", &["tag", &format!("t{n}")]).await.ok();
    }
    let before = refusals(&server, "413").await;
    for version in VERSIONS {
        workdir.protocol = version;
        let said = workdir.git("work", &["push", &url, "--tags"]).await;
        reads(said, "a push may name at most 20 refs; push some of them, then the others");
    }
    assert_eq!(refusals(&server, "413").await - before, 3.0, "refusals are counted with their status");
    workdir.git("work", &["tag", "-d", "t0"]).await.ok();
    workdir.git("work", &["push", "--quiet", &url, "--tags"]).await.ok();
    server.stop().await;
}

/// Regression: the log and the metrics recorded 200 for this refusal.
#[actix_web::test]
async fn push_over_the_quota_is_counted_with_its_status() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    pushed(&workdir, &alice, &server).await;
    let server = server.restart(|config| config.limits.repository_bytes = 1).await;
    let url = server.url_as("alice", "alice/hello/web");
    workdir.commit("work", "a", "a", "second").await;
    reads(workdir.git("work", &["push", &url, "main"]).await, "the repository's quota is exceeded");
    assert_eq!(refusals(&server, "413").await, 1.0);
    server.stop().await;
}

/// Regression: a branch name in Latin-1 got HTTP 400, and no other branch of the push landed.
#[actix_web::test]
async fn branch_that_is_not_utf_8_is_refused_and_others_land() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    let url = pushed(&workdir, &alice, &server).await;
    let head = workdir.commit("work", "a", "a", "second").await;
    let packed =
        [b"# pack-refs with: peeled fully-peeled sorted \n", head.as_bytes(), b" refs/heads/caf\xe9\n"];
    std::fs::write(workdir.path().join("work/.git/packed-refs"), packed.concat()).unwrap();
    let all = ["push", &url, "refs/heads/*:refs/heads/*"];
    reads(
        workdir.git("work", &[&all[..1], &["--atomic"], &all[1..]].concat()).await,
        "another ref of this push was refused",
    );
    let said = workdir.git("work", &all).await;
    assert!(said.err.contains("main -> main"), "{}", said.err);
    reads(said, "the name is not UTF-8");
    let listed = workdir.git("", &["ls-remote", &url]).await.ok();
    assert!(listed.contains(&head) && listed.lines().count() == 2, "{listed}");
    let alone = ["push", &url, "refs/heads/c*:refs/heads/c*"];
    reads(workdir.git("work", &alone).await, "the name is not UTF-8");
    server.stop().await;
}

/// Regression: with all permits taken the response was HTTP 503, of which git shows only the
/// number.
#[actix_web::test]
async fn git_client_shows_when_to_retry_when_permits_are_taken() {
    let server = TestServer::with_limits(|limits| {
        (limits.git_visitors, limits.git_writes) = (1, 1);
        limits.git_patience_ms = 50;
    })
    .await;
    let alice = server.user("alice").await;
    let mut workdir = GitWorkdir::new();
    let path = large(&alice, &server, &workdir).await;
    let busy = begin_clone(&server, &path, &workdir.head("work").await).await;
    let before = refusals(&server, "503").await;
    let (url, as_alice) = (server.url(&path), server.url_as("alice", &path));
    for version in VERSIONS {
        workdir.protocol = version;
        let sentence = "too many clones and fetches at once; try again in 1 s";
        reads(workdir.git("", &["ls-remote", &url]).await, sentence);
        reads(workdir.git("", &["clone", &url, "again"]).await, sentence);
        reads(workdir.git("work", &["fetch", &url]).await, sentence);
    }
    assert_eq!(refusals(&server, "503").await - before, 9.0);
    drop(busy);
    until(async || children(&server).is_empty()).await;
    // A push that waits for its client, and another push.
    let commit = workdir.head("work").await;
    let line = format!("{commit} {} refs/heads/main\0report-status", "1".repeat(40));
    let request = format!(
        "POST /{path}/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/x-git-receive-pack-request\r\ncontent-length: 900000\r\n\r\n{:04x}{line}0000PACK",
        alice.http.token().unwrap(),
        line.len() + 4
    );
    let mut stalled = tokio::net::TcpStream::connect(server.app.addresses.http).await.unwrap();
    stalled.write_all(request.as_bytes()).await.unwrap();
    until(async || !children(&server).is_empty()).await;
    workdir.commit("work", "more", "more", "more").await;
    let said = workdir.git("work", &["push", &as_alice, "main"]).await;
    reads(said, "too many pushes at once; try again in 1 s");
    // A request that is too large for one packet is still being sent when it is refused.
    std::fs::write(workdir.path().join("work/noise"), super::clients::noise(8 * 1024 * 1024)).unwrap();
    workdir.git("work", &["add", "."]).await.ok();
    workdir.git("work", &["commit", "--quiet", "-m", "noise"]).await.ok();
    let said = workdir.git("work", &["push", &as_alice, "main"]).await;
    reads(said, "too many pushes at once; try again in 1 s");
    drop(stalled);
    server.stop().await;
}

/// Regression: git printed a second, false transport error after a fetch of a missing commit and
/// after a request that was too large. The response had broken off after the reason.
#[actix_web::test]
async fn failed_fetch_shows_the_reason_and_nothing_else() {
    let server = TestServer::with_limits(|limits| limits.git_request_bytes = 3_000).await;
    let alice = server.user("alice").await;
    let mut workdir = GitWorkdir::new();
    let url = pushed(&workdir, &alice, &server).await;
    let none = "1".repeat(40);
    for n in 0..100 {
        workdir.commit("work", "n", &n.to_string(), "again").await;
        workdir.git("work", &["branch", &format!("b{n}")]).await.ok();
    }
    workdir.git("work", &["push", "--quiet", &url, "--all"]).await.ok();
    for version in VERSIONS {
        workdir.protocol = version;
        reads(workdir.git("work", &["fetch", &url, &none]).await, "not our ref");
        let said = workdir.git("", &["clone", "--mirror", &url, "again"]).await;
        reads(said, "the request names too many objects: it may have 3000 bytes");
        workdir
            .git("", &["clone", "--quiet", "--single-branch", &url, &format!("single{version}")])
            .await
            .ok();
    }
    server.stop().await;
}

/// Regression: a push with a read-only token was refused for a missing writer role, so its user
/// searched for the mistake in the role.
#[actix_web::test]
async fn push_shows_the_missing_scope_or_repository_of_its_token() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    pushed(&workdir, &alice, &server).await;
    alice.repository("hello", "other").await;
    workdir.commit("work", "a", "a", "more").await;
    for (body, repository, why) in [
        (json!({"name": "r", "scopes": ["repo:read"]}), "web", "the access token lacks the scope repo:write"),
        (
            json!({"name": "o", "scopes": ["repo:write"], "repositories": ["alice/hello/other"]}),
            "web",
            "the access token is for other repositories",
        ),
    ] {
        let made = alice.post("/api/users/me/tokens", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let token = made.body["token"].as_str().unwrap();
        let url = format!("http://x:{token}@{}/alice/hello/{repository}", server.app.addresses.http);
        workdir.git("work", &["push", &url, "main"]).await.refused(why);
    }
    server.stop().await;
}

/// A client that sends the head of its push slowly, and a client that sends a request that git
/// would not send.
#[actix_web::test]
async fn slow_or_malformed_push_requests_get_status_and_reason() {
    let server = TestServer::with_limits(|limits| limits.git_head_ms = 200).await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    pushed(&workdir, &alice, &server).await;
    let answer = async |body: &str, length: usize| {
        let request = format!(
            "POST /alice/hello/web/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/x-git-receive-pack-request\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}",
            alice.http.token().unwrap(),
        );
        let mut socket = tokio::net::TcpStream::connect(server.app.addresses.http).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        let begun = soon(async {
            while !String::from_utf8_lossy(&text).contains("\r\n\r\n") {
                assert!(
                    socket.read_buf(&mut text).await.unwrap() > 0,
                    "the connection ended without a response"
                );
            }
        });
        begun.await;
        soon(socket.read_to_end(&mut text)).await.ok();
        String::from_utf8_lossy(&text).into_owned()
    };
    let slow = answer("00", 400).await;
    assert!(slow.starts_with("HTTP/1.1 200") && slow.contains("\u{3}the request took too long"), "{slow}");
    assert_eq!(refusals(&server, "408").await, 1.0);
    let malformed = answer("zzzz", 4).await;
    assert!(
        malformed.starts_with("HTTP/1.1 400") && malformed.contains("not in pkt-line format"),
        "{malformed}"
    );
    server.stop().await;
}

/// The log has the status of the refusal, not the 200 that carried it.
#[actix_web::test]
async fn refusals_sent_with_200_are_logged_with_their_status() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let environment = [
        ("NETBIT_LOG__LEVEL", "info"),
        ("NETBIT_LOG__FORMAT", "json"),
        ("NETBIT_LIMITS__GIT_REQUEST_BYTES", "9"),
    ];
    let server = Process::logging(directory.path(), &environment, &log).await;
    server.http.register("alice", crate::harness::PASSWORD).await.unwrap();
    let alice =
        server.http.with_token(server.http.login("alice", crate::harness::PASSWORD).await.unwrap().token);
    let project = serde_json::json!({"name": "p", "visibility": "public"});
    alice.post("/api/projects/create", &project).await.unwrap().success().unwrap();
    let repository = serde_json::json!({"name": "r"});
    alice.post("/api/projects/alice/p/repos/create", &repository).await.unwrap().success().unwrap();
    let workdir = GitWorkdir::new();
    let url = format!("http://{}/alice/p/r", server.address());
    reads(workdir.git("", &["ls-remote", &url]).await, "may have 9 bytes");
    let text = std::fs::read_to_string(&log).unwrap();
    let line = text.lines().find(|line| line.contains("POST") && line.contains("git-upload-pack")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((line["status"].as_i64(), line["sent_status"].as_i64()), (Some(413), Some(200)), "{line}");
    server.stop().await;
}
