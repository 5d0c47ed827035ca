//! The server fails at a chosen place: between COMMIT and fan-out, in fsync, between a ref and its
//! event, in the middle of a migration or a backup, and in every actor. The server always runs as a
//! child process, because a fail point applies to a whole process.

use std::path::Path;

use netbit::client::{HttpClient, TcpClient, TcpError, saying};
use netbit::core::fail_points::{BEFORE_COMMIT, NAMES};
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;
use netbit::protocol::packet::MessagePacket;
use serde_json::json;

use super::kills::whole_history;
use crate::harness::git::GitWorkdir;
use crate::harness::{PASSWORD, Process, database, eventually, postgres, soon, until};

/// Alice and Bob, who share a chat, and the directory of a server that was killed after this setup.
struct Fixture {
    directory: tempfile::TempDir,
    alice: String,
    bob: String,
    chat: ChatId,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Process::start(directory.path()).await;
        for name in ["alice", "bob"] {
            server.http.register(name, PASSWORD).await.unwrap();
        }
        let login = async |name| server.http.login(name, PASSWORD).await.unwrap().token;
        let (alice, bob) = (login("alice").await, login("bob").await);
        let chat = server.http.with_token(&alice).create_group("team", &["bob"]).await.unwrap();
        server.kill();
        Self { directory, alice, bob, chat }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    async fn failing(&self, points: &str) -> Process {
        Process::with(self.path(), &[("FAILPOINTS", points)]).await
    }

    /// Sends a message that gets no answer, because the server ends at `point`.
    ///
    /// The server makes its own commits at startup, which may reach the point first. The attempt is
    /// then repeated, unless the message must not be stored.
    async fn send_until_killed_at(&self, point: &str) -> (ClientId, &'static str) {
        let (name, content) = (ClientId::fresh(), "said once");
        for _ in 0..20 {
            let mut server = self.failing(&format!("{point}=return")).await;
            if let Ok((mut session, _)) = TcpClient::open(server.tcp(), &self.alice).await {
                let answer = soon(session.request(saying(self.chat, name, content))).await;
                assert!(matches!(answer, Err(TcpError::Io(_) | TcpError::Closed(_))), "{answer:?}");
            }
            assert_eq!(server.end().await, None, "{point} kills the process");
            let mut db = database::reader(self.path());
            let stored = "SELECT count(*) AS value FROM messages WHERE content = 'said once'";
            if point == BEFORE_COMMIT || db.integer(stored) > 0 {
                return (name, content);
            }
        }
        panic!("the message was never stored before {point}");
    }

    async fn contents(&self, http: &HttpClient) -> Vec<(String, i64)> {
        let (page, _) = http.with_token(&self.alice).messages(self.chat, "?limit=100").await.unwrap();
        page.into_iter().map(|message| (message.content, message.id.0)).collect()
    }

    /// Checks that messages flow between the two users, and that the database is intact.
    async fn assert_intact(&self) {
        let mut server = Process::start(self.path()).await;
        let (mut alice, _) = TcpClient::open(server.tcp(), &self.alice).await.unwrap();
        let (mut bob, _) = TcpClient::open(server.tcp(), &self.bob).await.unwrap();
        assert!(alice.say(self.chat, "still here").await.unwrap().success);
        wait_for_message(&mut bob, "still here").await;
        server.kill();
        database::assert_integrity(self.path());
    }
}

/// Waits until the session receives a message with this content.
async fn wait_for_message(session: &mut TcpClient, content: &str) {
    loop {
        let packet = soon(session.any()).await.unwrap();
        if packet.message.is_some_and(|message| message.content == content) {
            return;
        }
    }
}

#[actix_web::test]
async fn retry_returns_same_message_when_killed_before_the_ack() {
    let fixture = Fixture::new().await;
    for point in ["answer.before", "commit.after"] {
        let (name, content) = fixture.send_until_killed_at(point).await;
        let mut server = Process::start(fixture.path()).await;
        let before = fixture.contents(&server.http).await;
        let (_, id) = before.last().unwrap().clone();
        assert_eq!(before.last().unwrap().0, content, "{point}: the committed message is stored");
        let (mut session, _) = TcpClient::open(server.tcp(), &fixture.alice).await.unwrap();
        let ack = session.request(saying(fixture.chat, name, content)).await.unwrap();
        assert!(ack.success && ack.duplicate == Some(true), "{ack:?}");
        assert_eq!(ack.message_id.unwrap().0, id);
        assert_eq!(fixture.contents(&server.http).await, before, "the message is stored once");
        server.kill();
    }
    fixture.assert_intact().await;
}

