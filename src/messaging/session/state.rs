//! The protocol state machine: the meaning of a packet, and which packets are allowed in which
//! state.
//!
//! A typestate: [`Unauthenticated`] accepts only `Hello`, [`Authenticated`] everything but `Hello`.
//! The machine does not use a socket; it takes a packet and returns the [`Action`] to perform. It
//! makes no answers: a refusal is a [`ServiceError`], and the session makes the `Ack` of it.

use crate::actors::presence::PresenceUpdate;
use crate::actors::writer::commands::{AppendMessage, MarkRead, Marks, UpdateMessage};
use crate::core::actor::{MessageName, NamedMessage};
use crate::domain::access::Credential;
use crate::domain::event_page::EventRange;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::message::{MessageUpdate, NewMessage};
use crate::domain::presence::Status;
use crate::domain::refusal::Refusal;
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::code::Code;
use crate::protocol::packet::{self, MessagePacket, PacketError};
use crate::services::ServiceError;
use crate::services::search::SearchRequest;

/// Bounds of the answers that a query may request.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageLimits {
    pub(super) default: usize,
    pub(super) max: usize,
    /// Maximum number of cursors in one `Resume`.
    pub(super) cursors: usize,
}

/// Input from the reader.
#[derive(Debug)]
pub(super) enum Incoming {
    Packet(Box<MessagePacket>),
    /// A packet with a field of the wrong type.
    BadField {
        request_id: Option<u64>,
        reason: String,
    },
    /// A packet above the size limit, which was discarded.
    TooLarge {
        request_id: Option<u64>,
        bytes_max: usize,
    },
    /// Bytes that do not decode to a packet.
    Malformed,
}

impl Incoming {
    /// Returns the id with which the answer to the packet is marked.
    pub(super) fn request_id(&self) -> Option<u64> {
        match self {
            Self::Packet(packet) => packet.request_id,
            Self::BadField { request_id, .. } | Self::TooLarge { request_id, .. } => *request_id,
            Self::Malformed => None,
        }
    }

    pub(super) fn of(decoded: Result<MessagePacket, PacketError>) -> Self {
        match decoded {
            Ok(packet) => Self::Packet(Box::new(packet)),
            Err(PacketError::BadField { request_id, reason }) => Self::BadField { request_id, reason },
            Err(PacketError::Malformed(malformed)) => {
                tracing::debug!(%malformed, "a frame is not a packet");
                Self::Malformed
            }
        }
    }
}

/// A well-formed first packet.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) proof: Proof,
    pub(super) options: HelloOptions,
}

/// The proof of a `Hello`.
#[derive(Debug)]
pub(super) enum Proof {
    Token(String),
    WebLogin(Credential),
}

/// The reason why a connection does not become a session: it ends after the refusal, if any.
#[derive(Debug)]
pub(super) struct HelloRefusal {
    pub(super) error: Option<ServiceError>,
    pub(super) code: GoodbyeCode,
}

/// Step that the session performs for a packet.
#[derive(Debug)]
pub(super) enum Action {
    /// Changes a chat. Changes are performed in the order of their packets.
    Submit {
        chat: ChatId,
        command: ChatCommand,
    },
    Chats {
        after: ChatId,
    },
    Messages {
        chat: ChatId,
        range: EventRange,
    },
    Search(SearchRequest),
    /// Returns the users with these ids.
    Users {
        ids: Vec<UserId>,
    },
    Heartbeat,
    /// Records how far the client has read, without an answer.
    QueueCursors {
        chat: ChatId,
        marks: Marks,
    },
    /// Publishes the status of this device's user, or that they type.
    UpdatePresence(PresenceUpdate),
    Ticket,
    /// Blocks or unblocks a user.
    Block {
        username: String,
        blocks: bool,
    },
    /// Changes how the session's user sees chats.
    Arrange(Arrangement),
    /// Leaves all chats to which this user added the session's user.
    LeaveChats {
        username: String,
    },
    /// Brings these chats up to date, each from the seq that the client has.
    Resume {
        epoch: i64,
        chats: Vec<(ChatId, Seq)>,
    },
    /// Refuses the packet; the session continues.
    Refuse(ServiceError),
    /// Ends the session with a `Goodbye` after the answers to all earlier packets.
    Leave,
    /// Ends the session with a `Goodbye`.
    End(GoodbyeCode),
}

