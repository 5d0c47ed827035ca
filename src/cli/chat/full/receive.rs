//! Packets of the server, and the packets that the client owes it.

use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;

use super::history::Part;
use super::model::{Asked, Connection, Model, Order, Pane, Then};
use super::store::Applied;
use crate::cli::chat::config::Bell;
use crate::cli::chat::link::packet_of;
use crate::cli::chat::text::clean_line;
use crate::domain::ids::{ChatId, Seq};
use crate::domain::presence::Shown;
use crate::protocol::answer::{ListOrCount, ReceivedPacket};
use crate::protocol::packet::MessagePacket;
use crate::protocol::view::EventData;

/// Minimum interval between two moves of the read cursor.
const READ_EVERY: Duration = Duration::from_secs(1);
/// Events in a page: the server's maximum.
const PAGE: u16 = 100;
/// Rows beyond the screen at which the next page is requested.
const ROWS_AHEAD: usize = 60;
/// Events that are loaded before the target of a jump.
const ROWS_BEFORE_JUMP: Seq = 50;
/// Wait before a page is requested again that the server could not return.
const PAGE_PAUSE: Duration = Duration::from_secs(2);

impl Model {
    /// A session begins: `Welcome` has the first chats.
    pub(super) fn welcomed(&mut self, welcome: &ReceivedPacket) {
        if self.epoch.is_some() && self.epoch != welcome.epoch {
            // Ids and seqs of another history have other meanings.
            self.start_over();
        }
        self.epoch = welcome.epoch;
        self.connection = Connection::Online;
        if let Some(me) = welcome.user_id {
            self.store.me = me;
        }
        if let Some(name) = &welcome.username {
            self.username.clone_from(name);
            self.store.names.learn(self.store.me, name);
        }
        self.store.connected();
        self.listed(welcome);
        self.call(Method::GET, "/api/notifications?limit=100".to_owned(), None, Then::Notifications);
    }

    /// The server's history was replaced by another.
    fn start_over(&mut self) {
        self.sending.abandon();
        if let Some(id) = self.open {
            self.close_chat(id, "");
        }
        let drafts: Vec<_> = self.drafts.keys().filter(|id| id.0 != 0).copied().collect();
        for id in drafts {
            self.close_chat(id, "");
        }
        let me = self.store.me;
        self.store = super::store::Store::new(me);
        self.last_open = None;
        self.ready = false;
        self.problem("the server's history was replaced: unsent messages were not sent again");
    }

    pub(super) fn disconnected(&mut self, reason: &str, until: Instant) {
        self.connection = Connection::Waiting { until, reason: clean_line(reason) };
        self.sending.connection_lost();
        self.orders.retain(|order| !matches!(order, Order::Send(..)));
        self.store.chats.values_mut().for_each(|chat| chat.history.loading = None);
    }

    /// Handles a page of the list of chats.
    fn listed(&mut self, packet: &ReceivedPacket) {
        let chats = packet.chats.list();
        self.store.list(chats);
        if let Some(last) = chats.last().filter(|_| packet.has_more) {
            let packet = MessagePacket { after_chat_id: Some(last.id), ..packet_of("GetChats") };
            return self.send(packet, Asked::Chats);
        }
        for gone in self.store.end_listing() {
            self.close_chat(gone, "you are no longer in the chat that was open");
        }
        if !std::mem::replace(&mut self.ready, true) {
            let last = self.last_open.filter(|id| self.store.chats.contains_key(id));
            match last.or_else(|| self.store.order().first().copied()) {
                Some(id) if self.open.is_none() => self.open_with_text(id),
                Some(_) => {}
                None => self.info("You are in no chat yet: /dm USER, /new NAME USER… or /join CHANNEL"),
            }
        }
        self.run_ahead();
    }

    pub(super) fn event(&mut self, event: &EventData) {
        let id = event.chat_id;
        self.inbox.apply(event);
        for user in [event.actor_id, event.user_id].into_iter().flatten() {
            self.store.names.want(user);
        }
        match self.store.apply(event) {
            Applied::Left => self.close_chat(id, "you are no longer in the chat that was open"),
            Applied::Message if self.config.bell == Bell::All => self.ring(id),
            Applied::Message | Applied::Other => {}
        }
        if let Some(chat) = self.store.chats.get(&id) {
            self.sending.arrived(id, chat.last, &chat.history);
        }
        if let Pane::Thread(thread) = &mut self.pane
            && thread.chat == id
        {
            thread.is_stale = true;
        }
    }

    /// Rings the bell, unless the user reads this chat now or does not want to be disturbed.
    fn ring(&mut self, chat: ChatId) {
        let is_reading = self.open == Some(chat) && self.has_focus && self.is_at_bottom();
        let is_busy = self.store.people.presence(self.store.me) == Shown::Dnd;
        if self.config.bell != Bell::None && !is_reading && !is_busy {
            self.orders.push_back(Order::Bell);
        }
    }

