//! Each node cares for its own repositories only, and takes over those of a node that has ended.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::nodes::skip;
use super::repositories::{Nodes, environment, hello_web, login, push_events, query, url};
use crate::harness::git::{GitWorkdir, repositories_in};
use crate::harness::{Process, command, database, postgres, until};
use netbit::client::HttpClient;

/// Inserts an intent of alice for `main` of a repository, as a push does before its refs move.
fn insert_intent(folder: &Path, repository: i64, old: &str, new: &str) {
    let refs = serde_json::json!([{"ref": "refs/heads/main", "old": old, "new": new}]);
    let client_id = database::bytes(uuid::Uuid::now_v7().as_bytes());
    database::writer(folder).execute(&format!(
        "INSERT INTO push_intents (repository_id, user_id, refs, base_url, client_id, state, created_at) \
         VALUES ({repository}, 1, '{refs}', 'http://x', {client_id}, 'pending', 0)"
    ));
}

/// Runs `netbit node` on a data directory; returns the output and whether it succeeded.
pub(super) fn node(folder: &Path, database: &str, name: &str, arguments: &[&str]) -> (String, bool) {
    let mut netbit = Command::new(command(folder).get_program());
    netbit.arg("node").args(arguments).arg("--data-dir").arg(folder).envs(environment(database, name));
    let output = netbit.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.success())
}

fn only_repository(folder: &Path) -> std::path::PathBuf {
    let mut found = Vec::new();
    repositories_in(folder, &mut found);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[actix_web::test]
async fn start_of_a_node_leaves_pushes_of_another_alone() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "private").await;
    let at_b = login(&nodes.b, "alice").await;
    let body = serde_json::json!({"name": "two"});
    at_b.post("/api/projects/alice/hello/repos/create", &body).await.unwrap().success().unwrap();
    nodes.a.kill();
    nodes.b.kill();
    let (first, second) = ("1".repeat(40), "2".repeat(40));
    let folder = nodes.folders[0].path().to_owned();
    insert_intent(&folder, 1, &first, &second);
    insert_intent(&folder, 2, &first, &second);
    nodes.query("INSERT INTO repositories (project_id, name, name_key, default_branch, storage_key, state, created_at, storage) VALUES (1, 'half', 'half', 'main', '00000000-0000-4000-8000-000000000001', 'creating', 0, 'a')");
    let pending = |repository: i64| {
        let sql = format!(
            "SELECT count(*) FROM push_intents WHERE repository_id = {repository} AND state = 'pending'"
        );
        query(&nodes.database, &sql)
    };
    nodes.b = nodes.start_b().await;
    // The intents of a round are settled in the order of their ids.
    until(async || pending(2) == "0").await;
    assert_eq!(pending(1), "1", "the push of the other node is not settled");
    let half = "SELECT count(*) FROM repositories WHERE name = 'half'";
    assert_eq!(nodes.query(half), "1", "the creation of the other node is not rolled back");
    nodes.a = nodes.start_a().await;
    until(async || pending(1) == "0").await;
    assert_eq!(nodes.query(half), "0");
    nodes.a.stop().await;
    nodes.b.stop().await;
}

#[actix_web::test]
async fn replaced_node_hands_its_repositories_over() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url(&nodes.b, "alice"), "main"]).await.ok();
    let first = workdir.head("work").await;
    let second = workdir.commit("work", "two", "two", "second").await;
    let (from, to) = (nodes.folders[0].path().to_owned(), nodes.folders[1].path().to_owned());
    let replace = |old: &str, new: &str| node(&to, &nodes.database, "b", &["replace", old, new]);
    let (said, done) = replace("a", "b");
    assert!(!done && said.contains("the node runs"), "{said}");
    nodes.a.kill();

    // The ref has moved, and the node has ended before it recorded the push.
    let bare = only_repository(&from);
    workdir.git("work", &["push", "--quiet", bare.to_str().unwrap(), "main"]).await.ok();
    insert_intent(&from, 1, &first, &second);
    // It was killed a while ago, and still counts as a node that runs.
    nodes.query("UPDATE nodes SET seen_at = seen_at - 12000 WHERE name = 'a'");
    let (said, _) = node(&to, &nodes.database, "b", &["list"]);
    let of_a = said.lines().find(|line| line.starts_with("a\t")).unwrap();
    assert!(of_a.contains("\truns, no sign for 1") && of_a.contains(" s\t"), "{said}");
    assert!(said.contains("b\tthis node\t"), "{said}");
    std::fs::write(bare.join("refs/heads/main.lock"), "").unwrap();
    nodes.query("UPDATE nodes SET seen_at = 0 WHERE name = 'a'");
    let (said, done) = replace("a", "b");
    assert!(!done && said.contains("1 repositories stay with a"), "{said}");
    let (said, done) = replace("typo", "b");
    assert!(!done && said.contains("no node has this name"), "{said}");
    let copied =
        Command::new("cp").arg("-a").arg(from.join("repos/.")).arg(to.join("repos")).status().unwrap();
    assert!(copied.success());
    let (said, done) = replace("a", "c");
    assert!(!done && said.contains("must run on the new node"), "{said}");
    let (said, done) = replace("a", "b");
    assert!(done && said.contains("1 repositories of a are now stored on b"), "{said}");
    let (said, _) = node(&to, &nodes.database, "b", &["list"]);
    assert!(said.contains("b\tthis node\t1 repositories"), "{said}");
    let alice = login(&nodes.b, "alice").await;
    until(async || push_events(&alice).await == 2).await;

    // The earlier storage node starts again with its files: it forwards.
    nodes.a = nodes.start_a().await;
    let third = workdir.commit("work", "three", "three", "third").await;
    workdir.git("work", &["push", "--quiet", &url(&nodes.a, "alice"), "main"]).await.ok();
    let head = async |folder: &Path| {
        let bare = only_repository(folder);
        workdir.git("", &["-C", bare.to_str().unwrap(), "rev-parse", "main"]).await.ok()
    };
    assert_eq!((head(&from).await, head(&to).await), (second, third));
    nodes.a.stop().await;
    nodes.b.stop().await;
}

