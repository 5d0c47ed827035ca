//! State of the client: chats, users, the open chat and the position in each chat. A plain struct
//! without I/O.
//!
//! Invariants
//! * Events of a chat are applied in the order of their seq, each once.
//! * An event after a gap is not applied, only noted, and the chat is in `behind` until a page has
//!   closed the gap. So a message is neither lost nor shown twice, however often the connection
//!   breaks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::found::FoundList;
use super::line::Line;
use super::recent::Recent;
use crate::cli::chat::files::with_files;
use crate::cli::chat::listing::Listing;
use crate::cli::chat::people::People;
use crate::cli::chat::sentence::{content, sentence};
use crate::cli::chat::text;
use crate::domain::chat::ChatKind;
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::message::Message;
use crate::protocol::view::EventData;

/// Names kept; at this number they are discarded and requested again when needed.
const NAMES_MAX: usize = 10_000;
/// Chats without a summary whose heads are kept. For further chats the next heartbeat shows that
/// events are missing.
const UNLISTED_MAX: usize = 10_000;
/// For a chat that is not open, a longer page of missed messages becomes one line.
const NOTICES_MAX: usize = 5;

#[derive(Debug)]
pub(super) struct Chat {
    pub(super) kind: ChatKind,
    pub(super) name: Option<String>,
    pub(super) peer: Option<String>,
    pub(super) archived: bool,
    pub(super) unread: i64,
    /// Unread messages up to this seq are in `unread` already: the server counted them.
    pub(super) counted_seq: Seq,
    /// Read cursor as the server knows it.
    pub(super) read_seq: Seq,
    /// All events up to this seq were applied.
    pub(super) last_seq: Seq,
    /// Newest event that is known to exist.
    pub(super) head: Seq,
    /// Newest message on the screen: history may be ahead of the events.
    pub(super) shown_seq: Seq,
    /// Oldest message on the screen, if older ones exist.
    pub(super) older_than: Option<Seq>,
}

#[derive(Debug)]
pub(super) struct Model {
    /// Address of the server, for links to files.
    pub(super) server: String,
    pub(super) me: UserId,
    pub(super) chats: BTreeMap<ChatId, Chat>,
    pub(super) open: Option<ChatId>,
    /// Chats with a gap.
    pub(super) behind: BTreeSet<ChatId>,
    /// Numbers that users see, from 1.
    pub(super) numbers: Vec<ChatId>,
    /// User names; `None`: the server reported no name.
    pub(super) names: HashMap<UserId, Option<String>>,
    /// Heads of chats that are not in the list yet.
    pub(super) unlisted: HashMap<ChatId, Seq>,
    /// Chats seen in the current round of listing.
    pub(super) listed: Listing,
    /// Day of the last message on the screen.
    pub(super) shown_day: Option<i64>,
    /// Newest messages of the open chat on the screen.
    pub(super) recent: Recent,
    pub(super) found: FoundList,
    pub(super) people: People,
}

impl Model {
    pub(super) fn new(me: UserId, username: String) -> Self {
        Self {
            server: String::new(),
            me,
            chats: BTreeMap::new(),
            open: None,
            behind: BTreeSet::new(),
            numbers: Vec::new(),
            names: HashMap::from([(me, Some(username))]),
            unlisted: HashMap::new(),
            listed: Listing::default(),
            shown_day: None,
            recent: Recent::default(),
            found: FoundList::default(),
            people: People::default(),
        }
    }

    /// Applies an event that was pushed.
    pub(super) fn apply(&mut self, event: &EventData) -> Vec<Line> {
        let Some(chat) = self.chats.get_mut(&event.chat_id) else { return self.apply_unlisted(event) };
        if event.seq <= chat.last_seq {
            return Vec::new();
        }
        chat.head = chat.head.max(event.seq);
        if event.seq > chat.last_seq + 1 {
            self.behind.insert(event.chat_id);
            return Vec::new();
        }
        let lines = self.take(event);
        // In a page, a later event may join the user again.
        if event.kind == "leave" && event.user_id == Some(self.me) {
            self.discard(event.chat_id);
        }
        lines
    }

