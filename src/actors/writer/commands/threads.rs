//! Following and muting threads.

use super::chats::load;
use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::ids::{ChatId, MessageId};
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::storage::queries::{messages, threads};

/// Makes the caller follow the thread that a message is in or begins, or mutes that thread for the
/// caller.
pub struct FollowThread {
    pub who: Credential,
    pub chat: ChatId,
    pub message: MessageId,
    pub follows: bool,
    /// Verdict of the rate limiter.
    pub within_rate: Result<(), Refusal>,
}

impl Command for FollowThread {
    type Output = ();
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let user = self.who.user;
        let (chat, role) = load(tx, self.chat, user)?;
        permission::read(&chat, role)?;
        if role.is_none() {
            return Err(Refusal::NotFound("chat").into());
        }
        self.within_rate.clone()?;
        let (thread, _) =
            messages::thread_of(tx.reader(), chat.id, self.message)?.ok_or(Refusal::NotFound("message"))?;
        if threads::follows(tx.reader(), thread, user)? != Some(self.follows) {
            threads::set_follows(tx.write(), thread, user, self.follows)?;
        }
        Ok(())
    }
}
