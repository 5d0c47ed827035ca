//! Packets of the server: answers and pushes.

use serde::{Deserialize, Serialize};

use super::code::Code;
use super::found::Found;
use super::view::{
    ChatSummary, EventData, EventView, MarkView, NotificationView, PresenceView, TicketView, UserView,
};
use crate::domain::ids::{ChatId, MessageId, NotificationId, Seq, SessionId, UserId};
use crate::domain::message::Message;
use crate::domain::notification::WhichRead;
use crate::domain::presence::Status;
use crate::domain::timestamp::Timestamp;

/// The answer to a command: committed (`success`), or refused with the reason.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AckPacket {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_id: Option<u64>,
    pub success: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message_id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seq: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duplicate: Option<bool>,
    /// In the answer to a `Status`: the effective status of the device.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<u64>,
    /// Some users whom the message concerns are not notified: its sender is above a rate or a
    /// limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unnotified: Option<bool>,
    /// The number of chats that were left.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub left: Option<usize>,
    /// More chats remain: send the request again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub more: Option<bool>,
    /// A sentence for users.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// A code for programs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_ms: Option<u64>,
}

impl AckPacket {
    pub fn refusal(request_id: Option<u64>, code: Code, error: String, retry_after_ms: Option<u64>) -> Self {
        Self {
            request_id,
            code: Some(code.in_packets()),
            error: Some(error),
            retry_after_ms,
            ..Self::default()
        }
    }
}

/// The reason of a `Goodbye`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoodbyeCode {
    Shutdown,
    Bye,
    Revoked,
    Idle,
    BadRequest,
    Unauthenticated,
    Overloaded,
}

/// The packets of the server, named by their variant in `packet_type`. Events are [`EventView`]s.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "packet_type")]
pub enum ServerPacket<'a> {
    Welcome {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<u64>,
        user_id: UserId,
        username: &'a str,
        session_id: SessionId,
        epoch: i64,
        heartbeat_ms: u64,
        max_frame_bytes: usize,
        /// The maximum number of unanswered packets.
        window: usize,
        chats: &'a [ChatSummary],
        has_more: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        udp: Option<TicketView<'a>>,
    },
    Ack(AckPacket),
    Chats {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<u64>,
        chats: &'a [ChatSummary],
        has_more: bool,
    },
    /// The requested users, looked up by id. Without a request: users who share a chat with the
    /// user, and whose name or avatar has changed.
    Users {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<u64>,
        people: Vec<UserView>,
    },
    Messages {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<u64>,
        chat_id: ChatId,
        messages: Vec<&'a Message>,
        has_more: bool,
        as_of: Seq,
    },
    Events {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<u64>,
        chat_id: ChatId,
        events: Vec<EventView<'a>>,
        has_more: bool,
        as_of: Seq,
    },
    /// The results of a search.
    Found {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<u64>,
        results: &'a Found,
    },
    /// The marks of members of a chat. For the user's own sessions also the unread count.
    Marks {
        chat_id: ChatId,
        marks: Vec<MarkView>,
        #[serde(skip_serializing_if = "Option::is_none")]
        unread_count: Option<i64>,
        /// To the user's own sessions: the chat is hidden until its next message.
        #[serde(skip_serializing_if = "Option::is_none")]
        hidden: Option<bool>,
    },
    /// The avatar of a chat has changed; without a version it has none.
    ChatAvatar {
        chat_id: ChatId,
        #[serde(skip_serializing_if = "Option::is_none")]
        avatar: Option<&'a str>,
    },
    Notification {
        notification: NotificationView,
    },
    /// To all sessions of the user: one notification was read, those of a chat up to a seq, or
    /// (with neither) all.
    NotificationsRead {
        #[serde(skip_serializing_if = "Option::is_none")]
        notification_id: Option<NotificationId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        chat_id: Option<ChatId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<Seq>,
        read_at: Timestamp,
    },
    Presence {
        users: Vec<PresenceView>,
    },
    Typing {
        chat_id: ChatId,
        user_id: UserId,
    },
    Ticket {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<u64>,
        udp: TicketView<'a>,
    },
    /// The client has all events of the chat up to `seq`, and the chat is live.
    Synced {
        chat_id: ChatId,
        seq: Seq,
    },
    /// With a chat: too many events are missing for a replay. The chat is live above `head`, and
    /// the client must page the events from `from` on. Without a chat: pushes were dropped, and
    /// every chat needs a `Resume`.
    Limited {
        #[serde(skip_serializing_if = "Option::is_none")]
        chat_id: Option<ChatId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Seq>,
        #[serde(skip_serializing_if = "Option::is_none")]
        head: Option<Seq>,
    },
    /// The client's state belongs to another history. With a chat: the state of that chat; `head`
    /// is absent if the user cannot see the chat. With an epoch: the state of all chats.
    Reset {
        #[serde(skip_serializing_if = "Option::is_none")]
        chat_id: Option<ChatId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        head: Option<Seq>,
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<i64>,
    },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<u64>,
        chats: usize,
        heads_sum: i64,
    },
    Goodbye {
        code: GoodbyeCode,
        reconnect: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
    },
}

