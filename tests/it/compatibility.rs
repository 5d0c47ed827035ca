//! Data of earlier server versions, on today's code.
//!
//! `tests/fixtures/make.sh` makes such an archive. Its `facts.json` lists the data that the server
//! held.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use netbit::core::config::{self, Config, Overrides};
use netbit::domain::ids::ChatId;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::files::FileClient;
use crate::harness::git::GitWorkdir;
use crate::harness::{TestServer, assert_problem, netbit_beside, postgres};

/// Why the tests of old directories run on SQLite only.
const OF_SQLITE: &str = "an old data directory has a netbit.db";
/// Data from before the security review, and from before the faults that the trial found were
/// fixed.
const ARCHIVES: [&str; 2] = ["before-issue-16", "before-issue-17"];

/// Unpacks an archive and returns its folder and its facts.
fn unpacked(name: &str) -> (TempDir, Value) {
    let place = tempfile::tempdir().unwrap();
    let archive = format!("tests/fixtures/{name}.tar.gz");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(archive);
    let tar = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(place.path()).status();
    assert!(tar.unwrap().success());
    let facts = std::fs::read_to_string(place.path().join("facts.json")).unwrap();
    (place, serde_json::from_str(&facts).unwrap())
}

/// Returns the old configuration file, with free ports.
fn old_config(place: &Path, data: &Path) -> Config {
    let mut values = vec![("data_dir", data.display().to_string())];
    for listener in ["http.listen", "tcp.listen", "udp.listen", "ops.listen"] {
        values.push((listener, "127.0.0.1:0".to_owned()));
    }
    let file = Some(place.join("netbit.toml"));
    let mut config = config::load(&Overrides { file, values }, &[]).unwrap().config;
    postgres::configure(&mut config);
    config
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

async fn texts(client: &netbit::client::HttpClient, chat: &Value) -> Vec<String> {
    let (page, _) = client.messages(ChatId(chat.as_i64().unwrap()), "?limit=100").await.unwrap();
    page.into_iter().map(|message| message.content).collect()
}

#[actix_web::test]
async fn old_data_directory_is_migrated_with_all_its_data() {
    if postgres::skips(OF_SQLITE) {
        return;
    }
    for name in ARCHIVES {
        assert_data_is_complete(name).await;
    }
}

async fn assert_data_is_complete(name: &str) {
    let (place, facts) = unpacked(name);
    let config = old_config(place.path(), &place.path().join("data"));
    assert_eq!((config.http.public_url.as_str(), config.cache.window), ("https://git.example.org", 50));
    assert_eq!((config.limits.page_default, config.limits.sessions_per_user), (25, 100));
    let server = TestServer::run(config, place).await;
    assert!(server.app.services.setup_code().is_none(), "alice is the administrator");

    // Logins by password (today one of them would be refused), refresh token and access token.
    for (name, user) in facts["users"].as_object().unwrap() {
        if user["deactivated"] == true {
            assert!(server.http.login(name, text(user, "password")).await.is_err());
            continue;
        }
        let account = server.http.login(name, text(user, "password")).await.unwrap();
        assert_eq!(json!(account.user.id), user["id"]);
        let old = server.http.with_token(text(user, "token"));
        assert_eq!(old.get("/api/users/me").await.unwrap().body["username"], name.as_str());
        server.http.refresh(text(user, "refresh_token")).await.unwrap();
    }
    let alice = server.http.with_token(text(&facts["users"]["alice"], "token"));
    let mut expected: Vec<_> = (0..30).map(|n| format!("message {n}")).collect();
    assert_eq!(texts(&alice, &facts["chat"]).await, expected);
    assert_eq!(texts(&alice, &facts["direct"]).await, ["for bob alone"]);
    let repository = "/api/projects/alice/hello/repos/web";
    let commits = alice.get(&format!("{repository}/commits")).await.unwrap().body;
    assert_eq!(
        (commits["items"].as_array().unwrap().len(), &commits["items"][0]["oid"]),
        (3, &facts["head"])
    );
    let channel = &alice.get("/api/projects/alice/hello").await.unwrap().body["channel_id"];
    assert!(texts(&alice, channel).await[0].starts_with("here it is\n"));
    assert_eq!(alice.get("/api/admin/audit").await.unwrap().status, 200);
    // Earlier versions did not record the client of a login. Its next login has it.
    let logins = alice.get("/api/users/me/logins").await.unwrap().body;
    let logins = logins["items"].as_array().unwrap();
    let current = logins.iter().find(|login| login["current"] == true).unwrap();
    assert_eq!((current.get("device"), current.get("address")), (None, None), "{current}");
    assert!(logins.iter().any(|login| login["address"] == "127.0.0.1" && login["web"] == false));
    let (services, home) = (&server.app.services, std::net::Ipv4Addr::LOCALHOST.into());
    let password = text(&facts["users"]["alice"], "password").to_owned();
    let browser = services.web_login(home, "Firefox", "alice".to_owned(), password).await.unwrap();
    services.web_credential(&browser.secret).await.unwrap();
    let members = alice.get("/api/projects/alice/hello/members").await.unwrap().body;
    assert_eq!(members["items"].as_array().unwrap().len(), 2);

    // Old messages are not indexed as talks, and old notifications do not state a reason.
    let readme = format!("{repository}/talks?path=README");
    assert_eq!(alice.get(&readme).await.unwrap().body, json!({"items": []}));
    let code = json!({"repository": "alice/hello/web", "oid": facts["head"], "path": "README",
        "from": 1, "to": 1});
    let talk = json!({"content": "why?", "metadata": {"code": code}});
    assert_eq!(alice.post(&format!("/api/chats/{channel}/messages"), &talk).await.unwrap().status, 201);
    assert_eq!(alice.get(&readme).await.unwrap().body["items"][0]["from"], 1);
    let mut notifications = Vec::new();
    for user in facts["users"].as_object().unwrap().values().filter(|user| user["deactivated"] != true) {
        let listed = server.http.with_token(text(user, "token")).get("/api/notifications").await.unwrap();
        notifications.extend(listed.body["items"].as_array().unwrap().clone());
    }
    assert!(!notifications.is_empty(), "{name} has old notifications");
    assert!(notifications.iter().all(|notification| notification.get("reason").is_none()));
    assert_eq!(alice.get("/api/chats/threads").await.unwrap().status, 200);

    // The migrated server accepts new messages.
    assert_eq!(
        alice
            .post(&format!("/api/chats/{}/messages", facts["chat"]), &json!({"content": "on"}))
            .await
            .unwrap()
            .status,
        201
    );
    expected.push("on".to_owned());
    assert_eq!(texts(&alice, &facts["chat"]).await, expected);
    let git = GitWorkdir::new();
    let url = format!(
        "http://x:{}@{}/alice/hello/web",
        text(&facts["tokens"][1], "token"),
        server.app.addresses.http
    );
    git.git("", &["clone", "--quiet", &url, "work"]).await.ok();
    assert_eq!(git.head("work").await, text(&facts, "head"));
    git.commit("work", "more", "more", "today's commit").await;
    git.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    let files = FileClient::new(&server.app.addresses.http.to_string(), &alice);
    let (file, _) = files.share(ChatId(facts["chat"].as_i64().unwrap()), "new.txt", b"new").await;
    assert_eq!(files.get(file).await.bytes, b"new", "files came later");
    server.stop().await;
}

/// Old tokens keep their lifetime and scopes. `admin` loses only the administration of the server.
#[actix_web::test]
async fn old_tokens_work_and_lose_only_server_administration() {
    if postgres::skips(OF_SQLITE) {
        return;
    }
    for name in ARCHIVES {
        assert_tokens_work(name).await;
    }
}

async fn assert_tokens_work(name: &str) {
    let (place, facts) = unpacked(name);
    let config = old_config(place.path(), &place.path().join("data"));
    let server = TestServer::run(config, place).await;
    let alice = server.http.with_token(text(&facts["users"]["alice"], "token"));
    let listed = alice.get("/api/users/me/tokens").await.unwrap().body;
    let listed = listed["items"].as_array().unwrap();
    for (token, shown) in facts["tokens"].as_array().unwrap().iter().zip(listed) {
        let scopes = |of: &Value| -> BTreeSet<String> {
            of["scopes"].as_array().unwrap().iter().map(Value::to_string).collect()
        };
        assert_eq!((&shown["id"], scopes(shown)), (&token["id"], scopes(token)));
        assert_eq!(shown.get("expires_at").is_some(), token["expires"] == true, "{shown}");
        assert_eq!(shown.get("last_used_at"), None);
        let client = server.http.with_token(text(token, "token"));
        let has = |scope: &str| token["scopes"].as_array().unwrap().contains(&json!(scope));
        let reads = has("chat:read") || has("chat:write");
        assert_eq!(client.get("/api/chats").await.unwrap().status == 200, reads, "{token}");
        let repo = client.get("/api/projects/alice/hello/repos/web").await.unwrap();
        let sees = has("repo:read") || has("repo:write") || has("admin");
        assert_eq!(repo.status == 200, sees, "{token}");
        if has("server:admin") {
            assert_eq!(client.get("/api/admin/audit").await.unwrap().status, 200);
            continue;
        }
        assert_problem(&client.get("/api/admin/audit").await.unwrap(), 403, "forbidden");
        let off = json!({"active": false});
        let shut = client.send(Method::PATCH, "/api/admin/users/bob", Some(&off), &[]).await.unwrap();
        assert_problem(&shut, 403, "forbidden");
    }
    assert_eq!(listed.len(), facts["tokens"].as_array().unwrap().len());
    server.stop().await;
}

#[actix_web::test]
async fn old_backup_is_restored_and_served() {
    for name in ARCHIVES {
        assert_backup_is_served(name).await;
    }
}

async fn assert_backup_is_served(name: &str) {
    let (place, facts) = unpacked(name);
    let restored = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("backup"), restored.path().join("data"));
    let restore = ["restore", from.to_str().unwrap(), "--data-dir", to.to_str().unwrap()];
    let output = netbit_beside(&restore).await;
    assert!(output.status.success(), "{output:?}");
    let server = TestServer::run(old_config(place.path(), &to), restored).await;
    let alice = &facts["users"]["alice"];
    assert!(server.http.refresh(text(alice, "refresh_token")).await.is_err(), "a restore ends logins");
    let account = server.http.login("alice", text(alice, "password")).await.unwrap();
    let client = server.http.with_token(account.token);
    assert_eq!(texts(&client, &facts["chat"]).await.len(), 30);
    let commits = client.get("/api/projects/alice/hello/repos/web/commits").await.unwrap().body;
    assert_eq!(commits["items"][0]["oid"], facts["head"]);
    server.stop().await;
}
