//! Git LFS on several nodes: objects lie on the storage node of their repository.

use serde_json::json;

use super::repositories::{Nodes, hello_web, login};
use super::storage_nodes::node;
use crate::harness::bucket::{Bucket, Fault};
use crate::harness::files::blobs;
use crate::harness::git::{GitWorkdir, repositories_in};
use crate::harness::lfs::{LfsClient, oid};
use crate::harness::{Process, s3, until};
use netbit::client::HttpClient;

const PATH: &str = "alice/hello/web";

fn at(node: &Process, user: &HttpClient) -> LfsClient {
    LfsClient::new(node.address(), PATH, Some(user))
}

#[actix_web::test]
async fn object_is_pushed_and_pulled_through_a_foreign_node() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    let alice = hello_web(&nodes.a, "private").await;
    let here = login(&nodes.b, "alice").await;
    let lfs = at(&nodes.b, &here);
    until(async || lfs.get("locks").await.status == 200).await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 241).unwrap()).collect();
    let id = lfs.push(&bytes).await;
    assert_eq!([0, 1].map(|node| blobs(nodes.folders[node].path()).len()), [1, 0]);
    let asked = lfs.asked("download", &id, bytes.len()).await;
    let href = asked["actions"]["download"]["href"].as_str().unwrap();
    assert!(href.starts_with(&format!("http://{}/", nodes.b.address())), "the address of the client: {href}");
    assert!(lfs.pull(&id, bytes.len()).await.bytes == bytes);
    assert!(at(&nodes.a, &alice).pull(&id, bytes.len()).await.bytes == bytes);
    let lock = lfs.lock("a").await;
    assert_eq!(at(&nodes.a, &alice).get("locks").await.json()["locks"][0]["id"], json!(lock));

    // Without the storage node: an error in the form of the client, to members only.
    nodes.a.kill();
    for refused in [
        lfs.batch("download", &[(&id, bytes.len())]).await,
        lfs.get(&format!("objects/{id}")).await,
        lfs.send(reqwest::Method::PUT, &format!("objects/{}", oid(b"x")), b"x".to_vec()).await,
    ] {
        assert_eq!(refused.status, 503, "{}", String::from_utf8_lossy(&refused.bytes));
        assert!(refused.json()["message"].as_str().unwrap().contains("the node a"), "{}", refused.json());
    }
    nodes.b.http.register("eve", crate::harness::PASSWORD).await.unwrap();
    let eve = login(&nodes.b, "eve").await;
    assert_eq!(at(&nodes.b, &eve).get(&format!("objects/{id}")).await.status, 404);
    nodes.b.stop().await;
}

/// A node of an earlier version deletes repositories without their objects, and removes bytes
/// without knowing them.
#[actix_web::test]
async fn objects_are_refused_beside_a_node_that_does_not_know_them() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let alice = hello_web(&nodes.a, "private").await;
    let lfs = at(&nodes.a, &alice);
    let id = lfs.push(b"before").await;
    nodes.query(
        "INSERT INTO nodes (name, number, address, instance, format, seen_at) \
         VALUES ('old', 77, '', 'x', 2, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + 3600000)",
    );
    until(async || lfs.batch("upload", &[]).await.status == 409).await;
    let refused = lfs.batch("upload", &[]).await.json();
    assert!(refused["message"].as_str().unwrap().contains("earlier version"), "{refused}");
    assert_eq!(lfs.post("locks", &json!({"path": "a"})).await.status, 409);
    assert_eq!(lfs.pull(&id, 6).await.bytes, b"before", "reading goes on");
    nodes.query("DELETE FROM nodes WHERE name = 'old'");
    until(async || lfs.batch("upload", &[]).await.status == 200).await;
    lfs.push(b"after").await;
    nodes.a.stop().await;
    nodes.b.stop().await;
}

/// The node of a deleted repository does not come back. Another node removes the rows.
#[actix_web::test]
async fn objects_of_an_ended_node_are_removed_with_their_repository() {
    let Some(mut nodes) = Nodes::start(&[("NETBIT_LIMITS__MAINTENANCE_MS", "50")]).await else { return };
    let alice = hello_web(&nodes.a, "private").await;
    at(&nodes.a, &alice).push(b"bytes").await;
    nodes.a.kill();
    let objects = || nodes.query("SELECT count(*) FROM lfs_objects");
    nodes.query("UPDATE repositories SET state = 'deleted'");
    assert_eq!(objects(), "1", "the node may come back");
    nodes.query("UPDATE nodes SET seen_at = 0 WHERE name = 'a'");
    until(async || objects() == "0").await;
    assert_eq!(nodes.query("SELECT lfs_bytes FROM repositories"), "0");
    nodes.b.stop().await;
}

/// Nodes that share repositories take them over without their objects, so they accept none.
#[actix_web::test]
async fn objects_are_refused_beside_shared_repositories() {
    let more = [("NETBIT_CLUSTER__SHARED_REPOSITORIES", "true")];
    let Some(nodes) = Nodes::start(&more).await else { return };
    let alice = hello_web(&nodes.a, "private").await;
    let lfs = at(&nodes.a, &alice);
    let id = oid(b"bytes");
    for refused in [
        lfs.batch("upload", &[(&id, 5)]).await,
        lfs.send(reqwest::Method::PUT, &format!("objects/{id}"), b"bytes".to_vec()).await,
    ] {
        assert_eq!(refused.status, 409, "{}", refused.json());
        let why = refused.json()["message"].as_str().unwrap().to_owned();
        assert!(why.contains("cluster.shared_repositories"), "{why}");
    }
    assert_eq!(lfs.batch("download", &[(&id, 5)]).await.status, 200);
    lfs.lock("a").await;
    assert!(blobs(nodes.folders[0].path()).is_empty());
    nodes.a.stop().await;
    nodes.b.stop().await;
}

