//! State of the full screen. A plain struct without I/O: keys, packets and answers go in, orders
//! come out ([`Order`]), and [`super::view`] draws it.
//!
//! Invariant: typed input is processed in its order. A line that needs the server waits in `ahead`
//! with everything that was typed behind it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ratatui::crossterm::event::Event;
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::complete::Completion;
use super::draft::{Draft, Purpose};
use super::editor::Editor;
use super::history::Part;
use super::inbox::Inbox;
use super::kept::Kept;
use super::sending::Sending;
use super::store::Store;
use crate::cli::chat::config::Config;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::message::Message;
use crate::protocol::packet::MessagePacket;

/// Chats whose loaded history is kept besides the open one.
const LOADED_MAX: usize = 4;
/// Input events that may wait.
pub(super) const AHEAD_MAX: usize = 100_000;

/// Work for the part of the client that does I/O.
#[derive(Debug)]
pub(super) enum Order {
    Send(Box<MessagePacket>, Asked),
    Rest(Call),
    Bell,
    /// Drop the connection, and connect again.
    Disconnect(String),
    Quit,
}

/// Purpose of a packet, by which its answer is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Message,
    Chats,
    Heartbeat,
    Names(Vec<UserId>),
    Page(ChatId, Part),
    /// A change that the user requested: a refusal is shown.
    Change,
    /// A packet that may be lost.
    Aside,
}

/// A request to the REST API.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) then: Then,
}

/// How the answer of a [`Call`] is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// The answer is a chat, which is opened. `peer` is the other user of a direct chat.
    Open {
        peer: Option<String>,
    },
    /// The answer is a page of channels; the one with this name is joined.
    Join {
        name: String,
        pages: usize,
    },
    /// The user joined a channel.
    Joined(ChatId),
    /// The answer lists the participants; shown as a text if `show`.
    Participants {
        chat: ChatId,
        show: bool,
    },
    Notifications,
    Thread {
        chat: ChatId,
        root: MessageId,
    },
    /// Only a refusal is shown, after this text.
    Done(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Connection {
    Connecting,
    Online,
    Waiting { until: Instant, reason: String },
}

/// Where keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    Compose,
    /// A message is selected.
    Navigate,
}

#[derive(Debug)]
pub(super) enum Pane {
    Chat,
    Thread(Thread),
    /// Index of the selected notification.
    Inbox(usize),
    /// First line of the help on the screen.
    Help(usize),
}

/// The messages of a thread.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) chat: ChatId,
    /// The first message, or any message of the thread until it is loaded.
    pub(super) root: MessageId,
    pub(super) messages: Vec<Message>,
    pub(super) selected: usize,
    pub(super) is_loading: bool,
    pub(super) is_stale: bool,
}

/// A line that is typed in place of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PromptKind {
    Search,
    React(MessageId),
}

#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) kind: PromptKind,
    pub(super) editor: Editor,
}

/// A question that a single key answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    Delete(ChatId, MessageId),
    /// Split the text into this many messages.
    Split(usize),
    Leave(ChatId),
    Quit,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) query: String,
    pub(super) older: bool,
    /// Pages are being requested.
    pub(super) is_running: bool,
}

