//! Every route of the API with a token of every scope.

use std::collections::BTreeSet;

use image::ImageFormat;
use netbit::client::HttpClient;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::files::FileClient;
use crate::harness::git::GitWorkdir;
use crate::harness::pictures::{picture, written};
use crate::harness::{Person, TestServer, assert_problem};

/// The scope that a route requires of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The route requires no credentials.
    Open,
    /// Any token is enough.
    Any,
    ChatRead,
    ChatWrite,
    /// Changing the members of a project.
    Members,
    ServerAdmin,
    /// No token is enough: only a login.
    Person,
    /// The role in a private project that the token grants its user.
    Reader,
    Maintainer,
    Owner,
    /// Creating a project.
    NewProject,
    /// Watching a private project, or being shown in it: reading it, and writing to chats.
    Watch,
    /// Listing the messages about a file of a private project: reading it, and reading chats.
    Talks,
}

impl Reach {
    fn lets_through(self, scopes: &[&str]) -> bool {
        let has = |any_of: &[&str]| any_of.iter().any(|scope| scopes.contains(scope));
        match self {
            Self::Open | Self::Any => true,
            Self::ChatRead => has(&["chat:read", "chat:write"]),
            Self::ChatWrite => has(&["chat:write"]),
            Self::Members | Self::Owner => has(&["admin"]),
            Self::ServerAdmin => has(&["server:admin"]),
            Self::Person => false,
            Self::Reader => has(&["repo:read", "repo:write", "admin"]),
            Self::Maintainer | Self::NewProject => has(&["repo:write", "admin"]),
            Self::Talks => has(&["chat:read", "chat:write"]) && has(&["repo:read", "repo:write", "admin"]),
            Self::Watch => has(&["chat:write"]) && has(&["repo:read", "repo:write", "admin"]),
        }
    }

    /// Returns whether this status reports a credential that is too weak. A project that the role
    /// must not see is not found.
    fn is_refused(self, status: u16) -> bool {
        match self {
            Self::Open => status == 403,
            Self::Reader | Self::Maintainer | Self::Owner | Self::NewProject | Self::Watch | Self::Talks => {
                matches!(status, 401 | 403 | 404)
            }
            _ => matches!(status, 401 | 403),
        }
    }
}

const PROJECT: &str = "/api/projects/{user}/{project}";
const REPO: &str = "/api/projects/{user}/{project}/repos/{repo}";

