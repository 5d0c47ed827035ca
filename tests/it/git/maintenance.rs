//! The server's own maintenance of repositories, and how a stop treats pushes.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::git::GitWorkdir;
use crate::harness::{PASSWORD, Process, TestServer, database, soon, until};

/// Starts a server that packs after four pushes; returns it with a workdir and the URL of Alice's
/// repository.
async fn server_that_packs_early() -> (TestServer, GitWorkdir, String) {
    let server = TestServer::with_limits(|limits| {
        limits.maintenance_pushes = 4;
        limits.maintenance_ms = 20;
    })
    .await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let url = server.url_as("alice", &path);
    (server, GitWorkdir::new(), url)
}

#[actix_web::test]
async fn repository_is_packed_after_enough_pushes_and_stays_intact() {
    let (server, workdir, url) = server_that_packs_early().await;
    workdir.repository("work").await;
    for n in 0..6 {
        workdir.commit("work", "n", &n.to_string(), &format!("commit {n}")).await;
        workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    }
    let objects = server.only_repository().join("objects");
    until(async || objects.join("info/commit-graphs").exists() || objects.join("info/commit-graph").exists())
        .await;
    assert!(objects.join("pack/multi-pack-index").exists());
    workdir.git("", &["clone", "--quiet", &url, "again"]).await.ok();
    workdir.git("again", &["fsck", "--strict"]).await.ok();
    assert_eq!(workdir.objects("again").await, workdir.objects("work").await);
    workdir.commit("work", "n", "more", "more").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    server.stop().await;
}

/// Regression: an import of 300 MB in one push got no bitmap until fifty pushes later, so every
/// clone counted its objects.
#[actix_web::test]
async fn large_import_gets_its_bitmap_without_more_pushes() {
    let (server, workdir, url) = server_that_packs_early().await;
    let work = workdir.repository("work").await;
    std::fs::write(work.join("large"), super::clients::noise(4 * 1024 * 1024)).unwrap();
    workdir.git("work", &["add", "."]).await.ok();
    workdir.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let packs = server.only_repository().join("objects/pack");
    let has_bitmap = || {
        let files = std::fs::read_dir(&packs).unwrap().flatten();
        files.into_iter().any(|file| file.file_name().to_string_lossy().ends_with(".bitmap"))
    };
    until(async || has_bitmap()).await;
    server.stop().await;
}

/// SIGTERM arrives when the ref has moved and the event is not yet written. The fail point fixes
/// this order: before, the stop raced the push and both orders passed.
#[actix_web::test]
async fn stop_settles_admitted_pushes_before_the_process_ends() {
    let directory = tempfile::tempdir().unwrap();
    let server = Process::with(directory.path(), &[("FAILPOINTS", "settlement.before=sleep(1500)")]).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let login = async |server: &Process| {
        server.http.with_token(server.http.login("alice", PASSWORD).await.unwrap().token)
    };
    let alice = login(&server).await;
    for (path, body) in [
        ("/api/projects/create", json!({"name": "hello"})),
        ("/api/projects/alice/hello/repos/create", json!({"name": "web"})),
    ] {
        alice.post(path, &body).await.unwrap().success().unwrap();
    }
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let url = format!("http://alice:{}@{}/alice/hello/web", PASSWORD.replace(' ', "%20"), server.address());
    let has_moved = || find_ref(&directory.path().join("repos")).is_some();
    let pushed = Cell::new(None);
    let push = async { pushed.set(Some(workdir.git("work", &["push", "--quiet", &url, "main"]).await)) };
    let stop = async {
        until(async || has_moved()).await;
        assert!(pushed.take().is_none(), "the push ended before the stop");
        server.stop().await;
    };
    soon(futures_util::future::join(push, stop)).await;
    pushed.take().unwrap().ok();
    // The push was settled before the process ended: no intent is left.
    let left = "SELECT count(*) AS value FROM push_intents WHERE state <> 'settled'";
    assert_eq!(database::reader(directory.path()).integer(left), 0);
    let server = Process::start(directory.path()).await;
    let events = login(&server).await.get("/api/chats/1/events?after_seq=0&limit=100").await.unwrap().body;
    let pushes = events["items"].as_array().unwrap().iter().filter(|event| event["kind"] == "push");
    assert_eq!(pushes.count(), 1, "{events}");
    server.stop().await;
}

/// Finds the branch `main` of any repository below a folder.
fn find_ref(folder: &Path) -> Option<PathBuf> {
    let main = folder.join("refs/heads/main");
    if main.exists() {
        return Some(main);
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).find_map(|path| find_ref(&path))
}

#[actix_web::test]
async fn deleted_project_removes_its_repositories_from_disk() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    alice.repository("hello", "other").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    assert_eq!(alice.delete("/api/projects/alice/hello").await.status, 204);
    until(async || server.repositories().is_empty()).await;
    workdir.git("", &["ls-remote", &server.url_as("alice", &path)]).await.refused("not found");
    assert_eq!(alice.pushes(1).await.len(), 1, "the channel keeps its messages");
    server.stop().await;
}
