//! Messages of chats.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::emoji::Emoji;
use super::file::AttachedFile;
use super::ids::{ChatId, FileId, MessageId, Seq, UserId};
use super::metadata::Metadata;
use super::refusal::Refusal;
use super::text::Invalid;
use super::timestamp::Timestamp;

/// Maximum size of the content, in bytes of UTF-8.
pub const CONTENT_BYTES_MAX: usize = 16 * 1024;

/// The current state of a message.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Message {
    pub id: MessageId,
    pub chat_id: ChatId,
    pub seq: Seq,
    pub sender_id: UserId,
    pub client_id: ClientId,
    pub content: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply_to: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<Metadata>,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub edited_at: Option<Timestamp>,
    /// In the order in which the sender named them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub files: Vec<AttachedFile>,
    /// The message was deleted: its content, metadata, files, reactions and pin are removed.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub deleted: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub pinned: bool,
    /// In the order in which each emoji was first used.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reactions: Vec<Reaction>,
    /// The first message of the thread, in replies.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub thread_id: Option<MessageId>,
    /// The last event that changed the message, if any. Of two copies, the one with the larger seq
    /// is newer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub updated_seq: Option<Seq>,
    /// The position of the message among the messages of the chat. Unread counts are differences of
    /// ordinals.
    #[serde(skip, default)]
    pub ordinal: i64,
}

impl Message {
    /// Returns the first message of chat 1, of user 1.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        Self {
            id: MessageId(1),
            chat_id: ChatId(1),
            seq: 1,
            sender_id: UserId(1),
            client_id: ClientId([0; 16]),
            content: "x".to_owned(),
            reply_to: None,
            metadata: None,
            created_at: Timestamp(0),
            edited_at: None,
            files: Vec::new(),
            deleted: false,
            pinned: false,
            reactions: Vec::new(),
            thread_id: None,
            updated_seq: None,
            ordinal: 1,
        }
    }

    /// Returns the memory that the message takes in a cache, in bytes.
    pub fn bytes(&self) -> usize {
        let reactions: usize = self.reactions.iter().map(Reaction::bytes).sum();
        let files: usize = self.files.iter().map(AttachedFile::bytes).sum();
        let metadata = self.metadata.as_ref().map_or(0, Metadata::bytes);
        size_of::<Self>() + self.content.len() + metadata + files + reactions
    }

    /// Deletes the content, metadata, files, reactions and pin.
    pub fn redact(&mut self) {
        self.deleted = true;
        self.content.clear();
        self.metadata = None;
        self.files.clear();
        self.reactions.clear();
        self.pinned = false;
    }

    /// Adds a reaction of `user`. Returns `false` if it exists already.
    pub fn react(&mut self, user: UserId, emoji: &Emoji) -> bool {
        // Earlier versions may have stored the emoji in two forms.
        let mut same = self.reactions.iter().filter(|reaction| emoji.is(&reaction.emoji));
        if same.any(|reaction| reaction.user_ids.contains(&user)) {
            return false;
        }
        match self.reactions.iter_mut().find(|reaction| emoji.is(&reaction.emoji)) {
            Some(reaction) => reaction.user_ids.push(user),
            None => {
                let emoji = emoji.as_str().to_owned();
                self.reactions.push(Reaction { emoji, user_ids: vec![user] });
            }
        }
        true
    }

    /// Removes a reaction. Returns `false` if there was none.
    pub fn unreact(&mut self, user: UserId, emoji: &Emoji) -> bool {
        let mut taken = false;
        for reaction in self.reactions.iter_mut().filter(|reaction| emoji.is(&reaction.emoji)) {
            let before = reaction.user_ids.len();
            reaction.user_ids.retain(|other| *other != user);
            taken |= reaction.user_ids.len() < before;
        }
        self.reactions.retain(|reaction| !reaction.user_ids.is_empty());
        taken
    }
}

