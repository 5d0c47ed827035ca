//! The index of messages about lines of a file, written with the messages.
//!
//! Only messages in the channel of the repository's project are indexed: who may read the
//! repository may then know that they exist.

use crate::actors::writer::command::{Execution, Tx};
use crate::domain::chat::Chat;
use crate::domain::code_talk::{CodeLines, NamedRepository};
use crate::domain::ids::{ProjectId, RepositoryId};
use crate::domain::message::Message;
use crate::domain::name;
use crate::storage::queries::{accounts, code_talks, projects, repositories};

/// Indexes a new message, if its metadata names lines of a repository of the chat's project.
pub(super) fn index(tx: &mut Tx<'_>, chat: &Chat, message: &Message) -> Execution<()> {
    let Some(project) = chat.project_id else { return Ok(()) };
    let Some(lines) = message.metadata.as_ref().and_then(CodeLines::of) else { return Ok(()) };
    let Some(repository) = repository_of(tx, project, &lines.repository)? else { return Ok(()) };
    // The row refers to that of the message, which is inserted first. A deferred foreign key would
    // save this, but a violation would fail the whole batch at its COMMIT instead of this command.
    tx.reader_after_flush()?;
    Ok(code_talks::insert(tx.write(), message.id, repository, &lines)?)
}

/// Indexes a changed message by its new metadata.
pub(super) fn index_again(
    tx: &mut Tx<'_>,
    chat: &Chat,
    (old, message): (&Message, &Message),
) -> Execution<()> {
    if chat.project_id.is_none() || old.metadata == message.metadata {
        return Ok(());
    }
    code_talks::remove(tx.write(), message.id)?;
    index(tx, chat, message)
}

/// Returns the named repository, if it belongs to the project. Former names do not count.
fn repository_of(tx: &mut Tx<'_>, id: ProjectId, named: &NamedRepository) -> Execution<Option<RepositoryId>> {
    let Some(project) = projects::project(tx.reader(), id)? else { return Ok(None) };
    let found = match named {
        NamedRepository::Id(repository) => Some(*repository),
        NamedRepository::Path { owner, project_key, name_key } => {
            let holder = accounts::user(tx.reader(), project.owner_id)?;
            let is_path = holder.is_some_and(|user| user.username == *owner)
                && name::key(&project.name) == *project_key;
            if is_path { repositories::repository_named(tx.reader(), id, name_key)? } else { None }
        }
    };
    let Some(found) = found else { return Ok(None) };
    let repository = repositories::repository(tx.reader(), found)?;
    Ok(repository.filter(|repository| repository.project_id == id).map(|repository| repository.id))
}
