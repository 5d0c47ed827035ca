//! The real git client, isolated from this machine's configuration, and working directories for it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::{PASSWORD, PATIENCE, Person, TestServer};

/// A working directory with its own author.
pub(crate) struct GitWorkdir {
    directory: TempDir,
    /// The value of `protocol.version`.
    pub(crate) protocol: &'static str,
    /// The longest that a command may take.
    pub(crate) patience: Duration,
}

/// The outcome of a git command: its output and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.success, "{}\n{}", self.out, self.err);
        self.out.trim().to_owned()
    }

    /// Checks that the command failed and that its error output contains `why`.
    #[track_caller]
    pub(crate) fn refused(self, why: &str) {
        assert!(!self.success && self.err.contains(why), "expected {why:?}:\n{}\n{}", self.out, self.err);
    }
}

impl GitWorkdir {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), protocol: "2", patience: PATIENCE }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs git in a folder of the workdir.
    pub(crate) async fn git<S: AsRef<OsStr>>(&self, folder: &str, arguments: &[S]) -> Said {
        // In its own session: a client that fails leaves its transport process running, which is
        // not a child of the server.
        let mut command = Command::new("setsid");
        command
            .arg("git")
            .current_dir(self.path().join(folder))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .args(["-c", "user.name=Someone", "-c", "user.email=someone@example.org"])
            .args([
                "-c",
                "init.defaultBranch=main",
                "-c",
                "gc.auto=0",
                "-c",
                "maintenance.auto=false",
                "-c",
                "http.proxy=",
            ])
            .args(["-c", &format!("protocol.version={}", self.protocol)])
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(self.patience, command.output()).await.expect("timed out").unwrap();
        Said {
            success: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Creates a repository with one commit on `main`.
    pub(crate) async fn repository(&self, folder: &str) -> PathBuf {
        self.git("", &["init", "--quiet", folder]).await.ok();
        self.commit(folder, "README", "hello\n", "first commit").await;
        self.path().join(folder)
    }

    /// Writes a file and commits it; returns the commit id.
    pub(crate) async fn commit(&self, folder: &str, file: &str, content: &str, message: &str) -> String {
        std::fs::write(self.path().join(folder).join(file), content).unwrap();
        self.git(folder, &["add", file]).await.ok();
        self.git(folder, &["commit", "--quiet", "-m", message]).await.ok();
        self.head(folder).await
    }

    pub(crate) async fn head(&self, folder: &str) -> String {
        self.git(folder, &["rev-parse", "HEAD"]).await.ok()
    }

    /// Returns the ids of every object of a repository, sorted.
    pub(crate) async fn objects(&self, folder: &str) -> Vec<String> {
        let listed = self.git(folder, &["rev-list", "--objects", "--all"]).await.ok();
        let mut ids: Vec<_> =
            listed.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect();
        ids.sort();
        ids
    }
}

impl TestServer {
    /// Returns the URL of a repository for git, with the user's password in it.
    pub(crate) fn url_as(&self, user: &str, path: &str) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!("http://{user}:{password}@{}/{path}", self.app.addresses.http)
    }

    /// Returns the URL of a repository for git, without credentials.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.app.addresses.http)
    }

    /// Returns the directory of the only repository.
    pub(crate) fn only_repository(&self) -> PathBuf {
        let mut found = self.repositories();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// Returns the directories of all repositories.
    pub(crate) fn repositories(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        repositories_in(&self.path().join("repos"), &mut found);
        found
    }
}

/// Collects the directories of the repositories below a folder.
pub(crate) fn repositories_in(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "git") {
            found.push(path);
        } else if path.is_dir() {
            repositories_in(&path, found);
        }
    }
}

impl Person {
    pub(crate) async fn project(&self, name: &str, visibility: &str) -> serde_json::Value {
        let body = json!({"name": name, "visibility": visibility});
        let made = self.post("/api/projects/create", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body
    }

    pub(crate) async fn repository(&self, project: &str, name: &str) -> serde_json::Value {
        let path = format!("/api/projects/{}/{project}/repos/create", self.name);
        let made = self.post(&path, json!({"name": name})).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body
    }

    /// Creates the project `hello` with the repository `web`; returns the repository's path.
    pub(crate) async fn hello_web(&self, visibility: &str) -> String {
        self.project("hello", visibility).await;
        self.repository("hello", "web").await;
        format!("{}/hello/web", self.name)
    }

    pub(crate) async fn member(&self, project: &str, other: &str, role: &str) {
        let path = format!("/api/projects/{}/{project}/members/{other}", self.name);
        assert_eq!(self.put(&path, json!({"role": role})).await.status, 201);
    }

    /// Returns the `push` events of a chat.
    pub(crate) async fn pushes(&self, chat: i64) -> Vec<serde_json::Value> {
        let events = self.get(&format!("/api/chats/{chat}/events?after_seq=0&limit=100")).await.body;
        let items = events["items"].as_array().unwrap().iter();
        items.filter(|event| event["kind"] == "push").map(|event| event["push"].clone()).collect()
    }
}

/// Returns the command lines of the child processes that work on this server's repositories.
pub(crate) fn children(server: &TestServer) -> Vec<String> {
    children_with_ids(server).into_iter().map(|(_, command)| command).collect()
}

/// Returns these child processes with their process ids.
pub(crate) fn children_with_ids(server: &TestServer) -> Vec<(u32, String)> {
    let root = server.path().canonicalize().unwrap().join("repos");
    let mark = format!("NETBIT_CHILD_OF={}", root.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let ours = read("environ").split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        if ours {
            let id = entry.file_name().to_string_lossy().parse().unwrap();
            found.push((id, String::from_utf8_lossy(&read("cmdline")).replace('\0', " ")));
        }
    }
    found
}
