//! Appending messages to chats.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::code_talks;
use super::fan_out::notify_of_message;
use super::files;
use crate::actors::writer::command::{Command, ExecuteError, Execution, Tx};
use crate::actors::writer::pending_inserts::PendingMessage;
use crate::actors::writer::{Head, Invalidation};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::chat::Chat;
use crate::domain::event::{ChatEvent, Event};
use crate::domain::file::AttachedFile;
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::domain::message::{Message, NewMessage};
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{chats, messages};

/// The most bytes that a file adds to its message, as an estimate: a long name and the rest.
const FILE_BYTES: usize = 1_500;

/// Appends a message to a chat, once per (sender, client_id).
pub struct AppendMessage {
    pub who: Credential,
    pub chat: ChatId,
    pub message: NewMessage,
    /// Verdict of the rate limiter. It does not apply to a retry of a committed message.
    pub within_rate: Result<(), Refusal>,
}

#[derive(Debug, Clone)]
pub struct Appended {
    pub message: Arc<Message>,
    /// The message existed already: this was a retry.
    pub duplicate: bool,
    /// Not all users whom the message concerns are notified: its sender exceeds the rate of `@all`,
    /// or has too many such messages left to process.
    pub unnotified: bool,
}

impl Command for AppendMessage {
    type Output = Appended;
    const INVALIDATION: Invalidation = Invalidation::Appends;

    fn bytes(&self) -> usize {
        let NewMessage { content, metadata, files, .. } = &self.message;
        // A message has a copy of the rows of its files, with their names.
        let files = files.len().saturating_mul(FILE_BYTES);
        256 + content.as_str().len() + metadata.as_ref().map_or(0, |metadata| metadata.bytes()) + files
    }

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Appended> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let new = &self.message;
        let metadata = match &new.metadata {
            Some(metadata) => Some(
                serde_json::to_string(metadata)
                    .map_err(|_| Refusal::invalid("metadata", "cannot be written as JSON"))?,
            ),
            None => None,
        };
        let request_hash = self.request_hash(metadata.as_deref());
        let Position { chat, head, reply, files } = match self.position(tx) {
            Ok(position) => position,
            // Takes precedence over membership, archive and rate rules: a retry of a committed
            // message always gets its answer.
            Err(ExecuteError::Refused(refusal)) => {
                return self.earlier(tx, &request_hash)?.ok_or(refusal.into());
            }
            Err(error) => return Err(error),
        };
        let (thread, replied_to) = reply.unzip();
        let written = write(tx, (&chat, head), self.who.user, (new, files), thread, metadata, request_hash)?;
        match written {
            Some(message) => {
                files::bind(tx, &message)?;
                code_talks::index(tx, &chat, &message)?;
                let unnotified = !notify_of_message(tx, &chat, &message, replied_to)?;
                Ok(Appended { message, duplicate: false, unnotified })
            }
            None => self.earlier(tx, &request_hash)?.ok_or(Refusal::ClientIdReused.into()),
        }
    }
}

/// The thread that a reply belongs to, and the sender of the message it replies to.
type ReplyTarget = (MessageId, UserId);

/// The place of a message, and what it refers to.
struct Position {
    chat: Arc<Chat>,
    head: Head,
    reply: Option<ReplyTarget>,
    files: Vec<AttachedFile>,
}

impl AppendMessage {
    /// Returns the place of the message, if its sender may post it.
    fn position(&self, tx: &mut Tx<'_>) -> Execution<Position> {
        let (chat, head, role) = tx.chat_to_append(self.chat, self.who.user)?;
        permission::post(&chat, role)?;
        self.within_rate.clone()?;
        let reply = match self.message.reply_to {
            Some(reply_to) => Some(
                messages::thread_of(tx.reader_after_flush()?, chat.id, reply_to)?
                    .ok_or(Refusal::invalid("reply_to", "is not a message of this chat"))?,
            ),
            None => None,
        };
        let files = files::to_bind(tx, self.who.user, self.chat, &self.message.files)?;
        Ok(Position { chat, head, reply, files })
    }

    /// Refuses if the chat is deleted: its rows are removed later. The equal hash proves that the
    /// message is of this chat.
    fn check_chat(&self, tx: &mut Tx<'_>) -> Execution<()> {
        chats::chat(tx.reader(), self.chat)?.map(drop).ok_or(Refusal::NotFound("chat").into())
    }

    /// Returns the earlier message of the sender with the same client id, also if its row was
    /// removed.
    fn earlier(&self, tx: &mut Tx<'_>, request_hash: &[u8; 32]) -> Execution<Option<Appended>> {
        let (sender, client_id) = (self.who.user, &self.message.client_id.0);
        match messages::by_client_id(tx.reader_after_flush()?, sender, client_id)? {
            Some((_, hash)) if hash != request_hash => Err(Refusal::ClientIdReused.into()),
            Some((message, _)) => {
                self.check_chat(tx)?;
                Ok(Some(Appended { message: message.into(), duplicate: true, unnotified: false }))
            }
            None => match messages::removed(tx.reader(), sender, client_id)? {
                Some(removed) if !removed.is_of(request_hash) => Err(Refusal::ClientIdReused.into()),
                Some(removed) => {
                    self.check_chat(tx)?;
                    let message = removed.into_message(self.who.user, self.message.client_id);
                    Ok(Some(Appended { message: message.into(), duplicate: true, unnotified: false }))
                }
                None => Ok(None),
            },
        }
    }
}

/// Stores a message with the next seq of the chat, and announces it. `files` are those that it
/// names, `metadata` is that of the message, as JSON. Returns `None`, and changes nothing, if the
/// sender has used the client id before.
pub(super) fn write(
    tx: &mut Tx<'_>,
    (chat, head): (&Chat, Head),
    sender: UserId,
    (new, files): (&NewMessage, Vec<AttachedFile>),
    thread: Option<MessageId>,
    metadata: Option<String>,
    request_hash: [u8; 32],
) -> Execution<Option<Arc<Message>>> {
    let files_text = (!files.is_empty()).then(|| serde_json::to_string(&files)).transpose();
    let files_text = files_text.map_err(|_| Refusal::invalid("files", "cannot be written as JSON"))?;
    let (seq, ordinal, created_at) = (head.seq + 1, head.ordinal + 1, tx.now);
    let id = tx.next_message_id()?;
    let message = Arc::new(Message {
        id,
        chat_id: chat.id,
        seq,
        sender_id: sender,
        client_id: new.client_id,
        content: new.content.as_str().to_owned(),
        reply_to: new.reply_to,
        metadata: new.metadata.clone(),
        created_at,
        edited_at: None,
        files,
        deleted: false,
        pinned: false,
        reactions: Vec::new(),
        thread_id: thread,
        updated_seq: None,
        ordinal,
    });
    let pending = PendingMessage { message: message.clone(), request_hash, metadata, files: files_text };
    if !tx.insert_message(pending, chat)? {
        return Ok(None);
    }
    tx.announce(Event::Chat(ChatEvent::of_message(message.clone()).into()));
    Ok(Some(message))
}

impl AppendMessage {
    /// Hashes all fields that the client chose. Each text has its length in front, so that
    /// different requests have different inputs.
    fn request_hash(&self, metadata: Option<&str>) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.chat.0.to_be_bytes());
        hash.update(self.message.reply_to.map_or(0, |id| id.0).to_be_bytes());
        for part in [self.message.content.as_str(), metadata.unwrap_or_default()] {
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        // Nothing without files, so that retries across an update of the server are recognised.
        for file in &self.message.files {
            hash.update(file.0.to_be_bytes());
        }
        hash.finalize().into()
    }
}
