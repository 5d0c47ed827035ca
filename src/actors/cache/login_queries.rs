//! Queries about web logins.

use super::queries::{Query, QueryContext, QueryOutcome};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::ids::LoginId;
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;

/// The credential of the web login with this hash, if it is open and not expired. Records its use.
pub struct WebLoginHolder {
    pub hash: [u8; 32],
}

impl Query for WebLoginHolder {
    type Answer = Credential;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Credential> {
        let (directory, now) = (&context.read.directory, Timestamp::now());
        let found = directory.web_login(&self.hash).filter(|found| found.handle.is_live(now));
        let Some(found) = found else { return QueryOutcome::Now(Err(Refusal::Unauthenticated)) };
        QueryOutcome::Now(directory.authenticate(found.who).map(|_| {
            context.uses.web_logins.note(found.id, Some(found.handle.last_used_at), now);
            found.who
        }))
    }
}

/// Takes at most `count` uses of web logins that are to be written, and removes them from memory.
pub struct WebLoginUsesToWrite {
    pub count: usize,
}

impl Query for WebLoginUsesToWrite {
    type Answer = Vec<(LoginId, Timestamp)>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        QueryOutcome::Now(Ok(context.uses.web_logins.take(self.count)))
    }
}
