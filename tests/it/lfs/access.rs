//! Access to objects: the rules of git, and the links of a batch.

use base64::Engine;
use reqwest::Method;
use serde_json::json;

use crate::harness::files::blobs;
use crate::harness::lfs::{LfsClient, oid};
use crate::harness::{PASSWORD, TestServer};

#[actix_web::test]
async fn every_role_may_do_what_git_permits() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let mut people = vec![("anonymous", None), ("outsider", Some(server.user("outsider").await))];
    for role in ["reader", "writer", "maintainer"] {
        people.push((role, Some(server.user(role).await)));
    }
    for visibility in ["public", "private"] {
        alice.project(visibility, visibility).await;
        alice.repository(visibility, "web").await;
        for role in ["reader", "writer", "maintainer"] {
            alice.member(visibility, role, role).await;
        }
        let path = format!("alice/{visibility}/web");
        let id = LfsClient::of(&server, &path, &alice).push(visibility.as_bytes()).await;
        for (role, person) in &people {
            let public = visibility == "public";
            let (read, push) = match *role {
                "anonymous" if public => (200, 401),
                "anonymous" => (401, 401),
                "outsider" if public => (200, 403),
                "outsider" => (404, 404),
                "reader" => (200, 403),
                _ => (200, 200),
            };
            let lfs = LfsClient::new(
                &server.app.addresses.http.to_string(),
                &path,
                person.as_ref().map(|person| &person.http),
            );
            let story = format!("{role} on {visibility}");
            let object = [(id.as_str(), visibility.len())];
            assert_eq!(lfs.batch("download", &object).await.status, read, "{story}");
            assert_eq!(lfs.get(&format!("objects/{id}")).await.status, read, "{story}");
            assert_eq!(lfs.get("locks").await.status, read, "{story}");
            assert_eq!(lfs.batch("upload", &object).await.status, push, "{story}");
            let put = lfs.send(Method::PUT, &format!("objects/{id}"), visibility.into()).await;
            assert_eq!(put.status, push, "{story}");
            let verified = json!({"oid": id, "size": visibility.len()});
            assert_eq!(lfs.post("objects/verify", &verified).await.status, push, "{story}");
            assert_eq!(lfs.post("locks/verify", &json!({})).await.status, push, "{story}");
            let locked = lfs.post("locks", &json!({"path": *role})).await.status;
            assert_eq!(locked, if push == 200 { 201 } else { push }, "{story}");
            if read == 401 {
                let refused = lfs.batch("download", &object).await;
                for name in ["lfs-authenticate", "www-authenticate"] {
                    assert!(refused.header(name).starts_with("Basic realm="), "{name}");
                }
            }
        }
    }
    // A repository that does not exist is answered like one that must not be seen.
    let outsider = people[1].1.as_ref().unwrap();
    let of = async |path: &str| {
        let refused = LfsClient::of(&server, path, outsider).batch("download", &[]).await;
        (refused.status, refused.json()["message"].clone())
    };
    assert_eq!(of("alice/private/web").await, of("alice/private/none").await);
    server.stop().await;
}

