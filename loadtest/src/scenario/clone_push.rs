//! The git command clones and pushes in parallel. Each clone holds the pushed commit, and the
//! server lists every push.
//!
//! The rate counts clones. `scripts/measure/git_performance.py` compares with git alone.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{Git, SeededServer, Setup};

const CLONERS: usize = 4;
const PUSHERS: usize = 2;

#[derive(Debug)]
pub(crate) struct ClonePush {
    pub(crate) megabytes: usize,
}

impl Scenario for ClonePush {
    fn name(&self) -> String {
        format!("clone_push/{}_MB", self.megabytes)
    }

    fn plan(&self) -> Plan {
        Plan {
            has_floor: false,
            starts_fresh: true,
            ..Plan::new(Setup { users: 1, ..Setup::default() }, Compared::Rate)
        }
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        let git = Git::new(server, 0).await?;
        let source = git.create_repository("source", self.megabytes).await?;
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
                // At least one clone, however short the round.
                while count == 0 || Instant::now() < end {
                    let (path, begun) = (format!("clone-{n}-{count}"), Instant::now());
                    git.run(git.home(), &["clone", "--quiet", "--bare", &git.url, &path]).await?;
                    let took = begun.elapsed();
                    let path = git.home().join(path);
                    let cloned = git.run(&path, &["rev-parse", "main"]).await?;
                    let mut outcome = outcome.borrow_mut();
                    outcome.check(cloned == tip, || format!("a clone is at {cloned} instead of {tip}"));
                    outcome.took(took);
                    outcome.done(1);
                    std::fs::remove_dir_all(&path)?;
                    count += 1;
                }
                Ok(Vec::new())
            });
        }
        for n in 0..PUSHERS {
            let git = git.clone();
            tasks.spawn_local(async move { keep_pushing(&git, n, end).await });
        }
        let mut pushed = Vec::new();
        while let Some(done) = tasks.join_next().await {
            pushed.extend(done?.context("git")?);
        }
        let outcome = std::rc::Rc::into_inner(outcome).map(RefCell::into_inner);
        let mut outcome = outcome.context("a clone is still running")?;
        for push in git.lost_pushes(&pushed).await? {
            outcome.wrong(|| format!("lost: {push} was pushed"));
        }
        git.run(git.home(), &["clone", "--quiet", "--bare", &git.url, "last"]).await?;
        git.run(&git.home().join("last"), &["fsck", "--full", "--strict"]).await?;
        outcome.notes.push(format!("{} pushes next to {} clones", pushed.len(), outcome.done));
        Ok(outcome)
    }
}

/// Pushes commits to new branches until `end`; returns each branch with its commit.
async fn keep_pushing(git: &Git, n: usize, end: Instant) -> anyhow::Result<Vec<(String, String)>> {
    let path = git.create_repository(&format!("pusher-{n}"), 0).await?;
    let mut pushed = Vec::new();
    while pushed.is_empty() || Instant::now() < end {
        let branch = format!("pusher-{n}-{}", pushed.len());
        let commit = git.push(&path, &branch).await?;
        pushed.push((branch, commit));
    }
    Ok(pushed)
}
