//! The operations listener: liveness, readiness, metrics, and the state of the mailboxes.
//!
//! It binds first and answers while everything else is still starting. It is on loopback by
//! default, because it has no login.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tracing::error;

use crate::actors::cache::{CacheCounters, CacheSnapshot};
use crate::actors::freshness::Freshness;
use crate::actors::presence::{DatagramCounters, DatagramSnapshot};
use crate::core::actor::{ActorSnapshot, ActorStats};
use crate::core::metrics;

/// The data that the operations listener serves.
#[derive(Clone)]
pub struct Operations {
    state: Arc<OpsState>,
}

/// The metrics and states of an application.
pub struct OpsState {
    pub actors: Vec<Arc<ActorStats>>,
    pub cache: CacheCounters,
    pub udp: DatagramCounters,
    /// 1 while the server serves requests.
    pub ready: Gauge,
    /// 1 from the beginning of the stop.
    pub stopping: Gauge,
    pub freshness: Freshness,
    pub registry: Arc<Registry>,
}

/// Sets the readiness that [`Operations`] reports.
pub struct Readiness {
    ready: Gauge,
    stopping: Gauge,
}

#[derive(Serialize)]
struct Mailboxes {
    actors: Vec<ActorSnapshot>,
    cache: CacheSnapshot,
    udp: DatagramSnapshot,
}

impl Operations {
    pub fn new(state: OpsState) -> (Self, Readiness) {
        let (ready, stopping) = (state.ready.clone(), state.stopping.clone());
        (Self { state: Arc::new(state) }, Readiness { ready, stopping })
    }
}

impl Readiness {
    /// Records that the start is complete.
    pub fn begin_serving(&self) {
        self.ready.set(1);
    }

    /// Records that the stop has begun.
    pub fn begin_stop(&self) {
        self.ready.set(0);
        self.stopping.set(1);
    }
}

/// Registers the routes of the operations listener.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/livez").get(livez))
        .service(web::resource("/readyz").get(readyz))
        .service(web::resource("/metrics").get(metrics))
        .service(web::resource("/actors").get(actors));
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("alive\n")
}

async fn readyz(operations: web::Data<Operations>) -> HttpResponse {
    let state = &operations.state;
    if state.freshness.is_stale() {
        HttpResponse::ServiceUnavailable()
            .content_type("text/plain")
            .body("stale: PostgreSQL does not answer\n")
    } else if state.ready.get() == 1 {
        HttpResponse::Ok().content_type("text/plain").body("ready\n")
    } else {
        let reason = if state.stopping.get() == 1 { "stopping" } else { "starting" };
        let text = format!("not ready: {reason}\n");
        HttpResponse::ServiceUnavailable().content_type("text/plain").body(text)
    }
}

async fn actors(operations: web::Data<Operations>) -> HttpResponse {
    let state = &operations.state;
    let actors = state.actors.iter().map(|stats| stats.snapshot()).collect();
    let (cache, udp) = (state.cache.snapshot(), state.udp.snapshot());
    HttpResponse::Ok().json(Mailboxes { actors, cache, udp })
}

async fn metrics(operations: web::Data<Operations>) -> HttpResponse {
    match metrics::render(&operations.state.registry) {
        Ok(text) => HttpResponse::Ok().content_type(metrics::CONTENT_TYPE).body(text),
        Err(error) => {
            error!(%error, "cannot encode the metrics");
            HttpResponse::InternalServerError().finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, test};

    use super::*;

    #[actix_web::test]
    async fn server_is_alive_before_ready_and_while_stopping() {
        let state = OpsState {
            actors: Vec::new(),
            cache: CacheCounters::default(),
            udp: DatagramCounters::default(),
            ready: Gauge::default(),
            stopping: Gauge::default(),
            freshness: Freshness::new(None),
            registry: Arc::default(),
        };
        let (operations, readiness) = Operations::new(state);
        let app = test::init_service(App::new().app_data(web::Data::new(operations)).configure(routes)).await;
        let ask = async |path: &str| {
            let request = test::TestRequest::get().uri(path).to_request();
            test::call_service(&app, request).await.status().as_u16()
        };
        let text = async || {
            let request = test::TestRequest::get().uri("/readyz").to_request();
            String::from_utf8(test::call_and_read_body(&app, request).await.to_vec()).unwrap()
        };
        assert_eq!((ask("/livez").await, ask("/readyz").await), (200, 503));
        assert_eq!(text().await, "not ready: starting\n");
        readiness.begin_serving();
        assert_eq!((ask("/livez").await, ask("/readyz").await), (200, 200));
        readiness.begin_stop();
        assert_eq!((ask("/livez").await, ask("/readyz").await), (200, 503));
        assert_eq!(text().await, "not ready: stopping\n");
    }
}
