//! A NetBit server as a child process: the `server` subcommand of this program, on a seeded
//! database.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};

use super::process::{Process, own_executable, temporary};

/// The contents of a new database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed<'a> {
    pub(crate) users: usize,
    pub(crate) chats: usize,
    /// Members of each chat: the first users.
    pub(crate) members: usize,
    pub(crate) messages: usize,
    pub(crate) password: &'a str,
    pub(crate) cache_bytes: Option<u64>,
}

/// Seeds a database and serves it. Also returns a token for each user.
pub(crate) async fn start(seed: &Seed<'_>) -> anyhow::Result<(Process, Vec<String>)> {
    let data = temporary()?;
    let tokens = data.path().join("tokens");
    fill(data.path(), seed, &tokens).await?;
    let text = std::fs::read_to_string(&tokens)?;
    let tokens = text.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect();
    let mut command = own_executable(data.path())?;
    command.arg("server").arg("--data-dir").arg(data.path());
    for listener in ["--http-listen", "--tcp-listen", "--udp-listen", "--ops-listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    command.env("NETBIT_LIMITS__RATES", "false").env("NETBIT_LIMITS__CHATS_PER_USER", "100000");
    if let Some(bytes) = seed.cache_bytes {
        command.env("NETBIT_CACHE__MAX_BYTES", bytes.to_string());
    }
    for rate in ["PER_SECOND", "BURST"] {
        command.env(format!("NETBIT_LIMITS__UDP_DATAGRAMS_{rate}"), "1000000");
    }
    command.env("NETBIT_LOG__LEVEL", "warn").env("NETBIT_LOG__FORMAT", "text");
    Ok((Process::start(command, data).await?, tokens))
}

async fn fill(data: &Path, seed: &Seed<'_>, tokens: &Path) -> anyhow::Result<()> {
    let mut command = own_executable(data)?;
    command.args(["server", "seed", "--data-dir"]).arg(data).args(["--password", seed.password]);
    let counts = [
        ("--users", seed.users),
        ("--members", seed.members),
        ("--chats", seed.chats),
        ("--messages", seed.messages),
    ];
    for (name, count) in counts {
        command.arg(name).arg(count.to_string());
    }
    command.arg("--tokens").arg(tokens);
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output().await?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot seed the database ({}): {}", output.status, stderr.trim());
    Ok(())
}

/// Returns the seeded chats in order: their ids begin at 1.
pub(crate) fn seeded_chats(count: usize) -> anyhow::Result<Vec<i64>> {
    (1..=count).map(|id| i64::try_from(id).context("too many chats")).collect()
}
