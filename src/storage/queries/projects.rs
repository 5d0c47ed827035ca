//! Queries of projects, their members, watchers and settings, and of former names.

use diesel::prelude::*;

use super::Db;
use crate::domain::ids::{ChatId, ProjectId, UserId};
use crate::domain::project::{Project, ProjectRole};
use crate::storage::rows::project::Renamed;
use crate::storage::rows::project::{NewProjectRow, ProjectRow, project_role};
use crate::storage::schema::{
    chats, former_names, project_configs, project_members, project_watchers, projects, users,
};

pub fn project(db: &mut Db, id: ProjectId) -> QueryResult<Option<Project>> {
    let found: Option<(ProjectRow, Option<String>)> = projects::table
        .left_join(project_configs::table)
        .filter(projects::id.eq(id))
        .filter(projects::deleted_at.is_null())
        .select((ProjectRow::as_select(), project_configs::config.nullable()))
        .first(db)
        .optional()?;
    found.map(|(row, config)| row.with_config(config.as_deref())).transpose()
}

/// Returns a project, and the role of a user in it.
pub fn project_and_role(
    db: &mut Db,
    id: ProjectId,
    user: UserId,
) -> QueryResult<Option<(Project, Option<ProjectRole>)>> {
    let is_member = project_members::project_id.eq(projects::id).and(project_members::user_id.eq(user));
    let found: Option<(ProjectRow, Option<String>, Option<String>)> = projects::table
        .left_join(project_configs::table)
        .left_join(project_members::table.on(is_member))
        .filter(projects::id.eq(id))
        .filter(projects::deleted_at.is_null())
        .select((
            ProjectRow::as_select(),
            project_configs::config.nullable(),
            project_members::role.nullable(),
        ))
        .first(db)
        .optional()?;
    let Some((row, config, role)) = found else { return Ok(None) };
    Ok(Some((row.with_config(config.as_deref())?, role.as_deref().map(project_role).transpose()?)))
}

pub fn all_projects(db: &mut Db) -> QueryResult<Vec<Project>> {
    let rows: Vec<(ProjectRow, Option<String>)> = projects::table
        .left_join(project_configs::table)
        .filter(projects::deleted_at.is_null())
        .order(projects::id)
        .select((ProjectRow::as_select(), project_configs::config.nullable()))
        .load(db)?;
    rows.into_iter().map(|(row, config)| row.with_config(config.as_deref())).collect()
}

/// Returns the project with this name (in lower case) that is not deleted.
pub fn project_named(db: &mut Db, owner: UserId, name_key: &str) -> QueryResult<Option<ProjectId>> {
    projects::table
        .filter(projects::owner_id.eq(owner))
        .filter(projects::name_key.eq(name_key))
        .filter(projects::deleted_at.is_null())
        .select(projects::id)
        .first(db)
        .optional()
}

/// Returns (project, name, channel) of an owner's projects that are not deleted, with ids above
/// `after`, by ascending id.
pub fn channels_of_owner(
    db: &mut Db,
    owner: UserId,
    after: ProjectId,
    limit: i64,
) -> QueryResult<Vec<(ProjectId, String, ChatId)>> {
    projects::table
        .filter(projects::owner_id.eq(owner))
        .filter(projects::deleted_at.is_null())
        .filter(projects::id.gt(after))
        .order(projects::id)
        .limit(limit)
        .select((projects::id, projects::name, projects::channel_id))
        .load(db)
}

pub fn project_count_of(db: &mut Db, owner: UserId) -> QueryResult<i64> {
    projects::table
        .filter(projects::owner_id.eq(owner))
        .filter(projects::deleted_at.is_null())
        .count()
        .get_result(db)
}

/// Returns whether an active user owns the project.
pub fn has_active_owner(db: &mut Db, project: ProjectId) -> QueryResult<bool> {
    let owners = project_members::table
        .inner_join(users::table)
        .filter(project_members::project_id.eq(project))
        .filter(project_members::role.eq("owner"))
        .filter(users::deactivated_at.is_null());
    diesel::select(diesel::dsl::exists(owners)).get_result(db)
}

pub fn insert_project(db: &mut Db, row: &NewProjectRow<'_>) -> QueryResult<ProjectId> {
    diesel::insert_into(projects::table).values(row).returning(projects::id).get_result(db)
}

/// Makes a chat the channel of a project.
pub fn bind_channel(db: &mut Db, chat: ChatId, project: ProjectId) -> QueryResult<()> {
    diesel::update(chats::table.find(chat)).set(chats::project_id.eq(project)).execute(db).map(drop)
}

pub fn set_audience(db: &mut Db, chat: ChatId, audience: &str) -> QueryResult<()> {
    diesel::update(chats::table.find(chat)).set(chats::audience.eq(audience)).execute(db).map(drop)
}

/// Archives the channel of a deleted project, and limits its audience.
pub fn close_channel(db: &mut Db, chat: ChatId, audience: &str, now: i64) -> QueryResult<()> {
    diesel::update(chats::table.find(chat))
        .set((chats::audience.eq(audience), chats::archived_at.eq(now)))
        .execute(db)
        .map(drop)
}

pub fn set_project(
    db: &mut Db,
    id: ProjectId,
    name: &str,
    name_key: &str,
    description: &str,
    visibility: &str,
) -> QueryResult<()> {
    diesel::update(projects::table.find(id))
        .set((
            projects::name.eq(name),
            projects::name_key.eq(name_key),
            projects::description.eq(description),
            projects::visibility.eq(visibility),
        ))
        .execute(db)
        .map(drop)
}

