//! Sessions: their beginning and end, the list of chats, and the answers to `Resume`
//! (docs/PROTOCOL.md, sections 6 and 10).

use reqwest::Method;
use tokio::time::Instant;

use super::found::FoundList;
use super::inbox::Inbox;
use super::model::{Asked, Connection, Model, Order, Pane, Then};
use super::recall::Recall;
use super::store::Store;
use crate::cli::chat::link::packet_of;
use crate::cli::chat::text::clean_line;
use crate::domain::ids::ChatId;
use crate::protocol::answer::{ListOrCount, ReceivedPacket};
use crate::protocol::packet::MessagePacket;

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
        self.list_from = None;
        self.listed(welcome);
        self.load_notifications();
    }

    /// Requests the notifications, once.
    pub(super) fn load_notifications(&mut self) {
        let is_request =
            |order: &Order| matches!(order, Order::Rest(call) if call.then == Then::Notifications);
        if !self.orders.iter().any(is_request) {
            self.inbox.begin_loading();
            self.call(Method::GET, "/api/notifications?limit=100".to_owned(), None, Then::Notifications);
        }
    }

    /// The server's history was replaced by another: nothing that names an id or a seq of the
    /// earlier one may be sent, and no answer to it may be expected.
    fn start_over(&mut self) {
        self.orders.retain(|order| !matches!(order, Order::Send(..) | Order::Rest(_)));
        self.question = None;
        self.prompt = None;
        self.search = None;
        self.jump = None;
        self.pane = Pane::Chat;
        self.sending.abandon();
        self.attaching = None;
        if let Some(id) = self.open {
            self.close_chat(id, "");
        }
        let drafts: Vec<_> = self.drafts.keys().copied().collect();
        drafts.into_iter().for_each(|id| self.close_chat(id, ""));
        self.recent.clear();
        self.recall = Recall::default();
        self.store = Store::new(self.store.me);
        self.inbox = Inbox::default();
        self.found = FoundList::default();
        self.last_open = None;
        self.ready = false;
        if self.busy.is_some() {
            self.stop_waiting();
        }
        self.problem("the server's history was replaced: unsent messages were not sent again (/failed)");
    }

    /// Connects now instead of waiting.
    pub(super) fn reconnect(&mut self) {
        if !self.is_online() {
            self.connection = Connection::Connecting;
        }
    }

    /// Returns when to connect: not while another request runs, because requests run one at a time.
    pub(super) fn connect_due(&self, is_free: bool, now: Instant) -> Option<Instant> {
        match &self.connection {
            Connection::Connecting => Some(now),
            Connection::Waiting { until, .. } => Some(*until),
            Connection::Online => None,
        }
        .filter(|_| is_free)
    }

    pub(super) fn disconnected(&mut self, reason: &str, until: Instant) {
        self.connection = Connection::Waiting { until, reason: clean_line(reason) };
        self.sending.connection_lost();
        self.store.names.connection_lost();
        self.pages_from = None;
        self.list_again.reset();
        self.resume_again.reset();
        self.names_again.reset();
        self.store.chats.values_mut().for_each(|chat| chat.history.loading = None);
        self.drop_packets();
    }

    /// Without a connection, packets that wait are not sent any more.
    pub(super) fn drop_packets(&mut self) {
        let mut dropped = Vec::new();
        self.orders.retain(|order| match order {
            Order::Send(_, asked) => {
                dropped.push(asked.clone());
                false
            }
            _ => true,
        });
        self.unanswered(dropped);
    }

    /// The connection was lost before these packets were answered.
    pub(super) fn unanswered(&mut self, packets: Vec<Asked>) {
        for asked in packets {
            match asked {
                Asked::Change | Asked::Noted(_) => {
                    self.problem("the connection was lost before the answer: check the last change");
                }
                Asked::Edit { chat, message, text } => {
                    self.edit_failed(chat, message, text);
                    self.problem("the connection was lost before the edit was confirmed");
                }
                Asked::Found(number) => {
                    self.found_refused(number, "the connection was lost before the answer");
                }
                _ => {}
            }
        }
    }

    /// Requests a page of the list of chats.
    pub(super) fn request_chats(&mut self, after: Option<ChatId>) {
        self.list_from = after;
        self.send(MessagePacket { after_chat_id: after, ..packet_of("GetChats") }, Asked::Chats);
    }

    /// Handles a page of the list of chats.
    pub(super) fn listed(&mut self, packet: &ReceivedPacket) {
        self.list_again.reset();
        let chats = packet.chats.list();
        self.store.list(chats);
        if let Some(last) = chats.last().filter(|_| packet.has_more) {
            return self.request_chats(Some(last.id));
        }
        for gone in self.store.end_listing() {
            self.close_chat(gone, "you are no longer in the chat that was open");
        }
        if !std::mem::replace(&mut self.ready, true) {
            self.orphan_drafts();
            let last = self.last_open.filter(|id| self.store.chats.contains_key(id));
            match last.or_else(|| self.store.order().first().copied()) {
                Some(id) if self.open.is_none() => self.open_with_text(id),
                Some(_) => {}
                None => self.info("You are in no chat yet: /dm USER, /new NAME USER… or /join CHANNEL"),
            }
        }
        self.run_ahead();
    }

    /// Lists the drafts of chats that the user left while no client ran.
    fn orphan_drafts(&mut self) {
        let is_gone = |id: &&ChatId| !self.store.chats.contains_key(id);
        let gone: Vec<_> = self.drafts.keys().filter(is_gone).copied().collect();
        gone.into_iter().for_each(|id| self.close_chat(id, ""));
    }

    /// The server refused to list the chats.
    pub(super) fn listing_refused(&mut self, reason: &str, after_ms: Option<u64>, now: Instant) {
        self.list_again.refused(after_ms, now);
        self.problem(format!("the list of chats cannot be read, trying again: {reason}"));
    }

    pub(super) fn resume_refused(
        &mut self,
        chats: &[ChatId],
        reason: &str,
        after_ms: Option<u64>,
        now: Instant,
    ) {
        self.store.resume_refused(chats);
        self.resume_again.refused(after_ms, now);
        self.problem(format!("missed messages cannot be read, trying again: {reason}"));
    }

    /// Requests the list and the positions that are missing.
    pub(super) fn catch_up(&mut self, now: Instant) {
        if self.list_again.at().is_some() && self.list_again.is_over(now) {
            self.request_chats(self.list_from);
        }
        if !self.resume_again.is_over(now) {
            return;
        }
        let cursors = self.store.cursors();
        if !cursors.is_empty() {
            let epoch = self.epoch.and_then(|epoch| u64::try_from(epoch).ok());
            let chats = cursors.keys().copied().collect();
            let packet = MessagePacket { epoch, cursors: Some(cursors), ..packet_of("Resume") };
            self.send(packet, Asked::Resume(chats));
        }
    }

    pub(super) fn limited(&mut self, packet: &ReceivedPacket) {
        match (packet.chat_id, packet.head) {
            (Some(id), Some(head)) => {
                self.store.limited(id, head);
                self.reload(id);
            }
            _ if self.store.fell_behind() => self.request_chats(None),
            // The last page of a listing must not end a new one: the next heartbeat shows which
            // chats the running listing misses.
            _ => {}
        }
    }

    pub(super) fn reset(&mut self, packet: &ReceivedPacket) {
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
    pub(super) fn compare(&mut self, packet: &ReceivedPacket) {
        let (ListOrCount::Count(count), Some(sum)) = (&packet.chats, packet.heads_sum) else { return };
        if !self.store.agrees(*count, sum) {
            self.store.begin_listing();
            self.request_chats(None);
        }
    }

    pub(super) fn heartbeat(&mut self) {
        self.send(packet_of("Ping"), Asked::Heartbeat);
    }
}
