//! Lines that the user sends: messages and commands.

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use reqwest::Method;
use serde_json::json;

use super::draft::Purpose;
use super::model::{Asked, Model, Pane, PromptKind, Question, Then};
use crate::cli::chat::commands::{self, Command, FullCommand};
use crate::cli::chat::link::packet_of;
use crate::cli::chat::outgoing::Unsent;
use crate::domain::ids::{ChatId, MessageId};
use crate::domain::message::{CONTENT_BYTES_MAX, Content, InvalidContent, Message};
use crate::domain::notification::NotifyLevel;
use crate::domain::percent::percent_encoded;
use crate::protocol::packet::{MessagePacket, PacketMessage};

impl Model {
    /// Sends the text in the prompt, or performs it as a command. Text that cannot be sent stays.
    pub(super) fn submit(&mut self) {
        self.completion = None;
        let text = self.editor.text().to_owned();
        if let Purpose::Edit(message) = self.purpose {
            return self.submit_edit(message, text);
        }
        match commands::parse(&text) {
            Ok(Command::Nothing) => {}
            Ok(Command::Send(content)) => self.submit_message(content),
            Ok(command) => {
                self.editor.take();
                self.is_unsaved = true;
                self.perform(command);
            }
            Err(mistake) => self.problem(mistake),
        }
    }

    fn submit_message(&mut self, content: String) {
        let Some(chat) = self.open else {
            return self.problem("no chat is open: /open NAME, /dm USER or /join CHANNEL opens one");
        };
        if content.len() > CONTENT_BYTES_MAX {
            self.question = Some(Question::Split(split(&content).len()));
            return;
        }
        match Content::parse(content) {
            Ok(content) => {
                self.editor.take();
                self.queue(chat, content.into_string());
            }
            Err(InvalidContent::TooLarge) => self.problem("the message is too large"),
            Err(InvalidContent::Invalid(reason)) => self.problem(format!("not sent: {reason}")),
        }
    }

    fn queue(&mut self, chat: ChatId, content: String) {
        let reply = match (self.purpose, &self.pane) {
            (Purpose::Reply(message), _) => Some(message),
            (_, Pane::Thread(thread)) => Some(thread.root),
            _ => None,
        };
        self.purpose = Purpose::Message;
        self.sending.push(Unsent::new(chat, content, reply));
        self.new_after = None;
        self.typing_sent_at = None;
        self.must_save = true;
        if matches!(self.pane, Pane::Chat) {
            self.go_to_end();
        }
    }

    fn submit_edit(&mut self, message: MessageId, text: String) {
        match Content::parse(text) {
            Ok(content) => {
                self.editor.take();
                self.purpose = Purpose::Message;
                self.is_unsaved = true;
                self.edit(message, content.into_string());
            }
            Err(InvalidContent::TooLarge) => {
                self.problem(format!("a message has at most {CONTENT_BYTES_MAX} bytes"));
            }
            Err(InvalidContent::Invalid(reason)) => self.problem(format!("not changed: {reason}")),
        }
    }

    fn edit(&mut self, message: MessageId, content: String) {
        let message_content = PacketMessage { content: Some(content), ..PacketMessage::default() };
        self.change(message, MessagePacket { message: Some(message_content), ..packet_of("EditMessage") });
    }

    /// Sends a change of a message of the open chat. A change is pointless later: it is not queued
    /// while the client is disconnected.
    pub(super) fn change(&mut self, message: MessageId, packet: MessagePacket) {
        if !self.is_online() {
            return self.problem("not connected: try again after the reconnect");
        }
        let (chat_id, message_id) = (self.open, Some(message));
        self.send(MessagePacket { chat_id, message_id, ..packet }, Asked::Change);
    }

