//! Requests about repositories arrive at any node, and are answered by the storage node.

use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::nodes::skip;
use crate::harness::git::{GitWorkdir, repositories_in};
use crate::harness::{PASSWORD, Process, eventually, postgres, soon, until};
use netbit::client::HttpClient;

/// Two nodes, `a` and `b`, with a data directory each.
pub(super) struct Nodes {
    pub(super) a: Process,
    pub(super) b: Process,
    pub(super) folders: [TempDir; 2],
    pub(super) database: String,
}

/// Returns the environment of a node.
pub(super) fn environment<'a>(database: &'a str, name: &'a str) -> [(&'static str, &'a str); 4] {
    [
        ("NETBIT_DATABASE", database),
        ("NETBIT_CLUSTER__ENABLED", "true"),
        ("NETBIT_CLUSTER__NAME", name),
        ("NETBIT_LIMITS__MAINTENANCE_MS", "100"),
    ]
}

impl Nodes {
    /// Starts both nodes. `None`: the tests run on SQLite.
    pub(super) async fn start(more: &[(&str, &str)]) -> Option<Self> {
        if !postgres::is_used() {
            skip("needs PostgreSQL");
            return None;
        }
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let database = postgres::url(folders[0].path()).unwrap();
        let with = |name| [&environment(&database, name)[..], more].concat();
        let a = Process::with(folders[0].path(), &with("a")).await;
        let b = Process::with(folders[1].path(), &with("b")).await;
        Some(Self { a, b, folders, database })
    }

    pub(super) async fn start_a(&self) -> Process {
        Process::with(self.folders[0].path(), &environment(&self.database, "a")).await
    }

    pub(super) async fn start_b(&self) -> Process {
        Process::with(self.folders[1].path(), &environment(&self.database, "b")).await
    }

    /// Returns the one value that a statement selects.
    pub(super) fn query(&self, statement: &str) -> String {
        query(&self.database, statement)
    }

    /// Returns how many repositories are in the data directories of `a` and `b`.
    pub(super) fn on_disk(&self) -> [usize; 2] {
        self.folders.each_ref().map(|folder| {
            let mut found = Vec::new();
            repositories_in(&folder.path().join("repos"), &mut found);
            found.len()
        })
    }
}

pub(super) fn query(database: &str, statement: &str) -> String {
    postgres::psql(database, &[statement.to_owned()]).unwrap().trim().to_owned()
}

pub(super) async fn login(node: &Process, name: &str) -> HttpClient {
    node.http.with_token(node.http.login(name, PASSWORD).await.unwrap().token)
}

/// Registers `alice`, who gets the project `hello` with the repository `web` at this node.
pub(super) async fn hello_web(node: &Process, visibility: &str) -> HttpClient {
    node.http.register("alice", PASSWORD).await.unwrap();
    let alice = login(node, "alice").await;
    let project = json!({"name": "hello", "visibility": visibility});
    alice.post("/api/projects/create", &project).await.unwrap().success().unwrap();
    let path = "/api/projects/alice/hello/repos/create";
    alice.post(path, &json!({"name": "web"})).await.unwrap().success().unwrap();
    alice
}

/// Returns the address of alice's repository for git.
pub(super) fn url(node: &Process, user: &str) -> String {
    format!("http://{user}:{}@{}/alice/hello/web", PASSWORD.replace(' ', "%20"), node.address())
}

/// Returns the number of `push` events in the channel of the project.
pub(super) async fn push_events(http: &HttpClient) -> usize {
    let page = http.get("/api/chats/1/events?after_seq=0&limit=100").await.unwrap().body;
    page["items"].as_array().unwrap().iter().filter(|event| event["kind"] == "push").count()
}

async fn get(node: &Process, path: &str) -> (StatusCode, Vec<u8>) {
    let answer = soon(reqwest::get(format!("http://{}{path}", node.address()))).await.unwrap();
    (answer.status(), soon(answer.bytes()).await.unwrap().to_vec())
}