/// Options that a client sets in its `Hello`, besides its token.
#[derive(Debug)]
pub(super) struct HelloOptions {
    pub(super) echo: bool,
    pub(super) device: Option<String>,
    pub(super) status: Option<Status>,
    /// Whether the client requests a UDP ticket.
    pub(super) udp: bool,
}

/// A change that only the session's user sees.
#[derive(Debug)]
pub(super) enum Arrangement {
    MarkUnread {
        chat: ChatId,
        from: Seq,
    },
    MarkAllRead,
    Hide {
        chat: ChatId,
        hidden: bool,
    },
    /// Follows or mutes the thread of a message.
    Follow {
        chat: ChatId,
        message: MessageId,
        follows: bool,
    },
}

/// A change of a chat that a session can request.
#[derive(Debug)]
pub(super) enum ChatCommand {
    Send(NewMessage),
    Update(MessageId, MessageUpdate),
    Mark(Marks),
}

impl ChatCommand {
    /// Returns the name of the writer's command.
    pub(super) fn name(&self) -> MessageName {
        match self {
            Self::Send(_) => AppendMessage::NAME,
            Self::Update(..) => UpdateMessage::NAME,
            Self::Mark(_) => MarkRead::NAME,
        }
    }
}

/// State before the client has authenticated.
#[derive(Debug, Default)]
pub(super) struct Unauthenticated {
    /// The login of the browser whose page opened the connection, by its cookie.
    pub(super) web_login: Option<Credential>,
}

/// State after the client has authenticated.
#[derive(Debug)]
pub(super) struct Authenticated {
    pub(super) who: Credential,
    pub(super) pages: PageLimits,
}

fn bad_request(error: impl Into<String>) -> Action {
    Action::Refuse(ServiceError::new(Code::BadRequest, error))
}

impl Unauthenticated {
    /// Returns the token of a `Hello`, else the login of the browser.
    fn proof(&self, token: Option<String>) -> Option<Proof> {
        token.map(Proof::Token).or(self.web_login.map(Proof::WebLogin))
    }

    pub(super) fn receive(&self, incoming: Incoming) -> Result<Hello, HelloRefusal> {
        let refuse = |error: &str| {
            let error = Some(ServiceError::new(Code::Unauthenticated, error));
            Err(HelloRefusal { error, code: GoodbyeCode::Unauthenticated })
        };
        match incoming {
            Incoming::Packet(packet) if packet.packet_type == "Hello" => match self.proof(packet.token) {
                Some(proof) => Ok(Hello {
                    proof,
                    options: HelloOptions {
                        echo: packet.echo.unwrap_or(true),
                        device: packet.device_id,
                        status: packet.status.as_deref().and_then(Status::from_name),
                        udp: packet.udp.unwrap_or(false),
                    },
                }),
                None => refuse("Hello needs a token"),
            },
            Incoming::Packet(_) => refuse("the first packet must be Hello"),
            Incoming::BadField { .. } | Incoming::TooLarge { .. } => {
                refuse("the first packet must be a well-formed Hello")
            }
            Incoming::Malformed => Err(HelloRefusal { error: None, code: GoodbyeCode::BadRequest }),
        }
    }
}

impl Authenticated {
    pub(super) fn receive(&self, incoming: Incoming) -> Action {
        match incoming {
            Incoming::Packet(packet) => self.packet(*packet),
            Incoming::BadField { reason, .. } => bad_request(reason),
            Incoming::TooLarge { bytes_max, .. } => {
                let reason = format!("the packet is larger than {bytes_max} bytes");
                Action::Refuse(ServiceError::new(Code::TooLarge, reason))
            }
            Incoming::Malformed => Action::End(GoodbyeCode::BadRequest),
        }
    }

