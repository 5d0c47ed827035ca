//! Long histories over REST: every commit that `git log` lists is reachable.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::git::GitWorkdir;
use crate::harness::{Person, TestServer, soon};

const WEB: &str = "/api/projects/alice/hello/repos/web";
/// More commits than one walk loaded before commit-graphs existed.
const COMMITS: usize = 11_000;

/// Returns a fast-import stream: a main line with merged side branches, files that change often,
/// rarely and never, and two tags.
fn stream() -> String {
    let mut stream = String::new();
    let mut commit = |mark: usize, parents: &[usize], files: &[(&str, String)]| {
        let seconds = 1_500_000_000 + mark * 60;
        writeln!(
            stream,
            "commit refs/heads/main\nmark :{mark}\ncommitter Ann <ann@example.org> {seconds} +0000"
        )
        .unwrap();
        writeln!(stream, "data 2\nm\n").unwrap();
        for (number, parent) in parents.iter().enumerate() {
            writeln!(stream, "{} :{parent}", if number == 0 { "from" } else { "merge" }).unwrap();
        }
        for (path, text) in files {
            writeln!(stream, "M 100644 inline {path}\ndata {}\n{text}", text.len()).unwrap();
        }
        stream.push('\n');
    };
    let text = |mark: usize| mark.to_string();
    commit(1, &[], &["COPYING", "often", "a/rarely", "a/b/deep", "ü"].map(|path| (path, text(1))));
    let (mut main, mut mark) = (1, 1);
    while mark < COMMITS {
        let path = match mark {
            5_000 => "COPYING",
            mark if mark % 997 == 0 => "a/rarely",
            mark if mark % 499 == 0 => "ü",
            mark if mark % 11 == 0 => "a/b/deep",
            _ => "often",
        };
        let change = |mark: usize| [(path, text(mark))];
        if mark % 13 == 0 && mark + 2 < COMMITS {
            commit(mark + 1, &[main], &change(mark + 1));
            commit(mark + 2, &[main], &[("other", text(mark + 2))]);
            commit(mark + 3, &[mark + 1, mark + 2], &[("other", text(mark + 2))]);
            mark += 3;
        } else {
            mark += 1;
            commit(mark, &[main], &change(mark));
        }
        main = mark;
    }
    stream
}

/// Imports the stream into a bare repository.
fn import(at: &Path) {
    let git = || {
        let mut command = Command::new("git");
        command
            .arg("--git-dir")
            .arg(at)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command
    };
    assert!(git().args(["init", "--quiet", "-b", "main"]).status().unwrap().success());
    let mut child = git().args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), stream().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Follows `next` to the end and returns the ids, starting after a commit if it is given.
async fn all(alice: &Person, query: &str, after: Option<&String>) -> Vec<String> {
    let cursor = |after: &str| format!("&cursor={after}");
    let (mut found, mut cursor_of_page) = (Vec::new(), after.map_or(String::new(), |after| cursor(after)));
    loop {
        let page = alice.get(&format!("{WEB}/commits?limit=100{query}{cursor_of_page}")).await;
        assert_eq!((page.status, &page.body["truncated"]), (200, &Value::Bool(false)), "{}", page.body);
        found.extend(page.body["items"].as_array().unwrap().iter().map(|item| text(&item["oid"])));
        let Some(next) = page.body["next"].as_str() else { return found };
        cursor_of_page = cursor(next);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Regression: for the history of git itself, `/commits` ended at 9,878 of 81,966 commits without a
/// `next`. `?path=COPYING` found none of 2 commits, and entries had no last commit. A comparison of
/// distant tags had no merge base and no files.
#[actix_web::test]
async fn long_history_is_listed_completely_like_git_log() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let (workdir, url) = (GitWorkdir::new(), server.url_as("alice", &path));
    let at = workdir.path().join("work");
    soon(tokio::task::spawn_blocking(move || import(&at))).await.unwrap();
    let git = async |arguments: &[&str]| workdir.git("work", arguments).await.ok();
    let lines = |output: String| output.lines().map(str::to_owned).collect::<Vec<_>>();
    git(&["push", "--quiet", &url, "main"]).await;
    // After the push, the server writes a commit-graph. Until then, commits are read one by one.
    let graph = server.only_repository().join("objects/info/commit-graph");
    let written = async {
        while !std::fs::read(&graph).is_ok_and(|graph| graph.windows(4).any(|word| word == b"BDAT")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), written).await.unwrap();

    let history = lines(git(&["rev-list", "main"]).await);
    let first = alice.get(&format!("{WEB}/commits?limit=100")).await.body;
    assert_eq!(
        (&first["items"][99]["oid"], &first["next"]),
        (&history[99].as_str().into(), &history[99].as_str().into())
    );
    // Starts at the commit where the list used to end.
    assert_eq!(all(&alice, "", Some(&history[9_800])).await, history[9_801..]);
    for path in ["COPYING", "a/rarely", "a", "%C3%BC", "other", "none"] {
        let plain = path.replace("%C3%BC", "ü");
        let wanted = lines(git(&["log", "--format=%H", "main", "--", &plain]).await);
        assert_eq!(all(&alice, &format!("&path={path}"), None).await, wanted, "{path}");
    }
    for folder in ["", "/a"] {
        let tree = alice.get(&format!("{WEB}/tree/main{folder}?last_commit=true")).await.body;
        assert_eq!(tree["history_truncated"], false);
        for entry in tree["entries"].as_array().unwrap() {
            let wanted = git(&["log", "-1", "--format=%H", "main", "--", &text(&entry["path"])]).await;
            assert_eq!(entry["last_commit"]["oid"], wanted, "{entry}");
        }
    }
    for (base, head) in [(10_500, 0), (3, 10_900), (7, 6)] {
        let (base, head) = (&history[base], &history[head]);
        let seen = alice.get(&format!("{WEB}/compare/{base}...{head}")).await;
        assert_eq!(seen.status, 200, "{}", seen.body);
        let counts = git(&["rev-list", "--left-right", "--count", &format!("{base}...{head}")]).await;
        assert_eq!(format!("{}\t{}", seen.body["behind"], seen.body["ahead"]), counts);
        let bases = git(&["merge-base", "--all", base, head]).await;
        assert!(bases.contains(&text(&seen.body["merge_base"])), "{bases}: {}", seen.body["merge_base"]);
        let names =
            git(&["-c", "core.quotePath=false", "diff", "--name-only", &format!("{base}...{head}")]).await;
        let files: Vec<_> =
            seen.body["files"].as_array().unwrap().iter().map(|file| text(&file["path"])).collect();
        assert_eq!(files, lines(names), "{base}...{head}");
    }
    server.stop().await;
}
