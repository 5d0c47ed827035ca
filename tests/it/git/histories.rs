//! Histories as old clients wrote them: the server accepts, shows and serves the malformed objects
//! that real repositories contain.

use serde_json::Value;

use crate::harness::TestServer;
use crate::harness::git::GitWorkdir;

/// Writes a raw object and returns its id.
async fn object(workdir: &GitWorkdir, kind: &str, content: &[u8]) -> String {
    std::fs::write(workdir.path().join("work/.git/raw"), content).unwrap();
    workdir.git("work", &["hash-object", "-t", kind, "-w", "--literally", ".git/raw"]).await.ok()
}

/// Writes a tree of one entry with this mode.
async fn tree(workdir: &GitWorkdir, mode: &str, name: &str, oid: &str) -> String {
    let oid: Vec<u8> = (0..20).map(|at| u8::from_str_radix(&oid[2 * at..2 * at + 2], 16).unwrap()).collect();
    object(workdir, "tree", &[mode.as_bytes(), b" ", name.as_bytes(), b"\0", &oid].concat()).await
}

async fn commit(workdir: &GitWorkdir, tree: &str, author: &str) -> String {
    let commit = format!("tree {tree}\nauthor {author}\ncommitter {author}\n\nold\n");
    object(workdir, "commit", commit.as_bytes()).await
}

/// Regression: pushing redis, flask, sinatra, ohmyzsh (zero-padded modes) or requests (a time zone
/// of 518 hours) failed with `unpacker error`, and no setting helped.
#[actix_web::test]
async fn objects_of_old_clients_are_accepted_shown_and_cloned() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.git("", &["init", "--quiet", "work"]).await.ok();
    let file = object(&workdir, "blob", b"content\n").await;
    let plain = tree(&workdir, "100644", "file", &file).await;
    let padded = tree(&workdir, "040000", "folder", &plain).await;
    let soon = "A U Thor <a@example.org> 1313584730 +0200";
    for (branch, tree, author, at) in [
        ("padded", &padded, soon, "2011-08-17T12:38:50Z"),
        ("timezone", &plain, "A U Thor <a@example.org> 1313584730 +051800", "2011-08-17T12:38:50Z"),
        ("space", &plain, "A U Thor <a@example.org>1313584730 +0200", ""),
    ] {
        let commit = commit(&workdir, tree, author).await;
        workdir.git("work", &["push", &url, &format!("{commit}:refs/heads/{branch}")]).await.ok();
        let repository = "/api/projects/alice/hello/repos/web";
        let shown = alice.get(&format!("{repository}/commits/{commit}")).await;
        assert_eq!(shown.status, 200, "{branch}: {}", shown.body);
        let listed = alice.get(&format!("{repository}/commits?ref={branch}")).await;
        assert_eq!(listed.body["items"][0]["oid"], commit, "{branch}: {}", listed.body);
        let found = listed.body["items"][0]["authored_at"].as_str().unwrap_or_default();
        assert!(at.is_empty() || found == at, "{branch}: {}", listed.body);
        let below = if branch == "padded" { "/folder" } else { "" };
        let shown = alice.get(&format!("{repository}/tree/{branch}{below}")).await;
        let names: Vec<&Value> =
            shown.body["entries"].as_array().unwrap().iter().map(|e| &e["name"]).collect();
        assert_eq!(names, ["file"], "{branch}: {}", shown.body);
    }
    workdir.git("", &["clone", "--quiet", "--bare", &url, "copy"]).await.ok();
    let branches = workdir.git("copy", &["for-each-ref", "--format=%(refname:short)"]).await.ok();
    assert_eq!(branches, "padded\nspace\ntimezone");

    // Names that lead out of a clone's directory are still refused.
    for (name, why) in [(".git", "hasDotgit"), ("..", "hasDotdot"), (".", "hasDot"), ("a/b", "fullPathname")]
    {
        let tree = tree(&workdir, "100644", name, &file).await;
        let commit = commit(&workdir, &tree, soon).await;
        workdir.git("work", &["push", &url, &format!("{commit}:refs/heads/bad")]).await.refused(why);
    }
    server.stop().await;
}