/// Returns every route, with its required scope and an accepted body.
fn routes() -> Vec<(&'static str, String, Reach, Value)> {
    let (none, empty) = (Value::Null, json!({}));
    let chat = |rest: &str| format!("/api/chats/{{id}}{rest}");
    let project = |rest: &str| format!("{PROJECT}{rest}");
    let repo = |rest: &str| format!("{REPO}{rest}");
    let path = str::to_owned;
    let said = json!({"content": "x"});
    vec![
        ("GET", path("/api/server"), Reach::Open, none.clone()),
        ("POST", path("/api/users/register"), Reach::Open, empty.clone()),
        ("POST", path("/api/users/login"), Reach::Open, empty.clone()),
        ("POST", path("/api/users/refresh"), Reach::Open, json!({"refresh_token": "x"})),
        ("POST", path("/api/users/logout"), Reach::Person, empty.clone()),
        ("GET", path("/api/users/me"), Reach::Any, none.clone()),
        ("PATCH", path("/api/users/me"), Reach::Person, json!({"display_name": "x"})),
        (
            "POST",
            path("/api/users/me/password"),
            Reach::Person,
            json!({"current_password": "x", "new_password": "y"}),
        ),
        ("GET", path("/api/users/me/blocks"), Reach::ChatRead, none.clone()),
        ("PUT", path("/api/users/me/blocks/{username}"), Reach::ChatWrite, empty.clone()),
        ("DELETE", path("/api/users/me/blocks/{username}"), Reach::ChatWrite, none.clone()),
        ("POST", path("/api/chats/leave"), Reach::ChatWrite, json!({"added_by": "bob"})),
        ("GET", path("/api/users/me/logins"), Reach::Person, none.clone()),
        ("DELETE", path("/api/users/me/logins/{id}"), Reach::Person, none.clone()),
        ("GET", path("/api/users/me/tokens"), Reach::Person, none.clone()),
        ("PUT", path("/api/users/me/avatar"), Reach::Person, none.clone()),
        ("DELETE", path("/api/users/me/avatar"), Reach::Person, none.clone()),
        ("GET", path("/api/users/{username}/avatar"), Reach::Any, none.clone()),
        ("POST", path("/api/users/me/tokens"), Reach::Person, json!({"name": "x", "scopes": ["repo:read"]})),
        ("DELETE", path("/api/users/me/tokens/{id}"), Reach::Person, none.clone()),
        ("GET", path("/api/users"), Reach::ChatRead, none.clone()),
        ("GET", path("/api/users/{username}"), Reach::Any, none.clone()),
        ("GET", path("/api/admin/users"), Reach::ServerAdmin, none.clone()),
        ("PATCH", path("/api/admin/users/{username}"), Reach::ServerAdmin, json!({"active": true})),
        ("GET", path("/api/admin/health"), Reach::ServerAdmin, none.clone()),
        ("GET", path("/api/admin/audit"), Reach::ServerAdmin, none.clone()),
        ("POST", path("/api/admin/chats/{id}/take-over"), Reach::ServerAdmin, empty.clone()),
        ("POST", path("/api/admin/projects/{user}/{project}/take-over"), Reach::ServerAdmin, empty.clone()),
        ("GET", path("/api/chats"), Reach::ChatRead, none.clone()),
        ("POST", path("/api/chats"), Reach::ChatWrite, json!({"kind": "group", "name": "x"})),
        ("GET", chat(""), Reach::ChatRead, none.clone()),
        ("PATCH", chat(""), Reach::ChatWrite, json!({"name": "y"})),
        ("GET", chat("/participants"), Reach::ChatRead, none.clone()),
        ("PUT", chat("/participants/{username}"), Reach::ChatWrite, empty.clone()),
        ("DELETE", chat("/participants/{username}"), Reach::ChatWrite, none.clone()),
        ("PUT", chat("/notify"), Reach::ChatWrite, json!({"level": "all"})),
        ("POST", chat("/read"), Reach::ChatWrite, empty.clone()),
        ("POST", chat("/unread"), Reach::ChatWrite, json!({"from_seq": 1})),
        ("PUT", chat("/hidden"), Reach::ChatWrite, empty.clone()),
        ("DELETE", chat("/hidden"), Reach::ChatWrite, none.clone()),
        ("POST", path("/api/chats/read"), Reach::ChatWrite, empty.clone()),
        ("GET", chat("/messages"), Reach::ChatRead, none.clone()),
        ("POST", chat("/messages"), Reach::ChatWrite, said.clone()),
        ("PATCH", chat("/messages/{message_id}"), Reach::ChatWrite, said),
        ("PUT", chat("/messages/{message_id}/reactions/{emoji}"), Reach::ChatWrite, empty.clone()),
        ("DELETE", chat("/messages/{message_id}/reactions/{emoji}"), Reach::ChatWrite, none.clone()),
        ("PUT", chat("/messages/{message_id}/follow"), Reach::ChatWrite, empty.clone()),
        ("DELETE", chat("/messages/{message_id}/follow"), Reach::ChatWrite, none.clone()),
        ("PUT", chat("/messages/{message_id}/pin"), Reach::ChatWrite, empty.clone()),
        ("DELETE", chat("/messages/{message_id}/pin"), Reach::ChatWrite, none.clone()),
        ("DELETE", chat("/messages/{message_id}"), Reach::ChatWrite, none.clone()),
        ("GET", chat("/avatar"), Reach::ChatRead, none.clone()),
        ("PUT", chat("/avatar"), Reach::ChatWrite, none.clone()),
        ("DELETE", chat("/avatar"), Reach::ChatWrite, none.clone()),
        ("POST", chat("/files"), Reach::ChatWrite, json!({"name": "x", "size": 1})),
        ("GET", path("/api/files/{id}"), Reach::ChatRead, none.clone()),
        ("GET", path("/api/files/{id}/thumbnail"), Reach::ChatRead, none.clone()),
        ("GET", path("/api/files/{id}/upload"), Reach::ChatWrite, none.clone()),
        ("PUT", path("/api/files/{id}/upload"), Reach::ChatWrite, none.clone()),
        ("DELETE", path("/api/files/{id}"), Reach::ChatWrite, none.clone()),
        ("GET", chat("/events"), Reach::ChatRead, none.clone()),
        ("GET", chat("/seq"), Reach::ChatRead, none.clone()),
        ("GET", path("/api/chats/threads"), Reach::ChatRead, none.clone()),
        ("GET", path("/api/presence"), Reach::ChatRead, none.clone()),
        ("GET", path("/api/search"), Reach::ChatRead, none.clone()),
        ("POST", path("/api/udp/ticket"), Reach::Person, empty.clone()),
        ("GET", path("/api/notifications"), Reach::ChatRead, none.clone()),
        ("POST", path("/api/notifications/read"), Reach::ChatWrite, empty.clone()),
        ("POST", path("/api/notifications/{id}/read"), Reach::ChatWrite, empty.clone()),
        ("GET", path("/api/projects"), Reach::Any, none.clone()),
        ("POST", path("/api/projects/create"), Reach::NewProject, json!({"name": "new"})),
        ("GET", project(""), Reach::Reader, none.clone()),
        ("PATCH", project(""), Reach::Owner, json!({"description": "x"})),
        ("GET", project("/config"), Reach::Reader, none.clone()),
        ("PUT", project("/config"), Reach::Owner, empty.clone()),
        ("GET", project("/avatar"), Reach::Reader, none.clone()),
        ("PUT", project("/avatar"), Reach::Owner, none.clone()),
        ("DELETE", project("/avatar"), Reach::Owner, none.clone()),
        ("GET", project("/members"), Reach::Reader, none.clone()),
        ("PUT", project("/members/{username}"), Reach::Members, json!({"role": "reader"})),
        ("DELETE", project("/members/{username}"), Reach::Members, none.clone()),
        ("PUT", project("/watch"), Reach::Watch, empty.clone()),
        ("DELETE", project("/watch"), Reach::Watch, none.clone()),
        ("GET", project("/repos"), Reach::Reader, none.clone()),
        ("POST", project("/repos/create"), Reach::Maintainer, json!({"name": "new"})),
        ("GET", repo(""), Reach::Reader, none.clone()),
        ("PATCH", repo(""), Reach::Maintainer, json!({"description": "x"})),
        ("GET", repo("/branches"), Reach::Reader, none.clone()),
        ("GET", repo("/tags"), Reach::Reader, none.clone()),
        ("GET", repo("/talks"), Reach::Talks, none.clone()),
        ("POST", repo("/visitors"), Reach::Watch, json!({"place": "README"})),
        ("GET", repo("/tree"), Reach::Reader, none.clone()),
        ("GET", repo("/tree/{ref}"), Reach::Reader, none.clone()),
        ("GET", repo("/tree/{ref}/{path}"), Reach::Reader, none.clone()),
        ("GET", repo("/files/{ref}"), Reach::Reader, none.clone()),
        ("GET", repo("/blob/{ref}/{path}"), Reach::Reader, none.clone()),
        ("GET", repo("/raw/{ref}/{path}"), Reach::Reader, none.clone()),
        ("GET", repo("/commits"), Reach::Reader, none.clone()),
        ("GET", repo("/commits/{oid}"), Reach::Reader, none.clone()),
        ("GET", repo("/compare/{base}...{head}"), Reach::Reader, none.clone()),
        ("GET", repo("/blame/{ref}/{path}"), Reach::Reader, none.clone()),
        ("GET", repo("/archive/{ref}.tar.gz"), Reach::Reader, none.clone()),
        ("GET", repo("/archive/{ref}.zip"), Reach::Reader, none.clone()),
        ("GET", path("/api/repos"), Reach::Any, none.clone()),
        ("POST", path("/api/repos/create"), Reach::Maintainer, json!({"name": "new"})),
        ("DELETE", chat(""), Reach::ChatWrite, none.clone()),
        ("DELETE", repo(""), Reach::Owner, none.clone()),
        ("DELETE", project(""), Reach::Owner, none),
    ]
}

