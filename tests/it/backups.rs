//! Backups: taken under load, restored to another directory, and checked by the doctor.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::git::GitWorkdir;
use crate::harness::{Person, TestServer, assert_problem, database, netbit_beside, until};

fn netbit(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netbit")).args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn backed_up(data_dir: &Path) -> (TempDir, PathBuf) {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("backup");
    let output = netbit_beside(&["backup", text(&target), "--data-dir", text(data_dir)]).await;
    assert!(output.status.success(), "{}", printed(&output));
    (outside, target)
}

async fn restored(backup: &Path) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let output = netbit_beside(&["restore", text(backup), "--data-dir", text(directory.path())]).await;
    assert!(output.status.success(), "{}", printed(&output));
    directory
}

async fn doctor(data_dir: &Path) -> (i32, String) {
    let output = netbit_beside(&["doctor", "--data-dir", text(data_dir)]).await;
    (output.status.code().unwrap(), printed(&output))
}

#[actix_web::test]
async fn backup_under_load_holds_all_earlier_acknowledged_writes() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let url = server.hello_web_of(&alice).await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.commit("work", "first", "one", "first").await;
    workdir.git("work", &["push", &url, "main"]).await.ok();
    let stop = Arc::new(AtomicBool::new(false));
    let senders = (0..20).map(|sender| {
        let (http, stop) = (alice.http.clone(), stop.clone());
        async move {
            let mut acknowledged = Vec::new();
            while !stop.load(SeqCst) {
                let content = format!("{sender}/{}", acknowledged.len());
                let path = format!("/api/chats/{chat}/messages");
                let answer = http.post(&path, &json!({"content": content})).await.unwrap();
                assert_eq!(answer.status, 201);
                acknowledged.push(content);
            }
            acknowledged.len()
        }
    });
    let pushes = async {
        let mut count = 0;
        while !stop.load(SeqCst) {
            count += 1;
            workdir.commit("work", "file", &"x".repeat(200_000 + count), &format!("push {count}")).await;
            workdir.git("work", &["push", &url, "main"]).await.ok();
        }
        count
    };
    let backup = async {
        // Waits until messages exist. Messages and pushes continue while the backup is taken.
        while alice
            .http
            .messages(chat, "?limit=1")
            .await
            .unwrap()
            .0
            .first()
            .is_none_or(|newest| newest.seq < 100)
        {
            tokio::task::yield_now().await;
        }
        let before = alice.http.messages(chat, "?limit=1").await.unwrap().0[0].clone();
        let head_before = workdir.git("work", &["ls-remote", &url, "main"]).await.ok();
        let noted = async || {
            let (_, metrics) = server.operations("/metrics").await;
            let line = metrics.lines().find(|line| line.starts_with("netbit_last_backup_timestamp_seconds "));
            line.unwrap().rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        assert_eq!(noted().await, 0.0);
        let taken = backed_up(server.path()).await;
        assert!(noted().await > 1.0e9, "the alert for old backups reads this metric");
        stop.store(true, SeqCst);
        (before, head_before, taken)
    };
    let (counts, pushed, (before, head_before, (_outside, backup))) =
        futures_util::join!(futures_util::future::join_all(senders), pushes, backup);
    assert!(counts.iter().sum::<usize>() > 100 && pushed > 0);
    let all = server.stop().await;
    assert_eq!(all.differences, 0);

    let directory = restored(&backup).await;
    assert_eq!(doctor(directory.path()).await.0, 0, "{}", doctor(directory.path()).await.1);
    let server = TestServer::on(directory).await;
    assert_eq!(
        server.http.with_token(alice.http.token().unwrap()).get("/api/users/me").await.unwrap().status,
        401
    );
    let refresh =
        server.http.post("/api/users/refresh", &json!({"refresh_token": alice.refresh_token})).await.unwrap();
    assert_problem(&refresh, 401, "unauthenticated");
    let alice = server.login("alice").await;
    let path = format!("?after_seq={}&limit=1", before.seq - 1);
    let (found, _) = alice.http.messages(chat, &path).await.unwrap();
    assert_eq!(found[0].content, before.content, "the message that was acknowledged before the backup");
    let workdir = GitWorkdir::new();
    let url = server.url_as("alice", "alice/hello/web.git");
    let head = workdir.git(".", &["ls-remote", &url, "main"]).await.ok();
    workdir.git(".", &["clone", "--quiet", &url, "again"]).await.ok();
    workdir.git("again", &["fsck", "--full"]).await.ok();
    let old = head_before.split_whitespace().next().unwrap();
    workdir.git("again", &["merge-base", "--is-ancestor", old, "main"]).await.ok();
    assert!(!head.is_empty());
    // The restored server accepts a push and a message.
    workdir.commit("again", "later", "later", "after the restore").await;
    workdir.git("again", &["push", &url, "main"]).await.ok();
    assert_eq!(alice.say(chat, "after the restore").await.status, 201);
    server.stop().await;
}

