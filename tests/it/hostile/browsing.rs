//! Repositories that are made to cost memory when they are read, and ref names that are made to be
//! confused with others.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::answers::gauge;
use crate::harness::git::GitWorkdir;
use crate::harness::memory::{CAGE_BYTES, MIB, TREE_BYTES_MAX};
use crate::harness::{PASSWORD, Process, TestServer, soon, until};

const WEB: &str = "/api/projects/alice/hello/repos/web";

/// Alice's public repository on a server under an address-space limit. The attacker's own git
/// writes the objects.
struct Attacked {
    server: Process,
    repository: PathBuf,
    _directory: tempfile::TempDir,
}

impl Attacked {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Process::start(directory.path()).await;
        server.limit_address_space(CAGE_BYTES);
        server.http.register("alice", PASSWORD).await.unwrap();
        let token = server.http.login("alice", PASSWORD).await.unwrap().token;
        let alice = server.http.with_token(&token);
        let project = json!({"name": "hello", "visibility": "public"});
        assert_eq!(alice.post("/api/projects/create", &project).await.unwrap().status, 201);
        let made = alice.post("/api/projects/alice/hello/repos/create", &json!({"name": "web"})).await;
        assert_eq!(made.unwrap().status, 201);
        let repository = find_repository(&directory.path().join("repos")).unwrap();
        Self { server, repository, _directory: directory }
    }

    /// Runs `git fast-import` in the repository, as if the objects had been pushed.
    async fn import(&self, stream: String) {
        let repository = self.repository.clone();
        let work = move || {
            let mut child = Command::new("git")
                .args(["-c", "core.bigFileThreshold=1g", "fast-import", "--quiet"])
                .env("GIT_DIR", &repository)
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), stream.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success());
        };
        soon(tokio::task::spawn_blocking(work)).await.unwrap();
    }

    /// Sends an anonymous request and reads nothing.
    async fn ask(&self, path: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.server.address()).await.unwrap();
        let request = format!("GET {WEB}{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    /// Returns the statuses that an anonymous client gets for several requests at once.
    async fn statuses(&self, path: &str, times: usize) -> Vec<u16> {
        let mut sockets = Vec::new();
        for _ in 0..times {
            sockets.push(self.ask(path).await);
        }
        let mut statuses = Vec::new();
        for mut socket in sockets {
            let mut answer = Vec::new();
            let read =
                tokio::time::timeout(std::time::Duration::from_secs(120), socket.read_to_end(&mut answer));
            read.await.unwrap().unwrap();
            statuses.push(String::from_utf8_lossy(&answer[9..12]).parse().unwrap());
        }
        statuses
    }
}

fn find_repository(folder: &Path) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find_map(|path| {
        let is_repository = path.extension().is_some_and(|extension| extension == "git");
        if is_repository { Some(path) } else { find_repository(&path) }
    })
}

/// Regression: a merge of commits that consist almost only of a message. Each message of 250 KB
/// stayed on the heap until the walk reached its commit.
#[actix_web::test]
async fn history_of_huge_commits_stays_within_memory() {
    let attacked = Attacked::start().await;
    let mut stream = String::new();
    let message = "x".repeat(250 * 1000);
    let commit = |stream: &mut String, branch: &str, mark: usize, message: &str| {
        let length = message.len();
        writeln!(stream, "commit refs/heads/{branch}\nmark :{mark}\ncommitter a <a@b> {mark} +0000").unwrap();
        writeln!(stream, "data {length}\n{message}").unwrap();
    };
    for mark in 1..=2_000 {
        commit(&mut stream, "side", mark, &format!("{mark} {message}"));
        stream.push_str("\nreset refs/heads/side\n\n");
    }
    commit(&mut stream, "main", 3_000, "merge");
    stream.push_str("from :1\n");
    for mark in 2..=2_000 {
        writeln!(stream, "merge :{mark}").unwrap();
    }
    stream.push('\n');
    attacked.import(stream).await;
    let memory = attacked.server.watch_memory();
    for path in ["/commits?limit=1", "/tree/main?last_commit=true", "/commits?limit=100&path=a"] {
        assert_eq!(attacked.statuses(path, 4).await, [200; 4], "{path}");
    }
    memory.assert_below(TREE_BYTES_MAX);
    attacked.server.stop().await;
}

