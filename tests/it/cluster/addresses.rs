//! A node checks that the address which other nodes use leads to it.

use std::net::SocketAddr;

use netbit::client::metrics::Scrape;
use reqwest::StatusCode;
use tokio::net::{TcpListener, TcpStream};

use super::repositories::{Nodes, environment};
use super::storage_nodes::node;
use crate::harness::{Process, soon, until};

async fn is_wrong(node: &Process) -> bool {
    let (_, text) = node.operations("/metrics").await;
    Scrape::parse(&text).sum("netbit_own_address_wrong", &[]) > 0.5
}

/// Copies bytes between each client of the listener and `target`.
async fn forward(listener: TcpListener, target: SocketAddr) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(target).await.unwrap();
        actix::spawn(async move { drop(tokio::io::copy_bidirectional(&mut client, &mut server).await) });
    }
}

/// A wrong `cluster.address` showed only in the requests that other nodes could not forward.
#[actix_web::test]
async fn address_of_another_node_is_found_at_the_start() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    nodes.b.kill();
    let (folder, log) = (nodes.folders[1].path(), nodes.folders[1].path().join("log"));
    let of_a = format!("http://{}", nodes.a.address());
    let wrong =
        [&environment(&nodes.database, "b")[..], &[("NETBIT_CLUSTER__ADDRESS", of_a.as_str())]].concat();
    nodes.b = Process::logging(folder, &wrong, &log).await;
    until(async || is_wrong(&nodes.b).await).await;
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("check cluster.address") && logged.contains("node a answers"), "{logged}");
    let (said, done) = node(folder, &nodes.database, "b", &["list"]);
    let line = said.lines().find(|line| line.starts_with("b\t")).unwrap();
    assert!(done && line.contains(&of_a) && line.contains("itself there: node a answers"), "{said}");
    assert!(!is_wrong(&nodes.a).await, "the address of a leads to a");
    nodes.a.stop().await;
    nodes.b.stop().await;
}

#[actix_web::test]
async fn address_is_checked_until_it_leads_to_the_node() {
    let Some(mut nodes) = Nodes::start(&[]).await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    nodes.b.kill();
    let environment = environment(&nodes.database, "b");
    let later = [&environment[..], &[("NETBIT_CLUSTER__ADDRESS", address.as_str())]].concat();
    nodes.b = Process::with(nodes.folders[1].path(), &later).await;
    // The kernel accepts the connection, and nothing answers.
    until(async || is_wrong(&nodes.b).await).await;
    let forwarding = actix::spawn(forward(listener, nodes.b.address().parse().unwrap()));
    until(async || !is_wrong(&nodes.b).await).await;
    forwarding.abort();
    nodes.a.stop().await;
    nodes.b.stop().await;
}

/// The answer names the process of a node: only nodes of the database get it.
#[actix_web::test]
async fn strangers_do_not_learn_which_node_answers() {
    let Some(nodes) = Nodes::start(&[]).await else { return };
    let url = format!("http://{}/api/node", nodes.a.address());
    let client = reqwest::Client::new();
    let signed_for_a = super::hops::hop(&nodes, "a", "/api/node");
    let signed_for_any = super::hops::hop(&nodes, "", "/api/node");
    let get = async |hop: Option<&str>, url: &str| {
        let request = hop.into_iter().fold(client.get(url), |request, hop| request.header("netbit-hop", hop));
        let answer = soon(request.send()).await.unwrap();
        (answer.status(), soon(answer.text()).await.unwrap())
    };
    for hop in [None, Some("203.0.113.9 0 0 AAAA"), Some(signed_for_a.as_str())] {
        let (status, text) = get(hop, &url).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{text}");
        assert!(!text.contains("instance"), "{text}");
    }
    let (status, text) = get(Some(&signed_for_any), &url).await;
    let instance = nodes.query("SELECT instance FROM nodes WHERE name = 'a'");
    assert!(status == StatusCode::OK && text.contains(&instance), "{text}");
    // That header is not valid for any other request.
    let (status, _) = get(Some(&signed_for_any), &format!("{url}?x=1")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    nodes.a.stop().await;
    nodes.b.stop().await;
}
