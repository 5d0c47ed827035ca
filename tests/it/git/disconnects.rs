//! Clients that disconnect, stall or drip leave no git process, no zombie and no quarantine
//! directory.

use std::collections::BTreeSet;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::clients::noise;
use crate::harness::git::{GitWorkdir, children, children_with_ids};
use crate::harness::{PASSWORD, Person, TestServer, soon, until};

/// The server's children that this test has seen running. A zombie has no environment that would
/// identify its server, and other tests of this process have their own children.
#[derive(Default)]
struct Seen(BTreeSet<u32>);

impl Seen {
    fn observe(&mut self, server: &TestServer) {
        self.0.extend(children_with_ids(server).into_iter().map(|(id, _)| id));
    }

    /// Returns the children that ended and that the server has not waited for.
    fn zombies(&self) -> Vec<String> {
        let own = std::process::id().to_string();
        let stats = self.0.iter().map(|id| std::fs::read_to_string(format!("/proc/{id}/stat")));
        let is_zombie = |stat: &String| {
            let Some((_, rest)) = stat.rsplit_once(')') else { return false };
            let fields: Vec<_> = rest.split_whitespace().collect();
            fields.first() == Some(&"Z") && fields.get(1) == Some(&own.as_str())
        };
        stats.flatten().filter(is_zombie).collect()
    }

    /// Waits until the server has no child and no zombie.
    async fn are_gone(mut self, server: &TestServer) {
        self.observe(server);
        assert!(!self.0.is_empty(), "no child was running, so nothing was tested");
        // Some children start only after others have ended.
        until(async || {
            self.observe(server);
            children(server).is_empty()
        })
        .await;
        until(async || self.zombies().is_empty()).await;
    }
}

/// Creates a repository that takes a while to send; returns its path.
pub(super) async fn large(alice: &Person, server: &TestServer, workdir: &GitWorkdir) -> String {
    let path = alice.hello_web("public").await;
    let work = workdir.repository("work").await;
    std::fs::write(work.join("large"), noise(24 * 1024 * 1024)).unwrap();
    workdir.git("work", &["add", "."]).await.ok();
    workdir.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    path
}

/// Requests every object, as a clone does, and reads the start of the response.
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
async fn clients_that_leave_in_mid_clone_leave_no_process() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    let path = large(&alice, &server, &workdir).await;
    let commit = workdir.head("work").await;
    let rounds: usize =
        std::env::var("NETBIT_DEPARTURES").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let (mut open, mut seen) = (Vec::new(), Seen::default());
    for _ in 0..rounds {
        open.push(begin_clone(&server, &path, &commit).await);
        // Eight clones run at once; half of them end with a reset, half with a shutdown.
        if open.len() == 8 {
            seen.observe(&server);
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
    }
    seen.observe(&server);
    drop(open);
    seen.are_gone(&server).await;
    // Every permit is free again.
    workdir.git("", &["clone", "--quiet", &server.url(&path), "after"]).await.ok();
    server.stop().await;
}

#[actix_web::test]
async fn clone_is_ended_when_its_client_reads_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    let path = large(&alice, &server, &workdir).await;
    let server = server
        .restart(|config| {
            config.limits.git_idle_ms = 400;
            config.limits.git_visitors = 1;
        })
        .await;
    let stuck = begin_clone(&server, &path, &workdir.head("work").await).await;
    Seen::default().are_gone(&server).await;
    // Its permit is free although its client is still connected.
    workdir.git("", &["ls-remote", &server.url(&path)]).await.ok();
    drop(stuck);
    server.stop().await;
}

#[actix_web::test]
async fn broken_off_pushes_leave_no_process_and_no_quarantine() {
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
    // Half of the clients disconnect now. The others send nothing more and are ended by the server.
    let mut seen = Seen::default();
    until(async || {
        seen.observe(&server);
        !seen.0.is_empty()
    })
    .await;
    open.truncate(3);
    seen.are_gone(&server).await;
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
