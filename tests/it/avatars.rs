//! Avatars of users, projects and chats, over REST and in pages.

use image::ImageFormat;
use netbit::client::HttpClient;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::browser::Browser;
use crate::harness::files::{FileClient, Received};
use crate::harness::lfs::RawUpload;
use crate::harness::pictures::{noise, photograph, picture, written};
use crate::harness::{Person, TestServer, assert_problem, database, netbit_beside, until};

const MINE: &str = "/api/users/me/avatar";

fn client_of(server: &TestServer, http: &HttpClient) -> FileClient {
    FileClient::new(&server.app.addresses.http.to_string(), http)
}

async fn put(server: &TestServer, person: &Person, path: &str, bytes: &[u8]) -> Received {
    client_of(server, &person.http).send(Method::PUT, path, &[], bytes.to_vec()).await
}

async fn get(server: &TestServer, person: &Person, path: &str) -> Received {
    client_of(server, &person.http).send(Method::GET, path, &[], Vec::new()).await
}

fn a_picture() -> Vec<u8> {
    written(&picture(600, 400), ImageFormat::Png)
}

fn sides(bytes: &[u8]) -> (u32, u32) {
    let shown = image::load_from_memory(bytes).unwrap();
    (shown.width(), shown.height())
}

async fn version_of(person: &Person, path: &str) -> Value {
    person.get(path).await.body["avatar"].clone()
}

#[actix_web::test]
async fn avatar_of_a_user_is_seen_by_others_until_it_is_removed() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let shown = "/api/users/alice/avatar";
    assert_eq!(get(&server, &bob, shown).await.status, 404);
    assert_eq!(version_of(&bob, "/api/users/alice").await, Value::Null);
    let set = put(&server, &alice, MINE, &photograph(600, 400)).await;
    assert_eq!((set.status, set.bytes.len()), (204, 0), "{:?}", set.bytes);
    let made = get(&server, &bob, shown).await;
    assert_eq!((made.status, made.header("content-type")), (200, "image/jpeg"));
    assert_eq!(sides(&made.bytes), (256, 256));
    for foreign in [&b"Exif"[..], b"GPS", b"script"] {
        assert!(!made.bytes.windows(foreign.len()).any(|part| part == foreign));
    }
    for (header, value) in [
        ("cache-control", "private, no-cache"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(made.header(header), value);
    }
    let version = version_of(&bob, "/api/users/alice").await;
    assert_eq!(version_of(&alice, "/api/users/me").await, version);
    let version = version.as_str().unwrap();
    let kept = get(&server, &bob, &format!("{shown}?v={version}")).await;
    assert_eq!(kept.header("cache-control"), "private, max-age=86400, immutable");
    let other = get(&server, &bob, &format!("{shown}?v=other")).await;
    assert_eq!((other.status, other.header("cache-control")), (200, "private, no-cache"));
    let known = [("if-none-match", made.header("etag"))];
    let unchanged = client_of(&server, &bob.http).send(Method::GET, shown, &known, Vec::new()).await;
    assert_eq!((unchanged.status, unchanged.bytes.len()), (304, 0));

    // The profile keeps it, and another picture has another version.
    alice.patch("/api/users/me", json!({"display_name": "Alice L."})).await;
    assert_eq!(version_of(&bob, "/api/users/alice").await, version);
    assert_eq!(put(&server, &alice, MINE, &a_picture()).await.status, 204);
    let second = version_of(&bob, "/api/users/alice").await;
    assert_ne!(second, version);
    let server = server.restart(|_| ()).await;
    let (alice, bob) = (server.login("alice").await, server.login("bob").await);
    assert_eq!(version_of(&bob, "/api/users/alice").await, second, "after a restart");
    assert_eq!(alice.delete(MINE).await.status, 204);
    assert_eq!(alice.delete(MINE).await.status, 204, "again");
    assert_eq!(get(&server, &bob, shown).await.status, 404);
    assert_eq!(version_of(&bob, "/api/users/alice").await, Value::Null);
    server.stop().await;
}

