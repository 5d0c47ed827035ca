//! The cache of history walks: equal queries walk once, and no answer is outdated.

use std::path::Path;

use serde_json::{Value, json};

use crate::browsing::{WEB, World, blocking, commit, git, write};
use crate::harness::TestServer;
use crate::harness::git::GitWorkdir;

const FOLDER: &str = "/tree?last_commit=true";
const PATH: &str = "/commits?path=src/main.rs";

/// Returns the hits and misses of the cache.
async fn counted(server: &TestServer) -> (usize, usize) {
    let (_, text) = server.operations("/metrics").await;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse::<usize>().unwrap()
    };
    (value("netbit_git_history_hits_total "), value("netbit_git_history_misses_total "))
}

async fn push(world: &World, change: impl FnOnce(&Path) + Send + 'static) -> String {
    let (at, host) = (world.path(), world.server.app.addresses.http);
    blocking(move || {
        change(&at);
        git(&at, &["push", "-q", &format!("http://alice:correct%20horse@{host}/alice/hello/web"), "main"]);
    })
    .await;
    world.git(&["rev-parse", "main"])
}

/// Returns the last commit of an entry.
fn last_commit(folder: &Value, name: &str) -> Value {
    let entries = folder["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["name"] == name).unwrap()["last_commit"]["oid"].clone()
}

/// Regression: the root of 5,000 files and 80,000 commits took 2 s for each request.
#[actix_web::test]
async fn history_is_walked_once_for_each_tip_and_repository() {
    let world = World::start("private").await;
    let mallory = world.server.user("mallory").await;
    assert_eq!(counted(&world.server).await, (0, 0));
    for (number, question) in [FOLDER, PATH].into_iter().enumerate() {
        let first = world.json(question).await;
        assert_eq!(counted(&world.server).await, (number, number + 1), "{question}");
        assert_eq!(world.json(question).await, first, "{question}");
        assert_eq!(counted(&world.server).await, (number + 1, number + 1), "{question}");
        assert_eq!(mallory.get(&format!("{WEB}{question}")).await.status, 404, "{question}");
    }
    // Each part and each page has a cache entry of its own.
    let part = world.json("/tree?last_commit=true&limit=1").await;
    assert_eq!(part["entries"].as_array().unwrap().len(), 1);
    assert_eq!(world.json("/commits?path=src/main.rs&limit=1").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(counted(&world.server).await, (2, 4));

    let tip = push(&world, |at| {
        write(at, "src/main.rs", "fn main() { /* moved */ }\n");
        commit(at, "Moved");
    })
    .await;
    assert_eq!(last_commit(&world.json(FOLDER).await, "src"), tip.as_str());
    assert_eq!(world.json(PATH).await["items"][0]["oid"], tip.as_str());
    assert_eq!(counted(&world.server).await, (2, 6));

    // The same history under the same name in another repository.
    let before = world.json(FOLDER).await;
    assert_eq!(world.alice.delete(WEB).await.status, 204);
    assert_eq!(world.alice.get(&format!("{WEB}{FOLDER}")).await.status, 404);
    let made = world.alice.post("/api/projects/alice/hello/repos/create", json!({"name": "web"})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(world.alice.get(&format!("{WEB}{FOLDER}")).await.status, 404);
    assert_eq!(push(&world, |_| {}).await, tip);
    assert_eq!(world.json(FOLDER).await, before);
    assert_eq!(counted(&world.server).await, (3, 7));
    world.stop().await;
}

#[actix_web::test]
async fn concurrent_equal_histories_are_walked_once() {
    let world = World::start("public").await;
    let address = format!("{WEB}{FOLDER}");
    let bob = world.server.user("bob").await;
    let all = (0..24).map(|number| if number % 2 == 0 { &world.alice } else { &bob }.get(&address));
    let answers = futures_util::future::join_all(all).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
    }
    assert_eq!(counted(&world.server).await, (23, 1));
    world.stop().await;
}

#[actix_web::test]
async fn histories_without_a_cache_are_walked_each_time() {
    let server = TestServer::with_limits(|limits| limits.git_histories_cache_bytes = 0).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    for walks in 1..3 {
        assert_eq!(alice.get(&format!("{WEB}{FOLDER}")).await.status, 200);
        assert_eq!(counted(&server).await, (0, walks));
    }
    server.stop().await;
}
