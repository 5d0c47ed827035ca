//! Files in chats on several nodes: each node stores what it received, and any node serves it.

use std::collections::BTreeSet;
use std::time::Duration;

use image::ImageFormat;
use netbit::client::TcpClient;
use netbit::domain::ids::ChatId;
use reqwest::Method;
use serde_json::json;

use super::repositories::{Nodes, login};
use crate::avatar_changes::next_change;
use crate::harness::bucket::Bucket;
use crate::harness::files::{FileClient, blobs, staged, thumbnails};
use crate::harness::lfs::oid;
use crate::harness::pictures::{picture, written};
use crate::harness::{PASSWORD, s3, soon, until};

/// Registers alice and bob at `a`, with a chat; returns the clients of alice at `a` and bob at `b`.
async fn two_people(nodes: &Nodes) -> (FileClient, FileClient, ChatId) {
    for name in ["alice", "bob"] {
        nodes.a.http.register(name, PASSWORD).await.unwrap();
    }
    let alice = login(&nodes.a, "alice").await;
    let chat = alice.create_group("team", &["bob"]).await.unwrap();
    let bob = login(&nodes.b, "bob").await;
    until(async || bob.get(&format!("/api/chats/{chat}")).await.unwrap().status == 200).await;
    (FileClient::new(nodes.a.address(), &alice), FileClient::new(nodes.b.address(), &bob), chat)
}

#[actix_web::test]
async fn file_is_uploaded_and_read_through_a_foreign_node() {
    if s3::skips("it is about the disks of the nodes") {
        return;
    }
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let (alice, bob, chat) = two_people(&nodes).await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 241).unwrap()).collect();
    let (file, message) = alice.share(chat, "big", &bytes).await;
    let received = bob.get(file).await;
    assert_eq!((received.status, received.bytes == bytes), (200, true));
    let part = bob.get_with(file, &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status, part.bytes), (206, bytes[10..20].to_vec()));
    assert_eq!([0, 1].map(|node| blobs(nodes.folders[node].path()).len()), [1, 0]);

    // Announced at `b`, sent in parts over both nodes. Other bytes: a node keeps a blob while any
    // file has its hash.
    let bytes: Vec<u8> = bytes.iter().rev().copied().collect();
    let id = bob.announce(chat, "parts", bytes.len()).await;
    let of_bob = login(&nodes.a, "bob").await;
    let bob_at_a = FileClient::new(nodes.a.address(), &of_bob);
    until(async || bob_at_a.offset(id).await == 0).await;
    assert_eq!(bob_at_a.put_part(id, 0, &bytes[..100_000], bytes.len()).await.status, 202);
    assert_eq!([0, 1].map(|node| staged(nodes.folders[node].path()).len()), [0, 1]);
    assert_eq!(bob.put_part(id, 100_000, &bytes[100_000..], bytes.len()).await.status, 200);
    assert_eq!([0, 1].map(|node| blobs(nodes.folders[node].path()).len()), [1, 1]);

    // Each node removes its own bytes.
    let path = format!("/api/chats/{chat}/messages/{message}");
    alice.send(reqwest::Method::DELETE, &path, &[], Vec::new()).await;
    until(async || blobs(nodes.folders[0].path()).is_empty()).await;
    assert_eq!(blobs(nodes.folders[1].path()).len(), 1);
    nodes.a.stop().await;
    nodes.b.stop().await;
}

/// The node that has the bytes makes the thumbnail, and no other stores it.
#[actix_web::test]
async fn thumbnail_is_served_through_a_foreign_node() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let (alice, bob, chat) = two_people(&nodes).await;
    let bytes = written(&picture(600, 300), image::ImageFormat::Png);
    let (file, message) = alice.share(chat, "x.png", &bytes).await;
    let made = bob.thumbnail(file, 360).await;
    assert_eq!((made.status, made.header("content-type")), (200, "image/jpeg"));
    let small = image::load_from_memory(&made.bytes).unwrap();
    assert_eq!((small.width(), small.height()), (360, 180));
    assert_eq!(alice.thumbnail(file, 360).await.bytes, made.bytes);
    let known = [("if-none-match", made.header("etag"))];
    let path = format!("/api/files/{file}/thumbnail?size=360");
    assert_eq!(bob.send(reqwest::Method::GET, &path, &known, Vec::new()).await.status, 304);
    assert_eq!([0, 1].map(|node| thumbnails(nodes.folders[node].path()).len()), [1, 0]);
    let path = format!("/api/chats/{chat}/messages/{message}");
    alice.send(reqwest::Method::DELETE, &path, &[], Vec::new()).await;
    until(async || thumbnails(nodes.folders[0].path()).is_empty()).await;
    nodes.a.stop().await;
    nodes.b.stop().await;
}

