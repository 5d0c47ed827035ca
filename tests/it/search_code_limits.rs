//! The limits of the search for code: what does not fit is stated, and found when it fits.

use serde_json::json;

use crate::harness::git::GitWorkdir;
use crate::harness::{Person, TestServer, until};

/// Returns the paths of the files found, and whether the search covers everything.
async fn found(person: &Person, query: &str) -> (Vec<String>, bool) {
    let answer = person.get(&format!("/api/search?q={query}&in=code&limit=100")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    let hits = answer.body["code"]["hits"].as_array().unwrap();
    let paths = hits.iter().map(|hit| hit["path"].as_str().unwrap().to_owned()).collect();
    (paths, answer.body.get("incomplete").is_none())
}

async fn finds(person: &Person, query: &str, paths: &[&str], is_complete: bool) {
    let mut last = (Vec::new(), false);
    let search = until(async || {
        last = found(person, query).await;
        last.0 == paths && last.1 == is_complete
    });
    if tokio::time::timeout(std::time::Duration::from_secs(25), search).await.is_err() {
        panic!("{query} finds {last:?} and not {paths:?}, {is_complete}");
    }
}

fn write(workdir: &GitWorkdir, file: &str, content: impl AsRef<[u8]>) {
    std::fs::write(workdir.path().join("work").join(file), content).unwrap();
}

async fn push_all(workdir: &GitWorkdir, url: &str) {
    workdir.git("work", &["add", "--all"]).await.ok();
    workdir.git("work", &["commit", "--quiet", "--allow-empty", "-m", "change"]).await.ok();
    workdir.git("work", &["push", "--quiet", "--force", url, "main"]).await.ok();
}

fn text(word: &str, bytes: usize) -> String {
    format!("{word}\n{}", "x".repeat(bytes))
}

/// A file without room was left out for good, and a later push hid that something is missing.
#[actix_web::test]
async fn files_without_room_are_found_when_others_are_removed() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
        limits.search_code_bytes = 100_000;
    })
    .await;
    let alice = server.user("alice").await;
    let url = server.url_as("alice", &alice.hello_web("private").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    // Files are added from the last path to the first.
    write(&workdir, "b", text("needle", 60_000));
    push_all(&workdir, &url).await;
    finds(&alice, "needle", &["b"], true).await;
    write(&workdir, "a", text("needle", 60_000));
    push_all(&workdir, &url).await;
    finds(&alice, "needle", &["b"], false).await;
    write(&workdir, "c", text("needle", 10));
    push_all(&workdir, &url).await;
    finds(&alice, "needle", &["c", "b"], false).await;
    // A file that is replaced makes room for its next version.
    write(&workdir, "b", text("noodle", 70_000));
    push_all(&workdir, &url).await;
    finds(&alice, "noodle", &["b"], false).await;
    std::fs::remove_file(workdir.path().join("work/b")).unwrap();
    push_all(&workdir, &url).await;
    finds(&alice, "needle", &["a", "c"], true).await;
    server.stop().await;
}

/// The time of an insert depends on the different trigrams: encoded data took seconds.
#[actix_web::test]
async fn encoded_data_is_not_searched_and_copies_are_bounded() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
        (limits.search_code_file_terms, limits.search_code_terms) = (400, 1_000);
        limits.search_step_terms = 100;
    })
    .await;
    let alice = server.user("alice").await;
    let url = server.url_as("alice", &alice.hello_web("private").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let digits = |count: u32| (0..count).map(|number| format!("{:08x}", number.wrapping_mul(2_654_435_761)));
    write(&workdir, "encoded", format!("needle {}", digits(2_000).collect::<String>()));
    write(&workdir, "plain", "needle");
    push_all(&workdir, &url).await;
    finds(&alice, "needle", &["plain"], true).await;
    for copy in 0..20 {
        write(&workdir, &format!("copy{copy:02}"), format!("noodle {}", digits(25).collect::<String>()));
    }
    push_all(&workdir, &url).await;
    until(async || {
        let (paths, is_complete) = found(&alice, "noodle").await;
        !is_complete && (3..=6).contains(&paths.len())
    })
    .await;
    server.stop().await;
}

#[actix_web::test]
async fn full_index_takes_no_code_until_it_has_room() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms, limits.search_lag_ms) = (false, 1, 1);
        limits.search_index_bytes = 1;
    })
    .await;
    let alice = server.user("alice").await;
    let url = server.url_as("alice", &alice.hello_web("private").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    write(&workdir, "a", "needle\n");
    push_all(&workdir, &url).await;
    finds(&alice, "needle", &[], false).await;
    until(async || server.operations("/metrics").await.1.contains("netbit_search_behind_repositories 1\n"))
        .await;
    let limits = |limits: &mut netbit::core::limits::Limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
    };
    let server = server.restart(|config| limits(&mut config.limits)).await;
    let alice = server.login("alice").await;
    finds(&alice, "needle", &["a"], true).await;
    server.stop().await;
}

/// With more than 64 readable repositories, rows of others took the rows of the caller's budget.
#[actix_web::test]
async fn rows_of_hidden_repositories_cost_no_row() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
        limits.search_rows = 20;
    })
    .await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    write(&workdir, "shown", "needle\n");
    alice.project("many", "private").await;
    for number in 0..70 {
        alice.repository("many", &format!("r{number}")).await;
    }
    push_all(&workdir, &server.url_as("alice", "alice/many/r3")).await;
    finds(&alice, "needle", &["shown"], true).await;
    for number in 0..40 {
        write(&workdir, &format!("hidden{number}"), "needle\n");
    }
    eve.project("own", "private").await;
    eve.repository("own", "r").await;
    push_all(&workdir, &server.url_as("eve", "eve/own/r")).await;
    until(async || !found(&eve, "needle").await.0.is_empty()).await;
    until(async || server.operations("/metrics").await.1.contains("netbit_search_behind_repositories 0\n"))
        .await;
    assert_eq!(found(&alice, "needle").await, (vec!["shown".to_owned()], true));
    server.stop().await;
}

/// A read that fails once is repeated, and the search states that something is missing.
#[actix_web::test]
async fn repository_that_cannot_be_read_is_read_again() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms, limits.search_compare_ms) = (false, 1, 300);
    })
    .await;
    let alice = server.user("alice").await;
    let url = server.url_as("alice", &alice.hello_web("private").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    push_all(&workdir, &url).await;
    finds(&alice, "hello", &["README"], true).await;
    let directory = server.only_repository();
    let away = workdir.path().join("away");
    std::fs::rename(&directory, &away).unwrap();
    finds(&alice, "hello", &[], false).await;
    std::fs::rename(&away, &directory).unwrap();
    finds(&alice, "hello", &["README"], true).await;
    write(&workdir, "a", "needle\n");
    push_all(&workdir, &url).await;
    finds(&alice, "needle", &["a"], true).await;
    assert_eq!(alice.get("/api/search?q=hello&in=code").await.body["code"]["hits"][0]["ref"], json!("main"));
    server.stop().await;
}