/// Regression: forty clients request a file of 60 MiB and read none of it. Each had a copy in the
/// server's memory.
#[actix_web::test]
async fn slow_readers_of_raw_files_use_bounded_memory() {
    let attacked = Attacked::start().await;
    let content = "0123456789abcd\u{e9}\n".repeat(60 * 65_536);
    let mut stream = format!("blob\nmark :1\ndata {}\n{content}\n", content.len());
    stream.push_str("commit refs/heads/main\ncommitter a <a@b> 1 +0000\ndata 1\nm\nM 100644 :1 big\n\n");
    attacked.import(stream).await;
    let memory = attacked.server.watch_memory();
    let mut slow = Vec::new();
    for _ in 0..40 {
        slow.push(attacked.ask("/raw/main/big").await);
    }
    let mut answered = 0;
    for socket in &mut slow {
        let mut head = [0; 12];
        soon(socket.read_exact(&mut head)).await.unwrap();
        answered += usize::from(&head == b"HTTP/1.1 200");
    }
    assert!(answered >= 16, "{answered}");
    // A client that reads gets the whole file, and others are served.
    let url = format!("http://{}{WEB}/raw/main/big", attacked.server.address());
    let whole = soon(reqwest::get(url)).await.unwrap();
    assert_eq!(whole.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(soon(whole.bytes()).await.unwrap() == content.as_bytes());
    assert_eq!(attacked.statuses("/tree/main", 4).await, [200; 4]);
    memory.assert_below(TREE_BYTES_MAX);
    attacked.server.stop().await;
}

/// Regression: a push of 830 bytes has ten trees, each of which names the next one ten times. git
/// wrote all of the 10^10 files.
#[actix_web::test]
async fn archive_of_nested_trees_is_refused_before_git_starts() {
    let attacked = Attacked::start().await;
    attacked.import("blob\nmark :1\ndata 1\nx\n".to_owned()).await;
    let script = r#"
        tree=$(for i in 0 1 2 3 4 5 6 7 8 9; do printf '100644 blob %s\tf%s\n' $(echo -n x | git hash-object -w --stdin) $i; done | git mktree)
        for level in 1 2 3 4 5 6 7 8 9; do
            tree=$(for i in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\td%s\n' $tree $i; done | git mktree)
        done
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        git update-ref refs/heads/main $(git commit-tree $tree -m x)"#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("GIT_DIR", &attacked.repository);
    assert!(command.status().unwrap().success());
    let memory = attacked.server.watch_memory();
    assert_eq!(attacked.statuses("/archive/main.tar.gz", 16).await, [413; 16]);
    assert_eq!(attacked.statuses("/archive/main.zip", 1).await, [413]);
    let refused = attacked.server.http.get(&format!("{WEB}/archive/main.zip")).await.unwrap();
    assert_eq!((refused.status, refused.code()), (413, "too_large"));
    assert!(refused.body["detail"].as_str().unwrap().contains("too many files"), "{}", refused.body);
    memory.assert_below(TREE_BYTES_MAX / 2);
    attacked.server.stop().await;
}

/// Regression: a `.gitattributes` file in the tree ran iconv with a charset of the pusher's choice
/// and excluded files. It also wrote a message of 20 MB into every `$Format:%B$`.
#[actix_web::test]
async fn archive_ignores_the_attributes_of_its_tree() {
    let attacked = Attacked::start().await;
    let message = "m".repeat(200_000);
    let attributes =
        "hidden export-ignore\nsubst export-subst\nconverted working-tree-encoding=UTF-16\nid ident\n";
    let subst = "$Format:%B$".repeat(1_000);
    let mut stream = format!("commit refs/heads/main\ncommitter a <a@b> 1 +0000\ndata 200000\n{message}\n");
    for (name, content) in [
        (".gitattributes", attributes),
        ("hidden", "seen"),
        ("subst", subst.as_str()),
        ("converted", "text\r\n"),
        ("id", "$Id$"),
        ("d/.gitattributes", "* export-ignore\n"),
        ("d/deep", "deep"),
    ] {
        writeln!(stream, "M 100644 inline {name}\ndata {}\n{content}", content.len()).unwrap();
    }
    stream.push('\n');
    attacked.import(stream).await;
    let memory = attacked.server.watch_memory();
    let url = format!("http://{}{WEB}/archive/main.tar.gz", attacked.server.address());
    let archive = soon(soon(reqwest::get(url)).await.unwrap().bytes()).await.unwrap();
    let workdir = tempfile::tempdir().unwrap();
    std::fs::write(workdir.path().join("a.tar.gz"), archive).unwrap();
    let mut command = Command::new("tar");
    command.args(["xzf", "a.tar.gz", "--strip-components=1"]).current_dir(workdir.path());
    assert!(command.status().unwrap().success());
    let read = |name: &str| std::fs::read_to_string(workdir.path().join(name)).unwrap();
    assert_eq!((read("hidden"), read("d/deep")), ("seen".to_owned(), "deep".to_owned()));
    assert_eq!((read("converted"), read("id")), ("text\r\n".to_owned(), "$Id$".to_owned()));
    assert!(read("subst") == subst);
    memory.assert_below(256 * MIB);
    attacked.server.stop().await;
}

/// Branches that can be mistaken for others: by a full ref name inside a name, and by invisible
/// characters.
#[actix_web::test]
async fn confusable_refs_are_refused_and_old_ones_stay_readable() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    let first = workdir.head("work").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let second = workdir.commit("work", "a", "a", "second").await;
    for name in [
        "refs/heads/refs/heads/main",
        "refs/tags/refs/tags/v1",
        "refs/heads/ma\u{202e}in",
        "refs/heads/main\u{200b}",
        "refs/tags/v1\u{2066}",
        "refs/notes/\u{feff}commits",
        "refs/heads/\u{e0041}main",
        "refs/heads/ma\u{3164}in",
    ] {
        let said = workdir.git("work", &["push", &url, &format!("main:{name}")]).await;
        said.refused("not allowed");
    }
    // Refs that were pushed before these names were refused can be read and deleted, and do not
    // shadow another ref.
    let disk = server.only_repository();
    let disk = disk.to_str().unwrap();
    workdir.git("work", &["push", "--quiet", &url, "main:topic"]).await.ok();
    for name in ["refs/heads/refs/heads/main", "refs/heads/ma\u{200b}in"] {
        workdir.git("work", &["--git-dir", disk, "update-ref", name, &second]).await.ok();
    }
    let oid = async |segment: &str| {
        let tree = alice.get(&format!("{WEB}/tree/{segment}")).await;
        tree.body["commit_oid"].as_str().map(str::to_owned)
    };
    assert_eq!(oid("refs%2Fheads%2Fmain").await, Some(first.clone()));
    assert_eq!(oid("main").await, Some(first.clone()));
    assert_eq!(oid("refs%2Fheads%2Frefs%2Fheads%2Fmain").await, Some(second.clone()));
    assert_eq!(oid("ma%E2%80%8Bin").await, Some(second.clone()));
    for name in ["refs/heads/refs/heads/main", "refs/heads/ma\u{200b}in"] {
        workdir.git("work", &["push", "--quiet", &url, &format!(":{name}")]).await.ok();
    }
    assert_eq!(oid("refs%2Fheads%2Frefs%2Fheads%2Fmain").await, None);
    // A branch takes precedence over a tag of the same name, in trees and in archives.
    workdir.git("work", &["tag", "main", &second]).await.ok();
    workdir.git("work", &["push", "--quiet", &url, "refs/tags/main"]).await.ok();
    assert_eq!(oid("main").await, Some(first.clone()));
    assert_eq!(oid("refs%2Ftags%2Fmain").await, Some(second));
    let archive = format!("http://{}{WEB}/archive/main.tar.gz", server.app.addresses.http);
    let archive = reqwest::Client::new().get(archive).bearer_auth(alice.http.token().unwrap()).send().await;
    let archive = archive.unwrap().bytes().await.unwrap();
    std::fs::write(workdir.path().join("a.tar.gz"), archive).unwrap();
    let listed = Command::new("tar").args(["tzf", "a.tar.gz"]).current_dir(workdir.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).starts_with(&format!("web-{}/", &first[..12])));
    server.stop().await;
}