#[actix_web::test]
async fn thumbnails_and_avatars_are_seen_at_a_foreign_node() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let (alice, bob, chat) = two_people(&nodes).await;
    let bytes = written(&picture(600, 300), ImageFormat::Png);
    let (file, _) = alice.share(chat, "x.png", &bytes).await;
    let (made, own) = (bob.thumbnail(file, 360).await, alice.thumbnail(file, 360).await);
    assert_eq!((made.status, own.status, made.bytes == own.bytes), (200, 200, true));
    assert_eq!([0, 1].map(|node| thumbnails(nodes.folders[node].path()).len()), [1, 0]);

    let token = nodes.b.http.login("bob", PASSWORD).await.unwrap().token;
    let (mut session, _) = soon(TcpClient::open(nodes.b.tcp(), &token)).await.unwrap();
    let set = alice.send(Method::PUT, "/api/users/me/avatar", &[], bytes.clone()).await;
    assert_eq!(set.status, 204);
    let pushed = next_change(&mut session).await;
    assert_eq!((pushed.packet_type.as_str(), pushed.people[0].username.as_str()), ("Users", "alice"));
    assert!(pushed.people[0].avatar.is_some());
    let of_chat = format!("/api/chats/{chat}/avatar");
    assert_eq!(alice.send(Method::PUT, &of_chat, &[], bytes).await.status, 204);
    let pushed = next_change(&mut session).await;
    assert_eq!((pushed.chat_id, pushed.avatar.is_some()), (Some(chat), true));
    assert_eq!(alice.send(Method::DELETE, &of_chat, &[], Vec::new()).await.status, 204);
    let pushed = next_change(&mut session).await;
    assert_eq!((pushed.chat_id, pushed.avatar), (Some(chat), None));
    let avatar = async || bob.send(Method::GET, "/api/users/alice/avatar", &[], Vec::new()).await;
    until(async || avatar().await.status == 200).await;
    // The picture is read from the database, and the user from memory, which follows.
    let shown = async || bob.send(Method::GET, "/api/users/alice", &[], Vec::new()).await.json();
    until(async || shown().await["avatar"].is_string()).await;
    nodes.a.stop().await;
    nodes.b.stop().await;
}

#[actix_web::test]
async fn node_with_a_copy_serves_files_of_a_node_that_is_down() {
    if s3::skips("it is about the disks of the nodes") {
        return;
    }
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    let (alice, bob, chat) = two_people(&nodes).await;
    let (file, _) = alice.share(chat, "x", b"the bytes").await;
    let eve = {
        nodes.b.http.register("eve", PASSWORD).await.unwrap();
        FileClient::new(nodes.b.address(), &login(&nodes.b, "eve").await)
    };
    nodes.a.kill();
    let refused = bob.get(file).await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("overloaded")));
    assert_eq!(eve.get(file).await.status, 404, "an outsider learns nothing");
    let [blob] = &blobs(nodes.folders[0].path())[..] else { panic!("one blob") };
    let below = blob.strip_prefix(nodes.folders[0].path()).unwrap();
    let copy = nodes.folders[1].path().join(below);
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::copy(blob, &copy).unwrap();
    assert_eq!(bob.get(file).await.bytes, b"the bytes");
    nodes.b.stop().await;
}

