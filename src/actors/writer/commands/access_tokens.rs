//! Commands about personal access tokens.

use std::sync::Arc;

use serde_json::json;

use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{AccessToken, Credential, Need, Proof, Scope};
use crate::domain::event::Event;
use crate::domain::ids::{AccessTokenId, RepositoryId};
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::access_tokens;
use crate::storage::rows::access_token::NewAccessTokenRow;

/// Expired tokens ended in one command.
const EXPIRED_PER_COMMAND: i64 = 200;

pub struct CreateAccessToken {
    pub who: Credential,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub repositories: Option<Vec<RepositoryId>>,
    pub expires_at: Option<Timestamp>,
    pub hash: [u8; 32],
}

impl Command for CreateAccessToken {
    type Output = Arc<AccessToken>;
    const NAME: &'static str = "CreateAccessToken";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<AccessToken>> {
        tx.authenticate(self.who, Need::Person)?;
        if access_tokens::count_of(tx.look(), self.who.user.0)? >= tx.limits.access_tokens_per_user {
            return Err(Refusal::Conflict("you have too many access tokens; revoke some").into());
        }
        let scopes: Vec<_> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        let repositories = self.repositories.as_ref().map(serde_json::to_string).transpose();
        let repositories =
            repositories.map_err(|_| Refusal::invalid("repositories", "cannot be written as JSON"))?;
        let row = NewAccessTokenRow {
            user_id: self.who.user.0,
            name: &self.name,
            token_hash: &self.hash,
            scopes: &scopes.join(" "),
            repositories: repositories.as_deref(),
            created_at: tx.now.0,
            expires_at: self.expires_at.map(|at| at.0),
        };
        let (token, hash) = access_tokens::insert(tx.write(), &row)?;
        if self.who.proof == Proof::Operator {
            let detail = json!({"user_id": self.who.user, "name": self.name, "scopes": self.scopes});
            tx.audit(self.who, "token.create", ("token", token.id.0), &detail)?;
        }
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
    const NAME: &'static str = "RevokeAccessToken";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, Need::Person)?;
        let own = access_tokens::live(tx.look(), self.token.0)?;
        if own.is_none_or(|token| token.user_id != self.who.user) {
            return Err(Refusal::NotFound("access token").into());
        }
        let now = tx.now.0;
        access_tokens::revoke(tx.write(), self.token.0, now)?;
        if self.who.proof == Proof::Operator {
            let detail = json!({"user_id": self.who.user});
            tx.audit(self.who, "token.revoke", ("token", self.token.0), &detail)?;
        }
        tx.announce(Event::AccessTokenRevoked { token_id: self.token });
        Ok(())
    }
}

/// Ends tokens that have expired; answers how many there were.
pub struct EndExpiredTokens;

impl Command for EndExpiredTokens {
    type Output = usize;
    const NAME: &'static str = "EndExpiredTokens";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<usize> {
        let now = tx.now.0;
        let expired = access_tokens::expired(tx.look(), now, EXPIRED_PER_COMMAND)?;
        for id in &expired {
            access_tokens::revoke(tx.write(), *id, now)?;
            tx.announce(Event::AccessTokenRevoked { token_id: AccessTokenId(*id) });
        }
        Ok(expired.len())
    }
}
