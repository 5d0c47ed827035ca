//! The command line, as a process.

use std::path::Path;
use std::process::{Command, Output};

use netbit::core::limits::Limits;
use netbit::domain::ids::ChatId;
use serde_json::json;

use crate::harness::{PASSWORD, TestServer};

fn netbit(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netbit"));
    command.args(arguments).current_dir(directory).envs(variables.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_version_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let output = netbit(directory.path(), &["--version"], &[]);
    assert_eq!(text(&output.stdout), format!("netbit {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_effective_configuration_is_printed_without_secrets_and_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("netbit.toml"), "[cache]\nwindow = 42\n").unwrap();
    let secret = "a secret that nobody should ever read";
    let variables = [("NETBIT_AUTH__SECRET", secret), ("NETBIT_COLOUR", "blue")];
    let output = netbit(directory.path(), &["config", "--http-listen", "127.0.0.1:1234"], &variables);
    let printed = text(&output.stdout);
    assert!(output.status.success());
    assert!(
        printed.contains("window = 42") && printed.contains("127.0.0.1:1234") && !printed.contains(secret)
    );
    assert!(text(&output.stderr).contains("NETBIT_COLOUR"), "an unknown variable is a warning");

    std::fs::write(directory.path().join("again.toml"), &printed).unwrap();
    let again = netbit(directory.path(), &["config", "--config", "again.toml"], &[]);
    assert_eq!(text(&again.stdout), printed);
}

#[test]
fn a_mistake_is_told_with_key_origin_and_what_is_allowed_and_the_exit_code_is_78() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("netbit.toml"), "[storage]\nsynchronous = \"sometimes\"\n").unwrap();
    let output = netbit(directory.path(), &[], &[]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78));
    for part in ["storage.synchronous", "netbit.toml", "`full`", "`normal`"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!directory.path().join("data").exists(), "nothing was started");
    let missing = netbit(directory.path(), &["--config", "nowhere.toml"], &[]);
    assert!(missing.status.code() == Some(78) && text(&missing.stderr).contains("nowhere.toml"));
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let free = [
        "--udp-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--tcp-listen",
        "127.0.0.1:0",
        "--ops-listen",
        "127.0.0.1:0",
    ];
    let output = netbit(directory.path(), &[&["--data-dir", "file/data"], &free[..]].concat(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("file/data"));
}

#[actix_web::test]
async fn a_seeded_database_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let arguments =
        ["--users", "6", "--chats", "3", "--members", "4", "--messages", "50", "--password", PASSWORD];
    let output = netbit(directory.path(), &[&["seed", "--data-dir", data], &arguments[..]].concat(), &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let config = crate::harness::config(directory.path(), Limits::default());
    let server = TestServer::with(|config_in_force| *config_in_force = config).await;
    let (member, outsider) = (server.login("u3").await, server.login("u4").await);
    let chats = member.get("/api/chats").await.body["items"].as_array().unwrap().clone();
    assert_eq!(
        chats.iter().map(|chat| chat["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["r0", "r1", "r2"]
    );
    let mut total = 0;
    for chat in [ChatId(1), ChatId(2), ChatId(3)] {
        total += member.contents(chat).await.len();
    }
    assert_eq!(total, 50);
    assert_eq!(outsider.get("/api/chats").await.body["items"].as_array().unwrap().len(), 0);
    server.stop().await;
}

#[test]
fn seeding_says_what_does_not_fit() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let base = ["seed", "--data-dir", data.to_str().unwrap(), "--password"];
    for (extra, part) in [
        (vec!["short"], "--password"),
        (vec![PASSWORD, "--users", "2", "--members", "3"], "--members"),
        (vec![PASSWORD, "--chats", "0", "--messages", "1"], "--chats"),
    ] {
        let output = netbit(directory.path(), &[&base[..], &extra].concat(), &[]);
        assert!(!output.status.success() && text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
}

#[actix_web::test]
async fn notify_explain_says_why_somebody_was_told_and_why_not_also_while_the_server_runs() {
    let server = TestServer::start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let chat = alice.group(&[&bob, &carol]).await;
    carol.put(&format!("/api/chats/{chat}/notify"), json!({"level": "none"})).await;
    let message = alice.say(chat, "@bob and @carol, look").await.body["id"].to_string();
    let explain = |user: &str| {
        let directory = server.path().to_str().unwrap();
        let which = ["--message", &message, "--user", user, "--data-dir", directory];
        let output = netbit(server.path(), &[&["notify", "explain"], &which[..]].concat(), &[]);
        (output.status.success(), text(&output.stdout))
    };
    let (_, told) = explain("bob");
    assert!(
        told.contains("a notification (mention)") && told.contains("because the message names the user"),
        "{told}"
    );
    let (_, silent) = explain("carol");
    assert!(silent.contains("nothing") && silent.contains("wants to hear nothing of this chat"), "{silent}");
    assert!(explain("alice").1.contains("what one did oneself"));
    assert!(!explain("nobody").0);
    server.stop().await;
}
