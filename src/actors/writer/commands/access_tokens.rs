//! Commands about personal access tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::notifications::notify_all;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::actors::writer::writer_cache::Invalidation;
use crate::core::limits::ROWS_PER_STATEMENT_MAX;
use crate::domain::access::{AccessToken, AuthMethod, Credential, RequiredScope, Scope, check_scopes};
use crate::domain::event::Event;
use crate::domain::ids::{AccessTokenId, RepositoryId, UserId};
use crate::domain::notification::{Cause, Decision, RecipientFacts, decide};
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::{access_tokens, accounts};
use crate::storage::rows::access_token::NewAccessTokenRow;
use crate::storage::rows::notification::NewNotificationRow;

/// Maximum number of expired tokens that a command ends.
const EXPIRED_PER_COMMAND: i64 = 200;
/// Maximum number of owners that a command notifies of expiring tokens: three rows each.
const WARNED_PER_COMMAND: i64 = 100;
/// Milliseconds by which the start of a login may lie in the future: the clock was set back since.
const CLOCK_SLACK_MS: i64 = 30_000;
const DAY_SECONDS: i64 = 24 * 3600;

/// Refuses a login that is older than `limits.fresh_login_seconds`, unless the password came with
/// the request. A refresh does not make a login younger.
fn check_fresh(tx: &mut Tx<'_>, who: Credential, password_proven: bool) -> Execution<()> {
    let AuthMethod::Login { id, .. } = who.auth_method else { return Ok(()) };
    if password_proven {
        return Ok(());
    }
    let began = accounts::login_began(tx.reader(), id)?.ok_or(Refusal::Unauthenticated)?;
    let age_ms = tx.now.0.saturating_sub(began);
    let fresh_ms = tx.limits.fresh_login_seconds.saturating_mul(1000);
    if (-CLOCK_SLACK_MS..fresh_ms).contains(&age_ms) {
        return Ok(());
    }
    Err(Refusal::FreshLoginRequired.into())
}

/// Notifies the owner of an account of a change of its credentials. `active`: the owner is.
pub(super) fn notify_owner(tx: &mut Tx<'_>, owner: UserId, active: bool, text: &str) -> Execution<()> {
    let row = owner_row(owner, active, text, tx.now);
    notify_all(tx, row.as_slice())
}

fn owner_row(owner: UserId, active: bool, text: &str, now: Timestamp) -> Option<NewNotificationRow<'_>> {
    let facts = RecipientFacts { active, ..RecipientFacts::BYSTANDER };
    let Decision::Notify(kind, _) = decide(Cause::Account, facts) else { return None };
    Some(NewNotificationRow {
        user_id: owner,
        kind: kind.as_str(),
        chat_id: None,
        message_id: None,
        actor_id: None,
        text,
        created_at: now.0,
        read_at: None,
        seq: None,
        repository: None,
        reason: None,
    })
}

/// Revokes the tokens that a user created at `since` or later. Returns their number.
pub(super) fn revoke_made_since(tx: &mut Tx<'_>, user: UserId, since: Timestamp) -> Execution<usize> {
    let tokens = access_tokens::unrevoked_of(tx.reader(), user, since.0)?;
    revoke(tx, &tokens)?;
    Ok(tokens.len())
}

fn revoke(tx: &mut Tx<'_>, tokens: &[AccessTokenId]) -> Execution<()> {
    let now = tx.now.0;
    for tokens in tokens.chunks(ROWS_PER_STATEMENT_MAX) {
        access_tokens::revoke(tx.write(), tokens, now)?;
    }
    for token in tokens {
        tx.announce(Event::AccessTokenRevoked { token_id: *token });
    }
    Ok(())
}

pub struct CreateAccessToken {
    pub who: Credential,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub repositories: Option<Vec<RepositoryId>>,
    pub expires_at: Option<Timestamp>,
    pub hash: [u8; 32],
    /// The request contained the correct password of the user.
    pub password_proven: bool,
}

impl Command for CreateAccessToken {
    type Output = Arc<AccessToken>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<AccessToken>> {
        tx.authenticate(self.who, RequiredScope::Person)?;
        let owner = accounts::user(tx.reader(), self.who.user)?.ok_or(Refusal::Unauthenticated)?;
        check_scopes(&self.scopes, self.repositories.is_some(), owner.is_admin)?;
        check_fresh(tx, self.who, self.password_proven)?;
        if access_tokens::count_of(tx.reader(), self.who.user)? >= tx.limits.access_tokens_per_user {
            return Err(Refusal::Conflict("you have too many access tokens; revoke a token first").into());
        }
        let scopes: Vec<_> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        let repositories = self.repositories.as_ref().map(serde_json::to_string).transpose();
        let repositories =
            repositories.map_err(|_| Refusal::invalid("repositories", "cannot be written as JSON"))?;
        let row = NewAccessTokenRow {
            user_id: self.who.user,
            name: &self.name,
            token_hash: &self.hash,
            scopes: &scopes.join(" "),
            repositories: repositories.as_deref(),
            created_at: tx.now.0,
            expires_at: self.expires_at.map(|at| at.0),
        };
        let (token, hash) = access_tokens::insert(tx.write(), &row)?;
        let detail = json!({
            "user_id": self.who.user, "name": self.name, "scopes": self.scopes, "expires_at": self.expires_at,
        });
        tx.audit(self.who, "token.create", ("token", token.id.0), &detail)?;
        let by =
            if self.who.auth_method == AuthMethod::Operator { " by the operator of the server" } else { "" };
        let text = format!(
            "an access token \"{}\" ({}) was created for your account{by}; revoke it if you did not expect this",
            self.name,
            scopes.join(", ")
        );
        notify_owner(tx, self.who.user, owner.deactivated_at.is_none(), &text)?;
        let token = Arc::new(token);
        tx.announce(Event::AccessTokenCreated { token: token.clone(), hash });
        Ok(token)
    }
}

