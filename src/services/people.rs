//! Reachability of users: blocking, and leaving chats that another user added the caller to.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ServiceError, Services};
use crate::actors::cache::{
    Blocks, Destination, PeopleToAdd, UsersById, UsersByPrefix, UsersFound, UsersKnown,
};
use crate::actors::writer::commands::{LeaveChats, LeftChats, SetBlock};
use crate::core::config::RegistrationPolicy;
use crate::core::shares::Holder;
use crate::domain::access::Credential;
use crate::domain::ids::UserId;
use crate::domain::page::Page;
use crate::domain::refusal::Refusal;
use crate::domain::user::User;
use crate::storage::queries::chats;

/// Maximum number of commands for one request to leave chats. With `limits.left_per_command` chats
/// each, this is far more than the rates let a user be added to within a day.
const SLICES_MAX: usize = 100;

impl Services {
    /// Blocks or unblocks a user.
    pub async fn set_block(
        &self,
        who: Credential,
        username: String,
        blocks: bool,
    ) -> Result<(), ServiceError> {
        let user = self.user_id(who, username).await?;
        let command = SetBlock { who, user, blocks, within_rate: self.rates.message(who.user) };
        Ok(self.writer.execute(who, command).await?)
    }

    /// Returns the users that the caller blocks, with ids above `after`.
    pub async fn blocks(
        &self,
        who: Credential,
        after: UserId,
        limit: usize,
    ) -> Result<Page<Arc<User>>, ServiceError> {
        Ok(self.cache.ask(who, Blocks { after, limit }).await?)
    }

    /// Leaves all chats into which `adder` put the caller. Not rate-limited: a user who was put
    /// into thousands of chats must be able to leave them.
    pub async fn leave_chats_of(&self, who: Credential, adder: String) -> Result<LeftChats, ServiceError> {
        let added_by = self.user_id(who, adder).await?;
        let mut total = LeftChats::default();
        for _ in 0..SLICES_MAX {
            let slice = self.writer.execute(who, LeaveChats { who, added_by }).await?;
            total = LeftChats { left: total.left + slice.left, more: slice.more };
            if !slice.more {
                break;
            }
        }
        Ok(total)
    }

    /// Returns the users with these ids, sorted by id. Ids of users that the caller may not see are
    /// left out, as unknown ids are.
    pub async fn users_by_id(
        &self,
        who: Credential,
        ids: Vec<UserId>,
    ) -> Result<Vec<Arc<User>>, ServiceError> {
        self.rates.lookup(who.user)?;
        let compared_max = self.limits.chats_compared;
        let (mut met, mut others) = (Vec::new(), Vec::new());
        let mut ids: BTreeSet<_> = ids.into_iter().collect();
        while !ids.is_empty() {
            let mut known: UsersKnown = self.cache.ask(who, UsersById { ids, compared_max }).await?;
            met.append(&mut known.met);
            others.append(&mut known.others);
            ids = known.rest;
        }
        if !others.is_empty() {
            let (reader, ids) = (who.user, others.iter().map(|user| user.id).collect::<Vec<_>>());
            let read = self
                .readers
                .read(Holder::Account(who.user), move |db| chats::met_in_the_past(db, reader, &ids));
            let past = read.await?;
            others.retain(|user| past.contains(&user.id));
            met.append(&mut others);
            met.sort_unstable_by_key(|user| user.id);
        }
        Ok(met)
    }

    /// Returns active users whose user names or display names begin with `prefix`, which is in
    /// lower case, with user names above `after`, sorted by user name.
    pub async fn users_by_prefix(
        &self,
        who: Credential,
        prefix: String,
        after: String,
        limit: usize,
    ) -> Result<UsersFound, ServiceError> {
        self.rates.lookup(who.user)?;
        let (names_max, memberships_max) = (self.limits.users_scanned, self.limits.memberships_scanned);
        let registration_closed = self.accounts.registration == RegistrationPolicy::Closed;
        let query = UsersByPrefix { prefix, after, limit, names_max, memberships_max, registration_closed };
        Ok(self.cache.ask(who, query).await?)
    }

    /// Returns the user of this name, to be added to `to` or to change roles there.
    pub(super) async fn person_to_add(
        &self,
        who: Credential,
        username: String,
        to: Destination,
    ) -> Result<UserId, ServiceError> {
        let ids = self.cache.ask(who, PeopleToAdd { names: vec![username], to }).await?;
        ids.first().copied().ok_or_else(|| Refusal::NotFound("user").into())
    }
}
