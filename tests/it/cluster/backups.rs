//! Backups of several nodes: each has the repositories that its node stores.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::repositories::{Nodes, environment, hello_web, login, push_events, query, url};
use crate::harness::git::{GitWorkdir, repositories_in};
use crate::harness::{Process, command, postgres, until};

/// Runs a command as a node, beside its server; returns the output and whether it succeeded.
async fn netbit(folder: &Path, database: &str, name: &str, arguments: &[&str]) -> (String, bool) {
    let mut netbit = Command::new(command(folder).get_program());
    netbit.args(arguments).arg("--data-dir").arg(folder).envs(environment(database, name));
    let output = tokio::task::spawn_blocking(move || netbit.output()).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.success())
}

/// A missing directory counted as a repository of another node: the backup succeeded without it.
#[actix_web::test]
async fn missing_directory_of_an_own_repository_is_named() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "private").await;
    let at_b = login(&nodes.b, "alice").await;
    let body = serde_json::json!({"name": "two"});
    at_b.post("/api/projects/alice/hello/repos/create", &body).await.unwrap().success().unwrap();
    assert_eq!(nodes.on_disk(), [1, 1]);
    let outside = tempfile::tempdir().unwrap();
    let at = |node: usize| (nodes.folders[node].path(), ["a", "b"][node]);
    let backup = async |node: usize, target: &str| {
        let (folder, name) = at(node);
        let target = outside.path().join(target);
        netbit(folder, &nodes.database, name, &["backup", target.to_str().unwrap()]).await
    };
    let doctor = async |node: usize| {
        let (folder, name) = at(node);
        netbit(folder, &nodes.database, name, &["doctor"]).await
    };
    for (node, target) in [(0, "a"), (1, "b")] {
        let (said, done) = backup(node, target).await;
        assert!(done && said.contains("1 repository is on other nodes"), "{said}");
        let (said, done) = doctor(node).await;
        assert!(done && said.contains("(1 repository, 1 on other nodes)"), "{said}");
    }

    let mut found = Vec::new();
    repositories_in(&nodes.folders[0].path().join("repos"), &mut found);
    std::fs::rename(&found[0], outside.path().join("lost.git")).unwrap();
    let (said, done) = backup(0, "without").await;
    assert!(!done && said.contains("repository 1 (web) had no directory"), "{said}");
    assert!(said.contains(" 0 repositories, up to commit"), "{said}");
    assert!(outside.path().join("without/manifest.json").exists());
    let (said, done) = doctor(0).await;
    assert!(
        !done && said.contains("repository 1 (web): the repository's directory does not exist"),
        "{said}"
    );
    let (said, done) = doctor(1).await;
    assert!(done, "the other node is whole: {said}");
    // Without the settings of the cluster, the advice was to delete the repositories of the others.
    let alone = async |arguments: &[&str]| {
        let mut alone = Command::new(command(nodes.folders[1].path()).get_program());
        alone.args(arguments).arg("--data-dir").arg(nodes.folders[1].path());
        alone.envs(environment(&nodes.database, "b")).env("NETBIT_CLUSTER__ENABLED", "false");
        let output = tokio::task::spawn_blocking(move || alone.output()).await.unwrap().unwrap();
        (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.success())
    };
    let target = outside.path().join("refused");
    for arguments in [&["doctor"][..], &["backup", target.to_str().unwrap()]] {
        let (said, done) = alone(arguments).await;
        assert!(!done && said.contains("other nodes use this database: set cluster.enabled"), "{said}");
    }
    assert!(!target.exists());
    std::fs::rename(outside.path().join("lost.git"), &found[0]).unwrap();
    nodes.a.stop().await;
    // A server alone with the database has all repositories, or has lost them.
    let (said, done) = alone(&["doctor"]).await;
    assert!(!done && said.contains("repository 1 (web)"), "{said}");
    nodes.b.stop().await;
}

