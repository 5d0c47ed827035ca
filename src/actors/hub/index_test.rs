//! The index of one hub: delivery of frames to sessions.

use super::*;
use crate::actors::outbox::{DeliveryMeter, OutboxDrain};
use crate::core::actor::Reply;
use crate::domain::access::Credential;
use crate::domain::chat::ChatRole;
use crate::domain::ids::MessageId;
use crate::domain::message::Message;
use crate::domain::timestamp::Timestamp;
use crate::protocol::answer::ReceivedPacket;

struct Session(OutboxDrain);

impl Session {
    async fn frames(&mut self) -> Vec<Bytes> {
        let mut frames = Vec::new();
        self.0.next(&mut frames).await;
        frames
    }
}

fn register(index: &mut Index, session: u64, user: i64, echo: bool, chats: &[i64]) -> Session {
    let (outbox, drain) = Outbox::new(10_000, 100, DeliveryMeter::default());
    let who = Credential::login(UserId(user), LoginId(user * 10), 1);
    index.take(LaneItem::Registered {
        subscription: SessionSubscription { session: SessionId(session), who, outbox, echo },
        chats: chats.iter().map(|id| (ChatId(*id), 0)).collect(),
        welcome: Bytes::from_static(b"welcome"),
        reply: Reply::call(|_| ()),
    });
    Session(drain)
}

fn event(chat: i64, seq: i64, change: Change, frame: &'static str) -> LaneItem {
    let event =
        ChatEvent { chat_id: ChatId(chat), seq, actor_id: UserId(1), created_at: Timestamp(0), change };
    LaneItem::Event { event: event.into(), frame: Bytes::from_static(frame.as_bytes()), joiner: None }
}

fn rename(chat: i64, seq: i64, frame: &'static str) -> LaneItem {
    event(chat, seq, Change::Rename { name: "n".into() }, frame)
}

#[actix_web::test]
async fn session_receives_events_between_join_and_leave() {
    let mut index = Index::default();
    let mut bob = register(&mut index, 1, 2, true, &[]);
    let (user_id, role) = (UserId(2), ChatRole::Member);
    index.take(rename(7, 1, "before"));
    index.take(event(7, 2, Change::Join { user_id, role }, "join"));
    index.take(rename(7, 3, "between"));
    index.take(event(7, 4, Change::Leave { user_id, role }, "leave"));
    index.take(rename(7, 5, "after"));
    assert_eq!(bob.frames().await, ["welcome", "join", "between", "leave"]);
}

#[actix_web::test]
async fn personal_frame_reaches_every_session_of_its_user_only() {
    let mut index = Index::default();
    let [mut phone, mut desk] = [1, 2].map(|session| register(&mut index, session, 2, true, &[7]));
    let mut alice = register(&mut index, 3, 1, true, &[7]);
    let frame = Bytes::from_static(b"personal");
    index.take(LaneItem::Personal { user: UserId(2), frame, soft: false });
    index.take(rename(7, 1, "rename"));
    for session in [&mut phone, &mut desk] {
        assert_eq!(session.frames().await, ["welcome", "personal", "rename"]);
    }
    assert_eq!(alice.frames().await, ["welcome", "rename"]);
}

/// The two ways to find the users must have the same result: many chats with few members, and few
/// chats with many.
#[actix_web::test]
async fn change_of_a_user_reaches_users_of_common_chats_once() {
    for more_chats in [vec![], (100..120).collect::<Vec<i64>>()] {
        let mut index = Index::default();
        let common = [vec![7, 8], more_chats].concat();
        let mut own = register(&mut index, 1, 1, true, &common);
        let mut peer = register(&mut index, 2, 2, true, &common);
        let mut stranger = register(&mut index, 3, 3, true, &[9]);
        let chats: Vec<_> = common.iter().map(|id| ChatId(*id)).collect();
        let frame = Bytes::from_static(b"changed");
        index.take(LaneItem::UserChanged { user: UserId(1), chats: chats.into(), frame });
        index.take(rename(7, 1, "rename"));
        index.take(rename(9, 1, "other"));
        for session in [&mut own, &mut peer] {
            assert_eq!(session.frames().await, ["welcome", "changed", "rename"]);
        }
        assert_eq!(stranger.frames().await, ["welcome", "other"]);
    }
}

#[actix_web::test]
async fn change_reaches_a_user_without_chats_and_members_of_a_chat() {
    let mut index = Index::default();
    let mut own = register(&mut index, 1, 1, true, &[]);
    let mut member = register(&mut index, 2, 2, true, &[7]);
    let frame = |text: &'static str| Bytes::from_static(text.as_bytes());
    index.take(LaneItem::UserChanged { user: UserId(1), chats: Vec::new().into(), frame: frame("user") });
    index.take(LaneItem::ChatChanged { chat: ChatId(7), frame: frame("chat") });
    index.take(LaneItem::ChatChanged { chat: ChatId(8), frame: frame("of none") });
    assert_eq!(own.frames().await, ["welcome", "user"]);
    assert_eq!(member.frames().await, ["welcome", "chat"]);
}

#[actix_web::test]
async fn session_without_echo_gets_stubs_of_its_own_messages() {
    let mut index = Index::default();
    let mut bot = register(&mut index, 1, 1, false, &[7]);
    let mut desk = register(&mut index, 2, 1, true, &[7]);
    let sent = Message { id: MessageId(9), chat_id: ChatId(7), ..Message::example() };
    index.take(event(7, 1, Change::Message(sent.into()), "message"));
    index.take(rename(7, 2, "rename"));
    let frames = bot.frames().await;
    let stub: ReceivedPacket = rmp_serde::from_slice(&frames[1][4..]).unwrap();
    assert_eq!((stub.seq, stub.message_id, stub.message), (Some(1), Some(MessageId(9)), None));
    assert_eq!(frames[2], "rename");
    assert_eq!(desk.frames().await, ["welcome", "message", "rename"]);
}

#[actix_web::test]
async fn revoked_login_ends_only_its_own_sessions() {
    let mut index = Index::default();
    let mut gone = register(&mut index, 1, 1, true, &[7]);
    let mut stays = register(&mut index, 2, 2, true, &[7]);
    index.take(LaneItem::Revoked { login: LoginId(10) });
    index.take(rename(7, 1, "later"));
    assert_eq!(gone.frames().await.len(), 2, "welcome and goodbye");
    assert_eq!(stays.frames().await, ["welcome", "later"]);
    assert_eq!(index.sessions.len(), 1);
}

#[actix_web::test]
async fn index_is_empty_when_all_sessions_have_left() {
    let mut index = Index::default();
    let _first = register(&mut index, 1, 1, true, &[7, 8]);
    let _second = register(&mut index, 2, 1, true, &[7, 8]);
    index.take(LaneItem::Unregistered { session: SessionId(1) });
    assert_eq!(index.chats.len(), 2);
    index.take(LaneItem::Unregistered { session: SessionId(2) });
    assert!(index.chats.is_empty() && index.users.is_empty() && index.sessions.is_empty());
}