/// The users who reacted with an emoji, in the order of their reactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Reaction {
    pub emoji: String,
    pub user_ids: Vec<UserId>,
}

impl Reaction {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.emoji.len() + size_of_val(self.user_ids.as_slice())
    }
}

/// A change of an existing message.
#[derive(Debug, Clone)]
pub enum MessageUpdate {
    /// `metadata: None` keeps the metadata.
    Edit {
        content: Content,
        metadata: Option<Metadata>,
    },
    Delete,
    React(Emoji),
    Unreact(Emoji),
    Pin,
    Unpin,
}

impl MessageUpdate {
    /// Parses the new content of an edited message. It may be empty: only the writer knows whether
    /// the message has files.
    ///
    /// # Errors
    /// Those of [`NewMessage::parse`].
    pub fn parse_edit(content: String, metadata: Option<Metadata>) -> Result<Self, Refusal> {
        let (content, metadata) = parse_parts(content, metadata, true)?;
        Ok(Self::Edit { content, metadata })
    }

    /// Parses a reaction, to add or to remove.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] if `emoji` is invalid.
    pub fn parse_reaction(emoji: &str, remove: bool) -> Result<Self, Refusal> {
        let parsed = if remove { Emoji::taken_back(emoji) } else { Emoji::parse(emoji) };
        let emoji = parsed.map_err(|reason| Refusal::Invalid { field: "emoji", reason })?;
        Ok(if remove { Self::Unreact(emoji) } else { Self::React(emoji) })
    }
}

/// Text of 1 to [`CONTENT_BYTES_MAX`] bytes, not only white space, without NUL. It is empty only
/// beside files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content(String);

/// The reason why a content without visible text is refused.
const EMPTY: Invalid = Invalid("must not be empty");

/// The reason why a content is refused. Too large has its own error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidContent {
    TooLarge,
    Invalid(Invalid),
}

impl Content {
    pub fn parse(text: String) -> Result<Self, InvalidContent> {
        if text.len() > CONTENT_BYTES_MAX {
            return Err(InvalidContent::TooLarge);
        }
        if text.trim().is_empty() {
            return Err(InvalidContent::Invalid(EMPTY));
        }
        if text.contains('\0') {
            return Err(InvalidContent::Invalid(Invalid("must not contain NUL")));
        }
        Ok(Self(text))
    }

    /// Like [`Content::parse`], for a message that may have files. White space alone becomes the
    /// empty text.
    pub fn parse_beside_files(text: String) -> Result<Self, InvalidContent> {
        match Self::parse(text) {
            Err(InvalidContent::Invalid(EMPTY)) => Ok(Self(String::new())),
            parsed => parsed,
        }
    }

