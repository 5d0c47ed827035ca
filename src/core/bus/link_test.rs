//! The task of the bus over a transport in memory: hostile messages, losses, and full queues.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::envelope::{BusKey, Opener, Origin, SEALED_BYTES_MAX, Sealer, Topic};
use super::link::{Ends, Incoming, LinkError, Receiver, Sender, Transport, run};
use super::{BODY_BYTES_MAX, Bus, BusEvent, BusMetrics, QUEUE_MAX, Subscription};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(10);

/// A bus in memory. Clones share it.
#[derive(Clone, Default)]
struct Medium {
    subscribers: Rc<RefCell<Vec<mpsc::UnboundedSender<Vec<u8>>>>>,
    is_away: Rc<Cell<bool>>,
    attempts: Rc<Cell<usize>>,
}

impl Medium {
    fn publish(&self, message: &[u8]) {
        self.subscribers.borrow_mut().retain(|to| to.send(message.to_vec()).is_ok());
    }

    /// Ends all connections.
    fn cut(&self) {
        self.subscribers.borrow_mut().clear();
    }
}

impl Transport for Medium {
    type Sender = Self;
    type Receiver = mpsc::UnboundedReceiver<Vec<u8>>;

    async fn connect(&self) -> Result<(Self, mpsc::UnboundedReceiver<Vec<u8>>), LinkError> {
        self.attempts.set(self.attempts.get() + 1);
        if self.is_away.get() {
            return Err(LinkError::Ended);
        }
        let (to, messages) = mpsc::unbounded_channel();
        self.subscribers.borrow_mut().push(to);
        Ok((self.clone(), messages))
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

impl Sender for Medium {
    async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), LinkError> {
        messages.iter().for_each(|message| self.publish(message));
        Ok(())
    }
}

impl Receiver for mpsc::UnboundedReceiver<Vec<u8>> {
    async fn next(&mut self) -> Option<Incoming> {
        self.recv().await.map(Incoming::Message)
    }
}

/// Starts the bus of a node.
fn start(medium: &Medium, node: i16) -> (Bus, Subscription) {
    let (outgoing, to_send) = mpsc::channel(QUEUE_MAX);
    let (received, messages) = mpsc::channel(QUEUE_MAX);
    let (gap, metrics) = (std::sync::Arc::new(Notify::new()), BusMetrics::default());
    let (key, origin) = (BusKey::new(SECRET), Origin { node, instance: 1 });
    let ends = Ends {
        to_send,
        received,
        gap: gap.clone(),
        sealer: Sealer::new(key.clone(), origin),
        opener: Opener::new(key, origin),
        metrics: metrics.clone(),
    };
    actix::spawn(run(medium.clone(), ends));
    (Bus { outgoing, metrics }, Subscription { messages, gap })
}

async fn next(subscription: &mut Subscription) -> BusEvent {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("no event").expect("the task has ended")
}

async fn expect_gap(subscription: &mut Subscription) {
    let event = next(subscription).await;
    assert!(matches!(event, BusEvent::Gap), "{event:?}");
}

async fn expect_body(subscription: &mut Subscription, expected: &[u8]) {
    match next(subscription).await {
        BusEvent::Message(message) => assert_eq!(message.body, expected),
        BusEvent::Gap => panic!("a gap instead of {expected:?}"),
    }
}

#[actix_web::test]
async fn messages_reach_other_nodes_in_order_and_not_their_sender() {
    let medium = Medium::default();
    let ((first, mut at_first), (second, mut at_second)) = (start(&medium, 1), start(&medium, 2));
    expect_gap(&mut at_first).await;
    expect_gap(&mut at_second).await;
    for n in 0..200_u8 {
        first.publish(Topic::Presence, vec![n]);
    }
    for n in 0..200 {
        expect_body(&mut at_second, &[n]).await;
    }
    // The first message at the first node is that of the second: its own never arrive.
    second.publish(Topic::Login, b"from the second".to_vec());
    expect_body(&mut at_first, b"from the second").await;
    assert_eq!(first.metrics.snapshot().sent, 200);
    assert_eq!(second.metrics.snapshot().received, 200);
}

#[actix_web::test]
async fn hostile_messages_are_dropped_and_counted() {
    let medium = Medium::default();
    let ((first, mut at_first), (second, mut at_second)) = (start(&medium, 1), start(&medium, 2));
    expect_gap(&mut at_first).await;
    expect_gap(&mut at_second).await;
    let mut recorded = Sealer::new(BusKey::new(SECRET), Origin { node: 3, instance: 1 });
    let recorded = recorded.seal(Topic::Presence, b"recorded");
    let mut forged = recorded.clone();
    *forged.last_mut().unwrap() ^= 1;
    let hostile: [&[u8]; 6] =
        [b"", b"text", &[0; SEALED_BYTES_MAX + 1], &[1; 100], &[0xff; SEALED_BYTES_MAX], &forged];
    hostile.iter().for_each(|message| medium.publish(message));
    medium.publish(&recorded);
    medium.publish(&recorded);
    first.publish(Topic::Presence, b"after".to_vec());
    expect_body(&mut at_first, b"recorded").await;
    expect_body(&mut at_second, b"recorded").await;
    expect_body(&mut at_second, b"after").await;
    assert_eq!(second.metrics.snapshot().dropped, 7);
    first.publish(Topic::Presence, vec![0; BODY_BYTES_MAX + 1]);
    assert_eq!(first.metrics.snapshot().dropped, 7 + 1, "its own, and the one that is too large");
    first.publish(Topic::Presence, vec![7; BODY_BYTES_MAX]);
    expect_body(&mut at_second, &[7; BODY_BYTES_MAX]).await;
}

#[actix_web::test]
async fn lost_connection_is_replaced_and_reported_as_a_gap() {
    let medium = Medium::default();
    let (first, mut at_first) = start(&medium, 1);
    let (_second, mut at_second) = start(&medium, 2);
    for at in [&mut at_first, &mut at_second] {
        expect_gap(at).await;
    }
    medium.is_away.set(true);
    let attempts = medium.attempts.get();
    medium.cut();
    while medium.attempts.get() < attempts + 4 {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!first.metrics.snapshot().is_up);
    // Without a bus, publishing does not wait; the messages are dropped.
    for _ in 0..QUEUE_MAX * 2 {
        first.publish(Topic::Presence, b"lost".to_vec());
    }
    let dropped = || first.metrics.snapshot().dropped;
    assert!(dropped() >= u64::try_from(QUEUE_MAX).unwrap(), "{} dropped", dropped());
    while dropped() < u64::try_from(QUEUE_MAX * 2).unwrap() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    medium.is_away.set(false);
    for at in [&mut at_first, &mut at_second] {
        expect_gap(at).await;
    }
    assert!(first.metrics.snapshot().is_up);
    first.publish(Topic::Presence, b"again".to_vec());
    expect_body(&mut at_second, b"again").await;
}

#[actix_web::test]
async fn slow_subscriber_receives_a_gap_for_dropped_messages() {
    let medium = Medium::default();
    let (first, _at_first) = start(&medium, 1);
    let (second, mut at_second) = start(&medium, 2);
    expect_gap(&mut at_second).await;
    let too_many = u64::try_from(QUEUE_MAX).unwrap() + 10;
    for n in 0..too_many {
        first.publish(Topic::Presence, n.to_be_bytes().to_vec());
        while first.metrics.snapshot().sent <= n {
            tokio::task::yield_now().await;
        }
    }
    while second.metrics.snapshot().received < too_many {
        tokio::task::yield_now().await;
    }
    assert_eq!(second.metrics.snapshot().dropped, 10);
    expect_gap(&mut at_second).await;
    expect_body(&mut at_second, &0_u64.to_be_bytes()).await;
}

#[actix_web::test]
async fn bus_sends_waiting_messages_before_it_is_left() {
    let medium = Medium::default();
    let ((first, mut at_first), (_second, mut at_second)) = (start(&medium, 1), start(&medium, 2));
    expect_gap(&mut at_first).await;
    expect_gap(&mut at_second).await;
    first.publish(Topic::Presence, b"last".to_vec());
    first.leave().await;
    expect_body(&mut at_second, b"last").await;
    assert!(at_first.next().await.is_none(), "the task has ended");
    // A bus that cannot be reached is left as well.
    let away = Medium { is_away: Rc::new(Cell::new(true)), ..Medium::default() };
    let (third, mut at_third) = start(&away, 3);
    third.leave().await;
    assert!(at_third.next().await.is_none());
}

#[test]
fn oversized_message_is_not_copied_whole() {
    for (size, copied) in [(0, 0), (SEALED_BYTES_MAX, SEALED_BYTES_MAX), (1 << 20, SEALED_BYTES_MAX + 1)] {
        let Incoming::Message(bytes) = Incoming::copy_of(&vec![1; size]) else { panic!("no message") };
        assert_eq!(bytes.len(), copied, "{size} bytes");
    }
}
