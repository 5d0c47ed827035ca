//! The operator of the machine: the control socket and the commands that use it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use netbit::core::control_socket;
use serde_json::{Value, json};

use crate::harness::git::GitWorkdir;
use crate::harness::{PASSWORD, TestServer, assert_problem, database, netbit_beside, postgres, soon};

async fn operate(data_dir: &Path, arguments: &[&str]) -> (bool, String) {
    let workdir = ["--data-dir", data_dir.to_str().unwrap()];
    let output: Output = netbit_beside(&[arguments, &workdir].concat()).await;
    let printed = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.success(), String::from_utf8(printed).unwrap())
}

fn password_file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

#[actix_web::test]
async fn only_the_owner_of_the_directory_can_open_the_socket() {
    let server = TestServer::start().await;
    let path = control_socket::path(server.path());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let answer = server.http.get("/users").await.unwrap();
    assert_problem(&answer, 404, "not_found");
    server.stop().await;
    assert!(!path.exists(), "the socket is removed with the server");
}

#[actix_web::test]
async fn users_are_managed_with_and_without_a_running_server() {
    let server = TestServer::with(|config| {
        config.accounts.registration = netbit::core::config::RegistrationPolicy::Closed;
    })
    .await;
    let alice = server.admin("alice").await;
    let secret = password_file("a long password\n");
    let file = secret.path().to_str().unwrap();
    let add = ["user", "add", "bob", "--display-name", "Bob", "--password-file", file];
    let (ok, printed) = operate(server.path(), &add).await;
    assert!(ok, "{printed}");
    assert!(!operate(server.path(), &add).await.0, "the name is taken");
    let bob = server.http.login("bob", "a long password").await.unwrap();
    let bobs = server.http.with_token(bob.token);
    assert_eq!(bobs.get("/api/users/me").await.unwrap().status, 200, "the login works immediately");
    let (ok, printed) = operate(server.path(), &["user", "deactivate", "bob"]).await;
    assert!(ok, "{printed}");
    assert_eq!(bobs.get("/api/users/me").await.unwrap().status, 401, "the login ends immediately");
    let (_, listed) = operate(server.path(), &["user", "list"]).await;
    let of = |name: &str| listed.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(of("alice").contains("admin") && of("bob").contains("deactivated"), "{listed}");
    for unknown in ["nosuch", "../users", "a/b", ""] {
        let (ok, printed) = operate(server.path(), &["user", "activate", unknown]).await;
        assert!(!ok && printed.contains("404"), "{unknown}: {printed}");
    }
    assert_eq!(alice.get("/api/users/me").await.status, 200);
    let server_path = server.path().to_owned();

    // The directory outlives its server.
    let directory = server.stop_and_keep().await;
    assert_eq!(directory.path(), server_path);
    let (ok, printed) = operate(directory.path(), &["user", "activate", "bob"]).await;
    assert!(ok, "{printed}");
    let other = password_file("another password");
    let reset = ["user", "password", "bob", "--password-file", other.path().to_str().unwrap()];
    let (ok, printed) = operate(directory.path(), &reset).await;
    assert!(ok, "{printed}");
    let server = TestServer::on(directory).await;
    assert!(server.http.login("bob", "a long password").await.is_err());
    let bob = server.http.login("bob", "another password").await.unwrap();
    let told = server.http.with_token(bob.token).get("/api/notifications").await.unwrap().body;
    assert_eq!(told["items"][0]["kind"], "account", "{told}");
    server.stop().await;
}