/// Nodes of an earlier version delete messages without releasing files.
#[actix_web::test]
async fn files_are_refused_beside_a_node_that_does_not_know_them() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let (alice, _, chat) = two_people(&nodes).await;
    let file = alice.upload(chat, "x", b"bytes").await;
    nodes.query(
        "INSERT INTO nodes (name, number, address, instance, format, seen_at) \
         VALUES ('old', 77, '', 'x', 1, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + 3600000)",
    );
    let path = format!("/api/chats/{chat}/files");
    let announce = async || {
        let body = json!({"name": "y", "size": 1}).to_string().into_bytes();
        alice.send(reqwest::Method::POST, &path, &[("content-type", "application/json")], body).await
    };
    // Slowly, because of the rate of messages.
    until(async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        alice.post(chat, &json!({"files": [999_999]})).await.status == 409
    })
    .await;
    let refused = announce().await.json()["detail"].as_str().unwrap().to_owned();
    assert!(refused.contains("earlier version"), "{refused}");
    assert_eq!(alice.post(chat, &json!({"files": [file]})).await.status, 409);
    assert_eq!(alice.post(chat, &json!({"content": "without files"})).await.status, 201);
    nodes.query("DELETE FROM nodes WHERE name = 'old'");
    until(async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        announce().await.status == 201
    })
    .await;
    assert_eq!(alice.post(chat, &json!({"files": [file]})).await.status, 201);
    nodes.a.stop().await;
    nodes.b.stop().await;
}

/// Nodes of an earlier version write users, projects and chats without the version of their avatar.
#[actix_web::test]
async fn avatars_are_refused_beside_a_node_that_does_not_know_them() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let (alice, _, chat) = two_people(&nodes).await;
    let picture = written(&picture(300, 300), ImageFormat::Png);
    let path = "/api/users/me/avatar";
    assert_eq!(alice.send(Method::PUT, path, &[], picture.clone()).await.status, 204);
    nodes.query(
        "INSERT INTO nodes (name, number, address, instance, format, seen_at) \
         VALUES ('old', 77, '', 'x', 2, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + 3600000)",
    );
    let remove = async || alice.send(Method::DELETE, path, &[], Vec::new()).await;
    until(async || remove().await.status == 409).await;
    for path in [path, &format!("/api/chats/{chat}/avatar")] {
        let refused = alice.send(Method::PUT, path, &[], picture.clone()).await;
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!((refused.status, detail.contains("does not know avatars")), (409, true), "{detail}");
    }
    alice.upload(chat, "x", b"files are known since format 2").await;
    nodes.query("DELETE FROM nodes WHERE name = 'old'");
    until(async || remove().await.status == 204).await;
    assert_eq!(alice.send(Method::PUT, path, &[], picture).await.status, 204);
    nodes.a.stop().await;
    nodes.b.stop().await;
}

#[actix_web::test]
async fn files_without_a_node_and_of_a_replaced_one_are_adopted() {
    if s3::skips("it is about the disks of the nodes") {
        return;
    }
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    let (alice, bob, chat) = two_people(&nodes).await;
    let (file, _) = alice.share(chat, "x", b"the bytes").await;
    let node_of = |nodes: &Nodes| nodes.query("SELECT coalesce(node, '') FROM files");
    // As a server wrote it that was alone, or on SQLite.
    nodes.a.kill();
    nodes.query("UPDATE files SET node = NULL");
    nodes.a = nodes.start_a().await;
    assert_eq!(node_of(&nodes), "a");
    assert_eq!(bob.get(file).await.bytes, b"the bytes");

    nodes.a.kill();
    nodes.query("UPDATE nodes SET seen_at = 0 WHERE name = 'a'");
    let (from, to) = (nodes.folders[0].path().to_owned(), nodes.folders[1].path().to_owned());
    let replace = || {
        let (said, done) = super::storage_nodes::node(&to, &nodes.database, "b", &["replace", "a", "b"]);
        assert!(done, "{said}");
    };
    replace();
    assert_eq!(node_of(&nodes), "a", "its bytes are not here");
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg("-a").arg(from.join("files/.")).arg(to.join("files")).status().unwrap().success());
    replace();
    assert_eq!(node_of(&nodes), "b");
    assert_eq!(bob.get(file).await.bytes, b"the bytes");
    nodes.b.stop().await;
}