/// A directory that was left over from an earlier move was taken: acknowledged pushes were lost.
#[actix_web::test]
async fn older_copy_of_a_repository_is_not_taken() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url(&nodes.a, "alice"), "main"]).await.ok();
    let (at_a, at_b) = (nodes.folders[0].path().to_owned(), nodes.folders[1].path().to_owned());
    let copy = |from: &Path, to: &Path| {
        let status = Command::new("cp").arg("-a").arg(from.join("repos/.")).arg(to.join("repos")).status();
        assert!(status.unwrap().success());
    };
    let replace =
        |folder: &Path, old: &str, new: &str| node(folder, &nodes.database, new, &["replace", old, new]);
    nodes.a.stop().await;
    copy(&at_a, &at_b);
    let (said, done) = replace(&at_b, "a", "b");
    assert!(done, "{said}");
    let second = workdir.commit("work", "two", "two", "second").await;
    workdir.git("work", &["push", "--quiet", &url(&nodes.b, "alice"), "main"]).await.ok();
    nodes.b.stop().await;

    let is_refused = || {
        let (said, done) = replace(&at_a, "b", "a");
        let why = "1 repositories on this node are older than the database";
        assert!(!done && said.contains("0 repositories of b are now") && said.contains(why), "{said}");
    };
    is_refused();
    // A copy onto the older one: the older loose ref hides the newer packed one.
    let bare = only_repository(&at_b);
    workdir.git("", &["-C", bare.to_str().unwrap(), "pack-refs", "--all"]).await.ok();
    copy(&at_b, &at_a);
    is_refused();
    assert_eq!(query(&nodes.database, "SELECT storage FROM repositories"), "b");
    std::fs::remove_dir_all(only_repository(&at_a)).unwrap();
    copy(&at_b, &at_a);
    let (said, done) = replace(&at_a, "b", "a");
    assert!(done && said.contains("1 repositories of b are now stored on a"), "{said}");
    nodes.a = Process::with(nodes.folders[0].path(), &environment(&nodes.database, "a")).await;
    let listed = workdir.git("", &["ls-remote", &url(&nodes.a, "alice"), "refs/heads/main"]).await.ok();
    assert!(listed.starts_with(&second), "{listed}");
    nodes.a.stop().await;
}

/// A repository of a node that never returns, or of none, could not be deleted: its name stayed
/// taken.
#[actix_web::test]
async fn repository_of_a_lost_node_can_be_deleted() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    let alice = hello_web(&nodes.a, "private").await;
    let all = "/api/projects/alice/hello/repos";
    let create = async |alice: &HttpClient, name: &str| {
        let body = serde_json::json!({"name": name});
        alice.post(&format!("{all}/create"), &body).await.unwrap().success().unwrap();
    };
    let delete = async |alice: &HttpClient, name: &str| {
        alice.send(reqwest::Method::DELETE, &format!("{all}/{name}"), None, &[]).await.unwrap().status
    };
    create(&alice, "two").await;
    nodes.a.kill();
    let alice = login(&nodes.b, "alice").await;
    assert_eq!(delete(&alice, "web").await, 503, "the node has just run, and may push");
    nodes.b.stop().await;
    query(&nodes.database, "UPDATE repositories SET storage = NULL WHERE name = 'two'");
    query(&nodes.database, "UPDATE nodes SET seen_at = seen_at - 31000 WHERE name = 'a'");
    nodes.b = Process::with(nodes.folders[1].path(), &environment(&nodes.database, "b")).await;
    let alice = login(&nodes.b, "alice").await;
    for name in ["web", "two"] {
        assert_eq!(delete(&alice, name).await, 204, "{name}");
        create(&alice, name).await;
    }
    assert_eq!(nodes.on_disk(), [2, 2]);
    nodes.a = nodes.start_a().await;
    until(async || nodes.on_disk() == [0, 2]).await;
    nodes.a.stop().await;
    nodes.b.stop().await;
}

