//! Execution of the typed commands.

use std::collections::BTreeSet;

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::line::Line;
use super::session::{Asked, READ_EVERY, Session, Stop};
use crate::cli::chat::commands::{self, Command, HELP};
use crate::cli::chat::link::{Link, packet_of};
use crate::cli::chat::outgoing::Unsent;
use crate::cli::chat::rest::RestError;
use crate::domain::chat::channel_key;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::message::{CONTENT_BYTES_MAX, Content, InvalidContent, Message};
use crate::domain::percent::percent_encoded;
use crate::protocol::packet::{MessagePacket, PacketMessage};
use crate::protocol::view::ChatSummary;

/// Messages of history per request.
const HISTORY: usize = 20;
/// After a failed move of the read cursor, the retry waits this many ordinary pauses.
const READ_PAUSES: u32 = 30;
/// Pages of channels that are searched for a name.
const CHANNEL_PAGES_MAX: usize = 100;

#[derive(Deserialize)]
pub(super) struct MessagePage {
    pub(super) items: Vec<Message>,
    #[serde(default)]
    pub(super) has_more: bool,
}

#[derive(Deserialize)]
struct ChannelPage {
    items: Vec<ChatSummary>,
    #[serde(default)]
    next: Option<String>,
}

impl Session {
    /// Handles a typed line.
    pub(super) async fn typed(&mut self, line: &str) -> Result<(), Stop> {
        match commands::parse(line) {
            Ok(command) => self.perform(command).await,
            Err(mistake) => self.problem(mistake),
        }
    }

    async fn perform(&mut self, command: Command) -> Result<(), Stop> {
        if matches!(
            command,
            Command::Open(_) | Command::New { .. } | Command::Direct(_) | Command::Join(_) | Command::Goto(_)
        ) {
            self.leave_chat().await?;
        }
        match command {
            Command::Nothing => Ok(()),
            Command::Send(content) => self.queue_message(content),
            Command::Chats => {
                let entries = self.model.entries();
                self.show(&entries)
            }
            Command::Open(wanted) => match self.model.find(&wanted) {
                Ok(id) => self.open(id).await,
                Err(mistake) => self.problem(mistake),
            },
            Command::New { name, people } => {
                let body = json!({"kind": "group", "name": name, "participants": people});
                self.create(&body, None).await
            }
            Command::Direct(user) => {
                let body = json!({"kind": "direct", "participants": [user]});
                self.create(&body, Some(user)).await
            }
            Command::Join(name) => self.join(&name).await,
            Command::Leave => self.leave().await,
            Command::Invite(people) => self.invite(&people).await,
            Command::Who => self.who().await,
            Command::Edit(content) => match Content::parse(content) {
                Ok(content) => {
                    let content = Some(content.into_string());
                    let message = Some(PacketMessage { content, ..PacketMessage::default() });
                    let packet = MessagePacket { message, ..packet_of("EditMessage") };
                    self.change_message(packet, Some(self.model.me)).await
                }
                Err(_) => self.problem("not done: the text is not a valid message".to_owned()),
            },
            Command::Delete => self.change_message(packet_of("DeleteMessage"), Some(self.model.me)).await,
            Command::React { emoji, remove } => {
                let (emoji, remove) = (Some(emoji), Some(remove));
                self.change_message(MessagePacket { emoji, remove, ..packet_of("React") }, None).await
            }
            Command::Attach { path, text } => self.attach(&path, &text).await,
            Command::Status(status) => {
                let packet = MessagePacket { status: Some(status), ..packet_of("Status") };
                self.do_now(packet).await
            }
            Command::More => self.more().await,
            Command::Search(query) => self.search(query).await,
            Command::Goto(number) => self.goto(number).await,
            Command::Help => {
                let help = HELP.iter().filter(|help| !help.full_only);
                let lines: Vec<_> =
                    help.map(|help| Line::Info(format!("{:<25} {}", help.form, help.effect))).collect();
                self.show(&lines)
            }
            Command::Full(_) => {
                self.problem("not done: this command needs the full screen (without --plain)".to_owned())
            }
            Command::Quit => {
                self.end();
                Ok(())
            }
        }
    }

    /// Sends a change of the newest message of the open chat, or of the newest message by `of`.
    async fn change_message(&mut self, packet: MessagePacket, of: Option<UserId>) -> Result<(), Stop> {
        let Some(message) = self.model.recent.newest(of) else {
            return self.problem("no such message is on the screen".to_owned());
        };
        let (chat_id, message_id) = (self.model.open, Some(message));
        self.do_now(MessagePacket { chat_id, message_id, ..packet }).await
    }

