//! Operations of server administrators: deactivation, take-over of chats and projects, user lists.

use netbit::client::{TcpClient, TcpError};
use serde_json::json;

use crate::harness::{PASSWORD, TestServer, assert_problem, soon};

/// Reads until the connection closes and returns the code of the server's `Goodbye`.
async fn goodbye(client: &mut TcpClient) -> Option<String> {
    loop {
        match soon(client.pushed()).await {
            Ok(_) => {}
            Err(TcpError::Closed(code)) => return code,
            Err(other) => panic!("{other}"),
        }
    }
}

#[actix_web::test]
async fn deactivated_user_loses_all_access_until_reactivated() {
    let server = TestServer::start().await;
    let (admin, bob) = (server.admin("alice").await, server.user("bob").await);
    let chat = admin.group(&[&bob]).await;
    let made = bob.post("/api/users/me/tokens", json!({"name": "ci", "scopes": ["chat:read"]})).await;
    let token = made.body["token"].as_str().unwrap().to_owned();
    let login = json!({"username": "bob", "password": PASSWORD});
    let (mut desk, mut phone) = (bob.tcp().await, server.login("bob").await.tcp().await);

    let out = admin.patch("/api/admin/users/bob", json!({"active": false})).await;
    assert_eq!((out.status, &out.body["active"], &out.body["username"]), (200, &json!(false), &json!("bob")));
    assert_eq!(goodbye(&mut desk).await.as_deref(), Some("revoked"));
    assert_eq!(goodbye(&mut phone).await.as_deref(), Some("revoked"));
    assert_problem(&bob.get("/api/users/me").await, 401, "unauthenticated");
    let with_token = reqwest::Client::new()
        .get(format!("http://{}/api/chats", server.app.addresses.http))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(with_token.status().as_u16(), 401);
    // The answer equals that of a wrong password, so the existence of the account does not leak.
    let refused = admin.post("/api/users/login", login.clone()).await;
    assert_eq!(
        (refused.status, &refused.body["detail"]),
        (401, &json!("the user name or the password is wrong"))
    );
    // Other users cannot add the account to a chat. Its messages and memberships stay.
    let added = admin.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await;
    assert_eq!(added.status, 404, "{}", added.body);

    let server = server.restart(|_| {}).await;
    let admin = server.login("alice").await;
    assert_eq!(admin.post("/api/users/login", login).await.status, 401, "a restart changes nothing");
    for _ in 0..2 {
        let back = admin.patch("/api/admin/users/bob", json!({"active": true})).await;
        assert_eq!((back.status, &back.body["active"]), (200, &json!(true)));
    }
    let before = admin.http.with_token(bob.http.token().unwrap());
    assert_problem(&before.get("/api/users/me").await.unwrap(), 401, "unauthenticated");
    let bob = server.login("bob").await;
    assert_eq!(bob.say(chat, "back").await.status, 201);
    server.stop().await;
}

#[actix_web::test]
async fn only_administrators_deactivate_users_but_not_themselves() {
    let server = TestServer::start().await;
    let (admin, bob) = (server.admin("alice").await, server.user("bob").await);
    server.user("carol").await;
    let off = || json!({"active": false});
    assert_problem(&bob.patch("/api/admin/users/carol", off()).await, 403, "forbidden");
    assert_problem(&admin.patch("/api/admin/users/alice", off()).await, 409, "conflict");
    assert_problem(&admin.patch("/api/admin/users/nosuch", off()).await, 404, "not_found");
    for body in [json!({}), json!({"active": "no"}), json!({"active": false, "is_admin": true})] {
        assert_problem(&admin.patch("/api/admin/users/bob", body).await, 422, "validation");
    }
    for (scope, status) in [("chat:write", 403), ("admin", 403), ("server:admin", 200)] {
        let made = admin.post("/api/users/me/tokens", json!({"name": scope, "scopes": [scope]})).await;
        let sent = reqwest::Client::new()
            .patch(format!("http://{}/api/admin/users/carol", server.app.addresses.http))
            .bearer_auth(made.body["token"].as_str().unwrap())
            .json(&off())
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status().as_u16(), status, "{scope}");
    }
    server.stop().await;
}

