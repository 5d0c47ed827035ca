//! The search for files and commits of default branches.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use netbit::actors::search::IndexComparison;
use netbit::protocol::packet::MessagePacket;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::harness::git::GitWorkdir;
use crate::harness::{PASSWORD, Person, Process, TestServer, assert_problem, eventually, soon, until};

fn path(query: &str, rest: &str) -> String {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/api/search?q={encoded}&limit=100{rest}")
}

async fn search(person: &Person, query: &str, rest: &str) -> Value {
    let found = person.get(&path(query, rest)).await;
    assert_eq!(found.status, 200, "{query}: {}", found.body);
    found.body
}

/// Returns `repository:path:number` of each line found, sorted.
async fn lines(person: &Person, query: &str) -> Vec<String> {
    let found = search(person, query, "&in=code").await;
    let mut lines = Vec::new();
    for hit in found["code"]["hits"].as_array().unwrap() {
        for line in hit["lines"].as_array().unwrap() {
            let text = |key: &str| hit[key].as_str().unwrap();
            lines.push(format!("{}:{}:{}", text("repository"), text("path"), line["number"]));
        }
    }
    lines.sort();
    lines
}

/// Returns the subjects of the commits found, the newest first.
async fn subjects(person: &Person, query: &str) -> Vec<String> {
    let found = search(person, query, "&in=commits").await;
    let hits = found["commits"]["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["subject"].as_str().unwrap().to_owned()).collect()
}

/// Waits until all that was pushed is indexed.
async fn indexed(person: &Person) {
    let is_whole = async || {
        let code = search(person, "anything", "&in=code").await;
        code.get("incomplete").is_none()
    };
    until(is_whole).await;
}

#[track_caller]
fn finds(person: &Person, query: &str, expected: &[&str]) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let mut last = Vec::new();
        let found = until(async || {
            last = lines(person, query).await;
            last == expected
        });
        if tokio::time::timeout(std::time::Duration::from_secs(25), found).await.is_err() {
            panic!("{caller}: {query} finds {last:?} and not {expected:?}");
        }
    }
}

async fn server() -> TestServer {
    TestServer::with_limits(|limits| (limits.rates, limits.search_delay_ms) = (false, 1)).await
}

