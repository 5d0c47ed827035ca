//! `netbit chat` as a process: from a script over TLS, and at a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};

use netbit::client::{HttpClient, Trust};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::files::FileClient;
use crate::harness::{PASSWORD, TestServer, database, soon, until};

/// Returns `netbit chat` in a folder that has the user's password in a file.
fn chat(folder: &Path, arguments: &[&str]) -> Command {
    std::fs::write(folder.join("password"), format!("{PASSWORD}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_netbit"));
    command.args(["chat", "--user", "alice", "--password-file", "password"]).args(arguments);
    command.current_dir(folder).env("TERM", "xterm").env_remove("SSL_CERT_FILE");
    // No configuration, saved login or unsent message of the user who runs the tests.
    command.env("HOME", folder).env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
    command
}

/// Runs a script of input lines to its end.
async fn script(mut command: Command, lines: &'static str) -> Output {
    let run = move || {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A refused client does not read its input.
        drop(child.stdin.take().unwrap().write_all(lines.as_bytes()));
        child.wait_with_output()
    };
    soon(tokio::task::spawn_blocking(run)).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes a self-signed certificate for `localhost`. Those of `openssl req -x509` are authorities
/// as well.
fn certificate(folder: &Path, is_authority: bool) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    if is_authority {
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    std::fs::write(folder.join("certificate.pem"), parameters.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

async fn server_with_tls(folder: &Path) -> TestServer {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    TestServer::with(|config| (config.tls.certificate, config.tls.key) = (certificate, key)).await
}

/// Regression: the banner recommended `netbit chat --server https://…`, and the client refused
/// because it had no TLS.
#[actix_web::test]
async fn chat_client_speaks_tls_with_named_authorities() {
    for is_authority in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path(), is_authority);
        let server = server_with_tls(folder.path()).await;
        let url = format!("https://localhost:{}", server.app.addresses.http.port());
        let trust = Trust::of_file(&folder.path().join("certificate.pem")).unwrap();
        let http = HttpClient::trusting(&*url, Some(trust)).unwrap();
        http.register("alice", PASSWORD).await.unwrap();
        let lines = "/new team\nhello over TLS\nand again\n";

        let refused = script(chat(folder.path(), &["--server", &url]), lines).await;
        let reason = text(&refused.stderr);
        assert!(!refused.status.success() && reason.contains("certificate"), "{reason}");
        // The host name must match, whatever authority the file contains.
        let other = url.replace("localhost", "127.0.0.1");
        let refused =
            script(chat(folder.path(), &["--server", &other, "--ca", "certificate.pem"]), lines).await;
        assert!(!refused.status.success(), "{}", text(&refused.stdout));

        let done = script(chat(folder.path(), &["--server", &url, "--ca", "certificate.pem"]), lines).await;
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert!(text(&done.stdout).contains("alice: and again"), "{}", text(&done.stdout));
        let alice = http.with_token(http.login("alice", PASSWORD).await.unwrap().token);
        let (messages, _) = alice.messages(netbit::domain::ids::ChatId(1), "").await.unwrap();
        assert_eq!(
            messages.iter().map(|message| &*message.content).collect::<Vec<_>>(),
            ["hello over TLS", "and again"]
        );
        server.stop().await;
    }
}

/// The authorities of the machine are trusted unless others are named.
#[actix_web::test]
async fn chat_client_trusts_the_machines_authorities() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), false);
    let server = server_with_tls(folder.path()).await;
    let url = format!("https://localhost:{}", server.app.addresses.http.port());
    let trust = Trust::of_file(&folder.path().join("certificate.pem")).unwrap();
    HttpClient::trusting(&*url, Some(trust)).unwrap().register("alice", PASSWORD).await.unwrap();
    let mut command = chat(folder.path(), &["--server", &url]);
    command.env("SSL_CERT_FILE", folder.path().join("certificate.pem"));
    let done = script(command, "/new team\nhello\n").await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    server.stop().await;
}

/// Starts a client at a terminal and returns it with the other side of the terminal.
fn at_terminal(mut command: Command) -> (Child, File) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap();
    let side = || File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();
    let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    (child, File::from(terminal))
}

/// Types everything in one write before the client reads, and returns the client's exit code.
fn type_at_terminal(command: Command, keys: Vec<u8>) -> Option<i32> {
    let (mut child, mut screen) = at_terminal(command);
    let mut keyboard = screen.try_clone().unwrap();
    let typist = std::thread::spawn(move || keyboard.write_all(&keys).unwrap());
    // The output must be drained, or the client blocks. The read fails when the client has closed
    // its side.
    let mut seen = Vec::new();
    drop(screen.read_to_end(&mut seen));
    typist.join().unwrap();
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(0), "{}", text(&seen));
    code
}

