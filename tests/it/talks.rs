//! Messages about lines of a file: which are listed with the file, and for whom.

use netbit::domain::ids::ChatId;
use serde_json::{Value, json};

use crate::harness::git::GitWorkdir;
use crate::harness::{Person, TestServer, assert_problem, database, until};

const TALKS: &str = "/api/projects/alice/hello/repos/web/talks";
const OTHER_OID: &str = "0123456789abcdef0123456789abcdef01234567";

/// Returns metadata about lines of `README`.
fn code(oid: &str, (from, to): (i64, i64)) -> Value {
    json!({"code": {"repository": "alice/hello/web", "oid": oid, "path": "README", "from": from, "to": to}})
}

/// Creates the project with its repository; returns its channel.
async fn channel(alice: &Person, visibility: &str) -> ChatId {
    alice.hello_web(visibility).await;
    ChatId(alice.get("/api/projects/alice/hello").await.body["channel_id"].as_i64().unwrap())
}

async fn discuss(person: &Person, chat: ChatId, metadata: Value) -> Value {
    let body = json!({"content": "why?", "metadata": metadata});
    let said = person.post(&format!("/api/chats/{chat}/messages"), body).await;
    assert_eq!(said.status, 201, "metadata is free-form: {}", said.body);
    said.body
}

/// Returns the lines of the talks about `README`, newest first.
async fn lines(person: &Person) -> Vec<(i64, i64)> {
    let found = person.get(&format!("{TALKS}?path=README")).await;
    assert_eq!(found.status, 200, "{}", found.body);
    let items = found.body["items"].as_array().unwrap();
    items.iter().map(|item| (item["from"].as_i64().unwrap(), item["to"].as_i64().unwrap())).collect()
}

fn rows(server: &TestServer) -> i64 {
    database::reader(server.path()).integer("SELECT count(*) AS value FROM code_talks")
}

#[actix_web::test]
async fn talk_is_listed_with_its_file_place_and_replies() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = channel(&alice, "private").await;
    alice.member("hello", "bob", "writer").await;
    let said = discuss(&bob, chat, code(&OTHER_OID.to_uppercase(), (3, 12))).await;
    let reply = json!({"content": "because", "reply_to": said["id"]});
    alice.post(&format!("/api/chats/{chat}/messages"), reply).await;
    let found = alice.get(&format!("{TALKS}?path=README")).await;
    let expected = json!({"items": [{
        "message_id": said["id"], "chat_id": chat, "seq": said["seq"], "sender_id": bob.id,
        "created_at": said["created_at"], "oid": OTHER_OID, "from": 3, "to": 12, "replies": 1,
    }]});
    assert_eq!(found.body, expected);
    assert_eq!(alice.get(&format!("{TALKS}?path=src/main.rs")).await.body, json!({"items": []}));
    assert_problem(&alice.get(TALKS).await, 400, "bad_request");

    // The repository may also be named by its id.
    let repository = alice.get("/api/projects/alice/hello/repos/web").await.body["id"].clone();
    let mut by_id = code(OTHER_OID, (5, 5));
    by_id["code"]["repository"] = repository;
    discuss(&alice, chat, by_id).await;
    assert_eq!(lines(&bob).await, [(5, 5), (3, 12)]);
    // The index survives a restart and a new name.
    let server = server.restart(|_| ()).await;
    let alice = server.login("alice").await;
    alice.patch("/api/projects/alice/hello/repos/web", json!({"name": "site"})).await;
    let renamed = alice.get("/api/projects/alice/hello/repos/site/talks?path=README").await;
    assert_eq!(renamed.body["items"].as_array().unwrap().len(), 2);
    assert_eq!(alice.get(&format!("{TALKS}?path=README")).await.body, renamed.body, "it redirects");
    server.stop().await;
}