#[actix_web::test]
async fn retry_is_stored_as_first_when_killed_before_commit() {
    let fixture = Fixture::new().await;
    let (name, content) = fixture.send_until_killed_at("commit.before").await;
    let server = Process::start(fixture.path()).await;
    assert_eq!(fixture.contents(&server.http).await, []);
    let (mut session, _) = TcpClient::open(server.tcp(), &fixture.alice).await.unwrap();
    let ack = session.request(saying(fixture.chat, name, content)).await.unwrap();
    assert!(ack.success && ack.duplicate != Some(true), "{ack:?}");
    assert_eq!(fixture.contents(&server.http).await.len(), 1);
    server.stop().await;
}

#[actix_web::test]
async fn resume_delivers_message_when_killed_before_fan_out() {
    let fixture = Fixture::new().await;
    let (epoch, seen) = {
        let server = Process::start(fixture.path()).await;
        let (mut bob, welcome) = TcpClient::open(server.tcp(), &fixture.bob).await.unwrap();
        let (mut alice, _) = TcpClient::open(server.tcp(), &fixture.alice).await.unwrap();
        let ack = alice.say(fixture.chat, "heard").await.unwrap();
        wait_for_message(&mut bob, "heard").await;
        (u64::try_from(welcome.epoch.unwrap()).unwrap(), u64::try_from(ack.seq.unwrap()).unwrap())
    };
    let (_, content) = fixture.send_until_killed_at("commit.after").await;
    let server = Process::start(fixture.path()).await;
    let (mut bob, _) = TcpClient::open(server.tcp(), &fixture.bob).await.unwrap();
    let resume = MessagePacket {
        packet_type: "Resume".into(),
        epoch: Some(epoch),
        cursors: Some([(fixture.chat, seen)].into()),
        ..MessagePacket::default()
    };
    bob.writer.send(&resume).await.unwrap();
    wait_for_message(&mut bob, content).await;
    server.stop().await;
}

/// After an fsync error it is unknown whether the commit is durable.
#[actix_web::test]
async fn fsync_error_ends_process_and_acknowledges_nothing_later() {
    if postgres::skips("the outcome of a failed COMMIT is read from the log of commits") {
        return;
    }
    let fixture = Fixture::new().await;
    // The server makes up to three of these commits by itself at startup.
    let mut server = fixture.failing("commit.fails=5*off->return").await;
    let (mut session, _) = TcpClient::open(server.tcp(), &fixture.alice).await.unwrap();
    let mut acknowledged = 0;
    for n in 0..20 {
        match soon(session.say(fixture.chat, &n.to_string())).await {
            Ok(ack) => acknowledged += usize::from(ack.success),
            Err(TcpError::Refused(nack)) => assert_eq!(nack.code.as_deref(), Some("internal")),
            Err(_) => break,
        }
    }
    assert!((1..=5).contains(&acknowledged), "{acknowledged} acknowledged: none after the error");
    assert_eq!(server.end().await, Some(74));
    let server = Process::start(fixture.path()).await;
    assert_eq!(fixture.contents(&server.http).await.len(), acknowledged);
    drop(server);
    fixture.assert_intact().await;
}

/// On PostgreSQL, the answer of a COMMIT is lost with the connection. The log of commits shows that
/// the message is stored, so it is acknowledged and not sent again.
#[actix_web::test]
async fn lost_answer_of_a_commit_is_read_from_the_log() {
    if !postgres::is_used() {
        return;
    }
    let fixture = Fixture::new().await;
    // The first commit may belong to the start. The answer of the second is lost.
    let server = fixture.failing("commit.unclear=1*off->1*return->off").await;
    let (mut session, _) = TcpClient::open(server.tcp(), &fixture.alice).await.unwrap();
    for content in ["one", "two", "three"] {
        let ack = soon(session.say(fixture.chat, content)).await.unwrap();
        assert!(ack.success && ack.duplicate != Some(true), "{ack:?}");
    }
    let said: Vec<_> = fixture.contents(&server.http).await.into_iter().map(|(content, _)| content).collect();
    assert_eq!(said, ["one", "two", "three"]);
    let (_, metrics) = server.operations("/metrics").await;
    assert!(metrics.contains("outcome=\"committed\""), "{metrics}");
    server.stop().await;
}

