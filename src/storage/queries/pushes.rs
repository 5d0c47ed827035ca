//! Queries of push intents.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::Db;
use super::repositories::ACTIVE;
use crate::domain::ids::{ChatId, PushId, RepositoryId};
use crate::domain::node::NodeName;
use crate::domain::push::RefUpdate;
use crate::domain::recorded_refs::RecordedRefs;
use crate::domain::repository::Repository;
use crate::storage::rows::chat::unreadable;
use crate::storage::rows::project::{ProjectRow, RepositoryRow};
use crate::storage::rows::push::{NO_REFS, Progress, SETTLED, Settling};
use crate::storage::rows::push::{NewPushIntentRow, PushIntent, PushIntentRow};
use crate::storage::schema::{chat_events, project_configs, projects, push_intents, repositories, users};

/// The number of pushes of a repository whose refs are compared with those on disk.
const PUSHES_COMPARED: i64 = 100;

// Written as literals, without bound values: only then does SQLite use the partial indexes on these
// conditions.
fn is_unsettled() -> SqlLiteral<Bool> {
    sql("push_intents.state <> 'settled'")
}

fn is_pending() -> SqlLiteral<Bool> {
    sql("push_intents.state = 'pending'")
}

pub fn insert(db: &mut Db, row: &NewPushIntentRow<'_>) -> QueryResult<PushId> {
    diesel::insert_into(push_intents::table).values(row).returning(push_intents::id).get_result(db)
}

/// Returns an intent that is not settled.
pub fn unsettled(db: &mut Db, id: PushId) -> QueryResult<Option<PushIntent>> {
    let row: Option<PushIntentRow> = push_intents::table
        .find(id)
        .filter(is_unsettled())
        .select(PushIntentRow::as_select())
        .first(db)
        .optional()?;
    row.map(PushIntent::try_from).transpose()
}

/// Returns an intent that is not settled, to be settled.
pub fn to_settle(db: &mut Db, id: PushId) -> QueryResult<Option<Settling>> {
    type Row =
        (PushIntentRow, String, Option<RepositoryRow>, Option<ProjectRow>, Option<String>, Option<String>);
    let owners = diesel::alias!(users as owners);
    let repository = repositories::id.eq(push_intents::repository_id).and(repositories::state.eq(ACTIVE));
    let project = projects::id.eq(repositories::project_id).and(projects::deleted_at.is_null());
    let found: Option<Row> = push_intents::table
        .inner_join(users::table)
        .left_join(repositories::table.on(repository))
        .left_join(projects::table.on(project))
        .left_join(project_configs::table.on(project_configs::project_id.eq(projects::id)))
        .left_join(owners.on(owners.field(users::id).eq(projects::owner_id)))
        .filter(push_intents::id.eq(id))
        .filter(is_unsettled())
        .select((
            PushIntentRow::as_select(),
            users::username,
            Option::<RepositoryRow>::as_select(),
            Option::<ProjectRow>::as_select(),
            project_configs::config.nullable(),
            owners.field(users::username).nullable(),
        ))
        .first(db)
        .optional()?;
    let Some((intent, pusher, repository, project, config, owner)) = found else { return Ok(None) };
    Ok(Some(Settling {
        intent: intent.try_into()?,
        pusher,
        repository: repository.map(Repository::try_from).transpose()?,
        project: project.map(|row| row.with_config(config.as_deref())).transpose()?,
        owner: owner.unwrap_or_default(),
    }))
}

/// Returns the ref updates of an intent.
pub fn refs_of(db: &mut Db, id: PushId) -> QueryResult<Vec<RefUpdate>> {
    let refs: String = push_intents::table.find(id).select(push_intents::refs).first(db)?;
    serde_json::from_str(&refs).map_err(|_| unreadable("push_intents.refs", &refs))
}

