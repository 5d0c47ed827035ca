//! What the server does for repositories by itself, and what a stop does to pushes.

use std::time::Duration;

use crate::harness::git::Workplace;
use crate::harness::{TestServer, soon};

/// A server that packs after four pushes, a place to work in, and where Alice pushes to.
async fn packing() -> (TestServer, Workplace, String) {
    let server = TestServer::with_limits(|limits| {
        limits.maintenance_pushes = 4;
        limits.maintenance_ms = 20;
    })
    .await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let url = server.url_as("alice", &path);
    (server, Workplace::new(), url)
}

#[actix_web::test]
async fn a_repository_is_packed_after_enough_pushes_and_stays_whole() {
    let (server, place, url) = packing().await;
    place.repository("work").await;
    for n in 0..6 {
        place.commit("work", "n", &n.to_string(), &format!("commit {n}")).await;
        place.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    }
    let objects = server.only_repository().join("objects");
    soon(async {
        while !objects.join("info/commit-graphs").exists() && !objects.join("info/commit-graph").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(objects.join("pack/multi-pack-index").exists());
    place.git("", &["clone", "--quiet", &url, "again"]).await.ok();
    place.git("again", &["fsck", "--strict"]).await.ok();
    assert_eq!(place.objects("again").await, place.objects("work").await);
    place.commit("work", "n", "more", "more").await;
    place.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    server.stop().await;
}

/// An import of 300 MB in one push had no bitmap until fifty pushes later: every clone counted its objects.
#[actix_web::test]
async fn a_large_import_gets_its_bitmap_without_more_pushes() {
    let (server, place, url) = packing().await;
    let work = place.repository("work").await;
    std::fs::write(work.join("large"), super::clients::noise(4 * 1024 * 1024)).unwrap();
    place.git("work", &["add", "."]).await.ok();
    place.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
    place.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let packs = server.only_repository().join("objects/pack");
    let has_bitmap = || {
        let files = std::fs::read_dir(&packs).unwrap().flatten();
        files.into_iter().any(|file| file.file_name().to_string_lossy().ends_with(".bitmap"))
    };
    soon(async {
        while !has_bitmap() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    server.stop().await;
}

#[actix_web::test]
async fn a_stop_settles_what_was_admitted_and_the_next_start_finds_nothing_to_do() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (place, url) = (Workplace::new(), server.url_as("alice", &path));
    place.repository("work").await;
    // A push is under way while the server stops: it is done and told, or refused and not told.
    let push = async { place.git("work", &["push", "--quiet", &url, "main"]).await.success };
    let stop = async {
        tokio::time::sleep(Duration::from_millis(15)).await;
        server.restart(|_| ()).await
    };
    let (_, server) = soon(futures_util::future::join(push, stop)).await;
    let alice = server.login("alice").await;
    let refs = place.git("", &["ls-remote", &server.url_as("alice", &path)]).await.ok();
    assert_eq!(alice.pushes(1).await.len(), refs.lines().filter(|line| line.ends_with("main")).count());
    server.stop().await;
}

#[actix_web::test]
async fn a_project_that_is_deleted_takes_its_repositories_from_the_disk() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    alice.repository("hello", "other").await;
    let place = Workplace::new();
    place.repository("work").await;
    place.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    assert_eq!(alice.delete("/api/projects/alice/hello").await.status, 204);
    soon(async {
        while !server.repositories().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    place.git("", &["ls-remote", &server.url_as("alice", &path)]).await.refused("not found");
    assert_eq!(alice.pushes(1).await.len(), 1, "what was said stays with the people in the channel");
    server.stop().await;
}
