//! The OpenAPI document describes every route and no other, the answers match its schemas, and its
//! page works without a network.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::TestServer;

/// The source of the route table.
const ROUTES: &str = include_str!("../../src/api/mod.rs");
/// Routes that are not in the document: git, Git LFS, and the document itself.
const UNDESCRIBED: [&str; 15] = [
    "GET /api/openapi.json",
    "GET /docs",
    "GET /docs/{file}",
    "GET /{user}/{project}/{repo}/info/refs",
    "POST /{user}/{project}/{repo}/git-upload-pack",
    "POST /{user}/{project}/{repo}/git-receive-pack",
    "POST /{user}/{project}/{repo}/git-upload-archive",
    "POST /{user}/{project}/{repo}/info/lfs/objects/batch",
    "POST /{user}/{project}/{repo}/info/lfs/objects/verify",
    "GET /{user}/{project}/{repo}/info/lfs/objects/{oid}",
    "PUT /{user}/{project}/{repo}/info/lfs/objects/{oid}",
    "GET /{user}/{project}/{repo}/info/lfs/locks",
    "POST /{user}/{project}/{repo}/info/lfs/locks",
    "POST /{user}/{project}/{repo}/info/lfs/locks/verify",
    "POST /{user}/{project}/{repo}/info/lfs/locks/{id}/unlock",
];

/// Returns `METHOD path` of every route in the table.
fn table() -> BTreeSet<String> {
    let source = ROUTES.split("pub fn routes").nth(1).unwrap();
    let mut found = BTreeSet::new();
    for service in source.split(".service(").skip(1) {
        let prefix = match service.trim_start() {
            rest if rest.starts_with("project(") => "/api/projects/{user}/{project}",
            rest if rest.starts_with("of_lfs(") => "/{user}/{project}/{repo}/info/lfs",
            rest if rest.starts_with("repository(") => "/api/projects/{user}/{project}/repos/{repo}",
            _ => "",
        };
        let mut quoted = service.split('"');
        let path = format!("{prefix}{}", quoted.nth(1).unwrap()).replace(":.*}", "}");
        for (call, method) in [
            (".get(", "GET"),
            (".put(", "PUT"),
            (".post(", "POST"),
            (".patch(", "PATCH"),
            (".delete(", "DELETE"),
            ("legacy_list", "GET"),
            ("legacy_create", "POST"),
        ] {
            let calls = service.split("fn ").next().unwrap();
            if calls.contains(call) {
                found.insert(format!("{method} {path}"));
            }
        }
    }
    found
}

async fn description(server: &TestServer) -> Value {
    server.http.get("/api/openapi.json").await.unwrap().body
}

