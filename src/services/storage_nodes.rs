//! The storage nodes of repositories: a node adopts repositories that have none, and takes over
//! those of a node that has ended.
//!
//! Invariant: a node takes a repository only if it finds the files, and in them the pushes that the
//! database knows ([`is_older`]); never from a node that runs ([`MoveRepositories`]). The rest
//! stays with its storage node, and is answered with 503. It removes locks only in repositories
//! that it has taken.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::blocking::blocking;
use super::ended_nodes::EndedNodes;
use super::{ServiceError, Services};
use crate::actors::writer::commands::{MoveRepositories, NODE_RUNS};
use crate::core::actor::Caller;
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::ids::RepositoryId;
use crate::domain::node::NodeName;
use crate::domain::recorded_refs::RecordedRefs;
use crate::domain::refusal::Refusal;
use crate::domain::repository::Repository;
use crate::git::copies::is_older;
use crate::git::store::Store;
use crate::protocol::code::Code;
use crate::storage::nodes::{self, NODE_EXPIRES_MS};
use crate::storage::queries::{pushes, repositories};

/// Repositories of one command: its events name each of them, and all nodes read these.
const MOVED_PER_COMMAND: usize = 200;
/// Repositories whose recorded refs are in memory at the same time.
const COMPARED_PER_READ: usize = 20;
/// Interval at which a node searches for nodes that have ended (`cluster.shared_repositories`).
const SEARCH_EVERY: Duration = Duration::from_secs(5);

/// A node and its repositories.
#[derive(Debug, Clone)]
pub struct ListedNode {
    pub name: String,
    pub address: String,
    /// Milliseconds since the node last wrote its row; `None` after an orderly stop.
    pub silent_ms: Option<i64>,
    pub is_running: bool,
    /// Whether it is the node that answers.
    pub is_own: bool,
    pub repositories: i64,
    /// Repositories whose deletion has not ended.
    pub deleting: i64,
    /// Why the node does not reach itself at its address, if it is the node that answers.
    pub address_problem: Option<Arc<str>>,
}

/// The outcome of taking over repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TakenOver {
    pub moved: usize,
    /// Repositories whose files are not on this node. They stay where they are.
    pub missing: usize,
    /// Repositories whose files lack a push that the database knows. They stay where they are.
    pub older: usize,
    /// Interrupted pushes that were settled.
    pub settled: usize,
    /// Repositories whose deletion this node completes.
    pub deleting: usize,
    /// Objects of Git LFS of the moved repositories that have no bytes on this node. Their clients
    /// get an error until the bytes are copied here or pushed again.
    pub lfs_missing: usize,
    /// Repositories whose objects could not be copied in the store of files. They stay where they
    /// are.
    pub uncopied: usize,
}

/// The directory of a repository on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FoundCopy {
    Usable,
    Missing,
    Older,
}

/// A copy that cannot be read must be made again, too.
fn compare_copy(store: &Store, repository: &Repository, recorded: &RecordedRefs) -> FoundCopy {
    let Ok(path) = store.existing(repository.storage_key) else { return FoundCopy::Missing };
    match is_older(&path, recorded) {
        Ok(false) => FoundCopy::Usable,
        Ok(true) => {
            warn!(repository.id = %repository.id, path = %path.display(), "the copy of a repository lacks a push");
            FoundCopy::Older
        }
        Err(error) => {
            warn!(repository.id = %repository.id, path = %path.display(), error = %chain(&error), "the copy of a repository cannot be read");
            FoundCopy::Older
        }
    }
}

fn warn_of_missing_objects(taken: &TakenOver) {
    if taken.lfs_missing > 0 {
        let objects = taken.lfs_missing;
        warn!(
            objects,
            "objects of Git LFS are missing on this node; copy files/ of their node, or push them again"
        );
    }
}

