//! Queries of push intents.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel::sqlite::SqliteConnection;

use crate::domain::ids::{ChatId, PushId, RepositoryId, Seq, UserId};
use crate::domain::push::RefUpdate;
use crate::storage::rows::chat::unreadable;
use crate::storage::rows::push::{NewPushIntentRow, PushIntent, PushIntentRow};
use crate::storage::schema::{chat_events, push_intents};

type Db = SqliteConnection;

pub const PENDING: &str = "pending";
pub const ANNOUNCED: &str = "announced";
pub const SETTLED: &str = "settled";
/// The refs of a settled intent: its event holds the first of them, and no query reads the others.
const NO_REFS: &str = "[]";

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

/// Returns the ref updates of an intent.
pub fn refs_of(db: &mut Db, id: PushId) -> QueryResult<Vec<RefUpdate>> {
    let refs: String = push_intents::table.find(id).select(push_intents::refs).first(db)?;
    serde_json::from_str(&refs).map_err(|_| unreadable("push_intents.refs", &refs))
}

/// Returns intents that are not settled, those with the fewest attempts first, so that none waits
/// for one that fails.
pub fn all_unsettled(db: &mut Db, limit: i64) -> QueryResult<Vec<PushIntent>> {
    let rows: Vec<PushIntentRow> = push_intents::table
        .filter(is_unsettled())
        .order((push_intents::attempts, push_intents::id))
        .limit(limit)
        .select(PushIntentRow::as_select())
        .load(db)?;
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

/// Returns whether this repository has an intent that is not settled.
pub fn any_unsettled_of(db: &mut Db, repository: RepositoryId) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        push_intents::table.filter(push_intents::repository_id.eq(repository)).filter(is_unsettled()),
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

pub fn set_announced(db: &mut Db, id: PushId, event_seq: Seq, mentioned: &str) -> QueryResult<()> {
    diesel::update(push_intents::table.find(id))
        .set((
            push_intents::state.eq(ANNOUNCED),
            push_intents::event_seq.eq(event_seq),
            push_intents::mentioned.eq(mentioned),
        ))
        .execute(db)
        .map(drop)
}

pub fn set_notified_to(db: &mut Db, id: PushId, user: UserId) -> QueryResult<()> {
    diesel::update(push_intents::table.find(id)).set(push_intents::notified_to.eq(user)).execute(db).map(drop)
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

pub fn set_settled(db: &mut Db, id: PushId, now: i64) -> QueryResult<()> {
    diesel::update(push_intents::table.find(id))
        .set((
            push_intents::state.eq(SETTLED),
            push_intents::settled_at.eq(now),
            push_intents::refs.eq(NO_REFS),
        ))
        .execute(db)
        .map(drop)
}

/// Links an event to its push. The database accepts one event per push.
pub fn mark_event(db: &mut Db, chat: ChatId, seq: Seq, push: PushId) -> QueryResult<()> {
    diesel::update(chat_events::table.find((chat, seq)))
        .set(chat_events::push_id.eq(push))
        .execute(db)
        .map(drop)
}