fn operations(api: &Value) -> impl Iterator<Item = (String, &Value)> {
    api["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    })
}

#[actix_web::test]
async fn every_route_is_described_and_every_described_route_exists() {
    let server = TestServer::start().await;
    let api = description(&server).await;
    assert_eq!(api["openapi"], "3.1.0");
    let described: BTreeSet<_> = operations(&api).map(|(name, _)| name).collect();
    let mut table = table();
    assert!(table.len() > 60, "the table was found: {table:?}");
    for route in UNDESCRIBED {
        assert!(table.remove(route), "{route}");
    }
    assert_eq!(described, table);
    server.stop().await;
}

/// Regression: validators refused the document, and generators dropped operations without a
/// message: 326 responses had no description, and 15 ids stood for several operations.
#[actix_web::test]
async fn operation_ids_are_unique_and_every_response_is_described() {
    let server = TestServer::start().await;
    let api = description(&server).await;
    let mut ids = BTreeSet::new();
    for (operation, described) in operations(&api) {
        let id = described["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is used twice");
        assert!(id.contains('_') && !id.starts_with("get_api"), "{operation}: {id}");
        for (status, response) in described["responses"].as_object().unwrap() {
            let text = response["description"].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{operation}: {status}");
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                let is_json = kind.ends_with("json");
                assert_eq!(content["schema"]["format"] == "binary", !is_json, "{operation}: {kind}");
            }
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn schemas_have_own_names_and_properties_have_examples() {
    let server = TestServer::start().await;
    let api = description(&server).await;
    for (name, operation) in operations(&api) {
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        assert!(operation["responses"]["503"].is_object(), "{name}");
        let is_public = operation["security"] == json!([{}]);
        assert_eq!(
            operation["responses"].get("401").is_some(),
            !is_public || name.contains("login") || name.contains("refresh"),
            "{name}"
        );
    }
    let fields = |schema: &str| -> BTreeSet<String> {
        api["components"]["schemas"][schema]["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(fields("NewChat"), set(&["kind", "name", "participants"]));
    assert_eq!(fields("NewProject"), set(&["name", "description", "visibility"]));
    assert_eq!(fields("NewRepository"), set(&["name", "description", "default_branch"]));
    assert_eq!(api["components"]["schemas"]["NewProject"]["properties"]["visibility"]["example"], "private");
    assert_eq!(api["components"]["schemas"]["RegisterBody"]["properties"]["username"]["example"], "alice");
    server.stop().await;
}

/// Asserts that `value` has only keys that the schema names, and every key that it requires.
fn assert_fits(api: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return assert_fits(api, &api["components"]["schemas"][name], value, at);
    }
    let choices = [&schema["allOf"], &schema["oneOf"]].into_iter().find_map(Value::as_array);
    let parts: Vec<&Value> = choices.map_or_else(|| vec![schema], |all| all.iter().collect());
    let resolve = |part: &Value| -> Value {
        let name = part["$ref"].as_str().and_then(|name| name.rsplit('/').next());
        name.map_or_else(|| part.clone(), |name| api["components"]["schemas"][name].clone())
    };
    let parts: Vec<Value> = parts.into_iter().map(resolve).collect();
    match value {
        Value::Object(object) => {
            let known: Vec<_> = parts.iter().filter_map(|part| part["properties"].as_object()).collect();
            if known.is_empty() {
                return;
            }
            for (key, inner) in object {
                let property = known.iter().find_map(|properties| properties.get(key));
                let property = property.unwrap_or_else(|| panic!("{at}.{key} is not described"));
                assert_fits(api, property, inner, &format!("{at}.{key}"));
            }
            for required in parts.iter().filter_map(|part| part["required"].as_array()).flatten() {
                assert!(object.contains_key(required.as_str().unwrap()), "{at} lacks {required}");
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| assert_fits(api, &schema["items"], item, &format!("{at}[]")));
        }
        _ => {}
    }
}

#[actix_web::test]
async fn answers_match_their_described_schemas() {
    let server = TestServer::start().await;
    let api = description(&server).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let posted = alice
        .post(&format!("/api/chats/{chat}/messages"), json!({"content": "@bob hi", "metadata": {"a": 1}}))
        .await;
    let id = &posted.body["id"];
    alice.put(&format!("/api/chats/{chat}/messages/{id}/reactions/%F0%9F%91%8D"), json!({})).await;
    alice.patch(&format!("/api/chats/{chat}/messages/{id}"), json!({"content": "edited"})).await;
    alice.post(&format!("/api/chats/{chat}/messages"), json!({"content": "back", "reply_to": id})).await;
    alice.post("/api/projects/create", json!({"name": "site"})).await;
    alice.post("/api/projects/alice/site/repos/create", json!({"name": "web"})).await;
    alice.post("/api/users/me/tokens", json!({"name": "t", "scopes": ["repo:read"]})).await;
    let check = |method: &str, route: &str, status: &str, value: &Value| {
        let response =
            &api["paths"][route][method]["responses"][status]["content"]["application/json"]["schema"];
        assert!(response.is_object(), "{method} {route} {status}");
        assert_fits(&api, response, value, route);
    };
    check("post", "/api/chats/{id}/messages", "201", &posted.body);
    for (route, path, person) in [
        ("/api/server", "/api/server".to_owned(), &alice),
        ("/api/users/me", "/api/users/me".to_owned(), &alice),
        ("/api/users/{username}", "/api/users/bob".to_owned(), &alice),
        ("/api/users/me/logins", "/api/users/me/logins".to_owned(), &alice),
        ("/api/users/me/tokens", "/api/users/me/tokens".to_owned(), &alice),
        ("/api/chats", "/api/chats".to_owned(), &alice),
        ("/api/chats/{id}", format!("/api/chats/{chat}"), &alice),
        ("/api/chats/{id}/participants", format!("/api/chats/{chat}/participants"), &alice),
        ("/api/chats/{id}/messages", format!("/api/chats/{chat}/messages"), &alice),
        ("/api/chats/{id}/events", format!("/api/chats/{chat}/events"), &alice),
        ("/api/notifications", "/api/notifications".to_owned(), &bob),
        ("/api/presence", "/api/presence?users=bob".to_owned(), &alice),
        ("/api/projects", "/api/projects".to_owned(), &alice),
        ("/api/projects/{user}/{project}", "/api/projects/alice/site".to_owned(), &alice),
        ("/api/projects/{user}/{project}/config", "/api/projects/alice/site/config".to_owned(), &alice),
        ("/api/projects/{user}/{project}/members", "/api/projects/alice/site/members".to_owned(), &alice),
        ("/api/projects/{user}/{project}/repos", "/api/projects/alice/site/repos".to_owned(), &alice),
        (
            "/api/projects/{user}/{project}/repos/{repo}",
            "/api/projects/alice/site/repos/web".to_owned(),
            &alice,
        ),
    ] {
        let answer = person.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        check("get", route, "200", &answer.body);
    }
    server.stop().await;
}

#[actix_web::test]
async fn documentation_page_loads_nothing_from_other_hosts() {
    let server = TestServer::start().await;
    let base = format!("http://{}", server.app.addresses.http);
    let fetch = async |path: &str| {
        let response = reqwest::get(format!("{base}{path}")).await.unwrap();
        let policy = response.headers().get("content-security-policy").unwrap().to_str().unwrap().to_owned();
        (response.status().as_u16(), policy, response.bytes().await.unwrap())
    };
    let (status, policy, _) = fetch("/docs").await;
    assert_eq!(status, 200, "the folder redirects to its page");
    assert!(policy.contains("script-src 'self'") && policy.contains("default-src 'none'"), "{policy}");
    for file in ["index.html", "swagger-initializer.js", "swagger-ui-bundle.js", "swagger-ui.css"] {
        let (status, _, bytes) = fetch(&format!("/docs/{file}")).await;
        assert_eq!(status, 200, "{file}");
        assert!(!bytes.is_empty());
    }
    for path in ["/docs/../Cargo.toml", "/docs/%2e%2e%2fCargo.toml", "/docs/absent.js"] {
        assert_eq!(fetch(path).await.0, 404, "{path}");
    }
    server.stop().await;
}