#[actix_web::test]
async fn repository_is_used_through_a_foreign_node() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let alice = hello_web(&nodes.a, "public").await;
    assert_eq!(nodes.query("SELECT storage FROM repositories"), "a");
    assert_eq!(nodes.on_disk(), [1, 0]);

    // At once through the other node, which may not have applied the commits yet.
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url(&nodes.b, "alice"), "main"]).await.ok();
    let head = workdir.head("work").await;
    workdir.git("", &["clone", "--quiet", &url(&nodes.b, "alice"), "clone"]).await.ok();
    assert_eq!(workdir.head("clone").await, head);
    assert_eq!(push_events(&alice).await, 1);

    let api = "/api/projects/alice/hello/repos/web";
    for path in [
        "/alice/hello/web".to_owned(),
        "/alice/hello/web/-/commits/main".to_owned(),
        format!("{api}/tree"),
        format!("{api}/commits/{head}"),
        format!("{api}/raw/main/README"),
        format!("{api}/archive/main.zip"),
        format!("/alice/hello/web/-/raw/{head}/README"),
    ] {
        let (at_a, at_b) = (get(&nodes.a, &path).await, get(&nodes.b, &path).await);
        assert_eq!((at_a.0, at_b.0), (StatusCode::OK, StatusCode::OK), "{path}");
        let shown = |body: &[u8]| String::from_utf8_lossy(body).replace(nodes.a.address(), nodes.b.address());
        assert_eq!(shown(&at_a.1), shown(&at_b.1), "{path}");
    }
    let archive = workdir.path().join("out.tar");
    let remote = format!("--remote={}", url(&nodes.b, "alice"));
    let to = format!("--output={}", archive.display());
    workdir.git("", &["archive", &remote, &to, "main"]).await.ok();
    assert!(std::fs::metadata(archive).unwrap().len() > 0);
    // A HEAD request has the size of the body.
    let raw = format!("http://{}{api}/raw/main/README", nodes.b.address());
    let answer = soon(reqwest::Client::new().head(raw).send()).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "6");

    // A change that needs the refs, and a deletion.
    workdir.git("work", &["push", "--quiet", &url(&nodes.b, "alice"), "main:next"]).await.ok();
    let at_b = login(&nodes.b, "alice").await;
    let change = json!({"default_branch": "next"});
    let changed = at_b.send(reqwest::Method::PATCH, api, Some(&change), &[]).await.unwrap();
    assert_eq!((changed.status, &changed.body["default_branch"]), (200, &json!("next")), "{}", changed.body);
    let change = json!({"default_branch": "none"});
    let refused = at_b.send(reqwest::Method::PATCH, api, Some(&change), &[]).await.unwrap();
    assert_eq!((refused.status, refused.code()), (422, "validation"), "{}", refused.body);

    // A repository that is created at the other node is stored there.
    at_b.post("/api/projects/alice/hello/repos/create", &json!({"name": "two"})).await.unwrap();
    assert_eq!(nodes.query("SELECT storage FROM repositories WHERE name = 'two'"), "b");
    assert_eq!(nodes.on_disk(), [1, 1]);
    let deleted = alice.send(reqwest::Method::DELETE, "/api/projects/alice/hello/repos/two", None, &[]);
    assert_eq!(deleted.await.unwrap().status, 204);
    until(async || nodes.on_disk() == [1, 0]).await;

    let (_, metrics) = nodes.b.operations("/metrics").await;
    let answered =
        metrics.lines().find(|line| line.starts_with("netbit_proxied_total{outcome=\"answered\"}"));
    assert!(answered.is_some_and(|line| !line.ends_with(" 0")), "{answered:?}");
    nodes.a.stop().await;
    nodes.b.stop().await;
}

/// Returns the head and the body of an answer, without its date and the request id of the server.
async fn answer(client: &HttpClient, path: &str, repository: &str, headers: &[(&str, &str)]) -> String {
    let at = path.replace('R', repository);
    let answer = client.send(reqwest::Method::GET, &at, None, headers).await.unwrap();
    let id = answer.header("x-request-id").unwrap().to_owned();
    assert!(!answer.body.is_object() || answer.body["request_id"] == id.as_str(), "{}", answer.body);
    let of_answer = answer.headers.iter().filter(|(name, _)| *name != "date");
    let mut lines: Vec<_> =
        of_answer.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    let shown = format!("{} {} {}", answer.status, lines.join(" "), answer.body);
    let own = if headers.is_empty() { id.as_str() } else { "\0" };
    shown.replace(own, "ID").replace(repository, "R")
}

