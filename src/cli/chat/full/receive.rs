//! Packets of the server, and the packets that the client owes it.

use std::time::Duration;

use tokio::time::Instant;

use super::draft::{Draft, Purpose};
use super::history::Part;
use super::model::{Asked, Model, Order, Pane};
use super::store::Applied;
use crate::cli::chat::config::Bell;
use crate::cli::chat::link::packet_of;
use crate::cli::chat::text::clean_line;
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::presence::Shown;
use crate::protocol::answer::ReceivedPacket;
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
            thread.event(event);
        }
    }

    /// The server did not accept an edit: its text is not lost.
    pub(super) fn edit_failed(&mut self, chat: ChatId, message: MessageId, text: String) {
        self.bring_back(chat, Draft::new(text, Purpose::Edit(message)));
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
        self.silent_since = None;
        match packet.packet_type.as_str() {
            "Ack" if packet.success => self.accepted(&packet, asked),
            "Ack" => self.refused(&packet, asked, now),
            "Chats" => self.listed(&packet),
            "Users" => {
                if let Some(Asked::Names(batch)) = &asked {
                    self.names_again.reset();
                    self.store.names.answered(batch, &packet.people);
                } else {
                    self.store.names.renamed(&packet.people);
                }
            }
            "Events" => self.page(&packet, asked),
            "Found" => {
                if let (Some(Asked::Found(number)), Some(results)) = (asked, packet.results) {
                    self.found_page(number, results);
                }
            }
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
                    self.store.people.types(chat, user, now);
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
        if matches!(asked, Some(Asked::Resume(_))) {
            self.resume_again.reset();
        }
        if let Some(Asked::Noted(done)) = &asked {
            self.info(done.clone());
        }
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
            Some(Asked::Change | Asked::Noted(_)) => self.problem(format!("not done: {error} ({code})")),
            Some(Asked::Edit { chat, message, text }) => {
                self.edit_failed(chat, message, text);
                self.problem(format!("not changed: {error} ({code}); the text returns to the prompt"));
            }
            Some(Asked::Names(batch)) => {
                self.store.names.lost(&batch);
                self.names_again.refused(packet.retry_after_ms, now);
            }
            Some(Asked::Chats) => {
                self.listing_refused(&format!("{error} ({code})"), packet.retry_after_ms, now);
            }
            Some(Asked::Resume(chats)) => {
                self.resume_refused(&chats, &format!("{error} ({code})"), packet.retry_after_ms, now);
            }
            Some(Asked::Page(id, _)) => {
                if let Some(chat) = self.store.chats.get_mut(&id) {
                    chat.history.loading = None;
                }
                self.pages_from = Some(now + PAGE_PAUSE);
                if !matches!(code, "overloaded" | "internal") {
                    self.problem(format!("the history cannot be read: {error} ({code})"));
                }
            }
            Some(Asked::Found(number)) => self.found_refused(number, &format!("{error} ({code})")),
            Some(Asked::Heartbeat | Asked::Aside | Asked::Excerpt) | None => {}
        }
    }

    fn page(&mut self, packet: &ReceivedPacket, asked: Option<Asked>) {
        if asked == Some(Asked::Excerpt) {
            let messages = packet.events.iter().filter_map(|event| event.message.as_ref());
            return messages.for_each(|message| self.inbox.quote(message));
        }
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

    /// Requests everything that is missing and sends everything that may be sent now.
    pub(super) fn pump(&mut self, now: Instant) {
        self.store.people.expire(now);
        let waits = self.is_online() && self.sending.waiting() > 0;
        self.silent_since = waits.then(|| self.silent_since.unwrap_or(now));
        self.measure();
        if !self.is_online() {
            return;
        }
        self.catch_up(now);
        if self.ready {
            while let Some(unsent) = self.sending.next(now) {
                self.send(unsent.packet(), Asked::Message);
            }
        }
        if self.pages_from.is_none_or(|from| from <= now) {
            self.pages_from = None;
            self.load();
        }
        self.want_names(now);
        self.mark_read(now);
        self.load_thread();
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

    fn want_names(&mut self, now: Instant) {
        let users: Vec<_> = self.visible_users();
        users.into_iter().for_each(|user| self.store.names.want(user));
        while self.names_again.is_over(now) {
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
}
