//! Thumbnails whose child waits, or ends in another way than with a picture.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use image::ImageFormat;
use netbit::core::limits::Limits;

use super::files_of;
use super::thumbnails::ended;
use crate::harness::files::{PNG, blobs, thumbnails};
use crate::harness::pictures::{picture, written};
use crate::harness::{TestServer, s3, until};

/// A program in place of `netbit`, which notes each start, runs `before`, and then the `netbit`.
struct Program {
    folder: tempfile::TempDir,
}

impl Program {
    /// In `before`, `$0` is the path of the script.
    fn new(before: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "#!/bin/sh\necho started >> \"$0.starts\"\n{before}\nexec {} \"$@\"\n",
            env!("CARGO_BIN_EXE_netbit")
        );
        fs::write(folder.path().join("program"), script).unwrap();
        fs::set_permissions(folder.path().join("program"), fs::Permissions::from_mode(0o700)).unwrap();
        Self { folder }
    }

    /// Returns a program that waits for [`Program::go`].
    fn waiting() -> Self {
        Self::new("while ! test -e \"$0.go\"; do /bin/sleep 0.02; done")
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    fn starts(&self) -> usize {
        let text = fs::read_to_string(self.folder.path().join("program.starts"));
        text.unwrap_or_default().lines().count()
    }

    fn go(&self) {
        fs::write(self.folder.path().join("program.go"), "").unwrap();
    }

    async fn server(&self, change: impl FnOnce(&mut Limits)) -> TestServer {
        TestServer::with(|config| {
            config.program = Some(self.path());
            config.limits.rates = false;
            change(&mut config.limits);
        })
        .await
    }
}

fn png() -> Vec<u8> {
    written(&picture(700, 700), ImageFormat::Png)
}

/// A client that leaves must not make the server start a child for the next one again.
#[actix_web::test]
async fn picture_is_kept_when_its_client_leaves() {
    let program = Program::waiting();
    let server = program.server(|_| ()).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (file, _) = files.share(chat, "x.png", &png()).await;
    {
        let client = files.clone();
        let request = tokio::spawn(async move { client.thumbnail(file, 360).await });
        until(async || program.starts() == 1).await;
        request.abort();
        assert!(request.await.is_err());
    }
    // Another request waits for the same child.
    let next = tokio::spawn({
        let client = files.clone();
        async move { client.thumbnail(file, 360).await }
    });
    program.go();
    assert_eq!(next.await.unwrap().status, 200);
    assert_eq!((program.starts(), ended(&server, "made").await), (1, 1));
    assert_eq!(thumbnails(server.path()).len(), 1);
    server.stop().await;
}

#[actix_web::test]
async fn thumbnail_is_refused_when_access_is_lost_while_it_is_made() {
    let program = Program::waiting();
    let server = program.server(|_| ()).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (of_alice, of_bob) = (files_of(&server, &alice), files_of(&server, &bob));
    let (file, _) = of_alice.share(chat, "x.png", &png()).await;
    let waiting = tokio::spawn(async move { of_bob.thumbnail(file, 360).await });
    until(async || program.starts() == 1).await;
    let removed = alice.delete(&format!("/api/chats/{chat}/participants/bob")).await;
    assert_eq!(removed.status, 204);
    program.go();
    assert_eq!(waiting.await.unwrap().status, 404);
    assert_eq!(of_alice.thumbnail(file, 360).await.status, 200);
    server.stop().await;
}

/// The end of a child for a reason outside of its file: the next request makes the picture.
#[actix_web::test]
async fn failure_that_is_not_of_the_file_is_not_remembered() {
    for end in ["kill -KILL $$", "exit 127", "exit 74", "exit 71", "exit 1"] {
        let program = Program::new(&format!("test -e \"$0.go\" || {end}"));
        let server = program.server(|_| ()).await;
        let alice = server.user("alice").await;
        let chat = alice.group(&[]).await;
        let files = files_of(&server, &alice);
        let (file, _) = files.share(chat, "x.png", &png()).await;
        assert_eq!(files.thumbnail(file, 360).await.status, 500, "{end}");
        assert_eq!((ended(&server, "failed").await, ended(&server, "exhausted").await), (1, 0), "{end}");
        assert_eq!(thumbnails(server.path()), Vec::<String>::new(), "{end}");
        program.go();
        assert_eq!(files.thumbnail(file, 360).await.status, 200, "{end}");
        server.stop().await;
    }
}

/// The end of a child because of its file is remembered.
#[actix_web::test]
async fn exhausted_child_is_not_started_again() {
    for end in ["kill -XCPU $$", "kill -ABRT $$", "exit 101"] {
        let program = Program::new(end);
        let server = program.server(|_| ()).await;
        let alice = server.user("alice").await;
        let chat = alice.group(&[]).await;
        let files = files_of(&server, &alice);
        let (file, _) = files.share(chat, "x.png", &png()).await;
        for _ in 0..3 {
            assert_eq!(files.thumbnail(file, 360).await.status, 415, "{end}");
        }
        assert_eq!((program.starts(), ended(&server, "exhausted").await), (1, 1), "{end}");
        server.stop().await;
    }
}

