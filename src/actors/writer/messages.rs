//! What the writer's mailbox takes.

use std::sync::Arc;

use actix::Message;

use super::command::{Command, CommandError, ExecuteError, Tx};
use super::counted::CountedRates;
use super::writer_cache::Invalidation;
use crate::core::actor::{NamedMessage, Permit, Reply};
use crate::core::telemetry;
use crate::domain::refusal::Refusal;

/// Commits what is pending and says when that is done.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain(pub Reply<(), CommandError>);

impl NamedMessage for Drain {
    const NAME: &'static str = "Drain";
}

/// A command, its result so far, and whom to tell.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PendingCommand<C: Command> {
    command: C,
    reply: Reply<C::Output, CommandError>,
    permit: Option<Permit>,
    request_id: Option<Arc<str>>,
    counted: CountedRates,
    result: Option<Result<C::Output, CommandError>>,
}

impl<C: Command> NamedMessage for PendingCommand<C> {
    const NAME: &'static str = C::NAME;
}

impl<C: Command> PendingCommand<C> {
    pub fn new(command: C, permit: Option<Permit>, reply: Reply<C::Output, CommandError>) -> Self {
        let (request_id, counted) = (telemetry::request_id(), CountedRates::default());
        Self { command, reply, permit, request_id, counted, result: None }
    }
}

/// A [`PendingCommand`] whose output type is nobody's business.
pub trait QueuedCommand: Send {
    fn name(&self) -> &'static str;
    fn bytes(&self) -> usize;
    fn invalidation(&self) -> Invalidation;
    /// Of the HTTP request that asked for it, if it was one.
    fn request_id(&self) -> Option<Arc<str>>;
    /// Executes the command; on success the result is kept for [`QueuedCommand::answer`].
    fn execute(&mut self, tx: &mut Tx<'_>) -> Result<(), ExecuteError>;
    fn refuse(&mut self, refusal: Refusal);
    fn fail(&mut self, error: CommandError);
    fn take_permit(&mut self) -> Option<Permit>;
    /// Tells the caller.
    fn answer(self: Box<Self>);
}

impl<C: Command> QueuedCommand for PendingCommand<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn bytes(&self) -> usize {
        self.command.bytes()
    }

    fn invalidation(&self) -> Invalidation {
        C::INVALIDATION
    }

    fn request_id(&self) -> Option<Arc<str>> {
        self.request_id.clone()
    }

    fn execute(&mut self, tx: &mut Tx<'_>) -> Result<(), ExecuteError> {
        // The command may be executed again, with what it has counted.
        tx.counted = std::mem::take(&mut self.counted);
        let executed = self.command.execute(tx);
        self.counted = std::mem::take(&mut tx.counted);
        self.result = Some(Ok(executed?));
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.result = Some(Err(CommandError::Refused(refusal)));
    }

    fn fail(&mut self, error: CommandError) {
        self.result = Some(Err(error));
    }

    fn take_permit(&mut self) -> Option<Permit> {
        self.permit.take()
    }

    fn answer(self: Box<Self>) {
        let this = *self;
        // No result: dropping the reply says that the answer was lost.
        if let Some(result) = this.result {
            this.reply.send(result);
        }
    }
}
