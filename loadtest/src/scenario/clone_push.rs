//! The git command clones and pushes, beside each other: what is cloned is what was pushed, and every push is there.
//!
//! Each clone counts. How that compares with git alone is measured by `tests/git_performance.py`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use netbit::client::HttpClient;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::{Compared, Outcome, Scenario};
use crate::stage::{Cast, Stage};

const CLONERS: usize = 4;
const PUSHERS: usize = 2;
const FILES: usize = 20;
/// Far beyond what one command takes.
const COMMAND_WITHIN: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(crate) struct ClonePush {
    pub(crate) megabytes: usize,
}

impl Scenario for ClonePush {
    fn name(&self) -> String {
        format!("clone_push/{}_MB", self.megabytes)
    }

    fn cast(&self) -> Cast {
        Cast { users: 1, ..Cast::default() }
    }

    fn compared(&self) -> Compared {
        Compared::Rate
    }

    fn has_floor(&self) -> bool {
        false
    }

    fn starts_fresh(&self) -> bool {
        true
    }

    async fn round(&self, stage: &Stage, time: Duration) -> anyhow::Result<Outcome> {
        let git = Git::new(stage)?;
        let http = HttpClient::new(format!("http://{}", stage.process.addresses.http))?;
        let http = http.with_token(stage.token(0)?);
        http.post("/api/projects/create", &json!({"name": "trial"})).await?.success()?;
        http.post("/api/projects/u0/trial/repos/create", &json!({"name": "it"})).await?.success()?;
        let source = git.make("source", self.megabytes).await?;
        let tip = git.run(&source, &["rev-parse", "HEAD"]).await?;
        git.run(&source, &["push", "--quiet", &git.url, "HEAD:main"]).await?;

        let outcome = RefCell::new(Outcome::new()?);
        let outcome = std::rc::Rc::new(outcome);
        outcome.borrow_mut().begin();
        let (end, mut tasks) = (Instant::now() + time, JoinSet::new());
        let git = std::rc::Rc::new(git);
        for n in 0..CLONERS {
            let (git, tip, outcome) = (git.clone(), tip.clone(), outcome.clone());
            tasks.spawn_local(async move {
                let mut count = 0;
                // At least once, however short the time.
                while count == 0 || Instant::now() < end {
                    let (place, begun) = (format!("clone-{n}-{count}"), Instant::now());
                    git.run(git.home(), &["clone", "--quiet", "--bare", &git.url, &place]).await?;
                    let took = begun.elapsed();
                    let place = git.home().join(place);
                    let cloned = git.run(&place, &["rev-parse", "main"]).await?;
                    let mut outcome = outcome.borrow_mut();
                    outcome.check(cloned == tip, || format!("a clone is at {cloned} instead of {tip}"));
                    outcome.took(took);
                    outcome.done(1);
                    std::fs::remove_dir_all(&place)?;
                    count += 1;
                }
                Ok(Vec::new())
            });
        }
        for n in 0..PUSHERS {
            let git = git.clone();
            tasks.spawn_local(async move { git.keep_pushing(n, end).await });
        }
        let mut pushed = Vec::new();
        while let Some(done) = tasks.join_next().await {
            pushed.extend(done?.context("git")?);
        }
        let there = git.run(git.home(), &["ls-remote", &git.url]).await?;
        let outcome = std::rc::Rc::into_inner(outcome).map(RefCell::into_inner);
        let mut outcome = outcome.context("somebody is still cloning")?;
        for (branch, commit) in &pushed {
            let line = format!("{commit}\trefs/heads/{branch}");
            outcome.check(there.lines().any(|is| is == line), || format!("lost: {line} was pushed"));
        }
        git.run(git.home(), &["clone", "--quiet", "--bare", &git.url, "last"]).await?;
        git.run(&git.home().join("last"), &["fsck", "--full", "--strict"]).await?;
        outcome.notes.push(format!("{} pushes beside {} clones", pushed.len(), outcome.done));
        Ok(outcome)
    }
}

/// The git command, shut off from this machine's configuration.
struct Git {
    directory: TempDir,
    url: String,
    header: String,
}

impl Git {
    fn new(stage: &Stage) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("netbit-loadtest-git-").tempdir()?;
        let url = format!("http://{}/u0/trial/it", stage.process.addresses.http);
        Ok(Self { directory, url, header: format!("Authorization: Bearer {}", stage.token(0)?) })
    }

    fn home(&self) -> &Path {
        self.directory.path()
    }

    /// What it printed; what it complained of is the error.
    async fn run(&self, at: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("git");
        command.args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"]).args(arguments).current_dir(at);
        command.env("HOME", self.home()).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "http.extraHeader");
        command.env("GIT_CONFIG_VALUE_0", &self.header);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Somebody");
            command.env(format!("GIT_{who}_EMAIL"), "somebody@example.org");
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(COMMAND_WITHIN, output).await.context("git takes too long")??;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git {}: {}", arguments.join(" "), complaint.trim());
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// A repository with files that cannot be compressed.
    async fn make(&self, name: &str, megabytes: usize) -> anyhow::Result<PathBuf> {
        self.run(self.home(), &["init", "--quiet", "--initial-branch=main", name]).await?;
        let place = self.home().join(name);
        for n in 0..FILES {
            let noise =
                (0..megabytes * 1_000_000 / FILES / 16).flat_map(|_| uuid::Uuid::new_v4().into_bytes());
            std::fs::write(place.join(format!("file-{n}")), noise.collect::<Vec<_>>())?;
        }
        self.run(&place, &["add", "."]).await?;
        self.run(&place, &["commit", "--quiet", "--message", "everything"]).await?;
        Ok(place)
    }

    /// Pushes commits to branches of its own; answers the branches, and where they must be.
    async fn keep_pushing(&self, n: usize, end: Instant) -> anyhow::Result<Vec<(String, String)>> {
        let place = self.make(&format!("pusher-{n}"), 0).await?;
        let mut pushed = Vec::new();
        while pushed.is_empty() || Instant::now() < end {
            let branch = format!("pusher-{n}-{}", pushed.len());
            self.run(&place, &["commit", "--quiet", "--allow-empty", "--message", &branch]).await?;
            let commit = self.run(&place, &["rev-parse", "HEAD"]).await?;
            self.run(&place, &["push", "--quiet", &self.url, &format!("HEAD:refs/heads/{branch}")]).await?;
            pushed.push((branch, commit));
        }
        Ok(pushed)
    }
}