fn write(workdir: &GitWorkdir, file: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let path = workdir.path().join("work").join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

async fn commit_all(workdir: &GitWorkdir, message: &str) {
    workdir.git("work", &["add", "--all"]).await.ok();
    workdir.git("work", &["commit", "--quiet", "--allow-empty", "-m", message]).await.ok();
}

async fn push(workdir: &GitWorkdir, url: &str, refspec: &str) {
    workdir.git("work", &["push", "--quiet", "--force", url, refspec]).await.ok();
}

#[actix_web::test]
async fn pushed_code_and_commits_are_found_and_shown() {
    let server = server().await;
    let alice = server.user("alice").await;
    let repository = alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    write(&workdir, "src/main.rs", "use std::fs;\n\nfn main() {\n    fs::read(\"größe\");\n}\n");
    write(&workdir, "src/lib.py", "def main():\n    pass\n");
    commit_all(&workdir, "parser: keep sess.opts\n\nThe cause was a race.").await;
    push(&workdir, &server.url_as("alice", &repository), "main").await;
    finds(&alice, "fn main", &["alice/hello/web:src/main.rs:3"]).await;
    for (query, expected) in [
        ("\"fn main\"", vec!["src/main.rs:3"]),
        ("main()", vec!["src/lib.py:1", "src/main.rs:3"]),
        ("MAIN()", vec![]),
        ("Use", vec![]),
        ("use", vec!["src/main.rs:1"]),
        ("std::fs;", vec!["src/main.rs:1"]),
        ("größe", vec!["src/main.rs:4"]),
        ("ße", vec!["src/main.rs:4"]),
        ("main lang:rust", vec!["src/main.rs:3"]),
        ("main path:*.py", vec!["src/lib.py:1"]),
        ("main path:src/", vec!["src/lib.py:1", "src/main.rs:3"]),
        ("main path:lib/", vec![]),
        ("main repo:web", vec!["src/lib.py:1", "src/main.rs:3"]),
        ("main repo:Alice/Hello/WEB lang:py", vec!["src/lib.py:1"]),
        ("main repo:hell/web", vec![]),
        ("main repo:x/alice/hello/web", vec![]),
        ("main -pass", vec!["src/main.rs:3"]),
        ("hello", vec!["README:1"]),
    ] {
        let expected: Vec<_> = expected.iter().map(|line| format!("alice/hello/web:{line}")).collect();
        assert_eq!(lines(&alice, query).await, expected, "{query}");
    }
    let found = search(&alice, "größe", "").await;
    let hit = &found["code"]["hits"][0];
    assert_eq!((&hit["ref"], &hit["line_count"]), (&json!("main"), &json!(1)));
    assert_eq!(hit["commit_oid"], json!(workdir.head("work").await));
    assert_eq!(
        hit["lines"][0],
        json!({"number": 4, "text": "    fs::read(\"größe\");", "highlights": [[14, 19]]})
    );
    assert!(found.get("incomplete").is_none() && found["messages"]["hits"].is_array(), "{found}");

    for query in
        ["sess.op", "race from:someone", "parser repo:web", "race after:2020-01-01", "someone parser"]
    {
        assert_eq!(subjects(&alice, query).await, ["parser: keep sess.opts"], "{query}");
    }
    for query in ["race before:2020-01-01", "race from:bob", "race repo:other", "race -parser"] {
        assert_eq!(subjects(&alice, query).await, [""; 0], "{query}");
    }
    assert_eq!(subjects(&alice, "repo:hello/web").await, ["parser: keep sess.opts", "first commit"]);
    let found = search(&alice, "race", "&in=commits").await;
    let hit = &found["commits"]["hits"][0];
    assert_eq!((&hit["author"], &hit["repository"]), (&json!("Someone"), &json!("alice/hello/web")));
    assert_eq!(hit["excerpt"], json!("parser: keep sess.opts\n\nThe cause was a race.\n"));
    assert_eq!(hit["highlights"], json!([[40, 44]]));

    let asked = MessagePacket {
        packet_type: "Search".into(),
        q: Some("largest größe".into()),
        groups: Some("code,commits".into()),
        ..MessagePacket::default()
    };
    let mut session = alice.tcp().await;
    let answer = soon(session.ask(asked)).await.unwrap();
    let results = answer.results.unwrap();
    assert_eq!((results.code.unwrap().hits.len(), results.messages), (0, None));
    server.stop().await;
}

#[actix_web::test]
async fn search_covers_exactly_the_repositories_that_the_caller_reads() {
    let server = server().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    for (person, project, visibility) in
        [(&alice, "open", "public"), (&alice, "team", "private"), (&bob, "own", "private")]
    {
        person.project(project, visibility).await;
        person.repository(project, "r").await;
        let workdir = GitWorkdir::new();
        workdir.repository("work").await;
        write(&workdir, "secret.txt", format!("needle of {project}\n"));
        commit_all(&workdir, &format!("needle for {project}")).await;
        push(&workdir, &server.url_as(&person.name, &format!("{}/{project}/r", person.name)), "main").await;
    }
    let (open, team, own) =
        ("alice/open/r:secret.txt:1", "alice/team/r:secret.txt:1", "bob/own/r:secret.txt:1");
    finds(&alice, "needle", &[open, team]).await;
    finds(&bob, "needle", &[open, own]).await;
    finds(&eve, "needle", &[open]).await;
    indexed(&eve).await;
    assert_eq!(subjects(&eve, "needle").await, ["needle for open"]);
    for query in ["needle repo:alice/team/r", "needle repo:own/r", "\"needle of team\"", "needle team"] {
        assert_eq!(lines(&eve, query).await, [""; 0], "{query}");
        let found = search(&eve, query, "&in=code").await;
        assert!(found.get("incomplete").is_none() && found["code"].get("next").is_none(), "{found}");
    }
    // A member finds everything from that moment on, and nothing after the end of the membership.
    alice.member("team", "eve", "reader").await;
    assert_eq!(lines(&eve, "needle").await, [open, team]);
    assert_eq!(alice.delete("/api/projects/alice/team/members/eve").await.status, 204);
    assert_eq!(lines(&eve, "needle").await, [open]);
    assert_eq!(subjects(&eve, "needle").await, ["needle for open"]);
    assert_eq!(alice.patch("/api/projects/alice/open", json!({"visibility": "private"})).await.status, 200);
    assert_eq!(lines(&eve, "needle").await, [""; 0]);

    // Tokens need the scope that reading repositories needs.
    for (scope, expected) in [("repo:read", 2), ("chat:read", 0)] {
        let (_, token) = alice.access_token(json!({"name": scope, "scopes": [scope]})).await;
        let found = token.get(&path("needle", "&in=code,commits")).await.unwrap();
        assert_eq!(found.status, 200, "{}", found.body);
        assert_eq!(found.body["code"]["hits"].as_array().unwrap().len(), expected, "{scope}");
        assert_eq!(found.body["commits"]["hits"].as_array().unwrap().len(), expected, "{scope}");
    }
    let (_, token) = alice.access_token(json!({"name": "t", "scopes": ["repo:read"]})).await;
    assert_problem(&token.get(&path("needle", "")).await.unwrap(), 403, "forbidden");
    assert_problem(&token.get(&path("needle", "&in=messages,code")).await.unwrap(), 403, "forbidden");
    let repositories = json!(["alice/team/r"]);
    let body = json!({"name": "one", "scopes": ["repo:read"], "repositories": repositories});
    let (_, token) = alice.access_token(body).await;
    let found = token.get(&path("needle", "&in=code")).await.unwrap();
    assert_eq!(found.body["code"]["hits"].as_array().unwrap().len(), 1, "{}", found.body);
    assert_problem(&server.http.get(&path("needle", "&in=code")).await.unwrap(), 401, "unauthenticated");
    server.stop().await;
}

/// Other servers show hits of the earlier default branch.
#[actix_web::test]
async fn only_the_present_default_branch_is_searched() {
    let server = server().await;
    let alice = server.user("alice").await;
    let repository = alice.hello_web("private").await;
    let url = server.url_as("alice", &repository);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    write(&workdir, "a.txt", "apples\n");
    write(&workdir, "b.txt", "pears\n");
    commit_all(&workdir, "apples and pears").await;
    push(&workdir, &url, "main").await;
    finds(&alice, "apples", &["alice/hello/web:a.txt:1"]).await;
    // A deleted file, and one with another text.
    std::fs::remove_file(workdir.path().join("work/a.txt")).unwrap();
    write(&workdir, "b.txt", "plums\n");
    commit_all(&workdir, "plums").await;
    push(&workdir, &url, "main").await;
    for query in ["apples", "pears"] {
        assert_eq!(lines(&alice, query).await, [""; 0], "{query} at once");
    }
    finds(&alice, "plums", &["alice/hello/web:b.txt:1"]).await;
    assert_eq!(subjects(&alice, "apples").await, ["apples and pears"]);
    // Another branch becomes the default branch.
    workdir.git("work", &["checkout", "--quiet", "--orphan", "other"]).await.ok();
    write(&workdir, "b.txt", "cherries\n");
    commit_all(&workdir, "cherries").await;
    push(&workdir, &url, "other").await;
    let api = "/api/projects/alice/hello/repos/web";
    assert_eq!(alice.patch(api, json!({"default_branch": "other"})).await.status, 200);
    assert_eq!(lines(&alice, "plums").await, [""; 0]);
    assert_eq!(subjects(&alice, "plums").await, [""; 0]);
    finds(&alice, "cherries", &["alice/hello/web:b.txt:1"]).await;
    assert_eq!(subjects(&alice, "cherries").await, ["cherries"]);
    // A force push removes commits.
    workdir.git("work", &["commit", "--quiet", "--amend", "--allow-empty", "-m", "grapes"]).await.ok();
    push(&workdir, &url, "other").await;
    assert_eq!(subjects(&alice, "cherries").await, [""; 0]);
    until(async || subjects(&alice, "grapes").await == ["grapes"]).await;
    // A repository with another name, and in another place.
    assert_eq!(alice.patch(api, json!({"name": "site"})).await.status, 200);
    finds(&alice, "cherries", &["alice/hello/site:b.txt:1"]).await;
    assert_eq!(alice.delete("/api/projects/alice/hello/repos/site").await.status, 204);
    assert_eq!(lines(&alice, "cherries").await, [""; 0]);
    until(async || server.operations("/metrics").await.1.contains("netbit_search_behind_repositories 0\n"))
        .await;
    server.stop().await;
}

#[actix_web::test]
async fn files_that_are_not_text_or_too_large_are_left_out() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
        (limits.search_step_rows, limits.search_step_bytes) = (3, 1_000);
    })
    .await;
    let alice = server.user("alice").await;
    let repository = alice.hello_web("private").await;
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    write(&workdir, "binary", b"needle\0");
    write(&workdir, "late", [vec![b'x'; 8_000], b"\nneedle\0".to_vec()].concat());
    write(&workdir, "latin1.txt", b"caf\xe9 needle\n");
    write(&workdir, "full", [b"needle\n".to_vec(), vec![b'x'; 1_048_576 - 7]].concat());
    write(&workdir, "over", [b"needle\n".to_vec(), vec![b'x'; 1_048_576 - 6]].concat());
    write(&workdir, "many", "needle\r\n".repeat(40));
    write(&workdir, "empty", "");
    std::os::unix::fs::symlink("needle", workdir.path().join("work/link")).unwrap();
    commit_all(&workdir, "files").await;
    push(&workdir, &server.url_as("alice", &repository), "main").await;
    let web = |rest: &str| format!("alice/hello/web:{rest}");
    let mut expected: Vec<_> = ["full:1", "late:2", "latin1.txt:1"].into_iter().map(web).collect();
    expected.extend((1..=5).map(|number| web(&format!("many:{number}"))));
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    finds(&alice, "needle", &expected).await;
    let found = search(&alice, "needle path:many", "&in=code").await;
    assert_eq!(found["code"]["hits"][0]["line_count"], json!(40));
    let found = search(&alice, "\" needle\"", "&in=code").await;
    assert_eq!(found["code"]["hits"][0]["lines"][0]["text"], json!("caf\u{fffd} needle"));
    for (query, reason) in [
        ("ab", "at least 3 characters"),
        ("path:src", "at least 3 characters"),
        ("needle from:alice", "cannot have from:"),
        ("needle in:dev", "cannot have from:, in:"),
        ("needle lang:klingon", "lang: needs"),
    ] {
        let refused = alice.get(&path(query, "&in=code")).await;
        assert_problem(&refused, 422, "validation");
        assert!(refused.body.to_string().contains(reason), "{query}: {}", refused.body);
    }
    // Of several groups, those that cannot answer are absent.
    let found = search(&alice, "ab", "").await;
    assert!(found.get("code").is_none() && found["messages"].is_object() && found["commits"].is_object());
    let found = search(&alice, "needle path:full", "").await;
    assert!(found.get("messages").is_none() && found.get("commits").is_none(), "{found}");
    assert_problem(&alice.get(&path("needle path:x", "&in=messages,people")).await, 422, "validation");
    assert_problem(&alice.get(&path("needle", "&in=wiki")).await, 400, "bad_request");
    indexed(&alice).await;
    server.stop().await;
}

