//! The command line, as a process.

use std::path::Path;
use std::process::{Command, Output};

use netbit::core::limits::Limits;
use netbit::domain::ids::ChatId;
use serde_json::json;

use crate::harness::{PASSWORD, Process, TestServer, postgres, soon};

fn netbit(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = program();
    command.args(arguments).current_dir(directory).envs(postgres::environment_of(arguments));
    command.envs(variables.iter().copied()).output().unwrap()
}

/// Returns `netbit` without settings of the machine that runs the test.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netbit"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NETBIT_")) {
        command.env_remove(name);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn version_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    let output = netbit(directory.path(), &["--version"], &[]);
    assert_eq!(text(&output.stdout), format!("netbit {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn effective_config_is_printed_without_secrets_and_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("netbit.toml"), "[cache]\nwindow = 42\n").unwrap();
    let secret = "a secret that must not be printed";
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
fn config_error_names_key_source_and_allowed_values() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("netbit.toml"), "[storage]\nsynchronous = \"sometimes\"\n").unwrap();
    let output = netbit(directory.path(), &[], &[]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78));
    for part in ["storage.synchronous", "netbit.toml", "`full`", "`normal`"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!directory.path().join("data").exists(), "no server was started");
    let missing = netbit(directory.path(), &["--config", "nowhere.toml"], &[]);
    assert!(missing.status.code() == Some(78) && text(&missing.stderr).contains("nowhere.toml"));
}