#[actix_web::test]
async fn renamed_user_keeps_data_and_reserves_the_old_name() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("public").await;
    let (workdir, old_url) = (GitWorkdir::new(), server.url_as("alice", &path));
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &old_url, "main"]).await.ok();
    let channel = alice.get("/api/projects/alice/hello").await.body["channel_id"].clone();
    let (ok, printed) = operate(server.path(), &["user", "rename", "alice", "carol"]).await;
    assert!(ok && printed.contains("carol"), "{printed}");

    assert_eq!(alice.get("/api/users/me").await.body["username"], "carol", "logins stay valid");
    assert!(server.http.login("alice", PASSWORD).await.is_err());
    server.http.login("carol", PASSWORD).await.unwrap();
    assert_eq!(alice.get(&format!("/api/chats/{channel}")).await.body["name"], "carol/hello");
    assert_eq!(alice.get("/api/users/carol").await.status, 200);
    assert_problem(&alice.get("/api/users/alice").await, 404, "not_found");
    // Paths below the old name redirect, for git too.
    for owner in ["alice", "carol"] {
        let at = alice.get(&format!("/api/projects/{owner}/hello/repos/web")).await;
        assert_eq!((at.status, &at.body["full_name"]), (200, &json!("carol/hello/web")));
    }
    let url = server.url_as("carol", &path);
    workdir.git("", &["clone", "--quiet", &url, "clone"]).await.ok();
    workdir.commit("work", "more", "more", "more").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    // No other user gets the old name.
    let body = json!({"username": "alice", "password": PASSWORD});
    assert_problem(&server.http.post("/api/users/register", &body).await.unwrap(), 409, "conflict");
    server.user("dave").await;
    for taken in ["alice", "carol", "chat", "Carol"] {
        let (ok, printed) = operate(server.path(), &["user", "rename", "dave", taken]).await;
        assert!(!ok, "{taken}: {printed}");
    }
    // The same command again continues an interrupted rename. The user can take the old name back.
    assert!(operate(server.path(), &["user", "rename", "alice", "carol"]).await.0);
    let server = server.restart(|_| ()).await;
    let (ok, printed) = operate(server.path(), &["user", "rename", "carol", "alice"]).await;
    assert!(ok, "{printed}");
    server.http.login("alice", PASSWORD).await.unwrap();
    assert_eq!(operate(server.path(), &["audit"]).await.1.matches("user.rename").count(), 2);
    server.stop().await;
}

/// The user registered the name before pages reserved it.
#[actix_web::test]
async fn user_with_a_reserved_name_works_and_is_listed() {
    let server = TestServer::start().await;
    server.user("finder").await;
    let directory = server.stop_and_keep().await;
    database::writer(directory.path())
        .execute("UPDATE users SET username = 'search' WHERE username = 'finder'");
    let server = TestServer::on(directory).await;
    let user = server.login("search").await;
    let path = user.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("search", &path));
    workdir.repository("work").await;
    workdir.git("work", &["push", "--quiet", &url, "main"]).await.ok();
    assert_eq!(user.get("/api/users/search").await.status, 200);
    let (ok, printed) = operate(server.path(), &["doctor"]).await;
    assert!(!ok && printed.contains("netbit user rename search"), "{printed}");
    let directory = server.stop_and_keep().await;
    assert!(operate(directory.path(), &["user", "rename", "search", "finder"]).await.0);
    let (ok, printed) = operate(directory.path(), &["doctor"]).await;
    assert!(ok, "{printed}");
}

#[actix_web::test]
async fn only_user_add_creates_a_missing_data_directory() {
    let workdir = tempfile::tempdir().unwrap();
    let nowhere = workdir.path().join("nowhere");
    for command in [
        &["user", "list"][..],
        &["audit"],
        &["token", "list", "alice"],
        &["doctor"],
        &["chat", "export", "1"],
    ] {
        let (ok, printed) = operate(&nowhere, command).await;
        assert!(!ok && printed.contains("nowhere"), "{command:?}: {printed}");
    }
    assert!(!nowhere.exists());
    let secret = password_file("a long password");
    let add = ["user", "add", "root", "--admin", "--password-file", secret.path().to_str().unwrap()];
    let (ok, printed) = operate(&nowhere, &add).await;
    assert!(ok, "{printed}");
    assert!(operate(&nowhere, &["user", "list"]).await.1.contains("admin"));
}