#[actix_web::test]
async fn node_that_is_down_is_named_to_readers_only() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "private").await;
    nodes.a.http.register("bob", PASSWORD).await.unwrap();
    let (alice, bob) = (login(&nodes.b, "alice").await, login(&nodes.b, "bob").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let api = "/api/projects/alice/hello/repos/web/branches";
    let refused = async |node: &Process| {
        assert_eq!(bob.get(api).await.unwrap().status, 404);
        assert_eq!(node.http.get(api).await.unwrap().status, 401);
        workdir.git("", &["ls-remote", &url(node, "bob")]).await.refused("not found");
        let anonymous = format!("http://{}/alice/hello/web", node.address());
        workdir.git("", &["ls-remote", &anonymous]).await.refused("could not read Username");
    };
    refused(&nodes.b).await;
    assert_eq!(alice.get(api).await.unwrap().status, 200);
    // Answers about a repository of another node and about none are equal.
    for path in ["/api/projects/alice/hello/repos/R/branches", "/api/projects/alice/hello/repos/R"] {
        for with_id in [&[("x-request-id", "mine")][..], &[]] {
            for client in [&bob, &nodes.b.http] {
                let private = answer(client, path, "web", with_id).await;
                assert_eq!(private, answer(client, path, "wob", with_id).await, "{path} {with_id:?}");
                assert!(private.contains("x-request-id: mine") || with_id.is_empty(), "{private}");
            }
        }
    }

    nodes.a.kill();
    // The first request meets the refused connection; later ones are not tried for a while.
    for _ in 0..3 {
        let answer = alice.get(api).await.unwrap();
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert!(answer.body["detail"].as_str().unwrap().contains("node a"), "{}", answer.body);
    }
    refused(&nodes.b).await;
    // A deletion waits for pushes at the storage node. A description needs no files.
    let web = "/api/projects/alice/hello/repos/web";
    let deleted = alice.send(reqwest::Method::DELETE, web, None, &[]).await.unwrap();
    assert_eq!(deleted.status, 503, "{}", deleted.body);
    let change = json!({"description": "mine"});
    let changed = alice.send(reqwest::Method::PATCH, web, Some(&change), &[]).await.unwrap();
    assert_eq!(changed.status, 200, "{}", changed.body);
    let sentence = "the node a, which stores this repository, cannot be reached; try again in 5 s";
    workdir.git("", &["ls-remote", &url(&nodes.b, "alice")]).await.refused(sentence);
    workdir.git("work", &["push", "--quiet", &url(&nodes.b, "alice"), "main"]).await.refused(sentence);
    let chat = alice.create_group("team", &["bob"]).await.unwrap();
    let said = json!({"content": "still here"});
    let answer = alice.post(&format!("/api/chats/{chat}/messages"), &said).await.unwrap();
    assert_eq!(answer.status, 201, "the chat goes on");

    // It starts again, at another address.
    nodes.a = nodes.start_a().await;
    let pushed = async || workdir.git("work", &["push", "--quiet", &url(&nodes.b, "alice"), "main"]).await;
    until(async || pushed().await.success).await;
    refused(&nodes.b).await;
    // So does the other node.
    nodes.b.stop().await;
    nodes.b = Process::with(nodes.folders[1].path(), &environment(&nodes.database, "b")).await;
    workdir.git("", &["clone", "--quiet", &url(&nodes.b, "alice"), "clone"]).await.ok();
    nodes.a.stop().await;
    nodes.b.stop().await;
}

