//! `/admin/health`: the state of the server, and of the mailboxes of its actors.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::shell;
use crate::core::actor::{ActorSnapshot, MessageSnapshot};
use crate::core::plural::{plural, size};
use crate::domain::timestamp::Timestamp;
use crate::http::error::HttpResult;
use crate::services::Services;
use crate::services::health::Health;
use crate::web::layout::{self, Shell};
use crate::web::shown::{Moment, duration};
use crate::web::visitor::Visitor;

struct MessageRow {
    name: &'static str,
    depth: u64,
    high_water: u64,
    handled: u64,
    refused: u64,
    wait: String,
    handling: String,
    panics: u64,
}

struct ActorRow {
    name: &'static str,
    /// Requests inside, of the most that may be; empty without a bound.
    inside: String,
    depth: u64,
    high_water: u64,
    handled: u64,
    refused: u64,
    restarts: u64,
    panics: u64,
    wait: String,
    handling: String,
    messages: Vec<MessageRow>,
    /// The number of kinds of messages, with its noun.
    kinds: String,
}

/// Returns the mean of a total in microseconds.
fn mean(total_us: u64, number: u64) -> String {
    match total_us.checked_div(number) {
        None => "–".to_owned(),
        Some(us) if us < 1000 => format!("{us} µs"),
        Some(us) => format!("{}.{} ms", us / 1000, us / 100 % 10),
    }
}

impl From<&MessageSnapshot> for MessageRow {
    fn from(message: &MessageSnapshot) -> Self {
        Self {
            name: message.message,
            depth: message.depth,
            high_water: message.high_water,
            handled: message.handled,
            refused: message.refused,
            wait: mean(message.queue_wait_us, message.handled),
            handling: mean(message.handling_us, message.handled),
            panics: message.panics,
        }
    }
}

impl From<&ActorSnapshot> for ActorRow {
    fn from(actor: &ActorSnapshot) -> Self {
        let total = |part: fn(&MessageSnapshot) -> u64| {
            actor.messages.iter().map(part).fold(0_u64, u64::saturating_add)
        };
        let handled = total(|message| message.handled);
        let inside = actor.inside.zip(actor.capacity);
        let used = actor.messages.iter().filter(|message| message.enqueued > 0);
        let messages: Vec<_> = used.map(MessageRow::from).collect();
        Self {
            name: actor.actor,
            inside: inside.map(|(inside, capacity)| format!("{inside} of {capacity}")).unwrap_or_default(),
            depth: actor.depth,
            high_water: actor.high_water,
            handled,
            refused: actor.refused,
            restarts: actor.restarts,
            panics: total(|message| message.panics),
            wait: mean(total(|message| message.queue_wait_us), handled),
            handling: mean(total(|message| message.handling_us), handled),
            kinds: plural(messages.len(), "kind of message", "kinds of messages"),
            messages,
        }
    }
}

#[derive(Template)]
#[template(path = "admin/health.html")]
struct HealthPage {
    shell: Shell,
    is_ready: bool,
    version: &'static str,
    uptime: String,
    sessions: i64,
    disk_free: Option<String>,
    disk_total: Option<String>,
    database: String,
    log: String,
    backup: Option<Moment>,
    hit_rate: Option<String>,
    cache_memory: String,
    actors: Vec<ActorRow>,
    measured: Moment,
}

impl HealthPage {
    fn new(shell: Shell, health: &Health) -> Self {
        let storage = &health.storage;
        Self {
            shell,
            is_ready: health.ready,
            version: health.version,
            uptime: duration(health.uptime_seconds),
            sessions: health.sessions,
            disk_free: storage.disk_free_bytes.map(size),
            disk_total: storage.disk_total_bytes.map(size),
            database: size(storage.database_bytes),
            log: size(storage.wal_bytes),
            backup: storage.last_backup_at.map(Moment::of),
            hit_rate: health.cache.hit_rate.map(|rate| format!("{:.1} %", rate * 100.0)),
            cache_memory: size(u64::try_from(health.cache.counters.window_bytes).unwrap_or(0)),
            actors: health.actors.iter().map(ActorRow::from).collect(),
            measured: Moment::of(Timestamp::now()),
        }
    }
}

/// Returns the state of the server.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    let health = services.health(visitor.required()?).await?;
    layout::page(&request, &HealthPage::new(shell(&request, &visitor, "Health"), &health)).await
}
