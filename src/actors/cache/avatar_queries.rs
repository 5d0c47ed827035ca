//! Queries about avatars.

use super::queries::{Query, QueryContext, QueryOutcome, chat_for, user_of};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::avatar::AvatarOf;
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

/// The owner of the avatar of a chat that the caller may read: the chat, or the project whose
/// channel it is.
pub struct AvatarOfChat(pub ChatId);

impl Query for AvatarOfChat {
    type Answer = AvatarOf;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<AvatarOf> {
        QueryOutcome::Now(user_of(who).and_then(|user| {
            let (state, role) = chat_for(context.read, self.0, user)?;
            permission::read(&state.chat, role)?;
            Ok(state.chat.project_id.map_or(AvatarOf::Chat(self.0), AvatarOf::Project))
        }))
    }
}