#[actix_web::test]
async fn node_that_hangs_is_given_up() {
    use rustix::process::{Signal, kill_process};
    let short = [("NETBIT_LIMITS__GIT_PATIENCE_MS", "1000"), ("NETBIT_LIMITS__GIT_COMPUTE_MS", "1000")];
    let Some(nodes) = Nodes::start(&short).await else { return };
    hello_web(&nodes.a, "private").await;
    let alice = login(&nodes.b, "alice").await;
    let api = "/api/projects/alice/hello/repos/web/branches";
    assert_eq!(alice.get(api).await.unwrap().status, 200);
    // The kernel still accepts connections for the process.
    kill_process(nodes.a.pid(), Signal::STOP).unwrap();
    let answer = soon(alice.get(api)).await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body["detail"].as_str().unwrap().contains("node a"), "{}", answer.body);
    // Its next requests connect to it no more, and later none: its row is old.
    nodes.query("UPDATE nodes SET seen_at = seen_at - 31000 WHERE name = 'a'");
    let refused = "netbit_proxied_total{outcome=\"unreachable\"}";
    until(async || {
        assert_eq!(alice.get(api).await.unwrap().status, 503);
        let (_, metrics) = nodes.b.operations("/metrics").await;
        metrics.lines().any(|line| line.starts_with(refused) && !line.ends_with(" 0"))
    })
    .await;
    kill_process(nodes.a.pid(), Signal::CONT).unwrap();
    until(async || alice.get(api).await.unwrap().status == 200).await;
    nodes.a.stop().await;
    nodes.b.stop().await;
}

#[actix_web::test]
async fn client_address_is_forwarded_and_cannot_be_forged() {
    if !postgres::is_used() {
        return skip("needs PostgreSQL");
    }
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let database = postgres::url(folders[0].path()).unwrap();
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("a.log");
    let level = ("NETBIT_LOG__LEVEL", "info");
    let of_a = [&environment(&database, "a")[..], &[level]].concat();
    let a = Process::logging(folders[0].path(), &of_a, &log).await;
    let of_b = [&environment(&database, "b")[..], &[("NETBIT_HTTP__TRUSTED_PROXIES", "127.0.0.1")]].concat();
    let b = Process::with(folders[1].path(), &of_b).await;
    hello_web(&a, "public").await;
    let ask = async |node: &Process, header: (&str, &str)| {
        let path = "/api/projects/alice/hello/repos/web/branches";
        let url = format!("http://{}{path}", node.address());
        let request =
            reqwest::Client::new().get(url).header("x-request-id", header.1.replace([' ', ','], "-"));
        assert_eq!(soon(request.header(header.0, header.1).send()).await.unwrap().status(), 200);
    };
    // A proxy that only b trusts names the client to b, and b to a.
    ask(&b, ("x-forwarded-for", "203.0.113.9")).await;
    // Headers that no node has signed are ignored.
    ask(&a, ("netbit-hop", "203.0.113.77 0 0 AAAA")).await;
    ask(&a, ("x-forwarded-for", "203.0.113.78")).await;
    ask(&b, ("netbit-hop", "203.0.113.79 0 0 AAAA")).await;
    a.stop().await;
    b.stop().await;
    let lines: Vec<serde_json::Value> = std::fs::read_to_string(log)
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &serde_json::Value| {
            line["path"].as_str().is_some_and(|path| path.ends_with("/branches"))
        })
        .collect();
    let clients: Vec<_> = lines.iter().map(|line| line["client"].as_str().unwrap()).collect();
    assert_eq!(clients, ["203.0.113.9", "127.0.0.1", "127.0.0.1", "127.0.0.1"], "{lines:#?}");
}

