//! Pushes that the server refuses from every user, or from some users.

use serde_json::json;

use super::clients::noise;
use crate::harness::git::{GitWorkdir, children};
use crate::harness::{TestServer, soon, until};

/// Regression: one ref outside of branches, tags and notes refused the whole push, so a mirror
/// could not be pushed at all.
#[actix_web::test]
async fn refused_ref_does_not_stop_the_others_of_its_push() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    let head = workdir.head("work").await;
    for (number, (name, why)) in [
        (format!("refs/replace/{head}"), "not accepted here: only refs/heads/"),
        ("refs/netbit/x".to_owned(), "not accepted here: only refs/heads/"),
        ("refs/pull/1/head".to_owned(), "not accepted here: only refs/heads/"),
        ("refs/heads/HEAD".to_owned(), "not allowed"),
        ("refs/heads/-x".to_owned(), "not allowed"),
        (format!("refs/heads/{head}"), "object id"),
        (format!("refs/tags/{head}"), "object id"),
        (format!("refs/heads/{}", vec!["deep"; 17].join("/")), "more than 16 parts"),
    ]
    .into_iter()
    .enumerate()
    {
        let (bad, good) = (format!("main:{name}"), format!("main:good{number}"));
        let said = workdir.git("work", &["push", "--atomic", &url, &bad, &good]).await;
        assert!(said.err.contains("another ref of this push was refused"), "{}", said.err);
        let said = workdir.git("work", &["push", "--porcelain", &url, &bad, &good]).await;
        assert!(said.out.contains(&format!("*\trefs/heads/main:refs/heads/good{number}")), "{}", said.out);
        let rejected = said.out.lines().find(|line| line.starts_with('!')).unwrap_or_default();
        assert!(rejected.contains(&name) && rejected.contains(why), "{rejected}");
        let listed = workdir.git("", &["ls-remote", &url]).await.ok();
        assert_eq!(
            listed.lines().filter(|line| line.contains("refs/heads/")).count(),
            number + 1,
            "{listed}"
        );
    }
    let told = alice.pushes(1).await;
    assert_eq!(told.len(), 8, "the accepted refs are announced");
    workdir.git("work", &["push", "--quiet", &url, "main", "main:refs/notes/x"]).await.ok();
    // Deletions next to a refused ref: git would not read the pack of the refused ref.
    let said = workdir.git("work", &["push", &url, ":good1", "main:refs/pull/2/head"]).await;
    assert!(said.err.contains("another ref of this push was refused"), "{}", said.err);
    server.stop().await;
}

/// Regression: a branch name of 201 bytes was refused; a file system allows 255 bytes for each path
/// component.
#[actix_web::test]
async fn long_branch_names_are_accepted_up_to_file_system_limits() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    let parts = |bytes: usize, count: usize| vec!["x".repeat(bytes); count].join("/");
    for good in [parts(250, 1), parts(249, 4)] {
        workdir.git("work", &["push", "--quiet", &url, &format!("main:refs/heads/{good}")]).await.ok();
        let encoded = good.replace('/', "%2F");
        assert_eq!(
            alice.get(&format!("/api/projects/alice/hello/repos/web/tree/{encoded}")).await.status,
            200
        );
    }
    for (bad, why) in [(parts(251, 1), "more than 250 bytes"), (parts(200, 5), "more than 1000 bytes")] {
        workdir.git("work", &["push", &url, &format!("main:refs/heads/{bad}")]).await.refused(why);
    }
    assert_eq!(workdir.git("", &["clone", "--quiet", &url, "again"]).await.ok(), "");
    server.stop().await;
}

/// A mirror of a repository with pull requests is pushed repeatedly. git itself stores the refs of
/// the first push under refs/remotes, and the next push sends these as well.
#[actix_web::test]
async fn mirror_can_be_pushed_repeatedly() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    workdir.git("work", &["update-ref", "refs/pull/1/head", "HEAD"]).await.ok();
    workdir.git("work", &["tag", "v1"]).await.ok();
    workdir.git("work", &["remote", "add", "up", &url]).await.ok();
    for round in 0..3 {
        let head = workdir.commit("work", "file", &format!("{round}"), "again").await;
        let said = workdir.git("work", &["push", "--mirror", "up"]).await;
        assert!(said.err.contains("[remote rejected] refs/pull/1/head"), "{}", said.err);
        let listed = workdir.git("", &["ls-remote", &url]).await.ok();
        assert!(listed.contains(&format!("{head}\trefs/heads/main")), "{round}: {listed}");
        assert!(listed.contains("refs/tags/v1") && !listed.contains("refs/pull"), "{listed}");
    }
    server.stop().await;
}