/// A child that is late ends with its process group, and its place is free.
#[actix_web::test]
async fn late_child_ends_with_its_processes() {
    let program = Program::new("test -e \"$0.go\" || { echo $$ > \"$0.group\"; /bin/sleep 600; }");
    let server = program.server(|limits| (limits.thumbnail_ms, limits.thumbnails) = (1_500, 1)).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (file, _) = files.share(chat, "x.png", &png()).await;
    let late = files.thumbnail(file, 360).await;
    assert_eq!((late.status, late.header("retry-after")), (503, "10"));
    let group = fs::read_to_string(program.folder.path().join("program.group")).unwrap();
    let group: u32 = group.trim().parse().unwrap();
    until(async || !group_runs(group)).await;
    program.go();
    until(async || files.thumbnail(file, 360).await.status == 200).await;
    server.stop().await;
}

/// Returns whether a process of the group runs; the fifth word of its status is the group.
fn group_runs(group: u32) -> bool {
    let processes = fs::read_dir("/proc").unwrap();
    let status = |folder: &Path| fs::read_to_string(folder.join("stat")).unwrap_or_default();
    processes.filter_map(Result::ok).any(|entry| {
        let status = status(&entry.path());
        let words: Vec<_> = status.rsplit(") ").next().unwrap().split_whitespace().collect();
        words.first().is_some_and(|state| *state != "Z") && words.get(2) == Some(&group.to_string().as_str())
    })
}

/// A user who has the bytes learns from no answer whether another chat has them too.
#[actix_web::test]
async fn picture_of_another_chat_is_made_again() {
    let program = Program::new(":");
    let server = program.server(|limits| limits.maintenance_ms = 50).await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    let (secret, own) = (alice.group(&[]).await, eve.group(&[]).await);
    let (of_alice, of_eve) = (files_of(&server, &alice), files_of(&server, &eve));
    let (file, message) = of_alice.share(secret, "x.png", &png()).await;
    let (copy, copied) = of_eve.share(own, "x.png", &png()).await;
    let (broken, _) = of_alice.share(secret, "y.png", PNG).await;
    let (of_broken, _) = of_eve.share(own, "y.png", PNG).await;
    let first = of_alice.thumbnail(file, 360).await;
    of_alice.thumbnail(broken, 360).await;
    let starts = program.starts();
    assert_eq!(of_eve.thumbnail(copy, 360).await.bytes, first.bytes);
    of_eve.thumbnail(of_broken, 360).await;
    assert_eq!(program.starts(), 2 * starts, "for each chat");
    assert_eq!((ended(&server, "made").await, ended(&server, "cached").await), (2, 0));
    let names = thumbnails(server.path());
    for chat in [secret, own] {
        assert!(names.iter().any(|name| name.contains(&format!("-{chat}-360-"))), "{names:?}");
    }
    // Both go with the last file that has the bytes.
    alice.delete(&format!("/api/chats/{secret}/messages/{message}")).await;
    eve.delete(&format!("/api/chats/{own}/messages/{copied}")).await;
    until(async || blobs(server.path()).len() == 1).await;
    let left = thumbnails(server.path());
    assert!(left.len() == 2 && left.iter().all(|name| name.ends_with(".failed")), "{left:?}");
    server.stop().await;
}

/// Leftovers of another version, and of blobs that another node has removed, go at the start.
#[actix_web::test]
async fn thumbnails_without_a_blob_are_removed() {
    if s3::skips("it removes the file of a blob") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (kept, _) = files.share(chat, "x.png", &png()).await;
    assert_eq!(files.thumbnail(kept, 360).await.status, 200);
    let (gone, _) = files.share(chat, "y.png", &written(&picture(80, 80), ImageFormat::Png)).await;
    assert_eq!(files.thumbnail(gone, 360).await.status, 200);
    let hash = files.get(gone).await.header("etag").to_owned();
    let names = thumbnails(server.path());
    let directory = server.stop_and_keep().await;
    let mut others = names.clone();
    others.retain(|name| !hash.contains(&name[..64]));
    let [stays] = &others[..] else { panic!("{hash} {names:?}") };
    for blob in blobs(directory.path()) {
        if hash.contains(blob.file_name().unwrap().to_str().unwrap()) {
            fs::remove_file(blob).unwrap();
        }
    }
    let part = directory.path().join("thumbnails").join(&stays[..1]);
    fs::write(part.join(format!("{}-360-v1", &stays[..64])), "another version").unwrap();
    let server = TestServer::on(directory).await;
    until(async || thumbnails(server.path()) == others).await;
    server.stop().await;
}

/// Without a folder for them, thumbnails are served from memory.
#[actix_web::test]
async fn server_without_a_cache_starts_and_serves() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thumbnails"), "not a folder").unwrap();
    let server = TestServer::on(directory).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (file, _) = files.share(chat, "x.png", &png()).await;
    let first = files.thumbnail(file, 360).await;
    assert_eq!(first.status, 200);
    assert_eq!(files.thumbnail(file, 360).await.bytes, first.bytes);
    assert_eq!((ended(&server, "made").await, ended(&server, "failed").await), (2, 0));
    server.stop().await;
}