/// A line about the last action, until the next key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) text: String,
    pub(super) is_problem: bool,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) config: Config,
    pub(super) server: String,
    pub(super) username: String,
    pub(super) store: Store,
    pub(super) inbox: Inbox,
    pub(super) connection: Connection,
    pub(super) epoch: Option<i64>,
    /// The first list of chats is complete.
    pub(super) ready: bool,
    /// A command that changes the open chat is running.
    pub(super) busy: Option<String>,
    pub(super) ahead: VecDeque<Event>,
    /// Enter begins a new line: the text was typed for a chat that could not be opened.
    pub(super) hold: bool,
    /// Until this time, further input belongs to the text that is held.
    pub(super) hold_until: Option<Instant>,
    pub(super) open: Option<ChatId>,
    /// Chats in the order in which they were open, the last one first.
    recent: VecDeque<ChatId>,
    /// The read cursor when the chat was opened: the New line stands behind it.
    pub(super) new_after: Option<Seq>,
    pub(super) editor: Editor,
    pub(super) purpose: Purpose,
    pub(super) drafts: HashMap<ChatId, Draft>,
    pub(super) focus: Focus,
    pub(super) pane: Pane,
    pub(super) selected: Option<Seq>,
    /// Row at the bottom of the screen and the number of its lines below the screen; `None`: the
    /// newest row.
    pub(super) anchor: Option<(Seq, usize)>,
    pub(super) prompt: Option<Prompt>,
    pub(super) question: Option<Question>,
    pub(super) search: Option<Search>,
    /// Seq at which the screen shall be, once it is loaded.
    pub(super) jump: Option<(ChatId, Seq)>,
    /// The chat was opened with unread messages: the screen begins with the first one.
    pub(super) starts_at_new: bool,
    pub(super) completion: Option<Completion>,
    pub(super) note: Option<Note>,
    /// Lines of a longer answer, shown above the prompt until the next key.
    pub(super) report: Vec<String>,
    pub(super) sending: Sending,
    pub(super) orders: VecDeque<Order>,
    pub(super) size: (u16, u16),
    pub(super) has_focus: bool,
    pub(super) list_hidden: bool,
    /// The state on disk is older than this one.
    pub(super) is_unsaved: bool,
    /// A message was written: it must be on disk before it is sent.
    pub(super) must_save: bool,
    pub(super) typing_sent_at: Option<Instant>,
    pub(super) read_sent_at: Option<Instant>,
    /// No pages are requested before this time.
    pub(super) pages_from: Option<Instant>,
    /// The chat that was open when the client ended.
    pub(super) last_open: Option<ChatId>,
}

impl Model {
    pub(super) fn new(config: Config, server: String, username: String, kept: Kept) -> Self {
        let (sending, drafts) = (Sending::of(&kept), kept.drafts());
        let mut model = Self {
            config,
            server,
            username,
            store: Store::new(UserId(0)),
            inbox: Inbox::default(),
            connection: Connection::Connecting,
            epoch: kept.epoch,
            ready: false,
            busy: None,
            ahead: VecDeque::new(),
            hold: false,
            hold_until: None,
            open: None,
            recent: VecDeque::new(),
            new_after: None,
            editor: Editor::default(),
            purpose: Purpose::Message,
            drafts,
            focus: Focus::Compose,
            pane: Pane::Chat,
            selected: None,
            anchor: None,
            prompt: None,
            question: None,
            search: None,
            jump: None,
            starts_at_new: false,
            completion: None,
            note: None,
            report: Vec::new(),
            sending,
            orders: VecDeque::new(),
            size: (80, 24),
            has_focus: true,
            list_hidden: false,
            is_unsaved: false,
            must_save: false,
            typing_sent_at: None,
            read_sent_at: None,
            pages_from: None,
            last_open: kept.open,
        };
        let draft = model.drafts.remove(&ChatId(0)).unwrap_or_default();
        model.editor.set(draft.text);
        model
    }

    /// Returns everything that must survive the client.
    pub(super) fn kept(&self) -> Kept {
        let mut drafts = self.drafts.clone();
        // The prompt is the draft of the open chat.
        let draft = Draft { text: self.editor.text().to_owned(), purpose: self.purpose };
        drafts.entry(self.open.unwrap_or(ChatId(0))).or_default().extend(draft);
        Kept::of(self.epoch, self.open.or(self.last_open), &drafts, &self.sending)
    }

    pub(super) fn is_online(&self) -> bool {
        self.connection == Connection::Online
    }

    /// Connects now instead of waiting.
    pub(super) fn reconnect(&mut self) {
        if !self.is_online() {
            self.connection = Connection::Connecting;
        }
    }

    pub(super) fn info(&mut self, text: impl Into<String>) {
        self.note = Some(Note { text: text.into(), is_problem: false });
    }

    pub(super) fn problem(&mut self, text: impl Into<String>) {
        self.note = Some(Note { text: text.into(), is_problem: true });
    }

    pub(super) fn send(&mut self, packet: MessagePacket, asked: Asked) {
        if self.is_online() {
            self.orders.push_back(Order::Send(Box::new(packet), asked));
        }
    }

    pub(super) fn call(&mut self, method: Method, path: String, body: Option<Value>, then: Then) {
        self.orders.push_back(Order::Rest(Call { method, path, body, then }));
    }

