//! Problem bodies of the API, and the texts of its description.

use netbit::client::HttpAnswer;
use reqwest::Method;
use serde_json::json;

use super::{assert_text, mask};
use crate::harness::{PASSWORD, TestServer};

/// The answers to requests, as text.
#[derive(Default)]
struct Transcript(String);

impl Transcript {
    fn add(&mut self, request: &str, answer: &HttpAnswer) {
        assert!(answer.status >= 400, "{request}: {} {}", answer.status, answer.body);
        let mut body = answer.body.clone();
        body["request_id"] = json!("ID");
        let body = serde_json::to_string_pretty(&body).unwrap();
        let retry = answer.header("retry-after").map_or_else(String::new, |s| format!("retry-after: {s}\n"));
        self.0.push_str(&format!("{request}\n{retry}{body}\n\n"));
    }
}

#[actix_web::test]
async fn problems_name_the_reason_of_each_status() {
    let server =
        TestServer::with_limits(|limits| (limits.messages_burst, limits.messages_per_second) = (3, 1)).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (chat, path) = (alice.group(&[]).await, "/api/users/register");
    let mut seen = Transcript::default();
    seen.add("400: syntax error", &raw(&server, path, "application/json", "{\"username\"").await);
    seen.add("400: query", &alice.get("/api/notifications?unread=maybe").await);
    seen.add("401: no token", &server.http.get("/api/users/me").await.unwrap());
    let wrong = json!({"username": "alice", "password": "wrong password"});
    seen.add("401: password", &server.http.post("/api/users/login", &wrong).await.unwrap());
    seen.add("403: administrators only", &alice.get("/api/admin/users").await);
    let (_, reader) = alice.access_token(json!({"name": "r", "scopes": ["chat:read"]})).await;
    let sent = reader.post(&format!("/api/chats/{chat}/messages"), &json!({"content": "x"})).await;
    seen.add("403: scope", &sent.unwrap());
    seen.add("404: path", &alice.get("/api/nothing").await);
    seen.add("404: another user's chat", &bob.get(&format!("/api/chats/{chat}")).await);
    seen.add("405", &alice.delete("/api/users/me").await);
    let taken = json!({"username": "alice", "password": PASSWORD});
    seen.add("409: taken", &server.http.post(path, &taken).await.unwrap());
    seen.add("413: body", &raw(&server, path, "application/json", &"x".repeat(70_000)).await);
    seen.add("413: message", &alice.say(chat, &"é".repeat(8193)).await);
    seen.add("414", &alice.get(&format!("/api/chats?x={}", "x".repeat(20_000))).await);
    seen.add("415", &raw(&server, path, "text/plain", "{}").await);
    let short = json!({"username": "a b", "password": "short"});
    seen.add("422: fields", &server.http.post(path, &short).await.unwrap());
    seen.add("422: unknown field", &server.http.post(path, &json!({"name": "x"})).await.unwrap());
    seen.add("422: type", &server.http.post(path, &json!({"username": 5})).await.unwrap());
    seen.add("422: array", &server.http.post(path, &json!([])).await.unwrap());
    let scope = json!({"name": "x", "scopes": ["repo:all"]});
    seen.add("422: scope", &alice.post("/api/users/me/tokens", scope).await);
    for (content, status) in [("once", 201), ("twice", 422)] {
        let (path, key) = (format!("/api/chats/{chat}/messages"), [("idempotency-key", "key 1")]);
        let answer = alice.http.send(Method::POST, &path, Some(&json!({"content": content})), &key).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, status, "{}", answer.body);
        if status == 422 {
            seen.add("422: client_id", &answer);
        }
    }
    let mut answer = alice.say(chat, "x").await;
    for _ in 0..10 {
        if answer.status == 429 {
            break;
        }
        answer = alice.say(chat, "x").await;
    }
    seen.add("429", &answer);
    assert_text("problems", &mask(&seen.0, &[("retry-after: \\d+", "retry-after: N")]));
    server.stop().await;
}

#[actix_web::test]
async fn login_that_is_too_old_is_a_problem_with_the_next_step() {
    let server = TestServer::with_limits(|limits| limits.fresh_login_seconds = 0).await;
    let alice = server.user("alice").await;
    let mut seen = Transcript::default();
    let wanted = json!({"name": "x", "scopes": ["chat:read"]});
    seen.add("403: old login", &alice.post("/api/users/me/tokens", wanted).await);
    assert_text("problem_old_login", &seen.0);
    server.stop().await;
}

#[actix_web::test]
async fn busy_reader_pool_is_a_problem_with_the_time_to_retry() {
    let server = TestServer::with(|config| {
        config.cache.window = 1;
        (config.limits.readers, config.limits.ask_patience_ms) = (0, 50);
    })
    .await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    for _ in 0..3 {
        alice.say(chat, "x").await;
    }
    let mut seen = Transcript::default();
    seen.add("503", &alice.get(&format!("/api/chats/{chat}/messages?before_seq=3")).await);
    assert_text("problem_overloaded", &seen.0);
    server.stop().await;
}

/// Posts a body as it is.
async fn raw(server: &TestServer, path: &str, kind: &str, body: &str) -> HttpAnswer {
    let url = format!("http://{}{path}", server.app.addresses.http);
    let request = reqwest::Client::new().post(url).header("content-type", kind).body(body.to_owned());
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    HttpAnswer { status, headers, body: response.json().await.unwrap() }
}

/// The description names routes, parameters and types; `api_description` compares these with the
/// route table. This snapshot holds the sentences.
#[actix_web::test]
async fn api_description_has_a_summary_for_every_operation() {
    let server = TestServer::start().await;
    let api = server.http.get("/api/openapi.json").await.unwrap().body;
    let (mut lines, mut meanings) = (Vec::new(), std::collections::BTreeSet::new());
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let text = |key: &str| operation[key].as_str().unwrap_or_default().replace('\n', " ");
            lines.push(format!("{} {path}", method.to_uppercase()));
            lines.push(format!("    {} {}", text("summary"), text("description")).trim_end().to_owned());
            let responses = operation["responses"].as_object().unwrap();
            for (status, response) in responses {
                let text = response["description"].as_str().unwrap_or_default().replace('\n', " ");
                meanings.insert(format!("{status}: {text}"));
            }
            lines.push(format!("    {}", responses.keys().map(String::as_str).collect::<Vec<_>>().join(" ")));
        }
    }
    lines.extend(meanings);
    assert_text("api_description", &lines.join("\n"));
    server.stop().await;
}
