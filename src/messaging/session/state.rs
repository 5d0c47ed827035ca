//! The protocol state machine: the meaning of a packet, and which packets are allowed in which
//! state.
//!
//! A typestate: a [`Unauthenticated`] accepts only `Hello`, a [`Authenticated`] everything but `Hello`. The
//! machine does not use a socket; it takes a packet and returns the [`Action`] to perform.

use crate::actors::cache::EventRange;
use crate::actors::presence::PresenceUpdate;
use crate::actors::writer::commands::{AppendMessage, MarkRead, Marks, UpdateMessage};
use crate::core::actor::{MessageName, NamedMessage};
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::message::{MessageUpdate, NewMessage};
use crate::domain::presence::Status;
use crate::domain::refusal::Refusal;
use crate::protocol::answer::{AckPacket, GoodbyeCode};
use crate::protocol::code::Code;
use crate::protocol::packet::{self, MessagePacket, PacketError};
use crate::services::ServiceError;
use crate::services::messages::{parse_edit, parse_message, parse_reaction};

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

/// Step that the session performs for a packet.
#[derive(Debug)]
pub(super) enum Action {
    Authenticate {
        token: String,
        options: HelloOptions,
        request_id: Option<u64>,
    },
    /// Changes a chat. Changes are performed in the order of their packets.
    Submit {
        request_id: Option<u64>,
        chat: ChatId,
        command: ChatCommand,
    },
    Chats {
        request_id: Option<u64>,
        after: ChatId,
    },
    Messages {
        request_id: Option<u64>,
        chat: ChatId,
        range: EventRange,
    },
    /// Returns the users with these ids.
    Users {
        request_id: Option<u64>,
        ids: Vec<UserId>,
    },
    Heartbeat {
        request_id: Option<u64>,
    },
    /// Records how far the client has read, without an answer.
    QueueCursors {
        chat: ChatId,
        marks: Marks,
    },
    /// Publishes the status of this device's user, or that they type.
    UpdatePresence {
        request_id: Option<u64>,
        update: PresenceUpdate,
    },
    Ticket {
        request_id: Option<u64>,
    },
    /// Blocks or unblocks a user.
    Block {
        request_id: Option<u64>,
        username: String,
        blocks: bool,
    },
    /// Changes how the session's user sees chats.
    Arrange {
        request_id: Option<u64>,
        arrangement: Arrangement,
    },
    /// Leaves all chats to which this user added the session's user.
    LeaveChats {
        request_id: Option<u64>,
        username: String,
    },
    /// Brings these chats up to date, each from the seq that the client has.
    Resume {
        request_id: Option<u64>,
        epoch: i64,
        chats: Vec<(ChatId, Seq)>,
    },
    /// Refuses the packet; the session continues.
    Refuse(AckPacket),
    /// Ends the session with a `Goodbye`, after the refusal `last` if present.
    End {
        last: Option<AckPacket>,
        code: GoodbyeCode,
    },
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
#[derive(Debug)]
pub(super) struct Unauthenticated;

/// State after the client has authenticated.
#[derive(Debug)]
pub(super) struct Authenticated {
    pub(super) who: Credential,
    pub(super) pages: PageLimits,
}

/// Returns the NACK for a service's error.
pub(super) fn nack(request_id: Option<u64>, error: ServiceError) -> AckPacket {
    AckPacket::refusal(request_id, error.code, error.detail, error.retry_after_ms)
}

fn bad_request(request_id: Option<u64>, error: impl Into<String>) -> Action {
    Action::Refuse(AckPacket::refusal(request_id, Code::BadRequest, error.into(), None))
}

impl Unauthenticated {
    pub(super) fn receive(&self, incoming: Incoming) -> Action {
        let refuse = |request_id, error: &str| Action::End {
            last: Some(AckPacket::refusal(request_id, Code::Unauthenticated, error.to_owned(), None)),
            code: GoodbyeCode::Unauthenticated,
        };
        match incoming {
            Incoming::Packet(packet) if packet.packet_type == "Hello" => match packet.token {
                Some(token) => Action::Authenticate {
                    token,
                    options: HelloOptions {
                        echo: packet.echo.unwrap_or(true),
                        device: packet.device_id,
                        status: packet.status.as_deref().and_then(Status::from_name),
                        udp: packet.udp.unwrap_or(false),
                    },
                    request_id: packet.request_id,
                },
                None => refuse(packet.request_id, "Hello needs a token"),
            },
            Incoming::Packet(packet) => refuse(packet.request_id, "the first packet must be Hello"),
            Incoming::BadField { request_id, .. } | Incoming::TooLarge { request_id, .. } => {
                refuse(request_id, "the first packet must be a well-formed Hello")
            }
            Incoming::Malformed => Action::End { last: None, code: GoodbyeCode::BadRequest },
        }
    }
}

impl Authenticated {
    pub(super) fn receive(&self, incoming: Incoming) -> Action {
        match incoming {
            Incoming::Packet(packet) => self.packet(*packet),
            Incoming::BadField { request_id, reason } => bad_request(request_id, reason),
            Incoming::TooLarge { request_id, bytes_max } => {
                let reason = format!("the packet is larger than {bytes_max} bytes");
                Action::Refuse(AckPacket::refusal(request_id, Code::TooLarge, reason, None))
            }
            Incoming::Malformed => Action::End { last: None, code: GoodbyeCode::BadRequest },
        }
    }

