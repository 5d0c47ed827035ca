//! Keys on a selected message and in the notifications.

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use reqwest::Method;
use serde_json::json;

use super::draft::Purpose;
use super::model::{Asked, Focus, Model, Pane, PromptKind, Question, Then, Thread};
use crate::cli::chat::link::packet_of;
use crate::protocol::packet::MessagePacket;

impl Model {
    /// Handles a key while a message is selected.
    pub(super) fn navigation_key(&mut self, key: KeyEvent) {
        if matches!(self.pane, Pane::Thread(_)) && self.thread_key(key) {
            return;
        }
        match key.code {
            KeyCode::Up | KeyCode::Char('k') => self.select(false),
            KeyCode::Down | KeyCode::Char('j') => self.select(true),
            KeyCode::Home | KeyCode::Char('g') => self.go_to_start(),
            KeyCode::End | KeyCode::Char('G') => self.stop_navigating(),
            KeyCode::Char('/') => self.ask(PromptKind::Search),
            KeyCode::Char('n') => self.search_again(true),
            KeyCode::Char('N') => self.search_again(false),
            KeyCode::Char('?') => self.pane = Pane::Help(0),
            KeyCode::Char('t') => self.open_thread(),
            KeyCode::Char('r') => self.reply(),
            KeyCode::Char('e') => self.begin_edit(),
            KeyCode::Char('d') | KeyCode::Delete => {
                if let (Some(chat), Some(message)) = (self.open, self.selected_message()) {
                    self.question = Some(Question::Delete(chat, message.id));
                }
            }
            KeyCode::Char('+' | ':') => {
                if let Some(id) = self.selected_message().map(|message| message.id) {
                    self.ask(PromptKind::React(id));
                }
            }
            KeyCode::Char('p') => {
                if let Some((id, pinned)) =
                    self.selected_message().map(|message| (message.id, message.pinned))
                {
                    self.change(id, MessagePacket { remove: Some(pinned), ..packet_of("Pin") });
                }
            }
            KeyCode::Char('u') => self.mark_unread(),
            KeyCode::Esc if self.search.as_ref().is_some_and(|search| search.is_running) => {
                self.pause_search()
            }
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('i' | 'q') => {
                if matches!(self.pane, Pane::Thread(_)) {
                    self.focus = Focus::Compose;
                } else {
                    self.stop_navigating();
                }
            }
            // Any other letter is the beginning of a message.
            KeyCode::Char(_) => self.back_to_chat(key),
            _ => self.info("? lists the keys; Esc goes back to the message"),
        }
    }

    fn thread_key(&mut self, key: KeyEvent) -> bool {
        let Pane::Thread(thread) = &mut self.pane else { return false };
        let last = thread.messages.len().saturating_sub(1);
        match key.code {
            KeyCode::Up | KeyCode::Char('k') => thread.selected = thread.selected.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') if thread.selected < last => thread.selected += 1,
            KeyCode::Down | KeyCode::Char('j') => self.focus = Focus::Compose,
            KeyCode::Home | KeyCode::Char('g') => thread.selected = 0,
            KeyCode::End | KeyCode::Char('G') => thread.selected = last,
            KeyCode::Char('/' | 'n' | 'N' | 't' | 'u') => {}
            KeyCode::Char(letter) if !"red+:pi?q".contains(letter) => self.compose_in_thread(key),
            _ => return false,
        }
        true
    }

    fn compose_in_thread(&mut self, key: KeyEvent) {
        self.focus = Focus::Compose;
        self.compose_key(key);
    }

    fn reply(&mut self) {
        let Some(id) = self.selected_message().map(|message| message.id) else { return };
        self.purpose = Purpose::Reply(id);
        self.focus = Focus::Compose;
        self.selected = None;
        self.is_unsaved = true;
    }

    fn begin_edit(&mut self) {
        let me = self.store.me;
        let Some(message) = self.selected_message() else { return };
        if message.sender_id != me || message.deleted {
            return self.problem("only your own messages can be edited");
        }
        let (id, content) = (message.id, message.content.clone());
        self.editor.set(content);
        self.purpose = Purpose::Edit(id);
        self.focus = Focus::Compose;
        self.selected = None;
    }

    fn mark_unread(&mut self) {
        let (Some(chat), Some(seq)) = (self.open, self.selected) else { return };
        let from_seq = u64::try_from(seq).ok();
        self.send(MessagePacket { chat_id: Some(chat), from_seq, ..packet_of("MarkUnread") }, Asked::Change);
        self.new_after = Some(seq - 1);
        // Otherwise the screen would mark the messages as read again.
        self.put_draft_away();
        self.open = None;
        self.focus = Focus::Compose;
        self.selected = None;
        self.info("the messages are unread again; the chat is closed");
    }

    pub(super) fn open_thread(&mut self) {
        let (Some(chat), Some(message)) = (self.open, self.target()) else {
            return self.problem("no message is loaded");
        };
        let root = message.thread_id.unwrap_or(message.id);
        self.focus = Focus::Compose;
        self.selected = None;
        let messages = Vec::new();
        self.pane =
            Pane::Thread(Thread { chat, root, messages, selected: 0, is_loading: false, is_stale: true });
    }

    pub(super) fn open_notification(&mut self) {
        let Pane::Inbox(selected) = self.pane else { return };
        let Some(found) = self.inbox.newest_first().nth(selected) else { return };
        let (id, chat, seq) = (found.id, found.chat_id, found.seq);
        self.call(Method::POST, format!("/api/notifications/{id}/read"), None, Then::Done("not marked"));
        match (chat.filter(|chat| self.store.chats.contains_key(chat)), seq) {
            (Some(chat), Some(seq)) => {
                self.open_chat(chat);
                self.go_to(chat, seq);
            }
            (Some(chat), None) => self.open_chat(chat),
            (None, _) => self.info("this notification has no chat in your list"),
        }
    }

    pub(super) fn read_notification(&mut self) {
        let Pane::Inbox(selected) = self.pane else { return };
        let id = self.inbox.newest_first().nth(selected).map(|found| found.id);
        if let Some(id) = id {
            let path = format!("/api/notifications/{id}/read");
            self.call_online(Method::POST, path, None, Then::Done("not marked"));
        }
    }

    pub(super) fn read_notifications(&mut self) {
        let path = "/api/notifications/read".to_owned();
        self.call_online(Method::POST, path, Some(json!({})), Then::Done("not marked"));
    }
}
