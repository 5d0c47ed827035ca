//! The messages of a thread, and the keys in its pane.

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::history::change;
use super::model::{Focus, Model, Pane, Then};
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::message::Message;
use crate::protocol::view::EventData;

/// Messages that are loaded; earlier ones can be read in the chat.
const MESSAGES_MAX: usize = 1_500;
/// Messages in a page: the server's maximum.
const PAGE: usize = 100;
/// Messages that PageUp and PageDown move by.
const STEP: usize = 10;

#[derive(Debug)]
pub(super) struct Thread {
    pub(super) chat: ChatId,
    /// The first message, or any message of the thread until it is loaded.
    pub(super) root: MessageId,
    /// The newest messages, without gaps.
    pub(super) messages: Vec<Message>,
    pub(super) selected: usize,
    /// Messages before the first loaded one exist.
    pub(super) has_more: bool,
    pub(super) is_loading: bool,
    is_stale: bool,
    /// Older messages are to be loaded.
    wants_older: bool,
}

#[derive(Deserialize)]
struct MessagePage {
    items: Vec<Message>,
    #[serde(default)]
    has_more: bool,
}

impl Thread {
    pub(super) fn new(chat: ChatId, root: MessageId) -> Self {
        Self {
            chat,
            root,
            messages: Vec::new(),
            selected: 0,
            has_more: false,
            is_loading: false,
            is_stale: true,
            wants_older: false,
        }
    }

    /// Applies an event of the chat: changes at once, new messages by a request.
    pub(super) fn event(&mut self, event: &EventData) {
        let id = event.message_id.or(event.message.as_ref().map(|message| message.id));
        match self.messages.iter_mut().find(|message| Some(message.id) == id) {
            Some(message) if event.kind != "message" => change(message, event),
            _ => self.is_stale = true,
        }
    }

    /// Returns whether messages before the loaded ones can be requested.
    pub(super) fn can_load_older(&self) -> bool {
        self.has_more && self.messages.len() < MESSAGES_MAX
    }

    /// Selects an earlier message. At the first one, the messages before it are loaded.
    fn go_up(&mut self, messages: usize) {
        self.wants_older = messages > self.selected;
        self.selected = self.selected.saturating_sub(messages);
    }

    /// Returns the page to request now: `Some(None)` is the newest one.
    fn next_page(&mut self) -> Option<Option<Seq>> {
        if self.is_loading {
            return None;
        }
        let before = if std::mem::take(&mut self.is_stale) {
            None
        } else if std::mem::take(&mut self.wants_older) && self.can_load_older() {
            Some(self.messages.first()?.seq)
        } else {
            return None;
        };
        self.is_loading = true;
        Some(before)
    }

    /// Adds a page: the newest messages, or those before a seq.
    fn page(&mut self, before: Option<Seq>, page: MessagePage) {
        let was_at_end = self.selected + 1 >= self.messages.len();
        let MessagePage { items, has_more } = page;
        match before {
            Some(before) => {
                if self.messages.first().is_some_and(|first| first.seq == before) {
                    self.selected += items.len();
                    self.messages.splice(0..0, items);
                    self.has_more = has_more;
                }
            }
            None => {
                // Older messages stay if the page continues them.
                let first = items.first().map_or(0, |first| first.seq);
                let is_continued = has_more && self.messages.last().is_some_and(|newest| newest.seq >= first);
                if is_continued {
                    self.messages.retain(|message| message.seq < first);
                } else {
                    self.messages.clear();
                }
                if self.messages.is_empty() {
                    self.has_more = has_more;
                }
                self.messages.extend(items);
                let surplus = self.messages.len().saturating_sub(MESSAGES_MAX + PAGE);
                self.messages.drain(..surplus);
                self.has_more |= surplus > 0;
                let last = self.messages.len().saturating_sub(1);
                self.selected = if was_at_end { last } else { self.selected.min(last) };
            }
        }
    }
}

impl Model {
    pub(super) fn open_thread(&mut self) {
        let (Some(chat), Some(message)) = (self.open, self.target()) else {
            return self.problem("no message is loaded");
        };
        let root = message.thread_id.unwrap_or(message.id);
        self.focus = Focus::Compose;
        self.selected = None;
        self.pane = Pane::Thread(Thread::new(chat, root));
    }

    /// Requests the missing messages of the thread on the screen.
    pub(super) fn load_thread(&mut self) {
        let Pane::Thread(thread) = &mut self.pane else { return };
        let (chat, root) = (thread.chat, thread.root);
        let Some(before) = thread.next_page() else { return };
        let range = before.map_or_else(String::new, |seq| format!("&before_seq={seq}"));
        let path = format!("/api/chats/{chat}/messages?thread={root}&limit={PAGE}{range}");
        self.call(Method::GET, path, None, Then::Thread { chat, root, before });
    }

    /// Handles a page of a thread.
    pub(super) fn thread_answered(
        &mut self,
        (chat, root): (ChatId, MessageId),
        before: Option<Seq>,
        answer: Value,
    ) {
        let Pane::Thread(thread) = &mut self.pane else { return };
        if (thread.chat, thread.root) != (chat, root) {
            return;
        }
        thread.is_loading = false;
        match serde_json::from_value(answer) {
            Ok(page) => thread.page(before, page),
            Err(error) => self.problem(format!("the thread cannot be read: {error}")),
        }
    }

    /// The server did not return a page of a thread.
    pub(super) fn thread_refused(&mut self, reason: &str) {
        if let Pane::Thread(thread) = &mut self.pane {
            thread.is_loading = false;
        }
        self.problem(format!("the thread cannot be read: {reason}"));
    }

    /// Handles a key in the pane of a thread, unless it acts on the selected message.
    pub(super) fn thread_key(&mut self, key: KeyEvent) -> bool {
        let Pane::Thread(thread) = &mut self.pane else { return false };
        let last = thread.messages.len().saturating_sub(1);
        match key.code {
            KeyCode::Up | KeyCode::Char('k') => thread.go_up(1),
            KeyCode::Home | KeyCode::Char('g') => thread.go_up(usize::MAX),
            KeyCode::Down | KeyCode::Char('j') if thread.selected < last => thread.selected += 1,
            KeyCode::Down | KeyCode::Char('j') => self.focus = Focus::Compose,
            KeyCode::End | KeyCode::Char('G') => thread.selected = last,
            // These search and mark in the chat.
            KeyCode::Char('/' | 'n' | 'N' | 't' | 'u') => {}
            _ => return false,
        }
        true
    }

    /// Moves in the thread by several messages.
    pub(super) fn page_thread(&mut self, down: bool) {
        let Pane::Thread(thread) = &mut self.pane else { return };
        let last = thread.messages.len().saturating_sub(1);
        if !down {
            thread.go_up(STEP);
            self.focus = Focus::Navigate;
        } else if thread.selected < last {
            thread.selected = (thread.selected + STEP).min(last);
        } else {
            self.focus = Focus::Compose;
        }
    }
}
