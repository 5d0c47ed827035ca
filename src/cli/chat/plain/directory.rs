//! Chats and users by name: how the client receives names, and how a user selects a chat.

use std::collections::BTreeSet;

use serde_json::Value;

use super::line::Line;
use super::model::{Chat, Model};
use crate::cli::chat::listing;
use crate::domain::chat::ChatKind;
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::protocol::view::{ChatSummary, EventData};

impl Model {
    /// Stores a summary and returns whether the chat was unknown. Events between the last stored
    /// one and the summary are missing from now on.
    pub(super) fn learn(&mut self, summary: &ChatSummary) -> bool {
        let id = summary.id;
        let head = summary.last_seq.max(self.unlisted.remove(&id).unwrap_or(0));
        let is_new = !self.chats.contains_key(&id);
        let chat = self.chats.entry(id).or_insert_with(|| Chat {
            kind: summary.kind,
            name: None,
            peer: None,
            archived: false,
            unread: 0,
            counted_seq: 0,
            read_seq: 0,
            last_seq: summary.last_seq,
            head,
            shown_seq: 0,
            older_than: None,
        });
        // A summary can be older than events that arrived before it.
        if summary.last_seq >= chat.last_seq {
            chat.name.clone_from(&summary.name);
            chat.archived = summary.archived;
        }
        if summary.last_seq > chat.counted_seq {
            chat.unread = if self.open == Some(id) { 0 } else { summary.unread_count };
            chat.counted_seq = summary.last_seq;
        }
        // A REST answer about a single chat does not include the other user of a direct chat.
        if summary.peer.is_some() {
            chat.peer.clone_from(&summary.peer);
        }
        chat.read_seq = chat.read_seq.max(summary.read_seq);
        chat.head = chat.head.max(head);
        if chat.last_seq < chat.head {
            self.behind.insert(id);
        }
        self.listed.found(id);
        if !self.numbers.contains(&id) {
            self.numbers.push(id);
        }
        is_new
    }

    /// Begins a round of listing. Chats that the round does not name are removed at its end.
    pub(super) fn begin_listing(&mut self) {
        self.listed.begin();
    }

    /// Stores a page of the round; with `announce`, returns a line for each chat that was unknown.
    pub(super) fn list(&mut self, summaries: &[ChatSummary], announce: bool) -> Vec<Line> {
        let mut lines = Vec::new();
        for summary in summaries {
            if self.learn(summary) && announce {
                let chat = Some(self.title(summary.id));
                lines.push(Line::Change {
                    chat,
                    text: format!("you are now in this chat; {} unread", summary.unread_count),
                });
            }
        }
        lines
    }

    /// Completes the round.
    pub(super) fn end_listing(&mut self) -> Vec<Line> {
        let gone = self.listed.end(self.chats.keys());
        let lines = gone.iter().map(|id| {
            let chat = Some(self.title(*id));
            Line::Change { chat, text: "you are no longer in this chat".to_owned() }
        });
        let lines = lines.collect();
        gone.into_iter().for_each(|id| self.discard(id));
        self.unlisted.clear();
        lines
    }

    /// Discards all state: the server's history was replaced by another.
    pub(super) fn start_over(&mut self) {
        *self = Self::new(self.me, self.name(self.me));
    }

    /// Removes a chat that was deleted on the server.
    pub(super) fn deleted(&mut self, id: ChatId) -> Vec<Line> {
        if !self.chats.contains_key(&id) {
            return Vec::new();
        }
        let chat = Some(self.title(id));
        self.discard(id);
        vec![Line::Change { chat, text: "the chat was deleted".to_owned() }]
    }

    pub(super) fn discard(&mut self, id: ChatId) {
        self.chats.remove(&id);
        self.behind.remove(&id);
        self.listed.lost(id);
        if self.open == Some(id) {
            self.open = None;
        }
    }

    /// Returns whether the sums of a heartbeat match: the server counts the chats and adds up their
    /// heads.
    pub(super) fn agrees(&self, chats: usize, heads_sum: Seq) -> bool {
        self.chats.len() == chats && self.chats.values().map(|chat| chat.last_seq).sum::<Seq>() == heads_sum
    }

    pub(super) fn title(&self, id: ChatId) -> String {
        let chat = self.chats.get(&id);
        listing::title(
            id,
            chat.and_then(|chat| chat.name.as_deref()),
            chat.and_then(|chat| chat.peer.as_deref()),
        )
    }

    /// Returns the chats and assigns their numbers again.
    pub(super) fn entries(&mut self) -> Vec<Line> {
        self.numbers = self.chats.keys().copied().collect();
        let entries = self.numbers.iter().zip(1..).filter_map(|(id, number)| {
            let chat = self.chats.get(id)?;
            let (title, open) = (self.title(*id), self.open == Some(*id));
            let (kind, unread, archived) = (chat.kind.as_str(), chat.unread, chat.archived);
            Some(Line::Entry { number, title, kind, unread, archived, open })
        });
        let entries: Vec<_> = entries.collect();
        if entries.is_empty() {
            return vec![Line::Info(
                "You are not in a chat yet: use /dm USER, /new NAME USER… or /join CHANNEL.".to_owned(),
            )];
        }
        entries
    }

    /// Returns the chat with a number or a title.
    pub(super) fn find(&self, wanted: &str) -> Result<ChatId, String> {
        let mut titles: Vec<_> = self.chats.keys().map(|id| (*id, self.title(*id))).collect();
        // A direct chat may have a name of its own.
        let peers =
            self.chats.iter().filter(|(_, chat)| chat.kind == ChatKind::Direct && chat.name.is_some());
        titles.extend(peers.filter_map(|(id, chat)| Some((*id, chat.peer.clone()?))));
        listing::find(wanted, &self.numbers, &titles).and_then(|id| {
            let is_known = self.chats.contains_key(&id);
            is_known.then_some(id).ok_or_else(|| format!("you are no longer in chat {wanted}: see /chats"))
        })
    }

    /// Returns the users that the lines of these events would name and whose names are unknown. A
    /// user without a known name is requested again when they join, because a name may exist then.
    pub(super) fn strangers(&self, events: &[EventData]) -> BTreeSet<UserId> {
        let mut strangers = BTreeSet::new();
        for event in events {
            let sender = event.message.as_ref().map(|message| message.sender_id);
            let joining = event.user_id.filter(|_| event.kind == "join");
            for user in [sender, event.actor_id, event.user_id].into_iter().flatten() {
                match self.names.get(&user) {
                    Some(Some(_)) => {}
                    Some(None) if joining != Some(user) => {}
                    _ => drop(strangers.insert(user)),
                }
            }
        }
        strangers
    }

    /// Stores the names in a page of participants or users.
    pub(super) fn introduce(&mut self, page: &Value) {
        let people = page.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for person in people {
            let (id, name) = (
                person.get("user_id").or(person.get("id")).and_then(Value::as_i64),
                person.get("username").and_then(Value::as_str),
            );
            if let (Some(id), Some(name)) = (id, name) {
                self.called(UserId(id), Some(name.to_owned()));
            }
        }
    }

    pub(super) fn knows(&self, user: UserId) -> bool {
        self.names.get(&user).is_some_and(Option::is_some)
    }

    pub(super) fn name(&self, user: UserId) -> String {
        self.names.get(&user).cloned().flatten().unwrap_or_else(|| format!("user {user}"))
    }
}
