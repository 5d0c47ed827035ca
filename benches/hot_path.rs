//! The steps of the hot path of a message, each measured alone: `cargo bench`. Results compare only
//! with those of the same machine.
//!
//! Codec, read models, delivery to a thousand outboxes, and commits of 1, 16 and 512 messages on a
//! real disk.

#![allow(clippy::unwrap_used, reason = "a benchmark without its setup cannot run")]

mod writer_fixture;

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use futures_util::FutureExt;
use netbit::actors::cache::ReadModels;
use netbit::actors::outbox::{DeliveryMeter, Outbox, OutboxDrain};
use netbit::client::{encode, saying};
use netbit::domain::event::{Change, ChatEvent, Event};
use netbit::domain::ids::{ChatId, MessageId, UserId};
use netbit::domain::message::{ClientId, Message};
use netbit::domain::timestamp::Timestamp;
use netbit::protocol::answer::{AckPacket, ServerPacket};
use netbit::protocol::view::EventView;
use netbit::protocol::{framing, packet};
use netbit::storage::snapshot;

use crate::writer_fixture::{WriterFixture, content};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler<mimalloc::MiMalloc> = divan::AllocProfiler::new(mimalloc::MiMalloc);

const PAGE: usize = 50;

fn main() {
    divan::main();
}

fn message(seq: i64) -> Arc<Message> {
    Arc::new(Message {
        id: MessageId(1_000_000 + seq),
        chat_id: ChatId(17),
        seq,
        sender_id: UserId(42),
        client_id: ClientId::fresh(),
        content: content(),
        reply_to: None,
        metadata: None,
        created_at: Timestamp(1_760_000_000_123 + seq),
        edited_at: None,
        deleted: false,
        pinned: false,
        reactions: Vec::new(),
        files: Vec::new(),
        thread_id: None,
        updated_seq: None,
        ordinal: seq,
    })
}

fn event(seq: i64) -> ChatEvent {
    let change = Change::Message(message(seq));
    ChatEvent { chat_id: ChatId(17), seq, actor_id: UserId(42), created_at: Timestamp(0), change }
}

fn page() -> Vec<Arc<Message>> {
    (1..).take(PAGE).map(message).collect()
}

#[divan::bench_group]
mod codec {
    use super::*;

    #[divan::bench]
    fn decode_send_message(bencher: Bencher<'_, '_>) {
        let frame = encode(&saying(ChatId(17), ClientId::fresh(), &content())).unwrap();
        let packet = framing::packet_of(&frame);
        bencher.bench(|| packet::decode(black_box(&packet)));
    }

    #[divan::bench]
    fn encode_event(bencher: Bencher<'_, '_>) {
        let event = event(7);
        bencher.bench(|| EventView::pushed(black_box(&event)).frame());
    }

    #[divan::bench]
    fn encode_ack(bencher: Bencher<'_, '_>) {
        let ack = ServerPacket::Ack(AckPacket {
            request_id: Some(7),
            success: true,
            message_id: Some(MessageId(1_000_000)),
            seq: Some(100_000),
            ..AckPacket::default()
        });
        bencher.bench(|| framing::encode(black_box(&ack)));
    }

    #[divan::bench]
    fn page_as_message_pack(bencher: Bencher<'_, '_>) {
        let page = page();
        bencher.bench(|| {
            let messages = page.iter().map(|message| &**message).collect();
            let answer = ServerPacket::Messages {
                request_id: Some(7),
                chat_id: ChatId(17),
                messages,
                has_more: true,
                as_of: 50,
            };
            framing::encode_about(black_box(&answer), 32 * 1024)
        });
    }

    #[divan::bench]
    fn page_as_json(bencher: Bencher<'_, '_>) {
        let page: Vec<_> = page();
        bencher.bench(|| {
            let items: Vec<&Message> = page.iter().map(|message| &**message).collect();
            let mut body = Vec::with_capacity(32 * 1024);
            sonic_rs::to_writer(&mut body, black_box(&items)).unwrap();
            body
        });
    }
}

#[divan::bench_group]
mod fan_out {
    use super::*;

    /// Pushes a frame into each outbox, and takes it out again as the socket task does.
    #[divan::bench]
    fn to_1000_outboxes(bencher: Bencher<'_, '_>) {
        let frame = EventView::pushed(&event(7)).frame();
        let mut outboxes: Vec<(Arc<Outbox>, OutboxDrain)> =
            (0..1000).map(|_| Outbox::new(1 << 20, 512, DeliveryMeter::default())).collect();
        let mut out = Vec::new();
        bencher.counter(ItemsCount::new(1000_usize)).bench_local(|| {
            for (outbox, _) in &outboxes {
                assert!(outbox.push(black_box(&frame)));
            }
            for (_, drain) in &mut outboxes {
                drain.next(&mut out).now_or_never();
                drain.written(out.len(), frame.len());
                out.clear();
            }
        });
    }
}

#[divan::bench_group(sample_count = 50, sample_size = 4)]
mod writer {
    use super::*;

    #[divan::bench(args = [1, 16, 512])]
    fn commit(bencher: Bencher<'_, '_>, count: usize) {
        let fixture = std::cell::RefCell::new(WriterFixture::new());
        bencher
            .counter(ItemsCount::new(count))
            .with_inputs(|| fixture.borrow().batch(count))
            .bench_local_values(|commands| fixture.borrow_mut().commit(commands));
    }
}

#[divan::bench_group(sample_count = 50, sample_size = 1)]
mod cache {
    use super::*;

    #[divan::bench]
    fn apply_512_messages(bencher: Bencher<'_, '_>) {
        let mut fixture = WriterFixture::new();
        let snapshot = snapshot::load(fixture.executor.connection(), 100, 1 << 20).unwrap();
        let models = std::cell::RefCell::new(ReadModels::load(snapshot, 100, 1 << 20));
        let fixture = std::cell::RefCell::new(fixture);
        let commit = || -> (i64, Vec<Event>) {
            let commands = fixture.borrow().batch(512);
            let committed = fixture.borrow_mut().commit(commands);
            (committed.commit_no, committed.events)
        };
        bencher.counter(ItemsCount::new(512_usize)).with_inputs(commit).bench_local_values(|(no, events)| {
            let mut lane = Vec::new();
            black_box(models.borrow_mut().apply(no, &events, &mut lane));
            (lane, events)
        });
    }
}
