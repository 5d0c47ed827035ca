//! Files in chats that attack their readers: types, names, and ids of others.

use serde_json::json;

use crate::harness::files::{FileClient, PNG};
use crate::harness::{Person, TestServer};

fn files_of(server: &TestServer, person: &Person) -> FileClient {
    FileClient::new(&server.app.addresses.http.to_string(), &person.http)
}

/// Names promise types that contents do not have. The browser of a reader gets the type of the
/// content, and runs nothing.
#[actix_web::test]
async fn active_contents_are_saved_and_never_shown() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let script = b"<script>alert(document.domain)</script>";
    let polyglot = [PNG, script].concat();
    let gif = [b"GIF89a/*\x01\0\0\0*/=1;alert(1)//".as_slice(), script].concat();
    for (name, bytes) in [
        ("picture.svg", &b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"[..]),
        ("page.png", b"<!DOCTYPE html><script>alert(1)</script>"),
        ("page.html", script),
        ("polyglot.png", &polyglot),
        ("polyglot.gif", &gif),
        ("document.pdf", b"%PDF-1.7 /JavaScript"),
        ("archive.zip", b"PK\x03\x04"),
        ("text.txt", b"plain"),
        ("data.xml", b"<?xml version='1.0'?><?xml-stylesheet href='evil.xsl'?>"),
    ] {
        let (id, _) = files.share(chat, name, bytes).await;
        let received = files.get(id).await;
        assert_eq!((received.status, received.bytes.as_slice()), (200, bytes), "{name}");
        assert_eq!(received.header("content-type"), "application/octet-stream", "{name}");
        let disposition = received.header("content-disposition");
        assert!(disposition.starts_with("attachment; "), "{name}: {disposition}");
        let sandbox = "default-src 'none'; frame-ancestors 'none'; sandbox";
        assert_eq!(received.header("content-security-policy"), sandbox, "{name}");
    }
    let (id, _) = files.share(chat, "real.html", PNG).await;
    let shown = files.get(id).await;
    assert_eq!(shown.header("content-type"), "image/png", "the content decides");
    assert_eq!(shown.header("content-disposition"), "inline; filename=\"real.html\"");
    for (header, value) in [
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'; style-src 'unsafe-inline'; sandbox",
        ),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(shown.header(header), value);
    }
    // The player of a browser reads the file again, and needs its origin; it needs no scripts.
    let (id, _) = files.share(chat, "page.html", b"\0\0\0\x18ftypisom\0\0\0\0isommp41<script>").await;
    let played = files.get(id).await;
    assert_eq!(played.header("content-type"), "video/mp4");
    assert_eq!(
        played.header("content-security-policy"),
        "default-src 'none'; frame-ancestors 'none'; media-src 'self'; style-src 'unsafe-inline'; \
         sandbox allow-same-origin"
    );
    server.stop().await;
}

/// A name reaches the header of an answer, and the file system of a reader.
#[actix_web::test]
async fn file_names_cannot_leave_their_header() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    for (name, shown) in [
        ("a\"; filename=evil.exe", "a___filename_evil.exe"),
        ("ünïcode €.txt", "_n_code__.txt"),
        ("%0d%0aSet-Cookie: x", "_0d_0aSet-Cookie__x"),
        ("'; rm -rf ~", "___rm_-rf__"),
    ] {
        let id = files.upload(chat, name, b"x").await;
        let disposition = files.get(id).await.header("content-disposition").to_owned();
        let plain = format!("attachment; filename=\"{shown}\"; filename*=UTF-8''");
        assert!(disposition.starts_with(&plain), "{name}: {disposition}");
        let encoded = disposition.strip_prefix(&plain).unwrap();
        assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"%._-~".contains(&b)), "{encoded}");
    }
    server.stop().await;
}

/// The hash of a file is known to many; only a row opens it. Equal bytes open nothing either.
#[actix_web::test]
async fn knowing_the_bytes_of_a_file_opens_nothing() {
    let server = TestServer::start().await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    let (secret, own) = (alice.group(&[]).await, eve.group(&[]).await);
    let (of_alice, of_eve) = (files_of(&server, &alice), files_of(&server, &eve));
    let (file, _) = of_alice.share(secret, "secret", b"known bytes").await;
    let copy = of_eve.announce(own, "copy", 11).await;
    let empty = of_eve.put_part(copy, 0, b"", 11).await;
    assert_eq!((empty.status, empty.json()["complete"].clone()), (202, json!(false)), "no bytes, no file");
    assert_eq!(of_eve.get(copy).await.status, 409);
    for body in [json!({"files": [file]}), json!({"content": "x", "files": [file]})] {
        assert_eq!(of_eve.post(own, &body).await.status, 422);
    }
    assert_eq!(of_eve.get(file).await.status, 404);
    server.stop().await;
}

/// A token for code, or for reading chats, changes no file.
#[actix_web::test]
async fn tokens_need_their_scope_for_files() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (file, _) = files_of(&server, &alice).share(chat, "x", b"x").await;
    let path = format!("/api/chats/{chat}/files");
    for (scope, reads, writes) in
        [("repo:write", 403, 403), ("chat:read", 200, 403), ("chat:write", 200, 201)]
    {
        let (_, token) = alice.access_token(json!({"name": scope, "scopes": [scope]})).await;
        let files = FileClient::new(&server.app.addresses.http.to_string(), &token);
        assert_eq!(files.get(file).await.status, reads, "{scope}");
        let announced = token.post(&path, &json!({"name": "y", "size": 1})).await.unwrap();
        assert_eq!(announced.status, writes, "{scope}");
    }
    server.stop().await;
}
