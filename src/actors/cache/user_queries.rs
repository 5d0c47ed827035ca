//! Questions about users: who stands behind an id, and whose name begins so.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::queries::{Models, Query, Verdict, readable, user_of};
use super::read_models::ReadModels;
use crate::domain::access::{Credential, Need};
use crate::domain::ids::{ChatId, UserId};
use crate::domain::permission::people::{Finding, identify};
use crate::domain::user::User;

/// The users behind some ids: those of one request.
pub struct UsersById(pub Vec<UserId>);

/// What memory says. Who left a chat is known to the database alone.
#[derive(Debug, Default)]
pub struct UsersKnown {
    /// Users whom the user who asks may know.
    pub met: Vec<Arc<User>>,
    /// Users who exist, and whom the user who asks may know if they met in the past.
    pub others: Vec<Arc<User>>,
}

impl Query for UsersById {
    type Answer = UsersKnown;
    const NAME: &'static str = "UsersById";
    const NEED: Need = Need::ChatRead;

    fn answer(&self, who: Option<Credential>, models: &mut Models<'_>) -> Verdict<UsersKnown> {
        Verdict::Now(user_of(who).map(|me| {
            let mut known = UsersKnown::default();
            let ids: BTreeSet<_> = self.0.iter().collect();
            for user in ids.into_iter().filter_map(|id| models.read.directory.user(*id)) {
                let met = identify(user.id == me, meets(models.read, me, user.id));
                let list = if met { &mut known.met } else { &mut known.others };
                list.push(user.clone());
            }
            known
        }))
    }
}

/// Whether `user` is in a chat that `reader` can read.
fn meets(read: &ReadModels, reader: UserId, user: UserId) -> bool {
    read.chats.of_user(user, ChatId(0)).any(|state| readable(read, state.chat.id, reader).is_ok())
}

/// Users whose names begin with a text, by name.
pub struct UsersByPrefix {
    pub prefix: String,
    /// Only names above this one.
    pub after: String,
    pub limit: usize,
    /// Names that one search looks at.
    pub scanned_max: usize,
    pub registration_closed: bool,
}

/// A page of users.
#[derive(Debug, Default)]
pub struct UsersFound {
    pub users: Vec<Arc<User>>,
    /// The name behind which the search goes on; `None`: it is complete.
    pub next: Option<String>,
}

impl Query for UsersByPrefix {
    type Answer = UsersFound;
    const NAME: &'static str = "UsersByPrefix";
    const NEED: Need = Need::ChatRead;

    fn answer(&self, who: Option<Credential>, models: &mut Models<'_>) -> Verdict<UsersFound> {
        Verdict::Now(user_of(who).map(|me| {
            let mut found = UsersFound::default();
            let read = &models.read;
            let mut names = read.directory.beginning_with(&self.prefix, &self.after);
            let mut last = None;
            for user in names.by_ref().take(self.scanned_max) {
                if found.users.len() == self.limit {
                    found.next = last;
                    return found;
                }
                last = Some(user.username.clone());
                let stranger = Finding {
                    is_active: user.active,
                    meets: user.id == me,
                    is_exact: user.username == self.prefix,
                    registration_closed: self.registration_closed,
                };
                let met = || Finding { meets: meets(read, me, user.id), ..stranger };
                if stranger.is_allowed() || met().is_allowed() {
                    found.users.push(user.clone());
                }
            }
            found.next = last.filter(|_| names.next().is_some());
            found
        }))
    }
}
