//! Keys on a selected message and in the notifications.

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use reqwest::Method;
use serde_json::json;

use super::draft::Purpose;
use super::inbox::Loading;
use super::model::{Asked, Focus, Model, Pane, PromptKind, Question, Then};
use crate::cli::chat::link::packet_of;
use crate::domain::ids::{ChatId, Seq};
use crate::protocol::packet::MessagePacket;

/// Messages that are requested when the notifications are opened.
const EXCERPTS_AT_ONCE: usize = 30;

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
            KeyCode::Char('y') => self.copy_selected(),
            KeyCode::Char('e') => self.begin_edit(),
            KeyCode::Char('d') | KeyCode::Delete => {
                if let (Some(chat), Some(message)) = (self.open, self.selected_message()) {
                    self.question = Some(Question::Delete(chat, message.id));
                    self.question_letter = letter_of(key);
                }
            }
            KeyCode::Char('+' | ':') => {
                if let Some(id) =
                    self.selected_message().filter(|message| !message.deleted).map(|message| message.id)
                {
                    self.ask(PromptKind::React(id));
                }
            }
            KeyCode::Char('p') => {
                if let Some(message) = self.selected_message() {
                    self.question = Some(Question::Pin { message: message.id, remove: message.pinned });
                    self.question_letter = letter_of(key);
                }
            }
            KeyCode::Char('u') => {
                if let (Some(chat), Some(seq)) = (self.open, self.selected) {
                    self.question = Some(Question::Unread(chat, seq));
                    self.question_letter = letter_of(key);
                }
            }
            KeyCode::Esc | KeyCode::Enter => self.return_to_prompt(),
            // Any other letter is the beginning of a message.
            KeyCode::Char(_) => self.back_to_chat(key),
            _ => self.info("? lists the keys; Esc goes back to the message"),
        }
    }

    fn reply(&mut self) {
        let Some(id) = self.selected_message().map(|message| message.id) else { return };
        if matches!(self.purpose, Purpose::Edit(_)) {
            return self.begin_draft(String::new(), Purpose::Reply(id));
        }
        self.purpose = Purpose::Reply(id);
        self.focus = Focus::Compose;
        self.selected = None;
        self.is_unsaved = true;
    }

    /// Puts the text of the selected message into the prompt. The text that is being written
    /// returns after the edit.
    fn begin_edit(&mut self) {
        let me = self.store.me;
        let Some(message) = self.selected_message() else { return };
        if message.sender_id != me || message.deleted {
            return self.problem("only your own messages can be edited");
        }
        let (id, content) = (message.id, message.content.clone());
        if self.purpose == Purpose::Edit(id) {
            return self.return_to_prompt();
        }
        self.begin_draft(content, Purpose::Edit(id));
    }

    pub(super) fn mark_unread(&mut self, chat: ChatId, seq: Seq) {
        let from_seq = u64::try_from(seq).ok();
        if !self.change_online(MessagePacket { chat_id: Some(chat), from_seq, ..packet_of("MarkUnread") }) {
            return;
        }
        self.new_after = Some(seq - 1);
        // Otherwise the screen would mark the messages as read again.
        self.put_draft_away();
        self.open = None;
        self.focus = Focus::Compose;
        self.selected = None;
        self.info("the chat is closed, so that its messages stay unread");
    }

    /// Shows the notifications, and requests them again if they could not be read.
    pub(super) fn open_inbox(&mut self) {
        self.pane = Pane::Inbox(0);
        if self.is_online() && matches!(self.inbox.loading, Loading::Failed(_)) {
            self.load_notifications();
        }
        // The messages that the notifications on the screen are about.
        let rows = usize::from(self.size.1).min(EXCERPTS_AT_ONCE);
        for (chat, seq) in self.inbox.unquoted(rows) {
            let after_seq = u64::try_from(seq - 1).ok();
            let packet =
                MessagePacket { chat_id: Some(chat), after_seq, limit: Some(1), ..packet_of("GetEvents") };
            self.send(packet, Asked::Excerpt);
        }
    }

    pub(super) fn open_notification(&mut self) {
        let Pane::Inbox(selected) = self.pane else { return };
        let Some(found) = self.inbox.newest_first().nth(selected) else { return };
        let (id, chat, seq) = (found.id, found.chat_id, found.seq);
        if self.is_online() {
            self.call(Method::POST, format!("/api/notifications/{id}/read"), None, Then::Done("not marked"));
        }
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

/// Returns the letter of a key that may be the beginning of a message.
fn letter_of(key: KeyEvent) -> Option<char> {
    match key.code {
        KeyCode::Char(letter) => Some(letter),
        _ => None,
    }
}
