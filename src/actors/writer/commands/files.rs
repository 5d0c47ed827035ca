//! Files in chats: announced, complete, bound to a message, released, removed.
//!
//! The rows are the authority. Bytes reach the store before [`CompleteFile`], and leave it after
//! [`RemoveFiles`].

use std::collections::HashSet;

use super::chats::load;
use super::repositories::NODE_RUNS;
use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::file::{AttachedFile, Contents, FileName, StoredFile, charged_bytes};
use crate::domain::ids::{ChatId, FileId, MessageId, UserId};
use crate::domain::message::Message;
use crate::domain::node::NodeName;
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::nodes;
use crate::storage::queries::files;
use crate::storage::rows::file::{NewFileRow, Removable};

const NO_FILE: Refusal = Refusal::NotFound("file");

/// Announces a file of a chat. Its size counts for its uploader from now on.
pub struct BeginFile {
    pub who: Credential,
    pub chat: ChatId,
    pub name: FileName,
    pub size: i64,
    /// The node that receives the bytes.
    pub node: Option<NodeName>,
    /// Verdict of the rate limiter.
    pub within_rate: Result<(), Refusal>,
}

impl Command for BeginFile {
    type Output = FileId;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<FileId> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let user = self.who.user;
        let (chat, role) = load(tx, self.chat, user)?;
        permission::post(&chat, role)?;
        self.within_rate.clone()?;
        let limits = tx.limits;
        let unbound_max = limits.files_unbound_per_user;
        if files::unbound_count(tx.reader(), user, unbound_max)? >= unbound_max {
            return Err(Refusal::Conflict(
                "you have too many files without a message; post or delete some, or ask the operator \
                 (limits.files_unbound_per_user)",
            )
            .into());
        }
        let more = charged_bytes(self.size);
        if files::usage_of(tx.reader(), user)?.saturating_add(more) > bytes_of(limits.files_user_bytes) {
            return Err(Refusal::TooLarge(
                "your files would hold more than the server allows; delete messages with files, or ask the \
                 operator (limits.files_user_bytes)",
            )
            .into());
        }
        if files::usage(tx.reader())?.saturating_add(more) > bytes_of(limits.files_server_bytes) {
            return Err(Refusal::TooLarge(
                "the files of all users would hold more than the server allows; ask the operator \
                 (limits.files_server_bytes)",
            )
            .into());
        }
        let row = NewFileRow {
            chat_id: chat.id,
            uploader_id: user,
            name: self.name.as_str(),
            size: self.size,
            node: self.node.as_ref().map(NodeName::as_str),
            created_at: tx.now.0,
        };
        Ok(files::insert(tx.write(), &row)?)
    }
}

fn bytes_of(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Records the contents of a file whose bytes are all in the store.
pub struct CompleteFile {
    pub who: Credential,
    pub file: FileId,
    pub contents: Contents,
}

impl Command for CompleteFile {
    type Output = StoredFile;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<StoredFile> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let mut file = own_file(tx, self.who.user, self.file)?;
        if file.contents.is_none() {
            let now = tx.now.0;
            files::complete(tx.write(), file.id, &self.contents, now)?;
            file.contents = Some(self.contents.clone());
        }
        Ok(file)
    }
}

/// Releases a file that no message has had. It is removed like the files of deleted messages.
pub struct DropFile {
    pub who: Credential,
    pub file: FileId,
}

impl Command for DropFile {
    type Output = ();
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let file = own_file(tx, self.who.user, self.file)?;
        if file.was_bound {
            return Err(Refusal::Conflict("a message has this file; delete the message instead").into());
        }
        let now = tx.now.0;
        Ok(files::drop_unbound(tx.write(), file.id, now)?)
    }
}

/// Returns a file that the user has uploaded. The files of others are hidden.
fn own_file(tx: &mut Tx<'_>, user: UserId, id: FileId) -> Execution<StoredFile> {
    let file = files::by_id(tx.reader(), id)?.filter(|file| file.uploader_id == user && !file.is_released());
    Ok(file.ok_or(NO_FILE)?)
}

/// Removes those of the files that are released, or that no message got in time. Returns them, so
/// that their bytes can be removed.
pub struct RemoveFiles {
    pub files: Vec<FileId>,
    pub which: Removable,
}

impl Command for RemoveFiles {
    type Output = Vec<StoredFile>;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Vec<StoredFile>> {
        Ok(files::remove(tx.write(), &self.files, &self.which)?)
    }
}

/// Releases files of messages that a node of an earlier version has deleted.
pub struct ReleaseFiles {
    pub messages: Vec<MessageId>,
}

impl Command for ReleaseFiles {
    type Output = usize;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<usize> {
        Ok(files::release_deleted(tx.write(), &self.messages)?)
    }
}

/// Records that this node has the bytes of files.
pub struct MoveFiles {
    pub files: Vec<FileId>,
    /// Their node so far, which must not run. `None`: no node is recorded, or none can run.
    pub from: Option<NodeName>,
    pub to: NodeName,
}

impl Command for MoveFiles {
    type Output = usize;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<usize> {
        if let Some(from) = &self.from
            && nodes::is_running(tx.reader(), from.as_str())?
        {
            return Err(NODE_RUNS.into());
        }
        Ok(files::set_node(tx.write(), &self.files, &self.to)?)
    }
}

/// Returns the files that a new message names, if its sender may bind them.
pub(super) fn to_bind(
    tx: &mut Tx<'_>,
    sender: UserId,
    chat: ChatId,
    ids: &[FileId],
) -> Execution<Vec<AttachedFile>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    if ids.len() > tx.limits.files_per_message {
        return Err(Refusal::TooLarge("the message names more files than limits.files_per_message").into());
    }
    let mut names = HashSet::with_capacity(ids.len());
    if !ids.iter().all(|id| names.insert(*id)) {
        return Err(Refusal::invalid("files", "names a file twice").into());
    }
    let found = files::by_ids(tx.reader(), ids)?;
    let attached = |id: &FileId| {
        let own = |file: &&StoredFile| file.id == *id && file.uploader_id == sender && file.chat_id == chat;
        let file = found.iter().find(own).filter(|file| !file.is_released());
        let file =
            file.ok_or(Refusal::invalid("files", "names a file that you did not upload to this chat"))?;
        if file.was_bound {
            return Err(Refusal::invalid("files", "names a file that another message has"));
        }
        file.attached().ok_or(Refusal::invalid("files", "names a file whose upload is not complete"))
    };
    Ok(ids.iter().map(attached).collect::<Result<_, _>>()?)
}

/// Binds its files to a message that was just written. Its row must exist before.
pub(super) fn bind(tx: &mut Tx<'_>, message: &Message) -> Execution<()> {
    if message.files.is_empty() {
        return Ok(());
    }
    let ids: Vec<FileId> = message.files.iter().map(|file| file.id).collect();
    tx.reader_after_flush()?;
    let now = tx.now.0;
    Ok(files::bind(tx.write(), &ids, message.id, now)?)
}

/// Releases the files of a message that is deleted.
pub(super) fn release(tx: &mut Tx<'_>, deleted: &Message) -> Execution<()> {
    if deleted.files.is_empty() {
        return Ok(());
    }
    Ok(files::release(tx.write(), deleted.id)?)
}