    /// Applies a page of events that was requested because of a gap. A hole in the page means
    /// trimmed events.
    pub(super) fn apply_page(
        &mut self,
        id: ChatId,
        events: &[EventData],
        has_more: bool,
        as_of: Seq,
    ) -> Vec<Line> {
        let mut lines = Vec::new();
        for event in events.iter().filter(|event| event.chat_id == id) {
            let Some(chat) = self.chats.get(&id) else { break };
            match event.seq - chat.last_seq {
                ..=0 => {}
                _ => lines.extend(self.take(event)),
            }
        }
        if let Some(chat) = self.chats.get_mut(&id) {
            chat.head = chat.head.max(as_of);
            if !has_more || events.is_empty() {
                chat.last_seq = chat.last_seq.max(as_of);
            }
            if chat.last_seq >= chat.head {
                self.behind.remove(&id);
            }
        }
        self.summarise(id, lines)
    }

    /// The chat cannot be read any more: its missed events are not available to this user.
    pub(super) fn give_up(&mut self, id: ChatId) {
        self.behind.remove(&id);
        if let Some(chat) = self.chats.get_mut(&id) {
            chat.last_seq = chat.head;
        }
    }

    fn summarise(&self, id: ChatId, lines: Vec<Line>) -> Vec<Line> {
        let count = lines.iter().filter(|line| matches!(line, Line::Notice { .. })).count();
        if count <= NOTICES_MAX {
            return lines;
        }
        let is_notice = |line: &Line| matches!(line, Line::Notice { .. });
        let mut kept: Vec<_> = lines.into_iter().filter(|line| !is_notice(line)).collect();
        kept.push(Line::Change { chat: Some(self.title(id)), text: format!("{count} new messages") });
        kept
    }

    /// Handles an event of an unknown chat: the user was added or joined, or the summary is still
    /// to come.
    fn apply_unlisted(&mut self, event: &EventData) -> Vec<Line> {
        let Some(summary) =
            event.chat.as_ref().filter(|_| event.kind == "join" && event.user_id == Some(self.me))
        else {
            if self.unlisted.len() < UNLISTED_MAX || self.unlisted.contains_key(&event.chat_id) {
                let head = self.unlisted.entry(event.chat_id).or_insert(event.seq);
                *head = event.seq.max(*head);
            }
            return Vec::new();
        };
        self.learn(summary);
        let Some(chat) = self.chats.get_mut(&summary.id) else { return Vec::new() };
        chat.last_seq = event.seq;
        chat.head = chat.head.max(event.seq);
        if chat.head > chat.last_seq {
            self.behind.insert(summary.id);
        }
        let actor = event.actor_id.filter(|actor| *actor != self.me);
        let text = actor.map_or("you joined".to_owned(), |actor| format!("{} added you", self.name(actor)));
        vec![Line::Change { chat: Some(self.title(summary.id)), text }]
    }

    /// Applies the next event of a known chat.
    fn take(&mut self, event: &EventData) -> Vec<Line> {
        let (id, is_open) = (event.chat_id, self.open == Some(event.chat_id));
        let Some(chat) = self.chats.get_mut(&id) else { return Vec::new() };
        chat.last_seq = event.seq;
        chat.head = chat.head.max(event.seq);
        if chat.last_seq == chat.head {
            self.behind.remove(&id);
        }
        if let Some(message) = event.message.as_ref().filter(|_| event.kind == "message") {
            if is_open {
                if event.seq <= chat.shown_seq {
                    return Vec::new();
                }
                chat.shown_seq = event.seq;
                self.recent.shown(message);
                return self.message_lines(message);
            }
            if message.sender_id != self.me && event.seq > chat.counted_seq {
                chat.unread += 1;
            }
            let (chat, sender) = (self.title(id), self.name(message.sender_id));
            return vec![Line::Notice { chat, sender, content: self.content(message) }];
        }
        match event.kind.as_str() {
            "rename" => chat.name.clone_from(&event.name),
            "archive" => chat.archived = event.archived.unwrap_or(false),
            "delete" => event.message_id.into_iter().for_each(|message| self.recent.deleted(message)),
            _ => {}
        }
        // Changes of single messages are shown in the open chat only.
        let about_a_message = event.message_id.is_some() || event.kind == "edit";
        if about_a_message && !is_open {
            return Vec::new();
        }
        let Some(text) = sentence(event, |user| self.name(user)) else { return Vec::new() };
        let chat = (!is_open).then(|| self.title(id));
        vec![Line::Change { chat, text }]
    }