/// Copies a folder of the data directory of the first node into that of the second.
fn copy_folder(nodes: &Nodes, folder: &str) {
    let [from, to] = [0, 1].map(|node: usize| nodes.folders[node].path().join(folder));
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg("-a").arg(from.join(".")).arg(to).status().unwrap().success());
}

/// The operator copies the repositories of a lost node without the objects. The command reports the
/// number, and the objects are served once they are copied or pushed again.
#[actix_web::test]
async fn replacement_of_a_node_reports_missing_objects() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    let alice = hello_web(&nodes.a, "private").await;
    let lfs = at(&nodes.a, &alice);
    let (first, second) = (lfs.push(b"first").await, lfs.push(b"second").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let url = super::repositories::url(&nodes.a, "alice");
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    nodes.a.kill();
    nodes.query("UPDATE nodes SET seen_at = 0 WHERE name = 'a'");
    copy_folder(&nodes, "repos");
    let to = nodes.folders[1].path().to_owned();
    let mut found = Vec::new();
    repositories_in(&to.join("repos"), &mut found);
    assert_eq!(found.len(), 1);
    let (said, done) = node(&to, &nodes.database, "b", &["replace", "a", "b"]);
    assert!(done && said.contains("2 objects of Git LFS are not in this data directory"), "{said}");
    let lfs = at(&nodes.b, &login(&nodes.b, "alice").await);
    let lost = lfs.asked("download", &first, 5).await;
    assert!(lost["error"]["message"].as_str().unwrap().contains("push --all"), "{lost}");
    lfs.push(b"first").await;
    copy_folder(&nodes, "files");
    for (id, bytes) in [(&first, &b"first"[..]), (&second, b"second")] {
        assert_eq!(lfs.pull(id, bytes.len()).await.bytes, bytes);
    }
    nodes.b.stop().await;
}

/// The machine of a node is lost with its objects, but not the bucket.
#[actix_web::test]
async fn replacement_of_a_node_copies_objects_in_a_bucket() {
    let bucket = Bucket::start();
    let variables = s3::variables(&bucket.endpoint, "team/netbit");
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let Some(mut nodes) = Nodes::start(&variables).await else { return };
    let alice = hello_web(&nodes.a, "private").await;
    let id = at(&nodes.a, &alice).push(b"object").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let url = super::repositories::url(&nodes.a, "alice");
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    nodes.a.kill();
    nodes.query("UPDATE nodes SET seen_at = 0 WHERE name = 'a'");
    copy_folder(&nodes, "repos");
    let to = nodes.folders[1].path().to_owned();
    // Without the bucket, nothing is taken over.
    bucket.fail(Fault::Unavailable);
    let (said, done) = node(&to, &nodes.database, "b", &["replace", "a", "b"]);
    assert!(!done && said.contains("the store of files"), "{said}");
    assert_eq!(nodes.query("SELECT storage FROM repositories"), "a");
    bucket.fail(Fault::None);
    let (said, done) = node(&to, &nodes.database, "b", &["replace", "a", "b"]);
    assert!(done && !said.contains("objects of Git LFS"), "{said}");
    let keys = bucket.blobs();
    let of = |node: &str| keys.iter().filter(|key| key.starts_with(&format!("team/netbit/{node}/"))).count();
    assert_eq!((of("a"), of("b")), (1, 1), "copied, and kept for an older database: {keys:?}");
    let lfs = at(&nodes.b, &login(&nodes.b, "alice").await);
    assert_eq!(lfs.pull(&id, 6).await.bytes, b"object");
    nodes.b.stop().await;
}

/// The first repository with an object that failed ended the replacement of a node.
#[actix_web::test]
async fn object_that_fails_keeps_its_own_repository_only() {
    let bucket = Bucket::start();
    let mut variables = s3::variables(&bucket.endpoint, "team/netbit");
    variables.push(("NETBIT_LIMITS__FILES_S3_RETRY_MS", "100".to_owned()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let Some(mut nodes) = Nodes::start(&variables).await else { return };
    let alice = hello_web(&nodes.a, "private").await;
    let spoiled = at(&nodes.a, &alice).push(b"spoiled").await;
    for name in ["second", "third"] {
        let path = "/api/projects/alice/hello/repos/create";
        alice.post(path, &json!({"name": name})).await.unwrap().success().unwrap();
        let path = format!("alice/hello/{name}");
        LfsClient::new(nodes.a.address(), &path, Some(&alice)).push(name.as_bytes()).await;
    }
    nodes.a.kill();
    nodes.query("UPDATE nodes SET seen_at = 0 WHERE name = 'a'");
    copy_folder(&nodes, "repos");
    let to = nodes.folders[1].path().to_owned();
    bucket.spoil(&spoiled);
    let (said, done) = node(&to, &nodes.database, "b", &["replace", "a", "b"]);
    assert!(!done && said.contains("the objects of Git LFS of 1 repositories cannot be copied"), "{said}");
    let of = |node: &str| nodes.query(&format!("SELECT count(*) FROM repositories WHERE storage = '{node}'"));
    assert_eq!((of("a"), of("b")), ("1".to_owned(), "2".to_owned()));
    bucket.mend();
    let (said, done) = node(&to, &nodes.database, "b", &["replace", "a", "b"]);
    assert!(done && of("b") == "3", "{said}");
    let lfs = at(&nodes.b, &login(&nodes.b, "alice").await);
    assert_eq!(lfs.pull(&spoiled, 7).await.bytes, b"spoiled");
    nodes.b.stop().await;
}
