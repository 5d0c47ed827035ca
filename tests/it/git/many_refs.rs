//! Pushes of thousands of refs, and clones of a hundred thousand.

use std::fmt::Write;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::git::GitWorkdir;
use crate::harness::{PATIENCE, TestServer, database, until};

/// Writes `count` packed tags of one commit into a repository of the workdir.
fn tag(work: &Path, commit: &str, count: usize) {
    let mut refs = String::from("# pack-refs with: peeled fully-peeled sorted \n");
    for n in 0..count {
        writeln!(refs, "{commit} refs/tags/t{n:06}").unwrap();
    }
    std::fs::write(work.join(".git/packed-refs"), refs).unwrap();
}

/// Creates `count` branches in a repository, each at its own commit.
fn branch(repository: &Path, count: usize) {
    let import = ["-c", "core.fsync=none", "fast-import", "--quiet", "--force"];
    let mut import =
        Command::new("git").current_dir(repository).args(import).stdin(Stdio::piped()).spawn().unwrap();
    let mut text = String::from("blob\nmark :1\ndata 2\nx\n\n");
    for n in 0..count {
        let when = 1_700_000_000 + n;
        writeln!(text, "commit refs/heads/b{n}\ncommitter A <a@example.org> {when} +0000\ndata 1\nx")
            .unwrap();
        writeln!(text, "M 100644 :1 file\n").unwrap();
    }
    import.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
}

/// Regression: a push of 1,001 tags was refused with HTTP 413. Now such tags are accepted, are one
/// line in the channel, and are packed after the push. Until then each tag is a file.
#[actix_web::test]
async fn thousands_of_tags_land_are_announced_once_and_are_packed() {
    const TAGS: usize = 3_000;
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    let work = workdir.repository("work").await;
    tag(&work, &workdir.head("work").await, TAGS);
    workdir.git("work", &["push", "--quiet", &url, "main", "--tags"]).await.ok();
    let told = alice.pushes(1).await;
    assert_eq!(told.len(), 1);
    assert_eq!((told[0]["ref_count"].as_u64(), told[0]["refs"].as_array().unwrap().len()), (Some(3_001), 20));
    let repository = server.only_repository();
    until(async || std::fs::read_dir(repository.join("refs/tags")).unwrap().next().is_none()).await;
    let listed = workdir.git("", &["ls-remote", "--tags", &url]).await.ok();
    assert_eq!(listed.lines().count(), TAGS);
    // The database does not keep the full ref list of a settled push.
    let server = server
        .restart(|config| {
            let sum = "SELECT sum(length(refs)) AS value FROM push_intents";
            assert_eq!(database::reader(&config.data_dir.0).integer(sum), 2, "an empty list");
        })
        .await;
    server.stop().await;
}

/// Regression: for each of thousands of branches the atomic hook searched a list of all of them.
#[actix_web::test]
async fn thousands_of_branches_move_atomically() {
    const BRANCHES: usize = 2_500;
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    let work = workdir.repository("work").await;
    branch(&work, BRANCHES);
    let all = ["push", "--quiet", "--atomic", &url, "refs/heads/b*:refs/heads/b*"];
    workdir.git("work", &all).await.ok();
    // One branch is stale, so no branch moves.
    let before = workdir.git("", &["ls-remote", "--heads", &url]).await.ok();
    assert_eq!(before.lines().count(), BRANCHES);
    workdir.commit("work", "a", "a", "another history").await;
    workdir.git("work", &["branch", "new"]).await.ok();
    workdir.git("work", &["branch", "-f", "b7", "main"]).await.ok();
    let some = ["push", "--atomic", &url, "new", "b7"];
    workdir.git("work", &some).await.refused("rejected");
    assert_eq!(workdir.git("", &["ls-remote", "--heads", &url]).await.ok(), before);
    server.stop().await;
}

/// Regression: a clone names each tip with 50 bytes, and requests above 4 MiB were refused.
#[actix_web::test]
async fn clone_of_a_hundred_thousand_tips_succeeds() {
    const TIPS: usize = 100_000;
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let repository = server.only_repository();
    branch(&repository, TIPS);
    let (mut workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    // The client writes 100,000 refs, which other tests slow down.
    workdir.patience = 10 * PATIENCE;
    workdir.git("", &["clone", "--quiet", "--mirror", &url, "mirror"]).await.ok();
    let listed = workdir.git("mirror", &["for-each-ref", "--format=%(refname)"]).await.ok();
    assert_eq!(listed.lines().count(), TIPS);
    server.stop().await;
}
