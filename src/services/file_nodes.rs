//! The nodes of files: a node takes over the files whose bytes it has.

use tracing::info;

use super::blocking::blocking;
use super::{ServiceError, Services};
use crate::actors::writer::commands::MoveFiles;
use crate::core::actor::Caller;
use crate::core::shares::Holder;
use crate::domain::file::StoredFile;
use crate::domain::ids::FileId;
use crate::domain::node::NodeName;
use crate::storage::queries::files;

/// Files of one command.
const MOVED_PER_COMMAND: i64 = 200;

/// The files that a node may take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes<'a> {
    WithoutNode,
    /// Of any node: no other one runs.
    All,
    Of(&'a NodeName),
}

impl Takes<'_> {
    fn includes(self, file: &StoredFile) -> bool {
        match self {
            Self::WithoutNode => file.node.is_none(),
            Self::All => true,
            Self::Of(old) => file.node.as_ref() == Some(old),
        }
    }
}

impl Services {
    /// Takes over the files without a node whose bytes are on disk here. `is_alone`: also those of
    /// any other node, because none may run. Runs at start, before requests are served.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn adopt_files(&self, is_alone: bool) -> Result<(), ServiceError> {
        self.take_files(if is_alone { Takes::All } else { Takes::WithoutNode }).await
    }

    /// Takes over the files of `old` whose bytes are on disk here.
    pub(super) async fn take_over_files(&self, old: &NodeName) -> Result<(), ServiceError> {
        self.take_files(Takes::Of(old)).await
    }

    async fn take_files(&self, takes: Takes<'_>) -> Result<(), ServiceError> {
        let Some(node) = self.files.node.clone() else { return Ok(()) };
        let (mut above, mut moved, mut missing) = (FileId(0), 0, 0);
        let from = match takes {
            Takes::Of(old) => Some(old.clone()),
            Takes::WithoutNode | Takes::All => None,
        };
        loop {
            let name = node.clone();
            let read = move |db: &mut _| files::elsewhere_above(db, above, &name, MOVED_PER_COMMAND);
            let mut found = self.readers.read(Holder::Operator, read).await?;
            let Some(last) = found.last() else { break };
            above = last.id;
            found.retain(|file| takes.includes(file));
            let all = found.len();
            let here = self.files_here(found).await?;
            missing += all - here.len();
            if here.is_empty() {
                continue;
            }
            let command = MoveFiles { files: here, from: from.clone(), to: node.clone() };
            moved += self.writer.execute(Caller::Server, command).await?;
        }
        if moved > 0 || missing > 0 {
            info!(moved, missing, "files in chats were searched on the disk of this node");
        }
        Ok(())
    }

    /// Returns those of the files that this node can serve or receive. An upload that is not
    /// complete begins again if its bytes are elsewhere.
    async fn files_here(&self, found: Vec<StoredFile>) -> Result<Vec<FileId>, ServiceError> {
        let store = self.files.blobs.clone();
        let is_here = move |file: &StoredFile| match &file.contents {
            Some(contents) => store.stored_at(&contents.hash).is_ok_and(|stored| stored.is_some()),
            None => true,
        };
        blocking(move || found.iter().filter(|file| is_here(file)).map(|file| file.id).collect()).await
    }
}
