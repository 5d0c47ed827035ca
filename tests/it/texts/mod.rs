//! Snapshots of the texts that users read: help, errors, reports.
//!
//! The accepted texts are in tests/it/snapshots. A different text fails its test and writes no
//! file (.config/insta.yaml). `INSTA_UPDATE=always cargo test --test it texts::`
//! accepts all texts of this build; read the difference before you commit it.

mod api_texts;
mod commands;
mod configuration;
mod explanations;
mod git_refusals;
mod reports;

use std::path::Path;
use std::process::Output;

use regex::Regex;

use crate::harness::{postgres, soon};

/// Compares a text with the accepted one.
#[track_caller]
fn assert_text(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Replaces every match of each pattern with its word.
fn mask(text: &str, masks: &[(&str, &str)]) -> String {
    masks.iter().fold(text.to_owned(), |text, (pattern, word)| {
        Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
    })
}

/// Runs `netbit` in a directory, without the settings of this machine.
async fn netbit(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netbit"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NETBIT_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(directory).envs(postgres::environment_of(arguments));
    command.envs(variables.iter().copied());
    command.stdin(std::process::Stdio::null());
    soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap()
}

/// Returns a command with its exit code and everything that it printed.
fn transcript(arguments: &[&str], output: &Output) -> String {
    let printed = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    let code = output.status.code().map_or_else(|| "signal".to_owned(), |code| code.to_string());
    format!("$ netbit {}\n{}\n[exit code {code}]\n", arguments.join(" "), printed.trim_end())
}