    fn packet(&self, packet: MessagePacket) -> Action {
        if packet.user_id.is_some_and(|user| user != self.who.user) {
            let error = "user_id is not the user of this session";
            return Action::Refuse(ServiceError::new(Code::Forbidden, error));
        }
        match packet.packet_type.as_str() {
            "SendMessage" => self.send(packet),
            "EditMessage" => update(packet, |packet| {
                let message = packet.message.take().ok_or(Refusal::invalid("message", "is missing"))?;
                let content = message.content.ok_or(Refusal::invalid("message.content", "is missing"))?;
                MessageUpdate::parse_edit(content, message.metadata)
            }),
            "DeleteMessage" => update(packet, |_| Ok(MessageUpdate::Delete)),
            "React" => update(packet, |packet| {
                let emoji = packet.emoji.take().ok_or(Refusal::invalid("emoji", "is missing"))?;
                MessageUpdate::parse_reaction(&emoji, packet.remove.unwrap_or(false))
            }),
            "Pin" => update(packet, |packet| {
                Ok(if packet.remove.unwrap_or(false) { MessageUpdate::Unpin } else { MessageUpdate::Pin })
            }),
            "GetChats" => Action::Chats { after: packet.after_chat_id.unwrap_or(ChatId(0)) },
            "GetUsers" => match packet.user_ids {
                Some(ids) if ids.len() <= self.pages.max => Action::Users { ids },
                Some(_) => bad_request(format!("more than {} user_ids", self.pages.max)),
                None => bad_request("user_ids is missing"),
            },
            "GetMessages" => self.page(&packet, true),
            "GetEvents" => self.page(&packet, false),
            "Search" => self.search(packet),
            "Resume" => self.resume(packet),
            "Mark" => mark(&packet),
            "MarkUnread" => mark_unread(&packet),
            "MarkAllRead" => Action::Arrange(Arrangement::MarkAllRead),
            "Hide" => match packet.chat_id {
                Some(chat) => {
                    let hidden = !packet.remove.unwrap_or(false);
                    Action::Arrange(Arrangement::Hide { chat, hidden })
                }
                None => bad_request("chat_id is missing"),
            },
            "Status" => show_status(&packet),
            "Typing" => match packet.chat_id {
                Some(chat) => Action::UpdatePresence(PresenceUpdate::Typing(chat)),
                None => bad_request("chat_id is missing"),
            },
            "Ticket" => Action::Ticket,
            "Block" => match packet.username {
                Some(username) => Action::Block { username, blocks: !packet.remove.unwrap_or(false) },
                None => bad_request("username is missing"),
            },
            "Follow" => match (packet.chat_id, packet.message_id) {
                (Some(chat), Some(message)) => {
                    let follows = !packet.remove.unwrap_or(false);
                    Action::Arrange(Arrangement::Follow { chat, message, follows })
                }
                _ => bad_request("chat_id or message_id is missing"),
            },
            "LeaveChats" => match packet.username {
                Some(username) => Action::LeaveChats { username },
                None => bad_request("username is missing"),
            },
            "Ping" => Action::Heartbeat,
            "Bye" => Action::Leave,
            "Hello" => bad_request("Hello was already accepted"),
            other => {
                let known: String = other.chars().filter(|c| c.is_ascii_alphanumeric()).take(32).collect();
                bad_request(format!("unknown packet_type \"{known}\""))
            }
        }
    }

    fn send(&self, packet: MessagePacket) -> Action {
        let Some(chat) = packet.chat_id else { return bad_request("chat_id is missing") };
        let Some(message) = packet.message else { return bad_request("message is missing") };
        let Some(client_id) = message.client_id else {
            return bad_request("message.client_id is missing");
        };
        let files = message.files.unwrap_or_default();
        let Some(content) = message.content.or_else(|| (!files.is_empty()).then(String::new)) else {
            return bad_request("message.content is missing");
        };
        match NewMessage::parse(Some(client_id), content, message.reply_to, message.metadata, files) {
            Ok(message) => Action::Submit { chat, command: ChatCommand::Send(message) },
            Err(refusal) => Action::Refuse(refusal.into()),
        }
    }

