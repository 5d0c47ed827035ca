//! Locks of paths.

use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::harness::lfs::{LFS_JSON, LfsClient};

#[actix_web::test]
async fn lock_is_shown_and_removed_by_its_holder() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.member("hello", "bob", "writer").await;
    let (of_alice, of_bob) = (LfsClient::of(&server, &path, &alice), LfsClient::of(&server, &path, &bob));
    let id = of_bob.lock("art/Übersicht.psd").await;
    let shown = of_alice.get("locks").await;
    assert_eq!((shown.status, shown.header("content-type")), (200, LFS_JSON));
    let lock = &shown.json()["locks"][0];
    assert_eq!((&lock["path"], &lock["owner"]["name"]), (&json!("art/Übersicht.psd"), &json!("bob")));
    assert!(lock["locked_at"].as_str().unwrap().ends_with('Z'), "{lock}");
    let taken = of_alice.post("locks", &json!({"path": "art/Übersicht.psd"})).await;
    assert_eq!((taken.status, &taken.json()["lock"]["id"]), (409, &json!(id)));
    assert!(taken.json()["message"].as_str().unwrap().contains("bob"));
    let divided = async |lfs: &LfsClient| {
        let answer = lfs.post("locks/verify", &json!({"ref": {"name": "refs/heads/main"}})).await.json();
        [answer["ours"].as_array().unwrap().len(), answer["theirs"].as_array().unwrap().len()]
    };
    assert_eq!((divided(&of_alice).await, divided(&of_bob).await), ([0, 1], [1, 0]));
    let unlock = format!("locks/{id}/unlock");
    let removed = of_bob.post(&unlock, &json!({})).await;
    assert_eq!((removed.status, &removed.json()["lock"]["path"]), (200, &json!("art/Übersicht.psd")));
    assert_eq!(of_bob.post(&unlock, &json!({})).await.status, 404);
    assert_eq!(of_bob.get("locks").await.json()["locks"], json!([]));
    server.stop().await;
}

#[actix_web::test]
async fn lock_of_another_is_removed_by_maintainers_with_force() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let mut clients = Vec::new();
    for (name, role) in [("bob", "writer"), ("carol", "maintainer")] {
        let person = server.user(name).await;
        alice.member("hello", name, role).await;
        clients.push(LfsClient::of(&server, &path, &person));
    }
    let [bob, carol] = &clients[..] else { panic!("two clients") };
    let of_alice = LfsClient::of(&server, &path, &alice);
    let unlock = format!("locks/{}/unlock", of_alice.lock("a").await);
    let refused = bob.post(&unlock, &json!({})).await;
    assert_eq!(refused.status, 403);
    assert!(refused.json()["message"].as_str().unwrap().contains("--force"));
    let refused = bob.post(&unlock, &json!({"force": true})).await;
    assert!(refused.json()["message"].as_str().unwrap().contains("maintainer"));
    assert_eq!(carol.post(&unlock, &json!({})).await.status, 403);
    assert_eq!(carol.post(&unlock, &json!({"force": true})).await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn locks_are_listed_in_pages_by_path_and_by_id() {
    let server = TestServer::with_limits(|limits| {
        limits.page_max = 3;
        limits.page_default = 3;
        limits.lfs_locks_per_repository = 7;
    })
    .await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    alice.repository("hello", "other").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    LfsClient::of(&server, "alice/hello/other", &alice).lock("0").await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(lfs.lock(&n.to_string()).await);
    }
    let full = lfs.post("locks", &json!({"path": "one more"})).await;
    assert!(
        full.status == 409 && full.json()["message"].as_str().unwrap().contains("lfs_locks_per_repository")
    );
    let ids_of = |locks: &Value| -> Vec<String> {
        let locks = locks.as_array().unwrap().iter();
        locks.map(|lock| lock["id"].as_str().unwrap().to_owned()).collect()
    };
    for by_post in [false, true] {
        let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = if by_post {
                lfs.post("locks/verify", &json!({"cursor": cursor, "limit": 100})).await.json()
            } else {
                lfs.get(&format!("locks?limit=100&cursor={cursor}&refspec=refs/heads/main")).await.json()
            };
            found.extend(ids_of(&page[if by_post { "ours" } else { "locks" }]));
            pages += 1;
            match page.get("next_cursor") {
                Some(next) => cursor = next.as_str().unwrap().to_owned(),
                None => break,
            }
        }
        assert_eq!((&found, pages), (&ids, 3));
    }
    let query = async |text: &str| ids_of(&lfs.get(&format!("locks?{text}")).await.json()["locks"]);
    assert_eq!(query("path=3").await, ids[3..4]);
    assert_eq!(query(&format!("id={}", ids[5])).await, ids[5..6]);
    assert_eq!(query("limit=2").await, ids[..2]);
    for none in ["path=none", "id=999", "id=x"] {
        assert_eq!(query(none).await, [] as [String; 0], "{none}");
    }
    assert_eq!(lfs.get("locks?cursor=x").await.status, 422);
    assert_eq!(lfs.post("locks/x/unlock", &json!({})).await.status, 404);
    server.stop().await;
}

#[actix_web::test]
async fn path_that_leads_outside_cannot_be_locked() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let long = "x".repeat(1025);
    for bad in
        ["", "/etc/passwd", "../a", "a/../../b", "a//b", "./a", "a\u{1b}[2J", "a\0", "\u{202e}a", &long]
    {
        let refused = lfs.post("locks", &json!({"path": bad})).await;
        assert_eq!((refused.status, refused.header("content-type")), (422, LFS_JSON), "{bad:?}");
    }
    assert_eq!(lfs.get("locks").await.json()["locks"], json!([]));
    server.stop().await;
}

/// The client prints the field `message` of an error.
#[actix_web::test]
async fn invalid_query_is_refused_in_the_form_of_git_lfs() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    for rest in ["locks?limit=abc", "locks?limit=-1"] {
        let refused = lfs.get(rest).await;
        assert_eq!((refused.status, refused.header("content-type")), (400, LFS_JSON), "{rest}");
        assert!(refused.json()["message"].as_str().unwrap().contains("query"), "{rest}");
    }
    server.stop().await;
}
