//! Members of projects over REST: visibility of projects, membership, and the project's channel.

use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem};
use crate::projects::{channel_of, each, project, set_role};

/// Returns every item of a list, following the `Link` headers page by page.
async fn pages(person: &Person, first: &str) -> Vec<Value> {
    let (mut path, mut seen) = (first.to_owned(), Vec::new());
    loop {
        let page = person.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        seen.extend(page.body["items"].as_array().unwrap().clone());
        let Some(link) = page.header("link") else { return seen };
        path = link.split_once(">; rel=\"next\"").unwrap().0.trim_start_matches('<').to_owned();
    }
}

#[actix_web::test]
async fn private_project_is_hidden_from_non_members() {
    let server = TestServer::start().await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    project(&alice, "secret", "private").await;
    alice.post("/api/projects/alice/secret/repos/create", json!({"name": "web"})).await;
    // A former name of the project does not reveal it either.
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
    let unknown_owner = eve.get("/api/projects/nosuch/secret").await;
    assert_eq!(unknown_owner.body["detail"], eve.get("/api/projects/alice/secret").await.body["detail"]);
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
async fn public_project_is_read_by_all_and_changed_by_no_outsider() {
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
async fn project_lists_contain_each_item_once_and_no_private_one() {
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
    let names = async |person: &Person, path: &str| -> Vec<String> {
        let list = pages(person, path).await;
        let ids: Vec<_> = list.iter().map(|item| item["id"].as_i64().unwrap()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "each once, in order: {ids:?}");
        list.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let expected = ["open0", "bobs0", "open1", "shut1", "bobs1", "open2", "bobs2", "open3", "shut3", "bobs3"];
    // Several sizes: the border between two pages hides an item that occurs twice.
    for limit in 1..=4 {
        assert_eq!(names(&bob, &format!("/api/projects?limit={limit}")).await, expected, "pages of {limit}");
    }
    let own = names(&bob, "/api/projects?member=true&limit=2").await;
    assert_eq!(own, ["bobs0", "shut1", "bobs1", "open2", "bobs2", "shut3", "bobs3"]);
    assert_eq!(names(&eve, "/api/projects?limit=1").await, ["open0", "open1", "open2", "open3"]);
    let full = eve.get("/api/projects?limit=4").await;
    assert_eq!(full.body["items"].as_array().unwrap().len(), 4);
    assert_eq!(full.header("link"), None, "a full page is the last one");
    assert_eq!(names(&eve, "/api/projects?limit=3&member=true").await, Vec::<String>::new());

    for n in 0..5 {
        let name = ["b", "A", "c-1", "D.2", "e_3"][n];
        alice.post("/api/projects/alice/shut1/repos/create", json!({"name": name})).await;
    }
    let repositories = pages(&bob, "/api/projects/alice/shut1/repos?limit=2").await;
    let found: Vec<_> = repositories.iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(found, ["A", "b", "c-1", "D.2", "e_3"]);
    let members = pages(&bob, "/api/projects/alice/shut1/members?limit=1").await;
    let found: Vec<_> =
        members.iter().map(|member| (member["username"].as_str(), member["role"].as_str())).collect();
    assert_eq!(found, [(Some("alice"), Some("owner")), (Some("bob"), Some("reader"))]);
    for bad in ["limit=0", "limit=101", "limit=x", "cursor=x", "member=maybe"] {
        assert_problem(&alice.get(&format!("/api/projects?{bad}")).await, 400, "bad_request");
    }
    server.stop().await;
}

#[actix_web::test]
async fn owners_assign_roles_and_users_cannot_raise_their_own() {
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
    for (person, body) in [(&alice, json!({"role": "reader"})), (&bob, json!({"role": "maintainer"}))] {
        assert_problem(&person.put(&member("alice"), body).await, 409, "conflict");
        assert_problem(&person.delete(&member("alice")).await, 409, "conflict");
    }
    assert_eq!(bob.get(path).await.body["member_count"], 3);
    assert_eq!(carol.delete(&member("carol")).await.status, 204, "every member may leave");
    assert_problem(&carol.get(path).await, 404, "not_found");
    assert_problem(&alice.delete(&member("carol")).await, 404, "not_found");
    assert_problem(&alice.put(&member("nosuch"), json!({"role": "reader"})).await, 404, "not_found");
    assert_problem(&alice.put(&member("carol"), json!({"role": "king"})).await, 422, "validation");
    assert_problem(&alice.put(&member("carol"), json!({})).await, 422, "validation");
    assert_eq!(alice.delete(&member("bob")).await.status, 204);
    assert_problem(&bob.patch(path, json!({"description": "mine"})).await, 404, "not_found");
    server.stop().await;
}

#[actix_web::test]
async fn project_channel_follows_the_members() {
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
async fn project_channel_is_changed_through_the_project_only() {
    let server = TestServer::start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    for visibility in ["private", "public"] {
        let made = project(&alice, visibility, visibility).await;
        let path = format!("/api/projects/alice/{visibility}");
        set_role(&alice, &path, "bob", "owner").await;
        let chat = format!("/api/chats/{}", channel_of(&made));
        for person in [&alice, &bob] {
            for answer in [
                person.patch(&chat, json!({"name": "other"})).await,
                person.patch(&chat, json!({"archived": true})).await,
                person.put(&format!("{chat}/participants/carol"), json!({})).await,
                person.put(&format!("{chat}/participants/bob"), json!({"role": "member"})).await,
                person.delete(&format!("{chat}/participants/bob")).await,
                person.delete(&format!("{chat}/participants/alice")).await,
            ] {
                assert_problem(&answer, 403, "forbidden");
            }
        }
        // Regression: the retention was set, and answered with 403.
        let both = bob.patch(&chat, json!({"name": "other", "retention": 7})).await;
        assert_problem(&both, 403, "forbidden");
        assert_eq!(bob.get(&chat).await.body.get("retention"), None, "nothing was changed");
        set_role(&alice, &path, "carol", "maintainer").await;
        assert_problem(&carol.patch(&chat, json!({"retention": 9})).await, 403, "forbidden");
        let set = bob.patch(&chat, json!({"retention": 9})).await;
        assert_eq!((set.status, &set.body["retention"]), (200, &json!(9)));
        alice.delete(&format!("{path}/members/carol")).await;
        let joins = carol.put(&format!("{chat}/participants/carol"), json!({})).await.status;
        assert_eq!(joins, if visibility == "private" { 404 } else { 403 });
        assert_eq!(alice.get(&chat).await.body["participants"].as_array().unwrap().len(), 2);
    }
    server.stop().await;
}

#[actix_web::test]
async fn public_channel_is_read_by_all_users_and_joined_by_none() {
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

#[actix_web::test]
async fn every_reader_of_a_project_may_watch_it() {
    let server = TestServer::start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    project(&alice, "web", "public").await;
    let path = "/api/projects/alice/web";
    let watch = format!("{path}/watch");
    let watches = async |person: &Person| person.get(path).await.body["watches"].as_bool().unwrap();
    set_role(&alice, path, "bob", "reader").await;
    assert!(watches(&alice).await && watches(&bob).await && !watches(&eve).await);
    for _ in 0..2 {
        assert_eq!(bob.delete(&watch).await.status, 204);
        assert_eq!(eve.put(&watch, json!({})).await.status, 204);
    }
    assert!(watches(&alice).await && !watches(&bob).await && watches(&eve).await);
    bob.put(&watch, json!({})).await;
    bob.delete(&format!("{path}/members/bob")).await;
    assert!(!watches(&bob).await, "a user who leaves stops watching");
    let anonymous = server.http.send(reqwest::Method::PUT, &watch, None, &[]).await.unwrap();
    assert_problem(&anonymous, 401, "unauthenticated");
    server.stop().await;
}