#[actix_web::test]
async fn message_is_not_a_talk_outside_of_the_channel_or_malformed() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = channel(&alice, "private").await;
    let group = alice.group(&[&bob]).await;
    discuss(&alice, group, code(OTHER_OID, (1, 1))).await;
    alice.post("/api/projects/create", json!({"name": "other", "visibility": "private"})).await;
    alice.post("/api/projects/alice/other/repos/create", json!({"name": "web"})).await;
    let other = alice.get("/api/projects/alice/other").await.body["channel_id"].as_i64().unwrap();
    discuss(&alice, ChatId(other), code(OTHER_OID, (2, 2))).await;
    for (key, value) in [
        ("repository", json!("alice/other/web")),
        ("repository", json!("alice/hello/absent")),
        ("repository", json!(999)),
        ("repository", json!({})),
        ("oid", json!("main")),
        ("from", json!(0)),
        ("from", json!(13)),
        ("to", json!(100_000)),
        ("path", json!("")),
        ("path", Value::Null),
    ] {
        let mut metadata = code(OTHER_OID, (3, 12));
        metadata["code"][key] = value;
        discuss(&alice, chat, metadata).await;
    }
    for metadata in [json!({"code": 1}), json!({"code": []}), json!({"codes": {}})] {
        discuss(&alice, chat, metadata).await;
    }
    assert_eq!((lines(&alice).await, rows(&server)), (vec![], 0));
    discuss(&alice, chat, code(OTHER_OID, (3, 12))).await;
    assert_eq!((lines(&alice).await, rows(&server)), (vec![(3, 12)], 1));
    server.stop().await;
}

