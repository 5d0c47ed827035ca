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

/// After some steps the plan was made again, and began with the files without room: others and all
/// commits never came.
#[actix_web::test]
async fn repository_without_room_is_indexed_to_its_end() {
    let begin = |limits: &mut netbit::core::limits::Limits| {
        (limits.rates, limits.search_delay_ms, limits.search_step_rows) = (false, 1, 1);
        limits.search_code_bytes = 10_000;
    };
    let server = TestServer::with_limits(begin).await;
    let alice = server.user("alice").await;
    let url = server.url_as("alice", &alice.hello_web("private").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    // More than the steps of a turn.
    for number in 0..300 {
        write(&workdir, &format!("file{number:03}"), text("needle", 900));
    }
    push_all(&workdir, &url).await;
    let idle = async |server: &TestServer| {
        until(async || {
            server.operations("/metrics").await.1.contains("netbit_search_behind_repositories 0\n")
        })
        .await;
    };
    let commits = async |person: &Person| {
        let found = person.get("/api/search?q=change&in=commits").await.body;
        (found["commits"]["hits"].as_array().unwrap().len(), found.get("incomplete").is_none())
    };
    until(async || commits(&alice).await.0 == 1).await;
    idle(&server).await;
    let (paths, is_complete) = found(&alice, "needle").await;
    assert!(!is_complete && (9..=11).contains(&paths.len()), "{paths:?}");
    // Only files are missing.
    assert_eq!(commits(&alice).await, (1, true));
    // A limit that is raised later has an effect.
    let server = server
        .restart(|config| {
            begin(&mut config.limits);
            (config.limits.search_code_bytes, config.limits.search_step_rows) = (1_000_000, 200);
        })
        .await;
    let alice = server.login("alice").await;
    until(async || found(&alice, "needle").await.0.len() == 100).await;
    idle(&server).await;
    assert_eq!(found(&alice, "needle path:file29").await.0.len(), 10);
    assert!(found(&alice, "needle path:file29").await.1);
    server.stop().await;
}

fn digits(count: u32) -> String {
    (0..count).map(|number| format!("{:08x}", number.wrapping_mul(2_654_435_761))).collect()
}

/// The time of an insert depends on the different trigrams. A dense file has none in the index, and
/// was not found.
#[actix_web::test]
async fn dense_files_are_found_after_others_and_bounded() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
        (limits.search_code_file_terms, limits.search_code_dense_bytes) = (400, 50_000);
        (limits.search_ms, limits.search_code_check_ms) = (10_000, 10_000);
        limits.search_step_terms = 100;
    })
    .await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    let url = server.url_as("alice", &alice.hello_web("private").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let encoded = |word: &str| format!("{word} {}", digits(2_000));
    write(&workdir, "encoded", encoded("needle"));
    write(&workdir, "plain", "needle");
    push_all(&workdir, &url).await;
    finds(&alice, "needle", &["plain", "encoded"], true).await;
    finds(&alice, "noodle", &[], true).await;
    finds(&alice, "needle path:enc", &["encoded"], true).await;
    // Dense files of a hidden repository neither are found nor take a place on a page.
    eve.project("own", "private").await;
    eve.repository("own", "r").await;
    let hidden = GitWorkdir::new();
    hidden.repository("work").await;
    for name in ["hidden1", "hidden2"] {
        write(&hidden, name, encoded("needle"));
    }
    push_all(&hidden, &server.url_as("eve", "eve/own/r")).await;
    finds(&eve, "needle", &["hidden2", "hidden1"], true).await;
    assert_eq!(found(&alice, "needle").await, (vec!["plain".to_owned(), "encoded".to_owned()], true));
    // Of more than have room, some are found; the search states that others are missing.
    for name in ["a", "b", "c"] {
        write(&workdir, name, encoded("needle"));
    }
    push_all(&workdir, &url).await;
    finds(&alice, "needle", &["plain", "encoded", "c", "b"], false).await;
    // A place that is free again is used.
    std::fs::remove_file(workdir.path().join("work/encoded")).unwrap();
    write(&workdir, "b", "needle");
    push_all(&workdir, &url).await;
    finds(&alice, "needle", &["b", "plain", "c", "a"], true).await;
    server.stop().await;
}

