//! Projects over REST: lifecycle, names and settings.

use netbit::domain::ids::ChatId;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem};

/// Creates a project and returns its state.
pub(crate) async fn project(owner: &Person, name: &str, visibility: &str) -> Value {
    let made = owner.post("/api/projects/create", json!({"name": name, "visibility": visibility})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body
}

pub(crate) fn channel_of(project: &Value) -> ChatId {
    ChatId(project["channel_id"].as_i64().unwrap())
}

pub(crate) async fn set_role(owner: &Person, project: &str, name: &str, role: &str) -> u16 {
    owner.put(&format!("{project}/members/{name}"), json!({"role": role})).await.status
}

/// Returns a field of each item.
pub(crate) fn each(list: &Value, field: &str) -> Vec<Value> {
    list["items"].as_array().unwrap().iter().map(|item| item[field].clone()).collect()
}

/// Returns the status and the redirect target of a GET, without following the redirect.
pub(crate) async fn redirect_of(server: &TestServer, person: &Person, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = format!("http://{}{path}", server.app.addresses.http);
    let answer = client.get(url).bearer_auth(person.http.token().unwrap()).send().await.unwrap();
    let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), location.unwrap_or_default())
}

#[actix_web::test]
async fn project_is_created_read_listed_changed_and_deleted() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let made =
        alice.post("/api/projects/create", json!({"name": "Hello", "description": " says hello "})).await;
    assert_eq!(made.status, 201);
    for (field, expected) in [
        ("owner", json!("alice")),
        ("name", json!("Hello")),
        ("description", json!("says hello")),
        ("visibility", json!("private")),
        ("role", json!("owner")),
        ("watches", json!(true)),
        ("member_count", json!(1)),
        ("repository_count", json!(0)),
        ("permissions", json!({"read": true, "push": true, "maintain": true, "manage": true})),
    ] {
        assert_eq!(made.body[field], expected, "{field}");
    }
    let path = "/api/projects/alice/hello";
    assert_eq!(alice.get(path).await.body, made.body);
    assert_eq!(alice.get("/api/projects").await.body["items"], json!([made.body]));

    let changed = alice.patch(path, json!({"description": "more", "visibility": "public"})).await;
    assert_eq!(changed.status, 200);
    assert_eq!(
        (&changed.body["description"], &changed.body["visibility"], &changed.body["name"]),
        (&json!("more"), &json!("public"), &json!("Hello"))
    );
    assert_eq!(alice.delete(path).await.status, 204);
    assert_problem(&alice.get(path).await, 404, "not_found");
    assert_problem(&alice.delete(path).await, 404, "not_found");
    assert_eq!(alice.get("/api/projects").await.body["items"], json!([]));
    server.stop().await;
}

#[actix_web::test]
async fn project_name_is_unique_per_owner_ignoring_case() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    project(&alice, "Web", "private").await;
    assert_problem(&alice.post("/api/projects/create", json!({"name": "wEB"})).await, 409, "conflict");
    project(&bob, "web", "private").await;
    project(&alice, "other", "private").await;
    let taken = alice.patch("/api/projects/alice/other", json!({"name": "WEB"})).await;
    assert_problem(&taken, 409, "conflict");
    let same = alice.patch("/api/projects/alice/Web", json!({"name": "web"})).await;
    assert_eq!(
        (same.status, &same.body["name"]),
        (200, &json!("web")),
        "the owner may change the letter case"
    );
    server.stop().await;
}

#[actix_web::test]
async fn invalid_project_name_is_refused() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    project(&alice, "fine", "private").await;
    let long = "x".repeat(65);
    for bad in [
        "",
        ".",
        "..",
        ".git",
        "-x",
        "_x",
        "a/b",
        "a\\b",
        "a b",
        "a\nb",
        "a\0b",
        "x.git",
        "X.GIT",
        "x.lock",
        "x.",
        "a..b",
        "é",
        "a\u{202e}b",
        "a%2fb",
        ".well-known",
        "-",
        &long,
    ] {
        let create = alice.post("/api/projects/create", json!({"name": bad})).await;
        assert_problem(&create, 422, "validation");
        assert_problem(
            &alice.patch("/api/projects/alice/fine", json!({"name": bad})).await,
            422,
            "validation",
        );
        let create = alice.post("/api/projects/alice/fine/repos/create", json!({"name": bad})).await;
        assert_problem(&create, 422, "validation");
    }
    for bad in [
        json!({"name": "x", "visibility": "secret"}),
        json!({"name": "x", "owner": "bob"}),
        json!({"name": "x", "description": "x".repeat(501)}),
        json!({"name": "x", "description": "bell\u{7}"}),
        json!({}),
    ] {
        assert_problem(&alice.post("/api/projects/create", bad).await, 422, "validation");
    }
    assert_eq!(each(&alice.get("/api/projects").await.body, "name"), [json!("fine")]);
    server.stop().await;
}

