//! Sends collected changes, typing notices and receipts to sessions and connections.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::sessions::SubscriberEntry;
use super::{Outgoing, PresenceState};
use crate::domain::ids::{ChatId, SessionId, UserId};
use crate::protocol::answer::ServerPacket;
use crate::protocol::datagram::{Kind, TypingNotice};
use crate::protocol::framing;
use crate::protocol::view::{MarkView, PresenceView};

/// Number of ticks before a session whose outbox was half full is retried.
const RETRY_TICKS: u32 = 10;

/// Encoded updates. Users with identical chat sets share the same bytes.
type Frames = Rc<[Bytes]>;

impl PresenceState {
    pub(super) fn flush(&mut self, now: Instant, out: &mut Vec<Outgoing>) {
        let announced = self.announce(now);
        let changed = self.people.take_changed();
        self.send_changes(&changed, now);
        self.send_lagging(now);
        self.send_typing(now, out);
        for id in std::mem::take(&mut self.pending) {
            self.send_to_connection(id, now, out);
        }
        changed.into_iter().chain(announced).for_each(|user| self.remove_if_gone(user));
    }

    /// Sends the changes to all users who see one of `changed`. Users with identical chat sets
    /// share one encoding, which matters when many connect at once.
    fn send_changes(&mut self, changed: &BTreeSet<UserId>, now: Instant) {
        let touched: BTreeSet<_> = changed.iter().flat_map(|user| self.people.chats(*user)).collect();
        let mut watchers = changed.clone();
        watchers.extend(touched.iter().flat_map(|chat| self.people.people_of(*chat)));
        let mut known: HashMap<Vec<ChatId>, Frames> = HashMap::new();
        for watcher in watchers {
            self.pending.extend(self.tickets.of_user(watcher));
            // Lagging sessions receive all their changes together later.
            let sessions = self.of_user.get(&watcher).into_iter().flatten().copied();
            let sessions: Vec<_> = sessions.filter(|id| !self.lagging.contains_key(id)).collect();
            if sessions.is_empty() {
                continue;
            }
            let mut chats = self.people.chats(watcher);
            chats.retain(|chat| touched.contains(chat));
            let frames = if chats.is_empty() {
                self.frames(self.people.views(&[watcher].into()))
            } else {
                let shared = known.entry(chats);
                let make =
                    |chats: &Vec<_>| self.frames(self.people.views(&self.people.of_chats(changed, chats)));
                shared.or_insert_with_key(make).clone()
            };
            sessions.into_iter().for_each(|session| self.send_to_session(session, &frames, now));
        }
    }

    /// Sends lagging sessions that are due all the changes that they lack.
    fn send_lagging(&mut self, now: Instant) {
        let due = self.lagging.iter().filter(|(_, at)| **at <= now).map(|(session, _)| *session);
        let mut known: HashMap<(u64, u64, Vec<ChatId>), Frames> = HashMap::new();
        for session in due.collect::<Vec<_>>() {
            self.lagging.remove(&session);
            let Some(entry) = self.sessions.get(&session) else { continue };
            let SubscriberEntry { user, sent_version, offline_version, .. } = *entry;
            let make = || self.frames(self.people.seen_since(user, sent_version, offline_version));
            let chats = self.people.chats(user);
            let frames = if chats.is_empty() {
                make()
            } else {
                known.entry((sent_version, offline_version, chats)).or_insert_with(make).clone()
            };
            self.send_to_session(session, &frames, now);
        }
    }

    fn frames(&self, views: Vec<PresenceView>) -> Frames {
        let packets = views.chunks(self.limits.presence_batch.max(1));
        packets
            .filter_map(|users| framing::encode(&ServerPacket::Presence { users: users.to_vec() }).ok())
            .collect()
    }

    /// Pushes the frames to a session. If the outbox rejects a frame, the session is scheduled to
    /// receive all changes later.
    fn send_to_session(&mut self, session: SessionId, frames: &[Bytes], now: Instant) {
        let retry = now + self.tick() * RETRY_TICKS;
        let version = self.people.version();
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if !frames.iter().all(|frame| entry.outbox.push_best_effort(frame)) {
            self.lagging.insert(session, retry);
        } else {
            (entry.sent_version, entry.offline_version) = (version, version);
        }
    }

    fn send_typing(&mut self, now: Instant, out: &mut Vec<Outgoing>) {
        let interval = Duration::from_millis(self.limits.typing_interval_ms);
        let window = Duration::from_millis(self.limits.udp_push_window_ms);
        for (chat_id, user_id) in std::mem::take(&mut self.typing) {
            let Some(members) = self.people.online_members(chat_id, user_id) else { continue };
            let Ok(frame) = framing::encode(&ServerPacket::Typing { chat_id, user_id }) else { continue };
            for other in members.iter().filter(|other| **other != user_id) {
                for session in self.of_user.get(other).into_iter().flatten() {
                    if let Some(entry) = self.sessions.get(session)
                        && !entry.outbox.push_best_effort(&frame)
                    {
                        tracing::trace!(session = session.0, "a typing notice was dropped");
                    }
                }
                let ids: Vec<_> = self.tickets.of_user(*other).collect();
                for id in ids {
                    let Some(connection) = self.tickets.get_mut(id) else { continue };
                    let Some(address) = connection.paths.reachable(window, now) else { continue };
                    out.extend(connection.seal_to(address, Kind::Typing, &TypingNotice { chat_id, user_id }));
                }
            }
        }
        self.typed.retain(|_, at| now.duration_since(*at) < interval);
    }

    /// Sends the marks of members to the sessions of a chat, except the marks of invisible users,
    /// and of users who may be invisible at another node.
    pub(super) fn send_receipts(&self, chat_id: ChatId, mut marks: Vec<MarkView>) {
        let knows_all = self.cluster.as_ref().is_none_or(|cluster| cluster.peers.is_complete());
        let is_hidden = |user| self.people.is_hidden(user) || !knows_all && !self.people.is_shown(user);
        marks.retain(|mark| !is_hidden(mark.user_id));
        if marks.is_empty() {
            return;
        }
        let Ok(frame) =
            framing::encode(&ServerPacket::Marks { chat_id, marks, unread_count: None, hidden: None })
        else {
            return;
        };
        for user in self.people.people_of(chat_id) {
            for session in self.of_user.get(&user).into_iter().flatten() {
                if let Some(entry) = self.sessions.get(session)
                    && !entry.outbox.push_best_effort(&frame)
                {
                    tracing::trace!(session = session.0, "receipts were dropped");
                }
            }
        }
    }
}
