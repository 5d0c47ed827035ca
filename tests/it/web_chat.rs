//! The pages of the chat program: their data, who gets it, and their size.

use std::io::Read;

use flate2::read::GzDecoder;
use netbit::domain::ids::ChatId;
use serde_json::{Value, json};

use crate::harness::browser::Browser;
use crate::harness::git::GitWorkdir;
use crate::harness::{Person, TestServer, soon};

/// Maximum size of the chat page with its style sheet and its script, compressed.
const PAGE_BYTES_MAX: usize = 80 * 1024;
/// Requests: the page, the style sheet and the script.
const REQUESTS_MAX: usize = 3;
/// Maximum size of the data of a page. Its lists have at most 60,000 bytes.
const STATE_BYTES_MAX: usize = 61_000;

/// Returns the text of the data block of a chat page.
fn block_of(html: &str) -> &str {
    let (_, rest) = html.split_once("<script type=\"application/json\" id=\"state\">").unwrap();
    rest.split_once("</script>").unwrap().0
}

/// Returns the data of a chat page.
pub(crate) fn state_of(html: &str) -> Value {
    serde_json::from_str(block_of(html)).unwrap()
}

fn addresses(chat: impl std::fmt::Display) -> [String; 5] {
    [
        "/chat".to_owned(),
        format!("/chat/{chat}"),
        format!("/chat/{chat}/1"),
        format!("/chat/{chat}/thread/1"),
        "/inbox".to_owned(),
    ]
}

/// Returns the seqs of the events of the open chat.
fn seqs(state: &Value) -> Vec<i64> {
    let events = state["open"]["events"].as_array().unwrap().iter();
    events.map(|event| event["seq"].as_i64().unwrap()).collect()
}

