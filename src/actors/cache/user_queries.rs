//! Queries about users: by id, and by the beginning of a name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::common_chats::CommonChats;
use super::queries::{Query, QueryContext, QueryOutcome, user_of};
use super::read_models::ReadModels;
use super::token_queries::check_administrator;
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::ids::UserId;
use crate::domain::permission::people::{Finding, identify};
use crate::domain::user::User;

/// The users with some ids: those of one request.
pub struct UsersById {
    pub ids: BTreeSet<UserId>,
    /// Chats that one message compares.
    pub compared_max: usize,
}

/// The users found in memory. Only the database has the users who left a chat.
#[derive(Debug, Default)]
pub struct UsersKnown {
    /// Users whom the caller may know.
    pub met: Vec<Arc<User>>,
    /// Users who exist, and whom the caller may know if they met in the past.
    pub others: Vec<Arc<User>>,
    /// Ids that another message must ask for.
    pub rest: BTreeSet<UserId>,
}

impl Query for UsersById {
    type Answer = UsersKnown;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<UsersKnown> {
        QueryOutcome::Now(user_of(who).map(|me| {
            let mut known = UsersKnown::default();
            let mut common = CommonChats::new(&context.read.chats, me, self.compared_max);
            for user in self.ids.iter().filter_map(|id| context.read.directory.user(*id)) {
                let Some(meet) = common.meet(user.id) else {
                    known.rest = self.ids.range(user.id..).copied().collect();
                    break;
                };
                let list = if identify(user.id == me, meet) { &mut known.met } else { &mut known.others };
                list.push(user.clone());
            }
            known
        }))
    }
}

/// The users with some ids, for an administrator of the server. Unknown ids are left out.
pub struct UsersToAdminister {
    pub ids: BTreeSet<UserId>,
}

impl Query for UsersToAdminister {
    type Answer = Vec<Arc<User>>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ServerAdmin;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        QueryOutcome::Now(user_of(who).and_then(|user| {
            check_administrator(context, user)?;
            let users = self.ids.iter().filter_map(|id| context.read.directory.user(*id));
            Ok(users.cloned().collect())
        }))
    }
}

/// Users whose user names or display names begin with a text, by user name.
pub struct UsersByPrefix {
    /// In lower case.
    pub prefix: String,
    /// Only names above this one.
    pub after: String,
    pub limit: usize,
    /// User names, and display names, that one search scans while registration is closed.
    pub names_max: usize,
    /// Memberships that one search scans while registration is open.
    pub memberships_max: usize,
    pub registration_closed: bool,
}

/// A page of users.
#[derive(Debug, Default)]
pub struct UsersFound {
    pub users: Vec<Arc<User>>,
    /// The name after which the search continues; `None`: it is complete.
    pub next: Option<String>,
}

impl Query for UsersByPrefix {
    type Answer = UsersFound;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<UsersFound> {
        let read = &*context.read;
        QueryOutcome::Now(user_of(who).map(|me| {
            if self.registration_closed { self.among_all(read) } else { self.among_known(read, me) }
        }))
    }
}

impl UsersByPrefix {
    /// Searches all users. All users are colleagues, so the names of skipped users may become
    /// known.
    fn among_all(&self, read: &ReadModels) -> UsersFound {
        let mut page = BTreeMap::new();
        let mut names = read.directory.beginning_with(&self.prefix, &self.after);
        let mut last = None;
        for user in names.by_ref().take(self.names_max) {
            last = Some(user.username.clone());
            if self.finding(user, false).is_allowed() {
                page.insert(user.username.clone(), user.clone());
            }
            if page.len() > self.limit {
                break;
            }
        }
        // User names above this one were not scanned.
        let end = last.filter(|_| names.next().is_some());
        for user in read.directory.displayed_as(&self.prefix).take(self.names_max) {
            let is_before_end = end.as_ref().is_none_or(|end| user.username <= *end);
            if user.username > self.after && is_before_end && self.finding(user, false).is_allowed() {
                self.add(&mut page, user);
            }
        }
        let found = self.page(page);
        UsersFound { next: found.next.or(end), ..found }
    }

    /// Searches only users whom the caller may find, so that no part of the answer depends on
    /// strangers.
    fn among_known(&self, read: &ReadModels, me: UserId) -> UsersFound {
        let mut page = BTreeMap::new();
        let mut consider = |user: Option<&Arc<User>>, meets| {
            let Some(user) = user else { return };
            let begins = || {
                user.username.starts_with(&self.prefix)
                    || begins_in_lower_case(&user.display_name, &self.prefix)
            };
            if user.username > self.after && begins() && self.finding(user, meets).is_allowed() {
                self.add(&mut page, user);
            }
        };
        consider(read.directory.named(&self.prefix).map(|entry| &entry.user), false);
        consider(read.directory.user(me), true);
        for user in self.people_met(read, me) {
            consider(read.directory.user(user), true);
        }
        self.page(page)
    }

    /// Adds a user to the first users by name, at most one more than the page has.
    fn add(&self, page: &mut BTreeMap<String, Arc<User>>, user: &Arc<User>) {
        page.insert(user.username.clone(), user.clone());
        if page.len() > self.limit + 1 {
            page.pop_last();
        }
    }

    fn page(&self, page: BTreeMap<String, Arc<User>>) -> UsersFound {
        let mut users: Vec<_> = page.into_values().collect();
        let has_more = users.len() > self.limit;
        users.truncate(self.limit);
        let next = users.last().filter(|_| has_more).map(|user| user.username.clone());
        UsersFound { users, next }
    }

    /// Returns the participants of the user's own chats, then of those that every user can read;
    /// the newest chats first.
    fn people_met(&self, read: &ReadModels, me: UserId) -> impl Iterator<Item = UserId> {
        let chats = read.chats.ids_of(me).iter().rev().chain(read.chats.public().iter().rev());
        let states = chats.take(self.memberships_max).filter_map(|id| read.chats.get(*id));
        states.flat_map(|state| state.people.keys().copied()).take(self.memberships_max)
    }

    fn finding(&self, user: &User, meets: bool) -> Finding {
        Finding {
            is_active: user.active,
            meets,
            is_exact: user.username == self.prefix,
            registration_closed: self.registration_closed,
        }
    }
}

/// Returns whether the lower-case form of `name` begins with `prefix`, without building that form.
fn begins_in_lower_case(name: &str, prefix: &str) -> bool {
    let mut letters = name.chars().flat_map(char::to_lowercase);
    prefix.chars().all(|letter| letters.next() == Some(letter))
}
