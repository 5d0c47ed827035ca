//! Metrics of the actors' mailboxes, per type of message.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::{Export, Rows};
use crate::core::actor::{ActorSnapshot, ActorStats, MessageSnapshot};

/// Every kind of actor of one application.
#[derive(Debug, Clone)]
pub struct Mailboxes(pub Vec<Arc<ActorStats>>);

impl Export for Mailboxes {
    fn export(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

impl Collector for Mailboxes {
    fn encode(&self, encoder: DescriptorEncoder) -> std::fmt::Result {
        let actors: Vec<_> = self.0.iter().map(|stats| stats.snapshot()).collect();
        let by_message = |value: fn(&MessageSnapshot) -> u64, unit: f64| {
            let rows = actors.iter().flat_map(move |actor| {
                let row = move |message: &MessageSnapshot| {
                    ([("actor", actor.actor), ("message", message.message)], value(message) as f64 * unit)
                };
                actor.messages.iter().map(row)
            });
            rows.collect::<Vec<_>>()
        };
        let by_actor = |value: fn(&ActorSnapshot) -> Option<u64>| {
            let row =
                |actor: &ActorSnapshot| value(actor).map(|value| ([("actor", actor.actor)], value as f64));
            actors.iter().filter_map(row).collect::<Vec<_>>()
        };
        let mut rows = Rows(encoder);
        rows.gauges(
            "netbit_actor_mailbox_capacity",
            "Requests that may be inside the actor at once; absent if it receives only events",
            by_actor(|actor| actor.capacity.and_then(|capacity| u64::try_from(capacity).ok())),
        )?;
        rows.gauges(
            "netbit_actor_asks_inside",
            "Requests that hold a permit: in the mailbox, being handled, or committed and not yet applied",
            by_actor(|actor| actor.inside.and_then(|inside| u64::try_from(inside).ok())),
        )?;
        rows.gauges(
            "netbit_actor_mailbox_depth",
            "Messages that wait in the mailbox",
            by_message(|message| message.depth, 1.0),
        )?;
        rows.gauges(
            "netbit_actor_mailbox_depth_max",
            "The most messages that ever waited in the mailbox",
            by_message(|message| message.high_water, 1.0),
        )?;
        rows.counters(
            "netbit_actor_messages",
            "Messages that were handled",
            by_message(|message| message.handled, 1.0),
        )?;
        rows.counters(
            "netbit_actor_slot_wait_seconds",
            "Time that requests waited for a permit",
            by_message(|message| message.slot_wait_us, MICRO),
        )?;
        rows.counters(
            "netbit_actor_queue_wait_seconds",
            "Time that messages waited in the mailbox",
            by_message(|message| message.queue_wait_us, MICRO),
        )?;
        rows.counters(
            "netbit_actor_handling_seconds",
            "Time that handlers ran",
            by_message(|message| message.handling_us, MICRO),
        )?;
        rows.counters(
            "netbit_actor_refusals",
            "Requests that got no permit in time",
            by_message(|message| message.refused, 1.0),
        )?;
        rows.counters(
            "netbit_actor_panics",
            "Handlers that panicked",
            by_message(|message| message.panics, 1.0),
        )?;
        rows.counters(
            "netbit_actor_restarts",
            "Restarts after a panic",
            by_actor(|actor| Some(actor.restarts)),
        )
    }
}

const MICRO: f64 = 1e-6;
