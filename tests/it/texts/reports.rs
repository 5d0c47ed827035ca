//! The start banner, `netbit doctor`, `netbit top`, `netbit backup` and `netbit restore`.

use serde_json::json;

use super::{assert_text, mask, netbit, transcript};
use crate::harness::{PASSWORD, Process, TestServer, postgres};

/// Numbers that depend on the machine or the moment.
const DOCTOR_MASKS: &[(&str, &str)] = &[
    (r"\(\d+ bytes\)", "(N bytes)"),
    (r"\d+ MiB", "N MiB"),
    (r"limits of memory, CPU time and files; [^)]*\)", "limits of memory, CPU time and files; LANDLOCK)"),
    (r"'[^']*/repos/[^']*'", "'REPOSITORY'"),
    (r"[0-9a-f]{32}", "KEY"),
    (r"[0-9a-f]{8}-[0-9a-f-]{27}", "KEY"),
];

fn banner(server: &Process) -> String {
    let text = server.greeting.replace(server.address(), "HTTP_ADDRESS");
    let text = text.replace(&server.tcp().to_string(), "TCP_ADDRESS");
    mask(
        &text,
        &[
            (r"127\.0\.0\.1:\d+", "OPS_ADDRESS"),
            (r"setup#code=\S+", "setup#code=CODE"),
            (r#""setup_code":"[^"]+""#, r#""setup_code":"CODE""#),
        ],
    )
}

#[actix_web::test]
async fn start_banner_shows_addresses_and_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    let server = Process::start(directory.path()).await;
    assert_text("banner_without_administrator", &banner(&server));
    let code = server.greeting.split("setup#code=").nth(1).unwrap().split_whitespace().next().unwrap();
    let body = json!({"username": "alice", "password": PASSWORD, "setup_code": code});
    let registered = server.http.post("/api/users/register", &body).await.unwrap();
    assert_eq!(registered.status, 201, "{}", registered.body);
    server.stop().await;
    let server = Process::start(directory.path()).await;
    assert_text("banner", &banner(&server));
    server.stop().await;
}

#[actix_web::test]
async fn doctor_reports_each_check_and_each_finding() {
    if postgres::skips("netbit doctor checks netbit.db") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.hello_web("private").await;
    alice.group(&[]).await;
    let arguments = ["doctor"];
    let doctor = async |directory: &std::path::Path| {
        let all = ["doctor", "--data-dir", directory.to_str().unwrap()];
        let output = netbit(directory, &all, &[]).await;
        mask(&transcript(&arguments, &output), DOCTOR_MASKS)
    };
    assert_text("doctor_running", &doctor(server.path()).await);
    let repository = server.only_repository();
    let directory = server.stop_and_keep().await;
    assert_text("doctor", &doctor(directory.path()).await);

    // An orphan, and a repository without its directory.
    let orphan = repository.with_file_name(format!("{}.git", "0".repeat(32)));
    std::fs::rename(&repository, &orphan).unwrap();
    assert_text("doctor_missing_repository", &doctor(directory.path()).await);
    std::fs::rename(&orphan, &repository).unwrap();
    std::fs::write(repository.join("HEAD"), "nothing\n").unwrap();
    assert_text("doctor_damaged_repository", &doctor(directory.path()).await);

    let database = directory.path().join("netbit.db");
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[..100].fill(0x5a);
    std::fs::write(&database, bytes).unwrap();
    assert_text("doctor_damaged_database", &doctor(directory.path()).await);
}

#[actix_web::test]
async fn backup_and_restore_report_the_same_number_of_files() {
    if postgres::skips("netbit backup copies netbit.db") {
        return;
    }
    let server = TestServer::start().await;
    server.user("alice").await.hello_web("private").await;
    let directory = server.stop_and_keep().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let mut text = String::new();
    for (arguments, place) in [
        (&["backup", "copy"][..], data),
        (&["backup", "copy"], data),
        (&["backup", "--verify", "copy"], data),
        (&["restore", "copy"], "restored"),
        (&["restore", "copy"], "restored"),
    ] {
        let all = [arguments, &["--data-dir", place]].concat();
        text.push_str(&format!("{}\n", transcript(arguments, &netbit(elsewhere.path(), &all, &[]).await)));
    }
    std::fs::write(elsewhere.path().join("copy/netbit.db"), "x").unwrap();
    let damaged = ["backup", "--verify", "copy"];
    text.push_str(&transcript(&damaged, &netbit(elsewhere.path(), &damaged, &[]).await));
    let masks = [(r"\d+ bytes", "N bytes"), (r"commit \d+", "commit N"), (r"as of \S+", "as of TIME")];
    assert_text("backup_and_restore", &mask(&text, &masks));
}

/// Regression: `netbit top` read from the default address, also when the configuration named
/// another one.
#[actix_web::test]
async fn top_reads_from_the_configured_address() {
    if postgres::skips("the text has the size of netbit.db") {
        return;
    }
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    alice.say(chat, "hello").await;
    let ops = server.app.addresses.ops.to_string();
    let output = netbit(server.path(), &["top", "--once"], &[("NETBIT_OPS__LISTEN", &ops)]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).replace(&ops, "OPS_ADDRESS");
    // The rows of messages are sorted by load, and the colours of the bars depend on it.
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("  ") && !line.trim().is_empty())
        .collect::<Vec<_>>()
        .join("\n");
    let masks = [
        (r"[|▁▂▃▄▅▆▇█]+", ""),
        (r"\d+(?:[.,:/]\d+)*[a-zA-Zµ%]*", "N"),
        // A quantile without a value.
        (r"(?m) -( |$)", " N$1"),
        (r"[ ]{2,}", "  "),
        (r"(?m)[ ]+$", ""),
    ];
    assert_text("top_once", &mask(&lines, &masks));
    server.stop().await;
}