    /// Answers a question by a key.
    pub(super) fn reply_to_question(&mut self, question: Question, key: KeyEvent) {
        let is_yes = matches!(key.code, KeyCode::Char('y' | 'Y'));
        match question {
            Question::Delete(chat, message) if is_yes => {
                let (chat_id, message_id) = (Some(chat), Some(message));
                let packet = MessagePacket { chat_id, message_id, ..packet_of("DeleteMessage") };
                if self.is_online() {
                    self.send(packet, Asked::Change);
                } else {
                    self.problem("not connected: try again after the reconnect");
                }
            }
            Question::Split(_) if is_yes => {
                if let Some(chat) = self.open {
                    let parts = split(&self.editor.take());
                    parts.into_iter().for_each(|part| self.queue(chat, part));
                }
            }
            Question::Leave(chat) if is_yes && self.sending.is_sending(chat) => {
                self.problem("messages to this chat are being sent: try again when they are kept");
            }
            Question::Leave(chat) if is_yes => {
                let path = format!("/api/chats/{chat}/participants/{}", percent_encoded(&self.username));
                self.call_online(Method::DELETE, path, None, Then::Done("not left"));
            }
            Question::Quit if is_yes || matches!(key.code, KeyCode::Char('c' | 'q')) => self.quit(),
            Question::Split(_) => self.info("not sent: the text is still here"),
            _ => self.info("nothing was done"),
        }
    }

    pub(super) fn call_online(
        &mut self,
        method: Method,
        path: String,
        body: Option<serde_json::Value>,
        then: Then,
    ) {
        if self.is_online() {
            self.call(method, path, body, then);
        } else {
            self.problem("not connected: try again after the reconnect");
            self.stop_waiting();
        }
    }

    fn perform(&mut self, command: Command) {
        match command {
            Command::Nothing | Command::Send(_) => {}
            Command::Chats => {
                let order = self.store.order();
                let entries = order.iter().enumerate().map(|(index, id)| {
                    let unread = self.store.chats.get(id).map_or(0, |chat| chat.unread);
                    let unread = if unread > 0 { format!(" ({unread} unread)") } else { String::new() };
                    format!("{:>3}. {}{unread}", index + 1, self.store.title(*id))
                });
                self.report = entries.collect();
            }
            Command::Open(wanted) => match self.store.find(&wanted) {
                Ok(id) => self.open_chat(id),
                Err(mistake) => {
                    self.problem(mistake);
                    self.stop_waiting();
                }
            },
            Command::New { name, people } => {
                let body = json!({"kind": "group", "name": name, "participants": people});
                self.begin(
                    format!("creating {name}"),
                    Method::POST,
                    "/api/chats".to_owned(),
                    Some(body),
                    Then::Open { peer: None },
                );
            }
            Command::Direct(user) => {
                let body = json!({"kind": "direct", "participants": [user]});
                let then = Then::Open { peer: Some(user.clone()) };
                self.begin(
                    format!("opening @{user}"),
                    Method::POST,
                    "/api/chats".to_owned(),
                    Some(body),
                    then,
                );
            }
            Command::Join(name) => {
                let path = "/api/chats?joinable=true&limit=100".to_owned();
                self.begin(format!("joining {name}"), Method::GET, path, None, Then::Join { name, pages: 1 });
            }
            Command::Leave => match self.open {
                Some(chat) => self.question = Some(Question::Leave(chat)),
                None => self.problem("no chat is open"),
            },
            Command::Invite(people) => {
                let Some(chat) = self.open else { return self.problem("no chat is open") };
                for person in people {
                    let path = format!("/api/chats/{chat}/participants/{}", percent_encoded(&person));
                    self.call_online(Method::PUT, path, Some(json!({})), Then::Done("not invited"));
                }
            }
            Command::Who => {
                let Some(chat) = self.open else { return self.problem("no chat is open") };
                let path = format!("/api/chats/{chat}/participants?limit=100");
                self.call_online(Method::GET, path, None, Then::Participants { chat, show: true });
            }
            Command::Edit(content) => match self.last_own() {
                Some(message) => self.submit_edit(message, content),
                None => self.problem("no message of yours is loaded"),
            },
            Command::Delete => match (self.open, self.last_own()) {
                (Some(chat), Some(message)) => self.question = Some(Question::Delete(chat, message)),
                _ => self.problem("no message of yours is loaded"),
            },
            Command::React { emoji, remove } => match self.target() {
                Some(message) => self.react(message.id, &emoji, remove),
                None => self.problem("no message is loaded"),
            },
            Command::Status(status) => {
                if self.is_online() {
                    let packet = MessagePacket { status: Some(status), ..packet_of("Status") };
                    self.send(packet, Asked::Change);
                } else {
                    self.problem("not connected: try again after the reconnect");
                }
            }
            Command::More => self.scroll(isize::try_from(super::view::timeline_size(self).1).unwrap_or(10)),
            Command::Help => self.pane = Pane::Help(0),
            Command::Quit => self.quit(),
            Command::Full(command) => self.perform_full(command),
        }
    }