/// Regression: after the only owner of a group was deactivated, no member could rename it, add to
/// it or archive it.
#[actix_web::test]
async fn administrator_takes_over_a_chat_without_an_active_owner() {
    let server = TestServer::start().await;
    let (admin, alice, bob) =
        (server.admin("root").await, server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (path, rename) = (format!("/api/admin/chats/{chat}/take-over"), format!("/api/chats/{chat}"));
    assert_problem(&admin.post(&path, json!({})).await, 409, "conflict");
    assert_eq!(admin.patch("/api/admin/users/alice", json!({"active": false})).await.status, 200);
    assert_problem(&bob.patch(&rename, json!({"name": "new"})).await, 403, "forbidden");
    assert_problem(&bob.post(&path, json!({})).await, 403, "forbidden");
    let (_, weak) = admin.access_token(json!({"name": "a", "password": PASSWORD, "scopes": ["admin"]})).await;
    assert_problem(&weak.post(&path, &json!({})).await.unwrap(), 403, "forbidden");

    let mut session = bob.tcp().await;
    assert_eq!(admin.post(&path, json!({})).await.status, 204);
    let event = soon(session.pushed()).await.unwrap();
    assert_eq!((event.kind.as_deref(), event.user_id), (Some("join"), Some(admin.id)));
    assert_eq!(admin.patch(&rename, json!({"name": "new"})).await.status, 200);
    assert_problem(&admin.post(&path, json!({"owner": "bob"})).await, 409, "conflict");
    let audit = admin.get("/api/admin/audit").await.body;
    let actions: Vec<_> = audit["items"].as_array().unwrap().iter().map(|line| &line["action"]).collect();
    assert!(actions.contains(&&json!("chat.take_over")), "{actions:?}");

    // A take-over can name another user as the new owner.
    let other = bob.group(&[&admin]).await;
    assert_eq!(admin.patch("/api/admin/users/bob", json!({"active": false})).await.status, 200);
    let carol = server.user("carol").await;
    let path = format!("/api/admin/chats/{other}/take-over");
    assert_problem(&admin.post(&path, json!({"owner": "bob"})).await, 404, "not_found");
    assert_eq!(admin.post(&path, json!({"owner": "carol"})).await.status, 204);
    let seen = carol.get(&format!("/api/chats/{other}")).await.body["participants"].clone();
    let is_owner = |person: &&serde_json::Value| person["username"] == "carol" && person["role"] == "owner";
    assert!(seen.as_array().unwrap().iter().any(|person| is_owner(&person)), "{seen}");
    server.stop().await;
}

/// Regression: the events of a take-over name an administrator who was never in the chat, and
/// clients could not resolve that user id.
#[actix_web::test]
async fn take_over_resolves_admin_name_and_notifies_new_owner() {
    let server = TestServer::start().await;
    let (admin, alice) = (server.admin("root").await, server.user("alice").await);
    let (bob, carol) = (server.user("bob").await, server.user("carol").await);
    let (chat, other) = (alice.group(&[&bob]).await, alice.group(&[]).await);
    let made = alice.post("/api/projects/create", json!({"name": "kit", "visibility": "private"})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let dora = server.user("dora").await;
    let member = json!({"role": "writer"});
    assert_eq!(alice.put("/api/projects/alice/kit/members/dora", member).await.status, 201);
    assert_eq!(admin.patch("/api/admin/users/alice", json!({"active": false})).await.status, 200);
    for (path, owner) in [
        (format!("/api/admin/chats/{chat}/take-over"), "bob"),
        (format!("/api/admin/chats/{other}/take-over"), "carol"),
        ("/api/admin/projects/alice/kit/take-over".to_owned(), "dora"),
    ] {
        let taken = admin.post(&path, json!({"owner": owner})).await;
        assert_eq!(taken.status, 204, "{path}: {}", taken.body);
    }
    for person in [&bob, &carol, &dora] {
        let found = person.get(&format!("/api/users?ids={}", admin.id)).await.body;
        assert_eq!(found["items"][0]["username"], "root", "{found}");
    }
    let listed = carol.get("/api/notifications").await.body;
    assert_eq!(
        (&listed["items"][0]["kind"], &listed["items"][0]["chat_id"]),
        (&json!("added"), &json!(other.0))
    );
    server.stop().await;
}

#[actix_web::test]
async fn administrator_takes_over_a_project_without_an_active_owner() {
    let server = TestServer::start().await;
    let (admin, alice, bob) =
        (server.admin("root").await, server.user("alice").await, server.user("bob").await);
    let made = alice.post("/api/projects/create", json!({"name": "kit", "visibility": "private"})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(alice.put("/api/projects/alice/kit/members/bob", json!({"role": "writer"})).await.status, 201);
    let path = "/api/admin/projects/alice/kit/take-over";
    assert_problem(&admin.post(path, json!({})).await, 409, "conflict");
    assert_eq!(admin.patch("/api/admin/users/alice", json!({"active": false})).await.status, 200);
    assert_problem(&bob.post(path, json!({})).await, 403, "forbidden");
    let mut session = bob.tcp().await;
    assert_eq!(admin.post(path, json!({"owner": "bob"})).await.status, 204);
    let event = soon(session.pushed()).await.unwrap();
    assert_eq!((event.kind.as_deref(), event.user_id), (Some("role"), Some(bob.id)));
    assert_eq!(bob.put("/api/projects/alice/kit/members/root", json!({"role": "reader"})).await.status, 201);
    server.stop().await;
}

/// Regression: no route listed users, so an administrator could not find the user to deactivate.
#[actix_web::test]
async fn administrators_list_and_search_users() {
    let server = TestServer::start().await;
    let admin = server.admin("alice").await;
    for name in ["bob", "bobby", "bo-jack", "carol"] {
        server.user(name).await;
    }
    admin.patch("/api/admin/users/carol", json!({"active": false})).await;
    let names = |answer: &netbit::client::HttpAnswer| -> Vec<String> {
        let items = answer.body["items"].as_array().unwrap().iter();
        items.map(|user| user["username"].as_str().unwrap().to_owned()).collect()
    };
    let first = admin.get("/api/admin/users?limit=3").await;
    assert_eq!(names(&first), ["alice", "bob", "bobby"]);
    let next = first.body["next"].as_str().unwrap();
    let rest = admin.get(&format!("/api/admin/users?limit=3&cursor={next}")).await;
    assert_eq!(names(&rest), ["bo-jack", "carol"]);
    assert!(rest.body.get("next").is_none());
    assert_eq!(
        (&rest.body["items"][1]["active"], &first.body["items"][0]["is_admin"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(names(&admin.get("/api/admin/users?prefix=bob").await), ["bob", "bobby"]);
    assert_eq!(names(&admin.get("/api/admin/users?prefix=%25").await), Vec::<String>::new());

    let bob = server.login("bob").await;
    assert_problem(&bob.get("/api/admin/users").await, 403, "forbidden");
    for (scope, status) in [("admin", 403), ("server:admin", 200)] {
        let (_, client) = admin.access_token(json!({"name": scope, "scopes": [scope]})).await;
        assert_eq!(client.get("/api/admin/users").await.unwrap().status, status, "{scope}");
    }
    server.stop().await;
}