#[actix_web::test]
async fn project_avatar_is_set_by_owners_and_seen_by_readers() {
    let server = TestServer::start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    alice.hello_web("private").await;
    let path = "/api/projects/alice/hello/avatar";
    let member = "/api/projects/alice/hello/members/bob";
    assert_eq!(alice.put(member, json!({"role": "maintainer"})).await.status, 201);
    assert_eq!(put(&server, &bob, path, &a_picture()).await.status, 403);
    assert_eq!(put(&server, &eve, path, &a_picture()).await.status, 404);
    assert_eq!(put(&server, &alice, path, &a_picture()).await.status, 204);
    assert_eq!(sides(&get(&server, &bob, path).await.bytes), (256, 256));
    assert_eq!(get(&server, &eve, path).await.status, 404);
    assert!(version_of(&bob, "/api/projects/alice/hello").await.is_string());
    let url = format!("http://{}{path}", server.app.addresses.http);
    let anonymous = async || reqwest::get(&url).await.unwrap().status().as_u16();
    assert_eq!(anonymous().await, 401);
    alice.patch("/api/projects/alice/hello", json!({"visibility": "public"})).await;
    assert_eq!(anonymous().await, 200);
    assert_eq!(get(&server, &eve, path).await.status, 200);
    assert_eq!(alice.delete(path).await.status, 204);
    assert_eq!(anonymous().await, 404);
    assert_eq!(version_of(&bob, "/api/projects/alice/hello").await, Value::Null);
    server.stop().await;
}

#[actix_web::test]
async fn chat_avatar_is_set_by_admins_and_seen_by_readers() {
    let server = TestServer::start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    let chat = alice.group(&[&bob]).await;
    let path = format!("/api/chats/{chat}/avatar");
    assert_eq!(put(&server, &bob, &path, &a_picture()).await.status, 403);
    assert_eq!(put(&server, &eve, &path, &a_picture()).await.status, 404);
    assert_eq!(put(&server, &alice, &path, &a_picture()).await.status, 204);
    assert_eq!(get(&server, &bob, &path).await.status, 200);
    assert_eq!(get(&server, &eve, &path).await.status, 404);
    let version = version_of(&bob, &format!("/api/chats/{chat}")).await;
    assert!(version.is_string());
    let listed = bob.get("/api/chats").await.body["items"].clone();
    assert_eq!(listed[0]["avatar"], version);
    let direct = alice.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await;
    let direct = format!("/api/chats/{}/avatar", direct.body["id"]);
    assert_eq!(put(&server, &alice, &direct, &a_picture()).await.status, 403);
    bob.delete(&format!("/api/chats/{chat}/participants/bob")).await;
    assert_eq!(get(&server, &bob, &path).await.status, 404, "left the chat");
    assert_eq!(alice.delete(&path).await.status, 204);
    assert_eq!(get(&server, &alice, &path).await.status, 404);
    assert_eq!(version_of(&alice, &format!("/api/chats/{chat}")).await, Value::Null);
    server.stop().await;
}

#[actix_web::test]
async fn file_without_a_picture_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    assert_eq!(put(&server, &alice, MINE, &a_picture()).await.status, 204);
    let version = version_of(&alice, "/api/users/me").await;
    let mut cut = a_picture();
    cut.truncate(300);
    for bytes in [&b""[..], b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", &cut[..]] {
        let refused = put(&server, &alice, MINE, bytes).await;
        assert_eq!((refused.status, refused.json()["errors"][0]["field"].clone()), (422, json!("picture")));
    }
    let large = put(&server, &alice, MINE, &vec![0; 2 * 1024 * 1024 + 1]).await;
    let answer = large.json();
    assert_eq!((large.status, answer["code"].as_str()), (413, Some("too_large")));
    let detail = "the picture is larger than 2.0 MiB (limits.avatar_bytes); make it smaller and try again";
    assert_eq!((&answer["detail"], &answer["errors"][0]["field"]), (&json!(detail), &json!("picture")));
    assert_eq!(version_of(&alice, "/api/users/me").await, version);
    server.stop().await;
}