/// Regression: each line had a reader with its own buffer, so everything after the first Enter of
/// one read was lost. This affected input that is typed ahead, pasted into a terminal without
/// bracketed paste, or delayed by a slow connection.
#[actix_web::test]
async fn chat_client_sends_every_line_of_one_read() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let team = alice.http.create_group("team", &[]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut lines: Vec<String> = (1..=300).map(|n| format!("line {n} of what was pasted")).collect();
    // A line longer than the 4 KiB that a terminal edits by itself.
    lines.insert(200, "long ".repeat(1_200).trim_end().to_owned());
    let url = format!("http://{}", server.app.addresses.http);
    let mut expected = Vec::new();
    for front_end in [&["--plain"][..], &[]] {
        let keys = format!("/open team\r{}\r/quit\r", lines.join("\r")).into_bytes();
        let command = chat(folder.path(), &[&["--server", &url], front_end].concat());
        let ended = tokio::task::spawn_blocking(move || type_at_terminal(command, keys));
        assert_eq!(soon(ended).await.unwrap(), Some(0));
        expected.extend(lines.clone());
        let (mut stored, mut after) = (Vec::new(), 0);
        while stored.len() < expected.len() {
            let (page, _) =
                alice.http.messages(team, &format!("?limit=100&after_seq={after}")).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.seq;
            stored.extend(page.into_iter().map(|message| message.content));
        }
        assert_eq!(stored, expected, "{front_end:?}");
    }
    server.stop().await;
}

/// `netbit login` is enough: no user name and no password.
#[actix_web::test]
async fn chat_client_uses_the_saved_login() {
    let server = TestServer::start().await;
    server.user("alice").await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.app.addresses.http);
    std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    let netbit = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netbit"));
        command.args(arguments).current_dir(folder.path()).env("HOME", folder.path());
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
        command
    };
    let refused = script(netbit(&["chat", "--server", &url]), "").await;
    assert!(text(&refused.stderr).contains("run netbit login"), "{}", text(&refused.stderr));
    let login = ["login", &url, "--user", "alice", "--password-file", "password"];
    assert!(script(netbit(&login), "").await.status.success());
    let done = script(netbit(&["chat", "--server", &url]), "/new team\nhello\n/leave\n").await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("alice: hello"), "{}", text(&done.stdout));
    server.stop().await;
}

/// Regression: the banner named the listener even when users reach the server at another address.
#[actix_web::test]
async fn banner_names_the_public_url() {
    let folder = tempfile::tempdir().unwrap();
    let public = [("NETBIT_HTTP__PUBLIC_URL", "https://git.example.org")];
    let server = crate::harness::Process::with(folder.path(), &public).await;
    let greeting = &server.greeting;
    assert!(greeting.contains("netbit chat --server https://git.example.org --user you"), "{greeting}");
    assert!(greeting.contains("https://git.example.org/api/users/register"), "{greeting}");
    assert!(!greeting.contains("http://127.0.0.1:8080"), "{greeting}");
    server.stop().await;
}

/// Regression: the banner named an address that is not in the certificate.
#[actix_web::test]
async fn banner_with_tls_names_a_host_of_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), false);
    let files = [("NETBIT_TLS__CERTIFICATE", "certificate.pem"), ("NETBIT_TLS__KEY", "key.pem")];
    let server = crate::harness::Process::with(folder.path(), &files).await;
    let greeting = &server.greeting;
    assert!(greeting.contains("netbit chat --server https://localhost:"), "{greeting}");
    server.stop().await;
}

#[actix_web::test]
async fn chat_client_lists_found_messages_and_goes_to_one() {
    let change = |limits: &mut netbit::core::limits::Limits| limits.search_delay_ms = 1;
    let server = TestServer::with_limits(change).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let team = bob.group(&[&alice]).await;
    for content in ["before the needle", "a needle in \u{1b}[2Jthe chat", "behind the needle"] {
        assert_eq!(bob.say(team, content).await.status, 201);
    }
    for n in 0..30 {
        assert_eq!(bob.say(team, &format!("later {n}")).await.status, 201);
    }
    until(async || server.operations("/metrics").await.1.contains("netbit_search_behind_events 0\n")).await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.app.addresses.http);
    let lines = "/search needle from:bob -before\n/goto 2\nan answer\n/search from:\n/goto 9\n";
    let done = script(chat(folder.path(), &["--server", &url]), lines).await;
    let (shown, problems) = (text(&done.stdout), text(&done.stderr));
    for (number, content) in [(1, "behind the needle"), (2, "a needle in the chat")] {
        let line = shown.lines().find(|line| line.starts_with(&format!("  {number}. [team] ")));
        assert!(line.is_some_and(|line| line.ends_with(&format!(" bob: {content}"))), "{shown}");
    }
    let around = shown.split("--- message 2 of the search ---").nth(1).unwrap();
    assert!(around.contains("before the needle") && around.contains("later 5"), "{shown}");
    assert!(!around.split("--- end").next().unwrap().contains("later 25"), "{shown}");
    assert!(!shown.contains('\u{1b}') && alice.contents(team).await.contains(&"an answer".to_owned()));
    let problems = format!("{shown}{problems}");
    assert!(problems.contains("from: needs a user name") && problems.contains("no message 9 was found"));
    server.stop().await;
}