    /// Checks that the content is not empty, for a message without files.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] if it is empty.
    pub fn check_is_present(&self) -> Result<(), Refusal> {
        if self.0.is_empty() { Err(Refusal::Invalid { field: "content", reason: EMPTY }) } else { Ok(()) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

/// Maximum number of files of a message. `limits.files_per_message` is at most this.
pub const FILES_MAX: usize = 50;

/// A message from a client, which has no position in the chat yet.
#[derive(Debug, Clone)]
pub struct NewMessage {
    pub client_id: ClientId,
    pub content: Content,
    pub reply_to: Option<MessageId>,
    pub metadata: Option<Metadata>,
    /// Complete uploads of the sender to the chat.
    pub files: Vec<FileId>,
}

impl NewMessage {
    /// Parses a new message. Without a `client_id`, the message gets a fresh one. A message with
    /// files may have no content.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] if the content has more than [`CONTENT_BYTES_MAX`] bytes or there are
    /// more than [`FILES_MAX`] files, or [`Refusal::Invalid`] if the content or the metadata is
    /// invalid.
    pub fn parse(
        client_id: Option<ClientId>,
        content: String,
        reply_to: Option<MessageId>,
        metadata: Option<Metadata>,
        files: Vec<FileId>,
    ) -> Result<Self, Refusal> {
        if files.len() > FILES_MAX {
            return Err(Refusal::TooLarge("the message names more than 50 files"));
        }
        let (content, metadata) = parse_parts(content, metadata, !files.is_empty())?;
        let client_id = client_id.unwrap_or_else(ClientId::fresh);
        Ok(Self { client_id, content, reply_to, metadata, files })
    }
}

fn parse_parts(
    content: String,
    metadata: Option<Metadata>,
    may_be_empty: bool,
) -> Result<(Content, Option<Metadata>), Refusal> {
    let parsed = if may_be_empty { Content::parse_beside_files(content) } else { Content::parse(content) };
    let content = parsed.map_err(|invalid| match invalid {
        InvalidContent::TooLarge => Refusal::TooLarge("content is larger than 16384 bytes"),
        InvalidContent::Invalid(reason) => Refusal::Invalid { field: "content", reason },
    })?;
    let metadata = metadata.map(Metadata::parse).transpose();
    let metadata = metadata.map_err(|reason| Refusal::Invalid { field: "metadata", reason })?;
    Ok((content, metadata))
}

/// The sender's key for a message, unique per sender: a retry with the same key is the same
/// message.
///
/// 16 bytes in MessagePack, a UUID in JSON; both forms are the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub [u8; 16]);

impl ClientId {
    /// Creates a UUIDv7: ids that are close in time are close in the index.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().into_bytes())
    }

    /// Returns the largest id of a time (UUIDv7 begins with 48 bits of milliseconds).
    pub fn last_of(time: Timestamp) -> Self {
        let mut bytes = [0xff; 16];
        let ms = u64::try_from(time.0).unwrap_or(0).to_be_bytes();
        if let (Some(prefix), [_, _, ms @ ..]) = (bytes.first_chunk_mut::<6>(), ms) {
            *prefix = ms;
        }
        Self(bytes)
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Uuid::try_parse(text)
            .map(|id| Self(id.into_bytes()))
            .map_err(|_| Invalid("client_id must be a UUID or 16 bytes"))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).fmt(f)
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let text = &mut [0; uuid::fmt::Hyphenated::LENGTH];
            serializer.serialize_str(Uuid::from_bytes(self.0).hyphenated().encode_lower(text))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = ClientId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 bytes or a UUID as text")
            }
            fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<ClientId, E> {
                value.try_into().map(ClientId).map_err(|_| E::invalid_length(value.len(), &self))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<ClientId, E> {
                ClientId::parse(value).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_a_limited_number_of_files() {
        let parse = |count: usize| {
            let files = (0..count).map(|n| FileId(i64::try_from(n).unwrap())).collect();
            NewMessage::parse(None, String::new(), None, None, files).map(|message| message.files.len())
        };
        assert_eq!(parse(FILES_MAX), Ok(FILES_MAX));
        assert!(matches!(parse(FILES_MAX + 1), Err(Refusal::TooLarge(_))));
        assert!(parse(0).is_err(), "neither content nor files");
    }

    #[test]
    fn client_id_is_the_same_key_as_text_and_as_bytes() {
        let text = "\"0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f\"";
        let from_text: ClientId = serde_json::from_str(text).unwrap();
        let bytes = rmp_serde::to_vec(&from_text).unwrap();
        assert_eq!(bytes[..2], [0xc4, 16]);
        assert_eq!(rmp_serde::from_slice::<ClientId>(&bytes).unwrap(), from_text);
        assert_eq!(serde_json::to_string(&from_text).unwrap(), text);
    }

    #[test]
    fn content_is_counted_in_bytes() {
        assert!(Content::parse("é".repeat(CONTENT_BYTES_MAX / 2)).is_ok());
        assert_eq!(Content::parse("é".repeat(CONTENT_BYTES_MAX / 2 + 1)), Err(InvalidContent::TooLarge));
        assert!(Content::parse(" \n".into()).is_err());
        assert!(Content::parse("a\0b".into()).is_err());
    }
}