    /// Returns the text of a message, with the lines of its files.
    fn content(&self, message: &Message) -> String {
        with_files(content(message), message, &self.server)
    }

    /// Returns the lines of a message of the open chat, with the date when it changes.
    fn message_lines(&mut self, message: &Message) -> Vec<Line> {
        let day = text::day(message.created_at);
        let mut lines = Vec::new();
        if self.shown_day.replace(day) != Some(day) {
            lines.push(Line::Day(message.created_at));
        }
        let sender = self.name(message.sender_id);
        lines.push(Line::Message { at: message.created_at, sender, content: self.content(message) });
        lines
    }

    /// Opens a chat and shows its newest messages.
    pub(super) fn opened(&mut self, id: ChatId, messages: &[Message], has_more: bool) -> Vec<Line> {
        self.open = Some(id);
        self.shown_day = None;
        self.recent.clear();
        messages.iter().for_each(|message| self.recent.shown(message));
        let mut lines = vec![Line::Info(format!("--- {} ---", self.title(id)))];
        lines.extend(messages.iter().flat_map(|message| self.message_lines(message)));
        if let Some(chat) = self.chats.get_mut(&id) {
            chat.unread = 0;
            chat.older_than = messages.first().filter(|_| has_more).map(|message| message.seq);
            if let Some(last) = messages.last() {
                chat.shown_seq = chat.shown_seq.max(last.seq);
                chat.counted_seq = chat.counted_seq.max(last.seq);
            }
        }
        lines
    }

    /// Shows older messages of the open chat, below a title.
    pub(super) fn older(&mut self, title: &str, messages: &[Message], has_more: bool) -> Vec<Line> {
        let day = self.shown_day.take();
        let mut lines = vec![Line::Info(format!("--- {title} ---"))];
        lines.extend(messages.iter().flat_map(|message| self.message_lines(message)));
        lines.push(Line::Info("--- end of the older messages ---".to_owned()));
        self.shown_day = day;
        if let Some(chat) = self.open.and_then(|id| self.chats.get_mut(&id)) {
            chat.older_than = messages.first().filter(|_| has_more).map(|message| message.seq);
        }
        lines
    }

    /// The user's own cursor moved, perhaps on another device.
    pub(super) fn moved(&mut self, id: ChatId, read_seq: Seq, unread: i64) {
        if let Some(chat) = self.chats.get_mut(&id).filter(|chat| read_seq >= chat.read_seq) {
            chat.read_seq = read_seq;
            chat.unread = unread;
            chat.counted_seq = chat.counted_seq.max(chat.last_seq);
        }
    }

    /// Stores the name of a user; `None`: the server reported no name.
    pub(super) fn called(&mut self, user: UserId, name: Option<String>) {
        if self.names.len() >= NAMES_MAX {
            self.names.retain(|known, _| *known == self.me);
        }
        self.names.insert(user, name);
    }

    /// Returns the position up to which the open chat has been read, if the server does not know it
    /// yet.
    pub(super) fn read_mark(&self) -> Option<(ChatId, Seq)> {
        let (id, chat) = self.open.and_then(|id| self.chats.get_key_value(&id))?;
        let seq = chat.last_seq.max(chat.shown_seq);
        (seq > chat.read_seq).then_some((*id, seq))
    }

    pub(super) fn marked_read(&mut self, id: ChatId, seq: Seq) {
        if let Some(chat) = self.chats.get_mut(&id) {
            chat.read_seq = chat.read_seq.max(seq);
        }
    }
}
