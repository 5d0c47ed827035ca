//! Messages of a batch that have their seq and ordinal, but no rows yet. They are inserted
//! together.
//!
//! A statement costs as much as three rows: it opens its tables and indexes, reads the largest id
//! ever used, and stores the new one. Therefore the messages of a batch are collected and inserted
//! with as few statements as possible.

use std::collections::HashSet;
use std::sync::Arc;

use diesel::result::QueryResult;

use crate::core::database::Db;
use crate::domain::ids::UserId;
use crate::domain::message::{ClientId, Message};
use crate::storage::queries::messages;
use crate::storage::rows::chat::ChatHead;
use crate::storage::rows::message::NewMessageRow;

/// A message without a row, with the columns that [`Message`] does not hold.
#[derive(Debug)]
pub(super) struct PendingMessage {
    pub(super) message: Arc<Message>,
    pub(super) request_hash: [u8; 32],
    /// The metadata of `message` as JSON.
    pub(super) metadata: Option<String>,
    /// The files of `message` as JSON.
    pub(super) files: Option<String>,
}

impl PendingMessage {
    pub(super) fn row(&self) -> NewMessageRow<'_> {
        let Self { message, request_hash, metadata, files } = self;
        NewMessageRow {
            id: message.id,
            chat_id: message.chat_id,
            seq: message.seq,
            ordinal: message.ordinal,
            sender_id: message.sender_id,
            client_id: &message.client_id.0,
            request_hash,
            content: &message.content,
            reply_to: message.reply_to,
            metadata: metadata.as_deref(),
            created_at: message.created_at.0,
            updated_seq: message.seq,
            thread_id: message.thread_id,
            files: files.as_deref(),
        }
    }
}

/// Holds messages in the order of their ids. See the [module](self).
#[derive(Debug, Default)]
pub(super) struct PendingInserts {
    messages: Vec<PendingMessage>,
    client_ids: HashSet<(UserId, ClientId)>,
}

impl PendingInserts {
    pub(super) fn has(&self, sender: UserId, client_id: ClientId) -> bool {
        self.client_ids.contains(&(sender, client_id))
    }

    pub(super) fn add(&mut self, message: PendingMessage) {
        self.client_ids.insert((message.message.sender_id, message.message.client_id));
        self.messages.push(message);
    }

    /// Inserts all messages, and moves the heads of chats. After a failure the transaction must be
    /// rolled back.
    pub(super) fn flush(&mut self, db: &mut Db, heads: &[ChatHead]) -> QueryResult<()> {
        if self.messages.is_empty() && heads.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = self.messages.iter().map(PendingMessage::row).collect();
        messages::insert_new(db, &rows, heads)?;
        self.messages.clear();
        self.client_ids.clear();
        Ok(())
    }
}
