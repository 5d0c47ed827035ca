//! Uploads: whole, in parts, interrupted, refused.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::files_of;
use crate::harness::files::{FileClient, blobs, staged, staged_path};
use crate::harness::{PASSWORD, Process, TestServer, assert_problem, database, eventually, soon, until};

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect()
}

fn staged_bytes(data_dir: &std::path::Path, id: i64) -> u64 {
    let staged = staged_path(data_dir, id).and_then(|path| std::fs::metadata(path).ok());
    staged.map_or(0, |file| file.len())
}

#[actix_web::test]
async fn request_of_another_size_keeps_the_bytes_so_far() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (files, all) = (files_of(&server, &alice), bytes(1_000));
    let id = files.announce(chat, "x", all.len()).await;
    assert_eq!(files.put_part(id, 0, &all[..400], all.len()).await.status, 202);
    for other in [&all[..999], &[&all[..], b"x"].concat()] {
        let refused = files.put(id, other).await;
        assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("conflict")));
    }
    let path = format!("/api/files/{id}/upload");
    let range = [("content-range", "bytes 0-9/1000")];
    let differ = files.send(Method::PUT, &path, &range, all[..5].to_vec()).await;
    assert_eq!(differ.status, 400, "{}", differ.json());
    assert_eq!(files.offset(id).await, 400);
    assert_eq!(files.put_part(id, 400, &all[400..], all.len()).await.status, 200);
    assert!(files.get(id).await.bytes == all);
    server.stop().await;
}

/// A staged file of an earlier database with the same id became a part of another file.
#[actix_web::test]
async fn staged_bytes_of_another_row_are_not_continued() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let id = files.announce(chat, "x", 8).await;
    std::fs::write(server.path().join(format!("files/uploads/{id}-1")), "foreign").unwrap();
    assert_eq!(files.offset(id).await, 0);
    assert_eq!(files.put(id, b"my bytes").await.status, 200);
    assert_eq!(files.get(id).await.bytes, b"my bytes");
    server.stop().await;
}