/// Only the server had `--config`: its commands needed the folder of the file or its variables.
#[test]
fn commands_read_the_named_configuration_file() {
    let (elsewhere, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |name: &str| place.path().join(name).display().to_string();
    let configuration = |name: &str| {
        let (file, data_dir) = (path(&format!("{name}.toml")), place.path().join(name));
        let database = postgres::url(&data_dir).map(|url| format!("database = {url:?}\n"));
        let text = format!("data_dir = {data_dir:?}\n{}", database.unwrap_or_default());
        std::fs::write(&file, text).unwrap();
        file
    };
    let (first, second) = (configuration("first"), configuration("second"));
    std::fs::write(path("password"), PASSWORD).unwrap();
    let (password, backup, copy) = (path("password"), path("backup"), path("copy"));
    for arguments in [
        &["user", "add", "ada", "--password-file", &password, "--config", &first][..],
        &["token", "list", "ada", "--config", &first],
        &["chat", "list", "--config", &first],
        &["node", "list", "--config", &first],
        &["audit", "--config", &first],
        &["doctor", "--config", &first],
        &["backup", &backup, "--config", &first],
        &["restore", &backup, "--config", &second],
        &["database", "copy", "--to", &copy, "--config", &second],
    ] {
        let output = netbit(elsewhere.path(), arguments, &[]);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    for (option, value) in [("--config", &first), ("--config", &second), ("--data-dir", &copy)] {
        let output = program().args(["user", "list", option, value]).output().unwrap();
        assert!(text(&output.stdout).contains("ada"), "{value}: {output:?}");
    }
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0, "nothing is made in the folder");
    let missing = netbit(elsewhere.path(), &["doctor", "--config", "nowhere.toml"], &[]);
    assert!(missing.status.code() == Some(78) && text(&missing.stderr).contains("nowhere.toml"));
}

#[test]
fn unusable_data_directory_is_named() {
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
async fn seeded_database_is_served() {
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
fn seed_names_the_option_that_does_not_fit() {
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
async fn notify_explain_gives_the_reason_while_server_runs() {
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
    let (_, printed) = explain("bob");
    assert!(
        printed.contains("a notification (mention)")
            && printed.contains("because the message names the user"),
        "{printed}"
    );
    let (_, silent) = explain("carol");
    assert!(
        silent.contains("nothing") && silent.contains("turned off notifications for this chat"),
        "{silent}"
    );
    assert!(explain("alice").1.contains("for their own actions"));
    assert!(!explain("nosuch").0);
    server.stop().await;
}

/// Regression: the error of the second server named `ops.listen`, whose port the first server has.
#[actix_web::test]
async fn second_server_names_the_process_that_uses_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = Process::start(directory.path()).await;
    let data = directory.path().to_str().unwrap();
    let second = netbit(directory.path(), &["serve", "--data-dir", data], &[]);
    let printed = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{printed}");
    let pid = first.pid().as_raw_nonzero();
    assert!(
        printed.contains(&format!("another netbit already uses {data} (pid {pid}); stop it first")),
        "{printed}"
    );
    assert!(!printed.contains("listen"), "{printed}");
    first.stop().await;
}

/// Regression: `auth.secret = "short"` was reported as an error of `secret.key`, `limits.readers =
/// 0` was accepted, and other mistakes were reported one at a time.
#[test]
fn all_config_errors_are_reported_with_key_and_source() {
    let directory = tempfile::tempdir().unwrap();
    let file = "[limits]\nreaders = 0\nfrequency = 3\n\n[http]\npublic_url = \"example\"\n";
    std::fs::write(directory.path().join("netbit.toml"), file).unwrap();
    let variables = [("NETBIT_AUTH__SECRET", "short"), ("NETBIT_LOG__FORMAT", "xml")];
    let output = netbit(directory.path(), &["--tcp-listen", "8081"], &variables);
    let printed = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{printed}");
    for (key, source) in [
        ("limits.readers", "netbit.toml"),
        ("limits.frequency", "netbit.toml"),
        ("http.public_url", "netbit.toml"),
        ("auth.secret", "environment variable NETBIT_AUTH__SECRET"),
        ("log.format", "environment variable NETBIT_LOG__FORMAT"),
        ("tcp.listen", "flag --tcp-listen"),
    ] {
        let lines: Vec<_> =
            printed.lines().filter(|line| line.contains(&format!("configuration: {key} "))).collect();
        assert!(matches!(lines[..], [line] if line.contains(source)), "{key}: {printed}");
    }
    assert_eq!(printed.lines().count(), 6, "{printed}");
    assert!(!directory.path().join("data").exists(), "no server was started");
}

#[actix_web::test]
async fn listeners_take_host_names() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = program();
    command.current_dir(directory.path());
    for listener in ["http", "tcp", "udp", "ops"] {
        command.arg(format!("--{listener}-listen")).arg("localhost:0");
    }
    let server = Process::spawn(command).await.unwrap();
    assert!(server.address().starts_with("127.0.0.1:"), "{}", server.greeting);
    assert_eq!(server.operations("/readyz").await.0, 200);
    let unknown =
        netbit(directory.path(), &["--data-dir", "other", "--ops-listen", "no-such-host.invalid:80"], &[]);
    let printed = text(&unknown.stderr);
    assert!(printed.contains("ops.listen") && printed.contains("no-such-host.invalid:80"), "{printed}");
    server.stop().await;
}

/// Regression: errors that include their cause in the text and have it as their source printed
/// "permission denied: permission denied".
#[test]
fn cause_of_a_failure_is_printed_once() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    for arguments in [
        &["serve", "--data-dir", "file/data"][..],
        &["user", "add", "bob", "--data-dir", "file/data", "--password-file", "file"],
        &["restore", "nowhere", "--data-dir", "data"],
        &["backup", "file/x", "--data-dir", "."],
        &["user", "add", "bob", "--password-file", "nowhere"],
    ] {
        let output = netbit(directory.path(), arguments, &[]);
        let printed = text(&output.stderr);
        assert!(!output.status.success() && printed.lines().count() == 1, "{arguments:?}: {printed}");
        assert!(printed.matches("os error").count() <= 1, "{arguments:?}: {printed}");
    }
}

/// Regression: without a terminal, a password prompt failed with "No such device or address (os
/// error 6)".
#[test]
fn password_prompt_without_terminal_names_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_netbit"), "user", "add", "bob", "--data-dir", "data"]);
    let output = command.current_dir(directory.path()).stdin(std::process::Stdio::null()).output().unwrap();
    let printed = text(&output.stderr);
    assert!(!output.status.success(), "{printed}");
    assert!(
        printed.contains("cannot ask for the password without a terminal")
            && printed.contains("--password-file"),
        "{printed}"
    );
}

