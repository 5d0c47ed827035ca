//! Projects and the people in them, over REST.

use netbit::domain::ids::ChatId;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem};

/// Makes a project and answers how it stands.
async fn project(owner: &Person, name: &str, visibility: &str) -> Value {
    let made = owner.post("/api/projects/create", json!({"name": name, "visibility": visibility})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body
}

fn channel_of(project: &Value) -> ChatId {
    ChatId(project["channel_id"].as_i64().unwrap())
}

async fn set_role(owner: &Person, project: &str, name: &str, role: &str) -> u16 {
    owner.put(&format!("{project}/members/{name}"), json!({"role": role})).await.status
}

/// A field of each item.
fn each(list: &Value, field: &str) -> Vec<Value> {
    list["items"].as_array().unwrap().iter().map(|item| item[field].clone()).collect()
}

/// Every item of a list, page by page, as the `Link` headers lead.
async fn pages(who: &Person, first: &str) -> Vec<Value> {
    let (mut path, mut seen) = (first.to_owned(), Vec::new());
    loop {
        let page = who.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        seen.extend(page.body["items"].as_array().unwrap().clone());
        let Some(link) = page.header("link") else { return seen };
        path = link.split_once(">; rel=\"next\"").unwrap().0.trim_start_matches('<').to_owned();
    }
}

/// Where an answer sends its reader, who does not go there.
async fn sent_on(server: &TestServer, who: &Person, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = format!("http://{}{path}", server.app.addresses.http);
    let answer = client.get(url).bearer_auth(who.http.token().unwrap()).send().await.unwrap();
    let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), location.unwrap_or_default())
}

#[actix_web::test]
async fn a_project_is_made_seen_listed_changed_and_deleted() {
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
async fn a_name_is_taken_whatever_its_case_but_by_one_owner_only() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    project(&alice, "Web", "private").await;
    assert_problem(&alice.post("/api/projects/create", json!({"name": "wEB"})).await, 409, "conflict");
    project(&bob, "web", "private").await;
    project(&alice, "other", "private").await;
    let taken = alice.patch("/api/projects/alice/other", json!({"name": "WEB"})).await;
    assert_problem(&taken, 409, "conflict");
    let same = alice.patch("/api/projects/alice/Web", json!({"name": "web"})).await;
    assert_eq!((same.status, &same.body["name"]), (200, &json!("web")), "one may change the case");
    server.stop().await;
}

