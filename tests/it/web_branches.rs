//! The page of the branches: how far they are from the default branch, and their deletion.

use serde_json::{Value, json};

use crate::browsing::World;
use crate::harness::browser::Browser;
use crate::harness::{Person, until};
use netbit::domain::ids::ChatId;

const BRANCHES: &str = "/alice/hello/web/-/branches";

fn deletion(branch: &str) -> String {
    format!("{BRANCHES}/delete/{branch}")
}

/// Returns the texts of the project's channel.
async fn channel(alice: &Person) -> Vec<String> {
    let project = alice.get("/api/projects/alice/hello").await.body;
    let id: ChatId = serde_json::from_value(project["channel_id"].clone()).unwrap();
    alice.contents(id).await
}

async fn names(alice: &Person) -> Vec<String> {
    let found = alice.get("/api/projects/alice/hello/repos/web/branches").await.body;
    let names = found["items"].as_array().unwrap().iter().map(|branch| &branch["name"]);
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn branches_show_their_distance_from_the_default_branch() {
    let world = World::start("public").await;
    let page = Browser::anonymous(&world.server).get(BRANCHES).await;
    page.expect(200, "1 ahead, 1 behind Commits Compare");
    page.expect(200, "1 behind Commits Compare");
    assert!(!page.html.contains(&deletion("")), "a visitor cannot delete");
    world.server.stop().await;
}

#[actix_web::test]
async fn branch_is_deleted_after_a_question_and_announced() {
    let world = World::start("private").await;
    let alice = Browser::login(&world.server, "alice").await;
    for (name, in_address) in [("topic", "topic"), ("issue#7+c&d=e", "issue%237%2Bc%26d%3De")] {
        let oid = world.git(&["rev-parse", name]);
        let at = deletion(in_address);
        assert!(alice.page(BRANCHES).await.contains(&format!("href=\"{at}\"")), "{at}");
        let question = alice.get(&at).await;
        question.expect(200, &format!("Delete the branch {name}"));
        question.expect(200, &format!("{oid}:refs/heads/{name}"));
        assert!(question.html.contains(&format!("action=\"{at}\"")), "{}", question.html);
        assert!(names(&world.alice).await.contains(&name.to_owned()), "the question deletes nothing");
        let deleted = alice.post_form(&at, &[("oid", &oid)]).await;
        deleted.expect(200, &format!("The branch {name} is deleted."));
        deleted.expect(200, &format!("{oid}:refs/heads/{name}"));
        assert!(!names(&world.alice).await.contains(&name.to_owned()));
        alice.get(&at).await.expect(404, "Page not found");
        assert_eq!(alice.post_form(&at, &[("oid", &oid)]).await.status, 404, "a second click");
        let text = format!("deleted {name} in alice/hello/web");
        until(async || channel(&world.alice).await.iter().any(|message| message.contains(&text))).await;
    }
    // The command restores the branch.
    let url = world.server.url_as("alice", "alice/hello/web");
    let restored = format!("{}:refs/heads/topic", world.git(&["rev-parse", "topic"]));
    let at = world.path();
    crate::browsing::blocking(move || crate::browsing::git(&at, &["push", "-q", &url, &restored])).await;
    assert!(names(&world.alice).await.contains(&"topic".to_owned()));
    world.server.stop().await;
}

#[actix_web::test]
async fn branch_that_has_moved_is_not_deleted() {
    let world = World::start("private").await;
    let alice = Browser::login(&world.server, "alice").await;
    let (old, now) = (world.git(&["rev-parse", "main"]), world.git(&["rev-parse", "topic"]));
    let refused = alice.post_form(&deletion("topic"), &[("oid", &old)]).await;
    refused.expect(409, "The branch has moved since the page was loaded");
    assert!(refused.html.contains(&format!("name=\"oid\" value=\"{now}\"")), "{}", refused.html);
    assert_eq!(alice.post_form(&deletion("topic"), &[("oid", "x")]).await.status, 400);
    assert!(names(&world.alice).await.contains(&"topic".to_owned()));
    world.server.stop().await;
}

#[actix_web::test]
async fn deletion_obeys_the_rules_of_a_push() {
    let world = World::start("public").await;
    for (name, role) in [("reader", "reader"), ("writer", "writer")] {
        world.server.user(name).await;
        world.alice.member("hello", name, role).await;
    }
    let rules: Value = json!({"protected_branches": [
        {"pattern": "topic", "push": "writer"},
        {"pattern": "feature/*", "push": "maintainer", "delete": true},
    ]});
    assert_eq!(world.alice.put("/api/projects/alice/hello/config", rules).await.status, 200);
    let before = names(&world.alice).await;
    let writer = Browser::login(&world.server, "writer").await;
    for (branch, status, why) in [
        ("main", 409, "The default branch cannot be deleted"),
        ("topic", 403, "Protected branch: it cannot be deleted."),
        ("feature/x", 403, "Protected branch: pushing needs the role maintainer."),
    ] {
        let (at, oid) = (deletion(branch), world.git(&["rev-parse", branch]));
        writer.get(&at).await.expect(status, why);
        writer.post_form(&at, &[("oid", &oid)]).await.expect(status, why);
        assert!(!writer.page(BRANCHES).await.contains(&format!("href=\"{at}\"")), "{branch}");
    }
    let (at, oid) = (deletion("100%25"), world.git(&["rev-parse", "100%"]));
    let reader = Browser::login(&world.server, "reader").await;
    for answer in [reader.get(&at).await, reader.post_form(&at, &[("oid", &oid)]).await] {
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    let login = format!("/login?next={}", at.replace('%', "%25").replace('/', "%2F"));
    let anyone = Browser::anonymous(&world.server);
    anyone.get(&at).await.expect_redirect(&login);
    anyone.post_form(&at, &[("oid", &oid)]).await.expect_redirect(&login);
    assert_eq!(names(&world.alice).await, before);
    assert_eq!(writer.post_form(&at, &[("oid", &oid)]).await.status, 200);
    assert_eq!(names(&world.alice).await.len(), before.len() - 1);
    world.server.stop().await;
}