    fn perform_full(&mut self, command: FullCommand) {
        match command {
            FullCommand::Search(query) => self.start_search(query),
            FullCommand::Inbox => self.pane = Pane::Inbox(0),
            FullCommand::Thread => self.open_thread(),
            FullCommand::Retry => {
                let count = self.open.map_or(0, |chat| self.sending.retry(chat));
                self.info(format!("{count} sent again"));
                self.is_unsaved = true;
            }
            FullCommand::Discard => {
                let texts = self.open.map(|chat| self.sending.discard(chat)).unwrap_or_default();
                self.info(format!("{} removed", texts.len()));
                // The texts can be brought back with Ctrl-Z.
                for text in texts {
                    self.editor.set(text);
                }
                self.editor.set(String::new());
                self.is_unsaved = true;
            }
            FullCommand::ReadAll => {
                if self.is_online() {
                    self.send(packet_of("MarkAllRead"), Asked::Change);
                } else {
                    self.problem("not connected: try again after the reconnect");
                }
            }
            FullCommand::Notify(level) => {
                let Some(chat) = self.open else { return self.problem("no chat is open") };
                let Some(level) = NotifyLevel::from_name(&level) else {
                    return self.problem("usage: /notify all, mentions or none");
                };
                let path = format!("/api/chats/{chat}/notify");
                self.call_online(
                    Method::PUT,
                    path,
                    Some(json!({"level": level.as_str()})),
                    Then::Done("not set"),
                );
                if let Some(chat) = self.store.chats.get_mut(&chat) {
                    chat.notify = level;
                }
            }
            FullCommand::Reconnect => self.reconnect(),
        }
    }

    /// Begins a command that changes the open chat: the input behind it waits.
    fn begin(
        &mut self,
        what: String,
        method: Method,
        path: String,
        body: Option<serde_json::Value>,
        then: Then,
    ) {
        if !self.is_online() {
            self.problem("not connected: try again after the reconnect");
            return self.stop_waiting();
        }
        self.busy = Some(what);
        self.call(method, path, body, then);
    }

    /// Handles the text of a prompt.
    pub(super) fn prompted(&mut self, kind: PromptKind, text: &str) {
        match kind {
            PromptKind::Search if text.is_empty() => self.search = None,
            PromptKind::Search => self.start_search(text.to_owned()),
            PromptKind::React(_) if text.is_empty() => {}
            PromptKind::React(message) => {
                let name = text.trim_matches(':');
                let emoji = emojis::get_by_shortcode(name).map_or(text, |emoji| emoji.as_str());
                self.react(message, emoji, false);
            }
        }
    }

    /// Adds a reaction, or removes the user's own one.
    fn react(&mut self, message: MessageId, emoji: &str, remove: bool) {
        let me = self.store.me;
        let target = self.target().filter(|target| target.id == message);
        let has = target.is_some_and(|target| {
            target.reactions.iter().any(|reaction| reaction.emoji == emoji && reaction.user_ids.contains(&me))
        });
        let packet = MessagePacket {
            emoji: Some(emoji.to_owned()),
            remove: Some(remove || has),
            ..packet_of("React")
        };
        self.change(message, packet);
    }

    /// Returns the selected message, or the newest one.
    pub(super) fn target(&self) -> Option<&Message> {
        let newest = || self.open_state()?.history.messages().rev().find(|message| !message.deleted);
        self.selected_message().or_else(newest)
    }

    fn last_own(&self) -> Option<MessageId> {
        let me = self.store.me;
        let mut messages = self.open_state()?.history.messages().rev();
        messages.find(|message| message.sender_id == me && !message.deleted).map(|message| message.id)
    }
}

/// Splits a text that is too large for a message, at line ends where possible.
pub(super) fn split(text: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    for line in text.split_inclusive('\n') {
        if part.len() + line.len() > CONTENT_BYTES_MAX && !part.trim().is_empty() {
            parts.push(std::mem::take(&mut part));
        }
        for character in line.chars() {
            if part.len() + character.len_utf8() > CONTENT_BYTES_MAX {
                parts.push(std::mem::take(&mut part));
            }
            part.push(character);
        }
    }
    parts.push(part);
    let trimmed = parts.iter().map(|part| part.trim_end_matches('\n')).filter(|part| !part.trim().is_empty());
    trimmed.map(str::to_owned).collect()
}