    pub(super) fn packet(&mut self, packet: ReceivedPacket, asked: Option<Asked>, now: Instant) {
        match packet.packet_type.as_str() {
            "Ack" if packet.success => self.accepted(&packet, asked),
            "Ack" => self.refused(&packet, asked, now),
            "Chats" => self.listed(&packet),
            "Users" => {
                if let Some(Asked::Names(batch)) = &asked {
                    self.store.names.answered(batch, &packet.people);
                }
            }
            "Events" => self.page(&packet, asked),
            "Synced" => drop(packet.chat_id.map(|id| self.store.synced(id))),
            "Limited" => self.limited(&packet),
            "Reset" => self.reset(&packet),
            "Pong" => self.compare(&packet),
            "Presence" => {
                packet.users.iter().for_each(|view| self.store.names.want(view.user_id));
                self.store.people.learn(&packet.users);
            }
            "Typing" => {
                if let (Some(chat), Some(user)) = (packet.chat_id, packet.user_id) {
                    self.store.names.want(user);
                    self.store.people.still_types(chat, user, now);
                }
            }
            "Marks" => self.store.marked(&packet),
            "Notification" => {
                if let Some(notification) = packet.notification {
                    if let Some(chat) = notification.chat_id.filter(|_| self.config.bell == Bell::Mentions) {
                        self.ring(chat);
                    }
                    self.inbox.add(notification);
                }
            }
            "NotificationsRead" => self.inbox.read(&packet),
            // This client does not know this kind of packet.
            _ => {}
        }
    }

    fn accepted(&mut self, packet: &ReceivedPacket, asked: Option<Asked>) {
        if asked != Some(Asked::Message) {
            return;
        }
        self.sending.acknowledged(packet.seq.unwrap_or(0));
        for (id, chat) in &self.store.chats {
            self.sending.arrived(*id, chat.last, &chat.history);
        }
        self.is_unsaved = true;
        if packet.unnotified {
            self.info("sent; some users whom it concerns are not notified (rate limit)");
        }
    }

    fn refused(&mut self, packet: &ReceivedPacket, asked: Option<Asked>, now: Instant) {
        let code = packet.code.as_deref().unwrap_or_default();
        let error = clean_line(packet.error.as_deref().unwrap_or("no reason was given"));
        match asked {
            Some(Asked::Message) => {
                if self.sending.refused(code, &error, packet.retry_after_ms, now) {
                    self.problem(format!("not sent: {error}; /retry sends it again, /discard removes it"));
                } else {
                    self.info(format!("the server cannot accept messages now ({code}); trying again"));
                }
                self.is_unsaved = true;
            }
            Some(Asked::Change) => self.problem(format!("not done: {error} ({code})")),
            Some(Asked::Names(batch)) => self.store.names.lost(&batch),
            Some(Asked::Page(id, _)) => {
                if let Some(chat) = self.store.chats.get_mut(&id) {
                    chat.history.loading = None;
                }
                self.pages_from = Some(now + PAGE_PAUSE);
                if !matches!(code, "overloaded" | "internal") {
                    self.problem(format!("the history cannot be read: {error} ({code})"));
                }
            }
            Some(Asked::Chats | Asked::Heartbeat | Asked::Aside) | None => {}
        }
    }

    fn page(&mut self, packet: &ReceivedPacket, asked: Option<Asked>) {
        let Some(Asked::Page(id, part)) = asked else { return };
        for event in &packet.events {
            for user in [event.actor_id, event.user_id].into_iter().flatten() {
                self.store.names.want(user);
            }
        }
        let Some(chat) = self.store.chats.get_mut(&id) else { return };
        let as_of = packet.as_of.unwrap_or(0);
        chat.history.page(part, &packet.events, packet.has_more, as_of, chat.last);
        self.sending.arrived(id, chat.last, &chat.history);
        self.paged(id);
    }

    fn limited(&mut self, packet: &ReceivedPacket) {
        match (packet.chat_id, packet.head) {
            (Some(id), Some(head)) => {
                self.store.limited(id, head);
                self.reload(id);
            }
            _ => {
                self.store.fell_behind();
                self.send(packet_of("GetChats"), Asked::Chats);
            }
        }
    }

    fn reset(&mut self, packet: &ReceivedPacket) {
        match (packet.chat_id, packet.head) {
            (Some(id), Some(head)) => {
                self.store.reset(id, head);
                self.reload(id);
            }
            (Some(id), None) => {
                self.store.discard(id);
                self.close_chat(id, "the chat that was open was deleted");
            }
            // `Welcome` has the new epoch.
            (None, _) => self.orders.push_back(Order::Disconnect("the history was replaced".to_owned())),
        }
    }

    /// The loaded history of a chat was discarded: the place on the screen is loaded again.
    fn reload(&mut self, id: ChatId) {
        if self.open == Some(id)
            && let Some((seq, _)) = self.anchor.take()
        {
            self.jump = Some((id, seq));
        }
    }

