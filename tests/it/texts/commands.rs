//! `--help` of every command, and errors of the command line.

use std::path::Path;

use super::{assert_text, mask, netbit, transcript};
use crate::harness::TestServer;

/// Returns the help of a command, followed by the help of its subcommands.
async fn help(path: &[&str]) -> String {
    let arguments = [path, &["--help"]].concat();
    let output = netbit(Path::new("."), &arguments, &[]).await;
    let mut text = transcript(&arguments, &output);
    for subcommand in subcommands(&text).iter().filter(|_| !path.is_empty()) {
        let deeper = [path, &[subcommand]].concat();
        text.push_str(&format!("\n{}", Box::pin(help(&deeper)).await));
    }
    text
}

/// Returns the names in the section `Commands:`.
fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // A longer indentation continues the description of the line before.
    let entries = lines.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names = entries.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[actix_web::test]
async fn help_lists_every_command_and_option() {
    let main = help(&[]).await;
    assert_text("help", &main);
    let commands = subcommands(&main);
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        assert_text(&format!("help_{command}"), &help(&[&command]).await);
    }
}

#[actix_web::test]
async fn failed_commands_name_cause_and_next_step() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("password"), "correct horse\n").unwrap();
    let login = ["login", "http://127.0.0.1:1", "--user", "alice", "--password-file", "password"];
    let chat = ["chat", "--server", "http://127.0.0.1:1", "--user", "alice", "--password-file", "password"];
    let commands: &[&[&str]] = &[
        &["doctor"],
        &["backup", "copy"],
        &["backup", "copy", "--verify"],
        &["restore", "copy"],
        &["user", "list"],
        &["audit"],
        &["notify", "explain", "--message", "1", "--user", "alice"],
        &["top", "--once", "--ops", "127.0.0.1:1"],
        &["top", "--once", "--ops", "nowhere"],
        &login,
        &chat,
        &["login", "example", "--user", "alice", "--password-file", "password"],
        &["chat", "--server", "ftp://example.org", "--user", "alice"],
        &["credential", "token"],
        &["sevre"],
        &["serve", "--http-listen", "8080"],
        &["serve", "--ops-listen", "no-such-host.invalid:80"],
    ];
    let home = directory.path().to_str().unwrap();
    let mut text = String::new();
    for arguments in commands {
        let variables = [("HOME", home), ("XDG_CONFIG_HOME", home)];
        let output = netbit(directory.path(), arguments, &variables).await;
        text.push_str(&format!("{}\n", transcript(arguments, &output)));
    }
    // The reason of a failed name lookup is that of this machine.
    assert_text("failed_commands", &mask(&text, &[(home, "HOME"), ("failed to lookup.*", "REASON")]));
}

#[actix_web::test]
async fn refused_operator_commands_name_the_reason() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let data = server.path().to_str().unwrap();
    std::fs::write(server.path().join("short"), "short\n").unwrap();
    std::fs::write(server.path().join("long"), "correct horse\n").unwrap();
    let commands: &[&[&str]] = &[
        &["user", "add", "alice", "--password-file", "long"],
        &["user", "add", "bob", "--password-file", "short"],
        &["user", "add", "a b", "--password-file", "long"],
        &["user", "add", "bob", "--password-file", "missing"],
        &["user", "promote", "bob"],
        &["token", "create", "alice", "--name", "ci", "--scope", "repo:all"],
        &["token", "create", "alice", "--name", "ci", "--scope", "server:admin"],
        &["token", "create", "alice", "--name", "ci", "--scope", "repo:read", "--repository", "a/b/c"],
        &["token", "revoke", "alice", "7"],
        &["chat", "export", "7"],
    ];
    let mut text = String::new();
    for arguments in commands {
        let all = [arguments, &["--data-dir", data][..]].concat();
        text.push_str(&format!("{}\n", transcript(arguments, &netbit(server.path(), &all, &[]).await)));
    }
    assert_text("refused_operator_commands", &mask(&text, &[(data, "DATA_DIR")]));
    server.stop().await;
}