/// Returns the refs of a repository, as far as its newest pushes name them. Settled pushes are read
/// from the events in the channel of the project; each event names the first refs of its push.
pub fn recorded_refs(db: &mut Db, repository: RepositoryId) -> QueryResult<RecordedRefs> {
    let mut recorded = RecordedRefs::default();
    if let Some(pending) = pending_of(db, repository)? {
        recorded.add_pending(refs_of(db, pending)?);
    }
    let channel: ChatId = repositories::table
        .inner_join(projects::table.on(projects::id.eq(repositories::project_id)))
        .filter(repositories::id.eq(repository))
        .select(projects::channel_id)
        .first(db)?;
    let events: Vec<Option<String>> = chat_events::table
        .inner_join(push_intents::table)
        .filter(chat_events::chat_id.eq(channel))
        .filter(push_intents::repository_id.eq(repository))
        .order(chat_events::seq.desc())
        .limit(PUSHES_COMPARED)
        .select(chat_events::data)
        .load(db)?;
    for data in events.into_iter().flatten() {
        let push = serde_json::from_str(&data).map_err(|_| unreadable("chat_events.data", &data))?;
        recorded.add_settled(push);
    }
    Ok(recorded)
}

/// Returns intents of the repositories of a storage node that are not settled, those with the
/// fewest attempts first, so that none waits for one that fails. Without a node: of all.
pub fn all_unsettled(db: &mut Db, node: Option<&NodeName>, limit: i64) -> QueryResult<Vec<PushIntent>> {
    let all = push_intents::table
        .filter(is_unsettled())
        .order((push_intents::attempts, push_intents::id))
        .limit(limit)
        .select(PushIntentRow::as_select());
    let rows: Vec<PushIntentRow> = match node {
        None => all.load(db)?,
        Some(node) => {
            let stored =
                repositories::table.filter(repositories::storage.eq(node.as_str())).select(repositories::id);
            all.filter(push_intents::repository_id.eq_any(stored)).load(db)?
        }
    };
    rows.into_iter().map(PushIntent::try_from).collect()
}

/// Returns every repository with an intent that is not settled.
pub fn repositories_unsettled(db: &mut Db) -> QueryResult<Vec<RepositoryId>> {
    push_intents::table.filter(is_unsettled()).select(push_intents::repository_id).distinct().load(db)
}

/// Returns the intent of this repository whose refs are not settled.
pub fn pending_of(db: &mut Db, repository: RepositoryId) -> QueryResult<Option<PushId>> {
    push_intents::table
        .filter(push_intents::repository_id.eq(repository))
        .filter(is_pending())
        .select(push_intents::id)
        .first(db)
        .optional()
}

/// Like [`pending_of`], but returns the whole intent.
pub fn pending_intent_of(db: &mut Db, repository: RepositoryId) -> QueryResult<Option<PushIntent>> {
    match pending_of(db, repository)? {
        Some(id) => unsettled(db, id),
        None => Ok(None),
    }
}

/// Returns whether these repositories have an intent that is not settled.
pub fn any_unsettled_of(db: &mut Db, repositories: &[RepositoryId]) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        push_intents::table.filter(push_intents::repository_id.eq_any(repositories)).filter(is_unsettled()),
    ))
    .get_result(db)
}

/// Counts an attempt to settle an intent. Returns the number of attempts, or `None` if the intent
/// does not exist.
pub fn count_attempt(db: &mut Db, id: PushId) -> QueryResult<Option<i64>> {
    diesel::update(push_intents::table.find(id))
        .set(push_intents::attempts.eq(push_intents::attempts + 1))
        .returning(push_intents::attempts)
        .get_result(db)
        .optional()
}

pub fn set_progress(db: &mut Db, id: PushId, progress: &Progress<'_>) -> QueryResult<()> {
    diesel::update(push_intents::table.find(id)).set(progress).execute(db).map(drop)
}

/// Settles all remaining pushes of a repository: at most one is pending, few have notifications
/// left to write.
pub fn settle_all_of(db: &mut Db, repository: RepositoryId, now: i64) -> QueryResult<()> {
    diesel::update(
        push_intents::table.filter(push_intents::repository_id.eq(repository)).filter(is_unsettled()),
    )
    .set((push_intents::state.eq(SETTLED), push_intents::settled_at.eq(now), push_intents::refs.eq(NO_REFS)))
    .execute(db)
    .map(drop)
}
