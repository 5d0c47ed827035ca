//! The real client of Git LFS, with git.

use std::io::Write;

use crate::harness::TestServer;
use crate::harness::files::blobs;
use crate::harness::git::GitWorkdir;
use crate::harness::lfs::pointer;

/// Returns whether the client is installed; prints a line if it is not.
async fn is_installed(workdir: &GitWorkdir) -> bool {
    let found = workdir.git("", &["lfs", "version"]).await.success;
    if !found {
        let thread = std::thread::current();
        let line = format!("SKIPPED: {}: git lfs is not installed\n", thread.name().unwrap_or("?"));
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found
}

/// Makes a repository whose `*.bin` files Git LFS keeps.
async fn tracked(workdir: &GitWorkdir, folder: &str) {
    workdir.git("", &["init", "--quiet", folder]).await.ok();
    workdir.git(folder, &["lfs", "install", "--local"]).await.ok();
    workdir.git(folder, &["lfs", "track", "*.bin"]).await.ok();
    workdir.git(folder, &["add", ".gitattributes"]).await.ok();
}

/// Clones with the filters of Git LFS, which the configuration of the machine has otherwise.
async fn clone(workdir: &GitWorkdir, url: &str, folder: &str) {
    let filter = |name: &str, value: &str| format!("filter.lfs.{name}={value}");
    let arguments = [
        "-c",
        &filter("process", "git-lfs filter-process"),
        "-c",
        &filter("smudge", "git-lfs smudge -- %f"),
        "-c",
        &filter("clean", "git-lfs clean -- %f"),
        "-c",
        &filter("required", "true"),
        "clone",
        "--quiet",
        url,
        folder,
    ];
    workdir.git("", &arguments).await.ok();
    workdir.git(folder, &["lfs", "install", "--local"]).await.ok();
}

#[actix_web::test]
async fn program_pushes_and_clones_with_another_account() {
    let workdir = GitWorkdir::new();
    if !is_installed(&workdir).await {
        return;
    }
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "writer").await;
    tracked(&workdir, "work").await;
    let bytes_of = |n: u32| -> Vec<u8> {
        (0..20_000 + n).map(|at| u8::try_from(at.wrapping_mul(n + 7) % 251).unwrap()).collect()
    };
    for n in 0..20 {
        std::fs::write(workdir.path().join("work").join(format!("{n}.bin")), bytes_of(n)).unwrap();
    }
    workdir.git("work", &["add", "."]).await.ok();
    workdir.git("work", &["commit", "--quiet", "-m", "objects"]).await.ok();
    workdir.git("work", &["remote", "add", "origin", &server.url_as("alice", &path)]).await.ok();
    workdir.git("work", &["push", "--quiet", "origin", "main"]).await.ok();
    assert_eq!(blobs(server.path()).len(), 20);
    let committed = workdir.git("work", &["show", "HEAD:0.bin"]).await.ok();
    assert_eq!(committed, pointer(&bytes_of(0)).trim(), "git has the pointer only");

    clone(&workdir, &server.url_as("bob", &path), "clone").await;
    for n in 0..20 {
        let found = std::fs::read(workdir.path().join("clone").join(format!("{n}.bin"))).unwrap();
        assert!(found == bytes_of(n), "{n}");
    }
    // With the suffix that the server shows.
    clone(&workdir, &format!("{}.git", server.url_as("bob", &path)), "with-suffix").await;
    assert!(std::fs::read(workdir.path().join("with-suffix/3.bin")).unwrap() == bytes_of(3));
    let checked = workdir.git("clone", &["lfs", "fsck"]).await.ok();
    assert!(checked.contains("OK"), "{checked}");

    // Objects that the server has are not sent again.
    let again = workdir.git("work", &["lfs", "push", "--all", "origin"]).await;
    assert!(again.success, "{again:?}");
    let (_, metrics) = server.operations("/metrics").await;
    let sent = "netbit_lfs_uploads_total{outcome=\"complete\"} 20";
    assert!(metrics.lines().any(|line| line == sent), "{metrics}");
    drop(bob);
    server.stop().await;
}

#[actix_web::test]
async fn program_honours_the_locks_of_others() {
    let workdir = GitWorkdir::new();
    if !is_installed(&workdir).await {
        return;
    }
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "writer").await;
    tracked(&workdir, "work").await;
    workdir.commit("work", "a.bin", "one", "first").await;
    workdir.git("work", &["remote", "add", "origin", &server.url_as("alice", &path)]).await.ok();
    workdir.git("work", &["push", "--quiet", "-u", "origin", "main"]).await.ok();
    clone(&workdir, &server.url_as("bob", &path), "clone").await;
    workdir.git("work", &["lfs", "lock", "a.bin"]).await.ok();
    let listed = workdir.git("clone", &["lfs", "locks"]).await.ok();
    assert!(listed.contains("a.bin") && listed.contains("alice"), "{listed}");
    workdir.git("clone", &["lfs", "lock", "a.bin"]).await.refused("locked by alice");
    workdir.git("clone", &["lfs", "unlock", "a.bin"]).await.refused("");
    workdir.git("clone", &["lfs", "unlock", "--force", "a.bin"]).await.refused("maintainer");
    workdir.commit("clone", "a.bin", "two", "second").await;
    let verify = "lfs.locksverify=true";
    let locked = workdir.git("clone", &["-c", verify, "push", "origin", "main"]).await;
    assert!(!locked.success && locked.out.contains("a.bin - alice"), "{locked:?}");
    workdir.git("work", &["lfs", "unlock", "a.bin"]).await.ok();
    workdir.git("clone", &["-c", verify, "push", "--quiet", "origin", "main"]).await.ok();
    workdir.git("work", &["pull", "--quiet"]).await.ok();
    assert_eq!(std::fs::read(workdir.path().join("work/a.bin")).unwrap(), b"two");
    drop(bob);
    server.stop().await;
}

#[actix_web::test]
async fn program_prints_the_reason_of_a_refusal() {
    let workdir = GitWorkdir::new();
    if !is_installed(&workdir).await {
        return;
    }
    let server = TestServer::with_limits(|limits| limits.lfs_object_bytes = 10).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "reader").await;
    tracked(&workdir, "work").await;
    workdir.commit("work", "a.bin", "more than ten bytes", "first").await;
    let push = async |user: &str| {
        let url = server.url_as(user, &path);
        workdir.git("work", &["lfs", "push", &url, "main"]).await
    };
    push("alice").await.refused("limits.lfs_object_bytes");
    push("bob").await.refused("pushing needs the role writer");
    drop(bob);
    server.stop().await;
}
