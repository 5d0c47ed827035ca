//! The stateless parts: a UDP socket that echoes datagrams, and an HTTP handler that returns fixed
//! bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::net::UdpSocket;
use tokio::task::spawn_local;

const DATAGRAM_BYTES: usize = 2048;
const BODY_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn serve_udp() -> anyhow::Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.context("cannot bind UDP")?;
    let address = socket.local_addr()?;
    spawn_local(async move {
        let mut buffer = [0; DATAGRAM_BYTES];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            if let Err(error) = socket.send_to(buffer.get(..count).unwrap_or_default(), from).await {
                eprintln!("floor: {error}");
            }
        }
    });
    Ok(address)
}

type Body = Data<Arc<ArcSwap<Bytes>>>;

/// Serves the bytes of `PUT /body` at `GET /body`, on its own threads: one worker per core, as
/// NetBit.
pub(super) fn serve_http() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("floor-http".to_owned()).spawn(move || {
        let body = Arc::new(ArcSwap::from_pointee(Bytes::new()));
        let make = move || {
            App::new()
                .app_data(Data::new(body.clone()))
                .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
                .route("/body", web::put().to(put))
                .route("/body", web::get().to(get))
        };
        let served = actix_web::rt::System::new().block_on(async move {
            HttpServer::new(make).workers(2).disable_signals().listen(listener)?.run().await
        });
        if let Err(error) = served {
            eprintln!("floor: {error}");
        }
    })?;
    Ok(address)
}

async fn put(body: Body, new: Bytes) -> HttpResponse {
    body.store(Arc::new(new));
    HttpResponse::NoContent().insert_header(("content-length", "0")).finish()
}

async fn get(body: Body) -> HttpResponse {
    let bytes = Bytes::clone(&body.load());
    HttpResponse::Ok().content_type("application/json").body(bytes)
}