/// The lines of a script keep their order, and a file that is larger than a piece arrives whole.
#[actix_web::test]
async fn chat_client_attaches_files() {
    let server = TestServer::with_limits(|limits| limits.file_bytes = 1_000_000).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let team = bob.group(&[&alice]).await;
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..700_000_u32).flat_map(|n| u8::try_from(n % 251)).collect();
    for (name, bytes) in [
        ("a file.bin", bytes.as_slice()),
        ("empty", b""),
        ("large.bin", [bytes.clone(), bytes.clone()].concat().as_slice()),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let url = format!("http://{}", server.app.addresses.http);
    let lines = "/open 1\nbefore\n/attach 'a file.bin' look at this\n/attach empty\nbehind\n\
                 /attach missing.png\n/attach .\n/attach large.bin\n";
    let done = script(chat(folder.path(), &["--server", &url]), lines).await;
    let shown = format!("{}{}", text(&done.stdout), text(&done.stderr));
    let page = bob.get(&format!("/api/chats/{team}/messages?limit=100")).await.body;
    let items = page["items"].as_array().unwrap();
    let contents: Vec<_> = items.iter().map(|item| item["content"].as_str().unwrap()).collect();
    assert_eq!(contents, ["before", "look at this", "", "behind"], "{shown}");
    let files = FileClient::new(&server.app.addresses.http.to_string(), &bob.http);
    let file = &items[1]["files"][0];
    assert_eq!((&file["name"], &file["size"]), (&"a file.bin".into(), &700_000.into()));
    assert!(files.get(file["id"].as_i64().unwrap()).await.bytes == bytes, "other bytes");
    assert_eq!(items[2]["files"][0]["size"], 0);
    for problem in [
        "/attach: missing.png does not exist",
        ". is not a file",
        "large.bin was not sent: a file may have at most 976.6 KiB",
    ] {
        assert!(shown.contains(problem), "{problem}: {shown}");
    }
    server.stop().await;
}

/// Waits until a screen has shown a text after the last one.
async fn wait_for(pieces: &Receiver<Vec<u8>>, shown: &mut String, wanted: &str) {
    until(async || {
        shown.extend(pieces.try_iter().map(|piece| text(&piece)));
        shown.contains(wanted)
    })
    .await;
    *shown = shown.split_once(wanted).unwrap().1.to_owned();
}

/// Regression: after the history of the server was replaced, `/attach --plain` continued with the
/// ids of the chat and the file of the old one.
#[actix_web::test]
async fn replaced_history_ends_an_upload_of_the_chat_client() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let team = alice.group(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.bin"), b"bytes").unwrap();
    // The client finds both servers at one address.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let target = Arc::new(AtomicU16::new(server.app.addresses.http.port()));
    let current = target.clone();
    let proxy = actix::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let port = current.load(Ordering::Relaxed);
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
            actix::spawn(async move { drop(tokio::io::copy_bidirectional(&mut client, &mut server).await) });
        }
    });
    let (mut child, mut screen) = at_terminal(chat(folder.path(), &["--server", &url, "--plain"]));
    let mut keyboard = screen.try_clone().unwrap();
    let (sender, pieces) = channel();
    let reader = std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(bytes @ 1..) = screen.read(&mut piece) {
            drop(sender.send(piece[..bytes].to_vec()));
        }
    });
    let mut shown = String::new();
    keyboard.write_all(b"/open team\rbefore\r").unwrap();
    until(async || alice.contents(team).await == ["before"]).await;
    let directory = server.stop_and_keep().await;
    wait_for(&pieces, &mut shown, "not connected").await;
    keyboard.write_all(b"/attach a.bin\r").unwrap();
    wait_for(&pieces, &mut shown, "uploading a.bin").await;
    // Another node has found the loss, so the start of this one ends no login.
    database::writer(directory.path()).batch_execute(
        "INSERT INTO meta (key, value)
             SELECT 'epoch_ended_' || value, value + 1 FROM meta WHERE key = 'epoch';
         UPDATE meta SET value = value + 1 WHERE key = 'epoch'",
    );
    let server = TestServer::on(directory).await;
    target.store(server.app.addresses.http.port(), Ordering::Relaxed);
    wait_for(&pieces, &mut shown, "a.bin was not sent: the server's history was replaced").await;
    keyboard.write_all(b"/quit\r").unwrap();
    assert!(soon(tokio::task::spawn_blocking(move || child.wait())).await.unwrap().unwrap().success());
    reader.join().unwrap();
    proxy.abort();
    assert_eq!(server.login("alice").await.contents(team).await, ["before"]);
    server.stop().await;
}
