//! The git command and a repository on the server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ::netbit::client::HttpClient;
use anyhow::{Context, ensure};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::SeededServer;

/// Files in a repository.
const FILES: usize = 20;
/// Time limit of a command, far longer than it takes.
const COMMAND_WITHIN: Duration = Duration::from_secs(120);

/// The git command, isolated from the configuration of this machine.
pub(crate) struct Git {
    directory: TempDir,
    pub(crate) url: String,
    header: String,
}

impl Git {
    /// Creates an empty repository of `user` on the server.
    pub(crate) async fn new(server: &SeededServer, user: usize) -> anyhow::Result<Self> {
        let name = server.user(user)?;
        let http = HttpClient::new(format!("http://{}", server.http))?;
        let http = http.with_token(server.token(user)?);
        http.post("/api/projects/create", &json!({"name": "trial"})).await?.success()?;
        http.post(&format!("/api/projects/{name}/trial/repos/create"), &json!({"name": "it"}))
            .await?
            .success()?;
        let directory = tempfile::Builder::new().prefix("netbit-loadtest-git-").tempdir()?;
        let url = format!("http://{}/{name}/trial/it", server.http);
        Ok(Self { directory, url, header: format!("Authorization: Bearer {}", server.token(user)?) })
    }

    pub(crate) fn home(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a command in the directory `at` and returns its output.
    ///
    /// # Errors
    /// The command fails; the error holds its standard error output.
    pub(crate) async fn run(&self, at: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("git");
        command.args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"]).args(arguments).current_dir(at);
        command.env("HOME", self.home()).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "http.extraHeader");
        command.env("GIT_CONFIG_VALUE_0", &self.header);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Load Test");
            command.env(format!("GIT_{who}_EMAIL"), "loadtest@example.org");
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output =
            tokio::time::timeout(COMMAND_WITHIN, output).await.context("git did not finish in time")??;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git {}: {}", arguments.join(" "), stderr.trim());
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Creates a local repository with incompressible files.
    pub(crate) async fn create_repository(&self, name: &str, megabytes: usize) -> anyhow::Result<PathBuf> {
        self.run(self.home(), &["init", "--quiet", "--initial-branch=main", name]).await?;
        let path = self.home().join(name);
        for n in 0..FILES {
            let noise =
                (0..megabytes * 1_000_000 / FILES / 16).flat_map(|_| uuid::Uuid::new_v4().into_bytes());
            std::fs::write(path.join(format!("file-{n}")), noise.collect::<Vec<_>>())?;
        }
        self.run(&path, &["add", "."]).await?;
        self.run(&path, &["commit", "--quiet", "--message", "everything"]).await?;
        Ok(path)
    }

    /// Commits in the repository `path`, pushes to a new branch, and returns the commit.
    pub(crate) async fn push(&self, path: &Path, branch: &str) -> anyhow::Result<String> {
        self.run(path, &["commit", "--quiet", "--allow-empty", "--message", branch]).await?;
        let commit = self.run(path, &["rev-parse", "HEAD"]).await?;
        self.run(path, &["push", "--quiet", &self.url, &format!("HEAD:refs/heads/{branch}")]).await?;
        Ok(commit)
    }

    /// Returns the pushed `(branch, commit)` that the server does not list, as lines of
    /// `ls-remote`.
    pub(crate) async fn lost_pushes(&self, pushed: &[(String, String)]) -> anyhow::Result<Vec<String>> {
        let listed = self.run(self.home(), &["ls-remote", &self.url]).await?;
        let expected = pushed.iter().map(|(branch, commit)| format!("{commit}\trefs/heads/{branch}"));
        Ok(expected.filter(|line| !listed.lines().any(|other| other == line)).collect())
    }
}