    /// Sends a packet that is pointless to send later: it is not queued while disconnected.
    async fn do_now(&mut self, packet: MessagePacket) -> Result<(), Stop> {
        match self.link {
            Link::Online { .. } => self.request(packet, Asked::Command).await,
            Link::Offline(_) => self.problem("not connected: try again after the reconnect".to_owned()),
        }
    }

    /// Queues a message for the open chat. Content that the server would refuse is refused here: a
    /// frame above the server's limit would end the connection on each attempt.
    fn queue_message(&mut self, content: String) -> Result<(), Stop> {
        let Some(chat) = self.model.open else {
            return self.problem("no chat is open: /chats lists your chats, /open N opens one".to_owned());
        };
        match Content::parse(content) {
            Ok(content) => {
                self.outgoing.push(Unsent::new(chat, content.into_string(), None));
                match self.link {
                    Link::Online { .. } => Ok(()),
                    Link::Offline(_) => self.show(&[Line::Info(
                        "not connected: the message will be sent after the reconnect".to_owned(),
                    )]),
                }
            }
            Err(InvalidContent::TooLarge) => {
                self.problem(format!("not sent: the message is larger than {CONTENT_BYTES_MAX} bytes"))
            }
            Err(InvalidContent::Invalid(reason)) => self.problem(format!("not sent: {reason}")),
        }
    }

    /// Prepares opening another chat. If opening fails, a user sees the error, but the next lines
    /// of a script must not go to the previous chat.
    async fn leave_chat(&mut self) -> Result<(), Stop> {
        if self.model.read_mark().is_some() {
            self.mark_read().await?;
        }
        if !self.screen.is_interactive() {
            self.model.open = None;
        }
        Ok(())
    }

    pub(super) async fn open(&mut self, id: ChatId) -> Result<(), Stop> {
        let path = format!("/api/chats/{id}/messages?limit={HISTORY}");
        let Some(page) = self.page(&path).await? else { return Ok(()) };
        let lines = self.model.opened(id, &page.items, page.has_more);
        self.show(&lines)?;
        self.mark_read().await
    }

    async fn more(&mut self) -> Result<(), Stop> {
        let Some(id) = self.model.open else { return self.problem("no chat is open".to_owned()) };
        let Some(before) = self.model.chats.get(&id).and_then(|chat| chat.older_than) else {
            return self.show(&[Line::Info("there are no older messages".to_owned())]);
        };
        let path = format!("/api/chats/{id}/messages?limit={HISTORY}&before_seq={before}");
        let Some(page) = self.page(&path).await? else { return Ok(()) };
        let lines = self.model.older("older messages", &page.items, page.has_more);
        self.show(&lines)
    }

    /// Requests messages, and the unknown names of their senders.
    pub(super) async fn page(&mut self, path: &str) -> Result<Option<MessagePage>, Stop> {
        let Some(page) = self.ask::<MessagePage>(Method::GET, path, None).await? else { return Ok(None) };
        self.introduce_senders(&page.items).await?;
        Ok(Some(page))
    }

    async fn introduce_senders(&mut self, messages: &[Message]) -> Result<(), Stop> {
        let senders: BTreeSet<_> = messages.iter().map(|message| message.sender_id).collect();
        let unknown: Vec<_> =
            senders.into_iter().filter(|sender| !self.model.names.contains_key(sender)).collect();
        self.introduce(&unknown).await
    }

    /// Creates a chat, or finds the existing direct chat, and opens it.
    async fn create(&mut self, body: &Value, peer: Option<String>) -> Result<(), Stop> {
        let Some(summary) = self.ask::<ChatSummary>(Method::POST, "/api/chats", Some(body)).await? else {
            return Ok(());
        };
        self.model.learn(&ChatSummary { peer, ..summary.clone() });
        self.open(summary.id).await
    }

    async fn join(&mut self, name: &str) -> Result<(), Stop> {
        let Some(channel) = self.channel(name).await? else { return Ok(()) };
        let path = format!("/api/chats/{channel}/participants/{}", self.model.name(self.model.me));
        if self.ask::<Value>(Method::PUT, &path, Some(&json!({}))).await?.is_none() {
            return Ok(());
        }
        // The join event is on its way, but the user should not have to wait for it.
        let path = format!("/api/chats/{channel}");
        let Some(summary) = self.ask::<ChatSummary>(Method::GET, &path, None).await? else { return Ok(()) };
        self.model.learn(&summary);
        self.open(channel).await
    }