#[actix_web::test]
async fn a_name_that_is_hostile_is_refused() {
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
async fn nobody_learns_of_a_private_project() {
    let server = TestServer::start().await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    project(&alice, "secret", "private").await;
    alice.post("/api/projects/alice/secret/repos/create", json!({"name": "web"})).await;
    // Under a former name neither.
    project(&alice, "was", "private").await;
    alice.patch("/api/projects/alice/was", json!({"name": "is"})).await;

    for rest in ["", "/config", "/repos", "/repos/web", "/members"] {
        for existing in ["secret", "was"] {
            let path = |project| format!("/api/projects/alice/{project}{rest}");
            let (found, missing) = (eve.get(&path(existing)).await, eve.get(&path("missing")).await);
            assert_problem(&found, 404, "not_found");
            assert_eq!(found.body["detail"], missing.body["detail"]);
            let found = server.http.get(&path(existing)).await.unwrap();
            let missing = server.http.get(&path("missing")).await.unwrap();
            assert_problem(&found, 401, "unauthenticated");
            assert_eq!(found.body["detail"], missing.body["detail"]);
        }
    }
    let somebody = eve.get("/api/projects/nobody/secret").await;
    assert_eq!(somebody.body["detail"], eve.get("/api/projects/alice/secret").await.body["detail"]);
    for existing in ["secret", "missing"] {
        let path = format!("/api/projects/alice/{existing}");
        for answer in [
            eve.patch(&path, json!({"visibility": "public"})).await,
            eve.delete(&path).await,
            eve.put(&format!("{path}/config"), json!({})).await,
            eve.put(&format!("{path}/watch"), json!({})).await,
            eve.delete(&format!("{path}/watch")).await,
            eve.put(&format!("{path}/members/eve"), json!({"role": "reader"})).await,
            eve.delete(&format!("{path}/members/alice")).await,
            eve.delete(&format!("{path}/members/eve")).await,
            eve.post(&format!("{path}/repos/create"), json!({"name": "web"})).await,
            eve.patch(&format!("{path}/repos/web"), json!({"name": "x"})).await,
            eve.delete(&format!("{path}/repos/web")).await,
        ] {
            assert_problem(&answer, 404, "not_found");
        }
    }
    assert_eq!(eve.get("/api/projects").await.body["items"], json!([]));
    assert_eq!(server.http.get("/api/projects").await.unwrap().body["items"], json!([]));
    server.stop().await;
}

#[actix_web::test]
async fn a_public_project_is_read_without_an_account_and_changed_by_no_outsider() {
    let server = TestServer::start().await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    project(&alice, "open", "public").await;
    alice.post("/api/projects/alice/open/repos/create", json!({"name": "web"})).await;
    let path = "/api/projects/alice/open";
    let seen = server.http.get(path).await.unwrap();
    assert_eq!((seen.status, seen.body.get("role"), &seen.body["watches"]), (200, None, &json!(false)));
    assert_eq!(
        seen.body["permissions"],
        json!({"read": true, "push": false, "maintain": false, "manage": false})
    );
    assert_eq!(each(&server.http.get("/api/projects").await.unwrap().body, "name"), [json!("open")]);
    assert_eq!(server.http.get("/api/projects?member=true").await.unwrap().body["items"], json!([]));
    for rest in ["/config", "/repos", "/repos/web"] {
        assert_eq!(server.http.get(&format!("{path}{rest}")).await.unwrap().status, 200, "{rest}");
    }
    let members = server.http.get(&format!("{path}/members")).await.unwrap();
    assert_problem(&members, 401, "unauthenticated");

    for answer in [
        eve.patch(path, json!({"name": "mine"})).await,
        eve.delete(path).await,
        eve.put(&format!("{path}/config"), json!({})).await,
        eve.put(&format!("{path}/members/eve"), json!({"role": "reader"})).await,
        eve.delete(&format!("{path}/members/alice")).await,
        eve.delete(&format!("{path}/members/eve")).await,
        eve.post(&format!("{path}/repos/create"), json!({"name": "x"})).await,
        eve.patch(&format!("{path}/repos/web"), json!({"name": "x"})).await,
        eve.delete(&format!("{path}/repos/web")).await,
    ] {
        assert_problem(&answer, 403, "forbidden");
    }
    alice.patch(path, json!({"visibility": "private"})).await;
    assert_problem(&server.http.get(path).await.unwrap(), 401, "unauthenticated");
    assert_problem(&eve.get(path).await, 404, "not_found");
    server.stop().await;
}

#[actix_web::test]
async fn lists_meet_everything_once_and_show_nothing_private() {
    let server = TestServer::start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    for n in 0..4 {
        project(&alice, &format!("open{n}"), "public").await;
        project(&alice, &format!("shut{n}"), "private").await;
        project(&bob, &format!("bobs{n}"), "private").await;
    }
    for shared in ["shut1", "shut3", "open2"] {
        set_role(&alice, &format!("/api/projects/alice/{shared}"), "bob", "reader").await;
    }
    let names = async |who: &Person, path: &str| -> Vec<String> {
        let list = pages(who, path).await;
        let ids: Vec<_> = list.iter().map(|one| one["id"].as_i64().unwrap()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "each once, in order: {ids:?}");
        list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let seen = names(&bob, "/api/projects?limit=2").await;
    let expected = ["open0", "bobs0", "open1", "shut1", "bobs1", "open2", "bobs2", "open3", "shut3", "bobs3"];
    assert_eq!(seen, expected);
    let own = names(&bob, "/api/projects?member=true&limit=2").await;
    assert_eq!(own, ["bobs0", "shut1", "bobs1", "open2", "bobs2", "shut3", "bobs3"]);
    assert_eq!(names(&eve, "/api/projects?limit=1").await, ["open0", "open1", "open2", "open3"]);
    assert_eq!(names(&eve, "/api/projects?limit=4").await.len(), 4, "a full page is the last one");
    assert_eq!(names(&eve, "/api/projects?limit=3&member=true").await, Vec::<String>::new());

    for n in 0..5 {
        let name = ["b", "A", "c-1", "D.2", "e_3"][n];
        alice.post("/api/projects/alice/shut1/repos/create", json!({"name": name})).await;
    }
    let repositories = pages(&bob, "/api/projects/alice/shut1/repos?limit=2").await;
    let found: Vec<_> = repositories.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(found, ["A", "b", "c-1", "D.2", "e_3"]);
    let members = pages(&bob, "/api/projects/alice/shut1/members?limit=1").await;
    let found: Vec<_> = members.iter().map(|one| (one["username"].as_str(), one["role"].as_str())).collect();
    assert_eq!(found, [(Some("alice"), Some("owner")), (Some("bob"), Some("reader"))]);
    for bad in ["limit=0", "limit=101", "limit=x", "cursor=x", "member=maybe"] {
        assert_problem(&alice.get(&format!("/api/projects?{bad}")).await, 400, "bad_request");
    }
    server.stop().await;
}

#[actix_web::test]
async fn owners_give_roles_nobody_raises_themselves_and_the_namesake_stays() {
    let server = TestServer::start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    project(&alice, "web", "private").await;
    let path = "/api/projects/alice/web";
    let member = |name: &str| format!("{path}/members/{name}");

    assert_eq!(set_role(&alice, path, "bob", "reader").await, 201);
    assert_eq!(set_role(&alice, path, "bob", "reader").await, 204);
    for (role, permissions) in [
        ("reader", [true, false, false, false]),
        ("writer", [true, true, false, false]),
        ("maintainer", [true, true, true, false]),
    ] {
        assert_eq!(set_role(&alice, path, "bob", role).await, 204);
        let seen = bob.get(path).await.body;
        let may =
            ["read", "push", "maintain", "manage"].map(|act| seen["permissions"][act].as_bool().unwrap());
        assert_eq!((seen["role"].as_str(), may), (Some(role), permissions));
        assert_problem(&bob.put(&member("bob"), json!({"role": "owner"})).await, 403, "forbidden");
        assert_problem(&bob.put(&member("carol"), json!({"role": "reader"})).await, 403, "forbidden");
        assert_problem(&bob.delete(&member("alice")).await, 403, "forbidden");
        assert_problem(&bob.patch(path, json!({"description": "mine"})).await, 403, "forbidden");
        assert_problem(&bob.delete(path).await, 403, "forbidden");
        let makes = bob.post(&format!("{path}/repos/create"), json!({"name": role})).await.status;
        assert_eq!(makes, if role == "maintainer" { 201 } else { 403 });
    }
    assert_eq!(set_role(&alice, path, "bob", "owner").await, 204);
    assert_eq!(set_role(&bob, path, "carol", "writer").await, 201);
    for (who, body) in [(&alice, json!({"role": "reader"})), (&bob, json!({"role": "maintainer"}))] {
        assert_problem(&who.put(&member("alice"), body).await, 409, "conflict");
        assert_problem(&who.delete(&member("alice")).await, 409, "conflict");
    }
    assert_eq!(bob.get(path).await.body["member_count"], 3);
    assert_eq!(carol.delete(&member("carol")).await.status, 204, "everybody may leave");
    assert_problem(&carol.get(path).await, 404, "not_found");
    assert_problem(&alice.delete(&member("carol")).await, 404, "not_found");
    assert_problem(&alice.put(&member("nobody"), json!({"role": "reader"})).await, 404, "not_found");
    assert_problem(&alice.put(&member("carol"), json!({"role": "king"})).await, 422, "validation");
    assert_problem(&alice.put(&member("carol"), json!({})).await, 422, "validation");
    assert_eq!(alice.delete(&member("bob")).await.status, 204);
    assert_problem(&bob.patch(path, json!({"description": "mine"})).await, 404, "not_found");
    server.stop().await;
}

#[actix_web::test]
async fn the_channel_follows_the_members() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let made = project(&alice, "web", "private").await;
    let (path, channel) = ("/api/projects/alice/web", channel_of(&made));
    let chat = format!("/api/chats/{channel}");
    assert_eq!(alice.get(&chat).await.body["name"], "alice/web");
    for role in ["reader", "writer", "maintainer", "owner", "reader"] {
        set_role(&alice, path, "bob", role).await;
    }
    assert_eq!(each(&bob.get("/api/chats").await.body, "id"), [json!(channel)]);
    assert_problem(&bob.say(channel, "may I?").await, 403, "forbidden");
    set_role(&alice, path, "bob", "writer").await;
    assert_eq!(bob.say(channel, "I may").await.status, 201);
    assert_eq!(bob.delete(&format!("{path}/members/bob")).await.status, 204);
    assert_problem(&bob.get(&chat).await, 404, "not_found");
    assert_problem(&bob.say(channel, "still here?").await, 404, "not_found");

    let events = alice.get(&format!("{chat}/events")).await.body;
    let seen: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["kind"].as_str().unwrap(), event["role"].as_str(), event["user_id"].as_i64()))
        .collect();
    let (a, b) = (Some(alice.id.0), Some(bob.id.0));
    assert_eq!(
        seen,
        [
            ("join", Some("owner"), a),
            ("join", Some("reader"), b),
            ("role", Some("member"), b),
            ("role", Some("admin"), b),
            ("role", Some("owner"), b),
            ("role", Some("reader"), b),
            ("role", Some("member"), b),
            ("message", None, None),
            ("leave", Some("member"), b),
        ]
    );
    server.stop().await;
}