#[actix_web::test]
async fn limit_of_all_files_counts_all_users() {
    let server = TestServer::with_limits(|limits| {
        limits.files_server_bytes = 10_000;
        limits.maintenance_ms = 50;
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let path = format!("/api/chats/{chat}/files");
    let body = json!({"name": "x", "size": 5_000});
    let first = alice.post(&path, body.clone()).await;
    assert_eq!(first.status, 201);
    assert_problem(&bob.post(&path, json!({"name": "x", "size": 5_001})).await, 413, "too_large");
    assert_eq!(bob.post(&path, body.clone()).await.status, 201);
    assert_problem(&bob.post(&path, body.clone()).await, 413, "too_large");
    assert_eq!(alice.delete(&format!("/api/files/{}", first.body["id"])).await.status, 204);
    eventually(async || Some(bob.post(&path, body.clone()).await).filter(|made| made.status == 201)).await;
    let counted = "SELECT count(*) AS value FROM file_usage";
    assert_eq!(database::reader(server.path()).integer(counted), 1, "no rows of 0 bytes");
    server.stop().await;
}

#[actix_web::test]
async fn upload_arrives_in_parts_at_its_offset() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (files, all) = (files_of(&server, &alice), bytes(700_000));
    let id = files.announce(chat, "big", all.len()).await;
    assert_eq!(files.offset(id).await, 0);
    let first = files.put_part(id, 0, &all[..300_000], all.len()).await;
    assert_eq!((first.status, first.header("upload-offset")), (202, "300000"));
    assert_eq!(files.offset(id).await, 300_000);
    for at in [299_999, 300_001] {
        let refused = files.put_part(id, at, &all[at..400_000], all.len()).await;
        assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("conflict")), "{at}");
    }
    let other_size = files.put_part(id, 300_000, &all[300_000..300_010], 5).await;
    assert_eq!(other_size.status, 409);
    let beyond = files.put_part(id, 300_000, &vec![0; 400_001], all.len()).await;
    assert_eq!(beyond.status, 413, "{}", beyond.json());
    let invalid = files
        .send(Method::PUT, &format!("/api/files/{id}/upload"), &[("content-range", "lines 1-2/3")], vec![1])
        .await;
    assert_eq!(invalid.status, 400);
    assert_eq!(files.offset(id).await, 300_000, "refused parts change nothing");
    let last = files.put_part(id, 300_000, &all[300_000..], all.len()).await;
    assert_eq!((last.status, &last.json()["complete"]), (200, &json!(true)));
    let received = files.get(id).await;
    assert_eq!((received.status, received.bytes == all), (200, true));
    // The answer was lost: the client sends the same again.
    for again in [files.put(id, &all).await, files.put_part(id, 0, b"", all.len()).await] {
        let shown = (again.status, again.header("upload-offset"), &again.json()["complete"]);
        assert_eq!(shown, (200, "700000", &json!(true)));
    }
    let other = files.put(id, &all[1..]).await;
    assert_eq!((other.status, &other.json()["code"]), (409, &json!("conflict")));
    assert!(files.get(id).await.bytes == all, "a complete file does not change");
    assert!(staged(server.path()).is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn empty_file_and_equal_files_are_stored() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let empty = files.upload(chat, "empty", b"").await;
    let received = files.get(empty).await;
    assert_eq!((received.status, received.bytes.len()), (200, 0));
    let (one, two) = (files.upload(chat, "1", b"same").await, files.upload(chat, "2", b"same").await);
    assert_eq!(blobs(server.path()).len(), 2, "equal bytes are stored once");
    let dropped = alice.delete(&format!("/api/files/{one}")).await;
    assert_eq!(dropped.status, 204, "{}", dropped.body);
    assert_eq!((files.get(one).await.status, files.get(two).await.bytes), (404, b"same".to_vec()));
    server.stop().await;
}

/// Sends the head of an upload and a part of its bytes over a socket that stays open.
async fn begun(address: &str, files: &FileClient, id: i64, size: usize, part: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT /api/files/{id}/upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {size}\r\n\r\n",
        files.token()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(part).await.unwrap();
    socket
}

#[actix_web::test]
async fn broken_upload_keeps_its_bytes_and_goes_on() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (files, all) = (files_of(&server, &alice), bytes(1_000_000));
    let id = files.announce(chat, "big", all.len()).await;
    let address = server.app.addresses.http.to_string();
    let socket = begun(&address, &files, id, all.len(), &all[..400_000]).await;
    until(async || staged_bytes(server.path(), id) > 200_000).await;
    drop(socket);
    // Bytes that the server has not taken from the connection when it ends may be lost. Until it
    // notices the end, it stores others, and the offset grows.
    until(async || {
        let offset = files.offset(id).await;
        assert!((200_000..=400_000).contains(&offset), "{offset}");
        let rest = files.put_part(id, offset, &all[offset..], all.len()).await;
        assert!([200, 409].contains(&rest.status), "{}", rest.json());
        rest.status == 200
    })
    .await;
    assert!(files.get(id).await.bytes == all);
    server.stop().await;
}

#[actix_web::test]
async fn upload_goes_on_after_the_server_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start(directory.path()).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let token = server.http.login("alice", PASSWORD).await.unwrap().token;
    let alice = server.http.with_token(&token);
    let chat = alice.create_group("team", &[]).await.unwrap();
    let (files, all) = (FileClient::new(server.address(), &alice), bytes(3_000_000));
    let id = files.announce(chat, "big", all.len()).await;
    let _socket = begun(server.address(), &files, id, all.len(), &all[..2_000_000]).await;
    until(async || staged_bytes(directory.path(), id) > 1_000_000).await;
    server.kill();

    let mut server = Process::start(directory.path()).await;
    let files = FileClient::new(server.address(), &server.http.with_token(&token));
    let offset = files.offset(id).await;
    assert!((1_000_000..=2_000_000).contains(&offset), "{offset}");
    let rest = files.put_part(id, offset, &all[offset..], all.len()).await;
    assert_eq!(rest.status, 200, "{}", rest.json());
    assert!(files.get(id).await.bytes == all);
    let posted = files.post(chat, &json!({"files": [id]})).await;
    assert_eq!(posted.status, 201);
    server.kill();
}