    /// Returns the channel of this name among the channels that the user has not joined. Reports an
    /// error if none has this name.
    async fn channel(&mut self, name: &str) -> Result<Option<ChatId>, Stop> {
        let wanted = channel_key(name);
        let mut cursor = "0".to_owned();
        for _ in 0..CHANNEL_PAGES_MAX {
            let path = format!("/api/chats?joinable=true&limit=100&cursor={cursor}");
            let Some(page) = self.ask::<ChannelPage>(Method::GET, &path, None).await? else {
                return Ok(None);
            };
            let is_wanted = |channel: &&ChatSummary| {
                channel.name.as_ref().is_some_and(|name| channel_key(name) == wanted)
            };
            if let Some(channel) = page.items.iter().find(is_wanted) {
                return Ok(Some(channel.id));
            }
            match page.next.filter(|next| next.bytes().all(|byte| byte.is_ascii_digit())) {
                Some(next) => cursor = next,
                None => break,
            }
        }
        self.problem(format!("no channel that you can join is called {name}"))?;
        Ok(None)
    }

    async fn leave(&mut self) -> Result<(), Stop> {
        let Some(id) = self.model.open else { return self.problem("no chat is open".to_owned()) };
        self.send_waiting().await?;
        let path = format!("/api/chats/{id}/participants/{}", self.model.name(self.model.me));
        self.ask::<Value>(Method::DELETE, &path, None).await.map(drop)
    }

    /// Adds users to the open chat; each refusal is reported.
    async fn invite(&mut self, people: &[String]) -> Result<(), Stop> {
        let Some(id) = self.model.open else { return self.problem("no chat is open".to_owned()) };
        for person in people {
            let path = format!("/api/chats/{id}/participants/{}", percent_encoded(person));
            self.ask::<Value>(Method::PUT, &path, Some(&json!({}))).await?;
        }
        Ok(())
    }

    async fn who(&mut self) -> Result<(), Stop> {
        let Some(id) = self.model.open else { return self.problem("no chat is open".to_owned()) };
        let path = format!("/api/chats/{id}/participants?limit=100");
        let Some(page) = self.ask::<Value>(Method::GET, &path, None).await? else { return Ok(()) };
        self.model.introduce(&page);
        let people = page.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text =
            |person: &Value, key: &str| person.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
        let names: Vec<_> = people
            .iter()
            .map(|person| {
                let user = person.get("user_id").and_then(Value::as_i64).map_or(UserId(0), UserId);
                let (name, role) = (text(person, "username"), text(person, "role"));
                format!("{name} ({role}, {})", self.model.people.mark(user))
            })
            .collect();
        let more = if page.get("next").is_some_and(Value::is_string) { " and more" } else { "" };
        self.show(&[Line::Info(format!("{}: {}{more}", self.model.title(id), names.join(", ")))])
    }

    /// Moves the read cursor to the newest message on the screen. A failure is not shown: the move
    /// is tried again.
    pub(super) async fn mark_read(&mut self) -> Result<(), Stop> {
        let (Some((id, seq)), Link::Online { rest, .. }) = (self.model.read_mark(), &mut self.link) else {
            self.read_at = self.read_at.map(|_| Instant::now() + READ_EVERY * READ_PAUSES);
            return Ok(());
        };
        let body = json!({"read_seq": seq});
        match rest.ask::<Value>(Method::POST, &format!("/api/chats/{id}/read"), Some(&body)).await {
            Ok(_) => self.model.marked_read(id, seq),
            Err(RestError::LoginNeeded) => return Err(Stop::LoginNeeded),
            Err(RestError::Failed { .. }) => {
                self.read_at = Some(Instant::now() + READ_EVERY * READ_PAUSES);
                return Ok(());
            }
        }
        self.read_at = None;
        Ok(())
    }

    /// Sends a request to the REST API. Returns `None` after a failure, which was shown.
    pub(super) async fn ask<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<T>, Stop> {
        let Link::Online { rest, .. } = &mut self.link else {
            self.problem("not connected: try again after the reconnect".to_owned())?;
            return Ok(None);
        };
        match rest.ask(method, path, body).await {
            Ok(answer) => Ok(Some(answer)),
            Err(RestError::LoginNeeded) => Err(Stop::LoginNeeded),
            Err(RestError::Failed { reason, .. }) => {
                self.problem(reason)?;
                Ok(None)
            }
        }
    }

    pub(super) fn problem(&mut self, text: String) -> Result<(), Stop> {
        self.failures += 1;
        self.show(&[Line::Problem(text)])
    }
}
