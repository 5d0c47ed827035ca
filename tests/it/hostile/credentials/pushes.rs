//! The traces of a push with a narrow token or a false Host header.

use netbit::domain::ids::ChatId;
use serde_json::json;

use crate::harness::browser::Browser;
use crate::harness::git::GitWorkdir;
use crate::harness::{Person, TestServer};

async fn channel_texts(person: &Person) -> Vec<String> {
    let chat = person.get("/api/projects/alice/hello").await.body["channel_id"].as_i64().unwrap();
    person.contents(ChatId(chat)).await
}

fn url_with(server: &TestServer, token: &str) -> String {
    format!("http://x:{token}@{}/alice/hello/web", server.app.addresses.http)
}

/// Regression: a token with repo:write posted to the project's channel with `-o chat=`. Now the
/// push lands without its text, and the pusher's terminal reports that. With chat:write the text is
/// posted.
#[actix_web::test]
async fn push_without_chat_write_lands_and_leaves_its_text_out() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    for (scopes, speaks) in
        [(&["repo:write"][..], false), (&["admin"], false), (&["repo:write", "chat:write"], true)]
    {
        let (_, client) = alice.access_token(json!({"name": "t", "scopes": scopes})).await;
        let url = url_with(&server, client.token().unwrap());
        let head = workdir.commit("work", "file", &format!("{scopes:?}"), "another commit").await;
        let said = workdir.git("work", &["push", "-o", "chat=spoken @alice", &url, "main"]).await;
        assert!(said.success, "{}", said.err);
        assert_eq!(said.err.contains("remote: The text of -o chat was left out"), !speaks, "{}", said.err);
        let refs = workdir.git("", &["ls-remote", &url, "refs/heads/main"]).await.ok();
        assert!(refs.starts_with(&head), "the push landed: {refs}");
        let texts = channel_texts(&alice).await;
        let last = texts.last().unwrap();
        assert!(last.contains("commit"), "the push is announced in the channel: {texts:?}");
        assert_eq!(last.contains("spoken"), speaks, "{texts:?}");
    }
    server.stop().await;
}

/// Regression: the pusher's Host header became the link in the channel of all members. Without
/// `http.public_url` the stored text has only a path. Only the pusher's own terminal shows the
/// address by which they reached the server.
#[actix_web::test]
async fn pusher_host_header_appears_only_in_their_terminal() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let push = async |server: &TestServer| {
        let url = server.url_as("alice", "alice/hello/web");
        let headers = [
            "-c",
            "http.extraHeader=Host: evil.example",
            "-c",
            "http.extraHeader=X-Forwarded-Host: evil.example",
        ];
        let said = workdir.git("work", &[&headers[..], &["push", &url, "main"]].concat()).await;
        assert!(said.success, "{}", said.err);
        said.err
    };
    let terminal = push(&server).await;
    assert!(
        terminal.contains("http://evil.example/alice/hello/web/-/commits/"),
        "the pusher's terminal shows their own header: {terminal}"
    );
    let texts = channel_texts(&alice).await;
    let link = texts[0].lines().last().unwrap().to_owned();
    assert!(link.starts_with("/alice/hello/web/-/commits/"), "{texts:?}");
    assert_eq!(Browser::login(&server, "alice").await.get(&link).await.status, 200);
    let events = alice.get("/api/notifications").await.body.to_string();
    assert!(!texts[0].contains("evil") && !events.contains("evil"), "{texts:?} {events}");

    let server = server.restart(|config| config.http.public_url = "https://git.example.org".to_owned()).await;
    let alice = server.login("alice").await;
    workdir.commit("work", "file", "more", "another commit").await;
    push(&server).await;
    let texts = channel_texts(&alice).await;
    assert!(texts[1].contains("https://git.example.org/alice/hello/web/-/") && !texts[1].contains("evil"));
    server.stop().await;
}
