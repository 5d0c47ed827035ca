//! Runs the commands of the README as a reader pastes them.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::harness::{PATIENCE, TestServer, soon};

/// Returns the blocks of shell commands below a heading, for this server and this program.
fn blocks(heading: &str, server: &TestServer) -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let here = |block: &str| {
        block
            .replace("127.0.0.1:8080", &server.app.addresses.http.to_string())
            .replace("cargo run --release --", env!("CARGO_BIN_EXE_netbit"))
    };
    blocks.map(here).collect()
}

/// A shell at a terminal of its own, started by script(1).
struct Terminal {
    child: std::process::Child,
    keyboard: std::process::ChildStdin,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn open(folder: &std::path::Path) -> Self {
        let mut command = Command::new("script");
        command.args(["-qec", "bash --norc --noprofile", "/dev/null"]).current_dir(folder);
        command.env("HOME", folder).env("TERM", "xterm").env("PS1", "$ ").env_remove("XDG_CONFIG_HOME");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keyboard, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (shown, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if shown.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, seen: String::new() }
    }

    fn paste(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits until the text is shown, and drops the output before it.
    fn await_text(&mut self, text: &str) {
        loop {
            if let Some((_, rest)) = self.seen.split_once(text) {
                self.seen = rest.to_owned();
                return;
            }
            let Ok(bytes) = self.screen.recv_timeout(PATIENCE) else {
                panic!("{text} did not come: {}", self.seen)
            };
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    fn leave(mut self) {
        self.paste("exit\n");
        self.child.wait().unwrap();
    }
}

/// Regression: the block of `netbit chat` had a line for the chat itself, which became the
/// password. Answers of the API and the prompt were on one line.
#[actix_web::test]
async fn readme_blocks_work_when_they_are_pasted_whole() {
    let server = TestServer::start().await;
    let first = blocks("Send a message", &server);
    let [accounts, talk, chat] = &first[..] else { panic!("{first:?}") };
    let second = blocks("Push a repository", &server);
    let [project, login, push] = &second[..] else { panic!("{second:?}") };
    let pasted = [accounts, talk, project].map(String::to_owned).concat();
    let (chat, login, push) = (chat.clone(), login.clone(), push.clone());
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let session = tokio::task::spawn_blocking(move || {
        let mut shell = Terminal::open(&place);
        shell.paste(&pasted);
        shell.await_text("\"content\":\"hello from curl\"");
        shell.await_text("\"clone_url\"");
        // A terminal that cannot draw: the client reads and writes lines.
        shell.paste("export TERM=dumb\n");
        shell.paste(&chat);
        shell.await_text("Password for bob: ");
        shell.paste("battery staple\n");
        shell.await_text("/help lists the commands");
        shell.paste("/open team\n");
        shell.await_text("hello from curl");
        shell.paste("hello from bob\n/quit\n");
        shell.await_text("bob: hello from bob");
        shell.paste(&login);
        shell.await_text("Password for alice: ");
        shell.paste("correct horse\n");
        shell.await_text("git now uses the token");
        shell.paste("git init -q work && cd work && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one\n");
        shell.paste(&push);
        shell.await_text("HEAD -> main");
        shell.leave();
    });
    soon(session).await.unwrap();
    let alice = server.http.with_token(server.http.login("alice", "correct horse").await.unwrap().token);
    let chats = alice.get("/api/chats").await.unwrap();
    assert!(
        chats.body["items"].as_array().unwrap().iter().any(|chat| chat["name"] == "team"),
        "{}",
        chats.body
    );
    let url = format!("http://{}/api/users/me", server.app.addresses.http);
    for (token, status) in [(alice.token().unwrap(), 200), ("wrong", 401)] {
        let answer = reqwest::Client::new().get(&url).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert!(answer.text().await.unwrap().ends_with("}\n"), "an answer ends with a newline");
    }
    server.stop().await;
}