/// Returns the routes in the OpenAPI document, as `GET /api/…`.
async fn described(server: &TestServer) -> BTreeSet<String> {
    let api = server.http.get("/api/openapi.json").await.unwrap().body;
    let paths = api["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let names: Vec<_> = item.as_object().unwrap().keys().cloned().collect();
        let verbs = ["get", "put", "post", "patch", "delete"];
        names
            .into_iter()
            .filter(|name| verbs.contains(&name.as_str()))
            .map(|method| format!("{} {path}", method.to_uppercase()))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

/// The objects that fill in the route parameters.
struct Things {
    chat: String,
    /// Only direct chats can be hidden.
    direct: String,
    message: String,
    head: String,
}

impl Things {
    async fn of(server: &TestServer, alice: &Person) -> Self {
        let chat = alice.group(&[]).await.to_string();
        let said = alice.post(&format!("/api/chats/{chat}/messages"), json!({"content": "hello"})).await;
        let direct = alice.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await;
        let path = alice.hello_web("private").await;
        let workdir = GitWorkdir::new();
        workdir.repository("work").await;
        workdir.git("work", &["push", "--quiet", &server.url_as("alice", &path), "main"]).await.ok();
        let direct = direct.body["id"].to_string();
        Self { chat, direct, message: said.body["id"].to_string(), head: workdir.head("work").await }
    }

    /// Returns a route with its parameters filled in. Deleted projects and repositories are called
    /// `victim`.
    fn path(&self, method: &str, route: &str) -> String {
        let deletes = |what: &str| method == "DELETE" && route == what;
        let project = if deletes(PROJECT) { "victim" } else { "hello" };
        let repo = if deletes(REPO) { "victim" } else { "web" };
        let chat = if route.ends_with("/hidden") { &self.direct } else { &self.chat };
        let path = route
            .replace("{id}", chat)
            .replace("{message_id}", &self.message)
            .replace("{emoji}", "%F0%9F%91%8D")
            .replace("{username}", "bob")
            .replace("{user}", "alice")
            .replace("{project}", project)
            .replace("{repo}", repo)
            .replace("{ref}", "main")
            .replace("{path}", "README")
            .replace("{oid}", &self.head)
            .replace("{base}", "main")
            .replace("{head}", "main");
        let query = match route {
            "/api/presence" => "?users=bob",
            "/api/search" => "?q=hello",
            "/api/chats/{id}/seq" => "?at=2026-11-24T09:00:00Z",
            _ if route.ends_with("/talks") => "?path=README",
            _ => "",
        };
        format!("{path}{query}")
    }
}

/// Returns the status only: files and archives are not JSON.
async fn status(server: &TestServer, client: &HttpClient, method: &str, path: &str, body: &Value) -> u16 {
    let method: Method = method.parse().unwrap();
    let url = format!("http://{}{path}", server.app.addresses.http);
    let mut request = reqwest::Client::new().request(method, url).bearer_auth(client.token().unwrap());
    if !body.is_null() {
        request = request.json(body);
    }
    request.send().await.unwrap().status().as_u16()
}

/// Regression: any token of an administrator read the audit log, whatever its scopes. The test
/// requests every route with a token of each scope, by an administrator who owns the project. A new
/// route that is not in the list above fails this test.
#[actix_web::test]
async fn tokens_reach_each_route_by_their_scopes_alone() {
    let server = TestServer::start().await;
    let listed: BTreeSet<_> = routes().iter().map(|(method, path, ..)| format!("{method} {path}")).collect();
    assert_eq!(listed, described(&server).await, "the list names the required scope of every route");

    let (alice, _bob) = (server.admin("alice").await, server.user("bob").await);
    let things = Things::of(&server, &alice).await;
    let singles = ["repo:read", "repo:write", "chat:read", "chat:write", "admin", "server:admin"];
    let mut tokens: Vec<Vec<&str>> = singles.iter().map(|scope| vec![*scope]).collect();
    tokens.push(singles[..5].to_vec());
    tokens.push(singles.to_vec());
    for scopes in tokens {
        let (_, client) = alice.access_token(json!({"name": "t", "scopes": scopes})).await;
        for (method, route, reach, body) in routes() {
            if method == "DELETE" && [PROJECT, REPO].contains(&route.as_str()) {
                alice.post("/api/projects/create", json!({"name": "victim"})).await;
                alice.post("/api/projects/alice/hello/repos/create", json!({"name": "victim"})).await;
            }
            if method == "GET" && route.ends_with("{project}/avatar") {
                let address = server.app.addresses.http.to_string();
                let picture = written(&picture(3, 3), ImageFormat::Png);
                let files = FileClient::new(&address, &alice.http);
                let set = files.send(Method::PUT, "/api/projects/alice/hello/avatar", &[], picture).await;
                assert_eq!(set.status, 204);
            }
            let path = things.path(method, &route);
            let answered = status(&server, &client, method, &path, &body).await;
            assert_ne!(answered / 100, 5, "{method} {route} with {scopes:?}");
            let through = !reach.is_refused(answered);
            assert_eq!(through, reach.lets_through(&scopes), "{method} {route} with {scopes:?}: {answered}");
        }
    }
    server.stop().await;
}

/// Regression: a token with the scope admin and one repository deactivated users, and a token with
/// repo:read read the audit log.
#[actix_web::test]
async fn token_without_server_admin_is_refused_administration() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.admin("alice").await, server.user("bob").await);
    alice.hello_web("private").await;
    let limited = json!({"name": "t", "scopes": ["admin"], "repositories": ["alice/hello/web"]});
    let whole = json!({"name": "t", "scopes": ["admin", "repo:write", "chat:write"]});
    let of_a_user = json!({"name": "t", "scopes": ["admin"]});
    for (owner, body) in [(&alice, limited), (&alice, whole), (&bob, of_a_user)] {
        let (_, client) = owner.access_token(body).await;
        assert_problem(&client.get("/api/admin/audit").await.unwrap(), 403, "forbidden");
        let off = json!({"active": false});
        let sent = client.send(Method::PATCH, "/api/admin/users/bob", Some(&off), &[]).await.unwrap();
        assert_problem(&sent, 403, "forbidden");
    }
    assert_eq!(bob.get("/api/users/me").await.status, 200);
    // The login of an administrator keeps every permission.
    assert_eq!(alice.get("/api/admin/audit").await.status, 200);
    server.stop().await;
}