    fn packet(&self, packet: MessagePacket) -> Action {
        let request_id = packet.request_id;
        if packet.user_id.is_some_and(|user| user != self.who.user) {
            let error = "user_id is not the user of this session".to_owned();
            return Action::Refuse(AckPacket::refusal(request_id, Code::Forbidden, error, None));
        }
        match packet.packet_type.as_str() {
            "SendMessage" => self.send(packet),
            "EditMessage" => update(packet, |packet| {
                let message = packet.message.take().ok_or(Refusal::invalid("message", "is missing"))?;
                let content = message.content.ok_or(Refusal::invalid("message.content", "is missing"))?;
                parse_edit(content, message.metadata)
            }),
            "DeleteMessage" => update(packet, |_| Ok(MessageUpdate::Delete)),
            "React" => update(packet, |packet| {
                let emoji = packet.emoji.take().ok_or(Refusal::invalid("emoji", "is missing"))?;
                parse_reaction(&emoji, packet.remove.unwrap_or(false))
            }),
            "Pin" => update(packet, |packet| {
                Ok(if packet.remove.unwrap_or(false) { MessageUpdate::Unpin } else { MessageUpdate::Pin })
            }),
            "GetChats" => Action::Chats { request_id, after: packet.after_chat_id.unwrap_or(ChatId(0)) },
            "GetUsers" => match packet.user_ids {
                Some(ids) if ids.len() <= self.pages.max => Action::Users { request_id, ids },
                Some(_) => bad_request(request_id, format!("more than {} user_ids", self.pages.max)),
                None => bad_request(request_id, "user_ids is missing"),
            },
            "GetMessages" => self.page(&packet, true),
            "GetEvents" => self.page(&packet, false),
            "Resume" => self.resume(packet),
            "Mark" => mark(&packet),
            "MarkUnread" => mark_unread(&packet),
            "MarkAllRead" => Action::Arrange { request_id, arrangement: Arrangement::MarkAllRead },
            "Hide" => match packet.chat_id {
                Some(chat) => {
                    let hidden = !packet.remove.unwrap_or(false);
                    Action::Arrange { request_id, arrangement: Arrangement::Hide { chat, hidden } }
                }
                None => bad_request(request_id, "chat_id is missing"),
            },
            "Status" => show_status(&packet),
            "Typing" => match packet.chat_id {
                Some(chat) => Action::UpdatePresence { request_id, update: PresenceUpdate::Typing(chat) },
                None => bad_request(request_id, "chat_id is missing"),
            },
            "Ticket" => Action::Ticket { request_id },
            "Block" => match packet.username {
                Some(username) => {
                    Action::Block { request_id, username, blocks: !packet.remove.unwrap_or(false) }
                }
                None => bad_request(request_id, "username is missing"),
            },
            "Follow" => match (packet.chat_id, packet.message_id) {
                (Some(chat), Some(message)) => {
                    let follows = !packet.remove.unwrap_or(false);
                    Action::Arrange {
                        request_id,
                        arrangement: Arrangement::Follow { chat, message, follows },
                    }
                }
                _ => bad_request(request_id, "chat_id or message_id is missing"),
            },
            "LeaveChats" => match packet.username {
                Some(username) => Action::LeaveChats { request_id, username },
                None => bad_request(request_id, "username is missing"),
            },
            "Ping" => Action::Heartbeat { request_id },
            "Bye" => Action::End { last: None, code: GoodbyeCode::Bye },
            "Hello" => bad_request(request_id, "Hello was already accepted"),
            other => {
                let known: String = other.chars().filter(|c| c.is_ascii_alphanumeric()).take(32).collect();
                bad_request(request_id, format!("unknown packet_type \"{known}\""))
            }
        }
    }