/// A full disk does not end the server. Writes are refused with a code, reads are served, and
/// writes resume when there is space.
#[actix_web::test]
async fn full_disk_refuses_writes_serves_reads_and_recovers() {
    if postgres::skips("the outcome of a failed COMMIT is read from the log of commits") {
        return;
    }
    let fixture = Fixture::new().await;
    let environment =
        [("FAILPOINTS", "commit.full=1*off->1*return->off"), ("NETBIT_LIMITS__READ_ONLY_PROBE_MS", "300")];
    let server = Process::with(fixture.path(), &environment).await;
    let (mut session, _) = TcpClient::open(server.tcp(), &fixture.alice).await.unwrap();
    assert!(session.say(fixture.chat, "before").await.unwrap().success);
    let Err(TcpError::Refused(nack)) = session.say(fixture.chat, "too much").await else { panic!() };
    assert_eq!(nack.code.as_deref(), Some("read_only"));
    let http = server.http.with_token(&fixture.alice);
    let posted = http.post(&format!("/api/chats/{}/messages", fixture.chat), &json!({"content": "x"})).await;
    assert_eq!((posted.as_ref().unwrap().status, posted.unwrap().code()), (507, "read_only"));
    assert_eq!(fixture.contents(&server.http).await.len(), 1, "reads are served");
    until(async || session.say(fixture.chat, "after").await.is_ok()).await;
    let said: Vec<_> = fixture.contents(&server.http).await.into_iter().map(|(content, _)| content).collect();
    assert_eq!(said, ["before", "after"], "the refused message is not stored");
    server.stop().await;
}

#[actix_web::test]
async fn acknowledged_messages_survive_a_kill_around_a_checkpoint() {
    if postgres::skips("the test is killed at checkpoints of netbit.db") {
        return;
    }
    let fixture = Fixture::new().await;
    let mut acknowledged = Vec::new();
    for point in ["checkpoint.before", "checkpoint.after"] {
        let points = format!("{point}=1*off->return");
        let environment = [("FAILPOINTS", points.as_str()), ("NETBIT_LIMITS__CHECKPOINT_BYTES", "65536")];
        let mut server = Process::with(fixture.path(), &environment).await;
        let (mut session, _) = TcpClient::open(server.tcp(), &fixture.alice).await.unwrap();
        loop {
            let content = format!("{point} {}", acknowledged.len());
            let Ok(ack) = soon(session.say(fixture.chat, &content)).await else { break };
            acknowledged.push((content, ack.message_id.unwrap().0));
            assert!(acknowledged.len() < 10_000, "{point} was not reached");
        }
        assert_eq!(server.end().await, None, "{point} kills the process");
    }
    let server = Process::start(fixture.path()).await;
    let stored = whole_history(&server.http.with_token(&fixture.alice), fixture.chat).await;
    let stored: Vec<_> = stored.into_iter().map(|message| (message.content, message.id.0)).collect();
    for message in &acknowledged {
        assert_eq!(stored.iter().filter(|stored| *stored == message).count(), 1, "{message:?}");
    }
    drop(server);
    fixture.assert_intact().await;
}

#[actix_web::test]
async fn next_start_continues_after_a_kill_between_two_migrations() {
    let directory = tempfile::tempdir().unwrap();
    let count = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).unwrap().count();
    // PostgreSQL has a single migration, so the kill is before it.
    let kills: &[usize] = if postgres::is_used() { &[0, 0] } else { &[1, 2, 1] };
    for done in kills {
        let points = match done {
            0 => "migration.before=return".to_owned(),
            _ => format!("migration.before={done}*off->return"),
        };
        let started = Process::try_with(directory.path(), &[("FAILPOINTS", &points)]).await;
        assert_eq!(started.err().unwrap().code(), None, "the migration is killed");
        database::assert_integrity(directory.path());
    }
    assert!(count > 5, "migrations are left to run");
    let mut server = Process::start(directory.path()).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    server.kill();
    database::assert_integrity(directory.path());
}