#[actix_web::test]
async fn upload_that_stops_sending_is_ended_and_kept() {
    let server = TestServer::with_limits(|limits| limits.upload_idle_ms = 200).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let id = files.announce(chat, "slow", 100).await;
    let address = server.app.addresses.http.to_string();
    let mut socket = begun(&address, &files, id, 100, b"only this").await;
    let mut answer = [0; 12];
    soon(socket.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    assert_eq!(files.offset(id).await, 9);
    server.stop().await;
}

#[actix_web::test]
async fn stopping_server_ends_uploads_and_keeps_their_bytes() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let id = files.announce(chat, "slow", 600_000).await;
    let address = server.app.addresses.http.to_string();
    let _socket = begun(&address, &files, id, 600_000, &bytes(300_000)).await;
    until(async || staged_bytes(server.path(), id) > 200_000).await;
    let server = server.restart(|_| ()).await;
    let alice = server.login("alice").await;
    let files = files_of(&server, &alice);
    assert_eq!(files.offset(id).await, 300_000, "all that had arrived");
    server.stop().await;
}

#[actix_web::test]
async fn limits_of_files_refuse_with_their_names() {
    let server = TestServer::with_limits(|limits| {
        limits.file_bytes = 10_000;
        limits.files_user_bytes = 20_000;
        limits.files_unbound_per_user = 4;
        limits.uploads_per_user = 1;
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let announce = async |size: u64| {
        alice.post(&format!("/api/chats/{chat}/files"), json!({"name": "x", "size": size})).await
    };
    assert_problem(&announce(10_001).await, 413, "too_large");
    assert_problem(&announce(u64::MAX).await, 413, "too_large");
    let first = announce(10_000).await;
    assert_eq!(first.status, 201);
    // A file without bytes counts with a block.
    assert_eq!([announce(1).await.status, announce(0).await.status], [201, 201]);
    assert_problem(&announce(4_000).await, 413, "too_large");
    let dropped = alice.delete(&format!("/api/files/{}", first.body["id"])).await;
    assert_eq!(dropped.status, 204);
    // The bytes count until they are removed.
    let made = eventually(async || Some(announce(4_000).await).filter(|made| made.status == 201)).await;
    let id = made.body["id"].as_i64().unwrap();
    assert_eq!(announce(1).await.status, 201);
    assert_problem(&announce(1).await, 409, "conflict");
    let in_chat_of_bob = bob.group(&[]).await;
    let path = format!("/api/chats/{in_chat_of_bob}/files");
    assert_problem(&alice.post(&path, json!({"name": "x", "size": 1})).await, 404, "not_found");
    for name in ["", "a/b", "a\nb", "evil\u{202e}gnp.exe", ".."] {
        let path = format!("/api/chats/{chat}/files");
        assert_problem(&alice.post(&path, json!({"name": name, "size": 1})).await, 422, "validation");
    }
    // One upload at a time.
    let files = files_of(&server, &alice);
    let address = server.app.addresses.http.to_string();
    let _socket = begun(&address, &files, id, 4_000, b"part").await;
    until(async || files.put(id, &[0; 4_000]).await.status == 429).await;
    // Refusals of the server count, and mistakes of a client do not.
    let (_, metrics) = server.operations("/metrics").await;
    let refused = "netbit_file_uploads_total{outcome=\"refused\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(refused)).unwrap();
    assert!(count.parse::<u32>().unwrap() >= 4, "{count}");
    server.stop().await;
}
