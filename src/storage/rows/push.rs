//! Rows of `push_intents`.

use diesel::prelude::*;

use super::chat::unreadable;
use crate::domain::ids::{PushId, RepositoryId, Seq, UserId};
use crate::domain::project::Project;
use crate::domain::repository::Repository;
use crate::storage::schema::push_intents;

/// A push that is not settled. Its refs are read separately, because there may be many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushIntent {
    pub id: PushId,
    pub repository_id: RepositoryId,
    pub user_id: UserId,
    pub chat_text: Option<String>,
    pub base_url: String,
    pub client_id: [u8; 16],
    /// Refs and event are settled; notifications are still to be written.
    pub announced: bool,
    /// The last user, by id, who was notified. 0: none.
    pub notified_to: UserId,
    pub event_seq: Option<i64>,
    pub mentioned: Vec<UserId>,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = push_intents)]
pub struct PushIntentRow {
    pub id: PushId,
    pub repository_id: RepositoryId,
    pub user_id: UserId,
    pub chat_text: Option<String>,
    pub base_url: String,
    pub client_id: Vec<u8>,
    pub state: String,
    pub notified_to: UserId,
    pub event_seq: Option<i64>,
    pub mentioned: String,
}

impl TryFrom<PushIntentRow> for PushIntent {
    type Error = diesel::result::Error;

    fn try_from(row: PushIntentRow) -> QueryResult<Self> {
        Ok(Self {
            id: row.id,
            repository_id: row.repository_id,
            user_id: row.user_id,
            chat_text: row.chat_text,
            base_url: row.base_url,
            client_id: row
                .client_id
                .try_into()
                .map_err(|_| unreadable("push_intents.client_id", "of another length"))?,
            announced: row.state == "announced",
            notified_to: row.notified_to,
            event_seq: row.event_seq,
            mentioned: serde_json::from_str(&row.mentioned)
                .map_err(|_| unreadable("push_intents.mentioned", &row.mentioned))?,
        })
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = push_intents)]
pub struct NewPushIntentRow<'a> {
    pub repository_id: RepositoryId,
    pub user_id: UserId,
    pub refs: &'a str,
    pub chat_text: Option<&'a str>,
    pub base_url: &'a str,
    pub client_id: &'a [u8],
    pub state: &'a str,
    pub created_at: i64,
}

pub const PENDING: &str = "pending";

pub const ANNOUNCED: &str = "announced";

pub const SETTLED: &str = "settled";

/// The refs of a settled intent: its event holds the first of them, and no query reads the others.
pub(in crate::storage) const NO_REFS: &str = "[]";

/// An intent that is not settled, with the rows that its event names.
pub struct Settling {
    pub intent: PushIntent,
    /// The name of the user who pushes.
    pub pusher: String,
    pub repository: Option<Repository>,
    pub project: Option<Project>,
    /// The name of the owner of the project; empty without a project.
    pub owner: String,
}

/// The progress of an intent; `None` leaves a column unchanged.
#[derive(Debug, Default, AsChangeset)]
#[diesel(table_name = push_intents)]
pub struct Progress<'a> {
    state: &'a str,
    event_seq: Option<Seq>,
    mentioned: Option<&'a str>,
    notified_to: Option<UserId>,
    settled_at: Option<i64>,
    refs: Option<&'a str>,
}

impl<'a> Progress<'a> {
    /// All is done.
    pub fn settled(now: i64) -> Self {
        Self { state: SETTLED, settled_at: Some(now), refs: Some(NO_REFS), ..Self::default() }
    }

    /// Users up to this one are notified.
    pub fn notified_to(user: UserId) -> Self {
        Self { state: ANNOUNCED, notified_to: Some(user), ..Self::default() }
    }

    /// The event has this seq. `mentioned` holds the users whom it names, as JSON.
    #[must_use]
    pub fn announced(self, event_seq: Seq, mentioned: &'a str) -> Self {
        Self { event_seq: Some(event_seq), mentioned: Some(mentioned), ..self }
    }
}
