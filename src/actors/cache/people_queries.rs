//! Queries about the users whom a user may add, and whom they block.

use std::sync::Arc;

use super::queries::{Query, QueryContext, QueryOutcome, user_of};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::chat::ChatKind;
use crate::domain::ids::{ChatId, ProjectId, UserId};
use crate::domain::page::Page;
use crate::domain::permission::people as permission;
use crate::domain::refusal::Refusal;
use crate::domain::user::User;

/// The place to which users are added.
#[derive(Debug, Clone, Copy)]
pub enum Destination {
    NewChat(ChatKind),
    Chat(ChatId),
    Project(ProjectId),
}

/// Resolves the names of users who are to be added somewhere to their ids. A name that does not
/// exist refuses them all, and so does a user who blocks the caller and is not there yet. The
/// writer checks again.
pub struct PeopleToAdd {
    pub names: Vec<String>,
    pub to: Destination,
}

impl Query for PeopleToAdd {
    type Answer = Vec<UserId>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Vec<UserId>> {
        QueryOutcome::Now(user_of(who).and_then(|me| {
            let id = |name: &String| {
                let person = context.read.directory.named(name).ok_or(Refusal::NotFound("user"))?.user.id;
                let is_blocked = context.read.directory.blocks(person, me);
                permission::reach(is_blocked && !self.is_there(context, me, person))?;
                Ok(person)
            };
            self.names.iter().map(id).collect()
        }))
    }
}

impl PeopleToAdd {
    /// Returns whether `person` is in the destination already: existing shared memberships stay as
    /// they are.
    fn is_there(&self, context: &QueryContext<'_>, me: UserId, person: UserId) -> bool {
        let (chats, projects) = (&context.read.chats, &context.read.projects);
        match self.to {
            Destination::Chat(chat) => {
                chats.get(chat).is_some_and(|state| state.people.contains_key(&person))
            }
            Destination::Project(id) => {
                projects.get(id).is_some_and(|state| state.role(Some(person)).is_some())
            }
            Destination::NewChat(ChatKind::Direct) => {
                let pair = [Some((me, person)), Some((person, me))];
                chats.of_user(me, ChatId(0)).any(|state| pair.contains(&state.chat.between))
            }
            Destination::NewChat(_) => false,
        }
    }
}

/// The users whom the caller blocks, by id above `after`.
pub struct Blocks {
    pub after: UserId,
    pub limit: usize,
}

impl Query for Blocks {
    type Answer = Page<Arc<User>>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        QueryOutcome::Now(
            user_of(who).map(|user| {
                Page::take(context.read.directory.blocked_by(user, self.after).cloned(), self.limit)
            }),
        )
    }
}
