//! Metrics of HTTP requests, by route.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::page_names::PAGES;
use super::route_names::{DESCRIBED, OTHERS, name_of};
use crate::core::metrics::{Export, GaugeGuard, Labelled, seconds};

/// The label of a request without a route.
const NO_ROUTE: &str = "none";
/// The statuses that are counted separately.
const REFUSALS: [&str; 15] =
    ["400", "401", "403", "404", "405", "408", "409", "413", "414", "415", "422", "429", "500", "503", "507"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

type Labels<const N: usize> = [(&'static str, String); N];

/// Metrics of all requests of an application. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: Family<Labels<3>, Counter>,
    seconds: Family<Labels<2>, Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    refusals: Labelled<Counter, 1>,
    /// In the order of [`REFUSALS`].
    refused: Arc<[Counter; REFUSALS.len()]>,
    /// By route, then by method. All entries exist from the start, so a request finds its own
    /// without a lock.
    routes: Arc<HashMap<String, HashMap<String, RouteMeter>>>,
    none: Arc<RouteMeter>,
}

#[derive(Debug)]
struct RouteMeter {
    by_class: [Counter; CLASSES.len()],
    seconds: Histogram,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let requests = Family::<Labels<3>, Counter>::default();
        let durations = Family::<Labels<2>, Histogram>::new_with_constructor(seconds);
        let meter = |method: &str, route: &str| {
            let labels = [("method", method.to_owned()), ("route", route.to_owned())];
            let [of_method, of_route] = labels.clone();
            RouteMeter {
                by_class: CLASSES.map(|class| {
                    let status = ("status", class.to_owned());
                    requests.get_or_create_owned(&[of_method.clone(), of_route.clone(), status])
                }),
                seconds: durations.get_or_create_owned(&labels),
            }
        };
        let none = Arc::new(meter("any", NO_ROUTE));
        let mut routes: HashMap<String, HashMap<String, RouteMeter>> = HashMap::new();
        let listed = DESCRIBED.into_iter().chain(OTHERS).map(|(method, route, _)| (method, route));
        for (method, route) in listed.chain(PAGES) {
            let of_method = meter(method, route);
            routes.entry(route.to_owned()).or_default().insert(method.to_owned(), of_method);
        }
        let (in_flight, connections) = Default::default();
        let refusals = Labelled::<Counter, 1>::default();
        let refused = Arc::new(REFUSALS.map(|status| refusals.get_or_create_owned(&[("status", status)])));
        Self {
            requests,
            seconds: durations,
            in_flight,
            connections,
            refusals,
            refused,
            routes: Arc::new(routes),
            none,
        }
    }
}

impl HttpMetrics {
    /// Counts a connection of the listener until the returned guard is dropped.
    pub fn connected(&self) -> GaugeGuard {
        GaugeGuard::new(&self.connections)
    }

    pub(crate) fn begun(&self) -> GaugeGuard {
        GaugeGuard::new(&self.in_flight)
    }

    /// Records a completed request to `route` (in the notation of actix-web).
    pub(crate) fn answered(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let route = route.map(name_of);
        let known = route.and_then(|route| self.routes.get(&*route)?.get(method.as_str()));
        let meter = known.unwrap_or(&self.none);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = meter.by_class.get(class) {
            counter.inc();
        }
        if class >= 3 {
            let place = REFUSALS.iter().position(|refusal| *refusal == status.as_str());
            if let Some(counter) = place.and_then(|place| self.refused.get(place)) {
                counter.inc();
            }
        }
        meter.seconds.observe(took.as_secs_f64());
    }
}

impl Export for HttpMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Completed requests";
        registry.register("netbit_http_requests", help, self.requests.clone());
        let help = "Time from the request head to the response head";
        registry.register("netbit_http_request_seconds", help, self.seconds.clone());
        let help = "Refused or failed requests, by status of the response";
        registry.register("netbit_http_refusals", help, self.refusals.clone());
        registry.register("netbit_http_requests_in_flight", "Requests in progress", self.in_flight.clone());
        let help = "Connections of the HTTP listener, including WebSockets";
        registry.register("netbit_http_connections", help, self.connections.clone());
    }
}
