//! The page `/search`.

use netbit::domain::ids::ChatId;
use serde_json::json;

use crate::harness::browser::{Browser, Page, text_of};
use crate::harness::git::GitWorkdir;
use crate::harness::{Person, TestServer, until};

/// Starts a server without rate limits: these tests poll.
async fn server() -> TestServer {
    TestServer::with_limits(|limits| (limits.rates, limits.search_delay_ms) = (false, 1)).await
}

async fn say(person: &Person, chat: ChatId, content: &str) -> serde_json::Value {
    let said = person.say(chat, content).await;
    assert_eq!(said.status, 201, "{}", said.body);
    said.body
}

/// Waits until the index has all messages.
async fn indexed(server: &TestServer) {
    until(async || server.operations("/metrics").await.1.contains("netbit_search_behind_events 0\n")).await;
}

/// Returns the addresses of the messages that the page shows.
fn hits(page: &Page) -> Vec<String> {
    let links = page.html.split("class=\"hit\" href=\"").skip(1);
    links.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// Returns the address of the link with this text, after the beginning of a tag.
fn link(page: &Page, text: &str) -> Option<String> {
    let before = page.html.split(&format!(">{text}</a>")).next().filter(|before| *before != page.html)?;
    let href = before.rsplit("href=\"").next()?.split('"').next()?;
    Some(href.replace("&#38;", "&"))
}

#[actix_web::test]
async fn hit_links_to_its_message_and_marks_the_words() {
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let root = say(&bob, chat, "the disk is full again").await;
    let reply = json!({"content": "which disk?", "reply_to": root["id"]});
    assert_eq!(alice.post(&format!("/api/chats/{chat}/messages"), reply).await.status, 201);
    indexed(&server).await;
    let browser = Browser::login(&server, "alice").await;
    let page = browser.get("/search?q=disk+from%3Abob").await;
    page.expect(200, "team bob");
    let href = format!("/chat/{chat}/{}", root["seq"]);
    assert_eq!(hits(&page), [href.as_str()]);
    assert!(page.html.contains("the <mark>disk</mark> is full again"), "{}", page.html);
    assert!(page.html.contains("value=\"disk from:bob\""), "the field keeps the query");
    assert_eq!(browser.get(&href).await.status, 200);
    let both = browser.get("/search?q=disk").await;
    assert_eq!(hits(&both).len(), 2);
    both.expect(200, "team alice reply");
    server.stop().await;
}

#[actix_web::test]
async fn page_shows_the_hits_that_the_api_returns() {
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let eve = server.user("eve").await;
    for (person, other) in [(&alice, &bob), (&bob, &eve)] {
        let chat = person.group(&[other]).await;
        say(person, chat, "a common word").await;
    }
    indexed(&server).await;
    for (name, person, count) in [("alice", &alice, 1), ("bob", &bob, 2), ("eve", &eve, 1)] {
        let page = Browser::login(&server, name).await.get("/search?q=common").await;
        let found = person.get("/api/search?q=common").await.body;
        let expected = found["messages"]["hits"].as_array().unwrap().iter();
        let expected: Vec<_> =
            expected.map(|hit| format!("/chat/{}/{}", hit["chat"]["id"], hit["seq"])).collect();
        assert_eq!((hits(&page).len(), hits(&page)), (count, expected), "{name}");
    }
    let anonymous = Browser::anonymous(&server);
    anonymous.get("/search?q=common").await.expect_redirect("/login?next=%2Fsearch%3Fq%3Dcommon");
    server.stop().await;
}

#[actix_web::test]
async fn markup_of_a_message_or_a_query_is_text() {
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    say(&bob, chat, "<script>alert(1)</script> \u{202e}needle\u{202c} </mark><img src=x>").await;
    indexed(&server).await;
    let browser = Browser::login(&server, "alice").await;
    for query in ["needle", "alert", "%3Cscript%3Ealert", "%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E"] {
        let page = browser.get(&format!("/search?q={query}")).await;
        assert_eq!(page.status, 200, "{query}");
        assert_eq!(page.html.matches("<script").count(), 1, "{query}: the script of the page only");
        assert!(!page.html.contains("<img") && !page.html.contains('\u{202e}'), "{query}: {}", page.html);
        assert_eq!(page.html.matches("<mark>").count(), page.html.matches("</mark>").count(), "{query}");
        assert_eq!(hits(&page).len(), 1, "{query}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn further_pages_have_the_other_hits() {
    let server = server().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let mut expected = Vec::new();
    for n in 0..45 {
        let said = say(&alice, chat, &format!("word {n}")).await;
        expected.push(format!("/chat/{chat}/{}", said["seq"]));
    }
    expected.reverse();
    indexed(&server).await;
    let browser = Browser::login(&server, "alice").await;
    let (mut page, mut found) = (browser.get("/search?q=word").await, Vec::new());
    assert!(link(&page, "First page").is_none());
    loop {
        found.extend(hits(&page));
        let Some(next) = link(&page, "More messages") else { break };
        assert!(next.starts_with("/search?q=word&in=messages&cursor="), "{next}");
        page = browser.get(&next).await;
        assert_eq!(link(&page, "First page").as_deref(), Some("/search?q=word&in=messages"));
    }
    assert_eq!(found, expected);
    let people = browser.get("/search?q=word&in=people").await;
    assert!(hits(&people).is_empty() && people.html.contains("aria-current=\"page\">People"));
    server.stop().await;
}

#[actix_web::test]
async fn search_without_hits_states_the_next_step() {
    let server = server().await;
    let alice = Browser::set_up(&server, "alice").await;
    let empty = alice.get("/search").await;
    empty.expect(200, "from:alice");
    assert!(empty.html.contains("<details class=\"fold filters\" open>") && empty.html.contains("autofocus"));
    alice.get("/search?q=nothing").await.expect(200, "Nothing is found for nothing . Try fewer words");
    let people = alice.get("/search?q=nothing&in=people").await;
    people.expect(200, "No user is found for nothing . Users are found by the beginning of their names");
    let forged = alice.get("/search?q=nothing&in=messages&cursor=5").await;
    forged.expect(400, "Cursor must be `next` of a page.");
    // Users are shown beside the messages, with a link to their pages.
    let page = alice.get("/search?q=ALICE").await;
    page.expect(200, "No message is found. People");
    assert!(page.html.contains("href=\"/people/alice\""));
    server.stop().await;
}

#[actix_web::test]
async fn code_and_commits_link_to_their_pages() {
    let server = server().await;
    let alice = server.user("alice").await;
    let repository = alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let oid =
        workdir.commit("work", "a b.rs", "fn x() {}\n\nlet <script> = needle;\n", "needle & thread").await;
    workdir.git("work", &["push", "--quiet", &server.url_as("alice", &repository), "main"]).await.ok();
    let browser = Browser::login(&server, "alice").await;
    until(async || browser.get("/search?q=needle").await.html.contains("a b.rs")).await;
    let page = browser.get("/search?q=needle+repo%3Aweb").await;
    let line = "/alice/hello/web/-/blob/main/a%20b.rs#L3";
    let commit = format!("/alice/hello/web/-/commit/{oid}");
    assert!(page.html.contains(&format!("href=\"{line}\"")), "{}", page.html);
    assert!(page.html.contains("let &lt;script&gt; = <mark>needle</mark>;"), "{}", page.html);
    assert_eq!(hits(&page), [commit.as_str()]);
    for path in [line.split('#').next().unwrap(), &commit] {
        assert_eq!(browser.get(path).await.status, 200, "{path}");
    }
    browser.get("/search?q=needle&in=code").await.expect(200, "Code a b.rs alice/hello/web 3 let");
    browser.get("/search?q=absent&in=commits").await.expect(200, "Nothing is found for absent");
    // The finder of the repository leads to the search.
    let finder = browser.get("/alice/hello/web/-/find/main").await;
    assert!(finder.html.contains("name=\"repo\" value=\"alice/hello/web\""), "{}", finder.html);
    let searched = browser.get("/search?in=code&repo=alice%2Fhello%2Fweb&q=needle").await;
    searched.expect(200, "Code a b.rs alice/hello/web 3 let");
    assert!(searched.html.contains("value=\"repo:alice/hello/web needle\""), "{}", searched.html);
    // Without words, the page waits for them.
    let empty = browser.get("/search?in=code&repo=alice%2Fhello%2Fweb&q=").await;
    empty.expect(200, "Search Words, names and filters");
    assert!(empty.html.contains("value=\"repo:alice/hello/web \"") && hits(&empty).is_empty());
    let short = browser.get("/search?q=zz").await;
    short.expect(200, "Write 3 letters or more to find words that begin so, and code.");
    server.stop().await;
}

#[actix_web::test]
async fn invalid_search_is_a_page_with_the_reason() {
    let server = server().await;
    let alice = Browser::set_up(&server, "alice").await;
    for (query, status, reason) in [
        ("q=before%3Asoon+word", 422, "before: needs a date, such as before:2026-11-24."),
        ("q=-word", 422, "The query must have a word to search for, or a filter"),
        ("q=repo%3Ax+word&in=messages", 422, "The query cannot have repo:"),
        ("q=word&in=wiki", 400, "must be messages, code, commits, people"),
        ("q=word&in=messages&cursor=x", 400, "ursor must be `next` of a page"),
        ("q=word&cursor=5", 400, "ursor needs exactly one group"),
    ] {
        let page = alice.get(&format!("/search?{query}")).await;
        page.expect(status, reason);
        assert!(page.html.contains("role=\"alert\"") && page.html.contains("name=\"q\""), "{query}");
    }
    let long = "x".repeat(300);
    let page = alice.get(&format!("/search?q={long}")).await;
    page.expect(422, "The query must have at most 256 bytes.");
    assert!(page.html.contains(&long), "the query stays in the field");
    server.stop().await;
}

#[actix_web::test]
async fn search_above_the_rate_is_a_page_that_keeps_the_query() {
    let change = |limits: &mut netbit::core::limits::Limits| {
        (limits.searches_per_second, limits.searches_burst) = (1, 1);
    };
    let server = TestServer::with_limits(change).await;
    let alice = Browser::set_up(&server, "alice").await;
    let mut refused = None;
    until(async || {
        let page = alice.get("/search?q=typed+words").await;
        let is_refused = page.status == 429;
        if is_refused {
            refused = Some(page);
        }
        is_refused
    })
    .await;
    let refused = refused.unwrap();
    assert!(refused.html.contains("value=\"typed words\"") && hits(&refused).is_empty());
    assert!(text_of(&refused.html).contains("try again in"), "{}", refused.text());
    assert_eq!(refused.header("retry-after"), "1");
    // The page without a query searches nothing.
    assert_eq!(alice.get("/search").await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn search_at_a_limit_names_the_way_on() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms, limits.search_checked) = (false, 1, 20);
    })
    .await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let first = say(&alice, chat, "a phrase: word").await;
    for _ in 0..30 {
        say(&alice, chat, "a word and a phrase").await;
    }
    indexed(&server).await;
    let browser = Browser::login(&server, "alice").await;
    let page = browser.get("/search?q=%22phrase+word%22").await;
    page.expect(200, "More messages continues it.");
    page.expect(200, "None among the messages that were compared so far.");
    let rest = browser.get(&link(&page, "More messages").unwrap()).await;
    assert_eq!(hits(&rest), [format!("/chat/{chat}/{}", first["seq"])]);
    server.stop().await;
}