pub struct RevokeAccessToken {
    pub who: Credential,
    pub token: AccessTokenId,
}

impl Command for RevokeAccessToken {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::Person)?;
        // The operator may also revoke a token of a deactivated user.
        let own = access_tokens::unrevoked(tx.reader(), self.token)?;
        if own.is_none_or(|token| token.user_id != self.who.user) {
            return Err(Refusal::NotFound("access token").into());
        }
        let now = tx.now.0;
        access_tokens::revoke(tx.write(), &[self.token], now)?;
        let detail = json!({"user_id": self.who.user});
        tx.audit(self.who, "token.revoke", ("token", self.token.0), &detail)?;
        tx.announce(Event::AccessTokenRevoked { token_id: self.token });
        Ok(())
    }
}

/// Ends expired tokens. Returns their number.
pub struct EndExpiredTokens;

impl Command for EndExpiredTokens {
    type Output = usize;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<usize> {
        let now = tx.now.0;
        let expired = access_tokens::expired(tx.reader(), now, EXPIRED_PER_COMMAND)?;
        revoke(tx, &expired)?;
        Ok(expired.len())
    }
}

/// Revokes every token of a user, for the operator. Returns their number.
pub struct RevokeAllAccessTokens {
    pub who: Credential,
}

impl Command for RevokeAllAccessTokens {
    type Output = usize;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<usize> {
        tx.authenticate(self.who, RequiredScope::Person)?;
        let count = revoke_made_since(tx, self.who.user, Timestamp(i64::MIN))?;
        let detail = json!({"count": count});
        tx.audit(self.who, "token.revoke_all", ("user", self.who.user.0), &detail)?;
        Ok(count)
    }
}

/// Records when tokens were last used. The times are coarse, and a crash may lose the newest.
pub struct RecordTokenUses {
    pub uses: Vec<(AccessTokenId, Timestamp)>,
}

impl Command for RecordTokenUses {
    type Output = ();
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        let latest = latest_uses(&self.uses);
        let mut uses = Vec::with_capacity(latest.len());
        for slice in latest.chunks(ROWS_PER_STATEMENT_MAX) {
            let live = access_tokens::set_used(tx.write(), slice)?;
            uses.extend(slice.iter().copied().filter(|(id, _)| live.contains(id)));
        }
        if !uses.is_empty() {
            tx.announce(Event::AccessTokensUsed { uses });
        }
        Ok(())
    }
}

/// Returns the latest use of each token or login, by ascending id.
pub(super) fn latest_uses<T: Ord + Copy>(uses: &[(T, Timestamp)]) -> Vec<(T, Timestamp)> {
    let mut latest: BTreeMap<T, Timestamp> = BTreeMap::new();
    for (id, used_at) in uses {
        latest.entry(*id).and_modify(|latest| *latest = (*latest).max(*used_at)).or_insert(*used_at);
    }
    latest.into_iter().collect()
}

/// Notifies owners of tokens that expire within `limits.token_warning_days`, once for each token.
/// Returns the number of tokens.
pub struct WarnOfExpiringTokens;

impl Command for WarnOfExpiringTokens {
    type Output = usize;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<usize> {
        let now = tx.now;
        let until = now.plus_seconds(tx.limits.token_warning_days.saturating_mul(DAY_SECONDS));
        let tokens = access_tokens::to_warn(tx.reader(), now.0, until.0, WARNED_PER_COMMAND)?;
        let text = |token: &AccessToken| {
            let expires_at = token.expires_at?;
            let text = format!("your access token \"{}\" expires at {expires_at}", token.name);
            Some((token.user_id, text))
        };
        let texts: Vec<_> = tokens.iter().filter_map(text).collect();
        // The tokens are those of active users.
        let rows = texts.iter().filter_map(|(owner, text)| owner_row(*owner, true, text, now));
        notify_all(tx, &rows.collect::<Vec<_>>())?;
        if !tokens.is_empty() {
            let ids: Vec<_> = tokens.iter().map(|token| token.id).collect();
            access_tokens::set_warned(tx.write(), &ids, now.0)?;
        }
        Ok(tokens.len())
    }
}
