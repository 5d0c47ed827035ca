//! The header with which nodes forward requests, and nodes that are behind.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use sha2::{Digest, Sha256};

use super::link::Link;
use super::repositories::{Nodes, environment, hello_web, login};
use crate::harness::{PASSWORD, Process, assert_problem, soon, until};

const BRANCHES: &str = "/api/projects/alice/hello/repos/web/branches";

/// Returns the header of a GET request without credentials, as a node signs it for the node `to`.
pub(super) fn hop(nodes: &Nodes, to: &str, address: &str) -> String {
    let key = nodes.query("SELECT value FROM secrets WHERE name = 'signing'");
    let derived = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    let derived = derived.chain_update(b"netbit hop, version 2\0").finalize().into_bytes();
    let text = "203.0.113.9 0 0";
    let mut mac = Hmac::<Sha256>::new_from_slice(&derived).unwrap();
    mac.update(&Sha256::digest(b""));
    mac.update(format!("{to}\0GET\0{address}\0{text}\0").as_bytes());
    format!("{text} {}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

async fn get(node: &Process, hop: &str, token: Option<&str>) -> StatusCode {
    let url = format!("http://{}{BRANCHES}", node.address());
    let request = reqwest::Client::new().get(url).header("netbit-hop", hop);
    let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
    soon(request.send()).await.unwrap().status()
}

#[actix_web::test]
async fn forwarded_request_is_answered_where_it_arrives() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "public").await;
    until(async || nodes.b.http.get(BRANCHES).await.unwrap().status == 200).await;
    assert_eq!(get(&nodes.b, &hop(&nodes, "b", BRANCHES), None).await, StatusCode::SERVICE_UNAVAILABLE);
    // A header that was recorded elsewhere is ignored: b forwards the request.
    let token = login_token(&nodes.a).await;
    for (to, address, token) in [
        ("a", BRANCHES, None),
        ("b", "/api/projects/alice/hello/repos/web", None),
        ("b", BRANCHES, Some(token.as_str())),
    ] {
        assert_eq!(get(&nodes.b, &hop(&nodes, to, address), token).await, StatusCode::OK, "{to} {address}");
    }
    nodes.a.stop().await;
    nodes.b.stop().await;
}

async fn login_token(node: &Process) -> String {
    node.http.login("alice", PASSWORD).await.unwrap().token
}

#[actix_web::test]
async fn node_that_is_behind_is_named_to_readers_only() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    hello_web(&nodes.a, "private").await;
    nodes.a.http.register("eve", PASSWORD).await.unwrap();
    let (alice, eve) = (login(&nodes.b, "alice").await, login(&nodes.b, "eve").await);
    nodes.a.kill();
    let link = Link::to(&nodes.database);
    nodes.a = Process::with(nodes.folders[0].path(), &environment(&link.url, "a")).await;
    until(async || alice.get(BRANCHES).await.unwrap().status == 200).await;
    link.cut();
    // a has lost the database, and b has not.
    until(async || {
        let answer = alice.get(BRANCHES).await.unwrap();
        answer.status == 503 && answer.body["detail"].as_str().unwrap().contains("the node a")
    })
    .await;
    assert_problem(&eve.get(BRANCHES).await.unwrap(), 404, "not_found");
    assert_problem(&nodes.b.http.get(BRANCHES).await.unwrap(), 401, "unauthenticated");
    link.mend();
    until(async || alice.get(BRANCHES).await.unwrap().status == 200).await;
    nodes.a.stop().await;
    nodes.b.stop().await;
}
