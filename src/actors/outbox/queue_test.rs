//! Rules of outboxes.

use bytes::Bytes;

use super::{DeliveryMeter, Drained, Outbox, OutboxDrain};
use crate::core::shares::{Holder, Slots};
use crate::protocol::answer::GoodbyeCode;

async fn drain(drain: &mut OutboxDrain) -> (Vec<Bytes>, Drained) {
    let mut frames = Vec::new();
    let state = drain.next(&mut frames).await;
    drain.written(frames.len(), frames.iter().map(Bytes::len).sum());
    (frames, state)
}

#[actix_web::test]
async fn full_outbox_accepts_replies_and_drops_pushes() {
    let (outbox, mut out) = Outbox::new(1000, 4, DeliveryMeter::default());
    let (push, soft) = (Bytes::from_static(b"push"), Bytes::from_static(b"soft"));
    outbox.welcome(Bytes::from_static(b"welcome"));
    assert_eq!(drain(&mut out).await.0, [&b"welcome"[..]]);
    assert_eq!((0..10).filter(|_| outbox.push_best_effort(&soft)).count(), 2);
    assert_eq!((0..10).filter(|_| outbox.push(&push)).count(), 2);
    outbox.reply(Bytes::from_static(b"reply"));
    let mut frames = drain(&mut out).await.0;
    frames.extend(drain(&mut out).await.0);
    assert_eq!(frames, [&soft[..], &soft[..], &push[..], &push[..], b"reply"]);
    assert_eq!(outbox.bytes(), 0);
    assert!(outbox.push(&push), "there is room again");
}

#[actix_web::test]
async fn soft_pushes_are_rejected_before_welcome() {
    let (outbox, mut out) = Outbox::new(1000, 4, DeliveryMeter::default());
    let soft = Bytes::from_static(b"soft");
    assert!(!outbox.push_best_effort(&soft), "it must be sent again");
    outbox.welcome(Bytes::from_static(b"welcome"));
    assert!(outbox.push_best_effort(&soft));
    assert_eq!(drain(&mut out).await.0, [&b"welcome"[..], &soft[..]]);
}

#[actix_web::test]
async fn outbox_bounds_bytes_as_well_as_frames() {
    let (outbox, _out) = Outbox::new(1000, 512, DeliveryMeter::default());
    let frame = Bytes::from(vec![0; 400]);
    assert_eq!([outbox.push(&frame), outbox.push(&frame), outbox.push(&frame)], [true, true, false]);
    assert!(outbox.bytes() < 1000 + 64);
}

#[actix_web::test]
async fn outbox_accepts_nothing_after_goodbye() {
    let (outbox, mut out) = Outbox::new(1000, 3, DeliveryMeter::default());
    outbox.goodbye(GoodbyeCode::Bye, false);
    outbox.reply(Bytes::from_static(b"late"));
    assert!(outbox.push(&Bytes::from_static(b"later")));
    let (frames, state) = drain(&mut out).await;
    assert_eq!((frames.len(), state), (1, Drained::Closed(Some(GoodbyeCode::Bye))));
}

#[actix_web::test]
async fn space_is_held_until_preceding_frames_are_written() {
    let crowd = Slots::of_space(100);
    let take = || crowd.enter_many(Holder::Operator, 10).unwrap();
    let (outbox, mut out) = Outbox::new(1000, 10, DeliveryMeter::default());
    outbox.reply(Bytes::from_static(b"page"));
    outbox.keep(take());
    outbox.reply(Bytes::from_static(b"behind"));
    let mut frames = Vec::new();
    out.next(&mut frames).await;
    assert_eq!((frames.len(), crowd.taken()), (2, 10));
    out.written(0, 3);
    assert_eq!(crowd.taken(), 10, "a byte of the page is missing");
    out.written(1, 1);
    assert_eq!(crowd.taken(), 0, "the frame after the page does not matter");
    outbox.reply(Bytes::from_static(b"page"));
    outbox.keep(take());
    drop(out);
    assert_eq!(crowd.taken(), 0, "the socket is gone");
}

#[actix_web::test]
async fn room_resolves_when_outbox_is_below_half() {
    let (outbox, mut out) = Outbox::new(100, 10, DeliveryMeter::default());
    assert!(outbox.push(&Bytes::from(vec![0; 80])));
    let waiting = {
        let outbox = outbox.clone();
        actix::spawn(async move { outbox.room().await })
    };
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drain(&mut out).await;
    waiting.await.unwrap();
}
