//! The index of one hub: chats -> users -> sessions. A plain struct; the actor only routes items to
//! it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::messages::{LaneItem, Replayed, SessionSubscription};
use super::subscriptions::Subscriptions;
use crate::actors::outbox::Outbox;
use crate::domain::event::{Change, ChatEvent};
use crate::domain::ids::{ChatId, LoginId, Seq, SessionId, UserId};
use crate::protocol::answer::{GoodbyeCode, ServerPacket};
use crate::protocol::view::{EventStub, EventView};

struct SessionEntry {
    id: SessionId,
    login: Option<LoginId>,
    outbox: Arc<Outbox>,
    echo: bool,
    subscriptions: Subscriptions,
}

impl SessionEntry {
    /// Pushes a frame that must not be lost. If it does not fit, the client is notified once.
    fn push(&mut self, frame: &Bytes) {
        if !self.outbox.push(frame) && self.subscriptions.lose() {
            self.outbox.limited();
        }
    }

    /// Pushes a frame that is not a chat event (presence, typing, notification).
    fn push_other(&mut self, frame: &Bytes, soft: bool) {
        if !self.subscriptions.receives_pushes() {
        } else if !soft {
            self.push(frame);
        } else if !self.outbox.push_best_effort(frame) {
            tracing::trace!(session = self.id.0, "a soft push was dropped");
        }
    }
}

/// A user who has sessions in this hub.
#[derive(Default)]
struct OnlineUser {
    sessions: Vec<SessionEntry>,
    chats: HashSet<ChatId>,
    /// The sum of the heads of `chats`, up to the events that this lane has delivered.
    heads_sum: Seq,
}

#[derive(Default)]
pub(super) struct Index {
    users: HashMap<UserId, OnlineUser>,
    /// Members of each chat who have a session in this hub.
    chats: HashMap<ChatId, HashSet<UserId>>,
    sessions: HashMap<SessionId, UserId>,
}

impl Index {
    pub(super) fn take(&mut self, item: LaneItem) {
        match item {
            LaneItem::Registered { subscription, chats, welcome, reply } => {
                subscription.outbox.welcome(welcome);
                self.register(subscription, chats);
                reply.send(Ok(()));
            }
            LaneItem::Unregistered { session } => self.unregister(session),
            LaneItem::Event { event, frame, joiner } => self.deliver(&event, &frame, joiner.as_ref()),
            LaneItem::Heartbeat { session, request_id, reply } => {
                self.pong(session, request_id);
                reply.send(Ok(()));
            }
            LaneItem::CatchUp { session, generation, answers, live, behind, reply } => {
                if let Some(found) = self.session(session) {
                    answers.into_iter().for_each(|frame| found.outbox.reply(frame));
                    live.into_iter().for_each(|chat| found.subscriptions.go_live(chat));
                    behind.iter().for_each(|(chat, _)| found.subscriptions.catch_up(*chat, generation));
                }
                reply.send(Ok(behind));
            }
            LaneItem::Replayed { session, generation, chat, events, last, reply } => {
                self.replayed(session, generation, chat, &events, last);
                reply.send(Ok(Replayed::Live));
            }
            LaneItem::Personal { user, frame, soft } => {
                if let Some(online) = self.users.get_mut(&user) {
                    online.sessions.iter_mut().for_each(|entry| entry.push_other(&frame, soft));
                }
            }
            LaneItem::UserChanged { user, chats, frame } => {
                let mut seen_by = self.peers_of(&chats);
                seen_by.insert(user);
                self.notify(&seen_by, &frame);
            }
            LaneItem::ChatChanged { chat, frame } => {
                let members = self.chats.get(&chat).cloned().unwrap_or_default();
                self.notify(&members, &frame);
            }
            LaneItem::Removed { chat, head, frame } => self.remove(chat, head, &frame),
            LaneItem::Revoked { login } => {
                self.end_where(GoodbyeCode::Revoked, false, |entry| entry.login == Some(login))
            }
            LaneItem::Lost => self.end_all(GoodbyeCode::Overloaded, true),
        }
    }

    fn register(&mut self, subscription: SessionSubscription, chats: Vec<(ChatId, Seq)>) {
        let SessionSubscription { session, who, outbox, echo } = subscription;
        let online = self.users.entry(who.user).or_default();
        if online.sessions.is_empty() {
            online.heads_sum = chats.iter().map(|(_, head)| head).sum();
            online.chats = chats.into_iter().map(|(chat, _)| chat).collect();
            for chat in &online.chats {
                self.chats.entry(*chat).or_default().insert(who.user);
            }
        }
        online.sessions.push(SessionEntry {
            id: session,
            login: who.auth_method.login(),
            outbox,
            echo,
            subscriptions: Subscriptions::default(),
        });
        self.sessions.insert(session, who.user);
    }

    fn unregister(&mut self, session: SessionId) {
        let Some(user) = self.sessions.remove(&session) else { return };
        let Some(online) = self.users.get_mut(&user) else { return };
        online.sessions.retain(|entry| entry.id != session);
        if online.sessions.is_empty()
            && let Some(gone) = self.users.remove(&user)
        {
            for chat in gone.chats {
                self.remove_member(chat, user);
            }
        }
    }

