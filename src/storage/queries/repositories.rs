//! Queries of repositories.

use diesel::prelude::*;

use super::Db;
use crate::domain::ids::{ProjectId, RepositoryId};
use crate::domain::node::NodeName;
use crate::domain::repository::Repository;
use crate::storage::rows::project::{MovedRepositories, NewRepositoryRow, RepositoryRow};
use crate::storage::schema::repositories;

pub const CREATING: &str = "creating";
pub const ACTIVE: &str = "active";
pub const DELETING: &str = "deleting";
/// Only events and messages about the repository remain.
pub const DELETED: &str = "deleted";

/// Returns a repository that can be used.
pub fn repository(db: &mut Db, id: RepositoryId) -> QueryResult<Option<Repository>> {
    let row: Option<RepositoryRow> = repositories::table
        .find(id)
        .filter(repositories::state.eq(ACTIVE))
        .select(RepositoryRow::as_select())
        .first(db)
        .optional()?;
    row.map(Repository::try_from).transpose()
}

/// Returns whether one of these repositories can be used and belongs to the project.
pub fn any_of_project(db: &mut Db, ids: &[RepositoryId], project: ProjectId) -> QueryResult<bool> {
    let found = repositories::table
        .filter(repositories::id.eq_any(ids))
        .filter(repositories::project_id.eq(project))
        .filter(repositories::state.eq(ACTIVE));
    diesel::select(diesel::dsl::exists(found)).get_result(db)
}

/// Returns a repository that is being created.
pub fn creating(db: &mut Db, id: RepositoryId) -> QueryResult<Option<Repository>> {
    let row: Option<RepositoryRow> = repositories::table
        .find(id)
        .filter(repositories::state.eq(CREATING))
        .select(RepositoryRow::as_select())
        .first(db)
        .optional()?;
    row.map(Repository::try_from).transpose()
}

/// Returns every repository in this state, by ascending id.
pub fn in_state(db: &mut Db, state: &str) -> QueryResult<Vec<Repository>> {
    let rows: Vec<RepositoryRow> = repositories::table
        .filter(repositories::state.eq(state))
        .order(repositories::id)
        .select(RepositoryRow::as_select())
        .load(db)?;
    rows.into_iter().map(Repository::try_from).collect()
}

/// Returns the storage keys of all repositories that are not deleted permanently.
pub fn all_storage_keys(db: &mut Db) -> QueryResult<Vec<String>> {
    repositories::table.filter(repositories::state.ne("deleted")).select(repositories::storage_key).load(db)
}

/// Returns the repository with this name (in lower case) that is not being deleted.
pub fn repository_named(
    db: &mut Db,
    project: ProjectId,
    name_key: &str,
) -> QueryResult<Option<RepositoryId>> {
    repositories::table
        .filter(repositories::project_id.eq(project))
        .filter(repositories::name_key.eq(name_key))
        .filter(repositories::state.eq_any([CREATING, ACTIVE]))
        .select(repositories::id)
        .first(db)
        .optional()
}

/// Returns how many repositories of a project are not being deleted.
pub fn repository_count_of(db: &mut Db, project: ProjectId) -> QueryResult<i64> {
    repositories::table
        .filter(repositories::project_id.eq(project))
        .filter(repositories::state.eq_any([CREATING, ACTIVE]))
        .count()
        .get_result(db)
}

pub fn insert_repository(db: &mut Db, row: &NewRepositoryRow<'_>) -> QueryResult<Repository> {
    let row: RepositoryRow = diesel::insert_into(repositories::table)
        .values(row)
        .returning(RepositoryRow::as_returning())
        .get_result(db)?;
    row.try_into()
}

pub fn set_state(db: &mut Db, id: RepositoryId, state: &str) -> QueryResult<()> {
    diesel::update(repositories::table.find(id)).set(repositories::state.eq(state)).execute(db).map(drop)
}

pub fn set_states(db: &mut Db, ids: &[RepositoryId], state: &str) -> QueryResult<()> {
    diesel::update(repositories::table.filter(repositories::id.eq_any(ids)))
        .set(repositories::state.eq(state))
        .execute(db)
        .map(drop)
}

pub fn set_repository(
    db: &mut Db,
    id: RepositoryId,
    name: &str,
    name_key: &str,
    description: &str,
    default_branch: &str,
) -> QueryResult<()> {
    diesel::update(repositories::table.find(id))
        .set((
            repositories::name.eq(name),
            repositories::name_key.eq(name_key),
            repositories::description.eq(description),
            repositories::default_branch.eq(default_branch),
        ))
        .execute(db)
        .map(drop)
}