pub fn set_project_deleted(db: &mut Db, id: ProjectId, now: i64) -> QueryResult<()> {
    diesel::update(projects::table.find(id)).set(projects::deleted_at.eq(now)).execute(db).map(drop)
}

pub fn set_config(db: &mut Db, project: ProjectId, config: &str, now: i64) -> QueryResult<()> {
    let values = (project_configs::config.eq(config), project_configs::updated_at.eq(now));
    diesel::insert_into(project_configs::table)
        .values((project_configs::project_id.eq(project), values))
        .on_conflict(project_configs::project_id)
        .do_update()
        .set(values)
        .execute(db)
        .map(drop)
}

pub fn member_role(db: &mut Db, project: ProjectId, user: UserId) -> QueryResult<Option<ProjectRole>> {
    let role: Option<String> =
        project_members::table.find((project, user)).select(project_members::role).first(db).optional()?;
    role.as_deref().map(project_role).transpose()
}

pub fn all_members(db: &mut Db) -> QueryResult<Vec<(ProjectId, UserId, ProjectRole)>> {
    let rows: Vec<(ProjectId, UserId, String)> = project_members::table
        .inner_join(projects::table)
        .filter(projects::deleted_at.is_null())
        .select((project_members::project_id, project_members::user_id, project_members::role))
        .load(db)?;
    rows.into_iter().map(|(project, user, role)| Ok((project, user, project_role(&role)?))).collect()
}

pub fn member_count(db: &mut Db, project: ProjectId) -> QueryResult<i64> {
    project_members::table.filter(project_members::project_id.eq(project)).count().get_result(db)
}

pub fn set_member(db: &mut Db, project: ProjectId, user: UserId, role: &str) -> QueryResult<()> {
    diesel::insert_into(project_members::table)
        .values((
            project_members::project_id.eq(project),
            project_members::user_id.eq(user),
            project_members::role.eq(role),
        ))
        .on_conflict((project_members::project_id, project_members::user_id))
        .do_update()
        .set(project_members::role.eq(role))
        .execute(db)
        .map(drop)
}

pub fn delete_member(db: &mut Db, project: ProjectId, user: UserId) -> QueryResult<()> {
    diesel::delete(project_members::table.find((project, user))).execute(db).map(drop)
}

/// Returns those of the projects that are not deleted, in the given order.
pub fn existing(db: &mut Db, ids: &[ProjectId]) -> QueryResult<Vec<ProjectId>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<ProjectId> = projects::table
        .filter(projects::id.eq_any(ids))
        .filter(projects::deleted_at.is_null())
        .select(projects::id)
        .load(db)?;
    Ok(ids.iter().copied().filter(|id| found.contains(id)).collect())
}

/// Ends the memberships of a user in projects, and the watches.
pub fn delete_memberships(db: &mut Db, projects: &[ProjectId], user: UserId) -> QueryResult<()> {
    let members = project_members::table.filter(project_members::user_id.eq(user));
    diesel::delete(members.filter(project_members::project_id.eq_any(projects))).execute(db)?;
    let watchers = project_watchers::table.filter(project_watchers::user_id.eq(user));
    diesel::delete(watchers.filter(project_watchers::project_id.eq_any(projects))).execute(db).map(drop)
}

pub fn watches(db: &mut Db, project: ProjectId, user: UserId) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(project_watchers::table.find((project, user)))).get_result(db)
}

pub fn set_watch(db: &mut Db, project: ProjectId, user: UserId, on: bool) -> QueryResult<()> {
    if on {
        diesel::insert_into(project_watchers::table)
            .values((project_watchers::project_id.eq(project), project_watchers::user_id.eq(user)))
            .on_conflict_do_nothing()
            .execute(db)
            .map(drop)
    } else {
        diesel::delete(project_watchers::table.find((project, user))).execute(db).map(drop)
    }
}

pub fn all_watchers(db: &mut Db) -> QueryResult<Vec<(ProjectId, UserId)>> {
    project_watchers::table
        .inner_join(projects::table)
        .filter(projects::deleted_at.is_null())
        .select((project_watchers::project_id, project_watchers::user_id))
        .load(db)
}

/// Makes a former name lead to what was renamed.
pub fn leave_name(db: &mut Db, renamed: Renamed, name_key: &str) -> QueryResult<()> {
    let (kind, parent, target) = renamed.columns();
    diesel::insert_into(former_names::table)
        .values((
            former_names::kind.eq(kind),
            former_names::parent_id.eq(parent),
            former_names::name_key.eq(name_key),
            former_names::target_id.eq(target),
        ))
        .on_conflict((former_names::kind, former_names::parent_id, former_names::name_key))
        .do_update()
        .set(former_names::target_id.eq(target))
        .execute(db)
        .map(drop)
}

/// Returns the number of former names in the same place: of projects of the owner, or of
/// repositories of the project.
pub fn former_name_count(db: &mut Db, renamed: Renamed) -> QueryResult<i64> {
    let (kind, parent, _) = renamed.columns();
    former_names::table
        .filter(former_names::kind.eq(kind))
        .filter(former_names::parent_id.eq(parent))
        .count()
        .get_result(db)
}

/// Returns every former name.
pub fn all_former_names(db: &mut Db) -> QueryResult<Vec<(Renamed, String)>> {
    let rows: Vec<(String, i64, String, i64)> = former_names::table.load(db)?;
    rows.into_iter()
        .map(|(kind, parent, name, target)| Ok((Renamed::of_columns(&kind, parent, target)?, name)))
        .collect()
}
