//! Runs a server in its own process under an address-space limit, for attacks that must not end it.
//! The server has three users, a repository and a memory watch.

use base64::Engine;
use netbit::client::HttpClient;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::git::{GitWorkdir, Said};
use super::memory::{CAGE_BYTES, MemoryWatch, TREE_BYTES_MAX};
use super::{PASSWORD, Process};

/// The setup of an attack: mallory owns the repository `mallory/p/r`; alice has a private
/// repository and a chat with bob.
pub(crate) struct Attacked {
    pub(crate) server: Process,
    pub(crate) mallory: HttpClient,
    pub(crate) alice: HttpClient,
    pub(crate) workdir: GitWorkdir,
    directory: TempDir,
    watch: MemoryWatch,
}

impl Attacked {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts the server with additional environment variables.
    pub(crate) async fn with(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Process::with(directory.path(), environment).await;
        server.limit_address_space(CAGE_BYTES);
        for name in ["alice", "bob", "mallory"] {
            server.http.register(name, PASSWORD).await.unwrap();
        }
        let (alice, mallory) = (login(&server, "alice").await, login(&server, "mallory").await);
        for (http, owner, visibility) in [(&mallory, "mallory", "public"), (&alice, "alice", "private")] {
            let project = json!({"name": "p", "visibility": visibility});
            http.post("/api/projects/create", &project).await.unwrap().success().unwrap();
            let path = format!("/api/projects/{owner}/p/repos/create");
            http.post(&path, &json!({"name": "r"})).await.unwrap().success().unwrap();
        }
        alice.create_group("team", &["bob"]).await.unwrap();
        let watch = server.watch_memory();
        Self { server, mallory, alice, workdir: GitWorkdir::new(), directory, watch }
    }

    /// Returns the URL of a user's repository, with the user's password in it.
    pub(crate) fn url(&self, user: &str) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!("http://{user}:{password}@{}/{user}/p/r", self.server.address())
    }

    /// Pushes from a folder of the workdir to mallory's repository.
    pub(crate) async fn push(&self, folder: &str, refs: &[&str]) -> Said {
        let url = self.url("mallory");
        self.workdir.git(folder, &[&["push", &url], refs].concat()).await
    }

    /// Posts a body to `git-receive-pack` of mallory's repository; returns the status and the
    /// response body as text.
    pub(crate) async fn post_push(&self, body: Vec<u8>) -> (u16, String) {
        let answer = reqwest::Client::new()
            .post(format!("http://{}/mallory/p/r/git-receive-pack", self.server.address()))
            .basic_auth("mallory", Some(PASSWORD))
            .header("content-type", "application/x-git-receive-pack-request")
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        (status, String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned())
    }

    /// Begins a push to mallory's repository: announces a body of `length` bytes, sends `body` and
    /// reads nothing.
    pub(crate) async fn begin_post(&self, body: &[u8], length: usize) -> TcpStream {
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("mallory:{PASSWORD}"));
        let head = format!(
            "POST /mallory/p/r/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Basic {credentials}\r\n\
             content-type: application/x-git-receive-pack-request\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut socket = TcpStream::connect(self.server.address()).await.unwrap();
        socket.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        socket
    }

    /// Checks that other users are served: a private repository is listed and a message is posted.
    pub(crate) async fn others_are_served(&self) {
        self.workdir.git("", &["ls-remote", &self.url("alice")]).await.ok();
        let chat = self.alice.create_group("again", &["bob"]).await.unwrap();
        self.alice.post_message(chat, "served").await.unwrap();
    }

    /// Checks that the server still runs, serves others and stayed below [`TREE_BYTES_MAX`] with
    /// all its children. The server must also become ready again after SIGKILL, and stop
    /// gracefully.
    pub(crate) async fn survived(mut self) {
        self.others_are_served().await;
        assert!(!self.server.has_ended());
        self.watch.assert_below(TREE_BYTES_MAX);
        self.restart().await;
        self.others_are_served().await;
        self.server.stop().await;
    }

    /// Checks that the server and its children never used this many bytes together.
    pub(crate) fn held_less_than(&self, bytes: u64) {
        self.watch.assert_below(bytes);
    }

    /// Ends the server with SIGKILL and starts it again on the same directory.
    pub(crate) async fn restart(&mut self) {
        self.server.kill();
        let begun = std::time::Instant::now();
        self.server = Process::start(self.directory.path()).await;
        eprintln!("ready {} ms after SIGKILL", begun.elapsed().as_millis());
        self.server.limit_address_space(CAGE_BYTES);
        self.watch = self.server.watch_memory();
        self.alice = login(&self.server, "alice").await;
        self.mallory = login(&self.server, "mallory").await;
    }
}

async fn login(server: &Process, name: &str) -> HttpClient {
    server.http.with_token(server.http.login(name, PASSWORD).await.unwrap().token)
}

/// Returns the body of a push that creates `refs/heads/main` at a made-up commit, followed by
/// `pack`.
pub(crate) fn push_body(pack: &[u8]) -> Vec<u8> {
    let (zero, new) = ("0".repeat(40), "1".repeat(40));
    let command = format!("{zero} {new} refs/heads/main\0report-status side-band-64k");
    let head = format!("{:04x}{command}0000", command.len() + 4);
    // The server refuses these packs before it reads their checksum.
    [head.as_bytes(), pack, &[0; 20]].concat()
}