/// Records a push: the new size, `weight` more unpacked pushes, and the default branch.
pub fn count_push(
    db: &mut Db,
    id: RepositoryId,
    size_bytes: i64,
    weight: i64,
    default_branch: &str,
) -> QueryResult<()> {
    let unpacked = repositories::unpacked + weight;
    diesel::update(repositories::table.find(id))
        .set((
            repositories::size_bytes.eq(size_bytes),
            repositories::unpacked.eq(unpacked),
            repositories::default_branch.eq(default_branch),
        ))
        .execute(db)
        .map(drop)
}

/// Records maintenance: the new size, and no unpacked pushes.
pub fn set_packed(db: &mut Db, id: RepositoryId, size_bytes: i64) -> QueryResult<()> {
    diesel::update(repositories::table.find(id))
        .set((repositories::size_bytes.eq(size_bytes), repositories::unpacked.eq(0)))
        .execute(db)
        .map(drop)
}

/// Returns repositories of a storage node with at least `at_least` pushes since their last
/// maintenance, those with the most pushes first. Without a node: of all.
pub fn unpacked(
    db: &mut Db,
    node: Option<&NodeName>,
    at_least: i64,
    limit: i64,
) -> QueryResult<Vec<Repository>> {
    let all = repositories::table
        .filter(repositories::state.eq(ACTIVE))
        .filter(repositories::unpacked.ge(at_least))
        .order(repositories::unpacked.desc())
        .limit(limit)
        .select(RepositoryRow::as_select());
    let rows: Vec<RepositoryRow> = match node {
        None => all.load(db)?,
        Some(node) => all.filter(repositories::storage.eq(node.as_str())).load(db)?,
    };
    rows.into_iter().map(Repository::try_from).collect()
}

/// Returns the repositories that another node stores, or none, and that are not deleted
/// permanently, by ascending id. Each comes with whether it can be used.
pub fn stored_elsewhere(db: &mut Db, node: &NodeName) -> QueryResult<Vec<(Repository, bool)>> {
    let rows: Vec<RepositoryRow> = repositories::table
        .filter(repositories::state.ne(DELETED))
        .filter(repositories::storage.is_null().or(repositories::storage.ne(node.as_str())))
        .order(repositories::id)
        .select(RepositoryRow::as_select())
        .load(db)?;
    let with_use = |row: RepositoryRow| {
        let is_active = row.state == ACTIVE;
        Ok((row.try_into()?, is_active))
    };
    rows.into_iter().map(with_use).collect()
}

/// Returns the number of repositories of each storage node in this state.
pub fn counts_by_storage(db: &mut Db, state: &str) -> QueryResult<Vec<(Option<String>, i64)>> {
    repositories::table
        .filter(repositories::state.eq(state))
        .group_by(repositories::storage)
        .select((repositories::storage, diesel::dsl::count_star()))
        .load(db)
}

/// Moves those of these repositories that `from` stores to the node `to`.
pub fn set_storage(
    db: &mut Db,
    ids: &[RepositoryId],
    from: Option<&NodeName>,
    to: &NodeName,
) -> QueryResult<MovedRepositories> {
    let named = repositories::table.filter(repositories::id.eq_any(ids));
    let moved = repositories::storage.eq(to.as_str());
    let rows: Vec<RepositoryRow> = match from {
        None => diesel::update(named.filter(repositories::storage.is_null()))
            .set(moved)
            .returning(RepositoryRow::as_returning())
            .get_results(db)?,
        Some(from) => diesel::update(named.filter(repositories::storage.eq(from.as_str())))
            .set(moved)
            .returning(RepositoryRow::as_returning())
            .get_results(db)?,
    };
    let deleting = rows.iter().filter(|row| row.state == DELETING).count();
    let usable = rows.into_iter().filter(|row| row.state == ACTIVE).map(Repository::try_from);
    Ok(MovedRepositories { usable: usable.collect::<QueryResult<_>>()?, deleting })
}

/// Deletes the row of a repository that was never completed.
pub fn delete_repository(db: &mut Db, id: RepositoryId) -> QueryResult<()> {
    diesel::delete(repositories::table.find(id)).execute(db).map(drop)
}

/// Returns the repositories of a project that are not being deleted.
pub fn of_project(db: &mut Db, project: ProjectId) -> QueryResult<Vec<RepositoryId>> {
    repositories::table
        .filter(repositories::project_id.eq(project))
        .filter(repositories::state.eq_any([CREATING, ACTIVE]))
        .select(repositories::id)
        .load(db)
}