#[actix_web::test]
async fn incomplete_backup_is_refused_and_leaves_no_data_to_serve() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.group(&[]).await;
    let (outside, backup) = backed_up(server.path()).await;
    server.stop().await;

    let again = netbit(&["backup", text(&backup), "--data-dir", text(outside.path())]);
    assert!(!again.status.success() && printed(&again).contains("no database"), "{}", printed(&again));
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("precious"), "x").unwrap();
    let target = netbit(&["restore", text(&backup), "--data-dir", text(other.path())]);
    assert!(!target.status.success() && printed(&target).contains("not empty"), "{}", printed(&target));
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1, "nothing was touched");

    assert!(netbit(&["backup", "--verify", text(&backup)]).status.success());
    let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_netbit"));
    elsewhere.args(["backup", "--verify", text(&backup)]).env("NETBIT_DATABASE", "not a URL");
    assert!(elsewhere.output().unwrap().status.success(), "the check needs no database");
    let mut bytes = fs::read(backup.join("netbit.db")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(backup.join("netbit.db"), &bytes).unwrap();
    let verified = netbit(&["backup", "--verify", text(&backup)]);
    assert!(!verified.status.success() && printed(&verified).contains("checksum"), "{}", printed(&verified));
    let directory = tempfile::tempdir().unwrap();
    let refused = netbit(&["restore", text(&backup), "--data-dir", text(directory.path())]);
    assert!(!refused.status.success() && printed(&refused).contains("damaged"), "{}", printed(&refused));
    let served = netbit(&["serve", "--data-dir", text(directory.path()), "--ops-listen", "127.0.0.1:0"]);
    assert!(!served.status.success() && printed(&served).contains("did not finish"), "{}", printed(&served));

    fs::remove_file(backup.join("manifest.json")).unwrap();
    let unfinished = netbit(&["restore", text(&backup), "--data-dir", text(&directory.path().join("new"))]);
    assert!(!unfinished.status.success() && printed(&unfinished).contains("not a complete backup"));
}

/// A missing directory made the whole backup fail: the other repositories had no backup until an
/// operator had time for the lost one.
#[actix_web::test]
async fn backup_without_a_lost_repository_has_all_others() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    server.hello_web_of(&alice).await;
    let lost = server.only_repository();
    alice.repository("hello", "second").await;
    let beside = lost.with_file_name("lost");
    fs::rename(&lost, &beside).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup");
    let taken = netbit_beside(&["backup", text(&backup), "--data-dir", text(server.path())]).await;
    let named = "repository 1 (web) had no directory in repos/ and is not in this backup";
    assert_eq!(taken.status.code(), Some(1), "{}", printed(&taken));
    assert!(printed(&taken).contains(named), "{}", printed(&taken));
    assert!(printed(&taken).contains(" 1 repository, up to commit"), "{}", printed(&taken));
    assert!(server.path().join("last-backup").exists(), "the alert for old backups stays quiet");
    fs::rename(&beside, &lost).unwrap();
    server.stop().await;

    let verified = netbit(&["backup", "--verify", text(&backup)]);
    assert!(verified.status.success() && printed(&verified).contains(named), "{}", printed(&verified));
    let directory = restored(&backup).await;
    let (code, found) = doctor(directory.path()).await;
    assert!(code == 1 && found.contains("repository 1 (web)") && !found.contains("(second)"), "{found}");
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    let branches = |name| format!("/api/projects/alice/hello/repos/{name}/branches");
    assert_eq!(alice.get(&branches("second")).await.status, 200);
    assert_ne!(alice.get(&branches("web")).await.status, 200);
    server.stop().await;

    // The manifest of an earlier version has no such list.
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(backup.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["missing"], json!([{"id": 1, "name": "web"}]));
    manifest.as_object_mut().unwrap().remove("missing");
    fs::write(backup.join("manifest.json"), manifest.to_string()).unwrap();
    let verified = netbit(&["backup", "--verify", text(&backup)]);
    assert!(verified.status.success() && !printed(&verified).contains(named), "{}", printed(&verified));
}

/// The backup counted a directory without objects as a whole repository.
#[actix_web::test]
async fn backup_names_a_repository_without_objects() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    server.hello_web_of(&alice).await;
    let damaged = server.only_repository();
    alice.repository("hello", "second").await;
    let outside = tempfile::tempdir().unwrap();
    let lost = ["objects", "refs"].map(|folder| (folder, outside.path().join(folder)));
    for (folder, aside) in &lost {
        fs::rename(damaged.join(folder), aside).unwrap();
        let backup = outside.path().join(format!("without-{folder}"));
        let taken = netbit_beside(&["backup", text(&backup), "--data-dir", text(server.path())]).await;
        let named = format!("repository 1 (web) had no {folder}/ in its directory and is not in this backup");
        assert_eq!(taken.status.code(), Some(1), "{}", printed(&taken));
        assert!(printed(&taken).contains(&named), "{}", printed(&taken));
        assert!(printed(&taken).contains(" 1 repository, up to commit"), "{}", printed(&taken));
        let verified = netbit(&["backup", "--verify", text(&backup)]);
        assert!(verified.status.success() && printed(&verified).contains(&named), "{}", printed(&verified));
        let (code, found) = doctor(server.path()).await;
        assert!(code == 1 && found.contains("repository 1 (web)") && !found.contains("(second)"), "{found}");
        fs::rename(aside, damaged.join(folder)).unwrap();
    }
    let (code, found) = doctor(server.path()).await;
    assert_eq!(code, 0, "{found}");
    server.stop().await;
}