/// Regression: a writer who may not rewrite a protected branch moved the tag of a release instead.
#[actix_web::test]
async fn existing_tag_is_moved_and_deleted_by_maintainers_only() {
    let server = TestServer::start().await;
    let (alice, _bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "writer").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let (as_alice, as_bob) = (server.url_as("alice", &path), server.url_as("bob", &path));
    let push =
        async |url: &str, what: &str| workdir.git("work", &["push", "--quiet", "--force", url, what]).await;
    push(&as_bob, "main:refs/tags/v1").await.ok();
    workdir.commit("work", "a", "a", "second").await;
    push(&as_bob, "main:refs/tags/v1").await.refused("role maintainer");
    push(&as_bob, ":refs/tags/v1").await.refused("role maintainer");
    push(&as_bob, "main:refs/tags/v2").await.ok();
    push(&as_alice, "main:refs/tags/v1").await.ok();
    push(&as_alice, ":refs/tags/v1").await.ok();
    server.stop().await;
}

/// Regression: a push that rewrites a protected branch was refused, but every visitor could read
/// its objects by id.
#[actix_web::test]
async fn refused_push_leaves_no_object_readable_by_id() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("public").await;
    let rules = json!({"protected_branches": [{"pattern": "main"}]});
    assert_eq!(alice.put("/api/projects/alice/hello/config", rules).await.status, 200);
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    let kept = workdir.commit("work", "a", "kept", "kept").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    workdir.git("work", &["reset", "--quiet", "--hard", "HEAD~1"]).await.ok();
    let refused = workdir.commit("work", "secret", "secret", "refused").await;
    let said = workdir.git("work", &["push", "--force", &url, "main"]).await;
    assert!(!said.success, "{}", said.err);
    for (oid, status) in [(&kept, 200), (&refused, 404)] {
        assert_eq!(server.http.get(&format!("{WEB}/commits/{oid}")).await.unwrap().status, status, "{oid}");
        assert_eq!(server.http.get(&format!("{WEB}/tree/{oid}")).await.unwrap().status, status, "{oid}");
    }
    workdir.git("", &["init", "--quiet", "other"]).await.ok();
    let anonymous = server.url(&path);
    workdir.git("other", &["fetch", "--quiet", &anonymous, &kept]).await.ok();
    assert!(!workdir.git("other", &["fetch", "--quiet", &anonymous, &refused]).await.success);
    server.stop().await;
}

