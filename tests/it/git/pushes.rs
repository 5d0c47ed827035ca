//! A push creates an event, a message and notifications in the project's channel.

use serde_json::json;

use crate::harness::browser::Browser;
use crate::harness::git::GitWorkdir;
use crate::harness::{TestServer, database, until};

#[actix_web::test]
async fn push_creates_event_message_and_notifications_of_watchers() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (carol, dora) = (server.user("carol").await, server.user("dora").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "writer").await;
    alice.member("hello", "carol", "reader").await;
    alice.member("hello", "dora", "reader").await;
    assert_eq!(carol.delete("/api/projects/alice/hello/watch").await.status, 204);
    assert_eq!(dora.delete("/api/projects/alice/hello/watch").await.status, 204);
    let chat = alice.get("/api/projects/alice/hello").await.body["channel_id"].as_i64().unwrap();

    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let first = workdir.head("work").await;
    let second = workdir.commit("work", "a.txt", "a", "teach it, @carol\n\nand mail x@dora.org").await;
    let url = server.url_as("bob", &path);
    let said = workdir.git("work", &["push", "-o", "chat=please look", &url, "main"]).await;
    assert!(said.success && said.err.contains("Posted in the channel of alice/hello/web"), "{}", said.err);
    let link = said.err.lines().find_map(|line| line.split_once("http://")).unwrap().1.trim().to_owned();
    let page = &link[link.find('/').unwrap()..];
    assert_eq!(page, format!("/alice/hello/web/-/commits/{second}"));
    let shown = Browser::login(&server, "carol").await.page(page).await;
    assert!(shown.contains("teach it"), "the link leads to the pushed commits");

    let pushes = carol.pushes(chat).await;
    assert_eq!(pushes.len(), 1);
    assert_eq!(pushes[0]["repository"], "alice/hello/web");
    assert_eq!(pushes[0]["refs"], json!([{"ref": "refs/heads/main", "old": null, "new": second}]));
    assert_eq!((&pushes[0]["commit_count"], &pushes[0]["commits"][1]["oid"]), (&json!(2), &json!(first)));

    let (messages, _) = alice.http.messages(netbit::domain::ids::ChatId(chat), "").await.unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].sender_id, bob.id);
    let lines: Vec<_> = messages[0].content.lines().collect();
    assert_eq!(lines[0], "please look");
    assert_eq!(lines[1], "pushed 2 commits to main of alice/hello/web");
    assert_eq!(lines[2], format!("- {} teach it, @carol", &second[..8]));
    assert!(lines[4].ends_with(page), "{lines:?}");
    let metadata = serde_json::to_value(&messages[0].metadata).unwrap();
    assert_eq!(metadata["push_seq"], messages[0].seq - 1);

    let texts = async |person: &crate::harness::Person| {
        let list = person.get("/api/notifications").await.body;
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|n| n["kind"] == "push")
            .map(|n| n["text"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let expected = ["bob pushed 2 commits to main of alice/hello/web"];
    assert_eq!(texts(&alice).await, expected, "alice watches her project");
    assert_eq!(texts(&carol).await, expected, "the commit mentions carol");
    assert!(texts(&bob).await.is_empty(), "the pusher gets no notification");
    assert!(texts(&dora).await.is_empty(), "an e-mail address is not a mention, and dora does not watch");

    let reason = async |person: &crate::harness::Person| {
        let list = person.get("/api/notifications").await.body["items"].as_array().unwrap().clone();
        let push = list.iter().find(|n| n["kind"] == "push").unwrap().clone();
        assert_eq!(push["repository"], "alice/hello/web");
        assert!(list.iter().all(|n| n["kind"] == "push" || n.get("reason").is_none()));
        push["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!((reason(&alice).await, reason(&carol).await), ("watch".to_owned(), "named".to_owned()));

    let unread = alice.get("/api/notifications?unread=true").await.body;
    let id = unread["items"][0]["id"].as_i64().unwrap();
    assert_eq!(unread["items"][0]["message_id"], messages[0].id.0);
    assert_eq!(alice.post(&format!("/api/notifications/{id}/read"), json!({})).await.status, 204);
    assert_eq!(alice.get("/api/notifications?unread=true").await.body["items"], json!([]));
    assert_eq!(carol.post(&format!("/api/notifications/{id}/read"), json!({})).await.status, 404);
    server.stop().await;
}

/// Regression: the link of a new branch led to all commits of its tip, not to its changes.
#[actix_web::test]
async fn new_branch_links_to_its_comparison_with_the_default() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    workdir.commit("work", "a.txt", "a", "teach it").await;
    let said = workdir.git("work", &["push", &url, "HEAD:refs/heads/fix/issue#7"]).await;
    let page = "/alice/hello/web/-/compare/main...fix/issue%237";
    assert!(said.err.lines().any(|line| line.trim_end().ends_with(page)), "{}", said.err);
    let contents = alice.contents(netbit::domain::ids::ChatId(1)).await;
    assert!(contents[1].ends_with(page), "{contents:?}");
    let shown = Browser::login(&server, "alice").await.page(page).await;
    assert!(shown.contains("1 commit ahead") && shown.contains("teach it"), "{shown}");
    server.stop().await;
}

#[actix_web::test]
async fn session_receives_push_events_live() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let mut session = alice.tcp().await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    let push = crate::harness::soon(session.pushed()).await.unwrap();
    assert_eq!((push.packet_type.as_str(), push.kind.as_deref()), ("Event", Some("push")));
    let message = crate::harness::soon(session.pushed()).await.unwrap();
    assert_eq!(message.seq, push.seq.map(|seq| seq + 1));
    assert!(message.message.unwrap().content.contains("pushed 1 commit to main"));
    server.stop().await;
}

#[actix_web::test]
async fn deletions_tags_and_many_refs_are_announced_in_one_event() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let url = server.url_as("alice", &path);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let branches: Vec<_> = (0..30).map(|n| format!("main:refs/heads/b{n}")).collect();
    let branches: Vec<_> = branches.iter().map(String::as_str).collect();
    workdir.git("work", &[&["push", "--quiet", &url][..], &branches].concat()).await.ok();
    workdir.git("work", &["push", "--quiet", &url, "--delete", "b1", "b2"]).await.ok();
    workdir.git("work", &["tag", "v1"]).await.ok();
    workdir.git("work", &["push", "--quiet", &url, "v1"]).await.ok();
    let pushes = alice.pushes(1).await;
    assert_eq!((&pushes[0]["ref_count"], pushes[0]["refs"].as_array().unwrap().len()), (&json!(30), 20));
    assert_eq!((&pushes[1]["ref_count"], &pushes[1]["refs"][0]["new"]), (&json!(2), &json!(null)));
    assert_eq!(
        (&pushes[2]["refs"][0]["ref"], &pushes[2]["commit_count"]),
        (&json!("refs/tags/v1"), &json!(0))
    );
    let contents = alice.contents(netbit::domain::ids::ChatId(1)).await;
    assert!(contents[1].starts_with("deleted b1, b2 in alice/hello/web"), "{contents:?}");
    assert!(contents[2].starts_with("pushed v1 to alice/hello/web"), "{contents:?}");
    // A push that moves nothing creates no event.
    workdir.git("work", &["push", "--quiet", &url, "v1"]).await.ok();
    assert_eq!(alice.pushes(1).await.len(), 3);
    server.stop().await;
}