/// The documentation restored the database of any backup: pushes to the repositories of another
/// node were then missing if its backup was older.
#[actix_web::test]
async fn restored_repositories_are_not_older_than_the_database() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.b, "private").await;
    let outside = tempfile::tempdir().unwrap();
    let [of_a, of_b] = ["a", "b"].map(|name| outside.path().join(name).to_str().unwrap().to_owned());
    let [a, b] = nodes.folders.each_ref().map(tempfile::TempDir::path);
    let (said, done) = netbit(a, &nodes.database, "a", &["backup", &of_a]).await;
    assert!(done, "{said}");
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url(&nodes.b, "alice"), "main"]).await.ok();
    let (said, done) = netbit(b, &nodes.database, "b", &["backup", &of_b]).await;
    assert!(done, "{said}");
    nodes.a.stop().await;
    nodes.b.stop().await;

    let new = || outside.path().join(uuid::Uuid::now_v7().to_string());
    let new_database = || {
        let place = tempfile::tempdir().unwrap();
        (postgres::url(place.path()).unwrap(), place)
    };
    // The newest database, and older repositories next to it.
    let (newest, _place) = new_database();
    let (said, done) = netbit(&new(), &newest, "b", &["restore", &of_b]).await;
    assert!(done && said.contains("login ended") && said.contains("up to commit"), "{said}");
    let refused = new();
    let (said, done) = netbit(&refused, &newest, "a", &["restore", &of_a, "--repositories-only"]).await;
    assert!(!done && said.contains("the repositories lack pushes that the database names"), "{said}");
    assert!(!refused.exists(), "nothing was restored");
    let older = ["restore", &of_a, "--repositories-only", "--allow-older"];
    let (said, done) = netbit(&new(), &newest, "a", &older).await;
    assert!(done && said.contains("was not compared") && !said.contains("ended"), "{said}");

    // The oldest database, and newer repositories.
    let (oldest, _place) = new_database();
    let (said, done) = netbit(&new(), &oldest, "b", &["restore", &of_b, "--repositories-only"]).await;
    assert!(!done && said.contains("has no database yet"), "{said}");
    let (at_a, at_b) = (new(), new());
    let (said, done) = netbit(&at_a, &oldest, "a", &["restore", &of_a]).await;
    assert!(done, "{said}");
    let (said, done) = netbit(&at_b, &oldest, "b", &["restore", &of_b, "--repositories-only"]).await;
    assert!(done && said.contains("it is up to commit") && !said.contains("ended"), "{said}");
    for (folder, name) in [(&at_a, "a"), (&at_b, "b")] {
        let (said, done) = netbit(folder, &oldest, name, &["doctor"]).await;
        assert!(done, "{said}");
    }
    let server = Process::with(&at_b, &environment(&oldest, "b")).await;
    let clone = ["clone", "--quiet", &url(&server, "alice"), "clone"];
    workdir.git("", &clone).await.ok();
    assert_eq!(workdir.head("clone").await, workdir.head("work").await);
    assert_eq!(push_events(&login(&server, "alice").await).await, 0, "the event was lost with the database");
    server.stop().await;
}

