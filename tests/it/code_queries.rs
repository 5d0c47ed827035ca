//! Queries of pages about code: earlier blames, single files of a diff, the list of all files,
//! addresses with plain slashes, images.

use netbit::domain::image::ImageKind;
use netbit::domain::permission::project::Act;
use netbit::services::access::RepositoryPath;
use netbit::services::browsing::RawFile;
use netbit::services::{RepositoryView, Services};
use serde_json::{Value, json};

use crate::browsing::{WEB, World, blocking, commit, git, write};
use crate::harness::assert_problem;

/// Pushes the commits that `change` makes on `main`.
async fn push(world: &World, change: impl FnOnce(&std::path::Path) + Send + 'static) {
    let (at, host) = (world.path(), world.server.app.addresses.http);
    blocking(move || {
        change(&at);
        let url = format!("http://alice:correct%20horse@{host}/alice/hello/web");
        git(&at, &["push", "-q", &url, "main"]);
    })
    .await;
}

async fn view(services: &Services) -> RepositoryView {
    let [user, project, repo] = ["alice", "hello", "web"].map(str::to_owned);
    let at = RepositoryPath { user, project, repo };
    services.repository(None, &at, Act::Read).await.unwrap()
}

#[actix_web::test]
async fn blame_names_the_file_before_each_commit() {
    let world = World::start("private").await;
    push(&world, |at| {
        git(at, &["mv", "src/main.rs", "src/tab\tß.rs"]);
        write(at, "src/tab\tß.rs", "// newer\nfn main() {\n    println!();\n}\n");
        commit(at, "Move");
    })
    .await;
    let (head, before) = (world.git(&["rev-parse", "main"]), world.git(&["rev-parse", "main~1"]));
    let blame = world.json(&format!("/blame/{head}/src/tab%09%C3%9F.rs")).await;
    let first = &blame["ranges"][0];
    assert_eq!(first["previous"], json!({"oid": before, "path": "src/main.rs"}));
    assert_eq!(blame["ignored_revisions"], 0);
    // The chain ends at the commit that added the file.
    let mut previous = first["previous"].clone();
    let mut steps = Vec::new();
    while let (Some(oid), Some(path)) = (previous["oid"].as_str(), previous["path"].as_str()) {
        steps.push(world.git(&["log", "-1", "--format=%s", oid]));
        let earlier = world.json(&format!("/blame/{oid}/{path}")).await;
        previous = earlier["ranges"][0]["previous"].clone();
    }
    assert_eq!(steps, ["Third", "Second", "First"], "each of these changed the first line");
    world.stop().await;
}

#[actix_web::test]
async fn blame_skips_the_revisions_that_the_repository_lists() {
    let world = World::start("private").await;
    push(&world, |at| {
        write(at, "src/main.rs", "// new\nfn main() {\n  println!();\n}\n");
        let formatted = commit(at, "Format");
        write(at, ".git-blame-ignore-revs", format!("# rustfmt\n{formatted}\n{}\n", "1".repeat(40)));
        commit(at, "List");
    })
    .await;
    let subjects = async |query: &str| {
        let blame = world.json(&format!("/blame/main/src/main.rs{query}")).await;
        let ranges = blame["ranges"].as_array().unwrap().clone();
        let summaries: Vec<_> = ranges.iter().map(|range| range["summary"].clone()).collect();
        (summaries, blame["ignored_revisions"].clone())
    };
    let plain = ["Third", "Second", "Format", "Second"].map(Value::from).to_vec();
    assert_eq!(subjects("").await, (plain, json!(0)));
    let skipped = ["Third", "Second"].map(Value::from).to_vec();
    assert_eq!(subjects("?ignore_revs=true").await, (skipped, json!(1)));
    let old = world.json("/blame/v1.0/src/main.rs?ignore_revs=true").await;
    assert_eq!(old["ignored_revisions"], 0, "the list of the same commit counts");
    let refused = world.alice.get(&format!("{WEB}/blame/main/src/main.rs?ignore_revs=maybe")).await;
    assert_problem(&refused, 400, "bad_request");
    world.stop().await;
}

#[actix_web::test]
async fn diff_of_one_file_is_that_of_the_whole_change() {
    let world = World::start("private").await;
    let head = world.git(&["rev-parse", "main"]);
    for route in [format!("/commits/{head}"), "/compare/v1.0...main".to_owned()] {
        let whole = world.json(&route).await;
        assert_eq!(whole["files"].as_array().unwrap().len(), 1);
        let one = world.json(&format!("{route}?file=src/main.rs")).await;
        assert_eq!((&one["files"], &one["additions"]), (&whole["files"], &whole["additions"]));
        assert_eq!(one["oid"], whole["oid"]);
        let short = world.json(&format!("{route}?file=src/main.rs&context=0")).await;
        assert_eq!(short["files"][0]["patch"], "@@ -0,0 +1 @@\n+// new\n");
        for (query, status) in [
            ("?file=README.md", 404),
            ("?file=none", 404),
            ("?file=src", 404),
            ("?file=../x", 400),
            ("?context=1001", 400),
            ("?context=-1", 400),
            ("?whitespace=maybe", 400),
        ] {
            let answer = world.alice.get(&format!("{WEB}{route}{query}")).await;
            assert_eq!(answer.status, status, "{route}{query}: {}", answer.body);
        }
    }
    let compared = world.json("/compare/v1.0...main?file=src/main.rs").await;
    assert_eq!((&compared["ahead"], &compared["commits"]), (&json!(1), &json!([])));
    let (answer, _) = world.bytes("/compare/v1.0...main?file=src/main.rs", &[]).await;
    assert!(answer.headers().contains_key("etag"));
    world.stop().await;
}