#[actix_web::test]
async fn commit_messages_are_sanitized_in_the_channel() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.commit("work", "a", "a", "\u{1b}[31mred\u{202e}turned <script>alert(1)</script>").await;
    workdir.commit("work", "b", "b", &"long ".repeat(2000)).await;
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    let contents = alice.contents(netbit::domain::ids::ChatId(1)).await;
    assert!(!contents[0].contains('\u{1b}') && !contents[0].contains('\u{202e}'), "{contents:?}");
    assert!(contents[0].contains("red") && contents[0].len() < 1000);
    server.stop().await;
}

#[actix_web::test]
async fn concurrent_pushes_to_one_repository_all_land() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let url = server.url_as("alice", &path);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let names: Vec<_> = (0..6).map(|n| format!("main:refs/heads/b{n}")).collect();
    let all = names.iter().map(|name| {
        let arguments = ["push".to_owned(), "--quiet".to_owned(), url.clone(), name.clone()];
        let workdir = &workdir;
        async move {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            workdir.git("work", &arguments).await.ok();
        }
    });
    futures_util::future::join_all(all).await;
    assert_eq!(alice.pushes(1).await.len(), 6);
    assert_eq!(alice.contents(netbit::domain::ids::ChatId(1)).await.len(), 6);
    server.stop().await;
}

/// Two users push the same commit at once. The second push is refused, because the branch has
/// already moved. A comparison of refs alone would announce both.
#[actix_web::test]
async fn push_is_not_announced_when_the_branch_has_already_moved() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let url = server.url_as("alice", &path);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let old = workdir.head("work").await;
    let new = workdir.commit("work", "a", "a", "second").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    // The request of the other user's client: an update from the old commit to the new one, with an
    // empty pack (12 bytes and their SHA-1 checksum, RFC 3174).
    let line = format!("{old} {new} refs/heads/main\0report-status");
    let pack = b"PACK\0\0\0\x02\0\0\0\0\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e";
    let body = [format!("{:04x}{line}0000", line.len() + 4).as_bytes(), pack].concat();
    let sent = reqwest::Client::new()
        .post(format!("{}/git-receive-pack", server.url(&path)))
        .basic_auth("alice", Some(crate::harness::PASSWORD))
        .header("content-type", "application/x-git-receive-pack-request")
        .body(body);
    let answer = sent.send().await.unwrap().text().await.unwrap();
    assert!(answer.contains("unpack ok") && answer.contains("ng refs/heads/main"), "{answer}");
    assert_eq!(alice.pushes(1).await.len(), 2);
    server.stop().await;
}