#[actix_web::test]
async fn pages_of_a_code_search_are_complete_and_disjoint() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
        (limits.search_checked, limits.search_rows) = (30, 11);
    })
    .await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    for number in 0..50 {
        write(&workdir, format!("{number:02}.txt"), format!("needle {number}\n"));
    }
    commit_all(&workdir, "needles").await;
    for (person, project) in [(&alice, "one"), (&eve, "hidden"), (&alice, "two")] {
        person.project(project, "private").await;
        person.repository(project, "r").await;
        push(&workdir, &server.url_as(&person.name, &format!("{}/{project}/r", person.name)), "main").await;
    }
    // Three repositories, each with 51 files.
    until(async || server.operations("/metrics").await.1.contains("netbit_search_indexed_files_total 153\n"))
        .await;
    let (mut seen, mut cursor, mut cursors) = (Vec::new(), String::new(), Vec::new());
    for _ in 0..200 {
        let found = alice.get(&format!("/api/search?q=needle&in=code&limit=7{cursor}")).await.body;
        for hit in found["code"]["hits"].as_array().unwrap() {
            seen.push(format!("{}:{}", hit["repository"].as_str().unwrap(), hit["path"].as_str().unwrap()));
        }
        let Some(next) = found["code"]["next"].as_str() else { break };
        cursors.push(next.to_owned());
        cursor = format!("&cursor={next}");
    }
    let all: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!((seen.len(), all.len()), (100, 100), "{seen:?}");
    let of_one: Vec<_> = seen.iter().filter(|hit| hit.starts_with("alice/one/")).collect();
    assert!(of_one.is_sorted(), "the files of a repository are in order: {of_one:?}");
    // A cursor is for its user, query and group.
    let other = &cursors[0];
    for path in [
        format!("/api/search?q=needles&in=code&cursor={other}"),
        format!("/api/search?q=needle&in=commits&cursor={other}"),
        format!("/api/search?q=needle&in=messages&cursor={other}"),
    ] {
        assert_problem(&alice.get(&path).await, 400, "bad_request");
    }
    let foreign = eve.get(&format!("/api/search?q=needle&in=code&cursor={other}")).await;
    assert_problem(&foreign, 400, "bad_request");
    server.stop().await;
}

