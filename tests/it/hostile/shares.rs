//! A few clients try to take every permit or slot. Clients with the fewest are served, and those
//! with the most wait.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::git::{GitWorkdir, children};
use crate::harness::{PASSWORD, Person, TestServer, netbit_beside, soon};

/// Opens a connection from this address of the loopback network.
pub(super) async fn connect_from(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    soon(socket.connect(to)).await.unwrap()
}

pub(super) fn loopback(n: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, n])
}

/// A pack in which a file of 2 GiB begins, and a byte of that file in an uncompressed block.
pub(super) const ENDLESS_PACK: &[u8] = b"PACK\0\0\0\x02\0\0\0\x01\xb0\x80\x80\x80\x40\x78\x01";
pub(super) const ONE_BYTE: &[u8] = b"\0\x01\0\xfe\xff.";

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes / 8).flat_map(|_| rand::random::<u64>().to_le_bytes()).collect()
}

/// Creates a public repository that takes a while to send, and a private one, both owned by alice.
/// Returns their paths and the commit of the first.
pub(super) async fn repositories(
    server: &TestServer,
    alice: &Person,
    workdir: &GitWorkdir,
) -> (String, String, String) {
    alice.project("open", "public").await;
    alice.repository("open", "large").await;
    alice.project("hidden", "private").await;
    alice.repository("hidden", "small").await;
    let work = workdir.repository("work").await;
    std::fs::write(work.join("large"), noise(24 * 1024 * 1024)).unwrap();
    workdir.git("work", &["add", "."]).await.ok();
    workdir.git("work", &["commit", "--quiet", "-m", "large"]).await.ok();
    let (large, small) = ("alice/open/large".to_owned(), "alice/hidden/small".to_owned());
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &large), "main"]).await.ok();
    workdir.repository("little").await;
    workdir.git("little", &["push", "--quiet", &server.url_as("alice", &small), "main"]).await.ok();
    (large, small, workdir.head("work").await)
}

pub(super) fn basic(user: &str) -> String {
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{PASSWORD}"));
    format!("authorization: Basic {credentials}\r\n")
}

/// Requests a whole repository and reads nothing of the response.
pub(super) async fn ask_for_all(server: &TestServer, from: IpAddr, path: &str, commit: &str) -> TcpStream {
    ask_for_all_as(server, "", from, path, commit).await
}

