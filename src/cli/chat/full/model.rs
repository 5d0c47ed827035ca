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
use super::found::FoundList;
use super::history::Part;
use super::inbox::Inbox;
use super::kept::Kept;
use super::measure::Widths;
use super::recall::Recall;
use super::retry::Retry;
use super::search::Search;
use super::sending::Sending;
use super::store::Store;
use super::switch::NO_CHAT;
use super::thread::Thread;
use crate::cli::chat::attach::Attachment;
use crate::cli::chat::config::Config;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::notification::NotifyLevel;
use crate::protocol::packet::MessagePacket;

/// Input events that may wait.
pub(super) const AHEAD_MAX: usize = 100_000;

/// Work for the part of the client that does I/O.
#[derive(Debug)]
pub(super) enum Order {
    Send(Box<MessagePacket>, Asked),
    Rest(Call),
    Bell,
    /// Write the whole screen again.
    Repaint,
    /// Copy a text to the clipboard of the terminal.
    Copy(String),
    /// Show a text without the screen of the client, until the next key.
    Bare(String),
    /// Switch the mouse on or off.
    Mouse(bool),
    /// Read the names in a folder of this machine, to complete a path.
    Names(String),
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
    /// The message of a notification, for its text.
    Excerpt,
    /// A page of the search with this number.
    Found(u64),
    /// A change that the user requested: a refusal is shown.
    Change,
    /// The same; the text is shown when it is done.
    Noted(String),
    /// An edit of a message, with the new text: a refusal brings it back.
    Edit {
        chat: ChatId,
        message: MessageId,
        text: String,
    },
    /// Positions from which chats are resumed.
    Resume(Vec<ChatId>),
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
    /// The answer is a page of a thread: the newest messages, or those before a seq.
    Thread {
        chat: ChatId,
        root: MessageId,
        before: Option<Seq>,
    },
    /// The notifications of a chat have this level.
    Notify {
        chat: ChatId,
        level: NotifyLevel,
    },
    /// Neither the answer nor a refusal matters.
    Aside,
    /// Only a refusal is shown, after this text.
    Done(&'static str),
    /// A refusal is shown after the first text; otherwise the second text is.
    Noted(&'static str, String),
    /// The answer is a page of channels that the user can join; shown as a text if `show`.
    Channels {
        show: bool,
    },
    /// The answer is a page of pinned messages.
    Pins,
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
    /// Index of the selected text among those that were not sent.
    Failed(usize),
    /// The messages that were found.
    Found,
    /// First line of the help on the screen.
    Help(usize),
}

/// A line that is typed in place of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PromptKind {
    Search,
    React(MessageId),
    /// A number or a part of the name of a chat.
    Switch,
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
    /// Pin the message, or remove the pin.
    Pin {
        message: MessageId,
        remove: bool,
    },
    /// Mark the messages from a seq on as unread.
    Unread(ChatId, Seq),
    /// Split the text into this many messages.
    Split(usize),
    Leave(ChatId),
    /// Create a second group with the name of another chat.
    Twin {
        name: String,
        people: Vec<String>,
    },
    Quit,
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
    pub(super) found: FoundList,
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
    pub(super) recent: VecDeque<ChatId>,
    /// The read cursor when the chat was opened: the New line stands behind it.
    pub(super) new_after: Option<Seq>,
    pub(super) editor: Editor,
    pub(super) recall: Recall,
    pub(super) purpose: Purpose,
    /// Texts that return to the prompt after the present one, the last one first.
    pub(super) beneath: Vec<Draft>,
    pub(super) drafts: HashMap<ChatId, Draft>,
    pub(super) focus: Focus,
    pub(super) pane: Pane,
    pub(super) selected: Option<Seq>,
    /// Row at the bottom of the screen and the number of its lines below the screen; `None`: the
    /// newest row.
    pub(super) anchor: Option<(Seq, usize)>,
    /// Lines to scroll when further rows have arrived, up (positive) or down.
    pub(super) scroll_rest: isize,
    /// The newest row that was on the screen since the chat was opened.
    pub(super) seen_to: Seq,
    pub(super) prompt: Option<Prompt>,
    pub(super) question: Option<Question>,
    /// The letter that led to the question: followed by another letter, it is the beginning of a
    /// message.
    pub(super) question_letter: Option<char>,
    pub(super) search: Option<Search>,
    /// Seq at which the screen shall be, once it is loaded.
    pub(super) jump: Option<(ChatId, Seq)>,
    /// The chat was opened with unread messages: the screen begins with the first one.
    pub(super) starts_at_new: bool,
    /// Names of channels that the user can join, once they were requested.
    pub(super) joinable: Vec<String>,
    /// Since when the server has not answered while a message waits.
    pub(super) silent_since: Option<Instant>,
    /// The newest message of the user in the open chat.
    pub(super) newest_own: Option<Seq>,
    pub(super) completion: Option<Completion>,
    pub(super) note: Option<Note>,
    /// Lines of a longer answer, shown above the prompt until the next key.
    pub(super) report: Vec<String>,
    pub(super) sending: Sending,
    /// The file that is being uploaded.
    pub(super) attaching: Option<Attachment>,
    pub(super) orders: VecDeque<Order>,
    pub(super) size: (u16, u16),
    pub(super) widths: Widths,
    pub(super) has_focus: bool,
    pub(super) list_hidden: bool,
    /// A text is shown without the screen of the client.
    pub(super) is_bare: bool,
    /// The state on disk is older than this one.
    pub(super) is_unsaved: bool,
    /// A message was written: it must be on disk before it is sent.
    pub(super) must_save: bool,
    pub(super) typing_sent_at: Option<Instant>,
    pub(super) read_sent_at: Option<Instant>,
    /// No pages are requested before this time.
    pub(super) pages_from: Option<Instant>,
    /// Place from which the list of chats continues.
    pub(super) list_from: Option<ChatId>,
    /// Pauses after the server refused to list chats, to resume them, or to name users.
    pub(super) list_again: Retry,
    pub(super) resume_again: Retry,
    pub(super) names_again: Retry,
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
            found: FoundList::default(),
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
            recall: Recall::of(kept.lines),
            purpose: Purpose::Message,
            beneath: Vec::new(),
            drafts,
            focus: Focus::Compose,
            pane: Pane::Chat,
            selected: None,
            anchor: None,
            scroll_rest: 0,
            seen_to: 0,
            prompt: None,
            question: None,
            question_letter: None,
            search: None,
            jump: None,
            starts_at_new: false,
            joinable: Vec::new(),
            silent_since: None,
            newest_own: None,
            completion: None,
            note: None,
            report: Vec::new(),
            sending,
            attaching: None,
            orders: VecDeque::new(),
            size: (80, 24),
            widths: Widths { list: 0, name: 0 },
            has_focus: true,
            list_hidden: false,
            is_bare: false,
            is_unsaved: false,
            must_save: false,
            typing_sent_at: None,
            read_sent_at: None,
            pages_from: None,
            list_from: None,
            list_again: Retry::default(),
            resume_again: Retry::default(),
            names_again: Retry::default(),
            last_open: kept.open,
        };
        model.store.numbers = kept.numbers;
        let draft = model.drafts.remove(&NO_CHAT).unwrap_or_default();
        model.set_draft(draft);
        model.measure();
        model
    }

    /// Returns everything that must survive the client.
    pub(super) fn kept(&self) -> Kept {
        let mut drafts = self.drafts.clone();
        // The prompt is the draft of the open chat.
        drafts.entry(self.open.unwrap_or(NO_CHAT)).or_default().extend(self.draft());
        let mut kept = Kept::of(self.epoch, self.open.or(self.last_open), &drafts, &self.sending);
        kept.numbers.clone_from(&self.store.numbers);
        kept.lines = self.recall.lines().cloned().collect();
        kept
    }

    pub(super) fn is_online(&self) -> bool {
        self.connection == Connection::Online
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

    /// Returns whether the newest row of the open chat is on the screen.
    pub(super) fn is_at_bottom(&self) -> bool {
        let chat = self.open.and_then(|id| self.store.chats.get(&id));
        self.anchor.is_none()
            && matches!(self.pane, Pane::Chat)
            && chat.is_some_and(|chat| chat.history.is_at_end(chat.last))
    }

    /// Returns when something happens without input: a timer of the screen. A deadline that is not
    /// handled before the next call would keep the client busy.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let second = Duration::from_secs(1);
        let counting = matches!(self.connection, Connection::Waiting { .. }).then(|| now + second);
        let typing = self.open.filter(|id| self.store.people.is_anyone_typing(*id)).map(|_| now + second);
        let unread = self.is_unread().then(|| now + second);
        let silent = self.silent_since.map(|_| now + second);
        // These wait for a session.
        let pauses = [&self.list_again, &self.resume_again, &self.names_again].map(Retry::at);
        let upload = self.attaching.as_ref().and_then(Attachment::pause_until);
        let online = pauses.into_iter().chain([self.pages_from, self.sending.paused_until(), unread, upload]);
        let online = online.flatten().filter(|_| self.is_online());
        [counting, typing, silent].into_iter().flatten().chain(online).min()
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