/// Random edits, force pushes, changes of the default branch, restarts and kills: at the end, the
/// index equals `git ls-tree` and `git rev-list`.
#[actix_web::test]
async fn index_equals_the_branch_after_random_pushes_and_kills() {
    let seed = std::env::var("NETBIT_SEARCH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    println!("NETBIT_SEARCH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let environment = [
        ("NETBIT_LIMITS__SEARCH_DELAY_MS", "5"),
        ("NETBIT_LIMITS__SEARCH_STEP_ROWS", "2"),
        ("NETBIT_LIMITS__RATES", "false"),
    ];
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let names = ["a", "b/c", "b/d", "b/e/f", "g h", "ü", "x.rs"];
    for round in 0..3 {
        let mut server = Process::with(directory.path(), &environment).await;
        if round == 0 {
            server.http.register("alice", PASSWORD).await.unwrap();
        }
        let account = server.http.login("alice", PASSWORD).await.unwrap();
        let alice = server.http.with_token(account.token);
        if round == 0 {
            for (path, body) in [
                ("/api/projects/create", json!({"name": "hello"})),
                ("/api/projects/alice/hello/repos/create", json!({"name": "web"})),
            ] {
                assert_eq!(alice.post(path, &body).await.unwrap().status, 201);
            }
        }
        let url =
            format!("http://alice:{}@{}/alice/hello/web", PASSWORD.replace(' ', "%20"), server.address());
        for _ in 0..8 {
            for _ in 0..random.random_range(1..4) {
                let name = names.choose(&mut random).unwrap();
                let file = workdir.path().join("work").join(name);
                if random.random_bool(0.3) {
                    let _ = std::fs::remove_file(&file);
                } else {
                    write(&workdir, name, format!("marker{}\n", random.random_range(0..5)));
                }
            }
            commit_all(&workdir, &format!("change {}", random.random_range(0..1_000_000))).await;
            if random.random_bool(0.25) {
                workdir.git("work", &["reset", "--quiet", "--hard", "HEAD~1"]).await.ok();
            }
            let branch = if random.random_bool(0.3) { "next" } else { "main" };
            push(&workdir, &url, &format!("HEAD:{branch}")).await;
            if random.random_bool(0.4) {
                let body = json!({"default_branch": branch});
                let changed = alice
                    .send(reqwest::Method::PATCH, "/api/projects/alice/hello/repos/web", Some(&body), &[])
                    .await;
                assert_eq!(changed.unwrap().status, 200);
            }
        }
        if round % 2 == 0 { server.kill() } else { server.stop().await }
    }
    let limits = netbit::core::limits::Limits { rates: false, ..Default::default() };
    let server = TestServer::run(crate::harness::config(directory.path(), limits), directory).await;
    assert_eq!(server.app.services.compare_search_index().await, IndexComparison::Differences(Vec::new()));
    let alice = server.login("alice").await;
    indexed(&alice).await;
    let head = alice.get("/api/projects/alice/hello/repos/web").await.body;
    let branch = head["default_branch"].as_str().unwrap();
    let bare = server.only_repository();
    let git = async |arguments: &[&str]| {
        let bare = bare.to_str().unwrap();
        workdir.git("", &[&["-C", bare], arguments].concat()).await.ok()
    };
    let listed = git(&["grep", "-z", "-l", "marker", branch]).await;
    let expected: BTreeSet<_> =
        listed.split('\0').filter_map(|path| path.split_once(':')).map(|(_, path)| path.to_owned()).collect();
    let found: BTreeSet<_> = lines(&alice, "marker")
        .await
        .iter()
        .map(|line| line.strip_prefix("alice/hello/web:").unwrap().strip_suffix(":1").unwrap().to_owned())
        .collect();
    assert_eq!(found, expected);
    let commits = git(&["rev-list", "--count", branch]).await;
    let found = eventually(async || {
        let found = search(&alice, "repo:web", "&in=commits").await;
        found.get("incomplete").is_none().then_some(found)
    });
    assert_eq!(found.await["commits"]["hits"].as_array().unwrap().len().to_string(), commits);
    server.stop().await;
}

/// Names that no editor writes, nested folders, more files than the limit, and broken commits.
#[actix_web::test]
async fn hostile_repository_is_searched_within_limits() {
    let server = TestServer::with_limits(|limits| {
        (limits.rates, limits.search_delay_ms) = (false, 1);
        limits.search_code_files = 300;
    })
    .await;
    let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
    let workdir = GitWorkdir::new();
    workdir.repository("work").await;
    let deep = vec!["d"; 100].join("/");
    let names: [&[u8]; 6] = [b"new\nline", b"quo\"te'", b"caf\xe9", b"-n", b"\x1b[2J", b"' OR 1=1; --"];
    for name in names {
        write(&workdir, std::ffi::OsStr::from_bytes(name), "needle\n");
    }
    write(&workdir, format!("{deep}/file"), "needle\n");
    commit_all(&workdir, "names \u{1b}[2J <script>").await;
    mallory.hello_web("public").await;
    push(&workdir, &server.url_as("mallory", "mallory/hello/web"), "main").await;
    until(async || lines(&alice, "needle").await.len() == 7).await;
    let found = search(&alice, "needle", "&in=code").await;
    let mut paths: Vec<_> =
        found["code"]["hits"].as_array().unwrap().iter().map(|hit| hit["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    let file = format!("{deep}/file");
    let mut expected = vec!["new\nline", "quo\"te'", "caf%E9", "-n", "\u{1b}[2J", "' OR 1=1; --", &file];
    expected.sort_unstable();
    assert_eq!(paths, expected);
    // Each file can be read at the path of its hit.
    for path in ["caf%25E9", "quo%22te%27", "new%0Aline"] {
        let read = alice.get(&format!("/api/projects/mallory/hello/repos/web/blob/main/{path}")).await;
        assert_eq!(read.status, 200, "{path}: {}", read.body);
    }
    // More files than the limit: the rest is searched, and the search is not complete.
    for number in 0..400 {
        write(&workdir, format!("many/{number}"), "grain\n");
    }
    commit_all(&workdir, "many").await;
    push(&workdir, &server.url_as("mallory", "mallory/hello/web"), "main").await;
    let cut = eventually(async || {
        let found = search(&alice, "grain", "&in=code").await;
        (found["code"]["hits"].as_array().unwrap().len() == 100).then_some(found)
    });
    assert_eq!(cut.await["incomplete"], json!(["code"]));
    // Other repositories are searched completely.
    alice.project("own", "private").await;
    alice.repository("own", "r").await;
    let own = GitWorkdir::new();
    own.repository("work").await;
    push(&own, &server.url_as("alice", "alice/own/r"), "main").await;
    finds(&alice, "hello repo:own/r", &["alice/own/r:README:1"]).await;
    assert!(search(&alice, "hello repo:own/r", "&in=code").await.get("incomplete").is_none());
    server.stop().await;
}