#[actix_web::test]
async fn manifest_cannot_reference_files_outside_the_backup() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let (outside, backup) = backed_up(server.path()).await;
    server.stop().await;
    let manifest = fs::read_to_string(backup.join("manifest.json")).unwrap();
    for path in ["../../escaped", "/tmp/escaped"] {
        fs::write(backup.join("manifest.json"), manifest.replace("\"netbit.db\"", &format!("\"{path}\"")))
            .unwrap();
        let refused = netbit(&["restore", text(&backup), "--data-dir", text(&outside.path().join("new"))]);
        assert!(
            !refused.status.success() && printed(&refused).contains("leads out"),
            "{}",
            printed(&refused)
        );
    }
}

/// Returns every file with its content, except the shared memory of SQLite, which readers may
/// change.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if path.extension().is_none_or(|extension| extension != "db-shm") {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[actix_web::test]
async fn doctor_finds_damage_and_changes_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    alice.say(chat, "one").await;
    alice.say(chat, "two").await;
    let url = server.hello_web_of(&alice).await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.commit("work", "file", "one", "first").await;
    workdir.git("work", &["push", &url, "main"]).await.ok();
    alice.repository("hello", "second").await;
    assert_eq!(
        doctor(server.path()).await.0,
        0,
        "also next to a running server: {}",
        doctor(server.path()).await.1
    );
    let (_outside, backup) = backed_up(server.path()).await;
    server.stop().await;

    let directory = restored(&backup).await;
    let path = directory.path();
    let before = contents(path);
    assert_eq!(doctor(path).await.0, 0);
    assert_eq!(contents(path), before);

    let mut db = database::writer(path);
    db.batch_execute(
        "DELETE FROM messages WHERE content = 'one'; UPDATE chats SET last_seq = last_seq + 1 WHERE id = 2",
    );
    drop(db);
    let repositories: Vec<_> = contents(path).into_keys().filter(|path| path.ends_with("HEAD")).collect();
    assert_eq!(repositories.len(), 2);
    let pushed = |repository: &Path| repository.join("refs/heads/main").exists();
    let (pushed, empty): (Vec<&Path>, Vec<&Path>) =
        repositories.iter().map(|head| head.parent().unwrap()).partition(|repository| pushed(repository));
    let objects = contents(&pushed[0].join("objects"));
    let (object, bytes) = objects.iter().next().unwrap();
    let mut damaged = bytes.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::remove_file(object).unwrap();
    fs::write(object, damaged).unwrap();
    let key = "0".repeat(32);
    fs::rename(empty[0], empty[0].with_file_name(format!("{key}.git"))).unwrap();
    let before = contents(path);
    let (code, printed) = doctor(path).await;
    assert_eq!(code, 1, "{printed}");
    for finding in
        ["seq of chat", "ordinals of chat", "git fsck", "does not exist", "belongs to no repository"]
    {
        assert!(printed.contains(finding), "{finding}: {printed}");
    }
    assert_eq!(contents(path), before, "the doctor reads only");
}

/// A repository must not disappear while a backup copies it: nothing is removed while the backup
/// holds the lock.
#[actix_web::test]
async fn deleted_repository_stays_on_disk_while_a_backup_runs() {
    let server = TestServer::with_limits(|limits| limits.maintenance_ms = 10).await;
    let alice = server.user("alice").await;
    server.hello_web_of(&alice).await;
    let store = server.app.services.git.store.clone();
    let lock = tokio::task::spawn_blocking(move || store.maintenance_lock(true)).await.unwrap().unwrap();
    let directory = server.only_repository();
    assert_eq!(alice.delete("/api/projects/alice/hello/repos/web").await.status, 204);
    assert_eq!(alice.get("/api/projects/alice/hello/repos/web").await.status, 404);
    // Each round of background maintenance reads the database twice. Nothing else in this test
    // reads it.
    let reads = async || {
        let (_, text) = server.operations("/metrics").await;
        let counts = text.lines().filter(|line| line.starts_with("netbit_read_seconds_count"));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    let before = reads().await;
    until(async || reads().await >= before + 12).await;
    assert!(directory.exists(), "deleted for all users, but still on disk");
    drop(lock);
    until(async || !directory.exists()).await;
    server.stop().await;
}

impl TestServer {
    /// Creates Alice's repository `hello/web` and returns its URL for her.
    async fn hello_web_of(&self, alice: &Person) -> String {
        alice.hello_web("private").await;
        self.url_as(&alice.name, &format!("{}/hello/web.git", alice.name))
    }
}