    fn remove_member(&mut self, chat: ChatId, user: UserId) {
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
            && let Some(online) = self.users.get_mut(&user_id)
            && online.chats.insert(chat)
        {
            online.heads_sum += event.seq - 1;
            online.sessions.iter_mut().for_each(|entry| entry.subscriptions.joined(chat));
            self.chats.entry(chat).or_default().insert(user_id);
        }
        // Encoded when the first session needs it.
        let mut stub: Option<Bytes> = None;
        for user in self.chats.get(&chat).into_iter().flatten() {
            let Some(online) = self.users.get_mut(user) else { continue };
            online.heads_sum += 1;
            let own = joiner.filter(|(joined, _)| joined == user).map_or(frame, |(_, frame)| frame);
            for entry in online.sessions.iter_mut().filter(|entry| entry.subscriptions.is_live(chat)) {
                let frame = if *user == event.actor_id && !entry.echo {
                    stub.get_or_insert_with(|| EventStub::frame_of(event).unwrap_or_else(|| own.clone()))
                } else {
                    own
                };
                entry.push(frame);
            }
        }
        if let Change::Leave { user_id, .. } = event.change
            && let Some(online) = self.users.get_mut(&user_id)
            && online.chats.remove(&chat)
        {
            online.heads_sum -= event.seq;
            online.sessions.iter_mut().for_each(|entry| entry.subscriptions.left(chat));
            self.remove_member(chat, user_id);
        }
    }

    fn remove(&mut self, chat: ChatId, head: Seq, frame: &Bytes) {
        for user in self.chats.remove(&chat).into_iter().flatten() {
            let Some(online) = self.users.get_mut(&user) else { continue };
            if online.chats.remove(&chat) {
                online.heads_sum -= head;
            }
            for entry in &mut online.sessions {
                entry.subscriptions.left(chat);
                entry.push_other(frame, false);
            }
        }
    }

    /// Pushes a frame that is not a chat event to all sessions of some users.
    fn notify(&mut self, users: &HashSet<UserId>, frame: &Bytes) {
        for user in users {
            let Some(online) = self.users.get_mut(user) else { continue };
            online.sessions.iter_mut().for_each(|entry| entry.push_other(frame, false));
        }
    }

    /// Returns the users with sessions who are in one of the chats.
    ///
    /// Both ways have the same result. The first walks the members of the chats, the second the
    /// users: the same users may be in many large chats.
    fn peers_of(&self, chats: &[ChatId]) -> HashSet<UserId> {
        let members: usize = chats.iter().filter_map(|chat| self.chats.get(chat)).map(HashSet::len).sum();
        if members <= self.users.len() {
            return chats.iter().filter_map(|chat| self.chats.get(chat)).flatten().copied().collect();
        }
        let chats: HashSet<ChatId> = chats.iter().copied().collect();
        let is_peer = |online: &OnlineUser| !online.chats.is_disjoint(&chats);
        self.users.iter().filter(|(_, online)| is_peer(online)).map(|(user, _)| *user).collect()
    }

    fn session(&mut self, session: SessionId) -> Option<&mut SessionEntry> {
        let online = self.users.get_mut(self.sessions.get(&session)?)?;
        online.sessions.iter_mut().find(|entry| entry.id == session)
    }

    fn pong(&mut self, session: SessionId, request_id: Option<u64>) {
        let Some(online) = self.sessions.get(&session).and_then(|user| self.users.get(user)) else { return };
        let pong = ServerPacket::Pong { request_id, chats: online.chats.len(), heads_sum: online.heads_sum };
        if let Some(entry) = online.sessions.iter().find(|entry| entry.id == session) {
            entry.outbox.reply_packet(&pong);
        }
    }

    /// Sends the last page of the missed events of a chat, which is live from here on.
    fn replayed(
        &mut self,
        session: SessionId,
        generation: u64,
        chat: ChatId,
        events: &[Arc<ChatEvent>],
        last: Bytes,
    ) {
        let Some(user) = self.sessions.get(&session).copied() else { return };
        let Some(entry) = self.session(session) else { return };
        if entry.subscriptions.caught_up(chat, generation) {
            let echo = entry.echo;
            events.iter().for_each(|event| entry.outbox.reply(replay_frame(event, user, echo)));
            entry.outbox.reply(last);
        }
    }

    fn end_where(
        &mut self,
        code: GoodbyeCode,
        reconnect: bool,
        mut which: impl FnMut(&SessionEntry) -> bool,
    ) {
        let ended: Vec<_> = self
            .users
            .values()
            .flat_map(|online| &online.sessions)
            .filter(|entry| which(entry))
            .map(|entry| {
                entry.outbox.goodbye(code, reconnect);
                entry.id
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

/// Encodes a replayed event as the same packet as when it was live.
pub fn replay_frame(event: &ChatEvent, to: UserId, echo: bool) -> Bytes {
    let stub = (event.actor_id == to && !echo).then(|| EventStub::frame_of(event)).flatten();
    stub.unwrap_or_else(|| EventView::pushed(event).frame())
}

#[cfg(test)]
#[path = "index_test.rs"]
mod tests;