#[actix_web::test]
async fn every_watcher_is_notified_once() {
    let server = TestServer::with_limits(|limits| limits.notifications_per_command = 2).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let mut people = Vec::new();
    for n in 0..5 {
        people.push(server.user(&format!("w{n}")).await);
        alice.member("hello", &format!("w{n}"), "reader").await;
    }
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    workdir.commit("work", "a", "a", "for @w3 and @w0").await;
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
    for person in &people {
        let list = person.get("/api/notifications").await.body;
        let of_pushes = list["items"].as_array().unwrap().iter().filter(|n| n["kind"] == "push");
        assert_eq!(of_pushes.count(), 1, "{}: {list}", person.name);
        assert_eq!(list["items"][0]["text"], "alice pushed 2 commits to main of alice/hello/web");
    }
    server.stop().await;
}

/// Regression: after `git init -b master; git push URL master`, `git clone URL` produced an empty
/// folder and the tree was 404.
#[actix_web::test]
async fn first_branch_becomes_the_default() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    let repository = "/api/projects/alice/hello/repos/web";
    let default = async || alice.get(repository).await.body["default_branch"].clone();
    assert_eq!(default().await, "main");
    workdir.git("work", &["push", "--quiet", &url, "main:topic", "main:master"]).await.ok();
    assert_eq!(default().await, "master", "the conventional name among several");
    assert_eq!(alice.get(&format!("{repository}/tree")).await.status, 200);
    workdir.git("", &["clone", "--quiet", &url, "copy"]).await.ok();
    assert!(workdir.path().join("copy").read_dir().unwrap().count() > 1, "more than .git");
    // Later branches do not change the default, and only an existing branch can become the default.
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    assert_eq!(default().await, "master");
    let change = async |branch: &str| alice.patch(repository, json!({"default_branch": branch})).await;
    let refused = change("nowhere").await;
    crate::harness::assert_problem(&refused, 422, "validation");
    assert_eq!((change("topic").await.status, default().await), (200, json!("topic")));
    workdir.git("work", &["push", "--quiet", &url, ":master"]).await.ok();
    let server = server.restart(|_| ()).await;
    let alice = server.login("alice").await;
    assert_eq!(alice.get(repository).await.body["default_branch"], "topic");
    server.stop().await;
}

/// Regression: watchers who are notified after the push were notified of messages that had been
/// deleted or read by then.
#[actix_web::test]
async fn deleted_push_is_not_notified_and_a_read_one_stays_read() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "reader").await;
    let chat = alice.get("/api/projects/alice/hello").await.body["channel_id"].as_i64().unwrap();
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    assert_eq!(bob.post(&format!("/api/chats/{chat}/read"), json!({})).await.status, 200);
    workdir.commit("work", "a", "a", "more").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let (messages, _) = alice.http.messages(netbit::domain::ids::ChatId(chat), "").await.unwrap();
    let second = messages.iter().max_by_key(|message| message.seq).unwrap().id;
    assert_eq!(alice.delete(&format!("/api/chats/{chat}/messages/{second}")).await.status, 204);
    // The database state of a server that stopped before the first slice of both pushes.
    let server = server
        .restart(|config| {
            let mut db = database::writer(&config.data_dir.0);
            for sql in [
                "DELETE FROM notifications WHERE kind = 'push'",
                "UPDATE push_intents SET state = 'announced', notified_to = 0, settled_at = NULL",
            ] {
                assert!(db.execute(sql) > 0, "{sql}");
            }
        })
        .await;
    let mut db = database::reader(server.path());
    let left = "SELECT count(*) AS value FROM push_intents WHERE state <> 'settled'";
    until(async || db.integer(left) == 0).await;
    let bob = server.login("bob").await;
    let list = bob.get("/api/notifications").await.body;
    let pushes: Vec<_> =
        list["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "push").collect();
    assert_eq!(pushes.len(), 1, "the message of the second is deleted: {list}");
    assert!(
        pushes[0]["read_at"].is_string() || pushes[0]["read_at"].is_number(),
        "it was already read: {list}"
    );
    server.stop().await;
}

/// Regression: the event of a push showed U+FFFD where browsing shows the letters.
#[actix_web::test]
async fn push_decodes_commits_by_their_encoding_header() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "reader").await;
    let chat = alice.get("/api/projects/alice/hello").await.body["channel_id"].as_i64().unwrap();
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    std::fs::write(workdir.path().join("work/.git/message"), b"Gr\xfc\xdfe\n\n\xfcber @bob\n").unwrap();
    let latin = ["-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--allow-empty", "-F", ".git/message"];
    workdir.git("work", &latin).await.ok();
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let shown = bob.pushes(chat).await[0]["commits"][0].clone();
    let listed = alice.get("/api/projects/alice/hello/repos/web/commits?limit=1").await.body;
    let listed = &listed["items"][0];
    assert_eq!((&shown["summary"], &shown["oid"]), (&json!("Grüße"), &listed["oid"]));
    assert_eq!((&shown["summary"], &shown["author"]), (&listed["summary"], &listed["author"]["name"]));
    let (messages, _) = alice.http.messages(netbit::domain::ids::ChatId(chat), "").await.unwrap();
    assert!(messages[0].content.contains(" Grüße"), "{}", messages[0].content);
    server.stop().await;
}
