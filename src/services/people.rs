//! Who may reach whom: blocking, and leaving what another user put me into.

use std::sync::Arc;

use super::{ServiceError, Services};
use crate::actors::cache::{Blocks, Destination, PeopleToAdd};
use crate::actors::writer::commands::{LeaveChats, LeftChats, SetBlock};
use crate::core::actor::Who;
use crate::domain::access::Credential;
use crate::domain::ids::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::user::User;

/// Commands that one request to leave chats runs at most: with `limits.left_per_command` chats each, far more than the
/// rates let a user be put into within a day.
const SLICES_MAX: usize = 100;

impl Services {
    /// Blocks a user, or takes that back.
    pub async fn set_block(
        &self,
        who: Credential,
        username: String,
        blocks: bool,
    ) -> Result<(), ServiceError> {
        let user = self.user_id(who, username).await?;
        let command = SetBlock { who, user, blocks, within_rate: self.rates.message(who.user) };
        Ok(self.writer.execute(Who::User(who.user.0), command).await?)
    }

    /// Whom the user blocks, by id above `after`, and whether there are more.
    pub async fn blocks(
        &self,
        who: Credential,
        after: UserId,
        limit: usize,
    ) -> Result<(Vec<Arc<User>>, bool), ServiceError> {
        Ok(self.cache.ask(who, Blocks { after, limit }).await?)
    }

    /// Leaves all chats into which this user put the user who asks. Counts against no rate: a person who was put into
    /// thousands of chats must be able to leave them.
    pub async fn leave_chats_of(&self, who: Credential, adder: String) -> Result<LeftChats, ServiceError> {
        let added_by = self.user_id(who, adder).await?;
        let mut total = LeftChats::default();
        for _ in 0..SLICES_MAX {
            let slice = self.writer.execute(Who::User(who.user.0), LeaveChats { who, added_by }).await?;
            total = LeftChats { left: total.left + slice.left, more: slice.more };
            if !slice.more {
                break;
            }
        }
        Ok(total)
    }

    /// The person of this name, who is to be put somewhere or whose role there changes.
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