impl Services {
    /// Takes over those of the repositories stored elsewhere that are on disk here and have no
    /// storage node. `is_alone`: also those of any other node, because none may run. Runs at start,
    /// before requests are served.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn adopt_repositories(
        &self,
        found: Vec<(Repository, bool)>,
        is_alone: bool,
    ) -> Result<(), ServiceError> {
        let Some(node) = self.git.node.clone() else { return Ok(()) };
        let mine = found.into_iter().filter(|(found, _)| is_alone || found.storage.is_none());
        let taken = self.take(mine.collect(), &node).await?;
        if taken.moved > 0 {
            info!(repositories = taken.moved, "this node has become the storage node of repositories");
        }
        if taken.missing > 0 {
            warn!(repositories = taken.missing, "repositories are on no disk of this node");
        }
        if taken.uncopied > 0 {
            warn!(
                repositories = taken.uncopied,
                "repositories with Git LFS are taken over at the next start"
            );
        }
        if taken.older > 0 {
            warn!(repositories = taken.older, "copies of repositories are older than the database; not used");
        }
        warn_of_missing_objects(&taken);
        Ok(())
    }

    /// Returns all nodes of the database.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn nodes(&self) -> Result<Vec<ListedNode>, ServiceError> {
        let read = self.readers.read(Holder::Operator, |db| {
            let count = |db: &mut _, state| repositories::counts_by_storage(db, state);
            let counts = (count(db, repositories::ACTIVE)?, count(db, repositories::DELETING)?);
            Ok((nodes::all(db)?, counts))
        });
        let (all, (active, deleting)) = read.await?;
        let by_name = |counts: Vec<(Option<String>, i64)>| -> HashMap<String, i64> {
            counts.into_iter().filter_map(|(name, count)| Some((name?, count))).collect()
        };
        let (active, deleting) = (by_name(active), by_name(deleting));
        let own = self.git.node.as_ref().map(NodeName::as_str);
        let listed = all.into_iter().map(|node| ListedNode {
            is_running: node.is_running(),
            is_own: own == Some(node.name.as_str()),
            address_problem: self.own_address.problem().filter(|_| own == Some(node.name.as_str())),
            repositories: active.get(&node.name).copied().unwrap_or(0),
            deleting: deleting.get(&node.name).copied().unwrap_or(0),
            silent_ms: node.silent_ms(),
            name: node.name,
            address: node.address,
        });
        Ok(listed.collect())
    }

    /// Makes this node the storage node of the repositories of `old`, and settles their interrupted
    /// pushes against the refs on its disk. `new`: the name of this node, as the operator gave it.
    ///
    /// # Errors
    /// A conflict if `old` runs or is unknown, or if `new` is another node.
    pub async fn replace_node(&self, old: &str, new: &str) -> Result<TakenOver, ServiceError> {
        let sole = "the database is not on PostgreSQL; there is a single node";
        let node = self.git.node.clone().ok_or(Refusal::Conflict(sole))?;
        if new != node.as_str() {
            let why = "the command must run on the new node; use its data directory";
            return Err(Refusal::Conflict(why).into());
        }
        if old == new {
            return Err(Refusal::Conflict("both names are the same node").into());
        }
        let is_known = |listed: &ListedNode| listed.name == old && !listed.is_own;
        if !self.nodes().await?.iter().any(is_known) && !self.stores_any(old).await? {
            let why = "no node has this name; `netbit node list` prints the names";
            return Err(Refusal::Conflict(why).into());
        }
        let runs = old.to_owned();
        if self.readers.read(Holder::Operator, move |db| nodes::is_running(db, &runs)).await? {
            return Err(NODE_RUNS.into());
        }
        self.check_store().await?;
        let taken = self.take_over(&NodeName::from(old), &node).await?;
        if taken.uncopied > 0 {
            let count = taken.uncopied;
            let why = format!(
                "the objects of Git LFS of {count} repositories cannot be copied in the store of files, so these \
                 were not taken over; the log has the cause; repeat the command"
            );
            return Err(ServiceError::later(Code::Overloaded, why, 5_000));
        }
        Ok(taken)
    }

    /// Returns whether a node of this name has repositories: after a restore into another database
    /// the node itself is not known.
    async fn stores_any(&self, name: &str) -> Result<bool, ServiceError> {
        let read = |db: &mut _| {
            let mut counts = repositories::counts_by_storage(db, repositories::ACTIVE)?;
            counts.extend(repositories::counts_by_storage(db, repositories::DELETING)?);
            Ok(counts)
        };
        let counts = self.readers.read(Holder::Operator, read).await?;
        Ok(counts.iter().any(|(storage, _)| storage.as_deref() == Some(name)))
    }

    async fn take_over(&self, old: &NodeName, node: &NodeName) -> Result<TakenOver, ServiceError> {
        let found = self.stored_elsewhere(node).await?;
        let of_old = found.into_iter().filter(|(found, _)| found.storage.as_ref() == Some(old));
        let mut taken = self.take(of_old.collect(), node).await?;
        self.take_over_files(old).await?;
        taken.settled = self.settle_unfinished_pushes().await?;
        if taken.moved > 0 {
            let TakenOver { moved, missing, older, settled, .. } = taken;
            info!(from = %old, moved, missing, older, settled, "the repositories of another node were taken over");
        }
        warn_of_missing_objects(&taken);
        self.git.maintain_soon();
        Ok(taken)
    }

    /// Takes over the repositories of nodes that do not run, until the server stops. Only for a
    /// folder that all nodes share.
    pub async fn take_over_ended_nodes(&self) {
        let Some(node) = self.git.node.clone() else { return };
        let expires = Duration::from_millis(u64::try_from(NODE_EXPIRES_MS).unwrap_or(0));
        let mut ended = EndedNodes::new(expires, SEARCH_EVERY * 3);
        loop {
            tokio::time::sleep(SEARCH_EVERY).await;
            let listed = match self.nodes().await {
                Ok(listed) => listed,
                Err(error) => {
                    warn!(error = %chain(&error), "the nodes of this database cannot be read");
                    ended.read_failed();
                    continue;
                }
            };
            for old in ended.read(listed, Instant::now()) {
                if let Err(error) = self.take_over(&NodeName::from(old), &node).await {
                    warn!(error = %chain(&error), "the repositories of an ended node were not taken over");
                }
            }
        }
    }

    async fn stored_elsewhere(&self, node: &NodeName) -> Result<Vec<(Repository, bool)>, ServiceError> {
        let node = node.clone();
        let read = move |db: &mut _| repositories::stored_elsewhere(db, &node);
        Ok(self.readers.read(Holder::Operator, read).await?)
    }

    /// Moves those of these repositories to this node whose files are here and not older than the
    /// database. A repository that is being created or deleted needs no files.
    async fn take(&self, found: Vec<(Repository, bool)>, node: &NodeName) -> Result<TakenOver, ServiceError> {
        if found.is_empty() {
            return Ok(TakenOver::default());
        }
        let (mut here, mut missing, mut older) = (Vec::new(), 0, 0);
        for some in found.chunks(COMPARED_PER_READ) {
            for (repository, copy) in self.compare_copies(some.to_vec()).await? {
                match copy {
                    FoundCopy::Usable => here.push(repository),
                    FoundCopy::Missing => missing += 1,
                    FoundCopy::Older => older += 1,
                }
            }
        }
        let mut by_storage: BTreeMap<Option<NodeName>, Vec<Repository>> = BTreeMap::new();
        for repository in here {
            by_storage.entry(repository.storage.clone()).or_default().push(repository);
        }
        let (mut moved, mut deleting, mut lfs_missing, mut uncopied) = (0, 0, 0, 0);
        for (from, repositories) in by_storage {
            for some in repositories.chunks(MOVED_PER_COMMAND) {
                let copied = self.copy_lfs_objects(from.as_ref(), some).await?;
                uncopied += some.len() - copied.len();
                let (usable, deleted) = self.move_here(&copied, from.clone(), node).await?;
                moved += usable.len();
                deleting += deleted;
                lfs_missing += match self.missing_lfs_objects(&usable).await {
                    Err(error) if self.files.blobs.is_shared() => {
                        warn!(error = %chain(&error), "the objects of Git LFS cannot be counted");
                        0
                    }
                    missing => missing?,
                };
            }
        }
        Ok(TakenOver { moved, missing, older, settled: 0, deleting, lfs_missing, uncopied })
    }

    /// Compares the directories of these repositories with the pushes that the database knows.
    async fn compare_copies(
        &self,
        repositories: Vec<(Repository, bool)>,
    ) -> Result<Vec<(Repository, FoundCopy)>, ServiceError> {
        let store = self.git.store.clone();
        // Before the refs on disk: of a folder that nodes share, these may be newer.
        let read = move |db: &mut _| {
            let mut with_refs = Vec::new();
            for (repository, is_active) in repositories {
                let is_here = is_active && store.existing(repository.storage_key).is_ok();
                let recorded = if is_here { Some(pushes::recorded_refs(db, repository.id)?) } else { None };
                with_refs.push((repository, is_active, recorded));
            }
            Ok(with_refs)
        };
        let with_refs = self.readers.read(Holder::Operator, read).await?;
        let store = self.git.store.clone();
        let compared = blocking(move || {
            let compare = |(repository, is_active, recorded): (Repository, bool, Option<RecordedRefs>)| {
                let copy = match recorded {
                    None if is_active => FoundCopy::Missing,
                    None => FoundCopy::Usable,
                    Some(recorded) => compare_copy(&store, &repository, &recorded),
                };
                (repository, copy)
            };
            with_refs.into_iter().map(compare).collect()
        });
        compared.await
    }

    /// Moves these repositories to this node, and removes the locks that interrupted pushes left in
    /// those that have moved. Until then no push of this node uses them. Returns those of them
    /// that can be used, and how many are being deleted.
    async fn move_here(
        &self,
        repositories: &[Repository],
        from: Option<NodeName>,
        node: &NodeName,
    ) -> Result<(Vec<RepositoryId>, usize), ServiceError> {
        let unsettled = self.readers.read(Holder::Operator, pushes::repositories_unsettled).await?;
        let interrupted: Vec<_> = repositories.iter().filter(|found| unsettled.contains(&found.id)).collect();
        let mut held = Vec::new();
        for repository in &interrupted {
            held.push(self.git.push_lock(repository.id).await?);
        }
        let ids = repositories.iter().map(|repository| repository.id).collect();
        let command = MoveRepositories { repositories: ids, from, to: node.clone() };
        let moved = self.writer.execute(Caller::Server, command).await?;
        let keys = interrupted
            .iter()
            .filter(|found| moved.usable.contains(&found.id))
            .map(|found| found.storage_key);
        self.remove_locks(keys.collect()).await?;
        drop(held);
        Ok((moved.usable, moved.deleting))
    }
}