#[actix_web::test]
async fn talks_of_a_private_project_are_hidden_from_outsiders() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let eve = server.user("eve").await;
    let chat = channel(&alice, "private").await;
    alice.member("hello", "bob", "reader").await;
    discuss(&alice, chat, code(OTHER_OID, (1, 2))).await;
    let address = format!("{TALKS}?path=README");
    assert_eq!(lines(&bob).await, [(1, 2)]);
    assert_problem(&eve.get(&address).await, 404, "not_found");
    assert_problem(&server.http.get(&address).await.unwrap(), 401, "unauthenticated");
    let (_, chats) = bob.access_token(json!({"name": "t", "scopes": ["chat:read"]})).await;
    assert_problem(&chats.get(&address).await.unwrap(), 404, "not_found");
    // A member who is removed reads them no longer.
    alice.delete("/api/projects/alice/hello/members/bob").await;
    assert_problem(&bob.get(&address).await, 404, "not_found");
    assert_eq!(alice.patch("/api/projects/alice/hello", json!({"visibility": "public"})).await.status, 200);
    assert_eq!(lines(&eve).await, [(1, 2)]);
    // The talks state who wrote in the channel, so they need an account, and a token the scope.
    assert_problem(&server.http.get(&address).await.unwrap(), 401, "unauthenticated");
    let (_, code) = bob.access_token(json!({"name": "code", "scopes": ["repo:read"]})).await;
    assert_problem(&code.get(&address).await.unwrap(), 403, "forbidden");
    let (_, both) = bob.access_token(json!({"name": "both", "scopes": ["repo:read", "chat:read"]})).await;
    assert_eq!(both.get(&address).await.unwrap().status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn talk_follows_edits_and_goes_with_its_message() {
    let server = TestServer::start().await;
    let alice = server.admin("alice").await;
    let chat = channel(&alice, "private").await;
    let mut said = Vec::new();
    for at in 1..=4 {
        said.push(discuss(&alice, chat, code(OTHER_OID, (at, at))).await["id"].clone());
    }
    let message = |at: usize| format!("/api/chats/{chat}/messages/{}", said[at]);
    alice.patch(&message(0), json!({"content": "edited"})).await;
    assert_eq!(lines(&alice).await, [(4, 4), (3, 3), (2, 2), (1, 1)], "the metadata is unchanged");
    alice.patch(&message(0), json!({"content": "edited", "metadata": code(OTHER_OID, (9, 9))})).await;
    alice.patch(&message(1), json!({"content": "edited", "metadata": {"x": 1}})).await;
    alice.delete(&message(2)).await;
    assert_eq!(lines(&alice).await, [(4, 4), (9, 9)]);
    alice.patch(&message(1), json!({"content": "again", "metadata": code(OTHER_OID, (2, 2))})).await;
    assert_eq!((lines(&alice).await, rows(&server)), (vec![(4, 4), (2, 2), (9, 9)], 3));
    // The row of a message that retention removes goes with it.
    server.app.services.set_retention(None, chat, Some(1)).await.unwrap();
    until(async || rows(&server) == 1).await;
    assert_eq!(lines(&alice).await, [(4, 4)]);
    server.stop().await;
}

#[actix_web::test]
async fn deleted_repository_leaves_no_talks() {
    let server = TestServer::with_limits(|limits| limits.trimmed_per_command = 2).await;
    let alice = server.user("alice").await;
    let chat = channel(&alice, "private").await;
    for at in 1..=5 {
        discuss(&alice, chat, code(OTHER_OID, (at, at))).await;
    }
    assert_eq!(rows(&server), 5);
    assert_eq!(alice.delete("/api/projects/alice/hello/repos/web").await.status, 204);
    assert_problem(&alice.get(&format!("{TALKS}?path=README")).await, 404, "not_found");
    until(async || rows(&server) == 0).await;
    // A new repository of this name has none of them.
    alice.post("/api/projects/alice/hello/repos/create", json!({"name": "web"})).await;
    assert_eq!(lines(&alice).await, []);
    server.stop().await;
}

#[actix_web::test]
async fn talk_is_unchanged_while_the_file_is_the_same() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = channel(&alice, "private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", "alice/hello/web"));
    workdir.repository("work").await;
    let first = workdir.head("work").await;
    let second = workdir.commit("work", "other.txt", "x", "another file").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    for (oid, at) in [(first.as_str(), 1), (second.as_str(), 2), (OTHER_OID, 3)] {
        discuss(&alice, chat, code(oid, (at, at))).await;
    }
    let unchanged = async |reference: &str| {
        let found = alice.get(&format!("{TALKS}?path=README&ref={reference}")).await;
        let items = found.body["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["unchanged"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(unchanged("main").await, [false, true, true]);
    let third = workdir.commit("work", "README", "hello, all\n", "greet all").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    assert_eq!(unchanged("main").await, [false, false, false]);
    assert_eq!(unchanged(&first).await, [false, true, true]);
    discuss(&alice, chat, code(&third, (4, 4))).await;
    assert_eq!(unchanged(&third).await, [true, false, false, false]);
    assert_problem(&alice.get(&format!("{TALKS}?path=README&ref=absent")).await, 404, "not_found");
    // The answer is known while the talks and the shown commit stay.
    let path = format!("{TALKS}?path=README&ref={first}");
    let tag = alice.get(&path).await.header("etag").unwrap().to_owned();
    let again = async || {
        let headers = [("if-none-match", tag.as_str())];
        alice.http.send(reqwest::Method::GET, &path, None, &headers).await.unwrap().status
    };
    assert_eq!(again().await, 304);
    let newest = alice.get(&path).await.body["items"][0].clone();
    let reply = json!({"content": "because", "reply_to": newest["message_id"]});
    alice.post(&format!("/api/chats/{chat}/messages"), reply).await;
    assert_eq!(again().await, 200, "the number of replies has changed");
    // A file that the shown commit does not have is unchanged in no commit.
    workdir.git("work", &["rm", "--quiet", "README"]).await.ok();
    let fourth = workdir.commit("work", "other.txt", "y", "remove the greeting").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    discuss(&alice, chat, code(&fourth, (5, 5))).await;
    assert_eq!(unchanged(&fourth).await, [false; 5]);
    // Beyond 16 commits it is not known.
    for at in 1..=16 {
        discuss(&alice, chat, code(&format!("{at:040x}"), (6, 6))).await;
    }
    let found = alice.get(&format!("{TALKS}?path=README&ref={first}")).await;
    let items = found.body["items"].as_array().unwrap();
    let known: Vec<_> = items.iter().map(|item| item.get("unchanged").is_some()).collect();
    assert_eq!(known, [vec![true; 16], vec![false; 5]].concat());
    server.stop().await;
}

#[actix_web::test]
async fn talks_of_a_file_are_paged() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = channel(&alice, "private").await;
    for at in 1..=205 {
        discuss(&alice, chat, code(OTHER_OID, (at, at))).await;
    }
    let first = alice.get(&format!("{TALKS}?path=README")).await;
    assert_eq!(first.body["items"].as_array().unwrap().len(), 200);
    assert_eq!(first.body["items"][0]["from"], 205);
    let next = first.body["next"].as_str().unwrap();
    let second = alice.get(&format!("{TALKS}?path=README&cursor={next}")).await.body;
    let rest: Vec<_> = second["items"].as_array().unwrap().iter().map(|item| item["from"].clone()).collect();
    assert_eq!((rest, second.get("next")), (vec![json!(5), json!(4), json!(3), json!(2), json!(1)], None));
    server.stop().await;
}