/// Socket names are limited in length, and directory names are not.
#[actix_web::test]
async fn data_directory_may_have_a_long_name() {
    let workdir = tempfile::tempdir().unwrap();
    let long = workdir.path().join("d".repeat(120));
    let secret = password_file("a long password");
    let add = ["user", "add", "alice", "--password-file", secret.path().to_str().unwrap()];
    let (ok, printed) = operate(&long, &add).await;
    assert!(ok, "{printed}");
    let server = TestServer::with(|config| {
        config.data_dir.0 = long.clone();
        postgres::configure(config);
    })
    .await;
    let (ok, printed) = operate(&long, &["user", "list"]).await;
    assert!(ok && printed.contains("alice"), "{printed}");
    assert!(operate(&long, &["doctor"]).await.1.contains("running server's cache"));
    server.stop().await;
}

#[actix_web::test]
async fn operator_token_authenticates_its_user_until_revoked() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let create = ["token", "create", "alice", "--name", "ci", "--scope", "chat:read", "--scope", "repo:read"];
    let (ok, token) = operate(server.path(), &create).await;
    assert!(ok, "{token}");
    let program = server.http.with_token(token.trim());
    assert_eq!(program.get("/api/chats").await.unwrap().status, 200);
    let (_, listed) = operate(server.path(), &["token", "list", "alice"]).await;
    let known: Value = serde_json::from_str(listed.trim()).unwrap();
    assert!(known["name"] == "ci" && known.get("token").is_none(), "{known}");
    let id = known["id"].to_string();
    assert!(operate(server.path(), &["token", "revoke", "alice", &id]).await.0);
    assert_eq!(program.get("/api/chats").await.unwrap().status, 401);
    let wrong = ["token", "create", "alice", "--name", "x", "--scope", "everything"];
    assert!(!operate(server.path(), &wrong).await.0);
    server.stop().await;
}