/// The scope is for administrators and cannot be combined with a choice of repositories. It does
/// not grant access to a project or a chat.
#[actix_web::test]
async fn server_admin_scope_grants_only_administration() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.admin("alice").await, server.user("bob").await);
    alice.hello_web("private").await;
    let wanted = json!({"name": "t", "scopes": ["server:admin"]});
    assert_problem(&bob.post("/api/users/me/tokens", wanted.clone()).await, 403, "forbidden");
    let mixed =
        json!({"name": "t", "scopes": ["server:admin", "repo:read"], "repositories": ["alice/hello/web"]});
    assert_problem(&alice.post("/api/users/me/tokens", mixed).await, 422, "validation");
    let (_, client) = alice.access_token(wanted).await;
    assert_eq!(client.get("/api/admin/audit").await.unwrap().status, 200);
    assert_problem(&client.get("/api/projects/alice/hello").await.unwrap(), 404, "not_found");
    assert_problem(&client.get("/api/chats").await.unwrap(), 403, "forbidden");
    server.stop().await;
}

/// Regression: a token with repo:read could read presence.
#[actix_web::test]
async fn presence_is_refused_to_tokens_without_chat_read() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for (scope, expected) in [("repo:read", 403), ("repo:write", 403), ("admin", 403), ("chat:read", 200)] {
        let (_, client) = alice.access_token(json!({"name": "t", "scopes": [scope]})).await;
        let seen = client.get("/api/presence?users=alice").await.unwrap();
        assert_eq!(seen.status, expected, "{scope}: {}", seen.body);
    }
    server.stop().await;
}
