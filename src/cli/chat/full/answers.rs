//! Answers of the REST API.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::model::{Call, Model, Order, Then};
use crate::cli::chat::rest::RestError;
use crate::cli::chat::text::{clean_line, shorten};
use crate::domain::chat::channel_key;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::message::Message;
use crate::domain::percent::percent_encoded;
use crate::domain::presence::Shown;
use crate::protocol::view::ChatSummary;

/// Pages of channels that are searched for a name.
const CHANNEL_PAGES_MAX: usize = 100;
/// Characters of a pinned message that are listed.
const PIN_CHARACTERS: usize = 200;

#[derive(Deserialize)]
struct ChannelPage {
    items: Vec<ChatSummary>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct MessagePage {
    items: Vec<Message>,
}

#[derive(Deserialize)]
struct Person {
    user_id: UserId,
    username: String,
    role: String,
}

#[derive(Deserialize)]
struct PeoplePage {
    items: Vec<Person>,
    #[serde(default)]
    next: Option<String>,
}

impl Model {
    /// Handles the answer of a call.
    pub(super) fn answered(&mut self, then: Then, answer: Result<Value, RestError>) {
        match answer {
            Ok(answer) => self.answer(then, answer),
            Err(RestError::LoginNeeded) => self.refused_call(&then, "the login is not valid any more"),
            Err(RestError::Failed { reason, .. }) => self.refused_call(&then, &reason),
        }
    }

    fn refused_call(&mut self, then: &Then, reason: &str) {
        let reason = clean_line(reason);
        match then {
            Then::Open { .. } | Then::Join { .. } | Then::Joined(_) => {
                self.stop_waiting();
                match then {
                    Then::Open { peer: Some(user) } if reason.contains("does not exist") => {
                        self.problem(format!("no user is called {user}"));
                    }
                    _ => self.problem(format!("not opened: {reason}")),
                }
            }
            Then::Participants { show: false, .. } | Then::Aside => {}
            Then::Notifications => self.inbox.fail(&reason),
            Then::Participants { .. } => self.problem(reason),
            Then::Thread { .. } => self.thread_refused(&reason),
            Then::Channels { .. } | Then::Pins => self.problem(reason),
            Then::Noted(what, _) => self.problem(format!("{what}: {reason}")),
            Then::Notify { .. } => self.problem(format!("not set: {reason}")),
            Then::Done(what) => self.problem(format!("{what}: {reason}")),
        }
    }

    fn answer(&mut self, then: Then, answer: Value) {
        match then {
            Then::Open { peer } => match serde_json::from_value::<ChatSummary>(answer) {
                Ok(summary) => self.opened(&ChatSummary { peer: peer.or(summary.peer.clone()), ..summary }),
                Err(error) => self.refused_call(&Then::Open { peer }, &error.to_string()),
            },
            Then::Join { name, pages } => self.channels(name, pages, answer),
            Then::Joined(channel) => {
                // The join event is on its way, but the user should not have to wait for it.
                let path = format!("/api/chats/{channel}");
                self.call(Method::GET, path, None, Then::Open { peer: None });
            }
            Then::Participants { chat, show } => self.participants(chat, show, answer),
            Then::Notifications => self.inbox.load(answer),
            Then::Thread { chat, root, before } => self.thread_answered((chat, root), before, answer),
            Then::Notify { chat, level } => {
                if let Some(chat) = self.store.chats.get_mut(&chat) {
                    chat.notify = level;
                }
                self.info(format!("notifications of this chat: {}", level.as_str()));
            }
            Then::Channels { show } => self.channels_found(show, answer),
            Then::Pins => self.pins_found(answer),
            Then::Noted(_, done) => self.info(done),
            Then::Done(_) | Then::Aside => {}
        }
    }

    fn opened(&mut self, summary: &ChatSummary) {
        self.joinable.clear();
        self.store.learn(summary);
        self.store.number();
        self.opened_chat(summary.id);
    }

    /// Ends the command that opens a chat.
    fn opened_chat(&mut self, id: ChatId) {
        // Without a running command, the user has interrupted it and writes in another chat.
        if self.busy.take().is_some() {
            self.open_with_text(id);
        }
        self.run_ahead();
    }