#[actix_web::test]
async fn chat_is_exported_completely_as_json_lines() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    for n in 0..450 {
        alice.say(chat, &format!("text {n}\nwith a second line")).await;
    }
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("chat.jsonl");
    let export = ["chat", "export", &chat.to_string(), "--out", file.to_str().unwrap()];
    let (ok, printed) = operate(server.path(), &export).await;
    assert!(ok, "{printed}");
    let lines: Vec<Value> = std::fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seqs: Vec<_> = lines.iter().map(|line| line["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=452).collect::<Vec<_>>(), "two joins and every message, in order");
    assert_eq!(lines[451]["actor"], "alice");
    assert_eq!(lines[451]["message"]["content"], "text 449\nwith a second line");
    assert!(!operate(server.path(), &export).await.0, "an existing file is not overwritten");
    assert!(!operate(server.path(), &["chat", "export", "999"]).await.0);
    server.stop().await;
}

#[actix_web::test]
async fn chat_keeps_as_many_messages_as_its_retention() {
    let server = TestServer::with_limits(|limits| limits.trimmed_per_command = 3).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    for n in 0..10 {
        alice.say(chat, &n.to_string()).await;
    }
    let mut session = bob.tcp().await;
    let path = format!("/api/chats/{chat}");
    assert_problem(&bob.patch(&path, json!({"retention": 4})).await, 403, "forbidden");
    assert_problem(&alice.patch(&path, json!({"retention": 0})).await, 422, "validation");
    let set = alice.patch(&path, json!({"retention": 4})).await;
    assert_eq!((set.status, &set.body["retention"]), (200, &json!(4)));
    let event = soon(session.pushed()).await.unwrap();
    assert_eq!(event.kind.as_deref(), Some("trim"), "one event for all of them");
    assert_eq!(bob.contents(chat).await, ["6", "7", "8", "9"]);
    alice.say(chat, "10").await;
    let trimmed = async {
        while bob.contents(chat).await[0] != "7" {
            // Setting the retention again trims immediately. The background task would trim within
            // a minute.
            alice.patch(&path, json!({"retention": 4})).await;
        }
    };
    soon(trimmed).await;
    let all = alice.patch(&path, json!({"retention": null})).await;
    assert_eq!((all.status, all.body.get("retention")), (200, None));
    server.stop().await;
}

#[actix_web::test]
async fn actions_of_administrators_and_owners_are_audited() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.admin("alice").await, server.user("bob").await);
    let chat = bob.group(&[&alice]).await;
    let rename = format!("/api/chats/{chat}");
    let headers = [("x-request-id", "my-request")];
    let renamed =
        bob.http.send(reqwest::Method::PATCH, &rename, Some(&json!({"name": "new"})), &headers).await;
    assert_eq!(renamed.unwrap().status, 200);
    bob.project("site", "private").await;
    bob.member("site", "alice", "reader").await;
    bob.put("/api/projects/bob/site/config", json!({"default_branch": "trunk"})).await;
    bob.delete(&format!("/api/chats/{chat}/participants/alice")).await;
    alice.patch("/api/admin/users/bob", json!({"active": false})).await;
    assert!(operate(server.path(), &["user", "activate", "bob"]).await.0);

    let page = alice.get("/api/admin/audit?limit=100").await;
    let all = page.body["items"].as_array().unwrap();
    let is_setup = |event: &Value| event["action"] == "user.setup" && event["actor_id"] == alice.id.0;
    assert!(is_setup(all.last().unwrap()), "{all:?}");
    let events: Vec<_> = all.iter().rev().skip(1).collect();
    let actions: Vec<_> = events
        .iter()
        .map(|event| (event["actor_id"].as_i64(), event["action"].as_str().unwrap().to_owned()))
        .collect();
    let (alices, bobs) = (Some(alice.id.0), Some(bob.id.0));
    let expected = [
        (bobs, "chat.rename"),
        (bobs, "project.member"),
        (bobs, "project.config"),
        (bobs, "chat.remove"),
        (alices, "user.deactivate"),
        (None, "user.activate"),
    ];
    assert_eq!(actions, expected.map(|(actor, action)| (actor, action.to_owned())));
    let kept = events[0]["request_id"].as_str().unwrap();
    assert!(uuid::Uuid::parse_str(kept).is_ok(), "{kept}: the server's own, as in the log");
    assert_eq!(events[0]["target"], format!("chat:{chat}"));
    assert_eq!(events[0]["detail"], json!({"name": "new"}));
    let paged = alice.get("/api/admin/audit?limit=2").await;
    assert_eq!(paged.body["items"].as_array().unwrap().len(), 2);
    let next = alice
        .get(&format!("/api/admin/audit?limit=100&cursor={}", paged.body["next"].as_str().unwrap()))
        .await;
    assert_eq!(next.body["items"].as_array().unwrap().len(), 5);
    let bob = server.login("bob").await;
    assert_problem(&bob.get("/api/admin/audit").await, 403, "forbidden");
    assert_problem(&server.http.get("/api/admin/audit").await.unwrap(), 401, "unauthenticated");

    let mut db = database::writer(server.path());
    for tampering in ["DELETE FROM audit_events", "UPDATE audit_events SET action = 'nothing'"] {
        let refused = db.try_batch_execute(tampering).unwrap_err().to_string();
        assert!(refused.contains("audit events are not"), "{refused}");
    }
    let (_, listed) = operate(server.path(), &["audit", "--limit", "3"]).await;
    assert_eq!(listed.lines().count(), 3);
    server.stop().await;
}

#[actix_web::test]
async fn doctor_compares_a_running_servers_cache_with_the_database() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    alice.say(chat, "hello").await;
    let (ok, printed) = operate(server.path(), &["doctor"]).await;
    assert!(ok && printed.contains("ok  the running server's cache equals the database"), "{printed}");
    server.stop().await;
}