/// Regression: a branch that must not be rewritten forbade rewrites of every branch in the same
/// push.
#[actix_web::test]
async fn branch_rule_does_not_apply_to_other_branches_of_the_push() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    workdir.commit("work", "a", "a", "second").await;
    workdir.git("work", &["push", "--quiet", &url, "main", "main:topic"]).await.ok();
    let rules = json!({"protected_branches": [{"pattern": "main"}]});
    assert_eq!(alice.put("/api/projects/alice/hello/config", rules).await.status, 200);
    workdir.git("work", &["reset", "--quiet", "--hard", "HEAD~1"]).await.ok();
    let rewritten = workdir.commit("work", "b", "b", "instead").await;
    let both = ["push", &url, "+main:main", "+main:topic"];
    workdir.git("work", &[&both[..1], &["--atomic"], &both[1..]].concat()).await.refused("non-fast-forward");
    let at = async |branch: &str| workdir.git("", &["ls-remote", &url, branch]).await.ok();
    assert!(!at("topic").await.contains(&rewritten), "an atomic push moves all refs or none");
    workdir.git("work", &both).await.refused("refs/heads/main is protected and would be rewritten");
    assert!(at("topic").await.contains(&rewritten));
    assert!(!at("main").await.contains(&rewritten));
    server.stop().await;
}

#[actix_web::test]
async fn protected_branch_refuses_writers_rewrites_and_deletion() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "writer").await;
    let rules =
        json!({"protected_branches": [{"pattern": "main"}, {"pattern": "release/*", "push": "writer"}]});
    assert_eq!(alice.put("/api/projects/alice/hello/config", rules).await.status, 200);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let (as_alice, as_bob) = (server.url_as("alice", &path), server.url_as(&bob.name, &path));
    let push = async |url: &str, arguments: &[&str]| {
        workdir.git("work", &[&["push", "--quiet", url], arguments].concat()).await
    };
    push(&as_bob, &["main"]).await.refused("protected branch");
    push(&as_alice, &["main"]).await.ok();
    push(&as_bob, &["main:topic", "main:release/1"]).await.ok();
    workdir.commit("work", "a", "a", "second").await;
    push(&as_alice, &["main"]).await.ok();
    workdir.git("work", &["reset", "--quiet", "--hard", "HEAD~1"]).await.ok();
    workdir.commit("work", "b", "b", "instead").await;
    push(&as_alice, &["--force", "main"]).await.refused("non-fast-forward");
    push(&as_alice, &["--delete", "main"]).await.refused("it cannot be deleted");
    push(&as_bob, &["--delete", "release/1"]).await.refused("it cannot be deleted");
    push(&as_bob, &["--force", "main:topic"]).await.ok();
    push(&as_bob, &["--delete", "topic"]).await.ok();
    // A rule that allows rewrites and deletion.
    let rules = json!({"protected_branches": [{"pattern": "main", "force": true, "delete": true}]});
    assert_eq!(alice.put("/api/projects/alice/hello/config", rules).await.status, 200);
    push(&as_alice, &["--force", "main"]).await.ok();
    let telling = alice.pushes(1).await;
    assert_eq!(telling.len(), 6, "refused pushes create no event");
    server.stop().await;
}

#[actix_web::test]
async fn push_over_the_quota_is_refused_and_leaves_no_objects() {
    let server = TestServer::with_limits(|limits| limits.repository_bytes = 200_000).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    let work = workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let before = workdir.git("", &["ls-remote", &url]).await.ok();
    for size in [199_900, 3_000_000] {
        std::fs::write(work.join("large"), noise(size)).unwrap();
        workdir.git("work", &["add", "."]).await.ok();
        workdir.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
        let said = workdir.git("work", &["push", &url, "main"]).await;
        assert!(said.err.contains("The repository may hold 200000 bytes"), "{}", said.err);
        said.refused("quota is exceeded");
        workdir.git("work", &["reset", "--quiet", "--hard", "HEAD~1"]).await.ok();
    }
    assert_eq!(workdir.git("", &["ls-remote", &url]).await.ok(), before);
    let objects = server.only_repository().join("objects");
    let left: Vec<_> = std::fs::read_dir(objects)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("tmp_"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // A push within the quota is accepted.
    std::fs::write(work.join("small"), noise(100_000)).unwrap();
    workdir.git("work", &["add", "."]).await.ok();
    workdir.git("work", &["commit", "--quiet", "-m", "small"]).await.ok();
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let seen = alice.get("/api/projects/alice/hello/repos/web").await.body;
    assert!((100_000..200_000).contains(&seen["size_bytes"].as_i64().unwrap()), "{seen}");
    server.stop().await;
}

#[actix_web::test]
async fn trees_that_would_write_outside_their_clone_are_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    let work = workdir.repository("work").await;
    let blob = workdir.git("work", &["rev-parse", "HEAD:README"]).await.ok();
    let oid: Vec<u8> = (0..20).map(|n| u8::from_str_radix(&blob[2 * n..2 * n + 2], 16).unwrap()).collect();
    for (mode, name) in [
        ("100644", ".git"),
        ("40000", ".GIT"),
        ("100644", "git~1"),
        ("40000", ".."),
        ("40000", "."),
        ("100644", "a/b"),
        ("120000", ".gitmodules"),
    ] {
        // The file `raw` contains the tree byte for byte; `--literally` keeps git from checking it.
        let tree = [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &oid].concat();
        std::fs::write(work.join(".git/raw"), tree).unwrap();
        let tree =
            workdir.git("work", &["hash-object", "-t", "tree", "-w", "--literally", ".git/raw"]).await.ok();
        let commit = workdir.git("work", &["commit-tree", &tree, "-m", "evil"]).await.ok();
        let said = workdir.git("work", &["push", &url, &format!("{commit}:refs/heads/evil")]).await;
        assert!(!said.success, "{mode} {name}: {}", said.err);
    }
    assert_eq!(workdir.git("", &["ls-remote", &url]).await.ok(), "");
    server.stop().await;
}