#[actix_web::test]
async fn avatar_goes_with_its_chat_and_project() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let path = format!("/api/chats/{chat}/avatar");
    assert_eq!(put(&server, &alice, &path, &a_picture()).await.status, 204);
    let count = || {
        let sql = "SELECT count(*) AS value FROM avatars";
        database::reader(server.path()).integer(sql)
    };
    alice.hello_web("public").await;
    let project = "/api/projects/alice/hello";
    assert_eq!(put(&server, &alice, &format!("{project}/avatar"), &a_picture()).await.status, 204);
    assert_eq!(count(), 2);
    assert_eq!(alice.delete(&format!("/api/chats/{chat}")).await.status, 204);
    assert_eq!(get(&server, &alice, &path).await.status, 404);
    assert_eq!(count(), 1);
    assert_eq!(alice.delete(project).await.status, 204);
    assert_eq!(get(&server, &alice, &format!("{project}/avatar")).await.status, 404);
    assert_eq!(count(), 0);
    server.stop().await;
}

/// A form without a script: the picture is in the pages, and in the state of the chat program.
#[actix_web::test]
async fn uploaded_picture_replaces_the_initials_in_pages() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    assert!(!alice.page("/settings/profile").await.contains("/api/users/alice/avatar"));
    alice.post_file("/settings/avatar", "picture", b"not a picture").await.expect(422, "damaged");
    alice.post_file("/settings/avatar", "other", &a_picture()).await.expect(400, "no file");
    // The rest of the body is read before the answer: some is on its way when it is refused.
    for bytes in [2 * 1024 * 1024 + 1, 12 * 1024 * 1024] {
        let large = alice.post_file("/settings/avatar", "picture", &vec![0; bytes]).await;
        large.expect(413, "The file must have at most 2.0 MiB; make it smaller and try again.");
        assert!(large.html.contains("id=\"picture-problem\""), "at its field");
    }
    let sent = alice.post_file("/settings/avatar", "picture", &a_picture()).await;
    sent.expect_redirect("/settings/profile?done=saved");
    let profile = alice.page("/settings/profile").await;
    let (_, rest) = profile.split_once("src=\"/api/users/alice/avatar?v=").unwrap();
    let address = format!("/api/users/alice/avatar?v={}", rest.split_once('"').unwrap().0);
    for page in ["/people?q=alice", "/people/alice"] {
        assert!(bob.page(page).await.contains(&address), "{page}");
    }
    assert_eq!(bob.get(&address).await.status, 200, "an image of a page sends the cookie only");
    assert_eq!(Browser::anonymous(&server).get(&address).await.status, 401);
    let version = address.rsplit('=').next().unwrap();
    assert!(alice.page("/chat").await.contains(version), "the chat program knows the own avatar");
    alice.post_form("/settings/avatar/remove", &[]).await.expect_redirect("/settings/profile?done=saved");
    assert!(!bob.page("/people/alice").await.contains("/avatar?v="));
    server.stop().await;
}

#[actix_web::test]
async fn project_picture_is_set_in_its_settings() {
    let server = TestServer::start().await;
    let alice = Browser::set_up(&server, "alice").await;
    let bob = Browser::register(&server, "bob").await;
    alice.post_form("/projects/new", &[("name", "hello"), ("visibility", "public")]).await;
    let settings = "/alice/hello/-/settings/avatar";
    assert_eq!(bob.post_file(settings, "picture", &a_picture()).await.status, 403);
    alice.post_file(settings, "picture", b"x").await.expect(422, "damaged");
    let sent = alice.post_file(settings, "picture", &a_picture()).await;
    sent.expect_redirect("/alice/hello/-/settings?done=saved");
    assert!(bob.page("/alice/hello").await.contains("src=\"/api/projects/alice/hello/avatar?v="));
    alice
        .post_form(&format!("{settings}/remove"), &[])
        .await
        .expect_redirect("/alice/hello/-/settings?done=saved");
    assert!(!bob.page("/alice/hello").await.contains("/avatar?v="));
    server.stop().await;
}

#[actix_web::test]
async fn avatar_is_in_every_backup() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    assert_eq!(put(&server, &alice, MINE, &a_picture()).await.status, 204);
    let made = get(&server, &alice, "/api/users/alice/avatar").await;
    let directory = server.stop_and_keep().await;
    let (parent, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backup = parent.path().join("backup");
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (from, to, backup) = (text(directory.path()), text(target.path()), text(&backup));
    for arguments in [["backup", &backup, "--data-dir", &from], ["restore", &backup, "--data-dir", &to]] {
        let output = netbit_beside(&arguments).await;
        assert!(output.status.success(), "{output:?}");
    }
    let server = TestServer::on(target).await;
    let alice = server.login("alice").await;
    assert_eq!(get(&server, &alice, "/api/users/alice/avatar").await.bytes, made.bytes);
    server.stop().await;
}