    /// Joins the channel with a name, or requests the next page of channels.
    fn channels(&mut self, name: String, pages: usize, answer: Value) {
        let page = serde_json::from_value::<ChannelPage>(answer);
        let page = page.unwrap_or(ChannelPage { items: Vec::new(), next: None });
        let wanted = channel_key(name.trim_start_matches('#'));
        let is_wanted =
            |channel: &&ChatSummary| channel.name.as_ref().is_some_and(|name| channel_key(name) == wanted);
        if let Some(channel) = page.items.iter().find(is_wanted) {
            let path = format!("/api/chats/{}/participants/{}", channel.id, percent_encoded(&self.username));
            return self.call(Method::PUT, path, Some(json!({})), Then::Joined(channel.id));
        }
        let next = page.next.filter(|next| next.bytes().all(|byte| byte.is_ascii_digit()));
        match next.filter(|_| pages < CHANNEL_PAGES_MAX) {
            Some(cursor) => {
                let path = format!("/api/chats?joinable=true&limit=100&cursor={cursor}");
                self.call(Method::GET, path, None, Then::Join { name, pages: pages + 1 });
            }
            None => {
                match self.store.find(&name) {
                    // The user is in this channel already.
                    Ok(id) => self.opened_chat(id),
                    Err(_) => {
                        self.stop_waiting();
                        self.problem(format!("no channel that you can join is called {name}"));
                    }
                }
            }
        }
    }

    /// Keeps the names of channels for Tab, and lists them.
    fn channels_found(&mut self, show: bool, answer: Value) {
        let Ok(page) = serde_json::from_value::<ChannelPage>(answer) else { return };
        self.joinable = page.items.iter().filter_map(|channel| channel.name.clone()).collect();
        self.joinable.sort_by_key(|name| channel_key(name));
        if show {
            self.report = vec!["Channels that you can join (/join NAME):".to_owned()];
            self.report.extend(self.joinable.iter().map(|name| format!("  #{name}")));
            if self.joinable.is_empty() {
                self.report = vec!["No channel is open to you.".to_owned()];
            } else if page.next.is_some() {
                self.report.push("  and more".to_owned());
            }
        } else if !self.joinable.is_empty() && self.editor.before().starts_with("/join ") {
            self.complete(true);
        }
    }

    fn pins_found(&mut self, answer: Value) {
        let Ok(page) = serde_json::from_value::<MessagePage>(answer) else { return };
        self.report = page
            .items
            .iter()
            .map(|message| {
                let (time, name) =
                    (self.config.clock(message.created_at), self.store.names.of(message.sender_id));
                let date = self.config.date(message.created_at);
                format!("{date} {time} {name}: {}", shorten(&clean_line(&message.content), PIN_CHARACTERS))
            })
            .collect();
        if self.report.is_empty() {
            self.info("no message of this chat is pinned");
        }
    }

    fn participants(&mut self, chat: ChatId, show: bool, answer: Value) {
        let Ok(page) = serde_json::from_value::<PeoplePage>(answer) else { return };
        for person in &page.items {
            self.store.names.learn(person.user_id, &person.username);
        }
        if !show {
            return;
        }
        let title = self.store.title(chat);
        let mut report = vec![format!("{title}:")];
        report.extend(page.items.iter().map(|person| {
            let status = match self.store.people.presence(person.user_id) {
                Shown::Online => "● online",
                Shown::Away => "◐ away",
                Shown::Dnd => "⊖ do not disturb",
                Shown::Offline => "○ offline",
            };
            format!("  {} ({}) {status}", person.username, person.role)
        }));
        if page.next.is_some() {
            report.push("  and more".to_owned());
        }
        self.report = report;
    }

    /// Returns the calls that wait, for the part that does I/O.
    pub(super) fn next_call(&mut self) -> Option<Call> {
        let index = self.orders.iter().position(|order| matches!(order, Order::Rest(_)))?;
        match self.orders.remove(index) {
            Some(Order::Rest(call)) => Some(call),
            _ => None,
        }
    }
}