/// Regression: an anonymous reader requested 24 path histories at once. Half of them were refused
/// with 503, and a folder that takes 2 ms took 2 to 11 s, because all shared the same permits.
#[actix_web::test]
async fn flood_of_histories_waits_and_does_not_delay_folders() {
    let server = TestServer::with_limits(|limits| limits.git_histories = 2).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("public").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    // The commit graph is a FIFO: each process that walks the history blocks on it until a writer
    // opens it.
    let graph = server.only_repository().join("objects/info/commit-graph");
    let made = Command::new("mkfifo").arg(&graph).status().unwrap();
    assert!(made.success());
    let base = format!("http://{}{WEB}", server.app.addresses.http);
    let questions = [
        "/commits?path=README",
        "/tree/main?last_commit=true",
        "/compare/main...main",
        "/commits?path=README&limit=1",
    ];
    let flood: Vec<_> = (0..24)
        .map(|number| {
            let url = format!("{base}{}", questions[number % questions.len()]);
            tokio::spawn(async move { reqwest::get(url).await.unwrap().status().as_u16() })
        })
        .collect();
    until(async || gauge(&server, "netbit_pool_waiting", "\"histories\"").await >= 20).await;
    for cheap in ["/tree/main", "/blob/main/README", "/raw/main/README", "/branches", "/tags"] {
        let answer = soon(reqwest::get(format!("{base}{cheap}"))).await.unwrap();
        assert_eq!(answer.status(), 200, "{cheap}");
    }
    // Opening the FIFO releases the running walks; the waiting requests find no commit graph.
    let opened = graph.with_extension("opened");
    std::fs::rename(&graph, &opened).unwrap();
    let writer =
        tokio::task::spawn_blocking(move || drop(std::fs::OpenOptions::new().write(true).open(opened)));
    for asked in flood {
        assert_eq!(soon(asked).await.unwrap(), 200);
    }
    soon(writer).await.unwrap();
    server.stop().await;
}