#[actix_web::test]
async fn changes_of_white_space_are_left_out_on_request() {
    let world = World::start("private").await;
    push(&world, |at| {
        write(at, "src/main.rs", "// new\nfn  main()  {\n\tprintln!();\n}\n");
        write(at, "-n", "dashed\n");
        commit(at, "Format");
    })
    .await;
    let oid = world.git(&["rev-parse", "main"]);
    let counts = async |query: &str| {
        let found = world.json(&format!("/commits/{oid}{query}")).await;
        let files = found["files"].as_array().unwrap().clone();
        files.iter().map(|file| file["additions"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(counts("").await, [1, 2]);
    assert_eq!(counts("?whitespace=show").await, [1, 2]);
    assert_eq!(counts("?whitespace=ignore").await, [1, 0]);
    assert_eq!(counts("?whitespace=ignore&file=src/main.rs").await, [0]);
    world.stop().await;
}

#[actix_web::test]
async fn file_list_has_every_file_of_the_commit() {
    let world = World::start("private").await;
    let found = world.json("/files/topic").await;
    let listed = world.git(&["-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", "-z", "topic"]);
    let mut wanted: Vec<_> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    wanted.sort_unstable();
    assert_eq!(found["paths"], json!(wanted));
    assert_eq!(
        (&found["truncated"], &found["commit_oid"]),
        (&json!(false), &json!(world.git(&["rev-parse", "topic"])))
    );
    let (answer, _) = world.bytes("/files/topic", &[]).await;
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let (again, _) = world.bytes("/files/topic", &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), 304);
    assert_eq!(world.alice.get(&format!("{WEB}/files/none")).await.status, 404);
    world.stop().await;
}

#[actix_web::test]
async fn page_address_is_split_into_ref_and_path() {
    let world = World::start("public").await;
    let services = &world.server.app.services;
    let view = view(services).await;
    for (text, name, path) in [
        ("main", "main", ""),
        ("main/src/main.rs", "main", "src/main.rs"),
        ("v1.0/docs/a b#c?d%41+ü.txt", "v1.0", "docs/a b#c?d%41+ü.txt"),
        ("refs/tags/light/-n", "refs/tags/light", "-n"),
    ] {
        let found = services.resolve_ref_path(&view, text.to_owned()).await.unwrap();
        assert_eq!((found.commit.name.as_str(), found.path.as_str()), (name, path), "{text}");
    }
    for text in ["none/src", "main~1/src", "-n"] {
        let refused = services.resolve_ref_path(&view, text.to_owned()).await.unwrap_err();
        assert_eq!(refused.code.http_status(), 404, "{text}");
    }
    world.stop().await;
}

#[actix_web::test]
async fn image_is_recognised_in_small_and_large_files() {
    let world = World::start("public").await;
    push(&world, |at| {
        let png = |bytes| [b"\x89PNG\r\n\x1a\n".to_vec(), vec![7; bytes]].concat();
        write(at, "small.txt", png(9));
        write(at, "spooled", png(100_000));
        write(at, "streamed", png(1_100_000));
        write(at, "bad.svg", b"<svg>\xff</svg>");
        write(at, "fake.png", "<script>alert(1)</script>");
        commit(at, "Images");
    })
    .await;
    let services = &world.server.app.services;
    let view = view(services).await;
    let commit = services.resolve(&view, None).await.unwrap().oid;
    for (path, kind, bytes) in [
        ("small.txt", Some(ImageKind::Png), 17),
        ("spooled", Some(ImageKind::Png), 100_008),
        ("streamed", Some(ImageKind::Png), 1_100_008),
        ("image.svg", Some(ImageKind::Svg), 72),
        ("bad.svg", None, 0),
        ("fake.png", None, 0),
        ("page.html", None, 0),
        ("empty", None, 0),
    ] {
        let found = services.image(None, &view, commit, path.to_owned()).await.unwrap();
        let seen = found.map(|image| match image.file {
            RawFile::Small { bytes, .. } => (image.kind, bytes.len()),
            RawFile::Large(spooled) => (image.kind, usize::try_from(spooled.size_bytes).unwrap()),
        });
        assert_eq!(seen, kind.map(|kind| (kind, bytes)), "{path}");
    }
    assert!(services.image(None, &view, commit, "none".to_owned()).await.is_err());
    world.stop().await;
}
