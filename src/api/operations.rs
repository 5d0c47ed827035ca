//! The operations listener: is the server alive, is it ready, what do its mailboxes look like.
//!
//! It binds first and answers while everything else is still starting. On loopback by default: it has no login.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};

use actix_web::{HttpResponse, web};
use serde::Serialize;
use tokio::sync::watch;

use crate::actors::cache::{CacheCounters, CacheSnapshot};
use crate::actors::presence::{DatagramCounters, DatagramSnapshot};
use crate::core::actor::{ActorSnapshot, ActorStats};

/// What there is to see. Filled in while the server starts.
#[derive(Clone)]
pub struct Operations {
    ready: Arc<AtomicBool>,
    seen: watch::Receiver<Seen>,
}

#[derive(Clone, Default)]
struct Seen {
    actors: Vec<Arc<ActorStats>>,
    cache: Option<Arc<CacheCounters>>,
    udp: Option<Arc<DatagramCounters>>,
}

/// The side of [`Operations`] that the application turns.
pub struct Readiness {
    ready: Arc<AtomicBool>,
    seen: watch::Sender<Seen>,
}

#[derive(Serialize)]
struct Mailboxes {
    actors: Vec<ActorSnapshot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<CacheSnapshot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udp: Option<DatagramSnapshot>,
}

impl Operations {
    pub fn new() -> (Self, Readiness) {
        let ready = Arc::new(AtomicBool::new(false));
        let (sender, seen) = watch::channel(Seen::default());
        (Self { ready: ready.clone(), seen }, Readiness { ready, seen: sender })
    }
}

impl Readiness {
    pub fn show(&self, actors: Vec<Arc<ActorStats>>, cache: Arc<CacheCounters>, udp: Arc<DatagramCounters>) {
        self.seen.send_replace(Seen { actors, cache: Some(cache), udp: Some(udp) });
    }

    pub fn set(&self, ready: bool) {
        self.ready.store(ready, Release);
    }
}

/// The routes of the operations listener.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/livez").get(livez))
        .service(web::resource("/readyz").get(readyz))
        .service(web::resource("/actors").get(actors));
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("alive\n")
}

async fn readyz(operations: web::Data<Operations>) -> HttpResponse {
    if operations.ready.load(Acquire) {
        HttpResponse::Ok().content_type("text/plain").body("ready\n")
    } else {
        HttpResponse::ServiceUnavailable().content_type("text/plain").body("not ready\n")
    }
}

async fn actors(operations: web::Data<Operations>) -> HttpResponse {
    let seen = operations.seen.borrow().clone();
    let actors = seen.actors.iter().map(|stats| stats.snapshot()).collect();
    let cache = seen.cache.map(|counters| counters.snapshot());
    let udp = seen.udp.map(|counters| counters.snapshot());
    HttpResponse::Ok().json(Mailboxes { actors, cache, udp })
}

#[cfg(test)]
mod tests {
    use actix_web::{App, test};

    use super::*;

    #[actix_web::test]
    async fn a_server_is_alive_before_it_is_ready_and_while_it_stops() {
        let (operations, readiness) = Operations::new();
        let app = test::init_service(App::new().app_data(web::Data::new(operations)).configure(routes)).await;
        let ask = async |path: &str| {
            let request = test::TestRequest::get().uri(path).to_request();
            test::call_service(&app, request).await.status().as_u16()
        };
        assert_eq!((ask("/livez").await, ask("/readyz").await), (200, 503));
        readiness.set(true);
        assert_eq!((ask("/livez").await, ask("/readyz").await), (200, 200));
        readiness.set(false);
        assert_eq!((ask("/livez").await, ask("/readyz").await), (200, 503));
    }
}
