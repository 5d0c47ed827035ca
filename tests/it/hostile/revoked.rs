//! Running transfers of clients that lose their access.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::shares::{
    ENDLESS_PACK, ONE_BYTE, ask_for_all_as, basic, begin_push, connect_from, drip, loopback, repositories,
};
use crate::harness::git::{GitWorkdir, children};
use crate::harness::{Person, TestServer, soon, until};

/// More than the buffers of a connection hold, and less than the large file.
const WHOLE_BYTES: usize = 23 * 1024 * 1024;

async fn begin_download(server: &TestServer, person: &Person, path: &str) -> TcpStream {
    let mut socket = connect_from(loopback(1), server.app.addresses.http).await;
    let token = person.http.token().unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    soon(socket.read_exact(&mut begin)).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    socket
}

/// Reads until the server sends no more; returns the number of bytes.
async fn rest_of(socket: &mut TcpStream) -> usize {
    let (mut rest, mut buffer) = (0, vec![0; 1024 * 1024]);
    while rest < WHOLE_BYTES {
        match soon(socket.read(&mut buffer)).await {
            Ok(0) | Err(_) => break,
            Ok(read) => rest += read,
        }
    }
    rest
}

/// Regression: a clone, a download, an archive and a push continued for an hour after their user
/// was deactivated or removed from the project. Now they end within the interval of the access
/// check. Transfers of other users continue.
#[actix_web::test]
async fn transfers_end_with_the_access_of_their_user() {
    let server = TestServer::with_limits(|limits| limits.git_access_ms = 200).await;
    let (root, alice) = (server.admin("root").await, server.user("alice").await);
    let workdir = GitWorkdir::new();
    let (large, small, commit) = repositories(&server, &alice, &workdir).await;
    let hidden = alice.patch("/api/projects/alice/open", json!({"visibility": "private"})).await;
    assert_eq!(hidden.status, 200);
    let (mut theirs, mut pushes) = (Vec::new(), Vec::new());
    for name in ["bob", "carol"] {
        let person = server.user(name).await;
        for project in ["open", "hidden"] {
            alice.member(project, name, "maintainer").await;
        }
        theirs.push(ask_for_all_as(&server, &basic(name), loopback(1), &large, &commit).await);
        for path in ["raw/main/large", "archive/main.zip"] {
            let path = format!("/api/projects/alice/open/repos/large/{path}");
            theirs.push(begin_download(&server, &person, &path).await);
        }
        pushes.push(drip(begin_push(&server, name, loopback(1), &small, ENDLESS_PACK).await, ONE_BYTE));
    }
    let mut own = ask_for_all_as(&server, &basic("alice"), loopback(1), &large, &commit).await;
    // Excludes the processes that git itself starts.
    let at_work = || children(&server).iter().filter(|child| child.contains("safe.directory")).count();
    until(async || at_work() >= 7).await;
    // Each of the seven transfers checks its access in the cache several times and keeps it.
    let asked = async || {
        let (_, body) = server.operations("/actors").await;
        let actors: serde_json::Value = serde_json::from_str(&body).unwrap();
        let mut actors = actors["actors"].as_array().unwrap().iter();
        let cache = actors.find(|actor| actor["actor"] == "cache").unwrap();
        let messages = cache["messages"].as_array().unwrap().iter();
        messages.map(|message| message["handled"].as_u64().unwrap()).sum::<u64>()
    };
    let before = asked().await;
    until(async || asked().await >= before + 4 * 7).await;
    assert_eq!(at_work(), 7, "{:?}", children(&server));
    assert_eq!(root.patch("/api/admin/users/bob", json!({"active": false})).await.status, 200);
    for project in ["open", "hidden"] {
        let path = format!("/api/projects/alice/{project}/members/carol");
        assert_eq!(alice.delete(&path).await.status, 204);
    }
    until(async || at_work() <= 1).await;
    for socket in &mut theirs {
        let rest = rest_of(socket).await;
        assert!(rest < WHOLE_BYTES, "{rest}");
    }
    assert!(rest_of(&mut own).await >= WHOLE_BYTES);
    pushes.iter().for_each(tokio::task::JoinHandle::abort);
    server.stop().await;
}
