//! The nodes of files: a node takes over the files whose bytes it has. In a store that all nodes
//! read, it copies bytes below its own key, also of objects of Git LFS.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::try_join_all;
use tracing::{info, warn};

use super::uploads::io_error;
use super::{ServiceError, Services};
use crate::actors::writer::commands::MoveFiles;
use crate::blobs::{BlobStore, is_away};
use crate::core::actor::Caller;
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::file::{BlobHash, StoredFile};
use crate::domain::ids::{FileId, LfsObjectId, RepositoryId};
use crate::domain::node::NodeName;
use crate::domain::repository::Repository;
use crate::storage::queries::{files, lfs};

/// Files of one command.
const MOVED_PER_COMMAND: i64 = 200;
/// Objects of Git LFS that are read with one statement.
const OBJECTS_PER_READ: i64 = 500;
/// Objects that are copied in a shared store at once.
const COPIED_AT_ONCE: usize = 8;
/// After this many failures of the store without a success in between, it is away, and the rest
/// stays where it is. Fewer are failures of single objects.
const FAILURES_IN_A_ROW: usize = 8;
/// The same for repositories, of which each may have several failures.
const REPOSITORIES_IN_A_ROW: usize = 3;

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

/// Files that were searched.
#[derive(Debug, Default)]
struct Searched {
    /// This node can serve or receive them.
    here: Vec<FileId>,
    missing: usize,
    /// The store failed.
    failed: usize,
}

/// Failures of the store since the last success.
#[derive(Debug, Default)]
struct InARow(AtomicUsize);

impl InARow {
    fn is_away(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= FAILURES_IN_A_ROW
    }

    /// Counts an outcome.
    fn note<T>(&self, outcome: &io::Result<T>) {
        match outcome {
            Ok(_) => self.0.store(0, Ordering::Relaxed),
            Err(error) if is_away(error) => drop(self.0.fetch_add(1, Ordering::Relaxed)),
            Err(_) => {}
        }
    }
}

/// Makes a blob of the node `from` one of this node. Returns whether this node has it now.
///
/// A blob may be at the place of a server that was alone: the server had no name yet, or an earlier
/// version moved the blob there.
fn adopt(store: &dyn BlobStore, from: Option<&NodeName>, hash: &BlobHash) -> io::Result<bool> {
    Ok(store.adopt(from, hash)? || (from.is_some() && store.is_shared() && store.adopt(None, hash)?))
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
        let (mut above, mut moved, mut missing, mut failed) = (FileId(0), 0, 0, 0);
        let in_a_row = Arc::new(InARow::default());
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
            let searched = self.search_files(found, &in_a_row).await?;
            missing += searched.missing;
            failed += searched.failed;
            if !searched.here.is_empty() {
                let command = MoveFiles { files: searched.here, from: from.clone(), to: node.clone() };
                moved += self.writer.execute(Caller::Server, command).await?;
            }
            if in_a_row.is_away() {
                break;
            }
        }
        if moved > 0 || missing > 0 {
            info!(moved, missing, "files in chats were searched at this node");
        }
        if failed > 0 {
            warn!(
                moved,
                failed,
                is_away = in_a_row.is_away(),
                "the store of files failed: files stay with their earlier nodes, where they are read; the next start, \
                 or netbit node replace, takes them over"
            );
        }
        Ok(())
    }

    /// Copies the objects of Git LFS of repositories of `from` below the key of this node, in a
    /// store that all nodes read. Returns the repositories without those whose objects cannot be
    /// copied now. On disk, copies nothing.
    pub(super) async fn copy_lfs_objects(
        &self,
        from: Option<&NodeName>,
        repositories: &[Repository],
    ) -> Result<Vec<Repository>, ServiceError> {
        if !self.files.blobs.is_shared() {
            return Ok(repositories.to_vec());
        }
        let (mut copied, mut failed, mut in_a_row) = (Vec::new(), 0, 0);
        for repository in repositories {
            let id = repository.id;
            let has_objects = self.readers.read(Holder::Operator, move |db| lfs::usage_of(db, id)).await? > 0;
            if !has_objects {
                copied.push(repository.clone());
                continue;
            }
            if in_a_row >= REPOSITORIES_IN_A_ROW {
                failed += 1;
                continue;
            }
            match self.copy_objects_of(from, id).await {
                Ok(()) => {
                    in_a_row = 0;
                    copied.push(repository.clone());
                }
                Err(error) => {
                    (failed, in_a_row) = (failed + 1, in_a_row + 1);
                    warn!(repository.id = %id, error = %chain(&error), "objects of Git LFS cannot be copied");
                }
            }
        }
        if failed > 0 {
            let is_away = in_a_row >= REPOSITORIES_IN_A_ROW;
            warn!(copied = copied.len(), failed, is_away, "repositories stay with their earlier node");
        }
        Ok(copied)
    }

    async fn copy_objects_of(
        &self,
        from: Option<&NodeName>,
        repository: RepositoryId,
    ) -> Result<(), ServiceError> {
        let mut above = LfsObjectId(0);
        loop {
            let read = move |db: &mut _| lfs::objects_of(db, repository, above, OBJECTS_PER_READ);
            let found = self.readers.read(Holder::Operator, read).await?;
            let Some(last) = found.last() else { return Ok(()) };
            above = last.id;
            let copies = found.chunks(found.len().div_ceil(COPIED_AT_ONCE).max(1)).map(|some| {
                let (store, from, some) = (self.files.blobs.clone(), from.cloned(), some.to_vec());
                let copy = move || {
                    some.iter().try_for_each(|object| {
                        // A missing object is counted after the move.
                        adopt(store.as_ref(), from.as_ref(), &object.oid).map(drop)
                    })
                };
                async move { self.files.store.put(copy).await?.map_err(io_error) }
            });
            try_join_all(copies).await?;
        }
    }

    /// Searches files whose bytes this node has, or can copy. An upload that is not complete begins
    /// again if its bytes are elsewhere.
    async fn search_files(
        &self,
        found: Vec<StoredFile>,
        in_a_row: &Arc<InARow>,
    ) -> Result<Searched, ServiceError> {
        let parts = found.chunks(found.len().div_ceil(COPIED_AT_ONCE).max(1)).map(|some| {
            let (store, in_a_row, some) = (self.files.blobs.clone(), in_a_row.clone(), some.to_vec());
            self.files.store.put(move || search(store.as_ref(), &some, &in_a_row))
        });
        let mut all = Searched::default();
        for part in try_join_all(parts).await? {
            all.here.extend(part.here);
            all.missing += part.missing;
            all.failed += part.failed;
        }
        Ok(all)
    }
}

fn search(store: &dyn BlobStore, some: &[StoredFile], in_a_row: &InARow) -> Searched {
    let mut searched = Searched::default();
    for file in some {
        let Some(contents) = &file.contents else {
            searched.here.push(file.id);
            continue;
        };
        if in_a_row.is_away() {
            searched.failed += 1;
            continue;
        }
        // A file without a node has the place of a server that was alone.
        let adopted = adopt(store, file.node.as_ref(), &contents.hash);
        in_a_row.note(&adopted);
        match adopted {
            Ok(true) => searched.here.push(file.id),
            Ok(false) => searched.missing += 1,
            Err(error) => {
                warn!(file.id = %file.id, %error, "a file is not taken over");
                searched.failed += 1;
            }
        }
    }
    searched
}
