//! Queries about avatars.

use super::queries::{Query, QueryContext, QueryOutcome, chat_for, user_of};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::ids::ChatId;
use crate::domain::permission::chat as permission;

/// Whether the caller may change a chat: refused if not.
pub struct ManagedChat(pub ChatId);

impl Query for ManagedChat {
    type Answer = ();
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatWrite;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<()> {
        QueryOutcome::Now(user_of(who).and_then(|user| {
            let (state, role) = chat_for(context.read, self.0, user)?;
            permission::manage(&state.chat, role)
        }))
    }
}