#[actix_web::test]
async fn killed_backup_is_refused_by_restore_and_next_one_is_whole() {
    let fixture = Fixture::new().await;
    let server = Process::start(fixture.path()).await;
    server.http.with_token(&fixture.alice).post_message(fixture.chat, "kept").await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let backup = |target: &str, points: &str| {
        let target = place.path().join(target);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netbit"));
        command.args(["backup", "--data-dir"]).arg(fixture.path()).arg(&target).env("FAILPOINTS", points);
        command.envs(postgres::environment(fixture.path()));
        (command.output().unwrap().status, target)
    };
    let restore = |from: &Path, to: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netbit"));
        let to = place.path().join(to);
        command.envs(postgres::environment(&to));
        (command.arg("restore").arg(from).arg("--data-dir").arg(&to).output().unwrap().status, to)
    };
    let (killed, half) = backup("half", "manifest.before=return");
    assert_eq!(killed.code(), None);
    assert!(!restore(&half, "nowhere").0.success(), "an incomplete backup is refused");
    let (taken, whole) = backup("whole", "");
    assert!(taken.success());
    let (restored, to) = restore(&whole, "elsewhere");
    assert!(restored.success());
    drop(server);
    let server = Process::start(&to).await;
    let alice = server.http.login("alice", PASSWORD).await.unwrap().token;
    let (page, _) = server.http.with_token(alice).messages(fixture.chat, "").await.unwrap();
    assert_eq!(page[0].content, "kept");
    server.stop().await;
}

/// A push whose commits end the process that reads them also ended every later start. Attempts are
/// counted before they are made; after the last attempt the push is announced without its commits.
#[actix_web::test]
async fn push_that_kills_its_reader_is_settled_without_commits() {
    let fixture = Fixture::new().await;
    let mut server = fixture.failing("push.reading=return").await;
    let url = format!("http://alice:{}@{}/alice/hello/web", PASSWORD.replace(' ', "%20"), server.address());
    let http = server.http.with_token(&fixture.alice);
    http.post("/api/projects/create", &json!({"name": "hello"})).await.unwrap().success().unwrap();
    let made = http.post("/api/projects/alice/hello/repos/create", &json!({"name": "web"})).await.unwrap();
    made.success().unwrap();
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    assert!(!workdir.git("work", &["push", "--quiet", &url, "main"]).await.success);
    assert_eq!(server.end().await, None, "killed by the push");
    for attempt in 1..=3 {
        // The server is ready each time: settlement runs in the background.
        let mut server = fixture.failing("push.reading=return").await;
        assert_eq!(server.end().await, None, "killed by attempt {attempt}");
    }
    let server = fixture.failing("push.reading=return").await;
    let http = server.http.with_token(&fixture.alice);
    let push = eventually(async || {
        let chats = http.get("/api/chats").await.unwrap().body;
        let chats = chats["items"].as_array().unwrap().clone();
        let channel = chats.iter().find(|chat| chat["kind"] == "channel").unwrap()["id"].clone();
        let page = http.get(&format!("/api/chats/{channel}/events?limit=100")).await.unwrap().body;
        let items = page["items"].as_array().unwrap().clone();
        items.into_iter().find(|event| event["kind"] == "push").map(|event| event["push"].clone())
    })
    .await;
    assert_eq!(
        (&push["refs"][0]["ref"], &push["commit_count"]),
        (&json!("refs/heads/main"), &json!(0)),
        "{push}"
    );
    server.stop().await;
}

/// The ref is on disk and the event is not: git and the database are two systems that must agree.
#[actix_web::test]
async fn event_appears_once_when_killed_between_ref_and_event() {
    let fixture = Fixture::new().await;
    let url = |server: &Process| {
        format!("http://alice:{}@{}/alice/hello/web", PASSWORD.replace(' ', "%20"), server.address())
    };
    let mut server = fixture.failing("settlement.before=return").await;
    let http = server.http.with_token(&fixture.alice);
    http.post("/api/projects/create", &json!({"name": "hello"})).await.unwrap().success().unwrap();
    let made = http.post("/api/projects/alice/hello/repos/create", &json!({"name": "web"})).await.unwrap();
    made.success().unwrap();
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    assert!(!workdir.git("work", &["push", "--quiet", &url(&server), "main"]).await.success);
    assert_eq!(server.end().await, None, "the push kills the server");

    let server = Process::start(fixture.path()).await;
    let http = server.http.with_token(&fixture.alice);
    let chats = http.get("/api/chats").await.unwrap().body;
    let channel = chats["items"].as_array().unwrap().iter().find(|chat| chat["kind"] == "channel").unwrap();
    let events = async || {
        let page = http.get(&format!("/api/chats/{}/events?limit=100", channel["id"])).await.unwrap().body;
        page["items"].as_array().unwrap().iter().filter(|event| event["kind"] == "push").count()
    };
    until(async || events().await > 0).await;
    let tip = workdir.git("work", &["ls-remote", &url(&server), "main"]).await.ok();
    assert!(tip.starts_with(&workdir.head("work").await), "the ref has moved");
    assert_eq!(events().await, 1);
    server.stop().await;
}