#[actix_web::test]
async fn pages_of_a_search_continue_into_dense_files() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
        (limits.search_code_file_terms, limits.search_code_dense_checked_bytes) = (400, 3_000);
        (limits.search_ms, limits.search_code_check_ms) = (10_000, 10_000);
    })
    .await;
    let alice = server.user("alice").await;
    let url = server.url_as("alice", &alice.hello_web("private").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let mut expected = std::collections::BTreeSet::new();
    for number in 0..10 {
        for (name, word, rest) in [("plain", "needle", String::new()), ("dense", "needle", digits(200))] {
            expected.insert(format!("{name}{number}"));
            write(&workdir, &format!("{name}{number}"), format!("{word} {rest}"));
        }
        write(&workdir, &format!("other{number}"), format!("noodle {}", digits(200)));
    }
    push_all(&workdir, &url).await;
    until(async || found(&alice, "needle path:plain").await.0.len() == 10).await;
    until(async || server.operations("/metrics").await.1.contains("netbit_search_behind_repositories 0\n"))
        .await;
    for limit in [1, 3, 7, 100] {
        let (mut paths, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let address = format!("/api/search?q=needle&in=code&limit={limit}{cursor}");
            let page = alice.get(&address).await.body;
            let hits = page["code"]["hits"].as_array().unwrap();
            paths.extend(hits.iter().map(|hit| hit["path"].as_str().unwrap().to_owned()));
            pages += 1;
            let Some(next) = page["code"]["next"].as_str() else { break };
            // Two dense files are read for each page.
            assert!(pages < 60 && (page.get("incomplete").is_some() || hits.len() == limit), "{page}");
            cursor = format!("&cursor={next}");
        }
        assert!(pages >= 8, "{pages} pages");
        assert_eq!(paths.len(), 20, "limit {limit}");
        assert!(paths[..10].iter().all(|path| path.starts_with("plain")), "{paths:?}");
        assert_eq!(paths.into_iter().collect::<std::collections::BTreeSet<_>>(), expected);
    }
    server.stop().await;
}

/// The time of an insert depends on the different trigrams: of many copies, some are left out.
#[actix_web::test]
async fn copies_of_a_file_are_bounded() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
        (limits.search_code_terms, limits.search_step_terms) = (1_000, 100);
    })
    .await;
    let alice = server.user("alice").await;
    let url = server.url_as("alice", &alice.hello_web("private").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    for copy in 0..20 {
        write(&workdir, &format!("copy{copy:02}"), format!("noodle {}", digits(25)));
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

/// An ordinary push hid that commits were missing.
#[actix_web::test]
async fn missing_commits_are_stated_after_further_pushes() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
        limits.search_ms = 10_000;
    })
    .await;
    let alice = server.user("alice").await;
    let url = server.url_as("alice", &alice.hello_web("private").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    write(&workdir, "a", "1");
    push_all(&workdir, &url).await;
    let first = workdir.git("work", &["rev-parse", "HEAD"]).await.ok().trim().to_owned();
    // Later commits have nothing of the first but its id.
    workdir.git("work", &["rm", "--quiet", "-r", "."]).await.ok();
    write(&workdir, "a", "2");
    push_all(&workdir, &url).await;
    let server = server
        .restart(|config| {
            std::fs::remove_file(config.data_dir.0.join("search.db")).unwrap();
            // The first push is a pack of its own.
            let has_first = |index: &std::path::PathBuf| {
                let listed = std::process::Command::new("git")
                    .args(["show-index"])
                    .stdin(std::fs::File::open(index).unwrap())
                    .output();
                String::from_utf8(listed.unwrap().stdout).unwrap().contains(&first)
            };
            let mut indexes = all_below(&config.data_dir.0);
            indexes.retain(|path| path.extension().is_some_and(|end| end == "idx") && has_first(path));
            assert_eq!(indexes.len(), 1);
            std::fs::remove_file(&indexes[0]).unwrap();
            std::fs::remove_file(indexes[0].with_extension("pack")).unwrap();
            (config.limits.rates, config.limits.search_delay_ms) = (false, 1);
            config.limits.search_ms = 10_000;
        })
        .await;
    let alice = server.login("alice").await;
    let commits = async || {
        let found = alice.get("/api/search?q=change&in=commits").await.body;
        (found["commits"]["hits"].as_array().map_or(0, Vec::len), found.get("incomplete").is_none())
    };
    until(async || commits().await == (1, false)).await;
    let url = server.url_as("alice", "alice/hello/web");
    write(&workdir, "a", "3");
    push_all(&workdir, &url).await;
    until(async || commits().await.0 == 2).await;
    assert_eq!(commits().await, (2, false));
    server.stop().await;
}

fn all_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(all_below(&path)) } else { found.push(path) }
    }
    found
}