/// Regression: the form was read before the login was checked, 2 MiB for each connection.
#[actix_web::test]
async fn picture_is_read_after_the_login_is_checked() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    alice.hello_web("private").await;
    let length = "content-length: 1000000\r\n\r\n--X";
    for path in ["/settings/avatar", "/alice/hello/-/settings/avatar"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\naccept: text/html\r\n\
             content-type: multipart/form-data; boundary=X\r\n{length}"
        );
        let mut form = RawUpload::begin(&server, &head).await;
        assert_eq!(form.status().await, "HTTP/1.1 303", "{path}");
    }
    for path in [MINE, "/api/projects/alice/hello/avatar", "/api/chats/1/avatar"] {
        let mut body =
            RawUpload::begin(&server, &format!("PUT {path} HTTP/1.1\r\nhost: x\r\n{length}")).await;
        assert_eq!(body.status().await, "HTTP/1.1 401", "{path}");
    }
    server.stop().await;
}

/// Regression: a form that was late got 400, after twice the time.
#[actix_web::test]
async fn late_form_is_answered_as_late() {
    let server = TestServer::with_limits(|limits| limits.request_body_ms = 200).await;
    server.user("alice").await;
    let browser = Browser::login(&server, "alice").await;
    let head = format!(
        "POST /settings/avatar HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\ncookie: {1}\r\n\
         content-type: multipart/form-data; boundary=X\r\ncontent-length: 1000\r\n\r\n--X",
        server.app.addresses.http,
        browser.cookie()
    );
    let mut form = RawUpload::begin(&server, &head).await;
    assert_eq!(form.status().await, "HTTP/1.1 408");
    server.stop().await;
}

/// The rest of a body never arrives: an answer shows that nothing waits for it.
#[actix_web::test]
async fn picture_is_read_after_rights_and_rate_are_checked() {
    let server =
        TestServer::with_limits(|limits| (limits.changes_burst, limits.changes_per_second) = (10, 1)).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.hello_web("private").await;
    let chat = alice.http.create_group("team", &["bob"]).await.unwrap();
    let begin = async |path: &str| {
        let token = bob.http.token().unwrap();
        let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
        let mut body = RawUpload::begin(&server, &format!("{head}content-length: 1000000\r\n\r\nx")).await;
        body.status().await
    };
    assert_eq!(begin("/api/projects/alice/hello/avatar").await, "HTTP/1.1 404");
    assert_eq!(begin(&format!("/api/chats/{chat}/avatar")).await, "HTTP/1.1 403");
    // Each attempt that has a right to change the avatar counts.
    until(async || {
        while bob.delete(MINE).await.status != 429 {}
        begin(MINE).await == "HTTP/1.1 429"
    })
    .await;
    server.stop().await;
}

#[actix_web::test]
async fn bodies_of_an_account_are_limited() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let head = format!(
        "PUT {MINE} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\nx",
        alice.http.token().unwrap()
    );
    let mut open = Vec::new();
    // The server may admit the requests in any order: one that it refused is replaced.
    while put(&server, &alice, MINE, b"x").await.status != 503 {
        open.push(RawUpload::begin(&server, &head).await);
        assert!(open.len() <= 100, "nothing limits the bodies of an account");
    }
    let refused = put(&server, &alice, MINE, b"x").await;
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("too many pictures") && refused.header("retry-after") == "2", "{detail}");
    assert_eq!(put(&server, &bob, MINE, &a_picture()).await.status, 204, "another account");
    let browser = Browser::login(&server, "alice").await;
    let form = browser.post_file("/settings/avatar", "picture", &a_picture()).await;
    form.expect(503, "Too many pictures");
    drop(open);
    until(async || put(&server, &alice, MINE, &a_picture()).await.status == 204).await;
    server.stop().await;
}