    fn send(&self, packet: MessagePacket) -> Action {
        let request_id = packet.request_id;
        let Some(chat) = packet.chat_id else { return bad_request(request_id, "chat_id is missing") };
        let Some(message) = packet.message else { return bad_request(request_id, "message is missing") };
        let Some(client_id) = message.client_id else {
            return bad_request(request_id, "message.client_id is missing");
        };
        let Some(content) = message.content else {
            return bad_request(request_id, "message.content is missing");
        };
        match parse_message(Some(client_id), content, message.reply_to, message.metadata) {
            Ok(message) => Action::Submit { request_id, chat, command: ChatCommand::Send(message) },
            Err(refusal) => Action::Refuse(nack(request_id, refusal.into())),
        }
    }

    fn resume(&self, packet: MessagePacket) -> Action {
        let request_id = packet.request_id;
        let Some(epoch) = packet.epoch else { return bad_request(request_id, "epoch is missing") };
        let Some(cursors) = packet.cursors else { return bad_request(request_id, "cursors is missing") };
        if cursors.len() > self.pages.cursors {
            return bad_request(request_id, format!("more than {} cursors", self.pages.cursors));
        }
        let chats: Option<Vec<_>> =
            cursors.into_iter().map(|(chat, value)| Some((chat, packet::seq(value)?))).collect();
        match (i64::try_from(epoch), chats) {
            (Ok(epoch), Some(chats)) => Action::Resume { request_id, epoch, chats },
            _ => bad_request(request_id, "epoch and cursors must be 0 to 2^53"),
        }
    }

    fn page(&self, packet: &MessagePacket, messages_only: bool) -> Action {
        let request_id = packet.request_id;
        let Some(chat) = packet.chat_id else { return bad_request(request_id, "chat_id is missing") };
        let limit = packet.limit.map_or(self.pages.default, usize::from);
        if limit == 0 || limit > self.pages.max {
            return bad_request(request_id, format!("limit must be 1 to {}", self.pages.max));
        }
        let (Ok(before), Ok(after)) =
            (seq("before_seq", packet.before_seq), seq("after_seq", packet.after_seq))
        else {
            return bad_request(request_id, "before_seq and after_seq must be 0 to 2^53");
        };
        Action::Messages { request_id, chat, range: EventRange { before, after, limit, messages_only } }
    }
}

fn show_status(packet: &MessagePacket) -> Action {
    let (request_id, version) = (packet.request_id, packet.version);
    match packet.status.as_deref().map(Status::from_name) {
        Some(Some(status)) => {
            Action::UpdatePresence { request_id, update: PresenceUpdate::Status { status, version } }
        }
        _ => bad_request(request_id, "status must be online, away, dnd or invisible"),
    }
}

fn mark_unread(packet: &MessagePacket) -> Action {
    let request_id = packet.request_id;
    let Some(chat) = packet.chat_id else { return bad_request(request_id, "chat_id is missing") };
    match seq("from_seq", packet.from_seq) {
        Ok(Some(from)) => Action::Arrange { request_id, arrangement: Arrangement::MarkUnread { chat, from } },
        _ => bad_request(request_id, "from_seq must be 1 to 2^53"),
    }
}

/// Moves read and delivered cursors. With a request id the answer follows the commit; without one
/// the write is delayed and merged.
fn mark(packet: &MessagePacket) -> Action {
    let request_id = packet.request_id;
    let Some(chat) = packet.chat_id else { return bad_request(request_id, "chat_id is missing") };
    let (Ok(read), Ok(delivered)) =
        (seq("read_seq", packet.read_seq), seq("delivered_seq", packet.delivered_seq))
    else {
        return bad_request(request_id, "read_seq and delivered_seq must be 0 to 2^53");
    };
    let marks = Marks { read, delivered };
    match request_id {
        _ if marks == Marks::default() => bad_request(request_id, "read_seq or delivered_seq is missing"),
        Some(_) => Action::Submit { request_id, chat, command: ChatCommand::Mark(marks) },
        None => Action::QueueCursors { chat, marks },
    }
}

/// Handles a packet that changes a message; `what` returns the change.
fn update(
    mut packet: MessagePacket,
    what: impl FnOnce(&mut MessagePacket) -> Result<MessageUpdate, Refusal>,
) -> Action {
    let request_id = packet.request_id;
    let Some(chat) = packet.chat_id else { return bad_request(request_id, "chat_id is missing") };
    let Some(message) = packet.message_id else { return bad_request(request_id, "message_id is missing") };
    match what(&mut packet) {
        Ok(update) => Action::Submit { request_id, chat, command: ChatCommand::Update(message, update) },
        Err(refusal) => Action::Refuse(nack(request_id, refusal.into())),
    }
}

fn seq(field: &'static str, value: Option<u64>) -> Result<Option<Seq>, Refusal> {
    value.map(|value| packet::seq(value).ok_or(Refusal::invalid(field, "is out of range"))).transpose()
}