#[actix_web::test]
async fn pushed_hooks_settings_and_attributes_have_no_effect() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    let work = workdir.repository("work").await;
    let mark = workdir.path().join("it-ran");
    std::fs::create_dir(work.join("hooks")).unwrap();
    for hook in ["hooks/pre-receive", "hooks/post-receive", "hooks/update", "config"] {
        std::fs::write(work.join(hook), format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
    }
    std::fs::write(work.join(".gitattributes"), "* filter=evil diff=evil\n").unwrap();
    workdir.git("work", &["add", "."]).await.ok();
    workdir.git("work", &["commit", "--quiet", "-m", "hooks"]).await.ok();
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    // A hook in the server's repository itself does not run either.
    let hooks = server.only_repository().join("hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    std::fs::copy(work.join("hooks/post-receive"), hooks.join("post-receive")).unwrap();
    std::fs::set_permissions(hooks.join("post-receive"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    workdir.commit("work", "x", "x", "again").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    assert!(!mark.exists());
    server.stop().await;
}

#[actix_web::test]
async fn push_is_refused_when_its_chat_text_cannot_be_posted() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    for text in ["chat=", "chat=   ", &format!("chat={}", "x".repeat(5000))] {
        let said = workdir.git("work", &["push", "-o", text, &url, "main"]).await;
        said.refused("the text for the chat cannot be posted");
    }
    workdir.git("work", &["push", "--quiet", "-o", "other=ignored", &url, "main"]).await.ok();
    server.stop().await;
}

#[actix_web::test]
async fn push_moves_no_ref_when_its_user_loses_access_during_upload() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "writer").await;
    let workdir = GitWorkdir::new();
    let work = workdir.repository("work").await;
    // A handmade push body: commands, flush, pack.
    let head = workdir.head("work").await;
    workdir.git("work", &["pack-objects", "--quiet", "--all", ".git/made"]).await;
    let list = workdir.git("work", &["rev-list", "--objects", "--all"]).await.ok();
    std::fs::write(
        work.join(".git/list"),
        list.lines().map(|l| format!("{}\n", &l[..40])).collect::<String>(),
    )
    .unwrap();
    let made = std::process::Command::new("sh")
        .args(["-c", "git pack-objects --quiet --stdout < .git/list"])
        .current_dir(&work)
        .output()
        .unwrap()
        .stdout;
    let line = format!("{} {head} refs/heads/main\0report-status side-band-64k", "0".repeat(40));
    let body = [format!("{:04x}{line}0000", line.len() + 4).as_bytes(), &made].concat();
    let mut socket = tokio::net::TcpStream::connect(server.app.addresses.http).await.unwrap();
    let token = bob.http.token().unwrap();
    let request = format!(
        "POST /{path}/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/x-git-receive-pack-request\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let (most, last) = body.split_at(body.len() - 10);
    socket.write_all(most).await.unwrap();
    // The push was admitted, and git has received everything but the end of the pack.
    let let_in = || children(&server).iter().any(|child| child.contains("receive-pack"));
    until(async || let_in()).await;
    assert_eq!(alice.delete("/api/projects/alice/hello/members/bob").await.status, 204);
    socket.write_all(last).await.unwrap();
    let mut answer = Vec::new();
    soon(socket.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("ng refs/heads/main"), "{answer}");
    let listed = workdir.git("", &["ls-remote", &server.url_as("alice", &path)]).await.ok();
    assert_eq!(listed, "");
    assert!(alice.pushes(1).await.is_empty());
    server.stop().await;
}