#[actix_web::test]
async fn access_token_needs_its_scope_and_repository() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    alice.repository("hello", "other").await;
    let id = LfsClient::of(&server, &path, &alice).push(b"x").await;
    let object = [(id.as_str(), 1)];
    for (body, read, push) in [
        (json!({"name": "t", "scopes": ["repo:read"]}), 200, 403),
        (json!({"name": "t", "scopes": ["repo:write"]}), 200, 200),
        (json!({"name": "t", "scopes": ["chat:write"]}), 404, 404),
        (json!({"name": "t", "scopes": ["repo:write"], "repositories": ["alice/hello/web"]}), 200, 200),
        (json!({"name": "t", "scopes": ["repo:write"], "repositories": ["alice/hello/other"]}), 404, 404),
    ] {
        let (token_id, http) = alice.access_token(body.clone()).await;
        let basic = format!("git:{}", http.token().unwrap());
        let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(basic));
        let address = server.app.addresses.http.to_string();
        for lfs in
            [LfsClient::new(&address, &path, Some(&http)), LfsClient::with(&address, &path, Some(basic))]
        {
            assert_eq!(lfs.batch("download", &object).await.status, read, "{body}");
            assert_eq!(lfs.batch("upload", &object).await.status, push, "{body}");
        }
        // The links of a token end with it.
        if read == 200 {
            let lfs = LfsClient::new(&address, &path, Some(&http));
            let asked = lfs.asked("download", &id, 1).await;
            let download = &asked["actions"]["download"];
            assert_eq!(lfs.follow(Method::GET, download, vec![]).await.status, 200);
            let revoked = alice.delete(&format!("/api/users/me/tokens/{token_id}")).await;
            assert_eq!(revoked.status, 204);
            assert_eq!(lfs.follow(Method::GET, download, vec![]).await.status, 401);
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn link_is_for_its_repository_and_operation_only() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let path = alice.hello_web("private").await;
    alice.repository("hello", "other").await;
    alice.member("hello", "bob", "writer").await;
    // With a password, as git asks for it.
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("bob:{PASSWORD}"));
    let address = server.app.addresses.http.to_string();
    let lfs = LfsClient::with(&address, &path, Some(format!("Basic {basic}")));
    let id = lfs.push(b"one").await;
    let asked = lfs.asked("download", &id, 3).await;
    let link = asked["actions"]["download"]["header"]["Authorization"].as_str().unwrap().to_owned();
    assert!(!link.contains(&basic), "the password is not repeated");
    let upload = lfs.asked("upload", &oid(b"two"), 3).await["actions"]["upload"].clone();
    let upload_link = upload["header"]["Authorization"].as_str().unwrap().to_owned();
    let with = |link: &str, path: &str| LfsClient::with(&address, path, Some(link.to_owned()));
    let object = format!("objects/{id}");
    assert_eq!(with(&link, &path).get(&object).await.status, 200);
    assert_eq!(with(&link, "alice/hello/other").get(&object).await.status, 404);
    assert_eq!(with(&upload_link, &path).get(&object).await.status, 401);
    let put = async |link: &str, path: &str| {
        with(link, path).send(Method::PUT, &format!("objects/{}", oid(b"two")), b"two".into()).await.status
    };
    assert_eq!([put(&link, &path).await, put(&upload_link, "alice/hello/other").await], [401, 404]);
    for rest in ["objects/batch", "locks", "locks/verify"] {
        let refused = with(&upload_link, &path).post(rest, &json!({})).await;
        assert_eq!(refused.status, 401, "{rest}: a link makes no further links");
    }
    assert_eq!(with(&link.replace("nbl_", "nbl_A"), &path).get(&object).await.status, 401);
    let api = server.http.with_token(link.strip_prefix("Bearer ").unwrap()).get("/api/users/me").await;
    assert_eq!(api.unwrap().status, 401);
    // A member who was removed has nothing left.
    assert_eq!(alice.delete("/api/projects/alice/hello/members/bob").await.status, 204);
    assert_eq!(with(&link, &path).get(&object).await.status, 404);
    assert_eq!(put(&upload_link, &path).await, 404);
    assert_eq!(blobs(server.path()).len(), 1);
    drop(bob);
    server.stop().await;
}

#[actix_web::test]
async fn link_expires_and_the_client_requests_another() {
    let server = TestServer::with_limits(|limits| limits.lfs_link_seconds = 1).await;
    let alice = server.user("alice").await;
    let path = alice.hello_web("private").await;
    let lfs = LfsClient::of(&server, &path, &alice);
    let id = lfs.push(b"x").await;
    let asked = lfs.asked("download", &id, 1).await;
    assert_eq!(asked["actions"]["download"]["expires_in"], 1);
    crate::harness::until(async || {
        lfs.follow(Method::GET, &asked["actions"]["download"], vec![]).await.status == 401
    })
    .await;
    assert_eq!(lfs.pull(&id, 1).await.status, 200);
    server.stop().await;
}