/// They would otherwise work on an older or empty netbit.db next to the database in use.
#[test]
fn commands_do_not_use_the_file_when_on_postgres() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("data")).unwrap();
    std::fs::write(directory.path().join("data/netbit.db"), "not in use").unwrap();
    let database = [("NETBIT_DATABASE", "postgres://ada:secret@db.invalid:5433/netbit")];
    for (arguments, next_step) in [
        (&["backup", "copy"][..], "cannot connect to PostgreSQL"),
        (&["doctor"], "cannot connect to PostgreSQL"),
        (&["user", "list"], "no server has used data"),
        (&["audit"], "no server has used data"),
        (&["notify", "explain", "--message", "1", "--user", "a"], "cannot connect to PostgreSQL"),
        (&["seed", "--password", PASSWORD], "cannot connect to PostgreSQL"),
    ] {
        let output = netbit(directory.path(), &[arguments, &["--data-dir", "data"]].concat(), &database);
        let printed = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {printed}");
        assert!(printed.contains(next_step) && !printed.contains("secret"), "{arguments:?}: {printed}");
        assert_eq!(printed.contains("no server"), !printed.contains("db.invalid:5433/netbit"), "{printed}");
    }
    assert!(!directory.path().join("copy").exists());
    assert_eq!(std::fs::read(directory.path().join("data/netbit.db")).unwrap(), b"not in use");
}

/// Regression: `netbit top --once --json | head` and `netbit doctor | head -1` panicked.
#[actix_web::test]
async fn closed_pipe_ends_a_command_without_an_error() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let (data, ops) = (server.path().to_str().unwrap().to_owned(), server.app.addresses.ops.to_string());
    let commands = [
        vec!["top", "--once", "--json", "--ops", &ops],
        vec!["top", "--once", "--ops", &ops],
        vec!["doctor", "--data-dir", &data],
        vec!["user", "list", "--data-dir", &data],
        vec!["chat", "list", "--data-dir", &data],
        vec!["audit", "--data-dir", &data],
        vec!["config"],
    ];
    for arguments in commands {
        let mut command = program();
        command.envs(postgres::environment_of(&arguments));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.args(&arguments).stdout(writer);
        let output = soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap();
        let expected = if arguments[0] == "audit" { Some(0) } else { Some(141) };
        assert_eq!((output.status.code(), text(&output.stderr)), (expected, String::new()), "{arguments:?}");
    }
    server.stop().await;
}

/// Regression: the doctor ended at the first check that a damaged database made impossible, and
/// printed that error twice.
#[actix_web::test]
async fn doctor_runs_remaining_checks_on_a_damaged_database() {
    if postgres::skips("the test damages netbit.db") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    for n in 0..200 {
        alice.say(chat, &format!("{n} {}", "x".repeat(500))).await;
    }
    let directory = server.stop_and_keep().await;
    let file = directory.path().join("netbit.db");
    let whole = std::fs::read(&file).unwrap();
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("overwritten", |bytes| bytes[4096..].fill(0x5a)),
        ("cut off", |bytes| bytes.truncate(10_000)),
        ("not a database", |bytes| bytes[..100].fill(0x5a)),
    ];
    for (name, damage) in damages {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        std::fs::write(&file, bytes).unwrap();
        let output =
            netbit(directory.path(), &["doctor", "--data-dir", directory.path().to_str().unwrap()], &[]);
        let printed = text(&output.stdout);
        assert_eq!(
            (output.status.code(), text(&output.stderr)),
            (Some(1), String::new()),
            "{name}: {printed}"
        );
        assert!(printed.contains("BAD integrity of the database"), "{name}: {printed}");
        assert!(printed.contains("not checked, because the database is damaged"), "{name}: {printed}");
        for other in ["git children are confined", "the pre-receive hook can run", "free space"] {
            assert!(printed.contains(other), "{name}: {printed}");
        }
        let mut findings: Vec<_> = printed.lines().filter(|line| line.starts_with("      ")).collect();
        let count = findings.len();
        findings.sort_unstable();
        findings.dedup();
        assert!(count > 0 && count == findings.len(), "{name}: {printed}");
        let words = ["malformed", "not a database"].map(|word| printed.matches(word).count());
        assert!(words.iter().all(|count| *count <= 1), "{name}: {printed}");
    }
}

