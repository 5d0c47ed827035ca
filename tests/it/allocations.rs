//! Counts the allocations per message, from its frame to the outboxes of its recipients.
//!
//! The count does not depend on the machine, so a step that becomes more expensive fails the test.

#[path = "../../benches/writer_fixture/mod.rs"]
mod writer_fixture;

use std::sync::Arc;

use allocation_counter::measure;
use netbit::actors::cache::ReadModels;
use netbit::actors::hub::LaneItem;
use netbit::actors::outbox::{DeliveryMeter, Outbox, OutboxDrain};
use netbit::client::{encode, saying};
use netbit::domain::ids::MessageId;
use netbit::domain::message::{ClientId, NewMessage};
use netbit::protocol::answer::{AckPacket, ServerPacket};
use netbit::protocol::{framing, packet};
use netbit::storage::snapshot;

use self::writer_fixture::{WriterFixture, content};

/// Number of messages in the counted batch.
const COUNTED: u64 = 512;
/// Maximum number of allocations per message with its listeners. The count at the time of writing
/// is 24.
const EACH_MAX: u64 = 25;
/// Number of listeners. Each listener costs a place in a queue, and so an allocation.
const LISTENERS: usize = 10;

#[test]
fn message_allocations_from_frame_to_outboxes_are_bounded() {
    let mut fixture = WriterFixture::new();
    let mut models = {
        let snapshot = snapshot::load(fixture.executor.connection(), 100, 1 << 20).unwrap();
        ReadModels::load(snapshot, 100, 1 << 20)
    };
    let outboxes: Vec<(Arc<Outbox>, OutboxDrain)> =
        (0..LISTENERS).map(|_| Outbox::new(1 << 30, 1 << 20, DeliveryMeter::default())).collect();
    let ack = |request_id: u64| {
        ServerPacket::Ack(AckPacket {
            request_id: Some(request_id),
            success: true,
            message_id: Some(MessageId(1)),
            seq: Some(1),
            ..AckPacket::default()
        })
    };
    // Warm-up: excludes allocations that happen once, such as statements, the writer's caches and
    // windows.
    for _ in 0..2 {
        let warm = fixture.batch(usize::try_from(COUNTED).unwrap());
        let committed = fixture.commit(warm);
        models.apply(committed.commit_no, &committed.events, &mut Vec::new());
    }
    // The client ids are newer than all earlier ids, as those of most clients are, so none is
    // looked up.
    let frames: Vec<_> = (0..COUNTED)
        .map(|_| framing::packet_of(&encode(&saying(fixture.chat, ClientId::fresh(), &content())).unwrap()))
        .collect();
    let mut delivered = 0;
    let spent = measure(|| {
        let mut commands = Vec::new();
        for frame in &frames {
            let decoded = packet::decode(frame).unwrap().message.unwrap();
            let content = decoded.content.unwrap();
            let message = NewMessage::parse(decoded.client_id, content, None, None, Vec::new()).unwrap();
            let (sender, _) = &outboxes[0];
            let (sender, ack) = (sender.clone(), ack(7));
            commands.push(fixture.queued(message, move |answer| {
                answer.unwrap();
                sender.reply_packet(&ack);
            }));
        }
        let committed = fixture.commit(commands);
        let mut lane = Vec::new();
        models.apply(committed.commit_no, &committed.events, &mut lane);
        for item in &lane {
            let LaneItem::Event { frame, .. } = item else { panic!("a message is an event") };
            delivered += outboxes.iter().filter(|(outbox, _)| outbox.push(frame)).count();
        }
    });
    assert_eq!(delivered, outboxes.len() * frames.len());
    let each = spent.count_total.div_ceil(COUNTED);
    assert!(each <= EACH_MAX, "{each} allocations for each message, {} in all", spent.count_total);
    println!("{each} allocations for each message");
}

/// The default level refuses the spans of requests, sessions and batches: they must cost nothing.
#[test]
fn span_below_the_log_level_allocates_nothing() {
    let filter = tracing_subscriber::EnvFilter::new("info");
    let subscriber =
        tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::sink).finish();
    let route = String::from("/api/chats/{id}/messages");
    tracing::subscriber::with_default(subscriber, || {
        let disabled = measure(|| {
            let span = tracing::debug_span!("request", request_id = "0190b6d2", method = %"GET", route);
            drop(span.in_scope(tracing::Span::current));
        });
        let enabled = measure(|| {
            let span = tracing::error_span!("request", request_id = "0190b6d2", method = %"GET", route);
            drop(span.in_scope(tracing::Span::current));
        });
        println!("a disabled span: {disabled:?}, an enabled span: {enabled:?}");
        assert_eq!(disabled.count_total, 0);
        assert!(enabled.count_total > 0, "the comparison has a span that is enabled");
    });
}