#[actix_web::test]
async fn changes_of_avatars_are_limited_by_rate() {
    let server =
        TestServer::with_limits(|limits| (limits.changes_burst, limits.changes_per_second) = (3, 1)).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    // A picture that does not change the avatar, and one that is refused, count as well.
    assert_eq!(put(&server, &alice, MINE, b"x").await.status, 422);
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(alice.delete(MINE).await.status);
    }
    assert!(statuses.contains(&429) && statuses.starts_with(&[204]), "{statuses:?}");
    until(async || {
        let refused = put(&server, &alice, MINE, b"x").await;
        refused.status == 429 && refused.json()["code"] == "rate_limited"
    })
    .await;
    assert_eq!(put(&server, &bob, MINE, &a_picture()).await.status, 204);
    server.stop().await;
}

/// Regression: a browser whose login had ended got 401 for what visitors see.
#[actix_web::test]
async fn ended_cookie_sees_what_visitors_see() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.hello_web("public").await;
    let path = "/api/projects/alice/hello/avatar";
    assert_eq!(put(&server, &alice, path, &a_picture()).await.status, 204);
    let browser = Browser::login(&server, "bob").await;
    bob.post("/api/users/logout", json!({"all": true})).await;
    assert!(!browser.cookie().is_empty());
    assert_eq!(browser.get("/api/users/alice/avatar").await.status, 401, "the login has ended");
    assert_eq!(browser.get(path).await.status, 200);
    assert_eq!(get(&server, &bob, path).await.status, 401, "an invalid Authorization is an error");
    alice.patch("/api/projects/alice/hello", json!({"visibility": "private"})).await;
    assert_eq!(browser.get(path).await.status, 401);
    server.stop().await;
}

#[actix_web::test]
async fn access_token_sets_avatars_within_its_scope() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.hello_web("private").await;
    let of_chat = format!("/api/chats/{}/avatar", alice.group(&[&bob]).await);
    let of_project = "/api/projects/alice/hello/avatar";
    let hint = "log in with POST /api/users/login";
    for (scope, may_project, may_chat) in [("admin", 204, 403), ("chat:write", 404, 204)] {
        let (_, token) = alice.access_token(json!({"name": scope, "scopes": [scope]})).await;
        let token = client_of(&server, &token);
        for method in [Method::PUT, Method::DELETE] {
            let refused = token.send(method, MINE, &[], a_picture()).await;
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert_eq!((refused.status, detail.contains(hint)), (403, true), "{detail}");
        }
        for (path, status) in [(of_project, may_project), (&of_chat, may_chat)] {
            let set = token.send(Method::PUT, path, &[], a_picture()).await;
            assert_eq!(set.status, status, "{scope} {path}");
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn deactivated_user_is_shown_without_avatar() {
    let server = TestServer::start().await;
    let (admin, bob) = (server.admin("alice").await, server.user("bob").await);
    admin.hello_web("private").await;
    admin.put("/api/projects/alice/hello/members/bob", json!({"role": "maintainer"})).await;
    let browser = Browser::login(&server, "alice").await;
    assert_eq!(put(&server, &bob, MINE, &a_picture()).await.status, 204);
    let members = "/alice/hello/-/members";
    let listed = async || browser.page(members).await.contains("src=\"/api/users/bob/avatar?v=");
    assert!(listed().await && version_of(&admin, "/api/users/bob").await.is_string());
    admin.patch("/api/admin/users/bob", json!({"active": false})).await;
    let shown = "/api/users/bob/avatar";
    assert_problem(&admin.get(shown).await, 404, "not_found");
    assert_eq!(version_of(&admin, "/api/users/bob").await, Value::Null);
    assert!(!listed().await);
    admin.patch("/api/admin/users/bob", json!({"active": true})).await;
    assert_eq!(get(&server, &admin, shown).await.status, 200, "again active");
    assert!(listed().await);
    server.stop().await;
}

#[actix_web::test]
async fn avatar_that_does_not_compress_is_kept_small() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let hard = written(&noise(400, 400), ImageFormat::Png);
    assert_eq!(put(&server, &alice, MINE, &hard).await.status, 204);
    let made = get(&server, &alice, "/api/users/alice/avatar").await;
    assert_eq!(sides(&made.bytes), (256, 256));
    assert!(made.bytes.len() <= 32 * 1024, "{}", made.bytes.len());
    server.stop().await;
}