/// Regression: operators could not list the chats and users of a server, nor make a second
/// administrator.
#[actix_web::test]
async fn operator_lists_chats_and_promotes_users() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let team = alice.group(&[&bob]).await;
    alice.say(team, "hello").await;
    bob.post("/api/chats", json!({"kind": "direct", "participants": ["alice"]})).await;
    let (ok, listed) = operate(server.path(), &["chat", "list"]).await;
    assert!(ok, "{listed}");
    let lines: Vec<Vec<_>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["id", "kind", "people", "messages", "name"]);
    assert_eq!(lines[1], [&*team.to_string(), "group", "2", "1", "team"]);
    assert_eq!(lines[2][1..], ["direct", "2", "0", "alice", "and", "bob"]);
    let (_, json_lines) = operate(server.path(), &["chat", "list", "--json"]).await;
    let first: Value = serde_json::from_str(json_lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["id"], &first["name"]), (&json!(team), &json!("team")));

    assert_problem(&bob.get("/api/admin/audit").await, 403, "forbidden");
    let (ok, printed) = operate(server.path(), &["user", "promote", "bob"]).await;
    assert!(ok && printed.contains("bob is now an administrator of the server"), "{printed}");
    assert_eq!(bob.get("/api/admin/audit").await.status, 200, "with the login that bob has");
    let (ok, printed) = operate(server.path(), &["user", "demote", "bob"]).await;
    assert!(!ok && printed.contains("the only administrator"), "{printed}");
    assert!(operate(server.path(), &["user", "promote", "alice"]).await.0);
    assert!(operate(server.path(), &["user", "demote", "bob"]).await.0);
    assert_problem(&bob.get("/api/admin/audit").await, 403, "forbidden");
    let audit = alice.get("/api/admin/audit").await;
    let actions: Vec<_> = audit.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions[..3], ["user.demote", "user.promote", "user.promote"]);
    server.stop().await;
}

/// Regression: the owner of a data directory created a symlink at `repos/tmp`, and root emptied its
/// target.
#[actix_web::test]
async fn root_command_has_the_rights_of_the_directory_owner() {
    use std::os::unix::fs::{chown, symlink};
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let workdir = tempfile::tempdir().unwrap();
    // The owner may enter the directory, but change nothing in it.
    std::fs::set_permissions(workdir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (data, victim) = (workdir.path().join("data"), workdir.path().join("victim"));
    for folder in [&data, &data.join("repos"), &victim] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(victim.join("roots"), "kept").unwrap();
    symlink(&victim, data.join("repos/tmp")).unwrap();
    for path in [&data, &data.join("repos")] {
        chown(path, Some(4711), Some(4711)).unwrap();
    }
    let secret = password_file("a long password");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netbit"));
    command.args(["user", "add", "root", "--admin", "--password-file", secret.path().to_str().unwrap()]);
    command.current_dir(workdir.path()).env("NETBIT_DATA_DIR", &data);
    let output = soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap();
    assert_eq!(
        std::fs::read(victim.join("roots")).unwrap(),
        b"kept",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Regression: `docker exec` read `./data`, and files that root created there belonged to root, so
/// the server could not start.
#[actix_web::test]
async fn root_command_leaves_files_to_the_directory_owner() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let workdir = tempfile::tempdir().unwrap();
    let data = workdir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    chown(&data, Some(4711), Some(4711)).unwrap();
    let secret = password_file("a long password");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netbit"));
    command.args(["user", "add", "root", "--admin", "--password-file", secret.path().to_str().unwrap()]);
    command.current_dir(workdir.path()).env("NETBIT_DATA_DIR", &data);
    let output = soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!workdir.path().join("data/data").exists());
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            assert_eq!(entry.metadata().unwrap().uid(), 4711, "{}", entry.path().display());
            if entry.metadata().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
}