/// The machine of a node is lost, and its disk too: with a bucket, its files are not.
#[actix_web::test]
async fn nodes_share_a_bucket_and_replace_a_lost_node() {
    let bucket = Bucket::start();
    let variables = s3::variables(&bucket.endpoint, "team/netbit");
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let Some(mut nodes) = Nodes::start(&variables).await else { return };
    let (alice, bob, chat) = two_people(&nodes).await;
    let (file, _) = alice.share(chat, "x", b"the bytes").await;
    nodes.a.kill();
    assert_eq!(bob.get(file).await.bytes, b"the bytes", "the bytes of the lost node");
    nodes.query("UPDATE nodes SET seen_at = 0 WHERE name = 'a'");
    let to = nodes.folders[1].path().to_owned();
    let (printed, done) = super::storage_nodes::node(&to, &nodes.database, "b", &["replace", "a", "b"]);
    assert!(done, "{printed}");
    assert_eq!(nodes.query("SELECT coalesce(node, '') FROM files"), "b");
    let keys = bucket.blobs();
    let of = |node: &str| keys.iter().filter(|key| key.starts_with(&format!("team/netbit/{node}/"))).count();
    assert_eq!((of("a"), of("b")), (1, 1), "copied, and kept for an older database: {keys:?}");
    assert_eq!(bob.get(file).await.bytes, b"the bytes");
    nodes.b.stop().await;
}

/// Shares files at the node a of a cluster with a bucket, and kills the node.
async fn lost_node(bucket: &Bucket, count: u8) -> Option<(Nodes, FileClient, Vec<i64>)> {
    let mut variables = s3::variables(&bucket.endpoint, "team/netbit");
    variables.push(("NETBIT_LIMITS__FILES_S3_RETRY_MS", "100".to_owned()));
    variables.push(("NETBIT_LIMITS__FILES_S3_RETRIES", "1".to_owned()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut nodes = Nodes::start(&variables).await?;
    let (alice, bob, chat) = two_people(&nodes).await;
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(alice.share(chat, "x", &[n]).await.0);
    }
    nodes.a.kill();
    nodes.query("UPDATE nodes SET seen_at = 0 WHERE name = 'a'");
    Some((nodes, bob, ids))
}

fn replace(nodes: &Nodes) -> String {
    let to = nodes.folders[1].path();
    let (said, done) = super::storage_nodes::node(to, &nodes.database, "b", &["replace", "a", "b"]);
    assert!(done, "{said}");
    nodes.query("SELECT count(*) FROM files WHERE node = 'b'")
}

/// The first object that failed ended the replacement of a node.
#[actix_web::test]
async fn object_that_fails_does_not_end_the_replacement_of_a_node() {
    let bucket = Bucket::start();
    let Some((nodes, bob, ids)) = lost_node(&bucket, 20).await else { return };
    bucket.spoil(&oid(&[3]));
    bucket.spoil(&oid(&[11]));
    assert_eq!(replace(&nodes), "18");
    bucket.mend();
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(bob.get(*id).await.bytes, [u8::try_from(n).unwrap()], "readable, at either node");
    }
    assert_eq!(replace(&nodes), "20");
    nodes.b.stop().await;
}

#[actix_web::test]
async fn replacement_of_a_node_ends_when_the_store_is_away() {
    let bucket = Bucket::start();
    let Some((nodes, bob, ids)) = lost_node(&bucket, 60).await else { return };
    // The test of the store, which comes first, succeeds.
    bucket.spoil("team/netbit/a/");
    let before = bucket.requests().len();
    assert_eq!(replace(&nodes), "0");
    let asked: BTreeSet<_> =
        bucket.requests()[before..].iter().filter(|request| request.starts_with("PUT")).cloned().collect();
    assert!(asked.len() < ids.len() / 2, "not once for each file: {}", asked.len());
    bucket.mend();
    assert_eq!(bob.get(ids[0]).await.bytes, [0]);
    assert_eq!(replace(&nodes), "60");
    nodes.b.stop().await;
}

/// A move without the name of the node had stored objects below the key of a server without nodes.
#[actix_web::test]
async fn objects_of_a_server_without_nodes_are_taken_over() {
    let bucket = Bucket::start();
    let Some((nodes, bob, ids)) = lost_node(&bucket, 2).await else { return };
    bucket.rename("team/netbit/a/", "team/netbit/local/");
    assert_eq!(replace(&nodes), "2");
    assert_eq!(bob.get(ids[1]).await.bytes, [1]);
    nodes.b.stop().await;
}