/// The steps of docs/CLUSTER.md from several nodes back to one machine.
#[actix_web::test]
async fn cluster_goes_back_to_one_machine_with_all_repositories() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "private").await;
    let at_b = login(&nodes.b, "alice").await;
    let body = serde_json::json!({"name": "two"});
    at_b.post("/api/projects/alice/hello/repos/create", &body).await.unwrap().success().unwrap();
    let token = at_b.token().unwrap().to_owned();
    nodes.a.stop().await;
    nodes.b.stop().await;
    let (outside, one) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (folder, name) in std::iter::zip(&nodes.folders, ["a", "b"]) {
        let target = outside.path().join(name);
        let (said, done) =
            netbit(folder.path(), &nodes.database, name, &["backup", target.to_str().unwrap()]).await;
        assert!(done, "{said}");
        let copied = Command::new("cp").arg("-a").arg(target.join("repos")).arg(one.path()).status().unwrap();
        assert!(copied.success());
    }
    let alone = |arguments: &[&str]| {
        let mut netbit = Command::new(command(one.path()).get_program());
        let output = netbit.args(arguments).env_remove("NETBIT_DATABASE").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let to = one.path().to_str().unwrap();
    alone(&["database", "copy", "--from", &nodes.database, "--to", to, "--keep-logins"]);
    // The documentation copied the key of any node, and only that of the first is in use.
    let key = one.path().join("secret.key");
    let of_nodes = query(&nodes.database, "SELECT value FROM secrets WHERE name = 'signing'");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), of_nodes);
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    alone(&["doctor", "--data-dir", to]);
    let server = Process::with(one.path(), &[("NETBIT_DATABASE", "")]).await;
    let alice = server.http.with_token(token);
    for name in ["web", "two"] {
        let answer = alice.get(&format!("/api/projects/alice/hello/repos/{name}/branches")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    server.stop().await;
}

/// A node that started on the source while it was copied, and went on to be used, lost its writes:
/// the copy counted as its successor.
#[actix_web::test]
async fn copy_fails_when_a_node_starts_on_its_source() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "private").await;
    let Nodes { a, b, folders, database } = nodes;
    a.stop().await;
    b.stop().await;
    let outside = tempfile::tempdir().unwrap();
    let copy = |target: &Path, pause: &str| {
        let mut netbit = Command::new(command(target).get_program());
        netbit.args(["database", "copy", "--keep-logins", "--from", &database, "--to"]).arg(target);
        netbit.env_remove("NETBIT_DATABASE").env("FAILPOINTS", pause);
        tokio::task::spawn_blocking(move || netbit.output().unwrap())
    };
    // One node runs at the end of the copy, and another one has stopped by then.
    for stops in [false, true] {
        let target = outside.path().join(if stops { "stopped" } else { "running" });
        let has_run = outside.path().join(if stops { "ran-and-stopped" } else { "runs" });
        let copying = copy(&target, &format!("copy.end=return({})", has_run.display()));
        // A node that starts earlier, and stops, is in the copy.
        let mut reached = has_run.clone();
        reached.add_extension("reached");
        until(async || reached.exists()).await;
        let mut node = Some(Process::with(folders[0].path(), &environment(&database, "a")).await);
        if stops {
            node.take().unwrap().stop().await;
        }
        std::fs::write(&has_run, "").unwrap();
        let output = copying.await.unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success() && said.contains("node a has used the source meanwhile"), "{said}");
        assert!(!target.join("netbit.db").exists(), "the copy is not complete");
        if let Some(node) = node {
            node.stop().await;
        }
        let output = copy(&target, "").await.unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(target.join("netbit.db").exists());
    }
}

/// A copy from PostgreSQL to PostgreSQL left the key of tokens behind: the first node then made its
/// own.
#[actix_web::test]
async fn copy_between_databases_keeps_the_key_of_tokens() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let alice = hello_web(&nodes.a, "private").await;
    let Nodes { a, b, folders, database } = nodes;
    a.stop().await;
    b.stop().await;
    let place = tempfile::tempdir().unwrap();
    let target = postgres::url(place.path()).unwrap();
    let copy = ["database", "copy", "--from", &database, "--to", &target, "--keep-logins"];
    let mut netbit = Command::new(command(place.path()).get_program());
    let output = netbit.args(copy).env_remove("NETBIT_DATABASE").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // The node that starts first was not the first in the earlier database.
    let b = Process::with(folders[1].path(), &environment(&target, "b")).await;
    let with_token = b.http.with_token(alice.token().unwrap());
    assert_eq!(with_token.get("/api/users/me").await.unwrap().status, 200);
    b.stop().await;
}
