//! A ref and the event that announces it belong to two systems. However the server ends between
//! them, every ref that moved gets exactly one event, and a ref that did not move gets none.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use netbit::client::HttpClient;
use netbit::core::shares::Holder;
use netbit::domain::ids::ChatId;
use netbit::storage::queries::pushes;
use serde_json::{Value, json};

use crate::harness::git::GitWorkdir;
use crate::harness::{PASSWORD, Person, Process, TestServer, database, eventually, soon, until};

/// Writes an intent into the database of a stopped server, as a push does before it lets refs move.
fn insert_intent(directory: &Path, old: Option<&str>, new: &str) {
    let refs = json!([{"ref": "refs/heads/main", "old": old, "new": new}]);
    let intent = format!(
        "INSERT INTO push_intents (repository_id, user_id, refs, base_url, client_id, state, created_at) \
         VALUES (1, 1, '{refs}', 'http://x', {client_id}, 'pending', 0)",
        client_id = database::bytes(uuid::Uuid::now_v7().as_bytes()),
    );
    database::writer(directory).execute(&intent);
}

/// Returns a server with one pushed commit and a second commit on its disk that no branch contains.
async fn prepared_server() -> (TestServer, GitWorkdir, String, String) {
    let server = TestServer::start().await;
    let (alice, _) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "reader").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let first = workdir.head("work").await;
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    let second = workdir.commit("work", "a", "a", "second").await;
    let bare = server.only_repository();
    workdir.git("work", &["push", "--quiet", bare.to_str().unwrap(), "main:refs/netbit/kept"]).await.ok();
    (server, workdir, first, second)
}

/// Waits until the background task has settled the pushes of an earlier run.
async fn settled(server: &TestServer) {
    let readers = server.app.services.readers.clone();
    until(async || {
        readers.read(Holder::Operator, |db| pushes::all_unsettled(db, None, 10)).await.unwrap().is_empty()
    })
    .await;
}

async fn announced(server: &TestServer, person: &Person) -> (usize, usize, usize) {
    settled(server).await;
    let bob = server.login("bob").await;
    let list = bob.get("/api/notifications").await.body;
    let notifications = list["items"].as_array().unwrap().iter().filter(|n| n["kind"] == "push").count();
    (person.pushes(1).await.len(), person.contents(ChatId(1)).await.len(), notifications)
}

#[actix_web::test]
async fn moved_ref_is_announced_once_after_a_kill_and_restart() {
    let (server, workdir, first, second) = prepared_server().await;
    let bare = server.only_repository();
    let server = server
        .restart(|config| {
            insert_intent(&config.data_dir.0, Some(&first), &second);
            let moved = Command::new("git")
                .args(["-C", bare.to_str().unwrap(), "update-ref", "refs/heads/main", &second])
                .status();
            assert!(moved.unwrap().success());
        })
        .await;
    let alice = server.login("alice").await;
    assert_eq!(announced(&server, &alice).await, (2, 2, 2));
    assert_eq!(alice.pushes(1).await[1]["refs"][0]["new"], second);
    // A second restart does not announce it again.
    let server = server.restart(|_| ()).await;
    let alice = server.login("alice").await;
    assert_eq!(announced(&server, &alice).await, (2, 2, 2));
    // Further pushes work.
    workdir.commit("work", "b", "b", "third").await;
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", "alice/hello/web"), "main"]).await.ok();
    assert_eq!(announced(&server, &alice).await, (3, 3, 3));
    server.stop().await;
}

#[actix_web::test]
async fn unmoved_ref_is_not_announced_and_orphaned_git_is_killed() {
    let (server, _, first, second) = prepared_server().await;
    let bare = server.only_repository();
    let root = server.path().canonicalize().unwrap().join("repos");
    let mut child = None;
    let server = server
        .restart(|config| {
            insert_intent(&config.data_dir.0, Some(&first), &second);
            // A killed server leaves a receive-pack that waits for the end of its input, and its
            // lock file.
            child = Some(
                Command::new("git")
                    .args(["receive-pack", "--stateless-rpc", bare.to_str().unwrap()])
                    .env("NETBIT_CHILD_OF", &root)
                    .env("NETBIT_REPOSITORY", bare.file_stem().unwrap())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap(),
            );
            std::fs::write(bare.join("refs/heads/main.lock"), "").unwrap();
            std::fs::create_dir(bare.join("objects/tmp_objdir-incoming-x")).unwrap();
        })
        .await;
    let status = child.as_mut().unwrap().wait().unwrap();
    assert!(!status.success(), "the orphaned receive-pack was killed");
    let alice = server.login("alice").await;
    assert_eq!(announced(&server, &alice).await, (1, 1, 1));
    assert!(!bare.join("refs/heads/main.lock").exists());
    // Removed in the background after the server is ready: the directory may be large.
    until(async || !bare.join("objects/tmp_objdir-incoming-x").exists()).await;
    let workdir = GitWorkdir::new();
    workdir.git("", &["clone", "--quiet", &server.url_as("alice", "alice/hello/web"), "again"]).await.ok();
    workdir.commit("again", "c", "c", "goes on").await;
    workdir.git("again", &["push", "--quiet", "origin", "HEAD:main"]).await.ok();
    assert_eq!(announced(&server, &alice).await, (2, 2, 2));
    server.stop().await;
}

