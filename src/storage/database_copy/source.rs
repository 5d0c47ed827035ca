//! The source of a copy that takes its place: used by no server until the copy is complete.

use diesel::QueryResult;

use super::{CopyError, Position};
use crate::core::database::Db;
use crate::storage::queries::meta;
use crate::storage::{commit_log, nodes};

/// Returns the name of each node and its last process. Each start of a node makes another process.
pub(super) fn processes(from: &mut Db) -> QueryResult<Vec<(String, String)>> {
    Ok(nodes::all(from)?.into_iter().map(|node| (node.name, node.instance)).collect())
}

/// Fails if a node runs on the source, or if a node has started or anything has changed since the
/// position of the copy. A data directory is locked by the caller.
pub(super) fn check_unused(from: &mut Db, copied: &Position) -> Result<(), CopyError> {
    if let Db::Sqlite(_) = from {
        return Ok(());
    }
    let is_known = |node: &nodes::Node| {
        copied.nodes.iter().any(|(name, instance)| *name == node.name && *instance == node.instance)
    };
    if let Some(node) = nodes::all(from)?.into_iter().find(|node| node.is_running() || !is_known(node)) {
        return Err(CopyError::SourceUsed(node.name));
    }
    let epoch = meta::get(from, meta::EPOCH)?.unwrap_or(0);
    if (epoch, commit_log::last(from)?) != (copied.epoch, copied.commit_no) {
        return Err(CopyError::SourceChanged);
    }
    Ok(())
}
