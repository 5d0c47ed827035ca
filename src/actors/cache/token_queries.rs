//! Queries about access tokens, and queries that depend on the scope of a token.

use std::sync::Arc;

use super::common_chats::CommonChats;
use super::queries::{Query, QueryContext, QueryOutcome, user_of};
use crate::domain::access::{AccessToken, Credential, RequiredScope};
use crate::domain::ids::{AccessTokenId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;

/// The credential of a personal access token, if the token is valid and has the needed scope.
/// Records its use.
pub struct TokenHolder {
    pub hash: [u8; 32],
    pub required_scope: RequiredScope,
}

impl Query for TokenHolder {
    type Answer = Credential;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Credential> {
        let directory = &context.read.directory;
        let Some(who) = directory.token_holder(&self.hash) else {
            return QueryOutcome::Now(Err(Refusal::Unauthenticated));
        };
        let proven = directory.authenticate(who).map(|(_, grant)| grant);
        QueryOutcome::Now(proven.and_then(|grant| {
            if let Some(token) = grant.token() {
                context.uses.tokens.note(token.id, token.last_used_at, Timestamp::now());
            }
            grant.check(self.required_scope).map(|()| who)
        }))
    }
}

/// The caller's own access tokens.
pub struct AccessTokens;

impl Query for AccessTokens {
    type Answer = Vec<Arc<AccessToken>>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Person;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        QueryOutcome::Now(user_of(who).map(|user| context.read.directory.tokens_of(user)))
    }
}

/// The access tokens of a user, who may be deactivated. For the operator of the machine.
pub struct AccessTokensOf(pub UserId);

impl Query for AccessTokensOf {
    type Answer = Vec<Arc<AccessToken>>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Person;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        QueryOutcome::Now(Ok(context.read.directory.tokens_of(self.0)))
    }
}

/// Takes at most `count` uses of tokens that are to be written, and removes them from memory.
pub struct TokenUsesToWrite {
    pub count: usize,
}

impl Query for TokenUsesToWrite {
    type Answer = Vec<(AccessTokenId, Timestamp)>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        QueryOutcome::Now(Ok(context.uses.tokens.take(self.count)))
    }
}

/// Refuses unless the caller administers the server, with a proof of sufficient scope.
pub struct Administrator;

impl Query for Administrator {
    type Answer = ();
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ServerAdmin;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<()> {
        QueryOutcome::Now(user_of(who).and_then(|user| check_administrator(context, user)))
    }
}

/// Whether the server has an active administrator.
pub struct HasAdministrator;

impl Query for HasAdministrator {
    type Answer = bool;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<bool> {
        QueryOutcome::Now(Ok(context.read.directory.has_administrator()))
    }
}

pub(super) fn check_administrator(context: &QueryContext<'_>, user: UserId) -> Result<(), Refusal> {
    let is_admin = context.read.directory.user(user).is_some_and(|user| user.is_admin);
    let refusal = Refusal::Forbidden("only an administrator of the server may do this");
    is_admin.then_some(()).ok_or(refusal)
}

/// The ids of user names, for a caller who wants to see their presence.
pub struct PeopleSeen {
    pub names: Vec<String>,
    /// Chats that one message compares.
    pub compared_max: usize,
}

impl Query for PeopleSeen {
    /// Each with whether the user shares a chat with the caller: the first names, at least one. The
    /// caller must ask for the others in another message.
    type Answer = Vec<(UserId, bool)>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let read = &context.read;
        QueryOutcome::Now(user_of(who).and_then(|me| {
            let mut common = CommonChats::new(&read.chats, me, self.compared_max);
            let mut seen = Vec::with_capacity(self.names.len());
            for name in &self.names {
                let user = read.directory.named(name).ok_or(Refusal::NotFound("user"))?.user.id;
                let Some(share) = common.share(user) else { break };
                seen.push((user, share));
            }
            Ok(seen)
        }))
    }
}