/// Requests a whole repository with an additional header line.
pub(super) async fn ask_for_all_as(
    server: &TestServer,
    line: &str,
    from: IpAddr,
    path: &str,
    commit: &str,
) -> TcpStream {
    let want = format!("want {commit}\n");
    let body = format!("0011command=fetch0001{:04x}{want}0009done\n0000", want.len() + 4);
    let mut socket = connect_from(from, server.app.addresses.http).await;
    let head = format!(
        "POST /{path}/git-upload-pack HTTP/1.1\r\nhost: x\r\n{line}git-protocol: version=2\r\n\
         content-type: application/x-git-upload-pack-request\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    socket
}

/// Sends the head of a push by this user, and the given part of its pack.
pub(super) async fn begin_push(
    server: &TestServer,
    user: &str,
    from: IpAddr,
    path: &str,
    pack: &[u8],
) -> TcpStream {
    let line = format!("{} {} refs/heads/drip\0report-status", "0".repeat(40), "1".repeat(40));
    let commands = format!("{:04x}{line}0000", line.len() + 4);
    let credentials = basic(user);
    let mut socket = connect_from(from, server.app.addresses.http).await;
    let head = format!(
        "POST /{path}/git-receive-pack HTTP/1.1\r\nhost: x\r\n{credentials}\
         content-type: application/x-git-receive-pack-request\r\ncontent-length: 9000000\r\n\r\n"
    );
    // Without a pack the commands are also incomplete.
    let body = if pack.is_empty() {
        commands.as_bytes()[..9].to_vec()
    } else {
        [commands.as_bytes(), pack].concat()
    };
    socket.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    socket
}

/// Sends a few bytes repeatedly, until the test aborts the task.
pub(super) fn drip(socket: TcpStream, bytes: &'static [u8]) -> tokio::task::JoinHandle<()> {
    actix_web::rt::spawn(async move {
        let mut socket = socket;
        while socket.write_all(bytes).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

/// Checks repeatedly that the private repository and the chat work for alice.
async fn others_are_served(server: &TestServer, alice: &Person, workdir: &GitWorkdir, private: &str) {
    let chat = alice.group(&[]).await;
    let mut session = alice.tcp().await;
    for round in 0..4 {
        let listed = workdir.git("", &["ls-remote", &server.url_as("alice", private)]).await.ok();
        assert!(listed.contains("refs/heads/main"), "{listed}");
        assert!(session.say(chat, &format!("still here {round}")).await.unwrap().success);
        let folder = format!("clone-{round}");
        workdir.git("", &["clone", "--quiet", &server.url_as("alice", private), &folder]).await.ok();
    }
}

/// Regression: sixty anonymous clients request a whole repository and read nothing, from one
/// address and from many. Twenty-four such clients blocked git for all users.
#[actix_web::test]
async fn slow_visitors_do_not_block_git_or_chat() {
    let server = TestServer::with_limits(|limits| {
        (limits.git_visitors, limits.git_reserve) = (4, 1);
        (limits.git_starved_ms, limits.git_patience_ms) = (300, 20_000);
    })
    .await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    let (public, private, commit) = repositories(&server, &alice, &workdir).await;
    let mut slow = Vec::new();
    for n in 0..30 {
        slow.push(ask_for_all(&server, loopback(2), &public, &commit).await);
        slow.push(ask_for_all(&server, loopback(100 + n), &public, &commit).await);
    }
    others_are_served(&server, &alice, &workdir, &private).await;
    // A visitor that reads is served too: the server ends the slowest transfer of the largest
    // holder.
    workdir.git("", &["ls-remote", &server.url(&public)]).await.ok();
    drop(slow);
    server.stop().await;
}

/// Regression: one account drips its pushes, some of them before their head is complete, and then
/// four accounts do. Eight such pushes blocked all pushes for an hour.
#[actix_web::test]
async fn dripping_pushes_leave_permits_to_other_accounts() {
    let server = TestServer::with_limits(|limits| {
        (limits.git_writes, limits.git_reserve) = (4, 1);
        (limits.git_starved_ms, limits.git_patience_ms) = (300, 20_000);
    })
    .await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    let (_, private, _) = repositories(&server, &alice, &workdir).await;
    let mut drips = Vec::new();
    let pack = [b"PACK".as_slice(), &[0, 0, 0, 2, 0, 0, 0, 9]].concat();
    for name in ["eve", "mallory", "trudy", "oscar"] {
        let user = server.user(name).await;
        let own = user.hello_web("private").await;
        for n in 0..4 {
            let begun = if n % 2 == 0 { pack.as_slice() } else { &[] };
            drips.push(drip(begin_push(&server, name, loopback(1), &own, begun).await, b"\0"));
        }
        // The first account alone fills the pool except for the reserve; all four fill the reserve
        // as well.
        workdir.commit("little", "file", name, "more").await;
        let url = server.url_as("alice", &private);
        workdir.git("little", &["push", "--quiet", &url, "main"]).await.ok();
    }
    drips.iter().for_each(tokio::task::JoinHandle::abort);
    server.stop().await;
}

/// Regression: fresh accounts at one address hold a permit each, and none of them counts as slow.
/// Eight such pushes stopped all pushes, and sixteen clones stopped all clones. Now a user
/// elsewhere is served.
#[actix_web::test]
async fn fresh_accounts_of_one_address_leave_permits_to_others() {
    let server = TestServer::with_limits(|limits| {
        (limits.git_writes, limits.git_reads, limits.git_reserve) = (4, 4, 1);
        (limits.git_starved_ms, limits.git_patience_ms, limits.git_busy_rate) = (300, 20_000, 0);
    })
    .await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    let (public, private, commit) = repositories(&server, &alice, &workdir).await;
    let (mut drips, mut clones) = (Vec::new(), Vec::new());
    for n in 0..6 {
        let name = format!("eve{n}");
        let own = server.user(&name).await.hello_web("private").await;
        drips.push(drip(begin_push(&server, &name, loopback(66), &own, ENDLESS_PACK).await, ONE_BYTE));
        clones.push(ask_for_all_as(&server, &basic(&name), loopback(66), &public, &commit).await);
    }
    workdir.commit("little", "file", "little", "more").await;
    let url = server.url_as("alice", &private);
    workdir.git("little", &["push", "--quiet", &url, "main"]).await.ok();
    workdir.git("", &["clone", "--quiet", &url, "clone"]).await.ok();
    let at_work = |service: &str| children(&server).iter().filter(|child| child.contains(service)).count();
    assert!(at_work("receive-pack") >= 3 && at_work("upload-pack") >= 3, "{:?}", children(&server));
    drips.iter().for_each(tokio::task::JoinHandle::abort);
    drop(clones);
    server.stop().await;
}

/// A CI system starts thirty clones at once, all with the token of one account.
#[actix_web::test]
async fn thirty_clones_with_one_token_all_succeed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    let (_, private, _) = repositories(&server, &alice, &workdir).await;
    let made = alice
        .post("/api/users/me/tokens", json!({"name": "ci", "scopes": ["repo:read"], "password": PASSWORD}))
        .await;
    let token = match made.status {
        201 => made.body["token"].as_str().unwrap().to_owned(),
        // The case of a server whose token request has no password field.
        _ => {
            let body = json!({"name": "ci", "scopes": ["repo:read"]});
            alice.post("/api/users/me/tokens", body).await.body["token"].as_str().unwrap().to_owned()
        }
    };
    let url = format!("http://ci:{token}@{}/{private}", server.app.addresses.http);
    let clones = join_all((0..30).map(|n| {
        let (url, folder) = (url.clone(), format!("ci-{n}"));
        let workdir = &workdir;
        async move { workdir.git("", &["clone", "--quiet", &url, &folder]).await }
    }));
    for clone in clones.await {
        clone.ok();
    }
    server.stop().await;
}

/// A client that takes a byte now and then is disconnected. A slow client that reads at the speed
/// of a modem is not.
#[actix_web::test]
async fn dripping_client_is_disconnected_and_a_slow_one_is_not() {
    let server = TestServer::with_limits(|limits| {
        (limits.git_idle_ms, limits.git_rate, limits.http_unsent_bytes) = (1_500, 10_000, 16 * 1024);
    })
    .await;
    let alice = server.user("alice").await;
    let workdir = GitWorkdir::new();
    let (public, _, commit) = repositories(&server, &alice, &workdir).await;
    let mut modem = ask_for_all(&server, loopback(1), &public, &commit).await;
    let mut drips = ask_for_all(&server, loopback(2), &public, &commit).await;
    let is_cut = async {
        let mut byte = [0];
        // The buffers of this machine hold some megabytes, so the end is visible in the children
        // first.
        while children(&server).iter().filter(|child| child.contains("upload-pack")).count() > 1 {
            if drips.read(&mut byte).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let reads_slowly = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = modem.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the slow client was cut");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(async {
        tokio::select! {
            () = is_cut => {}
            () = reads_slowly => {}
        }
    })
    .await;
    // The slow client reads on to the end.
    let (mut rest, mut buffer) = (0, vec![0; 1024 * 1024]);
    loop {
        match soon(modem.read(&mut buffer)).await.unwrap() {
            0 => break,
            read => rest += read,
        }
        if buffer.windows(5).any(|end| end == b"0\r\n\r\n") {
            break;
        }
    }
    assert!(rest > 0);
    drop(drips);
    server.stop().await;
}

/// A proxy is missing in the configuration, so all clients behind it count as a single client. The
/// doctor command reports it once.
#[actix_web::test]
async fn doctor_reports_a_proxy_that_is_not_trusted() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let directory = server.path().to_str().unwrap().to_owned();
    let doctor = async || netbit_beside(&["doctor", "--data-dir", &directory]).await;
    let before = doctor().await;
    assert!(before.status.success(), "{}", String::from_utf8_lossy(&before.stdout));
    for _ in 0..3 {
        let forwarded = [("x-forwarded-for", "203.0.113.7")];
        server.http.send(reqwest::Method::GET, "/api/server", None, &forwarded).await.unwrap();
    }
    let after = doctor().await;
    let said = String::from_utf8_lossy(&after.stdout);
    assert_eq!(said.matches("127.0.0.1 sends X-Forwarded-For").count(), 1, "{said}");
    assert!(!after.status.success());
    server.stop().await;
}

/// Regression: one account requests old history repeatedly on hundreds of connections. Another
/// user's page waited for all of them, and was refused.
#[actix_web::test]
async fn reads_of_old_history_are_scheduled_fairly_by_account() {
    let server = TestServer::with(|config| {
        config.cache.window = 5;
        (config.limits.rates, config.limits.readers, config.limits.ask_patience_ms) = (false, 1, 500);
    })
    .await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    let (hers, chat) = (eve.group(&[]).await, alice.group(&[]).await);
    for (person, chat) in [(&eve, hers), (&alice, chat)] {
        let mut session = person.tcp().await;
        for n in 0..120 {
            assert!(session.say(chat, &format!("message {n}")).await.unwrap().success);
        }
    }
    let path = |chat| format!("/api/chats/{chat}/messages?before_seq=100&limit=100");
    let ended = std::cell::Cell::new(false);
    let flood = join_all((0..400).map(|_| async {
        while !ended.get() {
            assert!([200, 503].contains(&eve.get(&path(hers)).await.status));
        }
    }));
    let witness = async {
        // Gives the flood time to start.
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..20 {
            let page = alice.get(&path(chat)).await;
            assert_eq!((page.status, page.body["items"].as_array().map(Vec::len)), (200, Some(98)));
        }
        ended.set(true);
    };
    soon(async { futures_util::join!(flood, witness) }).await;
    server.stop().await;
}
