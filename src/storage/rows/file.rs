//! Rows of `files`.

use diesel::prelude::*;

use super::chat::unreadable;
use crate::domain::file::{BlobHash, Contents, StoredFile};
use crate::domain::ids::{ChatId, FileId, MessageId, UserId};
use crate::domain::node::NodeName;
use crate::domain::timestamp::Timestamp;
use crate::storage::schema::files;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = files)]
pub struct FileRow {
    pub id: FileId,
    pub chat_id: ChatId,
    pub uploader_id: UserId,
    pub message_id: Option<MessageId>,
    pub name: String,
    pub size: i64,
    pub sha256: Option<Vec<u8>>,
    pub media_type: Option<String>,
    pub width: Option<i64>,
    pub height: Option<i64>,
    pub node: Option<String>,
    pub created_at: i64,
    pub bound_at: Option<i64>,
}

impl TryFrom<FileRow> for StoredFile {
    type Error = diesel::result::Error;

    fn try_from(row: FileRow) -> QueryResult<Self> {
        let hash = row.sha256.map(|stored| {
            let hash: Result<[u8; 32], _> = stored.try_into();
            hash.map(BlobHash).map_err(|_| unreadable("files.sha256", "not 32 bytes"))
        });
        let media_type = row.media_type.unwrap_or_default();
        let pixels = row.width.zip(row.height);
        Ok(Self {
            id: row.id,
            chat_id: row.chat_id,
            uploader_id: row.uploader_id,
            message_id: row.message_id,
            name: row.name,
            size: row.size,
            contents: hash.transpose()?.map(|hash| Contents { hash, media_type, pixels }),
            node: row.node.map(NodeName::from),
            created_at: Timestamp(row.created_at),
            was_bound: row.bound_at.is_some(),
        })
    }
}

/// A file whose bytes have not arrived.
#[derive(Debug, Insertable)]
#[diesel(table_name = files)]
#[diesel(treat_none_as_default_value = false)]
pub struct NewFileRow<'a> {
    pub chat_id: ChatId,
    pub uploader_id: UserId,
    pub name: &'a str,
    pub size: i64,
    pub node: Option<&'a str>,
    pub created_at: i64,
}

/// The files that can be removed: released ones, and those that no message got in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removable {
    /// Files without a message from before this time.
    pub unbound_before: Timestamp,
    /// The node whose files are selected. `None`: those of all nodes.
    pub node: Option<NodeName>,
    /// Files from before this time are selected whatever their node is: it may have ended.
    pub any_node_before: Timestamp,
}
