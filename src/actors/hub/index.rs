//! The index of one hub: chats -> users -> sessions. A plain struct; the actor only routes to it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::messages::{LaneItem, Registration};
use super::outbox::Outbox;
use crate::domain::event::{Change, ChatEvent};
use crate::domain::ids::{ChatId, LoginId, SessionId, UserId};
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::framing;
use crate::protocol::view::EventStub;

struct Live {
    id: SessionId,
    login: Option<LoginId>,
    outbox: Arc<Outbox>,
    echo: bool,
}

#[derive(Default)]
struct Present {
    sessions: Vec<Live>,
    chats: HashSet<ChatId>,
}

#[derive(Default)]
pub(super) struct Index {
    users: HashMap<UserId, Present>,
    /// Members of each chat who have a session here.
    chats: HashMap<ChatId, HashSet<UserId>>,
    sessions: HashMap<SessionId, UserId>,
}

impl Index {
    pub(super) fn take(&mut self, item: LaneItem) {
        match item {
            LaneItem::Registered { registration, chats, welcome, reply } => {
                registration.outbox.reply(welcome);
                self.register(registration, chats);
                reply.send(Ok(()));
            }
            LaneItem::Unregistered { session } => self.unregister(session),
            LaneItem::Event { event, frame, joiner } => self.deliver(&event, &frame, joiner.as_ref()),
            LaneItem::Answer { session, frame, reply } => {
                self.answer(session, frame);
                reply.send(Ok(()));
            }
            LaneItem::Revoked { login } => {
                self.end_where(GoodbyeCode::Revoked, false, |live| live.login == Some(login))
            }
            LaneItem::Lost => self.end_all(GoodbyeCode::Overloaded, true),
        }
    }

    fn register(&mut self, registration: Registration, chats: Vec<ChatId>) {
        let Registration { session, who, outbox, echo } = registration;
        let present = self.users.entry(who.user).or_default();
        if present.sessions.is_empty() {
            present.chats = chats.into_iter().collect();
            for chat in &present.chats {
                self.chats.entry(*chat).or_default().insert(who.user);
            }
        }
        present.sessions.push(Live { id: session, login: who.proof.login(), outbox, echo });
        self.sessions.insert(session, who.user);
    }

    fn unregister(&mut self, session: SessionId) {
        let Some(user) = self.sessions.remove(&session) else { return };
        let Some(present) = self.users.get_mut(&user) else { return };
        present.sessions.retain(|live| live.id != session);
        if present.sessions.is_empty()
            && let Some(gone) = self.users.remove(&user)
        {
            for chat in gone.chats {
                self.forget(chat, user);
            }
        }
    }

    fn forget(&mut self, chat: ChatId, user: UserId) {
        if let Some(members) = self.chats.get_mut(&chat) {
            members.remove(&user);
            if members.is_empty() {
                self.chats.remove(&chat);
            }
        }
    }

    fn deliver(&mut self, event: &ChatEvent, frame: &Bytes, joiner: Option<&(UserId, Bytes)>) {
        let chat = event.chat_id;
        if let Change::Join { user_id, .. } = event.change
            && let Some(present) = self.users.get_mut(&user_id)
        {
            present.chats.insert(chat);
            self.chats.entry(chat).or_default().insert(user_id);
        }
        // Made when the first session wants it.
        let mut stub: Option<Bytes> = None;
        for user in self.chats.get(&chat).into_iter().flatten() {
            let Some(present) = self.users.get(user) else { continue };
            let own = joiner.filter(|(joined, _)| joined == user).map_or(frame, |(_, frame)| frame);
            for live in &present.sessions {
                if *user == event.actor_id && !live.echo {
                    let encode = || EventStub::of(event).and_then(|stub| framing::encode(&stub).ok());
                    live.outbox.push(stub.get_or_insert_with(|| encode().unwrap_or_else(|| own.clone())));
                } else {
                    live.outbox.push(own);
                }
            }
        }
        if let Change::Leave { user_id, .. } = event.change {
            if let Some(present) = self.users.get_mut(&user_id) {
                present.chats.remove(&chat);
            }
            self.forget(chat, user_id);
        }
    }

    fn answer(&self, session: SessionId, frame: Bytes) {
        let live = self.sessions.get(&session).and_then(|user| self.users.get(user));
        if let Some(live) = live.and_then(|present| present.sessions.iter().find(|live| live.id == session)) {
            live.outbox.reply(frame);
        }
    }

    fn end_where(&mut self, code: GoodbyeCode, reconnect: bool, mut which: impl FnMut(&Live) -> bool) {
        let ended: Vec<_> = self
            .users
            .values()
            .flat_map(|present| &present.sessions)
            .filter(|live| which(live))
            .map(|live| {
                live.outbox.goodbye(code, reconnect);
                live.id
            })
            .collect();
        for session in ended {
            self.unregister(session);
        }
    }

    pub(super) fn end_all(&mut self, code: GoodbyeCode, reconnect: bool) {
        self.end_where(code, reconnect, |_| true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::hub::outbox::OutboxDrain;
    use crate::core::actor::Reply;
    use crate::domain::access::Credential;
    use crate::domain::chat::ChatRole;
    use crate::domain::ids::MessageId;
    use crate::domain::message::{ClientId, Message};
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
        let (outbox, drain) = Outbox::new(10_000, 100);
        let who = Credential::login(UserId(user), LoginId(user * 10), 1);
        index.take(LaneItem::Registered {
            registration: Registration { session: SessionId(session), who, outbox, echo },
            chats: chats.iter().map(|id| ChatId(*id)).collect(),
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
    async fn a_session_sees_the_events_between_its_join_and_its_leave() {
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
    async fn a_session_without_echo_gets_stubs_of_its_own_messages_and_other_events_in_full() {
        let mut index = Index::default();
        let mut bot = register(&mut index, 1, 1, false, &[7]);
        let mut desk = register(&mut index, 2, 1, true, &[7]);
        let said = Message {
            id: MessageId(9),
            chat_id: ChatId(7),
            seq: 1,
            sender_id: UserId(1),
            client_id: ClientId([0; 16]),
            content: "x".into(),
            reply_to: None,
            metadata: None,
            created_at: Timestamp(0),
            edited_at: None,
            deleted: false,
            pinned: false,
            reactions: Vec::new(),
            thread_id: None,
            updated_seq: None,
            ordinal: 1,
        };
        index.take(event(7, 1, Change::Message(said.into()), "message"));
        index.take(rename(7, 2, "rename"));
        let frames = bot.frames().await;
        let stub: ReceivedPacket = rmp_serde::from_slice(&frames[1][4..]).unwrap();
        assert_eq!((stub.seq, stub.message_id, stub.message), (Some(1), Some(MessageId(9)), None));
        assert_eq!(frames[2], "rename");
        assert_eq!(desk.frames().await, ["welcome", "message", "rename"]);
    }

    #[actix_web::test]
    async fn a_revoked_login_ends_its_sessions_and_no_others() {
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
    async fn the_index_is_empty_when_everybody_has_left() {
        let mut index = Index::default();
        let _first = register(&mut index, 1, 1, true, &[7, 8]);
        let _second = register(&mut index, 2, 1, true, &[7, 8]);
        index.take(LaneItem::Unregistered { session: SessionId(1) });
        assert_eq!(index.chats.len(), 2);
        index.take(LaneItem::Unregistered { session: SessionId(2) });
        assert!(index.chats.is_empty() && index.users.is_empty() && index.sessions.is_empty());
    }
}