/// A repository that was deleted while its node was away stayed `deleting` if the node never came
/// back.
#[actix_web::test]
async fn deletions_of_a_lost_node_end_at_its_replacement() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "private").await;
    nodes.a.kill();
    nodes.query("UPDATE nodes SET seen_at = seen_at - 31000 WHERE name = 'a'");
    let alice = login(&nodes.b, "alice").await;
    let web = "/api/projects/alice/hello/repos/web";
    assert_eq!(alice.send(reqwest::Method::DELETE, web, None, &[]).await.unwrap().status, 204);
    let state = || nodes.query("SELECT state || ' ' || storage FROM repositories");
    assert_eq!(state(), "deleting a");
    let folder = nodes.folders[1].path();
    let (said, _) = node(folder, &nodes.database, "b", &["list"]);
    assert!(said.contains("0 repositories, 1 being deleted"), "{said}");
    // As after a restore into another database, which does not know the node.
    nodes.query("DELETE FROM nodes WHERE name = 'a'");
    let (said, done) = node(folder, &nodes.database, "b", &["replace", "a", "b"]);
    assert!(done && said.contains("0 repositories of a are now stored on b"), "{said}");
    assert!(said.contains("1 deletions that a has not completed end on b"), "{said}");
    until(async || state() == "deleted b").await;
    nodes.b.stop().await;
}

#[actix_web::test]
async fn node_takes_over_shared_repositories_of_an_ended_node() {
    if !postgres::is_used() {
        return skip("needs PostgreSQL");
    }
    let shared = tempfile::tempdir().unwrap();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for folder in &folders {
        std::os::unix::fs::symlink(shared.path(), folder.path().join("repos")).unwrap();
    }
    let database = postgres::url(folders[0].path()).unwrap();
    let of = |name| {
        [&environment(&database, name)[..], &[("NETBIT_CLUSTER__SHARED_REPOSITORIES", "true")]].concat()
    };
    let mut a = Process::with(folders[0].path(), &of("a")).await;
    hello_web(&a, "private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url(&a, "alice"), "main"]).await.ok();
    let b = Process::with(folders[1].path(), &of("b")).await;
    workdir.commit("work", "two", "two", "second").await;
    workdir.git("work", &["push", "--quiet", &url(&b, "alice"), "main"]).await.ok();
    assert_eq!(query(&database, "SELECT storage FROM repositories"), "a", "the folder alone changes nothing");

    // After an outage of the database the rows of nodes that run are old. b once took over their
    // repositories then. Longer than two searches of b.
    let storage = || query(&database, "SELECT storage FROM repositories");
    let ended = "UPDATE nodes SET seen_at = seen_at - 31000 WHERE name = 'a'";
    for _ in 0..50 {
        query(&database, ended);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(storage(), "a", "a node that runs loses no repository");

    a.kill();
    query(&database, ended);
    let killed = Instant::now();
    while storage() == "a" {
        assert!(killed.elapsed() < Duration::from_secs(60), "no node has taken over");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    workdir.commit("work", "three", "three", "third").await;
    workdir.git("work", &["push", "--quiet", &url(&b, "alice"), "main"]).await.ok();
    let alice = login(&b, "alice").await;
    assert_eq!(push_events(&alice).await, 3);
    // A child of a's earlier process, and a lock of a push that runs at b.
    let bare = only_repository(shared.path());
    let key = bare.file_stem().unwrap().to_str().unwrap();
    let mark = folders[0].path().join("repos/tmp.a");
    let mut sleep = Command::new("sleep");
    let mut child =
        sleep.arg("600").env("NETBIT_CHILD_OF", mark).env("NETBIT_REPOSITORY", key).spawn().unwrap();
    std::fs::write(bare.join("packed-refs.lock"), "").unwrap();
    let a = Process::with(folders[0].path(), &of("a")).await;
    until(async || child.try_wait().unwrap().is_some()).await;
    assert!(bare.join("packed-refs.lock").exists(), "the lock of the other node stays");
    std::fs::remove_file(bare.join("packed-refs.lock")).unwrap();
    workdir.git("", &["clone", "--quiet", &url(&a, "alice"), "clone"]).await.ok();
    assert_eq!(workdir.head("clone").await, workdir.head("work").await);
    assert_eq!(query(&database, "SELECT storage FROM repositories"), "b");
    a.stop().await;
    b.stop().await;
}
