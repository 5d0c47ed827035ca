//! Blocking: a user prevents another user from reaching them.

use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::event::Event;
use crate::domain::ids::UserId;
use crate::domain::refusal::Refusal;
use crate::storage::queries::blocks;

/// Blocks a user, or unblocks one. A request for the current state changes nothing.
pub struct SetBlock {
    pub who: Credential,
    pub user: UserId,
    pub blocks: bool,
    /// Verdict of the rate limiter.
    pub within_rate: Result<(), Refusal>,
}

impl Command for SetBlock {
    type Output = ();
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::ChatWrite)?;
        let (me, other) = (self.who.user, self.user);
        if me == other {
            return Err(Refusal::invalid("username", "must name another user").into());
        }
        if blocks::exists(tx.reader(), me, other)? == self.blocks {
            return Ok(());
        }
        self.within_rate.clone()?;
        if self.blocks {
            let count = usize::try_from(blocks::count_of(tx.reader(), me)?).unwrap_or(usize::MAX);
            if count >= tx.limits.blocks_per_user {
                return Err(Refusal::Conflict("you block too many users; unblock a user first").into());
            }
            let now = tx.now.0;
            blocks::insert(tx.write(), me, other, now)?;
        } else {
            blocks::delete(tx.write(), me, other)?;
        }
        tx.announce(Event::BlockChanged { user_id: me, blocked_id: other, blocks: self.blocks });
        Ok(())
    }
}