#[actix_web::test]
async fn a_projects_channel_is_changed_through_the_project_only() {
    let server = TestServer::start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    for visibility in ["private", "public"] {
        let made = project(&alice, visibility, visibility).await;
        let path = format!("/api/projects/alice/{visibility}");
        set_role(&alice, &path, "bob", "owner").await;
        let chat = format!("/api/chats/{}", channel_of(&made));
        for who in [&alice, &bob] {
            for answer in [
                who.patch(&chat, json!({"name": "other"})).await,
                who.patch(&chat, json!({"archived": true})).await,
                who.put(&format!("{chat}/participants/carol"), json!({})).await,
                who.put(&format!("{chat}/participants/bob"), json!({"role": "member"})).await,
                who.delete(&format!("{chat}/participants/bob")).await,
                who.delete(&format!("{chat}/participants/alice")).await,
            ] {
                assert_problem(&answer, 403, "forbidden");
            }
        }
        let joins = carol.put(&format!("{chat}/participants/carol"), json!({})).await.status;
        assert_eq!(joins, if visibility == "private" { 404 } else { 403 });
        assert_eq!(alice.get(&chat).await.body["participants"].as_array().unwrap().len(), 2);
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_public_projects_channel_is_read_by_every_user_and_joined_by_none() {
    let server = TestServer::start().await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    let made = project(&alice, "web", "public").await;
    let channel = channel_of(&made);
    alice.say(channel, "hello").await;
    let chat = format!("/api/chats/{channel}");
    for rest in ["", "/messages", "/events", "/participants"] {
        assert_eq!(eve.get(&format!("{chat}{rest}")).await.status, 200, "{rest}");
        let anonymous = server.http.get(&format!("{chat}{rest}")).await.unwrap();
        assert_problem(&anonymous, 401, "unauthenticated");
    }
    assert_eq!(eve.contents(channel).await, ["hello"]);
    assert_problem(&eve.say(channel, "hi").await, 403, "forbidden");
    assert_eq!(eve.get("/api/chats?joinable=true").await.body["items"], json!([]));
    assert_eq!(eve.get("/api/chats").await.body["items"], json!([]));
    alice.patch("/api/projects/alice/web", json!({"visibility": "private"})).await;
    for rest in ["", "/messages", "/events", "/participants"] {
        assert_problem(&eve.get(&format!("{chat}{rest}")).await, 404, "not_found");
    }
    server.stop().await;
}

/// `docs`, `api`, `static` and more were refused for projects and repositories, although users stand in front of them.
#[actix_web::test]
async fn projects_and_repositories_may_be_called_like_routes() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for name in
        ["docs", "api", "API-2", "static", "assets", "settings", "create", "repos", "info", "ws", "me"]
    {
        project(&alice, name, "private").await;
        let at = format!("/api/projects/alice/{name}");
        let made = alice.post(&format!("{at}/repos/create"), json!({"name": name})).await;
        assert_eq!(made.status, 201, "{name}: {}", made.body);
        let repository = format!("{at}/repos/{name}");
        assert_eq!(alice.get(&repository).await.body["name"], name);
        assert_eq!(alice.patch(&repository, json!({"description": "x"})).await.status, 200);
        assert_eq!(alice.get(&format!("{repository}/branches")).await.status, 200);
        let refs = format!("/alice/{name}/{name}.git/info/refs?service=git-upload-pack");
        assert_eq!(sent_on(&server, &alice, &refs).await.0, 200, "{name}");
        assert_eq!(alice.delete(&repository).await.status, 204);
        assert_eq!(alice.patch(&at, json!({"description": "x"})).await.status, 200);
        assert_eq!(alice.delete(&at).await.status, 204);
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_renamed_project_is_found_under_its_old_name() {
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
        assert_eq!(sent_on(&server, &alice, &old).await, (308, expected.clone()));
        let (followed, direct) = (alice.get(&old).await, alice.get(&expected).await);
        assert_eq!((followed.status, followed.body), (200, direct.body));
    }
    let changed = alice.patch("/api/projects/alice/old", json!({"description": "changed"})).await;
    assert_eq!((changed.status, &changed.body["name"]), (200, &json!("New")), "changes are made");

    // Two renames later the oldest name still leads to the present one.
    alice.patch("/api/projects/alice/New", json!({"name": "newest"})).await;
    assert_eq!(sent_on(&server, &alice, "/api/projects/alice/old").await.1, "/api/projects/alice/newest");
    assert_eq!(sent_on(&server, &alice, "/api/projects/alice/new").await.1, "/api/projects/alice/newest");
    // And back again.
    alice.patch("/api/projects/alice/newest", json!({"name": "old"})).await;
    assert_eq!(sent_on(&server, &alice, "/api/projects/alice/old").await.0, 200);
    assert_eq!(sent_on(&server, &alice, "/api/projects/alice/newest").await.1, "/api/projects/alice/old");
    server.stop().await;
}

#[actix_web::test]
async fn so_many_names_can_be_left_and_no_more() {
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
        "only the case"
    );
    server.stop().await;
}

#[actix_web::test]
async fn a_new_project_takes_the_name_that_another_one_left() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let first = project(&alice, "web", "private").await;
    alice.patch("/api/projects/alice/web", json!({"name": "first"})).await;
    let second = project(&alice, "web", "private").await;
    assert_eq!(alice.get("/api/projects/alice/web").await.body["id"], second["id"]);
    assert_eq!(alice.get("/api/projects/alice/first").await.body["id"], first["id"]);
    alice.patch("/api/projects/alice/web", json!({"name": "second"})).await;
    let moved = sent_on(&server, &alice, "/api/projects/alice/web").await;
    assert_eq!(moved.1, "/api/projects/alice/second", "the last one that had the name");
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
async fn settings_have_defaults_and_are_checked() {
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
async fn whoever_may_read_a_project_may_watch_it() {
    let server = TestServer::start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    project(&alice, "web", "public").await;
    let path = "/api/projects/alice/web";
    let watch = format!("{path}/watch");
    let watches = async |who: &Person| who.get(path).await.body["watches"].as_bool().unwrap();
    set_role(&alice, path, "bob", "reader").await;
    assert!(watches(&alice).await && watches(&bob).await && !watches(&eve).await);
    for _ in 0..2 {
        assert_eq!(bob.delete(&watch).await.status, 204);
        assert_eq!(eve.put(&watch, json!({})).await.status, 204);
    }
    assert!(watches(&alice).await && !watches(&bob).await && watches(&eve).await);
    bob.put(&watch, json!({})).await;
    bob.delete(&format!("{path}/members/bob")).await;
    assert!(!watches(&bob).await, "whoever leaves hears no more");
    let anonymous = server.http.send(reqwest::Method::PUT, &watch, None, &[]).await.unwrap();
    assert_problem(&anonymous, 401, "unauthenticated");
    server.stop().await;
}

#[actix_web::test]
async fn a_deleted_project_takes_its_repositories_along_and_leaves_an_archived_channel() {
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
        for who in [&alice, &bob, &eve] {
            assert_problem(&who.get(&format!("{path}{rest}")).await, 404, "not_found");
        }
        let anonymous = server.http.get(&format!("{path}{rest}")).await.unwrap();
        assert_problem(&anonymous, 401, "unauthenticated");
    }
    let chat = format!("/api/chats/{channel}");
    assert_eq!(bob.get(&chat).await.body["archived"], json!(true));
    assert_eq!(bob.contents(channel).await, ["hello"]);
    assert_problem(&bob.say(channel, "anybody?").await, 403, "forbidden");
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

#[actix_web::test]
async fn a_repository_is_made_changed_renamed_and_deleted() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    project(&alice, "web", "private").await;
    let repos = "/api/projects/alice/web/repos";
    let made = alice.post(&format!("{repos}/create"), json!({"name": "Site", "description": "pages"})).await;
    assert_eq!(made.status, 201);
    let clone_url = format!("http://{}/alice/web/Site.git", server.app.addresses.http);
    for (field, expected) in [
        ("name", json!("Site")),
        ("full_name", json!("alice/web/Site")),
        ("description", json!("pages")),
        ("default_branch", json!("main")),
        ("clone_url", json!(clone_url)),
    ] {
        assert_eq!(made.body[field], expected, "{field}");
    }
    assert_eq!(alice.get(&format!("{repos}/site")).await.body, made.body);
    assert_eq!(alice.get("/api/projects/alice/web").await.body["repository_count"], 1);
    assert_problem(&alice.post(&format!("{repos}/create"), json!({"name": "sITE"})).await, 409, "conflict");
    for bad in [
        json!({"name": "x", "default_branch": "-x"}),
        json!({"name": "x", "default_branch": "HEAD"}),
        json!({"name": "x", "colour": "red"}),
        json!({"name": "x", "description": "x".repeat(501)}),
    ] {
        assert_problem(&alice.post(&format!("{repos}/create"), bad).await, 422, "validation");
    }
    let changed = alice.patch(&format!("{repos}/site"), json!({"default_branch": "trunk"})).await;
    assert_eq!((changed.status, &changed.body["default_branch"]), (200, &json!("trunk")));
    let bad = alice.patch(&format!("{repos}/site"), json!({"default_branch": "a b"})).await;
    assert_problem(&bad, 422, "validation");

    let renamed = alice.patch(&format!("{repos}/site"), json!({"name": "pages"})).await;
    assert_eq!((renamed.status, &renamed.body["full_name"]), (200, &json!("alice/web/pages")));
    let moved = sent_on(&server, &alice, &format!("{repos}/Site/branches?limit=1")).await;
    assert_eq!(moved, (308, format!("{repos}/pages/branches?limit=1")));
    assert_eq!(alice.get(&format!("{repos}/site")).await.body["name"], "pages");
    let second = alice.post(&format!("{repos}/create"), json!({"name": "site"})).await;
    assert_eq!((second.status, sent_on(&server, &alice, &format!("{repos}/site")).await.0), (201, 200));
    let taken = alice.patch(&format!("{repos}/pages"), json!({"name": "SITE"})).await;
    assert_problem(&taken, 409, "conflict");

    // Under the old name of the project too.
    alice.patch("/api/projects/alice/web", json!({"name": "net"})).await;
    let moved = sent_on(&server, &alice, &format!("{repos}/pages")).await;
    assert_eq!(moved, (308, "/api/projects/alice/net/repos/pages".to_owned()));

    let repos = "/api/projects/alice/net/repos";
    assert_eq!(alice.delete(&format!("{repos}/pages")).await.status, 204);
    assert_problem(&alice.get(&format!("{repos}/pages")).await, 404, "not_found");
    assert_problem(&alice.delete(&format!("{repos}/pages")).await, 404, "not_found");
    assert_eq!(alice.post(&format!("{repos}/create"), json!({"name": "pages"})).await.status, 201);
    assert_eq!(each(&alice.get(repos).await.body, "name"), [json!("pages"), json!("site")]);
    server.stop().await;
}

#[actix_web::test]
async fn of_two_who_want_one_name_at_once_one_gets_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    project(&alice, "web", "private").await;
    for path in ["/api/projects/create", "/api/projects/alice/web/repos/create"] {
        let tries = (0..4).map(|_| alice.post(path, json!({"name": "same"})));
        let mut seen: Vec<_> =
            futures_util::future::join_all(tries).await.iter().map(|answer| answer.status).collect();
        seen.sort_unstable();
        assert_eq!(seen, [201, 409, 409, 409], "{path}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn the_legacy_routes_keep_repositories_in_the_project_personal() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let before = alice.get("/api/repos").await;
    assert_eq!((before.status, &before.body["items"]), (200, &json!([])));
    assert_problem(&alice.get("/api/projects/alice/personal").await, 404, "not_found");
    let made = alice.post("/api/repos/create", json!({"name": "notes"})).await;
    assert_eq!((made.status, &made.body["full_name"]), (201, &json!("alice/personal/notes")));
    assert_eq!(alice.get("/api/projects/alice/personal").await.body["visibility"], "private");
    let after = alice.get("/api/repos").await;
    assert_eq!(each(&after.body, "name"), [json!("notes")]);
    for (answer, successor) in [(&before, "repos"), (&made, "repos/create"), (&after, "repos")] {
        assert!(answer.header("deprecation").unwrap().starts_with('@'));
        assert!(answer.header("sunset").unwrap().ends_with(" GMT"));
        let link = format!("</api/projects/alice/personal/{successor}>; rel=\"successor-version\"");
        assert_eq!(answer.header("link"), Some(link.as_str()));
    }
    assert_problem(&alice.post("/api/repos/create", json!({"name": "NOTES"})).await, 409, "conflict");
    assert_problem(&alice.post("/api/repos/create", json!({"name": "../x"})).await, 422, "validation");
    alice.post("/api/repos/create", json!({"name": "other"})).await;
    let page = alice.get("/api/repos?limit=1").await;
    let links: Vec<_> = page.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert!(links.iter().any(|link| link.starts_with("</api/repos?") && link.ends_with("rel=\"next\"")));
    assert_eq!(links.len(), 2, "{links:?}");
    assert_eq!(bob.get("/api/repos").await.body["items"], json!([]));
    for path in ["/api/repos", "/api/repos?limit=x"] {
        assert_problem(&server.http.get(path).await.unwrap(), 401, "unauthenticated");
    }
    server.stop().await;
}

#[actix_web::test]
async fn the_project_personal_is_made_once_by_whoever_comes_first() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let names: Vec<_> = (0..6).map(|n| format!("r{n}")).collect();
    let tries = names.iter().map(|name| alice.post("/api/repos/create", json!({"name": name})));
    for answer in futures_util::future::join_all(tries).await {
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    assert_eq!(each(&alice.get("/api/projects").await.body, "name"), [json!("personal")]);
    assert_eq!(each(&alice.get("/api/repos").await.body, "name"), names);
    server.stop().await;
}

#[actix_web::test]
async fn a_user_and_a_project_hold_so_many_and_no_more() {
    let server = TestServer::with_limits(|limits| {
        (limits.projects_per_user, limits.repositories_per_project) = (2, 2);
        limits.participants_per_chat = 2;
    })
    .await;
    let (alice, _bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let create = async |name: &str| alice.post("/api/projects/create", json!({"name": name})).await;
    create("a").await;
    create("b").await;
    assert_problem(&create("c").await, 409, "conflict");
    assert_problem(&alice.post("/api/repos/create", json!({"name": "x"})).await, 409, "conflict");
    alice.delete("/api/projects/alice/b").await;
    assert_eq!(create("c").await.status, 201);

    let repos = "/api/projects/alice/a/repos";
    let make = async |name: &str| alice.post(&format!("{repos}/create"), json!({"name": name})).await;
    make("a").await;
    make("b").await;
    assert_problem(&make("c").await, 409, "conflict");
    alice.delete(&format!("{repos}/b")).await;
    assert_eq!(make("c").await.status, 201);

    assert_eq!(set_role(&alice, "/api/projects/alice/a", "bob", "reader").await, 201);
    assert_eq!(set_role(&alice, "/api/projects/alice/a", "carol", "reader").await, 409);
    assert_problem(&carol.get("/api/projects/alice/a").await, 404, "not_found");
    server.stop().await;
}