    /// Opens a chat. The text that was being written stays the draft of the former chat.
    pub(super) fn open_chat(&mut self, id: ChatId) {
        self.pane = Pane::Chat;
        self.focus = Focus::Compose;
        self.selected = None;
        self.completion = None;
        if self.open == Some(id) {
            return;
        }
        self.put_draft_away();
        self.open = Some(id);
        self.anchor = None;
        self.jump = None;
        self.search = None;
        self.recent.retain(|other| *other != id);
        self.recent.push_front(id);
        self.unload_others();
        let draft = self.drafts.remove(&id).unwrap_or_default();
        self.editor.set(draft.text);
        self.purpose = draft.purpose;
        self.is_unsaved = true;
        if self.is_online() {
            let path = format!("/api/chats/{id}/participants?limit=100");
            self.call(Method::GET, path, None, Then::Participants { chat: id, show: false });
        }
        let Some(chat) = self.store.chats.get(&id) else { return };
        let has_unread = chat.unread > 0;
        self.new_after = Some(chat.read_seq);
        if has_unread {
            self.start_at_new(id);
        }
    }

    /// Keeps the text in the prompt as a draft and empties the prompt.
    pub(super) fn put_draft_away(&mut self) {
        let draft = Draft { text: self.editor.take(), purpose: std::mem::take(&mut self.purpose) };
        if !draft.text.is_empty() {
            self.drafts.entry(self.open.unwrap_or(ChatId(0))).or_default().extend(draft);
        }
        self.is_unsaved = true;
    }

    /// Opens the chat that the input was typed for, before the chat could be opened. Its draft is
    /// not mixed with this input.
    pub(super) fn open_with_text(&mut self, id: ChatId) {
        let typed = self.editor.take();
        self.open_chat(id);
        if !typed.is_empty() || !self.ahead.is_empty() {
            self.put_draft_away();
            self.editor.set(typed);
        }
    }

    /// The open chat does not exist any more.
    pub(super) fn close_chat(&mut self, id: ChatId, reason: &str) {
        if self.open == Some(id) {
            // Without its chat, the text stays in the prompt.
            self.open = None;
            self.purpose = Purpose::Message;
            self.pane = Pane::Chat;
            self.focus = Focus::Compose;
            self.selected = None;
            self.anchor = None;
            self.info(reason.to_owned());
        }
        if let Some(draft) = self.drafts.remove(&id) {
            let orphan = self.drafts.entry(ChatId(0)).or_default();
            orphan.text = [orphan.text.as_str(), draft.text.as_str()].join("\n").trim().to_owned();
        }
        self.recent.retain(|other| *other != id);
        self.is_unsaved = true;
    }

    fn unload_others(&mut self) {
        let kept: Vec<_> = self.recent.iter().take(LOADED_MAX + 1).copied().collect();
        for (id, chat) in &mut self.store.chats {
            if !kept.contains(id) {
                chat.history.unload();
            }
        }
    }

    /// Returns whether the newest row of the open chat is on the screen.
    pub(super) fn is_at_bottom(&self) -> bool {
        let chat = self.open.and_then(|id| self.store.chats.get(&id));
        self.anchor.is_none()
            && matches!(self.pane, Pane::Chat)
            && chat.is_some_and(|chat| chat.history.is_at_end(chat.last))
    }

    /// Returns when something happens without input: a timer of the screen.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let second = Duration::from_secs(1);
        let counting = matches!(self.connection, Connection::Waiting { .. }).then(|| now + second);
        let typing = self.open.filter(|id| self.store.people.is_anyone_typing(*id)).map(|_| now + second);
        let unread = self.is_unread().then(|| now + second);
        [counting, typing, unread, self.pages_from, self.sending.paused_until()].into_iter().flatten().min()
    }

    /// Returns whether the screen shows messages that the server does not know to be read.
    pub(super) fn is_unread(&self) -> bool {
        let chat = self.open.and_then(|id| self.store.chats.get(&id));
        self.is_online()
            && self.has_focus
            && self.is_at_bottom()
            && chat.is_some_and(|chat| chat.last > chat.read_seq.max(chat.sent_read_seq))
    }
}