impl ServerPacket<'_> {
    pub fn notifications_read(which: WhichRead, read_at: Timestamp) -> Self {
        let (notification_id, place) = match which {
            WhichRead::All => (None, None),
            WhichRead::One(id) => (Some(id), None),
            WhichRead::InChat(chat, seq) => (None, Some((chat, seq))),
        };
        let (chat_id, seq) = place.unzip();
        Self::NotificationsRead { notification_id, chat_id, seq, read_at }
    }
}

/// A packet of the server as a client reads it: one flat map, like `MessagePacket`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ReceivedPacket {
    pub packet_type: String,
    #[serde(default)]
    pub request_id: Option<u64>,
    #[serde(default)]
    pub success: bool,
    #[serde(default)]
    pub message_id: Option<MessageId>,
    #[serde(default)]
    pub seq: Option<Seq>,
    #[serde(default)]
    pub duplicate: Option<bool>,
    #[serde(default)]
    pub status: Option<Status>,
    #[serde(default)]
    pub version: Option<u64>,
    #[serde(default)]
    pub left: Option<usize>,
    #[serde(default)]
    pub more: Option<bool>,
    #[serde(default)]
    pub error: Option<String>,
    /// An error code in `Ack`, a reason in `Goodbye`.
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    #[serde(default)]
    pub after_ms: Option<u64>,
    #[serde(default)]
    pub user_id: Option<UserId>,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub session_id: Option<SessionId>,
    #[serde(default)]
    pub epoch: Option<i64>,
    #[serde(default)]
    pub heartbeat_ms: Option<u64>,
    #[serde(default)]
    pub window: Option<usize>,
    #[serde(default)]
    pub chats: ListOrCount,
    #[serde(default)]
    pub heads_sum: Option<i64>,
    #[serde(default)]
    pub has_more: bool,
    #[serde(default)]
    pub as_of: Option<Seq>,
    #[serde(default)]
    pub chat_id: Option<ChatId>,
    #[serde(default)]
    pub marks: Vec<MarkView>,
    #[serde(default)]
    pub unread_count: Option<i64>,
    #[serde(default)]
    pub hidden: Option<bool>,
    #[serde(default)]
    pub notification: Option<NotificationView>,
    #[serde(default)]
    pub notification_id: Option<NotificationId>,
    #[serde(default)]
    pub read_at: Option<Timestamp>,
    #[serde(default)]
    pub unnotified: bool,
    #[serde(default)]
    pub users: Vec<PresenceView>,
    #[serde(default)]
    pub people: Vec<UserView>,
    /// Of a `ChatAvatar`.
    #[serde(default)]
    pub avatar: Option<String>,
    #[serde(default)]
    pub udp: Option<TicketData>,
    #[serde(default)]
    pub from: Option<Seq>,
    #[serde(default)]
    pub head: Option<Seq>,
    #[serde(default)]
    pub kind: Option<String>,
    #[serde(default)]
    pub message: Option<Message>,
    #[serde(default)]
    pub chat: Option<ChatSummary>,
    #[serde(default)]
    pub messages: Vec<Message>,
    #[serde(default)]
    pub events: Vec<EventData>,
    #[serde(default)]
    pub results: Option<Found>,
    #[serde(default)]
    pub reconnect: bool,
}

/// A ticket as a client reads it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TicketData {
    pub connection_id: u64,
    pub key_up: Vec<u8>,
    pub key_down: Vec<u8>,
    pub expires_in: u64,
    pub address: String,
}

/// `chats` is a list in `Welcome` and `Chats`, and a number in `Pong`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum ListOrCount {
    Count(usize),
    List(Vec<ChatSummary>),
}

impl Default for ListOrCount {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl ListOrCount {
    pub fn list(&self) -> &[ChatSummary] {
        match self {
            Self::List(chats) => chats,
            Self::Count(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::framing;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Golden bytes: a change of these bytes changes the protocol for every client.
    #[test]
    fn ack_has_golden_bytes() {
        let ack = ServerPacket::Ack(AckPacket {
            request_id: Some(5),
            success: true,
            message_id: Some(MessageId(300)),
            seq: Some(7),
            ..AckPacket::default()
        });
        assert_eq!(
            hex(&framing::encode(&ack).unwrap()),
            "00000039\
             85ab7061636b65745f74797065a341636b\
             aa726571756573745f696405\
             a773756363657373c3\
             aa6d6573736167655f6964cd012c\
             a373657107"
        );
    }

    #[test]
    fn goodbye_has_golden_bytes() {
        let goodbye =
            ServerPacket::Goodbye { code: GoodbyeCode::BadRequest, reconnect: false, after_ms: None };
        assert_eq!(
            hex(&framing::encode(&goodbye).unwrap()),
            "00000031\
             83ab7061636b65745f74797065a7476f6f64627965\
             a4636f6465ab6261645f72657175657374\
             a97265636f6e6e656374c2"
        );
    }

    #[test]
    fn client_decodes_packets_of_the_server() {
        let frame =
            framing::encode(&ServerPacket::Pong { request_id: Some(1), chats: 3, heads_sum: 99 }).unwrap();
        let packet: ReceivedPacket = rmp_serde::from_slice(&frame[4..]).unwrap();
        assert_eq!(
            (packet.packet_type.as_str(), packet.chats, packet.heads_sum),
            ("Pong", ListOrCount::Count(3), Some(99))
        );
    }
}
