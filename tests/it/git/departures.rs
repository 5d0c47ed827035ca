//! Clients that leave, stall or drip: no git process stays, no zombie, no quarantine.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::clients::noise;
use crate::harness::git::{Workplace, children};
use crate::harness::{PASSWORD, PATIENCE, Person, TestServer, soon};

/// Git processes among our children that nobody waited for. Other tests of this process run git too, so only those count
/// that stay.
fn zombies() -> Vec<String> {
    let own = std::process::id().to_string();
    // Read as text: it is 0 where the session's leader is outside of our process namespace, as in many containers.
    let own_stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after_name) = own_stat.rsplit_once(')').unwrap();
    let after_name: Vec<_> = after_name.split_whitespace().collect();
    let (group, session) = (after_name[2], after_name[3]);
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<_> = rest.split_whitespace().collect();
        // Clients' own background work leads a session of its own; its orphans come to this process too.
        // Each of the server's children leads a group; what is in ours was left by a client that was killed.
        let ours = fields.first() == Some(&"Z") && fields.get(1) == Some(&own.as_str());
        let is_of_server = fields.get(2) != Some(&group) && fields.get(3) == Some(&session);
        if ours && name.contains("(git") && is_of_server {
            found.push(stat);
        }
    }
    found
}

async fn nothing_is_left(server: &TestServer) {
    let begun = std::time::Instant::now();
    let mut left = children(server);
    while !left.is_empty() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
        left = children(server);
    }
    assert!(left.is_empty(), "these live on: {left:?}");
    let mut seen = zombies();
    while !seen.is_empty() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = zombies();
        seen.retain(|zombie| now.contains(zombie));
    }
    assert!(seen.is_empty(), "nobody waited for these: {seen:?}");
}

/// A repository that takes a while to send.
pub(super) async fn large(alice: &Person, server: &TestServer, place: &Workplace) -> String {
    let path = alice.hello_web("public").await;
    let work = place.repository("work").await;
    std::fs::write(work.join("large"), noise(24 * 1024 * 1024)).unwrap();
    place.git("work", &["add", "."]).await.ok();
    place.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
    place.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    path
}

/// Asks for everything, as a clone does.
pub(super) async fn begin_clone(server: &TestServer, path: &str, commit: &str) -> TcpStream {
    let want = format!("want {commit}\n");
    let body = format!("0011command=fetch0001{:04x}{want}0009done\n0000", want.len() + 4);
    let mut socket = TcpStream::connect(server.app.addresses.http).await.unwrap();
    let request = format!(
        "POST /{path}/git-upload-pack HTTP/1.1\r\nhost: x\r\ngit-protocol: version=2\r\n\
         content-type: application/x-git-upload-pack-request\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut begin = [0; 4096];
    let read = soon(socket.read(&mut begin)).await.unwrap();
    assert!(begin[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&begin[..read]));
    socket
}

#[actix_web::test]
async fn clients_that_leave_in_mid_clone_leave_no_process_and_no_zombie() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let place = Workplace::new();
    let path = large(&alice, &server, &place).await;
    let commit = place.head("work").await;
    let rounds: usize =
        std::env::var("NETBIT_DEPARTURES").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut open = Vec::new();
    for n in 0..rounds {
        open.push(begin_clone(&server, &path, &commit).await);
        // Eight are under way at once; half of them end with a reset, half in order.
        if open.len() == 8 {
            for (at, socket) in open.drain(..).enumerate() {
                if at % 2 == 0 {
                    drop(socket);
                } else {
                    let mut socket = socket;
                    socket.shutdown().await.unwrap();
                    drop(socket);
                }
            }
        }
        assert!(n < rounds);
    }
    drop(open);
    nothing_is_left(&server).await;
    // Every place is free again.
    place.git("", &["clone", "--quiet", &server.url(&path), "after"]).await.ok();
    server.stop().await;
}

#[actix_web::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let place = Workplace::new();
    let path = large(&alice, &server, &place).await;
    let server = server
        .restart(|config| {
            config.limits.git_idle_ms = 400;
            config.limits.git_visitors = 1;
        })
        .await;
    let stuck = begin_clone(&server, &path, &place.head("work").await).await;
    nothing_is_left(&server).await;
    // Its place is free, although it is still connected.
    place.git("", &["ls-remote", &server.url(&path)]).await.ok();
    drop(stuck);
    server.stop().await;
}

#[actix_web::test]
async fn pushes_that_break_off_leave_no_process_and_no_quarantine() {
    let server = TestServer::with_limits(|limits| limits.git_idle_ms = 600).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let line = format!("{} {} refs/heads/main\0report-status", "0".repeat(40), "1".repeat(40));
    let body = [
        format!("{:04x}{line}0000PACK", line.len() + 4).as_bytes(),
        &[0, 0, 0, 2, 0, 0, 0, 9],
        &noise(300_000),
    ]
    .concat();
    let credentials = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(format!("alice:{PASSWORD}"))
    };
    let head = format!(
        "POST /{path}/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Basic {credentials}\r\n\
         content-type: application/x-git-receive-pack-request\r\ncontent-length: 9000000\r\n\r\n"
    );
    let mut open = Vec::new();
    for _ in 0..6 {
        let mut socket = TcpStream::connect(server.app.addresses.http).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&body).await.unwrap();
        open.push(socket);
    }
    // Half leave now; the others send nothing more, and are cut off.
    open.truncate(3);
    nothing_is_left(&server).await;
    let left = |repository: &Path| {
        let entries = std::fs::read_dir(repository.join("objects")).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("tmp_"))
            .count()
    };
    assert_eq!(left(&server.only_repository()), 0);
    drop(open);
    server.stop().await;
}
