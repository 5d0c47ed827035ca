//! Lines that the user sends: messages and commands.

use reqwest::Method;
use serde_json::json;

use super::draft::Purpose;
use super::model::{Asked, Model, Order, Pane, PromptKind, Question, Then};
use super::quick::emoji_of;
use super::sending::UNSENT_MAX;
use super::switch::NO_CHAT;
use crate::cli::chat::commands::{self, Command, FullCommand};
use crate::cli::chat::link::packet_of;
use crate::cli::chat::outgoing::Unsent;
use crate::domain::chat::channel_key;
use crate::domain::ids::{ChatId, MessageId};
use crate::domain::message::{CONTENT_BYTES_MAX, Content, InvalidContent, Message};
use crate::domain::notification::NotifyLevel;
use crate::domain::percent::percent_encoded;
use crate::protocol::packet::{MessagePacket, PacketMessage};

/// The first channels that the user can join.
pub(super) const JOINABLE: &str = "/api/chats?joinable=true&limit=100";

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
            Ok(Command::Send(content)) => self.submit_message(content, text),
            Ok(command) => {
                self.recall.keep(self.open.unwrap_or(NO_CHAT), text);
                // Ctrl-Z brings back a command that cannot be executed.
                self.editor.set(String::new());
                self.is_unsaved = true;
                // Text that follows such a command is for the chat that it opens: the text beneath
                // stays there for the present chat.
                let opens = matches!(command, Command::Direct(_) | Command::Join(_) | Command::New { .. });
                if self.purpose == Purpose::Message && !opens {
                    self.next_draft();
                }
                self.perform(command);
            }
            Err(mistake) => self.problem(mistake),
        }
    }

    fn submit_message(&mut self, content: String, line: String) {
        // A completed name ends with a space.
        let content = content.trim_end_matches(' ').to_owned();
        let Some(chat) = self.open else {
            return self.problem("no chat is open: /open NAME, /dm USER or /join CHANNEL opens one");
        };
        if self.sending.is_full() {
            let text = format!("{UNSENT_MAX} messages wait or failed: /failed and /discard remove some");
            return self.problem(text);
        }
        if content.len() > CONTENT_BYTES_MAX {
            self.question = Some(Question::Split(split(&content).len()));
            return;
        }
        match Content::parse(content) {
            Ok(content) => {
                self.editor.take();
                self.recall.keep(chat, line);
                self.queue(chat, content.into_string());
                self.next_draft();
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

    /// Sends the edit in the prompt. Text that cannot be sent stays.
    fn submit_edit(&mut self, message: MessageId, text: String) {
        if self.edit(message, text) {
            self.editor.take();
            self.next_draft();
        }
    }

    /// Sends a new text of a message, and returns whether it could be sent.
    fn edit(&mut self, message: MessageId, text: String) -> bool {
        let Some(chat) = self.open.filter(|_| self.is_online()) else {
            self.problem("not connected: try again after the reconnect");
            return false;
        };
        match Content::parse(text) {
            Ok(content) => {
                let text = content.into_string();
                let content = PacketMessage { content: Some(text.clone()), ..PacketMessage::default() };
                let (chat_id, message_id) = (Some(chat), Some(message));
                let packet =
                    MessagePacket { chat_id, message_id, message: Some(content), ..packet_of("EditMessage") };
                self.send(packet, Asked::Edit { chat, message, text });
                return true;
            }
            Err(InvalidContent::TooLarge) => {
                self.problem(format!("a message has at most {CONTENT_BYTES_MAX} bytes"));
            }
            Err(InvalidContent::Invalid(reason)) => self.problem(format!("not changed: {reason}")),
        }
        false
    }

    /// Sends a change of a message of the open chat.
    fn change(&mut self, message: MessageId, packet: MessagePacket) {
        let (chat_id, message_id) = (self.open, Some(message));
        self.change_online(MessagePacket { chat_id, message_id, ..packet });
    }

    /// Carries out what a question asked.
    pub(super) fn confirm(&mut self, question: Question) {
        match question {
            Question::Delete(chat, message) => {
                let (chat_id, message_id) = (Some(chat), Some(message));
                self.change_online(MessagePacket { chat_id, message_id, ..packet_of("DeleteMessage") });
            }
            Question::Pin { message, remove } => {
                self.change(message, MessagePacket { remove: Some(remove), ..packet_of("Pin") });
            }
            Question::Unread(chat, seq) => self.mark_unread(chat, seq),
            Question::Split(_) => {
                if let Some(chat) = self.open {
                    let parts = split(&self.editor.take());
                    parts.into_iter().for_each(|part| self.queue(chat, part));
                    self.next_draft();
                }
            }
            Question::Leave(chat) if self.sending.is_sending(chat) => {
                self.problem("messages to this chat are being sent: try again when they are kept");
            }
            Question::Leave(chat) => {
                let path = format!("/api/chats/{chat}/participants/{}", percent_encoded(&self.username));
                self.call_online(Method::DELETE, path, None, Then::Done("not left"));
            }
            Question::Twin { name, people } => self.create(&name, &people),
            Question::Quit => self.quit(),
        }
    }

    /// Sends a change if there is a connection. A change is pointless later: it is not queued.
    /// Returns whether it was sent.
    pub(super) fn change_online(&mut self, packet: MessagePacket) -> bool {
        let is_online = self.is_online();
        if is_online {
            self.send(packet, Asked::Change);
        } else {
            self.problem("not connected: try again after the reconnect");
        }
        is_online
    }

    /// The same, and a note shows that it was done.
    fn noted_online(&mut self, packet: MessagePacket, done: String) {
        if self.is_online() {
            self.send(packet, Asked::Noted(done));
        } else {
            self.problem("not connected: try again after the reconnect");
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
                let mut numbers: Vec<_> = self.store.order();
                numbers.sort_by_key(|id| self.store.number_of(*id));
                let entries = numbers.iter().map(|id| {
                    let number = self.store.number_of(*id).unwrap_or(0);
                    let unread = self.store.chats.get(id).map_or(0, |chat| chat.unread);
                    let unread = if unread > 0 { format!(" ({unread} unread)") } else { String::new() };
                    format!("{number:>3}. {}{unread}", self.store.title(*id))
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
                let key = channel_key(&name);
                if self.store.chats.keys().any(|id| channel_key(&self.store.title(*id)) == key) {
                    self.question = Some(Question::Twin { name, people });
                } else {
                    self.create(&name, &people);
                }
            }
            Command::Direct(user) if user.to_lowercase() == self.username.to_lowercase() => {
                self.problem("this is you: /dm opens the chat with another user");
                self.stop_waiting();
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
                let path = JOINABLE.to_owned();
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
                    let done = format!("{person} is in the chat now");
                    self.call_online(Method::PUT, path, Some(json!({})), Then::Noted("not invited", done));
                }
            }
            Command::Who => {
                let Some(chat) = self.open else { return self.problem("no chat is open") };
                let path = format!("/api/chats/{chat}/participants?limit=100");
                self.call_online(Method::GET, path, None, Then::Participants { chat, show: true });
            }
            Command::Edit(content) => match self.last_own() {
                Some(message) if self.edit(message, content.clone()) => {}
                Some(_) => self.begin_draft(format!("/edit {content}"), Purpose::Message),
                None => self.problem("no message of yours is loaded"),
            },
            Command::Delete => match (self.open, self.last_own()) {
                (Some(chat), Some(message)) => self.question = Some(Question::Delete(chat, message)),
                _ => self.problem("no message of yours is loaded"),
            },
            Command::React { emoji, remove } => match self.target() {
                Some(message) => match emoji_of(&emoji) {
                    Some(emoji) => self.react(message.id, &emoji, remove),
                    None => self.problem(format!("{emoji} is not an emoji: Tab completes :names:")),
                },
                None => self.problem("no message is loaded"),
            },
            Command::Attach { path, text } => self.attach(&path, &text),
            Command::Status(status) => {
                let done = format!("your status: {status}");
                let packet = MessagePacket { status: Some(status), ..packet_of("Status") };
                self.noted_online(packet, done);
            }
            Command::More => {
                self.scroll_far(isize::try_from(super::view::timeline_size(self).1).unwrap_or(10));
            }
            Command::Search(query) => self.search_all(query),
            Command::Goto(number) => self.go_to_hit(number),
            Command::Help => self.pane = Pane::Help(0),
            Command::Quit => self.quit(),
            Command::Full(command) => self.perform_full(command),
        }
    }

    fn create(&mut self, name: &str, people: &[String]) {
        let body = json!({"kind": "group", "name": name, "participants": people});
        let (what, path) = (format!("creating {name}"), "/api/chats".to_owned());
        self.begin(what, Method::POST, path, Some(body), Then::Open { peer: None });
    }

    fn perform_full(&mut self, command: FullCommand) {
        match command {
            FullCommand::Find(text) => self.start_search(text),
            FullCommand::Inbox => self.open_inbox(),
            FullCommand::Thread => self.open_thread(),
            FullCommand::Retry => {
                let count = self.open.map_or(0, |chat| self.sending.retry(chat));
                let others = self.sending.failed();
                match others {
                    0 => self.info(format!("{count} sent again")),
                    _ => self.info(format!("{count} sent again; /failed lists {others} others")),
                }
                self.is_unsaved = true;
            }
            FullCommand::Discard => {
                let texts = self.open.map(|chat| self.sending.discard(chat)).unwrap_or_default();
                self.info(format!("{} removed; Ctrl-Z brings the text back", texts.len()));
                texts.into_iter().for_each(|text| self.editor.remember(text));
                self.is_unsaved = true;
            }
            FullCommand::Failed => self.pane = Pane::Failed(0),
            FullCommand::ReadAll => {
                let done = "all chats are marked as read; F2 and E mark the other notifications".to_owned();
                self.noted_online(packet_of("MarkAllRead"), done);
            }
            FullCommand::List => {
                self.call_online(Method::GET, JOINABLE.to_owned(), None, Then::Channels { show: true });
            }
            FullCommand::Pins => {
                let Some(chat) = self.open else { return self.problem("no chat is open") };
                let path = format!("/api/chats/{chat}/messages?pinned=true&limit=100");
                self.call_online(Method::GET, path, None, Then::Pins);
            }
            FullCommand::Mouse => {
                self.config.mouse = !self.config.mouse;
                self.orders.push_back(Order::Mouse(self.config.mouse));
                self.info(if self.config.mouse {
                    "mouse: on"
                } else {
                    "mouse: off; the terminal selects text"
                });
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
                    Then::Notify { chat, level },
                );
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
            PromptKind::React(message) => self.react_by_name(message, text),
            PromptKind::Switch if text.is_empty() => {}
            PromptKind::Switch => self.switch_to(text),
        }
    }

    /// Adds a reaction, or removes the user's own one.
    pub(super) fn react(&mut self, message: MessageId, emoji: &str, remove: bool) {
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
