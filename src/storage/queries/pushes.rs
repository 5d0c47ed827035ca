//! Push intents.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel::sqlite::SqliteConnection;

use crate::domain::ids::RepositoryId;
use crate::domain::push::RefUpdate;
use crate::storage::rows::chat::unreadable;
use crate::storage::rows::push::{NewPushIntentRow, PushIntent, PushIntentRow};
use crate::storage::schema::{chat_events, push_intents};

type Db = SqliteConnection;

pub const PENDING: &str = "pending";
pub const ANNOUNCED: &str = "announced";
pub const SETTLED: &str = "settled";
/// The refs of a settled intent: its event has the first of them, and nothing asks for the others.
const NO_REFS: &str = "[]";

// Written out, and nothing bound: only then does SQLite use the partial indexes on these conditions.
fn is_unsettled() -> SqlLiteral<Bool> {
    sql("push_intents.state <> 'settled'")
}

fn is_pending() -> SqlLiteral<Bool> {
    sql("push_intents.state = 'pending'")
}

pub fn insert(db: &mut Db, row: &NewPushIntentRow<'_>) -> QueryResult<i64> {
    diesel::insert_into(push_intents::table).values(row).returning(push_intents::id).get_result(db)
}

/// An intent that is not settled.
pub fn unsettled(db: &mut Db, id: i64) -> QueryResult<Option<PushIntent>> {
    let row: Option<PushIntentRow> = push_intents::table
        .find(id)
        .filter(is_unsettled())
        .select(PushIntentRow::as_select())
        .first(db)
        .optional()?;
    row.map(PushIntent::try_from).transpose()
}

/// What an intent was about to move.
pub fn refs_of(db: &mut Db, id: i64) -> QueryResult<Vec<RefUpdate>> {
    let refs: String = push_intents::table.find(id).select(push_intents::refs).first(db)?;
    serde_json::from_str(&refs).map_err(|_| unreadable("push_intents.refs", &refs))
}

/// Intents that are not settled: those with the fewest attempts first, so that none waits behind one that fails.
pub fn all_unsettled(db: &mut Db, limit: i64) -> QueryResult<Vec<PushIntent>> {
    let rows: Vec<PushIntentRow> = push_intents::table
        .filter(is_unsettled())
        .order((push_intents::attempts, push_intents::id))
        .limit(limit)
        .select(PushIntentRow::as_select())
        .load(db)?;
    rows.into_iter().map(PushIntent::try_from).collect()
}

/// Every repository with an intent that is not settled.
pub fn repositories_unsettled(db: &mut Db) -> QueryResult<Vec<RepositoryId>> {
    let ids: Vec<i64> =
        push_intents::table.filter(is_unsettled()).select(push_intents::repository_id).distinct().load(db)?;
    Ok(ids.into_iter().map(RepositoryId).collect())
}

/// The intent of this repository whose refs are not settled.
pub fn pending_of(db: &mut Db, repository: i64) -> QueryResult<Option<i64>> {
    push_intents::table
        .filter(push_intents::repository_id.eq(repository))
        .filter(is_pending())
        .select(push_intents::id)
        .first(db)
        .optional()
}

/// The same, whole.
pub fn pending_intent_of(db: &mut Db, repository: i64) -> QueryResult<Option<PushIntent>> {
    match pending_of(db, repository)? {
        Some(id) => unsettled(db, id),
        None => Ok(None),
    }
}

/// Whether anything of this repository is not settled.
pub fn any_unsettled_of(db: &mut Db, repository: i64) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        push_intents::table.filter(push_intents::repository_id.eq(repository)).filter(is_unsettled()),
    ))
    .get_result(db)
}

/// Adds an attempt to settle an intent; returns how many there were, `None` without such an intent.
pub fn count_attempt(db: &mut Db, id: i64) -> QueryResult<Option<i64>> {
    diesel::update(push_intents::table.find(id))
        .set(push_intents::attempts.eq(push_intents::attempts + 1))
        .returning(push_intents::attempts)
        .get_result(db)
        .optional()
}

pub fn set_announced(db: &mut Db, id: i64, event_seq: i64, mentioned: &str) -> QueryResult<()> {
    diesel::update(push_intents::table.find(id))
        .set((
            push_intents::state.eq(ANNOUNCED),
            push_intents::event_seq.eq(event_seq),
            push_intents::mentioned.eq(mentioned),
        ))
        .execute(db)
        .map(drop)
}

pub fn set_notified_to(db: &mut Db, id: i64, user: i64) -> QueryResult<()> {
    diesel::update(push_intents::table.find(id)).set(push_intents::notified_to.eq(user)).execute(db).map(drop)
}

/// Ends what is left of a repository's pushes: at most one is pending, few are being told.
pub fn settle_all_of(db: &mut Db, repository: i64, now: i64) -> QueryResult<()> {
    diesel::update(
        push_intents::table.filter(push_intents::repository_id.eq(repository)).filter(is_unsettled()),
    )
    .set((push_intents::state.eq(SETTLED), push_intents::settled_at.eq(now), push_intents::refs.eq(NO_REFS)))
    .execute(db)
    .map(drop)
}

pub fn set_settled(db: &mut Db, id: i64, now: i64) -> QueryResult<()> {
    diesel::update(push_intents::table.find(id))
        .set((
            push_intents::state.eq(SETTLED),
            push_intents::settled_at.eq(now),
            push_intents::refs.eq(NO_REFS),
        ))
        .execute(db)
        .map(drop)
}

/// Marks an event as that of a push: the database takes one for each.
pub fn mark_event(db: &mut Db, chat: i64, seq: i64, push: i64) -> QueryResult<()> {
    diesel::update(chat_events::table.find((chat, seq)))
        .set(chat_events::push_id.eq(push))
        .execute(db)
        .map(drop)
}