#[actix_web::test]
async fn renamed_project_redirects_from_its_old_name() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let made = project(&alice, "Old", "private").await;
    alice.post("/api/projects/alice/old/repos/create", json!({"name": "web"})).await;
    let renamed = alice.patch("/api/projects/alice/old", json!({"name": "New"})).await;
    assert_eq!((renamed.status, &renamed.body["name"]), (200, &json!("New")));
    let chat = format!("/api/chats/{}", channel_of(&made));
    assert_eq!(alice.get(&chat).await.body["name"], "alice/New");

    for rest in ["", "/config", "/members?limit=1", "/repos?limit=1&cursor=%61", "/repos/web"] {
        let old = format!("/api/projects/alice/OLD{rest}");
        let expected = format!("/api/projects/alice/New{rest}");
        assert_eq!(redirect_of(&server, &alice, &old).await, (308, expected.clone()));
        let (followed, direct) = (alice.get(&old).await, alice.get(&expected).await);
        assert_eq!((followed.status, followed.body), (200, direct.body));
    }
    let changed = alice.patch("/api/projects/alice/old", json!({"description": "changed"})).await;
    assert_eq!((changed.status, &changed.body["name"]), (200, &json!("New")), "the change is applied");

    // After two renames, the oldest name redirects to the current name.
    alice.patch("/api/projects/alice/New", json!({"name": "newest"})).await;
    assert_eq!(redirect_of(&server, &alice, "/api/projects/alice/old").await.1, "/api/projects/alice/newest");
    assert_eq!(redirect_of(&server, &alice, "/api/projects/alice/new").await.1, "/api/projects/alice/newest");
    // The project can take its oldest name again.
    alice.patch("/api/projects/alice/newest", json!({"name": "old"})).await;
    assert_eq!(redirect_of(&server, &alice, "/api/projects/alice/old").await.0, 200);
    assert_eq!(redirect_of(&server, &alice, "/api/projects/alice/newest").await.1, "/api/projects/alice/old");
    server.stop().await;
}

#[actix_web::test]
async fn former_project_names_are_limited() {
    let server = TestServer::with_limits(|limits| limits.former_names = 2).await;
    let alice = server.user("alice").await;
    project(&alice, "a0", "private").await;
    for n in 0..2 {
        let renamed =
            alice.patch(&format!("/api/projects/alice/a{n}"), json!({"name": format!("a{}", n + 1)})).await;
        assert_eq!(renamed.status, 200);
    }
    assert_problem(&alice.patch("/api/projects/alice/a2", json!({"name": "a3"})).await, 409, "conflict");
    assert_eq!(
        alice.patch("/api/projects/alice/a2", json!({"name": "A2"})).await.status,
        200,
        "only the letter case changes"
    );
    server.stop().await;
}

