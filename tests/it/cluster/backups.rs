//! Backups of several nodes: each has the repositories that its node stores.

use std::path::Path;
use std::process::Command;

use super::repositories::{Nodes, environment, hello_web, login};
use crate::harness::command;
use crate::harness::git::repositories_in;

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
async fn missing_directory_of_an_own_repository_fails_the_backup() {
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
    assert!(!done && said.contains("repository 1 (web) is stored on this node"), "{said}");
    assert!(!outside.path().join("without/manifest.json").exists());
    let (said, done) = doctor(0).await;
    assert!(
        !done && said.contains("repository 1 (web): the repository's directory does not exist"),
        "{said}"
    );
    let (said, done) = doctor(1).await;
    assert!(done, "the other node is whole: {said}");
    std::fs::rename(outside.path().join("lost.git"), &found[0]).unwrap();
    nodes.a.stop().await;
    nodes.b.stop().await;
}