/// Regression: a token from `curl` ended after 15 minutes, and git prompted for the password at
/// every push.
#[actix_web::test]
async fn login_stores_a_token_for_curl_and_git() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.hello_web("private").await;
    let home = tempfile::tempdir().unwrap();
    let (config, url) = (home.path().join("config"), format!("http://{}", server.app.addresses.http));
    std::fs::write(home.path().join("password"), PASSWORD).unwrap();
    let run = async |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(home.path())
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", &config);
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
        soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap()
    };
    let program = env!("CARGO_BIN_EXE_netbit");
    let clone = format!("{url}/alice/hello/web.git");
    assert!(!run("git", &["clone", "-q", &clone, "before"]).await.status.success());
    for name in ["alice", " Alice"] {
        let login = ["login", &url, "--user", name, "--password-file", "password", "--git"];
        let output = run(program, &login).await;
        let printed = [text(&output.stdout), text(&output.stderr)].concat();
        assert!(output.status.success() && printed.contains("as alice, until 20"), "{printed}");
    }
    let tokens = alice.get("/api/users/me/tokens").await;
    assert_eq!(
        tokens.body["items"].as_array().unwrap().len(),
        1,
        "the token of the first login was revoked: {}",
        tokens.body
    );
    let cloned = run("git", &["clone", "-q", &clone, "after"]).await;
    assert!(cloned.status.success(), "{}", text(&cloned.stderr));

    let printed = text(&run(program, &["credential", "token", &url]).await.stdout);
    let mine = server.http.with_token(printed.trim());
    assert_eq!(mine.get("/api/chats").await.unwrap().status, 200);
    let kept = config.join("netbit/logins.toml");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&kept).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    // The saved login is enough: no password is needed.
    let logins = alice.get("/api/users/me/logins").await;
    let count = logins.body["items"].as_array().unwrap().len();
    let output = run(program, &["logout", &url]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(mine.get("/api/chats").await.unwrap().status, 401);
    let logins = alice.get("/api/users/me/logins").await;
    assert_eq!(logins.body["items"].as_array().unwrap().len(), count - 1, "{}", logins.body);
    assert!(!kept.exists(), "the file of the logins is removed");
    let none = run(program, &["credential", "token"]).await;
    assert!(!none.status.success() && text(&none.stderr).contains("netbit login"), "{}", text(&none.stderr));
    server.stop().await;
}

/// git erases a credential that the server refused. Only that exact token is erased.
#[actix_web::test]
async fn git_credential_erase_removes_only_the_refused_token() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("netbit");
    std::fs::create_dir(&folder).unwrap();
    let kept = "[\"https://git.example.org\"]\nusername = \"bob\"\ntoken = \"nbp_secret\"\ntoken_id = 7\n";
    std::fs::write(folder.join("logins.toml"), kept).unwrap();
    let ask = |act: &str, description: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netbit"));
        command.args(["credential", act]).env("XDG_CONFIG_HOME", home.path());
        let pipe = std::process::Stdio::piped;
        let mut child = command.stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), description.as_bytes()).unwrap();
        text(&child.wait_with_output().unwrap().stdout)
    };
    let at = "protocol=https\nhost=git.example.org\n";
    assert_eq!(ask("get", at), "username=bob\npassword=nbp_secret\n");
    assert_eq!(ask("get", &format!("{at}username=carol\n")), "");
    assert_eq!(ask("get", "protocol=https\nhost=example.org\n"), "");
    assert_eq!(ask("get", "protocol=https\nhost=git.example.org/.evil.example\n"), "");
    ask("erase", &format!("{at}username=bob\npassword=another\n"));
    assert_eq!(ask("get", at), "username=bob\npassword=nbp_secret\n");
    ask("erase", &format!("{at}username=bob\npassword=nbp_secret\n"));
    assert_eq!(ask("get", at), "");
}