#[actix_web::test]
async fn new_project_takes_a_former_name_of_another() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let first = project(&alice, "web", "private").await;
    alice.patch("/api/projects/alice/web", json!({"name": "first"})).await;
    let second = project(&alice, "web", "private").await;
    assert_eq!(alice.get("/api/projects/alice/web").await.body["id"], second["id"]);
    assert_eq!(alice.get("/api/projects/alice/first").await.body["id"], first["id"]);
    alice.patch("/api/projects/alice/web", json!({"name": "second"})).await;
    let moved = redirect_of(&server, &alice, "/api/projects/alice/web").await;
    assert_eq!(moved.1, "/api/projects/alice/second", "the last project that had the name");
    assert_eq!(alice.delete("/api/projects/alice/second").await.status, 204);
    assert_problem(&alice.get("/api/projects/alice/web").await, 404, "not_found");
    assert_problem(&alice.get("/api/projects/alice/second").await, 404, "not_found");
    let server = server.restart(|_| ()).await;
    let alice = server.login("alice").await;
    assert_eq!(each(&alice.get("/api/projects").await.body, "name"), [json!("first")]);
    project(&alice, "second", "private").await;
    assert_eq!(alice.get("/api/projects/alice/second").await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn project_settings_have_defaults_and_are_validated() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    project(&alice, "web", "private").await;
    let path = "/api/projects/alice/web/config";
    assert_eq!(alice.get(path).await.body, json!({"default_branch": "main", "protected_branches": []}));
    let wanted = json!({"default_branch": "trunk", "protected_branches": [{"pattern": "release/*"}]});
    let rule = json!({"pattern": "release/*", "push": "maintainer", "force": false, "delete": false});
    let stored = alice.put(path, wanted).await;
    let expected = json!({"default_branch": "trunk", "protected_branches": [rule]});
    assert_eq!((stored.status, &stored.body), (200, &expected));
    assert_eq!(alice.get(path).await.body, expected);
    let made = alice.post("/api/projects/alice/web/repos/create", json!({"name": "a"})).await;
    assert_eq!(made.body["default_branch"], "trunk");

    let rules: Vec<_> = (0..51).map(|n| json!({"pattern": format!("b{n}")})).collect();
    for bad in [
        json!({"default_branch": "a..b"}),
        json!({"default_branch": ""}),
        json!({"default_branch": 7}),
        json!({"protected_branches": rules}),
        json!({"protected_branches": [{"pattern": "x y"}]}),
        json!({"protected_branches": [{"pattern": ""}]}),
        json!({"protected_branches": [{}]}),
        json!({"protected_branches": [{"pattern": "x", "push": "reader"}]}),
        json!({"protected_branches": [{"pattern": "x", "push": "king"}]}),
        json!({"protected_branches": [{"pattern": "x", "why": "because"}]}),
        json!({"colour": "red"}),
        json!([]),
    ] {
        assert_problem(&alice.put(path, bad).await, 422, "validation");
    }
    set_role(&alice, "/api/projects/alice/web", "bob", "maintainer").await;
    assert_eq!(bob.get(path).await.body, expected);
    assert_problem(&bob.put(path, json!({})).await, 403, "forbidden");
    assert_eq!(alice.put(path, json!({})).await.body["default_branch"], "main");
    server.stop().await;
}

#[actix_web::test]
async fn deleted_project_removes_repositories_and_archives_channel() {
    let server = TestServer::start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    let made = project(&alice, "web", "public").await;
    let (path, channel) = ("/api/projects/alice/web", channel_of(&made));
    set_role(&alice, path, "bob", "writer").await;
    bob.say(channel, "hello").await;
    for name in ["a", "b"] {
        alice.post(&format!("{path}/repos/create"), json!({"name": name})).await;
    }
    assert_eq!(alice.delete(path).await.status, 204);
    for rest in ["", "/repos", "/repos/a", "/members", "/config"] {
        for person in [&alice, &bob, &eve] {
            assert_problem(&person.get(&format!("{path}{rest}")).await, 404, "not_found");
        }
        let anonymous = server.http.get(&format!("{path}{rest}")).await.unwrap();
        assert_problem(&anonymous, 401, "unauthenticated");
    }
    let chat = format!("/api/chats/{channel}");
    assert_eq!(bob.get(&chat).await.body["archived"], json!(true));
    assert_eq!(bob.contents(channel).await, ["hello"]);
    assert_problem(&bob.say(channel, "hello?").await, 403, "forbidden");
    for rest in ["", "/messages", "/events", "/participants"] {
        assert_problem(&eve.get(&format!("{chat}{rest}")).await, 404, "not_found");
    }
    let again = project(&alice, "web", "private").await;
    assert_ne!((&again["id"], &again["channel_id"]), (&made["id"], &made["channel_id"]));
    assert_eq!(alice.get(&format!("{path}/repos")).await.body["items"], json!([]));
    assert_eq!(alice.post(&format!("{path}/repos/create"), json!({"name": "a"})).await.status, 201);
    assert_problem(&bob.get(path).await, 404, "not_found");
    server.stop().await;
}