async fn direct(person: &Person, other: &str) -> ChatId {
    let made = person.post("/api/chats", json!({"kind": "direct", "participants": [other]})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    ChatId(made.body["id"].as_i64().unwrap())
}

#[actix_web::test]
async fn chat_page_has_the_chats_and_events_of_its_reader() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    let (team, pair) = (alice.group(&[&bob]).await, direct(&alice, "carol").await);
    assert_eq!(bob.say(team, "hello").await.status, 201);
    assert_eq!(carol.say(pair, "secret").await.status, 201);
    let (_, welcome) = alice.tcp_welcomed().await;
    let browser = Browser::login(&server, "alice").await;
    for (path, is_open) in addresses(team).iter().zip([false, true, true, true, false]) {
        let page = browser.get(path).await;
        page.expect(200, "Chat needs JavaScript");
        assert!(page.html.contains("<main id=\"main\" class=\"chat-app\" tabindex=\"-1\">"), "{path}");
        assert!(
            page.html.contains("/chat/main.js\"></script>") && !page.html.contains("/page/main.js"),
            "{path}"
        );
        assert_eq!(page.header("cache-control"), "private, no-cache", "{path}");
        let state = state_of(&page.html);
        let me = json!({"id": alice.id, "username": "alice", "display_name": "alice"});
        assert_eq!(state["me"], me, "{path}");
        assert_eq!(state["epoch"].as_i64(), welcome.epoch, "{path}");
        assert_eq!(state["version"], env!("CARGO_PKG_VERSION"), "{path}");
        let chats = alice.get("/api/chats").await.body["items"].clone();
        let chats = chats.as_array().unwrap().iter().cloned().map(|mut chat| {
            chat.as_object_mut().unwrap().remove("last_message");
            chat
        });
        assert_eq!(state["chats"].as_array().unwrap(), &chats.collect::<Vec<_>>(), "{path}");
        assert_eq!((&state["has_more"], state["open"].is_null()), (&json!(false), !is_open), "{path}");
        let mut users: Vec<_> = state["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["username"].as_str().unwrap())
            .collect();
        users.sort_unstable();
        assert_eq!(users, if is_open { vec!["bob", "carol"] } else { vec!["carol"] }, "{path}");
        if is_open {
            assert_eq!(state["open"]["chat_id"], json!(team), "{path}");
            let events = alice.get(&format!("/api/chats/{team}/events?after_seq=0")).await;
            assert_eq!(state["open"]["events"], events.body["items"], "{path}");
            assert_eq!(state["open"]["has_more"], false, "{path}");
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn chat_page_is_the_same_for_hidden_and_missing_chats() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (team, pair) = (alice.group(&[&bob]).await, direct(&alice, "bob").await);
    assert_eq!(alice.say(team, "secret").await.status, 201);
    let body = json!({"kind": "channel", "name": "open", "participants": []});
    let channel = alice.post("/api/chats", body).await.body["id"].as_i64().unwrap();
    server.user("mallory").await;
    let mallory = Browser::login(&server, "mallory").await;
    let missing = addresses(999_999);
    for chat in [team.0, pair.0, channel, -1, i64::MAX] {
        for (path, missing) in addresses(chat).iter().zip(&missing) {
            let (hidden, missing) = (mallory.get(path).await, mallory.get(missing).await);
            assert_eq!((hidden.status, missing.status), (200, 200), "{path}");
            assert_eq!(hidden.html, missing.html, "{path}");
            assert!(state_of(&hidden.html)["open"].is_null(), "{path}");
        }
    }
    for path in
        ["/chat/x", "/chat/1/x", "/chat/1/thread/x", "/chat/1/2/3", "/inbox/1", "/chat/9223372036854775808"]
    {
        assert_eq!(mallory.get(path).await.status, 404, "{path}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn chat_page_leads_anonymous_visitors_to_the_login() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    assert_eq!(
        alice.post_form("/projects/new", &[("name", "open"), ("visibility", "public")]).await.status,
        303
    );
    let visitor = Browser::anonymous(&server);
    for path in addresses(1) {
        let next = format!("/login?next={}", path.replace('/', "%2F"));
        visitor.get(&path).await.expect_redirect(&next);
    }
    assert!(!visitor.page("/").await.contains("href=\"/chat\""));
    let header = alice.page("/projects").await;
    assert!(header.contains("<a href=\"/chat\">") && header.contains("<a href=\"/inbox\" data-inbox>"));
    server.stop().await;
}

#[actix_web::test]
async fn chat_page_has_the_newest_events_within_its_bytes() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let alice = server.user("alice").await;
    let browser = Browser::login(&server, "alice").await;
    for (content, shown) in
        [("short".to_owned(), 50..51), ("<".repeat(500), 10..25), ("<".repeat(16_000), 0..1)]
    {
        let chat = alice.group(&[]).await;
        for _ in 0..60 {
            assert_eq!(alice.say(chat, &content).await.status, 201);
        }
        let html = browser.page(&format!("/chat/{chat}")).await;
        assert!(block_of(&html).len() <= STATE_BYTES_MAX, "{}", block_of(&html).len());
        let state = state_of(&html);
        let seqs = seqs(&state);
        assert!(shown.contains(&seqs.len()), "{} bytes: {} events", content.len(), seqs.len());
        let last = alice.get(&format!("/api/chats/{chat}")).await.body["last_seq"].as_i64().unwrap();
        let count = i64::try_from(seqs.len()).unwrap();
        assert_eq!(seqs, (last - count + 1..=last).collect::<Vec<_>>(), "the newest, ascending");
        assert_eq!(state["open"]["has_more"], true);
    }
    server.stop().await;
}

#[actix_web::test]
async fn chat_page_with_many_chats_stays_within_its_bytes() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let alice = server.user("alice").await;
    let name = "<".repeat(80);
    let mut last = ChatId(0);
    for _ in 0..120 {
        last = alice.http.create_group(&name, &[]).await.unwrap();
    }
    for n in 0..50 {
        assert_eq!(alice.say(last, &format!("message {n}")).await.status, 201);
    }
    let html = Browser::login(&server, "alice").await.page(&format!("/chat/{last}")).await;
    let state = state_of(&html);
    assert!(block_of(&html).len() <= STATE_BYTES_MAX, "{}", block_of(&html).len());
    let chats = state["chats"].as_array().unwrap().len();
    assert!((20..120).contains(&chats) && state["has_more"] == true, "{chats} chats");
    assert_eq!(seqs(&state).len(), 50, "the events have their own part");
    server.stop().await;
}

#[actix_web::test]
async fn hostile_texts_stay_inside_of_the_data_block() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let hostile = "</script><script>alert(1)</script><!-- <script> ]]> \u{2028}\"'\\u003c&lt;";
    let chat = alice.http.create_group("</script><script>alert(2)</script>", &[]).await.unwrap();
    let body = json!({"content": hostile, "metadata": {"</script>": "<script>"}});
    assert_eq!(alice.post(&format!("/api/chats/{chat}/messages"), body).await.status, 201);
    let html = Browser::login(&server, "alice").await.page(&format!("/chat/{chat}")).await;
    assert_eq!((html.matches("<script").count(), html.matches("</script").count()), (2, 2));
    assert!(!html.contains("<!--"));
    let events = state_of(&html)["open"]["events"].clone();
    let message = &events.as_array().unwrap().last().unwrap()["message"];
    assert_eq!(
        (&message["content"], &message["metadata"]["</script>"]),
        (&json!(hostile), &json!("<script>"))
    );
    server.stop().await;
}

#[actix_web::test]
async fn code_pages_name_the_channel_to_those_who_may_write_there() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let project = alice.project("hello", "public").await;
    alice.repository("hello", "web").await;
    for (name, role) in [("reader", "reader"), ("writer", "writer")] {
        server.user(name).await;
        alice.member("hello", name, role).await;
    }
    server.user("outsider").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let first = workdir.commit("work", "main.rs", "fn main() {}\n", "first").await;
    let second = workdir.commit("work", "main.rs", "fn main() { run() }\n", "second").await;
    let url = server.url_as("alice", "alice/hello/web");
    workdir.git("work", &["push", &url, "main"]).await.ok();
    let named = format!(" data-chat=\"{}\"", project["channel_id"]);
    for (who, may_write) in
        [("alice", true), ("writer", true), ("reader", false), ("outsider", false), ("", false)]
    {
        let browser = match who {
            "" => Browser::anonymous(&server),
            who => Browser::login(&server, who).await,
        };
        for (view, element) in [
            ("blob/main/main.rs".to_owned(), "data-code"),
            ("blame/main/main.rs".to_owned(), "data-code"),
            (format!("commit/{second}"), "data-changes"),
            (format!("compare/{first}...main"), "data-changes"),
        ] {
            let html = browser.page(&format!("/alice/hello/web/-/{view}")).await;
            assert_eq!(html.contains(&format!("{element}{named}>")), may_write, "{who}: {view}");
            assert_eq!(html.contains("data-chat"), may_write, "{who}: {view}");
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn project_page_shows_the_last_lines_of_its_channel() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let project = alice.project("hello", "public").await;
    let channel = ChatId(project["channel_id"].as_i64().unwrap());
    let browser = Browser::login(&server, "alice").await;
    let link = format!("href=\"/chat/{channel}\"");
    let empty = browser.page("/alice/hello").await;
    assert!(empty.contains(&link) && !empty.contains("class=\"talk\""), "{empty}");
    for n in 1..=6 {
        assert_eq!(alice.say(channel, &format!("line {n}")).await.status, 201);
    }
    let long = format!("<b>\n{}", "long ".repeat(1_000));
    let said = alice.say(channel, &long).await.body;
    let page = browser.get("/alice/hello").await;
    page.expect(200, "<b> long long");
    let text = page.text();
    assert!(!text.contains("line 2") && text.contains("line 3") && text.contains(" l…"), "{text}");
    assert!(
        page.html.contains(&format!("href=\"/chat/{channel}/{}\"", said["seq"]))
            && !page.html.contains("<b>\n")
    );
    server.user("outsider").await;
    let outsider = Browser::login(&server, "outsider").await;
    outsider.get("/alice/hello").await.expect(200, "line 6");
    let visitor = Browser::anonymous(&server).page("/alice/hello").await;
    assert!(!visitor.contains("line 6") && !visitor.contains(&link), "the channel needs a login");
    server.stop().await;
}

/// Returns the bytes of a response as they are sent.
async fn sent(server: &TestServer, browser: &Browser, path: &str) -> (u16, Vec<u8>) {
    let url = format!("http://{}{path}", server.app.addresses.http);
    let request = reqwest::Client::new().get(url).header("accept-encoding", "gzip");
    let response = soon(request.header("cookie", browser.cookie()).send()).await.unwrap();
    (response.status().as_u16(), soon(response.bytes()).await.unwrap().to_vec())
}

#[actix_web::test]
async fn chat_page_and_its_files_stay_below_their_budget() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let mut chat = ChatId(0);
    for n in 0..30 {
        chat = alice.http.create_group(&format!("Team {n}"), &["bob"]).await.unwrap();
    }
    for n in 0..60_usize {
        let words = ["deploy", "review", "branch", "tests", "parser", "später", "index", "cache"];
        let text: Vec<_> = (0..20).map(|at| words[(n * 7 + at * at * 3) % words.len()]).collect();
        let person = if n % 3 == 0 { &alice } else { &bob };
        assert_eq!(person.say(chat, &format!("{n}: {}", text.join(" "))).await.status, 201);
    }
    let browser = Browser::login(&server, "alice").await;
    let (status, packed) = sent(&server, &browser, &format!("/chat/{chat}")).await;
    let mut html = String::new();
    GzDecoder::new(&*packed).read_to_string(&mut html).unwrap();
    assert_eq!((status, seqs(&state_of(&html)).len()), (200, 50));
    // The icon is in the cache of the browser, and not needed for the page.
    let files =
        html.split(['"', '\'']).filter(|part| part.starts_with("/assets/") && !part.ends_with(".svg"));
    let files: Vec<_> = files.collect();
    assert!(files.len() < REQUESTS_MAX, "{files:?}");
    let mut bytes = packed.len();
    for file in files {
        let (status, body) = sent(&server, &browser, file).await;
        assert_eq!(status, 200, "{file}");
        bytes += body.len();
    }
    assert!(bytes <= PAGE_BYTES_MAX, "{bytes} bytes");
    server.stop().await;
}