    /// Compares the sums of a heartbeat's answer with the chats. If they differ, events are
    /// missing, and a list of the chats shows which.
    fn compare(&mut self, packet: &ReceivedPacket) {
        let (ListOrCount::Count(count), Some(sum)) = (&packet.chats, packet.heads_sum) else { return };
        if !self.store.agrees(*count, sum) {
            self.store.begin_listing();
            self.send(packet_of("GetChats"), Asked::Chats);
        }
    }

    pub(super) fn heartbeat(&mut self) {
        self.send(packet_of("Ping"), Asked::Heartbeat);
    }

    /// Requests everything that is missing and sends everything that may be sent now.
    pub(super) fn pump(&mut self, now: Instant) {
        self.store.people.expire(now);
        if !self.is_online() {
            return;
        }
        let cursors = self.store.cursors();
        if !cursors.is_empty() {
            let epoch = self.epoch.and_then(|epoch| u64::try_from(epoch).ok());
            let packet = MessagePacket { epoch, cursors: Some(cursors), ..packet_of("Resume") };
            self.send(packet, Asked::Aside);
        }
        if self.ready {
            while let Some(unsent) = self.sending.next(now) {
                self.send(unsent.packet(), Asked::Message);
            }
        }
        if self.pages_from.is_none_or(|from| from <= now) {
            self.pages_from = None;
            self.load();
        }
        self.want_names();
        self.mark_read(now);
        self.refresh_thread();
    }

    /// Requests the page of the open chat that the screen needs next.
    fn load(&mut self) {
        let Some(id) = self.open else { return };
        let first = self.first_visible();
        let Some(chat) = self.store.chats.get_mut(&id) else { return };
        let history = &mut chat.history;
        if history.loading.is_some() {
            return;
        }
        let jump = self.jump.filter(|(chat, _)| *chat == id).map(|(_, seq)| seq);
        let rows_below = self.anchor.and_then(|(seq, _)| history.index_at(seq));
        let rows_below = rows_below.map_or(0, |index| history.rows().len().saturating_sub(index + 1));
        let is_searching = self.search.as_ref().filter(|search| search.is_running).map(|search| search.older);
        let part = if !history.is_loaded() {
            jump.map_or(Part::Newest, |seq| Part::After((seq - ROWS_BEFORE_JUMP).max(0)))
        } else if is_searching == Some(true) || (first < ROWS_AHEAD && is_searching.is_none()) {
            if history.is_at_start() {
                return;
            }
            Part::Before(history.from() + 1)
        } else if !history.is_at_end(chat.last) && (is_searching.is_some() || rows_below < ROWS_AHEAD) {
            Part::After(history.to())
        } else {
            return;
        };
        history.loading = Some(part);
        let seq = |seq: Seq| u64::try_from(seq).ok();
        let packet = MessagePacket { chat_id: Some(id), limit: Some(PAGE), ..packet_of("GetEvents") };
        let packet = match part {
            Part::Newest => packet,
            Part::Before(before) => MessagePacket { before_seq: seq(before), ..packet },
            Part::After(after) => MessagePacket { after_seq: seq(after), ..packet },
        };
        self.send(packet, Asked::Page(id, part));
    }

    fn want_names(&mut self) {
        let users: Vec<_> = self.visible_users();
        users.into_iter().for_each(|user| self.store.names.want(user));
        loop {
            let batch = self.store.names.batch();
            if batch.is_empty() {
                return;
            }
            let packet = MessagePacket { user_ids: Some(batch.clone()), ..packet_of("GetUsers") };
            self.send(packet, Asked::Names(batch));
        }
    }

    fn mark_read(&mut self, now: Instant) {
        let is_due = self.read_sent_at.is_none_or(|at| now.saturating_duration_since(at) >= READ_EVERY);
        let Some(id) = self.open.filter(|_| is_due && self.is_unread()) else { return };
        let Some(chat) = self.store.chats.get_mut(&id) else { return };
        let seq = chat.last;
        chat.sent_read_seq = seq;
        self.store.read(id, seq);
        self.read_sent_at = Some(now);
        let read_seq = u64::try_from(seq).ok();
        self.send(MessagePacket { chat_id: Some(id), read_seq, ..packet_of("Mark") }, Asked::Aside);
    }

    /// Requests the thread on the screen again after a change of its chat.
    fn refresh_thread(&mut self) {
        let Pane::Thread(thread) = &mut self.pane else { return };
        if !thread.is_stale || thread.is_loading {
            return;
        }
        (thread.is_stale, thread.is_loading) = (false, true);
        let (chat, root) = (thread.chat, thread.root);
        let path = format!("/api/chats/{chat}/messages?thread={root}&limit=100");
        self.call(Method::GET, path, None, Then::Thread { chat, root });
    }
}
