//! All nodes of a database sign tokens with one key: a node with another one does not start.

use std::fs::{File, read_to_string};
use std::path::Path;

use super::repositories::{Nodes, environment, query};
use crate::harness::{PASSWORD, Process, command, postgres};

const FIRST: &str = "the first secret, which has 32 bytes and more";
const SECOND: &str = "the second secret, which has 32 bytes and more";

/// Starts a node that must not start, and returns what it wrote to its log.
async fn refusal(folder: &Path, environment: &[(&str, &str)]) -> String {
    let log = folder.join("log");
    let mut command = command(folder);
    command.envs(environment.iter().copied()).stderr(File::create(&log).unwrap());
    let status = Process::spawn(command).await.err().expect("the node must not start");
    assert_eq!(status.code(), Some(1));
    read_to_string(log).unwrap()
}

fn with_secret<'a>(database: &'a str, name: &'a str, secret: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let mut environment = environment(database, name).to_vec();
    environment.extend(secret.map(|secret| ("NETBIT_AUTH__SECRET", secret)));
    environment
}

/// A node with another secret joined silently: it refused the tokens of all other nodes.
#[actix_web::test]
async fn node_with_another_secret_does_not_start() {
    let Some(nodes) = Nodes::start(&[("NETBIT_AUTH__SECRET", FIRST)]).await else { return };
    let Nodes { a, b, folders, database } = nodes;
    a.http.register("alice", PASSWORD).await.unwrap();
    let token = a.http.login("alice", PASSWORD).await.unwrap().token;
    b.stop().await;
    let of_b = |secret| with_secret(&database, "b", secret);
    let second = folders[1].path();
    let log = refusal(second, &of_b(Some(SECOND))).await;
    assert!(log.contains("auth.secret is another key than the one with which the nodes"), "{log}");
    let log = refusal(second, &of_b(None)).await;
    assert!(log.contains("auth.secret is not set, and the database has another key"), "{log}");
    // A second process of a name that is refused does not end the first.
    refusal(tempfile::tempdir().unwrap().path(), &with_secret(&database, "a", Some(SECOND))).await;
    let b = Process::with(second, &of_b(Some(FIRST))).await;
    assert_eq!(b.http.with_token(token).get("/api/users/me").await.unwrap().status, 200);
    let stored = query(&database, "SELECT string_agg(value, ' ') FROM secrets");
    assert!(!stored.contains(FIRST) && !stored.contains(SECOND) && !stored.is_empty(), "{stored}");
    a.stop().await;
    b.stop().await;

    // The documented way to another key.
    refusal(folders[0].path(), &with_secret(&database, "a", Some(SECOND))).await;
    query(&database, "DELETE FROM secrets");
    let a = Process::with(folders[0].path(), &with_secret(&database, "a", Some(SECOND))).await;
    let log = refusal(second, &of_b(Some(FIRST))).await;
    assert!(log.contains("docs/CLUSTER.md"), "{log}");
    let b = Process::with(second, &of_b(Some(SECOND))).await;
    let token = b.http.login("alice", PASSWORD).await.unwrap().token;
    assert_eq!(a.http.with_token(token).get("/api/users/me").await.unwrap().status, 200);
    a.stop().await;
    b.stop().await;
}

/// A server that is alone with its database gets another key with another `auth.secret`.
#[actix_web::test]
async fn server_without_other_nodes_starts_with_another_secret() {
    if !postgres::is_used() {
        return super::nodes::skip("needs PostgreSQL");
    }
    let place = tempfile::tempdir().unwrap();
    let start = async |secret: Option<&str>| {
        let secret: Vec<_> = secret.map(|secret| ("NETBIT_AUTH__SECRET", secret)).into_iter().collect();
        let server = Process::with(place.path(), &secret).await;
        drop(server.http.register("alice", PASSWORD).await);
        let token = server.http.login("alice", PASSWORD).await.unwrap().token;
        (server, token)
    };
    let (server, first) = start(Some(FIRST)).await;
    server.stop().await;
    let (server, second) = start(None).await;
    let status = async |token: &str| server.http.with_token(token).get("/api/users/me").await.unwrap().status;
    assert_eq!((status(&first).await, status(&second).await), (401, 200));
    server.stop().await;
    let (server, _) = start(Some(FIRST)).await;
    assert_eq!(server.http.with_token(first).get("/api/users/me").await.unwrap().status, 200);
    server.stop().await;
}
