//! The handle of a hub: one bounded lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::actor::HubActor;
use super::messages::{LaneItem, LaneItems};
use crate::core::actor::Mailbox;

/// Delivers items to the hub of one session thread. Cheap to clone; only the cache delivers.
#[derive(Clone)]
pub struct HubHandle {
    mailbox: Mailbox<HubActor>,
    /// Bytes of queued events that the hub has not handled yet.
    pending: Arc<AtomicUsize>,
    pending_max: usize,
}

impl HubHandle {
    pub fn new(mailbox: Mailbox<HubActor>, pending: Arc<AtomicUsize>, pending_max: usize) -> Self {
        Self { mailbox, pending, pending_max }
    }

    /// Queues items without waiting. When the hub's queue is full, its events are dropped and its
    /// sessions must reconnect. This is the only edge between actors that may lose messages.
    pub fn deliver(&self, mut items: Vec<LaneItem>) {
        let mut bytes: usize = items.iter().map(LaneItem::bytes).sum();
        if bytes > 0 && self.pending.load(Relaxed) + bytes > self.pending_max {
            let at = items.iter().position(LaneItem::is_push).unwrap_or(0);
            items.retain(|item| !item.is_push());
            items.insert(at.min(items.len()), LaneItem::Lost);
            bytes = 0;
        }
        self.pending.fetch_add(bytes, Relaxed);
        self.mailbox.post(LaneItems { items, bytes });
    }
}

#[cfg(test)]
mod tests {
    use crate::actors::outbox::{DeliveryMeter, Outbox};
    use bytes::Bytes;

    use super::*;
    use crate::actors::hub::SessionSubscription;
    use crate::core::actor::{ActorStats, FatalSignal, Reply, start};
    use crate::domain::access::Credential;
    use crate::domain::event::{Change, ChatEvent};
    use crate::domain::ids::{ChatId, LoginId, SessionId, UserId};
    use crate::domain::timestamp::Timestamp;
    use crate::protocol::answer::ReceivedPacket;

    fn event(seq: i64) -> LaneItem {
        let change = Change::Archive { archived: true };
        let event =
            ChatEvent { chat_id: ChatId(1), seq, actor_id: UserId(1), created_at: Timestamp(0), change };
        LaneItem::Event { event: event.into(), frame: Bytes::from(vec![0; 100]), joiner: None }
    }

    #[actix_web::test]
    async fn hub_ends_its_sessions_when_its_lane_is_full() {
        let arbiter = actix::Arbiter::new();
        let pending = Arc::new(AtomicUsize::new(0));
        let (stats, owned) = (ActorStats::new::<HubActor>(None), pending.clone());
        let mailbox = start(&arbiter.handle(), stats, FatalSignal::new().0, move |_| HubActor::new(owned));
        let hub = HubHandle::new(mailbox, pending.clone(), 1000);
        let (outbox, mut drain) = Outbox::new(100_000, 1000, DeliveryMeter::default());
        let who = Credential::login(UserId(1), LoginId(1), 1);
        let (reply, registered) = Reply::channel();
        hub.deliver(vec![LaneItem::Registered {
            subscription: SessionSubscription { session: SessionId(1), who, outbox, echo: true },
            chats: vec![(ChatId(1), 0)],
            welcome: Bytes::from_static(b"welcome"),
            reply,
        }]);
        registered.await.unwrap().unwrap();
        // The hub's thread is blocked while events keep coming.
        let (release, wait) = std::sync::mpsc::channel::<()>();
        arbiter.spawn_fn(move || assert!(wait.recv().is_err()));
        for seq in 1..=20 {
            hub.deliver(vec![event(seq)]);
            assert!(pending.load(Relaxed) <= 1000);
        }
        drop(release);
        let mut frames = Vec::new();
        while drain.next(&mut frames).await == crate::actors::outbox::Drained::Frames {}
        let last: ReceivedPacket = rmp_serde::from_slice(&frames.pop().unwrap()[4..]).unwrap();
        assert_eq!(
            (last.packet_type.as_str(), last.code.as_deref(), last.reconnect),
            ("Goodbye", Some("overloaded"), true)
        );
        assert!(frames.len() <= 11, "welcome and the ten events that fitted");
        arbiter.stop();
        arbiter.join().unwrap();
    }
}