#[actix_web::test]
async fn interrupted_creation_is_undone_and_deletion_is_completed() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.hello_web("private").await;
    alice.repository("hello", "kept").await;
    let server = server
        .restart(|config| {
            let mut db = database::writer(&config.data_dir.0);
            db.execute("UPDATE repositories SET state = 'creating' WHERE name = 'web'");
        })
        .await;
    let alice = server.login("alice").await;
    assert_eq!(alice.get("/api/projects/alice/hello/repos/web").await.status, 404);
    let bare = server.only_repository();
    assert!(bare.exists(), "the other repository is unchanged");
    alice.repository("hello", "web").await;
    assert_eq!(alice.delete("/api/projects/alice/hello/repos/web").await.status, 204);
    // The background task removes the repository, or else the restart does.
    let server = server.restart(|_| ()).await;
    until(async || server.repositories().len() <= 1).await;
    assert_eq!(server.only_repository().file_name(), bare.file_name());
    server.stop().await;
}

#[actix_web::test]
async fn missing_repository_directory_affects_only_that_repository() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    std::fs::remove_dir_all(server.only_repository()).unwrap();
    alice.repository("hello", "other").await;
    let workdir = GitWorkdir::new();
    let lost = workdir.git("", &["ls-remote", &server.url_as("alice", &path)]).await;
    lost.refused("remote error: the repository's files are missing; ask the operator to restore them");
    workdir.git("", &["ls-remote", &server.url_as("alice", "alice/hello/other")]).await.ok();
    server.stop().await;
}

/// Checks that every push event of `main`, in order, begins where the previous one ended; returns
/// the last commit.
fn chain(events: &[Value]) -> Option<String> {
    let mut at = None;
    for event in events.iter().filter(|event| event["kind"] == "push") {
        for update in event["push"]["refs"].as_array().unwrap() {
            assert_eq!(
                update["old"].as_str().map(str::to_owned),
                at,
                "a move was not announced, or announced twice"
            );
            at = update["new"].as_str().map(str::to_owned);
        }
    }
    at
}

/// Returns all events of the project's channel.
async fn events_of(http: &HttpClient) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = http.get(&format!("/api/chats/1/events?after_seq={after}&limit=100")).await.unwrap().body;
        let items = page["items"].as_array().unwrap().clone();
        after = items.last().map_or(after, |last| last["seq"].as_i64().unwrap());
        events.extend(items);
        if page["has_more"] == false {
            return events;
        }
    }
}

#[actix_web::test]
async fn kill_9_during_pushes_leaves_an_event_for_every_move() {
    let rounds: u64 =
        std::env::var("NETBIT_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start(directory.path()).await;
    server.http.register("alice", PASSWORD).await.unwrap();
    let login = async |server: &Process| {
        server.http.with_token(server.http.login("alice", PASSWORD).await.unwrap().token)
    };
    let http = login(&server).await;
    http.post("/api/projects/create", &json!({"name": "hello"})).await.unwrap().success().unwrap();
    http.post("/api/projects/alice/hello/repos/create", &json!({"name": "web"}))
        .await
        .unwrap()
        .success()
        .unwrap();
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let mut acknowledged = None;
    for round in 0..rounds {
        let url =
            format!("http://alice:{}@{}/alice/hello/web", PASSWORD.replace(' ', "%20"), server.address());
        let pushing = async {
            for n in 0..1000 {
                let commit =
                    workdir.commit("work", "n", &format!("{round} {n}"), &format!("{round} {n}")).await;
                if !workdir.git("work", &["push", "--quiet", &url, "main"]).await.success {
                    return;
                }
                acknowledged = Some(commit);
            }
        };
        // The kill hits the third or fourth push, a little later each round.
        let delay = Duration::from_millis(250 + 37 * round % 200);
        let kill = async {
            tokio::time::sleep(delay).await;
            server.kill();
        };
        soon(futures_util::future::join(pushing, kill)).await;
        server = Process::start(directory.path()).await;
        let http = login(&server).await;
        let url =
            format!("http://alice:{}@{}/alice/hello/web", PASSWORD.replace(' ', "%20"), server.address());
        let listed = workdir.git("", &["ls-remote", &url, "refs/heads/main"]).await.ok();
        let now = listed.split_whitespace().next().map(str::to_owned);
        // An interrupted push is settled in the background after the server is ready.
        let events = eventually(async || {
            let events = events_of(&http).await;
            (chain(&events) == now).then_some(events)
        })
        .await;
        let messages = events.iter().filter(|event| event["kind"] == "message").count();
        assert_eq!(messages, events.iter().filter(|event| event["kind"] == "push").count());
        if let (Some(acknowledged), Some(now)) = (&acknowledged, &now) {
            workdir.git("work", &["merge-base", "--is-ancestor", acknowledged, now]).await.ok();
        }
        let check = format!("fsck-{round}");
        workdir.git("", &["clone", "--quiet", "--mirror", &url, &check]).await.ok();
        workdir.git(&check, &["fsck", "--strict"]).await.ok();
    }
    server.stop().await;
}