    fn resume(&self, packet: MessagePacket) -> Action {
        let Some(epoch) = packet.epoch else { return bad_request("epoch is missing") };
        let Some(cursors) = packet.cursors else { return bad_request("cursors is missing") };
        if cursors.len() > self.pages.cursors {
            return bad_request(format!("more than {} cursors", self.pages.cursors));
        }
        let chats: Option<Vec<_>> =
            cursors.into_iter().map(|(chat, value)| Some((chat, packet::seq(value)?))).collect();
        match (i64::try_from(epoch), chats) {
            (Ok(epoch), Some(chats)) => Action::Resume { epoch, chats },
            _ => bad_request("epoch and cursors must be 0 to 2^53"),
        }
    }

    fn limit(&self, packet: &MessagePacket) -> Result<usize, Action> {
        let limit = packet.limit.map_or(self.pages.default, usize::from);
        let is_allowed = (1..=self.pages.max).contains(&limit);
        is_allowed
            .then_some(limit)
            .ok_or_else(|| bad_request(format!("limit must be 1 to {}", self.pages.max)))
    }

    fn search(&self, packet: MessagePacket) -> Action {
        let Some(text) = &packet.q else { return bad_request("q is missing") };
        let limit = match self.limit(&packet) {
            Ok(limit) => limit,
            Err(refusal) => return refusal,
        };
        match SearchRequest::parse(text, packet.groups.as_deref(), limit, packet.cursor) {
            Ok(request) => Action::Search(request),
            Err(error) => Action::Refuse(error),
        }
    }

    fn page(&self, packet: &MessagePacket, messages_only: bool) -> Action {
        let Some(chat) = packet.chat_id else { return bad_request("chat_id is missing") };
        let limit = match self.limit(packet) {
            Ok(limit) => limit,
            Err(refusal) => return refusal,
        };
        let (Ok(before), Ok(after)) =
            (seq("before_seq", packet.before_seq), seq("after_seq", packet.after_seq))
        else {
            return bad_request("before_seq and after_seq must be 0 to 2^53");
        };
        Action::Messages { chat, range: EventRange { before, after, limit, messages_only } }
    }
}

fn show_status(packet: &MessagePacket) -> Action {
    let version = packet.version;
    match packet.status.as_deref().map(Status::from_name) {
        Some(Some(status)) => Action::UpdatePresence(PresenceUpdate::Status { status, version }),
        _ => bad_request("status must be online, away, dnd or invisible"),
    }
}

fn mark_unread(packet: &MessagePacket) -> Action {
    let Some(chat) = packet.chat_id else { return bad_request("chat_id is missing") };
    match seq("from_seq", packet.from_seq) {
        Ok(Some(from)) => Action::Arrange(Arrangement::MarkUnread { chat, from }),
        _ => bad_request("from_seq must be 1 to 2^53"),
    }
}

/// Moves read and delivered cursors. With a request id the answer follows the commit; without one
/// the write is delayed and merged.
fn mark(packet: &MessagePacket) -> Action {
    let Some(chat) = packet.chat_id else { return bad_request("chat_id is missing") };
    let (Ok(read), Ok(delivered)) =
        (seq("read_seq", packet.read_seq), seq("delivered_seq", packet.delivered_seq))
    else {
        return bad_request("read_seq and delivered_seq must be 0 to 2^53");
    };
    let marks = Marks { read, delivered };
    match packet.request_id {
        _ if marks == Marks::default() => bad_request("read_seq or delivered_seq is missing"),
        Some(_) => Action::Submit { chat, command: ChatCommand::Mark(marks) },
        None => Action::QueueCursors { chat, marks },
    }
}

/// Handles a packet that changes a message; `what` returns the change.
fn update(
    mut packet: MessagePacket,
    what: impl FnOnce(&mut MessagePacket) -> Result<MessageUpdate, Refusal>,
) -> Action {
    let Some(chat) = packet.chat_id else { return bad_request("chat_id is missing") };
    let Some(message) = packet.message_id else { return bad_request("message_id is missing") };
    match what(&mut packet) {
        Ok(update) => Action::Submit { chat, command: ChatCommand::Update(message, update) },
        Err(refusal) => Action::Refuse(refusal.into()),
    }
}

fn seq(field: &'static str, value: Option<u64>) -> Result<Option<Seq>, Refusal> {
    value.map(|value| packet::seq(value).ok_or(Refusal::invalid(field, "is out of range"))).transpose()
}