/// Returns a connection on which the head of a push was sent, but not its body.
async fn stalled_push(node: &Process) -> TcpStream {
    use base64::Engine;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("alice:{PASSWORD}"));
    let mut socket = TcpStream::connect(node.address()).await.unwrap();
    let head = format!(
        "POST /alice/hello/web/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
         Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 1000000\r\n\r\n00"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

#[actix_web::test]
async fn stalled_uploads_through_a_node_block_no_other_push() {
    let Some(mut nodes) = Nodes::start(&[("NETBIT_LIMITS__GIT_WRITES", "6")]).await else { return };
    let alice = hello_web(&nodes.a, "private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let mut stalled = Vec::new();
    for _ in 0..2 {
        stalled.push(stalled_push(&nodes.b).await);
    }
    workdir.git("work", &["push", "--quiet", &url(&nodes.b, "alice"), "main"]).await.ok();
    assert_eq!(alice.get("/api/chats").await.unwrap().status, 200);
    // The end of the forwarding node ends its uploads at the storage node.
    nodes.b.kill();
    let free = "netbit_pool_inside{pool=\"git_writes\"} 0\n";
    until(async || nodes.a.operations("/metrics").await.1.contains(free)).await;
    workdir.commit("work", "two", "two", "second").await;
    workdir.git("work", &["push", "--quiet", &url(&nodes.a, "alice"), "main"]).await.ok();
    assert_eq!(push_events(&alice).await, 2);
    drop(stalled);
    nodes.a.stop().await;
}

/// Requests were refused for seconds after the storage node was ready, because of its old row.
#[actix_web::test]
async fn storage_node_is_used_again_once_it_is_ready() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    nodes.b.stop().await;
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("log");
    let of_b = environment(&nodes.database, "b");
    nodes.b = Process::logging(nodes.folders[1].path(), &of_b, &log).await;
    hello_web(&nodes.a, "public").await;
    let page = "/alice/hello/web";
    until(async || get(&nodes.b, page).await.0 == 200).await;
    for _ in 0..2 {
        nodes.a.stop().await;
        // Closes the node for 2 s.
        assert_eq!(get(&nodes.b, page).await.0, 503);
        nodes.a = Process::with(nodes.folders[0].path(), &environment(&nodes.database, "a")).await;
        let mut tries = 1;
        while get(&nodes.b, page).await.0 != 200 {
            tries += 1;
            // Its address may be recorded after the first one.
            assert!(tries <= 10, "a node that is ready is not tried");
        }
    }
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(!logged.contains("it has not run for 30 s"), "{logged}");
    nodes.a.stop().await;
    nodes.b.stop().await;
}

#[actix_web::test]
async fn push_through_a_node_survives_the_end_of_either_node() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;

    // The storage node ends after the ref has moved, before the push is recorded.
    nodes.a.kill();
    let fail =
        [&environment(&nodes.database, "a")[..], &[("FAILPOINTS", "settlement.before=return")]].concat();
    nodes.a = Process::with(nodes.folders[0].path(), &fail).await;
    let push = async || workdir.git("work", &["push", "--quiet", &url(&nodes.b, "alice"), "main"]).await;
    let said =
        eventually(async || Some(push().await).filter(|said| !said.err.contains("cannot be reached"))).await;
    said.refused("");
    assert_eq!(nodes.a.end().await, None, "the storage node was killed");
    nodes.a = nodes.start_a().await;
    let at_b = login(&nodes.b, "alice").await;
    until(async || push_events(&at_b).await == 1).await;
    let listed = eventually(async || {
        let said = workdir.git("", &["ls-remote", &url(&nodes.b, "alice"), "refs/heads/main"]).await;
        said.success.then_some(said.out)
    });
    let head = workdir.head("work").await;
    assert!(listed.await.starts_with(&head), "the ref has moved");

    // The forwarding node ends during a push: its client gets no answer, and the repository works.
    workdir.commit("work", "two", "two", "second").await;
    let stalled = stalled_push(&nodes.b).await;
    nodes.b.kill();
    workdir.git("work", &["push", "--quiet", &url(&nodes.a, "alice"), "main"]).await.ok();
    drop(stalled);
    let at_a = login(&nodes.a, "alice").await;
    assert_eq!(push_events(&at_a).await, 2);
    nodes.b = nodes.start_b().await;
    workdir.git("", &["clone", "--quiet", "--mirror", &url(&nodes.b, "alice"), "mirror"]).await.ok();
    workdir.git("mirror", &["fsck", "--strict"]).await.ok();
    nodes.a.stop().await;
    nodes.b.stop().await;
}
