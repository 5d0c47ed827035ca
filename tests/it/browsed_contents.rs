//! Repository contents over REST, compared with the output of git.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::browsing::{WEB, World, blocking, commit, every_route, git, header, run, write};
use crate::harness::{TestServer, assert_problem};

/// Follows the `Link` headers to the last page. Every page has at most two items.
async fn all_pages(world: &World, path: &str, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = Some(format!("{WEB}{path}"));
    while let Some(path) = next {
        let answer = world.alice.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let items = answer.body["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        found.extend(items.iter().map(|item| item[key].as_str().unwrap().to_owned()));
        next = answer.header("link").map(|link| link[1..link.find('>').unwrap()].to_owned());
        assert_eq!(next.is_some(), answer.body["next"].is_string());
    }
    found
}

#[actix_web::test]
async fn pages_of_branches_tags_and_commits_list_each_item_once() {
    let world = World::start("private").await;
    let lines = |arguments: &[&str]| world.git(arguments).lines().map(str::to_owned).collect::<Vec<_>>();
    let branches = lines(&["for-each-ref", "--format=%(refname:strip=2)", "refs/heads"]);
    assert_eq!(all_pages(&world, "/branches?limit=2", "name").await, branches);
    assert_eq!(all_pages(&world, "/tags?limit=2", "name").await, ["light", "v1.0"]);
    assert_eq!(all_pages(&world, "/tags?limit=1", "name").await, ["light", "v1.0"]);
    assert_eq!(all_pages(&world, "/commits?limit=2", "oid").await, lines(&["log", "--format=%H"]));
    assert_eq!(
        all_pages(&world, "/commits?limit=1&path=src/main.rs&ref=light", "oid").await,
        lines(&["log", "--format=%H", "light", "--", "src/main.rs"])
    );
    let main = &world.json("/branches").await["items"];
    let main = main.as_array().unwrap().iter().find(|branch| branch["name"] == "main").unwrap();
    assert_eq!((&main["default"], &main["summary"]), (&json!(true), &json!("Third")));
    let tag = &world.json("/tags").await["items"][1];
    assert_eq!((&tag["message"], &tag["oid"]), (&json!("One\n"), &json!(world.git(&["rev-parse", "light"]))));
    for bad in ["/branches?limit=0", "/tags?limit=101", "/commits?cursor=main", "/commits?ref="] {
        assert_problem(&world.alice.get(&format!("{WEB}{bad}")).await, 400, "bad_request");
    }
    let stranger = "/commits?cursor=1111111111111111111111111111111111111111";
    assert_problem(&world.alice.get(&format!("{WEB}{stranger}")).await, 400, "bad_request");
    world.stop().await;
}

#[actix_web::test]
async fn folders_and_files_match_git() {
    let world = World::start("private").await;
    let tree = world.json("/tree?last_commit=true").await;
    assert_eq!(tree["commit_oid"], world.git(&["rev-parse", "main"]));
    let names: BTreeSet<_> =
        tree["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    let listed = world.git(&["-c", "core.quotePath=false", "ls-tree", "--name-only", "-z", "main"]);
    assert_eq!(names, listed.split('\0').filter(|name| !name.is_empty()).collect());
    let last = |name: &str| {
        let entry = tree["entries"].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap();
        entry["last_commit"]["summary"].clone()
    };
    assert_eq!(
        (last("src"), last("README.md"), last("-n")),
        (json!("Third"), json!("Second"), json!("First"))
    );
    assert_eq!(world.json("/tree/main").await["oid"], tree["oid"]);
    assert_eq!(world.json("/tree/main/").await["oid"], tree["oid"]);
    assert_eq!(world.json("/tree/topic/src").await["entries"][1]["path"], "src/topic.rs");

    let blob = world.json("/blob/main/src/main.rs").await;
    assert_eq!(blob["content"], "// new\nfn main() {\n    println!();\n}\n");
    assert_eq!(blob["oid"], world.git(&["rev-parse", "main:src/main.rs"]));
    assert_eq!(world.json("/blob/v1.0/README.md").await["content"], "# Web\n\nhello\nworld");
    assert_eq!(world.json("/blob/refs%2Ftags%2Flight/-n").await["content"], "dash\n");
    assert_eq!(world.json("/blob/main/docs/a%20b%23c%3Fd%2541+%C3%BC.txt").await["content"], "odd\n");
    assert_eq!(world.json("/blob/main/docs%2Fa%20b%23c%3Fd%2541%2B%C3%BC.txt").await["content"], "odd\n");
    let binary = world.json("/blob/main/bytes%20%22x%22.bin").await;
    assert_eq!((&binary["binary"], &binary["content"]), (&json!(true), &Value::Null));
    let large = world.json("/blob/main/large.txt").await;
    assert_eq!((&large["truncated"], &large["size_bytes"]), (&json!(true), &json!(1_600_000)));
    for (path, status) in [("/blob/main/src", 400), ("/tree/main/-n", 400), ("/blob/main/none", 404)] {
        assert_eq!(world.alice.get(&format!("{WEB}{path}")).await.status, status, "{path}");
    }
    world.stop().await;
}

/// A folder with more entries than one page holds, a signed tag and a submodule match git.
#[actix_web::test]
async fn folders_are_paged_and_tags_and_submodules_are_complete() {
    let world = World::start("private").await;
    let whole = world.json("/tree/main").await;
    let (mut met, mut path) = (Vec::new(), "/tree/main?limit=2".to_owned());
    loop {
        let page = world.json(&path).await;
        met.extend(page["entries"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/tree/main?limit=2&cursor={next}");
    }
    assert!(met.len() > 2 && Value::from(met) == whole["entries"] && whole["next"].is_null());
    assert_eq!(world.raw_status("/tree/main?cursor=nonsense").await, 400);

    let signature = "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n";
    world.git(&["tag", "-a", "--cleanup=verbatim", "-m", &format!("news\n{signature}"), "signed"]);
    let module = "160000,1111111111111111111111111111111111111111,module";
    world.git(&["update-index", "--add", "--cacheinfo", module]);
    world.git(&["commit", "-q", "-m", "a submodule"]);
    let url = format!("http://alice:correct%20horse@{}/alice/hello/web", world.server.app.addresses.http);
    let at = world.path();
    blocking(move || git(&at, &["push", "-q", &url, "HEAD:refs/heads/module", "signed"])).await;
    let tags = world.json("/tags").await;
    let tag = tags["items"].as_array().unwrap().iter().find(|tag| tag["name"] == "signed").unwrap();
    assert_eq!((tag["message"].as_str(), tag["signature"].as_str()), (Some("news\n"), Some(signature)));
    let head = world.git(&["rev-parse", "HEAD"]);
    let file = world.json(&format!("/commits/{head}")).await["files"][0].clone();
    let line = format!("@@ -0,0 +1 @@\n+Subproject commit {}\n", "1".repeat(40));
    assert_eq!((file["path"].as_str(), file["patch"].as_str()), (Some("module"), Some(line.as_str())));
    world.stop().await;
}

#[actix_web::test]
async fn raw_files_are_inert() {
    let world = World::start("public").await;
    for (path, text) in
        [("page.html", true), ("image.svg", true), ("empty", true), ("bytes%20%22x%22.bin", false)]
    {
        let (answer, _) = world.bytes(&format!("/raw/main/{path}"), &[]).await;
        let kind = if text { "text/plain; charset=utf-8" } else { "application/octet-stream" };
        assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (200, kind), "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        let policy = header(&answer, "content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{policy}");
        assert_eq!(header(&answer, "content-disposition").starts_with("attachment; "), !text, "{path}");
        let name = world.path().join(path.replace("%20", " ").replace("%22", "\""));
        assert_eq!(answer.bytes().await.unwrap(), std::fs::read(name).unwrap());
    }
    let (large, _) = world.bytes("/raw/main/large.txt", &[]).await;
    assert_eq!(header(&large, "content-length"), "1600000");
    assert_eq!(large.bytes().await.unwrap(), std::fs::read(world.path().join("large.txt")).unwrap());
    world.stop().await;
}

#[actix_web::test]
async fn commit_and_comparison_show_the_changes() {
    let world = World::start("private").await;
    let oid = world.git(&["rev-parse", "main"]);
    let commit = world.json(&format!("/commits/{}", oid.to_uppercase())).await;
    assert_eq!((&commit["oid"], &commit["summary"]), (&json!(oid), &json!("Third")));
    assert_eq!(commit["author"], json!({"name": "Ann Author", "email": "ann@example.org"}));
    assert_eq!((&commit["additions"], &commit["deletions"]), (&json!(1), &json!(0)));
    let patch = commit["files"][0]["patch"].as_str().unwrap();
    assert!(patch.contains("+// new\n") && commit["files"][0]["path"] == "src/main.rs", "{commit}");
    let history = world.json("/commits").await;
    assert_eq!(history["items"][2]["message"], "First\n\nWith a body.\n");
    assert!(history["items"][0]["committed_at"].is_string() && history["truncated"] == false);

    let compared = world.json("/compare/main...topic").await;
    assert_eq!((&compared["ahead"], &compared["behind"]), (&json!(1), &json!(1)));
    assert_eq!(compared["merge_base"], world.git(&["merge-base", "main", "topic"]));
    assert_eq!(
        (&compared["files"][0]["path"], &compared["commits"][0]["summary"]),
        (&json!("src/topic.rs"), &json!("Topic"))
    );

    // The answer for a commit with more files than the limit is marked as truncated and is not
    // cached.
    let (at, host) = (world.path(), world.server.app.addresses.http);
    let many = blocking(move || {
        (0..400).for_each(|n| write(&at, &format!("many/{n}"), n.to_string()));
        let many = self::commit(&at, "Many");
        git(&at, &["push", "-q", &format!("http://alice:correct%20horse@{host}/alice/hello/web"), "main"]);
        many
    })
    .await;
    let answer = world.alice.get(&format!("{WEB}/commits/{many}")).await;
    assert_eq!((&answer.body["truncated"], answer.header("etag")), (&json!(true), None));
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    world.stop().await;
}

#[actix_web::test]
async fn blame_matches_git_blame() {
    let world = World::start("private").await;
    for file in ["src/main.rs", "README.md", "-n"] {
        let output = world.git(&["blame", "-s", "-l", "--root", "main", "--", file]);
        let wanted: Vec<_> = output.lines().map(|line| line[..40].to_owned()).collect();
        let blame = world.json(&format!("/blame/main/{file}")).await;
        let mut found = Vec::new();
        for range in blame["ranges"].as_array().unwrap() {
            let (from, to) = (range["from"].as_u64().unwrap(), range["to"].as_u64().unwrap());
            assert_eq!(usize::try_from(from).unwrap(), found.len() + 1);
            found.extend((from..=to).map(|_| range["oid"].as_str().unwrap().to_owned()));
            assert_eq!(range["author"]["email"], "ann@example.org");
            let subject = world.git(&["log", "-1", "--format=%s", range["oid"].as_str().unwrap()]);
            assert_eq!(range["summary"], subject);
        }
        assert_eq!(found, wanted, "{file}");
        assert_eq!((&blame["line_count"], &blame["truncated"]), (&json!(wanted.len()), &json!(false)));
    }
    let part = world.json("/blame/main/src/main.rs?from=2&to=3").await;
    assert_eq!(
        (&part["lines_from"], &part["lines_to"], &part["ranges"][0]["from"]),
        (&json!(2), &json!(3), &json!(2))
    );
    let long = world.json("/blame/main/long.txt").await;
    assert_eq!(
        (&long["lines_to"], &long["line_count"], &long["truncated"]),
        (&json!(1000), &json!(1500), &json!(true))
    );
    let rest = world.json("/blame/main/long.txt?from=1001").await;
    assert_eq!((&rest["lines_to"], &rest["truncated"]), (&json!(1500), &json!(false)));
    assert_eq!(world.json("/blame/main/empty").await["ranges"], json!([]));
    for (path, status) in [
        ("main/src", 400),
        ("main/-n?from=2", 400),
        ("main/-n?from=0", 400),
        ("main/-n?from=x", 400),
        ("main/long.txt?from=5&to=4", 400),
        ("main/bytes%20%22x%22.bin", 400),
        ("main/large.txt", 413),
        ("main/none", 404),
    ] {
        assert_eq!(world.alice.get(&format!("{WEB}/blame/{path}")).await.status, status, "{path}");
    }
    world.stop().await;
}

#[actix_web::test]
async fn archive_matches_git_archive() {
    let world = World::start("private").await;
    let oid = world.git(&["rev-parse", "light"]);
    let folder = format!("web-{}", &oid[..12]);
    let (answer, _) = world.bytes("/archive/light.tar.gz", &[]).await;
    assert_eq!(header(&answer, "content-type"), "application/gzip");
    assert_eq!(header(&answer, "content-disposition"), "attachment; filename=\"web-light.tar.gz\"");
    let received = answer.bytes().await.unwrap();
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(ours.path(), "a.tar.gz", &received);
    let prefix = format!("--prefix={folder}/");
    write(
        theirs.path(),
        "a.tar.gz",
        run("git", &world.path(), &["archive", "--format=tar.gz", &prefix, "light"]),
    );
    for at in [&ours, &theirs] {
        run("tar", at.path(), &["xzf", "a.tar.gz"]);
    }
    let (left, right) = (ours.path().join(&folder), theirs.path().join(&folder));
    run("diff", Path::new("/"), &["-r", left.to_str().unwrap(), right.to_str().unwrap()]);
    assert_eq!(
        std::fs::read_to_string(left.join("src/main.rs")).unwrap(),
        "fn main() {\n    println!();\n}\n"
    );
    let (zip, _) = world.bytes("/archive/light.zip", &[]).await;
    assert_eq!(header(&zip, "content-type"), "application/zip");
    // git streams large files, which changes the size of the archive.
    let streamed = ["-c", "core.bigFileThreshold=1m", "archive", "--format=zip", &prefix, "light"];
    let zipped = run("git", &world.path(), &streamed);
    assert_eq!(zip.bytes().await.unwrap().len(), zipped.len());
    world.stop().await;
}

#[actix_web::test]
async fn empty_repository_has_empty_lists_and_nothing_else() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    assert_eq!(alice.post("/api/projects/create", json!({"name": "hello"})).await.status, 201);
    let created = alice.post("/api/projects/alice/hello/repos/create", json!({"name": "web"})).await;
    assert_eq!(created.status, 201);
    for path in ["/branches", "/tags", "/commits"] {
        let answer = alice.http.send(Method::GET, &format!("{WEB}{path}"), None, &[]).await.unwrap();
        assert_eq!((answer.status, &answer.body["items"]), (200, &json!([])), "{path}");
    }
    for path in every_route("1111111111111111111111111111111111111111") {
        if !["/branches", "/tags", "/commits"].contains(&path.as_str()) {
            assert_problem(&alice.get(&format!("{WEB}{path}")).await, 404, "not_found");
        }
    }
    let detail = alice.get(&format!("{WEB}/tree")).await.body["detail"].to_string();
    assert!(detail.contains("no commit"), "{detail}");
    server.stop().await;
}

/// Regression: a commit in another encoding was shown with U+FFFD, and a file whose name is not
/// UTF-8 returned 404.
#[actix_web::test]
async fn texts_and_names_in_other_encodings_are_shown_and_found() {
    let world = World::start("private").await;
    let (at, host) = (world.path(), world.server.app.addresses.http);
    blocking(move || {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
        std::fs::create_dir(at.join(name)).unwrap();
        std::fs::write(at.join(name).join(std::ffi::OsStr::from_bytes(b"na\xefve.txt")), "text\n").unwrap();
        write(&at, "caf%E9", "plain\n");
        git(&at, &["add", "-A"]);
        std::fs::write(at.join(".git/message"), b"caf\xe9 au lait\n\nna\xefve\n").unwrap();
        git(&at, &["-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "-F", ".git/message"]);
        git(&at, &["push", "-q", &format!("http://alice:correct%20horse@{host}/alice/hello/web"), "main"]);
    })
    .await;
    let head = world.git(&["rev-parse", "HEAD"]);
    let commit = world.json(&format!("/commits/{head}")).await;
    assert_eq!(
        (&commit["summary"], &commit["message"]),
        (&json!("café au lait"), &json!("café au lait\n\nnaïve\n"))
    );
    let entries = world.json("/tree/main").await["entries"].clone();
    let named = |path: &str| entries.as_array().unwrap().iter().find(|entry| entry["path"] == path).cloned();
    assert_eq!(named("caf%E9").unwrap()["name"], "caf\u{fffd}");
    assert_eq!(named("caf%25E9").unwrap()["name"], "caf%E9");
    let folder = world.json("/tree/main/caf%25E9?last_commit=true").await;
    assert_eq!(folder["entries"][0]["path"], "caf%E9/na%EFve.txt");
    assert_eq!(folder["entries"][0]["last_commit"]["oid"], head.as_str());
    // The path as a client encodes the `path` of an answer, and the path as raw bytes.
    for path in ["caf%25E9/na%25EFve.txt", "caf%E9/na%EFve.txt"] {
        let blob = world.json(&format!("/blob/main/{path}")).await;
        assert_eq!(
            (&blob["content"], &blob["path"]),
            (&json!("text\n"), &json!("caf%E9/na%EFve.txt")),
            "{path}"
        );
        let (raw, _) = world.bytes(&format!("/raw/main/{path}"), &[]).await;
        assert_eq!((raw.status().as_u16(), raw.text().await.unwrap().as_str()), (200, "text\n"), "{path}");
        assert_eq!(
            world.json(&format!("/blame/main/{path}")).await["ranges"][0]["oid"],
            head.as_str(),
            "{path}"
        );
        let history = world.json(&format!("/commits?path={path}")).await;
        assert_eq!(history["items"].as_array().unwrap().len(), 1, "{path}");
    }
    assert_eq!(world.json("/blob/main/caf%2525E9").await["content"], "plain\n");
    let files = commit["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["path"] == "caf%E9/na%EFve.txt"), "{files:?}");
    world.stop().await;
}