/// Returns the number of panics and restarts from the server's metrics.
async fn panics(server: &Process) -> f64 {
    let (_, metrics) = server.operations("/metrics").await;
    let counts = ["netbit_actor_panics_total", "netbit_actor_restarts_total"];
    let told = metrics.lines().filter(|line| counts.iter().any(|count| line.starts_with(count)));
    told.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// After a panic an actor restarts with the state of the database, or the process ends.
#[actix_web::test]
async fn panic_in_any_actor_leaves_a_working_or_an_ended_server() {
    let places = ["cache.publish", "writer.flush", "hub.lane", "presence.say", "session.frame", "eviction"];
    for place in places {
        let fixture = Fixture::new().await;
        let points = format!("{place}=1*off->1*panic->off");
        // So little memory that a second window must be evicted.
        let environment = [("FAILPOINTS", points.as_str()), ("NETBIT_CACHE__MAX_BYTES", "1")];
        let mut server = Process::with(fixture.path(), &environment).await;
        let mut acknowledged = Vec::new();
        for n in 0..20 {
            let content = format!("{place} {n}");
            let Ok((mut session, _)) = soon(TcpClient::open(server.tcp(), &fixture.alice)).await else {
                continue;
            };
            let status = MessagePacket {
                packet_type: "Status".into(),
                status: Some(if n % 2 == 0 { "away" } else { "online" }.into()),
                ..MessagePacket::default()
            };
            drop(session.writer.send(&status).await);
            if soon(session.say(fixture.chat, &content)).await.is_ok() {
                acknowledged.push(content);
            }
            let read = MessagePacket {
                packet_type: "GetMessages".into(),
                chat_id: Some(fixture.chat),
                ..MessagePacket::default()
            };
            drop(soon(session.ask(read)).await);
        }
        if !server.has_ended() {
            println!("{place}: waiting for its panic");
            until(async || panics(&server).await >= 1.0).await;
            assert_eq!(server.operations("/readyz").await.0, 200, "{place}");
            assert!(acknowledged.len() >= 15, "{place}: {} of 20", acknowledged.len());
        }
        server.kill();
        let server = Process::start(fixture.path()).await;
        let stored = fixture.contents(&server.http).await;
        let stored: Vec<_> = stored.into_iter().map(|(content, _)| content).collect();
        for content in &acknowledged {
            let count = stored.iter().filter(|stored| *stored == content).count();
            assert_eq!(count, 1, "{place}: {content}");
        }
        drop(server);
        fixture.assert_intact().await;
    }
}

#[test]
fn every_fail_point_is_hit_by_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let files = ["fail_points.rs", "files.rs", "history/mod.rs", "postgres.rs", "postgres/mutations.rs"];
    let files = files.map(|file| format!("durability/{file}"));
    let others = ["cluster/proof/mod.rs", "database_copy.rs", "hostile/pictures.rs"].map(str::to_owned);
    let files = files.into_iter().chain(others);
    let text: String = files.map(|file| std::fs::read_to_string(folder.join(file)).unwrap()).collect();
    for name in NAMES {
        let named = text.contains(&format!("\"{name}")) || text.contains(&format!("{name}="));
        assert!(named, "no test hits {name}");
    }
}

/// When two pushes create a repository at the same time, the second waits until the first has
/// created it. A kill in between leaves nothing that would block the next push.
#[actix_web::test]
async fn repository_is_created_once_and_again_after_a_kill() {
    let fixture = Fixture::new().await;
    let with = async |points: &str| {
        let environment = [("FAILPOINTS", points), ("NETBIT_GIT__PUSH_TO_CREATE", "true")];
        Process::with(fixture.path(), &environment).await
    };
    let url = |server: &Process| {
        format!("http://alice:{}@{}/alice/hello/web", PASSWORD.replace(' ', "%20"), server.address())
    };
    let mut server = with("repository.directory=return").await;
    let http = server.http.with_token(&fixture.alice);
    http.post("/api/projects/create", &json!({"name": "hello"})).await.unwrap().success().unwrap();
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["branch", "topic"]).await.ok();
    assert!(!workdir.git("work", &["push", "--quiet", &url(&server), "main"]).await.success);
    assert_eq!(server.end().await, None, "the push kills the server");

    let server = with("repository.directory=sleep(500)").await;
    let url = &url(&server);
    let push = async |branch| workdir.git("work", &["push", "--quiet", url, branch]).await.ok();
    futures_util::future::join(push("main"), push("topic")).await;
    let listed = workdir.git("", &["ls-remote", "--heads", url]).await.ok();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    server.stop().await;
}
