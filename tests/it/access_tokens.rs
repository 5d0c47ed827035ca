//! Personal access tokens, over REST.

use netbit::client::{HttpClient, TcpClient};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem, soon};

async fn token(person: &Person, body: Value) -> (i64, HttpClient) {
    person.access_token(body).await
}

async fn scoped(person: &Person, scopes: &[&str]) -> HttpClient {
    token(person, json!({"name": "t", "scopes": scopes})).await.1
}

#[actix_web::test]
async fn access_token_is_shown_once_and_invalid_after_revocation() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let wanted = json!({"name": "laptop", "scopes": ["repo:read", "repo:read"], "expires_in_days": 1});
    let (id, client) = token(&alice, wanted).await;
    let list = alice.get("/api/users/me/tokens").await.body;
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["scopes"]), (&json!(id), &json!(["repo:read"])));
    assert_eq!(list["items"][0].get("token"), None);
    assert!(list["items"][0]["expires_at"].is_string());
    assert_eq!(bob.get("/api/users/me/tokens").await.body["items"], json!([]));
    assert_eq!(client.get("/api/projects").await.unwrap().status, 200);

    let path = format!("/api/users/me/tokens/{id}");
    assert_problem(&bob.delete(&path).await, 404, "not_found");
    assert_problem(&alice.delete("/api/users/me/tokens/999").await, 404, "not_found");
    assert_eq!(alice.delete(&path).await.status, 204);
    assert_problem(&client.get("/api/projects").await.unwrap(), 401, "unauthenticated");
    assert_problem(&alice.delete(&path).await, 404, "not_found");
    server.stop().await;
}

#[actix_web::test]
async fn mistyped_or_unknown_access_token_is_unauthenticated() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let client = scoped(&alice, &["repo:read"]).await;
    let right = client.token().unwrap();
    let last = if right.ends_with('0') { "1" } else { "0" };
    let mistyped = format!("{}{last}", &right[..right.len() - 1]);
    let shorter = right[..right.len() - 1].to_owned();
    let unknown = netbit::core::auth::token::fresh_access_token();
    for wrong in [mistyped, shorter, unknown, "nbp_".to_owned()] {
        // A wrong token is an error, not an anonymous request, even on a route that needs no login.
        let answer = server.http.with_token(wrong).get("/api/projects").await.unwrap();
        assert_problem(&answer, 401, "unauthenticated");
    }
    server.stop().await;
}

#[actix_web::test]
async fn access_token_is_bound_to_scopes_and_cannot_edit_account() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    alice.post("/api/projects/create", json!({"name": "web"})).await;
    let messages = format!("/api/chats/{chat}/messages");
    let project = "/api/projects/alice/web";
    for (scopes, reads_chats, posts, sees, makes_repositories, manages) in [
        (&["chat:read"][..], 200, 403, 404, 404, 404),
        (&["chat:write"], 200, 201, 404, 404, 404),
        (&["repo:read"], 403, 403, 200, 403, 403),
        (&["repo:write"], 403, 403, 200, 201, 403),
        (&["admin"], 403, 403, 200, 409, 200),
    ] {
        let client = scoped(&alice, scopes).await;
        let send = async |method, path: &str, body: Value| {
            client.send(method, path, Some(&body), &[]).await.unwrap().status
        };
        let seen = (
            client.get(&messages).await.unwrap().status,
            send(Method::POST, &messages, json!({"content": "x"})).await,
            client.get(project).await.unwrap().status,
            send(Method::POST, &format!("{project}/repos/create"), json!({"name": "r"})).await,
            send(Method::PATCH, project, json!({"description": "x"})).await,
        );
        assert_eq!(seen, (reads_chats, posts, sees, makes_repositories, manages), "{scopes:?}");
        assert!(soon(TcpClient::open(server.app.addresses.tcp, client.token().unwrap())).await.is_err());
    }
    let all = scoped(&alice, &["repo:read", "repo:write", "chat:read", "chat:write", "admin"]).await;
    let passwords = json!({"current_password": crate::harness::PASSWORD, "new_password": "new password"});
    for (method, path, body) in [
        (Method::GET, "/api/users/me/tokens", Value::Null),
        (Method::POST, "/api/users/me/tokens", json!({"name": "more", "scopes": ["admin"]})),
        (Method::DELETE, "/api/users/me/tokens/1", Value::Null),
        (Method::POST, "/api/users/me/password", passwords),
        (Method::PATCH, "/api/users/me", json!({"display_name": "x"})),
        (Method::POST, "/api/users/logout", json!({"all": true})),
    ] {
        let body = (!body.is_null()).then_some(&body);
        assert_problem(&all.send(method, path, body, &[]).await.unwrap(), 403, "forbidden");
    }
    server.stop().await;
}

#[actix_web::test]
async fn repository_token_reaches_only_its_listed_repositories() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for name in ["web", "other"] {
        alice.post("/api/projects/create", json!({"name": name})).await;
    }
    for path in ["web/repos/create", "other/repos/create"] {
        for name in ["a", "b"] {
            alice.post(&format!("/api/projects/alice/{path}"), json!({"name": name})).await;
        }
    }
    let body = json!({"name": "t", "scopes": ["admin", "repo:write"], "repositories": ["alice/web/a"]});
    let (_, client) = token(&alice, body).await;
    let status = async |path: &str| client.get(&format!("/api/projects/alice/{path}")).await.unwrap().status;
    assert_eq!((status("web/repos/a").await, status("web").await), (200, 200));
    assert_eq!((status("web/repos/b").await, status("other").await), (404, 404));
    assert_eq!(status("other/repos/a").await, 404);
    let listed = client.get("/api/projects/alice/web/repos").await.unwrap().body;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(client.get("/api/projects").await.unwrap().body["items"].as_array().unwrap().len(), 1);
    let made = client.post("/api/projects/create", &json!({"name": "x"})).await.unwrap();
    assert_problem(&made, 403, "forbidden");
    for bad in [json!([]), json!(["alice/web/none"]), json!(["alice/web"]), json!(["a/b/c/d"])] {
        let body = json!({"name": "t", "scopes": ["repo:read"], "repositories": bad});
        assert_problem(&alice.post("/api/users/me/tokens", body).await, 422, "validation");
    }
    server.stop().await;
}

#[actix_web::test]
async fn access_tokens_per_user_are_limited() {
    let server = TestServer::with_limits(|limits| limits.access_tokens_per_user = 1).await;
    let alice = server.user("alice").await;
    let wanted = || json!({"name": "t", "scopes": ["repo:read"]});
    let (id, _) = token(&alice, wanted()).await;
    assert_problem(&alice.post("/api/users/me/tokens", wanted()).await, 409, "conflict");
    alice.delete(&format!("/api/users/me/tokens/{id}")).await;
    token(&alice, wanted()).await;
    for bad in [
        json!({"name": "t", "scopes": []}),
        json!({"name": "", "scopes": ["repo:read"]}),
        json!({"name": "t", "scopes": ["everything"]}),
        json!({"name": "t", "scopes": ["repo:read"], "expires_in_days": -1}),
        json!({"name": "t", "scopes": ["repo:read"], "expires_in_days": 3651}),
    ] {
        assert_problem(&alice.post("/api/users/me/tokens", bad).await, 422, "validation");
    }
    server.stop().await;
}
